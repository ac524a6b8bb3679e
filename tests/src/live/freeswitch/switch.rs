//! The FreeSWITCH process, and one line to its event socket for questions.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::config::{self, NATIVE_INTERCEPT};
use crate::{
    cast::Phone,
    controller::Controller,
    live::{
        ports::{Ports, local},
        site::NATIVE_HOLD,
        switch::Switch,
    },
    program::tied,
    site::Kind,
};

/// The password of the lab's event socket.
pub const PASSWORD: &str = "lab";

/// Finds FreeSWITCH: `CALLHOP_FREESWITCH` (the program, or the prefix it was installed to), else `PATH`.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let named = env::var_os("CALLHOP_FREESWITCH").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = match named {
        Some(named) => vec![named.join("bin/freeswitch"), named],
        None => env::split_paths(&path)
            .map(|dir| dir.join("freeswitch"))
            .collect(),
    };
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// The process.
#[derive(Debug)]
pub struct FreeSwitch {
    program: PathBuf,
    dir: PathBuf,
    ports: Ports,
    child: Option<Child>,
    link: Option<BufReader<TcpStream>>,
}

impl FreeSwitch {
    /// Writes the configuration; starts nothing.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(program: PathBuf, dir: &Path, ports: Ports) -> Result<Self> {
        config::write(dir, ports)?;
        Ok(Self {
            program,
            dir: dir.to_owned(),
            ports,
            child: None,
            link: None,
        })
    }

    /// Runs one command and gives its answer, without the last line feed.
    ///
    /// # Errors
    /// When the switch does not answer within five seconds.
    pub fn api(&mut self, command: &str) -> Result<String> {
        if self.link.is_none() {
            self.link = Some(self.connect()?);
        }
        let answer = self.ask(&format!("api {command}"));
        if answer.is_err() {
            self.link = None;
        }
        Ok(answer
            .with_context(|| format!("asking the switch: {command}"))?
            .trim_end_matches('\n')
            .to_owned())
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(local(self.ports.esl()))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        let mut link = BufReader::new(stream);
        read_frame(&mut link)?;
        write!(link.get_mut(), "auth {PASSWORD}\n\n")?;
        read_frame(&mut link)?;
        Ok(link)
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        let link = self.link.as_mut().context("not connected")?;
        write!(link.get_mut(), "{command}\n\n")?;
        read_frame(link)
    }
}

impl Switch for FreeSwitch {
    fn kind(&self) -> Kind {
        Kind::FreeSwitch
    }

    fn start(&mut self) -> Result<()> {
        for sub in ["log", "db", "run"] {
            fs::create_dir_all(self.dir.join(sub))?;
        }
        let mut command = tied(&self.program);
        command.args(["-nonat", "-nf", "-nc"]);
        for (option, sub) in [
            ("-conf", "conf"),
            ("-log", "log"),
            ("-db", "db"),
            ("-run", "run"),
        ] {
            command.arg(option).arg(self.dir.join(sub));
        }
        let out = fs::File::create(self.dir.join("log/stdout"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn();
        self.child = Some(child.with_context(|| format!("starting {}", self.program.display()))?);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.api("sofia status").unwrap_or_default();
            if status.matches("RUNNING").count() >= config::PROFILES {
                return Ok(());
            }
            if Instant::now() > until {
                let log =
                    fs::read_to_string(self.dir.join("log/freeswitch.log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                bail!(
                    "FreeSWITCH is not ready:\n{}",
                    lines[lines.len().saturating_sub(15)..].join("\n")
                );
            }
            // It can't be subscribed to before it listens.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self) -> Result<()> {
        self.link = None;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn forget(&mut self) -> Result<()> {
        // What Callhop keeps on it is in memory (mod_hash), and gone with the process.
        Ok(())
    }

    fn links(&self) -> SocketAddr {
        local(self.ports.esl())
    }

    fn settings(&self, links: SocketAddr) -> String {
        // Numbers outside go to the second outside phone; the first of them is far end of most stories.
        format!(
            "[[freeswitch]]\nname = \"lab\"\naddress = \"{links}\"\npassword = \"{PASSWORD}\"\n\
             outside = \"sofia/external/{{number}}@{}\"\n",
            local(self.ports.phone_sip(Phone::Out2))
        )
    }

    fn write_dialplan(&mut self, callhop: &Controller, questions: SocketAddr) -> Result<()> {
        let text = callhop.cli(&["dialplan", "show", "freeswitch"])?.ok()?;
        let text = text.replace(&callhop.http().to_string(), &questions.to_string());
        fs::write(self.dir.join("conf/dialplan/callhop/callhop.xml"), text)?;
        if self.child.is_some() {
            self.api("reloadxml")?;
        }
        Ok(())
    }

    fn registrations(&mut self) -> Result<usize> {
        let said = self.api("show registrations count")?;
        let count = said.trim().strip_suffix(" total.");
        Ok(count.context("a count")?.parse()?)
    }

    fn channels(&mut self) -> Result<Vec<String>> {
        let count = self.api("show channels count")?;
        if count.trim().starts_with("0 ") {
            return Ok(Vec::new());
        }
        Ok(self
            .api("show channels")?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    fn hang_up_all(&mut self) -> Result<()> {
        self.api("hupall").map(drop)
    }

    fn channel_of(&mut self, sip_id: &str) -> Result<String> {
        let until = Instant::now() + Duration::from_secs(2);
        loop {
            let listed: Value = serde_json::from_str(&self.api("show channels as json")?)?;
            for row in listed["rows"].as_array().into_iter().flatten() {
                let uuid = row["uuid"].as_str().unwrap_or_default();
                if self.api(&format!("uuid_getvar {uuid} sip_call_id"))? == sip_id {
                    return Ok(uuid.to_owned());
                }
            }
            if Instant::now() > until {
                bail!("no channel carries {sip_id}");
            }
            // The switch writes its list some time after a channel has come (switch_core_sqldb.c).
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_armed(&mut self, channel: &str) -> Result<bool> {
        Ok(self.api(&format!("uuid_getvar {channel} callhop_armed"))? == "true")
    }

    fn native_pull(&mut self, channel: &str) -> Result<String> {
        Ok(format!("{NATIVE_INTERCEPT}{channel}"))
    }

    fn native_pickup(&mut self, far: &str, _ringing: &str) -> Result<String> {
        self.native_pull(far)
    }

    fn native_bridge(&mut self, one: &str, other: &str) -> Result<()> {
        self.api(&format!("uuid_bridge {one} {other}")).map(drop)
    }

    fn native_split(&mut self, near: &str, _far: &str) -> Result<()> {
        let ways = format!("hangup/inline {NATIVE_HOLD}/XML/default");
        self.api(&format!("uuid_dual_transfer {near} {ways}"))
            .map(drop)
    }

    fn native_ring(&mut self, far: &str) -> Result<()> {
        let who = "{ignore_early_media=true}user/1002@lab.test";
        self.api(&format!("bgapi originate {who} &intercept({far})"))
            .map(drop)
    }
}

/// One frame: headers up to an empty line, and a body of `Content-Length` bytes, which is given back.
fn read_frame(link: &mut BufReader<TcpStream>) -> Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if link.read_line(&mut line)? == 0 {
            bail!("the switch has closed the connection");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.parse()?;
        }
    }
    let mut body = vec![0; length];
    link.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

impl Drop for FreeSwitch {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.kill();
    }
}

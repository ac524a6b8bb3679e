//! The FreeSWITCH process, and one line to its event socket for questions.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::ports::{Ports, local};
use crate::program::tied;

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
pub struct Switch {
    program: PathBuf,
    dir: PathBuf,
    ports: Ports,
    child: Option<Child>,
    link: Option<BufReader<TcpStream>>,
}

impl Switch {
    /// A switch with the configuration in `dir/conf`; starts nothing.
    #[must_use]
    pub fn new(program: PathBuf, dir: &Path, ports: Ports) -> Self {
        Self {
            program,
            dir: dir.to_owned(),
            ports,
            child: None,
            link: None,
        }
    }

    /// Starts it, and waits until it answers and all its SIP profiles run.
    ///
    /// # Errors
    /// When that does not come, with the end of its log.
    pub fn start(&mut self) -> Result<()> {
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
            if status.matches("RUNNING").count() >= super::config::PROFILES {
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

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn kill(&mut self) -> Result<()> {
        self.link = None;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
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

impl Drop for Switch {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.kill();
    }
}

//! The Asterisk process, and the lab's line to its manager for questions.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    config::{self, LAB_MANAGER, MANAGER, NATIVE_END, NATIVE_FAR, NATIVE_PICKUP, NATIVE_PULL},
    install::Program,
    manager::Manager,
};
use crate::{
    cast::Phone,
    controller::Controller,
    live::{
        ports::{Ports, local},
        site::NATIVE_HOLD,
        switch::Switch,
    },
    site::Kind,
};

/// The process.
#[derive(Debug)]
pub struct Asterisk {
    program: Program,
    dir: PathBuf,
    ports: Ports,
    secret: String,
    lab_secret: String,
    child: Option<Child>,
    manager: Option<Manager>,
}

impl Asterisk {
    /// Writes the configuration; starts nothing.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(program: Program, dir: &Path, ports: Ports) -> Result<Self> {
        let asterisk = Self {
            program,
            dir: dir.to_owned(),
            ports,
            secret: random()?,
            lab_secret: random()?,
            child: None,
            manager: None,
        };
        config::write(config::Site {
            dir,
            program: &asterisk.program,
            ports,
            secret: &asterisk.secret,
            lab_secret: &asterisk.lab_secret,
        })?;
        Ok(asterisk)
    }

    fn manager(&mut self) -> Result<&mut Manager> {
        if self.manager.is_none() {
            let address = local(self.ports.ami());
            self.manager = Some(Manager::connect(address, LAB_MANAGER, &self.lab_secret)?);
        }
        self.manager.as_mut().context("connected a moment ago")
    }

    fn ask(
        &mut self,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Vec<super::manager::Packet>> {
        let answer = self.manager()?.ask(action, fields);
        answer.with_context(|| format!("asking the switch: {action} {fields:?}"))
    }

    fn command(&mut self, command: &str) -> Result<Vec<String>> {
        let answer = self.manager()?.command(command);
        answer.with_context(|| format!("asking the switch: {command}"))
    }

    /// A variable, or a function as in the dialplan; empty where there is none, or no such channel any more.
    fn variable(&mut self, channel: &str, name: &str) -> String {
        let fields = [("Channel", channel), ("Variable", name)];
        let answer = self.manager().and_then(|it| it.ask("Getvar", &fields));
        answer.map_or_else(|_| String::new(), |it| it[0].get("Value").to_owned())
    }

    fn set_far(&mut self, channel: &str) -> Result<()> {
        self.ask("Setvar", &[("Variable", NATIVE_FAR), ("Value", channel)])
            .map(drop)
    }
}

/// A secret that nobody else on this machine knows.
fn random() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(text.trim().replace('-', ""))
}

impl Switch for Asterisk {
    fn kind(&self) -> Kind {
        Kind::Asterisk
    }

    fn start(&mut self) -> Result<()> {
        let mut command = self.program.command();
        command
            .args(["-f", "-q", "-C"])
            .arg(self.dir.join("etc/asterisk.conf"));
        let out = fs::File::create(self.dir.join("log/stdout"))?;
        let child = command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn();
        self.child = Some(child.context("starting Asterisk")?);
        let until = Instant::now() + Duration::from_secs(30);
        // It can't be subscribed to before it listens.
        while let Err(error) = self.manager() {
            if Instant::now() > until {
                let log = fs::read_to_string(self.dir.join("log/full")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(15)..].join("\n");
                bail!("Asterisk is not ready: {error:#}\n{last}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.command("core waitfullybooted").map(drop)
    }

    fn kill(&mut self) -> Result<()> {
        self.manager = None;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn forget(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the switch runs");
        for file in ["astdb.sqlite3", "astdb.sqlite3-journal"] {
            let file = self.dir.join("lib").join(file);
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn links(&self) -> SocketAddr {
        local(self.ports.ami())
    }

    fn settings(&self, links: SocketAddr) -> String {
        // Numbers outside go to the second outside phone; the first of them is far end of most stories.
        format!(
            "[[asterisk]]\nname = \"lab\"\naddress = \"{links}\"\nusername = \"{MANAGER}\"\nsecret = \"{}\"\n\
             endpoints = {{ \"lab.test\" = \"{{number}}\", \"other.test\" = \"other-{{number}}\" }}\n\
             outside = \"PJSIP/{{number}}@{}\"\ncontext = \"phones\"\n",
            self.secret,
            config::line(Phone::Out2)
        )
    }

    fn write_dialplan(&mut self, callhop: &Controller, questions: SocketAddr) -> Result<()> {
        for (words, file) in [
            (&["asterisk", "--domain", "lab.test"][..], "callhop.conf"),
            (&["asterisk-features"], "callhop_features.conf"),
        ] {
            let text = callhop
                .cli(&[&["dialplan", "show"], words].concat())?
                .ok()?;
            let text = text.replace(&callhop.http().to_string(), &questions.to_string());
            fs::write(self.dir.join("etc").join(file), text)?;
        }
        if self.child.is_some() {
            self.command("dialplan reload")?;
            self.command("module reload features")?;
        }
        Ok(())
    }

    fn registrations(&mut self) -> Result<usize> {
        let lines = self.command("pjsip show contacts")?;
        // `  Contact:  1001/sip:1001@127.0.0.1:20100;ob ...`; the outside lines have theirs from the configuration.
        let contacts = lines
            .iter()
            .filter_map(|line| line.trim().strip_prefix("Contact:"));
        let registered =
            contacts.filter(|it| it.contains("/sip:") && !it.trim_start().starts_with("outside"));
        Ok(registered.count())
    }

    fn channels(&mut self) -> Result<Vec<String>> {
        let listed = self.ask("CoreShowChannels", &[])?;
        let told = listed[1..].iter().map(|it| {
            format!(
                "{} ({} {}, {})",
                it.get("Channel"),
                it.get("Application"),
                it.get("ApplicationData"),
                it.get("ChannelStateDesc")
            )
        });
        Ok(told.collect())
    }

    fn hang_up_all(&mut self) -> Result<()> {
        self.command("channel request hangup all").map(drop)
    }

    fn channel_of(&mut self, sip_id: &str) -> Result<String> {
        let listed = self.ask("CoreShowChannels", &[])?;
        for channel in listed[1..].iter().map(|it| it.get("Channel").to_owned()) {
            if self.variable(&channel, "CHANNEL(pjsip,call-id)") == sip_id {
                return Ok(channel);
            }
        }
        bail!("no channel carries {sip_id}")
    }

    fn is_armed(&mut self, channel: &str) -> Result<bool> {
        let features = self.variable(channel, "DYNAMIC_FEATURES");
        Ok(features
            .split('#')
            .any(|name| name.starts_with("callhop_push")))
    }

    fn native_pull(&mut self, channel: &str) -> Result<String> {
        self.set_far(channel)?;
        Ok(NATIVE_PULL.to_owned())
    }

    fn native_pickup(&mut self, _far: &str, ringing: &str) -> Result<String> {
        self.set_far(ringing)?;
        Ok(NATIVE_PICKUP.to_owned())
    }

    fn native_bridge(&mut self, one: &str, other: &str) -> Result<()> {
        let fields = [("Channel1", one), ("Channel2", other), ("Tone", "no")];
        self.ask("Bridge", &fields).map(drop)
    }

    fn native_split(&mut self, near: &str, far: &str) -> Result<()> {
        let fields = [
            ("Channel", far),
            ("Context", "phones"),
            ("Exten", NATIVE_HOLD),
            ("Priority", "1"),
            ("ExtraChannel", near),
            ("ExtraContext", "phones"),
            ("ExtraExten", NATIVE_END),
            ("ExtraPriority", "1"),
        ];
        self.ask("Redirect", &fields).map(drop)
    }

    fn native_ring(&mut self, far: &str) -> Result<()> {
        let fields = [
            ("Channel", "PJSIP/1002"),
            ("Application", "Bridge"),
            ("Data", far),
            ("Async", "true"),
            ("Timeout", "10000"),
        ];
        self.ask("Originate", &fields).map(drop)
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.kill();
    }
}

//! The controller under test: the real program `callhop`, run as an admin would run it.
//!
//! Owns its process, its configuration file and its command line. Both sites use it, each with the address of its own
//! switch. Refuses to look inside: what it knows is what its command line, its HTTP answers and its exit codes say.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::program::tied;

/// How long the program may take to be ready, and to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Settings of a push: short times, so that stories may wait for their end, an IVR as the fallback, and some numbers
/// outside that may be pushed to.
const PUSH: &str = "\n[push]\nring_timeout_s = 5\ndigit_timeout_s = 4\nfallback = \"7000\"\n\
    allow = [\"0[0-9]{4,14}\"]\n";

/// What a controller is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// Its own folder; configuration, database and log are put there.
    pub dir: PathBuf,
    /// What its configuration says about the database.
    pub store_url: String,
    /// What its configuration says about its switch: one table.
    pub switch: String,
    /// Where it listens.
    pub http: SocketAddr,
}

/// What a command of its command line said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The output of a command that must have gone well.
    ///
    /// # Errors
    /// When it did not.
    pub fn ok(self) -> Result<String> {
        if self.code != Some(0) {
            bail!(
                "callhop ended with {:?}: {}{}",
                self.code,
                self.out,
                self.err
            );
        }
        Ok(self.out)
    }
}

/// The program, running or not.
#[derive(Debug)]
pub struct Controller {
    setup: Setup,
    child: Option<Child>,
    frozen: bool,
}

impl Controller {
    /// Writes its configuration; starts nothing.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn new(setup: Setup) -> Result<Self> {
        fs::create_dir_all(&setup.dir)?;
        let mut text = format!(
            "[store]\nurl = {:?}\n\n[http]\nlisten = \"{}\"\n",
            setup.store_url, setup.http
        );
        text += "\n";
        text += &setup.switch;
        text += PUSH;
        text += "\n[domains.\"lab.test\"]\n\n[domains.\"other.test\"]\n";
        let config = setup.dir.join("callhop.toml");
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        Ok(Self {
            setup,
            child: None,
            frozen: false,
        })
    }

    fn command(&self) -> Command {
        let mut command = tied(&self.setup.program);
        command
            .arg("--config")
            .arg(self.setup.dir.join("callhop.toml"))
            .current_dir(&self.setup.dir)
            .stdin(Stdio::null());
        command
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.setup.dir.join("callhop.log")
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it listens.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.setup.http
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.setup.dir
    }

    /// Starts it and waits until it says that it is ready. Does nothing while it runs.
    ///
    /// # Errors
    /// When it ends or does not get ready in time, with the end of its log.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready(PATIENCE)
    }

    /// Starts it, and does not wait.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn launch(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let child = self
            .command()
            .arg("run")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        self.child =
            Some(child.with_context(|| format!("starting {}", self.setup.program.display()))?);
        self.frozen = false;
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time, with the end of its log.
    pub fn wait_ready(&mut self, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!(
                    "callhop ended with {status}; its log ends:\n{}",
                    self.log_tail(10)
                );
            }
            if self.get("/readyz").is_ok_and(|(code, _)| code == 200) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "callhop is not ready after {within:?}; its log ends:\n{}",
                    self.log_tail(10)
                );
            }
            // Nothing announces readiness to somebody who is not connected: it has to be asked for.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it says that it is not ready.
    ///
    /// # Errors
    /// When it goes on to say that it is.
    pub fn wait_not_ready(&self, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        while self.get("/readyz").is_ok_and(|(code, _)| code == 200) {
            if Instant::now() > until {
                bail!("callhop still says that it is ready");
            }
            // As above: it has to be asked for.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Asks for a page; the status code and the body.
    ///
    /// # Errors
    /// When nobody listens, or nobody answers within a second.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        self.ask("GET", path, "", "")
    }

    /// Changes something over its API; the status code and the body.
    ///
    /// # Errors
    /// As [`Controller::get`].
    pub fn change(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Result<(u16, String)> {
        let head = format!(
            "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask(method, path, &head, body)
    }

    fn ask(&self, method: &str, path: &str, head: &str, body: &str) -> Result<(u16, String)> {
        let mut link = TcpStream::connect_timeout(&self.setup.http, Duration::from_secs(1))?;
        link.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            link,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{head}Connection: close\r\n\r\n{body}",
            self.setup.http
        )?;
        let mut answer = Vec::new();
        link.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("an HTTP answer without an end of its header")?;
        let code = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .context("an HTTP answer without a code")?;
        Ok((code, body.to_owned()))
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        let until = Instant::now() + PATIENCE;
        if let Some(child) = &mut self.child {
            while child.try_wait()?.is_none() {
                if Instant::now() > until {
                    bail!("callhop did not end within {PATIENCE:?} of SIGTERM");
                }
                // The standard library has no wait with a limit.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.child = None;
        Ok(())
    }

    /// Ends it as a crash would (SIGKILL).
    ///
    /// # Errors
    /// When that is not possible.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Lets it hang (SIGSTOP), or go on (SIGCONT).
    ///
    /// # Errors
    /// When that is not possible.
    pub fn freeze(&mut self, frozen: bool) -> Result<()> {
        self.frozen = frozen;
        self.signal(if frozen { "STOP" } else { "CONT" })
    }

    /// It hangs.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn signal(&self, name: &str) -> Result<()> {
        if let Some(child) = &self.child {
            let status = Command::new("kill")
                .args([format!("-{name}"), child.id().to_string()])
                .status()?;
            if !status.success() {
                bail!("kill -{name} {}: {status}", child.id());
            }
        }
        Ok(())
    }

    /// Runs its command line.
    ///
    /// # Errors
    /// When the program can't be started; what it says and its exit code are no error here.
    pub fn cli(&self, args: &[&str]) -> Result<Said> {
        let output = self
            .command()
            .args(args)
            .output()
            .with_context(|| format!("running callhop {args:?}"))?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The end of its log, marked as such, for the report of a story that failed.
    #[must_use]
    pub fn last_words(&self) -> String {
        let tail = self.log_tail(6);
        let lines: Vec<String> = tail
            .lines()
            .map(|line| format!("     callhop: {line}"))
            .collect();
        lines.join("\n")
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Nobody is left who could be told.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

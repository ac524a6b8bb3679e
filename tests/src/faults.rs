//! What takes the controller's surroundings away: a locked database, a network that swallows.

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::live::ports::local;

/// Holds the write lock of an SQLite file: whoever wants to write waits, and fails.
#[derive(Debug)]
pub struct DatabaseLock {
    child: Child,
}

impl DatabaseLock {
    /// Takes the lock; dropping gives it back.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn take(file: &Path) -> Result<Self> {
        const HOLD: &str = "import sqlite3, sys\n\
            c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n\
            c.execute('BEGIN EXCLUSIVE')\n\
            print('locked', flush=True)\n\
            sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", HOLD])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("Python without output")?;
        let lock = Self { child };
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() != "locked" {
            bail!("the database {} could not be locked", file.display());
        }
        Ok(lock)
    }
}

impl Drop for DatabaseLock {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody accepts on, with a full queue: the system drops what knocks, as a broken network does.
#[derive(Debug)]
pub struct Swallow {
    port: u16,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Swallow {
    /// Opens the port and fills its queue.
    ///
    /// # Errors
    /// When the queue does not fill.
    pub fn new() -> Result<Self> {
        let listener = TcpListener::bind(local(0))?;
        let address = listener.local_addr()?;
        let mut queued = Vec::new();
        // The queue of the standard library's listener holds 128, or 4,096, as the system allows.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
            if queued.len() > 10_000 {
                bail!("the queue of {address} does not fill");
            }
        }
        Ok(Self {
            port: address.port(),
            _listener: listener,
            _queued: queued,
        })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

//! What takes the controller's surroundings away: a locked database, a network that swallows, a way that is cut.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
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

/// What becomes of bytes on a [`Way`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// They pass.
    Open,
    /// They stay where they are, and nobody is told: a network that is broken in the middle.
    Silent,
    /// Connections are closed, and new ones too as soon as they are made: nobody listens behind it.
    Closed,
}

/// The way between the controller and its switch: it passes connections on, until it is cut.
#[derive(Debug)]
pub struct Way {
    state: Arc<(Mutex<WayState>, Condvar)>,
    address: SocketAddr,
}

#[derive(Debug)]
struct WayState {
    passage: Passage,
    open: Vec<TcpStream>,
}

impl Way {
    /// Listens at `port` and passes on to `switch`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn new(port: u16, switch: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(local(port))?;
        let address = listener.local_addr()?;
        let state = WayState {
            passage: Passage::Open,
            open: Vec::new(),
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let both = {
                    let mut state = locked(&shared.0);
                    // Dropping it closes it. Where nobody listens it is closed as well.
                    let far = match state.passage {
                        Passage::Closed => continue,
                        Passage::Open | Passage::Silent => TcpStream::connect(switch),
                    };
                    let Ok(far) = far else { continue };
                    let halves = (near.try_clone(), far.try_clone());
                    let (Ok(other_near), Ok(other_far)) = halves else {
                        continue;
                    };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    state.open.extend([other_near, other_far]);
                    (near, far)
                };
                let ways = (both.0.try_clone(), both.1.try_clone());
                if let (Ok(near), Ok(far)) = ways {
                    let there = Arc::clone(&shared);
                    let back = Arc::clone(&shared);
                    thread::spawn(move || pass(&both.0, &both.1, &there));
                    thread::spawn(move || pass(&far, &near, &back));
                }
            }
        });
        Ok(Self { state, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, passage: Passage) {
        let mut state = locked(&self.state.0);
        state.passage = passage;
        if passage == Passage::Closed {
            for stream in state.open.drain(..) {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.state.1.notify_all();
    }
}

/// Bytes of one direction, until one of the two ends closes; the other one is told then.
fn pass(mut from: &TcpStream, mut to: &TcpStream, state: &(Mutex<WayState>, Condvar)) {
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut now = locked(&state.0);
        while now.passage == Passage::Silent {
            now = state.1.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        drop(now);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn locked(state: &Mutex<WayState>) -> MutexGuard<'_, WayState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

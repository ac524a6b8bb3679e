//! A private PostgreSQL for tests, of this crate and of others.
//!
//! Owns a cluster in a folder of its own, on a free port of 127.0.0.1 and on a socket in that folder. Refuses to pretend: without
//! PostgreSQL a test fails and says what to install. A guard process stops the cluster and deletes the folder when the test
//! process ends, in whatever way it ends.

use std::{
    env, fs, io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The password of the user `callhop` on the private PostgreSQL; asked for over TCP.
pub const PASSWORD: &str = "not-to-be-seen";

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum TestingError {
    /// The programs were not found.
    #[error(
        "this test needs PostgreSQL, and neither PATH nor /usr/lib/postgresql has initdb: install the package postgresql \
         (apt-get install postgresql)"
    )]
    NotInstalled,
    /// PostgreSQL does not run as root.
    #[error("initdb refuses root, and there is neither a user postgres nor nobody to run it as")]
    NoUser,
    /// One of its programs failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// Which one.
        program: String,
        /// What it and the server printed.
        output: String,
    },
    /// A program could not be started, or a file not be written.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it did not work.
        source: io::Error,
    },
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> TestingError {
    let what = what.into();
    |source| TestingError::Io { what, source }
}

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Who runs it, if that is not who runs the test.
    user: Option<(u32, u32)>,
    databases: AtomicU32,
    guard: Child,
}

impl Postgres {
    /// The cluster of this test process, which is started when it is first asked for.
    ///
    /// # Panics
    /// It could not be started; the message says why.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(postgres) => postgres,
            Err(error) => panic!("{error} ({error:?})"),
        })
    }

    /// Starts a cluster of its own, for a test that stops it. Takes a second or two and blocks the thread.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self, TestingError> {
        let programs = programs().ok_or(TestingError::NotInstalled)?;
        let folder = tempfile::Builder::new()
            .prefix("callhop-postgres-")
            .tempdir()
            .map_err(io_error("creating a folder"))?
            .keep();
        let root = fs::metadata(&folder).is_ok_and(|folder| folder.uid() == 0);
        let user = if root {
            Some(unprivileged().ok_or(TestingError::NoUser)?)
        } else {
            None
        };
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).map_err(io_error("giving the folder away"))?;
        }
        let guard = guard(&programs, &folder, user)?;
        let mut postgres = Self {
            programs,
            folder,
            port: 0,
            user,
            databases: AtomicU32::new(0),
            guard,
        };
        let password = postgres.folder.join("password");
        fs::write(&password, PASSWORD).map_err(io_error("writing the password"))?;
        if let Some((uid, gid)) = user {
            chown(&password, Some(uid), Some(gid)).map_err(io_error("giving the password away"))?;
        }
        postgres.run(
            "initdb",
            &[
                "-D",
                "data",
                "-U",
                "callhop",
                "--pwfile=password",
                "-E",
                "UTF8",
                "--locale=C",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--no-sync",
            ],
        )?;
        // Between the look for a free port and the start somebody else may take it.
        let mut attempts = 0..5;
        loop {
            postgres.port = free_port()?;
            match postgres.restart() {
                Err(error) if attempts.next().is_none() => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(postgres),
            }
        }
    }

    /// Creates an empty database and answers its URL over TCP, with the password in it.
    ///
    /// # Errors
    /// The cluster does not run.
    pub fn database(&self) -> Result<String, TestingError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.display().to_string();
        let port = self.port.to_string();
        self.run(
            "createdb",
            &["-h", &folder, "-p", &port, "-U", "callhop", &name],
        )?;
        Ok(format!(
            "postgres://callhop:{PASSWORD}@127.0.0.1:{}/{name}",
            self.port
        ))
    }

    /// The same database over the socket in the cluster's folder, where no password is asked for.
    #[must_use]
    pub fn over_socket(&self, url: &str) -> String {
        let name = url.rsplit('/').next().unwrap_or_default();
        format!(
            "postgres://callhop@localhost:{}/{name}?host={}",
            self.port,
            self.folder.display()
        )
    }

    /// Stops the server as a crash would: connections end at once, nothing is tidied up.
    ///
    /// # Errors
    /// It does not run.
    pub fn crash(&self) -> Result<(), TestingError> {
        self.run("pg_ctl", &["stop", "-D", "data", "-m", "immediate", "-w"])
    }

    /// Starts the server again after a crash, on the same port, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start; the error has the server's log.
    pub fn restart(&self) -> Result<(), TestingError> {
        let options = format!(
            "-p {} -h 127.0.0.1 -k {} -c shared_buffers=32MB",
            self.port,
            self.folder.display()
        );
        self.run(
            "pg_ctl",
            &[
                "start", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", &options,
            ],
        )
    }

    /// Stops all its processes in the middle of what they do (SIGSTOP): connections stay open and nobody answers.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<(), TestingError> {
        self.signal("-STOP")
    }

    /// Lets the processes go on after [`Self::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<(), TestingError> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<(), TestingError> {
        let file = self.folder.join("data/postmaster.pid");
        let text = fs::read_to_string(&file).map_err(io_error("reading the server's pid"))?;
        let server = text.lines().next().unwrap_or_default().to_owned();
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"))
            .map_err(io_error("reading the server's children"))?;
        let mut kill = Command::new("kill");
        kill.arg(signal)
            .arg(&server)
            .args(children.split_whitespace());
        self.finish("kill", kill)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), TestingError> {
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env_remove("PGHOST")
            .env_remove("PGPORT")
            .env_remove("PGOPTIONS");
        as_user(&mut command, self.user);
        self.finish(program, command)
    }

    fn finish(&self, program: &str, mut command: Command) -> Result<(), TestingError> {
        // To a file and not to a pipe: a server that was started would keep a pipe open.
        let path = self.folder.join("output");
        let output = || fs::File::options().create(true).append(true).open(&path);
        let status = command
            .stdin(Stdio::null())
            .stdout(output().map_err(io_error("opening a log"))?)
            .stderr(output().map_err(io_error("opening a log"))?)
            .status()
            .map_err(io_error(format!("starting {program}")))?;
        if status.success() {
            return Ok(());
        }
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        Err(TestingError::Failed {
            program: program.to_owned(),
            output: format!("{status}\n{}\n{}", read("output"), read("log")),
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Frozen processes would not hear that they are to end; one that is not there needs no waking.
        let _ = self.thaw();
        drop(self.guard.stdin.take());
        // The guard's own end is all that matters; it has nobody to tell what went wrong.
        let _ = self.guard.wait();
    }
}

/// Starts the process that outlives the test: it waits for the end of its input, which is the end of the test.
fn guard(programs: &Path, folder: &Path, user: Option<(u32, u32)>) -> Result<Child, TestingError> {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(r#"read -r _; "$0/pg_ctl" stop -D "$1/data" -m immediate -w; rm -rf "$1""#)
        .arg(programs)
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not in the test's group: Ctrl-C ends the test, and then this has its work to do.
        .process_group(0);
    as_user(&mut command, user);
    command.spawn().map_err(io_error("starting the guard"))
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// The folder with `initdb` and its companions: that of PATH, else the newest version that Debian installed.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).find_map(|folder| {
        let program = folder.join("initdb").canonicalize().ok()?;
        Some(program.parent()?.to_owned())
    });
    on_path.or_else(|| {
        fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|version| {
                let version = version.ok()?;
                let number: u32 = version.file_name().to_str()?.parse().ok()?;
                let programs = version.path().join("bin");
                programs
                    .join("initdb")
                    .exists()
                    .then_some((number, programs))
            })
            .max()
            .map(|(_, programs)| programs)
    })
}

/// The ids of `postgres`, else of `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let mut ids = fields.skip(1).map(|id| id.parse().ok());
            Some((ids.next()??, ids.next()??))
        })
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn free_port() -> Result<u16, TestingError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(io_error("looking for a port"))?;
    let address = listener
        .local_addr()
        .map_err(io_error("looking for a port"))?;
    Ok(address.port())
}

//! The command line.
//!
//! Owns the words, what is printed, and the exit codes. Standard output is for results, standard error for everything else.

mod demo;
mod device;
mod dialplan;
mod doctor;
mod extension;
mod generate;
mod guide;
mod import;
mod live;
mod moves;
mod output;
mod route;
mod token;
mod watch;
mod webhook;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use callhop_calls::id::{Domain, ExtensionId, Number, UnixTime};
use callhop_store::{Actor, DatabaseError, OpenError, Options, Store};
use clap::{Args, Parser, Subcommand};

use crate::{
    config::{self, Config, Environment},
    controller, telemetry,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: the database or the disk refused, or `doctor` found something broken
  2  the command line or the configuration is wrong
  3  refused: no such extension, device or file, or it may not be done
  4  not reachable: the controller, the database or a switch does not answer";

#[derive(Debug, Parser)]
#[command(
    name = "callhop",
    version,
    about = "Moves live calls between the devices of a person, and decides which of them ring",
    after_help = EXIT_CODES,
    after_long_help = EXIT_CODES
)]
struct Arguments {
    /// The configuration; without it callhop.toml here, else /etc/callhop/callhop.toml, else the defaults
    #[arg(long, global = true, value_name = "FILE", env = "CALLHOP_CONFIG")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller until it is told to end (SIGINT, SIGTERM)
    ///
    /// A switch or a database that does not answer yet is waited for. Logs go to standard error.
    Run,
    /// Try everything without a switch: phones on a page, a switch that acts, and the real controller between them
    ///
    /// No configuration is read, and nothing is kept: the database is in a temporary folder. Prints the page's address with a
    /// token in it, and three things to try.
    #[command(after_help = "Examples:\n  callhop demo\n  callhop demo --script")]
    Demo(demo::Demo),
    /// People and their devices
    #[command(subcommand)]
    Extension(extension::Command),
    /// The devices of extensions that are there
    #[command(subcommand)]
    Device(device::Command),
    /// Where the calls of an extension ring
    #[command(subcommand)]
    Route(route::Command),
    /// Extensions and devices out of a switch's own directory
    #[command(subcommand)]
    Import(import::Command),
    /// Who may change something over HTTP
    #[command(subcommand)]
    Token(token::Command),
    /// Who is told of moves and route changes
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// The calls of the running controller
    Calls(Json),
    /// Look at switches, calls, extensions and moves, live in the terminal
    ///
    /// `?` shows the keys, `q` ends. It reads the running controller and changes nothing. Colour repeats what words say, and is
    /// left out where NO_COLOR is set.
    Watch,
    /// The latest moves: kind, who, from where to where, result, cause and duration
    Moves(moves::Moves),
    /// Which devices of an extension ring and why, and what could be pulled
    ///
    /// Without a running controller the database still tells about the routes, with exit code 4.
    #[command(after_help = "Example:\n  callhop why 1000@lab.test")]
    Why(live::Why),
    /// Check the switches, their dialplan, the database and the controller; each finding says what cures it
    Doctor(Json),
    /// The files that go into a switch's dialplan
    #[command(subcommand)]
    Dialplan(dialplan::Command),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print one page for the people who dial: their codes, their numbers, what each tone means
    Guide(guide::Guide),
    /// Print the completions for a shell
    #[command(
        after_help = "Example:\n  callhop completions bash > /usr/share/bash-completion/completions/callhop"
    )]
    Completions {
        /// Which shell
        shell: generate::Shell,
    },
    /// Write the man pages
    #[command(after_help = "Example:\n  callhop man /usr/local/share/man/man1")]
    Man {
        /// The folder; it is made if there is none
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print what counts, with secrets hidden; or everything that is wrong
    Check(Json),
}

/// For what lists or shows.
#[derive(Debug, Clone, Copy, Args)]
struct Json {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a command that did not do its work ends. Success and clap's own errors are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Unreachable = 4,
}

/// What is said about it.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    /// `None` if everything was said already.
    error: Option<anyhow::Error>,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: Some(error.into()),
        }
    }

    fn silent(exit: Exit) -> Self {
        Self { exit, error: None }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let exit = if error.is_unavailable() {
            Exit::Unreachable
        } else {
            Exit::Failed
        };
        Self::new(exit, error)
    }
}

type Done = Result<(), Failure>;

/// Runs the command that the arguments of the process name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return say(&Failure::new(Exit::Failed, error)),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => say(&failure),
    }
}

fn say(failure: &Failure) -> ExitCode {
    if let Some(error) = &failure.error {
        eprintln!("callhop: {error:#}");
    }
    ExitCode::from(failure.exit as u8)
}

async fn run(arguments: Arguments) -> Done {
    // These know nothing of a site, and work where its configuration does not.
    match &arguments.command {
        Command::Completions { shell } => return generate::completions(*shell),
        Command::Man { folder } => return generate::man(folder),
        Command::Demo(wanted) => return demo::run(*wanted).await,
        _ => {}
    }
    // A variable that is not Unicode is none of ours.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let loaded = config::load(arguments.config.as_deref(), &environment)
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let config = loaded.config;
    match arguments.command {
        Command::Run => {
            telemetry::start(&config.log);
            match &loaded.file {
                Some(file) => tracing::info!(file = %file.display(), "configuration read"),
                None => tracing::info!("no configuration file, the defaults count"),
            }
            controller::run(config, asked_to_end())
                .await
                .map_err(|error| Failure::new(Exit::Failed, error))
        }
        Command::Extension(command) => extension::run(&config, command).await,
        Command::Device(command) => device::run(&config, command).await,
        Command::Route(command) => route::run(&config, command).await,
        Command::Import(command) => import::run(&config, command).await,
        Command::Token(command) => token::run(&config, command).await,
        Command::Webhook(command) => webhook::run(&config, command).await,
        Command::Calls(Json { json }) => live::calls(&config, json),
        Command::Watch => watch::run(&config).await,
        Command::Moves(moves) => moves::run(&config, moves).await,
        Command::Why(why) => live::why(&config, why).await,
        Command::Doctor(Json { json }) => doctor::run(&config, json).await,
        Command::Dialplan(command) => dialplan::run(&config, command),
        Command::Guide(wanted) => guide::run(&config, wanted).await,
        Command::Demo(wanted) => demo::run(wanted).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { folder } => generate::man(&folder),
        Command::Config(ConfigCommand::Check(Json { json })) => {
            let effective = config.effective();
            if json {
                return output::json(&effective);
            }
            match &loaded.file {
                Some(file) => output::line(format_args!(
                    "# {} is usable. What counts:\n",
                    file.display()
                ))?,
                None => output::line("# There is no file, the defaults count:\n")?,
            }
            let text = toml::to_string(&effective).map_err(|e| Failure::new(Exit::Failed, e))?;
            output::text(text)
        }
    }
}

/// When the process is asked to end.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler SIGTERM ends the process by itself, which loses nothing: Callhop is crash-only.
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}

/// Opens the store of the configuration.
async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    callhop_store::open(config.store.url.reveal(), Options::default())
        .await
        .map_err(|error| {
            let exit = match &error {
                OpenError::Url { .. } => Exit::Usage,
                error if error.is_unavailable() => Exit::Unreachable,
                _ => Exit::Failed,
            };
            Failure::new(exit, error)
        })
}

/// Who is named in the audit trail: whoever typed it, also behind sudo.
fn actor() -> Result<Actor, Failure> {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned());
    let user = name
        .parse()
        .context("the name of the user")
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(Actor::Cli { user })
}

fn now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A number as people write it beside an extension: bare, or with the extension's own domain.
#[derive(Debug, Clone)]
struct NumberHere {
    number: Number,
    domain: Option<Domain>,
}

impl std::str::FromStr for NumberHere {
    type Err = callhop_calls::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, domain) = match text.split_once('@') {
            Some((number, domain)) => (number, Some(domain.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            number: number.parse()?,
            domain,
        })
    }
}

impl NumberHere {
    /// The number, if its domain is that of `extension`.
    fn beside(self, extension: &ExtensionId) -> Result<Number, Failure> {
        match self.domain {
            Some(domain) if domain != extension.domain => Err(Failure::new(
                Exit::Refused,
                anyhow::anyhow!(
                    "{}@{domain} is not in the domain of {extension}",
                    self.number
                ),
            )),
            _ => Ok(self.number),
        }
    }
}

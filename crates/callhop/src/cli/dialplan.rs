//! `callhop dialplan`.

use std::path::PathBuf;

use anyhow::anyhow;
use callhop_calls::id::{Domain, SwitchName};
use clap::{Args, Subcommand, ValueEnum};

use super::{Done, Exit, Failure};
use crate::{
    config::Config,
    dialplan::{self, InstallError, Installed},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a file with the configured codes and addresses
    #[command(
        after_help = "Examples:\n  callhop dialplan show freeswitch\n  callhop dialplan show freeswitch-inbound"
    )]
    Show {
        /// Which file
        what: What,
        #[command(flatten)]
        site: Site,
    },
    /// Write a file into the folder that a dialplan context includes
    #[command(
        after_help = "Example:\n  callhop dialplan install freeswitch /etc/freeswitch/dialplan/default"
    )]
    Install {
        /// Which file
        what: Installable,
        /// The folder, such as /etc/freeswitch/dialplan/default
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Replace a file that Callhop did not write, too
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        site: Site,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum What {
    /// The extensions for star codes, for hunting and for pushes
    Freeswitch,
    /// The three lines for the admin's own inbound extension
    FreeswitchInbound,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Installable {
    /// The extensions for star codes, for hunting and for pushes
    Freeswitch,
}

#[derive(Debug, Args)]
pub(super) struct Site {
    /// The switch, by its name in the configuration; needed if there are several
    #[arg(long, value_name = "NAME")]
    switch: Option<SwitchName>,
    /// The domain of calls that carry none; otherwise the only one of the configuration, else the switch's own
    #[arg(long)]
    domain: Option<Domain>,
}

pub(super) fn run(config: &Config, command: Command) -> Done {
    match command {
        Command::Show {
            what: What::FreeswitchInbound,
            ..
        } => {
            print!("{}", dialplan::FREESWITCH_INBOUND);
            Ok(())
        }
        Command::Show {
            what: What::Freeswitch,
            site,
        } => {
            print!("{}", render(config, site)?);
            Ok(())
        }
        Command::Install {
            what: Installable::Freeswitch,
            folder,
            force,
            site,
        } => {
            let text = render(config, site)?;
            let done = dialplan::install(&folder, &text, force).map_err(|error| {
                let exit = match error {
                    InstallError::NoFolder(_) | InstallError::Foreign(_) => Exit::Refused,
                    InstallError::Io { .. } => Exit::Failed,
                };
                Failure::new(exit, error)
            })?;
            match &done {
                Installed::Written(file) => println!("{} is written.", file.display()),
                Installed::Replaced { file, backup } => println!(
                    "{} is replaced; what it was is in {}.",
                    file.display(),
                    backup.display()
                ),
                Installed::Unchanged(file) => {
                    println!("{} is up to date, nothing was written.", file.display());
                }
            }
            println!(
                "Next: fs_cli -x reloadxml; `callhop doctor` then checks that the switch has it. Inbound calls: \
                 `callhop dialplan show freeswitch-inbound`."
            );
            Ok(())
        }
    }
}

fn render(config: &Config, site: Site) -> Result<String, Failure> {
    let names: Vec<&str> = config.freeswitch.iter().map(|s| s.name.as_str()).collect();
    let switch = match site.switch {
        Some(name) if names.contains(&name.as_str()) => name,
        Some(name) => {
            return Err(Failure::new(
                Exit::Refused,
                anyhow!("there is no switch {name}, only {}", names.join(", ")),
            ));
        }
        None => match config.freeswitch.as_slice() {
            [only] => only.name.clone(),
            _ => {
                return Err(Failure::new(
                    Exit::Usage,
                    anyhow!("which switch? --switch with one of {}", names.join(", ")),
                ));
            }
        },
    };
    let only_domain = || match config.domains.len() {
        1 => config.domains.keys().next().cloned(),
        _ => None,
    };
    let domain = site.domain.or_else(only_domain);
    Ok(dialplan::freeswitch(config, &switch, domain.as_ref()))
}

//! `callhop dialplan`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use callhop_calls::id::{Domain, SwitchName};
use clap::{Args, Subcommand, ValueEnum};

use super::{Done, Exit, Failure, output};
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
    /// FreeSWITCH: the extensions for star codes, for hunting and for pushes
    Freeswitch,
    /// FreeSWITCH: the three lines for the admin's own inbound extension
    FreeswitchInbound,
    /// Asterisk: the contexts for star codes, for hunting and for pushes
    Asterisk,
    /// Asterisk: the push codes, for features.conf
    AsteriskFeatures,
    /// Asterisk: the three lines for the admin's own inbound extension
    AsteriskInbound,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Installable {
    /// callhop.xml, into the folder that a context includes
    Freeswitch,
    /// callhop.conf and callhop_features.conf, beside extensions.conf
    Asterisk,
}

#[derive(Debug, Args)]
pub(super) struct Site {
    /// The switch, by its name in the configuration; needed if there are several
    #[arg(long, value_name = "NAME")]
    switch: Option<SwitchName>,
    /// The domain of calls that carry none; otherwise the only one there is, on FreeSWITCH else the switch's own
    #[arg(long)]
    domain: Option<Domain>,
}

pub(super) fn run(config: &Config, command: Command) -> Done {
    match command {
        Command::Show { what, site } => {
            let text = match what {
                What::Freeswitch => freeswitch(config, site)?,
                What::FreeswitchInbound => dialplan::FREESWITCH_INBOUND.to_owned(),
                What::Asterisk => asterisk(config, site)?,
                What::AsteriskFeatures => dialplan::asterisk_features(config),
                What::AsteriskInbound => dialplan::ASTERISK_INBOUND.to_owned(),
            };
            output::text(text)
        }
        Command::Install {
            what: Installable::Freeswitch,
            folder,
            force,
            site,
        } => {
            let text = freeswitch(config, site)?;
            install(&folder, dialplan::FREESWITCH_FILE, &text, force)?;
            output::line(
                "Next: fs_cli -x reloadxml; `callhop doctor` then checks that the switch has it. Inbound calls: \
                 `callhop dialplan show freeswitch-inbound`.",
            )
        }
        Command::Install {
            what: Installable::Asterisk,
            folder,
            force,
            site,
        } => {
            let text = asterisk(config, site)?;
            let features = dialplan::asterisk_features(config);
            install(&folder, dialplan::ASTERISK_FILE, &text, force)?;
            install(&folder, dialplan::ASTERISK_FEATURES_FILE, &features, force)?;
            output::line(format_args!(
                "Next: `#include {}` in extensions.conf, `include => callhop` in the context of the phones, \
                 `#include {}` at the end of [applicationmap] in features.conf; asterisk -rx 'dialplan reload', \
                 asterisk -rx 'module reload features'; `callhop doctor` then checks that the switch has it. Inbound \
                 calls: `callhop dialplan show asterisk-inbound`.",
                dialplan::ASTERISK_FILE,
                dialplan::ASTERISK_FEATURES_FILE
            ))
        }
    }
}

fn install(folder: &Path, name: &str, text: &str, force: bool) -> Done {
    let done = dialplan::install(folder, name, text, force).map_err(|error| {
        let exit = match error {
            InstallError::NoFolder(_) | InstallError::Foreign(_) => Exit::Refused,
            InstallError::Io { .. } => Exit::Failed,
        };
        Failure::new(exit, error)
    })?;
    match &done {
        Installed::Written(file) => output::line(format_args!("{} is written.", file.display())),
        Installed::Replaced { file, backup } => output::line(format_args!(
            "{} is replaced; what it was is in {}.",
            file.display(),
            backup.display()
        )),
        Installed::Unchanged(file) => output::line(format_args!(
            "{} is up to date, nothing was written.",
            file.display()
        )),
    }
}

fn freeswitch(config: &Config, site: Site) -> Result<String, Failure> {
    let names = config.freeswitch.iter().map(|switch| &switch.name);
    let at = chosen(names, site.switch)?;
    let only_domain = || match config.domains.len() {
        1 => config.domains.keys().next().cloned(),
        _ => None,
    };
    let domain = site.domain.or_else(only_domain);
    let switch = &config.freeswitch[at].name;
    Ok(dialplan::freeswitch(config, switch, domain.as_ref()))
}

fn asterisk(config: &Config, site: Site) -> Result<String, Failure> {
    let names = config.asterisk.iter().map(|switch| &switch.name);
    let switch = &config.asterisk[chosen(names, site.switch)?];
    let mut domains = switch.endpoints.patterns().map(|(domain, _)| domain);
    let domain = match (site.domain, domains.next(), domains.next()) {
        (Some(domain), ..) => domain,
        (None, Some(only), None) => only.clone(),
        _ => {
            return Err(Failure::new(
                Exit::Usage,
                anyhow!("the domain of calls that carry none? --domain"),
            ));
        }
    };
    Ok(dialplan::asterisk(config, switch, &domain))
}

/// Which of these switches is meant.
fn chosen<'a>(
    names: impl Iterator<Item = &'a SwitchName>,
    wanted: Option<SwitchName>,
) -> Result<usize, Failure> {
    let names: Vec<&SwitchName> = names.collect();
    let listed = || {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        names.join(", ")
    };
    match (wanted, names.len()) {
        (_, 0) => Err(Failure::new(
            Exit::Refused,
            anyhow!("the configuration has no switch of this kind"),
        )),
        (Some(wanted), _) => names
            .iter()
            .position(|name| **name == wanted)
            .ok_or_else(|| {
                let names = listed();
                Failure::new(
                    Exit::Refused,
                    anyhow!("there is no switch {wanted}, only {names}"),
                )
            }),
        (None, 1) => Ok(0),
        (None, _) => Err(Failure::new(
            Exit::Usage,
            anyhow!("which switch? --switch with one of {}", listed()),
        )),
    }
}

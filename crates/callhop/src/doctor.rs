//! What is right and wrong with an installation, and what cures it.
//!
//! Owns the list of checks. Changes nothing but one key of its own in mod_hash or AstDB, which it removes again.

mod asterisk;
mod freeswitch;
mod push;
mod webhook;

use std::time::Duration;

use callhop_calls::{directory::Extension, id::DeviceId};
use callhop_store::{OpenError, Options};
use serde::Serialize;

use crate::config::Config;

/// How many devices are looked up on each switch: a wrong domain shows in the first ones.
const MAX_DEVICES: usize = 50;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It may be meant like this, or could not be looked at.
    Doubtful,
    /// Something of Callhop does not work.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What was looked at: `configuration`, `store`, `controller`, a switch by its name, or `<switch>/<profile>`.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What cures it, in one sentence; `None` for what is good.
    pub cure: Option<String>,
}

impl Finding {
    fn good(subject: &str, what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            subject: subject.to_owned(),
            what: what.into(),
            cure: None,
        }
    }

    fn doubtful(subject: &str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Doubtful,
            subject: subject.to_owned(),
            what: what.into(),
            cure: Some(cure.into()),
        }
    }

    fn broken(subject: &str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Broken,
            ..Self::doubtful(subject, what, cure)
        }
    }
}

/// Looks at everything that the configuration names.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let (found, devices) = store(config).await;
    let mut findings = push::toll(config);
    findings.extend(push::short_codes(config));
    findings.extend([found, controller(config)]);
    findings.extend(webhook::examine(config).await);
    for each in &config.freeswitch {
        findings.extend(freeswitch::examine(config, each, &devices).await);
    }
    for each in &config.asterisk {
        findings.extend(asterisk::examine(config, each, &devices).await);
    }
    findings
}

/// The store, and some of the devices in it.
async fn store(config: &Config) -> (Finding, Vec<DeviceId>) {
    let subject = "store";
    match callhop_store::open(config.store.url.reveal(), Options::default()).await {
        Ok(store) => match store.load().await {
            Ok(all) => {
                let devices = all.extensions.iter().flat_map(Extension::device_ids);
                let count = all.extensions.len();
                let what = format!("{} answers, {count} extensions", store.location());
                let found = if count == 0 {
                    Finding::doubtful(
                        subject,
                        what,
                        "callhop extension add 1000@example.com --device 1001",
                    )
                } else {
                    Finding::good(subject, what)
                };
                (found, devices.take(MAX_DEVICES).collect())
            }
            Err(error) => (
                Finding::broken(subject, chain(error), "look at the database's log"),
                Vec::new(),
            ),
        },
        Err(error) => {
            let cure = match &error {
                OpenError::Url { .. } => "correct url in [store]",
                OpenError::Unavailable { .. } => {
                    "start the database, or correct url in [store] and the access rights"
                }
                OpenError::Newer { .. } => "start the newer program",
                OpenError::Migrate { .. } => {
                    "play in a backup, or give the user of the database the right to change its \
                     tables"
                }
            };
            (Finding::broken(subject, chain(error), cure), Vec::new())
        }
    }
}

fn controller(config: &Config) -> Finding {
    let subject = "controller";
    let url = format!("http://{}/healthz", config.http.listen);
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(2)))
        .proxy(None)
        .build()
        .new_agent();
    match agent.get(&url).call() {
        Ok(_) => Finding::good(subject, format!("runs and answers at {url}")),
        Err(error) => Finding::broken(
            subject,
            format!("{url}: {error}"),
            "start it with `callhop run`, or correct listen in [http] if it listens elsewhere",
        ),
    }
}

/// An error with everything behind it.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

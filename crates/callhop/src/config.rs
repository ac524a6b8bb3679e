//! What the admin configures: `callhop.toml`, every key with a default, overridden by the environment.
//!
//! Owns the names of the keys, their defaults and their checks. Refuses a file with an unknown key, a wrong type or
//! codes that cannot be told apart, and says all of that at once, each with its key and its line.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use callhop_calls::id::{Domain, SwitchName};
use serde::Serialize;

mod default;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where extensions, routes and the audit trail are kept.
    pub store: Store,
    /// Where switches and the command line ask.
    pub http: Http,
    /// The switches, at least one, names are unique.
    pub freeswitch: Vec<Freeswitch>,
    /// The star codes of every domain that has none of its own.
    pub features: Features,
    /// What differs in one domain. Ask [`Config::domain`] instead of reading this.
    pub domains: BTreeMap<Domain, DomainSettings>,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// What counts in `domain`: its own settings, or the defaults.
    #[must_use]
    pub fn domain(&self, domain: &Domain) -> DomainSettings {
        self.domains
            .get(domain)
            .cloned()
            .unwrap_or_else(|| DomainSettings::new(self.features.clone()))
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// `sqlite://file` or `postgres://user:password@host/database`.
    pub url: Secret,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Always a loopback address: nothing that is asked here needs a password.
    pub listen: SocketAddr,
}

/// `[[freeswitch]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freeswitch {
    /// How Callhop calls this switch, also in the address that its dialplan asks.
    pub name: SwitchName,
    /// `host:port` of its event socket.
    pub address: String,
    /// The event socket's password.
    pub password: Secret,
}

/// `[features]`: what is dialled for each function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Take over a call; a device's number may follow.
    pub pull: String,
    /// Calls ring only here.
    pub route_here: String,
    /// Calls ring only at the number that follows.
    pub route_to: String,
    /// Calls ring everywhere again.
    pub route_reset: String,
}

/// `[domains."example.com"]`, with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainSettings {
    /// What rings when the device of a route is not registered.
    pub unregistered: Unregistered,
    /// Whether calls may be routed to a colleague's extension.
    pub colleagues: bool,
    /// The star codes of this domain.
    pub features: Features,
}

/// What rings when the device that a route names is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unregistered {
    /// Only that device: the caller goes where the dialplan sends a call that nobody answers.
    Strict,
    /// Every device of the extension.
    RingAll,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// For people or for a collector.
    pub format: LogFormat,
    /// A level, or a filter such as `info,callhop_esl=debug`.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that is never printed: neither by `Debug` nor when serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("(hidden)")
    }
}

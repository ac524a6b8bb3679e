//! What the admin configures: `callhop.toml`, every key with a default, overridden by the environment.
//!
//! Owns the names of the keys, their defaults and their checks. Refuses a file with an unknown key, a wrong type or codes
//! that cannot be told apart, and says all of that at once, each with its key and its line.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use callhop_calls::{
    id::{Domain, SwitchName},
    push::PushPolicy,
    routing::Policy,
    star::Features,
};

mod default;
mod document;
mod endpoints;
mod load;
mod public;
mod push;
mod show;
#[cfg(test)]
mod tests;
mod webhooks;

pub use document::{Environment, Origin, Problem};
pub use endpoints::Endpoints;
pub use load::{LoadError, Loaded, load, read};

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where extensions, routes and the audit trail are kept.
    pub store: Store,
    /// Where switches and the command line ask.
    pub http: Http,
    /// The switches that are FreeSWITCH. Of both kinds together there is at least one, and names are unique.
    pub freeswitch: Vec<Freeswitch>,
    /// The switches that are Asterisk.
    pub asterisk: Vec<Asterisk>,
    /// The star codes of every domain that has none of its own.
    pub features: Features,
    /// How calls are pushed in every domain that does not differ.
    pub push: PushPolicy,
    /// What differs in one domain. Ask [`Config::policy`] instead of reading this.
    pub domains: BTreeMap<Domain, Policy>,
    /// What is logged, and how.
    pub log: Log,
    /// Who is told of moves and route changes.
    pub webhooks: Vec<Webhook>,
}

impl Config {
    /// All switches: their names, and where they are.
    pub fn switches(&self) -> impl Iterator<Item = (&SwitchName, &str)> {
        let freeswitch = self
            .freeswitch
            .iter()
            .map(|s| (&s.name, s.address.as_str()));
        freeswitch.chain(self.asterisk.iter().map(|s| (&s.name, s.address.as_str())))
    }

    /// What counts in `domain`: its own settings, or the defaults.
    #[must_use]
    pub fn policy(&self, domain: &Domain) -> Policy {
        self.domains
            .get(domain)
            .cloned()
            .unwrap_or_else(|| self.default_policy())
    }

    /// What counts in a domain that has no settings of its own.
    #[must_use]
    pub fn default_policy(&self) -> Policy {
        Policy {
            features: self.features.clone(),
            push: self.push.clone(),
            ..Policy::default()
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `sqlite://file` or `postgres://user:password@host/database`.
    pub url: Secret,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Always a loopback address: dialplans ask here without a password, and reading needs no token.
    pub listen: SocketAddr,
    /// Where programs and people of other machines ask, if they may.
    pub public: Option<Public>,
}

/// `[http.public]`: the API and the page, with a token for everything; no dialplan asks here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Any address.
    pub listen: SocketAddr,
    /// The names under which a browser may ask, beside the address itself; in lower case.
    pub names: Vec<String>,
    /// What TLS needs. `None` only if the admin says so: a proxy in front of Callhop does it.
    pub tls: Option<TlsFiles>,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[[freeswitch]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeswitch {
    /// How Callhop calls this switch, also in the address that its dialplan asks.
    pub name: SwitchName,
    /// `host:port` of its event socket.
    pub address: String,
    /// The event socket's password.
    pub password: Secret,
    /// A context of its dialplan that includes `callhop.xml`: there the legs of a push wait.
    pub context: String,
    /// How it dials a number that `push.allow` allows, with `{number}` in it. There is one if any domain allows a number.
    pub outside: Option<String>,
}

/// `[[asterisk]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asterisk {
    /// How Callhop calls this switch, also in the address that its dialplan asks.
    pub name: SwitchName,
    /// `host:port` of its manager interface.
    pub address: String,
    /// The user of manager.conf.
    pub username: String,
    /// That user's secret.
    pub secret: Secret,
    /// Whether the manager interface is spoken to by TLS.
    pub tls: bool,
    /// The certificate authority of the switch, if it is none that this machine knows.
    pub tls_ca: Option<PathBuf>,
    /// Which of its PJSIP endpoints are which devices.
    pub endpoints: Endpoints,
    /// The context in which the fallback of a push is dialled, where it names none.
    pub context: String,
    /// How it dials a number that `push.allow` allows, with `{number}` in it.
    pub outside: Option<String>,
}

/// `[[webhook]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it is called in logs, metrics and the database. It obeys the rules of a switch's name.
    pub name: SwitchName,
    /// Where it is.
    pub url: axum::http::Uri,
    /// What it is signed with, as Standard Webhooks writes it.
    pub secret: Secret,
    /// Of what it is told.
    pub events: Vec<WebhookEvent>,
    /// Of whose extensions; of all if there is none.
    pub domains: Vec<Domain>,
}

/// Of what a webhook can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// Moves that have ended.
    Move,
    /// Routes that were set or reset, or have ended.
    Route,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Move, Self::Route];

    /// The word that is written for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Route => "route",
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For people or for a collector.
    pub format: LogFormat,
    /// A level, or a filter such as `info,callhop_esl=debug`.
    pub level: String,
    /// How much of a phone's number is shown.
    pub numbers: LogNumbers,
}

/// How much of a number, an extension or a device a log line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogNumbers {
    /// All of it.
    Full,
    /// Its last three characters, if it has more.
    Last3,
    /// Nothing.
    Hidden,
}

impl LogNumbers {
    /// The word for it in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Last3 => "last3",
            Self::Hidden => "hidden",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that is never printed.
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

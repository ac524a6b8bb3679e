//! What counts for a key that nobody set.

use std::net::{Ipv4Addr, SocketAddr};

use super::{
    Config, DomainSettings, Features, Freeswitch, Http, Log, LogFormat, Secret, Store, Unregistered,
};

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Store::default(),
            http: Http::default(),
            freeswitch: vec![Freeswitch::default()],
            features: Features::default(),
            domains: Default::default(),
            log: Log::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: Secret::new("sqlite://callhop.db"),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8085)),
        }
    }
}

impl Default for Freeswitch {
    /// What a switch listens on and asks for when it was just installed
    /// (FreeSWITCH, `conf/vanilla/autoload_configs/event_socket.conf.xml`).
    #[allow(clippy::expect_used)] // the name is a constant
    fn default() -> Self {
        Self {
            name: "freeswitch".parse().expect("a word is a switch name"),
            address: "127.0.0.1:8021".to_owned(),
            password: Secret::new("ClueCon"),
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self {
            pull: "*33".to_owned(),
            route_here: "*50".to_owned(),
            route_to: "*49".to_owned(),
            route_reset: "*51".to_owned(),
        }
    }
}

impl DomainSettings {
    /// The defaults of a domain that uses these codes.
    #[must_use]
    pub fn new(features: Features) -> Self {
        Self {
            unregistered: Unregistered::Strict,
            colleagues: true,
            features,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

//! What counts for a key that nobody set.

use std::net::{Ipv4Addr, SocketAddr};

use callhop_calls::{push::PushPolicy, star::Features};

use super::{
    Asterisk, Config, Endpoints, Freeswitch, Http, Log, LogFormat, LogNumbers, Secret, Store,
};

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Store::default(),
            http: Http::default(),
            freeswitch: vec![Freeswitch::default()],
            asterisk: Vec::new(),
            features: Features::default(),
            push: PushPolicy::default(),
            domains: Default::default(),
            log: Log::default(),
            webhooks: Vec::new(),
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
            public: None,
        }
    }
}

impl Default for Freeswitch {
    /// What a switch listens on and asks for when it was just installed
    /// (FreeSWITCH, `conf/vanilla/autoload_configs/event_socket.conf.xml`), and the context of its phones
    /// (`conf/vanilla/directory/default/`).
    #[allow(clippy::expect_used)] // the name is a constant
    fn default() -> Self {
        Self {
            name: "freeswitch".parse().expect("a word is a switch name"),
            address: "127.0.0.1:8021".to_owned(),
            password: Secret::new("ClueCon"),
            context: "default".to_owned(),
            outside: None,
        }
    }
}

impl Default for Asterisk {
    /// What a manager interface listens on when it was just enabled (Asterisk, `configs/samples/manager.conf.sample`). It has
    /// no user of its own.
    #[allow(clippy::expect_used)] // the name is a constant
    fn default() -> Self {
        Self {
            name: "asterisk".parse().expect("a word is a switch name"),
            address: "127.0.0.1:5038".to_owned(),
            username: "callhop".to_owned(),
            secret: Secret::new(""),
            tls: false,
            tls_ca: None,
            endpoints: Endpoints::default(),
            context: "default".to_owned(),
            outside: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            numbers: LogNumbers::Full,
        }
    }
}

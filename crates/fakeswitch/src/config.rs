//! What a test or the demo can choose.

use std::{collections::BTreeMap, time::Duration};

/// How the fake behaves. Every field has a default that suits a test: short tones, no faults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port of the event socket on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Password of the event socket.
    pub password: String,
    /// The switch's name, in events (`FreeSWITCH-Switchname`) and in the questions to the controller.
    pub switch_name: String,
    /// Domain of calls from outside when the dialled number names none.
    pub domain: String,
    /// Realm of the digest challenge. Not the domain: on the measured switch it was the address.
    pub challenge_realm: String,
    /// `host:port` of the controller that the dialplan asks; without one the question fails at once.
    pub controller: Option<String>,
    /// How long a question to the controller may take: the dialplan's `timeout 1`.
    pub ask_timeout: Duration,
    /// The admin's extensions, behind the star codes; the first that fits is taken.
    pub dialplan: Vec<Extension>,
    /// What a number that is dialled from outside begins with, and the domain in which the rest of it is looked for.
    /// Longest first.
    pub public: Vec<(String, String)>,
    /// What a number that goes outside begins with, and the outside line that it reaches. Where none fits, the line that
    /// has the number itself.
    pub trunks: Vec<(String, String)>,
    /// Devices of the directory (`number@domain`) that exist without ever having registered.
    pub devices: Vec<String>,
    /// Star codes after which a number may follow.
    pub codes_with_number: Vec<String>,
    /// Star codes that stand alone.
    pub codes_alone: Vec<String>,
    /// How long a phone that answers at once takes to do so. A controller that prepares a leg while it rings needs some
    /// of it.
    pub answer_delay: Duration,
    /// Time between two digits that a phone sends.
    pub digit_gap: Duration,
    /// How long the switch waits for the rest of a code: `bind_digit_digit_timeout`, 1500 ms by default (facts page,
    /// section 2).
    pub bind_digit_timeout: Duration,
    /// Length of one beat of who pushes, silent: after it the dialplan asks again.
    pub beat_wait: Duration,
    /// The same with the ringing tone.
    pub beat_ring: Duration,
    /// Length of one round of the hold sound: `playback_timeout_sec` and the second behind it.
    pub hold_round: Duration,
    /// How long a bridge rings (`call_timeout`).
    pub ring_timeout: Duration,
    /// Length of the confirmation and of the refusal tone.
    pub tone: Duration,
    /// Time between `intercept` and the new bridge; some 40 ms on a real switch (facts page, section 1).
    pub bridge_step: Duration,
    /// How long `intercept` with `transfer_ringback` waits for an answer: the dialplan's `call_timeout`.
    pub answer_timeout: Duration,
    /// Time between two HEARTBEAT events.
    pub heartbeat: Duration,
    /// How far the tables of `show` lag behind the calls: new channels are not in them yet, ended ones still are. 187 ms
    /// was seen on a real switch (facts page, section 4).
    pub table_lag: Duration,
    /// Whether the inbound extension goes on to voicemail when every device refused (`continue_on_fail`).
    pub continue_on_fail: bool,
    /// Replies that replace or add to the built-in API, keyed by the whole command (`xml_locate dialplan`).
    pub canned: BTreeMap<String, String>,
    /// Modules that `module_exists` knows.
    pub modules: Vec<String>,
    /// What goes wrong on the event socket from the start.
    pub faults: Faults,
    /// Seed of everything that is left to chance: UUIDs, order of events, faults.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Self {
            port: 0,
            password: "ClueCon".to_owned(),
            switch_name: "lab".to_owned(),
            domain: "lab.test".to_owned(),
            challenge_realm: "127.0.0.1".to_owned(),
            controller: None,
            ask_timeout: Duration::from_secs(1),
            dialplan: vec![
                Extension::new(
                    "lab.test",
                    Pattern::Number("1000".to_owned()),
                    Action::Inbound(
                        "user/1001@lab.test,user/1002@lab.test,user/1003@lab.test".to_owned(),
                    ),
                ),
                Extension::new("", Pattern::Number("7000".to_owned()), Action::Announcement),
                Extension::new(
                    "",
                    Pattern::Prefix("0".to_owned()),
                    Action::Bridge("sofia/external/${rest}@127.0.0.1:5090".to_owned()),
                ),
                Extension::new(
                    "",
                    Pattern::Device,
                    Action::Bridge("user/${number}@${domain}".to_owned()),
                ),
            ],
            public: Vec::new(),
            trunks: Vec::new(),
            devices: Vec::new(),
            codes_with_number: strings(&["*33", "*49"]),
            codes_alone: strings(&["*50", "*51"]),
            answer_delay: Duration::ZERO,
            digit_gap: Duration::from_millis(100),
            bind_digit_timeout: Duration::from_millis(1500),
            beat_wait: Duration::from_secs(1),
            beat_ring: Duration::from_secs(2),
            hold_round: Duration::from_secs(31),
            ring_timeout: Duration::from_secs(15),
            tone: Duration::from_millis(60),
            bridge_step: Duration::from_millis(5),
            answer_timeout: Duration::from_secs(180),
            heartbeat: Duration::from_secs(20),
            table_lag: Duration::ZERO,
            continue_on_fail: true,
            canned: BTreeMap::new(),
            modules: strings(&[
                "mod_commands",
                "mod_curl",
                "mod_dialplan_xml",
                "mod_dptools",
                "mod_event_socket",
                "mod_hash",
                "mod_sofia",
                "mod_tone_stream",
            ]),
            faults: Faults::default(),
            seed: 1,
        }
    }
}

/// One extension of the admin's dialplan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The domain whose callers find it; empty: all do.
    pub domain: String,
    /// The numbers that it is for.
    pub number: Pattern,
    /// What it does.
    pub action: Action,
}

impl Extension {
    /// An extension.
    #[must_use]
    pub fn new(domain: &str, number: Pattern, action: Action) -> Self {
        Self {
            domain: domain.to_owned(),
            number,
            action,
        }
    }
}

/// Which numbers an extension is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This one.
    Number(String),
    /// All that begin so; what follows is `${rest}`.
    Prefix(String),
    /// Every device of the caller's domain.
    Device,
}

/// What an extension does. In dial strings `${number}`, `${rest}` and `${domain}` stand for what was dialled, what follows
/// the prefix, and the caller's domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The three lines of the product with this `callhop_default`, and voicemail behind them.
    Inbound(String),
    /// A plain `bridge`.
    Bridge(String),
    /// A queue: answers at once, plays music, and rings.
    Queue(String),
    /// An announcement: a far end that is nobody.
    Announcement,
    /// A conference with nobody else in it.
    Conference,
    /// Parks the caller.
    Park,
    /// `intercept` of the channel whose UUID follows the prefix, without `transfer_ringback`.
    Intercept,
}

/// What goes wrong on the event socket. Events only, unless a field says otherwise; replies are never lost or doubled,
/// because TCP and the switch do not do that either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Events wait this long before they are written, together with what came meanwhile. The real switch looks into
    /// its queue every 20 ms.
    pub delay: Duration,
    /// Events that are never sent, in a thousand.
    pub drop_per_mille: u16,
    /// Events that are sent twice, in a thousand.
    pub duplicate_per_mille: u16,
    /// Among this many events in flight the order is left to chance; 0 and 1 keep it. A window that is not full is
    /// flushed after 5 ms.
    pub reorder_window: usize,
    /// At most this many bytes are written at once, with a millisecond between two writes; 0 means as fast as it goes.
    pub slow_bytes: usize,
    /// Commands are carried out, but their replies never come.
    pub mute_replies: bool,
}

/// What becomes of the registrations when the switch restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registrations {
    /// They were in a database that survived.
    Keep,
    /// They are gone until the phones register again.
    Lose,
}

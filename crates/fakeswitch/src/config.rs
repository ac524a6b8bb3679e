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
    /// Extensions of the dialplan: `number@domain` and the dial string of `callhop_default`.
    pub extensions: BTreeMap<String, String>,
    /// Devices of the directory (`number@domain`) that exist without ever having registered.
    pub devices: Vec<String>,
    /// Numbers that an announcement answers: a far end that is nobody.
    pub announcements: Vec<String>,
    /// Prefixes of star codes.
    pub star_codes: Vec<String>,
    /// How long a bridge rings (`call_timeout`).
    pub ring_timeout: Duration,
    /// Length of the confirmation and of the refusal tone.
    pub tone: Duration,
    /// Time between `intercept` and the new bridge; some 40 ms on a real switch (facts page, section 1).
    pub bridge_step: Duration,
    /// How long `intercept` with `transfer_ringback` waits for an answer (`call_timeout` of the new leg).
    pub answer_timeout: Duration,
    /// Time between two HEARTBEAT events.
    pub heartbeat: Duration,
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
            extensions: BTreeMap::from([(
                "1000@lab.test".to_owned(),
                "user/1001@lab.test,user/1002@lab.test,user/1003@lab.test".to_owned(),
            )]),
            devices: Vec::new(),
            announcements: strings(&["7000"]),
            star_codes: strings(&["*33", "*50", "*49", "*51"]),
            ring_timeout: Duration::from_secs(15),
            tone: Duration::from_millis(60),
            bridge_step: Duration::from_millis(5),
            answer_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(20),
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

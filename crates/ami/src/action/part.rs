//! The parts of actions that are words of Asterisk's own.

use std::fmt;
use std::net::SocketAddr;

use crate::word::{
    Aor, ChannelName, ContactUri, Context, DbKey, DialString, Endpoint, Exten, UserName, VarName,
    VarValue, Word,
};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// A class of events (`read` in manager.conf) or actions (`write`): `perms` in main/manager.c.
    Privilege {
        /// The switch as a whole, its modules and its database.
        System = "system",
        /// Channels and bridges.
        Call = "call",
        /// The log; read only.
        Log = "log",
        /// Verbose messages; read only.
        Verbose = "verbose",
        /// Queues and agents.
        Agent = "agent",
        /// User events.
        User = "user",
        /// Configuration files.
        Config = "config",
        /// The console; write only.
        Command = "command",
        /// Digits; read only.
        Dtmf = "dtmf",
        /// Statistics.
        Reporting = "reporting",
        /// Call records; read only.
        Cdr = "cdr",
        /// Variables and steps of the dialplan; read only.
        Dialplan = "dialplan",
        /// New calls; write only.
        Originate = "originate",
        /// AGI.
        Agi = "agi",
        /// Call completion; read only.
        Cc = "cc",
        /// Advice of charge.
        Aoc = "aoc",
        /// Tests; read only.
        Test = "test",
        /// Security events; read only.
        Security = "security",
        /// Messages out of calls; write only.
        Message = "message",
    }
}

/// Which classes of events a link gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventMask {
    /// None.
    Off,
    /// These. An empty list is none.
    Classes(Vec<Privilege>),
}

impl EventMask {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Classes(classes) if !classes.is_empty() => {
                let words: Vec<_> = classes.iter().map(|class| class.as_str()).collect();
                words.join(",")
            }
            Self::Classes(_) | Self::Off => "off".to_owned(),
        }
    }
}

words! {
    /// The state of a device (`devstate_types`, main/devicestate.c).
    DeviceState {
        /// Unknown.
        Unknown = "UNKNOWN",
        /// Free: the lamp is off.
        NotInUse = "NOT_INUSE",
        /// In a call: the lamp is on.
        InUse = "INUSE",
        /// Busy.
        Busy = "BUSY",
        /// No such device.
        Invalid = "INVALID",
        /// Not reachable.
        Unavailable = "UNAVAILABLE",
        /// Rings: the lamp blinks.
        Ringing = "RINGING",
        /// In a call and rings.
        RingInUse = "RINGINUSE",
        /// Holds.
        OnHold = "ONHOLD",
    }
}

words! {
    /// What `MuteAudio` mutes.
    MuteDirection {
        /// What the phone says.
        In = "in",
        /// What the phone hears.
        Out = "out",
        /// Both.
        All = "all",
    }
}

/// A hangup cause by its number (Q.850; include/asterisk/causes.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cause(u8);

impl Cause {
    /// 16: normal clearing.
    pub const NORMAL_CLEARING: Self = Self(16);
    /// 17: user busy.
    pub const USER_BUSY: Self = Self(17);
    /// 21: call rejected.
    pub const CALL_REJECTED: Self = Self(21);
    /// 26: answered elsewhere; a ringing phone shows no missed call.
    pub const ANSWERED_ELSEWHERE: Self = Self(26);

    /// A cause; `None` if it isn't from 1 to 127, as Q.850 has them.
    pub fn new(number: u8) -> Option<Self> {
        (1..=127).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// What `Setvar` and `DBPut` write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One argument.
    Plain(VarValue),
    /// Whom to ring.
    Dial(DialString),
}

impl Value {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(value) => value.as_str(),
            Self::Dial(value) => value.as_str(),
        }
    }
}

impl From<VarValue> for Value {
    fn from(value: VarValue) -> Self {
        Self::Plain(value)
    }
}

impl From<DialString> for Value {
    fn from(value: DialString) -> Self {
        Self::Dial(value)
    }
}

/// Which events are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Those of this name. An event of another name that quotes this one's first line comes, too.
    Only(Word),
    /// Those in which no line begins another event.
    ///
    /// A caller may write `%0d%0a` into the number that it dials or into its own, and Asterisk prints both as they are (22.10,
    /// measured, without any authentication): so anybody could put whole events into this link. The filter is looked for in an event
    /// before it is sent, so such a one is not sent at all.
    NoneInside,
}

impl EventFilter {
    /// As `match_filter` of main/manager.c reads it: a POSIX regular expression that is looked for in the whole event, `!` in front of
    /// one that must not be found.
    pub(super) fn text(&self) -> String {
        match self {
            // Without its end `Hangup` would let `HangupRequest` through. The newer `MatchCriteria` names one event exactly, but
            // switches before 20.10 don't know it, and 22.10 refuses it beside a `Filter`.
            Self::Only(event) => format!("Event: {event}[^A-Za-z]"),
            // The event's own first line has nothing in front.
            Self::NoneInside => {
                "![[:cntrl:]][[:space:]]*[Ee][Vv][Ee][Nn][Tt][[:space:]]*:".to_owned()
            }
        }
    }
}

/// What `Getvar` reads: a variable, or one of these functions. `DB(...)` is none of them: Asterisk refuses to read it so (`Dangerous
/// function`, main/pbx_functions.c) and gives an empty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// A variable.
    Name(VarName),
    /// `CHANNEL(endpoint)`: who a PJSIP channel is.
    ChannelEndpoint,
    /// `CHANNEL(linkedid)`.
    ChannelLinkedid,
    /// `CHANNEL(onhold)`: 1 on the side that is held.
    ChannelOnhold,
    /// `CHANNEL(state)`.
    ChannelState,
    /// `CHANNEL(pjsip,call-id)`: the Call-ID of the phone's dialog.
    ChannelCallId,
    /// `CHANNEL(pjsip,remote_addr)`: the address and port of the phone.
    ChannelRemoteAddress,
    /// `CALLERID(num)`.
    CallerNumber,
    /// `CALLERID(name)`.
    CallerName,
    /// `CONNECTEDLINE(num)`: what the phone shows.
    ConnectedNumber,
    /// `CONNECTEDLINE(name)`.
    ConnectedName,
    /// `DEVICE_STATE(PJSIP/<endpoint>)`.
    EndpointState(Endpoint),
    /// `DEVICE_STATE(Custom:<name>)`.
    CustomState(Word),
    /// `PJSIP_DIAL_CONTACTS(<endpoint>)`: all contacts of an endpoint as a dial string; empty if there are none.
    DialContacts(Endpoint),
    /// `PJSIP_ENDPOINT(<endpoint>,<field>)`: a setting of an endpoint, such as `context` or `set_var`.
    EndpointSetting(Endpoint, VarName),
    /// `PJSIP_AOR(<aor>,<field>)`: a setting of an address of record, such as `max_contacts`.
    AorSetting(Aor, VarName),
    /// `FEATURE(<option>)`: a setting of features.conf, such as `featuredigittimeout` (in milliseconds).
    Feature(VarName),
    /// `FEATUREMAP(<feature>)`: the digits of a feature that Asterisk has itself; empty if it has none. Those of the
    /// `applicationmap` are not found so.
    FeatureMap(VarName),
    /// `CURL(http://<address>/<path>)`: what the switch is answered there; empty if it gets no answer. The link waits for it.
    Curl(SocketAddr, Word),
    /// `DIALPLAN_EXISTS(<context>,<exten>,1)`: 1 or 0.
    DialplanExists(Context, Exten),
    /// `AMI_CLIENT(<user>,sessions)`: how many sessions the user has; empty if there is no such user. 0 was seen for one that had
    /// none.
    ManagerSessions(UserName),
}

impl Variable {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::ChannelEndpoint => "CHANNEL(endpoint)".to_owned(),
            Self::ChannelLinkedid => "CHANNEL(linkedid)".to_owned(),
            Self::ChannelOnhold => "CHANNEL(onhold)".to_owned(),
            Self::ChannelState => "CHANNEL(state)".to_owned(),
            Self::ChannelCallId => "CHANNEL(pjsip,call-id)".to_owned(),
            Self::ChannelRemoteAddress => "CHANNEL(pjsip,remote_addr)".to_owned(),
            Self::CallerNumber => "CALLERID(num)".to_owned(),
            Self::CallerName => "CALLERID(name)".to_owned(),
            Self::ConnectedNumber => "CONNECTEDLINE(num)".to_owned(),
            Self::ConnectedName => "CONNECTEDLINE(name)".to_owned(),
            Self::EndpointState(endpoint) => format!("DEVICE_STATE(PJSIP/{endpoint})"),
            Self::CustomState(name) => format!("DEVICE_STATE(Custom:{name})"),
            Self::DialContacts(endpoint) => format!("PJSIP_DIAL_CONTACTS({endpoint})"),
            Self::EndpointSetting(endpoint, field) => {
                format!("PJSIP_ENDPOINT({endpoint},{field})")
            }
            Self::AorSetting(aor, field) => format!("PJSIP_AOR({aor},{field})"),
            Self::Feature(option) => format!("FEATURE({option})"),
            Self::FeatureMap(feature) => format!("FEATUREMAP({feature})"),
            Self::Curl(address, path) => format!("CURL(http://{address}/{path})"),
            Self::DialplanExists(context, exten) => {
                format!("DIALPLAN_EXISTS({context},{exten},1)")
            }
            Self::ManagerSessions(user) => format!("AMI_CLIENT({user},sessions)"),
        }
    }
}

impl From<VarName> for Variable {
    fn from(name: VarName) -> Self {
        Self::Name(name)
    }
}

/// A place in the dialplan; always its first step, so that no channel begins in the midst of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goto {
    /// The context.
    pub context: Context,
    /// The extension.
    pub exten: Exten,
}

/// Whom an `Originate` rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialTo {
    /// `PJSIP/<endpoint>`: the endpoint's first contact.
    Endpoint(Endpoint),
    /// `PJSIP/<endpoint>/<uri>`: this contact.
    Contact(Endpoint, ContactUri),
    /// `Local/<exten>@<context>`, with `/n` so that it stays in the call.
    Local(Goto),
}

impl DialTo {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Endpoint(endpoint) => format!("PJSIP/{endpoint}"),
            Self::Contact(endpoint, uri) => format!("PJSIP/{endpoint}/{uri}"),
            Self::Local(to) => format!("Local/{}@{}/n", to.exten, to.context),
        }
    }
}

/// What an originated channel does once it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Goes on in the dialplan.
    Goto(Goto),
    /// Runs one application; its channel ends with it.
    Run(Application),
}

/// The applications that an originated channel may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Application {
    /// `Bridge(<channel>)`: takes the channel out of what it is in; the call completes by itself, also if we are gone by then.
    Bridge(ChannelName),
    /// `Wait(<seconds>)`.
    Wait(u16),
}

impl Application {
    pub(super) fn words(&self) -> (&'static str, String) {
        match self {
            Self::Bridge(channel) => ("Bridge", channel.to_string()),
            Self::Wait(seconds) => ("Wait", seconds.to_string()),
        }
    }
}

/// The lines of the console that may be asked for: they change nothing and show no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleCommand {
    /// `core show version`.
    CoreShowVersion,
    /// `dialplan show <context>`; refused if there is no such context.
    DialplanShow(Context),
    /// `module show like <module>`; `0 modules loaded` if there is none.
    ModuleShowLike(Word),
    /// `features show`.
    FeaturesShow,
    /// `manager show user <user>`: its permissions; `There is no manager called <user>` is an answer, too.
    ManagerShowUser(UserName),
    /// `manager show settings`.
    ManagerShowSettings,
    /// `pjsip show endpoint <endpoint>`; `Unable to find object` is an answer, too.
    PjsipShowEndpoint(Endpoint),
    /// `pjsip show contacts`.
    PjsipShowContacts,
    /// `pjsip show aor <endpoint>`.
    PjsipShowAor(Endpoint),
    /// `pjsip show channels`.
    PjsipShowChannels,
    /// `database show <family>`.
    DatabaseShow(DbKey),
    /// `core show hints`.
    CoreShowHints,
}

impl ConsoleCommand {
    pub(super) fn text(&self) -> String {
        match self {
            Self::CoreShowVersion => "core show version".to_owned(),
            Self::DialplanShow(context) => format!("dialplan show {context}"),
            Self::ModuleShowLike(module) => format!("module show like {module}"),
            Self::FeaturesShow => "features show".to_owned(),
            Self::ManagerShowUser(user) => format!("manager show user {user}"),
            Self::ManagerShowSettings => "manager show settings".to_owned(),
            Self::PjsipShowEndpoint(endpoint) => format!("pjsip show endpoint {endpoint}"),
            Self::PjsipShowContacts => "pjsip show contacts".to_owned(),
            Self::PjsipShowAor(aor) => format!("pjsip show aor {aor}"),
            Self::PjsipShowChannels => "pjsip show channels".to_owned(),
            Self::DatabaseShow(family) => format!("database show {family}"),
            Self::CoreShowHints => "core show hints".to_owned(),
        }
    }
}

//! What can be asked of the switch, and the one encoder that makes bytes of it.
//!
//! ```text
//! action = "Action: " name CRLF "ActionID: " id CRLF *(header CRLF) CRLF       (get_input, do_message, main/manager.c)
//! header = name ":" SP value
//! ```
//!
//! Two walls stand between a text from outside and the switch: the argument types of [`crate::word`] refuse what is not on their
//! list, and the encoder refuses CR, LF and NUL in whatever it is given, because a line feed alone would begin another header.
//! It also refuses what Asterisk can't read: a line above [`MAX_LINE`] and more than [`MAX_HEADERS`] lines.

mod encode;
mod part;

pub use encode::EncodeError;
pub use part::{
    Application, Cause, ConsoleCommand, DeviceState, DialTo, EventFilter, EventMask, Goto,
    MuteDirection, Privilege, Then, Value, Variable,
};

use crate::secret::Secret;
use crate::word::{
    ChannelName, Context, DbKey, Digit, Endpoint, Exten, FieldName, UniqueId, UserName, VarName,
    VarValue, Word,
};

/// The longest line that Asterisk reads, in octets without CRLF: its buffer has 1025 (`inbuf` of struct mansession). 1020 were
/// read and 1024 were not by 22.10.
pub const MAX_LINE: usize = 1020;

/// The most headers of an action (AST_MAX_MANHEADERS).
pub const MAX_HEADERS: usize = 128;

/// Everything that we say on a manager link. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `Challenge`: asks for the text that is hashed with the secret.
    Challenge,
    /// `Login` with the secret itself.
    Login {
        /// The user of manager.conf.
        user: UserName,
        /// Its secret.
        secret: Secret,
        /// What is sent from then on.
        events: EventMask,
    },
    /// `Login` with `AuthType: MD5`: the secret doesn't leave us.
    LoginMd5 {
        /// The user of manager.conf.
        user: UserName,
        /// Its secret.
        secret: Secret,
        /// What `Challenge` gave.
        challenge: Word,
        /// What is sent from then on.
        events: EventMask,
    },
    /// `Logoff`: the switch says goodbye and closes.
    Logoff,
    /// `Ping`.
    Ping,
    /// `Events`: which classes of events are sent from now on. Classes that the user may not read are left out silently.
    Events(EventMask),
    /// `Filter`: which events are sent, in addition to what was asked before. There is no way back.
    Filter(EventFilter),
    /// `CoreStatus`: when the switch was started, and how many calls there are.
    CoreStatus,
    /// `CoreSettings`: versions and limits.
    CoreSettings,
    /// `ListCommands`: which actions this user may use; each is a header of the answer.
    ListCommands,
    /// `ModuleCheck`: refused (`Module not loaded`) if it is not.
    ModuleCheck {
        /// Its name without `.so`.
        module: Word,
    },
    /// `ShowDialPlan`: all contexts, steps and includes. A list.
    ShowDialplan,
    /// `CoreShowChannels`: all channels. A list.
    CoreShowChannels,
    /// `Status`: one channel, or all of them, with variables of each. A list.
    Status {
        /// The channel; all without.
        channel: Option<ChannelName>,
        /// Variables; each comes as a `Variable: name=value`. Asterisk holds the channel while it reads them, so those that ask
        /// the channel's driver ([`Variable::ChannelRemoteAddress`]) belong into a `Getvar`.
        variables: Vec<Variable>,
    },
    /// `Getvar`: `Value` in the answer; empty if there is no such variable, and then nobody can tell the two apart.
    Getvar {
        /// The channel; a global variable without.
        channel: Option<ChannelName>,
        /// The variable or function.
        variable: Variable,
    },
    /// `Setvar`.
    Setvar {
        /// The channel; a global variable without.
        channel: Option<ChannelName>,
        /// The variable.
        name: VarName,
        /// Its new value; empty unsets it.
        value: Value,
    },
    /// `Setvar` of `DEVICE_STATE(Custom:<name>)`: the lamp of a hint on that device.
    SetDeviceState {
        /// The name behind `Custom:`, which Asterisk keeps as a key of the family `CustomDevstate`.
        name: DbKey,
        /// Its state.
        state: DeviceState,
    },
    /// `Redirect`: a channel goes on elsewhere; with `extra` two do so at once, which is the only way to take a bridge apart
    /// without a hangup.
    ///
    /// The answer is `Success` also if there is no such extension, and then **the channel is hung up** (22.10): ask for
    /// [`Variable::DialplanExists`] before. A second one right behind the first is refused (`channel not up`).
    Redirect {
        /// The channel.
        channel: ChannelName,
        /// Where it goes.
        to: Goto,
        /// The other one, and where that goes.
        extra: Option<(ChannelName, Goto)>,
    },
    /// `Hangup`.
    Hangup {
        /// The channel.
        channel: ChannelName,
        /// Why.
        cause: Cause,
    },
    /// `Bridge`: joins two channels, taking each out of whatever it is in. Its dialplan is gone afterwards.
    Bridge {
        /// The one.
        channel: ChannelName,
        /// The other.
        other: ChannelName,
        /// Whether the switch plays a beep to the other.
        tone: bool,
    },
    /// `Originate`, always `Async`: a new call. The answer says that it was begun; `OriginateResponse`, and better `DialEnd` of
    /// the channel with this id, says what became of it. `OriginateResponse` may come before that `DialEnd`, and is the only event
    /// if no channel came to be (nobody registered, an id that is taken).
    Originate {
        /// Whom to ring.
        dial: DialTo,
        /// The new channel's id, ours to choose.
        channel_id: UniqueId,
        /// The id of the second half, if it is a Local channel; the switch chooses it otherwise.
        other_channel_id: Option<UniqueId>,
        /// What it does once it is answered.
        then: Then,
        /// How long it may ring.
        timeout: std::time::Duration,
        /// Number and name that the phone shows.
        caller: Option<(Exten, VarValue)>,
        /// Variables of the new channel.
        variables: Vec<(VarName, Value)>,
        /// Whether its early media ends the wait for an answer.
        early_media: bool,
    },
    /// `PlayDTMF`: a digit.
    PlayDtmf {
        /// The channel.
        channel: ChannelName,
        /// The digit.
        digit: Digit,
        /// How long; the switch's own 100 ms if `None`.
        duration: Option<std::time::Duration>,
        /// As if its phone had sent it, and not to its phone.
        receive: bool,
    },
    /// `MuteAudio`: needs res_mutestream.
    MuteAudio {
        /// The channel.
        channel: ChannelName,
        /// What is muted, as seen from the switch.
        direction: MuteDirection,
        /// Muted, or no more.
        on: bool,
    },
    /// `PJSIPShowEndpoints`: all endpoints with their device state and contacts. A list.
    PjsipShowEndpoints,
    /// `PJSIPShowEndpoint`: all that the switch knows of one, **its password included** (`AuthDetail`). A list.
    PjsipShowEndpoint {
        /// Which.
        endpoint: Endpoint,
    },
    /// `PJSIPShowContacts`: all contacts. A list; empty is refused by the switch (`No Contacts found`), which the link turns into
    /// an empty list.
    PjsipShowContacts,
    /// `PJSIPShowRegistrationInboundContactStatuses`: all registrations with their address of record. A list.
    PjsipShowRegistrationInboundContactStatuses,
    /// `DBPut`: overwrites.
    DbPut {
        /// The family.
        family: DbKey,
        /// The key.
        key: DbKey,
        /// The value; at most some 1,000 octets (see [`MAX_LINE`]).
        value: Value,
    },
    /// `DBGet`: a list of one, with `Val`; refused (`Database entry not found`) if there is none.
    DbGet {
        /// The family.
        family: DbKey,
        /// The key.
        key: DbKey,
    },
    /// `DBGetTree`: all of a family. A list, each with `Key: /family/key` and `Val`.
    DbGetTree {
        /// The family.
        family: DbKey,
    },
    /// `DBDel`: refused (`Database entry could not be deleted`) if there is none.
    DbDel {
        /// The family.
        family: DbKey,
        /// The key.
        key: DbKey,
    },
    /// `DBDelTree`: all of a family; refused (`Database entry not found`) if there is none.
    DbDelTree {
        /// The family.
        family: DbKey,
    },
    /// `UserEvent`: comes back as an event to whoever reads the class `user`, we too: so one can tell that all events before it
    /// have been seen.
    UserEvent {
        /// Its name.
        name: Word,
        /// More of it.
        fields: Vec<(FieldName, VarValue)>,
    },
    /// `ExtensionState`: what a hint says.
    ExtensionState {
        /// The extension that has the hint.
        exten: Exten,
        /// Its context.
        context: Context,
    },
    /// `Command`: a line of the console, out of a closed set that changes nothing. The answer has an `Output` for each line.
    Command(ConsoleCommand),
}

/// How an action is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// By one packet.
    Single,
    /// By one packet, then an event for each item, then the event that ends the list.
    List,
}

impl Action {
    /// The action's word, for logs and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Challenge => "Challenge",
            Self::Login { .. } | Self::LoginMd5 { .. } => "Login",
            Self::Logoff => "Logoff",
            Self::Ping => "Ping",
            Self::Events(_) => "Events",
            Self::Filter(_) => "Filter",
            Self::CoreStatus => "CoreStatus",
            Self::CoreSettings => "CoreSettings",
            Self::ListCommands => "ListCommands",
            Self::ModuleCheck { .. } => "ModuleCheck",
            Self::ShowDialplan => "ShowDialPlan",
            Self::CoreShowChannels => "CoreShowChannels",
            Self::Status { .. } => "Status",
            Self::Getvar { .. } => "Getvar",
            Self::Setvar { .. } | Self::SetDeviceState { .. } => "Setvar",
            Self::Redirect { .. } => "Redirect",
            Self::Hangup { .. } => "Hangup",
            Self::Bridge { .. } => "Bridge",
            Self::Originate { .. } => "Originate",
            Self::PlayDtmf { .. } => "PlayDTMF",
            Self::MuteAudio { .. } => "MuteAudio",
            Self::PjsipShowEndpoints => "PJSIPShowEndpoints",
            Self::PjsipShowEndpoint { .. } => "PJSIPShowEndpoint",
            Self::PjsipShowContacts => "PJSIPShowContacts",
            Self::PjsipShowRegistrationInboundContactStatuses => {
                "PJSIPShowRegistrationInboundContactStatuses"
            }
            Self::DbPut { .. } => "DBPut",
            Self::DbGet { .. } => "DBGet",
            Self::DbGetTree { .. } => "DBGetTree",
            Self::DbDel { .. } => "DBDel",
            Self::DbDelTree { .. } => "DBDelTree",
            Self::UserEvent { .. } => "UserEvent",
            Self::ExtensionState { .. } => "ExtensionState",
            Self::Command(_) => "Command",
        }
    }

    /// How it is answered.
    pub fn answer_form(&self) -> AnswerForm {
        match self {
            Self::CoreShowChannels
            | Self::ShowDialplan
            | Self::Status { .. }
            | Self::PjsipShowEndpoints
            | Self::PjsipShowEndpoint { .. }
            | Self::PjsipShowContacts
            | Self::PjsipShowRegistrationInboundContactStatuses
            | Self::DbGet { .. }
            | Self::DbGetTree { .. } => AnswerForm::List,
            Self::Challenge
            | Self::Login { .. }
            | Self::LoginMd5 { .. }
            | Self::Logoff
            | Self::Ping
            | Self::Events(_)
            | Self::Filter(_)
            | Self::CoreStatus
            | Self::CoreSettings
            | Self::ListCommands
            | Self::ModuleCheck { .. }
            | Self::Getvar { .. }
            | Self::Setvar { .. }
            | Self::SetDeviceState { .. }
            | Self::Redirect { .. }
            | Self::Hangup { .. }
            | Self::Bridge { .. }
            | Self::Originate { .. }
            | Self::PlayDtmf { .. }
            | Self::MuteAudio { .. }
            | Self::DbPut { .. }
            | Self::DbDel { .. }
            | Self::DbDelTree { .. }
            | Self::UserEvent { .. }
            | Self::ExtensionState { .. }
            | Self::Command(_) => AnswerForm::Single,
        }
    }

    /// Which permission (`write` in manager.conf) it takes: any one of these, none if the list is empty. As `ListCommands` of
    /// 22.10 says.
    pub fn permission(&self) -> &'static [Privilege] {
        use Privilege::{Call, Command, Config, Originate, Reporting, System, User};
        match self {
            Self::Challenge
            | Self::Login { .. }
            | Self::LoginMd5 { .. }
            | Self::Logoff
            | Self::Ping
            | Self::ListCommands
            | Self::Events(_) => &[],
            Self::CoreStatus | Self::CoreSettings | Self::CoreShowChannels => &[System, Reporting],
            Self::Status { .. } => &[System, Call, Reporting],
            Self::Getvar { .. } | Self::ExtensionState { .. } => &[Call, Reporting],
            Self::Setvar { .. }
            | Self::SetDeviceState { .. }
            | Self::Redirect { .. }
            | Self::Bridge { .. }
            | Self::PlayDtmf { .. } => &[Call],
            Self::Hangup { .. } => &[System, Call],
            Self::Originate { .. } => &[Originate],
            Self::ShowDialplan => &[Config, Reporting],
            Self::Filter(_)
            | Self::ModuleCheck { .. }
            | Self::MuteAudio { .. }
            | Self::PjsipShowEndpoints
            | Self::PjsipShowEndpoint { .. }
            | Self::PjsipShowContacts
            | Self::PjsipShowRegistrationInboundContactStatuses
            | Self::DbPut { .. }
            | Self::DbDel { .. }
            | Self::DbDelTree { .. } => &[System],
            Self::DbGet { .. } | Self::DbGetTree { .. } => &[System, Reporting],
            Self::UserEvent { .. } => &[User],
            Self::Command(_) => &[Command],
        }
    }
}

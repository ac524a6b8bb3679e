//! A channel of the fake: what the switch keeps of one leg, and what its phone shows.

use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{digits::Keypad, split::Step};
use crate::phone::{DigitGot, Heard};

/// A channel's UUID.
pub(crate) type Uuid = Arc<str>;

/// The switch's own states, as far as events show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    None,
    Init,
    Execute,
    ConsumeMedia,
    ExchangeMedia,
    SoftExecute,
    Park,
    Reporting,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "CS_NONE",
            Self::Init => "CS_INIT",
            Self::Execute => "CS_EXECUTE",
            Self::ConsumeMedia => "CS_CONSUME_MEDIA",
            Self::ExchangeMedia => "CS_EXCHANGE_MEDIA",
            Self::SoftExecute => "CS_SOFT_EXECUTE",
            Self::Park => "CS_PARK",
            Self::Reporting => "CS_REPORTING",
        }
    }

    /// `switch_channel_state_t`.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::None => "13",
            Self::Init => "1",
            Self::SoftExecute => "3",
            Self::Execute => "4",
            Self::ExchangeMedia => "5",
            Self::Park => "6",
            Self::ConsumeMedia => "7",
            Self::Reporting => "11",
        }
    }
}

/// Channel variables, in the order in which they were first set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars(Vec<(String, String)>);

impl Vars {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "yes" | "on" | "1"))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// The caller profile: what `Caller-` and `Other-Leg-` headers are made of.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) inbound: bool,
    pub(crate) username: String,
    pub(crate) caller_name: String,
    pub(crate) caller_number: String,
    pub(crate) original_name: String,
    pub(crate) original_number: String,
    /// Name and number, once the switch knows them.
    pub(crate) callee: Option<(String, String)>,
    pub(crate) ani: String,
    pub(crate) destination: String,
    pub(crate) unique_id: Uuid,
    pub(crate) context: String,
    pub(crate) rdnis: Option<String>,
    pub(crate) transfer_source: Option<String>,
    pub(crate) channel_name: String,
    pub(crate) created: Option<SystemTime>,
    pub(crate) answered: Option<SystemTime>,
    pub(crate) progress: Option<SystemTime>,
    pub(crate) progress_media: Option<SystemTime>,
    pub(crate) bridged: Option<SystemTime>,
    pub(crate) held: Option<SystemTime>,
    pub(crate) hungup: Option<SystemTime>,
}

/// The other leg, as it was when the switch took note of it.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    pub(crate) is_originator: bool,
    pub(crate) profile: Profile,
}

/// A tone that a leg hears from the switch itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Beep,
    Refusal,
    Voicemail,
    Announcement,
    Conference,
}

/// What the dialplan does when nobody answered the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    Voicemail,
    HangUp,
    /// The end of the product's callhop_recall.
    Fallback,
}

/// Hangup causes and what they are in SIP and in Q.850: cause, SIP status of a refusal, number in a Reason header.
const CAUSES: &[(&str, u16, u16)] = &[
    ("UNALLOCATED_NUMBER", 404, 1),
    ("NO_ROUTE_DESTINATION", 404, 3),
    ("NORMAL_CLEARING", 480, 16),
    ("USER_BUSY", 486, 17),
    ("NO_USER_RESPONSE", 408, 18),
    ("NO_ANSWER", 480, 19),
    ("SUBSCRIBER_ABSENT", 480, 20),
    ("CALL_REJECTED", 603, 21),
    ("DESTINATION_OUT_OF_ORDER", 502, 27),
    ("NORMAL_TEMPORARY_FAILURE", 503, 41),
    ("RECOVERY_ON_TIMER_EXPIRE", 504, 102),
    ("ORIGINATOR_CANCEL", 487, 487),
    ("LOSE_RACE", 480, 502),
    ("PICKED_OFF", 480, 605),
    ("USER_NOT_REGISTERED", 480, 606),
];

/// The SIP status with which the switch refuses a caller for this cause (sofia_glue.c).
pub(crate) fn sip_status(cause: &str) -> u16 {
    let known = CAUSES.iter().find(|(name, _, _)| *name == cause);
    known.map_or(480, |(_, status, _)| *status)
}

/// The cause that the switch reads from a phone's refusal.
pub(crate) fn cause_of(status: u16) -> &'static str {
    match status {
        404 => "UNALLOCATED_NUMBER",
        408 => "NO_USER_RESPONSE",
        486 | 600 => "USER_BUSY",
        502 => "DESTINATION_OUT_OF_ORDER",
        503 => "NORMAL_TEMPORARY_FAILURE",
        603 => "CALL_REJECTED",
        _ => "NO_USER_RESPONSE",
    }
}

/// The Reason header of a BYE, a CANCEL or a refusal (mod_sofia.c).
pub(crate) fn reason(channel: &Channel, cause: &str) -> String {
    if let Some(reason) = channel.vars.get("sip_reason") {
        return reason.to_owned();
    }
    let elsewhere = matches!(cause, "PICKED_OFF" | "LOSE_RACE");
    if elsewhere && !channel.vars.is_true("ignore_completed_elsewhere") {
        return "SIP;cause=200;text=\"Call completed elsewhere\"".to_owned();
    }
    let known = CAUSES.iter().find(|(name, _, _)| *name == cause);
    match known.map_or(16, |(_, _, number)| *number) {
        number @ 0..128 => format!("Q.850;cause={number};text=\"{cause}\""),
        number => format!("SIP;cause={number};text=\"{cause}\""),
    }
}

/// What a question to the controller is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Hunt,
    Star,
    /// Does the push of this leg go on?
    Push,
    /// May this leg, to which a call was offered, have it?
    Take,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hunt => "hunt",
            Self::Star => "star",
            Self::Push => "push",
            Self::Take => "take",
        })
    }
}

/// What a channel's thread does.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Nothing of its own.
    Parked,
    /// Waits for the controller's answer.
    Asking(Ask),
    /// Rings the legs of one group of a dial string; the groups behind it come next.
    Originating {
        legs: Vec<Uuid>,
        rest: Vec<Vec<crate::dialstring::Leg>>,
        otherwise: Otherwise,
    },
    /// Outbound leg, not answered, rung for `owner`.
    Leg { owner: Uuid },
    /// Outbound leg, not answered, rung by `originate`; its number.
    Originated(u64),
    /// Plays a sound of the extensions of a push.
    Sound(Step),
    /// Plays a tone to the leg.
    Tone(Tone),
    /// `intercept` has run, the bridge with `far` has not.
    BridgePending { far: Uuid },
    /// `intercept` of a leg that still rings, with `transfer_ringback`.
    AwaitAnswer { far: Uuid },
    /// Is being moved by another leg's `intercept`.
    Moving,
    /// In a bridge; `peer` says with whom.
    Bridged,
}

/// One leg.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) uuid: Uuid,
    /// Counts channels since the switch started; also their order.
    pub(crate) session: u64,
    pub(crate) party: usize,
    pub(crate) inbound: bool,
    pub(crate) state: State,
    pub(crate) call_state: &'static str,
    pub(crate) answer_state: &'static str,
    pub(crate) profile: Profile,
    pub(crate) other: Option<Other>,
    pub(crate) vars: Vars,
    pub(crate) application: Option<(&'static str, String)>,
    pub(crate) task: Task,
    /// Counts changes of `task`, so that a timer of an earlier one is known to be late.
    pub(crate) generation: u64,
    pub(crate) peer: Option<Uuid>,
    /// Runs the bridge: is `Bridge-A`, and its dialplan decides what comes after.
    pub(crate) runs_bridge: bool,
    /// Has been intercepted as a caller: from then on it counts as the called side (CF_BLEG), and its callee is itself.
    pub(crate) called_side: bool,
    /// Waits in a queue: hears music where others hear ringback.
    pub(crate) queued: bool,
    pub(crate) answered: bool,
    pub(crate) early_media: bool,
    /// The phone has put its side on hold.
    pub(crate) phone_hold: bool,
    /// The switch knows of it and plays music to the other side.
    pub(crate) switch_hold: bool,
    pub(crate) hangup_cause: Option<String>,
    pub(crate) began: Instant,
    pub(crate) heard: Vec<Heard>,
    /// Digits that came to the phone from the other side.
    pub(crate) digits: Vec<DigitGot>,
    pub(crate) keypad: Keypad,
    /// Beats or rounds of the sound that an extension of a push repeats.
    pub(crate) rounds: u16,
    pub(crate) display: String,
    pub(crate) display_name: String,
    pub(crate) refusal: Option<String>,
}

impl Channel {
    /// What the phone has seen or sent last.
    pub(crate) fn sip_code(&self) -> u16 {
        match () {
            () if self.answered => 200,
            () if self.early_media => 183,
            () if self.profile.progress.is_some() => 180,
            () => 0,
        }
    }

    /// Media has been negotiated: a caller offers it, a called phone once it answers or sends early media.
    pub(crate) fn has_codec(&self) -> bool {
        self.inbound || self.answered || self.early_media
    }

    pub(crate) fn set_task(&mut self, task: Task) {
        self.generation += 1;
        self.task = task;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.hangup_cause.is_some()
    }

    /// The partner as `switch_channel_get_partner_uuid` finds it: stale after an unbridge, on purpose.
    pub(crate) fn partner(&self) -> Option<Uuid> {
        self.vars
            .get("signal_bond")
            .or_else(|| self.vars.get("originate_signal_bond"))
            .map(Uuid::from)
    }
}

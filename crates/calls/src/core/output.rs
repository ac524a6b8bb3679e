//! What is wanted, for the driver to do.

use std::time::Duration;

use serde::Serialize;

use super::Switch;
use super::input::{AskId, StoreFailure};
use crate::directory::Route;
use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, Number, SwitchName, UnixTime};
use crate::journal::{Entry, Kind, OpenMove, Outcome};
use crate::lamp::{Lamp, LampError};
use crate::pull::{Class, PullRefusal};
use crate::push::PushRefusal;
use crate::routing::RouteRefusal;
use crate::star::StarError;
use crate::tracker::{Corrections, Party};

/// Everything that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Answer a star code: the new leg's own dialplan connects it to the far leg.
    Pull(PullOrder),
    /// Answer a star code with the confirmation beep.
    Confirm(AskId),
    /// Answer a star code with the refusal tone.
    Refuse(AskId, Refusal),
    /// Answer an inbound call; `None` leaves it to snapshot and dialplan.
    Targets(AskId, Option<Answer>),
    /// Write a route, `None` to remove it, and say so by [`Input::RouteStored`].
    StoreRoute {
        /// Whose question it was.
        ask: AskId,
        /// Whose route.
        extension: ExtensionId,
        /// The route.
        route: Option<Route>,
        /// Who dialled.
        device: DeviceId,
    },
    /// The next-call-only route was used: remove it if it is still that one.
    ConsumeRoute(ExtensionId, Route),
    /// Write the routing snapshot of an extension on a switch; `None` removes it.
    Publish(SwitchName, ExtensionId, Option<Answer>),
    /// Ask a switch where these devices are registered: they have come into the directory.
    AskContacts(SwitchName, Vec<DeviceId>),
    /// Push: read old leg and far leg again once what was ordered before is done, and say so by
    /// [`Input::Reread`](super::Input::Reread).
    Reread(SwitchName, [ChannelId; 2]),
    /// Let a lamp be lit on a switch, or dark.
    Lamp(SwitchName, Lamp, bool),
    /// Write into the journal, before anything that is ordered after it is done.
    Journal(Entry),
    /// A move has ended.
    Moved(MoveReport),
    /// Have the leg listen for the push code.
    Arm(ArmOrder),
    /// Push: take the two legs apart, each into an extension of its own.
    Split(Box<SplitOrder>),
    /// Push: ring the target.
    Ring(Box<RingOrder>),
    /// Push: the old leg takes the far leg back, by its own dialplan.
    GiveBack {
        /// Where.
        switch: SwitchName,
        /// The leg of who pushed.
        old_leg: ChannelId,
        /// Whether the refusal tone comes first.
        tone: bool,
    },
    /// Push: the far leg rings the pusher's devices, by its own dialplan.
    Recall(SwitchName, ChannelId),
    /// Push: this leg has nothing left to do: who pushed, once the far end talks elsewhere; a target that need not ring any
    /// more.
    Release(SwitchName, ChannelId),
    /// Push: the far leg talks again. Its bridge is one like all others from now on.
    Settled(SwitchName, ChannelId),
    /// The push code was dialled and nothing is pushed.
    NoPush(SwitchName, ChannelId, PushKeyRefusal),
    /// The push code was dialled to an application of the switch, and has to get there.
    ReturnCode(SwitchName, ChannelId, String),
    /// Ring those to whom a call is offered; who answers asks for it by [`Input::Take`](super::Input::Take).
    Offer(Box<OfferOrder>),
    /// Answer a wish for a move, or that an offer be withdrawn.
    Offered(AskId, Result<OpenMove, OfferRefusal>),
    /// A reconcile had something to correct.
    Corrected(SwitchName, Corrections),
}

/// What to prepare, and where to connect the new leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOrder {
    /// The question.
    pub ask: AskId,
    /// The push code, for which the new leg shall listen once it is answered.
    pub code: String,
    /// The switch.
    pub switch: SwitchName,
    /// Ringing legs to be told first that the call was completed elsewhere (RFC 3326).
    pub forks: Vec<ChannelId>,
    /// The leg to which the new leg's dialplan connects itself.
    pub far_leg: ChannelId,
    /// The far leg's codec, if the new leg offers it too: nothing has to be transcoded then.
    pub codec: Option<String>,
    /// Who the far end is, for the new device's display.
    pub party: Party,
    /// It is the far end that rings: it may be answered at this very moment.
    pub far_rings: bool,
    /// The push out of which the far leg is taken: its target may be answered at this very moment.
    pub taken_back: Option<MoveId>,
}

/// Which leg is to listen for the push code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmOrder {
    /// Where.
    pub switch: SwitchName,
    /// The leg of a device.
    pub leg: ChannelId,
    /// The code.
    pub code: String,
    /// Whether it has been answered already: then it has to be told at once, which costs the far end some packets.
    pub late: bool,
}

/// What each leg needs to know before a call is taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitOrder {
    /// Which move.
    pub id: MoveId,
    /// Where.
    pub switch: SwitchName,
    /// The leg of who pushes.
    pub old_leg: ChannelId,
    /// The far end's leg.
    pub far_leg: ChannelId,
    /// The code to listen for again once the call is given back.
    pub code: String,
    /// What the far end hears.
    pub hold_sound: String,
    /// Until when, should nobody take it out of there.
    pub until: UnixTime,
    /// Whom the far leg rings then; `None` if the pusher's extension has no registered device.
    pub recall: Option<Answer>,
    /// Where the far leg goes when nobody answers that.
    pub fallback: Option<String>,
    /// Who the far end is, for the displays of the recall.
    pub party: Party,
}

/// Whom to ring for a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingOrder {
    /// Which move; the legs that are made carry it.
    pub id: MoveId,
    /// Where.
    pub switch: SwitchName,
    /// The leg to which the target's leg connects itself.
    pub far_leg: ChannelId,
    /// Whom.
    pub target: RingTarget,
    /// Who the far end is, for the target's display.
    pub party: Party,
    /// What stands before its name there.
    pub prefix: String,
    /// What the far end hears.
    pub ringback: String,
    /// Until when, should nobody take it out of there.
    pub until: UnixTime,
    /// How long it rings.
    pub timeout: Duration,
}

/// Whom to ring for an offer. The call itself is not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferOrder {
    /// Which move; the legs that are made carry it.
    pub id: MoveId,
    /// Where.
    pub switch: SwitchName,
    /// Whom.
    pub target: RingTarget,
    /// Who the far end is, for the target's display.
    pub party: Party,
    /// What stands before its name there.
    pub prefix: String,
    /// How long it rings.
    pub timeout: Duration,
}

/// What rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingTarget {
    /// Devices.
    Devices(Answer),
    /// A number outside, over what the switch's configuration names for it.
    Outside(Number),
}

/// Why the push code does nothing. Nobody hears a tone for it: that would be heard in the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushKeyRefusal {
    /// The state of the switch is not known at the moment.
    #[error("the state of the switch is stale")]
    Stale,
    /// The leg is not that of a device of the directory.
    #[error("the leg is not that of a known device")]
    NotADevice,
    /// The leg talks to nobody who could be pushed: voicemail, IVR, conference. What was dialled was meant for that.
    #[error("the leg has no far end")]
    NoFarEnd,
    /// One of the two legs takes part in a move already.
    #[error("the call is being moved already")]
    MoveUnderWay,
}

impl PushKeyRefusal {
    /// One word for metric and log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NotADevice => "not_a_device",
            Self::NoFarEnd => "no_far_end",
            Self::MoveUnderWay => "move_under_way",
        }
    }
}

/// Why a call is not offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefusal {
    /// There is no such extension.
    #[error("there is no extension {0}")]
    NoExtension(ExtensionId),
    /// The state of a switch that may have its call is not known at the moment.
    #[error("the state of the switch is stale")]
    Stale,
    /// There is no call, or not one that may be moved.
    #[error(transparent)]
    Pull(#[from] PullRefusal),
    /// The number may not be pushed to.
    #[error(transparent)]
    Push(#[from] PushRefusal),
    /// The device that should get the call has it, or is its far end.
    #[error("{0} has that call already")]
    HasIt(DeviceId),
    /// Only a call that talks or is held can be pushed.
    #[error("the call of {0} has not been answered yet")]
    NotTalking(DeviceId),
    /// The device that should get the call is not registered.
    #[error("{0} is not registered where the call is")]
    NotRegistered(DeviceId),
    /// It is offered to somebody already.
    #[error("the call of {0} is being offered already")]
    OfferedAlready(DeviceId),
    /// There is nothing to withdraw: it has been taken, or is over.
    #[error("{0} is no offer, or not any more")]
    NotOffered(MoveId),
}

/// Devices to ring, with their contacts on the switch that asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Answer {
    /// The devices and their contacts, each as the switch itself writes it. A device without a contact is not registered.
    pub targets: Vec<(DeviceId, Vec<String>)>,
}

/// Why somebody hears the refusal tone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The channel has no authenticated device.
    #[error("the caller is not an authenticated device")]
    NotAuthenticated,
    /// The device belongs to no extension.
    #[error("{0} belongs to no extension")]
    NoExtension(DeviceId),
    /// What was dialled is no star code.
    #[error(transparent)]
    Star(#[from] StarError),
    /// What was dialled is no name of a lamp.
    #[error(transparent)]
    Lamp(#[from] LampError),
    /// The key is that of another extension.
    #[error("the key is that of {0}, and only its own devices can press it")]
    ForeignLamp(ExtensionId),
    /// There is nothing that could be pulled.
    #[error(transparent)]
    Pull(#[from] PullRefusal),
    /// The route can't be set.
    #[error(transparent)]
    Route(#[from] RouteRefusal),
    /// The route could not be stored.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// The state of the switch is not known at the moment.
    #[error("the state of the switch is stale")]
    Stale,
    /// Who dialled has hung up already.
    #[error("the caller has hung up already")]
    NewLegGone,
    /// Who has answered an offer is too late, or was never offered anything.
    #[error("the call is not offered any more")]
    NotOffered,
}

impl Refusal {
    /// One word for metric, log and the dialplan.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not_authenticated",
            Self::NoExtension(_) => "no_extension",
            Self::Star(_) | Self::Lamp(_) => "not_a_code",
            Self::ForeignLamp(_) => "foreign_lamp",
            Self::Pull(PullRefusal::NothingToPull) => "nothing_to_pull",
            Self::Pull(PullRefusal::DeviceHasNoCall(_)) => "device_has_no_call",
            Self::Pull(PullRefusal::NotOwnDevice(_)) => "not_own_device",
            Self::Pull(PullRefusal::NoFarEnd(_)) => "no_far_end",
            Self::Pull(PullRefusal::FarEndForked(_)) => "far_end_forked",
            Self::Pull(PullRefusal::MoveUnderWay(_)) => "move_under_way",
            Self::Route(RouteRefusal::UnknownNumber(_)) => "unknown_number",
            Self::Route(RouteRefusal::ForeignDevice(_)) => "foreign_device",
            Self::Route(RouteRefusal::ColleaguesOff) => "colleagues_off",
            Self::Route(RouteRefusal::Loop(_)) => "route_loops",
            Self::Route(RouteRefusal::TooLong) => "route_too_long",
            Self::Store(StoreFailure::Refused(_)) => "store_refused",
            Self::Store(StoreFailure::Unavailable(_)) => "store_unavailable",
            Self::Stale => "stale",
            Self::NewLegGone => "new_leg_gone",
            Self::NotOffered => "not_offered",
        }
    }
}

/// How a move ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MoveEnd {
    /// The switch has reported the bridge of the new leg and `far_leg`.
    Moved,
    /// The far end hung up first.
    FarEndGone,
    /// Pull: the person who dialled hung up first.
    NewLegGone,
    /// The bridge was not reported in time.
    NoBridge,
    /// Push: `*`, or the pusher's leg has taken the call back by itself. Offer: it was withdrawn.
    Cancelled,
    /// Push: no further digit came.
    DigitsTimedOut,
    /// Push: the number rings nobody.
    Refused(PushRefusal),
    /// Push: the target did not answer, was busy, or rejected; the switch's hangup cause in lower case.
    NotReached(String),
    /// Push: the controller was restarted, or its link was lost, while the number was dialled. Offer: it was restarted before
    /// anybody had answered.
    Interrupted,
    /// Push: another device of the pusher's extension has pulled the call.
    TakenBack,
    /// Push: the pusher had hung up, the target could not be had, and the far end talks to the pusher's extension again.
    Recalled,
    /// Push: as before, but nobody answered; the far end has gone to the fallback.
    RecallFailed,
    /// Offer: the call was moved elsewhere meanwhile.
    Overtaken,
}

impl MoveEnd {
    /// The outcome, for journal and metric.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Moved => Outcome::Moved,
            Self::FarEndGone => Outcome::FarEndGone,
            Self::Recalled => Outcome::Recalled,
            Self::NewLegGone
            | Self::NoBridge
            | Self::Cancelled
            | Self::DigitsTimedOut
            | Self::Refused(_)
            | Self::NotReached(_)
            | Self::Interrupted
            | Self::TakenBack
            | Self::RecallFailed
            | Self::Overtaken => Outcome::NotMoved,
        }
    }

    /// Why it was not moved, in one word.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Moved | Self::FarEndGone | Self::Recalled => None,
            Self::NewLegGone => Some("new_leg_gone"),
            Self::NoBridge => Some("no_bridge"),
            Self::Cancelled => Some("cancelled"),
            Self::DigitsTimedOut => Some("digits_timed_out"),
            Self::Refused(refusal) => Some(refusal.word()),
            Self::NotReached(cause) => Some(cause),
            Self::Interrupted => Some("interrupted"),
            Self::TakenBack => Some("taken_back"),
            Self::RecallFailed => Some("recall_failed"),
            Self::Overtaken => Some("overtaken"),
        }
    }
}

/// A move that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveReport {
    /// Which one.
    pub id: MoveId,
    /// Pull or push.
    pub kind: Kind,
    /// Where.
    pub switch: SwitchName,
    /// Who moved it.
    pub extension: ExtensionId,
    /// Pull: what kind of call it was, unless that was before a restart.
    pub class: Option<Class>,
    /// Where it was.
    pub from: DeviceId,
    /// Where it is now, or should have been; for a push what was dialled.
    pub to: Option<String>,
    /// The leg at `from`.
    pub old_leg: ChannelId,
    /// The leg that has the call now, or should have it.
    pub new_leg: Option<ChannelId>,
    /// The far end's leg.
    pub far_leg: ChannelId,
    /// How it ended.
    pub end: MoveEnd,
    /// From the star code to the end, unless that was before a restart.
    pub took: Option<Duration>,
    /// Pull of a call that talked: how long the far leg was in no bridge, as the switch's events tell it. The packets that are
    /// missing at the far end take about as long. `None` for all others: the far end of a push hears a sound meanwhile.
    pub gap: Option<Duration>,
}

impl MoveReport {
    pub(super) fn new(
        open: OpenMove,
        class: Option<Class>,
        new_leg: Option<ChannelId>,
        end: MoveEnd,
        took: Option<Duration>,
    ) -> Self {
        Self {
            id: open.id,
            kind: open.kind,
            switch: open.switch,
            extension: open.extension,
            class,
            from: open.from,
            to: open.to,
            old_leg: open.old_leg,
            new_leg,
            far_leg: open.far_leg,
            end,
            took,
            gap: None,
        }
    }

    pub(super) fn entry(&self, at: UnixTime) -> Entry {
        Entry::Ended {
            id: self.id,
            at,
            outcome: self.end.outcome(),
            cause: self.end.cause().map(str::to_owned),
            took_ms: self.took.map(whole_ms),
            gap_ms: self.gap.map(whole_ms),
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Answer {
    pub(super) fn new(targets: &[DeviceId], switch: &Switch) -> Self {
        Self {
            targets: targets
                .iter()
                .map(|device| (device.clone(), switch.contacts(device).to_vec()))
                .collect(),
        }
    }
}

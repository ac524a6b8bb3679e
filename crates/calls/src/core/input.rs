//! What happens, as the driver tells it.

use std::collections::HashMap;
use std::time::Duration;

use crate::directory::Extension;
use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, Number, SwitchName, UnixTime};
use crate::journal::{Kind, OpenMove};
use crate::lamp::Lamp;
use crate::tracker::{LegEvent, SnapshotLeg};

/// The time, both ways of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the start of the program; never goes back.
    pub mono: Duration,
    /// The calendar.
    pub unix: UnixTime,
}

/// One question of the dialplan; the driver finds the waiting channel by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// Everything that happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// The switch reports something about a leg.
    Leg(SwitchName, LegEvent),
    /// The event link of a switch is lost: what we know of it is stale from now on.
    LinkDown(SwitchName),
    /// The switch has been read whole.
    Resynced(SwitchName, Vec<SnapshotLeg>),
    /// The minute's comparison: legs that differed and were read again, and legs that the switch does not have.
    Reconciled(SwitchName, Vec<SnapshotLeg>, Vec<ChannelId>),
    /// Legs that were read again because their events may still be on the way, those of
    /// [`Core::legs_to_ask`](super::Core::legs_to_ask) before a star code is answered, or those of [`Output::Reread`](super::Output::Reread):
    /// how they are, and which of them the switch does not have any more.
    Reread(SwitchName, Vec<SnapshotLeg>, Vec<ChannelId>),
    /// A device has these contacts now; none means that it is not registered.
    Contacts(SwitchName, DeviceId, Vec<String>),
    /// All registrations of a switch; devices that are not named have none.
    Registrations(SwitchName, HashMap<DeviceId, Vec<String>>),
    /// These extensions are in the database now, those are not any more.
    Directory(Vec<Extension>, Vec<ExtensionId>),
    /// These and no other extensions are in the database: it has been read whole.
    WholeDirectory(Vec<Extension>),
    /// A switch that keeps its lamps has these lit. Comes before [`Self::Resynced`], or not at all.
    LampsRead(SwitchName, Vec<Lamp>),
    /// A phone has subscribed to a lamp, or renewed its subscription, on a switch that leaves the answer to us.
    LampAsked(SwitchName, Lamp),
    /// The moves that the journal has open. Comes before the switches are read.
    OpenMoves(Vec<OpenMove>),
    /// An armed leg has dialled the push code.
    PushKey(SwitchName, ChannelId),
    /// A leg has dialled a digit: `0` to `9`, `A` to `D`, `*` or `#` (RFC 4733, 3.2).
    Digit(SwitchName, ChannelId, char),
    /// The legs could not be taken apart: the call goes on as it was.
    NotSplit(SwitchName, MoveId),
    /// The target of a push or an offer is not to be had; the switch's hangup cause in lower case.
    NotReached(SwitchName, MoveId, String),
    /// Somebody has dialled a star code.
    StarCode(Asked),
    /// Somebody who is at no phone wants a call to be moved.
    Offer(AskId, OfferRequest),
    /// A leg that was made for an offer has been answered and asks for the call. Its device is not looked at: who it is was
    /// decided when it was rung.
    Take(Asked, MoveId),
    /// An offer is withdrawn.
    Withdraw(AskId, MoveId),
    /// An inbound call asks where to ring.
    Hunt(AskId, SwitchName, ExtensionId),
    /// What became of [`Output::StoreRoute`].
    RouteStored(AskId, Result<(), StoreFailure>),
    /// The time has come that [`Core::next_timer`] named.
    Timer,
}

/// A move that is wanted by somebody at no phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRequest {
    /// A pull brings the call to another own device, a push to anybody who may be pushed to.
    pub kind: Kind,
    /// Whose call.
    pub extension: ExtensionId,
    /// Only that of this device of theirs.
    pub from: Option<Number>,
    /// The number of the device, or for a push of an extension, a device or outside.
    pub to: Number,
}

/// A star code, with what the switch itself says about the channel that dialled it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The question.
    pub ask: AskId,
    /// The switch.
    pub switch: SwitchName,
    /// The channel that dialled.
    pub new_leg: ChannelId,
    /// The authenticated device; `None` if the channel has none.
    pub device: Option<DeviceId>,
    /// What was dialled, unchecked.
    pub dialled: String,
    /// Where the phone is that dialled, if the switch says so.
    pub phone: Option<String>,
    /// The codecs that the new leg offers; empty if unknown.
    pub codecs: Vec<String>,
}

/// Why a route was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The database refused it, e.g. because the extension was removed meanwhile.
    #[error("the database refused the route: {0}")]
    Refused(String),
    /// The database could not be reached.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
}

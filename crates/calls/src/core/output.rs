//! What is wanted, for the driver to do.

use std::time::Duration;

use serde::Serialize;

use super::Switch;
use super::input::{AskId, StoreFailure};
use crate::directory::Route;
use crate::id::{ChannelId, DeviceId, ExtensionId, SwitchName};
use crate::pull::{Class, PullRefusal};
use crate::routing::RouteRefusal;
use crate::star::StarError;
use crate::tracker::{Corrections, Party};

/// One move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MoveId(pub u64);

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
    /// A move has ended.
    Moved(MoveReport),
    /// A reconcile had something to correct.
    Corrected(SwitchName, Corrections),
}

/// What to prepare, and where to connect the new leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOrder {
    /// The question.
    pub ask: AskId,
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
}

impl Refusal {
    /// One word for metric, log and the dialplan.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not_authenticated",
            Self::NoExtension(_) => "no_extension",
            Self::Star(_) => "not_a_code",
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
        }
    }
}

/// How a move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveEnd {
    /// The switch has reported the bridge of `new_leg` and `far_leg`.
    Moved,
    /// The far end hung up first.
    FarEndGone,
    /// The person who dialled hung up first.
    NewLegGone,
    /// The bridge was not reported in time.
    NoBridge,
}

/// A move that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveReport {
    /// Which one.
    pub id: MoveId,
    /// Where.
    pub switch: SwitchName,
    /// Who moved it.
    pub extension: ExtensionId,
    /// What kind of call it was.
    pub class: Class,
    /// Where it was.
    pub from: DeviceId,
    /// Where it is now, or should have been.
    pub to: DeviceId,
    /// The leg at `from`.
    pub old_leg: ChannelId,
    /// The leg at `to`.
    pub new_leg: ChannelId,
    /// The far end's leg.
    pub far_leg: ChannelId,
    /// How it ended.
    pub end: MoveEnd,
    /// From the star code to the end.
    #[serde(serialize_with = "as_millis")]
    pub took: Duration,
}

fn as_millis<S: serde::Serializer>(took: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(took.as_secs_f64() * 1000.0)
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

//! What people see of the core: calls, switches, and why a call rings where it does.

use callhop_calls::core::Core;
use callhop_calls::directory::Route;
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId, SwitchName};
use callhop_calls::journal::OpenMove;
use callhop_calls::pull::{self, Candidate};
use callhop_calls::routing::Step;
use callhop_calls::tracker::{Bond, Direction, Leg, Party, Progress, Tracker};
use serde::Serialize;
use utoipa::ToSchema;

use super::links::Links;
use crate::http::schema;
use crate::when;

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SwitchView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: SwitchName,
    /// Whether its state has been read since the link came up.
    pub fresh: bool,
    /// How many legs it has.
    pub legs: usize,
    /// How many moves are under way.
    pub moves: usize,
    /// Events that came when their leg was gone already, and so changed nothing.
    pub late_events: u64,
    /// Milliseconds by which its events are late: the largest of the last 10 to 20 seconds in which some came. None while it is
    /// stale. FreeSWITCH: by the clocks of both machines. Asterisk: from asking for an event to reading it.
    pub lag_ms: Option<u64>,
    /// Since when its state is fresh or stale (RFC 3339).
    pub since: Option<String>,
    /// While it is stale: when its last event came (RFC 3339), if one ever came to this controller.
    pub last_event: Option<String>,
}

/// A leg of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LegView {
    /// Its channel.
    #[schema(value_type = String)]
    pub channel: ChannelId,
    /// The device, if it is one of ours.
    #[schema(value_type = Option<String>)]
    pub device: Option<DeviceId>,
    /// Who is shown at it.
    #[schema(value_type = schema::Party)]
    pub party: Party,
    /// `ringing`, `early`, `talking`, `holding`, `alone`.
    pub state: &'static str,
}

/// A call: legs that talk to, or ring for, each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallView {
    /// Where it is.
    #[schema(value_type = String)]
    pub switch: SwitchName,
    /// Its legs, who called first.
    pub legs: Vec<LegView>,
    /// The move in which one of them takes part.
    #[schema(value_type = Option<schema::OpenMove>)]
    pub moving: Option<OpenMove>,
}

/// Why an extension rings where it does, on one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WhyView {
    /// The switch.
    #[schema(value_type = String)]
    pub switch: SwitchName,
    /// Whether its state is fresh.
    pub fresh: bool,
    /// The extension's route.
    #[schema(value_type = Option<schema::Route>)]
    pub route: Option<Route>,
    /// Each of its devices.
    pub devices: Vec<WhyDevice>,
    /// What an inbound call rings now.
    #[schema(value_type = Vec<String>)]
    pub rings: Vec<DeviceId>,
    /// How that was found.
    #[schema(value_type = Vec<schema::Step>)]
    pub steps: Vec<Step>,
    /// What could be pulled, the best first.
    #[schema(value_type = Vec<schema::Candidate>)]
    pub pullable: Vec<Candidate>,
    /// Why nothing could be pulled.
    pub not_pullable: Option<String>,
}

/// A device in [`WhyView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WhyDevice {
    /// The device.
    #[schema(value_type = String)]
    pub device: DeviceId,
    /// Whether an inbound call rings it now.
    pub rings: bool,
    /// Its contacts on the switch; none means that it is not registered.
    pub contacts: Vec<String>,
    /// How many calls it has.
    pub calls: usize,
}

/// What a device does on one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It has no call.
    Idle,
    /// It has a call without a far end: an announcement, voicemail, a conference.
    Alone,
    /// It has called, and the far end has not answered yet.
    Calling,
    /// It is being called.
    Ringing,
    /// It holds its far end, or is held by it.
    Held,
    /// It talks to a far end.
    Talking,
}

/// A device on one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeviceOnSwitch {
    /// The switch.
    #[schema(value_type = String)]
    pub switch: SwitchName,
    /// Whether its state has been read since the link came up.
    pub fresh: bool,
    /// How often the device is registered there.
    pub registered: usize,
    /// What it does. Of several calls the one that counts most: talking, held, ringing, calling, alone.
    pub state: DeviceState,
    /// How many calls it has.
    pub calls: usize,
}

/// A device on each switch, by their names.
#[must_use]
pub fn device(core: &Core, device: &DeviceId) -> Vec<DeviceOnSwitch> {
    let mut views: Vec<_> = core
        .switches()
        .map(|(name, switch)| {
            let tracker = switch.tracker();
            let legs: Vec<_> = tracker
                .legs_of(device)
                .filter_map(|id| tracker.leg(id))
                .collect();
            DeviceOnSwitch {
                switch: name.clone(),
                fresh: switch.is_fresh(),
                registered: switch.contacts(device).len(),
                state: legs
                    .iter()
                    .map(|leg| state(tracker, leg))
                    .max()
                    .unwrap_or(DeviceState::Idle),
                calls: legs.len(),
            }
        })
        .collect();
    views.sort_by(|a, b| a.switch.cmp(&b.switch));
    views
}

fn state(tracker: &Tracker, leg: &Leg) -> DeviceState {
    match (&leg.bond, leg.progress, leg.direction) {
        (Bond::TalksTo(peer), Progress::Answered, _) => {
            let held = tracker.leg(peer).is_some_and(|peer| peer.holds);
            if leg.holds || held {
                DeviceState::Held
            } else {
                DeviceState::Talking
            }
        }
        (Bond::Alone | Bond::RingsFor(_), Progress::Answered, _) => DeviceState::Alone,
        (_, Progress::Setup | Progress::EarlyMedia, Direction::Inbound) => DeviceState::Calling,
        (_, Progress::Setup | Progress::EarlyMedia, Direction::Outbound) => DeviceState::Ringing,
    }
}

/// The switches.
#[must_use]
pub fn switches(core: &Core, links: &Links) -> Vec<SwitchView> {
    let mut views: Vec<_> = core
        .switches()
        .map(|(name, switch)| {
            let heard = links.of(name);
            let stale = heard.filter(|_| !switch.is_fresh());
            SwitchView {
                name: name.clone(),
                fresh: switch.is_fresh(),
                legs: switch.tracker().len(),
                moves: switch.moves(),
                late_events: switch.late_events(),
                lag_ms: heard
                    .and_then(|heard| heard.lag)
                    .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
                since: heard.map(|heard| when::text(heard.since)),
                last_event: stale.and_then(|heard| heard.last_event).map(when::text),
            }
        })
        .collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    views
}

/// The calls, at most `limit`.
#[must_use]
pub fn calls(core: &Core, limit: usize) -> Vec<CallView> {
    let mut views = Vec::new();
    for (name, switch) in core.switches() {
        let tracker = switch.tracker();
        let moves = switch.open_moves();
        for (id, leg) in tracker.legs() {
            if views.len() >= limit {
                return views;
            }
            let mut ids = vec![id];
            match &leg.bond {
                // Told with the leg for which it rings, if that is there.
                Bond::RingsFor(originator) if tracker.leg(originator).is_some() => continue,
                // Told once, by the leg that called.
                Bond::TalksTo(peer) => {
                    if let Some(other) = tracker.leg(peer) {
                        let first = (leg.direction == Direction::Outbound, id)
                            < (other.direction == Direction::Outbound, peer);
                        if !first {
                            continue;
                        }
                        ids.push(peer);
                    }
                }
                Bond::Alone | Bond::RingsFor(_) => {}
            }
            ids.extend(tracker.forks_of(id));
            let legs = ids
                .iter()
                .filter_map(|id| Some(leg_view(id, tracker.leg(id)?)))
                .collect();
            let of_call = |open: &&OpenMove| {
                ids.iter()
                    .any(|id| **id == open.old_leg || **id == open.far_leg)
            };
            views.push(CallView {
                switch: name.clone(),
                legs,
                moving: moves.iter().find(of_call).cloned(),
            });
        }
    }
    views
}

fn leg_view(id: &ChannelId, leg: &Leg) -> LegView {
    let state = match (&leg.bond, leg.progress) {
        (Bond::TalksTo(_), Progress::Answered) if leg.holds => "holding",
        (Bond::TalksTo(_), Progress::Answered) => "talking",
        (_, Progress::EarlyMedia) => "early",
        (_, Progress::Setup) => "ringing",
        (Bond::Alone | Bond::RingsFor(_), Progress::Answered) => "alone",
    };
    LegView {
        channel: id.clone(),
        device: leg.device.clone(),
        party: leg.party.clone(),
        state,
    }
}

/// Why an extension rings where it does; `None` if it is not known.
#[must_use]
pub fn why(core: &Core, id: &ExtensionId) -> Option<Vec<WhyView>> {
    let extension = core.directory().extension(id)?;
    let mut views = Vec::new();
    for (name, switch) in core.switches() {
        let hunt = core.explain(name, id)?;
        let (pullable, not_pullable) =
            match pull::candidates(switch.tracker(), extension, None, None) {
                Ok(found) => (found, None),
                Err(refusal) => (Vec::new(), Some(refusal.to_string())),
            };
        let devices = extension.device_ids().map(|device| WhyDevice {
            rings: hunt.targets.contains(&device),
            contacts: switch.contacts(&device).to_vec(),
            calls: switch.tracker().legs_of(&device).count(),
            device,
        });
        views.push(WhyView {
            switch: name.clone(),
            fresh: switch.is_fresh(),
            route: extension.route.clone(),
            devices: devices.collect(),
            rings: hunt.targets,
            steps: hunt.steps,
            pullable,
            not_pullable,
        });
    }
    views.sort_by(|a, b| a.switch.cmp(&b.switch));
    Some(views)
}

//! Asterisk's words to the core's and back, without I/O.
//!
//! Owns which headers of an event mean what, and what has to be remembered between two events to tell: who is in which
//! bridge, and who was called for whom. A device is known by its endpoint, which is part of the channel's name
//! (`PJSIP/<endpoint>-<8 hex digits>`, chan_pjsip.c): nothing that a phone writes into its messages gets there.
//!
//! ```text
//! Newchannel, Newstate, DialBegin, DialState   the leg is told of
//! BridgeEnter, BridgeLeave                     two alone in a bridge of the kind `basic` talk to each other
//! Hold, Unhold                                 the leg holds the other one, or does not any more
//! Hangup                                       gone
//! DTMFBegin, DTMFEnd (Direction: Received)     a digit
//! UserEvent CallhopPush, CallhopNotReached     the push code; the target of a push is not to be had
//! UserEvent CallhopHunted                      by what an inbound call has rung, once it is over
//! ContactStatus                                a registration has changed
//! ```
//!
//! **Invariant**: of a header that comes twice in one event nothing is believed. A caller may write line ends into a number, and
//! Asterisk prints it as it is: so headers can be added to an event, but none of those can be taken away that Asterisk writes
//! itself. (Whole events can't be added: [`callhop_ami::action::EventFilter::NoneInside`].)
//!
//! Asterisk numbers no events. They come over one link in the order in which they happened, so they are counted here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callhop_ami::Event;
use callhop_ami::event::{EventName, Headers};
use callhop_calls::id::{ChannelId, DeviceId, MoveId};
use callhop_calls::lamp::Lamp;
use callhop_calls::tracker::{
    Arming, Change, Direction, Facts, LegEvent, Party, Progress, Sequence, SnapshotLeg, SwitchTime,
};

use super::keys::Keys;
use super::words::is_armed;
use crate::config::Endpoints;
use crate::switch::{Caller, HuntSource};

/// The event that this feature sends.
pub const PUSH_KEY: &str = "CallhopPush";

/// The event that the far leg's dialplan sends when the target of a push is not to be had.
pub const NOT_REACHED: &str = "CallhopNotReached";

/// The event that an inbound call that has asked where to ring sends at its end.
pub const HUNTED: &str = "CallhopHunted";

/// The event by which we see that the event link has caught up.
pub const BARRIER: &str = "CallhopBarrier";

/// Technologies of channels that are no party of a call, but help one (main/bridge.c, app_confbridge.c).
const HELPERS: [&str; 6] = [
    "Surrogate",
    "Announcer",
    "Recorder",
    "CBAnn",
    "CBRec",
    "Message",
];

/// Applications whose channels share a bridge without talking to each other as two do.
const GATHERINGS: [&str; 5] = ["ConfBridge", "MeetMe", "Page", "Park", "BridgeWait"];

/// What the names of the channels begin with that ring for an offer (`callhop-offer` in the dialplan).
const OFFERING: &str = "Local/ring@callhop-offer-";

/// What stands before an offer's id in the id of such a channel.
pub const OFFER: &str = "callhop-";

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something about a leg.
    Leg(LegEvent),
    /// A leg has dialled a digit.
    Digit(ChannelId, char),
    /// A leg has dialled the push code.
    PushKey(ChannelId),
    /// The target of a push is not to be had.
    NotReached(MoveId, String),
    /// An inbound call is over that has rung by this.
    Hunted(HuntSource),
    /// A device has these contacts now.
    Contacts(DeviceId, Vec<String>),
    /// The barrier of this name has come.
    Barrier(String),
}

/// Where the numbers of events come from. A reading takes one, too: what is told after it is newer.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// The next number.
    #[must_use]
    pub fn next(&self) -> Sequence {
        Sequence(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What was remembered of a leg.
#[derive(Debug, Clone)]
struct Known {
    direction: Direction,
    originator: Option<ChannelId>,
    early: bool,
    made_by: Option<MoveId>,
    /// The push of which this is the far leg, while it rings the target.
    rings: Option<MoveId>,
    /// The leg that pushes it.
    pushed_by: Option<ChannelId>,
    arming: Arming,
    keys: Keys,
    /// The basic bridge that it is in.
    bridge: Option<String>,
}

/// What is remembered between events.
#[derive(Debug)]
pub struct Translator {
    endpoints: Endpoints,
    counter: Counter,
    /// When the event came that is being read.
    now: Duration,
    legs: HashMap<ChannelId, Known>,
    bridges: HashMap<String, Vec<ChannelId>>,
    contacts: HashMap<DeviceId, BTreeMap<String, bool>>,
}

impl Translator {
    /// One that knows nothing yet; [`Self::snapshot`] comes next.
    #[must_use]
    pub fn new(endpoints: Endpoints, counter: Counter) -> Self {
        Self {
            endpoints,
            counter,
            now: Duration::ZERO,
            legs: HashMap::new(),
            bridges: HashMap::new(),
            contacts: HashMap::new(),
        }
    }

    /// One for the same switch that knows nothing.
    #[must_use]
    pub fn like_new(&self) -> Self {
        Self::new(self.endpoints.clone(), self.counter.clone())
    }

    /// Takes the contacts of a device as they were read, should they be others than were told. Whether they are.
    pub fn corrects(&mut self, device: &DeviceId, contacts: &[String]) -> bool {
        let known = self.contacts.get(device).map(reachable);
        if known.as_deref() == Some(contacts) {
            return false;
        }
        let contacts = contacts.iter().map(|uri| (uri.clone(), true));
        self.contacts.insert(device.clone(), contacts.collect());
        true
    }

    /// What an event of the switch says; mostly one thing or nothing. `now` is when it came, by a clock that never goes back.
    #[must_use]
    pub fn event(&mut self, event: &Event, now: Duration) -> Vec<Told> {
        if has_a_header_twice(event) {
            return Vec::new();
        }
        self.now = now;
        match event.name() {
            EventName::Newchannel | EventName::Newstate => self.told(event, ""),
            EventName::DialBegin => self.dial_begins(event),
            EventName::DialState => self.dial_goes_on(event),
            EventName::BridgeEnter => self.enters(event),
            EventName::BridgeLeave => self.leaves(event),
            EventName::Hold => self.about(event, Change::Held),
            EventName::Unhold => self.about(event, Change::Unheld),
            EventName::Hangup => self.gone(event),
            EventName::DtmfBegin => {
                self.digit_begins(event, now);
                Vec::new()
            }
            EventName::DtmfEnd => self.digit_ends(event, now).into_iter().collect(),
            EventName::UserEvent => user_event(event).into_iter().collect(),
            EventName::ContactStatus => self.contact(event).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// All channels out of `Status`, in the order of their age, and what is remembered of them from now on. `sequence` is that
    /// of the reading.
    #[must_use]
    pub fn snapshot(&mut self, list: &[Event], sequence: Sequence) -> Vec<SnapshotLeg> {
        self.legs.clear();
        self.bridges.clear();
        let mut list: Vec<(u64, &Event)> = list
            .iter()
            .filter(|event| !has_a_header_twice(event))
            .map(|event| (event.number("Seconds").unwrap_or(0), event))
            .collect();
        list.sort_by_key(|(seconds, _)| std::cmp::Reverse(*seconds));
        for (_, event) in &list {
            let Some(leg) = channel(event, "") else {
                continue;
            };
            let bridge = bridge_of(event);
            if let Some(bridge) = &bridge {
                let members = self.bridges.entry(bridge.clone()).or_default();
                members.push(leg.clone());
            }
            let known = Known {
                bridge,
                ..first_sight(event)
            };
            self.legs.insert(leg, known);
        }
        let held: HashSet<ChannelId> = list
            .iter()
            .filter(|(_, event)| is_held(event))
            .filter_map(|(_, event)| channel(event, ""))
            .collect();
        let legs = list.iter().filter_map(|(_, event)| {
            let mut leg = self.snapshot_leg(event, sequence)?;
            leg.holds = leg
                .talks_to
                .as_ref()
                .is_some_and(|peer| held.contains(peer));
            Some(leg)
        });
        legs.collect()
    }

    /// One channel out of its own `Status`, which names the one that it talks to. That it holds that one is said by the other
    /// one's.
    #[must_use]
    pub fn reading(&self, status: &Event, sequence: Sequence) -> Option<SnapshotLeg> {
        let mut leg = self.snapshot_leg(status, sequence)?;
        leg.talks_to = bridge_of(status).and_then(|_| {
            // Set as long as two are alone in a bridge (main/bridge.c, set_bridge_peer_vars_2party).
            status.variable("Variable", "BRIDGEPEER")?.parse().ok()
        });
        Some(leg)
    }

    fn snapshot_leg(&self, event: &Event, sequence: Sequence) -> Option<SnapshotLeg> {
        let leg = channel(event, "").filter(|_| !has_a_header_twice(event))?;
        let known = self.legs.get(&leg);
        let talks_to = self.peer(&leg);
        Some(SnapshotLeg {
            sequence,
            facts: self.facts(event, "", &leg, known),
            holds: false,
            talks_to,
            leg,
        })
    }

    /// The other one of the two that are alone in a bridge.
    #[must_use]
    pub fn peer(&self, leg: &ChannelId) -> Option<ChannelId> {
        let bridge = self.legs.get(leg)?.bridge.as_ref()?;
        other_of_two(self.bridges.get(bridge)?, leg)
    }

    /// All registrations out of `PJSIPShowContacts`.
    #[must_use]
    pub fn registrations(&mut self, list: &[Event]) -> HashMap<DeviceId, Vec<String>> {
        self.contacts.clear();
        for event in list {
            let Some(endpoint) = event.get_filled("Endpoint") else {
                continue;
            };
            let (Some(device), Some(uri)) = (
                self.endpoints.device(&endpoint),
                event.get_filled("Uri").map(|uri| uri.into_owned()),
            ) else {
                continue;
            };
            let reachable = is_reachable(event.get("Status").as_deref());
            self.contacts
                .entry(device)
                .or_default()
                .insert(uri, reachable);
        }
        self.contacts
            .iter()
            .map(|(device, contacts)| (device.clone(), reachable(contacts)))
            .collect()
    }

    /// The two are taken apart: who pushes, and the far end.
    pub fn pushes(&mut self, old_leg: &ChannelId, far_leg: &ChannelId) {
        if let Some(known) = self.legs.get_mut(far_leg) {
            known.pushed_by = Some(old_leg.clone());
        }
    }

    /// The far leg rings the target of this push: whoever it dials is one. The leg that pushes, if that is remembered.
    pub fn rings(&mut self, far_leg: &ChannelId, id: MoveId) -> Option<ChannelId> {
        let known = self.legs.get_mut(far_leg)?;
        known.rings = Some(id);
        known.pushed_by.clone()
    }

    /// Whoever the far leg dials from now on is no target of a push.
    pub fn rings_no_more(&mut self, far_leg: &ChannelId) {
        if let Some(known) = self.legs.get_mut(far_leg) {
            known.rings = None;
        }
    }

    /// The leg's `DYNAMIC_FEATURES` are set. They count from its next bridge on.
    pub fn prepared(&mut self, leg: &ChannelId) {
        if let Some(known) = self.legs.get_mut(leg)
            && known.arming == Arming::No
        {
            known.arming = Arming::Prepared;
        }
    }

    fn told(&mut self, event: &Event, prefix: &str) -> Vec<Told> {
        let Some(leg) = channel(event, prefix) else {
            return Vec::new();
        };
        self.legs
            .entry(leg.clone())
            .or_insert_with(|| first_sight(event));
        vec![self.leg_event(event, prefix, leg, Change::Told)]
    }

    fn about(&mut self, event: &Event, change: Change) -> Vec<Told> {
        match channel(event, "") {
            Some(leg) => vec![self.leg_event(event, "", leg, change)],
            None => Vec::new(),
        }
    }

    fn dial_begins(&mut self, event: &Event) -> Vec<Told> {
        let Some(leg) = channel(event, "Dest") else {
            return Vec::new();
        };
        let originator = channel(event, "");
        let rings = |originator: &ChannelId| self.legs.get(originator)?.rings;
        let made_by = originator.as_ref().and_then(rings).or_else(|| offer(event));
        let known = self
            .legs
            .entry(leg.clone())
            .or_insert_with(|| first_sight(event));
        known.direction = Direction::Outbound;
        known.originator = originator;
        known.made_by = made_by;
        vec![self.leg_event(event, "Dest", leg, Change::Told)]
    }

    fn dial_goes_on(&mut self, event: &Event) -> Vec<Told> {
        let Some(leg) = channel(event, "Dest") else {
            return Vec::new();
        };
        if event.raw("DialStatus") == Some(b"PROGRESS")
            && let Some(known) = self.legs.get_mut(&leg)
        {
            known.early = true;
        }
        vec![self.leg_event(event, "Dest", leg, Change::Told)]
    }

    fn enters(&mut self, event: &Event) -> Vec<Told> {
        let Some((leg, bridge)) = in_basic_bridge(event) else {
            return Vec::new();
        };
        let known = self
            .legs
            .entry(leg.clone())
            .or_insert_with(|| first_sight(event));
        known.bridge = Some(bridge.clone());
        if known.arming == Arming::Prepared {
            known.arming = Arming::Armed;
        }
        let members = self.bridges.entry(bridge).or_default();
        if !members.contains(&leg) {
            members.push(leg.clone());
        }
        let other = other_of_two(members, &leg);
        match other {
            Some(other) => vec![self.leg_event(event, "", leg, Change::Bridged(other))],
            None => vec![self.leg_event(event, "", leg, Change::Told)],
        }
    }

    fn leaves(&mut self, event: &Event) -> Vec<Told> {
        let Some((leg, bridge)) = in_basic_bridge(event) else {
            return Vec::new();
        };
        let other = self.out_of(&leg, &bridge);
        let mut told = Vec::new();
        if let Some(other) = other {
            told.push(self.leg_event(event, "", leg, Change::Unbridged(other)));
        }
        // Of three, the two that are left talk to each other.
        if let Some([one, two]) = self.bridges.get(&bridge).map(Vec::as_slice)
            && told.is_empty()
        {
            let (one, two) = (one.clone(), two.clone());
            told.push(Told::Leg(LegEvent {
                sequence: self.counter.next(),
                leg: one,
                at: self.at(),
                facts: None,
                change: Change::Bridged(two),
            }));
        }
        told
    }

    /// Takes a leg out of a bridge: with whom it was alone there.
    fn out_of(&mut self, leg: &ChannelId, bridge: &str) -> Option<ChannelId> {
        if let Some(known) = self.legs.get_mut(leg)
            && known.bridge.as_deref() == Some(bridge)
        {
            known.bridge = None;
        }
        let members = self.bridges.get_mut(bridge)?;
        let other = other_of_two(members, leg);
        members.retain(|member| member != leg);
        if members.is_empty() {
            self.bridges.remove(bridge);
        }
        other
    }

    fn gone(&mut self, event: &Event) -> Vec<Told> {
        let Some(leg) = channel(event, "") else {
            return Vec::new();
        };
        if let Some(bridge) = self.legs.get(&leg).and_then(|known| known.bridge.clone()) {
            self.out_of(&leg, &bridge);
        }
        self.legs.remove(&leg);
        vec![Told::Leg(LegEvent {
            sequence: self.counter.next(),
            leg,
            at: self.at(),
            facts: None,
            change: Change::Gone,
        })]
    }

    fn digit_begins(&mut self, event: &Event, now: Duration) {
        if let Some(leg) = received_by(event)
            && let Some(known) = self.legs.get_mut(&leg)
        {
            known.keys.begins(now);
        }
    }

    fn digit_ends(&mut self, event: &Event, now: Duration) -> Option<Told> {
        let leg = received_by(event)?;
        let digit = event.get("Digit")?;
        let mut chars = digit.chars();
        let (Some(digit @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) =
            (chars.next(), chars.next())
        else {
            return None;
        };
        let lasts = Duration::from_millis(event.number("DurationMs").unwrap_or(0));
        let known = self.legs.get_mut(&leg);
        let is_new = known.is_none_or(|known| known.keys.ends(digit, lasts, now));
        is_new.then_some(Told::Digit(leg, digit))
    }

    /// How long the switch goes on playing the leg's last digit to whatever the leg is in.
    #[must_use]
    pub fn digit_lasts(&self, leg: &ChannelId, now: Duration) -> Duration {
        let until = self.legs.get(leg).map(|known| known.keys.plays_until);
        until.unwrap_or_default().saturating_sub(now)
    }

    fn contact(&mut self, event: &Event) -> Option<Told> {
        // An endpoint may have several addresses of record; without one of its own name the address is taken for it.
        let endpoint = ["EndpointName", "AOR"]
            .iter()
            .find_map(|name| event.get_filled(name));
        let device = self.endpoints.device(&endpoint?)?;
        let uri = event.get_filled("URI")?.into_owned();
        let status = event.get("ContactStatus");
        let contacts = self.contacts.entry(device.clone()).or_default();
        if status.as_deref() == Some("Removed") {
            contacts.remove(&uri);
        } else {
            contacts.insert(uri, is_reachable(status.as_deref()));
        }
        let contacts = reachable(contacts);
        if contacts.is_empty() {
            self.contacts.remove(&device);
        }
        Some(Told::Contacts(device, contacts))
    }

    /// Events carry no time (manager.conf, `timestampevents`, is off as a rule): when they came has to do.
    fn at(&self) -> Option<SwitchTime> {
        Some(SwitchTime(self.now))
    }

    fn leg_event(&self, event: &Event, prefix: &str, leg: ChannelId, change: Change) -> Told {
        let facts = self.facts(event, prefix, &leg, self.legs.get(&leg));
        Told::Leg(LegEvent {
            sequence: self.counter.next(),
            leg,
            at: self.at(),
            facts: Some(facts),
            change,
        })
    }

    fn facts(&self, event: &Event, prefix: &str, leg: &ChannelId, known: Option<&Known>) -> Facts {
        let get = |name: &str| shown(event, &format!("{prefix}{name}"));
        let up = event.number(&format!("{prefix}ChannelState")) == Some(6);
        let progress = match known {
            _ if up => Progress::Answered,
            Some(Known { early: true, .. }) => Progress::EarlyMedia,
            Some(_) | None => Progress::Setup,
        };
        Facts {
            device: endpoint(leg).and_then(|endpoint| self.endpoints.device(endpoint)),
            direction: known.map_or(Direction::Inbound, |known| known.direction),
            progress,
            originator: known.and_then(|known| known.originator.clone()),
            party: Party {
                number: get("CallerIDNum"),
                name: get("CallerIDName"),
            },
            codec: None,
            phone: None,
            arming: known.map_or(Arming::No, |known| known.arming),
            made_by: known.and_then(|known| known.made_by),
        }
    }

    /// The channel that asks, out of its `Status`; `None` if that is not one of a channel.
    #[must_use]
    pub fn caller(endpoints: &Endpoints, status: &Event) -> Option<Caller> {
        let leg = channel(status, "").filter(|_| !has_a_header_twice(status))?;
        let device = endpoint(&leg).and_then(|endpoint| endpoints.device(endpoint));
        let variable = |name| status.variable("Variable", name).map(|v| v.into_owned());
        let dialled = variable("CALLHOP_DIALLED").or_else(|| variable("CALLHOP_NUMBER"));
        let domain = variable("CALLHOP_DOMAIN").and_then(|domain| domain.parse().ok());
        Some(Caller {
            // 4: `Ring`, it has called and nobody has answered (channelstate.h).
            is_waiting: status.number("ChannelState") == Some(4),
            dialled: dialled.unwrap_or_default(),
            extension: variable("CALLHOP_EXTENSION").filter(|extension| !extension.is_empty()),
            domain: domain.or_else(|| device.as_ref().map(|device| device.domain.clone())),
            device,
            phone: None,
            codecs: Vec::new(),
            // 6: `Up`.
            made_by: variable("CALLHOP_MOVE")
                .and_then(|id| id.parse().ok())
                .filter(|_| status.number("ChannelState") == Some(6)),
            leg,
        })
    }
}

/// Whether a header is there twice, other than `Variable`, which `Status` repeats by itself.
fn has_a_header_twice(event: &Headers) -> bool {
    let mut seen = HashSet::new();
    event
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .any(|name| name != "variable" && !seen.insert(name))
}

/// What can be told when a leg is seen for the first time.
fn first_sight(event: &Event) -> Known {
    let state = event.number("ChannelState");
    let application = event.get("Application").unwrap_or_default();
    // `Ring`: it has called. `Down` and `Ringing`: it is called (channelstate.h). `AppDial`: it was (app_dial.c).
    let outbound = matches!(state, Some(0 | 1 | 5)) || application.starts_with("AppDial");
    let move_id = event.variable("Variable", "CALLHOP_MOVE");
    Known {
        direction: if outbound {
            Direction::Outbound
        } else {
            Direction::Inbound
        },
        originator: None,
        early: false,
        made_by: move_id.and_then(|id| id.parse().ok()),
        rings: None,
        pushed_by: None,
        arming: if event
            .variable("Variable", "DYNAMIC_FEATURES")
            .is_some_and(|features| is_armed(&features))
        {
            Arming::Armed
        } else {
            Arming::No
        },
        keys: Keys::default(),
        bridge: None,
    }
}

/// The channel of an event; `None` for those that are no party of a call.
fn channel(event: &Headers, prefix: &str) -> Option<ChannelId> {
    let name = event.get_filled(&format!("{prefix}Channel"))?;
    let technology = name.split('/').next().unwrap_or_default();
    if HELPERS.contains(&technology) || name.starts_with(OFFERING) {
        return None;
    }
    name.parse().ok()
}

/// The offer for which this channel dials.
fn offer(event: &Headers) -> Option<MoveId> {
    let is_ours = event.get("Channel")?.starts_with(OFFERING);
    let id = event.get("Uniqueid").filter(|_| is_ours)?;
    id.strip_prefix(OFFER)?.strip_suffix("-2")?.parse().ok()
}

/// The endpoint in a channel's name.
fn endpoint(leg: &ChannelId) -> Option<&str> {
    let (endpoint, number) = leg.as_str().strip_prefix("PJSIP/")?.rsplit_once('-')?;
    let is_number = number.len() == 8 && number.bytes().all(|b| b.is_ascii_hexdigit());
    is_number.then_some(endpoint)
}

/// Whether the other side holds this channel (`CHANNEL(onhold)` is 1 on the side that is held).
#[must_use]
pub fn is_held(status: &Event) -> bool {
    status.variable("Variable", "CHANNEL(onhold)").as_deref() == Some("1")
}

fn in_basic_bridge(event: &Event) -> Option<(ChannelId, String)> {
    if event.raw("BridgeType") != Some(b"basic") {
        return None;
    }
    let bridge = event.get_filled("BridgeUniqueid")?.into_owned();
    Some((channel(event, "")?, bridge))
}

/// The bridge of a channel in `Status`, if it is one in which two may talk.
fn bridge_of(event: &Event) -> Option<String> {
    let application = event.get("Application").unwrap_or_default();
    if GATHERINGS.contains(&application.as_ref()) {
        return None;
    }
    event
        .get_filled("BridgeID")
        .map(|bridge| bridge.into_owned())
}

fn other_of_two(members: &[ChannelId], leg: &ChannelId) -> Option<ChannelId> {
    match members {
        [one, two] if one == leg => Some(two.clone()),
        [one, two] if two == leg => Some(one.clone()),
        _ => None,
    }
}

/// A value that people may read; Asterisk writes `<unknown>` where it has none.
fn shown(event: &Event, name: &str) -> String {
    let value = event.get(name).unwrap_or_default();
    if value == "<unknown>" {
        String::new()
    } else {
        value.into_owned()
    }
}

/// The leg that has dialled a digit.
fn received_by(event: &Event) -> Option<ChannelId> {
    if event.raw("Direction") != Some(b"Received") {
        return None;
    }
    channel(event, "")
}

fn user_event(event: &Event) -> Option<Told> {
    match event.get("UserEvent")?.as_ref() {
        PUSH_KEY => Some(Told::PushKey(channel(event, "")?)),
        NOT_REACHED => {
            let id = event.get("Move")?.parse().ok()?;
            Some(Told::NotReached(id, cause(event)))
        }
        HUNTED => HuntSource::of(&event.get("Source")?).map(Told::Hunted),
        BARRIER => Some(Told::Barrier(event.get("Nonce")?.into_owned())),
        _ => None,
    }
}

/// Why nobody was reached, as the hangup causes of Q.850 are called in lower case; the same words as on the other switch.
fn cause(event: &Event) -> String {
    let status = event.get("Status").unwrap_or_default();
    match (status.as_ref(), event.number("Cause")) {
        ("BUSY", _) => "user_busy",
        ("NOANSWER", _) => "no_answer",
        (_, Some(21)) => "call_rejected",
        (_, Some(20)) => "user_not_registered",
        ("CHANUNAVAIL", _) => "destination_out_of_order",
        ("CONGESTION", _) => "normal_circuit_congestion",
        _ => "unknown_cause",
    }
    .to_owned()
}

/// The lamp of a custom device state (`DBGetTree`), if it is one of ours that is lit.
#[must_use]
pub fn lit_lamp(state: &Event) -> Option<Lamp> {
    let key = state.get("Key")?;
    let (name, domain) = key.rsplit('/').next()?.split_once('@')?;
    let is_lit = state.get("Val")? != "NOT_INUSE";
    let lamp = Lamp::parse(name, &domain.parse().ok()?).ok()?;
    is_lit.then_some(lamp)
}

fn is_reachable(status: Option<&str>) -> bool {
    // `NonQual` and `NonQualified`: nobody asks whether it is.
    !matches!(status, Some("Unreachable" | "Unavail" | "Removed"))
}

fn reachable(contacts: &BTreeMap<String, bool>) -> Vec<String> {
    let contacts = contacts.iter().filter(|(_, reachable)| **reachable);
    contacts.map(|(uri, _)| uri.clone()).collect()
}

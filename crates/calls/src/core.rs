//! The core: everything that happens goes in as an [`Input`], everything that is wanted comes out as an [`Output`].
//!
//! Owns the trackers of all switches, the directory, and every move under way. Refuses to wait, to read a clock and to
//! talk to anybody: the driver does, and each of its answers is an input again. One task owns a [`Core`] and calls, in
//! this order and without end: [`Core::handle`] with what came next, then [`Core::poll_output`] until it is empty, then
//! sleeps until [`Core::next_timer`].
//!
//! A pull (numbers are the states of a move):
//!
//! ```text
//! star code --> choose --------------------------> refused
//!                 |
//!                 v         bridge of new_leg and far_leg
//!               (1) Asked ------------------------------> moved
//!                 |  \
//!                 |   `-- new_leg or far_leg gone, When it takes too long --> failed
//!                 v
//!               link lost --> (2) Unknown -- resynced --> moved / failed
//! ```
//!
//! **Invariant**: a pull is moved only by the switch's report of the bridge between exactly `new_leg` and `far_leg`.
//! **Invariant**: the core has no output that hangs up a leg of the old call.
//! **Invariant**: a far leg is in at most one move.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::directory::{Directory, Extension, Route, RouteEnd, RouteTarget};
use crate::id::{ChannelId, DeviceId, Domain, ExtensionId, SwitchName, UnixTime};
use crate::pull::{self, Candidate, Class, PullRefusal};
use crate::routing::{self, Hunt, Policy, RouteRefusal};
use crate::star::{StarCode, StarError};
use crate::tracker::{Applied, Change, Corrections, LegEvent, Party, SnapshotLeg, Tracker};

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

/// One move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MoveId(pub u64);

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
    /// A device has these contacts now; none means that it is not registered.
    Contacts(SwitchName, DeviceId, Vec<String>),
    /// All registrations of a switch; devices that are not named have none.
    Registrations(SwitchName, HashMap<DeviceId, Vec<String>>),
    /// These extensions are in the database now, those are not any more.
    Directory(Vec<Extension>, Vec<ExtensionId>),
    /// These and no other extensions are in the database: it has been read whole.
    WholeDirectory(Vec<Extension>),
    /// Somebody has dialled a star code.
    StarCode(Asked),
    /// An inbound call asks where to ring.
    Hunt(AskId, SwitchName, ExtensionId),
    /// What became of [`Output::StoreRoute`].
    RouteStored(AskId, Result<(), StoreFailure>),
    /// The time has come that [`Core::next_timer`] named.
    Timer,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// How long the bridge may take once the new leg's dialplan has been told: about a hundred times what was measured.
pub const BRIDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for a far end that still rings: longer than the dialplan lets the new leg wait for it (180 s).
pub const RINGING_TIMEOUT: Duration = Duration::from_secs(185);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MoveState {
    /// (1) The new leg's dialplan has been told; `Timer`: When the bridge has not come until then.
    Asked { until: Duration },
    /// (2) The link was lost meanwhile: the snapshot will tell.
    Unknown,
}

#[derive(Debug, Clone)]
struct Move {
    extension: ExtensionId,
    to: DeviceId,
    new_leg: ChannelId,
    candidate: Candidate,
    started: Duration,
    state: MoveState,
}

/// A switch as the core knows it.
#[derive(Debug, Default)]
pub struct Switch {
    tracker: Tracker,
    fresh: bool,
    moves: HashMap<ChannelId, (MoveId, Move)>,
    contacts: HashMap<DeviceId, Vec<String>>,
    published: HashMap<ExtensionId, Answer>,
}

impl Switch {
    /// Its legs.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Whether it has been read since the link came up.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The contacts of a device, none if it is not registered.
    #[must_use]
    pub fn contacts(&self, device: &DeviceId) -> &[String] {
        self.contacts.get(device).map_or(&[], Vec::as_slice)
    }

    /// How many moves are under way.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.moves.len()
    }
}

/// The core.
#[derive(Debug)]
pub struct Core {
    directory: Directory,
    switches: HashMap<SwitchName, Switch>,
    policies: HashMap<Domain, Policy>,
    default_policy: Policy,
    outputs: VecDeque<Output>,
    pending_routes: HashMap<AskId, ExtensionId>,
    next_move: u64,
    /// Routes that ended up to here have been published.
    ends_seen: UnixTime,
    now: Now,
}

impl Core {
    /// A core for these switches, with the settings of the domains that have some and of all others.
    #[must_use]
    pub fn new(
        switches: impl IntoIterator<Item = SwitchName>,
        policies: HashMap<Domain, Policy>,
        default_policy: Policy,
        now: Now,
    ) -> Self {
        Self {
            directory: Directory::default(),
            switches: switches
                .into_iter()
                .map(|name| (name, Switch::default()))
                .collect(),
            policies,
            default_policy,
            outputs: VecDeque::new(),
            pending_routes: HashMap::new(),
            next_move: 1,
            ends_seen: now.unix,
            now,
        }
    }

    /// Takes what happened. Outputs follow by [`Self::poll_output`].
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::Leg(switch, event) => self.handle_leg(&switch, event),
            Input::LinkDown(switch) => self.handle_link_down(&switch),
            Input::Resynced(switch, legs) => self.handle_resynced(&switch, legs),
            Input::Reconciled(switch, read, absent) => {
                self.handle_reconciled(&switch, read, &absent)
            }
            Input::Contacts(switch, device, contacts) => {
                self.handle_contacts(&switch, device, contacts)
            }
            Input::Registrations(switch, all) => self.handle_registrations(&switch, all),
            Input::Directory(changed, removed) => self.handle_directory(changed, removed),
            Input::WholeDirectory(extensions) => self.handle_whole_directory(extensions),
            Input::StarCode(asked) => self.handle_star(asked),
            Input::Hunt(ask, switch, extension) => self.handle_hunt(ask, &switch, &extension),
            Input::RouteStored(ask, result) => self.handle_route_stored(ask, result),
            Input::Timer => self.handle_timer(),
        }
    }

    /// What is wanted next; `None` when there is nothing more for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due, as time since the start of the program.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        let moves = self
            .switches
            .values()
            .flat_map(|switch| switch.moves.values());
        moves
            .filter_map(|(_, m)| match m.state {
                MoveState::Asked { until } => Some(until),
                MoveState::Unknown => None,
            })
            .min()
    }

    /// The directory as last read.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// A switch by its name.
    #[must_use]
    pub fn switch(&self, name: &SwitchName) -> Option<&Switch> {
        self.switches.get(name)
    }

    /// All switches.
    pub fn switches(&self) -> impl Iterator<Item = (&SwitchName, &Switch)> {
        self.switches.iter()
    }

    /// The settings of a domain.
    #[must_use]
    pub fn policy(&self, domain: &Domain) -> &Policy {
        self.policies.get(domain).unwrap_or(&self.default_policy)
    }

    /// Where an inbound call to an extension would ring on a switch now, and why.
    #[must_use]
    pub fn explain(&self, switch: &SwitchName, extension: &ExtensionId) -> Option<Hunt> {
        let switch = self.switches.get(switch)?;
        self.resolve(switch, extension)
    }

    fn handle_leg(&mut self, name: &SwitchName, event: LegEvent) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let (leg, change) = (event.leg.clone(), event.change.clone());
        if switch.tracker.handle_event(event, self.now.mono) == Applied::TooLate {
            return;
        }
        match change {
            Change::Bridged(peer) => self.bridged(name, &leg, &peer),
            Change::Gone => self.gone(name, &leg),
            Change::Told | Change::Unbridged(_) | Change::Held | Change::Unheld => {}
        }
    }

    fn bridged(&mut self, name: &SwitchName, one: &ChannelId, two: &ChannelId) {
        for (far, new) in [(one, two), (two, one)] {
            let Some(switch) = self.switches.get_mut(name) else {
                return;
            };
            if switch
                .moves
                .get(far)
                .is_some_and(|(_, m)| m.new_leg == *new)
            {
                self.close(name, &far.clone(), MoveEnd::Moved);
            }
        }
    }

    fn gone(&mut self, name: &SwitchName, leg: &ChannelId) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        if switch.moves.contains_key(leg) {
            self.close(name, leg, MoveEnd::FarEndGone);
            return;
        }
        let far = switch
            .moves
            .iter()
            .find(|(_, (_, m))| m.new_leg == *leg)
            .map(|(far, _)| far.clone());
        if let Some(far) = far {
            self.close(name, &far, MoveEnd::NewLegGone);
        }
    }

    fn close(&mut self, name: &SwitchName, far: &ChannelId, end: MoveEnd) {
        let Some((id, m)) = self
            .switches
            .get_mut(name)
            .and_then(|switch| switch.moves.remove(far))
        else {
            return;
        };
        self.outputs.push_back(Output::Moved(MoveReport {
            id,
            switch: name.clone(),
            extension: m.extension,
            class: m.candidate.class,
            from: m.candidate.device,
            to: m.to,
            old_leg: m.candidate.old_leg,
            new_leg: m.new_leg,
            far_leg: m.candidate.far_leg,
            end,
            took: self.now.mono.saturating_sub(m.started),
        }));
    }

    fn handle_link_down(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.fresh = false;
        for (_, m) in switch.moves.values_mut() {
            m.state = MoveState::Unknown;
        }
    }

    fn handle_resynced(&mut self, name: &SwitchName, legs: Vec<SnapshotLeg>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.tracker.resync(legs);
        switch.fresh = true;
        // The switch may have been restarted: its copy of the snapshot is written anew.
        switch.published.clear();
        let ends: Vec<_> = switch
            .moves
            .iter()
            .map(|(far, (_, m))| {
                let end = match (switch.tracker.leg(far), switch.tracker.leg(&m.new_leg)) {
                    (Some(leg), Some(_)) if leg.peer() == Some(&m.new_leg) => MoveEnd::Moved,
                    (None, _) => MoveEnd::FarEndGone,
                    (Some(_), None) => MoveEnd::NewLegGone,
                    (Some(_), Some(_)) => MoveEnd::NoBridge,
                };
                (far.clone(), end)
            })
            .collect();
        for (far, end) in ends {
            self.close(name, &far, end);
        }
        self.publish_all(name);
    }

    fn handle_reconciled(
        &mut self,
        name: &SwitchName,
        read: Vec<SnapshotLeg>,
        absent: &[ChannelId],
    ) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let corrections = switch.tracker.reconcile(read, absent, self.now.mono);
        for leg in absent {
            self.gone(name, leg);
        }
        if corrections.total() > 0 {
            self.outputs
                .push_back(Output::Corrected(name.clone(), corrections));
        }
    }

    fn handle_contacts(&mut self, name: &SwitchName, device: DeviceId, contacts: Vec<String>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        if switch.contacts(&device) == contacts {
            return;
        }
        if contacts.is_empty() {
            switch.contacts.remove(&device);
        } else {
            switch.contacts.insert(device.clone(), contacts);
        }
        self.publish_device(name, &device);
    }

    fn handle_registrations(&mut self, name: &SwitchName, all: HashMap<DeviceId, Vec<String>>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.contacts = all;
        self.publish_all(name);
    }

    fn handle_directory(&mut self, changed: Vec<Extension>, removed: Vec<ExtensionId>) {
        for id in &removed {
            self.directory.remove(id);
        }
        let mut touched: Vec<_> = changed
            .iter()
            .map(|extension| extension.id.clone())
            .collect();
        for extension in changed {
            self.directory.insert(extension);
        }
        self.add_routed(&mut touched);
        let names: Vec<_> = self.switches.keys().cloned().collect();
        for name in names {
            for id in &removed {
                let known = self
                    .switches
                    .get_mut(&name)
                    .and_then(|switch| switch.published.remove(id));
                if known.is_some() {
                    self.outputs
                        .push_back(Output::Publish(name.clone(), id.clone(), None));
                }
            }
            self.publish(&name, touched.clone());
        }
    }

    fn handle_star(&mut self, asked: Asked) {
        let ask = asked.ask;
        if let Err(refusal) = self.star(asked) {
            self.outputs.push_back(Output::Refuse(ask, refusal));
        }
    }

    fn star(&mut self, asked: Asked) -> Result<(), Refusal> {
        let device = asked.device.clone().ok_or(Refusal::NotAuthenticated)?;
        let extension = self
            .directory
            .owner(&device)
            .ok_or_else(|| Refusal::NoExtension(device.clone()))?;
        let policy = self.policy(&device.domain);
        let route = match policy.features.parse(&asked.dialled)? {
            StarCode::Pull(from) => {
                let id = extension.id.clone();
                return self.pull(asked, device, &id, from.as_ref());
            }
            StarCode::RouteHere => Some(RouteTarget::Device(device.clone())),
            StarCode::RouteTo(number) => Some(routing::target(
                &self.directory,
                extension,
                &number,
                policy,
                self.now.unix,
            )?),
            StarCode::RouteReset => None,
        };
        let extension = extension.id.clone();
        self.pending_routes.insert(asked.ask, extension.clone());
        self.outputs.push_back(Output::StoreRoute {
            ask: asked.ask,
            extension,
            route: route.map(|target| Route {
                target,
                end: RouteEnd::Never,
            }),
            device,
        });
        Ok(())
    }

    fn pull(
        &mut self,
        asked: Asked,
        to: DeviceId,
        extension: &ExtensionId,
        from: Option<&crate::id::Number>,
    ) -> Result<(), Refusal> {
        let (Some(owner), Some(switch)) = (
            self.directory.extension(extension),
            self.switches.get_mut(&asked.switch),
        ) else {
            return Err(Refusal::Stale);
        };
        if !switch.fresh {
            return Err(Refusal::Stale);
        }
        let found = pull::candidates(&switch.tracker, owner, Some(&asked.new_leg), from)?;
        let Some(best) = found.into_iter().next() else {
            return Err(PullRefusal::NothingToPull.into());
        };
        if switch.moves.contains_key(&best.far_leg) {
            return Err(PullRefusal::MoveUnderWay(best.device).into());
        }
        let far = switch.tracker.leg(&best.far_leg);
        let party = far.map(|far| far.party.clone()).unwrap_or_default();
        let codec = far.and_then(|far| far.codec.clone()).filter(|codec| {
            asked
                .codecs
                .iter()
                .any(|offered| offered.eq_ignore_ascii_case(codec))
        });
        let wait = match best.class {
            Class::RingingOutbound => RINGING_TIMEOUT,
            Class::Talking | Class::Held | Class::RingingInbound => BRIDGE_TIMEOUT,
        };
        let id = MoveId(self.next_move);
        self.next_move += 1;
        let order = PullOrder {
            ask: asked.ask,
            switch: asked.switch,
            forks: best.forks.clone(),
            far_leg: best.far_leg.clone(),
            codec,
            party,
        };
        let m = Move {
            extension: extension.clone(),
            to,
            new_leg: asked.new_leg,
            candidate: best,
            started: self.now.mono,
            state: MoveState::Asked {
                until: self.now.mono + wait,
            },
        };
        switch.moves.insert(order.far_leg.clone(), (id, m));
        self.outputs.push_back(Output::Pull(order));
        Ok(())
    }

    fn handle_hunt(&mut self, ask: AskId, name: &SwitchName, extension: &ExtensionId) {
        let hunt = self
            .switches
            .get(name)
            .and_then(|switch| Some((switch, self.resolve(switch, extension)?)));
        let Some((switch, hunt)) = hunt else {
            self.outputs.push_back(Output::Targets(ask, None));
            return;
        };
        let answer = Answer::new(&hunt.targets, switch);
        for (extension, route) in hunt.used_up {
            self.outputs
                .push_back(Output::ConsumeRoute(extension, route));
        }
        self.outputs.push_back(Output::Targets(ask, Some(answer)));
    }

    fn resolve(&self, switch: &Switch, extension: &ExtensionId) -> Option<Hunt> {
        let unregistered = self.policy(&extension.domain).unregistered;
        routing::hunt(
            &self.directory,
            extension,
            self.now.unix,
            unregistered,
            |device| !switch.contacts(device).is_empty(),
        )
    }

    fn handle_route_stored(&mut self, ask: AskId, result: Result<(), StoreFailure>) {
        if self.pending_routes.remove(&ask).is_none() {
            return;
        }
        self.outputs.push_back(match result {
            Ok(()) => Output::Confirm(ask),
            Err(failure) => Output::Refuse(ask, failure.into()),
        });
    }

    fn handle_timer(&mut self) {
        let now = self.now.mono;
        let late: Vec<_> = self
            .switches
            .iter()
            .flat_map(|(name, switch)| {
                switch
                    .moves
                    .iter()
                    .filter_map(move |(far, (_, m))| match m.state {
                        MoveState::Asked { until } if until <= now => {
                            Some((name.clone(), far.clone()))
                        }
                        MoveState::Asked { .. } | MoveState::Unknown => None,
                    })
            })
            .collect();
        for (name, far) in late {
            self.close(&name, &far, MoveEnd::NoBridge);
        }
        let ended = self
            .directory
            .ends_after(self.ends_seen)
            .take_while(|(end, _)| *end <= self.now.unix);
        let mut ended: Vec<_> = ended.map(|(_, id)| id.clone()).collect();
        self.ends_seen = self.now.unix;
        if !ended.is_empty() {
            self.add_routed(&mut ended);
            let names: Vec<_> = self.switches.keys().cloned().collect();
            for name in names {
                self.publish(&name, ended.clone());
            }
        }
    }

    fn handle_whole_directory(&mut self, extensions: Vec<Extension>) {
        let there: HashSet<_> = extensions.iter().map(|extension| &extension.id).collect();
        let known = self.directory.extensions().map(|extension| &extension.id);
        let removed = known.filter(|id| !there.contains(id)).cloned().collect();
        self.handle_directory(extensions, removed);
    }

    /// A route may lead through any other extension of its domain.
    fn add_routed(&self, touched: &mut Vec<ExtensionId>) {
        touched.extend(self.directory.routed().cloned());
        touched.sort();
        touched.dedup();
    }

    /// Publishes what has changed for any extension, on one switch.
    fn publish_all(&mut self, name: &SwitchName) {
        let ids: Vec<_> = self
            .directory
            .extensions()
            .map(|extension| extension.id.clone())
            .collect();
        self.publish(name, ids);
    }

    /// Publishes what has changed because of one device.
    fn publish_device(&mut self, name: &SwitchName, device: &DeviceId) {
        let Some(owner) = self
            .directory
            .owner(device)
            .map(|extension| extension.id.clone())
        else {
            return;
        };
        // Those whose route leads to the owner.
        let ids: Vec<_> = self
            .directory
            .extensions()
            .filter(|e| e.id == owner || (e.route.is_some() && e.id.domain == owner.domain))
            .map(|e| e.id.clone())
            .collect();
        self.publish(name, ids);
    }

    fn publish(&mut self, name: &SwitchName, ids: Vec<ExtensionId>) {
        let Some(switch) = self.switches.get(name).filter(|switch| switch.fresh) else {
            return;
        };
        let changed: Vec<_> = ids
            .into_iter()
            .filter_map(|id| {
                let answer = Answer::new(&self.resolve(switch, &id)?.targets, switch);
                (switch.published.get(&id) != Some(&answer)).then_some((id, answer))
            })
            .collect();
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        for (id, answer) in changed {
            switch.published.insert(id.clone(), answer.clone());
            self.outputs
                .push_back(Output::Publish(name.clone(), id, Some(answer)));
        }
    }
}

impl Answer {
    fn new(targets: &[DeviceId], switch: &Switch) -> Self {
        Self {
            targets: targets
                .iter()
                .map(|device| (device.clone(), switch.contacts(device).to_vec()))
                .collect(),
        }
    }
}

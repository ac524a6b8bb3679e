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
//!                 |  ^ \
//!                 |  `-- it is being answered: its bridge, or its time
//!                 v         bridge of new_leg and far_leg
//!               (1) Asked ------------------------------> moved
//!                |  ^ \
//!      link lost |  |  `-- new_leg or far_leg gone, When it takes too long --> failed
//!                v  | still open
//!               (2) Unknown -- resynced --> moved / failed
//! ```
//!
//! A push is drawn in `core/push.rs`, an offer in `core/offers.rs`.
//!
//! **Invariant**: a pull is moved only by the switch's report of the bridge between exactly `new_leg` and `far_leg`.
//! **Invariant**: a leg is released only when the switch has reported that its far end talks elsewhere, or is gone; and a
//! target of a push only before it has answered.
//! **Invariant**: a leg is in at most one move, in whichever role.
//! **Invariant**: what is written to the routing snapshot of a switch is what [`Core::handle`] would answer to a hunt there.

mod contacts;
mod input;
mod lamps;
mod moves;
mod offers;
mod output;
mod publish;
mod push;
mod pushes;
mod star;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::directory::{Directory, Extension, Route};
use crate::id::{ChannelId, DeviceId, Domain, ExtensionId, MoveId, SwitchName, UnixTime};
use crate::journal::{Kind, OpenMove, Stage};
use crate::pull::Class;
use crate::routing::{self, Hunt, Policy};
use crate::tracker::{Applied, Bond, Change, Corrections, LegEvent, SnapshotLeg, Tracker};

use contacts::Contacts;
use lamps::Shown;
use moves::{Ended, Move, Moves};
use offers::Offers;
use push::Happened;
use pushes::{LegNews, Pushes};
use star::Waiting;

pub use input::{AskId, Asked, Input, Now, OfferRequest, StoreFailure};
pub use moves::{BRIDGE_TIMEOUT, RINGING_TIMEOUT};
pub use output::{
    Answer, ArmOrder, MoveEnd, MoveReport, OfferOrder, OfferRefusal, Output, PullOrder,
    PushKeyRefusal, Refusal, RingOrder, RingTarget, SplitOrder,
};
pub use pushes::PushWord;
pub use star::ANSWERING;

/// How many outputs the queue keeps room for while it is empty.
const QUEUE: usize = 1024;

/// A switch as the core knows it.
#[derive(Debug, Default)]
pub struct Switch {
    tracker: Tracker,
    fresh: bool,
    moves: Moves,
    pushes: Pushes,
    offers: Offers,
    /// Moves that an earlier run has left open; they are taken up when the switch has been read.
    adopt: Vec<OpenMove>,
    contacts: Contacts,
    /// What has been written to its routing snapshot: a hash of each answer, see [`publish`].
    published: HashMap<ExtensionId, u64>,
    /// What its lamps show.
    lamps: Shown,
    late_events: u64,
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
        self.contacts.of(device)
    }

    /// How many events came about legs that had been reported gone before.
    #[must_use]
    pub fn late_events(&self) -> u64 {
        self.late_events
    }

    /// How many moves are under way.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.moves.len() + self.pushes.len() + self.offers.len()
    }

    /// The moves under way, in no particular order.
    #[must_use]
    pub fn open_moves(&self) -> Vec<OpenMove> {
        let pulls = self.moves.open().chain(self.offers.open()).cloned();
        pulls.chain(self.pushes.open()).collect()
    }

    fn is_moving(&self, leg: &ChannelId) -> bool {
        self.moves.is_moving(leg) || self.pushes.is_moving(leg)
    }
}

/// How many legs are read again for one star code. Each costs some 0.3 ms, and the new leg waits.
pub const MAX_LEGS_TO_ASK: usize = 16;

/// The core.
#[derive(Debug)]
pub struct Core {
    directory: Directory,
    /// Whether the database has been read; until then nothing is known of routes.
    directory_is_read: bool,
    switches: HashMap<SwitchName, Switch>,
    policies: HashMap<Domain, Policy>,
    default_policy: Policy,
    outputs: VecDeque<Output>,
    /// Star codes for a call that is being answered.
    waiting: Vec<Waiting>,
    /// Routes that are being written.
    pending_routes: HashSet<AskId>,
    late_answers: u64,
    /// A random number of this run of the program.
    run: u64,
    moves_begun: u64,
    /// Routes that ended up to here have been published.
    ends_seen: UnixTime,
    now: Now,
}

impl Core {
    /// A core for these switches, with the settings of the domains that have some and of all others. `run` is a random
    /// number: it tells the moves of this run of the program from those of all others.
    #[must_use]
    pub fn new(
        switches: impl IntoIterator<Item = SwitchName>,
        policies: HashMap<Domain, Policy>,
        default_policy: Policy,
        run: u64,
        now: Now,
    ) -> Self {
        Self {
            directory: Directory::default(),
            directory_is_read: false,
            switches: switches
                .into_iter()
                .map(|name| (name, Switch::default()))
                .collect(),
            policies,
            default_policy,
            outputs: VecDeque::new(),
            waiting: Vec::new(),
            pending_routes: HashSet::new(),
            late_answers: 0,
            run,
            moves_begun: 0,
            ends_seen: now.unix,
            now,
        }
    }

    /// Takes what happened. Outputs follow by [`Self::poll_output`].
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = now;
        // The calendar may have been put back: what ends from then on is still to come.
        self.ends_seen = self.ends_seen.min(now.unix);
        match input {
            Input::Leg(switch, event) => self.handle_leg(&switch, event),
            Input::LinkDown(switch) => self.handle_link_down(&switch),
            Input::Resynced(switch, legs) => self.handle_resynced(&switch, legs),
            Input::Reconciled(switch, read, absent) => {
                self.handle_reconciled(&switch, read, &absent)
            }
            Input::Reread(switch, read, absent) => {
                self.correct(&switch, read, &absent);
            }
            Input::Contacts(switch, device, contacts) => {
                self.handle_contacts(&switch, device, contacts)
            }
            Input::Registrations(switch, all) => self.handle_registrations(&switch, all),
            Input::Directory(changed, removed) => self.handle_directory(changed, removed),
            Input::WholeDirectory(extensions) => self.handle_whole_directory(extensions),
            Input::LampsRead(switch, lit) => self.handle_lamps_read(&switch, lit),
            Input::LampAsked(switch, lamp) => self.handle_lamp_asked(&switch, lamp),
            Input::OpenMoves(open) => self.handle_open_moves(open),
            Input::PushKey(switch, leg) => self.handle_push_key(&switch, &leg),
            Input::Digit(switch, leg, digit) => self.handle_digit(&switch, &leg, digit),
            Input::NotSplit(switch, id) => self.push_happened(&switch, id, Happened::NotSplit),
            Input::NotReached(switch, id, cause) => {
                if self.switches.get(&switch).is_some_and(|s| s.offers.has(id)) {
                    self.offer_not_reached(&switch, id, cause);
                } else {
                    self.push_happened(&switch, id, Happened::NotReached(cause));
                }
            }
            Input::Offer(ask, request) => self.handle_offer(ask, &request),
            Input::Take(asked, id) => self.handle_asked(asked, Some(id)),
            Input::Withdraw(ask, id) => self.handle_withdraw(ask, id),
            Input::StarCode(asked) => self.handle_asked(asked, None),
            Input::Hunt(ask, switch, extension) => self.handle_hunt(ask, &switch, &extension),
            Input::RouteStored(ask, result) => self.handle_route_stored(ask, result),
            Input::Timer => self.handle_timer(),
        }
        self.answer_waiting();
    }

    /// What is wanted next; `None` when there is nothing more for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > QUEUE {
            // A switch that was read whole has filled it.
            self.outputs.shrink_to(QUEUE);
        }
        output
    }

    /// When [`Input::Timer`] is due, as time since the start of the program: when the bridge of a move has not come, when a star
    /// code has waited long enough, or when a route ends by itself.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        let moves = self
            .switches
            .values()
            .flat_map(|switch| {
                let pushes = switch.fresh.then(|| switch.pushes.next_timer());
                let offers = switch.offers.next_timer();
                [switch.moves.next_timer(), offers, pushes.flatten()]
            })
            .flatten();
        let route = self.directory.next_end(self.ends_seen).map(|end| {
            let left = end.0.saturating_sub(self.now.unix.0);
            self.now.mono + Duration::from_secs(u64::try_from(left).unwrap_or_default())
        });
        let waiting = self.waiting.iter().map(|waiting| waiting.until);
        moves.chain(route).chain(waiting).min()
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

    /// The legs on which the answer to a star code of `device` depends, as far as they are known: those of its extension's
    /// devices, and whoever talks to them or rings for them. At most [`MAX_LEGS_TO_ASK`].
    #[must_use]
    pub fn legs_to_ask(&self, switch: &SwitchName, device: &DeviceId) -> Vec<ChannelId> {
        let (Some(owner), Some(switch)) = (self.directory.owner(device), self.switches.get(switch))
        else {
            return Vec::new();
        };
        let tracker = &switch.tracker;
        let mut legs = Vec::new();
        for device in owner.device_ids() {
            for id in tracker.legs_of(&device) {
                legs.push(id.clone());
                match tracker.leg(id).map(|leg| &leg.bond) {
                    Some(Bond::TalksTo(other) | Bond::RingsFor(other)) => legs.push(other.clone()),
                    Some(Bond::Alone) | None => {}
                }
                legs.extend(tracker.forks_of(id).cloned());
            }
        }
        legs.sort();
        legs.dedup();
        legs.truncate(MAX_LEGS_TO_ASK);
        legs
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

    /// How many answers of the store came to questions that nobody had asked, or that had been answered before.
    #[must_use]
    pub fn late_answers(&self) -> u64 {
        self.late_answers
    }

    fn handle_leg(&mut self, name: &SwitchName, event: LegEvent) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let (leg, at, change) = (event.leg.clone(), event.at, event.change.clone());
        let applied = switch.tracker.handle_event(event, self.now.mono);
        let (ended, news) = match (&change, applied) {
            // The switch reports the end of every leg more than once.
            (Change::Gone, Applied::TooLate) => (None, None),
            (_, Applied::TooLate) => {
                switch.late_events += 1;
                (None, None)
            }
            (Change::Bridged(peer), Applied::Changed | Applied::Ignored) => (
                switch.moves.bridged(&leg, peer, at),
                Some(LegNews::Bridged(peer)),
            ),
            (Change::Gone, Applied::Changed | Applied::Ignored) => {
                (switch.moves.gone(&leg), Some(LegNews::Gone))
            }
            (Change::Unbridged(peer), Applied::Changed | Applied::Ignored) => {
                switch.moves.unbridged(&leg, peer, at);
                (None, Some(LegNews::Told))
            }
            (Change::Told | Change::Held | Change::Unheld, Applied::Changed | Applied::Ignored) => {
                (None, Some(LegNews::Told))
            }
        };
        self.report_pulls(name, ended);
        match news {
            Some(LegNews::Bridged(peer)) => self.offers_bridged(name, &leg, peer),
            Some(LegNews::Gone) => self.offers_gone(name, &leg),
            Some(LegNews::Told) | None => {}
        }
        if let Some(news) = news {
            self.pushes_heard_of(name, &leg, news);
        }
        self.arm(name, &leg);
        if let Change::Bridged(peer) = &change {
            self.arm(name, peer);
        }
    }

    fn new_move(&mut self) -> MoveId {
        self.moves_begun += 1;
        MoveId {
            run: self.run,
            count: self.moves_begun,
        }
    }

    fn report_pulls(&mut self, name: &SwitchName, ended: impl IntoIterator<Item = Ended>) {
        for (m, end) in ended {
            let pushed = (m.class() == Some(Class::Pushed)).then(|| m.open().clone());
            self.report(m.report(end.clone(), self.now.mono));
            if let Some(open) = pushed {
                self.pushed_pull_ended(name, &open, &end);
            }
        }
    }

    /// What becomes of the leg that had pushed, and of a far end that nobody has taken.
    fn pushed_pull_ended(&mut self, name: &SwitchName, open: &OpenMove, end: &MoveEnd) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let old_is_there = switch.tracker.leg(&open.old_leg).is_some();
        let far = switch.tracker.leg(&open.far_leg);
        if *end == MoveEnd::Moved {
            if old_is_there {
                self.outputs
                    .push_back(Output::Release(name.clone(), open.old_leg.clone()));
            }
        } else if !old_is_there && far.is_some_and(|far| far.bond == Bond::Alone) {
            // Who pushed would take it back by itself, but has hung up.
            self.outputs
                .push_back(Output::Recall(name.clone(), open.far_leg.clone()));
        }
    }

    fn report(&mut self, report: MoveReport) {
        self.outputs
            .push_back(Output::Journal(report.entry(self.now.unix)));
        self.outputs.push_back(Output::Moved(report));
    }

    fn handle_open_moves(&mut self, open: Vec<OpenMove>) {
        for open in open {
            if let Some(switch) = self.switches.get_mut(&open.switch) {
                switch.adopt.push(open);
            }
        }
    }

    fn handle_link_down(&mut self, name: &SwitchName) {
        if let Some(switch) = self.switches.get_mut(name) {
            switch.fresh = false;
            switch.lamps = Shown::Unknown;
            switch.moves.link_down();
        }
    }

    fn handle_resynced(&mut self, name: &SwitchName, legs: Vec<SnapshotLeg>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.tracker.resync(legs);
        switch.fresh = true;
        for open in std::mem::take(&mut switch.adopt) {
            match (open.kind, open.new_leg.clone()) {
                // Its journal does not learn who has taken it.
                (_, None) if matches!(open.stage, Stage::Offered | Stage::Asked) => {
                    self.adopt_offer(open);
                }
                (Kind::Pull, Some(new_leg)) => {
                    let m = Move::adopted(open, new_leg, self.now.mono);
                    if let Some(switch) = self.switches.get_mut(name) {
                        switch.moves.begin(m);
                    }
                }
                (Kind::Push, _) => self.adopt_push(open),
                // A pull always has a new leg; one that has lost it can only be closed.
                (Kind::Pull, None) => {
                    let end = MoveEnd::NewLegGone;
                    self.report(MoveReport::new(open, None, None, end, None));
                }
            }
        }
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let ended = switch.moves.resynced(&switch.tracker, self.now.mono);
        let legs: Vec<_> = switch.tracker.legs().map(|(id, _)| id.clone()).collect();
        self.report_pulls(name, ended);
        self.pushes_resynced(name);
        self.offers_resynced(name);
        for leg in legs {
            self.arm(name, &leg);
        }
        self.publish_anew(name);
        self.lamps_anew(name);
    }

    /// Brings the legs up to what the switch shows. What that changed is a fault only where no event is on the way.
    fn correct(
        &mut self,
        name: &SwitchName,
        read: Vec<SnapshotLeg>,
        absent: &[ChannelId],
    ) -> Corrections {
        let Some(switch) = self.switches.get_mut(name) else {
            return Corrections::default();
        };
        let legs: Vec<_> = read.iter().map(|leg| leg.leg.clone()).collect();
        let corrections = switch.tracker.reconcile(read, absent, self.now.mono);
        let mut ended = switch.moves.corrected(&switch.tracker);
        ended.extend(absent.iter().filter_map(|leg| switch.moves.gone(leg)));
        self.report_pulls(name, ended);
        for leg in absent {
            self.offers_gone(name, leg);
            self.pushes_heard_of(name, leg, LegNews::Gone);
        }
        self.pushes_corrected(name);
        for leg in legs {
            self.arm(name, &leg);
        }
        corrections
    }

    fn handle_reconciled(
        &mut self,
        name: &SwitchName,
        read: Vec<SnapshotLeg>,
        absent: &[ChannelId],
    ) {
        let corrections = self.correct(name, read, absent);
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
        switch.contacts.set(&device, contacts, &self.directory);
        self.publish_device(name, &device);
    }

    fn handle_registrations(&mut self, name: &SwitchName, all: HashMap<DeviceId, Vec<String>>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.contacts.replace(all, &self.directory);
        self.publish_all(name);
    }

    fn handle_directory(&mut self, changed: Vec<Extension>, removed: Vec<ExtensionId>) {
        for id in &removed {
            self.directory.remove(id);
        }
        let ids: Vec<_> = changed
            .iter()
            .map(|extension| extension.id.clone())
            .collect();
        let devices = changed.iter().flat_map(Extension::device_ids);
        let devices = devices.filter(|device| self.directory.owner(device).is_none());
        let devices: Vec<DeviceId> = devices.collect();
        for extension in changed {
            self.directory.insert(extension);
        }
        if !devices.is_empty() {
            // Also of a switch that is being read: for whom it is asked then has been settled at the beginning.
            let names: BTreeSet<_> = self.switches.keys().cloned().collect();
            let ask = names
                .into_iter()
                .map(|name| Output::AskContacts(name, devices.clone()));
            self.outputs.extend(ask);
        }
        self.publish_everywhere(ids.into_iter().chain(removed));
    }

    fn handle_whole_directory(&mut self, extensions: Vec<Extension>) {
        let there: HashSet<_> = extensions.iter().map(|extension| &extension.id).collect();
        let known = self.directory.extensions().map(|extension| &extension.id);
        let removed = known.filter(|id| !there.contains(id)).cloned().collect();
        self.handle_directory(extensions, removed);
        if !std::mem::replace(&mut self.directory_is_read, true) {
            let names: Vec<_> = self.switches.keys().cloned().collect();
            names.iter().for_each(|name| self.lamps_anew(name));
        }
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
        let answer = (!answer.targets.is_empty()).then_some(answer);
        self.outputs.push_back(Output::Targets(ask, answer));
        self.use_up(hunt.used_up);
    }

    /// Ends the routes for the next call by which somebody rings now.
    fn use_up(&mut self, used_up: Vec<(ExtensionId, Route)>) {
        let mut over = Vec::new();
        for (extension, route) in used_up {
            // Over at once, so that a second call does not ring by it while the first is being written down.
            self.directory.end_route(&extension, &route);
            over.push(extension.clone());
            self.outputs
                .push_back(Output::ConsumeRoute(extension, route));
        }
        if !over.is_empty() {
            self.publish_everywhere(over);
        }
    }

    fn resolve(&self, switch: &Switch, extension: &ExtensionId) -> Option<Hunt> {
        let unregistered = self.policy(&extension.domain).unregistered;
        routing::hunt(
            &self.directory,
            extension,
            self.now.unix,
            unregistered,
            |device| switch.contacts.is_registered(device),
        )
    }

    fn handle_route_stored(&mut self, ask: AskId, result: Result<(), StoreFailure>) {
        if !self.pending_routes.remove(&ask) {
            self.late_answers += 1;
            return;
        }
        self.outputs.push_back(match result {
            Ok(()) => Output::Confirm(ask),
            Err(failure) => Output::Refuse(ask, failure.into()),
        });
    }

    fn handle_timer(&mut self) {
        let names: Vec<_> = self.switches.keys().cloned().collect();
        for name in names {
            let ended = self
                .switches
                .get_mut(&name)
                .map(|switch| switch.moves.timer(self.now.mono));
            self.report_pulls(&name, ended.into_iter().flatten());
            self.pushes_timer(&name);
            self.offers_timer(&name);
        }
        let until = self.now.unix;
        let ended: Vec<_> = self
            .directory
            .ended(self.ends_seen, until)
            .cloned()
            .collect();
        self.ends_seen = until;
        if !ended.is_empty() {
            self.publish_everywhere(ended);
        }
    }
}

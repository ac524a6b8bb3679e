//! The legs of one switch: what it last told us, and how far we may believe it.
//!
//! Owns the legs and which of them talk to, or ring for, each other. Refuses to interpret: what may be pulled is decided
//! in [`crate::pull`].
//!
//! Events may come late, twice, in another order or not at all. Every event carries the switch's own sequence number
//! (FreeSWITCH: `Event-Sequence`, stamped when the event is made, switch_event.c), and each aspect of a leg (its bridges,
//! its hold, its facts) keeps the number of the event that set it: an older one changes nothing. So the order in which
//! events arrive does not matter, only their numbers do. A leg that has gone leaves a tombstone, so that a late event does
//! not bring it back.
//!
//! Two legs talk when each of them was last bridged with the other. A leg that has been bridged elsewhere has left its
//! former peer, also when the end of that bridge was never reported.
//!
//! **Invariant**: after [`Tracker::resync`] exactly the legs of the snapshot are there, and those that newer events added.
//! **Invariant**: if a leg talks to another one, that one is there and talks to it.
//! **Invariant**: if a leg rings for another one, that one is there.

mod leg;
mod pairing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::id::{ChannelId, DeviceId, MoveId};

pub use leg::{
    Arming, Bond, Change, Direction, Facts, Leg, LegEvent, Party, Progress, Sequence, SnapshotLeg,
    SwitchTime,
};

/// What applying an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The tracker shows something new.
    Changed,
    /// Nothing new: a duplicate, or older than what is known.
    Ignored,
    /// The event is about a leg that has gone already.
    TooLate,
}

/// What a reconcile had to correct; all zero when no event was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Corrections {
    /// Legs that the switch has and the tracker had not.
    pub missing: u64,
    /// Legs that the tracker had and the switch has not.
    pub ghosts: u64,
    /// Legs whose peer differed.
    pub peers: u64,
}

impl Corrections {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.ghosts + self.peers
    }
}

/// How long a tombstone is kept. Longer than an event can be late: a link that is further behind is lost
/// (mod_event_socket.c cuts a client that is behind by its whole queue).
pub const TOMBSTONE: Duration = Duration::from_secs(120);

/// The legs of one switch.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Boxed, so that the table stays small and growing it moves only pointers.
    legs: HashMap<ChannelId, Box<Leg>>,
    /// The legs of each device that has some.
    of_device: HashMap<DeviceId, Vec<ChannelId>>,
    /// The legs that were called for each leg.
    called_for: HashMap<ChannelId, Vec<ChannelId>>,
    gone: HashSet<ChannelId>,
    /// The same, the oldest first.
    gone_by_time: VecDeque<(Duration, ChannelId)>,
}

impl Tracker {
    /// The leg of that name.
    #[must_use]
    pub fn leg(&self, id: &ChannelId) -> Option<&Leg> {
        self.legs.get(id).map(Box::as_ref)
    }

    /// All legs, in no particular order.
    pub fn legs(&self) -> impl Iterator<Item = (&ChannelId, &Leg)> {
        self.legs.iter().map(|(id, leg)| (id, leg.as_ref()))
    }

    /// The legs of a device, in the order in which the tracker heard of them.
    pub fn legs_of(&self, device: &DeviceId) -> impl Iterator<Item = &ChannelId> {
        self.of_device.get(device).into_iter().flatten()
    }

    /// The legs that ring for `leg` now.
    pub fn forks_of<'a>(&'a self, leg: &'a ChannelId) -> impl Iterator<Item = &'a ChannelId> {
        self.called_for.get(leg).into_iter().flatten().filter(move |fork| {
            matches!(self.legs.get(*fork).map(|f| &f.bond), Some(Bond::RingsFor(originator)) if originator == leg)
        })
    }

    /// Whether a leg, or who was called for the same call, has been answered and has been in no bridge yet: it is about to be.
    #[must_use]
    pub fn is_being_answered(&self, id: &ChannelId) -> bool {
        let originator = self.legs.get(id).and_then(|leg| leg.originator.as_ref());
        let callers = [Some(id), originator].into_iter().flatten();
        let alone = callers.filter(|id| self.legs.get(*id).is_some_and(|leg| leg.peer().is_none()));
        let called = alone.flat_map(|id| self.called_for.get(id).into_iter().flatten());
        let mut legs = called.filter_map(|id| self.legs.get(id));
        legs.any(|leg| {
            leg.progress == Progress::Answered && leg.bridge_told() == Sequence::default()
        })
    }

    /// Whether the switch has reported within [`TOMBSTONE`] that the leg is gone.
    #[must_use]
    pub fn has_gone(&self, id: &ChannelId) -> bool {
        self.gone.contains(id)
    }

    /// Notes that the leg is going to listen for the push code, if that has to be ordered still. Whether it has to be told
    /// at once, because it has been answered.
    pub(crate) fn order_arming(&mut self, id: &ChannelId) -> Option<bool> {
        let leg = self.legs.get_mut(id)?;
        let wanted = leg.arming_wanted()?;
        leg.arming_ordered = wanted;
        Some(wanted == Arming::Armed)
    }

    /// The legs that a push has made.
    pub fn made_by(&self, id: MoveId) -> impl Iterator<Item = (&ChannelId, &Leg)> {
        self.legs().filter(move |(_, leg)| leg.made_by == Some(id))
    }

    /// How many legs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether there is no leg.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// Applies one event of the switch. `now` is time since the start of the program.
    pub fn handle_event(&mut self, event: LegEvent, now: Duration) -> Applied {
        self.bury(now);
        let LegEvent {
            sequence,
            leg: id,
            at: _,
            facts,
            change,
        } = event;
        if self.gone.contains(&id) {
            // It tells something about the other leg all the same.
            let told = match change {
                Change::Bridged(peer) => self.pair(&id, &peer, sequence),
                Change::Unbridged(peer) => self.unbridge(&id, &peer, sequence),
                Change::Told | Change::Held | Change::Unheld | Change::Gone => false,
            };
            return if told {
                Applied::Changed
            } else {
                Applied::TooLate
            };
        }
        if let Change::Gone = change {
            return self.remove(&id, now);
        }
        let mut changed = match facts {
            Some(facts) => self.learn(&id, facts, sequence),
            None => self.name(&id, sequence),
        };
        changed |= match change {
            Change::Told | Change::Gone => false,
            Change::Bridged(peer) => self.bridge(&id, &peer, sequence),
            Change::Unbridged(peer) => self.unbridge(&id, &peer, sequence),
            Change::Held => self.hold(&id, true, sequence),
            Change::Unheld => self.hold(&id, false, sequence),
        };
        if changed {
            Applied::Changed
        } else {
            Applied::Ignored
        }
    }

    /// Replaces everything by a snapshot of the switch, as after a lost link or at the start. Events that were made after
    /// a leg was read are applied afterwards as usual; older ones find a larger number and change nothing.
    ///
    /// A leg that was read alone may be bridged by an event that is a little older than the reading: FreeSWITCH reports a
    /// bridge just before it notes it at the two channels (switch_ivr_bridge.c, `switch_ivr_multi_threaded_bridge`). So a
    /// reading can end a bridge that is known, and never one that is still to be reported.
    pub fn resync(&mut self, mut snapshot: Vec<SnapshotLeg>) {
        let before = std::mem::take(self);
        snapshot.sort_by_key(|leg| leg.sequence);
        for leg in &snapshot {
            self.tell(leg);
        }
        for leg in &snapshot {
            self.bind(leg);
        }
        // What was known before and has not changed is as old as it was.
        for (id, leg) in &mut self.legs {
            if let Some(known) = before.legs.get(id)
                && known.bond == leg.bond
                && known.progress == leg.progress
            {
                leg.since = known.since;
            }
        }
    }

    /// Corrects the tracker by what the switch shows: `read` are legs that were read again, `absent` those that the tracker
    /// had and the switch, asked for each by its name afterwards, has not. Events may be on their way meanwhile.
    pub fn reconcile(
        &mut self,
        mut read: Vec<SnapshotLeg>,
        absent: &[ChannelId],
        now: Duration,
    ) -> Corrections {
        let mut corrections = Corrections::default();
        read.sort_by_key(|leg| leg.sequence);
        for id in absent {
            if self.legs.contains_key(id) {
                corrections.ghosts += 1;
                self.remove(id, now);
            }
        }
        read.retain(|leg| !self.gone.contains(&leg.leg));
        for leg in &read {
            corrections.missing += u64::from(!self.legs.contains_key(&leg.leg));
        }
        for leg in &read {
            let peer = |tracker: &Self| tracker.leg(&leg.leg).map(|known| known.peer().cloned());
            let before = peer(self);
            self.tell(leg);
            // As after an event: a leg that was named is there, and its own events come later.
            if let Some(peer) = leg.talks_to.as_ref().filter(|id| !self.gone.contains(*id)) {
                self.name(peer, leg.sequence);
            }
            self.bind(leg);
            if before.is_some() && before != peer(self) {
                corrections.peers += 1;
            }
        }
        corrections
    }

    /// Makes sure that the leg is there. Whether it was not.
    fn name(&mut self, id: &ChannelId, sequence: Sequence) -> bool {
        if self.legs.contains_key(id) {
            return false;
        }
        self.legs.insert(id.clone(), Box::new(Leg::named(sequence)));
        // Those that ring for it may have been heard of first.
        self.refresh_forks(id);
        true
    }

    fn learn(&mut self, id: &ChannelId, facts: Facts, sequence: Sequence) -> bool {
        let Some(leg) = self.legs.get_mut(id) else {
            self.name(id, sequence);
            return self.learn(id, facts, sequence);
        };
        let learned = leg.learn(facts, sequence);
        if let Some(former) = learned.device_was {
            list(&mut self.of_device, leg.device.clone(), id);
            unlist(&mut self.of_device, former.as_ref(), id);
        }
        if let Some(former) = learned.originator_was {
            list(&mut self.called_for, leg.originator.clone(), id);
            unlist(&mut self.called_for, former.as_ref(), id);
        }
        learned.changed | (learned.ringing && self.refresh(id))
    }

    fn remove(&mut self, id: &ChannelId, now: Duration) -> Applied {
        if self.gone.insert(id.clone()) {
            self.gone_by_time.push_back((now, id.clone()));
        }
        let Some(leg) = self.legs.remove(id) else {
            return Applied::Ignored;
        };
        unlist(&mut self.of_device, leg.device.as_ref(), id);
        unlist(&mut self.called_for, leg.originator.as_ref(), id);
        if let Some(peer) = leg.peer() {
            self.refresh(peer);
        }
        self.refresh_forks(id);
        Applied::Changed
    }

    fn bridge(&mut self, one: &ChannelId, two: &ChannelId, sequence: Sequence) -> bool {
        if one == two {
            return false;
        }
        let mut changed = false;
        // A peer that is gone does not come back, but what `one` did before is over all the same. An old bridge tells
        // nothing about a peer that is not known.
        let is_news = self
            .legs
            .get(one)
            .is_some_and(|leg| leg.pairing.set() < sequence);
        if is_news && !self.gone.contains(two) {
            changed |= self.name(two, sequence);
        }
        changed | self.pair(one, two, sequence)
    }

    /// Notes the bridge at those of the two that are there.
    fn pair(&mut self, one: &ChannelId, two: &ChannelId, sequence: Sequence) -> bool {
        let mut former = Vec::new();
        for (id, peer) in [(one, two), (two, one)] {
            if let Some(leg) = self.legs.get_mut(id) {
                former.extend(leg.peer().filter(|former| *former != peer).cloned());
                leg.pairing.bridged(peer, sequence);
            }
        }
        let mut changed = self.refresh(one) | self.refresh(two);
        for id in former {
            changed |= self.refresh(&id);
        }
        changed
    }

    fn unbridge(&mut self, one: &ChannelId, two: &ChannelId, sequence: Sequence) -> bool {
        for (id, peer) in [(one, two), (two, one)] {
            if let Some(leg) = self.legs.get_mut(id) {
                leg.pairing.unbridged(peer, sequence);
            }
        }
        self.refresh(one) | self.refresh(two)
    }

    fn hold(&mut self, id: &ChannelId, holds: bool, sequence: Sequence) -> bool {
        self.legs
            .get_mut(id)
            .is_some_and(|leg| leg.hold(holds, sequence))
    }

    /// Works out what the leg has to do with another one. Whether that has changed.
    fn refresh(&mut self, id: &ChannelId) -> bool {
        let Some(leg) = self.legs.get(id) else {
            return false;
        };
        let talks = leg.pairing.peer().filter(|peer| {
            self.legs
                .get(*peer)
                .is_some_and(|other| other.pairing.peer() == Some(id))
        });
        let bond = match (talks, leg.rings_for()) {
            (Some(peer), _) => Bond::TalksTo(peer.clone()),
            (None, Some(originator)) if self.legs.contains_key(originator) => {
                Bond::RingsFor(originator.clone())
            }
            (None, _) => Bond::Alone,
        };
        if leg.bond == bond {
            return false;
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return false;
        };
        if let Bond::TalksTo(_) = bond {
            leg.since = leg.since.max(leg.pairing.set());
        }
        leg.bond = bond;
        true
    }

    fn refresh_forks(&mut self, id: &ChannelId) {
        for fork in self.called_for.get(id).cloned().unwrap_or_default() {
            self.refresh(&fork);
        }
    }

    fn tell(&mut self, read: &SnapshotLeg) {
        self.learn(&read.leg, read.facts.clone(), read.sequence);
        self.hold(&read.leg, read.holds, read.sequence);
    }

    fn bind(&mut self, read: &SnapshotLeg) {
        if let Some(peer) = &read.talks_to {
            // A peer that is not there has gone between the two readings, or its own events are still to come.
            self.pair(&read.leg, peer, read.sequence);
            return;
        }
        let Some(leg) = self.legs.get_mut(&read.leg) else {
            return;
        };
        let former = leg.peer().cloned();
        leg.pairing.read_alone(read.sequence);
        self.refresh(&read.leg);
        if let Some(former) = former {
            self.refresh(&former);
        }
    }

    fn bury(&mut self, now: Duration) {
        while let Some((since, _)) = self.gone_by_time.front() {
            if now.saturating_sub(*since) < TOMBSTONE {
                break;
            }
            if let Some((_, id)) = self.gone_by_time.pop_front() {
                self.gone.remove(&id);
            }
        }
    }
}

fn list<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, Vec<ChannelId>>,
    key: Option<K>,
    id: &ChannelId,
) {
    if let Some(key) = key {
        // Nearly all have one.
        let ids = index.entry(key).or_insert_with(|| Vec::with_capacity(1));
        ids.push(id.clone());
    }
}

fn unlist<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, Vec<ChannelId>>,
    key: Option<&K>,
    id: &ChannelId,
) {
    if let Some(key) = key
        && let Some(ids) = index.get_mut(key)
    {
        ids.retain(|listed| listed != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

//! The legs of one switch: what it last told us, and how far we may believe it.
//!
//! Owns the legs and which of them talk to, or ring for, each other. Refuses to interpret: what may be pulled is decided
//! in [`crate::pull`].
//!
//! Events may come late, twice, in another order or not at all. Every event carries the switch's own sequence number
//! (FreeSWITCH: `Event-Sequence`, stamped when the event is made, switch_event.c), and each aspect of a leg (its bond,
//! its hold) keeps the number of the event that set it: an older one changes nothing. A leg that has gone leaves a
//! tombstone, so that a late event does not bring it back.
//!
//! **Invariant**: after [`Tracker::resync`] exactly the legs of the snapshot are there, and those that newer events added.
//! **Invariant**: if a leg talks to another one and both are known, the other one talks to it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::id::{ChannelId, DeviceId};

/// The switch's own number of an event; a larger one is younger. Unique per switch and run of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// Who set the leg up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The party called the switch (FreeSWITCH: `Call-Direction: inbound`).
    Inbound,
    /// The switch called the party (FreeSWITCH: `Call-Direction: outbound`).
    Outbound,
}

/// How far the leg has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// Not answered, and no media either.
    Setup,
    /// Not answered, with early media (RFC 3960).
    EarlyMedia,
    /// Answered.
    Answered,
}

/// What the leg has to do with another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bond {
    /// Nothing: being set up, or with an application (voicemail, IVR, conference, queue, park).
    Alone,
    /// It is being called for that leg (FreeSWITCH: the originator of an outbound leg).
    RingsFor(ChannelId),
    /// It is bridged to that leg.
    TalksTo(ChannelId),
}

/// The party at a leg's other side, for people to read. Never used to identify anybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Party {
    /// Caller ID number, as the switch shows it.
    pub number: String,
    /// Caller ID name, as the switch shows it.
    pub name: String,
}

/// What any event with the channel's data tells about a leg as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The authenticated device, or the device that was called; `None` for everybody else.
    pub device: Option<DeviceId>,
    /// Who set the leg up.
    pub direction: Direction,
    /// How far it has come.
    pub progress: Progress,
    /// For an outbound leg: the leg for which it is being called.
    pub originator: Option<ChannelId>,
    /// Who is shown at this leg.
    pub party: Party,
    /// The codec that the switch receives from this leg, once there is one, e.g. `PCMU`.
    pub codec: Option<String>,
}

/// What happened to a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The leg appeared, or its facts are told again.
    Told,
    /// It was bridged to the other leg.
    Bridged(ChannelId),
    /// It was taken apart from the other leg.
    Unbridged(ChannelId),
    /// Its party put the other one on hold.
    Held,
    /// Its party took the other one back.
    Unheld,
    /// It is gone.
    Gone,
}

/// One event about one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvent {
    /// The switch's number of the event.
    pub sequence: Sequence,
    /// The leg.
    pub leg: ChannelId,
    /// What the event tells about the leg; `None` if it carries no channel data.
    pub facts: Option<Facts>,
    /// What happened.
    pub change: Change,
}

/// A leg as a snapshot of the switch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLeg {
    /// The switch's number at the moment of the reading.
    pub sequence: Sequence,
    /// The leg.
    pub leg: ChannelId,
    /// What was read.
    pub facts: Facts,
    /// The leg to which it is bridged.
    pub talks_to: Option<ChannelId>,
    /// Whether its party has put the other one on hold.
    pub holds: bool,
}

/// A leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The device at its other end, if it is one of ours.
    pub device: Option<DeviceId>,
    /// Who set it up.
    pub direction: Direction,
    /// How far it has come.
    pub progress: Progress,
    /// What it has to do with another leg.
    pub bond: Bond,
    /// Whether its party has put the other one on hold.
    pub holds: bool,
    /// Who is shown at it.
    pub party: Party,
    /// Its codec, once there is one.
    pub codec: Option<String>,
    /// The leg for which it was called, also after it has been answered.
    originator: Option<ChannelId>,
    /// When it came into its present state: the larger, the newer the call.
    pub since: Sequence,
    bond_set: Sequence,
    hold_set: Sequence,
}

impl Leg {
    fn new(facts: Facts, sequence: Sequence) -> Self {
        let mut leg = Self {
            progress: facts.progress,
            ..Self::named(sequence)
        };
        leg.learn(facts, sequence);
        leg
    }

    /// A leg of which only the name is known, because another leg's event named it.
    fn named(sequence: Sequence) -> Self {
        Self {
            device: None,
            direction: Direction::Inbound,
            progress: Progress::Answered,
            bond: Bond::Alone,
            holds: false,
            party: Party::default(),
            codec: None,
            originator: None,
            since: sequence,
            bond_set: Sequence::default(),
            hold_set: Sequence::default(),
        }
    }

    fn learn(&mut self, facts: Facts, sequence: Sequence) {
        self.direction = facts.direction;
        if facts.progress > self.progress {
            self.progress = facts.progress;
            self.since = self.since.max(sequence);
        }
        if facts.device.is_some() {
            self.device = facts.device;
        }
        if facts.codec.is_some() {
            self.codec = facts.codec;
        }
        if !facts.party.number.is_empty() {
            self.party = facts.party;
        }
        if self.originator.is_none() && self.direction == Direction::Outbound {
            self.originator = facts.originator;
            if let (Some(originator), Bond::Alone, true) = (
                &self.originator,
                &self.bond,
                self.progress < Progress::Answered,
            ) {
                self.bond = Bond::RingsFor(originator.clone());
            }
        }
    }

    /// The leg that it talks to.
    #[must_use]
    pub fn peer(&self) -> Option<&ChannelId> {
        match &self.bond {
            Bond::TalksTo(peer) => Some(peer),
            Bond::Alone | Bond::RingsFor(_) => None,
        }
    }
}

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
    legs: HashMap<ChannelId, Leg>,
    /// The legs of each device that has some.
    of_device: HashMap<DeviceId, Vec<ChannelId>>,
    /// The legs that were called for each leg.
    called_for: HashMap<ChannelId, Vec<ChannelId>>,
    gone: HashMap<ChannelId, Duration>,
    gone_by_time: BTreeMap<(Duration, ChannelId), ()>,
}

impl Tracker {
    /// The leg of that name.
    #[must_use]
    pub fn leg(&self, id: &ChannelId) -> Option<&Leg> {
        self.legs.get(id)
    }

    /// All legs, in no particular order.
    pub fn legs(&self) -> impl Iterator<Item = (&ChannelId, &Leg)> {
        self.legs.iter()
    }

    /// The legs of a device, the oldest first.
    pub fn legs_of(&self, device: &DeviceId) -> impl Iterator<Item = &ChannelId> {
        self.of_device.get(device).into_iter().flatten()
    }

    /// The legs that ring for `leg` now.
    pub fn forks_of<'a>(&'a self, leg: &'a ChannelId) -> impl Iterator<Item = &'a ChannelId> {
        self.called_for.get(leg).into_iter().flatten().filter(move |fork| {
            matches!(self.legs.get(*fork).map(|f| &f.bond), Some(Bond::RingsFor(originator)) if originator == leg)
        })
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
        if self.gone.contains_key(&event.leg) {
            return Applied::TooLate;
        }
        let LegEvent {
            sequence,
            leg: id,
            facts,
            change,
        } = event;
        let mut changed = false;
        if let Change::Gone = change {
            return self.remove(&id, now);
        }
        if let Some(facts) = facts {
            changed = self.learn(&id, facts, sequence);
        } else if !self.legs.contains_key(&id) {
            self.legs.insert(id.clone(), Leg::named(sequence));
            changed = true;
        }
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

    fn learn(&mut self, id: &ChannelId, facts: Facts, sequence: Sequence) -> bool {
        let (before, leg) = match self.legs.get_mut(id) {
            Some(leg) => {
                let before = leg.clone();
                leg.learn(facts, sequence);
                (Some(before), leg)
            }
            None => (
                None,
                self.legs
                    .entry(id.clone())
                    .or_insert_with(|| Leg::new(facts, sequence)),
            ),
        };
        let changed = before.as_ref() != Some(leg);
        let (old_device, old_originator) =
            before.map_or((None, None), |b| (b.device, b.originator));
        let (device, originator) = (leg.device.clone(), leg.originator.clone());
        if device != old_device {
            unlist(&mut self.of_device, old_device.as_ref(), id);
            list(&mut self.of_device, device, id);
        }
        if originator != old_originator {
            list(&mut self.called_for, originator, id);
        }
        changed
    }

    fn remove(&mut self, id: &ChannelId, now: Duration) -> Applied {
        let known = self.legs.remove(id);
        if let Some(leg) = &known {
            unlist(&mut self.of_device, leg.device.as_ref(), id);
            unlist(&mut self.called_for, leg.originator.as_ref(), id);
        }
        if let Some(peer) = known.as_ref().and_then(Leg::peer)
            && let Some(other) = self.legs.get_mut(peer)
            && other.peer() == Some(id)
        {
            other.bond = Bond::Alone;
        }
        self.gone.insert(id.clone(), now);
        self.gone_by_time.insert((now, id.clone()), ());
        Applied::Changed
    }

    fn bridge(&mut self, one: &ChannelId, two: &ChannelId, sequence: Sequence) -> bool {
        if one == two || self.gone.contains_key(two) {
            return false;
        }
        let newest = [one, two]
            .into_iter()
            .filter_map(|id| self.legs.get(id))
            .map(|leg| leg.bond_set)
            .max();
        if newest.is_some_and(|set| set >= sequence) {
            return false;
        }
        for (id, peer) in [(one, two), (two, one)] {
            let leg = self
                .legs
                .entry(id.clone())
                .or_insert_with(|| Leg::named(sequence));
            let old = std::mem::replace(&mut leg.bond, Bond::TalksTo(peer.clone()));
            leg.bond_set = sequence;
            leg.since = sequence;
            if let Bond::TalksTo(former) = old
                && former != *peer
                && let Some(former) = self.legs.get_mut(&former)
                && former.peer() == Some(id)
            {
                former.bond = Bond::Alone;
                former.bond_set = sequence;
            }
        }
        true
    }

    fn unbridge(&mut self, one: &ChannelId, two: &ChannelId, sequence: Sequence) -> bool {
        let mut changed = false;
        for (id, peer) in [(one, two), (two, one)] {
            let Some(leg) = self.legs.get_mut(id) else {
                continue;
            };
            if leg.bond_set < sequence && (leg.peer() == Some(peer) || leg.peer().is_none()) {
                changed |= leg.peer().is_some();
                if leg.peer().is_some() {
                    leg.bond = Bond::Alone;
                }
                leg.bond_set = sequence;
            }
        }
        changed
    }

    fn hold(&mut self, id: &ChannelId, holds: bool, sequence: Sequence) -> bool {
        let Some(leg) = self.legs.get_mut(id) else {
            return false;
        };
        if leg.hold_set >= sequence {
            return false;
        }
        leg.hold_set = sequence;
        std::mem::replace(&mut leg.holds, holds) != holds
    }

    /// Replaces everything by a snapshot of the switch, as after a lost link or at the start. Events that were made after
    /// a leg was read are applied afterwards as usual; older ones find a larger number and change nothing.
    pub fn resync(&mut self, snapshot: Vec<SnapshotLeg>) {
        self.legs.clear();
        self.of_device.clear();
        self.called_for.clear();
        self.gone.clear();
        self.gone_by_time.clear();
        for leg in &snapshot {
            self.tell(leg);
        }
        for leg in snapshot {
            self.bind(&leg);
        }
    }

    /// Corrects the tracker by what the switch shows, as each minute: `read` are the legs that differed and were read
    /// again, `absent` those that the switch does not have.
    pub fn reconcile(
        &mut self,
        read: Vec<SnapshotLeg>,
        absent: &[ChannelId],
        now: Duration,
    ) -> Corrections {
        let mut corrections = Corrections::default();
        for id in absent {
            if self.legs.contains_key(id) {
                corrections.ghosts += 1;
                self.remove(id, now);
            }
        }
        for leg in read {
            if self.gone.contains_key(&leg.leg) {
                continue;
            }
            match self.legs.get(&leg.leg) {
                None => corrections.missing += 1,
                Some(known) if known.bond_set >= leg.sequence => {}
                Some(known) if known.peer() != leg.talks_to.as_ref() => corrections.peers += 1,
                Some(_) => {}
            }
            self.tell(&leg);
            self.bind(&leg);
        }
        corrections
    }

    fn tell(&mut self, read: &SnapshotLeg) {
        self.learn(&read.leg, read.facts.clone(), read.sequence);
        self.hold(&read.leg, read.holds, read.sequence);
    }

    fn bind(&mut self, read: &SnapshotLeg) {
        match &read.talks_to {
            Some(peer) => {
                // A peer that has gone between the two readings is no peer.
                if self.legs.contains_key(peer)
                    && self.legs.get(&read.leg).and_then(Leg::peer) != Some(peer)
                {
                    self.bridge(&read.leg, peer, read.sequence);
                }
            }
            None => {
                if let Some(peer) = self.legs.get(&read.leg).and_then(Leg::peer).cloned() {
                    self.unbridge(&read.leg, &peer, read.sequence);
                }
            }
        }
    }

    fn bury(&mut self, now: Duration) {
        while let Some(((since, _), ())) = self.gone_by_time.first_key_value() {
            if now.saturating_sub(*since) < TOMBSTONE {
                break;
            }
            if let Some(((_, id), ())) = self.gone_by_time.pop_first() {
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
        index.entry(key).or_default().push(id.clone());
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

//! The tracker against a model of a switch: random lives of calls, told with reordered, doubled and lost events.
//!
//! The model keeps what is true. Its events carry sequence numbers, as the switch's do, and the quirks that were seen: the
//! end of the old bridge may be reported after the new bridge, or not at all; a leg is reported gone twice (CHANNEL_HANGUP,
//! CHANNEL_DESTROY) with other reports between; a bridge is reported a moment before a reading shows it.
// What fails here is the model.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use callhop_calls::id::{ChannelId, DeviceId};
use callhop_calls::tracker::{
    Applied, Arming, Bond, Change, Corrections, Direction, Facts, LegEvent, Party, Progress,
    Sequence, SnapshotLeg, Tracker,
};
use proptest::prelude::*;

const NOW: Duration = Duration::from_secs(1);

/// A leg as it truly is.
#[derive(Debug, Clone, PartialEq)]
struct True {
    facts: Facts,
    peer: Option<ChannelId>,
    holds: bool,
}

/// The switch.
#[derive(Debug, Default)]
struct Model {
    legs: BTreeMap<ChannelId, True>,
    /// The device of a leg that has not authenticated yet.
    secret: HashMap<ChannelId, DeviceId>,
    sequence: u64,
    made: u64,
    events: Vec<LegEvent>,
}

/// What happens next; the numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Call { device: Option<u8>, at_once: bool },
    Authenticate(u8),
    Ring { from: u8, device: Option<u8> },
    Early(u8),
    Answer(u8),
    Pull { from: u8, order: u8 },
    Bridge { one: u8, two: u8, reported: bool },
    Park(u8),
    Hold(u8, bool),
    Rename(u8),
    HangUp { leg: u8, order: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let device = || proptest::option::of(0..6u8);
    prop_oneof![
        4 => (device(), any::<bool>()).prop_map(|(device, at_once)| Step::Call { device, at_once }),
        2 => any::<u8>().prop_map(Step::Authenticate),
        5 => (any::<u8>(), device()).prop_map(|(from, device)| Step::Ring { from, device }),
        1 => any::<u8>().prop_map(Step::Early),
        4 => any::<u8>().prop_map(Step::Answer),
        3 => (any::<u8>(), 0..6u8).prop_map(|(from, order)| Step::Pull { from, order }),
        2 => (any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(one, two, reported)| Step::Bridge { one, two, reported }),
        1 => any::<u8>().prop_map(Step::Park),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(leg, on)| Step::Hold(leg, on)),
        1 => any::<u8>().prop_map(Step::Rename),
        3 => (any::<u8>(), 0..3u8).prop_map(|(leg, order)| Step::HangUp { leg, order }),
    ]
}

fn device(index: u8) -> DeviceId {
    format!("100{index}@lab.test").parse().unwrap()
}

impl Model {
    fn next(&mut self) -> Sequence {
        // Other events of the switch take numbers too.
        self.sequence += 2;
        Sequence(self.sequence)
    }

    fn tell(&mut self, leg: &ChannelId, change: Change) {
        let facts = self.legs.get(leg).map(|l| l.facts.clone());
        self.tell_facts(leg, facts, change);
    }

    fn tell_facts(&mut self, leg: &ChannelId, facts: Option<Facts>, change: Change) {
        let sequence = self.next();
        let leg = leg.clone();
        self.events.push(LegEvent {
            sequence,
            leg,
            at: None,
            facts,
            change,
        });
    }

    fn pick(&self, index: u8, fits: impl Fn(&True) -> bool) -> Option<ChannelId> {
        let all: Vec<_> = self.legs.iter().filter(|(_, leg)| fits(leg)).collect();
        let (id, _) = all.get(usize::from(index).checked_rem(all.len())?)?;
        Some((*id).clone())
    }

    fn add(&mut self, facts: Facts) -> ChannelId {
        self.made += 1;
        let id: ChannelId = format!("c{}", self.made).parse().unwrap();
        let leg = True {
            facts,
            peer: None,
            holds: false,
        };
        self.legs.insert(id.clone(), leg);
        self.tell(&id, Change::Told);
        id
    }

    fn inbound(&mut self, device: Option<DeviceId>) -> ChannelId {
        self.add(Facts {
            device,
            direction: Direction::Inbound,
            progress: Progress::Setup,
            originator: None,
            party: Party {
                number: format!("9{}", self.made),
                name: String::new(),
            },
            codec: None,
            phone: None,
            arming: Arming::No,
            made_by: None,
        })
    }

    fn progress(&mut self, id: &ChannelId, progress: Progress) {
        let leg = self.legs.get_mut(id).unwrap();
        if leg.facts.progress < progress {
            leg.facts.progress = progress;
            leg.facts.codec = Some("PCMU".into());
            self.tell(id, Change::Told);
        }
    }

    fn connect(&mut self, one: &ChannelId, two: &ChannelId, report_end: bool) {
        for (id, peer) in [(one, two), (two, one)] {
            let former = self.legs.get_mut(id).unwrap().peer.replace(peer.clone());
            if let Some(former) = former.filter(|former| former != peer) {
                self.legs.get_mut(&former).unwrap().peer = None;
                if report_end {
                    self.tell(&former, Change::Unbridged(id.clone()));
                }
            }
        }
        self.tell(one, Change::Bridged(two.clone()));
    }

    fn hang_up(&mut self, id: &ChannelId, order: u8) {
        let leg = self.legs.remove(id).unwrap();
        let unbridge = |model: &mut Self| {
            if let Some(peer) = &leg.peer {
                let facts = leg.facts.clone();
                model.tell_facts(id, Some(facts), Change::Unbridged(peer.clone()));
            }
        };
        if let Some(peer) = &leg.peer {
            self.legs.get_mut(peer).unwrap().peer = None;
        }
        if order == 0 {
            unbridge(self);
        }
        self.tell_facts(id, None, Change::Gone);
        if order == 1 {
            unbridge(self);
        }
        self.tell_facts(id, None, Change::Gone);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Call {
                device: index,
                at_once,
            } => {
                let device = index.map(device);
                let id = self.inbound(device.clone().filter(|_| at_once));
                if let Some(device) = device.filter(|_| !at_once) {
                    self.secret.insert(id, device);
                }
            }
            Step::Authenticate(leg) => {
                let Some(id) = self.pick(leg, |l| l.facts.device.is_none()) else {
                    return;
                };
                if let Some(device) = self.secret.remove(&id) {
                    self.legs.get_mut(&id).unwrap().facts.device = Some(device);
                    self.tell(&id, Change::Told);
                }
            }
            Step::Ring {
                from,
                device: index,
            } => {
                let Some(originator) = self.pick(from, |l| l.peer.is_none()) else {
                    return;
                };
                self.add(Facts {
                    device: index.map(device),
                    direction: Direction::Outbound,
                    progress: Progress::Setup,
                    originator: Some(originator),
                    party: Party {
                        number: "1000".into(),
                        name: "Ann".into(),
                    },
                    codec: None,
                    phone: None,
                    arming: Arming::No,
                    made_by: None,
                });
            }
            Step::Early(leg) => {
                if let Some(id) = self.pick(leg, |l| l.facts.direction == Direction::Outbound) {
                    self.progress(&id, Progress::EarlyMedia);
                }
            }
            Step::Answer(leg) => {
                let ringing = |l: &True| {
                    l.peer.is_none()
                        && l.facts.direction == Direction::Outbound
                        && l.facts.progress < Progress::Answered
                        && l.facts.originator.as_ref().is_some_and(|o| {
                            self.legs
                                .get(o)
                                .is_some_and(|originator| originator.peer.is_none())
                        })
                };
                let Some(id) = self.pick(leg, ringing) else {
                    return;
                };
                let originator = self.legs[&id].facts.originator.clone().unwrap();
                self.progress(&id, Progress::Answered);
                self.progress(&originator, Progress::Answered);
                self.connect(&originator, &id, true);
                let losers: Vec<_> = self
                    .legs
                    .iter()
                    .filter(|(fork, l)| {
                        **fork != id
                            && l.facts.originator.as_ref() == Some(&originator)
                            && l.facts.progress < Progress::Answered
                    })
                    .map(|(fork, _)| fork.clone())
                    .collect();
                for fork in losers {
                    self.hang_up(&fork, 0);
                }
            }
            Step::Pull { from, order } => {
                let Some(old) = self.pick(from, |l| l.peer.is_some()) else {
                    return;
                };
                let far = self.legs[&old].peer.clone().unwrap();
                let new = self.inbound(Some(device(order)));
                self.progress(&new, Progress::Answered);
                self.legs.get_mut(&far).unwrap().peer = Some(new.clone());
                self.legs.get_mut(&new).unwrap().peer = Some(far.clone());
                self.legs.get_mut(&old).unwrap().peer = None;
                let facts = self.legs[&old].facts.clone();
                let apart = |model: &mut Self| {
                    let change = Change::Unbridged(far.clone());
                    model.tell_facts(&old, Some(facts.clone()), change);
                };
                match order % 3 {
                    0 => {
                        apart(self);
                        self.tell(&new, Change::Bridged(far.clone()));
                        self.hang_up(&old, 2);
                    }
                    1 => {
                        self.hang_up(&old, 2);
                        self.tell(&new, Change::Bridged(far.clone()));
                    }
                    _ => {
                        self.tell(&new, Change::Bridged(far.clone()));
                        apart(self);
                        self.hang_up(&old, 2);
                    }
                }
            }
            Step::Bridge { one, two, reported } => {
                let answered = |l: &True| l.facts.progress == Progress::Answered;
                if let (Some(one), Some(two)) = (self.pick(one, answered), self.pick(two, answered))
                    && one != two
                    && self.legs[&one].peer.as_ref() != Some(&two)
                {
                    self.connect(&one, &two, reported);
                }
            }
            Step::Park(leg) => {
                let Some(one) = self.pick(leg, |l| l.peer.is_some()) else {
                    return;
                };
                let two = self.legs.get_mut(&one).unwrap().peer.take().unwrap();
                self.legs.get_mut(&two).unwrap().peer = None;
                self.tell(&one, Change::Unbridged(two));
            }
            Step::Hold(leg, on) => {
                let Some(id) = self.pick(leg, |l| l.holds != on) else {
                    return;
                };
                self.legs.get_mut(&id).unwrap().holds = on;
                self.tell(&id, if on { Change::Held } else { Change::Unheld });
            }
            Step::Rename(leg) => {
                if let Some(id) = self.pick(leg, |_| true) {
                    let name = format!("n{}", self.sequence);
                    self.legs.get_mut(&id).unwrap().facts.party.name = name;
                    self.tell(&id, Change::Told);
                }
            }
            Step::HangUp { leg, order } => {
                if let Some(id) = self.pick(leg, |_| true) {
                    self.hang_up(&id, order);
                }
            }
        }
    }

    fn read(&mut self, id: &ChannelId) -> Option<SnapshotLeg> {
        let sequence = self.next();
        let leg = self.legs.get(id)?;
        Some(SnapshotLeg {
            sequence,
            leg: id.clone(),
            facts: leg.facts.clone(),
            talks_to: leg.peer.clone(),
            holds: leg.holds,
        })
    }

    fn read_all(&mut self) -> Vec<SnapshotLeg> {
        let ids: Vec<_> = self.legs.keys().cloned().collect();
        ids.iter().filter_map(|id| self.read(id)).collect()
    }

    fn bond(&self, leg: &True) -> Bond {
        match (&leg.peer, &leg.facts.originator) {
            (Some(peer), _) => Bond::TalksTo(peer.clone()),
            (None, Some(originator))
                if leg.facts.progress < Progress::Answered
                    && self.legs.contains_key(originator) =>
            {
                Bond::RingsFor(originator.clone())
            }
            (None, _) => Bond::Alone,
        }
    }

    /// The tracker shows what is true, and nothing else.
    fn compare(&self, tracker: &Tracker) -> Result<(), TestCaseError> {
        let shown: BTreeMap<_, _> = tracker
            .legs()
            .map(|(id, leg)| {
                let leg = leg.clone();
                let told = (leg.device, leg.direction, leg.progress, leg.bond);
                (id, (told, leg.holds, leg.party, leg.codec))
            })
            .collect();
        let truth: BTreeMap<_, _> = self
            .legs
            .iter()
            .map(|(id, leg)| {
                let bond = self.bond(leg);
                let facts = leg.facts.clone();
                let told = (facts.device, facts.direction, facts.progress, bond);
                (id, (told, leg.holds, facts.party, facts.codec))
            })
            .collect();
        prop_assert_eq!(shown, truth);
        Ok(())
    }
}

/// What the module's doc promises at every moment.
fn consistent(tracker: &Tracker) -> Result<(), TestCaseError> {
    let mut of_device: HashMap<&DeviceId, HashSet<&ChannelId>> = HashMap::new();
    let mut forks: HashMap<&ChannelId, HashSet<&ChannelId>> = HashMap::new();
    for (id, leg) in tracker.legs() {
        prop_assert!(!tracker.has_gone(id), "{} is gone", id);
        if let Some(device) = &leg.device {
            of_device.entry(device).or_default().insert(id);
        }
        match &leg.bond {
            Bond::Alone => {}
            Bond::RingsFor(originator) => {
                prop_assert!(tracker.leg(originator).is_some(), "{} rings for nobody", id);
                forks.entry(originator).or_default().insert(id);
            }
            Bond::TalksTo(peer) => {
                let other = tracker.leg(peer).and_then(|peer| peer.peer());
                prop_assert_eq!(other, Some(id), "{} talks alone", id);
            }
        }
    }
    for index in 0..6 {
        let device = device(index);
        let listed: Vec<_> = tracker.legs_of(&device).collect();
        let expected = of_device.remove(&device).unwrap_or_default();
        prop_assert_eq!(listed.len(), expected.len());
        prop_assert_eq!(listed.into_iter().collect::<HashSet<_>>(), expected);
    }
    for (id, _) in tracker.legs() {
        let listed: Vec<_> = tracker.forks_of(id).collect();
        let expected = forks.remove(id).unwrap_or_default();
        prop_assert_eq!(listed.len(), expected.len());
        prop_assert_eq!(listed.into_iter().collect::<HashSet<_>>(), expected);
    }
    Ok(())
}

/// What becomes of an event on its way.
#[derive(Debug, Clone)]
struct Fate {
    late: u8,
    twice: Option<u8>,
    lost: bool,
}

/// The fates of all events, again and again.
#[derive(Clone)]
struct Fates(Vec<Fate>);

impl std::fmt::Debug for Fates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let odd = |(_, fate): &(usize, &Fate)| fate.late > 0 || fate.twice.is_some() || fate.lost;
        for (at, fate) in self.0.iter().enumerate().filter(odd) {
            write!(f, "{at}: {fate:?} ")?;
        }
        Ok(())
    }
}

fn fates(lossy: bool) -> impl Strategy<Value = Fates> {
    let late = prop_oneof![3 => Just(0u8), 1 => 0..4u8, 1 => any::<u8>()];
    let fate = (
        late,
        proptest::option::weighted(0.2, any::<u8>()),
        proptest::bool::weighted(if lossy { 0.15 } else { 0.0 }),
    );
    let fate = fate.prop_map(|(late, twice, lost)| Fate { late, twice, lost });
    proptest::collection::vec(fate, 64).prop_map(Fates)
}

/// The events in the order in which they arrive.
fn on_the_way(events: &[LegEvent], fates: &Fates) -> Vec<LegEvent> {
    let mut arrivals = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let fate = &fates.0[at % fates.0.len()];
        if fate.lost {
            continue;
        }
        arrivals.push((at + usize::from(fate.late), event));
        if let Some(late) = fate.twice {
            arrivals.push((at + usize::from(late), event));
        }
    }
    arrivals.sort_by_key(|(at, _)| *at);
    arrivals.into_iter().map(|(_, e)| e.clone()).collect()
}

fn deliver(tracker: &mut Tracker, events: &[LegEvent]) -> Result<(), TestCaseError> {
    for event in events {
        tracker.handle_event(event.clone(), NOW);
        consistent(tracker)?;
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..60)
}

fn live(steps: &[Step]) -> Model {
    let mut model = Model::default();
    for step in steps {
        model.run(step);
    }
    model
}

/// Few enough to be waited for; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let is_default = std::env::var_os("PROPTEST_CASES").is_none();
    ProptestConfig {
        cases: if is_default { 100 } else { asked.cases },
        failure_persistence: None,
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_events_does_not_matter_only_their_numbers_do(steps in steps(), fates in fates(false)) {
        let model = live(&steps);
        let mut tracker = Tracker::default();
        deliver(&mut tracker, &on_the_way(&model.events, &fates))?;
        model.compare(&tracker)?;
    }

    #[test]
    fn after_a_resync_exactly_what_is_true_is_there(steps in steps(), fates in fates(true)) {
        let mut model = live(&steps);
        let mut tracker = Tracker::default();
        deliver(&mut tracker, &on_the_way(&model.events, &fates))?;
        let snapshot = model.read_all();
        tracker.resync(snapshot);
        consistent(&tracker)?;
        model.compare(&tracker)?;
    }

    #[test]
    fn what_happens_while_the_switch_is_read_is_not_lost(
        before in steps(),
        meanwhile in steps(),
        afterwards in steps(),
        fates in fates(false),
    ) {
        let mut model = live(&before);
        // The subscription begins here.
        let old = std::mem::take(&mut model.events);
        let mut tracker = Tracker::default();
        deliver(&mut tracker, &old)?;
        let listed: Vec<_> = model.legs.keys().cloned().collect();
        let mut snapshot = Vec::new();
        let mut to_do = meanwhile.iter();
        for id in &listed {
            snapshot.extend(model.read(id));
            if let Some(step) = to_do.next() {
                model.run(step);
                // The bridge has been reported and is not noted yet: neither leg shows it to a reading.
                if let Some(LegEvent { leg, change: Change::Bridged(peer), .. }) = model.events.last() {
                    for id in [leg.clone(), peer.clone()] {
                        if listed.contains(&id) && !snapshot.iter().any(|read| read.leg == id) {
                            snapshot.extend(model.read(&id).map(|read| SnapshotLeg { talks_to: None, ..read }));
                        }
                    }
                }
            }
        }
        let mut read = HashSet::new();
        snapshot.retain(|leg| read.insert(leg.leg.clone()));
        for step in to_do.chain(&afterwards) {
            model.run(step);
        }
        tracker.resync(snapshot);
        consistent(&tracker)?;
        deliver(&mut tracker, &on_the_way(&model.events, &fates))?;
        model.compare(&tracker)?;
    }

    #[test]
    fn a_reconcile_corrects_what_lost_events_have_left(steps in steps(), fates in fates(true)) {
        let mut model = live(&steps);
        let mut tracker = Tracker::default();
        let arrived = on_the_way(&model.events, &fates);
        deliver(&mut tracker, &arrived)?;
        let absent: Vec<_> = tracker.legs().map(|(id, _)| id.clone()).filter(|id| !model.legs.contains_key(id)).collect();
        let read = model.read_all();
        tracker.reconcile(read.clone(), &absent, NOW);
        consistent(&tracker)?;
        model.compare(&tracker)?;
        // There is nothing more to correct, and nothing that comes once more changes anything.
        prop_assert_eq!(tracker.reconcile(read, &absent, NOW), Corrections::default());
        deliver(&mut tracker, &arrived)?;
        model.compare(&tracker)?;
    }

    #[test]
    fn a_reading_while_events_are_on_their_way_loses_none(
        before in steps(),
        afterwards in steps(),
        fates in fates(false),
        arrived in any::<prop::sample::Index>(),
        backwards in any::<bool>(),
    ) {
        let mut model = live(&before);
        let on_the_way = on_the_way(&model.events, &fates);
        let (now, later) = on_the_way.split_at(arrived.index(on_the_way.len() + 1));
        let mut tracker = Tracker::default();
        deliver(&mut tracker, now)?;
        let absent: Vec<_> = tracker.legs().map(|(id, _)| id.clone()).filter(|id| !model.legs.contains_key(id)).collect();
        let last = model.events.last().cloned();
        let mut read = model.read_all();
        // The bridge has been made and is neither noted at the legs nor reported yet.
        if let Some(LegEvent { leg, change: Change::Bridged(peer), sequence, .. }) = last
            && now.iter().all(|event| event.sequence != sequence)
        {
            for noted in read.iter_mut().filter(|read| [&leg, &peer].contains(&&read.leg)) {
                noted.talks_to = None;
            }
        }
        if backwards {
            read.reverse();
        }
        tracker.reconcile(read, &absent, NOW);
        consistent(&tracker)?;
        deliver(&mut tracker, later)?;
        model.compare(&tracker)?;
        let told = model.events.len();
        for step in &afterwards {
            model.run(step);
        }
        deliver(&mut tracker, &model.events[told..])?;
        model.compare(&tracker)?;
    }

    #[test]
    fn a_reconcile_after_a_quiet_time_has_nothing_to_correct(steps in steps(), fates in fates(false)) {
        let mut model = live(&steps);
        let mut tracker = Tracker::default();
        deliver(&mut tracker, &on_the_way(&model.events, &fates))?;
        let read = model.read_all();
        prop_assert_eq!(tracker.reconcile(read, &[], NOW), Corrections::default());
        model.compare(&tracker)?;
    }

    #[test]
    fn an_older_reading_changes_nothing(steps in steps(), later in steps()) {
        let mut model = live(&steps);
        let read = model.read_all();
        for step in &later {
            model.run(step);
        }
        let mut tracker = Tracker::default();
        let events = model.events.clone();
        deliver(&mut tracker, &events)?;
        prop_assert_eq!(tracker.reconcile(read, &[], NOW).peers, 0);
        model.compare(&tracker)?;
    }

    #[test]
    fn a_doubled_event_changes_nothing(steps in steps()) {
        let model = live(&steps);
        let mut tracker = Tracker::default();
        for event in &model.events {
            tracker.handle_event(event.clone(), NOW);
            let again = tracker.handle_event(event.clone(), NOW);
            prop_assert_ne!(again, Applied::Changed);
        }
        model.compare(&tracker)?;
    }
}

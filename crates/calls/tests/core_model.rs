//! The core's invariants under random lives: moves that are asked for, go well, go wrong and get lost; and a directory,
//! routes, registrations and a calendar that change, beside the routing snapshot that has to follow.
// What fails here is the model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callhop_calls::core::{ANSWERING, Input, MoveEnd};
use callhop_calls::directory::RouteEnd;
use callhop_calls::id::MoveId;
use callhop_calls::id::{ChannelId, UnixTime};
use callhop_calls::routing::{Policy, Unregistered};
use proptest::prelude::*;
use support::{World, device, ending, extension, leg};

/// What happens around moves; the numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    ComesIn { to: u8 },
    GoesOut { from: u8, to: u8 },
    Answers(u8),
    Holds(u8),
    Pulls { by: u8, from: Option<u8> },
    GoesWell(u8),
    BridgedElsewhere(u8, u8),
    HangsUp(u8),
    LinkDown,
    Resync,
    Lost(u8),
    Passes(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(|to| Step::ComesIn { to }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Step::GoesOut { from, to }),
        5 => any::<u8>().prop_map(Step::Answers),
        1 => any::<u8>().prop_map(Step::Holds),
        6 => (any::<u8>(), proptest::option::of(any::<u8>()))
            .prop_map(|(by, from)| Step::Pulls { by, from }),
        4 => any::<u8>().prop_map(Step::GoesWell),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(one, two)| Step::BridgedElsewhere(one, two)),
        3 => any::<u8>().prop_map(Step::HangsUp),
        1 => Just(Step::LinkDown),
        2 => Just(Step::Resync),
        1 => any::<u8>().prop_map(Step::Lost),
        2 => any::<u16>().prop_map(Step::Passes),
    ]
}

const DEVICES: [&str; 5] = ["1001", "1002", "1003", "2001", "2002"];

/// The moves as the outputs tell of them.
struct Seen {
    w: World,
    made: u32,
    reports: usize,
    /// The far leg and the number of the step, by the new leg.
    open: BTreeMap<ChannelId, (ChannelId, usize)>,
    /// The legs of those that have ended, with the steps of their beginning and end.
    over: Vec<([ChannelId; 3], usize, usize)>,
    bridges: BTreeSet<[ChannelId; 2]>,
    ended: BTreeSet<MoveId>,
    steps: usize,
    up: bool,
}

impl Seen {
    fn new() -> Self {
        Self {
            w: World::new(),
            made: 0,
            reports: 0,
            open: BTreeMap::new(),
            over: Vec::new(),
            bridges: BTreeSet::new(),
            ended: BTreeSet::new(),
            steps: 0,
            up: true,
        }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("c{}", self.made)
    }

    fn pick(&self, index: u8) -> Option<String> {
        let legs = self.w.legs();
        legs.get(usize::from(index).checked_rem(legs.len())?)
            .cloned()
    }

    fn device(index: u8) -> &'static str {
        DEVICES[usize::from(index) % DEVICES.len()]
    }

    fn bridge(&mut self, one: &str, two: &str) {
        let mut pair = [leg(one), leg(two)];
        pair.sort();
        self.bridges.insert(pair);
        self.w.bridge(one, two);
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::ComesIn { to } => {
                let (caller, fork) = (self.name(), self.name());
                self.w.incoming(&caller);
                self.w
                    .rings(&format!("{fork}={}", Self::device(to)), &caller);
            }
            Step::GoesOut { from, to } => {
                let (caller, fork) = (self.name(), self.name());
                self.w.incoming(&format!("{caller}={}", Self::device(from)));
                // Every second one calls a colleague.
                let to = match to % 2 {
                    0 => format!("{fork}={}", Self::device(to)),
                    _ => fork,
                };
                self.w.rings(&to, &caller);
            }
            Step::Answers(index) => {
                let Some(fork) = self.pick(index) else {
                    return Ok(());
                };
                if let Some(caller) = self.w.rings_for(&fork) {
                    self.w.answers(&fork);
                    self.w.answers(&caller);
                    self.bridge(&caller, &fork);
                }
            }
            Step::Holds(index) => {
                if let Some(leg) = self.pick(index) {
                    self.w.hold(&leg);
                }
            }
            Step::Pulls { by, from } => {
                let name = self.name();
                let new = format!("{name}={}", Self::device(by));
                let code = from.map_or("*33".into(), |from| format!("*33{}", Self::device(from)));
                self.w.said();
                self.w.dials(&new, &code);
                let mut said = self.w.said();
                if said.is_empty() {
                    // Somebody has been answered, and is in no bridge yet.
                    self.w.pass(ANSWERING);
                    self.w.tell(Input::Timer);
                    said = self.w.said();
                }
                let answers = said.matches("pull ").count() + said.matches("refuse ").count();
                prop_assert_eq!(answers, 1, "{}", said);
                prop_assert!(self.up || said == "refuse stale", "{}", said);
                if said.starts_with("pull ") {
                    let far = self.w.orders.last().unwrap().far_leg.clone();
                    self.open.insert(leg(&name), (far, self.steps));
                }
            }
            Step::GoesWell(index) => {
                let moves: Vec<_> = self.open.clone().into_iter().collect();
                let at = usize::from(index).checked_rem(moves.len());
                let Some((new, (far, _))) = at.map(|at| &moves[at]) else {
                    return Ok(());
                };
                let legs = self.w.legs();
                let (new, far) = (new.to_string(), far.to_string());
                if legs.contains(&new) && legs.contains(&far) {
                    let mut pair = [leg(&new), leg(&far)];
                    pair.sort();
                    self.bridges.insert(pair);
                    self.w.intercepts(&new, &far);
                }
            }
            Step::BridgedElsewhere(one, two) => {
                if let (Some(one), Some(two)) = (self.pick(one), self.pick(two))
                    && one != two
                {
                    self.bridge(&one, &two);
                }
            }
            Step::HangsUp(index) => {
                if let Some(leg) = self.pick(index) {
                    self.w.hangs_up(&leg);
                }
            }
            Step::LinkDown => {
                self.w.link_down();
                self.up = false;
            }
            Step::Resync => {
                self.w.resync();
                self.up = true;
            }
            Step::Lost(index) => {
                if let Some(leg) = self.pick(index) {
                    self.w.hold_back();
                    self.w.hangs_up(&leg);
                    self.w.let_go();
                }
            }
            Step::Passes(by) => {
                self.w.pass(Duration::from_millis(u64::from(by) / 8));
                self.w.tell(Input::Timer);
            }
        }
        self.look()
    }

    /// A move ends once, and it has moved only if that bridge was.
    fn look(&mut self) -> Result<(), TestCaseError> {
        self.steps += 1;
        for report in &self.w.reports[self.reports..] {
            prop_assert!(self.ended.insert(report.id), "{:?} ends twice", report);
            let new_leg = report.new_leg.clone().expect("a pull has a new leg");
            let known = self.open.remove(&new_leg);
            let (far, began) = known.expect("what ends has begun");
            prop_assert_eq!(&far, &report.far_leg);
            let legs = [&new_leg, &report.old_leg, &far].map(ChannelId::clone);
            self.over.push((legs, began, self.steps));
            if report.end == MoveEnd::Moved {
                let mut pair = [new_leg, far];
                pair.sort();
                prop_assert!(
                    self.bridges.contains(&pair),
                    "{:?} without a bridge",
                    report
                );
            }
        }
        self.reports = self.w.reports.len();
        prop_assert_eq!(self.open.len(), self.w.moves());
        Ok(())
    }

    /// No leg was in two moves at a time, in whichever role.
    fn look_back(&self) -> Result<(), TestCaseError> {
        for (at, (legs, began, ended)) in self.over.iter().enumerate() {
            for (others, other_began, other_ended) in &self.over[at + 1..] {
                let at_once = began < other_ended && other_began < ended;
                let shared = legs.iter().any(|leg| others.contains(leg));
                prop_assert!(!(at_once && shared), "{:?} and {:?}", legs, others);
            }
        }
        Ok(())
    }
}

/// What happens around routes.
#[derive(Debug, Clone)]
enum Change {
    Have {
        id: u8,
        devices: Vec<u8>,
    },
    Remove(u8),
    Route {
        id: u8,
        to: Option<(bool, u8)>,
        end: u8,
    },
    Registers {
        device: u8,
        contacts: u8,
    },
    Hunts(u8),
    Dials {
        by: u8,
        code: u8,
        number: u8,
    },
    LinkDown,
    Resync {
        restarted: bool,
    },
    On(bool),
    Passes(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let devices = proptest::collection::vec(0..8u8, 0..3);
    prop_oneof![
        2 => (0..6u8, devices).prop_map(|(id, devices)| Change::Have { id, devices }),
        1 => (0..6u8).prop_map(Change::Remove),
        6 => (0..6u8, proptest::option::of((any::<bool>(), 0..8u8)), any::<u8>())
            .prop_map(|(id, to, end)| Change::Route { id, to, end }),
        4 => (0..8u8, 0..3u8).prop_map(|(device, contacts)| Change::Registers { device, contacts }),
        4 => (0..7u8).prop_map(Change::Hunts),
        3 => (0..8u8, 0..3u8, 0..8u8).prop_map(|(by, code, number)| Change::Dials { by, code, number }),
        1 => Just(Change::LinkDown),
        1 => any::<bool>().prop_map(|restarted| Change::Resync { restarted }),
        1 => any::<bool>().prop_map(Change::On),
        3 => any::<u8>().prop_map(Change::Passes),
    ]
}

/// Extensions 10 to 15 and devices 10 to 17: some have the same number.
fn number(index: u8) -> String {
    format!("1{index}")
}

fn apply(w: &mut World, change: &Change) {
    match change {
        Change::Have { id, devices } => {
            // A device belongs to one extension: the database sees to that.
            let free: BTreeSet<_> = devices
                .iter()
                .map(|index| number(*index))
                .filter(|number| {
                    let owner = w.core.directory().owner(&device(number));
                    owner.is_none_or(|owner| owner.id == extension(&self::number(*id)))
                })
                .collect();
            let free: Vec<_> = free.iter().map(String::as_str).collect();
            w.have(&number(*id), &free);
        }
        Change::Remove(id) => w.remove(&number(*id)),
        Change::Route { id, to, end } => {
            if w.core
                .directory()
                .extension(&extension(&number(*id)))
                .is_none()
            {
                return;
            }
            let end = match end % 4 {
                0 => RouteEnd::NextCall,
                1 => RouteEnd::At(UnixTime(w.now.unix.0 + i64::from(*end))),
                _ => RouteEnd::Never,
            };
            let route = to.map(|(is_device, to)| {
                let kind = if is_device { "device" } else { "extension" };
                ending(&format!("{kind} {}", number(to)), end)
            });
            w.set_route(&number(*id), route);
        }
        Change::Registers { device, contacts } => {
            let contacts = ["sofia/a", "sofia/b"][..usize::from(*contacts)].to_vec();
            w.registers(&number(*device), &contacts);
        }
        Change::Hunts(id) => w.hunts(&number(*id)),
        Change::Dials {
            by,
            code,
            number: to,
        } => {
            let code = match code {
                0 => "*50".to_owned(),
                1 => "*51".to_owned(),
                _ => format!("*49{}", number(*to)),
            };
            w.asks_for(&format!("x={}", number(*by)), &code);
        }
        Change::LinkDown => w.link_down(),
        Change::Resync { restarted } => {
            if *restarted {
                w.restart_switch();
            }
            w.resync();
        }
        Change::On(first) => {
            w.on(if *first { "fs1" } else { "fs2" });
        }
        Change::Passes(by) => {
            w.pass(Duration::from_secs(u64::from(*by)));
            while w.core.next_timer().is_some_and(|at| at <= w.now.mono) {
                w.tell(Input::Timer);
            }
        }
    }
}

/// On each switch that can be reached, the snapshot is what a hunt would be answered, and nothing else is in it.
fn snapshot_is_true(w: &World) -> Result<(), TestCaseError> {
    for (name, switch) in w.core.switches().filter(|(_, switch)| switch.is_fresh()) {
        let expect: BTreeMap<_, _> = w
            .core
            .directory()
            .extensions()
            .filter_map(|e| Some((e.id.clone(), w.core.explain(name, &e.id)?.targets)))
            .filter(|(_, targets)| !targets.is_empty())
            .collect();
        prop_assert_eq!(w.hash_of(name), &expect, "on {}", name);
        prop_assert_eq!(switch.moves(), 0);
    }
    Ok(())
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
    fn a_leg_is_in_at_most_one_move_and_every_move_ends_once(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut seen = Seen::new();
        for step in &steps {
            seen.run(step)?;
        }
        // Whatever happened: once the switch has been read and time has passed, nothing is left open.
        seen.w.resync();
        while seen.w.core.next_timer().is_some() {
            seen.w.sleep();
        }
        seen.look()?;
        prop_assert!(seen.open.is_empty());
        prop_assert_eq!(seen.ended.len(), seen.w.orders.len());
        seen.look_back()?;
    }

    #[test]
    fn the_routing_snapshot_is_what_a_hunt_would_be_answered(
        ring_all in any::<bool>(),
        changes in proptest::collection::vec(change(), 1..60),
    ) {
        let unregistered = if ring_all { Unregistered::RingAll } else { Unregistered::Strict };
        let mut w = World::with(Policy { unregistered, ..Policy::default() });
        snapshot_is_true(&w)?;
        for change in &changes {
            apply(&mut w, change);
            snapshot_is_true(&w)?;
        }
    }
}

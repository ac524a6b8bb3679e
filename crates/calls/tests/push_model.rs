//! Pushes under random lives: people dial, answer and hang up at any moment, the switch carries out what is ordered and its
//! dialplans go on in any order, events come late, twice or not at all, links are lost and the controller is killed.
//!
//! What has to hold: a move ends once; no leg is in two moves; nothing is released that the far end talks to; and whatever
//! happens, the far end talks to somebody, or rings somebody, or is gone: it never waits with nobody in charge of it.
// What fails here is the model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeSet, hash_map::DefaultHasher};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use callhop_calls::core::{Input, MoveEnd};
use callhop_calls::id::{ChannelId, MoveId};
use callhop_calls::pull::Class;
use proptest::prelude::*;
use support::{At, World, leg};

/// What happens; the numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Calls { device: u8, other: u8, placed: bool },
    Code(u8),
    Dials(u8, u8),
    Obeys(u8),
    Walks(u8),
    BeatFails(u8),
    Rings(u8),
    PicksUp(u8),
    NotReached(u8),
    HangsUp(u8),
    Pulls(u8),
    PullGoesWell(u8),
    BecomesLate,
    IsTold(u64),
    LinkDown,
    Killed,
    Resync,
    Reconciles,
    Passes(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(device, other, placed)| Step::Calls { device, other, placed }),
        5 => any::<u8>().prop_map(Step::Code),
        10 => (any::<u8>(), any::<u8>()).prop_map(|(leg, digits)| Step::Dials(leg, digits)),
        12 => any::<u8>().prop_map(Step::Obeys),
        10 => any::<u8>().prop_map(Step::Walks),
        1 => any::<u8>().prop_map(Step::BeatFails),
        6 => any::<u8>().prop_map(Step::Rings),
        5 => any::<u8>().prop_map(Step::PicksUp),
        2 => any::<u8>().prop_map(Step::NotReached),
        3 => any::<u8>().prop_map(Step::HangsUp),
        2 => any::<u8>().prop_map(Step::Pulls),
        2 => any::<u8>().prop_map(Step::PullGoesWell),
        1 => Just(Step::BecomesLate),
        3 => any::<u64>().prop_map(Step::IsTold),
        1 => Just(Step::LinkDown),
        1 => Just(Step::Killed),
        3 => Just(Step::Resync),
        1 => Just(Step::Reconciles),
        2 => any::<u16>().prop_map(Step::Passes),
    ]
}

const DEVICES: [&str; 6] = ["1001", "1002", "1003", "2001", "2002", "3000"];
const DIGITS: [&str; 9] = [
    "2", "*", "#", "2001#", "2000#", "1000#", "3000#", "9999#", "00",
];

/// How events reach the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    /// They are on the way.
    Late,
    /// They are lost.
    Down,
}

struct Model {
    w: World,
    link: Link,
    made: u32,
    killed: bool,
    reports: usize,
    ended: BTreeSet<MoveId>,
    /// What was done and said, for whoever has to find out.
    trail: String,
}

fn pick<T: Clone>(from: &[T], index: u8) -> Option<T> {
    from.get(usize::from(index).checked_rem(from.len())?)
        .cloned()
}

impl Model {
    fn new() -> Self {
        Self {
            w: World::new(),
            link: Link::Up,
            made: 0,
            killed: false,
            reports: 0,
            ended: BTreeSet::new(),
            trail: String::new(),
        }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("c{}", self.made)
    }

    fn any_leg(&self, index: u8) -> Option<String> {
        pick(&self.w.legs(), index)
    }

    /// One of the legs for which that is true.
    fn one(&self, index: u8, is: impl Fn(&World, &str) -> bool) -> Option<String> {
        let mut legs = self.w.legs();
        legs.retain(|leg| is(&self.w, leg));
        pick(&legs, index)
    }

    fn is_told(&mut self, seed: u64) {
        let random = |at: usize| {
            let mut hasher = DefaultHasher::new();
            (seed, at).hash(&mut hasher);
            hasher.finish()
        };
        let mut events: Vec<_> = self.w.let_go().into_iter().enumerate().collect();
        let again = events
            .iter()
            .filter(|(at, _)| random(*at).is_multiple_of(4));
        let again: Vec<_> = again
            .map(|(at, event)| (at + 10_000, event.clone()))
            .collect();
        events.extend(again);
        // Every second time only doubled, not in another order.
        if seed.is_multiple_of(2) {
            events.sort_by_key(|(at, _)| random(*at));
        }
        for (_, event) in events {
            self.w.event(event);
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.trail += &format!("{step:?}\n");
        match *step {
            Step::Calls {
                device,
                other,
                placed,
            } => {
                let (one, two) = (self.name(), self.name());
                let of = DEVICES[usize::from(device) % DEVICES.len()];
                // Every third call is an internal one.
                let other = match other % 3 {
                    0 => format!("{two}={}", DEVICES[usize::from(other) % DEVICES.len()]),
                    _ => two,
                };
                let own = format!("{one}={of}");
                if placed {
                    self.w.talks(&own, &other);
                } else {
                    self.w.talks(&other, &own);
                }
            }
            Step::Code(index) => {
                // It comes as an event of its own.
                if self.link != Link::Down
                    && let Some(leg) = self.any_leg(index)
                {
                    self.w.key(&leg);
                }
            }
            Step::Dials(index, digits) => {
                let digits = DIGITS[usize::from(digits) % DIGITS.len()];
                let pushes = |w: &World, leg: &str| matches!(w.where_is(leg), Some(At::Push(_)));
                if self.link != Link::Down
                    && let Some(leg) = self.one(index, pushes).or(self.any_leg(index))
                {
                    self.w.digits(&leg, digits);
                }
            }
            Step::Obeys(count) => {
                for _ in 0..=count % 4 {
                    self.w.obeys_once();
                }
            }
            Step::Walks(index) => {
                let busy = |w: &World, leg: &str| w.where_is(leg) != Some(At::Call);
                if let Some(leg) = self.one(index, busy) {
                    self.w.walks(&leg);
                }
            }
            Step::BeatFails(index) => {
                let pushes = |w: &World, leg: &str| matches!(w.where_is(leg), Some(At::Push(_)));
                if let Some(leg) = self.one(index, pushes) {
                    self.w.goes_back(&leg);
                }
            }
            Step::Rings(index) => {
                if let Some((id, far)) = pick(&self.w.jobs.clone(), index) {
                    let name = self.name();
                    let of = ["2001", "2002", "3000"][usize::from(index) % 3];
                    self.w.target_of(&format!("{name}={of}"), id, &far);
                }
            }
            Step::PicksUp(index) => {
                if let Some(leg) = self.one(index, World::is_rung) {
                    self.w.picks_up(&leg);
                }
            }
            Step::NotReached(index) => {
                if let Some((id, _)) = pick(&self.w.jobs.clone(), index) {
                    self.not_reached(id);
                }
            }
            Step::HangsUp(index) => {
                if let Some(leg) = self.any_leg(index) {
                    self.w.ends(&leg);
                }
            }
            Step::Pulls(by) => {
                let name = self.name();
                let by = DEVICES[usize::from(by) % DEVICES.len()];
                self.w.dials(&format!("{name}={by}"), "*33");
            }
            Step::PullGoesWell(index) => {
                let switch = self.w.core.switch(&"fs1".parse().unwrap()).unwrap();
                let mut open = switch.open_moves();
                open.sort_by_key(|open| open.id);
                let pulls: Vec<_> = open
                    .into_iter()
                    .filter_map(|open| Some((open.new_leg?.to_string(), open.far_leg.to_string())))
                    .filter(|(new, far)| self.w.is_there(new) && self.w.is_there(far))
                    .filter(|(new, _)| self.w.talks_truly_to(new).is_none())
                    .collect();
                if let Some((new, far)) = pick(&pulls, index) {
                    self.w.intercepts(&new, &far);
                }
            }
            Step::BecomesLate => {
                if self.link == Link::Up {
                    self.link = Link::Late;
                    self.w.hold_back();
                }
            }
            Step::IsTold(seed) => {
                if self.link == Link::Late {
                    self.link = Link::Up;
                    self.is_told(seed);
                }
            }
            Step::LinkDown => {
                self.link = Link::Down;
                self.w.hold_back();
                self.w.link_down();
            }
            Step::Killed => {
                self.link = Link::Down;
                self.killed = true;
                self.w.hold_back();
                self.w.killed();
            }
            Step::Resync => self.resync(),
            Step::Reconciles => {
                if self.link != Link::Down {
                    self.w.reconciles();
                }
            }
            Step::Passes(by) => {
                self.w.pass(Duration::from_millis(u64::from(by) / 8));
                self.w.tell(Input::Timer);
            }
        }
        self.look()
    }

    fn not_reached(&mut self, id: MoveId) {
        self.w.job_ends(id);
        if self.link != Link::Down {
            let switch = "fs1".parse().unwrap();
            self.w
                .tell(Input::NotReached(switch, id, "no_answer".into()));
        }
    }

    fn resync(&mut self) {
        if self.link == Link::Down {
            self.link = Link::Up;
            self.w.let_go();
            self.w.resync();
        }
    }

    /// What has to hold at every moment.
    fn look(&mut self) -> Result<(), TestCaseError> {
        self.trail += &format!("    {}\n", self.w.said());
        prop_assert_eq!(&self.w.wrong, &Vec::<String>::new());
        for report in &self.w.reports[self.reports..] {
            prop_assert!(self.ended.insert(report.id), "{:?} ends twice", report);
            if report.class == Some(Class::Pushed) && report.end != MoveEnd::Moved {
                // Who pushed takes it back by itself, and hangs up before: the switch bounds that.
                self.w.held_by_itself.insert(report.far_leg.clone());
            }
        }
        self.reports = self.w.reports.len();
        let switch = self.w.core.switch(&"fs1".parse().unwrap()).unwrap();
        let open = switch.open_moves();
        let mut legs = BTreeSet::new();
        for open in &open {
            for leg in [
                Some(&open.old_leg),
                Some(&open.far_leg),
                open.new_leg.as_ref(),
            ] {
                let Some(leg) = leg else { continue };
                prop_assert!(
                    legs.insert(leg.clone()),
                    "{} is in two moves: {:?}",
                    leg,
                    open
                );
            }
        }
        if switch.is_fresh() {
            let known: BTreeSet<_> = open.iter().map(|open| open.id).collect();
            let written = self.w.open_in_journal();
            let written: BTreeSet<_> = written.iter().map(|open| open.id).collect();
            prop_assert_eq!(known, written, "the journal");
        }
        if self.link == Link::Up && self.w.wanted.is_empty() && !self.killed {
            let far_legs: BTreeSet<_> = open.into_iter().map(|open| open.far_leg).collect();
            for far in self.w.far_legs() {
                self.somebody_is_in_charge(&far, &far_legs)?;
            }
        }
        Ok(())
    }

    /// A far end that is held is the far end of an open move, or somebody's dialplan is about to take it.
    fn somebody_is_in_charge(
        &self,
        far: &str,
        open: &BTreeSet<ChannelId>,
    ) -> Result<(), TestCaseError> {
        let held = matches!(self.w.where_is(far), Some(At::Hold(_)));
        let taken = self
            .w
            .legs()
            .iter()
            .any(|other| match self.w.where_is(other) {
                Some(At::Push(its) | At::Back(its)) => its == leg(far),
                Some(At::Takes(its)) => its == leg(far) && !self.w.is_rung(other),
                _ => false,
            });
        let by_itself = self.w.held_by_itself.contains(&leg(far));
        prop_assert!(
            !held || taken || by_itself || open.contains(&leg(far)),
            "{} waits, and nobody knows of it",
            far
        );
        Ok(())
    }

    /// Everything that is under way comes to its end.
    fn settles(&mut self) -> Result<(), TestCaseError> {
        self.trail += "settles\n";
        if self.link == Link::Late {
            self.link = Link::Up;
            self.is_told(1);
        }
        self.resync();
        for _ in 0..100 {
            self.w.settles();
            self.look()?;
            for (id, _) in self.w.jobs.clone() {
                self.not_reached(id);
            }
            self.w.settles();
            self.look()?;
            match self.w.core.next_timer() {
                Some(_) => self.w.sleep(),
                None => break,
            };
        }
        prop_assert_eq!(self.w.moves(), 0);
        prop_assert_eq!(self.w.core.next_timer(), None);
        prop_assert!(self.w.open_in_journal().is_empty());
        for far in self.w.far_legs() {
            if let Some(At::Hold(until)) = self.w.where_is(&far) {
                let itself = self.w.held_by_itself.contains(&leg(&far));
                prop_assert!(self.killed || itself, "{} waits for nothing", far);
                // What the controller could not see to is bounded by the switch.
                let left = until.saturating_sub(self.w.now.mono);
                prop_assert!(left < Duration::from_secs(100), "{:?}", left);
                self.w.pass(left);
                self.w.settles();
            }
            let talks = self.w.talks_truly_to(&far).is_some();
            let ends_well = match self.w.where_is(&far) {
                None | Some(At::Recall(_) | At::Fallback) => true,
                Some(At::Call) => talks,
                Some(At::Push(_) | At::Back(_) | At::Takes(_) | At::Hold(_)) => false,
            };
            prop_assert!(ends_well, "{} is left {:?}", far, self.w.where_is(&far));
        }
        Ok(())
    }
}

/// Few enough to be waited for; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let is_default = std::env::var_os("PROPTEST_CASES").is_none();
    ProptestConfig {
        cases: if is_default { 1000 } else { asked.cases },
        failure_persistence: None,
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_far_end_has_somebody(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new();
        let mut lives = || {
            for step in &steps {
                model.run(step)?;
            }
            model.settles()
        };
        let ends = lives();
        if let Err(TestCaseError::Fail(why)) = ends {
            return Err(TestCaseError::fail(format!("{why}\n{}", model.trail)));
        }
    }
}

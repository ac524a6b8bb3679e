//! Random lives of offered calls: whatever happens, an offer ends once, and nothing but the legs that ring for it is released.
// What fails here is the model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use callhop_calls::core::{Input, Output};
use callhop_calls::journal::{Entry, Kind};
use proptest::prelude::*;
use support::World;

/// What happens around offers; the numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody calls a device, and they talk.
    Talk(u8),
    Offer {
        is_push: bool,
        to: u8,
    },
    /// A leg of the last offer rings.
    Rings,
    /// One that was made for an offer is answered and asks for the call.
    Takes(u8),
    /// What was last ordered is done by the switch.
    Intercepts,
    Pulls(u8),
    HangsUp(u8),
    Withdraws,
    NotReached,
    LinkDown,
    Resync,
    Restart,
    Passes(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(Step::Talk),
        5 => (any::<bool>(), any::<u8>()).prop_map(|(is_push, to)| Step::Offer { is_push, to }),
        5 => Just(Step::Rings),
        5 => any::<u8>().prop_map(Step::Takes),
        4 => Just(Step::Intercepts),
        1 => any::<u8>().prop_map(Step::Pulls),
        2 => any::<u8>().prop_map(Step::HangsUp),
        1 => Just(Step::Withdraws),
        1 => Just(Step::NotReached),
        1 => Just(Step::LinkDown),
        2 => Just(Step::Resync),
        1 => Just(Step::Restart),
        1 => any::<u8>().prop_map(Step::Passes),
    ]
}

const OWN: [&str; 3] = ["1001", "1002", "1003"];

struct Life {
    w: World,
    made: u32,
    /// The legs that were made for offers.
    ringing: Vec<String>,
    /// Who was told to intercept whom.
    asked: Vec<(String, String)>,
}

impl Life {
    fn name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}", self.made)
    }

    fn pick(&self, index: u8) -> Option<String> {
        let legs = self.w.legs();
        let at = usize::from(index).checked_rem(legs.len())?;
        Some(legs[at].clone())
    }

    fn told(&mut self, asker: &str) {
        let orders = std::mem::take(&mut self.w.orders);
        let far = orders.into_iter().map(|order| order.far_leg.to_string());
        self.asked.extend(far.map(|far| (asker.to_owned(), far)));
    }

    fn run(&mut self, step: &Step) {
        let own = |index: u8| OWN[usize::from(index) % OWN.len()];
        match *step {
            Step::Talk(to) => {
                let (far, near) = (self.name("far"), self.name("near"));
                self.w.talks(&far, &format!("{near}={}", own(to)));
            }
            Step::Offer { is_push, to } => {
                let (kind, to) = match is_push {
                    true => (
                        Kind::Push,
                        ["2000", "2001", "1000", "1002"][usize::from(to) % 4],
                    ),
                    false => (Kind::Pull, own(to)),
                };
                self.w.offers(kind, "1000", to);
            }
            Step::Rings if self.w.offered.is_some() => {
                let name = self.name("new");
                self.w.offer_rings(&format!("{name}=2001"));
                self.ringing.push(name);
            }
            Step::Takes(index) => {
                let legs = self.w.legs();
                let ringing: Vec<_> = self.ringing.iter().filter(|it| legs.contains(it)).collect();
                let Some(at) = usize::from(index).checked_rem(ringing.len()) else {
                    return;
                };
                let name = ringing[at].clone();
                self.w.takes_offer(&name);
                self.told(&name);
            }
            Step::Intercepts => {
                let Some((asker, far)) = self.asked.pop() else {
                    return;
                };
                let legs = self.w.legs();
                // Who asked twice has one dialplan all the same, and does not go on in it once the two talk.
                let has_it = self.w.talks_truly_to(&asker) == Some(far.clone());
                if legs.contains(&asker) && legs.contains(&far) && asker != far && !has_it {
                    self.w.intercepts(&asker, &far);
                }
            }
            Step::Pulls(by) => {
                let name = self.name("own");
                self.w.dials(&format!("{name}={}", own(by)), "*33");
                self.told(&name);
            }
            Step::HangsUp(index) => {
                if let Some(name) = self.pick(index) {
                    self.w.hangs_up(&name);
                }
            }
            Step::Withdraws if self.w.offered.is_some() => self.w.withdraws(),
            Step::NotReached => {
                if let Some(id) = self.w.offered.as_ref().map(|open| open.id) {
                    let input =
                        Input::NotReached("fs1".parse().unwrap(), id, "user_busy".to_owned());
                    self.w.tell(input);
                }
            }
            Step::LinkDown => self.w.link_down(),
            Step::Resync => self.w.resync(),
            Step::Restart => self.w.restarts(),
            Step::Passes(by) => {
                self.w.pass(Duration::from_millis(u64::from(by) * 300));
                self.w.tell(Input::Timer);
            }
            Step::Rings | Step::Withdraws => {}
        }
    }

    /// No release but of what rings for an offer. (Pushes release more, and have a model of their own.)
    fn look(&mut self) -> Result<(), TestCaseError> {
        for order in self.w.wanted.drain(..) {
            if let Output::Release(_, released) = order {
                let name = released.to_string();
                prop_assert!(self.ringing.contains(&name), "{} is released", name);
            }
        }
        Ok(())
    }
}

/// Few enough to be waited for; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let is_default = std::env::var_os("PROPTEST_CASES").is_none();
    ProptestConfig {
        cases: if is_default { 200 } else { asked.cases },
        failure_persistence: None,
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_offer_ends_once_and_releases_only_its_own(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut life = Life { w: World::new(), made: 0, ringing: Vec::new(), asked: Vec::new() };
        for step in &steps {
            life.run(step);
            life.look()?;
        }
        // Once all have hung up, the switch has been read and time has passed, nothing is left open.
        for name in life.w.legs() {
            life.w.hangs_up(&name);
        }
        life.w.resync();
        while life.w.core.next_timer().is_some() {
            life.w.sleep();
        }
        prop_assert_eq!(life.w.moves(), 0);
        let mut ended = BTreeSet::new();
        for entry in &life.w.journal {
            if let Entry::Ended { id, .. } = entry {
                prop_assert!(ended.insert(*id), "{} ends twice", id);
            }
        }
        let begun = life.w.journal.iter().filter(|entry| matches!(entry, Entry::Begun(_)));
        prop_assert_eq!(begun.count(), ended.len());
    }
}

//! The words of pushes: what people press, and what the switch and its dialplan do about it (`dialplan/freeswitch/callhop.xml`,
//! extensions `callhop_push` to `callhop_recall`).
//!
//! Orders wait in [`World::wanted`] until [`World::obeys`]: a story may let other things happen first. What a leg's own
//! dialplan does next is done by [`World::walks`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callhop_calls::core::{Core, Input, Output, PushWord};
use callhop_calls::id::{ChannelId, DeviceId, MoveId};
use callhop_calls::journal::{Entry, OpenMove};
use callhop_calls::tracker::{Arming, Direction, Progress};

use super::{World, check, leg};

/// Where a leg's own dialplan has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// In a call, or on its way to one, which is none of a push's business.
    Call,
    /// `callhop_push`, with the far leg.
    Push(ChannelId),
    /// `callhop_back`, with the far leg.
    Back(ChannelId),
    /// A target: `intercept` of the far leg once it is answered.
    Takes(ChannelId),
    /// `callhop_hold`, until then.
    Hold(Duration),
    /// `callhop_recall`, until then.
    Recall(Duration),
    /// Behind the recall: the fallback, or the end.
    Fallback,
}

pub(super) fn is_order(output: &Output) -> bool {
    matches!(
        output,
        Output::Split(_)
            | Output::Ring(_)
            | Output::GiveBack { .. }
            | Output::Recall(..)
            | Output::Release(..)
            | Output::Settled(..)
            | Output::Reread(..)
    )
}

pub(super) fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Begun(open) => format!("begun {}", open.kind.word()),
        Entry::Stage { stage, to, .. } => match to {
            Some(to) => format!("note {} to {to}", stage.word()),
            None => format!("note {}", stage.word()),
        },
        Entry::Ended { outcome, .. } => format!("closed {}", outcome.word()),
    }
}

/// A part of a story.
pub type Story = fn(&mut World);

/// 1001 talks
pub const ROLES: [(&str, Story); 2] = [
    ("the far end has called", |w| w.talks("far", "d1=1001")),
    ("the far end was called", |w| w.talks("d1=1001", "far")),
];

/// The story after either beginning.
pub fn check_roles(name: &str, story: impl Fn(&mut World), expect: &str) {
    for (role, talks) in ROLES {
        let both = |w: &mut World| {
            talks(w);
            story(w);
        };
        check(&format!("{name}: {role}"), both, expect);
    }
}

impl World {
    // What people do.

    /// An armed leg's phone sends the push code.
    pub fn key(&mut self, name: &str) {
        self.tell(Input::PushKey(self.switch.clone(), leg(name)));
    }

    /// A phone sends digits.
    pub fn digits(&mut self, name: &str, digits: &str) {
        for digit in digits.chars() {
            self.tell(Input::Digit(self.switch.clone(), leg(name), digit));
        }
    }

    /// The push code and these digits; the switch does what is ordered.
    pub fn pushes(&mut self, name: &str, digits: &str) {
        self.key(name);
        self.obeys();
        self.digits(name, digits);
        self.obeys();
    }

    // What the switch does.

    /// The id of the newest push.
    pub fn push_id(&self) -> MoveId {
        self.splits.last().expect("a push").id
    }

    /// A leg of the newest push's target.
    pub fn target(&mut self, written: &str) {
        let order = self.splits.last().expect("a push");
        let (id, far) = (order.id, order.far_leg.clone());
        self.target_of(written, id, &far);
    }

    /// A leg of that push's target.
    pub fn target_of(&mut self, written: &str, id: MoveId, far: &ChannelId) {
        self.begin(written, Direction::Outbound, None, Some(id));
        let name = written.split('=').next().unwrap();
        self.at(name, At::Takes(far.clone()));
    }

    /// The target of the newest push is answered, and takes the far leg.
    pub fn target_takes(&mut self, name: &str) {
        self.answers(name);
        self.walks(name);
    }

    /// The job that rings the newest push's target has failed.
    pub fn not_reached(&mut self, cause: &str) {
        let id = self.push_id();
        self.tell(Input::NotReached(self.switch.clone(), id, cause.into()));
    }

    /// Does what has been ordered for pushes, in order.
    pub fn obeys(&mut self) {
        while self.obeys_once() {}
    }

    /// The same, the next order only. Whether there was one.
    pub fn obeys_once(&mut self) -> bool {
        let Some(order) = self.wanted.pop_front() else {
            return false;
        };
        let here = self.switch.clone();
        match order {
            Output::Split(order) => {
                self.switch = order.switch.clone();
                let (old, far) = (order.old_leg.as_str(), order.far_leg.as_str());
                if self.talks_truly_to(old).as_deref() == Some(far) {
                    let recall = order.recall.as_ref().map(|answer| {
                        let devices = answer.targets.iter();
                        devices.map(|(device, _)| device.clone()).collect()
                    });
                    let until = self.until(order.until);
                    let it = self.truth().legs.get_mut(&order.far_leg).unwrap();
                    it.recall = recall.unwrap_or_default();
                    it.held_after_bridge = Some(until);
                    it.at = At::Hold(until);
                    let it = self.truth().legs.get_mut(&order.old_leg).unwrap();
                    it.at = At::Push(order.far_leg.clone());
                    it.far = Some(order.far_leg.clone());
                    it.facts.arming = Arming::No;
                    self.outlived(order.id, &order.far_leg);
                    self.unbridge(old, far);
                } else {
                    self.tell(Input::NotSplit(self.switch.clone(), order.id));
                }
            }
            Output::Ring(order) => {
                self.switch = order.switch.clone();
                let far = order.far_leg.as_str();
                if self.is_there(far) {
                    self.outlived(order.id, &order.far_leg);
                    self.leaves_its_bridge(far);
                    let until = self.until(order.until);
                    self.at(far, At::Hold(until));
                    let it = self.truth().legs.get_mut(&order.far_leg).unwrap();
                    it.held_after_bridge = it.held_after_bridge.and(Some(until));
                    self.jobs.push((order.id, order.far_leg.clone()));
                } else {
                    let (id, cause) = (order.id, "command_failed".to_owned());
                    self.tell(Input::NotReached(self.switch.clone(), id, cause));
                }
            }
            Output::GiveBack {
                switch, old_leg, ..
            } => {
                self.switch = switch;
                let old = old_leg.as_str();
                if self.is_there(old) {
                    self.leaves_its_bridge(old);
                    match self.truth().legs[&old_leg].far.clone() {
                        Some(far) => self.at(old, At::Back(far)),
                        None => self.ends(old),
                    }
                }
            }
            Output::Recall(switch, far) => {
                self.switch = switch;
                if self.is_there(far.as_str()) {
                    self.leaves_its_bridge(far.as_str());
                    self.rings_back(far.as_str());
                }
            }
            Output::Release(switch, released) => {
                self.switch = switch;
                if self.is_there(released.as_str()) {
                    self.ends(released.as_str());
                }
            }
            Output::Settled(switch, far) => {
                self.switch = switch;
                if let Some(it) = self.truth().legs.get_mut(&far) {
                    it.held_after_bridge = None;
                }
            }
            Output::Reread(switch, legs) => {
                self.switch = switch;
                self.reads(legs.to_vec());
            }
            other => unreachable!("{other:?} is no order of a push"),
        }
        self.switch = here;
        true
    }

    /// An order that is carried out when its push is over has the far leg held, and only the switch ends that. It is over
    /// too when the far leg talks, which is still on its way to the controller.
    fn outlived(&mut self, id: MoveId, far: &ChannelId) {
        let open = self.core.switch(&self.switch).unwrap().open_moves();
        let is_open = open.iter().any(|open| open.id == id);
        let rings = self.rings.iter().any(|ring| ring.id == id);
        if !is_open || rings && self.talks_truly_to(far.as_str()).is_some() {
            self.held_by_itself.insert(far.clone());
        }
    }

    /// Does the next step of the leg's own dialplan, if it is due. Whether it was.
    pub fn walks(&mut self, name: &str) -> bool {
        match self.where_is(name) {
            Some(At::Push(far)) => {
                if self.push_word(name).is_some() {
                    return false;
                }
                self.at(name, At::Back(far));
                true
            }
            Some(At::Back(far)) => {
                self.truth().legs.get_mut(&leg(name)).unwrap().facts.arming = Arming::Armed;
                self.takes(name, far.as_str());
                true
            }
            Some(At::Takes(far)) => {
                let facts = &self.truth().legs[&leg(name)].facts;
                let answered = facts.progress == Progress::Answered;
                if answered {
                    self.takes(name, far.as_str());
                }
                answered
            }
            Some(At::Hold(until)) if until <= self.now.mono => {
                self.rings_back(name);
                true
            }
            Some(At::Recall(until)) => {
                let forks = self.forks_of(name);
                if !forks.is_empty() && until > self.now.mono {
                    return false;
                }
                for fork in forks {
                    self.hangs_up(&fork);
                }
                self.at(name, At::Fallback);
                true
            }
            Some(At::Hold(_) | At::Call | At::Fallback) | None => false,
        }
    }

    /// The old leg's dialplan gets no answer, and gives the call back.
    pub fn goes_back(&mut self, name: &str) {
        if let Some(At::Push(far)) = self.where_is(name) {
            self.at(name, At::Back(far));
        }
    }

    /// Orders and dialplans, until there is nothing left to do without time passing.
    pub fn settles(&mut self) {
        loop {
            self.obeys();
            let legs = self.legs();
            let walked = legs.iter().filter(|leg| self.walks(leg)).count();
            if walked == 0 {
                break;
            }
        }
    }

    /// `intercept` with `intercept_unbridged_only`, and behind it the end.
    fn takes(&mut self, name: &str, far: &str) {
        if !self.is_there(far) || self.talks_truly_to(far).is_some() {
            return self.ends(name);
        }
        for fork in self.forks_of(far) {
            self.hangs_up(&fork);
        }
        self.bridge(name, far);
    }

    /// `bridge` to the devices of the pusher.
    fn rings_back(&mut self, far: &str) {
        for fork in self.forks_of(far) {
            self.hangs_up(&fork);
        }
        let until = self.now.mono + Duration::from_secs(30);
        self.at(far, At::Recall(until));
        for device in self.truth().legs[&leg(far)].recall.clone() {
            self.made += 1;
            let written = format!("r{}={device}", self.made);
            self.rings(&written, far);
        }
    }

    /// The leg is transferred: whoever it talked to goes where it goes when its bridge ends.
    fn leaves_its_bridge(&mut self, name: &str) {
        if let Some(peer) = self.talks_truly_to(name) {
            self.unbridge(name, &peer);
            self.is_left(&peer);
        }
    }

    /// The leg hangs up, and so does who talks to it, or is held if that was prepared. What rings for it stops.
    pub fn ends(&mut self, name: &str) {
        let peer = self.talks_truly_to(name);
        if let Some(peer) = &peer {
            self.unbridge(name, peer);
        }
        let forks = self.forks_of(name);
        self.hangs_up(name);
        for fork in forks {
            self.hangs_up(&fork);
        }
        if let Some(peer) = peer {
            self.is_left(&peer);
        }
    }

    fn is_left(&mut self, peer: &str) {
        match self.truth().legs[&leg(peer)].held_after_bridge {
            Some(until) => {
                self.held_by_itself.insert(leg(peer));
                self.at(peer, At::Hold(until));
            }
            None => self.ends(peer),
        }
    }

    fn until(&self, until: callhop_calls::id::UnixTime) -> Duration {
        let left = u64::try_from(until.0 - self.now.unix.0).unwrap_or_default();
        self.now.mono + Duration::from_secs(left)
    }

    fn at(&mut self, name: &str, at: At) {
        self.truth().legs.get_mut(&leg(name)).unwrap().at = at;
    }

    /// Whether an order is one that the rules allow, by what the switch has reported.
    pub(super) fn judge(&mut self, output: &Output) {
        if let Output::Recall(_, far) = output {
            self.recalled.insert(far.clone());
        }
        let Output::Release(switch, released) = output else {
            return;
        };
        let tracker = self.core.switch(switch).unwrap().tracker();
        let Some(known) = tracker.leg(released) else {
            return;
        };
        // A leg that was a target may have pushed since.
        let Some(push) = self.splits.iter().rfind(|push| push.old_leg == *released) else {
            if known.made_by.is_none() || known.progress == Progress::Answered {
                self.wrong.push(format!(
                    "{released} is no target that rings, and is released"
                ));
            }
            return;
        };
        let far = tracker.leg(&push.far_leg);
        let talks_to = far.and_then(|far| far.peer());
        let elsewhere = talks_to.is_some_and(|peer| peer != released);
        let recalled = talks_to.is_none() && self.recalled.contains(&push.far_leg);
        if !(far.is_none() || elsewhere || recalled) {
            self.wrong.push(format!(
                "{released} is released, and {} has nobody else",
                push.far_leg
            ));
        }
    }

    // What becomes of the controller.

    /// The controller is killed: what it has ordered and not got done is lost, and so is what was on its way to it. Another
    /// run of it begins, reads the database, and does not know the switches yet.
    pub fn killed(&mut self) {
        self.wanted.clear();
        if let Some(withheld) = &mut self.withheld {
            withheld.clear();
        }
        self.run += 1;
        let names: Vec<_> = self.switches.keys().cloned().collect();
        let policies = std::collections::HashMap::new();
        let policy = self.policy.clone();
        self.core = Core::new(names, policies, policy, self.run, self.now);
        let directory = self.directory.values().cloned().collect();
        self.tell(Input::WholeDirectory(directory));
        let open = self.open_in_journal();
        self.tell(Input::OpenMoves(open));
    }

    /// The same, and the switches are read.
    pub fn restarts(&mut self) {
        self.killed();
        let here = self.switch.clone();
        for name in self.switches.keys().cloned().collect::<Vec<_>>() {
            self.switch = name;
            self.resync();
        }
        self.switch = here;
    }

    /// What the journal has open.
    pub fn open_in_journal(&self) -> Vec<OpenMove> {
        let mut open = BTreeMap::new();
        for entry in &self.journal {
            match entry {
                Entry::Begun(begun) => {
                    open.insert(begun.id, begun.clone());
                }
                Entry::Stage { id, stage, to } => {
                    if let Some(begun) = open.get_mut(id) {
                        begun.stage = *stage;
                        begun.to.clone_from(to);
                    }
                }
                Entry::Ended { id, .. } => {
                    open.remove(id);
                }
            }
        }
        open.into_values().collect()
    }

    // What can be seen.

    /// The far leg of each push that there was.
    pub fn far_legs(&self) -> BTreeSet<String> {
        let pushed = self.splits.iter().map(|push| push.far_leg.to_string());
        pushed.collect()
    }

    /// Whether the leg is a target's, or of one of a recall, and has not been answered.
    pub fn is_rung(&self, name: &str) -> bool {
        let legs = &self.switches[&self.switch].legs;
        legs.get(&leg(name)).is_some_and(|it| {
            it.facts.direction == Direction::Outbound && it.facts.progress < Progress::Answered
        })
    }

    /// A leg that is rung is answered: nobody else is rung any more, and a recall has its bridge.
    pub fn picks_up(&mut self, name: &str) {
        let facts = self.switches[&self.switch].legs[&leg(name)].facts.clone();
        self.answers(name);
        if let Some(id) = facts.made_by {
            self.job_ends(id);
        } else if let Some(far) = facts.originator {
            for fork in self.forks_of(far.as_str()) {
                self.hangs_up(&fork);
            }
            self.bridge(far.as_str(), name);
        }
    }

    /// The job that rings a push's target ends, and so does whoever has not been answered.
    pub fn job_ends(&mut self, id: MoveId) {
        self.jobs.retain(|(job, _)| *job != id);
        let legs = self.switches[&self.switch].legs.iter();
        let rung = legs.filter(|(_, it)| {
            it.facts.made_by == Some(id) && it.facts.progress < Progress::Answered
        });
        for name in rung.map(|(name, _)| name.to_string()).collect::<Vec<_>>() {
            self.hangs_up(&name);
        }
    }

    pub fn is_there(&self, name: &str) -> bool {
        self.switches[&self.switch].legs.contains_key(&leg(name))
    }

    /// With whom the leg truly talks.
    pub fn talks_truly_to(&self, name: &str) -> Option<String> {
        let known = self.switches[&self.switch].legs.get(&leg(name))?;
        known.peer.as_ref().map(ToString::to_string)
    }

    /// Where the leg's own dialplan has it.
    pub fn where_is(&self, name: &str) -> Option<At> {
        let known = self.switches[&self.switch].legs.get(&leg(name))?;
        Some(known.at.clone())
    }

    /// What rings for the leg.
    pub fn forks_of(&self, name: &str) -> Vec<String> {
        let legs = self.switches[&self.switch].legs.iter();
        legs.filter(|(_, it)| {
            it.facts.originator == Some(leg(name)) && it.facts.progress < Progress::Answered
        })
        .map(|(id, _)| id.to_string())
        .collect()
    }

    /// Whose device the leg truly is.
    pub fn device_of(&self, name: &str) -> Option<DeviceId> {
        let known = self.switches[&self.switch].legs.get(&leg(name))?;
        known.facts.device.clone()
    }

    pub fn push_word(&self, name: &str) -> Option<PushWord> {
        self.core.push_word(&self.switch, &leg(name))
    }

    /// How far the newest push has come by the core's own account; `over` when it is.
    pub fn stage(&self) -> &'static str {
        let id = self.push_id();
        let open = self.core.switch(&self.switch).unwrap().open_moves();
        let open = open.into_iter().find(|open| open.id == id);
        open.map_or("over", |open| open.stage.word())
    }
}

//! The pushes under way on one switch, and what the core does for them.
//!
//! Owns which leg takes part in which push, and turns the steps of [`super::push`] into outputs. Refuses to push a call that
//! takes part in a move already, whichever side asks.

use std::collections::HashMap;
use std::time::Duration;

use super::output::{
    Answer, ArmOrder, MoveReport, Output, PushKeyRefusal, RingOrder, RingTarget, SplitOrder,
};
use super::push::{COLLECT_LIMIT, Happened, Push, RING_SLACK, Seen, State, Step};
use super::{Core, Switch};
use crate::directory::{Extension, Route};
use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, Number, SwitchName, UnixTime};
use crate::journal::{Entry, Kind, OpenMove, Stage};
use crate::push::{self, PushRefusal, PushTarget};
use crate::tracker::{Bond, Party, Progress};

/// How much longer than a number may take to dial, or a target to ring, the far end's sound goes on by itself.
const SOUND_SLACK: Duration = Duration::from_secs(15);

/// What the old leg's dialplan is told when it asks whether the push goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushWord {
    /// Wait for the digits.
    Wait,
    /// The target rings.
    Ring,
}

/// The pushes under way.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    all: HashMap<MoveId, Push>,
    /// The push of each old and each far leg.
    of_leg: HashMap<ChannelId, MoveId>,
}

impl Pushes {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_moving(&self, leg: &ChannelId) -> bool {
        self.of_leg.contains_key(leg)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = OpenMove> {
        self.all.values().map(|push| OpenMove {
            to: push.digits().map(str::to_owned).or(push.open.to.clone()),
            ..push.open.clone()
        })
    }

    fn of(&self, leg: &ChannelId) -> Option<MoveId> {
        self.of_leg.get(leg).copied()
    }

    fn begin(&mut self, push: Push) {
        for leg in [&push.open.old_leg, &push.open.far_leg] {
            self.of_leg.insert(leg.clone(), push.open.id);
        }
        self.all.insert(push.open.id, push);
    }

    fn end(&mut self, id: MoveId) -> Option<Push> {
        let push = self.all.remove(&id)?;
        for leg in [&push.open.old_leg, &push.open.far_leg] {
            self.of_leg.remove(leg);
        }
        Some(push)
    }

    /// When the next of them has waited long enough.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.all.values().map(Push::until).min()
    }

    /// The newest push of an extension that one of its phones may take back: not the phone that is the far end.
    pub(super) fn to_take_back(
        &self,
        extension: &ExtensionId,
        from: Option<&DeviceId>,
        is_own: impl Fn(&ChannelId) -> bool,
    ) -> Option<MoveId> {
        self.all
            .values()
            .filter(|push| push.open.extension == *extension)
            .filter(|push| from.is_none_or(|from| *from == push.open.from))
            .filter(|push| !is_own(&push.open.far_leg))
            .filter(|push| match push.state {
                State::Collecting { .. } | State::Ringing { .. } | State::Recalling { .. } => true,
                // The far end is on its way to somebody.
                State::Completing { .. } | State::GivingBack { .. } => false,
            })
            .map(|push| push.open.id)
            .max()
    }
}

impl Core {
    /// What the old leg's dialplan is to do; `None` when it shall take the far end back.
    #[must_use]
    pub fn push_word(&self, switch: &SwitchName, leg: &ChannelId) -> Option<PushWord> {
        let switch = self.switches.get(switch)?;
        if let Some(open) = switch.adopt.iter().find(|open| open.old_leg == *leg) {
            // The switch is still being read after a restart.
            return match open.stage {
                Stage::Ringing | Stage::Completing => Some(PushWord::Ring),
                Stage::Asked
                | Stage::Offered
                | Stage::Collecting
                | Stage::GivingBack
                | Stage::Recalling => None,
            };
        }
        let push = switch.pushes.all.get(&switch.pushes.of(leg)?)?;
        match push.state {
            // Digits that are dialled while there is no link are never heard of.
            State::Collecting { .. } => switch.fresh.then_some(PushWord::Wait),
            State::Ringing { .. } | State::Completing { .. } => Some(PushWord::Ring),
            State::GivingBack { .. } | State::Recalling { .. } => None,
        }
    }

    pub(super) fn handle_push_key(&mut self, name: &SwitchName, old_leg: &ChannelId) {
        let Err(refusal) = self.push_key(name, old_leg) else {
            return;
        };
        self.outputs
            .push_back(Output::NoPush(name.clone(), old_leg.clone(), refusal));
        let tracker = self.switches.get(name).map(|switch| &switch.tracker);
        let leg = tracker.and_then(|tracker| tracker.leg(old_leg));
        if let Some((Bond::Alone, Some(device))) = leg.map(|leg| (&leg.bond, &leg.device))
            && refusal == PushKeyRefusal::NoFarEnd
        {
            // Voicemail and IVR have codes of their own.
            let code = self.policy(&device.domain).features.push.clone();
            self.outputs
                .push_back(Output::ReturnCode(name.clone(), old_leg.clone(), code));
        }
    }

    fn push_key(&mut self, name: &SwitchName, old_leg: &ChannelId) -> Result<(), PushKeyRefusal> {
        let switch = self.switches.get(name).ok_or(PushKeyRefusal::Stale)?;
        if !switch.fresh {
            return Err(PushKeyRefusal::Stale);
        }
        let leg = switch.tracker.leg(old_leg);
        let leg = leg.ok_or(PushKeyRefusal::NotADevice)?;
        let device = leg.device.clone().ok_or(PushKeyRefusal::NotADevice)?;
        let extension = self.directory.owner(&device);
        let extension = extension.ok_or(PushKeyRefusal::NotADevice)?.id.clone();
        if switch.is_moving(old_leg) {
            return Err(PushKeyRefusal::MoveUnderWay);
        }
        let Bond::TalksTo(far_leg) = leg.bond.clone() else {
            return Err(PushKeyRefusal::NoFarEnd);
        };
        if switch.is_moving(&far_leg) {
            return Err(PushKeyRefusal::MoveUnderWay);
        }
        let far = switch.tracker.leg(&far_leg);
        let far = far.filter(|far| far.progress == Progress::Answered);
        let far = far.ok_or(PushKeyRefusal::NoFarEnd)?;
        let (far_device, party) = (far.device.clone(), far.party.clone());
        let talked_since = far.since.max(far.bridge_told());
        let policy = self.policy(&extension.domain).clone();
        let recall = self
            .resolve(switch, &extension)
            .map(|hunt| registered(Answer::new(&hunt.targets, switch)))
            .filter(|answer| !answer.targets.is_empty());

        let open = OpenMove {
            id: self.new_move(),
            kind: Kind::Push,
            switch: name.clone(),
            extension,
            from: device,
            to: None,
            old_leg: old_leg.clone(),
            far_leg: far_leg.clone(),
            new_leg: None,
            stage: Stage::Collecting,
            started: self.now.unix,
        };
        self.outputs
            .push_back(Output::Journal(Entry::Begun(open.clone())));
        self.outputs.push_back(Output::Split(Box::new(SplitOrder {
            id: open.id,
            switch: name.clone(),
            old_leg: old_leg.clone(),
            far_leg,
            code: policy.features.push.clone(),
            hold_sound: policy.push.hold_sound.clone(),
            until: self.in_time(COLLECT_LIMIT + SOUND_SLACK),
            recall,
            fallback: policy.push.fallback.clone(),
            party,
        })));
        let mut push = Push::new(open, far_device, policy.push.digit_timeout, self.now.mono);
        push.talked_since = talked_since;
        if let Some(switch) = self.switches.get_mut(name) {
            switch.pushes.begin(push);
        }
        Ok(())
    }

    pub(super) fn handle_digit(&mut self, name: &SwitchName, leg: &ChannelId, digit: char) {
        let found = self.switches.get(name).and_then(|switch| {
            let push = switch.pushes.all.get(&switch.pushes.of(leg)?)?;
            // Only who pushes dials; what the far end dials is none of ours.
            (push.open.old_leg == *leg).then(|| (push.open.id, push.digits().map(str::to_owned)))
        });
        let Some((id, digits)) = found else { return };
        let happened = match (digit, digits) {
            ('*', _) => Happened::Star,
            ('#', Some(digits)) => {
                let (meaning, used_up) = self.meaning(name, id, &digits);
                let happened = Happened::Number(meaning.map(|ring| ring.timeout));
                self.use_up(used_up);
                happened
            }
            (digit, _) => Happened::Digit(digit),
        };
        self.push_happened(name, id, happened);
    }

    /// What the number rings, and the next-call routes that it uses.
    #[allow(clippy::type_complexity)]
    fn meaning(
        &mut self,
        name: &SwitchName,
        id: MoveId,
        digits: &str,
    ) -> (Result<Ringing, PushRefusal>, Vec<(ExtensionId, Route)>) {
        let mut used_up = Vec::new();
        let meaning = self.target(name, id, digits, &mut used_up);
        if let Ok(ringing) = &meaning {
            if let Some(push) = self
                .switches
                .get_mut(name)
                .and_then(|switch| switch.pushes.all.get_mut(&id))
            {
                push.target = Some(ringing.target.clone());
            }
        } else {
            used_up.clear();
        }
        (meaning, used_up)
    }

    fn target(
        &self,
        name: &SwitchName,
        id: MoveId,
        digits: &str,
        used_up: &mut Vec<(ExtensionId, Route)>,
    ) -> Result<Ringing, PushRefusal> {
        let number: Number = digits.parse().map_err(|_| PushRefusal::NoNumber)?;
        let not_registered = || PushRefusal::NotRegistered(number.clone());
        let switch = self.switches.get(name).ok_or_else(not_registered)?;
        let push = switch.pushes.all.get(&id).ok_or_else(not_registered)?;
        let extension = self.directory.extension(&push.open.extension);
        let extension = extension.ok_or_else(not_registered)?;
        let (from, far) = (&push.open.from, push.far_device.as_ref());
        let target = self.ringing(switch, extension, from, far, &number, used_up)?;
        Ok(Ringing {
            target,
            timeout: self.policy(&extension.id.domain).push.ring_timeout,
        })
    }

    /// What a number rings that `extension` pushes to from its device `from`, and the next-call routes that it uses.
    pub(super) fn ringing(
        &self,
        switch: &Switch,
        extension: &Extension,
        from: &DeviceId,
        far_device: Option<&DeviceId>,
        number: &Number,
        used_up: &mut Vec<(ExtensionId, Route)>,
    ) -> Result<RingTarget, PushRefusal> {
        let not_registered = || PushRefusal::NotRegistered(number.clone());
        let policy = &self.policy(&extension.id.domain).push;
        let devices = match push::target(&self.directory, extension, from, number, policy)? {
            PushTarget::Outside(number) => return Ok(RingTarget::Outside(number)),
            PushTarget::Device(device) => vec![device],
            PushTarget::OwnDevices(devices) => devices,
            PushTarget::Extension(extension) => {
                let hunt = self.resolve(switch, &extension);
                let hunt = hunt.ok_or_else(not_registered)?;
                *used_up = hunt.used_up;
                hunt.targets
            }
        };
        if devices.is_empty() {
            return Err(not_registered());
        }
        // Whoever has the call in hand can't be rung for it.
        let mut ring: Vec<_> = devices
            .iter()
            .filter(|device| *device != from)
            .cloned()
            .collect();
        if ring.is_empty() {
            return Err(PushRefusal::SameDevice(from.clone()));
        }
        if let Some(far) = far_device {
            ring.retain(|device| device != far);
            if ring.is_empty() {
                return Err(PushRefusal::FarEnd(far.clone()));
            }
        }
        let answer = registered(Answer::new(&ring, switch));
        if answer.targets.is_empty() {
            return Err(not_registered());
        }
        Ok(RingTarget::Devices(answer))
    }

    pub(super) fn push_happened(&mut self, name: &SwitchName, id: MoveId, happened: Happened) {
        let now = self.now.mono;
        let steps = self.switches.get_mut(name).and_then(|switch| {
            let push = switch.pushes.all.get_mut(&id)?;
            // Nobody takes the far end back while digits are collected: who read the two together did so before the split.
            if matches!(push.state, State::Collecting { .. })
                && let Some(far) = switch.tracker.leg(&push.open.far_leg)
                && far.peer() == Some(&push.open.old_leg)
            {
                push.talked_since = push.talked_since.max(far.bridge_told());
            }
            Some(push.handle(happened, now))
        });
        self.carry_out(name, id, steps.unwrap_or_default());
    }

    fn carry_out(&mut self, name: &SwitchName, id: MoveId, steps: Vec<Step>) {
        for step in steps {
            let Some(switch) = self.switches.get_mut(name) else {
                return;
            };
            let Some(push) = switch.pushes.all.get(&id) else {
                return;
            };
            let open = &push.open;
            let output = match step {
                Step::Note => Output::Journal(Entry::Stage {
                    id,
                    stage: open.stage,
                    to: open.to.clone(),
                }),
                Step::Read => {
                    let legs = [open.old_leg.clone(), open.far_leg.clone()];
                    Output::Reread(name.clone(), legs)
                }
                Step::Ring => match self.ring_order(name, id) {
                    Some(order) => Output::Ring(Box::new(order)),
                    None => continue,
                },
                Step::GiveBack { tone } => Output::GiveBack {
                    switch: name.clone(),
                    old_leg: open.old_leg.clone(),
                    tone,
                },
                Step::Recall => Output::Recall(name.clone(), open.far_leg.clone()),
                Step::ReleaseOld => Output::Release(name.clone(), open.old_leg.clone()),
                Step::ReleaseTarget(leg) => Output::Release(name.clone(), leg),
                Step::Settle => Output::Settled(name.clone(), open.far_leg.clone()),
                Step::End(end, new_leg) => {
                    let Some(push) = switch.pushes.end(id) else {
                        return;
                    };
                    let took = push
                        .started
                        .map(|started| self.now.mono.saturating_sub(started));
                    let report = MoveReport::new(push.open, None, new_leg, end, took);
                    self.report(report);
                    return;
                }
            };
            self.outputs.push_back(output);
        }
    }

    fn ring_order(&self, name: &SwitchName, id: MoveId) -> Option<RingOrder> {
        let switch = self.switches.get(name)?;
        let push = switch.pushes.all.get(&id)?;
        let policy = &self.policy(&push.open.extension.domain).push;
        let pusher = push.open.extension.number.as_str();
        let far = switch.tracker.leg(&push.open.far_leg);
        let party: Party = far.map(|far| far.party.clone()).unwrap_or_default();
        Some(RingOrder {
            id,
            switch: name.clone(),
            far_leg: push.open.far_leg.clone(),
            target: push.target.clone()?,
            party,
            prefix: policy.display_prefix.replace("{pusher}", pusher),
            ringback: policy.ringback.clone(),
            until: self.in_time(policy.ring_timeout + RING_SLACK + SOUND_SLACK),
            timeout: policy.ring_timeout,
        })
    }

    fn in_time(&self, duration: Duration) -> UnixTime {
        UnixTime(self.now.unix.0 + i64::try_from(duration.as_secs()).unwrap_or_default())
    }

    /// What a report about a leg means to the pushes: it may be who pushes, the far end, or a target.
    pub(super) fn pushes_heard_of(
        &mut self,
        name: &SwitchName,
        leg: &ChannelId,
        what: LegNews<'_>,
    ) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let mut news = Vec::new();
        let mut about = |id: MoveId, happened| news.push((id, happened));
        let other = match what {
            LegNews::Bridged(peer) => Some(peer),
            LegNews::Told | LegNews::Gone => None,
        };
        for (one, two) in [(Some(leg), other), (other, Some(leg))] {
            let (Some(one), Some(two)) = (one, two) else {
                continue;
            };
            // What is reported twice, or late, may be over already.
            let far = switch.tracker.leg(one);
            let far = far.filter(|far| far.peer() == Some(two));
            // A bridge is reported at the first early media already, and then the answer follows.
            let known = switch.tracker.leg(two);
            let rings = known.is_some_and(|two| two.progress < Progress::Answered);
            if let Some(push) = switch
                .pushes
                .of(one)
                .and_then(|id| switch.pushes.all.get(&id))
                && push.open.far_leg == *one
                && far.is_some_and(|far| *two != push.open.old_leg || far.since > push.talked_since)
                && !rings
            {
                if let Some(made_by) = known.and_then(|two| two.made_by)
                    && made_by == push.open.id
                {
                    about(made_by, Happened::TargetAnswered(two.clone()));
                }
                about(push.open.id, Happened::FarTalksTo(two.clone()));
            }
        }
        match what {
            LegNews::Gone => {
                if let Some(push) = switch
                    .pushes
                    .of(leg)
                    .and_then(|id| switch.pushes.all.get(&id))
                {
                    let role = if push.open.far_leg == *leg {
                        Happened::FarGone
                    } else {
                        Happened::OldGone
                    };
                    about(push.open.id, role);
                }
                // The tracker has forgotten it already.
                for push in switch.pushes.all.values() {
                    if push.has_target(leg) {
                        about(push.open.id, Happened::TargetGone(leg.clone()));
                    }
                }
            }
            LegNews::Told | LegNews::Bridged(_) => {
                if let Some(id) = answered_to_far(switch, leg) {
                    about(id, Happened::FarTalksTo(leg.clone()));
                }
                if let Some(known) = switch.tracker.leg(leg)
                    && let Some(id) = known.made_by
                {
                    let answered = known.progress == Progress::Answered;
                    if switch.pushes.all.contains_key(&id) {
                        about(
                            id,
                            if answered {
                                Happened::TargetAnswered(leg.clone())
                            } else {
                                Happened::TargetRings(leg.clone())
                            },
                        );
                    } else if !answered
                        && switch.fresh
                        && switch.adopt.is_empty()
                        && !switch.offers.has(id)
                    {
                        // Made for a push or an offer that is over.
                        self.outputs
                            .push_back(Output::Release(name.clone(), leg.clone()));
                        return;
                    }
                }
            }
        }
        for (id, happened) in news {
            self.push_happened(name, id, happened);
        }
    }

    /// Orders that a leg listens for the push code, if it is one of a known device and does not.
    pub(super) fn arm(&mut self, name: &SwitchName, id: &ChannelId) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let Some(device) = switch.tracker.leg(id).and_then(|leg| leg.device.clone()) else {
            return;
        };
        if self.directory.owner(&device).is_none() || switch.pushes.is_moving(id) {
            return;
        }
        let Some(late) = switch.tracker.order_arming(id) else {
            return;
        };
        let code = self.policy(&device.domain).features.push.clone();
        self.outputs.push_back(Output::Arm(ArmOrder {
            switch: name.clone(),
            leg: id.clone(),
            code,
            late,
        }));
    }

    /// Time has passed for the pushes of a switch whose state is known.
    pub(super) fn pushes_timer(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get(name).filter(|switch| switch.fresh) else {
            return;
        };
        let pushes = switch.pushes.all.values();
        let mut due: Vec<_> = pushes
            .filter(|push| push.until() <= self.now.mono)
            .map(|push| (push.open.id, shown(switch, push)))
            .collect();
        due.sort();
        for (id, shown) in due {
            match shown {
                // Its bridge was missed: nothing is done to a call that goes on.
                FarEnd::Talks(peer) => self.far_talks(name, id, peer),
                FarEnd::Untold => self.push_happened(name, id, Happened::TimeUntold),
                FarEnd::Apart => self.push_happened(name, id, Happened::Time),
            }
        }
    }

    /// The switch has been read whole: what it shows decides about each push, those of earlier runs included.
    pub(super) fn pushes_resynced(&mut self, name: &SwitchName) {
        let now = self.now.mono;
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let mut seen: Vec<_> = switch
            .pushes
            .all
            .values()
            .map(|push| (push.open.id, look(switch, push)))
            .collect();
        seen.sort_by_key(|(id, _)| *id);
        for (id, seen) in seen {
            let steps = self
                .switches
                .get_mut(name)
                .and_then(|switch| switch.pushes.all.get_mut(&id))
                .map(|push| push.resynced(seen, now));
            self.carry_out(name, id, steps.unwrap_or_default());
        }
    }

    /// A push of an earlier run.
    pub(super) fn adopt_push(&mut self, open: OpenMove) {
        let ring_timeout = self.policy(&open.extension.domain).push.ring_timeout;
        let now = self.now.mono;
        if let Some(switch) = self.switches.get_mut(&open.switch) {
            let far = switch.tracker.leg(&open.far_leg);
            let far_device = far.and_then(|far| far.device.clone());
            switch
                .pushes
                .begin(Push::adopted(open, far_device, ring_timeout, now));
        }
    }

    /// The tracker has been corrected: with whom a far leg talks may be news.
    pub(super) fn pushes_corrected(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let is_answered = |leg: &ChannelId| {
            let known = switch.tracker.leg(leg);
            known.is_some_and(|known| known.progress == Progress::Answered)
        };
        let mut answered = Vec::new();
        for push in switch.pushes.all.values() {
            let legs = push.ringing.iter().filter(|leg| is_answered(leg));
            answered.extend(legs.map(|leg| (push.open.id, leg.clone())));
        }
        answered.sort();
        let mut talks: Vec<_> = switch
            .pushes
            .all
            .values()
            .filter_map(|push| match shown(switch, push) {
                FarEnd::Talks(peer) => Some((push.open.id, peer)),
                FarEnd::Untold | FarEnd::Apart => None,
            })
            .collect();
        talks.sort();
        // Their answer has not been told: who has answered lets itself go when the far end is taken.
        for (id, leg) in answered {
            self.push_happened(name, id, Happened::TargetAnswered(leg));
        }
        for (id, peer) in talks {
            self.far_talks(name, id, peer);
        }
    }

    /// The far leg of a push talks to that leg, as the tracker shows it.
    fn far_talks(&mut self, name: &SwitchName, id: MoveId, peer: ChannelId) {
        let tracker = self.switches.get(name).map(|switch| &switch.tracker);
        let known = tracker.and_then(|tracker| tracker.leg(&peer));
        if known.is_some_and(|known| known.made_by == Some(id)) {
            self.push_happened(name, id, Happened::TargetAnswered(peer.clone()));
        }
        self.push_happened(name, id, Happened::FarTalksTo(peer));
    }

    /// Takes a push out of the way of its extension's own pull: its legs and where it was.
    pub(super) fn take_back(&mut self, name: &SwitchName, id: MoveId) -> Option<OpenMove> {
        let switch = self.switches.get_mut(name)?;
        let push = switch.pushes.all.get_mut(&id)?;
        let open = push.open.clone();
        let steps = push.taken_back();
        self.carry_out(name, id, steps);
        Some(open)
    }
}

/// What a target rings for how long.
#[derive(Debug, Clone)]
struct Ringing {
    target: RingTarget,
    timeout: Duration,
}

/// What the tracker shows of a far leg.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum FarEnd {
    /// It talks to that leg.
    Talks(ChannelId),
    /// It talks to who pushes, and nothing else has been told since the code was dialled.
    Untold,
    /// It talks to nobody, or is about to part from who pushes.
    Apart,
}

fn shown(switch: &Switch, push: &Push) -> FarEnd {
    let tracker = &switch.tracker;
    let far = tracker.leg(&push.open.far_leg);
    let Some((far, peer)) = far.and_then(|far| Some((far, far.peer()?))) else {
        return FarEnd::Apart;
    };
    let rings = tracker
        .leg(peer)
        .is_none_or(|peer| peer.progress < Progress::Answered);
    let to_pusher = *peer == push.open.old_leg;
    let parting = to_pusher && matches!(push.state, State::Collecting { .. });
    match () {
        () if rings || parting => FarEnd::Apart,
        () if to_pusher && far.bridge_told() <= push.talked_since => FarEnd::Untold,
        () => FarEnd::Talks(peer.clone()),
    }
}

/// The push whose far leg has been bridged to this leg before it was answered, as it is now. Who pushes has been answered
/// for long: that it talks to the far leg is told by the bridge only.
fn answered_to_far(switch: &Switch, leg: &ChannelId) -> Option<MoveId> {
    let known = switch.tracker.leg(leg)?;
    let far = known.peer()?;
    let push = switch.pushes.all.get(&switch.pushes.of(far)?)?;
    let is_news = push.open.far_leg == *far && push.open.old_leg != *leg;
    (is_news && known.progress == Progress::Answered).then_some(push.open.id)
}

/// What is told about a leg, as far as pushes care.
#[derive(Debug, Clone, Copy)]
pub(super) enum LegNews<'a> {
    Told,
    Bridged(&'a ChannelId),
    Gone,
}

fn look(switch: &Switch, push: &Push) -> Seen {
    let tracker = &switch.tracker;
    let (old, far) = (&push.open.old_leg, &push.open.far_leg);
    let (mut ringing, mut answered) = (Vec::new(), Vec::new());
    for (id, leg) in tracker.made_by(push.open.id) {
        match leg.progress {
            Progress::Answered => answered.push(id.clone()),
            Progress::Setup | Progress::EarlyMedia => ringing.push(id.clone()),
        }
    }
    Seen {
        old_is_there: tracker.leg(old).is_some(),
        far_is_there: tracker.leg(far).is_some(),
        far_talks_to: tracker.leg(far).and_then(|far| far.peer().cloned()),
        far_rings: tracker.forks_of(far).next().is_some(),
        ringing,
        answered,
    }
}

/// Only the devices that can ring.
pub(super) fn registered(mut answer: Answer) -> Answer {
    answer.targets.retain(|(_, contacts)| !contacts.is_empty());
    answer
}

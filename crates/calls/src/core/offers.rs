//! The calls that are being offered: moves that somebody wants who is at no phone, as over the API.
//!
//! Owns which call is offered to whom. Nothing of the call is touched while a target rings: whoever answers asks for it, as
//! somebody asks who dials the code of a pull, and from then on it is a move like a pull. So an offer loses no call whatever
//! becomes of it. Refuses two offers of one call, and does not keep its people from moving it meanwhile: then the offer is over.
//!
//! ```text
//! API --> choose --> (1) Offered --answered, takes--> a move as of `core/moves.rs`
//!           |             |
//!           v             `-- far_leg gone or moved elsewhere / not reached / time-out / withdrawn --> over
//!        refused
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::input::{AskId, OfferRequest};
use super::moves::Move;
use super::output::{
    Answer, MoveEnd, MoveReport, OfferOrder, OfferRefusal, Output, PullOrder, Refusal, RingTarget,
};
use super::push::RING_SLACK;
use super::pushes::registered;
use super::star::Waiting;
use super::{Core, Switch};
use crate::id::{ChannelId, DeviceId, MoveId, SwitchName};
use crate::journal::{Entry, Kind, OpenMove, Stage};
use crate::pull::{self, Candidate, Class, PullRefusal};
use crate::tracker::Progress;

/// A call that is being offered.
#[derive(Debug, Clone)]
struct Offer {
    open: OpenMove,
    /// `Timer`: When the switch has not said that nobody has answered.
    until: Duration,
}

/// The offers of one switch.
#[derive(Debug, Default)]
pub(super) struct Offers(HashMap<MoveId, Offer>);

impl Offers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, id: MoveId) -> bool {
        self.0.contains_key(&id)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &OpenMove> {
        self.0.values().map(|offer| &offer.open)
    }

    /// When the next of them has waited long enough.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.0.values().map(|offer| offer.until).min()
    }

    fn of_far_leg(&self, far_leg: &ChannelId) -> Option<MoveId> {
        let mut all = self.0.values();
        let found = all.find(|offer| offer.open.far_leg == *far_leg)?;
        Some(found.open.id)
    }
}

/// What a call may be for it to be offered. A push is of people who talk.
fn may_be_offered(kind: Kind, class: Class) -> bool {
    match kind {
        Kind::Pull => class != Class::Pushed,
        Kind::Push => matches!(class, Class::Talking | Class::Held),
    }
}

impl Core {
    pub(super) fn handle_offer(&mut self, ask: AskId, request: &OfferRequest) {
        let result = self.offer(request);
        self.outputs.push_back(Output::Offered(ask, result));
    }

    fn offer(&mut self, request: &OfferRequest) -> Result<OpenMove, OfferRefusal> {
        let (name, best) = self.to_offer(request)?;
        let unknown = || OfferRefusal::NoExtension(request.extension.clone());
        let (Some(owner), Some(switch)) = (
            self.directory.extension(&request.extension),
            self.switches.get(&name),
        ) else {
            return Err(unknown());
        };
        let policy = &self.policy(&owner.id.domain).push;
        let far = switch.tracker.leg(&best.far_leg);
        let far_device = far.and_then(|far| far.device.clone());
        let party = far.map(|far| far.party.clone()).unwrap_or_default();
        let mut used_up = Vec::new();
        let (target, to, prefix) = match request.kind {
            Kind::Pull => {
                let device = DeviceId::new(request.to.clone(), owner.id.domain.clone());
                if !owner.owns(&device) {
                    return Err(PullRefusal::NotOwnDevice(request.to.clone()).into());
                }
                let answer = registered(Answer::new(std::slice::from_ref(&device), switch));
                if answer.targets.is_empty() {
                    return Err(OfferRefusal::NotRegistered(device));
                }
                let to = device.to_string();
                (RingTarget::Devices(answer), to, String::new())
            }
            Kind::Push => {
                let target = self.ringing(
                    switch,
                    owner,
                    &best.device,
                    far_device.as_ref(),
                    &request.to,
                    &mut used_up,
                )?;
                let prefix = policy
                    .display_prefix
                    .replace("{pusher}", owner.id.number.as_str());
                (target, request.to.to_string(), prefix)
            }
        };
        let timeout = policy.ring_timeout;
        let open = OpenMove {
            id: self.new_move(),
            kind: request.kind,
            switch: name.clone(),
            extension: request.extension.clone(),
            from: best.device,
            to: Some(to),
            old_leg: best.old_leg,
            far_leg: best.far_leg,
            new_leg: None,
            stage: Stage::Offered,
            started: self.now.unix,
        };
        let until = self.now.mono + timeout + RING_SLACK;
        if let Some(switch) = self.switches.get_mut(&name) {
            let offer = Offer {
                open: open.clone(),
                until,
            };
            switch.offers.0.insert(open.id, offer);
        }
        self.outputs
            .push_back(Output::Journal(Entry::Begun(open.clone())));
        self.outputs.push_back(Output::Offer(Box::new(OfferOrder {
            id: open.id,
            switch: name,
            target,
            party,
            prefix,
            timeout,
        })));
        self.use_up(used_up);
        Ok(open)
    }

    /// The call that is meant: of all switches the best one, as for a pull.
    fn to_offer(&self, request: &OfferRequest) -> Result<(SwitchName, Candidate), OfferRefusal> {
        let owner = self.directory.extension(&request.extension);
        let owner = owner.ok_or_else(|| OfferRefusal::NoExtension(request.extension.clone()))?;
        let to = DeviceId::new(request.to.clone(), owner.id.domain.clone());
        let mut refusal = None;
        let mut best: Option<(&SwitchName, Candidate)> = None;
        let mut names: Vec<_> = self.switches.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        for (name, switch) in names {
            if !switch.fresh {
                refusal = Some(telling(refusal, OfferRefusal::Stale));
                continue;
            }
            let found = pull::candidates(&switch.tracker, owner, None, request.from.as_ref());
            let found = found.unwrap_or_else(|why| {
                refusal = Some(telling(refusal.take(), why.into()));
                Vec::new()
            });
            for one in found {
                let far = switch.tracker.leg(&one.far_leg);
                let is_there =
                    one.device == to || far.is_some_and(|far| far.device.as_ref() == Some(&to));
                // What the target has already can't be brought to it.
                let why = if request.kind == Kind::Pull && is_there {
                    OfferRefusal::HasIt(to.clone())
                } else if !may_be_offered(request.kind, one.class) {
                    OfferRefusal::NotTalking(one.device.clone())
                } else if switch.is_moving(&one.old_leg) || switch.is_moving(&one.far_leg) {
                    PullRefusal::MoveUnderWay(one.device.clone()).into()
                } else if switch.offers.of_far_leg(&one.far_leg).is_some() {
                    OfferRefusal::OfferedAlready(one.device.clone())
                } else {
                    if best.as_ref().is_none_or(|(_, best)| one.class < best.class) {
                        best = Some((name, one));
                    }
                    break;
                };
                refusal = Some(telling(refusal, why));
            }
        }
        match best {
            Some((name, best)) => Ok((name.clone(), best)),
            None => Err(refusal.unwrap_or_else(|| PullRefusal::NothingToPull.into())),
        }
    }

    /// The legs that have to be known as they are now before somebody takes an offered call.
    #[must_use]
    pub fn legs_of_offer(&self, switch: &SwitchName, id: MoveId) -> Vec<ChannelId> {
        let offer = self.switches.get(switch).and_then(|s| s.offers.0.get(&id));
        offer.map_or_else(Vec::new, |offer| self.legs_to_ask(switch, &offer.open.from))
    }

    /// Somebody has answered and asks for the call.
    pub(super) fn take_offer(&mut self, waiting: Waiting, id: MoveId) -> Result<(), Refusal> {
        let asked = &waiting.asked;
        let name = &asked.switch;
        let switch = self.switches.get(name).ok_or(Refusal::Stale)?;
        let offer = switch.offers.0.get(&id).ok_or(Refusal::NotOffered)?;
        if !switch.fresh {
            return Err(Refusal::Stale);
        }
        if switch.tracker.has_gone(&asked.new_leg) {
            return Err(Refusal::NewLegGone);
        }
        let open = offer.open.clone();
        let owner = self.directory.extension(&open.extension);
        let found = owner.map(|owner| pull::candidates(&switch.tracker, owner, None, None));
        let found = found.and_then(Result::ok).unwrap_or_default();
        let best = found.into_iter().find(|one| {
            let legs = [&one.old_leg, &one.far_leg, &asked.new_leg];
            one.far_leg == open.far_leg
                && one.old_leg != asked.new_leg
                && may_be_offered(open.kind, one.class)
                && !legs.iter().any(|leg| switch.is_moving(leg))
        });
        let is_settled = best.as_ref().is_some_and(Candidate::talks);
        let answers = |leg: &ChannelId| switch.tracker.is_being_answered(leg);
        if self.now.mono < waiting.until && !is_settled && answers(&open.far_leg) {
            self.waiting.push(waiting);
            return Ok(());
        }
        let Some(best) = best else {
            self.end_offer(name, id, MoveEnd::Overtaken);
            return Err(Refusal::NotOffered);
        };
        let far_rings = best.class == Class::RingingOutbound;
        let open = OpenMove {
            from: best.device,
            old_leg: best.old_leg,
            new_leg: Some(asked.new_leg.clone()),
            stage: Stage::Asked,
            ..open
        };
        let party = switch
            .tracker
            .leg(&open.far_leg)
            .map(|far| far.party.clone());
        let order = PullOrder {
            ask: asked.ask,
            code: self.policy(&open.extension.domain).features.push.clone(),
            switch: name.clone(),
            forks: best.forks,
            far_leg: open.far_leg.clone(),
            codec: None,
            party: party.unwrap_or_default(),
            far_rings,
            taken_back: None,
        };
        self.outputs.push_back(Output::Journal(Entry::Stage {
            id,
            stage: open.stage,
            to: open.to.clone(),
        }));
        let now = self.now.mono;
        if let Some(switch) = self.switches.get_mut(name) {
            switch.offers.0.remove(&id);
            let new_leg = asked.new_leg.clone();
            switch
                .moves
                .begin(Move::new(open, new_leg, best.class, now));
        }
        self.outputs.push_back(Output::Pull(order));
        Ok(())
    }

    /// Whoever offered it thinks better of it.
    pub(super) fn handle_withdraw(&mut self, ask: AskId, id: MoveId) {
        let mut switches = self.switches.iter();
        let found = switches.find_map(|(name, switch)| {
            let offer = switch.offers.0.get(&id)?;
            Some((name.clone(), offer.open.clone()))
        });
        let result = match found {
            Some((name, open)) => {
                self.end_offer(&name, id, MoveEnd::Cancelled);
                Ok(open)
            }
            None => Err(OfferRefusal::NotOffered(id)),
        };
        self.outputs.push_back(Output::Offered(ask, result));
    }

    /// The switch has not reached the target of an offer.
    pub(super) fn offer_not_reached(&mut self, name: &SwitchName, id: MoveId, cause: String) {
        self.end_offer(name, id, MoveEnd::NotReached(cause));
    }

    /// A leg is gone.
    pub(super) fn offers_gone(&mut self, name: &SwitchName, leg: &ChannelId) {
        let offers = self.switches.get(name).map(|switch| &switch.offers);
        if let Some(id) = offers.and_then(|offers| offers.of_far_leg(leg)) {
            self.end_offer(name, id, MoveEnd::FarEndGone);
        }
    }

    /// Two legs talk: a far end that talks to somebody else than its person is nobody's to offer any more.
    pub(super) fn offers_bridged(&mut self, name: &SwitchName, one: &ChannelId, two: &ChannelId) {
        for (far_leg, other) in [(one, two), (two, one)] {
            let Some(switch) = self.switches.get(name) else {
                return;
            };
            let Some(id) = switch.offers.of_far_leg(far_leg) else {
                continue;
            };
            let device = switch
                .tracker
                .leg(other)
                .and_then(|leg| leg.device.as_ref());
            let owner = device.and_then(|device| self.directory.owner(device));
            let open = switch.offers.0.get(&id).map(|offer| &offer.open);
            if owner.map(|owner| &owner.id) != open.map(|open| &open.extension) {
                self.end_offer(name, id, MoveEnd::Overtaken);
            }
        }
    }

    /// Time has passed for the offers of a switch.
    pub(super) fn offers_timer(&mut self, name: &SwitchName) {
        let now = self.now.mono;
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let all = switch.offers.0.values();
        let mut due: Vec<_> = all.filter(|o| o.until <= now).map(|o| o.open.id).collect();
        due.sort();
        for id in due {
            self.end_offer(name, id, MoveEnd::NotReached("no_answer".to_owned()));
        }
    }

    /// The switch has been read whole: far ends may be gone.
    pub(super) fn offers_resynced(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let all = switch.offers.open();
        let mut gone: Vec<_> = all
            .filter(|open| switch.tracker.leg(&open.far_leg).is_none())
            .map(|open| open.id)
            .collect();
        gone.sort();
        for id in gone {
            self.end_offer(name, id, MoveEnd::FarEndGone);
        }
    }

    /// An offer of an earlier run. Who has answered it is on the way to the call; who only rings would be refused.
    pub(super) fn adopt_offer(&mut self, open: OpenMove) {
        let name = open.switch.clone();
        let now = self.now.mono;
        let Some(switch) = self.switches.get_mut(&name) else {
            return;
        };
        let answered = switch
            .tracker
            .made_by(open.id)
            .find(|(_, leg)| leg.progress == Progress::Answered)
            .map(|(id, _)| id.clone());
        match answered {
            Some(new_leg) => {
                let open = OpenMove {
                    new_leg: Some(new_leg.clone()),
                    ..open
                };
                switch.moves.begin(Move::adopted(open, new_leg, now));
            }
            None => {
                self.release_made_by(&name, open.id);
                self.report(MoveReport::new(
                    open,
                    None,
                    None,
                    MoveEnd::Interrupted,
                    None,
                ));
            }
        }
    }

    fn end_offer(&mut self, name: &SwitchName, id: MoveId, end: MoveEnd) {
        let switch = self.switches.get_mut(name);
        let Some(offer) = switch.and_then(|switch| switch.offers.0.remove(&id)) else {
            return;
        };
        self.release_made_by(name, id);
        self.report(MoveReport::new(offer.open, None, None, end, None));
    }

    /// Those that ring for an offer need not any more. Who has answered hears that it is over.
    fn release_made_by(&mut self, name: &SwitchName, id: MoveId) {
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        let mut ringing: Vec<_> = rings_for(switch, id).collect();
        ringing.sort();
        for leg in ringing {
            self.outputs.push_back(Output::Release(name.clone(), leg));
        }
    }
}

/// Of two refusals the one that says more than that there is no call on some switch.
fn telling(before: Option<OfferRefusal>, now: OfferRefusal) -> OfferRefusal {
    match before {
        None
        | Some(OfferRefusal::Pull(PullRefusal::NothingToPull | PullRefusal::DeviceHasNoCall(_))) => {
            now
        }
        Some(before) => before,
    }
}

fn rings_for(switch: &Switch, id: MoveId) -> impl Iterator<Item = ChannelId> + '_ {
    let made = switch.tracker.made_by(id);
    made.filter(|(_, leg)| leg.progress < Progress::Answered)
        .map(|(id, _)| id.clone())
}

//! Star codes, from what was dialled to what is wanted of the switch.
//!
//! Owns what each code means, and which call a pull takes. Refuses to hurry: a call that is being answered at this very moment
//! is not taken before the two are in their bridge.

use std::time::Duration;

use super::moves::{self, Move};
use super::{Asked, Core, Output, PullOrder, Refusal};
use crate::directory::{Route, RouteEnd, RouteTarget};
use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, Number};
use crate::journal::Entry;
use crate::lamp;
use crate::pull::{self, Candidate, Class, PullRefusal, Puller};
use crate::routing;
use crate::star::StarCode;

/// How long a star code waits for the bridge of a call that has been answered. Who is taken between the two finds the other
/// side's thread in the middle of it, and FreeSWITCH hangs up what it has there (switch_ivr_originate.c, "Media Establishment
/// Failed"; switch_ivr_bridge.c, abort_call). The caller's thread sees the answer at its next tick, 20 ms as a rule, and the
/// bridge is reported 20 ms later. One that gets no bridge, as where whoever answers has to confirm it by a key, rings on.
pub const ANSWERING: Duration = Duration::from_millis(250);

/// A leg that asks for a call, and may have to wait for its bridge.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asked: Asked,
    /// The offer by which it asks; a star code has none.
    offer: Option<MoveId>,
    /// When it waits no longer.
    pub(super) until: Duration,
}

impl Core {
    /// A leg has dialled a star code; or it has answered, and asks for the call that `offer` has promised it.
    pub(super) fn handle_asked(&mut self, asked: Asked, offer: Option<MoveId>) {
        let until = self.now.mono + ANSWERING;
        self.answer(Waiting {
            asked,
            offer,
            until,
        });
    }

    /// Whoever waits for a call to be answered looks again, because something has happened.
    pub(super) fn answer_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.answer(waiting);
        }
    }

    fn answer(&mut self, waiting: Waiting) {
        let ask = waiting.asked.ask;
        let answered = match waiting.offer {
            None => self.star(waiting),
            Some(id) => self.take_offer(waiting, id),
        };
        if let Err(refusal) = answered {
            self.outputs.push_back(Output::Refuse(ask, refusal));
        }
    }

    fn star(&mut self, waiting: Waiting) -> Result<(), Refusal> {
        let asked = &waiting.asked;
        let device = asked.device.clone().ok_or(Refusal::NotAuthenticated)?;
        let extension = self
            .directory
            .owner(&device)
            .ok_or_else(|| Refusal::NoExtension(device.clone()))?;
        let policy = self.policy(&device.domain);
        let route = if asked.dialled.starts_with(lamp::PREFIX) {
            self.key_pressed(extension, &device, policy, &asked.dialled)?
        } else {
            match policy.features.parse(&asked.dialled)? {
                StarCode::Pull(from) => {
                    let id = extension.id.clone();
                    return self.pull(waiting, device, &id, from.as_ref());
                }
                StarCode::RouteHere => Some(RouteTarget::Device(device.clone())),
                StarCode::RouteTo(number) => Some(routing::target(
                    &self.directory,
                    extension,
                    &number,
                    policy,
                    self.now.unix,
                )?),
                StarCode::RouteReset => None,
            }
        };
        let extension = extension.id.clone();
        self.pending_routes.insert(asked.ask);
        self.outputs.push_back(Output::StoreRoute {
            ask: asked.ask,
            extension,
            route: route.map(|target| Route {
                target,
                end: RouteEnd::Never,
            }),
            device,
        });
        Ok(())
    }

    fn pull(
        &mut self,
        waiting: Waiting,
        to: DeviceId,
        extension: &ExtensionId,
        from: Option<&Number>,
    ) -> Result<(), Refusal> {
        let asked = &waiting.asked;
        let (Some(owner), Some(switch)) = (
            self.directory.extension(extension),
            self.switches.get(&asked.switch),
        ) else {
            return Err(Refusal::Stale);
        };
        if !switch.fresh {
            return Err(Refusal::Stale);
        }
        if switch.tracker.has_gone(&asked.new_leg) {
            return Err(Refusal::NewLegGone);
        }
        let puller = Puller {
            new_leg: &asked.new_leg,
            device: &to,
            phone: asked.phone.as_deref(),
        };
        if switch.is_moving(&asked.new_leg) {
            return Err(PullRefusal::MoveUnderWay(to).into());
        }
        let found = pull::candidates(&switch.tracker, owner, Some(puller), from);
        let found = found.map(|found| found.into_iter().next());
        let named = from.map(|number| DeviceId::new(number.clone(), to.domain.clone()));
        // The first device with another leg like that.
        let device_with = |is: &dyn Fn(&ChannelId) -> bool| {
            owner.device_ids().find(|device| {
                let mut legs = switch.tracker.legs_of(device);
                named.as_ref().is_none_or(|named| named == device)
                    && legs.any(|leg| *leg != asked.new_leg && is(leg))
            })
        };
        let is_being_answered =
            |leg: &ChannelId| !switch.is_moving(leg) && switch.tracker.is_being_answered(leg);
        let is_settled = matches!(&found, Ok(Some(best)) if best.talks());
        if self.now.mono < waiting.until && !is_settled && device_with(&is_being_answered).is_some()
        {
            self.waiting.push(waiting);
            return Ok(());
        }
        let mut taken_back = None;
        let is_free = |best: &Candidate| {
            let legs = [&asked.new_leg, &best.old_leg, &best.far_leg];
            !legs.iter().any(|leg| switch.is_moving(leg))
        };
        let best = match found {
            Ok(Some(best)) if is_free(&best) => best,
            found => {
                // What the extension pushes is still its own: whoever of it asks takes it back.
                let moving = device_with(&|leg| switch.is_moving(leg));
                let name = asked.switch.clone();
                let is_own = |far: &ChannelId| puller.has(far, switch.tracker.leg(far));
                let pushed = switch
                    .pushes
                    .to_take_back(extension, named.as_ref(), is_own);
                let pushed = pushed.and_then(|id| self.take_back(&name, id));
                taken_back = pushed.as_ref().map(|pushed| pushed.id);
                match (pushed, found) {
                    // A recall rings: what has to be told to the ringing phones is known. That who pushed still talks to the
                    // far end is old news.
                    (Some(pushed), Ok(Some(best)))
                        if best.far_leg == pushed.far_leg && best.old_leg != pushed.old_leg =>
                    {
                        best
                    }
                    (Some(pushed), _) => Candidate::pushed(&pushed),
                    (None, Ok(Some(best))) => {
                        return Err(PullRefusal::MoveUnderWay(best.device).into());
                    }
                    (None, Ok(None)) => return Err(PullRefusal::NothingToPull.into()),
                    // A leg that waits to be connected has no far end yet: the cause is the move.
                    (None, Err(refusal)) => {
                        return Err(moving.map_or(refusal, PullRefusal::MoveUnderWay).into());
                    }
                }
            }
        };
        let id = self.new_move();
        let Some(switch) = self.switches.get_mut(&asked.switch) else {
            return Err(Refusal::Stale);
        };
        let far = switch.tracker.leg(&best.far_leg);
        let party = far.map(|far| far.party.clone()).unwrap_or_default();
        let codec = far.and_then(|far| far.codec.clone()).filter(|codec| {
            asked
                .codecs
                .iter()
                .any(|offered| offered.eq_ignore_ascii_case(codec))
        });
        let far_rings = best.class == Class::RingingOutbound;
        let legs = (best.old_leg, best.far_leg.clone(), asked.new_leg.clone());
        let open = moves::open_pull(
            id,
            asked.switch.clone(),
            extension.clone(),
            (best.device, &to),
            legs,
            self.now.unix,
        );
        let new_leg = asked.new_leg.clone();
        let m = Move::new(open.clone(), new_leg, best.class, self.now.mono);
        switch.moves.begin(m);
        self.outputs.push_back(Output::Journal(Entry::Begun(open)));
        self.outputs.push_back(Output::Pull(PullOrder {
            ask: asked.ask,
            code: self.policy(&to.domain).features.push.clone(),
            switch: asked.switch.clone(),
            forks: best.forks,
            far_leg: best.far_leg,
            codec,
            party,
            far_rings,
            taken_back,
        }));
        Ok(())
    }
}

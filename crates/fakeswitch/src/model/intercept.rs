//! `intercept`, as measured (facts page, sections 1 and 9) and recorded (`tests/data`).
//!
//! ```text
//! 0 far end bridged      with intercept_unbridged_only as 1
//! 1 far end unknown      the dialplan goes on; nothing is answered
//! 2 talking, held        new leg answered, old partner PICKED_OFF, bridge a step later
//! 3 caller with forks    caller answered; the fork made last PICKED_OFF, the others ORIGINATOR_CANCEL
//! 4 outbound, ringing    without media: waits for the answer with transfer_ringback, destroyed without
//! 5 fork of a caller     as 4, and the caller is PICKED_OFF: the call is lost
//! ```

use super::{
    Timer, World,
    calls::By,
    channel::{Channel, Other, State, Task, Uuid},
};

impl World {
    /// Runs `intercept` on the new leg. False when the dialplan goes on with its next action.
    pub(super) fn intercept(&mut self, new: &Uuid, far: &str) -> bool {
        // The application wants media: the new leg gets it before anything else.
        self.pre_answer(new);
        self.execute(new, "intercept", far);
        let far: Uuid = far.into();
        let Some(channel) = self.live(&far).filter(|_| far != *new) else {
            self.execute_complete(new, "");
            return false;
        };
        let only = |what: &str| self.live(new).is_some_and(|new| new.vars.is_true(what));
        if only("intercept_unbridged_only") && channel.peer.is_some()
            || only("intercept_unanswered_only") && channel.answered
        {
            self.execute_complete(new, "");
            return false;
        }
        let inbound = channel.inbound;
        let partner = channel.partner().filter(|partner| partner != new);
        let forks = match &channel.task {
            Task::Originating { legs, .. } => legs.clone(),
            _ => Vec::new(),
        };
        self.answer(new);
        if inbound {
            self.answer(&far);
        }
        self.clear_switch_hold(&far);
        self.set_task(&far, Task::Moving);
        self.change(&far, |channel| {
            channel.state = State::Park;
            channel.vars.set("call_uuid", &*far);
        });
        self.bond(new, &far);
        if let Some(partner) = partner {
            self.change(&partner, |partner| {
                // The far end leaves the call before its partner is hung up.
                if let Task::Originating { legs, .. } = &mut partner.task {
                    legs.retain(|leg| *leg != far);
                }
                partner.vars.set("park_after_bridge", "true");
            });
            self.hangup(&partner, "PICKED_OFF", By::Switch);
        }
        self.execute_complete(new, "");
        for fork in &forks {
            self.hangup(fork, "ORIGINATOR_CANCEL", By::Switch);
        }
        // The `bridge` that the far end was ringing in, if it was.
        self.execute_complete(&far, "");
        self.move_far(new, &far);
        true
    }

    /// What `uuid_bridge` does with the far end, depending on how far it is.
    fn move_far(&mut self, new: &Uuid, far: &Uuid) {
        let has_media = self
            .live(far)
            .is_some_and(|far| far.answered || far.early_media);
        let waits = self
            .live(new)
            .is_some_and(|new| new.vars.get("transfer_ringback").is_some());
        if has_media {
            let generation = self.set_task(new, Task::BridgePending { far: far.clone() });
            let step = self.config.bridge_step;
            self.after(step, Timer::Connect(new.clone(), generation));
        } else if waits {
            let generation = self.set_task(new, Task::AwaitAnswer { far: far.clone() });
            self.set_task(far, Task::Leg { owner: new.clone() });
            let limit = self.call_timeout(new).unwrap_or(self.config.answer_timeout);
            self.after(limit, Timer::AnswerTimeout(new.clone(), generation));
        } else {
            self.hangup(far, "DESTINATION_OUT_OF_ORDER", By::Switch);
            self.hangup(new, "ORIGINATOR_CANCEL", By::Switch);
        }
    }

    /// Makes the two legs partners. Recorded: the far end's caller ID becomes the puller's number; ANI and the original
    /// caller ID stay.
    fn bond(&mut self, new: &Uuid, far: &Uuid) {
        let (Some(puller), Some(pulled)) = (self.live(new), self.live(far)) else {
            return;
        };
        let (puller, pulled) = (puller.clone(), pulled.clone());
        let callee = if pulled.inbound && !pulled.called_side {
            let profile = &pulled.profile;
            (profile.caller_name.clone(), profile.caller_number.clone())
        } else {
            pulled.profile.callee.clone().unwrap_or_default()
        };
        let transfer = |to: &Uuid| Some(format!("0:{to}:uuid_br:{to}"));
        self.change(new, |channel| {
            channel.profile.callee = Some(callee.clone());
            channel.profile.transfer_source = transfer(far);
            let profile = pulled.profile.clone();
            channel.other = Some(Other {
                is_originator: false,
                profile,
            });
            set_bond(channel, &pulled);
        });
        self.change(far, |channel| {
            channel.called_side = channel.inbound;
            channel.profile.callee = Some(callee);
            channel
                .profile
                .caller_name
                .clone_from(&puller.profile.caller_name);
            channel
                .profile
                .caller_number
                .clone_from(&puller.profile.caller_number);
            channel.profile.transfer_source = transfer(new);
            let profile = puller.profile.clone();
            channel.other = Some(Other {
                is_originator: true,
                profile,
            });
            set_bond(channel, &puller);
        });
    }

    /// The step after `intercept`: the bridge, if both are still there.
    pub(super) fn connect_pulled(&mut self, new: &Uuid, generation: u64) {
        let far = match self.live(new) {
            Some(Channel {
                task: Task::BridgePending { far },
                generation: now,
                ..
            }) if *now == generation => far.clone(),
            _ => return,
        };
        if self.live(&far).is_some() {
            self.connect_uuid_bridge(new, &far);
        } else {
            self.hangup(new, "DESTINATION_OUT_OF_ORDER", By::Switch);
        }
    }

    /// REFER with Replaces: the other sides of two calls of one phone are bridged, and the phone is released.
    pub(super) fn join(&mut self, one: &Uuid, other: &Uuid) {
        let peer = |leg: &Uuid| self.live(leg).and_then(|leg| leg.peer.clone());
        let (Some(left), Some(right)) = (peer(one), peer(other)) else {
            return;
        };
        for leg in [one, other] {
            self.clear_switch_hold(leg);
        }
        self.bond(&left, &right);
        self.set_task(&right, Task::Moving);
        let generation = self.set_task(&left, Task::BridgePending { far: right });
        let step = self.config.bridge_step;
        self.after(step, Timer::Connect(left, generation));
        for leg in [one, other] {
            self.hangup(leg, "ATTENDED_TRANSFER", By::Switch);
        }
    }

    /// REFER: the other side of a call goes on to a number, and the phone is released. Recorded: the phone's leg ends with
    /// NORMAL_CLEARING, the other one carries the new number and no partner when it leaves the bridge.
    pub(super) fn transfer(&mut self, leg: &Uuid, number: &str) {
        let Some(other) = self.live(leg).and_then(|leg| leg.peer.clone()) else {
            return;
        };
        let domain = self.domain_of(leg);
        self.set_task(&other, Task::Moving);
        self.change(&other, |channel| {
            let before = std::mem::replace(&mut channel.profile.destination, number.to_owned());
            channel.profile.rdnis = Some(before);
            channel.profile.callee = None;
            channel.other = None;
            channel.vars.unset("signal_bond");
        });
        self.hangup(leg, "NORMAL_CLEARING", By::Switch);
        self.change(&other, |channel| channel.state = State::Execute);
        self.route(&other, number, &domain);
    }

    /// The bridge with the two synthetic EXECUTE events in front of it.
    pub(super) fn connect_uuid_bridge(&mut self, new: &Uuid, far: &Uuid) {
        for one in [new, far] {
            self.change(one, |channel| channel.state = State::SoftExecute);
        }
        self.emit_application("CHANNEL_EXECUTE", new, "uuid_bridge", far, "");
        self.emit_application("CHANNEL_EXECUTE", far, "uuid_bridge", new, "");
        self.connect(new, far);
    }

    pub(super) fn answer_timeout(&mut self, new: &Uuid, generation: u64) {
        if self.live(new).is_some_and(|channel| {
            channel.generation == generation && matches!(channel.task, Task::AwaitAnswer { .. })
        }) {
            self.hangup(new, "NO_ANSWER", By::Switch);
        }
    }
}

fn set_bond(channel: &mut Channel, other: &Channel) {
    channel
        .vars
        .set("bridge_channel", other.profile.channel_name.clone());
    channel.vars.set("bridge_uuid", &*other.uuid);
    channel.vars.set("signal_bond", &*other.uuid);
}

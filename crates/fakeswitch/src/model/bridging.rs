//! Channels are bridged, held and hung up. Where the real switch varies the order of events, the seed decides.

use std::time::SystemTime;

use super::{
    World,
    calls::By,
    channel::{self, Channel, Other, State, Task, Uuid},
};
use crate::{
    events::Event,
    phone::{End, EndedCall, KEPT_CALLS},
};

impl World {
    // Bridging

    /// The bridge between `runner`, whose thread runs it, and `peer`.
    pub(super) fn connect(&mut self, runner: &Uuid, peer: &Uuid) {
        let (Some(left), Some(right)) = (self.live(runner), self.live(peer)) else {
            return;
        };
        let (left, right) = (left.clone(), right.clone());
        let now = Some(SystemTime::now());
        for (one, other, runs) in [(runner, &right, true), (peer, &left, false)] {
            self.set_task(one, Task::Bridged);
            self.change(one, |channel| {
                channel.peer = Some(other.uuid.clone());
                channel.runs_bridge = runs;
                channel.profile.bridged = now;
                channel.vars.set("signal_bond", &*other.uuid);
                let profile = other.profile.clone();
                channel.other = Some(Other {
                    is_originator: !runs,
                    profile,
                });
                if runs && channel.profile.callee.is_none() {
                    channel.profile.callee.clone_from(&other.profile.callee);
                }
            });
        }
        self.bridges.push((runner.clone(), peer.clone()));
        let pair = [
            ("Bridge-A-Unique-ID", &**runner),
            ("Bridge-B-Unique-ID", &**peer),
        ];
        self.emit_about_with("CHANNEL_BRIDGE", runner, &pair);
        self.change(peer, |channel| {
            channel.state = State::ExchangeMedia;
            channel.vars.set("call_uuid", &**runner);
        });
        for (one, other) in [(peer, &left), (runner, &right)] {
            self.change(one, |channel| {
                channel.vars.set("bridge_to", &*other.uuid);
                channel.vars.set("last_bridge_to", &*other.uuid);
                channel
                    .vars
                    .set("bridge_channel", other.profile.channel_name.clone());
                channel.vars.set("bridge_uuid", &*other.uuid);
            });
        }
        let callee = right.profile.callee.clone();
        let callee = callee.unwrap_or((
            right.profile.caller_name.clone(),
            right.profile.caller_number.clone(),
        ));
        let caller = (
            left.profile.caller_name.clone(),
            left.profile.caller_number.clone(),
        );
        self.update_display(peer, &caller);
        self.update_display(runner, &callee);
        self.read_digits(runner);
        self.read_digits(peer);
    }

    /// Tells a phone whom it talks to. Recorded: after a pull the far end is told the puller's number, unless
    /// `ignore_display_updates` is set on it.
    fn update_display(&mut self, uuid: &Uuid, who: &(String, String)) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        if channel.vars.is_true("ignore_display_updates") {
            return;
        }
        let peer = channel.peer.clone().unwrap_or_else(|| uuid.clone());
        self.change(uuid, |channel| {
            channel.display.clone_from(&who.1);
            channel.display_name.clone_from(&who.0);
            channel
                .vars
                .set("last_sent_callee_id_number", who.1.clone());
        });
        let headers = [
            ("Direction", "SEND"),
            ("Sent-Callee-ID-Name", &*who.0),
            ("Sent-Callee-ID-Number", &*who.1),
            ("Bridged-To", &*peer),
        ];
        self.emit_about_with("CALL_UPDATE", uuid, &headers);
    }

    /// Takes a bridge apart: UNBRIDGE by the leg that ran it.
    pub(super) fn unbridge(&mut self, uuid: &Uuid) -> Option<Uuid> {
        let channel = self.channels.get(uuid)?;
        let peer = channel.peer.clone()?;
        let (runner, other) = if channel.runs_bridge {
            (uuid.clone(), peer.clone())
        } else {
            (peer.clone(), uuid.clone())
        };
        self.bridges
            .retain(|pair| *pair != (runner.clone(), other.clone()));
        for one in [&runner, &other] {
            self.change(one, |channel| {
                channel.peer = None;
                channel.vars.unset("bridge_to");
            });
        }
        let pair = [
            ("Bridge-A-Unique-ID", &*runner),
            ("Bridge-B-Unique-ID", &*other),
        ];
        self.change(&other, |channel| channel.vars.set("call_uuid", &*other));
        self.emit_about_with("CHANNEL_UNBRIDGE", &runner, &pair);
        // `bridge` is over; of `intercept` that was said long ago.
        self.execute_complete(&runner, "");
        Some(peer)
    }

    // Holding

    pub(super) fn hold(&mut self, uuid: &Uuid, hold: bool) {
        let known = self.live(uuid).is_some_and(|channel| channel.switch_hold);
        self.change(uuid, |channel| channel.phone_hold = hold);
        if hold {
            self.change(uuid, |channel| {
                channel.switch_hold = true;
                channel.call_state = "HELD";
                channel.profile.held = Some(SystemTime::now());
            });
            self.emit_about("CHANNEL_HOLD", uuid);
            let peer = self.live(uuid).and_then(|channel| channel.peer.clone());
            if let Some(peer) = peer {
                let (playback, music) = ("playback", "local_stream://moh");
                self.emit_application("CHANNEL_EXECUTE", &peer, playback, music, "");
                self.emit_application("CHANNEL_EXECUTE_COMPLETE", &peer, playback, music, "");
                self.dirty.push(peer);
            }
        } else if known {
            self.clear_switch_hold(uuid);
        }
        let event = Event::custom("sofia::reinvite").with("Unique-ID", &**uuid);
        self.emit(&event);
    }

    /// The switch no longer takes the leg for held, whatever its phone thinks.
    pub(super) fn clear_switch_hold(&mut self, uuid: &Uuid) {
        if self.live(uuid).is_none_or(|channel| !channel.switch_hold) {
            return;
        }
        self.change(uuid, |channel| {
            channel.switch_hold = false;
            channel.call_state = "UNHELD";
        });
        self.emit_about("CHANNEL_UNHOLD", uuid);
        self.change(uuid, |channel| channel.call_state = "ACTIVE");
    }

    // Hanging up

    /// Ends a channel, and what depends on it.
    pub(super) fn hangup(&mut self, uuid: &Uuid, cause: &str, by: By) {
        self.clear_switch_hold(uuid);
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let task = channel.task.clone();
        let runs = channel.runs_bridge;
        let disposition = match (by, channel.answered, channel.inbound) {
            (By::Phone, true, _) => "recv_bye",
            (By::Phone, false, true) => "recv_cancel",
            (By::Phone, false, false) => "recv_refuse",
            (By::Switch, true, _) => "send_bye",
            (By::Switch, false, true) => "send_refuse",
            (By::Switch, false, false) => "send_cancel",
        };
        self.end_for_phone(uuid, cause, by);
        self.change(uuid, |channel| {
            channel.hangup_cause = Some(cause.to_owned());
            channel.answer_state = "hangup";
            channel.profile.hungup = Some(SystemTime::now());
        });
        let set = |channel: &mut Channel| {
            channel.vars.set("sip_hangup_disposition", disposition);
        };
        if matches!(disposition, "recv_cancel" | "recv_refuse") {
            self.change(uuid, set);
        }
        // Recorded in more than one order, and so done here as the seed says.
        let order = self.random.below(3);
        let mut peer = None;
        if order == 0 {
            peer = self.unbridge(uuid);
        }
        self.emit_about("CHANNEL_HANGUP", uuid);
        if disposition == "recv_bye" {
            self.change(uuid, set);
        }
        if order == 1 {
            peer = self.unbridge(uuid);
        }
        if let Task::Originating { legs, .. } = &task {
            for leg in legs {
                self.hangup(leg, "ORIGINATOR_CANCEL", By::Switch);
            }
            self.execute_complete(uuid, "");
        }
        self.change(uuid, set);
        self.change(uuid, |channel| {
            channel.state = State::Reporting;
            channel.call_state = "HANGUP";
            channel.vars.set("hangup_cause", cause);
        });
        self.emit_about("CHANNEL_HANGUP_COMPLETE", uuid);
        if order == 2 {
            peer = self.unbridge(uuid);
        }
        self.emit_about("CHANNEL_DESTROY", uuid);
        self.remove(uuid);
        if let Some(peer) = peer {
            self.left_alone(&peer, runs);
        }
        match task {
            Task::Leg { owner } => self.leg_failed(&owner, uuid, cause),
            Task::Originated(number) => self.originated_failed(number, uuid, cause),
            Task::BridgePending { far } | Task::AwaitAnswer { far }
                if self.is_bound(&far, uuid) =>
            {
                self.hangup(&far, "ORIGINATOR_CANCEL", By::Switch);
            }
            _ => {}
        }
    }

    /// The other leg of a bridge has gone. The one that did not run the bridge follows its `park_after_bridge`, else
    /// it is hung up; the one that ran it follows `hangup_after_bridge`, else its dialplan goes on.
    fn left_alone(&mut self, uuid: &Uuid, other_ran: bool) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        // Pulled away: whoever pulls it decides.
        if matches!(channel.task, Task::Moving | Task::BridgePending { .. }) {
            return;
        }
        let parks = channel.vars.is_true("park_after_bridge");
        let goes_to = channel.vars.get("transfer_after_bridge").map(str::to_owned);
        let hangs_up = other_ran || channel.vars.is_true("hangup_after_bridge");
        if parks {
            self.set_task(uuid, Task::Parked);
            self.change(uuid, |channel| channel.state = State::Park);
            self.emit_about("CHANNEL_PARK", uuid);
        } else if let Some(goes_to) = goes_to {
            // The switch forgets it before it goes there.
            self.change(uuid, |channel| channel.vars.unset("transfer_after_bridge"));
            let mut words = goes_to.split(':');
            let number = words.next().unwrap_or_default();
            let context = words.nth(1).unwrap_or("default");
            self.transfer_leg(uuid, number, context);
        } else if hangs_up {
            self.hangup(uuid, "NORMAL_CLEARING", By::Switch);
        } else {
            self.after_bridge(uuid);
        }
    }

    /// Nobody else has pulled `far` meanwhile.
    fn is_bound(&self, far: &Uuid, to: &Uuid) -> bool {
        let partner = self.live(far).and_then(Channel::partner);
        partner.as_ref() == Some(to)
    }

    /// Writes the call into the phone's list of calls that are over.
    pub(super) fn end_for_phone(&mut self, uuid: &Uuid, cause: &str, by: By) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let reason = match by {
            By::Phone => None,
            By::Switch => Some(channel::reason(channel, cause)),
        };
        let elsewhere = reason.as_ref().is_some_and(|r| r.contains("cause=200"));
        let end = match by {
            By::Phone => End::HungUp,
            By::Switch if channel.answered => End::Released,
            By::Switch if channel.inbound => End::Failed,
            By::Switch if elsewhere => End::AnsweredElsewhere,
            By::Switch => End::Missed,
        };
        let code = match (channel.answered, by, channel.inbound) {
            (true, _, _) => 200,
            (false, By::Switch, true) | (false, By::Phone, false) => channel::sip_status(cause),
            (false, By::Switch, false) | (false, By::Phone, true) => 487,
        };
        let ended = EndedCall {
            channel: uuid.to_string(),
            end,
            incoming: !channel.inbound,
            answered: channel.answered,
            began: channel.began,
            over: std::time::Instant::now(),
            code,
            cause: cause.to_owned(),
            reason,
            heard: channel.heard.clone(),
            digits: channel.digits.clone(),
            display: channel.display.clone(),
            display_name: channel.display_name.clone(),
            refusal: channel.refusal.clone(),
        };
        let party = channel.party;
        if let Some(party) = self.parties.get_mut(party) {
            if party.ended.len() == KEPT_CALLS {
                party.ended.remove(0);
            }
            party.ended.push(ended);
        }
    }
}

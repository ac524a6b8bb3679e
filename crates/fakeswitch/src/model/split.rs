//! A call that is taken apart: transfers to the product's extensions of a push, and what these extensions do, in the
//! order of `dialplan/freeswitch/callhop.xml`.
//!
//! ```text
//! callhop_push     beep, then beats: ask the controller; wait | ring play one beat, anything else is callhop_back
//! callhop_refused  refusal tone, then callhop_back
//! callhop_back     the first of the push; listen for the code again; intercept of callhop_far unless that is bridged; the end
//! callhop_target   the first of the push; intercept of callhop_far unless that is bridged; the end
//! callhop_hold     callhop_sound in rounds until callhop_until, then callhop_recall
//! callhop_recall   bridge of callhop_recall; callhop_fallback; the end
//! ```
//!
//! What it has no extension for is looked for in the admin's dialplan.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    Timer, World,
    calls::By,
    channel::{Ask, Channel, Otherwise, State, Task, Uuid},
    dialplan::{is_dial_string, is_number, is_uuid},
};
use crate::phone::Hears;

/// How often callhop_push runs callhop_beat, and callhop_hold its sound.
const BEATS: u16 = 200;
const ROUNDS: u16 = 100;

/// A sound of the extensions of a push: what is heard, and what comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The beep of callhop_push.
    Beep,
    /// A beat of callhop_beat, silent or ringing.
    Beat { ring: bool },
    /// The tone of callhop_refused.
    Refused,
    /// The sound of callhop_hold.
    Hold,
}

impl Step {
    pub(super) fn hears(self, channel: &Channel) -> Hears {
        match self {
            Self::Beep => Hears::Beep,
            Self::Beat { ring: true } => Hears::Ringback,
            Self::Beat { ring: false } => Hears::Silence,
            Self::Refused => Hears::RefusalTone,
            Self::Hold => match channel.vars.get("callhop_sound") {
                Some(sound) if sound.starts_with("tone_stream://") => Hears::Ringback,
                Some(sound) if sound.starts_with("local_stream://") => Hears::Moh,
                // `silence_stream`, and what can't be played: packets without a sound.
                _ => Hears::Silence,
            },
        }
    }
}

impl World {
    /// Takes a leg out of whatever it does and runs an extension on it (switch_ivr_session_transfer). Its partner is not
    /// looked after here.
    pub(super) fn transfer_leg(&mut self, uuid: &Uuid, number: &str, context: &str) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let rings = match &channel.task {
            Task::Originating { legs, .. } => legs.clone(),
            _ => Vec::new(),
        };
        self.set_task(uuid, Task::Moving);
        for leg in rings {
            self.hangup(&leg, "ORIGINATOR_CANCEL", By::Switch);
        }
        self.execute_complete(uuid, "");
        self.change(uuid, |channel| {
            let before = std::mem::replace(&mut channel.profile.destination, number.to_owned());
            channel.profile.rdnis = Some(before);
            channel.profile.context = context.to_owned();
            channel.vars.unset("signal_bond");
            channel.other = None;
            channel.state = State::Execute;
        });
        self.enter(uuid, number);
    }

    /// `uuid_transfer`: a partner that is left behind is hung up.
    pub(super) fn transfer_alone(&mut self, uuid: &Uuid, number: &str, context: &str) {
        let peer = self.part(uuid);
        self.transfer_leg(uuid, number, context);
        if let Some(peer) = peer {
            self.hangup(&peer, "BLIND_TRANSFER", By::Switch);
        }
    }

    /// `uuid_dual_transfer`: the partner first.
    pub(super) fn transfer_both(&mut self, uuid: &Uuid, own: (&str, &str), other: (&str, &str)) {
        if let Some(peer) = self.part(uuid) {
            self.transfer_leg(&peer, other.0, other.1);
        }
        self.transfer_leg(uuid, own.0, own.1);
    }

    /// Ends the bridge of a leg without ending anybody.
    fn part(&mut self, uuid: &Uuid) -> Option<Uuid> {
        let peer = self.live(uuid)?.peer.clone()?;
        for one in [uuid, &peer] {
            self.clear_switch_hold(one);
        }
        self.unbridge(uuid)
    }

    fn enter(&mut self, uuid: &Uuid, number: &str) {
        match number {
            "callhop_push" => self.enter_push(uuid),
            "callhop_back" => self.give_back(uuid),
            "callhop_refused" => {
                let tone = self.config.tone;
                self.sound(uuid, Step::Refused, "tone_stream://refusal", tone);
            }
            "callhop_hold" => {
                self.set_var(uuid, "playback_terminators", "none");
                self.set_var(uuid, "playback_timeout_sec", "30");
                self.change(uuid, |channel| channel.rounds = 0);
                self.hold_round(uuid);
            }
            "callhop_recall" => self.recall(uuid),
            _ => {
                let domain = self.domain_of(uuid);
                self.route(uuid, number, &domain);
            }
        }
    }

    fn enter_push(&mut self, uuid: &Uuid) {
        self.run_application(uuid, "clear_digit_action", "all");
        self.change(uuid, |channel| channel.vars.unset("transfer_after_bridge"));
        self.set_var(uuid, "callhop_armed", "false");
        self.set_var(uuid, "playback_terminators", "none");
        self.change(uuid, |channel| channel.rounds = 0);
        let tone = self.config.tone;
        self.sound(uuid, Step::Beep, "tone_stream://beep", tone);
    }

    /// Plays a sound of the product's extensions. Whoever plays reads the digits.
    fn sound(&mut self, uuid: &Uuid, step: Step, what: &str, length: Duration) {
        self.execute(uuid, "playback", what);
        let generation = self.set_task(uuid, Task::Sound(step));
        self.after(length, Timer::SoundOver(uuid.clone(), generation));
        self.read_digits(uuid);
    }

    pub(super) fn sound_over(&mut self, uuid: &Uuid, generation: u64) {
        let step = match self.live(uuid) {
            Some(Channel {
                task: Task::Sound(step),
                generation: now,
                ..
            }) if *now == generation => *step,
            _ => return,
        };
        self.execute_complete(uuid, "FILE PLAYED");
        match step {
            Step::Beep | Step::Beat { .. } => self.next_beat(uuid),
            Step::Refused => self.transfer_leg(uuid, "callhop_back", &self.context_of(uuid)),
            Step::Hold => self.hold_round(uuid),
        }
    }

    fn next_beat(&mut self, uuid: &Uuid) {
        let beats = self.count_round(uuid);
        if beats > BEATS {
            return self.transfer_leg(uuid, "callhop_back", &self.context_of(uuid));
        }
        self.set_var(uuid, "current_extension", "callhop_beat");
        self.ask(uuid, Ask::Push);
    }

    /// What the controller says to a beat.
    pub(super) fn beat(&mut self, uuid: &Uuid, answer: &str) {
        match answer {
            "wait" => {
                self.set_var(uuid, "callhop_beat", "wait");
                let silence = "silence_stream://1000,1400";
                let length = self.config.beat_wait;
                self.sound(uuid, Step::Beat { ring: false }, silence, length);
            }
            "ring" => {
                self.set_var(uuid, "callhop_beat", "ring");
                let tone = "tone_stream://%(1000,1000,440,480)";
                let length = self.config.beat_ring;
                self.sound(uuid, Step::Beat { ring: true }, tone, length);
            }
            _ => {
                self.set_var(uuid, "callhop_beat", "back");
                self.transfer_leg(uuid, "callhop_back", &self.context_of(uuid));
            }
        }
    }

    fn give_back(&mut self, uuid: &Uuid) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let var = |name: &str| channel.vars.get(name).unwrap_or_default().to_owned();
        let (far, code, push) = (
            var("callhop_far"),
            var("callhop_push_code"),
            var("callhop_push"),
        );
        if !self.limit(uuid, &push, "!NORMAL_CLEARING") {
            return self.hangup(uuid, "NORMAL_CLEARING", By::Switch);
        }
        if is_uuid(&far) {
            self.change(uuid, |channel| channel.vars.unset("playback_terminators"));
            let event = "Event-Name=CUSTOM,Event-Subclass=callhop::push";
            let binding = format!("^^|callhop|{code}|exec[i]:event|{event}|self|self");
            self.run_application(uuid, "bind_digit_action", &binding);
            self.set_var(uuid, "callhop_armed", "true");
            self.set_var(uuid, "hangup_after_bridge", "true");
            self.set_var(uuid, "intercept_unbridged_only", "true");
            if self.intercept(uuid, &far) {
                return;
            }
        }
        self.hangup(uuid, "NORMAL_CLEARING", By::Switch);
    }

    /// Who was rung for a push and has answered.
    pub(super) fn target(&mut self, uuid: &Uuid) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let var = |name: &str| channel.vars.get(name).unwrap_or_default().to_owned();
        let (far, push) = (var("callhop_far"), var("callhop_push"));
        if !self.limit(uuid, &push, "!NORMAL_CLEARING") {
            return self.hangup(uuid, "NORMAL_CLEARING", By::Switch);
        }
        self.set_var(uuid, "hangup_after_bridge", "true");
        self.set_var(uuid, "intercept_unbridged_only", "true");
        if !is_uuid(&far) || !self.intercept(uuid, &far) {
            self.hangup(uuid, "NORMAL_CLEARING", By::Switch);
        }
    }

    /// Whether the leg is the first that takes the far end of this push; another one goes where `else_to` says.
    pub(super) fn limit(&mut self, uuid: &Uuid, push: &str, else_to: &str) -> bool {
        if !is_uuid(push) {
            return true;
        }
        let data = format!("hash callhop_push {push} 1 {else_to}");
        self.execute(uuid, "limit", &data);
        self.execute_complete(uuid, "");
        let holder = self.limits.get(push);
        if holder.is_some_and(|holder| holder != uuid && self.live(holder).is_some()) {
            return false;
        }
        let channels = &self.channels;
        self.limits
            .retain(|_, holder| channels.contains_key(holder));
        self.limits.insert(push.to_owned(), uuid.clone());
        true
    }

    /// One round of callhop_hold_sound, unless the time is over.
    fn hold_round(&mut self, uuid: &Uuid) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or(Duration::ZERO).as_secs();
        let until = channel.vars.get("callhop_until");
        let until: u64 = until.and_then(|text| text.parse().ok()).unwrap_or(0);
        let sound = channel.vars.get("callhop_sound").unwrap_or_default();
        let sound = sound.to_owned();
        let rounds = self.count_round(uuid);
        if now < until && rounds <= ROUNDS {
            let length = self.config.hold_round;
            self.sound(uuid, Step::Hold, &sound, length);
        } else {
            self.transfer_leg(uuid, "callhop_recall", &self.context_of(uuid));
        }
    }

    fn recall(&mut self, uuid: &Uuid) {
        for (name, value) in [
            ("hangup_after_bridge", "true"),
            ("continue_on_fail", "true"),
            ("call_timeout", "30"),
            ("ringback", "%(2000,4000,440,480)"),
            ("transfer_ringback", "%(2000,4000,440,480)"),
        ] {
            self.set_var(uuid, name, value);
        }
        self.change(uuid, |channel| {
            channel.vars.unset("playback_terminators");
            channel.vars.unset("playback_timeout_sec");
        });
        let dial = self.live(uuid).and_then(|c| c.vars.get("callhop_recall"));
        match dial.map(str::to_owned) {
            // The expression of this extension knows no `error/`.
            Some(dial) if is_dial_string(&dial) && !dial.contains("error/") => {
                self.bridge(uuid, &dial, Otherwise::Fallback);
            }
            _ => self.fall_back(uuid),
        }
    }

    /// What callhop_recall does when nobody has answered.
    pub(super) fn fall_back(&mut self, uuid: &Uuid) {
        let fallback = self.live(uuid).and_then(|c| c.vars.get("callhop_fallback"));
        let fallback = fallback.and_then(|text| text.split_once(' '));
        let fallback = fallback.map(|(number, context)| (number.to_owned(), context.to_owned()));
        match fallback {
            Some((number, context)) if is_number(&number) => {
                self.transfer_leg(uuid, &number, &context);
            }
            _ => self.hangup(uuid, "NO_ANSWER", By::Switch),
        }
    }

    fn count_round(&mut self, uuid: &Uuid) -> u16 {
        let mut rounds = 0;
        self.change(uuid, |channel| {
            channel.rounds = channel.rounds.saturating_add(1);
            rounds = channel.rounds;
        });
        rounds
    }

    pub(super) fn context_of(&self, uuid: &Uuid) -> String {
        let channel = self.live(uuid);
        channel.map_or_else(|| "default".to_owned(), |c| c.profile.context.clone())
    }
}

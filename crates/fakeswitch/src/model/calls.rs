//! Channels are made, rung and answered. The order of events is that of the recorded traces in `tests/data`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Timer, World,
    channel::{Channel, Other, Otherwise, Profile, State, Task, Uuid, Vars, cause_of},
    digits::Keypad,
};
use crate::{
    dialstring::{self, Leg},
    events::Event,
    phone::RingMode,
};

/// What the fake says when asked which version it is.
pub(crate) const VERSION: &str = "1.10.12-release~64bit";

/// `variable_ep_codec_string` of every leg that has media.
pub(crate) const CODEC: &str = "CORE_PCM_MODULE.PCMU@8000h@20i@64000b";

/// Who ends a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The phone: BYE, CANCEL or a refusal came in.
    Phone,
    /// The switch: it sends one out.
    Switch,
}

impl World {
    /// Makes a channel that belongs to a phone, without a word to anybody.
    pub(super) fn new_channel(&mut self, party: usize, profile: Profile, vars: Vars) -> Uuid {
        self.sessions += 1;
        let uuid = profile.unique_id.clone();
        let inbound = profile.inbound;
        let mut channel = Channel {
            uuid: uuid.clone(),
            session: self.sessions,
            party,
            inbound,
            state: State::Init,
            call_state: "DOWN",
            answer_state: "ringing",
            profile,
            other: None,
            vars,
            application: None,
            task: Task::Parked,
            generation: 0,
            peer: None,
            runs_bridge: false,
            called_side: false,
            queued: false,
            answered: false,
            early_media: false,
            phone_hold: false,
            switch_hold: false,
            hangup_cause: None,
            began: std::time::Instant::now(),
            heard: Vec::new(),
            digits: Vec::new(),
            keypad: Keypad::default(),
            rounds: 0,
            display: String::new(),
            display_name: String::new(),
            refusal: None,
        };
        let direction = if inbound { "inbound" } else { "outbound" };
        channel.vars.set("direction", direction);
        channel.vars.set("uuid", &*uuid);
        channel.vars.set("session_id", self.sessions.to_string());
        channel
            .vars
            .set("channel_name", channel.profile.channel_name.clone());
        channel.profile.created = Some(SystemTime::now());
        self.channels.insert(uuid.clone(), channel);
        if let Some(party) = self.parties.get_mut(party) {
            party.legs.push(uuid.clone());
        }
        self.dirty.push(uuid.clone());
        uuid
    }

    pub(super) fn new_uuid(&mut self) -> Uuid {
        Arc::from(self.random.uuid())
    }

    /// Sends an event about a channel.
    pub(super) fn emit_about(&mut self, name: &'static str, uuid: &Uuid) {
        self.emit_about_with(name, uuid, &[]);
    }

    /// Sends an event about a channel with headers of its own in front.
    pub(super) fn emit_about_with(
        &mut self,
        name: &'static str,
        uuid: &Uuid,
        headers: &[(&str, &str)],
    ) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let variables = name != "CHANNEL_OUTGOING";
        let mut event = Event::new(name);
        for (header, value) in headers {
            event = event.with(header, *value);
        }
        let event = event.about(channel, variables);
        self.dirty.push(uuid.clone());
        self.emit(&event);
    }

    /// An application starts on a channel.
    pub(super) fn execute(&mut self, uuid: &Uuid, application: &'static str, data: &str) {
        self.change(uuid, |channel| {
            channel.application = Some((application, data.to_owned()));
            channel.vars.set("current_application", application);
            channel.vars.set("current_application_data", data);
        });
        self.emit_application("CHANNEL_EXECUTE", uuid, application, data, "");
    }

    /// The application that started last is over.
    pub(super) fn execute_complete(&mut self, uuid: &Uuid, response: &str) {
        let application = self
            .channels
            .get_mut(uuid)
            .and_then(|c| c.application.take());
        if let Some((application, data)) = application {
            self.emit_application(
                "CHANNEL_EXECUTE_COMPLETE",
                uuid,
                application,
                &data,
                response,
            );
        }
    }

    pub(super) fn emit_application(
        &mut self,
        name: &'static str,
        uuid: &Uuid,
        application: &str,
        data: &str,
        response: &str,
    ) {
        let job = self.random.uuid();
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let mut event = Event::new(name)
            .about(channel, true)
            .with("Application", application)
            .with("Application-Data", data);
        if name == "CHANNEL_EXECUTE_COMPLETE" {
            let response = if response.is_empty() {
                "_none_"
            } else {
                response
            };
            event = event.with("Application-Response", response);
        }
        let event = event.with("Application-UUID", job);
        self.emit(&event);
    }

    /// `set`, without the noise of two events a variable.
    pub(super) fn set_var(&mut self, uuid: &Uuid, name: &str, value: &str) {
        self.change(uuid, |channel| channel.vars.set(name, value));
    }

    // Ringing

    /// `bridge`: rings the groups of a dial string one after the other.
    pub(super) fn bridge(&mut self, caller: &Uuid, dial: &str, otherwise: Otherwise) {
        self.execute(caller, "bridge", dial);
        self.ring_next_group(
            caller,
            dialstring::parse(dial),
            otherwise,
            "NO_ROUTE_DESTINATION",
        );
    }

    fn ring_next_group(
        &mut self,
        caller: &Uuid,
        mut groups: Vec<Vec<Leg>>,
        otherwise: Otherwise,
        cause: &str,
    ) {
        let mut cause = cause.to_owned();
        while !groups.is_empty() {
            let group = groups.remove(0);
            let alone = group.len() == 1;
            let task = Task::Originating {
                legs: Vec::new(),
                rest: groups.clone(),
                otherwise,
            };
            let generation = self.set_task(caller, task);
            let mut made = Vec::new();
            let mut failed = None;
            for leg in group {
                match self.make_legs(caller, &leg, alone) {
                    Ok(legs) => made.extend(legs),
                    Err(why) => failed = Some(why),
                }
            }
            if !made.is_empty() {
                let limit = self
                    .call_timeout(caller)
                    .unwrap_or(self.config.ring_timeout);
                self.after(limit, Timer::RingTimeout(caller.clone(), generation));
                self.ring(caller, &made);
                return;
            }
            if let Some(why) = failed {
                cause = why;
            }
        }
        self.bridge_failed(caller, otherwise, &cause);
    }

    /// The legs of one entry of a dial string.
    fn make_legs(&mut self, caller: &Uuid, leg: &Leg, alone: bool) -> Result<Vec<Uuid>, String> {
        let targets = self.targets(leg, alone)?;
        let legs = targets.contacts.into_iter().map(|(party, contact)| {
            let vars = targets.vars.iter().chain(&leg.vars);
            self.make_leg(caller, party, &contact, targets.endpoint, vars)
        });
        Ok(legs.flatten().collect())
    }

    fn make_leg<'a>(
        &mut self,
        caller: &Uuid,
        party: usize,
        contact: &str,
        endpoint: &str,
        extra: impl Iterator<Item = &'a (String, String)>,
    ) -> Option<Uuid> {
        let unique_id = self.new_uuid();
        let from = self.channels.get(caller)?.clone();
        let to = self.parties.get(party)?.clone();
        let bare = contact.trim_start_matches("sip:").trim_end_matches(";ob");
        let user = bare.split('@').next().unwrap_or(bare).to_owned();
        let profile = Profile {
            inbound: false,
            callee: Some(("Outbound Call".to_owned(), user.clone())),
            destination: user,
            unique_id,
            transfer_source: None,
            channel_name: format!("sofia/{}/{bare}", to.profile()),
            answered: None,
            progress: None,
            progress_media: None,
            bridged: None,
            held: None,
            hungup: None,
            ..from.profile.clone()
        };
        let (number, name) = (
            from.profile.caller_number.clone(),
            from.profile.caller_name.clone(),
        );
        let uuid = self.new_channel(party, profile, Vars::default());
        self.change(&uuid, |leg| {
            leg.state = State::None;
            leg.display = number;
            leg.display_name = name;
            leg.set_task(Task::Leg {
                owner: caller.clone(),
            });
            leg.other = Some(Other {
                is_originator: true,
                profile: from.profile.clone(),
            });
        });
        self.emit_about("CHANNEL_OUTGOING", &uuid);
        self.change(&uuid, |leg| {
            leg.state = State::Init;
            let vars = &mut leg.vars;
            vars.set("is_outbound", "true");
            vars.set("sip_profile_name", to.profile());
            vars.set("sip_destination_url", contact);
            for (name, value) in extra {
                vars.set(name, value.clone());
            }
            vars.set("originator_codec", "PCMU@8000h@20i");
            vars.set("originator", &**caller);
            vars.set("signal_bond", &**caller);
            vars.set("call_uuid", &**caller);
            vars.set("originate_early_media", "true");
            vars.set("originating_leg_uuid", &**caller);
            vars.set("originate_endpoint", endpoint);
            vars.set("sofia_profile_name", to.profile());
            vars.set("recovery_profile_name", to.profile());
        });
        if endpoint == "user" {
            // `user/` goes through two endpoints, each of which says so.
            self.emit_about("CHANNEL_OUTGOING", &uuid);
        }
        self.emit_about("CHANNEL_CREATE", &uuid);
        self.emit_about("CHANNEL_ORIGINATE", &uuid);
        Some(uuid)
    }

    /// The legs are there; now their phones ring.
    fn ring(&mut self, caller: &Uuid, legs: &[Uuid]) {
        self.change(caller, |channel| {
            if let Task::Originating { legs: ringing, .. } = &mut channel.task {
                ringing.extend(legs.iter().cloned());
            }
            let list: Vec<String> = legs.iter().map(|l| format!("{l};Outbound Call")).collect();
            channel
                .vars
                .set("originated_legs", format!("ARRAY::{}", list.join("|:")));
        });
        self.note_newest_leg(caller, legs);
        self.begin_ringing(legs);
    }

    /// Every phone rings in its own way.
    pub(super) fn begin_ringing(&mut self, legs: &[Uuid]) {
        for leg in legs {
            self.note_first_response(leg);
            let mode = self
                .channels
                .get(leg)
                .and_then(|leg| self.parties.get(leg.party))
                .map(|party| party.ring_mode)
                .unwrap_or_default();
            match mode {
                RingMode::Ringing => self.progress(leg, false),
                RingMode::EarlyMedia => self.progress(leg, true),
                RingMode::Silent => {}
                RingMode::Reject(code) => self.hangup(leg, cause_of(code), By::Phone),
                RingMode::Answer if self.config.answer_delay.is_zero() => self.answer_leg(leg),
                RingMode::Answer => {
                    let wait = self.config.answer_delay;
                    self.after(wait, Timer::Answer(leg.clone()));
                }
            }
        }
    }

    /// What a phone's first response leaves on its leg.
    fn note_first_response(&mut self, leg: &Uuid) {
        let Some(party) = self.live(leg).and_then(|leg| self.parties.get(leg.party)) else {
            return;
        };
        let port = if party.domain.is_some() {
            party.port
        } else {
            5090
        };
        let contact = format!("{}@127.0.0.1:{port}", party.number);
        self.change(leg, |leg| {
            leg.state = State::ConsumeMedia;
            leg.vars.set("sip_network_ip", "127.0.0.1");
            leg.vars.set("sip_network_port", port.to_string());
            leg.vars.set("sip_contact_uri", contact);
        });
    }

    /// The caller's own channel names the leg that was made last, and gets its `dialed_` variables.
    fn note_newest_leg(&mut self, caller: &Uuid, legs: &[Uuid]) {
        let Some(last) = legs.last().and_then(|leg| self.channels.get(leg)).cloned() else {
            return;
        };
        self.change(caller, |channel| {
            for name in ["dialed_user", "dialed_domain"] {
                if let Some(value) = last.vars.get(name) {
                    channel.vars.set(name, value);
                }
            }
            channel.vars.set("originate_signal_bond", &*last.uuid);
            if legs.len() > 1 {
                channel.vars.set("signal_bond", &*last.uuid);
                channel.other = Some(Other {
                    is_originator: false,
                    profile: last.profile.clone(),
                });
            } else {
                channel.profile.callee.clone_from(&last.profile.callee);
            }
        });
    }

    fn progress(&mut self, leg: &Uuid, media: bool) {
        let now = Some(SystemTime::now());
        let event = if media {
            "CHANNEL_PROGRESS_MEDIA"
        } else {
            "CHANNEL_PROGRESS"
        };
        let note = move |channel: &mut Channel| {
            if media {
                channel.answer_state = "early";
                channel.profile.progress_media = now;
                channel.early_media = true;
            } else {
                channel.profile.progress = now;
            }
        };
        self.change(leg, note);
        self.emit_about(event, leg);
        self.change(leg, |leg| {
            leg.call_state = if media { "EARLY" } else { "RINGING" }
        });
        let Some(owner) = self.owner_of(leg) else {
            return;
        };
        let first = self.live(&owner).is_some_and(|owner| {
            !owner.answered
                && if media {
                    !owner.early_media
                } else {
                    owner.profile.progress.is_none()
                }
        });
        if first {
            self.change(&owner, note);
            self.emit_about(event, &owner);
        }
    }

    /// Who rings a leg.
    pub(super) fn owner_of(&self, leg: &Uuid) -> Option<Uuid> {
        match &self.live(leg)?.task {
            Task::Leg { owner } => Some(owner.clone()),
            _ => None,
        }
    }

    /// The variable `call_timeout`, seconds.
    pub(super) fn call_timeout(&self, uuid: &Uuid) -> Option<Duration> {
        let text = self.live(uuid)?.vars.get("call_timeout")?;
        text.parse().ok().map(Duration::from_secs)
    }

    pub(super) fn ring_timeout(&mut self, caller: &Uuid, generation: u64) {
        let legs = match self.live(caller) {
            Some(Channel {
                task: Task::Originating { legs, .. },
                generation: now,
                ..
            }) if *now == generation => legs.clone(),
            _ => return,
        };
        for leg in legs {
            self.hangup(&leg, "NO_ANSWER", By::Switch);
        }
    }

    /// A leg that was rung is gone without an answer.
    pub(super) fn leg_failed(&mut self, owner: &Uuid, leg: &Uuid, cause: &str) {
        let Some(channel) = self.channels.get_mut(owner).filter(|c| !c.is_gone()) else {
            return;
        };
        let (rest, otherwise) = match &mut channel.task {
            Task::Originating {
                legs,
                rest,
                otherwise,
            } => {
                legs.retain(|l| l != leg);
                if !legs.is_empty() {
                    return;
                }
                (std::mem::take(rest), *otherwise)
            }
            // Recorded: the puller is hung up when the far end that it waited for does not answer.
            Task::AwaitAnswer { far } if far == leg => {
                self.hangup(owner, "ORIGINATOR_CANCEL", By::Switch);
                return;
            }
            _ => return,
        };
        self.ring_next_group(owner, rest, otherwise, cause);
    }

    fn bridge_failed(&mut self, caller: &Uuid, otherwise: Otherwise, cause: &str) {
        self.change(caller, |channel| {
            channel.vars.set("originate_disposition", cause);
            channel.vars.unset("originate_signal_bond");
        });
        self.execute_complete(caller, "");
        match otherwise {
            Otherwise::Fallback => self.fall_back(caller),
            Otherwise::Voicemail if cause == "NO_ANSWER" || self.config.continue_on_fail => {
                self.voicemail(caller);
            }
            Otherwise::Voicemail | Otherwise::HangUp => self.hangup(caller, cause, By::Switch),
        }
    }

    // Answering

    /// A phone that was rung has answered.
    pub(super) fn answer_leg(&mut self, leg: &Uuid) {
        let owner = self.owner_of(leg);
        let originated = match self.live(leg).map(|leg| &leg.task) {
            Some(Task::Originated(number)) => Some(*number),
            _ => None,
        };
        self.answer(leg);
        if let Some(number) = originated {
            return self.originated_answered(number, leg);
        }
        // Nobody rings it any more: it has been pulled with its early media.
        let Some(owner) = owner else {
            return;
        };
        self.set_task(leg, Task::Parked);
        let task = self
            .channels
            .get(&owner)
            .map(|channel| channel.task.clone());
        match task {
            Some(Task::Originating { legs, .. }) => {
                let losers = legs.iter().filter(|l| *l != leg);
                for loser in losers {
                    self.hangup(loser, "LOSE_RACE", By::Switch);
                }
                let winner = self.live(leg).and_then(|leg| leg.profile.callee.clone());
                self.change(&owner, |channel| channel.profile.callee = winner);
                self.answer(&owner);
                self.change(&owner, |channel| {
                    channel.vars.set("originate_disposition", "SUCCESS");
                    channel.vars.unset("originate_signal_bond");
                });
                self.connect(&owner, leg);
            }
            Some(Task::AwaitAnswer { .. }) => self.connect_uuid_bridge(&owner, leg),
            _ => {}
        }
    }

    /// Answers a channel, once.
    pub(super) fn answer(&mut self, uuid: &Uuid) {
        if self.live(uuid).is_none_or(|channel| channel.answered) {
            return;
        }
        self.change(uuid, |channel| {
            channel.answered = true;
            channel.answer_state = "answered";
            channel.profile.answered = Some(SystemTime::now());
            channel.vars.set("ep_codec_string", CODEC);
            // The display that the 200 carries (sofia_glue.c); a call leg of the switch's own has none.
            let number = channel
                .vars
                .get("initial_callee_id_number")
                .map(str::to_owned);
            if let Some(number) = number.filter(|_| channel.inbound) {
                let name = channel.vars.get("initial_callee_id_name");
                channel.display_name = name.unwrap_or(&number).to_owned();
                channel.display = number;
            }
        });
        self.emit_about("CHANNEL_ANSWER", uuid);
        self.change(uuid, |channel| {
            channel.call_state = "ACTIVE";
            channel.vars.set("endpoint_disposition", "ANSWER");
        });
        self.execute_on_answer(uuid);
    }

    /// Media to a caller that is not answered.
    pub(super) fn pre_answer(&mut self, uuid: &Uuid) {
        if self.live(uuid).is_none_or(|c| c.answered || c.early_media) {
            return;
        }
        self.change(uuid, |channel| {
            channel.early_media = true;
            channel.answer_state = "early";
            channel.profile.progress_media = Some(SystemTime::now());
        });
        self.emit_about("CHANNEL_PROGRESS_MEDIA", uuid);
        self.change(uuid, |channel| channel.call_state = "EARLY");
    }
}

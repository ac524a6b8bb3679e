//! The dialplan: what the product's dropped-in file and a small site of the admin's do, in the same order.
//!
//! ```text
//! star     of an authenticated caller: ask the controller; intercept and then the refusal tone | beep | refusal tone
//! inbound  default, overridden by the hash (realm callhop), overridden by the controller; bridge; voicemail
//! others   as the configuration says
//! ```

use super::{
    Question, Timer, World,
    calls::By,
    channel::{Ask, Channel, Otherwise, Task, Tone, Uuid},
};
use crate::config::{Action, Pattern};

/// What the call log says when the controller did not answer a star code.
const NO_ANSWER: &str = "no_answer";

/// The far end's answer to `transfer_ringback`; the tone itself is not played here.
const RINGBACK: &str = "%(2000,4000,440,480)";

impl World {
    /// Finds the extension for a call and runs it.
    pub(super) fn route(&mut self, caller: &Uuid, number: &str, domain: &str) {
        let Some(channel) = self.live(caller) else {
            return;
        };
        if channel.vars.is_true("sip_authorized") && self.is_star_code(number) {
            self.set_var(caller, "callhop_code", number);
            return self.ask(caller, Ask::Star);
        }
        let found = self.config.dialplan.iter().find_map(|extension| {
            let here = extension.domain.is_empty() || extension.domain == domain;
            let rest = match &extension.number {
                Pattern::Number(only) => (only == number).then_some(""),
                Pattern::Prefix(prefix) => number.strip_prefix(prefix.as_str()),
                Pattern::Device => self.user_exists(number, domain).then_some(""),
            };
            Some((rest.filter(|_| here)?.to_owned(), extension.action.clone()))
        });
        let Some((rest, action)) = found else {
            return self.hangup(caller, "NO_ROUTE_DESTINATION", By::Switch);
        };
        let expand = |text: &str| {
            text.replace("${number}", number)
                .replace("${rest}", &rest)
                .replace("${domain}", domain)
        };
        match action {
            Action::Inbound(default) => {
                self.set_var(caller, "hangup_after_bridge", "true");
                self.set_var(caller, "callhop_default", &default);
                self.set_var(caller, "callhop_in_domain", &domain.to_lowercase());
                self.execute(caller, "execute_extension", "callhop_hunt XML default");
                self.ask(caller, Ask::Hunt);
            }
            Action::Bridge(dial) => {
                self.set_var(caller, "hangup_after_bridge", "true");
                self.bridge(caller, &expand(&dial), Otherwise::HangUp);
            }
            Action::Queue(dial) => {
                self.answer(caller);
                self.set_var(caller, "hangup_after_bridge", "true");
                self.change(caller, |channel| channel.queued = true);
                self.bridge(caller, &expand(&dial), Otherwise::HangUp);
            }
            Action::Announcement => {
                self.answer(caller);
                self.play(caller, Tone::Announcement);
            }
            Action::Conference => {
                self.answer(caller);
                self.execute(caller, "conference", "lab@default");
                self.set_task(caller, Task::Tone(Tone::Conference));
            }
            Action::Park => {
                self.answer(caller);
                self.execute(caller, "park", "");
                self.set_task(caller, Task::Parked);
            }
            Action::Intercept => {
                self.set_var(caller, "hangup_after_bridge", "true");
                if !self.intercept(caller, &rest) {
                    self.hangup(caller, "NORMAL_CLEARING", By::Switch);
                }
            }
        }
    }

    /// The expression of the product's extension: a code and a number, a code that stands alone, or the name on a key.
    fn is_star_code(&self, number: &str) -> bool {
        let with_number = self.config.codes_with_number.iter().any(|code| {
            number.strip_prefix(code.as_str()).is_some_and(|rest| {
                rest.len() <= 20
                    && rest
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
            })
        });
        let is_key = number.strip_prefix("callhop+").is_some_and(|rest| {
            let is_number = |it: &str| {
                (1..=20).contains(&it.len())
                    && it
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
            };
            let (extension, target) = rest.split_once('*').unwrap_or((rest, "1"));
            is_number(extension) && is_number(target)
        });
        is_key || with_number || self.config.codes_alone.iter().any(|code| code == number)
    }

    /// The domain in which a call is.
    pub(super) fn domain_of(&self, uuid: &Uuid) -> String {
        let party = self.live(uuid).and_then(|c| self.parties.get(c.party));
        let own = party.and_then(|party| party.domain.clone());
        let set = self.live(uuid).and_then(|c| c.vars.get("domain_name"));
        own.or(set.map(str::to_owned))
            .unwrap_or_else(|| self.config.domain.clone())
    }

    /// The public extension: it sets the domain and transfers to the default context.
    pub(super) fn enter_from_public(&mut self, caller: &Uuid, number: &str, domain: &str) {
        self.execute(caller, "set", &format!("domain_name={domain}"));
        self.set_var(caller, "domain_name", domain);
        self.execute_complete(caller, "");
        self.execute(caller, "transfer", &format!("{number} XML default"));
        self.change(caller, |channel| {
            let dialled = std::mem::replace(&mut channel.profile.destination, number.to_owned());
            channel.profile.context = "default".to_owned();
            channel.profile.rdnis = Some(dialled);
        });
        self.execute_complete(caller, "");
    }

    pub(super) fn ask(&mut self, caller: &Uuid, what: Ask) {
        let generation = self.set_task(caller, Task::Asking(what));
        let switch = &self.config.switch_name;
        let path = match (what, self.live(caller)) {
            (Ask::Hunt, Some(channel)) => {
                let domain = channel.vars.get("callhop_in_domain").unwrap_or_default();
                format!("/freeswitch/{switch}/hunt/{domain}/{caller}")
            }
            _ => format!("/freeswitch/{switch}/{what}/{caller}"),
        };
        self.questions.push(Question {
            channel: caller.to_string(),
            path: path.clone(),
            answer: None,
        });
        self.spawn_question(caller.clone(), generation, path);
    }

    /// The controller has answered, or has not.
    pub(super) fn answered(&mut self, caller: &Uuid, generation: u64, answer: Option<String>) {
        let what = match self.live(caller) {
            Some(Channel {
                task: Task::Asking(what),
                generation: now,
                ..
            }) if *now == generation => *what,
            _ => return,
        };
        let asked = self.questions.iter_mut().rev();
        if let Some(question) = asked.into_iter().find(|q| q.channel == **caller) {
            question.answer.clone_from(&answer);
        }
        let answer = answer.unwrap_or_default();
        match what {
            // `$` of a regular expression lets one line feed at the end pass.
            Ask::Hunt => self.hunt(caller, answer.strip_suffix('\n').unwrap_or(&answer)),
            Ask::Push => self.beat(caller, answer.strip_suffix('\n').unwrap_or(&answer)),
            Ask::Star => self.star(caller, answer.strip_suffix('\n').unwrap_or(&answer)),
            Ask::Take => self.take(caller, answer.strip_suffix('\n').unwrap_or(&answer)),
        }
    }

    fn hunt(&mut self, caller: &Uuid, answer: &str) {
        let Some(channel) = self.live(caller) else {
            return;
        };
        let var = |name: &str| channel.vars.get(name).unwrap_or_default();
        let dialled = Some(&*channel.profile.destination).filter(|n| is_number(n));
        let named = channel.vars.get("callhop_extension");
        let number = named.filter(|n| is_number(n)).or(dialled);
        let key = format!("{}@{}", number.unwrap_or("none"), var("callhop_in_domain"));
        let snapshot = self.hash.get(&("callhop".to_owned(), key));
        let (source, targets) = match snapshot {
            _ if is_dial_string(answer) => ("controller", answer.to_owned()),
            Some(snapshot) if is_dial_string(snapshot) => ("snapshot", snapshot.clone()),
            _ => ("default", var("callhop_default").to_owned()),
        };
        self.set_var(caller, "callhop_source", source);
        self.set_var(caller, "callhop_targets", &targets);
        self.execute_complete(caller, "");
        self.bridge(caller, &targets, Otherwise::Voicemail);
    }

    fn star(&mut self, caller: &Uuid, answer: &str) {
        let words: Vec<&str> = answer.split(' ').collect();
        match words.as_slice() {
            ["intercept", far, codec] if is_uuid(far) && is_codec(codec) => {
                if *codec != "-" {
                    self.set_var(caller, "absolute_codec_string", codec);
                }
                self.set_var(caller, "transfer_ringback", RINGBACK);
                self.set_var(
                    caller,
                    "call_timeout",
                    &self.config.answer_timeout.as_secs().to_string(),
                );
                self.set_var(caller, "hangup_after_bridge", "true");
                self.set_var(caller, "callhop_star", answer);
                let push = self
                    .live(caller)
                    .and_then(|channel| channel.vars.get("callhop_push"));
                let push = push.unwrap_or_default().to_owned();
                let else_to = format!("callhop_refused XML {}", self.context_of(caller));
                if !self.limit(caller, &push, &else_to) || !self.take_far_end(caller, far) {
                    self.refuse(caller, "gone");
                }
            }
            ["beep"] => {
                self.answer(caller);
                self.play(caller, Tone::Beep);
            }
            ["refuse", cause] if is_cause(cause) => self.refuse(caller, cause),
            _ => self.refuse(caller, NO_ANSWER),
        }
    }

    /// One that rings is taken while it does, or else out of the bridge that it has got; here that comes with the answer.
    fn take_far_end(&mut self, caller: &Uuid, far: &str) -> bool {
        self.set_var(&far.into(), "hangup_after_bridge", "false");
        let only = "intercept_unanswered_only";
        if self.live(caller).is_some_and(|it| it.vars.is_true(only)) {
            self.answer(caller);
            if self.intercept(caller, far) {
                return true;
            }
            self.change(caller, |channel| channel.vars.unset(only));
        }
        self.intercept(caller, far)
    }

    /// Who was offered a call has answered.
    fn take(&mut self, leg: &Uuid, answer: &str) {
        let words: Vec<&str> = answer.split(' ').collect();
        let taken = match words.as_slice() {
            ["intercept", far, codec] if is_uuid(far) && is_codec(codec) => {
                self.set_var(leg, "transfer_ringback", RINGBACK);
                self.set_var(leg, "hangup_after_bridge", "true");
                self.set_var(&(*far).into(), "hangup_after_bridge", "false");
                self.intercept(leg, far)
            }
            _ => false,
        };
        if !taken {
            self.change(leg, |channel| {
                channel.refusal = Some("not_offered".to_owned())
            });
            self.play(leg, Tone::Refusal);
        }
    }

    /// The refusal tone in early media, then the end: no answered call.
    fn refuse(&mut self, caller: &Uuid, cause: &str) {
        self.change(caller, |channel| channel.refusal = Some(cause.to_owned()));
        self.pre_answer(caller);
        self.play(caller, Tone::Refusal);
    }

    /// The admin's voicemail answers.
    pub(super) fn voicemail(&mut self, caller: &Uuid) {
        self.answer(caller);
        self.play(caller, Tone::Voicemail);
    }

    fn play(&mut self, caller: &Uuid, tone: Tone) {
        let (sound, ends) = match tone {
            Tone::Beep => ("tone_stream://%(200,0,1200)", true),
            Tone::Refusal => ("tone_stream://%(300,200,480,620);loops=2", true),
            Tone::Voicemail => ("tone_stream://%(2000,0,1900)", false),
            Tone::Announcement | Tone::Conference => ("tone_stream://%(60000,0,600)", false),
        };
        self.execute(caller, "playback", sound);
        let generation = self.set_task(caller, Task::Tone(tone));
        if ends {
            self.after(
                self.config.tone,
                Timer::ToneOver(caller.clone(), generation),
            );
        }
    }

    pub(super) fn tone_over(&mut self, caller: &Uuid, generation: u64) {
        let tone = match self.live(caller) {
            Some(Channel {
                task: Task::Tone(tone),
                generation: now,
                ..
            }) if *now == generation => *tone,
            _ => return,
        };
        self.execute_complete(caller, "FILE PLAYED");
        let unanswered = self
            .live(caller)
            .is_some_and(|c| c.refusal.as_deref() == Some(NO_ANSWER));
        let cause = match tone {
            Tone::Refusal if unanswered => "RECOVERY_ON_TIMER_EXPIRE",
            Tone::Refusal => "CALL_REJECTED",
            Tone::Beep | Tone::Voicemail | Tone::Announcement | Tone::Conference => {
                "NORMAL_CLEARING"
            }
        };
        self.hangup(caller, cause, By::Switch);
    }

    /// The bridge is over and the leg that ran it is still there: the action behind the bridge comes.
    pub(super) fn after_bridge(&mut self, caller: &Uuid) {
        let star = self
            .live(caller)
            .is_some_and(|channel| channel.vars.get("callhop_code").is_some());
        if star {
            self.refuse(caller, "after_bridge");
        } else {
            self.hangup(caller, "NORMAL_CLEARING", By::Switch);
        }
    }
}

/// `^((?:(?:\[[0-9A-Za-z_=,.@+*#-]*\])?(?:user|sofia|error)/(?:[0-9A-Za-z_.+~:;=@%?!/*#-]|\[[0-9A-Fa-f:.]+\])+(?:,(?!$)|$))+)$`
pub(super) fn is_dial_string(text: &str) -> bool {
    let mut rest = text;
    loop {
        let bracketed = rest.strip_prefix('[').and_then(|r| r.split_once(']'));
        if let Some((vars, after)) = bracketed {
            if !vars
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_=,.@+*#-".contains(&b))
            {
                return false;
            }
            rest = after;
        }
        let (leg, more) = match rest.split_once(',') {
            Some((leg, more)) => (leg, Some(more)),
            None => (rest, None),
        };
        let target = ["user/", "sofia/", "error/"]
            .iter()
            .find_map(|kind| leg.strip_prefix(kind));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.+~:;=@%?!/*#-[]".contains(&b);
        match target {
            Some(target) if !target.is_empty() && target.bytes().all(allowed) => {}
            _ => return false,
        }
        match more {
            Some(more) => rest = more,
            None => return true,
        }
    }
}

pub(super) fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"*#+._-".contains(&b))
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .all(|b| matches!(b, b'-' | b'0'..=b'9' | b'a'..=b'f'))
}

fn is_codec(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || b"@._-".contains(&b);
    text == "-"
        || ((1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(rest))
}

fn is_cause(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        assert_eq!(is_dial_string(text), expect, "{text}");
    }

    #[test]
    fn dial_strings_from_elsewhere() {
        check("user/1001@lab.test", true);
        check(
            "user/1001@lab.test,[a=b,c=d]sofia/internal/sip:1001@[::1]:5060;ob",
            true,
        );
        check("error/user_not_registered", true);
        check("", false);
        check("-ERR", false);
        check("user/1001@lab.test,", false);
        check("user/${system(x)}", false);
        check("user/1001@lab.test\nuser/1002@lab.test", false);
        check("[x=$y]user/1001@lab.test", false);
        check("loopback/1001", false);
    }
}

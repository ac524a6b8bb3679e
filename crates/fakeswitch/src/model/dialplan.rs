//! The dialplan: what the product's dropped-in file and a small site of the admin's do, in the same order.
//!
//! ```text
//! inbound  default, overridden by the hash (realm callhop), overridden by the controller; bridge; voicemail
//! star     ask the controller: intercept and then the refusal tone | beep | refusal tone
//! device   bridge user/<number>@<domain>
//! 0...     bridge sofia/external/<rest>
//! ```

use super::{
    Question, Timer, World,
    calls::By,
    channel::{Ask, Channel, Otherwise, Task, Tone, Uuid},
};

/// The far end's answer to `transfer_ringback`; the tone itself is not played here.
const RINGBACK: &str = "%(2000,4000,440,480)";

impl World {
    /// Finds the extension for a new call and runs it.
    pub(super) fn route(&mut self, caller: &Uuid, number: &str, domain: &str) {
        let outside = self
            .live(caller)
            .is_none_or(|c| c.profile.context == "public");
        let star = self
            .config
            .star_codes
            .iter()
            .any(|code| number.starts_with(code));
        let name = format!("{number}@{domain}");
        if let Some(default) = self.config.extensions.get(&name).cloned() {
            if outside {
                self.enter_from_public(caller, number, domain);
            }
            self.set_var(caller, "hangup_after_bridge", "true");
            self.set_var(caller, "callhop_default", &default);
            self.execute(caller, "execute_extension", "callhop_hunt XML default");
            self.ask(caller, Ask::Hunt);
        } else if outside {
            // The public context lets nobody in but to the extensions.
            self.hangup(caller, "NO_ROUTE_DESTINATION", By::Switch);
        } else if star {
            self.set_var(caller, "callhop_star", number);
            self.ask(caller, Ask::Star);
        } else if self.config.announcements.iter().any(|n| n == number) {
            self.answer(caller);
            self.play(caller, Tone::Announcement);
        } else if self.user_exists(number, domain) {
            self.set_var(caller, "hangup_after_bridge", "true");
            self.bridge(caller, &format!("user/{name}"), Otherwise::HangUp);
        } else if let Some(rest) = number.strip_prefix('0') {
            self.set_var(caller, "hangup_after_bridge", "true");
            let dial = format!("sofia/external/{rest}@127.0.0.1:5090");
            self.bridge(caller, &dial, Otherwise::HangUp);
        } else {
            self.hangup(caller, "NO_ROUTE_DESTINATION", By::Switch);
        }
    }

    /// The public extension: it sets the domain and transfers to the default context.
    fn enter_from_public(&mut self, caller: &Uuid, number: &str, domain: &str) {
        self.execute(caller, "set", &format!("domain_name={domain}"));
        self.set_var(caller, "domain_name", domain);
        self.execute_complete(caller, "");
        self.execute(caller, "transfer", &format!("{number} XML default"));
        self.change(caller, |channel| {
            channel.profile.context = "default".to_owned();
            channel.profile.rdnis = Some(number.to_owned());
        });
        self.execute_complete(caller, "");
    }

    fn ask(&mut self, caller: &Uuid, what: Ask) {
        let generation = self.set_task(caller, Task::Asking(what));
        let path = format!("/freeswitch/{}/{what}/{caller}", self.config.switch_name);
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
            Ask::Hunt => self.hunt(caller, answer.trim()),
            Ask::Star => self.star(caller, answer.trim()),
        }
    }

    fn hunt(&mut self, caller: &Uuid, answer: &str) {
        let Some(channel) = self.live(caller) else {
            return;
        };
        let domain = channel.vars.get("domain_name").unwrap_or_default();
        let key = format!("{}@{domain}", channel.profile.destination);
        let default = channel.vars.get("callhop_default").unwrap_or_default();
        let snapshot = self.hash.get(&("callhop".to_owned(), key));
        let (source, targets) = match snapshot {
            _ if is_dial_string(answer) => ("controller", answer.to_owned()),
            Some(snapshot) if is_dial_string(snapshot) => ("snapshot", snapshot.clone()),
            _ => ("default", default.to_owned()),
        };
        self.set_var(caller, "callhop_source", source);
        self.set_var(caller, "callhop_targets", &targets);
        self.execute_complete(caller, "");
        self.bridge(caller, &targets, Otherwise::Voicemail);
    }

    fn star(&mut self, caller: &Uuid, answer: &str) {
        let words: Vec<&str> = answer.split_whitespace().collect();
        match words.as_slice() {
            ["intercept", far, codec] if is_uuid(far) => {
                self.set_var(caller, "hangup_after_bridge", "true");
                self.set_var(caller, "transfer_ringback", RINGBACK);
                if *codec != "-" {
                    self.set_var(caller, "absolute_codec_string", codec);
                }
                if !self.intercept(caller, far) {
                    self.refuse(caller, "gone");
                }
            }
            ["beep"] => {
                self.answer(caller);
                self.play(caller, Tone::Beep);
            }
            ["refuse", cause] => self.refuse(caller, cause),
            _ => self.refuse(caller, "no_answer_from_controller"),
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
            Tone::Announcement => ("tone_stream://%(60000,0,600)", false),
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
        let cause = match tone {
            Tone::Refusal => "CALL_REJECTED",
            Tone::Beep | Tone::Voicemail | Tone::Announcement => "NORMAL_CLEARING",
        };
        self.hangup(caller, cause, By::Switch);
    }

    /// The bridge is over and the leg that ran it is still there: the action behind the bridge comes.
    pub(super) fn after_bridge(&mut self, caller: &Uuid) {
        let star = self
            .live(caller)
            .is_some_and(|channel| channel.vars.get("callhop_star").is_some());
        if star {
            self.refuse(caller, "after_bridge");
        } else {
            self.hangup(caller, "NORMAL_CLEARING", By::Switch);
        }
    }
}

/// What the dialplan's regular expression lets through, so that an error text never becomes a dial string.
fn is_dial_string(text: &str) -> bool {
    ["user/", "sofia/", "[", "{", "error/"]
        .iter()
        .any(|start| text.starts_with(start))
        && !text.contains(['\n', '\r'])
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

//! Digits: from a phone into the switch, through what listens for a code, and on to the other side or to an application.
//!
//! ```text
//! bound    a digit that cannot begin the code goes on at once, with those that were kept back; the code is swallowed and
//!          fires its event; what began the code goes on after `bind_digit_timeout`
//! bridged  DTMF event, and the digit comes to the other side's phone
//! a sound  DTMF event, and nobody gets the digit
//! else     the digit waits for whatever reads the leg next (facts page, section 9)
//! ```
//!
//! Refuses what is not one code with one event: other actions of `bind_digit_action` are not used here.

use super::{
    Timer, World,
    channel::{Task, Uuid},
};
use crate::{
    events::Event,
    phone::{DigitGot, Digits},
};

/// Where a digit came from, as its event says (switch_channel.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Rtp,
    Endpoint,
    App,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Rtp => "RTP",
            Self::Endpoint => "ENDPOINT",
            Self::App => "APP",
        }
    }
}

impl From<Digits> for Source {
    fn from(how: Digits) -> Self {
        match how {
            Digits::Rtp => Self::Rtp,
            Digits::Info => Self::Endpoint,
        }
    }
}

/// What a leg listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    code: String,
    /// The headers of the event that the code fires, its name among them.
    event: Vec<(String, String)>,
}

impl Binding {
    /// Reads `^^|realm|code|exec[i]:event|name=value,...|self|self`.
    pub(crate) fn parse(argument: &str) -> Option<Self> {
        let mut characters = argument.strip_prefix("^^")?.chars();
        let separator = characters.next()?;
        let words: Vec<&str> = characters.as_str().split(separator).collect();
        let [_realm, code, "exec[i]:event", event, ..] = words.as_slice() else {
            return None;
        };
        let event = event.split(',').filter_map(|pair| pair.split_once('='));
        Some(Self {
            code: (*code).to_owned(),
            event: event.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        })
        .filter(|binding| !binding.code.is_empty())
    }
}

/// The digits of a leg that nobody has got yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keypad {
    pub(crate) binding: Option<Binding>,
    /// The beginning of the code, and how often it has changed.
    begun: String,
    changes: u64,
    /// What waits for somebody who reads the leg.
    unread: Vec<(char, Source)>,
    /// When the phone sent its digits.
    pub(crate) sent: Vec<std::time::Instant>,
}

impl World {
    /// A phone begins to send digits, one after the other.
    pub(super) fn dial_digits(&mut self, uuid: &Uuid, digits: &str, how: Digits) {
        let mut digits = digits.chars();
        let Some(first) = digits.next() else {
            return;
        };
        self.digit_came(uuid, first, how);
        if !digits.as_str().is_empty() {
            let rest = digits.as_str().to_owned();
            let gap = self.config.digit_gap;
            self.after(gap, Timer::Digits(uuid.clone(), rest, how));
        }
    }

    fn digit_came(&mut self, uuid: &Uuid, digit: char, how: Digits) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let binding = channel.keypad.binding.clone();
        let now = std::time::Instant::now();
        self.change(uuid, |channel| channel.keypad.sent.push(now));
        let Some(binding) = binding else {
            return self.queue_digits(uuid, &digit.to_string(), how.into());
        };
        let mut begun = String::new();
        self.change(uuid, |channel| {
            channel.keypad.changes += 1;
            channel.keypad.begun.push(digit);
            begun.clone_from(&channel.keypad.begun);
        });
        if begun == binding.code {
            self.change(uuid, |channel| channel.keypad.begun.clear());
            self.fire_binding(uuid, &binding);
        } else if binding.code.starts_with(&begun) {
            let changes = self.live(uuid).map_or(0, |c| c.keypad.changes);
            let limit = self.config.bind_digit_timeout;
            self.after(limit, Timer::CodeBegun(uuid.clone(), changes));
        } else {
            self.change(uuid, |channel| channel.keypad.begun.clear());
            self.queue_digits(uuid, &begun, Source::App);
        }
    }

    /// The code was begun and not ended.
    pub(super) fn code_not_ended(&mut self, uuid: &Uuid, changes: u64) {
        let Some(channel) = self.live(uuid).filter(|c| c.keypad.changes == changes) else {
            return;
        };
        let begun = channel.keypad.begun.clone();
        self.change(uuid, |channel| channel.keypad.begun.clear());
        self.queue_digits(uuid, &begun, Source::App);
    }

    fn fire_binding(&mut self, uuid: &Uuid, binding: &Binding) {
        let header = |name: &str| {
            let mut all = binding.event.iter();
            all.find(|(n, _)| n == name).map(|(_, v)| v.clone())
        };
        let (Some(channel), Some(subclass)) = (self.live(uuid), header("Event-Subclass")) else {
            return;
        };
        let event = Event::custom(subclass).about(channel, true);
        self.emit(&event);
    }

    /// `bind_digit_action`. What it can't read binds nothing.
    pub(super) fn bind_digits(&mut self, uuid: &Uuid, argument: &str) {
        let binding = Binding::parse(argument);
        self.change(uuid, |channel| channel.keypad.binding = binding);
    }

    /// `clear_digit_action`.
    pub(super) fn clear_binding(&mut self, uuid: &Uuid) {
        self.change(uuid, |channel| {
            channel.keypad.binding = None;
            channel.keypad.begun.clear();
        });
    }

    /// Digits for whoever reads the leg.
    pub(super) fn queue_digits(&mut self, uuid: &Uuid, digits: &str, source: Source) {
        self.change(uuid, |channel| {
            let digits = digits.chars().map(|digit| (digit, source));
            channel.keypad.unread.extend(digits);
        });
        self.read_digits(uuid);
    }

    /// Whatever the leg does now takes the digits that have waited, if it reads any.
    pub(super) fn read_digits(&mut self, uuid: &Uuid) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let reads = matches!(
            channel.task,
            Task::Bridged | Task::Tone(_) | Task::Sound(_) | Task::Parked
        );
        if !reads || !channel.answered || channel.keypad.unread.is_empty() {
            return;
        }
        let peer = channel.peer.clone();
        let mut unread = Vec::new();
        self.change(uuid, |channel| {
            unread = std::mem::take(&mut channel.keypad.unread);
        });
        for (digit, source) in unread {
            self.emit_digit(uuid, digit, source);
            if let Some(peer) = &peer {
                let at = std::time::Instant::now();
                self.change(peer, |peer| peer.digits.push(DigitGot { at, digit }));
            }
        }
    }

    fn emit_digit(&mut self, uuid: &Uuid, digit: char, source: Source) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let event = Event::new("DTMF")
            .about(channel, false)
            .with("DTMF-Digit", digit.to_string())
            .with("DTMF-Duration", "2000")
            .with("DTMF-Source", source.name());
        self.emit(&event);
    }

    /// The applications that a leg runs when it is answered, in the order of their names.
    pub(super) fn execute_on_answer(&mut self, uuid: &Uuid) {
        let Some(channel) = self.live(uuid) else {
            return;
        };
        let wanted = channel.vars.iter().filter(|(name, _)| {
            let rest = name.strip_prefix("execute_on_answer");
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        let mut wanted: Vec<(String, String)> = wanted
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        wanted.sort();
        for (_, value) in wanted {
            let (application, argument) = value.split_once(' ').unwrap_or((&value, ""));
            self.run_application(uuid, application, argument);
        }
    }

    /// One of the applications that a leg can be told to run beside what it does. False when it is none of them.
    pub(super) fn run_application(&mut self, uuid: &Uuid, application: &str, arg: &str) -> bool {
        match application {
            "bind_digit_action" => self.bind_digits(uuid, arg),
            "clear_digit_action" => self.clear_binding(uuid),
            "set" => {
                if let Some((name, value)) = arg.split_once('=') {
                    self.set_var(uuid, name, value);
                }
            }
            "unset" => self.change(uuid, |channel| channel.vars.unset(arg)),
            _ => return false,
        }
        self.emit_application("CHANNEL_EXECUTE", uuid, application, arg, "");
        self.emit_application("CHANNEL_EXECUTE_COMPLETE", uuid, application, arg, "");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, expect: Option<&str>) {
        let read = Binding::parse(argument);
        let code = read.as_ref().map(|binding| &*binding.code);
        assert_eq!(code, expect, "{argument}");
    }

    #[test]
    fn bindings() {
        const EVENT: &str = "Event-Name=CUSTOM,Event-Subclass=callhop::push";
        check(
            &format!("^^|callhop|*9|exec[i]:event|{EVENT}|self|self"),
            Some("*9"),
        );
        check(
            &format!("^^;callhop;*77;exec[i]:event;{EVENT}"),
            Some("*77"),
        );
        check(&format!("callhop,*9,exec[i]:event,{EVENT}"), None);
        check("^^|callhop|*9|exec:hangup|", None);
        check(&format!("^^|callhop||exec[i]:event|{EVENT}"), None);
        check("", None);
    }
}

//! `[push]`, and what a switch has to know for it.
//!
//! Owns what the keys of a push may hold. Refuses what the whitelists of the commands would refuse later, in the middle of
//! a call: whatever got past here can be sent.

use std::{ops::RangeInclusive, time::Duration};

use callhop_calls::{
    id::Number,
    push::{Pattern, PushPolicy},
};
use callhop_esl::word::{DialString, Sound, Word};

use super::{
    Asterisk, Freeswitch,
    document::{Document, Found, Section},
};
use crate::asterisk::words;

/// How long a digit or an answer may take. Whoever waits longer has forgotten the call.
const TIMEOUT_S: RangeInclusive<u64> = 1..=120;

/// What `{number}` stands for when `outside` is tried.
const ANY_NUMBER: &str = "+4930123456";

/// The longest prefix: with more, a telephone shows nothing of the name behind it.
const MAX_PREFIX: usize = 40;

/// The longest name of a context that the dialplan file takes.
const MAX_CONTEXT: usize = 64;

/// The settings of one section; what it does not set is as in `above`.
pub(super) fn settings<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    above: &PushPolicy,
    switches: &Switches,
) -> PushPolicy {
    let mut push = above.clone();
    if let Some(found) = d.texts(section, "allow") {
        push.allow = patterns(d, section, found.value);
        if !push.allow.is_empty() && !switches.no_outside.is_empty() {
            let message = format!(
                "the switch {} has no outside: its section has to say how these numbers are dialled, such as \
                 outside = \"sofia/gateway/trunk/{{number}}\" on FreeSWITCH, \"PJSIP/{{number}}@trunk\" on Asterisk",
                switches.no_outside.join(", ")
            );
            d.report(found.at, section.full("allow"), message);
        }
    }
    for (key, place) in [
        ("digit_timeout_s", &mut push.digit_timeout),
        ("ring_timeout_s", &mut push.ring_timeout),
    ] {
        if let Some(found) = d.whole(section, key) {
            match u64::try_from(found.value) {
                Ok(seconds) if TIMEOUT_S.contains(&seconds) => {
                    *place = Duration::from_secs(seconds);
                }
                _ => {
                    let message = format!(
                        "{} is not {} to {} seconds",
                        found.value,
                        TIMEOUT_S.start(),
                        TIMEOUT_S.end()
                    );
                    d.report(found.at, section.full(key), message);
                }
            }
        }
    }
    for (key, place) in [
        ("hold_sound", &mut push.hold_sound),
        ("ringback", &mut push.ringback),
    ] {
        if let Some(found) = d.text(section, key) {
            match Sound::new(found.value) {
                Ok(sound) if switches.has_asterisk && words::sound(sound.as_str()).is_none() => {
                    let message = format!(
                        "{:?} is no sound that Asterisk can play: silence_stream://, local_stream://class, \
                         tone_stream://%(on,off,hertz) and /path/to/file.wav are",
                        sound.as_str()
                    );
                    d.report(found.at, section.full(key), message);
                }
                Ok(sound) => *place = sound.as_str().to_owned(),
                Err(error) => d.report(found.at, section.full(key), error.to_string()),
            }
        }
    }
    if let Some(found) = checked(d, section, "display_prefix", prefix_problem) {
        push.display_prefix = found;
    }
    if let Some(found) = checked(d, section, "fallback", fallback_problem) {
        push.fallback = Some(found);
    }
    push
}

/// What the switches can and can't do.
pub(super) struct Switches {
    /// Those that can't dial a number outside.
    no_outside: Vec<String>,
    /// Whether an Asterisk is among them, which knows fewer sounds.
    has_asterisk: bool,
}

impl Switches {
    /// Of all that are configured.
    pub(super) fn of(freeswitch: &[Freeswitch], asterisk: &[Asterisk]) -> Self {
        let of_freeswitch = freeswitch.iter().map(|s| (&s.name, &s.outside));
        let all = of_freeswitch.chain(asterisk.iter().map(|s| (&s.name, &s.outside)));
        Self {
            no_outside: all
                .filter(|(_, outside)| outside.is_none())
                .map(|(name, _)| name.to_string())
                .collect(),
            has_asterisk: !asterisk.is_empty(),
        }
    }
}

/// The context of `callhop.xml`, and how numbers outside are dialled.
pub(super) fn of_freeswitch<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    switch: &mut Freeswitch,
) {
    if let Some(context) = checked(d, section, "context", context_problem) {
        switch.context = context;
    }
    let tried = |text| DialString::new(text).err().map(|error| error.to_string());
    switch.outside = outside(d, section, "sofia/gateway/trunk/{number}", tried);
}

/// How numbers outside are dialled.
pub(super) fn of_asterisk<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    switch: &mut Asterisk,
) {
    if let Some(context) = checked(d, section, "context", context_problem) {
        switch.context = context;
    }
    let tried = |text| {
        let word = callhop_ami::word::DialString::new(text);
        word.err().map(|error| error.to_string())
    };
    switch.outside = outside(d, section, "PJSIP/{number}@trunk", tried);
}

fn outside<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    example: &str,
    tried: fn(String) -> Option<String>,
) -> Option<String> {
    let found = d.text(section, "outside")?;
    let problem = if found.value.contains("{number}") {
        tried(found.value.replace("{number}", ANY_NUMBER))
    } else {
        Some(format!(
            "there is no {{number}} in it, such as in {example}"
        ))
    };
    if let Some(problem) = problem {
        d.report(found.at, section.full("outside"), problem);
    }
    // Kept even if it is wrong, so that it is not called missing as well.
    Some(found.value)
}

/// A text without a problem.
fn checked<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    key: &'static str,
    problem: fn(&str) -> Option<String>,
) -> Option<String> {
    let found = d.text(section, key)?;
    match problem(&found.value) {
        None => Some(found.value),
        Some(problem) => {
            d.report(found.at, section.full(key), problem);
            None
        }
    }
}

fn patterns(
    d: &mut Document<'_>,
    section: &Section<'_>,
    texts: Vec<Found<String>>,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for Found { value, at } in texts {
        match Pattern::new(&value) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                // The last line of several says what is wrong, those above it draw where.
                let error = error.to_string();
                let error = error.lines().last().unwrap_or_default();
                let error = error.strip_prefix("error: ").unwrap_or(error);
                let message = format!("{value:?} is no regular expression: {error}");
                d.report(at, section.full("allow"), message);
            }
        }
    }
    patterns
}

fn prefix_problem(prefix: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || " ._-+:()".contains(c);
    if let Some(wrong) = prefix.replace("{pusher}", "").chars().find(|c| !fits(*c)) {
        return Some(format!(
            "{wrong:?} is not allowed: letters, digits, spaces, . _ - + : ( ) and {{pusher}} are"
        ));
    }
    if prefix.starts_with(' ') {
        return Some("a space in front, which the switch drops".to_owned());
    }
    let length = prefix.len();
    (length > MAX_PREFIX).then(|| format!("{length} characters, at most {MAX_PREFIX} are allowed"))
}

fn fallback_problem(fallback: &str) -> Option<String> {
    let (number, context) = match fallback.split_once('@') {
        Some((number, context)) => (number, Some(context)),
        None => (fallback, None),
    };
    if let Err(error) = number.parse::<Number>() {
        return Some(format!(
            "{error}: a fallback is a number of the dialplan, such as 4000 or 4000@context"
        ));
    }
    if number.starts_with('-') {
        return Some(
            "a number does not begin with '-', which the switch reads as an option".into(),
        );
    }
    context_problem(context?)
}

fn context_problem(context: &str) -> Option<String> {
    match Word::new(context) {
        Err(error) => Some(format!("{context:?} is no context: {error}")),
        Ok(_) if context.len() > MAX_CONTEXT => Some(format!(
            "{context:?} is no context: {} characters, at most {MAX_CONTEXT} are allowed",
            context.len()
        )),
        Ok(_) => None,
    }
}

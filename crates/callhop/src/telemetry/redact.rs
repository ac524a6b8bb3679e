//! Numbers in the log: whole, their last three characters, or not at all.
//!
//! Owns which field of a log line is shown as it is. Refuses to trust a field that it does not know: whoever logs something new
//! has its numbers taken out until the field's name stands in [`PLAIN`]. It sees every line at the last moment before it is
//! written, those of libraries included.
//!
//! What counts as a number: in a field of [`NAMES`] whatever stands before the `@`; in every other field, the message included,
//! each run of letters, digits, `*`, `#` and `+` in which there is a digit. A UUID is left as it is: it is random.
//!
//! The limit: a name made of letters alone that stands in the middle of a sentence (`why`, `error`) is not known for one, nor
//! are the names of domains, of the people behind tokens, and a number that is written out in words.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogNumbers;

/// Fields in which there is never a number of a phone.
const PLAIN: &[&str] = &[
    "address",
    "attempts",
    "cause",
    "channels",
    "class",
    "corrections",
    "created",
    "database",
    "events",
    "file",
    "gap_ms",
    "id",
    "kind",
    "late",
    "level",
    "listen",
    "moves",
    "name",
    "order",
    "outcome",
    "stage",
    "switch",
    "target",
    "timestamp",
    "took_ms",
    "tone",
    "used",
    "variables",
];

/// Fields whose value is a number, a device or an extension, also where it is made of letters.
const NAMES: &[&str] = &[
    "device",
    "dialled",
    "extension",
    "from",
    "number",
    "party",
    "to",
];

/// What stands for what is not shown.
const MARK: &str = "…";

/// The value of a field as it may be shown.
pub(super) fn shown<'a>(numbers: LogNumbers, field: &str, value: &'a str) -> Cow<'a, str> {
    if numbers == LogNumbers::Full || PLAIN.contains(&field) {
        return Cow::Borrowed(value);
    }
    if !NAMES.contains(&field) {
        return Cow::Owned(text(numbers, value));
    }
    let quoted = value.trim_matches('"');
    let (name, rest) = quoted.split_at(quoted.find('@').unwrap_or(quoted.len()));
    Cow::Owned(masked(numbers, name) + &text(numbers, rest))
}

fn text(numbers: LogNumbers, text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '*' | '#' | '+' | '-');
    let mut rest = text;
    while let Some(begin) = rest.find(is_part) {
        let (between, from_here) = rest.split_at(begin);
        let end = from_here.find(|c| !is_part(c)).unwrap_or(from_here.len());
        let (word, after) = from_here.split_at(end);
        shown.push_str(between);
        if is_uuid(word) {
            shown.push_str(word);
        } else {
            let parts = word.split('-').map(|part| {
                if part.chars().any(char::is_numeric) {
                    masked(numbers, part)
                } else {
                    part.to_owned()
                }
            });
            shown.push_str(&parts.collect::<Vec<_>>().join("-"));
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// A number, of which three characters are shown only if that is not all of it.
fn masked(numbers: LogNumbers, number: &str) -> String {
    let count = number.chars().count();
    match numbers {
        LogNumbers::Full => number.to_owned(),
        LogNumbers::Last3 if count > 3 => {
            let last: String = number.chars().skip(count - 3).collect();
            format!("{MARK}{last}")
        }
        LogNumbers::Last3 | LogNumbers::Hidden => MARK.to_owned(),
    }
}

fn is_uuid(word: &str) -> bool {
    let mut parts = word.split('-');
    let fits = [8, 4, 4, 4, 12].into_iter().all(|len| {
        parts
            .next()
            .is_some_and(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    fits && parts.next().is_none()
}

/// Writes lines of JSON without the numbers in them.
#[derive(Debug, Clone)]
pub(super) struct Redacting<W> {
    pub(super) inner: W,
    pub(super) numbers: LogNumbers,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Redacting<W> {
    type Writer = Redacting<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Redacting {
            inner: self.inner.make_writer(),
            numbers: self.numbers,
        }
    }
}

impl<W: Write> Write for Redacting<W> {
    /// Takes a whole line, as the subscriber writes it. What is not one is taken for text.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let redacted = match serde_json::from_slice(line) {
            Ok(value) => format!("{}\n", json(self.numbers, "", value)),
            Err(_) => text(self.numbers, &String::from_utf8_lossy(line)),
        };
        self.inner.write_all(redacted.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn json(numbers: LogNumbers, field: &str, value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = json(numbers, &name, value);
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(values) => {
            let values = values.into_iter().map(|value| json(numbers, field, value));
            Value::Array(values.collect())
        }
        Value::String(value) => Value::String(shown(numbers, field, &value).into_owned()),
        Value::Number(value) if !PLAIN.contains(&field) => {
            Value::String(shown(numbers, field, &value.to_string()).into_owned())
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, value: &str, last3: &str, hidden: &str) {
        assert_eq!(shown(LogNumbers::Full, field, value), value);
        assert_eq!(shown(LogNumbers::Last3, field, value), last3);
        assert_eq!(shown(LogNumbers::Hidden, field, value), hidden);
    }

    #[test]
    fn numbers_are_taken_out_wherever_they_stand() {
        check("extension", "10023@lab.test", "…023@lab.test", "…@lab.test");
        check("from", "anna@lab.test", "…nna@lab.test", "…@lab.test");
        check("to", "\"+4930123456\"", "…456", "…");
        check("dialled", "*33", "…", "…");
        check("dialled", "*491002", "…002", "…");
        let why = "1001@lab.test belongs to no extension";
        check(
            "why",
            why,
            "…001@lab.test belongs to no extension",
            "…@lab.test belongs to no extension",
        );
        check("leg", "PJSIP/1001-0000002a", "PJSIP/…001-…02a", "PJSIP/…-…");
        check(
            "message",
            "to %2B4930123 and sip:+4930123@192.0.2.1",
            "to %…123 and sip:…123@….….….…",
            "to %… and sip:…@….….….…",
        );
    }

    #[test]
    fn a_field_that_nobody_has_heard_of_shows_no_number() {
        check(
            "something_new",
            "calls 1002 now",
            "calls …002 now",
            "calls … now",
        );
    }

    #[test]
    fn what_is_no_number_stays() {
        let leg = "1c8bf43c-1a2b-4c3d-8e9f-0123456789ab";
        check("leg", leg, leg, leg);
        check("took_ms", "1234", "1234", "1234");
        check("cause", "q850_cause_41", "q850_cause_41", "q850_cause_41");
        check("message", "a move begins", "a move begins", "a move begins");
    }

    #[test]
    fn a_line_of_json_is_redacted_in_all_its_depth() {
        let mut out = Vec::new();
        let mut writer = Redacting {
            inner: &mut out,
            numbers: LogNumbers::Last3,
        };
        let line = r#"{"level":"INFO","took_ms":61.5,"count":10023,"span":{"name":"move","to":"+4930123"},"spans":[{"from":"1001@a.b"}]}"#;
        writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        let expect = r#"{"count":"…023","level":"INFO","span":{"name":"move","to":"…123"},"spans":[{"from":"…001@a.b"}],"took_ms":61.5}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expect}\n"));
    }
}

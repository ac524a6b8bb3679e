//! Events in the plain format, as views on the bytes that came.
//!
//! ```text
//! event  = *header LF [body]                 (switch_event_serialize, switch_event.c)
//! header = name ":" SP value LF
//! value  = percent-encoded | "_undef_"       ("_undef_" stands for the empty value)
//! array  = "ARRAY::" item *("|:" item)       (before encoding)
//! body   = Content-Length octets, not encoded; the header is the event's last
//! ```
//!
//! The same format is what `uuid_dump` prints and what the answer to `connect` has as its header block.
//!
//! Nothing is checked when an [`Event`] is made: a line that isn't a header is passed over when something is looked for.
//! Names are compared as they are written (the switch writes each name in one way only). Of a name that comes twice the
//! first counts, as in the switch itself.
//!
//! [`Event::get`] walks the event for each name. What is asked of every event is better asked by a [`FieldSet`].

mod fields;
mod name;

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memmem};

pub use fields::{FieldSet, Fields};
pub use name::EventName;

use crate::frame::{ContentType, Frame, FrameError, parse_length};
use crate::percent;

/// What an empty value is written as.
const UNDEF: &[u8] = b"_undef_";
const ARRAY_SEPARATOR: &str = "|:";

/// One event. Cloning it copies no octet of it.
///
/// It keeps the read buffer alive that it lies in (64 kB and more): what is to be kept for long goes through
/// [`Event::detach`].
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    payload: Bytes,
}

impl Event {
    /// A view on an event's bytes: the body of a `text/event-plain` frame, the text that `uuid_dump` printed, or the header
    /// block of the answer to `connect`.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
        }
    }

    /// Makes an event's bytes out of plain values. For servers and tests. The values are encoded; names must be header names
    /// (a line feed or a colon in one breaks the event).
    pub fn build(headers: &[(&str, &str)], body: &str) -> Self {
        let mut payload = BytesMut::new();
        for (name, value) in headers {
            payload.put_slice(name.as_bytes());
            payload.put_slice(b": ");
            match percent::encode(value).as_bytes() {
                b"" => payload.put_slice(UNDEF),
                encoded => payload.put_slice(encoded),
            }
            payload.put_u8(b'\n');
        }
        if !body.is_empty() {
            payload.put_slice(format!("Content-Length: {}\n", body.len()).as_bytes());
        }
        payload.put_u8(b'\n');
        payload.put_slice(body.as_bytes());
        Self::new(payload.freeze())
    }

    /// This event as the frame that carries it.
    ///
    /// # Errors
    /// None that can happen: the frame has no header of its own.
    pub fn to_frame(&self) -> Result<Frame, FrameError> {
        Frame::build(ContentType::EventPlain, &[], &self.payload)
    }

    /// All of its bytes.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The same event in memory of its own, so that the read buffer can be used again.
    pub fn detach(&self) -> Self {
        Self::new(Bytes::copy_from_slice(&self.payload))
    }

    /// The value of a header, decoded; empty where the switch wrote `_undef_`. `None` if there is no such header.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw(name).map(text)
    }

    /// As [`get`](Self::get), but what is empty counts as not there: most channel variables are read so.
    pub fn get_filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value as it is written: encoded, and `_undef_` if it is empty.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        lines(&self.payload).find_map(|line| value_of(line, name))
    }

    /// The items of a header that has several (`ARRAY::a|:b`); one item if the value is no array, none if there is no such
    /// header or it is empty.
    pub fn array(&self, name: &str) -> Vec<String> {
        match self.get_filled(name) {
            None => Vec::new(),
            Some(value) => match value.strip_prefix("ARRAY::") {
                None => vec![value.into_owned()],
                Some(items) => items.split(ARRAY_SEPARATOR).map(str::to_owned).collect(),
            },
        }
    }

    /// All headers in the order of the event, decoded.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        lines(&self.payload)
            .filter_map(split)
            .map(|(name, value)| (String::from_utf8_lossy(name), text(value)))
    }

    /// `Event-Name`; [`EventName::Unknown`] with an empty text if it has none.
    pub fn name(&self) -> EventName {
        self.raw("Event-Name")
            .map_or(EventName::Unknown(String::new()), EventName::from_wire)
    }

    /// `Event-Subclass`: what kind of CUSTOM event it is.
    pub fn subclass(&self) -> Option<Cow<'_, str>> {
        self.get_filled("Event-Subclass")
    }

    /// `Event-Sequence`: counts up by one for each event of the switch since its start, also for those that we have not
    /// subscribed to. `None` if it isn't there or no number.
    pub fn sequence(&self) -> Option<u64> {
        self.get("Event-Sequence")?.parse().ok()
    }

    /// `Unique-ID`: the channel that it is about.
    pub fn unique_id(&self) -> Option<Cow<'_, str>> {
        self.get_filled("Unique-ID")
    }

    /// The body inside the event, for instance what a background job printed. `None` if it has none, or if its
    /// `Content-Length` isn't that of what follows the blank line.
    pub fn body(&self) -> Option<Bytes> {
        let end = if self.payload.first() == Some(&b'\n') {
            0
        } else {
            memmem::find(&self.payload, b"\n\n")? + 1
        };
        let body = self.payload.slice(end + 1..);
        if body.is_empty() {
            return None;
        }
        // The event may carry a header of the same name from whoever sent it; the one of the body is the last.
        let written = lines(&self.payload)
            .filter_map(|line| value_of(line, b"Content-Length"))
            .last()?;
        let length = parse_length(written)?;
        (1..=body.len())
            .contains(&length)
            .then(|| body.slice(..length))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name())
            .field("sequence", &self.sequence())
            .field("octets", &self.payload.len())
            .finish()
    }
}

/// A raw value as the text that was meant.
fn text(raw: &[u8]) -> Cow<'_, str> {
    if raw == UNDEF {
        Cow::Borrowed("")
    } else {
        percent::decode_text(raw)
    }
}

/// The lines up to the first empty one.
fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// The value of this line if its name is `name`.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    if line.get(name.len()) != Some(&b':') || !line.starts_with(name) {
        return None;
    }
    Some(trim(&line[name.len() + 1..]))
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((&line[..colon], trim(&line[colon + 1..])))
}

fn trim(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

//! Headers, events and answers, as views on the bytes that came.
//!
//! Nothing is checked when one is made: a line that isn't a header is passed over. Names are compared without regard to case,
//! since Asterisk itself spells some in several ways (`Uniqueid`, `UniqueID`). Of a name that comes twice the first counts, and
//! [`Headers::all`] gives them all: `Variable`, `ChanVariable` and `Output` are repeated.

mod name;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

pub use name::EventName;

use crate::frame::{self, Frame, FrameError};

/// The headers of a packet. Cloning them copies no octet.
///
/// They keep the read buffer alive that they lie in (64 kB and more): what is to be kept for long goes through
/// [`Headers::detach`].
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    block: Bytes,
}

impl Headers {
    /// A view on lines that end with CRLF, without an empty one.
    pub fn new(block: impl Into<Bytes>) -> Self {
        Self {
            block: block.into(),
        }
    }

    /// All of the bytes.
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// The same in memory of its own, so that the read buffer can be used again.
    pub fn detach(&self) -> Self {
        Self::new(Bytes::copy_from_slice(&self.block))
    }

    /// The value of the first header of this name. Octets that are no UTF-8 become U+FFFD. `None` if there is none.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw(name).map(String::from_utf8_lossy)
    }

    /// As [`get`](Self::get), but what is empty counts as not there: Asterisk writes most headers even if it has nothing to say.
    pub fn get_filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The number that a header holds; `None` also if it is none.
    pub fn number(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.raw(name)?).ok()?.parse().ok()
    }

    /// The value as it came.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        self.raw_iter()
            .find_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The values of all headers of this name, in the order of the packet.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = Cow<'h, str>> {
        self.raw_iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// The value of a variable in a repeated header (`Variable` in a `Status` event, `ChanVariable` where manager.conf has
    /// `channelvars`): each is `name=value`. Quirk (22.10): of a variable that isn't set `Status` says `(null)`, which counts as
    /// not there.
    pub fn variable(&self, header: &str, name: &str) -> Option<Cow<'_, str>> {
        self.raw_iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(header.as_bytes()))
            .find_map(|(_, value)| value.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .filter(|value| value != b"(null)")
            .map(String::from_utf8_lossy)
    }

    /// All headers in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.raw_iter().map(|(name, value)| {
            (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            )
        })
    }

    pub(crate) fn raw_iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        frame::headers(&self.block)
    }

    /// `ActionID`: which action this answers.
    pub fn action_id(&self) -> Option<Cow<'_, str>> {
        self.get_filled("ActionID")
    }

    /// `EventList`: what part of a list this is.
    pub fn list_part(&self) -> Option<ListPart> {
        match self.raw("EventList")? {
            word if word.eq_ignore_ascii_case(b"start") => Some(ListPart::Start),
            word if word.eq_ignore_ascii_case(b"Complete") => Some(ListPart::Complete),
            word if word.eq_ignore_ascii_case(b"cancelled") => Some(ListPart::Cancelled),
            _ => None,
        }
    }
}

/// Which part of a list a packet is (`astman_send_listack`, `astman_send_list_complete_start`). The items have no such header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPart {
    /// The answer: a list follows.
    Start,
    /// The event behind the last item.
    Complete,
    /// The list was given up.
    Cancelled,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers")
            .field("octets", &self.block.len())
            .finish_non_exhaustive()
    }
}

/// One event, or one item of a list.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    headers: Headers,
}

impl Event {
    /// A view on an event's headers.
    pub fn new(headers: Headers) -> Self {
        Self { headers }
    }

    /// Makes an event out of plain values; `Event` comes first by itself. For servers and tests.
    ///
    /// # Errors
    /// What can't be a header, see [`Frame::build`].
    pub fn build(name: &str, headers: &[(&str, &str)]) -> Result<Self, FrameError> {
        let mut all = vec![("Event", name)];
        all.extend_from_slice(headers);
        Ok(Self::new(Frame::build(&all)?.headers().clone()))
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The same in memory of its own, see [`Headers::detach`].
    pub fn detach(&self) -> Self {
        Self::new(self.headers.detach())
    }

    /// `Event`; [`EventName::Unknown`] with an empty text if it has none.
    pub fn name(&self) -> EventName {
        self.raw("Event")
            .map_or(EventName::Unknown(String::new()), EventName::from_wire)
    }

    /// `Channel`: the name of the channel that it is about.
    pub fn channel(&self) -> Option<Cow<'_, str>> {
        self.get_filled("Channel")
    }

    /// `Uniqueid`: the id of that channel. It never changes, while `Linkedid` does when calls are joined.
    pub fn unique_id(&self) -> Option<Cow<'_, str>> {
        self.get_filled("Uniqueid")
    }
}

impl Deref for Event {
    type Target = Headers;

    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name())
            .field("octets", &self.block.len())
            .finish()
    }
}

/// The answer to one action.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    headers: Headers,
}

impl Reply {
    /// A view on an answer's headers.
    pub fn new(headers: Headers) -> Self {
        Self { headers }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// `Response`.
    pub fn status(&self) -> ReplyStatus {
        self.raw("Response")
            .map_or(ReplyStatus::Unknown(String::new()), ReplyStatus::from_wire)
    }

    /// `Message` without blanks and line feeds at its ends; empty if there is none.
    pub fn message(&self) -> Cow<'_, str> {
        self.raw("Message").map_or(Cow::Borrowed(""), |text| {
            String::from_utf8_lossy(text.trim_ascii())
        })
    }

    /// What `Command` printed: a line for each `Output`.
    pub fn output(&self) -> String {
        let lines: Vec<_> = self.all("Output").collect();
        lines.join("\n")
    }
}

impl Deref for Reply {
    type Target = Headers;

    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

/// The word behind `Response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyStatus {
    /// `Success`: done, or begun.
    Success,
    /// `Error`: not done; `Message` says why.
    Error,
    /// `Goodbye`: the answer to `Logoff`.
    Goodbye,
    /// Anything else, as it was written: `Failure` in `OriginateResponse`, `Follows` before Asterisk 14.
    Unknown(String),
}

impl ReplyStatus {
    fn from_wire(word: &[u8]) -> Self {
        match word {
            b"Success" => Self::Success,
            b"Error" => Self::Error,
            b"Goodbye" => Self::Goodbye,
            other => Self::Unknown(String::from_utf8_lossy(other).into_owned()),
        }
    }
}

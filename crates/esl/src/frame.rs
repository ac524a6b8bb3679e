//! Frames: what every message from the switch is wrapped in.
//!
//! ```text
//! frame  = *LF 1*header LF [body]
//! header = name ":" *SP value LF
//! name   = 1*<any octet except ":" and LF>
//! value  = *<any octet except LF>
//! body   = Content-Length octets; none without that header
//! ```
//!
//! Line feeds in front of a frame are skipped. The header block of the answer to `connect` is itself an event: its values are
//! percent-encoded, which the frame leaves alone.
//!
//! Refused: a line without a name, no `Content-Type`, a `Content-Length` that is no number or comes twice with different
//! numbers, and anything above the limit. After such an error the stream is out of step and is of no further use.
//!
//! Memory: a frame's parts are slices of the buffer that it was read into; nothing is copied. The buffer grows with the octets
//! that came, not with what a `Content-Length` claims, and never beyond the limit and one read.

use std::borrow::Cow;
use std::fmt;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr;
use nom::bytes::complete::{tag, take_till, take_till1, take_while};
use nom::sequence::{delimited, pair, terminated};
use nom::{IResult, Parser};
use tokio_util::codec::{Decoder, Encoder};

use crate::percent;

/// 16 MiB. The largest seen are `show registrations as json` and `sofia xmlstatus` of big sites: some hundred octets a row.
pub const DEFAULT_MAX_FRAME: usize = 16 * 1024 * 1024;

/// Room for one read, in octets. A read costs the same for a hundred octets as for some ten thousand.
pub(crate) const READ_AHEAD: usize = 64 * 1024;

/// What a frame is, by its `Content-Type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentType {
    /// `auth/request`: the switch wants a password; the first frame of a link.
    AuthRequest,
    /// `command/reply`: the answer to everything except `api`, which gets it only when the command isn't allowed.
    CommandReply,
    /// `api/response`: what an `api` command printed.
    ApiResponse,
    /// `text/event-plain`: the body is an event.
    EventPlain,
    /// `text/event-json`: the body is an event in JSON.
    EventJson,
    /// `text/event-xml`: the body is an event in XML.
    EventXml,
    /// `text/disconnect-notice`: the switch ends the link, or (with `Content-Disposition: linger`) will do so.
    DisconnectNotice,
    /// `text/rude-rejection`: the access list of event_socket.conf refuses our address.
    RudeRejection,
    /// `log/data`: a line of the log.
    LogData,
    /// Anything else, as it was written.
    Other(String),
}

impl ContentType {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AuthRequest => "auth/request",
            Self::CommandReply => "command/reply",
            Self::ApiResponse => "api/response",
            Self::EventPlain => "text/event-plain",
            Self::EventJson => "text/event-json",
            Self::EventXml => "text/event-xml",
            Self::DisconnectNotice => "text/disconnect-notice",
            Self::RudeRejection => "text/rude-rejection",
            Self::LogData => "log/data",
            Self::Other(text) => text,
        }
    }

    fn from_wire(word: &[u8]) -> Self {
        match word {
            b"text/event-plain" => Self::EventPlain,
            b"api/response" => Self::ApiResponse,
            b"command/reply" => Self::CommandReply,
            b"auth/request" => Self::AuthRequest,
            b"text/event-json" => Self::EventJson,
            b"text/event-xml" => Self::EventXml,
            b"text/disconnect-notice" => Self::DisconnectNotice,
            b"text/rude-rejection" => Self::RudeRejection,
            b"log/data" => Self::LogData,
            other => Self::Other(String::from_utf8_lossy(other).into_owned()),
        }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One message from the switch: slices of the buffer that it was read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    content_type: ContentType,
    /// All of it: head, blank line, body.
    whole: Bytes,
    head_length: usize,
}

impl Frame {
    /// A frame with these headers (written as they are, in this order) and this body; `Content-Type` and, where there is a
    /// body, `Content-Length` are added. For servers and tests: a client only reads frames.
    ///
    /// # Errors
    /// A name that is empty or has a colon or a line feed, a value that has a line feed, or one of the two headers that are
    /// added.
    pub fn build(
        content_type: ContentType,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Self, FrameError> {
        let body = body.as_ref();
        let mut whole = BytesMut::new();
        if !body.is_empty() {
            whole.put_slice(format!("Content-Length: {}\n", body.len()).as_bytes());
        }
        whole.put_slice(format!("Content-Type: {content_type}\n").as_bytes());
        for (name, value) in headers {
            let bad_name = name.is_empty()
                || name.contains([':', '\n'])
                || name.eq_ignore_ascii_case("Content-Type")
                || name.eq_ignore_ascii_case("Content-Length");
            if bad_name || value.contains('\n') {
                return Err(FrameError::Header {
                    line: excerpt(format!("{name}: {value}").as_bytes()),
                });
            }
            whole.put_slice(format!("{name}: {value}\n").as_bytes());
        }
        let head_length = whole.len();
        whole.put_u8(b'\n');
        whole.put_slice(body);
        Ok(Self {
            content_type,
            whole: whole.freeze(),
            head_length,
        })
    }

    /// What it is.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// The header lines, each with its line feed, without the blank line.
    pub fn head(&self) -> &[u8] {
        &self.whole[..self.head_length]
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        &self.whole[self.head_length + 1..]
    }

    /// The body alone, without a copy.
    pub fn into_body(mut self) -> Bytes {
        self.whole.advance(self.head_length + 1);
        self.whole
    }

    /// The header lines alone, without a copy.
    pub fn into_head(mut self) -> Bytes {
        self.whole.truncate(self.head_length);
        self.whole
    }

    /// A header of the frame (not of an event inside) as it was written; names are compared without regard to case.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        headers(self.head())
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// `Reply-Text`, without its percent coding and trailing line feed: the answer to `connect` encodes it (`%2BOK%0A`), all
    /// others don't.
    pub fn reply_text(&self) -> Option<Cow<'_, str>> {
        headers(self.head())
            .find(|(name, _)| name.eq_ignore_ascii_case(b"Reply-Text"))
            .map(|(_, value)| match percent::decode_text(value) {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
                Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
            })
    }
}

/// Why bytes are no frame. The stream is out of step after any of these, except [`FrameError::Io`].
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than the reader's limit.
    #[error("a frame of at least {size} octets, and the limit is {limit}")]
    TooLarge {
        /// What was claimed by `Content-Length`, or came already.
        size: usize,
        /// The limit in octets.
        limit: usize,
    },
    /// A line that isn't `name: value`.
    #[error("no header: {line:?}")]
    Header {
        /// The beginning of the line.
        line: String,
    },
    /// A header block without `Content-Type`.
    #[error("a header block without Content-Type")]
    NoContentType,
    /// A `Content-Length` that is no number, or two that differ.
    #[error("no usable Content-Length: {value:?}")]
    Length {
        /// The beginning of the value.
        value: String,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, after {got} octets of it")]
    Cut {
        /// Octets of the unfinished frame.
        got: usize,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes frames out of a stream, and puts them into one.
#[derive(Debug, Clone)]
pub struct FrameCodec {
    limit: usize,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Looking for the blank line; no line feed pair begins in the first `searched` octets.
    Head { searched: usize },
    /// The header block is read; the frame is there once `size` octets are.
    Body {
        content_type: ContentType,
        head_length: usize,
        size: usize,
    },
}

impl Default for FrameCodec {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_FRAME)
    }
}

impl FrameCodec {
    /// Refuses frames (header block and body together) of more than `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            state: State::Head { searched: 0 },
        }
    }

    /// The header block's length in `src`, its blank line excluded; line feeds in front are dropped.
    fn find_head(src: &mut BytesMut, searched: &mut usize) -> Option<usize> {
        if *searched == 0 {
            let blank = src.iter().take_while(|octet| **octet == b'\n').count();
            src.advance(blank);
        }
        let mut from = *searched;
        while let Some(at) = memchr(b'\n', &src[from..]) {
            let next = from + at + 1;
            match src.get(next) {
                Some(b'\n') => return Some(next),
                Some(_) => from = next,
                None => {
                    from = next - 1;
                    break;
                }
            }
        }
        // A line feed at the very end may be the first of the pair, so the next search begins with it.
        *searched = if src.last() == Some(&b'\n') {
            from
        } else {
            src.len()
        };
        None
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let State::Head { searched } = &mut self.state {
            let Some(end) = Self::find_head(src, searched) else {
                if src.len() > self.limit {
                    return Err(FrameError::TooLarge {
                        size: src.len(),
                        limit: self.limit,
                    });
                }
                src.reserve(READ_AHEAD);
                return Ok(None);
            };
            if end >= self.limit {
                return Err(FrameError::TooLarge {
                    size: end + 1,
                    limit: self.limit,
                });
            }
            let (content_type, length) = read_head(&src[..end])?;
            // The blank line's own octet counts, too.
            let size = end.saturating_add(1).saturating_add(length);
            if size > self.limit {
                return Err(FrameError::TooLarge {
                    size,
                    limit: self.limit,
                });
            }
            self.state = State::Body {
                content_type,
                head_length: end,
                size,
            };
        }
        if let State::Body { size, .. } = &self.state
            && src.len() < *size
        {
            src.reserve(READ_AHEAD);
            return Ok(None);
        }
        match std::mem::replace(&mut self.state, State::Head { searched: 0 }) {
            State::Body {
                content_type,
                head_length,
                size,
            } => Ok(Some(Frame {
                content_type,
                whole: src.split_to(size).freeze(),
                head_length,
            })),
            State::Head { .. } => Ok(None),
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(frame) = self.decode(src)? {
            return Ok(Some(frame));
        }
        if src.is_empty() {
            Ok(None)
        } else {
            Err(FrameError::Cut { got: src.len() })
        }
    }
}

impl Encoder<&Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: &Frame, dst: &mut BytesMut) -> Result<(), FrameError> {
        dst.extend_from_slice(&frame.whole);
        Ok(())
    }
}

/// The two headers that matter, out of a header block.
fn read_head(block: &[u8]) -> Result<(ContentType, usize), FrameError> {
    let mut content_type = None;
    let mut length = None;
    let mut rest = block;
    while !rest.is_empty() {
        let Ok((after, (name, value))) = header(rest) else {
            let line = rest.split(|octet| *octet == b'\n').next().unwrap_or(rest);
            return Err(FrameError::Header {
                line: excerpt(line),
            });
        };
        rest = after;
        if name.eq_ignore_ascii_case(b"Content-Length") {
            match (parse_length(value), length) {
                (Some(new), None) => length = Some(new),
                (Some(new), Some(old)) if new == old => {}
                _ => {
                    return Err(FrameError::Length {
                        value: excerpt(value),
                    });
                }
            }
        } else if name.eq_ignore_ascii_case(b"Content-Type") && content_type.is_none() {
            content_type = Some(ContentType::from_wire(value));
        }
    }
    let content_type = content_type.ok_or(FrameError::NoContentType)?;
    Ok((content_type, length.unwrap_or(0)))
}

/// The value of a `Content-Length`: digits and nothing else.
pub(crate) fn parse_length(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// One header line: name and value.
fn header(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    pair(
        take_till1(|octet| octet == b':' || octet == b'\n'),
        delimited(
            terminated(tag(&b":"[..]), take_while(|octet| octet == b' ')),
            take_till(|octet| octet == b'\n'),
            tag(&b"\n"[..]),
        ),
    )
    .parse(input)
}

/// The headers of a block; stops at a line that is none (a block out of [`FrameCodec`] has no such line).
pub(crate) fn headers(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (after, found) = header(rest).ok()?;
        rest = after;
        Some(found)
    })
}

/// The beginning of something foreign, for an error's text.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

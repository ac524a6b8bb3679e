//! Frames: the packets that every message to and from the switch is, and the greeting in front of them.
//!
//! ```text
//! stream   = greeting *packet                              (from the switch; to it there is no greeting)
//! greeting = "Asterisk Call Manager/" version CRLF         (session_do, main/manager.c)
//! packet   = *CRLF 1*(line CRLF) CRLF
//! line     = header | other
//! header   = name ":" [SP] value
//! name     = 1*<any octet except ":">
//! value    = *<any octet>                                  (also a lone CR or LF)
//! other    = 1*<any octet>                                 (passed over)
//! ```
//!
//! What a packet is, is said by the first of the headers `Event`, `Response` and `Action`. The event `OriginateResponse` has a
//! `Response`, too, behind its `Event`.
//!
//! Empty lines in front of a packet are skipped. Only CRLF ends a line, so a variable that holds a line feed can't pretend to be
//! a header.
//!
//! Quirk (22.10): a text that Asterisk ends with a line feed of its own comes with it, as in
//! `Message: Unable to retrieve endpoint x LF CRLF CRLF` (res_pjsip/pjsip_configuration.c).
//!
//! Refused: another greeting, and a line, a packet or a number of lines above its limit. After such an error the stream is of no
//! further use.
//!
//! Memory: a frame is a slice of the buffer that it was read into; nothing is copied. The buffer never grows beyond the limit of
//! a packet and one read.

use std::fmt;
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memmem};
use nom::bytes::complete::{tag, take_till1};
use nom::combinator::{opt, rest};
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};
use tokio_util::codec::{Decoder, Encoder};

use crate::event::{Event, Headers, Reply};

/// Room for one read, in octets. A read costs the same for a hundred octets as for some ten thousand.
pub(crate) const READ_AHEAD: usize = 64 * 1024;

const PRODUCT: &[u8] = b"Asterisk Call Manager/";

/// What is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a line with its CRLF; 64 KiB by default. The longest seen are variables and lines of the console, some hundred.
    pub line: usize,
    /// Octets of a packet with its empty line; 16 MiB by default. The longest are answers to `Command`: all that the console would
    /// print is one packet.
    pub packet: usize,
    /// Lines of a packet; 262,144 by default. An event has some 20, `EndpointDetail` 140.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 64 * 1024,
            packet: 16 * 1024 * 1024,
            headers: 256 * 1024,
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// The first line of a link, from the switch.
    Greeting,
    /// An event, or an item of a list.
    Event,
    /// The answer to an action.
    Response,
    /// An action: what a server reads.
    Action,
    /// None of these.
    Other,
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "greeting",
            Self::Event => "event",
            Self::Response => "response",
            Self::Action => "action",
            Self::Other => "packet",
        })
    }
}

/// One packet: a slice of the buffer that it was read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    kind: FrameKind,
    headers: Headers,
}

impl Frame {
    /// A packet with these headers, in this order. For servers and tests: a client only reads frames.
    ///
    /// # Errors
    /// No header at all, a name that is empty or has a colon, a CR or LF anywhere.
    pub fn build(headers: &[(&str, &str)]) -> Result<Self, FrameError> {
        let mut block = BytesMut::new();
        for (name, value) in headers {
            let line = format!("{name}: {value}");
            if name.is_empty() || name.contains(':') || line.contains(['\r', '\n']) {
                return Err(FrameError::Header {
                    line: excerpt(line.as_bytes()),
                });
            }
            block.put_slice(line.as_bytes());
            block.put_slice(b"\r\n");
        }
        if block.is_empty() {
            return Err(FrameError::Header {
                line: String::new(),
            });
        }
        Ok(Self::packet(block.freeze()))
    }

    /// The greeting of this version of the interface, such as `11.0.0` (Asterisk 22). For servers and tests.
    ///
    /// # Errors
    /// A version that is empty or isn't made of digits and points.
    pub fn greeting(version: &str) -> Result<Self, FrameError> {
        let line = format!("{}{version}", String::from_utf8_lossy(PRODUCT));
        if read_greeting(line.as_bytes()).is_none() {
            return Err(FrameError::Greeting {
                line: excerpt(line.as_bytes()),
            });
        }
        Ok(Self {
            kind: FrameKind::Greeting,
            headers: Headers::new(line + "\r\n"),
        })
    }

    fn packet(block: Bytes) -> Self {
        let headers = Headers::new(block);
        let kind = headers
            .raw_iter()
            .find_map(|(name, _)| {
                if name.eq_ignore_ascii_case(b"Event") {
                    Some(FrameKind::Event)
                } else if name.eq_ignore_ascii_case(b"Response") {
                    Some(FrameKind::Response)
                } else if name.eq_ignore_ascii_case(b"Action") {
                    Some(FrameKind::Action)
                } else {
                    None
                }
            })
            .unwrap_or(FrameKind::Other);
        Self { kind, headers }
    }

    /// What it is.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// The version that a greeting says; `None` if it is none.
    pub fn version(&self) -> Option<&str> {
        match self.kind {
            FrameKind::Greeting => read_greeting(self.headers.block().trim_ascii_end()),
            _ => None,
        }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first header of this name, see [`Headers::get`].
    pub fn get(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.headers.get(name)
    }

    /// The same as an event; itself if it is none.
    ///
    /// # Errors
    /// The frame, if it is something else.
    pub fn into_event(self) -> Result<Event, Self> {
        match self.kind {
            FrameKind::Event => Ok(Event::new(self.headers)),
            _ => Err(self),
        }
    }

    /// The same as an answer.
    ///
    /// # Errors
    /// The frame, if it is something else.
    pub fn into_reply(self) -> Result<Reply, Self> {
        match self.kind {
            FrameKind::Response => Ok(Reply::new(self.headers)),
            _ => Err(self),
        }
    }
}

/// Why bytes are no frame. The stream is of no further use after any of these.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The first line isn't Asterisk's.
    #[error("no greeting of a manager interface: {line:?}")]
    Greeting {
        /// The beginning of the line.
        line: String,
    },
    /// A line that can't be made: see [`Frame::build`].
    #[error("no header: {line:?}")]
    Header {
        /// The beginning of the line.
        line: String,
    },
    /// A line of more octets than the reader's limit.
    #[error("a line of more than {limit} octets")]
    LongLine {
        /// The limit in octets.
        limit: usize,
    },
    /// A packet of more octets than the reader's limit.
    #[error("a packet of more than {limit} octets")]
    TooLarge {
        /// The limit in octets.
        limit: usize,
    },
    /// A packet of more lines than the reader's limit.
    #[error("a packet of more than {limit} lines")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The stream ended inside a packet: Asterisk does so to a client that doesn't read.
    #[error("the stream ended inside a packet, after {got} octets of it")]
    Cut {
        /// Octets of the unfinished packet.
        got: usize,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes frames out of a stream, and puts them into one.
#[derive(Debug, Clone)]
pub struct FrameCodec {
    limits: Limits,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing was read yet, and a greeting must come.
    Greeting,
    /// Looking for the empty line.
    Packet(Progress),
}

/// How far a packet was looked at. All places are in octets from its beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Where no line ends before.
    searched: usize,
    /// Where the unfinished line begins.
    line: usize,
    /// The finished lines.
    headers: usize,
}

impl FrameCodec {
    /// For a client: a greeting, and then packets.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Greeting,
        }
    }

    /// For a server, and for streams whose greeting was read: packets only.
    pub fn without_greeting(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Packet(Progress::default()),
        }
    }

    /// Which limit is passed if the packet's unfinished line goes as far as `end`: the one that is passed first, so that it
    /// doesn't matter in which pieces the packet came.
    fn check(&self, line: usize, end: usize) -> Result<(), FrameError> {
        let of_line = line.saturating_add(self.limits.line);
        if end <= of_line.min(self.limits.packet) {
            Ok(())
        } else if of_line <= self.limits.packet {
            Err(FrameError::LongLine {
                limit: self.limits.line,
            })
        } else {
            Err(FrameError::TooLarge {
                limit: self.limits.packet,
            })
        }
    }

    fn greeting(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        // Long enough for any version, and short enough to notice a wrong port. Not refused before its line is there, so that an
        // error can show it.
        const LIMIT: usize = 80;
        let shown = src.len().min(LIMIT);
        let end = match memchr(b'\n', &src[..shown]) {
            Some(at) => at + 1,
            None if shown < LIMIT => {
                src.reserve(READ_AHEAD);
                return Ok(None);
            }
            None => LIMIT,
        };
        let line = src.split_to(end).freeze();
        let version = line.strip_suffix(b"\r\n").and_then(read_greeting);
        if version.is_none() {
            return Err(FrameError::Greeting {
                line: excerpt(line.trim_ascii_end()),
            });
        }
        self.state = State::Packet(Progress::default());
        Ok(Some(Frame {
            kind: FrameKind::Greeting,
            headers: Headers::new(line),
        }))
    }

    fn next_packet(
        &mut self,
        src: &mut BytesMut,
        mut at: Progress,
    ) -> Result<Option<Frame>, FrameError> {
        while let Some(found) = memchr(b'\n', &src[at.searched..]) {
            let end = at.searched + found + 1;
            at.searched = end;
            // A lone line feed is part of a value.
            if end < at.line + 2 || src[end - 2] != b'\r' {
                continue;
            }
            if end - at.line > 2 {
                self.check(at.line, end)?;
                at.headers += 1;
                if at.headers > self.limits.headers {
                    return Err(FrameError::TooMany {
                        limit: self.limits.headers,
                    });
                }
                at.line = end;
            } else if at.line == 0 {
                let _blank = src.split_to(end);
                at = Progress::default();
            } else {
                self.check(at.line, end)?;
                let block = src.split_to(at.line).freeze();
                let _blank = src.split_to(2);
                self.state = State::Packet(Progress::default());
                return Ok(Some(Frame::packet(block)));
            }
        }
        self.check(at.line, src.len())?;
        at.searched = src.len();
        self.state = State::Packet(at);
        src.reserve(READ_AHEAD);
        Ok(None)
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.state {
            State::Greeting => self.greeting(src),
            State::Packet(at) => self.next_packet(src, at),
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
        dst.put_slice(frame.headers.block());
        if frame.kind != FrameKind::Greeting {
            dst.put_slice(b"\r\n");
        }
        Ok(())
    }
}

/// The version in a greeting's line.
fn read_greeting(line: &[u8]) -> Option<&str> {
    let parsed: IResult<&[u8], &[u8]> = preceded(
        tag(PRODUCT),
        take_till1(|octet: u8| !octet.is_ascii_digit() && octet != b'.'),
    )
    .parse(line);
    match parsed {
        Ok(([], version)) => std::str::from_utf8(version).ok(),
        _ => None,
    }
}

/// One header line, without its CRLF: name and value.
fn header(line: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    separated_pair(
        take_till1(|octet| octet == b':'),
        (tag(&b":"[..]), opt(tag(&b" "[..]))),
        rest,
    )
    .parse(line)
}

/// The headers of a block of lines; what is no header is passed over.
pub(crate) fn headers(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = block;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 2..).unwrap_or_default();
            if let Ok((_, found)) = header(line) {
                return Some(found);
            }
        }
        None
    })
}

/// The beginning of something foreign, for an error's text.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

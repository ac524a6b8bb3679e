//! The two links to a switch.
//!
//! ```text
//! 1 connect  --TCP-->  2 auth/request  --auth-->  3 command/reply  --> command link: ready
//!                          |                          |--event plain--> 4 command/reply --> event link: ready
//!                          text/rude-rejection        -ERR invalid
//! ```
//!
//! The command link has one command in flight, because an answer doesn't say what it answers: after a time-out nobody could
//! tell a late answer from the next one, so the link is dropped and the outcome is *unknown*.
//!
//! The event link only reads. The switch keeps 100,000 events for a slow reader, and then ends the link
//! (mod_event_socket.c, MAX_QUEUE_LEN): whoever owns it has to call [`EventLink::next`] all the time.

mod command_link;
mod event_link;

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

pub use command_link::{ApiReply, CommandError, CommandLink, Unsent};
pub use event_link::{EventLink, Subscription};

use crate::command::{Command, CommandCodecError, EncodeError};
use crate::frame::{ContentType, DEFAULT_MAX_FRAME, Frame};
use crate::link::{Link, LinkError};
use crate::secret::Secret;

/// Time-outs and limits of a link.
#[derive(Debug, Clone)]
pub struct Options {
    /// For the TCP connection; 5 s by default.
    pub connect_timeout: Duration,
    /// For each step of authentication and subscription; 5 s by default. (The switch itself gives up after 25 s.)
    pub auth_timeout: Duration,
    /// For the answer to a command, and for the turn to send it; 5 s by default.
    pub reply_timeout: Duration,
    /// The longest frame in octets; 16 MiB by default.
    pub max_frame: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            auth_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(5),
            max_frame: DEFAULT_MAX_FRAME,
        }
    }
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection: refused, unreachable, or no such name.
    #[error("can't connect")]
    Tcp(#[source] io::Error),
    /// No TCP connection in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The access list of event_socket.conf (`apply-inbound-acl`) refuses our address.
    #[error("the switch's access list refuses us: {text}")]
    AclDenied {
        /// What it said.
        text: String,
    },
    /// Wrong password.
    #[error("the switch refuses the password: {text}")]
    AuthRefused {
        /// What it said.
        text: String,
    },
    /// The subscription was refused (`esl-allowed-events`, or no such event).
    #[error("the switch refuses the subscription: {text}")]
    SubscriptionRefused {
        /// What it said.
        text: String,
    },
    /// The password or subscription can't be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The connection broke, fell silent, or isn't an event socket.
    #[error("no event socket conversation")]
    Link(#[source] LinkError),
}

impl From<CommandCodecError> for ConnectError {
    fn from(error: CommandCodecError) -> Self {
        match error {
            CommandCodecError::Encode(error) => Self::Encode(error),
            CommandCodecError::Frame(error) => Self::Link(error.into()),
        }
    }
}

impl From<LinkError> for ConnectError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

/// States 1 to 3 of the diagram.
async fn authenticate(
    addr: impl ToSocketAddrs,
    password: &Secret,
    options: &Options,
) -> Result<Link, ConnectError> {
    let stream = timeout(options.connect_timeout, TcpStream::connect(addr))
        .await
        .map_err(|_| ConnectError::Timeout(options.connect_timeout))?
        .map_err(ConnectError::Tcp)?;
    // Commands are small and each waits for its answer: there is nothing to be gained from collecting them.
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let mut link = Link::new(stream, options.max_frame);

    let hello = link.next_within(options.auth_timeout).await?;
    match hello.content_type() {
        ContentType::AuthRequest => {}
        ContentType::RudeRejection => {
            return Err(ConnectError::AclDenied {
                text: String::from_utf8_lossy(hello.body()).trim_end().to_owned(),
            });
        }
        other => return Err(LinkError::Unexpected(other.clone()).into()),
    }
    let text = ask(&mut link, &Command::Auth(password.clone()), options).await?;
    if !is_ok(&text) {
        return Err(ConnectError::AuthRefused { text });
    }
    Ok(link)
}

/// Sends a command whose answer is a `command/reply`, and gives its text.
async fn ask(
    link: &mut Link,
    command: &Command,
    options: &Options,
) -> Result<String, ConnectError> {
    timeout(options.auth_timeout, link.send(command))
        .await
        .map_err(|_| LinkError::Timeout(options.auth_timeout))??;
    let reply = link.next_within(options.auth_timeout).await?;
    match reply.content_type() {
        ContentType::CommandReply => Ok(reply_text(&reply)),
        other => Err(LinkError::Unexpected(other.clone()).into()),
    }
}

fn reply_text(frame: &Frame) -> String {
    frame.reply_text().unwrap_or_default().into_owned()
}

fn is_ok(text: &str) -> bool {
    text.starts_with("+OK")
}

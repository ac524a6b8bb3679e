//! The outbound socket server: the dialplan's `socket` application connects to us, one connection for each channel.
//!
//! ```text
//! 1 accepted --connect--> 2 waiting for the channel's data --command/reply--> 3 session
//!     | no room               | deadline, junk, too large, no UUID
//!     closed                  closed
//! ```
//!
//! `connect` goes out first, as the switch waits for it (25 s, and with a channel that hears nothing). Whoever doesn't answer
//! within the deadline is closed; so is, at once, whoever comes when there is no room, because a connection that isn't served
//! parks the channel. The sessions that were handed out count until they are dropped.
//!
//! What a client says about a channel is *not believed* by anybody: it may be anyone on the network. The UUID has to be
//! looked up on the command link.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::command::{Command, CommandCodecError, EncodeError};
use crate::event::Event;
use crate::frame::{ContentType, Frame, FrameError};
use crate::link::{Link, LinkError};
use crate::word::{Uuid36, WordError};

/// Events that are kept while the answer to a command is waited for. A channel's own thread sends a handful.
const KEPT_EVENTS: usize = 1024;

/// Limits of the server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// From the connection to the channel's data; 2 s by default.
    pub deadline: Duration,
    /// Connections at a time, sessions included; 1024 by default.
    pub max_connections: usize,
    /// The longest frame in octets; 1 MiB by default (a channel's data is some 10 kB).
    pub max_frame: usize,
    /// For the answer to a command of a session; 5 s by default.
    pub reply_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            max_connections: 1024,
            max_frame: 1024 * 1024,
            reply_timeout: Duration::from_secs(5),
        }
    }
}

/// Why a connection did not become a session.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// As many connections as are allowed.
    #[error("no room")]
    NoRoom,
    /// The channel's data didn't come in time.
    #[error("no channel data within {0:?}")]
    Deadline(Duration),
    /// The channel's data has no `Unique-ID`.
    #[error("channel data without Unique-ID")]
    NoUuid,
    /// Its `Unique-ID` is none.
    #[error("channel data with a Unique-ID that is none")]
    Uuid(#[from] WordError),
    /// The connection broke, or isn't an event socket.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Listens for channels.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    options: ServerOptions,
    room: Arc<Semaphore>,
    handshakes: JoinSet<(SocketAddr, Result<Session, HandshakeError>)>,
}

impl Server {
    /// Listens on `addr`.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn bind(addr: impl ToSocketAddrs, options: ServerOptions) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(addr).await?,
            room: Arc::new(Semaphore::new(options.max_connections)),
            options,
            handshakes: JoinSet::new(),
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The socket can't tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection that became a session or failed to, with the peer's address. A slow one holds up no other. To be
    /// called all the time; may be dropped at any time without losing one.
    ///
    /// # Errors
    /// Accepting failed (no file descriptors left); it may be called again, after a pause.
    pub async fn accept(&mut self) -> io::Result<(SocketAddr, Result<Session, HandshakeError>)> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, peer) = accepted?;
                    let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
                        drop(stream);
                        return Ok((peer, Err(HandshakeError::NoRoom)));
                    };
                    let options = self.options.clone();
                    self.handshakes.spawn(async move { (peer, handshake(stream, permit, options).await) });
                }
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(done) => return Ok(done),
                    // A handshake that panicked took its connection with it.
                    Err(error) => tracing::error!(%error, "handshake of an outbound socket failed"),
                },
            }
        }
    }
}

async fn handshake(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    options: ServerOptions,
) -> Result<Session, HandshakeError> {
    stream
        .set_nodelay(true)
        .map_err(|error| LinkError::from(FrameError::Io(error)))?;
    let mut link = Link::new(stream, options.max_frame);
    let talk = async {
        link.send(&Command::Connect)
            .await
            .map_err(|error| match error {
                CommandCodecError::Frame(error) => LinkError::from(error),
                // `connect` is a constant of ours.
                CommandCodecError::Encode(_) => LinkError::Closed,
            })?;
        link.next().await
    };
    let frame = timeout(options.deadline, talk)
        .await
        .map_err(|_| HandshakeError::Deadline(options.deadline))??;
    if *frame.content_type() != ContentType::CommandReply {
        return Err(LinkError::Unexpected(frame.content_type().clone()).into());
    }
    let channel = Event::new(frame.into_head()).detach();
    let uuid = Uuid36::new(channel.unique_id().ok_or(HandshakeError::NoUuid)?)?;
    Ok(Session {
        link,
        channel,
        uuid,
        kept: VecDeque::new(),
        answer_due: false,
        reply_timeout: options.reply_timeout,
        _permit: permit,
    })
}

/// One channel that runs our `socket` application. Closed when it is dropped: the channel then goes on with its next
/// dialplan action (an async socket: stays parked).
#[derive(Debug)]
pub struct Session {
    link: Link,
    channel: Event,
    uuid: Uuid36,
    kept: VecDeque<Event>,
    /// An answer is due. Still set if the one who waited for it has stopped waiting: then nobody can tell whose the next is.
    answer_due: bool,
    reply_timeout: Duration,
    _permit: OwnedSemaphorePermit,
}

/// What became of a session's command.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The switch has refused it; nothing happened. The session goes on.
    #[error("refused: {text}")]
    Refused {
        /// What it said.
        text: String,
    },
    /// It can't be written as a command; nothing was sent. The session goes on.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An earlier command's outcome is unknown, so this one was not sent.
    #[error("not sent: an earlier command's outcome is unknown")]
    OutOfStep,
    /// Whether it was done is not known, and the session is of no further use.
    #[error("outcome unknown")]
    Unknown(#[source] LinkError),
}

impl Session {
    /// The channel, as its client says.
    pub fn uuid(&self) -> &Uuid36 {
        &self.uuid
    }

    /// The channel's data, as its client says.
    pub fn channel(&self) -> &Event {
        &self.channel
    }

    /// Sends a command and waits for its answer; events that come meanwhile are kept for [`next_event`](Self::next_event).
    /// If it is dropped before it is done, or has timed out, no further command is sent.
    ///
    /// # Errors
    /// Refused, not sent, or outcome unknown.
    pub async fn command(&mut self, command: &Command) -> Result<Frame, SessionError> {
        if self.answer_due {
            return Err(SessionError::OutOfStep);
        }
        self.answer_due = true;
        let limit = self.reply_timeout;
        let done = match timeout(limit, self.exchange(command)).await {
            Ok(done) => done,
            Err(_) => Err(SessionError::Unknown(LinkError::Timeout(limit))),
        };
        self.answer_due = matches!(done, Err(SessionError::Unknown(_)));
        done
    }

    async fn exchange(&mut self, command: &Command) -> Result<Frame, SessionError> {
        match self.link.send(command).await {
            Ok(()) => {}
            Err(CommandCodecError::Encode(error)) => return Err(error.into()),
            Err(CommandCodecError::Frame(error)) => {
                return Err(SessionError::Unknown(error.into()));
            }
        }
        loop {
            let frame = self.link.next().await.map_err(SessionError::Unknown)?;
            match frame.content_type() {
                ContentType::CommandReply => {
                    let text = frame.reply_text().unwrap_or_default();
                    if text.starts_with("-ERR") {
                        return Err(SessionError::Refused {
                            text: text.into_owned(),
                        });
                    }
                    return Ok(frame);
                }
                ContentType::ApiResponse => return Ok(frame),
                ContentType::EventPlain => {
                    if self.kept.len() >= KEPT_EVENTS {
                        return Err(SessionError::Unknown(LinkError::Flooded(KEPT_EVENTS)));
                    }
                    self.kept.push_back(Event::new(frame.into_body()).detach());
                }
                ContentType::DisconnectNotice => {}
                other => {
                    return Err(SessionError::Unknown(LinkError::Unexpected(other.clone())));
                }
            }
        }
    }

    /// The next event of the session, once [`Command::MyEvents`] was sent. May be dropped at any time.
    ///
    /// # Errors
    /// The session is of no further use.
    pub async fn next_event(&mut self) -> Result<Event, LinkError> {
        if let Some(event) = self.kept.pop_front() {
            return Ok(event);
        }
        loop {
            let frame = self.link.next().await?;
            match frame.content_type() {
                ContentType::EventPlain => {
                    return Ok(Event::new(frame.into_body()));
                }
                ContentType::DisconnectNotice => {}
                other => return Err(LinkError::Unexpected(other.clone())),
            }
        }
    }
}

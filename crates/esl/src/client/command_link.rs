//! The link for commands: one in flight.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::net::ToSocketAddrs;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{ConnectError, Options, authenticate, reply_text};
use crate::command::{Api, Command, CommandCodecError, EncodeError, Message};
use crate::event::{Event, EventName};
use crate::frame::ContentType;
use crate::link::{Link, LinkError};
use crate::secret::Secret;
use crate::word::{AppArg, Uuid36, VarValue, Word};

/// The link for commands. Callers may share it; they take turns.
///
/// Once any command's outcome is unknown the link is down for good, and whoever owns it makes a new one.
#[derive(Debug)]
pub struct CommandLink {
    /// `None` once the link is down. A command takes the link out and puts it back when its answer is there, so a caller who
    /// stops waiting takes the link with him, instead of leaving his answer to the next one.
    link: Mutex<Option<Link>>,
    reply_timeout: Duration,
}

/// What became of a command that has no result to give.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The switch has refused it; nothing happened.
    #[error("{command} refused: {text}")]
    Refused {
        /// The command's word.
        command: &'static str,
        /// What the switch said (`-ERR ...` or `-USAGE: ...`).
        text: String,
    },
    /// It was not sent; nothing happened.
    #[error("{command} not sent")]
    Unsent {
        /// The command's word.
        command: &'static str,
        /// Why.
        #[source]
        source: Unsent,
    },
    /// It was sent, and whether it was done is not known. The link is down.
    #[error("outcome of {command} unknown")]
    Unknown {
        /// The command's word.
        command: &'static str,
        /// What happened to the link.
        #[source]
        source: LinkError,
    },
}

/// Why a command was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// The link was down before.
    #[error("the link is down")]
    Down,
    /// The link turned out to be dead before anything was written.
    #[error("the link is down")]
    Dead(#[source] LinkError),
    /// Others had the link for too long.
    #[error("no turn within {0:?}")]
    Busy(Duration),
    /// It can't be written as a command.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What an `api` command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiReply {
    body: Bytes,
}

impl ApiReply {
    /// The text without line feeds at its end; empty if the command printed nothing. Octets that are no UTF-8 become U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body.trim_ascii_end())
    }

    /// The bytes as they came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What `uuid_dump` printed, as the event that it is.
    pub fn into_event(self) -> Event {
        Event::new(self.body)
    }
}

impl CommandLink {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// Which step failed, see [`ConnectError`].
    pub async fn connect(
        addr: impl ToSocketAddrs,
        password: &Secret,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let link = authenticate(addr, password, options).await?;
        Ok(Self {
            link: Mutex::new(Some(link)),
            reply_timeout: options.reply_timeout,
        })
    }

    /// Runs an `api` command. Dropping the future after the command was sent takes the link down.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn api(&self, api: &Api) -> Result<ApiReply, CommandError> {
        let name = api.name();
        let frame = self.run(name, &Command::Api(api.clone())).await?;
        match frame.content_type() {
            ContentType::ApiResponse => {
                let body = frame.into_body();
                // What mod_event_socket says in place of an empty answer.
                if &body[..] == b"-ERR no reply\n" {
                    return Ok(ApiReply { body: Bytes::new() });
                }
                if body.starts_with(b"-ERR") || body.starts_with(b"-USAGE") {
                    return Err(CommandError::Refused {
                        command: name,
                        text: String::from_utf8_lossy(body.trim_ascii_end()).into_owned(),
                    });
                }
                Ok(ApiReply { body })
            }
            // Only a command that isn't allowed is answered so (esl-allowed-api).
            _ => Err(CommandError::Refused {
                command: name,
                text: reply_text(&frame),
            }),
        }
    }

    /// Starts an `api` command in a thread of the switch. Its result comes as a BACKGROUND_JOB event to whoever has subscribed.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn bgapi(&self, api: &Api, job: &Uuid36) -> Result<(), CommandError> {
        let command = Command::BgApi {
            api: api.clone(),
            job: job.clone(),
        };
        self.done(api.name(), &command).await
    }

    /// Has a channel's own thread run a dialplan application, in a bridge too. The answer says that it will.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn execute(&self, uuid: &Uuid36, app: Word, arg: AppArg) -> Result<(), CommandError> {
        let command = Command::SendMsg {
            uuid: Some(uuid.clone()),
            message: Message::Execute {
                app,
                arg,
                event_lock: false,
            },
        };
        self.done("sendmsg", &command).await
    }

    /// Has the switch send an event, as if one of its modules had made it.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn send_event(
        &self,
        name: EventName,
        headers: Vec<(&'static str, VarValue)>,
    ) -> Result<(), CommandError> {
        self.done("sendevent", &Command::SendEvent { name, headers })
            .await
    }

    async fn done(&self, name: &'static str, command: &Command) -> Result<(), CommandError> {
        let frame = self.run(name, command).await?;
        let text = reply_text(&frame);
        if super::is_ok(&text) {
            Ok(())
        } else {
            Err(CommandError::Refused {
                command: name,
                text,
            })
        }
    }

    /// Whether the link was up when it was last used.
    pub async fn is_up(&self) -> bool {
        self.link.lock().await.is_some()
    }

    async fn run(
        &self,
        name: &'static str,
        command: &Command,
    ) -> Result<crate::frame::Frame, CommandError> {
        let unsent = |source| CommandError::Unsent {
            command: name,
            source,
        };
        let unknown = |source| CommandError::Unknown {
            command: name,
            source,
        };
        let mut turn = timeout(self.reply_timeout, self.link.lock())
            .await
            .map_err(|_| unsent(Unsent::Busy(self.reply_timeout)))?;
        let mut link = turn.take().ok_or_else(|| unsent(Unsent::Down))?;

        // Between commands nothing comes. What is there is the end of the link, or it is out of step.
        if let Some(found) = link.next().now_or_never() {
            let error = match found {
                Ok(frame) => LinkError::Unexpected(frame.content_type().clone()),
                Err(error) => error,
            };
            return Err(unsent(Unsent::Dead(error)));
        }
        let answer = async {
            match link.send(command).await {
                Ok(()) => {}
                Err(CommandCodecError::Encode(error)) => return Err(unsent(error.into())),
                Err(CommandCodecError::Frame(error)) => return Err(unknown(error.into())),
            }
            link.next().await.map_err(unknown)
        };
        let answer = match timeout(self.reply_timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(unknown(LinkError::Timeout(self.reply_timeout))),
        };
        match answer {
            Ok(frame) => match frame.content_type() {
                ContentType::ApiResponse | ContentType::CommandReply => {
                    *turn = Some(link);
                    Ok(frame)
                }
                other => Err(unknown(LinkError::Unexpected(other.clone()))),
            },
            // Nothing was written, so the link is still in step.
            Err(error @ CommandError::Unsent { .. }) => {
                *turn = Some(link);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

//! What can be asked of the switch, and the one encoder that makes bytes of it.
//!
//! ```text
//! command = line LF *(header LF) LF [body]        (read_packet, mod_event_socket.c)
//! header  = name ":" SP value
//! ```
//!
//! Two walls stand between a text from outside and the switch: the argument types of [`crate::word`] refuse what is not on
//! their list, and the encoder refuses CR, LF and NUL in whatever it is given, because a line feed would begin a second
//! command.

mod api;

use bytes::{BufMut, BytesMut};
use tokio_util::codec::Encoder;

pub use api::{Api, Leg, Then, TransferTo};

use crate::event::EventName;
use crate::frame::{FrameCodec, FrameError};
use crate::secret::Secret;
use crate::word::{AppArg, Subclass, Uuid36, VarValue, Word};

/// Everything that we say on an event socket. `Debug` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `auth`: the first command of a link.
    Auth(Secret),
    /// `api`: runs at once and blocks the link, events included, until it is done.
    Api(Api),
    /// `bgapi`: runs in a thread of its own; the result comes as a BACKGROUND_JOB event with this `Job-UUID`. The job outlives
    /// the link.
    BgApi {
        /// What to run.
        api: Api,
        /// Ours to choose, so that the result can be told apart before it comes.
        job: Uuid36,
    },
    /// `event plain`: subscribe, in addition to what was subscribed before.
    EventPlain {
        /// Names of events.
        names: Vec<EventName>,
        /// Subclasses of CUSTOM events.
        custom: Vec<Subclass>,
    },
    /// `nixevent`: unsubscribe.
    NixEvent {
        /// Names of events.
        names: Vec<EventName>,
        /// Subclasses of CUSTOM events.
        custom: Vec<Subclass>,
    },
    /// `exit`: the switch says goodbye and closes.
    Exit,
    /// `connect`: the first command of a session on the outbound socket; the answer is the channel's data.
    Connect,
    /// `myevents plain`: the events of the session's own channel.
    MyEvents,
    /// `linger`: keep the session's connection for so many seconds after the channel is gone, for its last events.
    Linger {
        /// Seconds.
        seconds: u16,
    },
    /// `sendevent`: an event, as if a module of the switch had made it.
    SendEvent {
        /// Its name.
        name: EventName,
        /// Its headers.
        headers: Vec<(&'static str, VarValue)>,
    },
    /// `sendmsg`: a message to a channel's own thread.
    SendMsg {
        /// The channel; `None` for the session's own.
        uuid: Option<Uuid36>,
        /// What it is told.
        message: Message,
    },
}

/// What `sendmsg` tells a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `execute`: run a dialplan application.
    Execute {
        /// The application.
        app: Word,
        /// Its argument.
        arg: AppArg,
        /// `event-lock`: not before the applications sent earlier have ended.
        event_lock: bool,
    },
    /// `hangup`.
    Hangup {
        /// Q.850 cause as the switch names it (`NORMAL_CLEARING`).
        cause: Word,
    },
}

/// Why a command was not made. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A character that would end the line, and so begin another command.
    #[error("{what} holds {character:?}")]
    Character {
        /// The part of the command. The text itself isn't shown: it may be a password.
        what: &'static str,
        /// CR, LF or NUL.
        character: char,
    },
    /// A subscription to nothing.
    #[error("a subscription to no event")]
    NoEvents,
    /// No variable to set.
    #[error("no variable to set")]
    NoVariables,
    /// Not the name of an event.
    #[error("no name of an event: {0:?}")]
    EventName(String),
}

impl Command {
    /// Appends the command's bytes to `dst`; on an error `dst` is as it was.
    ///
    /// # Errors
    /// CR, LF or NUL in any part, or a subscription to nothing or to what can't be a name.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let begin = dst.len();
        let mut writer = Writer { dst };
        let written = self.write(&mut writer);
        if written.is_err() {
            dst.truncate(begin);
        }
        written
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Auth(secret) => {
                out.text("auth ");
                out.part("the password", secret.expose())?;
            }
            Self::Api(api) => {
                out.text("api ");
                api.write(out)?;
            }
            Self::BgApi { api, job } => {
                out.text("bgapi ");
                api.write(out)?;
                out.header("Job-UUID", job.as_str())?;
            }
            Self::EventPlain { names, custom } => {
                out.text("event plain");
                out.events(names, custom)?;
            }
            Self::NixEvent { names, custom } => {
                out.text("nixevent");
                out.events(names, custom)?;
            }
            Self::Exit => out.text("exit"),
            Self::Connect => out.text("connect"),
            Self::MyEvents => out.text("myevents plain"),
            Self::Linger { seconds } => {
                out.text("linger ");
                out.text(&seconds.to_string());
            }
            Self::SendEvent { name, headers } => {
                out.text("sendevent");
                out.events(std::slice::from_ref(name), &[])?;
                for (name, value) in headers {
                    out.header(name, value.as_str())?;
                }
            }
            Self::SendMsg { uuid, message } => {
                out.text("sendmsg");
                if let Some(uuid) = uuid {
                    out.text(" ");
                    out.part("uuid", uuid.as_str())?;
                }
                return message.write(out);
            }
        }
        out.text("\n\n");
        Ok(())
    }
}

impl Message {
    fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Execute {
                app,
                arg,
                event_lock,
            } => {
                out.header("call-command", "execute")?;
                out.header("execute-app-name", app.as_str())?;
                if *event_lock {
                    out.header("event-lock", "true")?;
                }
                // As a body the argument needs no quoting and isn't cut at anything.
                if !arg.as_str().is_empty() {
                    out.header("content-type", "text/plain")?;
                    out.header("content-length", &arg.as_str().len().to_string())?;
                }
                out.text("\n\n");
                out.part("argument", arg.as_str())
            }
            Self::Hangup { cause } => {
                out.header("call-command", "hangup")?;
                out.header("hangup-cause", cause.as_str())?;
                out.text("\n\n");
                Ok(())
            }
        }
    }
}

impl Encoder<&Command> for FrameCodec {
    type Error = CommandCodecError;

    fn encode(&mut self, command: &Command, dst: &mut BytesMut) -> Result<(), CommandCodecError> {
        Ok(command.encode(dst)?)
    }
}

/// Why a command did not get on to its stream.
#[derive(Debug, thiserror::Error)]
pub enum CommandCodecError {
    /// It can't be written as a command.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The stream failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl From<std::io::Error> for CommandCodecError {
    fn from(error: std::io::Error) -> Self {
        Self::Frame(FrameError::Io(error))
    }
}

/// The only way for text into a command.
pub(crate) struct Writer<'d> {
    dst: &'d mut BytesMut,
}

impl Writer<'_> {
    /// Our own words.
    fn text(&mut self, text: &str) {
        self.dst.put_slice(text.as_bytes());
    }

    /// Whatever came from elsewhere.
    fn part(&mut self, what: &'static str, text: &str) -> Result<(), EncodeError> {
        if let Some(character) = text.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
            return Err(EncodeError::Character { what, character });
        }
        self.dst.put_slice(text.as_bytes());
        Ok(())
    }

    fn header(&mut self, name: &'static str, value: &str) -> Result<(), EncodeError> {
        self.text("\n");
        self.text(name);
        self.text(": ");
        self.part(name, value)
    }

    /// CUSTOM has to be the last name, as everything after it is read as a subclass (parse_command, mod_event_socket.c).
    fn events(&mut self, names: &[EventName], custom: &[Subclass]) -> Result<(), EncodeError> {
        if names.is_empty() && custom.is_empty() {
            return Err(EncodeError::NoEvents);
        }
        for name in names.iter().filter(|name| **name != EventName::Custom) {
            let word = name.as_str();
            if word.is_empty() || !word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') {
                return Err(EncodeError::EventName(word.to_owned()));
            }
            self.text(" ");
            self.part("name of an event", word)?;
        }
        if !custom.is_empty() || names.contains(&EventName::Custom) {
            self.text(" CUSTOM");
            for subclass in custom {
                self.text(" ");
                self.part("subclass", subclass.as_str())?;
            }
        }
        Ok(())
    }
}

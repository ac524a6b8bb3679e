//! The bytes of an action.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use md5::{Digest, Md5};

use super::{Action, Goto, MAX_HEADERS, MAX_LINE, Then};
use crate::secret::Secret;
use crate::word::{ActionId, Word};

/// Why an action was not made. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A character that would end the line, and so begin another header, or a variable, and so begin another one.
    #[error("{what} holds {character:?}")]
    Character {
        /// The header. The text itself isn't shown: it may be a secret.
        what: &'static str,
        /// CR, LF or NUL; in the variables of an `Originate` also a comma.
        character: char,
    },
    /// A line that Asterisk doesn't read.
    #[error("{what}: a line of {length} octets, and Asterisk reads {MAX_LINE}")]
    LongLine {
        /// The header.
        what: &'static str,
        /// Octets of the line.
        length: usize,
    },
    /// More lines than Asterisk reads.
    #[error("{0} headers, and Asterisk reads {MAX_HEADERS}")]
    TooMany(usize),
    /// A blank at an end of a secret, which Asterisk drops.
    #[error("{0} begins or ends with a blank, which Asterisk drops")]
    Blank(&'static str),
}

impl Action {
    /// Appends the action's bytes to `dst`; on an error `dst` is as it was.
    ///
    /// # Errors
    /// CR, LF or NUL in any part, and what is longer than Asterisk reads.
    pub fn encode(&self, id: &ActionId, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let begin = dst.len();
        let mut writer = Writer { dst, lines: 0 };
        let written = self.write(id, &mut writer);
        if written.is_err() {
            dst.truncate(begin);
        }
        written
    }

    fn write(&self, id: &ActionId, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.header("Action", self.name())?;
        out.header("ActionID", id.as_str())?;
        match self {
            Self::Challenge => out.header("AuthType", "MD5")?,
            Self::Login {
                user,
                secret,
                events,
            } => {
                out.header("Username", user.as_str())?;
                out.secret(secret)?;
                out.header("Events", &events.text())?;
            }
            Self::LoginMd5 {
                user,
                secret,
                challenge,
                events,
            } => {
                out.header("AuthType", "MD5")?;
                out.header("Username", user.as_str())?;
                out.header("Key", &key(challenge, secret))?;
                out.header("Events", &events.text())?;
            }
            Self::Logoff
            | Self::Ping
            | Self::CoreStatus
            | Self::CoreSettings
            | Self::ListCommands
            | Self::ShowDialplan
            | Self::CoreShowChannels
            | Self::PjsipShowEndpoints
            | Self::PjsipShowContacts
            | Self::PjsipShowRegistrationInboundContactStatuses => {}
            Self::ModuleCheck { module } => out.header("Module", module.as_str())?,
            Self::Events(mask) => out.header("EventMask", &mask.text())?,
            Self::Filter(filter) => {
                out.header("Operation", "Add")?;
                out.header("Filter", &filter.text())?;
            }
            Self::Status { channel, variables } => {
                out.optional("Channel", channel.as_ref().map(|channel| channel.as_str()))?;
                if !variables.is_empty() {
                    let names: Vec<_> = variables.iter().map(|variable| variable.text()).collect();
                    out.header("Variables", &names.join(","))?;
                }
            }
            Self::Getvar { channel, variable } => {
                out.optional("Channel", channel.as_ref().map(|channel| channel.as_str()))?;
                out.header("Variable", &variable.text())?;
            }
            Self::Setvar {
                channel,
                name,
                value,
            } => {
                out.optional("Channel", channel.as_ref().map(|channel| channel.as_str()))?;
                out.header("Variable", name.as_str())?;
                out.header("Value", value.as_str())?;
            }
            Self::SetDeviceState { name, state } => {
                out.header("Variable", &format!("DEVICE_STATE(Custom:{name})"))?;
                out.header("Value", state.as_str())?;
            }
            Self::Redirect { channel, to, extra } => {
                out.header("Channel", channel.as_str())?;
                out.goto(["Context", "Exten", "Priority"], to)?;
                if let Some((channel, to)) = extra {
                    out.header("ExtraChannel", channel.as_str())?;
                    out.goto(["ExtraContext", "ExtraExten", "ExtraPriority"], to)?;
                }
            }
            Self::Hangup { channel, cause } => {
                out.header("Channel", channel.as_str())?;
                out.header("Cause", &cause.number().to_string())?;
            }
            Self::Bridge {
                channel,
                other,
                tone,
            } => {
                out.header("Channel1", channel.as_str())?;
                out.header("Channel2", other.as_str())?;
                out.header("Tone", if *tone { "Channel2" } else { "no" })?;
            }
            Self::Originate {
                dial,
                channel_id,
                other_channel_id,
                then,
                timeout,
                caller,
                variables,
                early_media,
            } => {
                out.header("Channel", &dial.text())?;
                out.header("ChannelId", channel_id.as_str())?;
                let other = other_channel_id.as_ref().map(|id| id.as_str());
                out.optional("OtherChannelId", other)?;
                match then {
                    Then::Goto(to) => out.goto(["Context", "Exten", "Priority"], to)?,
                    Then::Run(application) => {
                        let (name, data) = application.words();
                        out.header("Application", name)?;
                        out.header("Data", &data)?;
                    }
                }
                out.header("Timeout", &milliseconds(*timeout))?;
                if let Some((number, name)) = caller {
                    out.header("CallerID", &format!("{name} <{number}>"))?;
                }
                out.header("EarlyMedia", bool_word(*early_media))?;
                out.header("Async", "true")?;
                for (name, value) in variables {
                    let value = value.as_str();
                    // Asterisk takes what is behind a comma for another variable (manager.c, astman_get_variables).
                    if value.contains(',') {
                        let (what, character) = ("Variable", ',');
                        return Err(EncodeError::Character { what, character });
                    }
                    out.header("Variable", &format!("{name}={value}"))?;
                }
            }
            Self::PlayDtmf {
                channel,
                digit,
                duration,
                receive,
            } => {
                out.header("Channel", channel.as_str())?;
                out.header("Digit", digit.as_str())?;
                out.optional("Duration", duration.map(milliseconds).as_deref())?;
                out.header("Receive", bool_word(*receive))?;
            }
            Self::MuteAudio {
                channel,
                direction,
                on,
            } => {
                out.header("Channel", channel.as_str())?;
                out.header("Direction", direction.as_str())?;
                out.header("State", if *on { "on" } else { "off" })?;
            }
            Self::PjsipShowEndpoint { endpoint } => out.header("Endpoint", endpoint.as_str())?,
            Self::DbPut { family, key, value } => {
                out.header("Family", family.as_str())?;
                out.header("Key", key.as_str())?;
                out.header("Val", value.as_str())?;
            }
            Self::DbGet { family, key } | Self::DbDel { family, key } => {
                out.header("Family", family.as_str())?;
                out.header("Key", key.as_str())?;
            }
            Self::DbGetTree { family } | Self::DbDelTree { family } => {
                out.header("Family", family.as_str())?;
            }
            Self::UserEvent { name, fields } => {
                out.header("UserEvent", name.as_str())?;
                for (name, value) in fields {
                    out.named("UserEvent field", name.as_str(), value.as_str())?;
                }
            }
            Self::ExtensionState { exten, context } => {
                out.header("Exten", exten.as_str())?;
                out.header("Context", context.as_str())?;
            }
            Self::Command(command) => out.header("Command", &command.text())?,
        }
        out.end()
    }
}

/// `Key` of a login: the MD5 of challenge and secret, in hexadecimal (`authenticate`, main/manager.c).
fn key(challenge: &Word, secret: &Secret) -> String {
    let mut hash = Md5::new();
    hash.update(challenge.as_str());
    hash.update(secret.expose());
    let digest = hash.finalize();
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn milliseconds(duration: Duration) -> String {
    // Asterisk reads an int.
    let limit = u128::from(i32::MAX.unsigned_abs());
    duration.as_millis().min(limit).to_string()
}

fn bool_word(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

/// The only way for text into an action.
struct Writer<'d> {
    dst: &'d mut BytesMut,
    lines: usize,
}

impl Writer<'_> {
    fn header(&mut self, name: &'static str, value: &str) -> Result<(), EncodeError> {
        self.named(name, name, value)
    }

    fn named(&mut self, what: &'static str, name: &str, value: &str) -> Result<(), EncodeError> {
        for text in [name, value] {
            if let Some(character) = text.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
                return Err(EncodeError::Character { what, character });
            }
        }
        let length = name.len() + 2 + value.len();
        if length > MAX_LINE {
            return Err(EncodeError::LongLine { what, length });
        }
        self.lines += 1;
        self.dst.put_slice(name.as_bytes());
        self.dst.put_slice(b": ");
        self.dst.put_slice(value.as_bytes());
        self.dst.put_slice(b"\r\n");
        Ok(())
    }

    fn optional(&mut self, name: &'static str, value: Option<&str>) -> Result<(), EncodeError> {
        value.map_or(Ok(()), |value| self.header(name, value))
    }

    fn secret(&mut self, secret: &Secret) -> Result<(), EncodeError> {
        let text = secret.expose();
        if text.trim() != text {
            return Err(EncodeError::Blank("Secret"));
        }
        self.header("Secret", text)
    }

    fn goto(&mut self, names: [&'static str; 3], to: &Goto) -> Result<(), EncodeError> {
        let [context, exten, priority] = names;
        self.header(context, to.context.as_str())?;
        self.header(exten, to.exten.as_str())?;
        self.header(priority, "1")
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        if self.lines > MAX_HEADERS {
            return Err(EncodeError::TooMany(self.lines));
        }
        self.dst.put_slice(b"\r\n");
        Ok(())
    }
}

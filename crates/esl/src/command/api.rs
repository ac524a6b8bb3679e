//! The `api` commands that we use. Each is one line; what it prints is the answer.

use std::net::SocketAddr;

use super::{EncodeError, Writer};
use crate::word::{
    DialString, HashKey, Number, OriginateValue, Sound, Uuid36, VarName, VarValue, Word,
};

/// One `api` command with its arguments (mod_commands.c, mod_hash.c, mod_sofia.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// `uuid_dump`: the channel's data as an event, read by [`crate::Event::new`]. Refused if there is no such channel.
    UuidDump {
        /// The channel.
        uuid: Uuid36,
    },
    /// `uuid_setvar` with a value.
    UuidSetvar {
        /// The channel.
        uuid: Uuid36,
        /// The variable.
        name: VarName,
        /// Its new value.
        value: VarValue,
    },
    /// `uuid_setvar_multi`: several variables at once.
    UuidSetvarMulti {
        /// The channel.
        uuid: Uuid36,
        /// Names and values. A value with a semicolon, which separates them, is refused.
        variables: Vec<(VarName, VarValue)>,
    },
    /// `uuid_setvar` without a value: removes the variable.
    UuidUnsetvar {
        /// The channel.
        uuid: Uuid36,
        /// The variable.
        name: VarName,
    },
    /// `uuid_exists`: prints `true` or `false`.
    UuidExists {
        /// The channel.
        uuid: Uuid36,
    },
    /// `uuid_kill`: hangs up.
    UuidKill {
        /// The channel.
        uuid: Uuid36,
        /// Q.850 cause as the switch names it (`NORMAL_CLEARING`).
        cause: Word,
    },
    /// `uuid_recv_dtmf`: the application in which the channel is gets digits as if they had been dialled. No digit action sees
    /// them.
    UuidRecvDtmf {
        /// The channel.
        uuid: Uuid36,
        /// The digits.
        digits: Number,
    },
    /// `uuid_transfer`: a channel goes on elsewhere.
    UuidTransfer {
        /// The channel.
        uuid: Uuid36,
        /// It, its partner, or both.
        leg: Leg,
        /// Where to.
        to: TransferTo,
    },
    /// `uuid_dual_transfer`: both channels of a bridge go on, each in its own place; the partner first.
    UuidDualTransfer {
        /// The channel.
        uuid: Uuid36,
        /// Where it goes.
        own: TransferTo,
        /// Where its partner goes.
        partner: TransferTo,
    },
    /// `uuid_broadcast`: plays a sound to one or both sides of a bridge.
    UuidBroadcast {
        /// The channel.
        uuid: Uuid36,
        /// What is played.
        sound: Sound,
        /// Who hears it.
        leg: Leg,
    },
    /// `uuid_break ... all`: ends what is being played, and what waits behind it.
    UuidBreak {
        /// The channel.
        uuid: Uuid36,
    },
    /// `uuid_bridge`: joins two channels. The answer comes before anything has moved.
    UuidBridge {
        /// The one that runs the bridge.
        uuid: Uuid36,
        /// The other.
        other: Uuid36,
    },
    /// `originate`: a new call. Blocks until it is answered or has failed, so it belongs into [`super::Command::BgApi`].
    Originate {
        /// Variables of the new channels. No comma can end a value early.
        variables: Vec<(VarName, OriginateValue)>,
        /// Whom to ring.
        dial: DialString,
        /// What the new channel does once it is answered.
        then: Then,
    },
    /// `show channels as json`. Comes from the switch's database, which lags behind its events (187 ms seen).
    ShowChannels,
    /// `show registrations as json`.
    ShowRegistrations,
    /// `sofia_contact */USER@DOMAIN`: dial strings of all registrations on all profiles, separated by commas;
    /// `error/user_not_registered` if there is none.
    SofiaContact {
        /// The user.
        user: Word,
        /// The domain.
        domain: Word,
    },
    /// `sofia xmlstatus`: profiles, gateways and aliases.
    SofiaStatus,
    /// `sofia xmlstatus profile NAME`: the settings of one profile.
    SofiaStatusProfile {
        /// The profile.
        name: Word,
    },
    /// `hash insert`: mod_hash, overwrites.
    HashInsert {
        /// The realm.
        realm: Word,
        /// The key.
        key: HashKey,
        /// The value.
        value: DialString,
    },
    /// `hash select`: the value; prints nothing if there is none.
    HashSelect {
        /// The realm.
        realm: Word,
        /// The key.
        key: HashKey,
    },
    /// `hash delete`: refused (`-ERR Not found`) if there is none.
    HashDelete {
        /// The realm.
        realm: Word,
        /// The key.
        key: HashKey,
    },
    /// `module_exists`: prints `true` or `false`.
    ModuleExists {
        /// The module, such as `mod_hash`.
        name: Word,
    },
    /// `user_exists id`: prints `true` or `false`.
    UserExists {
        /// The user.
        user: Word,
        /// The domain.
        domain: Word,
    },
    /// `xml_locate`: a piece of the configuration as the switch has it.
    XmlLocate {
        /// `configuration`, `directory`, `dialplan`.
        section: Word,
        /// The element.
        tag: Word,
        /// An attribute of it.
        attribute: Word,
        /// The attribute's value.
        value: Word,
    },
    /// `xml_locate` of a whole section, `dialplan` for example, as the switch has it.
    XmlSection {
        /// The section.
        section: Word,
    },
    /// `curl`: what the switch gets from `http://<address>/<path>` within a second; prints nothing if that is nothing.
    Curl {
        /// Where.
        address: SocketAddr,
        /// What.
        path: Word,
    },
    /// `global_getvar`: prints nothing if there is none.
    GlobalGetvar {
        /// The variable.
        name: VarName,
    },
    /// `status`: for people.
    Status,
    /// `version`: for people.
    Version,
}

/// Of the channel that is named, and the one that it is bridged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The channel itself.
    Own,
    /// The one that it is bridged to.
    Partner,
    /// Both.
    Both,
}

/// Where a channel goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferTo {
    /// An extension of the XML dialplan.
    Extension {
        /// What is dialled.
        number: Number,
        /// The context.
        context: Word,
    },
    /// `intercept:<far> inline`: takes over the partner's place at `far`, without a dialplan.
    Intercept {
        /// The channel to be talked to.
        far: Uuid36,
    },
}

/// What an originated channel does once it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// `&intercept(<far>)`: the call completes by itself, also if we are gone by then.
    Intercept {
        /// The channel to be talked to.
        far: Uuid36,
    },
    /// `<number> XML <context>`: it goes on in the dialplan.
    Extension {
        /// The extension.
        number: Number,
        /// Its context.
        context: Word,
    },
    /// `&park()`.
    Park,
}

impl Api {
    /// The command's word, for logs and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UuidDump { .. } => "uuid_dump",
            Self::UuidSetvar { .. } | Self::UuidUnsetvar { .. } => "uuid_setvar",
            Self::UuidSetvarMulti { .. } => "uuid_setvar_multi",
            Self::UuidRecvDtmf { .. } => "uuid_recv_dtmf",
            Self::UuidExists { .. } => "uuid_exists",
            Self::UuidKill { .. } => "uuid_kill",
            Self::UuidTransfer { .. } => "uuid_transfer",
            Self::UuidDualTransfer { .. } => "uuid_dual_transfer",
            Self::UuidBroadcast { .. } => "uuid_broadcast",
            Self::UuidBreak { .. } => "uuid_break",
            Self::UuidBridge { .. } => "uuid_bridge",
            Self::Originate { .. } => "originate",
            Self::ShowChannels | Self::ShowRegistrations => "show",
            Self::SofiaContact { .. } => "sofia_contact",
            Self::SofiaStatus | Self::SofiaStatusProfile { .. } => "sofia",
            Self::HashInsert { .. } | Self::HashSelect { .. } | Self::HashDelete { .. } => "hash",
            Self::ModuleExists { .. } => "module_exists",
            Self::UserExists { .. } => "user_exists",
            Self::XmlLocate { .. } | Self::XmlSection { .. } => "xml_locate",
            Self::Curl { .. } => "curl",
            Self::GlobalGetvar { .. } => "global_getvar",
            Self::Status => "status",
            Self::Version => "version",
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        let args: &[&str] = match self {
            Self::UuidDump { uuid } | Self::UuidExists { uuid } => &[uuid.as_str()],
            Self::UuidSetvar { uuid, name, value } => {
                &[uuid.as_str(), name.as_str(), value.as_str()]
            }
            Self::UuidUnsetvar { uuid, name } => &[uuid.as_str(), name.as_str()],
            Self::UuidSetvarMulti { uuid, variables } => {
                if variables.is_empty() {
                    return Err(EncodeError::NoVariables);
                }
                let mut pairs = Vec::with_capacity(variables.len());
                for (name, value) in variables {
                    if value.as_str().contains(';') {
                        return Err(EncodeError::Character {
                            what: "a value among several",
                            character: ';',
                        });
                    }
                    pairs.push(format!("{name}={value}"));
                }
                return out.api(self.name(), &[uuid.as_str(), &pairs.join(";")]);
            }
            Self::UuidRecvDtmf { uuid, digits } => &[uuid.as_str(), digits.as_str()],
            Self::UuidKill { uuid, cause } => &[uuid.as_str(), cause.as_str()],
            Self::UuidTransfer { uuid, leg, to } => {
                let (dest, dialplan, context) = to.words();
                let dest = dest.as_str();
                let mut args = vec![uuid.as_str()];
                match leg {
                    Leg::Own => {}
                    Leg::Partner => args.push("-bleg"),
                    Leg::Both => args.push("-both"),
                }
                args.extend([dest, dialplan]);
                args.extend(context);
                return out.api(self.name(), &args);
            }
            Self::UuidDualTransfer { uuid, own, partner } => {
                let slashed = |to: &TransferTo| {
                    let (dest, dialplan, context) = to.words();
                    match context {
                        Some(context) => format!("{dest}/{dialplan}/{context}"),
                        None => format!("{dest}/{dialplan}"),
                    }
                };
                return out.api(
                    self.name(),
                    &[uuid.as_str(), &slashed(own), &slashed(partner)],
                );
            }
            Self::UuidBroadcast { uuid, sound, leg } => {
                let leg = match leg {
                    Leg::Own => "aleg",
                    Leg::Partner => "bleg",
                    Leg::Both => "both",
                };
                &[uuid.as_str(), sound.as_str(), leg]
            }
            Self::UuidBreak { uuid } => &[uuid.as_str(), "all"],
            Self::UuidBridge { uuid, other } => &[uuid.as_str(), other.as_str()],
            Self::Originate {
                variables,
                dial,
                then,
            } => {
                let variables: Vec<String> = variables
                    .iter()
                    .map(|(name, value)| match value.as_str() {
                        spaced if spaced.contains(' ') => format!("{name}='{spaced}'"),
                        plain => format!("{name}={plain}"),
                    })
                    .collect();
                let braces = match variables.as_slice() {
                    [] => String::new(),
                    some => format!("{{{}}}", some.join(",")),
                };
                let then = match then {
                    Then::Intercept { far } => format!("&intercept({far})"),
                    Then::Extension { number, context } => format!("{number} XML {context}"),
                    Then::Park => "&park()".to_owned(),
                };
                return out.api(self.name(), &[&format!("{braces}{dial}"), &then]);
            }
            Self::ShowChannels => &["channels", "as", "json"],
            Self::ShowRegistrations => &["registrations", "as", "json"],
            Self::SofiaContact { user, domain } => {
                return out.api(self.name(), &[&format!("*/{user}@{domain}")]);
            }
            Self::SofiaStatus => &["xmlstatus"],
            Self::SofiaStatusProfile { name } => &["xmlstatus", "profile", name.as_str()],
            Self::HashInsert { realm, key, value } => {
                let separator = hash_separator(value);
                let argument =
                    ["insert", realm.as_str(), key.as_str(), value.as_str()].join(separator);
                return out.api(self.name(), &[&format!("^^{separator}{argument}")]);
            }
            Self::HashSelect { realm, key } => {
                return out.api(self.name(), &[&format!("select/{realm}/{key}")]);
            }
            Self::HashDelete { realm, key } => {
                return out.api(self.name(), &[&format!("delete/{realm}/{key}")]);
            }
            Self::ModuleExists { name } => &[name.as_str()],
            Self::UserExists { user, domain } => &["id", user.as_str(), domain.as_str()],
            Self::XmlLocate {
                section,
                tag,
                attribute,
                value,
            } => &[
                section.as_str(),
                tag.as_str(),
                attribute.as_str(),
                value.as_str(),
            ],
            Self::XmlSection { section } => &[section.as_str()],
            Self::Curl { address, path } => {
                let url = format!("http://{address}/{path}");
                return out.api(self.name(), &[&url, "connect-timeout 1 timeout 1"]);
            }
            Self::GlobalGetvar { name } => &[name.as_str()],
            Self::Status | Self::Version => &[],
        };
        out.api(self.name(), args)
    }
}

impl TransferTo {
    /// Destination, dialplan and context, the words of `uuid_transfer`.
    fn words(&self) -> (String, &'static str, Option<&str>) {
        match self {
            Self::Extension { number, context } => {
                (number.to_string(), "XML", Some(context.as_str()))
            }
            Self::Intercept { far } => (format!("intercept:{far}"), "inline", None),
        }
    }
}

/// Dial strings have slashes, the usual separator of mod_hash; `^^X` makes it X. The characters offered stand in neither a realm
/// nor a key, and the last can't stand in a dial string.
fn hash_separator(value: &DialString) -> &'static str {
    if value.as_str().contains('~') {
        "^"
    } else {
        "~"
    }
}

impl Writer<'_> {
    fn api(&mut self, name: &'static str, args: &[&str]) -> Result<(), EncodeError> {
        self.text(name);
        for arg in args {
            self.text(" ");
            self.part(name, arg)?;
        }
        Ok(())
    }
}

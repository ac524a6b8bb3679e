//! Names of things, parsed once.
//!
//! Owns the whitelists: whatever carries one of these types has been checked and may go into a command of a switch, a
//! query or a log line. Refuses; never escapes.
//!
//! ```text
//! number  = 1*20( DIGIT / "*" / "#" / "+" / ALPHA / "." / "_" / "-" )   device and extension numbers
//! domain  = 1*253( ALPHA / DIGIT / "." / "-" / "_" )                    compared in lower case (RFC 3261, 19.1.4)
//! channel = 1*64( ALPHA / DIGIT / "-" / "/" / "." / "_" / "@" / ";" )   a FreeSWITCH UUID, an Asterisk channel name
//! switch  = 1*32( ALPHA / DIGIT / "-" / "_" )
//! ```

use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There was nothing.
    #[error("{what} is empty")]
    Empty {
        /// Which kind of name was expected.
        what: &'static str,
    },
    /// It is longer than the switch or the grammar takes.
    #[error("{what} has {length} characters, at most {max} are allowed")]
    TooLong {
        /// Which kind of name was expected.
        what: &'static str,
        /// How many characters there were.
        length: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A character outside the whitelist.
    #[error("{what} has the character {character:?} at position {position}, which is not allowed")]
    Character {
        /// Which kind of name was expected.
        what: &'static str,
        /// The first character that is refused.
        character: char,
        /// Its place, counted from 1.
        position: usize,
    },
    /// `number@domain` without the `@`.
    #[error("{what} is written number@domain, there is no @ in it")]
    NoDomain {
        /// Which kind of name was expected.
        what: &'static str,
    },
}

fn check(
    what: &'static str,
    max: usize,
    text: &str,
    allowed: fn(char) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    let length = text.chars().count();
    if length > max {
        return Err(IdError::TooLong { what, length, max });
    }
    match text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        Some((at, character)) => Err(IdError::Character {
            what,
            character,
            position: at + 1,
        }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal, $allowed:expr, $normal:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check($what, $max, text, $allowed)?;
                let normal: fn(&str) -> Arc<str> = $normal;
                Ok(Self(normal(text)))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// One FreeSWITCH or Asterisk node, as the configuration calls it.
    SwitchName, "a switch name", 32,
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
    |t| t.into()
);
name!(
    /// The switch's own name of a channel: a UUID on FreeSWITCH, `PJSIP/1001-0000000a` on Asterisk.
    ChannelId, "a channel id", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '.' | '_' | '@' | ';'),
    |t| t.into()
);
name!(
    /// A tenant. Domains that differ only in case are the same (RFC 3261, 19.1.4).
    Domain, "a domain", 253,
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'),
    |t| t.to_ascii_lowercase().into()
);
name!(
    /// What is dialled to reach a device or an extension inside a domain.
    Number, "a number", 20,
    |c| c.is_ascii_alphanumeric() || matches!(c, '*' | '#' | '+' | '.' | '_' | '-'),
    |t| t.into()
);

macro_rules! in_domain {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type {
            /// The number inside the domain.
            pub number: Number,
            /// The tenant.
            pub domain: Domain,
        }

        impl $type {
            /// `number@domain`.
            #[must_use]
            pub fn new(number: Number, domain: Domain) -> Self {
                Self { number, domain }
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let (number, domain) = text.split_once('@').ok_or(IdError::NoDomain { what: $what })?;
                Ok(Self { number: number.parse()?, domain: domain.parse()? })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}@{}", self.number, self.domain)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}@{}", self.number, self.domain)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

in_domain!(
    /// One phone: its own number in a domain. All registrations of that number are the same device.
    DeviceId, "a device"
);
in_domain!(
    /// A person: a number in a domain, for which their devices ring. It may be the number of one of the devices too;
    /// the types keep the two apart.
    ExtensionId, "an extension"
);

/// One move, told apart from those of every other run of every controller: in the journal, in a variable of the legs that
/// it makes, and as the number of the job that makes them. Written as a UUID: the run's 64 bits, then the move's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoveId {
    /// The run of the controller, a random number.
    pub run: u64,
    /// The moves of a run are counted.
    pub count: u64,
}

impl fmt::Display for MoveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, count) = (self.run, self.count);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            run >> 32,
            (run >> 16) & 0xffff,
            run & 0xffff,
            count >> 48,
            count & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for MoveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not one that [`MoveId`] writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a move")]
pub struct NotAMoveId;

impl FromStr for MoveId {
    type Err = NotAMoveId;

    fn from_str(text: &str) -> Result<Self, NotAMoveId> {
        let hex: String = text.split('-').collect();
        let value = u128::from_str_radix(&hex, 16).map_err(|_| NotAMoveId)?;
        let id = Self {
            run: (value >> 64) as u64,
            count: value as u64,
        };
        // Only what is written here is read back: no other case, no sign, no dash elsewhere.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NotAMoveId)
        }
    }
}

impl serde::Serialize for MoveId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MoveId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Seconds since 1970-01-01 00:00 UTC, the clock of routes. The core never reads a clock: it comes in as an argument.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr<Err = IdError>>(text: &str, message: &str) {
        let error = text.parse::<T>().err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some(message), "{text:?}");
    }

    #[test]
    fn what_could_end_a_command_is_refused_with_its_place() {
        refused::<Number>("", "a number is empty");
        refused::<Number>(
            "12${x}",
            "a number has the character '$' at position 3, which is not allowed",
        );
        refused::<Number>(
            "1 2",
            "a number has the character ' ' at position 2, which is not allowed",
        );
        refused::<Number>(
            "1%0a",
            "a number has the character '%' at position 2, which is not allowed",
        );
        refused::<Number>(
            &"1".repeat(300),
            "a number has 300 characters, at most 20 are allowed",
        );
        refused::<Domain>(
            "a;b",
            "a domain has the character ';' at position 2, which is not allowed",
        );
        refused::<Domain>(
            "ä.example",
            "a domain has the character 'ä' at position 1, which is not allowed",
        );
        refused::<ChannelId>(
            "a\nb",
            "a channel id has the character '\\n' at position 2, which is not allowed",
        );
        refused::<SwitchName>(
            "a/b",
            "a switch name has the character '/' at position 2, which is not allowed",
        );
        refused::<DeviceId>(
            "1001",
            "a device is written number@domain, there is no @ in it",
        );
        refused::<ExtensionId>(
            "1000@a@b",
            "a domain has the character '@' at position 2, which is not allowed",
        );
    }

    #[test]
    fn the_id_of_a_move_is_read_back_as_it_was_written() {
        let id = MoveId {
            run: 0x0123_4567_89ab_cdef,
            count: 42,
        };
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0000-00000000002a");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "x",
            "01234567-89AB-cdef-0000-00000000002a",
            "+1234567-89ab-cdef-0000-00000000002a",
            "0123456789abcdef000000000000002a",
        ] {
            assert_eq!(text.parse::<MoveId>(), Err(NotAMoveId), "{text:?}");
        }
    }

    #[test]
    fn names_keep_their_text_and_domains_their_lower_case() {
        assert_eq!(
            "1001@Lab.Test".parse::<DeviceId>().unwrap().to_string(),
            "1001@lab.test"
        );
        assert_eq!(
            "PJSIP/1001-0000000a".parse::<ChannelId>().unwrap().as_str(),
            "PJSIP/1001-0000000a"
        );
        assert_eq!("alice".parse::<Number>().unwrap().as_str(), "alice");
    }
}

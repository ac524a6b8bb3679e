//! What may stand in an action: each kind of argument is a type with its whitelist in the constructor.
//!
//! Asterisk ends a header at CR and LF, splits `Variable` of an `Originate` at commas, reads a channel that begins with `/` as a
//! pattern for many (`action_hangup`, main/manager.c), reads `(` in a variable's name as a function, and the dialplan that uses a
//! value splits it at commas and unfolds `${...}` and `$[...]` where it evaluates. So what isn't on the list is refused; nothing
//! is escaped.

use std::fmt;
use std::str::FromStr;

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing there.
    #[error("{what}: empty")]
    Empty {
        /// The kind of word.
        what: &'static str,
    },
    /// Too long.
    #[error("{what}: {length} octets, at most {limit} are allowed")]
    Length {
        /// The kind of word.
        what: &'static str,
        /// Its octets.
        length: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A character that is not on the list.
    #[error("{what}: {character:?} is not allowed")]
    Character {
        /// The kind of word.
        what: &'static str,
        /// The first such character.
        character: char,
    },
    /// All characters are allowed, but not in this place.
    #[error("{what}: {why}")]
    Form {
        /// The kind of word.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// The list of one kind.
struct Rule {
    what: &'static str,
    limit: usize,
    allowed: fn(char) -> bool,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), WordError> {
        let what = self.what;
        if let Some(character) = text.chars().find(|c| !(self.allowed)(*c)) {
            return Err(WordError::Character { what, character });
        }
        if text.len() > self.limit {
            return Err(WordError::Length {
                what,
                length: text.len(),
                limit: self.limit,
            });
        }
        Ok(())
    }

    fn check_filled(&self, text: &str) -> Result<(), WordError> {
        if text.is_empty() {
            return Err(WordError::Empty { what: self.what });
        }
        if text.starts_with('-') {
            return Err(WordError::Form {
                what: self.what,
                why: "begins with '-'",
            });
        }
        self.check(text)
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the list of this kind.
            ///
            /// # Errors
            /// What is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, WordError> {
                let text = text.into();
                let check: fn(&str) -> Result<(), WordError> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

const CHANNEL: Rule = Rule {
    what: "channel",
    limit: 79,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(c, '/' | '.' | '_' | '-' | '+' | '*' | '#' | '@' | ';' | ':')
    },
};

word! {
    /// The name of a channel, such as `PJSIP/1001-00000008` or `Local/100@common-00000001;1`: a technology, a slash, and at most
    /// 79 octets (AST_CHANNEL_NAME) of letters, digits and `/._-+*#@;:` in all.
    ///
    /// Asterisk would take a unique id here, too. It is kept out: after `Bridge` and a dual `Redirect` of two Local channels by their
    /// ids one of them was gone in 8 of 9 runs, and by their names in none of 8 (22.10).
    ChannelName,
    |text| {
        CHANNEL.check_filled(text)?;
        let tech = text.split_once('/').map_or("", |(tech, _)| tech);
        if tech.is_empty() || !tech.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return Err(WordError::Form { what: CHANNEL.what, why: "no technology and slash in front" });
        }
        if text.len() == tech.len() + 1 {
            return Err(WordError::Form { what: CHANNEL.what, why: "nothing behind the technology" });
        }
        Ok(())
    }
}

const UNIQUE_ID: Rule = Rule {
    what: "unique id",
    limit: 149,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':'),
};

word! {
    /// The id of a channel, such as `1795813545.12`: `[A-Za-z0-9._:-]{1,149}` (AST_MAX_PUBLIC_UNIQUEID), no `-` in front. Also what
    /// an originated channel is to have.
    UniqueId,
    |text| UNIQUE_ID.check_filled(text)
}

const ENDPOINT: Rule = Rule {
    what: "endpoint",
    limit: 64,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'),
};

word! {
    /// A PJSIP endpoint or address of record: `[A-Za-z0-9._+-]{1,64}`, no `-` in front. No `@`, which `Dial` reads as
    /// number@endpoint.
    Endpoint,
    |text| ENDPOINT.check_filled(text)
}

const AOR: Rule = Rule {
    what: "address of record",
    limit: 128,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@'),
};

word! {
    /// A PJSIP address of record: `[A-Za-z0-9._+@-]{1,128}`, no `-` in front.
    Aor,
    |text| AOR.check_filled(text)
}

const CONTEXT: Rule = Rule {
    what: "context",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
};

word! {
    /// A context of the dialplan: `[A-Za-z0-9._-]{1,79}` (AST_MAX_CONTEXT), no `-` in front.
    Context,
    |text| CONTEXT.check_filled(text)
}

const EXTEN: Rule = Rule {
    what: "extension",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*' | '#' | '+'),
};

word! {
    /// What a context is asked for: `[A-Za-z0-9._*#+-]{1,79}` (AST_MAX_EXTENSION), no `-` and no `_` (a pattern) in front.
    Exten,
    |text| {
        EXTEN.check_filled(text)?;
        if text.starts_with('_') {
            return Err(WordError::Form { what: EXTEN.what, why: "begins with '_', which makes it a pattern" });
        }
        Ok(())
    }
}

const VAR_NAME: Rule = Rule {
    what: "name of a variable",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || c == '_',
};

word! {
    /// The name of a variable: `[A-Za-z0-9_]{1,79}`, no digit in front. One `_` in front has channels that this one dials inherit
    /// it, `__` those that they dial, too. Functions are another type: [`crate::action::Variable`].
    VarName,
    |text| {
        VAR_NAME.check_filled(text)?;
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(WordError::Form { what: VAR_NAME.what, why: "begins with a digit" });
        }
        if text.bytes().all(|c| c == b'_') {
            return Err(WordError::Form { what: VAR_NAME.what, why: "nothing but '_'" });
        }
        Ok(())
    }
}

const VAR_VALUE: Rule = Rule {
    what: "value of a variable",
    limit: 900,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                ' ' | '.'
                    | '_'
                    | '-'
                    | '+'
                    | '*'
                    | '#'
                    | ':'
                    | ';'
                    | '/'
                    | '@'
                    | '%'
                    | '~'
                    | '!'
                    | '?'
                    | '='
            )
    },
};

word! {
    /// The value of a variable, at most 900 octets, may be empty (which unsets it): letters, digits, spaces inside and
    /// `._-+*#:;/@%~!?=`. So it is one argument wherever a dialplan puts it, and one entry of a list.
    VarValue,
    |text| {
        VAR_VALUE.check(text)?;
        if text.trim() != text {
            return Err(WordError::Form { what: VAR_VALUE.what, why: "a space at an end, which the switch drops" });
        }
        Ok(())
    }
}

const DIAL_STRING: Rule = Rule {
    what: "dial string",
    limit: 900,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '/' | '&'
                    | ','
                    | '^'
                    | ':'
                    | ';'
                    | '@'
                    | '.'
                    | '_'
                    | '-'
                    | '+'
                    | '*'
                    | '#'
                    | '%'
                    | '~'
                    | '!'
                    | '?'
                    | '='
            )
    },
};

word! {
    /// Whom to ring, as `Dial` reads it, or several such stages, at most 900 octets: letters, digits and `/&,^:;@._-+*#%~!?=`. The
    /// parts that come from a registration must have been checked before they are put together: this list can't tell a
    /// separator from one that was smuggled in.
    DialString,
    |text| DIAL_STRING.check_filled(text)
}

const CONTACT_URI: Rule = Rule {
    what: "contact",
    limit: 256,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                ':' | ';'
                    | '@'
                    | '.'
                    | '_'
                    | '-'
                    | '+'
                    | '*'
                    | '#'
                    | '%'
                    | '~'
                    | '!'
                    | '='
                    | '['
                    | ']'
                    | '?'
            )
    },
};

word! {
    /// The URI of a registration, at most 256 octets: `sip:` or `sips:`, letters, digits and `:;@._-+*#%~!=[]?`. No `/`, `&` or
    /// `,`, at which `Dial` splits, though a phone may write them.
    ContactUri,
    |text| {
        CONTACT_URI.check_filled(text)?;
        if text.starts_with("sip:") || text.starts_with("sips:") {
            Ok(())
        } else {
            Err(WordError::Form { what: CONTACT_URI.what, why: "neither sip: nor sips:" })
        }
    }
}

const DB_KEY: Rule = Rule {
    what: "key of the database",
    limit: 128,
    allowed: |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '*' | '#' | '+' | ':')
    },
};

word! {
    /// A family or key of AstDB: `[A-Za-z0-9._@*#+:-]{1,128}`, no `-` in front. No `/`, which separates them.
    DbKey,
    |text| DB_KEY.check_filled(text)
}

const ACTION_ID: Rule = Rule {
    what: "action id",
    limit: 64,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':'),
};

word! {
    /// An `ActionID`: `[A-Za-z0-9._:-]{1,64}`, no `-` in front.
    ActionId,
    |text| ACTION_ID.check_filled(text)
}

const USER_NAME: Rule = Rule {
    what: "user",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'),
};

word! {
    /// A user of manager.conf: `[A-Za-z0-9._@-]{1,79}`, no `-` in front.
    UserName,
    |text| USER_NAME.check_filled(text)
}

const WORD: Rule = Rule {
    what: "word",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
};

word! {
    /// A name of something else: a module, an application, a custom device, a user event. `[A-Za-z0-9._-]{1,79}`, no `-` in
    /// front.
    Word,
    |text| WORD.check_filled(text)
}

const FIELD_NAME: Rule = Rule {
    what: "header of a user event",
    limit: 79,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
};

word! {
    /// A header of a user event: `[A-Za-z0-9_-]{1,79}`, no `-` in front, and none that an event or action has itself.
    FieldName,
    |text| {
        FIELD_NAME.check_filled(text)?;
        let taken = ["Action", "ActionID", "Event", "Response", "Privilege", "UserEvent", "Timestamp", "SequenceNumber"];
        if taken.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(WordError::Form { what: FIELD_NAME.what, why: "is a header of the protocol" });
        }
        Ok(())
    }
}

const DIGIT: Rule = Rule {
    what: "digit",
    limit: 1,
    allowed: |c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'),
};

word! {
    /// One DTMF digit: `[0-9*#A-D]` (RFC 4733, section 3.2).
    Digit,
    |text| {
        if text.is_empty() {
            return Err(WordError::Empty { what: DIGIT.what });
        }
        DIGIT.check(text)
    }
}

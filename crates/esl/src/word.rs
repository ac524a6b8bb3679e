//! What may stand in a command: each kind of argument is a type with its whitelist in the constructor.
//!
//! The switch splits commands at spaces, unfolds `${...}` in variables whenever they are used, and reads `'`, `\` and a
//! leading `^^X` as quoting. So what isn't on the list is refused; nothing is escaped.

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
        /// The most that is allowed, or for a UUID the only length.
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
                why: "begins with '-', which the switch reads as an option",
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

const UUID_LENGTH: usize = 36;

const UUID: Rule = Rule {
    what: "uuid",
    limit: UUID_LENGTH,
    allowed: |c| matches!(c, '0'..='9' | 'a'..='f' | '-'),
};

word! {
    /// A channel's or job's UUID as the switch makes them: `[0-9a-f-]{36}`.
    Uuid36,
    |text| {
        UUID.check_filled(text)?;
        if text.len() == UUID_LENGTH {
            Ok(())
        } else {
            Err(WordError::Length { what: UUID.what, length: text.len(), limit: UUID_LENGTH })
        }
    }
}

const WORD: Rule = Rule {
    what: "word",
    limit: 128,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
};

word! {
    /// A name: user, domain, profile, module, realm, context, hangup cause. `[A-Za-z0-9._-]{1,128}`, no `-` in front.
    Word,
    |text| WORD.check_filled(text)
}

const NUMBER: Rule = Rule {
    what: "number",
    limit: 64,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*' | '#' | '+'),
};

word! {
    /// What a dialplan is asked for: `[A-Za-z0-9._*#+-]{1,64}`, no `-` in front.
    Number,
    |text| NUMBER.check_filled(text)
}

const VAR_NAME: Rule = Rule {
    what: "name of a variable",
    limit: 128,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
};

word! {
    /// The name of a variable: `[A-Za-z0-9._-]{1,128}`, no `-` in front.
    VarName,
    |text| VAR_NAME.check_filled(text)
}

const VAR_VALUE: Rule = Rule {
    what: "value of a variable",
    limit: 4096,
    allowed: |c| matches!(c, ' '..='~') && !matches!(c, '$' | '\\' | '\'' | '`'),
};

word! {
    /// The value of a variable, at most 4096 octets: printable ASCII without `$`, `\`, `'` and `` ` ``, no space at either
    /// end, no `^^` in front. `uuid_setvar` itself refuses nothing (mod_commands.c), and whatever reads the variable later
    /// unfolds `${api(args)}` in it. Not empty: to unset a variable is another command.
    VarValue,
    |text| {
        if text.is_empty() {
            return Err(WordError::Empty { what: VAR_VALUE.what });
        }
        VAR_VALUE.check(text)?;
        if text.starts_with("^^") {
            return Err(WordError::Form { what: VAR_VALUE.what, why: "begins with '^^', which the switch reads as a separator" });
        }
        if text.trim() != text {
            return Err(WordError::Form { what: VAR_VALUE.what, why: "a space at an end, which the switch drops" });
        }
        Ok(())
    }
}

const ORIGINATE_VALUE: Rule = Rule {
    what: "value of an originate variable",
    limit: 256,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                ' ' | '.' | '_' | '-' | '+' | '*' | '#' | ':' | '(' | ')' | '@'
            )
    },
};

word! {
    /// The value of a variable of `originate`, at most 256 octets: letters, digits, spaces inside and `._-+*#:()@`. Written
    /// in single quotes if it has a space, which `originate` takes off again (switch_utils.c, separate_string_char_delim).
    OriginateValue,
    |text| {
        if text.is_empty() {
            return Err(WordError::Empty { what: ORIGINATE_VALUE.what });
        }
        ORIGINATE_VALUE.check(text)?;
        if text.trim() != text {
            return Err(WordError::Form { what: ORIGINATE_VALUE.what, why: "a space at an end" });
        }
        Ok(())
    }
}

const HASH_KEY: Rule = Rule {
    what: "key",
    limit: 256,
    allowed: |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '*' | '#' | '+' | ':')
    },
};

word! {
    /// A key of mod_hash, such as `1000@example.com`: `[A-Za-z0-9._@*#+:-]{1,256}`, no `-` in front.
    HashKey,
    |text| HASH_KEY.check_filled(text)
}

const DIAL_STRING: Rule = Rule {
    what: "dial string",
    limit: 8192,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '[' | ']'
                    | ','
                    | '|'
                    | '='
                    | '/'
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
                    | '!'
                    | '?'
                    | '~'
            )
    },
};

word! {
    /// Whom to ring, as `bridge` and `originate` read it, at most 8192 octets: letters, digits and `[],|=/:;@._-+*#%!?~`. No
    /// spaces, quotes, braces, `$`, `&`, `<`, `>`, `(` or `)`. The parts that come from a registration must have been checked
    /// before they are put together: this list can't tell a separator from one that was smuggled in.
    DialString,
    |text| DIAL_STRING.check_filled(text)
}

const SOUND: Rule = Rule {
    what: "sound",
    limit: 512,
    allowed: |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '/' | ':' | '.' | '_' | '-' | '%' | '(' | ')' | ',' | ';' | '=' | '*' | '+'
            )
    },
};

word! {
    /// A file or tone, such as `tone_stream://%(200,0,500);loops=1`, at most 512 octets: letters, digits and
    /// `/:._-%(),;=*+`. No `::`, which would make it an application (switch_ivr_broadcast).
    Sound,
    |text| {
        SOUND.check_filled(text)?;
        if text.contains("::") {
            return Err(WordError::Form { what: SOUND.what, why: "'::' makes it an application" });
        }
        Ok(())
    }
}

const SUBCLASS: Rule = Rule {
    what: "subclass",
    limit: 128,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-'),
};

word! {
    /// The subclass of CUSTOM events, such as `sofia::register`: `[A-Za-z0-9:._-]{1,128}`, no `-` in front.
    Subclass,
    |text| SUBCLASS.check_filled(text)
}

const APP_ARG: Rule = Rule {
    what: "argument of an application",
    limit: 4096,
    allowed: |c| matches!(c, ' '..='~') && !matches!(c, '$' | '\\'),
};

word! {
    /// The argument of a dialplan application in `sendmsg`, at most 4096 octets, may be empty: printable ASCII without `$`
    /// and `\`.
    AppArg,
    |text| APP_ARG.check(text)
}

//! The tokens of the HTTP interface: what they are, and their queries.
//!
//! Owns the table `token`. Refuses to know a token: what comes in here is its hash, and who holds a request against the hashes
//! does so in constant time (`callhop`, `http/auth.rs`). A token that was removed is good for nothing from then on, because
//! nobody keeps a copy of this table.

use std::{collections::BTreeSet, fmt, str::FromStr};

use async_trait::async_trait;
use callhop_calls::id::UnixTime;

use crate::{Actor, ActorName, DatabaseError, rows::parsed};

/// What a token is good for. Each of them lets its holder read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To read.
    Read,
    /// To change routes.
    Route,
    /// To move calls.
    Move,
    /// Everything, extensions and their devices included.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Route, Self::Move, Self::Admin];

    /// The word that is written for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Route => "route",
            Self::Move => "move",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(word: &str) -> Result<Self, NotAScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.word() == word)
            .ok_or(NotAScope)
    }
}

/// A word is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is read, route, move or admin")]
pub struct NotAScope;

/// The scopes of a token, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// These scopes; `None` if there is none.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let scopes: BTreeSet<_> = scopes.into_iter().collect();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    /// Whether a holder of these may do what needs `scope`.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        scope == Scope::Read || self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Scope::word).collect();
        f.write_str(&words.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let scopes: Result<Vec<_>, _> = text.split(' ').map(str::parse).collect();
        Self::new(scopes?).ok_or(NotAScope)
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    /// It opens nothing, but it has no business in a log either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl TokenHash {
    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// A token, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is called, here and in the audit trail.
    pub name: ActorName,
    /// By what it is known again.
    pub hash: TokenHash,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it was made.
    pub created: UnixTime,
    /// Who made it.
    pub created_by: Actor,
    /// When it was used last, to the minute; `None` if never.
    pub last_used: Option<UnixTime>,
}

/// The queries on one connection.
#[async_trait]
pub(crate) trait TokenRows: Send {
    /// False if there is one of that name.
    async fn insert_token(&mut self, token: Token) -> Result<bool, DatabaseError>;
    async fn all_tokens(&mut self) -> Result<Vec<Token>, DatabaseError>;
    /// False if there is none of that name.
    async fn delete_token(&mut self, name: ActorName) -> Result<bool, DatabaseError>;
    async fn touch_token(&mut self, name: ActorName, now: UnixTime) -> Result<(), DatabaseError>;
}

/// A row: name, hash, scopes, when and by whom it was made, when it was used.
type Row = (String, String, String, i64, String, Option<i64>);

fn token(row: Row) -> Result<Token, DatabaseError> {
    let (name, hash, scopes, created, created_by, last_used) = row;
    // The text stays out of the error.
    let unreadable = || DatabaseError::Unreadable {
        what: "the hash of a token",
        text: String::from("another text"),
    };
    Ok(Token {
        name: parsed("the name of a token", &name)?,
        hash: TokenHash::of_hex(&hash).ok_or_else(unreadable)?,
        scopes: parsed("the scopes of a token", &scopes)?,
        created: UnixTime(created),
        created_by: parsed("who did it", &created_by)?,
        last_used: last_used.map(UnixTime),
    })
}

macro_rules! tokens {
    ($connection:ty) => {
        #[async_trait]
        impl TokenRows for $connection {
            async fn insert_token(&mut self, token: Token) -> Result<bool, DatabaseError> {
                let done = sqlx::query(
                    "INSERT INTO token (name, hash, scopes, created_at, created_by) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT DO NOTHING",
                )
                .bind(token.name.to_string())
                .bind(token.hash.hex())
                .bind(token.scopes.to_string())
                .bind(token.created.0)
                .bind(token.created_by.to_string())
                .execute(self)
                .await?;
                Ok(done.rows_affected() > 0)
            }

            async fn all_tokens(&mut self) -> Result<Vec<Token>, DatabaseError> {
                let rows: Vec<Row> = sqlx::query_as(
                    "SELECT name, hash, scopes, created_at, created_by, last_used_at FROM token ORDER BY name",
                )
                .fetch_all(self)
                .await?;
                rows.into_iter().map(token).collect()
            }

            async fn delete_token(&mut self, name: ActorName) -> Result<bool, DatabaseError> {
                let done = sqlx::query("DELETE FROM token WHERE name = $1")
                    .bind(name.to_string())
                    .execute(self)
                    .await?;
                Ok(done.rows_affected() > 0)
            }

            async fn touch_token(
                &mut self,
                name: ActorName,
                now: UnixTime,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "UPDATE token SET last_used_at = $2 \
                     WHERE name = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
                )
                .bind(name.to_string())
                .bind(now.0)
                .execute(self)
                .await?;
                Ok(())
            }
        }
    };
}

tokens!(sqlx::PgConnection);
tokens!(sqlx::SqliteConnection);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_and_admin_does_everything() {
        for (scopes, allowed) in [
            ("read", "read"),
            ("route", "read route"),
            ("move", "read move"),
            ("read route move", "read route move"),
            ("admin", "read route move admin"),
        ] {
            let scopes: Scopes = scopes.parse().unwrap();
            let may: Vec<_> = Scope::ALL
                .into_iter()
                .filter(|s| scopes.allow(*s))
                .collect();
            assert_eq!(Scopes::new(may).unwrap().to_string(), allowed);
        }
        for text in ["", "all", "read  route", "Read"] {
            assert_eq!(text.parse::<Scopes>(), Err(NotAScope), "{text:?}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_was_written_and_never_shown() {
        let hash = TokenHash(std::array::from_fn(|n| n as u8 * 8));
        assert_eq!(TokenHash::of_hex(&hash.hex()), Some(hash));
        assert_eq!(format!("{hash:?}"), "(hidden)");
        for text in [
            String::new(),
            "0".repeat(63),
            "g".repeat(64),
            "é".repeat(32),
        ] {
            assert_eq!(TokenHash::of_hex(&text), None, "{text}");
        }
    }
}

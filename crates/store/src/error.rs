//! What can go wrong, an enum per operation. A database's own error is kept as the source; none of them holds the URL of
//! the store, which may hold a password.

use std::time::Duration;

use callhop_calls::id::{DeviceId, ExtensionId, Number, UnixTime};

use crate::Revision;

/// The database failed: nothing is wrong with what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no connection, or it was lost, or the database takes no work at the moment. Nothing was changed.
    #[error("the database is not available")]
    Unavailable {
        /// What the connection said.
        source: sqlx::Error,
    },
    /// It took longer than [`Options::timeout`](crate::Options::timeout). Nothing was changed.
    #[error("the database did not answer within {} ms", after.as_millis())]
    Timeout {
        /// The time that it was given.
        after: Duration,
    },
    /// The connection was lost while the change was being committed: it may be there or not. What is read afterwards
    /// tells.
    #[error("it is not known whether the change was written")]
    OutcomeUnknown {
        /// What the commit met.
        source: Box<DatabaseError>,
    },
    /// The database took the query and could not do it. Nothing was changed.
    #[error("the database could not do what it was asked")]
    Query {
        /// What the database said.
        source: sqlx::Error,
    },
    /// A row that this program did not write.
    #[error("the database has {text:?} where {what} should be")]
    Unreadable {
        /// What should be there.
        what: &'static str,
        /// What is there.
        text: String,
    },
}

impl DatabaseError {
    /// Whether the same thing may work later: the database is gone, busy or slow.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::OutcomeUnknown { .. } => true,
            Self::Query { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// Whether an error of the driver means that the database is not available.
    pub(crate) fn is_passing(source: &sqlx::Error) -> bool {
        match source {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        }
    }

    /// Whether the connection is gone, so that a new one may do better.
    pub(crate) fn is_lost_connection(&self) -> bool {
        let Self::Unavailable { source } = self else {
            return false;
        };
        match source {
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("57P"))
            }
            _ => true,
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(source: sqlx::Error) -> Self {
        if Self::is_passing(&source) {
            Self::Unavailable { source }
        } else {
            Self::Query { source }
        }
    }
}

/// Whether a code says that the database itself is in trouble, not the query.
///
/// PostgreSQL has five characters (its manual, appendix A): class 08 connection, 53 resources, 57 operator intervention (which
/// includes the statement time-out and the shutdown), 58 system, 25006 a standby, 25P03 idle in a transaction. SQLite
/// has numbers whose low byte counts (sqlite.org/rescode.html): 5 busy, 6 locked, 8 read-only, 10 I/O, 13 full, 14 cannot open.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57", "58", "25006", "25P03"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of a store.
    #[error("the url of the store is not usable: {reason}")]
    Url {
        /// What is wrong with it, without its text.
        reason: String,
    },
    /// It cannot be reached, or does not answer. Trying again later is right.
    #[error("{location} cannot be opened")]
    Unavailable {
        /// Which database, without a password.
        location: String,
        /// What happened.
        source: DatabaseError,
    },
    /// A newer Callhop has been here, and this one does not know what it changed.
    #[error(
        "{location} has version {database} and this program knows up to version {program}: start the newer program, or play \
         in a backup"
    )]
    Newer {
        /// Which database, without a password.
        location: String,
        /// The newest version that was applied to it.
        database: i64,
        /// The newest version that this program has.
        program: i64,
    },
    /// A migration failed; the database is as it was.
    #[error("{location} cannot be brought to this program's version")]
    Migrate {
        /// Which database, without a password.
        location: String,
        /// What happened.
        source: sqlx::migrate::MigrateError,
    },
}

impl OpenError {
    /// Whether trying again later is right.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { source, .. } => source.is_unavailable(),
            Self::Url { .. } | Self::Newer { .. } | Self::Migrate { .. } => false,
        }
    }
}

/// Why an extension was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddExtensionError {
    /// It is there already.
    #[error("the extension {0} exists already")]
    Exists(ExtensionId),
    /// The device belongs to somebody.
    #[error("the device {device} belongs to the extension {by}")]
    DeviceTaken {
        /// The device.
        device: DeviceId,
        /// Its extension.
        by: ExtensionId,
    },
    /// An extension without devices cannot ring.
    #[error("an extension has at least one device")]
    NoDevices,
    /// A device was named twice.
    #[error("the device {0} is named twice")]
    DuplicateDevice(Number),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// It is not as the writer believed: somebody else was faster. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the extension has been changed by somebody else")]
pub struct Changed {
    /// Its last change; `None` if there is no such extension.
    pub version: Option<Revision>,
}

/// Why an extension was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum PutExtensionError {
    /// The devices cannot be those of this extension.
    #[error(transparent)]
    Devices(#[from] AddExtensionError),
    /// The extension's own calls would have nowhere to go.
    #[error("the calls of {id} go to its device {device}: reset or change its route first")]
    RoutedTo {
        /// The extension.
        id: ExtensionId,
        /// The device that it would lose.
        device: DeviceId,
    },
    /// Somebody else was faster.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why an extension was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveExtensionError {
    /// It is not there.
    #[error("there is no extension {0}")]
    Unknown(ExtensionId),
    /// Calls of others would have nowhere to go. A route that is over at the time of the removal does not count.
    #[error(
        "the calls of {} go to the extension {id}: reset or change their routes first",
        names(by)
    )]
    RoutedTo {
        /// What was to be removed.
        id: ExtensionId,
        /// Who has a route to it, by number.
        by: Vec<ExtensionId>,
    },
    /// Somebody else was faster.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

fn names(ids: &[ExtensionId]) -> String {
    ids.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a route was not set. The old one stays.
#[derive(Debug, thiserror::Error)]
pub enum SetRouteError {
    /// The extension whose route it is is not there.
    #[error("there is no extension {0}")]
    UnknownExtension(ExtensionId),
    /// The device belongs to somebody else, or to nobody.
    #[error("{device} is not a device of the extension {id}")]
    NotOwnDevice {
        /// Whose route it is.
        id: ExtensionId,
        /// The device.
        device: DeviceId,
    },
    /// The colleague is not there.
    #[error("there is no extension {0} to route to")]
    UnknownTarget(ExtensionId),
    /// The target is in another domain.
    #[error("{target} is not in the domain of the extension {id}")]
    OtherDomain {
        /// Whose route it is.
        id: ExtensionId,
        /// The target as `number@domain`.
        target: String,
    },
    /// An extension routed to itself.
    #[error("the extension {0} cannot be routed to itself")]
    ToItself(ExtensionId),
    /// It would be over before it begins.
    #[error("the end of the route, {}, is not later than now, {}", end.0, now.0)]
    EndInThePast {
        /// The end of the route.
        end: UnixTime,
        /// The time of the request.
        now: UnixTime,
    },
    /// Somebody else was faster.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a route was not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetRouteError {
    /// The extension is not there.
    #[error("there is no extension {0}")]
    UnknownExtension(ExtensionId),
    /// Somebody else was faster.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_sorted() {
        for passing in [
            "57014", "57P01", "08006", "53300", "25006", "5", "261", "14", "13",
        ] {
            assert!(is_passing(passing), "{passing}");
        }
        for lasting in ["23505", "42P01", "40001", "1", "19", "2067", "11", ""] {
            assert!(!is_passing(lasting), "{lasting}");
        }
    }
}

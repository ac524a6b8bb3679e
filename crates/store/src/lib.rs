//! Where extensions, devices and routes are kept: one trait, on SQLite or PostgreSQL.
mod database;
mod error;
mod open;
mod pool;
mod rows;
mod rules;
#[cfg(feature = "testing")]
pub mod testing;
mod values;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use callhop_calls::{
    directory::{Extension, Route},
    id::{ExtensionId, Number, UnixTime},
};

pub use error::{
    AddExtensionError, DatabaseError, OpenError, RemoveExtensionError, ResetRouteError,
    SetRouteError,
};
pub use open::open;
pub use values::{Actor, ActorName, Changes, NotAnActor, Revision, RouteChange, Snapshot};

/// The limits of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The longest time for one operation, waiting for a connection included.
    pub timeout: Duration,
    /// The longest time for what is large: the migrations at the start, waiting for another start included, and reading
    /// everything or thousands of changes at once.
    pub long_timeout: Duration,
    /// How many connections read at the same time. One more writes.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            long_timeout: Duration::from_secs(60),
            readers: 4,
        }
    }
}

/// The store. Every operation ends within [`Options::timeout`], and may be dropped at any moment: an operation that is dropped
/// while it writes has changed nothing, unless it was committing.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Which database this is, for people; without a password.
    fn location(&self) -> &str;

    /// The last change. It is the cheapest question, so it also tells whether the database is available.
    ///
    /// # Errors
    /// The database failed.
    async fn revision(&self) -> Result<Revision, DatabaseError>;

    /// Reads everything.
    ///
    /// # Errors
    /// The database failed.
    async fn load(&self) -> Result<Snapshot, DatabaseError>;

    /// Reads what was changed after `revision`, by whatever program. When nothing was, that is one query for one row. A route
    /// that ended by its time is not a change.
    ///
    /// # Errors
    /// The database failed.
    async fn changes_since(&self, revision: Revision) -> Result<Changes, DatabaseError>;

    /// Reads one extension; `None` if it is not there.
    ///
    /// # Errors
    /// The database failed.
    async fn extension(&self, id: &ExtensionId) -> Result<Option<Extension>, DatabaseError>;

    /// The audit trail of an extension's route, newest first. It outlives the extension.
    ///
    /// # Errors
    /// The database failed.
    async fn history(
        &self,
        id: &ExtensionId,
        limit: u32,
    ) -> Result<Vec<RouteChange>, DatabaseError>;

    /// Adds an extension with its devices, which ring all at once.
    ///
    /// # Errors
    /// The extension exists, a device belongs to another one or is named twice, there is no device, or the database failed.
    async fn add_extension(
        &self,
        id: &ExtensionId,
        devices: &[Number],
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, AddExtensionError>;

    /// Removes an extension with its devices and its route.
    ///
    /// # Errors
    /// The extension is not there, colleagues have a route to it that is in force at `now`, or the database failed.
    async fn remove_extension(
        &self,
        id: &ExtensionId,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, RemoveExtensionError>;

    /// Sets the route of an extension, in the place of the one that it had. The same route again changes nothing. Loops of
    /// colleagues are not looked for: the core cuts them where it follows them.
    ///
    /// # Errors
    /// The extension is not there, the target is not one of its devices or a colleague of its domain, the end is not later than
    /// `now`, or the database failed.
    async fn set_route(
        &self,
        id: &ExtensionId,
        route: &Route,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, SetRouteError>;

    /// Goes back to ringing all devices; `None` if there was no route to reset.
    ///
    /// # Errors
    /// The extension is not there, or the database failed.
    async fn reset_route(
        &self,
        id: &ExtensionId,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Option<Revision>, ResetRouteError>;

    /// Uses up a route for the next call only. True if it was still exactly this route: of two that ask at the same time, one
    /// hears true.
    ///
    /// # Errors
    /// The database failed.
    async fn consume_route(
        &self,
        id: &ExtensionId,
        route: &Route,
        now: UnixTime,
    ) -> Result<bool, DatabaseError>;

    /// Closes the idle connections. The store can be used on; it then opens new ones.
    async fn close(&self);
}

//! Where extensions, devices, routes and the journal of moves are kept: one trait, [`Store`], on SQLite or PostgreSQL.
//!
//! Owns the database: its tables (`migrations/`), the rules between them, and the audit trail of route changes. Refuses to know
//! anything about calls, and to keep anything in memory: the copy that a call is routed by is the core's
//! [`Directory`](callhop_calls::directory::Directory), which a controller fills with [`Store::load`] and keeps fresh with
//! [`Store::changes_since`] before each inbound call and each star code.
//!
//! # How two controllers see each other's changes
//!
//! The database counts its changes in one row, the revision. Whoever writes begins by counting it up, which locks the row
//! until the commit; then it writes the number on every extension that it changes. A controller remembers the revision
//! that it has read, and "has anything changed?" is one look at one row. When the answer is yes, an index finds the
//! extensions with a higher number, and the tombstones of removed ones.
//!
//! - **Invariant**: a transaction that writes begins with the revision. So there is one writer at a time on a database, in all
//!   programs together, and the order of the revisions is the order of the commits: a reader that has seen a revision has
//!   seen everything before it. A sequence or a clock would not promise that.
//! - **Invariant**: the journal of moves, the tokens and what webhooks are told leave the revision alone. They are no change of the directory, and no controller is made
//!   to look for one by it.
//! - **Invariant**: what an asker gets was read by one statement, and so at one moment, together with its revision.
//! - **Invariant**: a revision that a caller was given is committed, and on SQLite and a PostgreSQL with its default settings it
//!   survives a power cut. Only then may the user hear the beep.
//! - **Invariant**: a rule (`rules.rs`) refuses before it writes; keys and checks of the tables say the same rules again.
//! - **Invariant**: every operation ends within [`Options::timeout`], reading everything within [`Options::long_timeout`]. A
//!   connection is used again only after its work was done to the end; after an error or a time-out, or when the
//!   caller dropped the operation, it is closed.
//! - **Invariant**: [`DatabaseError::OutcomeUnknown`] is the only error after which the change may have happened. It is not tried
//!   again here; the next `changes_since` tells.
//! - **Invariant**: neither errors nor `Debug` hold the URL: it may hold a password.
//! - **Invariant**: both databases have the same migrations by number, and run the same suite, `tests/contract.rs`.
//!
//! Deliberately not here: no cache; no `LISTEN`/`NOTIFY` (it would be a second way to learn of changes, which can fail
//! unnoticed); no clock (time comes in as an argument, and a route that is over stays until it is replaced, so
//! [`Route::is_in_force`] is asked by whoever follows it); no search for loops of colleagues (the core cuts them where it follows
//! them); nothing that deletes tombstones or the audit trail; no SQLite in memory and none on a network disk (WAL needs
//! shared memory).
//!
//! # Recipe: a new query
//!
//! 1. Is there a new table or column? Add `migrations/postgres/000N_*.sql` and `migrations/sqlite/000N_*.sql` with the same
//!    number. Never change one that was released. Everything must be able to run inside a transaction.
//! 2. Add a method to `Rows` in `rows.rs`, with its SQL inside the macro that writes it for both databases. What comes out of the
//!    database is parsed; what cannot be is [`DatabaseError::Unreadable`].
//! 3. Does it write? Add a function to `rules.rs` that first refuses, then writes, and marks every extension that it changed with
//!    the revision (`touch_extension`), else no other controller hears of it. Give it an error enum of its own in `error.rs`.
//! 4. Add the method to [`Store`] and to `database.rs`, with `read` or `write` around it.
//! 5. Add cases to `tests/contract.rs`, and a step to `tests/model.rs` if it writes.
//!
//! | file | what it knows |
//! |---|---|
//! | `open.rs` | URLs, options of connections, migrations |
//! | `pool.rs` | open connections, and why not the driver's own pool |
//! | `database.rs` | transactions, time limits, one retry on a connection that died idle |
//! | `rules.rs` | what may be written and what follows from it |
//! | `rows.rs` | SQL |
//! | `journal.rs` | the journal of moves, with its SQL |
//! | `tokens.rs` | the tokens of the HTTP interface, with their SQL |
//! | `webhooks.rs` | what webhooks are told, with its SQL |
//! | `values.rs`, `error.rs` | what goes in and comes out |
//! | `testing.rs` | a private PostgreSQL for tests (feature `testing`) |

mod database;
mod error;
mod journal;
mod open;
mod pool;
mod rows;
mod rules;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;
mod values;
mod webhooks;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use callhop_calls::{
    directory::{Extension, Route},
    id::{ExtensionId, MoveId, Number, SwitchName, UnixTime},
    journal::{Entry, OpenMove, PastMove},
};

pub use error::{
    AddExtensionError, Changed, DatabaseError, OpenError, PutExtensionError, RemoveExtensionError,
    ResetRouteError, SetRouteError,
};
pub use open::open;
pub use tokens::{NotAScope, Scope, Scopes, Token, TokenHash};
pub use values::{
    Actor, ActorName, Changes, Expected, NotAnActor, Put, Revision, RouteChange, Snapshot,
    Versioned,
};
pub use webhooks::{Backlog, Delivery, NewDelivery, Progress, Told, Untold};

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
    async fn extension(&self, id: &ExtensionId) -> Result<Option<Extension>, DatabaseError> {
        Ok(self.versioned(id).await?.map(|found| found.extension))
    }

    /// Reads one extension and which change of it this is; `None` if it is not there.
    ///
    /// # Errors
    /// The database failed.
    async fn versioned(&self, id: &ExtensionId) -> Result<Option<Versioned>, DatabaseError>;

    /// The next extensions behind `after`, by domain and number.
    ///
    /// # Errors
    /// The database failed.
    async fn page(
        &self,
        after: Option<&ExtensionId>,
        limit: u32,
    ) -> Result<Vec<Versioned>, DatabaseError>;

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

    /// Adds an extension, or gives the one that is there these devices in this order. The same devices again change nothing.
    ///
    /// # Errors
    /// It is not as the writer believes, its route in force leads to a device that it would lose, a device belongs to another
    /// one or is named twice, there is no device, or the database failed.
    async fn put_extension(
        &self,
        id: &ExtensionId,
        devices: &[Number],
        expected: Expected,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Put, PutExtensionError>;

    /// Removes an extension with its devices and its route.
    ///
    /// # Errors
    /// The extension is not there, colleagues have a route to it that is in force at `now`, or the database failed.
    async fn remove_extension(
        &self,
        id: &ExtensionId,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, RemoveExtensionError> {
        self.remove_extension_if(id, Expected::Whatever, actor, now)
            .await
    }

    /// The same, if the extension is as the writer believes.
    ///
    /// # Errors
    /// It is not, or as above.
    async fn remove_extension_if(
        &self,
        id: &ExtensionId,
        expected: Expected,
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
    ) -> Result<Revision, SetRouteError> {
        self.set_route_if(id, route, Expected::Whatever, actor, now)
            .await
    }

    /// The same, if the extension is as the writer believes.
    ///
    /// # Errors
    /// It is not, or as above.
    async fn set_route_if(
        &self,
        id: &ExtensionId,
        route: &Route,
        expected: Expected,
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
    ) -> Result<Option<Revision>, ResetRouteError> {
        self.reset_route_if(id, Expected::Whatever, actor, now)
            .await
    }

    /// The same, if the extension is as the writer believes.
    ///
    /// # Errors
    /// It is not, or as above.
    async fn reset_route_if(
        &self,
        id: &ExtensionId,
        expected: Expected,
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

    /// Writes into the journal of moves, all of it or nothing, in this order. What is there already, or is about a move that is
    /// not there or has ended, changes nothing.
    ///
    /// # Errors
    /// The database failed.
    async fn write_journal(&self, entries: &[Entry]) -> Result<(), DatabaseError>;

    /// The moves of these switches that have begun and not ended, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    async fn open_moves(&self, switches: &[SwitchName]) -> Result<Vec<OpenMove>, DatabaseError>;

    /// The moves, the newest first; only those of one extension if it is named, only those behind the one that began then.
    ///
    /// # Errors
    /// The database failed.
    async fn moves(
        &self,
        of: Option<&ExtensionId>,
        behind: Option<(UnixTime, MoveId)>,
        limit: u32,
    ) -> Result<Vec<PastMove>, DatabaseError>;

    /// When a move began; none if there is none of that id, or not any more.
    ///
    /// # Errors
    /// The database failed.
    async fn move_began(&self, id: MoveId) -> Result<Option<UnixTime>, DatabaseError>;

    /// Forgets the moves that ended before then, in portions. How many those were.
    ///
    /// # Errors
    /// The database failed; some may have been forgotten.
    async fn forget_moves(&self, ended_before: UnixTime) -> Result<u64, DatabaseError>;

    /// Keeps a token; its last use is not written. False if there is one of that name, which stays as it is.
    ///
    /// # Errors
    /// The database failed.
    async fn add_token(&self, token: &Token) -> Result<bool, DatabaseError>;

    /// All tokens, by name.
    ///
    /// # Errors
    /// The database failed.
    async fn tokens(&self) -> Result<Vec<Token>, DatabaseError>;

    /// Forgets a token; false if there is none of that name.
    ///
    /// # Errors
    /// The database failed.
    async fn remove_token(&self, name: &ActorName) -> Result<bool, DatabaseError>;

    /// Writes down that a token was used. One that is gone is no error.
    ///
    /// # Errors
    /// The database failed.
    async fn token_used(&self, name: &ActorName, now: UnixTime) -> Result<(), DatabaseError>;

    /// Since when there is a webhook of that name: from now on, if it is seen for the first time.
    ///
    /// # Errors
    /// The database failed.
    async fn webhook_since(&self, name: &str, now: UnixTime) -> Result<UnixTime, DatabaseError>;

    /// What has happened and was not yet put into deliveries: at most `limit` moves and changes. Routes that ended by their
    /// time are in it only when all changes of routes are.
    ///
    /// # Errors
    /// The database failed.
    async fn untold(&self, now: UnixTime, limit: u32) -> Result<Untold, DatabaseError>;

    /// Writes the deliveries of what [`untold`](Self::untold) gave, and that webhooks are told of it: all of it, or nothing.
    /// False if another controller was faster.
    ///
    /// # Errors
    /// The database failed.
    async fn tell(&self, told: &Told) -> Result<bool, DatabaseError>;

    /// Takes deliveries of a webhook that are due, for nobody else before `until`: of each extension only the first one, and it
    /// alone until it is finished.
    ///
    /// # Errors
    /// The database failed.
    async fn claim_deliveries(
        &self,
        webhook: &str,
        now: UnixTime,
        until: UnixTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, DatabaseError>;

    /// A delivery has arrived, or is given up: the next one of its extension is due.
    ///
    /// # Errors
    /// The database failed.
    async fn finish_delivery(&self, id: i64) -> Result<(), DatabaseError>;

    /// A delivery has failed once more, and is due again then.
    ///
    /// # Errors
    /// The database failed.
    async fn postpone_delivery(
        &self,
        id: i64,
        next: UnixTime,
        error: &str,
    ) -> Result<(), DatabaseError>;

    /// Drops the deliveries of a webhook that were made before then, and the oldest ones of more than `most`. How many.
    ///
    /// # Errors
    /// The database failed.
    async fn drop_deliveries(
        &self,
        webhook: &str,
        made_before: UnixTime,
        most: u32,
    ) -> Result<u64, DatabaseError>;

    /// What each webhook has still to be told, also one that is not configured any more.
    ///
    /// # Errors
    /// The database failed.
    async fn backlogs(&self) -> Result<Vec<Backlog>, DatabaseError>;

    /// Closes the idle connections. The store can be used on; it then opens new ones.
    async fn close(&self);
}

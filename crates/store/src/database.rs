//! The store on one database, the same for both.
//!
//! Owns the transactions and the time limits. One connection writes and several read, so that a read never waits for a
//! writer of the same program.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use async_trait::async_trait;
use callhop_calls::{
    directory::Route,
    id::{ExtensionId, MoveId, Number, SwitchName, UnixTime},
    journal::{Entry, OpenMove, PastMove},
};
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use crate::{
    Actor, ActorName, AddExtensionError, Backlog, Changes, DatabaseError, Delivery, Expected,
    Options, Put, PutExtensionError, RemoveExtensionError, ResetRouteError, Revision, RouteChange,
    SetRouteError, Snapshot, Store, Token, Told, Untold, Versioned,
    journal::JournalRows,
    pool::{Lease, Pool},
    rows::{Rows, Which},
    rules::{self, Change, Decision},
    tokens::TokenRows,
    webhooks::WebhookRows,
};

/// From how many changes on reading them may take long. They are read in some milliseconds where nothing is wrong.
const MANY_CHANGES: i64 = 1000;

/// The end of the time for one operation.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    fn after(after: Duration) -> Self {
        Self {
            at: Instant::now() + after,
            after,
        }
    }
}

/// Does the work until the deadline, and drops it there.
async fn within<T, E: From<DatabaseError>>(
    deadline: Deadline,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout_at(deadline.at, work).await {
        Ok(result) => result,
        Err(_) => Err(E::from(DatabaseError::Timeout {
            after: deadline.after,
        })),
    }
}

type Reading<'c, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'c>>;

/// The store on one database.
pub(crate) struct Database<C: Connection> {
    location: String,
    timeout: Duration,
    long_timeout: Duration,
    readers: Pool<C>,
    writer: Pool<C>,
}

impl<C: Connection> fmt::Debug for Database<C> {
    /// Without the options of the connections: they hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("location", &self.location)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A transaction that writes; the number of its change; the time that it has.
struct Writing<'a, C: Connection> {
    rows: Lease<'a, C>,
    revision: Revision,
    deadline: Deadline,
}

impl<C> Database<C>
where
    C: Connection + Rows + JournalRows + TokenRows + WebhookRows,
    C::Options: ConnectOptions<Connection = C>,
{
    pub(crate) fn new(
        location: String,
        options: &Options,
        reader: C::Options,
        writer: C::Options,
    ) -> Self {
        Self {
            location,
            timeout: options.timeout,
            long_timeout: options.long_timeout,
            readers: Pool::new(reader, options.readers),
            writer: Pool::new(writer, 1),
        }
    }

    /// Reads, once more on a new connection if an idle one turns out to be dead.
    async fn read<T>(
        &self,
        timeout: Duration,
        query: impl for<'c> Fn(&'c mut C) -> Reading<'c, T>,
    ) -> Result<T, DatabaseError> {
        within(Deadline::after(timeout), async {
            loop {
                let mut rows = self.readers.lease().await?;
                match query(&mut rows).await {
                    Err(error) if rows.reused && error.is_lost_connection() => {
                        self.readers.forget();
                    }
                    Err(error) => return Err(error),
                    Ok(result) => {
                        rows.keep();
                        return Ok(result);
                    }
                }
            }
        })
        .await
    }

    /// Begins to write the directory.
    async fn write(&self) -> Result<Writing<'_, C>, DatabaseError> {
        self.begin(|rows| rows.begin_writing()).await
    }

    /// Begins to write the journal, which leaves the revision alone.
    async fn write_aside(&self) -> Result<Writing<'_, C>, DatabaseError> {
        self.begin(|rows| Box::pin(async move { rows.begin_journal().await.map(|()| Revision(0)) }))
            .await
    }

    /// Begins to write, once more on a new connection if the idle one turns out to be dead: nothing is lost by that
    /// before the transaction has begun.
    async fn begin(
        &self,
        begin: impl for<'c> Fn(&'c mut C) -> Reading<'c, Revision>,
    ) -> Result<Writing<'_, C>, DatabaseError> {
        let deadline = Deadline::after(self.timeout);
        within(deadline, async {
            loop {
                let mut rows = self.writer.lease().await?;
                match begin(&mut rows).await {
                    Err(error) if rows.reused && error.is_lost_connection() => {
                        self.writer.forget();
                    }
                    Err(error) => return Err(error),
                    Ok(revision) => {
                        return Ok(Writing {
                            rows,
                            revision,
                            deadline,
                        });
                    }
                }
            }
        })
        .await
    }
}

impl<C> Writing<'_, C>
where
    C: Connection + Rows + JournalRows + TokenRows + WebhookRows,
    C::Options: ConnectOptions<Connection = C>,
{
    fn change(&self, actor: &Actor, now: UnixTime) -> Change {
        Change {
            revision: self.revision,
            now,
            actor: actor.clone(),
        }
    }

    /// Commits what was decided, or rolls back.
    async fn finish<T, E: From<DatabaseError>>(
        mut self,
        decided: Result<Decision<T>, E>,
    ) -> Result<T, E> {
        if let Ok(Decision::Commit(answer)) = decided {
            return match within(self.deadline, self.rows.commit()).await {
                Ok(()) => {
                    self.rows.keep();
                    Ok(answer)
                }
                Err(error) if error.is_unavailable() => {
                    Err(E::from(DatabaseError::OutcomeUnknown {
                        source: Box::new(error),
                    }))
                }
                Err(error) => Err(E::from(error)),
            };
        }
        // A connection that cannot roll back is closed, which does the same; the answer is known either way.
        if within(self.deadline, self.rows.rollback()).await.is_ok() {
            self.rows.keep();
        }
        decided.map(|decision| match decision {
            Decision::Commit(answer) | Decision::Leave(answer) => answer,
        })
    }
}

#[async_trait]
impl<C> Store for Database<C>
where
    C: Connection + Rows + JournalRows + TokenRows + WebhookRows + Sync,
    C::Options: ConnectOptions<Connection = C>,
{
    fn location(&self) -> &str {
        &self.location
    }

    async fn revision(&self) -> Result<Revision, DatabaseError> {
        self.read(self.timeout, |rows| rows.revision()).await
    }

    async fn load(&self) -> Result<Snapshot, DatabaseError> {
        // A database that does not answer to the small question is not given the long time for the large one.
        self.revision().await?;
        let found = self
            .read(self.long_timeout, |rows| rows.find(Which::All))
            .await?;
        Ok(Snapshot {
            revision: found.revision,
            extensions: found.into_extensions(),
        })
    }

    async fn changes_since(&self, revision: Revision) -> Result<Changes, DatabaseError> {
        let current = self.revision().await?;
        if current == revision {
            return Ok(Changes::none(revision));
        }
        let complete = current < revision;
        let (which, timeout) = if complete {
            (Which::All, self.long_timeout)
        } else if current.0 - revision.0 > MANY_CHANGES {
            (Which::ChangedSince(revision), self.long_timeout)
        } else {
            (Which::ChangedSince(revision), self.timeout)
        };
        let mut found = self.read(timeout, |rows| rows.find(which.clone())).await?;
        Ok(Changes {
            revision: found.revision,
            removed: std::mem::take(&mut found.removed),
            changed: found.into_extensions(),
            complete,
        })
    }

    async fn versioned(&self, id: &ExtensionId) -> Result<Option<Versioned>, DatabaseError> {
        let found = self
            .read(self.timeout, |rows| rows.find(Which::One(id.clone())))
            .await?;
        Ok(found.extensions.into_iter().next())
    }

    async fn page(
        &self,
        after: Option<&ExtensionId>,
        limit: u32,
    ) -> Result<Vec<Versioned>, DatabaseError> {
        let which = Which::Page(after.cloned(), limit);
        let found = self
            .read(self.timeout, |rows| rows.find(which.clone()))
            .await?;
        Ok(found.extensions)
    }

    async fn history(
        &self,
        id: &ExtensionId,
        limit: u32,
    ) -> Result<Vec<RouteChange>, DatabaseError> {
        self.read(self.timeout, |rows| rows.history(id.clone(), limit))
            .await
    }

    async fn add_extension(
        &self,
        id: &ExtensionId,
        devices: &[Number],
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, AddExtensionError> {
        let mut writing = self.write().await?;
        let change = writing.change(actor, now);
        let work = rules::add_extension(&mut *writing.rows, id, devices, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn put_extension(
        &self,
        id: &ExtensionId,
        devices: &[Number],
        expected: Expected,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Put, PutExtensionError> {
        let mut writing = self.write().await?;
        let change = writing.change(actor, now);
        let work = rules::put_extension(&mut *writing.rows, id, devices, expected, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn remove_extension_if(
        &self,
        id: &ExtensionId,
        expected: Expected,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, RemoveExtensionError> {
        let mut writing = self.write().await?;
        let change = writing.change(actor, now);
        let work = rules::remove_extension(&mut *writing.rows, id, expected, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn set_route_if(
        &self,
        id: &ExtensionId,
        route: &Route,
        expected: Expected,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Revision, SetRouteError> {
        let mut writing = self.write().await?;
        let change = writing.change(actor, now);
        let work = rules::set_route(&mut *writing.rows, id, route, expected, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn reset_route_if(
        &self,
        id: &ExtensionId,
        expected: Expected,
        actor: &Actor,
        now: UnixTime,
    ) -> Result<Option<Revision>, ResetRouteError> {
        let mut writing = self.write().await?;
        let change = writing.change(actor, now);
        let work = rules::reset_route(&mut *writing.rows, id, expected, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn consume_route(
        &self,
        id: &ExtensionId,
        route: &Route,
        now: UnixTime,
    ) -> Result<bool, DatabaseError> {
        let mut writing = self.write().await?;
        let change = writing.change(&Actor::Controller, now);
        let work = rules::consume_route(&mut *writing.rows, id, route, change);
        let decided = within(writing.deadline, work).await;
        writing.finish(decided).await
    }

    async fn write_journal(&self, entries: &[Entry]) -> Result<(), DatabaseError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut writing = self.write_aside().await?;
        let rows = &mut *writing.rows;
        let work = async {
            for entry in entries {
                rows.write_entry(entry.clone()).await?;
            }
            Ok(Decision::Commit(()))
        };
        let decided = within(writing.deadline, work).await;
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn open_moves(&self, switches: &[SwitchName]) -> Result<Vec<OpenMove>, DatabaseError> {
        let mut all = Vec::new();
        for switch in switches {
            let open = self
                .read(self.timeout, |rows| rows.open_moves(switch.clone()))
                .await?;
            all.extend(open);
        }
        all.sort_by_key(|open| (open.started, open.id));
        Ok(all)
    }

    async fn moves(
        &self,
        of: Option<&ExtensionId>,
        behind: Option<(UnixTime, MoveId)>,
        limit: u32,
    ) -> Result<Vec<PastMove>, DatabaseError> {
        self.read(self.timeout, |rows| {
            rows.past_moves(of.cloned(), behind, limit)
        })
        .await
    }

    async fn move_began(&self, id: MoveId) -> Result<Option<UnixTime>, DatabaseError> {
        self.read(self.timeout, |rows| rows.move_began(id)).await
    }

    async fn forget_moves(&self, ended_before: UnixTime) -> Result<u64, DatabaseError> {
        let mut all = 0;
        loop {
            let mut writing = self.write_aside().await?;
            let work = writing.rows.forget_some(ended_before);
            let decided = within(writing.deadline, work).await.map(Decision::Commit);
            let forgotten = writing.finish::<_, DatabaseError>(decided).await?;
            if forgotten == 0 {
                return Ok(all);
            }
            all += forgotten;
        }
    }

    async fn add_token(&self, token: &Token) -> Result<bool, DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.insert_token(token.clone());
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn tokens(&self) -> Result<Vec<Token>, DatabaseError> {
        self.read(self.timeout, |rows| rows.all_tokens()).await
    }

    async fn remove_token(&self, name: &ActorName) -> Result<bool, DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.delete_token(name.clone());
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn token_used(&self, name: &ActorName, now: UnixTime) -> Result<(), DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.touch_token(name.clone(), now);
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn webhook_since(&self, name: &str, now: UnixTime) -> Result<UnixTime, DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.since(name.to_owned(), now);
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn untold(&self, now: UnixTime, limit: u32) -> Result<Untold, DatabaseError> {
        self.read(self.timeout, |rows| rows.untold(now, limit))
            .await
    }

    async fn tell(&self, told: &Told) -> Result<bool, DatabaseError> {
        let mut writing = self.write_aside().await?;
        let rows = &mut *writing.rows;
        let work = async {
            // This one locks, so that of two that are told the same the second sees what the first has done.
            if !rows.advance(told.from, told.to).await? {
                return Ok(Decision::Leave(false));
            }
            for id in &told.moves {
                if !rows.tell_move(*id).await? {
                    return Ok(Decision::Leave(false));
                }
            }
            for delivery in &told.deliveries {
                rows.insert_delivery(delivery.clone()).await?;
            }
            Ok(Decision::Commit(true))
        };
        let decided = within(writing.deadline, work).await;
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn claim_deliveries(
        &self,
        webhook: &str,
        now: UnixTime,
        until: UnixTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, DatabaseError> {
        let due = self
            .read(self.timeout, |rows| {
                rows.due(webhook.to_owned(), now, limit)
            })
            .await?;
        if due.is_empty() {
            return Ok(due);
        }
        let mut writing = self.write_aside().await?;
        let rows = &mut *writing.rows;
        let work = async {
            let mut claimed = Vec::new();
            for delivery in due {
                if rows.claim(delivery.id, now, until).await? {
                    claimed.push(delivery);
                }
            }
            Ok(Decision::Commit(claimed))
        };
        let decided = within(writing.deadline, work).await;
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn finish_delivery(&self, id: i64) -> Result<(), DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.delete_delivery(id);
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn postpone_delivery(
        &self,
        id: i64,
        next: UnixTime,
        error: &str,
    ) -> Result<(), DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing.rows.postpone(id, next, error.to_owned());
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn drop_deliveries(
        &self,
        webhook: &str,
        made_before: UnixTime,
        most: u32,
    ) -> Result<u64, DatabaseError> {
        let mut writing = self.write_aside().await?;
        let work = writing
            .rows
            .drop_some(webhook.to_owned(), made_before, most);
        let decided = within(writing.deadline, work).await.map(Decision::Commit);
        writing.finish::<_, DatabaseError>(decided).await
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, DatabaseError> {
        self.read(self.timeout, |rows| rows.backlogs()).await
    }

    async fn close(&self) {
        let closing = async {
            self.readers.close().await;
            self.writer.close().await;
            Ok::<(), DatabaseError>(())
        };
        // A database that does not answer to the goodbye is left without one.
        let _ = within(Deadline::after(self.timeout), closing).await;
    }
}

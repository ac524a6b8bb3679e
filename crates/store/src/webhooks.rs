//! What webhooks are told: what has happened and was not told yet, the deliveries that wait, and their queries.
//!
//! Owns the tables `webhook`, `webhook_progress` and `webhook_delivery`. Refuses to know a webhook but by its name, and to decide
//! when something is tried again.
//!
//! What happened is read from where it was written: the journal of moves, and the audit trail of routes, whose order is that of
//! the commits. So nothing is missed, whoever wrote it, with or without a controller.
//!
//! **Invariant**: [`Told`] is written in one transaction, which begins with the row of the progress. So of several controllers one
//! puts an event into deliveries, and once.

use async_trait::async_trait;
use callhop_calls::{
    directory::Route,
    id::{ExtensionId, MoveId, UnixTime},
    journal::PastMove,
};

use crate::{
    DatabaseError, Revision, RouteChange,
    journal::JournalRows,
    rows::{ChangeRow, Rows, change, parsed, route},
};

/// How far webhooks have been told of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last change of which they have.
    pub revision: Revision,
    /// They know of each route that ended by its time until then.
    pub routes_ended: UnixTime,
}

/// What webhooks were not told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// How far they have been told.
    pub from: Progress,
    /// How far they have been when they are told this.
    pub to: Progress,
    /// Moves that have ended, in the order of their ends.
    pub moves: Vec<PastMove>,
    /// Changes of routes, in their order.
    pub changes: Vec<(ExtensionId, RouteChange)>,
    /// Routes that have ended by their time, and stand there still.
    pub ended: Vec<(ExtensionId, Route)>,
}

impl Untold {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.ended.is_empty() && self.from.revision == self.to.revision
    }
}

/// What is written when they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// As in [`Untold::from`].
    pub from: Progress,
    /// As in [`Untold::to`].
    pub to: Progress,
    /// The moves of [`Untold::moves`].
    pub moves: Vec<MoveId>,
    /// What is to be sent, in this order.
    pub deliveries: Vec<NewDelivery>,
}

/// A message to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// To which.
    pub webhook: String,
    /// About whom: messages about one extension are sent one after the other.
    pub extension: ExtensionId,
    /// Its id for the receiver.
    pub message: String,
    /// When it was made.
    pub created: UnixTime,
    /// What is sent.
    pub body: String,
}

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the order.
    pub id: i64,
    /// About whom.
    pub extension: ExtensionId,
    /// Its id for the receiver.
    pub message: String,
    /// When it was made.
    pub created: UnixTime,
    /// What is sent.
    pub body: String,
    /// How often that has failed.
    pub attempts: u32,
}

/// What a webhook has still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Which.
    pub webhook: String,
    /// How many messages.
    pub count: u64,
    /// When the oldest one was made.
    pub oldest: UnixTime,
    /// How often a message has failed, at most.
    pub attempts: u32,
    /// Why the oldest one that has failed did.
    pub last_error: Option<String>,
}

/// The queries on one connection.
#[async_trait]
pub(crate) trait WebhookRows: Send {
    async fn since(&mut self, name: String, now: UnixTime) -> Result<UnixTime, DatabaseError>;
    async fn untold(&mut self, now: UnixTime, limit: u32) -> Result<Untold, DatabaseError>;
    /// False if the progress is another one by now.
    async fn advance(&mut self, from: Progress, to: Progress) -> Result<bool, DatabaseError>;
    async fn insert_delivery(&mut self, delivery: NewDelivery) -> Result<(), DatabaseError>;
    async fn due(
        &mut self,
        webhook: String,
        now: UnixTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, DatabaseError>;
    /// False if somebody else was faster.
    async fn claim(
        &mut self,
        id: i64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<bool, DatabaseError>;
    async fn delete_delivery(&mut self, id: i64) -> Result<(), DatabaseError>;
    async fn postpone(
        &mut self,
        id: i64,
        next: UnixTime,
        error: String,
    ) -> Result<(), DatabaseError>;
    async fn drop_some(
        &mut self,
        webhook: String,
        made_before: UnixTime,
        most: u32,
    ) -> Result<u64, DatabaseError>;
    async fn backlogs(&mut self) -> Result<Vec<Backlog>, DatabaseError>;
}

/// What is due: of each extension the first, unless it waits.
const DUE: &str = "SELECT d.id, d.domain, d.extension, d.message, d.created_at, d.body, d.attempts FROM webhook_delivery d \
     WHERE d.webhook = $1 AND d.next_at <= $2 AND d.claimed_until <= $2 AND NOT EXISTS \
     (SELECT 1 FROM webhook_delivery e WHERE e.webhook = d.webhook AND e.domain = d.domain \
      AND e.extension = d.extension AND e.id < d.id) \
     ORDER BY d.id LIMIT $3";

const BACKLOGS: &str = "SELECT w.webhook, COUNT(*), MIN(w.created_at), MAX(w.attempts), \
     (SELECT e.last_error FROM webhook_delivery e \
      WHERE e.webhook = w.webhook AND e.last_error IS NOT NULL ORDER BY e.id LIMIT 1) \
     FROM webhook_delivery w GROUP BY w.webhook ORDER BY w.webhook";

/// A delivery: id, domain, extension, message, when it was made, body, attempts.
type DueRow = (i64, String, String, String, i64, String, i64);

/// A change: domain, number, and then what the audit trail has.
type ChangeOf = (
    String,
    String,
    i64,
    i64,
    String,
    Option<String>,
    Option<String>,
);

/// A route that has ended: domain, extension, device, colleague, when.
type EndedRow = (String, String, Option<String>, Option<String>, i64);

fn id(domain: &str, number: &str) -> Result<ExtensionId, DatabaseError> {
    Ok(ExtensionId::new(
        parsed("a number", number)?,
        parsed("a domain", domain)?,
    ))
}

fn delivery(row: DueRow) -> Result<Delivery, DatabaseError> {
    let (place, domain, extension, message, created, body, attempts) = row;
    Ok(Delivery {
        id: place,
        extension: id(&domain, &extension)?,
        message,
        created: UnixTime(created),
        body,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
    })
}

fn change_of(row: ChangeOf) -> Result<(ExtensionId, RouteChange), DatabaseError> {
    let (domain, number, revision, at, actor, before, after) = row;
    let row: ChangeRow = (revision, at, actor, before, after);
    Ok((id(&domain, &number)?, change(row)?))
}

fn ended(row: EndedRow) -> Result<(ExtensionId, Route), DatabaseError> {
    let (domain, extension, device, colleague, at) = row;
    let id = id(&domain, &extension)?;
    let route = route(&id, device, colleague, "at", Some(at))?;
    Ok((id, route))
}

macro_rules! webhooks {
    ($connection:ty) => {
        #[async_trait]
        impl WebhookRows for $connection {
            async fn since(
                &mut self,
                name: String,
                now: UnixTime,
            ) -> Result<UnixTime, DatabaseError> {
                sqlx::query("INSERT INTO webhook (name, since) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(&name)
                    .bind(now.0)
                    .execute(&mut *self)
                    .await?;
                let since: i64 = sqlx::query_scalar("SELECT since FROM webhook WHERE name = $1")
                    .bind(name)
                    .fetch_one(self)
                    .await?;
                Ok(UnixTime(since))
            }

            async fn untold(&mut self, now: UnixTime, limit: u32) -> Result<Untold, DatabaseError> {
                let (revision, routes_ended): (i64, i64) =
                    sqlx::query_as("SELECT revision, routes_ended_at FROM webhook_progress")
                        .fetch_one(&mut *self)
                        .await?;
                let from = Progress {
                    revision: Revision(revision),
                    routes_ended: UnixTime(routes_ended),
                };
                let moves = self.untold_moves(limit).await?;
                let last = self.revision().await?;
                let mut untold = Untold {
                    from,
                    to: from,
                    moves,
                    changes: Vec::new(),
                    ended: Vec::new(),
                };
                // A database may be older than what was told: a backup was played in.
                let to = last.0.min(revision.saturating_add(i64::from(limit)));
                untold.to.revision = Revision(to);
                if to > revision {
                    let rows: Vec<ChangeOf> = sqlx::query_as(
                        "SELECT domain, number, revision, changed_at, actor, route_before, route_after \
                         FROM route_change WHERE revision > $1 AND revision <= $2 \
                         ORDER BY revision, domain, number",
                    )
                    .bind(revision)
                    .bind(to)
                    .fetch_all(&mut *self)
                    .await?;
                    untold.changes = rows.into_iter().map(change_of).collect::<Result<_, _>>()?;
                }
                if to != last.0 || now.0 <= routes_ended {
                    return Ok(untold);
                }
                let rows: Vec<EndedRow> = sqlx::query_as(
                    "SELECT domain, extension, device, colleague, ends_at FROM route \
                     WHERE ends = 'at' AND ends_at > $1 AND ends_at <= $2 ORDER BY ends_at, domain, extension",
                )
                .bind(routes_ended)
                .bind(now.0)
                .fetch_all(&mut *self)
                .await?;
                // A route that was replaced between the two readings is told of with the change that did it.
                if self.revision().await? == last {
                    untold.ended = rows.into_iter().map(ended).collect::<Result<_, _>>()?;
                    untold.to.routes_ended = now;
                }
                Ok(untold)
            }

            async fn advance(
                &mut self,
                from: Progress,
                to: Progress,
            ) -> Result<bool, DatabaseError> {
                let done = sqlx::query(
                    "UPDATE webhook_progress SET revision = $1, routes_ended_at = $2 \
                     WHERE revision = $3 AND routes_ended_at = $4",
                )
                .bind(to.revision.0)
                .bind(to.routes_ended.0)
                .bind(from.revision.0)
                .bind(from.routes_ended.0)
                .execute(self)
                .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn insert_delivery(
                &mut self,
                delivery: NewDelivery,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "INSERT INTO webhook_delivery \
                     (webhook, domain, extension, message, created_at, body, next_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $5)",
                )
                .bind(delivery.webhook)
                .bind(delivery.extension.domain.as_str())
                .bind(delivery.extension.number.as_str())
                .bind(delivery.message)
                .bind(delivery.created.0)
                .bind(delivery.body)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn due(
                &mut self,
                webhook: String,
                now: UnixTime,
                limit: u32,
            ) -> Result<Vec<Delivery>, DatabaseError> {
                let query = sqlx::query_as(DUE).bind(webhook).bind(now.0);
                let rows: Vec<DueRow> = query.bind(i64::from(limit)).fetch_all(self).await?;
                rows.into_iter().map(delivery).collect()
            }

            async fn claim(
                &mut self,
                id: i64,
                now: UnixTime,
                until: UnixTime,
            ) -> Result<bool, DatabaseError> {
                let done = sqlx::query(
                    "UPDATE webhook_delivery SET claimed_until = $3 \
                     WHERE id = $1 AND claimed_until <= $2 AND next_at <= $2",
                )
                .bind(id)
                .bind(now.0)
                .bind(until.0)
                .execute(self)
                .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn delete_delivery(&mut self, id: i64) -> Result<(), DatabaseError> {
                sqlx::query("DELETE FROM webhook_delivery WHERE id = $1")
                    .bind(id)
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn postpone(
                &mut self,
                id: i64,
                next: UnixTime,
                error: String,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "UPDATE webhook_delivery \
                     SET attempts = attempts + 1, next_at = $2, claimed_until = 0, last_error = $3 WHERE id = $1",
                )
                .bind(id)
                .bind(next.0)
                .bind(error)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn drop_some(
                &mut self,
                webhook: String,
                made_before: UnixTime,
                most: u32,
            ) -> Result<u64, DatabaseError> {
                let done = sqlx::query(
                    "DELETE FROM webhook_delivery WHERE webhook = $1 AND (created_at < $2 OR id <= \
                     (SELECT id FROM webhook_delivery WHERE webhook = $1 ORDER BY id DESC LIMIT 1 OFFSET $3))",
                )
                .bind(webhook)
                .bind(made_before.0)
                .bind(i64::from(most))
                .execute(self)
                .await?;
                Ok(done.rows_affected())
            }

            async fn backlogs(&mut self) -> Result<Vec<Backlog>, DatabaseError> {
                let rows: Vec<(String, i64, i64, i64, Option<String>)> =
                    sqlx::query_as(BACKLOGS).fetch_all(self).await?;
                let backlogs = rows.into_iter().map(|row| {
                    let (webhook, count, oldest, attempts, last_error) = row;
                    Backlog {
                        webhook,
                        count: u64::try_from(count).unwrap_or(0),
                        oldest: UnixTime(oldest),
                        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                        last_error,
                    }
                });
                Ok(backlogs.collect())
            }
        }
    };
}

webhooks!(sqlx::PgConnection);
webhooks!(sqlx::SqliteConnection);

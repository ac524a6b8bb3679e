//! The journal of moves: its queries, and what a row of it means.
//!
//! Owns the table `move`. Refuses to decide: what an open move comes to is the core's. Whatever is told twice, or of a move
//! that is not there, changes nothing: after a lost connection a writer tells again what it does not know to be written.

use async_trait::async_trait;
use callhop_calls::{
    id::{DeviceId, ExtensionId, MoveId, SwitchName, UnixTime},
    journal::{Entry, OpenMove, PastEnd, PastMove},
};
use sqlx::Executor;

use crate::{DatabaseError, rows::parsed};

/// How many moves are forgotten at once, so that no transaction takes long.
const PORTION: i64 = 1000;

/// The queries on one connection.
#[async_trait]
pub(crate) trait JournalRows: Send {
    /// Begins a transaction that writes, and leaves the revision alone.
    async fn begin_journal(&mut self) -> Result<(), DatabaseError>;
    async fn write_entry(&mut self, entry: Entry) -> Result<(), DatabaseError>;
    async fn open_moves(&mut self, of: SwitchName) -> Result<Vec<OpenMove>, DatabaseError>;
    async fn past_moves(
        &mut self,
        of: Option<ExtensionId>,
        behind: Option<(UnixTime, MoveId)>,
        limit: u32,
    ) -> Result<Vec<PastMove>, DatabaseError>;
    /// When a move began; none if there is none of that id.
    async fn move_began(&mut self, id: MoveId) -> Result<Option<UnixTime>, DatabaseError>;
    /// The moves that have ended and of which webhooks were not told, in the order of their ends.
    async fn untold_moves(&mut self, limit: u32) -> Result<Vec<PastMove>, DatabaseError>;
    /// Notes that webhooks are told of a move; false if they were.
    async fn tell_move(&mut self, id: MoveId) -> Result<bool, DatabaseError>;
    /// Forgets some of the moves that ended before then, and says how many.
    async fn forget_some(&mut self, ended_before: UnixTime) -> Result<u64, DatabaseError>;
}

/// A row, in the order of [`COLUMNS`].
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    kind: String,
    switch: String,
    domain: String,
    extension: String,
    device: String,
    target: Option<String>,
    old_leg: String,
    far_leg: String,
    new_leg: Option<String>,
    stage: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    cause: Option<String>,
    took_ms: Option<i64>,
    gap_ms: Option<i64>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, switch, domain, extension, device, target, old_leg, far_leg, new_leg, stage, started_at, \
             ended_at, outcome, cause, took_ms, gap_ms FROM move ",
            $rest
        )
    };
}

const OPEN: &str = select!("WHERE switch = $1 AND ended_at IS NULL ORDER BY started_at, id");
const PAST: &str =
    select!("WHERE (started_at, id) < ($2, $3) ORDER BY started_at DESC, id DESC LIMIT $1");
const PAST_OF: &str = select!(
    "WHERE (started_at, id) < ($2, $3) AND domain = $4 AND extension = $5 ORDER BY started_at DESC, id DESC LIMIT $1"
);

const UNTOLD: &str =
    select!("WHERE told = 0 AND ended_at IS NOT NULL ORDER BY ended_at, id LIMIT $1");

fn past(row: Row) -> Result<PastMove, DatabaseError> {
    let domain: callhop_calls::id::Domain = parsed("a domain", &row.domain)?;
    let new_leg = row.new_leg.map(|leg| parsed("a channel", &leg));
    let begun = OpenMove {
        id: parsed("the id of a move", &row.id)?,
        kind: parsed("a kind of move", &row.kind)?,
        switch: parsed("a switch", &row.switch)?,
        extension: ExtensionId::new(parsed("a number", &row.extension)?, domain.clone()),
        from: DeviceId::new(parsed("a device", &row.device)?, domain),
        to: row.target,
        old_leg: parsed("a channel", &row.old_leg)?,
        far_leg: parsed("a channel", &row.far_leg)?,
        new_leg: new_leg.transpose()?,
        stage: parsed("the stage of a move", &row.stage)?,
        started: UnixTime(row.started_at),
    };
    let end = match (row.ended_at, row.outcome) {
        (Some(at), Some(outcome)) => Some(PastEnd {
            at: UnixTime(at),
            outcome: parsed("the outcome of a move", &outcome)?,
            cause: row.cause,
            took_ms: row.took_ms.and_then(|took| u64::try_from(took).ok()),
            gap_ms: row.gap_ms.and_then(|gap| u64::try_from(gap).ok()),
        }),
        _ => None,
    };
    Ok(PastMove { begun, end })
}

macro_rules! journal {
    ($connection:ty, $begin:literal) => {
        #[async_trait]
        impl JournalRows for $connection {
            async fn begin_journal(&mut self) -> Result<(), DatabaseError> {
                Executor::execute(self, $begin).await?;
                Ok(())
            }

            async fn write_entry(&mut self, entry: Entry) -> Result<(), DatabaseError> {
                let query = match &entry {
                    Entry::Begun(begun) => sqlx::query(
                        "INSERT INTO move (id, kind, switch, domain, extension, device, target, old_leg, far_leg, \
                         new_leg, stage, started_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
                    )
                    .bind(begun.id.to_string())
                    .bind(begun.kind.word())
                    .bind(begun.switch.as_str())
                    .bind(begun.extension.domain.as_str())
                    .bind(begun.extension.number.as_str())
                    .bind(begun.from.number.as_str())
                    .bind(begun.to.as_deref())
                    .bind(begun.old_leg.as_str())
                    .bind(begun.far_leg.as_str())
                    .bind(begun.new_leg.as_ref().map(|leg| leg.as_str()))
                    .bind(begun.stage.word())
                    .bind(begun.started.0),
                    Entry::Stage { id, stage, to } => sqlx::query(
                        "UPDATE move SET stage = $2, target = $3 WHERE id = $1 AND ended_at IS NULL",
                    )
                    .bind(id.to_string())
                    .bind(stage.word())
                    .bind(to.as_deref()),
                    Entry::Ended {
                        id,
                        at,
                        outcome,
                        cause,
                        took_ms,
                        gap_ms,
                    } => sqlx::query(
                        "UPDATE move SET ended_at = $2, outcome = $3, cause = $4, took_ms = $5, gap_ms = $6 \
                         WHERE id = $1 AND ended_at IS NULL",
                    )
                    .bind(id.to_string())
                    .bind(at.0)
                    .bind(outcome.word())
                    .bind(cause.as_deref())
                    .bind(took_ms.map(|took| i64::try_from(took).unwrap_or(i64::MAX)))
                    .bind(gap_ms.map(|gap| i64::try_from(gap).unwrap_or(i64::MAX))),
                };
                query.execute(self).await?;
                Ok(())
            }

            async fn open_moves(&mut self, of: SwitchName) -> Result<Vec<OpenMove>, DatabaseError> {
                let rows: Vec<Row> = sqlx::query_as(OPEN)
                    .bind(of.as_str())
                    .fetch_all(self)
                    .await?;
                let moves = rows.into_iter().map(past);
                moves.map(|found| Ok(found?.begun)).collect()
            }

            async fn past_moves(
                &mut self,
                of: Option<ExtensionId>,
                behind: Option<(UnixTime, MoveId)>,
                limit: u32,
            ) -> Result<Vec<PastMove>, DatabaseError> {
                // Every move is behind the end of time.
                let (at, id) = behind.map_or((i64::MAX, String::new()), |(at, id)| (at.0, id.to_string()));
                let query = match &of {
                    None => sqlx::query_as(PAST),
                    Some(_) => sqlx::query_as(PAST_OF),
                };
                let mut query = query.bind(i64::from(limit)).bind(at).bind(id);
                if let Some(of) = &of {
                    query = query.bind(of.domain.as_str()).bind(of.number.as_str());
                }
                let rows: Vec<Row> = query.fetch_all(self).await?;
                rows.into_iter().map(past).collect()
            }

            async fn move_began(&mut self, id: MoveId) -> Result<Option<UnixTime>, DatabaseError> {
                let query = sqlx::query_scalar("SELECT started_at FROM move WHERE id = $1");
                let began = query.bind(id.to_string()).fetch_optional(self).await?;
                Ok(began.map(UnixTime))
            }

            async fn untold_moves(&mut self, limit: u32) -> Result<Vec<PastMove>, DatabaseError> {
                let query = sqlx::query_as(UNTOLD).bind(i64::from(limit));
                let rows: Vec<Row> = query.fetch_all(self).await?;
                rows.into_iter().map(past).collect()
            }

            async fn tell_move(&mut self, id: MoveId) -> Result<bool, DatabaseError> {
                let done = sqlx::query("UPDATE move SET told = 1 WHERE id = $1 AND told = 0")
                    .bind(id.to_string())
                    .execute(self)
                    .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn forget_some(&mut self, ended_before: UnixTime) -> Result<u64, DatabaseError> {
                let done = sqlx::query(
                    "DELETE FROM move WHERE id IN (SELECT id FROM move WHERE ended_at < $1 ORDER BY started_at LIMIT $2)",
                )
                .bind(ended_before.0)
                .bind(PORTION)
                .execute(self)
                .await?;
                Ok(done.rows_affected())
            }
        }
    };
}

journal!(sqlx::PgConnection, "BEGIN");
// As for a change of the directory: the lock for writing is taken at once.
journal!(sqlx::SqliteConnection, "BEGIN IMMEDIATE");

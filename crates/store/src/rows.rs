//! The queries.
//!
//! Owns all SQL but the migrations, and what a row means. Refuses to decide anything: the rules are in [`crate::rules`].
//! Each query is written once: PostgreSQL and SQLite understand the same words for all that is needed here, `$1` included.

use async_trait::async_trait;
use callhop_calls::{
    directory::{Extension, Route, RouteEnd, RouteTarget},
    id::{DeviceId, ExtensionId, Number, UnixTime},
};

use sqlx::Executor;

use crate::{
    Actor, DatabaseError, Revision, RouteChange, Versioned,
    values::{route_of_text, route_text},
};

/// Which extensions to read.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    All,
    ChangedSince(Revision),
    One(ExtensionId),
    /// So many behind that one, by domain and number.
    Page(Option<ExtensionId>, u32),
}

/// What was read, all at one moment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) revision: Revision,
    pub(crate) extensions: Vec<Versioned>,
    pub(crate) removed: Vec<ExtensionId>,
}

impl Found {
    pub(crate) fn into_extensions(self) -> Vec<Extension> {
        self.extensions.into_iter().map(|v| v.extension).collect()
    }
}

/// The queries on one connection. Arguments are owned, so that a caller can hold the future for as long as the connection.
#[async_trait]
pub(crate) trait Rows: Send {
    /// Begins a transaction that writes and counts the revision up: from here to its end no other writer is at work.
    async fn begin_writing(&mut self) -> Result<Revision, DatabaseError>;
    async fn commit(&mut self) -> Result<(), DatabaseError>;
    async fn rollback(&mut self) -> Result<(), DatabaseError>;

    async fn revision(&mut self) -> Result<Revision, DatabaseError>;
    async fn find(&mut self, which: Which) -> Result<Found, DatabaseError>;
    async fn owner(&mut self, device: DeviceId) -> Result<Option<ExtensionId>, DatabaseError>;
    /// Whose route has the target `id`.
    async fn routed_to(&mut self, id: ExtensionId) -> Result<Vec<ExtensionId>, DatabaseError>;
    async fn history(
        &mut self,
        id: ExtensionId,
        limit: u32,
    ) -> Result<Vec<RouteChange>, DatabaseError>;

    async fn insert_extension(
        &mut self,
        id: ExtensionId,
        at: Revision,
        actor: Actor,
        now: UnixTime,
    ) -> Result<(), DatabaseError>;
    async fn insert_device(
        &mut self,
        device: DeviceId,
        of: Number,
        place: i64,
    ) -> Result<(), DatabaseError>;
    async fn place_device(&mut self, device: DeviceId, place: i64) -> Result<(), DatabaseError>;
    async fn delete_device(&mut self, device: DeviceId) -> Result<(), DatabaseError>;
    /// Marks the extension as changed.
    async fn touch_extension(&mut self, id: ExtensionId, at: Revision)
    -> Result<(), DatabaseError>;
    /// Deletes the extension with its devices, and leaves its tombstone.
    async fn delete_extension(
        &mut self,
        id: ExtensionId,
        at: Revision,
        actor: Actor,
        now: UnixTime,
    ) -> Result<(), DatabaseError>;
    async fn delete_route(&mut self, id: ExtensionId) -> Result<(), DatabaseError>;
    async fn insert_route(&mut self, id: ExtensionId, route: Route) -> Result<(), DatabaseError>;
    async fn insert_change(
        &mut self,
        id: ExtensionId,
        change: RouteChange,
    ) -> Result<(), DatabaseError>;
}

/// One row of a `find!` query: the revision, and then an extension, a tombstone, or nothing.
type FoundRow = (
    i64,            // revision
    Option<String>, // domain
    Option<String>, // number
    Option<String>, // devices with spaces between them, none if removed
    Option<String>, // the route's device
    Option<String>, // the route's colleague
    Option<String>, // the route's kind of end
    Option<i64>,    // the route's end
    Option<i64>,    // the last change of the extension
);

/// A query for extensions: one statement, and thus one moment, on both databases.
///
/// The devices come by a query inside the query, so that a planner without statistics cannot choose anything but the index
/// for them: with a join PostgreSQL read whole tables for one changed route.
macro_rules! find {
    ($extensions:literal) => {
        concat!(
            "SELECT v.revision, e.domain, e.number, \
             (SELECT string_agg(d.number, ' ' ORDER BY d.place) FROM device d \
              WHERE d.domain = e.domain AND d.extension = e.number), \
             r.device, r.colleague, r.ends, r.ends_at, e.revision \
             FROM revision v LEFT JOIN (",
            $extensions,
            ") e ON TRUE \
             LEFT JOIN route r ON r.domain = e.domain AND r.extension = e.number \
             ORDER BY e.domain, e.number"
        )
    };
}

const FIND_ALL: &str = find!("SELECT domain, number, revision FROM extension");
const FIND_ONE: &str =
    find!("SELECT domain, number, revision FROM extension WHERE domain = $1 AND number = $2");
const FIND_PAGE: &str = find!(
    "SELECT domain, number, revision FROM extension WHERE (domain, number) > ($1, $2) \
     ORDER BY domain, number LIMIT $3"
);
/// The upper end says nothing new; it makes PostgreSQL expect a small range instead of a third of the table.
const FIND_CHANGED: &str = find!(
    "SELECT domain, number, revision FROM extension \
     WHERE revision > $1 AND revision <= (SELECT revision FROM revision) \
     UNION ALL \
     SELECT domain, number, revision FROM removed_extension \
     WHERE revision > $1 AND revision <= (SELECT revision FROM revision)"
);

/// Parses a name that came out of the database.
pub(crate) fn parsed<T: std::str::FromStr>(
    what: &'static str,
    text: &str,
) -> Result<T, DatabaseError> {
    text.parse().map_err(|_| unreadable(what, text))
}

fn unreadable(what: &'static str, text: &str) -> DatabaseError {
    DatabaseError::Unreadable {
        what,
        text: text.to_owned(),
    }
}

/// Puts the rows of one `find!` query together. An extension always has a device, a tombstone never has one.
fn found(rows: Vec<FoundRow>) -> Result<Found, DatabaseError> {
    let mut found = Found {
        revision: Revision(0),
        extensions: Vec::with_capacity(rows.len()),
        removed: Vec::new(),
    };
    for (revision, domain, number, devices, to_device, to_colleague, ends, ends_at, version) in rows
    {
        found.revision = Revision(revision);
        let (Some(domain), Some(number)) = (domain, number) else {
            continue;
        };
        let id = ExtensionId::new(parsed("a number", &number)?, parsed("a domain", &domain)?);
        let Some(devices) = devices else {
            found.removed.push(id);
            continue;
        };
        let devices = devices.split(' ').map(|device| parsed("a device", device));
        let devices = devices.collect::<Result<_, _>>()?;
        let route = match ends {
            Some(ends) => Some(route(&id, to_device, to_colleague, &ends, ends_at)?),
            None => None,
        };
        found.extensions.push(Versioned {
            extension: Extension { id, devices, route },
            version: Revision(version.unwrap_or(revision)),
        });
    }
    Ok(found)
}

pub(crate) fn route(
    id: &ExtensionId,
    device: Option<String>,
    colleague: Option<String>,
    ends: &str,
    ends_at: Option<i64>,
) -> Result<Route, DatabaseError> {
    let target = match (device, colleague) {
        (Some(device), None) => RouteTarget::Device(DeviceId::new(
            parsed("a device", &device)?,
            id.domain.clone(),
        )),
        (None, Some(colleague)) => RouteTarget::Extension(ExtensionId::new(
            parsed("a number", &colleague)?,
            id.domain.clone(),
        )),
        (Some(_), Some(_)) => return Err(unreadable("one target of a route", "two")),
        (None, None) => return Err(unreadable("the target of a route", "")),
    };
    let end = match (ends, ends_at) {
        ("never", None) => RouteEnd::Never,
        ("next_call", None) => RouteEnd::NextCall,
        ("at", Some(at)) => RouteEnd::At(UnixTime(at)),
        _ => return Err(unreadable("the end of a route", ends)),
    };
    Ok(Route { target, end })
}

/// A row of the audit trail: revision, time, actor, before, after.
pub(crate) type ChangeRow = (i64, i64, String, Option<String>, Option<String>);

pub(crate) fn change(row: ChangeRow) -> Result<RouteChange, DatabaseError> {
    let (revision, at, actor, before, after) = row;
    let read = |text: Option<String>| {
        text.map(|text| route_of_text(&text).ok_or_else(|| unreadable("a route", &text)))
            .transpose()
    };
    Ok(RouteChange {
        revision: Revision(revision),
        at: UnixTime(at),
        actor: parsed("who did it", &actor)?,
        before: read(before)?,
        after: read(after)?,
    })
}

/// Writes the queries for one kind of connection. `$begin` is what makes a transaction a writing one.
macro_rules! rows {
    ($connection:ty, $begin:literal) => {
        #[async_trait]
        impl Rows for $connection {
            async fn begin_writing(&mut self) -> Result<Revision, DatabaseError> {
                Executor::execute(&mut *self, $begin).await?;
                let revision: i64 =
                    sqlx::query_scalar("UPDATE revision SET revision = revision + 1 RETURNING revision")
                        .fetch_one(self)
                        .await?;
                Ok(Revision(revision))
            }

            async fn commit(&mut self) -> Result<(), DatabaseError> {
                Executor::execute(self, "COMMIT").await?;
                Ok(())
            }

            async fn rollback(&mut self) -> Result<(), DatabaseError> {
                Executor::execute(self, "ROLLBACK").await?;
                Ok(())
            }

            async fn revision(&mut self) -> Result<Revision, DatabaseError> {
                let revision: i64 = sqlx::query_scalar("SELECT revision FROM revision")
                    .fetch_one(self)
                    .await?;
                Ok(Revision(revision))
            }

            async fn find(&mut self, which: Which) -> Result<Found, DatabaseError> {
                let query = match which {
                    Which::All => sqlx::query_as(FIND_ALL),
                    Which::ChangedSince(revision) => sqlx::query_as(FIND_CHANGED).bind(revision.0),
                    Which::One(id) => sqlx::query_as(FIND_ONE)
                        .bind(id.domain.to_string())
                        .bind(id.number.to_string()),
                    Which::Page(after, limit) => {
                        // No domain and no number is empty, so every one is behind this.
                        let (domain, number) = after.map_or_else(Default::default, |id| {
                            (id.domain.to_string(), id.number.to_string())
                        });
                        let query = sqlx::query_as(FIND_PAGE).bind(domain).bind(number);
                        query.bind(i64::from(limit))
                    }
                };
                found(query.fetch_all(self).await?)
            }

            async fn owner(
                &mut self,
                device: DeviceId,
            ) -> Result<Option<ExtensionId>, DatabaseError> {
                let owner: Option<String> =
                    sqlx::query_scalar("SELECT extension FROM device WHERE domain = $1 AND number = $2")
                        .bind(device.domain.as_str())
                        .bind(device.number.as_str())
                        .fetch_optional(self)
                        .await?;
                match owner {
                    Some(number) => Ok(Some(ExtensionId::new(
                        parsed("a number", &number)?,
                        device.domain,
                    ))),
                    None => Ok(None),
                }
            }

            async fn routed_to(
                &mut self,
                id: ExtensionId,
            ) -> Result<Vec<ExtensionId>, DatabaseError> {
                let numbers: Vec<String> = sqlx::query_scalar(
                    "SELECT extension FROM route WHERE domain = $1 AND colleague = $2 ORDER BY extension",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .fetch_all(self)
                .await?;
                numbers
                    .iter()
                    .map(|number| {
                        Ok(ExtensionId::new(
                            parsed("a number", number)?,
                            id.domain.clone(),
                        ))
                    })
                    .collect()
            }

            async fn history(
                &mut self,
                id: ExtensionId,
                limit: u32,
            ) -> Result<Vec<RouteChange>, DatabaseError> {
                let rows: Vec<ChangeRow> = sqlx::query_as(
                    "SELECT revision, changed_at, actor, route_before, route_after FROM route_change \
                     WHERE domain = $1 AND number = $2 ORDER BY revision DESC LIMIT $3",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .bind(i64::from(limit))
                .fetch_all(self)
                .await?;
                rows.into_iter().map(change).collect()
            }

            async fn insert_extension(
                &mut self,
                id: ExtensionId,
                at: Revision,
                actor: Actor,
                now: UnixTime,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "INSERT INTO extension (domain, number, revision, added_at, added_by) \
                     VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .bind(at.0)
                .bind(now.0)
                .bind(actor.to_string())
                .execute(&mut *self)
                .await?;
                sqlx::query("DELETE FROM removed_extension WHERE domain = $1 AND number = $2")
                    .bind(id.domain.as_str())
                    .bind(id.number.as_str())
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn insert_device(
                &mut self,
                device: DeviceId,
                of: Number,
                place: i64,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "INSERT INTO device (domain, number, extension, place) VALUES ($1, $2, $3, $4)",
                )
                .bind(device.domain.as_str())
                .bind(device.number.as_str())
                .bind(of.as_str())
                .bind(place)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn place_device(
                &mut self,
                device: DeviceId,
                place: i64,
            ) -> Result<(), DatabaseError> {
                sqlx::query("UPDATE device SET place = $1 WHERE domain = $2 AND number = $3")
                    .bind(place)
                    .bind(device.domain.as_str())
                    .bind(device.number.as_str())
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn delete_device(&mut self, device: DeviceId) -> Result<(), DatabaseError> {
                sqlx::query("DELETE FROM device WHERE domain = $1 AND number = $2")
                    .bind(device.domain.as_str())
                    .bind(device.number.as_str())
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn touch_extension(
                &mut self,
                id: ExtensionId,
                at: Revision,
            ) -> Result<(), DatabaseError> {
                sqlx::query("UPDATE extension SET revision = $1 WHERE domain = $2 AND number = $3")
                    .bind(at.0)
                    .bind(id.domain.as_str())
                    .bind(id.number.as_str())
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn delete_extension(
                &mut self,
                id: ExtensionId,
                at: Revision,
                actor: Actor,
                now: UnixTime,
            ) -> Result<(), DatabaseError> {
                for delete in [
                    "DELETE FROM device WHERE domain = $1 AND extension = $2",
                    "DELETE FROM extension WHERE domain = $1 AND number = $2",
                ] {
                    sqlx::query(delete)
                        .bind(id.domain.as_str())
                        .bind(id.number.as_str())
                        .execute(&mut *self)
                        .await?;
                }
                sqlx::query(
                    "INSERT INTO removed_extension (domain, number, revision, removed_at, removed_by) \
                     VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .bind(at.0)
                .bind(now.0)
                .bind(actor.to_string())
                .execute(self)
                .await?;
                Ok(())
            }

            async fn delete_route(&mut self, id: ExtensionId) -> Result<(), DatabaseError> {
                sqlx::query("DELETE FROM route WHERE domain = $1 AND extension = $2")
                    .bind(id.domain.as_str())
                    .bind(id.number.as_str())
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn insert_route(
                &mut self,
                id: ExtensionId,
                route: Route,
            ) -> Result<(), DatabaseError> {
                let (device, colleague) = match route.target {
                    RouteTarget::Device(device) => (Some(device.number.to_string()), None),
                    RouteTarget::Extension(other) => (None, Some(other.number.to_string())),
                };
                let (ends, ends_at) = match route.end {
                    RouteEnd::Never => ("never", None),
                    RouteEnd::At(at) => ("at", Some(at.0)),
                    RouteEnd::NextCall => ("next_call", None),
                };
                sqlx::query(
                    "INSERT INTO route (domain, extension, device, colleague, ends, ends_at) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .bind(device)
                .bind(colleague)
                .bind(ends)
                .bind(ends_at)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn insert_change(
                &mut self,
                id: ExtensionId,
                change: RouteChange,
            ) -> Result<(), DatabaseError> {
                sqlx::query(
                    "INSERT INTO route_change \
                     (domain, number, revision, changed_at, actor, route_before, route_after) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(id.domain.as_str())
                .bind(id.number.as_str())
                .bind(change.revision.0)
                .bind(change.at.0)
                .bind(change.actor.to_string())
                .bind(change.before.as_ref().map(route_text))
                .bind(change.after.as_ref().map(route_text))
                .execute(self)
                .await?;
                Ok(())
            }
        }
    };
}

rows!(sqlx::PgConnection, "BEGIN");
// The first statement writes, so this says only what that would do: the lock for writing is taken before anything is read.
rows!(sqlx::SqliteConnection, "BEGIN IMMEDIATE");

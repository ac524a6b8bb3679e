//! From a URL to a store.
//!
//! Owns the options of the connections and the migrations. Refuses a database that a newer program has been at.
//!
//! **Invariant**: all migrations of a start run in one transaction that no other start can enter: an immediate one on SQLite,
//! one with an advisory lock on PostgreSQL. Programs that start at once wait for each other, and a start that fails
//! leaves the database as it was. So no migration may contain a statement that cannot run in a transaction.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, SqliteConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{DatabaseError, OpenError, Options, Store, database::Database};

static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// The key of PostgreSQL's advisory lock for starts: "callhop" in ASCII. Locks are per database.
const STARTING: i64 = 0x63_61_6c_6c_68_6f_70;

/// Another connection has the file's lock (sqlite.org/rescode.html#busy).
const SQLITE_BUSY: &str = "5";

/// Opens the store, creates the file of an SQLite one, and brings the database to this program's version.
///
/// | url | database |
/// |---|---|
/// | `sqlite:callhop.db`, `sqlite:///var/lib/callhop/callhop.db` | a file; its folder must exist and be on a local disk |
/// | `postgres://user:password@host:5432/database` | PostgreSQL 12 or newer; `?host=/run/postgresql` for a socket |
///
/// # Errors
/// The URL is not usable; the database is not available ([`OpenError::is_unavailable`]: try again later), was used by a newer
/// program, or cannot be migrated.
pub async fn open(url: &str, options: Options) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        open_sqlite(path.strip_prefix("//").unwrap_or(path), &options).await
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        open_postgres(url, &options).await
    } else {
        Err(OpenError::Url {
            reason: "it begins neither with sqlite: nor with postgres://".to_owned(),
        })
    }
}

async fn open_sqlite(path: &str, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err(OpenError::Url {
            reason: "sqlite: is followed by the path of a file, and by nothing else".to_owned(),
        });
    }
    let location = format!("sqlite:{path}");
    let base = SqliteConnectOptions::new()
        .filename(Path::new(path))
        .foreign_keys(true)
        // Below the time of an operation, so that a file that is locked is named as the reason.
        .busy_timeout(options.timeout.mul_f32(0.8))
        .disable_statement_logging();
    let writer = base
        .clone()
        // FULL: what was committed survives a power cut. In WAL mode NORMAL would not promise that.
        .synchronous(SqliteSynchronous::Full);
    let reader = base.pragma("query_only", "ON");
    let starter = writer
        .clone()
        .create_if_missing(true)
        .busy_timeout(options.long_timeout.mul_f32(0.8))
        .journal_mode(SqliteJournalMode::Wal);
    let connecting = connect_in_wal(&starter);
    migrate::<SqliteConnection>(
        &location,
        connecting,
        options,
        &SQLITE,
        "BEGIN IMMEDIATE",
        None,
    )
    .await?;
    Ok(Arc::new(Database::<SqliteConnection>::new(
        location, options, reader, writer,
    )))
}

/// A connection to a file that is in WAL mode.
///
/// SQLite waits for no lock where a reader becomes a writer, since two of them would wait for each other (btree.c,
/// `sqlite3BtreeBeginTrans`), and that is how the mode of a file changes (`sqlite3BtreeSetVersion`). So of programs that
/// start on a new file at once, some are told at once that it is busy. They come again, until the caller's time is
/// up: whoever finds the mode set needs no lock.
async fn connect_in_wal(starter: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    const AGAIN: Duration = Duration::from_millis(5);
    loop {
        match starter.connect().await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(SQLITE_BUSY) => {
                tokio::time::sleep(AGAIN).await;
            }
            connected => return connected,
        }
    }
}

async fn open_postgres(url: &str, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    let base = PgConnectOptions::from_str(url)
        .map_err(|error| OpenError::Url {
            reason: error.to_string(),
        })?
        .application_name("callhop")
        .disable_statement_logging();
    let host = match base.get_socket() {
        Some(path) => path.display().to_string(),
        None => base.get_host().to_owned(),
    };
    let location = format!(
        "postgres://{}@{host}:{}/{}",
        base.get_username(),
        base.get_port(),
        base.get_database().unwrap_or(base.get_username()),
    );
    let limit = |timeout: Duration| format!("{}ms", timeout.as_millis().max(1));
    let bounded = |statement: Duration| {
        base.clone().options([
            ("statement_timeout", limit(statement)),
            // A controller that is frozen inside a transaction must not keep the others from writing.
            (
                "idle_in_transaction_session_timeout",
                limit(options.timeout),
            ),
            // Compiling a query takes PostgreSQL longer than any query here.
            ("jit", "off".to_owned()),
        ])
    };
    let writer = bounded(options.timeout);
    let reader = bounded(options.long_timeout).options([("default_transaction_read_only", "on")]);
    let lock = format!("SELECT pg_advisory_xact_lock({STARTING})");
    let connecting = base.connect();
    migrate::<PgConnection>(
        &location,
        connecting,
        options,
        &POSTGRES,
        "BEGIN",
        Some(&lock),
    )
    .await?;
    Ok(Arc::new(Database::<PgConnection>::new(
        location, options, reader, writer,
    )))
}

/// Brings a database to this program's version, on a connection of its own.
async fn migrate<C>(
    location: &str,
    connecting: impl Future<Output = Result<C, sqlx::Error>>,
    limits: &Options,
    migrator: &Migrator,
    begin: &'static str,
    lock: Option<&str>,
) -> Result<(), OpenError>
where
    C: Connection + Migrate,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    let failed = |source: MigrateError| match source {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if DatabaseError::is_passing(&source) =>
        {
            OpenError::Unavailable {
                location: location.to_owned(),
                source: source.into(),
            }
        }
        source => OpenError::Migrate {
            location: location.to_owned(),
            source,
        },
    };
    let work = async {
        let mut connection = match tokio::time::timeout(limits.timeout, connecting).await {
            Ok(connected) => connected.map_err(|source| OpenError::Unavailable {
                location: location.to_owned(),
                source: source.into(),
            })?,
            Err(_) => return Err(too_late(location, limits.timeout)),
        };
        let execute = |error| failed(MigrateError::Execute(error));
        let mut transaction = connection.begin_with(begin).await.map_err(execute)?;
        if let Some(lock) = lock {
            (&mut *transaction).execute(lock).await.map_err(execute)?;
        }
        transaction
            .ensure_migrations_table()
            .await
            .map_err(failed)?;
        let applied = transaction
            .list_applied_migrations()
            .await
            .map_err(failed)?;
        let unknown = |version: &i64| !migrator.version_exists(*version);
        if let Some(database) = applied.iter().map(|m| m.version).filter(unknown).max() {
            return Err(OpenError::Newer {
                location: location.to_owned(),
                database,
                program: migrator.iter().map(|m| m.version).max().unwrap_or(0),
            });
        }
        migrator
            .run_direct(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(execute)?;
        // Everything is committed: what the database says to the goodbye changes nothing.
        let _ = connection.close().await;
        Ok(())
    };
    match tokio::time::timeout(limits.long_timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(too_late(location, limits.long_timeout)),
    }
}

fn too_late(location: &str, after: Duration) -> OpenError {
    OpenError::Unavailable {
        location: location.to_owned(),
        source: DatabaseError::Timeout { after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_migrations_by_number() {
        let list = |migrator: &'static Migrator| -> Vec<_> {
            let migrations = migrator.iter();
            migrations.map(|m| (m.version, &m.description)).collect()
        };
        assert_eq!(list(&POSTGRES), list(&SQLITE));
    }

    #[test]
    fn migrations_run_in_a_transaction() {
        for migrator in [&POSTGRES, &SQLITE] {
            assert!(migrator.iter().all(|migration| !migration.no_tx));
        }
    }
}

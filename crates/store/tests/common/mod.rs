//! A fresh database of either kind for one test, and a hand in it beside the store.

// Each test file uses its part of this one.
#![allow(dead_code)]

use std::sync::Arc;

use callhop_store::{Options, Store, open, testing::Postgres};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

/// A database that nobody else has. A file is deleted with it.
pub(crate) struct Place {
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    /// Opens it, as a program of its own would.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        open(&self.url, Options::default()).await.unwrap()
    }

    /// A connection that knows no rules.
    pub(crate) async fn hand(&self) -> Hand {
        match self.url.strip_prefix("sqlite://") {
            Some(_) => Hand::Sqlite(SqliteConnection::connect(&self.url).await.unwrap()),
            None => Hand::Postgres(PgConnection::connect(&self.url).await.unwrap()),
        }
    }
}

/// A file.
pub(crate) fn sqlite() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place {
        url: format!("sqlite://{}/callhop.db", folder.path().display()),
        _folder: Some(folder),
    }
}

/// A database on this process's PostgreSQL.
pub(crate) fn postgres() -> Place {
    postgres_on(Postgres::shared())
}

/// A database on a PostgreSQL that the test is going to stop.
pub(crate) fn postgres_on(cluster: &Postgres) -> Place {
    Place {
        url: cluster.database().unwrap(),
        _folder: None,
    }
}

/// Somebody with a database's own tool.
pub(crate) enum Hand {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Hand {
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(hand) => hand.execute(sql).await.map(|r| r.rows_affected()),
            Self::Postgres(hand) => hand.execute(sql).await.map(|r| r.rows_affected()),
        }
    }

    pub(crate) async fn text(&mut self, sql: &str) -> String {
        match self {
            Self::Sqlite(hand) => sqlx::query_scalar(sql).fetch_one(hand).await.unwrap(),
            Self::Postgres(hand) => sqlx::query_scalar(sql).fetch_one(hand).await.unwrap(),
        }
    }
}

//! A fresh database of either kind for one test.

use std::sync::Arc;

use callhop_store::{Options, Store, open, testing::Postgres};

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
    Place {
        url: Postgres::shared().database().unwrap(),
        _folder: None,
    }
}

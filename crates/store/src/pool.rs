//! Connections, kept open.
//!
//! Owns the idle connections of one kind and the limit of their number. Refuses to wait for a database that is down: the
//! pool of the driver tries again until its own time-out when a connection is refused and then says only that it was
//! too late, whereas an inbound call wants to hear the reason at once and ring by what is known.
//!
//! **Invariant**: a connection comes back only by [`Lease::keep`], after its work was done to the end. A lease that is dropped in the
//! middle of something (an error, a time-out, a caller that went away) closes its connection, and the database
//! rolls back what it had not committed.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::DatabaseError;

/// Connections to one database with the same options.
pub(crate) struct Pool<C: Connection> {
    options: C::Options,
    idle: Mutex<Vec<C>>,
    permits: Semaphore,
}

impl<C> Pool<C>
where
    C: Connection,
    C::Options: ConnectOptions<Connection = C>,
{
    /// A pool of at most `size` connections, none of which is open yet.
    pub(crate) fn new(options: C::Options, size: usize) -> Self {
        Self {
            options,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(size),
        }
    }

    /// A connection for one piece of work. Waits for its turn; the caller bounds that.
    pub(crate) async fn lease(&self) -> Result<Lease<'_, C>, DatabaseError> {
        // Nobody has a way to close it.
        #[allow(clippy::expect_used)]
        let permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore of a pool is never closed");
        let idle = self.idle().pop();
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Lease {
            pool: self,
            connection,
            reused,
            permit,
        })
    }

    /// Closes the idle connections: one of them was found dead, and the others died with it.
    pub(crate) fn forget(&self) {
        self.idle().clear();
    }

    /// Closes the idle connections in the polite way.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // The database drops the connection in any case: what it says to the goodbye changes nothing.
            let _ = connection.close().await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<C>> {
        // Nothing can panic while the list is locked, and a list of connections is never half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection for one piece of work.
pub(crate) struct Lease<'a, C: Connection> {
    pool: &'a Pool<C>,
    connection: C,
    /// Whether it was idle before, and thus may have died unnoticed.
    pub(crate) reused: bool,
    permit: SemaphorePermit<'a>,
}

impl<C> Lease<'_, C>
where
    C: Connection,
    C::Options: ConnectOptions<Connection = C>,
{
    /// Gives the connection back: its work was done to the end.
    pub(crate) fn keep(self) {
        self.pool.idle().push(self.connection);
        drop(self.permit);
    }
}

impl<C: Connection> Deref for Lease<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C: Connection> DerefMut for Lease<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

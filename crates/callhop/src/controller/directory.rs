//! The directory in memory, kept as the database has it.

use std::sync::Arc;
use std::time::Duration;

use callhop_calls::core::{Input, StoreFailure};
use callhop_store::{DatabaseError, ResetRouteError, Revision, SetRouteError, Store};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::{Core, Metrics};
use crate::config;

/// How often the database is asked for changes when no call asks: for what another program has written, so that the routing
/// snapshot on the switch follows.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Opens the database, and waits for one that is not there yet.
///
/// # Errors
/// It can never be used: a bad address, or a database that is newer than this program.
pub(super) async fn open(store: &config::Store) -> anyhow::Result<Arc<dyn Store>> {
    let mut backoff =
        callhop_esl::Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        match callhop_store::open(store.url.reveal(), callhop_store::Options::default()).await {
            Ok(store) => {
                info!(database = store.location(), "the database is open");
                return Ok(store);
            }
            Err(error) if error.is_unavailable() => {
                let error = format!("{:#}", anyhow::Error::from(error));
                warn!(error, "waiting for the database");
            }
            Err(error) => return Err(anyhow::Error::from(error).context("store.url")),
        }
        tokio::time::sleep(backoff.next_delay(rand::random::<f64>())).await;
    }
}

/// What the core is told about a route that was not set.
pub(super) fn not_set(error: SetRouteError) -> StoreFailure {
    let text = error.to_string();
    match error {
        SetRouteError::Database(error) => failed(error),
        SetRouteError::UnknownExtension(_)
        | SetRouteError::NotOwnDevice { .. }
        | SetRouteError::UnknownTarget(_)
        | SetRouteError::OtherDomain { .. }
        | SetRouteError::ToItself(_)
        | SetRouteError::EndInThePast { .. }
        | SetRouteError::Changed(_) => StoreFailure::Refused(text),
    }
}

/// What the core is told about a route that was not reset.
pub(super) fn not_reset(error: ResetRouteError) -> StoreFailure {
    match error {
        ResetRouteError::Database(error) => failed(error),
        ResetRouteError::UnknownExtension(_) | ResetRouteError::Changed(_) => {
            StoreFailure::Refused(error.to_string())
        }
    }
}

fn failed(error: DatabaseError) -> StoreFailure {
    let unavailable = error.is_unavailable();
    let text = format!("{:#}", anyhow::Error::from(error));
    if unavailable {
        StoreFailure::Unavailable(text)
    } else {
        StoreFailure::Refused(text)
    }
}

/// Brings the core's directory up to date with the database.
#[derive(Debug)]
pub struct DirectorySync {
    store: Arc<dyn Store>,
    core: Core,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the core has been told; `None` before the first reading.
    revision: Option<Revision>,
    /// The database did not answer the last time: calls don't wait for it until it does again.
    failing: bool,
}

impl DirectorySync {
    pub(super) fn new(store: Arc<dyn Store>, core: Core, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            core,
            metrics,
            state: Mutex::default(),
        }
    }

    /// Asks the database again and again, also while no call does.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut ticks = interval(FOLLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut state = self.state.lock().await;
            self.read(&mut state, None).await;
        }
    }

    /// Tells the core what has changed in the database. When this is done, whatever was committed before it began is
    /// known to the core, unless the database did not answer within `limit`, or did not the last time.
    pub async fn refresh(&self, limit: Duration) {
        let Ok(mut state) = timeout(limit, self.state.lock()).await else {
            return;
        };
        if !state.failing {
            self.read(&mut state, Some(limit)).await;
        }
    }

    /// Whether the directory has been read, and the database answered the last time.
    pub async fn is_ready(&self) -> bool {
        let state = self.state.lock().await;
        state.revision.is_some() && !state.failing
    }

    async fn read(&self, state: &mut State, limit: Option<Duration>) {
        let reading = async {
            match state.revision {
                None => {
                    let all = self.store.load().await?;
                    Ok((all.revision, Some(Input::WholeDirectory(all.extensions))))
                }
                Some(revision) => {
                    let changes = self.store.changes_since(revision).await?;
                    let input = if changes.complete {
                        Some(Input::WholeDirectory(changes.changed))
                    } else if changes.changed.is_empty() && changes.removed.is_empty() {
                        None
                    } else {
                        Some(Input::Directory(changes.changed, changes.removed))
                    };
                    Ok::<_, DatabaseError>((changes.revision, input))
                }
            }
        };
        let read = match limit {
            Some(limit) => timeout(limit, reading)
                .await
                .unwrap_or(Err(DatabaseError::Timeout { after: limit })),
            None => reading.await,
        };
        match read {
            Ok((revision, input)) => {
                if std::mem::take(&mut state.failing) {
                    info!("the database answers again");
                }
                state.revision = Some(revision);
                if let Some(input) = input {
                    self.core.send(input);
                }
            }
            Err(error) => {
                self.metrics.store_error();
                if !std::mem::replace(&mut state.failing, true) {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    warn!(
                        error,
                        "the database does not answer; routes are used as last read, and none can be changed"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_from_a_route_that_is_refused() {
        let away = || DatabaseError::Timeout {
            after: Duration::from_secs(2),
        };
        let is_unavailable = |failure| matches!(failure, StoreFailure::Unavailable(_));
        assert!(is_unavailable(not_set(away().into())));
        assert!(is_unavailable(not_reset(away().into())));
        let gone = || "1000@lab.test".parse().unwrap();
        assert!(!is_unavailable(not_set(SetRouteError::UnknownExtension(
            gone()
        ))));
        assert!(!is_unavailable(not_reset(
            ResetRouteError::UnknownExtension(gone())
        )));
    }
}

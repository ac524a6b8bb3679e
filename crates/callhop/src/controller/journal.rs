//! The journal of moves, written behind the core task.
//!
//! Owns the entries that are not yet in the database, in their order. Refuses to lose one, and to hold up a call for a database
//! that is away: whoever has to wait for an entry waits for [`PATIENCE`], and not at all while the last attempt has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callhop_calls::id::{SwitchName, UnixTime};
use callhop_calls::journal::{Entry, OpenMove};
use callhop_store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use super::Metrics;

/// How long an order waits until what comes before it is written: a hundred times what that takes.
const PATIENCE: Duration = Duration::from_millis(150);

/// When the database has not said whether an entry is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// When a database that is away is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many entries are written at once: what a slow database does in [`WRITE_TIMEOUT`].
const PORTION: usize = 200;

/// How many entries are kept for a database that is away: some days of moves of a large site. The oldest go first.
const BACKLOG: usize = 100_000;

/// How often old moves are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// How long a move that has ended is kept, in seconds: 90 days.
const KEEP: i64 = 90 * 24 * 3600;

enum Item {
    Entry(Entry),
    Tell(oneshot::Sender<()>),
}

/// The way to the journal.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::UnboundedSender<Item>,
    away: Arc<AtomicBool>,
}

impl Journal {
    /// Begins to write, until the program ends.
    pub(super) fn start(
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        now: fn() -> UnixTime,
    ) -> Self {
        let (queue, items) = mpsc::unbounded_channel();
        let away = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            store,
            metrics,
            now,
            away: away.clone(),
            backlog: Vec::new(),
        };
        tokio::spawn(writer.run(items));
        Self { queue, away }
    }

    /// Writes an entry behind all others.
    pub fn write(&self, entry: Entry) {
        // The writer ends only with the program.
        let _ = self.queue.send(Item::Entry(entry));
    }

    /// Waits until every entry so far is written, if the database is there; false: it is not, or takes too long.
    pub async fn written(&self) -> bool {
        if self.away.load(Ordering::Relaxed) {
            return false;
        }
        let (tell, told) = oneshot::channel();
        let _ = self.queue.send(Item::Tell(tell));
        let written = matches!(timeout(PATIENCE, told).await, Ok(Ok(())));
        if !written {
            warn!("a move goes on before it is written down: the database is slow");
        }
        written
    }
}

/// What earlier runs have left open. Without the database it is not known, and the calls in it end well by themselves.
pub(super) async fn open_moves(
    store: &dyn Store,
    switches: &[SwitchName],
    metrics: &Metrics,
) -> Vec<OpenMove> {
    match store.open_moves(switches).await {
        Ok(open) => {
            if !open.is_empty() {
                info!(
                    moves = open.len(),
                    "moves were under way when Callhop ended; the switch will tell what became of them"
                );
            }
            open
        }
        Err(error) => {
            metrics.store_error();
            error!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "the journal of moves can't be read"
            );
            Vec::new()
        }
    }
}

struct Writer {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    now: fn() -> UnixTime,
    away: Arc<AtomicBool>,
    backlog: Vec<Entry>,
}

impl Writer {
    async fn run(mut self, mut items: mpsc::UnboundedReceiver<Item>) {
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget = interval(FORGET_EVERY);
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = items.recv_many(&mut taken, 256) => {
                    if count == 0 {
                        return;
                    }
                    let mut waiting = Vec::new();
                    for item in taken.drain(..) {
                        match item {
                            Item::Entry(entry) => self.backlog.push(entry),
                            Item::Tell(tell) => waiting.push(tell),
                        }
                    }
                    self.metrics.backlog(self.backlog.len());
                    self.write().await;
                    for tell in waiting {
                        // Who waited may have lost patience.
                        let _ = tell.send(());
                    }
                }
                _ = retry.tick() => self.write().await,
                _ = forget.tick() => self.forget().await,
            }
        }
    }

    async fn write(&mut self) {
        let error = loop {
            if self.backlog.is_empty() {
                return;
            }
            let portion = self.backlog.len().min(PORTION);
            let write = self.store.write_journal(&self.backlog[..portion]);
            match timeout(WRITE_TIMEOUT, write).await {
                Ok(Ok(())) => {
                    self.backlog.drain(..portion);
                    self.metrics.backlog(self.backlog.len());
                    if self.away.swap(false, Ordering::Relaxed) {
                        info!("the journal of moves is written again");
                    }
                }
                Ok(Err(error)) => break format!("{:#}", anyhow::Error::from(error)),
                Err(_) => break format!("no answer within {WRITE_TIMEOUT:?}"),
            }
        };
        self.metrics.store_error();
        if !self.away.swap(true, Ordering::Relaxed) {
            error!(
                error,
                "the journal of moves can't be written; moves go on, and are written down when the database is back"
            );
        }
        let too_many = self.backlog.len().saturating_sub(BACKLOG);
        self.backlog.drain(..too_many);
        self.metrics.backlog(self.backlog.len());
    }

    async fn forget(&self) {
        let before = UnixTime((self.now)().0 - KEEP);
        match self.store.forget_moves(before).await {
            Ok(0) => {}
            Ok(moves) => info!(moves, "moves of more than 90 days ago are forgotten"),
            Err(error) => {
                self.metrics.store_error();
                warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "old moves could not be forgotten"
                );
            }
        }
    }
}

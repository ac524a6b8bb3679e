//! Webhooks: who wants to know is told of moves and route changes, signed, in order per extension, and again until it arrives.
//!
//! ```text
//! journal of moves, audit trail --[collector]--> deliveries in the database --[a sender per webhook]--> receivers
//! ```
//!
//! Owns when something is sent. Refuses to stand in the way of a move: it reads what was written behind one, and nothing waits for
//! it. At least once: a controller that is killed between an answer and the note of it sends that message again, with the same id.
//!
//! | file | what it knows |
//! |---|---|
//! | `event.rs` | what has happened, in the words of a message; pure |
//! | `schedule.rs` | when something is tried again; pure |
//! | `send.rs` | signature (Standard Webhooks) and HTTP |
//!
//! **Invariant**: of one extension a webhook is sent the next message only when the one before has arrived or was dropped, also with
//! several controllers: a delivery is claimed in the database, and only the first of an extension can be.

mod event;
mod schedule;
mod send;

use std::sync::Arc;
use std::time::Duration;

use callhop_calls::id::UnixTime;
use callhop_store::{DatabaseError, Delivery, NewDelivery, Store, Told};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::config::Webhook;
use crate::controller::{Journal, Metrics, News, unix_now};
use send::{Client, Receiver};

/// How often it is looked for what other programs wrote, and for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often old messages are dropped and the backlog is counted.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// How long a message is tried, in seconds: a day.
const KEEP: i64 = 24 * 3600;

/// How many messages wait for a webhook at most. The oldest go first.
const MOST: u32 = 10_000;

/// How many messages one webhook is sent at a time, each about another extension.
const AT_ONCE: usize = 8;

/// How many moves and changes are put into deliveries at a time.
const PORTION: u32 = 100;

/// How long nobody else sends what was claimed, in seconds: some times [`send::TIMEOUT`].
const CLAIM: i64 = 60;

/// What all of it shares.
#[derive(Debug, Clone)]
struct Common {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

/// Begins to tell, until what is given back is dropped.
pub(crate) fn start(
    webhooks: &[Webhook],
    store: Arc<dyn Store>,
    journal: Journal,
    metrics: Arc<Metrics>,
    news: watch::Receiver<News>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if !webhooks.is_empty() {
        let common = Common { store, metrics };
        tasks.spawn(tell(webhooks.to_vec(), common, journal, news));
    }
    tasks
}

async fn tell(
    webhooks: Vec<Webhook>,
    common: Common,
    journal: Journal,
    news: watch::Receiver<News>,
) {
    let all = webhooks.clone();
    let client = match tokio::task::spawn_blocking(move || Client::new(&all)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => {
            error!(error = format!("{error:#}"), "no webhook is told anything");
            return;
        }
        Err(_) => return,
    };
    let mut tasks = JoinSet::new();
    let (wake, woken) = watch::channel(());
    for webhook in &webhooks {
        let receiver = Receiver::new(webhook, client.clone());
        let sender = Sender {
            common: common.clone(),
            name: webhook.name.to_string(),
            receiver: Arc::new(receiver),
            failing: false,
        };
        tasks.spawn(sender.run(woken.clone()));
    }
    let collector = Collector {
        common,
        webhooks,
        since: Vec::new(),
        failing: false,
    };
    tasks.spawn(collector.run(journal, news, wake));
    while tasks.join_next().await.is_some() {}
}

/// Puts what has happened into deliveries.
struct Collector {
    common: Common,
    webhooks: Vec<Webhook>,
    /// Since when each of them is there.
    since: Vec<UnixTime>,
    failing: bool,
}

impl Collector {
    async fn run(
        mut self,
        journal: Journal,
        mut news: watch::Receiver<News>,
        wake: watch::Sender<()>,
    ) {
        let mut moves = news.borrow().moves;
        loop {
            match self.collect().await {
                Ok(collected) => {
                    if collected {
                        wake.send_replace(());
                        continue;
                    }
                    self.failing = false;
                }
                Err(error) => {
                    self.common.metrics.store_error();
                    if !std::mem::replace(&mut self.failing, true) {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        warn!(
                            error,
                            "webhooks are told later: the database does not answer"
                        );
                    }
                }
            }
            let ended = news.wait_for(|news| news.moves != moves);
            tokio::select! {
                ended = ended => match ended {
                    Ok(news) => moves = news.moves,
                    Err(_) => return,
                },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            journal.written().await;
        }
    }

    /// One portion; false if there was none.
    async fn collect(&mut self) -> Result<bool, DatabaseError> {
        let store = &self.common.store;
        let now = unix_now();
        for webhook in &self.webhooks[self.since.len()..] {
            let since = store.webhook_since(webhook.name.as_str(), now).await?;
            self.since.push(since);
        }
        let untold = store.untold(now, PORTION).await?;
        if untold.is_empty() {
            return Ok(false);
        }
        let mut deliveries = Vec::new();
        for event in event::events(&untold) {
            for (webhook, since) in self.webhooks.iter().zip(&self.since) {
                let is_new = event.at >= *since && event.at.0 > now.0 - KEEP;
                let domain = &event.extension.domain;
                let concerns = webhook.events.contains(&event.kind)
                    && (webhook.domains.is_empty() || webhook.domains.contains(domain));
                if is_new && concerns {
                    deliveries.push(NewDelivery {
                        webhook: webhook.name.to_string(),
                        extension: event.extension.clone(),
                        message: format!("msg_{:032x}", rand::random::<u128>()),
                        created: now,
                        body: event.body(),
                    });
                }
            }
        }
        let told = Told {
            from: untold.from,
            to: untold.to,
            moves: untold.moves.iter().map(|ended| ended.begun.id).collect(),
            deliveries,
        };
        // Whether another controller was faster or not: there may be more.
        store.tell(&told).await?;
        Ok(true)
    }
}

/// Sends what is due to one webhook.
struct Sender {
    common: Common,
    name: String,
    receiver: Arc<Receiver>,
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut woken: watch::Receiver<()>) {
        let mut sending = FuturesUnordered::new();
        let mut tidy = Instant::now();
        loop {
            if tidy <= Instant::now() {
                tidy = Instant::now() + TIDY_EVERY;
                self.tidy().await;
            }
            let free = AT_ONCE - sending.len();
            for delivery in self.claim(free).await {
                let receiver = self.receiver.clone();
                sending.push(async move {
                    let result = receiver.send(&delivery, unix_now()).await;
                    (delivery, result)
                });
            }
            tokio::select! {
                Some((delivery, result)) = sending.next(), if !sending.is_empty() => {
                    self.note(&delivery, result).await;
                }
                changed = woken.changed(), if sending.len() < AT_ONCE => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn claim(&self, free: usize) -> Vec<Delivery> {
        if free == 0 {
            return Vec::new();
        }
        let now = unix_now();
        let until = UnixTime(now.0 + CLAIM);
        let limit = u32::try_from(free).unwrap_or(1);
        let claim = self
            .common
            .store
            .claim_deliveries(&self.name, now, until, limit);
        match claim.await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                self.database_failed(error);
                Vec::new()
            }
        }
    }

    async fn note(&mut self, delivery: &Delivery, result: Result<(), String>) {
        let (store, now) = (&self.common.store, unix_now());
        let noted = match result {
            Ok(()) => {
                self.common.metrics.webhook_sent(&self.name, "delivered", 1);
                if std::mem::take(&mut self.failing) {
                    info!(webhook = self.name, "the webhook takes messages again");
                }
                store.finish_delivery(delivery.id).await
            }
            Err(error) => {
                self.common.metrics.webhook_sent(&self.name, "failed", 1);
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(
                        webhook = self.name,
                        error, "the webhook did not take a message; it is tried again"
                    );
                }
                let next = schedule::next(delivery.attempts, now, rand::random());
                store.postpone_delivery(delivery.id, next, &error).await
            }
        };
        if let Err(error) = noted {
            // It is sent again when nobody claims it any more.
            self.database_failed(error);
        }
    }

    async fn tidy(&self) {
        let before = UnixTime(unix_now().0 - KEEP);
        let store = &self.common.store;
        match store.drop_deliveries(&self.name, before, MOST).await {
            Ok(0) => {}
            Ok(dropped) => {
                self.common
                    .metrics
                    .webhook_sent(&self.name, "dropped", dropped);
                warn!(
                    webhook = self.name,
                    dropped, "messages were dropped: too old, or too many"
                );
            }
            Err(error) => self.database_failed(error),
        }
        match store.backlogs().await {
            Ok(backlogs) => {
                let own = backlogs.iter().find(|backlog| backlog.webhook == self.name);
                let count = own.map_or(0, |backlog| backlog.count);
                self.common.metrics.webhook_backlog(&self.name, count);
            }
            Err(error) => self.database_failed(error),
        }
    }

    fn database_failed(&self, error: DatabaseError) {
        self.common.metrics.store_error();
        let error = format!("{:#}", anyhow::Error::from(error));
        debug!(
            webhook = self.name,
            error, "the database does not answer a webhook"
        );
    }
}

//! The controller: one task that owns the core, and what carries the core's wishes out.
//!
//! ```text
//! switches --events--> [ core task ] --outputs--> switches, store, waiting channels
//! dialplans --asks---------^   ^---- directory, as the database has it
//! ```
//!
//! Owns the order of things: whatever concerns calls goes through the one queue of the core task, which never waits for
//! anything. Refuses to hold up a call for the database: the directory in memory is brought up to date before each
//! question, within [`REFRESH_TIMEOUT`], and is used as it is when the database does not answer.

mod directory;
mod journal;
mod lamps;
mod links;
mod metrics;
mod orders;
mod spans;
mod task;
pub mod view;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use callhop_calls::core::{Input, OfferRefusal, OfferRequest, PushWord};
use callhop_calls::id::{ChannelId, Domain, ExtensionId, MoveId, SwitchName};
use callhop_calls::journal::OpenMove;
use callhop_store::Store;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tracing::info;

use crate::config::Config;
use crate::switch::{Caller, RunError, Switch};
use crate::{asterisk, freeswitch, http, service, webhooks};

use orders::Orders;
use task::{CoreTask, Message};

pub use directory::DirectorySync;
pub use journal::Journal;
pub use links::Links;
pub use metrics::Metrics;
pub use task::{Core, News, StarReply};
pub(crate) use task::{since_1970, unix_now};

/// How long a question waits for the database before the directory is used as it is.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(150);

/// How long a star code waits for the events that were made before it: the switch looks every 20 ms whether it has some to
/// send.
const EVENT_LAG: Duration = Duration::from_millis(40);

/// How long a question waits for a link to its switch.
const LINK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a star code waits for a switch that is being read.
const FRESH_TIMEOUT: Duration = Duration::from_millis(400);

/// The way to each switch.
type Switches = Arc<HashMap<SwitchName, Arc<dyn Switch>>>;

/// Everything that a question needs.
#[derive(Debug, Clone)]
pub struct Controller {
    core: Core,
    switches: Switches,
    directory: Arc<DirectorySync>,
    store: Arc<dyn Store>,
    journal: Journal,
    metrics: Arc<Metrics>,
}

/// Why a question has no answer. The dialplan goes on without one.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such switch in the configuration.
    #[error("no switch is called {0}")]
    UnknownSwitch(SwitchName),
    /// The switch has no such channel: whoever asks is not that switch.
    #[error("the switch {0} has no channel {1}")]
    UnknownChannel(SwitchName, ChannelId),
    /// The channel does not wait for an answer: it was called, or has been answered.
    #[error("the channel {0} has not just called")]
    NotWaiting(ChannelId),
    /// The channel was not made for an offer, or has not been answered.
    #[error("the channel {0} was not offered anything")]
    NotOffered(ChannelId),
    /// The switch could not be asked who calls.
    #[error("the switch could not be asked")]
    Switch(#[from] RunError),
    /// The extension is not known, or not named properly.
    #[error("no such extension")]
    NoExtension,
    /// The program ends.
    #[error("the controller ends")]
    Ending,
}

/// Why a call is not offered, or an offer not withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] OfferRefusal),
    /// The program ends.
    #[error("the controller ends")]
    Ending,
}

impl Controller {
    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How the switches are heard.
    #[must_use]
    pub fn links(&self) -> Arc<Links> {
        self.metrics.links()
    }

    /// The core.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The journal of moves.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whether the directory has been read, and the database answered the last time.
    pub async fn database_is_ready(&self) -> bool {
        self.directory.is_ready().await
    }

    /// Reads what has changed in the database.
    pub async fn bring_up_to_date(&self) {
        self.directory.refresh(REFRESH_TIMEOUT).await;
    }

    /// A channel of `switch` has dialled a star code.
    ///
    /// # Errors
    /// The channel is not one that could have, or the switch can't be asked.
    pub async fn star(
        &self,
        switch: SwitchName,
        channel: ChannelId,
    ) -> Result<StarReply, AskError> {
        if let Some(commands) = self.switches.get(&switch) {
            commands.until_read(FRESH_TIMEOUT).await;
            commands.hurry_events();
        }
        let (caller, ()) = tokio::join!(
            self.caller(&switch, &channel),
            self.core.until_reported(&switch, &channel, EVENT_LAG)
        );
        let caller = caller?;
        if !caller.is_waiting {
            return Err(AskError::NotWaiting(channel));
        }
        self.reread(&switch, &caller).await?;
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Star(switch, caller, reply));
        answer.await.map_err(|_| AskError::Ending)
    }

    /// Offers a call to whom it shall go: they ring, and who answers gets it.
    ///
    /// # Errors
    /// There is no such call, or it may not go there; and the program ends.
    pub async fn offer(&self, request: OfferRequest) -> Result<OpenMove, OfferError> {
        for commands in self.switches.values() {
            commands.hurry_events();
        }
        // No leg tells here that what happened before has been reported, and nobody waits at a phone.
        tokio::join!(self.bring_up_to_date(), tokio::time::sleep(EVENT_LAG));
        for (name, commands) in self.switches.iter() {
            let (of, on) = (request.extension.clone(), name.clone());
            let legs = self.core.view(move |core, _| {
                let device = core.directory().extension(&of)?.device_ids().next()?;
                Some(core.legs_to_ask(&on, &device))
            });
            let legs = legs.await.ok_or(OfferError::Ending)?;
            // Of a switch that can't be asked the core knows that it is stale.
            if let Ok((read, absent)) = commands.read(legs.unwrap_or_default()).await {
                self.core.send(Input::Reread(name.clone(), read, absent));
            }
        }
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Offer(request, reply));
        Ok(answer.await.map_err(|_| OfferError::Ending)??)
    }

    /// Withdraws an offer that nobody has taken yet.
    ///
    /// # Errors
    /// There is none; and the program ends.
    pub async fn withdraw(&self, id: MoveId) -> Result<OpenMove, OfferError> {
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Withdraw(id, reply));
        Ok(answer.await.map_err(|_| OfferError::Ending)??)
    }

    /// A channel of `switch` that rang for an offer has been answered.
    ///
    /// # Errors
    /// The channel is not one that could have, or the switch can't be asked.
    pub async fn take(
        &self,
        switch: SwitchName,
        channel: ChannelId,
    ) -> Result<StarReply, AskError> {
        let commands = self.commands(&switch)?.clone();
        commands.until_read(FRESH_TIMEOUT).await;
        commands.hurry_events();
        let (caller, ()) = tokio::join!(
            self.caller(&switch, &channel),
            self.core.until_reported(&switch, &channel, EVENT_LAG)
        );
        let caller = caller?;
        let Some(id) = caller.made_by else {
            return Err(AskError::NotOffered(channel));
        };
        let name = switch.clone();
        let legs = self.core.view(move |core, _| core.legs_of_offer(&name, id));
        let legs = legs.await.ok_or(AskError::Ending)?;
        let (read, absent) = commands.read(legs).await?;
        self.core.send(Input::Reread(switch.clone(), read, absent));
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Take(switch, caller, id, reply));
        answer.await.map_err(|_| AskError::Ending)
    }

    /// An inbound call in `channel` asks where to ring; the answer is a dial string. `default_domain` is that of a call that has
    /// none of its own.
    ///
    /// # Errors
    /// The extension is not known, the channel is not one of the switch, or the switch can't be asked.
    pub async fn hunt(
        &self,
        switch: SwitchName,
        default_domain: Option<Domain>,
        channel: ChannelId,
    ) -> Result<String, AskError> {
        let caller = self.caller(&switch, &channel).await?;
        let number = caller.extension.as_ref().unwrap_or(&caller.dialled).parse();
        let (Ok(number), Some(domain)) = (number, caller.domain.or(default_domain)) else {
            return Err(AskError::NoExtension);
        };
        let (reply, answer) = oneshot::channel();
        let commands = self.commands(&switch)?.clone();
        self.core.put(Message::Hunt(
            switch,
            ExtensionId::new(number, domain),
            reply,
        ));
        let answer = answer.await.map_err(|_| AskError::Ending)?;
        answer
            .map(|answer| commands.dial_string(&answer))
            .ok_or(AskError::NoExtension)
    }

    /// What the leg of somebody who pushes is to do; `None` when it shall take the far end back.
    pub async fn push(&self, switch: SwitchName, channel: ChannelId) -> Option<PushWord> {
        let word = self
            .core
            .view(move |core, _| core.push_word(&switch, &channel));
        word.await.flatten()
    }

    /// Reads the legs again on which the answer depends. Their events may be late: by up to 20 ms always, and by half a second
    /// at the first call after a start of the switch (sofia_presence.c sleeps in the thread that hands out the events).
    async fn reread(&self, switch: &SwitchName, caller: &Caller) -> Result<(), AskError> {
        let (Some(device), Some(commands)) = (caller.device.clone(), self.switches.get(switch))
        else {
            return Ok(());
        };
        let name = switch.clone();
        let legs = self
            .core
            .view(move |core, _| core.legs_to_ask(&name, &device))
            .await;
        let mut legs = legs.ok_or(AskError::Ending)?;
        legs.retain(|leg| *leg != caller.leg);
        let (read, absent) = commands.read(legs).await?;
        self.core.send(Input::Reread(switch.clone(), read, absent));
        Ok(())
    }

    fn commands(&self, switch: &SwitchName) -> Result<&Arc<dyn Switch>, AskError> {
        let commands = self.switches.get(switch);
        commands.ok_or_else(|| AskError::UnknownSwitch(switch.clone()))
    }

    async fn caller(&self, switch: &SwitchName, channel: &ChannelId) -> Result<Caller, AskError> {
        let commands = self.commands(switch)?;
        commands.until_linked(LINK_TIMEOUT).await;
        let (caller, ()) = tokio::join!(
            commands.caller(channel),
            self.directory.refresh(REFRESH_TIMEOUT)
        );
        caller?.ok_or_else(|| AskError::UnknownChannel(switch.clone(), channel.clone()))
    }
}

/// What a program brings along that runs the controller inside itself.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Listened on in place of `http.listen`.
    pub(crate) listener: TcpListener,
    /// Served beside the rest.
    pub(crate) beside: http::Beside,
    /// Told once questions are answered.
    pub(crate) started: oneshot::Sender<(Controller, watch::Receiver<News>)>,
}

/// Runs the controller until `shutdown` is done.
///
/// # Errors
/// The database can't be used (wrong address, newer than the program), or the HTTP address is taken. A switch or database
/// that is merely not there yet is waited for.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    run_with(config, None, shutdown).await
}

/// The same, with a guest.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_with(
    config: Config,
    guest: Option<Guest>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (core, messages) = Core::queue();
    let metrics = Arc::new(Metrics::default());
    let (stop, stopped) = watch::channel(false);
    let stopping = stopped.clone();
    tokio::spawn(async move {
        shutdown.await;
        service::stopping();
        let _ = stop.send(true);
    });

    service::waiting("waiting for the database");
    let mut store_stopped = stopped.clone();
    let store = tokio::select! {
        store = directory::open(&config.store) => store?,
        _ = store_stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    // Not before there is something to answer with: a switch whose question is refused goes on at once, one whose question
    // is not answered waits for a second.
    let (listener, beside, started) = match guest {
        Some(guest) => (guest.listener, guest.beside, Some(guest.started)),
        None => {
            let listener = TcpListener::bind(config.http.listen)
                .await
                .with_context(|| format!("http.listen: can't listen on {}", config.http.listen))?;
            (listener, http::Beside::default(), None)
        }
    };
    let public = match &config.http.public {
        Some(public) => Some(http::PublicListener::bind(public).await?),
        None => None,
    };
    let directory = Arc::new(DirectorySync::new(
        store.clone(),
        core.clone(),
        metrics.clone(),
    ));

    let journal = Journal::start(store.clone(), metrics.clone(), task::unix_now);
    let names: Vec<_> = config.switches().map(|(name, _)| name.clone()).collect();
    core.send(Input::OpenMoves(
        journal::open_moves(store.as_ref(), &names, &metrics).await,
    ));

    for (switch, address) in config.switches() {
        info!(%switch, address, "waiting for the switch");
    }
    let mut switches: HashMap<SwitchName, Arc<dyn Switch>> = HashMap::new();
    let mut drivers = Vec::new();
    for switch in &config.freeswitch {
        let (driver, commands) = freeswitch::Driver::new(switch, core.clone(), metrics.clone());
        switches.insert(switch.name.clone(), Arc::new(commands));
        drivers.push(tokio::spawn(driver.run()));
    }
    for switch in &config.asterisk {
        let (driver, commands) = asterisk::Driver::new(switch, core.clone(), metrics.clone())?;
        switches.insert(switch.name.clone(), Arc::new(commands));
        drivers.push(tokio::spawn(driver.run()));
    }
    let orders = switches.iter().map(|(name, switch)| {
        let orders = Orders::start(name.clone(), switch.clone(), journal.clone(), core.clone());
        (name.clone(), orders)
    });
    let orders = orders.collect();
    let switches = Arc::new(switches);
    let task = CoreTask::new(
        &config,
        core.clone(),
        switches.clone(),
        orders,
        journal.clone(),
        store.clone(),
        directory.clone(),
        metrics.clone(),
    );
    let news = task.news();
    let core_task = tokio::spawn(task.run(messages));
    let directory_task = tokio::spawn(directory.clone().follow());

    let watchdog = tokio::spawn(service::vouch_for(core.clone()));
    // It ends with what holds it.
    let _webhooks = webhooks::start(
        &config.webhooks,
        store.clone(),
        journal.clone(),
        metrics.clone(),
        news.clone(),
    );
    let controller = Controller {
        core,
        switches,
        directory,
        store,
        journal,
        metrics,
    };
    info!(listen = %config.http.listen, "ready for questions");
    // A switch that is not there yet keeps nobody from starting: its calls ring without Callhop.
    service::ready();
    if let Some(started) = started {
        // The guest may have left.
        let _ = started.send((controller.clone(), news.clone()));
    }
    let ending = async move {
        let mut stopping = stopping;
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let served = http::serve(listener, public, controller, news, beside, ending.shared()).await;
    for task in drivers {
        task.abort();
    }
    watchdog.abort();
    directory_task.abort();
    core_task.abort();
    served.context("the HTTP server ended")
}

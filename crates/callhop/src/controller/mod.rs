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
mod metrics;
pub mod view;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use callhop_calls::core::{AskId, Asked, Input, MoveEnd, Now, Output, Refusal, StoreFailure};
use callhop_calls::directory::Route;
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId, SwitchName, UnixTime};
use callhop_calls::routing::Policy;
use callhop_store::{Actor, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::freeswitch::translate::{self, Caller};
use crate::freeswitch::{Commands, Driver};
use crate::http;

pub use directory::DirectorySync;
pub use metrics::Metrics;

/// How long a question waits for the database before the directory is used as it is.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(150);

/// How long a star code waits for a switch that is being read.
const FRESH_TIMEOUT: Duration = Duration::from_millis(400);

/// How long writing a route may take: the switch waits a second for the answer (dialplan, `timeout 1`).
const STORE_TIMEOUT: Duration = Duration::from_millis(400);

/// A look at the core between two inputs.
type View = Box<dyn FnOnce(&callhop_calls::core::Core, Now) + Send>;

/// What goes through the queue of the core task.
enum Message {
    Input(Input),
    Star(SwitchName, Caller, oneshot::Sender<StarReply>),
    Hunt(SwitchName, ExtensionId, oneshot::Sender<Option<String>>),
    View(View),
}

/// What the new leg's dialplan is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StarReply {
    /// Connect yourself to that leg, with that codec if there is one in common.
    Intercept(ChannelId, Option<String>),
    /// It is done.
    Beep,
    /// It is refused, with one word for the log of the switch.
    Refuse(&'static str),
}

/// The way to the core task.
#[derive(Debug, Clone)]
pub struct Core {
    queue: mpsc::UnboundedSender<Message>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input(_) => "Input",
            Self::Star(..) => "Star",
            Self::Hunt(..) => "Hunt",
            Self::View(_) => "View",
        })
    }
}

impl Core {
    /// Tells the core what happened.
    pub fn send(&self, input: Input) {
        self.put(Message::Input(input));
    }

    /// The legs of a switch, as the tracker has them.
    pub async fn legs(&self, switch: &SwitchName) -> HashSet<ChannelId> {
        let switch = switch.clone();
        let legs = self.view(move |core, _| {
            core.switch(&switch)
                .map(|s| s.tracker().legs().map(|(id, _)| id.clone()).collect())
        });
        legs.await.flatten().unwrap_or_default()
    }

    /// Looks at the core; `None` while the program ends.
    pub async fn view<T: Send + 'static>(
        &self,
        look: impl FnOnce(&callhop_calls::core::Core, Now) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        self.put(Message::View(Box::new(move |core, now| {
            // Who asked may have gone.
            let _ = tell.send(look(core, now));
        })));
        told.await.ok()
    }

    fn put(&self, message: Message) {
        // The core task ends only with the program.
        let _ = self.queue.send(message);
    }
}

/// Everything that a question needs.
#[derive(Debug, Clone)]
pub struct Controller {
    core: Core,
    switches: Arc<HashMap<SwitchName, Commands>>,
    directory: Arc<DirectorySync>,
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
    /// The switch could not be asked who calls.
    #[error("the switch could not be asked")]
    Switch(#[from] crate::freeswitch::RunError),
    /// The extension is not known, or not named properly.
    #[error("no such extension")]
    NoExtension,
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

    /// The core.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
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
        }
        let caller = self.caller(&switch, &channel).await?;
        self.reread(&switch, &caller).await?;
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Star(switch, caller, reply));
        answer.await.map_err(|_| AskError::Ending)
    }

    /// An inbound call in `channel` asks where to ring; the answer is a dial string.
    ///
    /// # Errors
    /// The extension is not known, the channel is not one of the switch, or the switch can't be asked.
    pub async fn hunt(&self, switch: SwitchName, channel: ChannelId) -> Result<String, AskError> {
        let caller = self.caller(&switch, &channel).await?;
        let number = caller.extension.as_ref().unwrap_or(&caller.dialled).parse();
        let (Ok(number), Some(domain)) = (number, caller.domain) else {
            return Err(AskError::NoExtension);
        };
        let (reply, answer) = oneshot::channel();
        self.core.put(Message::Hunt(
            switch,
            ExtensionId::new(number, domain),
            reply,
        ));
        answer
            .await
            .map_err(|_| AskError::Ending)?
            .ok_or(AskError::NoExtension)
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

    async fn caller(&self, switch: &SwitchName, channel: &ChannelId) -> Result<Caller, AskError> {
        let commands = self
            .switches
            .get(switch)
            .ok_or_else(|| AskError::UnknownSwitch(switch.clone()))?;
        let (caller, ()) = tokio::join!(
            commands.caller(channel),
            self.directory.refresh(REFRESH_TIMEOUT)
        );
        let caller =
            caller?.ok_or_else(|| AskError::UnknownChannel(switch.clone(), channel.clone()))?;
        if caller.is_waiting {
            Ok(caller)
        } else {
            Err(AskError::NotWaiting(channel.clone()))
        }
    }
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
    let listener = tokio::net::TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: can't listen on {}", config.http.listen))?;
    let (queue, messages) = mpsc::unbounded_channel();
    let core = Core { queue };
    let metrics = Arc::new(Metrics::default());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut stopping = stopped.clone();
    tokio::spawn(async move {
        shutdown.await;
        let _ = stop.send(true);
    });

    let mut store_stopped = stopped.clone();
    let store = tokio::select! {
        store = directory::open(&config.store) => store?,
        _ = store_stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let directory = Arc::new(DirectorySync::new(
        store.clone(),
        core.clone(),
        metrics.clone(),
    ));

    let mut switches = HashMap::new();
    let mut drivers = Vec::new();
    for switch in &config.freeswitch {
        let (driver, commands) = Driver::new(switch, core.clone(), metrics.clone());
        info!(switch = %switch.name, address = %switch.address, "waiting for the switch");
        switches.insert(switch.name.clone(), commands);
        drivers.push(tokio::spawn(driver.run()));
    }
    let switches = Arc::new(switches);
    let clock = Clock::start();
    let policies = config.domains.clone().into_iter().collect();
    let default_policy = Policy {
        features: config.features.clone(),
        ..Policy::default()
    };
    let task = CoreTask {
        core: callhop_calls::core::Core::new(
            switches.keys().cloned(),
            policies,
            default_policy,
            clock.now(),
        ),
        clock,
        switches: switches.clone(),
        store,
        handle: core.clone(),
        directory: directory.clone(),
        publishers: publishers(&switches),
        metrics: metrics.clone(),
        waiting_stars: HashMap::new(),
        waiting_hunts: HashMap::new(),
        last_ask: 0,
    };
    let core_task = tokio::spawn(task.run(messages));
    let directory_task = tokio::spawn(directory.clone().follow());

    let controller = Controller {
        core,
        switches,
        directory,
        metrics,
    };
    info!(listen = %config.http.listen, "ready for questions");
    let served = http::serve(listener, controller, async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    })
    .await;
    for task in drivers {
        task.abort();
    }
    directory_task.abort();
    core_task.abort();
    served.context("the HTTP server ended")
}

/// The program's clock, read only here.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Now {
        Now {
            mono: self.0.elapsed(),
            unix: unix_now(),
        }
    }
}

/// The calendar.
pub(crate) fn unix_now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

type Publication = (ExtensionId, Option<callhop_calls::core::Answer>);

/// A queue for each switch on which its routing snapshot is written, one at a time and in order, so that a publication
/// never stands in the way of a call for longer than one command.
fn publishers(
    switches: &HashMap<SwitchName, Commands>,
) -> HashMap<SwitchName, mpsc::UnboundedSender<Publication>> {
    let mut queues = HashMap::new();
    for (name, commands) in switches {
        let (queue, mut publications) = mpsc::unbounded_channel::<Publication>();
        let (name, commands) = (name.clone(), commands.clone());
        queues.insert(name.clone(), queue);
        tokio::spawn(async move {
            while let Some((extension, answer)) = publications.recv().await {
                if let Err(error) = commands.publish(&extension, answer.as_ref()).await {
                    // After a lost link everything is published again.
                    warn!(switch = %name, %extension, %error, "the routing snapshot could not be written");
                }
            }
        });
    }
    queues
}

struct CoreTask {
    core: callhop_calls::core::Core,
    clock: Clock,
    switches: Arc<HashMap<SwitchName, Commands>>,
    store: Arc<dyn Store>,
    handle: Core,
    directory: Arc<DirectorySync>,
    publishers: HashMap<SwitchName, mpsc::UnboundedSender<Publication>>,
    metrics: Arc<Metrics>,
    waiting_stars: HashMap<AskId, (ChannelId, String, oneshot::Sender<StarReply>)>,
    waiting_hunts: HashMap<AskId, oneshot::Sender<Option<String>>>,
    last_ask: u64,
}

impl CoreTask {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        loop {
            let timer = async {
                match self.core.next_timer() {
                    Some(at) => tokio::time::sleep_until(self.clock.0 + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = timer => self.handle(Input::Timer),
                message = messages.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.handle(input),
            Message::Star(switch, caller, reply) => {
                let ask = self.next_ask();
                self.waiting_stars
                    .insert(ask, (caller.leg.clone(), caller.dialled.clone(), reply));
                self.handle(Input::StarCode(Asked {
                    ask,
                    switch,
                    new_leg: caller.leg,
                    device: caller.device,
                    dialled: caller.dialled,
                    phone: caller.phone,
                    codecs: caller.codecs,
                }));
            }
            Message::Hunt(switch, extension, reply) => {
                let ask = self.next_ask();
                self.waiting_hunts.insert(ask, reply);
                self.handle(Input::Hunt(ask, switch, extension));
            }
            Message::View(look) => look(&self.core, self.clock.now()),
        }
    }

    fn next_ask(&mut self) -> AskId {
        self.last_ask += 1;
        AskId(self.last_ask)
    }

    fn handle(&mut self, input: Input) {
        self.core.handle(input, self.clock.now());
        while let Some(output) = self.core.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Pull(order) => {
                let Some((new_leg, _, reply)) = self.waiting_stars.remove(&order.ask) else {
                    return;
                };
                let Some(commands) = self.switches.get(&order.switch).cloned() else {
                    return;
                };
                tokio::spawn(async move {
                    commands.prepare_pull(&new_leg, &order).await;
                    let _ = reply.send(StarReply::Intercept(order.far_leg, order.codec));
                });
            }
            Output::Confirm(ask) => self.reply(ask, StarReply::Beep),
            Output::Refuse(ask, refusal) => self.refuse(ask, &refusal),
            Output::Targets(ask, answer) => {
                if let Some(reply) = self.waiting_hunts.remove(&ask) {
                    self.metrics.hunt(answer.is_some());
                    let _ = reply.send(answer.as_ref().map(translate::dial_string));
                }
            }
            Output::StoreRoute {
                ask,
                extension,
                route,
                device,
            } => self.store_route(ask, extension, route, device),
            Output::ConsumeRoute(extension, route) => self.consume_route(extension, route),
            Output::Publish(switch, extension, answer) => {
                if let Some(queue) = self.publishers.get(&switch) {
                    let _ = queue.send((extension, answer));
                }
            }
            Output::Moved(report) => {
                self.metrics.moved(&report);
                let took_ms = report.took.as_secs_f64() * 1000.0;
                if report.end == MoveEnd::Moved {
                    info!(id = report.id.0, switch = %report.switch, extension = %report.extension, class = ?report.class,
                        from = %report.from, to = %report.to, far_leg = %report.far_leg, took_ms, "pulled");
                } else {
                    warn!(id = report.id.0, switch = %report.switch, extension = %report.extension, class = ?report.class,
                        from = %report.from, to = %report.to, far_leg = %report.far_leg, took_ms, end = ?report.end, "not pulled");
                }
            }
            Output::Corrected(switch, corrections) => {
                self.metrics.corrected(&switch, corrections);
                warn!(%switch, ?corrections, "the tracker differed from the switch and was corrected");
            }
        }
    }

    fn reply(&mut self, ask: AskId, answer: StarReply) {
        if let Some((leg, dialled, reply)) = self.waiting_stars.remove(&ask) {
            info!(%leg, dialled = %shown(&dialled), "confirmed");
            // The switch may have given up waiting.
            let _ = reply.send(answer);
        }
    }

    fn refuse(&mut self, ask: AskId, refusal: &Refusal) {
        self.metrics.refused(refusal.word());
        if let Some((leg, dialled, reply)) = self.waiting_stars.remove(&ask) {
            info!(%leg, dialled = %shown(&dialled), cause = refusal.word(), why = %refusal, "refused");
            let _ = reply.send(StarReply::Refuse(refusal.word()));
        }
    }

    fn store_route(
        &self,
        ask: AskId,
        extension: ExtensionId,
        route: Option<Route>,
        device: DeviceId,
    ) {
        let (store, core, metrics, directory) = (
            self.store.clone(),
            self.handle.clone(),
            self.metrics.clone(),
            self.directory.clone(),
        );
        tokio::spawn(async move {
            let actor = Actor::Device(device);
            let write = async {
                match &route {
                    Some(route) => store
                        .set_route(&extension, route, &actor, unix_now())
                        .await
                        .map_err(anyhow::Error::from)?,
                    None => match store
                        .reset_route(&extension, &actor, unix_now())
                        .await
                        .map_err(anyhow::Error::from)?
                    {
                        Some(revision) => revision,
                        None => return Ok(()),
                    },
                };
                anyhow::Ok(())
            };
            let result = match tokio::time::timeout(STORE_TIMEOUT, write).await {
                Ok(Ok(())) => {
                    // The snapshot on the switch follows before anybody hears the beep.
                    directory.refresh(REFRESH_TIMEOUT).await;
                    Ok(())
                }
                Ok(Err(error)) => {
                    metrics.store_error();
                    error!(%extension, error = format!("{error:#}"), "the route was not stored");
                    Err(directory::failure(&error))
                }
                Err(_) => {
                    metrics.store_error();
                    error!(%extension, "the route was not stored in time; it is not known whether it will be");
                    Err(StoreFailure::Unavailable(format!(
                        "no answer within {STORE_TIMEOUT:?}"
                    )))
                }
            };
            core.send(Input::RouteStored(ask, result));
        });
    }

    fn consume_route(&self, extension: ExtensionId, route: Route) {
        let (store, metrics, directory) = (
            self.store.clone(),
            self.metrics.clone(),
            self.directory.clone(),
        );
        tokio::spawn(async move {
            match store.consume_route(&extension, &route, unix_now()).await {
                Ok(used) => info!(%extension, used, "the route for the next call is over"),
                Err(error) => {
                    metrics.store_error();
                    error!(%extension, error = format!("{:#}", anyhow::Error::from(error)), "the route for the next call could not be ended");
                }
            }
            directory.refresh(REFRESH_TIMEOUT).await;
        });
    }
}

/// What somebody dialled, for the log: it may be anything.
fn shown(dialled: &str) -> String {
    dialled
        .chars()
        .take(32)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

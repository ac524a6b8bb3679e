//! The task that owns the core: its queue, its clock, and what carries out what the core wants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use callhop_calls::core::{
    Answer, AskId, Asked, Input, MoveEnd, MoveReport, Now, OfferRefusal, OfferRequest, Output,
    PullOrder, Refusal, StoreFailure,
};
use callhop_calls::directory::Route;
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId, MoveId, SwitchName, UnixTime};
use callhop_calls::journal::{Entry, Kind, OpenMove};
use callhop_calls::routing::Policy;
use callhop_store::{Actor, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, error, info, warn};

use super::lamps::Lamps;
use super::orders::{Order, Orders};
use super::spans::Spans;
use super::{DirectorySync, Journal, Metrics, REFRESH_TIMEOUT, Switches, directory};
use crate::config::Config;
use crate::switch::Caller;

/// How long writing a route may take: the switch waits a second for the answer (dialplan, `timeout 1`).
const STORE_TIMEOUT: Duration = Duration::from_millis(400);

/// A look at the core between two inputs.
type View = Box<dyn FnOnce(&callhop_calls::core::Core, Now) + Send>;

/// What goes through the queue of the core task.
pub(super) enum Message {
    Input(Input),
    Star(SwitchName, Caller, oneshot::Sender<StarReply>),
    Hunt(SwitchName, ExtensionId, oneshot::Sender<Option<Answer>>),
    Offer(OfferRequest, oneshot::Sender<Offered>),
    Withdraw(MoveId, oneshot::Sender<Offered>),
    Take(SwitchName, Caller, MoveId, oneshot::Sender<StarReply>),
    Reported(SwitchName, ChannelId, oneshot::Sender<()>),
    View(View),
}

/// What the new leg's dialplan is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StarReply {
    /// Connect yourself to the far end.
    Pull {
        /// Its leg.
        far_leg: ChannelId,
        /// A leg that rings for it, if some do.
        fork: Option<ChannelId>,
        /// The codec that both have, if there is one.
        codec: Option<String>,
    },
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
            Self::Offer(..) => "Offer",
            Self::Withdraw(..) => "Withdraw",
            Self::Take(..) => "Take",
            Self::Reported(..) => "Reported",
            Self::View(_) => "View",
        })
    }
}

impl Core {
    pub(super) fn queue() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (queue, messages) = mpsc::unbounded_channel();
        (Self { queue }, messages)
    }

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

    /// Waits until the switch has reported a leg: whatever it reported before that leg came is known by then.
    pub async fn until_reported(&self, switch: &SwitchName, leg: &ChannelId, limit: Duration) {
        let (tell, told) = oneshot::channel();
        self.put(Message::Reported(switch.clone(), leg.clone(), tell));
        // Without the report, what is read again has to do.
        let _ = tokio::time::timeout(limit, told).await;
    }

    pub(super) fn put(&self, message: Message) {
        // The core task ends only with the program.
        let _ = self.queue.send(message);
    }
}

/// What has happened, as numbers that go up: whoever shows the core looks again when they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// Inputs that the core has handled.
    pub inputs: u64,
    /// Moves that have ended.
    pub moves: u64,
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
    UnixTime(i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX))
}

/// The same, more exactly: it is what the times in a switch's events are held against.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

type Publication = (ExtensionId, Option<Answer>);

/// What becomes of the wish for a move, or that an offer be withdrawn.
pub(super) type Offered = Result<OpenMove, OfferRefusal>;

/// A queue for each switch on which its routing snapshot is written, one at a time and in order, so that a publication
/// never stands in the way of a call for longer than one command.
fn publishers(switches: &Switches) -> HashMap<SwitchName, mpsc::UnboundedSender<Publication>> {
    let mut queues = HashMap::new();
    for (name, commands) in switches.iter() {
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

pub(super) struct CoreTask {
    core: callhop_calls::core::Core,
    clock: Clock,
    switches: Switches,
    store: Arc<dyn Store>,
    handle: Core,
    directory: Arc<DirectorySync>,
    publishers: HashMap<SwitchName, mpsc::UnboundedSender<Publication>>,
    lamps: HashMap<SwitchName, Lamps>,
    metrics: Arc<Metrics>,
    orders: HashMap<SwitchName, Orders>,
    journal: Journal,
    spans: Spans,
    waiting_stars: HashMap<AskId, (ChannelId, String, oneshot::Sender<StarReply>)>,
    waiting_hunts: HashMap<AskId, oneshot::Sender<Option<Answer>>>,
    waiting_offers: HashMap<AskId, oneshot::Sender<Offered>>,
    /// Legs that have asked, of which no event has come yet.
    unreported: HashMap<(SwitchName, ChannelId), oneshot::Sender<()>>,
    last_ask: u64,
    news: watch::Sender<News>,
}

impl CoreTask {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        config: &Config,
        handle: Core,
        switches: Switches,
        orders: HashMap<SwitchName, Orders>,
        journal: Journal,
        store: Arc<dyn Store>,
        directory: Arc<DirectorySync>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let clock = Clock::start();
        let default_policy = Policy {
            features: config.features.clone(),
            push: config.push.clone(),
            ..Policy::default()
        };
        let policies = config.domains.clone().into_iter().collect();
        let names = switches.keys().cloned();
        Self {
            core: callhop_calls::core::Core::new(
                names,
                policies,
                default_policy,
                rand::random(),
                clock.now(),
            ),
            clock,
            publishers: publishers(&switches),
            lamps: switches
                .iter()
                .map(|(name, switch)| (name.clone(), Lamps::start(name.clone(), switch.clone())))
                .collect(),
            switches,
            store,
            handle,
            directory,
            metrics,
            orders,
            journal,
            spans: Spans::default(),
            waiting_stars: HashMap::new(),
            waiting_hunts: HashMap::new(),
            waiting_offers: HashMap::new(),
            unreported: HashMap::new(),
            last_ask: 0,
            news: watch::Sender::default(),
        }
    }

    /// Tells when something has happened.
    pub(super) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Takes what comes through the queue, until the program ends.
    pub(super) async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
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
            Message::Input(input) => {
                if let Input::Leg(switch, event) = &input
                    && !self.unreported.is_empty()
                    && let Some(tell) = self.unreported.remove(&(switch.clone(), event.leg.clone()))
                {
                    // Whoever waited looks after this event was handled: his question goes through the same queue.
                    let _ = tell.send(());
                }
                if let Input::OpenMoves(open) = &input {
                    for open in open {
                        let _in = self.spans.begin(open).entered();
                        info!(
                            stage = open.stage.word(),
                            "a move of an earlier run is taken up"
                        );
                    }
                }
                self.handle(input);
            }
            Message::Star(switch, caller, reply) => {
                let ask = self.next_ask();
                self.waiting_stars
                    .insert(ask, (caller.leg.clone(), caller.dialled.clone(), reply));
                self.handle(Input::StarCode(asked(ask, switch, caller)));
            }
            Message::Offer(request, reply) => {
                let ask = self.next_ask();
                self.waiting_offers.insert(ask, reply);
                self.handle(Input::Offer(ask, request));
            }
            Message::Withdraw(id, reply) => {
                let ask = self.next_ask();
                self.waiting_offers.insert(ask, reply);
                self.handle(Input::Withdraw(ask, id));
            }
            Message::Take(switch, caller, id, reply) => {
                let ask = self.next_ask();
                let asked = asked(ask, switch, caller);
                let waiting = (asked.new_leg.clone(), asked.dialled.clone(), reply);
                self.waiting_stars.insert(ask, waiting);
                self.handle(Input::Take(asked, id));
            }
            Message::Hunt(switch, extension, reply) => {
                let ask = self.next_ask();
                self.waiting_hunts.insert(ask, reply);
                self.handle(Input::Hunt(ask, switch, extension));
            }
            Message::Reported(switch, leg, tell) => {
                if self.has(&switch, &leg) {
                    let _ = tell.send(());
                } else {
                    self.unreported.retain(|_, tell| !tell.is_closed());
                    self.unreported.insert((switch, leg), tell);
                }
            }
            Message::View(look) => look(&self.core, self.clock.now()),
        }
    }

    fn has(&self, switch: &SwitchName, leg: &ChannelId) -> bool {
        let switch = self.core.switch(switch);
        switch.is_some_and(|switch| switch.tracker().leg(leg).is_some())
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
        self.news.send_modify(|news| news.inputs += 1);
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
                let journal = self.journal.clone();
                let span = self.span_of(&order.switch, &order.far_leg);
                let prepared = async move {
                    tokio::join!(commands.prepare_pull(&new_leg, &order), journal.written());
                    debug!(leg = %new_leg, far_leg = %order.far_leg, codec = order.codec, "the new leg is told to take the far end");
                    let PullOrder {
                        far_leg,
                        forks,
                        codec,
                        ..
                    } = order;
                    let fork = forks.into_iter().next();
                    let _ = reply.send(StarReply::Pull {
                        far_leg,
                        fork,
                        codec,
                    });
                };
                tokio::spawn(prepared.instrument(span));
            }
            Output::Confirm(ask) => self.reply(ask, StarReply::Beep),
            Output::Refuse(ask, refusal) => self.refuse(ask, &refusal),
            Output::Targets(ask, answer) => {
                if let Some(reply) = self.waiting_hunts.remove(&ask) {
                    self.metrics.hunt(answer.is_some());
                    let _ = reply.send(answer);
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
            Output::AskContacts(switch, devices) => {
                if let Some(switch) = self.switches.get(&switch) {
                    switch.ask_contacts(devices);
                }
            }
            Output::Lamp(switch, lamp, lit) => {
                if let Some(lamps) = self.lamps.get(&switch) {
                    lamps.show(lamp, lit);
                }
            }
            Output::Journal(entry) => {
                self.follow(&entry);
                self.journal.write(entry);
            }
            Output::Moved(report) => self.moved(report),
            Output::Arm(order) => {
                let Some(commands) = self.switches.get(&order.switch).cloned() else {
                    return;
                };
                tokio::spawn(async move {
                    let armed = commands.arm(&order).await;
                    if let Err(error) = armed {
                        // Nearly always because it has ended meanwhile.
                        debug!(leg = %order.leg, late = order.late, %error, "a leg does not listen for the push code");
                    }
                });
            }
            Output::Split(order) => {
                let (switch, leg) = (order.switch.clone(), order.old_leg.clone());
                self.order(&switch, &leg, Order::Split(order));
            }
            Output::Ring(order) => {
                let (switch, leg) = (order.switch.clone(), order.far_leg.clone());
                self.order(&switch, &leg, Order::Ring(order));
            }
            Output::GiveBack {
                switch,
                old_leg,
                tone,
            } => self.order(&switch, &old_leg.clone(), Order::GiveBack(old_leg, tone)),
            Output::Recall(switch, leg) => self.order(&switch, &leg.clone(), Order::Recall(leg)),
            Output::Release(switch, leg) => self.order(&switch, &leg.clone(), Order::Release(leg)),
            Output::Settled(switch, leg) => self.order(&switch, &leg.clone(), Order::Settle(leg)),
            Output::Reread(switch, legs) => {
                self.order(&switch, &legs[0].clone(), Order::Read(legs));
            }
            Output::NoPush(switch, leg, refusal) => {
                self.metrics.refused(refusal.word());
                info!(%switch, %leg, cause = refusal.word(), why = %refusal, "nothing to push");
            }
            Output::ReturnCode(switch, leg, code) => {
                self.order(&switch, &leg.clone(), Order::ReturnCode(leg, code));
            }
            Output::Offer(order) => {
                let span = self.spans.of(order.id);
                self.order_in(span, &order.switch.clone(), Order::Offer(order));
            }
            Output::Offered(ask, offered) => {
                if let Some(reply) = self.waiting_offers.remove(&ask) {
                    // Who asked may have gone.
                    let _ = reply.send(offered);
                }
            }
            Output::Corrected(switch, corrections) => {
                self.metrics.corrected(&switch, corrections);
                warn!(%switch, ?corrections, "the tracker differed from the switch and was corrected");
            }
        }
    }

    /// The log follows a move by what the journal is told of it.
    fn follow(&mut self, entry: &Entry) {
        match entry {
            Entry::Begun(open) => {
                let _in = self.spans.begin(open).entered();
                info!(old_leg = %open.old_leg, far_leg = %open.far_leg, "a move begins");
            }
            Entry::Stage { id, stage, to } => {
                self.spans.told(*id, to.as_ref());
                let _in = self.spans.of(*id).entered();
                debug!(stage = stage.word(), "a move comes further");
            }
            // Output::Moved says more.
            Entry::Ended { .. } => {}
        }
    }

    /// The span of the move in which the leg takes part, or for which it was made.
    fn span_of(&self, switch: &SwitchName, leg: &ChannelId) -> Span {
        let span = self.spans.of_leg(switch, leg).or_else(|| {
            let known = self.core.switch(switch)?.tracker().leg(leg)?;
            Some(self.spans.of(known.made_by?))
        });
        span.unwrap_or_else(Span::none)
    }

    fn order(&self, switch: &SwitchName, leg: &ChannelId, order: Order) {
        self.order_in(self.span_of(switch, leg), switch, order);
    }

    fn order_in(&self, span: Span, switch: &SwitchName, order: Order) {
        if let Some(orders) = self.orders.get(switch) {
            orders.put(order, span);
        }
    }

    fn moved(&mut self, report: MoveReport) {
        let span = self.spans.end(&report);
        let _in = span.clone().entered();
        self.metrics.moved(&report);
        self.news.send_modify(|news| news.moves += 1);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (took_ms, gap_ms) = (report.took.map(ms), report.gap.map(ms));
        let (kind, class) = (report.kind.word(), report.class.map(tracing::field::debug));
        let (outcome, cause) = (report.end.outcome().word(), report.end.cause());
        if report.end == MoveEnd::Moved {
            info!(id = %report.id, switch = %report.switch, extension = %report.extension, kind, class,
                from = %report.from, to = report.to, far_leg = %report.far_leg, took_ms, gap_ms, outcome, "moved");
        } else {
            warn!(id = %report.id, switch = %report.switch, extension = %report.extension, kind, class,
                from = %report.from, to = report.to, far_leg = %report.far_leg, took_ms, outcome, cause, "not moved");
        }
        if report.kind == Kind::Pull
            && report.end == MoveEnd::Moved
            && let Some(switch) = self.switches.get(&report.switch).cloned()
        {
            tokio::spawn(async move { switch.after_pull(&report).await }.instrument(span));
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
                let (store, now) = (&store, unix_now());
                match &route {
                    Some(route) => {
                        let set = store.set_route(&extension, route, &actor, now).await;
                        set.map(drop).map_err(directory::not_set)
                    }
                    None => {
                        let reset = store.reset_route(&extension, &actor, now).await;
                        reset.map(drop).map_err(directory::not_reset)
                    }
                }
            };
            let result = match tokio::time::timeout(STORE_TIMEOUT, write).await {
                Ok(Ok(())) => {
                    // The snapshot on the switch follows before anybody hears the beep.
                    directory.refresh(REFRESH_TIMEOUT).await;
                    Ok(())
                }
                Ok(Err(failure)) => {
                    metrics.store_error();
                    error!(%extension, %failure, "the route was not stored");
                    Err(failure)
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

fn asked(ask: AskId, switch: SwitchName, caller: Caller) -> Asked {
    Asked {
        ask,
        switch,
        new_leg: caller.leg,
        device: caller.device,
        dialled: caller.dialled,
        phone: caller.phone,
        codecs: caller.codecs,
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

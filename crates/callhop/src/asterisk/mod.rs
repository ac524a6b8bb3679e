//! The driver for Asterisk: two links, and what the core wants of the switch.
//!
//! Owns the links of one switch. Refuses to decide anything: what the event link reports goes to the core, and what the
//! core orders is sent. The event link is always drained: its events are translated and handed on without waiting for
//! anybody.
//!
//! ```text
//! (1) down --both links up--> (2) reading --switch read whole--> (3) fresh
//!       ^                          |                                |
//!       `------ a link is lost, or a barrier does not come ---------'
//! ```
//!
//! **Invariant**: the events of a connection are subscribed to before the switch is read, and those that came meanwhile are
//! handed on after the reading, so that nothing falls between. Told twice is no harm: they are told in their order, and who is
//! in which bridge after the last of them is what the switch says.

mod commands;
mod keys;
pub mod translate;
pub mod words;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use callhop_ami::action::Value;
use callhop_ami::word::{ActionId, DbKey, FieldName, UserName, VarName, VarValue, Word};
use callhop_ami::{
    Action, Backoff, CommandError, CommandLink, ConnectError, Event, EventLink, LinkError, Login,
    Options, Privilege, Secret, Subscription, Tls,
};
use callhop_calls::core::Input;
use callhop_calls::id::{ChannelId, SwitchName};
use callhop_calls::lamp::Lamp;
use callhop_calls::tracker::SnapshotLeg;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tracing::{debug, info, warn};

use crate::config;
use crate::controller::{Core, Metrics};
use crate::switch::RunError;

use commands::{Memory, Site, Up, locked, status_variables};
use translate::{Counter, Told, Translator};

pub use commands::Commands;

/// How often the tracker is compared with the switch.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);

/// The first comparison after a reading.
const FIRST_RECONCILE: Duration = Duration::from_secs(2);

/// Between finding a difference and believing it: what is on its way over the event link has arrived by then.
const RECONCILE_GRACE: Duration = Duration::from_secs(1);

/// How often the event link is tried by a barrier: Asterisk sends nothing by itself while nothing happens.
const BARRIER_EVERY: Duration = Duration::from_secs(10);

/// How long a barrier may take (some 0.5 ms were measured).
const BARRIER_LIMIT: Duration = Duration::from_secs(5);

/// Why a connection to the switch ended.
#[derive(Debug, thiserror::Error)]
enum SwitchError {
    #[error("can't connect to the manager interface at {address}{}", cure(source))]
    Connect {
        address: String,
        source: ConnectError,
    },
    #[error(
        "the manager user may not act: write = system,call,user,originate in its section of manager.conf"
    )]
    MayNotAct(#[source] RunError),
    #[error("the event link was lost")]
    Link(#[from] LinkError),
    #[error(
        "no event came within {BARRIER_LIMIT:?} after one was asked for: does the manager user read call, user, dtmf and system?"
    )]
    Silent,
    #[error("the switch could not be read")]
    Read(#[from] RunError),
    #[error("the command link was lost")]
    CommandLinkDown,
}

/// What the admin can do about it, where that is known.
fn cure(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::LoginRefused { .. } => {
            " (let username and secret in [[asterisk]] be those of manager.conf, and permit there let this machine in)"
        }
        ConnectError::SubscriptionRefused { .. } => {
            " (read = system,call,user,dtmf and write = system,call,user,originate in the user's section of manager.conf)"
        }
        _ => "",
    }
}

/// One switch: its name, and where to reach it.
#[derive(Debug)]
pub struct Driver {
    name: SwitchName,
    address: String,
    login: Login,
    tls: Option<Tls>,
    core: Core,
    metrics: Arc<Metrics>,
    memory: Memory,
    counter: Counter,
    /// When the program began, for the times of digits.
    began: Instant,
    commands: watch::Sender<Option<Up>>,
    wake: Arc<Notify>,
}

impl Driver {
    /// A driver, and the way to send commands through it.
    ///
    /// # Errors
    /// The certificates for TLS can't be used.
    pub fn new(
        switch: &config::Asterisk,
        core: Core,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<(Self, Commands)> {
        let (sender, receiver) = watch::channel(None);
        let wake = Arc::new(Notify::new());
        let counter = Counter::default();
        let began = Instant::now();
        let translator = Translator::new(switch.endpoints.clone(), counter.clone());
        let memory: Memory = Arc::new(Mutex::new(translator));
        let driver = Self {
            name: switch.name.clone(),
            address: switch.address.clone(),
            login: login(switch)?,
            tls: tls(switch)?,
            core,
            metrics,
            memory: memory.clone(),
            counter: counter.clone(),
            began,
            commands: sender,
            wake: wake.clone(),
        };
        let commands = Commands {
            up: receiver,
            wake,
            memory,
            counter,
            began,
            site: Arc::new(Site {
                endpoints: switch.endpoints.clone(),
                context: switch.context.clone(),
                outside: switch.outside.clone(),
            }),
        };
        Ok((driver, commands))
    }

    /// Keeps the switch connected until the program ends.
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut said = String::new();
        loop {
            let ended = match self.connected(&mut backoff).await {
                Ok(never) => match never {},
                Err(ended) => ended,
            };
            self.commands.send_replace(None);
            self.core.send(Input::LinkDown(self.name.clone()));
            self.metrics.link(&self.name, false);
            let error = format!("{:#}", anyhow::Error::from(ended));
            if backoff.attempts() == 0 {
                // It was there meanwhile.
                said.clear();
            }
            // A switch that is away is said once, not at every attempt.
            if error == said {
                debug!(switch = %self.name, %error, "still waiting for the switch");
            } else {
                warn!(switch = %self.name, %error, "no link to the switch; its state is stale; trying again until it is there");
                said = error;
            }
            let delay = backoff.next_delay(rand::random::<f64>());
            // A question from the switch tells that it is there.
            let _ = timeout(delay, self.wake.notified()).await;
        }
    }

    /// States (1) to (3), until the connection ends.
    async fn connected(
        &self,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, SwitchError> {
        let at = |source| SwitchError::Connect {
            address: self.address.clone(),
            source,
        };
        let options = self.options()?;
        let mut events = EventLink::connect(&self.address, &self.login, &subscription(), &options)
            .await
            .map_err(at)?;
        let link = CommandLink::connect(&self.address, &self.login, &options)
            .await
            .map_err(at)?;
        let link = Arc::new(link);
        // Found out now, and not by the first move that fails.
        self.may_act(&link).await.map_err(SwitchError::MayNotAct)?;
        // Where a call rings can be asked from now on.
        self.commands.send_replace(Some(Up {
            link: link.clone(),
            read: false,
        }));

        let started = Instant::now();
        let mut buffered = Vec::new();
        let (list, contacts, sequence) = {
            let reading = self.read_switch(&link);
            tokio::pin!(reading);
            loop {
                tokio::select! {
                    read = &mut reading => break read?,
                    event = events.next() => buffered.push(event?.detach()),
                }
            }
        };
        let lit = lit_lamps(&link).await?;
        self.core.send(Input::LampsRead(self.name.clone(), lit));
        let (legs, registrations) = {
            let mut memory = locked(&self.memory);
            (
                memory.snapshot(&list, sequence),
                memory.registrations(&contacts),
            )
        };
        let (read, late) = (legs.len(), buffered.len());
        drop(list);
        self.core
            .send(Input::Registrations(self.name.clone(), registrations));
        self.core.send(Input::Resynced(self.name.clone(), legs));
        self.commands.send_replace(Some(Up {
            link: link.clone(),
            read: true,
        }));
        backoff.reset();
        self.metrics.link(&self.name, true);
        for event in &buffered {
            self.handle_event(event);
        }
        drop(buffered);
        info!(switch = %self.name, address = %self.address, channels = read, events = late,
            took_ms = started.elapsed().as_millis() as u64, "the state of the switch is fresh");

        let (seen, mut barrier) = watch::channel(String::new());
        let background = async {
            tokio::select! {
                () = self.reconcile(&link) => SwitchError::CommandLinkDown,
                _ = link.ended() => SwitchError::CommandLinkDown,
                error = self.try_event_link(&link, &mut barrier) => error,
            }
        };
        tokio::pin!(background);
        loop {
            tokio::select! {
                biased;
                event = events.next() => {
                    self.metrics.heard(&self.name, None);
                    if let Some(nonce) = self.handle_event(&event?) {
                        seen.send_replace(nonce);
                    }
                }
                ended = &mut background => return Err(ended),
            }
        }
    }

    /// Sets a global variable, which takes the same permission as all that is done to a call.
    async fn may_act(&self, link: &CommandLink) -> Result<(), RunError> {
        let action = Action::Setvar {
            channel: None,
            name: VarName::new("CALLHOP_SEEN")?,
            value: Value::Plain(VarValue::new(env!("CARGO_PKG_VERSION"))?),
        };
        link.run(&action).await?;
        Ok(())
    }

    /// The ids of actions can't be guessed: a caller who writes line ends into a number could answer them else.
    fn options(&self) -> Result<Options, SwitchError> {
        let prefix = format!("callhop-{:016x}", rand::random::<u64>());
        let prefix = ActionId::new(prefix).map_err(RunError::from)?;
        Ok(Options {
            tls: self.tls.clone(),
            ..Options::new(prefix)
        })
    }

    /// Hands on what an event says. The barrier that it is, if it is one.
    fn handle_event(&self, event: &Event) -> Option<String> {
        let told = locked(&self.memory).event(event, self.began.elapsed());
        let mut barrier = None;
        for told in told {
            let input = match told {
                Told::Leg(event) => {
                    self.metrics.event(&self.name);
                    Input::Leg(self.name.clone(), event)
                }
                Told::Digit(leg, digit) => Input::Digit(self.name.clone(), leg, digit),
                Told::PushKey(leg) => Input::PushKey(self.name.clone(), leg),
                Told::NotReached(id, cause) => Input::NotReached(self.name.clone(), id, cause),
                Told::Hunted(source) => {
                    self.metrics.hunt_source(&self.name, source);
                    continue;
                }
                Told::Contacts(device, contacts) => {
                    Input::Contacts(self.name.clone(), device, contacts)
                }
                Told::Barrier(nonce) => {
                    barrier = Some(nonce);
                    continue;
                }
            };
            self.core.send(input);
        }
        barrier
    }

    /// Has the switch send an event of ours, again and again: a link on which it does not come is dead, or its user may not read.
    async fn try_event_link(
        &self,
        link: &CommandLink,
        seen: &mut watch::Receiver<String>,
    ) -> SwitchError {
        let mut ticks = interval(BARRIER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let nonce = format!("{:016x}", rand::random::<u64>());
            let asked = Instant::now();
            let sent = async {
                let action = Action::UserEvent {
                    name: Word::new(translate::BARRIER)?,
                    fields: vec![(FieldName::new("Nonce")?, VarValue::new(nonce.as_str())?)],
                };
                link.run(&action).await?;
                Ok::<_, RunError>(())
            };
            if let Err(error) = sent.await {
                return error.into();
            }
            let came = seen.wait_for(|seen| *seen == nonce);
            if !matches!(timeout(BARRIER_LIMIT, came).await, Ok(Ok(_))) {
                return SwitchError::Silent;
            }
            self.metrics.heard(&self.name, Some(asked.elapsed()));
        }
    }

    async fn read_switch(
        &self,
        link: &CommandLink,
    ) -> Result<(Vec<Event>, Vec<Event>, callhop_calls::tracker::Sequence), RunError> {
        let sequence = self.counter.next();
        let status = Action::Status {
            channel: None,
            variables: status_variables()?,
        };
        let legs = link.list(&status).await?;
        let contacts = link.list(&Action::PjsipShowContacts).await?;
        Ok((legs, contacts, sequence))
    }

    /// Compares the tracker with the switch, again and again. Ends with the command link.
    async fn reconcile(&self, link: &CommandLink) {
        let mut ticks = interval_at(Instant::now() + FIRST_RECONCILE, RECONCILE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.differences(link).await {
                Ok((read, absent)) => {
                    self.core
                        .send(Input::Reconciled(self.name.clone(), read, absent));
                    self.metrics.reconciled(&self.name);
                }
                Err(error) => {
                    warn!(switch = %self.name, error = format!("{:#}", anyhow::Error::from(error)), "the comparison with the switch failed");
                    if !link.is_up() {
                        return;
                    }
                }
            }
        }
    }

    async fn differences(
        &self,
        link: &CommandLink,
    ) -> Result<(Vec<SnapshotLeg>, Vec<ChannelId>), RunError> {
        let (first, ..) = self.differing(link).await?;
        if first.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        tokio::time::sleep(RECONCILE_GRACE).await;
        let (second, there) = self.differing(link).await?;
        let second: Vec<ChannelId> = second.intersection(&first).cloned().collect();
        let absent = second
            .iter()
            .filter(|leg| !there.iter().any(|it| it.leg == **leg));
        let absent = absent.cloned().collect();
        let read = there.into_iter().filter(|it| second.contains(&it.leg));
        Ok((read.collect(), absent))
    }

    /// The legs that only one of the two has, or that have another peer here than there; and those that are there.
    async fn differing(
        &self,
        link: &CommandLink,
    ) -> Result<(HashSet<ChannelId>, Vec<SnapshotLeg>), RunError> {
        let (list, contacts, sequence) = self.read_switch(link).await?;
        // Read by a memory of its own: that of the events goes on meanwhile.
        let mut memory = locked(&self.memory).like_new();
        let there = memory.snapshot(&list, sequence);
        for (device, contacts) in memory.registrations(&contacts) {
            if locked(&self.memory).corrects(&device, &contacts) {
                self.core
                    .send(Input::Contacts(self.name.clone(), device, contacts));
            }
        }
        let names: HashSet<_> = there.iter().map(|leg| leg.leg.clone()).collect();
        let here = self.core.legs(&self.name).await;
        Ok((names.symmetric_difference(&here).cloned().collect(), there))
    }
}

pub(crate) fn login(switch: &config::Asterisk) -> anyhow::Result<Login> {
    Ok(Login {
        user: UserName::new(switch.username.as_str()).context("username")?,
        secret: Secret::new(switch.secret.reveal()),
    })
}

pub(crate) fn tls(switch: &config::Asterisk) -> anyhow::Result<Option<Tls>> {
    if !switch.tls {
        return Ok(None);
    }
    let (host, _) = switch
        .address
        .rsplit_once(':')
        .unwrap_or((&switch.address, ""));
    let host = host.trim_matches(['[', ']']);
    let tls = Tls::new(host, switch.tls_ca.as_deref());
    let tls = tls.with_context(|| format!("asterisk.tls: no TLS to {}", switch.address))?;
    Ok(Some(tls))
}

/// The lamps that are lit, as the switch has kept them (AstDB, `CustomDevstate`).
async fn lit_lamps(link: &CommandLink) -> Result<Vec<Lamp>, RunError> {
    let family = DbKey::new("CustomDevstate")?;
    match link.list(&Action::DbGetTree { family }).await {
        Ok(states) => Ok(states.iter().filter_map(translate::lit_lamp).collect()),
        // There is none yet.
        Err(CommandError::Refused { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn subscription() -> Subscription {
    Subscription {
        classes: vec![
            Privilege::Call,
            Privilege::User,
            Privilege::Dtmf,
            Privilege::System,
        ],
        only: Vec::new(),
    }
}

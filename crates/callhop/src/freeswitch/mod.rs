//! The driver for FreeSWITCH: two links, and what the core wants of the switch.
//!
//! Owns the links of one switch. Refuses to decide anything: what the event link reports goes to the core, and what the
//! core orders is sent. The event link is always drained: its events are translated and handed on without waiting for
//! anybody.
//!
//! ```text
//! (1) down --both links up--> (2) reading --switch read whole--> (3) fresh
//!       ^                          |                                |
//!       `------ a link is lost, or silent for SILENCE --------------'
//! ```
//!
//! **Invariant**: the events of a connection are subscribed to before the switch is read, and those that came meanwhile are
//! handed on after the reading, so that nothing falls between.

mod commands;
mod orders;
pub mod translate;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use callhop_calls::core::Input;
use callhop_calls::directory::Extension;
use callhop_calls::id::{ChannelId, DeviceId, SwitchName};
use callhop_calls::tracker::SnapshotLeg;
use callhop_esl::word::Subclass;
use callhop_esl::{
    Backoff, CommandError, CommandLink, ConnectError, Event, EventLink, EventName, LinkError,
    Options, Secret, Subscription,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{
    Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout, timeout_at,
};
use tracing::{debug, info, warn};

use crate::config;
use crate::controller::{Core, Metrics, since_1970};

use commands::{Dialplan, Up};

pub use commands::Commands;

/// How often the tracker is compared with the switch.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);

/// The first comparison after a reading, in case the list of channels lagged by more than [`LIST_LAG`].
const FIRST_RECONCILE: Duration = Duration::from_secs(2);

/// How far `show channels` may be behind: it comes from a database that is written by a thread of its own (187 ms seen). A
/// channel that was made just before the subscription is neither told by an event nor listed until then.
const LIST_LAG: Duration = Duration::from_millis(300);

/// Between finding a difference and believing it: what is on its way over the event link has arrived by then.
const RECONCILE_GRACE: Duration = Duration::from_secs(1);

/// How many devices are asked for their contacts in each [`RECONCILE_EVERY`], though nothing has been heard of them.
const PORTION: usize = 1000;

/// How often it is looked whether the command link is still up.
const LINK_CHECK: Duration = Duration::from_millis(500);

/// When nothing at all has come over the event link, not even HEARTBEAT, which the switch sends every 20 s
/// (switch.conf, `event-heartbeat-interval`).
const SILENCE: Duration = Duration::from_secs(50);

/// Why a connection to the switch ended.
#[derive(Debug, thiserror::Error)]
enum SwitchError {
    #[error("can't connect to the event socket at {address}")]
    Connect {
        address: String,
        source: ConnectError,
    },
    #[error("the event link was lost")]
    Link(#[from] LinkError),
    #[error("the event link has been silent for {SILENCE:?}")]
    Silent,
    #[error("the switch could not be read")]
    Read(#[from] ReadError),
    #[error("the command link was lost")]
    CommandLinkDown,
}

/// Why the switch could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Table(#[from] translate::TableError),
}

/// What was read of a switch.
struct Read {
    legs: Vec<SnapshotLeg>,
    registrations: HashMap<DeviceId, Vec<String>>,
    /// The devices whose contacts are those that the switch lists, which may not be all.
    unasked: std::vec::IntoIter<DeviceId>,
}

/// One switch: its name, and where to reach it.
#[derive(Debug)]
pub struct Driver {
    name: SwitchName,
    address: String,
    password: Secret,
    core: Core,
    metrics: Arc<Metrics>,
    commands: watch::Sender<Option<Up>>,
    wake: Arc<Notify>,
    poke: Arc<Notify>,
}

impl Driver {
    /// A driver, and the way to send commands through it.
    #[must_use]
    pub fn new(switch: &config::Freeswitch, core: Core, metrics: Arc<Metrics>) -> (Self, Commands) {
        let (sender, receiver) = watch::channel(None);
        let wake = Arc::new(Notify::new());
        let poke = Arc::new(Notify::new());
        let driver = Self {
            name: switch.name.clone(),
            address: switch.address.clone(),
            password: Secret::new(switch.password.reveal()),
            core,
            metrics,
            commands: sender,
            wake: wake.clone(),
            poke: poke.clone(),
        };
        let dialplan = Dialplan {
            context: switch.context.clone(),
            outside: switch.outside.clone(),
        };
        (driver, Commands::new(receiver, wake, poke, dialplan))
    }

    /// Keeps the switch connected until the program ends.
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut said = String::new();
        loop {
            let ended = self.connection(&mut backoff).await;
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
    async fn connection(&self, backoff: &mut Backoff) -> SwitchError {
        match self.connected(backoff).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn connected(
        &self,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, SwitchError> {
        let at = |source| SwitchError::Connect {
            address: self.address.clone(),
            source,
        };
        let options = Options::default();
        let mut events =
            EventLink::connect(&self.address, &self.password, &subscription(), &options)
                .await
                .map_err(at)?;
        let link = Arc::new(
            CommandLink::connect(&self.address, &self.password, &options)
                .await
                .map_err(at)?,
        );
        backoff.reset();
        let (new_devices, mut new) = mpsc::unbounded_channel();
        // Where a call rings can be asked from now on.
        self.commands.send_replace(Some(Up {
            link: link.clone(),
            new_devices: new_devices.clone(),
            read: false,
        }));

        let started = Instant::now();
        let mut buffered = Vec::new();
        let devices = self.devices(0, usize::MAX).await;
        let Read {
            legs,
            registrations,
            unasked,
        } = {
            let reading = self.read_switch(&link, devices, &mut new);
            tokio::pin!(reading);
            loop {
                tokio::select! {
                    read = &mut reading => break read?,
                    event = events.next() => buffered.push(event?),
                }
            }
        };
        let (read, late) = (legs.len(), buffered.len());
        self.core
            .send(Input::Registrations(self.name.clone(), registrations));
        self.core.send(Input::Resynced(self.name.clone(), legs));
        self.commands.send_replace(Some(Up {
            link: link.clone(),
            new_devices,
            read: true,
        }));
        self.metrics.link(&self.name, true);
        let (changed, registered) = mpsc::unbounded_channel();
        for event in &buffered {
            self.handle_event(event, &changed);
        }
        drop(buffered);
        info!(switch = %self.name, address = %self.address, channels = read, events = late,
            took_ms = started.elapsed().as_millis() as u64, "the state of the switch is fresh");

        let background = async {
            tokio::select! {
                () = self.follow_registrations(&link, registered, new, unasked) => {}
                () = self.reconcile(&link) => {}
                () = until_down(&link) => {}
            }
        };
        tokio::pin!(background);
        let silence = sleep_until(Instant::now() + SILENCE);
        tokio::pin!(silence);
        loop {
            tokio::select! {
                biased;
                event = events.next() => {
                    let event = event?;
                    let lag = translate::made_at(&event).map(|at| since_1970().saturating_sub(at));
                    self.metrics.heard(&self.name, lag);
                    self.handle_event(&event, &changed);
                    silence.as_mut().reset(Instant::now() + SILENCE);
                }
                () = self.poke.notified() => events.poke()?,
                () = &mut background => return Err(SwitchError::CommandLinkDown),
                () = &mut silence => return Err(SwitchError::Silent),
            }
        }
    }

    fn handle_event(&self, event: &Event, changed: &mpsc::UnboundedSender<DeviceId>) {
        if let Some(leg_event) = translate::leg_event(event) {
            self.metrics.event(&self.name);
            if let Some(source) = translate::hunt_source(event) {
                self.metrics.hunt_source(&self.name, source);
            }
            self.core.send(Input::Leg(self.name.clone(), leg_event));
        } else if let Some((leg, digit)) = translate::digit(event) {
            self.core.send(Input::Digit(self.name.clone(), leg, digit));
        } else if let Some(leg) = translate::push_key(event) {
            self.core.send(Input::PushKey(self.name.clone(), leg));
        } else if let Some((id, cause)) = translate::not_reached(event) {
            self.core
                .send(Input::NotReached(self.name.clone(), id, cause));
        } else if let Some(lamp) = translate::lamp_asked(event) {
            self.core.send(Input::LampAsked(self.name.clone(), lamp));
        } else if event.name() == EventName::Custom
            && let Some(device) = translate::registered_device(event)
        {
            // The receiver lives as long as the connection.
            let _ = changed.send(device);
        }
    }

    /// Devices of the directory, so many behind the first ones.
    async fn devices(&self, first: usize, count: usize) -> Vec<DeviceId> {
        let devices = self.core.view(move |core, _| {
            let owners = core.directory().extensions();
            let all = owners.flat_map(Extension::device_ids);
            all.skip(first).take(count).collect()
        });
        // Without a core the program ends.
        devices.await.unwrap_or_default()
    }

    /// Asks for the contacts of each device whose registration has changed; between them for those that have come into the
    /// directory, for those of `others`, and then of all, a portion a minute. Ends with the command link.
    async fn follow_registrations(
        &self,
        link: &CommandLink,
        mut changed: mpsc::UnboundedReceiver<DeviceId>,
        mut new: mpsc::UnboundedReceiver<DeviceId>,
        mut others: std::vec::IntoIter<DeviceId>,
    ) {
        let mut round = interval_at(Instant::now() + FIRST_RECONCILE, RECONCILE_EVERY);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = 0;
        loop {
            let device = tokio::select! {
                biased;
                device = changed.recv() => match device {
                    Some(device) => device,
                    None => return,
                },
                Some(device) = new.recv() => device,
                Some(device) = async { others.next() } => device,
                _ = round.tick() => {
                    let devices = self.devices(first, PORTION).await;
                    first = if devices.len() < PORTION { 0 } else { first + PORTION };
                    others = devices.into_iter();
                    continue;
                }
            };
            match self.contacts(link, &device).await {
                Some(contacts) => {
                    let input = Input::Contacts(self.name.clone(), device, contacts);
                    self.core.send(input);
                }
                None if !link.is_up().await => return,
                None => {}
            }
        }
    }

    /// The contacts of a device; the log says why they are not known.
    async fn contacts(&self, link: &CommandLink, device: &DeviceId) -> Option<Vec<String>> {
        let asked = commands::contacts(link, device).await;
        asked
            .inspect_err(|error| {
                warn!(switch = %self.name, %device, %error, "the contacts of a device are not known");
            })
            .ok()
    }

    /// Reads every registration and every channel: those that the switch lists, those that they name, and once more those that it
    /// lists when the list has caught up.
    ///
    /// The core lists one registration of each user, and none after one of several has gone, unless the admin has set
    /// `multiple-registrations` in switch.conf (switch_core_sqldb.c, switch_core_add_registration and
    /// switch_core_del_registration). So the devices are asked for one by one: as many as there is time for while the list of
    /// channels catches up, and the others afterwards. Those that come into the directory meanwhile are among them: the
    /// directory itself may still be read.
    async fn read_switch(
        &self,
        link: &CommandLink,
        devices: Vec<DeviceId>,
        new: &mut mpsc::UnboundedReceiver<DeviceId>,
    ) -> Result<Read, ReadError> {
        let caught_up = Instant::now() + LIST_LAG;
        let mut registrations =
            translate::registrations(&commands::show_registrations(link).await?)?;
        let mut legs = Vec::new();
        let mut asked = HashSet::new();
        read_channels(link, &mut asked, &mut legs).await?;
        let mut unasked = devices.into_iter();
        let mut next = async || match unasked.next() {
            Some(device) => Some(device),
            None => new.recv().await,
        };
        while Instant::now() < caught_up
            && let Ok(Some(device)) = timeout_at(caught_up, next()).await
        {
            match self.contacts(link, &device).await {
                Some(contacts) => drop(registrations.insert(device, contacts)),
                // The next question says so.
                None if !link.is_up().await => break,
                None => {}
            }
        }
        sleep_until(caught_up).await;
        read_channels(link, &mut asked, &mut legs).await?;
        Ok(Read {
            legs,
            registrations,
            unasked,
        })
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
                    if !link.is_up().await {
                        return;
                    }
                }
            }
        }
    }

    async fn differences(
        &self,
        link: &CommandLink,
    ) -> Result<(Vec<SnapshotLeg>, Vec<ChannelId>), ReadError> {
        let first = self.differing(link).await?;
        if first.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        tokio::time::sleep(RECONCILE_GRACE).await;
        let mut read = Vec::new();
        let mut absent = Vec::new();
        for leg in self.differing(link).await?.intersection(&first) {
            match commands::dump(link, leg).await? {
                Some(event) => read.extend(translate::snapshot_leg(&event)),
                None => absent.push(leg.clone()),
            }
        }
        Ok((read, absent))
    }

    /// The legs that only one of the two has.
    async fn differing(&self, link: &CommandLink) -> Result<HashSet<ChannelId>, ReadError> {
        let there: HashSet<_> = translate::channels(&commands::show_channels(link).await?)?
            .into_iter()
            .collect();
        let here = self.core.legs(&self.name).await;
        Ok(there.symmetric_difference(&here).cloned().collect())
    }
}

/// Waits for the end of the command link. A command whose answer does not come takes the link with it, and only who asks
/// the link learns that.
async fn until_down(link: &CommandLink) {
    let mut ticks = interval(LINK_CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while link.is_up().await {
        ticks.tick().await;
    }
}

fn subscription() -> Subscription {
    let mut names = translate::EVENTS.to_vec();
    names.extend([
        EventName::Heartbeat,
        EventName::Dtmf,
        EventName::BackgroundJob,
        // Of every key of every phone, each time that it renews its subscription: some ten in a second for 10,000 phones.
        EventName::PresenceProbe,
    ]);
    let custom = translate::REGISTRATION_EVENTS
        .iter()
        .chain([&translate::PUSH_KEY])
        .filter_map(|name| Subclass::new(*name).ok())
        .collect();
    Subscription { names, custom }
}

async fn read_channels(
    link: &CommandLink,
    asked: &mut HashSet<ChannelId>,
    legs: &mut Vec<SnapshotLeg>,
) -> Result<(), ReadError> {
    // Listed by age (mod_commands.c, `order by created_epoch`) and read in that order, by which the tracker tells old calls
    // from new ones.
    let mut ask = VecDeque::from(translate::channels(&commands::show_channels(link).await?)?);
    while let Some(id) = ask.pop_front() {
        if !asked.insert(id.clone()) {
            continue;
        }
        let Some(dump) = commands::dump(link, &id).await? else {
            continue;
        };
        let Some(leg) = translate::snapshot_leg(&dump) else {
            continue;
        };
        ask.extend(leg.talks_to.clone());
        ask.extend(leg.facts.originator.clone());
        legs.push(leg);
    }
    Ok(())
}

//! The switch itself: one task owns everything, every change is one [`Input`].
//!
//! Owns channels, registrations, the hash, timers and the links of the event socket. Does no I/O: what it wants to be
//! written goes into the queue of a link, and what it wants to ask the controller is a spawned question whose answer
//! comes back as an input.

mod api;
mod bridging;
pub(crate) mod calls;
pub(crate) mod channel;
mod dialplan;
pub(crate) mod digits;
mod hands;
mod intercept;
mod lamps;
mod links;
mod originate;
mod registrations;
pub(crate) mod split;
mod task;
mod views;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    config::{Config, Faults, Registrations},
    phone::{Act, Digits, PhoneError, PhonePredicate, PhoneView},
    random::Random,
    wire::{Command, LinkId, Outgoing},
};
use channel::{Channel, Task, Uuid};
pub(crate) use links::Link;
use originate::Origination;
pub(crate) use registrations::Party;
pub use views::{ChannelView, Question, SwitchView};

/// A condition on the whole switch.
pub(crate) type SwitchPredicate = Box<dyn FnMut(&SwitchView) -> bool + Send>;

/// Everything that can happen to the switch.
pub(crate) enum Input {
    /// When a client has connected to the event socket.
    LinkUp(
        LinkId,
        mpsc::UnboundedSender<Outgoing>,
        tokio::task::AbortHandle,
    ),
    /// When it has gone.
    LinkDown(LinkId),
    /// When it has sent a command.
    Command(LinkId, Command),
    /// When the controller has answered, or has not in time.
    Answer(Uuid, u64, Option<String>),
    /// When a phone is to be made: number and, unless it is an outside line, domain.
    NewPhone(String, Option<String>, oneshot::Sender<(usize, String)>),
    /// When somebody does something with a phone.
    Phone(usize, Act, oneshot::Sender<Result<String, PhoneError>>),
    /// When somebody wants to know about a phone.
    WatchPhone(usize, PhonePredicate, oneshot::Sender<PhoneView>),
    /// When somebody wants to know about the switch.
    WatchSwitch(SwitchPredicate, oneshot::Sender<SwitchView>),
    /// When a test turns a knob.
    Control(Control, oneshot::Sender<String>),
}

/// What a test can do to the switch as a whole.
pub(crate) enum Control {
    Controller(Option<String>),
    Faults(Faults),
    /// All channels gone, links cut, hash empty, new Core-UUID.
    Restart(Registrations),
    /// A stopped switch takes no calls.
    Running(bool),
    /// Cuts all links of the event socket.
    Cut,
    /// One event with a header of this many bytes.
    Overlong(usize),
    /// Bytes as they are, to every link that listens to events.
    Raw(Vec<u8>),
    /// An API command, as if from a link.
    Api(String),
    /// A phone subscribes to the lamp of this name.
    SubscribeLamp(String),
    /// What the lamp of this name shows.
    Lamp(String),
    Heartbeat,
}

/// What a timer is for.
#[derive(Debug, Clone)]
enum Timer {
    /// When a bridge has rung long enough.
    RingTimeout(Uuid, u64),
    /// When a tone is over.
    ToneOver(Uuid, u64),
    /// When an intercepted pair gets its bridge.
    Connect(Uuid, u64),
    /// When a puller has heard ringback long enough.
    AnswerTimeout(Uuid, u64),
    /// When a phone that answers at once does so.
    Answer(Uuid),
    /// When a sound of an extension of a push is over.
    SoundOver(Uuid, u64),
    /// When a phone sends the next of these digits.
    Digits(Uuid, String, Digits),
    /// When a code that was begun has not been ended.
    CodeBegun(Uuid, u64),
    /// When an `originate` has rung long enough.
    OriginateTimeout(u64),
    /// When a link's events that were kept back for reordering go out.
    Flush,
    /// When the next HEARTBEAT is due.
    Heartbeat,
}

/// The switch.
pub(crate) struct World {
    config: Config,
    running: bool,
    random: Random,
    inputs: mpsc::WeakUnboundedSender<Input>,
    core_uuid: String,
    started: SystemTime,
    sequence: u64,
    sessions: u64,
    channels: HashMap<Uuid, Channel>,
    parties: Vec<Party>,
    /// Rows of ended channels that the lagging table of `show` still has, with the time of their end.
    gone: VecDeque<(std::time::Instant, serde_json::Value)>,
    hash: BTreeMap<(String, String), String>,
    /// Names that phones have subscribed to, and whether they are lit.
    lamps: BTreeMap<String, Option<bool>>,
    links: BTreeMap<LinkId, Link>,
    timers: BTreeMap<(Instant, u64), Timer>,
    timer_count: u64,
    originations: BTreeMap<u64, Origination>,
    /// Who holds the `limit` of each push: the first of those who would take its far end.
    limits: HashMap<String, Uuid>,
    origination_count: u64,
    questions: Vec<Question>,
    bridges: Vec<(Uuid, Uuid)>,
    dirty: Vec<Uuid>,
    phone_watches: Vec<(usize, PhonePredicate, oneshot::Sender<PhoneView>)>,
    switch_watches: Vec<(SwitchPredicate, oneshot::Sender<SwitchView>)>,
}

impl World {
    pub(crate) fn new(config: Config, inputs: mpsc::WeakUnboundedSender<Input>) -> Self {
        let mut random = Random::new(config.seed);
        let mut world = Self {
            core_uuid: random.uuid(),
            random,
            running: true,
            inputs,
            started: SystemTime::now(),
            sequence: 0,
            sessions: 0,
            channels: HashMap::new(),
            parties: Vec::new(),
            gone: VecDeque::new(),
            hash: BTreeMap::new(),
            lamps: BTreeMap::new(),
            links: BTreeMap::new(),
            timers: BTreeMap::new(),
            timer_count: 0,
            originations: BTreeMap::new(),
            limits: HashMap::new(),
            origination_count: 0,
            questions: Vec::new(),
            bridges: Vec::new(),
            dirty: Vec::new(),
            phone_watches: Vec::new(),
            switch_watches: Vec::new(),
            config,
        };
        world.after(world.config.heartbeat, Timer::Heartbeat);
        world
    }

    fn after(&mut self, wait: Duration, timer: Timer) {
        self.timer_count += 1;
        self.timers
            .insert((Instant::now() + wait, self.timer_count), timer);
    }

    /// Gives a channel its next task, together with the timer that ends it.
    fn set_task(&mut self, uuid: &Uuid, task: Task) -> u64 {
        self.dirty.push(uuid.clone());
        self.channels.get_mut(uuid).map_or(0, |channel| {
            channel.set_task(task);
            channel.generation
        })
    }

    /// A channel that is there and not hung up.
    fn live(&self, uuid: &Uuid) -> Option<&Channel> {
        self.channels.get(uuid).filter(|c| !c.is_gone())
    }

    /// Changes a channel, when it is there.
    fn change(&mut self, uuid: &Uuid, change: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.channels.get_mut(uuid) {
            change(channel);
            self.dirty.push(uuid.clone());
        }
    }

    /// Takes a channel out of everything.
    fn remove(&mut self, uuid: &Uuid) {
        let Some(channel) = self.channels.remove(uuid) else {
            return;
        };
        if let Some(party) = self.parties.get_mut(channel.party) {
            party.legs.retain(|leg| leg != uuid);
        }
        if !self.config.table_lag.is_zero() {
            let row = self.row(&channel);
            self.gone.push_back((std::time::Instant::now(), row));
        }
    }

    /// The live channels of a phone, oldest first.
    fn channels_of(&self, party: usize) -> impl DoubleEndedIterator<Item = &Channel> {
        let legs = self.parties.get(party).map(|p| p.legs.as_slice());
        let channels = legs.unwrap_or_default().iter();
        channels
            .filter_map(|leg| self.channels.get(leg))
            .filter(|channel| !channel.is_gone())
    }

    /// Channels in the order of their creation.
    fn channels_in_order(&self) -> Vec<&Channel> {
        let mut list: Vec<&Channel> = self.channels.values().collect();
        list.sort_by_key(|channel| channel.session);
        list
    }
}

//! A scripted world around the core: a switch with two tenants, people who call and dial, and time that passes only from
//! one wake-up to the next.
//!
//! Legs are written `name` or `name=device`; a device without a domain is one of `lab.test`. Everything is told to the core
//! as a driver would tell it, and what the core wants is written down as one word or two per output.
// Each test file uses a part of it, and what fails here is the story.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod push;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use callhop_calls::core::{
    Answer, AskId, Asked, Core, Input, MoveEnd, MoveReport, Now, OfferRequest, Output, RingOrder,
    RingTarget, SplitOrder, StoreFailure,
};
use callhop_calls::directory::{Extension, Route, RouteEnd, RouteTarget};
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId, MoveId, SwitchName, UnixTime};
use callhop_calls::journal::{Entry, Kind, OpenMove};
use callhop_calls::routing::Policy;
use callhop_calls::tracker::{
    Arming, Bond, Change, Direction, Facts, LegEvent, Party, Progress, Sequence, SnapshotLeg,
    SwitchTime,
};

pub use push::{At, ROLES, Story, check_roles};

/// Calendar time at which every world begins.
pub const START: i64 = 1_000_000;

/// A leg as it truly is on the switch.
#[derive(Debug, Clone)]
struct True {
    facts: Facts,
    peer: Option<ChannelId>,
    holds: bool,
    /// Where its own dialplan has it.
    at: At,
    /// Until when it is held once its bridge ends (`transfer_after_bridge`, `callhop_until`), if it is held at all.
    held_after_bridge: Option<Duration>,
    /// The far leg that its dialplan takes (`callhop_far`).
    far: Option<ChannelId>,
    /// The devices that its recall rings.
    recall: Vec<DeviceId>,
}

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMood {
    /// It commits at once, and the new directory is read before anybody is told.
    Works,
    /// It does not answer before [`World::store_answers`].
    Slow,
    /// It can't be reached.
    Down,
    /// It refuses.
    Refuses,
}

/// One switch, as it truly is.
#[derive(Debug, Default)]
struct Truth {
    legs: BTreeMap<ChannelId, True>,
    sequence: u64,
    /// Its routing snapshot.
    hash: BTreeMap<ExtensionId, Vec<DeviceId>>,
    contacts: HashMap<DeviceId, Vec<String>>,
}

/// The world.
pub struct World {
    pub core: Core,
    pub now: Now,
    pub store: StoreMood,
    policy: Policy,
    run: u64,
    switch: SwitchName,
    switches: HashMap<SwitchName, Truth>,
    directory: HashMap<ExtensionId, Extension>,
    asks: u64,
    /// Events are kept here instead of being told, while this is there.
    withheld: Option<Vec<LegEvent>>,
    stored: Vec<Input>,
    said: Vec<String>,
    pub reports: Vec<MoveReport>,
    pub orders: Vec<callhop_calls::core::PullOrder>,
    pub splits: Vec<SplitOrder>,
    pub rings: Vec<RingOrder>,
    /// For whose contacts a switch was to be asked.
    pub asked_for: BTreeSet<String>,
    /// What was last offered, or withdrawn.
    pub offered: Option<OpenMove>,
    /// Which legs were told to listen for the push code, and whether late.
    pub armed: Vec<(String, bool)>,
    /// What was written into the journal.
    pub journal: Vec<Entry>,
    /// Whether what is written into the journal is said too.
    pub reads_journal: bool,
    /// What is ordered for pushes and has not been carried out yet.
    pub wanted: VecDeque<Output>,
    /// The jobs that ring targets: whose push, and the far leg.
    pub jobs: Vec<(MoveId, ChannelId)>,
    /// Far legs that the switch holds by itself since their bridge has ended.
    pub held_by_itself: BTreeSet<ChannelId>,
    /// Far legs that were to ring the pusher's devices.
    recalled: BTreeSet<ChannelId>,
    /// What the lamps of the first switch were told: `+` lit, `-` dark.
    told_lamps: Vec<String>,
    /// What must never be ordered, and was.
    pub wrong: Vec<String>,
    made: u32,
}

pub fn leg(name: &str) -> ChannelId {
    name.parse().unwrap()
}

pub fn device(name: &str) -> DeviceId {
    if name.contains('@') {
        name.parse().unwrap()
    } else {
        format!("{name}@lab.test").parse().unwrap()
    }
}

pub fn extension(name: &str) -> ExtensionId {
    let DeviceId { number, domain } = device(name);
    ExtensionId::new(number, domain)
}

/// `device 1002`, `extension 2000`, for a route that never ends.
pub fn route(target: &str) -> Route {
    ending(target, RouteEnd::Never)
}

pub fn ending(target: &str, end: RouteEnd) -> Route {
    let target = match target.split_once(' ').unwrap() {
        ("device", name) => RouteTarget::Device(device(name)),
        ("extension", name) => RouteTarget::Extension(extension(name)),
        other => panic!("{other:?}"),
    };
    Route { target, end }
}

/// Numbers of `lab.test` without the domain, others whole.
fn short(name: impl ToString) -> String {
    let name = name.to_string();
    name.strip_suffix("@lab.test")
        .map_or(name.clone(), str::to_owned)
}

/// Runs the story in a fresh world; then what has been said has to be `expect`.
pub fn check(name: &str, story: impl FnOnce(&mut World), expect: &str) {
    let mut world = World::new();
    story(&mut world);
    assert_eq!(world.said(), expect, "{name}");
}

impl World {
    /// Two tenants with the same numbers. In `lab.test` 1000 has three devices, 2000 two, 3000 has a device of its own
    /// number, and 4000 to 4006 one each. In `other.test` there is 1000, also with 1001 and 1002.
    pub fn new() -> Self {
        Self::with(Policy::default())
    }

    pub fn with(policy: Policy) -> Self {
        let mut world = Self::unconnected(policy);
        for name in ["fs1", "fs2"] {
            world.on(name);
            let all = ["1001", "1002", "1003", "2001", "2002", "3000", "3001"];
            let ours = all.iter().map(|name| device(name));
            let fours = (4001..=4007).map(|number| device(&number.to_string()));
            let others = ["1001@other.test", "1002@other.test"].iter();
            let others = others.map(|name| device(name));
            let registered = ours.chain(fours).chain(others);
            world.truth().contacts = registered
                .map(|device| (device.clone(), vec![format!("sofia/internal/sip:{device}")]))
                .collect();
            world.resync();
        }
        world.on("fs1");
        world.said.clear();
        world
    }

    /// The same, before any switch has been reached.
    pub fn unconnected(policy: Policy) -> Self {
        let now = Now {
            mono: Duration::ZERO,
            unix: UnixTime(START),
        };
        let switches: Vec<SwitchName> = vec!["fs1".parse().unwrap(), "fs2".parse().unwrap()];
        let mut world = Self {
            core: Core::new(switches.clone(), HashMap::new(), policy.clone(), 1, now),
            now,
            policy,
            run: 1,
            store: StoreMood::Works,
            switch: switches[0].clone(),
            switches: switches
                .into_iter()
                .map(|name| (name, Truth::default()))
                .collect(),
            directory: HashMap::new(),
            asks: 0,
            withheld: None,
            stored: Vec::new(),
            said: Vec::new(),
            reports: Vec::new(),
            orders: Vec::new(),
            splits: Vec::new(),
            rings: Vec::new(),
            asked_for: BTreeSet::new(),
            offered: None,
            armed: Vec::new(),
            journal: Vec::new(),
            reads_journal: false,
            wanted: VecDeque::new(),
            jobs: Vec::new(),
            held_by_itself: BTreeSet::new(),
            recalled: BTreeSet::new(),
            told_lamps: Vec::new(),
            wrong: Vec::new(),
            made: 0,
        };
        world.have("1000", &["1001", "1002", "1003"]);
        world.have("2000", &["2001", "2002"]);
        world.have("3000", &["3000", "3001"]);
        for number in 4000..=4006 {
            world.have(&number.to_string(), &[&(number + 1).to_string()]);
        }
        world.have("1000@other.test", &["1001", "1002"]);
        world
    }

    /// From here on things happen at this switch.
    pub fn on(&mut self, switch: &str) -> &mut Self {
        self.switch = switch.parse().unwrap();
        self
    }

    fn truth(&mut self) -> &mut Truth {
        self.switches.get_mut(&self.switch).unwrap()
    }

    /// An extension is written to the database.
    pub fn have(&mut self, id: &str, devices: &[&str]) {
        let id = extension(id);
        let route = self.directory.get(&id).and_then(|e| e.route.clone());
        let devices = devices.iter().map(|number| number.parse().unwrap());
        self.write(Extension {
            id,
            devices: devices.collect(),
            route,
        });
    }

    fn write(&mut self, extension: Extension) {
        self.directory
            .insert(extension.id.clone(), extension.clone());
        self.tell(Input::Directory(vec![extension], Vec::new()));
    }

    /// An extension is removed from the database.
    pub fn remove(&mut self, id: &str) {
        self.directory.remove(&extension(id));
        self.tell(Input::Directory(Vec::new(), vec![extension(id)]));
    }

    /// A route is written to the database, by the page or the command line.
    pub fn set_route(&mut self, id: &str, route: Option<Route>) {
        let mut extension = self.directory[&extension(id)].clone();
        extension.route = route;
        self.write(extension);
    }

    /// The database is read whole.
    pub fn read_database(&mut self) {
        let all = self.directory.values().cloned().collect();
        self.tell(Input::WholeDirectory(all));
    }

    /// What the lamps of the first switch were told since somebody asked last.
    pub fn lamps(&mut self) -> String {
        std::mem::take(&mut self.told_lamps).join(" ")
    }

    /// Tells the core, and does what it wants.
    pub fn tell(&mut self, input: Input) {
        self.core.handle(input, self.now);
        while let Some(output) = self.core.poll_output() {
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        if push::is_order(&output) {
            self.judge(&output);
            self.wanted.push_back(output.clone());
        }
        let word = match output {
            Output::Pull(order) => {
                let mut forks: Vec<_> = order.forks.iter().map(ToString::to_string).collect();
                forks.sort();
                let mut word = format!("pull {}", order.far_leg);
                if !forks.is_empty() {
                    word += &format!(" telling {}", forks.join(" "));
                }
                self.orders.push(order);
                word
            }
            Output::Confirm(_) => "beep".into(),
            Output::Refuse(_, refusal) => format!("refuse {}", refusal.word()),
            Output::Targets(_, None) => "no answer".into(),
            Output::Targets(_, Some(answer)) => format!("ring {}", devices(&answer)),
            Output::StoreRoute {
                ask,
                extension,
                route,
                ..
            } => return self.store(ask, &extension, route),
            Output::ConsumeRoute(id, route) => {
                let mut extension = self.directory[&id].clone();
                if extension.route.as_ref() == Some(&route) {
                    extension.route = None;
                    self.directory.insert(id.clone(), extension);
                }
                format!("route of {} used up", short(id))
            }
            Output::Publish(switch, id, answer) => {
                let hash = &mut self.switches.get_mut(&switch).unwrap().hash;
                match answer {
                    Some(answer) => {
                        let targets = answer.targets.into_iter().map(|(device, _)| device);
                        hash.insert(id, targets.collect());
                    }
                    None => {
                        hash.remove(&id);
                    }
                }
                return;
            }
            Output::Moved(report) => {
                let from = short(&report.from);
                let to = report.to.as_ref().map(short).unwrap_or_default();
                let word = match (&report.end, report.end.cause()) {
                    (MoveEnd::Moved, _) => format!("moved {from} to {to}"),
                    (MoveEnd::FarEndGone, _) => "failed: far end gone".into(),
                    (_, Some(cause)) => format!("failed: {}", cause.replace('_', " ")),
                    (end, None) => format!("{end:?}").to_lowercase(),
                };
                self.reports.push(report);
                word
            }
            Output::AskContacts(switch, devices) => {
                self.asked_for.extend(devices.iter().map(short));
                if !self.core.switch(&switch).unwrap().is_fresh() {
                    // It is asked for all of them once it is there.
                    return;
                }
                let devices: Vec<_> = devices.iter().map(ToString::to_string).collect();
                format!("ask {switch} for {}", devices.join(", "))
            }
            Output::Lamp(switch, lamp, lit) => {
                if switch.as_str() == "fs1" {
                    let sign = if lit { '+' } else { '-' };
                    let name = short(lamp).replace("callhop+", "");
                    self.told_lamps.push(format!("{sign}{name}"));
                }
                return;
            }
            Output::Corrected(_, corrections) => format!("corrected {}", corrections.total()),
            Output::Journal(entry) => {
                let word = push::entry(&entry);
                self.journal.push(entry);
                if !self.reads_journal {
                    return;
                }
                word
            }
            Output::Arm(order) => {
                self.armed.push((order.leg.to_string(), order.late));
                let truth = self.switches.get_mut(&order.switch).unwrap();
                if let Some(leg) = truth.legs.get_mut(&order.leg) {
                    leg.facts.arming = if order.late {
                        Arming::Armed
                    } else {
                        leg.facts.arming.max(Arming::Prepared)
                    };
                }
                return;
            }
            Output::Split(order) => {
                let word = format!("split {} {}", order.old_leg, order.far_leg);
                self.splits.push(*order);
                word
            }
            Output::Ring(order) => {
                let word = format!("push rings {}", whom(&order.target));
                self.rings.push(*order);
                word
            }
            Output::GiveBack { old_leg, tone, .. } => {
                format!("{} {old_leg}", if tone { "refuse" } else { "give back" })
            }
            Output::Recall(_, far_leg) => format!("recall {far_leg}"),
            Output::Release(_, leg) => format!("release {leg}"),
            Output::Settled(_, leg) => format!("settle {leg}"),
            Output::Reread(_, legs) => {
                let legs: Vec<_> = legs.iter().map(ToString::to_string).collect();
                format!("read {}", legs.join(" "))
            }
            Output::ReturnCode(_, leg, code) => format!("return {code} to {leg}"),
            Output::NoPush(_, leg, refusal) => format!("no push {leg}: {}", refusal.word()),
            Output::Offer(order) => format!("offer rings {}", whom(&order.target)),
            Output::Offered(_, Ok(open)) => {
                self.offered = Some(open);
                return;
            }
            Output::Offered(_, Err(refusal)) => format!("not offered: {refusal}"),
        };
        self.said.push(word);
    }

    fn store(&mut self, ask: AskId, id: &ExtensionId, route: Option<Route>) {
        let what = match route.as_ref().map(|r| &r.target) {
            None => "reset".into(),
            Some(RouteTarget::Device(device)) => format!("to {}", short(device)),
            Some(RouteTarget::Extension(to)) => format!("to extension {}", short(to)),
        };
        self.said.push(format!("store {} {what}", short(id)));
        let failure = match self.store {
            StoreMood::Works | StoreMood::Slow => None,
            StoreMood::Down => Some(StoreFailure::Unavailable("down".into())),
            StoreMood::Refuses => Some(StoreFailure::Refused("no".into())),
        };
        if let Some(failure) = failure {
            return self.tell(Input::RouteStored(ask, Err(failure)));
        }
        let mut extension = self.directory[id].clone();
        extension.route = route;
        self.directory
            .insert(extension.id.clone(), extension.clone());
        self.stored
            .push(Input::Directory(vec![extension], Vec::new()));
        self.stored.push(Input::RouteStored(ask, Ok(())));
        if self.store == StoreMood::Works {
            self.store_answers();
        }
    }

    /// What was written is told.
    pub fn store_answers(&mut self) {
        for input in std::mem::take(&mut self.stored) {
            self.tell(input);
        }
    }

    /// What has been said since the last time.
    pub fn said(&mut self) -> String {
        std::mem::take(&mut self.said).join(", ")
    }

    /// Lets time pass to the next wake-up, and wakes the core. How long it was.
    pub fn sleep(&mut self) -> Duration {
        let at = self.core.next_timer().expect("the core waits for a time");
        let by = at.saturating_sub(self.now.mono);
        self.pass(by);
        self.tell(Input::Timer);
        by
    }

    /// Time passes, and nobody is woken.
    pub fn pass(&mut self, by: Duration) {
        self.now.mono += by;
        self.now.unix.0 += i64::try_from(by.as_secs()).unwrap();
    }

    // What happens on the switch.

    fn next_event(&mut self, id: &ChannelId, change: Change) {
        let at = Some(SwitchTime(self.now.mono));
        let truth = self.truth();
        truth.sequence += 1;
        let event = LegEvent {
            sequence: Sequence(truth.sequence),
            leg: id.clone(),
            at,
            facts: truth.legs.get(id).map(|leg| leg.facts.clone()),
            change,
        };
        match &mut self.withheld {
            Some(withheld) => withheld.push(event),
            None => self.event(event),
        }
    }

    /// One event arrives.
    pub fn event(&mut self, event: LegEvent) {
        self.tell(Input::Leg(self.switch.clone(), event));
    }

    /// From here on events are held back; [`Self::let_go`] gives them.
    pub fn hold_back(&mut self) {
        self.withheld = Some(Vec::new());
    }

    /// The events that were held back.
    pub fn let_go(&mut self) -> Vec<LegEvent> {
        self.withheld.take().unwrap_or_default()
    }

    fn begin(
        &mut self,
        written: &str,
        direction: Direction,
        originator: Option<&str>,
        made_by: Option<MoveId>,
    ) {
        let (name, of, phone) = read(written);
        let id = leg(name);
        let facts = Facts {
            device: of,
            direction,
            progress: Progress::Setup,
            originator: originator.map(leg),
            party: Party {
                number: format!("number-of-{name}"),
                name: format!("name of {name}"),
            },
            codec: None,
            phone,
            arming: Arming::No,
            made_by,
        };
        let new = True {
            facts,
            peer: None,
            holds: false,
            at: At::Call,
            held_after_bridge: None,
            far: None,
            recall: Vec::new(),
        };
        self.truth().legs.insert(id.clone(), new);
        self.next_event(&id, Change::Told);
    }

    /// Somebody calls the switch.
    pub fn incoming(&mut self, written: &str) {
        self.begin(written, Direction::Inbound, None, None);
    }

    /// The switch rings for `originator`.
    pub fn rings(&mut self, written: &str, originator: &str) {
        self.begin(written, Direction::Outbound, Some(originator), None);
    }

    pub fn progress(&mut self, name: &str, progress: Progress) {
        let facts = &mut self.truth().legs.get_mut(&leg(name)).unwrap().facts;
        let answers = facts.progress < progress && progress == Progress::Answered;
        facts.progress = progress;
        facts.codec = Some("PCMU".into());
        let was_prepared = answers && facts.arming == Arming::Prepared;
        self.next_event(&leg(name), Change::Told);
        // `execute_on_answer` runs once the answer has been reported.
        if was_prepared && let Some(it) = self.truth().legs.get_mut(&leg(name)) {
            it.facts.arming = Arming::Armed;
        }
    }

    pub fn answers(&mut self, name: &str) {
        self.progress(name, Progress::Answered);
    }

    pub fn bridge(&mut self, one: &str, two: &str) {
        let (one, two) = (leg(one), leg(two));
        for (id, peer) in [(&one, &two), (&two, &one)] {
            let former = self.truth().legs.get_mut(id).unwrap().peer.take();
            if let Some(former) = former.and_then(|f| self.truth().legs.get_mut(&f)) {
                former.peer = None;
            }
            let it = self.truth().legs.get_mut(id).unwrap();
            it.peer = Some(peer.clone());
            it.at = At::Call;
        }
        self.next_event(&one, Change::Bridged(two));
    }

    pub fn unbridge(&mut self, one: &str, two: &str) {
        for (id, peer) in [(one, two), (two, one)] {
            if let Some(it) = self.truth().legs.get_mut(&leg(id))
                && it.peer == Some(leg(peer))
            {
                it.peer = None;
            }
        }
        self.next_event(&leg(one), Change::Unbridged(leg(two)));
    }

    pub fn hold(&mut self, name: &str) {
        self.truth().legs.get_mut(&leg(name)).unwrap().holds = true;
        self.next_event(&leg(name), Change::Held);
    }

    pub fn unhold(&mut self, name: &str) {
        self.truth().legs.get_mut(&leg(name)).unwrap().holds = false;
        self.next_event(&leg(name), Change::Unheld);
    }

    /// The leg ends; whoever it talked to does not by that.
    pub fn hangs_up(&mut self, name: &str) {
        let id = leg(name);
        let known = self.truth().legs.remove(&id);
        if let Some(peer) = known.and_then(|leg| leg.peer)
            && let Some(peer) = self.truth().legs.get_mut(&peer)
        {
            peer.peer = None;
        }
        self.next_event(&id, Change::Gone);
        // CHANNEL_HANGUP, CHANNEL_DESTROY.
        self.next_event(&id, Change::Gone);
    }

    /// The far end `caller` has called, `written` has answered, and both talk.
    pub fn talks(&mut self, caller: &str, written: &str) {
        self.incoming(caller);
        let caller = caller.split('=').next().unwrap();
        let callee = written.split('=').next().unwrap();
        self.rings(written, caller);
        self.answers(callee);
        self.answers(caller);
        self.bridge(caller, callee);
    }

    /// What the switch's `intercept` does, once the new leg's dialplan has been told to.
    pub fn intercepts(&mut self, new: &str, far: &str) {
        let old = self.truth().legs[&leg(far)].peer.clone();
        self.answers(new);
        if let Some(old) = &old {
            self.unbridge(old.as_str(), far);
            self.hangs_up(old.as_str());
        }
        let forks = self.truth().legs.iter();
        let losers: Vec<_> = forks
            .filter(|(_, l)| {
                l.facts.originator == Some(leg(far)) && l.facts.progress < Progress::Answered
            })
            .map(|(id, _)| id.to_string())
            .collect();
        for fork in losers {
            self.hangs_up(&fork);
        }
        if self.truth().legs[&leg(far)].facts.progress < Progress::Answered {
            self.answers(far);
        }
        self.bridge(new, far);
    }

    // What people do.

    /// A device calls and dials a star code; the switch knows the device of the channel.
    pub fn dials(&mut self, written: &str, code: &str) {
        self.incoming(written);
        self.asks_for(written, code);
    }

    /// The question alone, as when it overtakes the channel's own events.
    pub fn asks_for(&mut self, written: &str, code: &str) {
        let (name, of, phone) = read(written);
        self.asks += 1;
        let asked = Asked {
            ask: AskId(self.asks),
            switch: self.switch.clone(),
            new_leg: leg(name),
            device: of,
            dialled: code.into(),
            phone,
            codecs: vec!["opus".into(), "pcmu".into()],
        };
        self.tell(Input::StarCode(asked));
    }

    /// Somebody at no phone wants a call of `extension` to be moved: `1000`, or `1000 from 1001`.
    pub fn offers(&mut self, kind: Kind, whose: &str, to: &str) {
        let (whose, from) = match whose.split_once(" from ") {
            Some((whose, from)) => (whose, Some(from.parse().unwrap())),
            None => (whose, None),
        };
        self.asks += 1;
        let request = OfferRequest {
            kind,
            extension: extension(whose),
            from,
            to: to.parse().unwrap(),
        };
        self.tell(Input::Offer(AskId(self.asks), request));
    }

    /// A leg that rings for what was last offered.
    pub fn offer_rings(&mut self, written: &str) {
        let id = self.offered.as_ref().expect("an offer").id;
        self.begin(written, Direction::Outbound, None, Some(id));
    }

    /// The leg has been answered, and asks for the call.
    pub fn takes_offer(&mut self, name: &str) {
        self.answers(name);
        self.asks_to_take(name);
    }

    /// The question alone.
    pub fn asks_to_take(&mut self, name: &str) {
        let id = self.offered.as_ref().expect("an offer").id;
        self.asks += 1;
        let asked = Asked {
            ask: AskId(self.asks),
            switch: self.switch.clone(),
            new_leg: leg(name),
            device: None,
            dialled: "callhop_take".into(),
            phone: None,
            codecs: Vec::new(),
        };
        self.tell(Input::Take(asked, id));
    }

    /// What was last offered is withdrawn.
    pub fn withdraws(&mut self) {
        let id = self.offered.as_ref().expect("an offer").id;
        self.asks += 1;
        self.tell(Input::Withdraw(AskId(self.asks), id));
    }

    /// Before a star code of that device is answered, the driver reads the legs again on which the answer depends.
    pub fn rereads(&mut self, of: &str) {
        let legs = self.core.legs_to_ask(&self.switch, &device(of));
        self.reads(legs);
    }

    /// The driver reads these legs, if it has a link.
    fn reads(&mut self, legs: Vec<ChannelId>) {
        if !self.core.switch(&self.switch).unwrap().is_fresh() {
            return;
        }
        let (there, absent): (Vec<_>, Vec<_>) = legs
            .into_iter()
            .partition(|id| self.truth().legs.contains_key(id));
        let read = there.iter().map(|id| self.read(id)).collect();
        self.tell(Input::Reread(self.switch.clone(), read, absent));
    }

    /// The same, and the move goes well.
    pub fn pulls(&mut self, written: &str, code: &str) {
        self.dials(written, code);
        let order = self.orders.last().expect("a pull").clone();
        let new = written.split('=').next().unwrap();
        self.intercepts(new, order.far_leg.as_str());
    }

    /// An inbound call asks where to ring.
    pub fn hunts(&mut self, id: &str) {
        self.asks += 1;
        let input = Input::Hunt(AskId(self.asks), self.switch.clone(), extension(id));
        self.tell(input);
    }

    // What becomes of the link.

    pub fn link_down(&mut self) {
        self.tell(Input::LinkDown(self.switch.clone()));
    }

    /// The switch is read whole, as a driver does: registrations, then channels.
    pub fn resync(&mut self) {
        let truth = self.truth();
        let contacts = truth.contacts.clone();
        let ids: Vec<_> = truth.legs.keys().cloned().collect();
        let legs = ids.iter().map(|id| self.read(id)).collect();
        self.tell(Input::Registrations(self.switch.clone(), contacts));
        self.tell(Input::Resynced(self.switch.clone(), legs));
    }

    /// The minute's comparison: every leg is read again, and those that are known and not there are named.
    pub fn reconciles(&mut self) {
        let here = self.switch.clone();
        let known = self.core.switch(&here).unwrap().tracker().legs();
        let known: Vec<_> = known.map(|(id, _)| id.clone()).collect();
        let there: Vec<_> = self.truth().legs.keys().cloned().collect();
        let absent = known.into_iter().filter(|id| !there.contains(id)).collect();
        let read = there.iter().map(|id| self.read(id)).collect();
        self.tell(Input::Reconciled(here, read, absent));
    }

    pub fn read(&mut self, id: &ChannelId) -> SnapshotLeg {
        let truth = self.truth();
        truth.sequence += 1;
        let leg = &truth.legs[id];
        SnapshotLeg {
            sequence: Sequence(truth.sequence),
            leg: id.clone(),
            facts: leg.facts.clone(),
            talks_to: leg.peer.clone(),
            holds: leg.holds,
        }
    }

    /// The switch loses everything.
    pub fn restart_switch(&mut self) {
        let truth = self.truth();
        truth.legs.clear();
        truth.hash.clear();
        truth.sequence = 0;
    }

    /// A device registers with these contacts.
    pub fn registers(&mut self, name: &str, contacts: &[&str]) {
        let contacts: Vec<_> = contacts.iter().map(|&contact| contact.to_owned()).collect();
        self.truth().contacts.insert(device(name), contacts.clone());
        self.tell(Input::Contacts(self.switch.clone(), device(name), contacts));
    }

    // What can be seen.

    /// The routing snapshot of an extension on the switch.
    pub fn hash(&mut self, id: &str) -> String {
        match self.truth().hash.get(&extension(id)) {
            Some(devices) => devices.iter().map(short).collect::<Vec<_>>().join(" "),
            None => "nothing".into(),
        }
    }

    /// Forgets what was written, to see what is written next.
    pub fn forget_hash(&mut self) {
        self.truth().hash.clear();
    }

    /// The extensions that have been written.
    pub fn hashed(&mut self) -> String {
        let ids = self.truth().hash.keys().map(short);
        ids.collect::<Vec<_>>().join(" ")
    }

    /// The whole routing snapshot of a switch.
    pub fn hash_of(&self, switch: &SwitchName) -> &BTreeMap<ExtensionId, Vec<DeviceId>> {
        &self.switches[switch].hash
    }

    /// The legs that are truly there.
    pub fn legs(&self) -> Vec<String> {
        let truth = &self.switches[&self.switch];
        truth.legs.keys().map(ToString::to_string).collect()
    }

    /// For whom a leg truly rings.
    pub fn rings_for(&self, name: &str) -> Option<String> {
        let truth = &self.switches[&self.switch];
        let fork = truth.legs.get(&leg(name))?;
        let originator = fork.facts.originator.as_ref()?;
        let free = |leg: &True| leg.peer.is_none();
        (fork.facts.progress < Progress::Answered
            && free(fork)
            && truth.legs.get(originator).is_some_and(free))
        .then(|| originator.to_string())
    }

    /// With whom the tracker shows the leg, and for whom it rings.
    pub fn bond(&self, name: &str) -> String {
        let tracker = self.core.switch(&self.switch).unwrap().tracker();
        match tracker.leg(&leg(name)).map(|leg| &leg.bond) {
            None => "gone".into(),
            Some(Bond::Alone) => "alone".into(),
            Some(Bond::RingsFor(originator)) => format!("rings for {originator}"),
            Some(Bond::TalksTo(peer)) => format!("talks to {peer}"),
        }
    }

    pub fn moves(&self) -> usize {
        self.core.switch(&self.switch).unwrap().moves()
    }
}

fn whom(target: &RingTarget) -> String {
    match target {
        RingTarget::Devices(answer) => devices(answer),
        RingTarget::Outside(number) => format!("outside {number}"),
    }
}

fn devices(answer: &Answer) -> String {
    let devices = answer.targets.iter().map(|(device, contacts)| {
        let mark = match contacts.len() {
            0 => "?".into(),
            1 => String::new(),
            many => format!("x{many}"),
        };
        short(device) + &mark
    });
    devices.collect::<Vec<_>>().join(" ")
}

/// `leg`, `leg=device`, or `leg=device/phone` for one of several registrations of that device.
fn read(written: &str) -> (&str, Option<DeviceId>, Option<String>) {
    let Some((name, of)) = written.split_once('=') else {
        return (written, None, None);
    };
    match of.split_once('/') {
        Some((of, phone)) => (name, Some(device(of)), Some(phone.into())),
        None => (name, Some(device(of)), None),
    }
}

//! What an event costs, and how much memory a leg and a device take, as the system grows (DESIGN, section 5).
//!
//! `cargo run --release -p callhop-calls --example growth`. Two systems, one with 1,000 and one with 100,000 calls at a
//! time, get the same events in turn, so that both are measured in the same run; the median of the rounds counts. Only
//! [`Core::handle`] is timed, not the making of the events.
//!
//! - `lives`: the oldest call ends, a new one begins; that is what a switch reports.
//! - `any leg`: a hold of any leg at all; each event finds a leg that was not touched for long. The worst that can be for
//!   the caches of the processor; shown, not promised.

// The core reads no clock; who measures it does.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::alloc::System;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use callhop_calls::core::{Core, Input, Now};
use callhop_calls::directory::Extension;
use callhop_calls::id::{ChannelId, DeviceId, SwitchName, UnixTime};
use callhop_calls::routing::Policy;
use callhop_calls::tracker::{
    Arming, Change, Direction, Facts, LegEvent, Party, Progress, Sequence,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes asked for and not given back.
fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Events of one batch: few enough to stay in the cache while they are made and handled.
const BATCH: usize = 1000;
/// Events of one round.
const ROUND: usize = 50_000;
const ROUNDS: usize = 15;
/// Devices that are called in turn.
const CALLED: u64 = 300_000;

/// A small generator (SplitMix64), so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// As FreeSWITCH writes it.
    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }
}

/// One call: a caller from outside, and the device that answers.
struct Call {
    caller: String,
    callee: String,
    device: u64,
}

struct Site {
    core: Core,
    switch: SwitchName,
    calls: VecDeque<Call>,
    random: Random,
    sequence: u64,
    made: u64,
    now: Now,
}

fn device(number: u64) -> DeviceId {
    format!("{}@tenant-{}.example.com", 100_000 + number, number % 100)
        .parse()
        .expect("a device")
}

impl Site {
    fn new() -> Self {
        let now = Now {
            mono: Duration::ZERO,
            unix: UnixTime(0),
        };
        let switch: SwitchName = "fs1".parse().expect("a name");
        let mut core = Core::new([switch.clone()], HashMap::new(), Policy::default(), 1, now);
        core.handle(Input::Resynced(switch.clone(), Vec::new()), now);
        Self {
            core,
            switch,
            calls: VecDeque::new(),
            random: Random(1),
            sequence: 0,
            made: 0,
            now,
        }
    }

    /// A site that knows the devices of its calls, as one each of an extension: each leg of theirs is armed.
    fn known() -> Self {
        let mut site = Self::new();
        let extensions = (0..CALLED).map(|n| {
            let device = device(n);
            Extension {
                id: format!("{}@{}", 5_000_000 + n, device.domain)
                    .parse()
                    .expect("an extension"),
                devices: vec![device.number],
                route: None,
            }
        });
        let input = Input::WholeDirectory(extensions.collect());
        site.core.handle(input, site.now);
        site
    }

    /// Everything is parsed anew for each event, as a driver does.
    fn event(&mut self, leg: &str, call: &Call, progress: Progress, change: Change) -> Input {
        self.sequence += 1;
        let (direction, of, originator, number) = if leg == call.caller {
            (Direction::Inbound, None, None, "+4930123456789")
        } else {
            let originator = call.caller.parse().ok();
            (
                Direction::Outbound,
                Some(device(call.device)),
                originator,
                "1000",
            )
        };
        let facts = Facts {
            device: of,
            direction,
            progress,
            originator,
            party: Party {
                number: number.into(),
                name: "Firstname Lastname".into(),
            },
            codec: (progress > Progress::Setup).then(|| "PCMA".into()),
            phone: Some("192.168.100.200:5060".into()),
            // As the switch tells it once it has been ordered.
            arming: match (direction, progress) {
                (Direction::Inbound, _) | (_, Progress::Setup) => Arming::No,
                (Direction::Outbound, Progress::EarlyMedia) => Arming::Prepared,
                (Direction::Outbound, Progress::Answered) => Arming::Armed,
            },
            made_by: None,
        };
        Input::Leg(
            self.switch.clone(),
            LegEvent {
                sequence: Sequence(self.sequence),
                leg: leg.parse().expect("a channel"),
                at: None,
                facts: (change != Change::Gone).then_some(facts),
                change,
            },
        )
    }

    fn begin(&mut self, to: &mut Vec<Input>) {
        let call = Call {
            caller: self.random.uuid(),
            callee: self.random.uuid(),
            device: self.made % CALLED,
        };
        self.made += 1;
        let other: ChannelId = call.callee.parse().expect("a channel");
        for (leg, progress, change) in [
            (&call.caller, Progress::Setup, Change::Told),
            (&call.callee, Progress::Setup, Change::Told),
            (&call.callee, Progress::Setup, Change::Told),
            (&call.callee, Progress::Answered, Change::Told),
            (&call.caller, Progress::Answered, Change::Told),
            (&call.caller, Progress::Answered, Change::Bridged(other)),
        ] {
            let event = self.event(leg, &call, progress, change);
            to.push(event);
        }
        self.calls.push_back(call);
    }

    fn end(&mut self, to: &mut Vec<Input>) {
        let Some(call) = self.calls.pop_front() else {
            return;
        };
        let other: ChannelId = call.callee.parse().expect("a channel");
        for (leg, change) in [
            (&call.caller, Change::Unbridged(other)),
            (&call.callee, Change::Gone),
            (&call.callee, Change::Gone),
            (&call.caller, Change::Gone),
            (&call.caller, Change::Gone),
        ] {
            let event = self.event(leg, &call, Progress::Answered, change);
            to.push(event);
        }
    }

    fn hold_any(&mut self, to: &mut Vec<Input>) {
        let at = self.random.next() % self.calls.len() as u64;
        let at = usize::try_from(at).expect("an index");
        let known = &self.calls[at];
        let call = Call {
            caller: known.caller.clone(),
            callee: known.callee.clone(),
            device: known.device,
        };
        let (leg, change) = match self.random.next() % 4 {
            0 => (&call.caller, Change::Held),
            1 => (&call.caller, Change::Unheld),
            2 => (&call.callee, Change::Held),
            _ => (&call.callee, Change::Unheld),
        };
        let event = self.event(leg, &call, Progress::Answered, change);
        to.push(event);
    }

    fn handle(&mut self, batch: Vec<Input>) -> Duration {
        // 100 events a millisecond would be far more than a switch can send.
        self.now.mono += Duration::from_millis(10 * batch.len() as u64 / 100);
        let started = Instant::now();
        for input in batch {
            self.core.handle(input, self.now);
            while self.core.poll_output().is_some() {}
        }
        started.elapsed()
    }

    fn round(&mut self, make: impl Fn(&mut Self, &mut Vec<Input>)) -> f64 {
        let (mut events, mut spent) = (0, Duration::ZERO);
        while events < ROUND {
            let mut batch = Vec::with_capacity(BATCH + 20);
            while batch.len() < BATCH {
                make(self, &mut batch);
            }
            events += batch.len();
            spent += self.handle(batch);
        }
        spent.as_nanos() as f64 / events as f64
    }

    fn fill(&mut self, calls: usize) {
        while self.calls.len() < calls {
            let mut batch = Vec::new();
            self.begin(&mut batch);
            self.handle(batch);
        }
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn compare(name: &str, small: &mut Site, large: &mut Site, make: fn(&mut Site, &mut Vec<Input>)) {
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (small.round(make), large.round(make));
        one.push(a);
        two.push(b);
        ratios.push(b / a);
    }
    println!(
        "{name:<10} {:>7.0} ns per event at {} calls, {:>7.0} ns at {} calls, ratio {:.2}",
        median(one),
        small.calls.len(),
        median(two),
        large.calls.len(),
        median(ratios)
    );
}

fn cost_per_event() {
    let (mut small, mut large) = (Site::known(), Site::known());
    small.fill(1000);
    large.fill(100_000);
    let life = |system: &mut Site, batch: &mut Vec<Input>| {
        system.end(batch);
        system.begin(batch);
    };
    // Tombstones of as many lives as are measured afterwards.
    small.round(life);
    large.round(life);
    println!("target: ratio at most 1.3");
    compare("lives", &mut small, &mut large, life);
    compare("any leg", &mut small, &mut large, Site::hold_any);
}

fn bytes_per_leg() {
    let mut system = Site::known();
    let before = in_use();
    system.fill(100_000);
    let ours = system
        .calls
        .iter()
        .map(|c| c.caller.capacity() + c.callee.capacity())
        .sum::<usize>()
        + system.calls.capacity() * size_of::<Call>();
    let legs = 2 * system.calls.len();
    let bytes = in_use() - before - ours;
    println!(
        "{} bytes per tracked leg, of {legs} (target: at most 1000)",
        bytes / legs
    );
}

fn bytes_per_device() {
    const DEVICES: u64 = 1_000_000;
    let mut system = Site::new();
    let before = in_use();
    let mut extensions = Vec::new();
    // Three devices each, all of one domain.
    for first in (0..DEVICES / 100)
        .step_by(3)
        .flat_map(|n| (0..100).map(move |t| n * 100 + t))
    {
        let devices = [first, first + 100, first + 200];
        let devices: Vec<_> = devices.into_iter().filter(|n| *n < DEVICES).collect();
        let DeviceId { domain, .. } = device(first);
        extensions.push(Extension {
            id: format!("{}@{domain}", 5_000_000 + first)
                .parse()
                .expect("an extension"),
            devices: devices.iter().map(|n| device(*n).number).collect(),
            route: None,
        });
    }
    for batch in extensions.chunks(1000) {
        let input = Input::Directory(batch.to_vec(), Vec::new());
        system.core.handle(input, system.now);
    }
    let count = extensions.len();
    drop(extensions);
    let known = in_use() - before;
    println!(
        "{} bytes per idle device that is not registered, of {DEVICES} of {count} extensions (target: at most 200)",
        known as u64 / DEVICES
    );
    let contacts: HashMap<_, _> = (0..DEVICES)
        .map(|n| {
            let device = device(n);
            let contact = format!(
                "sofia/internal/sip:{}@10.{}.{}.{}:5060",
                device.number,
                n >> 16,
                n >> 8 & 255,
                n & 255
            );
            (device, vec![contact])
        })
        .collect();
    let input = Input::Registrations(system.switch.clone(), contacts);
    system.core.handle(input, system.now);
    while system.core.poll_output().is_some() {}
    let registered = in_use() - before;
    println!(
        "{} bytes per idle device that is registered on one switch, with its contact and its routing snapshot",
        registered as u64 / DEVICES
    );
}

fn main() {
    cost_per_event();
    bytes_per_leg();
    bytes_per_device();
}

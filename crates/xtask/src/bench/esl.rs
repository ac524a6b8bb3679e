//! Events per second over loopback.
//!
//! One thread plays the switch: it speaks the few lines that a client needs to get going, and then sends the recorded events
//! as fast as they are taken. The client reads six fields of every event, decoded, and adds a hash of them to its checksum;
//! so nobody gets away with not reading. The reader that only counts bytes is the ceiling.
//!
//! Everybody is run on a current-thread and on a multi-thread runtime, and the better of the two counts.

mod contenders;
mod switch;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::EslArgs;
use contenders::{CONTENDERS, Contender, Kind};
use switch::Switch;

/// What is read of each event.
pub(crate) const FIELDS: [&str; 6] = [
    "Event-Name",
    "Unique-ID",
    "Event-Sequence",
    "Channel-Call-State",
    "Caller-Caller-ID-Number",
    "Other-Leg-Unique-ID",
];

/// DESIGN section 5, "event stream".
const TIMES_FASTEST_LIBRARY: f64 = 10.0;
const OF_READER: f64 = 0.6;

/// The recorded events, and what a correct reader makes of them.
pub(crate) struct Trace {
    /// Frames, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// How many.
    pub(crate) events: u64,
}

/// What one run gave.
pub(crate) struct Outcome {
    /// From the first event sent to the last one read.
    pub(crate) elapsed: Duration,
    /// Sum of the hashes; `None` for who reads no fields.
    pub(crate) checksum: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flavor {
    CurrentThread,
    MultiThread,
}

impl Flavor {
    fn runtime(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::CurrentThread => tokio::runtime::Builder::new_current_thread(),
            Self::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        }
        .enable_all()
        .build()
    }

    fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current thread",
            Self::MultiThread => "multi thread",
        }
    }
}

struct Row {
    contender: &'static Contender,
    flavor: Flavor,
    median: f64,
    lowest: f64,
    highest: f64,
    checksum: Option<u64>,
}

pub(crate) fn run(args: &EslArgs) -> anyhow::Result<()> {
    let trace = load(args)?;
    println!(
        "{} events of {} octets on average, from {}; {} rounds, medians",
        trace.events,
        trace.bytes.len() as u64 / trace.events,
        args.trace.display(),
        args.rounds
    );
    let wanted: Vec<_> = CONTENDERS
        .iter()
        .filter(|c| {
            args.only
                .as_ref()
                .is_none_or(|text| c.name.contains(text.as_str()))
        })
        .collect();
    let mut rates: BTreeMap<(usize, Flavor), Vec<f64>> = BTreeMap::new();
    let mut checksums: Vec<Option<u64>> = vec![None; wanted.len()];
    // Round by round and not one by one, so that whatever else the machine does hits everybody.
    for _ in 0..args.rounds {
        for (i, contender) in wanted.iter().enumerate() {
            for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
                let passes = contender.events.div_ceil(trace.events);
                let outcome =
                    measure(contender, flavor, &trace, passes).with_context(|| contender.name)?;
                let rate = (passes * trace.events) as f64 / outcome.elapsed.as_secs_f64();
                rates.entry((i, flavor)).or_default().push(rate);
                if let Some(sum) = outcome.checksum {
                    let known = *checksums[i].get_or_insert(one_pass(sum, passes)?);
                    ensure!(
                        known.wrapping_mul(passes) == sum,
                        "{}: the checksum differs between runs",
                        contender.name
                    );
                }
            }
        }
    }
    let rows = best(&wanted, rates, &checksums);
    print(&rows)
}

/// The checksum of one pass: the sum of all divided by their number, which must be exact.
fn one_pass(sum: u64, passes: u64) -> anyhow::Result<u64> {
    // Each hash is below 2^32, so nothing has wrapped.
    ensure!(
        sum.is_multiple_of(passes),
        "the passes give different checksums"
    );
    Ok(sum / passes)
}

fn load(args: &EslArgs) -> anyhow::Result<Trace> {
    let file = std::fs::File::open(&args.trace)
        .with_context(|| format!("can't open {}", args.trace.display()))?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
    let events = contenders::count_frames(&bytes)?;
    ensure!(events > 0, "no events in {}", args.trace.display());
    Ok(Trace { bytes, events })
}

fn measure(
    contender: &Contender,
    flavor: Flavor,
    trace: &Trace,
    passes: u64,
) -> anyhow::Result<Outcome> {
    std::thread::scope(|scope| {
        let switch = Switch::listen()?;
        let addr = switch.addr()?;
        let (go, gone) = std::sync::mpsc::channel();
        let drained = Arc::clone(&switch.drained);
        let sender = scope.spawn(move || switch.serve(&trace.bytes, passes, &gone));
        let runtime = flavor.runtime()?;
        let job = contenders::Job {
            addr,
            events: passes * trace.events,
            bytes: passes * trace.bytes.len() as u64,
            drained,
            go,
        };
        // As a task, not as the runtime's main future: that one runs outside the workers.
        let outcome = runtime.block_on(async { tokio::spawn((contender.run)(job)).await })??;
        runtime.shutdown_background();
        match sender.join() {
            Ok(sent) => sent?,
            Err(_) => bail!("the switch's thread panicked"),
        }
        Ok(outcome)
    })
}

fn best(
    wanted: &[&'static Contender],
    mut rates: BTreeMap<(usize, Flavor), Vec<f64>>,
    checksums: &[Option<u64>],
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, contender) in wanted.iter().enumerate() {
        let mut candidates: Vec<Row> = Vec::new();
        for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
            let Some(mut all) = rates.remove(&(i, flavor)) else {
                continue;
            };
            all.sort_by(f64::total_cmp);
            candidates.push(Row {
                contender,
                flavor,
                median: all[all.len() / 2],
                lowest: all[0],
                highest: all[all.len() - 1],
                checksum: checksums[i],
            });
        }
        rows.extend(
            candidates
                .into_iter()
                .max_by(|a, b| a.median.total_cmp(&b.median)),
        );
    }
    rows
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let fastest = |kind: Kind| {
        rows.iter()
            .filter(|row| row.contender.kind == kind)
            .map(|row| row.median)
            .max_by(f64::total_cmp)
    };
    let (library, reader) = (fastest(Kind::Library), fastest(Kind::Reader));
    let ratio = |of: f64, to: Option<f64>| {
        to.map_or_else(|| "-".to_owned(), |to| format!("{:.2}", of / to))
    };
    println!(
        "{:<24} {:>11} {:>24} {:>15} {:>10} {:>18}  runtime",
        "", "events/s", "lowest .. highest", "/ best library", "/ reader", "checksum"
    );
    for row in rows {
        println!(
            "{:<24} {:>11.0} {:>11.0} .. {:>9.0} {:>15} {:>10} {:>18}  {}",
            row.contender.name,
            row.median,
            row.lowest,
            row.highest,
            ratio(row.median, library),
            ratio(row.median, reader),
            row.checksum
                .map_or_else(|| "-".to_owned(), |sum| format!("{sum:016x}")),
            row.flavor.name(),
        );
    }
    let mut sums: Vec<u64> = rows.iter().filter_map(|row| row.checksum).collect();
    sums.dedup();
    ensure!(sums.len() <= 1, "the checksums differ");
    if let (Some(ours), Some(library), Some(reader)) = (fastest(Kind::Ours), library, reader) {
        let verdict = |reached: bool| if reached { "reached" } else { "MISSED" };
        println!(
            "at least {TIMES_FASTEST_LIBRARY} times the fastest library: {:.1}, {}",
            ours / library,
            verdict(ours >= library * TIMES_FASTEST_LIBRARY)
        );
        println!(
            "at least {OF_READER} of the reader: {:.2}, {}",
            ours / reader,
            verdict(ours >= reader * OF_READER)
        );
    }
    Ok(())
}

//! Load by SIPp while people move their calls: item 11 of the list.
//!
//! SIPp calls the extension 3000 from outside, and is its device 3001 as well: every one of its calls asks the
//! controller where to ring. First the rate that the machine can take is found, switch, SIPp and controller together;
//! then half of it goes on for two minutes, and the phones pull and hunt all the while.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    lab::Lab,
    ports::local,
    site::{LOAD_DEVICE, LOAD_EXTENSION},
};
use crate::{
    cast::Phone,
    program::tied,
    report::{Ledger, Measure},
    site::Site,
    stage::{Direction, SOON, Stage},
    stories::routing::ALL,
};

/// How long one of SIPp's calls talks.
const TALK: Duration = Duration::from_secs(3);
/// The controller compares its tracker with the switch every so often.
const RECONCILE: Duration = Duration::from_secs(60);
/// How long each rate is tried.
const TRY: Duration = Duration::from_secs(8);
/// The clock of `/proc/<pid>/stat`: `getconf CLK_TCK` is 100 on every Linux that Callhop runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What SIPp counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counted {
    successful: u64,
    failed: u64,
    retransmissions: u64,
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
struct Used {
    cpu: f64,
    rss_kib: u64,
}

/// Runs it all and prints what it finds.
///
/// # Errors
/// When SIPp is not there, a call of SIPp's fails, a move does not work, or the controller had to correct itself.
pub fn run(lab: &mut Lab, length: Duration) -> Result<()> {
    lab.reset()?;
    register(lab)?;
    lab.controller()
        .cli(&[
            "extension",
            "add",
            &format!("{LOAD_EXTENSION}@lab.test"),
            "--device",
            LOAD_DEVICE.user,
        ])?
        .ok()?;
    let mut answering = sipp(lab, 1, &["-sn", "uas"])?
        .spawn()
        .context("starting SIPp (Debian package sip-tester)")?;
    let outcome = measured(lab, length);
    answering.kill()?;
    answering.wait()?;
    outcome
}

fn measured(lab: &mut Lab, length: Duration) -> Result<()> {
    let most = highest_rate(lab)?;
    let rate = (most / 2).max(1);
    println!(
        "load: the machine takes {most} calls/s of {} s; half of it, {rate} calls/s, for {} s",
        TALK.as_secs(),
        length.as_secs()
    );
    let earlier = reconciled(lab)?;
    let before = (used(lab.switch_pid())?, used(lab.controller().pid())?);
    let began = Instant::now();
    let mut calling = call(lab, rate, length)?;
    let mut ledger = Ledger::default();
    let done = while_it_lasts(lab, &mut ledger, &mut calling);
    if done.is_err() {
        calling.kill()?;
    }
    calling.wait()?;
    let done = done?;
    let seconds = began.elapsed().as_secs_f64();
    let after = (used(lab.switch_pid())?, used(lab.controller().pid())?);
    let counted = counted(&statistics(lab))?;
    let (switch, controller) = (after.0.cpu - before.0.cpu, after.1.cpu - before.1.cpu);
    println!(
        "load: SIPp: {} calls, {} failed, {} retransmissions",
        counted.successful, counted.failed, counted.retransmissions
    );
    println!(
        "load: {} moves and {} inbound calls of the phones, all as they should be",
        done.moves, done.hunts
    );
    let row = |name: &str, cpu: f64, it: Used| {
        println!(
            "load: {name:<10} CPU {cpu:>7.2} s = {:>5.1} % of one core, memory {:>7} KiB",
            cpu / seconds * 100.0,
            it.rss_kib
        );
    };
    let name = lab.kind().to_string();
    row(&name, switch, after.0);
    row("callhop", controller, after.1);
    println!(
        "load: callhop's CPU is {:.1} % of {name}'s (to reach: 5)",
        controller / switch * 100.0
    );
    print!("{}", ledger.table(lab.kind()));
    let now = reconciled(lab)?;
    println!(
        "load: {} comparisons of the tracker with the switch, {} corrections",
        now.comparisons - earlier.comparisons,
        now.corrections - earlier.corrections
    );
    ensure!(
        counted.failed == 0,
        "{} calls of SIPp failed",
        counted.failed
    );
    ensure!(
        now.corrections <= earlier.corrections,
        "reconcile had to correct the tracker: an event was lost"
    );
    ensure!(
        now.comparisons > earlier.comparisons || length < RECONCILE,
        "reconcile has not run: nothing is known about lost events"
    );
    Ok(())
}

/// What the phones did meanwhile.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    moves: u32,
    hunts: u32,
}

/// Moves and hunts until SIPp has ended.
fn while_it_lasts(lab: &mut Lab, ledger: &mut Ledger, calling: &mut Child) -> Result<Done> {
    let mut done = Done::default();
    while calling.try_wait()?.is_none() {
        for direction in Direction::BOTH {
            let mut stage = Stage { site: lab, ledger };
            stage
                .rings_exactly(Phone::Out2, "1000", ALL, SOON)
                .with_context(|| format!("after {done:?}"))?;
            done.hunts += 1;
            let mut talk = stage.talk(direction, Phone::P1001)?;
            done.hunts += u32::from(direction == Direction::FarCalls);
            for new in [Phone::P1002, Phone::P1003] {
                talk = stage
                    .measured_move(talk, new, "*33", Measure::PullGap, Measure::PullTime)
                    .with_context(|| format!("after {done:?}"))?;
                done.moves += 1;
            }
            stage.over(talk)?;
        }
    }
    Ok(done)
}

/// SIPp as device 3001: registered once, by hand, because SIPp answers there and does nothing else.
fn register(lab: &mut Lab) -> Result<()> {
    let contact = format!("sip:{}@{}", LOAD_DEVICE.user, local(lab.ports().load(1)));
    lab.register_address(LOAD_DEVICE, &contact)
}

fn statistics(lab: &Lab) -> PathBuf {
    lab.dir().join("sipp.csv")
}

fn sipp(lab: &Lab, which: u16, args: &[&str]) -> Result<Command> {
    let mut command = tied(Path::new("sipp"));
    let media = lab.ports().load(4 + 4 * which).to_string();
    command
        .args([
            "-i",
            "127.0.0.1",
            "-p",
            &lab.ports().load(which).to_string(),
            "-mp",
            &media,
            "-nostdin",
        ])
        .args(args)
        .current_dir(lab.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}

/// SIPp as caller, for so long.
fn call(lab: &Lab, rate: u64, length: Duration) -> Result<Child> {
    let statistics = statistics(lab);
    if statistics.exists() {
        fs::remove_file(&statistics)?;
    }
    let calls = (rate * length.as_secs()).to_string();
    let mut command = sipp(
        lab,
        0,
        &[
            "-sn",
            "uac",
            "-s",
            LOAD_EXTENSION,
            "-r",
            &rate.to_string(),
            "-m",
            &calls,
        ],
    )?;
    command
        .args([
            "-d",
            &TALK.as_millis().to_string(),
            "-l",
            "10000",
            "-trace_stat",
            "-fd",
            "1",
            "-stf",
        ])
        .arg(&statistics);
    // After the last call has begun, SIPp may take this long.
    command.args([
        "-timeout",
        &format!("{}s", length.as_secs() + 20),
        "-timeout_error",
    ]);
    command.arg(local(lab.ports().external()).to_string());
    command
        .spawn()
        .context("starting SIPp (Debian package sip-tester)")
}

/// Up by half each time, until calls fail or are repeated, or SIPp cannot keep up, twice in a row: the last rate that
/// went well.
fn highest_rate(lab: &Lab) -> Result<u64> {
    let (mut best, mut rate, mut tries) = (0, 10, 0);
    while rate < 2_000 && tries < 2 {
        let began = Instant::now();
        call(lab, rate, TRY)?.wait()?;
        let took = began.elapsed();
        let it = counted(&statistics(lab))?;
        println!(
            "load: {rate} calls/s: {} of {} answered, {} retransmissions, {:.1} s",
            it.successful,
            rate * TRY.as_secs(),
            it.retransmissions,
            took.as_secs_f64()
        );
        let in_time = took < TRY + TALK + Duration::from_secs(2);
        let all = it.failed == 0 && it.successful == rate * TRY.as_secs();
        if all && in_time && it.retransmissions * 50 <= it.successful {
            (best, tries) = (rate, 0);
            rate += rate / 2;
        } else {
            tries += 1;
        }
        // What was left of the last one must not count against the next one.
        thread::sleep(Duration::from_secs(1));
    }
    ensure!(best > 0, "not even {rate} calls/s went well");
    Ok(best)
}

/// The last line of SIPp's statistics.
fn counted(file: &Path) -> Result<Counted> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines
        .next()
        .context("statistics without a header")?
        .split(';')
        .collect();
    let last: Vec<&str> = lines
        .next_back()
        .context("statistics without a line")?
        .split(';')
        .collect();
    let value = |name: &str| -> Result<u64> {
        let at = names
            .iter()
            .position(|it| *it == name)
            .with_context(|| format!("no column {name}"))?;
        Ok(last.get(at).context("a short line")?.parse()?)
    };
    Ok(Counted {
        successful: value("SuccessfulCall(C)")?,
        failed: value("FailedCall(C)")?,
        retransmissions: value("Retransmissions(C)")?,
    })
}

/// CPU time, s, and resident memory of a process (`proc(5)`).
fn used(pid: Option<u32>) -> Result<Used> {
    let pid = pid.context("the process does not run")?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .context("an unknown /proc/<pid>/stat")?
        .1
        .split(' ')
        .collect();
    let ticks: f64 = fields
        .get(11..13)
        .context("a short /proc/<pid>/stat")?
        .iter()
        .filter_map(|it| it.parse::<f64>().ok())
        .sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let rss_kib = rss.trim().trim_end_matches(" kB").parse()?;
    Ok(Used {
        cpu: ticks / TICKS_PER_SECOND,
        rss_kib,
    })
}

/// What the controller's reconcile says about itself in the metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reconciled {
    /// Comparisons with the switch.
    comparisons: f64,
    /// Differences that they found.
    corrections: f64,
}

fn reconciled(lab: &mut Lab) -> Result<Reconciled> {
    let (code, text) = lab.controller().get("/metrics")?;
    ensure!(code == 200, "/metrics answers {code}");
    let sum = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    };
    Ok(Reconciled {
        comparisons: sum("callhop_reconciles_total"),
        corrections: sum("callhop_corrections_total"),
    })
}

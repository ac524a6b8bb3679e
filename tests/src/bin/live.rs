//! `live [--list] [--bare] [--load [--seconds=N]] [--kills[=N]] [filter...]`: plays the stories on a real FreeSWITCH with real SIP
//! phones. `--bare` leaves the controller out and plays what needs none; `--load` plays no story but puts the switch
//! under load by SIPp while calls are moved; `--kills` plays none either but kills the controller in each state of a push.
//!
//! Prints a line for each story, then what was measured, then how many passed. Ends with 0 when none failed, 1 when one
//! did, and 3 when nothing could be played because there is no FreeSWITCH on this machine.

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use callhop_tests::{
    live::{
        kills,
        lab::{Lab, Needs},
        load, switch,
    },
    program,
    report::Ledger,
    site::Site,
    stage::Stage,
    stories::{self, Story},
};

/// Nothing was played: there is no switch here.
const NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let filters: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let chosen = |story: &Story| {
        filters.is_empty() || filters.iter().any(|filter| story.name.contains(filter))
    };
    let wanted: Vec<Story> = stories::all().into_iter().filter(chosen).collect();
    if has("--list") {
        wanted.iter().for_each(|story| println!("{}", story.name));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(freeswitch) = switch::find() else {
        println!(
            "not run: {} stories on a real FreeSWITCH: none found by CALLHOP_FREESWITCH or on PATH",
            wanted.len()
        );
        return Ok(ExitCode::from(NOT_RUN));
    };
    let target = program::target()?;
    let callhop = if has("--bare") {
        None
    } else {
        Some(program::callhop(&target)?)
    };
    let mut lab = Lab::start(&Needs {
        freeswitch,
        callhop,
        target,
    })?;
    println!("lab: {}", lab.dir().display());
    if has("--load") {
        let seconds = args
            .iter()
            .find_map(|arg| arg.strip_prefix("--seconds=")?.parse().ok())
            .unwrap_or(120);
        load::run(&mut lab, Duration::from_secs(seconds))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut ledger = Ledger::default();
    if args.iter().any(|arg| arg.starts_with("--kills")) {
        let tries = args
            .iter()
            .find_map(|arg| arg.strip_prefix("--kills=")?.parse().ok())
            .unwrap_or(kills::TRIES);
        kills::run(&mut lab, &mut ledger, tries)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for story in wanted {
        if story.controller && !lab.has_controller() {
            println!("SKIP {}: without the controller", story.name);
            skipped += 1;
            continue;
        }
        let began = Instant::now();
        let outcome = play(&mut lab, &mut ledger, story);
        let took = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                println!("PASS {} ({took:.1} s)", story.name);
                passed += 1;
            }
            Err(error) => {
                println!("FAIL {} ({took:.1} s): {error:#}", story.name);
                println!("{}", lab.controller().last_words());
                failed += 1;
            }
        }
    }
    print!("{}", ledger.table());
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn play(lab: &mut Lab, ledger: &mut Ledger, story: Story) -> Result<()> {
    lab.reset().context("before the story")?;
    (story.play)(&mut Stage { site: lab, ledger })
}

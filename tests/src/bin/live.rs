//! `live [--list] [--bare] [--load [--seconds=N]] [filter...]`: plays the stories on a real FreeSWITCH with real SIP
//! phones. `--bare` leaves the controller out and plays what needs none; `--load` plays no story but puts the switch
//! under load by SIPp while calls are moved.
//!
//! Prints a line for each story, then what was measured, then how many passed. Ends with 0 when none failed, 1 when one
//! did, and 3 when nothing could be played because there is no FreeSWITCH on this machine.

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use callhop_tests::{
    live::{
        lab::{Lab, Needs},
        load, switch,
    },
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
            "not run: {} stories on a real FreeSWITCH: none found by CALLHOP_FREESWITCH, PATH, /opt/fs",
            wanted.len()
        );
        return Ok(ExitCode::from(NOT_RUN));
    };
    let target = target()?;
    let callhop = if has("--bare") {
        None
    } else {
        Some(callhop(&target)?)
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

/// Cargo's target folder: where this program lies, two levels up.
fn target() -> Result<PathBuf> {
    let own = env::current_exe()?;
    own.ancestors()
        .nth(2)
        .map(PathBuf::from)
        .context("a program in target/<profile>/")
}

/// The controller's program: `CALLHOP_BIN`, or built now, in the profile of this program.
fn callhop(target: &std::path::Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os("CALLHOP_BIN") {
        return Ok(named.into());
    }
    let profile = env::current_exe()?
        .parent()
        .and_then(|dir| dir.file_name())
        .map(|name| name.to_owned());
    let profile = profile.context("a program in target/<profile>/")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "callhop",
            "--bin",
            "callhop",
            "--target-dir",
        ])
        .arg(target);
    if profile == "release" {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cargo.status()?.success() {
        bail!("callhop does not build");
    }
    Ok(target.join(profile).join("callhop"))
}

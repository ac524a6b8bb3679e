//! The stories on the fake FreeSWITCH, with the real controller: each on a site of its own, several at once.
//!
//! Takes parts of the names of stories as arguments, as the program `live` does.

#![allow(missing_docs)] // a test has no items that anybody else could use

mod site;

use std::{
    env,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use callhop_tests::{
    program,
    report::Ledger,
    site::{Kind, Site},
    stage::Stage,
    stories::{self, Story},
};

use site::Fake;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fake_freeswitch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let filters: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let chosen = |story: &Story| {
        filters.is_empty() || filters.iter().any(|filter| story.name.contains(filter))
    };
    let stories: Vec<Story> = stories::all().into_iter().filter(chosen).collect();
    let callhop = program::callhop(&program::target()?)?;
    let next = AtomicUsize::new(0);
    let counts = Mutex::new([0_usize; 3]);
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = told(*story, &callhop);
                    #[allow(clippy::expect_used)] // a story that panicked has ended the run already
                    let mut counts = counts.lock().expect("no worker has panicked");
                    counts[outcome] += 1;
                }
            });
        }
    });
    #[allow(clippy::expect_used)] // the same
    let [passed, failed, skipped] = *counts.lock().expect("no worker has panicked");
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays a story and prints its line; 0 is passed, 1 failed, 2 skipped.
fn told(story: Story, callhop: &Path) -> usize {
    if let Some(why) = story.why_not_on(Kind::Fake) {
        println!("SKIP {}: {why}", story.name);
        return 2;
    }
    let began = Instant::now();
    let outcome = play(story, callhop);
    let took = began.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => {
            println!("PASS {} ({took:.1} s)", story.name);
            0
        }
        Err(error) => {
            println!("FAIL {} ({took:.1} s): {error:#}", story.name);
            1
        }
    }
}

fn play(story: Story, callhop: &Path) -> Result<()> {
    let mut fake = Fake::start(callhop).context("before the story")?;
    fake.reset().context("before the story")?;
    let mut ledger = Ledger::default();
    let outcome = (story.play)(&mut Stage {
        site: &mut fake,
        ledger: &mut ledger,
    });
    outcome.map_err(|error| {
        error.context(format!(
            "it failed\n{}\n    ",
            fake.controller().last_words()
        ))
    })
}

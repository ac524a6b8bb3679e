//! `live [--switch=asterisk|freeswitch] [--list] [--bare] [--load [--seconds=N]]
//! [--kills[=N] [--fault=killed|cut|restarted]...] [filter...]`: plays the stories on real switches with real SIP phones:
//! on Asterisk always, on FreeSWITCH where there is one. `--bare` leaves the controller out and plays what needs none;
//! `--load` plays no story but puts the switch under load by SIPp while calls are moved; `--kills` plays none either: in
//! each state of a push it kills the controller, cuts its connections, and restarts the switch, so many times each.
//!
//! Prints a line for each story, then what was measured, then how many passed. Ends with 0 when none failed and with 1
//! when one did, or a switch that was asked for can't be had.

use std::{
    env,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use callhop_tests::{
    live::{
        asterisk, freeswitch, kills,
        lab::{Lab, Needs, Program},
        load,
    },
    program,
    report::Ledger,
    site::{Kind, Site},
    stage::Stage,
    stories::{self, Story},
};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Asked {
    switch: Option<Kind>,
    list: bool,
    bare: bool,
    load: Option<Duration>,
    kills: Option<usize>,
    faults: Vec<kills::Fault>,
    filters: Vec<String>,
}

impl Asked {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self {
            switch: None,
            list: false,
            bare: false,
            load: None,
            kills: None,
            faults: Vec::new(),
            filters: Vec::new(),
        };
        let mut seconds = 120;
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let (option, mut value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if option == "--switch" && value.is_none() {
                value = words.next();
            }
            match (option, value.as_deref()) {
                ("--switch", Some("asterisk")) => asked.switch = Some(Kind::Asterisk),
                ("--switch", Some("freeswitch")) => asked.switch = Some(Kind::FreeSwitch),
                ("--list", None) => asked.list = true,
                ("--bare", None) => asked.bare = true,
                ("--load", None) => asked.load = Some(Duration::ZERO),
                ("--seconds", Some(value)) => seconds = value.parse().context("--seconds")?,
                ("--fault", Some("killed")) => asked.faults.push(kills::Fault::Killed),
                ("--fault", Some("cut")) => asked.faults.push(kills::Fault::Cut),
                ("--fault", Some("restarted")) => asked.faults.push(kills::Fault::Restarted),
                ("--kills", None) => asked.kills = Some(kills::TRIES),
                ("--kills", Some(value)) => asked.kills = Some(value.parse().context("--kills")?),
                (filter, None) if !filter.starts_with("--") => asked.filters.push(filter.into()),
                _ => bail!("what is {word}?"),
            }
        }
        if asked.faults.is_empty() {
            asked.faults = kills::Fault::ALL.to_vec();
        }
        asked.load = asked.load.map(|_| Duration::from_secs(seconds));
        Ok(asked)
    }

    fn chosen(&self) -> Vec<Story> {
        let is_chosen = |story: &Story| {
            self.filters.is_empty()
                || self
                    .filters
                    .iter()
                    .any(|filter| story.name.contains(filter.as_str()))
        };
        stories::all().into_iter().filter(is_chosen).collect()
    }

    /// The switches to play on. Asterisk can always be had, so there is no run without one unless another was asked for.
    fn switches(&self, target: &std::path::Path) -> Result<Vec<Program>> {
        let mut found = Vec::new();
        if self.switch != Some(Kind::FreeSwitch) {
            found.push(Program::Asterisk(asterisk::install::find(target)?));
        }
        if self.switch != Some(Kind::Asterisk) {
            match freeswitch::switch::find() {
                Some(program) => found.push(Program::FreeSwitch(program)),
                None if self.switch.is_some() => {
                    bail!("no FreeSWITCH was found by CALLHOP_FREESWITCH or on PATH")
                }
                None => println!(
                    "not run: {} stories on a real FreeSWITCH: none was found by CALLHOP_FREESWITCH or on PATH",
                    self.chosen().len()
                ),
            }
        }
        Ok(found)
    }
}

/// All went well.
fn run() -> Result<bool> {
    let asked = Asked::parse(env::args().skip(1))?;
    if asked.list {
        asked.chosen().iter().for_each(|it| println!("{}", it.name));
        return Ok(true);
    }
    let target = program::target()?;
    let switches = asked.switches(&target)?;
    let callhop = if asked.bare {
        None
    } else {
        Some(program::callhop(&target)?)
    };
    let mut all_well = true;
    for switch in switches {
        all_well &= on(&asked, switch, callhop.clone(), target.clone())?;
    }
    Ok(all_well)
}

/// On one switch.
fn on(asked: &Asked, switch: Program, callhop: Option<PathBuf>, target: PathBuf) -> Result<bool> {
    let began = Instant::now();
    let kind = switch.kind();
    match &switch {
        Program::Asterisk(program) => println!("== {}", program.version),
        Program::FreeSwitch(program) => println!("== FreeSWITCH, {}", program.display()),
    }
    let mut lab = Lab::start(&Needs {
        switch,
        callhop,
        target,
    })
    .with_context(|| format!("the lab on {kind}"))?;
    println!("lab: {}", lab.dir().display());
    let mut ledger = Ledger::default();
    if let Some(length) = asked.load {
        load::run(&mut lab, length)?;
        return Ok(true);
    }
    if let Some(tries) = asked.kills {
        let mut stage = Stage {
            site: &mut lab,
            ledger: &mut ledger,
        };
        kills::run(&mut stage, &asked.faults, tries)?;
        return Ok(true);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for story in asked.chosen() {
        let why_not = if story.controller && !lab.has_controller() {
            Some("without the controller")
        } else {
            story.why_not_on(kind)
        };
        if let Some(why) = why_not {
            println!("SKIP {}: {why}", story.name);
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
    print!("{}", ledger.table(kind));
    println!(
        "{kind}: {passed} passed, {failed} failed, {skipped} skipped, in {} s",
        began.elapsed().as_secs()
    );
    Ok(failed == 0)
}

fn play(lab: &mut Lab, ledger: &mut Ledger, story: Story) -> Result<()> {
    lab.reset().context("before the story")?;
    (story.play)(&mut Stage { site: lab, ledger })
}

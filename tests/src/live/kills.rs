//! `--kills`: the controller is killed in each state of a push, and nobody may be lost.
//!
//! Owns the table that says what became of the far end. Every kill is aimed by what was seen or heard; the controller is
//! back at once in half of the tries, and after four seconds in the others.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{ear::told, lab::Lab};
use crate::{
    cast::Phone,
    pushing::Push,
    report::Ledger,
    site::{Call, CallState, Digits, Moment, Site, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// How often each state is tried when nothing else is said.
pub const TRIES: usize = 20;

/// How long the controller is away in half of the tries.
const AWAY: Duration = Duration::from_secs(4);
/// After so long without anybody the far end is lost. The longest way is a target that rings, and then a recall.
const LOST: Duration = Duration::from_secs(25);
const OWN: [Phone; 3] = [Phone::P1001, Phone::P1002, Phone::P1003];
const COLLEAGUES: [Phone; 2] = [Phone::P2001, Phone::P2002];

/// When it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// The code's last digit has just ended.
    Triggered,
    /// The beep was heard and two digits were dialled.
    Collecting,
    /// The target rings.
    Ringing,
    /// The target answers.
    Answer,
    /// The `*` was just dialled while the target rings.
    GivingBack,
    /// The pusher has hung up while dialling, and their phones ring.
    Recalling,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Triggered,
        Self::Collecting,
        Self::Ringing,
        Self::Answer,
        Self::GivingBack,
        Self::Recalling,
    ];
}

/// Who has the far end in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Pusher,
    Target,
    Recalled,
    Lost,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Pusher, Self::Target, Self::Recalled, Self::Lost];
}

/// What the tries of one state have shown.
#[derive(Debug, Default)]
struct Row {
    fates: BTreeMap<Fate, usize>,
    longest_alone: Duration,
    journal: BTreeMap<String, usize>,
}

/// Plays all tries and prints the table.
///
/// # Errors
/// When somebody was lost, a call was left over, a move stayed open, or a try could not be played.
pub fn run(lab: &mut Lab, ledger: &mut Ledger, tries: usize) -> Result<()> {
    let mut rows: BTreeMap<State, Row> = BTreeMap::new();
    let mut faults = Vec::new();
    for state in State::ALL {
        for turn in 0..tries {
            lab.reset()?;
            let mut stage = Stage {
                site: &mut *lab,
                ledger: &mut *ledger,
            };
            if let Err(error) = attempt(&mut stage, state, turn, rows.entry(state).or_default()) {
                let fault = format!("{state:?}, try {turn}: {error:#}");
                println!("     {fault}");
                faults.push(fault);
            }
        }
    }
    println!(
        "{:<12} {:>7} {:>7} {:>9} {:>5} {:>14}  journal",
        "killed when", "pusher", "target", "recalled", "LOST", "alone, max ms"
    );
    for (state, row) in &rows {
        let [pusher, target, recalled, lost] =
            Fate::ALL.map(|fate| row.fates.get(&fate).copied().unwrap_or_default());
        let journal: Vec<String> = row
            .journal
            .iter()
            .map(|(said, count)| format!("{count} {said}"))
            .collect();
        println!(
            "{:<12} {pusher:>7} {target:>7} {recalled:>9} {lost:>5} {:>14}  {}",
            format!("{state:?}"),
            row.longest_alone.as_millis(),
            journal.join(", ")
        );
    }
    if !faults.is_empty() {
        bail!("{} tries failed", faults.len());
    }
    Ok(())
}

fn attempt(stage: &mut Stage<'_>, state: State, turn: usize, row: &mut Row) -> Result<()> {
    let direction = Direction::BOTH[turn % 2];
    let away = if (turn / 2).is_multiple_of(2) {
        Duration::ZERO
    } else {
        AWAY
    };
    let pusher = [Phone::P1001, Phone::P1002][turn / 4 % 2];
    let talk = stage.talk(direction, pusher)?;
    stage.let_ring(&OWN)?;
    stage.let_ring(&COLLEAGUES)?;
    reach(stage, state, talk)?;
    stage.site.controller().kill()?;
    let killed = stage.site.now();
    let (fate, near) = settle(stage, talk, killed, away)?;
    *row.fates.entry(fate).or_default() += 1;
    let Some(near) = near else {
        let heard = told(&stage.site.heard(talk.far.phone, killed), killed);
        bail!("LOST ({direction:?}, away {away:?}): the far end heard {heard}");
    };
    let alone = alone(stage, talk.far.phone, near.phone, killed);
    row.longest_alone = row.longest_alone.max(alone);
    // Whoever has the far end keeps it when the controller has looked around.
    stage.site.controller().start()?;
    let said = journal(stage)?;
    *row.journal.entry(said).or_default() += 1;
    stage
        .two_way(talk.far.phone, near.phone)
        .with_context(|| format!("{fate:?}, and then not any more"))?;
    stage.site.hang_up(talk.far)?;
    stage.ended(near)?;
    stage.nothing_left()
}

/// Brings the push to the state, as it is seen from outside.
fn reach(stage: &mut Stage<'_>, state: State, talk: Talk) -> Result<()> {
    let how = Digits::Rtp;
    let rings = |stage: &mut Stage<'_>| -> Result<(Push, Call)> {
        stage.push_rings(talk, "2001", Phone::P2001, how)
    };
    match state {
        State::Triggered => {
            stage.armed(talk.near)?;
            stage.site.send_digits(talk.near, "*9", how)?;
        }
        State::Collecting => {
            stage.push_begins(talk, how)?;
            stage.site.send_digits(talk.near, "20", how)?;
        }
        State::Ringing => {
            rings(stage)?;
        }
        State::Answer => {
            let (_, target) = rings(stage)?;
            stage.site.answer(target)?;
        }
        State::GivingBack => {
            rings(stage)?;
            stage.site.send_digits(talk.near, "*", how)?;
        }
        State::Recalling => {
            let push = stage.push_begins(talk, how)?;
            stage.site.hang_up(talk.near)?;
            stage.rings(Phone::P1003, push.since)?;
        }
    }
    Ok(())
}

/// Waits until the far end has somebody for good; starts the controller again when its time has come.
fn settle(
    stage: &mut Stage<'_>,
    talk: Talk,
    killed: Moment,
    away: Duration,
) -> Result<(Fate, Option<Call>)> {
    let began = Instant::now();
    let mut launched = false;
    let far = talk.far.phone;
    while began.elapsed() < LOST {
        if !launched && began.elapsed() >= away {
            stage.site.controller().launch()?;
            launched = true;
        }
        for phone in OWN {
            let rings = stage
                .site
                .calls_since(phone, Moment(killed.0 - SOON.as_secs_f64()));
            let rings = rings
                .into_iter()
                .find(|report| report.state == CallState::Incoming);
            if let Some(report) = rings {
                stage.site.answer(report.call)?;
                stage
                    .two_way(far, phone)
                    .context("the recall was answered")?;
                wait_for(launched, began, away, stage)?;
                return Ok((Fate::Recalled, Some(report.call)));
            }
        }
        let since = stage.site.now();
        for (phone, fate) in [
            (talk.near.phone, Fate::Pusher),
            (Phone::P2001, Fate::Target),
        ] {
            let step = Duration::from_millis(120);
            let voice = Sound::Voice(phone);
            if stage.site.wait_hears(far, voice, since, step).is_ok() && since.0 > killed.0 + 0.5 {
                let call = stage
                    .site
                    .wait_call(phone, Moment(0.0), &[CallState::Talking], SOON)?
                    .call;
                wait_for(launched, began, away, stage)?;
                return Ok((fate, Some(call)));
            }
        }
    }
    if !launched {
        stage.site.controller().launch()?;
    }
    Ok((Fate::Lost, None))
}

/// The controller stays away as long as was meant, also when all is well before.
fn wait_for(launched: bool, began: Instant, away: Duration, stage: &mut Stage<'_>) -> Result<()> {
    if !launched {
        thread::sleep(away.saturating_sub(began.elapsed()));
        stage.site.controller().launch()?;
    }
    Ok(())
}

/// How long after the kill the far end heard nobody.
fn alone(stage: &mut Stage<'_>, far: Phone, near: Phone, killed: Moment) -> Duration {
    let heard = stage.site.heard(far, killed);
    let first = heard.iter().find(|span| span.sound == Sound::Voice(near));
    first.map_or(Duration::ZERO, |span| span.from.since(killed))
}

/// What the journal says of the last move, once no move is open any more.
fn journal(stage: &mut Stage<'_>) -> Result<String> {
    let until = Instant::now() + SOON * 2;
    loop {
        let said = stage.cli(&["moves", "--json"])?;
        let moves: Vec<Value> = serde_json::from_str(&said).context("callhop moves --json")?;
        if moves.iter().all(|it| !it["end"].is_null()) {
            let Some(last) = moves.first() else {
                return Ok("nothing".to_owned());
            };
            let word = |it: &Value| it.as_str().unwrap_or("-").to_owned();
            let end = &last["end"];
            return Ok(format!("{} {}", word(&end["outcome"]), word(&end["cause"])));
        }
        ensure!(Instant::now() < until, "a move stays open: {said}");
        // Nothing announces the end of a move to somebody who is not connected.
        thread::sleep(Duration::from_millis(50));
    }
}

//! `--kills`: in each state of a push the controller is killed, its connections to the switch are cut, or the switch is
//! restarted; nobody may be lost who could be kept.
//!
//! Owns the table that says what became of the far end. Every fault is aimed by what was seen or heard; it is over at once
//! in half of the tries, and after four seconds in the others.

use std::{
    collections::BTreeMap,
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::ear::told;
use crate::{
    cast::Phone,
    pushing::Push,
    site::{Call, CallState, Digits, Moment, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// How often each state is tried when nothing else is said.
pub const TRIES: usize = 20;

/// How long the fault lasts in half of the tries.
const AWAY: Duration = Duration::from_secs(4);
/// After so long without anybody the far end is lost. The longest way is a target that rings, and then a recall.
const LOST: Duration = Duration::from_secs(25);
const OWN: [Phone; 3] = [Phone::P1001, Phone::P1002, Phone::P1003];
const COLLEAGUES: [Phone; 2] = [Phone::P2001, Phone::P2002];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The controller crashes, and is started again.
    Killed,
    /// Its connections to the switch are closed, and new ones refused.
    Cut,
    /// The switch crashes, and is started again: its calls are over, and nothing of them may be left.
    Restarted,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Killed, Self::Cut, Self::Restarted];

    fn happens(self, stage: &mut Stage<'_>) -> Result<()> {
        match self {
            Self::Killed => stage.site.controller().kill(),
            Self::Cut => stage.site.links(false),
            Self::Restarted => stage.site.switch(false),
        }
    }

    fn is_over(self, stage: &mut Stage<'_>) -> Result<()> {
        match self {
            Self::Killed => stage.site.controller().launch(),
            Self::Cut => stage.site.links(true),
            Self::Restarted => stage.site.switch(true),
        }
    }
}

/// When it goes wrong.
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
    /// Nobody: the call was over with the switch.
    Over,
    Lost,
}

impl Fate {
    const ALL: [Self; 5] = [
        Self::Pusher,
        Self::Target,
        Self::Recalled,
        Self::Over,
        Self::Lost,
    ];
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
pub fn run(stage: &mut Stage<'_>, faults: &[Fault], tries: usize) -> Result<()> {
    let mut rows: BTreeMap<(Fault, State), Row> = BTreeMap::new();
    let mut failed = Vec::new();
    for fault in faults.iter().copied() {
        for state in State::ALL {
            for turn in 0..tries {
                stage.site.reset()?;
                let row = rows.entry((fault, state)).or_default();
                // Also a single try of each has all of direction, time and pusher.
                let turn = turn + fault as usize + state as usize;
                if let Err(error) = attempt(stage, fault, state, turn, row) {
                    let told = format!("{fault:?}, {state:?}, try {turn}: {error:#}");
                    println!("     {told}");
                    failed.push(told);
                }
            }
        }
    }
    println!("{}", table(&rows));
    if !failed.is_empty() {
        bail!("{} tries failed", failed.len());
    }
    Ok(())
}

fn table(rows: &BTreeMap<(Fault, State), Row>) -> String {
    let mut text = format!(
        "{:<10} {:<11} {:>7} {:>7} {:>9} {:>5} {:>5} {:>14}  journal",
        "fault", "when", "pusher", "target", "recalled", "over", "LOST", "alone, max ms"
    );
    for ((fault, state), row) in rows {
        let [pusher, target, recalled, over, lost] =
            Fate::ALL.map(|fate| row.fates.get(&fate).copied().unwrap_or_default());
        let journal: Vec<String> = row
            .journal
            .iter()
            .map(|(said, count)| format!("{count} {said}"))
            .collect();
        let _ = write!(
            text,
            "\n{:<10} {:<11} {pusher:>7} {target:>7} {recalled:>9} {over:>5} {lost:>5} {:>14}  {}",
            format!("{fault:?}"),
            format!("{state:?}"),
            row.longest_alone.as_millis(),
            journal.join(", ")
        );
    }
    text
}

fn attempt(
    stage: &mut Stage<'_>,
    fault: Fault,
    state: State,
    turn: usize,
    row: &mut Row,
) -> Result<()> {
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
    fault.happens(stage)?;
    let killed = stage.site.now();
    if fault == Fault::Restarted {
        thread::sleep(away);
        return switch_is_back(stage, row);
    }
    let (fate, near) = settle(stage, fault, talk, killed, away)?;
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

/// Nothing of the calls is left: not on the switch, which is another one, not in the controller's mind, and not in the
/// journal. A push works as ever.
fn switch_is_back(stage: &mut Stage<'_>, row: &mut Row) -> Result<()> {
    Fault::Restarted.is_over(stage)?;
    stage.site.controller().start()?;
    let said = journal(stage)?;
    *row.journal.entry(said).or_default() += 1;
    stage.nothing_left()?;
    let calls = stage.cli(&["calls", "--json"])?;
    let listed: Value = serde_json::from_str(&calls).context("callhop calls --json")?;
    ensure!(
        listed["calls"].as_array().is_some_and(Vec::is_empty),
        "the switch is back, and there are calls: {calls}"
    );
    *row.fates.entry(Fate::Over).or_default() += 1;
    let talk = stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.let_ring(&COLLEAGUES)?;
    let talk = stage.pushed(talk, "2001", Phone::P2001, Digits::Rtp)?;
    stage.over(talk)
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
    fault: Fault,
    talk: Talk,
    killed: Moment,
    away: Duration,
) -> Result<(Fate, Option<Call>)> {
    let began = Instant::now();
    let mut launched = false;
    let far = talk.far.phone;
    while began.elapsed() < LOST {
        if !launched && began.elapsed() >= away {
            fault.is_over(stage)?;
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
                wait_for(fault, launched, began, away, stage)?;
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
                wait_for(fault, launched, began, away, stage)?;
                return Ok((fate, Some(call)));
            }
        }
    }
    if !launched {
        fault.is_over(stage)?;
    }
    Ok((Fate::Lost, None))
}

/// The fault lasts as long as was meant, also when all is well before.
fn wait_for(
    fault: Fault,
    launched: bool,
    began: Instant,
    away: Duration,
    stage: &mut Stage<'_>,
) -> Result<()> {
    if !launched {
        thread::sleep(away.saturating_sub(began.elapsed()));
        fault.is_over(stage)?;
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

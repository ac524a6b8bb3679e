//! Where an inbound call rings, with the controller and without it: DESIGN 2.6, items 9 and 13 of the list.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone::{self, Out1, P1001, P1001b, P1002, P1003},
    report::Measure,
    site::{CallState, Kind, OnRing, Sound},
    stage::{SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("hunting/as_fast_as_a_plain_bridge", measured)
        .not_on(&[(Kind::Fake, "it has no time worth measuring")]),
    Story::new("hunting/every_phone_of_a_number", every_phone),
    Story::new("hunting/nobody_answers", nobody_answers),
    Story::new("hunting/controller_stopped", stopped),
    Story::new("hunting/controller_killed", killed),
    Story::new("hunting/controller_frozen", frozen),
    Story::new("hunting/controller_unreachable", unreachable),
    Story::new("hunting/database_down", database_down),
    Story::new("hunting/controller_gone_and_the_switch_forgot", all_gone),
    Story::new("hunting/what_rang_by_what_is_counted", counted),
    Story::new("hunting/two_phones_of_a_device_and_a_restart", restarted),
];

/// Item 9: without the controller a call rings within this.
const FAILS_OPEN: Duration = Duration::from_millis(1_500);

fn measured(stage: &mut Stage<'_>) -> Result<()> {
    stage.let_ring(ALL)?;
    for _ in 0..50 {
        for (number, measure) in [("1900", Measure::Static), ("1000", Measure::Hunt)] {
            let since = stage.site.now();
            let call = stage.dial(Out1, number)?;
            for phone in ALL {
                stage.rings(*phone, since)?;
            }
            stage.site.wait_state(call, &[CallState::Early], SOON)?;
            stage.site.hang_up(call)?;
            stage.ended(call)?;
            let sent = stage
                .site
                .invite_sent(Out1, number, since)
                .context("no INVITE was seen on the wire")?;
            let came = ALL
                .iter()
                .filter_map(|phone| stage.site.invite_came(*phone, since));
            let first = came
                .map(|at| at.since(sent))
                .min()
                .context("no INVITE came to a phone")?;
            stage.ledger.note(measure, first.as_secs_f64() * 1_000.0);
        }
    }
    Ok(())
}

fn every_phone(stage: &mut Stage<'_>) -> Result<()> {
    stage.register(P1001b, true)?;
    let all: Vec<Phone> = ALL.iter().copied().chain([P1001b]).collect();
    stage.rings_exactly(Out1, "1000", &all, SOON)?;
    // Whoever answers: the others are told.
    for winner in [P1001, P1001b, P1003] {
        stage.let_ring(&all)?;
        let since = stage.site.now();
        let far = stage.dial(Out1, "1000")?;
        let forks = all
            .iter()
            .map(|phone| stage.rings(*phone, since))
            .collect::<Result<Vec<_>>>()?;
        let near = *forks
            .iter()
            .find(|fork| fork.phone == winner)
            .context("the winner rings")?;
        stage.site.answer(near)?;
        stage.two_way(Out1, winner)?;
        for fork in forks.into_iter().filter(|fork| *fork != near) {
            stage.ended(fork)?;
            stage.site.wait_report(fork, SOON, &|report| {
                report
                    .reason
                    .as_deref()
                    .is_some_and(|reason| reason.contains("Call completed elsewhere"))
            })?;
        }
        stage.over(crate::stage::Talk { far, near })?;
    }
    stage.register(P1001b, false)?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

/// Everybody rejects: the caller gets the admin's voicemail.
fn nobody_answers(stage: &mut Stage<'_>) -> Result<()> {
    for phone in ALL {
        stage.site.on_ring(*phone, OnRing::Reject(486))?;
    }
    let since = stage.site.now();
    let far = stage.dial(Out1, "1000")?;
    stage.site.wait_hears(Out1, Sound::Ivr, since, SOON)?;
    stage.talking(far)?;
    for phone in ALL {
        stage.register(*phone, false)?;
    }
    let since = stage.site.now();
    stage.site.hang_up(far)?;
    stage.dial(Out1, "1000")?;
    let heard = stage
        .site
        .wait_hears(Out1, Sound::Ivr, since, SOON)
        .context("with no phone registered");
    for phone in ALL {
        stage.register(*phone, true)?;
    }
    heard
}

/// With a route and without one: the call rings in time, as the last known route says.
fn without(stage: &mut Stage<'_>, break_it: impl Fn(&mut Stage<'_>) -> Result<()>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    break_it(stage)?;
    stage
        .rings_exactly(Out1, "1000", &[P1002], FAILS_OPEN)
        .context("with a route")?;
    // And a call is answered and talked as ever.
    let talk = stage.inbound(Out1, "1000", P1002)?;
    stage.over(talk)?;
    stage
        .rings_exactly(Out1, "2001", &[Phone::P2001, Phone::P2002], FAILS_OPEN)
        .context("without a route")?;
    // A star code is refused, not left hanging.
    let since = stage.site.now();
    let call = stage.dial(P1001, "*33")?;
    stage.site.wait_hears(P1001, Sound::Refusal, since, SOON)?;
    ensure!(
        !stage.ended(call)?.was_answered,
        "a star code was answered without a controller"
    );
    Ok(())
}

fn stopped(stage: &mut Stage<'_>) -> Result<()> {
    without(stage, |stage| stage.site.controller().stop())
}

fn killed(stage: &mut Stage<'_>) -> Result<()> {
    without(stage, |stage| stage.site.controller().kill())
}

fn frozen(stage: &mut Stage<'_>) -> Result<()> {
    without(stage, |stage| stage.site.controller().freeze(true))
}

fn unreachable(stage: &mut Stage<'_>) -> Result<()> {
    without(stage, |stage| stage.site.network(false))
}

fn database_down(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    stage.site.database(false)?;
    stage.rings_exactly(Out1, "1000", &[P1002], FAILS_OPEN)?;
    let talk = stage.inbound(Out1, "1000", P1002)?;
    // A pull needs no database.
    let (talk, _) = stage.moves(talk, P1001, "*33")?;
    stage.over(talk)
}

/// Neither controller nor snapshot: what the admin's own line names rings.
fn all_gone(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    stage.site.controller().kill()?;
    stage.site.switch(false)?;
    stage.site.switch_forgets()?;
    stage.site.switch(true)?;
    stage.rings_exactly(Out1, "1000", ALL, FAILS_OPEN)
}

/// A controller that starts learns of every registration, also of those of one device.
fn restarted(stage: &mut Stage<'_>) -> Result<()> {
    for is_there in [true, false] {
        stage.register(P1001b, is_there)?;
        stage.site.controller().kill()?;
        stage.site.controller().start()?;
        let more: &[Phone] = if is_there { &[P1001b] } else { &[] };
        stage
            .rings_exactly(Out1, "1000", &[ALL, more].concat(), SOON)
            .with_context(|| format!("P1001b registered: {is_there}"))?;
        let why = stage.cli(&["why", "1000@lab.test"])?;
        let registered = "1001@lab.test rings: registered";
        let twice = why.contains(&format!("{registered} 2 times"));
        ensure!(why.contains(registered) && twice == is_there, "{why}");
    }
    Ok(())
}

/// Of a call that has asked while the controller was away, it hears when that call ends.
fn counted(stage: &mut Stage<'_>) -> Result<()> {
    // FreeSWITCH that has just started tells of a call half a second late, but of one after the other: what it has still to
    // tell of the calls of other stories comes before this one.
    let talk = stage.inbound(Out1, "1000", P1001)?;
    stage.until_metric("callhop_legs", "} 2")?;
    stage.over(talk)?;
    stage.until_metric("callhop_legs", "} 0")?;
    // It counts from its start on.
    stage.site.controller().stop()?;
    stage.site.controller().start()?;
    let talk = stage.inbound(Out1, "1000", P1001)?;
    stage.over(talk)?;
    stage.has_counted("controller")?;
    stage.site.controller().kill()?;
    let talk = stage.inbound(Out1, "1000", P1001)?;
    stage.site.controller().start()?;
    stage.over(talk)?;
    stage.has_counted("snapshot")
}

impl Stage<'_> {
    /// One call since the start of the controller has rung by that.
    fn has_counted(&mut self, source: &str) -> Result<()> {
        let one = format!("source=\"{source}\"}} 1");
        self.until_metric("callhop_hunt_sources_total", &one)
    }

    /// Waits until the metric has one line, which ends like that.
    fn until_metric(&mut self, name: &str, end: &str) -> Result<()> {
        let until = Instant::now() + SOON;
        loop {
            let (_, text) = self.site.controller().get("/metrics")?;
            let lines = text.lines();
            let found: Vec<&str> = lines.filter(|line| line.starts_with(name)).collect();
            if let [line] = found[..]
                && line.ends_with(end)
            {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{end} was expected of {name}: {found:?}"
            );
            // Metrics tell nobody.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

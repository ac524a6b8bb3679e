//! `*50`, `*49` and `*51`: DESIGN 2.5, item 8 of the list.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone::{self, Out1, P1001, P1001b, P1002, P1003, P2001, P2002},
    site::{CallState, Sound},
    stage::{SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("routing/here_and_back", here_and_back),
    Story::new("routing/to_an_own_device", own_device),
    Story::new("routing/to_a_colleague", colleague),
    Story::new("routing/two_colleagues_in_a_loop", in_a_loop),
    Story::new("routing/refused_and_nothing_changed", refused),
    Story::new("routing/survives_restarts", survives),
    Story::new("routing/to_a_phone_that_is_off", phone_is_off),
    Story::new("routing/by_the_command_line", command_line),
    Story::new("routing/not_without_the_database", no_database),
];

/// All devices of 1000@lab.test.
pub const ALL: &[Phone] = &[P1001, P1002, P1003];

fn here_and_back(stage: &mut Stage<'_>) -> Result<()> {
    stage.rings_exactly(Out1, "1000", ALL, SOON)?;
    // Nothing was set: the default is the default.
    stage.confirmed(P1001, "*51")?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)?;
    for phone in [P1002, P1003] {
        stage.confirmed(phone, "*50")?;
        stage.rings_exactly(Out1, "1000", &[phone], SOON)?;
        // Not only from outside.
        stage.rings_exactly(P2001, "1000", &[phone], SOON)?;
    }
    stage.confirmed(P1001, "*51")?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

fn own_device(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1001, "*491003")?;
    stage.rings_exactly(Out1, "1000", &[P1003], SOON)?;
    stage.register(P1001b, true)?;
    stage.confirmed(P1002, "*491001")?;
    // Both phones of that number.
    stage.rings_exactly(Out1, "1000", &[P1001, P1001b], SOON)
}

/// The colleague's extension has the number of one of its devices: it is the extension that is meant.
fn colleague(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1001, "*492001")?;
    stage.rings_exactly(Out1, "1000", &[P2001, P2002], SOON)?;
    stage.confirmed(P2002, "*50")?;
    stage.rings_exactly(Out1, "1000", &[P2002], SOON)?;
    stage.rings_exactly(Out1, "2001", &[P2002], SOON)
}

fn in_a_loop(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1001, "*492001")?;
    stage.refused(P2001, "*491000")?;
    stage.rings_exactly(Out1, "1000", &[P2001, P2002], SOON)?;
    stage.rings_exactly(Out1, "2001", &[P2001, P2002], SOON)
}

fn refused(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1001, "*491002")?;
    for number in ["*499999", "*492002", "*49", "*4901555", "*497000"] {
        stage.refused(P1001, number)?;
    }
    // A device that belongs to nobody's extension has no route; and outside nobody is anybody.
    let outside = stage.dial(Out1, "*50")?;
    ensure!(
        !stage.ended(outside)?.was_answered,
        "a caller from outside was answered"
    );
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)
}

fn survives(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    let check = |stage: &mut Stage<'_>, what: &str| {
        stage
            .rings_exactly(Out1, "1000", &[P1002], SOON)
            .with_context(|| format!("after a restart of {what}"))
    };
    stage.site.controller().stop()?;
    stage.site.controller().start()?;
    check(stage, "Callhop")?;
    stage.site.controller().kill()?;
    stage.site.controller().start()?;
    check(stage, "Callhop, killed")?;
    stage.restart_switch()?;
    stage
        .site
        .controller()
        .wait_ready(Duration::from_secs(30))?;
    check(stage, "the switch")?;
    stage.site.controller().kill()?;
    stage.restart_switch()?;
    stage.site.controller().start()?;
    check(stage, "both")?;
    Ok(())
}

/// `strict`, the default: only that device, and the caller goes where the dialplan sends a call that nobody answers.
fn phone_is_off(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1003, "*50")?;
    stage.register(P1003, false)?;
    stage.let_ring(ALL)?;
    let since = stage.site.now();
    stage.dial(Out1, "1000")?;
    stage
        .site
        .wait_hears(Out1, Sound::Ivr, since, SOON)
        .context("voicemail")?;
    for phone in ALL {
        ensure!(
            stage.site.calls_since(*phone, since).is_empty(),
            "{phone} rang"
        );
    }
    stage.register(P1003, true)?;
    stage.rings_exactly(Out1, "1000", &[P1003], SOON)
}

fn command_line(stage: &mut Stage<'_>) -> Result<()> {
    stage.cli(&["route", "set", "1000@lab.test", "1003"])?;
    stage.rings_exactly(Out1, "1000", &[P1003], SOON)?;
    let shown = stage.cli(&["route", "show", "1000@lab.test"])?;
    ensure!(shown.contains("1003"), "route show says: {shown}");
    let why = stage.cli(&["why", "1000@lab.test"])?;
    ensure!(why.contains("1003"), "why says: {why}");
    stage.cli(&["route", "reset", "1000@lab.test"])?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

/// The beep says that the route is in the database: without one there is no beep, and the last known route counts.
fn no_database(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    stage.site.database(false)?;
    let since = stage.site.now();
    let call = stage.dial(P1001, "*51")?;
    stage
        .site
        .wait_hears(P1001, Sound::Refusal, since, Duration::from_secs(10))?;
    ensure!(
        !stage
            .site
            .wait_state(call, &[CallState::Ended], SOON)?
            .was_answered,
        "it was answered"
    );
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)?;
    stage.site.database(true)?;
    stage.confirmed(P1001, "*51")?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

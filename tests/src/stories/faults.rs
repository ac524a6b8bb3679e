//! Restarts in the middle of things: DESIGN 2.7, item 10 of the list.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone,
    live::kills::{self, Fault},
    site::{CallState, Kind},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new(
        "faults/controller_restarted_in_a_call",
        controller_restarted,
    ),
    Story::new("faults/controller_frozen_in_a_call", controller_frozen),
    Story::new(
        "faults/controller_killed_while_a_call_moves",
        killed_while_moving,
    ),
    Story::new("faults/connections_cut", connections_cut),
    Story::new("faults/in_each_state_of_a_push", each_state)
        .not_on(&[(Kind::Fake, "its instants are those of a wire")]),
    Story::new("faults/switch_restarted", switch_restarted),
];

fn controller_restarted(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.site.controller().kill()?;
        stage.untouched(talk)?;
        stage.site.controller().start()?;
        let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
        stage.site.controller().stop()?;
        stage.untouched(talk)?;
        stage.site.controller().start()?;
        let (talk, _) = stage.moves(talk, Phone::P1001, "*33")?;
        stage.over(talk)?;
    }
    Ok(())
}

/// Calls come and go while it hangs: afterwards it knows what there is.
fn controller_frozen(stage: &mut Stage<'_>) -> Result<()> {
    let first = stage.talk(Direction::FarIsCalled, Phone::P1001)?;
    stage.site.controller().freeze(true)?;
    stage.over(first)?;
    let second = stage.outbound(Phone::P1002, "02555", Phone::Out2)?;
    stage.site.controller().freeze(false)?;
    let (second, _) = stage.moves(second, Phone::P1003, "*33")?;
    stage.over(second)?;
    stage.refused(Phone::P1001, "*33").map(drop)
}

/// Whatever the instant: the far end talks to the old device or to the new one, and a later pull works.
fn killed_while_moving(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for after_ms in [0, 5, 10, 20, 30, 45, 60, 80] {
            let talk = stage.talk(direction, Phone::P1001)?;
            let puller = stage.dial(Phone::P1002, "*33")?;
            // Not a wait for anything: the instants of the crash are spread over the time that a move takes.
            thread::sleep(Duration::from_millis(after_ms));
            stage.site.controller().kill()?;
            let done = [CallState::Talking, CallState::Ended];
            let report = stage.site.wait_state(puller, &done, SOON)?;
            let near = if report.state == CallState::Talking {
                puller
            } else {
                talk.near
            };
            let talk = Talk {
                far: talk.far,
                near,
            };
            stage
                .untouched(talk)
                .with_context(|| format!("{direction:?}, killed after {after_ms} ms"))?;
            stage.site.controller().start()?;
            let (talk, _) = stage
                .moves(talk, Phone::P1003, "*33")
                .with_context(|| format!("{direction:?}, killed after {after_ms} ms"))?;
            stage.over(talk)?;
        }
    }
    Ok(())
}

/// The call goes on, inbound calls ring by the snapshot, star codes are refused; and then all is as before.
fn connections_cut(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(Phone::P1002, "*50")?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1002)?;
        stage.site.links(false)?;
        stage.site.controller().wait_not_ready(SOON)?;
        stage.untouched(talk)?;
        stage.rings_exactly(Phone::Out2, "1000", &[Phone::P1002], SOON)?;
        stage.refused(Phone::P1001, "*33")?;
        stage.untouched(talk)?;
        stage.site.links(true)?;
        stage
            .site
            .controller()
            .wait_ready(Duration::from_secs(30))?;
        let (talk, _) = stage.moves(talk, Phone::P1001, "*33")?;
        stage.over(talk)?;
    }
    Ok(())
}

/// Once each; `--kills` does it as often as is wanted.
fn each_state(stage: &mut Stage<'_>) -> Result<()> {
    kills::run(stage, &Fault::ALL, 1)
}

/// All calls are gone with the switch. Callhop says that it is not ready, comes back, and knows of no ghost.
fn switch_restarted(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.site.switch(false)?;
    stage.site.controller().wait_not_ready(SOON)?;
    stage.site.switch(true)?;
    stage
        .site
        .controller()
        .wait_ready(Duration::from_secs(30))?;
    ensure!(
        stage.site.controller().pid() == pid,
        "Callhop did not survive the restart of the switch"
    );
    stage.refused(Phone::P1002, "*33")?;
    stage.rings_exactly(Phone::Out1, "1000", ALL, SOON)?;
    let talk = stage.talk(Direction::FarCalls, Phone::P1001)?;
    let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
    stage.over(talk)
}

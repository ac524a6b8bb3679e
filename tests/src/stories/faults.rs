//! Restarts in the middle of things: DESIGN 2.7, item 10 of the list.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone,
    stage::{Direction, SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new(
        "faults/controller_restarted_in_a_call",
        controller_restarted,
    ),
    Story::new("faults/controller_frozen_in_a_call", controller_frozen),
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

/// All calls are gone with the switch. Callhop says that it is not ready, comes back, and knows of no ghost.
fn switch_restarted(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.site.restart_switch()?;
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

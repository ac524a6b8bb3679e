//! `*33` on a call that is not answered yet: DESIGN 2.3 (6) and (7), items 3 and 4 of the list.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    report::Measure,
    site::{Call, CallState, Kind, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("ringing/inbound", inbound),
    Story::new(
        "ringing/inbound_by_a_phone_that_does_not_ring",
        inbound_by_another,
    ),
    Story::new("ringing/inbound_to_one_device", inbound_direct),
    Story::new("ringing/outbound_without_media", outbound_without_media),
    Story::new(
        "ringing/outbound_with_early_media",
        outbound_with_early_media,
    ),
    Story::new(
        "ringing/outbound_is_rejected_after_the_pull",
        outbound_rejected,
    ),
    Story::new("ringing/pulled_as_it_is_answered", pull_against_answer)
        .not_on(&[(Kind::Fake, "its instants are those of a wire")]),
    Story::new("ringing/talking_comes_before_ringing", order),
];

const DEVICES: [Phone; 3] = [Phone::P1001, Phone::P1002, Phone::P1003];

fn elsewhere(stage: &mut Stage<'_>, call: Call) -> Result<()> {
    let report = stage.ended(call)?;
    ensure!(!report.was_answered, "{} was answered", call.phone);
    let told = stage.site.wait_report(call, SOON, &|report| {
        report.reason.as_deref().is_some_and(|reason| {
            reason.contains("cause=200") && reason.contains("Call completed elsewhere")
        })
    });
    told.map(drop).with_context(|| {
        format!(
            "{} was not told that the call was completed elsewhere",
            call.phone
        )
    })
}

/// Each of the three in turn takes the call from all three.
fn inbound(stage: &mut Stage<'_>) -> Result<()> {
    for puller in DEVICES {
        stage.let_ring(&DEVICES)?;
        let since = stage.site.now();
        let far = stage.dial(Phone::Out1, "1000")?;
        let forks = DEVICES
            .iter()
            .map(|phone| stage.rings(*phone, since))
            .collect::<Result<Vec<_>>>()?;
        let near = stage.measured_pickup(puller, "*33", Phone::Out1, Measure::RingingTime)?;
        stage.talking(far)?;
        for fork in forks {
            elsewhere(stage, fork)?;
        }
        stage.over(Talk { far, near })?;
    }
    Ok(())
}

fn inbound_by_another(stage: &mut Stage<'_>) -> Result<()> {
    stage.let_ring(&DEVICES)?;
    let since = stage.site.now();
    let far = stage.dial(Phone::Out1, "1000")?;
    let forks = DEVICES
        .iter()
        .map(|phone| stage.rings(*phone, since))
        .collect::<Result<Vec<_>>>()?;
    let near = stage.dial(Phone::P1001b, "*33")?;
    stage.two_way(Phone::Out1, Phone::P1001b)?;
    for fork in forks {
        elsewhere(stage, fork)?;
    }
    stage.over(Talk { far, near })
}

fn inbound_direct(stage: &mut Stage<'_>) -> Result<()> {
    stage.let_ring(&DEVICES)?;
    let since = stage.site.now();
    let far = stage.dial(Phone::P2001, "1001")?;
    let fork = stage.rings(Phone::P1001, since)?;
    let near = stage.dial(Phone::P1002, "*331001")?;
    stage.two_way(Phone::P2001, Phone::P1002)?;
    elsewhere(stage, fork)?;
    stage.over(Talk { far, near })
}

/// 1001 calls out, the far end rings, 1002 pulls: the far end's call, and the old and new leg.
fn pulled_while_it_rings(stage: &mut Stage<'_>, far_does: OnRing, heard: Sound) -> Result<Talk> {
    stage.site.on_ring(Phone::Out1, far_does)?;
    let since = stage.site.now();
    let old = stage.dial(Phone::P1001, "01555")?;
    stage.site.wait_state(old, &[CallState::Early], SOON)?;
    let far = stage.rings(Phone::Out1, since)?;
    let since = stage.site.now();
    let near = stage.dial(Phone::P1002, "*33")?;
    stage
        .site
        .wait_hears(Phone::P1002, heard, since, SOON)
        .context("the puller")?;
    stage.ended(old).context("the old leg")?;
    Ok(Talk { far, near })
}

fn outbound_without_media(stage: &mut Stage<'_>) -> Result<()> {
    let talk = pulled_while_it_rings(stage, OnRing::Ring, Sound::Ringback)?;
    stage.site.answer(talk.far)?;
    stage.two_way(Phone::Out1, Phone::P1002)?;
    // And the call can be moved on.
    let (talk, _) = stage.moves(talk, Phone::P1003, "*33")?;
    stage.over(talk)
}

fn outbound_with_early_media(stage: &mut Stage<'_>) -> Result<()> {
    let talk = pulled_while_it_rings(stage, OnRing::EarlyMedia, Sound::Voice(Phone::Out1))?;
    stage.site.answer(talk.far)?;
    stage.two_way(Phone::Out1, Phone::P1002)?;
    let (talk, _) = stage.moves(talk, Phone::P1003, "*33")?;
    stage.over(talk)
}

fn outbound_rejected(stage: &mut Stage<'_>) -> Result<()> {
    let talk = pulled_while_it_rings(stage, OnRing::Ring, Sound::Ringback)?;
    stage.site.hang_up(talk.far)?;
    stage.ended(talk.far)?;
    stage.ended(talk.near).map(drop)
}

/// The answer from 4 ms before the `*33` to 35 ms behind it, when the switch has its orders: the far end has exactly one of the
/// two devices then.
fn pull_against_answer(stage: &mut Stage<'_>) -> Result<()> {
    let (mut pulled, mut stayed) = (0, 0);
    for direction in Direction::BOTH {
        for turn in 0..40 {
            let offset_ms = turn - 4;
            stage.let_ring(&DEVICES)?;
            stage.let_ring(&[Phone::Out1])?;
            let since = stage.site.now();
            let (far, near) = match direction {
                Direction::FarCalls => {
                    let far = stage.dial(Phone::Out1, "1000")?;
                    (far, stage.rings(Phone::P1001, since)?)
                }
                Direction::FarIsCalled => {
                    let near = stage.dial(Phone::P1001, "01555")?;
                    (stage.rings(Phone::Out1, since)?, near)
                }
            };
            let rings = match direction {
                Direction::FarCalls => near,
                Direction::FarIsCalled => far,
            };
            // Not a wait for anything: the instants are spread over the time of a pull.
            let between = Duration::from_millis(u64::from(i32::unsigned_abs(offset_ms)));
            let (pull, answered) = if offset_ms < 0 {
                let answered = stage.site.answer(rings);
                thread::sleep(between);
                (stage.dial(Phone::P1002, "*33")?, answered)
            } else {
                let pull = stage.dial(Phone::P1002, "*33")?;
                thread::sleep(between);
                (pull, stage.site.answer(rings))
            };
            let left = stage
                .one_left(far.phone, &[pull, near])
                .with_context(|| format!("{direction:?}, answer {offset_ms} ms after the *33"))?;
            if left == pull {
                pulled += 1;
            } else {
                answered.context("who has the call has answered")?;
                stayed += 1;
            }
            stage.over(Talk { far, near: left })?;
            stage.nothing_left()?;
        }
    }
    println!("     *33 against the answer: {pulled} pulled, {stayed} stayed");
    Ok(())
}

/// 1001 talks and 1000 rings as well: what talks is meant.
fn order(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.outbound(Phone::P1001, "01555", Phone::Out1)?;
    stage.let_ring(&DEVICES)?;
    let since = stage.site.now();
    let caller = stage.dial(Phone::Out2, "1000")?;
    stage.rings(Phone::P1003, since)?;
    let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
    // The call that rings does so still.
    stage
        .site
        .wait_state(caller, &[CallState::Early, CallState::Dialling], SOON)?;
    stage.over(talk)
}

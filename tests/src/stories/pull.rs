//! `*33` on a call that talks: DESIGN 2.3, items 1, 2, 6, 7, 10, 13 and 14 of the list of what must be seen.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    report::Measure,
    site::{Call, CallState, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("pull/twenty_moves_in_a_row", twenty_moves),
    Story::new("pull/from_a_named_device", named_device),
    Story::new("pull/on_to_a_third_and_back_ten_times", round_and_round),
    Story::new("pull/nothing_there", nothing_there),
    Story::new("pull/no_far_end", no_far_end),
    Story::new("pull/caller_in_the_voicemail", voicemail),
    Story::new("pull/two_at_once", two_at_once),
    Story::new("pull/far_end_hangs_up_at_the_same_moment", far_end_hangs_up),
    Story::new("pull/one_number_on_two_phones", two_phones),
    Story::new("pull/newest_of_two_calls", newest),
    Story::new("pull/after_a_blind_transfer", blind_transfer),
    Story::new("pull/after_an_attended_transfer", attended_transfer),
    Story::new("pull/from_a_ring_group", ring_group),
    Story::new("pull/from_a_queue", queue),
    Story::new("pull/between_two_extensions_of_the_site", internal),
    Story::new("pull/the_display_shows_the_far_end", display),
];

/// Twenty pulls in a row, and then pulls and the switch's own intercepts by turns, so that both are measured in the same
/// call. Two and two, because the phase of a phone's RTP clock against the switch's counts for some milliseconds: each
/// way is taken to each of the two phones equally often.
fn twenty_moves(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        for turn in 0..60 {
            let new = [Phone::P1002, Phone::P1001][turn % 2];
            let native = turn >= 20 && turn % 4 >= 2;
            let moved = if native {
                stage.native_move(talk, new)
            } else {
                stage.measured_move(talk, new, "*33", Measure::PullGap, Measure::PullTime)
            };
            talk =
                moved.with_context(|| format!("{direction:?}, move {turn}, native: {native}"))?;
        }
        stage.over(talk)?;
    }
    Ok(())
}

fn named_device(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1002)?;
        // 1003 has no call, 2001 is a colleague's, 1002 in the other domain is somebody else.
        for number in ["*331003", "*332001", "*339999", "*331001"] {
            stage.refused(Phone::P1001, number)?;
        }
        stage.refused(Phone::X1001, "*331002")?;
        stage.refused(Phone::P2001, "*331002")?;
        stage.untouched(talk)?;
        let (talk, _) = stage.moves(talk, Phone::P1001, "*331002")?;
        stage.over(talk)?;
    }
    Ok(())
}

fn round_and_round(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        for turn in 0..10 {
            for new in [Phone::P1002, Phone::P1003, Phone::P1001] {
                talk = stage
                    .moves(talk, new, "*33")
                    .with_context(|| format!("{direction:?}, round {turn}, to {new}"))?
                    .0;
            }
        }
        stage.over(talk)?;
    }
    Ok(())
}

fn nothing_there(stage: &mut Stage<'_>) -> Result<()> {
    stage.refused(Phone::P1001, "*33")?;
    // A colleague's call is not one's own.
    let talk = stage.outbound(Phone::P2001, "01555", Phone::Out1)?;
    stage.refused(Phone::P1001, "*33")?;
    stage.untouched(talk)?;
    stage.over(talk)?;
    // A call that has ended is gone.
    let talk = stage.talk(Direction::FarCalls, Phone::P1002)?;
    stage.over(talk)?;
    stage.refused(Phone::P1001, "*33").map(drop)
}

/// Voicemail, IVR, conference, parking: nobody is there who could be moved, and nothing is touched.
fn no_far_end(stage: &mut Stage<'_>) -> Result<()> {
    for (number, heard) in [
        ("7000", Sound::Ivr),
        ("7200", Sound::Silence),
        ("7300", Sound::NoPackets),
    ] {
        let call = stage.dial(Phone::P1001, number)?;
        stage.talking(call)?;
        stage
            .refused(Phone::P1002, "*33")
            .with_context(|| format!("1001 is in {number}"))?;
        stage
            .refused(Phone::P1002, "*331001")
            .with_context(|| format!("1001 is in {number}"))?;
        stage.talking(call)?;
        if heard == Sound::Ivr {
            let since = stage.site.now();
            stage.site.wait_hears(Phone::P1001, heard, since, SOON)?;
        }
        stage.site.hang_up(call)?;
        stage.ended(call)?;
    }
    Ok(())
}

/// Nobody answered, and the caller speaks to the voicemail: that is no call of any device.
fn voicemail(stage: &mut Stage<'_>) -> Result<()> {
    for phone in [Phone::P1001, Phone::P1002, Phone::P1003] {
        stage.site.on_ring(phone, OnRing::Reject(486))?;
    }
    let since = stage.site.now();
    let caller = stage.dial(Phone::Out1, "1000")?;
    stage
        .site
        .wait_hears(Phone::Out1, Sound::Ivr, since, SOON)?;
    stage.refused(Phone::P1001, "*33")?;
    stage.talking(caller)?;
    let since = stage.site.now();
    stage.site.wait_hears(Phone::Out1, Sound::Ivr, since, SOON)
}

/// Exactly one gets the call; the other one is refused; the far end always talks to somebody.
fn two_at_once(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for _ in 0..3 {
            let talk = stage.talk(direction, Phone::P1001)?;
            let since = stage.site.now();
            let calls = [
                stage.dial(Phone::P1002, "*33")?,
                stage.dial(Phone::P1003, "*33")?,
            ];
            stage.ended(talk.near).context("the old leg")?;
            let (near, lost) = one_left(stage, calls)?;
            let report = stage.ended(lost)?;
            if report.was_answered {
                let on = stage.site.kind().differs().pulled_on_at_once;
                ensure!(on, "both pullers were answered");
            } else {
                let heard = stage.site.heard(lost.phone, since);
                ensure!(
                    heard.iter().any(|span| span.sound == Sound::Refusal),
                    "{} was not told",
                    lost.phone
                );
            }
            stage.untouched(Talk {
                far: talk.far,
                near,
            })?;
            stage.over(Talk {
                far: talk.far,
                near,
            })?;
        }
    }
    Ok(())
}

/// Waits until one of the two talks and the other one is over.
fn one_left(stage: &mut Stage<'_>, [one, two]: [Call; 2]) -> Result<(Call, Call)> {
    let until = Instant::now() + SOON;
    loop {
        for (near, lost) in [(one, two), (two, one)] {
            let mut is = |call, state| stage.site.wait_state(call, &[state], Duration::ZERO);
            if is(lost, CallState::Ended).is_ok() && is(near, CallState::Talking).is_ok() {
                return Ok((near, lost));
            }
        }
        ensure!(
            Instant::now() < until,
            "not exactly one of the two got the call"
        );
        // Two phones are looked at, and none announces what the other one does.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whoever is first: everything ends, and nothing is left on the switch.
fn far_end_hangs_up(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for turn in 0..8 {
            let talk = stage.talk(direction, Phone::P1001)?;
            let puller = if turn % 2 == 0 {
                let puller = stage.dial(Phone::P1002, "*33")?;
                if turn % 4 == 2 {
                    // Later: once the switch has begun to answer.
                    stage
                        .site
                        .wait_state(puller, &[CallState::Early, CallState::Talking], SOON)?;
                }
                stage.site.hang_up(talk.far)?;
                puller
            } else {
                stage.site.hang_up(talk.far)?;
                stage.dial(Phone::P1002, "*33")?
            };
            for call in [talk.far, talk.near, puller] {
                stage
                    .ended(call)
                    .with_context(|| format!("{direction:?}, turn {turn}: {}", call.phone))?;
            }
        }
    }
    Ok(())
}

fn two_phones(stage: &mut Stage<'_>) -> Result<()> {
    stage.register(Phone::P1001b, true)?;
    for direction in Direction::BOTH {
        for number in ["*33", "*331001"] {
            let talk = stage.talk(direction, Phone::P1001)?;
            let (talk, _) = stage.moves(talk, Phone::P1001b, number)?;
            let (talk, _) = stage.moves(talk, Phone::P1001, number)?;
            stage.over(talk)?;
        }
    }
    Ok(())
}

/// Two devices talk: the newest call is the one that is meant; `*33` and a number gets the other one.
fn newest(stage: &mut Stage<'_>) -> Result<()> {
    let older = stage.outbound(Phone::P1001, "01555", Phone::Out1)?;
    let newer = stage.outbound(Phone::P1002, "02555", Phone::Out2)?;
    let (moved, _) = stage.moves(newer, Phone::P1003, "*33")?;
    stage.untouched(older)?;
    stage.over(moved)?;
    let (moved, _) = stage.moves(older, Phone::P1003, "*331001")?;
    stage.over(moved)
}

fn blind_transfer(stage: &mut Stage<'_>) -> Result<()> {
    // A colleague sends the caller on to 1001.
    let talk = stage.inbound(Phone::Out1, "2001", Phone::P2001)?;
    stage.site.on_ring(Phone::P1001, OnRing::Answer)?;
    let since = stage.site.now();
    stage.site.transfer(talk.near, "1001")?;
    let near = stage
        .site
        .wait_call(Phone::P1001, since, &[CallState::Talking], SOON)?
        .call;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    let (talk, _) = stage.moves(
        Talk {
            far: talk.far,
            near,
        },
        Phone::P1002,
        "*33",
    )?;
    stage.over(talk)?;
    // The far end sends 1001 on to somebody else outside.
    // 2001 rings 2002 as well, which would answer too.
    stage.let_ring(&[Phone::P2002])?;
    let talk = stage.outbound(Phone::P1001, "2001", Phone::P2001)?;
    stage.site.on_ring(Phone::Out1, OnRing::Answer)?;
    let since = stage.site.now();
    stage.site.transfer(talk.far, "01555")?;
    let far = stage
        .site
        .wait_call(Phone::Out1, since, &[CallState::Talking], SOON)?
        .call;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    let (talk, _) = stage.moves(
        Talk {
            far,
            near: talk.near,
        },
        Phone::P1002,
        "*33",
    )?;
    stage.over(talk)
}

fn attended_transfer(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.inbound(Phone::Out1, "2001", Phone::P2001)?;
    stage.site.hold(talk.near, true)?;
    let since = stage.site.now();
    stage
        .site
        .wait_hears(Phone::Out1, Sound::Music, since, SOON)?;
    stage.site.on_ring(Phone::P1001, OnRing::Answer)?;
    let since = stage.site.now();
    let asked = stage.dial(Phone::P2001, "1001")?;
    stage.talking(asked)?;
    let near = stage
        .site
        .wait_call(Phone::P1001, since, &[CallState::Talking], SOON)?
        .call;
    stage.site.join(talk.near, asked)?;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    let (talk, _) = stage.moves(
        Talk {
            far: talk.far,
            near,
        },
        Phone::P1002,
        "*33",
    )?;
    stage.over(talk)
}

fn ring_group(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.inbound(Phone::Out1, "1800", Phone::P1001)?;
    let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
    stage.over(talk)
}

fn queue(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.inbound(Phone::Out1, "1700", Phone::P1001)?;
    let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
    stage.over(talk)
}

/// The far end is a colleague on the same switch, whose own leg can be pulled just as well.
fn internal(stage: &mut Stage<'_>) -> Result<()> {
    stage.let_ring(&[Phone::P2002])?;
    let talk = stage.outbound(Phone::P1001, "2001", Phone::P2001)?;
    let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
    // And now the colleague moves the other end.
    let turned = Talk {
        far: talk.near,
        near: talk.far,
    };
    let (talk, _) = stage.moves(turned, Phone::P2002, "*33")?;
    stage.over(talk)
}

fn display(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let before = stage.talking(talk.far)?.display_number;
        let shown = stage.talking(talk.near)?.display_number;
        let (talk, _) = stage.moves(talk, Phone::P1003, "*33")?;
        let report = stage
            .site
            .wait_report(talk.near, SOON, &|report| {
                !report.display_number.is_empty() && report.display_number != "*33"
            })
            .with_context(|| format!("{direction:?}: the display of the new device"))?;
        let expected = match direction {
            Direction::FarCalls => shown,
            Direction::FarIsCalled => "01555".to_owned(),
        };
        ensure!(
            report.display_number == expected,
            "{direction:?}: it shows {report:?}, and should show {expected}"
        );
        let after = stage.talking(talk.far)?.display_number;
        ensure!(
            before == after,
            "{direction:?}: the far end's display changed from {before} to {after}"
        );
        stage.over(talk)?;
    }
    Ok(())
}

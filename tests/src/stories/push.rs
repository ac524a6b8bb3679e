//! Pushes that arrive: issue 3, items 1, 4 and 8; DESIGN 2.4.

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    report::Measure,
    site::{CallState, Digits, Kind, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("push/to_a_colleague", colleague),
    Story::new("push/to_a_device", device),
    Story::new("push/to_the_own_extension", own_extension),
    Story::new("push/by_sip_info", info),
    Story::new("push/beside_the_switch_alone", beside_native)
        .not_on(&[(Kind::Fake, "it compares times on the wire")]),
    Story::new("push/cold_route_of_the_colleague", cold_route),
    Story::new("push/display", display),
    Story::new("push/allowed_number_outside", allowed_outside),
    Story::new("push/pusher_hangs_up_while_it_rings", pusher_leaves),
    Story::new("push/recall", recall),
    Story::new("push/recall_and_fallback", fallback),
    Story::new("push/pusher_hangs_up_while_dialling", leaves_dialling),
    Story::new("push/and_pull_back_ten_times", ten_times),
    Story::new("push/own_pull_takes_it_back", own_pull),
    Story::new("push/target_can_not_pull_it", target_pulls),
];

/// The colleague's devices.
const COLLEAGUES: [Phone; 2] = [Phone::P2001, Phone::P2002];

fn colleague(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        let other = stage.rings(Phone::P2002, push.since)?;
        let talk = stage.push_answered(push, call)?;
        let lost = stage
            .site
            .wait_report(other, SOON, &|report| {
                report.state == CallState::Ended && report.reason.is_some()
            })
            .context("the device that did not answer")?;
        ensure!(
            lost.reason
                .as_deref()
                .is_some_and(|reason| reason.contains("completed elsewhere")),
            "{direction:?}: the other device was told {:?}",
            lost.reason
        );
        stage.untouched(talk)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

fn device(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let since = stage.site.now();
        let talk = stage.pushed(talk, "2002", Phone::P2002, Digits::Rtp)?;
        ensure!(
            stage.site.calls_since(Phone::P2001, since).is_empty(),
            "the colleague's other device rang"
        );
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// Without a device in mind: whichever of one's own is nearer.
fn own_extension(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&[Phone::P1002, Phone::P1003])?;
        let (push, call) = stage.push_rings(talk, "1000", Phone::P1003, Digits::Rtp)?;
        let other = stage.rings(Phone::P1002, push.since)?;
        let talk = stage.push_answered(push, call)?;
        stage.stops_ringing(other)?;
        ensure!(
            stage.site.calls_since(Phone::P1001, push.since).is_empty(),
            "the device that pushed rang"
        );
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

fn info(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let talk = stage.pushed(talk, "2001", Phone::P2001, Digits::Info)?;
        stage.over(talk)?;
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, _) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Info)?;
        stage.cancelled(push)?;
        stage.over(talk)?;
    }
    Ok(())
}

/// The nearest thing that the switch does alone: the far end hears a tone, a phone is called, and its leg intercepts the
/// far end. A `bridge` by the far end itself is no peer, because nobody could take the call back while it rings.
fn beside_native(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for _ in 0..10 {
            let talk = stage.talk(direction, Phone::P1001)?;
            stage.let_ring(&COLLEAGUES)?;
            let talk = stage.pushed(talk, "2001", Phone::P2001, Digits::Rtp)?;
            stage.let_ring(&[Phone::P1002])?;
            let since = stage.site.now();
            stage.site.native_split(talk.near, talk.far)?;
            stage
                .site
                .wait_hears(Phone::Out1, Sound::Ringback, since, SOON)?;
            stage.site.native_ring(talk.far)?;
            let target = stage.rings(Phone::P1002, since)?;
            stage.site.answer(target)?;
            stage
                .site
                .wait_hears(Phone::Out1, Sound::Voice(Phone::P1002), since, SOON)?;
            let gap = stage.gap_before(Phone::Out1, Sound::Voice(Phone::P1002), since)?;
            stage.ledger.note(Measure::NativePushGap, gap);
            stage.over(Talk {
                far: talk.far,
                near: target,
            })?;
        }
    }
    Ok(())
}

fn cold_route(stage: &mut Stage<'_>) -> Result<()> {
    stage.cli(&["route", "set", "2001@lab.test", "2002"])?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let since = stage.site.now();
        let talk = stage.pushed(talk, "2001", Phone::P2002, Digits::Rtp)?;
        ensure!(
            stage.site.calls_since(Phone::P2001, since).is_empty(),
            "{direction:?}: a device rang that the route leaves out"
        );
        stage.over(talk)?;
    }
    Ok(())
}

fn display(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let shown = match direction {
            Direction::FarCalls => stage.talking(talk.near)?.display_number,
            Direction::FarIsCalled => "01555".to_owned(),
        };
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        let report = stage.site.wait_state(call, &[CallState::Incoming], SOON)?;
        ensure!(
            report.display_number == shown,
            "{direction:?}: it shows {report:?}, and should show {shown}"
        );
        let talk = stage.push_answered(push, call)?;
        stage.over(talk)?;
    }
    Ok(())
}

/// The configuration allows 0 and more digits, and says how they are dialled.
fn allowed_outside(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&[Phone::Out2])?;
        let talk = stage.pushed(talk, "02555", Phone::Out2, Digits::Rtp)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

fn pusher_leaves(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        stage.site.hang_up(talk.near)?;
        stage.ended(talk.near)?;
        let talk = stage.push_answered(push, call)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// Nobody answers, and the pusher has gone: their extension rings, and whoever answers there has the far end.
fn recall(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        stage.let_ring(&[Phone::P1001, Phone::P1002, Phone::P1003])?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        stage.site.hang_up(talk.near)?;
        stage.ended(talk.near)?;
        // The time that a target rings is five seconds here.
        let back = stage
            .site
            .wait_call(Phone::P1002, push.since, &[CallState::Incoming], SOON * 2)
            .context("the pusher's extension is rung")?
            .call;
        stage.stops_ringing(call)?;
        let answered = stage.site.now();
        stage.site.answer(back)?;
        stage
            .site
            .wait_hears(Phone::Out1, Sound::Voice(Phone::P1002), answered, SOON)?;
        stage.two_way(Phone::Out1, Phone::P1002)?;
        stage.over(Talk {
            far: talk.far,
            near: back,
        })?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// And nobody is there either: the number of `push.fallback`, which is the IVR.
fn fallback(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        for phone in [Phone::P1001, Phone::P1002, Phone::P1003] {
            stage.site.on_ring(phone, OnRing::Reject(486))?;
        }
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        let other = stage.rings(Phone::P2002, push.since)?;
        stage.site.hang_up(talk.near)?;
        stage.ended(talk.near)?;
        let since = stage.site.now();
        stage.site.hang_up(call)?;
        stage.site.hang_up(other)?;
        stage
            .site
            .wait_hears(Phone::Out1, Sound::Ivr, since, SOON * 2)
            .context("the fallback")?;
        stage.site.hang_up(talk.far)?;
        stage.ended(talk.far)?;
        stage.nothing_left()?;
    }
    Ok(())
}

fn leaves_dialling(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for digits in ["", "20"] {
            let talk = stage.talk(direction, Phone::P1001)?;
            stage.let_ring(&[Phone::P1001, Phone::P1002, Phone::P1003])?;
            let push = stage.push_begins(talk, Digits::Rtp)?;
            if !digits.is_empty() {
                stage.site.send_digits(talk.near, digits, Digits::Rtp)?;
            }
            stage.site.hang_up(talk.near)?;
            let back = stage
                .rings(Phone::P1001, push.since)
                .context("the pusher's own phone is rung")?;
            stage.site.answer(back)?;
            stage.two_way(Phone::Out1, Phone::P1001)?;
            stage.over(Talk {
                far: talk.far,
                near: back,
            })?;
            stage.nothing_left()?;
        }
    }
    Ok(())
}

fn ten_times(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&[Phone::P1002])?;
        for turn in 0..10 {
            talk = stage
                .pushed(talk, "1002", Phone::P1002, Digits::Rtp)
                .with_context(|| format!("{direction:?}, push {turn}"))?;
            talk = stage
                .moves(talk, Phone::P1001, "*33")
                .with_context(|| format!("{direction:?}, pull {turn}"))?
                .0;
        }
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// Whoever pushes by mistake goes to another of their own phones and takes it back there.
fn own_pull(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for rings in [false, true] {
            let talk = stage.talk(direction, Phone::P1001)?;
            stage.let_ring(&COLLEAGUES)?;
            let (push, target) = if rings {
                let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
                (push, Some(call))
            } else {
                (stage.push_begins(talk, Digits::Rtp)?, None)
            };
            let since = stage.site.now();
            let call = stage.dial(Phone::P1002, "*33")?;
            stage.talking(call).context("*33 while it is pushed")?;
            stage
                .site
                .wait_hears(Phone::Out1, Sound::Voice(Phone::P1002), since, SOON)?;
            stage.two_way(Phone::Out1, Phone::P1002)?;
            if let Some(target) = target {
                stage.stops_ringing(target)?;
            }
            stage.ended(talk.near).context("the phone that pushed")?;
            let voices = [Sound::Voice(Phone::P1001), Sound::Voice(Phone::P1002)];
            stage.waited_well(push, &voices)?;
            stage.over(Talk {
                far: talk.far,
                near: call,
            })?;
            stage.nothing_left()?;
        }
    }
    Ok(())
}

/// Another phone of the colleague, who has not answered yet: it is not theirs.
fn target_pulls(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        stage.refused(Phone::P2002, "*33")?;
        let talk = stage.push_answered(push, call)?;
        if stage.site.kind().has_packets() {
            stage.untouched(talk)?;
        }
        stage.over(talk)?;
    }
    Ok(())
}

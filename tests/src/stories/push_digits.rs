//! Who gets which digit, and which legs are armed: issue 3, items 5 and 6, and the arming.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    site::{CallState, Digits, Kind, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("push_digits/other_digits_reach_the_far_end", other_digits),
    Story::new("push_digits/far_end_dials_the_code", far_end_dials),
    Story::new("push_digits/no_far_end", no_far_end),
    Story::new("push_digits/armed_after_a_pull", after_a_pull),
    Story::new("push_digits/armed_in_the_middle_of_a_call", late).not_on(LATE),
    Story::new("push_digits/armed_though_answered_at_once", at_once).not_on(LATE),
    Story::new("push_digits/far_end_is_a_colleague", internal),
];

/// Where a leg that is armed too late for its bridge is armed from the next one on.
const LATE: &[(Kind, &str)] = &[(
    Kind::Asterisk,
    "there is no way to put the legs of a call into a bridge anew that never loses it",
)];

/// An IVR at the far end still works: every digit at once, a star alone when the switch has waited for more.
fn other_digits(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        for digits in ["5", "0", "#", "9", "12"] {
            let since = stage.site.now();
            stage.site.send_digits(talk.near, digits, Digits::Rtp)?;
            // The switch makes each digit a quarter of a second long, whatever the phone did.
            let within = Duration::from_millis(if digits.len() == 1 { 150 } else { 700 });
            stage
                .got(Phone::Out1, since, digits, within)
                .with_context(|| format!("{direction:?}"))?;
        }
        let since = stage.site.now();
        stage.site.send_digits(talk.near, "*", Digits::Rtp)?;
        stage
            .got(Phone::Out1, since, "*", Duration::from_secs(3))
            .with_context(|| format!("{direction:?}, a lone star"))?;
        let since = stage.site.now();
        stage.site.send_digits(talk.near, "*1", Digits::Rtp)?;
        stage
            .got(Phone::Out1, since, "*1", Duration::from_secs(3))
            .with_context(|| format!("{direction:?}, a star and another digit"))?;
        // After a push that was cancelled it is as before.
        let push = stage.push_begins(talk, Digits::Rtp)?;
        stage.cancelled(push)?;
        let since = stage.site.now();
        stage.site.send_digits(talk.near, "5", Digits::Rtp)?;
        stage
            .got(Phone::Out1, since, "5", Duration::from_millis(300))
            .with_context(|| format!("{direction:?}, after a push"))?;
        stage.untouched(talk)?;
        stage.over(talk)?;
    }
    Ok(())
}

fn far_end_dials(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let since = stage.site.now();
        stage.site.send_digits(talk.far, "*92001#", Digits::Rtp)?;
        stage
            .got(Phone::P1001, since, "*92001#", Duration::from_secs(3))
            .with_context(|| format!("{direction:?}"))?;
        let heard = stage.site.heard(Phone::P1001, since);
        ensure!(
            heard.iter().all(|span| span.sound != Sound::Beep),
            "{direction:?}: the far end pushed"
        );
        ensure!(
            stage.site.calls_since(Phone::P2001, since).is_empty(),
            "{direction:?}: the colleague rang"
        );
        stage.untouched(talk)?;
        stage.over(talk)?;
    }
    Ok(())
}

/// The switch's own IVR, conference, parking: nobody could be pushed. The call goes on.
fn no_far_end(stage: &mut Stage<'_>) -> Result<()> {
    for (number, heard) in [("7000", Some(Sound::Ivr)), ("7200", None), ("7300", None)] {
        let call = stage.dial(Phone::P1001, number)?;
        stage.talking(call)?;
        let since = stage.site.send_digits(call, "*9", Digits::Rtp)?;
        stage.site.send_digits(call, "2001#", Digits::Rtp)?;
        if let Some(sound) = heard {
            let now = stage.site.now();
            stage
                .site
                .wait_hears(Phone::P1001, sound, now, SOON)
                .with_context(|| format!("after *9 to {number}"))?;
        }
        let report = stage.talking(call)?;
        ensure!(report.state == CallState::Talking, "{number}: {report:?}");
        ensure!(
            stage.site.calls_since(Phone::P2001, since).is_empty(),
            "{number}: the colleague rang"
        );
        stage.site.hang_up(call)?;
        stage.ended(call)?;
    }
    Ok(())
}

fn after_a_pull(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
        stage.let_ring(&[Phone::P2001, Phone::P2002])?;
        let talk = stage
            .pushed(talk, "2001", Phone::P2001, Digits::Rtp)
            .with_context(|| format!("{direction:?}"))?;
        stage.over(talk)?;
    }
    Ok(())
}

/// The call was there before the controller. What the arming costs the far end is told.
fn late(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        stage.site.controller().stop()?;
        let talk = stage.talk(direction, Phone::P1001)?;
        let since = stage.site.now();
        stage.site.controller().start()?;
        stage.armed(talk.near)?;
        stage.two_way(Phone::Out1, Phone::P1001)?;
        let far = stage.longest_hole(Phone::Out1, since);
        let near = stage.longest_hole(Phone::P1001, since);
        println!(
            "     {direction:?}: armed late, longest hole {far:?} at the far end, {near:?} at the device"
        );
        stage.let_ring(&[Phone::P2001, Phone::P2002])?;
        let talk = stage
            .pushed(talk, "2001", Phone::P2001, Digits::Rtp)
            .with_context(|| format!("{direction:?}"))?;
        stage.over(talk)?;
    }
    Ok(())
}

/// A phone that answers before the controller has seen it ring: it is armed all the same, and nobody is lost by it.
fn at_once(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..5 {
        stage.let_ring(&[Phone::P1002, Phone::P1003])?;
        stage.site.on_ring(Phone::P1001, OnRing::AtOnce)?;
        let since = stage.site.now();
        let far = stage.dial(Phone::Out1, "1000")?;
        let near = stage
            .site
            .wait_call(Phone::P1001, since, &[CallState::Talking], SOON)?
            .call;
        stage.armed(near)?;
        let talk = Talk { far, near };
        stage.untouched(talk)?;
        let push = stage.push_begins(talk, Digits::Rtp)?;
        stage.cancelled(push)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// Both are known devices, and both are armed: each pushes the other one.
fn internal(stage: &mut Stage<'_>) -> Result<()> {
    stage.let_ring(&[Phone::P2002])?;
    let talk = stage.outbound(Phone::P1001, "2001", Phone::P2001)?;
    stage.let_ring(&[Phone::P1003])?;
    let talk = stage.pushed(talk, "1003", Phone::P1003, Digits::Rtp)?;
    let turned = Talk {
        far: talk.near,
        near: talk.far,
    };
    stage.let_ring(&[Phone::P2002])?;
    let talk = stage.pushed(turned, "2002", Phone::P2002, Digits::Rtp)?;
    stage.over(talk)
}

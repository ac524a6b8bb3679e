//! Pushes that come to nothing: issue 3, items 2, 3 and the end of 4.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    site::{CallState, Digits, Kind, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("push_back/cancelled", cancelled),
    Story::new(
        "push_back/cancelled_as_it_is_answered",
        cancel_against_answer,
    )
    .not_on(&[(Kind::Fake, "its instants are those of a wire")]),
    Story::new("push_back/pulled_as_it_is_answered", pull_against_answer)
        .not_on(&[(Kind::Fake, "its instants are those of a wire")]),
    Story::new("push_back/busy_or_rejected", busy),
    Story::new("push_back/no_answer", no_answer),
    Story::new("push_back/wrong_numbers", wrong_numbers),
    Story::new("push_back/unregistered", unregistered),
    Story::new("push_back/no_digit_comes", no_digit),
    Story::new("push_back/far_end_hangs_up", far_end_leaves),
];

const COLLEAGUES: [Phone; 2] = [Phone::P2001, Phone::P2002];

/// Before the first digit, between two, after `#`; and then a push works as if nothing had been.
fn cancelled(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        for digits in ["", "2", "200"] {
            let push = stage.push_begins(talk, Digits::Rtp)?;
            if !digits.is_empty() {
                stage.site.send_digits(talk.near, digits, Digits::Rtp)?;
            }
            stage
                .cancelled(push)
                .with_context(|| format!("{direction:?}, * after {digits:?}"))?;
        }
        for turn in 0..3 {
            let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
            stage
                .cancelled(push)
                .with_context(|| format!("{direction:?}, * while it rings, turn {turn}"))?;
            stage.stops_ringing(call)?;
        }
        let talk = stage.pushed(talk, "2001", Phone::P2001, Digits::Rtp)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// The `*` and the answer in the same 50 ms. Either of the two may win; the far end has exactly one of them then.
fn cancel_against_answer(stage: &mut Stage<'_>) -> Result<()> {
    let (mut given_back, mut moved) = (0, 0);
    for direction in Direction::BOTH {
        // By SIP INFO, because the instant of such a digit is known; one of RFC 4733 is seen when its end is.
        for turn in 0..24 {
            let offset_ms = 10 * (turn % 12) - 50;
            let talk = stage.talk(direction, Phone::P1001)?;
            stage.let_ring(&COLLEAGUES)?;
            let (_, target) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
            // Not a wait for anything: the instants are spread over the time of an answer.
            let between = Duration::from_millis(u64::from(i32::unsigned_abs(offset_ms)));
            let cancel = |stage: &mut Stage<'_>| {
                stage
                    .site
                    .send_digits(talk.near, "*", Digits::Info)
                    .map(drop)
            };
            // Whichever is second may find its call gone, which is no fault.
            let second = if offset_ms < 0 {
                cancel(stage)?;
                thread::sleep(between);
                stage.site.answer(target)
            } else {
                stage.site.answer(target)?;
                thread::sleep(between);
                cancel(stage)
            };
            let ends = [talk.near, target].map(|call| {
                stage
                    .site
                    .wait_state(call, &[CallState::Ended], Duration::ZERO)
                    .is_ok()
            });
            if !ends.contains(&true) {
                second.context("neither call was over")?;
            }
            let near = stage
                .one_left(talk.far.phone, &[talk.near, target])
                .with_context(|| format!("{direction:?}, answer {offset_ms} ms before the *"))?;
            if near == talk.near {
                given_back += 1;
                // *9 works again.
                let push = stage.push_begins(talk, Digits::Rtp)?;
                stage.cancelled(push)?;
            } else {
                moved += 1;
            }
            stage.over(Talk {
                far: talk.far,
                near,
            })?;
            stage.nothing_left()?;
        }
    }
    println!("     * against the answer: {given_back} given back, {moved} moved");
    Ok(())
}

/// `*33` and the answer in the same 120 ms, which is what a pull takes. Whoever is first has the far end, and the others go.
fn pull_against_answer(stage: &mut Stage<'_>) -> Result<()> {
    let (mut taken_back, mut moved) = (0, 0);
    for direction in Direction::BOTH {
        for turn in 0..12 {
            let talk = stage.talk(direction, Phone::P1001)?;
            stage.let_ring(&COLLEAGUES)?;
            let (_, target) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
            let pull = stage.dial(Phone::P1002, "*33")?;
            // Not a wait for anything: the instants are spread over the time of a pull.
            thread::sleep(Duration::from_millis(10 * turn));
            let answered = stage.site.answer(target);
            let near = stage
                .one_left(talk.far.phone, &[pull, target])
                .with_context(|| format!("{direction:?}, answer {turn}0 ms after the *33"))?;
            if near == pull {
                taken_back += 1;
            } else {
                answered.context("who has the call has answered")?;
                moved += 1;
            }
            stage.ended(talk.near).context("who pushed is left")?;
            stage.over(Talk {
                far: talk.far,
                near,
            })?;
            stage.nothing_left()?;
        }
    }
    println!("     *33 against the answer: {taken_back} taken back, {moved} moved");
    Ok(())
}

fn busy(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        for code in [486, 603] {
            for phone in COLLEAGUES {
                stage.site.on_ring(phone, OnRing::Reject(code))?;
            }
            for number in ["2001", "2002"] {
                let (push, dialled) = stage.push_to(talk, number, Digits::Rtp)?;
                stage
                    .given_back(push, dialled, true)
                    .with_context(|| format!("{direction:?}, {number} answers {code}"))?;
            }
        }
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

fn no_answer(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        // The time that a target rings is five seconds here.
        stage.site.wait_state(call, &[CallState::Ended], SOON * 2)?;
        let since = stage.site.now();
        stage.given_back(push, since, true)?;
        let push = stage.push_begins(talk, Digits::Rtp)?;
        stage.cancelled(push)?;
        stage.over(talk)?;
        stage.nothing_left()?;
    }
    Ok(())
}

/// Nobody's, not allowed, the own device, the far end's place, another domain's, and none at all.
fn wrong_numbers(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        for number in ["9999", "1001", "7000", "0900", ""] {
            let since = stage.site.now();
            let (push, dialled) = stage.push_to(talk, number, Digits::Rtp)?;
            stage
                .given_back(push, dialled, true)
                .with_context(|| format!("{direction:?}, *9{number}#"))?;
            for phone in Phone::ALL {
                ensure!(
                    stage.site.calls_since(phone, since).is_empty(),
                    "{direction:?}, *9{number}#: {phone} rang"
                );
            }
        }
        stage.over(talk)?;
    }
    Ok(())
}

fn unregistered(stage: &mut Stage<'_>) -> Result<()> {
    for phone in COLLEAGUES {
        stage.register(phone, false)?;
    }
    let played = (|| {
        for direction in Direction::BOTH {
            let talk = stage.talk(direction, Phone::P1001)?;
            for number in ["2001", "2002"] {
                let (push, dialled) = stage.push_to(talk, number, Digits::Rtp)?;
                stage
                    .given_back(push, dialled, true)
                    .with_context(|| format!("{direction:?}, {number} has no phone"))?;
            }
            stage.over(talk)?;
        }
        Ok(())
    })();
    // The other stories need them, however this one ended.
    for phone in COLLEAGUES {
        stage.register(phone, true)?;
    }
    played
}

/// The time for a digit is four seconds here.
fn no_digit(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for digits in ["", "20"] {
            let talk = stage.talk(direction, Phone::P1001)?;
            let push = stage.push_begins(talk, Digits::Rtp)?;
            if !digits.is_empty() {
                stage.site.send_digits(talk.near, digits, Digits::Rtp)?;
            }
            stage
                .site
                .wait_hears(Phone::P1001, Sound::Refusal, push.since, SOON * 2)?;
            let since = stage.site.now();
            stage.given_back(push, since, true)?;
            stage.over(talk)?;
        }
    }
    Ok(())
}

fn far_end_leaves(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.push_begins(talk, Digits::Rtp)?;
        stage.over(talk)?;
        stage.nothing_left()?;
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let (push, call) = stage.push_rings(talk, "2001", Phone::P2001, Digits::Rtp)?;
        let other = stage.rings(Phone::P2002, push.since)?;
        stage.over(talk)?;
        stage.stops_ringing(call)?;
        stage.stops_ringing(other)?;
        stage.nothing_left()?;
    }
    Ok(())
}

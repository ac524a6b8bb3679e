//! The switch without Callhop: that the lab itself works, and what Callhop is compared to.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    live::site::NATIVE_HOLD,
    report::Measure,
    site::{CallState, Digits, Kind, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("bare/talk", talk).bare(),
    Story::new("bare/hold", hold).bare(),
    Story::new("bare/ringing", ringing).bare(),
    Story::new("bare/early_media", early_media).bare(),
    Story::new("bare/tones", tones).bare(),
    Story::new("bare/digits", digits).bare(),
    Story::new("bare/transfers", transfers).bare(),
    Story::new("bare/several_phones", several_phones).bare(),
    Story::new("bare/places_without_a_far_end", places).bare(),
    Story::new("bare/native_pull", native_pull).bare(),
    Story::new("bare/native_pickup", native_pickup)
        .bare()
        .not_on(&[(Kind::Fake, NO_PEER)]),
    Story::new("bare/native_command", native_command)
        .bare()
        .not_on(&[(Kind::Fake, NO_PEER)]),
    Story::new("bare/restart", restart).bare(),
];

const NO_PEER: &str = "nothing is compared to it";

fn talk(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.inbound(Phone::Out1, "1900", Phone::P1002)?;
    stage.over(talk)?;
    let talk = stage.outbound(Phone::P1001, "02555", Phone::Out2)?;
    stage.over(talk)?;
    let talk = stage.inbound(Phone::X1002, "1001", Phone::X1001)?;
    stage.over(talk)
}

fn hold(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.outbound(Phone::P1001, "01555", Phone::Out1)?;
    let since = stage.site.now();
    stage.site.hold(talk.near, true)?;
    stage
        .site
        .wait_hears(Phone::Out1, Sound::Music, since, SOON)?;
    stage.site.hold(talk.near, false)?;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    stage.over(talk)
}

/// What the losers of a fork are told when one phone answers.
fn ringing(stage: &mut Stage<'_>) -> Result<()> {
    let phones = [Phone::P1001, Phone::P1002, Phone::P1003];
    stage.let_ring(&phones)?;
    let since = stage.site.now();
    let far = stage.dial(Phone::Out1, "1900")?;
    let calls = phones
        .iter()
        .map(|phone| stage.rings(*phone, since))
        .collect::<Result<Vec<_>>>()?;
    stage.site.answer(calls[1])?;
    stage.talking(far)?;
    for loser in [calls[0], calls[2]] {
        stage.ended(loser)?;
        stage.site.wait_report(loser, SOON, &|report| {
            report
                .reason
                .as_deref()
                .is_some_and(|reason| reason.contains("Call completed elsewhere"))
        })?;
    }
    Ok(())
}

fn early_media(stage: &mut Stage<'_>) -> Result<()> {
    stage.site.on_ring(Phone::Out1, OnRing::EarlyMedia)?;
    let since = stage.site.now();
    let call = stage.dial(Phone::P1001, "01555")?;
    stage.site.wait_state(call, &[CallState::Early], SOON)?;
    stage
        .site
        .wait_hears(Phone::P1001, Sound::Voice(Phone::Out1), since, SOON)
}

fn tones(stage: &mut Stage<'_>) -> Result<()> {
    let since = stage.site.now();
    stage.dial(Phone::P1001, "7000")?;
    stage.site.wait_hears(Phone::P1001, Sound::Ivr, since, SOON)
}

/// Digits of both kinds come to the far end, as telephone-events. Each kind in a call of its own: no phone sends both, and
/// Asterisk, which passes RTP on unread while nobody wants digits, would repeat one of the first kind at the second.
fn digits(stage: &mut Stage<'_>) -> Result<()> {
    for how in [Digits::Rtp, Digits::Info] {
        let talk = stage.outbound(Phone::P1001, "01555", Phone::Out1)?;
        let since = stage.site.now();
        stage.site.send_digits(talk.near, "5*1#", how)?;
        stage
            .got(Phone::Out1, since, "5*1#", SOON)
            .with_context(|| format!("{how:?}"))?;
        stage.untouched(talk)?;
        stage.over(talk)?;
    }
    Ok(())
}

/// Blind, by the person and by the far end; and attended.
fn transfers(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.inbound(Phone::Out1, "1900", Phone::P1002)?;
    let since = stage.site.now();
    stage.site.on_ring(Phone::P1001, OnRing::Answer)?;
    stage.site.transfer(talk.near, "1001")?;
    let near = stage
        .site
        .wait_call(Phone::P1001, since, &[CallState::Talking], SOON)?
        .call;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    stage.ended(talk.near)?;
    stage.over(Talk { near, ..talk })?;

    let talk = stage.inbound(Phone::Out1, "1900", Phone::P1002)?;
    stage.site.hold(talk.near, true)?;
    let since = stage.site.now();
    stage
        .site
        .wait_hears(Phone::Out1, Sound::Music, since, SOON)?;
    stage.site.on_ring(Phone::P1001, OnRing::Answer)?;
    let asked = stage.dial(Phone::P1002, "1001")?;
    stage.talking(asked)?;
    let near = stage
        .site
        .wait_call(Phone::P1001, since, &[CallState::Talking], SOON)?
        .call;
    stage.site.join(talk.near, asked)?;
    stage.two_way(Phone::Out1, Phone::P1001)?;
    stage.over(Talk { near, ..talk })
}

/// Ring group, queue, and the other tenant's phones with the same numbers.
fn several_phones(stage: &mut Stage<'_>) -> Result<()> {
    for number in ["1800", "1700"] {
        let talk = stage
            .inbound(Phone::Out1, number, Phone::P1001)
            .with_context(|| number.to_owned())?;
        stage.over(talk)?;
    }
    stage.let_ring(&Phone::ALL)?;
    stage.rings_exactly(Phone::Out1, "61001", &[Phone::X1001], SOON)?;
    stage.rings_exactly(Phone::X1001, "1002", &[Phone::X1002], SOON)?;
    stage.rings_exactly(Phone::Out1, "1002", &[Phone::P1002], SOON)
}

fn places(stage: &mut Stage<'_>) -> Result<()> {
    for number in ["7000", "7200", "7300"] {
        let call = stage.dial(Phone::P1001, number)?;
        stage.talking(call).with_context(|| number.to_owned())?;
        stage.site.hang_up(call)?;
        stage.ended(call)?;
    }
    Ok(())
}

/// The switch comes back, and its phones with it.
fn restart(stage: &mut Stage<'_>) -> Result<()> {
    stage.outbound(Phone::P1001, "01555", Phone::Out1)?;
    stage.site.switch(false)?;
    stage.site.switch(true)?;
    let talk = stage.inbound(Phone::Out1, "1900", Phone::P1002)?;
    stage.over(talk)
}

/// The switch's own feature to a channel that is known: it must behave like a pull, and its gap is what a pull's is
/// compared to.
fn native_pull(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        for turn in 0..4 {
            let new = if turn % 2 == 0 {
                Phone::P1002
            } else {
                Phone::P1001
            };
            talk = stage
                .native_move(talk, new)
                .with_context(|| format!("{direction:?}, move {turn}"))?;
        }
        stage.over(talk)?;
    }
    if stage.site.kind().has_packets() {
        let gap = stage
            .ledger
            .summary(Measure::NativeGap)
            .context("nothing was measured")?;
        ensure!(
            gap.max < 200.0,
            "the switch's own feature took {} ms",
            gap.max
        );
    }
    // The far end's own mark: nobody is left behind with a call.
    let since = stage.site.now();
    stage
        .site
        .wait_hears(Phone::Out1, Sound::NoPackets, since, Duration::from_secs(2))
}

/// The same for a call that rings.
fn native_pickup(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..6 {
        let phones = [Phone::P1001, Phone::P1002, Phone::P1003];
        stage.let_ring(&phones)?;
        let since = stage.site.now();
        let far = stage.dial(Phone::Out1, "1900")?;
        let forks = phones
            .iter()
            .map(|phone| stage.rings(*phone, since))
            .collect::<Result<Vec<_>>>()?;
        let number = stage.site.native_pickup(far, forks[0])?;
        let near = stage.measured_pickup(
            Phone::P2001,
            &number,
            Phone::Out1,
            Measure::NativeRingingTime,
        )?;
        for fork in forks {
            stage.ended(fork)?;
        }
        stage.over(Talk { far, near })?;
    }
    Ok(())
}

/// And for the command that joins a phone which waits in the dialplan to the far end.
fn native_command(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        for _ in 0..4 {
            let talk = stage.talk(direction, Phone::P1001)?;
            let since = stage.site.now();
            let near = stage.dial(Phone::P1002, NATIVE_HOLD)?;
            stage
                .site
                .wait_hears(Phone::P1002, Sound::Ringback, since, SOON)?;
            stage.site.native_bridge(near, talk.far)?;
            stage.two_way(Phone::Out1, Phone::P1002)?;
            stage.ended(talk.near)?;
            let gap = stage.gap_before(Phone::Out1, Sound::Voice(Phone::P1002), since)?;
            stage.ledger.note(Measure::CommandGap, gap);
            stage.over(Talk { near, ..talk })?;
        }
    }
    Ok(())
}

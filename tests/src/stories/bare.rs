//! The switch without Callhop: that the lab itself works, and what Callhop is compared to.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    report::Measure,
    site::{CallState, OnRing, Sound},
    stage::{Direction, SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("bare/talk", talk).bare(),
    Story::new("bare/hold", hold).bare(),
    Story::new("bare/ringing", ringing).bare(),
    Story::new("bare/early_media", early_media).bare(),
    Story::new("bare/tones", tones).bare(),
    Story::new("bare/native_intercept", native_intercept).bare(),
];

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

/// The switch's own intercept to a known UUID: it must behave like a pull, and its gap is what a pull's is compared to.
fn native_intercept(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        for turn in 0..4 {
            let number = stage.site.native_pull(talk.far)?;
            let new = if turn % 2 == 0 {
                Phone::P1002
            } else {
                Phone::P1001
            };
            talk = stage
                .measured_move(talk, new, &number, Measure::NativeGap, Measure::NativeTime)
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
            "the switch's own intercept took {} ms",
            gap.max
        );
    }
    // The far end's own mark: nobody is left behind with a call.
    let since = stage.site.now();
    stage
        .site
        .wait_hears(Phone::Out1, Sound::NoPackets, since, Duration::from_secs(2))
}

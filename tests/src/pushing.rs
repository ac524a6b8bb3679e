//! The words of pushes: the code, the number, what the far end hears meanwhile, and how it ends.
//!
//! Owns the checks that every push has in common: the beep, the sounds, no dead air, no digit at the far end, and nobody
//! left over.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    cast::Phone,
    live::ear::told,
    report::Measure,
    site::{Call, CallState, Digits, Moment, Sound},
    stage::{SOON, Stage, Talk},
};

/// No hole in what the far end hears during a push is longer.
pub const DEAD_AIR: Duration = Duration::from_millis(150);

/// A push that has begun: the two are apart.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    /// Who talked, and will talk again if nothing comes of it.
    pub talk: Talk,
    /// The end of the code's last digit.
    pub since: Moment,
    /// How the pusher dials.
    pub how: Digits,
}

/// What the far end may hear while it waits: the default hold sound is noise too low for any ear.
const WAITING: [Sound; 3] = [Sound::Silence, Sound::Ringback, Sound::NoPackets];

impl Stage<'_> {
    /// Waits until the switch says that the code works in this call.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn armed(&mut self, call: Call) -> Result<()> {
        let until = Instant::now() + SOON;
        loop {
            // A call that has just begun may not be in the switch's list of channels yet.
            let armed = self.site.is_armed(call);
            if matches!(armed, Ok(true)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{} is not armed: {armed:?}",
                call.phone
            );
            // Nobody hears that a code would work.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `*9`: the pusher hears the beep, the far end does not hear the pusher any more. A phone that answers at once is armed
    /// some time later, and no finger is as fast as these phones.
    ///
    /// # Errors
    /// When no beep comes.
    pub fn push_begins(&mut self, talk: Talk, how: Digits) -> Result<Push> {
        self.armed(talk.near)?;
        let since = self.site.send_digits(talk.near, "*9", how)?;
        let near = talk.near.phone;
        self.site
            .wait_hears(near, Sound::Beep, since, SOON)
            .with_context(|| format!("*9 by {how:?}"))?;
        if self.site.kind().has_packets() && how == Digits::Rtp {
            let heard = self.site.heard(near, since);
            let beep = heard
                .iter()
                .find(|span| span.sound == Sound::Beep)
                .context("the beep was heard a moment ago")?;
            self.note_time(Measure::Beep, beep.from.since(since));
        }
        Ok(Push { talk, since, how })
    }

    /// `*9`, the beep, `number` and `#`. When the `#` was dialled.
    ///
    /// # Errors
    /// When no beep comes.
    pub fn push_to(&mut self, talk: Talk, number: &str, how: Digits) -> Result<(Push, Moment)> {
        let push = self.push_begins(talk, how)?;
        let dialled = self
            .site
            .send_digits(talk.near, &format!("{number}#"), how)?;
        Ok((push, dialled))
    }

    /// The same, and this phone rings while the far end hears the ringing tone.
    ///
    /// # Errors
    /// When it does not ring.
    pub fn push_rings(
        &mut self,
        talk: Talk,
        number: &str,
        target: Phone,
        how: Digits,
    ) -> Result<(Push, Call)> {
        let (push, _) = self.push_to(talk, number, how)?;
        let call = self
            .rings(target, push.since)
            .with_context(|| format!("pushed to {number}"))?;
        self.site
            .wait_hears(talk.far.phone, Sound::Ringback, push.since, SOON)?;
        Ok((push, call))
    }

    /// The target answers: it talks to the far end, the pusher is released, and the far end has heard no dead air.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn push_answered(&mut self, push: Push, target: Call) -> Result<Talk> {
        let (far, new) = (push.talk.far.phone, target.phone);
        let answered = self.site.now();
        self.site.answer(target)?;
        self.site
            .wait_hears(far, Sound::Voice(new), answered, SOON)
            .context("the target has answered")?;
        self.site
            .wait_hears(new, Sound::Voice(far), answered, SOON)
            .context("the target has answered")?;
        let released = self.ended(push.talk.near).context("the pusher")?;
        ensure!(
            released.was_answered,
            "the pusher's call was never answered"
        );
        self.waited_well(
            push,
            &[Sound::Voice(push.talk.near.phone), Sound::Voice(new)],
        )?;
        if self.site.kind().has_packets() {
            let both = self
                .first(far, Sound::Voice(new), answered)?
                .max(self.first(new, Sound::Voice(far), answered)?);
            self.ledger.note(Measure::PushAnswer, both);
            let gap = self.gap_before(far, Sound::Voice(new), push.since)?;
            self.ledger.note(Measure::PushGap, gap);
        }
        Ok(Talk {
            far: push.talk.far,
            near: target,
        })
    }

    /// A whole push: `target` rings and answers.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn pushed(&mut self, talk: Talk, number: &str, target: Phone, how: Digits) -> Result<Talk> {
        let (push, call) = self.push_rings(talk, number, target, how)?;
        self.push_answered(push, call)
    }

    /// The two talk again, since `decision`, and the pusher has heard the refusal if there was one to hear.
    ///
    /// # Errors
    /// When they don't, or the far end has heard dead air.
    pub fn given_back(&mut self, push: Push, decision: Moment, refused: bool) -> Result<()> {
        let Talk { far, near } = push.talk;
        self.site
            .wait_hears(far.phone, Sound::Voice(near.phone), decision, SOON)
            .context("the call is given back")?;
        self.site
            .wait_hears(near.phone, Sound::Voice(far.phone), decision, SOON)
            .context("the call is given back")?;
        let heard = self.site.heard(near.phone, push.since);
        ensure!(
            refused == heard.iter().any(|span| span.sound == Sound::Refusal),
            "the pusher heard {}",
            told(&heard, push.since)
        );
        self.waited_well(push, &[Sound::Voice(near.phone)])?;
        if self.site.kind().has_packets() && !refused {
            let both = self
                .first(far.phone, Sound::Voice(near.phone), decision)?
                .max(self.first(near.phone, Sound::Voice(far.phone), decision)?);
            self.ledger.note(Measure::GivenBack, both);
        }
        Ok(())
    }

    /// `*`: the two talk again.
    ///
    /// # Errors
    /// When they don't.
    pub fn cancelled(&mut self, push: Push) -> Result<()> {
        let decision = self.site.send_digits(push.talk.near, "*", push.how)?;
        self.given_back(push, decision, false)
    }

    /// What the far end heard since the code: these and what is heard by who waits, no hole longer than
    /// [`DEAD_AIR`], and not one digit.
    ///
    /// # Errors
    /// When it heard anything else.
    pub fn waited_well(&mut self, push: Push, voices: &[Sound]) -> Result<()> {
        let far = push.talk.far.phone;
        let allowed = [&WAITING[..], voices].concat();
        self.only_heard(far, push.since, &allowed)?;
        let digits = self.site.digits_got(far, push.since);
        ensure!(digits.is_empty(), "the far end got the digits {digits:?}");
        if self.site.kind().has_packets() {
            // The pusher's phone sends no sound while it sends a digit, and neither does the far end's line then: that
            // hole is the phone's own, and over with the code.
            let hole = self.longest_hole(far, push.since);
            self.note_time(Measure::Hole, hole);
            let heard = self.site.heard(far, push.since);
            let digit = match push.how {
                Digits::Rtp => Duration::ZERO,
                Digits::Info => self.site.kind().differs().info_digit,
            };
            ensure!(
                hole <= DEAD_AIR + digit,
                "dead air of {hole:?} at the far end: {}",
                told(&heard, push.since)
            );
        }
        Ok(())
    }

    /// The longest time without a packet between the first one and now.
    pub fn longest_hole(&mut self, phone: Phone, since: Moment) -> Duration {
        let heard = self.site.heard(phone, since);
        let holes = heard
            .iter()
            .filter(|span| span.sound == Sound::NoPackets)
            .map(|span| span.to.since(span.from) + Duration::from_millis(20));
        let now = self.site.now();
        let tail = heard.last().map(|span| now.since(span.to));
        holes.chain(tail).max().unwrap_or_default()
    }

    /// Nobody has a call any more, and the switch no channel.
    ///
    /// # Errors
    /// When something is left.
    pub fn nothing_left(&mut self) -> Result<()> {
        let until = Instant::now() + SOON;
        loop {
            let left = self.site.channels()?;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < until, "ghosts: {}", left.join("; "));
            // The switch does not tell when a channel is gone without being subscribed to.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// No phone but these has a call that rings or talks.
    ///
    /// # Errors
    /// When one has.
    pub fn stops_ringing(&mut self, call: Call) -> Result<()> {
        let report = self
            .site
            .wait_state(call, &[CallState::Ended], SOON)
            .context("it should stop ringing")?;
        ensure!(!report.was_answered, "{} was answered", call.phone);
        Ok(())
    }

    fn note_time(&mut self, measure: Measure, time: Duration) {
        self.ledger.note(measure, time.as_secs_f64() * 1_000.0);
    }

    /// Milliseconds from `since` to the first packet of the sound.
    fn first(&mut self, phone: Phone, sound: Sound, since: Moment) -> Result<f64> {
        let heard = self.site.heard(phone, since);
        let first = heard
            .iter()
            .find(|span| span.sound == sound)
            .with_context(|| format!("{phone} heard {}", told(&heard, since)))?;
        Ok(first.from.since(since).as_secs_f64() * 1_000.0)
    }

    /// Milliseconds from the last packet of anything else to the first of the sound.
    ///
    /// # Errors
    /// When the sound was not heard.
    pub fn gap_before(&mut self, phone: Phone, sound: Sound, since: Moment) -> Result<f64> {
        let heard = self.site.heard(phone, since);
        let at = heard
            .iter()
            .position(|span| span.sound == sound)
            .with_context(|| format!("{phone} heard {}", told(&heard, since)))?;
        let before = heard[..at]
            .iter()
            .rev()
            .find(|span| span.sound != Sound::NoPackets)
            .with_context(|| format!("{phone} heard nothing before {sound}"))?;
        // A span ends 20 ms after its last packet was sent.
        Ok(heard[at].from.since(before.to).as_secs_f64() * 1_000.0 + 20.0)
    }
}

//! The moves that many stories are made of: two people talk, somebody pulls, somebody is refused.
//!
//! Owns the words, not the outcome: each of them says what must be true and fails with what was there instead.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cast::{EXTENSIONS, Part, Phone},
    live::ear::told,
    report::{Ledger, Measure},
    site::{Call, CallReport, CallState, Dial, HandOver, Moment, OnRing, Site, Sound},
};

/// How long anything may take that happens at once.
pub const SOON: Duration = Duration::from_secs(5);

/// Who placed the call that is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The far end called the person.
    FarCalls,
    /// The person called the far end.
    FarIsCalled,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::FarCalls, Self::FarIsCalled];
}

/// Two phones that talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Talk {
    /// The far end's call.
    pub far: Call,
    /// The person's call.
    pub near: Call,
}

/// A site and what was measured on it.
pub struct Stage<'a> {
    /// Where the story is played.
    pub site: &'a mut dyn Site,
    /// What is measured on the way.
    pub ledger: &'a mut Ledger,
}

impl Stage<'_> {
    /// Dials with nothing special.
    ///
    /// # Errors
    /// When the phone refuses.
    pub fn dial(&mut self, phone: Phone, number: &str) -> Result<Call> {
        self.site.dial(phone, number, Dial::default())
    }

    /// Waits until the call is answered.
    ///
    /// # Errors
    /// When it is not.
    pub fn talking(&mut self, call: Call) -> Result<CallReport> {
        self.site.wait_state(call, &[CallState::Talking], SOON)
    }

    /// Waits until the call is over.
    ///
    /// # Errors
    /// When it is not.
    pub fn ended(&mut self, call: Call) -> Result<CallReport> {
        self.site.wait_state(call, &[CallState::Ended], SOON)
    }

    /// Waits until a call that came after `since` rings at the phone.
    ///
    /// # Errors
    /// When none does.
    pub fn rings(&mut self, phone: Phone, since: Moment) -> Result<Call> {
        Ok(self
            .site
            .wait_call(phone, since, &[CallState::Incoming], SOON)?
            .call)
    }

    /// All these phones ring and wait.
    ///
    /// # Errors
    /// When a phone is gone.
    pub fn let_ring(&mut self, phones: &[Phone]) -> Result<()> {
        phones
            .iter()
            .try_for_each(|phone| self.site.on_ring(*phone, OnRing::Ring))
    }

    /// Both hear each other, steadily, from now on.
    ///
    /// # Errors
    /// When one does not.
    pub fn two_way(&mut self, one: Phone, other: Phone) -> Result<()> {
        let since = self.site.now();
        self.site
            .wait_hears(one, Sound::Voice(other), since, SOON)?;
        self.site.wait_hears(other, Sound::Voice(one), since, SOON)
    }

    /// Exactly one of these talks to the far end, and the others are gone.
    ///
    /// # Errors
    /// When that does not come.
    pub fn one_left(&mut self, far: Phone, calls: &[Call]) -> Result<Call> {
        let until = Instant::now() + SOON;
        while Instant::now() < until {
            for call in calls {
                let since = self.site.now();
                let voice = Sound::Voice(call.phone);
                let step = Duration::from_millis(150);
                if self.site.wait_hears(far, voice, since, step).is_ok() {
                    self.two_way(far, call.phone)?;
                    for other in calls.iter().filter(|other| *other != call) {
                        self.ended(*other).context("more than one is left")?;
                    }
                    return Ok(*call);
                }
            }
        }
        let second_ago = Moment(self.site.now().0 - 1.0);
        let heard = told(&self.site.heard(far, second_ago), second_ago);
        bail!("the far end has nobody, and heard {heard}")
    }

    /// The far end calls `number`, `near` answers, the others of the extension only ring.
    ///
    /// # Errors
    /// When they do not get to talk.
    pub fn inbound(&mut self, far: Phone, number: &str, near: Phone) -> Result<Talk> {
        let others: Vec<Phone> = Phone::ALL
            .into_iter()
            .filter(|phone| *phone != near && !phone.is_outside())
            .collect();
        self.let_ring(&others)?;
        self.site.on_ring(near, OnRing::Answer)?;
        let since = self.site.now();
        let far_call = self.dial(far, number)?;
        self.talking(far_call)
            .with_context(|| format!("{far} calls {number}"))?;
        let near_call = self
            .site
            .wait_call(near, since, &[CallState::Talking], SOON)?
            .call;
        self.two_way(far, near)?;
        Ok(Talk {
            far: far_call,
            near: near_call,
        })
    }

    /// The person calls the far end, which answers.
    ///
    /// # Errors
    /// When they do not get to talk.
    pub fn outbound(&mut self, near: Phone, number: &str, far: Phone) -> Result<Talk> {
        self.site.on_ring(far, OnRing::Answer)?;
        let since = self.site.now();
        let near_call = self.dial(near, number)?;
        self.talking(near_call)
            .with_context(|| format!("{near} calls {number}"))?;
        let far_call = self
            .site
            .wait_call(far, since, &[CallState::Talking], SOON)?
            .call;
        self.two_way(far, near)?;
        Ok(Talk {
            far: far_call,
            near: near_call,
        })
    }

    /// `near`, a device of 1000@lab.test, and the outside phone `Out1` talk.
    ///
    /// # Errors
    /// When they do not get to.
    pub fn talk(&mut self, direction: Direction, near: Phone) -> Result<Talk> {
        match direction {
            Direction::FarCalls => {
                // 1900 is the same call without Callhop.
                let number = if self.site.has_controller() {
                    "1000"
                } else {
                    "1900"
                };
                self.inbound(Phone::Out1, number, near)
            }
            Direction::FarIsCalled => self.outbound(near, "01555", Phone::Out1),
        }
    }

    /// `new` dials `number` and gets the far end of `talk`; what the far end hears meanwhile is checked, packet by packet
    /// on the real site.
    ///
    /// # Errors
    /// When the call does not move, or the far end hears anything but the two voices.
    pub fn moves(&mut self, talk: Talk, new: Phone, number: &str) -> Result<(Talk, HandOver)> {
        let (far, old) = (talk.far.phone, talk.near.phone);
        let since = self.site.now();
        let call = self.dial(new, number)?;
        self.talking(call)
            .with_context(|| format!("{new} dials {number}"))?;
        self.site.wait_hears(far, Sound::Voice(new), since, SOON)?;
        self.site.wait_hears(new, Sound::Voice(far), since, SOON)?;
        self.ended(talk.near).context("the old leg")?;
        // Whoever hears a tone, music or silence in place of a voice notices the move; a gap is what cannot be helped.
        let gap = Sound::NoPackets;
        self.only_heard(
            far,
            since,
            &[Sound::Voice(old), Sound::Voice(new), gap, self.step()],
        )?;
        self.only_heard(new, since, &[Sound::Voice(far), gap, self.step()])?;
        let hand_over = self
            .site
            .hand_over(far, old, new, since)
            .context("no packet of the old voice before the new one")?;
        ensure!(
            hand_over.between.is_empty(),
            "between the voices {far} heard {:?}",
            hand_over.between
        );
        let differs = self.site.kind().differs();
        if differs.one_stream {
            ensure!(hand_over.same_stream, "the far end's RTP stream changed");
            ensure!(
                hand_over.sequence_step == 1,
                "RTP sequence numbers jump by {}",
                hand_over.sequence_step
            );
        }
        if hand_over.same_stream && differs.one_clock {
            let expected = hand_over.gap_ms * 8.0;
            let step = f64::from(hand_over.timestamp_step);
            ensure!(
                (step - expected).abs() <= 400.0,
                "the RTP timestamp steps by {step}, and the gap is {expected} samples"
            );
        }
        Ok((
            Talk {
                far: talk.far,
                near: call,
            },
            hand_over,
        ))
    }

    /// What stands for the step between two bridges: the fake has no packets that could be missing.
    #[must_use]
    pub fn step(&self) -> Sound {
        if self.site.kind().has_packets() {
            Sound::NoPackets
        } else {
            Sound::Silence
        }
    }

    /// Like [`Stage::moves`], and takes down the gap and the time that it took.
    ///
    /// # Errors
    /// As there.
    pub fn measured_move(
        &mut self,
        talk: Talk,
        new: Phone,
        number: &str,
        gap: Measure,
        time: Measure,
    ) -> Result<Talk> {
        let since = self.site.now();
        let (talk, hand_over) = self.moves(talk, new, number)?;
        if self.site.kind().has_packets() {
            let sent = self
                .site
                .invite_sent(new, number, since)
                .context("no INVITE was seen on the wire")?;
            self.ledger.note(gap, hand_over.gap_ms);
            self.ledger
                .note(time, hand_over.at.since(sent).as_secs_f64() * 1_000.0);
        }
        Ok(talk)
    }

    /// The caller `far` rings elsewhere; `phone` dials `number` and gets the call. Takes down how long that took.
    ///
    /// # Errors
    /// When the two do not get to talk.
    pub fn measured_pickup(
        &mut self,
        phone: Phone,
        number: &str,
        far: Phone,
        time: Measure,
    ) -> Result<Call> {
        let since = self.site.now();
        let call = self.dial(phone, number)?;
        self.talking(call)?;
        self.site
            .wait_hears(far, Sound::Voice(phone), since, SOON)?;
        self.two_way(far, phone)?;
        if self.site.kind().has_packets() {
            let sent = self
                .site
                .invite_sent(phone, number, since)
                .context("no INVITE was seen on the wire")?;
            let heard = self.site.heard(far, since);
            let voice = heard
                .iter()
                .find(|span| span.sound == Sound::Voice(phone))
                .context("it was heard a moment ago")?;
            let took = voice.from.since(sent);
            self.ledger.note(time, took.as_secs_f64() * 1_000.0);
        }
        Ok(call)
    }

    /// Waits until the phone has got these digits, and no other ones.
    ///
    /// # Errors
    /// When it has not.
    pub fn got(
        &mut self,
        phone: Phone,
        since: Moment,
        digits: &str,
        within: Duration,
    ) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let got = self.site.digits_got(phone, since);
            if got == digits {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{phone} got the digits {got:?}, and should have got {digits:?}"
            );
            // A site has no wait for digits: these few stories would be the only ones that need it.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `new` dials what the switch's own feature needs and gets the far end, while the controller stands still: nothing of
    /// it can help or harm. It is up to date again when this returns.
    ///
    /// # Errors
    /// As [`Stage::measured_move`].
    pub fn native_move(&mut self, talk: Talk, new: Phone) -> Result<Talk> {
        let has_controller = self.site.has_controller();
        let number = self.site.native_pull(talk.far)?;
        if has_controller && self.site.kind().has_packets() {
            self.armed(talk.near)?;
            self.site.controller().freeze(true)?;
        }
        let moved = self.measured_move(talk, new, &number, Measure::NativeGap, Measure::NativeTime);
        if self.site.controller().is_frozen() {
            self.site.controller().freeze(false)?;
            // It arms the new leg late, which the far end can hear: that is no part of what is measured next.
            if let Ok(talk) = &moved {
                self.armed(talk.near)?;
                self.two_way(talk.far.phone, talk.near.phone)?;
            }
        }
        moved
    }

    /// `phone` dials `number` and is refused: it hears the refusal and is never answered.
    ///
    /// # Errors
    /// When anything else happens.
    pub fn refused(&mut self, phone: Phone, number: &str) -> Result<CallReport> {
        self.refused_with(phone, number, &[])
    }

    /// The same with headers of one's own.
    ///
    /// # Errors
    /// As there.
    pub fn refused_with(
        &mut self,
        phone: Phone,
        number: &str,
        headers: &[(&str, &str)],
    ) -> Result<CallReport> {
        let since = self.site.now();
        let call = self.site.dial(phone, number, Dial { headers })?;
        self.site
            .wait_hears(phone, Sound::Refusal, since, SOON)
            .with_context(|| format!("{phone} dials {number}"))?;
        let report = self.ended(call)?;
        ensure!(
            !report.was_answered,
            "{phone} dialled {number}, was refused, and yet answered"
        );
        ensure!(
            report.code >= 400,
            "{phone} dialled {number} and got {}",
            report.code
        );
        Ok(report)
    }

    /// `phone` dials `number` and hears the confirmation, and nothing of the refusal.
    ///
    /// # Errors
    /// When anything else happens.
    pub fn confirmed(&mut self, phone: Phone, number: &str) -> Result<()> {
        let since = self.site.now();
        let call = self.dial(phone, number)?;
        self.site
            .wait_hears(phone, Sound::Beep, since, SOON)
            .with_context(|| format!("{phone} dials {number}"))?;
        self.ended(call)?;
        let heard = self.site.heard(phone, since);
        ensure!(
            heard.iter().all(|span| span.sound != Sound::Refusal),
            "{phone} was refused after the beep"
        );
        Ok(())
    }

    /// Registers or unregisters a phone, and waits until the controller, which has to be there, knows of that and of every
    /// other phone with its number.
    ///
    /// # Errors
    /// When that does not happen soon.
    pub fn register(&mut self, phone: Phone, registered: bool) -> Result<()> {
        self.site.register(phone, registered)?;
        let mut there = 0;
        for it in Phone::ALL {
            let has_number = it.device() == phone.device();
            there += u64::from(has_number && self.site.is_registered(it)?);
        }
        let until = Instant::now() + SOON;
        loop {
            let known = self.contacts_known(phone)?;
            if known == there {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{phone}, registered: {registered}: {there} phones have its number, and the controller knows of {known}"
            );
            // A question to the controller.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many phones with the number of this one the controller knows to be registered.
    fn contacts_known(&mut self, phone: Phone) -> Result<u64> {
        let Part { user, domain, .. } = phone.part();
        let device = phone.device();
        let owner = EXTENSIONS.iter().find(|(extension, devices)| {
            extension.ends_with(&format!("@{domain}")) && devices.contains(&user)
        });
        let (extension, _) = owner.with_context(|| format!("{device} is nobody's device"))?;
        let path = format!("/v1/extensions/{extension}/devices");
        let (_, text) = self.site.controller().get(&path)?;
        let found: serde_json::Value = serde_json::from_str(&text)?;
        let devices = found["devices"].as_array();
        let known = devices.and_then(|all| all.iter().find(|it| it["device"] == device.as_str()));
        let known = known.and_then(|it| it["switches"][0]["registered"].as_u64());
        known.with_context(|| format!("the contacts of {device} in {found}"))
    }

    /// `caller` dials `number`: exactly these phones ring. The call is given up then.
    ///
    /// # Errors
    /// When another one rings, or one of them does not.
    pub fn rings_exactly(
        &mut self,
        caller: Phone,
        number: &str,
        phones: &[Phone],
        within: Duration,
    ) -> Result<()> {
        self.let_ring(&Phone::ALL)?;
        let since = self.site.now();
        let call = self.dial(caller, number)?;
        for phone in phones {
            self.site
                .wait_call(*phone, since, &[CallState::Incoming], within)
                .with_context(|| format!("{caller} calls {number}"))?;
        }
        // The caller's ringing tone says that every fork has been sent.
        self.site.wait_state(call, &[CallState::Early], within)?;
        self.site.hang_up(call)?;
        self.ended(call)?;
        for phone in Phone::ALL {
            let count = self.site.calls_since(phone, since).len();
            let wanted = usize::from(phones.contains(&phone)) + usize::from(phone == caller);
            ensure!(
                count == wanted,
                "{caller} called {number}: {phone} had {count} calls, and should have had {wanted}"
            );
        }
        Ok(())
    }

    /// The far end has its call still, and hears `near` as before.
    ///
    /// # Errors
    /// When not.
    pub fn untouched(&mut self, talk: Talk) -> Result<()> {
        for call in [talk.far, talk.near] {
            let report = self.talking(call)?;
            ensure!(
                report.state == CallState::Talking,
                "{}'s call is {:?}",
                call.phone,
                report.state
            );
        }
        self.two_way(talk.far.phone, talk.near.phone)
    }

    /// Ends the call at the far end, and waits until it is over at both.
    ///
    /// # Errors
    /// When it does not end.
    pub fn over(&mut self, talk: Talk) -> Result<()> {
        self.site.hang_up(talk.far)?;
        self.ended(talk.far)?;
        self.ended(talk.near)?;
        Ok(())
    }

    /// Runs the controller's command line, which must go well.
    ///
    /// # Errors
    /// When it does not.
    pub fn cli(&mut self, args: &[&str]) -> Result<String> {
        self.site.controller().cli(args)?.ok()
    }

    /// The switch crashes, the controller notices if it runs, and the switch comes back.
    ///
    /// # Errors
    /// When it does not come back, or the controller goes on to say that it is ready.
    pub fn restart_switch(&mut self) -> Result<()> {
        self.site.switch(false)?;
        self.site.controller().wait_not_ready(SOON)?;
        self.site.switch(true)
    }

    /// The phone has heard nothing but this since then.
    ///
    /// # Errors
    /// When it has heard anything else.
    pub fn only_heard(&mut self, phone: Phone, since: Moment, allowed: &[Sound]) -> Result<()> {
        let heard = self.site.heard(phone, since);
        let other = heard.iter().find(|span| !allowed.contains(&span.sound));
        ensure!(other.is_none(), "{phone} heard {}", told(&heard, since));
        Ok(())
    }
}

//! The digits of a leg, each told once.
//!
//! Owns what has to be remembered between the events of digits. Asterisk tells of a digit whenever it takes it off the channel's
//! queue (`__ast_read`, main/channel.c). One that came by SIP INFO, or was too short on the wire, is played for some time; one that
//! ends meanwhile is put back, and told again when it is its turn.

use std::collections::VecDeque;
use std::time::Duration;

/// The shortest digit that Asterisk gives to whatever reads the channel (main/channel.c, AST_MIN_DTMF_DURATION).
const SHORTEST_DIGIT: Duration = Duration::from_millis(80);

/// How long a digit lasts that came without a duration (main/channel.c, AST_DEFAULT_EMULATE_DTMF_DURATION).
const DEFAULT_DIGIT: Duration = Duration::from_millis(100);

/// After so long a digit that was put back has been read again.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// The digits of a leg.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// When the digit began that has not ended yet.
    began: Option<Duration>,
    /// Until when the last digit is played.
    pub(super) plays_until: Duration,
    /// Those that were told and may have been put back, and when.
    put_back: VecDeque<(char, Duration)>,
}

impl Keys {
    pub(super) fn begins(&mut self, now: Duration) {
        self.began = Some(now);
    }

    /// A digit ends; whether it is one that was not told before.
    pub(super) fn ends(&mut self, digit: char, lasts: Duration, now: Duration) -> bool {
        let began = self.began.take();
        self.put_back.retain(|(_, at)| now < *at + READ_AGAIN);
        let told = self.put_back.iter().position(|(d, _)| *d == digit);
        if let (None, Some(told)) = (began, told) {
            self.put_back.remove(told);
            self.plays_until = now + played(lasts);
            return false;
        }
        // Whether one with a beginning is put back can't be seen from here; told again it has none, which no other of its phone
        // ever has.
        if began.is_some() || now < self.plays_until {
            self.put_back.push_back((digit, now));
        }
        if now >= self.plays_until {
            self.plays_until = match began {
                // As long as it lasted, unless that was too short.
                Some(began) => began + SHORTEST_DIGIT,
                None => now + played(lasts),
            };
        }
        true
    }
}

/// How long a digit is played that came without a beginning.
fn played(lasts: Duration) -> Duration {
    if lasts.is_zero() {
        DEFAULT_DIGIT
    } else {
        lasts.max(SHORTEST_DIGIT)
    }
}

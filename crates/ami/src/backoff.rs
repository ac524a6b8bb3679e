//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Doubling delays with a ceiling. Pure: the randomness comes in as an argument.
///
/// The n-th delay lies between half and the whole of `min(base * 2^n, max)`, so that several controllers which lost the
/// same switch don't come back in the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Starts at `base` and never exceeds `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            attempts: 0,
        }
    }

    /// The delay before the next attempt. `jitter` is a random number from 0 to 1 (what lies outside is clamped; not a
    /// number counts as 0).
    pub fn next_delay(&mut self, jitter: f64) -> Duration {
        let doubled = 2u32
            .checked_pow(self.attempts)
            .and_then(|factor| self.base.checked_mul(factor))
            .unwrap_or(self.max);
        self.attempts = self.attempts.saturating_add(1);
        let whole = doubled.min(self.max);
        let jitter = if jitter.is_nan() {
            0.0
        } else {
            jitter.clamp(0.0, 1.0)
        };
        whole / 2 + (whole / 2).mul_f64(jitter)
    }

    /// Attempts since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// To be called once a link is up.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_ceiling_and_starts_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1_000));
        let full: Vec<_> = (0..6).map(|_| backoff.next_delay(1.0)).collect();
        assert_eq!(
            full,
            [ms(100), ms(200), ms(400), ms(800), ms(1_000), ms(1_000)]
        );
        assert_eq!(backoff.attempts(), 6);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), ms(50));
        assert_eq!(backoff.next_delay(f64::NAN), ms(100));
        assert_eq!(backoff.next_delay(-7.0), ms(200));
        for _ in 0..100 {
            assert!(backoff.next_delay(7.0) <= ms(1_000));
        }
    }
}

//! When a message is tried again.

use std::time::Duration;

use callhop_calls::id::UnixTime;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// At most.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The next attempt after one more than `failures` before: twice as long each time, and by `random` (0 to 1) a fifth more or less,
/// so that not all come at once to a receiver that is back. At least a second later.
pub(super) fn next(failures: u32, now: UnixTime, random: f64) -> UnixTime {
    let doubled = FIRST.as_secs_f64() * 2_f64.powi(i32::try_from(failures.min(32)).unwrap_or(32));
    let delay = doubled.min(LONGEST.as_secs_f64()) * (0.8 + 0.4 * random);
    UnixTime(now.0 + (delay.round() as i64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_as_long_up_to_a_quarter_of_an_hour() {
        let delays = |random| {
            let delay = |failures| next(failures, UnixTime(1000), random).0 - 1000;
            [0, 1, 2, 3, 9, 10, 11, u32::MAX].map(delay)
        };
        assert_eq!(delays(0.5), [1, 2, 4, 8, 512, 900, 900, 900]);
        assert_eq!(delays(0.0), [1, 2, 3, 6, 410, 720, 720, 720]);
        assert_eq!(delays(1.0), [1, 2, 5, 10, 614, 1080, 1080, 1080]);
    }
}

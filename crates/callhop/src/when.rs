//! Times as people write and read them.

use callhop_calls::id::UnixTime;
use jiff::{SignedDuration, Timestamp};

/// The time that a text means: a time with its offset (RFC 3339), or how long from `now`.
pub(crate) fn until(text: &str, now: UnixTime) -> Result<UnixTime, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UnixTime(time.as_second()));
    }
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.as_secs() > 0 => now
            .0
            .checked_add(duration.as_secs())
            .map(UnixTime)
            .ok_or_else(|| format!("{text:?} is too long")),
        Ok(_) => Err(format!("{text:?} is over before it begins")),
        Err(_) => Err(format!(
            "{text:?} is neither a time such as 2026-12-24T18:00:00+01:00 nor a duration such as 8h or 90m"
        )),
    }
}

/// A time for people, in UTC (RFC 3339).
pub(crate) fn text(time: UnixTime) -> String {
    Timestamp::from_second(time.0).map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: Result<i64, &str>) {
        let found = until(input, UnixTime(1_000_000));
        assert_eq!(
            found.as_ref().map(|t| t.0).map_err(String::as_str),
            expect,
            "{input}"
        );
    }

    #[test]
    fn times_and_durations() {
        check("1970-01-12T14:00:00Z", Ok(1_000_800));
        check("1970-01-12T15:00:00+01:00", Ok(1_000_800));
        check("90m", Ok(1_005_400));
        check("1h 30m", Ok(1_005_400));
        check("8 hours", Ok(1_028_800));
        check("-8h", Err("\"-8h\" is over before it begins"));
        for nonsense in ["", "tomorrow", "18:00", "1970-01-12", "8"] {
            assert!(until(nonsense, UnixTime(0)).is_err(), "{nonsense}");
        }
        assert_eq!(text(UnixTime(1_000_800)), "1970-01-12T14:00:00Z");
    }
}

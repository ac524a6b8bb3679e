//! How each switch is heard: whether its state is fresh, since when, and how late its events are.
//!
//! Owns what is shown of a link. Refuses to decide by it: the core is told of a lost link by the driver itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use callhop_calls::id::{SwitchName, UnixTime};

/// What is shown as the lag is the largest of this time, and of as much before it: a switch is looked at every few seconds, and
/// the one late event between two looks is what matters.
const WINDOW: Duration = Duration::from_secs(10);

/// What is known of the link to one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// Since when its state is fresh, or stale.
    pub(super) since: UnixTime,
    /// When its last event came; `None` before the first one.
    pub(super) last_event: Option<UnixTime>,
    /// The largest lag of late.
    pub(super) lag: Option<Duration>,
}

#[derive(Debug)]
struct Link {
    fresh: bool,
    since: UnixTime,
    last_event: Option<UnixTime>,
    /// When the present window began, and the largest lag in it and in the one before.
    window: Option<(Instant, Duration)>,
    before: Option<Duration>,
}

impl Link {
    fn new(now: UnixTime) -> Self {
        Self {
            fresh: false,
            since: now,
            last_event: None,
            window: None,
            before: None,
        }
    }

    fn late(&mut self, lag: Duration, now: Instant) {
        match &mut self.window {
            Some((began, worst)) if now.saturating_duration_since(*began) < WINDOW => {
                *worst = lag.max(*worst);
            }
            window => {
                self.before = window.map(|(_, worst)| worst);
                *window = Some((now, lag));
            }
        }
    }
}

/// The links to all switches.
#[derive(Debug, Default)]
pub struct Links(Mutex<HashMap<SwitchName, Link>>);

impl Links {
    fn all(&self) -> MutexGuard<'_, HashMap<SwitchName, Link>> {
        // Nothing that is done under the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event has come, and how late it was, if that is known.
    pub(super) fn heard(
        &self,
        switch: &SwitchName,
        lag: Option<Duration>,
        now: UnixTime,
        mono: Instant,
    ) {
        let mut all = self.all();
        if let Some(link) = all.get_mut(switch) {
            link.last_event = Some(now);
            if let Some(lag) = lag {
                link.late(lag, mono);
            }
        }
    }

    /// The state of the switch is fresh now, or stale. Whether that is the loss of a link that was there.
    pub(super) fn turned(&self, switch: &SwitchName, fresh: bool, now: UnixTime) -> bool {
        let mut all = self.all();
        let link = all.entry(switch.clone()).or_insert_with(|| Link::new(now));
        if link.fresh == fresh {
            return false;
        }
        *link = Link {
            fresh,
            last_event: link.last_event,
            ..Link::new(now)
        };
        !fresh
    }

    /// What is known of the link; `None` before it was first tried.
    pub(super) fn of(&self, switch: &SwitchName) -> Option<Heard> {
        self.all().get(switch).map(|link| Heard {
            since: link.since,
            last_event: link.last_event,
            lag: link.window.map(|(_, worst)| worst).max(link.before),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_largest_lag_of_late_is_shown() {
        let (links, began) = (Links::default(), Instant::now());
        let switch: SwitchName = "fs1".parse().unwrap();
        assert_eq!(links.of(&switch), None);
        assert!(
            !links.turned(&switch, true, UnixTime(1)),
            "it was never there"
        );
        let heard = |lag: u64, after: u64| {
            let at = began + Duration::from_secs(after);
            links.heard(&switch, Some(ms(lag)), UnixTime(100), at);
            links.of(&switch).unwrap().lag.unwrap()
        };
        assert_eq!(heard(3, 0), ms(3));
        assert_eq!(heard(80, 1), ms(80));
        assert_eq!(heard(2, 9), ms(80));
        assert_eq!(heard(4, 11), ms(80), "of the window before");
        assert_eq!(heard(2, 22), ms(4), "and no longer");
    }

    #[test]
    fn a_switch_is_fresh_or_stale_since_that_changed() {
        let links = Links::default();
        let switch: SwitchName = "fs1".parse().unwrap();
        assert!(!links.turned(&switch, false, UnixTime(10)), "not there yet");
        assert!(!links.turned(&switch, false, UnixTime(20)));
        assert_eq!(links.of(&switch).unwrap().since, UnixTime(10));
        assert!(!links.turned(&switch, true, UnixTime(30)));
        links.heard(&switch, Some(ms(5)), UnixTime(35), Instant::now());
        assert!(links.turned(&switch, false, UnixTime(40)), "lost");
        let heard = links.of(&switch).unwrap();
        let lag = None;
        let last_event = Some(UnixTime(35));
        let since = UnixTime(40);
        assert_eq!(
            heard,
            Heard {
                since,
                last_event,
                lag
            }
        );
    }
}

//! What the tests with recorded traces have in common.

use std::collections::BTreeSet;

use callhop_calls::id::ChannelId;
use callhop_calls::tracker::{Bond, Tracker};

/// Who talks to, holds, or rings for whom, in the words of the numbers.
pub(crate) fn calls(tracker: &Tracker) -> String {
    let name = |id: &ChannelId| match tracker.leg(id).and_then(|leg| leg.device.clone()) {
        Some(device) => device.number.to_string(),
        None => "?".to_owned(),
    };
    let mut lines = BTreeSet::new();
    for (id, leg) in tracker.legs() {
        lines.insert(match &leg.bond {
            Bond::Alone => format!("{} alone", name(id)),
            Bond::RingsFor(originator) => format!("{} rings for {}", name(id), name(originator)),
            Bond::TalksTo(peer) => {
                let held = tracker.leg(peer).is_some_and(|peer| peer.holds);
                match (leg.holds, held) {
                    (true, _) => format!("{} holds {}", name(id), name(peer)),
                    (false, true) => continue,
                    (false, false) => {
                        let mut both = [name(id), name(peer)];
                        both.sort();
                        both.join(" - ")
                    }
                }
            }
        });
    }
    lines.into_iter().collect::<Vec<_>>().join(", ")
}

//! What a run has measured and how its stories ended.

use std::{collections::BTreeMap, fmt::Write};

use crate::{differences::Reach, site::Kind};

/// A time that stories take down, always in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The far end's last packet of the old voice to its first of the new one, on a pull.
    PullGap,
    /// The same by the switch's own nearest feature, to a channel that is known.
    NativeGap,
    /// The same by the switch's own command that joins two channels.
    CommandGap,
    /// INVITE of the star code to the far end's first packet of the new voice.
    PullTime,
    /// INVITE of the number of the switch's own feature to the same.
    NativeTime,
    /// INVITE of the star code to the caller's first packet of the new voice, when a ringing call is pulled.
    RingingTime,
    /// The same by the switch's own feature, to a channel that is known.
    NativeRingingTime,
    /// INVITE of an inbound call to the INVITE of the first phone, by way of Callhop.
    Hunt,
    /// The same by a static line of the dialplan to the same phones.
    Static,
    /// Push: the last packet of the ringing tone to the far end's first one of the target.
    PushGap,
    /// The same when the switch does it alone: it calls a phone, whose leg takes the far end, which hears a tone.
    NativePushGap,
    /// Push: the end of the code's last digit to the beep.
    Beep,
    /// Push: the target's answer to both hearing each other.
    PushAnswer,
    /// Push: the end of the `*` to the first two hearing each other again.
    GivenBack,
    /// Push: the longest time without a packet at the far end, from the code to the end.
    Hole,
}

impl Measure {
    /// What has no peer: a name, and what is to be reached, ms; 0 where that is not said.
    const ALONE: [(&'static str, Self, f64); 4] = [
        ("push: code to beep", Self::Beep, 150.0),
        ("push: answer to both", Self::PushAnswer, 0.0),
        ("push: cancel to both", Self::GivenBack, 150.0),
        ("push: longest hole", Self::Hole, 150.0),
    ];
    /// Ours and the switch's own: a name, which of [`crate::differences::Differences::native`] it is, and what is to be
    /// reached.
    fn pairs(kind: Kind) -> [(&'static str, Self, Self, usize, Reach); 6] {
        let differs = kind.differs();
        [
            (
                "gap at the far end",
                Self::PullGap,
                Self::NativeGap,
                0,
                differs.pull_gap,
            ),
            (
                "gap, joined by a command",
                Self::PullGap,
                Self::CommandGap,
                4,
                differs.pull_gap,
            ),
            (
                "star code to bridge",
                Self::PullTime,
                Self::NativeTime,
                0,
                differs.pull_time,
            ),
            (
                "ringing: code to bridge",
                Self::RingingTime,
                Self::NativeRingingTime,
                1,
                differs.pull_time,
            ),
            (
                "push: gap at the answer",
                Self::PushGap,
                Self::NativePushGap,
                2,
                differs.push_gap,
            ),
            (
                "inbound call to ringing",
                Self::Hunt,
                Self::Static,
                3,
                Reach::Added(2.0),
            ),
        ]
    }
}

/// All that was measured in a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    values: BTreeMap<Measure, Vec<f64>>,
}

impl Ledger {
    /// Takes down a value, ms.
    pub fn note(&mut self, measure: Measure, ms: f64) {
        self.values.entry(measure).or_default().push(ms);
    }

    /// Median, smallest, largest and 99th percentile, ms, and how many there are.
    #[must_use]
    pub fn summary(&self, measure: Measure) -> Option<Summary> {
        let mut values = self.values.get(&measure)?.clone();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 0 {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Some(Summary {
            count: values.len(),
            median,
            min: values[0],
            max: at(1.0),
            p99: at(0.99),
        })
    }

    /// The table that ends a run: ours beside the switch's own, and what is to be reached.
    #[must_use]
    pub fn table(&self, kind: Kind) -> String {
        let mut text = String::new();
        for (name, ours, native, which, reach) in Measure::pairs(kind) {
            let pair = (self.summary(ours), self.summary(native));
            let native = format!("{kind} alone: {}", kind.differs().native[which]);
            let rows = [("Callhop", pair.0), (&native, pair.1)];
            let rows: Vec<_> = rows
                .into_iter()
                .filter_map(|(who, row)| Some((who, row?)))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(
                text,
                "{:<38} {:>5} {:>7} {:>7} {:>7} {:>7}",
                format!("{name}, ms"),
                "n",
                "median",
                "min",
                "max",
                "p99"
            );
            for (who, it) in rows {
                let _ = writeln!(
                    text,
                    "  {who:<36} {:>5} {:>7.1} {:>7.1} {:>7.1} {:>7.1}",
                    it.count, it.median, it.min, it.max, it.p99
                );
            }
            let (Some(ours), Some(native)) = pair else {
                continue;
            };
            let ratio = ours.median / native.median;
            let added = ours.median - native.median;
            let _ = match reach {
                Reach::Ratio(most) => {
                    writeln!(text, "  ratio of the medians {ratio:.3} (to reach: {most})")
                }
                Reach::Most(most) => writeln!(
                    text,
                    "  ratio of the medians {ratio:.3}, median {:.1} (to reach: {most})",
                    ours.median
                ),
                Reach::Added(most) => {
                    writeln!(text, "  added, median {added:.1} (to reach: {most})")
                }
            };
        }
        for (name, measure, reach) in Measure::ALONE {
            let Some(it) = self.summary(measure) else {
                continue;
            };
            let reach = if reach > 0.0 {
                format!(" (to reach: {reach})")
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{:<38} {:>5} {:>7.1} {:>7.1} {:>7.1} {:>7.1}{reach}",
                format!("{name}, ms"),
                it.count,
                it.median,
                it.min,
                it.max,
                it.p99
            );
        }
        text
    }
}

/// A measure in five numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// The middle one, ms.
    pub median: f64,
    /// The smallest, ms.
    pub min: f64,
    /// The largest, ms.
    pub max: f64,
    /// 99 of 100 are not larger, ms.
    pub p99: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_the_middle_ones() {
        let mut ledger = Ledger::default();
        [4.0, 1.0, 3.0, 2.0]
            .into_iter()
            .for_each(|ms| ledger.note(Measure::PullGap, ms));
        let summary = ledger.summary(Measure::PullGap).expect("there are values");
        assert_eq!(
            (summary.count, summary.median, summary.min, summary.max),
            (4, 2.5, 1.0, 4.0)
        );
        assert_eq!(ledger.summary(Measure::Hunt), None);
    }
}

//! What is counted, for `/metrics`.

use callhop_calls::core::{MoveEnd, MoveReport};
use callhop_calls::id::SwitchName;
use callhop_calls::journal::Kind;
use callhop_calls::tracker::Corrections;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MoveLabels {
    kind: &'static str,
    class: String,
    result: &'static str,
    cause: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SwitchLabel {
    switch: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CorrectionLabels {
    switch: String,
    kind: &'static str,
}

/// All metrics of the program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    moves: Family<MoveLabels, Counter>,
    move_seconds: Histogram,
    after_restart: Family<ResultLabel, Counter>,
    refusals: Family<CauseLabel, Counter>,
    hunts: Family<ResultLabel, Counter>,
    events: Family<SwitchLabel, Counter>,
    links: Family<SwitchLabel, Gauge>,
    reconciles: Family<SwitchLabel, Counter>,
    corrections: Family<CorrectionLabels, Counter>,
    store_errors: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a native `intercept` (some 70 ms) up to a far end that rings for a minute.
        let buckets = [
            0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
        ];
        let mut metrics = Self {
            registry: Registry::with_prefix("callhop"),
            moves: Family::default(),
            move_seconds: Histogram::new(buckets),
            after_restart: Family::default(),
            refusals: Family::default(),
            hunts: Family::default(),
            events: Family::default(),
            links: Family::default(),
            reconciles: Family::default(),
            corrections: Family::default(),
            store_errors: Counter::default(),
        };
        let r = &mut metrics.registry;
        r.register(
            "moves",
            "Moves that have ended, by kind, class of the call, result and cause",
            metrics.moves.clone(),
        );
        r.register_with_unit(
            "move",
            "Pulls: from the star code to the bridge of new leg and far end",
            Unit::Seconds,
            metrics.move_seconds.clone(),
        );
        r.register(
            "moves_after_restart",
            "Moves of an earlier run that were finished, undone or closed, by result",
            metrics.after_restart.clone(),
        );
        r.register(
            "refusals",
            "Star codes that were refused, by cause",
            metrics.refusals.clone(),
        );
        r.register(
            "hunts",
            "Inbound calls that asked where to ring, by result",
            metrics.hunts.clone(),
        );
        r.register(
            "events",
            "Events about legs that a switch has sent",
            metrics.events.clone(),
        );
        r.register(
            "switch_fresh",
            "Whether the state of the switch is fresh (1) or stale (0)",
            metrics.links.clone(),
        );
        r.register(
            "reconciles",
            "Comparisons of the tracker with the switch",
            metrics.reconciles.clone(),
        );
        r.register(
            "corrections",
            "Differences that a comparison found and corrected",
            metrics.corrections.clone(),
        );
        r.register(
            "store_errors",
            "Operations of the database that failed",
            metrics.store_errors.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// The metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn moved(&self, report: &MoveReport) {
        let labels = MoveLabels {
            kind: report.kind.word(),
            class: report.class.as_ref().map(word).unwrap_or_default(),
            result: report.end.outcome().word(),
            cause: report.end.cause().unwrap_or_default().to_owned(),
        };
        self.moves.get_or_create(&labels).inc();
        match report.took {
            // A push takes as long as the person dials and the target rings.
            Some(took) if report.end == MoveEnd::Moved && report.kind == Kind::Pull => {
                self.move_seconds.observe(took.as_secs_f64());
            }
            Some(_) => {}
            None => {
                self.after_restart
                    .get_or_create(&ResultLabel {
                        result: report.end.outcome().word(),
                    })
                    .inc();
            }
        }
    }

    pub(crate) fn refused(&self, cause: &'static str) {
        self.refusals.get_or_create(&CauseLabel { cause }).inc();
    }

    pub(crate) fn hunt(&self, known: bool) {
        let result = if known {
            "answered"
        } else {
            "unknown_extension"
        };
        self.hunts.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn hunt_failed(&self) {
        self.hunts
            .get_or_create(&ResultLabel { result: "failed" })
            .inc();
    }

    pub(crate) fn event(&self, switch: &SwitchName) {
        self.events.get_or_create(&label(switch)).inc();
    }

    pub(crate) fn link(&self, switch: &SwitchName, fresh: bool) {
        self.links
            .get_or_create(&label(switch))
            .set(i64::from(fresh));
    }

    pub(crate) fn reconciled(&self, switch: &SwitchName) {
        self.reconciles.get_or_create(&label(switch)).inc();
    }

    pub(crate) fn corrected(&self, switch: &SwitchName, corrections: Corrections) {
        let Corrections {
            missing,
            ghosts,
            peers,
        } = corrections;
        for (kind, count) in [("missing", missing), ("ghost", ghosts), ("peer", peers)] {
            let labels = CorrectionLabels {
                switch: switch.to_string(),
                kind,
            };
            self.corrections.get_or_create(&labels).inc_by(count);
        }
    }

    pub(crate) fn store_error(&self) {
        self.store_errors.inc();
    }
}

fn label(switch: &SwitchName) -> SwitchLabel {
    SwitchLabel {
        switch: switch.to_string(),
    }
}

/// The word under which serde writes a value without fields.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::from("unknown"),
    }
}

//! What is counted, for `/metrics`.
//!
//! Owns every metric: its name, what it counts, and its buckets. Refuses to be a second account of calls: what is under way is
//! looked up in the core when somebody asks ([`Metrics::seen`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use callhop_calls::core::{MoveEnd, MoveReport};
use callhop_calls::id::SwitchName;
use callhop_calls::journal::Outcome;
use callhop_calls::tracker::Corrections;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::links::Links;
use super::unix_now;
use crate::switch::HuntSource;

/// From a native `intercept` (some 70 ms) up to a target that rings for a minute.
const MOVE_BUCKETS: [f64; 11] = [
    0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// In packets of 20 ms: a native `intercept` costs two or three.
const GAP_BUCKETS: [f64; 9] = [0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0];

/// The switch looks every 20 ms whether it has events to send; a link that is seconds behind is about to be cut.
const LAG_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

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
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabels {
    switch: String,
    source: &'static str,
}

/// A histogram for each set of labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CorrectionLabels {
    switch: String,
    kind: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WebhookLabel {
    webhook: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WebhookLabels {
    webhook: String,
    result: &'static str,
}

/// All metrics of the program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    moves: Family<MoveLabels, Counter>,
    move_seconds: Histograms<KindLabel>,
    gap: Histograms<SwitchLabel>,
    open_moves: Family<SwitchLabel, Gauge>,
    legs: Family<SwitchLabel, Gauge>,
    after_restart: Family<ResultLabel, Counter>,
    refusals: Family<CauseLabel, Counter>,
    hunts: Family<ResultLabel, Counter>,
    sources: Family<SourceLabels, Counter>,
    events: Family<SwitchLabel, Counter>,
    lag: Histograms<SwitchLabel>,
    fresh: Family<SwitchLabel, Gauge>,
    losses: Family<SwitchLabel, Counter>,
    links: Arc<Links>,
    reconciles: Family<SwitchLabel, Counter>,
    corrections: Family<CorrectionLabels, Counter>,
    store_errors: Counter,
    backlog: Gauge,
    webhooks: Family<WebhookLabels, Counter>,
    webhook_backlog: Family<WebhookLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("callhop"),
            moves: Family::default(),
            move_seconds: Family::new_with_constructor(|| Histogram::new(MOVE_BUCKETS)),
            gap: Family::new_with_constructor(|| Histogram::new(GAP_BUCKETS)),
            open_moves: Family::default(),
            legs: Family::default(),
            after_restart: Family::default(),
            refusals: Family::default(),
            hunts: Family::default(),
            sources: Family::default(),
            events: Family::default(),
            lag: Family::new_with_constructor(|| Histogram::new(LAG_BUCKETS)),
            fresh: Family::default(),
            losses: Family::default(),
            links: Arc::default(),
            reconciles: Family::default(),
            corrections: Family::default(),
            store_errors: Counter::default(),
            backlog: Gauge::default(),
            webhooks: Family::default(),
            webhook_backlog: Family::default(),
        };
        let r = &mut metrics.registry;
        r.register(
            "webhook_deliveries",
            "Messages to webhooks, by result: delivered, failed (and tried again), dropped",
            metrics.webhooks.clone(),
        );
        r.register(
            "webhook_backlog",
            "Messages that wait for a webhook",
            metrics.webhook_backlog.clone(),
        );
        r.register(
            "moves",
            "Moves that have ended, by kind, class of the call, result and cause",
            metrics.moves.clone(),
        );
        r.register_with_unit(
            "move",
            "From the star code to the bridge of new leg and far end, of moves that came to it; that of a push has in it how long \
             the person dialled and the target rang",
            Unit::Seconds,
            metrics.move_seconds.clone(),
        );
        r.register_with_unit(
            "far_end_gap",
            "Pulls of calls that talked: how long the far leg was in no bridge, by the times of the switch's events (FreeSWITCH: its \
             own, in steps of up to 20 ms; Asterisk: when they came). About as long the far end hears nothing: packets on their \
             way, and those that the switch drops after the new bridge, are not in it",
            Unit::Seconds,
            metrics.gap.clone(),
        );
        r.register(
            "open_moves",
            "Moves that are under way",
            metrics.open_moves.clone(),
        );
        r.register("legs", "Legs that the switch has", metrics.legs.clone());
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
            "Inbound calls that asked where to ring and reached the controller, by result",
            metrics.hunts.clone(),
        );
        r.register(
            "hunt_sources",
            "Inbound calls that asked where to ring, by what their dialplan rang by: controller, snapshot or default. Counted \
             at the end of the call, so also when the controller was away while it asked; not counted when it was away at \
             the end",
            metrics.sources.clone(),
        );
        r.register_with_unit(
            "event_lag",
            "FreeSWITCH: from when the switch made an event to when it was read, by the clocks of both machines. Asterisk: from \
             asking for an event to reading it, every few seconds",
            Unit::Seconds,
            metrics.lag.clone(),
        );
        r.register(
            "events",
            "Events about legs that a switch has sent",
            metrics.events.clone(),
        );
        r.register(
            "switch_fresh",
            "Whether the state of the switch is fresh (1) or stale (0)",
            metrics.fresh.clone(),
        );
        r.register(
            "link_losses",
            "How often a switch whose state was fresh was lost",
            metrics.losses.clone(),
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
        r.register(
            "journal_backlog",
            "Entries of the journal of moves that are not in the database yet",
            metrics.backlog.clone(),
        );
        r.register(
            "build",
            "The version of the program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        // A counter that begins with its first event hides that one: what is not there has no increase.
        for outcome in [
            Outcome::Moved,
            Outcome::NotMoved,
            Outcome::Recalled,
            Outcome::FarEndGone,
        ] {
            let result = outcome.word();
            drop(metrics.after_restart.get_or_create(&ResultLabel { result }));
        }
        for result in ["answered", "unknown_extension", "failed"] {
            drop(metrics.hunts.get_or_create(&ResultLabel { result }));
        }
        metrics
    }
}

impl Metrics {
    /// So many messages to a webhook came to this.
    pub(crate) fn webhook_sent(&self, webhook: &str, result: &'static str, count: u64) {
        let webhook = webhook.to_owned();
        let labels = WebhookLabels { webhook, result };
        self.webhooks.get_or_create(&labels).inc_by(count);
    }

    /// So many messages wait for a webhook.
    pub(crate) fn webhook_backlog(&self, webhook: &str, count: u64) {
        let webhook = webhook.to_owned();
        let backlog = self
            .webhook_backlog
            .get_or_create(&WebhookLabel { webhook });
        backlog.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

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
            Some(took) if report.end == MoveEnd::Moved => {
                let kind = report.kind.word();
                let seconds = self.move_seconds.get_or_create(&KindLabel { kind });
                seconds.observe(took.as_secs_f64());
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
        if let Some(gap) = report.gap {
            let gaps = self.gap.get_or_create(&label(&report.switch));
            gaps.observe(gap.as_secs_f64());
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

    /// A call that had asked where to ring is over; what its dialplan says it rang by.
    pub(crate) fn hunt_source(&self, switch: &SwitchName, source: HuntSource) {
        let (switch, source) = (switch.to_string(), source.word());
        let labels = SourceLabels { switch, source };
        self.sources.get_or_create(&labels).inc();
    }

    pub(crate) fn event(&self, switch: &SwitchName) {
        self.events.get_or_create(&label(switch)).inc();
    }

    /// Something has come over the event link, and how late it was, if that is known.
    pub(crate) fn heard(&self, switch: &SwitchName, lag: Option<Duration>) {
        if let Some(lag) = lag {
            let lags = self.lag.get_or_create(&label(switch));
            lags.observe(lag.as_secs_f64());
        }
        self.links.heard(switch, lag, unix_now(), Instant::now());
    }

    pub(crate) fn link(&self, switch: &SwitchName, fresh: bool) {
        self.fresh
            .get_or_create(&label(switch))
            .set(i64::from(fresh));
        drop(self.reconciles.get_or_create(&label(switch)));
        self.corrected(switch, Corrections::default());
        let losses = self.losses.get_or_create(&label(switch));
        if self.links.turned(switch, fresh, unix_now()) {
            losses.inc();
        }
    }

    /// How the switches are heard.
    pub(crate) fn links(&self) -> Arc<Links> {
        self.links.clone()
    }

    /// What a switch has now.
    pub(crate) fn seen(&self, switch: &SwitchName, legs: usize, moves: usize) {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.legs.get_or_create(&label(switch)).set(count(legs));
        self.open_moves
            .get_or_create(&label(switch))
            .set(count(moves));
    }

    pub(crate) fn backlog(&self, entries: usize) {
        self.backlog.set(i64::try_from(entries).unwrap_or(i64::MAX));
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

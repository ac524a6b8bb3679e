//! What is logged and counted of a pull and a push, on a running controller: one span for each move, no number in a log that
//! shall show none, and the metrics that the dashboard reads.
//!
//! A process has one subscriber, so this file has one story.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use callhop::config::{Log, LogFormat, LogNumbers};
use callhop::telemetry;
use callhop_fakeswitch::{Action, Config, Digits, Extension, Pattern, PhoneView};
use serde_json::Value;
use site::{SOON, Site};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Numbers that do not come by chance.
const NUMBERS: [&str; 6] = [
    "7000550",
    "7000551",
    "7000552",
    "8000660",
    "8000661",
    "4930900777",
];

#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Fields = BTreeMap<String, String>;

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// A span of a move, and what was logged in it.
#[derive(Debug, Clone, Default)]
struct Seen {
    id: u64,
    fields: Fields,
    messages: Vec<String>,
    closed: bool,
}

#[derive(Debug, Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl Spans {
    fn with(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap();
        if let Some(seen) = all.iter_mut().rfind(|seen| seen.id == id.into_u64()) {
            change(seen);
        }
    }

    /// The spans of moves of a kind.
    fn of(&self, kind: &str) -> Vec<Seen> {
        let all = self.0.lock().unwrap().clone();
        let is_it = |seen: &Seen| seen.fields["kind"] == format!("{kind:?}");
        all.into_iter().filter(is_it).collect()
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Spans {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if span.metadata().name() == "move" {
            let mut seen = Seen {
                id: id.into_u64(),
                ..Seen::default()
            };
            span.record(&mut Into(&mut seen.fields));
            self.0.lock().unwrap().push(seen);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.with(id, |seen| values.record(&mut Into(&mut seen.fields)));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        let mut said = fields.get("message").cloned().unwrap_or_default();
        if let Some(order) = fields.get("order") {
            said += &format!(": {}", order.trim_matches('"'));
        }
        for span in context.event_scope(event).into_iter().flatten() {
            self.with(&span.id(), |seen| seen.messages.push(said.clone()));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        // An id is used again: from here on it is that of another span.
        self.with(&id, |seen| {
            seen.closed = true;
            seen.id = 0;
        });
    }
}

fn log(format: LogFormat, numbers: LogNumbers) -> Log {
    Log {
        format,
        level: "debug".to_owned(),
        numbers,
    }
}

/// A call is pulled, a pull is refused, and the call is pushed on.
async fn story(site: &Site) {
    let desk = site.fake.register("7000551@lab.test").await.unwrap();
    let mobile = site.fake.register("7000552@lab.test").await.unwrap();
    let colleague = site.fake.register("8000661@lab.test").await.unwrap();
    let customer = site.fake.outside("4930900777").await.unwrap();
    let rings = |view: &PhoneView| view.ringing().count() == 1;
    // The route of the extension has to be known to the switch before it is called.
    site.until("/v1/extensions/7000550@lab.test/devices", |answer| {
        let registered = |n: usize| &answer.body["devices"][n]["switches"][0]["registered"];
        registered(0) == 1 && registered(1) == 1
    })
    .await;
    customer.dial("7000550").await.unwrap();
    desk.wait_until(rings, SOON).await.unwrap();
    desk.answer().await.unwrap();
    desk.wait_until(|phone| phone.talks_to("4930900777"), SOON)
        .await
        .unwrap();

    colleague.dial("*337000551").await.unwrap();
    colleague
        .wait_until(|phone| phone.ended.len() == 1, SOON)
        .await
        .unwrap();

    mobile.dial("*33").await.unwrap();
    mobile
        .wait_until(|phone| phone.talks_to("4930900777"), SOON)
        .await
        .unwrap();
    site.until("/v1/moves", |answer| {
        answer.body["moves"][0]["outcome"] == "moved"
    })
    .await;

    let channel = mobile.view().await.unwrap().calls[0].channel.clone();
    mobile
        .send_digits(&channel, "*9", Digits::Rtp)
        .await
        .unwrap();
    site.until("/v1/moves", |answer| {
        answer.body["moves"][0]["stage"] == "collecting"
    })
    .await;
    mobile
        .send_digits(&channel, "8000661#", Digits::Rtp)
        .await
        .unwrap();
    colleague.wait_until(rings, SOON).await.unwrap();
    colleague.answer().await.unwrap();
    colleague
        .wait_until(|phone| phone.talks_to("4930900777"), SOON)
        .await
        .unwrap();
    site.until("/v1/moves", |answer| {
        answer.body["moves"][0]["kind"] == "push" && answer.body["moves"][0]["outcome"] == "moved"
    })
    .await;
    customer.hangup().await.unwrap();
    site.until("/metrics", |answer| {
        answer
            .text
            .contains("callhop_hunt_sources_total{switch=\"lab\",source=\"controller\"} 1\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_and_a_push_are_told_once_each_and_without_numbers_where_that_is_wanted() {
    let (spans, plain, plain_text) = (Spans::default(), Lines::default(), Lines::default());
    // Of the two for text there is one: two layers of one kind share what they write of a span.
    let logs = [
        (LogFormat::Text, LogNumbers::Hidden),
        (LogFormat::Json, LogNumbers::Last3),
        (LogFormat::Json, LogNumbers::Hidden),
    ];
    let logs = logs.map(|(format, numbers)| (format, numbers, Lines::default()));
    let to = |format, numbers, lines: &Lines| {
        let lines = lines.clone();
        telemetry::layer(&log(format, numbers), move || lines.clone())
    };
    let mut layers = vec![
        to(LogFormat::Json, LogNumbers::Full, &plain),
        to(LogFormat::Text, LogNumbers::Full, &plain_text),
    ];
    layers.extend(
        logs.iter()
            .map(|(format, numbers, lines)| to(*format, *numbers, lines)),
    );
    layers.push(spans.clone().boxed());
    tracing_subscriber::registry().with(layers).init();

    let mut switch = Config::default();
    let inbound = Action::Inbound("user/7000551@lab.test".to_owned());
    let number = Pattern::Number("7000550".to_owned());
    switch
        .dialplan
        .insert(0, Extension::new("lab.test", number, inbound));
    let site = Site::start_on(switch).await;
    let add = |line: &str| {
        let line: Vec<_> = line.split(' ').collect();
        site.cli(&line)
    };
    add("extension add 7000550@lab.test --device 7000551 --device 7000552");
    add("extension add 8000660@lab.test --device 8000661");
    story(&site).await;

    let (pulls, pushes) = (spans.of("pull"), spans.of("push"));
    let ([pull], [push]) = (pulls.as_slice(), pushes.as_slice()) else {
        panic!("one span each: {pulls:#?} {pushes:#?}");
    };
    for (seen, from, to) in [
        (pull, "7000551@lab.test", "7000552@lab.test"),
        (push, "7000552@lab.test", "8000661"),
    ] {
        assert!(seen.closed, "{seen:#?}");
        let field = |name: &str| seen.fields[name].trim_matches('"').to_owned();
        assert_eq!(field("extension"), "7000550@lab.test");
        assert_eq!(
            (field("from"), field("to")),
            (from.to_owned(), to.to_owned())
        );
        assert_eq!(
            (field("switch"), field("outcome")),
            ("lab".to_owned(), "moved".to_owned())
        );
        assert_eq!(field("id").len(), 36);
    }
    let said = [
        "a move begins",
        "the new leg is told to take the far end",
        "moved",
    ];
    assert_eq!(pull.messages, said);
    for what in [
        "a move begins",
        "carried out: split",
        "a move comes further",
        "carried out: ring",
        "moved",
    ] {
        assert!(
            push.messages.iter().any(|said| said == what),
            "{what}: {push:#?}"
        );
    }

    // Full lines name everybody; that shows that there was something to hide.
    for text in [plain.text(), plain_text.text()] {
        for number in NUMBERS {
            // The far end's number is no business of the log.
            assert_eq!(
                text.contains(number),
                number != "4930900777" && number != "8000660",
                "{number}"
            );
        }
    }
    let moved: Vec<Value> = plain
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["message"] == "moved")
        .collect();
    assert_eq!(moved.len(), 2);
    assert_eq!(moved[0]["span"]["kind"], "pull");
    assert_eq!(moved[0]["span"]["extension"], "7000550@lab.test");
    assert!(moved[0]["gap_ms"].is_number(), "{}", moved[0]);
    assert_eq!(moved[1]["span"]["to"], "8000661");
    assert_eq!(moved[1]["gap_ms"], Value::Null, "a push has none");

    for (format, numbers, lines) in logs {
        let text = lines.text();
        for number in NUMBERS {
            assert!(
                !text.contains(number),
                "{format:?} {numbers:?} {number}:\n{text}"
            );
        }
        let is_short = numbers == LogNumbers::Last3;
        assert_eq!(
            text.contains("…551@lab.test"),
            is_short,
            "{format:?}:\n{text}"
        );
        assert!(
            text.contains("…@lab.test") != is_short,
            "{format:?}:\n{text}"
        );
        assert!(text.contains("moved"), "the rest is there");
        let moved = text.lines().filter(|line| line.contains("took_ms")).count();
        assert!(moved >= 2, "{format:?}:\n{text}");
    }
    let metrics = site.raw("GET", "/metrics", &[], None).is(200).text;
    for line in [
        r#"callhop_moves_total{kind="pull",class="talking",result="moved",cause=""} 1"#,
        r#"callhop_moves_total{kind="push",class="",result="moved",cause=""} 1"#,
        r#"callhop_move_seconds_count{kind="pull"} 1"#,
        r#"callhop_move_seconds_count{kind="push"} 1"#,
        r#"callhop_far_end_gap_seconds_count{switch="lab"} 1"#,
        r#"callhop_refusals_total{cause="not_own_device"} 1"#,
        r#"callhop_hunts_total{result="answered"} 1"#,
        r#"callhop_switch_fresh{switch="lab"} 1"#,
        r#"callhop_link_losses_total{switch="lab"} 0"#,
        r#"callhop_open_moves{switch="lab"} 0"#,
        r#"callhop_journal_backlog 0"#,
        r#"callhop_store_errors_total 0"#,
        concat!(
            r#"callhop_build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line} is not in\n{metrics}"
        );
    }
    the_files_use_metrics_that_there_are(&metrics);

    let switches = site.get("/v1/switches").is(200).body;
    let lab = &switches["switches"][0];
    assert!(
        lab["lag_ms"].as_u64().is_some_and(|lag| lag < 5000),
        "{lab}"
    );
    assert!(
        lab["since"].is_string() && lab["last_event"].is_null(),
        "{lab}"
    );
    let moves = site.get("/v1/moves").is(200).body;
    assert!(moves["moves"][1]["gap_ms"].is_u64(), "{moves}");
}

/// The names under which Prometheus keeps what is told: each kind of metric has its endings (OpenMetrics, "Metric Types").
fn names(metrics: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in metrics.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("{other}: {line}"),
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

/// Every metric that dashboard and alert rules name.
fn the_files_use_metrics_that_there_are(metrics: &str) {
    let known = names(metrics);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut used = BTreeSet::new();
    let mut read = |expression: &str| {
        let words = expression.split(|c| !word(c));
        used.extend(
            words
                .filter(|word| word.starts_with("callhop_"))
                .map(str::to_owned),
        );
    };
    let dashboard: Value =
        serde_json::from_str(include_str!("../package/monitoring/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            read(target["expr"].as_str().unwrap());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        read(variable["definition"].as_str().unwrap_or_default());
    }
    // An expression is one line, or goes on in lines that are indented further.
    let alerts = include_str!("../package/monitoring/alerts.yml");
    let mut rules = 0;
    let mut lines = alerts.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("        expr: ") else {
            continue;
        };
        rules += 1;
        read(first);
        while let Some(more) = lines.next_if(|line| line.starts_with("          ")) {
            read(more);
        }
    }
    assert_eq!(rules, alerts.matches("- alert: ").count());
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {known:?}");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
}

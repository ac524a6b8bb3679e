//! What the program logs, and how.
//!
//! Owns the subscriber. Logs go to standard error: standard output is for what a command prints. Numbers of phones are written as
//! the configuration wants, at the one place that every line passes ([`redact`]).

mod redact;

use std::fmt::Write as _;

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Log, LogFormat, LogNumbers};

/// Starts logging. Call it once; later calls change nothing.
pub fn start(log: &Log) {
    let subscriber = tracing_subscriber::registry().with(layer(log, std::io::stderr));
    // An error means that somebody has set a subscriber before, as tests do.
    let _already = subscriber.try_init();
}

/// What writes the lines of a log to `writer`.
#[must_use]
pub fn layer<W>(log: &Log, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The configuration has checked the filter; should it have changed its mind, everything important is still logged.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let numbers = log.numbers;
    match (log.format, numbers) {
        (LogFormat::Text, LogNumbers::Full) => fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(writer)
            .with_filter(filter)
            .boxed(),
        (LogFormat::Text, LogNumbers::Last3 | LogNumbers::Hidden) => {
            // As the default writes them, but for the numbers.
            let fields = debug_fn(move |to, field, value| {
                let mut text = String::new();
                write!(text, "{value:?}")?;
                let shown = redact::shown(numbers, field.name(), &text);
                match field.name() {
                    "message" => to.write_str(&shown),
                    name => write!(to, "{name}={shown}"),
                }
            });
            fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .fmt_fields(fields.delimited(" "))
                .with_writer(writer)
                .with_filter(filter)
                .boxed()
        }
        (LogFormat::Json, LogNumbers::Full) => fmt::layer()
            .with_target(false)
            .json()
            .flatten_event(true)
            .with_writer(writer)
            .with_filter(filter)
            .boxed(),
        (LogFormat::Json, LogNumbers::Last3 | LogNumbers::Hidden) => fmt::layer()
            .with_target(false)
            .json()
            .flatten_event(true)
            .with_writer(redact::Redacting {
                inner: writer,
                numbers,
            })
            .with_filter(filter)
            .boxed(),
    }
}

//! What the program logs, and how.
//!
//! Owns the subscriber. Logs go to standard error: standard output is for what a command prints.

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Starts logging. Call it once; later calls change nothing.
pub fn start(log: &Log) {
    // The configuration has checked the filter; should it have changed its mind, everything important is still logged.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // An error means that somebody has set a subscriber before, as tests do.
    let _already = match log.format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

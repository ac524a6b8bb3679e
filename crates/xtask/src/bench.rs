//! `cargo xtask bench`: numbers, each beside what it is compared to, in one run.

#[cfg(feature = "bench")]
mod esl;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Events per second of the event socket client, beside other libraries and a reader that only counts bytes.
    Esl(EslArgs),
    /// What an event costs the core with 1,000 and with 100,000 calls, and the memory of a leg and of a device.
    Calls,
    /// What a pull takes under the load of 200 event streams and 1,000 requests a second, beside one without.
    Http,
}

/// How the event socket client is measured.
#[derive(Args)]
pub(crate) struct EslArgs {
    /// Recorded events in the plain format, gzipped.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traces/bridged-calls.plain.gz"))]
    pub(crate) trace: PathBuf,
    /// Rounds; the median of them counts.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Only those whose name contains this text.
    #[arg(long)]
    pub(crate) only: Option<String>,
}

pub(crate) fn run(what: &Bench) -> anyhow::Result<()> {
    match what {
        Bench::Esl(args) => esl(args),
        Bench::Http => cargo(&["--package", "callhop", "--example", "http_load"], &[]),
        Bench::Calls => cargo(&["--package", "callhop-calls", "--example", "growth"], &[]),
    }
}

#[cfg(feature = "bench")]
fn esl(args: &EslArgs) -> anyhow::Result<()> {
    esl::run(args)
}

/// Without the peers there is nothing to compare with, so cargo is asked again, for the build that has them.
#[cfg(not(feature = "bench"))]
fn esl(_args: &EslArgs) -> anyhow::Result<()> {
    let again: Vec<_> = std::env::args_os().skip(1).collect();
    cargo(&["--package", "xtask", "--features", "bench"], &again)
}

/// Runs a program of the workspace, built for speed, and ends as it does.
fn cargo(which: &[&str], args: &[std::ffi::OsString]) -> anyhow::Result<()> {
    let status = crate::cargo::command()
        .args(["run", "--release"])
        .args(which)
        .arg("--")
        .args(args)
        .status()
        .context("can't start cargo")?;
    std::process::exit(status.code().unwrap_or(1));
}

//! `cargo xtask bench`: numbers, each beside what it is compared to, in one run.

#[cfg(feature = "bench")]
mod esl;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Events per second of the event socket client, beside other libraries and a reader that only counts bytes.
    Esl(EslArgs),
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

#[cfg(feature = "bench")]
pub(crate) fn run(what: &Bench) -> anyhow::Result<()> {
    match what {
        Bench::Esl(args) => esl::run(args),
    }
}

/// Without the peers there is nothing to compare with, so cargo is asked again, for the build that has them.
#[cfg(not(feature = "bench"))]
pub(crate) fn run(_what: &Bench) -> anyhow::Result<()> {
    use anyhow::Context;

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args([
            "run",
            "--release",
            "--package",
            "xtask",
            "--features",
            "bench",
            "--",
        ])
        .args(std::env::args_os().skip(1))
        .status()
        .context("can't start cargo")?;
    std::process::exit(status.code().unwrap_or(1));
}

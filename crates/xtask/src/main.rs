//! Helper commands of the workspace: `cargo xtask <command>`.

mod bench;
mod cargo;
mod checks;
mod package;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Helper commands of the workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check format and lints, and run every test that needs no switch.
    Ci,
    /// Everything of `ci`, then the stories on a real Asterisk, and on a real FreeSWITCH if there is one; installs what it
    /// needs.
    Test,
    /// Play the stories on real switches with real phones, and print the gaps.
    Live {
        /// What the program `live` takes: --switch asterisk|freeswitch, --list, --bare, --load, --kills, parts of the names
        /// of stories.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the Debian package into target/debian; needs cargo-deb.
    Deb {
        /// What cargo-deb takes, such as --deb-version.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure, beside what it is to be compared to.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Ci => checks::ci(),
        Command::Test => checks::test(),
        Command::Live { arguments } => checks::live(&arguments),
        Command::Deb { arguments } => package::deb(&arguments),
        Command::Bench { what } => bench::run(&what),
    }
}

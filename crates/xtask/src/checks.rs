//! `cargo xtask ci`, `test` and `live`: what has to hold before a change is done.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, ExitStatus},
    time::Instant,
};

use anyhow::{Context, bail};

/// A program that the tests use, and the Debian package that has it.
struct Tool {
    package: &'static str,
    is_there: fn() -> bool,
}

/// For the database tests.
const DATABASE: [Tool; 1] = [Tool {
    package: "postgresql",
    is_there: || on_path("initdb") || in_postgresql_folder("initdb"),
}];

/// For the tests of the page.
const BROWSER: [Tool; 2] = [
    Tool {
        package: "chromium",
        is_there: || on_path("chromium"),
    },
    Tool {
        package: "chromium-driver",
        is_there: || on_path("chromedriver"),
    },
];

/// For schemathesis and the phones, which pip puts into `target`.
const PYTHON: [Tool; 1] = [Tool {
    package: "python3-venv",
    is_there: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
}];

/// For the stories on real switches. Asterisk is none of them: the program `live` finds it, or puts Debian's into
/// `target/asterisk`.
const LIVE: [Tool; 2] = [
    Tool {
        package: "tcpdump",
        is_there: || on_path("tcpdump"),
    },
    Tool {
        package: "sip-tester",
        is_there: || on_path("sipp"),
    },
];

/// Format, lints, and every test that needs no switch.
pub(crate) fn ci() -> anyhow::Result<()> {
    let start = Instant::now();
    install(&DATABASE)?;
    install(&BROWSER)?;
    install(&PYTHON)?;
    cargo("format", ["fmt", "--all", "--check"])?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    cargo("lints", clippy)?;
    cargo("tests", ["test", "--workspace"])?;
    println!(
        "\nformat, lints and tests passed in {} s",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// Everything: [`ci`], then the stories on real switches: Asterisk always, FreeSWITCH if there is one.
pub(crate) fn test() -> anyhow::Result<()> {
    let start = Instant::now();
    ci()?;
    play(&[], &[])?;
    println!("\nall tests passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// The stories on real switches with real phones, as fast as the program is for its users; `arguments` are those of the
/// program `live`.
pub(crate) fn live(arguments: &[String]) -> anyhow::Result<()> {
    play(&["--release"], arguments)
}

fn play(profile: &[&str], arguments: &[String]) -> anyhow::Result<()> {
    install(&PYTHON)?;
    install(&LIVE)?;
    let program = ["--quiet", "--package", "callhop-tests", "--bin", "live"];
    let arguments = std::iter::once("run")
        .chain(profile.iter().copied())
        .chain(program)
        .chain(std::iter::once("--"))
        .chain(arguments.iter().map(String::as_str));
    let status = run_cargo("stories on real switches", arguments)?;
    if status.success() {
        Ok(())
    } else {
        bail!("the stories failed ({status})")
    }
}

/// Installs the packages of the tools that are missing. Nothing is asked for when all are there.
fn install(tools: &[Tool]) -> anyhow::Result<()> {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| !(tool.is_there)())
        .map(|tool| tool.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("== installing {}", missing.join(", "));
    let is_root = output("id", ["-u"]).is_some_and(|id| id.trim() == "0");
    let apt = |arguments: &[&str]| {
        let mut command = if is_root {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        };
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--quiet", "--yes"])
            .args(arguments);
        succeeds(&mut command)
    };
    let mut wanted = vec!["install", "--no-install-recommends"];
    wanted.extend(&missing);
    // The list of packages may be missing or old, so the first try may fail for no other reason.
    if apt(&wanted) || (apt(&["update"]) && apt(&wanted)) {
        return Ok(());
    }
    bail!(
        "could not install {0}; do it by hand: apt-get install {0}",
        missing.join(" ")
    )
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).exists()))
}

/// Debian keeps the programs of PostgreSQL out of `PATH`.
fn in_postgresql_folder(program: &str) -> bool {
    fs::read_dir(Path::new("/usr/lib/postgresql")).is_ok_and(|versions| {
        versions
            .flatten()
            .any(|version| version.path().join("bin").join(program).exists())
    })
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

fn output<const N: usize>(program: &str, arguments: [&str; N]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

fn cargo<const N: usize>(what: &str, arguments: [&str; N]) -> anyhow::Result<()> {
    let status = run_cargo(what, arguments)?;
    if status.success() {
        Ok(())
    } else {
        bail!("{what}: cargo {} failed ({status})", arguments.join(" "))
    }
}

fn run_cargo<A: AsRef<OsStr>>(
    what: &str,
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<ExitStatus> {
    println!("== {what}");
    crate::cargo::command()
        .args(arguments)
        .status()
        .context("can't start cargo")
}

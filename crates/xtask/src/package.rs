//! `cargo xtask deb`: the Debian package.
//!
//! Owns what has to be made before cargo-deb packs it: the pages and completions come from the program that is packed.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};

/// Where `[package.metadata.deb]` of the program looks, from the workspace.
const MADE: &str = "target/release/package";

/// Builds the program and packs it. `arguments` are those of cargo-deb, such as `--deb-version`.
pub(crate) fn deb(arguments: &[String]) -> anyhow::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = || {
        let mut cargo = crate::cargo::command();
        cargo.current_dir(&workspace);
        cargo
    };
    let has_tool = cargo().args(["deb", "--version"]).output();
    ensure!(
        has_tool.is_ok_and(|output| output.status.success()),
        "cargo-deb is not there: cargo install cargo-deb"
    );
    run(cargo().args(["build", "--release", "--locked", "--package", "callhop"]))?;

    let made = workspace.join(MADE);
    if made.exists() {
        // Pages of commands that are no more.
        fs::remove_dir_all(&made).with_context(|| made.display().to_string())?;
    }
    fs::create_dir_all(&made).with_context(|| made.display().to_string())?;
    let program = workspace.join("target/release/callhop");
    run(Command::new(&program).arg("man").arg(made.join("man1")))?;
    let pages = fs::read_dir(made.join("man1"))?;
    let pages: Vec<_> = pages
        .map(|page| page.map(|page| page.path()))
        .collect::<Result<_, _>>()?;
    // Debian wants them compressed, and cargo-deb takes them as they are.
    run(Command::new("gzip").args(["-9", "--no-name"]).args(pages))?;
    for shell in ["bash", "fish", "zsh"] {
        let file = made.join(shell);
        let file = File::create(&file).with_context(|| file.display().to_string())?;
        run(Command::new(&program)
            .args(["completions", shell])
            .stdout(file))?;
    }
    run(cargo()
        .args(["deb", "--no-build", "--package", "callhop"])
        .args(arguments))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

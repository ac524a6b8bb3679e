//! Where the program under test comes from.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The name of the folder in the target folder in which this very program was built: `debug` or `release`.
fn profile() -> Result<(PathBuf, String)> {
    let own = env::current_exe()?;
    let mut dir = own.parent().context("a program in a folder")?;
    if dir.ends_with("deps") {
        // Where tests lie.
        dir = dir.parent().context("target/<profile>/deps")?;
    }
    let name = dir.file_name().context("target/<profile>")?;
    let target = dir.parent().context("target/<profile>")?;
    Ok((target.to_owned(), name.to_string_lossy().into_owned()))
}

/// A command whose process ends with ours, however ours ends (`prctl(PR_SET_PDEATHSIG)`, by setpriv of util-linux): a run
/// that is killed leaves no switch and no controller behind.
#[must_use]
pub fn tied(program: &Path) -> Command {
    const SETPRIV: &str = "/usr/bin/setpriv";
    if !Path::new(SETPRIV).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Cargo's target folder.
///
/// # Errors
/// When this program does not lie in one.
pub fn target() -> Result<PathBuf> {
    Ok(profile()?.0)
}

/// The controller: `CALLHOP_BIN`, or built now, in the profile in which this program was built.
///
/// # Errors
/// When it does not build; the compiler has said why.
pub fn callhop(target: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os("CALLHOP_BIN") {
        return Ok(named.into());
    }
    let (_, profile) = profile()?;
    // The cargo that runs this, or whichever there is: a toolchain's own one would not tell rustc which toolchain it is.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // It is not to see which package has started it: build scripts would run again for that (ring's does), and everything that
    // depends on them would be built again.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "callhop",
        "--bin",
        "callhop",
    ]);
    cargo.arg("--target-dir").arg(target);
    if profile == "release" {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cargo.status()?.success() {
        bail!("callhop does not build");
    }
    Ok(target.join(profile).join("callhop"))
}

//! Programs of Python that tests use, each in an environment of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Python that can import `module` of `package`, in a folder in `target`; made if it is not there.
///
/// # Errors
/// When Python has no venv module, or the package can't be had.
pub fn with(target: &Path, package: &str, module: &str) -> Result<PathBuf> {
    let venv = target.join(format!("{module}-venv"));
    let python = venv.join("bin/python");
    let works = || {
        let tried = Command::new(&python)
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    };
    if works() {
        return Ok(python);
    }
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))?;
    if !works() {
        bail!("{} still has no {module}", venv.display());
    }
    Ok(python)
}

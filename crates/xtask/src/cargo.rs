//! The cargo that this program starts.
//!
//! Owns how it is found and what it sees of the cargo that started this program: nothing about a package. The build script of
//! ring, for one, would run again whenever another package has started cargo (its `rerun-if-env-changed`), and with it
//! all that depends on it would be built again.

use std::{env, process::Command};

/// The cargo that has started this program, or whichever there is, without arguments.
pub(crate) fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

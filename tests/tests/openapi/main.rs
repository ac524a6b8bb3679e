//! The HTTP interface under hostile requests, held against its own OpenAPI document by schemathesis.
//!
//! It makes requests out of the document and breaks it in every way that it knows: an answer that the document does not name, a
//! 5xx, a change without a token fail. The controller is the real one, the switch the fake, and a call is up.

#![allow(missing_docs)] // a test has no items that anybody else could use

#[path = "../fake_freeswitch/site.rs"]
mod site;

use std::{fs, process::Command, time::Duration};

use anyhow::{Result, ensure};
use callhop_tests::{
    cast::Phone,
    program, python,
    site::{CallState, Dial, OnRing, Site as _},
};

use site::Fake;

/// How long the phones may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same requests in each run: what fails here fails again.
const SEED: &str = "20261128";

#[test]
fn every_answer_to_hostile_requests_is_documented() -> Result<()> {
    let target = program::target()?;
    let python = python::with(&target, "schemathesis", "schemathesis")?;
    let mut site = Fake::start(&program::callhop(&target)?)?;
    site.reset()?;
    let token = ["token", "add", "all", "--scope", "admin"];
    let token = site.controller().cli(&token)?.ok()?;
    let began = site.now();
    site.on_ring(Phone::P1001, OnRing::Answer)?;
    site.dial(Phone::Out1, "1000", Dial::default())?;
    site.wait_call(Phone::P1001, began, &[CallState::Talking], PATIENCE)?;

    let document = format!("http://{}/v1/openapi.json", site.controller().http());
    let folder = tempfile::tempdir()?;
    let mut run = |arguments: &[&str]| -> Result<()> {
        let ran = Command::new(python.with_file_name("schemathesis"))
            .args(["run", &document])
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .args(["--checks", "all", "--seed", SEED, "--max-examples", "25"])
            // A document can't say which extensions there are, or when it is now: what fits its words may be refused.
            .args(["--exclude-checks", "positive_data_acceptance"])
            .args(["--no-color", "--request-timeout", "10"])
            .args(arguments)
            .current_dir(folder.path())
            .output()?;
        let said = String::from_utf8_lossy(&ran.stdout);
        println!("{said}");
        ensure!(
            ran.status.success(),
            "{said}{}{}",
            String::from_utf8_lossy(&ran.stderr),
            site.controller().log_tail(20)
        );
        Ok(())
    };
    // What is asked of the extension that talks, which made-up names never meet. Not that it be removed.
    let talking = "[parameters]\n\"path.extension\" = \"1000@lab.test\"\n";
    fs::write(folder.path().join("schemathesis.toml"), talking)?;
    run(&["--include-path-regex", "[{]extension[}]/"])?;
    fs::remove_file(folder.path().join("schemathesis.toml"))?;
    // The stream never ends.
    run(&["--exclude-path", "/v1/events"])
}

//! The desk of `callhop demo`: its phones, and what the rest of the page shows of their calls.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use anyhow::{Context, Result, bail};
use callhop_tests::program::tied;
use serde_json::Value;

use crate::{
    chromium::{Browser, Driver},
    looks::looks,
    stage::{callhop, clean, is_there, live, row, shows},
};

/// Alex, whose three devices are on the desk.
const ALEX: &str = "1000@example.com";

#[derive(Debug)]
struct Demo {
    process: Child,
    /// Open until it ends.
    _said: BufReader<ChildStdout>,
    /// The page's address with the token in it.
    address: String,
}

impl Demo {
    fn start() -> Result<Self> {
        let mut process = tied(callhop()?)
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().context("its output is piped")?);
        let mut first = String::new();
        let read = said.read_line(&mut first);
        let mut words = first.split_whitespace();
        let address = words.find(|word| word.starts_with("http://"));
        let demo = Self {
            process,
            _said: said,
            address: address.unwrap_or_default().to_owned(),
        };
        read?;
        if demo.address.is_empty() {
            bail!("callhop demo does not name its address first: {first:?}");
        }
        Ok(demo)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Presses what a phone has for it, as soon as it is there.
fn press(page: &Browser, button: &str, phone: &str) -> Result<()> {
    let shown = format!("[aria-label=\"{button} on {phone}\"]");
    let selector = Value::from(shown.as_str());
    page.until(&format!(
        "document.querySelector({selector})?.checkVisibility()"
    ))?;
    page.click(&shown)
}

#[test]
fn a_call_goes_round_the_devices_on_the_desk() -> Result<()> {
    let driver = Driver::start()?;
    let demo = Demo::start()?;
    let page = driver.browser()?;
    page.open(&demo.address)?;
    live(&page)?;
    page.until("location.hash === ''")?;
    let alex = row(ALEX);
    shows(&page, &alex, "1001 registered")?;

    press(&page, "1000 call Alex", "Customer")?;
    shows(&page, &alex, "1001 ringing")?;
    shows(&page, &alex, "1003 ringing")?;
    press(&page, "Answer", "Desk phone")?;
    shows(&page, &alex, "1001 talking")?;
    shows(&page, &alex, "1002 registered")?;
    looks(&page, "desk")?;
    // A second call at the same phone: no two buttons have one name.
    press(&page, "1000 call Alex", "Robin's phone")?;
    page.until(
        "(names => names.filter(name => name.startsWith('Answer')).length === 1 \
         && names.filter(name => name.startsWith('Hang up')).length === 2 && new Set(names).size === names.length)\
         ([...document.querySelectorAll(\"[aria-labelledby='phone-1001'] button\")].filter(it => it.checkVisibility())\
         .map(it => it.getAttribute('aria-label')))",
    )?;
    press(&page, "Hang up", "Robin's phone")?;
    shows(&page, &alex, "1002 registered")?;
    press(&page, "Hold", "Desk phone")?;
    shows(&page, &alex, "1001 held")?;
    press(&page, "Resume", "Desk phone")?;
    shows(&page, &alex, "1001 talking")?;

    // On each device in turn, and back to the first.
    let round = [
        ("Mobile", "1002", "1001"),
        ("Desktop", "1003", "1002"),
        ("Desk phone", "1001", "1003"),
    ];
    for (moves, (phone, device, before)) in round.into_iter().enumerate() {
        press(&page, "*33 pull", phone)?;
        shows(&page, &alex, &format!("{device} talking"))?;
        shows(&page, &alex, &format!("{before} registered"))?;
        page.until(&format!(
            "document.querySelectorAll('#moves tbody tr').length === {}",
            moves + 1
        ))?;
        let newest = "#moves tbody tr:first-child";
        shows(&page, newest, "moved")?;
        page.until(&format!(
            "document.querySelector('{newest} [data-label=To]').textContent === '{device}'"
        ))?;
    }

    press(&page, "Hang up", "Customer")?;
    shows(&page, "#calls-none", "No calls.")?;
    shows(&page, &alex, "1001 registered")?;

    // A route by star code, and nothing at the other devices.
    press(&page, "*50 only here", "Mobile")?;
    shows(&page, &alex, "only 1002")?;
    press(&page, "1000 call Alex", "Customer")?;
    shows(&page, &alex, "1002 ringing")?;
    shows(&page, &alex, "1001 registered")?;
    press(&page, "Hang up", "Customer")?;
    shows(&page, "#calls-none", "No calls.")?;
    press(&page, "*51 all ring", "Desk phone")?;
    shows(&page, &alex, "all devices")?;
    is_there(&page, "#desk .error:not(:empty)", false)?;
    let origin = page.script("return `${location.origin}/`", Vec::new())?;
    clean(&page, origin.as_str().context("a text")?)
}

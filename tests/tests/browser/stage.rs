//! A site with a controller, its phones, and browsers that look at its page.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use callhop_tests::{
    cast::Phone,
    program,
    site::{Call, CallState, Dial, OnRing, Site as _},
};
use serde_json::Value;

use crate::{
    chromium::{Browser, Driver},
    site::Fake,
};

/// How long the phones may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The extension that most tests look at, as the page names it.
pub(crate) const OWN: &str = "1000@lab.test";

/// A colleague's.
pub(crate) const COLLEAGUE: &str = "2001@lab.test";

/// The program, built once.
pub(crate) fn callhop() -> Result<&'static Path> {
    static CALLHOP: OnceLock<PathBuf> = OnceLock::new();
    if let Some(callhop) = CALLHOP.get() {
        return Ok(callhop);
    }
    let built = program::callhop(&program::target()?)?;
    Ok(CALLHOP.get_or_init(|| built))
}

/// Everything that a test needs.
#[derive(Debug)]
pub(crate) struct Stage {
    // Dropped first: a page that sees its controller go asks for it again.
    driver: Driver,
    pub(crate) site: Fake,
}

impl Stage {
    /// A site with its phones registered and two extensions, and nobody who talks.
    pub(crate) fn new() -> Result<Self> {
        let callhop = callhop()?;
        let driver = Driver::start()?;
        let mut site = Fake::start(callhop)?;
        site.reset()?;
        Ok(Self { driver, site })
    }

    /// The address of the page.
    pub(crate) fn address(&mut self) -> String {
        format!("http://{}/", self.site.controller().http())
    }

    /// A token with one scope, as `callhop token add` prints it.
    pub(crate) fn token(&mut self, scope: &str) -> Result<String> {
        let args = ["token", "add", scope, "--scope", scope];
        let said = self.site.controller().cli(&args)?.ok()?;
        let token = said
            .split_whitespace()
            .find(|it| it.starts_with("callhop_"));
        Ok(token.context("a token in what it printed")?.to_owned())
    }

    /// A browser that has nothing open.
    pub(crate) fn browser(&self) -> Result<Browser> {
        self.driver.browser()
    }

    /// A browser with the page open and live.
    pub(crate) fn page(&mut self) -> Result<Browser> {
        let browser = self.browser()?;
        browser.open(&self.address())?;
        live(&browser)?;
        Ok(browser)
    }

    /// The same for the holder of a token.
    pub(crate) fn page_of(&mut self, token: &str) -> Result<Browser> {
        let browser = self.browser()?;
        browser.open(&format!("{}#token={token}", self.address()))?;
        live(&browser)?;
        browser.until("document.getElementById('token-text').textContent.startsWith('Token ')")?;
        Ok(browser)
    }

    /// A call from outside to the extension rings at its devices.
    pub(crate) fn ring(&mut self) -> Result<Call> {
        for phone in [Phone::P1001, Phone::P1002, Phone::P1003] {
            self.site.on_ring(phone, OnRing::Ring)?;
        }
        let began = self.site.now();
        self.site.dial(Phone::Out1, "1000", Dial::default())?;
        let ringing = self
            .site
            .wait_call(Phone::P1001, began, &[CallState::Incoming], PATIENCE)?;
        Ok(ringing.call)
    }

    /// A call from outside that 1001 has answered.
    pub(crate) fn talk(&mut self) -> Result<Call> {
        let call = self.ring()?;
        self.site.answer(call)?;
        self.site
            .wait_state(call, &[CallState::Talking], PATIENCE)?;
        Ok(call)
    }

    /// `phone` dials a star code and has what it leads to.
    pub(crate) fn dial(&mut self, phone: Phone, code: &str) -> Result<Call> {
        let call = self.site.dial(phone, code, Dial::default())?;
        let talks = self
            .site
            .wait_state(call, &[CallState::Talking], PATIENCE)?;
        Ok(talks.call)
    }
}

/// Waits until the page says that it is live.
pub(crate) fn live(browser: &Browser) -> Result<()> {
    browser.until("document.getElementById('link').classList.contains('live')")?;
    Ok(())
}

/// The selector of a row of the extensions.
pub(crate) fn row(extension: &str) -> String {
    format!("#extensions tr[data-key='{extension}']")
}

/// The selector of a button in such a row.
pub(crate) fn button(extension: &str, what: &str) -> String {
    format!("{} button[data-do='{what}']", row(extension))
}

/// Waits until the shown text of an element has these words.
pub(crate) fn shows(browser: &Browser, selector: &str, words: &str) -> Result<()> {
    let (selector, words) = (Value::from(selector), Value::from(words));
    // What is not shown has an innerText all the same.
    browser.until(&format!(
        "(found => found?.checkVisibility() && found.innerText.includes({words}))(document.querySelector({selector}))"
    ))?;
    Ok(())
}

/// Waits until there is something that a selector finds, or nothing.
pub(crate) fn is_there(browser: &Browser, selector: &str, there: bool) -> Result<()> {
    let selector = Value::from(selector);
    browser.until(&format!("!!document.querySelector({selector}) === {there}"))?;
    Ok(())
}

/// Types a token into the dialog that asks for one.
pub(crate) fn give_token(page: &Browser, token: &str) -> Result<()> {
    page.write("#token-input", token)?;
    page.click("#token-dialog .main")
}

/// Waits until a dialog is open, or no more.
pub(crate) fn is_open(browser: &Browser, id: &str, open: bool) -> Result<()> {
    browser.until(&format!("document.getElementById('{id}').open === {open}"))?;
    Ok(())
}

/// Nothing went wrong in the page, and it asked nobody but its own controller. What it was refused is told in the page,
/// and Chromium writes that into its console, too.
pub(crate) fn clean(browser: &Browser, address: &str) -> Result<()> {
    for entry in browser.log("browser")? {
        ensure!(
            entry["source"] == "network" || entry["level"] == "INFO" || entry["level"] == "DEBUG",
            "the console has {entry}"
        );
    }
    let mut asked = 0;
    for entry in browser.log("performance")? {
        let message: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default())?;
        let message = &message["message"];
        if message["method"] != "Network.requestWillBeSent" {
            continue;
        }
        let (page, url) = (
            &message["params"]["documentURL"],
            &message["params"]["request"]["url"],
        );
        let (page, url) = (
            page.as_str().unwrap_or_default(),
            url.as_str().unwrap_or_default(),
        );
        // Chromium begins with a page of its own.
        if !page.starts_with(address) {
            continue;
        }
        ensure!(
            url.starts_with(address) || url.starts_with("data:"),
            "the page asked {url}"
        );
        asked += 1;
    }
    ensure!(asked > 0, "Chromium did not log what the page asked");
    Ok(())
}

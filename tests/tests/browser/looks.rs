//! How the page looks, in each of its states: readable in light and dark, on a phone, and for those who hear it.
//!
//! `CALLHOP_SCREENSHOTS=<folder>` makes the test leave a picture of each state there, for people to look at.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use callhop_tests::{
    cast::Phone,
    site::{Dial, OnRing, Site as _},
};
use serde_json::json;

use crate::{
    chromium::Browser,
    stage::{COLLEAGUE, OWN, Stage, button, clean, is_open, row, shows},
};

/// WCAG 2.1, 1.4.3, level AA: of normal text, here of all.
const CONTRAST: f64 = 4.5;

/// What has to have a name (ARIA 1.2, "accessible name required").
const NAMED: [&str; 11] = [
    "button",
    "checkbox",
    "combobox",
    "dialog",
    "group",
    "link",
    "radio",
    "region",
    "searchbox",
    "table",
    "textbox",
];

/// A window as a scheme of colours is seen in it.
const WINDOWS: [(&str, u32, u32); 2] = [("desk", 1280, 900), ("phone", 360, 740)];

#[test]
fn every_state_is_readable() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("admin")?;
    let page = stage.page_of(&token)?;
    looks(&page, "quiet")?;

    let controller = stage.site.controller();
    controller
        .cli(&["route", "set", COLLEAGUE, "2002", "--until", "8h"])?
        .ok()?;
    stage.site.register(Phone::P1003, false)?;
    stage.talk()?;
    stage.dial(Phone::P1002, "*33")?;
    shows(&page, "#moves", "moved")?;
    shows(&page, &row(COLLEAGUE), "only 2002 until")?;
    let refused = stage.site.dial(Phone::P2001, "*33", Dial::default())?;
    stage.site.wait_state(
        refused,
        &[callhop_tests::site::CallState::Ended],
        std::time::Duration::from_secs(10),
    )?;
    stage.site.on_ring(Phone::P2001, OnRing::Ring)?;
    stage.site.dial(Phone::Out2, "2001", Dial::default())?;
    shows(&page, &row(COLLEAGUE), "ringing")?;
    looks(&page, "busy")?;

    page.click(&button(OWN, "route"))?;
    page.click("#route-dialog input[value='colleague']")?;
    page.click("#route-dialog input[value='until']")?;
    page.write("#route-colleague", "9999")?;
    page.script(
        "document.getElementById('route-until').value = '2030-01-01T10:00'",
        Vec::new(),
    )?;
    page.click("#route-dialog .main")?;
    page.until("document.getElementById('route-error').textContent")?;
    looks(&page, "route")?;
    page.click("#route-dialog [data-close]")?;

    page.click(&button(OWN, "why"))?;
    shows(&page, "#why-dialog", "A pull would take")?;
    looks(&page, "why")?;
    page.click("#why-dialog [data-close]")?;

    page.click(&button(OWN, "move"))?;
    page.click("#move-dialog input[value='number']")?;
    page.write("#move-number", "7777")?;
    page.click("#move-dialog .main")?;
    page.until("document.getElementById('move-error').textContent")?;
    looks(&page, "move")?;
    page.click("#move-dialog input[value='device 1001']")?;
    page.click("#move-dialog .main")?;
    shows(&page, "#moves", "offered")?;
    looks(&page, "offered")?;

    page.click("#token-button")?;
    page.click("#token-button")?;
    page.write("#token-input", "wrong")?;
    page.click("#token-dialog .main")?;
    page.until("document.getElementById('token-error').textContent")?;
    looks(&page, "token")?;
    page.click("#token-dialog [data-close]")?;
    is_open(&page, "token-dialog", false)?;

    stage.site.links(false)?;
    shows(&page, "#switches", "stale")?;
    // SQLite reads on whoever holds its lock, so what the stream would tell is put in here.
    page.script(
        "take({ status: { ...state.status, database: false } })",
        Vec::new(),
    )?;
    shows(&page, "#notice", "The database does not answer")?;
    looks(&page, "stale")?;

    page.open(&format!("{}guide?domain=lab.test", stage.address()))?;
    shows(&page, "#guide", "Three falling tones")?;
    looks(&page, "guide")?;
    clean(&page, &stage.address())
}

/// One state, in each window and each scheme.
pub(crate) fn looks(page: &Browser, state: &str) -> Result<()> {
    for (window, width, height) in WINDOWS {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        page.devtools("Emulation.setDeviceMetricsOverride", size)?;
        for scheme in ["light", "dark"] {
            let media =
                json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            page.devtools("Emulation.setEmulatedMedia", media)?;
            let name = format!("{state}-{window}-{scheme}");
            picture(page, &name)?;
            readable(page).context(name)?;
        }
        let beyond = page.script(include_str!("overflow.js"), Vec::new())?;
        ensure!(
            beyond == json!([]),
            "{state} in the window of a {window}: {beyond:#}"
        );
    }
    named(page).context(state.to_owned())
}

fn readable(page: &Browser) -> Result<()> {
    let found = page.script(include_str!("contrast.js"), vec![json!(CONTRAST)])?;
    ensure!(
        found["low"] == json!([]),
        "hard to read: {:#}",
        found["low"]
    );
    ensure!(
        found["looked"].as_u64() > Some(5),
        "no texts were looked at"
    );
    Ok(())
}

/// What a screen reader gets: every control, table and dialog has a name.
fn named(page: &Browser) -> Result<()> {
    let tree = page.devtools("Accessibility.getFullAXTree", json!({}))?;
    let nodes = tree["nodes"].as_array().context("the tree has nodes")?;
    let mut looked = 0;
    for node in nodes.iter().filter(|node| node["ignored"] == false) {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if !NAMED.contains(&role) {
            continue;
        }
        looked += 1;
        let name = node["name"]["value"].as_str().unwrap_or_default();
        ensure!(!name.trim().is_empty(), "a {role} has no name: {node}");
    }
    ensure!(looked > 0, "Chromium's tree has no controls");
    Ok(())
}

fn picture(page: &Browser, name: &str) -> Result<()> {
    let Some(folder) = env::var_os("CALLHOP_SCREENSHOTS").map(PathBuf::from) else {
        return Ok(());
    };
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.png")), page.picture()?)?;
    Ok(())
}

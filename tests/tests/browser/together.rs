//! Several who look at the same time, and a controller that goes away meanwhile.

use anyhow::Result;
use callhop_tests::{
    cast::Phone,
    site::{Dial, Site as _},
};

use crate::{
    controls::set_route,
    stage::{COLLEAGUE, OWN, Stage, button, clean, is_open, live, row, shows},
};

#[test]
fn two_browsers_see_each_other_and_do_not_overwrite() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("route")?;
    let (one, other) = (stage.page_of(&token)?, stage.page_of(&token)?);
    set_route(&one, OWN, "device 1002")?;
    shows(&other, &row(OWN), "only 1002")?;

    // Both have the dialog open, and one is faster.
    other.click(&button(OWN, "route"))?;
    set_route(&one, OWN, "device 1003")?;
    shows(&other, &row(OWN), "only 1003")?;
    other.click("#route-dialog input[value='device 1001']")?;
    other.click("#route-dialog .main")?;
    shows(
        &other,
        "#route-error",
        "Somebody else has changed it meanwhile",
    )?;
    shows(&one, &row(OWN), "only 1003")?;
    other.click("#route-dialog [data-close]")?;

    // Who looks again may.
    set_route(&other, OWN, "device 1001")?;
    shows(&one, &row(OWN), "only 1001")?;
    // By star code, too.
    stage.site.dial(Phone::P1002, "*51", Dial::default())?;
    shows(&one, &row(OWN), "all devices")?;
    shows(&other, &row(OWN), "all devices")?;
    let address = stage.address();
    clean(&one, &address)?;
    clean(&other, &address)
}

#[test]
fn an_open_page_comes_back_after_a_restart() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("route")?;
    let page = stage.page_of(&token)?;
    page.script("window.sameDocument = true", Vec::new())?;
    stage.talk()?;
    shows(&page, &row(OWN), "1001 talking")?;

    stage.site.controller().stop()?;
    shows(&page, "#link", "Callhop does not answer; trying again")?;
    shows(&page, "#away", "Not connected")?;
    // What is tried meanwhile is told to have failed.
    page.click(&button(OWN, "why"))?;
    shows(&page, "#why-body", "Callhop does not answer.")?;
    page.click("#why-dialog [data-close]")?;
    page.click(&button(OWN, "route"))?;
    page.click("#route-dialog input[value='device 1002']")?;
    page.click("#route-dialog .main")?;
    shows(&page, "#route-error", "Callhop does not answer.")?;
    page.click("#route-dialog [data-close]")?;

    // Things change while nobody sees them.
    let args = ["route", "set", COLLEAGUE, "2002"];
    stage.site.controller().cli(&args)?.ok()?;
    let args = ["extension", "remove", "1000@other.test"];
    stage.site.controller().cli(&args)?.ok()?;
    stage.site.register(Phone::P1003, false)?;
    stage.site.controller().start()?;
    live(&page)?;
    shows(&page, &row(COLLEAGUE), "only 2002")?;
    shows(&page, &row(OWN), "1001 talking")?;
    shows(&page, &row(OWN), "1003 not registered")?;
    shows(&page, "#extensions-count", "(2)")?;
    page.until("!document.getElementById('away').checkVisibility()")?;

    // With the token that it had.
    set_route(&page, OWN, "device 1002")?;
    shows(&page, &row(OWN), "only 1002")?;
    is_open(&page, "token-dialog", false)?;
    page.until("window.sameDocument")?;
    clean(&page, &stage.address())
}

#[test]
fn a_switch_that_is_away_is_told_to_be_stale() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    shows(&page, "#switches", "fresh")?;
    stage.site.links(false)?;
    shows(&page, "#switches", "stale")?;
    page.until("/not connected since \\d/.test(document.getElementById('switches').innerText)")?;
    shows(&page, &row(OWN), "as known last on lab")?;
    stage.site.links(true)?;
    shows(&page, "#switches", "fresh")?;
    clean(&page, &stage.address())
}

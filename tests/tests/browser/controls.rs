//! Each control of the page, as somebody with a mouse uses it.

use anyhow::{Result, ensure};
use callhop_tests::{
    cast::Phone,
    site::{CallState, OnRing, Site as _},
};

use crate::{
    chromium::Browser,
    stage::{
        COLLEAGUE, OWN, PATIENCE, Stage, button, clean, give_token, is_open, is_there, live, row,
        shows,
    },
};

/// Which keys a field for times takes depends on the language of the browser.
const TOMORROW: &str =
    "document.getElementById('route-until').value = local(new Date(Date.now() + 86400000))";

/// Opens the dialog of the extension's route, chooses, and sends it off.
pub(crate) fn set_route(page: &Browser, extension: &str, to: &str) -> Result<()> {
    page.click(&button(extension, "route"))?;
    page.click(&format!("#route-dialog input[value='{to}']"))?;
    page.click("#route-dialog .main")?;
    is_open(page, "route-dialog", false)
}

#[test]
fn a_token_is_asked_for_when_it_is_needed_and_can_be_forgotten() -> Result<()> {
    let mut stage = Stage::new()?;
    let (looker, router) = (stage.token("read")?, stage.token("route")?);
    let page = stage.page()?;
    shows(&page, "#token-text", "No token")?;

    page.click(&button(OWN, "route"))?;
    is_open(&page, "token-dialog", true)?;
    shows(
        &page,
        "#token-dialog",
        "callhop token add NAME --scope route",
    )?;
    for wrong in [
        "callhop_",
        &router.replace("callhop_", "callhop_0")[..72],
        "café",
    ] {
        give_token(&page, wrong)?;
        shows(&page, "#token-error", "token")?;
        is_open(&page, "token-dialog", true)?;
    }
    // One that may only look is known, and not enough.
    give_token(&page, &looker)?;
    shows(
        &page,
        "#token-text",
        "Token read: you can look, not change.",
    )?;
    is_open(&page, "route-dialog", false)?;

    page.click(&button(OWN, "route"))?;
    shows(&page, "#token-dialog", "which read has not")?;
    give_token(&page, &router)?;
    // And on with what it was needed for.
    is_open(&page, "route-dialog", true)?;
    page.click("#route-dialog [data-close]")?;
    shows(&page, "#token-text", "Token route: you can change routes.")?;

    // It stays while the tab is open, and nowhere else.
    page.reload()?;
    shows(&page, "#token-text", "Token route")?;
    page.click("#token-button")?;
    shows(&page, "#token-text", "No token")?;
    page.reload()?;
    shows(&page, &row(OWN), "all devices")?;
    shows(&page, "#token-text", "No token")?;
    page.click(&button(OWN, "route"))?;
    is_open(&page, "token-dialog", true)?;

    // The admin takes one away while its page is open.
    give_token(&page, &router)?;
    is_open(&page, "route-dialog", true)?;
    let args = ["token", "remove", "route"];
    stage.site.controller().cli(&args)?.ok()?;
    page.click("#route-dialog input[value='device 1002']")?;
    page.click("#route-dialog .main")?;
    shows(&page, "#route-error", "there is no such token")?;
    shows(&page, "#token-text", "No token")?;
    shows(&page, &row(OWN), "all devices")?;
    clean(&page, &stage.address())
}

#[test]
fn a_token_in_the_address_is_taken_out_of_it() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("route")?;
    let page = stage.page_of(&token)?;
    let address = page.script("return location.href", Vec::new())?;
    ensure!(
        address == stage.address().as_str(),
        "the address is {address}"
    );
    set_route(&page, OWN, "device 1002")?;
    shows(&page, &row(OWN), "only 1002")?;
    page.script("location.hash = 'token=callhop_of_yesterday'", Vec::new())?;
    shows(&page, "#token-text", "No token")?;
    page.until("location.hash === ''")?;
    clean(&page, &stage.address())
}

#[test]
fn a_route_is_set_in_each_way_and_reset() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("route")?;
    let page = stage.page_of(&token)?;
    let own = row(OWN);
    shows(&page, &own, "all devices")?;
    set_route(&page, OWN, "device 1002")?;
    shows(&page, &own, "only 1002")?;

    // The dialog shows what counts, and asks only for what belongs to it.
    page.click(&button(OWN, "route"))?;
    page.until("document.querySelector('#route-dialog input[value=\"device 1002\"]').checked")?;
    page.until("!document.getElementById('route-colleague').checkVisibility()")?;
    page.click("#route-dialog input[value='device 1003']")?;
    page.click("#route-dialog input[value='next_call']")?;
    page.click("#route-dialog .main")?;
    shows(&page, &own, "only 1003 for the next call")?;

    page.click(&button(OWN, "route"))?;
    page.click("#route-dialog input[value='colleague']")?;
    page.click("#route-dialog input[value='until']")?;
    for number in ["9999", "1000"] {
        page.write("#route-colleague", number)?;
        page.script(TOMORROW, Vec::new())?;
        page.click("#route-dialog .main")?;
        shows(&page, "#route-error", number)?;
        is_open(&page, "route-dialog", true)?;
    }
    page.write("#route-colleague", "20 01")?;
    page.click("#route-dialog .main")?;
    page.until("document.getElementById('route-colleague').validity.patternMismatch")?;
    is_open(&page, "route-dialog", true)?;
    page.write("#route-colleague", "2001")?;
    page.script(
        "document.getElementById('route-until').value = '2020-01-01T10:00'",
        Vec::new(),
    )?;
    page.click("#route-dialog .main")?;
    page.until("document.getElementById('route-until').validity.rangeUnderflow")?;
    shows(&page, &own, "only 1003")?;
    page.script(TOMORROW, Vec::new())?;
    page.click("#route-dialog .main")?;
    shows(&page, &own, "where 2001 rings until")?;

    // Cancel changes nothing.
    page.click(&button(OWN, "route"))?;
    page.click("#route-dialog input[value='all']")?;
    page.click("#route-dialog [data-close]")?;
    is_open(&page, "route-dialog", false)?;
    page.click(&button(OWN, "route"))?;
    page.until("document.querySelector('#route-dialog input[value=\"colleague\"]').checked")?;
    page.until("document.getElementById('route-colleague').value === '2001'")?;
    page.click("#route-dialog input[value='all']")?;
    page.until("!document.getElementById('route-end').checkVisibility()")?;
    page.click("#route-dialog .main")?;
    shows(&page, &own, "all devices")?;
    let history = stage
        .site
        .controller()
        .cli(&["route", "history", OWN])?
        .ok()?;
    ensure!(history.contains("route"), "the audit trail has {history}");
    clean(&page, &stage.address())
}

#[test]
fn a_call_is_moved_by_who_is_at_no_phone() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("move")?;
    let page = stage.page_of(&token)?;
    let (own, open) = (row(OWN), button(OWN, "move"));
    shows(&page, &own, "1001 registered")?;
    is_there(&page, &open, false)?;
    stage.talk()?;
    shows(&page, &own, "1001 talking")?;

    // To another own device.
    let began = stage.site.now();
    page.click(&open)?;
    shows(&page, "#move-dialog", "1001, talking")?;
    page.until("document.querySelector('#move-dialog input[value=\"device 1002\"]').checked")?;
    page.click("#move-dialog .main")?;
    is_open(&page, "move-dialog", false)?;
    shows(&page, "#calls", "pull by 1000@lab.test to 1002, offered")?;
    shows(&page, "#moves", "offered")?;
    let rings = stage
        .site
        .wait_call(Phone::P1002, began, &[CallState::Incoming], PATIENCE)?;
    shows(&page, &own, "1001 talking")?;
    stage.site.answer(rings.call)?;
    shows(&page, &own, "1002 talking")?;
    shows(&page, &own, "1001 registered")?;
    shows(&page, "#moves", "moved")?;

    // To somebody whom it must not go to.
    page.click(&open)?;
    page.click("#move-dialog input[value='number']")?;
    page.write("#move-number", "7777")?;
    page.click("#move-dialog .main")?;
    shows(&page, "#move-error", "7777")?;

    // To a colleague, and stopped before anybody has answered.
    let began = stage.site.now();
    for phone in [Phone::P2001, Phone::P2002] {
        stage.site.on_ring(phone, OnRing::Ring)?;
    }
    page.write("#move-number", "2001")?;
    page.click("#move-dialog .main")?;
    is_open(&page, "move-dialog", false)?;
    stage
        .site
        .wait_call(Phone::P2001, began, &[CallState::Incoming], PATIENCE)?;
    let stop = "#moves button[data-do='stop']";
    is_there(&page, stop, true)?;
    page.click(stop)?;
    stage
        .site
        .wait_call(Phone::P2001, began, &[CallState::Ended], PATIENCE)?;
    shows(&page, "#moves tbody tr:first-child", "not moved cancelled")?;
    shows(&page, &own, "1002 talking")?;
    is_there(&page, "#moves button", false)?;

    // And once more, for good.
    let began = stage.site.now();
    page.click(&open)?;
    page.click("#move-dialog input[value='number']")?;
    page.write("#move-number", "2001")?;
    page.click("#move-dialog .main")?;
    let rings = stage
        .site
        .wait_call(Phone::P2001, began, &[CallState::Incoming], PATIENCE)?;
    stage.site.answer(rings.call)?;
    shows(&page, &row(COLLEAGUE), "2001 talking")?;
    shows(&page, "#moves tbody tr:first-child", "push")?;
    shows(&page, "#moves tbody tr:first-child", "moved")?;
    is_there(&page, &open, false)?;
    clean(&page, &stage.address())
}

#[test]
fn the_guide_of_each_domain_is_a_page() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    shows(&page, "#guides", "Guide for lab.test")?;
    page.click("#guides a[href='/guide?domain=lab.test']")?;
    shows(&page, "#guide", "Calls between your devices: lab.test")?;
    shows(&page, "#guide", "*33")?;
    shows(&page, "#guide", "1001, 1002, 1003")?;
    // Its style comes, though none that stands in a document is taken.
    page.until("getComputedStyle(document.querySelector('dt')).fontWeight === '700'")?;
    page.click("#guide a")?;
    live(&page)?;
    page.open(&format!("{}guide?domain=nobody.test", stage.address()))?;
    shows(&page, "#guide", "no extension is in the domain nobody.test")?;
    page.open(&format!("{}guide", stage.address()))?;
    shows(&page, "#guide", "there are several domains, name one")?;
    clean(&page, &stage.address())
}

#[test]
fn why_tells_what_rings_and_what_could_be_pulled() -> Result<()> {
    let mut stage = Stage::new()?;
    let args = ["route", "set", OWN, "1003"];
    stage.site.controller().cli(&args)?.ok()?;
    stage.site.register(Phone::P1003, false)?;
    let page = stage.page()?;
    shows(&page, &row(OWN), "1003 not registered")?;
    page.click(&button(OWN, "why"))?;
    shows(&page, "#why-title", OWN)?;
    shows(&page, "#why-body", "has a route: only 1003")?;
    shows(&page, "#why-body", "1003 would ring: not registered.")?;
    shows(&page, "#why-body", "1001 is not asked to ring: registered.")?;
    shows(&page, "#why-body", "Nothing could be pulled")?;
    page.click("#why-dialog [data-close]")?;
    is_open(&page, "why-dialog", false)?;
    page.click(&button(COLLEAGUE, "why"))?;
    shows(&page, "#why-body", "2001@lab.test has no route that counts")?;
    clean(&page, &stage.address())
}

#[test]
fn the_filter_shows_those_that_it_fits() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    shows(&page, "#extensions-count", "(3)")?;
    for (filter, count, there, not_there) in [
        ("other", "(1 of 3)", "1000@other.test", OWN),
        ("2002", "(1 of 3)", COLLEAGUE, OWN),
        ("LAB.TEST", "(2 of 3)", COLLEAGUE, "1000@other.test"),
    ] {
        page.write("#filter", filter)?;
        shows(&page, "#extensions-count", count)?;
        is_there(&page, &row(there), true)?;
        is_there(&page, &row(not_there), false)?;
    }
    page.write("#filter", "nobody")?;
    shows(&page, "#extensions-none", "None of those shown has that.")?;
    page.write("#filter", "")?;
    clean(&page, &stage.address())
}

#[test]
fn every_link_leads_somewhere() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    let found = page.script(
        "return [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))",
        Vec::new(),
    )?;
    let links: Vec<String> = serde_json::from_value(found)?;
    ensure!(links.len() > 3, "the page has {links:?}");
    for link in links {
        if let Some(id) = link.strip_prefix('#') {
            is_there(&page, &format!("#{id}"), true)?;
            continue;
        }
        let (code, _) = stage.site.controller().get(&link)?;
        ensure!(code == 200, "{link} is answered by {code}");
    }
    Ok(())
}

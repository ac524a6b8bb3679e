//! The page without a mouse.

use anyhow::{Result, ensure};
use fantoccini::key::Key;

use crate::{
    chromium::Browser,
    stage::{OWN, Stage, button, is_open, row, shows},
};

/// What has the focus, in a form that a test can name.
fn focus(page: &Browser) -> Result<String> {
    let found = page.script(
        "const it = document.activeElement;
         const row = it.closest('[data-key]')?.dataset.key;
         return row && it.dataset.do ? `${it.dataset.do} ${row}` : it.id || it.value || it.getAttribute('href') || it.className || it.tagName",
        Vec::new(),
    )?;
    Ok(found.as_str().unwrap_or_default().to_owned())
}

fn tab(page: &Browser) -> Result<String> {
    page.press(Key::Tab)?;
    focus(page)
}

#[test]
fn the_skip_link_is_first_and_leads_to_the_extensions() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    shows(&page, &row(OWN), "registered")?;
    ensure!(
        tab(&page)? == "#extensions-title",
        "the focus is at {}",
        focus(&page)?
    );
    page.until("document.activeElement.getBoundingClientRect().left >= 0")?;
    page.press(Key::Enter)?;
    page.until("document.activeElement.id === 'extensions-title'")?;
    ensure!(tab(&page)? == "filter", "the focus is at {}", focus(&page)?);
    Ok(())
}

#[test]
fn the_focus_goes_through_everything_in_order() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    shows(&page, &row("1000@other.test"), "registered")?;
    let mut seen = Vec::new();
    loop {
        let at = tab(&page)?;
        if at == "BODY" || seen.contains(&at) {
            break;
        }
        // Whoever sees must see where the focus is.
        page.until("getComputedStyle(document.activeElement).outlineStyle !== 'none'")?;
        seen.push(at);
        ensure!(seen.len() < 50, "the focus does not come round: {seen:?}");
    }
    let order = [
        "#extensions-title",
        "filter",
        "scroll",
        "route 1000@lab.test",
        "why 1000@lab.test",
        "route 2001@lab.test",
        "why 2001@lab.test",
        "route 1000@other.test",
        "why 1000@other.test",
        "token-button",
        "/guide?domain=lab.test",
        "/guide?domain=other.test",
        "/v1/openapi.json",
        "/metrics",
    ];
    ensure!(seen == order, "the focus went {seen:#?}");
    Ok(())
}

#[test]
fn a_route_is_set_by_keys_alone_and_the_focus_returns() -> Result<()> {
    let mut stage = Stage::new()?;
    let token = stage.token("route")?;
    let page = stage.page_of(&token)?;
    let opener = button(OWN, "route");
    let focused = format!("document.querySelector(\"{opener}\") === document.activeElement");
    page.script(
        &format!("document.querySelector(\"{opener}\").focus()"),
        Vec::new(),
    )?;

    page.press(Key::Enter)?;
    is_open(&page, "route-dialog", true)?;
    page.until("document.activeElement.value === 'all'")?;
    page.press(Key::Escape)?;
    is_open(&page, "route-dialog", false)?;
    page.until(&focused)?;

    page.press(Key::Enter)?;
    is_open(&page, "route-dialog", true)?;
    page.press(Key::Down)?;
    page.press(Key::Down)?;
    page.until("document.activeElement.value === 'device 1002'")?;
    // The focus stays in the dialog.
    for _ in 0..8 {
        page.press(Key::Tab)?;
        page.until(
            "document.activeElement === document.body || document.activeElement.closest('dialog')",
        )?;
    }
    page.script(
        "document.querySelector(\"#route-dialog input[value='device 1002']\").focus()",
        Vec::new(),
    )?;
    page.press(Key::Enter)?;
    is_open(&page, "route-dialog", false)?;
    shows(&page, &row(OWN), "only 1002")?;
    // The row has been made anew, and the focus is where it was.
    page.until(&focused)?;
    // Those who do not see it are told.
    page.until("document.getElementById('news').textContent.includes('Calls to 1000@lab.test ring: only 1002.')")?;

    page.press(Key::Tab)?;
    page.press(Key::Enter)?;
    is_open(&page, "why-dialog", true)?;
    page.until("document.activeElement.closest('#why-dialog')")?;
    page.press(Key::Escape)?;
    is_open(&page, "why-dialog", false)?;
    page.until("document.activeElement.dataset.do === 'why'")?;
    Ok(())
}

//! What the page shows changes by itself.

use anyhow::Result;
use callhop_tests::{cast::Phone, site::Site as _};

use crate::stage::{OWN, Stage, clean, row, shows};

#[test]
fn a_call_rings_is_answered_held_and_pulled() -> Result<()> {
    let mut stage = Stage::new()?;
    let page = stage.page()?;
    let own = row(OWN);
    shows(&page, &own, "1001 registered")?;
    // Would be gone after a reload.
    page.script("window.sameDocument = true", Vec::new())?;

    let call = stage.ring()?;
    shows(&page, &own, "1001 ringing")?;
    shows(&page, &own, "1002 ringing")?;
    shows(&page, "#calls", "5550001")?;

    stage.site.answer(call)?;
    shows(&page, &own, "1001 talking")?;
    shows(&page, &own, "1002 registered")?;

    stage.site.hold(call, true)?;
    shows(&page, &own, "1001 held")?;
    stage.site.hold(call, false)?;
    shows(&page, &own, "1001 talking")?;

    stage.dial(Phone::P1002, "*33")?;
    shows(&page, &own, "1002 talking")?;
    shows(&page, &own, "1001 registered")?;
    shows(&page, "#moves", "moved")?;
    page.until(
        "/^\\d+ ms$/.test(document.querySelector('#moves [data-label=\"Far end\\'s gap\"]')?.textContent)",
    )?;
    page.until("/events \\d+ ms late/.test(document.getElementById('switches').innerText)")?;

    stage.site.register(Phone::P1003, false)?;
    shows(&page, &own, "1003 not registered")?;

    page.until("window.sameDocument")?;
    clean(&page, &stage.address())
}

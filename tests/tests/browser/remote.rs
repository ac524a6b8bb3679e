//! The page from another machine: by TLS, and with a token for everything.

use std::{fs, io::Write as _, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use callhop_tests::site::Site as _;

use crate::{
    controls::set_route,
    stage::{OWN, Stage, button, clean, give_token, is_open, is_there, live, row, shows},
};

/// Lets the controller listen for other machines, and returns the address of the page there.
fn beyond_loopback(stage: &mut Stage) -> Result<String> {
    let listen: SocketAddr = "127.0.0.1:0".parse()?;
    let listen = std::net::TcpListener::bind(listen)?.local_addr()?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let controller = stage.site.controller();
    let folder = controller.dir().to_owned();
    fs::write(folder.join("tls.pem"), made.cert.pem())?;
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem())?;
    let mut config = fs::File::options()
        .append(true)
        .open(folder.join("callhop.toml"))?;
    writeln!(
        config,
        "\n[http.public]\nlisten = \"{listen}\"\ntls_certificate = \"tls.pem\"\ntls_key = \"tls.key\""
    )?;
    controller.stop()?;
    controller.start()?;
    Ok(format!("https://{listen}/"))
}

#[test]
fn nothing_is_shown_without_a_token() -> Result<()> {
    let mut stage = Stage::new()?;
    let (looker, router) = (stage.token("read")?, stage.token("route")?);
    let address = beyond_loopback(&mut stage)?;
    let page = stage.browser()?;
    page.open(&address)?;
    is_open(&page, "token-dialog", true)?;
    shows(&page, "#token-dialog", "To look a token")?;
    shows(&page, "#link", "A token is needed to look")?;
    is_there(&page, &row(OWN), false)?;

    give_token(&page, &looker)?;
    live(&page)?;
    shows(&page, &row(OWN), "all devices")?;
    shows(&page, "#token-text", "Token read: you can look")?;

    // One that may more, for what needs it.
    page.click(&button(OWN, "route"))?;
    shows(&page, "#token-dialog", "which read has not")?;
    give_token(&page, &router)?;
    is_open(&page, "route-dialog", true)?;
    page.click("#route-dialog [data-close]")?;
    set_route(&page, OWN, "device 1002")?;
    shows(&page, &row(OWN), "only 1002")?;
    for (path, what) in [("/v1/openapi.json", "\"openapi\":"), ("/metrics", "# EOF")] {
        page.click(&format!("a[href='{path}']"))?;
        page.until_at("blob:")?;
        shows(&page, "body", what)?;
        page.script("history.back()", Vec::new())?;
        live(&page)?;
    }
    page.click("a[href^='/guide']")?;
    shows(&page, "body", "*33")?;
    page.script("history.back()", Vec::new())?;
    live(&page)?;

    // Whoever forgets it leaves nothing on the screen.
    page.click("#token-button")?;
    is_open(&page, "token-dialog", true)?;
    is_there(&page, &row(OWN), false)?;
    page.click("#token-dialog [data-close]")?;
    shows(&page, "#token-text", "No token: one is needed to look.")?;
    shows(&page, "#away", "Nothing is shown without a token.")?;
    let kept = page.script("return sessionStorage.length", Vec::new())?;
    ensure!(kept == 0, "the browser has kept {kept}");
    clean(&page, &address).context("what the page asked")
}

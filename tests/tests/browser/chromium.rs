//! Debian's Chromium, driven over WebDriver (W3C) and, where that has no word for it, the DevTools protocol.
//!
//! Owns the process of chromedriver, which owns the browsers, and the profile of each. Refuses to be skipped: where one of
//! the programs is missing, the test fails and says what to install.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use callhop_tests::program::tied;
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    key::Key,
    wd::{TimeoutConfiguration, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a page may take for what it is waited for: much longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(25);

const CHROMIUM: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// chromedriver, and with it every browser that it has started.
#[derive(Debug)]
pub(crate) struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    /// Starts it on a port that the system chooses.
    pub(crate) fn start() -> Result<Self> {
        for program in [CHROMIUM, DRIVER] {
            if !Path::new(program).exists() {
                bail!(
                    "{program} is missing: apt-get install --no-install-recommends chromium chromium-driver"
                );
            }
        }
        let mut process = tied(Path::new(DRIVER))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {DRIVER}"))?;
        let said = process.stdout.take().context("its output is piped")?;
        let mut driver = Self { process, port: 0 };
        // "ChromeDriver was started successfully on port 41385."
        for line in BufReader::new(said).lines() {
            let line = line?;
            let port = line.split_once("successfully on port ");
            if let Some((_, port)) = port {
                driver.port = port.trim_end_matches('.').parse()?;
                return Ok(driver);
            }
        }
        bail!("{DRIVER} has ended without naming its port")
    }

    /// A browser without a past.
    pub(crate) fn browser(&self) -> Result<Browser> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let profile = tempfile::tempdir()?;
        let data = format!("--user-data-dir={}", profile.path().display());
        let flags = [
            // Ends with chromedriver, however that ends.
            "--remote-debugging-pipe",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            &data,
        ];
        let wanted = json!({
            "browserName": "chrome",
            // Those that tests make are signed by nobody.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": CHROMIUM, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(wanted) = wanted else {
            bail!("capabilities are an object");
        };
        let address = format!("http://127.0.0.1:{}", self.port);
        let client = runtime.block_on(async {
            let client = ClientBuilder::new(HttpConnector::new())
                .capabilities(wanted)
                .connect(&address)
                .await?;
            let patience = PATIENCE + Duration::from_secs(5);
            let timeouts = TimeoutConfiguration::new(Some(patience), Some(patience), None);
            client.update_timeouts(timeouts).await?;
            anyhow::Ok(client)
        });
        Ok(Browser {
            client: Some(client.context("starting Chromium")?),
            runtime,
            _profile: profile,
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nobody is left who could be told. Its browsers end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One browser with one page.
#[derive(Debug)]
pub(crate) struct Browser {
    /// Taken when it is closed.
    client: Option<Client>,
    runtime: Runtime,
    _profile: TempDir,
}

impl Browser {
    fn client(&self) -> Result<&Client> {
        self.client.as_ref().context("the browser is closed")
    }

    /// Goes there, and waits until it has loaded.
    pub(crate) fn open(&self, address: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client()?.goto(address))?)
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) -> Result<()> {
        Ok(self.runtime.block_on(self.client()?.refresh())?)
    }

    /// What the body of a function returns in the page; `arguments` holds these.
    pub(crate) fn script(&self, body: &str, arguments: Vec<Value>) -> Result<Value> {
        let ran = self.client()?.execute(body, arguments);
        self.runtime
            .block_on(ran)
            .with_context(|| format!("in the page: {body}"))
    }

    /// Waits until an expression is true in the page, and returns what it is then.
    ///
    /// # Errors
    /// It does not come true in time; with the text of the page.
    pub(crate) fn until(&self, expression: &str) -> Result<Value> {
        let body = format!(
            "const done = arguments[0], end = performance.now() + {};
             const look = () => {{
               const found = ({expression});
               if (found) done(found);
               else if (performance.now() > end) done(null);
               else setTimeout(look, 20);
             }};
             look();",
            PATIENCE.as_millis()
        );
        let waited = self.client()?.execute_async(&body, Vec::new());
        let found = self
            .runtime
            .block_on(waited)
            .with_context(|| format!("waiting for {expression}"))?;
        if found.is_null() {
            let text = self.script("return document.body.innerText", Vec::new())?;
            bail!(
                "{expression} was not true within {PATIENCE:?}; the page shows:\n{}",
                text.as_str().unwrap_or_default()
            );
        }
        Ok(found)
    }

    /// Waits until the page is at an address that begins so. No script can: it ends with the page in which it runs.
    ///
    /// # Errors
    /// It does not get there in time.
    pub(crate) fn until_at(&self, beginning: &str) -> Result<()> {
        let client = self.client()?;
        let arrival = async {
            while !client.current_url().await?.as_str().starts_with(beginning) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, arrival).await })
            .with_context(|| format!("the page is not at {beginning}"))?
    }

    /// The element of a CSS selector.
    fn element(&self, selector: &str) -> Result<Element> {
        let found = self.client()?.find(Locator::Css(selector));
        self.runtime
            .block_on(found)
            .with_context(|| format!("looking for {selector}"))
    }

    /// Clicks as a person does: what is covered or not shown cannot be clicked.
    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.runtime
            .block_on(element.click())
            .with_context(|| format!("clicking {selector}"))
    }

    /// Writes into a field in place of what it holds.
    pub(crate) fn write(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.runtime
            .block_on(async {
                element.clear().await?;
                element.send_keys(text).await
            })
            .with_context(|| format!("writing into {selector}"))
    }

    /// Presses a key where the focus is.
    pub(crate) fn press(&self, key: Key) -> Result<()> {
        let value = char::from(key);
        let keys = KeyActions::new(String::from("keys"))
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        let pressed = self.client()?.perform_actions(keys);
        self.runtime
            .block_on(pressed)
            .with_context(|| format!("pressing {}", value.escape_unicode()))
    }

    /// What the window shows, as PNG.
    pub(crate) fn picture(&self) -> Result<Vec<u8>> {
        Ok(self.runtime.block_on(self.client()?.screenshot())?)
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.of_chromium("goog/cdp/execute", &body)
            .with_context(|| command.to_owned())
    }

    /// What has been written to a log (`browser`, `performance`) since it was read last.
    pub(crate) fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let found = self.of_chromium("se/log", &json!({ "type": kind }))?;
        let entries = found.as_array().context("a log is a list")?;
        Ok(entries.clone())
    }

    fn of_chromium(&self, path: &str, body: &Value) -> Result<Value> {
        let command = Extra {
            path: path.to_owned(),
            body: body.to_string(),
        };
        let answer = self.runtime.block_on(self.client()?.issue_cmd(command))?;
        Ok(answer)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Nobody is left who could be told.
            let _ = self.runtime.block_on(client.close());
        }
    }
}

/// A command that chromedriver has beyond the standard.
#[derive(Debug)]
struct Extra {
    path: String,
    body: String,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.clone()))
    }
}

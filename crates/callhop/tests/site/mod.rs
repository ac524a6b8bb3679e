//! A running controller on a fake FreeSWITCH, and a client that holds every answer against the OpenAPI document.

// Each test file uses its part of this one; a test that cannot be set up fails.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub(crate) mod schema;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use callhop::config::{Config, Secret};
use callhop_fakeswitch::{Config as FakeConfig, FakeSwitch};
use serde_json::Value;

/// Longer than anything takes; only a failing test waits for it.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// One switch, one controller, one database.
pub(crate) struct Site {
    pub(crate) fake: FakeSwitch,
    pub(crate) address: SocketAddr,
    pub(crate) document: Value,
    folder: tempfile::TempDir,
    config: Config,
    controller: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The version as it came.
    pub(crate) fn etag(&self) -> String {
        self.header("etag").expect("an ETag").to_owned()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// A refusal that says so.
    #[track_caller]
    pub(crate) fn says(self, status: u16, words: &str) -> Self {
        let found = self.is(status);
        assert!(found.text.contains(words), "{words:?} is not in {found:?}");
        found
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

impl Site {
    /// A site with the extensions 1000 (1001, 1002, 1003) and 2000 (2001) in lab.test.
    pub(crate) async fn start() -> Self {
        Self::start_on(FakeConfig::default()).await
    }

    /// The same on another switch.
    pub(crate) async fn start_on(switch: FakeConfig) -> Self {
        Self::start_as(switch, |_, _| {}).await
    }

    /// The same with another configuration, which may use the folder.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config, &Path)) -> Self {
        Self::start_as(FakeConfig::default(), change).await
    }

    async fn start_as(switch: FakeConfig, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let fake = FakeSwitch::start(FakeConfig {
            controller: Some(address.to_string()),
            ..switch
        })
        .await
        .unwrap();
        let url = format!("sqlite://{}/callhop.db", folder.path().display());
        let text = format!("[store]\nurl = '{url}'\n[http]\nlisten = '{address}'\n");
        std::fs::write(folder.path().join("callhop.toml"), text).unwrap();
        let mut config = Config::default();
        config.store.url = Secret::new(url);
        config.http.listen = address;
        config.freeswitch[0].name = "lab".parse().unwrap();
        config.freeswitch[0].address = fake.esl_addr().to_string();
        change(&mut config, folder.path());
        let run = callhop::controller::run(config.clone(), std::future::pending());
        let mut site = Self {
            fake,
            address,
            document: Value::Null,
            folder,
            config,
            controller: tokio::spawn(run),
        };
        let all = ["1000@lab.test", "--device", "1001", "--device", "1002"];
        site.cli(&[&["extension", "add"], &all[..], &["--device", "1003"]].concat());
        site.cli(&["extension", "add", "2000@lab.test", "--device", "2001"]);
        site.until("/readyz", |answer| answer.status == 200).await;
        let document = site.raw("GET", "/v1/openapi.json", &[], None);
        site.document = document.is(200).body;
        site
    }

    /// Kills the controller.
    pub(crate) async fn stop(&mut self) {
        self.controller.abort();
        let _ = (&mut self.controller).await;
    }

    /// Starts a controller that was killed.
    pub(crate) async fn restart(&mut self) {
        let run = callhop::controller::run(self.config.clone(), std::future::pending());
        self.controller = tokio::spawn(run);
        self.until("/readyz", |answer| answer.status == 200).await;
    }

    /// Adds to the configuration of the command line.
    pub(crate) fn configure_cli(&self, text: &str) {
        let path = self.folder.path().join("callhop.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + text).unwrap();
    }

    /// Where its configuration is.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the command line prints.
    #[track_caller]
    pub(crate) fn cli(&self, line: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_callhop"))
            .args(line)
            .current_dir(self.folder.path())
            .env_clear()
            .env("USER", "alice")
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {err}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A new token with these scopes, as the header that brings it.
    pub(crate) fn token(&self, name: &str, scopes: &str) -> String {
        let mut line = vec!["token", "add", name];
        for scope in scopes.split(' ') {
            line.extend(["--scope", scope]);
        }
        format!("Authorization: Bearer {}", self.cli(&line).trim())
    }

    /// Asks, and holds the answer against the document.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&str>,
    ) -> Answer {
        let answer = self.raw(method, path, headers, body);
        schema::check(&self.document, method, path, &answer);
        answer
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    /// Asks for JSON with a token.
    #[track_caller]
    pub(crate) fn change(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let body = (!body.is_empty()).then_some(body);
        self.ask(method, path, headers, body)
    }

    /// Asks, whatever comes.
    #[track_caller]
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&str>,
    ) -> Answer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let host = format!("Host: {}", self.address);
        let host = (!headers.iter().any(|line| line.starts_with("Host:"))).then_some(&*host);
        let headers: Vec<_> = host.into_iter().chain(headers.iter().copied()).collect();
        exchange(stream, method, path, &headers, body)
    }

    /// Asks again and again until it is so.
    pub(crate) async fn until(&self, path: &str, so: impl Fn(&Answer) -> bool) -> Answer {
        let end = std::time::Instant::now() + SOON;
        loop {
            if TcpStream::connect(self.address).is_ok() {
                let answer = self.raw("GET", path, &[], None);
                if so(&answer) {
                    return answer;
                }
                assert!(std::time::Instant::now() < end, "{path}: {answer:?}");
            }
            assert!(std::time::Instant::now() < end, "{path}: nobody answers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens the stream of events.
    pub(crate) fn events(&self) -> Stream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Stream { lines, head }
    }
}

/// One request on a connection of its own, whatever comes.
#[track_caller]
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[&str],
    body: Option<&str>,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for line in headers {
        request += &format!("{line}\r\n");
    }
    if let Some(body) = body {
        if !headers.iter().any(|line| line.starts_with("Content-Type:")) {
            request += "Content-Type: application/json\r\n";
        }
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    request += body.unwrap_or_default();
    // A body that is too large is refused before all of it was sent.
    let _ = stream.write_all(request.as_bytes());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        text: body.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

/// An open stream of events.
pub(crate) struct Stream {
    lines: BufReader<TcpStream>,
    pub(crate) head: String,
}

impl Stream {
    /// The next event: its name and its data.
    pub(crate) fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it has ended");
            if let Some(word) = line.strip_prefix("event: ") {
                name = word.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The next event with which it is so.
    pub(crate) fn until(&mut self, so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, data) = self.next();
            if so(&data) {
                return data;
            }
        }
    }
}

//! `callhop demo` as its users meet it: the script in a terminal, and the desk over HTTP.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod site;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use ureq::http::{Request, Response};

/// Longer than anything takes; only a failing test waits for it.
const SOON: Duration = Duration::from_secs(20);

fn command(folder: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callhop"));
    command
        .arg("demo")
        .args(line)
        .current_dir(folder)
        .env_clear()
        .env("TMPDIR", folder);
    command
}

/// A place for a demo's database, in memory where there is such a place: what is tried here is not the disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// What a demo that ends by itself prints, its standard error, and its exit code.
fn run(line: &[&str]) -> (String, String, Option<i32>) {
    let folder = folder();
    let output = command(folder.path(), line).output().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

#[test]
fn the_script_goes_as_told() {
    let (out, err, code) = run(&["--script"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(err, "");
    assert_eq!(out.lines().last(), Some("12 scenes, each as told"));
    assert_eq!(out.lines().filter(|line| *line == "    ok").count(), 12);
    for title in [
        "*33: a call hops",
        "*33: a call that rings",
        "*331002: ",
        "*9, 2000, #: ",
        "*9, then *: ",
        "*50: ",
        "*491003: ",
        "*492000: ",
        "*51: ",
        "refused: ",
    ] {
        assert!(out.contains(&format!(". {title}")), "{title}: {out}");
    }
    let plain = |line: &&str| line.len() <= 80 && !line.contains('\u{1b}');
    let other: Vec<&str> = out.lines().filter(|line| !plain(line)).collect();
    assert!(other.is_empty(), "{other:#?}");
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (out, err, code) = run(&["--listen", &address]);
    assert_eq!((out.as_str(), code), ("", Some(1)), "{err}");
    let expect = format!("callhop: --listen: can't listen on {address}");
    assert!(err.starts_with(&expect), "{err}");
    for (address, expect) in [
        ("0.0.0.0:8085", "loopback only"),
        ("8085", "it is not an address with a port"),
    ] {
        let (_, err, code) = run(&["--listen", address]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("--listen") && err.contains(expect), "{err}");
    }
}

/// A running demo.
struct Desk {
    child: Child,
    out: BufReader<ChildStdout>,
    /// `http://127.0.0.1:1234`
    base: String,
    token: String,
    folder: tempfile::TempDir,
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Desk {
    fn start() -> Self {
        let folder = folder();
        let mut child = command(folder.path(), &["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let address = first.split_whitespace().last().unwrap();
        let (base, token) = address.split_once("/#token=").unwrap();
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            child,
            out,
            folder,
        }
    }

    fn ask(&self, request: Request<String>) -> Response<ureq::Body> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_recv_response(Some(SOON))
            .proxy(None)
            .build()
            .into();
        agent.run(request).unwrap()
    }

    fn get(&self, path: &str) -> Response<ureq::Body> {
        let request = Request::get(format!("{}{path}", self.base));
        self.ask(request.body(String::new()).unwrap())
    }

    fn text(&self, path: &str) -> String {
        self.get(path).into_body().read_to_string().unwrap()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// Does something on a phone; the status and what is said.
    fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::post(format!("{}/demo/phones/{path}", self.base))
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.ask(request.body(body.to_string()).unwrap());
        let status = answer.status().as_u16();
        (status, answer.into_body().read_to_string().unwrap())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    #[track_caller]
    fn does(&self, path: &str, body: &Value) {
        let done = self.post(path, body, &[("Authorization", &self.bearer())]);
        assert_eq!(done, (204, String::new()), "{path} {body}");
    }

    /// The stream of what the phones show.
    fn events(&self) -> Events {
        let answer = self.get("/demo/events");
        assert_eq!(answer.status(), 200);
        Events(BufReader::new(Box::new(answer.into_body().into_reader())))
    }

    /// Ends it as Ctrl-C does: everything else that it has printed.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(told.success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        rest
    }
}

struct Events(BufReader<Box<dyn std::io::Read>>);

impl Events {
    /// Reads on until the phone's call is in this state, in these words.
    fn until(&mut self, id: &str, state: &str, words: &str) {
        let mut last = String::new();
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).unwrap();
            assert_ne!(count, 0, "{id} is not {state}, {words}: {last}");
            let Some(data) = line.strip_prefix("data: ") else {
                continue;
            };
            let desk: Value = serde_json::from_str(data).unwrap();
            let phones = desk["phones"].as_array().unwrap();
            let phone = phones.iter().find(|phone| phone["id"] == id).unwrap();
            let calls = phone["calls"].as_array().unwrap();
            if calls
                .iter()
                .any(|call| call["state"] == state && call["words"] == words)
            {
                return;
            }
            last = data.to_owned();
        }
    }
}

#[test]
fn a_call_is_pulled_on_the_desk() {
    let desk = Desk::start();
    let mut events = desk.events();
    desk.does("customer/dial", &json!({"number": "1000"}));
    events.until("1001", "ringing", "rings");
    desk.does("1001/answer", &json!({}));
    events.until("customer", "answered", "talks to Alex on the desk phone");
    desk.does("1001/hold", &json!({}));
    events.until("customer", "answered", "hears music on hold");
    desk.does("1001/resume", &json!({}));
    events.until("1001", "answered", "talks to the customer");
    desk.does("1002/dial", &json!({"number": "*33"}));
    events.until("1002", "answered", "talks to the customer");

    // The journal is asked after the bridge, and may be a moment behind it.
    let mut stream = BufReader::new(desk.get("/v1/events").into_body().into_reader());
    let moved = loop {
        let moves = desk.json("/v1/moves");
        if moves["moves"][0]["outcome"] != Value::Null {
            break moves["moves"][0].clone();
        }
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "{moves}");
    };
    for (key, expect) in [
        ("kind", "pull"),
        ("extension", "1000@example.com"),
        ("from", "1001@example.com"),
        ("to", "1002@example.com"),
        ("outcome", "moved"),
    ] {
        assert_eq!(moved[key], expect, "{moved}");
    }
    desk.does("customer/hang-up", &json!({}));

    let rest = desk.end();
    for expect in ["*33", "*9", "*50", "Ctrl-C"] {
        assert!(rest.contains(expect), "{rest}");
    }
}

#[test]
fn the_page_has_the_desk_and_nobody_acts_without_the_token() {
    let desk = Desk::start();
    let page = desk.text("/");
    let place = |text: &str| page.find(text).unwrap();
    assert!(place("/desk.js") < place("/page.js"), "{page}");
    assert!(place("/desk.css") < place("/page.css"), "{page}");
    for (path, kind) in [
        ("/desk.js", "text/javascript; charset=utf-8"),
        ("/desk.css", "text/css; charset=utf-8"),
    ] {
        let answer = desk.get(path);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], kind);
        let policy = answer.headers()["content-security-policy"].to_str();
        assert!(policy.unwrap().starts_with("default-src 'self';"));
    }

    let dial = json!({"number": "1000"});
    let bearer = desk.bearer();
    let wrong = format!("Bearer callhop_{}", "0".repeat(64));
    let foreign = [("Authorization", &*bearer), ("Origin", "http://evil.test")];
    let named = [("Authorization", &*bearer), ("Host", "evil.test")];
    for (headers, status, says) in [
        (&[][..], 401, "this needs a token"),
        (&[("Authorization", &*wrong)], 401, "there is no such token"),
        (&foreign, 403, "another site's page"),
        (&named, 403, "loopback name"),
    ] {
        let (code, text) = desk.post("customer/dial", &dial, headers);
        assert_eq!(code, status, "{text}");
        assert!(text.contains(says), "{text}");
    }
    let phones = desk.json("/demo/phones");
    let calls = phones["phones"].as_array().unwrap().iter();
    let calls: Vec<&Value> = calls.map(|phone| &phone["calls"]).collect();
    assert_eq!(calls, vec![&json!([]); 5], "{phones}");

    let token = [("Authorization", &*bearer)];
    for (path, body, status, says) in [
        (
            "1009/dial",
            json!({"number": "1000"}),
            404,
            "there are customer, 1001",
        ),
        ("1001/sing", json!({}), 404, "it can dial, digits"),
        ("1001/dial", json!({}), 400, "dial wants a number"),
        (
            "1001/dial",
            json!({"number": "${x}"}),
            400,
            "cannot be dialled",
        ),
        ("1001/dial", json!({"nummer": "1000"}), 400, "unknown field"),
        (
            "1001/answer",
            json!({"digits": "1"}),
            400,
            "neither a number nor digits",
        ),
        (
            "1001/answer",
            json!({}),
            409,
            "1001 has no call that it could answer",
        ),
        ("1001/digits", json!({"digits": "*9"}), 409, "no call"),
    ] {
        let (code, text) = desk.post(path, &body, &token);
        assert_eq!(code, status, "{path} {body}: {text}");
        assert!(text.contains(says), "{path} {body}: {text}");
    }
    desk.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_has_no_desk() {
    let site = site::Site::start().await;
    for path in ["/demo/phones", "/demo/events", "/desk.js", "/desk.css"] {
        site.raw("GET", path, &[], None).is(404);
    }
    let token = site.token("all", "admin");
    let number = Some(r#"{"number": "1000"}"#);
    site.raw("POST", "/demo/phones/1001/dial", &[&token], number)
        .is(404);
    let page = site.raw("GET", "/", &[], None).is(200);
    assert!(!page.text.contains("desk."), "{}", page.text);
}

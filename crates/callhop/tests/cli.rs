//! The command line as its users meet it: what they type, what they read, and the exit code.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

/// A folder with a configuration whose controller and switch are not there.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Port 1 is never listened on here: whatever is asked is refused at once.
        let text = "[http]\nlisten = '127.0.0.1:1'\n[[freeswitch]]\naddress = '127.0.0.1:1'\n\
                    [domains.'closed.test']\ncolleagues = false\n";
        std::fs::write(folder.path().join("callhop.toml"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callhop"));
        command
            .args(line)
            .current_dir(self.path())
            .env_clear()
            .env("USER", "alice");
        command
    }

    fn run(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    /// `expect` has to be in what is printed: on standard output if the command works, else on standard error.
    #[track_caller]
    fn check(&self, line: &[&str], code: i32, expect: &str) {
        let output = self.run(line);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(output.status.code(), Some(code), "{line:?}: {out}{err}");
        let printed = if code == 0 { &out } else { &err };
        assert!(printed.contains(expect), "{line:?}: {out}{err}");
        assert!(!err.contains("panicked"), "{line:?}: {err}");
    }
}

/// As behind `| head`, once head has seen enough.
#[test]
fn nobody_reads_what_is_printed_and_nothing_panics() {
    let desk = Desk::new();
    desk.check(&ADD, 0, "is added");
    for line in [
        &["extension", "list"][..],
        &["extension", "list", "--json"],
        &["dialplan", "show", "freeswitch"],
        &["guide", "--domain", "lab.test"],
        &["config", "check"],
        &["completions", "bash"],
        &["moves"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = desk.command(line).stdout(writer).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((&*err, output.status.code()), ("", Some(1)), "{line:?}");
    }
}

const ADD: [&str; 7] = [
    "extension",
    "add",
    "1000@lab.test",
    "--device",
    "1001",
    "--device",
    "1002@lab.test",
];

#[test]
fn extensions_are_added_shown_and_removed() {
    let desk = Desk::new();
    desk.check(&["extension", "list"], 0, "EXTENSION");
    desk.check(&ADD, 0, "1000@lab.test is added; 1001, 1002 ring");
    desk.check(&ADD, 3, "the extension 1000@lab.test exists already");
    let taken = ["extension", "add", "2000@lab.test", "--device", "1001"];
    desk.check(&taken, 3, "belongs to the extension 1000@lab.test");
    let foreign = ["extension", "add", "2000@lab.test", "--device", "1@b.test"];
    desk.check(
        &foreign,
        3,
        "1@b.test is not in the domain of 2000@lab.test",
    );
    desk.check(
        &["extension", "list"],
        0,
        "1000@lab.test  1001, 1002  all devices",
    );
    let show = ["extension", "show", "1000@lab.test", "--json"];
    desk.check(&show, 0, "\"devices\": [\n    \"1001\",\n    \"1002\"\n  ]");
    desk.check(&["extension", "remove", "1000@lab.test"], 0, "is removed");
    desk.check(
        &["extension", "remove", "1000@lab.test"],
        3,
        "there is no extension",
    );
    desk.check(
        &["extension", "show", "1000@lab.test"],
        3,
        "there is no extension",
    );
}

#[test]
fn devices_come_and_go_and_the_route_stays() {
    let desk = Desk::new();
    desk.check(&ADD, 0, "is added");
    desk.check(&["route", "set", "1000@lab.test", "1002"], 0, "only 1002");
    let add = |device| ["device", "add", "1000@lab.test", device];
    let remove = |device| ["device", "remove", "1000@lab.test", device];
    desk.check(&add("1003"), 0, "1003 is added; 1001, 1002, 1003 ring");
    desk.check(&add("1003"), 3, "a device of 1000@lab.test already");
    desk.check(&add("1004@other.test"), 3, "not in the domain");
    desk.check(&["device", "add", "9@lab.test", "1"], 3, "no extension 9@");
    let other = ["extension", "add", "2000@lab.test", "--device", "2001"];
    desk.check(&other, 0, "is added");
    desk.check(&add("2001"), 3, "belongs to the extension 2000@lab.test");
    desk.check(&remove("2001"), 3, "2001 is not a device of 1000@lab.test");
    desk.check(&remove("1002"), 3, "reset or change its route first");
    desk.check(&remove("1001"), 0, "1001 is removed; 1002, 1003 stay");
    let last = ["device", "remove", "2000@lab.test", "2001"];
    desk.check(&last, 3, "at least one device");
    let list = "1002@lab.test  1000@lab.test\n1003@lab.test  1000@lab.test\n2001@lab.test  2000@lab.test\n";
    desk.check(&["device", "list"], 0, list);
    let json = desk.run(&["device", "list", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let third = serde_json::json!({"id": "2001@lab.test", "extension": "2000@lab.test"});
    assert_eq!(json[2], third);
    desk.check(&["route", "show", "1000@lab.test"], 0, "only 1002");
}

#[test]
fn a_token_is_shown_once_and_listed_without_itself() {
    let desk = Desk::new();
    let add = ["token", "add", "reception", "--scope", "route"];
    let output = desk.run(&add);
    let token = String::from_utf8(output.stdout).unwrap();
    let hex = token.trim().strip_prefix("callhop_").unwrap();
    assert_eq!(hex.len(), 64, "{token}");
    desk.check(&add, 3, "there is a token reception already");
    desk.check(&["token", "add", "x"], 2, "--scope");
    let nonsense = ["token", "add", "x", "--scope", "all"];
    desk.check(&nonsense, 2, "a scope is read, route, move or admin");
    desk.check(&["token", "list"], 0, "reception  route   ");
    let list = desk.run(&["token", "list", "--json"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("\"created_by\": \"cli:alice\""), "{list}");
    assert!(!list.contains(hex), "{list}");
    // It stands nowhere in the database either.
    let database = std::fs::read(desk.path().join("callhop.db")).unwrap();
    let log = std::fs::read(desk.path().join("callhop.db-wal")).unwrap_or_default();
    for bytes in [database, log] {
        assert!(!bytes.windows(hex.len()).any(|part| part == hex.as_bytes()));
    }
    desk.check(&["token", "remove", "reception"], 0, "is removed");
    desk.check(&["token", "remove", "reception"], 3, "there is no token");
}

#[test]
fn routes_are_set_shown_and_reset_and_leave_a_trail() {
    let desk = Desk::new();
    desk.check(&ADD, 0, "");
    desk.check(
        &["extension", "add", "2000@lab.test", "--device", "2001"],
        0,
        "",
    );
    let set = |more: &[&'static str]| [&["route", "set", "1000@lab.test"], more].concat();
    desk.check(&set(&["1002"]), 0, "1000@lab.test: only 1002");
    desk.check(
        &set(&["2000", "--next-call"]),
        0,
        "extension 2000 for the next call",
    );
    let until = ["1002", "--until", "2999-12-24T18:00:00+01:00"];
    desk.check(&set(&until), 0, "only 1002 until 2999-12-24T17:00:00Z");
    desk.check(
        &set(&["1002", "--until", "2001-01-01T00:00:00Z"]),
        3,
        "not later than now",
    );
    desk.check(&set(&["1002", "--until", "tomorrow"]), 2, "neither a time");
    desk.check(
        &set(&["1002", "--until", "1h", "--next-call"]),
        2,
        "cannot be used with",
    );
    desk.check(
        &set(&["2001"]),
        3,
        "2001@lab.test is a device of another extension",
    );
    desk.check(&set(&["3000"]), 3, "3000 is no device of this extension");
    desk.check(&set(&["1000"]), 3, "would lead back to 1000@lab.test");
    desk.check(
        &["route", "show", "1000@lab.test"],
        0,
        "only 1002 until 2999",
    );
    desk.check(&["route", "reset", "1000@lab.test"], 0, "all devices");
    desk.check(
        &["route", "reset", "1000@lab.test"],
        0,
        "all devices, as before",
    );
    desk.check(&["route", "history", "1000@lab.test"], 0, "cli:alice");
    desk.check(
        &["route", "history", "9@lab.test"],
        3,
        "there is no extension",
    );
}

#[test]
fn a_domain_may_be_closed_to_routes_to_colleagues() {
    let desk = Desk::new();
    for (extension, device) in [("1000@closed.test", "1001"), ("2000@closed.test", "2001")] {
        desk.check(&["extension", "add", extension, "--device", device], 0, "");
    }
    let set = ["route", "set", "1000@closed.test", "2000"];
    desk.check(&set, 3, "routes to colleagues are switched off");
}

#[test]
fn what_asks_a_controller_says_that_there_is_none() {
    let desk = Desk::new();
    desk.check(&ADD, 0, "");
    desk.check(
        &["calls"],
        4,
        "the controller does not answer at http://127.0.0.1:1/v1/calls",
    );
    let why = desk.run(&["why", "1000@lab.test"]);
    assert_eq!(why.status.code(), Some(4));
    let out = String::from_utf8_lossy(&why.stdout);
    assert!(
        out.contains("An inbound call rings 1001@lab.test, 1002@lab.test."),
        "{out}"
    );
    desk.check(
        &["why", "9@lab.test"],
        3,
        "there is no extension 9@lab.test",
    );

    let doctor = desk.run(&["doctor", "--json"]);
    assert_eq!(doctor.status.code(), Some(1));
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    let verdicts: Vec<(&str, &str)> = findings
        .iter()
        .filter_map(|f| Some((f["subject"].as_str()?, f["verdict"].as_str()?)))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("store", "good"),
            ("controller", "broken"),
            ("freeswitch", "broken")
        ]
    );
    assert!(
        findings[2]["cure"]
            .as_str()
            .unwrap()
            .starts_with("start FreeSWITCH"),
        "{findings:?}"
    );
}

#[test]
fn the_dialplan_is_printed_and_installed() {
    let desk = Desk::new();
    let url = "callhop_url=http://127.0.0.1:1/freeswitch/freeswitch\"";
    desk.check(&["dialplan", "show", "freeswitch"], 0, url);
    desk.check(
        &["dialplan", "show", "freeswitch"],
        0,
        "callhop_domain=closed.test\"",
    );
    // The code of a push is told to each leg: the file has none.
    let show = desk.run(&["dialplan", "show", "freeswitch"]);
    let shown = String::from_utf8_lossy(&show.stdout);
    assert!(
        shown.contains("<extension name=\"callhop_push\">"),
        "{shown}"
    );
    assert!(!shown.contains("*9"), "{shown}");
    desk.check(
        &["dialplan", "show", "freeswitch-inbound"],
        0,
        "callhop_hunt XML ${context}",
    );
    let install = ["dialplan", "install", "freeswitch", "."];
    desk.check(&install, 0, "callhop.xml is written.");
    desk.check(&install, 0, "is up to date");
    std::fs::write(desk.path().join("callhop.xml"), "<include/>").unwrap();
    desk.check(&install, 3, "was not written by Callhop");
    desk.check(
        &["dialplan", "install", "freeswitch", "none"],
        3,
        "is not a folder",
    );
    let other = ["dialplan", "show", "freeswitch", "--switch", "other"];
    desk.check(&other, 3, "there is no switch other, only freeswitch");
}

#[test]
fn the_doctor_tells_who_may_be_called_at_the_sites_cost() {
    let desk = Desk::new();
    let text = "[http]\nlisten = '127.0.0.1:1'\n[[freeswitch]]\naddress = '127.0.0.1:1'\n\
                outside = 'sofia/gateway/trunk/{number}'\n[push]\nallow = ['.*']\n";
    std::fs::write(desk.path().join("callhop.toml"), text).unwrap();
    let doctor = desk.run(&["doctor", "--json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(findings[0]["subject"], "configuration");
    assert_eq!(findings[0]["verdict"], "doubtful");
    let what = findings[0]["what"].as_str().unwrap();
    assert!(what.contains("(.*) fits every number"), "{what}");
}

#[test]
fn the_configuration_is_checked() {
    let desk = Desk::new();
    desk.check(&["config", "check"], 0, "[push]\nallow = []");
    desk.check(&["config", "check"], 0, "password = \"(hidden)\"");
    let named = ["--config", "callhop.toml", "config", "check"];
    desk.check(&named, 0, "# callhop.toml is usable");
    std::fs::write(desk.path().join("callhop.toml"), "[store]\nurl = 1\n[x]\n").unwrap();
    desk.check(&["config", "check"], 2, "line 2: store.url: this is a text");
    desk.check(&["config", "check"], 2, "line 3: x: there is no such key");
    desk.check(&["run"], 2, "line 2: store.url");
    let push = "[push]\nallow = ['0.*']\nhold_sound = 'x::y'\n";
    std::fs::write(desk.path().join("callhop.toml"), push).unwrap();
    let no_way = "line 2: push.allow: the switch freeswitch has no outside";
    desk.check(&["config", "check"], 2, no_way);
    desk.check(
        &["config", "check"],
        2,
        "line 3: push.hold_sound: sound: '::' makes it",
    );
    desk.check(
        &["--config", "none.toml", "run"],
        2,
        "none.toml cannot be read",
    );
}

#[test]
fn an_import_asks_the_switch_that_is_meant() {
    let desk = Desk::new();
    let import = ["import", "freeswitch"];
    desk.check(&import, 4, "the switch freeswitch at 127.0.0.1:1");
    let other = [&import[..], &["--switch", "other"]].concat();
    desk.check(&other, 3, "there is no FreeSWITCH other, only freeswitch");
    let several = "[[freeswitch]]\nname = 'a'\n[[freeswitch]]\nname = 'b'\n";
    std::fs::write(desk.path().join("callhop.toml"), several).unwrap();
    desk.check(&import, 3, "name one with --switch: a, b");
}

#[test]
fn the_guide_has_the_codes_and_extensions_of_one_domain() {
    let desk = Desk::new();
    // closed.test has settings, and no extension yet.
    let guide = ["guide"];
    desk.check(&guide, 0, "Calls between your devices: closed.test");
    desk.check(&ADD, 0, "");
    desk.check(
        &guide,
        2,
        "there are several domains, name one with --domain: closed.test, lab.test",
    );
    let lab = ["guide", "--domain", "lab.test"];
    desk.check(&lab, 0, "  *331002  The same");
    desk.check(&[&lab[..], &["--html"]].concat(), 0, "<!DOCTYPE html>");
}

/// Packages are built where there is no configuration, and a broken one takes no completion away.
#[test]
fn completions_and_pages_need_no_configuration() {
    let desk = Desk::new();
    std::fs::write(desk.path().join("callhop.toml"), "nonsense").unwrap();
    desk.check(&["config", "check"], 2, "callhop.toml is not usable");
    desk.check(&["completions", "bash"], 0, "_callhop()");
    desk.check(&["completions", "zsh"], 0, "#compdef callhop");
    desk.check(&["completions", "fish"], 0, "complete -c callhop");
    desk.check(
        &["completions", "csh"],
        2,
        "possible values: bash, fish, zsh",
    );
    desk.check(&["man", "share/man1"], 0, "");
    assert!(desk.path().join("share/man1/callhop-guide.1").is_file());
    desk.check(&["man", "callhop.toml"], 1, "cannot be written");
}

/// Issue 2, 12: refused with a clear error, nothing executed.
#[test]
fn hostile_words_are_refused() {
    let desk = Desk::new();
    desk.check(&ADD, 0, "");
    let long = "1".repeat(300);
    for word in [
        "${system(touch x)}",
        "1002%0a",
        "1002;x",
        "1|2",
        "[1]",
        "'1'",
        "\"1\"",
        "1\n2",
        "",
        " ",
        &long,
    ] {
        let extension = format!("{word}@lab.test");
        let domain = format!("1000@{word}{word}");
        for line in [
            vec!["extension", "add", "3000@lab.test", "--device", word],
            vec!["extension", "add", &extension, "--device", "3001"],
            vec!["extension", "remove", &domain],
            vec!["route", "set", "1000@lab.test", word],
            vec!["why", &extension],
        ] {
            desk.check(&line, 2, "error: invalid value");
        }
    }
    let list = desk.run(&["extension", "list"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout).lines().count(), 2);
}

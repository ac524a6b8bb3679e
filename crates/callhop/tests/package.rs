//! What is in the package, as far as it can go stale: the example of the configuration, the unit's words, and what systemd is
//! told.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use callhop::config::{Asterisk, Config, Environment, read};
use serde_json::Value;

const EXAMPLE: &str = include_str!("../package/callhop.toml");
const UNIT: &str = include_str!("../package/callhop.service");

#[track_caller]
fn config(text: &str) -> Config {
    read(text, Path::new("/etc/callhop"), &Environment::new())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// The example with the lines uncommented that begin so and are TOML.
fn uncommented(marks: &[&str]) -> String {
    let is_toml = |line: &str| {
        let key = line.split_once(" = ").map(|(key, _)| key);
        let is_key =
            key.is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        is_key || (line.starts_with('[') && line.ends_with(']'))
    };
    let line = |line: &'static str| {
        let found = marks.iter().find_map(|mark| line.strip_prefix(mark));
        found.filter(|line| is_toml(line)).unwrap_or(line)
    };
    EXAMPLE.lines().map(|l| line(l).to_owned() + "\n").collect()
}

/// `freeswitch.password` and the like, of every key that there is.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !path.ends_with(".endpoints") => {
            for (key, value) in map {
                keys(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for value in values {
                keys(value, path, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(config(EXAMPLE), config(""));
    assert_eq!(config(&uncommented(&["#"])), config(""));
}

#[test]
fn the_examples_in_the_example_are_good_and_have_every_key() {
    // What is in a file of its own cannot be there twice, and that file is not here.
    let text: String = uncommented(&["# ", "#"])
        .lines()
        .filter(|line| !line.contains("_file = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let all = config(&text);
    let asterisk = Asterisk {
        secret: all.asterisk[0].secret.clone(),
        endpoints: all.asterisk[0].endpoints.clone(),
        tls_ca: all.asterisk[0].tls_ca.clone(),
        outside: all.asterisk[0].outside.clone(),
        ..Asterisk::default()
    };
    assert_eq!(all.asterisk, [asterisk]);
    let domain = "example.com".parse().unwrap();
    assert!(all.domains.contains_key(&domain));
    assert_eq!(
        all.policy(&domain).unregistered,
        config("").policy(&domain).unregistered
    );

    let mut there = BTreeSet::new();
    let parsed: Value = toml::from_str(&text).unwrap();
    keys(&parsed, "", &mut there);
    let mut wanted = BTreeSet::new();
    keys(&all.effective(), "", &mut wanted);
    // A domain's own codes and pushes take the keys of all domains.
    let inherited =
        |key: &String| key.contains(".example.com.features.") || key.contains(".example.com.push.");
    let missing: Vec<&String> = wanted
        .iter()
        .filter(|key| !there.contains(*key) && !inherited(key))
        .collect();
    assert!(missing.is_empty(), "the example lacks {missing:?}");
}

/// A program that was started as systemd would.
struct Service {
    child: Child,
    manager: UnixDatagram,
    /// Where it runs and keeps its database.
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(watchdog_usec: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_callhop"));
        command
            .arg("run")
            .current_dir(folder.path())
            .env_clear()
            .env("CALLHOP_HTTP__LISTEN", "127.0.0.1:0")
            .env("CALLHOP_FREESWITCH__FREESWITCH__ADDRESS", "127.0.0.1:1")
            .env("NOTIFY_SOCKET", folder.path().join("notify"));
        if let Some(usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", usec);
        }
        Self {
            child: command.spawn().unwrap(),
            manager: socket,
            _folder: folder,
        }
    }

    fn told(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn systemd_is_told_what_happens() {
    let mut service = Service::start(Some("300000"));
    assert_eq!(service.told(), "STATUS=waiting for the database\n");
    // The switch is not there: that does not keep it from being ready.
    let mut told = vec![service.told(), service.told(), service.told()];
    told.sort();
    assert_eq!(
        told,
        ["READY=1\nSTATUS=ready\n", "WATCHDOG=1\n", "WATCHDOG=1\n"]
    );
    service.signal("TERM");
    let stopping = std::iter::repeat_with(|| service.told()).find(|told| told != "WATCHDOG=1\n");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1\n"));
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_watchdog_it_is_not_fed() {
    let service = Service::start(None);
    assert_eq!(service.told(), "STATUS=waiting for the database\n");
    assert_eq!(service.told(), "READY=1\nSTATUS=ready\n");
    service.signal("TERM");
    assert_eq!(service.told(), "STOPPING=1\n");
}

#[test]
fn the_unit_calls_what_there_is() {
    let start = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    assert_eq!(
        start,
        Some("/usr/bin/callhop --config /etc/callhop/callhop.toml run")
    );
    // Exit code 2 is a wrong configuration.
    assert!(UNIT.contains("\nRestartPreventExitStatus=2\n"));
    assert!(UNIT.contains("\nStateDirectory=callhop\n"));
}

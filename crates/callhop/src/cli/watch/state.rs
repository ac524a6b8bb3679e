//! What `callhop watch` knows: the picture that `/v1/events` tells of, and how the link to the controller is.
//!
//! Owns the values and how an event changes them. Refuses I/O and clocks. Words such as the state of a leg are an open set here:
//! a controller of another version may have more of them, and they are shown as they come.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// Everything that is shown.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) status: Status,
    pub(super) switches: Vec<Switch>,
    pub(super) calls: Vec<Call>,
    pub(super) moves: Vec<Move>,
    /// By domain, then by number: `sort_key`.
    pub(super) extensions: BTreeMap<(String, usize, String), Extension>,
}

/// What stands in the data of an event. `None`: as it was.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    status: Option<Status>,
    switches: Option<Vec<Switch>>,
    calls: Option<Vec<Call>>,
    moves: Option<Vec<Move>>,
    extensions: Vec<Extension>,
    removed: Vec<String>,
}

/// How the controller is.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) database: Option<bool>,
    /// There are more extensions than are told of.
    pub(super) more: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Switch {
    pub(super) name: String,
    pub(super) fresh: bool,
    #[serde(default)]
    pub(super) legs: u64,
    #[serde(default)]
    pub(super) moves: u64,
    pub(super) lag_ms: Option<u64>,
    pub(super) since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Call {
    pub(super) switch: String,
    pub(super) legs: Vec<Leg>,
    pub(super) moving: Option<Moving>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Leg {
    pub(super) channel: String,
    pub(super) device: Option<String>,
    #[serde(default)]
    pub(super) party: Party,
    pub(super) state: String,
}

#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Party {
    pub(super) number: String,
    pub(super) name: String,
}

/// A move under way.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Moving {
    pub(super) kind: String,
    pub(super) extension: String,
    pub(super) stage: String,
    pub(super) to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Extension {
    pub(super) id: String,
    pub(super) route: Route,
    pub(super) devices: Vec<Device>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Route {
    pub(super) rings: String,
    pub(super) to: Option<String>,
    pub(super) until: Option<String>,
    #[serde(default)]
    pub(super) next_call: bool,
    pub(super) in_force: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Device {
    pub(super) device: String,
    pub(super) switches: Vec<OnSwitch>,
}

/// A device on one switch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct OnSwitch {
    pub(super) fresh: bool,
    pub(super) registered: u64,
    pub(super) state: String,
}

/// One of the latest moves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Move {
    pub(super) kind: String,
    pub(super) extension: String,
    pub(super) from: String,
    pub(super) to: Option<String>,
    pub(super) stage: String,
    pub(super) started: String,
    pub(super) outcome: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) took_ms: Option<u64>,
    pub(super) gap_ms: Option<u64>,
}

/// How the link to the controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Events come.
    Live,
    /// The controller does not answer, or has closed the stream.
    Away {
        /// Why, in words.
        why: String,
        /// After how long it is asked again, counted from when this was found.
        again: Duration,
    },
}

/// An event of the stream.
#[derive(Debug)]
pub(super) enum Told {
    /// Everything there is: what was known before counts no longer.
    Snapshot(Change),
    /// What is different.
    Change(Change),
}

impl Picture {
    pub(super) fn apply(&mut self, told: Told) {
        let change = match told {
            Told::Snapshot(all) => {
                *self = Self::default();
                all
            }
            Told::Change(change) => change,
        };
        let Change {
            status,
            switches,
            calls,
            moves,
            extensions,
            removed,
        } = change;
        if let Some(status) = status {
            self.status = status;
        }
        if let Some(switches) = switches {
            self.switches = switches;
        }
        if let Some(calls) = calls {
            self.calls = calls;
        }
        if let Some(moves) = moves {
            self.moves = moves;
        }
        for one in extensions {
            self.extensions.insert(sort_key(&one.id), one);
        }
        for id in removed {
            self.extensions.remove(&sort_key(&id));
        }
    }
}

/// Domains by the alphabet, numbers in the order of people: 99 before 100.
fn sort_key(id: &str) -> (String, usize, String) {
    let (number, domain) = id.split_once('@').unwrap_or((id, ""));
    (domain.to_owned(), number.len(), number.to_owned())
}

impl Extension {
    /// Where its calls ring, in words, and until when.
    pub(super) fn rings(&self) -> Vec<String> {
        let route = &self.route;
        let to = number(route.to.as_deref().unwrap_or_default());
        let mut texts = match (route.rings.as_str(), route.in_force) {
            ("all_devices", _) | (_, false) => return vec![String::from("all devices")],
            ("device", true) => vec![format!("only {to}")],
            (_, true) => vec![format!("where {to} rings")],
        };
        if let Some(until) = &route.until {
            texts.push(format!("until {}", until.replace('T', " ")));
        }
        if route.next_call {
            texts.push(String::from("for the next call"));
        }
        texts
    }
}

impl Device {
    /// What it does; of several switches what counts most. An idle one says how often it is registered.
    pub(super) fn does(&self) -> String {
        const ORDER: [&str; 6] = ["idle", "alone", "calling", "ringing", "held", "talking"];
        // A word of a newer controller counts most, so that it is seen.
        let place = |state: &str| ORDER.iter().position(|word| *word == state);
        let best = self.switches.iter().map(|on| on.state.as_str());
        let best = best.max_by_key(|state| place(state).unwrap_or(ORDER.len()));
        let registered: u64 = self.switches.iter().map(|on| on.registered).sum();
        let mut text = match (best, registered) {
            (Some("alone"), _) => String::from("busy"),
            (Some(state), _) if state != "idle" => words(state),
            (_, 0) => String::from("not registered"),
            (_, 1) => String::from("registered"),
            (_, several) => format!("registered {several} times"),
        };
        if self.switches.iter().any(|on| !on.fresh) {
            text += " (stale)";
        }
        text
    }
}

impl Leg {
    /// Who is at it.
    pub(super) fn who(&self) -> String {
        let Party { number, name } = &self.party;
        match &self.device {
            Some(device) => device.clone(),
            None if number.is_empty() => self.channel.clone(),
            None if name.is_empty() || name == number => number.clone(),
            None => format!("{number} ({name})"),
        }
    }
}

impl Moving {
    /// `push by 1000@example.com, ringing 2001`.
    pub(super) fn text(&self) -> String {
        let to = self.to.as_deref().unwrap_or_default();
        let text = format!(
            "{} by {}, {} {to}",
            words(&self.kind),
            self.extension,
            words(&self.stage)
        );
        text.trim_end().to_owned()
    }
}

impl Move {
    /// How it ended, or how far it has come.
    pub(super) fn result(&self) -> String {
        words(self.outcome.as_ref().unwrap_or(&self.stage))
    }
}

/// A word of the API as people read it.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// The number of a device or an extension.
pub(super) fn number(id: &str) -> &str {
    id.split_once('@').map_or(id, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn change(data: Value) -> Change {
        serde_json::from_value(data).unwrap()
    }

    fn extension(id: &str, state: &str) -> Value {
        json!({
            "id": id, "version": 1,
            "route": {"rings": "all_devices", "to": null, "until": null, "next_call": false, "in_force": true},
            "devices": [{"device": "1001@lab.test", "switches": [
                {"switch": "lab", "fresh": true, "registered": 1, "state": state, "calls": 0}]}],
        })
    }

    #[test]
    fn a_change_changes_what_it_names_and_a_snapshot_all() {
        let mut picture = Picture::default();
        picture.apply(Told::Snapshot(change(json!({
            "status": {"version": "1", "database": true, "more": false},
            "switches": [{"name": "lab", "fresh": true, "legs": 0, "moves": 0, "late_events": 0}],
            "calls": [], "moves": [],
            "extensions": [extension("100@b", "idle"), extension("99@b", "idle"), extension("1@c", "idle")],
        }))));
        let ids = |picture: &Picture| {
            let ids: Vec<_> = picture.extensions.values().map(|e| e.id.clone()).collect();
            ids.join(" ")
        };
        assert_eq!(ids(&picture), "99@b 100@b 1@c");
        picture.apply(Told::Change(change(
            json!({"extensions": [extension("99@b", "talking")], "removed": ["1@c"]}),
        )));
        assert_eq!(ids(&picture), "99@b 100@b");
        let first = picture.extensions.values().next().unwrap();
        assert_eq!(first.devices[0].does(), "talking");
        assert_eq!(picture.switches.len(), 1);
        picture.apply(Told::Snapshot(change(json!({}))));
        assert_eq!(picture, Picture::default());
    }

    #[test]
    fn a_device_does_what_counts_most() {
        let check = |on: &[(&str, u64, bool)], expect: &str| {
            let switches = on.iter().map(|(state, registered, fresh)| OnSwitch {
                fresh: *fresh,
                registered: *registered,
                state: (*state).to_owned(),
            });
            let device = Device {
                device: "1001@lab.test".into(),
                switches: switches.collect(),
            };
            assert_eq!(device.does(), expect);
        };
        check(&[], "not registered");
        check(&[("idle", 0, true)], "not registered");
        check(
            &[("idle", 1, true), ("idle", 1, false)],
            "registered 2 times (stale)",
        );
        check(
            &[
                ("ringing", 1, true),
                ("talking", 1, true),
                ("idle", 0, true),
            ],
            "talking",
        );
        check(&[("alone", 1, true)], "busy");
        check(
            &[("talking", 1, true), ("being_parked", 1, true)],
            "being parked",
        );
    }

    #[test]
    fn a_route_is_told_in_words() {
        let check = |route: Value, expect: &str| {
            let mut one = extension("1000@lab.test", "idle");
            one["route"] = route;
            let one: Extension = serde_json::from_value(one).unwrap();
            assert_eq!(one.rings().join(", "), expect);
        };
        let to = |rings: &str, to: &str| json!({"rings": rings, "to": to, "until": null, "next_call": false, "in_force": true});
        check(to("device", "1002@lab.test"), "only 1002");
        check(to("colleague", "2000@lab.test"), "where 2000 rings");
        let mut ends = to("device", "1002@lab.test");
        ends["until"] = "2026-11-28T18:00:00Z".into();
        ends["next_call"] = true.into();
        check(
            ends.clone(),
            "only 1002, until 2026-11-28 18:00:00Z, for the next call",
        );
        ends["in_force"] = false.into();
        check(ends, "all devices");
    }

    #[test]
    fn who_is_at_a_leg_is_its_device_or_whom_the_switch_shows() {
        let check = |device: Option<&str>, number: &str, name: &str, expect: &str| {
            let leg = Leg {
                channel: "c".into(),
                device: device.map(str::to_owned),
                party: Party {
                    number: number.into(),
                    name: name.into(),
                },
                state: "talking".into(),
            };
            assert_eq!(leg.who(), expect);
        };
        check(Some("1001@lab.test"), "1001", "Desk", "1001@lab.test");
        check(None, "901", "Carol", "901 (Carol)");
        check(None, "901", "901", "901");
        check(None, "", "Carol", "c");
    }
}

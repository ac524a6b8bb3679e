//! Lamps: what each switch is told, and when; and what pressing a key does.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::time::Duration;

use callhop_calls::core::Input;
use callhop_calls::directory::RouteEnd;
use callhop_calls::id::UnixTime;
use callhop_calls::lamp::Lamp;
use callhop_calls::routing::Policy;
use support::{START, StoreMood, World, check, ending, extension, route};

/// A world that has been read, and whose lamps have been told.
fn world() -> World {
    let mut w = World::new();
    w.read_database();
    w.lamps();
    w
}

fn here(name: &str) -> Lamp {
    let domain = extension("1000").domain;
    Lamp::parse(&format!("callhop+{name}"), &domain).unwrap()
}

#[test]
fn only_what_has_changed_is_told() {
    let mut w = world();
    w.set_route("1000", Some(route("device 1002")));
    assert_eq!(w.lamps(), "+1000 +1000*1002");
    w.set_route("1000", Some(route("device 1003")));
    assert_eq!(w.lamps(), "-1000*1002 +1000*1003");
    w.set_route("1000", Some(route("device 1003")));
    assert_eq!(w.lamps(), "");
    w.set_route("1000", Some(route("extension 2000")));
    assert_eq!(w.lamps(), "-1000*1003 +1000*2000");
    // The colleague's own route is another lamp.
    w.set_route("2000", Some(route("device 2001")));
    assert_eq!(w.lamps(), "+2000 +2000*2001");
    w.remove("1000");
    assert_eq!(w.lamps(), "-1000 -1000*2000");
}

#[test]
fn a_route_that_ends_lets_its_lamps_go_out() {
    let mut w = world();
    let end = RouteEnd::At(UnixTime(START + 60));
    w.set_route("1000", Some(ending("device 1002", end)));
    assert_eq!(w.lamps(), "+1000 +1000*1002");
    w.pass(Duration::from_secs(60));
    w.tell(Input::Timer);
    assert_eq!(w.lamps(), "-1000 -1000*1002");
    w.set_route("1000", Some(ending("device 1002", RouteEnd::NextCall)));
    assert_eq!(w.lamps(), "+1000 +1000*1002");
    w.hunts("1000");
    assert_eq!(w.lamps(), "-1000 -1000*1002");
    // A device that is taken away from it: all others ring again.
    w.set_route("1000", Some(route("device 1002")));
    w.lamps();
    w.have("1000", &["1001", "1003"]);
    assert_eq!(w.lamps(), "-1000 -1000*1002");
}

#[test]
fn a_switch_that_keeps_no_list_is_told_of_every_lamp() {
    let mut w = world();
    w.set_route("1000", Some(route("device 1002")));
    w.link_down();
    w.lamps();
    w.set_route("2000", Some(route("extension 1000")));
    assert_eq!(w.lamps(), "", "nobody can be told");
    w.resync();
    let told = w.lamps();
    assert!(
        told.starts_with("+1000 +1000*1002 +2000 +2000*1000 -"),
        "{told}"
    );
    let mut told: Vec<&str> = told.split(' ').collect();
    assert!(told.contains(&"-1000*1001") && told.contains(&"-2000*2002"));
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), count, "one was told twice");
    // 10 extensions and one next door, 7 + 7 devices and 2 there, and the colleague.
    assert_eq!(count, 11 + 16 + 1);
}

#[test]
fn a_switch_that_keeps_them_is_told_the_difference() {
    let mut w = world();
    w.set_route("1000", Some(route("device 1002")));
    w.link_down();
    w.set_route("1000", Some(route("device 1003")));
    w.lamps();
    let switch: callhop_calls::id::SwitchName = "fs1".parse().unwrap();
    let lit = ["1000", "1000*1002", "9000"].map(here).to_vec();
    w.tell(Input::LampsRead(switch, lit));
    w.resync();
    assert_eq!(w.lamps(), "+1000*1003 -1000*1002 -9000");
}

#[test]
fn nothing_is_told_before_the_database_has_been_read() {
    let mut w = World::new();
    let switch: callhop_calls::id::SwitchName = "fs1".parse().unwrap();
    w.resync();
    w.tell(Input::LampAsked(switch.clone(), here("1000")));
    assert_eq!(w.lamps(), "");
    w.read_database();
    assert!(w.lamps().contains("-1000*1001"));
    // A phone that subscribes later is answered, whatever it has subscribed to.
    w.set_route("1000", Some(route("device 1002")));
    w.lamps();
    for name in ["1000", "1000*1002", "1000*1001", "1000*77", "77*1"] {
        w.tell(Input::LampAsked(switch.clone(), here(name)));
    }
    assert_eq!(w.lamps(), "+1000 +1000*1002 -1000*1001 -1000*77 -77*1");
}

#[test]
fn a_key_sets_the_route_and_resets_it() {
    let press = |name: &str, key: &'static str, expect: &str| {
        check(name, |w| w.dials("c=1001", key), expect);
    };
    press("any route", "callhop+1000", "store 1000 to 1001, beep");
    press("a device", "callhop+1000*1002", "store 1000 to 1002, beep");
    press(
        "a colleague",
        "callhop+1000*2000",
        "store 1000 to extension 2000, beep",
    );
    press(
        "of somebody else",
        "callhop+2000*2001",
        "refuse foreign_lamp",
    );
    press("of nobody", "callhop+9999", "refuse foreign_lamp");
    press(
        "foreign device",
        "callhop+1000*2001",
        "refuse foreign_device",
    );
    press(
        "unknown number",
        "callhop+1000*9999",
        "refuse unknown_number",
    );
    press("no name", "callhop+1000*1-2", "refuse not_a_code");
    press("nothing", "callhop+", "refuse not_a_code");
    for (key, then) in [
        ("callhop+1000", "store 1000 reset, beep"),
        ("callhop+1000*1002", "store 1000 reset, beep"),
        ("callhop+1000*1003", "store 1000 to 1003, beep"),
    ] {
        let lit = |w: &mut World| {
            w.set_route("1000", Some(route("device 1002")));
            w.dials("c=1001", key);
        };
        check(key, lit, then);
    }
    check(
        "without an account",
        |w| w.dials("c", "callhop+1000"),
        "refuse not_authenticated",
    );
    check(
        "in a circle",
        |w| {
            w.set_route("2000", Some(route("extension 1000")));
            w.dials("c=1001", "callhop+1000*2000");
        },
        "refuse route_loops",
    );
    check(
        "without a database",
        |w| {
            w.store = StoreMood::Down;
            w.dials("c=1001", "callhop+1000");
        },
        "store 1000 to 1001, refuse store_unavailable",
    );
}

#[test]
fn colleagues_that_are_off_are_off_for_keys() {
    let mut w = World::with(Policy {
        colleagues: false,
        ..Policy::default()
    });
    w.dials("c=1001", "callhop+1000*2000");
    assert_eq!(w.said(), "refuse colleagues_off");
}

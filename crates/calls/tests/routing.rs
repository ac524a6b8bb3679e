//! Cold routing and hunting: every rule of DESIGN 2.5, what 2.6 asks of the core, and the routing snapshot on the switch.

mod support;

use std::time::Duration;

use callhop_calls::directory::{Directory, Extension, Route, RouteEnd};
use callhop_calls::id::UnixTime;
use callhop_calls::routing::{Policy, Unregistered};
use support::{START, StoreMood, World, check, ending, extension, route};

/// These routes are set, 1000 is called; it rings there, and the same is on the switch.
fn rings(routes: &[(&str, &str)], expect: &str) {
    let mut w = World::new();
    for (id, target) in routes {
        w.set_route(id, Some(route(target)));
    }
    w.hunts("1000");
    assert_eq!(w.said(), format!("ring {expect}"), "{routes:?}");
    assert_eq!(w.hash("1000"), expect, "{routes:?}, in the snapshot");
}

#[test]
fn rule_2_5_1_every_device_rings_at_the_same_time() {
    rings(&[], "1001 1002 1003");
    check(
        "a device of the same number",
        |w| w.hunts("3000"),
        "ring 3000 3001",
    );
    check(
        "next door",
        |w| w.hunts("1000@other.test"),
        "ring 1001@other.test 1002@other.test",
    );
    check("a device is no extension", |w| w.hunts("1001"), "no answer");
    check("nobody", |w| w.hunts("9999"), "no answer");
    check(
        "an extension without devices",
        |w| {
            w.have("5000", &[]);
            w.hunts("5000");
        },
        "no answer",
    );
}

#[test]
fn rule_2_5_2_star_codes_set_the_route() {
    for (code, said, then) in [
        ("*50", "store 1000 to 1002, beep", "ring 1002"),
        ("*491003", "store 1000 to 1003, beep", "ring 1003"),
        ("*491002", "store 1000 to 1002, beep", "ring 1002"),
        (
            "*492000",
            "store 1000 to extension 2000, beep",
            "ring 2001 2002",
        ),
        (
            "*493000",
            "store 1000 to extension 3000, beep",
            "ring 3000 3001",
        ),
        ("*51", "store 1000 reset, beep", "ring 1001 1002 1003"),
    ] {
        let story = |w: &mut World| {
            w.dials("d2=1002", code);
            w.hunts("1000");
        };
        check(code, story, &format!("{said}, {then}"));
    }
}

#[test]
fn rule_2_5_2_the_number_of_an_own_device_is_that_device() {
    check(
        "also when the extension has the same number",
        |w| {
            w.dials("d=3001", "*493000");
            w.hunts("3000");
        },
        "store 3000 to 3000, beep, ring 3000",
    );
}

#[test]
fn rule_2_5_2_reset_also_when_nothing_was_set() {
    check(
        "twice",
        |w| {
            w.dials("d1=1001", "*50");
            w.dials("d2=1002", "*51");
            w.dials("d3=1003", "*51");
            w.hunts("1000");
        },
        "store 1000 to 1001, beep, store 1000 reset, beep, store 1000 reset, beep, ring 1001 1002 1003",
    );
}

#[test]
fn rule_2_5_2_a_colleague_rings_as_their_own_route_says() {
    rings(&[("1000", "extension 2000")], "2001 2002");
    rings(
        &[("1000", "extension 2000"), ("2000", "device 2002")],
        "2002",
    );
    rings(
        &[
            ("1000", "extension 2000"),
            ("2000", "extension 3000"),
            ("3000", "device 3001"),
        ],
        "3001",
    );
}

#[test]
fn rule_2_5_2_a_chain_that_loops_or_is_too_long_is_refused_at_dialling() {
    let chain = |from: u16, to: u16| {
        move |w: &mut World| {
            for number in from..to {
                let next = format!("extension {}", number + 1);
                w.set_route(&number.to_string(), Some(route(&next)));
            }
        }
    };
    check(
        "two colleagues",
        |w| {
            w.set_route("2000", Some(route("extension 1000")));
            w.dials("d1=1001", "*492000");
        },
        "refuse route_loops",
    );
    check(
        "oneself",
        |w| w.dials("d1=1001", "*491000"),
        "refuse route_loops",
    );
    check(
        "over a third",
        |w| {
            w.set_route("2000", Some(route("extension 3000")));
            w.set_route("3000", Some(route("extension 1000")));
            w.dials("d1=1001", "*492000");
        },
        "refuse route_loops",
    );
    check(
        "five routes",
        |w| {
            chain(4000, 4004)(w);
            w.dials("d1=1001", "*494000");
            w.hunts("1000");
        },
        "store 1000 to extension 4000, beep, ring 4005",
    );
    check(
        "six routes",
        |w| {
            chain(4000, 4005)(w);
            w.dials("d1=1001", "*494000");
        },
        "refuse route_too_long",
    );
    check(
        "a circle of others",
        |w| {
            w.set_route("4000", Some(route("extension 4001")));
            w.set_route("4001", Some(route("extension 4000")));
            w.dials("d1=1001", "*494000");
        },
        "refuse route_too_long",
    );
    check(
        "a route that has ended is no part of a chain",
        |w| {
            let over = RouteEnd::At(UnixTime(START));
            w.set_route("2000", Some(ending("extension 1000", over)));
            w.dials("d1=1001", "*492000");
        },
        "store 1000 to extension 2000, beep",
    );
}

#[test]
fn rule_2_5_2_a_chain_that_loops_or_is_too_long_is_cut_at_routing() {
    rings(
        &[("1000", "extension 2000"), ("2000", "extension 1000")],
        "2001 2002",
    );
    rings(&[("1000", "extension 1000")], "1001 1002 1003");
    rings(
        &[
            ("1000", "extension 4000"),
            ("4000", "extension 4001"),
            ("4001", "extension 4002"),
            ("4002", "extension 4003"),
            ("4003", "extension 4004"),
            ("4004", "extension 4005"),
        ],
        "4005",
    );
    rings(
        &[
            ("1000", "extension 4000"),
            ("4000", "extension 4001"),
            ("4001", "extension 4002"),
            ("4002", "extension 1000"),
        ],
        "4003",
    );
    rings(&[("1000", "extension 9999")], "1001 1002 1003");
}

#[test]
fn a_device_that_comes_while_a_switch_is_read_is_asked_for() {
    // When the reading began the directory had not been read, so nobody was asked for.
    let mut w = World::unconnected(Policy::default());
    w.asked_for.clear();
    w.have("7000", &["7001"]);
    assert!(w.asked_for.contains("7001"), "{:?}", w.asked_for);
}

#[test]
fn rule_2_5_2_a_route_that_leads_nowhere_rings_the_devices_there() {
    let mut w = World::new();
    w.set_route("1000", Some(route("device 1003")));
    w.have("1000", &["1001", "1002"]);
    w.have("2000", &["2001", "2002", "1003"]);
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ask fs1 for 1003@lab.test, ask fs2 for 1003@lab.test, ring 1001 1002",
        "the device is somebody else's now"
    );
    w.set_route("1000", Some(route("extension 2000")));
    w.have("2000", &[]);
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ring 1001 1002",
        "the colleague has no device left"
    );
    w.have("2000", &["2001"]);
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ask fs1 for 2001@lab.test, ask fs2 for 2001@lab.test, ring 2001"
    );
    w.remove("2000");
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1001 1002", "the colleague has left");
}

#[test]
fn rule_2_5_2_colleagues_can_be_switched_off() {
    let mut w = World::with(Policy {
        colleagues: false,
        ..Policy::default()
    });
    w.dials("d1=1001", "*492000");
    w.dials("d2=1002", "*491003");
    assert_eq!(w.said(), "refuse colleagues_off, store 1000 to 1003, beep");
}

#[test]
fn rule_2_5_3_refused_with_nothing_changed() {
    for (code, refusal) in [
        ("*492001", "foreign_device"),
        ("*499999", "unknown_number"),
        ("*49", "not_a_code"),
        ("*4910 01", "not_a_code"),
        ("*501", "not_a_code"),
        ("*511", "not_a_code"),
    ] {
        let story = |w: &mut World| {
            w.set_route("1000", Some(route("device 1003")));
            w.dials("d2=1002", code);
            w.hunts("1000");
        };
        check(code, story, &format!("refuse {refusal}, ring 1003"));
    }
    check(
        "the number of somebody next door only",
        |w| {
            w.have("7000@other.test", &["7001"]);
            w.dials("d1=1001", "*497001");
            w.dials("d2=1001", "*497000");
        },
        "ask fs1 for 7001@other.test, ask fs2 for 7001@other.test, refuse unknown_number, refuse unknown_number",
    );
}

#[test]
fn rule_2_5_3_the_beep_comes_once_it_is_stored_and_the_refusal_if_it_is_not() {
    let mut w = World::new();
    w.store = StoreMood::Slow;
    w.dials("d1=1001", "*50");
    assert_eq!(w.said(), "store 1000 to 1001", "no beep yet");
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1001 1002 1003", "not in force yet");
    w.store_answers();
    w.hunts("1000");
    assert_eq!(w.said(), "beep, ring 1001");

    for (mood, refusal) in [
        (StoreMood::Down, "store_unavailable"),
        (StoreMood::Refuses, "store_refused"),
    ] {
        let story = |w: &mut World| {
            w.store = mood;
            w.dials("d1=1001", "*50");
            w.hunts("1000");
        };
        let expect = format!("store 1000 to 1001, refuse {refusal}, ring 1001 1002 1003");
        check(refusal, story, &expect);
    }
}

#[test]
fn rule_2_5_3_an_answer_of_the_store_counts_once() {
    use callhop_calls::core::{AskId, Input};
    let mut w = World::new();
    w.dials("d1=1001", "*50");
    w.tell(Input::RouteStored(AskId(1), Ok(())));
    w.tell(Input::RouteStored(AskId(77), Ok(())));
    assert_eq!(w.said(), "store 1000 to 1001, beep");
    assert_eq!(w.core.late_answers(), 2);
}

#[test]
fn rule_2_5_4_in_force_on_every_switch_at_the_next_call() {
    let mut w = World::new();
    w.dials("d1=1001", "*50");
    w.said();
    for switch in ["fs1", "fs2"] {
        w.on(switch).hunts("1000");
        assert_eq!(w.said(), "ring 1001", "{switch}");
        assert_eq!(w.hash("1000"), "1001", "{switch}");
    }
}

#[test]
fn rule_2_5_5_a_route_to_a_device_that_is_not_registered() {
    let story = |w: &mut World| {
        w.set_route("1000", Some(route("device 1002")));
        w.registers("1002", &[]);
        w.hunts("1000");
        let unregistered = w.hash("1000");
        w.registers("1002", &["sofia/internal/sip:1002@new"]);
        w.hunts("1000");
        format!("{}; snapshot {unregistered}, {}", w.said(), w.hash("1000"))
    };
    let strict = story(&mut World::new());
    assert_eq!(strict, "ring 1002?, ring 1002; snapshot 1002, 1002");
    let mut w = World::with(Policy {
        unregistered: Unregistered::RingAll,
        ..Policy::default()
    });
    assert_eq!(
        story(&mut w),
        "ring 1001 1002? 1003, ring 1002; snapshot 1001 1002 1003, 1002"
    );
}

#[test]
fn rule_2_5_5_a_colleague_whose_routed_device_is_not_registered() {
    let mut w = World::with(Policy {
        unregistered: Unregistered::RingAll,
        ..Policy::default()
    });
    w.set_route("1000", Some(route("extension 2000")));
    w.set_route("2000", Some(route("device 2001")));
    w.hunts("1000");
    w.registers("2001", &[]);
    w.hunts("1000");
    assert_eq!(w.said(), "ring 2001, ring 2001? 2002");
    assert_eq!(w.hash("1000"), "2001 2002");
}

#[test]
fn rule_2_5_6_a_route_until_a_time() {
    let mut w = World::new();
    let end = RouteEnd::At(UnixTime(START + 3600));
    w.set_route("1000", Some(ending("device 1002", end)));
    w.set_route("2000", Some(route("extension 1000")));
    w.pass(Duration::from_secs(3599));
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1002");
    w.pass(Duration::from_secs(1));
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ring 1001 1002 1003",
        "also before anybody was woken"
    );
}

#[test]
fn rule_2_5_6_the_snapshot_follows_when_a_route_ends() {
    let mut w = World::new();
    let at = |seconds| RouteEnd::At(UnixTime(START + seconds));
    w.set_route("1000", Some(ending("device 1002", at(60))));
    w.set_route("2000", Some(route("extension 1000")));
    w.set_route("3000", Some(ending("device 3001", at(90))));
    assert_eq!(w.hash("2000"), "1002");
    w.pass(Duration::from_secs(10));
    assert_eq!(w.sleep(), Duration::from_secs(50));
    assert_eq!(w.hash("1000"), "1001 1002 1003");
    assert_eq!(
        w.hash("2000"),
        "1001 1002 1003",
        "who leads there follows too"
    );
    assert_eq!(
        w.on("fs2").hash("1000"),
        "1001 1002 1003",
        "on every switch"
    );
    assert_eq!(w.hash("3000"), "3001");
    assert_eq!(w.sleep(), Duration::from_secs(30));
    assert_eq!(w.hash("3000"), "3000 3001");
    assert_eq!(w.core.next_timer(), None);
}

#[test]
fn rule_2_5_6_the_calendar_may_be_put_back() {
    let mut w = World::new();
    w.set_route(
        "1000",
        Some(ending("device 1002", RouteEnd::At(UnixTime(START + 60)))),
    );
    w.now.unix.0 -= 1000;
    assert_eq!(w.sleep(), Duration::from_secs(60), "planned before");
    assert_eq!(w.hash("1000"), "1002", "it has not ended yet");
    assert_eq!(w.sleep(), Duration::from_secs(1000));
    assert_eq!(w.hash("1000"), "1001 1002 1003");
}

#[test]
fn rule_2_5_6_a_route_ends_also_at_a_time_that_the_calendar_has_seen_before() {
    let mut w = World::new();
    let at = |seconds| RouteEnd::At(UnixTime(START + seconds));
    w.set_route("2000", Some(ending("device 2002", at(1000))));
    w.sleep();
    assert_eq!(w.hash("2000"), "2001 2002");
    w.now.unix.0 -= 900;
    w.set_route("1000", Some(ending("device 1002", at(600))));
    assert_eq!(w.hash("1000"), "1002");
    assert_eq!(w.sleep(), Duration::from_secs(500));
    assert_eq!(w.hash("1000"), "1001 1002 1003");
}

#[test]
fn rule_2_5_6_a_route_for_the_next_call_only() {
    let mut w = World::new();
    w.set_route("1000", Some(ending("device 1002", RouteEnd::NextCall)));
    assert_eq!(
        w.hash("1000"),
        "1002",
        "the snapshot knows it: a call may come while nobody answers"
    );
    w.hunts("1000");
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ring 1002, route of 1000 used up, ring 1001 1002 1003",
        "two calls at once don't both ring by it"
    );
    assert_eq!(w.hash("1000"), "1001 1002 1003");
    assert_eq!(w.on("fs2").hash("1000"), "1001 1002 1003");
}

#[test]
fn rule_2_5_6_a_colleagues_route_for_the_next_call_is_used_up_by_who_leads_there() {
    let mut w = World::new();
    w.set_route("1000", Some(route("extension 2000")));
    w.set_route("2000", Some(ending("device 2002", RouteEnd::NextCall)));
    w.hunts("1000");
    w.hunts("2000");
    assert_eq!(w.said(), "ring 2002, route of 2000 used up, ring 2001 2002");
    assert_eq!(w.hash("1000"), "2001 2002");
}

#[test]
fn rule_2_5_6_asking_why_uses_nothing_up() {
    let mut w = World::new();
    w.set_route("1000", Some(ending("device 1002", RouteEnd::NextCall)));
    let hunt = w
        .core
        .explain(&"fs1".parse().unwrap(), &extension("1000"))
        .unwrap();
    assert_eq!(hunt.targets, [support::device("1002")]);
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1002, route of 1000 used up");
}

#[test]
fn rule_2_6_all_contacts_of_each_device() {
    let mut w = World::new();
    w.registers("1001", &["sofia/internal/sip:a", "sofia/internal/sip:b"]);
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1001x2 1002 1003");
}

#[test]
fn rule_2_6_a_stale_switch_is_still_answered() {
    let mut w = World::new();
    w.link_down();
    w.hunts("1000");
    w.dials("d2=1002", "*50");
    w.hunts("1000");
    w.dials("d1=1001", "*33");
    assert_eq!(
        w.said(),
        "ring 1001 1002 1003, store 1000 to 1002, beep, ring 1002, refuse stale"
    );
    assert_eq!(w.hash("1000"), "1001 1002 1003", "it can't be written now");
    w.resync();
    assert_eq!(w.hash("1000"), "1002");
}

const ALL: &str = "1000 1000@other.test 2000 3000 4000 4001 4002 4003 4004 4005 4006";

#[test]
fn snapshot_a_fresh_switch_gets_everything_again() {
    let mut w = World::new();
    assert_eq!(w.hashed(), ALL);
    w.link_down();
    w.restart_switch();
    w.resync();
    assert_eq!(w.hashed(), ALL);
}

#[test]
fn snapshot_only_what_has_changed_is_written() {
    let mut w = World::new();
    w.set_route("2000", Some(route("extension 1000")));
    w.set_route("4000", Some(route("extension 2000")));
    let mut written = |what: &str, change: &dyn Fn(&mut World), expect: &str| {
        w.forget_hash();
        change(&mut w);
        assert_eq!(w.hashed(), expect, "{what}");
    };
    written("the same again", &|w| w.set_route("1000", None), "");
    written(
        "a route",
        &|w| w.set_route("1000", Some(route("device 1001"))),
        "1000 2000 4000",
    );
    written(
        "a contact of a device that does not ring",
        &|w| w.registers("1003", &["sofia/x"]),
        "",
    );
    written(
        "a contact of one that does",
        &|w| w.registers("1001", &["sofia/x"]),
        "1000 2000 4000",
    );
    written(
        "the same contact",
        &|w| w.registers("1001", &["sofia/x"]),
        "",
    );
    written(
        "a device of nobody",
        &|w| w.registers("9999", &["sofia/x"]),
        "",
    );
    written(
        "next door",
        &|w| w.registers("1001@other.test", &["sofia/x"]),
        "1000@other.test",
    );
    written(
        "the whole directory again",
        &|w| w.have("3000", &["3000", "3001"]),
        "",
    );
}

#[test]
fn snapshot_a_removed_extension_is_removed_there_too() {
    let mut w = World::new();
    w.set_route("2000", Some(route("extension 1000")));
    w.remove("1000");
    assert_eq!(w.hash("1000"), "nothing");
    assert_eq!(w.hash("2000"), "2001 2002", "who led there rings at home");
    assert_eq!(w.on("fs2").hash("1000"), "nothing");

    let mut w = World::new();
    w.link_down();
    w.remove("1000");
    assert_eq!(w.hash("1000"), "1001 1002 1003", "it can't be told now");
    w.resync();
    assert_eq!(
        w.hash("1000"),
        "nothing",
        "also if it was removed while the link was down"
    );
}

#[test]
fn snapshot_nothing_is_written_before_the_registrations_are_known() {
    use callhop_calls::core::Input;
    let mut w = World::unconnected(Policy {
        unregistered: Unregistered::RingAll,
        ..Policy::default()
    });
    w.set_route("1000", Some(route("device 1002")));
    w.tell(Input::Resynced("fs1".parse().unwrap(), Vec::new()));
    w.hunts("1000");
    assert_eq!(
        w.said(),
        "ring 1002?",
        "what is not known is not held against the route"
    );
    assert_eq!(w.hashed(), "");
    w.tell(Input::Registrations("fs1".parse().unwrap(), [].into()));
    w.hunts("1000");
    assert_eq!(w.said(), "ring 1001? 1002? 1003?");
    assert_eq!(w.hash("1000"), "1001 1002 1003");
}

#[test]
fn snapshot_a_directory_read_whole_removes_what_is_not_in_it() {
    use callhop_calls::core::Input;
    let mut w = World::new();
    let kept: Vec<_> = w
        .core
        .directory()
        .extensions()
        .filter(|extension| extension.id.number.as_str() != "1000")
        .cloned()
        .collect();
    w.tell(Input::WholeDirectory(kept));
    assert_eq!(w.hashed(), "2000 3000 4000 4001 4002 4003 4004 4005 4006");
    w.hunts("1000");
    w.dials("d1=1001", "*50");
    assert_eq!(w.said(), "no answer, refuse no_extension");
}

#[test]
fn a_device_that_changes_hands_rings_with_its_new_owner() {
    let mut w = World::new();
    w.have("2000", &["2001", "2002", "1003"]);
    w.have("1000", &["1001", "1002"]);
    w.talks("caller", "d3=1003");
    w.dials("new=1002", "*33");
    w.dials("new2=2001", "*33");
    w.hunts("2000");
    assert_eq!(
        w.said(),
        "refuse nothing_to_pull, pull caller, ring 2001 2002 1003"
    );
}

#[test]
fn rule_2_5_6_a_route_is_over_at_its_end_and_not_before() {
    for end in [
        RouteEnd::Never,
        RouteEnd::NextCall,
        RouteEnd::At(UnixTime(5)),
    ] {
        for target in ["device 1001", "extension 2000"] {
            let route: Route = ending(target, end);
            assert!(route.is_in_force(UnixTime(4)));
            assert_eq!(
                route.is_in_force(UnixTime(5)),
                !matches!(end, RouteEnd::At(_))
            );
        }
    }
}

#[test]
fn the_directory_knows_whose_routes_lead_where() {
    let next_call = ending("extension 2000", RouteEnd::NextCall);
    let mut directory = Directory::new([]);
    for (id, route) in [
        ("1000", Some(next_call.clone())),
        ("2000", Some(route("extension 1000"))),
        ("3000", Some(route("extension 1000"))),
        ("4000", None),
    ] {
        directory.insert(Extension {
            id: extension(id),
            devices: Vec::new(),
            route,
        });
    }
    let leading_to = |directory: &Directory, id: &str| {
        let ids = directory.leading_to([extension(id)]).into_iter();
        ids.map(|id| id.number.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(leading_to(&directory, "2000"), "1000 2000 3000");
    assert_eq!(leading_to(&directory, "4000"), "4000");
    assert!(!directory.end_route(&extension("1000"), &route("extension 2000")));
    assert!(directory.end_route(&extension("1000"), &next_call));
    assert_eq!(leading_to(&directory, "2000"), "2000");
    directory.remove(&extension("3000"));
    assert_eq!(leading_to(&directory, "1000"), "1000 2000");
}

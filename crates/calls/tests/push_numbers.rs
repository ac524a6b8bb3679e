//! Push: which number may be pushed to, and whom it rings (DESIGN 2.4, 3). A number is checked before anything rings.

// What fails here is the story.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use callhop_calls::core::Input;
use callhop_calls::directory::RouteEnd;
use callhop_calls::push::Pattern;
use callhop_calls::routing::Policy;
use support::{World, check, check_roles, ending, route};

/// A world in which these numbers outside may be pushed to.
fn allowing(patterns: &[&str]) -> World {
    let mut policy = Policy::default();
    let patterns = patterns.iter().map(|text| Pattern::new(text).unwrap());
    policy.push.allow = patterns.collect();
    World::with(policy)
}

/// What is said when 1001 pushes to that number.
fn pushed_to(w: &mut World, number: &str) -> String {
    w.talks("far", "d1=1001");
    w.pushes("d1", &format!("{number}#"));
    w.said()
}

#[test]
fn rule_2_4_3_number_and_hash_ring_the_target() {
    check_roles(
        "an extension rings as its route says",
        |w| {
            w.pushes("d1", "2000#");
            assert_eq!(w.stage(), "ringing");
        },
        "split d1 far, push rings 2001 2002",
    );
    check(
        "digit by digit, as long as each comes in time",
        |w| {
            w.talks("far", "d1=1001");
            w.pushes("d1", "");
            for digit in ["2", "0", "0", "1"] {
                w.pass(Duration::from_millis(4900));
                w.tell(Input::Timer);
                w.digits("d1", digit);
            }
            w.digits("d1", "#");
        },
        "split d1 far, push rings 2001",
    );
    check(
        "one contact, several contacts, no contact",
        |w| {
            w.registers("2001", &["sofia/a", "sofia/b"]);
            w.registers("2002", &[]);
            w.talks("far", "d1=1001");
            w.pushes("d1", "2000#");
        },
        "split d1 far, push rings 2001x2",
    );
}

/// What is dialled by 1001 of extension 1000, and what is said.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("an extension", "2000", "push rings 2001 2002"),
    ("a colleague's device", "2001", "push rings 2001"),
    (
        "both at once: the extension",
        "3000",
        "push rings 3000 3001",
    ),
    (
        "the own extension: the others",
        "1000",
        "push rings 1002 1003",
    ),
    ("an own device", "1002", "push rings 1002"),
    ("the device itself", "1001", "refuse d1: same_device"),
    ("an unknown number", "9999", "refuse d1: number_not_allowed"),
    (
        "too many zeros",
        "0049301234567",
        "refuse d1: number_not_allowed",
    ),
    ("nothing", "", "refuse d1: no_number"),
    (
        "20 digits",
        "12345678901234567890",
        "refuse d1: number_not_allowed",
    ),
    (
        "letters of the keypad",
        "ABCD",
        "refuse d1: number_not_allowed",
    ),
];

#[test]
fn rule_2_4_3_what_a_number_means() {
    for (name, number, expect) in NUMBERS {
        let mut w = World::new();
        w.talks("far", "d1=1001");
        w.pushes("d1", "");
        w.said();
        w.digits("d1", &format!("{number}#"));
        let mut said = w.said();
        if said == "refuse d1" {
            w.settles();
            said += &format!(": {}", w.reports[0].end.cause().unwrap());
            assert_eq!(w.talks_truly_to("d1").as_deref(), Some("far"), "{name}");
        }
        assert_eq!(said, *expect, "{name}");
    }
}

#[test]
fn rule_2_4_3_a_number_that_is_too_long_is_refused_at_once() {
    check(
        "the 21st digit",
        |w| {
            w.talks("far", "d1=1001");
            w.pushes("d1", &"1".repeat(20));
            assert_eq!(w.stage(), "collecting");
            w.digits("d1", "1");
            assert_eq!(w.stage(), "giving_back");
            w.digits("d1", "#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: number too long",
    );
}

#[test]
fn rule_2_4_3_who_can_not_be_rung_is_refused() {
    check(
        "no device of the extension is registered",
        |w| {
            w.registers("2001", &[]);
            w.registers("2002", &[]);
            w.talks("far", "d1=1001");
            w.pushes("d1", "2000#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: not registered",
    );
    check(
        "the device is not registered",
        |w| {
            w.registers("2001", &[]);
            w.talks("far", "d1=1001");
            w.pushes("d1", "2001#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: not registered",
    );
    check(
        "an extension without devices",
        |w| {
            w.have("6000", &[]);
            w.talks("far", "d1=1001");
            w.pushes("d1", "6000#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: not registered",
    );
    check(
        "the own extension has no other device",
        |w| {
            w.talks("far", "d1=4001");
            w.pushes("d1", "4000#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: same device",
    );
    check(
        "the colleague's route leads to the pusher's phone",
        |w| {
            w.set_route("2000", Some(route("extension 4000")));
            w.talks("far", "d1=4001");
            w.pushes("d1", "2000#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: same device",
    );
    check(
        "the far end's own device",
        |w| {
            w.talks("far=2001", "d1=1001");
            w.pushes("d1", "2001#");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: target is far end",
    );
    check(
        "the far end's extension rings without the far end",
        |w| {
            w.talks("far=2001", "d1=1001");
            w.pushes("d1", "2000#");
        },
        "split d1 far, push rings 2002",
    );
    check(
        "the far end is an own device",
        |w| {
            w.talks("far=1002", "d1=1001");
            w.pushes("d1", "1000#");
        },
        "split d1 far, push rings 1003",
    );
}

#[test]
fn rule_2_4_3_the_number_is_one_of_the_pushers_domain() {
    let push = |number: &str| {
        let mut w = World::new();
        w.talks("far", "d1=1001@other.test");
        w.pushes("d1", &format!("{number}#"));
        w.said()
    };
    assert_eq!(push("2000"), "split d1 far, refuse d1");
    assert_eq!(push("1002"), "split d1 far, push rings 1002@other.test");
    assert_eq!(push("1000"), "split d1 far, push rings 1002@other.test");
}

#[test]
fn rule_2_4_3_what_else_may_be_dialled_is_what_the_whole_pattern_fits() {
    for (patterns, number, allowed) in [
        (&["0[1-9][0-9]+"][..], "0301234", true),
        (&["0[1-9][0-9]+"], "00441234", false),
        (&["0[1-9][0-9]+"], "90301234", false),
        // A pattern has to fit from the first to the last digit, each of its alternatives too.
        (&["110|112"], "110", true),
        (&["110|112"], "112", true),
        (&["110|112"], "1105", false),
        (&["110|112"], "9112", false),
        (&["^110|112$"], "1105", false),
        (&["110", "112"], "112", true),
        (&["11"], "110", false),
        (&[""], "110", false),
        (&[".*"], "110", true),
    ] {
        let said = pushed_to(&mut allowing(patterns), number);
        let expect = if allowed {
            format!("split d1 far, push rings outside {number}")
        } else {
            "split d1 far, refuse d1".into()
        };
        assert_eq!(said, expect, "{patterns:?} {number}");
    }
    for broken in ["(", "a)(b", "[0-9", "+"] {
        assert!(Pattern::new(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn rule_2_4_3_who_is_in_the_directory_goes_before_a_pattern() {
    let mut w = allowing(&[".*"]);
    assert_eq!(pushed_to(&mut w, "2001"), "split d1 far, push rings 2001");
    let mut w = allowing(&[".*"]);
    assert_eq!(pushed_to(&mut w, "1001"), "split d1 far, refuse d1");
    let mut w = allowing(&[".*"]);
    w.registers("2001", &[]);
    assert_eq!(pushed_to(&mut w, "2001"), "split d1 far, refuse d1");
}

#[test]
fn rule_2_4_3_the_cold_route_of_the_target_is_obeyed() {
    for (to, expect) in [
        ("device 2002", "push rings 2002"),
        ("extension 3000", "push rings 3000 3001"),
        // It would lead to the phone that pushes, too.
        ("extension 1000", "push rings 1002 1003"),
    ] {
        let mut w = World::new();
        w.set_route("2000", Some(route(to)));
        let said = pushed_to(&mut w, "2000");
        assert_eq!(said, format!("split d1 far, {expect}"), "{to}");
    }
    let mut w = World::new();
    w.set_route("2000", Some(route("device 2002")));
    let said = pushed_to(&mut w, "2001");
    assert_eq!(
        said, "split d1 far, push rings 2001",
        "a device is a device"
    );
    let mut w = World::new();
    w.set_route("1000", Some(route("device 1001")));
    let said = pushed_to(&mut w, "1000");
    assert_eq!(said, "split d1 far, push rings 1002 1003", "the others");
}

#[test]
fn rule_2_4_3_a_route_for_the_next_call_is_used_up_by_a_push_that_rings() {
    let next = |w: &mut World| w.set_route("2000", Some(ending("device 2002", RouteEnd::NextCall)));
    let mut w = World::new();
    next(&mut w);
    assert_eq!(
        pushed_to(&mut w, "2000"),
        "split d1 far, route of 2000 used up, push rings 2002"
    );
    w.hunts("2000");
    assert_eq!(w.said(), "ring 2001 2002");

    let mut w = World::new();
    w.registers("2002", &[]);
    next(&mut w);
    assert_eq!(pushed_to(&mut w, "2000"), "split d1 far, refuse d1");
    w.hunts("2000");
    assert_eq!(
        w.said(),
        "ring 2002?, route of 2000 used up",
        "a push that rings nobody has used nothing"
    );

    let mut w = World::new();
    w.set_route("1000", Some(ending("device 1002", RouteEnd::NextCall)));
    w.talks("far", "d1=1001");
    w.key("d1");
    assert_eq!(
        w.said(),
        "split d1 far",
        "to look where a recall would ring"
    );
}

#[test]
fn rule_2_4_3_the_targets_display_shows_the_far_end() {
    let mut policy = Policy::default();
    policy.push.display_prefix = "from {pusher}: ".into();
    policy.push.ringback = "tone_stream://x".into();
    policy.push.ring_timeout = Duration::from_secs(20);
    let mut w = World::with(policy);
    pushed_to(&mut w, "2001");
    let order = &w.rings[0];
    assert_eq!(order.party.name, "name of far");
    assert_eq!(order.party.number, "number-of-far");
    assert_eq!(order.prefix, "from 1000: ");
    assert_eq!(order.ringback, "tone_stream://x");
    assert_eq!(order.timeout, Duration::from_secs(20));
    assert_eq!(order.id, w.splits[0].id);
    assert!(order.until.0 - w.now.unix.0 > 22, "longer than it rings");
}

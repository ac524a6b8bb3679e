//! Pull: every rule of DESIGN 2.3 and 2.1 that the core can keep, one test each.

mod support;

use std::time::Duration;

use callhop_calls::core::{BRIDGE_TIMEOUT, RINGING_TIMEOUT};
use callhop_calls::pull::Class;
use callhop_calls::tracker::Progress;
use support::{World, check};

/// A caller rings at 1001 and 1003.
fn ringing(w: &mut World) {
    w.incoming("caller");
    w.rings("d1=1001", "caller");
    w.rings("d3=1003", "caller");
}

/// 1001 has called somebody, who rings.
fn calling(w: &mut World) {
    w.incoming("d1=1001");
    w.rings("callee", "d1");
}

#[test]
fn rule_2_1_who_is_not_authenticated_or_belongs_to_nobody_is_refused() {
    for (who, expect) in [
        ("new", "refuse not_authenticated"),
        ("new=9999", "refuse no_extension"),
        ("new=1002@nowhere.test", "refuse no_extension"),
    ] {
        for code in ["*33", "*331001", "*50", "*51", "*49", "nonsense", ""] {
            let story = |w: &mut World| {
                w.talks("caller", "d1=1001");
                w.dials(who, code);
            };
            check(&format!("{who} {code}"), story, expect);
        }
    }
}

#[test]
fn rule_2_1_what_is_no_star_code_is_refused() {
    for code in [
        "", "1000", "*33x y", "*33${x}", "*33%0a", "*33\n", "*34", "*501", "*49",
    ] {
        let story = |w: &mut World| {
            w.talks("caller", "d1=1001");
            w.dials("new=1002", code);
        };
        check(code, story, "refuse not_a_code");
    }
    let long = "*33".to_owned() + &"1".repeat(300);
    check(
        "300 digits",
        |w| w.dials("new=1002", &long),
        "refuse not_a_code",
    );
}

#[test]
fn rule_2_1_names_stay_inside_the_callers_domain() {
    check(
        "the same numbers next door have a call",
        |w| {
            w.talks("caller", "d1=1001@other.test");
            w.dials("new=1002", "*33");
            w.dials("again=1002", "*331001");
        },
        "refuse nothing_to_pull, refuse device_has_no_call",
    );
    check(
        "each domain finds its own",
        |w| {
            w.talks("caller", "d1=1001");
            w.talks("next-door", "e1=1001@other.test");
            w.dials("new=1002", "*33");
            w.dials("other=1002@other.test", "*331001");
        },
        "pull caller, pull next-door",
    );
    check(
        "another spelling of the domain is the same one",
        |w| {
            w.talks("caller", "d1=1001@LAB.test");
            w.dials("new=1002@Lab.Test", "*33");
        },
        "pull caller",
    );
}

#[test]
fn rule_2_3_1_nothing_to_pull_is_refused_and_nothing_else_is_wanted() {
    check(
        "no call",
        |w| w.dials("new=1002", "*33"),
        "refuse nothing_to_pull",
    );
    check(
        "somebody else's call",
        |w| {
            w.talks("caller", "d1=2001");
            w.dials("new=1002", "*33");
        },
        "refuse nothing_to_pull",
    );
    check(
        "the call is over",
        |w| {
            w.talks("caller", "d1=1001");
            w.hangs_up("caller");
            w.hangs_up("d1");
            w.dials("new=1002", "*33");
        },
        "refuse nothing_to_pull",
    );
}

#[test]
fn rule_2_3_2_candidates_are_own_devices_and_other_registrations_of_the_same() {
    check(
        "another device",
        |w| {
            w.talks("caller", "d1=1001");
            w.dials("new=1002", "*33");
        },
        "pull caller",
    );
    check(
        "another registration of the same device",
        |w| {
            w.talks("caller", "d1=1002");
            w.dials("new=1002", "*33");
        },
        "pull caller",
    );
    check(
        "the same device, named",
        |w| {
            w.talks("caller", "d1=1002");
            w.dials("new=1002", "*331002");
        },
        "pull caller",
    );
    check(
        "the own call of the leg that dials is none",
        |w| {
            w.talks("new=1002", "callee");
            w.asks_for("new=1002", "*33");
        },
        "refuse nothing_to_pull",
    );
    check(
        "an extension with the number of one of its devices",
        |w| {
            w.talks("caller", "d=3000");
            w.dials("new=3001", "*333000");
        },
        "pull caller",
    );
}

#[test]
fn rule_2_3_2_a_phone_is_not_connected_to_itself() {
    check(
        "the far end is another line of the phone that dials",
        |w| {
            w.talks("d2=1002/desk", "d1=1001/desk1");
            w.dials("new=1002/desk", "*33");
        },
        "refuse no_far_end",
    );
    check(
        "another phone of the same number may have it",
        |w| {
            w.talks("d2=1002/mobile", "d1=1001/desk1");
            w.dials("new=1002/desk", "*331001");
        },
        "pull d2",
    );
}

#[test]
fn rule_2_3_2_a_named_device_is_the_only_one_looked_at() {
    let two_calls = |code: &'static str| {
        move |w: &mut World| {
            w.talks("caller1", "d1=1001");
            w.talks("caller3", "d3=1003");
            w.dials("new=1002", code);
        }
    };
    check("the older", two_calls("*331001"), "pull caller1");
    check("the newer", two_calls("*331003"), "pull caller3");
    check(
        "without a call",
        two_calls("*331002"),
        "refuse device_has_no_call",
    );
    check("foreign", two_calls("*332001"), "refuse not_own_device");
    check("unknown", two_calls("*339999"), "refuse not_own_device");
    check(
        "its own extension",
        two_calls("*331000"),
        "refuse not_own_device",
    );
}

#[test]
fn rule_2_3_2_a_phone_does_not_pull_what_it_has_itself() {
    check(
        "a second call of the same phone",
        |w| {
            w.talks("caller", "d1=1001/desk");
            w.dials("new=1001/desk", "*33");
        },
        "refuse nothing_to_pull",
    );
    check(
        "the same number on another phone",
        |w| {
            w.talks("caller", "d1=1001/desk");
            w.dials("new=1001/sofa", "*33");
        },
        "pull caller",
    );
}

#[test]
fn rule_2_3_3_talking_before_held_before_ringing_inbound_before_outbound() {
    fn talking(w: &mut World) {
        w.talks("far-talking", "a=1001");
    }
    fn held(w: &mut World) {
        w.talks("far-held", "b=1001");
        w.hold("b");
    }
    fn inbound(w: &mut World) {
        w.incoming("far-inbound");
        w.rings("c=1001", "far-inbound");
    }
    fn outbound(w: &mut World) {
        w.incoming("e=1001");
        w.rings("far-outbound", "e");
    }
    type Part = (fn(&mut World), &'static str);
    let parts: [Part; 4] = [
        (talking, "pull far-talking"),
        (held, "pull far-held"),
        (inbound, "pull far-inbound telling c"),
        (outbound, "pull far-outbound"),
    ];
    // Each pair of classes, in both orders of time.
    for (better, (one, expect)) in parts.iter().enumerate() {
        for (other, _) in &parts[better + 1..] {
            for (first, second) in [(one, other), (other, one)] {
                let story = |w: &mut World| {
                    first(w);
                    second(w);
                    w.dials("new=1002", "*33");
                };
                check("", story, expect);
            }
        }
    }
}

#[test]
fn rule_2_3_3_the_newest_inside_a_class() {
    check(
        "two that talk",
        |w| {
            w.talks("older", "d1=1001");
            w.talks("newer", "d3=1003");
            w.dials("new=1002", "*33");
        },
        "pull newer",
    );
    check(
        "what counts is when they began to talk",
        |w| {
            w.incoming("first");
            w.rings("d1=1001", "first");
            w.talks("second", "d3=1003");
            w.answers("d1");
            w.bridge("first", "d1");
            w.dials("new=1002", "*33");
        },
        "pull first",
    );
    check(
        "also after the link was lost",
        |w| {
            // Read in the order of their names.
            w.talks("z-older", "d3=1003");
            w.talks("a-newer", "d1=1001");
            w.link_down();
            w.resync();
            w.dials("new=1002", "*33");
        },
        "pull a-newer",
    );
}

#[test]
fn rule_2_3_4_a_talking_call_moves_from_either_end() {
    check(
        "the far end has called",
        |w| {
            w.talks("caller", "d1=1001");
            w.pulls("new=1002", "*33");
            assert_eq!(w.bond("new"), "talks to caller");
            assert_eq!(w.bond("d1"), "gone");
        },
        "pull caller, moved 1001 to 1002",
    );
    check(
        "the far end was called",
        |w| {
            w.talks("d1=1001", "callee");
            w.pulls("new=1002", "*33");
            assert_eq!(w.bond("callee"), "talks to new");
        },
        "pull callee, moved 1001 to 1002",
    );
    check(
        "a colleague's phone is a far end like any other",
        |w| {
            w.talks("d1=1001", "e=2001");
            w.pulls("new=1002", "*33");
        },
        "pull e, moved 1001 to 1002",
    );
}

#[test]
fn rule_2_3_4_nothing_has_to_be_transcoded_if_the_new_leg_knows_the_codec() {
    let mut w = World::new();
    w.talks("caller", "d1=1001");
    w.dials("new=1002", "*33");
    assert_eq!(w.orders[0].codec.as_deref(), Some("PCMU"));
    assert_eq!(w.orders[0].switch.as_str(), "fs1");
}

#[test]
fn rule_2_3_5_held_by_either_side() {
    for holder in ["d1", "caller"] {
        let mut w = World::new();
        w.talks("caller", "d1=1001");
        w.hold(holder);
        w.pulls("new=1002", "*33");
        assert_eq!(w.said(), "pull caller, moved 1001 to 1002", "{holder}");
        assert_eq!(w.reports[0].class, Some(Class::Held), "{holder}");
    }
    let mut w = World::new();
    w.talks("caller", "d1=1001");
    w.hold("d1");
    w.unhold("d1");
    w.pulls("new=1002", "*33");
    assert_eq!(w.reports[0].class, Some(Class::Talking));
}

#[test]
fn rule_2_3_6_ringing_inbound_tells_every_fork_that_the_call_was_completed_elsewhere() {
    check(
        "two ring, the third pulls",
        |w| {
            ringing(w);
            w.pulls("new=1002", "*33");
            assert_eq!(w.bond("d3"), "gone");
        },
        "pull caller telling d1 d3, moved 1003 to 1002",
    );
    check(
        "it rings at the puller too",
        |w| {
            ringing(w);
            w.rings("d2=1002", "caller");
            w.pulls("new=1002", "*33");
        },
        "pull caller telling d1 d2 d3, moved 1002 to 1002",
    );
    check(
        "forks of a colleague are told as well",
        |w| {
            ringing(w);
            w.rings("e1=2001", "caller");
            w.dials("new=1002", "*331001");
        },
        "pull caller telling d1 d3 e1",
    );
    check(
        "with early media from the only phone that is left",
        |w| {
            w.incoming("caller");
            w.rings("d1=1001", "caller");
            w.progress("d1", Progress::EarlyMedia);
            w.bridge("caller", "d1");
            w.dials("new=1002", "*33");
            w.intercepts("new", "caller");
        },
        "pull caller telling d1, moved 1001 to 1002",
    );
}

#[test]
fn rule_2_3_6_a_fork_whose_caller_talks_already_is_not_torn_from_its_call() {
    check(
        "a colleague has just answered",
        |w| {
            ringing(w);
            w.rings("e1=2001", "caller");
            w.answers("e1");
            w.bridge("caller", "e1");
            w.dials("new=1002", "*33");
        },
        "refuse no_far_end",
    );
    check(
        "the other end asks for an attended transfer while it talks",
        |w| {
            w.talks("caller", "e1=2001");
            w.rings("d1=1001", "e1");
            w.dials("new=1002", "*33");
        },
        "refuse no_far_end",
    );
}

#[test]
fn rule_2_3_7_outbound_while_the_far_end_rings() {
    check(
        "without media",
        |w| {
            calling(w);
            w.dials("new=1002", "*33");
            w.hangs_up("d1");
            w.pass(Duration::from_secs(40));
            w.answers("callee");
            w.answers("new");
            w.bridge("new", "callee");
        },
        "pull callee, moved 1001 to 1002",
    );
    check(
        "with early media, which is reported as a bridge",
        |w| {
            calling(w);
            w.progress("callee", Progress::EarlyMedia);
            w.bridge("d1", "callee");
            w.pulls("new=1002", "*33");
        },
        "pull callee, moved 1001 to 1002",
    );
    check(
        "the far end rejects",
        |w| {
            calling(w);
            w.dials("new=1002", "*33");
            w.hangs_up("callee");
        },
        "pull callee, failed: far end gone",
    );
    check(
        "which of several phones will answer can't be known",
        |w| {
            calling(w);
            w.rings("callee2", "d1");
            w.dials("new=1002", "*33");
        },
        "refuse far_end_forked",
    );
    check(
        "while it rings nobody else can pull it, also once the old leg is gone",
        |w| {
            calling(w);
            w.dials("new=1002", "*33");
            w.hangs_up("d1");
            w.dials("third=1003", "*33");
        },
        "pull callee, refuse move_under_way",
    );
}

#[test]
fn rule_2_3_7_the_wait_is_as_long_as_the_far_end_may_ring() {
    let mut w = World::new();
    calling(&mut w);
    w.dials("new=1002", "*33");
    assert_eq!(w.sleep(), RINGING_TIMEOUT);
    assert_eq!(w.said(), "pull callee, failed: no bridge");
    assert_eq!(w.core.next_timer(), None);
}

#[test]
fn rule_2_3_8_a_leg_without_a_far_end_is_refused_with_its_own_cause() {
    check(
        "voicemail, IVR, conference, park, queue",
        |w| {
            w.incoming("d1=1001");
            w.answers("d1");
            w.dials("new=1002", "*33");
            w.dials("again=1002", "*331001");
        },
        "refuse no_far_end, refuse no_far_end",
    );
    check(
        "parked after it talked",
        |w| {
            w.talks("caller", "d1=1001");
            w.unbridge("caller", "d1");
            w.dials("new=1002", "*33");
        },
        "refuse no_far_end",
    );
    check(
        "a call with a far end is found beside it",
        |w| {
            w.talks("caller", "d3=1003");
            w.incoming("d1=1001");
            w.answers("d1");
            w.dials("new=1002", "*33");
        },
        "pull caller",
    );
    check(
        "the caller is gone and the fork not yet",
        |w| {
            ringing(w);
            w.hangs_up("caller");
            w.dials("new=1002", "*33");
        },
        "refuse no_far_end",
    );
}

#[test]
fn rule_2_3_9_only_the_bridge_of_new_leg_and_far_leg_is_a_success() {
    let moving = |w: &mut World| {
        w.talks("caller", "d1=1001");
        w.dials("new=1002", "*33");
        assert_eq!(w.said(), "pull caller");
    };
    let mut w = World::new();
    moving(&mut w);
    w.answers("new");
    w.unbridge("d1", "caller");
    w.hangs_up("d1");
    assert_eq!(w.said(), "", "before the bridge nothing is said");
    w.incoming("x");
    w.bridge("x", "caller");
    w.bridge("new", "x");
    assert_eq!(w.said(), "", "a bridge with somebody else is none");
    w.bridge("caller", "new");
    assert_eq!(w.said(), "moved 1001 to 1002", "whichever is named first");

    let mut w = World::new();
    moving(&mut w);
    assert_eq!(w.sleep(), BRIDGE_TIMEOUT);
    assert_eq!(w.said(), "failed: no bridge");
    assert_eq!(
        w.bond("d1"),
        "talks to caller",
        "the old call is left alone"
    );
}

#[test]
fn rule_2_3_9_a_report_says_who_what_and_how_long() {
    let mut w = World::new();
    w.talks("caller", "d1=1001");
    w.dials("new=1002", "*33");
    w.pass(Duration::from_millis(120));
    w.intercepts("new", "caller");
    let report = &w.reports[0];
    let legs = [
        &report.old_leg,
        report.new_leg.as_ref().unwrap(),
        &report.far_leg,
    ];
    assert_eq!(legs.map(|leg| leg.as_str()), ["d1", "new", "caller"]);
    assert_eq!(report.extension, support::extension("1000"));
    assert_eq!(report.class, Some(Class::Talking));
    assert_eq!(report.took, Some(Duration::from_millis(120)));
}

#[test]
fn rule_2_3_10_one_move_at_a_time_per_call() {
    check(
        "two devices at once",
        |w| {
            w.talks("caller", "d1=1001");
            w.dials("new2=1002", "*33");
            w.dials("new3=1003", "*33");
            w.intercepts("new2", "caller");
        },
        "pull caller, refuse move_under_way, moved 1001 to 1002",
    );
    check(
        "from the other end: its old leg is the far leg of the first",
        |w| {
            w.talks("d1=1001", "e1=2001");
            w.dials("new=1002", "*33");
            w.dials("other=2002", "*33");
        },
        "pull e1, refuse move_under_way",
    );
    check(
        "the leg that dialled asks twice",
        |w| {
            w.talks("caller", "d1=1001");
            w.talks("caller3", "d3=1003");
            w.dials("new=1002", "*331001");
            w.asks_for("new=1002", "*331003");
        },
        "pull caller, refuse move_under_way",
    );
    check(
        "calls that have nothing to do with each other",
        |w| {
            w.talks("caller", "d1=1001");
            w.talks("next", "e1=2001");
            w.dials("new=1002", "*33");
            w.dials("other=2002", "*33");
            w.intercepts("other", "next");
            w.intercepts("new", "caller");
        },
        "pull caller, pull next, moved 2001 to 2002, moved 1001 to 1002",
    );
    check(
        "after a failure it may be tried again",
        |w| {
            w.talks("caller", "d1=1001");
            w.dials("new=1002", "*33");
            w.hangs_up("new");
            w.pulls("again=1002", "*33");
        },
        "pull caller, failed: new leg gone, pull caller, moved 1001 to 1002",
    );
}

#[test]
fn rule_2_3_10_after_a_move_the_call_can_be_moved_again() {
    let mut w = World::new();
    w.talks("caller", "d1=1001");
    for round in 0..10 {
        for (from, to) in [("1001", "1002"), ("1002", "1003"), ("1003", "1001")] {
            w.pulls(&format!("n{round}-{to}={to}"), "*33");
            let expect = format!("pull caller, moved {from} to {to}");
            assert_eq!(w.said(), expect, "round {round}");
        }
    }
    assert_eq!(w.moves(), 0);
    let tracker = w.core.switch(&"fs1".parse().unwrap()).unwrap().tracker();
    assert_eq!(tracker.len(), 2);
}

#[test]
fn rule_2_3_11_the_new_device_is_told_who_the_far_end_is() {
    let mut w = World::new();
    w.talks("caller", "d1=1001");
    w.dials("new=1002", "*33");
    let party = &w.orders[0].party;
    assert_eq!(party.number, "number-of-caller");
    assert_eq!(party.name, "name of caller");
}

/// How long the far end was in no bridge, as it is reported of a pull.
fn gap_of(story: impl FnOnce(&mut World)) -> Option<Duration> {
    let mut w = World::new();
    story(&mut w);
    assert_eq!(w.reports.len(), 1, "a move has ended");
    w.reports.last().and_then(|moved| moved.gap)
}

#[test]
fn the_far_ends_gap_is_the_time_between_the_two_bridges() {
    let pulled = |w: &mut World| {
        w.talks("caller", "d1=1001");
        w.dials("new=1002", "*33");
        w.answers("new");
        w.unbridge("d1", "caller");
        w.pass(Duration::from_millis(40));
        // The other side of the same bridge tells it again.
        w.unbridge("caller", "d1");
        w.pass(Duration::from_millis(20));
        w.bridge("new", "caller");
    };
    assert_eq!(gap_of(pulled), Some(Duration::from_millis(60)));
}

#[test]
fn a_gap_that_nobody_could_measure_is_not_told() {
    let ringing_call = |w: &mut World| {
        ringing(w);
        w.dials("new=1002", "*33");
        w.intercepts("new", "caller");
    };
    assert_eq!(gap_of(ringing_call), None, "a call that only rang");
    let not_moved = |w: &mut World| {
        w.talks("caller", "d1=1001");
        w.dials("new=1002", "*33");
        w.unbridge("d1", "caller");
        w.pass(Duration::from_millis(40));
        w.hangs_up("caller");
    };
    assert_eq!(gap_of(not_moved), None, "the far end hung up");
    let others = |w: &mut World| {
        w.talks("caller", "d1=1001");
        w.talks("x", "y=1003");
        w.dials("new=1002", "*331001");
        w.unbridge("x", "y");
        w.pass(Duration::from_millis(40));
        w.bridge("new", "caller");
    };
    assert_eq!(gap_of(others), None, "two others were taken apart");
}

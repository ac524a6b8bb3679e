//! What may cross on the way: a star code at every point of a call's life, everything that can end at every point of a
//! move, lost links, late and doubled events, and channels that mean different things on different switches.

mod support;

use std::time::Duration;

use callhop_calls::core::{ANSWERING, BRIDGE_TIMEOUT, Input};
use callhop_calls::tracker::{Change, LegEvent, Progress, Sequence, TOMBSTONE};
use support::{World, check, leg};

type Story = fn(&mut World);

/// The life of a call that comes in: what happens next, and what a star code after it finds.
const INBOUND: &[(&str, Story, &str)] = &[
    ("nothing", |_| {}, "refuse nothing_to_pull"),
    (
        "the caller is there",
        |w| w.incoming("caller"),
        "refuse nothing_to_pull",
    ),
    (
        "it rings",
        |w| w.rings("d1=1001", "caller"),
        "pull caller telling d1",
    ),
    (
        "it rings twice",
        |w| w.rings("d3=1003", "caller"),
        "pull caller telling d1 d3",
    ),
    (
        "early media",
        |w| w.progress("d1", Progress::EarlyMedia),
        "pull caller telling d1 d3",
    ),
    // The leg that has been answered and not yet bridged is nobody's for some milliseconds, and who pulls waits.
    ("answered", |w| w.answers("d1"), ""),
    ("the caller too", |w| w.answers("caller"), ""),
    ("bridged", |w| w.bridge("caller", "d1"), "pull caller"),
    ("the loser is gone", |w| w.hangs_up("d3"), "pull caller"),
    ("held", |w| w.hold("d1"), "pull caller"),
    ("unheld", |w| w.unhold("d1"), "pull caller"),
    ("apart", |w| w.unbridge("caller", "d1"), "refuse no_far_end"),
    (
        "the caller is gone",
        |w| w.hangs_up("caller"),
        "refuse no_far_end",
    ),
    (
        "the device is gone",
        |w| w.hangs_up("d1"),
        "refuse nothing_to_pull",
    ),
];

/// The same of a call that goes out.
const OUTBOUND: &[(&str, Story, &str)] = &[
    (
        "the device is there",
        |w| w.incoming("d1=1001"),
        "refuse no_far_end",
    ),
    ("it rings", |w| w.rings("callee", "d1"), "pull callee"),
    (
        "early media",
        |w| w.progress("callee", Progress::EarlyMedia),
        "pull callee",
    ),
    ("early bridge", |w| w.bridge("d1", "callee"), "pull callee"),
    ("answered", |w| w.answers("callee"), "pull callee"),
    ("the device too", |w| w.answers("d1"), "pull callee"),
    ("the callee holds", |w| w.hold("callee"), "pull callee"),
    (
        "the device is gone first",
        |w| w.hangs_up("d1"),
        "refuse nothing_to_pull",
    ),
    (
        "the callee is gone",
        |w| w.hangs_up("callee"),
        "refuse nothing_to_pull",
    ),
];

#[test]
fn a_star_code_at_every_point_of_a_calls_life() {
    for life in [INBOUND, OUTBOUND] {
        for point in 0..life.len() {
            let (name, _, expect) = life[point];
            let story = |w: &mut World| {
                for (_, happens, _) in &life[..=point] {
                    happens(w);
                }
                w.dials("new=1002", "*33");
            };
            check(name, story, expect);
        }
    }
}

/// The steps of a move as the switch reports them, in the order that was measured.
fn move_steps() -> Vec<Story> {
    vec![
        |w| w.answers("new"),
        |w| w.unbridge("d1", "far"),
        |w| w.hangs_up("d1"),
        |w| w.bridge("new", "far"),
    ]
}

/// A move of a talking call up to `point`, then `happens`.
fn interrupted(point: usize, happens: impl Fn(&mut World)) -> World {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.dials("new=1002", "*33");
    for step in &move_steps()[..point] {
        step(&mut w);
    }
    happens(&mut w);
    w
}

#[test]
fn somebody_hangs_up_at_every_point_of_a_move() {
    for point in 0..=3 {
        let mut w = interrupted(point, |w| w.hangs_up("far"));
        assert_eq!(
            w.said(),
            "pull far, failed: far end gone",
            "after step {point}"
        );
        let mut w = interrupted(point, |w| w.hangs_up("new"));
        assert_eq!(
            w.said(),
            "pull far, failed: new leg gone",
            "after step {point}"
        );
        // The old leg is no part of what is waited for.
        if point <= 2 {
            let mut w = interrupted(point, |w| {
                w.hangs_up("d1");
                w.answers("new");
                w.bridge("new", "far");
            });
            assert_eq!(
                w.said(),
                "pull far, moved 1001 to 1002",
                "after step {point}"
            );
        }
    }
    for gone in ["far", "new"] {
        let mut w = interrupted(4, |w| w.hangs_up(gone));
        assert_eq!(w.said(), "pull far, moved 1001 to 1002", "after the move");
    }
}

#[test]
fn nothing_of_a_move_is_left_when_it_is_over() {
    for ending in [
        |w: &mut World| w.hangs_up("far"),
        |w: &mut World| w.hangs_up("new"),
        |w: &mut World| w.bridge("new", "far"),
        |w: &mut World| {
            w.sleep();
        },
    ] {
        let w = interrupted(0, ending);
        assert_eq!(w.moves(), 0);
        assert_eq!(w.core.next_timer(), None);
    }
}

#[test]
fn the_steps_of_a_move_reported_in_any_order() {
    let orders: [[usize; 4]; 6] = [
        [0, 1, 2, 3],
        [0, 2, 1, 3],
        [0, 3, 1, 2],
        [0, 3, 2, 1],
        [3, 0, 1, 2],
        [3, 2, 1, 0],
    ];
    // Made by the switch in this order, and in another one told.
    for order in orders {
        let mut w = interrupted(0, |w| {
            w.hold_back();
            for step in move_steps() {
                step(w);
            }
        });
        let events = w.let_go();
        // The old leg's two last reports stay together.
        let groups: Vec<Vec<LegEvent>> = {
            let mut it = events.into_iter();
            let mut take = |n: usize| it.by_ref().take(n).collect::<Vec<_>>();
            vec![take(1), take(1), take(2), take(1)]
        };
        for at in order {
            for event in groups[at].clone() {
                w.event(event);
            }
        }
        assert_eq!(w.said(), "pull far, moved 1001 to 1002", "{order:?}");
        assert_eq!(w.bond("new"), "talks to far", "{order:?}");
        assert_eq!(w.bond("far"), "talks to new", "{order:?}");
        assert_eq!(w.bond("d1"), "gone", "{order:?}");
    }
}

#[test]
fn the_end_of_the_old_bridge_made_after_the_new_one() {
    check(
        "the old bridge ran in the old leg's own thread",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.answers("new");
            w.bridge("new", "far");
            w.unbridge("d1", "far");
            w.hangs_up("d1");
            assert_eq!(w.bond("far"), "talks to new");
            w.dials("third=1003", "*33");
        },
        "pull far, moved 1001 to 1002, pull far",
    );
}

#[test]
fn the_question_overtakes_the_channels_own_events() {
    check(
        "the tracker learns of the new leg afterwards",
        |w| {
            w.talks("far", "d1=1001");
            w.asks_for("new=1002", "*33");
            w.incoming("new=1002");
            w.intercepts("new", "far");
        },
        "pull far, moved 1001 to 1002",
    );
    check(
        "or from the bridge alone",
        |w| {
            w.talks("far", "d1=1001");
            w.asks_for("new=1002", "*33");
            w.event(LegEvent {
                sequence: Sequence(1000),
                leg: leg("far"),
                at: None,
                facts: None,
                change: Change::Bridged(leg("new")),
            });
        },
        "pull far, moved 1001 to 1002",
    );
}

#[test]
fn who_has_hung_up_before_the_question_came_is_refused() {
    check(
        "no move is left that would keep others from pulling",
        |w| {
            w.talks("far", "d1=1001");
            w.incoming("new=1002");
            w.hangs_up("new");
            w.asks_for("new=1002", "*33");
            w.dials("again=1002", "*33");
        },
        "refuse new_leg_gone, pull far",
    );
}

#[test]
fn the_call_changes_between_the_choice_and_the_move() {
    check(
        "the old device answers at that moment",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.dials("new=1002", "*33");
            w.answers("d1");
            w.answers("far");
            w.bridge("far", "d1");
            w.intercepts("new", "far");
        },
        "pull far telling d1, moved 1001 to 1002",
    );
    check(
        "the far end is transferred to somebody else",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.unbridge("far", "d1");
            w.hangs_up("d1");
            w.rings("e1=2001", "far");
            w.answers("e1");
            w.bridge("far", "e1");
            assert_eq!(w.sleep(), BRIDGE_TIMEOUT);
            w.dials("other=2002", "*33");
        },
        "pull far, failed: no bridge, pull far",
    );
}

#[test]
fn a_move_that_comes_after_its_time_is_shown_and_not_counted_again() {
    check(
        "late",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.sleep();
            w.intercepts("new", "far");
            assert_eq!(w.bond("far"), "talks to new");
            w.dials("third=1003", "*33");
        },
        "pull far, failed: no bridge, pull far",
    );
}

#[test]
fn time_is_up_only_when_it_is() {
    check(
        "woken too early",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.pass(BRIDGE_TIMEOUT - Duration::from_millis(1));
            w.tell(Input::Timer);
            w.intercepts("new", "far");
            w.pass(Duration::from_secs(10));
            w.tell(Input::Timer);
        },
        "pull far, moved 1001 to 1002",
    );
    check(
        "two moves end one after the other",
        |w| {
            w.talks("far1", "d1=1001");
            w.talks("far2", "e1=2001");
            w.dials("new1=1002", "*33");
            w.pass(Duration::from_secs(2));
            w.dials("new2=2002", "*33");
            assert_eq!(w.sleep(), Duration::from_secs(3));
            assert_eq!(w.moves(), 1);
            assert_eq!(w.sleep(), Duration::from_secs(2));
        },
        "pull far1, pull far2, failed: no bridge, failed: no bridge",
    );
}

/// The link is lost in a move; this happens unseen; then the switch is read.
fn link_lost(happens: impl Fn(&mut World), expect: &str) {
    let story = |w: &mut World| {
        w.talks("far", "d1=1001");
        w.dials("new=1002", "*33");
        w.link_down();
        assert_eq!(
            w.core.next_timer(),
            None,
            "what is not known does not fail by time"
        );
        w.hold_back();
        happens(w);
        w.let_go();
        w.dials("third=1003", "*33");
        w.resync();
    };
    check(expect, story, &format!("pull far, refuse stale, {expect}"));
}

#[test]
fn the_link_is_lost_in_the_middle_of_a_move() {
    link_lost(|w| w.intercepts("new", "far"), "moved 1001 to 1002");
    link_lost(|w| w.hangs_up("far"), "failed: far end gone");
    link_lost(|w| w.hangs_up("new"), "failed: new leg gone");
    link_lost(
        |w| {
            w.hangs_up("far");
            w.hangs_up("d1");
            w.hangs_up("new");
        },
        "failed: far end gone",
    );
    link_lost(|w| w.pass(BRIDGE_TIMEOUT), "failed: no bridge");
    link_lost(World::restart_switch, "failed: far end gone");
}

#[test]
fn a_move_that_is_still_open_after_the_reading_goes_on() {
    check(
        "bridged afterwards",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.pass(Duration::from_secs(1));
            w.link_down();
            w.pass(Duration::from_secs(1));
            w.resync();
            w.dials("third=1003", "*33");
            w.intercepts("new", "far");
        },
        "pull far, refuse move_under_way, moved 1001 to 1002",
    );
    check(
        "never bridged",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("new=1002", "*33");
            w.pass(Duration::from_secs(1));
            w.link_down();
            w.pass(Duration::from_secs(1));
            w.resync();
            assert_eq!(w.sleep(), Duration::from_secs(3));
        },
        "pull far, failed: no bridge",
    );
    check(
        "a far end that rings on",
        |w| {
            w.incoming("d1=1001");
            w.rings("far", "d1");
            w.dials("new=1002", "*33");
            w.hangs_up("d1");
            w.link_down();
            w.pass(Duration::from_secs(20));
            w.resync();
            assert_eq!(w.bond("far"), "alone", "it rings for nobody that is there");
            w.answers("far");
            w.answers("new");
            w.bridge("new", "far");
        },
        "pull far, moved 1001 to 1002",
    );
}

#[test]
fn a_lost_event_is_made_good_by_a_reconcile() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.dials("new=1002", "*33");
    w.said();
    w.hold_back();
    w.intercepts("new", "far");
    w.let_go();
    let read = vec![w.read(&leg("far")), w.read(&leg("new"))];
    let absent = vec![leg("d1")];
    let fs1 = || "fs1".parse().unwrap();
    w.tell(Input::Reconciled(fs1(), read, absent));
    assert_eq!(w.said(), "moved 1001 to 1002, corrected 2");
    w.tell(Input::Reconciled(fs1(), Vec::new(), Vec::new()));
    assert_eq!(w.said(), "", "nothing to correct is nothing to say");

    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.dials("new=1002", "*33");
    w.said();
    w.tell(Input::Reconciled(fs1(), Vec::new(), vec![leg("far")]));
    assert_eq!(w.said(), "failed: far end gone, corrected 1");
}

#[test]
fn a_call_that_was_there_before_the_controller_can_be_pulled() {
    let mut w = World::new();
    w.hold_back();
    w.talks("far", "d1=1001");
    w.let_go();
    w.dials("early=1002", "*33");
    w.link_down();
    w.resync();
    w.hangs_up("early");
    w.pulls("new=1002", "*33");
    assert_eq!(
        w.said(),
        "refuse nothing_to_pull, pull far, moved 1001 to 1002"
    );
}

#[test]
fn late_and_doubled_events_change_nothing_and_are_counted() {
    let mut w = World::new();
    w.hold_back();
    w.talks("far", "d1=1001");
    w.hold("d1");
    let life = w.let_go();
    for event in &life {
        w.event(event.clone());
        w.event(event.clone());
    }
    assert_eq!(w.bond("far"), "talks to d1");
    w.hangs_up("far");
    w.hangs_up("d1");
    let fs1 = "fs1".parse().unwrap();
    assert_eq!(w.core.switch(&fs1).unwrap().late_events(), 0);
    for event in &life {
        w.event(event.clone());
    }
    let switch = w.core.switch(&fs1).unwrap();
    assert!(
        switch.tracker().is_empty(),
        "what is gone does not come back"
    );
    assert_eq!(switch.late_events(), life.len() as u64);
    w.dials("new=1002", "*33");
    assert_eq!(w.said(), "refuse nothing_to_pull");
}

#[test]
fn a_late_bridge_of_a_leg_that_is_gone_still_ends_the_former_call() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.hold_back();
    w.incoming("x");
    w.bridge("x", "far");
    w.hangs_up("x");
    let mut events = w.let_go();
    events.reverse();
    for event in events {
        w.event(event);
    }
    assert_eq!(w.bond("far"), "alone");
    assert_eq!(w.bond("d1"), "alone");
}

#[test]
fn a_tombstone_lasts_as_long_as_an_event_can_be_late_and_a_reading_clears_it() {
    let has_gone = |w: &World, name: &str| {
        let fs1 = "fs1".parse().unwrap();
        w.core.switch(&fs1).unwrap().tracker().has_gone(&leg(name))
    };
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.hangs_up("d1");
    w.pass(TOMBSTONE - Duration::from_millis(1));
    w.incoming("x");
    assert!(has_gone(&w, "d1"));
    w.pass(Duration::from_millis(1));
    w.incoming("y");
    assert!(!has_gone(&w, "d1"));

    // Asterisk counts its channels anew after a restart: the same name is another channel.
    w.hangs_up("y");
    w.link_down();
    w.restart_switch();
    w.resync();
    assert!(!has_gone(&w, "y"));
    w.talks("y", "d1=1001");
    w.dials("new=1002", "*33");
    assert_eq!(w.said(), "pull y");
}

#[test]
fn two_switches_with_the_same_channels() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.on("fs2").talks("far", "d1=1001");
    w.on("fs1").dials("new=1002", "*33");
    assert_eq!(w.said(), "pull far");
    w.on("fs2").answers("d1");
    w.hangs_up("far");
    assert_eq!(w.said(), "", "the other switch's leg is another one");
    w.on("fs2").link_down();
    assert!(w.core.next_timer().is_some());
    w.on("fs1").intercepts("new", "far");
    assert_eq!(w.said(), "moved 1001 to 1002");
}

#[test]
fn a_call_on_another_switch_is_not_within_reach() {
    check(
        "nothing to pull here",
        |w| {
            w.on("fs2").talks("far", "d1=1001");
            w.on("fs1").dials("new=1002", "*33");
        },
        "refuse nothing_to_pull",
    );
}

#[test]
fn a_device_of_no_extension_may_be_a_far_end() {
    check(
        "and its own star codes are refused",
        |w| {
            w.talks("p=9999", "d1=1001");
            w.dials("new=1002", "*33");
            w.dials("other=9999", "*33");
        },
        "pull p, refuse no_extension",
    );
}

#[test]
fn moved_again_by_a_third_device_while_the_old_legs_are_still_reported() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.dials("n2=1002", "*33");
    w.answers("n2");
    w.bridge("n2", "far");
    // The old leg has not been reported gone yet.
    w.dials("n3=1003", "*331002");
    w.answers("n3");
    w.bridge("n3", "far");
    w.unbridge("d1", "far");
    w.hangs_up("d1");
    w.unbridge("n2", "far");
    w.hangs_up("n2");
    w.dials("n1=1001", "*33");
    w.intercepts("n1", "far");
    assert_eq!(
        w.said(),
        "pull far, moved 1001 to 1002, pull far, moved 1002 to 1003, pull far, moved 1003 to 1001"
    );
    assert_eq!(w.bond("far"), "talks to n1");
}

#[test]
fn a_call_that_was_transferred_is_found_where_it_is_now() {
    check(
        "blind: the far end is bridged to a new fork",
        |w| {
            w.talks("far", "e1=2001");
            w.unbridge("far", "e1");
            w.hangs_up("e1");
            w.rings("d1=1001", "far");
            w.answers("d1");
            w.bridge("far", "d1");
            w.pulls("new=1002", "*33");
        },
        "pull far, moved 1001 to 1002",
    );
    check(
        "attended: two calls become one",
        |w| {
            w.talks("far", "e1=2001");
            w.talks("e2=2001", "d1=1001");
            w.bridge("far", "d1");
            w.hangs_up("e1");
            w.hangs_up("e2");
            w.pulls("new=1002", "*33");
        },
        "pull far, moved 1001 to 1002",
    );
}

#[test]
fn events_that_are_late_are_overtaken_by_a_question_that_asks_the_switch() {
    // Seen on a FreeSWITCH that had just been started: its events stood still for half a second at the first call.
    check(
        "the first move is over, and its bridge not yet reported",
        |w| {
            w.talks("far", "d1=1001");
            w.dials("n2=1002", "*33");
            w.hold_back();
            w.intercepts("n2", "far");
            w.rereads("1003");
            w.asks_for("n3=1003", "*33");
        },
        "pull far, moved 1001 to 1002, pull far",
    );
    check(
        "the call is over, and its end not yet reported",
        |w| {
            w.talks("far", "d1=1001");
            w.hold_back();
            w.hangs_up("far");
            w.hangs_up("d1");
            w.rereads("1002");
            w.asks_for("n2=1002", "*33");
        },
        "refuse nothing_to_pull",
    );
}

#[test]
fn a_far_end_of_which_nothing_was_reported_yet_is_named_by_a_reading() {
    let mut w = World::new();
    w.hold_back();
    w.talks("far", "d1=1001");
    let (told, late): (Vec<_>, Vec<_>) = w
        .let_go()
        .into_iter()
        .partition(|event| event.leg == leg("d1"));
    for event in told {
        w.event(event);
    }
    assert_eq!(w.bond("d1"), "alone");
    w.rereads("1002");
    w.dials("new=1002", "*33");
    for event in late {
        w.event(event);
    }
    w.intercepts("new", "far");
    assert_eq!(w.said(), "pull far, moved 1001 to 1002");
}

#[test]
fn what_was_read_again_for_a_question_is_no_fault_of_the_link() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.hold_back();
    w.hangs_up("far");
    w.hangs_up("d1");
    w.rereads("1002");
    for event in w.let_go() {
        w.event(event);
    }
    assert_eq!(w.said(), "");
}

/// Two devices ring for the caller, or the device has called; then it is answered, and somebody pulls it before the bridge.
fn being_answered(outbound: bool) -> World {
    let mut w = World::new();
    if outbound {
        w.incoming("d1=1001");
        w.rings("far", "d1");
        w.answers("far");
    } else {
        w.incoming("far");
        w.rings("d1=1001", "far");
        w.rings("d3=1003", "far");
        w.answers("d1");
    }
    w.dials("new=1002", "*33");
    assert_eq!(w.said(), "", "it waits");
    w
}

/// FreeSWITCH hangs up whom it finds between the answer and the bridge: the far end was lost in one of some 60 such moments.
#[test]
fn a_call_that_is_being_answered_is_pulled_out_of_its_bridge() {
    for outbound in [false, true] {
        let mut w = being_answered(outbound);
        if !outbound {
            w.hangs_up("d3");
            w.answers("far");
        }
        assert_eq!(w.said(), "", "there is no bridge yet");
        w.bridge("far", "d1");
        assert_eq!(w.said(), "pull far");
        assert!(!w.orders[0].far_rings);
        w.intercepts("new", "far");
        assert_eq!(w.said(), "moved 1001 to 1002");
        assert_eq!(w.core.next_timer(), None);
    }
}

#[test]
fn an_answer_without_a_bridge_is_not_waited_for_without_end() {
    for (outbound, expect) in [(false, "pull far telling d3"), (true, "refuse no_far_end")] {
        let mut w = being_answered(outbound);
        assert_eq!(w.sleep(), ANSWERING);
        assert_eq!(w.said(), expect);
    }
}

#[test]
fn a_call_that_ends_as_it_is_answered_is_refused() {
    for outbound in [false, true] {
        let mut w = being_answered(outbound);
        w.hangs_up("far");
        assert_eq!(w.said(), "refuse no_far_end");
        let mut w = being_answered(outbound);
        w.link_down();
        assert_eq!(w.said(), "refuse stale");
        let mut w = being_answered(outbound);
        w.hangs_up("new");
        assert_eq!(w.said(), "refuse new_leg_gone");
        assert_eq!(w.core.next_timer(), None);
    }
}

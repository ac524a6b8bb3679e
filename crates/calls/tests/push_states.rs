//! Push: every state meets every input. One table; no pair is left out.

// What fails here is the story.
#![allow(clippy::unwrap_used)]

mod support;

use callhop_calls::core::Input;
use callhop_calls::tracker::{Change, LegEvent, Sequence};
use support::{Story, World, leg};

/// The states, and how they are reached once 1001 (`d1`) and 3000 (`far`) talk.
const STATES: [(&str, Story); 5] = [
    ("collecting", |w| w.pushes("d1", "2001")),
    ("ringing", |w| {
        w.pushes("d1", "2001#");
        w.target("t=2001");
    }),
    ("completing", |w| {
        w.pushes("d1", "2001#");
        w.target("t=2001");
        w.answers("t");
    }),
    ("giving_back", |w| {
        w.pushes("d1", "2001#");
        w.target("t=2001");
        w.digits("d1", "*");
    }),
    // The target's leg, which has been given up, is there still.
    ("recalling", |w| {
        w.pushes("d1", "2001#");
        w.target("t=2001");
        w.hangs_up("d1");
        w.not_reached("user_busy");
    }),
];

/// What happens, and for each of the states: what is said, `>` the next state if it is another one.
type Row = (&'static str, Story, [&'static str; 5]);

const MOVED: &str = "settle far, release d1, moved 1001 to 2001 > over";
const ALONE_MOVED: &str = "settle far, moved 1001 to 2001 > over";
/// A target that nobody has ordered. It can't be, and would have the call.
const UNASKED: &str = "settle far, release d1, moved 1001 to  > over";

const DIALLED: &[Row] = &[
    ("a digit", |w| w.digits("d1", "5"), ["", "", "", "", ""]),
    (
        "a star",
        |w| w.digits("d1", "*"),
        [
            "give back d1 > giving_back",
            "give back d1 > giving_back",
            "",
            "",
            "",
        ],
    ),
    (
        "a hash",
        |w| w.digits("d1", "#"),
        ["push rings 2001 > ringing", "", "", "", ""],
    ),
    (
        "the code again",
        |w| w.key("d1"),
        [
            "no push d1: move_under_way",
            "no push d1: move_under_way",
            "no push d1: move_under_way",
            "no push d1: move_under_way",
            "no push d1: not_a_device",
        ],
    ),
    (
        "the far end dials the code",
        |w| w.key("far"),
        ["no push far: move_under_way"; 5],
    ),
    (
        "the far end dials digits",
        |w| w.digits("far", "5*#"),
        [""; 5],
    ),
    ("the target dials digits", |w| w.digits("t", "5*#"), [""; 5]),
    (
        "the target dials the code",
        |w| w.key("t"),
        [
            "no push t: not_a_device",
            "no push t: no_far_end, return *9 to t",
            "no push t: no_far_end, return *9 to t",
            "no push t: no_far_end, return *9 to t",
            "no push t: no_far_end, return *9 to t",
        ],
    ),
    (
        "the pusher's own pull",
        |w| w.dials("new=1002", "*33"),
        [
            "settle far, failed: taken back, pull far > over",
            "settle far, release t, failed: taken back, pull far > over",
            "refuse move_under_way",
            "refuse move_under_way",
            "settle far, failed: taken back, pull far > over",
        ],
    ),
    (
        "a pull from the far end's side",
        |w| w.dials("new=3001", "*33"),
        ["refuse move_under_way"; 5],
    ),
    (
        "a pull from the target's side",
        |w| w.dials("new=2002", "*33"),
        [
            "refuse nothing_to_pull",
            "refuse no_far_end",
            "refuse no_far_end",
            "refuse no_far_end",
            "refuse no_far_end",
        ],
    ),
];

const TOLD: &[Row] = &[
    (
        "one more leg of the target rings",
        |w| w.target("t2=2002"),
        ["", "", "", "release t2", "release t2"],
    ),
    (
        "the target answers",
        |w| {
            has_target(w);
            w.answers("t");
        },
        ["", " > completing", "", "", ""],
    ),
    (
        "the target answers and takes the far leg",
        |w| {
            has_target(w);
            w.target_takes("t");
        },
        [UNASKED, MOVED, MOVED, MOVED, ALONE_MOVED],
    ),
    (
        "the target hangs up",
        |w| {
            has_target(w);
            w.hangs_up("t");
        },
        ["", "", "refuse d1 > giving_back", "", ""],
    ),
    (
        "busy",
        |w| {
            has_target(w);
            w.hangs_up("t");
            w.not_reached("user_busy");
        },
        [
            "",
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "",
            "",
        ],
    ),
    (
        "no answer, before its leg's end is told",
        |w| w.not_reached("no_answer"),
        ["", "refuse d1 > giving_back", "", "", ""],
    ),
    (
        "the legs could not be taken apart",
        |w| {
            let id = w.push_id();
            w.tell(Input::NotSplit("fs1".parse().unwrap(), id));
        },
        ["settle far, failed: no bridge > over", "", "", "", ""],
    ),
    (
        "the old leg takes the far leg",
        old_takes,
        [
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "",
        ],
    ),
    (
        "somebody else takes the far leg",
        |w| {
            w.incoming("x=1003");
            w.answers("x");
            w.bridge("x", "far");
        },
        [
            "settle far, release d1, failed: taken back > over",
            "settle far, release d1, release t, failed: taken back > over",
            "settle far, release d1, failed: taken back > over",
            "settle far, release d1, release t, failed: taken back > over",
            "settle far, recalled > over",
        ],
    ),
    (
        "the old leg hangs up",
        |w| w.hangs_up("d1"),
        [
            "recall far > recalling",
            "",
            "",
            "recall far, release t > recalling",
            "",
        ],
    ),
    (
        "the far leg hangs up",
        |w| w.hangs_up("far"),
        [
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "failed: far end gone > over",
        ],
    ),
    (
        "the old leg hangs up, then the far leg",
        |w| {
            w.hangs_up("d1");
            w.hangs_up("far");
        },
        [
            "recall far, failed: far end gone > over",
            "release t, failed: far end gone > over",
            "failed: far end gone > over",
            "recall far, release t, failed: far end gone > over",
            "failed: far end gone > over",
        ],
    ),
    (
        "all three hang up",
        |w| {
            has_target(w);
            w.hangs_up("t");
            w.hangs_up("far");
            w.hangs_up("d1");
        },
        [
            "release d1, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "refuse d1, release d1, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "failed: far end gone > over",
        ],
    ),
];

const AT_ONCE: &[Row] = &[
    (
        "an answer, then a star, and the target is first at the far leg",
        |w| {
            has_target(w);
            w.answers("t");
            w.digits("d1", "*");
            w.walks("t");
        },
        [
            "give back d1, settle far, release d1, moved 1001 to  > over",
            MOVED,
            MOVED,
            MOVED,
            ALONE_MOVED,
        ],
    ),
    (
        "a star, then an answer, and the target is first at the far leg",
        |w| {
            w.digits("d1", "*");
            has_target(w);
            w.answers("t");
            w.walks("t");
        },
        [
            "give back d1, release t, settle far, release d1, moved 1001 to  > over",
            "give back d1, settle far, release d1, moved 1001 to 2001 > over",
            MOVED,
            MOVED,
            ALONE_MOVED,
        ],
    ),
    (
        "a star, then an answer, and the old leg is first at the far leg",
        |w| {
            w.digits("d1", "*");
            has_target(w);
            w.answers("t");
            old_takes(w);
            w.walks("t");
        },
        [
            "give back d1, release t, settle far, failed: cancelled > over",
            "give back d1, settle far, failed: cancelled > over",
            "settle far, failed: cancelled > over",
            "settle far, failed: cancelled > over",
            // There is no old leg any more.
            ALONE_MOVED,
        ],
    ),
    (
        "a star, and the target is busy",
        |w| {
            w.digits("d1", "*");
            w.not_reached("user_busy");
        },
        [
            "give back d1 > giving_back",
            "give back d1 > giving_back",
            "",
            "",
            "",
        ],
    ),
    (
        "busy, and a star",
        |w| {
            w.not_reached("user_busy");
            w.digits("d1", "*");
        },
        [
            "give back d1 > giving_back",
            "refuse d1 > giving_back",
            "",
            "",
            "",
        ],
    ),
    (
        "an answer, and the old leg hangs up",
        |w| {
            has_target(w);
            w.answers("t");
            w.hangs_up("d1");
            w.walks("t");
        },
        [
            "recall far, settle far, moved 1001 to  > over",
            ALONE_MOVED,
            ALONE_MOVED,
            "settle far, moved 1001 to 2001 > over",
            ALONE_MOVED,
        ],
    ),
    (
        "an answer, and the far leg hangs up",
        |w| {
            has_target(w);
            w.answers("t");
            w.hangs_up("far");
            w.walks("t");
            assert!(!w.is_there("t"), "it lets go by itself");
        },
        [
            "release d1, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "failed: far end gone > over",
        ],
    ),
];

const LINK_LOST: &[Row] = &[
    (
        "and found, nothing has changed",
        |w| lost(w, |_| {}),
        [
            "refuse d1 > giving_back",
            "",
            "",
            "give back d1",
            "recall far, release t",
        ],
    ),
    (
        "the recall rings",
        |w| {
            w.obeys();
            lost(w, |_| {});
        },
        ["refuse d1 > giving_back", "", "", "give back d1", ""],
    ),
    (
        "the old leg hangs up meanwhile",
        |w| lost(w, |w| ends(w, "d1")),
        [
            "recall far > recalling",
            "",
            "",
            "recall far, release t > recalling",
            "recall far, release t",
        ],
    ),
    (
        "the far leg hangs up meanwhile",
        |w| lost(w, |w| ends(w, "far")),
        [
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "release t, failed: far end gone > over",
        ],
    ),
    (
        "the target hangs up meanwhile",
        |w| lost(w, |w| ends(w, "t")),
        [
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "give back d1",
            "recall far",
        ],
    ),
    (
        "the target answers meanwhile",
        |w| {
            lost(w, |w| {
                has_target(w);
                w.answers("t");
            });
        },
        [
            "refuse d1 > giving_back",
            " > completing",
            "",
            "give back d1",
            "recall far",
        ],
    ),
    (
        "the target takes the far leg meanwhile",
        |w| {
            lost(w, |w| {
                has_target(w);
                w.target_takes("t");
            });
        },
        [UNASKED, MOVED, MOVED, MOVED, ALONE_MOVED],
    ),
    (
        "the old leg takes the far leg meanwhile",
        |w| lost(w, old_takes),
        [
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "recall far, release t",
        ],
    ),
    (
        "and not found yet, and its time is over",
        |w| {
            w.link_down();
            w.pass(std::time::Duration::from_secs(100));
            w.tell(Input::Timer);
        },
        [""; 5],
    ),
];

const RESTARTED: &[Row] = &[
    (
        "nothing has changed",
        World::restarts,
        [
            "refuse d1 > giving_back",
            "",
            "",
            "refuse d1",
            "recall far, release t",
        ],
    ),
    (
        "the old leg has hung up",
        |w| restarted(w, |w| ends(w, "d1")),
        [
            "recall far > recalling",
            "",
            "",
            "recall far, release t > recalling",
            "recall far, release t",
        ],
    ),
    (
        "the far leg has hung up",
        |w| restarted(w, |w| ends(w, "far")),
        [
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "release d1, failed: far end gone > over",
            "release d1, release t, failed: far end gone > over",
            "release t, failed: far end gone > over",
        ],
    ),
    (
        "the target has hung up",
        |w| restarted(w, |w| ends(w, "t")),
        [
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "refuse d1",
            "recall far",
        ],
    ),
    (
        "the target has taken the far leg",
        |w| {
            restarted(w, |w| {
                has_target(w);
                w.target_takes("t");
            });
        },
        [UNASKED, MOVED, MOVED, MOVED, ALONE_MOVED],
    ),
    (
        "the old leg has taken the far leg",
        |w| restarted(w, old_takes),
        [
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "settle far, failed: cancelled > over",
            "settle far, release t, failed: cancelled > over",
            "recall far, release t",
        ],
    ),
    (
        "while it is read, the target is said not to be had",
        |w| {
            w.killed();
            ends(w, "d1");
            w.not_reached("no_answer");
            w.resync();
        },
        [
            "recall far > recalling",
            "",
            "",
            "recall far, release t > recalling",
            "recall far, release t",
        ],
    ),
];

const OTHERWISE: &[Row] = &[
    (
        "its time is over",
        |w| {
            w.sleep();
        },
        [
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "refuse d1 > giving_back",
            "recall far, release d1, release t > recalling",
            "failed: recall failed > over",
        ],
    ),
    ("woken too early", |w| w.tell(Input::Timer), [""; 5]),
    (
        "a reconcile that finds nothing new",
        World::reconciles,
        [""; 5],
    ),
    (
        "a reconcile finds the bridge of target and far leg, which was not told",
        |w| {
            w.hold_back();
            has_target(w);
            w.target_takes("t");
            w.let_go();
            w.reconciles();
        },
        [
            "settle far, release d1, moved 1001 to , corrected 2 > over",
            "settle far, release d1, moved 1001 to 2001, corrected 1 > over",
            "settle far, release d1, moved 1001 to 2001, corrected 1 > over",
            "settle far, release d1, moved 1001 to 2001, corrected 1 > over",
            "settle far, moved 1001 to 2001, corrected 1 > over",
        ],
    ),
    (
        "a reconcile finds the old leg gone",
        |w| {
            w.hold_back();
            ends(w, "d1");
            w.let_go();
            w.reconciles();
        },
        [
            "recall far, corrected 1 > recalling",
            "corrected 1",
            "corrected 1",
            "recall far, release t, corrected 1 > recalling",
            "",
        ],
    ),
    (
        "the end of the old bridge is told again",
        |w| w.unbridge("d1", "far"),
        [""; 5],
    ),
    (
        "the old bridge is told again",
        |w| {
            let tracker = w.core.switch(&"fs1".parse().unwrap()).unwrap().tracker();
            let Sequence(before) = tracker.leg(&leg("far")).unwrap().since;
            for sequence in [before - 1, before] {
                w.event(LegEvent {
                    sequence: Sequence(sequence),
                    leg: leg("far"),
                    at: None,
                    facts: None,
                    change: Change::Bridged(leg("d1")),
                });
            }
        },
        [""; 5],
    ),
    (
        "a bridge of two others",
        |w| w.talks("x", "y=1003"),
        [""; 5],
    ),
    (
        "the answer to a push that is not known",
        |w| {
            let other = "00000000-0000-0009-0000-000000000009".parse().unwrap();
            let switch: callhop_calls::id::SwitchName = "fs1".parse().unwrap();
            w.tell(Input::NotReached(switch.clone(), other, "no_answer".into()));
            w.tell(Input::NotSplit(switch, other));
        },
        [""; 5],
    ),
];

/// There is a leg of the target, also where none can be.
fn has_target(w: &mut World) {
    if !w.is_there("t") {
        w.target("t=2001");
    }
}

/// The old leg takes the far leg by its own dialplan, if it is there.
fn old_takes(w: &mut World) {
    if w.is_there("d1") {
        w.bridge("d1", "far");
    }
}

fn ends(w: &mut World, name: &str) {
    if w.is_there(name) {
        w.hangs_up(name);
    }
}

/// The link is lost, this happens and is not told, and the switch is read.
fn lost(w: &mut World, happens: fn(&mut World)) {
    w.link_down();
    w.hold_back();
    happens(w);
    w.let_go();
    w.resync();
}

/// The controller is killed, this happens, and another run of it begins.
fn restarted(w: &mut World, happens: fn(&mut World)) {
    w.killed();
    w.hold_back();
    happens(w);
    w.let_go();
    w.resync();
}

fn meets(table: &[Row]) {
    let mut wrong = Vec::new();
    for (caller, callee) in [("far=3000", "d1=1001"), ("d1=1001", "far=3000")] {
        for (what, happens, expect) in table {
            for ((state, reached), expect) in STATES.iter().zip(expect) {
                let mut w = World::new();
                w.talks(caller, callee);
                reached(&mut w);
                assert_eq!(w.stage(), *state);
                w.said();
                happens(&mut w);
                let mut said = w.said();
                if w.stage() != *state {
                    said += &format!(" > {}", w.stage());
                }
                if said != *expect {
                    wrong.push(format!(
                        "{caller} calls {callee}, {state}, {what}:\n  said     {said:?}\n  expected {expect:?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_state_meets_everything_that_can_be_dialled() {
    meets(DIALLED);
}

#[test]
fn every_state_meets_everything_that_the_switch_can_tell() {
    meets(TOLD);
}

#[test]
fn every_state_meets_two_things_at_the_same_moment() {
    meets(AT_ONCE);
}

#[test]
fn every_state_meets_a_lost_link() {
    meets(LINK_LOST);
}

#[test]
fn every_state_meets_a_restart_of_the_controller() {
    meets(RESTARTED);
}

#[test]
fn every_state_meets_time_corrections_and_old_news() {
    meets(OTHERWISE);
}

//! Push: what gives the call back (DESIGN 2.4, 5): `*`, digits that do not come, and a target that can't be had.

mod support;

use std::time::Duration;

use callhop_calls::core::MoveEnd;
use support::{World, check_roles};

#[test]
fn rule_2_4_5_star_gives_the_call_back_without_a_tone() {
    for digits in ["", "2", "200", "2001#"] {
        let rings = if digits.ends_with('#') {
            "push rings 2001, "
        } else {
            ""
        };
        check_roles(
            &format!("after {digits:?}"),
            |w| {
                w.pushes("d1", digits);
                w.digits("d1", "*");
                assert_eq!(w.stage(), "giving_back");
                w.settles();
                assert_eq!(w.bond("far"), "talks to d1");
                assert_eq!(w.reports[0].end, MoveEnd::Cancelled);
                w.key("d1");
            },
            &format!(
                "split d1 far, {rings}give back d1, settle far, failed: cancelled, split d1 far"
            ),
        );
    }
}

#[test]
fn rule_2_4_5_a_target_that_rings_is_released_once_the_two_talk_again() {
    check_roles(
        "star while it rings",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.settles();
            assert_eq!(w.bond("t"), "gone");
        },
        "split d1 far, push rings 2001, give back d1, settle far, release t, failed: cancelled",
    );
    check_roles(
        "but not one that has answered meanwhile, of which only a comparison tells: it lets itself go",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.hold_back();
            w.settles();
            w.answers("t");
            w.reconciles();
        },
        "split d1 far, push rings 2001, give back d1, settle far, failed: cancelled, corrected 1",
    );
    check_roles(
        "a target that is being made while the push is given up",
        |w| {
            w.pushes("d1", "2001#");
            w.digits("d1", "*");
            w.target("t=2001");
            w.settles();
        },
        "split d1 far, push rings 2001, give back d1, release t, settle far, failed: cancelled",
    );
    check_roles(
        "or when it is over",
        |w| {
            w.pushes("d1", "2001#");
            w.digits("d1", "*");
            w.settles();
            w.target("t=2001");
            w.settles();
            assert_eq!(w.bond("t"), "gone");
        },
        "split d1 far, push rings 2001, give back d1, settle far, failed: cancelled, release t",
    );
}

#[test]
fn rule_2_4_5_a_star_and_an_answer_at_the_same_moment() {
    check_roles(
        "the answer is first, and the star finds the call moved",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.answers("t");
            w.digits("d1", "*");
            w.settles();
            assert_eq!(w.bond("far"), "talks to t");
        },
        "split d1 far, push rings 2001, settle far, release d1, moved 1001 to 2001",
    );
    check_roles(
        "the star is first, and the old leg is first at the far end",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.answers("t");
            w.obeys();
            w.walks("d1");
            w.walks("t");
            w.settles();
            assert_eq!(w.bond("far"), "talks to d1");
            assert_eq!(w.bond("t"), "gone");
        },
        "split d1 far, push rings 2001, give back d1, settle far, failed: cancelled",
    );
    check_roles(
        "the star is first, and the target is first at the far end",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.answers("t");
            w.walks("t");
            w.settles();
            assert_eq!(w.bond("far"), "talks to t");
            assert_eq!(w.bond("d1"), "gone");
        },
        "split d1 far, push rings 2001, give back d1, settle far, release d1, moved 1001 to 2001",
    );
    check_roles(
        "the same, and that the old leg has found it taken and is gone is heard of before the bridge",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.answers("t");
            w.hold_back();
            w.walks("t");
            w.obeys();
            w.walks("d1");
            for event in w.let_go().into_iter().rev() {
                w.event(event);
            }
            w.settles();
            assert_eq!(w.bond("far"), "talks to t");
        },
        "split d1 far, push rings 2001, give back d1, settle far, moved 1001 to 2001",
    );
    check_roles(
        "and when that target has hung up, the far end is recalled",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.digits("d1", "*");
            w.answers("t");
            w.hangs_up("d1");
            w.hangs_up("t");
            w.settles();
        },
        "split d1 far, push rings 2001, give back d1, recall far",
    );
}

#[test]
fn rule_2_4_5_when_no_digit_comes() {
    check_roles(
        "the first",
        |w| {
            w.pushes("d1", "");
            assert_eq!(w.sleep(), Duration::from_secs(5));
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: digits timed out",
    );
    check_roles(
        "the next",
        |w| {
            w.pushes("d1", "");
            w.pass(Duration::from_secs(4));
            w.digits("d1", "2");
            assert_eq!(w.sleep(), Duration::from_secs(5));
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: digits timed out",
    );
    check_roles(
        "each in time, and yet too long altogether",
        |w| {
            w.pushes("d1", "");
            for _ in 0..14 {
                w.pass(Duration::from_secs(4));
                w.digits("d1", "1");
            }
            assert_eq!(w.sleep(), Duration::from_secs(4), "a minute in all");
            w.settles();
        },
        "split d1 far, refuse d1, settle far, failed: digits timed out",
    );
}

#[test]
fn rule_2_4_5_the_target_can_not_be_had() {
    for cause in [
        "user_busy",
        "no_answer",
        "call_rejected",
        "user_not_registered",
    ] {
        let words = cause.replace('_', " ");
        check_roles(
            cause,
            |w| {
                w.pushes("d1", "2001#");
                w.target("t=2001");
                w.hangs_up("t");
                assert_eq!(w.stage(), "ringing", "the switch says how all of it ended");
                w.not_reached(cause);
                w.settles();
                assert_eq!(w.bond("far"), "talks to d1");
            },
            &format!("split d1 far, push rings 2001, refuse d1, settle far, failed: {words}"),
        );
    }
    check_roles(
        "one of two phones rejects, and the other rings on",
        |w| {
            w.pushes("d1", "2000#");
            w.target("t1=2001");
            w.target("t2=2002");
            w.hangs_up("t1");
            w.target_takes("t2");
            w.settles();
        },
        "split d1 far, push rings 2001 2002, settle far, release d1, moved 1001 to 2000",
    );
    check_roles(
        "the switch says nothing",
        |w| {
            w.pushes("d1", "2001#");
            assert_eq!(w.sleep(), Duration::from_secs(32));
            w.settles();
        },
        "split d1 far, push rings 2001, refuse d1, settle far, failed: no answer",
    );
    check_roles(
        "it answers and hangs up before it has the far end",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.answers("t");
            w.hangs_up("t");
            w.settles();
        },
        "split d1 far, push rings 2001, refuse d1, settle far, failed: target gone",
    );
    check_roles(
        "it answers and never takes the far end",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.answers("t");
            assert_eq!(w.sleep(), Duration::from_secs(5));
            w.obeys();
            w.walks("d1");
            w.settles();
        },
        "split d1 far, push rings 2001, refuse d1, settle far, failed: no bridge",
    );
}

#[test]
fn a_call_that_was_never_taken_apart_is_left_alone() {
    check_roles(
        "the order is not carried out, and nobody is released from a call that goes on",
        |w| {
            w.key("d1");
            w.digits("d1", "2*");
            w.wanted.clear();
            w.sleep();
            w.obeys();
            assert_eq!(w.bond("far"), "talks to d1");
        },
        "split d1 far, give back d1, read d1 far, settle far, failed: cancelled",
    );
}

#[test]
fn a_far_end_that_waits_is_not_taken_for_one_that_talks() {
    let parted_untold = |w: &mut World| {
        w.hold_back();
        w.key("d1");
        w.digits("d1", "2*");
        w.obeys();
        w.sleep();
    };
    check_roles(
        "that the two were taken apart is not told, and who pushed does not take the call back",
        |w| {
            parted_untold(w);
            w.obeys();
            assert_eq!(w.bond("far"), "alone");
            w.sleep();
        },
        "split d1 far, give back d1, read d1 far, recall far, release d1",
    );
    check_roles(
        "the two were read together between the order and the split",
        |w| {
            w.key("d1");
            w.reconciles();
            w.hold_back();
            w.digits("d1", "2*");
            w.obeys();
            w.sleep();
            w.obeys();
            assert_eq!(w.bond("far"), "alone");
            w.sleep();
        },
        "split d1 far, give back d1, read d1 far, recall far, release d1",
    );
    check_roles(
        "that it was given back is not told either",
        |w| {
            parted_untold(w);
            w.walks("d1");
            w.obeys();
        },
        "split d1 far, give back d1, read d1 far, settle far, failed: cancelled",
    );
    check_roles(
        "the bridge is told before the end of the one before it",
        |w| {
            parted_untold(w);
            w.walks("d1");
            let mut late = w.let_go();
            late.reverse();
            late.into_iter().for_each(|event| w.event(event));
            w.sleep();
        },
        "split d1 far, give back d1, read d1 far, settle far, failed: cancelled",
    );
}

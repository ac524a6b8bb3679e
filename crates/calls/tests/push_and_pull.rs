//! Push and pull of one call: taken back by the pusher, refused to all others, and moved on and on (DESIGN 2.4, 8; 2.3, 10).

mod support;

use support::{World, check, check_roles};

#[test]
fn rule_2_4_4_after_a_push_the_call_can_be_moved_again() {
    check(
        "by whom it was pushed to",
        |w| {
            w.talks("far", "d1=1001");
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.target_takes("t");
            w.settles();
            w.said();
            w.pulls("new=2002", "*33");
            w.pushes("new", "1001#");
            w.target("u=1001");
            w.target_takes("u");
            w.settles();
            assert_eq!(w.legs(), ["far", "u"]);
        },
        "pull far, moved 2001 to 2002, split new far, push rings 1001, settle far, release new, \
         moved 2002 to 1001",
    );
    check(
        "push, taken back by *33, push again: ten times",
        |w| {
            w.talks("far", "d1=1001");
            let mut has = "d1".to_owned();
            for round in 0..10 {
                w.pushes(&has, "2001#");
                let target = format!("t{round}");
                w.target(&format!("{target}=2001"));
                let next = format!("n{round}");
                w.pulls(&format!("{next}=1001"), "*33");
                w.settles();
                assert_eq!(w.legs(), ["far", &next], "round {round}");
                assert_eq!(w.moves(), 0, "round {round}");
                has = next;
            }
            w.said();
        },
        "",
    );
}

#[test]
fn rule_2_4_8_others_can_not_pull_a_call_that_is_pushed() {
    for digits in ["20", "2002#", "20*"] {
        let mut w = World::new();
        w.talks("far=2001", "d1=1001");
        w.pushes("d1", digits);
        let stage = w.stage();
        w.said();
        w.dials("other=2002", "*33");
        assert_eq!(w.said(), "refuse move_under_way", "{stage}");
        w.dials("third=3001", "*33");
        assert_eq!(w.said(), "refuse nothing_to_pull", "{stage}");
        assert_eq!(w.stage(), stage);
    }
    let mut w = World::new();
    w.talks("far=2001", "d1=1001");
    w.pushes("d1", "20");
    w.hangs_up("d1");
    w.obeys();
    w.said();
    w.dials("other=2002", "*33");
    assert_eq!(w.said(), "refuse move_under_way", "while the recall rings");
    w.dials("named=2002", "*332001");
    assert_eq!(w.said(), "refuse move_under_way", "while the recall rings");
}

#[test]
fn rule_2_4_8_the_pushers_own_pull_takes_it_back() {
    let taken = "settle far, failed: taken back, pull far, moved 1001 to 1002, release d1";
    check_roles(
        "while the number is dialled",
        |w| {
            w.pushes("d1", "20");
            w.said();
            w.pulls("new=1002", "*33");
            w.settles();
            assert_eq!(w.legs(), ["far", "new"]);
        },
        taken,
    );
    check_roles(
        "from the phone that pushed, by name",
        |w| {
            w.pushes("d1", "20");
            w.said();
            w.pulls("new=1003", "*331001");
        },
        "settle far, failed: taken back, pull far, moved 1001 to 1003, release d1",
    );
    check_roles(
        "the phone itself",
        |w| {
            w.pushes("d1", "20");
            w.said();
            w.pulls("new=1001", "*33");
        },
        "settle far, failed: taken back, pull far, moved 1001 to 1001, release d1",
    );
    check_roles(
        "while the target rings, which stops",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.said();
            w.pulls("new=1002", "*33");
            w.settles();
            assert_eq!(w.legs(), ["far", "new"]);
        },
        "settle far, release t, failed: taken back, pull far, moved 1001 to 1002, release d1",
    );
    check_roles(
        "once the pusher has hung up",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.said();
            w.pulls("new=1002", "*33");
        },
        "settle far, failed: taken back, pull far, moved 1001 to 1002",
    );
    check_roles(
        "another device has no such call",
        |w| {
            w.pushes("d1", "20");
            w.said();
            w.dials("new=1002", "*331003");
        },
        "refuse device_has_no_call",
    );
    check_roles(
        "not while the target or the old leg takes it",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.answers("t");
            w.said();
            w.dials("new=1002", "*33");
        },
        "refuse move_under_way",
    );
}

#[test]
fn rule_2_4_8_the_recall_is_pulled_like_a_ringing_call() {
    check_roles(
        "every ringing phone is told that the call was completed elsewhere",
        |w| {
            w.pushes("d1", "20");
            w.hangs_up("d1");
            w.obeys();
            w.said();
            w.pulls("new=1002", "*33");
            assert_eq!(w.legs(), ["far", "new"]);
        },
        "settle far, failed: taken back, pull far telling r1 r2 r3, moved 1003 to 1002",
    );
}

#[test]
fn rule_2_4_8_a_pull_that_comes_to_nothing_leaves_nobody_alone() {
    check_roles(
        "the old leg takes the far end back by itself",
        |w| {
            w.pushes("d1", "20");
            w.said();
            w.dials("new=1002", "*33");
            w.hangs_up("new");
            w.settles();
            assert_eq!(w.bond("far"), "talks to d1");
        },
        "settle far, failed: taken back, pull far, failed: new leg gone",
    );
    check_roles(
        "the old leg has hung up: the pusher's extension rings",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.said();
            w.dials("new=1002", "*33");
            w.hangs_up("new");
        },
        "settle far, failed: taken back, pull far, failed: new leg gone, recall far",
    );
    check_roles(
        "the same, and that the call was taken apart is told only when all is over",
        |w| {
            w.hold_back();
            w.key("d1");
            w.obeys();
            w.said();
            w.dials("new=1002", "*33");
            w.hangs_up("d1");
            w.hangs_up("new");
            for event in w.let_go() {
                w.event(event);
            }
        },
        "settle far, failed: taken back, pull far, failed: new leg gone, recall far",
    );
}

#[test]
fn a_pull_out_of_a_push_says_out_of_which() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.pushes("d1", "2001#");
    w.dials("new=1002", "*33");
    assert_eq!(w.orders.last().unwrap().taken_back, Some(w.push_id()));
    w.talks("far2", "d3=1003");
    w.dials("other=1002", "*331003");
    assert_eq!(w.orders.last().unwrap().taken_back, None);
}

#[test]
fn a_leg_that_pulls_already_does_not_take_a_push_back_too() {
    check(
        "it asks twice",
        |w| {
            w.talks("far3", "d3=1003");
            w.talks("far", "d1=1001");
            w.pushes("d1", "20");
            w.dials("new=1002", "*331003");
            w.asks_for("new=1002", "*331001");
        },
        "split d1 far, pull far3, refuse move_under_way",
    );
}

#[test]
fn a_phone_does_not_take_back_itself() {
    check(
        "the far end is the other line of the phone that dials",
        |w| {
            w.talks("far=1002/desk2", "d1=1001/desk1");
            w.pushes("d1", "20");
            w.dials("new=1002/desk2", "*33");
        },
        "split d1 far, refuse move_under_way",
    );
}

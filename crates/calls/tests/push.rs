//! Push: the rules of DESIGN 2.4 that the core can keep, one test each. The numbers are in `push_numbers.rs`, what gives
//! the call back in `push_given_back.rs`, pulls of a call that is pushed in `push_and_pull.rs`, and what every state does with
//! everything in `push_states.rs`.

mod support;

use std::time::Duration;

use callhop_calls::core::PushWord;
use callhop_calls::journal::Kind;
use callhop_calls::routing::Policy;
use callhop_calls::tracker::Progress;
use support::{World, check, check_roles, device, route};

#[test]
fn rule_2_4_1_whoever_placed_the_call_the_devices_leg_pushes() {
    check_roles(
        "both ways",
        |w| {
            w.key("d1");
            assert_eq!(w.stage(), "collecting");
            assert_eq!(w.splits[0].far_leg.as_str(), "far");
        },
        "split d1 far",
    );
}

#[test]
fn rule_2_4_1_on_every_call_of_a_known_device() {
    check(
        "held by either side",
        |w| {
            w.talks("far", "d1=1001");
            w.hold("far");
            w.hold("d1");
            w.key("d1");
        },
        "split d1 far",
    );
    check(
        "a colleague at the other end",
        |w| {
            w.talks("e1=2001", "d1=1001");
            w.key("d1");
        },
        "split d1 e1",
    );
    check(
        "two calls of one device are two pushes",
        |w| {
            w.talks("far", "d1=1001");
            w.talks("next", "second=1001");
            w.key("d1");
            w.key("second");
        },
        "split d1 far, split second next",
    );
    check(
        "after a pull",
        |w| {
            w.talks("far", "d1=1001");
            w.pulls("new=1002", "*33");
            w.said();
            w.key("new");
        },
        "split new far",
    );
}

#[test]
fn rule_2_4_1_a_leg_without_a_far_end_gets_its_code_back() {
    check(
        "voicemail, IVR, conference",
        |w| {
            w.incoming("d1=1001");
            w.answers("d1");
            w.key("d1");
        },
        "no push d1: no_far_end, return *9 to d1",
    );
    check(
        "the far end has not been answered",
        |w| {
            w.incoming("d1=1001");
            w.rings("far", "d1");
            w.progress("far", Progress::EarlyMedia);
            w.bridge("d1", "far");
            w.key("d1");
        },
        "no push d1: no_far_end",
    );
}

#[test]
fn rule_2_4_1_who_is_not_a_known_device_does_not_push() {
    check(
        "the far end outside",
        |w| {
            w.talks("far", "d1=1001");
            w.key("far");
        },
        "no push far: not_a_device",
    );
    check(
        "a device of nobody",
        |w| {
            w.talks("far", "x=9999");
            w.key("x");
        },
        "no push x: not_a_device",
    );
    check(
        "a leg that is not there",
        |w| w.key("x"),
        "no push x: not_a_device",
    );
    check(
        "another tenant's phone with our number",
        |w| {
            w.talks("far", "x=1003@other.test");
            w.key("x");
        },
        "no push x: not_a_device",
    );
}

#[test]
fn rule_2_4_1_while_the_switch_is_not_known_nothing_is_pushed() {
    check(
        "the link is lost",
        |w| {
            w.talks("far", "d1=1001");
            w.link_down();
            w.key("d1");
            w.resync();
            w.key("d1");
        },
        "no push d1: stale, split d1 far",
    );
}

#[test]
fn rule_2_4_1_one_move_at_a_time() {
    check(
        "the code twice",
        |w| {
            w.talks("far", "d1=1001");
            w.key("d1");
            w.key("d1");
        },
        "split d1 far, no push d1: move_under_way",
    );
    check(
        "both ends of one internal call at the same moment",
        |w| {
            w.talks("e1=2001", "d1=1001");
            w.key("d1");
            w.key("e1");
        },
        "split d1 e1, no push e1: move_under_way",
    );
    check(
        "during a pull, from either end",
        |w| {
            w.talks("e1=2001", "d1=1001");
            w.dials("new=1002", "*33");
            w.key("d1");
            w.key("e1");
        },
        "pull e1, no push d1: move_under_way, no push e1: move_under_way",
    );
}

#[test]
fn rule_2_4_1_what_the_far_end_dials_is_none_of_ours() {
    for who in ["far", "far=2001"] {
        for digits in ["*", "#", "2002#", "**", "99999999999999999999999"] {
            let story = |w: &mut World| {
                w.talks(who, "d1=1001");
                w.pushes("d1", "200");
                w.digits("far", digits);
                assert_eq!(w.stage(), "collecting");
                w.digits("d1", "2#");
                w.digits("far", digits);
                assert_eq!(w.stage(), "ringing");
            };
            let expect = "split d1 far, push rings 2002";
            check(&format!("{who} dials {digits}"), story, expect);
        }
    }
    check(
        "a known device at the far end dials the code",
        |w| {
            w.talks("far=2001", "d1=1001");
            w.pushes("d1", "20");
            w.key("far");
            w.digits("far", "2002#");
            assert_eq!(w.stage(), "collecting");
        },
        "split d1 far, no push far: move_under_way",
    );
}

#[test]
fn rule_2_4_2_the_far_end_hears_the_hold_sound_for_a_bounded_time() {
    let mut policy = Policy::default();
    policy.push.hold_sound = "local_stream://moh".into();
    policy.push.fallback = Some("5000@public".into());
    let mut w = World::with(policy);
    w.talks("far", "d1=1001");
    w.key("d1");
    let order = &w.splits[0];
    assert_eq!(order.hold_sound, "local_stream://moh");
    assert_eq!(order.code, "*9");
    assert_eq!(order.fallback.as_deref(), Some("5000@public"));
    assert_eq!(order.party.number, "number-of-far");
    // Longer than dialling may take, so that it ends only where nobody is in charge any more.
    let sounds = order.until.0 - w.now.unix.0;
    assert!((60..180).contains(&sounds), "{sounds} s");
    let recall = order.recall.as_ref().unwrap();
    let recalled: Vec<_> = recall.targets.iter().map(|(device, _)| device).collect();
    assert_eq!(
        recalled,
        [&device("1001"), &device("1002"), &device("1003")]
    );
}

#[test]
fn rule_2_4_2_the_recall_rings_as_the_pushers_route_says() {
    let mut w = World::new();
    w.set_route("1000", Some(route("device 1002")));
    w.talks("far", "d1=1001");
    w.key("d1");
    let recall = w.splits[0].recall.as_ref().unwrap();
    assert_eq!(recall.targets.len(), 1);
    assert_eq!(recall.targets[0].0, device("1002"));

    let mut w = World::new();
    for device in ["1001", "1002", "1003"] {
        w.registers(device, &[]);
    }
    w.talks("far", "d1=1001");
    w.key("d1");
    assert_eq!(w.splits[0].recall, None, "nobody could be rung");
}

#[test]
fn rule_2_4_4_the_target_answers_and_the_pusher_is_released() {
    check_roles(
        "one device",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.pass(Duration::from_secs(3));
            w.target_takes("t");
            w.settles();
            assert_eq!(w.bond("far"), "talks to t");
            assert_eq!(w.bond("d1"), "gone");
            let report = &w.reports[0];
            assert_eq!(report.kind, Kind::Push);
            assert_eq!(report.class, None);
            assert_eq!(report.to.as_deref(), Some("2001"));
            assert_eq!(report.new_leg, Some(support::leg("t")));
            assert_eq!(report.took, Some(Duration::from_secs(3)));
        },
        "split d1 far, push rings 2001, settle far, release d1, moved 1001 to 2001",
    );
    check_roles(
        "two devices: the loser is released",
        |w| {
            w.pushes("d1", "2000#");
            w.target("t1=2001");
            w.target("t2=2002");
            w.target_takes("t2");
            w.settles();
            assert_eq!(w.legs(), ["far", "t2"]);
        },
        "split d1 far, push rings 2001 2002, settle far, release d1, release t1, moved 1001 to 2000",
    );
    check_roles(
        "the bridge is the first that is heard of it",
        |w| {
            w.pushes("d1", "2001#");
            w.hold_back();
            w.target("t=2001");
            w.target_takes("t");
            let bridge = w.let_go().pop().unwrap();
            w.event(bridge);
        },
        "split d1 far, push rings 2001, settle far, release d1, moved 1001 to 2001",
    );
}

#[test]
fn rule_2_4_6_the_pusher_hangs_up_after_the_hash_and_the_push_goes_on() {
    check_roles(
        "the target answers",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.target("t=2001");
            w.target_takes("t");
            w.settles();
            assert_eq!(w.bond("far"), "talks to t");
        },
        "split d1 far, push rings 2001, settle far, moved 1001 to 2001",
    );
    check_roles(
        "between answer and bridge",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.answers("t");
            w.hangs_up("d1");
            w.settles();
        },
        "split d1 far, push rings 2001, settle far, moved 1001 to 2001",
    );
}

#[test]
fn rule_2_4_6_if_it_fails_then_the_pushers_extension_is_rung_again() {
    check_roles(
        "busy",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.not_reached("user_busy");
            assert_eq!(w.stage(), "recalling");
            w.obeys();
            assert_eq!(w.forks_of("far"), ["r1", "r2", "r3"]);
            w.answers("r2");
            w.bridge("far", "r2");
            assert_eq!(w.reports[0].new_leg, Some(support::leg("r2")));
        },
        "split d1 far, push rings 2001, recall far, settle far, recalled",
    );
    check_roles(
        "nobody answers the recall either",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.not_reached("user_busy");
            w.obeys();
            assert_eq!(w.sleep(), Duration::from_secs(35));
            assert_eq!(w.moves(), 0);
        },
        "split d1 far, push rings 2001, recall far, failed: recall failed",
    );
    check_roles(
        "the target hangs up between answer and bridge",
        |w| {
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.target("t=2001");
            w.answers("t");
            w.hangs_up("t");
        },
        "split d1 far, push rings 2001, recall far",
    );
    check_roles(
        "before the hash",
        |w| {
            w.pushes("d1", "20");
            w.hangs_up("d1");
            assert_eq!(w.stage(), "recalling");
        },
        "split d1 far, recall far",
    );
    check_roles(
        "on the way back",
        |w| {
            w.pushes("d1", "20*");
            w.hangs_up("d1");
            assert_eq!(w.stage(), "recalling");
        },
        "split d1 far, give back d1, recall far",
    );
    check_roles(
        "a phone with early media has not answered",
        |w| {
            w.pushes("d1", "20");
            w.hangs_up("d1");
            w.obeys();
            w.progress("r1", Progress::EarlyMedia);
            w.bridge("far", "r1");
            assert_eq!(w.stage(), "recalling");
            w.answers("r1");
            assert_eq!(w.stage(), "over");
        },
        "split d1 far, recall far, settle far, recalled",
    );
}

#[test]
fn rule_2_4_6_the_old_leg_does_not_take_the_far_end_back_in_time() {
    check_roles(
        "it is released, so that it can be rung",
        |w| {
            w.pushes("d1", "20*");
            assert_eq!(w.sleep(), Duration::from_secs(5));
            assert_eq!(w.stage(), "recalling");
        },
        "split d1 far, give back d1, recall far, release d1",
    );
}

#[test]
fn rule_2_4_7_the_far_end_hangs_up() {
    check_roles(
        "while the number is dialled",
        |w| {
            w.pushes("d1", "20");
            w.hangs_up("far");
            w.settles();
            assert_eq!(w.legs(), Vec::<String>::new());
        },
        "split d1 far, release d1, failed: far end gone",
    );
    check_roles(
        "while two targets ring",
        |w| {
            w.pushes("d1", "2000#");
            w.target("t1=2001");
            w.target("t2=2002");
            w.hangs_up("far");
            w.settles();
            assert_eq!(w.legs(), Vec::<String>::new());
        },
        "split d1 far, push rings 2001 2002, release d1, release t1, release t2, failed: far end gone",
    );
    check_roles(
        "just after the pusher",
        |w| {
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.hangs_up("d1");
            w.hangs_up("far");
        },
        "split d1 far, push rings 2001, release t, failed: far end gone",
    );
    check_roles(
        "in the recall",
        |w| {
            w.pushes("d1", "20");
            w.hangs_up("d1");
            w.hangs_up("far");
        },
        "split d1 far, recall far, failed: far end gone",
    );
}

#[test]
fn nothing_of_a_push_is_left_when_it_is_over() {
    let endings: [fn(&mut World); 6] = [
        |w| w.hangs_up("far"),
        |w| w.digits("d1", "*"),
        |w| w.target_takes("t"),
        |w| w.not_reached("user_busy"),
        |w| {
            w.hangs_up("d1");
            w.not_reached("user_busy");
            w.obeys();
            w.sleep();
        },
        |w| {
            w.link_down();
            w.ends("far");
            w.resync();
        },
    ];
    for (at, ending) in endings.iter().enumerate() {
        let mut w = World::new();
        w.talks("far", "d1=1001");
        w.pushes("d1", "2001#");
        w.target("t=2001");
        ending(&mut w);
        w.settles();
        assert_eq!(w.moves(), 0, "ending {at}");
        assert_eq!(w.core.next_timer(), None, "ending {at}");
        assert_eq!(w.reports.len(), 1, "ending {at}");
        assert!(w.open_in_journal().is_empty(), "ending {at}");
    }
}

#[test]
fn the_journal_is_written_before_the_switch_is_told() {
    let story = |w: &mut World| {
        w.talks("far", "d1=1001");
        w.reads_journal = true;
    };
    check(
        "moved",
        |w| {
            story(w);
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.target_takes("t");
        },
        "begun push, split d1 far, note ringing to 2001, push rings 2001, note completing to 2001, \
         settle far, release d1, closed moved, moved 1001 to 2001",
    );
    check(
        "given back",
        |w| {
            story(w);
            w.pushes("d1", "20*");
            w.settles();
        },
        "begun push, split d1 far, note giving_back, give back d1, settle far, closed not_moved, \
         failed: cancelled",
    );
    check(
        "recalled",
        |w| {
            story(w);
            w.pushes("d1", "2001#");
            w.hangs_up("d1");
            w.not_reached("user_busy");
            w.obeys();
            w.answers("r1");
            w.bridge("far", "r1");
        },
        "begun push, split d1 far, note ringing to 2001, push rings 2001, note recalling to 2001, \
         recall far, settle far, closed recalled, recalled",
    );
    check(
        "refused: what was dialled is written down too",
        |w| {
            story(w);
            w.pushes("d1", "9999#");
        },
        "begun push, split d1 far, note giving_back to 9999, refuse d1",
    );
}

#[test]
fn what_the_old_legs_dialplan_is_told() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    assert_eq!(w.push_word("d1"), None, "before");
    w.pushes("d1", "20");
    assert_eq!(w.push_word("d1"), Some(PushWord::Wait));
    assert_eq!(w.push_word("other"), None, "another leg");
    w.link_down();
    assert_eq!(w.push_word("d1"), None, "no digit would be heard of");
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.pushes("d1", "2001#");
    assert_eq!(w.push_word("d1"), Some(PushWord::Ring));
    w.target("t=2001");
    w.answers("t");
    assert_eq!(w.push_word("d1"), Some(PushWord::Ring), "completing");
    w.link_down();
    assert_eq!(
        w.push_word("d1"),
        Some(PushWord::Ring),
        "it rings all the same"
    );
    w.resync();
    assert_eq!(w.push_word("d1"), Some(PushWord::Ring));
    w.killed();
    assert_eq!(
        w.push_word("d1"),
        Some(PushWord::Ring),
        "restarted, nothing read"
    );
    w.hangs_up("t");
    w.resync();
    assert_eq!(w.push_word("d1"), None, "giving back");
    w.settles();
    assert_eq!(w.push_word("d1"), None, "over");

    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.pushes("d1", "20");
    w.killed();
    assert_eq!(w.push_word("d1"), None, "restarted while it was dialled");
}

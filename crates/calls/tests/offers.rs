//! Moves that somebody wants who is at no phone: a call is offered, and who answers takes it.

mod support;

use callhop_calls::core::{Input, MoveEnd};
use callhop_calls::journal::{Kind, Stage};
use callhop_calls::routing::Policy;
use support::{World, check, device, leg, route};

#[test]
fn who_answers_a_pull_gets_the_call() {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.offers(Kind::Pull, "1000", "1003");
    assert_eq!(w.said(), "offer rings 1003");
    let open = w.offered.clone().unwrap();
    assert_eq!((open.stage, open.from), (Stage::Offered, device("1001")));
    w.offer_rings("new=1003");
    // The call goes on as if nothing had happened.
    assert_eq!(
        (w.said(), w.bond("far")),
        (String::new(), "talks to d1".to_owned())
    );
    assert_eq!(w.moves(), 1);
    w.takes_offer("new");
    assert_eq!(w.said(), "pull far");
    w.intercepts("new", "far");
    assert_eq!(w.said(), "moved 1001 to 1003");
    let report = w.reports.pop().unwrap();
    assert_eq!((report.id, report.kind), (open.id, Kind::Pull));
    assert_eq!(w.moves(), 0);
}

/// The call that was offered rings, and is answered as somebody takes the offer: it is taken out of its bridge.
#[test]
fn a_call_that_is_answered_as_it_is_taken() {
    let mut w = World::new();
    w.incoming("far");
    w.rings("d1=1001", "far");
    w.offers(Kind::Pull, "1000", "1003");
    w.offer_rings("new=1003");
    w.answers("d1");
    w.takes_offer("new");
    assert_eq!(w.said(), "offer rings 1003", "it waits");
    w.answers("far");
    w.bridge("far", "d1");
    assert_eq!(w.said(), "pull far");
    w.intercepts("new", "far");
    assert_eq!(w.said(), "moved 1001 to 1003");
}

#[test]
fn who_answers_a_push_gets_the_call() {
    check(
        "a colleague, as their route says",
        |w| {
            w.set_route("2000", Some(route("device 2002")));
            w.talks("far", "d1=1001");
            w.offers(Kind::Push, "1000", "2000");
            w.offer_rings("new=2002");
            w.takes_offer("new");
            w.intercepts("new", "far");
            assert_eq!(w.reports[0].kind, Kind::Push);
            assert_eq!(w.reports[0].new_leg, Some(leg("new")));
        },
        "offer rings 2002, pull far, moved 1001 to 2000",
    );
    check(
        "not outside, unless a pattern allows it",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Push, "1000", "0301234");
        },
        "not offered: 0301234 is no extension and no device of the domain, and push.allow has no pattern for it",
    );
    let mut policy = Policy::default();
    policy.push.allow = vec![callhop_calls::push::Pattern::new("030[0-9]+").unwrap()];
    let mut w = World::with(policy);
    w.talks("far", "d1=1001");
    w.offers(Kind::Push, "1000", "0301234");
    assert_eq!(w.said(), "offer rings outside 0301234");
}

#[test]
fn which_call_is_meant() {
    check(
        "the one that talks, before the one that is held",
        |w| {
            w.talks("far", "d1=1001");
            w.hold("d1");
            w.talks("next", "d2=1002");
            w.offers(Kind::Pull, "1000", "1003");
            assert_eq!(w.offered.as_ref().unwrap().far_leg, leg("next"));
        },
        "offer rings 1003",
    );
    check(
        "that of the named device",
        |w| {
            w.talks("far", "d1=1001");
            w.talks("next", "d2=1002");
            w.offers(Kind::Pull, "1000 from 1001", "1003");
            assert_eq!(w.offered.as_ref().unwrap().far_leg, leg("far"));
        },
        "offer rings 1003",
    );
    check(
        "on another switch",
        |w| {
            w.on("fs2").talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            assert_eq!(w.offered.as_ref().unwrap().switch.as_str(), "fs2");
        },
        "offer rings 1003",
    );
}

#[test]
fn what_is_not_offered() {
    for (kind, whose, to, why) in [
        (
            Kind::Pull,
            "9000",
            "1003",
            "there is no extension 9000@lab.test",
        ),
        (
            Kind::Pull,
            "2000",
            "2002",
            "no other device of the extension has a call",
        ),
        (
            Kind::Pull,
            "1000",
            "2001",
            "2001 is not a device of the extension",
        ),
        (
            Kind::Pull,
            "1000",
            "1001",
            "1001@lab.test has that call already",
        ),
        (
            Kind::Pull,
            "1000 from 2001",
            "1003",
            "2001 is not a device of the extension",
        ),
        (
            Kind::Pull,
            "1000 from 1002",
            "1003",
            "1002@lab.test has no call",
        ),
        (
            Kind::Push,
            "1000",
            "1001",
            "1001@lab.test is the device that pushes",
        ),
        (
            Kind::Push,
            "1000",
            "77",
            "77 is no extension and no device of the domain, and push.allow has no pattern for it",
        ),
    ] {
        let story = |w: &mut World| {
            w.talks("far", "d1=1001");
            w.offers(kind, whose, to);
        };
        check(
            &format!("{kind:?} {whose} {to}"),
            story,
            &format!("not offered: {why}"),
        );
    }
    check(
        "to who is not registered",
        |w| {
            w.talks("far", "d1=1001");
            w.registers("1003", &[]);
            w.offers(Kind::Pull, "1000", "1003");
        },
        "not offered: 1003@lab.test is not registered where the call is",
    );
    check(
        "a push of a call that rings",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.offers(Kind::Push, "1000", "2000");
        },
        "not offered: the call of 1001@lab.test has not been answered yet",
    );
    check(
        "twice",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            w.offers(Kind::Push, "1000", "2000");
        },
        "offer rings 1003, not offered: the call of 1001@lab.test is being offered already",
    );
    check(
        "while it is being moved",
        |w| {
            w.talks("far", "d1=1001");
            w.key("d1");
            w.said();
            w.offers(Kind::Pull, "1000", "1003");
        },
        "not offered: the call of 1001@lab.test is being moved already",
    );
    check(
        "by a switch that is not known",
        |w| {
            w.talks("far", "d1=1001");
            w.link_down();
            w.on("fs2").link_down();
            w.offers(Kind::Pull, "1000", "1003");
        },
        "not offered: the state of the switch is stale",
    );
}

#[test]
fn a_ringing_call_is_pulled_as_by_a_star_code() {
    check(
        "inbound",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.rings("d2=1002", "far");
            w.offers(Kind::Pull, "1000", "1003");
            w.offer_rings("new=1003");
            w.takes_offer("new");
            w.intercepts("new", "far");
        },
        "offer rings 1003, pull far telling d1 d2, moved 1002 to 1003",
    );
    check(
        "answered meanwhile by another own device",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.rings("d2=1002", "far");
            w.offers(Kind::Pull, "1000", "1003");
            w.offer_rings("new=1003");
            w.answers("d2");
            w.answers("far");
            w.bridge("far", "d2");
            w.hangs_up("d1");
            w.takes_offer("new");
            w.intercepts("new", "far");
        },
        "offer rings 1003, pull far, moved 1002 to 1003",
    );
}

#[test]
fn an_offer_that_comes_to_nothing_touches_nothing() {
    let begin = |w: &mut World| {
        w.talks("far", "d1=1001");
        w.offers(Kind::Push, "1000", "2000");
        w.offer_rings("t1=2001");
        w.offer_rings("t2=2002");
        w.said();
    };
    let nothing = |name: &str, what: fn(&mut World), expect: &str| {
        let story = |w: &mut World| {
            begin(w);
            what(w);
            assert_eq!(w.moves(), 0, "{name}");
        };
        check(name, story, expect);
    };
    nothing(
        "not reached",
        |w| {
            let id = w.offered.as_ref().unwrap().id;
            w.hangs_up("t1");
            w.hangs_up("t2");
            let cause = "user_busy".to_owned();
            w.tell(Input::NotReached("fs1".parse().unwrap(), id, cause));
        },
        "failed: user busy",
    );
    nothing(
        "withdrawn",
        World::withdraws,
        "release t1, release t2, failed: cancelled",
    );
    nothing(
        "no answer, and the switch says nothing",
        |w| {
            w.sleep();
        },
        "release t1, release t2, failed: no answer",
    );
    nothing(
        "the far end hangs up",
        |w| w.hangs_up("far"),
        "release t1, release t2, failed: far end gone",
    );
    nothing(
        "somebody else has it by now",
        |w| {
            w.incoming("other=2001");
            w.answers("other");
            w.bridge("other", "far");
        },
        "release t1, release t2, failed: overtaken",
    );
    check(
        "it is being moved when they answer",
        |w| {
            begin(w);
            w.key("d1");
            w.takes_offer("t1");
        },
        "split d1 far, release t2, failed: overtaken, refuse not_offered",
    );
}

#[test]
fn a_person_may_move_the_call_between_their_own_phones_meanwhile() {
    check(
        "and it comes from there",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            w.offer_rings("new=1003");
            w.pulls("d2=1002", "*33");
            w.takes_offer("new");
            w.intercepts("new", "far");
        },
        "offer rings 1003, pull far, moved 1001 to 1002, pull far, moved 1002 to 1003",
    );
}

#[test]
fn who_answers_too_late_or_was_never_rung_is_refused() {
    check(
        "too late",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            w.offer_rings("new=1003");
            w.answers("new");
            w.withdraws();
            w.asks_to_take("new");
            w.withdraws();
        },
        "offer rings 1003, failed: cancelled, refuse not_offered, \
         not offered: 00000000-0000-0001-0000-000000000001 is no offer, or not any more",
    );
    check(
        "a leg that comes late rings for nothing",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            w.withdraws();
            w.offer_rings("new=1003");
        },
        "offer rings 1003, failed: cancelled, release new",
    );
    check(
        "it is not known whether the call is still there",
        |w| {
            w.talks("far", "d1=1001");
            w.offers(Kind::Pull, "1000", "1003");
            w.offer_rings("new=1003");
            w.answers("new");
            w.link_down();
            w.asks_to_take("new");
            w.resync();
            w.asks_to_take("new");
        },
        "offer rings 1003, refuse stale, pull far",
    );
}

/// The controller is restarted at this moment of an offer.
fn restarted(story: fn(&mut World)) -> World {
    let mut w = World::new();
    w.talks("far", "d1=1001");
    w.offers(Kind::Pull, "1000", "1003");
    w.offer_rings("new=1003");
    story(&mut w);
    w.said();
    w.restarts();
    w
}

#[test]
fn a_restart_closes_what_only_rang_and_follows_what_was_answered() {
    let mut w = restarted(|_| {});
    assert_eq!(w.said(), "release new, failed: interrupted");
    let mut w = restarted(|w| w.hangs_up("new"));
    assert_eq!(w.said(), "failed: interrupted");
    let mut w = restarted(|w| w.takes_offer("new"));
    assert_eq!(w.said(), "");
    w.bridge("new", "far");
    assert_eq!(w.said(), "moved 1001 to 1003");
    assert_eq!(w.reports.last().unwrap().end, MoveEnd::Moved);
}

//! Arming: each leg of a known device listens for the push code, told once and at the right moment (DESIGN 2.4, 1).

mod support;

use callhop_calls::tracker::Progress;
use support::World;

/// Which legs were told in this story, in order; a leg that had been answered is marked `late`.
fn check(name: &str, story: impl FnOnce(&mut World), expect: &str) {
    let mut w = World::new();
    story(&mut w);
    let told = w.armed.iter().map(|(leg, late)| match late {
        true => format!("{leg} late"),
        false => leg.clone(),
    });
    assert_eq!(told.collect::<Vec<_>>().join(", "), expect, "{name}");
}

#[test]
fn a_leg_is_told_before_its_answer_and_once() {
    check(
        "the device is called",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            assert_eq!(w.armed.len(), 1, "at once");
            w.progress("d1", Progress::EarlyMedia);
            w.answers("d1");
            w.answers("far");
            w.bridge("far", "d1");
            w.hold("d1");
            w.unhold("d1");
        },
        "d1",
    );
    check("the device calls", |w| w.talks("d1=1001", "far"), "d1");
    check(
        "both ends are known",
        |w| w.talks("e1=2001", "d1=1001"),
        "e1, d1",
    );
    check(
        "each of several phones that ring",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.rings("d3=1003", "far");
        },
        "d1, d3",
    );
    check(
        "a phone that dials a star code",
        |w| {
            w.talks("far", "d1=1001");
            w.pulls("new=1002", "*33");
        },
        "d1, new",
    );
    check(
        "the target of a push",
        |w| {
            w.talks("far", "d1=1001");
            w.pushes("d1", "2001#");
            w.target("t=2001");
            w.target_takes("t");
        },
        "d1, t",
    );
}

#[test]
fn a_leg_of_nobody_we_know_is_not_told() {
    check("outside", |w| w.talks("far", "near"), "");
    check("a device of no extension", |w| w.talks("far", "x=9999"), "");
    check(
        "of no domain of ours",
        |w| w.talks("far", "x=1001@nowhere.test"),
        "",
    );
}

#[test]
fn a_leg_that_was_answered_unarmed_is_told_once_it_talks() {
    // An earlier run of the controller did not know the device, or the call is older than the installation.
    let unknown = |w: &mut World| w.talks("far", "d1=9001");
    check("nobody knows it", unknown, "");
    check(
        "found talking when the switch is read",
        |w| {
            unknown(w);
            w.link_down();
            w.have("9000", &["9001"]);
            w.resync();
            w.resync();
        },
        "d1 late",
    );
    check(
        "found answered, talking to nobody, and bridged later",
        |w| {
            w.incoming("d1=9001");
            w.answers("d1");
            w.have("9000", &["9001"]);
            w.resync();
            assert_eq!(w.armed.len(), 0, "voicemail is not interrupted");
            w.talks("far", "other");
            w.bridge("far", "d1");
        },
        "d1 late",
    );
    check(
        "found ringing",
        |w| {
            w.incoming("far");
            w.rings("d1=9001", "far");
            w.have("9000", &["9001"]);
            w.resync();
        },
        "d1",
    );
    check(
        "what was ordered before its answer came too late",
        |w| {
            w.hold_back();
            w.talks("far", "d1=1001");
            for event in w.let_go() {
                w.event(event);
            }
        },
        "d1, d1 late",
    );
}

#[test]
fn a_leg_that_listens_already_is_left_alone() {
    check(
        "after a lost link",
        |w| {
            w.talks("far", "d1=1001");
            w.link_down();
            w.resync();
        },
        "d1",
    );
    check(
        "after a restart of the controller",
        |w| {
            w.talks("far", "d1=1001");
            w.armed.clear();
            w.restarts();
            w.hold("d1");
        },
        "",
    );
    check(
        "a restart while it rings: it will listen",
        |w| {
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.armed.clear();
            w.restarts();
            w.answers("d1");
            w.answers("far");
            w.bridge("far", "d1");
        },
        "",
    );
    check(
        "a leg that takes part in a push: its own dialplan arms it",
        |w| {
            w.talks("far", "d1=1001");
            w.pushes("d1", "20");
            w.armed.clear();
            w.restarts();
            w.settles();
            w.key("d1");
            assert!(w.said().ends_with("split d1 far"));
        },
        "",
    );
}

#[test]
fn facts_that_come_in_another_order_or_twice() {
    check(
        "every event twice",
        |w| {
            w.hold_back();
            w.incoming("far");
            w.rings("d1=1001", "far");
            let events = w.let_go();
            for event in events.iter().chain(&events) {
                w.event(event.clone());
            }
            w.answers("d1");
            w.answers("far");
            w.bridge("far", "d1");
        },
        "d1",
    );
    check(
        "the newest first",
        |w| {
            w.hold_back();
            w.incoming("far");
            w.rings("d1=1001", "far");
            w.progress("d1", Progress::EarlyMedia);
            for event in w.let_go().into_iter().rev() {
                w.event(event);
            }
        },
        "d1",
    );
    check(
        "the bridge is told before the leg's own facts",
        |w| {
            w.incoming("far");
            w.answers("far");
            w.hold_back();
            w.rings("d1=1001", "far");
            w.answers("d1");
            w.bridge("far", "d1");
            for event in w.let_go().into_iter().rev() {
                w.event(event);
            }
        },
        "d1 late",
    );
    check(
        "events about a leg that is gone",
        |w| {
            w.hold_back();
            w.incoming("d1=1001");
            let events = w.let_go();
            w.hangs_up("d1");
            for event in events {
                w.event(event);
            }
        },
        "",
    );
}

#[test]
fn a_leg_that_a_reconcile_finds_is_told_at_once() {
    check(
        "its events were lost",
        |w| {
            w.hold_back();
            w.talks("far", "d1=1001");
            w.let_go();
            w.reconciles();
        },
        "d1 late",
    );
}

#[test]
fn a_leg_whose_device_becomes_known_is_told_with_its_next_event() {
    check(
        "an extension is written while it talks",
        |w| {
            w.talks("far", "d1=9001");
            w.have("9000", &["9001"]);
            w.hold("d1");
        },
        "d1 late",
    );
}

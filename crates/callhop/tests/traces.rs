//! What a real FreeSWITCH 1.11 sent over its event link while real phones did what the name of the trace says, read by the
//! program's own layers: frames, translation, tracker. Each check tells the calls after every event that changed them.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read as _;
use std::time::Duration;

use bytes::BytesMut;
use callhop::freeswitch::translate;
use callhop_calls::tracker::{Change, Tracker};
use callhop_esl::{Event, FrameCodec};
use flate2::read::GzDecoder;
use support::calls;
use tokio_util::codec::Decoder as _;

fn events(trace: &str) -> Vec<Event> {
    let path = format!(
        "{}/../../tests/traces/{trace}.plain.gz",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(&path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let mut bytes = BytesMut::from(&bytes[..]);
    let mut codec = FrameCodec::default();
    let mut events = Vec::new();
    while let Some(frame) = codec.decode(&mut bytes).unwrap() {
        events.push(Event::new(frame.into_body()));
    }
    assert!(bytes.is_empty(), "{trace} ends within a frame");
    events
}

#[track_caller]
fn check(trace: &str, expect: &[&str]) {
    let mut tracker = Tracker::default();
    let mut seen: Vec<String> = Vec::new();
    for event in events(trace) {
        let Some(leg_event) = translate::leg_event(&event) else {
            continue;
        };
        tracker.handle_event(leg_event, Duration::ZERO);
        let now = calls(&tracker);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, expect, "{trace}");
}

#[test]
fn a_talking_call_is_pulled() {
    check(
        "pull-far-called",
        &[
            "2001 alone",
            "1001 rings for 2001, 2001 alone",
            "1001 alone, 2001 alone",
            "1001 - 2001",
            "1001 - 2001, 1002 alone",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "2001 alone",
            "",
        ],
    );
}

#[test]
fn a_talking_call_that_the_far_end_answered_is_pulled() {
    check(
        "pull-far-was-called",
        &[
            "1001 alone",
            "1001 alone, 2001 rings for 1001",
            "1001 alone, 2001 alone",
            "1001 - 2001",
            "1001 - 2001, 1002 alone",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "2001 alone",
            "",
        ],
    );
}

#[test]
fn a_call_that_rings_everywhere_is_pulled() {
    check(
        "pull-ringing-inbound",
        &[
            "2001 alone",
            "1001 rings for 2001, 2001 alone",
            "1001 rings for 2001, 1002 rings for 2001, 2001 alone",
            "1001 rings for 2001, 1002 rings for 2001, 1003 rings for 2001, 2001 alone",
            "1001 rings for 2001, 1002 alone, 1002 rings for 2001, 1003 rings for 2001, 2001 alone",
            "1001 rings for 2001, 1002 alone, 1002 rings for 2001, 2001 alone",
            "1002 alone, 1002 rings for 2001, 2001 alone",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "2001 alone",
            "",
        ],
    );
}

#[test]
fn an_outbound_call_that_rings_is_pulled() {
    check(
        "pull-ringing-outbound",
        &[
            "1001 alone",
            "1001 alone, 2001 rings for 1001",
            "1001 alone, 1002 alone, 2001 rings for 1001",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "1002 alone",
            "",
        ],
    );
}

#[test]
fn a_call_held_by_the_old_device_is_pulled() {
    check(
        "pull-held-by-old",
        &[
            "2001 alone",
            "1001 rings for 2001, 2001 alone",
            "1001 alone, 2001 alone",
            "1001 - 2001",
            "1001 holds 2001",
            "1001 holds 2001, 1002 alone",
            "1001 - 2001, 1002 alone",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "2001 alone",
            "",
        ],
    );
}

#[test]
fn a_call_held_by_the_far_end_is_pulled() {
    check(
        "pull-held-by-far",
        &[
            "2001 alone",
            "1001 rings for 2001, 2001 alone",
            "1001 alone, 2001 alone",
            "1001 - 2001",
            "2001 holds 1001",
            "1002 alone, 2001 holds 1001",
            "1001 - 2001, 1002 alone",
            "1002 alone, 2001 alone",
            "1002 - 2001",
            "1002 alone",
            "",
        ],
    );
}

#[test]
fn a_call_is_transferred() {
    check(
        "blind-transfer",
        &[
            "2001 alone",
            "1001 rings for 2001, 2001 alone",
            "1001 alone, 2001 alone",
            "1001 - 2001",
            "2001 alone",
            "2001 alone, 2002 rings for 2001",
            "2001 alone, 2002 alone",
            "2001 - 2002",
            "2001 alone",
            "",
        ],
    );
}

/// When the old bridge of the trace ended and the new one began, as the events tell it: what is measured of a pull.
#[test]
fn the_far_ends_gap_is_in_the_events() {
    for (trace, expect) in [
        ("pull-far-called", 59_909),
        ("pull-far-was-called", 60_007),
        ("pull-held-by-far", 40_043),
        ("pull-held-by-old", 40_011),
    ] {
        let told: Vec<_> = events(trace)
            .iter()
            .filter_map(translate::leg_event)
            .collect();
        let apart = told
            .iter()
            .position(|told| matches!(told.change, Change::Unbridged(_)));
        let apart = apart.unwrap();
        let again = told[apart..]
            .iter()
            .find(|told| matches!(told.change, Change::Bridged(_)));
        let gap = again.unwrap().at.unwrap().0 - told[apart].at.unwrap().0;
        assert_eq!(gap, Duration::from_micros(expect), "{trace}");
    }
}

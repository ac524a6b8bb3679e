//! What a real Asterisk 22 sent while real phones called each other (`crates/ami/tests/data/README.md`), and what each kind of
//! event means by itself.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read as _;
use std::time::Duration;

use bytes::BytesMut;
use callhop::asterisk::translate::{Counter, Told, Translator};
use callhop::asterisk::words::{dial_string, feature, sound, with_feature};
use callhop::config::Endpoints;
use callhop_ami::{Event, FrameCodec, FrameKind, Limits};
use callhop_calls::core::Answer;
use callhop_calls::tracker::{Arming, Change, Tracker};
use flate2::read::GzDecoder;
use support::calls;
use tokio_util::codec::Decoder as _;

fn endpoints() -> Endpoints {
    let mut endpoints = Endpoints::default();
    let mut add = |domain: &str, pattern| endpoints.add(domain.parse().unwrap(), pattern).unwrap();
    add("lab.test", "{number}");
    add("other.test", "other-{number}");
    endpoints
}

fn translator() -> Translator {
    Translator::new(endpoints(), Counter::default())
}

fn recorded() -> Vec<Event> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ami/tests/data/asterisk-22.10.gz"
    );
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let mut bytes = BytesMut::from(&bytes[..]);
    let mut codec = FrameCodec::new(Limits::default());
    let mut events = Vec::new();
    while let Some(frame) = codec.decode_eof(&mut bytes).unwrap() {
        if frame.kind() == FrameKind::Event {
            events.push(frame.into_event().unwrap());
        }
    }
    events
}

/// The calls after every event that changed them, from the first to the last.
#[test]
fn what_a_real_asterisk_told() {
    let mut translator = translator();
    let mut tracker = Tracker::default();
    let mut seen: Vec<String> = Vec::new();
    for event in recorded() {
        for told in translator.event(&event, Duration::ZERO) {
            if let Told::Leg(leg_event) = told {
                tracker.handle_event(leg_event, Duration::ZERO);
                let now = calls(&tracker);
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
            }
        }
    }
    assert_eq!(seen, EXPECTED);
}

const EXPECTED: &[&str] = &[
    // A call, held and taken back, pulled by 1002.
    "2001 alone",
    "1001 alone, 2001 alone",
    "1001 rings for 2001, 2001 alone",
    "1001 alone, 2001 alone",
    "1001 - 2001",
    "1001 holds 2001",
    "1001 - 2001",
    "1001 - 2001, 1002 alone",
    "1001 alone, 1002 alone, 2001 alone",
    "1001 alone, 1002 - 2001",
    "1002 - 2001",
    // A push to 1003.
    "1002 alone, 2001 alone",
    "1002 alone, 1003 alone, 2001 alone",
    "1002 alone, 1003 rings for 2001, 2001 alone",
    "1002 alone, 1003 alone, 2001 alone",
    "1003 alone, 2001 alone",
    "1003 - 2001",
    "1003 alone, 2001 alone",
    "2001 alone",
    "",
    // It rings at 1001 and 1003, and 1002 picks it up.
    "2001 alone",
    "1001 alone, 2001 alone",
    "1001 alone, 1003 alone, 2001 alone",
    "1001 rings for 2001, 1003 alone, 2001 alone",
    "1001 rings for 2001, 1003 rings for 2001, 2001 alone",
    "1001 rings for 2001, 1002 alone, 1003 rings for 2001, 2001 alone",
    "1002 alone, 1003 rings for 2001, 2001 alone",
    "1002 alone, 2001 alone",
    "1002 - 2001",
    "1002 alone, 2001 alone",
    "2001 alone",
    "",
    // Originated: 1003 answers, and two halves of a Local channel.
    "1003 alone",
    "",
    "1003 alone",
    "",
    "? alone",
    "1003 alone, ? alone",
    "1003 rings for ?, ? alone",
    "1003 alone, ? alone",
    "1003 - ?, ? alone",
    "1003 - ?",
    "1003 alone, ? alone",
    "1003 alone",
    "",
];

/// An event with the block of a channel (main/manager_channels.c), then more headers.
fn event(name: &str, channel: &str, state: u8, more: &[(&str, &str)]) -> Event {
    let state = state.to_string();
    let mut headers = vec![
        ("Privilege", "call,all"),
        ("Channel", channel),
        ("ChannelState", state.as_str()),
        ("CallerIDNum", "5550001"),
        ("CallerIDName", "<unknown>"),
        ("Exten", "1000"),
        ("Uniqueid", "1.1"),
    ];
    headers.extend(more);
    Event::build(name, &headers).unwrap()
}

const D1: &str = "PJSIP/1001-00000001";
const F: &str = "PJSIP/2001-00000002";
const D2: &str = "PJSIP/other-1002-00000003";
const BRIDGE: [(&str, &str); 2] = [("BridgeUniqueid", "b1"), ("BridgeType", "basic")];

/// What is told, in a few words.
fn words(told: &[Told]) -> String {
    let words = told.iter().map(|told| match told {
        Told::Leg(event) => {
            let leg = event.leg.as_str().trim_start_matches("PJSIP/");
            let change = match &event.change {
                Change::Told => String::new(),
                Change::Bridged(peer) => format!(" with {peer}"),
                Change::Unbridged(peer) => format!(" without {peer}"),
                other => format!(" {other:?}"),
            };
            let facts = event.facts.as_ref().map_or_else(String::new, |facts| {
                let device = facts
                    .device
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |device| device.to_string());
                let arming = match facts.arming {
                    Arming::No => String::new(),
                    arming => format!(" {arming:?}"),
                };
                let originator = facts
                    .originator
                    .as_ref()
                    .map_or_else(String::new, |leg| format!(" for {leg}"));
                let made_by = if facts.made_by.is_some() {
                    " target"
                } else {
                    ""
                };
                format!(
                    " {device} {:?} {:?}{originator}{arming}{made_by}",
                    facts.direction, facts.progress
                )
            });
            format!("{leg}{facts}{change}")
        }
        other => format!("{other:?}"),
    });
    words.collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(events: &[Event], expect: &str) {
    let mut translator = translator();
    let (last, before) = events.split_last().unwrap();
    for event in before {
        let _ = translator.event(event, Duration::ZERO);
    }
    assert_eq!(words(&translator.event(last, Duration::ZERO)), expect);
}

#[test]
fn a_leg_is_told_of() {
    let new = |channel, state| event("Newchannel", channel, state, &[]);
    check(&[new(D1, 4)], "1001-00000001 1001@lab.test Inbound Setup");
    check(
        &[new(D2, 0)],
        "other-1002-00000003 1002@other.test Outbound Setup",
    );
    check(
        &[new(D1, 4), event("Newstate", D1, 6, &[])],
        "1001-00000001 1001@lab.test Inbound Answered",
    );
    // No device: not of PJSIP, or not a name that it gives.
    check(
        &[new("Local/100@common-00000001;1", 4)],
        "Local/100@common-00000001;1 - Inbound Setup",
    );
    check(&[new("PJSIP/1001", 4)], "1001 - Inbound Setup");
    check(&[new("Surrogate/PJSIP/1001-00000001", 6)], "");
    check(
        &[new(D1, 4), event("Hangup", D1, 6, &[("Cause", "16")])],
        "1001-00000001 Gone",
    );
}

#[test]
fn who_is_dialled_for_whom() {
    let dial = |more: &[(&'static str, &'static str)]| {
        let mut headers = vec![
            ("DestChannel", D1),
            ("DestChannelState", "5"),
            ("DestCallerIDNum", "1001"),
        ];
        headers.extend(more);
        headers
    };
    check(
        &[
            event("Newchannel", D1, 0, &[]),
            event("DialBegin", F, 4, &dial(&[])),
        ],
        "1001-00000001 1001@lab.test Outbound Setup for PJSIP/2001-00000002",
    );
    check(
        &[
            event("DialBegin", F, 4, &dial(&[])),
            event("DialState", F, 4, &dial(&[("DialStatus", "PROGRESS")])),
        ],
        "1001-00000001 1001@lab.test Outbound EarlyMedia for PJSIP/2001-00000002",
    );
}

#[test]
fn two_in_a_bridge_talk() {
    let enters = |leg| event("BridgeEnter", leg, 6, &BRIDGE);
    let leaves = |leg| event("BridgeLeave", leg, 6, &BRIDGE);
    check(
        &[enters(D1)],
        "1001-00000001 1001@lab.test Inbound Answered",
    );
    check(
        &[enters(D1), enters(F)],
        "2001-00000002 2001@lab.test Inbound Answered with PJSIP/1001-00000001",
    );
    check(
        &[enters(D1), enters(F), enters(D2)],
        "other-1002-00000003 1002@other.test Inbound Answered",
    );
    check(
        &[enters(D1), enters(F), enters(D2), leaves(D1)],
        "PJSIP/2001-00000002 with PJSIP/other-1002-00000003".trim_start_matches("PJSIP/"),
    );
    check(
        &[enters(D1), enters(F), leaves(D1)],
        "1001-00000001 1001@lab.test Inbound Answered without PJSIP/2001-00000002",
    );
    check(&[enters(D1), enters(F), leaves(D1), leaves(F)], "");
    let conference = [("BridgeUniqueid", "c"), ("BridgeType", "base")];
    check(&[event("BridgeEnter", D1, 6, &conference)], "");
}

#[test]
fn a_leg_listens_from_its_next_bridge_on() {
    let mut translator = translator();
    let tell = |event: &Event, translator: &mut Translator| {
        words(&translator.event(event, Duration::ZERO))
    };
    tell(&event("Newchannel", D1, 0, &[]), &mut translator);
    translator.prepared(&D1.parse().unwrap());
    assert_eq!(
        tell(&event("Newstate", D1, 5, &[]), &mut translator),
        "1001-00000001 1001@lab.test Outbound Setup Prepared"
    );
    assert_eq!(
        tell(&event("BridgeEnter", D1, 6, &BRIDGE), &mut translator),
        "1001-00000001 1001@lab.test Outbound Answered Armed"
    );
    // Too late for its bridge: from the next one on.
    tell(&event("BridgeEnter", F, 6, &BRIDGE), &mut translator);
    translator.prepared(&F.parse().unwrap());
    tell(&event("BridgeLeave", F, 6, &BRIDGE), &mut translator);
    assert!(tell(&event("BridgeEnter", F, 6, &BRIDGE), &mut translator).contains("Answered Armed"));
}

#[test]
fn whom_a_far_leg_dials_for_a_push() {
    let mut translator = translator();
    let (far, old) = (F.parse().unwrap(), D1.parse().unwrap());
    let id = "00000000-0000-0009-0000-000000000009".parse().unwrap();
    let _ = translator.event(&event("Newchannel", F, 4, &[]), Duration::ZERO);
    translator.pushes(&old, &far);
    assert_eq!(translator.rings(&far, id), Some(old));
    let dial = event(
        "DialBegin",
        F,
        6,
        &[("DestChannel", D2), ("DestChannelState", "0")],
    );
    assert!(words(&translator.event(&dial, Duration::ZERO)).ends_with(" target"));
    translator.rings_no_more(&far);
    let recall = [
        ("DestChannel", "PJSIP/1003-00000009"),
        ("DestChannelState", "0"),
    ];
    let recall = event("DialBegin", F, 6, &recall);
    assert!(!words(&translator.event(&recall, Duration::ZERO)).ends_with(" target"));
}

#[test]
fn digits_and_events_of_the_dialplan() {
    let digit = |digit, direction| {
        let more = [("Digit", digit), ("Direction", direction)];
        event("DTMFEnd", D1, 6, &more)
    };
    check(&[digit("9", "Received")], "Digit(PJSIP/1001-00000001, '9')");
    check(&[digit("9", "Sent")], "");
    check(&[digit("99", "Received")], "");
    check(
        &[event("UserEvent", D1, 6, &[("UserEvent", "CallhopPush")])],
        "PushKey(PJSIP/1001-00000001)",
    );
    let hunted = |source| {
        let more = [("UserEvent", "CallhopHunted"), ("Source", source)];
        event("UserEvent", F, 6, &more)
    };
    check(&[hunted("snapshot")], "Hunted(Snapshot)");
    check(&[hunted("elsewhere"), hunted("")], "");
    let not_reached = |status, cause| {
        let more = [
            ("UserEvent", "CallhopNotReached"),
            ("Move", "00000000-0000-0009-0000-000000000009"),
            ("Status", status),
            ("Cause", cause),
        ];
        event("UserEvent", F, 6, &more)
    };
    let id = "00000000-0000-0009-0000-000000000009";
    for (status, cause, expect) in [
        ("BUSY", "17", "user_busy"),
        ("NOANSWER", "0", "no_answer"),
        ("CONGESTION", "21", "call_rejected"),
        ("CHANUNAVAIL", "20", "user_not_registered"),
        ("", "", "unknown_cause"),
    ] {
        check(
            &[not_reached(status, cause)],
            &format!("NotReached({id}, {expect:?})"),
        );
    }
}

/// What Asterisk tells when a digit is taken off the queue, put back, and taken off again (main/channel.c).
#[test]
fn a_digit_that_is_told_twice_counts_once() {
    #[derive(Clone, Copy)]
    enum Key {
        Begin,
        /// With its `DurationMs`.
        End(char, u64),
    }
    use Key::{Begin, End};
    fn check(what: &str, keys: &[(u64, Key)], expect: &str) {
        let mut translator = translator();
        let now = Duration::ZERO;
        let _ = translator.event(&event("Newchannel", D1, 4, &[]), now);
        let mut told = String::new();
        for (ms, key) in keys {
            let text;
            let lasts;
            let (name, more): (_, Vec<(&str, &str)>) = match key {
                Begin => ("DTMFBegin", vec![("Digit", "-"), ("Direction", "Received")]),
                End(digit, duration) => {
                    text = digit.to_string();
                    lasts = duration.to_string();
                    let digit = ("Digit", text.as_str());
                    let lasts = ("DurationMs", lasts.as_str());
                    ("DTMFEnd", vec![digit, ("Direction", "Received"), lasts])
                }
            };
            let event = event(name, D1, 6, &more);
            for it in translator.event(&event, Duration::from_millis(*ms)) {
                if let Told::Digit(_, digit) = it {
                    told.push(digit);
                }
            }
        }
        assert_eq!(told, expect, "{what}");
    }
    check(
        "RFC 4733, the same digit twice",
        &[
            (0, Begin),
            (100, End('1', 100)),
            (200, Begin),
            (300, End('1', 100)),
        ],
        "11",
    );
    check(
        "the first was too short, the second ends while it is played, and is told again",
        &[
            (0, Begin),
            (20, End('0', 20)),
            (30, Begin),
            (70, End('1', 40)),
            (85, End('1', 40)),
        ],
        "01",
    );
    check(
        "the same, told late on a busy machine: how short it was can't be seen",
        &[
            (0, Begin),
            (100, End('0', 20)),
            (300, Begin),
            (400, End('1', 40)),
            (410, End('1', 40)),
        ],
        "01",
    );
    check(
        "SIP INFO, slowly, the same digit",
        &[
            (0, End('2', 160)),
            (300, End('2', 160)),
            (600, End('2', 160)),
        ],
        "222",
    );
    check(
        "SIP INFO, fast: the second is put back",
        &[
            (0, End('2', 160)),
            (120, End('2', 160)),
            (210, End('2', 160)),
            (700, End('2', 160)),
        ],
        "222",
    );
    check(
        "SIP INFO, three at once",
        &[
            (0, End('2', 160)),
            (1, End('0', 160)),
            (2, End('1', 160)),
            (210, End('0', 160)),
            (420, End('1', 160)),
        ],
        "201",
    );
}

#[test]
fn how_long_a_digit_lasts() {
    let mut translator = translator();
    let leg = D1.parse().unwrap();
    let ms = Duration::from_millis;
    let _ = translator.event(&event("Newchannel", D1, 4, &[]), ms(0));
    assert_eq!(translator.digit_lasts(&leg, ms(0)), ms(0));
    let star = |lasts| {
        let more = [
            ("Digit", "*"),
            ("Direction", "Received"),
            ("DurationMs", lasts),
        ];
        event("DTMFEnd", D1, 6, &more)
    };
    let _ = translator.event(&star("160"), ms(1000));
    assert_eq!(translator.digit_lasts(&leg, ms(1010)), ms(150));
    let _ = translator.event(&star("0"), ms(2000));
    assert_eq!(translator.digit_lasts(&leg, ms(2000)), ms(100));
    let begin = [("Digit", "*"), ("Direction", "Received")];
    let _ = translator.event(&event("DTMFBegin", D1, 6, &begin), ms(3000));
    let _ = translator.event(&star("120"), ms(3120));
    assert_eq!(translator.digit_lasts(&leg, ms(3120)), ms(0));
}

/// A caller who writes line ends into a number adds headers, and takes none away.
#[test]
fn of_a_header_that_comes_twice_nothing_is_believed() {
    let forged = [("UserEvent", "CallhopPush"), ("UserEvent", "SomethingElse")];
    check(&[event("UserEvent", D1, 6, &forged)], "");
    let forged = [
        ("DestChannel", D1),
        ("DestChannel", D2),
        ("DestChannelState", "0"),
    ];
    check(&[event("DialBegin", F, 4, &forged)], "");
    check(&[event("Hangup", F, 6, &[("channel", D1)])], "");
}

#[test]
fn registrations() {
    let contact = |uri, status| {
        Event::build(
            "ContactStatus",
            &[
                ("URI", uri),
                ("ContactStatus", status),
                ("AOR", "1001"),
                ("EndpointName", "1001"),
            ],
        )
        .unwrap()
    };
    let (a, b) = ("sip:1001@127.0.0.1:5061", "sip:1001@127.0.0.1:5062");
    check(
        &[contact(a, "NonQualified")],
        &format!("Contacts(1001@lab.test, [{a:?}])"),
    );
    check(
        &[contact(a, "NonQualified"), contact(b, "Reachable")],
        &format!("Contacts(1001@lab.test, [{a:?}, {b:?}])"),
    );
    check(
        &[contact(a, "NonQualified"), contact(b, "Unreachable")],
        &format!("Contacts(1001@lab.test, [{a:?}])"),
    );
    check(
        &[contact(a, "NonQualified"), contact(a, "Removed")],
        "Contacts(1001@lab.test, [])",
    );
}

#[test]
fn dial_strings() {
    fn check(targets: &[(&str, &[&str])], expect: &str) {
        let targets = targets.iter().map(|(device, contacts)| {
            let contacts = contacts.iter().map(|contact| (*contact).to_owned());
            (device.parse().unwrap(), contacts.collect())
        });
        let answer = Answer {
            targets: targets.collect(),
        };
        assert_eq!(dial_string(&endpoints(), &answer), expect);
    }
    let (a, b) = ("sip:1001@10.0.0.1:5061;ob", "sip:1001@10.0.0.2:5061");
    check(
        &[("1001@lab.test", &[a, b]), ("1002@other.test", &[])],
        "PJSIP/1001/sip:1001@10.0.0.1:5061;ob&PJSIP/1001/sip:1001@10.0.0.2:5061&PJSIP/other-1002",
    );
    // What could end a dial string or begin another one is left to the endpoint.
    check(&[("1001@lab.test", &["sip:1001@h&SIP/9"])], "PJSIP/1001");
    check(&[("1001@elsewhere.test", &[a])], "");
}

#[test]
fn sounds_and_features() {
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(sound(text).as_deref(), expect, "{text}");
    }
    check("silence_stream://-1,1400", Some("silence"));
    check("local_stream://moh", Some("moh:moh"));
    check("local_stream://a/b", None);
    check(
        "tone_stream://%(2000,4000,440,480);loops=-1",
        Some("tone:440+480/2000,0/4000"),
    );
    check("tone_stream://%(200,0,425)", Some("tone:425/200"));
    check("tone_stream://v=-7;%(200,0,425)", None);
    check(
        "/var/lib/callhop/hold.wav",
        Some("file:/var/lib/callhop/hold"),
    );
    check("/var/lib.d/hold", None);
    check("hold.wav", None);
    assert_eq!(feature("*9"), "callhop_push_s9");
    assert_eq!(feature("#*1"), "callhop_push_hs1");
    for (before, after) in [
        ("", "callhop_push_s9"),
        ("apprecord#park", "apprecord#park#callhop_push_s9"),
        ("callhop_push_s8#park", "park#callhop_push_s9"),
        ("callhop_push_s9", "callhop_push_s9"),
    ] {
        assert_eq!(with_feature(before, "*9"), after);
    }
}

//! What Asterisk 22.10 sent on one session, as this crate reads it: see `data/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::collections::BTreeMap;

use bytes::BytesMut;
use callhop_ami::event::{ListPart, ReplyStatus};
use callhop_ami::word::{ActionId, ChannelName, Endpoint, UniqueId};
use callhop_ami::{Event, EventName, FrameCodec, FrameKind, Limits, Reply};
use support::trace;
use tokio_util::codec::Decoder;

/// The greeting's version, the events and the answers.
fn read() -> (String, Vec<Event>, Vec<Reply>) {
    let mut octets = BytesMut::from(&trace()[..]);
    let mut codec = FrameCodec::new(Limits::default());
    let (mut version, mut events, mut replies) = (String::new(), Vec::new(), Vec::new());
    while let Some(frame) = codec.decode_eof(&mut octets).unwrap() {
        match frame.kind() {
            FrameKind::Greeting => version = frame.version().unwrap().to_owned(),
            FrameKind::Event => events.push(frame.into_event().unwrap()),
            FrameKind::Response => replies.push(frame.into_reply().unwrap()),
            kind @ (FrameKind::Action | FrameKind::Other) => panic!("{kind}: {frame:?}"),
        }
    }
    (version, events, replies)
}

fn of(name: &EventName) -> Vec<Event> {
    let (_, events, _) = read();
    events
        .into_iter()
        .filter(|event| event.name() == *name)
        .collect()
}

#[test]
fn all_of_it_is_known() {
    let (version, events, replies) = read();
    assert_eq!(version, "11.0.0");
    let mut counts = BTreeMap::new();
    for event in &events {
        let name = event.name();
        assert!(!matches!(name, EventName::Unknown(_)), "{name}");
        *counts.entry(name.to_string()).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    assert_eq!(
        counts.join(", "),
        "BridgeCreate 5, BridgeDestroy 5, BridgeEnter 10, BridgeLeave 10, ContactList 8, ContactListComplete 2, ContactStatus 2, \
         ContactStatusDetail 4, ContactStatusDetailComplete 1, CoreShowChannel 10, CoreShowChannelsComplete 4, DBGetComplete 1, \
         DBGetResponse 1, DTMFBegin 10, DTMFEnd 11, DialBegin 8, DialEnd 8, DialState 2, EndpointList 5, EndpointListComplete 1, \
         FullyBooted 1, Hangup 13, HangupRequest 3, Hold 1, LocalBridge 1, MusicOnHoldStart 1, MusicOnHoldStop 1, NewCallerid 2, \
         NewConnectedLine 12, Newchannel 13, Newstate 12, OriginateResponse 4, Pickup 1, SoftHangupRequest 6, Status 1, \
         StatusComplete 1, Unhold 1, UserEvent 5"
    );
    assert_eq!(replies.len(), 38);
    for (i, reply) in replies.iter().enumerate() {
        assert_eq!(reply.action_id().unwrap(), format!("t-{}", i + 1));
    }
    assert_eq!(replies.last().unwrap().status(), ReplyStatus::Goodbye);
}

/// Every line is a header, and the headers are all there is.
#[test]
fn headers_are_all_there_is() {
    let (_, events, replies) = read();
    let blocks = events
        .iter()
        .map(|event| event.headers())
        .chain(replies.iter().map(|reply| reply.headers()));
    for headers in blocks {
        let again: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        assert_eq!(again.as_bytes(), &headers.block()[..]);
    }
}

/// What the switch calls its things is what our types allow.
#[test]
fn names_are_words() {
    let (_, events, _) = read();
    let mut seen = 0;
    for event in &events {
        for (name, value) in event.iter() {
            let checked = match &*name {
                "Channel" | "DestChannel" | "TargetChannel" | "LocalOneChannel"
                    if event.name() != EventName::OriginateResponse =>
                {
                    ChannelName::new(&*value).map(|_| ())
                }
                "Uniqueid" | "Linkedid" | "DestUniqueid" | "TargetUniqueid" => {
                    UniqueId::new(&*value).map(|_| ())
                }
                "EndpointName" => Endpoint::new(&*value).map(|_| ()),
                "ActionID" => ActionId::new(&*value).map(|_| ()),
                _ => continue,
            };
            checked.unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
            seen += 1;
        }
    }
    assert_eq!(seen, 495);
}

#[test]
fn lists_have_their_parts() {
    let (_, events, replies) = read();
    let starts: Vec<_> = replies
        .iter()
        .filter(|reply| reply.list_part() == Some(ListPart::Start))
        .collect();
    assert_eq!(starts.len(), 10);
    for start in starts {
        let id = start.action_id().unwrap();
        let mut own: Vec<_> = events
            .iter()
            .filter(|event| event.action_id().as_ref() == Some(&id))
            .collect();
        let end = own.pop().unwrap();
        assert_eq!(end.list_part(), Some(ListPart::Complete), "{id}");
        assert!(own.iter().all(|item| item.list_part().is_none()), "{id}");
        assert_eq!(end.number("ListItems"), Some(own.len() as u64), "{id}");
    }
}

#[test]
fn what_a_controller_reads() {
    fn check(name: EventName, at: usize, want: &[(&str, &str)]) {
        let event = &of(&name)[at];
        for (header, value) in want {
            assert_eq!(
                event.get(header).as_deref(),
                Some(*value),
                "{name} {at}: {header}"
            );
        }
    }
    check(
        EventName::Newchannel,
        0,
        &[
            ("Channel", "PJSIP/2001-00000000"),
            ("ChannelStateDesc", "Ring"),
            ("ConnectedLineNum", "<unknown>"),
        ],
    );
    check(
        EventName::DialBegin,
        0,
        &[
            ("Channel", "PJSIP/2001-00000000"),
            ("DestChannel", "PJSIP/1001-00000001"),
        ],
    );
    check(EventName::DialEnd, 0, &[("DialStatus", "ANSWER")]);
    check(EventName::Hold, 0, &[("Channel", "PJSIP/1001-00000001")]);
    check(EventName::Unhold, 0, &[("Channel", "PJSIP/1001-00000001")]);
    check(
        EventName::DtmfEnd,
        0,
        &[("Digit", "5"), ("Direction", "Received")],
    );
    check(
        EventName::UserEvent,
        0,
        &[
            ("UserEvent", "CCPull"),
            ("Chan", "PJSIP/1002-00000002"),
            ("Dev", "1002"),
        ],
    );
    check(
        EventName::Pickup,
        0,
        &[
            ("Channel", "PJSIP/1002-00000007"),
            ("TargetChannel", "PJSIP/1001-00000005"),
        ],
    );
    check(
        EventName::ContactStatus,
        0,
        &[("ContactStatus", "NonQualified"), ("EndpointName", "1003")],
    );
    check(EventName::ContactStatus, 1, &[("ContactStatus", "Removed")]);
    check(
        EventName::OriginateResponse,
        1,
        &[
            ("Response", "Failure"),
            ("Uniqueid", "callhop-o2"),
            ("Reason", "0"),
        ],
    );
    check(
        EventName::ContactStatusDetail,
        0,
        &[
            ("AOR", "1001"),
            ("URI", "sip:1001@127.0.0.1:17060;ob"),
            ("EndpointName", "1001"),
        ],
    );

    // An originated channel is rung by nobody.
    let alone = of(&EventName::DialBegin)
        .iter()
        .filter(|event| event.channel().is_none())
        .count();
    assert_eq!(alone, 3);
    let status = &of(&EventName::Status)[0];
    assert_eq!(status.all("Variable").count(), 2);
    assert_eq!(status.variable("Variable", "DEV").as_deref(), Some("1001"));
    assert_eq!(
        status.variable("Variable", "BRIDGEPEER").as_deref(),
        Some("PJSIP/2001-00000000")
    );
    assert_eq!(status.variable("Variable", "DE"), None);

    let (_, _, replies) = read();
    let find = |id: &str| {
        let found = replies
            .iter()
            .find(|reply| reply.action_id().as_deref() == Some(id));
        found.unwrap()
    };
    assert!(find("t-30").output().contains("Bridge(${CC_FAR})"));
    assert_eq!(find("t-31").status(), ReplyStatus::Error);
    assert_eq!(find("t-32").message(), "Unable to retrieve endpoint none");
}

//! Frames: what is one, what isn't, and that it doesn't matter where the stream is cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use bytes::BytesMut;
use callhop_esl::{ContentType, Event, EventName, FieldSet, Frame, FrameCodec, FrameError};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

/// What a reader makes of octets that come in these pieces: frames as text, then the error, if there is one.
fn read(pieces: &[&[u8]], limit: usize) -> (Vec<Frame>, Option<String>) {
    let mut codec = FrameCodec::new(limit);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    match codec.decode_eof(&mut buffer) {
        Ok(None) => (frames, None),
        Ok(Some(_)) => panic!("decode has left a whole frame"),
        Err(error) => (frames, Some(error.to_string())),
    }
}

/// Whole, octet by octet, and cut in two at every place: always `want`, each frame as (type, head, body).
fn check(octets: &[u8], want: &[(&str, &str, &[u8])], error: Option<&str>) {
    let compare = |(frames, found): (Vec<Frame>, Option<String>)| {
        let frames: Vec<_> = frames
            .iter()
            .map(|f| (f.content_type().as_str(), f.head(), f.body()))
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(t, h, b)| (*t, h.as_bytes(), *b))
            .collect();
        assert_eq!(frames, want, "{:?}", String::from_utf8_lossy(octets));
        assert_eq!(
            found.as_deref(),
            error,
            "{:?}",
            String::from_utf8_lossy(octets)
        );
    };
    const LIMIT: usize = 100_000;
    compare(read(&[octets], LIMIT));
    let single: Vec<_> = octets.chunks(1).collect();
    compare(read(&single, LIMIT));
    // Of the long ones only the ends: the inside of a body is all the same.
    for at in (0..=octets.len()).filter(|at| *at < 600 || octets.len() - at < 100) {
        compare(read(&[&octets[..at], &octets[at..]], LIMIT));
    }
}

#[test]
fn what_the_switch_sends() {
    check(
        b"Content-Type: auth/request\n\n",
        &[("auth/request", "Content-Type: auth/request\n", b"")],
        None,
    );
    check(
        b"Content-Type: command/reply\nReply-Text: +OK accepted\n\nContent-Type: api/response\nContent-Length: 4\n\ntrue",
        &[
            ("command/reply", "Content-Type: command/reply\nReply-Text: +OK accepted\n", b""),
            ("api/response", "Content-Type: api/response\nContent-Length: 4\n", b"true"),
        ],
        None,
    );
    // A body that looks like frames, with blank lines, and the next frame behind it.
    check(
        b"Content-Length: 30\nContent-Type: text/event-plain\n\nContent-Length: 9999999\n\n\n\n:\n\n\nContent-Type: log/data\nContent-Length: 0\n\n",
        &[
            (
                "text/event-plain",
                "Content-Length: 30\nContent-Type: text/event-plain\n",
                b"Content-Length: 9999999\n\n\n\n:\n\n",
            ),
            ("log/data", "Content-Type: log/data\nContent-Length: 0\n", b""),
        ],
        None,
    );
    // Line feeds between frames; values with colons, empty values, no space, other spelling, the same length twice.
    check(
        b"\n\n\nContent-type:a/b\nX: y: z\nEmpty:\nCONTENT-LENGTH: 1\nContent-Length: 1\n\n\n\nContent-Type: auth/request\n\n\n\n",
        &[
            (
                "a/b",
                "Content-type:a/b\nX: y: z\nEmpty:\nCONTENT-LENGTH: 1\nContent-Length: 1\n",
                b"\n",
            ),
            ("auth/request", "Content-Type: auth/request\n", b""),
        ],
        None,
    );
    check(b"", &[], None);
    check(b"\n\n\n", &[], None);
}

#[test]
fn over_64_kib() {
    let body = "x: 1\n\n".repeat(15_000);
    let mut octets = format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n{body}",
        body.len()
    )
    .into_bytes();
    let head = format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n",
        body.len()
    );
    let reply = ("auth/request", "Content-Type: auth/request\n", &b""[..]);
    octets.extend_from_slice(b"Content-Type: auth/request\n\n");
    check(
        &octets,
        &[("text/event-plain", &head, body.as_bytes()), reply],
        None,
    );
}

#[test]
fn what_is_refused() {
    let length =
        |value: &str| format!("Content-Type: a/b\nContent-Length: {value}\n\n").into_bytes();
    check(b"junk\n\n", &[], Some("no header: \"junk\""));
    check(b": x\n\n", &[], Some("no header: \": x\""));
    check(
        b"Content-Type: a/b\njunk\n\n",
        &[],
        Some("no header: \"junk\""),
    );
    check(
        b"A: b\n\n",
        &[],
        Some("a header block without Content-Type"),
    );
    check(&length("x"), &[], Some("no usable Content-Length: \"x\""));
    check(&length("-1"), &[], Some("no usable Content-Length: \"-1\""));
    check(&length("+1"), &[], Some("no usable Content-Length: \"+1\""));
    check(&length(""), &[], Some("no usable Content-Length: \"\""));
    check(
        &length("99999999999999999999999999"),
        &[],
        Some("no usable Content-Length: \"99999999999999999999999999\""),
    );
    check(
        b"Content-Type: a/b\nContent-Length: 1\nContent-Length: 2\n\nxx",
        &[],
        Some("no usable Content-Length: \"2\""),
    );
    check(
        b"Content-Type: a/b\nContent-Length: 18446744073709551615\n\n",
        &[],
        Some("a frame of at least 18446744073709551615 octets, and the limit is 100000"),
    );
    check(
        b"Content-Type: a/b\nContent-Length: 99960\n\n",
        &[],
        Some("a frame of at least 100001 octets, and the limit is 100000"),
    );
    check(
        b"Content-Type: a/b\nContent-Length: 9",
        &[],
        Some("the stream ended inside a frame, after 35 octets of it"),
    );
    check(
        b"Content-Type: a/b\nContent-Length: 9\n\nabc",
        &[],
        Some("the stream ended inside a frame, after 40 octets of it"),
    );
}

/// Headers without an end: refused once the limit is reached, without ever holding more than that and one read.
#[test]
fn headers_without_an_end() {
    const LIMIT: usize = 300_000;
    let mut codec = FrameCodec::new(LIMIT);
    let mut buffer = BytesMut::new();
    let error = loop {
        buffer.extend_from_slice(&b"A: b\n".repeat(1000));
        match codec.decode(&mut buffer) {
            Ok(None) => {}
            Ok(Some(_)) => panic!("a frame"),
            Err(error) => break error,
        }
        assert!(buffer.len() <= LIMIT);
    };
    assert!(
        matches!(error, FrameError::TooLarge { limit: LIMIT, .. }),
        "{error}"
    );
    assert!(buffer.capacity() < 4 * LIMIT, "{}", buffer.capacity());
}

/// Nothing is set aside for what is only announced.
#[test]
fn a_claim_costs_no_memory() {
    let mut codec = FrameCodec::default();
    let mut buffer = BytesMut::from(&b"Content-Type: a/b\nContent-Length: 16000000\n\nx"[..]);
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 200_000, "{}", buffer.capacity());
}

/// Nothing is copied and, once the buffer is there, nothing allocated for an event that is only looked at.
#[test]
fn events_cost_no_memory() {
    const READ: usize = 64 * 1024;
    let octets = support::trace();
    let fields = FieldSet::new([
        "Event-Name",
        "Unique-ID",
        "Event-Sequence",
        "Other-Leg-Unique-ID",
    ]);
    let mut buffer = BytesMut::with_capacity(2 * READ);
    let mut codec = FrameCodec::default();
    let mut events = 0;
    let used = allocation_counter::measure(|| {
        for read in octets.chunks(READ) {
            buffer.extend_from_slice(read);
            let place = buffer.as_ptr_range();
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                let event = Event::new(frame.into_body());
                assert!(place.contains(&event.payload().as_ptr()));
                assert!(fields.scan(&event).get(0).is_some());
                assert_ne!(event.name(), EventName::ChannelDestroy);
                events += 1;
            }
        }
    });
    assert_eq!(events, 1000);
    // One for the count of those who share the buffer.
    assert!(used.count_total <= 1, "{used:?}");
}

#[test]
fn bytes_and_back() {
    let mut dst = BytesMut::new();
    let frames = [
        Frame::build(ContentType::CommandReply, &[("Reply-Text", "+OK")], "").unwrap(),
        Frame::build(ContentType::ApiResponse, &[], "true\n\n").unwrap(),
        Frame::build(
            ContentType::Other("a/b".to_owned()),
            &[("X", ""), ("Y", "a: b")],
            "1",
        )
        .unwrap(),
    ];
    for frame in &frames {
        FrameCodec::default().encode(frame, &mut dst).unwrap();
    }
    assert_eq!(read(&[&dst], 1000), (frames.to_vec(), None));
    for bad in [
        ("", "x"),
        ("a:", "x"),
        ("a\n", "x"),
        ("a", "x\n"),
        ("content-length", "1"),
    ] {
        assert!(
            Frame::build(ContentType::LogData, &[bad], "").is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn reply_text_is_decoded_where_it_is_encoded() {
    let text = |line: &str| {
        let octets = format!("Content-Type: command/reply\n{line}\n\n");
        let (frames, _) = read(&[octets.as_bytes()], 1000);
        frames[0].reply_text().map(|text| text.into_owned())
    };
    assert_eq!(text("Reply-Text: %2BOK%0A").as_deref(), Some("+OK"));
    assert_eq!(
        text("reply-text: -ERR invalid").as_deref(),
        Some("-ERR invalid")
    );
    assert_eq!(text("X: y"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The recorded stream, cut anywhere any number of times.
    #[test]
    fn the_trace_cut_anywhere(mut cuts in proptest::collection::vec(0..60_000usize, 0..200)) {
        let octets = support::trace();
        let octets = &octets[..60_000];
        let (whole, _) = read(&[octets], 100_000);
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&octets[from..cut]);
            from = cut;
        }
        pieces.push(&octets[from..]);
        prop_assert_eq!(read(&pieces, 100_000).0, whole);
    }

    /// Whatever comes: no panic, nothing above the limit, no more memory than the limit and some reads.
    #[test]
    fn any_octets(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..50),
                "[\n:a ]{0,20}".prop_map(String::into_bytes),
                "(Content-Length: [0-9]{0,5}|Content-Type: [a-z]{0,4}/x|\n)\n".prop_map(String::into_bytes),
            ],
            0..60,
        ),
    ) {
        const LIMIT: usize = 300;
        let mut codec = FrameCodec::new(LIMIT);
        let mut buffer = BytesMut::new();
        'stream: for part in &parts {
            buffer.extend_from_slice(part);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(frame)) => prop_assert!(frame.head().len() + 1 + frame.body().len() <= LIMIT),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert!(buffer.len() <= LIMIT);
        }
        prop_assert!(buffer.capacity() <= 4 * 64 * 1024);
    }
}

//! Frames: what is one, what isn't, and that it doesn't matter where the stream is cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use bytes::BytesMut;
use callhop_ami::{Frame, FrameCodec, FrameError, FrameKind, Limits};
use proptest::prelude::*;
use support::{GREETING, trace};
use tokio_util::codec::{Decoder, Encoder};

const LIMITS: Limits = Limits {
    line: 200,
    packet: 1000,
    headers: 20,
};

/// What a reader makes of octets that come in these pieces: frames, then the error, if there is one.
fn read(mut codec: FrameCodec, pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>) {
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

/// Whole, octet by octet, and cut in two at every place: always `want`, each frame as (kind, lines).
fn check_with(codec: &FrameCodec, octets: &[u8], want: &[(FrameKind, &str)], error: Option<&str>) {
    let compare = |(frames, found): (Vec<Frame>, Option<String>)| {
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| {
                let lines = String::from_utf8_lossy(frame.headers().block()).into_owned();
                (frame.kind(), lines)
            })
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(kind, lines)| (*kind, (*lines).to_owned()))
            .collect();
        let shown = String::from_utf8_lossy(octets);
        assert_eq!(frames, want, "{shown:?}");
        assert_eq!(found.as_deref(), error, "{shown:?}");
    };
    compare(read(codec.clone(), &[octets]));
    let single: Vec<_> = octets.chunks(1).collect();
    compare(read(codec.clone(), &single));
    for at in 0..=octets.len() {
        compare(read(codec.clone(), &[&octets[..at], &octets[at..]]));
    }
}

/// A stream whose greeting was read.
fn check(octets: &str, want: &[(FrameKind, &str)], error: Option<&str>) {
    let codec = FrameCodec::without_greeting(LIMITS);
    check_with(&codec, octets.as_bytes(), want, error);
}

fn check_greeting(octets: &str, want: &[(FrameKind, &str)], error: Option<&str>) {
    check_with(&FrameCodec::new(LIMITS), octets.as_bytes(), want, error);
}

#[test]
fn greetings() {
    use FrameKind::{Greeting, Response};
    check_greeting(GREETING, &[(Greeting, GREETING)], None);
    check_greeting(
        "Asterisk Call Manager/2.10.4\r\nResponse: Success\r\n\r\n",
        &[
            (Greeting, "Asterisk Call Manager/2.10.4\r\n"),
            (Response, "Response: Success\r\n"),
        ],
        None,
    );
    check_greeting("", &[], None);
    check_greeting(
        "Asterisk Call",
        &[],
        Some("the stream ended inside a packet, after 13 octets of it"),
    );
    for (line, shown) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "Content-Type: auth/request\n\n",
            "Content-Type: auth/request",
        ),
        ("Asterisk Call Manager/\r\n", "Asterisk Call Manager/"),
        (
            "Asterisk Call Manager/11.0.0\n",
            "Asterisk Call Manager/11.0.0",
        ),
        (
            "Asterisk Call Manager/11 x\r\n",
            "Asterisk Call Manager/11 x",
        ),
        ("\r\n", ""),
    ] {
        let error = format!("no greeting of a manager interface: {shown:?}");
        check_greeting(line, &[], Some(&error));
    }
    let endless = "x".repeat(300);
    let error = format!("no greeting of a manager interface: {:?}", "x".repeat(80));
    check_greeting(&endless, &[], Some(&error));
}

#[test]
fn what_the_switch_sends() {
    use FrameKind::{Event, Other, Response};
    check("", &[], None);
    check("\r\n\r\n\r\n", &[], None);
    check(
        "Response: Success\r\nActionID: 1\r\n\r\nEvent: Newchannel\r\nChannel: a:b: c\r\nEmpty:\r\nEmpty: \r\n\r\n",
        &[
            (Response, "Response: Success\r\nActionID: 1\r\n"),
            (
                Event,
                "Event: Newchannel\r\nChannel: a:b: c\r\nEmpty:\r\nEmpty: \r\n",
            ),
        ],
        None,
    );
    // An event with a `Response`.
    check(
        "Event: OriginateResponse\r\nResponse: Failure\r\n\r\n",
        &[(Event, "Event: OriginateResponse\r\nResponse: Failure\r\n")],
        None,
    );
    // A value that would like to be more than it is.
    check(
        "Response: Success\r\nValue: a\nEvent: Hangup\n\nb\r\n\r\n",
        &[(
            Response,
            "Response: Success\r\nValue: a\nEvent: Hangup\n\nb\r\n",
        )],
        None,
    );
    check(
        "Response: Success\r\nEvent: Hangup\r\n\r\n",
        &[(Response, "Response: Success\r\nEvent: Hangup\r\n")],
        None,
    );
    // Asterisk's own line feed at the end of a message; lone CRs; empty lines in front.
    check(
        "\r\n\r\nResponse: Error\r\nMessage: no x\n\r\n\r\n\r\nResponse: Error\r\nA: \r\r\n\r\n",
        &[
            (Response, "Response: Error\r\nMessage: no x\n\r\n"),
            (Response, "Response: Error\r\nA: \r\r\n"),
        ],
        None,
    );
    // What is no header, and what says nothing of its kind.
    check(
        "junk\r\n\r\n: x\r\n\r\n",
        &[(Other, "junk\r\n"), (Other, ": x\r\n")],
        None,
    );
    check(
        "event: X\r\n\r\naction: Ping\r\n\r\n",
        &[
            (Event, "event: X\r\n"),
            (FrameKind::Action, "action: Ping\r\n"),
        ],
        None,
    );
    // Nothing ends with a lone line feed.
    check(
        "A: b\n\n",
        &[],
        Some("the stream ended inside a packet, after 6 octets of it"),
    );
    for cut in ["A", "A: b", "A: b\r", "A: b\r\n", "A: b\r\n\r", "\r"] {
        let error = format!(
            "the stream ended inside a packet, after {} octets of it",
            cut.len()
        );
        check(cut, &[], Some(&error));
    }
}

#[test]
fn what_is_too_long() {
    let event = "Event: X\r\n";
    let packet = |lines: &str| format!("{event}{lines}\r\n");
    let kept = |lines: &str| {
        let want = format!("{event}{lines}");
        check(&packet(lines), &[(FrameKind::Event, &want)], None);
    };
    let refused = |lines: &str, error: &str| check(&packet(lines), &[], Some(error));

    // A line of 200 octets with its CRLF.
    kept(&format!("A: {}\r\n", "x".repeat(195)));
    refused(
        &format!("A: {}\r\n", "x".repeat(196)),
        "a line of more than 200 octets",
    );
    refused(&"\n".repeat(300), "a line of more than 200 octets");
    // 20 lines.
    kept(&"A: b\r\n".repeat(19));
    refused(&"A: b\r\n".repeat(20), "a packet of more than 20 lines");
    // A packet of 1000 octets with its empty line: 10 + 9 * 100 + 88 + 2.
    let hundreds = format!("A: {}\r\n", "x".repeat(95)).repeat(9);
    kept(&format!("{hundreds}A: {}\r\n", "x".repeat(83)));
    refused(
        &format!("{hundreds}A: {}\r\n", "x".repeat(84)),
        "a packet of more than 1000 octets",
    );
    refused(
        &format!("{hundreds}A: {}\r\n", "x".repeat(300)),
        "a packet of more than 1000 octets",
    );
}

#[test]
fn frames_that_are_built() {
    let frame = Frame::build(&[("Event", "X"), ("A", ""), ("B", "c: d")]).unwrap();
    let mut octets = BytesMut::new();
    let mut codec = FrameCodec::new(LIMITS);
    codec
        .encode(&Frame::greeting("11.0.0").unwrap(), &mut octets)
        .unwrap();
    codec.encode(&frame, &mut octets).unwrap();
    assert_eq!(
        octets,
        format!("{GREETING}Event: X\r\nA: \r\nB: c: d\r\n\r\n")
    );
    let hello = codec.decode(&mut octets).unwrap().unwrap();
    assert_eq!(hello.version(), Some("11.0.0"));
    assert_eq!(codec.decode(&mut octets).unwrap().unwrap(), frame);

    for bad in [
        &[][..],
        &[("", "x")],
        &[("A:B", "x")],
        &[("A", "x\ny")],
        &[("A\r", "x")],
    ] {
        let error = Frame::build(bad).unwrap_err();
        assert!(matches!(error, FrameError::Header { .. }), "{error}");
    }
    for bad in ["", "11 0", "x", "1\r\n"] {
        assert!(Frame::greeting(bad).is_err(), "{bad:?}");
    }
}

/// The recorded session, cut at every place into two.
#[test]
fn the_trace_may_be_cut_anywhere() {
    let octets = trace();
    let codec = FrameCodec::new(Limits::default());
    let (whole, error) = read(codec.clone(), &[&octets]);
    assert_eq!(error, None);
    let mut again = BytesMut::new();
    for frame in &whole {
        codec.clone().encode(frame, &mut again).unwrap();
    }
    assert_eq!(again.len(), octets.len(), "nothing is lost");
    let single: Vec<_> = octets.chunks(1).collect();
    assert_eq!(read(codec.clone(), &single).0, whole);
    for size in [7, 64, 1000, 4096] {
        let pieces: Vec<_> = octets.chunks(size).collect();
        assert_eq!(read(codec.clone(), &pieces).0, whole, "{size}");
    }
}

/// Lines with all that could confuse a reader.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("Event: X".to_owned()),
        Just("Response: Success".to_owned()),
        "[ -~]{0,30}",
        Just("x".repeat(150)),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(octets in octets(), first in 0_usize..2000, second in 0_usize..2000) {
        let first = first.min(octets.len());
        let second = second.clamp(first, octets.len());
        let codec = FrameCodec::without_greeting(LIMITS);
        let whole = read(codec.clone(), &[&octets]);
        let cut = read(codec.clone(), &[&octets[..first], &octets[first..second], &octets[second..]]);
        prop_assert_eq!(&whole, &cut);
        let single: Vec<_> = octets.chunks(1).collect();
        prop_assert_eq!(whole, read(codec, &single));
    }

    #[test]
    fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for codec in [FrameCodec::new(LIMITS), FrameCodec::without_greeting(LIMITS)] {
            let (frames, _) = read(codec, &[&octets]);
            for frame in frames {
                let _ = frame.headers().iter().count();
            }
        }
    }

    #[test]
    fn built_and_read_are_inverse(
        headers in proptest::collection::vec(("[A-Za-z-]{1,10}", "[ -~]{0,30}"), 1..15)
    ) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let frame = Frame::build(&headers).unwrap();
        let mut octets = BytesMut::new();
        let mut codec = FrameCodec::without_greeting(LIMITS);
        codec.encode(&frame, &mut octets).unwrap();
        let read = codec.decode(&mut octets).unwrap().unwrap();
        let got: Vec<_> = read.headers().iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let want: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        prop_assert_eq!(got, want);
    }
}

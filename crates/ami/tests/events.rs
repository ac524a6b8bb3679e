//! Headers, events and answers as views.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use callhop_ami::event::{ListPart, ReplyStatus};
use callhop_ami::{Event, EventName, Headers, Reply};
use proptest::prelude::*;

fn check(block: &str, name: &str, want: &[&str]) {
    let headers = Headers::new(block.to_owned());
    let all: Vec<_> = headers.all(name).collect();
    assert_eq!(all, want, "{block:?}");
    assert_eq!(
        headers.get(name).as_deref(),
        want.first().copied(),
        "{block:?}"
    );
    let filled = want.first().copied().filter(|value| !value.is_empty());
    assert_eq!(headers.get_filled(name).as_deref(), filled, "{block:?}");
    assert_eq!(headers.detach(), headers);
}

#[test]
fn headers() {
    check("", "A", &[]);
    check("A: 1\r\n", "A", &["1"]);
    check("A: 1\r\n", "a", &["1"]);
    check("A:1\r\nAB: 2\r\nB: A: 3\r\n", "A", &["1"]);
    check("A:\r\nA: \r\nA:  x \r\n", "A", &["", "", " x "]);
    check("junk\r\n: 1\r\nA: 2\r\n", "A", &["2"]);
    check("X: 1\nA: 2\r\n", "A", &[]);
    check("A: 1", "A", &["1"]);
    check("A: http://x:1/\r\n", "A", &["http://x:1/"]);
}

#[test]
fn what_is_no_text_is_shown_as_such() {
    let headers = Headers::new(&b"A: \xff\r\nN: 12\r\nM: -1\r\n"[..]);
    assert_eq!(headers.get("A").unwrap(), "\u{fffd}");
    assert_eq!(headers.raw("A"), Some(&b"\xff"[..]));
    assert_eq!(headers.number("N"), Some(12));
    assert_eq!(headers.number("M"), None);
    assert_eq!(headers.number("A"), None);
    assert_eq!(headers.number("B"), None);
}

#[test]
fn repeated_headers_hold_variables() {
    let headers =
        Headers::new("Variable: A=x=y z\r\nVariable: B=(null)\r\nVariable: C=\r\nOther: D=1\r\n");
    let read = |name| headers.variable("Variable", name);
    assert_eq!(read("A").as_deref(), Some("x=y z"));
    assert_eq!(read("B"), None);
    assert_eq!(read("C").as_deref(), Some(""));
    assert_eq!(read("D"), None);
    assert_eq!(read(""), None);
}

#[test]
fn parts_of_lists() {
    fn check(value: &str, want: Option<ListPart>) {
        let headers = Headers::new(format!("EventList: {value}\r\n"));
        assert_eq!(headers.list_part(), want, "{value}");
    }
    check("start", Some(ListPart::Start));
    check("Complete", Some(ListPart::Complete));
    check("cancelled", Some(ListPart::Cancelled));
    check("Cancelled", Some(ListPart::Cancelled));
    check("", None);
    assert_eq!(Headers::new("A: Complete\r\n").list_part(), None);
}

#[test]
fn answers() {
    fn check(status: &str, want: ReplyStatus) {
        let reply = Reply::new(Headers::new(format!(
            "Response: {status}\r\nMessage:  a b \n\r\nOutput: 1\r\nOutput:  2\r\nOutput: \r\n"
        )));
        assert_eq!(reply.status(), want);
        assert_eq!(reply.message(), "a b");
        assert_eq!(reply.output(), "1\n 2\n");
    }
    check("Success", ReplyStatus::Success);
    check("Error", ReplyStatus::Error);
    check("Goodbye", ReplyStatus::Goodbye);
    check("Follows", ReplyStatus::Unknown("Follows".to_owned()));
    let none = Reply::new(Headers::new(""));
    assert_eq!(none.status(), ReplyStatus::Unknown(String::new()));
    assert_eq!((none.message().as_ref(), none.output().as_str()), ("", ""));
}

/// `PJSIPShowEndpoint` answers with the passwords of the phones.
#[test]
fn values_are_not_shown_by_debug() {
    let event = Event::build("AuthDetail", &[("Password", "hunter2")]).unwrap();
    let reply = Reply::new(Headers::new("Response: Success\r\nValue: hunter2\r\n"));
    let shown = format!(
        "{event:?} {:?} {reply:?} {:#?}",
        event.headers(),
        Some(&event)
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("AuthDetail"), "{shown}");
}

#[test]
fn an_event_without_a_name() {
    let event = Event::new(Headers::new("Channel: \r\nUniqueid: 1.2\r\n"));
    assert_eq!(event.name(), EventName::Unknown(String::new()));
    assert_eq!(event.channel(), None);
    assert_eq!(event.unique_id().as_deref(), Some("1.2"));
}

proptest! {
    /// All ways to look for a header agree.
    #[test]
    fn ways_agree(lines in proptest::collection::vec("(A|B|a|AB)?:?( |: )?[A:\n\r]{0,3}", 0..12)) {
        let headers = Headers::new(lines.join("\r\n"));
        let all: Vec<_> = headers.all("A").collect();
        let by_hand: Vec<_> = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("A"))
            .map(|(_, value)| value)
            .collect();
        prop_assert_eq!(&all, &by_hand);
        prop_assert_eq!(headers.get("A"), all.first().cloned());
    }
}

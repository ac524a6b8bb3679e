//! Events in the plain format: values as they were meant.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use callhop_esl::{Event, EventName, FieldSet};
use proptest::prelude::*;

const PLAIN: &str = "Event-Name: CUSTOM\n\
    Event-Subclass: sofia%3A%3Aregister\n\
    Event-Sequence: 4605\n\
    Unique-ID: 77178d17-6e3a-428c-b0c6-ee9fdf1c22d3\n\
    Event-Date-GMT: Sun,%2022%20Nov%202026%2012%3A34%3A29%20GMT\n\
    Colons: a: b: c\n\
    Empty: _undef_\n\
    Nothing:\n\
    Array: ARRAY%3A%3Aone%7C%3Atwo%7C%3A%7C%3Afour\n\
    One: ARRAY%3A%3Aone\n\
    Latin: J%F6rg\n\
    Utf: J%C3%B6rg\n\
    Twice: first\n\
    Twice: second\n\
    no header at all\n\
    Bad: 100%\n\
    \n";

fn check(name: &str, want: Option<&str>) {
    let event = Event::new(PLAIN);
    assert_eq!(event.get(name).as_deref(), want, "{name}");
    assert_eq!(
        event.get_filled(name).as_deref(),
        want.filter(|value| !value.is_empty()),
        "{name}"
    );
    // The same in a walk for one, and for many.
    let leaked: &'static str = name.to_owned().leak();
    let few = FieldSet::new([leaked]);
    assert_eq!(few.scan(&event).get(0).as_deref(), want, "{name}");
    let mut names = ["-"; 20];
    names[7] = leaked;
    assert_eq!(
        FieldSet::new(names).scan(&event).get(7).as_deref(),
        want,
        "{name}"
    );
}

#[test]
fn values() {
    check("Event-Name", Some("CUSTOM"));
    check("Event-Date-GMT", Some("Sun, 22 Nov 2026 12:34:29 GMT"));
    check("Colons", Some("a: b: c"));
    check("Empty", Some(""));
    check("Nothing", Some(""));
    check("Latin", Some("J\u{fffd}rg"));
    check("Utf", Some("Jörg"));
    check("Twice", Some("first"));
    check("Bad", Some("100%"));
    check("Missing", None);
    check("Event-Nam", None);
    check("Name", None);
    check("no header at all", None);
    check("event-name", None);
}

#[test]
fn what_every_event_has() {
    let event = Event::new(PLAIN);
    assert_eq!(event.name(), EventName::Custom);
    assert_eq!(event.subclass().as_deref(), Some("sofia::register"));
    assert_eq!(event.sequence(), Some(4605));
    assert_eq!(
        event.unique_id().as_deref(),
        Some("77178d17-6e3a-428c-b0c6-ee9fdf1c22d3")
    );
    assert_eq!(event.headers().count(), 15);
    assert_eq!(event.body(), None);
    let bare = Event::new("Event-Sequence: x\n\n");
    assert_eq!(bare.name(), EventName::Unknown(String::new()));
    assert_eq!(bare.sequence(), None);
    assert_eq!(bare.subclass(), None);
}

#[test]
fn arrays() {
    let event = Event::new(PLAIN);
    let check = |name: &str, want: &[&str]| assert_eq!(event.array(name), want, "{name}");
    check("Array", &["one", "two", "", "four"]);
    check("One", &["one"]);
    check("Twice", &["first"]);
    check("Empty", &[]);
    check("Missing", &[]);
}

#[test]
fn bodies() {
    let check = |payload: &str, want: Option<&str>| {
        let event = Event::new(payload.to_owned());
        let body = event.body();
        assert_eq!(body.as_deref(), want.map(str::as_bytes), "{payload:?}");
    };
    check("Job-UUID: 1\nContent-Length: 3\n\n+OK", Some("+OK"));
    check(
        "Job-UUID: 1\nContent-Length: 8\n\n\n\nA: 1\n\n",
        Some("\n\nA: 1\n\n"),
    );
    // Somebody's own header of that name: the body's is the last.
    check("Content-Length: 99\nContent-Length: 3\n\n+OK", Some("+OK"));
    check("Content-Length: 3\n\n+OK\n", Some("+OK"));
    check("A: 1\n\n", None);
    check("A: 1\n", None);
    check("", None);
    check("\n", None);
    check("A: 1\n\nbody without a length", None);
    check("Content-Length: 4\n\n+OK", None);
    check("Content-Length: x\n\n+OK", None);
    check("Content-Length: +3\n\n+OK", None);
    check("Content-Length: 0\n\n+OK", None);
    check("\nContent-Length: 3\n\n+OK", None);
}

#[test]
fn headers_end_at_the_blank_line() {
    let event = Event::new("A: 1\nContent-Length: 5\n\nB: 2\n\n");
    assert_eq!(event.get("B"), None);
    assert_eq!(event.headers().count(), 2);
}

#[test]
fn bytes_and_back() {
    let event = Event::build(
        &[
            ("Event-Name", "BACKGROUND_JOB"),
            ("Empty", ""),
            ("V", "a b:c|ä%41\n"),
        ],
        "+OK 1\n\n",
    );
    assert_eq!(
        event.payload(),
        "Event-Name: BACKGROUND_JOB\nEmpty: _undef_\nV: a%20b%3Ac%7C%C3%A4%2541%0A\nContent-Length: 7\n\n+OK 1\n\n"
    );
    assert_eq!(event.get("V").as_deref(), Some("a b:c|ä%41\n"));
    assert_eq!(event.get("Empty").as_deref(), Some(""));
    assert_eq!(event.body().as_deref(), Some(&b"+OK 1\n\n"[..]));
    assert_eq!(event.detach(), event);
    assert_eq!(event.to_frame().unwrap().into_body(), event.payload());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_is_built_is_read(
        headers in proptest::collection::btree_map("[A-Z][a-zA-Z-]{0,20}", any::<String>(), 0..20),
        body in any::<String>(),
    ) {
        // The value that stands for an empty one can't be told from it.
        let headers: Vec<_> = headers
            .iter()
            .filter(|(name, value)| *name != "Content-Length" && *value != "_undef_")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let event = Event::build(&headers, &body);
        for (name, value) in &headers {
            let found = event.get(name);
            prop_assert_eq!(found.as_deref(), Some(*value));
        }
        let found = event.body();
        prop_assert_eq!(found.as_deref().unwrap_or_default(), body.as_bytes());
    }

    /// Whatever comes: no panic, and the ways to look for a header agree.
    #[test]
    fn any_octets(payload in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b':'), Just(b'A'), Just(b'%'), any::<u8>()], 0..200)) {
        let event = Event::new(payload);
        let _ = (event.name(), event.subclass(), event.sequence(), event.body(), event.array("A"));
        let headers: Vec<_> = event.headers().collect();
        if let Some((_, value)) = headers.iter().find(|(name, _)| name == "A") {
            let found = event.get("A");
            prop_assert_eq!(found.as_ref(), Some(value));
        }
        let few = FieldSet::new(["A"]);
        prop_assert_eq!(few.scan(&event).raw(0), event.raw("A"));
    }
}

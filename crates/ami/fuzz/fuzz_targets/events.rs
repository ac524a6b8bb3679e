//! All ways to look for a header agree, whatever the bytes are.

#![no_main]

use callhop_ami::{Event, Headers, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (name, octets) = input;
    let headers = Headers::new(octets.to_vec());
    let by_hand: Vec<_> = headers
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect();
    // A name with a replacement character is found by hand only.
    if !name.contains('\u{fffd}') {
        let all: Vec<_> = headers.all(name).collect();
        assert_eq!(all, by_hand);
        assert_eq!(headers.get(name), by_hand.first().cloned());
    }
    let _ = headers.variable("Variable", name);
    let _ = headers.number(name);
    let event = Event::new(headers.clone());
    let _ = (event.name(), event.channel(), event.list_part());
    let reply = Reply::new(headers);
    let _ = (reply.status(), reply.message(), reply.output());
});

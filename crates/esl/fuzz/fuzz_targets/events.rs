//! One header looked for in each way there is gives the same value.

#![no_main]

use std::sync::LazyLock;

use callhop_esl::{Event, FieldSet};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["A", "Event-Name", "variable_a", "Content-Length"];

static FEW: LazyLock<FieldSet<4>> = LazyLock::new(|| FieldSet::new(NAMES));
static MANY: LazyLock<FieldSet<16>> = LazyLock::new(|| {
    let mut names = ["x"; 16];
    names[..4].copy_from_slice(&NAMES);
    FieldSet::new(names)
});

fuzz_target!(|octets: &[u8]| {
    let event = Event::new(octets.to_vec());
    let (few, many) = (FEW.scan(&event), MANY.scan(&event));
    for (i, name) in NAMES.iter().enumerate() {
        let one = event.raw(name);
        assert_eq!(few.raw(i), one);
        assert_eq!(many.raw(i), one);
        let listed = event.headers().find(|(found, _)| found == name);
        if let Some((_, value)) = listed {
            assert_eq!(event.get(name), Some(value));
        }
        let _ = event.array(name);
    }
    let _ = (
        event.name(),
        event.sequence(),
        event.subclass(),
        event.unique_id(),
    );
    if let Some(body) = event.body() {
        assert!(octets.windows(body.len()).any(|part| part == body));
    }
});

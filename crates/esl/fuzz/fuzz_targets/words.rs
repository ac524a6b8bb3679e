//! Whatever is taken as a word makes exactly one command, which holds the word unchanged.

#![no_main]

use bytes::BytesMut;
use callhop_esl::word::{AppArg, DialString, HashKey, Sound, Uuid36, VarName, VarValue, Word};
use callhop_esl::{Api, Command};
use libfuzzer_sys::fuzz_target;

fn check(api: Api, words: &[&str]) {
    let mut dst = BytesMut::new();
    Command::Api(api)
        .encode(&mut dst)
        .expect("words have no line feeds");
    let text = std::str::from_utf8(&dst).expect("words are ASCII");
    let line = text
        .strip_suffix("\n\n")
        .expect("a command ends with a blank line");
    assert!(!line.contains(['\r', '\n', '\0', '$', '\\', '\'']));
    for word in words {
        assert!(line.contains(word));
    }
}

fuzz_target!(|texts: (&str, &str)| {
    let (a, b) = texts;
    let uuid: Uuid36 = "77178d17-6e3a-428c-b0c6-ee9fdf1c22d3"
        .parse()
        .expect("a UUID");
    if let (Ok(name), Ok(value)) = (VarName::new(a), VarValue::new(b)) {
        check(
            Api::UuidSetvar {
                uuid: uuid.clone(),
                name,
                value,
            },
            &[a, b],
        );
    }
    if let (Ok(key), Ok(value)) = (HashKey::new(a), DialString::new(b)) {
        let realm = Word::new("callhop").expect("a word");
        check(Api::HashInsert { realm, key, value }, &[a, b]);
    }
    if let (Ok(user), Ok(domain)) = (Word::new(a), Word::new(b)) {
        check(Api::SofiaContact { user, domain }, &[a, b]);
    }
    if let Ok(sound) = Sound::new(a) {
        let leg = callhop_esl::command::Leg::Own;
        check(Api::UuidBroadcast { uuid, sound, leg }, &[a]);
    }
    let _ = AppArg::new(a);
});

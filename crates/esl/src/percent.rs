//! Percent coding of header values, as `switch_url_encode` (switch_utils.c) does it.
//!
//! Encoded are control characters, everything above `~`, and `` \r \n space " # % & + : ; < = > ? @ [ \ ] ^ ` { | } ``.
//!
//! Quirk (FreeSWITCH 1.10 and 1.11): a `%` that two upper-case hexadecimal digits follow is left as it is, so the values
//! `a%40b` and `a@b` look the same on the wire. A reader can't tell them apart; both decode to `a@b`.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode};

const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Decodes `%XX`; what is no such triple stays as it is. Allocates only when there is something to decode.
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(raw).into()
}

/// As [`decode`], as text. Octets that are no UTF-8 become U+FFFD: a caller's name may be in any coding, and one that
/// can't be shown must not cost us the event.
pub fn decode_text(raw: &[u8]) -> Cow<'_, str> {
    if memchr(b'%', raw).is_none()
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return Cow::Borrowed(text);
    }
    match decode(raw) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
    }
}

/// Encodes a value for a plain event, every `%` included (so that [`decode`] is its exact inverse).
pub fn encode(value: &str) -> Cow<'_, str> {
    percent_encoding::utf8_percent_encode(value, UNSAFE).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_the_switch_encodes() {
        let check = |raw: &str, want: &str| assert_eq!(decode_text(raw.as_bytes()), want, "{raw}");
        check("plain", "plain");
        check("sipp%40127.0.0.1%3A5091", "sipp@127.0.0.1:5091");
        check("%0D%0A", "\r\n");
        check("%C3%A4", "ä");
        check("%E4", "\u{fffd}");
        check("100%", "100%");
        check("%4", "%4");
        check("%zz", "%zz");
        check("a+b", "a+b");
    }

    #[test]
    fn borrows_what_needs_no_decoding() {
        assert!(matches!(decode_text(b"CS_NEW"), Cow::Borrowed("CS_NEW")));
        assert!(matches!(encode("CS_NEW"), Cow::Borrowed("CS_NEW")));
        assert_eq!(
            encode("SIP;cause=200 \"ä\""),
            "SIP%3Bcause%3D200%20%22%C3%A4%22"
        );
    }
}

//! Digits on the wire: telephone-event packets (RFC 4733) that come to a phone, and those that it sends.
//!
//! Owns their reading and their count. A digit is one RTP timestamp, however many packets repeat it; its end is the first
//! packet with the end bit.

use crate::site::Moment;

/// Their payload types: that of the switch (`rfc2833-pt` in `config.rs`) where it offers, and PJSIP's where the phone does.
pub const PAYLOAD_TYPES: [u8; 2] = [101, 120];

/// One packet of a digit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DigitPacket {
    /// When it was on the wire.
    pub at: f64,
    /// Which digit.
    pub digit: char,
    /// The end bit.
    pub end: bool,
    /// What all packets of one digit have in common.
    id: (u32, u32),
}

/// Reads the packet, if it is one.
#[must_use]
pub fn packet(at: f64, payload: &[u8]) -> Option<DigitPacket> {
    let is_event = payload.len() >= 16
        && payload[0] >> 6 == 2
        && payload[0] & 0x1f == 0
        && PAYLOAD_TYPES.contains(&(payload[1] & 127));
    if !is_event {
        return None;
    }
    let word = |at: usize| {
        u32::from_be_bytes([
            payload[at],
            payload[at + 1],
            payload[at + 2],
            payload[at + 3],
        ])
    };
    Some(DigitPacket {
        at,
        digit: *b"0123456789*#ABCD".get(usize::from(payload[12]))? as char,
        end: payload[13] & 0x80 != 0,
        id: (word(8), word(4)),
    })
}

/// The digits that began since then, in order.
#[must_use]
pub fn told(packets: &[DigitPacket], since: Moment) -> String {
    let mut seen = begun_before(packets, since);
    let mut digits = String::new();
    for packet in packets.iter().filter(|packet| packet.at >= since.0) {
        if !seen.contains(&packet.id) {
            seen.push(packet.id);
            digits.push(packet.digit);
        }
    }
    digits
}

/// The digits whose last packets may come after `since`, which are not of that time.
fn begun_before(packets: &[DigitPacket], since: Moment) -> Vec<(u32, u32)> {
    let before = packets.iter().filter(|packet| packet.at < since.0);
    before.map(|packet| packet.id).collect()
}

/// When the digit that is the `count`-th since then had its end on the wire.
#[must_use]
pub fn end_of(packets: &[DigitPacket], count: usize, since: Moment) -> Option<Moment> {
    let mut seen = begun_before(packets, since);
    let mut ends = packets.iter().filter(|packet| {
        let is_first = packet.at >= since.0 && packet.end && !seen.contains(&packet.id);
        if is_first {
            seen.push(packet.id);
        }
        is_first
    });
    ends.nth(count.checked_sub(1)?)
        .map(|packet| Moment(packet.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: u8, end: bool, timestamp: u8) -> Vec<u8> {
        let flags = if end { 0x8a } else { 0x0a };
        vec![
            0x80, 101, 0, 1, 0, 0, 0, timestamp, 0, 0, 0, 9, code, flags, 0, 160,
        ]
    }

    #[test]
    fn a_digit_is_one_timestamp_and_ends_with_the_first_end_bit() {
        let wire = [
            (1.0, event(10, false, 1)),
            (1.1, event(10, true, 1)),
            (1.12, event(10, true, 1)),
            (1.2, event(9, false, 2)),
            (1.3, event(9, true, 2)),
        ];
        let read: Vec<_> = wire
            .iter()
            .filter_map(|(at, payload)| packet(*at, payload))
            .collect();
        assert_eq!(told(&read, Moment(0.0)), "*9");
        assert_eq!(told(&read, Moment(1.15)), "9");
        assert_eq!(told(&read, Moment(1.05)), "9");
        assert_eq!(end_of(&read, 1, Moment(1.105)), Some(Moment(1.3)));
        assert_eq!(end_of(&read, 1, Moment(0.0)), Some(Moment(1.1)));
        assert_eq!(end_of(&read, 2, Moment(0.0)), Some(Moment(1.3)));
        assert_eq!(end_of(&read, 3, Moment(0.0)), None);
    }

    #[test]
    fn sound_is_no_digit() {
        let mut sound = event(1, true, 1);
        sound[1] = 0;
        assert_eq!(packet(1.0, &sound), None);
        assert_eq!(packet(1.0, &event(16, true, 1)), None);
    }
}

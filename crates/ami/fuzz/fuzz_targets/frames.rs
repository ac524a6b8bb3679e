//! However a stream is cut, the same packets come out of it, and no more memory is used than the limit allows.

#![no_main]

use bytes::BytesMut;
use callhop_ami::{Frame, FrameCodec, Limits};
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;

const LIMITS: Limits = Limits {
    line: 200,
    packet: 4096,
    headers: 30,
};

fn read(mut codec: FrameCodec, pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => {
                    assert!(frame.headers().block().len() + 2 <= LIMITS.packet);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
        assert!(buffer.len() <= LIMITS.packet);
    }
    let end = codec.decode_eof(&mut buffer);
    assert!(!matches!(end, Ok(Some(_))), "decode has left a whole frame");
    (frames, end.err().map(|error| error.to_string()))
}

fuzz_target!(|input: (bool, u16, u16, &[u8])| {
    let (greeted, first, second, octets) = input;
    let codec = if greeted {
        FrameCodec::without_greeting(LIMITS)
    } else {
        FrameCodec::new(LIMITS)
    };
    let first = usize::from(first).min(octets.len());
    let second = usize::from(second).clamp(first, octets.len());
    let whole = read(codec.clone(), &[octets]);
    let pieces = [&octets[..first], &octets[first..second], &octets[second..]];
    assert_eq!(whole, read(codec, &pieces));
});

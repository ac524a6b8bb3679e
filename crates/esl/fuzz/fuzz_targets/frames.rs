//! However a stream is cut, the same frames come out of it, and no more memory is used than the limit allows.

#![no_main]

use bytes::BytesMut;
use callhop_esl::{Frame, FrameCodec};
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;

const LIMIT: usize = 4096;

fn read(pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>) {
    let mut codec = FrameCodec::new(LIMIT);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => {
                    assert!(frame.head().len() + 1 + frame.body().len() <= LIMIT);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(kind(&error))),
            }
        }
        assert!(buffer.len() <= LIMIT);
    }
    let end = codec.decode_eof(&mut buffer);
    assert!(!matches!(end, Ok(Some(_))), "decode has left a whole frame");
    (frames, end.err().map(|error| kind(&error)))
}

/// How much had come when a limit was passed depends on the cuts; that it was passed doesn't.
fn kind(error: &callhop_esl::FrameError) -> String {
    match error {
        callhop_esl::FrameError::TooLarge { .. } => "too large".to_owned(),
        other => other.to_string(),
    }
}

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (first, second, octets) = input;
    let first = usize::from(first).min(octets.len());
    let second = usize::from(second).clamp(first, octets.len());
    let whole = read(&[octets]);
    let cut = read(&[&octets[..first], &octets[first..second], &octets[second..]]);
    assert_eq!(whole, cut);
});

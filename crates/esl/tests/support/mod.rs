//! A peer that follows a script, and the recorded trace.

#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use std::io::Read;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the peer does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these octets.
    Send(Vec<u8>),
    /// Reads until exactly this has come; anything else fails the test.
    Expect(&'static str),
    /// Keeps the connection open and says nothing, until the other side closes.
    Stay,
}

/// Sends text.
pub(crate) fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// The greeting and the right password.
pub(crate) fn authenticated() -> Vec<Step> {
    vec![
        send("Content-Type: auth/request\n\n"),
        Step::Expect("auth ClueCon\n\n"),
        send("Content-Type: command/reply\nReply-Text: +OK accepted\n\n"),
    ]
}

/// Follows the script on the first connection, and closes it. The handle gives what the test is to wait for.
pub(crate) async fn peer(steps: Vec<Step>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        follow(stream, steps).await;
    });
    (addr, task)
}

/// Follows the script on a connection.
pub(crate) async fn follow(mut stream: TcpStream, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Send(octets) => {
                // The other side may have seen enough and be gone.
                let _ = stream.write_all(&octets).await;
            }
            Step::Expect(text) => {
                let mut got = vec![0; text.len()];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&got), text);
            }
            Step::Stay => {
                let mut scratch = [0; 1024];
                while matches!(stream.read(&mut scratch).await, Ok(n) if n > 0) {}
            }
        }
    }
}

/// `command/reply`.
pub(crate) fn reply(text: &str) -> Step {
    send(&format!(
        "Content-Type: command/reply\nReply-Text: {text}\n\n"
    ))
}

/// `api/response`.
pub(crate) fn response(body: &str) -> Step {
    send(&format!(
        "Content-Type: api/response\nContent-Length: {}\n\n{body}",
        body.len()
    ))
}

/// `text/event-plain`.
pub(crate) fn event(payload: &str) -> Step {
    send(&format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n{payload}",
        payload.len()
    ))
}

/// A thousand frames that FreeSWITCH 1.11 sent to `event plain all` during bridged calls.
pub(crate) fn trace() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/traces/bridged-calls.plain.gz"
    );
    let mut octets = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

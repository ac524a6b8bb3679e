//! A peer that follows a script, and the recorded session.

#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use callhop_ami::{Login, Options, Secret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const GREETING: &str = "Asterisk Call Manager/11.0.0\r\n";

/// What the peer does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these octets.
    Send(Vec<u8>),
    /// Reads until exactly this has come; anything else fails the test.
    Expect(String),
    /// Says nothing for a while.
    Pause(Duration),
    /// Keeps the connection open and says nothing, until the other side closes.
    Stay,
}

/// Lines as a packet: each with CRLF, and an empty one.
pub(crate) fn packet(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| format!("{line}\r\n"))
        .collect::<String>()
        + "\r\n"
}

/// Sends a packet.
pub(crate) fn send(lines: &[&str]) -> Step {
    Step::Send(packet(lines).into_bytes())
}

/// Sends octets as they are.
pub(crate) fn raw(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// Reads an action.
pub(crate) fn expect(lines: &[&str]) -> Step {
    Step::Expect(packet(lines))
}

/// Greeting, challenge and login of the user `companion` with the secret `s3cret`: ids 0 and 1.
pub(crate) fn logged_in() -> Vec<Step> {
    vec![
        raw(GREETING),
        expect(&["Action: Challenge", "ActionID: t-0", "AuthType: MD5"]),
        send(&["Response: Success", "ActionID: t-0", "Challenge: 812603998"]),
        expect(&[
            "Action: Login",
            "ActionID: t-1",
            "AuthType: MD5",
            "Username: companion",
            // md5sum of "812603998s3cret"
            "Key: a4022935b89dbc7ec333ea36c733c7e4",
            "Events: off",
        ]),
        send(&[
            "Response: Success",
            "ActionID: t-1",
            "Message: Authentication accepted",
        ]),
    ]
}

pub(crate) fn login() -> Login {
    Login {
        user: "companion".parse().unwrap(),
        secret: Secret::new("s3cret"),
    }
}

/// Time enough for a busy machine.
pub(crate) fn patient() -> Options {
    let long = Duration::from_secs(30);
    let mut options = Options::new("t".parse().unwrap());
    options.connect_timeout = long;
    options.login_timeout = long;
    options.reply_timeout = long;
    options
}

/// For a peer that says nothing anyway.
pub(crate) fn hasty() -> Options {
    let mut options = patient();
    options.login_timeout = Duration::from_millis(200);
    options.reply_timeout = Duration::from_millis(200);
    options
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
pub(crate) async fn follow(mut stream: impl AsyncRead + AsyncWrite + Unpin, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Send(octets) => {
                // The other side may have seen enough and be gone.
                let _ = stream.write_all(&octets).await;
                let _ = stream.flush().await;
            }
            Step::Expect(text) => {
                let mut got = vec![0; text.len()];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&got), text);
            }
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Stay => {
                let mut scratch = [0; 1024];
                while matches!(stream.read(&mut scratch).await, Ok(n) if n > 0) {}
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// An error with all its sources, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// What Asterisk 22.10 sent on one session, see `data/README.md`.
pub(crate) fn trace() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/asterisk-22.10.gz");
    let mut octets = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

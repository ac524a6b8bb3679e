//! The outbound socket server: sessions, and everybody who isn't one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use callhop_esl::command::Message;
use callhop_esl::server::{HandshakeError, Server, ServerOptions, Session, SessionError};
use callhop_esl::{Api, Command, LinkError};
use support::{Step, event, follow, reply, response, send};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const UUID: &str = "77178d17-6e3a-428c-b0c6-ee9fdf1c22d3";

fn options() -> ServerOptions {
    ServerOptions {
        deadline: Duration::from_secs(30),
        max_connections: 4,
        max_frame: 20_000,
        reply_timeout: Duration::from_secs(30),
    }
}

async fn server(options: ServerOptions) -> (Server, SocketAddr) {
    let server = Server::bind(("127.0.0.1", 0), options).await.unwrap();
    let addr = server.local_addr().unwrap();
    (server, addr)
}

/// A channel that connects and follows the script.
fn channel(addr: SocketAddr, steps: Vec<Step>) -> JoinHandle<()> {
    tokio::spawn(async move {
        follow(TcpStream::connect(addr).await.unwrap(), steps).await;
    })
}

fn channel_data() -> Step {
    send(&format!(
        "Event-Name: CHANNEL_DATA\nUnique-ID: {UUID}\nCaller-Destination-Number: *9\n\
         variable_sip_contact_uri: 1001%40127.0.0.1%3A15060\nContent-Type: command/reply\n\
         Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
    ))
}

const CONNECT: Step = Step::Expect("connect\n\n");

async fn session(steps: Vec<Step>) -> (Session, Server) {
    session_with(options(), steps).await
}

async fn session_with(options: ServerOptions, steps: Vec<Step>) -> (Session, Server) {
    let (mut server, addr) = server(options).await;
    let mut script = vec![CONNECT, channel_data()];
    script.extend(steps);
    channel(addr, script);
    let (_, session) = server.accept().await.unwrap();
    (session.unwrap(), server)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[tokio::test]
async fn a_session() {
    let (mut session, _server) = session(vec![
        Step::Expect("myevents plain\n\n"),
        reply("+OK Events Enabled"),
        Step::Expect("sendmsg\ncall-command: execute\nexecute-app-name: answer\n\n"),
        event("Event-Name: CHANNEL_EXECUTE\nEvent-Sequence: 1\n\n"),
        send("Content-Type: text/disconnect-notice\nContent-Disposition: linger\nLinger-Time: 5\nContent-Length: 0\n\n"),
        event("Event-Name: CHANNEL_ANSWER\nEvent-Sequence: 2\n\n"),
        reply("+OK"),
        Step::Expect("api status\n\n"),
        response("UP"),
        event("Event-Name: CHANNEL_HANGUP\nEvent-Sequence: 3\n\n"),
        Step::Expect("linger 5\n\n"),
        reply("-ERR not controlling a session"),
    ])
    .await;
    assert_eq!(session.uuid().as_str(), UUID);
    let data = session.channel();
    assert_eq!(data.get("Caller-Destination-Number").as_deref(), Some("*9"));
    assert_eq!(
        data.get("variable_sip_contact_uri").as_deref(),
        Some("1001@127.0.0.1:15060")
    );
    session.command(&Command::MyEvents).await.unwrap();
    let answer = Command::SendMsg {
        uuid: None,
        message: Message::Execute {
            app: "answer".parse().unwrap(),
            arg: "".parse().unwrap(),
            event_lock: false,
        },
    };
    session.command(&answer).await.unwrap();
    let status = session.command(&Command::Api(Api::Status)).await.unwrap();
    assert_eq!(status.body(), b"UP");
    // Those that came between command and answer, and the one behind them.
    for sequence in 1..=3 {
        let event = session.next_event().await.unwrap();
        assert_eq!(event.sequence(), Some(sequence));
    }
    let error = session
        .command(&Command::Linger { seconds: 5 })
        .await
        .unwrap_err();
    assert_eq!(chain(&error), "refused: -ERR not controlling a session");
    assert!(matches!(session.next_event().await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn an_answer_that_never_comes() {
    let (mut session, _server) = session_with(
        ServerOptions {
            reply_timeout: Duration::from_millis(100),
            ..options()
        },
        vec![Step::Expect("exit\n\n"), Step::Stay],
    )
    .await;
    let error = session.command(&Command::Exit).await.unwrap_err();
    assert!(
        matches!(error, SessionError::Unknown(LinkError::Timeout(_))),
        "{error:?}"
    );
    let error = session.command(&Command::Exit).await.unwrap_err();
    assert!(matches!(error, SessionError::OutOfStep), "{error:?}");
}

#[tokio::test]
async fn a_waiter_who_leaves() {
    let (mut session, _server) = session(vec![Step::Expect("exit\n\n"), Step::Stay]).await;
    let left =
        tokio::time::timeout(Duration::from_millis(50), session.command(&Command::Exit)).await;
    assert!(left.is_err());
    let error = session.command(&Command::Exit).await.unwrap_err();
    assert!(matches!(error, SessionError::OutOfStep), "{error:?}");
}

#[tokio::test]
async fn a_flood_of_events_before_an_answer() {
    let (mut session, _server) = session(vec![
        Step::Expect("exit\n\n"),
        Step::Send(
            "Content-Length: 1\nContent-Type: text/event-plain\n\n\n"
                .repeat(2000)
                .into_bytes(),
        ),
        Step::Stay,
    ])
    .await;
    let error = session.command(&Command::Exit).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "outcome unknown: more than 1024 events before an answer"
    );
}

/// A password in a session's command can't smuggle in another command.
#[tokio::test]
async fn what_cannot_be_sent() {
    let (mut session, _server) = session(vec![Step::Expect("exit\n\n"), reply("+OK bye")]).await;
    let bad = Command::Auth("a\n\nexit".into());
    let error = session.command(&bad).await.unwrap_err();
    assert!(matches!(error, SessionError::Encode(_)), "{error:?}");
    session.command(&Command::Exit).await.unwrap();
}

#[tokio::test]
async fn who_is_no_session() {
    async fn check(steps: Vec<Step>, want: &str) {
        // Only who stays silent is given little time.
        let deadline = match steps.last() {
            Some(Step::Stay) => Duration::from_millis(100),
            _ => Duration::from_secs(30),
        };
        let (mut server, addr) = server(ServerOptions {
            deadline,
            ..options()
        })
        .await;
        let peer = channel(addr, steps);
        let (_, outcome) = server.accept().await.unwrap();
        assert_eq!(chain(&outcome.unwrap_err()), want);
        // It was closed, or the script would not end.
        peer.await.unwrap();
    }
    check(vec![], "the switch closed the connection").await;
    check(vec![Step::Stay], "no channel data within 100ms").await;
    check(vec![CONNECT, Step::Stay], "no channel data within 100ms").await;
    check(
        vec![send("GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n")],
        "no header: \"GET / HTTP/1.1\\r\"",
    )
    .await;
    check(
        vec![send("\u{16}\u{3}\u{1}\n\n")],
        "no header: \"\\u{16}\\u{3}\\u{1}\"",
    )
    .await;
    check(vec![reply("+OK")], "channel data without Unique-ID").await;
    check(
        vec![send(
            "Content-Type: command/reply\nUnique-ID: ${system reboot}\n\n",
        )],
        "channel data with a Unique-ID that is none: uuid: '$' is not allowed",
    )
    .await;
    check(
        vec![send(
            "Content-Type: command/reply\nUnique-ID: a%0A%0Aapi status\n\n",
        )],
        "channel data with a Unique-ID that is none: uuid: '\\n' is not allowed",
    )
    .await;
    check(
        vec![event("Event-Name: X\n\n")],
        "unexpected text/event-plain",
    )
    .await;
    check(
        vec![send(
            "Content-Type: text/disconnect-notice\nContent-Length: 4\n\nbye\n",
        )],
        "the switch ended the connection: bye",
    )
    .await;
    check(
        vec![send(
            "Content-Type: command/reply\nContent-Length: 900000000000\n\n",
        )],
        "a frame of at least 900000000058 octets, and the limit is 20000",
    )
    .await;
    check(
        vec![send("Content-Type: command/reply\nUnique")],
        "the stream ended inside a frame, after 34 octets of it",
    )
    .await;
}

/// Headers without an end, as fast as they are taken.
#[tokio::test]
async fn headers_without_an_end() {
    let (mut server, addr) = server(options()).await;
    channel(addr, vec![Step::Send(b"A: b\n".repeat(1_000_000))]);
    let (_, outcome) = server.accept().await.unwrap();
    let error = outcome.unwrap_err();
    assert!(chain(&error).ends_with("the limit is 20000"), "{error}");
}

/// One octet at a time doesn't put the deadline off, and holds up nobody else.
#[tokio::test]
async fn slow_loris() {
    let (mut server, addr) = server(ServerOptions {
        deadline: Duration::from_millis(300),
        ..options()
    })
    .await;
    for _ in 0..3 {
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                if stream.write_all(b"A: b\n").await.is_err() {
                    return;
                }
            }
        });
    }
    let begin = Instant::now();
    channel(addr, vec![CONNECT, channel_data(), Step::Stay]);
    let (mut sessions, mut late) = (0, 0);
    while sessions + late < 4 {
        match server.accept().await.unwrap().1 {
            Ok(_) => {
                assert_eq!(late, 0, "the honest one had to wait");
                sessions += 1;
            }
            Err(HandshakeError::Deadline(_)) => late += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((sessions, late), (1, 3));
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

/// No more than so many at a time; the next is closed at once, and there is room again when a session ends.
#[tokio::test]
async fn no_room() {
    let (mut server, addr) = server(ServerOptions {
        max_connections: 2,
        ..options()
    })
    .await;
    let script = || vec![CONNECT, channel_data(), Step::Stay];
    let mut sessions = Vec::new();
    for _ in 0..2 {
        channel(addr, script());
        sessions.push(server.accept().await.unwrap().1.unwrap());
    }
    let mut turned_away = TcpStream::connect(addr).await.unwrap();
    let outcome = server.accept().await.unwrap().1;
    assert!(
        matches!(outcome, Err(HandshakeError::NoRoom)),
        "{outcome:?}"
    );
    let mut said = Vec::new();
    turned_away.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"");
    sessions.pop();
    channel(addr, script());
    server.accept().await.unwrap().1.unwrap();
}

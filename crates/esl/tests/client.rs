//! The two links against a peer that follows a script: every way in which a switch can answer, refuse, fall silent or go away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use callhop_esl::word::Uuid36;
use callhop_esl::{
    Api, CommandError, CommandLink, ConnectError, EventLink, EventName, LinkError, Options, Secret,
    Subscription,
};
use support::{Step, authenticated, event, peer, reply, response, send};

const UUID: &str = "77178d17-6e3a-428c-b0c6-ee9fdf1c22d3";

/// Time enough for a busy machine.
fn patient() -> Options {
    Options {
        connect_timeout: Duration::from_secs(30),
        auth_timeout: Duration::from_secs(30),
        reply_timeout: Duration::from_secs(30),
        max_frame: 100_000,
    }
}

/// For a peer that says nothing anyway.
fn hasty() -> Options {
    Options {
        auth_timeout: Duration::from_millis(200),
        reply_timeout: Duration::from_millis(200),
        ..patient()
    }
}

fn exists() -> Api {
    Api::UuidExists {
        uuid: UUID.parse().unwrap(),
    }
}

const ASKED: Step = Step::Expect("api uuid_exists 77178d17-6e3a-428c-b0c6-ee9fdf1c22d3\n\n");

/// An error with all its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn options_for(steps: &[Step]) -> Options {
    if matches!(steps.last(), Some(Step::Stay)) {
        hasty()
    } else {
        patient()
    }
}

async fn command_link_with(options: &Options, steps: Vec<Step>) -> CommandLink {
    let mut script = authenticated();
    script.extend(steps);
    let (addr, _task) = peer(script).await;
    CommandLink::connect(addr, &Secret::new("ClueCon"), options)
        .await
        .unwrap()
}

async fn command_link(steps: Vec<Step>) -> CommandLink {
    command_link_with(&patient(), steps).await
}

fn subscription() -> Subscription {
    Subscription {
        names: vec![EventName::ChannelBridge],
        custom: vec!["sofia::register".parse().unwrap()],
    }
}

const SUBSCRIBED: Step = Step::Expect("event plain CHANNEL_BRIDGE CUSTOM sofia::register\n\n");

async fn event_link(steps: Vec<Step>) -> Result<EventLink, ConnectError> {
    let mut script = authenticated();
    script.push(SUBSCRIBED);
    script.extend(steps);
    let (addr, _task) = peer(script).await;
    EventLink::connect(addr, &Secret::new("ClueCon"), &subscription(), &patient()).await
}

#[tokio::test]
async fn ways_not_to_connect() {
    async fn check(steps: Vec<Step>, want: &str) -> ConnectError {
        let options = options_for(&steps);
        let (addr, _task) = peer(steps).await;
        let error = CommandLink::connect(addr, &Secret::new("ClueCon"), &options)
            .await
            .unwrap_err();
        let text = chain(&error);
        assert!(text.contains(want), "{text}");
        assert!(!text.contains("ClueCon"), "{text}");
        error
    }
    let hello = || send("Content-Type: auth/request\n\n");
    let auth = Step::Expect("auth ClueCon\n\n");

    let error = check(
        vec![send(
            "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n",
        )],
        "access list refuses us: Access Denied, go away.",
    )
    .await;
    assert!(matches!(error, ConnectError::AclDenied { .. }));
    let error = check(
        vec![hello(), auth.clone(), reply("-ERR invalid")],
        "refuses the password: -ERR invalid",
    )
    .await;
    assert!(matches!(error, ConnectError::AuthRefused { .. }));
    check(vec![Step::Stay], "no answer within 200ms").await;
    check(vec![hello(), Step::Stay], "no answer within 200ms").await;
    check(vec![], "closed the connection").await;
    check(vec![hello(), auth.clone()], "closed the connection").await;
    check(
        vec![send("HTTP/1.1 400 Bad Request\n\n")],
        "no header: \"HTTP/1.1 400",
    )
    .await;
    check(vec![send("Content-Type: auth/re")], "ended inside a frame").await;
    check(vec![reply("+OK")], "unexpected command/reply").await;
    check(
        vec![hello(), auth, response("+OK")],
        "unexpected api/response",
    )
    .await;
    check(
        vec![send(
            "Content-Type: auth/request\nContent-Length: 100001\n\n",
        )],
        "limit is 100000",
    )
    .await;

    // Nobody listens.
    let (addr, task) = peer(vec![]).await;
    task.abort();
    let _ = task.await;
    let error = CommandLink::connect(addr, &Secret::new("ClueCon"), &patient())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Tcp(_)), "{error}");

    // A password that can't be sent.
    let (addr, _task) = peer(vec![hello(), Step::Stay]).await;
    let error = CommandLink::connect(addr, &Secret::new("Clue\nCon"), &patient())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Encode(_)), "{error}");
}

#[tokio::test]
async fn answers() {
    async fn check(answer: Step, want: Result<&str, &str>) {
        let link = command_link(vec![ASKED, answer, ASKED, response("true"), Step::Stay]).await;
        let got = link.api(&exists()).await;
        match (&got, want) {
            (Ok(got), Ok(want)) => assert_eq!(got.text(), want),
            (Err(CommandError::Refused { text, .. }), Err(want)) => assert_eq!(text, want),
            _ => panic!("{got:?}, and not {want:?}"),
        }
        // Refused or not, the link is in step.
        assert_eq!(link.api(&exists()).await.unwrap().text(), "true");
    }
    check(response("true"), Ok("true")).await;
    check(response("+OK\n"), Ok("+OK")).await;
    check(response("{\"row_count\":0}\n\n"), Ok("{\"row_count\":0}")).await;
    check(response("-ERR no reply\n"), Ok("")).await;
    check(
        response("-ERR No such channel!\n"),
        Err("-ERR No such channel!"),
    )
    .await;
    check(response("-USAGE: <uuid>\n"), Err("-USAGE: <uuid>")).await;
    check(
        reply("-ERR permission denied"),
        Err("-ERR permission denied"),
    )
    .await;
}

#[tokio::test]
async fn a_dump_is_an_event() {
    let dump = "Event-Name: CHANNEL_DATA\nEvent-Sequence: 7\nvariable_a: b%20c\nEmpty: _undef_\n\n";
    let link = command_link(vec![
        Step::Expect("api uuid_dump 77178d17-6e3a-428c-b0c6-ee9fdf1c22d3\n\n"),
        response(dump),
    ])
    .await;
    let uuid: Uuid36 = UUID.parse().unwrap();
    let event = link
        .api(&Api::UuidDump { uuid })
        .await
        .unwrap()
        .into_event();
    assert_eq!(event.name(), EventName::ChannelData);
    assert_eq!(event.sequence(), Some(7));
    assert_eq!(event.get("variable_a").as_deref(), Some("b c"));
    assert_eq!(event.get_filled("Empty"), None);
}

#[tokio::test]
async fn background_jobs() {
    let asked = Step::Expect("bgapi status\nJob-UUID: 77178d17-6e3a-428c-b0c6-ee9fdf1c22d3\n\n");
    let link = command_link(vec![
        asked.clone(),
        send(&format!(
            "Content-Type: command/reply\nReply-Text: +OK Job-UUID: {UUID}\nJob-UUID: {UUID}\n\n"
        )),
        asked,
        reply("-ERR permission denied"),
        Step::Stay,
    ])
    .await;
    let job: Uuid36 = UUID.parse().unwrap();
    link.bgapi(&Api::Status, &job).await.unwrap();
    let error = link.bgapi(&Api::Status, &job).await.unwrap_err();
    assert_eq!(chain(&error), "status refused: -ERR permission denied");
}

/// The argument is a body, which no reading of the answer may leave on the link.
#[tokio::test]
async fn an_application_run_by_a_channel() {
    let asked = Step::Expect(
        "sendmsg 77178d17-6e3a-428c-b0c6-ee9fdf1c22d3\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\ncontent-length: 3\n\na=b",
    );
    let link = command_link(vec![
        asked.clone(),
        reply("+OK"),
        asked,
        reply("-ERR invalid session id [77178d17-6e3a-428c-b0c6-ee9fdf1c22d3]"),
        Step::Stay,
    ])
    .await;
    let uuid: Uuid36 = UUID.parse().unwrap();
    let run = || link.execute(&uuid, "set".parse().unwrap(), "a=b".parse().unwrap());
    run().await.unwrap();
    let error = run().await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!("sendmsg refused: -ERR invalid session id [{UUID}]")
    );
    assert!(link.is_up().await);
}

/// After any of these nobody knows what became of the command, and the link is not used again.
#[tokio::test]
async fn outcome_unknown() {
    async fn check(answer: Vec<Step>, want: &str) {
        let mut steps = vec![ASKED];
        steps.extend(answer);
        let mut options = patient();
        options.reply_timeout = options_for(&steps).reply_timeout;
        let link = command_link_with(&options, steps).await;
        let error = link.api(&exists()).await.unwrap_err();
        assert!(matches!(error, CommandError::Unknown { .. }), "{error:?}");
        assert_eq!(
            chain(&error),
            format!("outcome of uuid_exists unknown: {want}")
        );
        assert!(!link.is_up().await);
        let error = link.api(&exists()).await.unwrap_err();
        assert_eq!(chain(&error), "uuid_exists not sent: the link is down");
    }
    check(vec![Step::Stay], "no answer within 200ms").await;
    check(
        vec![
            send("Content-Type: api/response\nContent-Length: 4\n\ntru"),
            Step::Stay,
        ],
        "no answer within 200ms",
    )
    .await;
    check(vec![], "the switch closed the connection").await;
    check(
        vec![send("Content-Type: api/resp")],
        "the stream ended inside a frame, after 22 octets of it",
    )
    .await;
    check(
        vec![send(
            "Content-Type: text/disconnect-notice\nContent-Length: 8\n\nGoodbye\n",
        )],
        "the switch ended the connection: Goodbye",
    )
    .await;
    check(
        vec![event("Event-Name: X\n\n")],
        "unexpected text/event-plain",
    )
    .await;
    check(vec![send("junk\n\n")], "no header: \"junk\"").await;
}

/// What has come while nothing was asked shows that the link is dead before anything is sent.
#[tokio::test]
async fn a_dead_link_is_noticed_before_sending() {
    async fn check(steps: Vec<Step>, want: &str) {
        let mut script = authenticated();
        script.extend(steps);
        let (addr, task) = peer(script).await;
        let link = CommandLink::connect(addr, &Secret::new("ClueCon"), &patient())
            .await
            .unwrap();
        task.await.unwrap();
        // The peer has closed; that this end has heard of it is not certain at once, but then it is on the way.
        let error = match link.api(&exists()).await.unwrap_err() {
            error @ CommandError::Unsent { .. } => error,
            CommandError::Unknown { .. } => return,
            error @ CommandError::Refused { .. } => panic!("{error}"),
        };
        assert_eq!(
            chain(&error),
            format!("uuid_exists not sent: the link is down: {want}")
        );
    }
    check(vec![], "the switch closed the connection").await;
    check(
        vec![send(
            "Content-Type: text/disconnect-notice\nContent-Length: 8\n\nGoodbye\n",
        )],
        "the switch ended the connection: Goodbye",
    )
    .await;
    check(vec![response("late")], "unexpected api/response").await;
}

/// Who stops waiting takes the link with him: his answer must not be the next one's.
#[tokio::test]
async fn a_caller_who_leaves() {
    let link = command_link(vec![ASKED, Step::Stay]).await;
    let left = tokio::time::timeout(Duration::from_millis(50), link.api(&exists())).await;
    assert!(left.is_err());
    let error = link.api(&exists()).await.unwrap_err();
    assert_eq!(chain(&error), "uuid_exists not sent: the link is down");
}

#[tokio::test]
async fn callers_take_turns() {
    let mut steps = Vec::new();
    for i in 0..20 {
        steps.extend([ASKED, response(&i.to_string())]);
    }
    let link = Arc::new(command_link(steps).await);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let link = Arc::clone(&link);
        callers.spawn(async move { link.api(&exists()).await.unwrap().text().into_owned() });
    }
    let mut seen: Vec<i32> = callers
        .join_all()
        .await
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn events() {
    let mut link = event_link(vec![
        reply("+OK event listener enabled plain"),
        event("Event-Name: CHANNEL_BRIDGE\nEvent-Sequence: 1\n\n"),
        send("Content-Type: text/disconnect-notice\nContent-Disposition: linger\nContent-Length: 0\n\n"),
        event("Event-Name: CUSTOM\nEvent-Subclass: sofia%3A%3Aregister\nEvent-Sequence: 2\n\n"),
        Step::Expect("\n"),
        send("Content-Type: text/disconnect-notice\nContent-Length: 8\n\nGoodbye\n"),
    ])
    .await
    .unwrap();
    let first = link.next().await.unwrap();
    assert_eq!(
        (first.name(), first.sequence()),
        (EventName::ChannelBridge, Some(1))
    );
    let second = link.next().await.unwrap();
    assert_eq!(second.subclass().as_deref(), Some("sofia::register"));
    link.poke().unwrap();
    let end = link.next().await.unwrap_err();
    assert!(
        matches!(&end, LinkError::Disconnected { text } if text == "Goodbye"),
        "{end:?}"
    );
    // The first event is still what it was.
    assert_eq!(first.sequence(), Some(1));
}

#[tokio::test]
async fn ends_of_an_event_link() {
    async fn check(steps: Vec<Step>, want: &str) {
        let mut all = vec![reply("+OK")];
        all.extend(steps);
        let mut link = event_link(all).await.unwrap();
        assert_eq!(chain(&link.next().await.unwrap_err()), want);
    }
    check(vec![], "the switch closed the connection").await;
    check(vec![reply("+OK")], "unexpected command/reply").await;
    check(
        vec![send(
            "Content-Length: 5\nContent-Type: text/event-plain\n\nab",
        )],
        "the stream ended inside a frame, after 52 octets of it",
    )
    .await;
    check(
        vec![send(
            "Content-Length: 500000\nContent-Type: text/event-plain\n\nab",
        )],
        "a frame of at least 500055 octets, and the limit is 100000",
    )
    .await;

    let error = event_link(vec![reply("-ERR permission denied")])
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::SubscriptionRefused { .. }),
        "{error}"
    );
    let (addr, _task) = peer(authenticated()).await;
    let nothing = Subscription::default();
    let error = EventLink::connect(addr, &Secret::new("ClueCon"), &nothing, &patient())
        .await
        .unwrap_err();
    assert_eq!(chain(&error), "a subscription to no event");
}

/// Dropping the wait loses nothing, however the event is cut.
#[tokio::test]
async fn waiting_may_be_given_up() {
    let (go, wait) = tokio::sync::oneshot::channel();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut script = authenticated();
        script.extend([SUBSCRIBED, reply("+OK")]);
        script.push(send(
            "Content-Length: 19\nContent-Type: text/event-plain\n\nEvent-Seq",
        ));
        let stream = {
            use tokio::io::AsyncWriteExt;
            for step in script {
                match step {
                    Step::Send(octets) => stream.write_all(&octets).await.unwrap(),
                    Step::Expect(text) => {
                        use tokio::io::AsyncReadExt;
                        let mut got = vec![0; text.len()];
                        stream.read_exact(&mut got).await.unwrap();
                    }
                    Step::Stay => {}
                }
            }
            stream
        };
        wait.await.unwrap();
        support::follow(stream, vec![send("uence: 7\n\n"), Step::Stay]).await;
    });
    let mut link = EventLink::connect(addr, &Secret::new("ClueCon"), &subscription(), &patient())
        .await
        .unwrap();
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(20), link.next()).await;
        assert!(waited.is_err());
    }
    go.send(()).unwrap();
    assert_eq!(link.next().await.unwrap().sequence(), Some(7));
}

//! The two links against a peer that follows a script: every way in which a switch can answer, refuse, fall silent or go away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use callhop_ami::action::{ConsoleCommand, Variable};
use callhop_ami::client::Unsent;
use callhop_ami::{
    Action, CommandError, CommandLink, ConnectError, EventLink, EventName, LinkError, Login,
    Options, Privilege, Secret, Subscription,
};
use futures::future::join_all;
use support::{
    GREETING, Step, chain, expect, hasty, logged_in, login, packet, patient, peer, raw, send,
};

const PONG: &str = "Ping: Pong";

/// A `Ping` with this number.
fn ping(number: u32) -> Step {
    expect(&["Action: Ping", &format!("ActionID: t-{number}")])
}

fn pong(number: u32) -> Step {
    answer(number, &[PONG])
}

fn answer(number: u32, more: &[&str]) -> Step {
    let id = format!("ActionID: t-{number}");
    let mut lines = vec!["Response: Success", &id];
    lines.extend_from_slice(more);
    send(&lines)
}

fn refusal(number: u32, message: &str) -> Step {
    send(&[
        "Response: Error",
        &format!("ActionID: t-{number}"),
        &format!("Message: {message}"),
    ])
}

async fn command_link_with(options: &Options, steps: Vec<Step>) -> CommandLink {
    let mut script = logged_in();
    script.extend(steps);
    let (addr, _task) = peer(script).await;
    CommandLink::connect(addr, &login(), options).await.unwrap()
}

async fn command_link(steps: Vec<Step>) -> CommandLink {
    command_link_with(&patient(), steps).await
}

#[tokio::test]
async fn ways_not_to_connect() {
    async fn check(steps: Vec<Step>, want: &str) -> ConnectError {
        let options = match steps.last() {
            Some(Step::Stay) => hasty(),
            _ => patient(),
        };
        let (addr, _task) = peer(steps).await;
        let error = CommandLink::connect(addr, &login(), &options)
            .await
            .unwrap_err();
        let text = chain(&error);
        assert!(text.contains(want), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
        error
    }
    let cut = |steps: usize, more: Vec<Step>| {
        let mut all = logged_in();
        all.truncate(steps);
        all.extend(more);
        all
    };

    check(vec![Step::Stay], "no answer within 200ms").await;
    check(vec![], "closed the connection").await;
    check(
        vec![raw("SSH-2.0-OpenSSH_9.2\r\n")],
        "no greeting of a manager interface: \"SSH-2.0-OpenSSH_9.2\"",
    )
    .await;
    check(
        vec![raw("Asterisk Call")],
        "the stream ended inside a packet, after 13 octets of it",
    )
    .await;
    check(cut(2, vec![Step::Stay]), "no answer within 200ms").await;
    check(cut(4, vec![]), "closed the connection").await;
    let error = check(
        cut(4, vec![refusal(1, "Authentication failed")]),
        "refuses the login: Authentication failed",
    )
    .await;
    assert!(
        matches!(error, ConnectError::LoginRefused { .. }),
        "{error}"
    );
    let error = check(
        cut(2, vec![answer(0, &["Challenge: 1 2"])]),
        "no usable challenge: word: ' ' is not allowed",
    )
    .await;
    assert!(matches!(error, ConnectError::Challenge(_)), "{error}");
    check(cut(2, vec![answer(7, &[])]), "unexpected response").await;
    check(cut(2, vec![send(&["A: b"])]), "unexpected packet").await;
    let flood = packet(&["Event: X"]).repeat(10_001);
    check(cut(2, vec![raw(&flood)]), "more than 10000 events").await;

    // Nobody listens.
    let (addr, task) = peer(vec![]).await;
    task.abort();
    let _ = task.await;
    let error = CommandLink::connect(addr, &login(), &patient())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Tcp(_)), "{error}");

    // A prefix that leaves no room for a number.
    let mut options = patient();
    options.id_prefix = "x".repeat(64).parse().unwrap();
    let (addr, _task) = peer(vec![raw(GREETING), Step::Stay]).await;
    let error = CommandLink::connect(addr, &login(), &options)
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Id(_)), "{error}");
}

/// A switch that offers no challenge gets the secret over loopback.
#[tokio::test]
async fn a_plain_login() {
    let refused = || {
        vec![
            raw(GREETING),
            expect(&["Action: Challenge", "ActionID: t-0", "AuthType: MD5"]),
            refusal(0, "Must specify AuthType"),
        ]
    };
    let mut steps = refused();
    steps.extend([
        expect(&[
            "Action: Login",
            "ActionID: t-1",
            "Username: companion",
            "Secret: s3cret",
            "Events: off",
        ]),
        answer(1, &[]),
        ping(2),
        pong(2),
        Step::Stay,
    ]);
    let (addr, _task) = peer(steps).await;
    let link = CommandLink::connect(addr, &login(), &patient())
        .await
        .unwrap();
    assert_eq!(link.version(), "11.0.0");
    link.run(&Action::Ping).await.unwrap();

    // A secret that can't be sent.
    for (secret, want) in [
        ("a\nb", "Secret holds '\\n'"),
        (" a", "begins or ends with a blank"),
    ] {
        let mut steps = refused();
        steps.push(Step::Stay);
        let (addr, _task) = peer(steps).await;
        let login = Login {
            secret: Secret::new(secret),
            ..login()
        };
        let error = CommandLink::connect(addr, &login, &patient())
            .await
            .unwrap_err();
        assert!(chain(&error).contains(want), "{error}");
    }
}

#[tokio::test]
async fn answers() {
    async fn check(answered: Vec<Step>, want: Result<&str, &str>) {
        let mut steps = vec![ping(2)];
        steps.extend(answered);
        steps.extend([ping(3), pong(3), Step::Stay]);
        let link = command_link(steps).await;
        let got = link.run(&Action::Ping).await;
        match (&got, want) {
            (Ok(reply), Ok(want)) => assert_eq!(reply.message(), want),
            (Err(CommandError::Refused { text, .. }), Err(want)) => assert_eq!(text, want),
            _ => panic!("{got:?}, and not {want:?}"),
        }
        // Refused or not, the link goes on.
        let reply = link.run(&Action::Ping).await.unwrap();
        assert_eq!(reply.get("Ping").as_deref(), Some("Pong"));
        assert!(link.is_up());
    }
    check(vec![answer(2, &["Message: yes"])], Ok("yes")).await;
    check(vec![answer(2, &[])], Ok("")).await;
    check(vec![refusal(2, "No such channel")], Err("No such channel")).await;
    check(vec![refusal(2, "no x\n")], Err("no x")).await;
    check(
        vec![send(&[
            "Response: Error",
            "ActionID: t-2",
            "Message: Command output follows",
            "Output: There is no existence",
            "Output: of it",
        ])],
        Err("There is no existence\nof it"),
    )
    .await;
    check(
        vec![send(&["Response: Huh", "ActionID: t-2", "Message: m"])],
        Err("m"),
    )
    .await;
    check(
        vec![send(&["Response: Goodbye", "ActionID: t-2", "Message: m"])],
        Ok("m"),
    )
    .await;
    // What is another's, or nobody's.
    check(
        vec![
            answer(99, &["Message: no"]),
            send(&["Response: Success", "Message: no"]),
            send(&["Response: Success", "ActionID: u-2", "Message: no"]),
            send(&["Event: UserEvent", "ActionID: t-2", "Message: no"]),
            send(&["Event: FullyBooted", "Message: no"]),
            send(&["ActionID: t-2"]),
            answer(2, &["Message: yes"]),
            answer(2, &["Message: twice"]),
        ],
        Ok("yes"),
    )
    .await;
}

#[tokio::test]
async fn a_permission_that_is_missing() {
    let link = command_link(vec![
        expect(&["Action: DBGet", "ActionID: t-2", "Family: a", "Key: b"]),
        refusal(2, "Permission denied"),
        ping(3),
        refusal(3, "Permission denied"),
        Step::Stay,
    ])
    .await;
    let action = Action::DbGet {
        family: "a".parse().unwrap(),
        key: "b".parse().unwrap(),
    };
    let error = link.list(&action).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "DBGet refused: the user's write permissions need system or reporting"
    );
    let CommandError::PermissionDenied { needs, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(needs, [Privilege::System, Privilege::Reporting]);
    let error = link.run(&Action::Ping).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "Ping refused: the user's write permissions need more"
    );
}

fn item(number: u32, what: &str) -> Step {
    let id = format!("ActionID: t-{number}");
    send(&["Event: CoreShowChannel", &id, &format!("Channel: {what}")])
}

fn start(number: u32) -> Step {
    answer(
        number,
        &["EventList: start", "Message: Channels will follow"],
    )
}

fn complete(number: u32) -> Step {
    let id = format!("ActionID: t-{number}");
    send(&[
        "Event: CoreShowChannelsComplete",
        &id,
        "EventList: Complete",
        "ListItems: 2",
    ])
}

fn channels(number: u32) -> Step {
    expect(&["Action: CoreShowChannels", &format!("ActionID: t-{number}")])
}

#[tokio::test]
async fn lists() {
    async fn check(answered: Vec<Step>, want: Result<&[&str], &str>) {
        let mut steps = vec![channels(2)];
        steps.extend(answered);
        steps.push(Step::Stay);
        let link = command_link(steps).await;
        match (link.list(&Action::CoreShowChannels).await, want) {
            (Ok(items), Ok(want)) => {
                let items: Vec<_> = items.iter().map(|item| item.channel().unwrap()).collect();
                assert_eq!(items, want);
            }
            (Err(error), Err(want)) => assert_eq!(chain(&error), want),
            (got, want) => panic!("{got:?}, and not {want:?}"),
        }
    }
    check(vec![start(2), complete(2)], Ok(&[])).await;
    check(
        vec![start(2), item(2, "X/1"), item(2, "X/2"), complete(2)],
        Ok(&["X/1", "X/2"]),
    )
    .await;
    // Others' packets in between.
    check(
        vec![
            item(2, "X/0"),
            start(2),
            item(2, "X/1"),
            send(&["Event: Newchannel", "Channel: X/9"]),
            item(3, "X/8"),
            complete(3),
            item(2, "X/2"),
            complete(2),
        ],
        Ok(&["X/1", "X/2"]),
    )
    .await;
    check(
        vec![refusal(2, "No such channel")],
        Err("CoreShowChannels refused: No such channel"),
    )
    .await;
    // Only for contacts that is an empty list.
    check(
        vec![refusal(2, "No Contacts found")],
        Err("CoreShowChannels refused: No Contacts found"),
    )
    .await;
    check(
        vec![
            start(2),
            item(2, "X/1"),
            send(&["Event: C", "ActionID: t-2", "EventList: Cancelled"]),
        ],
        Err("CoreShowChannels: the list did not come whole"),
    )
    .await;
}

#[tokio::test]
async fn no_contacts_are_an_empty_list() {
    let link = command_link(vec![
        expect(&["Action: PJSIPShowContacts", "ActionID: t-2"]),
        refusal(2, "No Contacts found\n"),
        Step::Stay,
    ])
    .await;
    assert_eq!(link.list(&Action::PjsipShowContacts).await.unwrap(), []);
}

#[tokio::test]
async fn a_list_without_an_end() {
    let mut steps = vec![channels(2), start(2)];
    steps.extend((0..1000).map(|i| item(2, &format!("X/{i}"))));
    steps.extend([complete(2), ping(3), pong(3), Step::Stay]);
    let mut options = patient();
    options.max_list = 1000;
    let link = command_link_with(&options, steps).await;
    let error = link.list(&Action::CoreShowChannels).await.unwrap_err();
    let CommandError::Incomplete { items, .. } = error else {
        panic!("{error}");
    };
    assert!(items < 30, "{items}");
    link.run(&Action::Ping).await.unwrap();
}

/// Answers in another order, a list among them.
#[tokio::test]
async fn several_in_flight() {
    let mut steps = vec![channels(2)];
    steps.extend((3..23).map(ping));
    steps.extend([start(2), item(2, "X/1")]);
    steps.extend((3..23).rev().map(pong));
    steps.extend([item(2, "X/2"), complete(2), Step::Stay]);
    let link = command_link(steps).await;
    let ping = async || {
        let reply = link.run(&Action::Ping).await.unwrap();
        reply.action_id().unwrap().into_owned()
    };
    // The first of the two is asked for first, so the others come behind it.
    let (list, mut ids) = tokio::join!(
        link.list(&Action::CoreShowChannels),
        join_all((0..20).map(|_| ping())),
    );
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20, "each has its own answer");
    assert_eq!(list.unwrap().len(), 2);
    assert_eq!((link.late(), link.stray()), (0, 0));
}

/// After a time-out nobody knows what became of the action; its answer is nobody's, and the link goes on.
#[tokio::test]
async fn a_late_answer() {
    let link = command_link(vec![
        ping(2),
        ping(3),
        pong(2),
        pong(3),
        channels(4),
        start(4),
        item(4, "X/1"),
        ping(5),
        item(4, "X/2"),
        complete(4),
        pong(5),
        Step::Stay,
    ])
    .await;
    let short = Duration::from_millis(100);
    let error = link.run_within(&Action::Ping, short).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "outcome of Ping unknown: no answer within 100ms"
    );
    assert!(link.is_up());
    let reply = link.run(&Action::Ping).await.unwrap();
    assert_eq!(reply.action_id().as_deref(), Some("t-3"));
    assert_eq!(link.late(), 1);

    let list = link.list_within(&Action::CoreShowChannels, short).await;
    assert!(
        matches!(list, Err(CommandError::Unknown { .. })),
        "{list:?}"
    );
    let reply = link.run(&Action::Ping).await.unwrap();
    assert_eq!(reply.action_id().as_deref(), Some("t-5"));
    assert_eq!(link.late(), 3);
}

#[tokio::test]
async fn a_caller_who_leaves() {
    let link = command_link(vec![ping(2), ping(3), pong(2), pong(3), Step::Stay]).await;
    let left = tokio::time::timeout(Duration::from_millis(50), link.run(&Action::Ping)).await;
    assert!(left.is_err());
    let reply = link.run(&Action::Ping).await.unwrap();
    assert_eq!(reply.action_id().as_deref(), Some("t-3"));
    assert_eq!(link.late(), 1);
}

/// The end of the link fails all that wait.
#[tokio::test]
async fn outcome_unknown() {
    async fn check(end: Vec<Step>, want: &str) {
        let mut steps = vec![ping(2), channels(3), start(3), item(3, "X/1")];
        steps.extend(end);
        let link = command_link(steps).await;
        // The first of the two is asked for first.
        let (first, list) = tokio::join!(
            link.run(&Action::Ping),
            link.list(&Action::CoreShowChannels),
        );
        let (first, error) = (first.unwrap_err(), list.unwrap_err());
        assert!(matches!(error, CommandError::Unknown { .. }), "{error:?}");
        assert_eq!(
            chain(&error),
            format!("outcome of CoreShowChannels unknown: {want}")
        );
        assert_eq!(chain(&first), format!("outcome of Ping unknown: {want}"));
        assert!(!link.is_up());
        assert_eq!(chain(&*link.ended().await), want);
        let error = link.run(&Action::Ping).await.unwrap_err();
        assert!(
            matches!(
                &error,
                CommandError::Unsent {
                    source: Unsent::Down(_),
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(
            chain(&error),
            format!("Ping not sent: the link is down: {want}")
        );
    }
    check(vec![], "the switch closed the connection").await;
    check(
        vec![raw("Response: Suc")],
        "the stream ended inside a packet, after 13 octets of it",
    )
    .await;
    let long = "x".repeat(100_000);
    check(
        vec![raw(&long), Step::Stay],
        "a line of more than 65536 octets",
    )
    .await;
}

/// What the types let through and Asterisk doesn't read.
#[tokio::test]
async fn what_is_not_sent() {
    let link = command_link(vec![ping(2), pong(2), Step::Stay]).await;
    let names = (0..20)
        .map(|_| Variable::Name("x".repeat(79).parse().unwrap()))
        .collect();
    let error = link
        .run(&Action::Status {
            channel: Some("PJSIP/1".parse().unwrap()),
            variables: names,
        })
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            CommandError::Unsent {
                source: Unsent::Encode(_),
                ..
            }
        ),
        "{error:?}"
    );
    link.run(&Action::Ping).await.unwrap();
}

#[tokio::test]
async fn an_end_that_is_waited_for() {
    let link = Arc::new(command_link(vec![ping(2), pong(2)]).await);
    let end = {
        let link = Arc::clone(&link);
        tokio::spawn(async move { link.ended().await })
    };
    link.run(&Action::Ping).await.unwrap();
    let end = end.await.unwrap();
    assert_eq!(chain(&*end), "the switch closed the connection");
}

#[tokio::test]
async fn a_switch_that_does_not_read() {
    let (addr, _task) = peer({
        let mut steps = logged_in();
        steps.push(Step::Pause(Duration::from_secs(60)));
        steps
    })
    .await;
    let link = Arc::new(
        CommandLink::connect(addr, &login(), &patient())
            .await
            .unwrap(),
    );
    // Fills the buffers of both ends, and the turn of the last never comes.
    let value = "x".repeat(900);
    let big = Arc::new(Action::Setvar {
        channel: None,
        name: "A".parse().unwrap(),
        value: callhop_ami::action::Value::Plain(value.parse().unwrap()),
    });
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20_000 {
        let (link, big) = (Arc::clone(&link), Arc::clone(&big));
        callers.spawn(async move { link.run_within(&big, Duration::from_millis(500)).await });
    }
    let results = callers.join_all().await;
    let of = |wanted: fn(&CommandError) -> bool| {
        results
            .iter()
            .filter(|result| result.as_ref().is_err_and(wanted))
            .count()
    };
    let busy = of(|error| {
        matches!(
            error,
            CommandError::Unsent {
                source: Unsent::Busy(_),
                ..
            }
        )
    });
    let unknown = of(|error| matches!(error, CommandError::Unknown { .. }));
    assert!(busy > 0 && unknown > 0, "{busy} {unknown}");
    assert_eq!(busy + unknown, 20_000);
}

#[tokio::test]
async fn variables_and_the_console() {
    let link = command_link(vec![
        expect(&[
            "Action: Getvar",
            "ActionID: t-2",
            "Channel: PJSIP/1001-00000001",
            "Variable: CHANNEL(endpoint)",
        ]),
        answer(2, &["Variable: CHANNEL(endpoint)", "Value: 1001"]),
        expect(&["Action: Command", "ActionID: t-3", "Command: features show"]),
        answer(
            3,
            &["Message: Command output follows", "Output: a", "Output:  b"],
        ),
        Step::Stay,
    ])
    .await;
    let reply = link
        .run(&Action::Getvar {
            channel: Some("PJSIP/1001-00000001".parse().unwrap()),
            variable: Variable::ChannelEndpoint,
        })
        .await
        .unwrap();
    assert_eq!(reply.get("Value").as_deref(), Some("1001"));
    let reply = link
        .run(&Action::Command(ConsoleCommand::FeaturesShow))
        .await
        .unwrap();
    assert_eq!(reply.output(), "a\n b");
}

fn subscription() -> Subscription {
    Subscription {
        classes: vec![Privilege::Call, Privilege::User],
        only: vec!["Newchannel".parse().unwrap()],
    }
}

async fn event_link(steps: Vec<Step>) -> Result<EventLink, ConnectError> {
    let mut script = logged_in();
    script.extend([
        send(&["Event: FullyBooted"]),
        expect(&[
            "Action: Filter",
            "ActionID: t-2",
            "Operation: Add",
            "Filter: ![[:cntrl:]][[:space:]]*[Ee][Vv][Ee][Nn][Tt][[:space:]]*:",
        ]),
    ]);
    script.extend(steps);
    let (addr, _task) = peer(script).await;
    EventLink::connect(addr, &login(), &subscription(), &patient()).await
}

fn subscribed() -> Vec<Step> {
    vec![
        answer(2, &["Message: Success"]),
        expect(&[
            "Action: Filter",
            "ActionID: t-3",
            "Operation: Add",
            "Filter: Event: Newchannel[^A-Za-z]",
        ]),
        answer(3, &["Message: Success"]),
        expect(&["Action: Events", "ActionID: t-4", "EventMask: call,user"]),
    ]
}

#[tokio::test]
async fn events() {
    let mut steps = subscribed();
    steps.extend([
        // May be in front of the answer that says that they come.
        send(&["Event: Newchannel", "Uniqueid: 1"]),
        answer(4, &["Events: On"]),
        send(&[
            "Event: OriginateResponse",
            "Response: Failure",
            "Uniqueid: 2",
        ]),
        answer(9, &["Message: nobody's"]),
        raw("Event: Hang"),
        Step::Pause(Duration::from_millis(50)),
        raw("up\r\nUniqueid: 3\r\n\r\n"),
    ]);
    let mut link = event_link(steps).await.unwrap();
    let mut seen = Vec::new();
    let first = link.next().await.unwrap();
    for _ in 0..2 {
        // Given up in the midst of an event, and asked again.
        let event = loop {
            let short = Duration::from_millis(5);
            if let Ok(event) = tokio::time::timeout(short, link.next()).await {
                break event.unwrap();
            }
        };
        seen.push((event.name(), event.unique_id().unwrap().into_owned()));
    }
    assert_eq!(
        seen,
        [
            (EventName::OriginateResponse, "2".to_owned()),
            (EventName::Hangup, "3".to_owned())
        ]
    );
    let end = link.next().await.unwrap_err();
    assert!(matches!(end, LinkError::Closed), "{end}");
    // The first event is still what it was.
    assert_eq!(first.unique_id().as_deref(), Some("1"));
}

#[tokio::test]
async fn ends_of_an_event_link() {
    async fn check(more: Vec<Step>, want: &str) {
        let mut steps = subscribed();
        steps.push(answer(4, &["Events: On"]));
        steps.extend(more);
        let mut link = event_link(steps).await.unwrap();
        assert_eq!(chain(&link.next().await.unwrap_err()), want);
    }
    check(vec![], "the switch closed the connection").await;
    check(
        vec![raw("Event: Newchannel\r\nChan")],
        "the stream ended inside a packet, after 23 octets of it",
    )
    .await;
    check(vec![send(&["Action: Ping"])], "unexpected action").await;
    let long = "x".repeat(100_000);
    check(
        vec![raw(&long), Step::Stay],
        "a line of more than 65536 octets",
    )
    .await;

    let error = event_link(vec![refusal(2, "Permission denied")])
        .await
        .unwrap_err();
    let ConnectError::SubscriptionRefused { action, needs, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*action, *needs), ("Filter", &[Privilege::System][..]));
}

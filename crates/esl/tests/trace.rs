//! The recorded stream as we read it, beside what another client library makes of it, event by event and header by header.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use callhop_esl::{EventLink, EventName, LinkError, Options, Secret, Subscription};
use freeswitch_esl_tokio::{EslClient, EslConnectOptions, EventFormat, EventOverflow};
use support::{Step, authenticated, peer, reply};

const EVENTS: usize = 1000;

/// Name, headers and body of an event. The other library spells some names in its own way (`from` becomes `From`), so they are
/// compared in small letters.
type Read = (String, BTreeMap<String, String>, Option<String>);

async fn ours() -> Vec<Read> {
    let mut script = authenticated();
    script.extend([
        Step::Expect("event plain CHANNEL_CREATE CHANNEL_BRIDGE\n\n"),
        reply("+OK event listener enabled plain"),
        Step::Send(support::trace()),
    ]);
    let (addr, task) = peer(script).await;
    let subscription = Subscription {
        names: vec![EventName::ChannelCreate, EventName::ChannelBridge],
        custom: Vec::new(),
    };
    let mut link = EventLink::connect(
        addr,
        &Secret::new("ClueCon"),
        &subscription,
        &Options::default(),
    )
    .await
    .unwrap();
    let mut read = Vec::new();
    let end = loop {
        let event = match link.next().await {
            Ok(event) => event,
            Err(error) => break error,
        };
        let mut headers = BTreeMap::new();
        for (name, value) in event.headers() {
            headers
                .entry(name.to_ascii_lowercase())
                .or_insert(value.into_owned());
        }
        let body = event
            .body()
            .map(|b| String::from_utf8_lossy(&b).into_owned());
        read.push((event.name().to_string(), headers, body));
    };
    assert!(matches!(end, LinkError::Closed), "{end}");
    task.await.unwrap();
    read
}

async fn theirs() -> Vec<Read> {
    let mut script = authenticated();
    script.extend([
        Step::Expect("event plain ALL\n\n"),
        reply("+OK event listener enabled plain"),
        Step::Send(support::trace()),
        Step::Stay,
    ]);
    let (addr, _task) = peer(script).await;
    let options = EslConnectOptions::new()
        .with_event_overflow(EventOverflow::BlockFor(Duration::from_secs(60)));
    let (client, mut events) =
        EslClient::connect_with_options("127.0.0.1", addr.port(), "ClueCon", options)
            .await
            .unwrap();
    client
        .subscribe_all_events(EventFormat::Plain)
        .await
        .unwrap();
    let mut read = Vec::new();
    for _ in 0..EVENTS {
        let event = events.recv().await.unwrap().unwrap();
        let headers = event
            .headers()
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        let name = event
            .header_str("Event-Name")
            .unwrap_or_default()
            .to_owned();
        read.push((name, headers, event.body().map(str::to_owned)));
    }
    read
}

#[tokio::test]
async fn both_read_the_same() {
    let (ours, theirs) = tokio::join!(ours(), theirs());
    assert_eq!(ours.len(), EVENTS);
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "event {i}");
    }
    assert_eq!(ours.len(), theirs.len());
}

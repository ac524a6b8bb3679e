//! The same stories as recorded on the real switch: the same events about the same legs, and in each of them the same
//! headers with the same values, as far as a tracker reads them.

#![allow(clippy::unwrap_used)] // a helper of a test may panic as a test may

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use callhop_fakeswitch::{Config, Hears, PhoneView, RingMode};
use support::{Event, Link, SOON, Site};

/// What a tracker, a driver or a dialplan may read.
const READ: &[&str] = &[
    "Answer-State",
    "Application",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Bridged-To",
    "Call-Direction",
    "Caller-ANI",
    "Caller-Callee-ID-Number",
    "Caller-Caller-ID-Name",
    "Caller-Caller-ID-Number",
    "Caller-Context",
    "Caller-Destination-Number",
    "Caller-Orig-Caller-ID-Number",
    "Caller-RDNIS",
    "Caller-Unique-ID",
    "Channel-Call-UUID",
    "Channel-HIT-Dialplan",
    "Channel-Name",
    "Channel-Presence-ID",
    "Channel-Read-Codec-Name",
    "Core-UUID",
    "Event-Date-Timestamp",
    "Event-Sequence",
    "Hangup-Cause",
    "Other-Leg-Unique-ID",
    "Other-Type",
    "Sent-Callee-ID-Number",
    "variable_Event-Name",
    "variable_bridge_uuid",
    "variable_call_uuid",
    "variable_dialed_domain",
    "variable_dialed_user",
    "variable_direction",
    "variable_domain_name",
    "variable_hangup_cause",
    "variable_originate_signal_bond",
    "variable_originating_leg_uuid",
    "variable_originator",
    "variable_presence_id",
    "variable_signal_bond",
    "variable_sip_auth_realm",
    "variable_sip_auth_username",
    "variable_sip_authorized",
    "variable_sip_contact_uri",
    "variable_sip_destination_url",
    "variable_sip_hangup_disposition",
    "variable_sip_network_ip",
    "variable_sip_network_port",
    "variable_user_name",
    "variable_uuid",
];

/// Present in both is enough: the values are a matter of the run.
const PRESENCE_ONLY: &[&str] = &[
    "Caller-Destination-Number",
    "Core-UUID",
    "Event-Date-Timestamp",
    "Event-Sequence",
    "variable_sip_network_port",
];

const NAMES: &str = "CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_OUTGOING CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CALL_UPDATE HEARTBEAT BACKGROUND_JOB CUSTOM sofia::register";

fn recorded(file: &str) -> Vec<Event> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut rest = text.as_str();
    let mut events = Vec::new();
    while let Some((head, body)) = rest.split_once("\n\n") {
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "));
        let length: usize = length.unwrap().parse().unwrap();
        events.push(Event::parse(&body[..length]));
        rest = &body[length..];
    }
    events
}

/// Events by what they are, about which leg, and how often that was before: `ANSWER of leg 2`. Legs are numbered in the
/// order in which they were created; their UUIDs become `<leg 2>` and ports `<port>`.
fn index(events: &[Event]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut legs: Vec<String> = Vec::new();
    for event in events.iter().filter(|e| e.name() == "CHANNEL_CREATE") {
        legs.push(event.channel().to_owned());
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut index = BTreeMap::new();
    for event in events {
        let leg = legs
            .iter()
            .position(|l| l == event.channel())
            .map_or(0, |n| n + 1);
        let application = event.get("Application");
        if !["", "bridge", "intercept", "uuid_bridge"].contains(&application) {
            continue;
        }
        // Once or twice, as the threads of the real switch happen to run.
        if event.name() == "CHANNEL_OUTGOING"
            && index.contains_key(&format!("OUTGOING  leg {leg} #1"))
        {
            continue;
        }
        let key = format!(
            "{} {application} leg {leg}",
            event.name().trim_start_matches("CHANNEL_")
        );
        let count = counts.entry(key.clone()).or_default();
        *count += 1;
        let headers = event
            .headers
            .iter()
            .filter(|(name, _)| READ.contains(&name.as_str()))
            .map(|(name, value)| {
                let value = if PRESENCE_ONLY.contains(&name.as_str()) {
                    "present".to_owned()
                } else {
                    common(value, &legs)
                };
                (name.clone(), value)
            });
        index.insert(format!("{key} #{count}"), headers.collect());
    }
    index
}

fn common(value: &str, legs: &[String]) -> String {
    let mut value = value.to_owned();
    for (number, leg) in legs.iter().enumerate() {
        value = value.replace(leg.as_str(), &format!("<leg {}>", number + 1));
    }
    match value.split_once("127.0.0.1:") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}127.0.0.1:<port>{rest}")
        }
        None => value,
    }
}

/// Differences that are known: event, header, why.
const KNOWN: &[(&str, &str, &str)] = &[
    ("UNBRIDGE", "variable_hangup_cause", "order varies"),
    (
        "UNBRIDGE",
        "variable_sip_hangup_disposition",
        "order varies",
    ),
    ("UNBRIDGE", "Channel-Call-UUID", "order varies"),
    ("UNBRIDGE", "variable_call_uuid", "order varies"),
    ("HANGUP", "Channel-Call-UUID", "order varies"),
    ("HANGUP", "variable_call_uuid", "order varies"),
];

fn check(file: &str, events: &[Event]) {
    let (real, fake) = (index(&recorded(file)), index(events));
    let mut differences = Vec::new();
    for (key, headers) in &real {
        let Some(ours) = fake.get(key) else {
            differences.push(format!("{key}: never sent"));
            continue;
        };
        for name in READ {
            let known = KNOWN
                .iter()
                .any(|(event, header, _)| header == name && key.starts_with(event));
            let (expect, got) = (headers.get(*name), ours.get(*name));
            if expect != got && !known {
                differences.push(format!("{key}: {name} is {got:?}, recorded {expect:?}"));
            }
        }
    }
    for key in fake.keys().filter(|key| !real.contains_key(*key)) {
        differences.push(format!("{key}: never recorded"));
    }
    assert!(
        differences.is_empty(),
        "{file}:\n{}",
        differences.join("\n")
    );
}

/// Reads events until as many channels are gone as were created.
async fn until_all_gone(link: &mut Link) -> Vec<Event> {
    let (mut events, mut alive) = (Vec::new(), 0);
    loop {
        let event = link.event().await;
        match event.name() {
            "CHANNEL_CREATE" => alive += 1,
            "CHANNEL_DESTROY" => alive -= 1,
            _ => {}
        }
        let over = event.name() == "CHANNEL_DESTROY" && alive == 0;
        events.push(event);
        if over {
            return events;
        }
    }
}

/// Tones last until somebody hangs up.
fn config() -> Config {
    Config {
        tone: SOON,
        ..Config::default()
    }
}

#[tokio::test]
async fn fork_answer_pull() {
    let site = Site::start(config()).await;
    let mut link = Link::listen(site.switch.esl_addr(), NAMES).await;
    let far = site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    site.desk.answer().await.unwrap();
    site.controller(&format!("intercept {far} -")).await;
    let new = site.mobile.dial("*33").await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
    // The recorded dialplan did not set it: the puller ends up in the action behind `intercept`, and hangs up itself.
    let unset = format!("uuid_setvar {new} hangup_after_bridge false");
    site.switch.api(&unset).await.unwrap();
    site.customer.hangup().await.unwrap();
    let refused = |p: &PhoneView| p.hears() == Hears::RefusalTone;
    site.mobile.wait_until(refused, SOON).await.unwrap();
    site.mobile.hangup().await.unwrap();
    check("fork-answer-pull.plain", &until_all_gone(&mut link).await);
}

#[tokio::test]
async fn ringing_pull() {
    let site = Site::start(config()).await;
    let mut link = Link::listen(site.switch.esl_addr(), NAMES).await;
    let far = site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
    site.mobile.hangup().await.unwrap();
    check("ringing-pull.plain", &until_all_gone(&mut link).await);
}

#[tokio::test]
async fn hold_pull() {
    let site = Site::start(config()).await;
    let mut link = Link::listen(site.switch.esl_addr(), NAMES).await;
    site.desk.dial("2001").await.unwrap();
    let rings = site
        .colleague
        .wait_until(|p| p.ringing().count() == 1, SOON);
    let far = rings.await.unwrap().calls[0].channel.clone();
    site.colleague.answer().await.unwrap();
    site.desk.hold().await.unwrap();
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    site.mobile.hangup().await.unwrap();
    check("hold-pull.plain", &until_all_gone(&mut link).await);
}

#[tokio::test]
async fn outring_pull() {
    let site = Site::start(config()).await;
    let mut link = Link::listen(site.switch.esl_addr(), NAMES).await;
    site.colleague.ring_mode(RingMode::Ringing).await.unwrap();
    site.desk.dial("2001").await.unwrap();
    let rings = site
        .colleague
        .wait_until(|p| p.ringing().count() == 1, SOON);
    let far = rings.await.unwrap().calls[0].channel.clone();
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    let ringback = |p: &PhoneView| p.hears() == Hears::Ringback;
    site.mobile.wait_until(ringback, SOON).await.unwrap();
    site.colleague.answer().await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    site.mobile.hangup().await.unwrap();
    check("outring-pull.plain", &until_all_gone(&mut link).await);
}

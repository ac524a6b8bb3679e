//! The event socket as a client sees it: replies, API answers, subscriptions, and what goes wrong on the way.

#![allow(clippy::unwrap_used)] // a helper of a test may panic as a test may

mod support;

use std::{collections::BTreeSet, time::Duration};

use callhop_fakeswitch::{Config, Faults, Hears, PhoneView, Registrations, RingMode};
use support::{Event, Link, SOON, Site};

#[tokio::test]
async fn authentication() {
    let site = Site::start(Config::default()).await;
    let mut link = Link::open(site.switch.esl_addr()).await;
    assert_eq!(link.frame().await.head, "Content-Type: auth/request\n");
    assert_eq!(link.command("api status").await, "-ERR command not found");
    assert_eq!(link.command("auth wrong").await, "-ERR invalid");
    let notice = link.frame().await;
    assert_eq!(
        notice.header("Content-Type"),
        Some("text/disconnect-notice")
    );
    assert!(link.try_frame().await.is_none());
}

/// Commands and their Reply-Text, as recorded.
#[tokio::test]
async fn replies() {
    let site = Site::start(Config::default()).await;
    let mut link = Link::connect(site.switch.esl_addr()).await;
    for (command, reply) in [
        (
            "event plain CHANNEL_BRIDGE CUSTOM sofia::register",
            "+OK event listener enabled plain",
        ),
        ("event plain FOO", "-ERR no keywords supplied"),
        ("event", "-ERR no keywords supplied"),
        ("nixevent CHANNEL_BRIDGE", "+OK events nixed"),
        ("nixevent", "-ERR no keywords supplied"),
        ("noevents", "+OK no longer listening for events"),
        ("noevents", "-ERR not listening for events"),
        ("foo bar", "-ERR command not found"),
        ("api", "-ERR command not found"),
        ("\n\n\nfoo", "-ERR command not found"),
        ("exit", "+OK bye"),
    ] {
        assert_eq!(link.command(command).await, reply, "{command:?}");
    }
    link.frame().await;
    assert!(link.try_frame().await.is_none());
}

/// API commands and their answers, as recorded.
#[tokio::test]
async fn api_answers() {
    let site = Site::start(Config::default()).await;
    let mut link = Link::connect(site.switch.esl_addr()).await;
    let nobody = "01234567-1111-2222-3333-444444444444";
    for (command, answer) in [
        ("nonsense", "-ERR nonsense Command not found!\n".to_owned()),
        ("uuid_dump 1", "-ERR No such channel!\n".to_owned()),
        ("uuid_dump", "-USAGE: <uuid> [format]\n".to_owned()),
        (&format!("uuid_exists {nobody}"), "false".to_owned()),
        (
            &format!("uuid_kill {nobody}"),
            "-ERR No such channel!\n".to_owned(),
        ),
        (
            &format!("uuid_setvar {nobody} a b"),
            "-ERR No such channel!\n".to_owned(),
        ),
        (
            &format!("uuid_getvar {nobody} a"),
            "-ERR No such channel!\n".to_owned(),
        ),
        (
            "sofia_contact */1001@lab.test",
            "sofia/internal/sip:1001@127.0.0.1:15060;ob".to_owned(),
        ),
        (
            "sofia_contact */1009@lab.test",
            "error/user_not_registered".to_owned(),
        ),
        ("hash insert/r/k/v", "+OK\n".to_owned()),
        ("hash select/r/k", "v".to_owned()),
        ("hash select/r/q", "-ERR no reply\n".to_owned()),
        ("hash insert/r/cut/user/1", "+OK\n".to_owned()),
        ("hash select/r/cut", "user".to_owned()),
        (
            "hash ^^~insert~r~k2~sofia/internal/sip:1@h;ob",
            "+OK\n".to_owned(),
        ),
        (
            "hash ^^~select~r~k2",
            "sofia/internal/sip:1@h;ob".to_owned(),
        ),
        ("hash delete/r/k", "+OK\n".to_owned()),
        ("hash delete/r/k", "-ERR Not found\n".to_owned()),
        ("module_exists mod_hash", "true".to_owned()),
        ("module_exists nope", "false".to_owned()),
        ("global_getvar nope", "-ERR no reply\n".to_owned()),
        ("global_getvar domain", "lab.test".to_owned()),
        ("show channels as json", "{\"row_count\": 0}\n".to_owned()),
        (
            "xml_locate dialplan section name dialplan",
            "can't find anything\n".to_owned(),
        ),
    ] {
        assert_eq!(link.api(command).await, answer, "{command}");
    }
    assert!(link.api("status").await.contains("is ready"));
    assert!(link.api("version").await.starts_with("FreeSWITCH Version "));
    assert!(
        link.api("sofia xmlstatus")
            .await
            .contains("<name>internal</name>")
    );
}

#[tokio::test]
async fn tables() {
    let site = Site::start(Config::default()).await;
    let mut link = Link::connect(site.switch.esl_addr()).await;
    let rows = |text: String| -> Vec<serde_json::Value> {
        let table: serde_json::Value = serde_json::from_str(&text).unwrap();
        table["rows"].as_array().unwrap().clone()
    };
    let registrations = rows(link.api("show registrations as json").await);
    assert_eq!(registrations.len(), 4);
    let columns: BTreeSet<&str> = registrations[0]
        .as_object()
        .unwrap()
        .keys()
        .map(|k| &**k)
        .collect();
    let recorded = BTreeSet::from([
        "reg_user",
        "realm",
        "token",
        "url",
        "expires",
        "network_ip",
        "network_port",
        "network_proto",
        "hostname",
        "metadata",
    ]);
    assert_eq!(columns, recorded);
    assert_eq!(
        registrations[0]["url"],
        "sofia/internal/sip:1001@127.0.0.1:15060;ob"
    );

    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    let channels = rows(link.api("show channels as json").await);
    let told: Vec<(&str, &str, &str)> = channels
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap();
            (text("direction"), text("dest"), text("callstate"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("inbound", "1000", "RINGING"),
            ("outbound", "1001", "RINGING"),
            ("outbound", "1002", "RINGING"),
            ("outbound", "1003", "RINGING"),
        ]
    );
}

/// The table of channels comes late, the channels themselves do not.
#[tokio::test]
async fn a_table_that_lags() {
    let config = Config {
        table_lag: Duration::from_secs(3600),
        ..Config::default()
    };
    let site = Site::start(config).await;
    let mut link = Link::connect(site.switch.esl_addr()).await;
    let channel = site.desk.dial("7000").await.unwrap();
    assert_eq!(
        link.api("show channels as json").await,
        "{\"row_count\": 0}\n"
    );
    assert_eq!(link.api(&format!("uuid_exists {channel}")).await, "true");
    site.desk.hangup().await.unwrap();
    assert!(link.api("show channels as json").await.contains(&channel));
    assert_eq!(link.api(&format!("uuid_exists {channel}")).await, "false");
}

#[tokio::test]
async fn variables_and_killing() {
    let site = Site::start(Config::default()).await;
    site.colleague.ring_mode(RingMode::Answer).await.unwrap();
    let channel = site.desk.dial("2001").await.unwrap();
    let mut link = Link::connect(site.switch.esl_addr()).await;
    for (command, answer) in [
        ("uuid_getvar % foo", "_undef_"),
        ("uuid_setvar % foo bar baz", "+OK\n"),
        ("uuid_getvar % foo", "bar baz"),
        ("uuid_setvar % foo", "+OK\n"),
        ("uuid_getvar % foo", "_undef_"),
        ("uuid_exists %", "true"),
        ("uuid_kill %", "+OK\n"),
        ("uuid_exists %", "false"),
    ] {
        let command = command.replace('%', &channel);
        assert_eq!(link.api(&command).await, answer, "{command}");
    }
    site.colleague
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
}

/// A dump has what the tracker reads in both formats.
#[tokio::test]
async fn dumps() {
    let site = Site::start(Config::default()).await;
    let channel = site.desk.dial("7000").await.unwrap();
    let mut link = Link::connect(site.switch.esl_addr()).await;
    let plain = Event::parse(&link.api(&format!("uuid_dump {channel}")).await);
    assert_eq!(plain.name(), "CHANNEL_DATA");
    let json = link.api(&format!("uuid_dump {channel} json")).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for name in [
        "Unique-ID",
        "Answer-State",
        "Channel-Name",
        "variable_user_name",
    ] {
        assert_eq!(json[name], plain.get(name), "{name}");
    }
}

#[tokio::test]
async fn background_jobs() {
    let site = Site::start(Config::default()).await;
    let mut link = Link::listen(site.switch.esl_addr(), "BACKGROUND_JOB").await;
    let job = "7f4db78a-17d7-11dd-b7a0-db4edd065621";
    link.send(&format!("bgapi uuid_exists 1\nJob-UUID: {job}\n\n"))
        .await;
    let reply = link.frame().await;
    assert_eq!(
        reply.header("Reply-Text"),
        Some(&*format!("+OK Job-UUID: {job}"))
    );
    assert_eq!(reply.header("Job-UUID"), Some(job));
    let event = link.event().await;
    assert_eq!(event.get("Job-UUID"), job);
    assert_eq!(event.get("Job-Command"), "uuid_exists");
    assert_eq!(event.get("Job-Command-Arg"), "1");
    assert_eq!((event.get("Content-Length"), &*event.body), ("5", "false"));
}

/// Only what was asked for, CUSTOM only by subclass; registrations tell who.
#[tokio::test]
async fn subscriptions() {
    let site = Site::start(Config::default()).await;
    let address = site.switch.esl_addr();
    let mut custom = Link::listen(address, "CUSTOM sofia::unregister sofia::expire").await;
    let mut beats = Link::listen(address, "HEARTBEAT").await;
    let mut all = Link::listen(address, "ALL").await;
    site.desk.unregister().await.unwrap();
    site.desk.register().await.unwrap();
    site.desk.expire().await.unwrap();
    site.switch.heartbeat().await.unwrap();
    let gone = custom.event().await;
    assert_eq!(gone.get("Event-Subclass"), "sofia::unregister");
    assert_eq!(
        (gone.get("from-user"), gone.get("from-host")),
        ("1001", "lab.test")
    );
    let expired = custom.event().await;
    assert_eq!(expired.get("Event-Subclass"), "sofia::expire");
    assert_eq!(
        (expired.get("user"), expired.get("host")),
        ("1001", "lab.test")
    );
    assert_eq!(beats.event().await.name(), "HEARTBEAT");
    let mut last = 0;
    for name in ["CUSTOM", "CUSTOM", "CUSTOM", "HEARTBEAT"] {
        let event = all.event().await;
        assert_eq!(event.name(), name);
        let sequence = event.get("Event-Sequence").parse().unwrap();
        assert!(sequence > last);
        last = sequence;
    }
}

/// Sequence numbers of the events of some calls, as a link sees them under these faults.
async fn sequences(faults: Faults) -> Vec<u64> {
    let mut site = Site::start(Config::default()).await;
    site.switch.set_faults(faults).await.unwrap();
    let names = "CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_HANGUP CHANNEL_EXECUTE";
    let mut link = Link::listen(site.switch.esl_addr(), names).await;
    for _ in 0..40 {
        site.desk.dial("7000").await.unwrap();
        site.desk.hangup().await.unwrap();
    }
    // The end mark.
    site.switch.set_faults(Faults::default()).await.unwrap();
    site.switch.send_overlong(1).await.unwrap();
    let events = link
        .events_until(|e| e.get("Event-Subclass") == "fake::overlong")
        .await;
    let before = &events[..events.len() - 1];
    let number = |e: &Event| e.get("Event-Sequence").parse().unwrap();
    before.iter().map(number).collect()
}

#[tokio::test]
async fn faults_on_the_way() {
    let plain = sequences(Faults::default()).await;
    assert!(plain.is_sorted());
    let unique: BTreeSet<u64> = plain.iter().copied().collect();
    assert_eq!(unique.len(), plain.len());

    let lossy = Faults {
        drop_per_mille: 200,
        ..Faults::default()
    };
    assert!(sequences(lossy).await.len() < plain.len());

    let doubled = Faults {
        duplicate_per_mille: 200,
        ..Faults::default()
    };
    let seen = sequences(doubled).await;
    let unique: BTreeSet<u64> = seen.iter().copied().collect();
    assert!(unique.len() == plain.len() && seen.len() > plain.len());
}

/// Reordered within the window, and nothing lost.
#[tokio::test]
async fn reordering() {
    let config = Config {
        faults: Faults {
            reorder_window: 6,
            ..Faults::default()
        },
        ..Config::default()
    };
    let site = Site::start(config).await;
    let mut link = Link::listen(site.switch.esl_addr(), "CHANNEL_CREATE CHANNEL_DESTROY").await;
    for _ in 0..20 {
        site.desk.dial("7000").await.unwrap();
        site.desk.hangup().await.unwrap();
    }
    let mut seen: Vec<u64> = Vec::new();
    for _ in 0..40 {
        seen.push(link.event().await.get("Event-Sequence").parse().unwrap());
    }
    assert!(!seen.is_sorted());
}

/// A reply overtakes events that wait, and the events come in the end.
#[tokio::test]
async fn late_and_slow() {
    let config = Config {
        faults: Faults {
            delay: Duration::from_millis(20),
            slow_bytes: 512,
            ..Faults::default()
        },
        ..Config::default()
    };
    let site = Site::start(config).await;
    let mut link = Link::listen(site.switch.esl_addr(), "CHANNEL_CREATE").await;
    let channel = site.desk.dial("7000").await.unwrap();
    let exists = link.api(&format!("uuid_exists {channel}")).await;
    assert_eq!(exists, "true");
    assert_eq!(link.event().await.channel(), channel);
}

#[tokio::test]
async fn frozen_mute_and_cut() {
    let mut site = Site::start(Config::default()).await;
    let mut link = Link::listen(site.switch.esl_addr(), "CHANNEL_CREATE").await;
    site.switch.freeze();
    let channel = site.desk.dial("7000").await.unwrap();
    link.send("api status\n\n").await;
    let nothing = tokio::time::timeout(Duration::from_millis(30), link.frame()).await;
    assert!(nothing.is_err());
    // Calls go on.
    assert_eq!(site.desk.hears().await.unwrap(), Hears::Announcement);
    site.switch.thaw();
    assert_eq!(link.event().await.channel(), channel);
    assert!(link.frame().await.body.contains("is ready"));

    site.switch.send_overlong(100_000).await.unwrap();
    assert_eq!(link.event().await.get("Long").len(), 100_000);
    site.switch
        .send_raw(b"nonsense\n\n".to_vec())
        .await
        .unwrap();
    assert_eq!(link.frame().await.head, "nonsense\n");

    let mute = Faults {
        mute_replies: true,
        ..Faults::default()
    };
    site.switch.set_faults(mute).await.unwrap();
    link.send(&format!("api uuid_kill {channel}\n\n")).await;
    site.desk
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(30), link.frame()).await;
    assert!(nothing.is_err());

    site.switch.cut().await.unwrap();
    assert!(link.try_frame().await.is_none());
    let view = site.switch.view().await.unwrap();
    assert_eq!(view.links, 0);
}

/// A restart: SHUTDOWN, the end of the link, and a switch that knows nothing any more.
#[tokio::test]
async fn restarts() {
    for (registrations, kept) in [(Registrations::Keep, true), (Registrations::Lose, false)] {
        let mut site = Site::start(Config::default()).await;
        let address = site.switch.esl_addr();
        let mut link = Link::listen(address, "SHUTDOWN").await;
        link.api("hash insert/r/k/v").await;
        let before = link.api("global_getvar core_uuid").await;
        site.customer.dial("1000").await.unwrap();
        site.all_ring().await;
        site.switch.stop(registrations).await.unwrap();
        assert_eq!(link.event().await.name(), "SHUTDOWN");
        assert!(link.try_frame().await.is_none());
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        assert!(site.customer.dial("1000").await.is_err());
        assert!(site.customer.view().await.unwrap().is_idle());

        site.switch.start_again().await.unwrap();
        let mut link = Link::connect(address).await;
        assert_ne!(link.api("global_getvar core_uuid").await, before);
        assert_eq!(link.api("hash select/r/k").await, "-ERR no reply\n");
        assert_eq!(
            link.api("show channels as json").await,
            "{\"row_count\": 0}\n"
        );
        assert_eq!(site.desk.view().await.unwrap().registered, kept);
        if !kept {
            site.desk.register().await.unwrap();
        }
        site.colleague.dial("1001").await.unwrap();
        site.desk
            .wait_until(|p| p.ringing().count() == 1, SOON)
            .await
            .unwrap();
    }
}

/// The same seed, the same UUIDs.
#[tokio::test]
async fn repeatable() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let config = Config {
            seed,
            ..Config::default()
        };
        let site = Site::start(config).await;
        runs.push(site.customer.dial("1000").await.unwrap());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

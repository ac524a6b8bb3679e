//! What the product's dialplan does with the controller's answers, and without them.

#![allow(clippy::unwrap_used)] // a helper of a test may panic as a test may

mod support;

use std::time::Duration;

use callhop_fakeswitch::{Config, DialOptions, End, Hears, PhoneView};
use support::{Event, SOON, Site};
use tokio::net::TcpListener;

/// What the controller answers, what is in the hash, and who must ring: labels, or voicemail for nobody.
async fn check_hunt(answer: Option<&str>, snapshot: Option<&str>, source: &str, rings: &[&str]) {
    let site = Site::start(Config::default()).await;
    if let Some(answer) = answer {
        site.controller(answer).await;
    }
    if let Some(snapshot) = snapshot {
        let insert = format!("hash ^^~insert~callhop~1000@lab.test~{snapshot}");
        assert_eq!(site.switch.api(&insert).await.unwrap(), "+OK\n");
    }
    let caller = site.customer.dial("1000").await.unwrap();
    let chosen = move |v: &callhop_fakeswitch::SwitchView| {
        let mut channels = v.channels.iter();
        channels
            .find(|c| c.uuid == caller)
            .is_some_and(|c| c.variable("originate_disposition").is_some() || v.channels.len() > 1)
    };
    let view = site.switch.wait_until(chosen, SOON).await.unwrap();
    let used = view.channels[0].variable("callhop_source");
    assert_eq!(used, Some(source), "{answer:?} {snapshot:?}");
    let legs: Vec<&str> = view.channels[1..].iter().map(|c| &*c.phone).collect();
    assert_eq!(legs, rings, "{answer:?} {snapshot:?}");
    if rings.is_empty() {
        let voicemail = |p: &PhoneView| p.hears() == Hears::Voicemail;
        site.customer.wait_until(voicemail, SOON).await.unwrap();
    }
}

#[tokio::test]
async fn where_an_inbound_call_rings() {
    let all: &[&str] = &["1001", "1002", "1003"];
    check_hunt(None, None, "default", all).await;
    check_hunt(Some(""), None, "default", all).await;
    check_hunt(Some("-ERR nonsense"), None, "default", all).await;
    check_hunt(Some("user/1002@lab.test"), None, "controller", &["1002"]).await;
    check_hunt(
        Some("user/1002@lab.test,user/2001@lab.test\n"),
        Some("user/1003@lab.test"),
        "controller",
        &["1002", "2001"],
    )
    .await;
    check_hunt(
        Some("[dialed_user=1003,dialed_domain=lab.test]sofia/internal/sip:1003@127.0.0.1:15062;ob"),
        None,
        "controller",
        &["1003"],
    )
    .await;
    check_hunt(None, Some("user/1003@lab.test"), "snapshot", &["1003"]).await;
    check_hunt(
        Some("nonsense"),
        Some("user/1003@lab.test"),
        "snapshot",
        &["1003"],
    )
    .await;
    check_hunt(None, Some("${system(x)}"), "default", all).await;
    check_hunt(Some("error/user_not_registered"), None, "controller", &[]).await;
    check_hunt(Some("user/9999@lab.test"), None, "controller", &[]).await;
}

/// A controller that accepts and says nothing costs the time-out, and no call.
#[tokio::test]
async fn a_hung_controller() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        controller: Some(listener.local_addr().unwrap().to_string()),
        ask_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let site = Site::start(config).await;
    site.customer.dial("1000").await.unwrap();
    let (_stream, _) = listener.accept().await.unwrap();
    site.all_ring().await;
    // The caller hangs up before the answer of the next question comes.
    site.customer.hangup().await.unwrap();
    site.mobile.dial("*33").await.unwrap();
    let (_stream, _) = listener.accept().await.unwrap();
    site.mobile.hangup().await.unwrap();
    assert!(site.switch.view().await.unwrap().channels.is_empty());
}

/// What the controller answers to a star code, what the device hears, whether it was answered, and the cause.
async fn check_star(answer: Option<&str>, hears: Hears, answered: bool, cause: &str) {
    let site = Site::start(Config::default()).await;
    if let Some(answer) = answer {
        site.controller(answer).await;
    }
    let channel = site.desk.dial("*50").await.unwrap();
    let heard = {
        let hears = hears.clone();
        move |p: &PhoneView| p.hears() == hears
    };
    site.desk.wait_until(heard, SOON).await.unwrap();
    let desk = site
        .desk
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    let ended = &desk.ended[0];
    assert_eq!(
        (ended.answered, &*ended.cause),
        (answered, cause),
        "{answer:?}"
    );
    assert!(ended.sounds().contains(&hears));
    let end = if answered { End::Released } else { End::Failed };
    assert_eq!(ended.end, end, "{answer:?}");
    let asked = site.switch.view().await.unwrap().questions;
    assert_eq!(asked[0].path, format!("/freeswitch/lab/star/{channel}"));
}

#[tokio::test]
async fn star_codes() {
    let refused = Hears::RefusalTone;
    check_star(Some("beep"), Hears::Beep, true, "NORMAL_CLEARING").await;
    check_star(
        Some("refuse nothing_to_pull"),
        refused.clone(),
        false,
        "CALL_REJECTED",
    )
    .await;
    check_star(None, refused.clone(), false, "RECOVERY_ON_TIMER_EXPIRE").await;
    check_star(Some(""), refused.clone(), false, "RECOVERY_ON_TIMER_EXPIRE").await;
    check_star(
        Some("intercept ${uuid} -"),
        refused,
        false,
        "RECOVERY_ON_TIMER_EXPIRE",
    )
    .await;
}

/// Numbers that are no star codes for the dialplan's expression, and callers who are not authenticated.
#[tokio::test]
async fn not_a_star_code() {
    let site = Site::start(Config::default()).await;
    site.controller("beep").await;
    for (phone, number) in [
        (&site.desk, "*501"),
        (&site.desk, "*33;touch"),
        (&site.desk, "*33${x}"),
        (&site.desk, "*49123456789012345678901"),
        (&site.customer, "*50"),
    ] {
        phone.dial(number).await.unwrap();
        let view = phone.view().await.unwrap();
        let cause = &*view.ended.last().unwrap().cause;
        assert_eq!(cause, "NO_ROUTE_DESTINATION", "{number}");
    }
    assert!(site.switch.view().await.unwrap().questions.is_empty());
}

/// A device that lies about itself: the switch believes the From header for everything but the identity.
#[tokio::test]
async fn a_forged_from() {
    let site = Site::start(Config::default()).await;
    let options = DialOptions {
        from: Some("9999".to_owned()),
        display_name: Some("${x}\nBoss".to_owned()),
        headers: vec![("X-user_name".to_owned(), "1002".to_owned())],
        ..DialOptions::default()
    };
    let channel = site.desk.dial_with("7000", options).await.unwrap();
    let dump = site
        .switch
        .api(&format!("uuid_dump {channel}"))
        .await
        .unwrap();
    let dump = Event::parse(&dump);
    for (header, value) in [
        ("Caller-Caller-ID-Number", "9999"),
        ("Caller-Caller-ID-Name", "${x}\nBoss"),
        ("Caller-ANI", "9999"),
        ("Channel-Presence-ID", "9999@127.0.0.1"),
        ("variable_sip_h_X-user_name", "1002"),
        ("variable_sip_authorized", "true"),
        ("variable_user_name", "1001"),
        ("variable_domain_name", "lab.test"),
        ("variable_sip_auth_username", "1001"),
    ] {
        assert_eq!(dump.get(header), value, "{header}");
    }
}

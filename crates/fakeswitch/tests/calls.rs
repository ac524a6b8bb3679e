//! Calls without a pull: ringing, answering, holding, hanging up, and how the phones take it.

#![allow(clippy::unwrap_used)] // a helper of a test may panic as a test may

mod support;

use callhop_fakeswitch::{
    Action, Config, End, Extension, Hears, KEPT_CALLS, Pattern, PhoneView, RingMode,
};
use support::{SOON, Site};

#[tokio::test]
async fn a_forked_call_is_answered_by_one() {
    let site = Site::start(Config::default()).await;
    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    assert_eq!(site.customer.hears().await.unwrap(), Hears::Ringback);
    site.mobile.answer().await.unwrap();
    let customer = site.customer.wait_until(|p| p.talks_to("1002"), SOON).await;
    assert_eq!(customer.unwrap().calls[0].display, "1002");
    let mobile = site.mobile.wait_until(|p| p.talks_to("901"), SOON).await;
    assert_eq!(mobile.unwrap().calls[0].display, "901");
    for loser in [&site.desk, &site.tablet] {
        let view = loser.wait_until(|p| p.is_idle(), SOON).await.unwrap();
        assert_eq!(view.ended[0].end, End::AnsweredElsewhere);
        assert_eq!(view.ended[0].cause, "LOSE_RACE");
    }
    site.mobile.hangup().await.unwrap();
    let customer = site.customer.wait_until(|p| p.is_idle(), SOON).await;
    let ended = &customer.unwrap().ended[0];
    assert_eq!(ended.end, End::Released);
    let expect = [
        Hears::Nothing,
        Hears::Ringback,
        Hears::Party("1002".to_owned()),
    ];
    assert_eq!(ended.sounds(), expect);
    let switch = site.switch.view().await.unwrap();
    assert!(switch.channels.is_empty() && switch.bridges.is_empty());
}

#[tokio::test]
async fn the_caller_gives_up() {
    let site = Site::start(Config::default()).await;
    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    site.customer.hangup().await.unwrap();
    for phone in site.devices() {
        let view = phone.wait_until(|p| p.is_idle(), SOON).await.unwrap();
        assert_eq!(view.ended[0].end, End::Missed);
        assert_eq!(view.ended[0].cause, "ORIGINATOR_CANCEL");
        assert!(!view.ended[0].answered);
    }
}

#[tokio::test]
async fn a_phone_shows_only_so_many_calls_that_are_over() {
    let site = Site::start(Config::default()).await;
    let mut last = None;
    for _ in 0..KEPT_CALLS + 2 {
        site.customer.dial("1000").await.unwrap();
        let dials = |phone: &PhoneView| phone.calls.len() == 1;
        let dialling = site.customer.wait_until(dials, SOON).await.unwrap();
        site.customer.hangup().await.unwrap();
        let over = site.customer.wait_until(PhoneView::is_idle, SOON).await;
        last = over.unwrap().ended.last().map(|call| call.began);
        assert_eq!(last, Some(dialling.calls[0].began));
    }
    let seen = site.customer.wait_until(|_| true, SOON).await.unwrap();
    assert_eq!(seen.ended.len(), KEPT_CALLS);
    assert_eq!(seen.ended.last().map(|call| call.began), last);
}

#[tokio::test]
async fn everybody_refuses_and_voicemail_answers() {
    let site = Site::start(Config::default()).await;
    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    site.desk.busy().await.unwrap();
    site.mobile.reject().await.unwrap();
    site.tablet.busy().await.unwrap();
    let heard = site
        .customer
        .wait_until(|p| p.hears() == Hears::Voicemail, SOON);
    heard.await.unwrap();
}

#[tokio::test]
async fn nobody_answers_and_voicemail_does() {
    let config = Config {
        ring_timeout: std::time::Duration::from_millis(20),
        ..Config::default()
    };
    let site = Site::start(config).await;
    site.customer.dial("1000").await.unwrap();
    let heard = site
        .customer
        .wait_until(|p| p.hears() == Hears::Voicemail, SOON);
    heard.await.unwrap();
    let desk = site.desk.view().await.unwrap();
    assert_eq!(desk.ended[0].end, End::Missed);
}

#[tokio::test]
async fn hold_and_unhold() {
    let site = Site::start(Config::default()).await;
    site.colleague.ring_mode(RingMode::Answer).await.unwrap();
    site.desk.dial("2001").await.unwrap();
    site.desk
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    site.desk.hold().await.unwrap();
    assert_eq!(site.colleague.hears().await.unwrap(), Hears::Moh);
    assert_eq!(site.desk.hears().await.unwrap(), Hears::Nothing);
    site.desk.unhold().await.unwrap();
    site.colleague
        .wait_until(|p| p.talks_to("1001"), SOON)
        .await
        .unwrap();
    site.colleague.hangup().await.unwrap();
    let desk = site.desk.wait_until(|p| p.is_idle(), SOON).await.unwrap();
    assert_eq!(desk.ended[0].end, End::Released);
}

#[tokio::test]
async fn early_media_and_ringing() {
    let site = Site::start(Config::default()).await;
    site.customer.ring_mode(RingMode::EarlyMedia).await.unwrap();
    site.desk.dial("0901").await.unwrap();
    let early = |p: &callhop_fakeswitch::PhoneView| p.hears() == Hears::Party("901".to_owned());
    let desk = site.desk.wait_until(early, SOON).await.unwrap();
    assert_eq!(desk.calls[0].state, callhop_fakeswitch::CallState::Dialling);
    site.customer.answer().await.unwrap();
    site.desk
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
}

/// `user/a` alone rings every contact of a; among others only its first (facts page, section 6).
#[tokio::test]
async fn two_registrations_of_one_number() {
    let site = Site::start(Config::default()).await;
    let second = site.switch.register("1001@lab.test").await.unwrap();
    assert_eq!(second.label(), "1001/2");
    site.colleague.dial("1001").await.unwrap();
    for phone in [&site.desk, &second] {
        phone
            .wait_until(|p| p.ringing().count() == 1, SOON)
            .await
            .unwrap();
    }
    site.colleague.hangup().await.unwrap();
    second.wait_until(|p| p.is_idle(), SOON).await.unwrap();
    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    assert!(second.view().await.unwrap().is_idle());
}

#[tokio::test]
async fn numbers_that_lead_nowhere() {
    let site = Site::start(Config::default()).await;
    for (phone, number) in [(&site.desk, "5555"), (&site.customer, "*33")] {
        phone.dial(number).await.unwrap();
        let view = phone.wait_until(|p| p.is_idle(), SOON).await.unwrap();
        let last = view.ended.last().unwrap();
        assert_eq!((last.end, last.answered), (End::Failed, false), "{number}");
        assert_eq!(last.cause, "NO_ROUTE_DESTINATION", "{number}");
    }
    site.desk.dial("7000").await.unwrap();
    let hears = site.desk.hears().await.unwrap();
    assert_eq!(hears, Hears::Announcement);
    assert!(site.desk.answer().await.is_err());
}

/// A device that has unregistered is not rung; one that never existed neither.
#[tokio::test]
async fn unregistered_devices() {
    let site = Site::start(Config::default()).await;
    site.mobile.unregister().await.unwrap();
    site.tablet.expire().await.unwrap();
    site.customer.dial("1000").await.unwrap();
    site.desk
        .wait_until(|p| p.ringing().count() == 1, SOON)
        .await
        .unwrap();
    assert!(site.mobile.view().await.unwrap().is_idle());
    site.colleague.dial("1002").await.unwrap();
    let view = site.colleague.view().await.unwrap();
    assert_eq!(view.ended[0].cause, "USER_NOT_REGISTERED");
    site.mobile.register().await.unwrap();
    site.colleague.dial("1002").await.unwrap();
    site.mobile
        .wait_until(|p| p.ringing().count() == 1, SOON)
        .await
        .unwrap();
}

/// REFER: the phone's leg ends normally, the other side goes on.
#[tokio::test]
async fn blind_transfer() {
    let site = Site::start(Config::default()).await;
    site.colleague.ring_mode(RingMode::Answer).await.unwrap();
    site.mobile.ring_mode(RingMode::Answer).await.unwrap();
    site.desk.dial("2001").await.unwrap();
    let talks = site.colleague.wait_until(|p| p.talks_to("1001"), SOON);
    let colleague = talks.await.unwrap().calls[0].channel.clone();
    site.colleague.transfer(&colleague, "1002").await.unwrap();
    site.desk
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
    let ended = site.colleague.view().await.unwrap().ended;
    assert_eq!(
        (ended[0].end, &*ended[0].cause),
        (End::Released, "NORMAL_CLEARING")
    );
    // The other way round: the called leg goes on, and becomes a caller.
    let mobile = site.mobile.view().await.unwrap().calls[0].channel.clone();
    site.desk
        .transfer(
            &site.desk.view().await.unwrap().calls[0].channel.clone(),
            "0901",
        )
        .await
        .unwrap();
    site.customer
        .wait_until(|p| p.ringing().count() == 1, SOON)
        .await
        .unwrap();
    assert_eq!(site.mobile.hears().await.unwrap(), Hears::Ringback);
    site.customer.answer().await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
    let view = site.switch.view().await.unwrap();
    assert_eq!(view.bridges[0].0, mobile);
}

/// REFER with Replaces: the two others talk.
#[tokio::test]
async fn attended_transfer() {
    let site = Site::start(Config::default()).await;
    site.mobile.ring_mode(RingMode::Answer).await.unwrap();
    site.customer.dial("2001").await.unwrap();
    site.colleague.answer().await.unwrap();
    let first = site.colleague.view().await.unwrap().calls[0]
        .channel
        .clone();
    site.colleague.hold().await.unwrap();
    let second = site.colleague.dial("1002").await.unwrap();
    site.colleague
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
    assert_eq!(site.customer.hears().await.unwrap(), Hears::Moh);
    site.colleague.join(&first, &second).await.unwrap();
    site.customer
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
    assert!(site.colleague.view().await.unwrap().is_idle());
}

/// What else an admin's dialplan may have, and a tenant with the same numbers.
#[tokio::test]
async fn other_extensions() {
    let number = |n: &str| Pattern::Number(n.to_owned());
    let mut config = Config::default();
    let more = [
        Extension::new(
            "lab.test",
            number("1700"),
            Action::Queue("user/1001@lab.test".to_owned()),
        ),
        Extension::new("lab.test", number("7200"), Action::Conference),
        Extension::new("lab.test", number("7300"), Action::Park),
        Extension::new("", Pattern::Prefix("99".to_owned()), Action::Intercept),
        Extension::new(
            "",
            Pattern::Prefix("01".to_owned()),
            Action::Bridge("sofia/external/${number}@127.0.0.1:5090".to_owned()),
        ),
    ];
    config.dialplan.splice(0..0, more);
    config.public = vec![("6".to_owned(), "other.test".to_owned())];
    config.trunks = vec![("01".to_owned(), "901".to_owned())];
    let site = Site::start(config).await;
    let tenant = site.switch.register("1001@other.test").await.unwrap();
    site.customer.dial("61001").await.unwrap();
    tenant
        .wait_until(|p| p.ringing().count() == 1, SOON)
        .await
        .unwrap();
    assert!(site.desk.view().await.unwrap().is_idle());
    site.customer.hangup().await.unwrap();

    site.customer.dial("1700").await.unwrap();
    assert_eq!(site.customer.hears().await.unwrap(), Hears::Moh);
    site.desk.answer().await.unwrap();
    let talks = site.customer.wait_until(|p| p.talks_to("1001"), SOON);
    let far = talks.await.unwrap().calls[0].channel.clone();
    site.mobile.dial(&format!("99{far}")).await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("901"), SOON)
        .await
        .unwrap();
    site.mobile.hangup().await.unwrap();

    for number in ["7200", "7300"] {
        site.tablet.dial(number).await.unwrap();
        assert_eq!(site.tablet.hears().await.unwrap(), Hears::Silence);
        site.tablet.hangup().await.unwrap();
    }
    site.tablet.dial("01555").await.unwrap();
    let rings = site.customer.wait_until(|p| p.ringing().count() == 1, SOON);
    assert_eq!(rings.await.unwrap().calls[0].display, "1003");
    site.customer.answer().await.unwrap();
    let talks = site.tablet.wait_until(|p| p.talks_to("901"), SOON);
    assert_eq!(talks.await.unwrap().calls[0].display, "01555");
}

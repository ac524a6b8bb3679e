//! `intercept` as measured: what happens to whom, and in which order it is told.

#![allow(clippy::unwrap_used)] // a helper of a test may panic as a test may

mod support;

use callhop_fakeswitch::{Config, End, Hears, PhoneView, RingMode};
use support::{Event, Link, SOON, Site};

const PULL_EVENTS: &str = "CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD CHANNEL_UNHOLD";

/// The customer talks to the desk; gives back the customer's channel.
async fn inbound_talking(site: &Site) -> String {
    let far = site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    site.desk.answer().await.unwrap();
    let talks = site.customer.wait_until(|p| p.talks_to("1001"), SOON);
    talks.await.unwrap();
    far
}

/// The desk talks to the colleague; gives back the colleague's channel.
async fn outbound_talking(site: &Site) -> String {
    site.colleague.ring_mode(RingMode::Answer).await.unwrap();
    site.desk.dial("2001").await.unwrap();
    let talks = site.colleague.wait_until(|p| p.talks_to("1001"), SOON);
    talks.await.unwrap().calls[0].channel.clone()
}

fn position(events: &[Event], name: &str, channel: &str) -> usize {
    let mut list = events.iter();
    list.position(|e| e.name() == name && e.channel() == channel)
        .unwrap_or_else(|| panic!("no {name} of {channel}"))
}

/// A talking call, for many seeds: the order of events varies, the outcome does not.
#[tokio::test]
async fn a_talking_call_moves() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 1..=24 {
        let site = Site::start(Config {
            seed,
            ..Config::default()
        })
        .await;
        let far = inbound_talking(&site).await;
        let old = site.desk.view().await.unwrap().calls[0].channel.clone();
        let mut link = Link::listen(site.switch.esl_addr(), PULL_EVENTS).await;
        site.controller(&format!("intercept {far} PCMU")).await;
        let new = site.mobile.dial("*33").await.unwrap();
        let mobile = site.mobile.wait_until(|p| p.talks_to("901"), SOON).await;
        assert_eq!(mobile.unwrap().calls[0].display, "901");
        let customer = site.customer.wait_until(|p| p.talks_to("1002"), SOON);
        let heard = customer.await.unwrap().calls[0].sounds();
        // No tone and no music, only the step between the bridges.
        let expect = [
            Hears::Nothing,
            Hears::Ringback,
            Hears::Party("1001".to_owned()),
            Hears::Silence,
            Hears::Party("1002".to_owned()),
        ];
        assert_eq!(heard, expect);
        let desk = site
            .desk
            .wait_until(PhoneView::is_idle, SOON)
            .await
            .unwrap();
        assert_eq!(
            (desk.ended[0].end, &*desk.ended[0].cause),
            (End::Released, "PICKED_OFF")
        );

        let events = link.events_until(|e| e.name() == "CHANNEL_BRIDGE").await;
        let bridge = events.last().unwrap();
        assert_eq!(bridge.get("Bridge-A-Unique-ID"), new);
        assert_eq!(bridge.get("Bridge-B-Unique-ID"), far);
        let unbridge = events
            .iter()
            .find(|e| e.name() == "CHANNEL_UNBRIDGE")
            .unwrap();
        assert_eq!(unbridge.get("Bridge-A-Unique-ID"), far);
        assert_eq!(unbridge.get("Bridge-B-Unique-ID"), old);
        let hangup = position(&events, "CHANNEL_HANGUP", &old);
        assert!(position(&events, "CHANNEL_ANSWER", &new) < hangup);
        let complete = position(&events, "CHANNEL_HANGUP_COMPLETE", &old);
        let apart = position(&events, "CHANNEL_UNBRIDGE", &far);
        orders.insert((apart < hangup, apart < complete));
        let synthetic: Vec<&str> = events
            .iter()
            .filter(|e| e.get("Application") == "uuid_bridge")
            .map(|e| e.get("Application-Data"))
            .collect();
        assert_eq!(synthetic, [&*far, &*new]);
        // Recorded: the far end's caller ID is the puller's from now on, its ANI is not.
        let dump = Event::parse(&site.switch.api(&format!("uuid_dump {far}")).await.unwrap());
        assert_eq!(dump.get("Caller-Caller-ID-Number"), "1002");
        assert_eq!(dump.get("Caller-ANI"), "901");
        assert_eq!(dump.get("Other-Leg-Unique-ID"), new);
        assert_eq!(dump.get("variable_bridge_uuid"), new);

        site.customer.hangup().await.unwrap();
        site.mobile
            .wait_until(PhoneView::is_idle, SOON)
            .await
            .unwrap();
    }
    assert_eq!(orders.len(), 3, "every order was seen: {orders:?}");
}

/// The far end was called: the same, with the roles of the legs the other way round.
#[tokio::test]
async fn a_call_that_was_dialled_moves_on_and_back() {
    let site = Site::start(Config::default()).await;
    let far = outbound_talking(&site).await;
    site.controller(&format!("intercept {far} -")).await;
    for (phone, label) in [
        (&site.mobile, "1002"),
        (&site.tablet, "1003"),
        (&site.desk, "1001"),
        (&site.mobile, "1002"),
    ] {
        phone.dial("*33").await.unwrap();
        phone
            .wait_until(|p| p.talks_to("2001"), SOON)
            .await
            .unwrap();
        let talks = site.colleague.wait_until(move |p| p.talks_to(label), SOON);
        talks.await.unwrap();
        let view = site.switch.view().await.unwrap();
        assert_eq!((view.channels.len(), view.bridges.len()), (2, 1));
    }
    site.mobile.hangup().await.unwrap();
    let colleague = site.colleague.wait_until(PhoneView::is_idle, SOON).await;
    assert_eq!(colleague.unwrap().ended[0].end, End::Released);
}

#[tokio::test]
async fn held_by_the_old_device() {
    let site = Site::start(Config::default()).await;
    let far = outbound_talking(&site).await;
    site.desk.hold().await.unwrap();
    assert_eq!(site.colleague.hears().await.unwrap(), Hears::Moh);
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    let talks = site.colleague.wait_until(|p| p.talks_to("1002"), SOON);
    talks.await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
}

/// The switch forgets the hold, the phone does not: silence until it resumes.
#[tokio::test]
async fn held_by_the_far_end() {
    let site = Site::start(Config::default()).await;
    let far = outbound_talking(&site).await;
    site.colleague.hold().await.unwrap();
    assert_eq!(site.desk.hears().await.unwrap(), Hears::Moh);
    let mut link = Link::listen(site.switch.esl_addr(), PULL_EVENTS).await;
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    let bridged = link.events_until(|e| e.name() == "CHANNEL_BRIDGE").await;
    assert!(
        bridged
            .iter()
            .any(|e| e.name() == "CHANNEL_UNHOLD" && e.channel() == far)
    );
    assert_eq!(site.mobile.hears().await.unwrap(), Hears::Silence);
    site.colleague.unhold().await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
}

/// How the forks of a ringing call take it when the caller is pulled away: only the fork made last is told "completed
/// elsewhere", unless every fork was given a `sip_reason` first.
#[tokio::test]
async fn ringing_inbound_with_forks() {
    for prepared in [false, true] {
        let site = Site::start(Config::default()).await;
        let far = site.customer.dial("1000").await.unwrap();
        site.all_ring().await;
        let mut link = Link::connect(site.switch.esl_addr()).await;
        if prepared {
            for phone in site.devices() {
                let fork = phone.view().await.unwrap().calls[0].channel.clone();
                let set = format!(
                    "uuid_setvar {fork} sip_reason SIP;cause=200;text=\"Call completed elsewhere\""
                );
                assert_eq!(link.api(&set).await, "+OK\n");
            }
        }
        site.controller(&format!("intercept {far} -")).await;
        site.mobile.dial("*33").await.unwrap();
        site.mobile
            .wait_until(|p| p.talks_to("901"), SOON)
            .await
            .unwrap();
        let mut ends = Vec::new();
        for phone in [&site.desk, &site.tablet] {
            let view = phone.wait_until(PhoneView::is_idle, SOON).await.unwrap();
            ends.push((view.ended[0].end, view.ended[0].cause.clone()));
        }
        let first = if prepared {
            End::AnsweredElsewhere
        } else {
            End::Missed
        };
        assert_eq!(
            ends,
            [
                (first, "ORIGINATOR_CANCEL".to_owned()),
                (End::AnsweredElsewhere, "PICKED_OFF".to_owned()),
            ]
        );
        // The puller's own fork went the same way.
        assert_eq!(site.mobile.view().await.unwrap().ended[0].end, first);
    }
}

/// The fake's dialplan sets `transfer_ringback`, as the product's does.
#[tokio::test]
async fn outbound_ringing_with_ringback() {
    let site = Site::start(Config::default()).await;
    site.desk.dial("2001").await.unwrap();
    let rings = site
        .colleague
        .wait_until(|p| p.ringing().count() == 1, SOON);
    let far = rings.await.unwrap().calls[0].channel.clone();
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    let rings = |p: &PhoneView| p.hears() == Hears::Ringback;
    site.mobile.wait_until(rings, SOON).await.unwrap();
    let desk = site
        .desk
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert_eq!(
        (desk.ended[0].end, &*desk.ended[0].cause),
        (End::Failed, "PICKED_OFF")
    );
    site.colleague.answer().await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    site.colleague
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn outbound_ringing_is_refused_by_the_far_end() {
    let site = Site::start(Config::default()).await;
    site.desk.dial("2001").await.unwrap();
    let rings = site
        .colleague
        .wait_until(|p| p.ringing().count() == 1, SOON);
    let far = rings.await.unwrap().calls[0].channel.clone();
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    let rings = |p: &PhoneView| p.hears() == Hears::Ringback;
    site.mobile.wait_until(rings, SOON).await.unwrap();
    site.colleague.busy().await.unwrap();
    let mobile = site
        .mobile
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert_eq!(mobile.ended[0].cause, "ORIGINATOR_CANCEL");
}

/// Early media is media: the bridge comes at once, the answer later.
#[tokio::test]
async fn outbound_ringing_with_early_media() {
    let site = Site::start(Config::default()).await;
    site.colleague
        .ring_mode(RingMode::EarlyMedia)
        .await
        .unwrap();
    site.desk.dial("2001").await.unwrap();
    let rings = site
        .colleague
        .wait_until(|p| p.ringing().count() == 1, SOON);
    let far = rings.await.unwrap().calls[0].channel.clone();
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    site.mobile
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    site.colleague.answer().await.unwrap();
    site.colleague
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
}

/// Not the A-leg but a fork is named: the caller is lost. With `transfer_ringback` the fork itself survives.
#[tokio::test]
async fn intercept_of_a_fork_loses_the_caller() {
    let site = Site::start(Config::default()).await;
    site.customer.dial("1000").await.unwrap();
    site.all_ring().await;
    let fork = site.desk.view().await.unwrap().calls[0].channel.clone();
    site.controller(&format!("intercept {fork} -")).await;
    site.colleague.dial("*33").await.unwrap();
    let customer = site
        .customer
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert_eq!(
        (customer.ended[0].end, &*customer.ended[0].cause),
        (End::Failed, "PICKED_OFF")
    );
    let tablet = site
        .tablet
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert_eq!(tablet.ended[0].end, End::Missed);
}

#[tokio::test]
async fn an_unknown_far_end_is_refused_without_an_answer() {
    let site = Site::start(Config::default()).await;
    site.controller("intercept 01234567-1111-2222-3333-444444444444 -")
        .await;
    site.mobile.dial("*33").await.unwrap();
    let refusal = |p: &PhoneView| p.hears() == Hears::RefusalTone;
    site.mobile.wait_until(refusal, SOON).await.unwrap();
    let mobile = site
        .mobile
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert!(!mobile.ended[0].answered);
    assert_eq!(
        (mobile.ended[0].end, &*mobile.ended[0].cause),
        (End::Failed, "CALL_REJECTED")
    );
}

/// Two at once: the last one wins, the first one is picked off, the far end keeps talking.
#[tokio::test]
async fn two_pullers() {
    let site = Site::start(Config::default()).await;
    let far = outbound_talking(&site).await;
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    site.tablet.dial("*33").await.unwrap();
    let one = |v: &callhop_fakeswitch::SwitchView| v.channels.len() == 2 && v.bridges.len() == 1;
    let view = site.switch.wait_until(one, SOON).await.unwrap();
    assert_eq!(view.bridges[0].1, far);
    let mut ended = Vec::new();
    for phone in [&site.mobile, &site.tablet] {
        ended.extend(phone.view().await.unwrap().ended);
    }
    let causes: Vec<&str> = ended.iter().map(|e| &*e.cause).collect();
    assert_eq!(causes, ["PICKED_OFF"]);
}

/// The far end hangs up between `intercept` and the bridge.
#[tokio::test]
async fn the_far_end_goes_at_the_same_moment() {
    let config = Config {
        bridge_step: std::time::Duration::from_millis(30),
        ..Config::default()
    };
    let site = Site::start(config).await;
    let far = outbound_talking(&site).await;
    site.controller(&format!("intercept {far} -")).await;
    site.mobile.dial("*33").await.unwrap();
    site.desk
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    site.colleague.hangup().await.unwrap();
    let mobile = site
        .mobile
        .wait_until(PhoneView::is_idle, SOON)
        .await
        .unwrap();
    assert_eq!(mobile.ended[0].cause, "DESTINATION_OUT_OF_ORDER");
    assert!(site.switch.view().await.unwrap().channels.is_empty());
}

/// The display of the far end stays when `ignore_display_updates` is set on it.
#[tokio::test]
async fn the_far_ends_display() {
    for (ignore, shown) in [(false, "1002"), (true, "1000")] {
        let site = Site::start(Config::default()).await;
        let far = site.customer.dial("1000").await.unwrap();
        if ignore {
            let set = format!("uuid_setvar {far} ignore_display_updates true");
            site.switch.api(&set).await.unwrap();
        }
        site.all_ring().await;
        site.desk.answer().await.unwrap();
        site.controller(&format!("intercept {far} -")).await;
        site.mobile.dial("*33").await.unwrap();
        let talks = site.customer.wait_until(|p| p.talks_to("1002"), SOON);
        assert_eq!(talks.await.unwrap().calls[0].display, shown);
        // The new device shows the far end, and so does the next one.
        for phone in [&site.mobile, &site.tablet] {
            if phone.view().await.unwrap().is_idle() {
                phone.dial("*33").await.unwrap();
            }
            let talks = phone.wait_until(|p| p.talks_to("901"), SOON);
            assert_eq!(talks.await.unwrap().calls[0].display, "901");
        }
    }
}

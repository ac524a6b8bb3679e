//! Digits, legs that are taken apart, and the product's extensions of a push, told by a scripted controller.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // a test may panic

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use callhop_fakeswitch::{CallState, Config, Digits, End, Hears, Phone, PhoneView, RingMode};
use support::{Event, Link, SOON, Site};

const BINDING: &str =
    "^^|callhop|*9|exec[i]:event|Event-Name=CUSTOM,Event-Subclass=callhop::push|self|self";
const EVENTS: &str = "CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE DTMF BACKGROUND_JOB CUSTOM callhop::push";

/// The id of the push.
const PUSH: &str = "00000000-0000-0007-0000-000000000001";

/// Short beats, and a code that is not waited for long.
fn config() -> Config {
    Config {
        digit_gap: Duration::from_millis(5),
        bind_digit_timeout: Duration::from_millis(150),
        beat_wait: Duration::from_millis(20),
        beat_ring: Duration::from_millis(40),
        hold_round: Duration::from_millis(50),
        tone: Duration::from_millis(20),
        ..Config::default()
    }
}

fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + seconds
}

/// The desk talks to the customer, armed; `link` hears the events and `commands` tells the switch.
struct Talk {
    site: Site,
    link: Link,
    commands: Link,
    near: String,
    far: String,
}

impl Talk {
    async fn start(config: Config, inbound: bool) -> Self {
        let site = Site::start(config).await;
        let address = site.switch.esl_addr();
        let mut link = Link::listen(address, EVENTS).await;
        let mut commands = Link::connect(address).await;
        let (dials, answers) = if inbound {
            (&site.customer, &site.desk)
        } else {
            (&site.desk, &site.customer)
        };
        let number = if inbound { "1001" } else { "0901" };
        dials.dial(number).await.unwrap();
        let rings = |view: &PhoneView| view.ringing().count() == 1;
        answers.wait_until(rings, SOON).await.unwrap();
        let near = leg(&site.desk).await;
        let arm = format!(
            "uuid_setvar_multi {near} callhop_push_code=*9;execute_on_answer_callhop_1=bind_digit_action {BINDING};execute_on_answer_callhop_2=set callhop_armed=true"
        );
        assert_eq!(commands.api(&arm).await, "+OK\n");
        answers.answer().await.unwrap();
        talks(&site.desk, &site.customer).await;
        link.events_until(|event| event.name() == "CHANNEL_BRIDGE")
            .await;
        let far = leg(&site.customer).await;
        Self {
            site,
            link,
            commands,
            near,
            far,
        }
    }

    async fn dial(&self, digits: &str) {
        let desk = &self.site.desk;
        desk.send_digits(&self.near, digits, Digits::Rtp)
            .await
            .unwrap();
    }

    async fn got(&self, digits: &str) {
        let wanted = digits.to_owned();
        let done = move |view: &PhoneView| got(view) == wanted;
        self.site.customer.wait_until(done, SOON).await.unwrap();
    }

    /// The controller answers the beats so, and the call is taken apart as it would be.
    async fn split(&mut self, beat: &str, far: &str) {
        self.site.controller(beat).await;
        let (near_leg, far_leg) = (self.near.clone(), self.far.clone());
        let until = in_seconds(600);
        for line in [
            format!(
                "uuid_setvar_multi {near_leg} callhop_far={far_leg};callhop_push={PUSH};callhop_push_code=*9"
            ),
            format!(
                "uuid_setvar_multi {far_leg} callhop_until={until};callhop_sound=silence_stream://-1,1400;{far}"
            ),
            format!(
                "uuid_dual_transfer {near_leg} callhop_push/XML/default callhop_hold/XML/default"
            ),
        ] {
            assert_eq!(self.commands.api(&line).await, "+OK\n", "{line}");
        }
    }

    async fn transfer(&mut self, leg: &str, extension: &str) -> String {
        let line = format!("uuid_transfer {leg} {extension} XML default");
        self.commands.api(&line).await
    }

    async fn ring(&mut self, dial: &str, seconds: u32) {
        let line = format!(
            "bgapi originate {{callhop_move=7,callhop_push={PUSH},callhop_far={},originate_timeout={seconds},origination_caller_id_number=901,origination_caller_id_name='A Customer'}}{dial} callhop_target XML default\nJob-UUID: 7",
            self.far
        );
        assert_eq!(self.commands.command(&line).await, "+OK Job-UUID: 7");
    }

    async fn job(&mut self) -> String {
        let seen = self.link.events_until(is_job).await;
        seen.last().unwrap().body.trim().to_owned()
    }
}

fn is_job(event: &Event) -> bool {
    event.name() == "BACKGROUND_JOB"
}

fn got(view: &PhoneView) -> String {
    let calls = view.calls.iter().flat_map(|call| &call.digits);
    calls.map(|it| it.digit).collect()
}

async fn leg(phone: &Phone) -> String {
    let view = phone.view().await.unwrap();
    view.calls.last().unwrap().channel.clone()
}

async fn talks(one: &Phone, other: &Phone) {
    for (one, other) in [(one, other), (other, one)] {
        let label = other.label().to_owned();
        one.wait_until(move |view| view.talks_to(&label), SOON)
            .await
            .unwrap();
    }
}

async fn hears(phone: &Phone, what: Hears) {
    phone
        .wait_until(move |view| view.hears() == what, SOON)
        .await
        .unwrap();
}

async fn idle(phone: &Phone) -> PhoneView {
    phone.wait_until(PhoneView::is_idle, SOON).await.unwrap()
}

#[tokio::test]
async fn the_code_is_swallowed_and_told() {
    for inbound in [true, false] {
        let mut talk = Talk::start(config(), inbound).await;
        talk.dial("5*9#").await;
        talk.got("5#").await;
        let seen = talk
            .link
            .events_until(|event| event.get("DTMF-Digit") == "#")
            .await;
        let pushed: Vec<&Event> = seen.iter().filter(|e| e.name() == "CUSTOM").collect();
        assert_eq!(pushed.len(), 1, "{inbound}");
        assert_eq!(pushed[0].get("Event-Subclass"), "callhop::push");
        assert_eq!(pushed[0].channel(), talk.near);
        assert_eq!(pushed[0].get("variable_callhop_armed"), "true");
    }
}

#[tokio::test]
async fn a_star_without_the_rest_goes_on_after_a_while() {
    let talk = Talk::start(config(), true).await;
    talk.dial("*").await;
    let before = std::time::Instant::now();
    talk.got("*").await;
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    talk.dial("*5").await;
    talk.got("**5").await;
    talk.dial("**9").await;
    talk.got("**5**9").await;
}

#[tokio::test]
async fn the_far_end_is_not_listened_to() {
    let mut talk = Talk::start(config(), false).await;
    let (customer, far) = (&talk.site.customer, talk.far.clone());
    customer
        .send_digits(&far, "*92#", Digits::Info)
        .await
        .unwrap();
    let done = |view: &PhoneView| got(view) == "*92#";
    talk.site.desk.wait_until(done, SOON).await.unwrap();
    let seen = talk
        .link
        .events_until(|event| event.get("DTMF-Digit") == "#")
        .await;
    assert!(seen.iter().all(|event| event.name() == "DTMF"), "{seen:?}");
    assert!(
        seen.iter()
            .all(|e| e.get("DTMF-Source") == "ENDPOINT" && e.channel() == far)
    );
}

#[tokio::test]
async fn a_leg_is_armed_in_the_middle_of_a_call() {
    let mut talk = Talk::start(config(), true).await;
    let far = talk.far.clone();
    let length = BINDING.len();
    let line = format!(
        "sendmsg {far}\ncall-command: execute\nexecute-app-name: bind_digit_action\ncontent-type: text/plain\ncontent-length: {length}\n\n{BINDING}"
    );
    talk.commands.send(&line).await;
    let reply = talk.commands.frame().await;
    assert_eq!(reply.header("Reply-Text"), Some("+OK"));
    let customer = &talk.site.customer;
    customer.send_digits(&far, "*9", Digits::Rtp).await.unwrap();
    let seen = talk.link.events_until(|e| e.name() == "CUSTOM").await;
    assert_eq!(seen.last().unwrap().channel(), far);
    let gone = talk
        .commands
        .command("sendmsg x\ncall-command: execute")
        .await;
    assert_eq!(gone, "-ERR invalid session id [x]");
}

#[tokio::test]
async fn digits_of_who_pushes_are_told_and_do_not_leak() {
    let mut talk = Talk::start(config(), true).await;
    talk.split("wait", "a=b").await;
    let sounds = |view: &PhoneView| view.calls[0].sounds().contains(&Hears::Beep);
    talk.site.desk.wait_until(sounds, SOON).await.unwrap();
    hears(&talk.site.customer, Hears::Silence).await;
    talk.dial("2001#").await;
    let seen = talk
        .link
        .events_until(|event| event.get("DTMF-Digit") == "#")
        .await;
    let digits: String = seen.iter().map(|event| event.get("DTMF-Digit")).collect();
    assert_eq!(digits, "2001#");
    let customer = talk.site.customer.view().await.unwrap();
    assert_eq!(got(&customer), "");
    assert!(!customer.calls[0].sounds()[1..].contains(&Hears::Nothing));
    assert_eq!(customer.calls[0].state, CallState::Answered);
}

#[tokio::test]
async fn without_a_word_of_the_controller_the_call_is_given_back() {
    for (inbound, answer) in [(true, "back"), (false, ""), (true, "wait a bit")] {
        let mut talk = Talk::start(config(), inbound).await;
        talk.split(answer, "a=b").await;
        talk.link
            .events_until(|event| event.name() == "CHANNEL_BRIDGE")
            .await;
        talks(&talk.site.desk, &talk.site.customer).await;
        // The code works again, and the end of one is the end of the other.
        talk.dial("*9").await;
        talk.link.events_until(|e| e.name() == "CUSTOM").await;
        talk.site.desk.hangup().await.unwrap();
        idle(&talk.site.customer).await;
    }
}

#[tokio::test]
async fn a_refusal_is_heard_before_the_call_is_given_back() {
    let mut talk = Talk::start(config(), true).await;
    talk.split("wait", "a=b").await;
    let near = talk.near.clone();
    assert_eq!(talk.transfer(&near, "callhop_refused").await, "+OK\n");
    talks(&talk.site.desk, &talk.site.customer).await;
    let desk = talk.site.desk.view().await.unwrap();
    assert!(desk.calls[0].sounds().contains(&Hears::RefusalTone));
}

#[tokio::test]
async fn who_answers_gets_the_far_end() {
    for inbound in [true, false] {
        let mut talk = Talk::start(config(), inbound).await;
        talk.split("ring", "a=b").await;
        let far = talk.far.clone();
        let sound = format!("uuid_setvar {far} callhop_sound tone_stream://%(2000,4000,440,480)");
        assert_eq!(talk.commands.api(&sound).await, "+OK\n");
        assert_eq!(talk.transfer(&far, "callhop_hold").await, "+OK\n");
        hears(&talk.site.customer, Hears::Ringback).await;
        hears(&talk.site.desk, Hears::Ringback).await;
        talk.ring("user/1002@lab.test,user/1003@lab.test", 30).await;
        for phone in [&talk.site.mobile, &talk.site.tablet] {
            let rings = |view: &PhoneView| view.ringing().count() == 1;
            let view = phone.wait_until(rings, SOON).await.unwrap();
            assert_eq!(view.calls[0].display, "901");
            assert_eq!(view.calls[0].display_name, "A Customer");
        }
        talk.site.mobile.answer().await.unwrap();
        talks(&talk.site.mobile, &talk.site.customer).await;
        let winner = leg(&talk.site.mobile).await;
        assert_eq!(talk.job().await, format!("+OK {winner}"));
        let loser = idle(&talk.site.tablet).await;
        assert_eq!(loser.ended[0].end, End::AnsweredElsewhere);
        // The pusher is left alone until somebody says so, and its end is not the end of the others.
        let near = talk.near.clone();
        let line = format!("uuid_kill {near} NORMAL_CLEARING");
        assert_eq!(talk.commands.api(&line).await, "+OK\n");
        idle(&talk.site.desk).await;
        talks(&talk.site.mobile, &talk.site.customer).await;
        talk.site.customer.hangup().await.unwrap();
        idle(&talk.site.mobile).await;
    }
}

async fn check_failure(dial: &str, mode: RingMode, cause: &str) {
    let mut talk = Talk::start(config(), true).await;
    talk.split("ring", "a=b").await;
    for phone in [&talk.site.mobile, &talk.site.tablet] {
        phone.ring_mode(mode).await.unwrap();
    }
    talk.site.colleague.unregister().await.unwrap();
    talk.ring(dial, 1).await;
    assert_eq!(talk.job().await, format!("-ERR {cause}"), "{dial} {mode:?}");
    hears(&talk.site.customer, Hears::Silence).await;
}

#[tokio::test]
async fn why_nobody_answered() {
    let both = "user/1002@lab.test,user/1003@lab.test";
    check_failure(both, RingMode::Reject(486), "USER_BUSY").await;
    check_failure(both, RingMode::Reject(603), "CALL_REJECTED").await;
    check_failure(both, RingMode::Ringing, "NO_ANSWER").await;
    check_failure(
        "user/2001@lab.test",
        RingMode::Ringing,
        "USER_NOT_REGISTERED",
    )
    .await;
    check_failure("user/9@lab.test", RingMode::Ringing, "SUBSCRIBER_ABSENT").await;
}

#[tokio::test]
async fn a_move_is_stopped_by_its_variable() {
    let mut talk = Talk::start(config(), true).await;
    talk.split("ring", "a=b").await;
    talk.ring("user/1002@lab.test,user/1003@lab.test", 30).await;
    let said = talk
        .commands
        .api("hupall NORMAL_CLEARING callhop_move 7")
        .await;
    assert_eq!(
        said,
        "+OK hangup all channels matching [callhop_move]=[7] with cause: NORMAL_CLEARING\n"
    );
    assert_eq!(talk.job().await, "-ERR NORMAL_CLEARING");
    idle(&talk.site.mobile).await;
    idle(&talk.site.tablet).await;
}

/// Rings the mobile, then does both in this order at once.
async fn race(answer_first: bool) -> Talk {
    let mut talk = Talk::start(config(), true).await;
    talk.split("ring", "a=b").await;
    talk.ring("user/1002@lab.test", 30).await;
    let rings = |view: &PhoneView| view.ringing().count() == 1;
    let mobile = talk.site.mobile.clone();
    mobile.wait_until(rings, SOON).await.unwrap();
    let near = talk.near.clone();
    if answer_first {
        mobile.answer().await.unwrap();
        let bridged = |e: &Event| e.name() == "CHANNEL_BRIDGE";
        talk.link.events_until(bridged).await;
        assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
    } else {
        assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
        talks(&talk.site.desk, &talk.site.customer).await;
        mobile.answer().await.unwrap();
    }
    talk
}

#[tokio::test]
async fn a_target_that_answers_after_the_cancel_takes_nobody() {
    let talk = race(false).await;
    idle(&talk.site.mobile).await;
    talks(&talk.site.desk, &talk.site.customer).await;
}

#[tokio::test]
async fn a_cancel_after_the_answer_takes_nobody() {
    let talk = race(true).await;
    idle(&talk.site.desk).await;
    talks(&talk.site.mobile, &talk.site.customer).await;
}

/// Both intercepts run before either bridge: the far end has one of the two, and the other one is gone.
#[tokio::test]
async fn in_the_same_instant_the_first_of_the_two_has_the_far_end() {
    for answer_first in [true, false] {
        let config = Config {
            bridge_step: Duration::from_millis(50),
            ..config()
        };
        let mut talk = Talk::start(config, true).await;
        talk.split("ring", "a=b").await;
        talk.ring("user/1002@lab.test", 30).await;
        let mobile = talk.site.mobile.clone();
        let rings = |view: &PhoneView| view.ringing().count() == 1;
        mobile.wait_until(rings, SOON).await.unwrap();
        let near = talk.near.clone();
        // Without `limit` both would find the far end alone.
        let (first, last) = if answer_first {
            mobile.answer().await.unwrap();
            assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
            (mobile, talk.site.desk.clone())
        } else {
            assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
            mobile.answer().await.unwrap();
            (talk.site.desk.clone(), mobile)
        };
        talks(&first, &talk.site.customer).await;
        let ended = idle(&last).await;
        assert_eq!(ended.ended[0].cause, "NORMAL_CLEARING");
    }
}

#[tokio::test]
async fn the_recall_rings_then_falls_back_then_ends() {
    let recall =
        "callhop_recall=user/1001@lab.test,user/1002@lab.test;callhop_fallback=7000 default";
    let mut talk = Talk::start(config(), true).await;
    talk.split("wait", recall).await;
    talk.site.desk.hangup().await.unwrap();
    idle(&talk.site.desk).await;
    let far = talk.far.clone();
    assert_eq!(talk.transfer(&far, "callhop_recall").await, "+OK\n");
    hears(&talk.site.customer, Hears::Ringback).await;
    let rings = |view: &PhoneView| view.ringing().count() == 1;
    talk.site.mobile.wait_until(rings, SOON).await.unwrap();
    talk.site.desk.wait_until(rings, SOON).await.unwrap();
    talk.site.mobile.reject().await.unwrap();
    talk.site.desk.reject().await.unwrap();
    hears(&talk.site.customer, Hears::Announcement).await;
    // Nobody to recall and nowhere to fall back to.
    for name in ["callhop_recall", "callhop_fallback"] {
        let line = format!("uuid_setvar {far} {name}");
        assert_eq!(talk.commands.api(&line).await, "+OK\n");
    }
    assert_eq!(talk.transfer(&far, "callhop_recall").await, "+OK\n");
    let over = idle(&talk.site.customer).await;
    assert_eq!(over.ended[0].cause, "NO_ANSWER");
}

#[tokio::test]
async fn who_waits_too_long_is_recalled() {
    let mut talk = Talk::start(config(), false).await;
    talk.split("wait", "callhop_recall=user/1002@lab.test")
        .await;
    let line = format!("uuid_setvar {} callhop_until {}", talk.far, in_seconds(0));
    assert_eq!(talk.commands.api(&line).await, "+OK\n");
    let rings = |view: &PhoneView| view.ringing().count() == 1;
    talk.site.mobile.wait_until(rings, SOON).await.unwrap();
    talk.site.mobile.answer().await.unwrap();
    talks(&talk.site.mobile, &talk.site.customer).await;
    // Who pushed finds it talking when its own dialplan looks, and ends.
    let near = talk.near.clone();
    assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
    idle(&talk.site.desk).await;
    talks(&talk.site.mobile, &talk.site.customer).await;
}

#[tokio::test]
async fn a_bridge_that_ends_unsettled_goes_to_the_hold() {
    let mut talk = Talk::start(config(), true).await;
    let far = talk.far.clone();
    talk.split("wait", "transfer_after_bridge=callhop_hold:XML:default")
        .await;
    let near = talk.near.clone();
    assert_eq!(talk.transfer(&near, "callhop_back").await, "+OK\n");
    talks(&talk.site.desk, &talk.site.customer).await;
    talk.site.desk.hangup().await.unwrap();
    idle(&talk.site.desk).await;
    hears(&talk.site.customer, Hears::Silence).await;
    let line = format!("uuid_getvar {far} transfer_after_bridge");
    assert_eq!(talk.commands.api(&line).await, "_undef_");
}

#[tokio::test]
async fn digits_for_an_application_pass_what_listens() {
    let mut talk = Talk::start(config(), true).await;
    let near = talk.near.clone();
    let said = talk
        .commands
        .api(&format!("uuid_recv_dtmf {near} *9"))
        .await;
    assert_eq!(said, format!("+OK {near} received DTMF *9.\n"));
    talk.got("*9").await;
}

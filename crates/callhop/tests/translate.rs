//! FreeSWITCH's words to the core's and back, one header at a time.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used)]

use callhop::freeswitch::translate;
use callhop_calls::core::Answer;
use callhop_calls::id::DeviceId;
use callhop_calls::tracker::Arming;
use callhop_esl::Event;

const DUMP: &[(&str, &str)] = &[
    ("Event-Name", "CHANNEL_DATA"),
    ("Event-Sequence", "961"),
    ("Unique-ID", "44ee4707-f06a-4ccc-a49c-9d37728368c2"),
    ("Call-Direction", "inbound"),
    ("Answer-State", "ringing"),
    ("Caller-Destination-Number", "*33"),
    ("Caller-Caller-ID-Number", "9999"),
    ("Caller-Username", "9999"),
    ("Channel-Presence-ID", "9999@lab.test"),
    ("variable_sip_authorized", "true"),
    ("variable_user_name", "1001"),
    ("variable_domain_name", "lab.test"),
    ("variable_sip_auth_username", "1001"),
    ("variable_sip_auth_realm", "other.test"),
    ("variable_sip_from_user", "9999"),
    (
        "variable_ep_codec_string",
        "mod_opus.opus@48000h@20i@2c,CORE_PCM_MODULE.PCMU@8000h@20i@64000b",
    ),
];

fn dump(changes: &[(&str, &str)]) -> Event {
    let mut headers: Vec<_> = DUMP
        .iter()
        .filter(|(name, _)| !changes.iter().any(|(n, _)| n == name))
        .copied()
        .collect();
    headers.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    Event::build(&headers, "")
}

#[track_caller]
fn device(changes: &[(&str, &str)], expect: Option<&str>) {
    let caller = translate::caller(&dump(changes)).unwrap();
    assert_eq!(
        caller.device.map(|d| d.to_string()).as_deref(),
        expect,
        "{changes:?}"
    );
}

#[test]
fn identity_is_what_the_directory_of_the_switch_said() {
    device(&[], Some("1001@lab.test"));
    device(&[("variable_sip_authorized", "")], None);
    device(&[("variable_sip_authorized", "false")], None);
    device(&[("variable_user_name", "")], None);
    device(&[("variable_domain_name", "")], None);
    device(&[("variable_user_name", "1001${x}")], None);
    device(&[("variable_domain_name", "lab.test/../x")], None);
    // What an A-leg carries of whom it called is not who it is.
    device(
        &[
            ("variable_user_name", ""),
            ("variable_dialed_user", "1002"),
            ("variable_dialed_domain", "lab.test"),
        ],
        None,
    );
}

#[test]
fn a_leg_that_was_called_is_the_device_that_was_dialed() {
    let called = [
        ("Call-Direction", "outbound"),
        ("variable_dialed_user", "1002"),
        ("variable_dialed_domain", "Lab.Test"),
    ];
    device(&called, Some("1002@lab.test"));
    assert!(!translate::caller(&dump(&called)).unwrap().is_waiting);
}

#[test]
fn only_who_has_called_and_was_not_answered_waits() {
    let waits = |changes| translate::caller(&dump(changes)).unwrap().is_waiting;
    assert!(waits(&[]));
    assert!(waits(&[("Answer-State", "early")]));
    assert!(!waits(&[("Answer-State", "answered")]));
}

#[test]
fn offered_codecs_are_named_without_their_modules() {
    let caller = translate::caller(&dump(&[])).unwrap();
    assert_eq!(caller.codecs, ["opus", "PCMU"]);
    assert!(
        translate::caller(&dump(&[("variable_ep_codec_string", "")]))
            .unwrap()
            .codecs
            .is_empty()
    );
}

#[test]
fn the_domain_of_a_hunt_is_that_of_the_call() {
    let domain = |changes| {
        let caller = translate::caller(&dump(changes)).unwrap();
        caller.domain.map(|d| d.to_string())
    };
    assert_eq!(domain(&[]).as_deref(), Some("lab.test"));
    assert_eq!(domain(&[("variable_domain_name", "")]), None);
    assert_eq!(domain(&[("variable_domain_name", "a/b")]), None);
}

#[track_caller]
fn dials(targets: &[(&str, &[&str])], expect: &str) {
    let targets = targets
        .iter()
        .map(|(device, contacts)| {
            (
                device.parse::<DeviceId>().unwrap(),
                contacts.iter().map(|c| (*c).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(translate::dial_string(&Answer { targets }), expect);
}

#[test]
fn every_contact_of_a_device_is_rung() {
    const ONE: &str = "sofia/internal/sip:1001@127.0.0.1:15060;ob";
    const TWO: &str = "sofia/internal/sip:1001@127.0.0.1:15062;fs_path=sip%3A1001%40127.0.0.1";
    dials(&[("1001@lab.test", &[])], "user/1001@lab.test");
    dials(&[("1001@lab.test", &[ONE])], "user/1001@lab.test");
    dials(
        &[("1001@lab.test", &[]), ("1002@lab.test", &[])],
        "user/1001@lab.test,user/1002@lab.test",
    );
    let stamp = "[dialed_user=1001,dialed_domain=lab.test,presence_id=1001@lab.test]";
    dials(
        &[("1001@lab.test", &[ONE, TWO])],
        &format!("{stamp}{ONE},{stamp}{TWO}"),
    );
}

#[test]
fn a_contact_that_could_end_a_dial_string_is_left_to_the_switch() {
    const GOOD: &str = "sofia/internal/sip:1001@127.0.0.1:15060";
    for bad in [
        "sofia/internal/sip:a,user/9",
        "sofia/x/sip:a|b",
        "sofia/x/sip:${system}",
        "sofia/x/[a=b]",
        "loopback/9",
        "sofia/x/a b",
    ] {
        dials(&[("1001@lab.test", &[GOOD, bad])], "user/1001@lab.test");
    }
}

#[test]
fn tables_of_the_switch() {
    let found = translate::registrations(
        r#"{"row_count":3,"rows":[
            {"reg_user":"1001","realm":"lab.test","url":"sofia/internal/sip:1001@b","token":"x"},
            {"reg_user":"1001","realm":"lab.test","url":"sofia/internal/sip:1001@a"},
            {"reg_user":"10 01","realm":"lab.test","url":"sofia/internal/sip:x@c"}]}"#,
    )
    .unwrap();
    assert_eq!(found.len(), 1);
    let device: DeviceId = "1001@lab.test".parse().unwrap();
    assert_eq!(
        found[&device],
        ["sofia/internal/sip:1001@a", "sofia/internal/sip:1001@b"]
    );
    assert!(
        translate::registrations(r#"{"row_count":0}"#)
            .unwrap()
            .is_empty()
    );
    assert!(translate::registrations("-ERR no database").is_err());
    assert_eq!(
        translate::channels(r#"{"rows":[{"uuid":"a-b"},{"uuid":"a b"}]}"#)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        translate::contacts("sofia/i/sip:b@h,sofia/i/sip:a@h\n"),
        ["sofia/i/sip:a@h", "sofia/i/sip:b@h"]
    );
    assert!(translate::contacts("error/user_not_registered").is_empty());
}

const LEG: &str = "44ee4707-f06a-4ccc-a49c-9d37728368c2";

#[test]
fn a_leg_that_was_called_and_has_called_is_nobody() {
    // Seen in a recall: `user/1001@lab.test` writes the names of who is called to the leg that calls, too.
    let called = [
        ("Call-Direction", "outbound"),
        ("variable_dialed_user", "1001"),
        ("variable_dialed_domain", "lab.test"),
    ];
    device(&called, Some("1001@lab.test"));
    let mut has_called = called.to_vec();
    has_called.push(("variable_originated_legs", "ARRAY::a;x;y|:b;x;y"));
    device(&has_called, None);
}

#[test]
fn arming_is_what_the_leg_has_run_or_will_run() {
    let arming = |changes: &[(&str, &str)]| {
        translate::snapshot_leg(&dump(changes))
            .unwrap()
            .facts
            .arming
    };
    assert_eq!(arming(&[]), Arming::No);
    let prepared = (
        "variable_execute_on_answer_callhop_2",
        "set callhop_armed=true",
    );
    assert_eq!(arming(&[prepared]), Arming::Prepared);
    assert_eq!(
        arming(&[prepared, ("variable_callhop_armed", "true")]),
        Arming::Armed
    );
    assert_eq!(
        arming(&[prepared, ("variable_callhop_armed", "false")]),
        Arming::Prepared
    );
}

#[test]
fn the_push_code_is_told_by_an_event_of_its_own() {
    let event = |name: &str, subclass: &str, leg: &str| {
        let headers = [
            ("Event-Name", name),
            ("Event-Subclass", subclass),
            ("Unique-ID", leg),
        ];
        translate::push_key(&Event::build(&headers, "")).map(|leg| leg.to_string())
    };
    assert_eq!(event("CUSTOM", "callhop::push", LEG), Some(LEG.to_owned()));
    assert_eq!(event("CUSTOM", "sofia::register", LEG), None);
    assert_eq!(event("CHANNEL_ANSWER", "callhop::push", LEG), None);
    assert_eq!(event("CUSTOM", "callhop::push", "a b"), None);
}

#[test]
fn digits_are_those_of_rfc_4733() {
    let event = |name: &str, digit: &str| {
        let headers = [
            ("Event-Name", name),
            ("Unique-ID", LEG),
            ("DTMF-Digit", digit),
        ];
        translate::digit(&Event::build(&headers, "")).map(|(_, digit)| digit)
    };
    for digit in "0123456789*#ABCD".chars() {
        assert_eq!(event("DTMF", &digit.to_string()), Some(digit));
    }
    for other in ["", "F", "a", "12", "\u{661}"] {
        assert_eq!(event("DTMF", other), None, "{other:?}");
    }
    assert_eq!(event("CHANNEL_ANSWER", "1"), None);
}

#[test]
fn a_job_that_failed_tells_the_push_and_the_cause() {
    const ID: &str = "01234567-89ab-cdef-0000-00000000002a";
    let job = |id: &str, body: &str| {
        let headers = [("Event-Name", "BACKGROUND_JOB"), ("Job-UUID", id)];
        translate::not_reached(&Event::build(&headers, body))
            .map(|(id, cause)| format!("{id} {cause}"))
    };
    assert_eq!(job(ID, "-ERR USER_BUSY\n"), Some(format!("{ID} user_busy")));
    assert_eq!(
        job(ID, "-ERR Cannot create outgoing channel of type [x]\n"),
        Some(format!("{ID} unknown_cause"))
    );
    assert_eq!(job(ID, "+OK 44ee4707-f06a-4ccc-a49c-9d37728368c2\n"), None);
    // The job of somebody else: a UUID all the same, and no push has it.
    assert_eq!(job("not-a-job", "-ERR USER_BUSY\n"), None);
}

#[test]
fn a_subscription_names_its_lamp_and_nothing_else_is_believed_of_it() {
    let asked = |name: &str, to: &str| {
        let headers = [("Event-Name", name), ("from", "1001@lab.test"), ("to", to)];
        translate::lamp_asked(&Event::build(&headers, "")).map(|lamp| lamp.to_string())
    };
    let probe = "PRESENCE_PROBE";
    for (to, expect) in [
        (
            "callhop+1000*1002@Lab.Test",
            Some("callhop+1000*1002@lab.test"),
        ),
        ("callhop+1000@other.test", Some("callhop+1000@other.test")),
        ("1000@lab.test", None),
        ("flow+1000@lab.test", None),
        ("callhop+1000", None),
        ("callhop+1000@lab/test", None),
        ("callhop+${x}@lab.test", None),
        ("callhop+1000\nproto: sip@lab.test", None),
    ] {
        assert_eq!(asked(probe, to).as_deref(), expect, "{to}");
    }
    assert_eq!(asked("PRESENCE_IN", "callhop+1000@lab.test"), None);
}

//! Actions as the switch will read them, and what never gets into one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use std::str::FromStr;
use std::time::Duration;

use bytes::BytesMut;
use callhop_ami::action::{
    AnswerForm, Application, Cause, ConsoleCommand, DeviceState, DialTo, EncodeError, EventFilter,
    EventMask, Goto, MAX_HEADERS, MAX_LINE, MuteDirection, Then, Value, Variable,
};
use callhop_ami::word::{
    ActionId, Aor, ChannelName, ContactUri, Context, DbKey, DialString, Digit, Endpoint, Exten,
    FieldName, UniqueId, UserName, VarName, VarValue, Word, WordError,
};
use callhop_ami::{Action, FrameCodec, FrameKind, Limits, Privilege, Secret};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

fn w<W: FromStr<Err = WordError>>(text: &str) -> W {
    text.parse().unwrap()
}

fn encode(action: &Action) -> Result<String, EncodeError> {
    let mut dst = BytesMut::from("before");
    let done = action.encode(&w("id-7"), &mut dst);
    let text = String::from_utf8(dst.to_vec()).unwrap();
    let text = text.strip_prefix("before").unwrap().to_owned();
    if done.is_err() {
        assert_eq!(text, "", "nothing is left of a refused action");
    }
    done.map(|()| text)
}

/// `want` is what follows `ActionID`, one line each.
fn check(action: Action, want: &[&str]) {
    let text = encode(&action).unwrap();
    let mut lines = vec![
        format!("Action: {}", action.name()),
        "ActionID: id-7".to_owned(),
    ];
    lines.extend(want.iter().map(|line| (*line).to_owned()));
    assert_eq!(text, lines.join("\r\n") + "\r\n\r\n", "{action:?}");
    read_one(&text);
}

/// One action, as a server reads it.
fn read_one(text: &str) -> callhop_ami::Frame {
    let mut octets = BytesMut::from(text);
    let mut codec = FrameCodec::without_greeting(Limits::default());
    let frame = codec.decode(&mut octets).unwrap().unwrap();
    assert_eq!(frame.kind(), FrameKind::Action);
    assert!(octets.is_empty(), "one action is one action");
    frame
}

fn goto(context: &str, exten: &str) -> Goto {
    Goto {
        context: w(context),
        exten: w(exten),
    }
}

const F: &str = "PJSIP/2001-00000007";
const D: &str = "PJSIP/1001-00000008";

#[test]
fn sessions() {
    check(Action::Challenge, &["AuthType: MD5"]);
    check(Action::Logoff, &[]);
    check(Action::Ping, &[]);
    check(
        Action::Login {
            user: w("companion"),
            secret: Secret::new("s3 cret"),
            events: EventMask::Classes(vec![Privilege::Call, Privilege::Dtmf]),
        },
        &[
            "Username: companion",
            "Secret: s3 cret",
            "Events: call,dtmf",
        ],
    );
    check(
        Action::LoginMd5 {
            user: w("companion"),
            secret: Secret::new("s3cret"),
            challenge: w("812603998"),
            events: EventMask::Off,
        },
        &[
            "AuthType: MD5",
            "Username: companion",
            // printf 812603998s3cret | md5sum
            "Key: a4022935b89dbc7ec333ea36c733c7e4",
            "Events: off",
        ],
    );
    check(Action::Events(EventMask::Off), &["EventMask: off"]);
    check(
        Action::Events(EventMask::Classes(vec![])),
        &["EventMask: off"],
    );
    check(
        Action::Filter(EventFilter::Only(w("DTMFEnd"))),
        &["Operation: Add", "Filter: Event: DTMFEnd[^A-Za-z]"],
    );
    check(
        Action::Filter(EventFilter::NoneInside),
        &[
            "Operation: Add",
            "Filter: ![[:cntrl:]][[:space:]]*[Ee][Vv][Ee][Nn][Tt][[:space:]]*:",
        ],
    );
    let secret = Action::Login {
        user: w("u"),
        secret: Secret::new("hunter2"),
        events: EventMask::Off,
    };
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn channels() {
    check(Action::CoreStatus, &[]);
    check(Action::CoreSettings, &[]);
    check(Action::CoreShowChannels, &[]);
    check(Action::ListCommands, &[]);
    check(Action::ShowDialplan, &[]);
    check(
        Action::ModuleCheck {
            module: w("func_curl"),
        },
        &["Module: func_curl"],
    );
    check(
        Action::Status {
            channel: Some(w(D)),
            variables: vec![
                Variable::Name(w("DEV")),
                Variable::Name(w("BRIDGEPEER")),
                Variable::ChannelOnhold,
            ],
        },
        &[
            "Channel: PJSIP/1001-00000008",
            "Variables: DEV,BRIDGEPEER,CHANNEL(onhold)",
        ],
    );
    check(
        Action::Status {
            channel: None,
            variables: vec![],
        },
        &[],
    );
    check(
        Action::Setvar {
            channel: Some(w(F)),
            name: w("__CC_BACK"),
            value: Value::Plain(w(D)),
        },
        &[
            "Channel: PJSIP/2001-00000007",
            "Variable: __CC_BACK",
            "Value: PJSIP/1001-00000008",
        ],
    );
    check(
        Action::Setvar {
            channel: None,
            name: w("CC_HUNT"),
            value: Value::Dial(w("PJSIP/1001&PJSIP/1002,20^PJSIP/1003,15")),
        },
        &[
            "Variable: CC_HUNT",
            "Value: PJSIP/1001&PJSIP/1002,20^PJSIP/1003,15",
        ],
    );
    check(
        Action::Setvar {
            channel: None,
            name: w("CC_FAR"),
            value: Value::Plain(w("")),
        },
        &["Variable: CC_FAR", "Value: "],
    );
    check(
        Action::SetDeviceState {
            name: w("callhop+1000*1002@lab.test"),
            state: DeviceState::InUse,
        },
        &[
            "Variable: DEVICE_STATE(Custom:callhop+1000*1002@lab.test)",
            "Value: INUSE",
        ],
    );
    check(
        Action::Redirect {
            channel: w(F),
            to: goto("cc-push-far", "hold"),
            extra: None,
        },
        &[
            "Channel: PJSIP/2001-00000007",
            "Context: cc-push-far",
            "Exten: hold",
            "Priority: 1",
        ],
    );
    check(
        Action::Redirect {
            channel: w(F),
            to: goto("cc-push-far", "hold"),
            extra: Some((w(D), goto("cc-push-dev", "collect"))),
        },
        &[
            "Channel: PJSIP/2001-00000007",
            "Context: cc-push-far",
            "Exten: hold",
            "Priority: 1",
            "ExtraChannel: PJSIP/1001-00000008",
            "ExtraContext: cc-push-dev",
            "ExtraExten: collect",
            "ExtraPriority: 1",
        ],
    );
    check(
        Action::Hangup {
            channel: w("Local/1003@common-00000000;1"),
            cause: Cause::ANSWERED_ELSEWHERE,
        },
        &["Channel: Local/1003@common-00000000;1", "Cause: 26"],
    );
    check(
        Action::Bridge {
            channel: w(D),
            other: w(F),
            tone: false,
        },
        &[
            "Channel1: PJSIP/1001-00000008",
            "Channel2: PJSIP/2001-00000007",
            "Tone: no",
        ],
    );
    check(
        Action::PlayDtmf {
            channel: w(D),
            digit: w("#"),
            duration: Some(Duration::from_millis(120)),
            receive: true,
        },
        &[
            "Channel: PJSIP/1001-00000008",
            "Digit: #",
            "Duration: 120",
            "Receive: true",
        ],
    );
    check(
        Action::MuteAudio {
            channel: w(D),
            direction: MuteDirection::In,
            on: true,
        },
        &["Channel: PJSIP/1001-00000008", "Direction: in", "State: on"],
    );
    assert_eq!(Cause::new(0), None);
    assert_eq!(Cause::new(128), None);
    assert_eq!(Cause::new(16), Some(Cause::NORMAL_CLEARING));
}

#[test]
fn originate() {
    let action = |dial, other, then, caller, variables| Action::Originate {
        dial,
        channel_id: w("callhop-1"),
        other_channel_id: other,
        then,
        timeout: Duration::from_secs(30),
        caller,
        variables,
        early_media: false,
    };
    check(
        action(
            DialTo::Endpoint(w("1001")),
            None,
            Then::Run(Application::Bridge(w(F))),
            Some((w("+4930123"), w("Far End"))),
            vec![
                (w("A"), Value::Plain(w("1"))),
                (w("__B"), Value::Plain(w("x=y"))),
            ],
        ),
        &[
            "Channel: PJSIP/1001",
            "ChannelId: callhop-1",
            "Application: Bridge",
            "Data: PJSIP/2001-00000007",
            "Timeout: 30000",
            "CallerID: Far End <+4930123>",
            "EarlyMedia: false",
            "Async: true",
            "Variable: A=1",
            "Variable: __B=x=y",
        ],
    );
    // A dial string may hold commas, which part variables there.
    let parted = action(
        DialTo::Endpoint(w("1001")),
        None,
        Then::Run(Application::Wait(1)),
        None,
        vec![(w("A"), Value::Dial(w("PJSIP/1001,20")))],
    );
    assert_eq!(
        encode(&parted),
        Err(EncodeError::Character {
            what: "Variable",
            character: ','
        })
    );
    check(
        action(
            DialTo::Contact(w("1001"), w("sip:1001@127.0.0.1:17060;ob")),
            None,
            Then::Goto(goto("recall", "s")),
            None,
            vec![],
        ),
        &[
            "Channel: PJSIP/1001/sip:1001@127.0.0.1:17060;ob",
            "ChannelId: callhop-1",
            "Context: recall",
            "Exten: s",
            "Priority: 1",
            "Timeout: 30000",
            "EarlyMedia: false",
            "Async: true",
        ],
    );
    check(
        action(
            DialTo::Local(goto("common", "1003")),
            Some(w("callhop-2")),
            Then::Run(Application::Wait(5)),
            None,
            vec![],
        ),
        &[
            "Channel: Local/1003@common/n",
            "ChannelId: callhop-1",
            "OtherChannelId: callhop-2",
            "Application: Wait",
            "Data: 5",
            "Timeout: 30000",
            "EarlyMedia: false",
            "Async: true",
        ],
    );
}

#[test]
fn the_site() {
    check(Action::PjsipShowEndpoints, &[]);
    check(
        Action::PjsipShowEndpoint {
            endpoint: w("1001"),
        },
        &["Endpoint: 1001"],
    );
    check(Action::PjsipShowContacts, &[]);
    check(Action::PjsipShowRegistrationInboundContactStatuses, &[]);
    check(
        Action::DbPut {
            family: w("cchunt"),
            key: w("1000@example.com"),
            value: Value::Dial(w("PJSIP/1001&PJSIP/1002")),
        },
        &[
            "Family: cchunt",
            "Key: 1000@example.com",
            "Val: PJSIP/1001&PJSIP/1002",
        ],
    );
    let (family, key) = (w::<DbKey>("f"), w::<DbKey>("k"));
    check(
        Action::DbGet {
            family: family.clone(),
            key: key.clone(),
        },
        &["Family: f", "Key: k"],
    );
    check(
        Action::DbDel {
            family: family.clone(),
            key,
        },
        &["Family: f", "Key: k"],
    );
    check(
        Action::DbGetTree {
            family: family.clone(),
        },
        &["Family: f"],
    );
    check(Action::DbDelTree { family }, &["Family: f"]);
    check(
        Action::UserEvent {
            name: w("CallhopBarrier"),
            fields: vec![(w("Nonce"), w("77"))],
        },
        &["UserEvent: CallhopBarrier", "Nonce: 77"],
    );
    check(
        Action::ExtensionState {
            exten: w("*50"),
            context: w("devices"),
        },
        &["Exten: *50", "Context: devices"],
    );
}

#[test]
fn variables_and_the_console() {
    fn variable(variable: Variable, want: &str) {
        check(
            Action::Getvar {
                channel: None,
                variable,
            },
            &[&format!("Variable: {want}")],
        );
    }
    variable(Variable::Name(w("BRIDGEPEER")), "BRIDGEPEER");
    variable(Variable::ChannelEndpoint, "CHANNEL(endpoint)");
    variable(Variable::ChannelLinkedid, "CHANNEL(linkedid)");
    variable(Variable::ChannelOnhold, "CHANNEL(onhold)");
    variable(Variable::ChannelState, "CHANNEL(state)");
    variable(Variable::ChannelRemoteAddress, "CHANNEL(pjsip,remote_addr)");
    variable(Variable::ChannelCallId, "CHANNEL(pjsip,call-id)");
    variable(Variable::CallerNumber, "CALLERID(num)");
    variable(Variable::CallerName, "CALLERID(name)");
    variable(Variable::ConnectedNumber, "CONNECTEDLINE(num)");
    variable(Variable::ConnectedName, "CONNECTEDLINE(name)");
    variable(
        Variable::EndpointState(w("1001")),
        "DEVICE_STATE(PJSIP/1001)",
    );
    variable(Variable::CustomState(w("x")), "DEVICE_STATE(Custom:x)");
    variable(
        Variable::DialContacts(w("1001")),
        "PJSIP_DIAL_CONTACTS(1001)",
    );
    variable(
        Variable::EndpointSetting(w("1001"), w("context")),
        "PJSIP_ENDPOINT(1001,context)",
    );
    variable(
        Variable::AorSetting(w("1001@b.test"), w("max_contacts")),
        "PJSIP_AOR(1001@b.test,max_contacts)",
    );
    variable(
        Variable::Feature(w("featuredigittimeout")),
        "FEATURE(featuredigittimeout)",
    );
    variable(
        Variable::FeatureMap(w("blindxfer")),
        "FEATUREMAP(blindxfer)",
    );
    variable(
        Variable::Curl("[::1]:8085".parse().unwrap(), w("healthz")),
        "CURL(http://[::1]:8085/healthz)",
    );
    variable(
        Variable::DialplanExists(w("cc-pull"), w("s")),
        "DIALPLAN_EXISTS(cc-pull,s,1)",
    );
    variable(
        Variable::ManagerSessions(w("companion")),
        "AMI_CLIENT(companion,sessions)",
    );

    fn console(command: ConsoleCommand, want: &str) {
        check(Action::Command(command), &[&format!("Command: {want}")]);
    }
    console(ConsoleCommand::CoreShowVersion, "core show version");
    console(
        ConsoleCommand::DialplanShow(w("cc-pull")),
        "dialplan show cc-pull",
    );
    console(
        ConsoleCommand::ModuleShowLike(w("app_dial")),
        "module show like app_dial",
    );
    console(ConsoleCommand::FeaturesShow, "features show");
    console(
        ConsoleCommand::ManagerShowUser(w("companion")),
        "manager show user companion",
    );
    console(ConsoleCommand::ManagerShowSettings, "manager show settings");
    console(
        ConsoleCommand::PjsipShowEndpoint(w("1001")),
        "pjsip show endpoint 1001",
    );
    console(ConsoleCommand::PjsipShowContacts, "pjsip show contacts");
    console(
        ConsoleCommand::PjsipShowAor(w("1001")),
        "pjsip show aor 1001",
    );
    console(ConsoleCommand::PjsipShowChannels, "pjsip show channels");
    console(
        ConsoleCommand::DatabaseShow(w("cchunt")),
        "database show cchunt",
    );
    console(ConsoleCommand::CoreShowHints, "core show hints");
}

#[test]
fn what_asterisk_would_not_read() {
    let secret = |text: &str| Action::Login {
        user: w("u"),
        secret: Secret::new(text),
        events: EventMask::Off,
    };
    for character in ['\r', '\n', '\0'] {
        assert_eq!(
            encode(&secret(&format!("a{character}b"))),
            Err(EncodeError::Character {
                what: "Secret",
                character
            })
        );
    }
    assert_eq!(encode(&secret("a ")), Err(EncodeError::Blank("Secret")));
    let fits = "x".repeat(MAX_LINE - "Secret: ".len());
    assert!(encode(&secret(&fits)).is_ok());
    assert_eq!(
        encode(&secret(&(fits + "x"))),
        Err(EncodeError::LongLine {
            what: "Secret",
            length: MAX_LINE + 1
        })
    );
    let event = |fields: usize| Action::UserEvent {
        name: w("X"),
        fields: (0..fields).map(|i| (w(&format!("F{i}")), w(""))).collect(),
    };
    assert!(encode(&event(MAX_HEADERS - 3)).is_ok());
    assert_eq!(
        encode(&event(MAX_HEADERS - 2)),
        Err(EncodeError::TooMany(MAX_HEADERS + 1))
    );
}

#[test]
fn lists_and_permissions() {
    fn check(action: Action, form: AnswerForm, needs: &[Privilege]) {
        assert_eq!(action.answer_form(), form, "{action:?}");
        assert_eq!(action.permission(), needs, "{action:?}");
    }
    check(Action::Ping, AnswerForm::Single, &[]);
    check(
        Action::CoreShowChannels,
        AnswerForm::List,
        &[Privilege::System, Privilege::Reporting],
    );
    check(
        Action::PjsipShowContacts,
        AnswerForm::List,
        &[Privilege::System],
    );
    check(Action::ListCommands, AnswerForm::Single, &[]);
    check(
        Action::ShowDialplan,
        AnswerForm::List,
        &[Privilege::Config, Privilege::Reporting],
    );
    check(
        Action::Command(ConsoleCommand::FeaturesShow),
        AnswerForm::Single,
        &[Privilege::Command],
    );
}

/// `good` are words, `bad` are none.
fn words<W: FromStr<Err = WordError> + ToString>(good: &[&str], bad: &[&str]) {
    for text in good {
        let word: W = text
            .parse()
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(&word.to_string(), text);
    }
    for text in bad {
        assert!(text.parse::<W>().is_err(), "{text:?}");
    }
    for bad in [
        "a\r\nAction: Logoff",
        "a\n",
        "\ra",
        "a\0",
        "a\u{2028}",
        "ä",
        "a${B}",
        "a$[1]",
        "a|b",
        "a\"",
        "a\\",
        "a`",
        "a'",
    ] {
        assert!(bad.parse::<W>().is_err(), "{bad:?}");
    }
    assert!("x".repeat(2000).parse::<W>().is_err());
}

#[test]
fn what_is_a_word() {
    words::<Aor>(
        &["1001", "1001@b.test", "a_b+c-d"],
        &["", "-1", "1001/sip:x", "1001,max_contacts", "1)"],
    );
    words::<ChannelName>(
        &[
            "PJSIP/1001-00000008",
            "Local/100@common-00000001;1",
            "PJSIP/trunk_a.b+c-0000000a",
            "AsyncGoto/PJSIP/1001-00000008",
            "SIP/*50#-1",
        ],
        &[
            "",
            "PJSIP",
            "PJSIP/",
            "/PJSIP.*/",
            "/^x",
            "-x/1",
            "PJSIP/1,x",
            "PJSIP/1&PJSIP/2",
            "PJSIP/1 x",
            "PJSIP/1<ZOMBIE>",
            "P@/1",
        ],
    );
    words::<UniqueId>(
        &["1795813545.12", "sys-1795813545.12", "callhop:1"],
        &["", "a b", "a;1", "a,b", "-a"],
    );
    words::<Endpoint>(
        &["1001", "tenant-1001", "a.b_c+d"],
        &["", "1001@a", "a/b", "a&b", "a,b", "-a", "a b"],
    );
    words::<Context>(
        &["cc-push-far", "default", "a.b_c"],
        &["", "a b", "a@b", "a,b", "-a", "a(b"],
    );
    words::<Exten>(
        &["*33", "*9#", "+4930", "s", "1_2"],
        &["", "_X.", "a b", "a,1", "-1", "a@b", "a/b"],
    );
    words::<VarName>(
        &["CC_FAR", "_A", "__CC_BACK", "a1"],
        &["", "_", "__", "1a", "A(b)", "A-B", "A B", "A=B", "A,B"],
    );
    words::<VarValue>(
        &["", "PJSIP/1001-00000008", "a b", "Local/1@c-1;1", "x=y"],
        &[" a", "a ", "a,b", "a&b", "a(b)", "a^b", "a{b", "a[b"],
    );
    words::<DialString>(
        &[
            "PJSIP/1001&PJSIP/1002,20^PJSIP/1003,15",
            "PJSIP/1001/sip:1001@127.0.0.1:5061;ob",
        ],
        &["", "PJSIP/1 ", "a(b)", "a<b", "-a"],
    );
    words::<ContactUri>(
        &[
            "sip:1001@127.0.0.1:17060;ob",
            "sips:a@[2001:db8::1]:5061;transport=tls",
        ],
        &[
            "", "tel:1", "sip:a,b", "sip:a&b", "sip:a/b", "sip:a b", "<sip:a>",
        ],
    );
    words::<DbKey>(
        &["cchunt", "1000@example.com", "*50"],
        &["", "a/b", "a b", "-a", "a,b"],
    );
    words::<ActionId>(&["callhop-1", "a.b:c_d"], &["", "a b", "-a", "a/b"]);
    words::<UserName>(&["companion", "a@b"], &["", "a b", "a,b", "-a"]);
    words::<Word>(&["app_dial", "res_pjsip.so"], &["", "a b", "a;b", "-a"]);
    words::<FieldName>(
        &["Nonce", "X-A"],
        &[
            "",
            "action",
            "ActionID",
            "EVENT",
            "Privilege",
            "a b",
            "a:b",
            "-a",
        ],
    );
    words::<Digit>(&["0", "9", "*", "#", "A", "D"], &["", "E", "a", "12", " "]);
}

proptest! {
    /// Whatever is taken as a word makes exactly one action, which holds the word unchanged.
    #[test]
    fn a_word_stays_in_its_header(a in "[ -~\r\n\0]{0,40}", b in "[A-Za-z0-9/:;@,&^ ._*#+-]{0,40}") {
        for text in [&a, &b] {
            let one = |action: Action, header: &str, want: &str| {
                let encoded = encode(&action).unwrap();
                let frame = read_one(&encoded);
                assert_eq!(frame.get(header).as_deref(), Some(want));
                assert!(!encoded.trim_end().contains(['\0', '$', '"', '\\']));
                encoded.lines().count()
            };
            if let Ok(value) = VarValue::new(text.as_str()) {
                let lines = one(Action::Setvar { channel: None, name: w("A"), value: value.into() }, "Value", text);
                prop_assert_eq!(lines, 5);
            }
            if let Ok(value) = DialString::new(text.as_str()) {
                let lines = one(Action::DbPut { family: w("f"), key: w("k"), value: value.into() }, "Val", text);
                prop_assert_eq!(lines, 6);
            }
            if let Ok(channel) = ChannelName::new(text.as_str()) {
                let lines = one(Action::Hangup { channel, cause: Cause::USER_BUSY }, "Channel", text);
                prop_assert_eq!(lines, 5);
            }
            if let Ok(exten) = Exten::new(text.as_str()) {
                let lines = one(Action::ExtensionState { exten, context: w("c") }, "Exten", text);
                prop_assert_eq!(lines, 5);
            }
        }
    }

    #[test]
    fn any_secret_is_one_header_or_refused(secret in any::<String>()) {
        let action = Action::Login { user: w("u"), secret: Secret::new(secret.as_str()), events: EventMask::Off };
        if let Ok(text) = encode(&action) {
            let frame = read_one(&text);
            let got = frame.get("Secret").map(|text| text.into_owned());
            prop_assert_eq!(got, Some(secret));
        }
    }
}

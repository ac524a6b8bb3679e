//! Commands as the switch will read them, and what never gets into one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

use bytes::BytesMut;
use callhop_esl::command::{EncodeError, Leg, Message, Then, TransferTo};
use callhop_esl::word::{
    AppArg, DialString, HashKey, Number, OriginateValue, Sound, Subclass, Uuid36, VarName,
    VarValue, Word, WordError,
};
use callhop_esl::{Api, Command, EventName, Secret};
use proptest::prelude::*;

const D1: &str = "77178d17-6e3a-428c-b0c6-ee9fdf1c22d3";
const D2: &str = "06794e57-b1d2-45a8-8303-5eef17956665";

fn uuid(text: &str) -> Uuid36 {
    text.parse().unwrap()
}

fn word(text: &str) -> Word {
    text.parse().unwrap()
}

fn encode(command: &Command) -> Result<String, EncodeError> {
    let mut dst = BytesMut::from("before");
    let done = command.encode(&mut dst);
    let text = String::from_utf8(dst.to_vec()).unwrap();
    let text = text.strip_prefix("before").unwrap().to_owned();
    if done.is_err() {
        assert_eq!(text, "", "nothing is left of a refused command");
    }
    done.map(|()| text)
}

/// A command as `read_packet` and `parse_command` of mod_event_socket take it apart.
#[derive(Debug, PartialEq)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// All commands in these octets.
fn receive(mut octets: &str) -> Vec<Received> {
    let mut all = Vec::new();
    while !octets.is_empty() {
        let (head, rest) = octets.split_once("\n\n").expect("an unfinished command");
        let mut lines = head.split('\n');
        let line = lines.next().unwrap().to_owned();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse().unwrap());
        let (body, rest) = rest.split_at(length);
        all.push(Received {
            line,
            headers,
            body: body.to_owned(),
        });
        octets = rest;
    }
    all
}

fn check(command: Command, want: &str) {
    assert_eq!(encode(&command).as_deref(), Ok(want), "{command:?}");
    assert_eq!(receive(want).len(), 1, "{want:?}");
}

fn check_api(api: Api, want: &str) {
    check(Command::Api(api.clone()), &format!("api {want}\n\n"));
    let job = uuid(D2);
    check(
        Command::BgApi {
            api: api.clone(),
            job,
        },
        &format!("bgapi {want}\nJob-UUID: {D2}\n\n"),
    );
    assert_eq!(want.split(' ').next(), Some(api.name()));
}

#[test]
fn commands() {
    check(Command::Auth(Secret::new("Clue Con")), "auth Clue Con\n\n");
    check(Command::Exit, "exit\n\n");
    check(Command::Connect, "connect\n\n");
    check(Command::MyEvents, "myevents plain\n\n");
    check(Command::Linger { seconds: 5 }, "linger 5\n\n");
    let custom: Vec<Subclass> = vec![
        "sofia::register".parse().unwrap(),
        "callhop::push".parse().unwrap(),
    ];
    check(
        Command::EventPlain {
            // CUSTOM wherever it stands: it has to come last.
            names: vec![
                EventName::Custom,
                EventName::ChannelCreate,
                EventName::Unknown("TRAP".to_owned()),
            ],
            custom: custom.clone(),
        },
        "event plain CHANNEL_CREATE TRAP CUSTOM sofia::register callhop::push\n\n",
    );
    check(
        Command::EventPlain {
            names: vec![EventName::Custom],
            custom: vec![],
        },
        "event plain CUSTOM\n\n",
    );
    check(
        Command::NixEvent {
            names: vec![EventName::Dtmf],
            custom,
        },
        "nixevent DTMF CUSTOM sofia::register callhop::push\n\n",
    );
    check(
        Command::SendEvent {
            name: EventName::PresenceIn,
            headers: vec![
                ("proto", "callhop".parse().unwrap()),
                ("from", "callhop+1000*1002@lab.test".parse().unwrap()),
            ],
        },
        "sendevent PRESENCE_IN\nproto: callhop\nfrom: callhop+1000*1002@lab.test\n\n",
    );
    check(
        Command::SendMsg {
            uuid: Some(uuid(D1)),
            message: Message::Execute {
                app: word("playback"),
                arg: "tone_stream://%(200,0,500);loops=1".parse().unwrap(),
                event_lock: true,
            },
        },
        &format!(
            "sendmsg {D1}\ncall-command: execute\nexecute-app-name: playback\nevent-lock: true\n\
             content-type: text/plain\ncontent-length: 34\n\ntone_stream://%(200,0,500);loops=1"
        ),
    );
    check(
        Command::SendMsg {
            uuid: None,
            message: Message::Execute {
                app: word("answer"),
                arg: AppArg::new("").unwrap(),
                event_lock: false,
            },
        },
        "sendmsg\ncall-command: execute\nexecute-app-name: answer\n\n",
    );
    check(
        Command::SendMsg {
            uuid: None,
            message: Message::Hangup {
                cause: word("NORMAL_CLEARING"),
            },
        },
        "sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING\n\n",
    );
}

#[test]
fn api_commands() {
    let extension = |number: &str, context: &str| TransferTo::Extension {
        number: number.parse().unwrap(),
        context: word(context),
    };
    check_api(Api::UuidDump { uuid: uuid(D1) }, &format!("uuid_dump {D1}"));
    check_api(
        Api::UuidExists { uuid: uuid(D1) },
        &format!("uuid_exists {D1}"),
    );
    check_api(
        Api::UuidSetvar {
            uuid: uuid(D1),
            name: "sip_reason".parse().unwrap(),
            value: "SIP;cause=200;text=\"Call completed elsewhere\""
                .parse()
                .unwrap(),
        },
        &format!("uuid_setvar {D1} sip_reason SIP;cause=200;text=\"Call completed elsewhere\""),
    );
    check_api(
        Api::UuidSetvarMulti {
            uuid: uuid(D1),
            variables: vec![
                ("a".parse().unwrap(), "b=c".parse().unwrap()),
                (
                    "execute_on_answer_callhop_1".parse().unwrap(),
                    "bind_digit_action ^^|callhop|*9|exec[i]:event|Event-Name=CUSTOM,Event-Subclass=callhop::push|self|self"
                        .parse()
                        .unwrap(),
                ),
            ],
        },
        &format!("uuid_setvar_multi {D1} a=b=c;execute_on_answer_callhop_1=bind_digit_action ^^|callhop|*9|exec[i]:event|Event-Name=CUSTOM,Event-Subclass=callhop::push|self|self"),
    );
    check_api(
        Api::UuidRecvDtmf {
            uuid: uuid(D1),
            digits: "*9".parse().unwrap(),
        },
        &format!("uuid_recv_dtmf {D1} *9"),
    );
    check_api(
        Api::UuidUnsetvar {
            uuid: uuid(D1),
            name: "sip_reason".parse().unwrap(),
        },
        &format!("uuid_setvar {D1} sip_reason"),
    );
    check_api(
        Api::UuidKill {
            uuid: uuid(D1),
            cause: word("NORMAL_CLEARING"),
        },
        &format!("uuid_kill {D1} NORMAL_CLEARING"),
    );
    check_api(
        Api::UuidTransfer {
            uuid: uuid(D1),
            leg: Leg::Own,
            to: extension("*33", "default"),
        },
        &format!("uuid_transfer {D1} *33 XML default"),
    );
    check_api(
        Api::UuidTransfer {
            uuid: uuid(D1),
            leg: Leg::Partner,
            to: TransferTo::Intercept { far: uuid(D2) },
        },
        &format!("uuid_transfer {D1} -bleg intercept:{D2} inline"),
    );
    check_api(
        Api::UuidTransfer {
            uuid: uuid(D1),
            leg: Leg::Both,
            to: extension("a", "b"),
        },
        &format!("uuid_transfer {D1} -both a XML b"),
    );
    check_api(
        Api::UuidDualTransfer {
            uuid: uuid(D1),
            own: extension("push", "ctx"),
            partner: TransferTo::Intercept { far: uuid(D2) },
        },
        &format!("uuid_dual_transfer {D1} push/XML/ctx intercept:{D2}/inline"),
    );
    check_api(
        Api::UuidBroadcast {
            uuid: uuid(D1),
            sound: "tone_stream://%(200,0,500);loops=1".parse().unwrap(),
            leg: Leg::Own,
        },
        &format!("uuid_broadcast {D1} tone_stream://%(200,0,500);loops=1 aleg"),
    );
    check_api(
        Api::UuidBreak { uuid: uuid(D1) },
        &format!("uuid_break {D1} all"),
    );
    check_api(
        Api::UuidBridge {
            uuid: uuid(D1),
            other: uuid(D2),
        },
        &format!("uuid_bridge {D1} {D2}"),
    );
    check_api(
        Api::Originate {
            variables: vec![
                ("origination_uuid".parse().unwrap(), D2.parse().unwrap()),
                (
                    "origination_caller_id_name".parse().unwrap(),
                    "via 1000: Ann Lee".parse().unwrap(),
                ),
            ],
            dial: "user/1001@lab.test,user/1002@lab.test".parse().unwrap(),
            then: Then::Intercept { far: uuid(D1) },
        },
        &format!(
            "originate {{origination_uuid={D2},origination_caller_id_name='via 1000: Ann Lee'}}user/1001@lab.test,user/1002@lab.test &intercept({D1})"
        ),
    );
    check_api(
        Api::Originate {
            variables: vec![],
            dial: "user/1001@lab.test".parse().unwrap(),
            then: Then::Park,
        },
        "originate user/1001@lab.test &park()",
    );
    check_api(
        Api::Originate {
            variables: vec![],
            dial: "user/1001@lab.test".parse().unwrap(),
            then: Then::Extension {
                number: "callhop_take".parse().unwrap(),
                context: "default".parse().unwrap(),
            },
        },
        "originate user/1001@lab.test callhop_take XML default",
    );
    check_api(Api::ShowChannels, "show channels as json");
    check_api(Api::ShowRegistrations, "show registrations as json");
    check_api(
        Api::SofiaContact {
            user: word("1001"),
            domain: word("lab.test"),
        },
        "sofia_contact */1001@lab.test",
    );
    check_api(Api::SofiaStatus, "sofia xmlstatus");
    check_api(
        Api::SofiaStatusProfile {
            name: word("internal"),
        },
        "sofia xmlstatus profile internal",
    );
    let dial = "[dialed_user=1001,dialed_domain=lab.test]sofia/internal/sip:1001@127.0.0.1:15060;ob,user/1002@lab.test";
    let key: HashKey = "1000@lab.test".parse().unwrap();
    check_api(
        Api::HashInsert {
            realm: word("callhop"),
            key: key.clone(),
            value: dial.parse().unwrap(),
        },
        &format!("hash ^^~insert~callhop~1000@lab.test~{dial}"),
    );
    check_api(
        Api::HashInsert {
            realm: word("callhop"),
            key: key.clone(),
            value: "sofia/a/sip:b~c@d".parse().unwrap(),
        },
        "hash ^^^insert^callhop^1000@lab.test^sofia/a/sip:b~c@d",
    );
    check_api(
        Api::HashSelect {
            realm: word("callhop"),
            key: key.clone(),
        },
        "hash select/callhop/1000@lab.test",
    );
    check_api(
        Api::HashDelete {
            realm: word("callhop"),
            key,
        },
        "hash delete/callhop/1000@lab.test",
    );
    check_api(
        Api::ModuleExists {
            name: word("mod_hash"),
        },
        "module_exists mod_hash",
    );
    check_api(
        Api::XmlLocate {
            section: word("directory"),
            tag: word("domain"),
            attribute: word("name"),
            value: word("lab.test"),
        },
        "xml_locate directory domain name lab.test",
    );
    check_api(
        Api::GlobalGetvar {
            name: "domain".parse().unwrap(),
        },
        "global_getvar domain",
    );
    check_api(Api::Status, "status");
    check_api(Api::Version, "version");
}

#[test]
fn what_is_no_command() {
    let refused = |command: Command, want: &str| {
        assert_eq!(encode(&command).unwrap_err().to_string(), want);
    };
    refused(
        Command::Auth(Secret::new("a\n\napi status")),
        "the password holds '\\n'",
    );
    refused(
        Command::Auth(Secret::new("a\r")),
        "the password holds '\\r'",
    );
    refused(
        Command::Auth(Secret::new("a\0")),
        "the password holds '\\0'",
    );
    refused(
        Command::EventPlain {
            names: vec![],
            custom: vec![],
        },
        "a subscription to no event",
    );
    for name in ["", "A B", "a", "A\nB"] {
        refused(
            Command::NixEvent {
                names: vec![EventName::Dtmf, EventName::Unknown(name.to_owned())],
                custom: vec![],
            },
            &format!("no name of an event: {name:?}"),
        );
    }
}

#[test]
fn no_password_in_debug() {
    let text = format!("{:?}", Command::Auth(Secret::new("hunter2")));
    assert_eq!(text, "Auth(Secret(..))");
}

/// What each kind of word takes and refuses; `^` stands for the character that the error names.
#[test]
fn words() {
    fn check<T: std::str::FromStr<Err = WordError>>(good: &[&str], bad: &[&str]) {
        for text in good {
            if let Err(error) = text.parse::<T>() {
                panic!("{text:?} is refused: {error}");
            }
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} is taken");
        }
    }
    let long = "a".repeat(9000);
    let never = [
        "a\nb", "a\rb", "a\0b", "${x}", "$x", "a\\b", "a'b", "ä", "^^:a", &long,
    ];

    check::<Uuid36>(
        &[D1],
        &[
            "",
            "x",
            &D1[1..],
            &D1.to_uppercase(),
            &format!("{D1}0"),
            &format!("{} ", &D1[1..]),
        ],
    );
    check::<Uuid36>(&[], &never);
    check::<Word>(
        &["1001", "lab.test", "NORMAL_CLEARING", "a-b"],
        &["", "-bleg", "a b", "a@b", "a,b", "a;b", "a|b", "%0a", "a/b"],
    );
    check::<Word>(&[], &never);
    check::<Number>(
        &["*33", "*331002", "#1", "+49301", "bob"],
        &["", "-both", "a b", "1@2", "1;2", "%0a"],
    );
    check::<Number>(&[], &never);
    check::<VarName>(&["sip_reason", "sip_h_X-Foo"], &["", "a=b", "a b", "-a"]);
    check::<VarName>(&[], &never);
    check::<VarValue>(
        &[
            "SIP;cause=200;text=\"Call completed elsewhere\"",
            "%(2000,4000,440,480)",
            "true",
        ],
        &["", " a", "a ", "`a`"],
    );
    check::<VarValue>(&[], &never);
    check::<HashKey>(
        &["1000@lab.test", "*33@a"],
        &["", "a/b", "a~b", "a^b", "a b", "-a"],
    );
    check::<HashKey>(&[], &never);
    check::<DialString>(
        &[
            "user/1001@lab.test,user/1002@lab.test",
            "[dialed_user=1001,presence_id=1001@lab.test]sofia/internal/sip:1001@127.0.0.1:15060;ob",
            "sofia/internal/sip:+49301@[::1]:5060;transport=tcp;fs_path=sip%3A10.0.0.1%3Blr",
        ],
        &[
            "",
            "a b",
            "{a=b}user/1",
            "<a=b>user/1",
            "user/1&user/2",
            "a\"b",
            "&park()",
        ],
    );
    check::<DialString>(&[], &never);
    check::<Sound>(
        &[
            "tone_stream://%(200,0,500);loops=1",
            "/usr/share/sounds/a.wav",
            "silence_stream://-1,1400",
        ],
        &["", "system::reboot", "a b", "a!b", "a|b", "-a"],
    );
    check::<Sound>(&[], &never);
    check::<Subclass>(&["sofia::register"], &["", "a b"]);
    check::<Subclass>(&[], &never);
    check::<AppArg>(
        &["", "a 'b' c", "1001 XML default"],
        &["${x}", "a\nb", "a\\b"],
    );
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let check = |error: WordError, want: &str| assert_eq!(error.to_string(), want);
    check(Word::new("a b").unwrap_err(), "word: ' ' is not allowed");
    check(Word::new("").unwrap_err(), "word: empty");
    check(
        Uuid36::new("abc").unwrap_err(),
        "uuid: 3 octets, at most 36 are allowed",
    );
    check(
        Sound::new("system::x").unwrap_err(),
        "sound: '::' makes it an application",
    );
    check(
        Word::new("-bleg").unwrap_err(),
        "word: begins with '-', which the switch reads as an option",
    );
}

proptest! {
    /// Whatever somebody manages to get into a word: the switch reads one command, with exactly these words.
    #[test]
    fn one_command_and_no_other(
        texts in proptest::array::uniform3(prop_oneof![any::<String>(), "[ -~\n]{0,12}", "[a-z0-9;=\"/@ ]{1,12}"]),
    ) {
        let [name, value, key] = &texts;
        if let (Ok(name), Ok(value)) = (VarName::new(name), VarValue::new(value)) {
            let command = Command::Api(Api::UuidSetvar { uuid: uuid(D1), name: name.clone(), value: value.clone() });
            let received = receive(&encode(&command).unwrap());
            let want = Received { line: format!("api uuid_setvar {D1} {name} {value}"), headers: vec![], body: String::new() };
            prop_assert_eq!(&received, &[want]);
            // The switch splits at the first two spaces (switch_separate_string with three arguments).
            let args: Vec<_> = received[0].line["api uuid_setvar ".len()..].splitn(3, ' ').collect();
            prop_assert_eq!(args, [D1, name.as_str(), value.as_str()]);
        }
        if let (Ok(key), Ok(value)) = (HashKey::new(key), DialString::new(value)) {
            let command = Command::Api(Api::HashInsert { realm: word("callhop"), key: key.clone(), value: value.clone() });
            let received = receive(&encode(&command).unwrap());
            prop_assert_eq!(received.len(), 1);
            let arg = received[0].line.strip_prefix("api hash ^^").unwrap();
            let separator = arg.chars().next().unwrap();
            let parts: Vec<_> = arg[1..].split(separator).collect();
            prop_assert_eq!(parts, ["insert", "callhop", key.as_str(), value.as_str()]);
        }
        if let Ok(arg) = AppArg::new(value) {
            let command = Command::SendMsg {
                uuid: Some(uuid(D1)),
                message: Message::Execute { app: word("set"), arg: arg.clone(), event_lock: false },
            };
            let received = receive(&encode(&command).unwrap());
            prop_assert_eq!(received.len(), 1);
            prop_assert_eq!(&received[0].body, arg.as_str());
        }
        let auth = Command::Auth(Secret::new(value.as_str()));
        match encode(&auth) {
            Ok(octets) => prop_assert_eq!(octets, format!("auth {value}\n\n")),
            Err(_) => prop_assert!(value.contains(['\r', '\n', '\0'])),
        }
    }
}

#[test]
fn several_variables_and_those_of_a_new_call_keep_apart() {
    let refused = |variables: Vec<(&str, &str)>| {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let api = Api::UuidSetvarMulti {
            uuid: uuid(D1),
            variables: variables.collect(),
        };
        let mut out = BytesMut::new();
        let error = Command::Api(api).encode(&mut out).unwrap_err();
        assert!(out.is_empty(), "nothing is written of what is refused");
        error.to_string()
    };
    assert_eq!(refused(vec![]), "no variable to set");
    assert_eq!(
        refused(vec![("a", "1"), ("b", "2;c=3")]),
        "a value among several holds ';'"
    );
    for bad in ["", " a", "a ", "a,b=c", "a'b", "a}b", "${a}", "a\\b", "a|b"] {
        assert!(bad.parse::<OriginateValue>().is_err(), "{bad:?}");
    }
}

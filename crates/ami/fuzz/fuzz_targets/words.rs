//! Whatever is taken as a word makes exactly one action, which holds the word unchanged.

#![no_main]

use bytes::BytesMut;
use callhop_ami::action::{Cause, DialTo, Then, Value};
use callhop_ami::word::{
    ChannelName, ContactUri, Context, DbKey, DialString, Exten, FieldName, UniqueId, VarName,
    VarValue, Word,
};
use callhop_ami::{Action, Frame, FrameCodec, FrameKind, Limits};
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;

fn check(action: Action, header: &str, want: &str) {
    let id = "id-1".parse().expect("an id");
    let mut octets = BytesMut::new();
    if action.encode(&id, &mut octets).is_err() {
        assert!(octets.is_empty());
        return;
    }
    let frame: Frame = FrameCodec::without_greeting(Limits::default())
        .decode(&mut octets)
        .expect("an action can be read")
        .expect("an action is whole");
    assert!(octets.is_empty(), "one action is one action");
    assert_eq!(frame.kind(), FrameKind::Action);
    assert_eq!(frame.get("ActionID").as_deref(), Some("id-1"));
    assert_eq!(frame.headers().all("Action").count(), 1);
    assert_eq!(frame.get(header).as_deref(), Some(want));
}

fuzz_target!(|texts: (&str, &str)| {
    let (a, b) = texts;
    if let (Ok(name), Ok(value)) = (VarName::new(a), VarValue::new(b)) {
        let value = Value::Plain(value);
        check(
            Action::Setvar {
                channel: None,
                name,
                value,
            },
            "Value",
            b,
        );
    }
    if let (Ok(key), Ok(value)) = (DbKey::new(a), DialString::new(b)) {
        let (family, value) = (key.clone(), Value::Dial(value));
        check(Action::DbPut { family, key, value }, "Val", b);
    }
    if let Ok(channel) = ChannelName::new(a) {
        check(
            Action::Hangup {
                channel,
                cause: Cause::USER_BUSY,
            },
            "Channel",
            a,
        );
    }
    if let (Ok(exten), Ok(context)) = (Exten::new(a), Context::new(b)) {
        check(Action::ExtensionState { exten, context }, "Exten", a);
    }
    if let (Ok(name), Ok(value)) = (FieldName::new(a), VarValue::new(b)) {
        let event = Word::new("X").expect("a word");
        check(
            Action::UserEvent {
                name: event,
                fields: vec![(name, value)],
            },
            a,
            b,
        );
    }
    if let (Ok(channel_id), Ok(uri)) = (UniqueId::new(a), ContactUri::new(b)) {
        let endpoint = "1001".parse().expect("an endpoint");
        let originate = Action::Originate {
            dial: DialTo::Contact(endpoint, uri),
            channel_id,
            other_channel_id: None,
            then: Then::Run(callhop_ami::action::Application::Wait(1)),
            timeout: std::time::Duration::from_secs(1),
            caller: None,
            variables: Vec::new(),
            early_media: false,
        };
        check(originate, "Channel", &format!("PJSIP/1001/{b}"));
    }
});

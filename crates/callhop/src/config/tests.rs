use std::{path::Path, time::Duration};

use callhop_calls::push::Pattern;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The configuration, or everything that is wrong, one line each.
fn outcome(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    read(text, Path::new("/site"), &environment(variables))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn good(text: &str, variables: &[(&str, &str)]) -> Config {
    outcome(text, variables).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"))
}

#[track_caller]
fn wrong(text: &str, variables: &[(&str, &str)], expect: &[&str]) {
    match outcome(text, variables) {
        Ok(_) => panic!("accepted: {text}"),
        Err(problems) => assert_eq!(problems, expect, "{text}"),
    }
}

#[test]
fn without_a_file_everything_has_a_default() {
    let config = read("", Path::new(""), &Environment::new()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.store.url.reveal(), "sqlite://callhop.db");
    assert_eq!(config.freeswitch[0].address, "127.0.0.1:8021");
    assert_eq!(config.freeswitch[0].password.reveal(), "ClueCon");
}

#[test]
fn every_key_is_read() {
    let config = good(
        r##"
        [store]
        url = "postgres://callhop:secret@db/callhop"
        [http]
        listen = "[::1]:9000"
        [[freeswitch]]
        name = "north"
        address = "10.0.0.1:8021"
        password = "p1"
        [[freeswitch]]
        name = "south"
        address = "sw.example.com:8021"
        context = "phones"
        outside = "sofia/gateway/trunk/{number}"
        [features]
        pull = "*7"
        push = "*8"
        [push]
        digit_timeout_s = 7
        ring_timeout_s = 20
        hold_sound = "local_stream://moh"
        ringback = "/var/sounds/ring.wav"
        display_prefix = "from {pusher}: "
        fallback = "4000"
        [domains."Lab.Test"]
        unregistered = "ring_all"
        colleagues = false
        [domains."Lab.Test".features]
        route_here = "#50"
        [domains."Lab.Test".push]
        fallback = "4000@voicemail"
        [log]
        format = "json"
        level = "info,callhop_esl=debug"
        numbers = "last3"
        "##,
        &[],
    );
    assert_eq!(
        config.store.url.reveal(),
        "postgres://callhop:secret@db/callhop"
    );
    assert_eq!(config.http.listen.to_string(), "[::1]:9000");
    let names: Vec<&str> = config.freeswitch.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["north", "south"]);
    let lab = config.policy(&"lab.test".parse().unwrap());
    assert_eq!(
        (lab.features.pull.as_str(), lab.features.route_here.as_str()),
        ("*7", "#50")
    );
    assert!(!lab.colleagues);
    let other = config.policy(&"other.test".parse().unwrap());
    assert_eq!(
        (
            other.features.pull.as_str(),
            other.features.route_here.as_str()
        ),
        ("*7", "*50")
    );
    assert!(other.colleagues);
    let switches: Vec<_> = config
        .freeswitch
        .iter()
        .map(|s| (s.context.as_str(), s.outside.as_deref()))
        .collect();
    let trunk = Some("sofia/gateway/trunk/{number}");
    assert_eq!(switches, [("default", None), ("phones", trunk)]);
    assert_eq!(other.features.push, "*8");
    assert_eq!(other.push.digit_timeout, Duration::from_secs(7));
    assert_eq!(other.push.ring_timeout, Duration::from_secs(20));
    assert_eq!(other.push.hold_sound, "local_stream://moh");
    assert_eq!(other.push.ringback, "/var/sounds/ring.wav");
    assert_eq!(other.push.display_prefix, "from {pusher}: ");
    assert_eq!(other.push.fallback.as_deref(), Some("4000"));
    assert_eq!(lab.push.fallback.as_deref(), Some("4000@voicemail"));
    assert_eq!(lab.push.hold_sound, "local_stream://moh");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.log.numbers, LogNumbers::Last3);
}

#[test]
fn a_relative_database_is_beside_the_file() {
    let url = |text: &str| good(text, &[]).store.url.reveal().to_owned();
    assert_eq!(url(""), "sqlite:///site/callhop.db");
    assert_eq!(
        url("[store]\nurl = 'sqlite://data/x.db'"),
        "sqlite:///site/data/x.db"
    );
    assert_eq!(
        url("[store]\nurl = 'sqlite:///var/x.db'"),
        "sqlite:///var/x.db"
    );
    let packaged = read("", Path::new("/etc/callhop"), &Environment::new()).unwrap();
    assert_eq!(
        packaged.store.url.reveal(),
        "sqlite:///var/lib/callhop/callhop.db"
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = good(
        "[store]\nurl = 'sqlite://a.db'\n[[freeswitch]]\nname = 'north-1'\npassword = 'file'\n",
        &[
            ("CALLHOP_STORE__URL", "postgres://h/d"),
            ("CALLHOP_FREESWITCH__NORTH_1__PASSWORD", "environment"),
            ("CALLHOP_FEATURES__PULL", "*77"),
            ("CALLHOP_LOG__LEVEL", "debug"),
            ("CALLHOP_CONFIG", "not a key of the file"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(config.store.url.reveal(), "postgres://h/d");
    assert_eq!(config.freeswitch[0].password.reveal(), "environment");
    assert_eq!(config.features.pull, "*77");
    assert_eq!(config.log.level, "debug");
    let config = good(
        "",
        &[("CALLHOP_FREESWITCH__FREESWITCH__ADDRESS", "127.0.0.1:8022")],
    );
    assert_eq!(config.freeswitch[0].address, "127.0.0.1:8022");
}

#[test]
fn secrets_come_from_files_too_and_are_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "hunter2\n").unwrap();
    let text = "[[freeswitch]]\npassword_file = 'pw'\n";
    let config = read(text, folder.path(), &Environment::new()).unwrap();
    assert_eq!(config.freeswitch[0].password.reveal(), "hunter2");
    let printed = format!("{config:?} {}", config.effective());
    assert!(!printed.contains("hunter2"), "{printed}");

    let path = folder.path().join("pw").display().to_string();
    let variables = environment(&[("CALLHOP_FREESWITCH__FREESWITCH__PASSWORD_FILE", &path)]);
    let text = "[[freeswitch]]\npassword = 'file'\n";
    let config = read(text, folder.path(), &variables).unwrap();
    assert_eq!(config.freeswitch[0].password.reveal(), "hunter2");
    wrong(
        "[[freeswitch]]\npassword = 'a'\npassword_file = 'pw'\n",
        &[],
        &[
            "line 3: freeswitch.password_file: password is set as well, only one of the two can count",
        ],
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_key_and_line() {
    wrong(
        r#"[store]
url = "mysql://x"
[http]
listen = "0.0.0.0:80"
port = 1
[[freeswitch]]
name = "a/b"
address = "localhost"
[[freeswitch]]
password = 1
[[freeswitch]]
[features]
pull = "*50"
[domains."lab.test"]
unregistered = "sometimes"
colleagues = "no"
[domains."la b"]
[log]
format = "xml"
level = "info,=,"
numbers = "some"
[nonsense]
"#,
        &[("CALLHOP_STORE__URI", "x")],
        &[
            "line 2: store.url: a store is sqlite:///path/to/file or postgres://user:password@host/database",
            "line 4: http.listen: only a loopback address (127.0.0.1 or [::1]): what is asked here needs no password; [http.public] is for other machines",
            "line 5: http.port: there is no such key; [http] has listen, public",
            "line 7: freeswitch.name: a switch name has the character '/' at position 2, which is not allowed",
            "line 8: freeswitch.address: \"localhost\" is not a host and a port, such as 127.0.0.1:8021",
            "line 9: freeswitch.name: there are two switches with the name \"freeswitch\", give each its own",
            "line 10: freeswitch.password: this is a text in quotes, not an integer",
            "line 11: freeswitch.name: there are two switches with the name \"freeswitch\", give each its own",
            "line 13: features.pull: route_here and pull are both \"*50\"",
            "line 15: domains.\"lab.test\".unregistered: \"sometimes\" is neither \"strict\" nor \"ring_all\"",
            "line 16: domains.\"lab.test\".colleagues: this is true or false, not a string",
            "line 17: domains.\"la b\": a domain has the character ' ' at position 3, which is not allowed",
            "line 19: log.format: \"xml\" is neither \"text\" nor \"json\"",
            "line 20: log.level: invalid filter directive",
            "line 21: log.numbers: \"some\" is neither \"full\" nor \"last3\" nor \"hidden\"",
            "line 22: nonsense: there is no such key; the file has store, http, asterisk, freeswitch, features, push, domains, log, webhook",
            "environment CALLHOP_STORE__URI: this variable sets no key (CALLHOP_SECTION__KEY)",
        ],
    );
    wrong(
        "[features]\npull = '*5'\n",
        &[],
        &["line 2: features.pull: route_here = \"*50\" begins with pull = \"*5\""],
    );
    wrong(
        "",
        &[("CALLHOP_FEATURES__PULL", "33 ")],
        &[
            "environment CALLHOP_FEATURES__PULL: features.pull: \"33 \" is no star code: 1 to 10 of the characters 0-9, * and #",
        ],
    );
    wrong(
        "[domains.'a'.features]\npull = '*4'\n",
        &[],
        &["line 2: domains.\"a\".features.pull: route_to = \"*49\" begins with pull = \"*4\""],
    );
    wrong(
        "freeswitch = 5\n[store\n",
        &[],
        &[
            "line 1: freeswitch: this is written [[freeswitch]], not an integer",
            "line 2: unclosed table, expected `]`",
        ],
    );
}

fn patterns(allow: &[Pattern]) -> Vec<&str> {
    allow.iter().map(Pattern::as_str).collect()
}

#[test]
fn numbers_outside_are_allowed_for_all_or_for_a_domain() {
    let trunk = "[[freeswitch]]\noutside = 'sofia/gateway/trunk/{number}'\n";
    let config = good(
        &format!(
            "{trunk}[push]\nallow = ['0[1-9][0-9]{{4,14}}', '112']\n[domains.'closed'.push]\nallow = []\n\
             [domains.'open'.push]\nallow = ['.*']\n[domains.'other']\n"
        ),
        &[],
    );
    let allowed = |domain: &str| config.policy(&domain.parse().unwrap()).push.allow;
    let all = ["0[1-9][0-9]{4,14}", "112"];
    assert_eq!(patterns(&allowed("elsewhere")), all);
    assert_eq!(patterns(&allowed("other")), all);
    assert_eq!(patterns(&allowed("open")), [".*"]);
    assert_eq!(allowed("closed"), []);
    let shown = toml::to_string(&config.effective()).unwrap();
    assert!(
        shown.contains("outside = \"sofia/gateway/trunk/{number}\""),
        "{shown}"
    );
    assert!(
        shown.contains("allow = [\"0[1-9][0-9]{4,14}\", \"112\"]"),
        "{shown}"
    );
}

#[test]
fn the_environment_sets_lists_and_numbers_too() {
    let config = good(
        "[push]\nallow = ['1']\nring_timeout_s = 10\n",
        &[
            ("CALLHOP_PUSH__ALLOW", r#"["2", '3{1,2}']"#),
            ("CALLHOP_PUSH__RING_TIMEOUT_S", "40"),
            (
                "CALLHOP_FREESWITCH__FREESWITCH__OUTSIDE",
                "sofia/gateway/t/{number}",
            ),
            ("CALLHOP_FREESWITCH__FREESWITCH__CONTEXT", "phones"),
            ("CALLHOP_FEATURES__PUSH", "##"),
        ],
    );
    assert_eq!(patterns(&config.push.allow), ["2", "3{1,2}"]);
    assert_eq!(config.push.ring_timeout, Duration::from_secs(40));
    assert_eq!(config.freeswitch[0].context, "phones");
    assert_eq!(config.features.push, "##");
    wrong(
        "",
        &[
            ("CALLHOP_PUSH__ALLOW", "0.*"),
            ("CALLHOP_PUSH__DIGIT_TIMEOUT_S", "5s"),
        ],
        &[
            "environment CALLHOP_PUSH__ALLOW: push.allow: this is a list of texts, such as [\"a\", \"b\"], not \"0.*\"",
            "environment CALLHOP_PUSH__DIGIT_TIMEOUT_S: push.digit_timeout_s: \"5s\" is not a whole number",
        ],
    );
}

#[test]
fn what_a_push_could_not_use_is_refused() {
    wrong(
        r#"[features]
push = "*9x"
[push]
allow = [
  "0(",
  5,
]
digit_timeout_s = 0
ring_timeout_s = 121
hold_sound = "hangup::NO_ANSWER"
ringback = "${system(x)}"
display_prefix = "<{pusher}>"
fallback = "4000@vo ice"
[[freeswitch]]
name = "a"
context = "-x"
outside = "sofia/gateway/trunk"
[[freeswitch]]
name = "b"
context = ""
outside = "{x=1}sofia/gateway/trunk/{number}"
[domains."lab.test".push]
ring_timeout_s = "20s"
hold_sound = ""
display_prefix = " x"
fallback = "no such number@x"
ring_timeout = 5
"#,
        &[],
        &[
            "line 2: features.push: \"*9x\" is no star code: 1 to 10 of the characters 0-9, * and #",
            "line 5: push.allow: \"0(\" is no regular expression: unclosed group",
            "line 6: push.allow: this is a text in quotes, not an integer",
            "line 8: push.digit_timeout_s: 0 is not 1 to 120 seconds",
            "line 9: push.ring_timeout_s: 121 is not 1 to 120 seconds",
            "line 10: push.hold_sound: sound: '::' makes it an application",
            "line 11: push.ringback: sound: '$' is not allowed",
            "line 12: push.display_prefix: '<' is not allowed: letters, digits, spaces, . _ - + : ( ) and {pusher} are",
            "line 13: push.fallback: \"vo ice\" is no context: word: ' ' is not allowed",
            "line 16: freeswitch.context: \"-x\" is no context: word: begins with '-', which the switch reads as an option",
            "line 17: freeswitch.outside: there is no {number} in it, such as in sofia/gateway/trunk/{number}",
            "line 20: freeswitch.context: \"\" is no context: word: empty",
            "line 21: freeswitch.outside: dial string: '{' is not allowed",
            "line 23: domains.\"lab.test\".push.ring_timeout_s: this is a whole number, not a string",
            "line 24: domains.\"lab.test\".push.hold_sound: sound: empty",
            "line 25: domains.\"lab.test\".push.display_prefix: a space in front, which the switch drops",
            "line 26: domains.\"lab.test\".push.fallback: a number has the character ' ' at position 3, which is not allowed: a fallback is a number of the dialplan, such as 4000 or 4000@context",
            "line 27: domains.\"lab.test\".push.ring_timeout: there is no such key; [domains.\"lab.test\".push] has allow, digit_timeout_s, ring_timeout_s, hold_sound, ringback, display_prefix, fallback",
        ],
    );
    let no_way = |line: usize, key: &str, switches: &str| {
        format!(
            "line {line}: {key}: the switch {switches} has no outside: its section has to say how these numbers are \
             dialled, such as outside = \"sofia/gateway/trunk/{{number}}\" on FreeSWITCH, \"PJSIP/{{number}}@trunk\" on \
             Asterisk"
        )
    };
    wrong(
        "[push]\nallow = ['0.*']\n",
        &[],
        &[&no_way(2, "push.allow", "freeswitch")],
    );
    wrong(
        "[[freeswitch]]\nname = 'a'\noutside = 'sofia/gateway/t/{number}'\n[[freeswitch]]\nname = 'b'\n\
         [[freeswitch]]\nname = 'c'\n[domains.'x'.push]\nallow = ['0.*']\n[domains.'y']\n",
        &[],
        &[&no_way(9, "domains.\"x\".push.allow", "b, c")],
    );
}

#[test]
fn an_asterisk_needs_a_secret_and_names_for_its_endpoints() {
    let config = good(
        "[[asterisk]]\nname = 'pbx'\naddress = '127.0.0.1:5039'\nusername = 'ch'\nsecret = 'hunter2'\ntls = true\n\
         endpoints = { 'a.test' = '{number}', 'b.test' = 'b-{number}' }\noutside = 'PJSIP/{number}@trunk'\n\
         [push]\nallow = ['0.*']\n",
        &[("CALLHOP_ASTERISK__PBX__SECRET", "hunter3")],
    );
    assert!(config.freeswitch.is_empty());
    let asterisk = &config.asterisk[0];
    assert_eq!(asterisk.secret.reveal(), "hunter3");
    assert!(asterisk.tls);
    let device = asterisk.endpoints.device("b-1001").unwrap();
    assert_eq!(device.to_string(), "1001@b.test");
    let printed = format!("{config:?} {}", config.effective());
    assert!(!printed.contains("hunter"), "{printed}");

    wrong(
        "[[freeswitch]]\nname = 'a'\n[[asterisk]]\nname = 'a'\nusername = 'a b'\nendpoints = { 'x' = '100' }\n\
         [[asterisk]]\nname = 'c'\nsecret = ''\n",
        &[],
        &[
            "line 3: asterisk.name: there are two switches with the name \"a\", give each its own",
            "line 3: asterisk.secret: the manager user's secret is needed, as in manager.conf",
            "line 5: asterisk.username: user: ' ' is not allowed",
            "line 6: asterisk.endpoints: there is no {number} in \"100\", such as in \"{number}\" or \"example-{number}\"",
            "line 7: asterisk.endpoints: which endpoints are which devices? such as endpoints = { \"example.com\" = \"{number}\" }",
            "line 9: asterisk.secret: a secret is one line, and not empty",
        ],
    );
}

#[test]
fn sounds_that_asterisk_does_not_have() {
    let push = "[push]\nhold_sound = 'shout://a/b.mp3'\n[domains.a.push]\nringback = 'ring.wav'\n";
    let asterisk = "[[asterisk]]\nsecret = 's'\nendpoints = { 'a' = '{number}' }\n";
    let read = |text: &str| super::read(text, Path::new(""), &Environment::new());
    assert!(read(push).is_ok());
    let problems = read(&format!("{push}{asterisk}")).unwrap_err();
    let problems: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    let are = "is no sound that Asterisk can play: silence_stream://, local_stream://class, tone_stream://%(on,off,hertz) and \
               /path/to/file.wav are";
    assert_eq!(
        problems,
        [
            format!("line 2: push.hold_sound: \"shout://a/b.mp3\" {are}"),
            format!("line 4: domains.\"a\".push.ringback: \"ring.wav\" {are}"),
        ]
    );
}

#[test]
fn other_machines_ask_where_the_admin_says_how() {
    let config = good(
        r#"
        [http.public]
        listen = "0.0.0.0:8443"
        names = ["Callhop.example.com"]
        tls_certificate = "tls/callhop.pem"
        tls_key = "/etc/ssl/callhop.key"
        "#,
        &[],
    );
    let files = TlsFiles {
        certificate: "/site/tls/callhop.pem".into(),
        key: "/etc/ssl/callhop.key".into(),
    };
    let public = config.http.public.clone().unwrap();
    assert_eq!(public.tls, Some(files));
    assert_eq!(public.names, ["callhop.example.com"]);
    assert_eq!(config.effective()["http"]["public"]["tls"], true);
    let proxied = good(
        "",
        &[
            ("CALLHOP_HTTP__PUBLIC__LISTEN", "127.0.0.1:8086"),
            ("CALLHOP_HTTP__PUBLIC__TLS", "false"),
        ],
    );
    assert_eq!(proxied.http.public.unwrap().tls, None);
    let needed = "a PEM file is needed, because tokens go over this address; tls = false only if a proxy in front of \
                  Callhop does TLS";
    wrong(
        "[http.public]\nlisten = '0.0.0.0:8443'\n",
        &[],
        &[&format!("line 1: http.public.tls_certificate: {needed}")],
    );
    wrong(
        "[http.public]\nlisten = 'here'\nnames = ['a b']\ntls_certificate = 'a'\n",
        &[],
        &[
            &format!("line 1: http.public.tls_key: {needed}"),
            "line 2: http.public.listen: \"here\" is not an address and a port, such as 0.0.0.0:8443",
            "line 3: http.public.names: \"a b\" is not the name of a machine, such as callhop.example.com",
        ],
    );
    wrong(
        "[http.public]\ntls = false\ntls_key = 'a'\n",
        &[],
        &[
            "line 1: http.public.listen: which address and port? such as 0.0.0.0:8443; without it nobody listens",
        ],
    );
    wrong(
        "[http.public]\nlisten = '[::]:1'\ntls = false\ntls_key = 'a'\n",
        &[("CALLHOP_HTTP__PUBLIC__TLS", "no")],
        &[
            &format!("line 1: http.public.tls_certificate: {needed}"),
            "environment CALLHOP_HTTP__PUBLIC__TLS: http.public.tls: \"no\" is neither true nor false",
        ],
    );
}

#[test]
fn webhooks_are_read_and_none_without_a_secret() {
    let secret = Secret::of_webhook(&[1; 32]);
    let text = format!(
        "[[webhook]]\nname = 'crm'\nurl = 'https://crm.test/x?y=1'\nsecret = '{}'\n",
        secret.reveal()
    );
    let config = good(
        &text,
        &[("CALLHOP_WEBHOOK__CRM__DOMAINS", "[\"Lab.Test\"]")],
    );
    let webhook = &config.webhooks[0];
    assert_eq!(webhook.key(), [1; 32]);
    assert_eq!(webhook.events, WebhookEvent::ALL);
    assert_eq!(webhook.domains[0].as_str(), "lab.test");
    assert_eq!(config.effective()["webhook"][0]["secret"], "(hidden)");
    wrong(
        "[[webhook]]\nname = 'crm'\nurl = 'http://crm.test/'\nsecret = 'whsec_x'\nevents = ['call']\n[[webhook]]\nname = 'crm'\n",
        &[],
        &[
            "line 3: webhook.url: without TLS everybody between can read it: https, or allow_http = true",
            "line 4: webhook.secret: a secret is whsec_ and then 24 to 64 bytes in base64; `callhop webhook secret` makes one",
            "line 5: webhook.events: \"call\" is neither \"move\" nor \"route\"",
            "line 6: webhook.url: where is it? such as \"https://crm.example.com/callhop\"",
            "line 7: webhook.name: there are two webhooks with the name \"crm\"",
        ],
    );
}

//! The configuration of the lab's FreeSWITCH: a site as an admin might have it, on ports of its own.
//!
//! Two tenants with the same numbers, each with a context of its own; an outside profile without authentication; the
//! admin's own extensions for inbound calls, with the three lines of Callhop in them; a queue, a ring group, an IVR, a
//! conference. Callhop's dialplan file goes to `dialplan/callhop/`, which both contexts include.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use super::switch::PASSWORD;
use crate::{
    cast::Phone,
    live::{
        ear::{IVR_HZ, MUSIC_HZ},
        ports::Ports,
        site::{LOAD_DEVICE, LOAD_EXTENSION, NATIVE_HOLD},
    },
};

/// How many SIP profiles run when the switch is ready.
pub const PROFILES: usize = 3;

/// Prefix of the number that runs a plain `intercept` of the channel whose UUID follows: what a pull is compared to.
pub const NATIVE_INTERCEPT: &str = "99";

const MODULES: [&str; 17] = [
    "mod_logfile",
    "mod_event_socket",
    "mod_sofia",
    "mod_loopback",
    "mod_commands",
    "mod_conference",
    "mod_dptools",
    "mod_dialplan_xml",
    "mod_hash",
    "mod_db",
    "mod_expr",
    "mod_sndfile",
    "mod_native_file",
    "mod_tone_stream",
    "mod_local_stream",
    "mod_curl",
    "mod_callcenter",
];

/// Writes the whole folder `dir/conf`; `callhop.xml` is put in by the lab.
///
/// # Errors
/// When a file can't be written.
pub fn write(dir: &Path, ports: Ports) -> Result<()> {
    let conf = dir.join("conf");
    fs::create_dir_all(conf.join("dialplan/callhop"))
        .with_context(|| format!("making {}", conf.display()))?;
    let mut text = String::from("<?xml version=\"1.0\"?>\n<document type=\"freeswitch/xml\">\n");
    text += "<X-PRE-PROCESS cmd=\"set\" data=\"domain=lab.test\"/>\n";
    let _ = writeln!(
        text,
        "<X-PRE-PROCESS cmd=\"set\" data=\"hold_music=tone_stream://%(60000,0,{MUSIC_HZ});loops=-1\"/>"
    );
    text += "<section name=\"configuration\">\n";
    text += &modules(dir, ports);
    text += &sofia(ports);
    text += &callcenter(dir);
    text += "</section>\n<section name=\"dialplan\">\n";
    text += &dialplan(ports);
    text += "</section>\n<section name=\"directory\">\n";
    text += &directory();
    text += "</section>\n</document>\n";
    fs::write(conf.join("freeswitch.xml"), text)?;
    // An include of an empty folder is an error in the log of the switch.
    fs::write(conf.join("dialplan/callhop/none.xml"), "<include/>\n")?;
    Ok(())
}

fn params(pairs: &[(&str, &str)]) -> String {
    let line =
        |(name, value): &(&str, &str)| format!("<param name=\"{name}\" value=\"{value}\"/>\n");
    pairs.iter().map(line).collect()
}

fn modules(dir: &Path, ports: Ports) -> String {
    let (first, last) = ports.switch_rtp();
    let switch = params(&[
        ("max-sessions", "5000"),
        ("sessions-per-second", "1000"),
        ("loglevel", "info"),
        ("rtp-start-port", &first.to_string()),
        ("rtp-end-port", &last.to_string()),
        ("switchname", "lab"),
    ]);
    let loads: String = MODULES
        .iter()
        .map(|name| format!("<load module=\"{name}\"/>\n"))
        .collect();
    let log = dir.join("log/freeswitch.log");
    let socket = params(&[
        ("nat-map", "false"),
        ("listen-ip", "127.0.0.1"),
        ("listen-port", &ports.esl().to_string()),
        ("password", PASSWORD),
    ]);
    format!(
        r#"<configuration name="switch.conf"><settings>
{switch}</settings></configuration>
<configuration name="modules.conf"><modules>
{loads}</modules></configuration>
<configuration name="logfile.conf"><settings/><profiles><profile name="default">
<settings><param name="logfile" value="{log}"/></settings>
<mappings><map name="all" value="info,notice,warning,err,crit,alert"/></mappings></profile></profiles></configuration>
<configuration name="event_socket.conf"><settings>
{socket}</settings></configuration>
<configuration name="acl.conf"><network-lists/></configuration>
<configuration name="hash.conf"/><configuration name="db.conf"/>
<configuration name="timezones.conf"><timezones/></configuration>
<configuration name="conference.conf"><profiles><profile name="default">
<param name="rate" value="8000"/></profile></profiles></configuration>
"#,
        log = log.display()
    )
}

fn sofia(ports: Ports) -> String {
    let common = [
        ("sip-ip", "127.0.0.1"),
        ("rtp-ip", "127.0.0.1"),
        ("dialplan", "XML"),
        ("codec-prefs", "PCMU"),
        ("inbound-codec-negotiation", "generous"),
        ("rfc2833-pt", "101"),
        ("liberal-dtmf", "true"),
        ("rtp-timer-name", "soft"),
        ("rtp-rewrite-timestamps", "true"),
        ("inbound-bypass-media", "false"),
    ];
    let phones = [
        ("context", "default"),
        ("auth-calls", "true"),
        ("manage-presence", "true"),
        // Else whoever reaches the port sees everybody's presence.
        ("auth-subscriptions", "true"),
        // Several phones may register one number; without it the last one throws the others out.
        ("multiple-registrations", "contact"),
    ];
    let mut text = String::from("<configuration name=\"sofia.conf\"><profiles>\n");
    let mut profile = |name: &str, domains: &str, port: u16, special: &[(&str, &str)]| {
        let port = port.to_string();
        let settings = params(&common) + &params(special) + &params(&[("sip-port", &port)]);
        let _ = write!(
            text,
            "<profile name=\"{name}\"><domains>{domains}</domains><settings>\n{settings}</settings></profile>\n"
        );
    };
    // Several domains on one profile: the realm is the domain that the phone names, and the directory decides.
    let several = [&phones[..], &[("challenge-realm", "auto_from")]].concat();
    profile(
        "internal",
        r#"<domain name="all" alias="true" parse="false"/>"#,
        ports.internal(),
        &several,
    );
    // One domain forced on everybody, as in the configuration that FreeSWITCH comes with.
    let forced = [
        &phones[..],
        &[
            ("force-register-domain", "lab.test"),
            ("force-register-db-domain", "lab.test"),
            ("challenge-realm", "lab.test"),
        ],
    ]
    .concat();
    profile("forced", "", ports.forced(), &forced);
    let outside = [
        ("context", "public"),
        ("auth-calls", "false"),
        ("manage-presence", "false"),
    ];
    profile("external", "", ports.external(), &outside);
    text += "</profiles></configuration>\n";
    text
}

fn callcenter(dir: &Path) -> String {
    format!(
        r#"<configuration name="callcenter.conf">
<settings><param name="dbname" value="{db}"/></settings>
<queues><queue name="sales@lab.test">
<param name="strategy" value="ring-all"/>
<param name="moh-sound" value="tone_stream://%(60000,0,{MUSIC_HZ});loops=-1"/>
<param name="max-wait-time" value="0"/>
<param name="tier-rules-apply" value="false"/>
</queue></queues>
<agents><agent name="1001@lab.test" type="callback" contact="[leg_timeout=10]user/1001@lab.test" status="Available"
 max-no-answer="3" wrap-up-time="0" reject-delay-time="1" busy-delay-time="1"/></agents>
<tiers><tier agent="1001@lab.test" queue="sales@lab.test" level="1" position="1"/></tiers>
</configuration>
"#,
        db = dir.join("db/callcenter.db").display()
    )
}

/// An extension of the dialplan: a name, a regular expression for the number, and its actions in order.
fn extension(name: &str, expression: &str, actions: &[(&str, &str)]) -> String {
    let line = |(application, data): &(&str, &str)| {
        format!("  <action application=\"{application}\" data=\"{data}\"/>\n")
    };
    let lines: String = actions.iter().map(line).collect();
    format!(
        "<extension name=\"{name}\"><condition field=\"destination_number\" expression=\"{expression}\">\n{lines}</condition></extension>\n"
    )
}

/// The admin's inbound extension with Callhop's three lines, and then voicemail.
fn inbound(number: &str, devices: &[&str], voicemail: &str) -> String {
    let default: Vec<String> = devices
        .iter()
        .map(|device| format!("user/{device}"))
        .collect();
    extension(
        &format!("inbound_{number}"),
        &format!("^{number}$"),
        &[
            ("set", "hangup_after_bridge=true"),
            ("set", "continue_on_fail=true"),
            ("set", "call_timeout=12"),
            ("set", &format!("callhop_default={}", default.join(","))),
            ("execute_extension", "callhop_hunt XML ${context}"),
            ("bridge", "${callhop_targets}"),
            ("answer", ""),
            ("playback", voicemail),
        ],
    )
}

fn dialplan(ports: Ports) -> String {
    let voicemail = format!("tone_stream://%(60000,0,{IVR_HZ})");
    let carrier = |phone| {
        format!(
            "sofia/external/${{destination_number}}@127.0.0.1:{}",
            ports.phone_sip(phone)
        )
    };
    let after = ("set", "hangup_after_bridge=true");
    let include = "<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/callhop/*.xml\"/>\n";

    let mut text = String::from("<context name=\"public\">\n");
    text += &extension(
        "did_other",
        "^6(\\d+)$",
        &[
            ("set", "domain_name=other.test"),
            ("transfer", "$1 XML other"),
        ],
    );
    text += &extension(
        "did_lab",
        "^(\\d+)$",
        &[
            ("set", "domain_name=lab.test"),
            ("transfer", "$1 XML default"),
        ],
    );
    text += "</context>\n<context name=\"default\">\n";
    text += include;
    text += &inbound(
        "1000",
        &["1001@lab.test", "1002@lab.test", "1003@lab.test"],
        &voicemail,
    );
    text += &inbound("2001", &["2001@lab.test", "2002@lab.test"], &voicemail);
    text += &inbound(LOAD_EXTENSION, &["3001@lab.test"], &voicemail);
    // The same call without Callhop: what hunting is compared to.
    let all = "user/1001@lab.test,user/1002@lab.test,user/1003@lab.test";
    text += &extension(
        "static",
        "^1900$",
        &[after, ("set", "call_timeout=12"), ("bridge", all)],
    );
    text += &extension(
        "ring_group",
        "^1800$",
        &[after, ("bridge", "user/1001@lab.test,user/2002@lab.test")],
    );
    text += &extension(
        "queue",
        "^1700$",
        &[("answer", ""), ("callcenter", "sales@lab.test")],
    );
    text += &extension(
        "ivr",
        "^7000$",
        &[
            ("answer", ""),
            // Else a star would end the sound and with it the call, with and without Callhop.
            ("set", "playback_terminators=none"),
            ("playback", &voicemail),
        ],
    );
    text += &extension(
        "conference",
        "^7200$",
        &[("answer", ""), ("conference", "lab@default")],
    );
    text += &extension("park", "^7300$", &[("answer", ""), ("park", "")]);
    text += &extension(
        "native_hold",
        &format!("^{NATIVE_HOLD}$"),
        &[
            ("answer", ""),
            ("playback", "tone_stream://%(2000,4000,440,480);loops=-1"),
        ],
    );
    let native = format!("^{NATIVE_INTERCEPT}([0-9a-f-]{{36}})$");
    text += &extension("native_intercept", &native, &[after, ("intercept", "$1")]);
    text += &extension(
        "out1",
        "^01\\d*$",
        &[after, ("bridge", &carrier(Phone::Out1))],
    );
    text += &extension(
        "out2",
        "^02\\d*$",
        &[after, ("bridge", &carrier(Phone::Out2))],
    );
    text += &extension(
        "device",
        "^([12]\\d\\d\\d)$",
        &[after, ("bridge", "user/$1@lab.test")],
    );
    text += "</context>\n<context name=\"other\">\n";
    text += include;
    text += &inbound("1000", &["1001@other.test", "1002@other.test"], &voicemail);
    text += &extension(
        "out1",
        "^01\\d*$",
        &[after, ("bridge", &carrier(Phone::Out1))],
    );
    text += &extension(
        "device",
        "^([12]\\d\\d\\d)$",
        &[after, ("bridge", "user/$1@other.test")],
    );
    text += "</context>\n";
    text
}

fn directory() -> String {
    let mut text = String::new();
    for (domain, context) in [("lab.test", "default"), ("other.test", "other")] {
        let _ = writeln!(
            text,
            "<domain name=\"{domain}\"><params><param name=\"dial-string\" value=\"{{presence_id=${{dialed_user}}@${{dialed_domain}}}}${{sofia_contact(*/${{dialed_user}}@${{dialed_domain}})}}\"/></params>\n<groups><group name=\"all\"><users>"
        );
        let mut users: Vec<_> = Phone::ALL
            .into_iter()
            .map(Phone::part)
            .filter(|part| part.domain == domain)
            .collect();
        users.dedup_by_key(|part| part.user);
        if domain == "lab.test" {
            users.push(LOAD_DEVICE);
        }
        for user in users {
            let _ = writeln!(
                text,
                "<user id=\"{}\"><params><param name=\"password\" value=\"{}\"/></params><variables><variable name=\"user_context\" value=\"{context}\"/></variables></user>",
                user.user, user.password
            );
        }
        text += "</users></group></groups></domain>\n";
    }
    text
}

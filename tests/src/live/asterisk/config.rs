//! The configuration of the lab's Asterisk: the same site as FreeSWITCH's beside it, on ports of its own.
//!
//! Two tenants with the same numbers, each with a context of its own and endpoints that are told apart by the domain of
//! the address; outside lines without authentication, known by where they send from; the admin's own extensions for
//! inbound calls, with the three lines of Callhop in them; a queue, a ring group, an IVR, a conference, parking.
//! Callhop's files are `callhop.conf` and `callhop_features.conf`, which `extensions.conf` and `features.conf` include.

use std::{f64::consts::TAU, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use super::install::Program;
use crate::{
    cast::{Part, Phone},
    live::{
        ear::{IVR_HZ, MUSIC_HZ},
        ports::Ports,
        site::{LOAD_DEVICE, LOAD_EXTENSION, NATIVE_HOLD},
    },
};

/// The controller's manager user.
pub const MANAGER: &str = "callhop";
/// The lab's own one.
pub const LAB_MANAGER: &str = "lab";
/// The number whose dialplan takes over the far end named by [`NATIVE_FAR`], with the application `Bridge`.
pub const NATIVE_PULL: &str = "99";
/// The number whose dialplan picks up the ringing channel named by [`NATIVE_FAR`], with the application `PickupChan`.
pub const NATIVE_PICKUP: &str = "97";
/// The global variable that names the channel for both.
pub const NATIVE_FAR: &str = "LAB_FAR";
/// The number whose dialplan hangs up.
pub const NATIVE_END: &str = "96";

/// What the configuration needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The lab's folder.
    pub dir: &'a Path,
    /// The program, whose modules and sounds are used.
    pub program: &'a Program,
    /// The lab's ports.
    pub ports: Ports,
    /// The secret of the controller's manager user.
    pub secret: &'a str,
    /// That of the lab's own one.
    pub lab_secret: &'a str,
}

/// Writes the whole folder `dir/etc`, and the music.
///
/// # Errors
/// When a file can't be written.
pub fn write(site: Site<'_>) -> Result<()> {
    for sub in ["etc", "lib/keys", "log", "spool", "run", "cache", "moh"] {
        fs::create_dir_all(site.dir.join(sub)).with_context(|| format!("making {sub}"))?;
    }
    let (first, last) = site.ports.switch_rtp();
    let moh = site.dir.join("moh");
    let files = [
        ("asterisk.conf", asterisk(site)),
        // All of them, as the configuration that Asterisk comes with says: what a site may use is there. That takes
        // 0.4 s; a list of what is needed took 0.25 s. Those without a configuration here load nothing and open no port.
        ("modules.conf", "[modules]\nautoload=yes\n".to_owned()),
        (
            "logger.conf",
            "[general]\ndateformat=%F %T.%3q\n[logfiles]\nfull => notice,warning,error,verbose\n"
                .to_owned(),
        ),
        (
            "rtp.conf",
            format!("[general]\nrtpstart={first}\nrtpend={last}\nicesupport=no\n"),
        ),
        ("cdr.conf", "[general]\nenable=no\n".to_owned()),
        ("cel.conf", "[general]\nenable=no\n".to_owned()),
        (
            "indications.conf",
            "[general]\ncountry=us\n[us]\ndescription=United States\nringcadence=2000,4000\n\
             dial=350+440\nbusy=480+620/500,0/500\nring=440+480/2000,0/4000\n\
             congestion=480+620/250,0/250\n"
                .to_owned(),
        ),
        (
            "musiconhold.conf",
            format!("[default]\nmode=files\ndirectory={}\n", moh.display()),
        ),
        ("manager.conf", manager(site)),
        ("pjsip.conf", pjsip(site.ports)),
        (
            "features.conf",
            "[general]\n[featuremap]\n[applicationmap]\n#include callhop_features.conf\n"
                .to_owned(),
        ),
        // Without Callhop: what would be missing is an error in the log of the switch.
        ("callhop_features.conf", String::new()),
        (
            "callhop.conf",
            "[callhop]\n[callhop-hunt]\n[callhop-lamps-lab.test]\n[callhop-lamps-other.test]\n"
                .to_owned(),
        ),
        ("extensions.conf", extensions()),
        (
            "queues.conf",
            "[general]\n[sales]\nstrategy=ringall\nmusicclass=default\ntimeout=10\nretry=1\n\
             wrapuptime=0\nringinuse=yes\nmember => PJSIP/1001\n"
                .to_owned(),
        ),
        (
            "confbridge.conf",
            "[general]\n[default_user]\ntype=user\nquiet=yes\n[default_bridge]\ntype=bridge\n"
                .to_owned(),
        ),
        (
            "res_parking.conf",
            "[general]\n[default]\ncontext=parked\nparkpos=701-720\n".to_owned(),
        ),
        ("acl.conf", String::new()),
        ("udptl.conf", String::new()),
        ("pjproject.conf", String::new()),
        ("ccss.conf", String::new()),
        ("cli_aliases.conf", String::new()),
        ("stasis.conf", String::new()),
    ];
    for (name, text) in files {
        fs::write(site.dir.join("etc").join(name), text)
            .with_context(|| format!("writing {name}"))?;
    }
    fs::write(moh.join("music.sln"), tone(MUSIC_HZ, 20))?;
    Ok(())
}

/// Signed 16 bits at 8,000 Hz, as `format_sln` reads them.
fn tone(hz: u32, seconds: u32) -> Vec<u8> {
    let sample = |i: u32| (6_000.0 * (TAU * f64::from(hz) * f64::from(i) / 8_000.0).sin()) as i16;
    (0..8_000 * seconds)
        .flat_map(|i| sample(i).to_le_bytes())
        .collect()
}

/// Every folder has to be named: else it is one of the system's.
fn asterisk(site: Site<'_>) -> String {
    let mut text = String::from("[directories]\n");
    for (key, sub) in [
        ("astetcdir", "etc"),
        ("astvarlibdir", "lib"),
        ("astdbdir", "lib"),
        ("astkeydir", "lib"),
        ("astagidir", "lib"),
        ("astspooldir", "spool"),
        ("astrundir", "run"),
        ("astlogdir", "log"),
        ("astcachedir", "cache"),
    ] {
        let _ = writeln!(text, "{key} => {}", site.dir.join(sub).display());
    }
    let _ = writeln!(text, "astmoddir => {}", site.program.modules.display());
    let _ = writeln!(text, "astdatadir => {}", site.program.data.display());
    text += "[options]\nverbose=4\ntimestamp=yes\nnocolor=yes\n";
    // Whoever waits in the dialplan sends silence, and not nothing (facts page, section 1).
    text += "transmit_silence=yes\n";
    text
}

fn manager(site: Site<'_>) -> String {
    let local = "deny=0.0.0.0/0.0.0.0\npermit=127.0.0.1/255.255.255.255\nwritetimeout=1000\n";
    format!(
        "[general]\nenabled=yes\nport={port}\nbindaddr=127.0.0.1\ntimestampevents=yes\nwebenabled=no\n\
         displayconnects=no\n\
         [{MANAGER}]\nsecret={secret}\n{local}read=call,user,dtmf,system\n\
         write=call,user,originate,reporting,system,command\n\
         [{LAB_MANAGER}]\nsecret={lab_secret}\n{local}read=all\nwrite=all\n",
        port = site.ports.ami(),
        secret = site.secret,
        lab_secret = site.lab_secret,
    )
}

/// The name of a device's endpoint: its number, with the tenant before it where it is not the first one.
#[must_use]
pub fn endpoint(part: Part) -> String {
    match part.domain {
        "lab.test" => part.user.to_owned(),
        domain => format!(
            "{}-{}",
            domain.split('.').next().unwrap_or(domain),
            part.user
        ),
    }
}

/// The name of an outside line's endpoint.
#[must_use]
pub fn line(phone: Phone) -> &'static str {
    match phone {
        Phone::Out1 => "outside1",
        _ => "outside2",
    }
}

const MEDIA: &str = "disallow=all\nallow=ulaw\ndirect_media=no\nrtp_symmetric=yes\nforce_rport=yes\n\
    rewrite_contact=yes\nmedia_address=127.0.0.1\nbind_rtp_to_media_address=yes\ntimers=no\n\
    dtmf_mode=auto_info\nsend_pai=yes\n";

fn pjsip(ports: Ports) -> String {
    let mut text = String::from(
        "[global]\ntype=global\nuser_agent=lab\ndefault_realm=lab.test\n\
         endpoint_identifier_order=header,ip,username\n[system]\ntype=system\n",
    );
    for (name, port) in [
        ("phones", ports.internal()),
        ("forced", ports.forced()),
        ("outside", ports.external()),
    ] {
        let _ = writeln!(
            text,
            "[{name}]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{port}"
        );
    }
    let mut devices: Vec<Part> = Phone::ALL
        .into_iter()
        .filter(|phone| !phone.is_outside())
        .map(Phone::part)
        .collect();
    devices.dedup_by_key(|part| (part.user, part.domain));
    devices.push(LOAD_DEVICE);
    for part in devices {
        let Part {
            user,
            domain,
            password,
            ..
        } = part;
        let name = endpoint(part);
        let first = name == user;
        let context = if first { "phones" } else { "phones-other" };
        // The registrar looks for the address that registers, with its domain first.
        let address = if first {
            user.to_owned()
        } else {
            format!("{user}@{domain}")
        };
        let _ = write!(
            text,
            "[{name}]\ntype=endpoint\ncontext={context}\nauth={name}\naors={address}\n{MEDIA}\
             callerid=\"{user}\" <{user}>\n\
             [{name}]\ntype=auth\nauth_type=userpass\nusername={user}\npassword={password}\nrealm={domain}\n\
             [{address}]\ntype=aor\nmax_contacts=5\n"
        );
        if !first {
            let _ = write!(
                text,
                "[{name}]\ntype=identify\nendpoint={name}\n\
                 match_header=From: /<sip:{user}@{}>/\n",
                domain.replace('.', "\\.")
            );
        }
    }
    for (at, phone) in [(0, Phone::Out1), (1, Phone::Out2)] {
        let name = line(phone);
        let port = ports.phone_sip(phone);
        let _ = write!(
            text,
            "[{name}]\ntype=endpoint\ntransport=outside\ncontext=public\naors={name}\n{MEDIA}\
             [{name}]\ntype=aor\ncontact=sip:127.0.0.1:{port}\n\
             [{name}]\ntype=identify\nendpoint={name}\nmatch=127.0.0.1:{port}\n"
        );
        if at == 0 {
            // SIPp calls from outside as well.
            let _ = writeln!(text, "match=127.0.0.1:{}", ports.load(0));
        }
    }
    text
}

/// An extension: its number or pattern, and its applications in order.
fn extension(number: &str, applications: &[&str]) -> String {
    let mut text = String::new();
    for (at, application) in applications.iter().enumerate() {
        let _ = if at == 0 {
            writeln!(text, "exten => {number},1,{application}")
        } else {
            writeln!(text, " same => n,{application}")
        };
    }
    text
}

/// The admin's inbound extension with Callhop's three lines, and then voicemail.
fn inbound(number: &str, endpoints: &[&str], voicemail: &str) -> String {
    let default: Vec<String> = endpoints.iter().map(|it| format!("PJSIP/{it}")).collect();
    extension(
        number,
        &[
            &format!("Set(CALLHOP_DEFAULT={})", default.join("&")),
            "Gosub(callhop-hunt,${EXTEN},1)",
            "Dial(${CALLHOP_TARGETS},12)",
            "Answer()",
            voicemail,
            "Wait(60)",
            "Hangup()",
        ],
    )
}

fn extensions() -> String {
    let voicemail = format!("Playtones({IVR_HZ})");
    let carrier = |phone| format!("Dial(PJSIP/${{EXTEN}}@{},60)", line(phone));

    let mut text = String::from("[general]\nstatic=yes\nwriteprotect=yes\n#include callhop.conf\n");
    text += "[public]\n";
    text += &extension(
        "_6X.",
        &[
            "Set(CALLHOP_DOMAIN=other.test)",
            "Goto(phones-other,${EXTEN:1},1)",
        ],
    );
    text += &extension(
        "_X.",
        &["Set(CALLHOP_DOMAIN=lab.test)", "Goto(phones,${EXTEN},1)"],
    );
    text += "[phones]\ninclude => callhop\ninclude => callhop-lamps-lab.test\n";
    text += &inbound("1000", &["1001", "1002", "1003"], &voicemail);
    text += &inbound("2001", &["2001", "2002"], &voicemail);
    text += &inbound(LOAD_EXTENSION, &["3001"], &voicemail);
    // The same call without Callhop: what hunting is compared to.
    text += &extension("1900", &["Dial(PJSIP/1001&PJSIP/1002&PJSIP/1003,12)"]);
    text += &extension("1800", &["Dial(PJSIP/1001&PJSIP/2002,30)"]);
    text += &extension("1700", &["Answer()", "Queue(sales)"]);
    text += &extension("7000", &["Answer()", &voicemail, "Wait(60)"]);
    text += &extension("7200", &["Answer()", "ConfBridge(lab)"]);
    text += &extension("7300", &["Answer()", "Park(default,s)"]);
    text += &extension(
        NATIVE_PULL,
        &["Answer()", &format!("Bridge(${{{NATIVE_FAR}}})")],
    );
    text += &extension(NATIVE_PICKUP, &[&format!("PickupChan(${{{NATIVE_FAR}}})")]);
    text += &extension(NATIVE_HOLD, &["Answer()", "Playtones(ring)", "Wait(60)"]);
    text += &extension(NATIVE_END, &["Hangup()"]);
    text += &extension("_01X!", &[&carrier(Phone::Out1)]);
    text += &extension("_02X!", &[&carrier(Phone::Out2)]);
    text += &extension("_[12]XXX", &["Dial(PJSIP/${EXTEN},30)"]);
    text += "[phones-other]\ninclude => callhop\ninclude => callhop-lamps-other.test\n";
    text += &inbound("1000", &["other-1001", "other-1002"], &voicemail);
    text += &extension("_01X!", &[&carrier(Phone::Out1)]);
    text += &extension("_[12]XXX", &["Dial(PJSIP/other-${EXTEN},30)"]);
    text += "[parked]\n";
    text
}

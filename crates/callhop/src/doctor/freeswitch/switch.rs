//! A FreeSWITCH by its event socket.

use std::io::ErrorKind;

use callhop_calls::id::DeviceId;
use callhop_esl::{
    Api, CommandError, CommandLink, ConnectError, LinkError, Options, Secret,
    word::{DialString, HashKey, Word},
};

use super::{dialplan, profile, push};
use crate::{
    config::{Config, Freeswitch},
    doctor::{Finding, chain},
};

/// The modules without which something of Callhop does not work, and what that is.
const MODULES: [(&str, &str); 7] = [
    ("mod_curl", "the dialplan cannot ask the controller"),
    (
        "mod_hash",
        "inbound calls cannot ring by the last known route while the controller is down",
    ),
    ("mod_sofia", "there is no SIP"),
    ("mod_commands", "the controller cannot act"),
    (
        "mod_dptools",
        "the dialplan can neither pull nor play tones",
    ),
    ("mod_dialplan_xml", "the dialplan file is not read"),
    (
        "mod_tone_stream",
        "there is neither beep nor refusal tone, and no silence for who waits while a call is pushed",
    ),
];

/// The realm in which mod_hash is tried; the routing snapshot has another one.
const HASH_REALM: &str = "callhop_doctor";

pub(in crate::doctor) async fn examine(
    config: &Config,
    switch: &Freeswitch,
    devices: &[DeviceId],
) -> Vec<Finding> {
    let subject = switch.name.as_str();
    let link = CommandLink::connect(
        &*switch.address,
        &Secret::new(switch.password.reveal()),
        &Options::default(),
    )
    .await;
    let link = match link {
        Ok(link) => link,
        Err(error) => return vec![no_link(switch, error)],
    };
    let mut findings = vec![Finding::good(
        subject,
        format!("the event socket at {} takes the password", switch.address),
    )];
    match look(config, switch, devices, &link, &mut findings).await {
        Ok(()) => {}
        Err(error) => findings.push(Finding::broken(
            subject,
            chain(error),
            "look at the switch's log, and run `callhop doctor` again",
        )),
    }
    findings
}

fn no_link(switch: &Freeswitch, error: ConnectError) -> Finding {
    let subject = switch.name.as_str();
    let address = &switch.address;
    let cure = match &error {
        ConnectError::Tcp(source) if source.kind() == ErrorKind::ConnectionRefused => format!(
            "start FreeSWITCH, load mod_event_socket, and let listen-ip and listen-port of event_socket.conf.xml be \
             {address}; or correct address in [[freeswitch]]"
        ),
        ConnectError::Tcp(_) | ConnectError::Timeout(_) => {
            "correct address in [[freeswitch]], or open the way through the firewall".to_owned()
        }
        ConnectError::AclDenied { .. } => {
            "add this machine's address to the list that apply-inbound-acl in event_socket.conf.xml names, then \
             reloadxml and reload mod_event_socket"
                .to_owned()
        }
        ConnectError::AuthRefused { .. } => {
            "let password in [[freeswitch]] be that of event_socket.conf.xml".to_owned()
        }
        ConnectError::Encode(_) => "correct password in [[freeswitch]]".to_owned(),
        ConnectError::SubscriptionRefused { .. } | ConnectError::Link(LinkError::Unexpected(_)) => {
            format!("{address} is not an event socket: correct address in [[freeswitch]]")
        }
        ConnectError::Link(_) => {
            format!("correct address in [[freeswitch]] if {address} is no event socket; else look at the switch's log")
        }
    };
    Finding::broken(subject, format!("{address}: {}", chain(error)), cure)
}

async fn look(
    config: &Config,
    switch: &Freeswitch,
    devices: &[DeviceId],
    link: &CommandLink,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandError> {
    let subject = switch.name.as_str();
    let mut has_hash = true;
    let mut has_curl = true;
    let mut missing = false;
    let sounds = push::modules(config);
    let needed = MODULES.into_iter();
    let needed = needed.chain(
        sounds
            .iter()
            .map(|(module, without)| (*module, without.as_str())),
    );
    for (module, without) in needed {
        let loaded = link
            .api(&Api::ModuleExists { name: word(module) })
            .await?
            .text()
            == "true";
        if loaded {
            continue;
        }
        missing = true;
        has_hash &= module != "mod_hash";
        has_curl &= module != "mod_curl";
        findings.push(Finding::broken(
            subject,
            format!("{module} is not loaded: {without}"),
            format!(
                "fs_cli -x 'load {module}', and a line for it in autoload_configs/modules.conf.xml (packages name it \
                 freeswitch-{})",
                module.replace('_', "-")
            ),
        ));
    }
    if !missing {
        findings.push(Finding::good(subject, "all modules are loaded"));
    }
    if has_hash {
        findings.push(hash(subject, link).await);
    }
    findings.extend(dialplan::examine(config, switch, link, has_curl).await?);
    findings.extend(profile::examine(switch, link).await?);
    let others = config.freeswitch.len() > 1;
    findings.extend(directory(subject, others, devices, link).await?);
    Ok(())
}

/// Whether the switch knows the devices. With `others` they may be on another switch.
async fn directory(
    subject: &str,
    others: bool,
    devices: &[DeviceId],
    link: &CommandLink,
) -> Result<Option<Finding>, CommandError> {
    let mut unknown = Vec::new();
    for device in devices {
        // A number with a star or a hash cannot be asked about.
        let (Ok(user), Ok(domain)) = (
            Word::new(device.number.as_str()),
            Word::new(device.domain.as_str()),
        ) else {
            continue;
        };
        let answer = link.api(&Api::UserExists { user, domain }).await?;
        if answer.text() != "true" {
            unknown.push(device.to_string());
        }
    }
    if unknown.is_empty() {
        let good = || Finding::good(subject, "the switch knows the devices");
        return Ok((!devices.is_empty()).then(good));
    }
    let what = format!("the switch does not know {}", unknown.join(", "));
    let cure = "let number and domain be those of the switch's own directory (fs_cli -x list_users; vanilla: the domain is \
                that of vars.xml, an IP address unless it was changed)";
    Ok(Some(if others {
        Finding::doubtful(subject, what, cure)
    } else {
        Finding::broken(subject, what, cure)
    }))
}

/// Writes, reads and removes a key.
#[allow(clippy::expect_used)] // key and value are constants without a special character
async fn hash(subject: &str, link: &CommandLink) -> Finding {
    let realm = || word(HASH_REALM);
    let key = || HashKey::new("try").expect("letters are a key");
    let value = DialString::new("user/1001@example.com").expect("a user is a dial string");
    let tried = async {
        let insert = Api::HashInsert {
            realm: realm(),
            key: key(),
            value: value.clone(),
        };
        link.api(&insert).await?;
        let select = Api::HashSelect {
            realm: realm(),
            key: key(),
        };
        let read = link.api(&select).await?;
        let delete = Api::HashDelete {
            realm: realm(),
            key: key(),
        };
        link.api(&delete).await?;
        Ok::<bool, CommandError>(read.text() == value.as_str())
    };
    let cure = "fs_cli -x 'reload mod_hash'";
    match tried.await {
        Ok(true) => Finding::good(subject, "mod_hash keeps what is written"),
        Ok(false) => Finding::broken(subject, "mod_hash does not keep what is written", cure),
        Err(error) => Finding::broken(subject, chain(error), cure),
    }
}

/// A word of this program.
#[allow(clippy::expect_used)] // all of them are constants with letters and underscores
pub(super) fn word(text: &str) -> Word {
    Word::new(text).expect("a name in this program is a word")
}

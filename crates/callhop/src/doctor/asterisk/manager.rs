//! The manager interface itself: whether it lets us in, and what its user may do.
//!
//! What the user may write is said by the switch to anybody (`ListCommands`). What it may read is said on the console alone; of
//! that only the class `user` can be tried, with an event of our own.

use std::{io::ErrorKind, time::Duration};

use callhop_ami::action::ConsoleCommand;
use callhop_ami::word::{ActionId, UserName, VarValue};
use callhop_ami::{
    Action, CommandError, CommandLink, ConnectError, EventLink, LinkError, Login, Options,
    Privilege, Reply, Subscription,
};
use tokio::{net::lookup_host, time::timeout};

use super::switch::{console, word};
use crate::{
    asterisk,
    config::Asterisk,
    doctor::{Finding, chain},
};

/// The classes of events that the driver reads, and what is missing without.
const READ: [(Privilege, &str); 4] = [
    (Privilege::System, "registrations are seen a minute late"),
    (Privilege::Call, "calls are not seen"),
    (
        Privilege::User,
        "the code of a push is not seen, and the controller gives up its link again and again",
    ),
    (Privilege::Dtmf, "the number of a push is not seen"),
];

/// The permissions that the driver needs: an action of each, and what is missing without.
const WRITE: [(Privilege, &str, &str); 4] = [
    (
        Privilege::System,
        "Filter",
        "there is neither a link for events nor a last known route on the switch",
    ),
    (
        Privilege::Call,
        "Redirect",
        "nothing can be pulled or pushed",
    ),
    (
        Privilege::User,
        "UserEvent",
        "the controller cannot tell whether its link for events lives",
    ),
    (
        Privilege::Originate,
        "Originate",
        "pull and push over HTTP ring nobody; star codes work",
    ),
];

/// The event that is sent to see whether it comes.
const EVENT: &str = "CallhopDoctor";

/// How long it may take; 0.8 ms were measured.
const EVENT_LIMIT: Duration = Duration::from_secs(2);

/// The link for commands, or why there is none.
pub(super) async fn connect(switch: &Asterisk) -> Result<CommandLink, Finding> {
    let (login, options) = options(switch)?;
    CommandLink::connect(&*switch.address, &login, &options)
        .await
        .map_err(|error| no_link(switch, &error))
}

fn options(switch: &Asterisk) -> Result<(Login, Options), Finding> {
    let subject = switch.name.as_str();
    let broken = |what: String, key: &str| {
        Finding::broken(subject, what, format!("correct {key} in [[asterisk]]"))
    };
    let login = asterisk::login(switch);
    let login = login.map_err(|error| broken(chain(error), "username"))?;
    let mut options = Options::new(unguessable());
    let tls = asterisk::tls(switch);
    options.tls = tls.map_err(|error| broken(chain(error), "address or tls_ca"))?;
    Ok((login, options))
}

fn unguessable() -> ActionId {
    word(&format!("callhop-doctor-{:016x}", rand::random::<u64>()))
}

fn no_link(switch: &Asterisk, error: &ConnectError) -> Finding {
    let (address, user) = (&switch.address, &switch.username);
    let host = address
        .rsplit_once(':')
        .map_or(address.as_str(), |(host, _)| host);
    let port = address.rsplit_once(':').map_or("5038", |(_, port)| port);
    let cure = match error {
        ConnectError::Tcp(source)
            if source.kind() == ErrorKind::ConnectionRefused && switch.tls =>
        {
            format!(
                "start Asterisk, and let [general] of manager.conf have enabled = yes, tlsenable = yes and tlsbindaddr = \
             {address}; or correct address in [[asterisk]]"
            )
        }
        ConnectError::Tcp(source) if source.kind() == ErrorKind::ConnectionRefused => format!(
            "start Asterisk, and let [general] of manager.conf have enabled = yes, bindaddr = {host} and port = {port}; or \
             correct address in [[asterisk]]"
        ),
        ConnectError::Tcp(_) | ConnectError::Timeout(_) => {
            "correct address in [[asterisk]], or open the way through the firewall".to_owned()
        }
        ConnectError::Tls(_) => format!(
            "let tls_ca in [[asterisk]] be the authority of tlscertfile in [general] of manager.conf, and that certificate \
             be of {host}; if {address} does not speak TLS, take its port for TLS (tlsbindaddr, 5039) or tls = false"
        ),
        ConnectError::LoginRefused { text } if text.contains("In Use") => format!(
            "allowmultiplelogin = yes in [{user}] of manager.conf, then asterisk -rx 'manager reload': the controller has two \
             links"
        ),
        ConnectError::LoginRefused { text } if text.contains("shutting down") => {
            "start Asterisk again, and run `callhop doctor` again".to_owned()
        }
        ConnectError::LoginRefused { .. } => format!(
            "let username and secret in [[asterisk]] be those of [{user}] in manager.conf, and deny and permit there let this \
             machine in; Asterisk's log says which of them it is"
        ),
        ConnectError::PlainSecret { .. } => {
            "tls = true in [[asterisk]] and tlsenable = yes in [general] of manager.conf".to_owned()
        }
        ConnectError::Challenge(_) | ConnectError::Id(_) | ConnectError::Encode(_) => {
            "correct secret in [[asterisk]]".to_owned()
        }
        ConnectError::Link(LinkError::Timeout(_)) if !switch.tls => {
            format!("correct address in [[asterisk]]; if {address} waits for TLS, tls = true there")
        }
        ConnectError::Link(LinkError::Unexpected(_) | LinkError::Frame(_)) => {
            format!("{address} is no manager interface: correct address in [[asterisk]]")
        }
        ConnectError::SubscriptionRefused { .. } | ConnectError::Link(_) => format!(
            "correct address in [[asterisk]] if {address} is no manager interface; else look at the switch's log"
        ),
    };
    let what = format!("{address}: {}", chain_of(error));
    Finding::broken(switch.name.as_str(), what, cure)
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

/// A network between us and the switch on which others can listen.
pub(super) async fn in_the_clear(switch: &Asterisk) -> Option<Finding> {
    let address = &switch.address;
    let is_far = match lookup_host(&**address).await {
        Ok(mut all) => all.any(|it| !it.ip().to_canonical().is_loopback()),
        Err(_) => true,
    };
    (is_far && !switch.tls).then(|| {
        Finding::doubtful(
            switch.name.as_str(),
            format!("what is said with {address} can be read and changed on its way, calls can be ordered there: there is no TLS"),
            "tlsenable = yes, tlsbindaddr and tlscertfile in [general] of manager.conf, and tls = true in [[asterisk]] with \
             that port (5039)",
        )
    })
}

/// What the user may do, and whether that is enough to go on.
pub(super) async fn examine(
    switch: &Asterisk,
    link: &CommandLink,
) -> Result<(Vec<Finding>, bool), CommandError> {
    let (subject, user) = (switch.name.as_str(), switch.username.as_str());
    let allowed = link.run(&Action::ListCommands).await?;
    let mut findings = writes(subject, user, &allowed);
    if !findings.is_empty() {
        return Ok((findings, false));
    }
    let shown = match UserName::new(user) {
        Ok(name) => console(link, ConsoleCommand::ManagerShowUser(name)).await?,
        Err(_) => None,
    };
    let reads = shown.as_deref().map(|shown| reads(subject, user, shown));
    let is_broken = reads.as_ref().is_some_and(Option::is_some);
    if let Some(Some(finding)) = &reads {
        findings.push(finding.clone());
    }
    match events(switch, link).await? {
        Some(finding) if !is_broken => findings.push(finding),
        Some(_) | None => {}
    }
    if findings.is_empty() {
        findings.push(match shown {
            Some(_) => Finding::good(subject, format!("the manager user {user} may do and read what is needed")),
            None => Finding::doubtful(
                subject,
                format!(
                    "the manager user {user} may do what is needed and reads user; whether it reads system, call and dtmf \
                     could not be looked at"
                ),
                format!(
                    "asterisk -rx 'manager show user {user}' has to show them as read perm (with command in write of [{user}] \
                     in manager.conf `callhop doctor` looks itself; the controller does without)"
                ),
            ),
        });
    }
    Ok((findings, true))
}

/// The permissions that are missing.
fn writes(subject: &str, user: &str, allowed: &Reply) -> Vec<Finding> {
    let may = |action: &str| allowed.get(action).is_some();
    let line = write_line(&may);
    let missing = WRITE.iter().filter(|(_, action, _)| !may(action));
    missing
        .map(|(class, _, without)| {
            let what = format!("the manager user {user} may not write {class}: {without}");
            let cure = format!(
                "write = {line} in [{user}] of manager.conf, then asterisk -rx 'manager reload'"
            );
            if *class == Privilege::Originate {
                Finding::doubtful(subject, what, cure)
            } else {
                Finding::broken(subject, what, cure)
            }
        })
        .collect()
}

/// What is needed, and what of the rest there is that the doctor uses.
fn write_line(may: &dyn Fn(&str) -> bool) -> String {
    let needed = WRITE.iter().map(|(class, ..)| class.as_str());
    let more = [("ShowDialPlan", "reporting"), ("Command", "command")];
    let more = more.into_iter().filter(|(action, _)| may(action));
    let words: Vec<&str> = needed.chain(more.map(|(_, class)| class)).collect();
    words.join(",")
}

/// The classes of events that are missing, out of `manager show user`.
fn reads(subject: &str, user: &str, shown: &str) -> Option<Finding> {
    let line = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("read perm:"));
    let read: Vec<&str> = line.unwrap_or_default().split(',').map(str::trim).collect();
    let missing: Vec<&(Privilege, &str)> = READ
        .iter()
        .filter(|(class, _)| !read.contains(&class.as_str()) && !read.contains(&"all"))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let classes: Vec<&str> = missing.iter().map(|(class, _)| class.as_str()).collect();
    let without: Vec<&str> = missing.iter().map(|(_, without)| *without).collect();
    let what = format!(
        "the manager user {user} may not read {}: {}",
        classes.join(", "),
        without.join("; ")
    );
    Some(Finding::broken(subject, what, read_cure(user)))
}

fn read_cure(user: &str) -> String {
    let classes: Vec<&str> = READ.iter().map(|(class, _)| class.as_str()).collect();
    format!(
        "read = {} in [{user}] of manager.conf, then asterisk -rx 'manager reload'",
        classes.join(",")
    )
}

/// Whether an event comes that was asked for.
async fn events(switch: &Asterisk, link: &CommandLink) -> Result<Option<Finding>, CommandError> {
    let subject = switch.name.as_str();
    let (login, options) = match options(switch) {
        Ok(both) => both,
        Err(finding) => return Ok(Some(finding)),
    };
    let subscription = Subscription {
        classes: READ.iter().map(|(class, _)| *class).collect(),
        only: Vec::new(),
    };
    let mut events =
        match EventLink::connect(&*switch.address, &login, &subscription, &options).await {
            Ok(events) => events,
            Err(error) => {
                let mut finding = no_link(switch, &error);
                finding.what = format!("there is no second link, for events: {}", chain_of(&error));
                return Ok(Some(finding));
            }
        };
    let nonce = unguessable();
    let sent: VarValue = word(nonce.as_str());
    link.run(&Action::UserEvent {
        name: word(EVENT),
        fields: vec![(word("Nonce"), sent)],
    })
    .await?;
    let came = async {
        loop {
            let event = events.next().await?;
            if event.get("Nonce").as_deref() == Some(nonce.as_str()) {
                return Ok::<(), LinkError>(());
            }
        }
    };
    let finding = match timeout(EVENT_LIMIT, came).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Finding::broken(
            subject,
            format!("the link for events was lost: {}", chain_of(&error)),
            "look at the switch's log, and run `callhop doctor` again",
        )),
        Err(_) => {
            let user = &switch.username;
            let what = format!(
                "the manager user {user} gets no event of the class user: {}",
                READ[2].1
            );
            let cure = format!(
                "{}; if it has that, take the eventfilter lines out of [{user}] and disabledevents out of [general]",
                read_cure(user)
            );
            Some(Finding::broken(subject, what, cure))
        }
    };
    Ok(finding)
}

#[cfg(test)]
mod tests {
    use callhop_ami::Frame;

    use super::*;
    use callhop_ami::action::{EventFilter, Variable};

    fn list(actions: &[&str]) -> Reply {
        let headers: Vec<(&str, &str)> = std::iter::once(("Response", "Success"))
            .chain(actions.iter().map(|action| (*action, "what it does")))
            .collect();
        Reply::new(Frame::build(&headers).unwrap().headers().clone())
    }

    #[test]
    fn permissions_that_are_missing_are_told_with_the_line() {
        let check = |actions: &[&str], expect: &[&str], line: &str| {
            let found = writes("sw", "callhop", &list(actions));
            let told: Vec<&str> = found
                .iter()
                .map(|it| it.what.split(':').next().unwrap())
                .collect();
            assert_eq!(told, expect);
            for finding in found {
                let cure = format!(
                    "write = {line} in [callhop] of manager.conf, then asterisk -rx 'manager reload'"
                );
                assert_eq!(finding.cure.unwrap(), cure);
            }
        };
        check(&["Filter", "Redirect", "UserEvent", "Originate"], &[], "");
        check(
            &["Filter", "Redirect", "UserEvent"],
            &["the manager user callhop may not write originate"],
            "system,call,user,originate",
        );
        check(
            &["Filter", "Redirect", "Originate", "ShowDialPlan"],
            &["the manager user callhop may not write user"],
            "system,call,user,originate,reporting",
        );
        check(
            &["Command"],
            &[
                "the manager user callhop may not write system",
                "the manager user callhop may not write call",
                "the manager user callhop may not write user",
                "the manager user callhop may not write originate",
            ],
            "system,call,user,originate,command",
        );
    }

    /// These permissions are enough for all that the driver does (asterisk/commands.rs, asterisk/mod.rs).
    #[test]
    fn the_driver_needs_no_more() {
        for action in [
            Action::Filter(EventFilter::NoneInside),
            Action::Status {
                channel: None,
                variables: Vec::new(),
            },
            Action::PjsipShowContacts,
            Action::Getvar {
                channel: None,
                variable: Variable::ChannelOnhold,
            },
            Action::UserEvent {
                name: word(EVENT),
                fields: Vec::new(),
            },
        ] {
            let needs = action.permission();
            assert!(
                needs
                    .iter()
                    .any(|need| WRITE.iter().any(|(has, ..)| has == need)),
                "{action:?}"
            );
        }
    }

    #[test]
    fn classes_that_are_not_read_are_told() {
        let check = |line: &str, expect: Option<&str>| {
            let shown = format!(
                "\n          username: callhop\n         read perm: {line}\n        write perm: all\n"
            );
            let found = reads("sw", "callhop", &shown).map(|finding| finding.what);
            assert_eq!(found.as_deref(), expect, "{line}");
        };
        check("system,call,user,dtmf", None);
        check("system,call,log,verbose,all", None);
        check(
            "system,call,user",
            Some("the manager user callhop may not read dtmf: the number of a push is not seen"),
        );
        check(
            "call,dtmf,user",
            Some(
                "the manager user callhop may not read system: registrations are seen a minute late",
            ),
        );
    }

    #[test]
    fn a_link_that_is_refused_has_its_cure() {
        let switch = Asterisk::default();
        let check = |error: ConnectError, what: &str, cure: &str| {
            let finding = no_link(&switch, &error);
            assert_eq!(finding.what, format!("127.0.0.1:5038: {what}"));
            let told = finding.cure.unwrap();
            assert!(told.contains(cure), "{told}");
        };
        check(
            ConnectError::Tcp(ErrorKind::ConnectionRefused.into()),
            "can't connect: connection refused",
            "enabled = yes, bindaddr = 127.0.0.1 and port = 5038",
        );
        check(
            ConnectError::Timeout(Duration::from_secs(5)),
            "no connection within 5s",
            "firewall",
        );
        let refused = |text: &str| ConnectError::LoginRefused {
            text: text.to_owned(),
        };
        check(
            refused("Authentication failed"),
            "the switch refuses the login: Authentication failed",
            "[callhop] in manager.conf",
        );
        check(
            refused("Login Already In Use"),
            "the switch refuses the login: Login Already In Use",
            "allowmultiplelogin = yes in [callhop]",
        );
        check(
            refused("Asterisk is shutting down"),
            "the switch refuses the login: Asterisk is shutting down",
            "start Asterisk",
        );
        check(
            ConnectError::Link(LinkError::Timeout(Duration::from_secs(5))),
            "no conversation with a manager interface: no answer within 5s",
            "tls = true",
        );
    }
}

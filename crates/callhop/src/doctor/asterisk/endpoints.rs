//! The PJSIP endpoints of the devices.
//!
//! Owns which of their settings matter. Reads them one by one (`PJSIP_ENDPOINT`): whoever shows an endpoint as a whole shows its
//! password.

use std::collections::BTreeMap;

use callhop_ami::action::Variable;
use callhop_ami::word::{Aor, Endpoint};
use callhop_ami::{CommandError, CommandLink};
use callhop_calls::id::DeviceId;

use super::switch::{get, word};
use crate::{
    config::Asterisk,
    doctor::{Finding, Verdict},
};

/// Those of an endpoint that are read.
const SETTINGS: [&str; 8] = [
    "context",
    "auth",
    "aors",
    "direct_media",
    "dtmf_mode",
    "send_pai",
    "send_rpid",
    "send_connected_line",
];

/// The sum of `max_contacts` of an endpoint's addresses of record, beside its settings.
const MAX_CONTACTS: &str = "max_contacts";

/// An endpoint as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    device: DeviceId,
    /// `None` if no pattern of this switch fits the device.
    endpoint: Option<String>,
    settings: BTreeMap<&'static str, String>,
}

impl Read {
    fn is(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    /// The endpoint and its context, if there is one.
    pub(super) fn place(&self) -> Option<(&str, &str)> {
        let context = Some(self.is("context")).filter(|context| !context.is_empty());
        Some((self.endpoint.as_deref()?, context?))
    }
}

pub(super) async fn read(
    switch: &Asterisk,
    devices: &[DeviceId],
    link: &CommandLink,
) -> Result<Vec<Read>, CommandError> {
    let mut all = Vec::new();
    for device in devices {
        let endpoint = switch.endpoints.endpoint(device);
        let settings = match &endpoint {
            Some(endpoint) => settings(endpoint, link).await?,
            None => BTreeMap::new(),
        };
        all.push(Read {
            device: device.clone(),
            endpoint: endpoint.map(|endpoint| endpoint.to_string()),
            settings,
        });
    }
    Ok(all)
}

async fn settings(
    endpoint: &Endpoint,
    link: &CommandLink,
) -> Result<BTreeMap<&'static str, String>, CommandError> {
    let mut settings = BTreeMap::new();
    for name in SETTINGS {
        let variable = Variable::EndpointSetting(endpoint.clone(), word(name));
        settings.insert(name, get(link, variable).await?);
        // There is no such endpoint.
        if name == "context" && settings[name].is_empty() {
            return Ok(settings);
        }
    }
    let mut contacts: Option<u64> = None;
    for aor in settings["aors"].split(',') {
        let Ok(aor) = Aor::new(aor.trim()) else {
            continue;
        };
        let most = get(link, Variable::AorSetting(aor, word(MAX_CONTACTS))).await?;
        // Empty if func_pjsip_aor is not loaded.
        if let Ok(most) = most.parse::<u64>() {
            contacts = Some(contacts.unwrap_or(0) + most);
        }
    }
    if let Some(contacts) = contacts {
        settings.insert(MAX_CONTACTS, contacts.to_string());
    }
    Ok(settings)
}

/// Whether there is the endpoint over which numbers outside are dialled.
pub(super) async fn trunk(
    switch: &Asterisk,
    link: &CommandLink,
) -> Result<Option<Finding>, CommandError> {
    let Some(name) = switch.outside.as_deref().and_then(trunk_of) else {
        return Ok(None);
    };
    let Ok(endpoint) = Endpoint::new(name) else {
        return Ok(None);
    };
    let context = get(link, Variable::EndpointSetting(endpoint, word("context"))).await?;
    Ok(context.is_empty().then(|| {
        Finding::broken(
            switch.name.as_str(),
            format!("the switch has no endpoint {name}, over which outside dials: no number outside is reached"),
            "let outside in [[asterisk]] name one of the endpoints that asterisk -rx 'pjsip show endpoints' shows",
        )
    }))
}

/// `trunk` of `PJSIP/{number}@trunk`, and of `PJSIP/trunk/sip:{number}@host`.
fn trunk_of(outside: &str) -> Option<&str> {
    let rest = outside.strip_prefix("PJSIP/")?;
    match rest.split_once('/') {
        Some((endpoint, _)) => Some(endpoint),
        None => Some(rest.split_once('@')?.1),
    }
}

/// Something that is wrong with endpoints.
struct Rule {
    is_wrong: fn(&Read) -> bool,
    verdict: Verdict,
    what: &'static str,
    /// The line for the endpoint in pjsip.conf.
    line: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        is_wrong: |it| it.is("auth").is_empty(),
        verdict: Verdict::Broken,
        what: "no auth: whoever sends with that name is taken for the phone, and may dial its star codes",
        line: "auth = NAME (and a section [NAME] of type = auth)",
    },
    Rule {
        is_wrong: |it| it.is("aors").is_empty(),
        verdict: Verdict::Broken,
        what: "no aors: nobody can register, and nothing rings",
        line: "aors = NAME (and a section [NAME] of type = aor with max_contacts = 5)",
    },
    Rule {
        is_wrong: |it| it.is(MAX_CONTACTS) == "0",
        verdict: Verdict::Doubtful,
        what: "max_contacts = 0: no phone can register, only a contact of pjsip.conf rings",
        line: "max_contacts = 5 (in the section of type = aor)",
    },
    Rule {
        is_wrong: |it| it.is("dtmf_mode") == "inband",
        verdict: Verdict::Broken,
        what: "dtmf_mode = inband: the far end hears the code and the number of a push",
        line: "dtmf_mode = auto_info",
    },
    Rule {
        is_wrong: |it| it.is("dtmf_mode") == "none",
        verdict: Verdict::Broken,
        what: "dtmf_mode = none: the switch sees no digits, nobody can push",
        line: "dtmf_mode = auto_info",
    },
    Rule {
        is_wrong: |it| is_true(it.is("direct_media")),
        verdict: Verdict::Doubtful,
        what: "direct_media = yes: where audio goes past the switch it sees no digits, so a push may not be seen, and a \
               move needs new invitations to the phones",
        line: "direct_media = no",
    },
    Rule {
        is_wrong: |it| !is_true(it.is("send_pai")) && !is_true(it.is("send_rpid")),
        verdict: Verdict::Doubtful,
        what: "neither send_pai nor send_rpid: after a move the phone does not show whom it has",
        line: "send_pai = yes",
    },
    Rule {
        is_wrong: |it| {
            it.is("send_connected_line") == "false" || it.is("send_connected_line") == "no"
        },
        verdict: Verdict::Doubtful,
        what: "send_connected_line = no: after a move the phone does not show whom it has",
        line: "send_connected_line = yes",
    },
    Rule {
        is_wrong: |it| {
            it.place()
                .is_some_and(|(_, context)| context.starts_with("callhop"))
        },
        verdict: Verdict::Doubtful,
        what: "a context of callhop.conf as its context: the phone can dial star codes and nothing else",
        line: "context = phones (and include => callhop in [phones] of extensions.conf)",
    },
];

/// What is to be said of them. With `others` a device may be on another switch.
pub(super) fn told(subject: &str, others: bool, all: &[Read]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if all.is_empty() {
        return findings;
    }
    let elsewhere: Vec<String> = all
        .iter()
        .filter(|it| it.endpoint.is_none())
        .map(|it| it.device.to_string())
        .collect();
    if !elsewhere.is_empty() && !others {
        findings.push(Finding::broken(
            subject,
            format!("no pattern in endpoints fits {}", elsewhere.join(", ")),
            "let endpoints in [[asterisk]] have the domain of these devices, such as \"example.com\" = \"{number}\"",
        ));
    }
    let unknown: Vec<String> = all
        .iter()
        .filter(|it| it.place().is_none())
        .filter_map(|it| Some(format!("{} ({})", it.endpoint.as_deref()?, it.device)))
        .collect();
    if !unknown.is_empty() {
        let what = format!("the switch has no endpoint {}", unknown.join(", "));
        let cure = "let endpoints in [[asterisk]] say how the endpoints of that domain are called, or callhop device remove \
                    what is no phone (asterisk -rx 'pjsip show endpoints' shows those that there are)";
        findings.push(if others {
            Finding::doubtful(subject, what, cure)
        } else {
            Finding::broken(subject, what, cure)
        });
    }
    let there: Vec<&Read> = all.iter().filter(|it| it.place().is_some()).collect();
    for rule in &RULES {
        let names: Vec<&str> = there
            .iter()
            .filter(|it| (rule.is_wrong)(it))
            .filter_map(|it| it.endpoint.as_deref())
            .collect();
        let Some(first) = names.first() else { continue };
        let (word, verb) = if names.len() == 1 {
            ("endpoint", "has")
        } else {
            ("endpoints", "have")
        };
        findings.push(Finding {
            verdict: rule.verdict,
            subject: subject.to_owned(),
            what: format!("the {word} {} {verb} {}", names.join(", "), rule.what),
            cure: Some(format!(
                "let [{first}] of pjsip.conf have {}, then asterisk -rx 'module reload res_pjsip.so'",
                rule.line.replace("NAME", first)
            )),
        });
    }
    if findings.is_empty() && !there.is_empty() {
        findings.push(Finding::good(
            subject,
            "the endpoints of the devices are as they should be",
        ));
    }
    findings
}

/// What the switch takes for yes (main/utils.c, ast_true).
fn is_true(value: &str) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 9] = [
        ("context", "phones"),
        ("auth", "1001"),
        ("aors", "1001"),
        ("direct_media", "false"),
        ("dtmf_mode", "auto_info"),
        ("send_pai", "true"),
        ("send_rpid", "false"),
        ("send_connected_line", "true"),
        (MAX_CONTACTS, "5"),
    ];

    fn endpoint(name: &str, changed: &[(&'static str, &str)]) -> Read {
        let settings = GOOD
            .iter()
            .chain(changed)
            .map(|(name, value)| (*name, (*value).to_owned()));
        Read {
            device: format!("{name}@a.test").parse().unwrap(),
            endpoint: Some(name.to_owned()),
            settings: settings.collect(),
        }
    }

    fn check(all: &[Read], expect: &[&str]) {
        let found: Vec<String> = told("sw", false, all)
            .into_iter()
            .map(|finding| {
                format!(
                    "{:?} {}",
                    finding.verdict,
                    finding.what.split(':').next().unwrap()
                )
            })
            .collect();
        assert_eq!(found, expect, "{all:?}");
    }

    #[test]
    fn settings_that_matter() {
        check(&[], &[]);
        check(
            &[
                endpoint("1001", &[]),
                endpoint("1002", &[("dtmf_mode", "rfc4733")]),
            ],
            &["Good the endpoints of the devices are as they should be"],
        );
        check(
            &[
                endpoint("1001", &[("direct_media", "true")]),
                endpoint("1002", &[("direct_media", "yes")]),
            ],
            &["Doubtful the endpoints 1001, 1002 have direct_media = yes"],
        );
        for mode in ["inband", "none"] {
            check(
                &[endpoint("1001", &[("dtmf_mode", mode)])],
                &[&format!("Broken the endpoint 1001 has dtmf_mode = {mode}")],
            );
        }
        check(
            &[endpoint("1001", &[("auth", ""), ("aors", "")])],
            &[
                "Broken the endpoint 1001 has no auth",
                "Broken the endpoint 1001 has no aors",
            ],
        );
        check(
            &[endpoint("1001", &[("send_pai", "no"), (MAX_CONTACTS, "0")])],
            &[
                "Doubtful the endpoint 1001 has max_contacts = 0",
                "Doubtful the endpoint 1001 has neither send_pai nor send_rpid",
            ],
        );
        check(
            &[endpoint(
                "1001",
                &[("send_pai", "no"), ("send_rpid", "yes")],
            )],
            &["Good the endpoints of the devices are as they should be"],
        );
        check(
            &[endpoint(
                "1001",
                &[("send_connected_line", "false"), ("context", "callhop")],
            )],
            &[
                "Doubtful the endpoint 1001 has send_connected_line = no",
                "Doubtful the endpoint 1001 has a context of callhop.conf as its context",
            ],
        );
    }

    #[test]
    fn devices_that_the_switch_does_not_know() {
        let unknown = endpoint("1009", &[("context", "")]);
        let elsewhere = Read {
            endpoint: None,
            ..endpoint("1008", &[])
        };
        check(
            &[unknown.clone(), elsewhere.clone()],
            &[
                "Broken no pattern in endpoints fits 1008@a.test",
                "Broken the switch has no endpoint 1009 (1009@a.test)",
            ],
        );
        let found = told("sw", true, &[unknown, elsewhere]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Doubtful);
    }

    #[test]
    fn the_endpoint_of_numbers_outside() {
        for (outside, expect) in [
            ("PJSIP/{number}@trunk", Some("trunk")),
            ("PJSIP/trunk/sip:{number}@host", Some("trunk")),
            ("Local/{number}@outbound", None),
            ("PJSIP/{number}", None),
        ] {
            assert_eq!(trunk_of(outside), expect, "{outside}");
        }
    }

    #[test]
    fn the_cure_names_the_endpoint() {
        let found = told("sw", false, &[endpoint("1001", &[("auth", "")])]);
        assert_eq!(
            found[0].cure.as_deref(),
            Some(
                "let [1001] of pjsip.conf have auth = 1001 (and a section [1001] of type = auth), then asterisk -rx 'module \
                 reload res_pjsip.so'"
            )
        );
    }
}

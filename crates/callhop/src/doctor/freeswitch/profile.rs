//! The SIP profiles, as sofia.conf has them.

use callhop_esl::{Api, CommandError, CommandLink};
use roxmltree::{Document, Node};

use super::switch::word;
use crate::{config::Freeswitch, doctor::Finding};

const RESTART: &str = "then reloadxml and restart the profile";

pub(super) async fn examine(
    switch: &Freeswitch,
    link: &CommandLink,
) -> Result<Vec<Finding>, CommandError> {
    let configuration = link
        .api(&Api::XmlLocate {
            section: word("configuration"),
            tag: word("configuration"),
            attribute: word("name"),
            value: word("sofia.conf"),
        })
        .await?;
    let outside = switch.outside.as_deref();
    Ok(profiles(
        switch.name.as_str(),
        &configuration.text(),
        outside,
    ))
}

fn profiles(switch: &str, configuration: &str, outside: Option<&str>) -> Vec<Finding> {
    let Ok(document) = Document::parse(configuration) else {
        return vec![Finding::doubtful(
            switch,
            "the SIP profiles cannot be read",
            "look at rtp-rewrite-timestamps, inbound-bypass-media, inbound-proxy-media, pass-rfc2833, liberal-dtmf and \
             dtmf-type of each profile yourself",
        )];
    };
    let mut findings: Vec<Finding> = document
        .descendants()
        .filter(|node| node.has_tag_name("profile"))
        .flat_map(|profile| one(switch, &profile))
        .collect();
    findings.extend(outside.and_then(|outside| gateway(switch, &document, outside)));
    findings
}

/// Whether a profile has the gateway over which numbers outside are dialled.
fn gateway(switch: &str, document: &Document<'_>, outside: &str) -> Option<Finding> {
    let name = outside.strip_prefix("sofia/gateway/")?.split('/').next()?;
    // A profile may be named before it.
    let name = name.rsplit("::").next()?;
    let is_there = document
        .descendants()
        .any(|node| node.has_tag_name("gateway") && node.attribute("name") == Some(name));
    (!is_there).then(|| {
        Finding::doubtful(
            switch,
            format!("no SIP profile has the gateway {name} of outside (a user of the directory may have it)"),
            "let outside in [[freeswitch]] name one of the gateways that fs_cli -x 'sofia status' shows",
        )
    })
}

/// A setting that matters, when it is wrong, and what that does.
struct Rule {
    name: &'static str,
    /// What it has to be.
    wanted: bool,
    /// Whether Callhop does not work otherwise, or only a part of it in some cases.
    needed: bool,
    otherwise: &'static str,
}

/// Defaults of all of them: false (mod_sofia, sofia.c, config_sofia).
const RULES: [Rule; 6] = [
    Rule {
        name: "rtp-rewrite-timestamps",
        wanted: true,
        needed: true,
        otherwise: "the far end's telephone hears a jump of the time stamps, a click or a hole, when a call moves",
    },
    Rule {
        name: "inbound-bypass-media",
        wanted: false,
        needed: true,
        otherwise: "audio and digits do not pass the switch: a pull needs new invitations and leaves a gap, and nobody can \
                    push",
    },
    Rule {
        name: "inbound-proxy-media",
        wanted: false,
        needed: true,
        otherwise: "the switch sees neither audio nor digits: a moved call may be silent, and nobody can push",
    },
    Rule {
        name: "inbound-use-callid-as-uuid",
        wanted: false,
        needed: true,
        otherwise: "callers choose the names of channels, so Callhop does not answer for them",
    },
    Rule {
        name: "pass-rfc2833",
        wanted: false,
        needed: true,
        otherwise: "digits pass the switch unseen while two people talk: nobody can push",
    },
    Rule {
        name: LIBERAL_DTMF,
        wanted: true,
        needed: false,
        otherwise: "a phone that agrees to RFC 4733 and sends digits by SIP INFO all the same is not heard: it cannot push",
    },
];

/// What keys with lamps need on a profile of phones.
const LAMPS: [(&str, &str); 2] = [
    ("manage-presence", "keys with lamps stay dark on its phones"),
    (
        "auth-subscriptions",
        "whoever reaches its port sees the presence of every user, and every lamp, without a password",
    ),
];

const LIBERAL_DTMF: &str = "liberal-dtmf";

fn one(switch: &str, profile: &Node<'_, '_>) -> Vec<Finding> {
    let name = profile.attribute("name").unwrap_or("?");
    let subject = format!("{switch}/{name}");
    let setting = |wanted: &str| {
        // Of several the last one counts, and gateways have parameters of their own.
        profile
            .children()
            .filter(|node| node.has_tag_name("settings"))
            .flat_map(|settings| settings.children())
            .filter(|node| node.has_tag_name("param"))
            .filter(|param| {
                param
                    .attribute("name")
                    .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            })
            .filter_map(|param| param.attribute("value"))
            .next_back()
    };
    let dtmf_type = setting("dtmf-type").unwrap_or("rfc2833");
    let mut findings = Vec::new();
    for rule in RULES {
        // Where SIP INFO is the rule, it is heard (sofia.c, sofia_handle_sip_i_info).
        if rule.name == LIBERAL_DTMF && dtmf_type.eq_ignore_ascii_case("info") {
            continue;
        }
        let is = setting(rule.name).is_some_and(is_true);
        if is == rule.wanted {
            continue;
        }
        let what = format!("{} is {is}: {}", rule.name, rule.otherwise);
        let cure = format!(
            "<param name=\"{}\" value=\"{}\"/> in the profile, {RESTART}",
            rule.name, rule.wanted
        );
        findings.push(if rule.needed {
            Finding::broken(&subject, what, cure)
        } else {
            Finding::doubtful(&subject, what, cure)
        });
    }
    if !dtmf_type.eq_ignore_ascii_case("rfc2833") {
        findings.push(Finding::doubtful(
            &subject,
            format!(
                "dtmf-type is {dtmf_type}: digits by RFC 4733 are not asked for, phones that have nothing else cannot push"
            ),
            format!("<param name=\"dtmf-type\" value=\"rfc2833\"/> in the profile, {RESTART}"),
        ));
    }
    // A profile of phones: the others have no keys.
    if setting("auth-calls").is_some_and(is_true) {
        for (name, otherwise) in LAMPS {
            if !setting(name).is_some_and(is_true) {
                findings.push(Finding::doubtful(
                    &subject,
                    format!("{name} is false: {otherwise}"),
                    format!("<param name=\"{name}\" value=\"true\"/> in the profile, {RESTART}"),
                ));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            &subject,
            "media and digits are as they should be",
        ));
    }
    findings
}

/// What the switch takes for yes (switch_utils.h, switch_true).
fn is_true(value: &str) -> bool {
    ["yes", "on", "true", "t", "enabled", "active", "allow"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
        || value.parse::<i64>().is_ok_and(|number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &str, expect: &[&str]) {
        check_outside(settings, None, expect);
    }

    #[track_caller]
    fn check_outside(settings: &str, outside: Option<&str>, expect: &[&str]) {
        let configuration = format!(
            r#"<configuration name="sofia.conf"><profiles><profile name="internal"><gateways><gateway name="g"><param name="pass-rfc2833" value="true"/></gateway></gateways><settings>{settings}</settings></profile></profiles></configuration>"#
        );
        let found: Vec<String> = profiles("sw", &configuration, outside)
            .into_iter()
            .map(|finding| {
                let what = finding
                    .what
                    .split(':')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                format!("{:?} {} {what}", finding.verdict, finding.subject)
            })
            .collect();
        assert_eq!(found, expect, "{settings}");
    }

    #[test]
    fn settings_that_matter() {
        let good = r#"<param name="rtp-rewrite-timestamps" value="yes"/><param name="liberal-dtmf" value="1"/>"#;
        check(
            good,
            &["Good sw/internal media and digits are as they should be"],
        );
        check(
            "",
            &[
                "Broken sw/internal rtp-rewrite-timestamps is false",
                "Doubtful sw/internal liberal-dtmf is false",
            ],
        );
        check(
            &format!(
                r#"{good}<param name="inbound-bypass-media" value="true"/><param name="inbound-proxy-media" value="true"/><param name="inbound-use-callid-as-uuid" value="true"/><param name="pass-rfc2833" value="true"/><param name="dtmf-type" value="info"/><param name="rtp-rewrite-timestamps" value="no"/>"#
            ),
            &[
                "Broken sw/internal rtp-rewrite-timestamps is false",
                "Broken sw/internal inbound-bypass-media is true",
                "Broken sw/internal inbound-proxy-media is true",
                "Broken sw/internal inbound-use-callid-as-uuid is true",
                "Broken sw/internal pass-rfc2833 is true",
                "Doubtful sw/internal dtmf-type is info",
            ],
        );
    }

    #[test]
    fn lamps_need_presence_and_passwords_where_phones_are() {
        let good = r#"<param name="rtp-rewrite-timestamps" value="yes"/><param name="liberal-dtmf" value="1"/>"#;
        let phones = format!(r#"{good}<param name="auth-calls" value="true"/>"#);
        check(
            &phones,
            &[
                "Doubtful sw/internal manage-presence is false",
                "Doubtful sw/internal auth-subscriptions is false",
            ],
        );
        check(
            &format!(
                r#"{phones}<param name="manage-presence" value="true"/><param name="auth-subscriptions" value="true"/>"#
            ),
            &["Good sw/internal media and digits are as they should be"],
        );
    }

    #[test]
    fn digits_by_info_need_one_of_two_settings() {
        let rewrite = r#"<param name="rtp-rewrite-timestamps" value="yes"/>"#;
        check(
            &format!(r#"{rewrite}<param name="dtmf-type" value="info"/>"#),
            &["Doubtful sw/internal dtmf-type is info"],
        );
        check(
            &format!(r#"{rewrite}<param name="dtmf-type" value="none"/>"#),
            &[
                "Doubtful sw/internal liberal-dtmf is false",
                "Doubtful sw/internal dtmf-type is none",
            ],
        );
    }

    #[test]
    fn the_gateway_of_outside_is_looked_for() {
        let good = r#"<param name="rtp-rewrite-timestamps" value="yes"/><param name="liberal-dtmf" value="1"/>"#;
        let fine = "Good sw/internal media and digits are as they should be";
        check_outside(good, Some("sofia/gateway/g/{number}"), &[fine]);
        check_outside(good, Some("sofia/gateway/internal::g/{number}"), &[fine]);
        check_outside(good, Some("sofia/external/{number}@h"), &[fine]);
        check_outside(
            good,
            Some("sofia/gateway/trunk/0{number}"),
            &[
                fine,
                "Doubtful sw no SIP profile has the gateway trunk of outside (a user of the directory may have it)",
            ],
        );
    }
}

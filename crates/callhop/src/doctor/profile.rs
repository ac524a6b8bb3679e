//! The SIP profiles, as sofia.conf has them.

use callhop_esl::{Api, CommandError, CommandLink};
use roxmltree::{Document, Node};

use super::{Finding, switch::word};
use crate::config::Freeswitch;

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
    Ok(profiles(switch.name.as_str(), &configuration.text()))
}

fn profiles(switch: &str, configuration: &str) -> Vec<Finding> {
    let Ok(document) = Document::parse(configuration) else {
        return vec![Finding::doubtful(
            switch,
            "the SIP profiles cannot be read",
            "look at rtp-rewrite-timestamps, inbound-bypass-media, inbound-proxy-media, liberal-dtmf and pass-rfc2833 \
             of each profile yourself",
        )];
    };
    document
        .descendants()
        .filter(|node| node.has_tag_name("profile"))
        .flat_map(|profile| one(switch, &profile))
        .collect()
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
        otherwise: "the audio does not pass the switch: a move needs new invitations and leaves a gap",
    },
    Rule {
        name: "inbound-proxy-media",
        wanted: false,
        needed: true,
        otherwise: "the switch does not see the audio: a moved call may be silent",
    },
    Rule {
        name: "inbound-use-callid-as-uuid",
        wanted: false,
        needed: true,
        otherwise: "callers choose the names of channels, so Callhop does not answer for them",
    },
    Rule {
        name: "liberal-dtmf",
        wanted: true,
        needed: false,
        otherwise: "digits by SIP INFO are ignored",
    },
    Rule {
        name: "pass-rfc2833",
        wanted: false,
        needed: false,
        otherwise: "digits pass the switch unseen",
    },
];

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
    let mut findings = Vec::new();
    for rule in RULES {
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
    if let Some(kind) = setting("dtmf-type")
        && !kind.eq_ignore_ascii_case("rfc2833")
    {
        findings.push(Finding::doubtful(
            &subject,
            format!("dtmf-type is {kind}: digits by RFC 4733 are not asked for"),
            format!("<param name=\"dtmf-type\" value=\"rfc2833\"/> in the profile, {RESTART}"),
        ));
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

    fn check(settings: &str, expect: &[&str]) {
        let configuration = format!(
            r#"<configuration name="sofia.conf"><profiles><profile name="internal"><gateways><gateway name="g"><param name="pass-rfc2833" value="true"/></gateway></gateways><settings>{settings}</settings></profile></profiles></configuration>"#
        );
        let found: Vec<String> = profiles("sw", &configuration)
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
                "Doubtful sw/internal pass-rfc2833 is true",
                "Doubtful sw/internal dtmf-type is info",
            ],
        );
    }
}

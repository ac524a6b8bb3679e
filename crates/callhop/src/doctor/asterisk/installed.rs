//! Whether the switch has loaded the dialplan file of this program.
//!
//! Owns the comparison, extension by extension. What the admin may set at the top of the file is not compared.

use std::collections::BTreeSet;

use super::{
    dialplan::{INSTALL, Site},
    plan::{Plan, Step},
};
use crate::doctor::Finding;

/// The context of the star codes.
pub(super) const CODES: &str = "callhop";

/// Steps of our file with a value of the site: the application, and with what its data begins.
const SETTINGS: [(&str, &str); 5] = [
    ("Set", "CALLHOP_URL="),
    ("Set", "CALLHOP_DEFAULT_DOMAIN="),
    ("Set", "CALLHOP_MANAGER="),
    ("Set", "CALLHOP_TONE_"),
    ("Playtones", ""),
];

/// What the switch has of our file.
pub(super) fn examine(subject: &str, site: &Site<'_>, loaded: &Plan, ours: &Plan) -> Vec<Finding> {
    let contexts: Vec<&String> = ours.0.keys().collect();
    let missing: Vec<&str> = contexts
        .iter()
        .filter(|name| !loaded.0.contains_key(**name))
        .map(|name| name.as_str())
        .collect();
    if missing.len() == contexts.len() {
        let what = "the dialplan has nothing of callhop.conf: neither star codes nor inbound calls reach Callhop, and nobody can \
                    push";
        return vec![Finding::broken(subject, what, INSTALL)];
    }
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(Finding::broken(
            subject,
            format!(
                "callhop.conf is not that of this Callhop, it has no {}",
                missing.join(", ")
            ),
            INSTALL,
        ));
    }
    findings.extend(settings(subject, site, loaded));
    let codes = |plan: &Plan| -> BTreeSet<String> {
        plan.0
            .get(CODES)
            .map(|context| context.extensions.keys().cloned().collect())
            .unwrap_or_default()
    };
    let (wanted, there) = (codes(ours), codes(loaded));
    let list = |codes: Vec<&String>| {
        codes
            .into_iter()
            .map(|code| shown(code))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let lacks: Vec<&String> = wanted.difference(&there).collect();
    if !lacks.is_empty() && loaded.0.contains_key(CODES) {
        let what = format!("the dialplan does not have the codes {}", list(lacks));
        findings.push(Finding::broken(subject, what, INSTALL));
    }
    let stale: Vec<&String> = there.difference(&wanted).collect();
    if !stale.is_empty() {
        let what = format!(
            "the dialplan has codes that are none any more: {}",
            list(stale)
        );
        findings.push(Finding::doubtful(subject, what, INSTALL));
    }
    let different = different(loaded, ours);
    if !different.is_empty() {
        findings.push(Finding::doubtful(
            subject,
            format!(
                "callhop.conf is not that of this Callhop, it has another {}",
                different.join(", ")
            ),
            INSTALL,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            subject,
            "callhop.conf is that of this Callhop, with all configured star codes",
        ));
    }
    findings
}

/// A code as people write it.
fn shown(extension: &str) -> String {
    match extension
        .strip_prefix('_')
        .and_then(|it| it.strip_suffix('.'))
    {
        Some(code) => format!("{code} with a number"),
        None => extension.to_owned(),
    }
}

/// What was filled in for another configuration than this one.
fn settings(subject: &str, site: &Site<'_>, loaded: &Plan) -> Vec<Finding> {
    let value = |name: &str| {
        let mut steps = loaded.steps();
        steps.find_map(|(context, _, (application, data))| {
            let is_ours = context.starts_with(CODES) && application == "Set";
            let (set, value) = data.split_once('=').filter(|_| is_ours)?;
            (set == name).then_some(value)
        })
    };
    let mut findings = Vec::new();
    if let Some(url) = value("CALLHOP_URL").filter(|url| *url != site.url) {
        let what = format!(
            "the dialplan asks at {url}, the controller answers at {}",
            site.url
        );
        findings.push(Finding::broken(subject, what, INSTALL));
    }
    if let Some(user) = value("CALLHOP_MANAGER").filter(|user| *user != site.user) {
        let what = format!(
            "the dialplan takes the manager user {user} for the controller, which is {}: a push is given back after its first \
             second",
            site.user
        );
        findings.push(Finding::broken(subject, what, INSTALL));
    }
    if let Some(domain) =
        value("CALLHOP_DEFAULT_DOMAIN").filter(|domain| !site.domains.contains(domain))
    {
        findings.push(Finding::doubtful(
            subject,
            format!(
                "calls that carry no domain are of {domain}, of which [[asterisk]] has no endpoints"
            ),
            format!(
                "callhop dialplan install asterisk DIR --domain {}",
                site.domains.first().unwrap_or(&"DOMAIN")
            ),
        ));
    }
    findings
}

/// Extensions of which the switch has others, the codes left out.
fn different(loaded: &Plan, ours: &Plan) -> Vec<String> {
    let mut different = Vec::new();
    for (name, context) in &ours.0 {
        let Some(there) = loaded.0.get(name) else {
            continue;
        };
        for (extension, steps) in &context.extensions {
            let is_same = there
                .extensions
                .get(extension)
                .map(|loaded| same(steps, loaded));
            if is_same == Some(false) || is_same.is_none() && name != CODES {
                different.push(format!("{name},{extension}"));
            }
        }
    }
    different
}

fn same(ours: &[Step], loaded: &[Step]) -> bool {
    ours.len() == loaded.len()
        && ours.iter().zip(loaded).all(|(ours, loaded)| {
            let is_setting = SETTINGS.iter().any(|(application, begin)| {
                [ours, loaded]
                    .iter()
                    .all(|it| it.0 == *application && it.1.starts_with(begin))
            });
            ours == loaded || is_setting
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialplan::ASTERISK;

    fn check(change: fn(String) -> String, expect: &[&str]) {
        let site = Site {
            url: "http://127.0.0.1:8085/asterisk/asterisk".to_owned(),
            user: "callhop",
            domains: vec!["example.com"],
        };
        let loaded = change(ASTERISK.to_owned());
        let found: Vec<String> =
            examine("sw", &site, &Plan::parse(&loaded), &Plan::parse(ASTERISK))
                .into_iter()
                .map(|finding| format!("{:?} {}", finding.verdict, finding.what))
                .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn the_file_of_this_program_is_known() {
        let good = "Good callhop.conf is that of this Callhop, with all configured star codes";
        check(|text| text, &[good]);
        check(|text| text.replace("!1500/200", "!800/100"), &[good]);
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        check(
            |_| "[phones]\nexten => 1000,1,Hangup()\n".to_owned(),
            &[
                "Broken the dialplan has nothing of callhop.conf: neither star codes nor inbound calls reach Callhop, and nobody \
                 can push",
            ],
        );
    }

    #[test]
    fn files_of_other_versions_are_told() {
        check(
            |text| text.replace("[callhop-push]", "[callhop-pushes]"),
            &["Broken callhop.conf is not that of this Callhop, it has no callhop-push"],
        );
        check(
            |text| text.replace("exten => refused,", "exten => declined,"),
            &[
                "Doubtful callhop.conf is not that of this Callhop, it has another callhop-push,refused",
            ],
        );
        check(
            |text| text.replace("CURLOPT(httptimeout)=1", "CURLOPT(httptimeout)=9"),
            &["Doubtful callhop.conf is not that of this Callhop, it has another callhop-ask,s"],
        );
    }

    #[test]
    fn a_file_of_another_configuration_is_told() {
        check(
            |text| {
                text.replace(":8085/asterisk/asterisk", ":9000/asterisk/north")
                    .replace("CALLHOP_MANAGER=callhop", "CALLHOP_MANAGER=other")
                    .replace("DOMAIN=example.com", "DOMAIN=lab.test")
            },
            &[
                "Broken the dialplan asks at http://127.0.0.1:9000/asterisk/north, the controller answers at http://127.0.0.1:8085/asterisk/asterisk",
                "Broken the dialplan takes the manager user other for the controller, which is callhop: a push is given back after its first second",
                "Doubtful calls that carry no domain are of lab.test, of which [[asterisk]] has no endpoints",
            ],
        );
        check(
            |text| {
                text.replace("=> *50,", "=> *60,")
                    .replace("=> _*49.", "=> _*59.")
            },
            &[
                "Broken the dialplan does not have the codes *50, *49 with a number",
                "Doubtful the dialplan has codes that are none any more: *60, *59 with a number",
            ],
        );
    }
}

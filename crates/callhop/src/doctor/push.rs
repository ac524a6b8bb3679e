//! What the settings of pushes mean for an installation.
//!
//! Owns what needs no switch to be seen: who may be called at the site's cost, and codes that are in the way.

use std::collections::BTreeSet;

use callhop_calls::{
    directory::{Directory, Extension},
    id::{Domain, ExtensionId, Number},
    push::{Pattern, PushPolicy, PushTarget, target},
};

use super::Finding;
use crate::config::Config;

/// Numbers that nobody needs all of: a neighbour, a premium rate, another country (two ways) and a satellite.
const ELSEWHERE: [&str; 5] = [
    "5550123",
    "09001234567",
    "0012125550123",
    "0112125550123",
    "0088216123456",
];

/// The settings of all domains; the one without a name counts where a domain has none.
pub(super) fn policies(config: &Config) -> impl Iterator<Item = (Option<&Domain>, &PushPolicy)> {
    let domains = config.domains.iter();
    std::iter::once((None, &config.push)).chain(domains.map(|(name, d)| (Some(name), &d.push)))
}

/// Whether what may be dialled is everything.
pub(super) fn toll(config: &Config) -> Vec<Finding> {
    let subject = "configuration";
    let mut findings = Vec::new();
    for (domain, push) in policies(config) {
        // What a domain has from [push] is said there.
        if push.allow.is_empty() || domain.is_some() && push.allow == config.push.allow {
            continue;
        }
        let whose = whose(domain);
        let patterns: Vec<&str> = push.allow.iter().map(Pattern::as_str).collect();
        let patterns = patterns.join(", ");
        findings.push(if ELSEWHERE.iter().all(|number| may_dial(push, number)) {
            Finding::doubtful(
                subject,
                format!(
                    "allow in {whose} ({patterns}) fits every number: whoever has a phone may have the site pay for \
                     calls to anywhere"
                ),
                "let allow name only the numbers that calls have to be pushed to, such as \"0[1-9][0-9]{4,14}\"",
            )
        } else {
            Finding::good(
                subject,
                format!("besides extensions and devices, {whose} lets calls be pushed to {patterns}"),
            )
        });
    }
    findings
}

/// Codes that somebody dials without meaning a push.
pub(super) fn short_codes(config: &Config) -> Option<Finding> {
    let domains = config.domains.values().map(|policy| &policy.features.push);
    let codes: BTreeSet<&str> = std::iter::once(&config.features.push)
        .chain(domains)
        .map(String::as_str)
        .filter(|code| code.len() == 1)
        .collect();
    if codes.is_empty() {
        return None;
    }
    let codes: Vec<&str> = codes.into_iter().collect();
    Some(Finding::doubtful(
        "configuration",
        format!(
            "{} is the whole code of a push: nobody can send it to a menu or to voicemail any more",
            codes.join(" and ")
        ),
        "let push in [features] have two characters or more, such as \"*9\"",
    ))
}

/// The section of a domain's settings.
fn whose(domain: Option<&Domain>) -> String {
    domain.map_or_else(
        || "[push]".to_owned(),
        |domain| format!("[domains.\"{domain}\".push]"),
    )
}

/// Whether somebody who has nothing but the patterns may push to `number`.
fn may_dial(push: &PushPolicy, number: &str) -> bool {
    let (Ok(number), Ok(pusher), Ok(domain)) = (
        number.parse::<Number>(),
        "pusher".parse::<Number>(),
        "nowhere".parse::<Domain>(),
    ) else {
        return false;
    };
    let pusher = Extension {
        id: ExtensionId::new(pusher.clone(), domain.clone()),
        devices: vec![pusher.clone()],
        route: None,
    };
    let Some(device) = pusher.device_ids().next() else {
        return false;
    };
    let found = target(&Directory::default(), &pusher, &device, &number, push);
    matches!(found, Ok(PushTarget::Outside(_)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{Environment, read},
        doctor::Verdict,
    };

    fn config(text: &str) -> Config {
        let switch = "[[freeswitch]]\noutside = 'sofia/gateway/t/{number}'\n";
        let text = format!("{switch}{text}");
        read(&text, Path::new(""), &Environment::new()).unwrap()
    }

    #[test]
    fn patterns_that_fit_everything_are_told() {
        let check = |allow: &str, expect: &[Verdict]| {
            let found = toll(&config(&format!("[push]\nallow = {allow}\n")));
            let found: Vec<Verdict> = found.into_iter().map(|finding| finding.verdict).collect();
            assert_eq!(found, expect, "{allow}");
        };
        check("[]", &[]);
        check("['0[1-9][0-9]{4,14}', '112']", &[Verdict::Good]);
        check("['.*']", &[Verdict::Doubtful]);
        check("['[0-9]{5,}']", &[Verdict::Doubtful]);
        check("['0.*', '[1-9].*']", &[Verdict::Doubtful]);
        check("['0.*']", &[Verdict::Good]);
    }

    #[test]
    fn a_domain_is_told_only_where_it_differs() {
        let found = toll(&config(
            "[push]\nallow = ['112']\n[domains.a]\n[domains.b.push]\nallow = ['.+']\n[domains.c.push]\nallow = []\n",
        ));
        let found: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            found,
            [
                "besides extensions and devices, [push] lets calls be pushed to 112",
                "allow in [domains.\"b\".push] (.+) fits every number: whoever has a phone may have the site pay for \
                 calls to anywhere",
            ]
        );
    }

    #[test]
    fn a_code_of_one_character_is_told() {
        assert_eq!(short_codes(&config("")), None);
        let found = short_codes(&config(
            "[features]\npush = '#'\n[domains.a.features]\npush = '5'\n[domains.b.features]\npush = '*9'\n",
        ));
        let what = found.unwrap().what;
        assert!(what.starts_with("# and 5 is the whole code"), "{what}");
    }
}

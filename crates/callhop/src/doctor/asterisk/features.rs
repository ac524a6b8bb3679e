//! The codes that people dial in the midst of a call.
//!
//! Owns what features.conf has to have for pushes, and what of it is in their way. The features of the section `featuremap` can be
//! read by anybody; those of `applicationmap` only on the console.

use std::collections::{BTreeMap, BTreeSet};

use callhop_ami::action::{ConsoleCommand, Variable};
use callhop_ami::{CommandError, CommandLink};

use super::{
    plan::Plan,
    switch::{console, get, word},
};
use crate::{asterisk::words::feature, config::Config, doctor::Finding};

/// A feature of `featuremap` (main/features_config.c), and the options of `Dial` that switch it on.
const BUILT_IN: [(&str, [char; 2]); 5] = [
    ("blindxfer", ['t', 'T']),
    ("atxfer", ['t', 'T']),
    ("disconnect", ['h', 'H']),
    ("parkcall", ['k', 'K']),
    ("automixmon", ['x', 'X']),
];

/// Milliseconds between two digits of a code that people manage.
const SHORTEST_MS: u64 = 500;

/// Milliseconds after which a digit that was no code reaches the far end; above it menus do not understand people any more.
const LONGEST_MS: u64 = 3_000;

const TIMEOUT: &str = "featuredigittimeout";

const INSTALL: &str = "callhop dialplan install asterisk DIR, where DIR is the folder of features.conf, #include \
                       callhop_features.conf as the last line of [applicationmap] there, then asterisk -rx 'module reload features'";

pub(super) async fn examine(
    config: &Config,
    subject: &str,
    plan: Option<&Plan>,
    link: &CommandLink,
) -> Result<Vec<Finding>, CommandError> {
    let codes = push_codes(config);
    let mut findings = match console(link, ConsoleCommand::FeaturesShow).await? {
        Some(shown) => applications(subject, &codes, &shown),
        None => {
            let names: Vec<String> = codes.iter().map(|code| feature(code)).collect();
            vec![Finding::doubtful(
                subject,
                "whether features.conf has the codes of pushes could not be looked at",
                format!(
                    "asterisk -rx 'features show' has to show {} (with command in write of manager.conf `callhop doctor` looks \
                     itself; the controller does without)",
                    names.join(", ")
                ),
            )]
        }
    };
    for (name, options) in BUILT_IN {
        let digits = get(link, Variable::FeatureMap(word(name))).await?;
        findings.extend(in_the_way(subject, name, &digits, options, &codes, plan));
    }
    let limit = get(link, Variable::Feature(word(TIMEOUT))).await?;
    findings.extend(digit_timeout(subject, &limit));
    Ok(findings)
}

fn push_codes(config: &Config) -> BTreeSet<&str> {
    let own = config.domains.values().map(|policy| &policy.features);
    let all = std::iter::once(&config.features).chain(own);
    all.map(|features| features.push.as_str()).collect()
}

/// The features of the `applicationmap`, out of `features show`.
fn applications(subject: &str, codes: &BTreeSet<&str>, shown: &str) -> Vec<Finding> {
    let lines = shown
        .lines()
        .skip_while(|line| !line.starts_with("Dynamic Feature"));
    let lines = lines.skip(2).take_while(|line| !line.trim().is_empty());
    let there: BTreeMap<&str, &str> = lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next_back()?))
        })
        .filter(|(name, _)| *name != "(none)")
        .collect();
    let mut findings = Vec::new();
    for code in codes {
        let name = feature(code);
        match there.get(name.as_str()) {
            Some(digits) if digits == code => {}
            Some(digits) => findings.push(Finding::broken(
                subject,
                format!(
                    "{name} of features.conf has the code {digits}: nobody can push with {code}"
                ),
                INSTALL,
            )),
            None => findings.push(Finding::broken(
                subject,
                format!("features.conf has no {name}: nobody can push with {code}"),
                INSTALL,
            )),
        }
    }
    if findings.is_empty() {
        let codes: Vec<&str> = codes.iter().copied().collect();
        findings.push(Finding::good(
            subject,
            format!("features.conf has the code {} of a push", codes.join(", ")),
        ));
    }
    let ours: BTreeSet<String> = codes.iter().map(|code| feature(code)).collect();
    let others: Vec<&str> = there
        .keys()
        .filter(|name| !ours.contains(**name))
        .copied()
        .collect();
    if !others.is_empty() {
        findings.push(Finding::doubtful(
            subject,
            format!(
                "features.conf has features of your own ({}): the legs of known devices have only the code of a push, their \
                 DYNAMIC_FEATURES are set by the controller",
                others.join(", ")
            ),
            "use them on the legs of others, or not at all",
        ));
    }
    findings
}

/// How sure it is that a leg has a feature of the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SwitchedOn {
    /// By this extension.
    By(String),
    /// Perhaps: the options of this extension are in a variable.
    Perhaps(String),
    /// Nobody knows.
    Unseen,
}

/// A feature of the switch whose digits are the beginning of a push code, or the other way round, where it is switched on. The
/// shorter one is taken as soon as it is complete: of `*9` dialled with `disconnect => *` the `*` ended the call (22.10).
fn in_the_way(
    subject: &str,
    name: &str,
    digits: &str,
    options: [char; 2],
    codes: &BTreeSet<&str>,
    plan: Option<&Plan>,
) -> Option<Finding> {
    let is_in_the_way = |code: &&&str| code.starts_with(digits) || digits.starts_with(**code);
    let code = codes
        .iter()
        .filter(|_| !digits.is_empty())
        .find(is_in_the_way)?;
    let on = match plan {
        Some(plan) => switched_on(plan, options)?,
        None => SwitchedOn::Unseen,
    };
    let [low, high] = options;
    let place = match &on {
        SwitchedOn::By(place) => format!("{place} switches it on ({low} or {high})"),
        SwitchedOn::Perhaps(place) => format!("{place} may switch it on ({low} or {high})"),
        SwitchedOn::Unseen => format!(
            "a Dial with {low} or {high} switches it on (whether there is one could not be looked at)"
        ),
    };
    let is_taken = code.starts_with(digits);
    let then = if is_taken {
        format!("who dials {code} there gets {name} instead of a push")
    } else {
        format!("who dials {digits} there pushes")
    };
    let what = format!("{name} is {digits} in [featuremap] of features.conf, and {place}: {then}");
    let cure = format!(
        "let {name} in [featuremap] of features.conf be digits that neither begin {code} nor begin with it, such as *0, then \
         asterisk -rx 'module reload features'"
    );
    Some(if is_taken && matches!(on, SwitchedOn::By(_)) {
        Finding::broken(subject, what, cure)
    } else {
        Finding::doubtful(subject, what, cure)
    })
}

/// An extension that gives a feature to a leg, or may.
fn switched_on(plan: &Plan, options: [char; 2]) -> Option<SwitchedOn> {
    let mut perhaps = None;
    for (context, extension, (application, data)) in plan.steps() {
        // Dial(whom,seconds,options,url), Queue(name,options,...)
        let at = match application.as_str() {
            "Dial" | "RetryDial" => 2,
            "Queue" => 1,
            _ => continue,
        };
        let Some(given) = data
            .split(',')
            .nth(at)
            .filter(|_| !context.starts_with("callhop"))
        else {
            continue;
        };
        let place = || format!("{application} in {context},{extension}");
        if without_arguments(given).contains(options) {
            return Some(SwitchedOn::By(place()));
        }
        if given.contains("${") && perhaps.is_none() {
            perhaps = Some(SwitchedOn::Perhaps(place()));
        }
    }
    perhaps
}

/// Options without what stands in brackets behind them.
fn without_arguments(options: &str) -> String {
    let mut depth = 0usize;
    let keep = options.chars().filter(|c| match c {
        '(' | '{' => {
            depth += 1;
            false
        }
        ')' | '}' => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    });
    keep.collect()
}

fn digit_timeout(subject: &str, limit: &str) -> Option<Finding> {
    let limit: u64 = limit.parse().ok()?;
    let what = if limit < SHORTEST_MS {
        format!("{TIMEOUT} is {limit} ms: hardly anybody dials the code of a push so fast")
    } else if limit > LONGEST_MS {
        format!("{TIMEOUT} is {limit} ms: a * that begins no code reaches the far end that late")
    } else {
        return None;
    };
    let cure = format!(
        "{TIMEOUT} = 1000 in [general] of features.conf, then asterisk -rx 'module reload features'"
    );
    Some(Finding::doubtful(subject, what, cure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    /// `features show` of 22.10.
    fn shown(dynamic: &str) -> String {
        format!(
            "Builtin Feature           Default Current\n---------------           ------- -------\nPickup                    *8      *8     \n\
             Blind Transfer            #       #      \nOne Touch MixMonitor                     \n\n\
             Dynamic Feature           Default Current\n---------------           ------- -------\n{dynamic}\n\n\
             Feature Groups:\n---------------\n(none)\n"
        )
    }

    fn lines(findings: Vec<Finding>) -> Vec<String> {
        let line = |finding: Finding| {
            let what = finding.what.split(':').next().unwrap().to_owned();
            format!("{:?} {what}", finding.verdict)
        };
        findings.into_iter().map(line).collect()
    }

    #[test]
    fn codes_of_pushes() {
        let check = |codes: &[&str], dynamic: &str, expect: &[&str]| {
            let codes = codes.iter().copied().collect();
            assert_eq!(
                lines(applications("sw", &codes, &shown(dynamic))),
                expect,
                "{dynamic}"
            );
        };
        let good = "callhop_push_s9           no def  *9     ";
        check(
            &["*9"],
            good,
            &["Good features.conf has the code *9 of a push"],
        );
        check(
            &["*9"],
            "(none)",
            &["Broken features.conf has no callhop_push_s9"],
        );
        check(
            &["*9", "##"],
            &format!("{good}\nrecord                    no def  *1     "),
            &[
                "Broken features.conf has no callhop_push_hh",
                "Doubtful features.conf has features of your own (record)",
            ],
        );
        check(
            &["*9"],
            "callhop_push_s9           no def  *8     ",
            &["Broken callhop_push_s9 of features.conf has the code *8"],
        );
    }

    #[test]
    fn features_of_the_switch_that_are_in_the_way() {
        let check = |digits: &str, data: &str, expect: Option<Verdict>| {
            let plan = Plan::parse(&format!("[in]\nexten => 1,1,Dial({data})\n"));
            let codes = BTreeSet::from(["*9"]);
            let found = in_the_way("sw", "disconnect", digits, ['h', 'H'], &codes, Some(&plan));
            assert_eq!(found.map(|found| found.verdict), expect, "{digits} {data}");
        };
        let (broken, doubtful) = (Some(Verdict::Broken), Some(Verdict::Doubtful));
        check("*", "PJSIP/1,30,h", broken);
        check("*", "PJSIP/1,30,rH", broken);
        check("*", "PJSIP/1,30,${OPTIONS_h}", doubtful);
        check("*", "PJSIP/1,30,H${OPTIONS}", broken);
        check("*", "PJSIP/1,30,r", None);
        check("*", "PJSIP/1,30,M(hello)", None);
        check("*", "PJSIP/1", None);
        check("*9", "PJSIP/1,30,h", broken);
        check("*99", "PJSIP/1,30,h", doubtful);
        check("*0", "PJSIP/1,30,h", None);
        check("", "PJSIP/1,30,h", None);
        let unseen = in_the_way(
            "sw",
            "disconnect",
            "*",
            ['h', 'H'],
            &BTreeSet::from(["*9"]),
            None,
        );
        assert_eq!(unseen.map(|found| found.verdict), doubtful);
    }

    #[test]
    fn time_between_digits() {
        let check = |limit: &str, expect: bool| {
            assert_eq!(digit_timeout("sw", limit).is_some(), expect, "{limit}");
        };
        check("1000", false);
        check("200", true);
        check("10000", true);
        check("", false);
    }
}

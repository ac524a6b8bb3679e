//! The dialplan that the switch has loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use callhop_ami::action::Variable;
use callhop_ami::word::{Context, Exten};
use callhop_ami::{Action, CommandError, CommandLink};

use super::{
    endpoints::Read,
    installed::{self, CODES},
    plan::Plan,
    switch::get,
};
use crate::{
    config::{Asterisk, Config},
    dialplan,
    doctor::{Finding, push::policies},
};

/// How long the switch may take to show its dialplan: 60,000 steps came within two seconds.
const SHOW_LIMIT: Duration = Duration::from_secs(60);

pub(super) const INSTALL: &str = "callhop dialplan install asterisk DIR, where DIR is the folder of extensions.conf, #include \
                                  callhop.conf there, then asterisk -rx 'dialplan reload'";

/// What is filled into our file.
pub(super) struct Site<'a> {
    /// Where the controller answers this switch.
    pub(super) url: String,
    /// As whom the controller logs in.
    pub(super) user: &'a str,
    /// The domains of the endpoints.
    pub(super) domains: Vec<&'a str>,
}

/// The loaded dialplan; `None` if that may not be asked.
pub(super) async fn read(link: &CommandLink) -> Result<Option<Plan>, CommandError> {
    match link.list_within(&Action::ShowDialplan, SHOW_LIMIT).await {
        Ok(list) => Ok(Some(Plan::loaded(&list.items))),
        Err(CommandError::PermissionDenied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn examine(
    config: &Config,
    switch: &Asterisk,
    plan: Option<&Plan>,
    endpoints: &[Read],
    link: &CommandLink,
) -> Result<Vec<Finding>, CommandError> {
    let subject = switch.name.as_str();
    let (phones, codes) = (contexts(endpoints), star_codes(config));
    let fallbacks = fallbacks(config, switch);
    let Some(plan) = plan else {
        return unseen(switch, &phones, &codes, &fallbacks, link).await;
    };
    let mut findings = Vec::new();
    let site = Site {
        url: format!("http://{}/asterisk/{}", config.http.listen, switch.name),
        user: &switch.username,
        domains: switch
            .endpoints
            .patterns()
            .map(|(domain, _)| domain.as_str())
            .collect(),
    };
    // Which domain stands in the file is not compared.
    if let Some((domain, _)) = switch.endpoints.patterns().next() {
        let ours = Plan::parse(&dialplan::asterisk(config, switch, domain));
        findings.extend(installed::examine(subject, &site, plan, &ours));
    }
    if plan.0.contains_key(CODES) {
        findings.extend(reached(subject, plan, &phones, &codes));
    }
    findings.extend(lamps(subject, switch, plan, &phones));
    findings.extend(hunting(subject, plan));
    findings.extend(fallbacks.iter().filter_map(|(number, context)| {
        let is_there = plan.finds(context, number).is_some() || plan.asks_elsewhere(context);
        (!is_there).then(|| no_fallback(subject, number, context))
    }));
    Ok(findings)
}

/// The contexts of the devices, with their endpoints.
fn contexts(endpoints: &[Read]) -> BTreeMap<&str, Vec<&str>> {
    let mut contexts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (endpoint, context) in endpoints.iter().filter_map(Read::place) {
        contexts.entry(context).or_default().push(endpoint);
    }
    contexts
}

/// The codes that are called, of all domains.
fn star_codes(config: &Config) -> BTreeSet<&str> {
    let own = config.domains.values().map(|policy| &policy.features);
    let all = std::iter::once(&config.features).chain(own);
    all.flat_map(|features| features.codes())
        .map(|(_, code)| code)
        .collect()
}

/// Number and context of where calls go that nobody wants back.
fn fallbacks<'a>(config: &'a Config, switch: &'a Asterisk) -> BTreeSet<(&'a str, &'a str)> {
    policies(config)
        .filter_map(|(_, push)| push.fallback.as_deref())
        .map(|fallback| {
            fallback
                .split_once('@')
                .unwrap_or((fallback, &switch.context))
        })
        .collect()
}

fn no_fallback(subject: &str, number: &str, context: &str) -> Finding {
    Finding::broken(
        subject,
        format!(
            "the context {context} has no extension {number}, where push.fallback would go: calls end there"
        ),
        "let fallback in [push] be a number of a context that the dialplan has, as 4000@phones (context in [[asterisk]] names \
         that of a number alone)",
    )
}

/// Which phones see no lamps, and which see those of another domain.
fn lamps(
    subject: &str,
    switch: &Asterisk,
    plan: &Plan,
    phones: &BTreeMap<&str, Vec<&str>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (context, endpoints) in phones {
        let devices = endpoints
            .iter()
            .filter_map(|it| switch.endpoints.device(it));
        let own: BTreeSet<String> = devices.map(|it| it.domain.to_string()).collect();
        for (domain, _) in switch.endpoints.patterns() {
            let lamps = dialplan::lamps_context(domain.as_str());
            let has = plan.includes(context, &lamps);
            let (what, cure) = match (own.contains(domain.as_str()), has) {
                (true, false) if plan.0.contains_key(&lamps) => (
                    format!(
                        "the context {context} does not include {lamps}: keys with lamps are refused to its phones, unless \
                         they have a subscribe_context"
                    ),
                    format!(
                        "include => {lamps} in [{context}] of extensions.conf, then asterisk -rx 'dialplan reload'"
                    ),
                ),
                (false, true) => (
                    format!(
                        "the context {context} includes {lamps}, which is of another domain: its phones see the routes there"
                    ),
                    format!("take include => {lamps} out of [{context}] of extensions.conf"),
                ),
                (true | false, _) => continue,
            };
            findings.push(Finding::doubtful(subject, what, cure));
        }
    }
    findings
}

fn not_included(subject: &str, context: &str, endpoints: &[&str]) -> Finding {
    Finding::broken(
        subject,
        format!(
            "the context {context} of {} does not include callhop: their star codes do not reach Callhop",
            endpoints.join(", ")
        ),
        format!(
            "include => callhop in [{context}] of extensions.conf, then asterisk -rx 'dialplan reload'"
        ),
    )
}

/// Whether the codes that a phone dials are ours.
fn reached(
    subject: &str,
    plan: &Plan,
    phones: &BTreeMap<&str, Vec<&str>>,
    codes: &BTreeSet<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (context, endpoints) in phones {
        let (mut missing, mut taken) = (false, BTreeMap::<&str, Vec<&str>>::new());
        // A code that our own file does not have is told as such.
        for code in codes
            .iter()
            .filter(|code| plan.finds(CODES, code).is_some())
        {
            match plan.finds(context, code) {
                Some(CODES) => {}
                Some(other) => taken.entry(other).or_default().push(code),
                None => missing = true,
            }
        }
        for (other, codes) in &taken {
            findings.push(Finding::broken(
                subject,
                format!(
                    "{} dialled in the context {context} finds an extension of [{other}] before that of callhop.conf",
                    codes.join(", ")
                ),
                format!("take that extension out of [{other}] of extensions.conf, or let [features] have other codes"),
            ));
        }
        if missing && plan.asks_elsewhere(context) {
            findings.push(Finding::doubtful(
                subject,
                format!("whether the context {context} has the star codes cannot be seen: it asks elsewhere (switch =>)"),
                format!("include => callhop in [{context}] of extensions.conf, unless they come from there"),
            ));
        } else if missing {
            findings.push(not_included(subject, context, endpoints));
        } else if taken.is_empty() {
            findings.push(Finding::good(
                subject,
                format!("the star codes reach Callhop from the context {context}"),
            ));
        }
    }
    findings
}

/// Whether anything asks where to ring.
fn hunting(subject: &str, plan: &Plan) -> Option<Finding> {
    if !plan.0.contains_key("callhop-hunt") {
        return None;
    }
    let asks: BTreeSet<&str> = plan
        .steps()
        .filter(|(context, _, (_, data))| {
            !context.starts_with(CODES) && data.contains("callhop-hunt")
        })
        .map(|(context, ..)| context)
        .collect();
    Some(if asks.is_empty() {
        Finding::doubtful(
            subject,
            "no extension asks where to ring: routes do not count for inbound calls",
            "put the three lines of `callhop dialplan show asterisk-inbound` in the place of the Dial line",
        )
    } else {
        let asks: Vec<&str> = asks.into_iter().collect();
        Finding::good(
            subject,
            format!(
                "inbound calls ask where to ring in the context {}",
                asks.join(", ")
            ),
        )
    })
}

/// What can be said if the dialplan may not be shown: whether there are extensions.
async fn unseen(
    switch: &Asterisk,
    phones: &BTreeMap<&str, Vec<&str>>,
    codes: &BTreeSet<&str>,
    fallbacks: &BTreeSet<(&str, &str)>,
    link: &CommandLink,
) -> Result<Vec<Finding>, CommandError> {
    let subject = switch.name.as_str();
    let exists = |context: &str, exten: &str| {
        let words = (Context::new(context), Exten::new(exten));
        async move {
            let (Ok(context), Ok(exten)) = words else {
                return Ok(true);
            };
            let found = get(link, Variable::DialplanExists(context, exten)).await?;
            Ok::<bool, CommandError>(found != "0")
        }
    };
    let user = &switch.username;
    let mut findings = vec![Finding::doubtful(
        subject,
        "whether callhop.conf is that of this Callhop, and who answers star codes, could not be looked at",
        format!(
            "let write in [{user}] of manager.conf have reporting as well, as in write = system,call,user,originate,reporting, then \
             asterisk -rx 'manager reload'"
        ),
    )];
    let mut is_there = true;
    for (context, exten) in [
        ("callhop-star", "s"),
        ("callhop-hunt", "s"),
        ("callhop-push", "collect"),
        ("callhop-offer", "ring"),
    ] {
        if !exists(context, exten).await? {
            is_there = false;
            let what = format!("the dialplan has no {context} of this Callhop");
            findings.push(Finding::broken(subject, what, INSTALL));
        }
    }
    for (context, endpoints) in phones {
        for code in codes {
            if is_there && !exists(context, code).await? {
                findings.push(not_included(subject, context, endpoints));
                break;
            }
        }
    }
    for (number, context) in fallbacks {
        if !exists(context, number).await? {
            findings.push(no_fallback(subject, number, context));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialplan::ASTERISK;

    fn check(own: &str, expect: &[&str]) {
        let plan = Plan::parse(&format!("{ASTERISK}{own}"));
        let phones = BTreeMap::from([("phones", vec!["1001", "1002"])]);
        let codes = star_codes_of_default();
        let mut found = reached("sw", &plan, &phones, &codes);
        found.extend(hunting("sw", &plan));
        let found: Vec<String> = found
            .into_iter()
            .map(|finding| format!("{:?} {}", finding.verdict, finding.what))
            .collect();
        assert_eq!(found, expect, "{own}");
    }

    fn star_codes_of_default() -> BTreeSet<&'static str> {
        ["*33", "*49", "*50", "*51"].into()
    }

    const ASKS: &str = "Good inbound calls ask where to ring in the context in";
    const IN: &str = "[in]\nexten => 1000,1,Gosub(callhop-hunt,${EXTEN},1)\n";

    #[test]
    fn codes_reach_callhop_by_the_include() {
        let good = "Good the star codes reach Callhop from the context phones";
        check(
            &format!("{IN}[phones]\ninclude => callhop\n"),
            &[good, ASKS],
        );
        check(
            &format!("{IN}[phones]\ninclude => all\n[all]\ninclude => callhop\n"),
            &[good, ASKS],
        );
        check(
            &format!("{IN}[phones]\nexten => 1000,1,Hangup()\n"),
            &[
                "Broken the context phones of 1001, 1002 does not include callhop: their star codes do not reach Callhop",
                ASKS,
            ],
        );
        check(
            &format!("{IN}[phones]\ninclude => callhop\nexten => _*3X,1,Hangup()\n"),
            &[
                "Broken *33 dialled in the context phones finds an extension of [phones] before that of callhop.conf",
                ASKS,
            ],
        );
        check(
            &format!("{IN}[phones]\nswitch => Realtime/@extensions\n"),
            &[
                "Doubtful whether the context phones has the star codes cannot be seen: it asks elsewhere (switch =>)",
                ASKS,
            ],
        );
    }

    #[test]
    fn somebody_has_to_ask_where_to_ring() {
        check(
            "[phones]\ninclude => callhop\nexten => 1000,1,Dial(PJSIP/1001)\n",
            &[
                "Good the star codes reach Callhop from the context phones",
                "Doubtful no extension asks where to ring: routes do not count for inbound calls",
            ],
        );
    }

    #[test]
    fn a_fallback_is_in_the_context_of_the_switch_or_in_its_own() {
        let text = "[[asterisk]]\nsecret = 's'\ncontext = 'phones'\nendpoints = { 'a' = '{number}' }\n\
                    [push]\nfallback = '4000'\n[domains.a.push]\nfallback = '1@voicemail'\n";
        let config =
            crate::config::read(text, std::path::Path::new(""), &Default::default()).unwrap();
        let found: Vec<_> = fallbacks(&config, &config.asterisk[0])
            .into_iter()
            .collect();
        assert_eq!(found, [("1", "voicemail"), ("4000", "phones")]);
    }
}

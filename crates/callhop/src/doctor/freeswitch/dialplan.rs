//! The dialplan that the switch has loaded.

use std::collections::BTreeSet;

use callhop_calls::star::Features;
use callhop_esl::{Api, CommandError, CommandLink, word::VarName};
use roxmltree::{Document, Node};

use super::{installed, push, switch::word};
use crate::{
    config::{Config, Freeswitch},
    doctor::{Finding, Verdict},
};

pub(super) async fn examine(
    config: &Config,
    switch: &Freeswitch,
    link: &CommandLink,
    has_curl: bool,
) -> Result<Vec<Finding>, CommandError> {
    let subject = switch.name.as_str();
    let section = link
        .api(&Api::XmlSection {
            section: word("dialplan"),
        })
        .await?;
    let fallbacks = push::fallback_contexts(config, switch);
    let mut findings = loaded(subject, &section.text(), &switch.context, &fallbacks);
    let variable = |name: &'static str| async move {
        let Ok(name) = VarName::new(name) else {
            return Ok(String::new());
        };
        let value = link.api(&Api::GlobalGetvar { name }).await?;
        Ok::<String, CommandError>(value.text().into_owned())
    };
    let url = variable("callhop_url").await?;
    let codes = [
        variable("callhop_codes_with_number").await?,
        variable("callhop_codes_alone").await?,
    ];
    // Variables of the switch outlive the file that set them.
    let is_there = findings
        .iter()
        .any(|finding| finding.verdict != Verdict::Broken);
    if is_there && !url.is_empty() {
        findings.extend(variables(config, switch, &url, &codes));
        if has_curl {
            findings.push(reach(config, subject, link).await?);
        }
    }
    Ok(findings)
}

pub(super) const INSTALL: &str = "callhop dialplan install freeswitch DIR, where DIR is a folder that the context includes, then fs_cli -x \
                       reloadxml";

/// What is to be said of the dialplan as the switch has it.
fn loaded(subject: &str, section: &str, context: &str, fallbacks: &BTreeSet<&str>) -> Vec<Finding> {
    let Ok(document) = Document::parse(section) else {
        return vec![Finding::doubtful(
            subject,
            "the loaded dialplan cannot be read (it may come from mod_xml_curl or a script)",
            "make sure yourself that its contexts have all extensions of `callhop dialplan show freeswitch`",
        )];
    };
    let mut findings = contexts(subject, &document);
    findings.extend(installed::examine(subject, &document, context, fallbacks));
    findings.extend(other_digits(subject, &document));
    findings
}

/// Digits that the admin's own extensions wait for. Of several realms on one leg only that of the last binding counts
/// (switch_ivr_async.c, switch_ivr_dmachine_bind), and a push arms its leg at the answer.
fn other_digits(subject: &str, document: &Document<'_>) -> Option<Finding> {
    let own_realm = |data: &str| {
        let (separator, rest) = match data.strip_prefix("^^") {
            Some(rest) => (rest.chars().next().unwrap_or(','), rest),
            None => (',', data),
        };
        rest.trim_start_matches(separator).split(separator).next() == Some("callhop")
    };
    let extensions: BTreeSet<&str> = document
        .descendants()
        .filter(|node| node.attribute("application") == Some("bind_digit_action"))
        .filter(|node| !node.attribute("data").is_some_and(own_realm))
        .filter_map(|node| node.ancestors().find(|node| node.has_tag_name("extension")))
        .filter_map(|extension| extension.attribute("name"))
        .collect();
    if extensions.is_empty() {
        return None;
    }
    let names: Vec<&str> = extensions.into_iter().collect();
    Some(Finding::doubtful(
        subject,
        format!(
            "the extension {} binds digits of its own: a leg has either these or the code of a push",
            names.join(", ")
        ),
        "give these bindings the realm callhop (bind_digit_action callhop,...): then a leg has both until it pushes",
    ))
}

/// Which contexts have the extensions, and which of them would never be reached.
fn contexts(subject: &str, document: &Document<'_>) -> Vec<Finding> {
    let named = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| {
                node.has_tag_name("extension") && node.attribute("name") == Some(name)
            })
            .filter_map(|node| context_of(&node))
            .collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    for (name, what) in [
        ("callhop_star", "star codes"),
        ("callhop_hunt", "inbound calls"),
    ] {
        let contexts = named(name);
        if contexts.is_empty() {
            findings.push(Finding::broken(
                subject,
                format!("no context has the extension {name}: {what} do not reach Callhop"),
                INSTALL,
            ));
        } else {
            findings.push(Finding::good(
                subject,
                format!("{name} is in the context {}", contexts.join(", ")),
            ));
        }
    }
    let hunted = named("callhop_hunt");
    let calls: Vec<String> = document
        .descendants()
        .filter(|node| {
            node.has_tag_name("action")
                && node.attribute("application") == Some("execute_extension")
                && node
                    .attribute("data")
                    .is_some_and(|data| data.trim_start().starts_with("callhop_hunt "))
        })
        .filter_map(|node| context_of(&node))
        .collect();
    if calls.is_empty() && !hunted.is_empty() {
        findings.push(Finding::doubtful(
            subject,
            "no extension asks where to ring: routes do not count for inbound calls",
            "put the three lines of `callhop dialplan show freeswitch-inbound` in the place of the bridge line",
        ));
    }
    findings
}

fn context_of(node: &Node<'_, '_>) -> Option<String> {
    node.ancestors()
        .find(|node| node.has_tag_name("context"))
        .and_then(|context| context.attribute("name"))
        .map(str::to_owned)
}

/// Whether the file on the switch was rendered from this configuration.
fn variables(config: &Config, switch: &Freeswitch, url: &str, codes: &[String; 2]) -> Vec<Finding> {
    let subject = switch.name.as_str();
    let mut findings = Vec::new();
    let expected = format!(
        "http://{}/freeswitch/{}",
        config.http.listen,
        switch.name.as_str()
    );
    if url != expected {
        findings.push(Finding::broken(
            subject,
            format!("the dialplan asks at {url}, the controller answers at {expected}"),
            INSTALL,
        ));
    }
    let all: Vec<&Features> = std::iter::once(&config.features)
        .chain(config.domains.values().map(|policy| &policy.features))
        .collect();
    let known: Vec<&str> = codes.iter().flat_map(|codes| codes.split('|')).collect();
    let mut missing: Vec<&str> = all
        .iter()
        .flat_map(|features| features.codes())
        .map(|(_, code)| code)
        .filter(|code| !known.contains(&code.replace('*', "[*]").as_str()))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        findings.push(Finding::good(
            subject,
            "the dialplan has all configured star codes",
        ));
    } else {
        findings.push(Finding::broken(
            subject,
            format!(
                "the dialplan does not have the codes {}",
                missing.join(", ")
            ),
            INSTALL,
        ));
    }
    findings
}

/// Whether the switch itself gets an answer from the controller.
async fn reach(
    config: &Config,
    subject: &str,
    link: &CommandLink,
) -> Result<Finding, CommandError> {
    let answer = link
        .api(&Api::Curl {
            address: config.http.listen,
            path: word("healthz"),
        })
        .await?;
    Ok(if answer.text() == "ok" {
        Finding::good(subject, "the switch reaches the controller")
    } else {
        Finding::broken(
            subject,
            format!(
                "the switch gets no answer from the controller at {}",
                config.http.listen
            ),
            "start the controller with `callhop run` on the switch's own machine",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(section: &str, expect: &[&str]) {
        let found: Vec<String> = loaded("sw", section, "default", &BTreeSet::new())
            .into_iter()
            .map(|finding| format!("{:?} {}", finding.verdict, finding.what))
            .collect();
        assert_eq!(found, expect, "{section}");
    }

    #[test]
    fn contexts_with_and_without_the_extensions() {
        check(
            r#"<section name="dialplan"><context name="default"><extension name="callhop_star"/><extension name="callhop_hunt"/><extension name="x"><condition><action application="execute_extension" data="callhop_hunt XML ${context}"/></condition></extension></context></section>"#,
            &[
                "Good callhop_star is in the context default",
                "Good callhop_hunt is in the context default",
                "Broken the file in the context default is of an older Callhop, without callhop_push: nobody can push",
            ],
        );
        check(
            r#"<section name="dialplan"><context name="public"><extension name="callhop_hunt"/></context></section>"#,
            &[
                "Broken no context has the extension callhop_star: star codes do not reach Callhop",
                "Good callhop_hunt is in the context public",
                "Doubtful no extension asks where to ring: routes do not count for inbound calls",
                "Broken there is no context default, where the legs of a push would wait: nobody can push",
            ],
        );
        check(
            "can't find anything",
            &[
                "Doubtful the loaded dialplan cannot be read (it may come from mod_xml_curl or a script)",
            ],
        );
    }

    #[test]
    fn digits_of_other_realms_are_told() {
        let check = |data: &str, expect: Option<&str>| {
            let section = format!(
                "<section><context name='c'><extension name='own'><condition><action application='bind_digit_action' \
                 data='{data}'/></condition></extension></context></section>"
            );
            let document = Document::parse(&section).unwrap();
            let found = other_digits("sw", &document).map(|finding| finding.what);
            assert_eq!(found.as_deref(), expect, "{data}");
        };
        let told = "the extension own binds digits of its own: a leg has either these or the code of a push";
        check("admin,*1,exec:hangup", Some(told));
        check("^^|admin|*1|exec:hangup", Some(told));
        check("callhop,*1,exec:hangup", None);
        check("^^|callhop|*1|exec:hangup", None);
    }

    #[test]
    fn a_file_of_another_configuration_is_told() {
        let config = Config::default();
        let check = |url: &str, with_number: &str, expect: &[&str]| {
            let codes = [with_number.to_owned(), "[*]50|[*]51".to_owned()];
            let found: Vec<String> = variables(&config, &config.freeswitch[0], url, &codes)
                .into_iter()
                .map(|finding| finding.what)
                .collect();
            assert_eq!(found, expect);
        };
        let url = "http://127.0.0.1:8085/freeswitch/freeswitch";
        check(
            url,
            "[*]33|[*]49",
            &["the dialplan has all configured star codes"],
        );
        check(
            "http://127.0.0.1:8085/freeswitch/other",
            "[*]33",
            &[
                "the dialplan asks at http://127.0.0.1:8085/freeswitch/other, the controller answers at http://127.0.0.1:8085/freeswitch/freeswitch",
                "the dialplan does not have the codes *49",
            ],
        );
    }
}

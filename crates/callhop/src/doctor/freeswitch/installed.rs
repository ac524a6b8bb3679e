//! Whether the switch has loaded the dialplan file of this program.
//!
//! Owns the comparison, extension by extension. What the admin may set at the top of the file is not compared.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};

use super::dialplan::INSTALL;
use crate::{dialplan::FREESWITCH, doctor::Finding};

/// What the loaded contexts have of our file. Pushes need `context`, and calls that nobody wants back go to `fallbacks`.
pub(super) fn examine(
    subject: &str,
    loaded: &Document<'_>,
    context: &str,
    fallbacks: &BTreeSet<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = match Document::parse(FREESWITCH) {
        Ok(ours) => ours,
        Err(error) => {
            let cure = "report this, with the version of Callhop";
            return vec![Finding::broken(subject, error.to_string(), cure)];
        }
    };
    let contexts: Vec<Node<'_, '_>> = loaded
        .descendants()
        .filter(|node| node.has_tag_name("context") && node.attribute("name").is_some())
        .collect();
    let name = |context: &Node<'_, '_>| context.attribute("name").unwrap_or_default().to_owned();
    let with_ours: Vec<String> = contexts
        .iter()
        .filter(|context| extension(context, "callhop_star").is_some())
        .map(name)
        .collect();
    if !contexts.iter().any(|loaded| name(loaded) == context) {
        findings.push(Finding::broken(
            subject,
            format!("there is no context {context}, where the legs of a push would wait: nobody can push"),
            move_or_install(&with_ours),
        ));
    }
    for loaded in &contexts {
        let is_for_pushes = name(loaded) == context;
        if is_for_pushes || with_ours.contains(&name(loaded)) {
            findings.push(compared(subject, &ours, loaded, is_for_pushes, &with_ours));
        }
    }
    for missing in fallbacks
        .iter()
        .filter(|fallback| !contexts.iter().any(|loaded| name(loaded) == **fallback))
        .filter(|missing| **missing != context)
    {
        findings.push(Finding::broken(
            subject,
            format!("there is no context {missing}, where push.fallback would go: calls end there"),
            "let fallback in [push] be a number of a context that the dialplan has, as 4000@default",
        ));
    }
    findings
}

fn move_or_install(with_ours: &[String]) -> String {
    if with_ours.is_empty() {
        INSTALL.to_owned()
    } else {
        format!(
            "let context in [[freeswitch]] be {}, or {INSTALL}",
            with_ours.join(" or ")
        )
    }
}

/// One context against our file.
fn compared(
    subject: &str,
    ours: &Document<'_>,
    loaded: &Node<'_, '_>,
    is_for_pushes: bool,
    with_ours: &[String],
) -> Finding {
    let context = loaded.attribute("name").unwrap_or_default();
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    for expected in ours.descendants().filter(|n| n.has_tag_name("extension")) {
        let name = expected.attribute("name").unwrap_or_default();
        match extension(loaded, name) {
            None => missing.push(name),
            Some(found) if !same(&expected, &found) => different.push(name),
            Some(_) => {}
        }
    }
    let has_star = !missing.contains(&"callhop_star");
    if is_for_pushes && missing.contains(&"callhop_push") {
        let (what, cure) = if has_star {
            let what = format!(
                "the file in the context {context} is of an older Callhop, without callhop_push: nobody can push"
            );
            (what, INSTALL.to_owned())
        } else {
            let what = format!(
                "the context {context}, where the legs of a push would wait, has no callhop_push: nobody can push"
            );
            (what, move_or_install(with_ours))
        };
        return Finding::broken(subject, what, cure);
    }
    if !missing.is_empty() {
        let what = format!(
            "the file in the context {context} is not that of this Callhop, it has no {}",
            missing.join(", ")
        );
        return if is_for_pushes {
            Finding::broken(subject, what, INSTALL)
        } else {
            Finding::doubtful(subject, what, INSTALL)
        };
    }
    if !different.is_empty() {
        return Finding::doubtful(
            subject,
            format!(
                "the file in the context {context} is not that of this Callhop, it has another {}",
                different.join(", ")
            ),
            INSTALL,
        );
    }
    let purpose = if is_for_pushes {
        ", and the legs of a push wait there"
    } else {
        ""
    };
    Finding::good(
        subject,
        format!("the file in the context {context} is that of this Callhop{purpose}"),
    )
}

fn extension<'a, 'i>(context: &Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    context
        .descendants()
        .find(|node| node.has_tag_name("extension") && node.attribute("name") == Some(name))
}

/// Whether two elements are the same but for comments, white space and the variables of the switch, which it has replaced.
fn same(ours: &Node<'_, '_>, loaded: &Node<'_, '_>) -> bool {
    let elements =
        |node: &Node<'_, '_>| -> usize { node.children().filter(Node::is_element).count() };
    ours.tag_name() == loaded.tag_name()
        && ours.attributes().len() == loaded.attributes().len()
        && ours.attributes().all(|attribute| {
            loaded
                .attribute(attribute.name())
                .is_some_and(|value| fits(attribute.value(), value))
        })
        && elements(ours) == elements(loaded)
        && ours
            .children()
            .filter(Node::is_element)
            .zip(loaded.children().filter(Node::is_element))
            .all(|(ours, loaded)| same(&ours, &loaded))
}

/// Whether `text` is `template` with something in the place of each `$${variable}`.
fn fits(template: &str, text: &str) -> bool {
    let mut pieces = template.split("$${");
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut between: Vec<&str> = pieces
        .map(|piece| piece.split_once('}').map_or("", |(_, after)| after))
        .collect();
    let Some(last) = between.pop() else {
        return rest.is_empty();
    };
    for piece in between {
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our file as a switch has loaded it, in the context `default`.
    fn loaded(change: fn(String) -> String) -> String {
        let body = FREESWITCH
            .replace(
                "$${callhop_url}",
                "http://127.0.0.1:8085/freeswitch/freeswitch",
            )
            .replace("$${callhop_codes_alone}", "[*]50|[*]51")
            .replace("$${callhop_codes_with_number}", "[*]33|[*]49")
            .replace("$${callhop_tone_beep}", "%(1,1,1)");
        format!(
            "<section><context name=\"default\">{}</context><context name=\"public\"/></section>",
            change(body)
        )
    }

    fn check(section: &str, context: &str, expect: &[&str]) {
        let document = Document::parse(section).unwrap();
        let found: Vec<String> = examine("sw", &document, context, &BTreeSet::from(["voicemail"]))
            .into_iter()
            .map(|finding| format!("{:?} {}", finding.verdict, finding.what))
            .collect();
        let fallback =
            "Broken there is no context voicemail, where push.fallback would go: calls end there";
        assert_eq!(found, [expect, &[fallback]].concat());
    }

    #[test]
    fn the_file_of_this_program_is_known() {
        check(
            &loaded(|text| text),
            "default",
            &[
                "Good the file in the context default is that of this Callhop, and the legs of a push wait there",
            ],
        );
    }

    #[test]
    fn files_of_other_versions_are_told() {
        let old = |text: String| {
            let (before, _) = text
                .split_once("<extension name=\"callhop_push\">")
                .unwrap();
            format!("{before}</include>")
        };
        check(
            &loaded(old),
            "default",
            &[
                "Broken the file in the context default is of an older Callhop, without callhop_push: nobody can push",
            ],
        );
        check(
            &loaded(|text| text.replace("callhop_beat", "callhop_pulse")),
            "default",
            &[
                "Broken the file in the context default is not that of this Callhop, it has no callhop_beat",
            ],
        );
        check(
            &loaded(|text| text.replace("connect-timeout 1 timeout 1", "timeout 9")),
            "default",
            &[
                "Doubtful the file in the context default is not that of this Callhop, it has another callhop_star, callhop_take, callhop_hunt, callhop_beat",
            ],
        );
    }

    #[test]
    fn pushes_need_their_context() {
        check(
            &loaded(|text| text),
            "public",
            &[
                "Good the file in the context default is that of this Callhop",
                "Broken the context public, where the legs of a push would wait, has no callhop_push: nobody can push",
            ],
        );
        check(
            &loaded(|text| text),
            "phones",
            &[
                "Broken there is no context phones, where the legs of a push would wait: nobody can push",
                "Good the file in the context default is that of this Callhop",
            ],
        );
    }

    #[test]
    fn variables_of_the_switch_stand_for_anything() {
        for (template, text, expect) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("$${x}", "", true),
            ("^(?:$${x}|$${y})$", "^(?:1|2)$", true),
            ("^(?:$${x}|$${y})$", "^(?:1)$", false),
            ("$${x}/b", "a/c", false),
        ] {
            assert_eq!(fits(template, text), expect, "{template} {text}");
        }
    }
}

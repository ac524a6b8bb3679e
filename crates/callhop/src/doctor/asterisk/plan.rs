//! A dialplan of Asterisk: what the switch has loaded, or what stands in one of our files.
//!
//! Owns how an extension is found (`pbx_find_extension`, main/pbx.c): a context's own extensions, then those that it includes,
//! in their order. Labels are not kept: the switch does not tell them.
//!
//! ```text
//! file = *( "[" context "]" / "include =>" context / "exten =>" extension "," priority "," step / "same =>" priority "," step )
//! step = application [ "(" data ")" ]                    ; "\;" is a semicolon, ";" begins a comment
//! pattern = "_" *( "X" / "Z" / "N" / "[" set "]" / digit ) [ "." / "!" ]
//! ```

use std::collections::BTreeMap;

use callhop_ami::Event;

/// How deep includes are followed (AST_PBX_MAX_STACK).
const MAX_DEPTH: usize = 128;

/// An application and its data.
pub(super) type Step = (String, String);

/// A context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// The steps of each extension, in the order of their priorities.
    pub(super) extensions: BTreeMap<String, Vec<Step>>,
    pub(super) includes: Vec<String>,
    /// Whether it asks elsewhere (`switch =>`): then it may have more than is known here.
    pub(super) asks_elsewhere: bool,
}

/// All contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan(pub(super) BTreeMap<String, Context>);

impl Plan {
    /// Out of the list that `ShowDialPlan` gives, which has the steps in their order.
    pub(super) fn loaded(list: &[Event]) -> Self {
        let mut plan = Self::default();
        for item in list {
            let Some(context) = item.get_filled("Context") else {
                continue;
            };
            let context = plan.0.entry(context.into_owned()).or_default();
            if let Some(included) = item.get_filled("IncludeContext") {
                // Behind a comma stand the times at which it counts.
                let name = included.split(',').next().unwrap_or_default();
                context.includes.push(name.to_owned());
            } else if item.get_filled("Switch").is_some() {
                context.asks_elsewhere = true;
            } else if let Some(extension) = item.get_filled("Extension") {
                let get = |name| item.get(name).unwrap_or_default().into_owned();
                let steps = context
                    .extensions
                    .entry(extension.into_owned())
                    .or_default();
                steps.push((get("Application"), get("AppData")));
            }
        }
        plan
    }

    /// Out of a file.
    pub(super) fn parse(text: &str) -> Self {
        let mut plan = Self::default();
        let (mut context, mut extension) = (String::new(), String::new());
        for line in text.lines() {
            let line = without_comment(line);
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                context = name.to_owned();
                plan.0.entry(context.clone()).or_default();
                continue;
            }
            let Some((key, value)) = line.split_once("=>") else {
                continue;
            };
            let mut value = value.trim();
            let context = plan.0.entry(context.clone()).or_default();
            match key.trim() {
                "include" => context.includes.push(value.to_owned()),
                "switch" => context.asks_elsewhere = true,
                key @ ("exten" | "same") => {
                    if key == "exten" {
                        let (name, rest) = value.split_once(',').unwrap_or((value, ""));
                        extension = name.to_owned();
                        value = rest;
                    }
                    let (_priority, step) = value.split_once(',').unwrap_or((value, ""));
                    let (application, data) = step.split_once('(').unwrap_or((step, ")"));
                    let data = data.strip_suffix(')').unwrap_or(data);
                    let steps = context.extensions.entry(extension.clone()).or_default();
                    steps.push((application.to_owned(), data.to_owned()));
                }
                _ => {}
            }
        }
        plan
    }

    /// The context in which the extension is that `number` dialled in `context` finds.
    pub(super) fn finds<'a>(&'a self, context: &'a str, number: &str) -> Option<&'a str> {
        self.finds_below(context, number, 0)
    }

    fn finds_below<'a>(&'a self, name: &'a str, number: &str, depth: usize) -> Option<&'a str> {
        let context = self.0.get(name).filter(|_| depth < MAX_DEPTH)?;
        if context.extensions.keys().any(|it| fits(it, number)) {
            return Some(name);
        }
        let mut includes = context.includes.iter();
        includes.find_map(|included| self.finds_below(included, number, depth + 1))
    }

    /// Whether a context is another one, or includes it.
    pub(super) fn includes(&self, name: &str, wanted: &str) -> bool {
        fn below(plan: &Plan, name: &str, wanted: &str, depth: usize) -> bool {
            name == wanted
                || plan
                    .0
                    .get(name)
                    .filter(|_| depth < MAX_DEPTH)
                    .is_some_and(|context| {
                        let mut includes = context.includes.iter();
                        includes.any(|it| below(plan, it, wanted, depth + 1))
                    })
        }
        below(self, name, wanted, 0)
    }

    /// Whether a context, or one that it includes, asks elsewhere.
    pub(super) fn asks_elsewhere(&self, name: &str) -> bool {
        fn below(plan: &Plan, name: &str, depth: usize) -> bool {
            plan.0
                .get(name)
                .filter(|_| depth < MAX_DEPTH)
                .is_some_and(|context| {
                    let mut includes = context.includes.iter();
                    context.asks_elsewhere || includes.any(|it| below(plan, it, depth + 1))
                })
        }
        below(self, name, 0)
    }

    /// All steps: context, extension, application and data.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&str, &str, &Step)> {
        self.0.iter().flat_map(|(name, context)| {
            let extensions = context.extensions.iter();
            extensions.flat_map(move |(extension, steps)| {
                steps
                    .iter()
                    .map(move |step| (name.as_str(), extension.as_str(), step))
            })
        })
    }
}

fn without_comment(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' => break,
            '\\' if chars.peek() == Some(&';') => {
                chars.next();
                text.push(';');
            }
            c => text.push(c),
        }
    }
    text
}

/// Whether a number is that extension.
fn fits(extension: &str, number: &str) -> bool {
    match extension.strip_prefix('_') {
        Some(pattern) => fits_pattern(pattern, number),
        None => extension == number,
    }
}

fn fits_pattern(pattern: &str, number: &str) -> bool {
    let mut rest = pattern.chars();
    let Some(first) = rest.next() else {
        return number.is_empty();
    };
    let mut digits = number.chars();
    let digit = digits.next();
    match first {
        '!' => return true,
        '.' => return digit.is_some(),
        // Between the characters it stands for nothing.
        '-' => return fits_pattern(rest.as_str(), number),
        _ => {}
    }
    let Some(digit) = digit else { return false };
    let fits = match first {
        'X' | 'x' => digit.is_ascii_digit(),
        'Z' | 'z' => ('1'..='9').contains(&digit),
        'N' | 'n' => ('2'..='9').contains(&digit),
        '[' => {
            let Some((set, after)) = rest.as_str().split_once(']') else {
                return false;
            };
            let is_in = is_in_set(set, digit);
            rest = after.chars();
            is_in
        }
        other => other == digit,
    };
    fits && fits_pattern(rest.as_str(), digits.as_str())
}

fn is_in_set(set: &str, digit: char) -> bool {
    let set: Vec<char> = set.chars().collect();
    let mut at = 0;
    while let Some(first) = set.get(at) {
        match set.get(at + 1..at + 3) {
            Some(['-', last]) => {
                if (*first..=*last).contains(&digit) {
                    return true;
                }
                at += 3;
            }
            _ => {
                if *first == digit {
                    return true;
                }
                at += 1;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |extension: &str, number: &str, expect: bool| {
            assert_eq!(fits(extension, number), expect, "{extension} {number}");
        };
        check("*33", "*33", true);
        check("*33", "*331", false);
        check("_*33.", "*33", false);
        check("_*33.", "*331001", true);
        check("_X.", "*33", false);
        check("_.", "*33", true);
        check("_*XX", "*33", true);
        check("_*N!", "*3", true);
        check("_*Z-3", "*33", true);
        check("_[*#0-9]33", "*33", true);
        check("_[0-9a]33", "*33", false);
        check("_[12]XXX", "1001", true);
        check("_[12]XXX", "3001", false);
        check("_[12", "1", false);
    }

    #[test]
    fn what_the_switch_tells_is_what_the_file_says() {
        let item = |headers: &[(&str, &str)]| Event::build("ListDialplan", headers).unwrap();
        let list = [
            item(&[
                ("Context", "phones"),
                ("Extension", "1000"),
                ("Priority", "1"),
                ("Application", "Set"),
                ("AppData", "A=;"),
            ]),
            item(&[
                ("Context", "phones"),
                ("Extension", "1000"),
                ("Priority", "2"),
                ("Application", "Hangup"),
                ("AppData", ""),
            ]),
            item(&[("Context", "phones"), ("IncludeContext", "callhop")]),
            item(&[("Context", "other"), ("Switch", "Realtime/x")]),
        ];
        let file = "[phones] ; of all\nexten => 1000,1,Set(A=\\;)\n same => n(end),Hangup()\ninclude => callhop\n[other]\n\
                    switch => Realtime/x\n";
        assert_eq!(Plan::loaded(&list), Plan::parse(file));
    }

    #[test]
    fn own_extensions_come_before_included_ones() {
        let plan = Plan::parse(
            "[callhop]\nexten => *33,1,A()\n[phones]\ninclude => callhop\n[all]\ninclude => phones\n\
             [own]\ninclude => callhop\nexten => _*XX,1,B()\n[round]\ninclude => round\n",
        );
        let check = |context: &str, expect: Option<&str>| {
            assert_eq!(plan.finds(context, "*33"), expect, "{context}");
        };
        check("phones", Some("callhop"));
        check("all", Some("callhop"));
        check("own", Some("own"));
        check("round", None);
        check("nowhere", None);
    }
}

//! The guide for the people who dial: one page with their site's own codes and numbers.
//!
//! Owns its words, as text for a terminal and as an HTML page that prints on one side of A4. What it says comes from the
//! configuration and the directory alone, so that it cannot promise what the controller would refuse.

use std::{collections::BTreeMap, fmt::Write as _};

use callhop_calls::{directory::Extension, id::Domain, push::PushPolicy, routing::Policy};

/// How wide the text is.
const COLUMNS: usize = 80;

/// How many extensions are listed one by one; of more, only their range is told, so that the page stays one page.
const LISTED: usize = 18;

/// How many devices of one extension are listed.
const LISTED_DEVICES: usize = 6;

/// A guide, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guide {
    title: String,
    intro: String,
    sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    title: &'static str,
    look: Look,
    /// What is dialled or heard, and what it does or means.
    rows: Vec<(String, String)>,
    notes: Vec<String>,
}

/// What stands on the left of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Keys,
    Words,
    /// Short rows, several beside each other where there is room.
    List,
}

/// The numbers that the examples use.
struct Examples<'a> {
    extension: &'a str,
    device: &'a str,
    colleague: &'a str,
}

impl Guide {
    /// The guide of `domain`, which has these extensions and this policy. Without extensions its examples are invented.
    #[must_use]
    pub fn new(domain: Option<&Domain>, policy: &Policy, extensions: &[Extension]) -> Self {
        let mut extensions: Vec<&Extension> = extensions
            .iter()
            .filter(|extension| domain.is_none_or(|domain| extension.id.domain == *domain))
            .collect();
        extensions.sort_by_key(|extension| {
            let number = extension.id.number.as_str();
            (number.len(), number)
        });
        let examples = Examples::of(&extensions);
        let title = match domain {
            Some(domain) => format!("Calls between your devices: {domain}"),
            None => "Calls between your devices".to_owned(),
        };
        let intro = "Your extension is your number; your devices are the phones and apps that ring for it. Dial these \
                     codes on any of them."
            .to_owned();
        let mut sections = vec![
            pulling(policy, &examples),
            routing(policy, &examples),
            pushing(policy, &examples),
            keys(&examples),
            tones(),
        ];
        if !extensions.is_empty() {
            sections.push(numbers(&extensions));
        }
        Self {
            title,
            intro,
            sections,
        }
    }

    /// For a terminal of 80 columns, or a printer without graphics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.title, "=".repeat(width(&self.title)));
        write_wrapped(&mut text, "", "", &self.intro);
        for section in &self.sections {
            let _ = write!(
                text,
                "\n{}\n{}\n",
                section.title,
                "-".repeat(width(section.title))
            );
            let left = section
                .rows
                .iter()
                .map(|(left, _)| width(left))
                .max()
                .unwrap_or(0)
                .min(24);
            let rest = " ".repeat(left + 4);
            for (key, meaning) in &section.rows {
                let first = format!("  {key:left$}  ");
                write_wrapped(&mut text, &first, &rest, meaning);
            }
            if !section.notes.is_empty() {
                text.push('\n');
            }
            for note in &section.notes {
                write_wrapped(&mut text, "", "", note);
            }
        }
        text
    }

    /// A page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        self.document(&format!("<style>\n{STYLE}</style>"))
    }

    /// A page whose style is at an address, for browsers that are told to take none that stands in a document.
    #[must_use]
    pub(crate) fn page(&self, style: &str) -> String {
        self.document(&format!(
            "<link rel=\"stylesheet\" href=\"{}\">",
            escaped(style)
        ))
    }

    fn document(&self, style: &str) -> String {
        let title = escaped(&self.title);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n{style}\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{}</p>\n",
            escaped(&self.intro)
        );
        for section in &self.sections {
            let _ = writeln!(page, "<section>\n<h2>{}</h2>", escaped(section.title));
            let class = match section.look {
                Look::List => " class=\"list\"",
                Look::Keys | Look::Words => "",
            };
            let _ = writeln!(page, "<dl{class}>");
            for (key, meaning) in &section.rows {
                let key = match section.look {
                    Look::Keys => format!("<kbd>{}</kbd>", escaped(key)),
                    Look::Words | Look::List => escaped(key),
                };
                let _ = writeln!(
                    page,
                    "<div><dt>{key}</dt><dd>{}</dd></div>",
                    escaped(meaning)
                );
            }
            page.push_str("</dl>\n");
            for note in &section.notes {
                let _ = writeln!(page, "<p>{}</p>", escaped(note));
            }
            page.push_str("</section>\n");
        }
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }
}

impl<'a> Examples<'a> {
    /// An extension with several devices explains most; else any one; else what nobody has.
    fn of(extensions: &[&'a Extension]) -> Self {
        let own = extensions
            .iter()
            .find(|extension| extension.devices.len() > 1)
            .or(extensions.first());
        let Some(own) = own else {
            return Self {
                extension: "1000",
                device: "1002",
                colleague: "2000",
            };
        };
        let colleague = extensions.iter().find(|other| other.id != own.id);
        let device = own.devices.get(1).or(own.devices.first());
        let extension = own.id.number.as_str();
        Self {
            extension,
            device: device.map_or(extension, |device| device.as_str()),
            colleague: colleague.map_or("2000", |colleague| colleague.id.number.as_str()),
        }
    }
}

fn row(key: impl Into<String>, meaning: impl Into<String>) -> (String, String) {
    (key.into(), meaning.into())
}

fn pulling(policy: &Policy, examples: &Examples<'_>) -> Section {
    let code = &policy.features.pull;
    let device = examples.device;
    Section {
        title: "Bring a call to this device",
        look: Look::Keys,
        rows: vec![
            row(
                code,
                "The call on your other device comes here: one you talk on or hold, one that rings, or one you \
                 dialled that nobody has answered. The other person notices nothing.",
            ),
            row(
                format!("{code}{device}"),
                format!("The same, but only from your device {device}."),
            ),
        ],
        notes: Vec::new(),
    }
}

fn routing(policy: &Policy, examples: &Examples<'_>) -> Section {
    let features = &policy.features;
    let (device, colleague) = (examples.device, examples.colleague);
    let mut rows = vec![
        row(&features.route_here, "Only this device."),
        row(
            format!("{}{device}", features.route_to),
            format!("Only your device {device}."),
        ),
    ];
    if policy.colleagues {
        rows.push(row(
            format!("{}{colleague}", features.route_to),
            format!("Wherever your colleague {colleague} is rung."),
        ));
    }
    rows.push(row(&features.route_reset, "All your devices again."));
    let off = match policy.unregistered {
        callhop_calls::routing::Unregistered::Strict => {
            "If that one device is switched off, your callers go where unanswered calls go."
        }
        callhop_calls::routing::Unregistered::RingAll => {
            "If that one device is switched off, all your devices ring."
        }
    };
    Section {
        title: "Choose what rings for your next calls",
        look: Look::Keys,
        rows,
        notes: vec![format!(
            "It stays so until you dial another of these codes. {off}"
        )],
    }
}

fn pushing(policy: &Policy, examples: &Examples<'_>) -> Section {
    let Examples {
        extension,
        device,
        colleague,
    } = *examples;
    let (pull, push) = (&policy.features.pull, &policy.features.push);
    let PushPolicy {
        digit_timeout,
        ring_timeout,
        hold_sound,
        ..
    } = &policy.push;
    let held = if hold_sound.starts_with("silence_stream://") {
        "a quiet line"
    } else {
        "the hold sound"
    };
    let outside = if policy.push.allow.is_empty() {
        "Numbers outside cannot be dialled here."
    } else {
        "Of the numbers outside, those that your administrator has allowed."
    };
    let last = if policy.push.fallback.is_some() {
        "your devices ring, and then the call goes to the number for such calls"
    } else {
        "your devices ring"
    };
    Section {
        title: "Give a call to somebody else while you talk",
        look: Look::Keys,
        rows: vec![
            row(
                push,
                format!(
                    "You hear a beep, the other person hears {held}. Dial on within {} seconds.",
                    digit_timeout.as_secs()
                ),
            ),
            row(
                format!("{colleague}#"),
                format!(
                    "It rings there for up to {} seconds, and both of you hear it ring. When it is answered your \
                     device hangs up.",
                    ring_timeout.as_secs()
                ),
            ),
            row(
                "*",
                "Before it is answered: you talk to the other person again.",
            ),
        ],
        notes: vec![
            format!(
                "In place of {colleague}: your own extension, such as {extension}, for your other devices, or one device, \
                 such as {device}. {outside}"
            ),
            format!(
                "You may hang up after the #. If nobody answers, {last}. Until somebody answers, {pull} on one of your \
                 devices takes the call back."
            ),
        ],
    }
}

fn keys(examples: &Examples<'_>) -> Section {
    let Examples {
        extension, device, ..
    } = examples;
    let prefix = callhop_calls::lamp::PREFIX;
    Section {
        title: "Keys with a lamp",
        look: Look::Words,
        rows: vec![
            row(
                format!("{prefix}{extension}*{device}"),
                format!("Lit while your calls ring only at {device}. Press it to have that, and again to have all ring."),
            ),
            row(
                format!("{prefix}{extension}"),
                "Lit while not all of your devices ring. Press it to let only this device ring, or all again.".to_owned(),
            ),
        ],
        notes: vec![
            "Write that into a key of the type BLF. Other phones can have it too, and see it only: it is refused when they press it."
                .to_owned(),
        ],
    }
}

fn tones() -> Section {
    Section {
        title: "What you hear",
        look: Look::Words,
        rows: vec![
            row(
                "One short beep",
                "Done. While you talk: dial the number now.",
            ),
            row(
                "Three falling tones",
                "Refused, and nothing has changed: there is no such call, no such number, or it is not yours. While \
                 you talk: nobody there could be reached or no number came, and you have your call again.",
            ),
            row("Ringing", "The number that you dialled rings."),
        ],
        notes: Vec::new(),
    }
}

fn numbers(extensions: &[&Extension]) -> Section {
    let rows = if extensions.len() <= LISTED {
        extensions
            .iter()
            .map(|extension| {
                let devices: Vec<&str> = extension.devices.iter().map(|d| d.as_str()).collect();
                let shown = devices.len().min(LISTED_DEVICES);
                let mut text = devices[..shown].join(", ");
                if devices.len() > shown {
                    let _ = write!(text, " and {} more", devices.len() - shown);
                }
                row(extension.id.number.as_str(), text)
            })
            .collect()
    } else {
        let devices = extensions
            .iter()
            .flat_map(|extension| extension.devices.iter().map(|d| d.as_str()));
        vec![
            row(
                "Extensions",
                ranges(extensions.iter().map(|e| e.id.number.as_str())),
            ),
            row("Devices", ranges(devices)),
        ]
    };
    Section {
        title: "Extensions and their devices",
        look: if extensions.len() <= LISTED {
            Look::List
        } else {
            Look::Words
        },
        rows,
        notes: Vec::new(),
    }
}

/// `300 of 4 digits, 1000 to 1999; 2 with letters or signs, such as front-desk`.
fn ranges<'a>(numbers: impl Iterator<Item = &'a str>) -> String {
    let mut by_length: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut others: Vec<&str> = Vec::new();
    for number in numbers {
        if number.bytes().all(|byte| byte.is_ascii_digit()) {
            by_length.entry(number.len()).or_default().push(number);
        } else {
            others.push(number);
        }
    }
    let mut parts: Vec<String> = by_length
        .iter()
        .filter_map(|(length, numbers)| {
            let (first, last) = (numbers.iter().min()?, numbers.iter().max()?);
            let digits = if *length == 1 { "digit" } else { "digits" };
            Some(if first == last {
                format!("{} of {length} {digits}, {first}", numbers.len())
            } else {
                format!("{} of {length} {digits}, {first} to {last}", numbers.len())
            })
        })
        .collect();
    if let Some(first) = others.iter().min() {
        parts.push(format!(
            "{} with letters or signs, such as {first}",
            others.len()
        ));
    }
    parts.join("; ")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Writes words in lines of at most [`COLUMNS`], the first behind `first`, each further one behind `rest`. A word that is
/// longer than a line has one of its own.
fn write_wrapped(text: &mut String, first: &str, rest: &str, words: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words.split_whitespace() {
        let space = usize::from(!is_empty);
        if !is_empty && width(&line) + space + width(word) > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = rest.to_owned();
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The text as it stands in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// How it looks, in the file and in a browser.
pub(crate) const STYLE: &str = include_str!("guide.css");

#[cfg(test)]
mod tests;

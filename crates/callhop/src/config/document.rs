//! A TOML file and the environment over it, read key by key.
//!
//! Owns where a value came from, and the list of everything that is wrong with them. Knows no key by itself; refuses to
//! stop at the first mistake.
//!
//! ```text
//! variable = "CALLHOP_" section "__" key              CALLHOP_STORE__URL for url in [store]
//! secret   = key = "text" / key "_file" = "path"      CALLHOP_STORE__URL_FILE
//! list     = "[" *( "text" "," ) "]"                  CALLHOP_PUSH__ALLOW='["0[1-9]+"]', written as in the file
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use toml::{Spanned, de::DeTable, de::DeValue};

/// The environment as it was when the program started.
pub type Environment = BTreeMap<String, String>;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Origin,
    /// The key, as `features.pull`; empty if it is not about one key.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Origin::Line(line) => write!(f, "line {line}: ")?,
            Origin::Variable(name) => write!(f, "environment {name}: ")?,
            Origin::Default => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file, counted from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(String),
}

/// A value with its origin.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: Origin,
}

/// The file and the environment, and what was found wrong so far.
pub(super) struct Document<'a> {
    text: &'a str,
    /// Where relative paths of the file begin.
    folder: PathBuf,
    environment: &'a Environment,
    used: BTreeSet<String>,
    problems: Vec<Problem>,
}

/// A table of the file.
pub(super) struct Section<'a> {
    /// As `features` or `domains."lab.test"`.
    path: String,
    /// `CALLHOP_FEATURES__`, if the environment can set its keys.
    prefix: Option<String>,
    entries: BTreeMap<String, (usize, DeValue<'a>)>,
    known: Vec<&'static str>,
    /// The line of its head, or where it would be the default.
    pub(super) at: Origin,
}

impl<'a> Document<'a> {
    /// Reads `text`, which may be empty. Mistakes of the syntax are problems like all others.
    pub(super) fn new(
        text: &'a str,
        folder: &Path,
        environment: &'a Environment,
    ) -> (Self, Section<'a>) {
        let mut document = Self {
            text,
            folder: folder.to_owned(),
            environment,
            used: BTreeSet::new(),
            problems: Vec::new(),
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(Origin::Default, |span| {
                Origin::Line(document.line(span.start))
            });
            document.report(at, "", error.message().to_owned());
        }
        let root = document.section_of(String::new(), None, Origin::Default, root.into_inner());
        (document, root)
    }

    fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        self.text.as_bytes()[..end]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    fn section_of(
        &self,
        path: String,
        prefix: Option<String>,
        at: Origin,
        table: DeTable<'a>,
    ) -> Section<'a> {
        let entries = table
            .into_iter()
            .map(|(key, value)| {
                let line = self.line(key.span().start);
                (key.into_inner().into_owned(), (line, value.into_inner()))
            })
            .collect();
        Section {
            path,
            prefix,
            entries,
            known: Vec::new(),
            at,
        }
    }

    /// Notes that something is wrong.
    pub(super) fn report(&mut self, at: Origin, key: impl Into<String>, message: String) {
        self.problems.push(Problem {
            at,
            key: key.into(),
            message,
        });
    }

    /// A table of `parent` whose keys the environment can set; an empty one if the file has none.
    pub(super) fn section(&mut self, parent: &mut Section<'a>, key: &'static str) -> Section<'a> {
        let prefix = Some(format!("CALLHOP_{}__", key.to_uppercase()));
        self.table(parent, key, prefix)
    }

    /// A table of `parent` that only the file can set.
    pub(super) fn table(
        &mut self,
        parent: &mut Section<'a>,
        key: &'static str,
        prefix: Option<String>,
    ) -> Section<'a> {
        let path = parent.full(key);
        let (at, table) = match parent.take(key) {
            None => (Origin::Default, DeTable::new()),
            Some((line, DeValue::Table(table))) => (Origin::Line(line), table),
            Some((line, other)) => {
                self.wrong_type(&path, line, "a table", &other);
                (Origin::Line(line), DeTable::new())
            }
        };
        self.section_of(path, prefix, at, table)
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(
        &mut self,
        parent: &mut Section<'a>,
        key: &'static str,
    ) -> Vec<Section<'a>> {
        let path = parent.full(key);
        let values: Vec<Spanned<DeValue<'a>>> = match parent.take(key) {
            None => return Vec::new(),
            Some((_, DeValue::Array(values))) => values.into_iter().collect(),
            Some((line, other)) => {
                self.wrong_type(&path, line, &format!("written [[{path}]]"), &other);
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for value in values {
            let line = self.line(value.span().start);
            match value.into_inner() {
                DeValue::Table(table) => {
                    sections.push(self.section_of(path.clone(), None, Origin::Line(line), table));
                }
                other => self.wrong_type(&path, line, "a table", &other),
            }
        }
        sections
    }

    /// The tables that have names of the admin's choice, with those names.
    pub(super) fn named_tables(
        &mut self,
        parent: &mut Section<'a>,
        key: &'static str,
    ) -> Vec<(String, Section<'a>)> {
        let mut all = self.table(parent, key, None);
        let mut sections = Vec::new();
        for (name, (line, value)) in std::mem::take(&mut all.entries) {
            let path = format!("{}.\"{name}\"", all.path);
            match value {
                DeValue::Table(table) => {
                    let section = self.section_of(path, None, Origin::Line(line), table);
                    sections.push((name, section));
                }
                other => self.wrong_type(&path, line, "a table", &other),
            }
        }
        sections
    }

    /// The texts of a table that have names of the admin's choice, with those names.
    pub(super) fn named_texts(
        &mut self,
        parent: &mut Section<'a>,
        key: &'static str,
    ) -> Vec<(String, Found<String>)> {
        let mut all = self.table(parent, key, None);
        let mut texts = Vec::new();
        for (name, (line, value)) in std::mem::take(&mut all.entries) {
            match value {
                DeValue::String(text) => texts.push((
                    name,
                    Found {
                        value: text.into_owned(),
                        at: Origin::Line(line),
                    },
                )),
                other => {
                    let path = format!("{}.\"{name}\"", all.path);
                    self.wrong_type(&path, line, "a text in quotes", &other);
                }
            }
        }
        texts
    }

    /// A text, from the environment or else from the file.
    pub(super) fn text(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
    ) -> Option<Found<String>> {
        let path = section.full(key);
        let entry = section.take(key);
        if let Some(found) = self.variable(section, key) {
            return Some(found);
        }
        match entry? {
            (line, DeValue::String(text)) => Some(Found {
                value: text.into_owned(),
                at: Origin::Line(line),
            }),
            (line, other) => {
                self.wrong_type(&path, line, "a text in quotes", &other);
                None
            }
        }
    }

    /// `true` or `false`, from the environment or else from the file.
    pub(super) fn flag(&mut self, section: &mut Section<'a>, key: &'static str) -> Option<bool> {
        let entry = section.take(key);
        if let Some(found) = self.variable(section, key) {
            let value = found.value.parse().ok();
            if value.is_none() {
                let message = format!("{:?} is neither true nor false", found.value);
                self.report(found.at, section.full(key), message);
            }
            return value;
        }
        match entry? {
            (_, DeValue::Boolean(value)) => Some(value),
            (line, other) => {
                self.wrong_type(&section.full(key), line, "true or false", &other);
                None
            }
        }
    }

    /// A whole number, from the environment or else from the file.
    pub(super) fn whole(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
    ) -> Option<Found<i64>> {
        let path = section.full(key);
        let entry = section.take(key);
        if let Some(found) = self.variable(section, key) {
            return match found.value.parse() {
                Ok(value) => Some(Found {
                    value,
                    at: found.at,
                }),
                Err(_) => {
                    let message = format!("{:?} is not a whole number", found.value);
                    self.report(found.at, path, message);
                    None
                }
            };
        }
        match entry? {
            (line, DeValue::Integer(number)) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                match value {
                    Ok(value) => Some(Found {
                        value,
                        at: Origin::Line(line),
                    }),
                    Err(error) => {
                        self.report(Origin::Line(line), path, error.to_string());
                        None
                    }
                }
            }
            (line, other) => {
                self.wrong_type(&path, line, "a whole number", &other);
                None
            }
        }
    }

    /// A list of texts, from the environment or else from the file. What is no text is reported and left out.
    pub(super) fn texts(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
    ) -> Option<Found<Vec<Found<String>>>> {
        let path = section.full(key);
        let entry = section.take(key);
        let wanted = "a list of texts, such as [\"a\", \"b\"]";
        if let Some(found) = self.variable(section, key) {
            let parsed = DeValue::parse(&found.value).map(Spanned::into_inner);
            let Ok(DeValue::Array(values)) = parsed else {
                let message = format!("this is {wanted}, not {:?}", found.value);
                self.report(found.at, path, message);
                return None;
            };
            let values = values
                .into_iter()
                .map(|value| (found.at.clone(), value.into_inner()))
                .collect();
            return Some(Found {
                value: self.only_texts(&path, values),
                at: found.at.clone(),
            });
        }
        match entry? {
            (line, DeValue::Array(values)) => {
                let values = values
                    .into_iter()
                    .map(|value| {
                        let line = self.line(value.span().start);
                        (Origin::Line(line), value.into_inner())
                    })
                    .collect();
                Some(Found {
                    value: self.only_texts(&path, values),
                    at: Origin::Line(line),
                })
            }
            (line, other) => {
                self.wrong_type(&path, line, wanted, &other);
                None
            }
        }
    }

    fn only_texts(&mut self, path: &str, values: Vec<(Origin, DeValue<'_>)>) -> Vec<Found<String>> {
        let mut texts = Vec::new();
        for (at, value) in values {
            match value {
                DeValue::String(text) => texts.push(Found {
                    value: text.into_owned(),
                    at,
                }),
                other => self.not(at, path, "a text in quotes", &other),
            }
        }
        texts
    }

    /// A text that may also stand in a file of its own, named by `key_file`. A line end at its end does not count.
    pub(super) fn secret(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
        key_file: &'static str,
    ) -> Option<Found<String>> {
        let direct = self.text(section, key);
        let named = self.text(section, key_file);
        let (path, at) = match (direct, named) {
            (direct, None) => return direct,
            (Some(direct), Some(named)) => {
                let both_from_file =
                    matches!((&direct.at, &named.at), (Origin::Line(_), Origin::Line(_)));
                let both_from_environment = matches!(
                    (&direct.at, &named.at),
                    (Origin::Variable(_), Origin::Variable(_))
                );
                if both_from_file || both_from_environment {
                    self.report(
                        named.at,
                        section.full(key_file),
                        format!("{key} is set as well, only one of the two can count"),
                    );
                    return Some(direct);
                }
                if matches!(direct.at, Origin::Variable(_)) {
                    return Some(direct);
                }
                (named.value, named.at)
            }
            (None, Some(named)) => (named.value, named.at),
        };
        match std::fs::read_to_string(self.path(&path)) {
            Ok(text) => Some(Found {
                value: text.trim_end_matches(['\r', '\n']).to_owned(),
                at,
            }),
            Err(error) => {
                let message = format!("{path} cannot be read: {error}");
                self.report(at, section.full(key_file), message);
                None
            }
        }
    }

    /// How much is wrong so far.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// A path of the file: a relative one begins where the file is.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn variable(&mut self, section: &Section<'a>, key: &str) -> Option<Found<String>> {
        let name = format!("{}{}", section.prefix.as_ref()?, key.to_uppercase());
        let value = self.environment.get(&name)?.clone();
        self.used.insert(name.clone());
        Some(Found {
            value,
            at: Origin::Variable(name),
        })
    }

    fn wrong_type(&mut self, key: &str, line: usize, wanted: &str, found: &DeValue<'_>) {
        self.not(Origin::Line(line), key, wanted, found);
    }

    fn not(&mut self, at: Origin, key: &str, wanted: &str, found: &DeValue<'_>) {
        let message = format!("this is {wanted}, not {}", with_article(found.type_str()));
        self.report(at, key, message);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(&mut self, section: Section<'a>) {
        for (key, (line, _)) in &section.entries {
            let place = if section.path.is_empty() {
                "the file".to_owned()
            } else {
                format!("[{}]", section.path)
            };
            let message = format!(
                "there is no such key; {place} has {}",
                section.known.join(", ")
            );
            self.report(Origin::Line(*line), section.full(key), message);
        }
    }

    /// Everything that is wrong, by line, with the variables that set nothing.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        let unused: Vec<String> = self
            .environment
            .keys()
            .filter(|name| name.starts_with("CALLHOP_") && name.contains("__"))
            .filter(|name| !self.used.contains(*name))
            .cloned()
            .collect();
        for name in unused {
            let message = "this variable sets no key (CALLHOP_SECTION__KEY)".to_owned();
            self.report(Origin::Variable(name), "", message);
        }
        self.problems.sort_by(|a, b| a.at.cmp(&b.at));
        self.problems
    }
}

impl<'a> Section<'a> {
    /// The key with its section before it.
    pub(super) fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Lets the environment set the keys of this section by `prefix`.
    pub(super) fn set_prefix(&mut self, prefix: String) {
        self.prefix = Some(prefix);
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, DeValue<'a>)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.remove(key)
    }
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

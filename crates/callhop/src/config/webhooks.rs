//! `[[webhook]]`: who is told of moves and route changes.
//!
//! Owns its checks. Refuses a secret that is none of Standard Webhooks, and a receiver without TLS on another machine, unless the
//! admin allows it.

use std::collections::BTreeSet;

use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callhop_calls::id::{Domain, SwitchName};

use super::{
    Secret, Webhook, WebhookEvent,
    document::{Document, Found, Section},
};

/// What a secret begins with (Standard Webhooks, "Signature scheme").
const PREFIX: &str = "whsec_";

pub(super) fn settings<'a>(d: &mut Document<'a>, root: &mut Section<'a>) -> Vec<Webhook> {
    let mut names = BTreeSet::new();
    let sections = d.tables(root, "webhook");
    let read = sections.into_iter().map(|s| webhook(d, s, &mut names));
    read.flatten().collect()
}

fn webhook<'a>(
    d: &mut Document<'a>,
    mut section: Section<'a>,
    names: &mut BTreeSet<SwitchName>,
) -> Option<Webhook> {
    let before = d.problems();
    let missing = |d: &mut Document<'_>, section: &Section<'_>, key: &str, message: &str| {
        d.report(section.at.clone(), section.full(key), message.to_owned());
    };
    let mut name = None;
    match d.text(&mut section, "name") {
        Some(found) => match found.value.parse::<SwitchName>() {
            Ok(given) if names.insert(given.clone()) => name = Some(given),
            Ok(given) => {
                let message = format!("there are two webhooks with the name {:?}", given.as_str());
                d.report(found.at, section.full("name"), message);
            }
            // A webhook is named as a switch is.
            Err(error) => {
                let message = error.to_string().replace("switch name", "webhook's name");
                d.report(found.at, section.full("name"), message);
            }
        },
        None => missing(d, &section, "name", "what is it called? such as \"crm\""),
    }
    if let Some(name) = &name {
        let variable = name.as_str().to_uppercase().replace('-', "_");
        section.set_prefix(format!("CALLHOP_WEBHOOK__{variable}__"));
    }
    let allow_http = d.flag(&mut section, "allow_http").unwrap_or(false);
    let url = match d.text(&mut section, "url") {
        Some(found) => url(d, &section.full("url"), found, allow_http),
        None => {
            missing(
                d,
                &section,
                "url",
                "where is it? such as \"https://crm.example.com/callhop\"",
            );
            None
        }
    };
    let found = d.secret(&mut section, "secret", "secret_file");
    let secret = match found {
        Some(found) if key(&found.value).is_some() => Some(Secret::new(found.value)),
        Some(found) => {
            let message = "a secret is whsec_ and then 24 to 64 bytes in base64; `callhop webhook secret` makes one";
            d.report(found.at, section.full("secret"), message.to_owned());
            None
        }
        None => {
            if d.problems() == before {
                let message = "what is it signed with? `callhop webhook secret` makes a secret";
                missing(d, &section, "secret", message);
            }
            None
        }
    };
    let mut events = Vec::new();
    match d.texts(&mut section, "events") {
        None => events.extend(WebhookEvent::ALL),
        Some(list) => {
            for found in list.value {
                match WebhookEvent::ALL.iter().find(|e| e.word() == found.value) {
                    Some(event) => events.push(*event),
                    None => {
                        let message =
                            format!("{:?} is neither \"move\" nor \"route\"", found.value);
                        d.report(found.at, section.full("events"), message);
                    }
                }
            }
        }
    }
    let mut domains = Vec::new();
    for found in d
        .texts(&mut section, "domains")
        .map_or_else(Vec::new, |list| list.value)
    {
        match found.value.parse::<Domain>() {
            Ok(domain) => domains.push(domain),
            Err(error) => d.report(found.at, section.full("domains"), error.to_string()),
        }
    }
    d.finish(section);
    Some(Webhook {
        name: name?,
        url: url?,
        secret: secret?,
        events,
        domains,
    })
}

fn url(d: &mut Document<'_>, key: &str, found: Found<String>, allow_http: bool) -> Option<Uri> {
    let refused = match found.value.parse::<Uri>() {
        Err(_) => Some("this is not a URL"),
        Ok(url) => match (url.scheme_str(), url.host()) {
            (Some("https"), Some(_)) => return Some(url),
            (Some("http"), Some(host)) if allow_http || is_loopback(host) => return Some(url),
            (Some("http"), Some(_)) => {
                Some("without TLS everybody between can read it: https, or allow_http = true")
            }
            _ => Some("a webhook is at https://host/path"),
        },
    };
    if let Some(message) = refused {
        d.report(found.at, key, message.to_owned());
    }
    None
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The bytes of a secret; `None` if it is none.
fn key(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

impl Webhook {
    /// The bytes that it is signed with.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        // It was looked at when it was read.
        key(self.secret.reveal()).unwrap_or_default()
    }
}

impl Secret {
    /// The secret of a webhook, out of random bytes.
    #[must_use]
    pub fn of_webhook(bytes: &[u8; 32]) -> Self {
        Self::new(format!("{PREFIX}{}", STANDARD.encode(bytes)))
    }
}

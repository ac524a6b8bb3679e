//! The configuration for people: everything that counts, nothing that is secret.

use callhop_calls::{
    id::Domain,
    push::{Pattern, PushPolicy},
    routing::{Policy, Unregistered},
    star::Features,
};
use serde_json::{Map, Value, json};

use super::{Asterisk, Config, Http, LogFormat, Webhook};

impl Config {
    /// What counts, as it would be written in `callhop.toml`; secrets are `(hidden)`.
    #[must_use]
    pub fn effective(&self) -> Value {
        let switches: Vec<Value> = self
            .freeswitch
            .iter()
            .map(|switch| {
                let mut value = json!({
                    "name": switch.name.as_str(),
                    "address": switch.address,
                    "password": "(hidden)",
                    "context": switch.context,
                });
                if let Some(outside) = &switch.outside {
                    value["outside"] = outside.as_str().into();
                }
                value
            })
            .collect();
        let asterisk: Vec<Value> = self.asterisk.iter().map(asterisk_value).collect();
        let domains: Map<String, Value> = self
            .domains
            .iter()
            .map(|(domain, policy)| (domain.to_string(), domain_value(policy)))
            .collect();
        let mut value = json!({
            "store": { "url": without_password(self.store.url.reveal()) },
            "http": http_value(&self.http),
            "freeswitch": switches,
            "features": features_value(&self.features),
            "push": push_value(&self.push),
            "domains": domains,
            "log": {
                "format": match self.log.format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                },
                "level": self.log.level,
                "numbers": self.log.numbers.word(),
            },
        });
        // Where there is none of a kind, nothing is said of it: an empty list would not be what the file says.
        if !asterisk.is_empty() {
            value["asterisk"] = asterisk.into();
        }
        if !self.webhooks.is_empty() {
            value["webhook"] = self.webhooks.iter().map(webhook_value).collect();
        }
        value
    }
}

fn webhook_value(webhook: &Webhook) -> Value {
    let events: Vec<&str> = webhook.events.iter().map(|event| event.word()).collect();
    let domains: Vec<&str> = webhook.domains.iter().map(Domain::as_str).collect();
    json!({
        "name": webhook.name.as_str(),
        "url": webhook.url.to_string(),
        "secret": "(hidden)",
        "events": events,
        "domains": domains,
    })
}

fn http_value(http: &Http) -> Value {
    let mut value = json!({ "listen": http.listen.to_string() });
    if let Some(public) = &http.public {
        let mut shown = json!({
            "listen": public.listen.to_string(),
            "names": public.names,
            "tls": public.tls.is_some(),
        });
        if let Some(files) = &public.tls {
            shown["tls_certificate"] = files.certificate.display().to_string().into();
            shown["tls_key"] = files.key.display().to_string().into();
        }
        value["public"] = shown;
    }
    value
}

fn asterisk_value(switch: &Asterisk) -> Value {
    let endpoints: Map<String, Value> = switch
        .endpoints
        .patterns()
        .map(|(domain, pattern)| (domain.to_string(), pattern.into()))
        .collect();
    let mut value = json!({
        "name": switch.name.as_str(),
        "address": switch.address,
        "username": switch.username,
        "secret": "(hidden)",
        "tls": switch.tls,
        "endpoints": endpoints,
        "context": switch.context,
    });
    if let Some(authority) = &switch.tls_ca {
        value["tls_ca"] = authority.display().to_string().into();
    }
    if let Some(outside) = &switch.outside {
        value["outside"] = outside.as_str().into();
    }
    value
}

fn features_value(features: &Features) -> Value {
    let codes = features.codes();
    Value::Object(
        codes
            .into_iter()
            .chain([("push", features.push.as_str())])
            .map(|(key, code)| (key.to_owned(), code.into()))
            .collect(),
    )
}

fn push_value(push: &PushPolicy) -> Value {
    let allow: Vec<&str> = push.allow.iter().map(Pattern::as_str).collect();
    let mut value = json!({
        "allow": allow,
        "digit_timeout_s": push.digit_timeout.as_secs(),
        "ring_timeout_s": push.ring_timeout.as_secs(),
        "hold_sound": push.hold_sound,
        "ringback": push.ringback,
        "display_prefix": push.display_prefix,
    });
    // TOML has no word for nothing.
    if let Some(fallback) = &push.fallback {
        value["fallback"] = fallback.as_str().into();
    }
    value
}

fn domain_value(policy: &Policy) -> Value {
    json!({
        "unregistered": match policy.unregistered {
            Unregistered::Strict => "strict",
            Unregistered::RingAll => "ring_all",
        },
        "colleagues": policy.colleagues,
        "features": features_value(&policy.features),
        "push": push_value(&policy.push),
    })
}

/// The URL of a store with `(hidden)` in the place of the password and of all parameters, which may hold one as well.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "(hidden)".to_owned();
    };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    let (place, parameters) = match rest.split_once('?') {
        Some((place, _)) => (place, "?(hidden)"),
        None => (rest, ""),
    };
    // The last @ ends the credentials: a password may hold one.
    let place = match place.rsplit_once('@') {
        Some((credentials, place)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{user}:(hidden)@{place}"),
            None => format!("{credentials}@{place}"),
        },
        None => place.to_owned(),
    };
    format!("{scheme}://{place}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_in_a_url_is_hidden() {
        for (url, shown) in [
            ("sqlite://callhop.db", "sqlite://callhop.db"),
            ("postgres://me@db/callhop", "postgres://me@db/callhop"),
            (
                "postgres://me:p@ss@db:5432/callhop?password=x",
                "postgres://me:(hidden)@db:5432/callhop?(hidden)",
            ),
            ("secret", "(hidden)"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}

//! Dial strings, as far as the dialplan and the controller use them.
//!
//! ```text
//! dialstring = ["{" vars "}"] group *("|" group)        one group after the other
//! group      = leg *("," leg)                           at the same time
//! leg        = ["[" vars "]"] endpoint
//! endpoint   = "user/" user "@" domain | "sofia/" profile "/" contact | "error/" cause
//! vars       = name "=" value *("," name "=" value)
//! ```
//!
//! Refuses what it does not know, as the switch does (`CHAN_NOT_IMPLEMENTED`).

/// One leg to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leg {
    pub(crate) vars: Vec<(String, String)>,
    pub(crate) endpoint: Endpoint,
}

/// Where a leg goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A user of the directory: all or the first of its contacts.
    User { number: String, domain: String },
    /// A contact, without the profile: `sip:1001@127.0.0.1:15060;ob` or `901@127.0.0.1:5090`.
    Sofia { profile: String, contact: String },
    /// Fails at once with this cause.
    Error { cause: String },
}

/// The groups of a dial string; a leg that cannot be read becomes an `error/CHAN_NOT_IMPLEMENTED`.
pub(crate) fn parse(text: &str) -> Vec<Vec<Leg>> {
    let (global, rest) = bracketed(text.trim(), '{', '}');
    split_outside(rest, '|')
        .into_iter()
        .map(|group| {
            split_outside(group, ',')
                .into_iter()
                .map(|leg| parse_leg(leg, &global))
                .collect()
        })
        .collect()
}

fn parse_leg(text: &str, global: &[(String, String)]) -> Leg {
    let (own, rest) = bracketed(text.trim(), '[', ']');
    let mut vars = global.to_vec();
    vars.extend(own);
    Leg {
        vars,
        endpoint: parse_endpoint(rest),
    }
}

fn parse_endpoint(text: &str) -> Endpoint {
    let parsed = text.split_once('/').and_then(|(kind, rest)| match kind {
        "user" => rest.split_once('@').map(|(number, domain)| Endpoint::User {
            number: number.to_owned(),
            domain: domain.to_owned(),
        }),
        "sofia" => rest
            .split_once('/')
            .map(|(profile, contact)| Endpoint::Sofia {
                profile: profile.to_owned(),
                contact: contact.to_owned(),
            }),
        "error" => Some(Endpoint::Error {
            cause: rest.to_uppercase(),
        }),
        _ => None,
    });
    parsed.unwrap_or_else(|| Endpoint::Error {
        cause: "CHAN_NOT_IMPLEMENTED".to_owned(),
    })
}

/// Takes the variables in brackets off the front.
fn bracketed(text: &str, open: char, close: char) -> (Vec<(String, String)>, &str) {
    let inside = text
        .strip_prefix(open)
        .and_then(|rest| rest.split_once(close));
    let Some((vars, rest)) = inside else {
        return (Vec::new(), text);
    };
    let vars = vars
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        // A value with spaces stands in quotes.
        .map(|(name, value)| (name.trim(), value.trim().trim_matches('\'')))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (vars, rest)
}

/// Splits where the separator is not inside brackets.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&[&str]]) {
        let shown: Vec<Vec<String>> = parse(text)
            .iter()
            .map(|group| group.iter().map(show).collect())
            .collect();
        assert_eq!(shown, expect, "{text}");
    }

    fn show(leg: &Leg) -> String {
        let vars: Vec<String> = leg.vars.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let endpoint = match &leg.endpoint {
            Endpoint::User { number, domain } => format!("user {number} {domain}"),
            Endpoint::Sofia { profile, contact } => format!("sofia {profile} {contact}"),
            Endpoint::Error { cause } => format!("error {cause}"),
        };
        format!("{} {endpoint}", vars.join(";")).trim().to_owned()
    }

    #[test]
    fn dial_strings() {
        check("user/1001@lab.test", &[&["user 1001 lab.test"]]);
        check(
            "user/1001@lab.test,user/1002@lab.test",
            &[&["user 1001 lab.test", "user 1002 lab.test"]],
        );
        check(
            "[dialed_user=1001,dialed_domain=lab.test]sofia/internal/sip:1001@127.0.0.1:15060;ob,sofia/external/901@127.0.0.1:5090",
            &[&[
                "dialed_user=1001;dialed_domain=lab.test sofia internal sip:1001@127.0.0.1:15060;ob",
                "sofia external 901@127.0.0.1:5090",
            ]],
        );
        check(
            "{a=1}user/1@d|[b=2]user/2@d",
            &[&["a=1 user 1 d"], &["a=1;b=2 user 2 d"]],
        );
        check("error/user_busy", &[&["error USER_BUSY"]]);
        check("nonsense", &[&["error CHAN_NOT_IMPLEMENTED"]]);
        check("user/nodomain", &[&["error CHAN_NOT_IMPLEMENTED"]]);
        check("", &[]);
    }
}

//! Who may do what: tokens, and which pages of a browser may ask at all.
//!
//! Owns the form of a token and the checks before a handler. Refuses cookies: a token comes in the `Authorization` header,
//! which no foreign page can make a browser send. What is asked of a browser under another name than a loopback one is refused
//! too, so that a name that was made to point here (DNS rebinding) reads nothing.
//!
//! ```text
//! token = "callhop_" 64( DIGIT / "a"-"f" )        256 random bits
//! ```
//!
//! **Invariant**: a token is kept nowhere and logged nowhere. Its SHA-256 is compared in constant time with each that there is,
//! read from the database for each request: a removed token is over at once.

use std::fmt;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use callhop_store::{Actor, Scope, Token, TokenHash};
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::warn;

use super::api::Problem;
use crate::controller::{Controller, unix_now};

const PREFIX: &str = "callhop_";

/// How much older than now the noted last use of a token may be, in seconds: so that not every request writes.
const USE_STEP: i64 = 60;

/// A token in full.
pub(crate) struct NewToken(String);

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl NewToken {
    /// One that nobody has.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn random() -> Result<Self, rand::rand_core::OsError> {
        let mut bytes = [0_u8; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{hex}")))
    }

    /// The token that a text is; `None` if it cannot be one.
    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(PREFIX)?;
        let fits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// For the one place where it is shown.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// By what it is known again.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.0).into())
    }
}

/// Who asks: the holder of a token. As an argument of a handler it is the demand for one.
#[derive(Debug, Clone)]
pub(crate) struct Holder(Token);

impl Holder {
    /// What the token is.
    pub(super) fn token(&self) -> &Token {
        &self.0
    }

    /// Refuses what the token is not good for; else says who is named in the audit trail.
    pub(crate) fn may(&self, scope: Scope) -> Result<Actor, Problem> {
        if self.0.scopes.allow(scope) {
            Ok(Actor::Api {
                client: self.0.name.clone(),
            })
        } else {
            Err(Problem::forbidden(format!(
                "this needs a token with the scope {scope}; the scopes of {} are: {}",
                self.0.name, self.0.scopes
            )))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::unauthenticated("this needs a token; `callhop token add` makes one")
        })
    }
}

/// Before each request but the dialplans' and the monitor's: is it from here, and if it brings a token, whose is that?
pub(super) async fn guard(
    State(controller): State<Controller>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = from_here(request.headers()) {
        return problem.into_response();
    }
    if let Some(header) = request.headers().get(header::AUTHORIZATION) {
        let text = header.to_str().unwrap_or_default().to_owned();
        match holder(&controller, &text).await {
            Ok(holder) => {
                request.extensions_mut().insert(holder);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}

/// Refuses a browser that was led here by another page or name.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Err(Problem::forbidden(
            "Callhop answers only under a loopback name: 127.0.0.1, [::1] or localhost",
        ));
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => Err(Problem::forbidden(
            "another site's page may not ask Callhop anything",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Whether a `Host` header (RFC 9110, 7.2) names this machine to itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
            Some(_) | None => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn holder(controller: &Controller, header: &str) -> Result<Holder, Problem> {
    let unknown = || Problem::unauthenticated("there is no such token");
    let mut words = header.split_ascii_whitespace();
    let token = match (words.next(), words.next(), words.next()) {
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case("bearer") => {
            NewToken::parse(token).ok_or_else(unknown)?
        }
        _ => {
            return Err(Problem::unauthenticated(
                "a token comes as `Authorization: Bearer callhop_...`",
            ));
        }
    };
    let hash = token.hash();
    let tokens = controller.store().tokens().await?;
    let mut found = None;
    for known in tokens {
        // Each is looked at, whichever fits.
        if bool::from(known.hash.0.ct_eq(&hash.0)) {
            found = Some(known);
        }
    }
    let Some(found) = found else {
        warn!("a request with an unknown token was refused");
        return Err(unknown());
    };
    let now = unix_now();
    if found
        .last_used
        .is_none_or(|used| used.0 + USE_STEP <= now.0)
    {
        let (controller, name) = (controller.clone(), found.name.clone());
        // The request does not wait for the note.
        tokio::spawn(async move {
            if let Err(error) = controller.store().token_used(&name, now).await {
                warn!(token = %name, %error, "the use of a token was not noted");
            }
        });
    }
    Ok(Holder(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_random_and_never_shown_by_accident() {
        let (one, two) = (NewToken::random().unwrap(), NewToken::random().unwrap());
        assert_ne!(one.reveal(), two.reveal());
        assert_eq!(format!("{one:?}"), "(hidden)");
        let again = NewToken::parse(one.reveal()).unwrap();
        assert_eq!(again.hash(), one.hash());
        let upper = one.reveal().to_uppercase();
        for text in ["", "callhop_", &one.reveal()[1..], &upper] {
            assert!(NewToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8085",
            "[::1]:8085",
            "[::1]",
            "localhost:1",
            "LOCALHOST",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com",
            "10.0.0.1:8085",
            "[::1].example.com",
            "[::2]",
            "localhost.example.com",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_foreign_page_is_refused() {
        let check = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8085".parse().unwrap());
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            from_here(&headers).is_ok()
        };
        assert!(check("http://127.0.0.1:8085"));
        for foreign in ["http://127.0.0.1:8086", "http://evil.test", "null", ""] {
            assert!(!check(foreign), "{foreign}");
        }
    }
}

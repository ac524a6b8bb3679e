//! Who may do what: tokens, and which pages of a browser may ask at all.
//!
//! Owns the form of a token and the checks before a handler. Refuses cookies: a token comes in the `Authorization` header,
//! which no foreign page can make a browser send. What is asked of a browser under a name that is none of Callhop's is refused
//! too, so that a name that was made to point here (DNS rebinding) reads nothing.
//!
//! ```text
//! token = "callhop_" 64( DIGIT / "a"-"f" )        256 random bits
//! ```
//!
//! **Invariant**: a token is kept nowhere and logged nowhere. Its SHA-256 is compared in constant time with each that there is,
//! read from the database for each request: a removed token is over at once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use callhop_store::{Actor, Scope, Token, TokenHash};
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use tracing::warn;

use super::api::Problem;
use super::limits::Connection;
use super::page;
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

/// Who may ask at all where a listener is.
#[derive(Debug)]
pub(super) enum Gate {
    /// Whoever has this machine may read.
    Local,
    /// A token is needed for everything but the page's own files.
    Public {
        /// The names under which a browser may ask, beside the address itself; in lower case.
        names: Vec<String>,
        /// What a page of this server has before its host in `Origin`.
        schemes: &'static [&'static str],
    },
}

/// What the guard knows.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) controller: Controller,
    pub(super) gate: Arc<Gate>,
}

/// Before each request but the dialplans' and the monitor's: may this browser ask, and if it brings a token, whose is that?
pub(super) async fn guard(
    State(Guard { controller, gate }): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let own = connection.as_ref().and_then(|connection| connection.own);
    if let Err(problem) = gate.lets_in(request.headers(), own) {
        return problem.into_response();
    }
    let client = connection.and_then(|connection| connection.client);
    if let Some(header) = request.headers().get(header::AUTHORIZATION) {
        let text = header.to_str().unwrap_or_default().to_owned();
        if client
            .as_ref()
            .is_some_and(|client| !client.may_bring_token(Instant::now()))
        {
            return Problem::too_many("this address has brought too many wrong tokens")
                .into_response();
        }
        match holder(&controller, &text).await {
            Ok(holder) => {
                request.extensions_mut().insert(holder);
            }
            Err(problem) => {
                if let Some(client) = client.filter(|_| problem.is_unauthenticated()) {
                    client.wrong_token(Instant::now());
                }
                return problem.into_response();
            }
        }
    } else if matches!(*gate, Gate::Public { .. }) && !page::has(request.uri().path()) {
        return Problem::unauthenticated(
            "everything needs a token here; `callhop token add` makes one",
        )
        .into_response();
    }
    next.run(request).await
}

impl Gate {
    /// Refuses a browser that was led here by another page or name. `own` is the address that was connected to.
    fn lets_in(&self, headers: &HeaderMap, own: Option<IpAddr>) -> Result<(), Problem> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let host = text(header::HOST).unwrap_or_default();
        let name = without_port(host).unwrap_or_default();
        let (known, schemes, refused) = match self {
            Self::Local => (
                is_loopback(name),
                &["http://"][..],
                "Callhop answers only under a loopback name here: 127.0.0.1, [::1] or localhost",
            ),
            Self::Public { names, schemes } => {
                let itself = name.parse::<IpAddr>().ok();
                let itself = itself.map(|address| address.to_canonical());
                let known = (itself.is_some() && itself == own)
                    || names.iter().any(|known| known.eq_ignore_ascii_case(name));
                let refused = "Callhop does not answer under this name; http.public.names has those that count";
                (known, *schemes, refused)
            }
        };
        if !known {
            return Err(Problem::forbidden(refused));
        }
        let foreign = |origin: &str| {
            let mut own = schemes.iter();
            !own.any(|scheme| origin.strip_prefix(scheme) == Some(host))
        };
        if text(header::ORIGIN).is_some_and(foreign) {
            return Err(Problem::forbidden(
                "another site's page may not ask Callhop anything",
            ));
        }
        Ok(())
    }
}

/// The name or address of a `Host` header (RFC 9110, 7.2); `None` if it is none.
fn without_port(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || port.starts_with(':') => Some(address),
            Some(_) | None => None,
        },
        None => Some(host.split_once(':').map_or(host, |(name, _)| name)),
    }
}

/// Whether a name is what this machine calls itself.
fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
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

    /// What is answered on the machine itself, and what at an address of it.
    fn answers(host: &str, origin: Option<&str>) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let public = Gate::Public {
            names: vec![String::from("callhop.example.com")],
            schemes: &["https://"],
        };
        let own = "192.0.2.7".parse().ok();
        let lets_in = |gate: Gate| gate.lets_in(&headers, own).is_ok();
        (lets_in(Gate::Local), lets_in(public))
    }

    #[test]
    fn only_known_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8085",
            "[::1]:8085",
            "[::1]",
            "localhost:1",
            "LOCALHOST",
        ] {
            assert_eq!(answers(host, None), (true, false), "{host}");
        }
        for host in [
            "callhop.example.com",
            "Callhop.Example.com:8443",
            "192.0.2.7:8443",
            "[::ffff:192.0.2.7]",
        ] {
            assert_eq!(answers(host, None), (false, true), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com",
            "10.0.0.1:8085",
            "[::1].example.com",
            "[::2]",
            "localhost.example.com",
            "callhop.example.com.evil.test",
            "192.0.2.8",
        ] {
            assert_eq!(answers(host, None), (false, false), "{host}");
        }
    }

    #[test]
    fn a_foreign_page_is_refused() {
        let local = |origin| answers("127.0.0.1:8085", Some(origin)).0;
        assert!(local("http://127.0.0.1:8085"));
        for foreign in ["http://127.0.0.1:8086", "http://evil.test", "null", ""] {
            assert!(!local(foreign), "{foreign}");
        }
        let public = |origin| answers("callhop.example.com:8443", Some(origin)).1;
        assert!(public("https://callhop.example.com:8443"));
        for foreign in [
            "http://callhop.example.com:8443",
            "https://callhop.example.com",
            "https://evil.test",
            "null",
            "",
        ] {
            assert!(!public(foreign), "{foreign}");
        }
    }
}

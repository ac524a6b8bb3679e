//! What comes with a request, read strictly; what cannot be read is a [`Problem`] like any other.

use std::fmt;
use std::str::FromStr;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use callhop_calls::id::ExtensionId;
use callhop_store::{Expected, Revision};
use serde::de::DeserializeOwned;

use super::Problem;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let refused =
            |rejection: JsonRejection| Problem::body(rejection.status(), rejection.body_text());
        let axum::Json(body) = axum::Json::from_request(request, state)
            .await
            .map_err(refused)?;
        Ok(Self(body))
    }
}

/// The words behind the `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |rejection: QueryRejection| Problem::bad(rejection.body_text());
        let axum::extract::Query(query) = axum::extract::Query::from_request_parts(parts, state)
            .await
            .map_err(refused)?;
        Ok(Self(query))
    }
}

/// What the address names: mostly an extension.
pub(crate) struct Named<T = ExtensionId>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Named<T>
where
    S: Send + Sync,
    T: FromStr<Err: fmt::Display>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad(rejection.body_text()))?;
        let id = text
            .parse()
            .map_err(|error: T::Err| Problem::bad(error.to_string()))?;
        Ok(Self(id))
    }
}

/// What the writer believes to be there (RFC 9110, 13.1): `If-Match: "<version>"`, `If-Match: *`, `If-None-Match: *`, or nothing.
pub(crate) struct Believed(pub(crate) Expected);

impl<S: Send + Sync> FromRequestParts<S> for Believed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        believed(&parts.headers).map(Self)
    }
}

fn believed(headers: &HeaderMap) -> Result<Expected, Problem> {
    let single = |name: HeaderName| -> Result<Option<&str>, Problem> {
        let mut values = headers.get_all(&name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(value.to_str().unwrap_or_default())),
            (Some(_), Some(_)) => Err(Problem::bad(format!("{name} comes once"))),
        }
    };
    match (single(header::IF_MATCH)?, single(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Expected::Whatever),
        (Some("*"), None) => Ok(Expected::Something),
        (None, Some("*")) => Ok(Expected::Nothing),
        (Some(etag), None) => version(etag).map(Expected::Version).ok_or_else(|| {
            Problem::bad("If-Match holds one ETag as it came, such as \"17\", or *")
        }),
        (None, Some(_)) => Err(Problem::bad("If-None-Match holds *")),
        (Some(_), Some(_)) => Err(Problem::bad(
            "If-Match and If-None-Match contradict each other",
        )),
    }
}

fn version(etag: &str) -> Option<Revision> {
    let digits = etag.strip_prefix('"')?.strip_suffix('"')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Revision::from_number)
}

/// The `ETag` of a version.
pub(crate) fn etag_text(version: Revision) -> String {
    format!("\"{version}\"")
}

/// The header with it.
pub(crate) fn etag(version: Revision) -> [(HeaderName, HeaderValue); 1] {
    // Digits between quotes are a header's value.
    let value = HeaderValue::try_from(etag_text(version));
    [(
        header::ETAG,
        value.unwrap_or(HeaderValue::from_static("\"\"")),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_believes() {
        let check = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            believed(&headers).ok()
        };
        let seven = Expected::Version(Revision::from_number(7));
        for (lines, expect) in [
            (&[][..], Some(Expected::Whatever)),
            (&[("if-match", "*")], Some(Expected::Something)),
            (&[("if-match", "\"7\"")], Some(seven)),
            (&[("if-none-match", "*")], Some(Expected::Nothing)),
            (&[("if-match", "7")], None),
            (&[("if-match", "\"\"")], None),
            (&[("if-match", "\"-7\"")], None),
            (&[("if-match", "W/\"7\"")], None),
            (&[("if-match", "\"7\", \"8\"")], None),
            (&[("if-match", "\"99999999999999999999\"")], None),
            (&[("if-none-match", "\"7\"")], None),
            (&[("if-match", "*"), ("if-match", "\"7\"")], None),
            (&[("if-match", "*"), ("if-none-match", "*")], None),
        ] {
            assert_eq!(check(lines), expect, "{lines:?}");
        }
    }
}

//! What is said when something is refused: `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use callhop_calls::core::OfferRefusal;
use callhop_store::{
    AddExtensionError, Changed, DatabaseError, PutExtensionError, RemoveExtensionError,
    ResetRouteError, SetRouteError,
};
use serde::Serialize;
use tracing::error;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::controller::OfferError;

/// A refusal.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A name that stays the same: `urn:callhop:` and a word.
    r#type: String,
    /// What kind of problem it is, for people.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What was wrong this time.
    detail: String,
    /// With `changed`: the `ETag` that counts now; none if there is no such extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    etag: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, word: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            r#type: format!("urn:callhop:{word}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            etag: None,
        }
    }

    /// The request cannot be read.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        let title = "The request cannot be understood";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title, detail)
    }

    /// The body cannot be read, for a reason that has a status of its own.
    pub(crate) fn body(status: StatusCode, detail: impl Into<String>) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                status,
                "too-large",
                "The body is too large",
                "the limit is 64 KiB",
            ),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let title = "The body is not JSON";
                let detail = "the body is JSON, with `Content-Type: application/json`";
                Self::new(status, "not-json", title, detail)
            }
            _ => Self::bad(detail),
        }
    }

    /// No token, or an unknown one.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        let title = "A token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", title, detail)
    }

    /// Whether it was refused because of the token itself.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED.as_u16()
    }

    /// The token is not good for this, or a browser may not ask this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// This is not done to that.
    pub(crate) fn method() -> Self {
        let detail = "the header `Allow` says which methods there are";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "There is no such method here",
            detail,
        )
    }

    /// A rule is against it.
    pub(crate) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", "Refused", detail)
    }

    /// Too much at once.
    pub(crate) fn too_many(detail: impl Into<String>) -> Self {
        let title = "Too many requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", title, detail)
    }

    /// It cannot be answered now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not available now",
            detail,
        )
    }

    /// The program ends.
    pub(crate) fn ending() -> Self {
        Self::unavailable("the controller ends")
    }

    fn changed(changed: Changed) -> Self {
        let etag = changed.version.map(super::extract::etag_text);
        Self {
            etag,
            ..Self::new(
                StatusCode::PRECONDITION_FAILED,
                "changed",
                "Somebody else was faster",
                "it is not as this request expects: read it again",
            )
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        let (unavailable, told) = (error.is_unavailable(), error.to_string());
        let text = format!("{:#}", anyhow::Error::from(error));
        error!(error = text, "the database did not do what the API asked");
        if unavailable {
            Self::unavailable(told)
        } else {
            // The rest stands in the log.
            let title = "The database refused";
            let detail = "the database could not do what it was asked; the log says more";
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "database", title, detail)
        }
    }
}

impl From<AddExtensionError> for Problem {
    fn from(error: AddExtensionError) -> Self {
        match error {
            AddExtensionError::Database(error) => error.into(),
            refused => Self::refused(refused.to_string()),
        }
    }
}

impl From<PutExtensionError> for Problem {
    fn from(error: PutExtensionError) -> Self {
        match error {
            PutExtensionError::Database(error) => error.into(),
            PutExtensionError::Devices(error) => error.into(),
            PutExtensionError::Changed(changed) => Self::changed(changed),
            refused @ PutExtensionError::RoutedTo { .. } => Self::refused(refused.to_string()),
        }
    }
}

impl From<RemoveExtensionError> for Problem {
    fn from(error: RemoveExtensionError) -> Self {
        match error {
            RemoveExtensionError::Database(error) => error.into(),
            RemoveExtensionError::Changed(changed) => Self::changed(changed),
            unknown @ RemoveExtensionError::Unknown(_) => Self::not_found(unknown.to_string()),
            refused @ RemoveExtensionError::RoutedTo { .. } => Self::refused(refused.to_string()),
        }
    }
}

impl From<SetRouteError> for Problem {
    fn from(error: SetRouteError) -> Self {
        match error {
            SetRouteError::Database(error) => error.into(),
            SetRouteError::Changed(changed) => Self::changed(changed),
            unknown @ SetRouteError::UnknownExtension(_) => Self::not_found(unknown.to_string()),
            refused => Self::refused(refused.to_string()),
        }
    }
}

impl From<ResetRouteError> for Problem {
    fn from(error: ResetRouteError) -> Self {
        match error {
            ResetRouteError::Database(error) => error.into(),
            ResetRouteError::Changed(changed) => Self::changed(changed),
            unknown @ ResetRouteError::UnknownExtension(_) => Self::not_found(unknown.to_string()),
        }
    }
}

impl From<OfferError> for Problem {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Ending => Self::ending(),
            OfferError::Refused(refusal) => match refusal {
                OfferRefusal::Stale => Self::unavailable(refusal.to_string()),
                OfferRefusal::NoExtension(_) | OfferRefusal::NotOffered(_) => {
                    Self::not_found(refusal.to_string())
                }
                OfferRefusal::Pull(_)
                | OfferRefusal::Push(_)
                | OfferRefusal::HasIt(_)
                | OfferRefusal::NotTalking(_)
                | OfferRefusal::NotRegistered(_)
                | OfferRefusal::OfferedAlready(_) => Self::refused(refusal.to_string()),
            },
        }
    }
}

/// How every request can fail, for the document.
pub(crate) struct Failures;

/// How a change can be refused besides, for the document.
pub(crate) struct Refusals;

const ANY: &[(&str, &str)] = &[
    ("400", "The request cannot be understood"),
    ("401", "The token is unknown, or one is needed"),
    (
        "403",
        "The token is not good for this, or another site's page asked",
    ),
    ("404", "There is no such thing"),
    ("429", "Too many requests: later again"),
    ("500", "The database refused; the log says why"),
    (
        "503",
        "The database is away, the request took too long, or the controller ends",
    ),
];

const CHANGE: &[(&str, &str)] = &[
    ("409", "A rule is against it"),
    ("412", "Somebody else was faster"),
    ("413", "The body is too large"),
    ("415", "The body is not JSON"),
];

fn documented(list: &[(&str, &str)]) -> BTreeMap<String, RefOr<Documented>> {
    let schema = Ref::from_schema_name("Problem");
    list.iter()
        .map(|(status, text)| {
            let content = ContentBuilder::new().schema(Some(schema.clone())).build();
            let response = ResponseBuilder::new()
                .description(*text)
                .content("application/problem+json", content)
                .build();
            ((*status).to_owned(), RefOr::T(response))
        })
        .collect()
}

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented(ANY)
    }
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented(CHANGE)
    }
}

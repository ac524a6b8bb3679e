//! The API for programs, the page and the command line.
//!
//! Owns the addresses under `/v1` and their document, which is made from the handlers: a route that is not documented cannot
//! be added. Refuses in one form, `application/problem+json` (RFC 9457).
//!
//! Who reads needs no token on this machine, and one on any other; who changes something needs one with the scope for it. Two
//! writers do not overwrite each other: what is read comes with an `ETag`, and `If-Match` says what was read.

mod extensions;
mod extract;
mod guide;
mod live;
mod moves;
mod problem;
mod routes;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::PartialSchema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, schema};

pub(crate) use extensions::RouteDoc;
pub(crate) use extract::Body;
pub(super) use live::DeviceDoc;
pub(crate) use moves::MoveDoc;
pub(crate) use problem::Problem;
pub(super) use problem::{Failures, Refusals};

/// Where the document is.
const DOCUMENT: &str = "/v1/openapi.json";

/// The routes and their document.
pub(super) fn router() -> (Router<App>, OpenApi) {
    let (router, document) = OpenApiRouter::<App>::with_openapi(base())
        .routes(routes!(extensions::list))
        .routes(routes!(
            extensions::get,
            extensions::put,
            extensions::delete
        ))
        .routes(routes!(live::devices))
        .routes(routes!(routes::get, routes::put, routes::delete))
        .routes(routes!(live::calls))
        .routes(routes!(moves::list))
        .routes(routes!(moves::withdraw))
        .routes(routes!(moves::pull))
        .routes(routes!(moves::push))
        .routes(routes!(live::switches))
        .routes(routes!(live::status))
        .routes(routes!(live::why))
        .routes(routes!(guide::show))
        .routes(routes!(live::token))
        .routes(routes!(super::events::stream))
        .split_for_parts();
    let router = router.method_not_allowed_fallback(|| async { Problem::method() });
    (router, document)
}

/// The document at its address.
pub(super) fn document(document: OpenApi) -> Router<App> {
    // It cannot fail: it is plain data.
    let text = document.to_json().unwrap_or_default();
    let answer = || async { ([(header::CONTENT_TYPE, "application/json")], text) };
    Router::new().route(DOCUMENT, get(answer))
}

/// What is nowhere.
pub(super) async fn nowhere(uri: Uri) -> Response {
    if uri.path().starts_with("/v1/") {
        Problem::not_found("there is nothing at this address").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

fn base() -> OpenApi {
    let mut info = Info::new("Callhop", env!("CARGO_PKG_VERSION"));
    info.description = Some(String::from(
        "Extensions, their devices and routes, and what is going on. Reading needs no token on this machine, and one at `http.public`; every change needs \
         one (`callhop token add`).",
    ));
    info.license = Some(License::new("MIT OR Apache-2.0"));
    let mut components = Components::new();
    // Those of bodies come from the handlers; the form of refusals and the names in addresses and headers do not.
    for (name, schema) in [
        ("Problem", Problem::schema()),
        ("ExtensionName", schema::ExtensionName::schema()),
        ("MoveName", schema::MoveName::schema()),
        ("DomainName", schema::DomainName::schema()),
        ("Etag", schema::Etag::schema()),
        ("Star", schema::Star::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

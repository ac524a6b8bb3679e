//! `/v1/extensions/<extension>/route`: where its calls ring. The same rules as for the star codes and the command line.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use callhop_calls::directory::{Route, RouteEnd};
use callhop_calls::id::Number;
use callhop_calls::routing;
use callhop_store::{Scope, Versioned};
use serde::Deserialize;
use tracing::info;
use utoipa::ToSchema;

use super::extensions::{RouteDoc, find, unknown};
use super::extract::{Believed, Body, Named, etag};
use super::{Failures, Problem, Refusals};
use crate::controller::{Controller, unix_now};
use crate::http::auth::Holder;
use crate::http::schema;
use crate::when;

/// A route to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutRoute {
    /// The number of one of its devices; if it has none of that number, a colleague's extension in its domain.
    #[schema(value_type = schema::Number)]
    to: Number,
    /// When all devices ring again: a time with its offset (RFC 3339), or how long from now (`8h`).
    until: Option<String>,
    /// Only for the next call that rings by it.
    #[serde(default)]
    #[schema(default = false)]
    next_call: bool,
}

/// Where the calls of an extension ring.
#[utoipa::path(get, path = "/v1/extensions/{extension}/route", tag = "routes",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 200, body = RouteDoc, headers(("ETag" = String, description = "the extension's version"))), Failures))]
pub(crate) async fn get(
    State(controller): State<Controller>,
    Named(id): Named,
) -> Result<Response, Problem> {
    Ok(answer(&find(&controller, &id).await?))
}

/// Lets calls ring only at one device, or where a colleague's ring.
#[utoipa::path(put, path = "/v1/extensions/{extension}/route", tag = "routes", request_body = PutRoute,
    params(("extension" = schema::ExtensionName, Path, description = "number@domain"),
        schema::IfMatch),
    responses((status = 200, body = RouteDoc), Failures, Refusals),
    security(("token" = ["route"])))]
pub(crate) async fn put(
    State(controller): State<Controller>,
    holder: Holder,
    Named(id): Named,
    Believed(expected): Believed,
    Body(body): Body<PutRoute>,
) -> Result<Response, Problem> {
    let actor = holder.may(Scope::Route)?;
    let now = unix_now();
    let end = match (body.until, body.next_call) {
        (None, false) => RouteEnd::Never,
        (None, true) => RouteEnd::NextCall,
        (Some(text), false) => RouteEnd::At(when::until(&text, now).map_err(Problem::bad)?),
        (Some(_), true) => {
            let text = "a route ends at a time or with the next call, not both";
            return Err(Problem::bad(text));
        }
    };
    controller.bring_up_to_date().await;
    let (of, to) = (id.clone(), body.to);
    let target = controller
        .core()
        .view(move |core, now| {
            let directory = core.directory();
            let extension = directory.extension(&of)?;
            let policy = core.policy(&of.domain);
            Some(routing::target(directory, extension, &to, policy, now.unix))
        })
        .await
        .ok_or_else(Problem::ending)?
        .ok_or_else(|| unknown(&id))?
        .map_err(|refusal| Problem::refused(refusal.to_string()))?;
    let route = Route { target, end };
    controller
        .store()
        .set_route_if(&id, &route, expected, &actor, now)
        .await?;
    controller.bring_up_to_date().await;
    info!(extension = %id, by = %actor, "the route was set");
    Ok(answer(&find(&controller, &id).await?))
}

/// Lets all devices ring again.
#[utoipa::path(delete, path = "/v1/extensions/{extension}/route", tag = "routes",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain"),
        schema::IfMatch),
    responses((status = 200, body = RouteDoc), Failures, Refusals),
    security(("token" = ["route"])))]
pub(crate) async fn delete(
    State(controller): State<Controller>,
    holder: Holder,
    Named(id): Named,
    Believed(expected): Believed,
) -> Result<Response, Problem> {
    let actor = holder.may(Scope::Route)?;
    let store = controller.store();
    store
        .reset_route_if(&id, expected, &actor, unix_now())
        .await?;
    controller.bring_up_to_date().await;
    info!(extension = %id, by = %actor, "the route was reset");
    Ok(answer(&find(&controller, &id).await?))
}

fn answer(found: &Versioned) -> Response {
    let body = Json(RouteDoc::of(found.extension.route.as_ref(), unix_now()));
    (etag(found.version), body).into_response()
}

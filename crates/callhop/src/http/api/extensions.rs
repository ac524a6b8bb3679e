//! `/v1/extensions`: people with their devices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use callhop_calls::directory::{Route, RouteEnd, RouteTarget};
use callhop_calls::id::{ExtensionId, Number, UnixTime};
use callhop_store::{Scope, Versioned};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Believed, Body, Named, Query, etag};
use super::{Failures, Problem, Refusals};
use crate::controller::{Controller, unix_now};
use crate::http::auth::Holder;
use crate::http::schema;
use crate::when;

/// How many extensions a page has at most.
const MAX_PAGE: u32 = 500;

/// How many devices an extension has at most, over HTTP.
const MAX_DEVICES: usize = 50;

/// An extension.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ExtensionDoc {
    /// number@domain
    #[schema(value_type = String)]
    pub(crate) id: ExtensionId,
    /// Its devices by their numbers in the same domain, in the admin's order.
    #[schema(value_type = Vec<String>)]
    pub(crate) devices: Vec<Number>,
    pub(crate) route: RouteDoc,
    /// The number in its `ETag`.
    pub(crate) version: i64,
}

impl ExtensionDoc {
    pub(crate) fn of(found: &Versioned, now: UnixTime) -> Self {
        let extension = &found.extension;
        Self {
            id: extension.id.clone(),
            devices: extension.devices.clone(),
            route: RouteDoc::of(extension.route.as_ref(), now),
            version: found.version.get(),
        }
    }
}

/// Where the calls of an extension ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RouteDoc {
    rings: Rings,
    /// The device, or the colleague's extension: number@domain.
    to: Option<String>,
    /// When all devices ring again (RFC 3339).
    until: Option<String>,
    /// Whether it is over once one call has rung by it.
    next_call: bool,
    /// Whether it counts now: false once `until` has passed.
    in_force: bool,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rings {
    /// No route: all devices of the extension.
    AllDevices,
    /// One of its devices only.
    Device,
    /// Where the calls of a colleague ring.
    Colleague,
}

impl RouteDoc {
    pub(crate) fn of(route: Option<&Route>, now: UnixTime) -> Self {
        let Some(route) = route else {
            return Self {
                rings: Rings::AllDevices,
                to: None,
                until: None,
                next_call: false,
                in_force: true,
            };
        };
        let (rings, to) = match &route.target {
            RouteTarget::Device(device) => (Rings::Device, device.to_string()),
            RouteTarget::Extension(colleague) => (Rings::Colleague, colleague.to_string()),
        };
        Self {
            rings,
            to: Some(to),
            until: match route.end {
                RouteEnd::At(end) => Some(when::text(end)),
                RouteEnd::Never | RouteEnd::NextCall => None,
            },
            next_call: route.end == RouteEnd::NextCall,
            in_force: route.is_in_force(now),
        }
    }
}

/// Some of the extensions, by domain and number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExtensionPage {
    extensions: Vec<ExtensionDoc>,
    /// What to ask for `after` to get the next ones; none at the end.
    #[schema(value_type = Option<String>)]
    next: Option<ExtensionId>,
}

/// Which extensions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// Only those behind this one: `next` of the page before.
    #[param(required = false, nullable = false, value_type = schema::ExtensionName)]
    after: Option<ExtensionId>,
    /// At most that many.
    #[param(nullable = false, minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
}

/// Devices for an extension.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutExtension {
    /// Its devices by their numbers, in the order in which they are shown.
    #[schema(value_type = Vec<schema::Number>, min_items = 1, max_items = 50)]
    devices: Vec<Number>,
}

/// The extensions, by domain and number, in pages.
#[utoipa::path(get, path = "/v1/extensions", tag = "extensions", params(Paging), responses(
    (status = 200, body = ExtensionPage), Failures))]
pub(crate) async fn list(
    State(controller): State<Controller>,
    Query(paging): Query<Paging>,
) -> Result<Json<ExtensionPage>, Problem> {
    let limit = paging.limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad(format!("limit is 1 to {MAX_PAGE}")));
    }
    // One more tells whether there is a next page.
    let store = controller.store();
    let mut found = store.page(paging.after.as_ref(), limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|found| found.extension.id.clone());
    let now = unix_now();
    Ok(Json(ExtensionPage {
        extensions: found.iter().map(|f| ExtensionDoc::of(f, now)).collect(),
        next: last.filter(|_| more),
    }))
}

/// One extension.
#[utoipa::path(get, path = "/v1/extensions/{extension}", tag = "extensions",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 200, body = ExtensionDoc, headers(("ETag" = String, description = "its version"))), Failures))]
pub(crate) async fn get(
    State(controller): State<Controller>,
    Named(id): Named,
) -> Result<Response, Problem> {
    let found = find(&controller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

/// Adds an extension, or gives it other devices.
///
/// A device keeps its place in routes. A route that leads to a device that would go is reset first.
#[utoipa::path(put, path = "/v1/extensions/{extension}", tag = "extensions", request_body = PutExtension,
    params(("extension" = schema::ExtensionName, Path, description = "number@domain"),
        schema::IfMatch,
        schema::IfNoneMatch),
    responses((status = 200, body = ExtensionDoc, description = "It is as it should be"),
        (status = 201, body = ExtensionDoc, description = "It was added"), Failures, Refusals),
    security(("token" = ["admin"])))]
pub(crate) async fn put(
    State(controller): State<Controller>,
    holder: Holder,
    Named(id): Named,
    Believed(expected): Believed,
    Body(body): Body<PutExtension>,
) -> Result<Response, Problem> {
    let actor = holder.may(Scope::Admin)?;
    if body.devices.len() > MAX_DEVICES {
        let text = format!("an extension has at most {MAX_DEVICES} devices");
        return Err(Problem::refused(text));
    }
    let put = controller
        .store()
        .put_extension(&id, &body.devices, expected, &actor, unix_now())
        .await?;
    controller.bring_up_to_date().await;
    info!(extension = %id, by = %actor, created = put.created, "the extension was put");
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let found = find(&controller, &id).await?;
    Ok(answer(status, &found))
}

/// Removes an extension with its devices and its route.
#[utoipa::path(delete, path = "/v1/extensions/{extension}", tag = "extensions",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain"),
        schema::IfMatch),
    responses((status = 204, description = "It is removed"), Failures, Refusals),
    security(("token" = ["admin"])))]
pub(crate) async fn delete(
    State(controller): State<Controller>,
    holder: Holder,
    Named(id): Named,
    Believed(expected): Believed,
) -> Result<StatusCode, Problem> {
    let actor = holder.may(Scope::Admin)?;
    let store = controller.store();
    store
        .remove_extension_if(&id, expected, &actor, unix_now())
        .await?;
    controller.bring_up_to_date().await;
    info!(extension = %id, by = %actor, "the extension was removed");
    Ok(StatusCode::NO_CONTENT)
}

/// The extension, or that there is none.
pub(super) async fn find(controller: &Controller, id: &ExtensionId) -> Result<Versioned, Problem> {
    controller
        .store()
        .versioned(id)
        .await?
        .ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: &ExtensionId) -> Problem {
    Problem::not_found(format!("there is no extension {id}"))
}

fn answer(status: StatusCode, found: &Versioned) -> Response {
    let body = Json(ExtensionDoc::of(found, unix_now()));
    (status, etag(found.version), body).into_response()
}

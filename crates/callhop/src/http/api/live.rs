//! What the running controller sees: switches, calls, devices, and why an extension rings where it does.

use axum::Json;
use axum::extract::State;
use callhop_calls::id::{DeviceId, ExtensionId};
use callhop_store::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::extensions::unknown;
use super::extract::Named;
use super::{Failures, Problem};
use crate::controller::{Controller, view};
use crate::http::auth::Holder;
use crate::http::schema;

/// How many calls are told at most.
const MAX_CALLS: usize = 1000;

/// The switches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SwitchList {
    switches: Vec<view::SwitchView>,
}

/// The controller in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Its version.
    version: &'static str,
    /// Whether the database answered the last time.
    database: bool,
    /// How many extensions there are.
    extensions: usize,
    switches: Vec<view::SwitchView>,
}

/// The calls, and of which switches they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallList {
    switches: Vec<view::SwitchView>,
    /// At most a thousand.
    calls: Vec<view::CallView>,
}

/// A device on each switch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeviceDoc {
    #[schema(value_type = String)]
    pub(crate) device: DeviceId,
    pub(crate) switches: Vec<view::DeviceOnSwitch>,
}

/// The devices of an extension.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceList {
    #[schema(value_type = String)]
    extension: ExtensionId,
    devices: Vec<DeviceDoc>,
}

/// Why an extension rings where it does, on each switch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Why {
    #[schema(value_type = String)]
    extension: ExtensionId,
    switches: Vec<view::WhyView>,
}

/// A token, without the token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenDoc {
    /// What it is called.
    name: String,
    /// What it was given: read, route, move, admin.
    scopes: Vec<&'static str>,
    /// What its holder may do by that.
    may: Vec<&'static str>,
}

/// The switches, and whether what is known of them is fresh.
#[utoipa::path(get, path = "/v1/switches", tag = "live", responses((status = 200, body = SwitchList), Failures))]
pub(crate) async fn switches(
    State(controller): State<Controller>,
) -> Result<Json<SwitchList>, Problem> {
    let links = controller.links();
    let seen = controller
        .core()
        .view(move |core, _| view::switches(core, &links))
        .await;
    let switches = seen.ok_or_else(Problem::ending)?;
    Ok(Json(SwitchList { switches }))
}

/// The controller in short.
#[utoipa::path(get, path = "/v1/status", tag = "live", responses((status = 200, body = Status), Failures))]
pub(crate) async fn status(State(controller): State<Controller>) -> Result<Json<Status>, Problem> {
    let links = controller.links();
    let seen = controller
        .core()
        .view(move |core, _| {
            let extensions = core.directory().extensions().count();
            (view::switches(core, &links), extensions)
        })
        .await;
    let (switches, extensions) = seen.ok_or_else(Problem::ending)?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        database: controller.database_is_ready().await,
        extensions,
        switches,
    }))
}

/// The calls, each with its legs and the move in which it takes part.
#[utoipa::path(get, path = "/v1/calls", tag = "live", responses((status = 200, body = CallList), Failures))]
pub(crate) async fn calls(State(controller): State<Controller>) -> Result<Json<CallList>, Problem> {
    let links = controller.links();
    let seen = controller
        .core()
        .view(move |core, _| (view::switches(core, &links), view::calls(core, MAX_CALLS)))
        .await;
    let (switches, calls) = seen.ok_or_else(Problem::ending)?;
    Ok(Json(CallList { switches, calls }))
}

/// What each device of an extension does on each switch.
#[utoipa::path(get, path = "/v1/extensions/{extension}/devices", tag = "live",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 200, body = DeviceList), Failures))]
pub(crate) async fn devices(
    State(controller): State<Controller>,
    Named(id): Named,
) -> Result<Json<DeviceList>, Problem> {
    controller.bring_up_to_date().await;
    let of = id.clone();
    let seen = controller.core().view(move |core, _| {
        let extension = core.directory().extension(&of)?;
        let devices = extension.device_ids().map(|device| DeviceDoc {
            switches: view::device(core, &device),
            device,
        });
        Some(devices.collect())
    });
    let seen = seen.await.ok_or_else(Problem::ending)?;
    let devices = seen.ok_or_else(|| unknown(&id))?;
    Ok(Json(DeviceList {
        extension: id,
        devices,
    }))
}

/// Which devices of an extension ring and why, and what could be pulled.
#[utoipa::path(get, path = "/v1/why/{extension}", tag = "live",
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 200, body = Why), Failures))]
pub(crate) async fn why(
    State(controller): State<Controller>,
    Named(id): Named,
) -> Result<Json<Why>, Problem> {
    controller.bring_up_to_date().await;
    let of = id.clone();
    let seen = controller.core().view(move |core, _| view::why(core, &of));
    let seen = seen.await.ok_or_else(Problem::ending)?;
    let switches = seen.ok_or_else(|| unknown(&id))?;
    Ok(Json(Why {
        extension: id,
        switches,
    }))
}

/// The token that came with the request.
#[utoipa::path(get, path = "/v1/token", tag = "tokens", responses((status = 200, body = TokenDoc), Failures),
    security(("token" = [])))]
pub(crate) async fn token(holder: Holder) -> Json<TokenDoc> {
    let token = holder.token();
    let may = Scope::ALL.into_iter().filter(|s| token.scopes.allow(*s));
    Json(TokenDoc {
        name: token.name.to_string(),
        scopes: token.scopes.iter().map(Scope::word).collect(),
        may: may.map(Scope::word).collect(),
    })
}

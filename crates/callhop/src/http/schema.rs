//! The shapes of the core's own values in the OpenAPI document: that crate knows nothing of HTTP. The test of the running
//! server (`tests/api.rs`) holds its answers against them.

// They are only described, never made.
#![allow(dead_code)]

use utoipa::{IntoParams, ToSchema};

/// An extension: number@domain.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9*#+._-]{1,20}@[A-Za-z0-9._-]{1,253}$")]
pub(crate) struct ExtensionName(String);

/// A domain.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9._-]{1,253}$")]
pub(crate) struct DomainName(String);

/// A number inside a domain.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9*#+._-]{1,20}$")]
pub(crate) struct Number(String);

/// A move.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
pub(crate) struct MoveName(String);

/// An `ETag` as it came, or `*`.
#[derive(ToSchema)]
#[schema(pattern = "^([*]|\"[0-9]{1,18}\")$")]
pub(crate) struct Etag(String);

/// Anything, as `*`.
#[derive(ToSchema)]
#[schema(pattern = "^[*]$")]
pub(crate) struct Star(String);

/// What the writer has read.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IfMatch {
    /// The `ETag` that was read, or `*`: only if it is there. Else 412.
    #[param(rename = "If-Match", required = false, nullable = false, value_type = Etag)]
    if_match: String,
}

/// That there is nothing yet.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IfNoneMatch {
    /// `*`: only if it is not there. Else 412.
    #[param(rename = "If-None-Match", required = false, nullable = false, value_type = Star)]
    if_none_match: String,
}

/// Who is shown at a leg, as the switch says.
#[derive(ToSchema)]
pub(crate) struct Party {
    /// Caller ID number.
    number: String,
    /// Caller ID name.
    name: String,
}

/// A move that has begun and not ended.
#[derive(ToSchema)]
pub(crate) struct OpenMove {
    /// Which one.
    id: String,
    kind: MoveKind,
    switch: String,
    /// Who moves: number@domain.
    extension: String,
    /// The device that had the call.
    from: String,
    /// Where it shall go: a device for a pull; for a push what was dialled, once it is.
    to: Option<String>,
    old_leg: String,
    far_leg: String,
    new_leg: Option<String>,
    stage: MoveStage,
    /// Seconds since 1970-01-01 00:00 UTC.
    started: i64,
}

/// The two moves.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MoveKind {
    Pull,
    Push,
}

/// How far a move has come.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MoveStage {
    Asked,
    Offered,
    Collecting,
    Ringing,
    Completing,
    GivingBack,
    Recalling,
}

/// How a move ended.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MoveOutcome {
    Moved,
    NotMoved,
    Recalled,
    FarEndGone,
}

/// A route, as the core has it.
#[derive(ToSchema)]
pub(crate) struct Route {
    target: RouteTarget,
    end: RouteEnd,
}

/// Where calls go: `to` is a device or a colleague's extension.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "to")]
pub(crate) enum RouteTarget {
    Device(String),
    Extension(String),
}

/// When a route ends by itself: `at` in seconds since 1970-01-01 00:00 UTC.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "at")]
pub(crate) enum RouteEnd {
    Never,
    At(i64),
    NextCall,
}

/// One step on the way from the dialled extension to the devices.
#[derive(ToSchema)]
pub(crate) struct Step {
    step: StepKind,
    /// Whose route.
    extension: String,
    /// The device of the route, where the step is about one.
    #[schema(required = false, nullable = false)]
    device: Option<String>,
    /// The colleague, where the step is about one.
    #[schema(required = false, nullable = false)]
    to: Option<String>,
}

/// What a step does.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepKind {
    AllDevices,
    OneDevice,
    Colleague,
    Expired,
    UnregisteredRingsAll,
    NotOwnDevice,
    Cut,
}

/// A call that can be pulled.
#[derive(ToSchema)]
pub(crate) struct Candidate {
    class: CallClass,
    /// The device that has it now.
    device: String,
    old_leg: String,
    far_leg: String,
    /// All legs that ring for the far end.
    forks: Vec<String>,
}

/// What kind of call it is, in the order of choice.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallClass {
    Talking,
    Held,
    RingingInbound,
    RingingOutbound,
    Pushed,
}

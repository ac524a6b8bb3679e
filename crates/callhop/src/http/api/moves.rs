//! `/v1/moves`: what was moved, by whom, and what became of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use callhop_calls::core::OfferRequest;
use callhop_calls::id::{DeviceId, ExtensionId, MoveId, Number, SwitchName};
use callhop_calls::journal::{Kind, OpenMove, Outcome, PastMove, Stage};
use callhop_store::Scope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use tracing::info;

use super::extract::{Body, Named, Query};
use super::{Failures, Problem, Refusals};
use crate::controller::Controller;
use crate::http::auth::Holder;
use crate::http::schema;
use crate::when;

/// How many moves are told at most.
const MAX_MOVES: u32 = 500;

/// A move, over or not.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct MoveDoc {
    #[schema(value_type = String)]
    id: MoveId,
    #[schema(value_type = schema::MoveKind)]
    kind: Kind,
    #[schema(value_type = String)]
    switch: SwitchName,
    /// Who moves: number@domain.
    #[schema(value_type = String)]
    extension: ExtensionId,
    /// The device that had the call.
    #[schema(value_type = String)]
    from: DeviceId,
    /// Where it should go: a device for a pull; for a push what was dialled, once it was.
    to: Option<String>,
    /// How far it has come, or had when it ended.
    #[schema(value_type = schema::MoveStage)]
    stage: Stage,
    /// When it began (RFC 3339).
    started: String,
    /// When it ended; none while it is under way.
    ended: Option<String>,
    /// How it ended.
    #[schema(value_type = Option<schema::MoveOutcome>)]
    outcome: Option<Outcome>,
    /// Why it was not moved, in one word.
    cause: Option<String>,
    /// Milliseconds from the star code to the end; none if the controller was restarted meanwhile.
    took_ms: Option<u64>,
    /// Milliseconds for which the far end was in no bridge, as the switch's events tell it: a pull of a call that
    /// talked. About as long packets are missing at the far end; on FreeSWITCH to 20 ms.
    gap_ms: Option<u64>,
}

impl MoveDoc {
    pub(crate) fn of(past: PastMove) -> Self {
        let PastMove { begun, end } = past;
        let (ended, outcome) = match &end {
            Some(end) => (Some(when::text(end.at)), Some(end.outcome)),
            None => (None, None),
        };
        Self {
            id: begun.id,
            kind: begun.kind,
            switch: begun.switch,
            extension: begun.extension,
            from: begun.from,
            to: begun.to,
            stage: begun.stage,
            started: when::text(begun.started),
            ended,
            outcome,
            took_ms: end.as_ref().and_then(|end| end.took_ms),
            gap_ms: end.as_ref().and_then(|end| end.gap_ms),
            cause: end.and_then(|end| end.cause),
        }
    }
}

/// Moves, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovePage {
    moves: Vec<MoveDoc>,
    /// What to ask for `after` to get the next ones; none at the end.
    #[schema(value_type = Option<String>)]
    next: Option<MoveId>,
}

/// Which moves.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Only those of this extension.
    #[param(required = false, nullable = false, value_type = schema::ExtensionName)]
    extension: Option<ExtensionId>,
    /// Only those behind this one, which are older: `next` of the page before.
    #[param(required = false, nullable = false, value_type = String)]
    after: Option<MoveId>,
    /// At most that many.
    #[param(nullable = false, minimum = 1, maximum = 500, default = 20)]
    limit: Option<u32>,
}

/// The moves, the newest first, those under way included, in pages.
#[utoipa::path(get, path = "/v1/moves", tag = "live", params(Which), responses(
    (status = 200, body = MovePage), Failures))]
pub(crate) async fn list(
    State(controller): State<Controller>,
    Query(which): Query<Which>,
) -> Result<Json<MovePage>, Problem> {
    let limit = which.limit.unwrap_or(20);
    if !(1..=MAX_MOVES).contains(&limit) {
        return Err(Problem::bad(format!("limit is 1 to {MAX_MOVES}")));
    }
    controller.journal().written().await;
    let store = controller.store();
    let behind = match which.after {
        Some(id) => match store.move_began(id).await? {
            Some(at) => Some((at, id)),
            None => return Err(Problem::bad(format!("after: there is no move {id}"))),
        },
        None => None,
    };
    // One more tells whether there is a next page.
    let extension = which.extension.as_ref();
    let mut found = store.moves(extension, behind, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|found| found.begun.id);
    Ok(Json(MovePage {
        moves: found.into_iter().map(MoveDoc::of).collect(),
        next: last.filter(|_| more),
    }))
}

/// Where a call shall come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pull {
    /// The number of the own device that rings, and gets the call when it is answered.
    #[schema(value_type = schema::Number)]
    to: Number,
    /// Only the call of this own device; without it the one that `*33` would take.
    #[schema(value_type = Option<schema::Number>)]
    from: Option<Number>,
}

/// Where a call shall go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// What rings, and gets the call when it is answered: an extension, a device of the domain, or a number outside that
    /// `push.allow` allows.
    #[schema(value_type = schema::Number)]
    to: Number,
    /// Only the call of this own device.
    #[schema(value_type = Option<schema::Number>)]
    from: Option<Number>,
}

/// Rings one of the extension's devices and gives it the extension's call when it is answered.
///
/// Until then the call goes on where it is. What became of it is told by `/v1/moves` and `/v1/events`.
#[utoipa::path(post, path = "/v1/extensions/{extension}/pull", tag = "moves", request_body = Pull,
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 202, description = "it rings", body = MoveDoc), Failures, Refusals),
    security(("token" = ["move"])))]
pub(crate) async fn pull(
    State(controller): State<Controller>,
    holder: Holder,
    Named(extension): Named,
    Body(Pull { to, from }): Body<Pull>,
) -> Result<(StatusCode, Json<MoveDoc>), Problem> {
    let kind = Kind::Pull;
    let request = OfferRequest {
        kind,
        extension,
        from,
        to,
    };
    offer(&controller, &holder, request).await
}

/// Rings a number and gives it the extension's call when it is answered.
///
/// Until then the call goes on where it is. What became of it is told by `/v1/moves` and `/v1/events`.
#[utoipa::path(post, path = "/v1/extensions/{extension}/push", tag = "moves", request_body = Push,
    params(("extension" = schema::ExtensionName, Path, description = "number@domain")),
    responses((status = 202, description = "it rings", body = MoveDoc), Failures, Refusals),
    security(("token" = ["move"])))]
pub(crate) async fn push(
    State(controller): State<Controller>,
    holder: Holder,
    Named(extension): Named,
    Body(Push { to, from }): Body<Push>,
) -> Result<(StatusCode, Json<MoveDoc>), Problem> {
    let kind = Kind::Push;
    let request = OfferRequest {
        kind,
        extension,
        from,
        to,
    };
    offer(&controller, &holder, request).await
}

async fn offer(
    controller: &Controller,
    holder: &Holder,
    request: OfferRequest,
) -> Result<(StatusCode, Json<MoveDoc>), Problem> {
    let actor = holder.may(Scope::Move)?;
    let kind = request.kind;
    let open = controller.offer(request).await?;
    info!(id = %open.id, extension = %open.extension, kind = kind.word(), to = open.to, by = %actor, "a call is offered");
    Ok((StatusCode::ACCEPTED, Json(MoveDoc::of(under_way(open)))))
}

/// Withdraws a move of the API that nobody has answered yet. The call goes on where it is.
#[utoipa::path(delete, path = "/v1/moves/{id}", tag = "moves",
    params(("id" = schema::MoveName, Path, description = "the move's id")),
    responses((status = 200, description = "nobody rings any more", body = MoveDoc), Failures, Refusals),
    security(("token" = ["move"])))]
pub(crate) async fn withdraw(
    State(controller): State<Controller>,
    holder: Holder,
    Named(id): Named<MoveId>,
) -> Result<Json<MoveDoc>, Problem> {
    let actor = holder.may(Scope::Move)?;
    let open = controller.withdraw(id).await?;
    info!(%id, by = %actor, "an offer was withdrawn");
    Ok(Json(MoveDoc::of(under_way(open))))
}

fn under_way(begun: OpenMove) -> PastMove {
    PastMove { begun, end: None }
}

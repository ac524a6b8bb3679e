//! The questions of dialplans, and what the command line and a monitor want to know.
//!
//! Owns the addresses and what stands in an answer. Refuses to believe whoever asks: a question names a channel, and the
//! controller asks the switch itself who that is. Listens on loopback only ([`crate::config::Http`]).
//!
//! | address | answer |
//! |---|---|
//! | `/freeswitch/<switch>/star/<uuid>` | `intercept <uuid> <codec or ->`, `beep`, or `refuse <cause>` |
//! | `/freeswitch/<switch>/hunt/<domain>/<uuid>` | a dial string; the domain counts for a call that has none of its own |
//! | `/asterisk/<switch>/star/<channel>` | `pull|<far channel>|<ringing channel or ->`, `beep`, or `refuse|<cause>` |
//! | `/asterisk/<switch>/hunt/<domain>/<channel>` | as above |
//! | `/freeswitch/<switch>/push/<uuid>` | `wait` or `ring` while the push of that leg goes on; else it takes its far end back |
//! | `/healthz`, `/readyz` | 200 while it runs; while a switch is fresh and the database answers |
//! | `/metrics` | OpenMetrics |
//! | `/v1/status`, `/v1/calls`, `/v1/why/<extension>` | JSON for the command line |
//!
//! A question without an answer is 404 or 503 with an empty body: the dialplan goes on with what it has.

use std::future::Future;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use callhop_calls::core::PushWord;
use callhop_calls::id::{ChannelId, ExtensionId, SwitchName};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::{debug, warn};

use crate::controller::{AskError, Controller, StarReply, view};

/// How many calls `/v1/calls` tells at most.
const MAX_CALLS: usize = 1000;

/// Answers until `shutdown` is done.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    controller: Controller,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(controller))
        .with_graceful_shutdown(shutdown)
        .await
}

fn router(controller: Controller) -> Router {
    Router::new()
        .route("/freeswitch/{switch}/star/{channel}", get(freeswitch_star))
        .route("/freeswitch/{switch}/hunt/{domain}/{channel}", get(hunt))
        .route("/freeswitch/{switch}/push/{channel}", get(push))
        .route("/asterisk/{switch}/star/{channel}", get(asterisk_star))
        .route("/asterisk/{switch}/hunt/{domain}/{channel}", get(hunt))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/calls", get(calls))
        .route("/v1/why/{extension}", get(why))
        .with_state(controller)
}

async fn freeswitch_star(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    star(controller, names, |reply| match reply {
        StarReply::Pull { far_leg, codec, .. } => {
            let codec = codec.filter(|codec| is_codec(codec));
            format!("intercept {far_leg} {}", codec.as_deref().unwrap_or("-"))
        }
        StarReply::Beep => "beep".to_owned(),
        StarReply::Refuse(cause) => format!("refuse {cause}"),
    })
    .await
}

async fn asterisk_star(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    star(controller, names, |reply| match reply {
        StarReply::Pull { far_leg, fork, .. } => {
            let fork = fork.map_or_else(|| "-".to_owned(), |fork| fork.to_string());
            format!("pull|{far_leg}|{fork}")
        }
        StarReply::Beep => "beep".to_owned(),
        StarReply::Refuse(cause) => format!("refuse|{cause}"),
    })
    .await
}

async fn star(
    State(controller): State<Controller>,
    Path((switch, channel)): Path<(String, String)>,
    words: fn(StarReply) -> String,
) -> Response {
    let Some((switch, channel)) = names(&switch, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // In a task of its own: when the switch stops waiting, the question is not torn off the command link.
    let asked = tokio::spawn(async move { controller.star(switch, channel).await });
    match asked.await {
        Ok(Ok(reply)) => words(reply).into_response(),
        Ok(Err(error)) => no_answer(error),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn hunt(
    State(controller): State<Controller>,
    Path((switch, domain, channel)): Path<(String, String, String)>,
) -> Response {
    let Some((switch, channel)) = names(&switch, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let metrics = controller.clone();
    // A dialplan that names no domain, or a bad one, still has its calls answered that bring their own.
    let domain = domain.parse().ok();
    let asked = tokio::spawn(async move { controller.hunt(switch, domain, channel).await });
    match asked.await {
        Ok(Ok(dial_string)) => dial_string.into_response(),
        Ok(Err(error)) => {
            metrics.metrics().hunt_failed();
            no_answer(error)
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn push(
    State(controller): State<Controller>,
    Path((switch, channel)): Path<(String, String)>,
) -> Response {
    let Some((switch, channel)) = names(&switch, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match controller.push(switch, channel).await {
        Some(PushWord::Wait) => "wait".into_response(),
        Some(PushWord::Ring) => "ring".into_response(),
        None => "back".into_response(),
    }
}

fn names(switch: &str, channel: &str) -> Option<(SwitchName, ChannelId)> {
    match (switch.parse(), channel.parse()) {
        (Ok(switch), Ok(channel)) => Some((switch, channel)),
        (Err(error), _) | (_, Err(error)) => {
            warn!(%error, "a question with a bad name was refused");
            None
        }
    }
}

/// Codec names as the dialplan takes them.
fn is_codec(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn no_answer(error: AskError) -> Response {
    let status = match error {
        AskError::UnknownSwitch(_) | AskError::UnknownChannel(..) | AskError::NotWaiting(_) => {
            warn!(%error, "a question was refused");
            StatusCode::NOT_FOUND
        }
        AskError::NoExtension => {
            debug!(%error, "a question has no answer");
            StatusCode::NOT_FOUND
        }
        AskError::Switch(_) | AskError::Ending => {
            let error = format!("{:#}", anyhow::Error::from(error));
            warn!(error, "a question could not be answered");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    status.into_response()
}

async fn ready(State(controller): State<Controller>) -> Response {
    let switches = controller
        .core()
        .view(|core, _| view::switches(core))
        .await
        .unwrap_or_default();
    let database = controller.database_is_ready().await;
    let ready = database && switches.iter().any(|switch| switch.fresh);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": ready, "database": database, "switches": switches })),
    )
        .into_response()
}

async fn metrics(State(controller): State<Controller>) -> Response {
    match controller.metrics().text() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(State(controller): State<Controller>) -> Response {
    let seen = controller
        .core()
        .view(|core, _| (view::switches(core), core.directory().extensions().count()))
        .await;
    let Some((switches, extensions)) = seen else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let database = controller.database_is_ready().await;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "database": database,
        "extensions": extensions,
        "switches": switches,
    }))
    .into_response()
}

async fn calls(State(controller): State<Controller>) -> Response {
    match controller
        .core()
        .view(|core, _| (view::switches(core), view::calls(core, MAX_CALLS)))
        .await
    {
        Some((switches, calls)) => {
            Json(json!({ "switches": switches, "calls": calls })).into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn why(State(controller): State<Controller>, Path(extension): Path<String>) -> Response {
    let Ok(id) = extension.parse::<ExtensionId>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    controller.bring_up_to_date().await;
    match controller
        .core()
        .view(move |core, _| view::why(core, &id))
        .await
    {
        Some(Some(views)) => {
            Json(json!({ "extension": extension, "switches": views })).into_response()
        }
        Some(None) => StatusCode::NOT_FOUND.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

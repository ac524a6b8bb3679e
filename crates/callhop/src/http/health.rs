//! What a monitor wants to know.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::App;
use crate::controller::{Controller, view};

/// Whether it runs, and whether it can do something: everybody may ask.
pub(super) fn probes() -> Router<App> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

/// The metrics.
pub(super) fn numbers() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn ready(State(controller): State<Controller>) -> Response {
    let links = controller.links();
    let switches = controller
        .core()
        .view(move |core, _| view::switches(core, &links))
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
    let seen = controller.core().view(|core, _| {
        let seen = core.switches().map(|(name, switch)| {
            let (legs, moves) = (switch.tracker().len(), switch.moves());
            (name.clone(), legs, moves)
        });
        seen.collect::<Vec<_>>()
    });
    for (switch, legs, moves) in seen.await.unwrap_or_default() {
        controller.metrics().seen(&switch, legs, moves);
    }
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

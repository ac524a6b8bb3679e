//! The questions of dialplans.
//!
//! Owns what stands in an answer. Refuses to believe whoever asks: a question names a channel, and the controller asks the
//! switch itself who that is. So a question needs no token, and gets none of what the API limits.

use std::future::Future;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use callhop_calls::core::PushWord;
use callhop_calls::id::{ChannelId, SwitchName};
use tracing::{debug, warn};

use super::App;
use crate::controller::{AskError, Controller, StarReply};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/freeswitch/{switch}/star/{channel}", get(freeswitch_star))
        .route("/freeswitch/{switch}/hunt/{domain}/{channel}", get(hunt))
        .route("/freeswitch/{switch}/push/{channel}", get(push))
        .route("/freeswitch/{switch}/take/{channel}", get(freeswitch_take))
        .route("/asterisk/{switch}/star/{channel}", get(asterisk_star))
        .route("/asterisk/{switch}/take/{channel}", get(asterisk_take))
        .route("/asterisk/{switch}/hunt/{domain}/{channel}", get(hunt))
}

async fn freeswitch_star(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    reply(names, freeswitch_words, move |switch, channel| async move {
        controller.star(switch, channel).await
    })
    .await
}

async fn freeswitch_take(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    reply(names, freeswitch_words, move |switch, channel| async move {
        controller.take(switch, channel).await
    })
    .await
}

async fn asterisk_star(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    reply(names, asterisk_words, move |switch, channel| async move {
        controller.star(switch, channel).await
    })
    .await
}

async fn asterisk_take(controller: State<Controller>, names: Path<(String, String)>) -> Response {
    reply(names, asterisk_words, move |switch, channel| async move {
        controller.take(switch, channel).await
    })
    .await
}

fn freeswitch_words(reply: StarReply) -> String {
    match reply {
        StarReply::Pull { far_leg, codec, .. } => {
            let codec = codec.filter(|codec| is_codec(codec));
            format!("intercept {far_leg} {}", codec.as_deref().unwrap_or("-"))
        }
        StarReply::Beep => "beep".to_owned(),
        StarReply::Refuse(cause) => format!("refuse {cause}"),
    }
}

fn asterisk_words(reply: StarReply) -> String {
    match reply {
        StarReply::Pull { far_leg, fork, .. } => {
            let fork = fork.map_or_else(|| "-".to_owned(), |fork| fork.to_string());
            format!("pull|{far_leg}|{fork}")
        }
        StarReply::Beep => "beep".to_owned(),
        StarReply::Refuse(cause) => format!("refuse|{cause}"),
    }
}

async fn reply<A>(
    Path((switch, channel)): Path<(String, String)>,
    words: fn(StarReply) -> String,
    ask: impl FnOnce(SwitchName, ChannelId) -> A,
) -> Response
where
    A: Future<Output = Result<StarReply, AskError>> + Send + 'static,
{
    let Some((switch, channel)) = names(&switch, &channel) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // In a task of its own: when the switch stops waiting, the question is not torn off the command link.
    match tokio::spawn(ask(switch, channel)).await {
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
        AskError::UnknownSwitch(_)
        | AskError::UnknownChannel(..)
        | AskError::NotWaiting(_)
        | AskError::NotOffered(_) => {
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

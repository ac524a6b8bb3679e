//! The desk over HTTP, beside the page.
//!
//! | address | what |
//! |---|---|
//! | `GET /demo/phones` | all phones, as JSON |
//! | `GET /demo/events` | the same as server-sent events named `desk`, whole, now and whenever something changes |
//! | `POST /demo/phones/<id>/dial` | `{"number": "*33"}` |
//! | `POST /demo/phones/<id>/digits` | `{"digits": "*9"}`, in a call |
//! | `POST /demo/phones/<id>/answer`, `hang-up`, `hold`, `resume` | `{}` |
//! | `/desk.js`, `/desk.css` | what the page loads in the demo |
//!
//! `"call"` in a body names one of several calls. Whoever acts needs a token with the scope `move`, and passes the checks of the
//! API (`http/auth.rs`).

use std::convert::Infallible;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use callhop_store::Scope;
use futures::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::desk::{Act, ActError, Desk};
use super::words::Shown;
use crate::http::{Beside, Body, Holder, Problem};

/// What the page loads besides. The script comes before the page's own: it takes the token out of the address.
const HEAD: &str =
    "<link rel=\"stylesheet\" href=\"/desk.css\">\n<script src=\"/desk.js\" defer></script>\n";

/// The desk beside the page.
pub(super) fn beside(desk: Desk) -> Beside {
    let script = include_str!("../http/page/desk.js");
    let style = include_str!("../http/page/desk.css");
    let file = |kind, text| move || async move { ([(header::CONTENT_TYPE, kind)], text) };
    let router = Router::new()
        .route("/demo/phones", get(phones))
        .route("/demo/events", get(events))
        .route("/demo/phones/{id}/{act}", post(act))
        .route(
            "/desk.js",
            get(file("text/javascript; charset=utf-8", script)),
        )
        .route("/desk.css", get(file("text/css; charset=utf-8", style)))
        .with_state(desk);
    Beside { head: HEAD, router }
}

#[derive(Debug, Serialize)]
struct Phones {
    phones: Vec<Shown>,
}

async fn phones(State(desk): State<Desk>) -> Json<Phones> {
    let phones = desk.shown().borrow().clone();
    Json(Phones { phones })
}

async fn events(
    State(desk): State<Desk>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let mut shown = desk.shown();
    shown.mark_changed();
    Sse::new(futures::stream::unfold(shown, next)).keep_alive(KeepAlive::default())
}

async fn next(
    mut shown: watch::Receiver<Vec<Shown>>,
) -> Option<(Result<Event, Infallible>, watch::Receiver<Vec<Shown>>)> {
    shown.changed().await.ok()?;
    let phones = shown.borrow_and_update().clone();
    // It is plain data; should it ever not be, the stream ends and the page asks again.
    let event = Event::default()
        .event("desk")
        .json_data(Phones { phones })
        .ok()?;
    Some((Ok(event), shown))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    call: Option<String>,
    number: Option<String>,
    digits: Option<String>,
}

async fn act(
    holder: Holder,
    State(desk): State<Desk>,
    Path((id, act)): Path<(String, String)>,
    Body(wanted): Body<Wanted>,
) -> Result<StatusCode, Problem> {
    holder.may(Scope::Move)?;
    let Wanted {
        call,
        number,
        digits,
    } = &wanted;
    let act = match (act.as_str(), number, digits) {
        ("dial", Some(number), None) => Act::Dial(number),
        ("dial", ..) => return Err(Problem::bad("dial wants a number, and nothing else")),
        ("digits", None, Some(digits)) => Act::Digits(digits),
        ("digits", ..) => return Err(Problem::bad("digits wants digits, and nothing else")),
        ("answer", None, None) => Act::Answer,
        ("hang-up", None, None) => Act::HangUp,
        ("hold", None, None) => Act::Hold,
        ("resume", None, None) => Act::Resume,
        ("answer" | "hang-up" | "hold" | "resume", ..) => {
            return Err(Problem::bad("this wants neither a number nor digits"));
        }
        (other, ..) => {
            let known = "dial, digits, answer, hang-up, hold, resume";
            let text = format!("{other:?} is nothing that a phone can do; it can {known}");
            return Err(Problem::not_found(text));
        }
    };
    let done = desk.act(&id, act, call.as_deref()).await;
    match done {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ ActError::NoPhone(_)) => Err(Problem::not_found(error.to_string())),
        Err(error @ ActError::NotDiallable(_)) => Err(Problem::bad(error.to_string())),
        Err(error @ ActError::Phone(_)) => Err(Problem::refused(error.to_string())),
    }
}

//! What is asked over HTTP: by dialplans, monitors, the command line, other programs, and people with a browser.
//!
//! Owns the addresses and the limits. Listens on loopback only ([`crate::config::Http`]).
//!
//! | address | answer | file |
//! |---|---|---|
//! | `/freeswitch/<switch>/star/<uuid>` | `intercept <uuid> <codec or ->`, `beep`, or `refuse <cause>` | `questions.rs` |
//! | `/freeswitch/<switch>/take/<uuid>` | the same for a leg that rang for an offer and was answered, without `beep` | |
//! | `/freeswitch/<switch>/hunt/<domain>/<uuid>` | a dial string; the domain counts for a call that has none of its own | |
//! | `/asterisk/<switch>/star/<channel>` | `pull|<far channel>|<ringing channel or ->`, `beep`, or `refuse|<cause>` | |
//! | `/asterisk/<switch>/take/<channel>` | the same for an answered offer | |
//! | `/asterisk/<switch>/hunt/<domain>/<channel>` | as above | |
//! | `/freeswitch/<switch>/push/<uuid>` | `wait` or `ring` while the push of that leg goes on; else it takes its far end back | |
//! | `/healthz`, `/readyz` | 200 while it runs; while a switch is fresh and the database answers | `health.rs` |
//! | `/metrics` | OpenMetrics | |
//! | `/v1/...` | JSON; `/v1/openapi.json` says what | `api/` |
//! | `/v1/events` | server-sent events: what the page shows, and what changes of it | `events.rs` |
//! | `/` | the page | `page.rs` |
//! | whatever else a program that runs the controller inside itself puts beside that | | [`Beside`] |
//!
//! A question without an answer is 404 or 503 with an empty body: the dialplan goes on with what it has.

mod api;
mod auth;
mod events;
mod health;
mod limits;
mod page;
mod questions;
pub(crate) mod schema;

use std::future::Future;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::controller::{Controller, News};

pub(crate) use api::{Body, Problem};
pub(crate) use auth::{Holder, NewToken};
use events::Events;

/// What is served beside the API and the page, behind the same checks as these.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Goes into the head of the page, before everything that the page loads itself.
    pub(crate) head: &'static str,
    /// Its addresses.
    pub(crate) router: Router,
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct App {
    controller: Controller,
    events: Events,
}

impl FromRef<App> for Controller {
    fn from_ref(app: &App) -> Self {
        app.controller.clone()
    }
}

/// Answers until `shutdown` is done.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    controller: Controller,
    news: watch::Receiver<News>,
    beside: Beside,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let events = Events::start(controller.clone(), news);
    let app = App { controller, events };
    limits::serve(listener, router(app, beside), shutdown).await
}

fn router(app: App, beside: Beside) -> Router {
    let (api, document) = api::router();
    let guard = from_fn_with_state(app.controller.clone(), auth::guard);
    let people = api
        .merge(page::router(beside.head))
        .merge(api::document(document))
        .merge(beside.router.with_state(()));
    // The outer ones come first: a request has its turn before anything is looked up for it.
    let people = limits::headers(limits::requests(people.layer(guard)));
    Router::new()
        .merge(questions::router())
        .merge(health::router())
        .merge(people)
        .fallback(api::nowhere)
        .with_state(app)
}

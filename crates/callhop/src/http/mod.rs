//! What is asked over HTTP: by dialplans, monitors, the command line, other programs, and people with a browser.
//!
//! Owns the addresses and the limits. Listens on loopback ([`crate::config::Http`]), and where the admin wants it on another
//! address too ([`crate::config::Public`]): there a token is needed for everything but the page's files, `/healthz` and `/readyz`,
//! and no dialplan is answered.
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
mod clients;
mod events;
mod health;
mod limits;
mod page;
mod questions;
pub(crate) mod schema;
mod tls;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::config::Public;
use crate::controller::{Controller, News};

pub(crate) use api::{Body, MoveDoc, Problem, RouteDoc};
use auth::{Gate, Guard};
pub(crate) use auth::{Holder, NewToken};
use clients::Clients;
use events::Events;
use limits::Door;
use tls::Tls;

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

/// A listener for other machines, and what it needs.
#[derive(Debug)]
pub(crate) struct PublicListener {
    listener: TcpListener,
    names: Vec<String>,
    tls: Option<Arc<Tls>>,
}

impl PublicListener {
    /// Listens; nobody is answered yet.
    ///
    /// # Errors
    /// The address is taken, or its certificate cannot be used.
    pub(crate) async fn bind(public: &Public) -> anyhow::Result<Self> {
        let tls = match &public.tls {
            Some(files) => Some(Arc::new(Tls::read(files)?)),
            None => None,
        };
        let listen = public.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("http.public.listen: can't listen on {listen}"))?;
        info!(%listen, tls = tls.is_some(), "other machines may ask, with a token");
        Ok(Self {
            listener,
            names: public.names.clone(),
            tls,
        })
    }
}

/// Answers until `shutdown` is done.
///
/// # Errors
/// A listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    public: Option<PublicListener>,
    controller: Controller,
    news: watch::Receiver<News>,
    beside: Beside,
    shutdown: impl Future<Output = ()> + Clone + Send + 'static,
) -> std::io::Result<()> {
    let events = Events::start(controller.clone(), news);
    let app = App { controller, events };
    let local = limits::serve(
        listener,
        Door::Local,
        local(app.clone(), beside),
        shutdown.clone(),
    );
    let Some(PublicListener {
        listener,
        names,
        tls,
    }) = public
    else {
        return local.await;
    };
    if let Some(tls) = tls.clone() {
        tokio::spawn(tls.follow());
    }
    // Behind a proxy a page's scheme is the proxy's.
    let schemes: &[&str] = match tls {
        Some(_) => &["https://"],
        None => &["https://", "http://"],
    };
    let router = public_router(app, Gate::Public { names, schemes });
    let clients = Clients::default();
    let public = limits::serve(listener, Door::Public { tls, clients }, router, shutdown);
    tokio::try_join!(local, public).map(drop)
}

/// For this machine.
fn local(app: App, beside: Beside) -> Router {
    let open = questions::router()
        .merge(health::probes())
        .merge(health::numbers());
    guarded(&app, Gate::Local, beside)
        .merge(open)
        .fallback(api::nowhere)
        .with_state(app)
}

/// For other machines: no dialplan asks here.
fn public_router(app: App, gate: Gate) -> Router {
    guarded(&app, gate, Beside::default())
        .merge(health::probes())
        .fallback(api::nowhere)
        .with_state(app)
}

/// What people and programs ask, behind all checks.
fn guarded(app: &App, gate: Gate, beside: Beside) -> Router<App> {
    let (api, document) = api::router();
    let mut people = api
        .merge(page::router(beside.head))
        .merge(api::document(document))
        .merge(beside.router.with_state(()));
    if matches!(gate, Gate::Public { .. }) {
        people = people.merge(health::numbers());
    }
    let guard = Guard {
        controller: app.controller.clone(),
        gate: Arc::new(gate),
    };
    let guard = from_fn_with_state(guard, auth::guard);
    // The outer ones come first: a request has its turn before anything is looked up for it.
    limits::headers(limits::requests(people.layer(guard)))
}

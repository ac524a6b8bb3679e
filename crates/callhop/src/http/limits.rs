//! What one program may ask of the server: connections, time, rate, size; and what a browser is told to keep out.
//!
//! Owns the accept loops. Refuses at once instead of letting wait: a dialplan whose question is refused goes on with what it has.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::App;
use super::api::Problem;
use super::clients::{Bucket, Client, Clients, Rate};
use super::tls::Tls;

/// How many connections there may be at a time.
const CONNECTIONS: usize = 1024;

/// How long a client may take to send the head of a request, the first one and each further one on its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request to the API may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How large the body of a request may be. The largest that means something has some 2 KiB.
const BODY: usize = 64 * 1024;

/// How many requests to the API and the page are answered in a second, of all clients together, and how many at once after a
/// pause.
const RATE: f64 = 2000.0;

/// How long connections have to end when the program does.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a listener is for.
#[derive(Debug)]
pub(super) enum Door {
    /// Dialplans, monitors, and whoever has this machine.
    Local,
    /// Other machines.
    Public {
        /// None if a proxy does it. Then every client has the proxy's address, and what one may ask is the proxy's to say.
        tls: Option<Arc<Tls>>,
        clients: Clients,
    },
}

/// On which connection a request came.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Who asks, where that is counted.
    pub(super) client: Option<Arc<Client>>,
    /// The address that was connected to.
    pub(super) own: Option<IpAddr>,
}

/// Answers on the listener until `shutdown` is done.
pub(super) async fn serve(
    listener: TcpListener,
    door: Door,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                // Out of file descriptors, say: not at once again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            warn!("a connection was closed: there are {CONNECTIONS} already");
            continue;
        };
        let (tls, client) = match &door {
            Door::Public {
                tls: Some(tls),
                clients,
            } => {
                let Some(client) = clients.connect(peer.ip(), Instant::now()) else {
                    debug!(%peer, "a connection was closed: its address has too many");
                    continue;
                };
                (Some(tls.clone()), Some(Arc::new(client)))
            }
            Door::Public { tls: None, .. } | Door::Local => (None, None),
        };
        // The answers are short, and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let own = stream
            .local_addr()
            .ok()
            .map(|address| address.ip().to_canonical());
        let connection = Connection { client, own };
        let (router, watcher) = (router.clone(), graceful.watcher());
        tokio::spawn(async move {
            match tls {
                None => answer(stream, connection, router, watcher).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => answer(stream, connection, router, watcher).await,
                    Err(error) => debug!(%peer, %error, "a connection came to no TLS"),
                },
            }
            drop(slot);
        });
    }
    // Open pages would stay for ever.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    Ok(())
}

/// Answers what comes on one connection.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    connection: Connection,
    router: Router,
    watcher: Watcher,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "a connection ended early");
    }
}

/// Bounds each request in size, time and number.
pub(super) fn requests(router: Router<App>) -> Router<App> {
    let rate = Rate::new(RATE, Duration::from_secs(1));
    let bucket = Arc::new(Mutex::new(Bucket::full(rate, Instant::now())));
    router
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(bucket, in_turn))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}

async fn in_turn(
    State(bucket): State<Arc<Mutex<Bucket>>>,
    request: Request,
    next: Next,
) -> Response {
    let now = Instant::now();
    let connection = request.extensions().get::<Connection>();
    let client = connection.and_then(|connection| connection.client.as_ref());
    // Who asks too much takes nothing of what all have.
    if client.is_some_and(|client| !client.take_turn(now)) {
        return Problem::too_many("this address asks too often").into_response();
    }
    let taken = {
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now)
    };
    if taken {
        next.run(request).await
    } else {
        Problem::too_many(format!("at most {RATE} requests a second are answered")).into_response()
    }
}

/// What a browser may do with an answer: nothing but show the page, with nothing from elsewhere.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Puts the headers for browsers on each answer.
pub(super) fn headers(router: Router<App>) -> Router<App> {
    router.layer(from_fn(async |request: Request, next: Next| {
        let mut response = next.run(request).await;
        for (name, value) in HEADERS {
            let headers = response.headers_mut();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }))
}

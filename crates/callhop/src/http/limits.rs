//! What one program may ask of the server: connections, time, rate, size; and what a browser is told to keep out.
//!
//! Owns the accept loop. Refuses at once instead of letting wait: a dialplan whose question is refused goes on with what it has.

use std::future::Future;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::App;
use super::api::Problem;

/// How many connections there may be at a time.
const CONNECTIONS: usize = 1024;

/// How long a client may take to send the head of a request, the first one and each further one on its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request to the API may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How large the body of a request may be. The largest that means something has some 2 KiB.
const BODY: usize = 64 * 1024;

/// How many requests to the API and the page are answered in a second, and how many at once after a pause.
const RATE: f64 = 2000.0;

/// How long connections have to end when the program does.
const FAREWELL: Duration = Duration::from_secs(1);

/// Answers on the listener until `shutdown` is done.
pub(super) async fn serve(
    listener: TcpListener,
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
        let stream = match accepted {
            Ok((stream, _)) => stream,
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
        // The answers are short, and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    // Open pages would stay for ever.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    Ok(())
}

/// Bounds each request in size, time and number.
pub(super) fn requests(router: Router<App>) -> Router<App> {
    let bucket = Arc::new(Mutex::new(Bucket::full(Instant::now())));
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
    let taken = {
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(Instant::now())
    };
    if taken {
        next.run(request).await
    } else {
        Problem::too_many(format!("at most {RATE} requests a second are answered")).into_response()
    }
}

/// Fills with [`RATE`] a second, and holds as much as comes in one.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self {
            level: RATE,
            at: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + since * RATE).min(RATE);
        self.at = now;
        if self.level < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let taken = |bucket: &mut Bucket, at| (0..5000).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 2000);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(taken(&mut bucket, at(100)), 200);
        assert_eq!(taken(&mut bucket, at(60_000)), 2000);
        // The clock of another core may be behind.
        assert_eq!(taken(&mut bucket, at(50_000)), 0);
    }
}

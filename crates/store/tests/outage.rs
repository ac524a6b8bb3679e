//! Databases that are down, frozen, locked or cut off in the middle of a commit.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use callhop_calls::{
    directory::{Route, RouteEnd, RouteTarget},
    id::{ExtensionId, UnixTime},
};
use callhop_store::{
    Actor, DatabaseError, OpenError, Options, Revision, SetRouteError, Store, open,
    testing::Postgres,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

mod common;

use common::Place;

const NOW: UnixTime = UnixTime(1_700_000_000);

/// Short, for tests that wait for it. Far longer than an operation takes on a busy machine.
fn impatient() -> Options {
    Options {
        timeout: Duration::from_millis(700),
        ..Options::default()
    }
}

fn person() -> ExtensionId {
    "1000@lab.test".parse().unwrap()
}

fn route(device: &str) -> Route {
    Route {
        target: RouteTarget::Device(device.parse().unwrap()),
        end: RouteEnd::Never,
    }
}

async fn add(store: &Arc<dyn Store>) -> Revision {
    let devices = ["1001".parse().unwrap(), "1002".parse().unwrap()];
    store
        .add_extension(&person(), &devices, &Actor::Controller, NOW)
        .await
        .unwrap()
}

async fn set(store: &Arc<dyn Store>, device: &str) -> Result<Revision, DatabaseError> {
    match store
        .set_route(&person(), &route(device), &Actor::Controller, NOW)
        .await
    {
        Ok(revision) => Ok(revision),
        Err(SetRouteError::Database(error)) => Err(error),
        Err(refused) => panic!("{refused}"),
    }
}

async fn current(store: &Arc<dyn Store>) -> Option<Route> {
    store.extension(&person()).await.unwrap().unwrap().route
}

/// Whether everything says within the time-out, and a little for a busy machine, that the database is not available.
async fn expect_unavailable(store: &Arc<dyn Store>, known: Revision, options: &Options) {
    let began = Instant::now();
    let errors = [
        store.changes_since(known).await.err(),
        store.load().await.err(),
        set(store, "1001@lab.test").await.err(),
    ];
    let took = began.elapsed();
    for error in errors {
        assert!(error.as_ref().unwrap().is_unavailable(), "{error:?}");
    }
    assert!(
        took < options.timeout * 3 + Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_crashed_server_is_unavailable_and_then_back_without_opening_again() {
    let cluster = Postgres::start().unwrap();
    let place = common::postgres_on(&cluster);
    let options = Options::default();
    let store = open(&place.url, options.clone()).await.unwrap();
    add(&store).await;
    let known = set(&store, "1002@lab.test").await.unwrap();

    cluster.crash().unwrap();
    let began = Instant::now();
    expect_unavailable(&store, known, &options).await;
    // A refused connection is told at once; it is not waited out.
    assert!(began.elapsed() < options.timeout, "{:?}", began.elapsed());
    let error = open(&place.url, options.clone()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");

    cluster.restart().unwrap();
    assert!(store.changes_since(known).await.unwrap().is_empty());
    assert_eq!(current(&store).await, Some(route("1002@lab.test")));
    set(&store, "1001@lab.test").await.unwrap();

    // A restart between two operations is not seen at all, by none of the idle connections.
    cluster.crash().unwrap();
    cluster.restart().unwrap();
    let (read, written) = tokio::join!(store.load(), set(&store, "1002@lab.test"));
    assert_eq!(read.unwrap().extensions.len(), 1);
    written.unwrap();
}

#[tokio::test]
async fn a_frozen_server_costs_the_time_out_and_no_more() {
    let cluster = Postgres::start().unwrap();
    let place = common::postgres_on(&cluster);
    let store = open(&place.url, impatient()).await.unwrap();
    add(&store).await;
    let known = set(&store, "1002@lab.test").await.unwrap();

    cluster.freeze().unwrap();
    expect_unavailable(&store, known, &impatient()).await;
    let error = open(&place.url, impatient()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");

    // The last write may have been sent before the server slept: what it does with it is its affair, the order holds.
    cluster.thaw().unwrap();
    let revision = set(&store, "1001@lab.test").await.unwrap();
    assert!(store.revision().await.unwrap() >= revision);
    assert_eq!(current(&store).await, Some(route("1001@lab.test")));
}

async fn a_lock_that_somebody_holds_stops_writers_for_the_time_out_and_no_reader(
    place: Place,
    lock: &[&str],
) {
    let store = open(&place.url, impatient()).await.unwrap();
    let known = add(&store).await;
    let mut hand = place.hand().await;
    for sql in lock {
        hand.execute(sql).await.unwrap();
    }
    let error = set(&store, "1001@lab.test").await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!matches!(error, DatabaseError::OutcomeUnknown { .. }));
    assert!(store.changes_since(known).await.unwrap().is_empty());
    assert_eq!(current(&store).await, None);
    hand.execute("ROLLBACK").await.unwrap();
    set(&store, "1001@lab.test").await.unwrap();
}

#[tokio::test]
async fn a_locked_file() {
    a_lock_that_somebody_holds_stops_writers_for_the_time_out_and_no_reader(
        common::sqlite(),
        &["BEGIN IMMEDIATE", "UPDATE revision SET revision = 99"],
    )
    .await;
}

#[tokio::test]
async fn a_locked_row() {
    a_lock_that_somebody_holds_stops_writers_for_the_time_out_and_no_reader(
        common::postgres(),
        &["BEGIN", "UPDATE revision SET revision = 99"],
    )
    .await;
}

/// What a [`cutting_proxy`] does when a commit passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Ends the connection before the server has it.
    Before,
    /// Ends the connection after the server has answered it.
    After,
    /// Leaves both ends waiting for ever, as a client does that is frozen before it sends it.
    Never,
}

/// Stands before a server and answers a port. While `armed`, a COMMIT does not get through it.
async fn cutting_proxy(server: u16, cut: Cut, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            tokio::spawn(relay(client, server, cut, Arc::clone(&armed)));
        }
    });
    port
}

async fn relay(mut client: TcpStream, mut server: TcpStream, cut: Cut, armed: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let mut committing = false;
    loop {
        tokio::select! {
            length = client.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                // A message of the simple protocol is sent in one piece over loopback.
                committing = armed.load(Ordering::SeqCst)
                    && asked[..length].windows(6).any(|bytes| bytes == b"COMMIT");
                if committing && cut == Cut::Never {
                    std::future::pending::<()>().await;
                }
                if committing && cut == Cut::Before || server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            length = server.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if committing || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A database, and an URL that leads to it through a [`cutting_proxy`].
async fn behind_a_proxy(cut: Cut) -> (Place, String, Arc<AtomicBool>) {
    let place = common::postgres();
    let (before, after) = place.url.rsplit_once(':').unwrap();
    let (port, database) = after.split_once('/').unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let proxy = cutting_proxy(port.parse().unwrap(), cut, Arc::clone(&armed)).await;
    let url = format!("{before}:{proxy}/{database}");
    (place, url, armed)
}

async fn a_commit_that_is_cut_off_is_unknown_and_what_is_read_afterwards_tells(cut: Cut) {
    let (_place, url, armed) = behind_a_proxy(cut).await;
    let store = open(&url, Options::default()).await.unwrap();
    let known = add(&store).await;

    armed.store(true, Ordering::SeqCst);
    let error = set(&store, "1001@lab.test").await.unwrap_err();
    assert!(
        matches!(error, DatabaseError::OutcomeUnknown { .. }),
        "{error:?}"
    );
    armed.store(false, Ordering::SeqCst);
    let changes = store.changes_since(known).await.unwrap();
    assert_eq!(changes.is_empty(), cut == Cut::Before);
    let expected = (cut == Cut::After).then(|| route("1001@lab.test"));
    assert_eq!(current(&store).await, expected);
    set(&store, "1002@lab.test").await.unwrap();
}

#[tokio::test]
async fn a_commit_that_was_cut_off_before_the_server_had_it() {
    a_commit_that_is_cut_off_is_unknown_and_what_is_read_afterwards_tells(Cut::Before).await;
}

#[tokio::test]
async fn a_commit_that_was_cut_off_after_the_server_did_it() {
    a_commit_that_is_cut_off_is_unknown_and_what_is_read_afterwards_tells(Cut::After).await;
}

#[tokio::test]
async fn a_controller_that_is_frozen_inside_a_transaction_holds_up_the_others_for_one_time_out() {
    let (place, url, armed) = behind_a_proxy(Cut::Never).await;
    let frozen = open(&url, impatient()).await.unwrap();
    let other = open(&place.url, impatient()).await.unwrap();
    add(&frozen).await;
    armed.store(true, Ordering::SeqCst);
    let error = set(&frozen, "1001@lab.test").await.unwrap_err();
    assert!(
        matches!(error, DatabaseError::OutcomeUnknown { .. }),
        "{error:?}"
    );
    // Its connection to the server is still open, in the middle of the transaction that holds the revision.
    set(&other, "1002@lab.test").await.unwrap();
    assert_eq!(current(&other).await, Some(route("1002@lab.test")));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://callhop:x@127.0.0.1:{port}/callhop");
    let began = Instant::now();
    let error = open(&url, impatient()).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Unavailable {
                source: DatabaseError::Timeout { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(began.elapsed() < impatient().timeout + Duration::from_secs(1));
}

async fn an_operation_that_is_dropped_leaves_a_store_that_works(place: Place) {
    let store = place.open().await;
    add(&store).await;
    for turns in 0..40 {
        // Polled a number of times and then dropped: at each await in turn.
        let device = ["1001@lab.test", "1002@lab.test"][turns % 2];
        let mut write = std::pin::pin!(set(&store, device));
        let mut read = std::pin::pin!(store.load());
        for _ in 0..turns {
            tokio::select! {
                biased;
                _ = &mut write => break,
                _ = &mut read => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    set(&store, "1001@lab.test").await.unwrap();
    set(&store, "1002@lab.test").await.unwrap();
    assert_eq!(current(&store).await, Some(route("1002@lab.test")));
    let history = store.history(&person(), 1000).await.unwrap();
    assert!(
        history
            .windows(2)
            .all(|pair| pair[0].before == pair[1].after)
    );
}

#[tokio::test]
async fn dropped_operations_on_a_file() {
    an_operation_that_is_dropped_leaves_a_store_that_works(common::sqlite()).await;
}

#[tokio::test]
async fn dropped_operations_on_a_postgres() {
    an_operation_that_is_dropped_leaves_a_store_that_works(common::postgres()).await;
}

//! What a look at the store adds to an inbound call: 10,000 extensions with three devices each, median and 99th percentile.
//!
//! `cargo bench -p callhop-store` prints the numbers beside the bare query of the same driver on one open connection. Neither
//! is a test.

use std::{sync::Arc, time::Duration};

use callhop_calls::{
    directory::{Route, RouteEnd, RouteTarget},
    id::{DeviceId, ExtensionId, Number, UnixTime},
};
use callhop_store::{Actor, Options, Store, open, testing::Postgres};
use sqlx::{Connection, PgConnection, SqliteConnection};
use tokio::time::Instant;

const EXTENSIONS: usize = 10_000;
const READS: usize = 20_000;
const WRITES: usize = 500;
const NOW: UnixTime = UnixTime(1_700_000_000);

type Failure = Box<dyn std::error::Error>;

fn person(number: usize) -> Result<ExtensionId, Failure> {
    Ok(format!("{number}@lab.test").parse()?)
}

fn device(number: usize, place: usize) -> Result<Number, Failure> {
    Ok(format!("d{number}-{place}").parse()?)
}

fn print(database: &str, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1e6;
    println!(
        "{database:<20} {what:<46} median {:>9.1} µs   p99 {:>9.1} µs   p99.9 {:>9.1} µs",
        at(500),
        at(990),
        at(999)
    );
}

async fn measure(database: &str, store: Arc<dyn Store>) -> Result<(), Failure> {
    for number in 0..EXTENSIONS {
        let devices = [device(number, 1)?, device(number, 2)?, device(number, 3)?];
        store
            .add_extension(&person(number)?, &devices, &Actor::Controller, NOW)
            .await?;
    }
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        let loaded = store.load().await?;
        times.push(began.elapsed());
        assert_eq!(loaded.extensions.len(), EXTENSIONS);
    }
    print(database, "load of everything", times);

    let mut known = store.revision().await?;
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let began = Instant::now();
        let changes = store.changes_since(known).await?;
        times.push(began.elapsed());
        assert!(changes.is_empty());
    }
    print(database, "changes_since, nothing changed", times);

    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for number in 0..WRITES {
        let id = person(number * 7)?;
        let target = DeviceId::new(device(number * 7, 2)?, id.domain.clone());
        let route = Route {
            target: RouteTarget::Device(target),
            end: RouteEnd::Never,
        };
        let began = Instant::now();
        store
            .set_route(&id, &route, &Actor::Controller, NOW)
            .await?;
        writes.push(began.elapsed());
        let began = Instant::now();
        let changes = store.changes_since(known).await?;
        reads.push(began.elapsed());
        assert_eq!(changes.changed.len(), 1);
        known = changes.revision;
    }
    print(database, "set_route, committed", writes);
    print(database, "changes_since, one route changed", reads);
    Ok(())
}

/// The floor: the same statement on one connection that is never anything but free.
macro_rules! measure_bare {
    ($database:expr, $connection:expr) => {{
        let mut connection = $connection;
        let mut times = Vec::with_capacity(READS);
        for _ in 0..READS {
            let began = Instant::now();
            let _: i64 = sqlx::query_scalar("SELECT revision FROM revision")
                .fetch_one(&mut connection)
                .await?;
            times.push(began.elapsed());
        }
        print($database, "the bare query of the driver", times);
    }};
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/callhop.db", folder.path().display());
    let store = open(&url, Options::default()).await?;
    measure("SQLite", store).await?;
    measure_bare!("SQLite", SqliteConnection::connect(&url).await?);

    let cluster = Postgres::start()?;
    for (name, socket) in [("PostgreSQL, TCP", false), ("PostgreSQL, socket", true)] {
        let mut url = cluster.database()?;
        if socket {
            url = cluster.over_socket(&url);
        }
        let store = open(&url, Options::default()).await?;
        measure(name, store).await?;
        measure_bare!(name, PgConnection::connect(&url).await?);
    }
    Ok(())
}

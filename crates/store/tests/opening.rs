//! From a URL to a store: migrations, starts at the same time, and databases that are refused.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::{error::Error, str::FromStr, sync::Arc, time::Duration};

use callhop_calls::id::UnixTime;
use callhop_store::{Actor, OpenError, Options, Store, open, testing::PASSWORD};
use sqlx::{ConnectOptions, Executor, sqlite::SqliteConnectOptions};

mod common;

use common::Place;

async fn add(store: &Arc<dyn Store>) {
    let devices = ["1001".parse().unwrap()];
    store
        .add_extension(
            &"1000@lab.test".parse().unwrap(),
            &devices,
            &Actor::Controller,
            UnixTime(1),
        )
        .await
        .unwrap();
}

async fn refusal(url: &str) -> OpenError {
    open(url, Options::default()).await.unwrap_err()
}

/// All that a log could show of an error.
fn everything(error: &dyn Error) -> String {
    let mut text = format!("{error:?}");
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        text.push_str(&format!("\n{error}"));
        next = error.source();
    }
    text
}

async fn what_was_written_is_there_after_it_was_opened_again(place: Place) {
    let store = place.open().await;
    add(&store).await;
    store.close().await;
    drop(store);
    let store = place.open().await;
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.revision.get(), 1);
    assert_eq!(snapshot.extensions.len(), 1);
}

#[tokio::test]
async fn a_file_is_there_after_it_was_opened_again() {
    what_was_written_is_there_after_it_was_opened_again(common::sqlite()).await;
}

#[tokio::test]
async fn a_database_is_there_after_it_was_opened_again() {
    what_was_written_is_there_after_it_was_opened_again(common::postgres()).await;
}

async fn eight_starts_at_once_all_succeed(place: Place) {
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = place.url.clone();
        starts.spawn(async move { open(&url, Options::default()).await });
    }
    for store in starts.join_all().await {
        assert_eq!(store.unwrap().revision().await.unwrap().get(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_starts_on_a_new_file() {
    for _ in 0..5 {
        eight_starts_at_once_all_succeed(common::sqlite()).await;
    }
}

/// SQLite itself does not wait there: see `connect_in_wal`.
#[tokio::test]
async fn a_start_waits_for_whoever_writes_to_a_new_file() {
    let place = common::sqlite();
    let file = SqliteConnectOptions::from_str(&place.url).unwrap();
    let mut other = file.create_if_missing(true).connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut start = Box::pin(open(&place.url, Options::default()));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut start).await;
    assert!(early.is_err(), "{:?}", early.map(|store| store.is_ok()));
    other.execute("COMMIT").await.unwrap();
    assert_eq!(start.await.unwrap().revision().await.unwrap().get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_starts_on_a_new_database() {
    for _ in 0..5 {
        eight_starts_at_once_all_succeed(common::postgres()).await;
    }
}

/// The number of the newest file in `migrations/`: the same for both databases.
fn newest_migration() -> i64 {
    let files = std::fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../migrations/sqlite"
    ));
    let names = files.unwrap().map(|file| file.unwrap().file_name());
    let numbers = names.map(|name| name.to_str().unwrap()[..4].parse().unwrap());
    numbers.max().unwrap()
}

async fn a_newer_database_is_refused_and_not_touched(place: Place) {
    add(&place.open().await).await;
    let mut hand = place.hand().await;
    hand.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 4711, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1",
    )
    .await
    .unwrap();
    let error = refusal(&place.url).await;
    let newest = newest_migration();
    assert!(matches!(
        error,
        OpenError::Newer { database: 4711, program, .. } if program == newest
    ));
    assert!(!error.is_unavailable());
    let text = error.to_string();
    let said = format!("has version 4711 and this program knows up to version {newest}");
    assert!(text.contains(&said), "{text}");
    hand.execute("DELETE FROM _sqlx_migrations WHERE version = 4711")
        .await
        .unwrap();
    assert_eq!(place.open().await.load().await.unwrap().extensions.len(), 1);
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    a_newer_database_is_refused_and_not_touched(common::sqlite()).await;
}

#[tokio::test]
async fn a_newer_postgres_is_refused() {
    a_newer_database_is_refused_and_not_touched(common::postgres()).await;
}

async fn a_migration_that_fails_leaves_the_database_as_it_was(place: Place) {
    if let Some(path) = place.url.strip_prefix("sqlite://") {
        std::fs::File::create(path).unwrap();
    }
    let mut hand = place.hand().await;
    hand.execute("CREATE TABLE route_change (mine TEXT)")
        .await
        .unwrap();
    let error = refusal(&place.url).await;
    assert!(matches!(error, OpenError::Migrate { .. }), "{error:?}");
    for table in ["revision", "extension", "_sqlx_migrations"] {
        let read = hand.execute(&format!("SELECT * FROM {table}")).await;
        assert!(read.is_err(), "{table} is there");
    }
    hand.execute("DROP TABLE route_change").await.unwrap();
    assert_eq!(place.open().await.revision().await.unwrap().get(), 0);
}

#[tokio::test]
async fn a_failing_migration_of_a_file() {
    a_migration_that_fails_leaves_the_database_as_it_was(common::sqlite()).await;
}

#[tokio::test]
async fn a_failing_migration_of_a_postgres() {
    a_migration_that_fails_leaves_the_database_as_it_was(common::postgres()).await;
}

async fn hands_cannot_break_the_rules(place: Place) {
    place.open().await;
    let mut hand = place.hand().await;
    for allowed in [
        "INSERT INTO extension (domain, number, revision, added_at, added_by) \
         VALUES ('a', '1', 0, 0, 'x'), ('a', '2', 0, 0, 'x'), ('b', '1', 0, 0, 'x')",
        "INSERT INTO device (domain, number, extension, place) \
         VALUES ('a', '11', '1', 0), ('a', '21', '2', 0), ('b', '11', '1', 0)",
        "INSERT INTO route (domain, extension, device, colleague, ends, ends_at) \
         VALUES ('a', '1', '11', NULL, 'never', NULL), ('a', '2', NULL, '1', 'at', 5)",
    ] {
        hand.execute(allowed).await.unwrap();
    }
    for refused in [
        "INSERT INTO revision (id, revision) VALUES (2, 0)",
        "INSERT INTO device (domain, number, extension, place) VALUES ('a', '11', '2', 0)",
        "INSERT INTO device (domain, number, extension, place) VALUES ('a', '31', '3', 0)",
        "INSERT INTO device (domain, number, extension, place) VALUES ('a', '3 1', '2', 0)",
        "UPDATE route SET device = '21' WHERE domain = 'a' AND extension = '1'",
        "UPDATE route SET colleague = '2' WHERE domain = 'a' AND extension = '1'",
        "UPDATE route SET device = NULL WHERE domain = 'a' AND extension = '1'",
        "UPDATE route SET colleague = '2' WHERE domain = 'a' AND extension = '2'",
        "UPDATE route SET ends = 'at' WHERE domain = 'a' AND extension = '1'",
        "UPDATE route SET ends_at = 5 WHERE domain = 'a' AND extension = '1'",
        "UPDATE route SET ends = 'soon' WHERE domain = 'a' AND extension = '1'",
        "DELETE FROM device WHERE domain = 'a' AND number = '11'",
        "DELETE FROM extension WHERE domain = 'a' AND number = '1'",
    ] {
        assert!(hand.execute(refused).await.is_err(), "{refused}");
    }
}

#[tokio::test]
async fn hands_in_a_file() {
    hands_cannot_break_the_rules(common::sqlite()).await;
}

#[tokio::test]
async fn hands_in_a_postgres() {
    hands_cannot_break_the_rules(common::postgres()).await;
}

async fn a_row_that_cannot_be_read_is_named(place: Place) {
    let store = place.open().await;
    add(&store).await;
    let mut hand = place.hand().await;
    hand.execute("UPDATE device SET number = '10%01'")
        .await
        .unwrap();
    let error = store.load().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database has \"10%01\" where a device should be"
    );
    assert!(!error.is_unavailable());
}

#[tokio::test]
async fn an_unreadable_row_of_a_file() {
    a_row_that_cannot_be_read_is_named(common::sqlite()).await;
}

#[tokio::test]
async fn an_unreadable_row_of_a_postgres() {
    a_row_that_cannot_be_read_is_named(common::postgres()).await;
}

#[tokio::test]
async fn a_file_is_in_wal_mode() {
    let place = common::sqlite();
    place.open().await;
    assert_eq!(place.hand().await.text("PRAGMA journal_mode").await, "wal");
}

#[tokio::test]
async fn a_path_may_be_relative_to_where_the_program_runs() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let store = open(&format!("sqlite:{name}/x y%20#.db"), Options::default()).await;
    assert_eq!(
        store.unwrap().location(),
        format!("sqlite:{name}/x y%20#.db")
    );
    assert!(folder.path().join("x y%20#.db").exists());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let error = refusal("sqlite:///no/such/folder/callhop.db").await;
    assert!(error.is_unavailable());
    assert_eq!(
        error.to_string(),
        "sqlite:/no/such/folder/callhop.db cannot be opened"
    );
    assert!(everything(&error).contains("unable to open database file"));
}

#[tokio::test]
async fn an_url_that_is_none_is_refused_without_its_text() {
    for url in [
        "",
        "callhop.db",
        "mysql://callhop:not-to-be-seen@localhost/callhop",
        "postgres//callhop:not-to-be-seen@localhost/callhop",
        "postgres://callhop:not-to-be-seen@localhost:port/callhop",
        "postgres://callhop:not-to-be-seen@[localhost/callhop",
        "postgres://callhop:not-to-be-seen@localhost/callhop?sslmode=perhaps",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite:callhop.db?mode=memory",
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, OpenError::Url { .. }), "{url}: {error:?}");
        assert!(!everything(&error).contains(PASSWORD), "{error:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let place = common::postgres();
    let url = place.url.replace(PASSWORD, "wrong-and-not-to-be-seen");
    let error = refusal(&url).await;
    assert!(!error.is_unavailable());
    let text = everything(&error);
    assert!(text.contains("password authentication failed"), "{text}");
    assert!(!text.contains("not-to-be-seen"), "{text}");
    let store = place.open().await;
    let text = format!("{store:?} {}", store.location());
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(text.contains("postgres://callhop@127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn a_socket_is_opened_by_its_folder() {
    let cluster = callhop_store::testing::Postgres::shared();
    let url = cluster.over_socket(&cluster.database().unwrap());
    let store = open(&url, Options::default()).await.unwrap();
    add(&store).await;
    assert_eq!(store.revision().await.unwrap().get(), 1);
}

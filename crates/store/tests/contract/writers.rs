//! Two programs on one database, at the same time.

use std::sync::Arc;

use callhop_calls::directory::{Directory, RouteEnd};
use callhop_store::{AddExtensionError, Revision, Store};

use super::{
    NOW, add, cli, id, numbers, route_of, set, to_colleague, to_device, two_people, until,
};

pub(super) async fn two_writers_see_each_others_route_at_the_next_question(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    let known = two_people(&one).await;
    let (mut of_one, mut of_other) = (known, known);
    for device in ["1001@lab.test", "1002@lab.test", "1003@lab.test"] {
        of_one = set(&one, "1000@lab.test", &to_device(device)).await;
        let changes = other.changes_since(of_other).await.unwrap();
        of_other = changes.revision;
        assert_eq!(of_other, of_one);
        assert_eq!(changes.changed[0].route, Some(to_device(device)));
        let revision = set(&other, "2000@lab.test", &to_colleague("1000@lab.test")).await;
        let changes = one.changes_since(of_one).await.unwrap();
        assert_eq!(changes.revision, revision);
        assert_eq!(changes.changed[0].id, id("2000@lab.test"));
        other
            .reset_route(&id("2000@lab.test"), &cli(), NOW)
            .await
            .unwrap();
        of_one = changes.revision;
    }
    assert!(of_one > known);
}

pub(super) async fn two_that_set_one_route_at_once_are_both_in_the_audit_trail(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    two_people(&one).await;
    let person = id("1000@lab.test");
    for round in 0..10 {
        one.reset_route(&person, &cli(), NOW).await.unwrap();
        let (first, second) = (to_device("1001@lab.test"), to_device("1002@lab.test"));
        let (a, b) = tokio::join!(
            set(&one, "1000@lab.test", &first),
            set(&other, "1000@lab.test", &second)
        );
        let last = if a > b { &first } else { &second };
        assert_eq!(route_of(&one, "1000@lab.test").await.as_ref(), Some(last));
        let history = one.history(&person, 2).await.unwrap();
        assert_eq!(history[0].revision, a.max(b), "round {round}");
        assert_eq!(history[0].after.as_ref(), Some(last));
        assert_eq!(history[0].before, history[1].after);
        assert_eq!(history[1].before, None);
    }
}

pub(super) async fn of_two_that_use_up_a_route_at_once_one_succeeds(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    two_people(&one).await;
    let person = id("1000@lab.test");
    let route = until(to_device("1001@lab.test"), RouteEnd::NextCall);
    for _ in 0..10 {
        set(&one, "1000@lab.test", &route).await;
        let (a, b) = tokio::join!(
            one.consume_route(&person, &route, NOW),
            other.consume_route(&person, &route, NOW)
        );
        assert_ne!(a.unwrap(), b.unwrap());
    }
}

pub(super) async fn of_two_that_add_one_device_at_once_one_succeeds(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    let (a, b) = (id("1000@lab.test"), id("2000@lab.test"));
    let devices = numbers("1001 1002");
    let by = cli();
    let (a, b) = tokio::join!(
        one.add_extension(&a, &devices, &by, NOW),
        other.add_extension(&b, &devices, &by, NOW)
    );
    let loser = a.err().xor(b.err()).unwrap();
    assert!(matches!(loser, AddExtensionError::DeviceTaken { .. }));
    assert_eq!(one.load().await.unwrap().extensions.len(), 1);
}

pub(super) async fn many_writers_at_once_lose_no_change(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = if number % 2 == 0 { &one } else { &other };
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let extension = format!("{number}@lab.test");
            add(&store, &extension, &format!("d{number} e{number}")).await;
            set(
                &store,
                &extension,
                &to_device(&format!("e{number}@lab.test")),
            )
            .await
        });
    }
    // A controller that only ever asks for changes meanwhile.
    let mut directory = Directory::default();
    let mut known = Revision::default();
    let mut revisions = Vec::new();
    while let Some(revision) = tasks.join_next().await {
        revisions.push(revision.unwrap());
        let changes = other.changes_since(known).await.unwrap();
        known = changes.revision;
        for extension in changes.changed {
            directory.insert(extension);
        }
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 40);
    assert_eq!(known.get(), 80);
    let routed = directory.extensions().filter(|e| e.route.is_some()).count();
    assert_eq!(routed, 40);
}

pub(super) async fn a_reader_does_not_wait_for_a_writer(
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
) {
    let known = two_people(&one).await;
    let writing = tokio::spawn(async move {
        for number in 0..100 {
            add(&one, &format!("{number}@lab.test"), &format!("d{number}")).await;
        }
    });
    let mut seen = known;
    while !writing.is_finished() {
        let changes = other.changes_since(seen).await.unwrap();
        assert!(changes.revision >= seen);
        let news = changes.revision.get() - seen.get();
        assert_eq!(usize::try_from(news).unwrap(), changes.changed.len());
        seen = changes.revision;
    }
    writing.await.unwrap();
    assert_eq!(other.revision().await.unwrap().get(), known.get() + 100);
}

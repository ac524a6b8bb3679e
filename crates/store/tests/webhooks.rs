//! What webhooks are told, the same on both databases, with one controller and with two.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use callhop_calls::{
    directory::{Route, RouteEnd, RouteTarget},
    id::{ExtensionId, MoveId, UnixTime},
    journal::{Entry, Kind, OpenMove, Outcome, Stage},
};
use callhop_store::{Actor, Delivery, NewDelivery, Store, Told, Untold};

mod common;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let place = super::common::sqlite();
                super::$case(place.open().await, place.open().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                let place = super::common::postgres();
                super::$case(place.open().await, place.open().await).await;
            })*
        }
    };
}

cases!(
    what_happened_is_told_once_by_one_of_two,
    a_route_that_ends_by_its_time_is_told_once,
    of_one_extension_only_the_first_is_sent_and_by_one_of_two,
    what_is_too_old_or_too_much_is_dropped,
);

const NOW: UnixTime = UnixTime(1_700_000_000);

fn at(seconds: i64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn id(text: &str) -> ExtensionId {
    text.parse().unwrap()
}

fn cli() -> Actor {
    "cli:alice".parse().unwrap()
}

fn route(end: RouteEnd) -> Route {
    let target = RouteTarget::Device("1001@lab.test".parse().unwrap());
    Route { target, end }
}

async fn add(store: &Arc<dyn Store>) {
    let devices = ["1001".parse().unwrap(), "1002".parse().unwrap()];
    let one = id("1000@lab.test");
    store
        .add_extension(&one, &devices, &cli(), NOW)
        .await
        .unwrap();
}

fn told(untold: &Untold, deliveries: Vec<NewDelivery>) -> Told {
    Told {
        from: untold.from,
        to: untold.to,
        moves: untold.moves.iter().map(|past| past.begun.id).collect(),
        deliveries,
    }
}

fn message(extension: &str, body: &str) -> NewDelivery {
    NewDelivery {
        webhook: "crm".into(),
        extension: id(extension),
        message: format!("msg_{body}"),
        created: NOW,
        body: body.into(),
    }
}

async fn put(store: &Arc<dyn Store>, deliveries: Vec<NewDelivery>) {
    let untold = store.untold(NOW, 100).await.unwrap();
    assert!(store.tell(&told(&untold, deliveries)).await.unwrap());
}

async fn what_happened_is_told_once_by_one_of_two(one: Arc<dyn Store>, two: Arc<dyn Store>) {
    add(&one).await;
    let begun = OpenMove {
        id: MoveId { run: 7, count: 1 },
        kind: Kind::Pull,
        switch: "fs1".parse().unwrap(),
        extension: id("1000@lab.test"),
        from: "1001@lab.test".parse().unwrap(),
        to: None,
        old_leg: "a".parse().unwrap(),
        far_leg: "b".parse().unwrap(),
        new_leg: None,
        stage: Stage::Asked,
        started: NOW,
    };
    one.write_journal(&[Entry::Begun(begun.clone())])
        .await
        .unwrap();
    let open = one.untold(NOW, 100).await.unwrap();
    assert!(open.moves.is_empty() && open.changes.is_empty());
    let end = Entry::Ended {
        id: begun.id,
        at: at(1),
        outcome: Outcome::Moved,
        cause: None,
        gap_ms: None,
        took_ms: Some(80),
    };
    one.write_journal(&[end]).await.unwrap();
    let set = one
        .set_route(&begun.extension, &route(RouteEnd::Never), &cli(), at(2))
        .await;
    let reset = two.reset_route(&begun.extension, &cli(), at(3)).await;
    let (set, reset) = (set.unwrap(), reset.unwrap().unwrap());

    let seen = one.untold(at(4), 100).await.unwrap();
    assert_eq!(seen, two.untold(at(4), 100).await.unwrap());
    assert_eq!(seen.moves[0].begun.id, begun.id);
    let revisions: Vec<_> = seen
        .changes
        .iter()
        .map(|(_, change)| change.revision)
        .collect();
    assert_eq!(revisions, [set, reset]);
    let batch = told(&seen, vec![message("1000@lab.test", "x")]);
    let (a, b) = tokio::join!(one.tell(&batch), two.tell(&batch));
    assert_eq!(
        [a.unwrap(), b.unwrap()]
            .iter()
            .filter(|told| **told)
            .count(),
        1
    );
    assert!(one.untold(at(5), 100).await.unwrap().is_empty());
    assert_eq!(one.backlogs().await.unwrap()[0].count, 1);

    assert_eq!(one.webhook_since("crm", at(6)).await.unwrap(), at(6));
    assert_eq!(two.webhook_since("crm", at(9)).await.unwrap(), at(6));
}

async fn a_route_that_ends_by_its_time_is_told_once(one: Arc<dyn Store>, _: Arc<dyn Store>) {
    add(&one).await;
    let until = route(RouteEnd::At(at(100)));
    let extension = id("1000@lab.test");
    one.set_route(&extension, &until, &cli(), NOW)
        .await
        .unwrap();
    let before = one.untold(at(99), 100).await.unwrap();
    assert!(before.ended.is_empty());
    assert!(one.tell(&told(&before, Vec::new())).await.unwrap());
    // While changes are still to come, they are told first.
    let set = one
        .set_route(&extension, &route(RouteEnd::At(at(101))), &cli(), at(99))
        .await;
    set.unwrap();
    let other = one.set_route(&extension, &until, &cli(), at(99)).await;
    other.unwrap();
    let first = one.untold(at(102), 1).await.unwrap();
    assert_eq!((first.changes.len(), first.ended.len()), (1, 0));
    assert!(one.tell(&told(&first, Vec::new())).await.unwrap());
    let ended = one.untold(at(102), 1).await.unwrap();
    assert_eq!(ended.ended, [(extension, until)]);
    assert!(one.tell(&told(&ended, Vec::new())).await.unwrap());
    assert!(one.untold(at(200), 100).await.unwrap().is_empty());
}

async fn of_one_extension_only_the_first_is_sent_and_by_one_of_two(
    one: Arc<dyn Store>,
    two: Arc<dyn Store>,
) {
    add(&one).await;
    let (a, b) = ("1000@lab.test", "2000@lab.test");
    put(
        &one,
        vec![message(a, "1"), message(a, "2"), message(b, "3")],
    )
    .await;
    let claim = |store: &Arc<dyn Store>, now| {
        let store = store.clone();
        async move {
            let claimed = store
                .claim_deliveries("crm", at(now), at(now + 60), 8)
                .await;
            claimed.unwrap()
        }
    };
    let (mut first, second) = tokio::join!(claim(&one, 0), claim(&two, 0));
    first.extend(second);
    first.sort_by_key(|delivery| delivery.id);
    let bodies = |all: &[Delivery]| -> Vec<String> { all.iter().map(|d| d.body.clone()).collect() };
    assert_eq!(bodies(&first), ["1", "3"]);
    assert!(claim(&two, 59).await.is_empty());
    let other = one.claim_deliveries("erp", at(0), at(60), 8).await;
    assert!(other.unwrap().is_empty());

    one.postpone_delivery(first[0].id, at(10), "it answers 500")
        .await
        .unwrap();
    one.finish_delivery(first[1].id).await.unwrap();
    let backlog = one.backlogs().await.unwrap().remove(0);
    assert_eq!(
        (backlog.count, backlog.attempts, backlog.oldest),
        (2, 1, NOW)
    );
    assert_eq!(backlog.last_error.as_deref(), Some("it answers 500"));
    assert!(claim(&two, 9).await.is_empty());
    let again = claim(&two, 10).await;
    assert_eq!((bodies(&again), again[0].attempts), (vec!["1".into()], 1));
    // Whoever has claimed it was killed.
    assert_eq!(bodies(&claim(&one, 70).await), ["1"]);
    one.finish_delivery(again[0].id).await.unwrap();
    assert_eq!(bodies(&claim(&one, 71).await), ["2"]);
}

async fn what_is_too_old_or_too_much_is_dropped(one: Arc<dyn Store>, _: Arc<dyn Store>) {
    add(&one).await;
    let all = (0..5)
        .map(|n| message("1000@lab.test", &n.to_string()))
        .collect();
    put(&one, all).await;
    assert_eq!(one.drop_deliveries("crm", NOW, 5).await.unwrap(), 0);
    assert_eq!(one.drop_deliveries("crm", NOW, 3).await.unwrap(), 2);
    let first = one.claim_deliveries("crm", NOW, at(60), 8).await.unwrap();
    assert_eq!(first[0].body, "2");
    assert_eq!(one.drop_deliveries("erp", at(1), 0).await.unwrap(), 0);
    assert_eq!(one.drop_deliveries("crm", at(1), 5).await.unwrap(), 3);
    assert!(one.backlogs().await.unwrap().is_empty());
}

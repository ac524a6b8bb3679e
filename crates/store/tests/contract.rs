//! What every store does, run on both databases. A case gets one store, or two that are open on the same database as two
//! programs would have them.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use callhop_calls::{
    directory::{Extension, Route, RouteEnd, RouteTarget},
    id::{ExtensionId, Number, UnixTime},
};
use callhop_store::{
    Actor, AddExtensionError, Changes, RemoveExtensionError, ResetRouteError, Revision,
    SetRouteError, Store,
};

mod common;
#[path = "contract/versions.rs"]
mod versions;
#[path = "contract/writers.rs"]
mod writers;

use versions::*;

const NOW: UnixTime = UnixTime(1_700_000_000);
const LATER: UnixTime = UnixTime(1_700_003_600);

macro_rules! cases {
    (one: [$($one:ident),* $(,)?], two: [$($two:ident),* $(,)?]) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $one() {
                let place = super::common::sqlite();
                super::$one(place.open().await).await;
            })*
            $(#[tokio::test]
            async fn $two() {
                let place = super::common::sqlite();
                super::writers::$two(place.open().await, place.open().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $one() {
                let place = super::common::postgres();
                super::$one(place.open().await).await;
            })*
            $(#[tokio::test]
            async fn $two() {
                let place = super::common::postgres();
                super::writers::$two(place.open().await, place.open().await).await;
            })*
        }
    };
}

cases! {
    one: [
        an_empty_store_is_at_the_beginning,
        an_added_extension_is_read_as_it_was_added,
        what_cannot_be_added_is_refused_and_changes_nothing,
        domains_that_differ_in_case_are_one_and_numbers_are_not,
        domains_do_not_reach_across,
        an_extension_may_have_the_number_of_its_device,
        a_route_is_kept_with_its_end,
        what_cannot_be_a_route_is_refused_and_changes_nothing,
        the_same_route_again_changes_nothing,
        a_route_is_reset_also_when_there_is_none,
        a_route_for_the_next_call_is_used_up_once,
        only_exactly_that_route_is_used_up,
        the_audit_trail_tells_who_did_what,
        changes_are_those_since_the_revision_that_was_known,
        a_removed_extension_leaves_a_tombstone_until_it_is_added_again,
        a_colleague_with_a_route_to_an_extension_keeps_it_from_being_removed,
        a_route_that_is_over_keeps_nobody_from_being_removed,
        an_asker_that_knows_more_than_the_database_gets_everything,
        text_that_means_something_to_a_database_is_only_text,
        a_writer_who_was_too_late_is_told_and_changes_nothing,
        an_extension_gets_other_devices,
        a_list_comes_in_pages_by_domain_and_number,
        a_store_can_be_used_after_close,
    ],
    two: [
        two_writers_see_each_others_route_at_the_next_question,
        two_that_set_one_route_at_once_are_both_in_the_audit_trail,
        of_two_that_use_up_a_route_at_once_one_succeeds,
        of_two_that_add_one_device_at_once_one_succeeds,
        many_writers_at_once_lose_no_change,
        a_reader_does_not_wait_for_a_writer,
    ]
}

fn id(text: &str) -> ExtensionId {
    text.parse().unwrap()
}

fn numbers(text: &str) -> Vec<Number> {
    text.split(' ').map(|n| n.parse().unwrap()).collect()
}

fn cli() -> Actor {
    "cli:root".parse().unwrap()
}

fn phone(device: &str) -> Actor {
    Actor::Device(device.parse().unwrap())
}

fn to_device(device: &str) -> Route {
    Route {
        target: RouteTarget::Device(device.parse().unwrap()),
        end: RouteEnd::Never,
    }
}

fn to_colleague(extension: &str) -> Route {
    Route {
        target: RouteTarget::Extension(extension.parse().unwrap()),
        end: RouteEnd::Never,
    }
}

fn until(route: Route, end: RouteEnd) -> Route {
    Route { end, ..route }
}

async fn add(store: &Arc<dyn Store>, extension: &str, devices: &str) -> Revision {
    store
        .add_extension(&id(extension), &numbers(devices), &cli(), NOW)
        .await
        .unwrap()
}

async fn set(store: &Arc<dyn Store>, extension: &str, route: &Route) -> Revision {
    store
        .set_route(&id(extension), route, &cli(), NOW)
        .await
        .unwrap()
}

async fn read(store: &Arc<dyn Store>, extension: &str) -> Option<Extension> {
    store.extension(&id(extension)).await.unwrap()
}

async fn route_of(store: &Arc<dyn Store>, extension: &str) -> Option<Route> {
    read(store, extension).await.unwrap().route
}

/// Two people of one domain: 1000 with 1001, 1002 and 1003, and 2000 with 2001.
async fn two_people(store: &Arc<dyn Store>) -> Revision {
    add(store, "1000@lab.test", "1001 1002 1003").await;
    add(store, "2000@lab.test", "2001").await
}

async fn an_empty_store_is_at_the_beginning(store: Arc<dyn Store>) {
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.revision, Revision::default());
    assert_eq!(snapshot.extensions, []);
    assert_eq!(store.revision().await.unwrap(), Revision::default());
    assert_eq!(read(&store, "1000@lab.test").await, None);
    let changes = store.changes_since(Revision::default()).await.unwrap();
    assert!(changes.is_empty());
}

async fn an_added_extension_is_read_as_it_was_added(store: Arc<dyn Store>) {
    let revision = add(&store, "1000@lab.test", "1003 1001 1002").await;
    let extension = Extension {
        id: id("1000@lab.test"),
        devices: numbers("1003 1001 1002"),
        route: None,
    };
    assert_eq!(
        read(&store, "1000@lab.test").await.as_ref(),
        Some(&extension)
    );
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.revision, revision);
    assert_eq!(snapshot.extensions, [extension]);
    assert_eq!(store.revision().await.unwrap(), revision);
}

async fn what_cannot_be_added_is_refused_and_changes_nothing(store: Arc<dyn Store>) {
    let revision = two_people(&store).await;
    let add = async |extension: &str, devices: &[Number]| {
        let error = store
            .add_extension(&id(extension), devices, &cli(), NOW)
            .await
            .unwrap_err();
        let text = error.to_string();
        (error, text)
    };
    let (error, text) = add("1000@lab.test", &numbers("1009")).await;
    assert!(matches!(error, AddExtensionError::Exists(_)));
    assert_eq!(text, "the extension 1000@lab.test exists already");
    let (error, text) = add("3000@lab.test", &numbers("3001 2001")).await;
    assert!(matches!(error, AddExtensionError::DeviceTaken { .. }));
    assert_eq!(
        text,
        "the device 2001@lab.test belongs to the extension 2000@lab.test"
    );
    let (error, _) = add("3000@lab.test", &[]).await;
    assert!(matches!(error, AddExtensionError::NoDevices));
    let (error, text) = add("3000@lab.test", &numbers("3001 3002 3001")).await;
    assert!(matches!(error, AddExtensionError::DuplicateDevice(_)));
    assert_eq!(text, "the device 3001 is named twice");
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.load().await.unwrap().extensions.len(), 2);
}

async fn domains_that_differ_in_case_are_one_and_numbers_are_not(store: Arc<dyn Store>) {
    add(&store, "alice@Lab.Test", "a1").await;
    add(&store, "Alice@lab.test", "A1").await;
    let again = store
        .add_extension(&id("alice@LAB.TEST"), &numbers("a2"), &cli(), NOW)
        .await;
    assert!(matches!(again, Err(AddExtensionError::Exists(_))));
    let taken = store
        .add_extension(&id("bob@LAB.TEST"), &numbers("A1"), &cli(), NOW)
        .await;
    assert!(matches!(taken, Err(AddExtensionError::DeviceTaken { .. })));
    set(&store, "alice@LAB.test", &to_device("a1@lab.TEST")).await;
    assert_eq!(
        route_of(&store, "alice@lab.test").await,
        Some(to_device("a1@lab.test"))
    );
    assert_eq!(route_of(&store, "Alice@lab.test").await, None);
}

async fn domains_do_not_reach_across(store: Arc<dyn Store>) {
    add(&store, "1000@lab.test", "1001 1002").await;
    add(&store, "1000@other.test", "1001 1002").await;
    set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
    assert_eq!(route_of(&store, "1000@other.test").await, None);
    let removed = store
        .remove_extension(&id("1000@lab.test"), &cli(), NOW)
        .await;
    assert!(removed.is_ok());
    let left = read(&store, "1000@other.test").await.unwrap();
    assert_eq!(left.devices, numbers("1001 1002"));
    assert_eq!(store.history(&left.id, 10).await.unwrap(), []);
}

async fn an_extension_may_have_the_number_of_its_device(store: Arc<dyn Store>) {
    add(&store, "1001@lab.test", "1001 1002").await;
    add(&store, "1002@lab.test", "1003").await;
    set(&store, "1001@lab.test", &to_device("1002@lab.test")).await;
    assert_eq!(
        route_of(&store, "1001@lab.test").await,
        Some(to_device("1002@lab.test"))
    );
    set(&store, "1001@lab.test", &to_colleague("1002@lab.test")).await;
    assert_eq!(
        route_of(&store, "1001@lab.test").await,
        Some(to_colleague("1002@lab.test"))
    );
}

async fn a_route_is_kept_with_its_end(store: Arc<dyn Store>) {
    two_people(&store).await;
    for end in [RouteEnd::Never, RouteEnd::At(LATER), RouteEnd::NextCall] {
        for target in [to_device("1002@lab.test"), to_colleague("2000@lab.test")] {
            let route = until(target, end);
            let revision = set(&store, "1000@lab.test", &route).await;
            assert_eq!(store.revision().await.unwrap(), revision);
            assert_eq!(route_of(&store, "1000@lab.test").await, Some(route.clone()));
            let loaded = store.load().await.unwrap();
            assert_eq!(loaded.extensions[0].route, Some(route));
            assert_eq!(loaded.extensions[0].devices, numbers("1001 1002 1003"));
        }
    }
}

async fn what_cannot_be_a_route_is_refused_and_changes_nothing(store: Arc<dyn Store>) {
    two_people(&store).await;
    add(&store, "5000@other.test", "5001").await;
    let revision = set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
    let refused = async |extension: &str, route: Route| {
        let error = store
            .set_route(&id(extension), &route, &phone("1001@lab.test"), NOW)
            .await
            .unwrap_err();
        let text = error.to_string();
        (error, text)
    };
    let (error, _) = refused("3000@lab.test", to_device("1001@lab.test")).await;
    assert!(matches!(error, SetRouteError::UnknownExtension(_)));
    let (error, text) = refused("1000@lab.test", to_device("2001@lab.test")).await;
    assert!(matches!(error, SetRouteError::NotOwnDevice { .. }));
    assert_eq!(
        text,
        "2001@lab.test is not a device of the extension 1000@lab.test"
    );
    let (error, _) = refused("1000@lab.test", to_device("9999@lab.test")).await;
    assert!(matches!(error, SetRouteError::NotOwnDevice { .. }));
    let (error, _) = refused("1000@lab.test", to_colleague("9999@lab.test")).await;
    assert!(matches!(error, SetRouteError::UnknownTarget(_)));
    let (error, _) = refused("1000@lab.test", to_colleague("5000@other.test")).await;
    assert!(matches!(error, SetRouteError::OtherDomain { .. }));
    let (error, _) = refused("1000@lab.test", to_device("1001@other.test")).await;
    assert!(matches!(error, SetRouteError::OtherDomain { .. }));
    let (error, _) = refused("1000@lab.test", to_colleague("1000@lab.test")).await;
    assert!(matches!(error, SetRouteError::ToItself(_)));
    for end in [NOW, UnixTime(NOW.0 - 1), UnixTime(i64::MIN)] {
        let route = until(to_device("1002@lab.test"), RouteEnd::At(end));
        let (error, _) = refused("1000@lab.test", route).await;
        assert!(matches!(error, SetRouteError::EndInThePast { .. }));
    }
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(
        route_of(&store, "1000@lab.test").await,
        Some(to_device("1001@lab.test"))
    );
    assert_eq!(
        store.history(&id("1000@lab.test"), 10).await.unwrap().len(),
        1
    );
}

async fn the_same_route_again_changes_nothing(store: Arc<dyn Store>) {
    two_people(&store).await;
    let first = set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
    let again = set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
    assert_eq!(again, first);
    assert_eq!(store.revision().await.unwrap(), first);
    assert_eq!(
        store.history(&id("1000@lab.test"), 10).await.unwrap().len(),
        1
    );
}

async fn a_route_is_reset_also_when_there_is_none(store: Arc<dyn Store>) {
    let revision = two_people(&store).await;
    let reset = async |extension: &str| store.reset_route(&id(extension), &cli(), NOW).await;
    assert_eq!(reset("1000@lab.test").await.unwrap(), None);
    assert_eq!(store.revision().await.unwrap(), revision);
    set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
    let revision = reset("1000@lab.test").await.unwrap();
    assert_eq!(revision, Some(store.revision().await.unwrap()));
    assert_eq!(route_of(&store, "1000@lab.test").await, None);
    assert_eq!(reset("1000@lab.test").await.unwrap(), None);
    assert!(matches!(
        reset("3000@lab.test").await,
        Err(ResetRouteError::UnknownExtension(_))
    ));
}

async fn a_route_for_the_next_call_is_used_up_once(store: Arc<dyn Store>) {
    two_people(&store).await;
    let route = until(to_device("1001@lab.test"), RouteEnd::NextCall);
    let known = set(&store, "1000@lab.test", &route).await;
    let consume = async || store.consume_route(&id("1000@lab.test"), &route, NOW).await;
    assert!(consume().await.unwrap());
    assert_eq!(route_of(&store, "1000@lab.test").await, None);
    let changes = store.changes_since(known).await.unwrap();
    assert_eq!(changes.changed.len(), 1);
    assert!(!consume().await.unwrap());
    assert!(
        store
            .changes_since(changes.revision)
            .await
            .unwrap()
            .is_empty()
    );
    let history = store.history(&id("1000@lab.test"), 1).await.unwrap();
    assert_eq!(history[0].actor, Actor::Controller);
    assert_eq!(history[0].before, Some(route.clone()));
    assert_eq!(history[0].after, None);
}

async fn only_exactly_that_route_is_used_up(store: Arc<dyn Store>) {
    two_people(&store).await;
    let next_call = until(to_device("1001@lab.test"), RouteEnd::NextCall);
    let consume = async |extension: &str, route: &Route| {
        store
            .consume_route(&id(extension), route, NOW)
            .await
            .unwrap()
    };
    for other in [
        to_device("1001@lab.test"),
        until(to_device("1001@lab.test"), RouteEnd::At(LATER)),
        until(to_device("1002@lab.test"), RouteEnd::NextCall),
        until(to_colleague("2000@lab.test"), RouteEnd::NextCall),
    ] {
        let revision = set(&store, "1000@lab.test", &other).await;
        assert!(!consume("1000@lab.test", &next_call).await);
        assert_eq!(store.revision().await.unwrap(), revision);
        assert_eq!(route_of(&store, "1000@lab.test").await, Some(other));
    }
    let lasting = to_device("1001@lab.test");
    set(&store, "1000@lab.test", &lasting).await;
    assert!(!consume("1000@lab.test", &lasting).await);
    assert!(!consume("3000@lab.test", &next_call).await);
}

async fn the_audit_trail_tells_who_did_what(store: Arc<dyn Store>) {
    two_people(&store).await;
    let person = id("1000@lab.test");
    let first = to_device("1001@lab.test");
    let second = until(to_colleague("2000@lab.test"), RouteEnd::At(LATER));
    let client: Actor = "api:page \"x\"".parse().unwrap();
    let at = |seconds: i64| UnixTime(NOW.0 + seconds);
    let star = phone("1001@lab.test");
    store
        .set_route(&person, &first, &star, at(1))
        .await
        .unwrap();
    store
        .set_route(&person, &second, &client, at(2))
        .await
        .unwrap();
    store.reset_route(&person, &cli(), at(3)).await.unwrap();
    store
        .set_route(&person, &first, &star, at(4))
        .await
        .unwrap();
    store
        .remove_extension(&person, &cli(), at(5))
        .await
        .unwrap();

    let history = store.history(&person, 10).await.unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|c| (c.at, c.actor.to_string(), c.before.clone(), c.after.clone()))
        .collect();
    assert_eq!(
        told,
        [
            (at(5), "cli:root".into(), Some(first.clone()), None),
            (
                at(4),
                "device:1001@lab.test".into(),
                None,
                Some(first.clone())
            ),
            (at(3), "cli:root".into(), Some(second.clone()), None),
            (
                at(2),
                "api:page \"x\"".into(),
                Some(first.clone()),
                Some(second)
            ),
            (at(1), "device:1001@lab.test".into(), None, Some(first)),
        ]
    );
    assert!(history.is_sorted_by(|newer, older| newer.revision > older.revision));
    assert_eq!(store.history(&person, 2).await.unwrap(), history[..2]);
    assert_eq!(store.history(&person, 0).await.unwrap(), []);
}

async fn changes_are_those_since_the_revision_that_was_known(store: Arc<dyn Store>) {
    let known = two_people(&store).await;
    let after = add(&store, "3000@lab.test", "3001").await;
    set(&store, "1000@lab.test", &to_device("1002@lab.test")).await;
    let changed = async |since| {
        let changes = store.changes_since(since).await.unwrap();
        assert_eq!(changes.revision, store.revision().await.unwrap());
        assert_eq!(changes.removed, []);
        assert!(!changes.complete);
        let ids: Vec<_> = changes.changed.iter().map(|e| e.id.to_string()).collect();
        ids.join(" ")
    };
    assert_eq!(
        changed(Revision::default()).await,
        "1000@lab.test 2000@lab.test 3000@lab.test"
    );
    assert_eq!(changed(known).await, "1000@lab.test 3000@lab.test");
    assert_eq!(changed(after).await, "1000@lab.test");
    assert_eq!(changed(store.revision().await.unwrap()).await, "");
}

async fn a_removed_extension_leaves_a_tombstone_until_it_is_added_again(store: Arc<dyn Store>) {
    let known = two_people(&store).await;
    let person = id("1000@lab.test");
    set(&store, "1000@lab.test", &to_device("1002@lab.test")).await;
    let removed = store.remove_extension(&person, &cli(), NOW).await.unwrap();
    assert_eq!(
        store.changes_since(known).await.unwrap(),
        Changes {
            revision: removed,
            changed: vec![],
            removed: vec![person.clone()],
            complete: false,
        }
    );
    assert!(store.changes_since(removed).await.unwrap().is_empty());
    assert_eq!(read(&store, "1000@lab.test").await, None);
    let again = store.remove_extension(&person, &cli(), NOW).await;
    assert!(matches!(again, Err(RemoveExtensionError::Unknown(_))));

    // Its devices are free, and it comes back without its old route.
    add(&store, "3000@lab.test", "1001").await;
    let added = add(&store, "1000@lab.test", "1002").await;
    let changes = store.changes_since(known).await.unwrap();
    assert_eq!(changes.revision, added);
    assert_eq!(changes.removed, []);
    let ids: Vec<_> = changes.changed.iter().map(|e| e.id.to_string()).collect();
    assert_eq!(ids, ["1000@lab.test", "3000@lab.test"]);
    let back = read(&store, "1000@lab.test").await.unwrap();
    assert_eq!(back.route, None);
    assert_eq!(back.devices, numbers("1002"));

    store.remove_extension(&person, &cli(), NOW).await.unwrap();
    let changes = store.changes_since(added).await.unwrap();
    assert_eq!(changes.removed, [person]);
}

async fn a_colleague_with_a_route_to_an_extension_keeps_it_from_being_removed(
    store: Arc<dyn Store>,
) {
    two_people(&store).await;
    add(&store, "3000@lab.test", "3001").await;
    set(&store, "1000@lab.test", &to_colleague("2000@lab.test")).await;
    let next_call = until(to_colleague("2000@lab.test"), RouteEnd::NextCall);
    let revision = set(&store, "3000@lab.test", &next_call).await;
    let error = store
        .remove_extension(&id("2000@lab.test"), &cli(), NOW)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the calls of 1000@lab.test, 3000@lab.test go to the extension 2000@lab.test: reset or change their routes first"
    );
    assert_eq!(store.revision().await.unwrap(), revision);
    for colleague in ["1000@lab.test", "3000@lab.test"] {
        store
            .reset_route(&id(colleague), &cli(), NOW)
            .await
            .unwrap();
    }
    let removed = store
        .remove_extension(&id("2000@lab.test"), &cli(), NOW)
        .await;
    assert!(removed.is_ok());
}

async fn a_route_that_is_over_keeps_nobody_from_being_removed(store: Arc<dyn Store>) {
    two_people(&store).await;
    let route = until(to_colleague("2000@lab.test"), RouteEnd::At(LATER));
    let known = set(&store, "1000@lab.test", &route).await;
    let removed = store
        .remove_extension(&id("2000@lab.test"), &cli(), LATER)
        .await
        .unwrap();
    assert_eq!(route_of(&store, "1000@lab.test").await, None);
    let changes = store.changes_since(known).await.unwrap();
    assert_eq!(changes.revision, removed);
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.removed, [id("2000@lab.test")]);
    let history = store.history(&id("1000@lab.test"), 1).await.unwrap();
    assert_eq!(history[0].actor, Actor::Controller);
    assert_eq!(history[0].revision, removed);
}

async fn an_asker_that_knows_more_than_the_database_gets_everything(store: Arc<dyn Store>) {
    let place = common::sqlite();
    let before_the_backup = place.open().await;
    two_people(&before_the_backup).await;
    let known = set(
        &before_the_backup,
        "1000@lab.test",
        &to_device("1002@lab.test"),
    )
    .await;
    let restored = add(&store, "4000@lab.test", "4001").await;
    let changes = store.changes_since(known).await.unwrap();
    assert!(changes.complete && !changes.is_empty());
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.revision, restored);
    assert!(changes.revision < known);
}

async fn text_that_means_something_to_a_database_is_only_text(store: Arc<dyn Store>) {
    // The whitelists let few such characters through; an actor's name may have them all.
    let actor: Actor = "cli:Robert'); DROP TABLE route;-- \u{1F980} $1 ?1 :x"
        .parse()
        .unwrap();
    add(&store, "*_-.#+@lab.test", "_ . -").await;
    store
        .set_route(
            &id("*_-.#+@lab.test"),
            &to_device("_@lab.test"),
            &actor,
            NOW,
        )
        .await
        .unwrap();
    let history = store.history(&id("*_-.#+@lab.test"), 1).await.unwrap();
    assert_eq!(history[0].actor, actor);
    assert_eq!(
        read(&store, "*_-.#+@lab.test").await.unwrap().devices,
        numbers("_ . -")
    );
}

async fn a_store_can_be_used_after_close(store: Arc<dyn Store>) {
    two_people(&store).await;
    store.close().await;
    assert_eq!(store.load().await.unwrap().extensions.len(), 2);
    set(&store, "1000@lab.test", &to_device("1001@lab.test")).await;
}

//! Two that change one extension, each knowing what it saw; and lists that come in pages.

use std::sync::Arc;

use callhop_calls::id::UnixTime;
use callhop_store::{
    AddExtensionError, Expected, PutExtensionError, RemoveExtensionError, ResetRouteError,
    Revision, SetRouteError, Store,
};

use crate::{LATER, NOW, cli, id, numbers, to_device, until};

async fn version(store: &Arc<dyn Store>, of: &str) -> Option<Revision> {
    let found = store.versioned(&id(of)).await.unwrap();
    found.map(|found| found.version)
}

pub(crate) async fn a_writer_who_was_too_late_is_told_and_changes_nothing(store: Arc<dyn Store>) {
    let one = id("1000@lab.test");
    let put = |expected| {
        let (store, one) = (store.clone(), one.clone());
        async move {
            let devices = numbers("1001 1002");
            store
                .put_extension(&one, &devices, expected, &cli(), NOW)
                .await
        }
    };
    let absent = put(Expected::Something).await.unwrap_err();
    assert!(matches!(&absent, PutExtensionError::Changed(c) if c.version.is_none()));
    let created = put(Expected::Nothing).await.unwrap();
    assert!(created.created);
    assert_eq!(
        version(&store, "1000@lab.test").await,
        Some(created.version)
    );
    let twice = put(Expected::Nothing).await.unwrap_err();
    assert!(matches!(&twice, PutExtensionError::Changed(c) if c.version == Some(created.version)));

    let seen = Expected::Version(created.version);
    let route = to_device("1001@lab.test");
    let set = store.set_route_if(&one, &route, seen, &cli(), NOW).await;
    let set = set.unwrap();
    assert_eq!(version(&store, "1000@lab.test").await, Some(set));
    let other = to_device("1002@lab.test");
    let late = store.set_route_if(&one, &other, seen, &cli(), NOW).await;
    assert!(matches!(late, Err(SetRouteError::Changed(c)) if c.version == Some(set)));
    let late = store.reset_route_if(&one, seen, &cli(), NOW).await;
    assert!(matches!(late, Err(ResetRouteError::Changed(_))));
    let late = store.remove_extension_if(&one, seen, &cli(), NOW).await;
    assert!(matches!(late, Err(RemoveExtensionError::Changed(_))));
    let now = store.extension(&one).await.unwrap().unwrap();
    assert_eq!(now.route, Some(route));

    let seen = Expected::Version(set);
    let reset = store.reset_route_if(&one, seen, &cli(), NOW).await.unwrap();
    let seen = Expected::Version(reset.unwrap());
    let removed = store.remove_extension_if(&one, seen, &cli(), NOW).await;
    removed.unwrap();
    assert_eq!(version(&store, "1000@lab.test").await, None);
}

pub(crate) async fn an_extension_gets_other_devices(store: Arc<dyn Store>) {
    let one = id("1000@lab.test");
    let add = |of: &'static str, devices: &'static str| {
        let store = store.clone();
        async move {
            let devices = numbers(devices);
            store
                .put_extension(&id(of), &devices, Expected::Whatever, &cli(), NOW)
                .await
        }
    };
    let first = add("1000@lab.test", "1001 1002 1003").await.unwrap();
    add("2000@lab.test", "2001").await.unwrap();
    let same = add("1000@lab.test", "1001 1002 1003").await.unwrap();
    assert_eq!((same.version, same.created), (first.version, false));
    let route = to_device("1002@lab.test");
    store.set_route(&one, &route, &cli(), NOW).await.unwrap();

    let changed = add("1000@lab.test", "1004 1002 1001").await.unwrap();
    let found = store.versioned(&one).await.unwrap().unwrap();
    assert_eq!(found.extension.devices, numbers("1004 1002 1001"));
    assert_eq!(found.extension.route, Some(route.clone()));
    assert_eq!(found.version, changed.version);
    let heard = store.changes_since(same.version).await.unwrap();
    assert!(heard.changed.contains(&found.extension));

    for (devices, why) in [
        ("1001 1004", "its device 1002@lab.test: reset"),
        ("1001 2001", "belongs to the extension 2000@lab.test"),
        ("1002 1002", "named twice"),
    ] {
        let refused = add("1000@lab.test", devices).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let none = store
        .put_extension(&one, &[], Expected::Whatever, &cli(), NOW)
        .await;
    assert!(matches!(
        none,
        Err(PutExtensionError::Devices(AddExtensionError::NoDevices))
    ));
    assert_eq!(store.versioned(&one).await.unwrap().unwrap(), found);

    // A route that is over keeps no device.
    let ending = until(route, callhop_calls::directory::RouteEnd::At(LATER));
    store.set_route(&one, &ending, &cli(), NOW).await.unwrap();
    let later = UnixTime(LATER.0 + 1);
    store
        .put_extension(&one, &numbers("1001"), Expected::Whatever, &cli(), later)
        .await
        .unwrap();
    let found = store.extension(&one).await.unwrap().unwrap();
    assert_eq!((found.devices, found.route), (numbers("1001"), None));
}

pub(crate) async fn a_list_comes_in_pages_by_domain_and_number(store: Arc<dyn Store>) {
    let all = ["1000@a.test", "2000@a.test", "1000@b.test", "1500@b.test"];
    for (count, of) in (1..).zip(all.iter().rev()) {
        let device: callhop_calls::id::Number = format!("9{count}").parse().unwrap();
        store
            .add_extension(&id(of), &[device], &cli(), NOW)
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.extension.id.clone());
        for found in page {
            let one = store.versioned(&found.extension.id).await.unwrap();
            assert_eq!(one, Some(found.clone()));
            seen.push(found.extension.id.to_string());
        }
    }
    assert_eq!(seen, all);
    // Also behind one that is not there.
    let page = store.page(Some(&id("1999@a.test")), 1).await.unwrap();
    assert_eq!(page[0].extension.id, id("2000@a.test"));
}

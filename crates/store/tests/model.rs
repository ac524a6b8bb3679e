//! Random changes on a file, beside a model in memory and a follower that knows the store only from `changes_since`.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use callhop_calls::{
    directory::{Extension, Route, RouteEnd, RouteTarget},
    id::{DeviceId, ExtensionId, Number, UnixTime},
};
use callhop_store::{Actor, Revision, Store};
use proptest::prelude::*;

mod common;

/// One thing that somebody tries. Most of it is possible sometimes and refused sometimes.
#[derive(Debug, Clone)]
enum Step {
    Add(ExtensionId, Vec<Number>),
    Remove(ExtensionId),
    Set(ExtensionId, Route),
    Reset(ExtensionId),
    Consume(ExtensionId, Route),
    /// The follower asks for changes.
    Follow,
    /// Time passes, in seconds.
    Wait(i64),
}

fn extension() -> impl Strategy<Value = ExtensionId> {
    (1..5_u8, prop::bool::weighted(0.8)).prop_map(|(number, home)| {
        let domain = if home { "a.test" } else { "b.test" };
        format!("{number}@{domain}").parse().unwrap()
    })
}

fn device() -> impl Strategy<Value = Number> {
    // The numbers of the extensions are among them.
    (1..9_u8).prop_map(|number| number.to_string().parse().unwrap())
}

fn route() -> impl Strategy<Value = Route> {
    let target = prop_oneof![
        (device(), extension())
            .prop_map(|(number, near)| RouteTarget::Device(DeviceId::new(number, near.domain))),
        extension().prop_map(RouteTarget::Extension),
    ];
    let end = prop_oneof![
        Just(RouteEnd::Never),
        Just(RouteEnd::NextCall),
        (0..200_i64).prop_map(|at| RouteEnd::At(UnixTime(at))),
    ];
    (target, end).prop_map(|(target, end)| Route { target, end })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (extension(), prop::collection::vec(device(), 0..4)).prop_map(|(id, of)| Step::Add(id, of)),
        1 => extension().prop_map(Step::Remove),
        8 => (extension(), route()).prop_map(|(id, route)| Step::Set(id, route)),
        1 => extension().prop_map(Step::Reset),
        2 => (extension(), route()).prop_map(|(id, route)| Step::Consume(id, route)),
        2 => Just(Step::Follow),
        1 => (0..10_i64).prop_map(Step::Wait),
    ]
}

/// A route before and after a change.
type Replaced = (Option<Route>, Option<Route>);

/// What the store should hold, with the rules said in the shortest way.
#[derive(Debug, Default)]
struct Model {
    extensions: BTreeMap<ExtensionId, Extension>,
    changes: BTreeMap<ExtensionId, Vec<Replaced>>,
}

impl Model {
    fn replace(&mut self, id: &ExtensionId, after: Option<Route>) {
        let extension = self.extensions.get_mut(id).unwrap();
        let before = std::mem::replace(&mut extension.route, after.clone());
        let changes = self.changes.entry(id.clone()).or_default();
        changes.push((before, after));
    }

    fn route(&self, id: &ExtensionId) -> Option<&Route> {
        self.extensions.get(id)?.route.as_ref()
    }

    /// Whether the step is possible, and if so does it.
    fn take(&mut self, step: &Step, now: UnixTime) -> bool {
        match step {
            Step::Add(id, devices) => {
                let different: BTreeSet<_> = devices.iter().collect();
                let taken = |other: &Extension| {
                    other.id.domain == id.domain
                        && other.devices.iter().any(|device| devices.contains(device))
                };
                let possible = !devices.is_empty()
                    && different.len() == devices.len()
                    && !self.extensions.contains_key(id)
                    && !self.extensions.values().any(taken);
                if possible {
                    let extension = Extension {
                        id: id.clone(),
                        devices: devices.clone(),
                        route: None,
                    };
                    self.extensions.insert(id.clone(), extension);
                }
                possible
            }
            Step::Remove(id) => {
                let target = RouteTarget::Extension(id.clone());
                let routed = |other: &&Extension| {
                    other
                        .route
                        .as_ref()
                        .is_some_and(|route| route.target == target)
                };
                let in_force = |other: &Extension| {
                    other
                        .route
                        .as_ref()
                        .is_some_and(|route| route.is_in_force(now))
                };
                let others: Vec<_> = self.extensions.values().filter(routed).cloned().collect();
                if !self.extensions.contains_key(id) || others.iter().any(in_force) {
                    return false;
                }
                for other in others {
                    self.replace(&other.id, None);
                }
                if self.route(id).is_some() {
                    self.replace(id, None);
                }
                self.extensions.remove(id);
                true
            }
            Step::Set(id, route) => {
                let possible = self.extensions.get(id).is_some_and(|extension| {
                    let target = match &route.target {
                        RouteTarget::Device(device) => extension.owns(device),
                        RouteTarget::Extension(other) => {
                            other != id
                                && other.domain == id.domain
                                && self.extensions.contains_key(other)
                        }
                    };
                    target && route.is_in_force(now)
                });
                if possible && self.route(id) != Some(route) {
                    self.replace(id, Some(route.clone()));
                }
                possible
            }
            Step::Reset(id) => {
                if self.route(id).is_some() {
                    self.replace(id, None);
                }
                self.extensions.contains_key(id)
            }
            Step::Consume(id, route) => {
                let possible = route.end == RouteEnd::NextCall && self.route(id) == Some(route);
                if possible {
                    self.replace(id, None);
                }
                possible
            }
            Step::Follow | Step::Wait(_) => true,
        }
    }
}

/// A controller that never loads everything again.
#[derive(Debug, Default)]
struct Follower {
    known: Revision,
    extensions: BTreeMap<ExtensionId, Extension>,
}

impl Follower {
    async fn follow(&mut self, store: &Arc<dyn Store>) {
        let changes = store.changes_since(self.known).await.unwrap();
        assert!(!changes.complete);
        assert!(changes.revision >= self.known);
        self.known = changes.revision;
        for id in changes.removed {
            self.extensions.remove(&id);
        }
        for extension in changes.changed {
            self.extensions.insert(extension.id.clone(), extension);
        }
    }
}

async fn run(steps: Vec<Step>) {
    let place = common::sqlite();
    let store = place.open().await;
    let actor = Actor::Controller;
    let mut model = Model::default();
    let mut follower = Follower::default();
    let mut now = UnixTime(0);
    for step in steps {
        let known = store.revision().await.unwrap();
        let possible = model.take(&step, now);
        let done = match &step {
            Step::Add(id, devices) => store.add_extension(id, devices, &actor, now).await.is_ok(),
            Step::Remove(id) => store.remove_extension(id, &actor, now).await.is_ok(),
            Step::Set(id, route) => store.set_route(id, route, &actor, now).await.is_ok(),
            Step::Reset(id) => store.reset_route(id, &actor, now).await.is_ok(),
            Step::Consume(id, route) => store.consume_route(id, route, now).await.unwrap(),
            Step::Follow => {
                follower.follow(&store).await;
                assert_eq!(follower.extensions, model.extensions);
                true
            }
            Step::Wait(seconds) => {
                now = UnixTime(now.0 + seconds);
                true
            }
        };
        assert_eq!(done, possible, "{step:?}");
        let revision = store.revision().await.unwrap();
        assert!(revision.get() - known.get() <= i64::from(done), "{step:?}");
    }
    follower.follow(&store).await;
    assert_eq!(follower.extensions, model.extensions);
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.revision, follower.known);
    let loaded = loaded.extensions.into_iter().map(|e| (e.id.clone(), e));
    assert_eq!(BTreeMap::from_iter(loaded), model.extensions);
    for (id, changes) in model.changes {
        let history = store.history(&id, u32::MAX).await.unwrap();
        let told = history.into_iter().rev().map(|c| (c.before, c.after));
        assert!(told.eq(changes), "{id}");
    }
    store.close().await;
}

proptest! {
    // 8 runs of 400 to 600 steps: some 2,000 routes are tried.
    #![proptest_config(ProptestConfig {
        cases: 8,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 400..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}

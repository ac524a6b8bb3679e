//! What has happened, in the words of a message.
//!
//! | type | when |
//! |---|---|
//! | `move.moved`, `move.not_moved`, `move.recalled`, `move.far_end_gone` | a move has ended so |
//! | `route.set` | an extension has another route |
//! | `route.reset` | somebody let all devices ring again |
//! | `route.ended` | its time has come, or the one call of a route for the next call |

use callhop_calls::directory::{Route, RouteEnd};
use callhop_calls::id::{ExtensionId, UnixTime};
use callhop_store::{Actor, RouteChange, Untold};
use serde_json::{Value, json};

use crate::config::WebhookEvent;
use crate::http::{MoveDoc, RouteDoc};
use crate::when;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) kind: WebhookEvent,
    pub(super) r#type: String,
    pub(super) at: UnixTime,
    pub(super) extension: ExtensionId,
    data: Value,
}

impl Event {
    /// The body of its message.
    pub(super) fn body(&self) -> String {
        json!({
            "type": self.r#type,
            "timestamp": when::text(self.at),
            "data": self.data,
        })
        .to_string()
    }
}

/// What is to be told, in the order in which it happened. Moves and routes of one second come in either order.
pub(super) fn events(untold: &Untold) -> Vec<Event> {
    let mut moves = untold.moves.iter().filter_map(|past| {
        let end = past.end.as_ref()?;
        Some(Event {
            kind: WebhookEvent::Move,
            r#type: format!("move.{}", end.outcome.word()),
            at: end.at,
            extension: past.begun.extension.clone(),
            data: json!(MoveDoc::of(past.clone())),
        })
    });
    let mut routes = Vec::new();
    for (extension, change) in &untold.changes {
        routes.extend(changed(extension, change, untold.from.routes_ended));
    }
    for (extension, route) in &untold.ended {
        if let RouteEnd::At(at) = route.end {
            routes.push(ended(extension, route, at));
        }
    }
    // Each list keeps its order, whatever the clocks of several controllers say.
    let mut all = Vec::new();
    let mut next = moves.next();
    for route in routes {
        while let Some(moved) = next.take_if(|moved| moved.at <= route.at) {
            all.push(moved);
            next = moves.next();
        }
        all.push(route);
    }
    all.extend(next);
    all.extend(moves);
    all
}

/// What a change of the audit trail tells. A route whose time had come before it was replaced has ended then, and of that nobody
/// was told who knows only of routes that ended until `known`.
fn changed(extension: &ExtensionId, change: &RouteChange, known: UnixTime) -> Vec<Event> {
    let mut events = Vec::new();
    let mut was_over = false;
    if let Some(before) = &change.before
        && let RouteEnd::At(at) = before.end
        && at <= change.at
    {
        was_over = true;
        if at > known {
            events.push(ended(extension, before, at));
        }
    }
    let word = match (&change.after, &change.actor) {
        (Some(_), _) => "set",
        // What had ended is only put away.
        (None, _) if was_over => return events,
        (None, Actor::Controller) => "ended",
        (None, _) => "reset",
    };
    let before = change.before.as_ref().filter(|_| !was_over);
    let data = data(
        extension,
        before,
        change.after.as_ref(),
        change.at,
        &change.actor,
    );
    events.push(event(word, change.at, extension, data));
    events
}

fn ended(extension: &ExtensionId, route: &Route, at: UnixTime) -> Event {
    let data = data(extension, Some(route), None, at, &Actor::Controller);
    event("ended", at, extension, data)
}

fn event(word: &str, at: UnixTime, extension: &ExtensionId, data: Value) -> Event {
    Event {
        kind: WebhookEvent::Route,
        r#type: format!("route.{word}"),
        at,
        extension: extension.clone(),
        data,
    }
}

fn data(
    extension: &ExtensionId,
    before: Option<&Route>,
    after: Option<&Route>,
    at: UnixTime,
    actor: &Actor,
) -> Value {
    json!({
        "extension": extension,
        "before": RouteDoc::of(before, at),
        "route": RouteDoc::of(after, at),
        "by": actor.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use callhop_calls::directory::RouteTarget;
    use callhop_store::{Progress, Revision};

    use super::*;

    fn route(end: RouteEnd) -> Option<Route> {
        let target = RouteTarget::Device("1002@lab.test".parse().unwrap());
        Some(Route { target, end })
    }

    /// The types and times of what a change tells whom knows of routes that ended until 100.
    fn check(at: i64, by: &str, before: Option<Route>, after: Option<Route>, expect: &str) {
        let change = RouteChange {
            revision: Revision::from_number(7),
            at: UnixTime(at),
            actor: by.parse().unwrap(),
            before,
            after,
        };
        let progress = |revision| Progress {
            revision: Revision::from_number(revision),
            routes_ended: UnixTime(100),
        };
        let untold = Untold {
            from: progress(6),
            to: progress(7),
            moves: Vec::new(),
            changes: vec![("1000@lab.test".parse().unwrap(), change)],
            ended: Vec::new(),
        };
        let events = events(&untold);
        let told: Vec<String> = events
            .iter()
            .map(|event| format!("{} {}", event.r#type, event.at.0))
            .collect();
        assert_eq!(told.join(", "), expect);
    }

    #[test]
    fn a_change_is_told_once_and_a_route_that_had_ended_before_it() {
        let (never, once) = (RouteEnd::Never, RouteEnd::NextCall);
        let until = |at| route(RouteEnd::At(UnixTime(at)));
        check(200, "cli:a", None, route(never), "route.set 200");
        check(200, "api:a", route(never), None, "route.reset 200");
        check(200, "controller", route(once), None, "route.ended 200");
        check(200, "cli:a", until(300), None, "route.reset 200");
        check(200, "cli:a", until(150), None, "route.ended 150");
        let both = "route.ended 150, route.set 200";
        check(200, "cli:a", until(150), route(never), both);
        // Of that one they were told when it ended.
        check(200, "cli:a", until(90), route(never), "route.set 200");
        check(200, "controller", until(90), None, "");
    }

    #[test]
    fn a_message_has_the_documents_of_the_api() {
        let extension = "1000@lab.test".parse().unwrap();
        let at = UnixTime(1_700_000_000);
        let data = data(
            &extension,
            None,
            route(RouteEnd::Never).as_ref(),
            at,
            &Actor::Controller,
        );
        let body: Value = serde_json::from_str(&event("set", at, &extension, data).body()).unwrap();
        assert_eq!(body["type"], "route.set");
        assert_eq!(body["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(body["data"]["route"]["to"], "1002@lab.test");
        assert_eq!(body["data"]["before"]["rings"], "all_devices");
    }
}

//! What goes into the store and comes out of it, beside the core's own types.
//!
//! Owns the text forms of the audit trail. They are part of the database and change only with a migration:
//!
//! ```text
//! actor = "device:" number "@" domain / "cli:" name / "api:" name / "controller"
//! name  = 1*64( any character but control characters )
//! route = ( "device" / "extension" ) SP number "@" domain [ SP end ]
//! end   = "until" SP 1*DIGIT / "next-call"
//! ```

use std::{fmt, str::FromStr, sync::Arc};

use callhop_calls::{
    directory::{Extension, Route, RouteEnd, RouteTarget},
    id::{DeviceId, ExtensionId, UnixTime},
};

/// How often the database was changed: the number of the last change, counted from 0 for an empty database. A higher one was
/// committed later, on both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub(crate) i64);

impl Revision {
    /// The bare number, for logs and metrics.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// A number that somebody was given by [`Revision::get`].
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// What the revision was when the transaction began that would have written this one.
    pub(crate) fn before(self) -> Self {
        Self(self.0 - 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last change that is in it.
    pub revision: Revision,
    /// All extensions, by domain and number.
    pub extensions: Vec<Extension>,
}

/// An extension, and which change of it this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The extension.
    pub extension: Extension,
    /// The last change of the extension, its devices or its route.
    pub version: Revision,
}

/// What a writer believes to be there. The belief is checked in the transaction that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing in particular.
    Whatever,
    /// There is no such extension.
    Nothing,
    /// There is such an extension.
    Something,
    /// There is one, as it was after this change.
    Version(Revision),
}

/// What became of an extension that was put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its last change.
    pub version: Revision,
    /// Whether it was not there before.
    pub created: bool,
}

/// What is different from what the asker knew, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// What to ask from the next time.
    pub revision: Revision,
    /// Extensions that are new or have a new route or devices, as they are now.
    pub changed: Vec<Extension>,
    /// Extensions that are gone.
    pub removed: Vec<ExtensionId>,
    /// The database is *older* than what the asker knew (a backup was played in): `changed` holds all extensions, and
    /// every one that is not in it is gone. Otherwise false.
    pub complete: bool,
}

impl Changes {
    pub(crate) fn none(revision: Revision) -> Self {
        Self {
            revision,
            changed: Vec::new(),
            removed: Vec::new(),
            complete: false,
        }
    }

    /// Whether the asker knows everything already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.complete && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    /// The change of the database that it was.
    pub revision: Revision,
    /// When, by the clock of who wrote it.
    pub at: UnixTime,
    /// Who.
    pub actor: Actor,
    /// The route until then; `None`: all devices rang.
    pub before: Option<Route>,
    /// The route from then on; `None`: all devices ring.
    pub after: Option<Route>,
}

/// Who changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person by a star code on this device.
    Device(DeviceId),
    /// Somebody on the controller's command line.
    Cli {
        /// Their name in the operating system.
        user: ActorName,
    },
    /// A client of the HTTP interface.
    Api {
        /// The name of its token.
        client: ActorName,
    },
    /// Callhop itself: a route was over.
    Controller,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device:{device}"),
            Self::Cli { user } => write!(f, "cli:{user}"),
            Self::Api { client } => write!(f, "api:{client}"),
            Self::Controller => f.write_str("controller"),
        }
    }
}

impl FromStr for Actor {
    type Err = NotAnActor;

    fn from_str(text: &str) -> Result<Self, NotAnActor> {
        match text.split_once(':') {
            Some(("device", id)) => id.parse().map(Self::Device).map_err(|_| NotAnActor),
            Some(("cli", name)) => Ok(Self::Cli {
                user: name.parse()?,
            }),
            Some(("api", name)) => Ok(Self::Api {
                client: name.parse()?,
            }),
            None if text == "controller" => Ok(Self::Controller),
            Some(_) | None => Err(NotAnActor),
        }
    }
}

/// The name of a user or a token: 1 to 64 characters without control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct ActorName(Arc<str>);

impl FromStr for ActorName {
    type Err = NotAnActor;

    fn from_str(text: &str) -> Result<Self, NotAnActor> {
        if text.is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
            return Err(NotAnActor);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not the name of somebody who could have changed a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("who did it has 1 to 64 characters without control characters")]
pub struct NotAnActor;

/// The text of a route in the audit trail.
pub(crate) fn route_text(route: &Route) -> String {
    let target = match &route.target {
        RouteTarget::Device(device) => format!("device {device}"),
        RouteTarget::Extension(extension) => format!("extension {extension}"),
    };
    match route.end {
        RouteEnd::Never => target,
        RouteEnd::At(UnixTime(at)) => format!("{target} until {at}"),
        RouteEnd::NextCall => format!("{target} next-call"),
    }
}

/// The route of a text in the audit trail; `None` if it is not one.
pub(crate) fn route_of_text(text: &str) -> Option<Route> {
    let mut words = text.split(' ');
    let target = match words.next()? {
        "device" => RouteTarget::Device(words.next()?.parse().ok()?),
        "extension" => RouteTarget::Extension(words.next()?.parse().ok()?),
        _ => return None,
    };
    let end = match words.next() {
        None => RouteEnd::Never,
        Some("next-call") => RouteEnd::NextCall,
        Some("until") => RouteEnd::At(UnixTime(words.next()?.parse().ok()?)),
        Some(_) => return None,
    };
    words.next().is_none().then_some(Route { target, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_routes_are_read_as_they_were_written() {
        for text in [
            "device 1001@lab.test",
            "device 1001@lab.test until 1700000000",
            "extension 1000@lab.test next-call",
        ] {
            assert_eq!(route_text(&route_of_text(text).unwrap()), text);
        }
    }

    #[test]
    fn other_texts_are_no_routes() {
        for text in [
            "",
            "device",
            "device 1001",
            "phone 1001@lab.test",
            "device 1001@lab.test until",
            "device 1001@lab.test until noon",
            "device 1001@lab.test once",
            "device 1001@lab.test next-call now",
        ] {
            assert_eq!(route_of_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn actors_are_read_as_they_were_written() {
        for text in [
            "device:1001@lab.test",
            "cli:root",
            "cli:DOMAIN\\user: x",
            "api:page",
            "controller",
        ] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for text in ["", "cli", "cli:", "device:1001", "cli:a\0b", "controller:x"] {
            assert_eq!(text.parse::<Actor>(), Err(NotAnActor), "{text:?}");
        }
    }
}

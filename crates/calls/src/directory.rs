//! Who has which devices, and where they want their calls.
//!
//! Owns the directory as last read from the database, with the index from a device to its extension. Refuses to guess:
//! a device that it does not know belongs to nobody. The database keeps the rules (a device belongs to one extension);
//! this copy is what the core asks on the way of a call, also while the database is down.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, ExtensionId, Number, UnixTime};

/// Where an extension's calls go instead of to all of its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "to")]
pub enum RouteTarget {
    /// `*50`, `*49<device>`: this own device only.
    Device(DeviceId),
    /// `*49<extension>`: a colleague, who then rings as their own route says.
    Extension(ExtensionId),
}

/// When a route ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "at")]
pub enum RouteEnd {
    /// It stays until it is replaced or reset.
    Never,
    /// It is over at this time; the extension then rings everywhere again.
    At(UnixTime),
    /// It is over once one inbound call has rung by it.
    NextCall,
}

/// The cold route of an extension. No route means: every device rings at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where calls go.
    pub target: RouteTarget,
    /// How long.
    pub end: RouteEnd,
}

impl Route {
    /// Whether the route still counts at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: UnixTime) -> bool {
        match self.end {
            RouteEnd::Never | RouteEnd::NextCall => true,
            RouteEnd::At(end) => now < end,
        }
    }
}

/// A person with their devices and their route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its number and domain.
    pub id: ExtensionId,
    /// Its devices, all of the same domain, in the order in which the admin named them.
    pub devices: Vec<Number>,
    /// Where its calls go; `None` rings all devices.
    pub route: Option<Route>,
}

impl Extension {
    /// The devices by their full names.
    pub fn device_ids(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.devices
            .iter()
            .map(|number| DeviceId::new(number.clone(), self.id.domain.clone()))
    }

    /// Whether `device` is one of this extension's own.
    #[must_use]
    pub fn owns(&self, device: &DeviceId) -> bool {
        device.domain == self.id.domain && self.devices.contains(&device.number)
    }
}

/// All extensions, as last read from the database.
#[derive(Debug, Default, Clone)]
pub struct Directory {
    extensions: HashMap<ExtensionId, Extension>,
    owner: HashMap<DeviceId, ExtensionId>,
    routed: HashSet<ExtensionId>,
    ends: BTreeSet<(UnixTime, ExtensionId)>,
}

impl Directory {
    /// A directory of these extensions.
    #[must_use]
    pub fn new(extensions: impl IntoIterator<Item = Extension>) -> Self {
        let mut directory = Self::default();
        for extension in extensions {
            directory.insert(extension);
        }
        directory
    }

    /// Adds an extension, or replaces the one of the same name.
    pub fn insert(&mut self, extension: Extension) {
        self.remove(&extension.id);
        for device in extension.device_ids() {
            self.owner.insert(device, extension.id.clone());
        }
        if let Some(route) = &extension.route {
            self.routed.insert(extension.id.clone());
            if let RouteEnd::At(end) = route.end {
                self.ends.insert((end, extension.id.clone()));
            }
        }
        self.extensions.insert(extension.id.clone(), extension);
    }

    /// Forgets an extension and its devices; unknown ones are no error.
    pub fn remove(&mut self, id: &ExtensionId) {
        if let Some(old) = self.extensions.remove(id) {
            self.routed.remove(id);
            if let Some(Route {
                end: RouteEnd::At(end),
                ..
            }) = old.route
            {
                self.ends.remove(&(end, id.clone()));
            }
            for device in old.device_ids() {
                if self.owner.get(&device) == Some(id) {
                    self.owner.remove(&device);
                }
            }
        }
    }

    /// The extension of that name.
    #[must_use]
    pub fn extension(&self, id: &ExtensionId) -> Option<&Extension> {
        self.extensions.get(id)
    }

    /// The extension to which a device belongs.
    #[must_use]
    pub fn owner(&self, device: &DeviceId) -> Option<&Extension> {
        self.extensions.get(self.owner.get(device)?)
    }

    /// The extensions that have a route, in force or not.
    pub fn routed(&self) -> impl Iterator<Item = &ExtensionId> {
        self.routed.iter()
    }

    /// The ends of routes after `since`, the earliest first.
    pub fn ends_after(&self, since: UnixTime) -> impl Iterator<Item = &(UnixTime, ExtensionId)> {
        self.ends.iter().skip_while(move |(end, _)| *end <= since)
    }

    /// All extensions, in no particular order.
    pub fn extensions(&self) -> impl Iterator<Item = &Extension> {
        self.extensions.values()
    }
}

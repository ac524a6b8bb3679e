//! Who has which devices, and where they want their calls.
//!
//! Owns the directory as last read from the database, with the index from a device to its extension. Refuses to guess:
//! a device that it does not know belongs to nobody. The database keeps the rules (a device belongs to one extension);
//! this copy is what the core asks on the way of a call, also while the database is down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Domain, ExtensionId, Number, UnixTime};

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
    domains: HashMap<Domain, Tenant>,
    /// When routes end by themselves.
    ends: BTreeMap<UnixTime, BTreeSet<ExtensionId>>,
    /// Whose route leads to an extension, also to one that is not there.
    led_to: HashMap<ExtensionId, BTreeSet<ExtensionId>>,
}

/// One domain. The numbers are kept without it: there may be a million.
#[derive(Debug, Default, Clone)]
struct Tenant {
    extensions: HashMap<Number, Extension>,
    /// The extension of each device.
    owners: HashMap<Number, Number>,
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
    pub fn insert(&mut self, mut extension: Extension) {
        self.remove(&extension.id);
        // One text for the domain, however many extensions it has.
        if let Some((domain, _)) = self.domains.get_key_value(&extension.id.domain) {
            extension.id.domain = domain.clone();
        }
        let id = &extension.id;
        if let Some(route) = &extension.route {
            if let RouteEnd::At(end) = route.end {
                self.ends.entry(end).or_default().insert(id.clone());
            }
            if let RouteTarget::Extension(to) = &route.target {
                self.led_to
                    .entry(to.clone())
                    .or_default()
                    .insert(id.clone());
            }
        }
        let tenant = self.domains.entry(id.domain.clone()).or_default();
        for device in &extension.devices {
            tenant.owners.insert(device.clone(), id.number.clone());
        }
        extension.devices.shrink_to_fit();
        tenant
            .extensions
            .insert(extension.id.number.clone(), extension);
    }

    /// Forgets an extension and its devices; unknown ones are no error.
    pub fn remove(&mut self, id: &ExtensionId) {
        let Some(tenant) = self.domains.get_mut(&id.domain) else {
            return;
        };
        let Some(old) = tenant.extensions.remove(&id.number) else {
            return;
        };
        for device in &old.devices {
            if tenant.owners.get(device) == Some(&id.number) {
                tenant.owners.remove(device);
            }
        }
        self.unlist_route(&old);
    }

    /// Takes `route` from the extension, if it is still that one. Whether it was.
    pub fn end_route(&mut self, id: &ExtensionId, route: &Route) -> bool {
        let known = self
            .domains
            .get_mut(&id.domain)
            .and_then(|tenant| tenant.extensions.get_mut(&id.number))
            .filter(|extension| extension.route.as_ref() == Some(route));
        let Some(extension) = known else {
            return false;
        };
        let old = Extension {
            route: extension.route.take(),
            ..extension.clone()
        };
        self.unlist_route(&old);
        true
    }

    fn unlist_route(&mut self, old: &Extension) {
        let Some(route) = &old.route else { return };
        if let RouteEnd::At(end) = route.end
            && let Some(ids) = self.ends.get_mut(&end)
        {
            ids.remove(&old.id);
            if ids.is_empty() {
                self.ends.remove(&end);
            }
        }
        if let RouteTarget::Extension(to) = &route.target
            && let Some(ids) = self.led_to.get_mut(to)
        {
            ids.remove(&old.id);
            if ids.is_empty() {
                self.led_to.remove(to);
            }
        }
    }

    /// The extension of that name.
    #[must_use]
    pub fn extension(&self, id: &ExtensionId) -> Option<&Extension> {
        self.domains.get(&id.domain)?.extensions.get(&id.number)
    }

    /// The extension to which a device belongs.
    #[must_use]
    pub fn owner(&self, device: &DeviceId) -> Option<&Extension> {
        let tenant = self.domains.get(&device.domain)?;
        tenant.extensions.get(tenant.owners.get(&device.number)?)
    }

    /// The directory's own text of a device's number: to keep that one needs no memory.
    pub(crate) fn number_of(&self, device: &DeviceId) -> Option<&Number> {
        let tenant = self.domains.get(&device.domain)?;
        let (number, _) = tenant.owners.get_key_value(&device.number)?;
        Some(number)
    }

    /// These extensions, and all whose routes lead to one of them, in force or not, over one another or not.
    #[must_use]
    pub fn leading_to(&self, ids: impl IntoIterator<Item = ExtensionId>) -> BTreeSet<ExtensionId> {
        let mut to_do: Vec<_> = ids.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(id) = to_do.pop() {
            // One that was found before has had its turn, so that a circle ends.
            if found.insert(id.clone()) {
                to_do.extend(self.led_to.get(&id).into_iter().flatten().cloned());
            }
        }
        found
    }

    /// When the next route after `since` ends by itself.
    #[must_use]
    pub fn next_end(&self, since: UnixTime) -> Option<UnixTime> {
        let after = (Bound::Excluded(since), Bound::Unbounded);
        self.ends.range(after).next().map(|(end, _)| *end)
    }

    /// The extensions whose routes ended after `since` and not later than `until`.
    pub fn ended(&self, since: UnixTime, until: UnixTime) -> impl Iterator<Item = &ExtensionId> {
        let between = (Bound::Excluded(since), Bound::Included(until));
        // The calendar may have been put back; a range must not run backwards.
        let ends = (since < until).then(|| self.ends.range(between));
        ends.into_iter().flatten().flat_map(|(_, ids)| ids)
    }

    /// All extensions, in no particular order.
    pub fn extensions(&self) -> impl Iterator<Item = &Extension> {
        self.domains
            .values()
            .flat_map(|tenant| tenant.extensions.values())
    }
}

//! Where the devices of one switch are registered.
//!
//! Owns the contacts, kept small because there may be a million of them. Refuses to take silence for an answer: until all
//! registrations have been told once, nothing is held against a device that has none.

use std::collections::HashMap;

use crate::directory::Directory;
use crate::id::{DeviceId, Domain, Number};

/// The contacts of each device that has some.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    domains: HashMap<Domain, HashMap<Number, Box<[String]>>>,
    /// Whether all registrations have been told since the start.
    is_complete: bool,
}

impl Contacts {
    /// The contacts of a device.
    pub(super) fn of(&self, device: &DeviceId) -> &[String] {
        self.domains
            .get(&device.domain)
            .and_then(|domain| domain.get(&device.number))
            .map_or(&[], Box::as_ref)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether a device can be reached, as far as is known.
    pub(super) fn is_registered(&self, device: &DeviceId) -> bool {
        !self.is_complete || !self.of(device).is_empty()
    }

    /// Sets the contacts of one device. The directory lends its own text of the number.
    pub(super) fn set(
        &mut self,
        device: &DeviceId,
        mut contacts: Vec<String>,
        directory: &Directory,
    ) {
        if contacts.is_empty() {
            if let Some(domain) = self.domains.get_mut(&device.domain) {
                domain.remove(&device.number);
                if domain.is_empty() {
                    self.domains.remove(&device.domain);
                }
            }
            return;
        }
        contacts.iter_mut().for_each(String::shrink_to_fit);
        let number = directory.number_of(device).unwrap_or(&device.number);
        self.domains
            .entry(device.domain.clone())
            .or_default()
            .insert(number.clone(), contacts.into_boxed_slice());
    }

    /// Sets the contacts of all devices.
    pub(super) fn replace(&mut self, all: HashMap<DeviceId, Vec<String>>, directory: &Directory) {
        self.domains.clear();
        self.is_complete = true;
        for (device, contacts) in all {
            self.set(&device, contacts, directory);
        }
    }
}

//! The routing snapshot on the switches.
//!
//! Owns what has been written there, and writes only what has changed. Refuses to write while a switch can't be reached, or
//! before its registrations are known: the snapshot that it has from before is better than a wrong one.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Answer, Core, Output};
use crate::id::{DeviceId, ExtensionId, SwitchName};

/// The snapshot is remembered by a hash, because the answers of a million devices would fill the memory.
fn hash(answer: &Answer) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

impl Core {
    /// Publishes everything, because the switch may have been restarted and its snapshot be lost.
    pub(super) fn publish_anew(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let before = std::mem::take(&mut switch.published);
        self.publish_all(name);
        let Some(switch) = self.switches.get(name) else {
            return;
        };
        // What has ended while the switch could not be told.
        for (id, _) in before {
            if !switch.published.contains_key(&id) {
                self.outputs
                    .push_back(Output::Publish(name.clone(), id, None));
            }
        }
    }

    /// Publishes what has changed for any extension, on one switch.
    pub(super) fn publish_all(&mut self, name: &SwitchName) {
        let ids: Vec<_> = self
            .directory
            .extensions()
            .map(|extension| extension.id.clone())
            .collect();
        self.publish(name, ids);
    }

    /// Publishes what has changed because of one device.
    pub(super) fn publish_device(&mut self, name: &SwitchName, device: &DeviceId) {
        if let Some(owner) = self.directory.owner(device) {
            let ids = self.directory.leading_to([owner.id.clone()]);
            self.publish(name, ids);
        }
    }

    /// Publishes what has changed because of these extensions, which may be gone, on every switch.
    pub(super) fn publish_everywhere(&mut self, ids: impl IntoIterator<Item = ExtensionId>) {
        let ids: BTreeSet<_> = ids.into_iter().collect();
        self.lamps_changed(&ids);
        let ids = self.directory.leading_to(ids);
        let names: Vec<_> = self.switches.keys().cloned().collect();
        for name in names {
            self.publish(&name, ids.iter().cloned());
        }
    }

    fn publish(&mut self, name: &SwitchName, ids: impl IntoIterator<Item = ExtensionId>) {
        let Some(switch) = self
            .switches
            .get(name)
            .filter(|switch| switch.fresh && switch.contacts.is_complete())
        else {
            return;
        };
        let answers: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let answer = self
                    .resolve(switch, &id)
                    .map(|hunt| Answer::new(&hunt.targets, switch))
                    .filter(|answer| !answer.targets.is_empty());
                (id, answer)
            })
            .collect();
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        for (id, answer) in answers {
            let before = match &answer {
                Some(answer) => switch.published.insert(id.clone(), hash(answer)),
                None => switch.published.remove(&id),
            };
            if before != answer.as_ref().map(hash) {
                self.outputs
                    .push_back(Output::Publish(name.clone(), id, answer));
            }
        }
    }
}

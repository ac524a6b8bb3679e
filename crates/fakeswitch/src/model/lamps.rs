//! Keys with lamps: who has subscribed to which name, and what the last NOTIFY said.
//!
//! Owns the subscriptions to names of another kind than mod_sofia's own (`kind+name@domain`). As the real one it answers none of
//! them by itself: whoever listens hears PRESENCE_PROBE, and PRESENCE_IN is what the phones are told (sofia_presence.c).

use super::World;
use crate::{events::Event, wire::Command};

impl World {
    /// A phone subscribes to a name, or renews that.
    pub(super) fn subscribe_lamp(&mut self, name: String) {
        let kind = name.split('+').next().unwrap_or_default().to_owned();
        let probe = Event::new("PRESENCE_PROBE")
            .with("proto", kind)
            .with("to", name.clone())
            .with("proto-specific-event-name", "dialog");
        self.lamps.entry(name).or_default();
        self.emit(&probe);
    }

    /// What the phones that have subscribed to the name show: `lit`, `dark`, or nothing before the first NOTIFY.
    pub(super) fn lamp(&self, name: &str) -> String {
        let state = self.lamps.get(name).copied().flatten();
        state
            .map_or("", |lit| if lit { "lit" } else { "dark" })
            .to_owned()
    }

    /// `sendevent`, of which only PRESENCE_IN does anything here.
    pub(super) fn send_event(&mut self, name: &str, command: &Command) -> String {
        if name == "PRESENCE_IN"
            && let Some(from) = command.header("from")
            && let Some(shown) = self.lamps.get_mut(from)
        {
            *shown = Some(command.header("answer-state") == Some("confirmed"));
        }
        format!("+OK {}", self.random.uuid())
    }
}

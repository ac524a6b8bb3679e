//! What there is to see from outside, and who waits to see it.

use super::{
    World,
    channel::{Channel, Task, Tone, Uuid},
};
use crate::phone::{CallState, CallView, Heard, Hears, PhoneView};

/// The switch as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchView {
    /// Identity of this run of the switch.
    pub core_uuid: String,
    /// Live channels, oldest first.
    pub channels: Vec<ChannelView>,
    /// Bridges, oldest first: who runs it and with whom.
    pub bridges: Vec<(String, String)>,
    /// Entries of the hash: realm, key, value.
    pub hash: Vec<(String, String, String)>,
    /// Authenticated links of the event socket.
    pub links: usize,
    /// Questions that the dialplan has asked the controller, oldest first.
    pub questions: Vec<Question>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// Its UUID.
    pub uuid: String,
    /// The label of its phone.
    pub phone: String,
    /// The phone called, rather than being called.
    pub inbound: bool,
    /// It is answered.
    pub answered: bool,
    /// Its variables.
    pub variables: Vec<(String, String)>,
}

impl ChannelView {
    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut list = self.variables.iter();
        list.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A question to the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The channel that asked.
    pub channel: String,
    /// Path of the URL.
    pub path: String,
    /// Body of the answer, once there is one.
    pub answer: Option<String>,
}

impl World {
    /// After every input: notes what has changed for whom, and looks whether somebody has waited for it.
    pub(super) fn settle(&mut self) {
        for uuid in std::mem::take(&mut self.dirty) {
            self.note_heard(&uuid);
            let peer = self.channels.get(&uuid).and_then(|c| c.peer.clone());
            if let Some(peer) = peer {
                self.note_heard(&peer);
            }
        }
        let mut phones = std::mem::take(&mut self.phone_watches);
        phones.retain(|(_, _, reply)| !reply.is_closed());
        for (id, mut condition, reply) in phones {
            let view = self.phone_view(id);
            if condition(&view) {
                // Whoever waited may have given up this moment.
                let _ = reply.send(view);
            } else {
                self.phone_watches.push((id, condition, reply));
            }
        }
        let mut switch = std::mem::take(&mut self.switch_watches);
        switch.retain(|(_, reply)| !reply.is_closed());
        if switch.is_empty() {
            return;
        }
        let view = self.switch_view();
        for (mut condition, reply) in switch {
            if condition(&view) {
                let _ = reply.send(view.clone());
            } else {
                self.switch_watches.push((condition, reply));
            }
        }
    }

    fn note_heard(&mut self, uuid: &Uuid) {
        let Some(channel) = self.channels.get(uuid) else {
            return;
        };
        let hears = self.hears(channel);
        if channel.heard.last().is_some_and(|last| last.what == hears) {
            return;
        }
        if let Some(channel) = self.channels.get_mut(uuid) {
            channel.heard.push(Heard {
                at: std::time::Instant::now(),
                what: hears,
            });
        }
    }

    fn hears(&self, channel: &Channel) -> Hears {
        match &channel.task {
            Task::Tone(Tone::Beep) => Hears::Beep,
            Task::Tone(Tone::Refusal) => Hears::RefusalTone,
            Task::Tone(Tone::Voicemail) => Hears::Voicemail,
            Task::Tone(Tone::Announcement) => Hears::Announcement,
            Task::AwaitAnswer { .. } => Hears::Ringback,
            Task::Sound(step) => step.hears(channel),
            Task::Leg { .. } | Task::Originated(_) => Hears::Nothing,
            Task::Tone(Tone::Conference) => Hears::Silence,
            Task::Originating { .. } if channel.queued => Hears::Moh,
            Task::Originating { legs, .. } => self.hears_ringing(channel, legs),
            Task::Bridged => self.hears_peer(channel),
            Task::Asking(_) | Task::Parked | Task::Moving | Task::BridgePending { .. } => {
                if channel.answered || (channel.inbound && channel.early_media) {
                    Hears::Silence
                } else {
                    Hears::Nothing
                }
            }
        }
    }

    fn hears_ringing(&self, channel: &Channel, legs: &[Uuid]) -> Hears {
        let early = legs
            .iter()
            .filter_map(|leg| self.channels.get(leg))
            .find(|leg| leg.early_media);
        match early {
            Some(leg) => Hears::Party(self.label(leg)),
            None if channel.profile.progress.is_some() || channel.answered => Hears::Ringback,
            None => Hears::Nothing,
        }
    }

    fn hears_peer(&self, channel: &Channel) -> Hears {
        let peer = channel.peer.as_ref().and_then(|p| self.channels.get(p));
        match peer {
            _ if channel.phone_hold => Hears::Nothing,
            Some(peer) if peer.phone_hold && peer.switch_hold => Hears::Moh,
            // The switch has forgotten about the hold; the phone has not.
            Some(peer) if peer.phone_hold => Hears::Silence,
            Some(peer) => Hears::Party(self.label(peer)),
            None => Hears::Silence,
        }
    }

    fn label(&self, channel: &Channel) -> String {
        let party = self.parties.get(channel.party);
        party.map(|p| p.label.clone()).unwrap_or_default()
    }

    fn phone_view(&self, id: usize) -> PhoneView {
        let calls = self.channels_of(id).map(|channel| CallView {
            channel: channel.uuid.to_string(),
            state: match (channel.answered, channel.inbound) {
                (true, _) => CallState::Answered,
                (false, true) => CallState::Dialling,
                (false, false) => CallState::Ringing,
            },
            began: channel.began,
            code: channel.sip_code(),
            hears: self.hears(channel),
            heard: channel.heard.clone(),
            digits: channel.digits.clone(),
            digits_sent: channel.keypad.sent.clone(),
            display: channel.display.clone(),
            display_name: channel.display_name.clone(),
            on_hold: channel.phone_hold,
        });
        let calls = calls.collect();
        match self.parties.get(id) {
            Some(party) => PhoneView {
                label: party.label.clone(),
                registered: party.registered,
                calls,
                ended: party.ended.clone(),
            },
            None => PhoneView {
                label: String::new(),
                registered: false,
                calls,
                ended: Vec::new(),
            },
        }
    }

    fn switch_view(&self) -> SwitchView {
        let channels = self.channels_in_order().into_iter();
        let channels = channels.map(|channel| ChannelView {
            uuid: channel.uuid.to_string(),
            phone: self.label(channel),
            inbound: channel.inbound,
            answered: channel.answered,
            variables: channel
                .vars
                .iter()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
        });
        SwitchView {
            core_uuid: self.core_uuid.clone(),
            channels: channels.collect(),
            bridges: self
                .bridges
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect(),
            hash: self
                .hash
                .iter()
                .map(|((realm, key), value)| (realm.clone(), key.clone(), value.clone()))
                .collect(),
            links: self.link_count(),
            questions: self.questions.clone(),
        }
    }
}

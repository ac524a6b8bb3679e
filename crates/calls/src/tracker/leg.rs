//! What is told about legs, and what is kept of it.
//!
//! Owns the values that the driver hands in and the record of one leg. Refuses old news: facts that are older than those
//! known only fill in what is still unknown.

use std::time::Duration;

use super::pairing::Pairing;
use crate::id::{ChannelId, DeviceId, MoveId};

/// The switch's own number of an event; a larger one is younger. Unique per switch and run of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// When something happened, by one clock of the driver's choice: the switch's own where its events tell (FreeSWITCH:
/// `Event-Date-Timestamp`), the arrival of the event else. Where that clock began is nobody's business: only the time
/// between two events of one switch means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwitchTime(pub Duration);

/// Who set the leg up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The party called the switch (FreeSWITCH: `Call-Direction: inbound`).
    Inbound,
    /// The switch called the party (FreeSWITCH: `Call-Direction: outbound`).
    Outbound,
}

/// How far the leg has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// Not answered, and no media either.
    Setup,
    /// Not answered, with early media (RFC 3960).
    EarlyMedia,
    /// Answered.
    Answered,
}

/// What the leg has to do with another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bond {
    /// Nothing: being set up, or with an application (voicemail, IVR, conference, queue, park).
    Alone,
    /// It is being called for that leg (FreeSWITCH: the originator of an outbound leg).
    RingsFor(ChannelId),
    /// It is bridged to that leg.
    TalksTo(ChannelId),
}

/// The party at a leg's other side, for people to read. Never used to identify anybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Party {
    /// Caller ID number, as the switch shows it.
    pub number: String,
    /// Caller ID name, as the switch shows it.
    pub name: String,
}

/// Whether a leg listens for the push code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Arming {
    /// No.
    #[default]
    No,
    /// It will, from its answer on.
    Prepared,
    /// It does.
    Armed,
}

/// What any event with the channel's data tells about a leg as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The authenticated device, or the device that was called; `None` for everybody else.
    pub device: Option<DeviceId>,
    /// Who set the leg up.
    pub direction: Direction,
    /// How far it has come.
    pub progress: Progress,
    /// For an outbound leg: the leg for which it is being called.
    pub originator: Option<ChannelId>,
    /// Who is shown at this leg.
    pub party: Party,
    /// The codec that the switch receives from this leg, once there is one, e.g. `PCMU`.
    pub codec: Option<String>,
    /// Where the phone is, in the switch's own words: it tells the registrations of one device apart.
    pub phone: Option<String>,
    /// Whether it listens for the push code.
    pub arming: Arming,
    /// The push that has made this leg.
    pub made_by: Option<MoveId>,
}

/// What happened to a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The leg appeared, or its facts are told again.
    Told,
    /// It was bridged to the other leg.
    Bridged(ChannelId),
    /// It was taken apart from the other leg.
    Unbridged(ChannelId),
    /// Its party put the other one on hold.
    Held,
    /// Its party took the other one back.
    Unheld,
    /// It is gone.
    Gone,
}

/// One event about one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvent {
    /// The switch's number of the event.
    pub sequence: Sequence,
    /// The leg.
    pub leg: ChannelId,
    /// When it happened; `None` if nobody said so. Nothing is decided by it: it measures how long a far end was alone.
    pub at: Option<SwitchTime>,
    /// What the event tells about the leg; `None` if it carries no channel data.
    pub facts: Option<Facts>,
    /// What happened.
    pub change: Change,
}

/// A leg as a snapshot of the switch shows it. A snapshot names the older calls first: without an event that tells when a
/// call began, the order of the readings stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLeg {
    /// The switch's number at the moment of the reading.
    pub sequence: Sequence,
    /// The leg.
    pub leg: ChannelId,
    /// What was read.
    pub facts: Facts,
    /// The leg to which it is bridged.
    pub talks_to: Option<ChannelId>,
    /// Whether its party has put the other one on hold.
    pub holds: bool,
}

/// A leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The device at its other end, if it is one of ours.
    pub device: Option<DeviceId>,
    /// Who set it up.
    pub direction: Direction,
    /// How far it has come.
    pub progress: Progress,
    /// What it has to do with another leg, which is always one that the tracker has.
    pub bond: Bond,
    /// Whether its party has put the other one on hold.
    pub holds: bool,
    /// Who is shown at it.
    pub party: Party,
    /// Its codec, once there is one.
    pub codec: Option<String>,
    /// Where the phone is, once that is known.
    pub phone: Option<String>,
    /// When it came into its present state: the larger, the newer the call.
    pub since: Sequence,
    /// The push that has made this leg.
    pub made_by: Option<MoveId>,
    /// Whether it listens for the push code.
    pub(super) arming: Arming,
    /// What has been ordered so that it does.
    pub(super) arming_ordered: Arming,
    /// The leg for which it was called, also after it has been answered.
    pub(super) originator: Option<ChannelId>,
    pub(super) pairing: Pairing,
    /// The newest facts; `None` as long as only the name is known, because another leg's event named it.
    told: Option<Sequence>,
    hold_set: Sequence,
}

/// What new facts have changed, apart from what is only shown.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Anything at all.
    pub(super) changed: bool,
    /// The device was another one, or none, before.
    pub(super) device_was: Option<Option<DeviceId>>,
    /// The originator was another one, or none, before.
    pub(super) originator_was: Option<Option<ChannelId>>,
    /// It may ring for its originator now, or does not any more.
    pub(super) ringing: bool,
}

impl Leg {
    /// A leg of which only the name is known. It is taken for one that talks until its own facts come.
    pub(super) fn named(sequence: Sequence) -> Self {
        Self {
            device: None,
            direction: Direction::Inbound,
            progress: Progress::Answered,
            bond: Bond::Alone,
            holds: false,
            party: Party::default(),
            codec: None,
            phone: None,
            since: sequence,
            made_by: None,
            arming: Arming::No,
            arming_ordered: Arming::No,
            originator: None,
            pairing: Pairing::default(),
            told: None,
            hold_set: Sequence::default(),
        }
    }

    pub(super) fn learn(&mut self, facts: Facts, sequence: Sequence) -> Learned {
        let Facts {
            device,
            direction,
            progress,
            originator,
            party,
            codec,
            phone,
            arming,
            made_by,
        } = facts;
        let first = self.told.is_none();
        let newer = self.told.is_none_or(|told| told < sequence);
        let mut learned = Learned {
            changed: first,
            ..Learned::default()
        };
        if newer {
            self.told = Some(sequence);
            learned.ringing |= self.direction != direction;
            self.direction = direction;
        }
        self.made_by = self.made_by.or(made_by);
        let answers_now = !first && progress == Progress::Answered && self.progress < progress;
        match arming {
            Arming::No => {}
            // What is prepared only after the answer is never done.
            Arming::Prepared if answers_now => self.arming = Arming::Armed,
            Arming::Prepared if progress < Progress::Answered => {
                self.arming = self.arming.max(arming);
            }
            Arming::Prepared => {}
            Arming::Armed => self.arming = arming,
        }
        // A leg never goes back: the furthest that was told is true, in whatever order it came.
        if first || progress > self.progress {
            learned.ringing |= self.progress != progress;
            if progress > self.progress {
                self.since = self.since.max(sequence);
            }
            self.progress = progress;
        }
        learned.changed |= learned.ringing;
        if device.is_some() && device != self.device && (newer || self.device.is_none()) {
            learned.device_was = Some(std::mem::replace(&mut self.device, device));
            learned.changed = true;
        }
        if originator.is_some()
            && originator != self.originator
            && (newer || self.originator.is_none())
        {
            learned.originator_was = Some(std::mem::replace(&mut self.originator, originator));
            learned.ringing = true;
        }
        if codec.is_some() && codec != self.codec && (newer || self.codec.is_none()) {
            self.codec = codec;
            learned.changed = true;
        }
        if phone.is_some() && phone != self.phone && (newer || self.phone.is_none()) {
            self.phone = phone;
            learned.changed = true;
        }
        let is_shown = !party.number.is_empty() || !party.name.is_empty();
        if is_shown && party != self.party && (newer || self.party == Party::default()) {
            self.party = party;
            learned.changed = true;
        }
        learned
    }

    /// The leg for which it rings, should that leg be there.
    pub(super) fn rings_for(&self) -> Option<&ChannelId> {
        match (self.direction, self.progress) {
            (Direction::Outbound, Progress::Setup | Progress::EarlyMedia) => {
                self.originator.as_ref()
            }
            (Direction::Outbound, Progress::Answered) | (Direction::Inbound, _) => None,
        }
    }

    pub(super) fn hold(&mut self, holds: bool, sequence: Sequence) -> bool {
        if self.hold_set >= sequence {
            return false;
        }
        self.hold_set = sequence;
        std::mem::replace(&mut self.holds, holds) != holds
    }

    /// What is still to be ordered so that it listens for the push code: before its answer, and else once it talks.
    pub(super) fn arming_wanted(&self) -> Option<Arming> {
        let wanted = match (self.progress, &self.bond) {
            (Progress::Setup | Progress::EarlyMedia, _) => Arming::Prepared,
            (Progress::Answered, Bond::TalksTo(_)) => Arming::Armed,
            (Progress::Answered, Bond::Alone | Bond::RingsFor(_)) => return None,
        };
        let is_told = self.told.is_some();
        (is_told && self.arming < wanted && self.arming_ordered < wanted).then_some(wanted)
    }

    /// The number of the newest report of a bridge: one that only repeats what was known counts here, and not in `since`.
    pub(crate) fn bridge_told(&self) -> Sequence {
        self.pairing.set()
    }

    /// The leg that it talks to.
    #[must_use]
    pub fn peer(&self) -> Option<&ChannelId> {
        match &self.bond {
            Bond::TalksTo(peer) => Some(peer),
            Bond::Alone | Bond::RingsFor(_) => None,
        }
    }
}

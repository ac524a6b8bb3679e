//! The moves under way on one switch.
//!
//! Owns the states of a pull, drawn in [`super`], and which leg takes part in which move. Refuses a second move of any leg
//! that takes part in one: whoever moves a call from its other end would move it from under the first.

use std::collections::HashMap;
use std::time::Duration;

use super::output::{MoveEnd, MoveId, MoveReport};
use crate::id::{ChannelId, DeviceId, ExtensionId, SwitchName};
use crate::pull::{Candidate, Class};
use crate::tracker::Tracker;

/// How long the bridge may take once the new leg's dialplan has been told: about a hundred times what was measured.
pub const BRIDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for a far end that still rings: longer than the dialplan lets the new leg wait for it (180 s).
pub const RINGING_TIMEOUT: Duration = Duration::from_secs(185);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// (1) The new leg's dialplan has been told.
    Asked,
    /// (2) The link was lost meanwhile: the snapshot will tell.
    Unknown,
}

/// A pull.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) extension: ExtensionId,
    pub(super) to: DeviceId,
    pub(super) new_leg: ChannelId,
    pub(super) candidate: Candidate,
    pub(super) started: Duration,
    state: State,
}

impl Move {
    pub(super) fn new(
        extension: ExtensionId,
        to: DeviceId,
        new_leg: ChannelId,
        candidate: Candidate,
        now: Duration,
    ) -> Self {
        Self {
            extension,
            to,
            new_leg,
            candidate,
            started: now,
            state: State::Asked,
        }
    }

    /// `Timer`: When the bridge has not come until then.
    fn until(&self) -> Duration {
        self.started
            + match self.candidate.class {
                Class::RingingOutbound => RINGING_TIMEOUT,
                Class::Talking | Class::Held | Class::RingingInbound => BRIDGE_TIMEOUT,
            }
    }

    fn legs(&self) -> [&ChannelId; 3] {
        [
            &self.new_leg,
            &self.candidate.old_leg,
            &self.candidate.far_leg,
        ]
    }

    /// Whether the tracker shows the bridge that the move is about.
    fn is_done(&self, tracker: &Tracker) -> bool {
        tracker
            .leg(&self.candidate.far_leg)
            .is_some_and(|far| far.peer() == Some(&self.new_leg))
    }

    pub(super) fn report(
        self,
        id: MoveId,
        switch: &SwitchName,
        end: MoveEnd,
        now: Duration,
    ) -> MoveReport {
        MoveReport {
            id,
            switch: switch.clone(),
            extension: self.extension,
            class: self.candidate.class,
            from: self.candidate.device,
            to: self.to,
            old_leg: self.candidate.old_leg,
            new_leg: self.new_leg,
            far_leg: self.candidate.far_leg,
            end,
            took: now.saturating_sub(self.started),
        }
    }
}

/// The moves under way.
#[derive(Debug, Default)]
pub(super) struct Moves {
    all: HashMap<MoveId, Move>,
    /// The move of each leg that takes part in one, in whichever role.
    of_leg: HashMap<ChannelId, MoveId>,
}

/// A move that is over, and how.
pub(super) type Ended = (MoveId, Move, MoveEnd);

impl Moves {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_moving(&self, leg: &ChannelId) -> bool {
        self.of_leg.contains_key(leg)
    }

    /// Begins a move none of whose legs is moving.
    pub(super) fn begin(&mut self, id: MoveId, m: Move) {
        for leg in m.legs() {
            self.of_leg.insert(leg.clone(), id);
        }
        self.all.insert(id, m);
    }

    /// The switch has reported the bridge of these two.
    pub(super) fn bridged(&mut self, one: &ChannelId, two: &ChannelId) -> Option<Ended> {
        let id = *self.of_leg.get(one)?;
        let m = self.all.get(&id)?;
        let (new, far) = (&m.new_leg, &m.candidate.far_leg);
        if (new, far) == (one, two) || (new, far) == (two, one) {
            self.end(id, MoveEnd::Moved)
        } else {
            None
        }
    }

    /// The leg is gone. The move goes on without the old one: whether the far end has moved, the switch reports.
    pub(super) fn gone(&mut self, leg: &ChannelId) -> Option<Ended> {
        let id = *self.of_leg.get(leg)?;
        let m = self.all.get(&id)?;
        if m.candidate.far_leg == *leg {
            self.end(id, MoveEnd::FarEndGone)
        } else if m.new_leg == *leg {
            self.end(id, MoveEnd::NewLegGone)
        } else {
            None
        }
    }

    pub(super) fn link_down(&mut self) {
        for m in self.all.values_mut() {
            m.state = State::Unknown;
        }
    }

    /// The switch has been read whole: what it shows decides, and what it leaves open goes on until its time is over.
    pub(super) fn resynced(&mut self, tracker: &Tracker, now: Duration) -> Vec<Ended> {
        let decided = |m: &Move| {
            let far = tracker.leg(&m.candidate.far_leg);
            if m.is_done(tracker) {
                Some(MoveEnd::Moved)
            } else if far.is_none() {
                Some(MoveEnd::FarEndGone)
            } else if tracker.leg(&m.new_leg).is_none() {
                Some(MoveEnd::NewLegGone)
            } else if m.until() <= now {
                Some(MoveEnd::NoBridge)
            } else {
                None
            }
        };
        let ended = self.end_all(decided);
        for m in self.all.values_mut() {
            m.state = State::Asked;
        }
        ended
    }

    /// The tracker has been corrected: a report may have been lost.
    pub(super) fn corrected(&mut self, tracker: &Tracker) -> Vec<Ended> {
        self.end_all(|m| m.is_done(tracker).then_some(MoveEnd::Moved))
    }

    /// Time has passed.
    pub(super) fn timer(&mut self, now: Duration) -> Vec<Ended> {
        self.end_all(|m| match m.state {
            State::Asked => (m.until() <= now).then_some(MoveEnd::NoBridge),
            State::Unknown => None,
        })
    }

    /// When [`Self::timer`] has something to do.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.all
            .values()
            .filter_map(|m| match m.state {
                State::Asked => Some(m.until()),
                State::Unknown => None,
            })
            .min()
    }

    fn end_all(&mut self, how: impl Fn(&Move) -> Option<MoveEnd>) -> Vec<Ended> {
        let mut over: Vec<_> = self
            .all
            .iter()
            .filter_map(|(id, m)| Some((*id, how(m)?)))
            .collect();
        over.sort_by_key(|(id, _)| *id);
        over.into_iter()
            .filter_map(|(id, end)| self.end(id, end))
            .collect()
    }

    fn end(&mut self, id: MoveId, end: MoveEnd) -> Option<Ended> {
        let m = self.all.remove(&id)?;
        for leg in m.legs() {
            self.of_leg.remove(leg);
        }
        Some((id, m, end))
    }
}

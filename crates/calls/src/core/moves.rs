//! The moves under way on one switch.
//!
//! Owns the states of a pull, drawn in [`super`], and which leg takes part in which move. Refuses a second move of any leg
//! that takes part in one: whoever moves a call from its other end would move it from under the first.

use std::collections::HashMap;
use std::time::Duration;

use super::output::{MoveEnd, MoveReport};
use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, SwitchName, UnixTime};
use crate::journal::{Kind, OpenMove, Stage};
use crate::pull::Class;
use crate::tracker::{SwitchTime, Tracker};

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
    open: OpenMove,
    new_leg: ChannelId,
    /// What kind of call it is; `None` after a restart.
    class: Option<Class>,
    /// `None` if that was before the controller was restarted.
    started: Option<Duration>,
    /// `Timer`: When the bridge has not come until then.
    until: Duration,
    /// When the switch has taken the far leg from the old one.
    apart_since: Option<SwitchTime>,
    /// How long the far leg was in no bridge after that.
    gap: Option<Duration>,
    state: State,
}

impl Move {
    /// A pull whose dialplan is about to be told.
    pub(super) fn new(open: OpenMove, new_leg: ChannelId, class: Class, now: Duration) -> Self {
        let patience = match class {
            Class::RingingOutbound => RINGING_TIMEOUT,
            Class::Talking | Class::Held | Class::RingingInbound | Class::Pushed => BRIDGE_TIMEOUT,
        };
        Self {
            open,
            new_leg,
            class: Some(class),
            started: Some(now),
            until: now + patience,
            apart_since: None,
            gap: None,
            state: State::Asked,
        }
    }

    /// A pull that an earlier run of the controller has begun. What kind of call it was is not known: the longer time counts.
    pub(super) fn adopted(open: OpenMove, new_leg: ChannelId, now: Duration) -> Self {
        Self {
            open,
            new_leg,
            class: None,
            started: None,
            until: now + RINGING_TIMEOUT,
            apart_since: None,
            gap: None,
            state: State::Unknown,
        }
    }

    fn legs(&self) -> [&ChannelId; 3] {
        [&self.new_leg, &self.open.old_leg, &self.open.far_leg]
    }

    /// Whether the tracker shows the bridge that the move is about.
    fn is_done(&self, tracker: &Tracker) -> bool {
        tracker
            .leg(&self.open.far_leg)
            .is_some_and(|far| far.peer() == Some(&self.new_leg))
    }

    /// What kind of call is pulled.
    pub(super) fn class(&self) -> Option<Class> {
        self.class
    }

    pub(super) fn open(&self) -> &OpenMove {
        &self.open
    }

    pub(super) fn report(self, end: MoveEnd, now: Duration) -> MoveReport {
        let took = self.started.map(|started| now.saturating_sub(started));
        MoveReport {
            gap: self.gap,
            ..MoveReport::new(self.open, self.class, Some(self.new_leg), end, took)
        }
    }
}

/// The pulls under way.
#[derive(Debug, Default)]
pub(super) struct Moves {
    all: HashMap<MoveId, Move>,
    /// The move of each leg that takes part in one, in whichever role.
    of_leg: HashMap<ChannelId, MoveId>,
}

/// A move that is over, and how.
pub(super) type Ended = (Move, MoveEnd);

impl Moves {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_moving(&self, leg: &ChannelId) -> bool {
        self.of_leg.contains_key(leg)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &OpenMove> {
        self.all.values().map(Move::open)
    }

    /// Begins a move none of whose legs is moving.
    pub(super) fn begin(&mut self, m: Move) {
        for leg in m.legs() {
            self.of_leg.insert(leg.clone(), m.open.id);
        }
        self.all.insert(m.open.id, m);
    }

    /// The switch has taken these two apart.
    pub(super) fn unbridged(&mut self, one: &ChannelId, two: &ChannelId, at: Option<SwitchTime>) {
        let m = self.of_leg.get(one).and_then(|id| self.all.get_mut(id));
        let Some(m) = m else { return };
        let (old, far) = (&m.open.old_leg, &m.open.far_leg);
        if (old, far) == (one, two) || (old, far) == (two, one) {
            // Told once of each leg: the first one counts.
            m.apart_since = m.apart_since.or(at);
        }
    }

    /// The switch has reported the bridge of these two.
    pub(super) fn bridged(
        &mut self,
        one: &ChannelId,
        two: &ChannelId,
        at: Option<SwitchTime>,
    ) -> Option<Ended> {
        let id = *self.of_leg.get(one)?;
        let m = self.all.get_mut(&id)?;
        let (new, far) = (&m.new_leg, &m.open.far_leg);
        if (new, far) == (one, two) || (new, far) == (two, one) {
            // A clock that was put back in between has measured nothing.
            m.gap = m
                .apart_since
                .zip(at)
                .and_then(|(since, at)| at.0.checked_sub(since.0));
            self.end(id, MoveEnd::Moved)
        } else {
            None
        }
    }

    /// The leg is gone. The move goes on without the old one: whether the far end has moved, the switch reports.
    pub(super) fn gone(&mut self, leg: &ChannelId) -> Option<Ended> {
        let id = *self.of_leg.get(leg)?;
        let m = self.all.get(&id)?;
        if m.open.far_leg == *leg {
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
            if m.is_done(tracker) {
                Some(MoveEnd::Moved)
            } else if tracker.leg(&m.open.far_leg).is_none() {
                Some(MoveEnd::FarEndGone)
            } else if tracker.leg(&m.new_leg).is_none() {
                Some(MoveEnd::NewLegGone)
            } else if m.until <= now {
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
            State::Asked => (m.until <= now).then_some(MoveEnd::NoBridge),
            State::Unknown => None,
        })
    }

    /// When [`Self::timer`] has something to do.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.all
            .values()
            .filter_map(|m| match m.state {
                State::Asked => Some(m.until),
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
        Some((m, end))
    }
}

/// What the journal keeps of a pull.
pub(super) fn open_pull(
    id: MoveId,
    switch: SwitchName,
    extension: ExtensionId,
    (from, to): (DeviceId, &DeviceId),
    (old_leg, far_leg, new_leg): (ChannelId, ChannelId, ChannelId),
    started: UnixTime,
) -> OpenMove {
    OpenMove {
        id,
        kind: Kind::Pull,
        switch,
        extension,
        from,
        to: Some(to.to_string()),
        old_leg,
        far_leg,
        new_leg: Some(new_leg),
        stage: Stage::Asked,
        started,
    }
}

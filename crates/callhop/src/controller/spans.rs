//! One span per move, from the star code to the end.
//!
//! Owns the spans of the moves under way, and which leg takes part in which. Refuses to be asked by the core, which knows of no
//! log: it sees the same outputs as the journal does. A span is closed when the move has ended and what was still being done for
//! it is done.

use std::collections::HashMap;

use callhop_calls::core::MoveReport;
use callhop_calls::id::{ChannelId, MoveId, SwitchName};
use callhop_calls::journal::OpenMove;
use tracing::field::{Empty, display};
use tracing::{Span, info_span};

#[derive(Debug)]
struct Held {
    span: Span,
    legs: Vec<Leg>,
    /// Whether the span has its field `to`: a push begins without.
    has_to: bool,
}

type Leg = (SwitchName, ChannelId);

/// The spans of all moves under way.
#[derive(Debug, Default)]
pub(super) struct Spans {
    of_move: HashMap<MoveId, Held>,
    of_leg: HashMap<Leg, MoveId>,
}

impl Spans {
    /// A move begins, or is taken up after a restart.
    pub(super) fn begin(&mut self, open: &OpenMove) -> Span {
        let span = info_span!(
            "move",
            id = %open.id,
            kind = open.kind.word(),
            switch = %open.switch,
            extension = %open.extension,
            from = %open.from,
            to = open.to.as_ref().map(display),
            outcome = Empty,
        );
        let legs = [
            Some(&open.old_leg),
            Some(&open.far_leg),
            open.new_leg.as_ref(),
        ];
        let legs = legs.into_iter().flatten();
        let legs: Vec<Leg> = legs.map(|leg| (open.switch.clone(), leg.clone())).collect();
        for leg in &legs {
            self.of_leg.insert(leg.clone(), open.id);
        }
        let held = Held {
            span: span.clone(),
            legs,
            has_to: open.to.is_some(),
        };
        self.of_move.insert(open.id, held);
        span
    }

    /// A move comes further: where it shall go may be known now.
    pub(super) fn told(&mut self, id: MoveId, to: Option<&String>) {
        if let (Some(held), Some(to)) = (self.of_move.get_mut(&id), to)
            && !std::mem::replace(&mut held.has_to, true)
        {
            held.span.record("to", display(to));
        }
    }

    /// The span of a move; none of one that is not under way.
    pub(super) fn of(&self, id: MoveId) -> Span {
        let held = self.of_move.get(&id);
        held.map_or_else(Span::none, |held| held.span.clone())
    }

    /// The span of the move in which this leg takes part.
    pub(super) fn of_leg(&self, switch: &SwitchName, leg: &ChannelId) -> Option<Span> {
        let id = self.of_leg.get(&(switch.clone(), leg.clone()))?;
        Some(self.of(*id))
    }

    /// A move has ended. Its span, which whoever has something left to do holds on to.
    pub(super) fn end(&mut self, report: &MoveReport) -> Span {
        self.told(report.id, report.to.as_ref());
        let Some(held) = self.of_move.remove(&report.id) else {
            return Span::none();
        };
        for leg in &held.legs {
            // Another move may have begun with it meanwhile.
            if self.of_leg.get(leg) == Some(&report.id) {
                self.of_leg.remove(leg);
            }
        }
        held.span.record("outcome", report.end.outcome().word());
        held.span
    }
}

//! With whom one leg talks, out of reports that come in any order.
//!
//! Owns the order of the reports about one leg: the bridge with the largest number is the one that counts, and it counts
//! until the same two are reported apart with a larger number still. Refuses to conclude anything from "apart" about
//! another pair: the switch reports the old bridge's end from a thread of its own, which may be later than the report of
//! the new bridge (switch_ivr_bridge.c, after `intercept`).

use super::Sequence;
use crate::id::ChannelId;

/// What is known of one leg's bridges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pairing {
    peer: Option<ChannelId>,
    /// The number of the newest bridge.
    set: Sequence,
    /// Ends of bridges that are newer than `set`: a bridge of that pair, should it be reported late, is over already.
    ended: Vec<(ChannelId, Sequence)>,
}

impl Pairing {
    /// To whom this leg talks, if the other leg agrees.
    pub(super) fn peer(&self) -> Option<&ChannelId> {
        self.peer.as_ref()
    }

    /// The number of the report that counts.
    pub(super) fn set(&self) -> Sequence {
        self.set
    }

    /// The leg was bridged with `peer`. Whether that is news.
    pub(super) fn bridged(&mut self, peer: &ChannelId, sequence: Sequence) -> bool {
        if sequence <= self.set {
            return false;
        }
        let is_over = self
            .ended
            .iter()
            .any(|(former, end)| former == peer && *end > sequence);
        self.put((!is_over).then_some(peer), sequence);
        true
    }

    /// The leg was taken apart from `peer`.
    pub(super) fn unbridged(&mut self, peer: &ChannelId, sequence: Sequence) {
        if sequence <= self.set {
            return;
        }
        if self.peer.as_ref() == Some(peer) {
            self.peer = None;
        }
        match self.ended.iter_mut().find(|(former, _)| former == peer) {
            Some((_, end)) => *end = sequence.max(*end),
            None => {
                self.ended.reserve_exact(1);
                self.ended.push((peer.clone(), sequence));
            }
        }
    }

    /// The leg was read, and talked to nobody: what is known of an older bridge is over. One that is not known yet may
    /// have begun at this moment, so its report will count.
    pub(super) fn read_alone(&mut self, sequence: Sequence) {
        if sequence > self.set {
            self.peer = None;
        }
    }

    fn put(&mut self, peer: Option<&ChannelId>, sequence: Sequence) {
        self.peer = peer.cloned();
        self.set = sequence;
        self.ended.retain(|(_, end)| *end > sequence);
        if self.ended.is_empty() {
            self.ended = Vec::new();
        }
    }
}

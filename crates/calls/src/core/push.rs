//! One push, from the code to its end.
//!
//! Owns the states of a push and what each thing that happens means in each of them. Refuses to know the switch: what it
//! wants comes out as [`Step`]s. Numbers are the states:
//!
//! ```text
//! code --split--> (1) Collecting --# and a number--> (2) Ringing --target answers--> (3) Completing --bridge--> moved
//!                      |                                |                                 |
//!                      |  * / time-out / refused        |  * / not reached / time-out     |  no bridge
//!                      v                                v                                 |
//!                 (4) GivingBack <----------------------+---------------------------------'
//!                      |    \
//!                      |     `--bridge of old_leg and far_leg--> as before
//!                      | old_leg gone (and a target that was answered: as (3))
//!                      v
//!                 (5) Recalling --far_leg talks--> recalled        far_leg gone, in any state --> ended
//! ```
//!
//! **Invariant**: what ends a push is what the switch reports about `far_leg`: with whom it talks, or that it is gone. `*` and
//! a failure only order; who gets the far end, if the target answers at that very moment, is decided by the switch, because
//! either side takes it only while it talks to nobody.
//! **Invariant**: a target that has answered is not released: it has the far end, or lets go by itself.

use std::time::Duration;

use super::output::{MoveEnd, RingTarget};
use crate::id::{ChannelId, DeviceId};
use crate::journal::{OpenMove, Stage};
use crate::push::PushRefusal;
use crate::tracker::Sequence;

/// The longest that dialling may take altogether. The dialplan lets the old leg wait for twice that.
pub(super) const COLLECT_LIMIT: Duration = Duration::from_secs(60);

/// How long a bridge may take that the switch has been told to make, the refusal tone included.
pub(super) const BRIDGE_LIMIT: Duration = Duration::from_secs(5);

/// What the switch is given beyond the time that the target rings to say that it was not reached.
pub(super) const RING_SLACK: Duration = Duration::from_secs(2);

/// How long the pusher's devices ring: the dialplan's `call_timeout` and the time until they do.
pub(super) const RECALL_LIMIT: Duration = Duration::from_secs(35);

/// How many digits a number has at most (`id::Number`).
const MAX_DIGITS: usize = 20;

/// Where a push stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// (1) The legs are apart, and the number is being dialled.
    Collecting {
        digits: String,
        /// `Timer`: When no further digit has come.
        until: Duration,
        /// `Timer`: When it has taken too long altogether.
        limit: Duration,
    },
    /// (2) The target rings.
    Ringing {
        /// `Timer`: When the switch has not said how it ended.
        until: Duration,
    },
    /// (3) A target's leg was answered: it takes the far leg.
    Completing {
        target: ChannelId,
        /// `Timer`: When it has not.
        until: Duration,
    },
    /// (4) The old leg has been told to take the far leg back.
    GivingBack {
        why: MoveEnd,
        /// `Timer`: When it has not.
        until: Duration,
    },
    /// (5) The far leg has been told to ring the pusher's devices.
    Recalling {
        /// `Timer`: When nobody has answered.
        until: Duration,
    },
}

/// What happens to a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    /// The old leg has dialled a digit that is neither `*` nor `#`.
    Digit(char),
    /// The old leg has dialled `*`.
    Star,
    /// The old leg has dialled `#`, and this is what the number means: how long its target rings.
    Number(Result<Duration, PushRefusal>),
    /// A leg of the target is there, not answered.
    TargetRings(ChannelId),
    /// A leg of the target was answered.
    TargetAnswered(ChannelId),
    /// A leg of the target is gone.
    TargetGone(ChannelId),
    /// The switch says that the target is not to be had.
    NotReached(String),
    /// The far leg talks to that leg.
    FarTalksTo(ChannelId),
    /// The old leg is gone.
    OldGone,
    /// The far leg is gone.
    FarGone,
    /// The legs could not be taken apart.
    NotSplit,
    /// Time has passed.
    Time,
    /// Time has passed, and nothing has been told yet of the legs having been taken apart: what the switch reports is late.
    TimeUntold,
}

/// What a push wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The journal shall know the new state.
    Note,
    /// Both legs shall be read again.
    Read,
    /// Ring the target.
    Ring,
    /// The old leg shall take the far leg back, after the refusal tone or without.
    GiveBack { tone: bool },
    /// The far leg shall ring the pusher's devices.
    Recall,
    /// Release the old leg, which is there.
    ReleaseOld,
    /// Release that leg of the target, which has not been answered.
    ReleaseTarget(ChannelId),
    /// The far leg talks; its bridge is one like all others.
    Settle,
    /// It is over. The leg that has the far end now, if that is news.
    End(MoveEnd, Option<ChannelId>),
}

/// A push.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) open: OpenMove,
    /// The device at the far end, if it is one of the directory.
    pub(super) far_device: Option<DeviceId>,
    /// `None` if that was before the controller was restarted.
    pub(super) started: Option<Duration>,
    pub(super) state: State,
    /// Whom the number means, once it has been dialled.
    pub(super) target: Option<RingTarget>,
    /// The newest that had been told of the bridge of old leg and far leg when the code was dialled: what is not younger is
    /// old news.
    pub(super) talked_since: Sequence,
    old_is_there: bool,
    digit_timeout: Duration,
    /// Legs of the target that ring.
    pub(super) ringing: Vec<ChannelId>,
    /// Legs of the target that were answered.
    answered: Vec<ChannelId>,
}

/// What the switch shows of a push after it was read whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) old_is_there: bool,
    pub(super) far_is_there: bool,
    pub(super) far_talks_to: Option<ChannelId>,
    /// The far leg rings somebody, as in a recall.
    pub(super) far_rings: bool,
    pub(super) ringing: Vec<ChannelId>,
    pub(super) answered: Vec<ChannelId>,
}

impl Push {
    /// A push whose legs are about to be taken apart.
    pub(super) fn new(
        open: OpenMove,
        far_device: Option<DeviceId>,
        digit_timeout: Duration,
        now: Duration,
    ) -> Self {
        let state = State::Collecting {
            digits: String::new(),
            until: now + digit_timeout,
            limit: now + COLLECT_LIMIT,
        };
        Self {
            open,
            far_device,
            started: Some(now),
            state,
            target: None,
            talked_since: Sequence::default(),
            old_is_there: true,
            digit_timeout,
            ringing: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// A push that an earlier run of the controller has begun; [`Self::resynced`] comes next.
    pub(super) fn adopted(
        open: OpenMove,
        far_device: Option<DeviceId>,
        ring_timeout: Duration,
        now: Duration,
    ) -> Self {
        let state = match open.stage {
            Stage::Ringing | Stage::Completing => State::Ringing {
                until: now + ring_timeout + RING_SLACK,
            },
            Stage::Recalling => State::Recalling {
                until: now + RECALL_LIMIT,
            },
            Stage::Asked | Stage::Offered | Stage::Collecting | Stage::GivingBack => {
                State::Collecting {
                    digits: String::new(),
                    until: now,
                    limit: now,
                }
            }
        };
        Self {
            started: None,
            state,
            ..Self::new(open, far_device, Duration::ZERO, now)
        }
    }

    /// What has been dialled so far, while it is being dialled.
    pub(super) fn digits(&self) -> Option<&str> {
        match &self.state {
            State::Collecting { digits, .. } => Some(digits),
            State::Ringing { .. }
            | State::Completing { .. }
            | State::GivingBack { .. }
            | State::Recalling { .. } => None,
        }
    }

    /// Whether the leg is one of the target's.
    pub(super) fn has_target(&self, leg: &ChannelId) -> bool {
        self.ringing.contains(leg) || self.answered.contains(leg)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.state {
            State::Collecting { .. } => Stage::Collecting,
            State::Ringing { .. } => Stage::Ringing,
            State::Completing { .. } => Stage::Completing,
            State::GivingBack { .. } => Stage::GivingBack,
            State::Recalling { .. } => Stage::Recalling,
        }
    }

    /// When [`Happened::Time`] is due.
    pub(super) fn until(&self) -> Duration {
        match &self.state {
            State::Collecting { until, limit, .. } => *until.min(limit),
            State::Ringing { until }
            | State::Completing { until, .. }
            | State::GivingBack { until, .. }
            | State::Recalling { until } => *until,
        }
    }

    /// Takes what happened.
    pub(super) fn handle(&mut self, happened: Happened, now: Duration) -> Vec<Step> {
        match happened {
            // These mean the same in every state.
            Happened::FarGone => self.over(MoveEnd::FarEndGone, None, false),
            Happened::FarTalksTo(leg) => self.far_talks(leg),
            Happened::NotSplit => match self.state {
                State::Collecting { .. } => vec![Step::Settle, Step::End(MoveEnd::NoBridge, None)],
                State::Ringing { .. }
                | State::Completing { .. }
                | State::GivingBack { .. }
                | State::Recalling { .. } => Vec::new(),
            },
            Happened::TargetGone(leg) => self.target_gone(&leg, now),
            Happened::TargetRings(leg) => self.target_rings(leg),
            Happened::TargetAnswered(leg) => self.target_answered(leg, now),
            Happened::OldGone => self.old_gone(now),
            Happened::NotReached(cause) => self.not_reached(cause, now),
            Happened::Digit(digit) => self.digit(digit, now),
            Happened::Star => self.star(now),
            Happened::Number(meaning) => self.number(meaning, now),
            Happened::Time if self.until() <= now => self.time(now),
            Happened::TimeUntold if self.until() <= now => self.time_untold(now),
            Happened::Time | Happened::TimeUntold => Vec::new(),
        }
    }

    fn digit(&mut self, digit: char, now: Duration) -> Vec<Step> {
        match &mut self.state {
            State::Collecting { digits, until, .. } if digits.len() < MAX_DIGITS => {
                digits.push(digit);
                *until = now + self.digit_timeout;
                Vec::new()
            }
            State::Collecting { .. } => {
                self.give_back(MoveEnd::Refused(PushRefusal::TooLong), true, now)
            }
            State::Ringing { .. }
            | State::Completing { .. }
            | State::GivingBack { .. }
            | State::Recalling { .. } => Vec::new(),
        }
    }

    fn star(&mut self, now: Duration) -> Vec<Step> {
        match self.state {
            State::Collecting { .. } | State::Ringing { .. } => {
                self.give_back(MoveEnd::Cancelled, false, now)
            }
            // Too late: the target has the call, or it is on its way back.
            State::Completing { .. } | State::GivingBack { .. } | State::Recalling { .. } => {
                Vec::new()
            }
        }
    }

    fn number(&mut self, meaning: Result<Duration, PushRefusal>, now: Duration) -> Vec<Step> {
        match (&self.state, meaning) {
            (State::Collecting { digits, .. }, Ok(ring_timeout)) => {
                self.open.to = Some(digits.clone());
                self.enter(State::Ringing {
                    until: now + ring_timeout + RING_SLACK,
                });
                vec![Step::Note, Step::Ring]
            }
            (State::Collecting { digits, .. }, Err(refusal)) => {
                if !digits.is_empty() {
                    self.open.to = Some(digits.clone());
                }
                self.give_back(MoveEnd::Refused(refusal), true, now)
            }
            (
                State::Ringing { .. }
                | State::Completing { .. }
                | State::GivingBack { .. }
                | State::Recalling { .. },
                Ok(_) | Err(_),
            ) => Vec::new(),
        }
    }

    fn target_rings(&mut self, leg: ChannelId) -> Vec<Step> {
        if self.answered.contains(&leg) || self.ringing.contains(&leg) {
            return Vec::new();
        }
        match self.state {
            State::Ringing { .. } | State::Completing { .. } => {
                self.ringing.push(leg);
                Vec::new()
            }
            // It was being made while the push was given up; or the call can't be given back to who has hung up.
            State::GivingBack { .. } | State::Recalling { .. } => {
                vec![Step::ReleaseTarget(leg)]
            }
            // No target has been ordered.
            State::Collecting { .. } => Vec::new(),
        }
    }

    fn target_answered(&mut self, leg: ChannelId, now: Duration) -> Vec<Step> {
        if self.answered.contains(&leg) {
            return Vec::new();
        }
        self.ringing.retain(|ringing| *ringing != leg);
        self.answered.push(leg.clone());
        match self.state {
            State::Ringing { .. } => {
                self.enter(State::Completing {
                    target: leg,
                    until: now + BRIDGE_LIMIT,
                });
                vec![Step::Note]
            }
            // It finds the far end talking, or gets it: the switch reports which.
            State::Completing { .. } | State::GivingBack { .. } | State::Recalling { .. } => {
                Vec::new()
            }
            State::Collecting { .. } => Vec::new(),
        }
    }

    fn target_gone(&mut self, leg: &ChannelId, now: Duration) -> Vec<Step> {
        self.ringing.retain(|ringing| ringing != leg);
        self.answered.retain(|answered| answered != leg);
        match &self.state {
            State::Completing { target, .. } if target == leg => {
                self.failed(MoveEnd::NotReached("target_gone".into()), now)
            }
            // How ringing ends for all of them together is said by the switch.
            State::Collecting { .. }
            | State::Ringing { .. }
            | State::Completing { .. }
            | State::GivingBack { .. }
            | State::Recalling { .. } => Vec::new(),
        }
    }

    fn not_reached(&mut self, cause: String, now: Duration) -> Vec<Step> {
        match self.state {
            State::Ringing { .. } => self.failed(MoveEnd::NotReached(cause), now),
            // The answer to what was given up, or to a target that had answered.
            State::Collecting { .. }
            | State::Completing { .. }
            | State::GivingBack { .. }
            | State::Recalling { .. } => Vec::new(),
        }
    }

    fn old_gone(&mut self, now: Duration) -> Vec<Step> {
        if !std::mem::replace(&mut self.old_is_there, false) {
            return Vec::new();
        }
        match (&self.state, self.answered.first().cloned()) {
            // It has found the far end taken, most likely: the bridge of the two is about to be reported.
            (State::GivingBack { .. }, Some(target)) => {
                self.enter(State::Completing {
                    target,
                    until: now + BRIDGE_LIMIT,
                });
                vec![Step::Note]
            }
            (State::Collecting { .. } | State::GivingBack { .. }, _) => self.recall(now),
            // The push goes on without who pushed.
            (State::Ringing { .. } | State::Completing { .. } | State::Recalling { .. }, _) => {
                Vec::new()
            }
        }
    }

    fn far_talks(&mut self, leg: ChannelId) -> Vec<Step> {
        if leg == self.open.old_leg {
            let why = match &self.state {
                State::GivingBack { why, .. } => why.clone(),
                // It took the call back without being told, as it does when the controller does not answer.
                State::Collecting { .. }
                | State::Ringing { .. }
                | State::Completing { .. }
                | State::Recalling { .. } => MoveEnd::Cancelled,
            };
            return self.over(why, None, true);
        }
        if self.ringing.contains(&leg) || self.answered.contains(&leg) {
            return self.over(MoveEnd::Moved, Some(leg), true);
        }
        let end = match self.state {
            State::Recalling { .. } => MoveEnd::Recalled,
            State::Collecting { .. }
            | State::Ringing { .. }
            | State::Completing { .. }
            | State::GivingBack { .. } => MoveEnd::TakenBack,
        };
        self.over(end, Some(leg), true)
    }

    fn time(&mut self, now: Duration) -> Vec<Step> {
        match self.state {
            State::Collecting { .. } => self.give_back(MoveEnd::DigitsTimedOut, true, now),
            State::Ringing { .. } => self.failed(MoveEnd::NotReached("no_answer".into()), now),
            State::Completing { .. } => self.failed(MoveEnd::NoBridge, now),
            State::GivingBack { .. } => self.recall(now),
            State::Recalling { .. } => vec![Step::End(MoveEnd::RecallFailed, None)],
        }
    }

    /// Neither a call that goes on may be broken off, nor a far end that waits be taken for one that talks.
    fn time_untold(&mut self, now: Duration) -> Vec<Step> {
        match &mut self.state {
            // The old leg takes the far end back only if that talks to nobody.
            State::Collecting { .. } => self.time(now),
            State::Ringing { until }
            | State::Completing { until, .. }
            | State::GivingBack { until, .. }
            | State::Recalling { until } => {
                *until = now + BRIDGE_LIMIT;
                vec![Step::Read]
            }
        }
    }

    /// Another device of the pusher's extension pulls the far end: it is taken out of here.
    pub(super) fn taken_back(&mut self) -> Vec<Step> {
        let mut steps = vec![Step::Settle];
        steps.extend(self.release_ringing());
        steps.push(Step::End(MoveEnd::TakenBack, None));
        steps
    }

    /// The switch has been read whole, or the journal has told of a push of an earlier run: what there is decides.
    pub(super) fn resynced(&mut self, seen: Seen, now: Duration) -> Vec<Step> {
        self.old_is_there = seen.old_is_there;
        let targets = !seen.ringing.is_empty() || !seen.answered.is_empty();
        self.ringing = seen.ringing;
        self.answered = seen.answered;
        if !seen.far_is_there {
            return self.over(MoveEnd::FarEndGone, None, false);
        }
        if let Some(leg) = seen.far_talks_to {
            return self.far_talks(leg);
        }
        match &self.state {
            // What was dialled meanwhile is not known.
            State::Collecting { .. } => self.failed(MoveEnd::Interrupted, now),
            State::Ringing { .. } if targets => match self.answered.first().cloned() {
                None => Vec::new(),
                // Its answer was not heard of, and how ringing ended is not said again.
                Some(target) => {
                    self.enter(State::Completing {
                        target,
                        until: now + BRIDGE_LIMIT,
                    });
                    vec![Step::Note]
                }
            },
            State::Completing { .. } if targets => {
                // What was meant for a moment begins anew.
                if let State::Completing { until, .. } = &mut self.state {
                    *until = now + BRIDGE_LIMIT;
                }
                Vec::new()
            }
            State::Ringing { .. } | State::Completing { .. } => {
                self.failed(MoveEnd::NotReached("target_gone".into()), now)
            }
            State::GivingBack { why, .. } if self.old_is_there => {
                let why = why.clone();
                let tone = why != MoveEnd::Cancelled;
                self.give_back(why, tone, now)
            }
            State::GivingBack { .. } => self.recall(now),
            State::Recalling { .. } if seen.far_rings => Vec::new(),
            State::Recalling { .. } => self.recall(now),
        }
    }

    /// The target can't be had: back to who pushed, or a recall when nobody is there any more.
    fn failed(&mut self, why: MoveEnd, now: Duration) -> Vec<Step> {
        if self.old_is_there {
            self.give_back(why, true, now)
        } else {
            self.recall(now)
        }
    }

    /// The targets ring on until the far end is back: who answers meanwhile takes it, or finds it taken.
    fn give_back(&mut self, why: MoveEnd, tone: bool, now: Duration) -> Vec<Step> {
        self.enter(State::GivingBack {
            why,
            until: now + BRIDGE_LIMIT,
        });
        vec![Step::Note, Step::GiveBack { tone }]
    }

    fn recall(&mut self, now: Duration) -> Vec<Step> {
        self.enter(State::Recalling {
            until: now + RECALL_LIMIT,
        });
        let mut steps = vec![Step::Note, Step::Recall];
        if self.old_is_there {
            // It was to take the far end and did not: whatever it is in, nobody is in it any more.
            steps.push(Step::ReleaseOld);
        }
        steps.extend(self.release_ringing());
        steps
    }

    fn over(&mut self, end: MoveEnd, new_leg: Option<ChannelId>, far_talks: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        if far_talks {
            steps.push(Step::Settle);
        }
        let old_has_it = far_talks && new_leg.is_none();
        if self.old_is_there && !old_has_it {
            steps.push(Step::ReleaseOld);
        }
        self.ringing.retain(|leg| Some(leg) != new_leg.as_ref());
        steps.extend(self.release_ringing());
        steps.push(Step::End(end, new_leg));
        steps
    }

    fn release_ringing(&mut self) -> impl Iterator<Item = Step> + use<> {
        std::mem::take(&mut self.ringing)
            .into_iter()
            .map(Step::ReleaseTarget)
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.open.stage = self.stage();
    }
}

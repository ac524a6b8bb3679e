//! Which call a pull moves.
//!
//! Owns the choice of `old_leg` and `far_leg` (DESIGN 2.3). Refuses legs without a far end, and never touches them.
//! The choice is a pure function of the tracker: what moves the call is [`crate::core`] and the switch's own dialplan.

use serde::Serialize;

use crate::directory::Extension;
use crate::id::{ChannelId, DeviceId, Number};
use crate::journal::OpenMove;
use crate::tracker::{Bond, Direction, Leg, Progress, Sequence, Tracker};

/// What kind of call is pulled. In the order of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Both talk.
    Talking,
    /// One of the two holds the other.
    Held,
    /// It rings at the old device.
    RingingInbound,
    /// The old device has called, and the far end has not answered yet.
    RingingOutbound,
    /// It is being pushed by this extension, and is taken back.
    Pushed,
}

/// A call that can be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// What kind of call it is.
    pub class: Class,
    /// The device that has it now.
    pub device: DeviceId,
    /// That device's leg.
    pub old_leg: ChannelId,
    /// The leg of the far end.
    pub far_leg: ChannelId,
    /// All legs that ring for the far end: each is told that the call was completed elsewhere.
    pub forks: Vec<ChannelId>,
    #[serde(skip)]
    since: Sequence,
}

impl Candidate {
    /// Whether the two are in a bridge and have been answered.
    pub(crate) fn talks(&self) -> bool {
        matches!(self.class, Class::Talking | Class::Held)
    }

    /// The far end of a push that is taken back.
    pub(crate) fn pushed(push: &OpenMove) -> Self {
        Self {
            class: Class::Pushed,
            device: push.from.clone(),
            old_leg: push.old_leg.clone(),
            far_leg: push.far_leg.clone(),
            forks: Vec::new(),
            since: Sequence::default(),
        }
    }
}

/// Why nothing was pulled. The caller hears the refusal tone; the word is for log, metric and `why`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PullRefusal {
    /// No other own device has a call.
    #[error("no other device of the extension has a call")]
    NothingToPull,
    /// The named device has no call.
    #[error("{0} has no call")]
    DeviceHasNoCall(DeviceId),
    /// The named device is not one of the extension.
    #[error("{0} is not a device of the extension")]
    NotOwnDevice(Number),
    /// There is a leg, but it talks to nobody: voicemail, IVR, conference, queue, park.
    #[error("the call of {0} has no far end")]
    NoFarEnd(DeviceId),
    /// An outgoing call that rings at several phones at once: which one would answer can't be known.
    #[error("the call of {0} rings at several phones")]
    FarEndForked(DeviceId),
    /// The call is being moved already.
    #[error("the call of {0} is being moved already")]
    MoveUnderWay(DeviceId),
}

/// Who pulls.
#[derive(Debug, Clone, Copy)]
pub struct Puller<'a> {
    /// The leg to which the call shall go.
    pub new_leg: &'a ChannelId,
    /// Its device.
    pub device: &'a DeviceId,
    /// Where that phone is, if the switch says so.
    pub phone: Option<&'a str>,
}

impl Puller<'_> {
    /// Whether a leg is one of the pulling phone itself: what a phone has already can't be brought to it. Another
    /// registration of the same device is another phone.
    pub(crate) fn has(&self, id: &ChannelId, leg: Option<&Leg>) -> bool {
        id == self.new_leg
            || leg.is_some_and(|leg| {
                let same_phone = self.phone.is_some() && self.phone == leg.phone.as_deref();
                leg.device.as_ref() == Some(self.device) && same_phone
            })
    }
}

/// The calls of `extension` that `puller` could pull, the best first; without one, those that any phone could.
///
/// # Errors
/// There is none, and why.
pub fn candidates(
    tracker: &Tracker,
    extension: &Extension,
    puller: Option<Puller<'_>>,
    from: Option<&Number>,
) -> Result<Vec<Candidate>, PullRefusal> {
    let named = match from {
        None => None,
        Some(number) => {
            let device = DeviceId::new(number.clone(), extension.id.domain.clone());
            if !extension.owns(&device) {
                return Err(PullRefusal::NotOwnDevice(number.clone()));
            }
            Some(device)
        }
    };
    let mut found = Vec::new();
    let mut refusal = None;
    for device in extension.device_ids() {
        if named.as_ref().is_some_and(|named| *named != device) {
            continue;
        }
        for id in tracker.legs_of(&device) {
            let Some(leg) = tracker.leg(id) else { continue };
            if puller.is_some_and(|puller| puller.has(id, Some(leg))) {
                continue;
            }
            match candidate(tracker, &device, id, leg, puller) {
                Ok(candidate) => found.push(candidate),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
    }
    if found.is_empty() {
        return Err(match (refusal, named) {
            (Some(refusal), _) => refusal,
            (None, Some(device)) => PullRefusal::DeviceHasNoCall(device),
            (None, None) => PullRefusal::NothingToPull,
        });
    }
    found.sort_by(|one, two| one.class.cmp(&two.class).then(two.since.cmp(&one.since)));
    Ok(found)
}

fn candidate(
    tracker: &Tracker,
    device: &DeviceId,
    id: &ChannelId,
    leg: &Leg,
    puller: Option<Puller<'_>>,
) -> Result<Candidate, PullRefusal> {
    let no_far_end = || PullRefusal::NoFarEnd(device.clone());
    let (class, far_leg, forks) = match &leg.bond {
        Bond::TalksTo(far) => {
            // A bridge is reported at the first early media already, before anybody has answered.
            let far_unanswered =
                |f: &Leg| f.direction == Direction::Outbound && f.progress < Progress::Answered;
            let far_end = tracker.leg(far);
            let class = if far_end.is_some_and(far_unanswered) {
                Class::RingingOutbound
            } else if leg.direction == Direction::Outbound && leg.progress < Progress::Answered {
                Class::RingingInbound
            } else if leg.holds || far_end.is_some_and(|far| far.holds) {
                Class::Held
            } else {
                Class::Talking
            };
            let mut forks = Vec::new();
            if class == Class::RingingInbound {
                // With early media only this one is left; it rings all the same.
                forks.push(id.clone());
                forks.extend(tracker.forks_of(far).cloned());
            }
            (class, far, forks)
        }
        Bond::RingsFor(far) => {
            // Somebody else has answered already, or the far end is asking for an attended transfer while it talks: to
            // take it would tear it from a call that is none of ours.
            tracker
                .leg(far)
                .filter(|far| far.peer().is_none())
                .ok_or_else(no_far_end)?;
            let forks = tracker.forks_of(far).cloned().collect();
            (Class::RingingInbound, far, forks)
        }
        Bond::Alone => {
            let mut forks = tracker.forks_of(id);
            let far = forks.next().ok_or_else(no_far_end)?;
            if forks.next().is_some() {
                return Err(PullRefusal::FarEndForked(device.clone()));
            }
            (Class::RingingOutbound, far, Vec::new())
        }
    };
    // A phone is not connected to itself.
    if puller.is_some_and(|puller| puller.has(far_leg, tracker.leg(far_leg))) {
        return Err(no_far_end());
    }
    Ok(Candidate {
        class,
        device: device.clone(),
        old_leg: id.clone(),
        far_leg: far_leg.clone(),
        forks,
        since: leg.since,
    })
}

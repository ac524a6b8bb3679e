//! What may be pushed to which number.
//!
//! Owns the settings of a push and the choice of its target (DESIGN 2.4). Refuses a number before anything rings: what is
//! neither an extension nor a device of the domain is dialled only where a pattern of the configuration allows it, because
//! whoever may push to any number may have the site pay for it. How the call goes there is [`crate::core`].

use std::time::Duration;

use regex::Regex;

use crate::directory::{Directory, Extension};
use crate::id::{DeviceId, ExtensionId, Number};

/// Numbers outside the directory to which calls may be pushed. The whole number has to fit.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// A regular expression as the crate `regex` has them.
    ///
    /// # Errors
    /// It is none.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        // What the admin writes is checked alone first, so that no bracket of it closes one of ours.
        Regex::new(text)?;
        Ok(Self {
            text: text.to_owned(),
            regex: Regex::new(&format!("^(?:{text})$"))?,
        })
    }

    /// As the admin wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn fits(&self, number: &Number) -> bool {
        self.regex.is_match(number.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// The settings of a push in a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPolicy {
    /// What else may be dialled; nothing by default.
    pub allow: Vec<Pattern>,
    /// How long the first digit may take, and each further one.
    pub digit_timeout: Duration,
    /// How long the target rings.
    pub ring_timeout: Duration,
    /// What the far end hears while the number is dialled, in the switch's own words.
    pub hold_sound: String,
    /// What the far end hears while the target rings, in the switch's own words.
    pub ringback: String,
    /// What stands before the far end's name on the target's display; `{pusher}` is the pusher's extension.
    pub display_prefix: String,
    /// Where the far end goes when the recall is not answered: a number of the dialplan, `number@context` for another context
    /// than that of the switch. Without one the call ends.
    pub fallback: Option<String>,
}

impl Default for PushPolicy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            digit_timeout: Duration::from_secs(5),
            ring_timeout: Duration::from_secs(30),
            hold_sound: "silence_stream://-1,1400".into(),
            ringback: "tone_stream://%(2000,4000,440,480);loops=-1".into(),
            display_prefix: String::new(),
            fallback: None,
        }
    }
}

/// To whom a call is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushTarget {
    /// A colleague, or somebody else of the domain: rings as their route says.
    Extension(ExtensionId),
    /// The pusher's other devices.
    OwnDevices(Vec<DeviceId>),
    /// One device.
    Device(DeviceId),
    /// A number that the configuration allows.
    Outside(Number),
}

/// Why a push does not ring anybody. The pusher hears the refusal tone and has the call back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PushRefusal {
    /// `#` without a number.
    #[error("no number was dialled")]
    NoNumber,
    /// More digits than a number has.
    #[error("the number is too long")]
    TooLong,
    /// Neither an extension nor a device of the domain, and no pattern allows it.
    #[error(
        "{0} is no extension and no device of the domain, and push.allow has no pattern for it"
    )]
    NotAllowed(Number),
    /// The only phone that would ring is the pusher's own.
    #[error("{0} is the device that pushes")]
    SameDevice(DeviceId),
    /// The only phone that would ring is the far end's own.
    #[error("{0} is the far end")]
    FarEnd(DeviceId),
    /// No phone of the target is registered.
    #[error("no device of {0} is registered")]
    NotRegistered(Number),
}

impl PushRefusal {
    /// One word for metric, log and journal.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoNumber => "no_number",
            Self::TooLong => "number_too_long",
            Self::NotAllowed(_) => "number_not_allowed",
            Self::SameDevice(_) => "same_device",
            Self::FarEnd(_) => "target_is_far_end",
            Self::NotRegistered(_) => "not_registered",
        }
    }
}

/// What `number#` of `pusher`, dialled at `device`, means. An extension's number goes before that of a device: it may be both.
///
/// # Errors
/// The number may not be pushed to.
pub fn target(
    directory: &Directory,
    pusher: &Extension,
    device: &DeviceId,
    number: &Number,
    policy: &PushPolicy,
) -> Result<PushTarget, PushRefusal> {
    let domain = &pusher.id.domain;
    let extension = ExtensionId::new(number.clone(), domain.clone());
    if extension == pusher.id {
        let others: Vec<_> = pusher.device_ids().filter(|d| d != device).collect();
        if others.is_empty() {
            return Err(PushRefusal::SameDevice(device.clone()));
        }
        return Ok(PushTarget::OwnDevices(others));
    }
    if directory.extension(&extension).is_some() {
        return Ok(PushTarget::Extension(extension));
    }
    let named = DeviceId::new(number.clone(), domain.clone());
    if named == *device {
        return Err(PushRefusal::SameDevice(named));
    }
    if directory.owner(&named).is_some() {
        return Ok(PushTarget::Device(named));
    }
    if policy.allow.iter().any(|pattern| pattern.fits(number)) {
        return Ok(PushTarget::Outside(number.clone()));
    }
    Err(PushRefusal::NotAllowed(number.clone()))
}

//! One switch, whatever kind it is: what the controller asks of it, and what it orders from it.
//!
//! Owns the words that the controller and a driver have in common. Refuses to know a wire: each driver has its own
//! (`freeswitch`, `asterisk`), and ARCHITECTURE.md has a table of what each order means on each switch.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use callhop_calls::core::{
    Answer, ArmOrder, MoveReport, OfferOrder, PullOrder, RingOrder, SplitOrder,
};
use callhop_calls::id::{ChannelId, DeviceId, Domain, ExtensionId, MoveId};
use callhop_calls::lamp::Lamp;
use callhop_calls::tracker::SnapshotLeg;

/// What an inbound call has rung by, as its dialplan writes it down (`callhop_source`, `CALLHOP_SOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HuntSource {
    /// The controller's answer.
    Controller,
    /// The routing snapshot on the switch.
    Snapshot,
    /// What the admin's own dialplan names.
    Default,
}

impl HuntSource {
    /// The one of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Controller, Self::Snapshot, Self::Default]
            .into_iter()
            .find(|source| source.word() == word)
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Snapshot => "snapshot",
            Self::Default => "default",
        }
    }
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no link to the switch at the moment.
    #[error("no link to the switch")]
    Down,
    /// FreeSWITCH: an argument is outside the whitelist.
    #[error(transparent)]
    EslWord(#[from] callhop_esl::word::WordError),
    /// FreeSWITCH refused it, or it is not known whether it was done.
    #[error(transparent)]
    Esl(#[from] callhop_esl::CommandError),
    /// Asterisk: the dialplan has no such context, or another version of it.
    #[error("the dialplan has no {0}: `callhop dialplan install asterisk` and `dialplan reload`")]
    NoDialplan(&'static str),
    /// Asterisk: an argument is outside the whitelist.
    #[error(transparent)]
    AmiWord(#[from] callhop_ami::word::WordError),
    /// Asterisk refused it, or it is not known whether it was done.
    #[error(transparent)]
    Ami(#[from] callhop_ami::CommandError),
}

impl RunError {
    /// The switch's own words, if it has refused the command: as a rule because the leg has gone meanwhile, which it reports.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::Esl(callhop_esl::CommandError::Refused { text, .. })
            | Self::Ami(callhop_ami::CommandError::Refused { text, .. }) => Some(text),
            Self::Down
            | Self::NoDialplan(_)
            | Self::EslWord(_)
            | Self::Esl(_)
            | Self::AmiWord(_)
            | Self::Ami(_) => None,
        }
    }
}

/// A channel that asks: what the switch itself says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its channel.
    pub leg: ChannelId,
    /// Whether it has called the switch and has not been answered yet, as everybody who asks.
    pub is_waiting: bool,
    /// The authenticated device.
    pub device: Option<DeviceId>,
    /// What it dialled, unchecked.
    pub dialled: String,
    /// The extension that the admin's dialplan names instead of the dialled number, unchecked.
    pub extension: Option<String>,
    /// The domain of the call, for hunting.
    pub domain: Option<Domain>,
    /// Where the phone is.
    pub phone: Option<String>,
    /// The codecs that it offers.
    pub codecs: Vec<String>,
    /// The offer for which we have made it, once it has been answered.
    pub made_by: Option<MoveId>,
}

/// How some legs are now, and which of those that were asked for the switch does not have any more.
pub type Reading = (Vec<SnapshotLeg>, Vec<ChannelId>);

/// What is asked while somebody waits for the answer, and what prepares it.
#[async_trait]
pub trait Questions {
    /// Has the switch send now what it would send at its next look.
    fn hurry_events(&self);

    /// Waits for a link, as just after a restart of the switch. Whoever asks has a question of that switch, so it is there:
    /// the driver tries at once, whatever its back-off says. If there is no link by `limit`, the next command finds out.
    async fn until_linked(&self, limit: Duration);

    /// Waits until the switch has been read, too: whoever has dialled a star code then is better served late than refused.
    async fn until_read(&self, limit: Duration);

    /// Who waits in the channel `leg`; `None` if this switch has no such channel.
    ///
    /// # Errors
    /// The switch can't be asked.
    async fn caller(&self, leg: &ChannelId) -> Result<Option<Caller>, RunError>;

    /// How these legs are now.
    ///
    /// # Errors
    /// The switch can't be asked.
    async fn read(&self, legs: Vec<ChannelId>) -> Result<Reading, RunError>;

    /// What has to be true on the switch before the new leg's dialplan moves the call. Nothing of it touches the call
    /// itself, so a failure is logged and the move goes on.
    async fn prepare_pull(&self, new_leg: &ChannelId, order: &PullOrder);

    /// What the switch does not do by itself once it has reported that a call was pulled.
    async fn after_pull(&self, report: &MoveReport);

    /// The answer as this switch's dialplan dials it.
    fn dial_string(&self, answer: &Answer) -> String;

    /// Writes the routing snapshot of an extension, or removes it.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn publish(
        &self,
        extension: &ExtensionId,
        answer: Option<&Answer>,
    ) -> Result<(), RunError>;

    /// These devices have come into the directory: the core is told of the contacts that the switch has neither listed nor
    /// reported. A switch that is away is asked for all once it is back.
    fn ask_contacts(&self, devices: Vec<DeviceId>);

    /// Lets a lamp be lit, or dark, on every phone that watches it.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn show_lamp(&self, lamp: &Lamp, lit: bool) -> Result<(), RunError>;

    /// Has a leg listen for the push code: from its answer on, or at once if it has been answered already.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn arm(&self, order: &ArmOrder) -> Result<(), RunError>;
}

/// What is ordered for pushes and offers, one after the other. What became of it is reported by the switch.
#[async_trait]
pub trait PushOrders {
    /// Takes the two legs apart, each into a safe extension of its own.
    ///
    /// # Errors
    /// They are not apart: the call goes on as it was.
    async fn split(&self, order: &SplitOrder) -> Result<(), RunError>;

    /// Rings the target.
    ///
    /// # Errors
    /// It does not ring.
    async fn ring(&self, order: &RingOrder) -> Result<(), RunError>;

    /// Rings those to whom a call is offered; who answers asks for it. The call itself is not touched.
    ///
    /// # Errors
    /// Nobody rings.
    async fn offer(&self, order: &OfferOrder) -> Result<(), RunError>;

    /// The old leg takes the far leg back, after the refusal tone or without.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn give_back(&self, old_leg: &ChannelId, tone: bool) -> Result<(), RunError>;

    /// The far leg rings the pusher's devices.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn recall(&self, far_leg: &ChannelId) -> Result<(), RunError>;

    /// The leg has nothing left to do.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn release(&self, leg: &ChannelId) -> Result<(), RunError>;

    /// The far leg talks again; its bridge is one like all others.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn settle(&self, far_leg: &ChannelId) -> Result<(), RunError>;

    /// What was dialled was meant for the application that the leg is in.
    ///
    /// # Errors
    /// The switch can't be told.
    async fn return_code(&self, leg: &ChannelId, code: &str) -> Result<(), RunError>;
}

/// The way to one switch.
pub trait Switch: Questions + PushOrders + fmt::Debug + Send + Sync {}

impl<T: Questions + PushOrders + fmt::Debug + Send + Sync> Switch for T {}

/// Whether a caller's name or number may be shown on another display: what the far end sent is not to be trusted with more
/// than letters, digits and a few marks.
pub(crate) fn is_displayable(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.trim() == text
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '+' | '*' | '#')
        })
}

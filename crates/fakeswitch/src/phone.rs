//! Virtual phones: what a person does with one, and what they see and hear.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use crate::model::Input;

/// What a leg hears right now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hears {
    /// No media at all: the phone rings, or nothing has been said about the call yet, or it holds the call itself.
    Nothing,
    /// A media path without anybody in it.
    Silence,
    /// Ringback, made by the phone or by the switch.
    Ringback,
    /// The tone that says no.
    RefusalTone,
    /// The short confirmation.
    Beep,
    /// Music on hold.
    Moh,
    /// The admin's voicemail, where a call ends up that nobody answered.
    Voicemail,
    /// An announcement: a far end that is nobody.
    Announcement,
    /// The phone of this label ([`Phone::label`]).
    Party(String),
}

/// A change of what a leg hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// From when on.
    pub at: Instant,
    /// What.
    pub what: Hears,
}

/// A digit that came to a phone from the other side of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitGot {
    /// When.
    pub at: Instant,
    /// Which.
    pub digit: char,
}

/// How a phone sends digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// In its RTP stream (RFC 4733).
    Rtp,
    /// By SIP INFO.
    Info,
}

/// Where a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// This phone rings.
    Ringing,
    /// This phone has dialled and is not answered.
    Dialling,
    /// Answered.
    Answered,
}

/// A live call on a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallView {
    /// The UUID of this phone's channel.
    pub channel: String,
    /// Where the call is.
    pub state: CallState,
    /// When it began.
    pub began: Instant,
    /// The last SIP status that the phone has seen or sent; 0 before the first.
    pub code: u16,
    /// What the phone hears now.
    pub hears: Hears,
    /// Everything it has heard so far, each change once.
    pub heard: Vec<Heard>,
    /// Digits that have come from the other side.
    pub digits: Vec<DigitGot>,
    /// When this phone has sent its digits.
    pub digits_sent: Vec<Instant>,
    /// The far end's number on the display.
    pub display: String,
    /// The far end's name on the display.
    pub display_name: String,
    /// This phone has put the call on hold.
    pub on_hold: bool,
}

impl CallView {
    /// What has been heard so far, without the times.
    #[must_use]
    pub fn sounds(&self) -> Vec<Hears> {
        sounds(&self.heard)
    }
}

fn sounds(heard: &[Heard]) -> Vec<Hears> {
    heard.iter().map(|heard| heard.what.clone()).collect()
}

/// How a call ended for this phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// This phone hung up or refused it.
    HungUp,
    /// An answered call, ended by the other side or by the switch.
    Released,
    /// It rang, and the switch said `Reason: SIP;cause=200;text="Call completed elsewhere"`.
    AnsweredElsewhere,
    /// It rang, and nobody answered: the phone lists a missed call.
    Missed,
    /// It dialled, and was never answered.
    Failed,
}

/// A call that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    /// The UUID that its channel had.
    pub channel: String,
    /// How it ended.
    pub end: End,
    /// The phone was called, rather than calling.
    pub incoming: bool,
    /// It was answered at some time: it appears in billing.
    pub answered: bool,
    /// When it began.
    pub began: Instant,
    /// When it was over.
    pub over: Instant,
    /// The final SIP status of its INVITE (RFC 3261): 200 for every answered call.
    pub code: u16,
    /// Hangup cause, as the switch writes it (`NORMAL_CLEARING`).
    pub cause: String,
    /// The Reason header (RFC 3326) with which the switch ended it.
    pub reason: Option<String>,
    /// Everything the phone heard, each change once.
    pub heard: Vec<Heard>,
    /// Digits that came from the other side.
    pub digits: Vec<DigitGot>,
    /// The number that the display showed last.
    pub display: String,
    /// The name that it showed.
    pub display_name: String,
    /// The cause that the controller gave when it refused a star code.
    pub refusal: Option<String>,
}

impl EndedCall {
    /// What was heard, without the times.
    #[must_use]
    pub fn sounds(&self) -> Vec<Hears> {
        sounds(&self.heard)
    }
}

/// How many calls that are over a phone shows. Every look at a phone costs their number, so there is an end to it.
pub const KEPT_CALLS: usize = 64;

/// A phone with its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneView {
    /// The phone's label.
    pub label: String,
    /// It is registered.
    pub registered: bool,
    /// Live calls, oldest first.
    pub calls: Vec<CallView>,
    /// Calls that are over, oldest first; the last [`KEPT_CALLS`] of them.
    pub ended: Vec<EndedCall>,
}

impl PhoneView {
    /// Calls that ring here.
    pub fn ringing(&self) -> impl Iterator<Item = &CallView> {
        self.calls
            .iter()
            .filter(|call| call.state == CallState::Ringing)
    }

    /// What the newest call hears; nothing without a call.
    pub fn hears(&self) -> Hears {
        self.calls
            .last()
            .map_or(Hears::Nothing, |call| call.hears.clone())
    }

    /// The newest call is answered and hears the phone of this label.
    pub fn talks_to(&self, label: &str) -> bool {
        self.calls.last().is_some_and(|call| {
            call.state == CallState::Answered && call.hears == Hears::Party(label.to_owned())
        })
    }

    /// There is no live call.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }
}

/// Why a phone could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// There is no call to do it with.
    #[error("{label} has no call that it could {what}")]
    NoCall {
        /// The phone.
        label: String,
        /// What was to be done.
        what: &'static str,
    },
    /// The switch is stopped, or the fake is gone.
    #[error("the switch is not running")]
    Stopped,
}

/// A condition did not come true in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not within {limit:?}; the last thing seen was {last}")]
pub struct NotInTime {
    /// The time that was allowed.
    pub limit: Duration,
    /// What there was to be seen at the end, for the test's output.
    pub last: String,
}

/// Details of a call that is dialled, for callers who lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialOptions {
    /// Number in the From header instead of the phone's own. The switch believes it for the caller ID, the ANI and the
    /// presence id, not for the authenticated user (facts page, section 5).
    pub from: Option<String>,
    /// Display name in the From header.
    pub display_name: Option<String>,
    /// Further SIP headers; they become `sip_h_<name>` variables.
    pub headers: Vec<(String, String)>,
    /// More channel variables.
    pub variables: Vec<(String, String)>,
}

/// How a phone rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RingMode {
    /// 180: the caller makes its own ringback.
    #[default]
    Ringing,
    /// 183 with media: the caller hears this phone before it answers.
    EarlyMedia,
    /// Nothing but 100.
    Silent,
    /// Refuses at once with this status.
    Reject(u16),
    /// Answers at once.
    Answer,
}

/// What a phone does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Dial(String, DialOptions),
    Answer(Option<String>),
    Refuse(Option<String>, u16),
    HangUp(Option<String>),
    Hold(Option<String>),
    Unhold(Option<String>),
    Digits(String, String, Digits),
    Transfer(String, String),
    Join(String, String),
    RingMode(RingMode),
    Register,
    Unregister { expired: bool },
}

pub(crate) type PhonePredicate = Box<dyn FnMut(&PhoneView) -> bool + Send>;

/// A phone in somebody's hand. Clones are the same phone.
#[derive(Debug, Clone)]
pub struct Phone {
    pub(crate) id: usize,
    pub(crate) label: String,
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
}

impl Phone {
    /// The phone's name among phones: its number; further registrations of one number are `1001/2`, `1001/3`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Dials. Returns the UUID of the new channel at once; watch the call with [`Phone::wait_until`].
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn dial(&self, number: &str) -> Result<String, PhoneError> {
        self.dial_with(number, DialOptions::default()).await
    }

    /// Dials with a say in what the INVITE claims.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn dial_with(
        &self,
        number: &str,
        options: DialOptions,
    ) -> Result<String, PhoneError> {
        self.act(Act::Dial(number.to_owned(), options)).await
    }

    /// Answers the call that has rung longest.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn answer(&self) -> Result<(), PhoneError> {
        self.act(Act::Answer(None)).await.map(drop)
    }

    /// Answers the call of this channel.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn answer_call(&self, channel: &str) -> Result<(), PhoneError> {
        self.act(Act::Answer(Some(channel.to_owned())))
            .await
            .map(drop)
    }

    /// Refuses the call that has rung longest with 603.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn reject(&self) -> Result<(), PhoneError> {
        self.act(Act::Refuse(None, 603)).await.map(drop)
    }

    /// Refuses the call that has rung longest with 486.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn busy(&self) -> Result<(), PhoneError> {
        self.act(Act::Refuse(None, 486)).await.map(drop)
    }

    /// Refuses the call of this channel with a SIP status.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn reject_call(&self, channel: &str, code: u16) -> Result<(), PhoneError> {
        self.act(Act::Refuse(Some(channel.to_owned()), code))
            .await
            .map(drop)
    }

    /// Hangs up the newest call.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn hangup(&self) -> Result<(), PhoneError> {
        self.act(Act::HangUp(None)).await.map(drop)
    }

    /// Hangs up the call of this channel.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn hangup_call(&self, channel: &str) -> Result<(), PhoneError> {
        self.act(Act::HangUp(Some(channel.to_owned())))
            .await
            .map(drop)
    }

    /// Puts the newest answered call on hold.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn hold(&self) -> Result<(), PhoneError> {
        self.act(Act::Hold(None)).await.map(drop)
    }

    /// Takes the newest held call back.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn unhold(&self) -> Result<(), PhoneError> {
        self.act(Act::Unhold(None)).await.map(drop)
    }

    /// Puts the call of this channel on hold, or takes it back.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn hold_call(&self, channel: &str, hold: bool) -> Result<(), PhoneError> {
        let channel = Some(channel.to_owned());
        let act = if hold {
            Act::Hold(channel)
        } else {
            Act::Unhold(channel)
        };
        self.act(act).await.map(drop)
    }

    /// Dials digits in the call of this channel, `Config::digit_gap` between two of them, and waits until all are sent.
    /// When the last one was.
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], also when the call ends before they are; [`PhoneError::Stopped`].
    pub async fn send_digits(
        &self,
        channel: &str,
        digits: &str,
        how: Digits,
    ) -> Result<Instant, PhoneError> {
        let sent = |view: &PhoneView, channel: &str| {
            let mut calls = view.calls.iter();
            let call = calls.find(|call| call.channel == channel);
            call.map(|call| call.digits_sent.clone())
        };
        let before = sent(&self.view().await?, channel).map_or(0, |list| list.len());
        let count = digits.chars().count();
        let began = Instant::now();
        let act = Act::Digits(channel.to_owned(), digits.to_owned(), how);
        self.act(act).await?;
        // The last digit may end the call that it was sent in: the only one is sent by now.
        if count < 2 {
            return Ok(began);
        }
        let (reply, answer) = oneshot::channel();
        let call = channel.to_owned();
        let done = move |view: &PhoneView| {
            sent(view, &call).is_none_or(|list| list.len() >= before + count)
        };
        self.send(Input::WatchPhone(self.id, Box::new(done), reply))?;
        let view = answer.await.map_err(|_| PhoneError::Stopped)?;
        let list = sent(&view, channel).unwrap_or_default();
        let last = list.get(before + count - 1).copied();
        last.ok_or_else(|| PhoneError::NoCall {
            label: self.label.clone(),
            what: "dial digits in",
        })
    }

    /// Sends the other side of an answered call on to a number, and leaves (REFER).
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn transfer(&self, channel: &str, number: &str) -> Result<(), PhoneError> {
        self.act(Act::Transfer(channel.to_owned(), number.to_owned()))
            .await
            .map(drop)
    }

    /// Connects the other sides of two answered calls with each other, and leaves (REFER with Replaces).
    ///
    /// # Errors
    /// [`PhoneError::NoCall`], [`PhoneError::Stopped`].
    pub async fn join(&self, channel: &str, other: &str) -> Result<(), PhoneError> {
        self.act(Act::Join(channel.to_owned(), other.to_owned()))
            .await
            .map(drop)
    }

    /// Chooses how the phone rings from now on.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn ring_mode(&self, mode: RingMode) -> Result<(), PhoneError> {
        self.act(Act::RingMode(mode)).await.map(drop)
    }

    /// Registers again, after [`Phone::unregister`], [`Phone::expire`] or a restart that lost the registrations.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn register(&self) -> Result<(), PhoneError> {
        self.act(Act::Register).await.map(drop)
    }

    /// Says goodbye to the registrar: `sofia::unregister`.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn unregister(&self) -> Result<(), PhoneError> {
        self.act(Act::Unregister { expired: false }).await.map(drop)
    }

    /// Loses its network until the registration has run out: `sofia::expire`.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn expire(&self) -> Result<(), PhoneError> {
        self.act(Act::Unregister { expired: true }).await.map(drop)
    }

    /// What there is to see now.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn view(&self) -> Result<PhoneView, PhoneError> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::WatchPhone(self.id, Box::new(|_| true), reply))?;
        answer.await.map_err(|_| PhoneError::Stopped)
    }

    /// What the newest call hears now.
    ///
    /// # Errors
    /// [`PhoneError::Stopped`].
    pub async fn hears(&self) -> Result<Hears, PhoneError> {
        Ok(self.view().await?.hears())
    }

    /// Waits until the condition holds. It is tried after every single change, so that nothing is missed between two
    /// looks, however short.
    ///
    /// # Errors
    /// [`NotInTime`] with what was seen last.
    pub async fn wait_until(
        &self,
        condition: impl FnMut(&PhoneView) -> bool + Send + 'static,
        limit: Duration,
    ) -> Result<PhoneView, NotInTime> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Input::WatchPhone(self.id, Box::new(condition), reply));
        let seen = in_time(sent.is_ok(), answer, limit).await;
        match seen {
            Some(view) => Ok(view),
            None => Err(NotInTime {
                limit,
                last: format!("{:#?}", self.view().await),
            }),
        }
    }

    async fn act(&self, act: Act) -> Result<String, PhoneError> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Phone(self.id, act, reply))?;
        answer.await.map_err(|_| PhoneError::Stopped)?
    }

    fn send(&self, input: Input) -> Result<(), PhoneError> {
        self.inputs.send(input).map_err(|_| PhoneError::Stopped)
    }
}

pub(crate) async fn in_time<T>(
    sent: bool,
    answer: impl Future<Output = Result<T, oneshot::error::RecvError>>,
    limit: Duration,
) -> Option<T> {
    if !sent {
        return None;
    }
    tokio::time::timeout(limit, answer).await.ok()?.ok()
}

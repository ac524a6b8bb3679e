//! Where a story is played: the one trait that the real lab and the fake one implement.
//!
//! Owns the words in which a story speaks to phones, switch and controller. Refuses anything that only one switch could
//! do; where an answer must differ, [`crate::differences`] says how and why.

use std::{fmt, time::Duration};

use anyhow::Result;

use crate::{cast::Phone, controller::Controller};

/// Which lab this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The fake FreeSWITCH: what it lets a phone hear follows from its bridges, and it has no packets.
    Fake,
    /// A FreeSWITCH process and SIP phones.
    FreeSwitch,
    /// An Asterisk process and SIP phones.
    Asterisk,
}

impl Kind {
    /// Times and packets mean something.
    #[must_use]
    pub const fn has_packets(self) -> bool {
        !matches!(self, Self::Fake)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fake => "the fake FreeSWITCH",
            Self::FreeSwitch => "FreeSWITCH",
            Self::Asterisk => "Asterisk",
        })
    }
}

/// A moment on the site's own clock, in seconds; the ear's packets are stamped with the same one.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Moment(pub f64);

impl Moment {
    /// How long after `earlier` this is; nothing when it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs_f64((self.0 - earlier.0).max(0.0))
    }
}

/// One call of one phone, as that phone counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// Whose call.
    pub phone: Phone,
    /// The phone's own number for it.
    pub key: u64,
}

/// What a phone knows about its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// Dialled, and not even a 180 has come.
    Dialling,
    /// It rings here.
    Incoming,
    /// The far end rings, or sends early media.
    Early,
    /// Answered, by whichever side.
    Talking,
    /// Over.
    Ended,
}

/// A call with its last news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// Which call.
    pub call: Call,
    /// Its state.
    pub state: CallState,
    /// The SIP status code that led to it; 0 where none did.
    pub code: u16,
    /// It was answered at some time.
    pub was_answered: bool,
    /// The `Reason` header of the CANCEL, BYE or answer that ended it (RFC 3326).
    pub reason: Option<String>,
    /// The number that the display shows for the other side.
    pub display_number: String,
    /// The name that it shows.
    pub display_name: String,
}

/// What comes out of an earpiece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sound {
    /// The tone of that phone: its user is heard.
    Voice(Phone),
    /// A ringing tone.
    Ringback,
    /// Callhop's confirmation.
    Beep,
    /// Callhop's refusal.
    Refusal,
    /// The tone of the site's voicemail and IVR.
    Ivr,
    /// The site's music on hold.
    Music,
    /// Packets with silence.
    Silence,
    /// No packets at all.
    NoPackets,
    /// A tone of so many Hz that nobody here owns.
    Tone(u32),
    /// Something that is no single tone.
    Noise,
}

impl fmt::Display for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Voice(phone) => write!(f, "the voice of {phone}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A stretch of one sound in one ear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// What was heard.
    pub sound: Sound,
    /// From its first packet
    pub from: Moment,
    /// to the end of its last one.
    pub to: Moment,
}

/// How one voice followed another one in the far end's ear.
#[derive(Debug, Clone, PartialEq)]
pub struct HandOver {
    /// From the last packet of the old voice to the first of the new one, ms; 20 is no gap at all.
    pub gap_ms: f64,
    /// When the new voice began.
    pub at: Moment,
    /// Everything else that was heard between the two. Must be empty.
    pub between: Vec<Sound>,
    /// Both voices came in one RTP stream (SSRC).
    pub same_stream: bool,
    /// Sequence numbers from the last old to the first new packet; 1 is "none missing".
    pub sequence_step: u16,
    /// The step of the RTP timestamp, in samples of 1/8000 s; should be about 8 for each ms of the gap.
    pub timestamp_step: i32,
}

/// What a phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRing {
    /// Rings and answers, sooner than any hand but not before the controller can have seen the call.
    Answer,
    /// Answers at once, as an intercom does.
    AtOnce,
    /// Rings (180) until it is told otherwise.
    Ring,
    /// Says nothing but 100 until it is told otherwise.
    Nothing,
    /// Sends its tone before the answer (183).
    EarlyMedia,
    /// Rejects with this status code.
    Reject(u16),
}

/// How a phone sends digits in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// In its RTP stream (RFC 4733).
    Rtp,
    /// By SIP INFO.
    Info,
}

/// How a number is dialled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial<'a> {
    /// Headers beside the phone's own ones; `From` replaces the phone's own one.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A caller with its own idea of who it is: one INVITE, no phone behind it.
#[derive(Debug, Clone, Copy)]
pub struct Forgery<'a> {
    /// Whose password is known.
    pub as_phone: Phone,
    /// The realm named in the digest credentials.
    pub realm: &'a str,
    /// The `From` header.
    pub from: &'a str,
    /// Further headers, whole lines.
    pub headers: &'a [&'a str],
    /// What is dialled.
    pub number: &'a str,
}

/// Who looks at lamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher<'a> {
    /// Whose keys.
    pub phone: Phone,
    /// The domain in which they subscribe.
    pub domain: &'a str,
    /// Whether a challenge is answered.
    pub password: bool,
}

/// A lab with phones, one switch, one controller and an ear at every phone.
pub trait Site {
    /// Which lab this is.
    fn kind(&self) -> Kind;

    /// Now.
    fn now(&mut self) -> Moment;

    /// Makes everything as it is when a story begins: no calls, every phone that registers is registered and answers at
    /// once, the controller runs and is fresh, no routes are set.
    ///
    /// # Errors
    /// When it can't be done; the story can't be played then.
    fn reset(&mut self) -> Result<()>;

    /// Dials. Returns at once.
    ///
    /// # Errors
    /// When the phone refuses.
    fn dial(&mut self, phone: Phone, number: &str, how: Dial<'_>) -> Result<Call>;

    /// What the phone will do with the next call that it gets.
    ///
    /// # Errors
    /// When the phone is gone.
    fn on_ring(&mut self, phone: Phone, what: OnRing) -> Result<()>;

    /// Answers a call that rings.
    ///
    /// # Errors
    /// When there is no such call.
    fn answer(&mut self, call: Call) -> Result<()>;

    /// Ends a call, rejects it, or gives up dialling.
    ///
    /// # Errors
    /// When there is no such call.
    fn hang_up(&mut self, call: Call) -> Result<()>;

    /// Puts the other side on hold (`sendonly`), or takes it back.
    ///
    /// # Errors
    /// When there is no such call.
    fn hold(&mut self, call: Call, held: bool) -> Result<()>;

    /// Dials digits in the call: when the end of the last one was on the wire, or it was sent.
    ///
    /// # Errors
    /// When there is no such call, or it ends before they are all sent.
    fn send_digits(&mut self, call: Call, digits: &str, how: Digits) -> Result<Moment>;

    /// The digits that arrived at the phone since then, in order.
    fn digits_got(&mut self, phone: Phone, since: Moment) -> String;

    /// Sends the other side to `number` and leaves (REFER).
    ///
    /// # Errors
    /// When there is no such call.
    fn transfer(&mut self, call: Call, number: &str) -> Result<()>;

    /// Connects the other sides of two calls of one phone with each other and leaves (REFER with Replaces).
    ///
    /// # Errors
    /// When there is no such call.
    fn join(&mut self, call: Call, other: Call) -> Result<()>;

    /// Registers or unregisters a phone, and waits for the registrar's word.
    ///
    /// # Errors
    /// When it does not come.
    fn register(&mut self, phone: Phone, registered: bool) -> Result<()>;

    /// Whether the phone is registered.
    ///
    /// # Errors
    /// When it does not say.
    fn is_registered(&mut self, phone: Phone) -> Result<bool>;

    /// Waits until some call of the phone that began after `since` is in one of the states.
    ///
    /// # Errors
    /// After `within`, with what was seen instead.
    fn wait_call(
        &mut self,
        phone: Phone,
        since: Moment,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport>;

    /// Waits until this very call is in one of the states.
    ///
    /// # Errors
    /// After `within`, with what was seen instead.
    fn wait_state(
        &mut self,
        call: Call,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport>;

    /// Waits until the report of a call says what is wanted: a reason, a display.
    ///
    /// # Errors
    /// After `within`, with the report.
    fn wait_report(
        &mut self,
        call: Call,
        within: Duration,
        is_it: &dyn Fn(&CallReport) -> bool,
    ) -> Result<CallReport>;

    /// The calls that the phone had since then, also those that ended.
    fn calls_since(&mut self, phone: Phone, since: Moment) -> Vec<CallReport>;

    /// Waits until the phone hears this, after `since`, steadily for some packets.
    ///
    /// # Errors
    /// After `within`, with what was heard instead.
    fn wait_hears(
        &mut self,
        phone: Phone,
        sound: Sound,
        since: Moment,
        within: Duration,
    ) -> Result<()>;

    /// What the phone heard since then, up to now.
    fn heard(&mut self, phone: Phone, since: Moment) -> Vec<Span>;

    /// How `new` followed `old` in the far end's ear; `None` when `new` did not come after `since`.
    fn hand_over(&mut self, far: Phone, old: Phone, new: Phone, since: Moment) -> Option<HandOver>;

    /// When the phone sent its last INVITE for this number, on the wire.
    fn invite_sent(&mut self, phone: Phone, number: &str, since: Moment) -> Option<Moment>;

    /// When a call since then came in at the phone, on the wire.
    fn invite_came(&mut self, phone: Phone, since: Moment) -> Option<Moment>;

    /// Sends the forged INVITE and waits for its final answer: the SIP status codes in order.
    ///
    /// # Errors
    /// When it can't be sent.
    fn forge(&mut self, forgery: Forgery<'_>) -> Result<Vec<u16>>;

    /// Subscribes a phone's key to a lamp (RFC 4235): the final SIP status code.
    ///
    /// # Errors
    /// When no answer comes.
    fn watch(&mut self, watcher: Watcher<'static>, lamp: &str) -> Result<u16>;

    /// Renews the subscriptions of all keys, as phones do after some time.
    ///
    /// # Errors
    /// When they can't be.
    fn renew_watches(&mut self) -> Result<()>;

    /// Waits until the last NOTIFY for the phone's key says that it is lit, or dark.
    ///
    /// # Errors
    /// After `within`, with what it was told.
    fn wait_lamp(&mut self, phone: Phone, lamp: &str, lit: bool, within: Duration) -> Result<()>;

    /// What the phone's key has shown since it subscribed, one after the other.
    fn lamp_shown(&mut self, phone: Phone, lamp: &str) -> Vec<bool>;

    /// There is a controller; without one only the stories of the bare switch can be played.
    fn has_controller(&self) -> bool;

    /// The controller.
    fn controller(&mut self) -> &mut Controller;

    /// Takes the controller's database away, or gives it back.
    ///
    /// # Errors
    /// When that fails.
    fn database(&mut self, up: bool) -> Result<()>;

    /// Breaks the network between switch and controller, or mends it: nobody is told, and nothing arrives.
    ///
    /// # Errors
    /// When that fails.
    fn network(&mut self, up: bool) -> Result<()>;

    /// Closes the controller's connections to the switch and refuses new ones, or lets it connect again.
    ///
    /// # Errors
    /// When that fails.
    fn links(&mut self, up: bool) -> Result<()>;

    /// Ends the switch as a crash would, or starts it again; phones register anew then.
    ///
    /// # Errors
    /// When it does not come back.
    fn switch(&mut self, up: bool) -> Result<()>;

    /// Throws away what the switch, which is down, would know of Callhop when it comes back.
    ///
    /// # Errors
    /// When that fails.
    fn switch_forgets(&mut self) -> Result<()>;

    /// The code of a push works in this call, says the switch.
    ///
    /// # Errors
    /// When the switch does not answer, or has no such call.
    fn is_armed(&mut self, call: Call) -> Result<bool>;

    /// The channels that the switch has, in its own words.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn channels(&mut self) -> Result<Vec<String>>;

    /// What a phone dials to get this far end by the switch's own means, who it is being known.
    ///
    /// # Errors
    /// When the switch has no such call.
    fn native_pull(&mut self, far: Call) -> Result<String>;

    /// What a phone dials to get the caller `far`, for whom `ringing` rings, by the switch's own means.
    ///
    /// # Errors
    /// When the switch has no such calls.
    fn native_pickup(&mut self, far: Call, ringing: Call) -> Result<String>;

    /// Joins two calls by the switch's own command.
    ///
    /// # Errors
    /// When the switch has no such calls.
    fn native_bridge(&mut self, one: Call, other: Call) -> Result<()>;

    /// Lets the far end hear a ringing tone and the other one go, by the switch's own means.
    ///
    /// # Errors
    /// When the switch has no such calls.
    fn native_split(&mut self, near: Call, far: Call) -> Result<()>;

    /// Rings 1002@lab.test; whoever answers there takes the far end, by the switch's own means.
    ///
    /// # Errors
    /// When the switch has no such call.
    fn native_ring(&mut self, far: Call) -> Result<()>;
}

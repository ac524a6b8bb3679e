//! The switch of a lab: its process, and the few questions that stories ask.
//!
//! Owns the words in which the lab speaks of both switches. Refuses anything that a story does not ask for.

use std::{fmt, net::SocketAddr};

use anyhow::Result;

use crate::{controller::Controller, site::Kind};

/// A FreeSWITCH or an Asterisk with a configuration of the lab's.
pub trait Switch: fmt::Debug {
    /// Which of the two.
    fn kind(&self) -> Kind;

    /// Starts it and waits until phones can register and questions are answered.
    ///
    /// # Errors
    /// When that does not come, with the end of its log.
    fn start(&mut self) -> Result<()>;

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When that is not possible.
    fn kill(&mut self) -> Result<()>;

    /// Throws away what it keeps over a restart, while it does not run.
    ///
    /// # Errors
    /// When that is not possible.
    fn forget(&mut self) -> Result<()>;

    /// Its process, while it runs.
    fn pid(&self) -> Option<u32>;

    /// Where it listens for the controller's links.
    fn links(&self) -> SocketAddr;

    /// What the controller's configuration says of it, when the links go to `links`.
    fn settings(&self, links: SocketAddr) -> String;

    /// Puts Callhop's dialplan in, as the program writes it, asking at `questions`; takes effect at once.
    ///
    /// # Errors
    /// When the program does not write it, or the switch does not take it.
    fn write_dialplan(&mut self, callhop: &Controller, questions: SocketAddr) -> Result<()>;

    /// How many phones it knows to be registered.
    ///
    /// # Errors
    /// When it does not answer.
    fn registrations(&mut self) -> Result<usize>;

    /// The channels that there are, in the switch's own words.
    ///
    /// # Errors
    /// When it does not answer.
    fn channels(&mut self) -> Result<Vec<String>>;

    /// Asks every channel to end.
    ///
    /// # Errors
    /// When it does not answer.
    fn hang_up_all(&mut self) -> Result<()>;

    /// The channel of the SIP dialog.
    ///
    /// # Errors
    /// When there is none.
    fn channel_of(&mut self, sip_id: &str) -> Result<String>;

    /// The code of a push works on this channel.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn is_armed(&mut self, channel: &str) -> Result<bool>;

    /// What a phone dials to get this far end by the switch's own means.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn native_pull(&mut self, channel: &str) -> Result<String>;

    /// What a phone dials to get the caller `far`, for whom `ringing` rings, by the switch's own means.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn native_pickup(&mut self, far: &str, ringing: &str) -> Result<String>;

    /// Joins two channels that wait or talk, by a command.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn native_bridge(&mut self, one: &str, other: &str) -> Result<()>;

    /// Lets the far end hear a ringing tone, and the other one go.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn native_split(&mut self, near: &str, far: &str) -> Result<()>;

    /// Rings the device 1002@lab.test, whose leg then takes the far end.
    ///
    /// # Errors
    /// When the switch does not answer.
    fn native_ring(&mut self, far: &str) -> Result<()>;
}

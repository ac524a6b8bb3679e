//! The Asterisk manager interface (AMI), as main/manager.c speaks it.
//!
//! Owns the wire and nothing else: packets out of bytes, views on events and replies, bytes out of typed actions, and the two
//! kinds of links that we open. It keeps no state of calls, retries nothing, and takes no decision: reconnecting and what a lost
//! link means are the caller's. It has the shape of `callhop-esl`, with Asterisk's own words.
//!
//! | module | owns |
//! |---|---|
//! | [`frame`] | packets of `Key: value` lines and the greeting, out of a stream cut at any byte |
//! | [`event`] | headers, events and replies as views on the bytes that came |
//! | [`word`] | the whitelists: everything that can stand in an action |
//! | [`action`] | what can be asked of the switch, which permission that takes, and the one encoder |
//! | [`client`] | the command link and the event link, plain or over TLS |
//!
//! **Invariant**: no byte reaches the switch except through [`action::Action::encode`].
//!
//! **Invariant**: an answer is given to the one whose `ActionID` it carries, or to nobody.
//!
//! **Invariant**: no value of a packet is shown by `Debug`: `PJSIPShowEndpoint` answers with the passwords of the phones.

pub mod action;
pub mod backoff;
pub mod client;
pub mod event;
pub mod frame;
mod link;
pub mod secret;
pub mod word;

pub use action::{Action, Privilege};
pub use backoff::Backoff;
pub use client::{
    CommandError, CommandLink, ConnectError, EventLink, Login, Options, Subscription, Tls,
};
pub use event::{Event, EventName, Headers, Reply};
pub use frame::{Frame, FrameCodec, FrameError, FrameKind, Limits};
pub use link::LinkError;
pub use secret::Secret;

//! The FreeSWITCH event socket (ESL), as mod_event_socket speaks it.
//!
//! Owns the wire and nothing else: frames out of bytes, views on events, bytes out of typed commands, and the two kinds of
//! connection (links that we open, sessions that the switch opens). It keeps no state of calls, retries nothing, and takes
//! no decision: reconnecting and what a lost link means are the caller's.
//!
//! | module | owns |
//! |---|---|
//! | [`frame`] | header block and `Content-Length` body, out of a stream cut at any byte |
//! | [`event`] | a plain event as a view on the bytes that came; only what is read is decoded |
//! | [`word`] | the whitelists: everything that can stand in a command |
//! | [`command`] | what can be asked of the switch, and the one encoder |
//! | [`client`] | the command link and the event link |
//! | [`server`] | the outbound socket server |
//!
//! **Invariant**: no byte reaches the switch except through [`command::Command::encode`] (and the lone line feed of
//! [`client::EventLink::poke`]).
//!
//! **Invariant**: an event that nobody asks anything of is neither copied nor decoded.

pub mod backoff;
pub mod client;
pub mod command;
pub mod event;
pub mod frame;
mod link;
pub mod percent;
pub mod secret;
pub mod server;
pub mod word;

pub use backoff::Backoff;
pub use client::{
    ApiReply, CommandError, CommandLink, ConnectError, EventLink, Options, Subscription,
};
pub use command::{Api, Command};
pub use event::{Event, EventName, FieldSet, Fields};
pub use frame::{ContentType, Frame, FrameCodec, FrameError};
pub use link::LinkError;
pub use secret::Secret;

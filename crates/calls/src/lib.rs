//! The core of Callhop, without I/O and without a clock.
//!
//! One word per thing:
//! - **switch**: one FreeSWITCH or Asterisk node. **channel**: the switch's object. **leg**: our view of one party's
//!   channel.
//! - **device**: one phone, named by its own number in a **domain**: `1002@example.com`.
//! - **extension**: a person: a number in a domain and the devices that ring for it.
//! - **call**: legs that talk to, or ring for, each other. **far end**: the party who is not the person moving the call.
//!   Roles are `old_leg`, `new_leg` and `far_leg`.
//! - **pull**, **push**: the two moves. **route**: the cold route of an extension. **hunt targets**: the devices that an
//!   inbound call rings.

pub mod core;
pub mod directory;
pub mod id;
pub mod journal;
pub mod lamp;
pub mod pull;
pub mod push;
pub mod routing;
pub mod star;
pub mod tracker;

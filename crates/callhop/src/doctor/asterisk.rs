//! What is right and wrong with an Asterisk.
//!
//! Owns the checks that need its manager interface. Asks with the permissions that the controller needs itself, where that is
//! enough; what needs more and may not be asked is said to be doubtful, with a way to look at it.

mod dialplan;
mod endpoints;
mod features;
mod installed;
mod manager;
mod plan;
mod switch;

pub(super) use switch::examine;

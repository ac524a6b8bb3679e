//! What is right and wrong with a FreeSWITCH.

mod dialplan;
mod installed;
mod profile;
mod push;
mod switch;

pub(super) use switch::examine;

//! The lab on FreeSWITCH: its site, and the process.

pub mod config;
pub mod switch;

//! The lab on Asterisk: the program, its site, and the process.

pub mod config;
pub mod install;
pub mod manager;
pub mod switch;

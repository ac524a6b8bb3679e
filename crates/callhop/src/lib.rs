//! Callhop, the program: what it reads from the admin, how it speaks with switches, and what it answers to people.

pub mod config;
pub mod controller;
pub mod freeswitch;
pub mod http;

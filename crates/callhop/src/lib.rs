//! Callhop, the program: what it reads from the admin, how it speaks with switches, and what it answers to people.

pub mod asterisk;
pub mod cli;
pub mod config;
pub mod controller;
mod demo;
pub mod dialplan;
pub mod doctor;
pub mod freeswitch;
pub mod guide;
pub mod http;
pub mod import;
mod service;
pub mod switch;
pub mod telemetry;
mod webhooks;
mod when;

//! The page in a real Chromium, with the real controller and the fake FreeSWITCH with its phones behind it.
//!
//! Each test has a site and browsers of its own. Nothing here sleeps: [`chromium::Browser::until`] ends with what is waited
//! for, or fails with what the page shows instead.

#![allow(missing_docs)] // a test has no items that anybody else could use

mod chromium;
mod controls;
mod desk;
mod keyboard;
mod live;
mod looks;
mod remote;
#[path = "../fake_freeswitch/site.rs"]
mod site;
mod stage;
mod together;

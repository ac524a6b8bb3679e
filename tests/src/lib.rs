//! The stories of Callhop, told once, and the places where they are played.
//!
//! A story (`stories`) is a function that makes phones call each other, dials star codes and says what must be heard.
//! It knows only a [`site::Site`]: phones, a switch, a controller, and an ear on what each phone hears. The real sites
//! (`live`) have a FreeSWITCH or an Asterisk process and PJSIP phones; the fake one has the fake switch of
//! `crates/fakeswitch`. In all the controller is the real program, started, frozen and killed as an admin's would be.
//! Where an outcome must differ from switch to switch, `differences` says how and why.
//!
//! Owns nothing of the product. Refuses to wait by sleeping: every wait ends with an event or fails with what was seen
//! instead.

pub mod cast;
pub mod controller;
pub mod differences;
pub mod faults;
pub mod live;
pub mod program;
pub mod pushing;
pub mod python;
pub mod report;
pub mod site;
pub mod stage;
pub mod stories;

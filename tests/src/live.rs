//! The real lab: a FreeSWITCH or Asterisk process of its own, PJSIP phones, and an ear on the loopback interface.
//!
//! Owns the processes, their folder (`target/live`) and their ports. Refuses to touch a switch that runs already.

pub mod asterisk;
pub mod digits;
pub mod ear;
pub mod freeswitch;
pub mod keys;
pub mod kills;
pub mod lab;
pub mod load;
pub mod phones;
pub mod ports;
pub mod site;
pub mod switch;

//! What the sites of both switches have in common beyond the cast.

use crate::cast::Part;

/// The number whose dialplan answers and plays a ringing tone for ever: where who waits is put when the switch moves a
/// call alone.
pub const NATIVE_HOLD: &str = "98";

/// The extension that SIPp calls; its device 3001 is SIPp as well.
pub const LOAD_EXTENSION: &str = "3000";

/// SIPp as a device.
pub const LOAD_DEVICE: Part = Part {
    user: "3001",
    domain: "lab.test",
    password: "secret3001",
    tone_hz: 0,
    agent: "",
};

//! The names of events.

use std::fmt;
use std::str::FromStr;

macro_rules! event_names {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What happened (`EVENT_NAMES` in switch_event.c, those that a controller of calls has a use for). When an event
        /// comes is said at its variant.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum EventName {
            $($(#[$doc])* $variant,)*
            /// Any other, as it is written.
            Unknown(String),
        }

        impl EventName {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(text) => text,
                }
            }

            pub(crate) fn from_wire(word: &[u8]) -> Self {
                $(
                    if word == $word.as_bytes() {
                        return Self::$variant;
                    }
                )*
                Self::Unknown(String::from_utf8_lossy(word).into_owned())
            }

            /// All that have a variant.
            pub const KNOWN: &'static [EventName] = &[$(Self::$variant,)*];
        }
    };
}

event_names! {
    /// An event of a module; `Event-Subclass` says which.
    Custom = "CUSTOM",
    /// A channel exists and has its caller profile. Not before: a channel that fails at once has none.
    ChannelCreate = "CHANNEL_CREATE",
    /// The last event of a channel; after it the switch does not know the UUID any more.
    ChannelDestroy = "CHANNEL_DESTROY",
    /// The state machine moved (CS_...). The most frequent of all.
    ChannelState = "CHANNEL_STATE",
    /// The call state changed (RINGING, ACTIVE, HELD ...).
    ChannelCallState = "CHANNEL_CALLSTATE",
    /// Answered. Not sent again when an answered channel is moved.
    ChannelAnswer = "CHANNEL_ANSWER",
    /// Hanging up began; `Hangup-Cause` is known. Not the last event of the channel.
    ChannelHangup = "CHANNEL_HANGUP",
    /// Hung up, with all variables for billing.
    ChannelHangupComplete = "CHANNEL_HANGUP_COMPLETE",
    /// A dialplan application begins; also sent for things nobody wrote in a dialplan (`uuid_bridge`).
    ChannelExecute = "CHANNEL_EXECUTE",
    /// A dialplan application ended.
    ChannelExecuteComplete = "CHANNEL_EXECUTE_COMPLETE",
    /// The channel's own party put it on hold.
    ChannelHold = "CHANNEL_HOLD",
    /// The hold ended.
    ChannelUnhold = "CHANNEL_UNHOLD",
    /// Two channels are joined: `Bridge-A-Unique-ID` and `Bridge-B-Unique-ID`.
    ChannelBridge = "CHANNEL_BRIDGE",
    /// They are joined no more. May come before or after the hangup of either.
    ChannelUnbridge = "CHANNEL_UNBRIDGE",
    /// Ringing (180).
    ChannelProgress = "CHANNEL_PROGRESS",
    /// Early media (183).
    ChannelProgressMedia = "CHANNEL_PROGRESS_MEDIA",
    /// The switch creates an outbound channel; comes without variables.
    ChannelOutgoing = "CHANNEL_OUTGOING",
    /// Parked.
    ChannelPark = "CHANNEL_PARK",
    /// Parked no more.
    ChannelUnpark = "CHANNEL_UNPARK",
    /// Sent by an application about its channel.
    ChannelApplication = "CHANNEL_APPLICATION",
    /// An outbound channel is being called; tells which channel it is called for.
    ChannelOriginate = "CHANNEL_ORIGINATE",
    /// The channel got another UUID: `Old-Unique-ID`.
    ChannelUuid = "CHANNEL_UUID",
    /// What `uuid_dump` and `connect` give; not sent by itself.
    ChannelData = "CHANNEL_DATA",
    /// A display was updated; after a bridge one for each side.
    CallUpdate = "CALL_UPDATE",
    /// A codec was chosen.
    Codec = "CODEC",
    /// A digit was taken out of a channel's queue; none if nothing reads the channel.
    Dtmf = "DTMF",
    /// A file or tone begins.
    PlaybackStart = "PLAYBACK_START",
    /// A file or tone ended or was broken off.
    PlaybackStop = "PLAYBACK_STOP",
    /// A `bgapi` command ended; the body is what it printed.
    BackgroundJob = "BACKGROUND_JOB",
    /// Every 20 s (switch.conf `event-heartbeat-interval`).
    Heartbeat = "HEARTBEAT",
    /// Somebody's presence changed.
    PresenceIn = "PRESENCE_IN",
    /// A phone has subscribed to somebody's presence, or renewed that.
    PresenceProbe = "PRESENCE_PROBE",
    /// A module was loaded.
    ModuleLoad = "MODULE_LOAD",
    /// A module was unloaded.
    ModuleUnload = "MODULE_UNLOAD",
    /// The configuration was read again.
    Reloadxml = "RELOADXML",
    /// The switch ends.
    Shutdown = "SHUTDOWN",
    /// The switch was asked to end.
    ShutdownRequested = "SHUTDOWN_REQUESTED",
    /// The switch is up.
    Startup = "STARTUP",
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventName {
    type Err = std::convert::Infallible;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(Self::from_wire(word.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variants_are_inverse() {
        for name in EventName::KNOWN {
            assert_eq!(&EventName::from_wire(name.as_str().as_bytes()), name);
        }
        let other = EventName::from_wire(b"SESSION_CRASH");
        assert_eq!(other, EventName::Unknown("SESSION_CRASH".to_owned()));
        assert_eq!(other.to_string(), "SESSION_CRASH");
    }
}

//! The names of events.

use std::fmt;
use std::str::FromStr;

macro_rules! event_names {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What happened, or what an item of a list is (those that a controller of calls has a use for). When an event comes is
        /// said at its variant, and in which class (`read` in manager.conf) it is.
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
    /// A channel exists (call). Its state may be anything from `Down` to `Up`.
    Newchannel = "Newchannel",
    /// The state changed: `Ring`, `Ringing`, `Up` (call). None for what `Newchannel` said already.
    Newstate = "Newstate",
    /// A step of the dialplan (dialplan). The most frequent of all.
    Newexten = "Newexten",
    /// A variable was set (dialplan).
    VarSet = "VarSet",
    /// The caller id of a channel changed (call).
    NewCallerid = "NewCallerid",
    /// What a phone is told about the other side changed (call).
    NewConnectedLine = "NewConnectedLine",
    /// A channel has another name (call); `Uniqueid` is the same.
    Rename = "Rename",
    /// The channel is gone (call): its last event.
    Hangup = "Hangup",
    /// The channel's own side hung up (call). `Hangup` follows.
    HangupRequest = "HangupRequest",
    /// Somebody else, we for example, asks for the hangup (call). `Hangup` follows.
    SoftHangupRequest = "SoftHangupRequest",
    /// `Channel` begins to ring `DestChannel` (call). An originated channel has no `Channel`.
    DialBegin = "DialBegin",
    /// `RINGING`, `PROGRESS` or `PROCEEDING` of a dialled channel (call).
    DialState = "DialState",
    /// Dialling has ended with `DialStatus` (call). After a pickup `DestChannel` is the one that has picked up.
    DialEnd = "DialEnd",
    /// A bridge exists (call).
    BridgeCreate = "BridgeCreate",
    /// A bridge is no more (call).
    BridgeDestroy = "BridgeDestroy",
    /// A channel has joined a bridge (call). Two that name the same `BridgeUniqueid` talk.
    BridgeEnter = "BridgeEnter",
    /// A channel has left a bridge (call).
    BridgeLeave = "BridgeLeave",
    /// Two bridges became one (call).
    BridgeMerge = "BridgeMerge",
    /// The two halves of a Local channel were joined (call).
    LocalBridge = "LocalBridge",
    /// A Local channel takes itself out of a call (call).
    LocalOptimizationBegin = "LocalOptimizationBegin",
    /// A Local channel is out of a call (call).
    LocalOptimizationEnd = "LocalOptimizationEnd",
    /// The channel's own party holds the other (call).
    Hold = "Hold",
    /// It holds no more (call). Doesn't come for a holder whose partner was taken away.
    Unhold = "Unhold",
    /// Music on hold begins for a channel (call).
    MusicOnHoldStart = "MusicOnHoldStart",
    /// Music on hold ends for a channel (call).
    MusicOnHoldStop = "MusicOnHoldStop",
    /// A digit begins (dtmf).
    DtmfBegin = "DTMFBegin",
    /// A digit has ended (dtmf). Comes also for digits that a feature swallows; `Direction` is `Received` or `Sent`.
    DtmfEnd = "DTMFEnd",
    /// What a dialplan or a manager sends with `UserEvent` (user); its name is in the header `UserEvent`.
    UserEvent = "UserEvent",
    /// `Channel` has picked up the ringing `TargetChannel` (call).
    Pickup = "Pickup",
    /// A blind transfer (call).
    BlindTransfer = "BlindTransfer",
    /// An attended transfer (call).
    AttendedTransfer = "AttendedTransfer",
    /// What became of an `Originate` (call): also has a `Response`. For the cause see `DialEnd`.
    OriginateResponse = "OriginateResponse",
    /// A contact was added, removed or has answered a qualify (system).
    ContactStatus = "ContactStatus",
    /// An endpoint became reachable or unreachable (system).
    PeerStatus = "PeerStatus",
    /// The state of a device changed (call).
    DeviceStateChange = "DeviceStateChange",
    /// The state of a hint changed (call).
    ExtensionStatus = "ExtensionStatus",
    /// The switch is up (system); comes at login, too, if it is.
    FullyBooted = "FullyBooted",
    /// The switch ends (system).
    Shutdown = "Shutdown",
    /// A module was read again (system).
    Reload = "Reload",
    /// Item of `CoreShowChannels`.
    CoreShowChannel = "CoreShowChannel",
    /// End of `CoreShowChannels`.
    CoreShowChannelsComplete = "CoreShowChannelsComplete",
    /// Item of `Status`.
    Status = "Status",
    /// End of `Status`.
    StatusComplete = "StatusComplete",
    /// Item of `PJSIPShowEndpoints`.
    EndpointList = "EndpointList",
    /// End of `PJSIPShowEndpoints`.
    EndpointListComplete = "EndpointListComplete",
    /// Item of `PJSIPShowEndpoint`: the endpoint itself.
    EndpointDetail = "EndpointDetail",
    /// Item of `PJSIPShowEndpoint`: its authentication, with the password.
    AuthDetail = "AuthDetail",
    /// Item of `PJSIPShowEndpoint`: an address of record.
    AorDetail = "AorDetail",
    /// Item of `PJSIPShowEndpoint`: a transport.
    TransportDetail = "TransportDetail",
    /// Item of `PJSIPShowEndpoint`: what identifies it.
    IdentifyDetail = "IdentifyDetail",
    /// Item of `PJSIPShowEndpoint` and of `PJSIPShowRegistrationInboundContactStatuses`: a contact and its state.
    ContactStatusDetail = "ContactStatusDetail",
    /// End of `PJSIPShowEndpoint`.
    EndpointDetailComplete = "EndpointDetailComplete",
    /// End of `PJSIPShowRegistrationInboundContactStatuses`.
    ContactStatusDetailComplete = "ContactStatusDetailComplete",
    /// Item of `PJSIPShowContacts`.
    ContactList = "ContactList",
    /// End of `PJSIPShowContacts`.
    ContactListComplete = "ContactListComplete",
    /// Item of `DBGet`.
    DbGetResponse = "DBGetResponse",
    /// End of `DBGet`.
    DbGetComplete = "DBGetComplete",
    /// Item of `DBGetTree`.
    DbGetTreeResponse = "DBGetTreeResponse",
    /// End of `DBGetTree`.
    DbGetTreeComplete = "DBGetTreeComplete",
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
        let other = EventName::from_wire(b"RTCPSent");
        assert_eq!(other, EventName::Unknown("RTCPSent".to_owned()));
        assert_eq!(other.to_string(), "RTCPSent");
    }
}

//! Where the switches must differ in what a story sees: each difference is a value here, with its reason.
//!
//! A story reads it by [`Kind::differs`] and asks no switch for its name. A story that a switch can't play at all says so
//! itself (`Story::not_on`).

use std::time::Duration;

use crate::site::Kind;

/// What is to be reached, measured in the same run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// At most so many times the median of the switch alone.
    Ratio(f64),
    /// A median of at most so many ms.
    Most(f64),
    /// At most so many ms more in the median than the switch alone.
    Added(f64),
}

/// The differences of one switch.
#[derive(Debug, Clone, Copy)]
pub struct Differences {
    /// What the switch does alone that is nearest to a pull, a pull of a ringing call, a push and a hunt; and its command
    /// that joins two channels.
    pub native: [&'static str; 5],
    /// The far end's gap on a pull (DESIGN section 5). FreeSWITCH's `intercept` costs tens of ms itself, so Callhop may
    /// cost 5 % more; Asterisk moves a channel between two bridges without losing a packet, so one packet is all.
    pub pull_gap: Reach,
    /// The far end's RTP goes on in one stream, with one SSRC and sequence numbers without a jump. Asterisk tells a change of the source by a new SSRC (RFC 3550
    /// section 8.2; `ast_rtp_change_source` of res_rtp_asterisk.c), with its own `Bridge` as well, and a new stream has
    /// its own sequence numbers. It does so where it passes RTP on unread (bridge_native_rtp.c), with the sequence numbers of whoever
    /// speaks; an armed leg prevents that, and one that is not armed (yet) does not.
    pub one_stream: bool,
    /// RTP timestamps step by the time that has passed. Asterisk gives the far end the timestamps of whoever speaks
    /// (frames with timing information in res_rtp_asterisk.c): with its own `Bridge` they step by -640 as well.
    pub one_clock: bool,
    /// For so long after a digit by SIP INFO no sound of that phone passes. Asterisk makes it as long as the phone says, 160
    /// ms, and meanwhile drops its sound (`__ast_read` of channel.c), as a phone sends none while it sends a digit in RTP.
    pub info_digit: Duration,
    /// Whose password is asked for is what From says. Asterisk takes the endpoint from there
    /// (res_pjsip_endpoint_identifier_user.c): whoever forges it fails at the password of the one that is named, and no
    /// dialplan sees the call. FreeSWITCH takes the user of the digest.
    pub from_is_the_account: bool,
    /// Of two pulls in the same moment the second one may find the first one done, and then pulls the call on: a move is over in
    /// some 5 ms on Asterisk. It takes some 60 ms on FreeSWITCH, and whoever comes meanwhile is refused.
    pub pulled_on_at_once: bool,
    /// An account of another domain on the same profile may subscribe to a lamp: FreeSWITCH asks for a password at most, and
    /// lets any account subscribe to any name (`sofia_presence_handle_sip_i_subscribe`), as to the presence of any user. On
    /// Asterisk a phone subscribes in its own context.
    pub lamps_across_domains: bool,
    /// From the star code to the new bridge (DESIGN section 5).
    pub pull_time: Reach,
    /// The far end's gap when a push is answered.
    pub push_gap: Reach,
}

const FREESWITCH: Differences = Differences {
    native: [
        "intercept",
        "intercept",
        "originate, intercept",
        "bridge",
        "uuid_bridge",
    ],
    pull_gap: Reach::Ratio(1.05),
    one_stream: true,
    one_clock: true,
    info_digit: Duration::ZERO,
    from_is_the_account: false,
    pulled_on_at_once: false,
    lamps_across_domains: true,
    pull_time: Reach::Ratio(1.15),
    push_gap: Reach::Ratio(1.05),
};

const ASTERISK: Differences = Differences {
    native: [
        "Bridge()",
        "PickupChan()",
        "Originate, Bridge()",
        "Dial()",
        "action Bridge",
    ],
    pull_gap: Reach::Most(20.5),
    one_stream: false,
    one_clock: false,
    info_digit: Duration::from_millis(160),
    from_is_the_account: true,
    pulled_on_at_once: true,
    lamps_across_domains: false,
    // Bridge() of a channel whose name is known asks nobody; a pull has to ask the controller once.
    pull_time: Reach::Ratio(1.15),
    push_gap: Reach::Most(20.5),
};

impl Kind {
    /// What this switch does in its own way.
    #[must_use]
    pub const fn differs(self) -> &'static Differences {
        match self {
            Self::Fake | Self::FreeSwitch => &FREESWITCH,
            Self::Asterisk => &ASTERISK,
        }
    }
}

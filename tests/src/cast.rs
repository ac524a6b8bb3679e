//! Who plays: the phones of every story, and the extensions that they belong to.
//!
//! Every phone sends a tone of its own for as long as it has a call, so that an ear on the RTP knows who is heard.
//! Tones are multiples of 50 Hz: a packet of 20 ms holds whole periods of them, and one is never taken for another.

use std::fmt;

/// A phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phone {
    /// Device 1001@lab.test, of extension 1000.
    P1001,
    /// A second phone registered as 1001@lab.test. It is off until a story registers it.
    P1001b,
    /// Device 1002@lab.test, of extension 1000.
    P1002,
    /// Device 1003@lab.test, of extension 1000.
    P1003,
    /// Device 2001@lab.test, of the colleague's extension 2001, which has the number of this device.
    P2001,
    /// Device 2002@lab.test, of the colleague's extension 2001.
    P2002,
    /// Device 1001@other.test, of extension 1000 there: another tenant with the same numbers.
    X1001,
    /// Device 1002@other.test, of extension 1000 there.
    X1002,
    /// Outside, without a registration. Dials from there, and is dialled as 01 and any digits.
    Out1,
    /// Outside, dialled as 02 and any digits.
    Out2,
}

/// What a phone is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The SIP user, also its number.
    pub user: &'static str,
    /// The domain of its address.
    pub domain: &'static str,
    /// The digest password; empty outside, where nobody asks.
    pub password: &'static str,
    /// The tone that it sends, Hz.
    pub tone_hz: u32,
    /// The User-Agent that it names. FreeSWITCH tells only phones of some makers when the other side's identity changes
    /// (`mod_sofia.c`, the list in `SWITCH_MESSAGE_INDICATE_DISPLAY`), so the far ends say that they are one.
    pub agent: &'static str,
}

impl Phone {
    /// All of them, in the order in which they get their ports.
    pub const ALL: [Self; 10] = [
        Self::P1001,
        Self::P1001b,
        Self::P1002,
        Self::P1003,
        Self::P2001,
        Self::P2002,
        Self::X1001,
        Self::X1002,
        Self::Out1,
        Self::Out2,
    ];

    /// What this phone is made of.
    #[must_use]
    pub const fn part(self) -> Part {
        const PLAIN: &str = "Callhop test phone";
        const SHOWS_CHANGES: &str = "Yealink test phone";
        let (user, domain, password, tone_hz, agent) = match self {
            Self::P1001 => ("1001", "lab.test", "secret1001", 600, PLAIN),
            Self::P1001b => ("1001", "lab.test", "secret1001", 850, PLAIN),
            Self::P1002 => ("1002", "lab.test", "secret1002", 1050, PLAIN),
            Self::P1003 => ("1003", "lab.test", "secret1003", 1250, SHOWS_CHANGES),
            Self::P2001 => ("2001", "lab.test", "secret2001", 1600, SHOWS_CHANGES),
            Self::P2002 => ("2002", "lab.test", "secret2002", 1750, PLAIN),
            Self::X1001 => ("1001", "other.test", "other1001", 2050, PLAIN),
            Self::X1002 => ("1002", "other.test", "other1002", 2250, PLAIN),
            Self::Out1 => ("5550001", "outside.test", "", 2600, SHOWS_CHANGES),
            Self::Out2 => ("5550002", "outside.test", "", 2850, PLAIN),
        };
        Part {
            user,
            domain,
            password,
            tone_hz,
            agent,
        }
    }

    /// The device that it is, `user@domain`.
    #[must_use]
    pub fn device(self) -> String {
        let Part { user, domain, .. } = self.part();
        format!("{user}@{domain}")
    }

    /// Where it stands in [`Phone::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Outside: dials and is dialled without a registration.
    #[must_use]
    pub const fn is_outside(self) -> bool {
        matches!(self, Self::Out1 | Self::Out2)
    }

    /// Registered when a story begins.
    #[must_use]
    pub const fn registers(self) -> bool {
        !self.is_outside() && !matches!(self, Self::P1001b)
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P1001b => f.write_str("1001's second phone"),
            _ => f.write_str(&self.device()),
        }
    }
}

/// The extensions that the controller knows when a story begins, each with its devices.
pub const EXTENSIONS: [(&str, &[&str]); 3] = [
    ("1000@lab.test", &["1001", "1002", "1003"]),
    ("2001@lab.test", &["2001", "2002"]),
    ("1000@other.test", &["1001", "1002"]),
];

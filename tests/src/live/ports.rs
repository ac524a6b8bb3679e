//! Which ports a lab uses: one block of 4,000 below the range that the system hands out by itself.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};

use anyhow::{Result, bail};

use crate::cast::Phone;

/// Holds a block as long as it lives: its first port, so that two labs that begin at once do not both find it free.
#[derive(Debug)]
pub struct Held {
    _first: TcpListener,
}

/// A block of free ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// The first block that nobody uses.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<(Self, Held)> {
        for base in [20_000, 24_000, 28_000, 16_000, 12_000, 8_000] {
            let ports = Self { base };
            let Ok(first) = TcpListener::bind(local(base)) else {
                continue;
            };
            let tcp = [ports.esl(), ports.ami(), ports.link(), ports.http()]
                .into_iter()
                .all(|port| TcpListener::bind(local(port)).is_ok());
            let phones = Phone::ALL.into_iter().map(|phone| ports.phone_sip(phone));
            let udp = [ports.internal(), ports.external(), ports.forced()]
                .into_iter()
                .chain(phones);
            if tcp
                && udp
                    .into_iter()
                    .all(|port| UdpSocket::bind(local(port)).is_ok())
            {
                return Ok((ports, Held { _first: first }));
            }
        }
        bail!("no block of free ports for the lab: is another one running?")
    }

    /// FreeSWITCH's event socket.
    #[must_use]
    pub const fn esl(self) -> u16 {
        self.base + 21
    }

    /// Asterisk's manager interface.
    #[must_use]
    pub const fn ami(self) -> u16 {
        self.base + 38
    }

    /// Where the controller finds its switch: a way that can be cut.
    #[must_use]
    pub const fn link(self) -> u16 {
        self.base + 22
    }

    /// The switch's SIP port for phones.
    #[must_use]
    pub const fn internal(self) -> u16 {
        self.base + 60
    }

    /// The switch's SIP port for phones, on a profile that forces one domain on everybody.
    #[must_use]
    pub const fn forced(self) -> u16 {
        self.base + 70
    }

    /// The switch's SIP port for the outside.
    #[must_use]
    pub const fn external(self) -> u16 {
        self.base + 80
    }

    /// The controller.
    #[must_use]
    pub const fn http(self) -> u16 {
        self.base + 85
    }

    /// SIPp as caller (0) and as the called side (1).
    #[must_use]
    pub const fn load(self, which: u16) -> u16 {
        self.base + 90 + which
    }

    /// A phone's SIP port.
    #[must_use]
    pub const fn phone_sip(self, phone: Phone) -> u16 {
        self.base + 100 + phone.index() as u16
    }

    /// The first of a phone's RTP ports; it has [`Ports::RTP_SPAN`].
    #[must_use]
    pub const fn phone_rtp(self, phone: Phone) -> u16 {
        self.base + 1_000 + Self::RTP_SPAN * phone.index() as u16
    }

    /// How many RTP ports a phone has; it goes through them call by call and may end a few behind its 90.
    pub const RTP_SPAN: u16 = 100;

    /// The switch's RTP ports, first and last.
    #[must_use]
    pub const fn switch_rtp(self) -> (u16, u16) {
        (self.base + 2_000, self.base + 3_999)
    }
}

/// A port on the loopback interface.
#[must_use]
pub const fn local(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

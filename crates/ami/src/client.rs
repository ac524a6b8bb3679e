//! The two links to a switch.
//!
//! ```text
//! 1 connect --TCP[, TLS]--> 2 greeting --Challenge--> 3 challenge --Login MD5--> 5 logged in --> command link: ready
//!                                |                        | refused                 |--Filter, Events--> 6 subscribed
//!                                |                        v                         |                      --> event link: ready
//!                                '---------------> 4 plain login allowed --Login--> 5
//! ```
//!
//! State 4 is reached only over TLS, over loopback, or where [`Options::plain_secret`] allows it: whoever sits in between could
//! refuse the challenge to be told the secret.
//!
//! The command link may have several actions in flight: an answer says by its `ActionID` what it answers. An answer that comes after
//! its time is counted and dropped, and the link goes on.
//!
//! The event link only reads. Asterisk keeps some 3 MB for a slow reader and then ends the link in the midst of an event
//! (`writetimeout` in manager.conf): whoever owns it has to call [`EventLink::next`] all the time. Without a gap before it: the end
//! of the link is the only way to lose events.

mod command_link;
mod event_link;
mod tls;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

pub use command_link::{CommandError, CommandLink, List, Unsent};
pub use event_link::{EventLink, Subscription};
pub use tls::{Tls, TlsError};

use crate::action::{Action, EncodeError, EventMask, Privilege};
use crate::event::{Reply, ReplyStatus};
use crate::frame::{FrameKind, Limits};
use crate::link::{Link, LinkError, SendError, Stream};
use crate::secret::Secret;
use crate::word::{ActionId, UserName, Word, WordError};

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user of manager.conf.
    pub user: UserName,
    /// Its secret.
    pub secret: Secret,
}

/// Time-outs, limits and ways of a link.
#[derive(Debug, Clone)]
pub struct Options {
    /// For the TCP connection, and again for TLS; 5 s by default.
    pub connect_timeout: Duration,
    /// For each step of login and subscription; 5 s by default. (The switch itself gives up after 30 s, `authtimeout`; it waits a
    /// second before it refuses a secret.)
    pub login_timeout: Duration,
    /// For the answer to an action, a list's end included; 5 s by default.
    pub reply_timeout: Duration,
    /// The longest packets that are read.
    pub limits: Limits,
    /// The most octets of a list; 512 MiB by default. A contact has some 450.
    pub max_list: usize,
    /// TLS (`tlsenable` in manager.conf, port 5039); none by default.
    pub tls: Option<Tls>,
    /// Whether the secret may be sent as it is over a network without TLS, if the switch offers no challenge; not by default.
    pub plain_secret: bool,
    /// What the `ActionID`s of this link begin with, so that nobody takes them for another's: `OriginateResponse` and `UserEvent`
    /// show them to all. At most 40 octets.
    pub id_prefix: ActionId,
}

impl Options {
    /// The defaults, with this prefix.
    pub fn new(id_prefix: ActionId) -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            login_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            max_list: 512 * 1024 * 1024,
            tls: None,
            plain_secret: false,
            id_prefix,
        }
    }

    /// The `number`-th id.
    fn id(&self, number: u64) -> Result<ActionId, WordError> {
        ActionId::new(format!("{}-{number}", self.id_prefix))
    }
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection: refused, unreachable, or no such name.
    #[error("can't connect")]
    Tcp(#[source] io::Error),
    /// No TCP or TLS connection in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The TLS handshake failed: a certificate that isn't trusted or is another's, or no TLS at all.
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
    /// Wrong user or secret, or an address that the user may not come from (`deny`, `permit`): Asterisk doesn't say which. Also
    /// `Login Already In Use`: the two links need `allowmultiplelogin`, which is the default.
    #[error("the switch refuses the login: {text}")]
    LoginRefused {
        /// What it said.
        text: String,
    },
    /// The switch offers no challenge, and the secret isn't sent over a network without TLS.
    #[error(
        "the switch offers no challenge, and without TLS the secret is not sent to {peer}: {text}"
    )]
    PlainSecret {
        /// The switch's address.
        peer: IpAddr,
        /// What it said to the challenge.
        text: String,
    },
    /// The challenge isn't a word.
    #[error("the switch sent no usable challenge")]
    Challenge(#[source] WordError),
    /// A filter was refused: it takes the permission `system`.
    #[error("the switch refuses {action}: {text}")]
    SubscriptionRefused {
        /// `Filter` or `Events`.
        action: &'static str,
        /// What it said.
        text: String,
        /// The permissions of which one is needed; empty if that isn't the matter.
        needs: &'static [Privilege],
    },
    /// The prefix for action ids is too long.
    #[error(transparent)]
    Id(#[from] WordError),
    /// The secret or subscription can't be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The connection broke, fell silent, or isn't a manager interface.
    #[error("no conversation with a manager interface")]
    Link(#[source] LinkError),
}

impl From<LinkError> for ConnectError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<SendError> for ConnectError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Encode(error) => Self::Encode(error),
            SendError::Link(error) => Self::Link(error),
        }
    }
}

/// A logged-in link, and how many action ids it has used.
struct LoggedIn {
    link: Link,
    ids: u64,
    /// What the greeting said.
    version: String,
    /// Events that came before the last answer, in their order.
    early: std::collections::VecDeque<crate::event::Event>,
}

impl LoggedIn {
    /// Sends an action and gives its answer; events in between are kept.
    async fn ask(&mut self, action: &Action, options: &Options) -> Result<Reply, ConnectError> {
        /// `FullyBooted` and a few others may come before an answer.
        const MOST_EARLY: usize = 10_000;
        let id = options.id(self.ids)?;
        self.ids += 1;
        let limit = options.login_timeout;
        self.link.send_within(action, &id, limit).await?;
        let answer = async {
            loop {
                let frame = self.link.reader.next().await?;
                match (frame.kind(), frame.into_event()) {
                    (_, Ok(_)) if self.early.len() >= MOST_EARLY => {
                        return Err(LinkError::Flooded(MOST_EARLY));
                    }
                    (_, Ok(event)) => self.early.push_back(event),
                    (kind, Err(frame)) => match frame.into_reply() {
                        Ok(reply) if reply.action_id().as_deref() == Some(id.as_str()) => {
                            return Ok(reply);
                        }
                        _ => return Err(LinkError::Unexpected(kind)),
                    },
                }
            }
        };
        let answer = timeout(limit, answer)
            .await
            .map_err(|_| LinkError::Timeout(limit))?;
        Ok(answer?)
    }
}

/// States 1 to 5 of the diagram.
async fn log_in(
    addr: impl ToSocketAddrs,
    login: &Login,
    options: &Options,
) -> Result<LoggedIn, ConnectError> {
    let stream = timeout(options.connect_timeout, TcpStream::connect(addr))
        .await
        .map_err(|_| ConnectError::Timeout(options.connect_timeout))?
        .map_err(ConnectError::Tcp)?;
    // Actions are small and each waits for its answer: there is nothing to be gained from collecting them.
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let peer = stream.peer_addr().map_err(ConnectError::Tcp)?.ip();
    let stream: Box<dyn Stream> = match &options.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(
            timeout(options.connect_timeout, tls.wrap(stream))
                .await
                .map_err(|_| ConnectError::Timeout(options.connect_timeout))?
                .map_err(ConnectError::Tls)?,
        ),
    };
    let mut link = Link::new(stream, options.limits);
    let hello = link.next_within(options.login_timeout).await?;
    let version = match hello.version() {
        Some(version) => version.to_owned(),
        None => return Err(LinkError::Unexpected(hello.kind()).into()),
    };
    let mut link = LoggedIn {
        link,
        ids: 0,
        version,
        early: std::collections::VecDeque::new(),
    };

    let user = login.user.clone();
    let secret = login.secret.clone();
    let events = EventMask::Off;
    let offer = link.ask(&Action::Challenge, options).await?;
    let challenge = offer.get_filled("Challenge");
    let action = match (offer.status(), challenge) {
        (ReplyStatus::Success, Some(challenge)) => Action::LoginMd5 {
            user,
            secret,
            challenge: Word::new(challenge).map_err(ConnectError::Challenge)?,
            events,
        },
        _ if may_send_secret(peer, options) => Action::Login {
            user,
            secret,
            events,
        },
        _ => {
            return Err(ConnectError::PlainSecret {
                peer,
                text: offer.message().into_owned(),
            });
        }
    };
    let reply = link.ask(&action, options).await?;
    if reply.status() != ReplyStatus::Success {
        return Err(ConnectError::LoginRefused {
            text: reply.message().into_owned(),
        });
    }
    Ok(link)
}

/// The way to state 4.
fn may_send_secret(peer: IpAddr, options: &Options) -> bool {
    options.tls.is_some() || peer.to_canonical().is_loopback() || options.plain_secret
}

/// What Asterisk says if the user may not (`process_message`, main/manager.c).
fn is_permission_denied(reply: &Reply) -> bool {
    reply.message() == "Permission denied"
}

/// A frame that may stand between others on a link.
fn is_harmless(kind: FrameKind) -> bool {
    matches!(
        kind,
        FrameKind::Event | FrameKind::Response | FrameKind::Other
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_secret_may_be_sent() {
        fn check(peer: &str, plain_secret: bool, want: bool) {
            let mut options = Options::new("t".parse().unwrap());
            options.plain_secret = plain_secret;
            let peer = peer.parse().unwrap();
            assert_eq!(may_send_secret(peer, &options), want, "{peer}");
        }
        check("127.0.0.1", false, true);
        check("127.9.9.9", false, true);
        check("::1", false, true);
        check("::ffff:127.0.0.1", false, true);
        check("10.0.0.1", false, false);
        check("::ffff:10.0.0.1", false, false);
        check("2001:db8::1", false, false);
        check("10.0.0.1", true, true);
        let mut options = Options::new("t".parse().unwrap());
        options.tls = Some(Tls::new("switch.test", None).unwrap());
        assert!(may_send_secret("10.0.0.1".parse().unwrap(), &options));
    }
}

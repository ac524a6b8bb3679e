//! The link for events: only read.

use std::io;

use tokio::net::ToSocketAddrs;

use super::{ConnectError, Options, ask, authenticate, is_ok};
use crate::command::Command;
use crate::event::{Event, EventName};
use crate::frame::{ContentType, FrameError};
use crate::link::{Link, LinkError};
use crate::secret::Secret;
use crate::word::Subclass;

/// The events that a link is for. Named one by one: of all events of a call, 38 % are CHANNEL_STATE and CHANNEL_CALLSTATE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Names of events.
    pub names: Vec<EventName>,
    /// Subclasses of CUSTOM events.
    pub custom: Vec<Subclass>,
}

/// The link for events.
#[derive(Debug)]
pub struct EventLink {
    link: Link,
}

impl EventLink {
    /// Connects, authenticates and subscribes. From then on the switch queues events for us.
    ///
    /// # Errors
    /// Which step failed, see [`ConnectError`].
    pub async fn connect(
        addr: impl ToSocketAddrs,
        password: &Secret,
        subscription: &Subscription,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let mut link = authenticate(addr, password, options).await?;
        let subscribe = Command::EventPlain {
            names: subscription.names.clone(),
            custom: subscription.custom.clone(),
        };
        let text = ask(&mut link, &subscribe, options).await?;
        if !is_ok(&text) {
            return Err(ConnectError::SubscriptionRefused { text });
        }
        Ok(Self { link })
    }

    /// The next event, in the order of the wire (which isn't always that of `Event-Sequence`). Waits for ever on a link that
    /// has fallen silent: who must notice subscribes to HEARTBEAT and has a timer.
    ///
    /// May be dropped at any time; no event is lost by that.
    ///
    /// # Errors
    /// The link is of no further use.
    pub async fn next(&mut self) -> Result<Event, LinkError> {
        loop {
            let frame = self.link.next().await?;
            match frame.content_type() {
                ContentType::EventPlain => {
                    return Ok(Event::new(frame.into_body()));
                }
                // `linger` is a matter of sessions; here such a notice means nothing.
                ContentType::DisconnectNotice => {}
                other => return Err(LinkError::Unexpected(other.clone())),
            }
        }
    }

    /// Makes the switch send at once what it has queued, by a lone line feed. mod_event_socket looks at its queue every 20 ms
    /// and whenever there is input (`switch_poll` in read_packet), and an empty line in place of a command is ignored there.
    /// To be called when an event is known to be on its way, such as after the answer to a command on the other link:
    /// from a command to its event it took 11 ms (median; 28 ms p99) without and 1.5 ms with it, of which 1.4 ms went by before the
    /// answer.
    ///
    /// Never waits: a switch that doesn't read isn't helped by more input.
    ///
    /// # Errors
    /// The link is of no further use.
    pub fn poke(&self) -> Result<(), LinkError> {
        match self.link.stream().try_write(b"\n") {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(FrameError::Io(error).into()),
        }
    }
}

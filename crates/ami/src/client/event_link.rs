//! The link for events: only read.

use std::collections::VecDeque;
use std::fmt;

use tokio::net::ToSocketAddrs;

use super::{ConnectError, LoggedIn, Login, Options, is_harmless, is_permission_denied, log_in};
use crate::action::{Action, EventFilter, EventMask, Privilege};
use crate::event::{Event, ReplyStatus};
use crate::link::{LinkError, Reader, Writer};
use crate::word::Word;

/// The events that a link is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The classes. What the user may not read (`read` in manager.conf) is left out silently: whether it may is said by
    /// `manager show user`.
    pub classes: Vec<Privilege>,
    /// Of these classes only the events of these names; all of them if empty.
    pub only: Vec<Word>,
}

/// The link for events.
pub struct EventLink {
    reader: Reader,
    /// Held so that the connection stays whole.
    _writer: Writer,
    early: VecDeque<Event>,
    version: String,
}

impl EventLink {
    /// Connects, logs in and subscribes. From then on the switch queues events for us, and none that holds another one
    /// ([`EventFilter::NoneInside`]). Takes the permission `system`.
    ///
    /// # Errors
    /// Which step failed, see [`ConnectError`].
    pub async fn connect(
        addr: impl ToSocketAddrs,
        login: &Login,
        subscription: &Subscription,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let mut link = log_in(addr, login, options).await?;
        let only = subscription.only.iter().cloned().map(EventFilter::Only);
        for filter in std::iter::once(EventFilter::NoneInside).chain(only) {
            ask(&mut link, &Action::Filter(filter), options).await?;
        }
        // What came before belongs to no subscription.
        link.early.clear();
        let mask = EventMask::Classes(subscription.classes.clone());
        ask(&mut link, &Action::Events(mask), options).await?;
        Ok(Self {
            reader: link.link.reader,
            _writer: link.link.writer,
            early: link.early,
            version: link.version,
        })
    }

    /// The next event, in the order of the wire. Waits for ever on a link that has fallen silent: who must notice sends a
    /// `UserEvent` over the command link from time to time, and has a timer.
    ///
    /// May be dropped at any time; no event is lost by that.
    ///
    /// # Errors
    /// The link is of no further use.
    pub async fn next(&mut self) -> Result<Event, LinkError> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        loop {
            let frame = self.reader.next().await?;
            let kind = frame.kind();
            match frame.into_event() {
                Ok(event) => return Ok(event),
                Err(_) if is_harmless(kind) => {
                    tracing::debug!(%kind, "passed over on the event link");
                }
                Err(_) => return Err(LinkError::Unexpected(kind)),
            }
        }
    }

    /// The version of the interface that the greeting said: `11.0.0` is Asterisk 22.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Debug for EventLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLink")
            .field("early", &self.early.len())
            .finish_non_exhaustive()
    }
}

async fn ask(link: &mut LoggedIn, action: &Action, options: &Options) -> Result<(), ConnectError> {
    let reply = link.ask(action, options).await?;
    if reply.status() == ReplyStatus::Success {
        return Ok(());
    }
    let needs = if is_permission_denied(&reply) {
        action.permission()
    } else {
        &[]
    };
    Err(ConnectError::SubscriptionRefused {
        action: action.name(),
        text: reply.message().into_owned(),
        needs,
    })
}

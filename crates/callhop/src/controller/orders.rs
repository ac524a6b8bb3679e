//! The orders of pushes and offers, carried out on one switch, one after the other.
//!
//! Owns the queue of one switch, so that what was ordered first is done first. Refuses to decide: what an order came to is
//! told to the core, and the rest is reported by the switch. What is ordered after an entry of the journal waits until that
//! is written.

use std::sync::Arc;

use callhop_calls::core::{Input, OfferOrder, RingOrder, SplitOrder};
use callhop_calls::id::{ChannelId, SwitchName};
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span, debug, error, warn};

use super::{Core, Journal};
use crate::switch::Switch;

/// One order.
#[derive(Debug)]
pub(super) enum Order {
    /// Take the two legs apart.
    Split(Box<SplitOrder>),
    /// Ring the target.
    Ring(Box<RingOrder>),
    /// Ring those to whom a call is offered.
    Offer(Box<OfferOrder>),
    /// The old leg takes the far leg back, after the refusal tone or without.
    GiveBack(ChannelId, bool),
    /// The far leg rings the pusher's devices.
    Recall(ChannelId),
    /// The leg has nothing left to do.
    Release(ChannelId),
    /// The far leg talks again.
    Settle(ChannelId),
    /// Both legs are read again.
    Read([ChannelId; 2]),
    /// What was dialled was meant for the application that the leg is in.
    ReturnCode(ChannelId, String),
}

/// The queue of one switch.
#[derive(Debug, Clone)]
pub(super) struct Orders(mpsc::UnboundedSender<(Order, Span)>);

impl Orders {
    /// Begins to carry out what is ordered, until the program ends.
    pub(super) fn start(
        name: SwitchName,
        switch: Arc<dyn Switch>,
        journal: Journal,
        core: Core,
    ) -> Self {
        let (queue, mut orders) = mpsc::unbounded_channel::<(Order, Span)>();
        let worker = Worker {
            name,
            switch,
            journal,
            core,
        };
        tokio::spawn(async move {
            while let Some((order, span)) = orders.recv().await {
                worker.carry_out(order).instrument(span).await;
            }
        });
        Self(queue)
    }

    /// Puts an order behind all others; what is logged of it belongs to `span`, that of its move.
    pub(super) fn put(&self, order: Order, span: Span) {
        // The worker ends only with the program.
        let _ = self.0.send((order, span));
    }
}

struct Worker {
    name: SwitchName,
    switch: Arc<dyn Switch>,
    journal: Journal,
    core: Core,
}

impl Worker {
    async fn carry_out(&self, order: Order) {
        let switch = &self.switch;
        let (what, leg, done) = match order {
            Order::Split(order) => {
                self.journal.written().await;
                let done = switch.split(&order).await;
                if done.is_err() {
                    self.core.send(Input::NotSplit(self.name.clone(), order.id));
                }
                ("split", order.old_leg, done)
            }
            Order::Ring(order) => {
                self.journal.written().await;
                let done = switch.ring(&order).await;
                if done.is_err() {
                    let cause = "command_failed".to_owned();
                    let input = Input::NotReached(self.name.clone(), order.id, cause);
                    self.core.send(input);
                }
                ("ring", order.far_leg, done)
            }
            Order::Offer(order) => {
                self.journal.written().await;
                let done = switch.offer(&order).await;
                if done.is_err() {
                    let cause = "command_failed".to_owned();
                    let input = Input::NotReached(self.name.clone(), order.id, cause);
                    self.core.send(input);
                }
                if let Err(error) = done {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    error!(switch = %self.name, id = %order.id, error, "a call was not offered");
                }
                return;
            }
            Order::GiveBack(leg, tone) => {
                let done = switch.give_back(&leg, tone).await;
                ("give back", leg, done)
            }
            Order::Recall(leg) => {
                let done = switch.recall(&leg).await;
                ("recall", leg, done)
            }
            Order::Release(leg) => {
                let done = switch.release(&leg).await;
                ("release", leg, done)
            }
            Order::Settle(leg) => {
                let done = switch.settle(&leg).await;
                ("settle", leg, done)
            }
            Order::Read(legs) => {
                match switch.read(legs.to_vec()).await {
                    Ok((read, absent)) => {
                        let input = Input::Reread(self.name.clone(), read, absent);
                        self.core.send(input);
                    }
                    // The core asks again.
                    Err(error) => {
                        warn!(switch = %self.name, %error, "the legs of a push can't be read")
                    }
                }
                return;
            }
            Order::ReturnCode(leg, code) => {
                let done = switch.return_code(&leg, &code).await;
                ("return code", leg, done)
            }
        };
        let Err(error) = done else {
            debug!(switch = %self.name, %leg, order = what, "carried out");
            return;
        };
        if let Some(text) = error.refused() {
            // It has gone meanwhile; the switch reports that.
            debug!(switch = %self.name, %leg, order = what, text, "refused by the switch");
            return;
        }
        let error = format!("{:#}", anyhow::Error::from(error));
        error!(switch = %self.name, %leg, order = what, error, "an order of a push was not carried out");
    }
}

//! The lamps of each switch, told one at a time and in order.
//!
//! Owns the queue of one switch, so that a lamp shows what was told last. Refuses to try again: after a lost link the core
//! tells every lamp that may be wrong.

use std::sync::Arc;

use callhop_calls::id::SwitchName;
use callhop_calls::lamp::Lamp;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::switch::{RunError, Switch};

/// The queue of one switch.
#[derive(Debug, Clone)]
pub(super) struct Lamps(mpsc::UnboundedSender<(Lamp, bool)>);

impl Lamps {
    /// Begins to tell what is ordered, until the program ends.
    pub(super) fn start(name: SwitchName, switch: Arc<dyn Switch>) -> Self {
        let (queue, mut lamps) = mpsc::unbounded_channel::<(Lamp, bool)>();
        tokio::spawn(async move {
            while let Some((lamp, lit)) = lamps.recv().await {
                match switch.show_lamp(&lamp, lit).await {
                    Ok(()) => {}
                    Err(RunError::Down) => debug!(switch = %name, %lamp, "no link for a lamp"),
                    Err(error) => {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        warn!(switch = %name, %lamp, error, "a lamp could not be told");
                    }
                }
            }
        });
        Self(queue)
    }

    /// Has a lamp lit, or dark.
    pub(super) fn show(&self, lamp: Lamp, lit: bool) {
        // The task ends only with the program.
        let _ = self.0.send((lamp, lit));
    }
}

//! What a service manager is told by sd_notify(3): that questions are answered, that the core still answers, and that the
//! program ends.
//!
//! Owns these words and when they are said. Refuses to vouch for a core task that does not answer: a program whose other
//! tasks go on would look alive. Says nothing where nobody asked (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).

use std::{future::Future, time::Duration};

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::controller::Core;

/// How often the core is asked within the time after which the manager restarts the program. One answer may be late.
const ASKED_PER_LIMIT: u32 = 3;

/// Everything that is needed for a start has been done.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
}

/// Not ready yet, and why.
pub(crate) fn waiting(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The program was asked to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog, if there is one, for as long as the core answers.
pub(crate) async fn vouch_for(core: Core) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let answers = move || {
        let core = core.clone();
        async move { core.view(|_, _| ()).await.is_some() }
    };
    vouch(limit / ASKED_PER_LIMIT, answers, || {
        tell(&[NotifyState::Watchdog]);
    })
    .await;
}

/// Asks every `period`, and feeds whenever the answer comes before the next question is due.
async fn vouch<F: Future<Output = bool>>(
    period: Duration,
    answers: impl Fn() -> F,
    mut feed: impl FnMut(),
) {
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(period, answers()).await {
            Ok(true) => feed(),
            Ok(false) | Err(_) => warn!("the core does not answer: the watchdog is not fed"),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often the watchdog was fed while the core answers as `answers` says, question by question, and then not at all.
    async fn check(answers: &[Option<bool>], expect: usize) {
        let (asked, fed) = (Cell::new(0), Cell::new(0));
        let (asked, fed) = (&asked, &fed);
        let answer = || async move {
            let nth = asked.get();
            asked.set(nth + 1);
            match answers.get(nth).copied().flatten() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        let period = Duration::from_millis(5);
        let vouching = vouch(period, answer, || fed.set(fed.get() + 1));
        let ended = async {
            while asked.get() <= answers.len() {
                tokio::time::sleep(period).await;
            }
        };
        tokio::select! {
            () = vouching => {}
            () = ended => {}
        }
        assert_eq!(fed.get(), expect, "{answers:?}");
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_only_while_the_core_answers() {
        check(&[], 0).await;
        check(&[Some(true), Some(true)], 2).await;
        // The core task has ended; it hangs; it hung for a while.
        check(&[Some(true), Some(false), Some(false)], 1).await;
        check(&[Some(true), None, None, None], 1).await;
        check(&[None, Some(true)], 1).await;
    }
}

//! Whether webhooks take what they are sent.

use callhop_store::Options;

use super::{Finding, chain};
use crate::config::Config;
use crate::controller::unix_now;

/// How old a message may be that waits, in seconds.
const LATE: i64 = 60;

/// Nothing where there is no webhook, or no database to ask.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    if config.webhooks.is_empty() {
        return Vec::new();
    }
    let Ok(store) = callhop_store::open(config.store.url.reveal(), Options::default()).await else {
        return Vec::new();
    };
    let backlogs = match store.backlogs().await {
        Ok(backlogs) => backlogs,
        Err(error) => {
            return vec![Finding::broken(
                "webhook",
                chain(error),
                "look at the database's log",
            )];
        }
    };
    let webhooks = config.webhooks.iter().map(|webhook| {
        let subject = format!("webhook {}", webhook.name);
        let backlog = backlogs.iter().find(|b| b.webhook == webhook.name.as_str());
        match backlog {
            Some(backlog) if backlog.oldest.0 < unix_now().0 - LATE => {
                let since = crate::when::text(backlog.oldest);
                let why = backlog.last_error.as_deref().unwrap_or("none was sent yet");
                let what = format!("{} messages wait since {since}: {why}", backlog.count);
                let cure = "look at the receiver; what is older than a day is dropped";
                Finding::doubtful(&subject, what, cure)
            }
            Some(backlog) => Finding::good(&subject, format!("{} messages wait", backlog.count)),
            None => Finding::good(&subject, "has been told everything"),
        }
    });
    webhooks.collect()
}

//! `callhop webhook`.

use callhop_store::Backlog;
use clap::Subcommand;
use rand::TryRngCore as _;
use serde_json::json;

use super::{Done, Exit, Failure, Json, open_store, output};
use crate::config::{Config, Secret};
use crate::when;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the webhooks: how many messages wait for each, since when, and why
    List(Json),
    /// Print a new secret, for the configuration and for the receiver
    Secret,
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    match command {
        Command::Secret => {
            let mut bytes = [0; 32];
            rand::rngs::OsRng
                .try_fill_bytes(&mut bytes)
                .map_err(|error| Failure::new(Exit::Failed, error))?;
            output::line(Secret::of_webhook(&bytes).reveal())?;
            Ok(())
        }
        Command::List(Json { json }) => {
            let backlogs = open_store(config).await?.backlogs().await?;
            list(config, &backlogs, json)
        }
    }
}

fn list(config: &Config, backlogs: &[Backlog], json: bool) -> Done {
    let all = config.webhooks.iter().map(|webhook| {
        let name = webhook.name.as_str();
        let backlog = backlogs.iter().find(|backlog| backlog.webhook == name);
        (name, webhook.url.host().unwrap_or_default(), backlog)
    });
    if json {
        let all: Vec<_> = all
            .map(|(name, host, backlog)| {
                json!({
                    "name": name,
                    "host": host,
                    "waiting": backlog.map_or(0, |backlog| backlog.count),
                    "since": backlog.map(|backlog| when::text(backlog.oldest)),
                    "last_error": backlog.and_then(|backlog| backlog.last_error.clone()),
                })
            })
            .collect();
        return output::json(&all);
    }
    let rows: Vec<Vec<String>> = all
        .map(|(name, host, backlog)| {
            let (count, since, error) = backlog.map_or_else(Default::default, |backlog| {
                let error = backlog.last_error.clone().unwrap_or_default();
                (backlog.count, when::text(backlog.oldest), error)
            });
            vec![name.into(), host.into(), count.to_string(), since, error]
        })
        .collect();
    if rows.is_empty() {
        output::line("no webhooks")
    } else {
        let head = ["WEBHOOK", "HOST", "WAITING", "SINCE", "WHY"];
        output::table(&head, &rows)
    }
}

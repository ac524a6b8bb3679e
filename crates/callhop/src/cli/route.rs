//! `callhop route`.

use callhop_calls::{
    directory::{Directory, Route, RouteEnd, RouteTarget},
    id::{ExtensionId, UnixTime},
    routing,
};
use callhop_store::{ResetRouteError, SetRouteError};
use clap::Subcommand;
use serde_json::json;

use super::{Done, Exit, Failure, Json, NumberHere, actor, extension, now, open_store, output};
use crate::config::Config;
use crate::when;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show where the calls of an extension ring
    Show {
        /// number@domain
        extension: ExtensionId,
        #[command(flatten)]
        json: Json,
    },
    /// Let calls ring only at a device, or at a colleague's extension
    ///
    /// The target is one of the extension's own devices; if it has none of that number, a colleague's extension in the
    /// same domain. It counts from the next inbound call on.
    #[command(
        after_help = "Examples:\n  callhop route set 1000@lab.test 1002\n  callhop route set 1000@lab.test 2000 --until 2026-12-24T18:00:00+01:00\n  callhop route set 1000@lab.test 1002 --until 8h\n  callhop route set 1000@lab.test 1002 --next-call"
    )]
    Set {
        /// number@domain
        extension: ExtensionId,
        /// The number of an own device or of a colleague's extension
        #[arg(value_name = "TARGET")]
        target: NumberHere,
        /// When all devices ring again: a time with its offset, or how long from now
        #[arg(long, value_name = "TIME", conflicts_with = "next_call")]
        until: Option<String>,
        /// Only for the next call that is answered
        #[arg(long)]
        next_call: bool,
    },
    /// Let all devices ring again
    Reset {
        /// number@domain
        extension: ExtensionId,
    },
    /// Who changed the route and when, newest first
    History {
        /// number@domain
        extension: ExtensionId,
        /// At most that many changes
        #[arg(long, default_value_t = 20, value_name = "NUMBER")]
        limit: u32,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    let store = open_store(config).await?;
    match command {
        Command::Show {
            extension,
            json: Json { json },
        } => {
            let found = store
                .extension(&extension)
                .await?
                .ok_or_else(|| extension::unknown(&extension))?;
            if json {
                return output::json(&json!({ "id": found.id, "route": found.route }));
            }
            output::line(format_args!(
                "{extension}: {}",
                text(found.route.as_ref(), now())
            ))?;
        }
        Command::Set {
            extension,
            target,
            until,
            next_call,
        } => {
            let now = now();
            let end = match until {
                Some(text) => RouteEnd::At(
                    when::until(&text, now)
                        .map_err(|error| Failure::new(Exit::Usage, anyhow::anyhow!(error)))?,
                ),
                None if next_call => RouteEnd::NextCall,
                None => RouteEnd::Never,
            };
            let number = target.beside(&extension)?;
            let directory = Directory::new(store.load().await?.extensions);
            let own = directory
                .extension(&extension)
                .ok_or_else(|| extension::unknown(&extension))?;
            let policy = config.policy(&extension.domain);
            let target = routing::target(&directory, own, &number, &policy, now)
                .map_err(|refusal| Failure::new(Exit::Refused, refusal))?;
            let route = Route { target, end };
            store
                .set_route(&extension, &route, &actor()?, now)
                .await
                .map_err(|error| match error {
                    SetRouteError::Database(error) => error.into(),
                    refused => Failure::new(Exit::Refused, refused),
                })?;
            output::line(format_args!("{extension}: {}", text(Some(&route), now)))?;
        }
        Command::Reset { extension } => {
            let revision = store
                .reset_route(&extension, &actor()?, now())
                .await
                .map_err(|error| match error {
                    ResetRouteError::Database(error) => error.into(),
                    refused => Failure::new(Exit::Refused, refused),
                })?;
            match revision {
                Some(_) => output::line(format_args!("{extension}: {}", text(None, now())))?,
                None => output::line(format_args!(
                    "{extension}: {}, as before",
                    text(None, now())
                ))?,
            }
        }
        Command::History {
            extension,
            limit,
            json: Json { json },
        } => {
            let changes = store.history(&extension, limit).await?;
            if changes.is_empty() && store.extension(&extension).await?.is_none() {
                return Err(extension::unknown(&extension));
            }
            if json {
                let changes: Vec<_> = changes
                    .iter()
                    .map(|change| {
                        json!({
                            "at": when::text(change.at),
                            "actor": change.actor.to_string(),
                            "before": change.before,
                            "after": change.after,
                        })
                    })
                    .collect();
                return output::json(&changes);
            }
            let rows: Vec<Vec<String>> = changes
                .iter()
                .map(|change| {
                    vec![
                        when::text(change.at),
                        change.actor.to_string(),
                        // As it was meant then: whether it has ended since is another question.
                        text(change.after.as_ref(), UnixTime(i64::MIN)),
                    ]
                })
                .collect();
            output::table(&["AT", "BY", "CALLS RING"], &rows)?;
        }
    }
    Ok(())
}

/// A route in words, at `now`.
pub(super) fn text(route: Option<&Route>, now: UnixTime) -> String {
    let Some(route) = route else {
        return "all devices".to_owned();
    };
    let target = match &route.target {
        RouteTarget::Device(device) => format!("only {}", device.number),
        RouteTarget::Extension(extension) => {
            format!("at the colleague's extension {}", extension.number)
        }
    };
    match route.end {
        RouteEnd::At(end) if end <= now => {
            format!("all devices ({target} until {}, over)", when::text(end))
        }
        RouteEnd::At(end) => format!("{target} until {}", when::text(end)),
        RouteEnd::NextCall => format!("{target} for the next call"),
        RouteEnd::Never => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_in_words() {
        let device = || RouteTarget::Device("1002@lab.test".parse().unwrap());
        let colleague = RouteTarget::Extension("2000@lab.test".parse().unwrap());
        let now = UnixTime(100);
        for (route, expect) in [
            (None, "all devices"),
            (Some((device(), RouteEnd::Never)), "only 1002"),
            (
                Some((colleague, RouteEnd::NextCall)),
                "at the colleague's extension 2000 for the next call",
            ),
            (
                Some((device(), RouteEnd::At(UnixTime(101)))),
                "only 1002 until 1970-01-01T00:01:41Z",
            ),
            (
                Some((device(), RouteEnd::At(now))),
                "all devices (only 1002 until 1970-01-01T00:01:40Z, over)",
            ),
        ] {
            let route = route.map(|(target, end)| Route { target, end });
            assert_eq!(text(route.as_ref(), now), expect);
        }
    }
}

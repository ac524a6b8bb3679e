//! `callhop token`.

use callhop_store::{ActorName, Scope, Scopes, Token};
use clap::Subcommand;
use serde_json::json;

use super::{Done, Exit, Failure, Json, actor, now, open_store, output};
use crate::config::Config;
use crate::http::NewToken;
use crate::when;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and print it, this once: it is kept nowhere
    ///
    /// read: look at everything. route: change routes. move: move calls. admin: all of that, and extensions with their
    /// devices.
    #[command(
        after_help = "Examples:\n  callhop token add reception --scope route\n  callhop token add provisioning --scope admin"
    )]
    Add {
        /// What it is called in the list and in the audit trail
        name: ActorName,
        /// What it is good for; once for each
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
    },
    /// List all tokens: what they are good for, and when they were used last
    List(Json),
    /// Remove a token; it counts no longer from then on
    Remove {
        /// What it is called
        name: ActorName,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    let store = open_store(config).await?;
    match command {
        Command::Add { name, scopes } => {
            let scopes = Scopes::new(scopes)
                .ok_or_else(|| Failure::new(Exit::Usage, anyhow::anyhow!("no scope")))?;
            let new = NewToken::random().map_err(|error| Failure::new(Exit::Failed, error))?;
            let token = Token {
                name,
                hash: new.hash(),
                scopes,
                created: now(),
                created_by: actor()?,
                last_used: None,
            };
            if !store.add_token(&token).await? {
                let error = anyhow::anyhow!("there is a token {} already", token.name);
                return Err(Failure::new(Exit::Refused, error));
            }
            eprintln!("The token {}, shown only now:", token.name);
            output::line(new.reveal())?;
        }
        Command::List(Json { json }) => {
            let tokens = store.tokens().await?;
            if json {
                let tokens: Vec<_> = tokens
                    .iter()
                    .map(|token| {
                        json!({
                            "name": token.name.to_string(),
                            "scopes": token.scopes.iter().map(Scope::word).collect::<Vec<_>>(),
                            "created": when::text(token.created),
                            "created_by": token.created_by.to_string(),
                            "last_used": token.last_used.map(when::text),
                        })
                    })
                    .collect();
                return output::json(&tokens);
            }
            let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
            let head = ["TOKEN", "SCOPES", "CREATED", "BY", "LAST USED"];
            output::table(&head, &rows)?;
        }
        Command::Remove { name } => {
            if !store.remove_token(&name).await? {
                let error = anyhow::anyhow!("there is no token {name}");
                return Err(Failure::new(Exit::Refused, error));
            }
            output::line(format_args!("{name} is removed"))?;
        }
    }
    Ok(())
}

fn row(token: &Token) -> Vec<String> {
    vec![
        token.name.to_string(),
        token.scopes.to_string(),
        when::text(token.created),
        token.created_by.to_string(),
        token
            .last_used
            .map_or_else(|| "never".to_owned(), when::text),
    ]
}

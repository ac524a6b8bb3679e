//! `callhop extension`.

use callhop_calls::{directory::Extension, id::ExtensionId};
use callhop_store::{AddExtensionError, RemoveExtensionError};
use clap::Subcommand;

use super::{Done, Exit, Failure, Json, NumberHere, actor, now, open_store, output, route};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an extension with its devices; all of them ring
    #[command(
        after_help = "Example:\n  callhop extension add 1000@lab.test --device 1001 --device 1002 --device 1003"
    )]
    Add {
        /// number@domain
        extension: ExtensionId,
        /// A device by its number, in the extension's domain; once for each
        #[arg(long = "device", value_name = "NUMBER", required = true)]
        devices: Vec<NumberHere>,
    },
    /// List all extensions
    List(Json),
    /// Remove an extension with its devices and its route
    Remove {
        /// number@domain
        extension: ExtensionId,
    },
    /// Show one extension
    Show {
        /// number@domain
        extension: ExtensionId,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    let store = open_store(config).await?;
    match command {
        Command::Add { extension, devices } => {
            let devices = devices
                .into_iter()
                .map(|device| device.beside(&extension))
                .collect::<Result<Vec<_>, _>>()?;
            store
                .add_extension(&extension, &devices, &actor()?, now())
                .await
                .map_err(|error| match error {
                    AddExtensionError::Database(error) => error.into(),
                    refused => Failure::new(Exit::Refused, refused),
                })?;
            let devices: Vec<&str> = devices.iter().map(|device| device.as_str()).collect();
            output::line(format_args!(
                "{extension} is added; {} ring",
                devices.join(", ")
            ))?;
        }
        Command::List(Json { json }) => {
            let all = store.load().await?.extensions;
            if json {
                return output::json(&all);
            }
            table(&all)?;
        }
        Command::Remove { extension } => {
            store
                .remove_extension(&extension, &actor()?, now())
                .await
                .map_err(|error| match error {
                    RemoveExtensionError::Database(error) => error.into(),
                    refused => Failure::new(Exit::Refused, refused),
                })?;
            output::line(format_args!("{extension} is removed"))?;
        }
        Command::Show {
            extension,
            json: Json { json },
        } => {
            let found = store
                .extension(&extension)
                .await?
                .ok_or_else(|| unknown(&extension))?;
            if json {
                return output::json(&found);
            }
            table(&[found])?;
        }
    }
    Ok(())
}

/// That there is no such extension.
pub(super) fn unknown(extension: &ExtensionId) -> Failure {
    Failure::new(
        Exit::Refused,
        anyhow::anyhow!("there is no extension {extension}"),
    )
}

fn table(extensions: &[Extension]) -> Done {
    let rows: Vec<Vec<String>> = extensions
        .iter()
        .map(|extension| {
            let devices: Vec<&str> = extension.devices.iter().map(|d| d.as_str()).collect();
            vec![
                extension.id.to_string(),
                devices.join(", "),
                route::text(extension.route.as_ref(), now()),
            ]
        })
        .collect();
    output::table(&["EXTENSION", "DEVICES", "CALLS RING"], &rows)
}

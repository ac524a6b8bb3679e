//! `callhop device`: what is added to an extension that is there, or taken from it, without touching its route.

use callhop_calls::id::{ExtensionId, Number};
use callhop_store::{AddExtensionError, Expected, PutExtensionError, Store};
use clap::Subcommand;
use serde_json::json;

use super::{Done, Exit, Failure, Json, NumberHere, actor, extension, now, open_store, output};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Let one more device belong to an extension; it rings from the next inbound call on
    #[command(after_help = "Example:\n  callhop device add 1000@lab.test 1004")]
    Add {
        /// number@domain
        extension: ExtensionId,
        /// The device by its number, in the extension's domain
        device: NumberHere,
    },
    /// List all devices and whose they are
    List(Json),
    /// Let a device not belong to an extension any more
    ///
    /// Refused for its last device, and while its calls ring only at that device.
    Remove {
        /// number@domain
        extension: ExtensionId,
        /// The device by its number
        device: NumberHere,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    let store = open_store(config).await?;
    match command {
        Command::Add { extension, device } => {
            let device = device.beside(&extension)?;
            let rings = change(&*store, &extension, |devices| {
                if devices.contains(&device) {
                    let error = anyhow::anyhow!("{device} is a device of {extension} already");
                    return Err(Failure::new(Exit::Refused, error));
                }
                devices.push(device.clone());
                Ok(())
            })
            .await?;
            output::line(format_args!("{device} is added; {rings} ring"))
        }
        Command::Remove { extension, device } => {
            let device = device.beside(&extension)?;
            let rings = change(&*store, &extension, |devices| {
                let Some(at) = devices.iter().position(|own| *own == device) else {
                    let error = anyhow::anyhow!("{device} is not a device of {extension}");
                    return Err(Failure::new(Exit::Refused, error));
                };
                devices.remove(at);
                Ok(())
            })
            .await?;
            output::line(format_args!("{device} is removed; {rings} stay"))
        }
        Command::List(Json { json }) => {
            let all = store.load().await?.extensions;
            let devices = all
                .iter()
                .flat_map(|owner| owner.device_ids().map(|device| (device, &owner.id)));
            if json {
                let devices: Vec<_> = devices
                    .map(|(device, owner)| json!({ "id": device, "extension": owner }))
                    .collect();
                return output::json(&devices);
            }
            let rows: Vec<Vec<String>> = devices
                .map(|(device, owner)| vec![device.to_string(), owner.to_string()])
                .collect();
            output::table(&["DEVICE", "EXTENSION"], &rows)
        }
    }
}

/// Changes the devices of an extension as it is now, and names those that it then has.
async fn change(
    store: &dyn Store,
    id: &ExtensionId,
    change: impl FnOnce(&mut Vec<Number>) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let found = store.versioned(id).await?;
    let found = found.ok_or_else(|| extension::unknown(id))?;
    let mut devices = found.extension.devices;
    change(&mut devices)?;
    // Whoever is faster is not overwritten: the devices were read before.
    let expected = Expected::Version(found.version);
    store
        .put_extension(id, &devices, expected, &actor()?, now())
        .await
        .map_err(|error| match error {
            PutExtensionError::Database(error)
            | PutExtensionError::Devices(AddExtensionError::Database(error)) => error.into(),
            refused => Failure::new(Exit::Refused, refused),
        })?;
    let devices: Vec<&str> = devices.iter().map(Number::as_str).collect();
    Ok(devices.join(", "))
}

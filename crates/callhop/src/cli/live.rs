//! `callhop calls` and `callhop why`: what the running controller knows.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use callhop_calls::{
    directory::Directory,
    id::ExtensionId,
    routing::{self, Hunt},
};
use clap::Args;
use serde_json::{Value, json};

use super::{Done, Exit, Failure, Json, extension, now, open_store, output};
use crate::config::Config;

/// How long the controller may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Why {
    /// number@domain
    extension: ExtensionId,
    #[command(flatten)]
    json: Json,
}

/// What the controller says; `None` if it knows no such thing.
fn ask(config: &Config, path: &str) -> Result<Option<Value>, Failure> {
    let url = format!("http://{}{path}", config.http.listen);
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .proxy(None)
        .build()
        .new_agent();
    let unreachable = |error: ureq::Error| {
        let text = format!("the controller does not answer at {url}; `callhop run` starts it");
        Failure::new(Exit::Unreachable, anyhow::Error::new(error).context(text))
    };
    match agent.get(&url).call() {
        Ok(mut response) => {
            let text = response.body_mut().read_to_string().map_err(unreachable)?;
            let value = serde_json::from_str(&text)
                .with_context(|| format!("what answers at {url} is not Callhop"))
                .map_err(|error| Failure::new(Exit::Unreachable, error))?;
            Ok(Some(value))
        }
        Err(ureq::Error::StatusCode(404)) => Ok(None),
        Err(error) => Err(unreachable(error)),
    }
}

pub(super) fn calls(config: &Config, json: bool) -> Done {
    let answer = ask(config, "/v1/calls")?
        .ok_or_else(|| Failure::new(Exit::Unreachable, anyhow!("another version answers")))?;
    if json {
        return output::json(&answer);
    }
    print_freshness(&answer)?;
    let rows: Vec<Vec<String>> = list(&answer, "calls")
        .map(|call| {
            let legs: Vec<String> = list(call, "legs").map(leg).collect();
            vec![
                text(call, "switch").to_owned(),
                legs.join(", "),
                moving(&call["moving"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        output::line("no calls")
    } else {
        output::table(&["SWITCH", "LEGS", "MOVE"], &rows)
    }
}

/// `push by 1000@example.com, ringing 2001`; nothing for a call that is not moved.
fn moving(moving: &Value) -> String {
    if moving.is_null() {
        return String::new();
    }
    let to = moving["to"].as_str().unwrap_or_default();
    let stage = text(moving, "stage").replace('_', " ");
    format!(
        "{} by {}, {stage} {to}",
        text(moving, "kind"),
        text(moving, "extension")
    )
    .trim_end()
    .to_owned()
}

fn leg(leg: &Value) -> String {
    let who = match (leg["device"].as_str(), leg["party"]["number"].as_str()) {
        (Some(device), _) => device,
        (None, Some(number)) if !number.is_empty() => number,
        _ => text(leg, "channel"),
    };
    format!("{who} ({})", text(leg, "state"))
}

/// Says of each switch that is not fresh what that means.
fn print_freshness(answer: &Value) -> Done {
    for switch in list(answer, "switches") {
        if switch["fresh"] != true {
            let name = switch["name"].as_str().or(switch["switch"].as_str());
            output::line(format_args!(
                "{}: not connected, this is what was known last",
                name.unwrap_or("a switch")
            ))?;
        }
    }
    Ok(())
}

pub(super) async fn why(config: &Config, why: Why) -> Done {
    let Why {
        extension,
        json: Json { json },
    } = why;
    match ask(config, &format!("/v1/why/{}", path_segment(&extension))) {
        Ok(Some(answer)) if json => output::json(&answer),
        Ok(Some(answer)) => {
            print_freshness(&answer)?;
            for switch in list(&answer, "switches") {
                output::line(format_args!("On {}:", text(switch, "switch")))?;
                print_hunt(switch)?;
                for device in list(switch, "devices") {
                    print_device(device)?;
                }
                print_pullable(switch)?;
            }
            Ok(())
        }
        Ok(None) => Err(extension::unknown(&extension)),
        Err(failure) => {
            let hunt = from_database(config, &extension).await?;
            if json {
                output::json(
                    &json!({ "extension": extension, "rings": hunt.targets, "steps": hunt.steps }),
                )?;
            } else {
                output::line("As the database says, without a look at the switches:")?;
                print_hunt(&json!({ "rings": hunt.targets, "steps": hunt.steps }))?;
            }
            Err(failure)
        }
    }
}

/// The extension as a segment of an address: `#` is the only character of a number that would end one.
fn path_segment(extension: &ExtensionId) -> String {
    extension.to_string().replace('#', "%23")
}

/// What rings by the routes alone, as if every device was registered.
async fn from_database(config: &Config, id: &ExtensionId) -> Result<Hunt, Failure> {
    let store = open_store(config).await?;
    let directory = Directory::new(store.load().await?.extensions);
    let unregistered = config.policy(&id.domain).unregistered;
    routing::hunt(&directory, id, now(), unregistered, |_| true)
        .ok_or_else(|| extension::unknown(id))
}

fn print_hunt(hunt: &Value) -> Done {
    for step in list(hunt, "steps") {
        output::line(format_args!("  {}", step_text(step)))?;
    }
    let rings: Vec<&str> = list(hunt, "rings").filter_map(Value::as_str).collect();
    output::line(format_args!(
        "  An inbound call rings {}.",
        rings.join(", ")
    ))
}

fn step_text(step: &Value) -> String {
    let extension = text(step, "extension");
    let device = text(step, "device");
    let to = text(step, "to");
    match text(step, "step") {
        "all_devices" => format!("{extension} has no route: all its devices ring."),
        "one_device" => format!("{extension} has a route: only {device}."),
        "colleague" => format!("{extension} has a route to the colleague's extension {to}."),
        "expired" => format!("{extension} had a route, which is over."),
        "unregistered_rings_all" => {
            format!(
                "{extension} has a route to {device}, which is not registered: all its devices ring."
            )
        }
        "cut" => format!("{extension} has a route to {to}, which leads nowhere: it is cut here."),
        _ => step.to_string(),
    }
}

fn print_device(device: &Value) -> Done {
    // A device can be chosen and still be silent, so both are told.
    let contacts = list(device, "contacts").count();
    let rings = match (device["rings"] == true, contacts > 0) {
        (true, true) => "rings",
        (true, false) => "would ring",
        (false, _) => "is not asked to ring",
    };
    let contacts = match contacts {
        0 => "not registered".to_owned(),
        1 => "registered".to_owned(),
        several => format!("registered {several} times"),
    };
    let calls = match device["calls"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => ", has a call".to_owned(),
        Some(several) => format!(", has {several} calls"),
    };
    output::line(format_args!(
        "  {} {rings}: {contacts}{calls}.",
        text(device, "device")
    ))
}

fn print_pullable(switch: &Value) -> Done {
    let mut first = true;
    for call in list(switch, "pullable") {
        let order = if first { "first" } else { "then" };
        output::line(format_args!(
            "  A pull would take, {order}, the call of {} ({}).",
            text(call, "device"),
            text(call, "class").replace('_', " ")
        ))?;
        first = false;
    }
    if let Some(reason) = switch["not_pullable"].as_str() {
        output::line(format_args!("  Nothing could be pulled: {reason}."))?;
    }
    Ok(())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

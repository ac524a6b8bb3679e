//! `callhop import`.

use anyhow::anyhow;
use callhop_calls::id::{Number, SwitchName};
use callhop_esl::{Api, CommandLink, Options, Secret, word::Word};
use callhop_store::AddExtensionError;
use clap::{Subcommand, ValueEnum};

use super::{Done, Exit, Failure, Json, actor, now, open_store, output};
use crate::{
    config::{Config, Freeswitch},
    import::{self, Plan},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take extensions and devices over from the directory of a FreeSWITCH
    ///
    /// Shows what would be added; --apply adds it. What is there already is never changed or removed, so it can be repeated.
    /// Devices are the switch's users: those with the same user variable callhop_extension, or of one group that has a number
    /// for a name, become one extension.
    #[command(
        after_help = "Examples:\n  callhop import freeswitch\n  callhop import freeswitch --by group --apply"
    )]
    Freeswitch {
        /// The switch, by its name in the configuration; needed if there are several
        #[arg(long, value_name = "NAME")]
        switch: Option<SwitchName>,
        /// What makes users the devices of one extension
        #[arg(long, default_value = "variable")]
        by: By,
        /// Add them
        #[arg(long)]
        apply: bool,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum By {
    /// The user variable callhop_extension
    Variable,
    /// A group that has a number for a name
    Group,
}

pub(super) async fn run(config: &Config, command: Command) -> Done {
    let Command::Freeswitch {
        switch,
        by,
        apply,
        json: Json { json },
    } = command;
    let switch = chosen(config, switch.as_ref())?;
    let by = match by {
        By::Variable => import::By::Variable,
        By::Group => import::By::Group,
    };
    let section = directory(switch).await?;
    let found =
        import::freeswitch(&section, by).map_err(|error| Failure::new(Exit::Failed, error))?;
    let store = open_store(config).await?;
    let plan = import::plan(found, &store.load().await?.extensions);
    if apply {
        let actor = actor()?;
        for change in &plan.add {
            store
                .add_extension(&change.extension, &change.devices, &actor, now())
                .await
                .map_err(|error| match error {
                    AddExtensionError::Database(error) => error.into(),
                    refused => Failure::new(Exit::Refused, refused),
                })?;
        }
    }
    if json {
        return output::json(&plan);
    }
    output::text(text(&plan, apply))?;
    Ok(())
}

fn chosen<'a>(config: &'a Config, name: Option<&SwitchName>) -> Result<&'a Freeswitch, Failure> {
    let refused = |text: String| Failure::new(Exit::Refused, anyhow!(text));
    let names = || {
        let names: Vec<&str> = config.freeswitch.iter().map(|s| s.name.as_str()).collect();
        names.join(", ")
    };
    match (name, config.freeswitch.as_slice()) {
        (_, []) => Err(refused(
            "there is no FreeSWITCH in the configuration".into(),
        )),
        (None, [only]) => Ok(only),
        (None, _) => Err(refused(format!(
            "there are several, name one with --switch: {}",
            names()
        ))),
        (Some(name), all) => all
            .iter()
            .find(|switch| switch.name == *name)
            .ok_or_else(|| refused(format!("there is no FreeSWITCH {name}, only {}", names()))),
    }
}

async fn directory(switch: &Freeswitch) -> Result<String, Failure> {
    let unreachable = |error: anyhow::Error| {
        let text = format!("the switch {} at {}", switch.name, switch.address);
        Failure::new(Exit::Unreachable, error.context(text))
    };
    let link = CommandLink::connect(
        &*switch.address,
        &Secret::new(switch.password.reveal()),
        &Options::default(),
    )
    .await
    .map_err(|error| unreachable(error.into()))?;
    let section = Word::new("directory").map_err(|error| Failure::new(Exit::Failed, error))?;
    let reply = link
        .api(&Api::XmlSection { section })
        .await
        .map_err(|error| unreachable(error.into()))?;
    Ok(reply.text().into_owned())
}

fn text(plan: &Plan, applied: bool) -> String {
    let list = |devices: &[Number]| {
        let devices: Vec<&str> = devices.iter().map(|device| device.as_str()).collect();
        devices.join(", ")
    };
    let mut text = String::new();
    for change in &plan.add {
        text += &format!("+ {}: {}\n", change.extension, list(&change.devices));
    }
    for differs in &plan.differ {
        text += &format!(
            "~ {} stays: here {}; on the switch {}\n",
            differs.extension,
            list(&differs.here),
            list(&differs.on_switch)
        );
    }
    for extension in &plan.only_here {
        text += &format!("~ {extension} stays: the switch does not name it\n");
    }
    for skipped in &plan.skipped {
        text += &format!("! {skipped}\n");
    }
    let (add, left) = (plan.add.len(), plan.differ.len() + plan.only_here.len());
    let done = if applied { "added" } else { "to add" };
    text += &format!(
        "{add} {done}, {} as on the switch, {left} left though different, {} not usable\n",
        plan.same,
        plan.skipped.len()
    );
    if !applied && add > 0 {
        text += "Nothing was changed: --apply adds.\n";
    }
    if !plan.differ.is_empty() {
        text += "For other devices: `callhop device add` and `callhop device remove`.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Change, Difference};

    fn numbers(numbers: &[&str]) -> Vec<Number> {
        numbers
            .iter()
            .map(|number| number.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_plan_in_words() {
        let plan = Plan {
            add: vec![Change {
                extension: "1000@lab.test".parse().unwrap(),
                devices: numbers(&["1001", "1002"]),
            }],
            differ: vec![Difference {
                extension: "2000@lab.test".parse().unwrap(),
                here: numbers(&["2001"]),
                on_switch: numbers(&["2001", "2002"]),
            }],
            only_here: vec!["3000@lab.test".parse().unwrap()],
            same: 5,
            skipped: vec!["a reason".into()],
        };
        let expect = "+ 1000@lab.test: 1001, 1002\n\
                      ~ 2000@lab.test stays: here 2001; on the switch 2001, 2002\n\
                      ~ 3000@lab.test stays: the switch does not name it\n\
                      ! a reason\n\
                      1 to add, 5 as on the switch, 2 left though different, 1 not usable\n\
                      Nothing was changed: --apply adds.\n\
                      For other devices: `callhop device add` and `callhop device remove`.\n";
        assert_eq!(text(&plan, false), expect);
        let done = text(&plan, true);
        assert!(done.contains("1 added, 5 as"), "{done}");
        assert!(!done.contains("--apply"), "{done}");
    }
}

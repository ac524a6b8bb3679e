//! Extensions and devices out of a switch's own directory.
//!
//! Owns which users belong to one person, and what that changes in the database. Refuses to take a device from an extension,
//! and never changes or removes one: what differs is told. Of the directory only names are kept, no password.
//!
//! ```text
//! section = *domain                      domain = name *( group / user )
//! group   = name *user                   user   = id [ variable "callhop_extension" ]
//! ```
//!
//! A user that stands in a group as a pointer (`type="pointer"`) is a member of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use callhop_calls::{
    directory::Extension,
    id::{DeviceId, Domain, ExtensionId, Number},
};
use roxmltree::{Document, Node};
use serde::Serialize;

/// The variable of a user that names the extension.
pub const VARIABLE: &str = "callhop_extension";

/// What makes users the devices of one extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// [`VARIABLE`] has the same number.
    Variable,
    /// They are in a group whose name is a number. Other groups are departments.
    Group,
}

/// What a directory says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The devices of each extension, in the order of the directory.
    pub extensions: BTreeMap<ExtensionId, Vec<Number>>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// What is no directory. What is wrong with it is not told: it has passwords in it.
#[derive(Debug, thiserror::Error)]
#[error("the switch's directory cannot be read: it may come from mod_xml_curl or a script")]
pub struct Unreadable;

/// Reads what `xml_locate directory` prints.
///
/// # Errors
/// It is no XML.
pub fn freeswitch(section: &str, by: By) -> Result<Found, Unreadable> {
    let document = Document::parse(section).map_err(|_| Unreadable)?;
    let mut found = Found::default();
    let mut owners: BTreeMap<DeviceId, ExtensionId> = BTreeMap::new();
    let domains = document
        .descendants()
        .filter(|node| node.has_tag_name("domain"));
    for node in domains {
        let name = node.attribute("name").unwrap_or_default();
        let domain: Domain = match name.parse() {
            Ok(domain) => domain,
            Err(error) => {
                found.skipped.push(format!("a domain: {error}"));
                continue;
            }
        };
        for user in node.descendants().filter(|node| node.has_tag_name("user")) {
            member(&domain, user, by, &mut owners, &mut found);
        }
    }
    Ok(found)
}

/// Adds a user to the extension that it says, if it says one.
fn member(
    domain: &Domain,
    user: Node<'_, '_>,
    by: By,
    owners: &mut BTreeMap<DeviceId, ExtensionId>,
    found: &mut Found,
) {
    let extension = match by {
        By::Variable => user
            .descendants()
            .filter(|node| node.has_tag_name("variable"))
            .find(|node| node.attribute("name") == Some(VARIABLE))
            .map(|node| node.attribute("value").unwrap_or_default()),
        By::Group => user
            .ancestors()
            .find(|node| node.has_tag_name("group"))
            .and_then(|group| group.attribute("name"))
            .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())),
    };
    let Some(extension) = extension else {
        return;
    };
    let id = user.attribute("id").unwrap_or_default();
    let device: Number = match id.parse() {
        Ok(device) => device,
        Err(error) => {
            found.skipped.push(format!("a user of {domain}: {error}"));
            return;
        }
    };
    let extension = match extension.parse() {
        Ok(number) => ExtensionId::new(number, domain.clone()),
        Err(error) => {
            let text = format!("{device}@{domain}: its extension: {error}");
            found.skipped.push(text);
            return;
        }
    };
    let id = DeviceId::new(device.clone(), domain.clone());
    match owners.get(&id) {
        // As a pointer and as itself.
        Some(owner) if *owner == extension => {}
        Some(owner) => found.skipped.push(format!(
            "{id}: it belongs to {owner} already, and cannot to {extension} too"
        )),
        None => {
            owners.insert(id, extension.clone());
            found.extensions.entry(extension).or_default().push(device);
        }
    }
}

/// What an import would do.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Extensions that the database does not have.
    pub add: Vec<Change>,
    /// Extensions that have other devices in the database: they are left as they are.
    pub differ: Vec<Difference>,
    /// Extensions of the directory's domains that only the database has: they are left, too.
    pub only_here: Vec<ExtensionId>,
    /// How many are as they should be.
    pub same: usize,
    /// What cannot be taken over, and why.
    pub skipped: Vec<String>,
}

/// An extension with its devices.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The extension.
    pub extension: ExtensionId,
    /// Its devices.
    pub devices: Vec<Number>,
}

/// An extension that the switch and the database know differently.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The extension.
    pub extension: ExtensionId,
    /// Its devices in the database.
    pub here: Vec<Number>,
    /// Its devices on the switch.
    pub on_switch: Vec<Number>,
}

/// Compares a directory with what the database has.
#[must_use]
pub fn plan(found: Found, database: &[Extension]) -> Plan {
    let known: BTreeMap<&ExtensionId, &Extension> = database
        .iter()
        .map(|extension| (&extension.id, extension))
        .collect();
    let owners: BTreeMap<DeviceId, &ExtensionId> = database
        .iter()
        .flat_map(|extension| extension.device_ids().map(|id| (id, &extension.id)))
        .collect();
    let domains: BTreeSet<&Domain> = found.extensions.keys().map(|id| &id.domain).collect();
    let mut plan = Plan {
        only_here: database
            .iter()
            .map(|extension| &extension.id)
            .filter(|id| domains.contains(&id.domain) && !found.extensions.contains_key(*id))
            .cloned()
            .collect(),
        skipped: found.skipped,
        ..Plan::default()
    };
    for (extension, devices) in found.extensions {
        if let Some(own) = known.get(&extension) {
            let here: BTreeSet<&Number> = own.devices.iter().collect();
            if here == devices.iter().collect() {
                plan.same += 1;
            } else {
                plan.differ.push(Difference {
                    extension,
                    here: own.devices.clone(),
                    on_switch: devices,
                });
            }
            continue;
        }
        let taken = devices.iter().find_map(|device| {
            let id = DeviceId::new(device.clone(), extension.domain.clone());
            Some(format!(
                "{extension}: its device {device} belongs to the extension {}",
                owners.get(&id)?
            ))
        });
        match taken {
            Some(why) => plan.skipped.push(why),
            None => plan.add.push(Change { extension, devices }),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As FreeSWITCH 1.10 prints it: global variables are replaced, includes are in their places.
    const SECTION: &str = r#"<section name="directory">
  <domain name="Lab.Test">
    <params><param name="dial-string" value="{^^:sip_invite_domain=${dialed_domain}}"/></params>
    <groups>
      <group name="default"><users>
        <user id="1001"><params><param name="password" value="hunter2"/></params>
          <variables><variable name="callhop_extension" value="1000"/><variable name="x" value="y"/></variables></user>
        <user id="1002"><variables><variable name="callhop_extension" value="1000"/></variables></user>
        <user id="2001"><variables><variable name="callhop_extension" value="2000"/></variables></user>
        <user id="3001"><variables/></user>
        <user id="a b"><variables><variable name="callhop_extension" value="1000"/></variables></user>
        <user id="3002"><variables><variable name="callhop_extension" value="${system(x)}"/></variables></user>
      </users></group>
      <group name="1000"><users><user id="1001" type="pointer"/><user id="1002" type="pointer"/></users></group>
      <group name="4000"><users><user id="1002" type="pointer"/><user id="3001" type="pointer"/></users></group>
    </groups>
  </domain>
  <domain name="other.test"><user id="1001"><variables><variable name="callhop_extension" value="1001"/></variables></user></domain>
  <domain name="$${domain}"/>
</section>"#;

    fn check(by: By, expect: &str) {
        let found = freeswitch(SECTION, by).unwrap();
        let mut text = String::new();
        for (extension, devices) in &found.extensions {
            let devices: Vec<&str> = devices.iter().map(|device| device.as_str()).collect();
            text.push_str(&format!("{extension}: {}\n", devices.join(" ")));
        }
        for skipped in &found.skipped {
            text.push_str(&format!("! {skipped}\n"));
        }
        assert_eq!(text, expect);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn users_with_the_same_variable_are_one_extension() {
        check(
            By::Variable,
            "1000@lab.test: 1001 1002\n1001@other.test: 1001\n2000@lab.test: 2001\n\
             ! a user of lab.test: a number has the character ' ' at position 2, which is not allowed\n\
             ! 3002@lab.test: its extension: a number has the character '$' at position 1, which is not allowed\n\
             ! a domain: a domain has the character '$' at position 1, which is not allowed\n",
        );
    }

    #[test]
    fn groups_with_a_number_are_extensions() {
        check(
            By::Group,
            "1000@lab.test: 1001 1002\n4000@lab.test: 3001\n\
             ! 1002@lab.test: it belongs to 1000@lab.test already, and cannot to 4000@lab.test too\n\
             ! a domain: a domain has the character '$' at position 1, which is not allowed\n",
        );
    }

    #[test]
    fn what_is_no_directory_is_told_without_its_text() {
        for text in [
            "",
            "-ERR no",
            "<section><param value=\"hunter2\"></section>",
        ] {
            let error = freeswitch(text, By::Variable).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the switch's directory cannot")
            );
            assert!(std::error::Error::source(&error).is_none());
        }
    }

    fn extension(id: &str, devices: &[&str]) -> Extension {
        Extension {
            id: id.parse().unwrap(),
            devices: devices
                .iter()
                .map(|device| device.parse().unwrap())
                .collect(),
            route: None,
        }
    }

    fn shown(database: &[Extension]) -> String {
        let found = Found {
            skipped: Vec::new(),
            ..freeswitch(SECTION, By::Variable).unwrap()
        };
        serde_json::to_string(&plan(found, database)).unwrap()
    }

    #[test]
    fn the_difference_to_the_database() {
        let other = extension("1001@other.test", &["1001"]);
        let mine = extension("1000@lab.test", &["1002", "1001"]);
        let foreign = extension("9@else.test", &["2001"]);
        assert_eq!(
            shown(&[other.clone(), mine.clone(), foreign]),
            r#"{"add":[{"extension":"2000@lab.test","devices":["2001"]}],"differ":[],"only_here":[],"same":2,"skipped":[]}"#
        );
        // Devices that differ, an extension that is only here, and a device that another one has.
        assert_eq!(
            shown(&[
                other,
                extension("1000@lab.test", &["1001"]),
                extension("3000@lab.test", &["2001"])
            ]),
            r#"{"add":[],"differ":[{"extension":"1000@lab.test","here":["1001"],"on_switch":["1001","1002"]}],"#.to_owned()
                + r#""only_here":["3000@lab.test"],"same":1,"#
                + r#""skipped":["2000@lab.test: its device 2001 belongs to the extension 3000@lab.test"]}"#
        );
        // Repeated: nothing is left to do.
        let everything = [
            mine,
            extension("2000@lab.test", &["2001"]),
            extension("1001@other.test", &["1001"]),
        ];
        assert_eq!(
            shown(&everything),
            r#"{"add":[],"differ":[],"only_here":[],"same":3,"skipped":[]}"#
        );
    }
}

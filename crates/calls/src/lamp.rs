//! Lamps: the keys of a phone that show the route of an extension, and set it when they are pressed.
//!
//! Owns the name that stands on such a key: it is subscribed to (RFC 4235), and dialled when the key is pressed. Refuses
//! numbers that have no place in the name: `*` parts its two numbers, mod_sofia divides a name at each `+`
//! (sofia_presence.c), a `#` would have to be escaped in an address, and Asterisk passes over a `-` when it looks for an
//! extension (pbx.c), so that `1-0` and `10` would be one lamp. Grammar:
//!
//! ```text
//! name   = "callhop+" extension [ "*" target ]
//! number = 1*20( DIGIT / ALPHA / "." / "_" )
//! ```

use std::fmt;

use crate::directory::{Extension, RouteTarget};
use crate::id::{Domain, ExtensionId, IdError, Number, UnixTime};

/// What the name of a lamp begins with. On FreeSWITCH the part before the `+` says whose presence it is: mod_sofia answers
/// for none but its own, and leaves all others to whoever hears of the subscription.
pub const PREFIX: &str = "callhop+";

/// One lamp.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lamp {
    /// Whose route.
    pub extension: ExtensionId,
    /// Lit while the route leads there; `None` is lit while there is any route.
    pub target: Option<Number>,
}

/// Why a text is not the name of a lamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LampError {
    /// It does not begin as all of them do.
    #[error("the name of a lamp begins with {PREFIX}")]
    NoPrefix,
    /// One of its numbers is none.
    #[error(transparent)]
    Number(#[from] IdError),
    /// One of its numbers has a character that a lamp can't have.
    #[error("{0} can't stand in the name of a lamp: only letters, digits, . and _ can")]
    NotOnAKey(Number),
}

/// A number that can stand in the name of a lamp.
fn number(text: &str) -> Result<Number, LampError> {
    let number: Number = text.parse()?;
    if is_on_a_key(&number) {
        Ok(number)
    } else {
        Err(LampError::NotOnAKey(number))
    }
}

/// Whether a number can stand in the name of a lamp.
#[must_use]
pub fn is_on_a_key(number: &Number) -> bool {
    let mut text = number.as_str().bytes();
    text.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
}

impl Lamp {
    /// Reads a name.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(name: &str, domain: &Domain) -> Result<Self, LampError> {
        let rest = name.strip_prefix(PREFIX).ok_or(LampError::NoPrefix)?;
        let (extension, target) = match rest.split_once('*') {
            Some((extension, target)) => (number(extension)?, Some(number(target)?)),
            None => (number(rest)?, None),
        };
        Ok(Self {
            extension: ExtensionId::new(extension, domain.clone()),
            target,
        })
    }

    /// Its name, without the domain.
    #[must_use]
    pub fn name(&self) -> String {
        let extension = &self.extension.number;
        match &self.target {
            Some(target) => format!("{PREFIX}{extension}*{target}"),
            None => format!("{PREFIX}{extension}"),
        }
    }

    /// Whether it is lit.
    #[must_use]
    pub fn is_lit(&self, extension: &Extension, now: UnixTime) -> bool {
        let leads_to = leads_to(extension, now);
        match (&self.target, leads_to) {
            (None, leads_to) => leads_to.is_some(),
            (Some(target), leads_to) => leads_to == Some(target),
        }
    }

    /// The lamps of an extension that are lit: none, or that of its route and that of where it leads.
    #[must_use]
    pub fn lit(extension: &Extension, now: UnixTime) -> Vec<Self> {
        let lamp = |target| Self {
            extension: extension.id.clone(),
            target,
        };
        let Some(to) = leads_to(extension, now).filter(|_| is_on_a_key(&extension.id.number))
        else {
            return Vec::new();
        };
        let targets = [None, Some(to.clone()).filter(is_on_a_key)];
        let mut lit: Vec<_> = targets.into_iter().map(lamp).collect();
        // A target that has no lamp leaves two of the first.
        lit.dedup();
        lit
    }

    /// All lamps of an extension but those of colleagues.
    pub fn own(extension: &Extension) -> impl Iterator<Item = Self> + '_ {
        let devices = extension.devices.iter().filter(|it| is_on_a_key(it));
        let targets = std::iter::once(None).chain(devices.cloned().map(Some));
        targets
            .filter(|_| is_on_a_key(&extension.id.number))
            .map(|target| Self {
                extension: extension.id.clone(),
                target,
            })
    }
}

/// Where the extension's calls ring instead of at all of its devices. A route to a device that is its own no more rings all
/// of them (`routing`), so it leads nowhere.
fn leads_to(extension: &Extension, now: UnixTime) -> Option<&Number> {
    let route = extension.route.as_ref()?;
    if !route.is_in_force(now) {
        return None;
    }
    match &route.target {
        RouteTarget::Device(device) => extension.owns(device).then_some(&device.number),
        RouteTarget::Extension(to) => Some(&to.number),
    }
}

impl fmt::Display for Lamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name(), self.extension.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Route, RouteEnd};

    fn check(name: &str, expect: &str) {
        let found = match Lamp::parse(name, &"lab.test".parse().unwrap()) {
            Ok(lamp) => {
                assert_eq!(lamp.name(), name);
                format!("{lamp}")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expect, "{name}");
    }

    #[test]
    fn names_are_read_back_as_they_were_written_and_all_others_are_refused() {
        check("callhop+1000", "callhop+1000@lab.test");
        check("callhop+1000*1002", "callhop+1000*1002@lab.test");
        check("callhop+a.b_c*D", "callhop+a.b_c*D@lab.test");
        check("1000", "the name of a lamp begins with callhop+");
        check("callhop+", "a number is empty");
        check("callhop+*1002", "a number is empty");
        check("callhop+1000*", "a number is empty");
        for (name, number) in [
            ("callhop+10-00", "10-00"),
            ("callhop+1000*1*2", "1*2"),
            ("callhop+1000+x", "1000+x"),
            ("callhop+1000*#1", "#1"),
        ] {
            let why = format!(
                "{number} can't stand in the name of a lamp: only letters, digits, . and _ can"
            );
            check(name, &why);
        }
        check(
            "callhop+1000*${x}",
            "a number has the character '$' at position 1, which is not allowed",
        );
    }

    fn lit(route: Option<(RouteTarget, RouteEnd)>, now: i64) -> Vec<String> {
        let extension = Extension {
            id: "1000@lab.test".parse().unwrap(),
            devices: vec!["1001".parse().unwrap(), "1-2".parse().unwrap()],
            route: route.map(|(target, end)| Route { target, end }),
        };
        let now = UnixTime(now);
        let lit = Lamp::lit(&extension, now);
        for lamp in Lamp::own(&extension).chain(lit.iter().cloned()) {
            assert_eq!(lamp.is_lit(&extension, now), lit.contains(&lamp), "{lamp}");
        }
        lit.iter().map(Lamp::name).collect()
    }

    #[test]
    fn lit_is_the_route_and_where_it_leads() {
        let device = |name: &str| RouteTarget::Device(name.parse().unwrap());
        let colleague = RouteTarget::Extension("2000@lab.test".parse().unwrap());
        assert!(lit(None, 0).is_empty());
        let own = device("1001@lab.test");
        let both = ["callhop+1000", "callhop+1000*1001"];
        assert_eq!(lit(Some((own.clone(), RouteEnd::Never)), 0), both);
        assert_eq!(lit(Some((own.clone(), RouteEnd::NextCall)), 0), both);
        let end = RouteEnd::At(UnixTime(10));
        assert_eq!(lit(Some((own.clone(), end)), 9), both);
        assert!(lit(Some((own, end)), 10).is_empty());
        assert_eq!(
            lit(Some((colleague, RouteEnd::Never)), 0),
            ["callhop+1000", "callhop+1000*2000"]
        );
        // A device that is its own no more, and one that no key can name.
        assert!(lit(Some((device("1009@lab.test"), RouteEnd::Never)), 0).is_empty());
        assert_eq!(
            lit(Some((device("1-2@lab.test"), RouteEnd::Never)), 0),
            ["callhop+1000"]
        );
    }
}

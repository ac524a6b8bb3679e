//! Which PJSIP endpoint of an Asterisk is which device.
//!
//! Asterisk knows no domains: an endpoint has one name. So a device `1001@example.com` is an endpoint by the pattern of its
//! domain, such as `{number}` or `example-{number}`.

use std::collections::BTreeMap;

use callhop_ami::word::Endpoint;
use callhop_calls::id::{DeviceId, Domain, Number};

/// Where the number stands in a pattern.
const NUMBER: &str = "{number}";

/// The names of endpoints, by domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints(BTreeMap<Domain, (String, String)>);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is no `{number}`.
    #[error("there is no {{number}} in {0:?}, such as in \"{{number}}\" or \"example-{{number}}\"")]
    NoNumber(String),
    /// It can't be the name of an endpoint.
    #[error("{0:?} is no name of an endpoint: {1}")]
    Word(String, callhop_ami::word::WordError),
    /// Another domain has the same names.
    #[error("the endpoints of {0} have the same names")]
    Taken(Domain),
}

impl Endpoints {
    /// Adds the pattern of a domain.
    ///
    /// # Errors
    /// It is none, or another domain has it.
    pub fn add(&mut self, domain: Domain, pattern: &str) -> Result<(), PatternError> {
        let (before, after) = pattern
            .split_once(NUMBER)
            .ok_or_else(|| PatternError::NoNumber(pattern.to_owned()))?;
        Endpoint::new(format!("{before}1{after}"))
            .map_err(|error| PatternError::Word(pattern.to_owned(), error))?;
        let names = (before.to_owned(), after.to_owned());
        if let Some((other, _)) = self.0.iter().find(|(_, others)| **others == names) {
            return Err(PatternError::Taken(other.clone()));
        }
        self.0.insert(domain, names);
        Ok(())
    }

    /// The device that an endpoint is. Where several patterns fit, the one that says more counts.
    #[must_use]
    pub fn device(&self, endpoint: &str) -> Option<DeviceId> {
        let fits = self.0.iter().filter_map(|(domain, (before, after))| {
            let number = endpoint.strip_prefix(before.as_str())?;
            let number: Number = number.strip_suffix(after.as_str())?.parse().ok()?;
            Some((
                before.len() + after.len(),
                DeviceId::new(number, domain.clone()),
            ))
        });
        fits.max_by_key(|(said, _)| *said).map(|(_, device)| device)
    }

    /// The endpoint of a device; `None` if this switch serves no such domain, or has another device by that name.
    #[must_use]
    pub fn endpoint(&self, device: &DeviceId) -> Option<Endpoint> {
        let (before, after) = self.0.get(&device.domain)?;
        let name = format!("{before}{}{after}", device.number);
        let name = Endpoint::new(name).ok()?;
        (self.device(name.as_str()).as_ref() == Some(device)).then_some(name)
    }

    /// The domains, with their patterns.
    pub fn patterns(&self) -> impl Iterator<Item = (&Domain, String)> {
        let patterns = self.0.iter();
        patterns.map(|(domain, (before, after))| (domain, format!("{before}{NUMBER}{after}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        let mut endpoints = Endpoints::default();
        endpoints
            .add("a.test".parse().unwrap(), "{number}")
            .unwrap();
        endpoints
            .add("b.test".parse().unwrap(), "b-{number}")
            .unwrap();
        endpoints
    }

    #[test]
    fn an_endpoint_is_a_device_of_the_domain_whose_pattern_says_most() {
        fn check(endpoint: &str, device: Option<&str>) {
            let found = endpoints()
                .device(endpoint)
                .map(|device| device.to_string());
            assert_eq!(found.as_deref(), device, "{endpoint}");
        }
        check("1001", Some("1001@a.test"));
        check("b-1001", Some("1001@b.test"));
        check("b-", Some("b-@a.test"));
        check("", None);
        check("a b", None);
    }

    #[test]
    fn a_device_has_the_endpoint_that_is_that_device() {
        fn check(device: &str, endpoint: Option<&str>) {
            let found = endpoints().endpoint(&device.parse().unwrap());
            assert_eq!(found.as_ref().map(Endpoint::as_str), endpoint, "{device}");
        }
        check("1001@a.test", Some("1001"));
        check("1001@b.test", Some("b-1001"));
        check("b-1001@a.test", None);
        check("1001@c.test", None);
    }

    #[test]
    fn what_is_no_pattern() {
        fn check(pattern: &str, expect: &str) {
            let error = endpoints()
                .add("c.test".parse().unwrap(), pattern)
                .unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
        }
        check("1001", "no {number}");
        check("b-{number}", "b.test");
        check("x/{number}", "no name of an endpoint");
        check("{number}-{number}", "no name of an endpoint");
    }
}

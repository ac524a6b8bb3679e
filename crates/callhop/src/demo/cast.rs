//! Who plays: Alex with three devices, Robin with one, and a customer outside.

/// The domain of everybody but the customer.
pub(crate) const DOMAIN: &str = "example.com";

/// A phone and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name in addresses.
    pub(crate) id: &'static str,
    /// Its own number, which is also its label on the fake switch.
    pub(crate) number: &'static str,
    /// What it is called.
    pub(crate) name: &'static str,
    /// Who has it in the hand.
    pub(crate) person: &'static str,
    /// The extension that it is a device of; none outside.
    pub(crate) extension: Option<&'static str>,
    /// Who that is for whoever talks to it.
    pub(crate) party: &'static str,
}

/// Everybody, in the order in which they are shown.
pub(crate) const CAST: [Part; 5] = [
    Part {
        id: "customer",
        number: "5550100",
        name: "Customer",
        person: "The customer",
        extension: None,
        party: "the customer",
    },
    Part {
        id: "1001",
        number: "1001",
        name: "Desk phone",
        person: "Alex",
        extension: Some("1000"),
        party: "Alex on the desk phone",
    },
    Part {
        id: "1002",
        number: "1002",
        name: "Mobile",
        person: "Alex",
        extension: Some("1000"),
        party: "Alex on the mobile",
    },
    Part {
        id: "1003",
        number: "1003",
        name: "Desktop",
        person: "Alex",
        extension: Some("1000"),
        party: "Alex on the desktop",
    },
    Part {
        id: "2001",
        number: "2001",
        name: "Robin's phone",
        person: "Robin",
        extension: Some("2000"),
        party: "Robin",
    },
];

/// The extensions, each with its devices.
pub(crate) const EXTENSIONS: [(&str, &[&str]); 2] =
    [("1000", &["1001", "1002", "1003"]), ("2000", &["2001"])];

/// Who a phone's label stands for.
pub(crate) fn party(label: &str) -> &str {
    let mut cast = CAST.iter();
    cast.find(|part| part.number == label)
        .map_or(label, |part| part.party)
}

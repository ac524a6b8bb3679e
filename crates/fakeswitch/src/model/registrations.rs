//! Phones and their registrations, and what a restart leaves of everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Uuid, World};
use crate::{
    config::Registrations,
    events::Event,
    phone::{EndedCall, RingMode},
};

/// How long a registration lasts, seconds; phones renew in time, so only the number is seen.
const EXPIRES: u64 = 300;

/// The first contact's port; each phone has its own.
const FIRST_PORT: usize = 15_060;

/// A phone: a device with a registration, or an outside line without one.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    pub(crate) number: String,
    /// Outside lines have none.
    pub(crate) domain: Option<String>,
    pub(crate) label: String,
    pub(crate) port: usize,
    pub(crate) registered: bool,
    /// It has a row in the table of the core, which `show` lists.
    pub(crate) listed: bool,
    pub(crate) token: String,
    pub(crate) since: SystemTime,
    pub(crate) ring_mode: RingMode,
    pub(crate) ended: Vec<EndedCall>,
    /// Its live channels, oldest first.
    pub(crate) legs: Vec<Uuid>,
}

/// A registration's contact, without the profile.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    pub(crate) party: usize,
    pub(crate) contact: String,
}

impl Party {
    /// The contact without the profile.
    pub(crate) fn contact(&self) -> String {
        match self.domain {
            Some(_) => format!("sip:{}@127.0.0.1:{};ob", self.number, self.port),
            None => format!("{}@127.0.0.1:5090", self.number),
        }
    }

    pub(crate) fn profile(&self) -> &'static str {
        match self.domain {
            Some(_) => "internal",
            None => "external",
        }
    }

    fn event(&self, subclass: &'static str) -> Event {
        let domain = self.domain.as_deref().unwrap_or_default();
        let contact = format!("\"\" <{}>", self.contact());
        let event = Event::custom(subclass).with("profile-name", self.profile());
        // The three events name the user in three ways (sofia_reg.c).
        let event = match subclass {
            "sofia::expire" => event
                .with("call-id", &self.token)
                .with("user", &self.number)
                .with("username", &self.number)
                .with("host", domain),
            _ => event
                .with("username", &self.number)
                .with("from-user", &self.number)
                .with("from-host", domain)
                .with("call-id", &self.token),
        };
        let event = event
            .with("contact", contact)
            .with("user-agent", "fakephone")
            .with("network-ip", "127.0.0.1")
            .with("network-port", self.port.to_string());
        if subclass != "sofia::register" {
            return event.with("realm", domain).with("expires", "0");
        }
        event
            .with("presence-hosts", "n/a")
            .with("rpid", "unknown")
            .with("status", "Registered(UDP)")
            .with("expires", EXPIRES.to_string())
            .with("to-user", &self.number)
            .with("to-host", domain)
            .with("sip_auth_username", &self.number)
            .with("user_name", &self.number)
            .with("domain_name", domain)
            .with("user_context", "default")
    }
}

impl World {
    /// Makes a phone; one with a domain registers at once.
    pub(super) fn new_party(&mut self, number: &str, domain: Option<String>) -> (usize, String) {
        let alike = self.parties.iter().filter(|p| p.number == number).count();
        let label = match alike {
            0 => number.to_owned(),
            n => format!("{number}/{}", n + 1),
        };
        let id = self.parties.len();
        self.parties.push(Party {
            number: number.to_owned(),
            domain,
            label: label.clone(),
            port: FIRST_PORT + id,
            registered: false,
            listed: false,
            token: String::new(),
            since: SystemTime::now(),
            ring_mode: RingMode::default(),
            ended: Vec::new(),
            legs: Vec::new(),
        });
        self.set_registered(id, true, "sofia::register");
        (id, label)
    }

    pub(super) fn set_registered(&mut self, id: usize, registered: bool, subclass: &'static str) {
        let token = self.random.uuid();
        let Some(party) = self.parties.get_mut(id).filter(|p| p.domain.is_some()) else {
            return;
        };
        party.registered = registered;
        party.listed = registered;
        if registered {
            party.token = token;
            party.since = SystemTime::now();
        }
        let event = party.event(subclass);
        // The core keeps one row for each user, unless `multiple-registrations` of its own configuration says otherwise: a REGISTER
        // takes the place of the one that was there, and an unregistration takes it away, whosever it is
        // (switch_core_sqldb.c, switch_core_add_registration and switch_core_del_registration).
        if subclass != "sofia::expire" {
            let user = (party.number.clone(), party.domain.clone());
            for (other, party) in self.parties.iter_mut().enumerate() {
                if other != id && (&party.number, &party.domain) == (&user.0, &user.1) {
                    party.listed = false;
                }
            }
        }
        self.emit(&event);
    }

    /// The contacts of a user, in the order in which they were made.
    pub(super) fn contacts(&self, number: &str, domain: &str) -> Vec<Contact> {
        self.parties
            .iter()
            .enumerate()
            .filter(|(_, party)| {
                party.registered
                    && party.number == number
                    && party.domain.as_deref() == Some(domain)
            })
            .map(|(id, party)| Contact {
                party: id,
                contact: party.contact(),
            })
            .collect()
    }

    /// The phone behind a contact.
    pub(super) fn party_at(&self, profile: &str, contact: &str) -> Option<usize> {
        let dialled = contact.split('@').next().unwrap_or_default();
        let trunk = self
            .config
            .trunks
            .iter()
            .find(|(p, _)| dialled.starts_with(p));
        let line = trunk.map_or(dialled, |(_, line)| line);
        self.parties.iter().position(|party| {
            if party.domain.is_some() {
                party.registered && profile == "internal" && party.contact() == contact
            } else {
                profile == "external" && party.number == line
            }
        })
    }

    /// The directory: every device of the configuration and every phone that was ever made.
    pub(super) fn user_exists(&self, number: &str, domain: &str) -> bool {
        let name = format!("{number}@{domain}");
        self.config.devices.contains(&name)
            || self
                .parties
                .iter()
                .any(|p| p.number == number && p.domain.as_deref() == Some(domain))
    }

    /// Rows of `show registrations as json`.
    pub(super) fn registration_rows(&self) -> Vec<serde_json::Value> {
        let rows = self.parties.iter().filter(|party| party.listed);
        rows.map(|party| {
            let since = party.since.duration_since(UNIX_EPOCH);
            let expires = since.unwrap_or(Duration::ZERO).as_secs() + EXPIRES;
            serde_json::json!({
                "reg_user": party.number,
                "realm": party.domain,
                "token": party.token,
                "url": format!("sofia/{}/{}", party.profile(), party.contact()),
                "expires": expires.to_string(),
                "network_ip": "127.0.0.1",
                "network_port": party.port.to_string(),
                "network_proto": "udp",
                "hostname": self.config.switch_name,
                "metadata": "",
            })
        })
        .collect()
    }

    /// The switch has started anew: nothing of what it knew is left, except perhaps registrations.
    pub(super) fn forget_everything(&mut self, registrations: Registrations) {
        let gone: Vec<Uuid> = self
            .channels_in_order()
            .iter()
            .map(|c| c.uuid.clone())
            .collect();
        for uuid in gone {
            // No event: the switch is gone. The phones notice in their own way.
            self.end_for_phone(&uuid, "NETWORK_OUT_OF_ORDER", super::calls::By::Switch);
            self.remove(&uuid);
        }
        self.lamps.clear();
        if registrations == Registrations::Lose {
            for party in &mut self.parties {
                party.registered = false;
                party.listed = false;
            }
        }
        self.gone.clear();
        self.bridges.clear();
        self.hash.clear();
        self.timers
            .retain(|_, timer| matches!(timer, super::Timer::Heartbeat | super::Timer::Flush));
        self.core_uuid = self.random.uuid();
        self.started = SystemTime::now();
        self.sequence = 0;
        self.sessions = 0;
    }

    pub(super) fn emit_shutdown(&mut self) {
        self.emit(&Event::new("SHUTDOWN").with("Event-Info", "System Shutting Down"));
    }

    pub(super) fn heartbeat(&mut self) {
        let up = self.started.elapsed().unwrap_or(Duration::ZERO);
        let sessions = self.channels.len().to_string();
        let event = Event::new("HEARTBEAT")
            .with("Event-Info", "System Ready")
            .with(
                "Up-Time",
                format!("0 years, 0 days, {} seconds", up.as_secs()),
            )
            .with("FreeSWITCH-Version", super::calls::VERSION)
            .with("Uptime-msec", up.as_millis().to_string())
            .with("Session-Count", sessions)
            .with("Max-Sessions", "5000")
            .with("Session-Since-Startup", self.sessions.to_string())
            .with("Idle-CPU", "97.500000");
        self.emit(&event);
    }
}

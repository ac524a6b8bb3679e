//! `originate {vars}dial,dial callhop_target XML <context>`: legs that nobody dials from, and what the one that answers does.
//!
//! All legs ring at once; the first that answers wins and the others lose the race. The result is that of a job, because
//! it comes when somebody has answered or nobody will: `+OK <uuid>` or `-ERR <cause>`. Refuses groups one after the other
//! (`|`) and applications. The extensions are the product's own: `callhop_target` for whoever answers a push, `callhop_take` for
//! whoever answers an offer.

use std::time::Duration;

use super::{
    Timer, World,
    calls::By,
    channel::{Ask, Profile, State, Task, Uuid, Vars},
    links::Job,
};
use crate::dialstring::{self, Endpoint, Leg};

/// Where the legs of one entry of a dial string go, and with which variables.
pub(super) struct Targets {
    pub(super) contacts: Vec<(usize, String)>,
    pub(super) endpoint: &'static str,
    pub(super) vars: Vec<(String, String)>,
}

/// What the leg does that has answered.
enum Then {
    Target,
    Take,
}

/// An `originate` that still rings.
pub(super) struct Origination {
    job: Job,
    legs: Vec<Uuid>,
    then: Then,
    cause: String,
}

impl World {
    /// The contacts of one entry of a dial string. The trap of the facts page, section 6: `user/x@d` rings every contact
    /// only when it stands alone.
    pub(super) fn targets(&self, leg: &Leg, alone: bool) -> Result<Targets, String> {
        match &leg.endpoint {
            Endpoint::Error { cause } => Err(cause.clone()),
            Endpoint::User { number, domain } => {
                if !self.user_exists(number, domain) {
                    return Err("SUBSCRIBER_ABSENT".to_owned());
                }
                let contacts = self.contacts(number, domain);
                let count = if alone { contacts.len() } else { 1 };
                let contacts = contacts.into_iter().take(count);
                let contacts: Vec<(usize, String)> =
                    contacts.map(|c| (c.party, c.contact)).collect();
                if contacts.is_empty() {
                    return Err("USER_NOT_REGISTERED".to_owned());
                }
                let vars = vec![
                    ("dialed_user".to_owned(), number.clone()),
                    ("dialed_domain".to_owned(), domain.clone()),
                    ("presence_id".to_owned(), format!("{number}@{domain}")),
                    ("user_context".to_owned(), "default".to_owned()),
                ];
                Ok(Targets {
                    contacts,
                    endpoint: "user",
                    vars,
                })
            }
            Endpoint::Sofia { profile, contact } => {
                let party = self.party_at(profile, contact);
                let party = party.ok_or_else(|| "NORMAL_TEMPORARY_FAILURE".to_owned())?;
                Ok(Targets {
                    contacts: vec![(party, contact.clone())],
                    endpoint: "sofia",
                    vars: Vec::new(),
                })
            }
        }
    }

    /// `originate` as a job.
    pub(super) fn originate(&mut self, job: Job) {
        let argument = job.argument.clone();
        let Some((dial, then)) = parse(&argument) else {
            let usage = "-USAGE: <call url> callhop_target | callhop_take XML <context>\n";
            return self.job_done(job, usage.to_owned());
        };
        let groups = dialstring::parse(dial);
        let [group] = groups.as_slice() else {
            return self.job_done(job, "-ERR NO_ROUTE_DESTINATION\n".to_owned());
        };
        self.origination_count += 1;
        let number = self.origination_count;
        let mut origination = Origination {
            job,
            legs: Vec::new(),
            then,
            cause: "NO_ROUTE_DESTINATION".to_owned(),
        };
        for leg in group {
            match self.targets(leg, group.len() == 1) {
                Ok(targets) => {
                    for (party, contact) in &targets.contacts {
                        let vars: Vec<_> = targets.vars.iter().chain(&leg.vars).cloned().collect();
                        let made =
                            self.make_originated(number, *party, contact, targets.endpoint, &vars);
                        origination.legs.extend(made);
                    }
                }
                Err(cause) => origination.cause = cause,
            }
        }
        let legs = origination.legs.clone();
        if legs.is_empty() {
            let result = format!("-ERR {}\n", origination.cause);
            return self.job_done(origination.job, result);
        }
        self.originations.insert(number, origination);
        let limit = group.iter().find_map(|leg| {
            let mut vars = leg.vars.iter();
            let (_, value) = vars.find(|(name, _)| name == "originate_timeout")?;
            value.parse().ok().map(Duration::from_secs)
        });
        let limit = limit.unwrap_or(self.config.ring_timeout);
        self.after(limit, Timer::OriginateTimeout(number));
        self.begin_ringing(&legs);
    }

    fn make_originated(
        &mut self,
        number: u64,
        party: usize,
        contact: &str,
        endpoint: &str,
        extra: &[(String, String)],
    ) -> Option<Uuid> {
        let unique_id = self.new_uuid();
        let to = self.parties.get(party)?.clone();
        let bare = contact.trim_start_matches("sip:").trim_end_matches(";ob");
        let user = bare.split('@').next().unwrap_or(bare).to_owned();
        let var = |name: &str| {
            let mut all = extra.iter();
            all.find(|(n, _)| n == name).map(|(_, v)| v.clone())
        };
        // What the switch shows where nobody says who calls.
        let none = || "0000000000".to_owned();
        let caller_number = var("origination_caller_id_number").unwrap_or_else(none);
        let caller_name = var("origination_caller_id_name").unwrap_or_default();
        let profile = Profile {
            inbound: false,
            username: String::new(),
            caller_name: caller_name.clone(),
            caller_number: caller_number.clone(),
            original_name: caller_name.clone(),
            original_number: caller_number.clone(),
            callee: Some(("Outbound Call".to_owned(), user.clone())),
            ani: caller_number.clone(),
            destination: user,
            unique_id,
            context: "default".to_owned(),
            rdnis: None,
            transfer_source: None,
            channel_name: format!("sofia/{}/{bare}", to.profile()),
            created: None,
            answered: None,
            progress: None,
            progress_media: None,
            bridged: None,
            held: None,
            hungup: None,
        };
        let uuid = self.new_channel(party, profile, Vars::default());
        self.change(&uuid, |leg| {
            leg.state = State::None;
            leg.display = caller_number;
            leg.display_name = caller_name;
            leg.set_task(Task::Originated(number));
        });
        self.emit_about("CHANNEL_OUTGOING", &uuid);
        self.change(&uuid, |leg| {
            leg.state = State::Init;
            let vars = &mut leg.vars;
            vars.set("is_outbound", "true");
            vars.set("sip_profile_name", to.profile());
            vars.set("sip_destination_url", contact);
            vars.set("call_uuid", &*uuid);
            for (name, value) in extra {
                vars.set(name, value.clone());
            }
            vars.set("originate_early_media", "true");
            vars.set("originate_endpoint", endpoint);
            vars.set("sofia_profile_name", to.profile());
            vars.set("recovery_profile_name", to.profile());
        });
        if endpoint == "user" {
            // `user/` goes through two endpoints, each of which says so.
            self.emit_about("CHANNEL_OUTGOING", &uuid);
        }
        self.emit_about("CHANNEL_CREATE", &uuid);
        self.emit_about("CHANNEL_ORIGINATE", &uuid);
        Some(uuid)
    }

    /// A leg has answered: the others stop, and it does what it was made for.
    pub(super) fn originated_answered(&mut self, number: u64, leg: &Uuid) {
        self.set_task(leg, Task::Parked);
        let Some(origination) = self.originations.remove(&number) else {
            return;
        };
        for loser in origination.legs.iter().filter(|it| *it != leg) {
            self.hangup(loser, "LOSE_RACE", By::Switch);
        }
        self.job_done(origination.job, format!("+OK {leg}\n"));
        self.change(leg, |leg| {
            leg.vars.set("originate_disposition", "SUCCESS");
            leg.state = State::Execute;
        });
        match origination.then {
            Then::Take => self.ask(leg, Ask::Take),
            Then::Target => self.target(leg),
        }
    }

    /// A leg is gone without an answer.
    pub(super) fn originated_failed(&mut self, number: u64, leg: &Uuid, cause: &str) {
        let Some(origination) = self.originations.get_mut(&number) else {
            return;
        };
        origination.legs.retain(|it| it != leg);
        cause.clone_into(&mut origination.cause);
        if !origination.legs.is_empty() {
            return;
        }
        if let Some(over) = self.originations.remove(&number) {
            self.job_done(over.job, format!("-ERR {}\n", over.cause));
        }
    }

    pub(super) fn originate_timeout(&mut self, number: u64) {
        let legs = self.originations.get(&number).map(|it| it.legs.clone());
        for leg in legs.unwrap_or_default() {
            self.hangup(&leg, "NO_ANSWER", By::Switch);
        }
    }
}

fn parse(argument: &str) -> Option<(&str, Then)> {
    let (rest, _context) = argument.rsplit_once(" XML ")?;
    match rest.rsplit_once(' ')? {
        (dial, "callhop_target") => Some((dial, Then::Target)),
        (dial, "callhop_take") => Some((dial, Then::Take)),
        _ => None,
    }
}

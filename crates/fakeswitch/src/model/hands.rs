//! What people do with their phones.

use super::{
    World,
    calls::{By, CODEC},
    channel::{Channel, Profile, State, Uuid, Vars, cause_of},
};
use crate::phone::{Act, DialOptions, PhoneError};

impl World {
    pub(super) fn phone(&mut self, id: usize, act: Act) -> Result<String, PhoneError> {
        if !self.running {
            return Err(PhoneError::Stopped);
        }
        let ringing = |c: &Channel| !c.inbound && !c.answered;
        match act {
            Act::Dial(number, options) => return Ok(self.dial(id, &number, &options).to_string()),
            Act::Answer(call) => {
                let leg = self.pick(id, "answer", call, false, ringing)?;
                self.answer_leg(&leg);
            }
            Act::Refuse(call, code) => {
                let leg = self.pick(id, "refuse", call, false, ringing)?;
                self.hangup(&leg, cause_of(code), By::Phone);
            }
            Act::HangUp(call) => {
                let leg = self.pick(id, "hang up", call, true, |_| true)?;
                let cause = match self.live(&leg) {
                    Some(c) if !c.answered && !c.inbound => "CALL_REJECTED",
                    Some(c) if !c.answered => "ORIGINATOR_CANCEL",
                    _ => "NORMAL_CLEARING",
                };
                self.hangup(&leg, cause, By::Phone);
            }
            Act::Hold(call) => {
                let leg = self.pick(id, "hold", call, true, |c| c.answered && !c.phone_hold)?;
                self.hold(&leg, true);
            }
            Act::Unhold(call) => {
                let leg = self.pick(id, "take back", call, true, |c| c.phone_hold)?;
                self.hold(&leg, false);
            }
            Act::Digits(call, digits, how) => {
                let leg = self.pick(id, "dial digits in", Some(call), true, |_| true)?;
                self.dial_digits(&leg, &digits, how);
            }
            Act::Transfer(call, number) => {
                let bridged = |c: &Channel| c.peer.is_some();
                let leg = self.pick(id, "transfer", Some(call), true, bridged)?;
                self.transfer(&leg, &number);
            }
            Act::Join(call, other) => {
                let bridged = |c: &Channel| c.peer.is_some();
                let leg = self.pick(id, "join", Some(call), true, bridged)?;
                let other = self.pick(id, "join", Some(other), true, bridged)?;
                self.join(&leg, &other);
            }
            Act::RingMode(mode) => {
                if let Some(party) = self.parties.get_mut(id) {
                    party.ring_mode = mode;
                }
            }
            Act::Register => self.set_registered(id, true, "sofia::register"),
            Act::Unregister { expired: true } => self.set_registered(id, false, "sofia::expire"),
            Act::Unregister { expired: false } => {
                self.set_registered(id, false, "sofia::unregister");
            }
        }
        Ok(String::new())
    }

    /// The phone's call of this channel, or its newest or oldest one that fits.
    fn pick(
        &self,
        id: usize,
        what: &'static str,
        call: Option<String>,
        newest: bool,
        fits: impl Fn(&Channel) -> bool,
    ) -> Result<Uuid, PhoneError> {
        let mut found = self
            .channels_of(id)
            .filter(|c| fits(c))
            .filter(|c| call.as_deref().is_none_or(|call| *c.uuid == *call));
        let found = if newest {
            found.next_back()
        } else {
            found.next()
        };
        found.map(|c| c.uuid.clone()).ok_or_else(|| {
            let label = self.parties.get(id).map(|p| p.label.clone());
            PhoneError::NoCall {
                label: label.unwrap_or_default(),
                what,
            }
        })
    }

    /// An INVITE comes in.
    fn dial(&mut self, id: usize, dialled: &str, options: &DialOptions) -> Uuid {
        let unique_id = self.new_uuid();
        let party = self.parties[id].clone();
        let (number, domain) = self.find_domain(dialled, party.domain.as_deref());
        let from = options.from.clone().unwrap_or_else(|| party.number.clone());
        let name = options.display_name.clone().unwrap_or_else(|| from.clone());
        let authenticated = party.domain.is_some();
        let profile = Profile {
            inbound: true,
            username: from.clone(),
            caller_name: name.clone(),
            caller_number: from.clone(),
            original_name: name,
            original_number: from.clone(),
            callee: None,
            ani: from.clone(),
            destination: dialled.to_owned(),
            unique_id: unique_id.clone(),
            context: if authenticated { "default" } else { "public" }.to_owned(),
            rdnis: None,
            transfer_source: None,
            channel_name: format!("sofia/{}/{from}@127.0.0.1", party.profile()),
            created: None,
            answered: None,
            progress: None,
            progress_media: None,
            bridged: None,
            held: None,
            hungup: None,
        };
        let mut vars = Vars::default();
        vars.set("call_uuid", &*unique_id);
        vars.set("sip_from_user", from.clone());
        vars.set("sip_from_host", "127.0.0.1");
        vars.set("sip_call_id", self.random.uuid());
        vars.set("sip_network_ip", "127.0.0.1");
        vars.set("sip_network_port", party.port.to_string());
        if authenticated {
            self.set_identity(&mut vars, &party, &from);
        }
        vars.set("sofia_profile_name", party.profile());
        vars.set("recovery_profile_name", party.profile());
        vars.set("sip_req_user", dialled);
        vars.set("sip_to_user", dialled);
        vars.set("sip_contact_user", party.number.clone());
        vars.set("sip_contact_host", "127.0.0.1");
        vars.set("sip_contact_port", party.port.to_string());
        let contact = format!("{}@127.0.0.1:{}", party.number, party.port);
        vars.set("sip_contact_uri", contact);
        vars.set("sip_user_agent", "fakephone");
        vars.set("ep_codec_string", CODEC);
        vars.set("endpoint_disposition", "RECEIVED");
        for (header, value) in &options.headers {
            vars.set(&format!("sip_h_{header}"), value.clone());
        }
        for (variable, value) in &options.variables {
            vars.set(variable, value.clone());
        }
        let uuid = self.new_channel(id, profile, vars);
        self.change(&uuid, |channel| channel.display = dialled.to_owned());
        self.emit_about("CHANNEL_CREATE", &uuid);
        self.change(&uuid, |channel| {
            channel.state = State::Execute;
            channel.call_state = "RINGING";
            let matched = format!("ARRAY::{dialled}|:{dialled}");
            channel.vars.set("DP_MATCH", matched);
        });
        if party.domain.is_none() {
            self.enter_from_public(&uuid, &number, &domain);
        }
        self.route(&uuid, &number, &domain);
        uuid
    }

    /// The number and the domain in which it is looked for. A caller from outside is in no domain: what it dials says in
    /// which one it arrives.
    fn find_domain(&self, dialled: &str, own: Option<&str>) -> (String, String) {
        let entered = self.config.public.iter().find_map(|(prefix, domain)| {
            let number = dialled.strip_prefix(prefix.as_str())?;
            Some((number.to_owned(), domain.clone()))
        });
        match (own, entered) {
            (Some(own), _) => (dialled.to_owned(), own.to_owned()),
            (None, Some(entered)) => entered,
            (None, None) => (dialled.to_owned(), self.config.domain.clone()),
        }
    }

    /// What digest authentication leaves on a channel. Recorded, with the names of event headers among the variables.
    fn set_identity(&mut self, vars: &mut Vars, party: &super::Party, from: &str) {
        let domain = party.domain.as_deref().unwrap_or_default();
        let realm = self.config.challenge_realm.clone();
        vars.set("sip_authorized", "true");
        vars.set("Event-Name", "REQUEST_PARAMS");
        vars.set("Core-UUID", self.core_uuid.clone());
        vars.set("FreeSWITCH-Switchname", self.config.switch_name.clone());
        vars.set("Event-Sequence", self.sequence.to_string());
        vars.set("sip_number_alias", party.number.clone());
        vars.set("sip_auth_username", party.number.clone());
        vars.set("sip_auth_realm", realm.clone());
        vars.set("requested_user_name", party.number.clone());
        vars.set("requested_domain_name", domain);
        vars.set("user_context", "default");
        vars.set("user_name", party.number.clone());
        vars.set("domain_name", domain);
        vars.set("presence_id", format!("{from}@{realm}"));
    }
}

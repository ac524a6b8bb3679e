//! API commands, with the answers that the real switch gave when it was asked the same (version in the tests' data).

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use super::{
    World,
    calls::{By, VERSION},
    channel::{Channel, Uuid},
    digits::Source,
};
use crate::events::{Event, local_date};

const NO_CHANNEL: &str = "-ERR No such channel!\n";
const NO_REPLY: &str = "-ERR no reply\n";

impl World {
    /// Carries out one command and gives the body of its answer.
    pub(super) fn api(&mut self, line: &str) -> String {
        let line = line.trim();
        if let Some(canned) = self.config.canned.get(line) {
            return canned.clone();
        }
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "uuid_dump" => self.uuid_dump(rest),
            "uuid_exists" => self.live(&rest.into()).is_some().to_string(),
            "uuid_setvar" => self.uuid_setvar(rest),
            "uuid_setvar_multi" => self.uuid_setvar_multi(rest),
            "uuid_transfer" => self.uuid_transfer(rest),
            "uuid_dual_transfer" => self.uuid_dual_transfer(rest),
            "uuid_recv_dtmf" => self.uuid_recv_dtmf(rest),
            "hupall" => self.hupall(rest),
            "uuid_getvar" => self.uuid_getvar(rest),
            "uuid_kill" => self.uuid_kill(rest),
            "show" => self.show(rest),
            "sofia_contact" => self.sofia_contact(rest),
            "hash" => self.hash(rest),
            "hash_dump" => self.hash_dump(),
            "module_exists" => self.config.modules.iter().any(|m| m == rest).to_string(),
            "status" => self.status(),
            "version" => format!("FreeSWITCH Version {VERSION} (fake)\n"),
            "global_getvar" => self.global_getvar(rest),
            "switchname" => self.config.switch_name.clone(),
            "hostname" => "fake".to_owned(),
            "sofia" if rest == "xmlstatus" => self.sofia_xmlstatus(),
            "xml_locate" => "can't find anything\n".to_owned(),
            "reloadxml" => "+OK [Success]\n\n".to_owned(),
            _ => format!("-ERR {command} Command not found!\n"),
        }
    }

    fn uuid_dump(&mut self, rest: &str) -> String {
        let (uuid, format) = rest.split_once(' ').unwrap_or((rest, "plain"));
        if uuid.is_empty() {
            return "-USAGE: <uuid> [format]\n".to_owned();
        }
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        let origin = self.next_origin();
        let Some(channel) = self.channels.get(&uuid) else {
            return NO_CHANNEL.to_owned();
        };
        let event = Event::new("CHANNEL_DATA").about(channel, true);
        if format == "json" {
            event.encode_json(&origin)
        } else {
            event.encode(&origin)
        }
    }

    fn uuid_setvar(&mut self, rest: &str) -> String {
        let mut words = rest.splitn(3, ' ');
        let (Some(uuid), Some(name)) = (words.next(), words.next()) else {
            return "-USAGE: <uuid> <var> [value]\n".to_owned();
        };
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        match words.next() {
            Some(value) => self.set_var(&uuid, name, value),
            None => self.change(&uuid, |channel| channel.vars.unset(name)),
        }
        "+OK\n".to_owned()
    }

    fn uuid_setvar_multi(&mut self, rest: &str) -> String {
        let Some((uuid, pairs)) = rest.split_once(' ') else {
            return "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n".to_owned();
        };
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        for (name, value) in pairs.split(';').filter_map(|pair| pair.split_once('=')) {
            self.set_var(&uuid, name, value);
        }
        "+OK\n".to_owned()
    }

    fn uuid_transfer(&mut self, rest: &str) -> String {
        let words: Vec<&str> = rest.split(' ').collect();
        let (uuid, number, context) = match words.as_slice() {
            [uuid, number] | [uuid, number, "XML"] => (*uuid, *number, "default"),
            [uuid, number, "XML", context] => (*uuid, *number, *context),
            _ => return "-USAGE: <uuid> <dest-exten> [<dialplan>] [<context>]\n".to_owned(),
        };
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        self.transfer_alone(&uuid, number, context);
        "+OK\n".to_owned()
    }

    fn uuid_dual_transfer(&mut self, rest: &str) -> String {
        let slashed = |text: &str| {
            let mut words = text.split('/').map(str::to_owned);
            let number = words.next().unwrap_or_default();
            let context = words.nth(1).unwrap_or_else(|| "default".to_owned());
            (number, context)
        };
        let words: Vec<&str> = rest.split(' ').collect();
        let [uuid, own, other] = words.as_slice() else {
            return "-USAGE: <uuid> <A-dest-exten>[/<A-dialplan>][/<A-context>] <B-dest-exten>[/<B-dialplan>][/<B-context>]\n".to_owned();
        };
        let uuid: Uuid = (*uuid).into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        let (own, other) = (slashed(own), slashed(other));
        self.transfer_both(&uuid, (&own.0, &own.1), (&other.0, &other.1));
        "+OK\n".to_owned()
    }

    fn uuid_recv_dtmf(&mut self, rest: &str) -> String {
        let Some((uuid, digits)) = rest.split_once(' ') else {
            return "-USAGE: <uuid> <dtmf_data>\n".to_owned();
        };
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        // They go to the leg's queue, past what listens for a code.
        self.queue_digits(&uuid, digits, Source::App);
        format!("+OK {uuid} received DTMF {digits}.\n")
    }

    fn hupall(&mut self, rest: &str) -> String {
        let words: Vec<&str> = rest.split(' ').collect();
        let (cause, of, told) = match words.as_slice() {
            [cause, name, value] => (
                *cause,
                Some((*name, *value)),
                format!(" matching [{name}]=[{value}]"),
            ),
            [""] => ("MANAGER_REQUEST", None, String::new()),
            [cause] => (*cause, None, String::new()),
            _ => return "-USAGE: <cause> [<var> <value>]\n".to_owned(),
        };
        let fits = |channel: &&Channel| of.is_none_or(|(n, v)| channel.vars.get(n) == Some(v));
        let channels = self.channels_in_order().into_iter().filter(fits);
        let legs: Vec<Uuid> = channels.map(|channel| channel.uuid.clone()).collect();
        for leg in legs {
            self.hangup(&leg, cause, By::Switch);
        }
        format!("+OK hangup all channels{told} with cause: {cause}\n")
    }

    fn uuid_getvar(&self, rest: &str) -> String {
        let Some((uuid, name)) = rest.split_once(' ') else {
            return "-USAGE: <uuid> <var>\n".to_owned();
        };
        match self.live(&uuid.into()) {
            Some(channel) => channel.vars.get(name).unwrap_or("_undef_").to_owned(),
            None => NO_CHANNEL.to_owned(),
        }
    }

    fn uuid_kill(&mut self, rest: &str) -> String {
        let (uuid, cause) = rest.split_once(' ').unwrap_or((rest, "NORMAL_CLEARING"));
        if uuid.is_empty() {
            return "-USAGE: <uuid> [cause]\n".to_owned();
        }
        let uuid: Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return NO_CHANNEL.to_owned();
        }
        self.hangup(&uuid, cause, By::Switch);
        "+OK\n".to_owned()
    }

    fn show(&mut self, rest: &str) -> String {
        match rest {
            "channels as json" => self.show_channels(),
            "registrations as json" => rows(self.registration_rows().into_iter()),
            "channels count" => format!("\n{} total.\n", self.channels.len()),
            _ => "-USAGE: channels [count] [as json]|registrations as json\n".to_owned(),
        }
    }

    /// The table of channels, as late as the configuration says.
    fn show_channels(&mut self) -> String {
        let lag = self.config.table_lag;
        self.gone.retain(|(at, _)| at.elapsed() < lag);
        let ghosts = self.gone.iter().map(|(_, row)| row.clone());
        let live = self.channels_in_order().into_iter();
        let live = live.filter(|c| c.began.elapsed() >= lag);
        rows(ghosts.chain(live.map(|c| self.row(c))))
    }

    /// A row of `show channels`, with the real one's columns.
    pub(super) fn row(&self, channel: &Channel) -> serde_json::Value {
        let profile = &channel.profile;
        let created = profile.created.unwrap_or(UNIX_EPOCH);
        let epoch = created.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let var = |name: &str| channel.vars.get(name).unwrap_or_default().to_owned();
        let (callee_name, callee_number) = profile.callee.clone().unwrap_or_default();
        let codec = |value: &str| {
            if channel.has_codec() {
                value.to_owned()
            } else {
                String::new()
            }
        };
        let sent = var("last_sent_callee_id_number");
        serde_json::json!({
            "uuid": &*channel.uuid,
            "direction": if channel.inbound { "inbound" } else { "outbound" },
            "created": local_date(created),
            "created_epoch": epoch.as_secs().to_string(),
            "name": profile.channel_name,
            "state": channel.state.name(),
            "cid_name": profile.caller_name,
            "cid_num": profile.caller_number,
            "ip_addr": "127.0.0.1",
            "dest": profile.destination,
            "application": var("current_application"),
            "application_data": var("current_application_data"),
            "dialplan": "XML",
            "context": profile.context,
            "read_codec": codec("PCMU"),
            "read_rate": codec("8000"),
            "read_bit_rate": codec("64000"),
            "write_codec": codec("PCMU"),
            "write_rate": codec("8000"),
            "write_bit_rate": codec("64000"),
            "secure": "",
            "hostname": self.config.switch_name,
            "presence_id": var("presence_id"),
            "presence_data": "",
            "accountcode": "",
            "callstate": channel.call_state,
            "callee_name": callee_name,
            "callee_num": callee_number,
            "callee_direction": if sent.is_empty() { "" } else { "SEND" },
            "call_uuid": if channel.bridged_or_bound() { var("call_uuid") } else { String::new() },
            "sent_callee_name": sent,
            "sent_callee_num": sent,
            "initial_cid_name": profile.original_name,
            "initial_cid_num": profile.original_number,
            "initial_ip_addr": "127.0.0.1",
            "initial_dest": profile.destination,
            "initial_dialplan": "XML",
            "initial_context": profile.context,
        })
    }

    fn sofia_contact(&self, rest: &str) -> String {
        let user = rest.rsplit_once('/').map_or(rest, |(_, user)| user);
        let contacts = match user.split_once('@') {
            Some((number, domain)) => self.contacts(number, domain),
            None => Vec::new(),
        };
        if contacts.is_empty() {
            return "error/user_not_registered".to_owned();
        }
        let urls: Vec<String> = contacts
            .into_iter()
            .map(|c| format!("sofia/internal/{}", c.contact))
            .collect();
        urls.join(",")
    }

    /// `hash` with its two separators. Between slashes a value ends at the next slash, which is why a dial string needs
    /// the `^^~` form (facts page, section 6).
    fn hash(&mut self, rest: &str) -> String {
        let (separator, text) = match rest.strip_prefix("^^") {
            Some(form) => {
                let mut characters = form.chars();
                (characters.next().unwrap_or('/'), characters.as_str())
            }
            None => ('/', rest),
        };
        let words: Vec<&str> = text.split(separator).collect();
        let (words, value) = match words.as_slice() {
            [verb, realm, key] => ((*verb, *realm, *key), None),
            [verb, realm, key, value, ..] => ((*verb, *realm, *key), Some(*value)),
            _ => {
                return "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"
                    .to_owned();
            }
        };
        let (verb, realm, key) = words;
        let entry = (realm.to_owned(), key.to_owned());
        match (verb, value) {
            ("insert", Some(value)) => {
                self.hash.insert(entry, value.to_owned());
                "+OK\n".to_owned()
            }
            ("insert_ifempty", Some(_)) if self.hash.contains_key(&entry) => {
                "-ERR key already exists\n".to_owned()
            }
            ("insert_ifempty", Some(value)) => {
                self.hash.insert(entry, value.to_owned());
                "+OK\n".to_owned()
            }
            ("select", _) => match self.hash.get(&entry) {
                Some(value) if !value.is_empty() => value.clone(),
                _ => NO_REPLY.to_owned(),
            },
            ("delete", _) if self.hash.remove(&entry).is_some() => "+OK\n".to_owned(),
            ("delete", _) => "-ERR Not found\n".to_owned(),
            _ => "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"
                .to_owned(),
        }
    }

    fn hash_dump(&self) -> String {
        let mut text = String::new();
        for ((realm, key), value) in &self.hash {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "D/{realm}_{key}/{value}");
        }
        text.push('\n');
        text
    }

    fn status(&self) -> String {
        let up = self.started.elapsed().unwrap_or(Duration::ZERO);
        format!(
            "UP 0 years, 0 days, 0 hours, {} minutes, {} seconds, {} milliseconds, 0 microseconds\n\
             FreeSWITCH (Version {VERSION}) is ready\n\
             {} session(s) since startup\n\
             {} session(s) - peak 0, last 5min 0 \n\
             0 session(s) per Sec out of max 500, peak 0, last 5min 0 \n\
             5000 session(s) max\n\
             min idle cpu 0.00/99.00\n",
            up.as_secs() / 60,
            up.as_secs() % 60,
            up.subsec_millis(),
            self.sessions,
            self.channels.len(),
        )
    }

    fn global_getvar(&self, name: &str) -> String {
        match name {
            "hostname" => "fake".to_owned(),
            "domain" => self.config.domain.clone(),
            "core_uuid" => self.core_uuid.clone(),
            "switchname" => self.config.switch_name.clone(),
            "local_ip_v4" => "127.0.0.1".to_owned(),
            _ => NO_REPLY.to_owned(),
        }
    }

    fn sofia_xmlstatus(&self) -> String {
        let profile = |name: &str, port: u16| {
            format!(
                "<profile>\n<name>{name}</name>\n<type>profile</type>\n<data>sip:mod_sofia@127.0.0.1:{port}</data>\n<state>RUNNING (0)</state>\n</profile>\n"
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<profiles>\n{}{}</profiles>\n",
            profile("external", 5080),
            profile("internal", 5060)
        )
    }
}

impl Channel {
    /// The switch's table names the call of a leg only once there is another one.
    fn bridged_or_bound(&self) -> bool {
        self.peer.is_some() || self.vars.get("originator").is_some()
    }
}

/// `{"row_count": 0}` without rows, as the real switch has it.
fn rows(rows: impl Iterator<Item = serde_json::Value>) -> String {
    let rows: Vec<serde_json::Value> = rows.collect();
    if rows.is_empty() {
        return "{\"row_count\": 0}\n".to_owned();
    }
    let table = serde_json::json!({ "row_count": rows.len(), "rows": rows });
    table.to_string()
}

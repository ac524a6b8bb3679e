//! Events in the plain format, in the shape of the recorded ones (`tests/data`).
//!
//! ```text
//! event = 1*( name ": " value LF ) ["Content-Length: " n LF] LF [body]
//! value = percent-encoded text; "_undef_" stands for the empty one
//! ```
//!
//! Quirks kept on purpose: an authenticated channel carries `variable_Event-Name` and other names of event headers as
//! variables; `Event-Subclass` stands before `Event-Name`; the caller's leg carries `variable_dialed_user` of the fork
//! that was created last.

use std::{
    borrow::Cow,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::model::channel::{Channel, Profile};

/// One event before it is encoded.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) subclass: Option<Cow<'static, str>>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// What every event says about the switch.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) core_uuid: String,
    pub(crate) switch_name: String,
    pub(crate) sequence: u64,
}

impl Event {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            subclass: None,
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn custom(subclass: impl Into<Cow<'static, str>>) -> Self {
        Self {
            subclass: Some(subclass.into()),
            ..Self::new("CUSTOM")
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds what the switch adds to an event about a channel. Some events carry no variables (facts page, section 4).
    pub(crate) fn about(mut self, channel: &Channel, variables: bool) -> Self {
        channel_headers(channel, &mut self.headers);
        if variables {
            let vars = channel.vars.iter();
            self.headers
                .extend(vars.map(|(n, v)| (format!("variable_{n}"), v.to_owned())));
        }
        self
    }

    /// The event as it stands in the body of a frame.
    pub(crate) fn encode(&self, origin: &Origin) -> String {
        let mut text = String::with_capacity(4096);
        if let Some(subclass) = &self.subclass {
            line(&mut text, "Event-Subclass", subclass);
        }
        line(&mut text, "Event-Name", self.name);
        for (name, value) in origin.headers() {
            line(&mut text, name, &value);
        }
        for (name, value) in &self.headers {
            line(&mut text, name, value);
        }
        match &self.body {
            Some(body) => {
                let _ = write!(text, "Content-Length: {}\n\n{body}", body.len());
            }
            None => text.push('\n'),
        }
        text
    }

    /// The event as a JSON object, values not encoded (`uuid_dump <uuid> json`).
    pub(crate) fn encode_json(&self, origin: &Origin) -> String {
        let mut object = serde_json::Map::new();
        object.insert("Event-Name".to_owned(), self.name.into());
        for (name, value) in origin.headers() {
            object.insert(name.to_owned(), value.into());
        }
        for (name, value) in &self.headers {
            object.insert(name.clone(), value.clone().into());
        }
        serde_json::Value::Object(object).to_string()
    }
}

impl Origin {
    fn headers(&self) -> [(&'static str, String); 11] {
        let now = SystemTime::now();
        [
            ("Core-UUID", self.core_uuid.clone()),
            ("FreeSWITCH-Hostname", "fake".to_owned()),
            ("FreeSWITCH-Switchname", self.switch_name.clone()),
            ("FreeSWITCH-IPv4", "127.0.0.1".to_owned()),
            ("FreeSWITCH-IPv6", "::1".to_owned()),
            ("Event-Date-Local", local_date(now)),
            ("Event-Date-Timestamp", micros(now).to_string()),
            ("Event-Calling-File", "fake.c".to_owned()),
            ("Event-Calling-Function", "fake".to_owned()),
            ("Event-Calling-Line-Number", "1".to_owned()),
            ("Event-Sequence", self.sequence.to_string()),
        ]
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(": ");
    if value.is_empty() {
        text.push_str("_undef_");
    } else {
        percent_encode(text, value);
    }
    text.push('\n');
}

/// Encodes what the switch encodes: everything outside printable ASCII and these characters.
pub(crate) fn percent_encode(text: &mut String, value: &str) {
    const UNSAFE: &[u8] = b" \"#%&+:;<=>?@[\\]^`{|}";
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && !UNSAFE.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

fn channel_headers(channel: &Channel, out: &mut Vec<(String, String)>) {
    let mut push = |name: &str, value: &str| out.push((name.to_owned(), value.to_owned()));
    let direction = direction(channel.inbound);
    push("Channel-State", channel.state.name());
    push("Channel-Call-State", channel.call_state);
    push("Channel-State-Number", channel.state.number());
    push("Channel-Name", &channel.profile.channel_name);
    push("Unique-ID", &channel.uuid);
    push("Call-Direction", direction);
    push("Presence-Call-Direction", direction);
    push(
        "Channel-HIT-Dialplan",
        if channel.inbound { "true" } else { "false" },
    );
    if let Some(presence) = channel.vars.get("presence_id") {
        push("Channel-Presence-ID", presence);
    }
    push(
        "Channel-Call-UUID",
        channel.vars.get("call_uuid").unwrap_or(&channel.uuid),
    );
    push("Answer-State", channel.answer_state);
    if let Some(cause) = &channel.hangup_cause {
        push("Hangup-Cause", cause);
    }
    if channel.has_codec() {
        for way in ["Read", "Write"] {
            push(&format!("Channel-{way}-Codec-Name"), "PCMU");
            push(&format!("Channel-{way}-Codec-Rate"), "8000");
            push(&format!("Channel-{way}-Codec-Bit-Rate"), "64000");
        }
    }
    profile_headers("Caller-", &channel.profile, out);
    if let Some(other) = &channel.other {
        let kind = if other.is_originator {
            "originator"
        } else {
            "originatee"
        };
        out.push(("Other-Type".to_owned(), kind.to_owned()));
        profile_headers("Other-Leg-", &other.profile, out);
    }
}

fn profile_headers(prefix: &str, profile: &Profile, out: &mut Vec<(String, String)>) {
    let mut push =
        |name: &str, value: &str| out.push((format!("{prefix}{name}"), value.to_owned()));
    push("Direction", direction(profile.inbound));
    push("Logical-Direction", direction(profile.inbound));
    push("Username", &profile.username);
    push("Dialplan", "XML");
    push("Caller-ID-Name", &profile.caller_name);
    push("Caller-ID-Number", &profile.caller_number);
    push("Orig-Caller-ID-Name", &profile.original_name);
    push("Orig-Caller-ID-Number", &profile.original_number);
    if let Some((name, number)) = &profile.callee {
        push("Callee-ID-Name", name);
        push("Callee-ID-Number", number);
    }
    push("Network-Addr", "127.0.0.1");
    push("ANI", &profile.ani);
    push("Destination-Number", &profile.destination);
    push("Unique-ID", &profile.unique_id);
    push("Source", "mod_sofia");
    if let Some(source) = &profile.transfer_source {
        push("Transfer-Source", source);
    }
    push("Context", &profile.context);
    if let Some(rdnis) = &profile.rdnis {
        push("RDNIS", rdnis);
    }
    push("Channel-Name", &profile.channel_name);
    let times = [
        ("Profile-Created-Time", profile.created),
        ("Channel-Created-Time", profile.created),
        ("Channel-Answered-Time", profile.answered),
        ("Channel-Progress-Time", profile.progress),
        ("Channel-Progress-Media-Time", profile.progress_media),
        ("Channel-Hangup-Time", profile.hungup),
        ("Channel-Transfer-Time", None),
        ("Channel-Resurrect-Time", None),
        ("Channel-Bridged-Time", profile.bridged),
        ("Channel-Last-Hold", profile.held),
        ("Channel-Hold-Accum", None),
    ];
    for (name, time) in times {
        push(name, &time.map_or(0, micros).to_string());
    }
    push("Screen-Bit", "true");
    push("Privacy-Hide-Name", "false");
    push("Privacy-Hide-Number", "false");
}

fn direction(inbound: bool) -> &'static str {
    if inbound { "inbound" } else { "outbound" }
}

pub(crate) fn micros(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_micros()
}

/// `2026-11-22 12:34:29`, in UTC: civil from days (Howard Hinnant), as no crate is needed for one line.
pub(crate) fn local_date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_encoding(value: &str, expect: &str) {
        let mut text = String::new();
        percent_encode(&mut text, value);
        assert_eq!(text, expect);
    }

    /// Values and their encodings as they stand in the recorded trace.
    #[test]
    fn encodes_as_the_switch_does() {
        check_encoding(
            "sofia/internal/1001@127.0.0.1:25460",
            "sofia/internal/1001%40127.0.0.1%3A25460",
        );
        check_encoding(
            "\"\" <sip:1001@127.0.0.1:25460;ob>",
            "%22%22%20%3Csip%3A1001%40127.0.0.1%3A25460%3Bob%3E",
        );
        check_encoding("PRACK, INVITE", "PRACK,%20INVITE");
        check_encoding("v=0\r\n", "v%3D0%0D%0A");
        check_encoding("1.11.3-dev+git~2026", "1.11.3-dev%2Bgit~2026");
        check_encoding("ARRAY::1000|:1000", "ARRAY%3A%3A1000%7C%3A1000");
    }

    fn check_date(seconds: u64, expect: &str) {
        assert_eq!(
            local_date(UNIX_EPOCH + Duration::from_secs(seconds)),
            expect
        );
    }

    #[test]
    fn dates() {
        check_date(0, "1970-01-01 00:00:00");
        check_date(951_782_400, "2000-02-29 00:00:00");
        check_date(1_795_414_563, "2026-11-23 06:16:03");
    }
}

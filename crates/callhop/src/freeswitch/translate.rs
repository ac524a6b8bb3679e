//! FreeSWITCH's words to the core's and back, without I/O.
//!
//! Owns which headers of an event mean what. Identity comes from `sip_authorized`, `user_name` and `domain_name` alone:
//! mod_sofia sets these three from its directory (sofia_reg.c, `sofia_reg_parse_auth`). `sip_auth_realm` is what the client
//! wrote and is not looked at; nor is anything else that a SIP header can set.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use callhop_calls::core::Answer;
use callhop_calls::id::{ChannelId, DeviceId, Domain, MoveId, Number};
use callhop_calls::lamp::{self, Lamp};
use callhop_calls::tracker::{
    Arming, Change, Direction, Facts, LegEvent, Party, Progress, Sequence, SnapshotLeg, SwitchTime,
};
use callhop_esl::{Event, EventName, FieldSet, Fields};

use crate::switch::{Caller, HuntSource};

/// What the event link subscribes to; the tracker needs no other.
pub const EVENTS: &[EventName] = &[
    EventName::ChannelCreate,
    EventName::ChannelOriginate,
    EventName::ChannelProgress,
    EventName::ChannelProgressMedia,
    EventName::ChannelAnswer,
    EventName::ChannelBridge,
    EventName::ChannelUnbridge,
    EventName::ChannelHold,
    EventName::ChannelUnhold,
    EventName::ChannelHangup,
    EventName::ChannelDestroy,
];

/// The subclasses of `CUSTOM` that say that a registration has changed.
pub const REGISTRATION_EVENTS: &[&str] = &["sofia::register", "sofia::unregister", "sofia::expire"];

/// The subclass of `CUSTOM` that an armed leg sends when the push code is dialled.
pub const PUSH_KEY: &str = "callhop::push";

/// Says that a leg listens for the push code.
pub const ARMED: &str = "callhop_armed";

/// The second of the two applications that a leg runs when it is answered: the first one makes it listen, this one says so.
pub const ARMED_AT_ANSWER: &str = "execute_on_answer_callhop_2";

/// The push or offer that has made a leg.
pub const MADE_BY: &str = "callhop_move";

macro_rules! fields {
    ($($name:ident = $header:literal,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy)]
        enum F { $($name,)* }
        const WANTED_LEN: usize = [$($header),*].len();
        static WANTED: LazyLock<FieldSet<WANTED_LEN>> =
            LazyLock::new(|| FieldSet::new([$($header),*]));
    };
}

fields! {
    Sequence = "Event-Sequence",
    Timestamp = "Event-Date-Timestamp",
    UniqueId = "Unique-ID",
    Direction = "Call-Direction",
    AnswerState = "Answer-State",
    CallState = "Channel-Call-State",
    ReadCodec = "Channel-Read-Codec-Name",
    CallerNumber = "Caller-Orig-Caller-ID-Number",
    CallerName = "Caller-Orig-Caller-ID-Name",
    Destination = "Caller-Destination-Number",
    OtherLeg = "Other-Leg-Unique-ID",
    OtherType = "Other-Type",
    BridgeA = "Bridge-A-Unique-ID",
    BridgeB = "Bridge-B-Unique-ID",
    Authorized = "variable_sip_authorized",
    UserName = "variable_user_name",
    DomainName = "variable_domain_name",
    DialedUser = "variable_dialed_user",
    DialedDomain = "variable_dialed_domain",
    Originator = "variable_originating_leg_uuid",
    BridgeTo = "variable_bridge_to",
    NetworkIp = "variable_sip_network_ip",
    NetworkPort = "variable_sip_network_port",
    ContactUri = "variable_sip_contact_uri",
    OfferedCodecs = "variable_ep_codec_string",
    CallhopExtension = "variable_callhop_extension",
    Armed = "variable_callhop_armed",
    ArmedAtAnswer = "variable_execute_on_answer_callhop_2",
    MadeBy = "variable_callhop_move",
    OriginatedLegs = "variable_originated_legs",
}

type Found<'e> = Fields<'e, WANTED_LEN>;

fn text(fields: &Found<'_>, field: F) -> String {
    fields
        .get(field as usize)
        .map(|v| v.into_owned())
        .unwrap_or_default()
}

fn id(fields: &Found<'_>, field: F) -> Option<ChannelId> {
    fields.get(field as usize)?.parse().ok()
}

fn is(fields: &Found<'_>, field: F, value: &[u8]) -> bool {
    fields.raw(field as usize) == Some(value)
}

/// What an event of the switch says about a leg; `None` for events that say nothing about one.
#[must_use]
pub fn leg_event(event: &Event) -> Option<LegEvent> {
    let name = event.name();
    if !EVENTS.contains(&name) {
        return None;
    }
    let fields = WANTED.scan(event);
    let leg = id(&fields, F::UniqueId)?;
    let other = || {
        let (a, b) = (id(&fields, F::BridgeA)?, id(&fields, F::BridgeB)?);
        Some(if a == leg { b } else { a })
    };
    let change = match name {
        EventName::ChannelBridge => Change::Bridged(other()?),
        EventName::ChannelUnbridge => Change::Unbridged(other()?),
        EventName::ChannelHold => Change::Held,
        EventName::ChannelUnhold => Change::Unheld,
        EventName::ChannelHangup | EventName::ChannelDestroy => Change::Gone,
        _ => Change::Told,
    };
    let facts = (change != Change::Gone).then(|| facts(&fields));
    Some(LegEvent {
        sequence: sequence(&fields),
        leg,
        at: at(&fields),
        facts,
        change,
    })
}

/// A leg as `uuid_dump` shows it; `None` if the text is not that of a channel.
#[must_use]
pub fn snapshot_leg(dump: &Event) -> Option<SnapshotLeg> {
    let fields = WANTED.scan(dump);
    Some(SnapshotLeg {
        sequence: sequence(&fields),
        leg: id(&fields, F::UniqueId)?,
        facts: facts(&fields),
        // Set while an audio bridge runs, and only then (switch_ivr_bridge.c, audio_bridge_thread).
        talks_to: id(&fields, F::BridgeTo),
        holds: is(&fields, F::CallState, b"HELD"),
    })
}

fn sequence(fields: &Found<'_>) -> Sequence {
    Sequence(text(fields, F::Sequence).parse().unwrap_or_default())
}

/// The switch's own time of an event, in microseconds since 1970; it moves in steps of its timer, 20 ms as a rule
/// (switch_time.c, `switch_micro_time_now`).
fn at(fields: &Found<'_>) -> Option<SwitchTime> {
    let micros = fields.get(F::Timestamp as usize)?.parse().ok()?;
    Some(SwitchTime(Duration::from_micros(micros)))
}

fn facts(fields: &Found<'_>) -> Facts {
    let direction = if is(fields, F::Direction, b"outbound") {
        Direction::Outbound
    } else {
        Direction::Inbound
    };
    let progress = match fields.raw(F::AnswerState as usize) {
        Some(b"answered") => Progress::Answered,
        Some(b"early") => Progress::EarlyMedia,
        _ => Progress::Setup,
    };
    let originator = match direction {
        Direction::Inbound => None,
        Direction::Outbound => id(fields, F::Originator).or_else(|| {
            is(fields, F::OtherType, b"originator")
                .then(|| id(fields, F::OtherLeg))
                .flatten()
        }),
    };
    // Of the headers that name a party these are the ones that a move leaves alone: Caller-Caller-ID-* and
    // Caller-Callee-ID-* of a leg that was moved are those of whoever it was moved to (switch_ivr_bridge.c).
    let party = match direction {
        Direction::Inbound => Party {
            number: text(fields, F::CallerNumber),
            name: text(fields, F::CallerName),
        },
        Direction::Outbound => {
            let dialed = text(fields, F::DialedUser);
            let number = if dialed.is_empty() {
                text(fields, F::Destination)
            } else {
                dialed
            };
            Party {
                name: number.clone(),
                number,
            }
        }
    };
    let codec = text(fields, F::ReadCodec);
    let arming = if is(fields, F::Armed, b"true") {
        Arming::Armed
    } else if fields.raw(F::ArmedAtAnswer as usize).is_some() {
        Arming::Prepared
    } else {
        Arming::No
    };
    Facts {
        arming,
        made_by: made_by(fields),
        device: device(fields, direction),
        direction,
        progress,
        originator,
        party,
        codec: (!codec.is_empty()).then_some(codec),
        phone: phone(fields),
    }
}

fn made_by(fields: &Found<'_>) -> Option<MoveId> {
    fields.get(F::MadeBy as usize)?.parse().ok()
}

/// Where the phone is: its address and its contact, both as the switch saw them. Behind a proxy all phones have one address.
fn phone(fields: &Found<'_>) -> Option<String> {
    let [ip, port, contact] =
        [F::NetworkIp, F::NetworkPort, F::ContactUri].map(|field| text(fields, field));
    (!ip.is_empty() && !port.is_empty()).then(|| format!("{ip}:{port} {contact}"))
}

fn device(fields: &Found<'_>, direction: Direction) -> Option<DeviceId> {
    let (user, domain) = match direction {
        Direction::Inbound if is(fields, F::Authorized, b"true") => (F::UserName, F::DomainName),
        Direction::Inbound => return None,
        // A leg that has called somebody itself, after a transfer or in a recall, was given the names of who that was.
        Direction::Outbound if fields.raw(F::OriginatedLegs as usize).is_some() => return None,
        // Set by the endpoint `user` (mod_dptools.c), and by us for a device with several contacts.
        Direction::Outbound => (F::DialedUser, F::DialedDomain),
    };
    let number: Number = fields.get(user as usize)?.parse().ok()?;
    let domain: Domain = fields.get(domain as usize)?.parse().ok()?;
    Some(DeviceId::new(number, domain))
}

/// Reads the channel that asks from its `uuid_dump`.
#[must_use]
pub fn caller(dump: &Event) -> Option<Caller> {
    let fields = WANTED.scan(dump);
    let direction = facts(&fields).direction;
    let extension = text(&fields, F::CallhopExtension);
    Some(Caller {
        leg: id(&fields, F::UniqueId)?,
        is_waiting: direction == Direction::Inbound && !is(&fields, F::AnswerState, b"answered"),
        device: device(&fields, direction),
        dialled: text(&fields, F::Destination),
        extension: (!extension.is_empty()).then_some(extension),
        domain: fields
            .get(F::DomainName as usize)
            .and_then(|d| d.parse().ok()),
        phone: phone(&fields),
        codecs: codecs(&text(&fields, F::OfferedCodecs)),
        made_by: made_by(&fields).filter(|_| {
            direction == Direction::Outbound && is(&fields, F::AnswerState, b"answered")
        }),
    })
}

/// The names in `ep_codec_string`, e.g. `CORE_PCM_MODULE.PCMU@8000h@20i@64000b,...`.
fn codecs(offered: &str) -> Vec<String> {
    offered
        .split(',')
        .filter_map(|codec| codec.split('@').next()?.rsplit('.').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The dial string of an answer. A device with one contact is rung through the endpoint `user`, as the admin's directory
/// says; with several, each contact is named, because `user/a,user/b` calls only the first contact of each
/// (switch_ivr_originate.c). A contact that the whitelist refuses is left to the endpoint `user` too.
#[must_use]
pub fn dial_string(answer: &Answer) -> String {
    let mut legs = Vec::new();
    for (device, contacts) in &answer.targets {
        if contacts.len() < 2 || !contacts.iter().all(|contact| is_safe_contact(contact)) {
            legs.push(format!("user/{device}"));
            continue;
        }
        let DeviceId { number, domain } = device;
        legs.extend(contacts.iter().map(|contact| {
            format!("[dialed_user={number},dialed_domain={domain},presence_id={device}]{contact}")
        }));
    }
    legs.join(",")
}

/// Whether a contact can stand in a dial string: nothing that ends it, begins another one, or is unfolded.
fn is_safe_contact(contact: &str) -> bool {
    contact.starts_with("sofia/")
        && contact.len() <= 512
        && contact.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'/' | b':'
                        | b'@'
                        | b'.'
                        | b';'
                        | b'='
                        | b'-'
                        | b'_'
                        | b'+'
                        | b'~'
                        | b'%'
                        | b'*'
                )
        })
}

/// The contacts in the answer to `sofia_contact */user@domain`, none if it is not registered.
#[must_use]
pub fn contacts(answer: &str) -> Vec<String> {
    let mut contacts: Vec<_> = answer
        .trim()
        .split(',')
        .filter(|c| c.starts_with("sofia/"))
        .map(str::to_owned)
        .collect();
    contacts.sort();
    contacts.dedup();
    contacts
}

/// `show registrations as json` does not have the form that switch_console.c gives it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not JSON.
    #[error("the switch's table is not JSON")]
    Json(#[from] serde_json::Error),
}

#[derive(serde::Deserialize)]
struct Table<T> {
    #[serde(default = "Vec::new")]
    rows: Vec<T>,
}

#[derive(serde::Deserialize)]
struct Registration {
    reg_user: String,
    realm: String,
    url: String,
}

#[derive(serde::Deserialize)]
struct Channel {
    uuid: String,
}

/// All registrations out of `show registrations as json`. Names that the whitelist refuses are left out: they can't be
/// devices of ours.
///
/// # Errors
/// It is not the table.
pub fn registrations(json: &str) -> Result<HashMap<DeviceId, Vec<String>>, TableError> {
    let table: Table<Registration> = serde_json::from_str(json)?;
    let mut found: HashMap<DeviceId, Vec<String>> = HashMap::new();
    for row in table.rows {
        if let (Ok(number), Ok(domain)) = (row.reg_user.parse(), row.realm.parse()) {
            found
                .entry(DeviceId::new(number, domain))
                .or_default()
                .push(row.url);
        }
    }
    for contacts in found.values_mut() {
        contacts.sort();
        contacts.dedup();
    }
    Ok(found)
}

/// All channels out of `show channels as json`.
///
/// # Errors
/// It is not the table.
pub fn channels(json: &str) -> Result<Vec<ChannelId>, TableError> {
    let table: Table<Channel> = serde_json::from_str(json)?;
    Ok(table
        .rows
        .iter()
        .filter_map(|row| row.uuid.parse().ok())
        .collect())
}

/// When the switch made the event, since 1970, by its own clock.
#[must_use]
pub fn made_at(event: &Event) -> Option<Duration> {
    let micros = event.get("Event-Date-Timestamp")?.parse().ok()?;
    Some(Duration::from_micros(micros))
}

/// What an inbound call has rung by, told once, at its end: its dialplan has written that down (`callhop_source`).
#[must_use]
pub fn hunt_source(event: &Event) -> Option<HuntSource> {
    if event.name() != EventName::ChannelHangup {
        return None;
    }
    HuntSource::of(&event.get("variable_callhop_source")?)
}

/// The leg that has dialled the push code.
#[must_use]
pub fn push_key(event: &Event) -> Option<ChannelId> {
    let is_it = event.name() == EventName::Custom && event.subclass().as_deref() == Some(PUSH_KEY);
    is_it.then(|| event.unique_id()?.parse().ok()).flatten()
}

/// The lamp to which a phone has subscribed, or whose subscription it has renewed (`PRESENCE_PROBE`). mod_sofia answers for
/// its own names only; without an answer of ours the phone gets no NOTIFY (sofia_presence.c, do_normal_probe). Whoever
/// subscribes names itself: nothing of that is looked at.
#[must_use]
pub fn lamp_asked(event: &Event) -> Option<Lamp> {
    if event.name() != EventName::PresenceProbe {
        return None;
    }
    let to = event.get("to")?;
    let (name, domain) = to.split_once('@')?;
    Lamp::parse(name, &domain.parse().ok()?).ok()
}

/// What mod_sofia wants to hear of a lamp, as headers of `PRESENCE_IN`. It makes a dialog of whatever has a `unique-id`; one
/// with a `-` in it would be looked for among its own dialogs.
#[must_use]
pub fn presence(lamp: &Lamp, lit: bool) -> [(&'static str, String); 10] {
    let address = lamp.to_string();
    let (state, status) = if lit {
        ("confirmed", "Active")
    } else {
        ("terminated", "Idle")
    };
    [
        ("proto", lamp::PREFIX.trim_end_matches('+').to_owned()),
        ("event_type", "presence".to_owned()),
        ("alt_event_type", "dialog".to_owned()),
        ("Presence-Call-Direction", "outbound".to_owned()),
        ("from", address.clone()),
        ("login", address),
        ("unique-id", lamp.name()),
        ("status", status.to_owned()),
        ("answer-state", state.to_owned()),
        ("rpid", "unknown".to_owned()),
    ]
}

/// A digit that a leg has dialled (`DTMF`: switch_channel.c sends it when the digit is taken off the leg's queue, so in a
/// bridge or an application that reads, and not while nothing does).
#[must_use]
pub fn digit(event: &Event) -> Option<(ChannelId, char)> {
    if event.name() != EventName::Dtmf {
        return None;
    }
    let digit = event.get("DTMF-Digit")?;
    let mut chars = digit.chars();
    match (chars.next(), chars.next()) {
        (Some(digit @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => {
            Some((event.unique_id()?.parse().ok()?, digit))
        }
        _ => None,
    }
}

/// The push or offer whose `originate` has failed, and the hangup cause, in lower case. A job has its id as its number.
#[must_use]
pub fn not_reached(event: &Event) -> Option<(MoveId, String)> {
    if event.name() != EventName::BackgroundJob {
        return None;
    }
    let id = event.get("Job-UUID")?.parse().ok()?;
    let body = event.body()?;
    let body = String::from_utf8_lossy(&body);
    let cause = body.trim().strip_prefix("-ERR")?.trim();
    let is_word = !cause.is_empty()
        && cause.len() <= 64
        && cause
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let cause = if is_word { cause } else { "unknown_cause" };
    Some((id, cause.to_ascii_lowercase()))
}

/// The device of a registration event.
#[must_use]
pub fn registered_device(event: &Event) -> Option<DeviceId> {
    let field = |names: [&str; 2]| names.iter().find_map(|name| event.get_filled(name));
    // sofia::register and sofia::unregister say from-user, sofia::expire says user (sofia_reg.c).
    let number = field(["from-user", "user"])?.parse().ok()?;
    let domain = field(["from-host", "host"])?.parse().ok()?;
    Some(DeviceId::new(number, domain))
}

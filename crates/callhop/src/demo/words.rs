//! What a phone shows and its person hears, in words: for the page and for the script alike.
//!
//! Owns the words. Pure: from the view of a phone on the fake switch to texts.

use callhop_fakeswitch::{CallState, CallView, End, EndedCall, Heard, Hears, PhoneView};
use serde::Serialize;

use super::cast::{Part, party};

/// A phone as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    id: &'static str,
    name: &'static str,
    number: &'static str,
    person: &'static str,
    extension: Option<&'static str>,
    /// Its live calls, the oldest first.
    calls: Vec<ShownCall>,
    /// How its latest call ended.
    last: Option<String>,
}

/// A live call on a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ShownCall {
    /// Its channel, by which it is named in an action.
    call: String,
    state: State,
    /// What the phone does or its person hears.
    words: String,
    /// Who is on the display.
    display: String,
}

/// What can be done with a call follows from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ringing,
    Dialling,
    Answered,
    OnHold,
}

impl Shown {
    /// The phone of `part`, as it is now.
    pub(crate) fn of(part: &Part, view: &PhoneView) -> Self {
        Self {
            id: part.id,
            name: part.name,
            number: part.number,
            person: part.person,
            extension: part.extension,
            calls: view.calls.iter().map(ShownCall::of).collect(),
            last: view.ended.last().map(ending),
        }
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(ShownCall::line).collect();
        match (&self.last, calls.is_empty()) {
            (_, false) => calls.join("; "),
            (Some(last), true) => format!("idle: {last}"),
            (None, true) => "idle".to_owned(),
        }
    }
}

impl ShownCall {
    fn of(call: &CallView) -> Self {
        let state = match call.state {
            CallState::Ringing => State::Ringing,
            CallState::Dialling => State::Dialling,
            CallState::Answered if call.on_hold => State::OnHold,
            CallState::Answered => State::Answered,
        };
        let words = match (state, &call.hears) {
            (State::Ringing, _) => "rings".to_owned(),
            (State::OnHold, _) => "has the call on hold".to_owned(),
            (State::Dialling, Hears::Nothing | Hears::Silence) => "dials".to_owned(),
            (State::Dialling | State::Answered, hears) => sound(hears),
        };
        Self {
            call: call.channel.clone(),
            state,
            words,
            display: display(&call.display_name, &call.display),
        }
    }

    fn line(&self) -> String {
        format!("{}, shows {}", self.words, self.display)
    }
}

/// What FreeSWITCH calls whoever it calls, where nobody has said a name (switch_ivr_originate.c).
const NO_NAME: &str = "Outbound Call";

/// Name and number as a display has them.
fn display(name: &str, number: &str) -> String {
    if name.is_empty() || name == number || name == NO_NAME {
        number.to_owned()
    } else {
        format!("{name} {number}")
    }
}

/// What is heard.
fn sound(hears: &Hears) -> String {
    match hears {
        Hears::Party(label) => format!("talks to {}", party(label)),
        Hears::Nothing => "hears nothing".to_owned(),
        Hears::Silence => "hears silence".to_owned(),
        Hears::Ringback => "hears ringback".to_owned(),
        Hears::RefusalTone => "hears the refusal tone".to_owned(),
        Hears::Beep => "hears the beep".to_owned(),
        Hears::Moh => "hears music on hold".to_owned(),
        Hears::Voicemail => "hears the voicemail".to_owned(),
        Hears::Announcement => "hears an announcement".to_owned(),
    }
}

/// How a call ended.
fn ending(call: &EndedCall) -> String {
    if let Some(cause) = &call.refusal {
        return format!("refused, {}", cause.replace('_', " "));
    }
    // A star code's call is one beep long.
    let beeped = call.heard.iter().any(|heard| heard.what == Hears::Beep);
    if beeped && !call.incoming && !heard_somebody(&call.heard) {
        return "heard the beep".to_owned();
    }
    match call.end {
        End::HungUp => "hung up",
        End::Released => "released",
        End::AnsweredElsewhere => "answered elsewhere, no missed call",
        End::Missed => "missed call",
        End::Failed => "not answered",
    }
    .to_owned()
}

fn heard_somebody(heard: &[Heard]) -> bool {
    heard
        .iter()
        .any(|heard| matches!(heard.what, Hears::Party(_)))
}

/// What was heard since a call began, one word each. Silence is left out: on the fake the step between two bridges looks like
/// it; on a real switch it is the gap of a packet or two.
pub(crate) fn heard(list: &[Heard]) -> Vec<String> {
    let loud = list
        .iter()
        .filter(|heard| !matches!(heard.what, Hears::Silence | Hears::Nothing));
    loud.map(|heard| match &heard.what {
        Hears::Party(label) => party(label).to_owned(),
        other => {
            let words = sound(other);
            words.strip_prefix("hears ").unwrap_or(&words).to_owned()
        }
    })
    .collect()
}

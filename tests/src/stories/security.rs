//! Hostile input on star codes, the controller's socket and its command line: item 12 of the list.

use anyhow::{Context, Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone::{Out1, Out2, P1001, P1002},
    site::{CallState, Kind},
    stage::{Direction, SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("security/hostile_digits", digits),
    Story::new("security/hostile_headers", headers),
    Story::new("security/events_in_a_number", events)
        .not_on(&[(Kind::Fake, "its phones send no URI that would be unfolded")]),
    Story::new("security/hostile_questions", questions),
    Story::new("security/hostile_command_line", command_line),
];

/// What may never be expanded, split or executed. `FILE` stands for a file that must not come to be.
const HOSTILE: [&str; 14] = [
    "${system(touch FILE)}",
    "${uuid_kill(${uuid})}",
    "$${hold_music}",
    "1002%0aapi shutdown",
    "1002\napi hupall",
    "1002;touch FILE",
    "1002|1003",
    "[x=y]1002",
    "{x=y}1002",
    "1002'\"`",
    "1002,error/user_busy",
    "1002\\",
    "&park()",
    "../../1002",
];

fn file(stage: &mut Stage<'_>) -> std::path::PathBuf {
    stage.site.controller().dir().join("executed")
}

fn hostile(stage: &mut Stage<'_>) -> Vec<String> {
    let file = file(stage).display().to_string();
    let long = ["1".repeat(300), "a".repeat(300), "*".repeat(300)];
    HOSTILE
        .iter()
        .map(|text| text.replace("FILE", &file))
        .chain(long)
        .collect()
}

/// Nothing was executed, everybody lives, and all is as before.
fn unharmed(stage: &mut Stage<'_>, pid: Option<u32>) -> Result<()> {
    let file = file(stage);
    ensure!(
        !file.exists(),
        "{} was made: something was executed",
        file.display()
    );
    ensure!(
        stage.site.controller().pid() == pid,
        "the controller is another one"
    );
    stage.site.controller().wait_ready(SOON)?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

fn digits(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    let talk = stage.outbound(P1002, "01555", Out1)?;
    for text in hostile(stage) {
        for code in ["*33", "*49", "*50", "*51"] {
            // PJSIP itself refuses a URI that it can't parse: then nothing has left the phone.
            let Ok(call) = stage.dial(P1001, &format!("{code}{text}")) else {
                continue;
            };
            let report = stage.ended(call).with_context(|| format!("{code}{text}"))?;
            ensure!(!report.was_answered, "{code}{text} was answered");
        }
    }
    stage.untouched(talk)?;
    stage.over(talk)?;
    unharmed(stage, pid)
}

fn headers(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    let talk = stage.outbound(P1002, "01555", Out1)?;
    for text in hostile(stage)
        .into_iter()
        .filter(|text| !text.contains('\n'))
    {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let from = format!("\"{quoted}\" <sip:1001@lab.test>");
        let headers = [
            ("From", from.as_str()),
            ("X-Callhop", &text),
            ("P-Asserted-Identity", &from),
        ];
        let call = stage
            .site
            .dial(P1001, "*33x", crate::site::Dial { headers: &headers });
        let Ok(call) = call else { continue };
        ensure!(
            !stage.ended(call)?.was_answered,
            "*33x was answered, with {text}"
        );
    }
    stage.untouched(talk)?;
    // A name of such a kind does not get in the way of an honest pull.
    let from = "\"${system(true)}|;[x]\" <sip:1001@lab.test>";
    let since = stage.site.now();
    let call = stage.site.dial(
        P1001,
        "*33",
        crate::site::Dial {
            headers: &[("From", from)],
        },
    )?;
    stage.talking(call)?;
    stage.ended(talk.near)?;
    stage
        .site
        .wait_hears(Out1, crate::site::Sound::Voice(P1001), since, SOON)?;
    stage.over(crate::stage::Talk {
        far: talk.far,
        near: call,
    })?;
    unharmed(stage, pid)
}

/// Asterisk prints the line ends of a dialled number into its events as they are: so anybody outside can write events, and here
/// does, about a call of somebody else. If they were believed, the call would be gone, pushed, or somebody else's.
fn events(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    let talk = stage.talk(Direction::FarCalls, P1002)?;
    let legs = stage.site.channels()?;
    for event in [
        "Event: Hangup%0d%0a",
        "Event: UserEvent%0d%0aUserEvent: CallhopPush%0d%0a",
        "",
    ] {
        for (number, leg) in ["1000", "*33", "9"]
            .iter()
            .flat_map(|n| legs.iter().map(move |l| (n, l)))
        {
            let ends = if event.is_empty() {
                "%0d%0a"
            } else {
                "%0d%0a%0d%0a"
            };
            let forged = format!("{number}{ends}{event}Channel: {leg}%0d%0a%0d%0a");
            let Ok(call) = stage.dial(Out2, &forged.replace(' ', "%20").replace(':', "%3a")) else {
                continue;
            };
            let ended =
                stage
                    .site
                    .wait_state(call, &[CallState::Ended, CallState::Talking], SOON * 2)?;
            if ended.state == CallState::Talking {
                stage.site.hang_up(call)?;
                stage.ended(call)?;
            }
        }
    }
    stage.untouched(talk)?;
    let (talk, _) = stage.moves(talk, P1001, "*33")?;
    stage.over(talk)?;
    unharmed(stage, pid)
}

/// What the dialplan asks over HTTP, asked by somebody else.
fn questions(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    let unknown = "00000000-0000-0000-0000-000000000000";
    let mut paths = Vec::new();
    for what in ["hunt/lab.test", "star"] {
        paths.push(format!("/freeswitch/lab/{what}/{unknown}"));
        paths.push(format!("/freeswitch/nobody/{what}/{unknown}"));
        for text in hostile(stage) {
            let text: String = text
                .chars()
                .map(|c| {
                    if c == ' ' || c == '\n' {
                        "%0a".to_owned()
                    } else {
                        c.to_string()
                    }
                })
                .collect();
            paths.push(format!("/freeswitch/lab/{what}/{text}"));
            paths.push(format!("/freeswitch/{text}/{what}/{unknown}"));
        }
    }
    for path in paths {
        let (code, body) = stage
            .site
            .controller()
            .get(&path)
            .with_context(|| path.clone())?;
        ensure!(code >= 400, "{path}: {code} {body}");
        ensure!(
            !body.starts_with("intercept") && !body.starts_with("user/"),
            "{path}: {body}"
        );
    }
    unharmed(stage, pid)
}

fn command_line(stage: &mut Stage<'_>) -> Result<()> {
    let pid = stage.site.controller().pid();
    let before = stage.cli(&["extension", "list"])?;
    for text in hostile(stage) {
        let extension = format!("{text}@lab.test");
        let in_domain = format!("1000@{text}");
        let attempts: [&[&str]; 5] = [
            &["extension", "add", &extension, "--device", "1001"],
            &["extension", "add", &in_domain, "--device", "1001"],
            &["extension", "add", "1000@lab.test", "--device", &text],
            &["route", "set", "1000@lab.test", &text],
            &["why", &extension],
        ];
        for attempt in attempts {
            let said = stage.site.controller().cli(attempt)?;
            ensure!(
                said.code.is_some_and(|code| code != 0),
                "{attempt:?} was accepted: {}",
                said.out
            );
            ensure!(
                !said.err.trim().is_empty(),
                "{attempt:?} was refused without a word"
            );
            ensure!(!said.err.contains("panicked"), "{attempt:?}: {}", said.err);
        }
    }
    ensure!(
        stage.cli(&["extension", "list"])? == before,
        "the extensions changed"
    );
    unharmed(stage, pid)
}

//! Keys with lamps: what they show, and what pressing them does. DESIGN 4, "Lamps".

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone::{self, Out1, P1001, P1002, P2001, X1001},
    site::{CallState, Kind, Watcher},
    stage::{SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("lamps/follow_the_star_codes", star_codes),
    Story::new("lamps/pressing_sets_and_resets", pressing),
    Story::new("lamps/colleague", colleague),
    Story::new("lamps/command_line_and_end_by_time", command_line),
    Story::new("lamps/next_call_only", next_call),
    Story::new("lamps/keys_of_others", keys_of_others),
    Story::new("lamps/controller_restarted", controller_restarted),
    Story::new("lamps/switch_restarted", switch_restarted),
    Story::new("lamps/extension_removed", extension_removed),
    Story::new("lamps/who_may_look", who_may_look).not_on(&[(Kind::Fake, "it checks no digest")]),
];

/// Any route of 1000, and the two places where it may lead.
const ANY: &str = "callhop+1000";
const TO_1001: &str = "callhop+1000*1001";
const TO_1002: &str = "callhop+1000*1002";

impl Stage<'_> {
    /// The phone's keys subscribe to these in its own domain, and are told their state at once.
    fn keys(&mut self, phone: Phone, lamps: &[&str], lit: bool) -> Result<()> {
        for lamp in lamps {
            let watcher = Watcher {
                phone,
                domain: phone.part().domain,
                password: true,
            };
            let code = self.site.watch(watcher, lamp)?;
            ensure!((200..300).contains(&code), "{lamp} was answered by {code}");
            self.site.wait_lamp(phone, lamp, lit, SOON)?;
        }
        Ok(())
    }

    /// These of the phone's keys are lit now, those are dark.
    fn shows(&mut self, phone: Phone, lit: &[&str], dark: &[&str]) -> Result<()> {
        for (lamps, is_lit) in [(lit, true), (dark, false)] {
            for lamp in lamps {
                self.site.wait_lamp(phone, lamp, is_lit, SOON)?;
            }
        }
        Ok(())
    }
}

fn star_codes(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1001, TO_1002], false)?;
    stage.confirmed(P1001, "*50")?;
    stage.shows(P1001, &[ANY, TO_1001], &[TO_1002])?;
    stage.confirmed(P1001, "*491002")?;
    stage.shows(P1001, &[ANY, TO_1002], &[TO_1001])?;
    // A key that is new on a phone shows it as well.
    stage.keys(P1002, &[ANY, TO_1002], true)?;
    stage.keys(P1002, &[TO_1001], false)?;
    stage.confirmed(P1002, "*51")?;
    stage.shows(P1001, &[], &[ANY, TO_1001, TO_1002])?;
    stage.shows(P1002, &[], &[ANY, TO_1001, TO_1002])
}

fn pressing(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1001, TO_1002], false)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1001, &[ANY, TO_1002], &[TO_1001])?;
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1001, &[], &[ANY, TO_1001, TO_1002])?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)?;
    // The key for any route: only here, and back.
    stage.confirmed(P1001, ANY)?;
    stage.shows(P1001, &[ANY, TO_1001], &[TO_1002])?;
    // From one place to another one.
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1001, &[ANY, TO_1002], &[TO_1001])?;
    stage.confirmed(P1002, ANY)?;
    stage.shows(P1001, &[], &[ANY, TO_1001, TO_1002])?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)
}

fn colleague(stage: &mut Stage<'_>) -> Result<()> {
    let to_2001 = "callhop+1000*2001";
    let back = "callhop+2001*1000";
    stage.keys(P1001, &[ANY, to_2001], false)?;
    stage.keys(P2001, &[back], false)?;
    stage.confirmed(P1001, to_2001)?;
    stage.shows(P1001, &[ANY, to_2001], &[])?;
    // Round in a circle, nobody, and a device of somebody else.
    stage.refused(P2001, back)?;
    stage.refused(P1001, "callhop+1000*9999")?;
    stage.refused(P1001, "callhop+1000*2002")?;
    stage.shows(P1001, &[ANY, to_2001], &[])?;
    stage.shows(P2001, &[], &[back])?;
    stage.confirmed(P1001, to_2001)?;
    stage.shows(P1001, &[], &[ANY, to_2001])
}

fn command_line(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1001, TO_1002], false)?;
    stage.cli(&["route", "set", "1000@lab.test", "1002"])?;
    stage.shows(P1001, &[ANY, TO_1002], &[TO_1001])?;
    stage.cli(&["route", "reset", "1000@lab.test"])?;
    stage.shows(P1001, &[], &[ANY, TO_1001, TO_1002])?;
    stage.cli(&["route", "set", "1000@lab.test", "1001", "--until", "4s"])?;
    stage.shows(P1001, &[ANY, TO_1001], &[TO_1002])?;
    for lamp in [ANY, TO_1001] {
        let within = Duration::from_secs(10);
        stage.site.wait_lamp(P1001, lamp, false, within)?;
    }
    Ok(())
}

fn next_call(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1002], false)?;
    stage.cli(&["route", "set", "1000@lab.test", "1002", "--next-call"])?;
    stage.shows(P1001, &[ANY, TO_1002], &[])?;
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)?;
    stage.shows(P1001, &[], &[ANY, TO_1002])
}

/// A colleague's key may be seen, and is refused when it is pressed; so is one of another domain, in its own.
fn keys_of_others(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P2001, &[ANY, TO_1002], false)?;
    stage.keys(X1001, &[ANY, TO_1002], false)?;
    stage.refused(P2001, TO_1002)?;
    stage.refused(P2001, ANY)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P2001, &[ANY, TO_1002], &[])?;
    stage.refused(P2001, TO_1002)?;
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)?;
    // The tenant with the same numbers has a route of its own.
    stage.confirmed(X1001, ANY)?;
    stage.shows(X1001, &[ANY], &[TO_1002])?;
    ensure!(
        !stage.site.lamp_shown(X1001, TO_1002).contains(&true),
        "a lamp of one domain was seen in another"
    );
    stage.confirmed(X1001, ANY)?;
    stage.shows(X1001, &[], &[ANY, TO_1002])?;
    stage.shows(P2001, &[ANY, TO_1002], &[])?;
    // Names that are none.
    let since = stage.site.now();
    stage.dial(P1001, "callhop+1000*1*2")?;
    let report = stage
        .site
        .wait_call(P1001, since, &[CallState::Ended], SOON)?;
    ensure!(!report.was_answered, "{report:?}");
    // Whoever has no account presses nothing.
    let since = stage.site.now();
    stage.dial(Out1, ANY)?;
    let report = stage
        .site
        .wait_call(Out1, since, &[CallState::Ended], SOON)?;
    ensure!(!report.was_answered, "{report:?}");
    stage.shows(P2001, &[ANY, TO_1002], &[])
}

/// Lamps stay as they are while there is no controller, and are right when it is back: also those that were subscribed to
/// meanwhile, and those that have to change.
fn controller_restarted(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1002], false)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1001, &[ANY, TO_1002], &[])?;
    let before = stage.site.lamp_shown(P1001, ANY).len();
    stage.site.controller().kill()?;
    for lamp in [ANY, TO_1001, TO_1002] {
        let watcher = Watcher {
            phone: P1002,
            domain: "lab.test",
            password: true,
        };
        let code = stage.site.watch(watcher, lamp)?;
        ensure!((200..300).contains(&code), "{lamp} was answered by {code}");
    }
    stage.site.controller().start()?;
    stage.shows(P1001, &[ANY, TO_1002], &[])?;
    stage.shows(P1002, &[ANY, TO_1002], &[TO_1001])?;
    let shown = stage.site.lamp_shown(P1001, ANY);
    ensure!(
        shown[before..].iter().all(|lit| *lit),
        "the restart let the lamp go out: {shown:?}"
    );
    stage.site.controller().stop()?;
    // The database is all that knows of it.
    stage.cli(&["route", "reset", "1000@lab.test"])?;
    stage.shows(P1001, &[ANY, TO_1002], &[])?;
    stage.site.controller().start()?;
    stage.shows(P1001, &[], &[ANY, TO_1002])?;
    stage.shows(P1002, &[], &[ANY, TO_1001, TO_1002])
}

fn switch_restarted(stage: &mut Stage<'_>) -> Result<()> {
    stage.keys(P1001, &[ANY, TO_1001, TO_1002], false)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1001, &[ANY, TO_1002], &[TO_1001])?;
    stage.restart_switch()?;
    let ready = stage.site.controller().wait_ready(Duration::from_secs(30));
    ready.context("after the restart")?;
    stage.keys(P1002, &[ANY, TO_1002], true)?;
    stage.keys(P1002, &[TO_1001], false)?;
    stage.confirmed(P1001, TO_1002)?;
    stage.shows(P1002, &[], &[ANY, TO_1001, TO_1002])
}

fn extension_removed(stage: &mut Stage<'_>) -> Result<()> {
    let (any, to) = ("callhop+2600", "callhop+2600*2601");
    stage.cli(&["extension", "add", "2600@lab.test", "--device", "2601"])?;
    stage.keys(P2001, &[any, to], false)?;
    stage.cli(&["route", "set", "2600@lab.test", "2601"])?;
    stage.shows(P2001, &[any, to], &[])?;
    stage.cli(&["extension", "remove", "2600@lab.test"])?;
    stage.shows(P2001, &[], &[any, to])
}

/// Without a password nobody sees anything. Of another domain's account see [`crate::differences`].
fn who_may_look(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1001, TO_1002)?;
    let mut look = |phone, password| -> Result<(u16, Vec<bool>)> {
        let watcher = Watcher {
            phone,
            domain: "lab.test",
            password,
        };
        let code = stage.site.watch(watcher, ANY)?;
        if (200..300).contains(&code) {
            // What it is told first may be the lamp of its own domain, which is dark.
            let told = stage
                .site
                .wait_lamp(phone, ANY, true, Duration::from_secs(2));
            let own = stage.site.wait_lamp(phone, ANY, false, Duration::ZERO);
            told.or(own)?;
        }
        Ok((code, stage.site.lamp_shown(phone, ANY)))
    };
    let (code, shown) = look(P1002, false)?;
    ensure!(
        [401, 403, 407].contains(&code) && shown.is_empty(),
        "without a password: {code}, {shown:?}"
    );
    let (code, shown) = look(X1001, true)?;
    let seen = shown.contains(&true);
    let differs = stage.site.kind().differs();
    ensure!(
        seen == differs.lamps_across_domains,
        "by another domain's account: {code}, {shown:?}"
    );
    Ok(())
}

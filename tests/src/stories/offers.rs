//! Pull and push by somebody at no phone, over the API: issue 5; DESIGN 2.3 and 2.4 hold for them too.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Story;
use crate::{
    cast::Phone,
    site::{Call, CallState, Moment, OnRing, Sound},
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("offers/pull_and_pull_back", pull),
    Story::new("offers/pull_of_a_held_call", held),
    Story::new("offers/pull_of_a_ringing_call", ringing),
    Story::new("offers/push_to_a_colleague", push),
    Story::new("offers/push_outside", outside),
    Story::new("offers/nobody_takes_it", nobody),
    Story::new("offers/the_call_goes_elsewhere_meanwhile", elsewhere),
    Story::new("offers/controller_killed_while_it_rings", killed),
];

/// Whose calls are offered.
const OURS: &str = "/v1/extensions/1000@lab.test";

/// The colleague's devices.
const COLLEAGUES: [Phone; 2] = [Phone::P2001, Phone::P2002];

/// Somebody with a token.
struct Hand(String);

impl Hand {
    fn new(stage: &mut Stage<'_>) -> Result<Self> {
        // The database may be that of another story.
        stage.site.controller().cli(&["token", "remove", "hand"])?;
        let said = stage.cli(&["token", "add", "hand", "--scope", "move"])?;
        Ok(Self(said.trim().to_owned()))
    }

    /// A move is wanted, and begun: its id.
    fn offers(&self, stage: &mut Stage<'_>, what: &str, body: &str) -> Result<String> {
        let path = format!("{OURS}/{what}");
        let controller = stage.site.controller();
        let (code, text) = controller.change("POST", &path, &self.0, body)?;
        ensure!(code == 202, "{what} {body}: {code} {text}");
        let open: serde_json::Value = serde_json::from_str(&text)?;
        Ok(open["id"]
            .as_str()
            .context("a move without an id")?
            .to_owned())
    }
}

impl Stage<'_> {
    /// The last move has ended, and nothing was moved.
    fn moved_to_nothing(&mut self, cause: &str) -> Result<()> {
        self.last_move(cause, |last| {
            last["outcome"] == "not_moved" && last["cause"] == cause
        })
    }

    /// The last move of the journal is so.
    fn last_move(&mut self, what: &str, so: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        self.moves_of_the_journal(what, |moves| so(&moves[0]))
    }

    /// The last moves of the journal are so. Those that began in one second stand there in any order.
    fn moves_of_the_journal(
        &mut self,
        what: &str,
        so: impl Fn(&[serde_json::Value]) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + SOON;
        loop {
            let (_, text) = self.site.controller().get("/v1/moves?limit=3")?;
            let found: serde_json::Value = serde_json::from_str(&text)?;
            let moves = found["moves"].as_array().context("moves")?;
            if !moves.is_empty() && so(moves) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{what} was expected of {found}");
            // The journal tells nobody.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whom a call was offered to since then has answered: the far end talks to them, having heard nothing but voices, and the
    /// old leg is released.
    fn taken(&mut self, talk: Talk, call: Call, since: Moment) -> Result<Talk> {
        let (far, old, new) = (talk.far.phone, talk.near.phone, call.phone);
        self.site.answer(call)?;
        self.talking(call)?;
        self.two_way(far, new)?;
        self.ended(talk.near).context("the old leg")?;
        let gap = [Sound::NoPackets, self.step()];
        let voices = [Sound::Voice(old), Sound::Voice(new)];
        self.only_heard(far, since, &[voices, gap].concat())?;
        Ok(Talk {
            far: talk.far,
            near: call,
        })
    }
}

fn pull(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    for direction in Direction::BOTH {
        let mut talk = stage.talk(direction, Phone::P1001)?;
        for new in [Phone::P1003, Phone::P1001] {
            stage.let_ring(&[new])?;
            let since = stage.site.now();
            let body = format!(r#"{{"to":"{}"}}"#, new.part().user);
            hand.offers(stage, "pull", &body)?;
            let call = stage.rings(new, since)?;
            talk = stage
                .taken(talk, call, since)
                .with_context(|| format!("{direction:?}, to {new}"))?;
        }
        stage.untouched(talk)?;
        // It is a call like any other.
        let (talk, _) = stage.moves(talk, Phone::P1002, "*33")?;
        stage.over(talk)?;
    }
    stage.nothing_left()
}

fn held(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.site.hold(talk.near, true)?;
        let since = stage.site.now();
        stage
            .site
            .wait_hears(talk.far.phone, Sound::Music, since, SOON)?;
        stage.let_ring(&[Phone::P1002])?;
        hand.offers(stage, "pull", r#"{"to":"1002"}"#)?;
        let call = stage.rings(Phone::P1002, since)?;
        stage.site.answer(call)?;
        stage.two_way(talk.far.phone, Phone::P1002)?;
        stage.ended(talk.near)?;
        let near = call;
        stage.over(Talk { near, ..talk })?;
    }
    stage.nothing_left()
}

/// It rings at one's desk; a device that does not ring is called, and has the caller when it answers.
fn ringing(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    stage.cli(&["route", "set", "1000@lab.test", "1001"])?;
    stage.let_ring(&Phone::ALL)?;
    let since = stage.site.now();
    let far = stage.dial(Phone::Out1, "1000")?;
    let desk = stage.rings(Phone::P1001, since)?;
    hand.offers(stage, "pull", r#"{"to":"1002"}"#)?;
    let call = stage.rings(Phone::P1002, since)?;
    stage.site.answer(call)?;
    stage.talking(far)?;
    stage.two_way(Phone::Out1, Phone::P1002)?;
    let lost = stage.ended(desk)?;
    ensure!(
        lost.reason
            .as_deref()
            .is_some_and(|reason| reason.contains("completed elsewhere")),
        "the desk was told {:?}",
        lost.reason
    );
    stage.over(Talk { far, near: call })?;
    stage.nothing_left()
}

fn push(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let since = stage.site.now();
        hand.offers(stage, "push", r#"{"to":"2001","from":"1001"}"#)?;
        let call = stage.rings(Phone::P2002, since)?;
        let other = stage.rings(Phone::P2001, since)?;
        let talk = stage.taken(talk, call, since)?;
        stage.stops_ringing(other)?;
        stage.over(talk)?;
    }
    stage.nothing_left()
}

fn outside(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    let talk = stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.let_ring(&[Phone::Out2])?;
    let path = format!("{OURS}/push");
    let controller = stage.site.controller();
    let (code, text) = controller.change("POST", &path, &hand.0, r#"{"to":"4711"}"#)?;
    ensure!(code == 409 && text.contains("push.allow"), "{code} {text}");
    let since = stage.site.now();
    hand.offers(stage, "push", r#"{"to":"02555"}"#)?;
    let call = stage.rings(Phone::Out2, since)?;
    let talk = stage.taken(talk, call, since)?;
    stage.over(talk)?;
    stage.nothing_left()
}

/// Declined, withdrawn, not answered: the two have noticed nothing.
fn nobody(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&COLLEAGUES)?;
        let since = stage.site.now();
        hand.offers(stage, "push", r#"{"to":"2001"}"#)?;
        for phone in COLLEAGUES {
            let call = stage.rings(phone, since)?;
            stage.site.hang_up(call)?;
            stage.ended(call)?;
        }
        stage.moved_to_nothing("call_rejected")?;

        let again = stage.site.now();
        let id = hand.offers(stage, "push", r#"{"to":"2002"}"#)?;
        let call = stage.rings(Phone::P2002, again)?;
        let path = format!("/v1/moves/{id}");
        let controller = stage.site.controller();
        let (code, text) = controller.change("DELETE", &path, &hand.0, "")?;
        ensure!(code == 200, "{code} {text}");
        stage.stops_ringing(call)?;
        stage.moved_to_nothing("cancelled")?;

        stage.only_heard(talk.far.phone, since, &[Sound::Voice(Phone::P1001)])?;
        stage.untouched(talk)?;
        stage.over(talk)?;
    }
    stage.nothing_left()
}

/// Who answers then hears the refusal.
fn elsewhere(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    let talk = stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.let_ring(&COLLEAGUES)?;
    let since = stage.site.now();
    hand.offers(stage, "push", r#"{"to":"2002"}"#)?;
    let call = stage.rings(Phone::P2002, since)?;
    // Taken apart by its own push: nobody else takes it then.
    let push = stage.push_begins(talk, crate::site::Digits::Rtp)?;
    stage.site.answer(call)?;
    stage
        .site
        .wait_hears(Phone::P2002, Sound::Refusal, since, SOON)?;
    stage.ended(call)?;
    stage.cancelled(push)?;
    stage.over(talk)?;

    // One's own other phone has it: it comes from there.
    let talk = stage.talk(Direction::FarCalls, Phone::P1001)?;
    stage.let_ring(&COLLEAGUES)?;
    let since = stage.site.now();
    hand.offers(stage, "push", r#"{"to":"2002"}"#)?;
    let call = stage.rings(Phone::P2002, since)?;
    let (talk, _) = stage.moves(talk, Phone::P1003, "*33")?;
    let since = stage.site.now();
    let talk = stage.taken(talk, call, since)?;
    stage.over(talk)?;
    stage.nothing_left()
}

fn killed(stage: &mut Stage<'_>) -> Result<()> {
    let hand = Hand::new(stage)?;
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        stage.let_ring(&[Phone::P2002])?;
        let since = stage.site.now();
        let id = hand.offers(stage, "push", r#"{"to":"2002"}"#)?;
        let call = stage.rings(Phone::P2002, since)?;
        // A slow disk holds up no move: what is killed here shall have written it.
        stage.moves_of_the_journal("an open move", |moves| {
            moves.iter().any(|one| one["id"] == id.as_str())
        })?;
        stage.site.controller().kill()?;
        // Nobody answers the question of who takes it: the refusal tone, and the call goes on.
        stage.site.answer(call)?;
        stage
            .site
            .wait_hears(Phone::P2002, Sound::Refusal, since, SOON)?;
        stage.site.wait_state(call, &[CallState::Ended], SOON)?;
        stage.site.controller().start()?;
        stage.moves_of_the_journal("interrupted", |moves| {
            let is_it = |one: &serde_json::Value| one["id"] == id.as_str();
            moves.iter().any(|one| {
                is_it(one) && one["outcome"] == "not_moved" && one["cause"] == "interrupted"
            })
        })?;
        stage.only_heard(talk.far.phone, since, &[Sound::Voice(Phone::P1001)])?;
        stage.untouched(talk)?;

        // The same, and it still rings when the controller is back: it is told to stop.
        stage.site.on_ring(Phone::P2002, OnRing::Ring)?;
        let since = stage.site.now();
        hand.offers(stage, "push", r#"{"to":"2002"}"#)?;
        let call = stage.rings(Phone::P2002, since)?;
        stage.site.controller().kill()?;
        stage.site.controller().start()?;
        stage.stops_ringing(call)?;
        stage.untouched(talk)?;
        stage.over(talk)?;
    }
    stage.nothing_left()
}

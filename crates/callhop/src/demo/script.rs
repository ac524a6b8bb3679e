//! Plays scenes on the demo and says what was done, seen and heard, and whether it was as told.
//!
//! Owns what a scene is made of, and the looking. Refuses to wait without an event: each expectation is tried after every change
//! of its phone, or of the controller, and has [`PATIENCE`].

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use callhop_calls::directory::{Route, RouteTarget};
use callhop_calls::id::ExtensionId;
use callhop_calls::journal::{Outcome, PastMove};
use callhop_fakeswitch::{Heard, PhoneView};
use callhop_store::Actor;
use tokio::sync::watch;

use super::cast::{DOMAIN, Part};
use super::desk::{Act, Desk};
use super::words::{self, Shown};
use crate::controller::{Controller, News, unix_now};

/// Longer than anything takes; only what does not come is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the phones have to become idle between two scenes.
const CLEAR: Duration = Duration::from_secs(10);

/// The extension whose routes and moves are told of.
const EXTENSION: &str = "1000";

/// One story.
#[derive(Debug)]
pub(super) struct Scene {
    /// What it shows.
    pub(super) title: &'static str,
    /// What happens.
    pub(super) steps: &'static [Step],
}

/// One thing that is done or has to be so. Phones go by their ids.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Somebody does something.
    Do(&'static str, Act<'static>),
    /// A phone shows this line.
    See(&'static str, &'static str),
    /// What its latest call has heard so far, without silence.
    Heard(&'static str, &'static [&'static str]),
    /// The controller has prepared the phone's call for the code of a push, which takes it an instant.
    Armed(&'static str),
    /// One more move has ended, in this way.
    Moved(&'static str),
    /// These phones have no call. What an inbound call rings, it rings at once: this is looked at when one has been seen to.
    Silent(&'static [&'static str]),
    /// Where the calls to the extension ring from now on.
    Rings(&'static str),
}

/// The player.
#[derive(Debug)]
pub(super) struct Script<'a> {
    desk: &'a Desk,
    controller: &'a Controller,
    news: watch::Receiver<News>,
}

/// What a scene came to.
enum Played {
    AsTold,
    /// What was expected, and what there was instead.
    Otherwise(String),
}

impl<'a> Script<'a> {
    pub(super) fn new(
        desk: &'a Desk,
        controller: &'a Controller,
        news: watch::Receiver<News>,
    ) -> Self {
        Self {
            desk,
            controller,
            news,
        }
    }

    /// Plays the scenes one after the other; whether all went as told.
    ///
    /// # Errors
    /// It can't be written to `out`, or the database has failed.
    pub(super) async fn play(
        mut self,
        scenes: &[Scene],
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<bool> {
        let mut failed = 0;
        for (place, scene) in scenes.iter().enumerate() {
            writeln!(out, "{:>2}. {}", place + 1, scene.title)?;
            let mut played = self.scene(scene, out).await?;
            if let Err(error) = self.clear().await
                && matches!(played, Played::AsTold)
            {
                played = Played::Otherwise(format!("{error:#}"));
            }
            match played {
                Played::AsTold => writeln!(out, "    ok\n")?,
                Played::Otherwise(what) => {
                    failed += 1;
                    writeln!(out, "    FAILED: {what}\n")?;
                }
            }
        }
        let count = scenes.len();
        if failed == 0 {
            writeln!(out, "{count} scenes, each as told")?;
        } else {
            writeln!(out, "{failed} of {count} scenes FAILED")?;
        }
        Ok(failed == 0)
    }

    async fn scene(
        &mut self,
        scene: &Scene,
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<Played> {
        let mut moves = self.news.borrow().moves;
        for step in scene.steps {
            let seen = match *step {
                Step::Do(id, act) => self.does(id, act, out).await?,
                Step::See(id, wanted) => self.see(id, wanted, out).await?,
                Step::Heard(id, wanted) => self.heard(id, wanted, out).await?,
                Step::Armed(id) => self.armed(id).await?,
                Step::Moved(wanted) => {
                    moves += 1;
                    self.moved(moves, wanted, out).await?
                }
                Step::Silent(ids) => self.silent(ids, out).await?,
                Step::Rings(wanted) => self.rings(wanted, out).await?,
            };
            if let Played::Otherwise(_) = seen {
                return Ok(seen);
            }
        }
        Ok(Played::AsTold)
    }

    async fn does(
        &self,
        id: &str,
        act: Act<'_>,
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<Played> {
        let (part, _) = self.desk.phone(id)?;
        writeln!(out, "    {}", told(part, act))?;
        match self.desk.act(id, act, None).await {
            Ok(()) => Ok(Played::AsTold),
            Err(error) => Ok(Played::Otherwise(error.to_string())),
        }
    }

    async fn see(
        &self,
        id: &str,
        wanted: &'static str,
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<Played> {
        let (part, phone) = self.desk.phone(id)?;
        let of = *part;
        let fits = move |view: &PhoneView| Shown::of(&of, view).line() == wanted;
        if phone.wait_until(fits, PATIENCE).await.is_ok() {
            writeln!(out, "     {:<13} {wanted}", part.name)?;
            return Ok(Played::AsTold);
        }
        let now = Shown::of(part, &phone.view().await?).line();
        Ok(otherwise(part, wanted, &now))
    }

    async fn heard(
        &self,
        id: &str,
        wanted: &'static [&'static str],
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<Played> {
        let (part, phone) = self.desk.phone(id)?;
        let fits = move |view: &PhoneView| words::heard(latest(view)) == wanted;
        let text = format!("heard {}", wanted.join(", "));
        if phone.wait_until(fits, PATIENCE).await.is_ok() {
            writeln!(out, "     {:<13} {text}", part.name)?;
            return Ok(Played::AsTold);
        }
        let view = phone.view().await?;
        let now = words::heard(latest(&view)).join(", ");
        Ok(otherwise(part, &text, &format!("heard {now}")))
    }

    async fn silent(&self, ids: &[&str], out: &mut (impl Write + Send)) -> anyhow::Result<Played> {
        for id in ids {
            let (part, phone) = self.desk.phone(id)?;
            let view = phone.view().await?;
            if !view.is_idle() {
                let now = Shown::of(part, &view).line();
                return Ok(otherwise(part, "idle", &now));
            }
            writeln!(out, "     {:<13} does not ring", part.name)?;
        }
        Ok(Played::AsTold)
    }

    async fn armed(&self, id: &str) -> anyhow::Result<Played> {
        let (part, phone) = self.desk.phone(id)?;
        let view = phone.view().await?;
        let Some(call) = view.calls.last() else {
            return Ok(otherwise(part, "a call that can be pushed", "none"));
        };
        let channel = call.channel.clone();
        let armed = self.desk.switch().wait_until(
            move |switch| {
                let mut channels = switch.channels.iter();
                let channel = channels.find(|it| it.uuid == channel);
                channel.is_some_and(|it| it.variable("callhop_armed") == Some("true"))
            },
            PATIENCE,
        );
        Ok(match armed.await {
            Ok(_) => Played::AsTold,
            Err(_) => otherwise(
                part,
                "a call that can be pushed",
                "one that is not prepared",
            ),
        })
    }

    async fn moved(
        &mut self,
        count: u64,
        wanted: &str,
        out: &mut (impl Write + Send),
    ) -> anyhow::Result<Played> {
        let ended = self.news.wait_for(|news| news.moves >= count);
        let in_time = tokio::time::timeout(PATIENCE, ended).await.is_ok();
        self.controller.journal().written().await;
        let id = extension()?;
        let moves = self.controller.store().moves(Some(&id), None, 1).await?;
        let now = moves.first().map_or_else(|| "no move".to_owned(), in_words);
        if in_time && now == wanted {
            let end = moves.first().and_then(|it| it.end.as_ref());
            let moved = end.filter(|end| end.outcome == Outcome::Moved);
            let took = moved.and_then(|end| end.took_ms);
            let took = took.map_or_else(String::new, |ms| format!(", {ms} ms"));
            writeln!(out, "     {:<13} {now}{took}", "Controller")?;
            return Ok(Played::AsTold);
        }
        Ok(Played::Otherwise(format!(
            "the journal should say {wanted:?}, and says {now:?}"
        )))
    }

    async fn rings(&self, wanted: &str, out: &mut (impl Write + Send)) -> anyhow::Result<Played> {
        let found = self.controller.store().extension(&extension()?).await?;
        let route = found.context("the extension is gone")?.route;
        let now = target(route.as_ref());
        if now == wanted {
            let text = format!("calls to {EXTENSION} ring {now}");
            writeln!(out, "     {:<13} {text}", "Controller")?;
            return Ok(Played::AsTold);
        }
        Ok(Played::Otherwise(format!(
            "calls to {EXTENSION} should ring {wanted}, and ring {now}"
        )))
    }

    /// Ends all calls and the route.
    async fn clear(&mut self) -> anyhow::Result<()> {
        let clear = tokio::time::timeout(CLEAR, self.hang_everything_up());
        clear.await.context("the phones are not idle")??;
        let store = self.controller.store();
        store
            .reset_route(&extension()?, &Actor::Controller, unix_now())
            .await?;
        Ok(())
    }

    /// Whoever is called back meanwhile hangs up too.
    async fn hang_everything_up(&mut self) -> anyhow::Result<()> {
        loop {
            // Looked at first: what changes from here on is seen below.
            self.news.mark_unchanged();
            let mut shown = self.desk.shown();
            shown.mark_unchanged();
            let mut idle = true;
            for (part, phone) in self.desk.phones() {
                for call in phone.view().await?.calls {
                    idle = false;
                    // It may have ended with the one before it.
                    let _ = self
                        .desk
                        .act(part.id, Act::HangUp, Some(&call.channel))
                        .await;
                }
            }
            let seen = self.controller.core().view(|core, _| {
                let mut switches = core.switches();
                switches.all(|(_, it)| it.tracker().is_empty() && it.moves() == 0)
            });
            if seen.await.context("the controller has ended")? && idle {
                return Ok(());
            }
            tokio::select! {
                news = self.news.changed() => news.context("the controller has ended")?,
                changed = shown.changed() => changed.context("the switch has ended")?,
            }
        }
    }
}

fn otherwise(part: &Part, wanted: &str, now: &str) -> Played {
    Played::Otherwise(format!(
        "{}: expected {wanted:?}, and it is {now:?}",
        part.name
    ))
}

fn extension() -> anyhow::Result<ExtensionId> {
    Ok(format!("{EXTENSION}@{DOMAIN}").parse()?)
}

/// What the newest call has heard, over or not.
fn latest(view: &PhoneView) -> &[Heard] {
    match (view.calls.last(), view.ended.last()) {
        (Some(call), _) => &call.heard,
        (None, Some(call)) => &call.heard,
        (None, None) => &[],
    }
}

/// An action as a sentence.
fn told(part: &Part, act: Act<'_>) -> String {
    let what = match act {
        Act::Dial(number) => format!("dials {number}"),
        Act::Answer => "answers".to_owned(),
        Act::HangUp => "hangs up".to_owned(),
        Act::Hold => "puts the call on hold".to_owned(),
        Act::Resume => "takes the call back from hold".to_owned(),
        Act::Digits(digits) => format!("presses {digits}"),
    };
    let on = match part.extension {
        Some(EXTENSION) => format!(" on the {}", part.name.to_lowercase()),
        Some(_) | None => String::new(),
    };
    format!("{}{on} {what}.", part.person)
}

/// A move as the journal has it.
fn in_words(moved: &PastMove) -> String {
    let PastMove { begun, end } = moved;
    let to = begun.to.as_deref().unwrap_or("nowhere");
    let to = to.split('@').next().unwrap_or(to);
    let result = match end {
        None => begun.stage.word().to_owned(),
        Some(end) => match &end.cause {
            Some(cause) => format!("{}, {cause}", end.outcome.word()),
            None => end.outcome.word().to_owned(),
        },
    };
    let text = format!(
        "{} from {} to {to}: {result}",
        begun.kind.word(),
        begun.from.number
    );
    text.replace('_', " ")
}

fn target(route: Option<&Route>) -> String {
    match route.map(|route| &route.target) {
        None => "all devices".to_owned(),
        Some(RouteTarget::Device(device)) => format!("only {}", device.number),
        Some(RouteTarget::Extension(id)) => format!("where {} rings", id.number),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::demo::{Demo, Pace};

    #[tokio::test]
    async fn what_is_not_as_told_is_said_and_counted() {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let demo = Demo::start(anywhere, Pace::Script).await.unwrap();
        let scenes = [
            Scene {
                title: "nobody has set a route",
                steps: &[Step::Rings("only 1002")],
            },
            Scene {
                title: "nobody calls",
                steps: &[Step::Do("1001", Act::Answer)],
            },
            Scene {
                title: "the mobile rings",
                steps: &[
                    Step::Do("customer", Act::Dial("1000")),
                    Step::See("1002", "rings, shows Customer 5550100"),
                    Step::Silent(&["1002"]),
                ],
            },
            Scene {
                title: "there is a beep",
                steps: &[
                    Step::Do("1001", Act::Dial("*51")),
                    Step::See("1001", "idle: heard the beep"),
                ],
            },
        ];
        let mut out = Vec::new();
        let script = Script::new(&demo.desk, &demo.controller, demo.news.clone());
        assert!(!script.play(&scenes, &mut out).await.unwrap());
        let text = String::from_utf8(out).unwrap();
        let failed: Vec<&str> = text.lines().filter(|it| it.contains("FAILED")).collect();
        assert_eq!(
            failed,
            [
                "    FAILED: calls to 1000 should ring only 1002, and ring all devices",
                "    FAILED: 1001 has no call that it could answer",
                "    FAILED: Mobile: expected \"idle\", and it is \"rings, shows Customer 5550100\"",
                "3 of 4 scenes FAILED",
            ],
            "{text}"
        );
        demo.end().await.unwrap();
    }
}

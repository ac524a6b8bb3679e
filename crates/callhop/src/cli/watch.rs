//! `callhop watch`: live switches, calls, extensions and moves in the terminal.
//!
//! Owns the terminal and when it is drawn. What is known ([`state`]), what a key does ([`screen`]) and how it looks ([`view`])
//! are pure; [`feed`] reads the controller. The terminal is given back as it was at every end: by a key, by a signal, by a panic.

mod feed;
mod screen;
mod state;
mod view;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::feed::News;
use self::screen::{Flow, Screen};
use self::state::Link;
use self::view::Look;
use super::{Done, Exit, Failure};
use crate::config::Config;

/// How often it is drawn though nothing has happened: seconds are counted on it.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(config: &Config) -> Done {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if dumb || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let text =
            "watch needs a terminal; `callhop calls --json` prints the calls once, for programs";
        return Err(Failure::new(Exit::Usage, anyhow!(text)));
    }
    let failed = |error: anyhow::Error| Failure::new(Exit::Failed, error);
    let mut news = feed::start(config).map_err(|error| failed(error.into()))?;
    let mut screen = Screen::new();
    // Whoever is not there at the start may be the wrong address; later it is waited for.
    match news.recv().await {
        Some(News::Link(Link::Away { why, .. })) => {
            let text = format!("{why}; `callhop run` starts the controller");
            return Err(Failure::new(Exit::Unreachable, anyhow!(text)));
        }
        Some(first) => screen.take(first),
        None => return Err(failed(anyhow!("the thread that reads events has ended"))),
    }
    let look = Look {
        address: config.http.listen.to_string(),
        colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let asked = asked_to_end().map_err(|error| failed(error.into()))?;
    // From here on a panic gives the terminal back before it says something.
    let mut terminal = ratatui::try_init()
        .context("the terminal cannot be drawn on")
        .map_err(failed)?;
    let given_back = GivenBack;
    let ended = show(&mut terminal, screen, &look, news, asked).await;
    drop(given_back);
    ended.map_err(failed)
}

/// Gives the terminal back when it is dropped.
struct GivenBack;

impl Drop for GivenBack {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn show(
    terminal: &mut DefaultTerminal,
    mut screen: Screen,
    look: &Look,
    mut news: mpsc::Receiver<News>,
    asked: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut events = read_terminal()?;
    let mut tick = tokio::time::interval(TICK);
    let mut heard = Instant::now();
    tokio::pin!(asked);
    loop {
        terminal.draw(|frame| view::draw(frame, &mut screen, look, heard.elapsed()))?;
        tokio::select! {
            found = news.recv() => {
                let mut next = Some(found.context("the thread that reads events has ended")?);
                while let Some(one) = next {
                    heard = Instant::now();
                    screen.take(one);
                    next = news.try_recv().ok();
                }
            }
            // The terminal is gone when nothing comes from it any more.
            event = events.recv() => match event {
                Some(Event::Key(key)) if screen.key(key) == Flow::End => return Ok(()),
                Some(_) => {}
                None => return Ok(()),
            },
            () = &mut asked => return Ok(()),
            _ = tick.tick() => {}
        }
    }
}

/// Keys and changes of size, read by a thread that ends with the process.
fn read_terminal() -> std::io::Result<mpsc::Receiver<Event>> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::Builder::new()
        .name("terminal".into())
        .spawn(move || {
            while let Ok(event) = event::read() {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// When a signal asks the process to end; the terminal is given back then too.
fn asked_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    let mut signals = kinds
        .map(signal)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(async move {
        let each = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        each.collect::<futures::stream::FuturesUnordered<_>>()
            .next()
            .await;
    })
}

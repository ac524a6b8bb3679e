//! Reads the controller's `/v1/events`, in a thread of its own, and connects again when the stream ends.
//!
//! Owns the request, the frames and the back-off. Refuses what is not Callhop, and to queue: a reader that is slow is told less
//! by the controller, because the channel is short and the next line is read only when there is room.
//!
//! Of the grammar of server-sent events (WHATWG HTML, 9.2.6) this reads what the controller writes: lines `event: <name>`,
//! `data: <text>`, comments that begin with a colon, and an empty line at the end of each event.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::mpsc;

use super::state::{Change, Link, Told};
use crate::config::Config;

/// How long the controller may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited after the first failure; it doubles up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// No line of the controller is longer: 200 extensions and 200 calls are some 300 kB.
const LONGEST_LINE: u64 = 16 << 20;

/// What the thread says.
#[derive(Debug)]
pub(super) enum News {
    /// An event.
    Told(Told),
    /// The controller is there or is gone.
    Link(Link),
    /// A line that says nothing came; the controller sends one every 15 seconds.
    Alive,
}

/// Starts the thread. It ends when nobody listens any more.
///
/// # Errors
/// If the system has no thread.
pub(super) fn start(config: &Config) -> std::io::Result<mpsc::Receiver<News>> {
    let (sender, receiver) = mpsc::channel(8);
    let url = format!("http://{}/v1/events", config.http.listen);
    let thread = std::thread::Builder::new().name("events".into());
    thread.spawn(move || {
        let mut wait = AGAIN.0;
        loop {
            let mut came = false;
            let ended = follow(&url, |news| {
                came |= matches!(news, News::Told(_));
                sender.blocking_send(news).is_ok()
            });
            if came {
                wait = AGAIN.0;
            }
            let Err(error) = ended else { return };
            let away = Link::Away {
                why: format!("{error:#}"),
                again: wait,
            };
            if sender.blocking_send(News::Link(away)).is_err() {
                return;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(AGAIN.1);
        }
    })?;
    Ok(receiver)
}

/// Follows the stream until `tell` wants no more.
fn follow(url: &str, tell: impl FnMut(News) -> bool) -> anyhow::Result<()> {
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let mut response = agent
        .get(url)
        .call()
        .with_context(|| format!("the controller does not answer at {url}"))?;
    let status = response.status();
    if !status.is_success() {
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason is given");
        bail!("the controller refuses at {url}: {detail} ({status})");
    }
    let kind = response.headers().get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        bail!("what answers at {url} is not Callhop");
    }
    read(BufReader::new(response.into_body().into_reader()), tell)
}

/// Reads events until the stream ends, which is an error, or `tell` wants no more.
fn read(mut lines: impl BufRead, mut tell: impl FnMut(News) -> bool) -> anyhow::Result<()> {
    let mut name = String::new();
    let mut data = String::new();
    loop {
        let mut line = String::new();
        let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut line);
        read.context("the controller is gone")?;
        let Some(line) = line.strip_suffix('\n') else {
            bail!("the controller has closed the stream");
        };
        let news = if let Some(text) = line.strip_prefix("event: ") {
            text.clone_into(&mut name);
            continue;
        } else if let Some(text) = line.strip_prefix("data: ") {
            data.push_str(text);
            continue;
        } else if line.starts_with(':') {
            vec![News::Alive]
        } else if line.is_empty() {
            // An event that nobody knows is of a newer controller.
            let told = event(&name, &data)?;
            name.clear();
            data.clear();
            match told {
                Some(Told::Snapshot(all)) => {
                    vec![News::Link(Link::Live), News::Told(Told::Snapshot(all))]
                }
                Some(told) => vec![News::Told(told)],
                None => vec![News::Alive],
            }
        } else {
            vec![News::Alive]
        };
        for one in news {
            if !tell(one) {
                return Ok(());
            }
        }
    }
}

fn event(name: &str, data: &str) -> anyhow::Result<Option<Told>> {
    let change = || -> anyhow::Result<Change> {
        // A picture of nothing has no data.
        if data.is_empty() {
            return Ok(Change::default());
        }
        serde_json::from_str(data)
            .map_err(|error| anyhow!("the controller speaks another version: {error}"))
    };
    Ok(match name {
        "snapshot" => Some(Told::Snapshot(change()?)),
        "change" => Some(Told::Change(change()?)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (String, String) {
        let mut told = Vec::new();
        let ended = read(text.as_bytes(), |news| {
            told.push(match news {
                News::Told(Told::Snapshot(_)) => "snapshot",
                News::Told(Told::Change(_)) => "change",
                News::Link(Link::Live) => "live",
                News::Link(Link::Away { .. }) => "away",
                News::Alive => "alive",
            });
            true
        });
        (told.join(" "), ended.unwrap_err().to_string())
    }

    #[test]
    fn events_are_read_and_the_end_of_the_stream_is_said() {
        let (news, ended) = told(
            "event: snapshot\ndata: {\"calls\":[]}\n\n:\n\nevent: change\ndata: {}\n\nevent: newer\ndata: ?\n\nevent: ch",
        );
        assert_eq!(news, "live snapshot alive alive change alive");
        assert_eq!(ended, "the controller has closed the stream");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let (news, ended) = told("event: change\ndata: {\"calls\":[{}]}\n\n");
        assert_eq!(news, "");
        assert!(
            ended.contains("another version: missing field `switch`"),
            "{ended}"
        );
    }

    #[test]
    fn nothing_is_read_once_nobody_listens() {
        let text = "event: change\ndata: {}\n\nevent: change\ndata: broken\n\n";
        read(text.as_bytes(), |_| false).unwrap();
    }
}

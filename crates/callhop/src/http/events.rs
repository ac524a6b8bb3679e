//! `/v1/events`: what the page shows, and what changes of it, as server-sent events.
//!
//! Owns one picture of everything that is shown, made anew when the core has handled something: at most every [`COALESCE`], and
//! only while somebody looks. Refuses to queue anything: a stream holds the picture that it has sent, and sends the difference
//! to the newest one when its reader takes it. A slow reader so misses what came between, and costs no memory.
//!
//! | event | data |
//! |---|---|
//! | `snapshot` | `status`, `switches`, `calls`, `moves`, `extensions`: the first event of a stream |
//! | `change` | those of them that are different; of `extensions` only the changed ones; `removed`: those that are gone |
//!
//! **Invariant**: a picture is bounded, whatever the site's size: [`EXTENSIONS`], [`CALLS`] and [`MOVES`]. The core's task is not
//! held up by it for longer than by a star code.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use callhop_calls::id::ExtensionId;
use callhop_store::{DatabaseError, Revision, Versioned};
use futures::Stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::App;
use super::api::{DeviceDoc, Failures, MoveDoc, Problem, RouteDoc};
use crate::controller::{Controller, News, unix_now, view};

/// How many extensions the stream tells of: the first ones by domain and number.
const EXTENSIONS: u32 = 200;

/// How many calls.
const CALLS: usize = 200;

/// How many of the latest moves.
const MOVES: u32 = 20;

/// How many streams there may be at a time.
const STREAMS: usize = 256;

/// How long changes are gathered.
const COALESCE: Duration = Duration::from_millis(150);

/// When the picture is made anew though the core has handled nothing: the database may have gone or come.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How far apart two streams send the same change: two hundred at once would hold up for milliseconds whatever else is to be done.
const APART: Duration = Duration::from_micros(500);

/// One part of the picture, as JSON. One that is the same as before is the same text in memory.
type Piece = Arc<str>;

/// Everything that is shown.
#[derive(Debug, Default)]
struct Picture {
    /// Counts the pictures, from 1 on.
    number: u64,
    parts: BTreeMap<&'static str, Piece>,
    extensions: BTreeMap<ExtensionId, Piece>,
    /// What is different to the picture before: made once for all who have seen that one, which is nearly everybody.
    change: Option<Piece>,
}

/// What was read from the database for the last picture.
#[derive(Debug, Default)]
struct FromDatabase {
    revision: Option<Revision>,
    moves_ended: Option<u64>,
    extensions: Arc<Vec<Versioned>>,
    more: bool,
    moves: Vec<MoveDoc>,
}

#[derive(Debug)]
struct Maker {
    made: Option<Instant>,
    read: FromDatabase,
}

/// The way to the picture.
#[derive(Debug, Clone)]
pub(super) struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    controller: Controller,
    news: watch::Receiver<News>,
    maker: Mutex<Maker>,
    picture: watch::Sender<Arc<Picture>>,
    somebody_looks: Notify,
    streams: Arc<Semaphore>,
    /// How many there have been.
    opened: AtomicU32,
}

impl Events {
    /// Begins to make pictures, until the program ends.
    pub(super) fn start(controller: Controller, news: watch::Receiver<News>) -> Self {
        let events = Self(Arc::new(Shared {
            controller,
            news: news.clone(),
            maker: Mutex::new(Maker {
                made: None,
                read: FromDatabase::default(),
            }),
            picture: watch::Sender::default(),
            somebody_looks: Notify::new(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            opened: AtomicU32::new(0),
        }));
        tokio::spawn(events.clone().follow(news));
        events
    }

    async fn follow(self, mut news: watch::Receiver<News>) {
        loop {
            if self.0.picture.receiver_count() == 0 {
                self.0.somebody_looks.notified().await;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            // Whoever changed one thing is about to change more.
            tokio::time::sleep(COALESCE).await;
            news.mark_unchanged();
            self.make().await;
        }
    }

    /// Makes the picture, unless one has just been made.
    async fn make(&self) {
        let mut maker = self.0.maker.lock().await;
        if maker.made.is_some_and(|made| made.elapsed() < COALESCE / 2) {
            return;
        }
        let before = self.0.picture.borrow().clone();
        let database = maker.read.bring_up_to_date(&self.0).await.is_ok();
        let Some(picture) = self.look(&maker.read, database, &before).await else {
            return;
        };
        maker.made = Some(Instant::now());
        self.0.picture.send_replace(Arc::new(picture));
    }

    async fn look(&self, read: &FromDatabase, database: bool, before: &Picture) -> Option<Picture> {
        let extensions = read.extensions.clone();
        let links = self.0.controller.links();
        let seen = self.0.controller.core().view(move |core, _| {
            let device = |device| DeviceDoc {
                switches: view::device(core, &device),
                device,
            };
            let devices: Vec<Vec<DeviceDoc>> = extensions
                .iter()
                .map(|found| found.extension.device_ids().map(device).collect())
                .collect();
            (
                view::switches(core, &links),
                view::calls(core, CALLS),
                devices,
            )
        });
        let (switches, mut calls, devices) = seen.await?;
        // The core has them in no order; here a call keeps its place.
        calls.sort_by(|a, b| {
            let first = |call: &view::CallView| call.legs.first().map(|leg| leg.channel.clone());
            (&a.switch, first(a)).cmp(&(&b.switch, first(b)))
        });
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "database": database,
            "more": read.more,
        });
        let mut picture = Picture {
            number: before.number + 1,
            ..Picture::default()
        };
        for (name, text) in [
            ("status", text(&status)),
            ("switches", text(&switches)),
            ("calls", text(&calls)),
            ("moves", text(&read.moves)),
        ] {
            let piece = kept(before.parts.get(name), text);
            picture.parts.insert(name, piece);
        }
        let now = unix_now();
        for (found, devices) in read.extensions.iter().zip(devices) {
            let id = &found.extension.id;
            let value = json!({
                "id": id,
                "version": found.version.get(),
                "route": RouteDoc::of(found.extension.route.as_ref(), now),
                "devices": devices,
            });
            let piece = kept(before.extensions.get(id), text(&value));
            picture.extensions.insert(id.clone(), piece);
        }
        picture.change = difference(before, &picture);
        Some(picture)
    }
}

impl FromDatabase {
    async fn bring_up_to_date(&mut self, shared: &Shared) -> Result<(), DatabaseError> {
        let store = shared.controller.store();
        let revision = store.revision().await?;
        if self.revision != Some(revision) {
            let mut found = store.page(None, EXTENSIONS + 1).await?;
            self.more = found.len() > EXTENSIONS as usize;
            found.truncate(EXTENSIONS as usize);
            self.extensions = Arc::new(found);
            self.revision = Some(revision);
        }
        // Moves under way stand with their calls.
        let ended = shared.news.borrow().moves;
        if self.moves_ended != Some(ended) {
            let written = shared.controller.journal().written().await;
            let moves = store.moves(None, None, MOVES).await?;
            self.moves = moves.into_iter().map(MoveDoc::of).collect();
            // What is written late is read by the next look.
            self.moves_ended = written.then_some(ended);
        }
        Ok(())
    }
}

/// JSON without line breaks.
fn text(value: &impl Serialize) -> String {
    // It is plain data; should it ever not be, `null` says that nothing is known.
    serde_json::to_string(value).unwrap_or_else(|_| String::from("null"))
}

fn kept(before: Option<&Piece>, text: String) -> Piece {
    match before {
        Some(before) if **before == *text => before.clone(),
        Some(_) | None => text.into(),
    }
}

/// What is different, as the data of an event; `None` if nothing is.
fn difference(before: &Picture, now: &Picture) -> Option<Piece> {
    let same = |before: Option<&Piece>, now: &Piece| before.is_some_and(|b| Arc::ptr_eq(b, now));
    let mut data = String::from("{");
    let mut separate = "";
    for (name, piece) in &now.parts {
        if !same(before.parts.get(name), piece) {
            // Writing to a text cannot fail.
            let _ = write!(data, "{separate}\"{name}\":{piece}");
            separate = ",";
        }
    }
    let changed: Vec<&str> = now
        .extensions
        .iter()
        .filter(|(id, piece)| !same(before.extensions.get(*id), piece))
        .map(|(_, piece)| &**piece)
        .collect();
    if !changed.is_empty() {
        let _ = write!(data, "{separate}\"extensions\":[{}]", changed.join(","));
        separate = ",";
    }
    let removed: Vec<_> = before
        .extensions
        .keys()
        .filter(|id| !now.extensions.contains_key(*id))
        .collect();
    if !removed.is_empty() {
        let _ = write!(data, "{separate}\"removed\":{}", text(&removed));
        separate = ",";
    }
    data.push('}');
    (!separate.is_empty()).then(|| data.into())
}

/// What somebody is told now who has seen the picture `sent`.
fn news(sent: &Picture, now: &Picture) -> Option<Piece> {
    if sent.number + 1 == now.number {
        now.change.clone()
    } else {
        difference(sent, now)
    }
}

/// How long the stream of that number waits before it sends a change, of so many that are open: each has its turn, and one that
/// is alone waits for nobody.
fn turn(number: u32, open: usize) -> Duration {
    let open = u32::try_from(open).unwrap_or(u32::MAX).max(1);
    APART * (number % open)
}

/// A stream's own state.
struct Reader {
    pictures: watch::Receiver<Arc<Picture>>,
    sent: Option<Arc<Picture>>,
    /// Its place among all that there have been.
    number: u32,
    streams: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let Some(sent) = &self.sent else {
                let first = self.pictures.borrow_and_update().clone();
                let data = difference(&Picture::default(), &first).unwrap_or_default();
                self.sent = Some(first);
                let event = Event::default().event("snapshot").data(data);
                return Some((Ok(event), self));
            };
            self.pictures.changed().await.ok()?;
            let open = STREAMS - self.streams.available_permits();
            tokio::time::sleep(turn(self.number, open)).await;
            let now = self.pictures.borrow_and_update().clone();
            let news = news(sent, &now);
            self.sent = Some(now);
            if let Some(data) = news {
                let event = Event::default().event("change").data(data);
                return Some((Ok(event), self));
            }
        }
    }
}

/// What there is to see, and then what changes of it, as server-sent events.
///
/// The first event is `snapshot`, all others are `change`. `calls`, `moves` and `switches` come whole, of `extensions` only the
/// changed ones, and `removed` names those that are gone. A reader that is slow gets what came meanwhile as one change.
#[utoipa::path(get, path = "/v1/events", tag = "live", responses(
    (status = 200, content_type = "text/event-stream", body = String), Failures))]
pub(super) async fn stream(
    State(App { events, .. }): State<App>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = events.0.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::too_many("too many pages are open"))?;
    let pictures = events.0.picture.subscribe();
    events.0.somebody_looks.notify_one();
    // The last picture may be of yesterday.
    events.make().await;
    let reader = Reader {
        pictures,
        sent: None,
        number: events.0.opened.fetch_add(1, Ordering::Relaxed),
        streams: events.0.streams.clone(),
        _place: place,
    };
    let events = futures::stream::unfold(reader, Reader::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(before: &Picture, switches: &str, extensions: &[(&str, &str)]) -> Picture {
        let mut picture = Picture {
            number: before.number + 1,
            ..Picture::default()
        };
        let piece = kept(before.parts.get("switches"), switches.to_owned());
        picture.parts.insert("switches", piece);
        for (id, text) in extensions {
            let id: ExtensionId = id.parse().unwrap();
            let piece = kept(before.extensions.get(&id), (*text).to_owned());
            picture.extensions.insert(id, piece);
        }
        picture.change = difference(before, &picture);
        picture
    }

    #[test]
    fn each_stream_has_its_turn() {
        assert_eq!(turn(7, 1), Duration::ZERO);
        let mut turns: Vec<_> = (1000..1200).map(|number| turn(number, 200)).collect();
        turns.sort();
        let all: Vec<_> = (0..200).map(|at| APART * at).collect();
        assert_eq!(turns, all);
        // As when it has just gone.
        assert_eq!(turn(7, 0), Duration::ZERO);
    }

    #[test]
    fn only_what_is_different_is_told() {
        let nothing = Picture::default();
        let one = picture(&nothing, "[1]", &[("1@a", "{}"), ("2@a", "{}")]);
        assert_eq!(
            news(&nothing, &one).as_deref(),
            Some(r#"{"switches":[1],"extensions":[{},{}]}"#)
        );
        let two = picture(&one, "[1]", &[("1@a", "{}"), ("2@a", "{}")]);
        assert_eq!(news(&one, &two), None);
        let three = picture(&two, "[2]", &[("1@a", "3")]);
        let four = picture(&three, "[2]", &[("1@a", "4")]);
        assert_eq!(
            news(&three, &four).as_deref(),
            Some(r#"{"extensions":[4]}"#)
        );
        // Whoever has not seen the ones between is told of all of it.
        assert_eq!(
            news(&one, &four).as_deref(),
            Some(r#"{"switches":[2],"extensions":[4],"removed":["2@a"]}"#)
        );
    }
}

//! Who is measured, each used as its documentation says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use callhop_esl::{EventLink, EventName, FieldSet, Options, Secret, Subscription, percent};
use eslrs::event::PlainEvent;
use freeswitch_esl_tokio::{EslClient, EslConnectOptions, EventFormat, EventOverflow};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::codec::Decoder;

use super::{FIELDS, Outcome};

const PASSWORD: &str = "ClueCon";

/// Octets per read of the reader that only counts.
const READ: usize = 128 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reader,
    Ours,
    Library,
    /// A library's frames, and what is in them read by hand: shown, and not counted as a library.
    ByHand,
}

/// One who is measured.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Events in a run: enough for about a second.
    pub(crate) events: u64,
    pub(crate) run: fn(Job) -> Running,
}

type Running = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send>>;

/// What a run is given.
pub(crate) struct Job {
    pub(crate) addr: SocketAddr,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Octets that the switch has taken from the client since the handshake.
    pub(crate) drained: Arc<AtomicU64>,
    /// Tells the switch to begin.
    pub(crate) go: Sender<()>,
}

impl Job {
    fn begin(&self) -> anyhow::Result<Instant> {
        let begin = Instant::now();
        self.go.send(()).context("the switch is gone")?;
        Ok(begin)
    }
}

pub(crate) const CONTENDERS: &[Contender] = &[
    Contender {
        name: "reader, counts bytes",
        kind: Kind::Reader,
        events: 400_000,
        run: |job| Box::pin(reader(job)),
    },
    Contender {
        name: "callhop-esl",
        kind: Kind::Ours,
        events: 400_000,
        run: |job| Box::pin(ours(job)),
    },
    Contender {
        name: "eslrs",
        kind: Kind::Library,
        events: 40_000,
        run: |job| Box::pin(eslrs(job)),
    },
    Contender {
        name: "freeswitch-esl",
        kind: Kind::Library,
        events: 30_000,
        run: |job| Box::pin(freeswitch_esl(job)),
    },
    Contender {
        name: "freeswitch-esl, searched",
        kind: Kind::ByHand,
        events: 30_000,
        run: |job| Box::pin(freeswitch_esl_searched(job)),
    },
    Contender {
        name: "freeswitch-esl-tokio",
        kind: Kind::Library,
        events: 15_000,
        run: |job| Box::pin(freeswitch_esl_tokio(job)),
    },
];

/// A hash of an event's fields, below 2^32 so that sums of it don't wrap.
#[derive(Default)]
struct Fingerprint(u64);

impl Fingerprint {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn field(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.word(u64::MAX);
        };
        let (words, rest) = value.as_chunks::<8>();
        for chunk in words {
            self.word(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(value.len() as u64);
    }

    fn finish(self) -> u64 {
        self.0 >> 32
    }
}

pub(crate) fn count_frames(bytes: &[u8]) -> anyhow::Result<u64> {
    let mut buffer = bytes.into();
    let mut codec = callhop_esl::FrameCodec::default();
    let mut count = 0;
    while codec.decode_eof(&mut buffer)?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn reader(job: Job) -> anyhow::Result<Outcome> {
    let mut stream = tokio::net::TcpStream::connect(job.addr).await?;
    stream.write_all(b"event plain ALL\n\n").await?;
    // The two frames of the handshake, to their last line feed.
    let mut line_feeds = 0;
    while line_feeds < 5 {
        line_feeds += u32::from(stream.read_u8().await? == b'\n');
    }
    let mut buffer = vec![0; READ];
    let begin = job.begin()?;
    let mut seen = 0;
    while seen < job.bytes {
        let n = stream.read(&mut buffer).await?;
        ensure!(n > 0, "closed");
        seen += n as u64;
    }
    Ok(Outcome {
        elapsed: begin.elapsed(),
        checksum: None,
    })
}

async fn ours(job: Job) -> anyhow::Result<Outcome> {
    let wanted = FieldSet::new(FIELDS);
    let subscription = Subscription {
        names: vec![EventName::Unknown("ALL".to_owned())],
        custom: Vec::new(),
    };
    let mut link = EventLink::connect(
        job.addr,
        &Secret::new(PASSWORD),
        &subscription,
        &Options::default(),
    )
    .await?;
    let begin = job.begin()?;
    let mut checksum = 0;
    for _ in 0..job.events {
        let event = link.next().await?;
        let fields = wanted.scan(&event);
        let mut print = Fingerprint::default();
        for i in 0..FIELDS.len() {
            print.field(fields.get(i).as_deref().map(str::as_bytes));
        }
        checksum += print.finish();
    }
    Ok(Outcome {
        elapsed: begin.elapsed(),
        checksum: Some(checksum),
    })
}

async fn eslrs(job: Job) -> anyhow::Result<Outcome> {
    let mut link = eslrs::Inbound::connect(job.addr, PASSWORD)
        .await
        .map_err(|error| anyhow!("{error}"))?;
    link.send_recv("event plain ALL")
        .await
        .map_err(|error| anyhow!("{error}"))?;
    let begin = job.begin()?;
    let mut checksum = 0;
    let mut left = job.events;
    while left > 0 {
        let event = link.recv().await.map_err(|error| anyhow!("{error}"))?;
        // The switch's first frame comes out as an event, too.
        if !event.is_plain_event() {
            continue;
        }
        left -= 1;
        let event = PlainEvent::try_from(event)?;
        let mut print = Fingerprint::default();
        for name in FIELDS {
            // It leaves the decoding to its user.
            let value = event
                .get_header(name)
                .map(|raw| percent::decode(raw.as_bytes()));
            print.field(value.as_deref());
        }
        checksum += print.finish();
    }
    Ok(Outcome {
        elapsed: begin.elapsed(),
        checksum: Some(checksum),
    })
}

/// What it makes of an event's body is left to its user. It keeps headers as a map of texts, so that is what the body becomes.
async fn freeswitch_esl(job: Job) -> anyhow::Result<Outcome> {
    freeswitch_esl_bodies(job, |body| {
        let headers: HashMap<String, String> = body
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                Some((
                    name.to_owned(),
                    percent::decode_text(value.as_bytes()).into_owned(),
                ))
            })
            .collect();
        let mut print = Fingerprint::default();
        for name in FIELDS {
            print.field(headers.get(name).map(String::as_bytes));
        }
        print.finish()
    })
    .await
}

/// The same with a search through the body's text that is no work of the library's.
async fn freeswitch_esl_searched(job: Job) -> anyhow::Result<Outcome> {
    freeswitch_esl_bodies(job, |body| {
        let mut print = Fingerprint::default();
        for name in FIELDS {
            let value = body
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(|raw| percent::decode(raw.as_bytes()));
            print.field(value.as_deref());
        }
        print.finish()
    })
    .await
}

/// It has no stream of events. A plain event is handed to the command that has waited longest for its answer, so as many empty
/// commands as there will be events are sent before the switch begins. What it hands out is the frame's body as text.
async fn freeswitch_esl_bodies(job: Job, read: fn(&str) -> u64) -> anyhow::Result<Outcome> {
    let link = freeswitch_esl::Esl::inbound(job.addr, PASSWORD).await?;
    let mut waiting: FuturesUnordered<_> = (0..job.events)
        .map(|_| async {
            let frame = link.send_recv(b"").await?;
            let body = frame.body().as_deref().context("an event without a body")?;
            anyhow::Ok(read(body))
        })
        .collect();
    // Two line feeds for each; once the switch has them all, one more round lets the last of them queue up.
    let mut sent = false;
    while !sent {
        sent = job.drained.load(Ordering::Relaxed) >= 2 * job.events;
        if let Poll::Ready(done) = futures::poll!(waiting.next()) {
            done.context("no commands")??;
            bail!("an answer before the first event");
        }
        tokio::task::yield_now().await;
    }
    let begin = job.begin()?;
    let mut checksum = 0;
    while let Some(done) = waiting.next().await {
        checksum += done?;
    }
    Ok(Outcome {
        elapsed: begin.elapsed(),
        checksum: Some(checksum),
    })
}

async fn freeswitch_esl_tokio(job: Job) -> anyhow::Result<Outcome> {
    // By default it drops events when its user is slower than its reader; then nothing could be compared.
    let options = EslConnectOptions::new()
        .with_event_overflow(EventOverflow::BlockFor(Duration::from_secs(60)));
    let (client, mut events) = EslClient::connect_with_options(
        &job.addr.ip().to_string(),
        job.addr.port(),
        PASSWORD,
        options,
    )
    .await?;
    client.subscribe_all_events(EventFormat::Plain).await?;
    let begin = job.begin()?;
    let mut checksum = 0;
    for _ in 0..job.events {
        let event = events.recv().await.context("closed")??;
        let mut print = Fingerprint::default();
        for name in FIELDS {
            print.field(event.header_str(name).map(str::as_bytes));
        }
        checksum += print.finish();
    }
    Ok(Outcome {
        elapsed: begin.elapsed(),
        checksum: Some(checksum),
    })
}

//! `callhop demo`: a switch that acts, phones on a desk, and the controller as it is between them.
//!
//! Owns what is around the controller: the fake switch, the phones, a database in a temporary folder, a configuration made
//! here. Refuses to stub anything of the controller: it speaks with the fake by the event socket, answers its dialplan over
//! HTTP, and keeps its journal, as it does on a site. Reads no configuration, neither file nor environment.
//!
//! ```text
//! page ──▶ desk (http.rs) ──▶ phones ── fake switch ◀── event socket, questions ──▶ controller ──▶ SQLite
//! script (script.rs, scenes.rs) ──▶ phones                                              ▲
//! page ─────────────────────────────────────── /v1 ─────────────────────────────────────┘
//! ```

mod cast;
mod desk;
mod http;
mod scenes;
mod script;
mod words;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use callhop_calls::push::PushPolicy;
use callhop_fakeswitch::{Action, Config as FakeConfig, Extension, FakeSwitch, Pattern};
use callhop_store::{Actor, Options, Scope, Scopes, Token};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, Freeswitch, Http, Log, Secret, Store};
use crate::controller::{self, Controller, Guest, News, unix_now};
use crate::http::NewToken;
use crate::telemetry;

use cast::{CAST, DOMAIN, EXTENSIONS};
use desk::Desk;
use script::Script;

/// How long the start may take. It takes a fraction of a second.
const START: Duration = Duration::from_secs(20);

/// For whom the demo plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// People, who need time to look and to dial.
    People,
    /// The script, which looks at everything at once.
    Script,
}

/// A running demo.
#[derive(Debug)]
pub(crate) struct Demo {
    desk: Desk,
    controller: Controller,
    news: watch::Receiver<News>,
    address: SocketAddr,
    token: NewToken,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
    // Removed when the demo ends.
    folder: TempDir,
}

impl Demo {
    /// Starts everything, and waits until the controller has read the switch.
    ///
    /// # Errors
    /// The address is taken, there is no place for the database, or a part does not start.
    pub(crate) async fn start(listen: SocketAddr, pace: Pace) -> anyhow::Result<Self> {
        telemetry::start(&log());
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!(
                "--listen: can't listen on {listen}; --listen 127.0.0.1:0 takes a port that is free"
            )
        })?;
        let address = listener.local_addr()?;
        let place = place_for_database();
        let folder = tempfile::Builder::new()
            .prefix("callhop-demo-")
            .tempdir_in(&place)
            .with_context(|| format!("no folder for the database in {}", place.display()))?;
        let database = folder.path().join("callhop.db");
        let url = format!("sqlite://{}", database.display());
        let token = NewToken::random().context("the system has no random numbers")?;
        furnish(&url, &token).await?;

        let switch = FakeSwitch::start(fake_config(address, pace)).await?;
        let config = config(url, address, &switch, pace)?;
        let desk = Desk::new(switch).await?;
        let (started, controller) = oneshot::channel();
        let guest = Guest {
            listener,
            beside: http::beside(desk.clone()),
            started,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let mut running = tokio::spawn(controller::run_with(config, Some(guest), async {
            // A demo that was dropped ends too.
            let _ = stopped.await;
        }));
        let started = async {
            tokio::select! {
                started = controller => started.context("the controller has ended"),
                ended = &mut running => match ended? {
                    Ok(()) => bail!("the controller has ended"),
                    Err(error) => Err(error),
                },
            }
        };
        let (controller, news) = in_time(started).await?;
        let demo = Self {
            desk,
            controller,
            news,
            address,
            token,
            stop,
            running,
            folder,
        };
        in_time(demo.until_fresh()).await?;
        Ok(demo)
    }

    /// What there is to do, for whoever has just started it.
    pub(crate) fn greeting(&self) -> String {
        let Self { address, token, .. } = self;
        format!(
            "The desk is at  http://{address}/#token={}\n\
             Alex has the extension 1000 with three devices, Robin has 2000, and a customer calls.\n\
             Try, on the page:\n\
             \x20 1. Customer: call 1000. Desk phone: answer. Mobile: dial *33, and the call hops over.\n\
             \x20 2. In a call: *9, then 2000 and #. Robin: answer, and the customer is Robin's.\n\
             \x20 3. Mobile: dial *50. Customer: call 1000, and only the mobile rings. *51 ends that.\n\
             Ctrl-C ends it; nothing is kept. `callhop demo --script` plays all codes here instead.",
            token.reveal()
        )
    }

    /// Plays the script, and says whether everything was as told.
    ///
    /// # Errors
    /// Standard output can't be written to, or the database has failed.
    pub(crate) async fn play(&self) -> anyhow::Result<bool> {
        let script = Script::new(&self.desk, &self.controller, self.news.clone());
        script.play(&scenes::SCENES, &mut std::io::stdout()).await
    }

    /// Waits until the controller ends by itself, which it does only when something has failed.
    ///
    /// # Errors
    /// What has failed.
    pub(crate) async fn until_ended(&mut self) -> anyhow::Result<()> {
        (&mut self.running).await?
    }

    /// Ends everything and removes the database.
    ///
    /// # Errors
    /// The controller has failed, or the folder can't be removed.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.running.await??;
        let folder = self.folder.path().to_owned();
        self.folder
            .close()
            .with_context(|| format!("{} can't be removed", folder.display()))
    }

    async fn until_fresh(&self) -> anyhow::Result<()> {
        let mut news = self.news.clone();
        loop {
            let seen = self
                .controller
                .core()
                .view(|core, _| core.switches().all(|(_, switch)| switch.is_fresh()));
            match seen.await {
                Some(true) => return Ok(()),
                Some(false) => news.changed().await.context("the controller has ended")?,
                None => bail!("the controller has ended"),
            }
        }
    }
}

async fn in_time<T>(what: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(START, what).await {
        Ok(done) => done,
        Err(_) => bail!("the demo did not start within {START:?}"),
    }
}

/// Where the database's folder is: where `TMPDIR` says, else in memory where the system has such a place, because a busy disk
/// that takes a second to write is a database that does not answer.
fn place_for_database() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Makes the database with the cast's extensions and the token, by the store that the controller uses.
async fn furnish(url: &str, token: &NewToken) -> anyhow::Result<()> {
    let store = callhop_store::open(url, Options::default()).await?;
    let (actor, now) = (Actor::Controller, unix_now());
    for (extension, devices) in EXTENSIONS {
        let id = format!("{extension}@{DOMAIN}").parse()?;
        let devices: Vec<_> = devices
            .iter()
            .map(|device| device.parse())
            .collect::<Result<_, _>>()?;
        store.add_extension(&id, &devices, &actor, now).await?;
    }
    let scopes = Scopes::new([Scope::Route, Scope::Move]).context("no scope")?;
    store
        .add_token(&Token {
            name: "demo".parse()?,
            hash: token.hash(),
            scopes,
            created: now,
            created_by: actor,
            last_used: None,
        })
        .await?;
    store.close().await;
    Ok(())
}

/// Only what should not happen: the rest is told by the page or the script.
fn log() -> Log {
    Log {
        level: "error".to_owned(),
        ..Log::default()
    }
}

/// The configuration of a site with this one switch; everything that is not named here is as by default.
fn config(
    url: String,
    listen: SocketAddr,
    switch: &FakeSwitch,
    pace: Pace,
) -> anyhow::Result<Config> {
    let push = PushPolicy::default();
    Ok(Config {
        store: Store {
            url: Secret::new(url),
        },
        http: Http {
            listen,
            public: None,
        },
        freeswitch: vec![Freeswitch {
            name: SWITCH.parse()?,
            address: switch.esl_addr().to_string(),
            ..Freeswitch::default()
        }],
        push: match pace {
            Pace::People => PushPolicy {
                digit_timeout: Duration::from_secs(30),
                ring_timeout: Duration::from_secs(60),
                ..push
            },
            Pace::Script => push,
        },
        log: log(),
        ..Config::default()
    })
}

/// What the switch is called.
const SWITCH: &str = "demo";

/// The switch, with an admin's small dialplan.
fn fake_config(controller: SocketAddr, pace: Pace) -> FakeConfig {
    let number = |number: &str| Pattern::Number(number.to_owned());
    let mut dialplan: Vec<Extension> = EXTENSIONS
        .iter()
        .map(|(extension, devices)| {
            let all: Vec<String> = devices
                .iter()
                .map(|d| format!("user/{d}@{DOMAIN}"))
                .collect();
            Extension::new(DOMAIN, number(extension), Action::Inbound(all.join(",")))
        })
        .collect();
    let outside = CAST.iter().filter(|part| part.extension.is_none());
    dialplan.extend(outside.map(|part| {
        let dial = format!("sofia/external/{}@127.0.0.1:5090", part.number);
        Extension::new(DOMAIN, number(part.number), Action::Bridge(dial))
    }));
    let device = Action::Bridge("user/${number}@${domain}".to_owned());
    dialplan.push(Extension::new(DOMAIN, Pattern::Device, device));
    let config = FakeConfig {
        switch_name: SWITCH.to_owned(),
        domain: DOMAIN.to_owned(),
        controller: Some(controller.to_string()),
        dialplan,
        ..FakeConfig::default()
    };
    match pace {
        // As long as in the dialplan file, and long enough to be seen.
        Pace::People => FakeConfig {
            tone: Duration::from_millis(1000),
            ring_timeout: Duration::from_secs(60),
            ..config
        },
        Pace::Script => FakeConfig {
            beat_wait: Duration::from_millis(100),
            beat_ring: Duration::from_millis(100),
            digit_gap: Duration::from_millis(20),
            ..config
        },
    }
}

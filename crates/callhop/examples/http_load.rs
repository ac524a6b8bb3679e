//! `cargo xtask bench http`: what a move takes while the HTTP interface is under load, beside what it takes without, in one run.
//!
//! This process has the switch that acts and its phones, and measures; one has the controller; one asks it, [`RATE`] times a second
//! and by [`STREAMS`] open event streams. Moves are pulls, one after another. The peer is the same load on another controller, which
//! moves nothing: what that costs a move is what the machine has no room for. Blocks without load, with it, and with that of
//! the peer take turns, so that all have the same neighbours on the machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use callhop::config::{Config, Secret};
use callhop_calls::id::{ExtensionId, Number};
use callhop_fakeswitch::{Config as FakeConfig, FakeSwitch, Phone, PhoneView};
use callhop_store::Actor;
use futures::StreamExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const STREAMS: usize = 200;
const RATE: u64 = 1000;
/// Connections over which the requests go.
const CONNECTIONS: usize = 20;
/// Blocks without load, as many with it, and as many with that of the peer.
const BLOCKS: usize = 10;
const MOVES_PER_BLOCK: usize = 50;
/// Extensions of the site; one of them moves calls.
const EXTENSIONS: usize = 50;
const PATHS: [&str; 8] = [
    "/v1/extensions/1000@lab.test",
    "/v1/extensions/1000@lab.test/devices",
    "/v1/extensions/1000@lab.test/route",
    "/v1/calls",
    "/v1/moves?limit=20",
    "/v1/status",
    "/v1/why/1000@lab.test",
    "/metrics",
];
/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(20);
/// The clock of `/proc/<pid>/stat`: `getconf CLK_TCK` is 100 on every Linux that Callhop runs on.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match words.as_slice() {
        ["controller", store, listen, switch] => runtime.block_on(async {
            let config = config(store, listen, switch)?;
            callhop::controller::run(config, std::future::pending()).await
        }),
        ["load", address] => runtime.block_on(load(address.parse()?)),
        [] => runtime.block_on(measure()),
        _ => bail!("no arguments are needed"),
    }
}

fn config(store: &str, listen: &str, switch: &str) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.store.url = Secret::new(store);
    config.http.listen = listen.parse()?;
    config.freeswitch[0].name = "lab".parse()?;
    config.freeswitch[0].address = switch.to_owned();
    Ok(config)
}

/// This program once more, which ends with this one.
struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Role {
    fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Says a word, and waits for the line that answers it.
    fn say(&mut self, word: &str) -> anyhow::Result<String> {
        writeln!(self.input, "{word}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the load has ended");
        Ok(line.trim().to_owned())
    }
}

/// Seconds of processor time that a process has had.
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("no stat")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = words[11].parse::<f64>()? + words[12].parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

struct Phones {
    customer: Phone,
    desk: Phone,
    mobile: Phone,
}

impl Phones {
    /// A call that the desk has is pulled by the mobile: from the star code until both hear each other.
    async fn pull(&self) -> anyhow::Result<Duration> {
        let talks = |phone: &PhoneView| phone.talks_to("901");
        self.customer.dial("1000").await?;
        let ringing = |phone: &PhoneView| phone.ringing().count() == 1;
        self.desk.wait_until(ringing, SOON).await?;
        self.desk.answer().await?;
        self.desk.wait_until(talks, SOON).await?;
        let start = Instant::now();
        self.mobile.dial("*33").await?;
        self.mobile.wait_until(talks, SOON).await?;
        let took = start.elapsed();
        self.mobile.hangup().await?;
        for phone in [&self.customer, &self.desk, &self.mobile] {
            phone.wait_until(PhoneView::is_idle, SOON).await?;
        }
        Ok(took)
    }
}

/// A switch that acts, a database, and a controller in a process of its own.
struct Site {
    fake: FakeSwitch,
    controller: Role,
    listen: String,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let fake = FakeSwitch::start(FakeConfig {
            controller: Some(listen.clone()),
            ..FakeConfig::default()
        })
        .await?;
        let url = format!("sqlite://{}/callhop.db", folder.path().display());
        let store = callhop_store::open(&url, callhop_store::Options::default()).await?;
        for number in (1000..).step_by(10).take(EXTENSIONS) {
            let id: ExtensionId = format!("{number}@lab.test").parse()?;
            let devices: Result<Vec<Number>, _> =
                (1..=3).map(|n| (number + n).to_string().parse()).collect();
            let actor = Actor::Controller;
            let now = callhop_calls::id::UnixTime(1_700_000_000);
            store.add_extension(&id, &devices?, &actor, now).await?;
        }
        let switch = fake.esl_addr().to_string();
        let controller = Role::start(&["controller", &url, &listen, &switch])?;
        until_ready(&listen).await?;
        Ok(Self {
            fake,
            controller,
            listen,
            _folder: folder,
        })
    }
}

async fn measure() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let other = Site::start().await?;
    let mut loads = [
        (&site, Role::start(&["load", &site.listen])?),
        (&other, Role::start(&["load", &other.listen])?),
    ];
    let phones = Phones {
        customer: site.fake.outside("901").await?,
        desk: site.fake.register("1001@lab.test").await?,
        mobile: site.fake.register("1002@lab.test").await?,
    };
    for _ in 0..10 {
        phones.pull().await?;
    }
    let mut without = Vec::new();
    let mut with = [(); 2].map(|()| Vec::new());
    let mut used = [0.0; 3];
    let (mut loaded, mut answered, mut failed) = (Duration::ZERO, 0_u64, 0_u64);
    for _ in 0..BLOCKS {
        for _ in 0..MOVES_PER_BLOCK {
            without.push(phones.pull().await?);
        }
        for ((loaded_site, load), times) in loads.iter_mut().zip(&mut with) {
            ensure!(load.say("on")? == "on", "no load");
            let controller = loaded_site.controller.child.id();
            let pids = [controller, load.child.id(), std::process::id()];
            let before = pids.map(cpu);
            let start = Instant::now();
            for _ in 0..MOVES_PER_BLOCK {
                times.push(phones.pull().await?);
            }
            loaded += start.elapsed();
            for ((used, before), pid) in used.iter_mut().zip(before).zip(pids) {
                *used += cpu(pid)? - before?;
            }
            let line = load.say("off")?;
            let mut counts = line.split(' ').map(str::parse::<u64>);
            answered += counts.next().context("no count")??;
            failed += counts.next().context("no count")??;
        }
    }
    let without = Numbers::of(without);
    let [own, beside] = with.map(Numbers::of);
    println!(
        "pulls, star code to bridge: {} of each kind",
        BLOCKS * MOVES_PER_BLOCK
    );
    println!("{STREAMS} streams and {RATE} requests/s    median     p99    ratios to none");
    for (name, numbers) in [
        ("on nobody", &without),
        ("on another controller", &beside),
        ("on this one", &own),
    ] {
        println!(
            "{name:30}  {numbers}  {:6.3}  {:6.3}",
            numbers.median / without.median,
            numbers.p99 / without.p99
        );
    }
    println!(
        "this one to another one                             {:6.3}  {:6.3}",
        own.median / beside.median,
        own.p99 / beside.p99
    );
    let seconds = loaded.as_secs_f64();
    println!(
        "under load: {:.0} requests/s answered with 200, {failed} otherwise, in {seconds:.1} s",
        answered as f64 / seconds,
    );
    let share = used.map(|used| used / seconds * 100.0);
    println!(
        "processor under load, of one core: the loaded controller {:.0} %, load generator {:.0} %, switches and phones {:.0} %",
        share[0], share[1], share[2]
    );
    Ok(())
}

struct Numbers {
    median: f64,
    p99: f64,
}

impl Numbers {
    /// In milliseconds.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        Self {
            median: at(50).as_secs_f64() * 1000.0,
            p99: at(99).as_secs_f64() * 1000.0,
        }
    }
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:6.2} ms  {:6.2} ms", self.median, self.p99)
    }
}

async fn until_ready(listen: &str) -> anyhow::Result<()> {
    let address: SocketAddr = listen.parse()?;
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if let Ok(mut connection) = connect(address).await
            && let Ok(response) = ask(&mut connection, address, "/readyz").await
            && response == StatusCode::OK
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the controller does not get ready")
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Body>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(address: SocketAddr, path: &str) -> anyhow::Result<Request<Body>> {
    let request = Request::get(path).header("Host", address.to_string());
    Ok(request.body(Body::empty())?)
}

async fn ask(
    connection: &mut SendRequest<Body>,
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<StatusCode> {
    connection.ready().await?;
    let response = connection.send_request(request(address, path)?).await?;
    let status = response.status();
    to_bytes(Body::new(response.into_body()), usize::MAX).await?;
    Ok(status)
}

/// Asks between `on` and `off`.
async fn load(address: SocketAddr) -> anyhow::Result<()> {
    let (answered, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        match line.await??.trim() {
            "on" => {
                for _ in 0..STREAMS {
                    let mut connection = connect(address).await?;
                    let request = request(address, "/v1/events")?;
                    let response = connection.send_request(request).await?;
                    ensure!(response.status() == StatusCode::OK, "no stream");
                    tasks.spawn(async move {
                        let mut data = Body::new(response.into_body()).into_data_stream();
                        while data.next().await.is_some() {}
                    });
                }
                for n in 0..CONNECTIONS {
                    let mut connection = connect(address).await?;
                    let (answered, failed) = (answered.clone(), failed.clone());
                    let pause = Duration::from_micros(1_000_000 * CONNECTIONS as u64 / RATE);
                    let first = tokio::time::Instant::now() + pause * n as u32 / CONNECTIONS as u32;
                    tasks.spawn(async move {
                        let mut ticks = tokio::time::interval_at(first, pause);
                        for path in PATHS.iter().cycle().skip(n) {
                            ticks.tick().await;
                            let result = ask(&mut connection, address, path).await;
                            let good = result.is_ok_and(|status| status == StatusCode::OK);
                            let count = if good { &answered } else { &failed };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                answered.store(0, Ordering::Relaxed);
                failed.store(0, Ordering::Relaxed);
                println!("on");
            }
            "off" => {
                let counts = [&answered, &failed].map(|count| count.load(Ordering::Relaxed));
                tasks.shutdown().await;
                println!("{} {}", counts[0], counts[1]);
            }
            _ => return Ok(()),
        }
    }
}

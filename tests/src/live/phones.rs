//! The SIP phones: a Python process with PJSIP for each, and what they report.
//!
//! Owns the processes, and one table of all their calls that the processes' reports keep up to date.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{ear::unix_now, ports::Ports};
use crate::{
    cast::Phone,
    site::{Call, CallReport, CallState, Moment},
};

/// How long a phone may take for one command.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Record {
    report: CallReport,
    began: f64,
    sip_id: String,
}

#[derive(Debug, Default)]
struct News {
    calls: BTreeMap<(Phone, u64), Record>,
    answers: BTreeMap<(Phone, u64), Value>,
    registered: BTreeMap<Phone, (bool, i64)>,
    up: BTreeMap<Phone, bool>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
}

/// All phones of the lab.
#[derive(Debug)]
pub struct Phones {
    processes: BTreeMap<Phone, Process>,
    news: Arc<(Mutex<News>, Condvar)>,
    commands: u64,
}

impl Phones {
    /// Starts them all and waits until each is up. Those that register are left to do so: see [`Phones::wait_registered`].
    ///
    /// # Errors
    /// When one does not start; PJSIP's own words are in `dir/<port>.log`.
    pub fn start(python: &Path, dir: &Path, ports: Ports) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("live/phoned.py");
        let news = Arc::new((Mutex::new(News::default()), Condvar::new()));
        let mut processes = BTreeMap::new();
        for phone in Phone::ALL {
            let part = phone.part();
            let port = if phone.is_outside() {
                ports.external()
            } else {
                ports.internal()
            };
            let mut command = Command::new(python);
            command.arg(&script);
            for (option, value) in [
                ("--user", part.user.to_owned()),
                ("--domain", part.domain.to_owned()),
                ("--password", part.password.to_owned()),
                ("--proxy", format!("127.0.0.1:{port}")),
                ("--sip-port", ports.phone_sip(phone).to_string()),
                ("--rtp-port", ports.phone_rtp(phone).to_string()),
                ("--tone", part.tone_hz.to_string()),
                ("--agent", part.agent.to_owned()),
                (
                    "--log",
                    dir.join(format!("{phone:?}.log")).display().to_string(),
                ),
            ] {
                command.args([option, &value]);
            }
            if phone.registers() {
                command.arg("--register");
            }
            let errors = fs::File::create(dir.join(format!("{phone:?}.err")))?;
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(errors)
                .spawn()?;
            let input = child.stdin.take().context("a phone without input")?;
            let output = child.stdout.take().context("a phone without output")?;
            let writer = Arc::clone(&news);
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Ok(message) = serde_json::from_str(&line) {
                        note(&mut lock(&writer.0), phone, &message);
                        writer.1.notify_all();
                    }
                }
                lock(&writer.0).up.insert(phone, false);
                writer.1.notify_all();
            });
            processes.insert(phone, Process { child, input });
        }
        let phones = Self {
            processes,
            news,
            commands: 0,
        };
        phones.until(PATIENCE * 2, |news| {
            match Phone::ALL
                .into_iter()
                .find(|phone| news.up.get(phone) != Some(&true))
            {
                None => Ok(()),
                Some(missing) => Err(format!(
                    "the phone {missing} did not come up, see {}",
                    dir.display()
                )),
            }
        })?;
        Ok(phones)
    }

    /// Waits until `look` finds what it wants; its words say what is there instead.
    fn until<T>(&self, within: Duration, look: impl Fn(&News) -> Result<T, String>) -> Result<T> {
        let until = Instant::now() + within;
        let mut news = lock(&self.news.0);
        loop {
            match look(&news) {
                Ok(found) => return Ok(found),
                Err(instead) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        bail!("after {within:?}: {instead}");
                    }
                    news = self
                        .news
                        .1
                        .wait_timeout(news, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    /// Gives a phone a command and waits for its answer.
    ///
    /// # Errors
    /// When the phone refuses, or is gone.
    pub fn tell(&mut self, phone: Phone, operation: &str, mut command: Value) -> Result<Value> {
        self.commands += 1;
        let id = self.commands;
        command["id"] = json!(id);
        command["op"] = json!(operation);
        let process = self
            .processes
            .get_mut(&phone)
            .context("every phone has a process")?;
        writeln!(process.input, "{command}")
            .with_context(|| format!("the phone {phone} is gone"))?;
        let answer = self.until(PATIENCE, |news| {
            news.answers
                .get(&(phone, id))
                .cloned()
                .ok_or_else(|| format!("{phone} does not answer to {operation}"))
        })?;
        if answer["ok"] != true {
            bail!("{phone}: {operation}: {}", answer["error"]);
        }
        Ok(answer)
    }

    /// Dials; the record of the call exists when this returns.
    ///
    /// # Errors
    /// When the phone refuses.
    pub fn dial(&mut self, phone: Phone, number: &str, headers: &[(&str, &str)]) -> Result<Call> {
        let headers: serde_json::Map<String, Value> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let began = unix_now();
        let answer = self.tell(phone, "dial", json!({"number": number, "headers": headers}))?;
        let call = Call {
            phone,
            key: answer["call"].as_u64().context("a call without a key")?,
        };
        let mut news = lock(&self.news.0);
        record(&mut news, call, began, CallState::Dialling).began = began;
        Ok(call)
    }

    /// Waits until a call for which `is_it` holds is in one of the states.
    ///
    /// # Errors
    /// After `within`, with what was seen instead.
    pub fn wait(
        &self,
        phone: Phone,
        since: Moment,
        only: Option<Call>,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport> {
        self.until(within, |news| {
            let of_phone = news
                .calls
                .range((phone, 0)..=(phone, u64::MAX))
                .map(|(_, record)| record);
            let mut seen = of_phone
                .filter(|it| only.map_or(it.began >= since.0, |call| it.report.call == call));
            let all: Vec<&Record> = seen.by_ref().collect();
            match all
                .iter()
                .rev()
                .find(|it| states.contains(&it.report.state))
            {
                Some(found) => Ok(found.report.clone()),
                None => {
                    let told: Vec<String> = all
                        .iter()
                        .map(|it| {
                            format!(
                                "{:?} ({} {})",
                                it.report.state,
                                it.report.code,
                                it.report.reason.as_deref().unwrap_or("-")
                            )
                        })
                        .collect();
                    let told = if told.is_empty() {
                        "no call".to_owned()
                    } else {
                        told.join(", ")
                    };
                    Err(format!(
                        "{phone} should have a call that is {states:?}, and has: {told}"
                    ))
                }
            }
        })
    }

    /// Waits for a further piece of news about one call.
    ///
    /// # Errors
    /// After `within`.
    pub fn wait_report(
        &self,
        call: Call,
        within: Duration,
        is_it: impl Fn(&CallReport) -> bool,
    ) -> Result<CallReport> {
        self.until(within, |news| {
            let found = news
                .calls
                .get(&(call.phone, call.key))
                .map(|record| record.report.clone());
            match found {
                Some(report) if is_it(&report) => Ok(report),
                other => Err(format!("{} has {other:?}", call.phone)),
            }
        })
    }

    /// The calls of a phone since then.
    #[must_use]
    pub fn since(&self, phone: Phone, since: Moment) -> Vec<CallReport> {
        let news = lock(&self.news.0);
        let of_phone = news.calls.range((phone, 0)..=(phone, u64::MAX));
        of_phone
            .filter(|(_, it)| it.began >= since.0)
            .map(|(_, it)| it.report.clone())
            .collect()
    }

    /// The SIP Call-ID of a call.
    #[must_use]
    pub fn sip_id(&self, call: Call) -> Option<String> {
        lock(&self.news.0)
            .calls
            .get(&(call.phone, call.key))
            .map(|it| it.sip_id.clone())
            .filter(|id| !id.is_empty())
    }

    /// Registers anew, or unregisters, and waits for the registrar's answer.
    ///
    /// # Errors
    /// When it refuses or is silent.
    pub fn register(&mut self, phone: Phone, registered: bool) -> Result<()> {
        if !registered && !self.is_registered(phone) {
            return Ok(());
        }
        lock(&self.news.0).registered.remove(&phone);
        self.tell(
            phone,
            if registered { "register" } else { "unregister" },
            json!({}),
        )?;
        self.wait_registered(phone, registered)
    }

    /// Whether the phone has last heard that it is registered.
    #[must_use]
    pub fn is_registered(&self, phone: Phone) -> bool {
        let news = lock(&self.news.0);
        news.registered.get(&phone).is_some_and(|(it, _)| *it)
    }

    /// Waits until the phone knows that it is registered, or that it is not.
    ///
    /// # Errors
    /// When that does not come.
    pub fn wait_registered(&self, phone: Phone, registered: bool) -> Result<()> {
        self.until(PATIENCE, |news| match news.registered.get(&phone) {
            Some((active, 200)) if *active == registered => Ok(()),
            other => Err(format!("registration of {phone}: {other:?}")),
        })
    }

    /// Ends all calls of all phones and waits until each knows that it has none.
    ///
    /// # Errors
    /// When one keeps a call.
    pub fn hang_up_all(&mut self) -> Result<()> {
        for phone in Phone::ALL {
            self.tell(phone, "hangup_all", json!({}))?;
        }
        self.until(PATIENCE, |news| {
            match news
                .calls
                .values()
                .find(|it| it.report.state != CallState::Ended)
            {
                None => Ok(()),
                Some(left) => Err(format!("a call does not end: {:?}", left.report)),
            }
        })
    }

    /// Forgets the calls that ended.
    pub fn forget(&self) {
        lock(&self.news.0)
            .calls
            .retain(|_, it| it.report.state != CallState::Ended);
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            // Nobody is left who could be told.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(news: &mut News, call: Call, began: f64, state: CallState) -> &mut Record {
    news.calls
        .entry((call.phone, call.key))
        .or_insert_with(|| Record {
            report: CallReport {
                call,
                state,
                code: 0,
                was_answered: false,
                reason: None,
                display_number: String::new(),
                display_name: String::new(),
            },
            began,
            sip_id: String::new(),
        })
}

/// Takes in one line of a phone.
fn note(news: &mut News, phone: Phone, message: &Value) {
    if let Some(id) = message["id"].as_u64() {
        news.answers.insert((phone, id), message.clone());
        return;
    }
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    let at = message["t"].as_f64().unwrap_or_default();
    let call = Call {
        phone,
        key: message["call"].as_u64().unwrap_or_default(),
    };
    match message["ev"].as_str().unwrap_or_default() {
        "up" => {
            news.up.insert(phone, true);
        }
        "registered" => {
            let active = message["active"].as_bool().unwrap_or_default();
            news.registered.insert(
                phone,
                (active, message["code"].as_i64().unwrap_or_default()),
            );
        }
        "incoming" => {
            let it = record(news, call, at, CallState::Incoming);
            it.report.display_number = text("number");
            it.report.display_name = text("name");
            it.sip_id = text("sip_id");
        }
        "display" => {
            let it = record(news, call, at, CallState::Dialling);
            it.report.display_number = text("number");
            it.report.display_name = text("name");
        }
        "reason" => {
            record(news, call, at, CallState::Dialling).report.reason = Some(text("reason"))
        }
        "state" => {
            let it = record(news, call, at, CallState::Dialling);
            it.report.code = message["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or_default();
            if !text("sip_id").is_empty() {
                it.sip_id = text("sip_id");
            }
            it.report.state = match text("state").as_str() {
                "CALLING" => CallState::Dialling,
                "INCOMING" => CallState::Incoming,
                // The phone's own 180 or 183 makes an incoming call "early" as well.
                "EARLY" if it.report.state == CallState::Incoming => CallState::Incoming,
                "EARLY" => CallState::Early,
                "CONFIRMED" => CallState::Talking,
                "DISCONNECTED" => CallState::Ended,
                _ => it.report.state,
            };
            it.report.was_answered |= it.report.state == CallState::Talking;
        }
        _ => {}
    }
}

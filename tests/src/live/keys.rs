//! Keys with lamps: a SIP client that subscribes as desk phones do, and what it was told.
//!
//! Owns the processes of `live/watch.py`, one for each phone whose keys somebody looks at.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::ports::local;
use crate::{cast::Phone, program::tied, site::Watcher};

type Said = Arc<(Mutex<Vec<Value>>, Condvar)>;

/// One phone's keys.
#[derive(Debug)]
struct Keys {
    watcher: Watcher<'static>,
    child: Child,
    input: ChildStdin,
    said: Said,
}

/// The keys of all phones.
#[derive(Debug, Default)]
pub struct AllKeys(Vec<Keys>);

impl Drop for AllKeys {
    fn drop(&mut self) {
        self.forget();
    }
}

impl AllKeys {
    /// Ends all subscriptions, as a phone does that loses its power.
    pub fn forget(&mut self) {
        for mut keys in self.0.drain(..) {
            // It may have ended by itself.
            let _ = keys.child.kill();
            let _ = keys.child.wait();
        }
    }

    /// Subscribes, and gives the final answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn watch(
        &mut self,
        python: &Path,
        port: u16,
        watcher: Watcher<'static>,
        name: &str,
    ) -> Result<u16> {
        if !self.0.iter().any(|keys| keys.watcher == watcher) {
            self.0.push(Keys::start(python, port, watcher)?);
        }
        let keys = self.0.iter_mut().find(|keys| keys.watcher == watcher);
        let keys = keys.context("started a moment ago")?;
        writeln!(keys.input, "{name}")?;
        keys.input.flush()?;
        let said = keys.wait(Duration::from_secs(5), |said| {
            let answers = said.iter().rev();
            let mut answers = answers.filter(|it| it["watch"] == *name);
            answers.find_map(|it| it["code"].as_u64())
        });
        let code = said.with_context(|| format!("{watcher:?} subscribes to {name}"))?;
        Ok(u16::try_from(code)?)
    }

    /// Renews all subscriptions.
    ///
    /// # Errors
    /// When a client has gone.
    pub fn renew(&mut self) -> Result<()> {
        for keys in &mut self.0 {
            writeln!(keys.input, "refresh")?;
            keys.input.flush()?;
        }
        Ok(())
    }

    /// Waits until the phone's key shows that.
    ///
    /// # Errors
    /// After `within`, with all that it was told.
    pub fn wait(&self, phone: Phone, name: &str, lit: bool, within: Duration) -> Result<()> {
        let keys = self.0.iter().find(|keys| keys.watcher.phone == phone);
        let keys = keys.with_context(|| format!("{phone} has no keys"))?;
        keys.wait(within, |said| {
            (states(said, name).last() == Some(&lit)).then_some(())
        })
        .with_context(|| format!("{phone}, {name}: should be lit: {lit}"))
    }

    /// What a phone's key has shown, one after the other.
    #[must_use]
    pub fn shown(&self, phone: Phone, name: &str) -> Vec<bool> {
        let keys = self.0.iter().find(|keys| keys.watcher.phone == phone);
        keys.map_or_else(Vec::new, |keys| {
            let said = keys.said.0.lock().unwrap_or_else(PoisonError::into_inner);
            states(&said, name)
        })
    }
}

/// `confirmed` is lit; `terminated`, or no dialog at all, is dark (RFC 4235, 3.7.1).
fn states(said: &[Value], name: &str) -> Vec<bool> {
    let notified = said
        .iter()
        .filter(|it| it["watch"] == *name && it["code"].is_null());
    notified
        .filter_map(|it| it["state"].as_str())
        .map(|state| state == "confirmed")
        .collect()
}

impl Keys {
    fn start(python: &Path, port: u16, watcher: Watcher<'static>) -> Result<Self> {
        let part = watcher.phone.part();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("live/watch.py");
        let mut command = tied(python);
        command.arg(script);
        let server = local(port).to_string();
        for (option, value) in [
            ("--server", server.as_str()),
            ("--user", part.user),
            ("--domain", part.domain),
            ("--target", watcher.domain),
        ] {
            command.args([option, value]);
        }
        if watcher.password {
            command.args(["--password", part.password]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting watch.py")?;
        let input = child.stdin.take().context("it was asked for")?;
        let output = child.stdout.take().context("it was asked for")?;
        let said = Said::default();
        let told = said.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    let mut said = told.0.lock().unwrap_or_else(PoisonError::into_inner);
                    said.push(value);
                    told.1.notify_all();
                }
            }
        });
        Ok(Self {
            watcher,
            child,
            input,
            said,
        })
    }

    fn wait<T>(&self, within: Duration, is_it: impl Fn(&[Value]) -> Option<T>) -> Result<T> {
        let (said, news) = &*self.said;
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = news.wait_timeout_while(said, within, |said| is_it(said).is_none());
        let (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        is_it(&said).with_context(|| {
            let lines: Vec<_> = said.iter().map(Value::to_string).collect();
            format!("it was told:\n{}", lines.join("\n"))
        })
    }
}

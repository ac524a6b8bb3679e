//! Links of the event socket: who is authenticated, who listens to what, and what goes wrong on the way.

use std::collections::{BTreeSet, VecDeque};

use tokio::{sync::mpsc, task::AbortHandle};

use super::{Input, Timer, World};
use crate::{
    events::{Event, Origin},
    wire::{self, Command, LinkId, Outgoing},
};

/// A command that was given to the background.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) uuid: String,
    pub(crate) word: String,
    pub(crate) argument: String,
}

/// A client of the event socket.
pub(crate) struct Link {
    queue: mpsc::UnboundedSender<Outgoing>,
    abort: AbortHandle,
    authenticated: bool,
    listens: Listens,
    /// Events kept back so that their order can be left to chance.
    kept_back: VecDeque<Vec<u8>>,
}

/// What a link listens to.
#[derive(Debug, Default)]
struct Listens {
    all: bool,
    names: BTreeSet<String>,
    subclasses: BTreeSet<String>,
}

impl Listens {
    fn wants(&self, name: &str, subclass: Option<&str>) -> bool {
        match subclass {
            _ if self.all => true,
            Some(subclass) => self.subclasses.contains(subclass),
            None => self.names.contains(name),
        }
    }

    fn is_nothing(&self) -> bool {
        !self.all && self.names.is_empty() && self.subclasses.is_empty()
    }

    /// Reads the keywords of `event` and `nixevent`; what follows CUSTOM are subclasses. True when one was known.
    fn read(&mut self, keywords: &str, add: bool) -> bool {
        let (mut custom, mut known) = (false, false);
        for word in keywords.split_whitespace() {
            if custom {
                change(&mut self.subclasses, word.to_owned(), add);
            } else if word.eq_ignore_ascii_case("ALL") {
                self.all = add;
            } else if word.eq_ignore_ascii_case("CUSTOM") {
                custom = true;
            } else if EVENTS.contains(&word.to_ascii_uppercase().as_str()) {
                change(&mut self.names, word.to_ascii_uppercase(), add);
            } else {
                continue;
            }
            known = true;
        }
        known
    }
}

fn change(set: &mut BTreeSet<String>, word: String, add: bool) {
    if add {
        set.insert(word);
    } else {
        set.remove(&word);
    }
}

/// Names that can be subscribed to. The real list is longer; the rest never happens here.
const EVENTS: &[&str] = &[
    "API",
    "BACKGROUND_JOB",
    "CALL_UPDATE",
    "CHANNEL_ANSWER",
    "CHANNEL_APPLICATION",
    "CHANNEL_BRIDGE",
    "CHANNEL_CALLSTATE",
    "CHANNEL_CREATE",
    "CHANNEL_DATA",
    "CHANNEL_DESTROY",
    "CHANNEL_EXECUTE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_HOLD",
    "CHANNEL_ORIGINATE",
    "CHANNEL_OUTGOING",
    "CHANNEL_PARK",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_STATE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_UNHOLD",
    "CHANNEL_UNPARK",
    "CHANNEL_UUID",
    "CODEC",
    "DTMF",
    "HEARTBEAT",
    "MODULE_LOAD",
    "MODULE_UNLOAD",
    "PLAYBACK_START",
    "PLAYBACK_STOP",
    "PRESENCE_IN",
    "PRESENCE_PROBE",
    "PRIVATE_COMMAND",
    "RELOADXML",
    "SHUTDOWN",
    "SHUTDOWN_REQUESTED",
    "STARTUP",
];

impl World {
    pub(super) fn link_up(
        &mut self,
        id: LinkId,
        queue: mpsc::UnboundedSender<Outgoing>,
        abort: AbortHandle,
    ) {
        // A link that is down already is taken out by its LinkDown, which comes next.
        let _ = queue.send(Outgoing::Faults(self.config.faults));
        self.links.insert(
            id,
            Link {
                queue,
                abort,
                authenticated: false,
                listens: Listens::default(),
                kept_back: VecDeque::new(),
            },
        );
    }

    pub(super) fn link_down(&mut self, id: LinkId) {
        self.links.remove(&id);
    }

    pub(super) fn cut_links(&mut self) {
        for link in std::mem::take(&mut self.links).into_values() {
            link.abort.abort();
        }
    }

    /// Closes all links after what has been said to them.
    pub(super) fn close_links(&mut self) {
        for link in std::mem::take(&mut self.links).into_values() {
            let _ = link.queue.send(Outgoing::Close);
        }
    }

    pub(super) fn tell_links_about_faults(&mut self) {
        for link in self.links.values() {
            let _ = link.queue.send(Outgoing::Faults(self.config.faults));
        }
    }

    /// Links that are authenticated, for the view.
    pub(super) fn link_count(&self) -> usize {
        self.links.values().filter(|l| l.authenticated).count()
    }

    pub(super) fn command(&mut self, id: LinkId, command: Command) {
        let line = command.line.trim().to_owned();
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.authenticated && word != "exit" {
            self.authenticate(id, word, rest);
            return;
        }
        let frame = match word {
            "api" if !rest.is_empty() => wire::api_response(&self.api(rest)),
            "bgapi" if !rest.is_empty() => return self.background(id, rest, &command),
            "sendevent" => wire::reply(&self.send_event(rest, &command), ""),
            "sendmsg" => wire::reply(&self.sendmsg(rest, &command), ""),
            "event" => wire::reply(&link.subscribe(rest), ""),
            "nixevent" if link.listens.read(rest, false) => wire::reply("+OK events nixed", ""),
            "nixevent" => wire::reply("-ERR no keywords supplied", ""),
            "noevents" if link.listens.is_nothing() => {
                wire::reply("-ERR not listening for events", "")
            }
            "noevents" => {
                link.listens = Listens::default();
                wire::reply("+OK no longer listening for events", "")
            }
            "exit" => {
                let _ = link.queue.send(Outgoing::Reply(wire::reply("+OK bye", "")));
                let notice = Outgoing::Reply(wire::disconnect_notice());
                let _ = link.queue.send(notice);
                let _ = link.queue.send(Outgoing::Close);
                return;
            }
            _ => wire::reply("-ERR command not found", ""),
        };
        self.reply(id, frame);
    }

    fn authenticate(&mut self, id: LinkId, word: &str, password: &str) {
        let accepted = word == "auth" && password == self.config.password;
        let text = match word {
            "auth" if accepted => "+OK accepted",
            "auth" => "-ERR invalid",
            _ => "-ERR command not found",
        };
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.authenticated = accepted;
        let _ = link.queue.send(Outgoing::Reply(wire::reply(text, "")));
        if word == "auth" && !accepted {
            let notice = Outgoing::Reply(wire::disconnect_notice());
            let _ = link.queue.send(notice);
            let _ = link.queue.send(Outgoing::Close);
        }
    }

    /// `bgapi`: the reply first, the result as an event.
    fn background(&mut self, id: LinkId, line: &str, command: &Command) {
        let job = match command.header("Job-UUID") {
            Some(job) => job.to_owned(),
            None => self.random.uuid(),
        };
        let text = format!("+OK Job-UUID: {job}");
        self.reply(id, wire::reply(&text, &format!("Job-UUID: {job}\n")));
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        let job = Job {
            uuid: job,
            word: word.to_owned(),
            argument: argument.to_owned(),
        };
        // The one command whose result comes much later.
        if word == "originate" {
            return self.originate(job);
        }
        let result = self.api(line);
        self.job_done(job, result);
    }

    /// The result of a job.
    pub(super) fn job_done(&mut self, job: Job, result: String) {
        let Job {
            uuid,
            word,
            argument,
        } = job;
        let mut event = Event::new("BACKGROUND_JOB")
            .with("Job-UUID", uuid)
            .with("Job-Command", word);
        if !argument.is_empty() {
            event = event.with("Job-Command-Arg", argument);
        }
        self.emit(&event.body(result));
    }

    /// `sendmsg <uuid>` with `execute`: one of the applications that run beside what the leg does.
    fn sendmsg(&mut self, uuid: &str, command: &Command) -> String {
        let uuid: super::Uuid = uuid.into();
        if self.live(&uuid).is_none() {
            return format!("-ERR invalid session id [{uuid}]");
        }
        let application = command.header("execute-app-name").unwrap_or_default();
        let argument = match command.header("execute-app-arg") {
            Some(argument) => argument,
            None => &command.body,
        };
        let known = command.header("call-command") == Some("execute")
            && self.run_application(&uuid, application, argument);
        if known {
            "+OK".to_owned()
        } else {
            format!("-ERR this fake can't execute {application}")
        }
    }

    fn reply(&mut self, id: LinkId, frame: Vec<u8>) {
        if self.config.faults.mute_replies {
            return;
        }
        if let Some(link) = self.links.get(&id) {
            let _ = link.queue.send(Outgoing::Reply(frame));
        }
    }

    /// The header block of the next event.
    pub(super) fn next_origin(&mut self) -> Origin {
        self.sequence += 1;
        Origin {
            core_uuid: self.core_uuid.clone(),
            switch_name: self.config.switch_name.clone(),
            sequence: self.sequence,
        }
    }

    /// Sends an event to whoever listens to it, as far as the faults let it through.
    pub(super) fn emit(&mut self, event: &Event) {
        let origin = self.next_origin();
        let wanted: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.listens.wants(event.name, event.subclass.as_deref()))
            .map(|(id, _)| *id)
            .collect();
        if wanted.is_empty() {
            return;
        }
        let frame = wire::event(&event.encode(&origin));
        for id in wanted {
            self.deliver(id, &frame);
        }
    }

    fn deliver(&mut self, id: LinkId, frame: &[u8]) {
        let faults = self.config.faults;
        if self.random.chance(faults.drop_per_mille) {
            return;
        }
        let copies = 1 + usize::from(self.random.chance(faults.duplicate_per_mille));
        let mut flush = false;
        for _ in 0..copies {
            let Some(link) = self.links.get_mut(&id) else {
                return;
            };
            if faults.reorder_window < 2 {
                let _ = link.queue.send(Outgoing::Event(frame.to_vec()));
                continue;
            }
            flush |= link.kept_back.is_empty();
            link.kept_back.push_back(frame.to_vec());
            if link.kept_back.len() >= faults.reorder_window {
                let at = self.random.below(link.kept_back.len() as u64);
                // The index is below the length.
                if let Some(event) = link.kept_back.remove(usize::try_from(at).unwrap_or(0)) {
                    let _ = link.queue.send(Outgoing::Event(event));
                }
            }
        }
        if flush {
            self.after(std::time::Duration::from_millis(5), Timer::Flush);
        }
    }

    pub(super) fn flush_kept_back(&mut self) {
        let mut random = self.random.clone();
        for link in self.links.values_mut() {
            while !link.kept_back.is_empty() {
                let at = random.below(link.kept_back.len() as u64);
                if let Some(event) = link.kept_back.remove(usize::try_from(at).unwrap_or(0)) {
                    let _ = link.queue.send(Outgoing::Event(event));
                }
            }
        }
        self.random = random;
    }

    pub(super) fn send_overlong(&mut self, length: usize) {
        let event = Event::custom("fake::overlong").with("Long", "x".repeat(length));
        let origin = self.next_origin();
        let frame = wire::event(&event.encode(&origin));
        self.send_raw(&frame);
    }

    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        for link in self.links.values().filter(|l| !l.listens.is_nothing()) {
            let _ = link.queue.send(Outgoing::Event(bytes.to_vec()));
        }
    }

    /// Puts the answer of the controller among the inputs once it has come.
    pub(super) fn spawn_question(&self, uuid: super::Uuid, generation: u64, path: String) {
        let address = self.config.controller.clone();
        let limit = self.config.ask_timeout;
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let answer = match address {
                Some(address) => crate::http::get(&address, &path, limit).await,
                None => None,
            };
            if let Some(inputs) = inputs.upgrade() {
                // Nobody waits for an answer when the switch has gone.
                let _ = inputs.send(Input::Answer(uuid, generation, answer));
            }
        });
    }
}

impl Link {
    fn subscribe(&mut self, rest: &str) -> String {
        let (format, keywords) = rest.split_once(' ').unwrap_or((rest, ""));
        // Without a format the first word is a keyword, and the format is plain.
        let keywords = match format {
            "plain" => keywords,
            "json" | "xml" => return "-ERR this fake speaks plain only".to_owned(),
            _ => rest,
        };
        if self.listens.read(keywords, true) {
            "+OK event listener enabled plain".to_owned()
        } else {
            "-ERR no keywords supplied".to_owned()
        }
    }
}

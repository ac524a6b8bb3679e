//! The link for commands: several in flight, told apart by their `ActionID`.
//!
//! ```text
//! 1 queued --written--> 2 sent --Response--> done, refused or denied
//!     |                   |   '--Response of a list--> 3 items --Complete--> done
//!     | time, link lost   | time, link lost, stopped waiting
//!     v                   v
//!  unsent              outcome unknown; what comes later is counted and dropped
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::ToSocketAddrs;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ConnectError, Login, Options, is_permission_denied, log_in};
use crate::action::{Action, AnswerForm, EncodeError, Privilege};
use crate::event::{Event, ListPart, Reply, ReplyStatus};
use crate::frame::{Frame, FrameKind};
use crate::link::{LinkError, Reader, Writer};
use crate::word::{ActionId, WordError};

/// What became of an action that has no result to give.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The switch has refused it; nothing happened.
    #[error("{action} refused: {text}")]
    Refused {
        /// The action's word.
        action: &'static str,
        /// What the switch said.
        text: String,
    },
    /// The user of manager.conf may not do this; nothing happened.
    #[error("{action} refused: the user's write permissions need {}", one_of(.needs))]
    PermissionDenied {
        /// The action's word.
        action: &'static str,
        /// Any one of these would do.
        needs: &'static [Privilege],
    },
    /// It was not sent; nothing happened.
    #[error("{action} not sent")]
    Unsent {
        /// The action's word.
        action: &'static str,
        /// Why.
        #[source]
        source: Unsent,
    },
    /// It was sent, and whether it was done is not known. After a time-out the link can still be used; otherwise it is down.
    #[error("outcome of {action} unknown")]
    Unknown {
        /// The action's word.
        action: &'static str,
        /// What happened.
        #[source]
        source: Arc<LinkError>,
    },
    /// The list is longer than [`Options::max_list`], or the switch gave it up. Lists change nothing.
    #[error("{action}: the list did not come whole")]
    Incomplete {
        /// The action's word.
        action: &'static str,
        /// Items that came.
        items: usize,
    },
}

fn one_of(needs: &[Privilege]) -> String {
    let words: Vec<_> = needs.iter().map(|need| need.as_str()).collect();
    match words.as_slice() {
        [] => "more".to_owned(),
        words => words.join(" or "),
    }
}

/// Why an action was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// The link was down before it was written, and that is why.
    #[error("the link is down")]
    Down(#[source] Arc<LinkError>),
    /// The switch didn't read for so long.
    #[error("no turn within {0:?}")]
    Busy(Duration),
    /// It can't be written as an action.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The link has used up its ids.
    #[error(transparent)]
    Id(#[from] WordError),
}

/// A list that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The answer in front of it.
    pub reply: Reply,
    /// Its items.
    pub items: Vec<Event>,
    /// The event behind it.
    pub end: Option<Event>,
}

/// What an action is answered with, when it is done.
type Outcome = Result<List, Failure>;

/// Why it isn't.
#[derive(Debug)]
enum Failure {
    /// Not written.
    Unsent(Arc<LinkError>),
    /// Written.
    Unknown(Arc<LinkError>),
    /// A list that did not come whole.
    Incomplete(usize),
}

/// One action that waits. It is removed from the table when its caller stops waiting.
struct Waiting {
    form: AnswerForm,
    /// Whether any octet of it may have been written.
    sent: bool,
    reply: Option<Reply>,
    items: Vec<Event>,
    octets: usize,
    done: oneshot::Sender<Outcome>,
}

struct Table {
    waiting: HashMap<u64, Waiting>,
    next: u64,
    /// Why the link is down.
    down: Option<Arc<LinkError>>,
}

struct Shared {
    prefix: String,
    max_list: usize,
    table: Mutex<Table>,
    /// As in the table, for who waits for it.
    ended: watch::Sender<Option<Arc<LinkError>>>,
    late: AtomicU64,
    stray: AtomicU64,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it holds the table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails all that wait, and all that come later.
    fn fail(&self, error: LinkError) {
        let error = Arc::new(error);
        let waiting = {
            let mut table = self.table();
            let first = table.down.get_or_insert_with(|| Arc::clone(&error));
            self.ended.send_replace(Some(Arc::clone(first)));
            std::mem::take(&mut table.waiting)
        };
        for waiting in waiting.into_values() {
            let error = Arc::clone(&error);
            let failure = if waiting.sent {
                Failure::Unknown(error)
            } else {
                Failure::Unsent(error)
            };
            let _ = waiting.done.send(Err(failure));
        }
    }

    /// Which of our actions this answers.
    fn number(&self, frame: &Frame) -> Option<u64> {
        let id = frame.headers().action_id()?;
        let number = id.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        number.parse().ok()
    }

    /// States 2 and 3 of the diagram.
    fn answer(&self, frame: Frame) {
        let Some(number) = self.number(&frame) else {
            // Events that nobody asked for come to a link that has none subscribed, too: `FullyBooted`.
            if frame.kind() != FrameKind::Event {
                self.stray.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(kind = %frame.kind(), "a packet that answers nothing");
            }
            return;
        };
        let mut table = self.table();
        let Some(waiting) = table.waiting.get_mut(&number) else {
            self.late.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(number, kind = %frame.kind(), "a late packet");
            return;
        };
        match waiting.take(frame, self.max_list) {
            Progress::More => {}
            Progress::Stray => {
                self.stray.fetch_add(1, Ordering::Relaxed);
            }
            Progress::Done(outcome) => {
                if let Some(waiting) = table.waiting.remove(&number) {
                    let _ = waiting.done.send(outcome);
                }
            }
        }
    }
}

enum Progress {
    More,
    Stray,
    Done(Outcome),
}

impl Waiting {
    fn take(&mut self, frame: Frame, max_list: usize) -> Progress {
        let part = frame.headers().list_part();
        let frame = match frame.into_event() {
            Err(frame) => frame,
            Ok(event) => return self.take_item(event, part, max_list),
        };
        match (frame.into_reply(), &self.reply) {
            (Ok(reply), None) => {
                let listed =
                    self.form == AnswerForm::List && reply.status() == ReplyStatus::Success;
                if listed {
                    self.reply = Some(reply);
                    Progress::More
                } else {
                    Progress::Done(Ok(List {
                        reply,
                        items: Vec::new(),
                        end: None,
                    }))
                }
            }
            _ => Progress::Stray,
        }
    }

    fn take_item(&mut self, event: Event, part: Option<ListPart>, max_list: usize) -> Progress {
        // A `UserEvent` or `OriginateResponse` has our id, too, if this link should get events.
        let Some(reply) = &self.reply else {
            return Progress::Stray;
        };
        match part {
            Some(ListPart::Complete) => Progress::Done(Ok(List {
                reply: reply.clone(),
                items: std::mem::take(&mut self.items),
                end: Some(event),
            })),
            Some(ListPart::Cancelled) => Progress::Done(Err(Failure::Incomplete(self.items.len()))),
            Some(ListPart::Start) | None => {
                self.octets += event.block().len();
                if self.octets > max_list {
                    return Progress::Done(Err(Failure::Incomplete(self.items.len())));
                }
                self.items.push(event);
                Progress::More
            }
        }
    }
}

/// Takes the caller's entry out of the table when he stops waiting, so that a late answer finds nobody.
struct Entry<'s> {
    shared: &'s Shared,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shared.table().waiting.remove(&self.number);
    }
}

/// An action on its way to the writer.
struct Outgoing {
    number: u64,
    octets: BytesMut,
}

/// The link for commands. Callers share it, and needn't wait for each other.
///
/// A time-out makes an outcome unknown and leaves the link up. Once the link is down it is down for good, and whoever owns it makes a
/// new one.
pub struct CommandLink {
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    tasks: [JoinHandle<()>; 2],
    reply_timeout: Duration,
    version: String,
}

impl CommandLink {
    /// Connects and logs in, without events. Starts two tasks, which end with the link.
    ///
    /// # Errors
    /// Which step failed, see [`ConnectError`].
    pub async fn connect(
        addr: impl ToSocketAddrs,
        login: &Login,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let link = log_in(addr, login, options).await?;
        let shared = Arc::new(Shared {
            prefix: options.id_prefix.to_string(),
            max_list: options.max_list,
            table: Mutex::new(Table {
                waiting: HashMap::new(),
                next: link.ids,
                down: None,
            }),
            ended: watch::Sender::new(None),
            late: AtomicU64::new(0),
            stray: AtomicU64::new(0),
        });
        let (outgoing, queue) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(read(link.link.reader, Arc::clone(&shared))),
            tokio::spawn(write(link.link.writer, queue, Arc::clone(&shared))),
        ];
        Ok(Self {
            shared,
            outgoing,
            tasks,
            reply_timeout: options.reply_timeout,
            version: link.version,
        })
    }

    /// Runs an action and gives its answer; of a list action the answer in front of the list. Dropping the future leaves the link
    /// up, and the outcome unknown.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn run(&self, action: &Action) -> Result<Reply, CommandError> {
        self.run_within(action, self.reply_timeout).await
    }

    /// As [`run`](Self::run), with a time-out of its own.
    ///
    /// # Errors
    /// Refused, unsent, or outcome unknown.
    pub async fn run_within(
        &self,
        action: &Action,
        limit: Duration,
    ) -> Result<Reply, CommandError> {
        Ok(self.list_within(action, limit).await?.reply)
    }

    /// Runs a list action and collects the list; any other gives an empty one. What the switch refuses because there is nothing to
    /// list is an empty list.
    ///
    /// # Errors
    /// Refused, unsent, outcome unknown, or a list that did not come whole.
    pub async fn list(&self, action: &Action) -> Result<Vec<Event>, CommandError> {
        let list = self.list_within(action, self.reply_timeout).await?;
        Ok(list.items)
    }

    /// As [`list`](Self::list), with a time-out of its own, and with the packets around the list.
    ///
    /// # Errors
    /// Refused, unsent, outcome unknown, or a list that did not come whole.
    pub async fn list_within(
        &self,
        action: &Action,
        limit: Duration,
    ) -> Result<List, CommandError> {
        let name = action.name();
        let unsent = |source| CommandError::Unsent {
            action: name,
            source,
        };
        let unknown = |source| CommandError::Unknown {
            action: name,
            source,
        };
        let (done, outcome) = oneshot::channel();
        let (number, octets) = self.enter(action, done).map_err(unsent)?;
        let entry = Entry {
            shared: &self.shared,
            number,
        };
        // If the writer is gone, the link is failing, and what is in the table fails with it.
        let _ = self.outgoing.send(Outgoing { number, octets });
        let list = match timeout(limit, outcome).await {
            Ok(Ok(Ok(list))) => list,
            Ok(Ok(Err(Failure::Unsent(error)))) => return Err(unsent(Unsent::Down(error))),
            Ok(Ok(Err(Failure::Unknown(error)))) => return Err(unknown(error)),
            Ok(Ok(Err(Failure::Incomplete(items)))) => {
                return Err(CommandError::Incomplete {
                    action: name,
                    items,
                });
            }
            // The entry was dropped without a word: the tasks are gone.
            Ok(Err(_)) => return Err(unknown(Arc::new(LinkError::Closed))),
            Err(_) => {
                let sent = self
                    .shared
                    .table()
                    .waiting
                    .get(&number)
                    .is_none_or(|waiting| waiting.sent);
                return Err(if sent {
                    unknown(Arc::new(LinkError::Timeout(limit)))
                } else {
                    unsent(Unsent::Busy(limit))
                });
            }
        };
        drop(entry);
        judge(action, list)
    }

    /// Enters an action into the table.
    fn enter(
        &self,
        action: &Action,
        done: oneshot::Sender<Outcome>,
    ) -> Result<(u64, BytesMut), Unsent> {
        let mut table = self.shared.table();
        if let Some(error) = &table.down {
            return Err(Unsent::Down(Arc::clone(error)));
        }
        let number = table.next;
        let id = ActionId::new(format!("{}-{number}", self.shared.prefix))?;
        let mut octets = BytesMut::new();
        action.encode(&id, &mut octets)?;
        table.next += 1;
        table.waiting.insert(
            number,
            Waiting {
                form: action.answer_form(),
                sent: false,
                reply: None,
                items: Vec::new(),
                octets: 0,
                done,
            },
        );
        Ok((number, octets))
    }

    /// Whether the link is up, as far as is known.
    pub fn is_up(&self) -> bool {
        self.shared.table().down.is_none()
    }

    /// Comes back when the link is down, and says why.
    pub async fn ended(&self) -> Arc<LinkError> {
        let mut ended = self.shared.ended.subscribe();
        loop {
            if let Some(error) = &*ended.borrow_and_update() {
                return Arc::clone(error);
            }
            if ended.changed().await.is_err() {
                // The sender lives as long as we do.
                return Arc::new(LinkError::Closed);
            }
        }
    }

    /// Packets that came for an action that nobody waits for any more.
    pub fn late(&self) -> u64 {
        self.shared.late.load(Ordering::Relaxed)
    }

    /// Answers that have no id of ours.
    pub fn stray(&self) -> u64 {
        self.shared.stray.load(Ordering::Relaxed)
    }

    /// The version of the interface that the greeting said: `11.0.0` is Asterisk 22.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The answer as the result that it means.
fn judge(action: &Action, list: List) -> Result<List, CommandError> {
    match list.reply.status() {
        ReplyStatus::Success | ReplyStatus::Goodbye => Ok(list),
        ReplyStatus::Error if is_permission_denied(&list.reply) => {
            Err(CommandError::PermissionDenied {
                action: action.name(),
                needs: action.permission(),
            })
        }
        // Quirk (22.10): res_pjsip/location.c refuses to list nothing.
        ReplyStatus::Error
            if *action == Action::PjsipShowContacts
                && list.reply.message() == "No Contacts found" =>
        {
            Ok(list)
        }
        ReplyStatus::Error | ReplyStatus::Unknown(_) => {
            let text = match list.reply.output() {
                output if output.is_empty() => list.reply.message().into_owned(),
                output => output,
            };
            Err(CommandError::Refused {
                action: action.name(),
                text,
            })
        }
    }
}

async fn read(mut reader: Reader, shared: Arc<Shared>) {
    let error = loop {
        match reader.next().await {
            Ok(frame) if frame.kind() == FrameKind::Greeting => {
                break LinkError::Unexpected(FrameKind::Greeting);
            }
            Ok(frame) => shared.answer(frame),
            Err(error) => break error,
        }
    };
    shared.fail(error);
}

async fn write(
    mut writer: Writer,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
) {
    while let Some(Outgoing { number, octets }) = queue.recv().await {
        match shared.table().waiting.get_mut(&number) {
            Some(waiting) => waiting.sent = true,
            // Nobody waits any more, and nothing was written.
            None => continue,
        }
        if let Err(error) = writer.send(&octets).await {
            shared.fail(error);
            return;
        }
    }
}

impl Drop for CommandLink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for CommandLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandLink")
            .field("up", &self.is_up())
            .field("late", &self.late())
            .finish_non_exhaustive()
    }
}

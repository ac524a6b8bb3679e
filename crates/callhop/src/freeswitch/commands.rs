//! What is asked of, and ordered from, a FreeSWITCH over its command link.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use callhop_calls::core::{Answer, ArmOrder, MoveReport, PullOrder};
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId};
use callhop_calls::lamp::Lamp;
use callhop_esl::word::{AppArg, DialString, HashKey, Uuid36, VarName, VarValue, Word};
use callhop_esl::{Api, ApiReply, CommandError, CommandLink, Event, EventName};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tracing::warn;

use super::translate;
use crate::switch::{Caller, Questions, Reading, RunError, is_displayable};

/// The realm of mod_hash in which the routing snapshot is kept.
const REALM: &str = "callhop";

/// What the phones that stop ringing are told (RFC 3326; mod_sofia.c reads the variable `sip_reason`).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// A command link that is up.
#[derive(Debug, Clone)]
pub(super) struct Up {
    pub(super) link: Arc<CommandLink>,
    /// Devices that have come into the directory.
    pub(super) new_devices: mpsc::UnboundedSender<DeviceId>,
    /// Whether the switch has been read since.
    pub(super) read: bool,
}

/// The way to send commands to one switch, whichever connection it has at the moment.
#[derive(Debug, Clone)]
pub struct Commands {
    up: watch::Receiver<Option<Up>>,
    wake: Arc<Notify>,
    poke: Arc<Notify>,
    pub(super) dialplan: Dialplan,
}

/// Where the switch's dialplan has what a push needs.
#[derive(Debug, Clone)]
pub(super) struct Dialplan {
    /// A context that includes `callhop.xml`.
    pub(super) context: String,
    /// How a number outside is dialled, with `{number}` in it; `None` where that is not allowed.
    pub(super) outside: Option<String>,
}

impl Commands {
    pub(super) fn new(
        up: watch::Receiver<Option<Up>>,
        wake: Arc<Notify>,
        poke: Arc<Notify>,
        dialplan: Dialplan,
    ) -> Self {
        Self {
            up,
            wake,
            poke,
            dialplan,
        }
    }

    async fn until(&self, limit: Duration, enough: impl Fn(&Up) -> bool) {
        let mut up = self.up.clone();
        if up.borrow().is_none() {
            self.wake.notify_one();
        }
        // What is missing then is said by the command that needs it.
        let _ = timeout(limit, up.wait_for(|up| up.as_ref().is_some_and(&enough))).await;
    }

    fn link(&self) -> Result<Arc<CommandLink>, RunError> {
        let up = self.up.borrow();
        up.as_ref().map(|up| up.link.clone()).ok_or(RunError::Down)
    }

    /// Sets what a move needs to be set; a failure is logged, and what comes next goes on.
    pub(super) async fn prepare(&self, leg: &ChannelId, variables: Variables<'_>) {
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        if let Err(error) = self.set(leg, variables).await {
            warn!(%leg, variables = names.join(" "), %error, "a leg could not be prepared");
        }
    }

    /// Sets variables of a leg, in as few commands as can be.
    pub(super) async fn set(
        &self,
        leg: &ChannelId,
        variables: Variables<'_>,
    ) -> Result<(), RunError> {
        let uuid = Uuid36::new(leg.as_str())?;
        let mut together = Vec::new();
        for (name, value) in variables {
            let (name, value) = (VarName::new(name)?, VarValue::new(value)?);
            // The semicolon separates variables of one command.
            if value.as_str().contains(';') {
                let uuid = uuid.clone();
                self.api(&Api::UuidSetvar { uuid, name, value }).await?;
            } else {
                together.push((name, value));
            }
        }
        if !together.is_empty() {
            let variables = together;
            self.api(&Api::UuidSetvarMulti { uuid, variables }).await?;
        }
        Ok(())
    }

    /// Removes a variable of a leg.
    pub(super) async fn unset(&self, leg: &ChannelId, name: &str) -> Result<(), RunError> {
        let uuid = Uuid36::new(leg.as_str())?;
        let name = VarName::new(name)?;
        self.api(&Api::UuidUnsetvar { uuid, name }).await?;
        Ok(())
    }

    pub(super) async fn api(&self, api: &Api) -> Result<ApiReply, RunError> {
        Ok(self.link()?.api(api).await?)
    }

    /// Starts a job whose number is ours.
    pub(super) async fn job(&self, api: &Api, job: &Uuid36) -> Result<(), RunError> {
        Ok(self.link()?.bgapi(api, job).await?)
    }
}

#[async_trait]
impl Questions for Commands {
    fn hurry_events(&self) {
        self.poke.notify_one();
    }

    async fn until_linked(&self, limit: Duration) {
        self.until(limit, |_| true).await;
    }

    async fn until_read(&self, limit: Duration) {
        self.until(limit, |up| up.read).await;
    }

    async fn caller(&self, leg: &ChannelId) -> Result<Option<Caller>, RunError> {
        let dump = dump(&*self.link()?, leg).await?;
        Ok(dump.as_ref().and_then(translate::caller))
    }

    async fn read(&self, legs: Vec<ChannelId>) -> Result<Reading, RunError> {
        let link = self.link()?;
        let (mut read, mut absent) = (Vec::new(), Vec::new());
        for leg in legs {
            match dump(&link, &leg).await? {
                Some(event) => read.extend(translate::snapshot_leg(&event)),
                None => absent.push(leg),
            }
        }
        Ok((read, absent))
    }

    async fn prepare_pull(&self, new_leg: &ChannelId, order: &PullOrder) {
        let mut own = at_answer(&order.code);
        let display = [
            ("initial_callee_id_number", &order.party.number),
            ("initial_callee_id_name", &order.party.name),
        ];
        own.extend(
            display
                .into_iter()
                .filter(|(_, value)| is_displayable(value))
                .map(|(name, value)| (name, Cow::Borrowed(value.as_str()))),
        );
        if let Some(push) = order.taken_back {
            own.push(("callhop_push", push.to_string().into()));
        }
        if order.far_rings {
            own.push(("intercept_unanswered_only", "true".into()));
        }
        for fork in &order.forks {
            self.prepare(fork, vec![("sip_reason", ELSEWHERE.into())])
                .await;
        }
        // Else the far end would be sent an UPDATE with the number of the new device.
        let quiet = vec![("ignore_display_updates", "true".into())];
        self.prepare(&order.far_leg, quiet).await;
        self.prepare(new_leg, own).await;
    }

    // `intercept` has released the old leg.
    async fn after_pull(&self, _: &MoveReport) {}

    fn dial_string(&self, answer: &Answer) -> String {
        translate::dial_string(answer)
    }

    // A late order costs the other side some packets (60 ms).
    async fn arm(&self, order: &ArmOrder) -> Result<(), RunError> {
        let ArmOrder { leg, code, .. } = order;
        if !order.late {
            return self.set(leg, at_answer(code)).await;
        }
        let code_is_known = vec![("callhop_push_code", Cow::Borrowed(code.as_str()))];
        self.set(leg, code_is_known).await?;
        let uuid = Uuid36::new(leg.as_str())?;
        // The leg runs them in this order when it gets to it, so it does not say that it listens before it does.
        let armed = format!("{}=true", translate::ARMED);
        for (app, arg) in [("bind_digit_action", binding(code)), ("set", armed)] {
            let (app, arg) = (Word::new(app)?, AppArg::new(arg)?);
            self.link()?.execute(&uuid, app, arg).await?;
        }
        Ok(())
    }

    fn ask_contacts(&self, devices: Vec<DeviceId>) {
        if let Some(up) = &*self.up.borrow() {
            for device in devices {
                // The connection may just have ended.
                let _ = up.new_devices.send(device);
            }
        }
    }

    // mod_sofia sends it to every phone that has subscribed to the name (sofia_presence.c). Measured: the NOTIFY is on the
    // wire within 3 ms, 5,000 of them take 2.8 s, and one that nobody has subscribed to goes nowhere.
    async fn show_lamp(&self, lamp: &Lamp, lit: bool) -> Result<(), RunError> {
        let headers = translate::presence(lamp, lit);
        let headers: Result<Vec<_>, _> = headers
            .into_iter()
            .map(|(name, value)| Ok((name, VarValue::new(value)?)))
            .collect();
        let headers = headers.map_err(RunError::EslWord)?;
        let link = self.link()?;
        link.send_event(EventName::PresenceIn, headers).await?;
        Ok(())
    }

    async fn publish(
        &self,
        extension: &ExtensionId,
        answer: Option<&Answer>,
    ) -> Result<(), RunError> {
        let realm = Word::new(REALM)?;
        let key = HashKey::new(extension.to_string())?;
        let api = match answer {
            Some(answer) => Api::HashInsert {
                realm,
                key,
                value: DialString::new(translate::dial_string(answer))?,
            },
            None => Api::HashDelete { realm, key },
        };
        match self.link()?.api(&api).await {
            Ok(_) => Ok(()),
            // It was not there.
            Err(CommandError::Refused { .. }) if answer.is_none() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Variables and their values.
pub(super) type Variables<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// What makes a leg listen for the push code once it is answered. Its own dialplan needs the code again after a push.
fn at_answer(code: &str) -> Variables<'_> {
    vec![
        ("callhop_push_code", code.into()),
        (
            "execute_on_answer_callhop_1",
            format!("bind_digit_action {}", binding(code)).into(),
        ),
        (
            translate::ARMED_AT_ANSWER,
            format!("set {}=true", translate::ARMED).into(),
        ),
    ]
}

/// The argument of `bind_digit_action`, as in the dialplan file (callhop_back). `[i]` runs it in the thread that reads the
/// digit, so the bridge is not left for it (mod_dptools.c).
fn binding(code: &str) -> String {
    let key = translate::PUSH_KEY;
    format!("^^|callhop|{code}|exec[i]:event|Event-Name=CUSTOM,Event-Subclass={key}|self|self")
}

/// The data of a channel; `None` if there is no such channel.
pub(super) async fn dump(
    link: &CommandLink,
    leg: &ChannelId,
) -> Result<Option<Event>, CommandError> {
    // A name that is not a UUID is none of this switch's channels.
    let Ok(uuid) = Uuid36::new(leg.as_str()) else {
        return Ok(None);
    };
    match link.api(&Api::UuidDump { uuid }).await {
        Ok(reply) => Ok(Some(reply.into_event())),
        Err(CommandError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The contacts of a device.
pub(super) async fn contacts(
    link: &CommandLink,
    device: &DeviceId,
) -> Result<Vec<String>, RunError> {
    let api = Api::SofiaContact {
        user: Word::new(device.number.as_str())?,
        domain: Word::new(device.domain.as_str())?,
    };
    Ok(translate::contacts(&link.api(&api).await?.text()))
}

pub(super) async fn show_channels(link: &CommandLink) -> Result<String, CommandError> {
    link.api(&Api::ShowChannels).await.map(into_text)
}

pub(super) async fn show_registrations(link: &CommandLink) -> Result<String, CommandError> {
    link.api(&Api::ShowRegistrations).await.map(into_text)
}

fn into_text(reply: ApiReply) -> String {
    reply.text().into_owned()
}

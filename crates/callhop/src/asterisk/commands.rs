//! What is asked of, and ordered from, an Asterisk over its command link.
//!
//! Owns the names of the extensions in `dialplan/asterisk/callhop.conf` and of the variables that they read.
//!
//! | order | on Asterisk |
//! |---|---|
//! | split | `Setvar` of both legs, one `Redirect` of both to `callhop-push`: `collect` and `hold` |
//! | ring | `Setvar` and `Redirect` of the far leg to `ring`, which dials the target; `Setvar` of the old leg, which hears ringback then |
//! | offer | `Originate` of a Local channel to `callhop-offer`, which dials the target |
//! | give back | `Redirect` of the old leg to `back` or `refused` |
//! | recall | `Redirect` of the far leg to `recall` |
//! | release | `Hangup`, unless it talks |
//! | return code | `PlayDTMF` with `Receive` |
//! | settle | nothing: a bridge that ends is no danger to the far leg any more than any other |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use callhop_ami::action::{Cause, DeviceState, DialTo, Goto, Then, Value, Variable};
use callhop_ami::word::{
    ChannelName, Context, DbKey, DialString, Digit, Exten, UniqueId, VarName, VarValue,
};
use callhop_ami::{Action, CommandError, CommandLink, Event};
use callhop_calls::core::{
    Answer, ArmOrder, MoveReport, OfferOrder, PullOrder, RingOrder, RingTarget, SplitOrder,
};
use callhop_calls::id::{ChannelId, DeviceId, ExtensionId};
use callhop_calls::lamp::Lamp;
use callhop_calls::pull::Class;
use callhop_calls::tracker::{Party, SnapshotLeg};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::translate::{self, Counter, Translator};
use super::words;
use crate::config::Endpoints;
use crate::switch::{Caller, PushOrders, Questions, Reading, RunError, is_displayable};

/// The family of AstDB in which the routing snapshot is kept.
const FAMILY: &str = "callhop";

/// The context in which the legs of a push wait.
const PUSH: &str = "callhop-push";

/// The context in which calls are offered.
const OFFERS: &str = "callhop-offer";

/// A frame of audio: so late may a digit end that Asterisk itself plays, as it does with those that come by SIP INFO. In a
/// bridge its end would begin a code, or go to the far end.
const FRAME: Duration = Duration::from_millis(20);

/// How long the far end keeps its sound after a `*`: a phone sends no voice while it sends a digit, and for some time after that
/// (160 ms seen with PJSIP), which would be dead air.
const AFTER_DIGIT: Duration = Duration::from_millis(100);

/// A command link that is up.
#[derive(Debug, Clone)]
pub(super) struct Up {
    pub(super) link: Arc<CommandLink>,
    /// Whether the switch has been read since.
    pub(super) read: bool,
}

/// What driver and commands remember together.
pub(super) type Memory = Arc<Mutex<Translator>>;

/// Nothing panics while it holds the memory.
pub(super) fn locked(memory: &Memory) -> MutexGuard<'_, Translator> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to send commands to one switch, whichever connection it has at the moment.
#[derive(Debug, Clone)]
pub struct Commands {
    pub(super) up: watch::Receiver<Option<Up>>,
    pub(super) wake: Arc<Notify>,
    pub(super) memory: Memory,
    pub(super) counter: Counter,
    /// When the program began, for the times of digits.
    pub(super) began: Instant,
    pub(super) site: Arc<Site>,
}

/// What the configuration says about the switch.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) endpoints: Endpoints,
    /// Where the number of a fallback is dialled that names no context.
    pub(super) context: String,
    /// How a number outside is dialled, with `{number}` in it; `None` where that is not allowed.
    pub(super) outside: Option<String>,
}

impl Commands {
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

    async fn run(&self, action: &Action) -> Result<(), RunError> {
        self.link()?.run(action).await?;
        Ok(())
    }

    /// Sets a variable; what the whitelist refuses is not set.
    async fn set(&self, leg: &ChannelName, name: &str, value: Value) -> Result<(), RunError> {
        let action = Action::Setvar {
            channel: Some(leg.clone()),
            name: VarName::new(name)?,
            value,
        };
        self.run(&action).await
    }

    /// Sets several, in the order in which they stand.
    async fn set_all<const N: usize>(
        &self,
        leg: &ChannelName,
        variables: [(&str, Value); N],
    ) -> Result<(), RunError> {
        for (name, value) in variables {
            self.set(leg, name, value).await?;
        }
        Ok(())
    }

    async fn get(
        &self,
        channel: Option<ChannelName>,
        variable: Variable,
    ) -> Result<String, RunError> {
        let action = Action::Getvar { channel, variable };
        let reply = self.link()?.run(&action).await?;
        Ok(reply.get("Value").unwrap_or_default().into_owned())
    }

    /// Where the phone of a leg is; nothing for a leg that is none of PJSIP.
    async fn phone(&self, leg: &ChannelName) -> Option<String> {
        let address = self
            .get(Some(leg.clone()), Variable::ChannelRemoteAddress)
            .await;
        address.ok().filter(|address| !address.is_empty())
    }

    /// Sends legs on in the dialplan. A `Redirect` to an extension that is not there succeeds, and hangs the channel up.
    async fn redirect(
        &self,
        leg: &ChannelId,
        exten: &str,
        extra: Option<(&ChannelId, &str)>,
    ) -> Result<(), RunError> {
        let context = Context::new(PUSH)?;
        let asked = Variable::DialplanExists(context.clone(), Exten::new(exten)?);
        if self.get(None, asked).await? != "1" {
            return Err(RunError::NoDialplan(PUSH));
        }
        let to = |exten: &str| -> Result<Goto, RunError> {
            Ok(Goto {
                context: context.clone(),
                exten: Exten::new(exten)?,
            })
        };
        let extra = match extra {
            Some((leg, exten)) => Some((ChannelName::new(leg.as_str())?, to(exten)?)),
            None => None,
        };
        let action = Action::Redirect {
            channel: ChannelName::new(leg.as_str())?,
            to: to(exten)?,
            extra,
        };
        self.run(&action).await
    }

    async fn reading_of(&self, leg: &ChannelId) -> Result<Option<SnapshotLeg>, RunError> {
        // A name that is none of a channel is none of this switch's.
        let Ok(name) = ChannelName::new(leg.as_str()) else {
            return Ok(None);
        };
        let sequence = self.counter.next();
        let link = self.link()?;
        let Some(own) = status(&link, &name).await? else {
            return Ok(None);
        };
        let read = locked(&self.memory).reading(&own, sequence);
        let Some(mut read) = read else {
            return Ok(None);
        };
        if let Some(peer) = &read.talks_to
            && let Ok(peer) = ChannelName::new(peer.as_str())
        {
            let peer = status(&link, &peer).await?;
            read.holds = peer.as_ref().is_some_and(translate::is_held);
        }
        if read.facts.device.is_some() {
            read.facts.phone = self.phone(&name).await;
        }
        Ok(Some(read))
    }

    fn target(&self, target: &RingTarget) -> String {
        match target {
            RingTarget::Devices(answer) => self.dial_string(answer),
            RingTarget::Outside(number) => {
                let template = self.site.outside.as_deref().unwrap_or_default();
                template.replace("{number}", number.as_str())
            }
        }
    }

    fn dial(&self, answer: Option<&Answer>) -> Result<Value, RunError> {
        let text = answer.map_or_else(String::new, |answer| self.dial_string(answer));
        dial(text)
    }
}

/// What the target of a push or offer shows instead of the far end's own name; nothing where that is as it should be.
fn shown(prefix: &str, party: &Party) -> String {
    let shown = [party.name.as_str(), party.number.as_str()];
    let shown = shown.into_iter().find(|text| is_displayable(text));
    match shown {
        Some(shown) if !prefix.is_empty() => format!("{prefix}{shown}"),
        Some(_) | None => String::new(),
    }
}

fn plain(text: &str) -> Result<Value, callhop_ami::word::WordError> {
    Ok(Value::Plain(VarValue::new(text)?))
}

/// A dial string, or nothing.
fn dial(text: String) -> Result<Value, RunError> {
    Ok(if text.is_empty() {
        plain("")?
    } else {
        Value::Dial(DialString::new(text)?)
    })
}

/// A sound in the words of the dialplan; silence stands for one that Asterisk does not have, which the configuration refuses.
fn sound(text: &str) -> Result<Value, RunError> {
    dial(words::sound(text).unwrap_or_else(|| "silence".to_owned()))
}

/// What is read of a channel beside its state.
pub(super) fn status_variables() -> Result<Vec<Variable>, RunError> {
    let mut variables = vec![Variable::ChannelOnhold];
    for name in [
        "BRIDGEPEER",
        "DYNAMIC_FEATURES",
        "CALLHOP_MOVE",
        "CALLHOP_DIALLED",
        "CALLHOP_NUMBER",
        "CALLHOP_EXTENSION",
        "CALLHOP_DOMAIN",
    ] {
        variables.push(Variable::Name(VarName::new(name)?));
    }
    Ok(variables)
}

/// The state of a channel; `None` if there is none.
async fn status(link: &CommandLink, channel: &ChannelName) -> Result<Option<Event>, RunError> {
    let action = Action::Status {
        channel: Some(channel.clone()),
        variables: status_variables()?,
    };
    match link.list(&action).await {
        Ok(items) => Ok(items.into_iter().next()),
        Err(CommandError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[async_trait]
impl Questions for Commands {
    // Asterisk sends an event when it happens.
    fn hurry_events(&self) {}

    async fn until_linked(&self, limit: Duration) {
        self.until(limit, |_| true).await;
    }

    async fn until_read(&self, limit: Duration) {
        self.until(limit, |up| up.read).await;
    }

    async fn caller(&self, leg: &ChannelId) -> Result<Option<Caller>, RunError> {
        let Ok(name) = ChannelName::new(leg.as_str()) else {
            return Ok(None);
        };
        let status = status(&*self.link()?, &name).await?;
        let caller = status.and_then(|status| Translator::caller(&self.site.endpoints, &status));
        Ok(match caller {
            // Only a device that dialled something has to be told from its other registrations.
            Some(caller) if caller.device.is_some() => Some(Caller {
                phone: self.phone(&name).await,
                ..caller
            }),
            other => other,
        })
    }

    async fn read(&self, legs: Vec<ChannelId>) -> Result<Reading, RunError> {
        let (mut read, mut absent) = (Vec::new(), Vec::new());
        for leg in legs {
            match self.reading_of(&leg).await? {
                Some(reading) => read.push(reading),
                None => absent.push(leg),
            }
        }
        Ok((read, absent))
    }

    async fn prepare_pull(&self, new_leg: &ChannelId, order: &PullOrder) {
        // Who is shown to whom is seen to by the dialplan.
        let arm = ArmOrder {
            switch: order.switch.clone(),
            leg: new_leg.clone(),
            code: order.code.clone(),
            late: false,
        };
        if let Err(error) = self.arm(&arm).await {
            warn!(leg = %new_leg, %error, "a leg does not listen for the push code");
        }
    }

    // `Bridge` takes the far end, and leaves the old leg to its own dialplan: that of an outbound call would go on behind its
    // Dial, and who pushed would wait for the rest of the time. An old leg that talked has been released.
    async fn after_pull(&self, report: &MoveReport) {
        let is_left = matches!(
            report.class,
            Some(Class::RingingOutbound | Class::Pushed) | None
        );
        if is_left && let Err(error) = self.release(&report.old_leg).await {
            debug!(leg = %report.old_leg, %error, "the old leg is not released");
        }
    }

    fn dial_string(&self, answer: &Answer) -> String {
        words::dial_string(&self.site.endpoints, answer)
    }

    async fn publish(
        &self,
        extension: &ExtensionId,
        answer: Option<&Answer>,
    ) -> Result<(), RunError> {
        let family = DbKey::new(FAMILY)?;
        let key = DbKey::new(extension.to_string())?;
        let text = answer.map(|answer| self.dial_string(answer));
        let action = match text.filter(|text| !text.is_empty()) {
            Some(text) => Action::DbPut {
                family,
                key,
                value: Value::Dial(DialString::new(text)?),
            },
            None => Action::DbDel { family, key },
        };
        let is_removal = matches!(action, Action::DbDel { .. });
        match self.run(&action).await {
            // It was not there.
            Err(error) if is_removal && error.refused().is_some() => Ok(()),
            done => done,
        }
    }

    // Asterisk lists every contact.
    fn ask_contacts(&self, _: Vec<DeviceId>) {}

    // The hint of the dialplan is on this state. Measured: the NOTIFY is on the wire within 1 ms, 2,000 states take 0.2 s;
    // Asterisk keeps them over its own restart.
    async fn show_lamp(&self, lamp: &Lamp, lit: bool) -> Result<(), RunError> {
        let domain = &lamp.extension.domain;
        if !self.site.endpoints.patterns().any(|(it, _)| it == domain) {
            return Ok(());
        }
        let action = Action::SetDeviceState {
            name: DbKey::new(lamp.to_string())?,
            state: if lit {
                DeviceState::InUse
            } else {
                DeviceState::NotInUse
            },
        };
        self.run(&action).await
    }

    // A variable of the leg, which counts from its next bridge on, also if that comes late. A call that talks already is left
    // alone: there is no way to put its two legs into a bridge anew that never loses it (ARCHITECTURE.md).
    async fn arm(&self, order: &ArmOrder) -> Result<(), RunError> {
        let leg = ChannelName::new(order.leg.as_str())?;
        let name = VarName::new("DYNAMIC_FEATURES")?;
        // The admin's own features stay.
        let before = self.get(Some(leg.clone()), Variable::Name(name)).await?;
        let features = words::with_feature(&before, &order.code);
        self.set(&leg, "DYNAMIC_FEATURES", plain(&features)?)
            .await?;
        locked(&self.memory).prepared(&order.leg);
        Ok(())
    }
}

#[async_trait]
impl PushOrders for Commands {
    async fn split(&self, order: &SplitOrder) -> Result<(), RunError> {
        let old_leg = ChannelName::new(order.old_leg.as_str())?;
        let far_leg = ChannelName::new(order.far_leg.as_str())?;
        let fallback = match &order.fallback {
            Some(fallback) => {
                let (number, context) = fallback
                    .split_once('@')
                    .unwrap_or((fallback, &self.site.context));
                dial(format!("{context},{number},1"))?
            }
            None => plain("")?,
        };
        self.set(&old_leg, "CALLHOP_FAR", plain(far_leg.as_str())?)
            .await?;
        let far = [
            ("CALLHOP_SOUND", sound(&order.hold_sound)?),
            ("CALLHOP_UNTIL", plain(&order.until.0.to_string())?),
            ("CALLHOP_RECALL", self.dial(order.recall.as_ref())?),
            ("CALLHOP_FALLBACK", fallback),
        ];
        self.set_all(&far_leg, far).await?;
        locked(&self.memory).pushes(&order.old_leg, &order.far_leg);
        self.redirect(&order.old_leg, "collect", Some((&order.far_leg, "hold")))
            .await
    }

    async fn ring(&self, order: &RingOrder) -> Result<(), RunError> {
        let far_leg = ChannelName::new(order.far_leg.as_str())?;
        let target = self.target(&order.target);
        let name = shown(&order.prefix, &order.party);
        let variables = [
            ("CALLHOP_TARGET", dial(target)?),
            (
                "CALLHOP_RING_S",
                plain(&order.timeout.as_secs().to_string())?,
            ),
            ("CALLHOP_RINGBACK", sound(&order.ringback)?),
            ("CALLHOP_UNTIL", plain(&order.until.0.to_string())?),
            // Inherited by the legs that are dialled.
            ("__CALLHOP_SHOWN_NAME", plain(&name)?),
            ("__CALLHOP_MOVE", plain(&order.id.to_string())?),
        ];
        self.set_all(&far_leg, variables).await?;
        let old_leg = locked(&self.memory).rings(&order.far_leg, order.id);
        self.redirect(&order.far_leg, "ring", None).await?;
        if let Some(old_leg) = old_leg {
            let heard = async {
                let old_leg = ChannelName::new(old_leg.as_str())?;
                self.set(&old_leg, "CALLHOP_RINGS", plain("1")?).await
            };
            if let Err(error) = heard.await {
                // It has hung up, or hears silence instead of ringing.
                debug!(leg = %old_leg, %error, "who pushes does not hear that it rings");
            }
        }
        Ok(())
    }

    async fn offer(&self, order: &OfferOrder) -> Result<(), RunError> {
        let context = Context::new(OFFERS)?;
        let asked = Variable::DialplanExists(context.clone(), Exten::new("ring")?);
        if self.get(None, asked).await? != "1" {
            return Err(RunError::NoDialplan(OFFERS));
        }
        let to = |exten: &str| -> Result<Goto, RunError> {
            Ok(Goto {
                context: context.clone(),
                exten: Exten::new(exten)?,
            })
        };
        // Both are inherited by the legs that are dialled.
        let variables = [
            ("__CALLHOP_MOVE", plain(&order.id.to_string())?),
            (
                "__CALLHOP_SHOWN_NAME",
                plain(&shown(&order.prefix, &order.party))?,
            ),
            (
                "_CALLHOP_SHOWN_NUMBER",
                plain(
                    Some(order.party.number.as_str())
                        .filter(|n| is_displayable(n))
                        .unwrap_or_default(),
                )?,
            ),
            ("_CALLHOP_TARGET", dial(self.target(&order.target))?),
            (
                "_CALLHOP_RING_S",
                plain(&order.timeout.as_secs().to_string())?,
            ),
        ];
        let id = |half: u8| UniqueId::new(format!("{}{}-{half}", translate::OFFER, order.id));
        let named = variables
            .into_iter()
            .map(|(name, value)| Ok((VarName::new(name)?, value)));
        let action = Action::Originate {
            dial: DialTo::Local(to("ring")?),
            channel_id: id(1)?,
            other_channel_id: Some(id(2)?),
            then: Then::Goto(to("answered")?),
            // The dialplan's own time ends first.
            timeout: order.timeout + Duration::from_secs(1),
            caller: None,
            variables: named.collect::<Result<_, RunError>>()?,
            early_media: false,
        };
        self.run(&action).await
    }

    async fn give_back(&self, old_leg: &ChannelId, tone: bool) -> Result<(), RunError> {
        let to = if tone { "refused" } else { "back" };
        let lasts = locked(&self.memory).digit_lasts(old_leg, self.began.elapsed());
        let wait = AFTER_DIGIT.max(lasts + FRAME);
        let ends = plain(&format!("{:.3}", wait.as_secs_f64()))?;
        let leg = ChannelName::new(old_leg.as_str())?;
        self.set(&leg, "CALLHOP_DIGIT_ENDS_S", ends).await?;
        self.redirect(old_leg, to, None).await
    }

    async fn recall(&self, far_leg: &ChannelId) -> Result<(), RunError> {
        locked(&self.memory).rings_no_more(far_leg);
        self.redirect(far_leg, "recall", None).await
    }

    async fn release(&self, leg: &ChannelId) -> Result<(), RunError> {
        // It may have taken the far end in the same moment: who talks is not hung up.
        if let Some(peer) = locked(&self.memory).peer(leg) {
            debug!(%leg, %peer, "a leg talks, and is not released");
            return Ok(());
        }
        let action = Action::Hangup {
            channel: ChannelName::new(leg.as_str())?,
            cause: Cause::NORMAL_CLEARING,
        };
        self.run(&action).await
    }

    async fn settle(&self, far_leg: &ChannelId) -> Result<(), RunError> {
        locked(&self.memory).rings_no_more(far_leg);
        Ok(())
    }

    async fn return_code(&self, leg: &ChannelId, code: &str) -> Result<(), RunError> {
        let channel = ChannelName::new(leg.as_str())?;
        for digit in code.chars() {
            let action = Action::PlayDtmf {
                channel: channel.clone(),
                digit: Digit::new(digit)?,
                duration: None,
                receive: true,
            };
            self.run(&action).await?;
        }
        Ok(())
    }
}

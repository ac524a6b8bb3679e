//! The orders of pushes, as FreeSWITCH takes them.
//!
//! Owns the names of the extensions in `dialplan/freeswitch/callhop.xml`, and what each leg is told before it goes there.
//!
//! | order | on FreeSWITCH |
//! |---|---|
//! | split | `uuid_setvar_multi` of both legs, `uuid_dual_transfer` to `callhop_push` and `callhop_hold` |
//! | ring | `uuid_setvar` of the far leg, `uuid_transfer` to `callhop_hold`, `bgapi originate ... callhop_target XML <context>` |
//! | offer | `bgapi originate ... callhop_take XML <context>` |
//! | give back | `uuid_transfer` of the old leg to `callhop_back` or `callhop_refused` |
//! | recall | `uuid_transfer` of the far leg to `callhop_recall` |
//! | release | `uuid_kill` |
//! | return code | `uuid_recv_dtmf` |
//! | settle | `uuid_setvar` of the far leg, without `transfer_after_bridge` |

use async_trait::async_trait;
use callhop_calls::core::{OfferOrder, RingOrder, RingTarget, SplitOrder};
use callhop_calls::id::{ChannelId, MoveId};
use callhop_calls::tracker::Party;
use callhop_esl::Api;
use callhop_esl::command::{Leg, Then, TransferTo};
use callhop_esl::word::{DialString, Number, OriginateValue, Uuid36, VarName, Word};

use super::commands::{Commands, Variables};
use super::translate;
use crate::switch::{PushOrders, RunError, is_displayable};

/// Where a leg goes whose bridge ends without its doing.
const AFTER_BRIDGE: &str = "transfer_after_bridge";

#[async_trait]
impl PushOrders for Commands {
    async fn split(&self, order: &SplitOrder) -> Result<(), RunError> {
        let (old_leg, far_leg) = (&order.old_leg, &order.far_leg);
        let context = &self.dialplan.context;
        let own: Variables<'_> = vec![
            ("callhop_far", far_leg.as_str().into()),
            ("callhop_push", order.id.to_string().into()),
            ("callhop_push_code", order.code.as_str().into()),
            ("ignore_display_updates", "true".into()),
            // The partner is transferred first (mod_commands.c, dual_transfer_function). Who notices that its bridge is over
            // before its own transfer would hang up (switch_ivr_bridge.c, audio_bridge_on_exchange_media).
            (AFTER_BRIDGE, format!("callhop_push:XML:{context}").into()),
        ];
        let mut far: Variables<'_> = vec![
            ("callhop_sound", order.hold_sound.as_str().into()),
            ("callhop_until", order.until.0.to_string().into()),
            ("ignore_display_updates", "true".into()),
            // Should its bridge end while nobody has said that it is settled, it is not hung up.
            (AFTER_BRIDGE, format!("callhop_hold:XML:{context}").into()),
        ];
        if let Some(recall) = &order.recall {
            far.push(("callhop_recall", translate::dial_string(recall).into()));
        }
        if let Some(fallback) = &order.fallback {
            let (number, context) = fallback.split_once('@').unwrap_or((fallback, context));
            far.push(("callhop_fallback", format!("{number} {context}").into()));
        }
        let keys = ["effective_caller_id_number", "effective_caller_id_name"];
        far.extend(display(keys, "", &order.party));
        self.set(old_leg, own).await?;
        self.set(far_leg, far).await?;
        let api = Api::UuidDualTransfer {
            uuid: Uuid36::new(old_leg.as_str())?,
            own: self.extension("callhop_push")?,
            partner: self.extension("callhop_hold")?,
        };
        let done = self.api(&api).await;
        if done.is_err() {
            // The call goes on, and ends as it would have.
            self.unset(old_leg, AFTER_BRIDGE).await?;
        }
        done.map(drop)
    }

    async fn ring(&self, order: &RingOrder) -> Result<(), RunError> {
        let far: Variables<'_> = vec![
            ("callhop_sound", order.ringback.as_str().into()),
            ("callhop_until", order.until.0.to_string().into()),
        ];
        self.set(&order.far_leg, far).await?;
        self.transfer(&order.far_leg, "callhop_hold").await?;
        let dial = self.dial(&order.target)?;
        let mut variables = vec![
            variable(translate::MADE_BY, order.id.to_string())?,
            variable("callhop_push", order.id.to_string())?,
            variable("callhop_far", order.far_leg.as_str())?,
            variable("ignore_early_media", "true")?,
            variable("originate_timeout", order.timeout.as_secs().to_string())?,
        ];
        variables.extend(shown_at_target(&order.prefix, &order.party)?);
        let then = self.then("callhop_target")?;
        let api = Api::Originate {
            variables,
            dial,
            then,
        };
        self.job(&api, &job(order.id)?).await
    }

    async fn offer(&self, order: &OfferOrder) -> Result<(), RunError> {
        let dial = self.dial(&order.target)?;
        let mut variables = vec![
            variable(translate::MADE_BY, order.id.to_string())?,
            variable("ignore_early_media", "true")?,
            variable("originate_timeout", order.timeout.as_secs().to_string())?,
        ];
        variables.extend(shown_at_target(&order.prefix, &order.party)?);
        let then = self.then("callhop_take")?;
        let api = Api::Originate {
            variables,
            dial,
            then,
        };
        self.job(&api, &job(order.id)?).await
    }

    async fn give_back(&self, old_leg: &ChannelId, tone: bool) -> Result<(), RunError> {
        let to = if tone {
            "callhop_refused"
        } else {
            "callhop_back"
        };
        self.transfer(old_leg, to).await
    }

    async fn recall(&self, far_leg: &ChannelId) -> Result<(), RunError> {
        self.transfer(far_leg, "callhop_recall").await
    }

    async fn settle(&self, far_leg: &ChannelId) -> Result<(), RunError> {
        self.unset(far_leg, AFTER_BRIDGE).await
    }

    async fn release(&self, leg: &ChannelId) -> Result<(), RunError> {
        let api = Api::UuidKill {
            uuid: Uuid36::new(leg.as_str())?,
            cause: Word::new("NORMAL_CLEARING")?,
        };
        self.api(&api).await?;
        Ok(())
    }

    async fn return_code(&self, leg: &ChannelId, code: &str) -> Result<(), RunError> {
        let api = Api::UuidRecvDtmf {
            uuid: Uuid36::new(leg.as_str())?,
            digits: Number::new(code)?,
        };
        self.api(&api).await?;
        Ok(())
    }
}

impl Commands {
    fn dial(&self, target: &RingTarget) -> Result<DialString, RunError> {
        let text = match target {
            RingTarget::Devices(answer) => translate::dial_string(answer),
            RingTarget::Outside(number) => {
                let template = self.dialplan.outside.as_deref().unwrap_or_default();
                template.replace("{number}", number.as_str())
            }
        };
        Ok(DialString::new(text)?)
    }

    /// Where who was rung goes on once it is answered: the call completes by itself, also if we are gone by then.
    fn then(&self, extension: &str) -> Result<Then, RunError> {
        Ok(Then::Extension {
            number: Number::new(extension)?,
            context: Word::new(self.dialplan.context.as_str())?,
        })
    }

    async fn transfer(&self, leg: &ChannelId, extension: &str) -> Result<(), RunError> {
        let api = Api::UuidTransfer {
            uuid: Uuid36::new(leg.as_str())?,
            leg: Leg::Own,
            to: self.extension(extension)?,
        };
        self.api(&api).await?;
        Ok(())
    }

    fn extension(&self, name: &str) -> Result<TransferTo, RunError> {
        Ok(TransferTo::Extension {
            number: Number::new(name)?,
            context: Word::new(self.dialplan.context.as_str())?,
        })
    }
}

/// The number of the job that makes the legs of a push.
fn job(id: MoveId) -> Result<Uuid36, RunError> {
    Ok(Uuid36::new(id.to_string())?)
}

fn variable(
    name: &'static str,
    value: impl Into<String>,
) -> Result<(VarName, OriginateValue), RunError> {
    Ok((VarName::new(name)?, OriginateValue::new(value.into())?))
}

/// Who the far end is, for the display of a leg that is made.
fn shown_at_target(
    prefix: &str,
    party: &Party,
) -> Result<Vec<(VarName, OriginateValue)>, RunError> {
    let keys = ["origination_caller_id_number", "origination_caller_id_name"];
    let shown = display(keys, prefix, party).into_iter();
    shown
        .map(|(name, value)| variable(name, value.into_owned()))
        .collect()
}

/// Number and name of the far end, as far as they may be shown. Without a name that may, the number stands for it.
fn display(
    [number_key, name_key]: [&'static str; 2],
    prefix: &str,
    party: &Party,
) -> Variables<'static> {
    let mut shown = Variables::new();
    if is_displayable(&party.number) {
        shown.push((number_key, party.number.clone().into()));
    }
    let named = [&party.name, &party.number].into_iter();
    if let Some(name) = named.into_iter().find(|name| is_displayable(name)) {
        shown.push((name_key, format!("{prefix}{name}").into()));
    }
    shown
}

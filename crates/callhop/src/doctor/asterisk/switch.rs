//! An Asterisk by its manager interface.

use std::str::FromStr;

use callhop_ami::action::{ConsoleCommand, Value, Variable};
use callhop_ami::word::{DbKey, VarValue, WordError};
use callhop_ami::{Action, CommandError, CommandLink};
use callhop_calls::id::DeviceId;

use super::{dialplan, endpoints, features, manager};
use crate::{
    config::{Asterisk, Config},
    doctor::{Finding, chain},
};

/// The oldest version that Callhop knows.
const OLDEST: u32 = 20;

/// A module, what of the dialplan or the driver needs it, and what does not work without.
struct Module {
    name: &'static str,
    /// Applications and functions of the dialplan that it brings.
    #[cfg_attr(not(test), allow(dead_code))]
    brings: &'static [&'static str],
    without: &'static str,
}

const fn module(
    name: &'static str,
    brings: &'static [&'static str],
    without: &'static str,
) -> Module {
    Module {
        name,
        brings,
        without,
    }
}

const STARS: &str = "star codes end in an error";
const NO_PUSH: &str = "nobody can push";

/// What the switch itself has (main/), and needs no module, is in the test below.
#[rustfmt::skip]
const MODULES: [Module; 32] = [
    module("pbx_config", &[], "extensions.conf is not read"),
    module("app_stack", &["Gosub", "Return", "STACK_PEEK"], "neither star codes nor inbound calls reach Callhop"),
    module("func_curl", &["CURL", "CURLOPT"], "the dialplan cannot ask the controller"),
    module("res_curl", &[], "the dialplan cannot ask the controller"),
    module("func_uri", &["URIENCODE"], "the dialplan cannot ask the controller"),
    module("func_strings", &["FILTER", "LEN", "REGEX", "TOLOWER"], "the dialplan understands no answer of the controller"),
    module("func_logic", &["IF", "IMPORT", "ISNULL"], "inbound calls do not ring by the last known route, and no push is given back"),
    module("func_cut", &["CUT"], "nobody can pull, and a push has no sound"),
    module("func_db", &["DB"], "inbound calls cannot ring by the last known route while the controller is down"),
    module("func_global", &["SHARED"], "a push that was answered may be given back"),
    module("func_callerid", &["CALLERID", "CONNECTEDLINE"], "the phone of a moved call does not show whom it has"),
    module("func_channel", &["CHANNEL"], "the controller does not see who holds, and from which phone a code is dialled"),
    module("func_dialplan", &[], NO_PUSH),
    module("app_dial", &["Dial"], "nothing rings"),
    module("app_exec", &["ExecIf"], STARS),
    module("app_playtones", &["Playtones", "StopPlaytones"], "there is neither beep nor refusal tone, and no silence for who waits while a call is pushed"),
    module("app_directed_pickup", &["PickupChan"], "a call that still rings cannot be pulled"),
    module("app_userevent", &["UserEvent"], NO_PUSH),
    module("app_waitforcond", &["WaitForCondition"], NO_PUSH),
    module("app_playback", &["Playback"], "a hold sound out of a file is silence"),
    module("res_musiconhold", &["StartMusicOnHold", "StopMusicOnHold"], "there is no music on hold, and a push ends in an error"),
    module("chan_pjsip", &["PJSIPHangup"], "there is no SIP"),
    module("res_pjsip", &[], "there is no SIP"),
    module("res_pjsip_session", &[], "there are no calls"),
    module("res_pjsip_sdp_rtp", &[], "calls have no audio"),
    module("res_rtp_asterisk", &[], "calls have no audio"),
    module("res_pjsip_registrar", &[], "phones cannot register"),
    module("res_pjsip_authenticator_digest", &[], "whoever calls is not asked who he is"),
    module("res_pjsip_caller_id", &[], "the phone of a moved call does not show whom it has"),
    module("res_pjsip_dtmf_info", &[], "phones that send digits by SIP INFO cannot push"),
    module("res_pjsip_rfc3326", &[], "phones show a missed call when it was answered elsewhere"),
    module("bridge_simple", &[], "two people cannot talk to each other"),
];

/// The family in which AstDB is tried; the routing snapshot has another one.
const FAMILY: &str = "callhop_doctor";

pub(in crate::doctor) async fn examine(
    config: &Config,
    switch: &Asterisk,
    devices: &[DeviceId],
) -> Vec<Finding> {
    let link = match manager::connect(switch).await {
        Ok(link) => link,
        Err(finding) => return vec![finding],
    };
    let subject = switch.name.as_str();
    let what = format!(
        "the manager interface at {} takes the secret of {}",
        switch.address, switch.username
    );
    let mut findings = vec![Finding::good(subject, what)];
    if let Err(error) = look(config, switch, devices, &link, &mut findings).await {
        findings.push(Finding::broken(
            subject,
            chain(error),
            "look at the switch's log, and run `callhop doctor` again",
        ));
    }
    findings
}

async fn look(
    config: &Config,
    switch: &Asterisk,
    devices: &[DeviceId],
    link: &CommandLink,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandError> {
    let subject = switch.name.as_str();
    findings.extend(manager::in_the_clear(switch).await);
    let (found, goes_on) = manager::examine(switch, link).await?;
    findings.extend(found);
    if !goes_on {
        return Ok(());
    }
    let settings = link.run(&Action::CoreSettings).await?;
    let version = settings.get("AsteriskVersion").unwrap_or_default();
    findings.extend(too_old(subject, &version));

    let mut missing = Vec::new();
    for Module { name, without, .. } in &MODULES {
        let check = Action::ModuleCheck { module: word(name) };
        match link.run(&check).await {
            Ok(_) => {}
            Err(CommandError::Refused { .. }) => missing.push((*name, *without)),
            Err(error) => return Err(error),
        }
    }
    findings.extend(not_loaded(subject, &missing));
    if !missing.iter().any(|(name, _)| *name == "func_db") {
        findings.push(database(subject, link).await);
    }

    let others = config.switches().count() > 1;
    let read = endpoints::read(switch, devices, link).await?;
    findings.extend(endpoints::told(subject, others, &read));
    findings.extend(endpoints::trunk(switch, link).await?);
    let plan = dialplan::read(link).await?;
    findings.extend(dialplan::examine(config, switch, plan.as_ref(), &read, link).await?);
    findings.extend(features::examine(config, subject, plan.as_ref(), link).await?);
    // The link waits for it: so it is the last question.
    let has_curl = !missing.iter().any(|(name, _)| name.ends_with("_curl"));
    if has_curl {
        findings.push(reach(config, subject, link).await);
    }
    Ok(())
}

fn too_old(subject: &str, version: &str) -> Option<Finding> {
    // `22.10.1+dfsg`, `certified/20.7-cert3`, `GIT-20-1a2b3c`; `GIT-master-1a2b3c` has no number.
    let number = version
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find_map(|part| part.parse::<u32>().ok())?;
    (number < OLDEST).then(|| {
        Finding::broken(
            subject,
            format!("this is Asterisk {version}, older than {OLDEST}"),
            format!("install Asterisk {OLDEST} or newer"),
        )
    })
}

fn not_loaded(subject: &str, missing: &[(&str, &str)]) -> Vec<Finding> {
    if missing.is_empty() {
        return vec![Finding::good(subject, "all modules are loaded")];
    }
    let one = |(name, without): &(&str, &str)| {
        Finding::broken(
            subject,
            format!("{name} is not loaded: {without}"),
            format!(
                "asterisk -rx 'module load {name}.so', and in [modules] of modules.conf a line load = {name}.so (or no \
                 noload line for it)"
            ),
        )
    };
    missing.iter().map(one).collect()
}

/// Writes, reads and removes a key.
async fn database(subject: &str, link: &CommandLink) -> Finding {
    let (family, key): (DbKey, DbKey) = (word(FAMILY), word("try"));
    let value: VarValue = word("PJSIP/1001");
    let tried = async {
        let put = Action::DbPut {
            family: family.clone(),
            key: key.clone(),
            value: Value::Plain(value.clone()),
        };
        link.run(&put).await?;
        let get = Action::DbGet {
            family: family.clone(),
            key: key.clone(),
        };
        let read = link.list(&get).await?;
        link.run(&Action::DbDel { family, key }).await?;
        let read = read.first().and_then(|item| item.get("Val"));
        Ok::<bool, CommandError>(read.as_deref() == Some(value.as_str()))
    };
    let cure = "let astdbdir in [directories] of asterisk.conf be a folder in which Asterisk may write, with room left";
    match tried.await {
        Ok(true) => Finding::good(subject, "the AstDB keeps what is written"),
        Ok(false) => Finding::broken(subject, "the AstDB does not keep what is written", cure),
        Err(error) => Finding::broken(subject, chain(error), cure),
    }
}

/// Whether the switch itself gets an answer from the controller.
async fn reach(config: &Config, subject: &str, link: &CommandLink) -> Finding {
    let address = config.http.listen;
    let asked = get(link, Variable::Curl(address, word("healthz"))).await;
    if asked.is_ok_and(|answer| answer == "ok") {
        return Finding::good(subject, "the switch reaches the controller");
    }
    Finding::broken(
        subject,
        format!("the switch gets no answer from the controller at {address}"),
        "start the controller with `callhop run` on the switch's own machine",
    )
}

/// The value of a variable or function; empty if there is none.
pub(super) async fn get(link: &CommandLink, variable: Variable) -> Result<String, CommandError> {
    let action = Action::Getvar {
        channel: None,
        variable,
    };
    let reply = link.run(&action).await?;
    Ok(reply.get("Value").unwrap_or_default().into_owned())
}

/// What the console prints; `None` if that may not be asked.
pub(super) async fn console(
    link: &CommandLink,
    command: ConsoleCommand,
) -> Result<Option<String>, CommandError> {
    match link.run(&Action::Command(command)).await {
        Ok(reply) => Ok(Some(reply.output())),
        Err(CommandError::PermissionDenied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A word of this program.
#[allow(clippy::expect_used)] // all of them are constants with letters, digits, `_` and `/`
pub(super) fn word<W: FromStr<Err = WordError>>(text: &str) -> W {
    text.parse().expect("a name in this program is a word")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dialplan::{ASTERISK, ASTERISK_FEATURES};

    /// Applications and functions of main/ and pbx/pbx_builtins.c.
    const OWN: [&str; 12] = [
        "AMI_CLIENT",
        "Answer",
        "Bridge",
        "Goto",
        "GotoIf",
        "Hangup",
        "NoOp",
        "Progress",
        "Ringing",
        "Set",
        "Wait",
        "SoftHangup",
    ];

    #[test]
    fn every_word_of_the_dialplan_has_its_module() {
        let known: BTreeSet<&str> = MODULES
            .iter()
            .flat_map(|module| module.brings)
            .copied()
            .collect();
        let text: String = [ASTERISK, ASTERISK_FEATURES]
            .concat()
            .lines()
            .filter(|line| !line.starts_with(';'))
            .map(|line| format!("{line}\n"))
            .collect();
        let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut unknown = BTreeSet::new();
        for (at, _) in text.match_indices('(') {
            let before = &text[..at];
            let start = before
                .rfind(|c| !is_of_a_word(c))
                .map_or(0, |place| place + 1);
            let word = &before[start..];
            // A label, a pattern, an option of Dial or Gosub, or a part of an expression.
            let begins = before[..start].ends_with([',', '?', '{']);
            let is_word = word.starts_with(|c: char| c.is_ascii_uppercase()) && begins;
            if is_word && !known.contains(word) && !OWN.contains(&word) && word != "U" {
                unknown.insert(word);
            }
        }
        assert_eq!(unknown, BTreeSet::new(), "add them to MODULES or OWN");
    }

    #[test]
    fn modules_that_are_missing_are_told_with_what_does_not_work() {
        let found = not_loaded(
            "sw",
            &[("func_curl", "the dialplan cannot ask the controller")],
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].what,
            "func_curl is not loaded: the dialplan cannot ask the controller"
        );
        let cure = found[0].cure.as_deref().unwrap();
        assert!(cure.contains("module load func_curl.so"), "{cure}");
    }

    #[test]
    fn versions() {
        let check = |version: &str, old: bool| {
            assert_eq!(too_old("sw", version).is_some(), old, "{version}");
        };
        check("22.10.1+dfsg+~cs6.17", false);
        check("20.0.0", false);
        check("18.26.4", true);
        check("certified/18.9-cert14", true);
        check("certified/20.7-cert3", false);
        check("GIT-16-1a2b3c", true);
        check("GIT-master-1a2b3c", false);
        check("", false);
    }
}

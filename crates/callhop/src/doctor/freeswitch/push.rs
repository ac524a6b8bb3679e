//! What the settings of pushes need of a FreeSWITCH.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{Config, Freeswitch},
    doctor::push::policies,
};

/// The modules that the sounds of the configuration need, with the reason.
pub(super) fn modules(config: &Config) -> BTreeMap<&'static str, String> {
    let mut modules = BTreeMap::new();
    for (_, push) in policies(config) {
        for (key, sound) in [
            ("hold_sound", &push.hold_sound),
            ("ringback", &push.ringback),
        ] {
            let module = match sound.split_once("://") {
                Some(("local_stream", _)) => "mod_local_stream",
                Some(("shout", _)) => "mod_shout",
                // mod_tone_stream is needed by all, and what else there is, the admin knows.
                Some(_) => continue,
                None => match sound.rsplit_once('.') {
                    Some((_, "wav" | "aiff" | "au" | "ogg" | "flac")) => "mod_sndfile",
                    Some((_, "mp3")) => "mod_shout",
                    _ => "mod_native_file",
                },
            };
            modules.insert(module, format!("{key} = \"{sound}\" is not played"));
        }
    }
    modules
}

/// The contexts to which calls go that nobody wants back.
pub(super) fn fallback_contexts<'a>(
    config: &'a Config,
    switch: &'a Freeswitch,
) -> BTreeSet<&'a str> {
    policies(config)
        .filter_map(|(_, push)| push.fallback.as_deref())
        .map(|fallback| {
            let other = fallback.split_once('@').map(|(_, context)| context);
            other.unwrap_or(&switch.context)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, read};

    fn config(text: &str) -> Config {
        let switch = "[[freeswitch]]\noutside = 'sofia/gateway/t/{number}'\n";
        let text = format!("{switch}{text}");
        read(&text, Path::new(""), &Environment::new()).unwrap()
    }

    #[test]
    fn sounds_need_modules() {
        let check = |sound: &str, expect: &[&str]| {
            let modules = modules(&config(&format!("[push]\nhold_sound = '{sound}'\n")));
            assert_eq!(modules.into_keys().collect::<Vec<_>>(), expect, "{sound}");
        };
        check("silence_stream://-1,1400", &[]);
        check("local_stream://moh", &["mod_local_stream"]);
        check("/var/sounds/hold.wav", &["mod_sndfile"]);
        check("hold.mp3", &["mod_shout"]);
        check("hold", &["mod_native_file"]);
    }

    #[test]
    fn a_fallback_is_in_the_context_of_the_switch_or_in_its_own() {
        let config = config(
            "context = 'phones'\n[push]\nfallback = '4000'\n[domains.a.push]\nfallback = '1@voicemail'\n",
        );
        let contexts = fallback_contexts(&config, &config.freeswitch[0]);
        assert_eq!(
            contexts.into_iter().collect::<Vec<_>>(),
            ["phones", "voicemail"]
        );
    }
}

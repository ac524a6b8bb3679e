//! What the dialplan and a leg are told, in Asterisk's words: dial strings, sounds, and the feature of a push code.

use callhop_ami::word::ContactUri;
use callhop_calls::core::Answer;

use crate::config::Endpoints;

/// What the names of the features begin with (features.conf, `applicationmap`) that a leg listens for by its variable
/// `DYNAMIC_FEATURES`.
const FEATURE: &str = "callhop_push";

/// The dial string of an answer: each contact of each device by itself, because `PJSIP/<endpoint>` calls only the first one
/// (chan_pjsip.c). A device without a contact that may be written is dialled by its name.
#[must_use]
pub fn dial_string(endpoints: &Endpoints, answer: &Answer) -> String {
    let mut legs = Vec::new();
    for (device, contacts) in &answer.targets {
        let Some(endpoint) = endpoints.endpoint(device) else {
            continue;
        };
        let contacts: Result<Vec<_>, _> = contacts
            .iter()
            .map(|contact| ContactUri::new(contact.as_str()))
            .collect();
        match contacts {
            Ok(contacts) if !contacts.is_empty() => {
                legs.extend(contacts.iter().map(|uri| format!("PJSIP/{endpoint}/{uri}")));
            }
            Ok(_) | Err(_) => legs.push(format!("PJSIP/{endpoint}")),
        }
    }
    legs.join("&")
}

/// A sound of the configuration, in the words of `callhop-push` in the dialplan; `None` if Asterisk has no such sound.
///
/// ```text
/// silence_stream://...                        silence
/// tone_stream://%(on,off,hertz[,hertz])...    tone:hertz[+hertz]/on,0/off
/// local_stream://class                        moh:class
/// /path/to/file.wav                           file:/path/to/file
/// ```
#[must_use]
pub fn sound(text: &str) -> Option<String> {
    if text.starts_with("silence_stream://") {
        return Some("silence".to_owned());
    }
    if let Some(class) = text.strip_prefix("local_stream://") {
        let is_word = !class.is_empty()
            && class
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        return is_word.then(|| format!("moh:{class}"));
    }
    if let Some(tone) = text.strip_prefix("tone_stream://") {
        let (tone, _) = tone.strip_prefix("%(")?.split_once(')')?;
        let numbers: Vec<u32> = tone
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect::<Option<_>>()?;
        return match numbers.as_slice() {
            [on, 0, hertz] => Some(format!("tone:{hertz}/{on}")),
            [on, off, hertz] => Some(format!("tone:{hertz}/{on},0/{off}")),
            [on, off, one, two] => Some(format!("tone:{one}+{two}/{on},0/{off}")),
            _ => None,
        };
    }
    let is_path = text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'));
    // `Playback` takes the name without its ending (main/file.c).
    let (name, ending) = text.rsplit_once('.')?;
    (is_path && !ending.contains('/')).then(|| format!("file:{name}"))
}

/// The feature of a push code: its name has the code in it, with letters for the two signs.
#[must_use]
pub fn feature(code: &str) -> String {
    format!("{FEATURE}_{}", code.replace('*', "s").replace('#', "h"))
}

/// `DYNAMIC_FEATURES` with that of a push code among them (separated by `#`, main/features_config.c).
#[must_use]
pub fn with_feature(before: &str, code: &str) -> String {
    let others = before
        .split('#')
        .filter(|feature| !feature.is_empty() && !feature.starts_with(FEATURE));
    let own = feature(code);
    others.chain([own.as_str()]).collect::<Vec<_>>().join("#")
}

/// Whether a leg's `DYNAMIC_FEATURES` have a push code among them.
pub(super) fn is_armed(features: &str) -> bool {
    features
        .split('#')
        .any(|feature| feature.starts_with(FEATURE))
}

//! The dialplan that admins drop in, with the codes and addresses of their configuration.
//!
//! Owns the text of the files in `dialplan/` and their variables. Writes nothing that the whitelists of the configuration
//! have not seen, so a rendered file needs no escaping.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use callhop_calls::{
    id::{Domain, SwitchName},
    star::Features,
};

use crate::config::{Asterisk, Config};

/// `dialplan/freeswitch/callhop.xml`, with the defaults.
pub(crate) const FREESWITCH: &str = include_str!("../../../dialplan/freeswitch/callhop.xml");

/// The name of the file in the folder that a context includes.
pub const FREESWITCH_FILE: &str = "callhop.xml";

/// How the file begins: this is how it is known again.
const FREESWITCH_HEAD: &str = "<!--\n  Callhop for FreeSWITCH:";

/// `dialplan/asterisk/callhop.conf`, with the defaults.
pub(crate) const ASTERISK: &str = include_str!("../../../dialplan/asterisk/callhop.conf");

/// The name of the file that extensions.conf includes.
pub const ASTERISK_FILE: &str = "callhop.conf";

/// `dialplan/asterisk/callhop_features.conf`, with the defaults.
pub(crate) const ASTERISK_FEATURES: &str =
    include_str!("../../../dialplan/asterisk/callhop_features.conf");

/// The name of the file that features.conf includes.
pub const ASTERISK_FEATURES_FILE: &str = "callhop_features.conf";

/// How the files of Asterisk begin: this is how they are known again.
const ASTERISK_HEAD: &str = "; Callhop";

/// What takes the place of the `Dial` line in the admin's own extension for inbound calls.
pub const ASTERISK_INBOUND: &str = "\
 same => n,Set(CALLHOP_DEFAULT=PJSIP/1001&PJSIP/1002)
 same => n,Gosub(callhop-hunt,s,1)
 same => n,Dial(${CALLHOP_TARGETS},30)
";

/// What takes the place of the `bridge` line in the admin's own extension for inbound calls.
pub const FREESWITCH_INBOUND: &str = r#"<action application="set" data="callhop_default=user/1001@example.com,user/1002@example.com"/>
<action application="execute_extension" data="callhop_hunt XML ${context}"/>
<action application="bridge" data="${callhop_targets}"/>
"#;

/// The file for FreeSWITCH: every code of every domain that is called (that of a push is told to each leg), the address that this switch asks, and the domain of calls that
/// carry none (`None`: the switch's own `$${domain}`).
#[must_use]
pub fn freeswitch(config: &Config, switch: &SwitchName, domain: Option<&Domain>) -> String {
    let features: Vec<&Features> = all_features(config).collect();
    let with_number = pattern(features.iter().flat_map(|f| [&f.pull, &f.route_to]));
    let alone = pattern(
        features
            .iter()
            .flat_map(|f| [&f.route_here, &f.route_reset]),
    );
    let url = format!("http://{}/freeswitch/{switch}", config.http.listen);
    let domain = domain.map_or("$${domain}", Domain::as_str);
    let values = [
        ("callhop_codes_with_number", with_number.as_str()),
        ("callhop_codes_alone", &alone),
        ("callhop_url", &url),
        ("callhop_domain", domain),
    ];
    let mut text = String::with_capacity(FREESWITCH.len() + 256);
    for line in FREESWITCH.lines() {
        let assigned = values.iter().find_map(|(name, value)| {
            let (before, _) = line.split_once(&format!("data=\"{name}="))?;
            Some(format!("{before}data=\"{name}={value}\"/>"))
        });
        text.push_str(assigned.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

/// All sets of star codes that are called.
fn all_features(config: &Config) -> impl Iterator<Item = &Features> {
    std::iter::once(&config.features).chain(config.domains.values().map(|policy| &policy.features))
}

/// The file for extensions.conf: every code of every domain that is called, the address that this switch asks, as whom the
/// controller is there, and the domain of calls that carry none.
#[must_use]
pub fn asterisk(config: &Config, switch: &Asterisk, domain: &Domain) -> String {
    let mut codes = BTreeSet::new();
    for features in all_features(config) {
        for code in [&features.pull, &features.route_to] {
            // A number may follow.
            codes.insert(format!("_{code}."));
        }
        codes.extend(features.codes().map(|(_, code)| code.to_owned()));
    }
    let codes: Vec<String> = codes
        .iter()
        .map(|code| format!("exten => {code},1,Gosub(callhop-star,s,1)"))
        .collect();
    let url = format!("http://{}/asterisk/{}", config.http.listen, switch.name);
    let values = [
        ("CALLHOP_URL", url.as_str()),
        ("CALLHOP_DEFAULT_DOMAIN", domain.as_str()),
        ("CALLHOP_MANAGER", &switch.username),
    ];
    let text = between(ASTERISK, "codes", &codes);
    let mut domains: BTreeSet<&str> = switch
        .endpoints
        .patterns()
        .map(|it| it.0.as_str())
        .collect();
    domains.insert(domain.as_str());
    let lamps: Vec<String> = domains.into_iter().flat_map(lamps).collect();
    let text = between(&text, "lamps", &lamps);
    let lines = text.lines().map(|line| {
        let assigned = values.iter().find_map(|(name, value)| {
            let (before, _) = line.split_once(&format!(",Set({name}="))?;
            Some(format!("{before},Set({name}={value})"))
        });
        assigned.unwrap_or_else(|| line.to_owned()) + "\n"
    });
    lines.collect()
}

/// The context of a domain's lamps.
fn lamps(domain: &str) -> [String; 2] {
    let prefix = callhop_calls::lamp::PREFIX;
    [
        format!("[{}]", lamps_context(domain)),
        format!("exten => _{prefix}.,hint,Custom:${{EXTEN}}@{domain}"),
    ]
}

/// What phones of a domain include to see its lamps.
pub(crate) fn lamps_context(domain: &str) -> String {
    format!("callhop-lamps-{domain}")
}

/// The file for features.conf: the push code of every domain.
#[must_use]
pub fn asterisk_features(config: &Config) -> String {
    let codes: BTreeSet<&String> = all_features(config)
        .map(|features| &features.push)
        .collect();
    let codes: Vec<String> = codes
        .into_iter()
        .map(|code| {
            let feature = crate::asterisk::words::feature(code);
            let event = crate::asterisk::translate::PUSH_KEY;
            format!("{feature} => {code},self,UserEvent({event})")
        })
        .collect();
    between(ASTERISK_FEATURES, "codes", &codes)
}

/// The text with these lines between the comments that say where they begin and end.
fn between(text: &str, what: &str, lines: &[String]) -> String {
    let (begin, end) = (format!("; {what} begin\n"), format!("; {what} end\n"));
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let Some((before, after)) = parts else {
        return text.to_owned();
    };
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("{before}{begin}{lines}{end}{after}")
}

/// A regular expression that matches each of these codes. Digits and `#` stand for themselves.
fn pattern<'a>(codes: impl Iterator<Item = &'a String>) -> String {
    let mut seen = BTreeSet::new();
    let codes: Vec<String> = codes
        .filter(|code| seen.insert(code.as_str()))
        .map(|code| code.replace('*', "[*]"))
        .collect();
    codes.join("|")
}

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// The file is new.
    Written(PathBuf),
    /// There was one, which is now beside it.
    Replaced {
        /// The file.
        file: PathBuf,
        /// What it was before. Its name does not end in `.xml`, so that no context includes it.
        backup: PathBuf,
    },
    /// The file had this text already.
    Unchanged(PathBuf),
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The folder is not one.
    #[error("{} is not a folder", .0.display())]
    NoFolder(PathBuf),
    /// A file of somebody else's has the name.
    #[error("{} was not written by Callhop; --force replaces it and keeps a backup", .0.display())]
    Foreign(PathBuf),
    /// Reading or writing failed. The file that was there is as it was.
    #[error("{}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Puts a file of Callhop's into a folder, as a whole or not at all.
///
/// # Errors
/// There is no such folder, a file that Callhop did not write is in the way and `force` is not given, or the file system
/// refuses.
pub fn install(
    folder: &Path,
    name: &str,
    text: &str,
    force: bool,
) -> Result<Installed, InstallError> {
    if !folder.is_dir() {
        return Err(InstallError::NoFolder(folder.to_owned()));
    }
    let file = folder.join(name);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    let before = match fs::read(&file) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&file)(error)),
    };
    if let Some(before) = &before {
        if before == text.as_bytes() {
            return Ok(Installed::Unchanged(file));
        }
        let is_ours = [FREESWITCH_HEAD, ASTERISK_HEAD]
            .iter()
            .any(|head| before.starts_with(head.as_bytes()));
        if !is_ours && !force {
            return Err(InstallError::Foreign(file));
        }
    }
    let unfinished = folder.join(format!(".{name}.new"));
    fs::write(&unfinished, text).map_err(failed(&unfinished))?;
    let backup = folder.join(format!("{name}.backup"));
    if before.is_some() {
        fs::copy(&file, &backup).map_err(failed(&backup))?;
    }
    fs::rename(&unfinished, &file).map_err(failed(&file))?;
    Ok(match before {
        None => Installed::Written(file),
        Some(_) => Installed::Replaced { file, backup },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, read};

    fn rendered(text: &str, switch: &str, domain: Option<&str>) -> String {
        let config = read(text, Path::new(""), &Environment::new()).unwrap();
        let domain = domain.map(|domain| domain.parse().unwrap());
        freeswitch(&config, &switch.parse().unwrap(), domain.as_ref())
    }

    /// The lines that differ from the file in `dialplan/`.
    fn check(text: &str, switch: &str, domain: Option<&str>, expect: &[&str]) {
        let rendered = rendered(text, switch, domain);
        let differ: Vec<&str> = rendered
            .lines()
            .zip(FREESWITCH.lines())
            .filter(|(ours, theirs)| ours != theirs)
            .map(|(ours, _)| ours.trim())
            .collect();
        assert_eq!(differ, expect);
        assert_eq!(rendered.lines().count(), FREESWITCH.lines().count());
    }

    #[test]
    fn the_file_in_the_repository_is_the_default() {
        assert_eq!(rendered("", "freeswitch", None), FREESWITCH);
        assert!(FREESWITCH.starts_with(FREESWITCH_HEAD));
    }

    #[test]
    fn codes_of_all_domains_the_address_and_the_domain_are_filled_in() {
        check(
            "[http]\nlisten = '127.0.0.1:9000'\n[features]\npull = '**7'\n[domains.'a'.features]\npull = '#7'\nroute_here = '*50'",
            "north",
            Some("a"),
            &[
                r##"<X-PRE-PROCESS cmd="set" data="callhop_codes_with_number=[*][*]7|[*]49|#7"/>"##,
                r#"<X-PRE-PROCESS cmd="set" data="callhop_url=http://127.0.0.1:9000/freeswitch/north"/>"#,
                r#"<X-PRE-PROCESS cmd="set" data="callhop_domain=a"/>"#,
            ],
        );
    }

    fn with_asterisk(more: &str) -> Config {
        let text = format!(
            "[[asterisk]]\nsecret = 's'\nendpoints = {{ 'example.com' = '{{number}}' }}\n{more}"
        );
        read(&text, Path::new(""), &Environment::new()).unwrap()
    }

    #[test]
    fn the_files_in_the_repository_are_the_defaults() {
        let config = with_asterisk("");
        let domain = "example.com".parse().unwrap();
        assert_eq!(asterisk(&config, &config.asterisk[0], &domain), ASTERISK);
        assert_eq!(asterisk_features(&config), ASTERISK_FEATURES);
        for text in [ASTERISK, ASTERISK_FEATURES] {
            assert!(text.starts_with(ASTERISK_HEAD));
        }
    }

    #[test]
    fn what_asterisk_is_told_of_the_configuration() {
        let config = with_asterisk(
            "name = 'north'\nusername = 'ch'\n[http]\nlisten = '127.0.0.1:9000'\n\
             [domains.'a'.features]\npull = '#7'\npush = '##'\n",
        );
        let text = asterisk(&config, &config.asterisk[0], &"a".parse().unwrap());
        for line in [
            "exten => #7,1,Gosub(callhop-star,s,1)",
            "exten => _#7.,1,Gosub(callhop-star,s,1)",
            "exten => *33,1,Gosub(callhop-star,s,1)",
            "exten => *51,1,Gosub(callhop-star,s,1)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
        for part in [
            "Set(CALLHOP_URL=http://127.0.0.1:9000/asterisk/north)\n",
            "Set(CALLHOP_DEFAULT_DOMAIN=a)\n",
            "Set(CALLHOP_MANAGER=ch)\n",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let features = asterisk_features(&config);
        for line in [
            "callhop_push_hh => ##,self,UserEvent(CallhopPush)",
            "callhop_push_s9 => *9,self,UserEvent(CallhopPush)",
        ] {
            assert!(features.lines().any(|l| l == line), "{line}");
        }
    }

    #[test]
    fn what_pushes_need_is_in_variables_of_their_legs() {
        check(
            "[features]\npush = '##'\n[push]\nhold_sound = 'local_stream://moh'\nfallback = '4000@vm'\n\
             [[freeswitch]]\ncontext = 'phones'",
            "freeswitch",
            None,
            &[],
        );
    }

    #[test]
    fn an_installation_replaces_only_what_is_ours_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let install = |text: &str, force| install(folder.path(), FREESWITCH_FILE, text, force);
        let first = FREESWITCH.replace("*]33", "*]34");

        assert_eq!(
            install(&first, false).unwrap(),
            Installed::Written(at("callhop.xml"))
        );
        assert_eq!(
            install(&first, false).unwrap(),
            Installed::Unchanged(at("callhop.xml"))
        );
        let replaced = Installed::Replaced {
            file: at("callhop.xml"),
            backup: at("callhop.xml.backup"),
        };
        assert_eq!(install(FREESWITCH, false).unwrap(), replaced);
        assert_eq!(fs::read_to_string(at("callhop.xml.backup")).unwrap(), first);

        fs::write(at("callhop.xml"), "<include/>").unwrap();
        let refused = install(FREESWITCH, false).unwrap_err();
        assert!(matches!(refused, InstallError::Foreign(_)), "{refused}");
        assert_eq!(install(FREESWITCH, true).unwrap(), replaced);
        assert_eq!(
            fs::read_to_string(at("callhop.xml.backup")).unwrap(),
            "<include/>"
        );

        let nowhere = super::install(&at("none"), FREESWITCH_FILE, FREESWITCH, false).unwrap_err();
        assert!(matches!(nowhere, InstallError::NoFolder(_)), "{nowhere}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

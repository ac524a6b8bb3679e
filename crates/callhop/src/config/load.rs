//! From the file and the environment to a [`Config`].
//!
//! Owns the search for the file, the names of the keys and what they may hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use callhop_calls::{
    id::{Domain, SwitchName},
    push::PushPolicy,
    routing::{Policy, Unregistered},
    star::{FeatureError, Features},
};
use tracing_subscriber::EnvFilter;

use super::{
    Asterisk, Config, Environment, Freeswitch, Http, Log, LogFormat, LogNumbers, Origin, Problem,
    Secret, Store,
    document::{Document, Section},
    public, push, webhooks,
};

/// Where the file is looked for when none is named, in this order.
const PLACES: [&str; 2] = ["callhop.toml", "/etc/callhop/callhop.toml"];

/// Where a package keeps the database; that of a file in `/etc` does not belong beside it.
const STATE_FOLDER: &str = "/var/lib/callhop";

/// A configuration, and the file that it was read from.
#[derive(Debug)]
pub struct Loaded {
    /// What counts.
    pub config: Config,
    /// The file; `None` if there is none and the defaults and the environment count alone.
    pub file: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was read, and is wrong.
    #[error("{}", Listing(file, problems))]
    Wrong {
        /// Which file; `None` if the environment alone is wrong.
        file: Option<PathBuf>,
        /// Everything that is wrong, at least one.
        problems: Vec<Problem>,
    },
}

struct Listing<'a>(&'a Option<PathBuf>, &'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(file) => write!(f, "{} is not usable:", file.display())?,
            None => f.write_str("the configuration is not usable:")?,
        }
        for problem in self.1 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// Reads the configuration: `named`, else the first of `callhop.toml` and `/etc/callhop/callhop.toml` that exists, else
/// only the defaults; then the environment over it.
///
/// # Errors
/// The file cannot be read, or something in it or in the environment is wrong: everything that is wrong is in the error.
pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Loaded, LoadError> {
    let file = named.map(Path::to_owned).or_else(|| {
        PLACES
            .iter()
            .map(PathBuf::from)
            .find(|place| place.exists())
    });
    let text = match &file {
        Some(file) => std::fs::read_to_string(file).map_err(|source| LoadError::Unreadable {
            file: file.clone(),
            source,
        })?,
        None => String::new(),
    };
    let folder = match file.as_deref().and_then(Path::parent) {
        Some(folder) => folder.to_owned(),
        None => PathBuf::new(),
    };
    match read(&text, &folder, environment) {
        Ok(config) => Ok(Loaded { config, file }),
        Err(problems) => Err(LoadError::Wrong { file, problems }),
    }
}

/// Reads a configuration out of `text`, a file in `folder`.
///
/// # Errors
/// Everything that is wrong.
pub fn read(text: &str, folder: &Path, environment: &Environment) -> Result<Config, Vec<Problem>> {
    let (mut document, mut root) = Document::new(text, folder, environment);
    let d = &mut document;
    let store = store(d, &mut root, folder);
    let http = http(d, &mut root);
    let (freeswitch, asterisk) = switches(d, &mut root);
    let known = push::Switches::of(&freeswitch, &asterisk);
    let mut section = d.section(&mut root, "features");
    let features = features(d, &mut section, &Features::default());
    d.finish(section);
    let mut section = d.section(&mut root, "push");
    let push = push::settings(d, &mut section, &PushPolicy::default(), &known);
    d.finish(section);
    let domains = domains(d, &mut root, &features, &push, &known);
    let log = log(d, &mut root);
    let webhooks = webhooks::settings(d, &mut root);
    d.finish(root);
    let problems = document.into_problems();
    if problems.is_empty() {
        Ok(Config {
            store,
            http,
            freeswitch,
            asterisk,
            features,
            push,
            domains,
            log,
            webhooks,
        })
    } else {
        Err(problems)
    }
}

fn store<'a>(d: &mut Document<'a>, root: &mut Section<'a>, folder: &Path) -> Store {
    let mut section = d.section(root, "store");
    let url = match d.secret(&mut section, "url", "url_file") {
        None => {
            let folder = if folder.starts_with("/etc") {
                Path::new(STATE_FOLDER)
            } else {
                folder
            };
            format!("sqlite://{}", folder.join("callhop.db").display())
        }
        Some(found) => {
            let known = ["sqlite:", "postgres://", "postgresql://"];
            if !known.iter().any(|scheme| found.value.starts_with(scheme)) {
                d.report(
                    found.at,
                    section.full("url"),
                    "a store is sqlite:///path/to/file or postgres://user:password@host/database"
                        .to_owned(),
                );
            }
            match found.value.strip_prefix("sqlite:") {
                Some(path) => {
                    let path = folder.join(path.strip_prefix("//").unwrap_or(path));
                    format!("sqlite://{}", path.display())
                }
                None => found.value,
            }
        }
    };
    d.finish(section);
    Store {
        url: Secret::new(url),
    }
}

fn http<'a>(d: &mut Document<'a>, root: &mut Section<'a>) -> Http {
    let mut section = d.section(root, "http");
    let mut http = Http::default();
    if let Some(found) = d.text(&mut section, "listen") {
        match found.value.parse::<SocketAddr>() {
            Ok(listen) if listen.ip().is_loopback() => http.listen = listen,
            Ok(_) => d.report(
                found.at,
                section.full("listen"),
                "only a loopback address (127.0.0.1 or [::1]): what is asked here needs no \
                 password; [http.public] is for other machines"
                    .to_owned(),
            ),
            Err(_) => d.report(
                found.at,
                section.full("listen"),
                format!(
                    "{:?} is not an address and a port, such as 127.0.0.1:8085",
                    found.value
                ),
            ),
        }
    }
    http.public = public::settings(d, &mut section);
    d.finish(section);
    http
}

fn switches<'a>(d: &mut Document<'a>, root: &mut Section<'a>) -> (Vec<Freeswitch>, Vec<Asterisk>) {
    let asterisk = d.tables(root, "asterisk");
    let mut freeswitch = d.tables(root, "freeswitch");
    if freeswitch.is_empty() && asterisk.is_empty() {
        // One switch with the default name, which the environment can still change.
        freeswitch.push(d.table(root, "freeswitch", None));
    }
    let mut names = BTreeSet::new();
    let freeswitch = freeswitch
        .into_iter()
        .map(|section| freeswitch_of(d, section, &mut names))
        .collect();
    let asterisk = asterisk
        .into_iter()
        .map(|section| asterisk_of(d, section, &mut names))
        .collect();
    (freeswitch, asterisk)
}

/// The name of a switch; from then on the environment can set the keys of its section.
fn switch_name<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    kind: &str,
    default: SwitchName,
    names: &mut BTreeSet<SwitchName>,
) -> SwitchName {
    let mut name = default;
    if let Some(found) = d.text(section, "name") {
        match found.value.parse::<SwitchName>() {
            Ok(given) => name = given,
            Err(error) => d.report(found.at, section.full("name"), error.to_string()),
        }
    }
    if !names.insert(name.clone()) {
        let message = format!(
            "there are two switches with the name {:?}, give each its own",
            name.as_str()
        );
        d.report(section.at.clone(), section.full("name"), message);
    }
    let variable = name.as_str().to_uppercase().replace('-', "_");
    section.set_prefix(format!("CALLHOP_{kind}__{variable}__"));
    name
}

fn address<'a>(d: &mut Document<'a>, section: &mut Section<'a>, place: &mut String) {
    if let Some(found) = d.text(section, "address") {
        if is_host_and_port(&found.value) {
            *place = found.value;
        } else {
            let message = format!(
                "{:?} is not a host and a port, such as {place}",
                found.value
            );
            d.report(found.at, section.full("address"), message);
        }
    }
}

/// A password or secret; `None` if there is none, or none that can be used.
fn password<'a>(
    d: &mut Document<'a>,
    section: &mut Section<'a>,
    [key, key_file]: [&'static str; 2],
) -> Option<Secret> {
    let found = d.secret(section, key, key_file)?;
    if found.value.is_empty() || found.value.contains(['\r', '\n', '\0']) {
        let message = format!("a {key} is one line, and not empty");
        d.report(found.at, section.full(key), message);
        return None;
    }
    Some(Secret::new(found.value))
}

fn freeswitch_of<'a>(
    d: &mut Document<'a>,
    mut section: Section<'a>,
    names: &mut BTreeSet<SwitchName>,
) -> Freeswitch {
    let mut switch = Freeswitch::default();
    switch.name = switch_name(d, &mut section, "FREESWITCH", switch.name, names);
    address(d, &mut section, &mut switch.address);
    if let Some(given) = password(d, &mut section, ["password", "password_file"]) {
        switch.password = given;
    }
    push::of_freeswitch(d, &mut section, &mut switch);
    d.finish(section);
    switch
}

fn asterisk_of<'a>(
    d: &mut Document<'a>,
    mut section: Section<'a>,
    names: &mut BTreeSet<SwitchName>,
) -> Asterisk {
    let mut switch = Asterisk::default();
    switch.name = switch_name(d, &mut section, "ASTERISK", switch.name, names);
    address(d, &mut section, &mut switch.address);
    if let Some(found) = d.text(&mut section, "username") {
        match callhop_ami::word::UserName::new(found.value.as_str()) {
            Ok(_) => switch.username = found.value,
            Err(error) => d.report(found.at, section.full("username"), error.to_string()),
        }
    }
    let before = d.problems();
    match password(d, &mut section, ["secret", "secret_file"]) {
        Some(given) => switch.secret = given,
        None if d.problems() > before => {}
        None => d.report(
            section.at.clone(),
            section.full("secret"),
            "the manager user's secret is needed, as in manager.conf".to_owned(),
        ),
    }
    if let Some(tls) = d.flag(&mut section, "tls") {
        switch.tls = tls;
    }
    if let Some(found) = d.text(&mut section, "tls_ca") {
        switch.tls_ca = Some(d.path(&found.value));
    }
    let patterns = d.named_texts(&mut section, "endpoints");
    if patterns.is_empty() {
        let message = "which endpoints are which devices? such as endpoints = { \"example.com\" = \"{number}\" }";
        d.report(
            section.at.clone(),
            section.full("endpoints"),
            message.to_owned(),
        );
    }
    for (domain, found) in patterns {
        let added = match domain.parse::<Domain>() {
            Ok(domain) => switch
                .endpoints
                .add(domain, &found.value)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = added {
            d.report(found.at, section.full("endpoints"), error);
        }
    }
    push::of_asterisk(d, &mut section, &mut switch);
    d.finish(section);
    switch
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let host_fits = !host.is_empty()
        && !bare_ipv6
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn features<'a>(d: &mut Document<'a>, section: &mut Section<'a>, above: &Features) -> Features {
    let mut features = above.clone();
    let mut origins: BTreeMap<&'static str, Origin> = BTreeMap::new();
    for (key, place) in [
        ("pull", &mut features.pull),
        ("route_here", &mut features.route_here),
        ("route_to", &mut features.route_to),
        ("route_reset", &mut features.route_reset),
        ("push", &mut features.push),
    ] {
        if let Some(found) = d.text(section, key) {
            *place = found.value;
            origins.insert(key, found.at);
        }
    }
    // Codes that nobody set in this section are those above it, and reported there.
    if let Err(error) = features.check()
        && !origins.is_empty()
    {
        let keys = match &error {
            FeatureError::NotACode { key, .. } => vec![*key],
            FeatureError::Ambiguous {
                longer_key,
                shorter_key,
                ..
            } => vec![*longer_key, *shorter_key],
        };
        let set_here = keys
            .iter()
            .find_map(|key| Some((*key, origins.get(key)?.clone())));
        let (key, at) = set_here.unwrap_or_else(|| (keys[0], section.at.clone()));
        let message = match error {
            FeatureError::NotACode { code, .. } => {
                format!("{code:?} is no star code: 1 to 10 of the characters 0-9, * and #")
            }
            FeatureError::Ambiguous {
                shorter_key,
                shorter,
                longer_key,
                longer,
            } if shorter == longer => {
                format!("{longer_key} and {shorter_key} are both {longer:?}")
            }
            FeatureError::Ambiguous {
                shorter_key,
                shorter,
                longer_key,
                longer,
            } => format!("{longer_key} = {longer:?} begins with {shorter_key} = {shorter:?}"),
        };
        d.report(at, section.full(key), message);
    }
    features
}

fn domains<'a>(
    d: &mut Document<'a>,
    root: &mut Section<'a>,
    features_above: &Features,
    push_above: &PushPolicy,
    known: &push::Switches,
) -> BTreeMap<Domain, Policy> {
    let mut domains = BTreeMap::new();
    for (name, mut section) in d.named_tables(root, "domains") {
        let mut policy = Policy::default();
        if let Some(found) = d.text(&mut section, "unregistered") {
            match found.value.as_str() {
                "strict" => policy.unregistered = Unregistered::Strict,
                "ring_all" => policy.unregistered = Unregistered::RingAll,
                other => {
                    let message = format!("{other:?} is neither \"strict\" nor \"ring_all\"");
                    d.report(found.at, section.full("unregistered"), message);
                }
            }
        }
        if let Some(colleagues) = d.flag(&mut section, "colleagues") {
            policy.colleagues = colleagues;
        }
        let mut own = d.table(&mut section, "features", None);
        policy.features = features(d, &mut own, features_above);
        d.finish(own);
        let mut own = d.table(&mut section, "push", None);
        policy.push = push::settings(d, &mut own, push_above, known);
        d.finish(own);
        let at = section.at.clone();
        let path = format!("domains.\"{name}\"");
        d.finish(section);
        match name.parse::<Domain>() {
            Ok(domain) if domains.contains_key(&domain) => {
                let message = format!("{domain} is there twice (case does not count)");
                d.report(at, path, message);
            }
            Ok(domain) => {
                domains.insert(domain, policy);
            }
            Err(error) => d.report(at, path, error.to_string()),
        }
    }
    domains
}

fn log<'a>(d: &mut Document<'a>, root: &mut Section<'a>) -> Log {
    let mut section = d.section(root, "log");
    let mut log = Log::default();
    if let Some(found) = d.text(&mut section, "format") {
        match found.value.as_str() {
            "text" => log.format = LogFormat::Text,
            "json" => log.format = LogFormat::Json,
            other => {
                let message = format!("{other:?} is neither \"text\" nor \"json\"");
                d.report(found.at, section.full("format"), message);
            }
        }
    }
    if let Some(found) = d.text(&mut section, "numbers") {
        let all = [LogNumbers::Full, LogNumbers::Last3, LogNumbers::Hidden];
        match all.into_iter().find(|one| one.word() == found.value) {
            Some(numbers) => log.numbers = numbers,
            None => {
                let message = format!(
                    "{:?} is neither \"full\" nor \"last3\" nor \"hidden\"",
                    found.value
                );
                d.report(found.at, section.full("numbers"), message);
            }
        }
    }
    if let Some(found) = d.text(&mut section, "level") {
        match EnvFilter::try_new(&found.value) {
            Ok(_) => log.level = found.value,
            Err(error) => d.report(found.at, section.full("level"), error.to_string()),
        }
    }
    d.finish(section);
    log
}

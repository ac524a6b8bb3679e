//! The fake site: the switch of `crates/fakeswitch` and its phones behind the trait of the stories.
//!
//! A phone there hears what follows from the switch's bridges. A site is made for one story, and thrown away.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use callhop_fakeswitch::{
    Action, CallState as FakeState, CallView, Config, DialOptions, Digits as FakeDigits, EndedCall,
    Extension, FakeSwitch, Heard, Hears, Pattern, Phone as FakePhone, PhoneView, Registrations,
    RingMode,
};
use callhop_tests::{
    cast::{EXTENSIONS, Phone},
    controller::{Controller, Setup},
    faults::{DatabaseLock, Passage, Swallow, Way},
    live::{freeswitch::config::NATIVE_INTERCEPT, ports::local},
    site::{
        Call, CallReport, CallState, Dial, Digits, Forgery, HandOver, Kind, Moment, OnRing, Site,
        Sound, Span, Watcher,
    },
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The password of the fake's event socket.
const PASSWORD: &str = "fake";

/// The fake site.
#[derive(Debug)]
pub(crate) struct Fake {
    // Dropped first: it must not see its switch end.
    controller: Controller,
    runtime: Runtime,
    switch: FakeSwitch,
    phones: BTreeMap<Phone, FakePhone>,
    /// The channels that stories have keys for: a key is an index here.
    channels: Vec<String>,
    origin: Instant,
    database_lock: Option<DatabaseLock>,
    swallow: Option<Swallow>,
    /// Which phones look at which lamps.
    watches: Vec<(Phone, String)>,
    way: Way,
    dir: TempDir,
}

/// The same dialplan as the real lab's.
fn dialplan() -> Vec<Extension> {
    let number = |number: &str| Pattern::Number(number.to_owned());
    let prefix = |prefix: &str| Pattern::Prefix(prefix.to_owned());
    let all = "user/1001@lab.test,user/1002@lab.test,user/1003@lab.test".to_owned();
    let pair = "user/2001@lab.test,user/2002@lab.test".to_owned();
    let other = "user/1001@other.test,user/1002@other.test".to_owned();
    let outside = Action::Bridge("sofia/external/${number}@127.0.0.1:5090".to_owned());
    [
        ("lab.test", number("1000"), Action::Inbound(all.clone())),
        ("lab.test", number("2001"), Action::Inbound(pair)),
        ("other.test", number("1000"), Action::Inbound(other)),
        ("lab.test", number("1900"), Action::Bridge(all)),
        (
            "lab.test",
            number("1800"),
            Action::Bridge("user/1001@lab.test,user/2002@lab.test".to_owned()),
        ),
        (
            "lab.test",
            number("1700"),
            Action::Queue("user/1001@lab.test".to_owned()),
        ),
        ("", number("7000"), Action::Announcement),
        ("", number("7200"), Action::Conference),
        ("", number("7300"), Action::Park),
        ("", prefix(NATIVE_INTERCEPT), Action::Intercept),
        ("", prefix("01"), outside.clone()),
        ("", prefix("02"), outside),
        (
            "",
            Pattern::Device,
            Action::Bridge("user/${number}@${domain}".to_owned()),
        ),
    ]
    .into_iter()
    .map(|(domain, number, action)| Extension::new(domain, number, action))
    .collect()
}

/// A port that nobody has, below those that the system hands out by itself: a switch that is down must find its port
/// free when it comes back, and the controller that knocks there must not get to talk to itself.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(12_000);
    let ports = std::iter::from_fn(|| Some(NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut free = ports
        .take_while(|port| *port < 20_000)
        .filter(|port| TcpListener::bind(local(*port)).is_ok());
    free.next().context("no port is free")
}

/// A folder for one site: in memory where there is such a place, because a busy disk holds each write of the database up for
/// longer than the controller waits.
fn folder() -> std::io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

impl Fake {
    /// Starts a switch, its phones and a controller.
    pub(crate) fn start(callhop: &Path) -> Result<Self> {
        let runtime = Runtime::new()?;
        let dir = folder()?;
        let http = local(free_port()?);
        let trunk = |prefix: &str, phone: Phone| (prefix.to_owned(), phone.part().user.to_owned());
        let public = |prefix: &str, domain: &str| (prefix.to_owned(), domain.to_owned());
        let config = Config {
            port: free_port()?,
            password: PASSWORD.to_owned(),
            // As on a wire: the controller has seen the leg before it is answered.
            answer_delay: Duration::from_millis(100),
            controller: Some(http.to_string()),
            dialplan: dialplan(),
            public: vec![public("6", "other.test"), public("", "lab.test")],
            trunks: vec![trunk("01", Phone::Out1), trunk("02", Phone::Out2)],
            ..Config::default()
        };
        let switch = runtime.block_on(FakeSwitch::start(config))?;
        let mut phones = BTreeMap::new();
        for phone in Phone::ALL {
            let part = phone.part();
            let made = runtime.block_on(async {
                if phone.is_outside() {
                    switch.outside(part.user).await
                } else {
                    switch
                        .register(&format!("{}@{}", part.user, part.domain))
                        .await
                }
            })?;
            phones.insert(phone, made);
        }
        let way = Way::new(free_port()?, switch.esl_addr())?;
        let database = dir.path().join("callhop/callhop.db");
        let controller = Controller::new(Setup {
            program: callhop.to_owned(),
            dir: dir.path().join("callhop"),
            store_url: format!("sqlite://{}", database.display()),
            switch: format!(
                "[[freeswitch]]\nname = \"lab\"\naddress = \"{}\"\npassword = \"{PASSWORD}\"\n\
                 outside = \"sofia/external/{{number}}@127.0.0.1:5090\"\n",
                way.address()
            ),
            http,
        })?;
        let mut fake = Self {
            controller,
            runtime,
            switch,
            phones,
            channels: Vec::new(),
            origin: Instant::now(),
            database_lock: None,
            swallow: None,
            watches: Vec::new(),
            way,
            dir,
        };
        fake.register(Phone::P1001b, false)?;
        fake.controller.start()?;
        for (extension, devices) in EXTENSIONS {
            let mut args = vec!["extension", "add", extension];
            for device in devices {
                args.extend(["--device", device]);
            }
            fake.controller.cli(&args)?.ok()?;
        }
        Ok(fake)
    }

    fn view(&self, phone: Phone) -> Result<PhoneView> {
        Ok(self.runtime.block_on(self.phones[&phone].view())?)
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment(at.saturating_duration_since(self.origin).as_secs_f64())
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.origin + Duration::from_secs_f64(moment.0)
    }

    fn call(&mut self, phone: Phone, channel: &str) -> Call {
        let known = self.channels.iter().position(|it| it == channel);
        let key = known.unwrap_or_else(|| {
            self.channels.push(channel.to_owned());
            self.channels.len() - 1
        });
        Call {
            phone,
            key: key as u64,
        }
    }

    fn channel(&self, call: Call) -> Result<&str> {
        let key = usize::try_from(call.key)?;
        Ok(self.channels.get(key).context("no such call")?)
    }

    /// Waits until the condition holds for the phone.
    fn until(
        &self,
        phone: Phone,
        within: Duration,
        condition: impl FnMut(&PhoneView) -> bool + Send + 'static,
    ) -> Result<PhoneView> {
        let seen = self.phones[&phone].wait_until(condition, within);
        self.runtime
            .block_on(seen)
            .with_context(|| format!("the phone {phone}"))
    }

    fn sound(&self, hears: &Hears) -> Sound {
        match hears {
            Hears::Nothing => Sound::NoPackets,
            Hears::Silence => Sound::Silence,
            Hears::Ringback => Sound::Ringback,
            Hears::RefusalTone => Sound::Refusal,
            Hears::Beep => Sound::Beep,
            Hears::Moh => Sound::Music,
            Hears::Voicemail | Hears::Announcement => Sound::Ivr,
            Hears::Party(label) => {
                let found = self.phones.iter().find(|(_, phone)| phone.label() == label);
                found.map_or(Sound::Noise, |(phone, _)| Sound::Voice(*phone))
            }
        }
    }

    fn hears(&self, sound: Sound) -> Vec<Hears> {
        match sound {
            Sound::Ivr => vec![Hears::Voicemail, Hears::Announcement],
            Sound::Silence => vec![Hears::Silence],
            Sound::Ringback => vec![Hears::Ringback],
            Sound::Refusal => vec![Hears::RefusalTone],
            Sound::Beep => vec![Hears::Beep],
            Sound::Music => vec![Hears::Moh],
            Sound::Voice(phone) => vec![Hears::Party(self.phones[&phone].label().to_owned())],
            Sound::NoPackets | Sound::Tone(_) | Sound::Noise => vec![Hears::Nothing],
        }
    }
}

/// What a phone says about a call, and when that call began; the number of the call is put in by whoever knows it.
fn reports(view: &PhoneView) -> Vec<(String, Instant, CallReport)> {
    let over = view
        .ended
        .iter()
        .map(|call| (call.channel.clone(), call.began, ended(call)));
    let live = view
        .calls
        .iter()
        .map(|call| (call.channel.clone(), call.began, alive(call)));
    let mut all: Vec<_> = over.chain(live).collect();
    all.sort_by_key(|(_, began, _)| *began);
    all
}

const NO_CALL: Call = Call {
    phone: Phone::P1001,
    key: u64::MAX,
};

fn alive(call: &CallView) -> CallReport {
    let state = match call.state {
        FakeState::Ringing => CallState::Incoming,
        FakeState::Dialling if call.code <= 100 => CallState::Dialling,
        FakeState::Dialling => CallState::Early,
        FakeState::Answered => CallState::Talking,
    };
    CallReport {
        call: NO_CALL,
        state,
        code: call.code,
        was_answered: state == CallState::Talking,
        reason: None,
        display_number: call.display.clone(),
        display_name: call.display_name.clone(),
    }
}

fn ended(call: &EndedCall) -> CallReport {
    CallReport {
        call: NO_CALL,
        state: CallState::Ended,
        code: call.code,
        was_answered: call.answered,
        reason: call.reason.clone(),
        display_number: call.display.clone(),
        display_name: call.display_name.clone(),
    }
}

fn all_heard(view: &PhoneView) -> impl Iterator<Item = &Heard> {
    let over = view.ended.iter().flat_map(|call| &call.heard);
    over.chain(view.calls.iter().flat_map(|call| &call.heard))
}

impl Site for Fake {
    fn kind(&self) -> Kind {
        Kind::Fake
    }

    fn now(&mut self) -> Moment {
        self.moment(Instant::now())
    }

    fn reset(&mut self) -> Result<()> {
        Phone::ALL
            .into_iter()
            .try_for_each(|phone| self.on_ring(phone, OnRing::Answer))
    }

    fn dial(&mut self, phone: Phone, number: &str, how: Dial<'_>) -> Result<Call> {
        let mut options = DialOptions::default();
        for (name, value) in how.headers {
            if name.eq_ignore_ascii_case("From") {
                let user = value
                    .split_once("sip:")
                    .and_then(|(_, rest)| rest.split_once('@'));
                options.from = user.map(|(user, _)| user.to_owned());
                options.display_name = value.split('"').nth(1).map(str::to_owned);
            } else {
                options
                    .headers
                    .push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let channel = self
            .runtime
            .block_on(self.phones[&phone].dial_with(number, options))?;
        Ok(self.call(phone, &channel))
    }

    fn on_ring(&mut self, phone: Phone, what: OnRing) -> Result<()> {
        let mode = match what {
            OnRing::Answer | OnRing::AtOnce => RingMode::Answer,
            OnRing::Ring => RingMode::Ringing,
            OnRing::Nothing => RingMode::Silent,
            OnRing::EarlyMedia => RingMode::EarlyMedia,
            OnRing::Reject(code) => RingMode::Reject(code),
        };
        Ok(self.runtime.block_on(self.phones[&phone].ring_mode(mode))?)
    }

    fn answer(&mut self, call: Call) -> Result<()> {
        let answered = self.phones[&call.phone].answer_call(self.channel(call)?);
        Ok(self.runtime.block_on(answered)?)
    }

    fn hang_up(&mut self, call: Call) -> Result<()> {
        let channel = self.channel(call)?;
        let view = self.view(call.phone)?;
        let live = view.calls.iter().find(|it| it.channel == channel);
        let phone = &self.phones[&call.phone];
        let done = match live.map(|it| it.state) {
            Some(FakeState::Ringing) => self.runtime.block_on(phone.reject_call(channel, 603)),
            _ => self.runtime.block_on(phone.hangup_call(channel)),
        };
        Ok(done?)
    }

    fn hold(&mut self, call: Call, held: bool) -> Result<()> {
        let done = self.phones[&call.phone].hold_call(self.channel(call)?, held);
        Ok(self.runtime.block_on(done)?)
    }

    fn send_digits(&mut self, call: Call, digits: &str, how: Digits) -> Result<Moment> {
        let how = match how {
            Digits::Rtp => FakeDigits::Rtp,
            Digits::Info => FakeDigits::Info,
        };
        let sent = self.phones[&call.phone].send_digits(self.channel(call)?, digits, how);
        let last = self.runtime.block_on(sent)?;
        Ok(self.moment(last))
    }

    fn digits_got(&mut self, phone: Phone, since: Moment) -> String {
        let Ok(view) = self.view(phone) else {
            return String::new();
        };
        let over = view.ended.iter().flat_map(|call| &call.digits);
        let all = over.chain(view.calls.iter().flat_map(|call| &call.digits));
        all.filter(|it| self.moment(it.at) >= since)
            .map(|it| it.digit)
            .collect()
    }

    fn transfer(&mut self, call: Call, number: &str) -> Result<()> {
        let done = self.phones[&call.phone].transfer(self.channel(call)?, number);
        Ok(self.runtime.block_on(done)?)
    }

    fn join(&mut self, call: Call, other: Call) -> Result<()> {
        let done = self.phones[&call.phone].join(self.channel(call)?, self.channel(other)?);
        Ok(self.runtime.block_on(done)?)
    }

    fn register(&mut self, phone: Phone, registered: bool) -> Result<()> {
        let it = &self.phones[&phone];
        let done = if registered {
            self.runtime.block_on(it.register())
        } else {
            self.runtime.block_on(it.unregister())
        };
        Ok(done?)
    }

    fn is_registered(&mut self, phone: Phone) -> Result<bool> {
        Ok(self.view(phone)?.registered)
    }

    fn wait_call(
        &mut self,
        phone: Phone,
        since: Moment,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport> {
        let (since, wanted) = (self.instant(since), states.to_vec());
        let fits = move |began: Instant, report: &CallReport| {
            began >= since && wanted.contains(&report.state)
        };
        let looked = fits.clone();
        let view = self
            .until(phone, within, move |view| {
                reports(view)
                    .iter()
                    .any(|(_, began, it)| looked(*began, it))
            })
            .with_context(|| format!("a call that is {states:?}"))?;
        let found = reports(&view)
            .into_iter()
            .rev()
            .find(|(_, began, it)| fits(*began, it));
        let (channel, _, report) = found.context("the phone waited for such a call")?;
        Ok(CallReport {
            call: self.call(phone, &channel),
            ..report
        })
    }

    fn wait_state(
        &mut self,
        call: Call,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport> {
        let wanted = states.to_vec();
        self.wait_report(call, within, &move |report| wanted.contains(&report.state))
            .with_context(|| format!("a call that is {states:?}"))
    }

    fn wait_report(
        &mut self,
        call: Call,
        within: Duration,
        is_it: &dyn Fn(&CallReport) -> bool,
    ) -> Result<CallReport> {
        let channel = self.channel(call)?.to_owned();
        let until = Instant::now() + within;
        let mut view = self.view(call.phone)?;
        loop {
            let found = reports(&view).into_iter().find(|(it, _, _)| *it == channel);
            let (_, _, report) =
                found.with_context(|| format!("{} has lost {channel}", call.phone))?;
            if is_it(&report) {
                return Ok(CallReport { call, ..report });
            }
            let left = until.saturating_duration_since(Instant::now());
            view = self
                .until(call.phone, left, move |next| *next != view)
                .with_context(|| format!("{} has {report:?}", call.phone))?;
        }
    }

    fn calls_since(&mut self, phone: Phone, since: Moment) -> Vec<CallReport> {
        let since = self.instant(since);
        // A phone that is gone has no calls.
        let all = self
            .view(phone)
            .map(|view| reports(&view))
            .unwrap_or_default();
        let fresh = all.into_iter().filter(|(_, began, _)| *began >= since);
        fresh
            .map(|(channel, _, report)| CallReport {
                call: self.call(phone, &channel),
                ..report
            })
            .collect()
    }

    fn wait_hears(
        &mut self,
        phone: Phone,
        sound: Sound,
        since: Moment,
        within: Duration,
    ) -> Result<()> {
        let (since, wanted) = (self.instant(since), self.hears(sound));
        // A tone may be over before anybody looks; a voice counts while it lasts.
        let passes = matches!(sound, Sound::Beep | Sound::Refusal);
        let nothing = sound == Sound::NoPackets;
        self.until(phone, within, move |view| {
            view.calls.iter().any(|call| wanted.contains(&call.hears))
                || (nothing && view.is_idle())
                || (passes && all_heard(view).any(|it| it.at >= since && wanted.contains(&it.what)))
        })
        .map(drop)
        .with_context(|| format!("{phone} should hear {sound}"))
    }

    fn heard(&mut self, phone: Phone, since: Moment) -> Vec<Span> {
        let Ok(view) = self.view(phone) else {
            return Vec::new();
        };
        let fresh = all_heard(&view).filter(|it| self.moment(it.at) >= since);
        // A change has no end of its own; stories ask what was heard, not for how long.
        let span = |it: &Heard| Span {
            sound: self.sound(&it.what),
            from: self.moment(it.at),
            to: self.moment(it.at),
        };
        fresh.map(span).collect()
    }

    fn hand_over(&mut self, far: Phone, old: Phone, new: Phone, since: Moment) -> Option<HandOver> {
        let view = self.view(far).ok()?;
        let heard: Vec<(Moment, Sound)> = view
            .calls
            .last()?
            .heard
            .iter()
            .map(|it| (self.moment(it.at), self.sound(&it.what)))
            .collect();
        let is_new = |(at, sound): &(Moment, Sound)| *at >= since && *sound == Sound::Voice(new);
        let last_new = heard.iter().rposition(is_new)?;
        let last_old = heard[..last_new]
            .iter()
            .rposition(|(_, sound)| *sound == Sound::Voice(old))?;
        let between = heard[last_old + 1..last_new]
            .iter()
            .map(|(_, sound)| *sound);
        Some(HandOver {
            // It has no packets: nothing to count, and nothing that could be out of step.
            gap_ms: 0.0,
            at: heard[last_new].0,
            // The step between two bridges is a silence here; on a real switch it is a gap without packets.
            between: between.filter(|sound| *sound != Sound::Silence).collect(),
            same_stream: true,
            sequence_step: 1,
            timestamp_step: 0,
        })
    }

    fn invite_sent(&mut self, _phone: Phone, _number: &str, _since: Moment) -> Option<Moment> {
        None
    }

    fn invite_came(&mut self, _phone: Phone, _since: Moment) -> Option<Moment> {
        None
    }

    fn forge(&mut self, _forgery: Forgery<'_>) -> Result<Vec<u16>> {
        bail!("the fake checks no digest")
    }

    fn watch(&mut self, watcher: Watcher<'static>, lamp: &str) -> Result<u16> {
        let name = format!("{lamp}@{}", watcher.domain);
        self.runtime.block_on(self.switch.subscribe_lamp(&name))?;
        self.watches.push((watcher.phone, name));
        Ok(202)
    }

    fn renew_watches(&mut self) -> Result<()> {
        for (_, name) in &self.watches {
            self.runtime.block_on(self.switch.subscribe_lamp(name))?;
        }
        Ok(())
    }

    fn wait_lamp(&mut self, phone: Phone, lamp: &str, lit: bool, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let shown = self.lamp_shown(phone, lamp);
            if shown.last() == Some(&lit) {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{phone}, {lamp}: should be lit: {lit}, and shows {shown:?}"
            );
            // The fake tells nobody when a lamp changes; these few stories would be the only ones that need it.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn lamp_shown(&mut self, phone: Phone, lamp: &str) -> Vec<bool> {
        let mut watches = self.watches.iter();
        let name = watches.find(|(it, name)| {
            *it == phone && name.split_once('@').is_some_and(|(name, _)| name == lamp)
        });
        let shown = name.map(|(_, name)| self.runtime.block_on(self.switch.lamp(name)));
        shown.and_then(Result::ok).flatten().into_iter().collect()
    }

    fn has_controller(&self) -> bool {
        true
    }

    fn controller(&mut self) -> &mut Controller {
        &mut self.controller
    }

    fn database(&mut self, up: bool) -> Result<()> {
        self.database_lock = None;
        if !up {
            self.database_lock = Some(DatabaseLock::take(
                &self.dir.path().join("callhop/callhop.db"),
            )?);
        }
        Ok(())
    }

    fn network(&mut self, up: bool) -> Result<()> {
        self.swallow = if up { None } else { Some(Swallow::new()?) };
        let address = self
            .swallow
            .as_ref()
            .map_or(self.controller.http(), |it| local(it.port()));
        let set = self.switch.set_controller(Some(address.to_string()));
        Ok(self.runtime.block_on(set)?)
    }

    fn switch(&mut self, up: bool) -> Result<()> {
        if !up {
            let stopped = self.switch.stop(Registrations::Lose);
            return Ok(self.runtime.block_on(stopped)?);
        }
        self.runtime.block_on(self.switch.start_again())?;
        let mut registered = Phone::ALL.into_iter().filter(|phone| phone.registers());
        registered.try_for_each(|phone| self.register(phone, true))
    }

    fn links(&mut self, up: bool) -> Result<()> {
        self.way
            .set(if up { Passage::Open } else { Passage::Closed });
        Ok(())
    }

    fn switch_forgets(&mut self) -> Result<()> {
        // Its mod_hash is in memory, and gone with it.
        Ok(())
    }

    fn is_armed(&mut self, call: Call) -> Result<bool> {
        let asked = format!("uuid_getvar {} callhop_armed", self.channel(call)?);
        Ok(self.runtime.block_on(self.switch.api(&asked))? == "true")
    }

    fn channels(&mut self) -> Result<Vec<String>> {
        // Its phones know what there is; it keeps no list beside them.
        Ok(Vec::new())
    }

    fn native_pull(&mut self, far: Call) -> Result<String> {
        Ok(format!("{NATIVE_INTERCEPT}{}", self.channel(far)?))
    }

    fn native_pickup(&mut self, far: Call, _ringing: Call) -> Result<String> {
        self.native_pull(far)
    }

    fn native_bridge(&mut self, one: Call, other: Call) -> Result<()> {
        let asked = format!(
            "uuid_bridge {} {}",
            self.channel(one)?,
            self.channel(other)?
        );
        Ok(self.runtime.block_on(self.switch.api(&asked)).map(drop)?)
    }

    fn native_split(&mut self, _near: Call, _far: Call) -> Result<()> {
        bail!("the fake knows Callhop's extensions only")
    }

    fn native_ring(&mut self, _far: Call) -> Result<()> {
        bail!("the fake knows Callhop's extensions only")
    }
}

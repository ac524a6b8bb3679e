//! The real site: switch, phones, ear and controller together.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    asterisk::{self, switch::Asterisk},
    ear::{Ear, unix_now},
    freeswitch::switch::FreeSwitch,
    keys::AllKeys,
    phones::Phones,
    ports::{Held, Ports, local},
    switch::Switch,
};
use crate::{
    cast::{EXTENSIONS, Part, Phone},
    controller::{Controller, Setup},
    faults::{DatabaseLock, Passage, Swallow, Way},
    python,
    site::{
        Call, CallReport, CallState, Dial, Digits, Forgery, HandOver, Kind, Moment, OnRing, Site,
        Sound, Span, Watcher,
    },
};

/// A switch that can be started.
#[derive(Debug, Clone)]
pub enum Program {
    /// The FreeSWITCH program.
    FreeSwitch(PathBuf),
    /// Asterisk with what belongs to it.
    Asterisk(asterisk::install::Program),
}

impl Program {
    /// Which of the two.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::FreeSwitch(_) => Kind::FreeSwitch,
            Self::Asterisk(_) => Kind::Asterisk,
        }
    }
}

/// What a lab needs from outside.
#[derive(Debug, Clone)]
pub struct Needs {
    /// The switch.
    pub switch: Program,
    /// The controller's program; without it only the stories of the bare switch can be played.
    pub callhop: Option<PathBuf>,
    /// Cargo's target folder: the Python environment and the lab's own folder are put there.
    pub target: PathBuf,
}

/// The real site.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    python: PathBuf,
    keys: AllKeys,
    ports: Ports,
    phones: Phones,
    ear: Ear,
    controller: Controller,
    has_controller: bool,
    switch: Box<dyn Switch>,
    /// Between the controller and the switch.
    way: Way,
    /// Locks the database while it is "down".
    database_lock: Option<DatabaseLock>,
    /// Swallows questions while the network is "down".
    swallow: Option<Swallow>,
    _held: Held,
}

impl Lab {
    /// Builds and starts everything. The folder of the last run is thrown away first.
    ///
    /// # Errors
    /// When a part does not start, with its own words.
    pub fn start(needs: &Needs) -> Result<Self> {
        let dir = needs.target.join("live").join(match needs.switch.kind() {
            Kind::Asterisk => "asterisk",
            Kind::Fake | Kind::FreeSwitch => "freeswitch",
        });
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        fs::create_dir_all(&dir)?;
        let python = python::with(&needs.target, "pjsua2-python", "pjsua2")?;
        let (ports, held) = Ports::find()?;
        let switch: Box<dyn Switch> = match &needs.switch {
            Program::FreeSwitch(program) => {
                Box::new(FreeSwitch::new(program.clone(), &dir, ports)?)
            }
            Program::Asterisk(program) => Box::new(Asterisk::new(program.clone(), &dir, ports)?),
        };
        let way = Way::new(ports.link(), switch.links())?;
        let controller = Controller::new(Setup {
            program: needs.callhop.clone().unwrap_or_default(),
            dir: dir.join("callhop"),
            store_url: format!("sqlite://{}", dir.join("callhop/callhop.db").display()),
            switch: switch.settings(way.address()),
            http: local(ports.http()),
        })?;
        let mut lab = Self {
            python: python.clone(),
            ports,
            controller,
            has_controller: needs.callhop.is_some(),
            ear: Ear::start(ports)?,
            switch,
            way,
            phones: {
                // Phones start while the switch does; their first REGISTER is repeated until it listens.
                Phones::start(&python, &dir.join("phones"), ports)?
            },
            dir,
            database_lock: None,
            keys: AllKeys::default(),
            swallow: None,
            _held: held,
        };
        if lab.has_controller {
            lab.write_dialplan()?;
        }
        lab.switch.start()?;
        lab.register_all()?;
        lab.warm_up()?;
        lab.wait_registrations_listed()?;
        if lab.has_controller {
            lab.controller.start()?;
            for (extension, devices) in EXTENSIONS {
                let mut args = vec!["extension", "add", extension];
                devices
                    .iter()
                    .for_each(|device| args.extend(["--device", *device]));
                lab.controller.cli(&args)?.ok()?;
                // A question brings the controller up to date: a call that is there before its extension is known is armed late.
                lab.controller.cli(&["why", extension])?.ok()?;
            }
        }
        Ok(lab)
    }

    /// The lab's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lab's ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The switch's process.
    #[must_use]
    pub fn switch_pid(&self) -> Option<u32> {
        self.switch.pid()
    }

    /// Registers an address for a device, without a phone behind it.
    ///
    /// # Errors
    /// When the registrar refuses.
    pub fn register_address(&mut self, part: Part, address: &str) -> Result<()> {
        let sender = format!("<sip:{}@{}>", part.user, part.domain);
        let args = [
            "--realm",
            part.domain,
            "--sender",
            &sender,
            "--number",
            part.user,
            "--register",
            address,
        ];
        let codes = self.client(self.ports.internal(), part, &args)?;
        if codes.last() != Some(&200) {
            bail!("the registrar answered {codes:?}");
        }
        Ok(())
    }

    /// The client that says what it is told to; the SIP answers that it got.
    fn client(&self, port: u16, part: Part, args: &[&str]) -> Result<Vec<u16>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("live/forge.py");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .args(["--server", &local(port).to_string()]);
        command
            .args(["--user", part.user, "--password", part.password])
            .args(args);
        let output = command.output()?;
        let said: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("forge.py: {}", String::from_utf8_lossy(&output.stderr)))?;
        let codes = said["codes"].as_array().context("forge.py without codes")?;
        Ok(codes
            .iter()
            .filter_map(Value::as_u64)
            .filter_map(|code| u16::try_from(code).ok())
            .collect())
    }

    /// Puts Callhop's dialplan in, with the address of the controller or of the port that swallows.
    fn write_dialplan(&mut self) -> Result<()> {
        let questions = self
            .swallow
            .as_ref()
            .map_or(self.controller.http(), |swallow| local(swallow.port()));
        self.switch.write_dialplan(&self.controller, questions)
    }

    /// The switch's channel that carries this call.
    fn channel_of(&mut self, call: Call) -> Result<String> {
        let sip_id = self
            .phones
            .sip_id(call)
            .context("the phone does not know the Call-ID yet")?;
        self.switch.channel_of(&sip_id)
    }

    fn register_all(&mut self) -> Result<()> {
        for phone in Phone::ALL.into_iter().filter(|phone| phone.registers()) {
            self.phones.register(phone, true)?;
        }
        Ok(())
    }

    /// Makes the switch's first call. At its first presence event ever FreeSWITCH's mod_sofia lets the thread that hands
    /// out events sleep for half a second (`sofia_presence.c`), which would count as the controller's delay.
    fn warm_up(&mut self) -> Result<()> {
        let call = self.dial(Phone::P1001, "7000", Dial::default())?;
        self.wait_state(call, &[CallState::Talking], Duration::from_secs(5))?;
        self.hang_up(call)?;
        self.wait_state(call, &[CallState::Ended], Duration::from_secs(5))
            .map(drop)
    }

    /// The switch writes its list of registrations some time after it has answered them. Phones of a site have been there
    /// for longer than that.
    fn wait_registrations_listed(&mut self) -> Result<()> {
        let wanted = Phone::ALL.into_iter().filter(|phone| phone.registers());
        let wanted = wanted.count();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let listed = self.switch.registrations()?;
            if listed == wanted {
                break;
            }
            if Instant::now() > until {
                bail!("{listed} phones are registered, and should be {wanted}");
            }
            // A question to the switch, as below.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait_no_channels(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.switch.channels()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("channels are left: {}", left.join("; "));
            }
            self.switch.hang_up_all()?;
            // A question to the switch; it would have to be subscribed to else, for this one place.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Site for Lab {
    fn kind(&self) -> Kind {
        self.switch.kind()
    }

    fn now(&mut self) -> Moment {
        Moment(unix_now())
    }

    fn reset(&mut self) -> Result<()> {
        self.database(true)?;
        self.network(true)?;
        self.links(true)?;
        if self.switch.pid().is_none() {
            self.switch(true)?;
        }
        if self.controller.is_frozen() {
            self.controller.freeze(false)?;
        }
        self.phones.hang_up_all()?;
        self.wait_no_channels()?;
        for phone in Phone::ALL {
            self.on_ring(phone, OnRing::Answer)?;
        }
        self.phones.register(Phone::P1001b, false)?;
        if self.has_controller {
            self.controller.start()?;
            for (extension, _) in EXTENSIONS {
                self.controller.cli(&["route", "reset", extension])?.ok()?;
            }
        }
        self.keys.forget();
        self.phones.forget();
        self.ear.forget();
        Ok(())
    }

    fn dial(&mut self, phone: Phone, number: &str, how: Dial<'_>) -> Result<Call> {
        self.phones.dial(phone, number, how.headers)
    }

    fn on_ring(&mut self, phone: Phone, what: OnRing) -> Result<()> {
        let steps = match what {
            OnRing::Answer => json!([{"code": 180}, {"code": 200, "after_ms": 60}]),
            OnRing::AtOnce => json!([{"code": 180}, {"code": 200}]),
            OnRing::Ring => json!([{"code": 180}]),
            OnRing::Nothing => json!([]),
            OnRing::EarlyMedia => json!([{"code": 183}]),
            OnRing::Reject(code) => json!([{"code": code}]),
        };
        self.phones
            .tell(phone, "on_ring", json!({"steps": steps}))
            .map(drop)
    }

    fn answer(&mut self, call: Call) -> Result<()> {
        self.phones
            .tell(call.phone, "answer", json!({"call": call.key}))
            .map(drop)
    }

    fn hang_up(&mut self, call: Call) -> Result<()> {
        self.phones
            .tell(call.phone, "hangup", json!({"call": call.key}))
            .map(drop)
    }

    fn hold(&mut self, call: Call, held: bool) -> Result<()> {
        self.phones
            .tell(
                call.phone,
                if held { "hold" } else { "unhold" },
                json!({"call": call.key}),
            )
            .map(drop)
    }

    fn send_digits(&mut self, call: Call, digits: &str, how: Digits) -> Result<Moment> {
        let since = self.now();
        let command = json!({"call": call.key, "digits": digits});
        match how {
            Digits::Info => {
                self.phones.tell(call.phone, "dtmf_info", command)?;
                Ok(self.now())
            }
            Digits::Rtp => {
                self.phones.tell(call.phone, "dtmf", command)?;
                let count = digits.chars().count();
                let within = Duration::from_secs(2 + count as u64);
                self.ear.digits_sent(call.phone, count, since, within)
            }
        }
    }

    fn digits_got(&mut self, phone: Phone, since: Moment) -> String {
        self.ear.digits_got(phone, since)
    }

    fn transfer(&mut self, call: Call, number: &str) -> Result<()> {
        self.phones
            .tell(
                call.phone,
                "transfer",
                json!({"call": call.key, "number": number}),
            )
            .map(drop)
    }

    fn join(&mut self, call: Call, other: Call) -> Result<()> {
        self.phones
            .tell(
                call.phone,
                "join",
                json!({"call": call.key, "other": other.key}),
            )
            .map(drop)
    }

    fn register(&mut self, phone: Phone, registered: bool) -> Result<()> {
        self.phones.register(phone, registered)
    }

    fn is_registered(&mut self, phone: Phone) -> Result<bool> {
        Ok(self.phones.is_registered(phone))
    }

    fn wait_call(
        &mut self,
        phone: Phone,
        since: Moment,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport> {
        self.phones.wait(phone, since, None, states, within)
    }

    fn wait_state(
        &mut self,
        call: Call,
        states: &[CallState],
        within: Duration,
    ) -> Result<CallReport> {
        self.phones
            .wait(call.phone, Moment(0.0), Some(call), states, within)
    }

    fn wait_report(
        &mut self,
        call: Call,
        within: Duration,
        is_it: &dyn Fn(&CallReport) -> bool,
    ) -> Result<CallReport> {
        self.phones.wait_report(call, within, is_it)
    }

    fn calls_since(&mut self, phone: Phone, since: Moment) -> Vec<CallReport> {
        self.phones.since(phone, since)
    }

    fn wait_hears(
        &mut self,
        phone: Phone,
        sound: Sound,
        since: Moment,
        within: Duration,
    ) -> Result<()> {
        self.ear.wait(phone, sound, since, within)
    }

    fn heard(&mut self, phone: Phone, since: Moment) -> Vec<Span> {
        self.ear.heard(phone, since)
    }

    fn hand_over(&mut self, far: Phone, old: Phone, new: Phone, since: Moment) -> Option<HandOver> {
        self.ear.hand_over(far, old, new, since)
    }

    fn invite_sent(&mut self, phone: Phone, number: &str, since: Moment) -> Option<Moment> {
        self.ear.invite_sent(phone, number, since)
    }

    fn invite_came(&mut self, phone: Phone, since: Moment) -> Option<Moment> {
        self.ear.invite_came(phone, since)
    }

    fn forge(&mut self, forgery: Forgery<'_>) -> Result<Vec<u16>> {
        let part = forgery.as_phone.part();
        let mut args = vec![
            "--realm",
            forgery.realm,
            "--sender",
            forgery.from,
            "--number",
            forgery.number,
        ];
        for header in forgery.headers {
            args.extend(["--header", header]);
        }
        self.client(self.ports.forced(), part, &args)
    }

    fn watch(&mut self, watcher: Watcher<'static>, lamp: &str) -> Result<u16> {
        let port = self.ports.internal();
        self.keys.watch(&self.python, port, watcher, lamp)
    }

    fn renew_watches(&mut self) -> Result<()> {
        self.keys.renew()
    }

    fn wait_lamp(&mut self, phone: Phone, lamp: &str, lit: bool, within: Duration) -> Result<()> {
        self.keys.wait(phone, lamp, lit, within)
    }

    fn lamp_shown(&mut self, phone: Phone, lamp: &str) -> Vec<bool> {
        self.keys.shown(phone, lamp)
    }

    fn has_controller(&self) -> bool {
        self.has_controller
    }

    fn controller(&mut self) -> &mut Controller {
        &mut self.controller
    }

    fn database(&mut self, up: bool) -> Result<()> {
        self.database_lock = if up {
            None
        } else {
            Some(DatabaseLock::take(&self.dir.join("callhop/callhop.db"))?)
        };
        Ok(())
    }

    fn network(&mut self, up: bool) -> Result<()> {
        if up == self.swallow.is_none() {
            return Ok(());
        }
        self.swallow = if up { None } else { Some(Swallow::new()?) };
        self.way
            .set(if up { Passage::Open } else { Passage::Silent });
        self.write_dialplan()
    }

    fn links(&mut self, up: bool) -> Result<()> {
        self.way
            .set(if up { Passage::Open } else { Passage::Closed });
        Ok(())
    }

    fn switch(&mut self, up: bool) -> Result<()> {
        if !up {
            return self.switch.kill();
        }
        self.switch.start()?;
        self.phones.hang_up_all()?;
        self.register_all()
    }

    fn switch_forgets(&mut self) -> Result<()> {
        self.switch.forget()
    }

    fn is_armed(&mut self, call: Call) -> Result<bool> {
        let channel = self.channel_of(call)?;
        self.switch.is_armed(&channel)
    }

    fn channels(&mut self) -> Result<Vec<String>> {
        self.switch.channels()
    }

    fn native_pull(&mut self, far: Call) -> Result<String> {
        let far = self.channel_of(far)?;
        self.switch.native_pull(&far)
    }

    fn native_pickup(&mut self, far: Call, ringing: Call) -> Result<String> {
        let (far, ringing) = (self.channel_of(far)?, self.channel_of(ringing)?);
        self.switch.native_pickup(&far, &ringing)
    }

    fn native_bridge(&mut self, one: Call, other: Call) -> Result<()> {
        let (one, other) = (self.channel_of(one)?, self.channel_of(other)?);
        self.switch.native_bridge(&one, &other)
    }

    fn native_split(&mut self, near: Call, far: Call) -> Result<()> {
        let (near, far) = (self.channel_of(near)?, self.channel_of(far)?);
        self.switch.native_split(&near, &far)
    }

    fn native_ring(&mut self, far: Call) -> Result<()> {
        let far = self.channel_of(far)?;
        self.switch.native_ring(&far)
    }
}

//! A FreeSWITCH that acts, for tests and for the demo.
//!
//! It speaks the event socket on 127.0.0.1, keeps channels, registrations and the hash as the real one does, runs the
//! product's dialplan, and has phones that dial, ring, answer and hear. What it does was taken from traces of the real
//! switch (`tests/data`) and from measurements; the stories that pass on it are meant to pass on the real one.
//!
//! ```
//! use std::time::Duration;
//! use callhop_fakeswitch::{Config, FakeSwitch};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let switch = FakeSwitch::start(Config::default()).await?;
//! let desk = switch.register("1001@lab.test").await?;
//! let customer = switch.outside("901").await?;
//!
//! customer.dial("1000").await?;
//! let second = Duration::from_secs(1);
//! desk.wait_until(|phone| phone.ringing().count() == 1, second).await?;
//! desk.answer().await?;
//! customer.wait_until(|phone| phone.talks_to("1001"), second).await?;
//! # Ok(())
//! # }
//! ```
//!
//! One task owns everything ([`FakeSwitch::start`] spawns it); a run is the same for the same seed, apart from the
//! order in which commands of different clients arrive. There are no RTP packets and no SIP messages: what a phone
//! hears is worked out from the state of its leg.
//!
//! Deliberately absent: media, codecs, transcoding, digits as sounds, the outbound socket.

mod config;
mod dialstring;
mod events;
mod http;
mod model;
mod phone;
mod random;
mod wire;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinHandle},
};

pub use config::{Action, Config, Extension, Faults, Pattern, Registrations};
pub use model::{ChannelView, Question, SwitchView};
pub use phone::{
    CallState, CallView, DialOptions, DigitGot, Digits, End, EndedCall, Heard, Hears, KEPT_CALLS,
    NotInTime, Phone, PhoneError, PhoneView, RingMode,
};

use model::{Control, Input, World};

/// Why the fake did not start or could not do something.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// The port could not be listened on.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for; 0 stands for any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A phone's name is not `number@domain`.
    #[error("{name:?} is not number@domain")]
    Name {
        /// The name.
        name: String,
    },
    /// The task that owns the switch has ended.
    #[error("the switch is not running")]
    Stopped,
}

/// A running fake. Dropping it ends it, and its phones with it.
#[derive(Debug)]
pub struct FakeSwitch {
    address: SocketAddr,
    inputs: mpsc::UnboundedSender<Input>,
    frozen: watch::Sender<bool>,
    faults: Faults,
    listener: Option<JoinHandle<()>>,
    world: AbortHandle,
}

impl FakeSwitch {
    /// Starts the switch and its event socket.
    ///
    /// # Errors
    /// [`FakeError::Listen`].
    pub async fn start(config: Config) -> Result<Self, FakeError> {
        let (inputs, received) = mpsc::unbounded_channel();
        let (frozen, _) = watch::channel(false);
        let listener = bind(config.port).await?;
        let port = config.port;
        let address = listener
            .local_addr()
            .map_err(|source| FakeError::Listen { port, source })?;
        let faults = config.faults;
        let world = World::new(config, inputs.downgrade());
        let mut switch = Self {
            address,
            inputs,
            frozen,
            faults,
            listener: None,
            world: tokio::spawn(world.run(received)).abort_handle(),
        };
        switch.listen_on(listener);
        Ok(switch)
    }

    /// Where the event socket listens.
    #[must_use]
    pub fn esl_addr(&self) -> SocketAddr {
        self.address
    }

    /// Makes a phone for `number@domain` and registers it. The same name twice makes two registrations of one number.
    ///
    /// # Errors
    /// [`FakeError::Name`], [`FakeError::Stopped`].
    pub async fn register(&self, name: &str) -> Result<Phone, FakeError> {
        let (number, domain) = name.split_once('@').ok_or_else(|| FakeError::Name {
            name: name.to_owned(),
        })?;
        self.new_phone(number, Some(domain.to_owned())).await
    }

    /// Makes a line outside: it can call extensions, and devices reach it by dialling 0 and its number. Its calls are
    /// not authenticated.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn outside(&self, number: &str) -> Result<Phone, FakeError> {
        self.new_phone(number, None).await
    }

    async fn new_phone(&self, number: &str, domain: Option<String>) -> Result<Phone, FakeError> {
        let (reply, answer) = oneshot::channel();
        let input = Input::NewPhone(number.to_owned(), domain, reply);
        self.inputs.send(input).map_err(|_| FakeError::Stopped)?;
        let (id, label) = answer.await.map_err(|_| FakeError::Stopped)?;
        Ok(Phone {
            id,
            label,
            inputs: self.inputs.clone(),
        })
    }

    /// Which controller (`host:port`) the dialplan asks from now on; `None`: nobody answers.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn set_controller(&self, address: Option<String>) -> Result<(), FakeError> {
        self.control(Control::Controller(address)).await.map(drop)
    }

    /// What goes wrong on the event socket from now on.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn set_faults(&mut self, faults: Faults) -> Result<(), FakeError> {
        self.faults = faults;
        self.control(Control::Faults(faults)).await.map(drop)
    }

    /// Reads and writes nothing on the event socket, as a hung switch would, until [`FakeSwitch::thaw`]. Calls go on.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Ends [`FakeSwitch::freeze`]; what has waited goes out.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// Cuts all links of the event socket.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn cut(&self) -> Result<(), FakeError> {
        self.control(Control::Cut).await.map(drop)
    }

    /// Sends an event with a header of this many bytes to every link that listens to events.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn send_overlong(&self, length: usize) -> Result<(), FakeError> {
        self.control(Control::Overlong(length)).await.map(drop)
    }

    /// Sends bytes as they are to every link that listens to events.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn send_raw(&self, bytes: Vec<u8>) -> Result<(), FakeError> {
        self.control(Control::Raw(bytes)).await.map(drop)
    }

    /// A HEARTBEAT out of turn.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn heartbeat(&self) -> Result<(), FakeError> {
        self.control(Control::Heartbeat).await.map(drop)
    }

    /// Carries out an API command as an operator on the console would.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn api(&self, command: &str) -> Result<String, FakeError> {
        self.control(Control::Api(command.to_owned())).await
    }

    /// A phone subscribes to a lamp (`callhop+1000*1002@example.com`), or renews its subscription.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn subscribe_lamp(&self, name: &str) -> Result<(), FakeError> {
        let name = name.to_owned();
        self.control(Control::SubscribeLamp(name)).await.map(drop)
    }

    /// Whether a lamp is lit; `None` if no NOTIFY has come, or nobody has subscribed.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn lamp(&self, name: &str) -> Result<Option<bool>, FakeError> {
        let state = self.control(Control::Lamp(name.to_owned())).await?;
        Ok((!state.is_empty()).then_some(state == "lit"))
    }

    /// Restarts: SHUTDOWN, links closed, all channels gone, hash empty, new Core-UUID; at once back again.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn restart(&self, registrations: Registrations) -> Result<(), FakeError> {
        self.control(Control::Restart(registrations))
            .await
            .map(drop)
    }

    /// Goes down as [`FakeSwitch::restart`] does and stays down: connections are refused, phones cannot do anything.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn stop(&mut self, registrations: Registrations) -> Result<(), FakeError> {
        if let Some(listener) = self.listener.take() {
            listener.abort();
            // The port is free once the task is gone, not once it was told to go. It ends as aborted.
            let _ = listener.await;
        }
        self.control(Control::Restart(registrations)).await?;
        self.control(Control::Running(false)).await.map(drop)
    }

    /// Comes back after [`FakeSwitch::stop`], on the same port.
    ///
    /// # Errors
    /// [`FakeError::Listen`], [`FakeError::Stopped`].
    pub async fn start_again(&mut self) -> Result<(), FakeError> {
        let listener = bind(self.address.port()).await?;
        self.listen_on(listener);
        self.control(Control::Running(true)).await.map(drop)
    }

    /// What there is to see now.
    ///
    /// # Errors
    /// [`FakeError::Stopped`].
    pub async fn view(&self) -> Result<SwitchView, FakeError> {
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::WatchSwitch(Box::new(|_| true), reply))
            .map_err(|_| FakeError::Stopped)?;
        answer.await.map_err(|_| FakeError::Stopped)
    }

    /// Waits until the condition holds; it is tried after every single change.
    ///
    /// # Errors
    /// [`NotInTime`] with what was seen last.
    pub async fn wait_until(
        &self,
        condition: impl FnMut(&SwitchView) -> bool + Send + 'static,
        limit: Duration,
    ) -> Result<SwitchView, NotInTime> {
        let (reply, answer) = oneshot::channel();
        let sent = self
            .inputs
            .send(Input::WatchSwitch(Box::new(condition), reply));
        match phone::in_time(sent.is_ok(), answer, limit).await {
            Some(view) => Ok(view),
            None => Err(NotInTime {
                limit,
                last: format!("{:#?}", self.view().await),
            }),
        }
    }

    async fn control(&self, control: Control) -> Result<String, FakeError> {
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::Control(control, reply))
            .map_err(|_| FakeError::Stopped)?;
        answer.await.map_err(|_| FakeError::Stopped)
    }

    fn listen_on(&mut self, listener: TcpListener) {
        let (inputs, frozen) = (self.inputs.clone(), self.frozen.subscribe());
        let task = tokio::spawn(wire::listen(listener, inputs, frozen, self.faults));
        self.listener = Some(task);
    }
}

impl Drop for FakeSwitch {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        self.world.abort();
    }
}

async fn bind(port: u16) -> Result<TcpListener, FakeError> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|source| FakeError::Listen { port, source })
}

//! The phones: what is done with them, and what they show.
//!
//! Owns the fake switch and its phones. Refuses a number that no phone could dial.

use std::sync::Arc;
use std::time::Duration;

use callhop_fakeswitch::{
    DialOptions, Digits, FakeError, FakeSwitch, Phone, PhoneError, PhoneView,
};
use tokio::sync::watch;

use super::cast::{CAST, DOMAIN, Part};
use super::words::Shown;

/// As good as for ever: a phone that nobody touches shows the same.
const LONG: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The phones. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    switch: FakeSwitch,
    phones: Vec<(Part, Phone)>,
    shown: watch::Receiver<Vec<Shown>>,
}

/// What somebody does with a phone. What it is done to is a call of that phone, by its channel; else the one that it can be
/// done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act<'a> {
    /// Dials.
    Dial(&'a str),
    /// Answers what rings.
    Answer,
    /// Hangs up, or refuses what rings.
    HangUp,
    /// Puts on hold.
    Hold,
    /// Takes back from hold.
    Resume,
    /// Sends digits in a call.
    Digits(&'a str),
}

/// Why that was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// No such phone.
    #[error("there is no phone {0:?}; there are {ids}", ids = ids())]
    NoPhone(String),
    /// A number that cannot be dialled.
    #[error("{0:?} cannot be dialled: 1 to 24 of the characters 0 to 9, * and #")]
    NotDiallable(String),
    /// There is no call to do it to, or the switch has ended.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

fn ids() -> String {
    CAST.map(|part| part.id).join(", ")
}

impl Desk {
    /// Puts the phones of everybody on the desk.
    ///
    /// # Errors
    /// The switch has ended.
    pub(crate) async fn new(switch: FakeSwitch) -> Result<Self, FakeError> {
        let mut phones = Vec::new();
        for part in CAST {
            let phone = if part.extension.is_some() {
                let name = format!("{}@{DOMAIN}", part.number);
                switch.register(&name).await?
            } else {
                switch.outside(part.number).await?
            };
            phones.push((part, phone));
        }
        let mut views = Vec::new();
        for (_, phone) in &phones {
            views.push(phone.view().await.map_err(|_| FakeError::Stopped)?);
        }
        let all = phones.iter().zip(&views);
        let first = all.map(|((part, _), view)| Shown::of(part, view)).collect();
        let (tell, shown) = watch::channel(first);
        let tell = Arc::new(tell);
        for (place, ((part, phone), view)) in phones.iter().zip(views).enumerate() {
            tokio::spawn(follow(place, *part, phone.clone(), view, tell.clone()));
        }
        Ok(Self(Arc::new(Inner {
            switch,
            phones,
            shown,
        })))
    }

    /// The switch behind the phones.
    pub(crate) fn switch(&self) -> &FakeSwitch {
        &self.0.switch
    }

    /// What all phones show, now and whenever that changes.
    pub(crate) fn shown(&self) -> watch::Receiver<Vec<Shown>> {
        self.0.shown.clone()
    }

    /// All phones, and whose they are.
    pub(crate) fn phones(&self) -> impl Iterator<Item = (&Part, &Phone)> {
        self.0.phones.iter().map(|(part, phone)| (part, phone))
    }

    /// One phone.
    ///
    /// # Errors
    /// [`ActError::NoPhone`].
    pub(crate) fn phone(&self, id: &str) -> Result<(&Part, &Phone), ActError> {
        let mut phones = self.phones();
        phones
            .find(|(part, _)| part.id == id)
            .ok_or_else(|| ActError::NoPhone(id.to_owned()))
    }

    /// Does something with a phone, to `call` or to the call that it can be done to.
    ///
    /// # Errors
    /// [`ActError`].
    pub(crate) async fn act(
        &self,
        id: &str,
        act: Act<'_>,
        call: Option<&str>,
    ) -> Result<(), ActError> {
        let (part, phone) = self.phone(id)?;
        match (act, call) {
            (Act::Dial(number), _) => {
                let options = DialOptions {
                    display_name: Some(name_sent(part).to_owned()),
                    ..DialOptions::default()
                };
                phone.dial_with(diallable(number)?, options).await?;
            }
            (Act::Answer, Some(call)) => phone.answer_call(call).await?,
            (Act::Answer, None) => phone.answer().await?,
            (Act::HangUp, Some(call)) => phone.hangup_call(call).await?,
            (Act::HangUp, None) => phone.hangup().await?,
            (Act::Hold, Some(call)) => phone.hold_call(call, true).await?,
            (Act::Hold, None) => phone.hold().await?,
            (Act::Resume, Some(call)) => phone.hold_call(call, false).await?,
            (Act::Resume, None) => phone.unhold().await?,
            (Act::Digits(digits), call) => {
                let digits = diallable(digits)?;
                let newest = match call {
                    Some(call) => Some(call.to_owned()),
                    None => newest(&phone.view().await?),
                };
                let call = newest.ok_or_else(|| PhoneError::NoCall {
                    label: phone.label().to_owned(),
                    what: "dial digits in",
                })?;
                phone.send_digits(&call, digits, Digits::Rtp).await?;
            }
        }
        Ok(())
    }
}

/// What a phone sends as the name of its person.
fn name_sent(part: &Part) -> &'static str {
    if part.extension.is_some() {
        part.person
    } else {
        part.name
    }
}

fn newest(view: &PhoneView) -> Option<String> {
    view.calls.last().map(|call| call.channel.clone())
}

fn diallable(number: &str) -> Result<&str, ActError> {
    let fits = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'#');
    if (1..=24).contains(&number.len()) && number.bytes().all(fits) {
        Ok(number)
    } else {
        Err(ActError::NotDiallable(number.to_owned()))
    }
}

/// Keeps what a phone shows up to date, until the switch ends.
async fn follow(
    place: usize,
    part: Part,
    phone: Phone,
    mut last: PhoneView,
    tell: Arc<watch::Sender<Vec<Shown>>>,
) {
    loop {
        let before = last.clone();
        let Ok(view) = phone.wait_until(move |now| *now != before, LONG).await else {
            return;
        };
        let shown = Shown::of(&part, &view);
        tell.send_if_modified(|all| match all.get_mut(place) {
            Some(old) if *old != shown => {
                *old = shown;
                true
            }
            Some(_) | None => false,
        });
        last = view;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_keypad_has_is_dialled() {
        for number in ["1000", "*492000", "*9", "#"] {
            assert_eq!(diallable(number).unwrap(), number);
        }
        for number in ["", "10 00", "1000\r\n", "${x}", "+49", &"1".repeat(25)] {
            assert!(diallable(number).is_err(), "{number}");
        }
    }
}

//! The lamps on the switches, and what happens when a key is pressed.
//!
//! Owns which lamps each switch shows as lit, and writes only what has changed; a switch of which that is not known is told
//! of every lamp. Refuses to write while a switch can't be reached or the database has not been read: lamps stay as they are.

use std::collections::BTreeSet;

use super::{Core, Output, Refusal};
use crate::directory::{Extension, RouteTarget};
use crate::id::{DeviceId, ExtensionId, SwitchName};
use crate::lamp::Lamp;
use crate::routing::{self, Policy};

/// What the lamps of a switch show.
#[derive(Debug, Default)]
pub(super) enum Shown {
    /// Nobody can say: it keeps no list, or it has not been read.
    #[default]
    Unknown,
    /// These are lit, all others are dark.
    Lit(BTreeSet<Lamp>),
}

impl Core {
    /// The switch has been read: these of its lamps are lit.
    pub(super) fn handle_lamps_read(&mut self, name: &SwitchName, lit: Vec<Lamp>) {
        if let Some(switch) = self.switches.get_mut(name) {
            switch.lamps = Shown::Lit(lit.into_iter().collect());
        }
    }

    /// A phone has subscribed to a lamp. One of an extension that is not there is dark, as it tells nobody what is there.
    pub(super) fn handle_lamp_asked(&mut self, name: &SwitchName, lamp: Lamp) {
        if !self.directory_is_read {
            // Every lamp is told as soon as it is.
            return;
        }
        let extension = self.directory.extension(&lamp.extension);
        let lit = extension.is_some_and(|extension| lamp.is_lit(extension, self.now.unix));
        self.outputs
            .push_back(Output::Lamp(name.clone(), lamp, lit));
    }

    /// Brings all lamps of a switch up to date.
    pub(super) fn lamps_anew(&mut self, name: &SwitchName) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        if !switch.fresh || !self.directory_is_read {
            return;
        }
        let now = self.now.unix;
        let extensions = self.directory.extensions();
        let lit: BTreeSet<Lamp> = extensions.flat_map(|it| Lamp::lit(it, now)).collect();
        let mut tell = |lamp: Lamp, is_lit| {
            self.outputs
                .push_back(Output::Lamp(name.clone(), lamp, is_lit));
        };
        match std::mem::take(&mut switch.lamps) {
            Shown::Lit(before) => {
                lit.difference(&before)
                    .cloned()
                    .for_each(|it| tell(it, true));
                before
                    .difference(&lit)
                    .cloned()
                    .for_each(|it| tell(it, false));
            }
            // The lit ones first: they are few, and all others are dark as a rule.
            Shown::Unknown => {
                lit.iter().cloned().for_each(|it| tell(it, true));
                let own = self.directory.extensions().flat_map(Lamp::own);
                own.filter(|it| !lit.contains(it))
                    .for_each(|it| tell(it, false));
            }
        }
        switch.lamps = Shown::Lit(lit);
    }

    /// Brings the lamps of these extensions, which may be gone, up to date on every switch.
    pub(super) fn lamps_changed(&mut self, ids: &BTreeSet<ExtensionId>) {
        let now = self.now.unix;
        for (name, switch) in &mut self.switches {
            let Shown::Lit(shown) = &mut switch.lamps else {
                continue;
            };
            if !switch.fresh {
                // What has changed meanwhile is found when it is read again.
                continue;
            }
            for id in ids {
                let extension = self.directory.extension(id);
                let lit = extension.map_or_else(Vec::new, |it| Lamp::lit(it, now));
                let first = Lamp {
                    extension: id.clone(),
                    target: None,
                };
                let own = shown.range(first..).take_while(|it| it.extension == *id);
                let over: Vec<_> = own.filter(|it| !lit.contains(it)).cloned().collect();
                for lamp in over {
                    shown.remove(&lamp);
                    self.outputs
                        .push_back(Output::Lamp(name.clone(), lamp, false));
                }
                for lamp in lit {
                    if shown.insert(lamp.clone()) {
                        self.outputs
                            .push_back(Output::Lamp(name.clone(), lamp, true));
                    }
                }
            }
        }
    }

    /// What a key does that is pressed at `device`: one that is lit resets the route, one that is dark sets it as `*50` and
    /// `*49` do.
    pub(super) fn key_pressed(
        &self,
        extension: &Extension,
        device: &DeviceId,
        policy: &Policy,
        dialled: &str,
    ) -> Result<Option<RouteTarget>, Refusal> {
        let lamp = Lamp::parse(dialled, &device.domain)?;
        if lamp.extension != extension.id {
            return Err(Refusal::ForeignLamp(lamp.extension));
        }
        if lamp.is_lit(extension, self.now.unix) {
            return Ok(None);
        }
        Ok(Some(match &lamp.target {
            None => RouteTarget::Device(device.clone()),
            Some(number) => {
                routing::target(&self.directory, extension, number, policy, self.now.unix)?
            }
        }))
    }
}

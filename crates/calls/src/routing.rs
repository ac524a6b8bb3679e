//! Cold routing: where an inbound call rings.
//!
//! Owns the way from an extension over its route, and the routes of colleagues, to the devices. Refuses to lose a call:
//! a chain that loops, is too long or ends nowhere rings the devices of the last extension that it reached.

use serde::Serialize;

use crate::directory::{Directory, Extension, Route, RouteEnd, RouteTarget};
use crate::id::{DeviceId, ExtensionId, Number, UnixTime};
use crate::push::PushPolicy;
use crate::star::Features;

/// How many routes may be followed one after the other (DESIGN 2.5).
pub const MAX_CHAIN: usize = 5;

/// What rings when a route leads to a device that is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unregistered {
    /// Only that device: the caller goes where the dialplan sends a call that nobody answers.
    #[default]
    Strict,
    /// All devices of the extension.
    RingAll,
}

/// The settings of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its star codes.
    pub features: Features,
    /// What rings when a route leads to a device that is not registered.
    pub unregistered: Unregistered,
    /// Whether a route may lead to a colleague.
    pub colleagues: bool,
    /// How calls are pushed.
    pub push: PushPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            features: Features::default(),
            unregistered: Unregistered::default(),
            colleagues: true,
            push: PushPolicy::default(),
        }
    }
}

/// One step on the way from the dialled extension to the devices, for `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// No route: all devices.
    AllDevices {
        /// Whose.
        extension: ExtensionId,
    },
    /// The route names one device.
    OneDevice {
        /// Whose route.
        extension: ExtensionId,
        /// The device.
        device: DeviceId,
    },
    /// The route names a colleague.
    Colleague {
        /// Whose route.
        extension: ExtensionId,
        /// The colleague.
        to: ExtensionId,
    },
    /// A route that has ended.
    Expired {
        /// Whose.
        extension: ExtensionId,
    },
    /// The routed device is not registered, and the domain says that all ring then.
    UnregisteredRingsAll {
        /// Whose route.
        extension: ExtensionId,
        /// The device.
        device: DeviceId,
    },
    /// The routed device is not the extension's any more: all of its devices ring.
    NotOwnDevice {
        /// Whose route.
        extension: ExtensionId,
        /// The device.
        device: DeviceId,
    },
    /// The colleague's extension is not there any more or has no device, the chain comes back to itself, or it is too long:
    /// it is cut here.
    Cut {
        /// Where.
        extension: ExtensionId,
        /// Where the route would have gone on.
        to: ExtensionId,
    },
}

/// What an inbound call rings, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hunt {
    /// The devices that ring; empty only if the dialled extension has none.
    pub targets: Vec<DeviceId>,
    /// How they were found.
    pub steps: Vec<Step>,
    /// Extensions whose next-call-only route was used: it ends with this call.
    pub used_up: Vec<(ExtensionId, Route)>,
}

/// Where an inbound call to `id` rings; `None` if there is no such extension.
#[must_use]
pub fn hunt(
    directory: &Directory,
    id: &ExtensionId,
    now: UnixTime,
    unregistered: Unregistered,
    registered: impl Fn(&DeviceId) -> bool,
) -> Option<Hunt> {
    let mut extension = directory.extension(id)?;
    let mut seen = vec![id.clone()];
    let mut hunt = Hunt {
        targets: Vec::new(),
        steps: Vec::new(),
        used_up: Vec::new(),
    };
    loop {
        let here = extension.id.clone();
        let route = match &extension.route {
            Some(route) if route.is_in_force(now) => Some(route),
            Some(_) => {
                hunt.steps.push(Step::Expired {
                    extension: here.clone(),
                });
                None
            }
            None => None,
        };
        if let Some(route) = route
            && route.end == RouteEnd::NextCall
        {
            hunt.used_up.push((here.clone(), route.clone()));
        }
        match route.map(|r| &r.target) {
            None => return Some(all_devices(hunt, extension)),
            Some(RouteTarget::Device(device)) => {
                if !extension.owns(device) {
                    hunt.steps.push(Step::NotOwnDevice {
                        extension: here,
                        device: device.clone(),
                    });
                    return Some(all_devices(hunt, extension));
                }
                if unregistered == Unregistered::RingAll && !registered(device) {
                    hunt.steps.push(Step::UnregisteredRingsAll {
                        extension: here,
                        device: device.clone(),
                    });
                    return Some(all_devices(hunt, extension));
                }
                hunt.steps.push(Step::OneDevice {
                    extension: here,
                    device: device.clone(),
                });
                hunt.targets.push(device.clone());
                return Some(hunt);
            }
            Some(RouteTarget::Extension(to)) => match directory.extension(to) {
                Some(next)
                    if !next.devices.is_empty()
                        && !seen.contains(to)
                        && seen.len() <= MAX_CHAIN =>
                {
                    hunt.steps.push(Step::Colleague {
                        extension: here,
                        to: to.clone(),
                    });
                    seen.push(to.clone());
                    extension = next;
                }
                _ => {
                    hunt.steps.push(Step::Cut {
                        extension: here,
                        to: to.clone(),
                    });
                    return Some(all_devices(hunt, extension));
                }
            },
        }
    }
}

fn all_devices(mut hunt: Hunt, extension: &Extension) -> Hunt {
    hunt.steps.push(Step::AllDevices {
        extension: extension.id.clone(),
    });
    hunt.targets.extend(extension.device_ids());
    hunt
}

/// Why a route can't be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// Neither an own device nor an extension of the domain.
    #[error("{0} is no device of this extension and no extension of its domain")]
    UnknownNumber(Number),
    /// The device of somebody else.
    #[error("{0} is a device of another extension")]
    ForeignDevice(DeviceId),
    /// Routes to colleagues are switched off for the domain.
    #[error("routes to colleagues are switched off for this domain")]
    ColleaguesOff,
    /// Following the routes from there would lead back here.
    #[error("the route would lead back to {0}")]
    Loop(ExtensionId),
    /// Too many routes one after the other.
    #[error("the route would be more than {MAX_CHAIN} routes long")]
    TooLong,
}

/// What `*49<number>` of `extension` means.
///
/// # Errors
/// The number leads nowhere, to somebody else's device, or round in a circle.
pub fn target(
    directory: &Directory,
    extension: &Extension,
    number: &Number,
    policy: &Policy,
    now: UnixTime,
) -> Result<RouteTarget, RouteRefusal> {
    let device = DeviceId::new(number.clone(), extension.id.domain.clone());
    if extension.owns(&device) {
        return Ok(RouteTarget::Device(device));
    }
    let to = ExtensionId::new(number.clone(), extension.id.domain.clone());
    let Some(mut next) = directory.extension(&to) else {
        return Err(match directory.owner(&device) {
            Some(_) => RouteRefusal::ForeignDevice(device),
            None => RouteRefusal::UnknownNumber(number.clone()),
        });
    };
    if to == extension.id {
        return Err(RouteRefusal::Loop(to));
    }
    if !policy.colleagues {
        return Err(RouteRefusal::ColleaguesOff);
    }
    let mut length = 1;
    while let Some(Route {
        target: RouteTarget::Extension(further),
        ..
    }) = next.route.as_ref().filter(|route| route.is_in_force(now))
    {
        if *further == extension.id {
            return Err(RouteRefusal::Loop(further.clone()));
        }
        length += 1;
        if length > MAX_CHAIN {
            return Err(RouteRefusal::TooLong);
        }
        match directory.extension(further) {
            Some(extension) => next = extension,
            None => break,
        }
    }
    Ok(RouteTarget::Extension(to))
}

//! What may be written, and what follows from it.
//!
//! Owns the rules of extensions and routes, once for both databases. Each function runs inside a transaction that has begun
//! with [`Rows::begin_writing`], so what it has read stays true until its end: no other writer is at work.
//!
//! **Invariant**: a rule refuses before it writes. The keys and checks of the migrations say the same rules again, as a
//! backstop against hands in the database; none of them can fail for what a rule lets through.

use callhop_calls::{
    directory::{Extension, Route, RouteEnd, RouteTarget},
    id::{DeviceId, ExtensionId, Number, UnixTime},
};

use crate::{
    Actor, AddExtensionError, Changed, DatabaseError, Expected, Put, PutExtensionError,
    RemoveExtensionError, ResetRouteError, Revision, RouteChange, SetRouteError, Versioned,
    rows::{Rows, Which},
};

/// What becomes of the transaction.
#[derive(Debug)]
pub(crate) enum Decision<T> {
    /// Something was written: commit it, then answer this.
    Commit(T),
    /// Nothing had to be written: answer this.
    Leave(T),
}

/// The moment, the number and the hand of a change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    pub(crate) now: UnixTime,
    pub(crate) actor: Actor,
}

async fn versioned<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
) -> Result<Option<Versioned>, DatabaseError> {
    let found = rows.find(Which::One(id.clone())).await?;
    Ok(found.extensions.into_iter().next())
}

async fn extension<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
) -> Result<Option<Extension>, DatabaseError> {
    Ok(versioned(rows, id).await?.map(|found| found.extension))
}

/// Refuses when somebody else was faster.
fn check_version(found: Option<&Versioned>, expected: Expected) -> Result<(), Changed> {
    let version = found.map(|found| found.version);
    let fits = match expected {
        Expected::Whatever => true,
        Expected::Nothing => version.is_none(),
        Expected::Something => version.is_some(),
        Expected::Version(expected) => version == Some(expected),
    };
    if fits {
        Ok(())
    } else {
        Err(Changed { version })
    }
}

pub(crate) async fn add_extension<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    devices: &[Number],
    change: Change,
) -> Result<Decision<Revision>, AddExtensionError> {
    check_devices(devices)?;
    if extension(rows, id).await?.is_some() {
        return Err(AddExtensionError::Exists(id.clone()));
    }
    let devices: Vec<_> = devices
        .iter()
        .map(|number| DeviceId::new(number.clone(), id.domain.clone()))
        .collect();
    for device in &devices {
        if let Some(by) = rows.owner(device.clone()).await? {
            let device = device.clone();
            return Err(AddExtensionError::DeviceTaken { device, by });
        }
    }
    rows.insert_extension(id.clone(), change.revision, change.actor, change.now)
        .await?;
    for (place, device) in (0..).zip(devices) {
        rows.insert_device(device, id.number.clone(), place).await?;
    }
    Ok(Decision::Commit(change.revision))
}

/// Adds the extension, or gives the one that is there these devices in this order.
pub(crate) async fn put_extension<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    devices: &[Number],
    expected: Expected,
    change: Change,
) -> Result<Decision<Put>, PutExtensionError> {
    let found = versioned(rows, id).await?;
    check_version(found.as_ref(), expected)?;
    let put = |version, created| Put { version, created };
    let Some(Versioned { extension, version }) = found else {
        return match add_extension(rows, id, devices, change).await? {
            Decision::Commit(version) => Ok(Decision::Commit(put(version, true))),
            Decision::Leave(version) => Ok(Decision::Leave(put(version, true))),
        };
    };
    check_devices(devices)?;
    if extension.devices == devices {
        return Ok(Decision::Leave(put(version, false)));
    }
    let full = |number: &Number| DeviceId::new(number.clone(), id.domain.clone());
    for device in devices {
        match rows.owner(full(device)).await? {
            Some(by) if by != *id => {
                let device = full(device);
                return Err(AddExtensionError::DeviceTaken { device, by }.into());
            }
            Some(_) | None => {}
        }
    }
    let gone: Vec<_> = extension.device_ids().collect();
    let gone = gone.into_iter().filter(|d| !devices.contains(&d.number));
    let gone: Vec<_> = gone.collect();
    let revision = change.revision;
    if let Some(route) = &extension.route
        && let RouteTarget::Device(device) = &route.target
        && gone.contains(device)
    {
        if route.is_in_force(change.now) {
            let (id, device) = (id.clone(), device.clone());
            return Err(PutExtensionError::RoutedTo { id, device });
        }
        let actor = Actor::Controller;
        let change = Change { actor, ..change };
        replace_route(rows, id, extension.route.clone(), None, change).await?;
    }
    for device in gone {
        rows.delete_device(device).await?;
    }
    for (place, number) in (0..).zip(devices) {
        if extension.devices.contains(number) {
            rows.place_device(full(number), place).await?;
        } else {
            rows.insert_device(full(number), id.number.clone(), place)
                .await?;
        }
    }
    rows.touch_extension(id.clone(), revision).await?;
    Ok(Decision::Commit(put(revision, false)))
}

fn check_devices(devices: &[Number]) -> Result<(), AddExtensionError> {
    if devices.is_empty() {
        return Err(AddExtensionError::NoDevices);
    }
    for (place, device) in devices.iter().enumerate() {
        if devices[..place].contains(device) {
            return Err(AddExtensionError::DuplicateDevice(device.clone()));
        }
    }
    Ok(())
}

pub(crate) async fn remove_extension<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    expected: Expected,
    change: Change,
) -> Result<Decision<Revision>, RemoveExtensionError> {
    let found = versioned(rows, id).await?;
    check_version(found.as_ref(), expected)?;
    let Some(Versioned {
        extension: removed, ..
    }) = found
    else {
        return Err(RemoveExtensionError::Unknown(id.clone()));
    };
    let mut over = Vec::new();
    let mut by = Vec::new();
    for colleague in rows.routed_to(id.clone()).await? {
        match extension(rows, &colleague).await?.and_then(|e| e.route) {
            Some(route) if route.is_in_force(change.now) => by.push(colleague),
            route => over.push((colleague, route)),
        }
    }
    if !by.is_empty() {
        let id = id.clone();
        return Err(RemoveExtensionError::RoutedTo { id, by });
    }
    for (colleague, route) in over {
        let change = Change {
            actor: Actor::Controller,
            ..change
        };
        replace_route(rows, &colleague, route, None, change).await?;
    }
    if removed.route.is_some() {
        let change = Change {
            actor: change.actor.clone(),
            ..change
        };
        replace_route(rows, id, removed.route, None, change).await?;
    }
    rows.delete_extension(id.clone(), change.revision, change.actor, change.now)
        .await?;
    Ok(Decision::Commit(change.revision))
}

pub(crate) async fn set_route<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    route: &Route,
    expected: Expected,
    change: Change,
) -> Result<Decision<Revision>, SetRouteError> {
    let found = versioned(rows, id).await?;
    check_version(found.as_ref(), expected)?;
    let Some(Versioned {
        extension: owner, ..
    }) = found
    else {
        return Err(SetRouteError::UnknownExtension(id.clone()));
    };
    match &route.target {
        RouteTarget::Device(device) if device.domain != id.domain => {
            return Err(other_domain(id, device));
        }
        RouteTarget::Extension(other) if other.domain != id.domain => {
            return Err(other_domain(id, other));
        }
        RouteTarget::Device(device) if !owner.owns(device) => {
            return Err(SetRouteError::NotOwnDevice {
                id: id.clone(),
                device: device.clone(),
            });
        }
        RouteTarget::Extension(other) if other == id => {
            return Err(SetRouteError::ToItself(id.clone()));
        }
        RouteTarget::Extension(other) if extension(rows, other).await?.is_none() => {
            return Err(SetRouteError::UnknownTarget(other.clone()));
        }
        RouteTarget::Device(_) | RouteTarget::Extension(_) => {}
    }
    match route.end {
        RouteEnd::At(end) if end <= change.now => {
            let now = change.now;
            return Err(SetRouteError::EndInThePast { end, now });
        }
        RouteEnd::At(_) | RouteEnd::Never | RouteEnd::NextCall => {}
    }
    if owner.route.as_ref() == Some(route) {
        return Ok(Decision::Leave(change.revision.before()));
    }
    let revision = change.revision;
    replace_route(rows, id, owner.route, Some(route.clone()), change).await?;
    Ok(Decision::Commit(revision))
}

fn other_domain(id: &ExtensionId, target: &impl ToString) -> SetRouteError {
    SetRouteError::OtherDomain {
        id: id.clone(),
        target: target.to_string(),
    }
}

pub(crate) async fn reset_route<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    expected: Expected,
    change: Change,
) -> Result<Decision<Option<Revision>>, ResetRouteError> {
    let found = versioned(rows, id).await?;
    check_version(found.as_ref(), expected)?;
    let Some(Versioned {
        extension: owner, ..
    }) = found
    else {
        return Err(ResetRouteError::UnknownExtension(id.clone()));
    };
    if owner.route.is_none() {
        return Ok(Decision::Leave(None));
    }
    let revision = change.revision;
    replace_route(rows, id, owner.route, None, change).await?;
    Ok(Decision::Commit(Some(revision)))
}

pub(crate) async fn consume_route<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    route: &Route,
    change: Change,
) -> Result<Decision<bool>, DatabaseError> {
    let now = extension(rows, id).await?.and_then(|e| e.route);
    if route.end != RouteEnd::NextCall || now.as_ref() != Some(route) {
        return Ok(Decision::Leave(false));
    }
    replace_route(rows, id, now, None, change).await?;
    Ok(Decision::Commit(true))
}

/// Puts one route in the place of another, marks the extension and writes the audit trail.
async fn replace_route<C: Rows + ?Sized>(
    rows: &mut C,
    id: &ExtensionId,
    before: Option<Route>,
    after: Option<Route>,
    change: Change,
) -> Result<(), DatabaseError> {
    rows.delete_route(id.clone()).await?;
    if let Some(route) = &after {
        rows.insert_route(id.clone(), route.clone()).await?;
    }
    rows.touch_extension(id.clone(), change.revision).await?;
    let change = RouteChange {
        revision: change.revision,
        at: change.now,
        actor: change.actor,
        before,
        after,
    };
    rows.insert_change(id.clone(), change).await
}

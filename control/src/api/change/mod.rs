//! The changes of a transaction: one message of the stream of `Apply` each.
//!
//! `edit` changes the named fields of what is there, `text` writes changes into the log.

mod edit;
mod text;

pub(super) use text::ChangeLog;

use std::net::IpAddr;

use inet::Prefix;
use ipvs_core::ServiceKey;
use proto::v1;
use tonic::Status;

use crate::api::convert::field::{ip, known, port, prefix};
use crate::api::convert::{dest, optional_service_key, service, service_key, timeouts};
use crate::desired::{AccessList, Change, Desired};

/// What a message asks for.
pub(super) enum Wanted {
    /// A change that is known as a whole.
    Change(Change),
    /// A change of the fields of a service that the message names.
    ServiceFields(ServiceKey, Box<v1::VirtualService>),
    /// A change of the fields of a dest that the message names.
    DestFields(ServiceKey, (IpAddr, u16), Box<v1::Dest>),
}

impl Wanted {
    /// The whole change, with what stays as it is.
    ///
    /// # Errors
    /// If there is nothing to change, or the result is not possible.
    pub(super) fn complete(self, desired: &Desired) -> Result<Change, Status> {
        Ok(match self {
            Self::Change(change) => change,
            Self::ServiceFields(key, message) => {
                let before = &desired.service(&key)?.request;
                Change::EditService(edit::service(before, &message)?)
            }
            Self::DestFields(key, end, message) => {
                let before = &desired.dest(&key, end)?.request;
                Change::EditDest(key, edit::dest(before, &message)?)
            }
        })
    }
}

/// What a message asks for.
pub(super) fn wanted(message: v1::change::Change) -> Result<Wanted, Status> {
    use v1::change::Change as Message;
    match message {
        Message::EditService(message) if !message.edit_mask.is_empty() => {
            let key = service_key(message.key.as_ref())?;
            Ok(Wanted::ServiceFields(key, Box::new(message)))
        }
        Message::EditDest(v1::DestRequest {
            service,
            dest: Some(dest),
        }) if !dest.edit_mask.is_empty() => {
            let key = service_key(service.as_ref())?;
            let end = end_of(&dest)?;
            Ok(Wanted::DestFields(key, end, Box::new(dest)))
        }
        message => change(message).map(Wanted::Change),
    }
}

/// Address and port of a dest.
fn end_of(dest: &v1::Dest) -> Result<(IpAddr, u16), Status> {
    Ok((
        ip(dest.address.as_ref(), "real server")?,
        port(dest.port, "port")?,
    ))
}

fn change(message: v1::change::Change) -> Result<Change, Status> {
    use v1::change::Change as Message;
    Ok(match message {
        Message::AddService(message) => Change::AddService(service(&message)?),
        Message::EditService(message) => Change::EditService(service(&message)?),
        Message::DelService(key) => Change::DelService(service_key(Some(&key))?),
        Message::AddDest(message) => Change::AddDest(
            service_key(message.service.as_ref())?,
            dest(message.dest.as_ref())?,
        ),
        Message::EditDest(message) => Change::EditDest(
            service_key(message.service.as_ref())?,
            dest(message.dest.as_ref())?,
        ),
        Message::DelDest(message) => {
            // Address and port name it. Beside them only the deadline matters.
            let dest = message.dest.unwrap_or_default();
            Change::DelDest(
                service_key(message.service.as_ref())?,
                end_of(&dest)?,
                Some(dest.drain_s).filter(|secs| *secs > 0),
            )
        }
        Message::AddLaddr(message) => {
            let (key, addr, device) = laddr(message)?;
            Change::AddLaddr(key, addr, device)
        }
        Message::DelLaddr(message) => {
            let force = message.laddr.as_ref().is_some_and(|laddr| laddr.force);
            let (key, addr, _) = laddr(message)?;
            Change::DelLaddr(key, addr, force)
        }
        Message::AddAccess(message) => {
            let (key, list, prefix) = access_entry(message)?;
            Change::AddAccess(key, list, prefix)
        }
        Message::FlushServices(v1::Empty {}) => Change::FlushServices,
        Message::SetTimeouts(message) => Change::SetTimeouts(timeouts(message)?),
        Message::ZeroCounters(message) => {
            Change::ZeroCounters(optional_service_key(message.key.as_ref())?)
        }
        Message::DelAccess(message) => {
            let (key, list, prefix) = access_entry(message)?;
            Change::DelAccess(key, list, prefix)
        }
    })
}

fn laddr(message: v1::LaddrRequest) -> Result<(ServiceKey, IpAddr, String), Status> {
    let key = service_key(message.service.as_ref())?;
    let laddr = message.laddr.ok_or_else(|| {
        Status::invalid_argument(
            "name the local address: give its `Laddr.address` and `Laddr.device`",
        )
    })?;
    Ok((
        key,
        ip(laddr.address.as_ref(), "local address")?,
        laddr.device,
    ))
}

/// Service, list and prefix of a request.
fn access_entry(message: v1::AccessEntry) -> Result<(ServiceKey, AccessList, Prefix), Status> {
    let key = service_key(message.service.as_ref())?;
    let addr = ip(message.address.as_ref(), "address")?;
    let prefix = prefix(addr, message.prefix_len)?;
    Ok((key, list(known(message.list, "list")?), prefix))
}

const fn list(message: v1::AccessList) -> AccessList {
    match message {
        v1::AccessList::Deny => AccessList::Deny,
        v1::AccessList::Allow => AccessList::Allow,
    }
}

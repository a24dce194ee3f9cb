//! One change of services, dests or local addresses: what `Apply` takes many of.

use std::net::IpAddr;

use inet::Prefix;
use ipvs_core::ServiceKey;

use super::Desired;
use crate::desired::ipvs::LaddrError;
use crate::desired::ipvs::ServiceError;
use crate::desired::ipvs::{AccessError, AccessList};
use crate::desired::ipvs::{DestRequest, ServiceRequest, TimeoutsRequest};
use crate::telemetry::Rates;

/// A change, not yet checked against what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// -A
    AddService(ServiceRequest),
    /// -E
    EditService(ServiceRequest),
    /// -D
    DelService(ServiceKey),
    /// -a
    AddDest(ServiceKey, DestRequest),
    /// -e
    EditDest(ServiceKey, DestRequest),
    /// -d, by address and port; conns that are left after so many seconds end
    DelDest(ServiceKey, (IpAddr, u16), Option<u32>),
    /// --add-laddr, on a device
    AddLaddr(ServiceKey, IpAddr, String),
    /// --del-laddr; whether conns that use an address that goes end at once
    DelLaddr(ServiceKey, IpAddr, bool),
    /// -U, -O
    AddAccess(ServiceKey, AccessList, Prefix),
    /// -V, -Y
    DelAccess(ServiceKey, AccessList, Prefix),
    /// -C
    FlushServices,
    /// --set
    SetTimeouts(TimeoutsRequest),
    /// -Z of one service, or of all
    ZeroCounters(Option<ServiceKey>),
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Of a service or a dest
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Of a local address
    #[error(transparent)]
    Laddr(#[from] LaddrError),
    /// Of a deny or allow list
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Desired {
    /// Carries one change out. `rates` says what dests have counted so far.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub(crate) fn carry_out(&mut self, change: Change, rates: &Rates) -> Result<(), ChangeError> {
        match change {
            Change::AddService(request) => self.add_service(request)?,
            Change::EditService(request) => self.edit_service(request, rates)?,
            Change::DelService(key) => self.del_service(&key)?,
            Change::AddDest(key, request) => self.add_dest(&key, request, rates)?,
            Change::EditDest(key, request) => self.edit_dest(&key, request, rates)?,
            Change::DelDest(key, end, drain_s) => self.del_dest(&key, end, drain_s)?,
            Change::AddLaddr(key, addr, device) => self.add_laddr(&key, addr, &device, rates)?,
            Change::DelLaddr(key, addr, force) => self.del_laddr(&key, addr, force)?,
            Change::AddAccess(key, list, prefix) => self.add_access(&key, list, prefix)?,
            Change::DelAccess(key, list, prefix) => self.del_access(&key, list, prefix)?,
            Change::FlushServices => self.flush_services(),
            Change::SetTimeouts(request) => self.set_timeouts(&request),
            Change::ZeroCounters(key) => self.zero_counters(key.as_ref(), |id| rates.counts(id))?,
        }
        Ok(())
    }
}

//! Local addresses of FullNAT services: `ipvsadm-rs --add-laddr`.

use std::net::IpAddr;

use inet::{Prefix, RouteScope};
use ipvs_core::{MAX_LADDR_USES, ServiceKey};

use super::{LaddrUse, ServiceError};
use crate::desired::net::{Address, AddressError, require_host};
use crate::desired::{Desired, Effect, LeavingLaddr, NoDevice};
use crate::telemetry::Rates;

/// Why a local address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaddrError {
    /// The service does not exist
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The device does not exist
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// It cannot be an address of the director
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The service has it
    #[error("{addr} is already a local address of service {service}")]
    Exists {
        /// The address
        addr: IpAddr,
        /// The service
        service: ServiceKey,
    },
    /// The service does not have it
    #[error("service {service} has no local address {addr}: `VirtualService.laddrs` lists them")]
    Missing {
        /// The address
        addr: IpAddr,
        /// The service
        service: ServiceKey,
    },
    /// It is the WAN address of a SNAT dest
    #[error(
        "{addr} is no local address but the WAN address of a dest of service {service}: delete the dest (`DelDest ServiceKey.match=MATCH Dest.address={addr} Dest.port=0`)"
    )]
    IsWan {
        /// The address
        addr: IpAddr,
        /// The service
        service: ServiceKey,
    },
    /// Its ports belong to the director itself
    #[error(
        "{addr} is an address of {device} without sapool: delete it there (`DelAddress Address.address={addr} Address.prefix_len={prefix_len} Address.device={device}`), `AddLaddr` makes it itself"
    )]
    NotShared {
        /// The address
        addr: IpAddr,
        /// Its prefix length
        prefix_len: u8,
        /// Its device
        device: String,
    },
    /// There are no more counters
    #[error(
        "{addr} cannot become a local address of service {service}: all services together have {MAX_LADDR_USES} local addresses, the most that is possible"
    )]
    TooMany {
        /// The address
        addr: IpAddr,
        /// The service
        service: ServiceKey,
    },
    /// It is somewhere else
    #[error("{addr} is an address of {device}: give that with `Laddr.device`, or another address")]
    Elsewhere {
        /// The address
        addr: IpAddr,
        /// Where it is
        device: String,
    },
}

impl Desired {
    /// Gives a service a local address, making it an address of the device if it is none.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub(crate) fn add_laddr(
        &mut self,
        key: &ServiceKey,
        addr: IpAddr,
        device: &str,
        rates: &Rates,
    ) -> Result<(), LaddrError> {
        require_host(addr)?;
        let service = self.service(key)?;
        let mut all = service.laddrs.iter().chain(&service.wans);
        let service = *key;
        if all.any(|laddr| laddr.addr() == addr) {
            return Err(LaddrError::Exists { addr, service });
        }
        if self.laddr_use_ids.is_used_up() {
            return Err(LaddrError::TooMany { addr, service });
        }
        let ifindex = self.device(device)?.ifindex;
        match self.address(addr) {
            Some(existing) if existing.ifindex != ifindex => {
                return Err(LaddrError::Elsewhere {
                    addr,
                    device: self.device_name(existing.ifindex).to_owned(),
                });
            }
            Some(existing) if !existing.sapool => {
                return Err(LaddrError::NotShared {
                    addr,
                    prefix_len: existing.prefix_len,
                    device: device.to_owned(),
                });
            }
            Some(_) => self.stay(addr)?,
            None => self.insert_address(Address {
                addr,
                prefix_len: Prefix::host(addr).prefix_len(),
                ifindex,
                broadcast: None,
                scope: RouteScope::Global,
                sapool: true,
                by_dpip: false,
            })?,
        }
        let Some(entry) = self.laddrs.get_mut(&addr) else {
            return Ok(());
        };
        entry.services += 1;
        let entry = *entry;
        let laddr_use = self.begin_use(key, addr, &entry, rates);
        self.service_mut(key)?.laddrs.extend(laddr_use);
        Ok(())
    }

    /// Takes a local address from a service. If this was its last use and `--add-laddr` had made
    /// it, it leaves the director with its last conn; these end at once by `force`.
    ///
    /// # Errors
    /// If the service does not have it.
    pub fn del_laddr(
        &mut self,
        key: &ServiceKey,
        addr: IpAddr,
        force: bool,
    ) -> Result<(), LaddrError> {
        let service = self.service(key)?;
        let is_it = |laddr: &LaddrUse| laddr.addr() == addr;
        let Some(at) = service.laddrs.iter().position(is_it) else {
            let (is_wan, service) = (service.wans.iter().any(is_it), *key);
            return Err(match is_wan {
                true => LaddrError::IsWan { addr, service },
                false => LaddrError::Missing { addr, service },
            });
        };
        let laddr_use = self.service_mut(key)?.laddrs.remove(at);
        let leaving = self.end_use(*key, laddr_use);
        self.service_mut(key)?.leaving_uses.push(leaving);
        self.release_laddr(addr, *key);
        let entry = self.laddrs.get(&addr);
        if force && entry.is_some_and(|entry| entry.is_leaving) {
            self.effects.push(Effect::EndConnsOfLaddr(addr));
        }
        Ok(())
    }

    pub(in crate::desired) fn release_laddr(&mut self, addr: IpAddr, service: ServiceKey) {
        let Some(entry) = self.laddrs.get_mut(&addr) else {
            return;
        };
        entry.services = entry.services.saturating_sub(1);
        self.leave_if_unused(addr, service);
    }

    /// Lets an address leave that `--add-laddr` made, if nothing refers to it any more. It answers
    /// ARP until its last conn has ended. `service` is the last that used it.
    pub(in crate::desired) fn leave_if_unused(&mut self, addr: IpAddr, service: ServiceKey) {
        if self.address(addr).is_none_or(|address| address.by_dpip) {
            return;
        }
        let Some(entry) = self.laddrs.get_mut(&addr) else {
            return;
        };
        if entry.services + entry.wans == 0 && !entry.is_leaving {
            entry.is_leaving = true;
            let id = entry.id;
            self.effects.push(Effect::RemovePools(id));
            self.leaving_laddrs.push(LeavingLaddr { addr, id, service });
        }
    }
}

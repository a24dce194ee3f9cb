//! Addresses of the director: `dpip addr`.

use std::net::{IpAddr, Ipv4Addr};

use inet::{IfIndex, Prefix, Route, RouteScope};

use super::{Desired, Effect, LaddrEntry, NoDevice};

/// An address as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRequest {
    /// The address
    pub addr: IpAddr,
    /// Its prefix length
    pub prefix_len: u8,
    /// The device's name
    pub device: String,
    /// Broadcast address, for show
    pub broadcast: Option<IpAddr>,
    /// Scope, for show: host, link or global
    pub scope: RouteScope,
    /// Whether its ports are shared out among the workers
    pub sapool: bool,
}

/// An address of the director.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address
    pub addr: IpAddr,
    /// Its prefix length
    pub prefix_len: u8,
    /// Its device
    pub ifindex: IfIndex,
    /// Broadcast address, for show
    pub broadcast: Option<IpAddr>,
    /// Scope, for show
    pub scope: RouteScope,
    /// Whether its ports are shared out among the workers
    pub sapool: bool,
    /// Whether `dpip` made it; else `--add-laddr` did, and the last `--del-laddr` takes it away
    pub by_dpip: bool,
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The device does not exist
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// It is there already
    #[error(
        "{addr} is already an address of {device}: delete it there first (`dpip addr del {addr}/{prefix_len} dev {device}`)"
    )]
    Exists {
        /// The address
        addr: IpAddr,
        /// Its prefix length
        prefix_len: u8,
        /// Where it is
        device: String,
    },
    /// It is not there
    #[error("{addr} is no address of {device}: `dpip addr show` lists them")]
    Missing {
        /// The address
        addr: IpAddr,
        /// Where it was looked for
        device: String,
    },
    /// Services use it as a local address
    #[error(
        "{addr} is a local address of {services} service(s): take it out of them first (`ipvsadm-rs --del-laddr`)"
    )]
    InUse {
        /// The address
        addr: IpAddr,
        /// How many services use it
        services: usize,
    },
    /// Not an address of a host
    #[error("{addr} cannot be the address of a host: use a unicast address")]
    NotUnicast {
        /// The address
        addr: IpAddr,
    },
    /// A prefix longer than the address
    #[error("prefix length {0} is out of range: 0 to 32 for IPv4")]
    PrefixLen(u32),
    /// Later
    #[error("{0}: IPv6 is not supported yet")]
    Ipv6(IpAddr),
    /// No number left for its pools
    #[error("too many local addresses: at most 65536")]
    TooMany,
}

/// IPv4 of a host; IPv6 comes later.
pub(crate) fn host_v4(addr: IpAddr) -> Result<Ipv4Addr, AddressError> {
    match addr {
        IpAddr::V4(v4)
            if v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_loopback() =>
        {
            Err(AddressError::NotUnicast { addr })
        }
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(AddressError::Ipv6(addr)),
    }
}

impl Desired {
    /// Adds an address, with the routes that it makes: to itself, and to its network.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_address(&mut self, request: &AddressRequest) -> Result<(), AddressError> {
        host_v4(request.addr)?;
        if let Some(existing) = self.address(request.addr) {
            return Err(AddressError::Exists {
                addr: existing.addr,
                prefix_len: existing.prefix_len,
                device: self.device_name(existing.ifindex).to_owned(),
            });
        }
        let ifindex = self.device(&request.device)?.ifindex;
        self.insert_address(Address {
            addr: request.addr,
            prefix_len: request.prefix_len,
            ifindex,
            broadcast: request.broadcast,
            scope: request.scope,
            sapool: request.sapool,
            by_dpip: true,
        })
    }

    /// Adds an address, or changes what of it is only shown.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn set_address(&mut self, request: &AddressRequest) -> Result<(), AddressError> {
        let ifindex = self.device(&request.device)?.ifindex;
        let same = |address: &&mut Address| {
            address.addr == request.addr
                && address.ifindex == ifindex
                && address.prefix_len == request.prefix_len
        };
        match self.addresses.iter_mut().find(same) {
            Some(address) => {
                address.broadcast = request.broadcast;
                address.scope = request.scope;
                Ok(())
            }
            None => self.add_address(request),
        }
    }

    /// Takes an address away, with the routes it made.
    ///
    /// # Errors
    /// If it is not there, or a service needs it.
    pub fn del_address(&mut self, addr: IpAddr, device: &str) -> Result<(), AddressError> {
        let ifindex = self.device(device)?.ifindex;
        if self
            .address(addr)
            .is_none_or(|address| address.ifindex != ifindex)
        {
            return Err(AddressError::Missing {
                addr,
                device: device.to_owned(),
            });
        }
        if let Some(laddr) = self.laddrs.get(&addr).filter(|laddr| laddr.services > 0) {
            return Err(AddressError::InUse {
                addr,
                services: laddr.services,
            });
        }
        self.remove_address(addr);
        Ok(())
    }

    /// Takes all addresses of a device away, save those that services use as local addresses.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn flush_addresses(&mut self, device: &str) -> Result<(), AddressError> {
        let ifindex = self.device(device)?.ifindex;
        let all: Vec<IpAddr> = self
            .addresses
            .iter()
            .filter(|address| address.ifindex == ifindex)
            .map(|address| address.addr)
            .collect();
        for addr in all {
            if self
                .laddrs
                .get(&addr)
                .is_none_or(|laddr| laddr.services == 0)
            {
                self.remove_address(addr);
            }
        }
        Ok(())
    }

    /// An address of the director.
    pub fn address(&self, addr: IpAddr) -> Option<&Address> {
        self.addresses.iter().find(|address| address.addr == addr)
    }

    pub(super) fn insert_address(&mut self, address: Address) -> Result<(), AddressError> {
        if address.sapool {
            let id = self
                .laddr_ids
                .take()
                .map(ipvs_core::LaddrId)
                .ok_or(AddressError::TooMany)?;
            self.laddrs.insert(
                address.addr,
                LaddrEntry {
                    id,
                    ifindex: address.ifindex,
                    services: 0,
                },
            );
            self.effects.push(Effect::AddPools(id, address.addr));
        }
        for route in self.routes_of(&address) {
            // A route of the operator's own to the same prefix stays as it is.
            let _ = self.routes.insert(route);
        }
        if let IpAddr::V4(addr) = address.addr {
            self.effects.push(Effect::Announce(address.ifindex, addr));
        }
        self.addresses.push(address);
        self.dirty.net = true;
        Ok(())
    }

    pub(super) fn remove_address(&mut self, addr: IpAddr) {
        let Some(at) = self
            .addresses
            .iter()
            .position(|address| address.addr == addr)
        else {
            return;
        };
        let address = self.addresses.remove(at);
        if let Some(laddr) = self.laddrs.remove(&addr) {
            self.effects.push(Effect::RemovePools(laddr.id));
        }
        for route in self.routes_of(&address) {
            let is_ours = self
                .routes
                .get(&route.prefix, Some(route.ifindex))
                .is_some_and(|existing| existing.auto);
            let is_shared = self
                .addresses
                .iter()
                .any(|other| self.routes_of(other).contains(&route));
            if is_ours && !is_shared {
                self.routes.remove(&route.prefix, Some(route.ifindex));
            }
        }
        self.dirty.net = true;
    }

    /// The routes that an address makes: to itself, scope host, and to its network, scope link.
    fn routes_of(&self, address: &Address) -> Vec<Route> {
        let mtu = self
            .devices
            .iter()
            .find(|device| device.ifindex == address.ifindex)
            .map_or(1500, |device| device.mtu);
        let route = |prefix, scope| Route {
            prefix,
            ifindex: address.ifindex,
            gateway: None,
            src: None,
            mtu,
            metric: 0,
            scope,
            auto: true,
        };
        let mut routes = vec![route(Prefix::host(address.addr), RouteScope::Host)];
        let network = Prefix::new(address.addr, address.prefix_len)
            .filter(|prefix| *prefix != Prefix::host(address.addr));
        if let Some(network) = network {
            let src = Some(address.addr);
            routes.push(Route {
                src,
                ..route(network, RouteScope::Link)
            });
        }
        routes
    }
}

//! Addresses of the director: `dpip addr`.

use std::net::IpAddr;

use inet::{IfIndex, Prefix, Route, RouteScope};
use ipvs_core::LaddrId;

use crate::desired::{Desired, Effect, LaddrEntry, NoDevice};

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
    /// Whether `dpip` added it. Otherwise `--add-laddr` did, and the last `--del-laddr` removes it.
    pub by_dpip: bool,
}

impl Address {
    /// Announces the address to the neighbours.
    pub(in crate::desired) const fn announcement(&self) -> Effect {
        Effect::Announce(self.ifindex, self.addr)
    }
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The device does not exist
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// It is there already
    #[error(
        "{addr} is already an address of {device}: delete it there first (`DelAddress Address.address={addr} Address.prefix_len={prefix_len} Address.device={device}`)"
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
    #[error("{device} has no address {addr}: `ListAddresses` lists them")]
    Missing {
        /// The address
        addr: IpAddr,
        /// Where it was looked for
        device: String,
    },
    /// It is there with another prefix length
    #[error("{addr} has prefix length {prefix_len} on {device}: delete {addr}/{prefix_len}")]
    OtherPrefixLen {
        /// The address
        addr: IpAddr,
        /// Its prefix length
        prefix_len: u8,
        /// Where it is
        device: String,
    },
    /// It follows from the device's MAC address
    #[error(
        "{addr} is the link-local address of {device}: it stays as long as {device} has another IPv6 address or an IPv6 route"
    )]
    LinkLocal {
        /// The address
        addr: IpAddr,
        /// Its device
        device: String,
    },
    /// Services use it as a local address
    #[error(
        "{addr} is a local address of {services} service(s): take it out of them first (`DelLaddr`)"
    )]
    InUse {
        /// The address
        addr: IpAddr,
        /// How many services use it
        services: usize,
    },
    /// SNAT dests use it as their WAN address
    #[error(
        "{addr} is the WAN address of {dests} dest(s): delete them first (`DelDest ServiceKey.match=MATCH Dest.address={addr} Dest.port=0`)"
    )]
    IsWan {
        /// The address
        addr: IpAddr,
        /// How many dests use it
        dests: usize,
    },
    /// Not an address of a host
    #[error("{addr} cannot be the address of a host: use a unicast address")]
    NotUnicast {
        /// The address
        addr: IpAddr,
    },
    /// A real server has it
    #[error(
        "{0} is the address of a real server (`ListServices` shows of which services): delete that there first, or use another address"
    )]
    OfDest(IpAddr),
    /// A prefix longer than the address, or none
    #[error("prefix length {0} is out of range: 1 to 32 for IPv4, 1 to 128 for IPv6")]
    PrefixLen(u8),
    /// No number left for its pools
    #[error("too many local addresses: at most 65536")]
    TooMany,
}

/// Whether this can be the address of a single host.
pub(in crate::desired) const fn is_host(addr: IpAddr) -> bool {
    let is_broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    // RFC 4291, 2.5.5.2: IPv4 written as IPv6 is no address on a link.
    let is_mapped = matches!(addr, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    !(addr.is_unspecified()
        || addr.is_multicast()
        || addr.is_loopback()
        || is_broadcast
        || is_mapped)
}

/// Refuses what cannot be the address of a single host.
pub(crate) const fn require_host(addr: IpAddr) -> Result<(), AddressError> {
    if is_host(addr) {
        Ok(())
    } else {
        Err(AddressError::NotUnicast { addr })
    }
}

impl Desired {
    /// Adds an address, with the routes that it makes: to itself, and to its network.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_address(&mut self, request: &AddressRequest) -> Result<(), AddressError> {
        require_host(request.addr)?;
        let longest = Prefix::host(request.addr).prefix_len();
        if !(1..=longest).contains(&request.prefix_len) {
            return Err(AddressError::PrefixLen(request.prefix_len));
        }
        let ifindex = self.device(&request.device)?.ifindex;
        if let Some(existing) = self.address(request.addr) {
            return Err(AddressError::Exists {
                addr: existing.addr,
                prefix_len: existing.prefix_len,
                device: self.device_name(existing.ifindex).to_owned(),
            });
        }
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

    /// Adds an address, or changes its broadcast address, scope and sapool.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn set_address(&mut self, request: &AddressRequest) -> Result<(), AddressError> {
        let ifindex = self.device(&request.device)?.ifindex;
        let same = |address: &&Address| {
            address.ifindex == ifindex && address.prefix_len == request.prefix_len
        };
        if self.address(request.addr).filter(same).is_none() {
            return self.add_address(request);
        }
        self.set_sapool(request.addr, request.sapool)?;
        self.stay(request.addr)?;
        if let Some(address) = self.addresses.get_mut(&request.addr) {
            address.broadcast = request.broadcast;
            address.scope = request.scope;
            address.by_dpip = true;
        }
        Ok(())
    }

    /// Takes an address away, with the routes it made. A prefix length of `None` is any.
    ///
    /// # Errors
    /// If it is not there, or a service needs it.
    pub fn del_address(
        &mut self,
        addr: IpAddr,
        prefix_len: Option<u8>,
        device: &str,
    ) -> Result<(), AddressError> {
        let ifindex = self.device(device)?.ifindex;
        if let (Some(wanted), Some(address)) = (prefix_len, self.address(addr))
            && wanted != address.prefix_len
        {
            return Err(AddressError::OtherPrefixLen {
                addr,
                prefix_len: address.prefix_len,
                device: self.device_name(address.ifindex).to_owned(),
            });
        }
        let is_here = |made: &Address| made.ifindex == ifindex;
        if self.link_local(addr).as_ref().is_some_and(is_here) {
            let device = device.to_owned();
            return Err(AddressError::LinkLocal { addr, device });
        }
        if self
            .address(addr)
            .is_none_or(|address| address.ifindex != ifindex)
        {
            return Err(AddressError::Missing {
                addr,
                device: device.to_owned(),
            });
        }
        self.refuse_used(addr)?;
        self.remove_address(addr);
        Ok(())
    }

    /// Removes the addresses of a device for which `is_meant` holds, except for those that services
    /// use as local addresses.
    ///
    /// # Errors
    ///
    /// If there is no such device.
    pub fn flush_addresses(
        &mut self,
        device: &str,
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> Result<(), NoDevice> {
        let ifindex = self.device(device)?.ifindex;
        let of_device = |address: &&Address| address.ifindex == ifindex && is_meant(address.addr);
        let all: Vec<IpAddr> = self
            .addresses
            .values()
            .filter(of_device)
            .map(|address| address.addr)
            .collect();
        for addr in all {
            if self.refuse_used(addr).is_ok() {
                self.remove_address(addr);
            }
        }
        Ok(())
    }

    /// An address of the director.
    pub fn address(&self, addr: IpAddr) -> Option<&Address> {
        self.addresses.get(&addr)
    }

    pub(in crate::desired) fn insert_address(
        &mut self,
        address: Address,
    ) -> Result<(), AddressError> {
        if self.dest_addrs.has(address.addr) {
            return Err(AddressError::OfDest(address.addr));
        }
        if address.sapool {
            self.share_ports(address.addr, address.ifindex)?;
        }
        let (host, network) = self.routes_of(&address);
        // A route that the operator has added to the same prefix stays.
        let _ = self.routes.insert(host);
        if let Some(network) = network {
            let _ = self.routes.insert(network);
            self.networks
                .entry((network.prefix, network.ifindex))
                .or_default()
                .push(address.addr);
        }
        self.effects.push(address.announcement());
        self.addresses.insert(address.addr, address);
        self.dirty.net = true;
        Ok(())
    }

    pub(crate) fn remove_address(&mut self, addr: IpAddr) {
        let Some(address) = self.addresses.remove(&addr) else {
            return;
        };
        self.unshare_ports(addr);
        self.remove_routes_from(addr);
        let (host, network) = self.routes_of(&address);
        if self.is_auto(&host) {
            self.remove_auto(&host);
        }
        if let Some(network) = network {
            self.leave_network(addr, network);
        }
        self.dirty.net = true;
    }

    /// Removes the route to a network with its last address. Until then, another address becomes
    /// its `src`.
    fn leave_network(&mut self, addr: IpAddr, route: Route) {
        let key = (route.prefix, route.ifindex);
        let Some(addrs) = self.networks.get_mut(&key) else {
            return;
        };
        addrs.retain(|other| *other != addr);
        let heir = addrs.first().copied();
        if heir.is_none() {
            self.networks.remove(&key);
        }
        if !self.is_auto(&route) {
            return;
        }
        match heir {
            Some(_) => self.routes.replace(Route { src: heir, ..route }),
            None => {
                self.remove_auto(&route);
            }
        }
    }

    /// Whether the route to this prefix by this device was made by an address.
    fn is_auto(&self, route: &Route) -> bool {
        self.routes
            .same(route)
            .is_some_and(|existing| existing.auto)
    }

    fn remove_auto(&mut self, route: &Route) {
        let is_it = |other: &Route| other.auto && other.ifindex == route.ifindex;
        self.routes.remove(&route.prefix, is_it);
    }

    fn refuse_used(&self, addr: IpAddr) -> Result<(), AddressError> {
        match self.laddrs.get(&addr) {
            Some(laddr) if laddr.services > 0 => Err(AddressError::InUse {
                addr,
                services: laddr.services,
            }),
            Some(laddr) if laddr.wans > 0 => Err(AddressError::IsWan {
                addr,
                dests: laddr.wans,
            }),
            _ => Ok(()),
        }
    }

    fn set_sapool(&mut self, addr: IpAddr, on: bool) -> Result<(), AddressError> {
        let Some(address) = self.addresses.get(&addr).filter(|old| old.sapool != on) else {
            return Ok(());
        };
        let ifindex = address.ifindex;
        if on {
            self.share_ports(addr, ifindex)?;
        } else {
            self.refuse_used(addr)?;
            self.unshare_ports(addr);
        }
        if let Some(address) = self.addresses.get_mut(&addr) {
            address.sapool = on;
        }
        self.dirty.net = true;
        Ok(())
    }

    /// An address that was about to leave is used again. It gets new pools, to which the workers
    /// move the ports in use.
    pub(in crate::desired) fn stay(&mut self, addr: IpAddr) -> Result<(), AddressError> {
        let entry = self.laddrs.get(&addr).filter(|entry| entry.is_leaving);
        let Some(ifindex) = entry.map(|entry| entry.ifindex) else {
            return Ok(());
        };
        self.share_ports(addr, ifindex)?;
        self.leaving_laddrs.retain(|leaving| leaving.addr != addr);
        Ok(())
    }

    fn share_ports(&mut self, addr: IpAddr, ifindex: IfIndex) -> Result<(), AddressError> {
        let id = self
            .laddr_ids
            .take()
            .map(LaddrId)
            .ok_or(AddressError::TooMany)?;
        let entry = LaddrEntry {
            id,
            ifindex,
            services: 0,
            wans: 0,
            is_leaving: false,
        };
        self.laddrs.insert(addr, entry);
        self.effects.push(Effect::AddPools(id, addr));
        Ok(())
    }

    fn unshare_ports(&mut self, addr: IpAddr) {
        let Some(laddr) = self.laddrs.remove(&addr) else {
            return;
        };
        if laddr.is_leaving {
            // The workers know.
            self.leaving_laddrs.retain(|leaving| leaving.addr != addr);
        } else {
            self.effects.push(Effect::RemovePools(laddr.id));
        }
    }

    /// The routes that an address makes: to itself, scope host, and to its network, scope link.
    fn routes_of(&self, address: &Address) -> (Route, Option<Route>) {
        let mtu = self
            .devices
            .iter()
            .find(|device| device.ifindex == address.ifindex)
            .map_or(1500, |device| device.mtu);
        let host = Route {
            prefix: Prefix::host(address.addr),
            ifindex: address.ifindex,
            gateway: None,
            src: None,
            mtu,
            metric: 0,
            scope: RouteScope::Host,
            auto: true,
        };
        let network = Prefix::new(address.addr, address.prefix_len)
            .filter(|prefix| *prefix != host.prefix)
            .map(|prefix| Route {
                prefix,
                src: Some(address.addr),
                scope: RouteScope::Link,
                ..host
            });
        (host, network)
    }
}

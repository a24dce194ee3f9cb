//! Services and their dests: `ipvsadm-rs -A -E -D -a -e -d`.

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{
    Access, AddrSet, Dest, DestId, FwdMode, HashTarget, Laddr, Match, Protocol, SchedulerKind,
    Service, ServiceId, ServiceKey, ServiceOptions, sched::Plan,
};

use packet::proxy::Version;
use packet::uoa::Mode;

use super::access::AccessList;
use super::address::is_host;
use super::{Desired, Effect, Ordered};
use crate::counts::Counts;

/// A service as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRequest {
    /// VIP, vport, protocol
    pub key: ServiceKey,
    /// Its scheduler
    pub scheduler: SchedulerKind,
    /// What it asks of its conns
    pub options: ServiceOptions,
}

/// A dest as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestRequest {
    /// RIP
    pub addr: IpAddr,
    /// rport
    pub port: u16,
    /// How packets reach it
    pub fwdmode: FwdMode,
    /// Share of new conns
    pub weight: u16,
    /// No new conn once it has this many; 0 for no limit
    pub upper_threshold: u32,
    /// Kept for show and save
    pub lower_threshold: u32,
    /// With weight 0: the conns that are left by then end
    pub drain_s: Option<u32>,
}

/// A service with its dests and local addresses.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// Its number at the workers
    pub id: ServiceId,
    /// What was asked for
    pub request: ServiceRequest,
    /// By address and port, in the order they were added
    pub dests: Ordered<(IpAddr, u16), DestEntry>,
    /// In the order they were added
    pub laddrs: Vec<Laddr>,
    /// Whom it serves
    pub(crate) access: Access,
    /// What dests that are gone had counted, less what -Z took
    pub(crate) removed: Counts,
    /// What workers read of it, if that was made already
    compiled: Option<Arc<Service>>,
}

/// A dest of a service.
#[derive(Debug, Clone)]
pub struct DestEntry {
    /// Its number at the workers
    pub id: DestId,
    /// What was asked for
    pub request: DestRequest,
    /// What does not count: from before -Z, or of a dest that had the number before
    pub(crate) zero: Counts,
}

/// Why a service or dest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It is there
    #[error("service {0} exists: change it with -E, or delete it first with -D")]
    Exists(ServiceKey),
    /// It is not there
    #[error("no service {0}: add it first with -A (`ipvsadm-rs -ln` lists them)")]
    Missing(ServiceKey),
    /// Any port needs persistence
    #[error(
        "service {0}: port 0 (any port) needs persistence, so that a client's conns meet at one dest: give -p too, or name a port"
    )]
    PortZero(ServiceKey),
    /// Every port goes to the same port of the dest
    #[error(
        "dest {addr}:{port}: service {service} is for any port, and hands each to the same port of the dest: give port 0, as in -r {addr}:0"
    )]
    DestPortOfAnyPort {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// What was given
        port: u16,
    },
    /// TCP's segments belong together
    #[error("service {0}: one-packet scheduling (--ops) is for UDP, whose datagrams stand alone")]
    OnePacketNeedsUdp(ServiceKey),
    /// Without a conn no reply is rewritten
    #[error(
        "dest {addr} of service {service}: one-packet scheduling (--ops) keeps no conn, and without one {fwdmode} cannot rewrite a reply: use -g (DR) or -i (tunnel)"
    )]
    OnePacketNeedsNoReply {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// Not for packets on their way through
    #[error(
        "service {0}: persistence (-p) is for services on a VIP: -s sh keeps a host to its WAN address"
    )]
    PersistentMatch(ServiceKey),
    /// Nothing else has SYNs
    #[error("service {0}: the SYN proxy (-j) is for TCP services on a VIP")]
    SynProxyNeedsTcp(ServiceKey),
    /// The dest's numbers must be translated
    #[error(
        "dest {addr} of service {service}: the SYN proxy (-j) translates what the dest answers, which {fwdmode} does not see: use -b (FullNAT) or -m (NAT)"
    )]
    SynProxyNeedsReplies {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// TCP has TOA
    #[error("service {0}: UOA (--uoa) is for UDP services: to TCP, TOA tells the same")]
    UoaNeedsUdp(ServiceKey),
    /// Once is enough
    #[error(
        "service {0}: UOA (--uoa) and the PROXY protocol (--proxy-protocol) tell the same: choose one"
    )]
    UoaBesideProxy(ServiceKey),
    /// All other dests see the client
    #[error(
        "dest {addr} of service {service}: UOA (--uoa) is for -b (FullNAT): with {fwdmode} the dest sees the client itself"
    )]
    UoaNeedsFullNat {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// The option is one of IPv4
    #[error(
        "dest {addr} of service {service}: UOA by an IP option (--uoa ipo) is for IPv4 clients and dests: use --uoa opp"
    )]
    UoaOptionNeedsIpv4 {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
    },
    /// Nobody behind SNAT is a server
    #[error("service {0}: the PROXY protocol (--proxy-protocol) is for services on a VIP")]
    ProxyMatch(ServiceKey),
    /// Version 1 is a line of text before a stream
    #[error(
        "service {0}: version 1 of the PROXY protocol is for TCP: use --proxy-protocol v2 for datagrams"
    )]
    ProxyV1NeedsTcp(ServiceKey),
    /// Nothing can be put into what is passed on as it is
    #[error(
        "dest {addr} of service {service}: {fwdmode} passes packets on as they are, and the dest sees the client itself: the PROXY protocol (--proxy-protocol) is for -b (FullNAT) and -m (NAT)"
    )]
    ProxyNeedsRewrite {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// A dest that takes new conns never gets empty
    #[error("dest {0}: a dest drains with weight 0: give -w 0 beside --drain")]
    DrainWithWeight(IpAddr),
    /// Addresses that are not rewritten, or not all of them, cannot change their family
    #[error(
        "dest {addr} of service {service}: {fwdmode} cannot lead from one address family to the other, since the client's address stays: use -b (FullNAT), or -i (tunnel)"
    )]
    OtherFamily {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// QUIC is UDP
    #[error(
        "service {0}: hash target qid is the QUIC connection ID, which only UDP services see: name a UDP service (-u), or use --hash-target sip"
    )]
    QidNeedsUdp(ServiceKey),
    /// Not an address of a host
    #[error("{0} cannot be the address of a service or a real server: use a unicast address")]
    NotUnicast(IpAddr),
    /// The dest is there
    #[error("{addr}:{port} is already a dest of service {service}: change it with -e")]
    DestExists {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// The dest is not there
    #[error("{addr}:{port} is no dest of service {service}: add it with -a")]
    DestMissing {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// Nobody listens at port 0
    #[error("dest {0}: port 0 is no port a real server can listen on: give one, as in -r {0}:80")]
    DestPortZero(IpAddr),
    /// It would never take a conn again
    #[error(
        "dest {addr}:{port}: the lower threshold {lower} is above the upper threshold {upper}: give a lower one (-y), or 0 for three quarters of the upper one"
    )]
    Thresholds {
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// -x
        upper: u32,
        /// -y
        lower: u32,
    },
    /// DR and tunnel leave the packet as it is
    #[error(
        "the dest {addr}:{port} has another port than the service {service}, which {fwdmode} cannot change: \
         leave the port out, or use -b (FullNAT) or -m (NAT)"
    )]
    PortKept {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// Which mode
        fwdmode: &'static str,
    },
    /// A match service has no address of its own
    #[error(
        "service {0}: say which packets it is for: src-range=, dst-range=, as in -H proto=tcp,src-range=192.168.100.0-192.168.100.254,oif=dpdk1"
    )]
    MatchesAll(ServiceKey),
    /// It would never match
    #[error("service {service}: no device {device}: `dpip link show` lists them")]
    NoDevice {
        /// The service
        service: ServiceKey,
        /// iif or oif
        device: String,
    },
    /// SNAT goes with -H
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with it: SNAT is for hosts behind the director, say which with -H"
    )]
    SnatOfVip {
        /// Of the service
        service: ServiceKey,
        /// WAN address
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// What leads out and what leads to real servers are two services
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with its other dests: WAN addresses (-J) and real servers are of two services"
    )]
    ModeOfMatch {
        /// Of the service
        service: ServiceKey,
        /// RIP or WAN address
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// SNAT chooses the port
    #[error(
        "dest {addr}:{port}: SNAT chooses the ports of a WAN address itself: give port 0, as in -r {addr}:0 -J"
    )]
    PortOfSnat {
        /// WAN address
        addr: IpAddr,
        /// What was given
        port: u16,
    },
    /// SNAT needs ports
    #[error(
        "{0} is no address of the director whose ports are shared out: add it first, as in `dpip addr add {0}/32 dev dpdk1 sapool`"
    )]
    NoWanAddress(IpAddr),
    /// The addresses are used up
    #[error(
        "the dest {0} would be one too many: raise [conns] max_dests in the configuration file"
    )]
    TooManyDests(IpAddr),
    /// The numbers are used up
    #[error("too many services: at most 1048576")]
    TooManyServices,
    /// rr and wrr count dests in 16 bits
    #[error("service {0} has 65535 dests already")]
    ServiceFull(ServiceKey),
}

impl Desired {
    /// A service.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn service(&self, key: &ServiceKey) -> Result<&ServiceEntry, ServiceError> {
        self.services
            .get(key)
            .map(Arc::as_ref)
            .ok_or(ServiceError::Missing(*key))
    }

    /// A service, to be changed: it counts as changed from here on.
    pub(super) fn service_mut(
        &mut self,
        key: &ServiceKey,
    ) -> Result<&mut ServiceEntry, ServiceError> {
        let service = self
            .services
            .get_mut(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        let service = Arc::make_mut(service);
        service.compiled = None;
        Ok(service)
    }

    /// Adds a service.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        let key = request.key;
        match &key.matcher {
            Some(matcher) => self.check_matcher(key, matcher)?,
            None if !is_host(key.addr) => return Err(ServiceError::NotUnicast(key.addr)),
            None => {}
        }
        if self.services.contains(&key) {
            return Err(ServiceError::Exists(key));
        }
        request.validate()?;
        let id = self
            .service_ids
            .take()
            .map(ServiceId)
            .ok_or(ServiceError::TooManyServices)?;
        let entry = ServiceEntry {
            id,
            request,
            dests: Ordered::default(),
            laddrs: Vec::new(),
            access: Access::default(),
            removed: Counts::default(),
            compiled: None,
        };
        self.services.insert(key, Arc::new(entry));
        self.dirty.services.insert(key);
        Ok(())
    }

    fn check_matcher(&self, service: ServiceKey, matcher: &Match) -> Result<(), ServiceError> {
        if matcher.src.is_none() && matcher.dst.is_none() {
            return Err(ServiceError::MatchesAll(service));
        }
        for name in [matcher.iif, matcher.oif].into_iter().flatten() {
            if self.device(name.as_str()).is_err() {
                let device = name.as_str().to_owned();
                return Err(ServiceError::NoDevice { service, device });
            }
        }
        Ok(())
    }

    /// The WAN address of a SNAT dest, to be used by one more service.
    fn take_wan_address(&mut self, addr: IpAddr) -> Result<Laddr, ServiceError> {
        let ifindex = self
            .address(addr)
            .filter(|address| address.sapool)
            .map(|address| address.ifindex);
        match (ifindex, self.laddrs.get_mut(&addr)) {
            (Some(ifindex), Some(entry)) => {
                entry.services += 1;
                let id = entry.id;
                Ok(Laddr { id, addr, ifindex })
            }
            _ => Err(ServiceError::NoWanAddress(addr)),
        }
    }

    /// Changes a service's scheduler and options.
    ///
    /// # Errors
    /// If there is none with this key, or it or its dests cannot do it.
    pub fn edit_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        request.validate()?;
        let before = self.service(&request.key)?;
        for dest in before.dests.values() {
            dest.request.validate(&request)?;
        }
        let options = (&before.request.options, &request.options);
        let begins_to_expire = !options.0.expires_quiescent && options.1.expires_quiescent;
        let is_quiescent = |dest: &&DestEntry| begins_to_expire && dest.request.weight == 0;
        let quiescent = before.dests.values().filter(is_quiescent);
        let ends: Vec<_> = quiescent.map(|dest| Effect::EndConns(dest.id)).collect();
        self.effects.extend(ends);
        self.service_mut(&request.key)?.request = request;
        Ok(())
    }

    /// Takes a service away, with its dests, whose conns end.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn del_service(&mut self, key: &ServiceKey) -> Result<(), ServiceError> {
        let service = self
            .services
            .remove(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        let dests = service.dests.values();
        self.effects
            .extend(dests.map(|dest| Effect::CloseDest(dest.id)));
        for laddr in &service.laddrs {
            self.release_laddr(laddr.addr);
        }
        self.service_ids.give_back(service.id.0);
        Ok(())
    }

    /// Takes all services away.
    pub fn flush_services(&mut self) {
        let keys: Vec<ServiceKey> = self.services.keys().copied().collect();
        for key in keys {
            // Each was there a moment ago.
            let _ = self.del_service(&key);
        }
    }

    /// Adds a dest. `zero` says what the counters of its number show now: that was another's.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        zero: impl FnOnce(DestId) -> Counts,
    ) -> Result<(), ServiceError> {
        let service = self.service(key)?;
        let (addr, port) = (request.addr, request.port);
        request.validate(&service.request)?;
        if service.dests.contains(&(addr, port)) {
            return Err(ServiceError::DestExists {
                service: *key,
                addr,
                port,
            });
        }
        let leads_out = |mode: FwdMode| mode == FwdMode::Snat;
        let is_other =
            |dest: &DestEntry| leads_out(dest.request.fwdmode) != leads_out(request.fwdmode);
        if service.dests.values().any(is_other) {
            return Err(ServiceError::ModeOfMatch {
                service: *key,
                addr,
                fwdmode: request.fwdmode.name(),
            });
        }
        if service.dests.len() >= usize::from(u16::MAX) {
            return Err(ServiceError::ServiceFull(*key));
        }
        let id = self
            .dest_ids
            .take()
            .map(DestId)
            .ok_or(ServiceError::TooManyDests(addr))?;
        let wan = match request.fwdmode {
            FwdMode::Snat => match self.take_wan_address(addr) {
                Ok(laddr) => Some(laddr),
                Err(error) => {
                    self.dest_ids.give_back(id.0);
                    return Err(error);
                }
            },
            _ => None,
        };
        let entry = DestEntry {
            id,
            request,
            zero: zero(id),
        };
        let service = self.service_mut(key)?;
        service.dests.insert((addr, port), entry);
        service.laddrs.extend(wan);
        self.drain(*key, (addr, port), request.drain_s);
        Ok(())
    }

    /// Changes a dest's weight, thresholds and fwdmode.
    ///
    /// # Errors
    /// If it is not there, or refused; nothing has changed then.
    pub fn edit_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
    ) -> Result<(), ServiceError> {
        let before = self.dest(key, request.addr, request.port)?;
        let service = &self.service(key)?.request;
        request.validate(service)?;
        // A WAN address has ports, which a real server has not: one does not become the other.
        let is_wan = |mode: FwdMode| mode == FwdMode::Snat;
        if is_wan(before.request.fwdmode) != is_wan(request.fwdmode) {
            return Err(ServiceError::ModeOfMatch {
                service: *key,
                addr: request.addr,
                fwdmode: request.fwdmode.name(),
            });
        }
        let becomes_quiescent = before.request.weight != 0 && request.weight == 0;
        if becomes_quiescent && service.options.expires_quiescent {
            let id = before.id;
            self.effects.push(Effect::EndConns(id));
        }
        let dests = &mut self.service_mut(key)?.dests;
        if let Some(dest) = dests.get_mut(&(request.addr, request.port)) {
            dest.request = request;
        }
        self.drain(*key, (request.addr, request.port), request.drain_s);
        Ok(())
    }

    /// Takes a dest away; its conns end. `counts` is what it had counted.
    ///
    /// # Errors
    /// If it is not there.
    pub fn del_dest(
        &mut self,
        key: &ServiceKey,
        addr: IpAddr,
        port: u16,
        counts: impl FnOnce(&DestEntry) -> Counts,
    ) -> Result<(), ServiceError> {
        self.dest(key, addr, port)?;
        let service = self.service_mut(key)?;
        let Some(dest) = service.dests.remove(&(addr, port)) else {
            return Ok(());
        };
        service.removed = service.removed + counts(&dest);
        let is_wan = dest.request.fwdmode == FwdMode::Snat;
        if is_wan {
            service.laddrs.retain(|laddr| laddr.addr != addr);
        }
        self.effects.push(Effect::CloseDest(dest.id));
        if is_wan {
            self.release_laddr(addr);
        }
        Ok(())
    }

    /// Lets counting begin anew, of one service or of all.
    ///
    /// # Errors
    /// If there is no such service.
    pub fn zero_counters(
        &mut self,
        key: Option<&ServiceKey>,
        now: impl Fn(DestId) -> Counts,
    ) -> Result<(), ServiceError> {
        if let Some(key) = key {
            self.service(key)?;
        }
        let services = self.services.values_mut().map(Arc::make_mut);
        for service in services.filter(|service| key.is_none_or(|key| service.request.key == *key))
        {
            service.removed = Counts::default();
            for dest in service.dests.values_mut() {
                dest.zero = now(dest.id);
            }
        }
        Ok(())
    }

    /// Makes what workers read of changed services, so that publishing it is a matter of pointers.
    pub(crate) fn compile(&mut self) {
        for key in &self.dirty.services {
            if let Some(service) = self.services.get_mut(key) {
                Arc::make_mut(service).compile();
            }
        }
    }

    fn dest(&self, key: &ServiceKey, addr: IpAddr, port: u16) -> Result<&DestEntry, ServiceError> {
        self.service(key)?
            .dests
            .get(&(addr, port))
            .ok_or(ServiceError::DestMissing {
                service: *key,
                addr,
                port,
            })
    }
}

impl ServiceRequest {
    fn validate(&self) -> Result<(), ServiceError> {
        let is_persistent = self.options.persistence.is_some();
        if self.key.matcher.is_some() && is_persistent {
            return Err(ServiceError::PersistentMatch(self.key));
        }
        if self.key.matcher.is_none() && self.key.port == 0 && !is_persistent {
            return Err(ServiceError::PortZero(self.key));
        }
        if self.options.is_one_packet && self.key.protocol != Protocol::Udp {
            return Err(ServiceError::OnePacketNeedsUdp(self.key));
        }
        let is_tcp_vip = self.key.matcher.is_none() && self.key.protocol == Protocol::Tcp;
        if self.options.syn_proxy.is_some() && !is_tcp_vip {
            return Err(ServiceError::SynProxyNeedsTcp(self.key));
        }
        if self.options.uoa.is_some() {
            if self.key.protocol != Protocol::Udp || self.key.matcher.is_some() {
                return Err(ServiceError::UoaNeedsUdp(self.key));
            }
            if self.options.proxy_protocol.is_some() {
                return Err(ServiceError::UoaBesideProxy(self.key));
            }
        }
        if let Some(proxy) = self.options.proxy_protocol {
            if self.key.matcher.is_some() {
                return Err(ServiceError::ProxyMatch(self.key));
            }
            if proxy.version == Version::V1 && self.key.protocol != Protocol::Tcp {
                return Err(ServiceError::ProxyV1NeedsTcp(self.key));
            }
        }
        let by_quic = self.scheduler == SchedulerKind::Conhash(HashTarget::Qid);
        if by_quic && self.key.protocol != Protocol::Udp {
            return Err(ServiceError::QidNeedsUdp(self.key));
        }
        Ok(())
    }
}

impl DestRequest {
    fn validate(&self, request: &ServiceRequest) -> Result<(), ServiceError> {
        let service = &request.key;
        if request.options.is_one_packet && self.fwdmode.sees_replies() {
            return Err(ServiceError::OnePacketNeedsNoReply {
                service: *service,
                addr: self.addr,
                fwdmode: self.fwdmode.name(),
            });
        }
        if let Some(uoa) = request.options.uoa {
            if self.fwdmode != FwdMode::FullNat {
                return Err(ServiceError::UoaNeedsFullNat {
                    service: *service,
                    addr: self.addr,
                    fwdmode: self.fwdmode.name(),
                });
            }
            let is_v4 = self.addr.is_ipv4() && service.addr.is_ipv4();
            if uoa.mode == Mode::IpOption && !is_v4 {
                return Err(ServiceError::UoaOptionNeedsIpv4 {
                    service: *service,
                    addr: self.addr,
                });
            }
        }
        if request.options.syn_proxy.is_some() && !self.fwdmode.sees_replies() {
            return Err(ServiceError::SynProxyNeedsReplies {
                service: *service,
                addr: self.addr,
                fwdmode: self.fwdmode.name(),
            });
        }
        if request.options.proxy_protocol.is_some() && !self.fwdmode.sees_replies() {
            return Err(ServiceError::ProxyNeedsRewrite {
                service: *service,
                addr: self.addr,
                fwdmode: self.fwdmode.name(),
            });
        }
        if self.drain_s.is_some() && self.weight != 0 {
            return Err(ServiceError::DrainWithWeight(self.addr));
        }
        let is_match = service.matcher.is_some();
        let keeps_port = self.fwdmode.keeps_port() || !is_match;
        let is_any_port = service.port == 0 && self.fwdmode != FwdMode::Snat;
        if is_any_port && keeps_port && self.port != 0 {
            return Err(ServiceError::DestPortOfAnyPort {
                service: *service,
                addr: self.addr,
                port: self.port,
            });
        }
        if self.fwdmode == FwdMode::Snat && service.matcher.is_none() {
            return Err(ServiceError::SnatOfVip {
                service: *service,
                addr: self.addr,
                fwdmode: self.fwdmode.name(),
            });
        }
        if self.fwdmode == FwdMode::Snat && self.port != 0 {
            return Err(ServiceError::PortOfSnat {
                addr: self.addr,
                port: self.port,
            });
        }
        if self.port == 0 && !is_any_port && self.fwdmode != FwdMode::Snat {
            return Err(ServiceError::DestPortZero(self.addr));
        }
        if !is_host(self.addr) {
            return Err(ServiceError::NotUnicast(self.addr));
        }
        let is_other_family = self.addr.is_ipv4() != service.addr.is_ipv4();
        if is_other_family && (is_match || !self.fwdmode.joins_families()) {
            return Err(ServiceError::OtherFamily {
                service: *service,
                addr: self.addr,
                fwdmode: self.fwdmode.name(),
            });
        }
        if self.fwdmode.keeps_port() && self.port != service.port {
            return Err(ServiceError::PortKept {
                service: *service,
                addr: self.addr,
                port: self.port,
                fwdmode: self.fwdmode.name(),
            });
        }
        if self.upper_threshold != 0 && self.lower_threshold > self.upper_threshold {
            return Err(ServiceError::Thresholds {
                addr: self.addr,
                port: self.port,
                upper: self.upper_threshold,
                lower: self.lower_threshold,
            });
        }
        Ok(())
    }
}

impl ServiceEntry {
    /// What workers read of it: made when it is asked for the first time after a change.
    pub(crate) fn compile(&mut self) -> Arc<Service> {
        let (request, dests, laddrs) = (&self.request, &self.dests, &self.laddrs);
        let make = || {
            let dests: Vec<Dest> = dests.values().map(DestEntry::compile).collect();
            Arc::new(Service {
                id: self.id,
                key: request.key,
                scheduler: request.scheduler,
                plan: Plan::new(request.scheduler, &dests),
                dests,
                laddrs: laddrs.clone(),
                options: request.options,
                access: self.access.clone(),
            })
        };
        Arc::clone(self.compiled.get_or_insert_with(make))
    }

    pub(super) const fn access_list(&mut self, list: AccessList) -> &mut Option<AddrSet> {
        match list {
            AccessList::Deny => &mut self.access.deny,
            AccessList::Allow => &mut self.access.allow,
        }
    }

    /// What its counters sum up to, dests that are gone included. `now` reads those of a dest.
    pub(crate) fn counts(&self, now: impl Fn(DestId) -> Counts) -> Counts {
        let dests = self.dests.values().map(|dest| now(dest.id) - dest.zero);
        dests.fold(self.removed, |sum, counts| sum + counts)
    }
}

impl DestEntry {
    const fn compile(&self) -> Dest {
        let request = &self.request;
        Dest {
            id: self.id,
            addr: request.addr,
            port: request.port,
            weight: request.weight,
            fwdmode: request.fwdmode,
            upper_threshold: request.upper_threshold,
            lower_threshold: request.lower_threshold,
        }
    }
}

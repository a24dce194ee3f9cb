//! Services with their dests, as control publishes them: immutable, complete and validated.

use std::fmt;
use std::net::IpAddr;

use crate::config::Protocol;
use crate::config::access::Access;
use crate::config::dest::{Dest, Laddr};
use crate::config::fwdmode::FwdMode;
use crate::config::match_packets::Match;
use crate::config::options::ServiceOptions;
use crate::config::plan::Plan;
use crate::config::scheduler_kind::SchedulerKind;

/// The key of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The VIP.
    pub addr: IpAddr,
    /// The vport, in host byte order; 0 for all ports.
    pub port: u16,
    /// The packets that the service matches, if it has no VIP. `addr` is 0.0.0.0 or `::` then, by
    /// the family of these packets, and `port` is 0.
    pub matcher: Option<Match>,
}

impl ServiceKey {
    /// The key of a service with a VIP.
    pub const fn vip(protocol: Protocol, addr: IpAddr, port: u16) -> Self {
        Self {
            protocol,
            addr,
            port,
            matcher: None,
        }
    }

    /// Whether conns of this service may be FTP control conns, which announce data conns.
    pub fn is_ftp(&self) -> bool {
        self.matcher.is_none() && self.protocol == Protocol::Tcp && self.port == FTP_CONTROL_PORT
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(matcher) = &self.matcher {
            let protocol = self.protocol.to_string().to_lowercase();
            return write!(f, "MATCH {protocol}{matcher}");
        }
        write!(
            f,
            "{} {}",
            self.protocol,
            std::net::SocketAddr::new(self.addr, self.port)
        )
    }
}

/// Port of FTP control conns: RFC 959, section 8.
pub(crate) const FTP_CONTROL_PORT: u16 = 21;

/// Highest number of services.
pub const MAX_SERVICES: u32 = 1 << 20;

/// Index of a service in the per-worker arrays, below [`MAX_SERVICES`]. It does not change while
/// the service exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// A service, with all that a worker needs to make a conn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Index of its state in the per-worker arrays.
    pub id: ServiceId,
    /// Protocol, VIP and vport.
    pub key: ServiceKey,
    /// The scheduler, which chooses the dest of a new conn.
    pub scheduler: SchedulerKind,
    /// Its dests, in the order they were added.
    pub dests: Vec<Dest>,
    /// Removed dests of an FTP service whose conns go on. They get the data conns of their control
    /// conns and no others.
    pub leaving: Vec<Dest>,
    /// What control computed in advance for the scheduler, with [`Plan::new`].
    pub plan: Plan,
    /// Its local addresses, in the order they were added.
    pub laddrs: Vec<Laddr>,
    /// The options of the service.
    pub options: ServiceOptions,
    /// Which clients it serves. Who changes it calls [`inet::Net::invalidate_nexthops`], so that
    /// conns look at it again.
    pub access: Access,
}

impl Service {
    /// Whether its conns are FTP control conns, which announce data conns.
    pub fn is_ftp(&self) -> bool {
        self.key.is_ftp() && self.options.proxy_protocol.is_none()
    }

    /// Whether a packet without a conn may go where a hash leads, as the first packet of its conn
    /// did: with mh and conhash, where the director need not know more of a conn than its dest.
    /// Services may mix forwarding modes, so the mode of the dest must be looked at too.
    pub fn adopts(&self) -> bool {
        let is_by_hash = matches!(
            self.scheduler,
            SchedulerKind::Mh(_) | SchedulerKind::Conhash(_)
        );
        let may_pass = |dest: &Dest| !dest.fwdmode.sees_replies();
        is_by_hash && !self.options.refuses_adoption && self.dests.first().is_some_and(may_pass)
    }

    /// Whether this is a service of SNAT: its dests are WAN addresses.
    pub fn leads_out(&self) -> bool {
        let is_wan = |dest: &Dest| dest.fwdmode == FwdMode::Snat;
        self.key.matcher.is_some() && self.dests.iter().all(is_wan)
    }

    /// Whether a dest is reached by NAT.
    pub(crate) fn has_nat_dests(&self) -> bool {
        self.dests.iter().any(|dest| dest.fwdmode == FwdMode::Nat)
    }

    /// Whether the VIP and a dest are of different address families: NAT64 or NAT46.
    pub fn is_nat64(&self) -> bool {
        let is_other = |dest: &Dest| dest.addr.is_ipv4() != self.key.addr.is_ipv4();
        self.dests.iter().chain(&self.leaving).any(is_other)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::dest::DestId;
    use crate::config::plan::Plan;

    /// A service whose dests have these weights. Their ids count from 0.
    pub(crate) fn service_with(scheduler: SchedulerKind, weights: &[u16]) -> Service {
        let dests: Vec<Dest> = weights
            .iter()
            .zip(0..)
            .map(|(&weight, id)| Dest {
                id: DestId(id),
                addr: IpAddr::V4(Ipv4Addr::from(0xC0A8_6400 + id)),
                port: 80,
                weight,
                fwdmode: FwdMode::FullNat,
                upper_threshold: 0,
                lower_threshold: 0,
                tunnel_spread: None,
            })
            .collect();
        Service {
            id: ServiceId(0),
            key: ServiceKey {
                protocol: Protocol::Tcp,
                addr: IpAddr::from([10, 0, 0, 100]),
                port: 80,
                matcher: None,
            },
            scheduler,
            plan: Plan::new(scheduler, &dests),
            dests,
            leaving: Vec::new(),
            laddrs: Vec::new(),
            options: ServiceOptions::default(),
            access: Access::default(),
        }
    }
}

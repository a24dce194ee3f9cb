//! Services and their dests, as the control plane publishes them: immutable, whole, validated.

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

/// What names a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// TCP or UDP
    pub protocol: Protocol,
    /// VIP
    pub addr: IpAddr,
    /// vport, host byte order
    pub port: u16,
    /// For packets on their way through instead of a VIP, which is 0.0.0.0:0 then
    pub matcher: Option<Match>,
}

impl ServiceKey {
    /// A service on a VIP.
    pub const fn vip(protocol: Protocol, addr: IpAddr, port: u16) -> Self {
        Self {
            protocol,
            addr,
            port,
            matcher: None,
        }
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

/// Port of FTP's control conns: RFC 959, section 8.
pub(crate) const FTP_CONTROL_PORT: u16 = 21;

/// Most services at once.
pub const MAX_SERVICES: u32 = 1 << 20;

/// Index of a service in the per-worker arrays, below [`MAX_SERVICES`]. Stable while the service exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// A service with all that a worker needs to schedule a new conn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where its per-worker scheduler state is found.
    pub id: ServiceId,
    /// VIP, vport, protocol
    pub key: ServiceKey,
    /// Which dest a new conn goes to.
    pub scheduler: SchedulerKind,
    /// Its dests, in the order they were added.
    pub dests: Vec<Dest>,
    /// What the scheduler works out in advance. Made by [`Plan::new`].
    pub plan: Plan,
    /// Its local addresses, in the order they were added.
    pub laddrs: Vec<Laddr>,
    /// What it asks of its conns.
    pub options: ServiceOptions,
    /// Whom it serves.
    pub access: Access,
}

impl Service {
    /// Whether its conns are control conns of FTP, whose data conns follow them.
    pub fn is_ftp(&self) -> bool {
        let key = &self.key;
        key.matcher.is_none()
            && key.protocol == Protocol::Tcp
            && key.port == FTP_CONTROL_PORT
            && self.options.proxy_protocol.is_none()
    }

    /// Whether its dests are WAN addresses: SNAT.
    pub fn leads_out(&self) -> bool {
        let is_wan = |dest: &Dest| dest.fwdmode == FwdMode::Snat;
        self.key.matcher.is_some() && self.dests.iter().all(is_wan)
    }

    /// Whether it has dests of the other address family.
    pub fn is_nat64(&self) -> bool {
        let is_other = |dest: &Dest| dest.addr.is_ipv4() != self.key.addr.is_ipv4();
        self.dests.iter().any(is_other)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::dest::DestId;
    use crate::config::plan::Plan;

    /// A service whose dests have these weights and are numbered from 0.
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
            laddrs: Vec::new(),
            options: ServiceOptions::default(),
            access: Access::default(),
        }
    }
}

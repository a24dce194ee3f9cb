//! Services and their dests, as the control plane publishes them: immutable, whole, validated.

use std::fmt;
use std::net::IpAddr;

use inet::IfIndex;

use crate::config::access::Access;
use crate::config::match_packets::Match;
use crate::config::options::ServiceOptions;
use crate::helper::ftp::CONTROL_PORT;
use crate::sched::Plan;

/// The transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, RFC 9293
    Tcp,
    /// UDP, RFC 768
    Udp,
    /// SCTP, RFC 9260
    Sctp,
    /// Echo of ICMP, RFC 792: through SNAT
    Icmp,
    /// Echo of ICMPv6, RFC 4443
    IcmpV6,
}

impl Protocol {
    /// The protocol number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Icmp => 1,
            Self::IcmpV6 => 58,
        }
    }

    /// The protocol of an IP header's number, if services of it exist.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            1 => Some(Self::Icmp),
            58 => Some(Self::IcmpV6),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::IcmpV6 => "ICMPv6",
        })
    }
}

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

/// Most services at once.
pub const MAX_SERVICES: u32 = 1 << 20;

/// Index of a service in the per-worker arrays, below [`MAX_SERVICES`]. Stable while the service exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// Index of a dest in the per-worker arrays. Stable while the dest or a conn of it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestId(pub u32);

/// Index of a local address's port pool in the per-worker arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaddrId(pub u32);

/// How a packet reaches the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FwdMode {
    /// Both addresses are rewritten; the dest sees a local address, and answers it.
    FullNat,
    /// The destination is rewritten; the dest sees the client, and answers by way of the director, its gateway.
    Nat,
    /// Only the frame is addressed to the dest, which has the VIP too and answers the client by itself.
    DirectRoute,
    /// The packet travels inside another to the dest, which has the VIP too and answers the client by itself.
    Tunnel(Encapsulation),
    /// The source is rewritten to the dest's address, a WAN address of the director.
    Snat,
}

impl FwdMode {
    /// Whether the dest's packets come back through the director.
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Snat)
    }

    /// Whether the dest's port must be the service's, since no port is rewritten.
    pub const fn keeps_port(self) -> bool {
        !self.sees_replies()
    }

    /// Whether client and dest may be of different address families.
    pub const fn joins_families(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Tunnel(_))
    }

    /// As users know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullNat => "FullNAT (-b)",
            Self::Nat => "NAT (-m)",
            Self::DirectRoute => "DR (-g)",
            Self::Tunnel(_) => "tunnel (-i)",
            Self::Snat => "SNAT (-J)",
        }
    }
}

/// What stands between the outer and the inner IP header of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Nothing: RFC 2003
    IpIp,
    /// GRE without options: RFC 2784
    Gre,
    /// Generic UDP encapsulation, draft-ietf-intarea-gue, to this port
    Gue(u16),
}

/// Which dest a new conn goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// Round robin
    Rr,
    /// Weighted round robin
    Wrr,
    /// Least connection, whatever the weights
    Lc,
    /// Weighted least connection
    Wlc,
    /// Shortest expected delay
    Sed,
    /// Never queue: an idle dest, else as sed
    Nq,
    /// By the hash of the client's address
    Sh(HashOptions),
    /// By the hash of the destination address
    Dh,
    /// Maglev: as sh
    Mh(HashOptions),
    /// Consistent hashing
    Conhash(HashTarget),
    /// Locality-based least connection: each destination address keeps to a dest
    Lblc,
    /// The same with replication: each destination address keeps to a few dests
    Lblcr,
    /// Failover: the dest with the highest weight
    Fo,
    /// Overflow: the dest with the highest weight until it has as many active conns
    Ovf,
}

impl SchedulerKind {
    /// Whether it looks a hash up in a table.
    pub const fn is_by_hash(self) -> bool {
        matches!(
            self,
            Self::Sh(_) | Self::Dh | Self::Mh(_) | Self::Conhash(_)
        )
    }
}

/// `--sched-flags` of sh and mh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HashOptions {
    /// An overloaded dest's clients go to another one; without it they are refused, as IPVS does.
    pub fallback: bool,
    /// The client's port counts too, not only its address.
    pub port: bool,
}

/// `--hash-target` of conhash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashTarget {
    /// The client's address
    #[default]
    Sip,
    /// The QUIC connection ID: a client keeps its dest when its address changes
    Qid,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// Where its counters and conns are found.
    pub id: DestId,
    /// RIP
    pub addr: IpAddr,
    /// rport, host byte order
    pub port: u16,
    /// Share of new conns; 0 takes none and keeps those it has.
    pub weight: u16,
    /// How packets reach it.
    pub fwdmode: FwdMode,
    /// No new conn once it has this many; 0 for no limit.
    pub upper_threshold: u32,
    /// After the upper threshold was hit, new conns again only below this; 0 for 3/4 of the upper.
    pub lower_threshold: u32,
}

/// A local address of a FullNAT service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laddr {
    /// Which port pool of the worker belongs to it.
    pub id: LaddrId,
    /// LIP
    pub addr: IpAddr,
    /// The device it was added on.
    pub ifindex: IfIndex,
}

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
            && key.port == CONTROL_PORT
            && self.options.proxy_protocol.is_none()
    }

    /// Whether its dests are WAN addresses: SNAT.
    pub fn leads_out(&self) -> bool {
        let is_wan = |dest: &Dest| dest.fwdmode == FwdMode::Snat;
        self.key.matcher.is_some() && self.dests.iter().all(is_wan)
    }

    /// Whether it has dests of the other address family.
    pub fn is_mixed(&self) -> bool {
        let is_other = |dest: &Dest| dest.addr.is_ipv4() != self.key.addr.is_ipv4();
        self.dests.iter().any(is_other)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

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

//! Which address the director's own packets come from: worked out when addresses change, so that
//! a look-up costs the same with one address as with ten thousand.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use crate::device::IfIndex;
use crate::hash::MixHasher;
use crate::local_addr::LocalAddr;

/// What an address can be the source towards: RFC 6724, 5 compares scopes first. Link-local
/// addresses of IPv4 make no difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    V4,
    V6,
    /// RFC 4291, 2.5.6
    V6LinkLocal,
}

impl Kind {
    const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(addr) if addr.is_unicast_link_local() => Self::V6LinkLocal,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The kind to fall back to: a source of larger scope than the destination is as good (RFC
    /// 6724, 5, rule 2). One of smaller scope would not get an answer from beyond the link.
    const fn larger_scope(self) -> Self {
        match self {
            Self::V4 => Self::V4,
            Self::V6 | Self::V6LinkLocal => Self::V6,
        }
    }
}

/// The preferred address of each device, and of the whole director, by kind.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// `None` stands for the whole director.
    preferred: HashMap<(Option<IfIndex>, Kind), LocalAddr, BuildHasherDefault<MixHasher>>,
}

impl Sources {
    /// Chooses among these addresses: one that is not a local address of FullNAT or SNAT comes
    /// first, then the lowest.
    pub(crate) fn of<'a>(addrs: impl Iterator<Item = &'a LocalAddr>) -> Self {
        let mut sources = Self::default();
        for local in addrs {
            for device in [None, Some(local.ifindex)] {
                let best = sources
                    .preferred
                    .entry((device, Kind::of(local.addr)))
                    .or_insert(*local);
                if (local.sapool, local.addr) < (best.sapool, best.addr) {
                    *best = *local;
                }
            }
        }
        sources
    }

    /// An address of a device for packets to `to`, of the scope of `to` if there is one, and never
    /// of a smaller one.
    pub(crate) fn of_device(&self, ifindex: IfIndex, to: IpAddr) -> Option<IpAddr> {
        let (device, kind) = (Some(ifindex), Kind::of(to));
        self.get(device, kind)
            .or_else(|| self.get(device, kind.larger_scope()))
    }

    /// The link-local address of a device, with IPv6.
    pub(crate) fn link_local(&self, ifindex: IfIndex) -> Option<IpAddr> {
        self.get(Some(ifindex), Kind::V6LinkLocal)
    }

    /// An address of any device for packets to `to`. A link-local one has no meaning beyond its
    /// link, so it is none.
    pub(crate) fn of_director(&self, to: IpAddr) -> Option<IpAddr> {
        let kind = if to.is_ipv4() { Kind::V4 } else { Kind::V6 };
        self.get(None, kind)
    }

    fn get(&self, device: Option<IfIndex>, kind: Kind) -> Option<IpAddr> {
        self.preferred.get(&(device, kind)).map(|local| local.addr)
    }
}

//! Routes, found by the longest prefix.

use std::net::{IpAddr, Ipv4Addr};

use crate::device::IfIndex;

/// An address and how many of its leading bits count. The other bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Who a route's packets are for. The words of `dpip route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteScope {
    /// This host itself: an address of the director
    Host,
    /// The kernel behind the kni netdev; prefix length 32 (128) only
    KniHost,
    /// On the link: the destination is the neighbour
    Link,
    /// Behind a gateway
    Global,
}

/// A route as configured, or as made by an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to
    pub prefix: Prefix,
    /// By which device
    pub ifindex: IfIndex,
    /// Through this neighbour; none on the link
    pub gateway: Option<IpAddr>,
    /// Which address packets of ours carry
    pub src: Option<IpAddr>,
    /// Largest packet; the device's when none was given
    pub mtu: u16,
    /// Among routes to the same prefix the lowest wins
    pub metric: u32,
    /// Who it is for
    pub scope: RouteScope,
    /// Made by an address rather than by a command
    pub auto: bool,
}

/// Routes by longest prefix. Immutable once published; cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {}

impl Prefix {
    /// `len` leading bits of `addr`; `None` if `len` is longer than the address.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        let _ = (addr, len);
        None
    }
    /// The first address.
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }
    /// Leading bits that count.
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }
}

impl RouteTable {
    /// The route of the longest prefix that holds `dst`; among equals the lowest metric.
    #[inline]
    pub fn lookup_v4(&self, dst: Ipv4Addr) -> Option<&Route> {
        let _ = dst;
        None
    }
}

//! Sources that no packet may have which makes a conn. Asked for packets that found none. What no
//! host at all may have, such as multicast, is checked with the headers.

use std::net::IpAddr;

use inet::is_link_local;
use packet::PacketBuf;

use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::wire::{Aside, Family, Flow};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// # Errors
    ///
    /// What becomes of the packet instead.
    pub(super) fn check_source(&self, flow: &Flow<A>) -> Result<(), Aside> {
        let net = &self.shared.snapshot.net;
        let src = flow.tuple.src.to_ip();
        // Nobody but the director has its addresses (RFC 1812, 5.3.8).
        if net.local_addr(src).is_some() {
            return Err(Aside::Drop(DropReason::OwnSource));
        }
        match src {
            // RFC 1122, 3.2.1.3: a broadcast address is not used as a source.
            IpAddr::V4(addr) if net.is_link_broadcast(addr) => {
                Err(Aside::Drop(DropReason::Ipv4Martian))
            }
            _ if is_link_local(src) => Err(self.link_local(flow)),
            _ => Ok(()),
        }
    }

    /// A host that is known on its link only. Its packets must not reach another link (RFC 4291,
    /// 2.5.6; RFC 3927, 2.7), so no service serves it. The kernel is on the same link.
    fn link_local(&self, flow: &Flow<A>) -> Aside {
        let services = &self.shared.snapshot.services;
        match services.of_vip(flow.protocol(), flow.tuple.dst, flow.tuple.dport) {
            Some(_) => Aside::Drop(DropReason::LinkLocalSource),
            None => Aside::Kernel,
        }
    }
}

//! UOA's own protocol. The director speaks it to its dests, and nobody to the director.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::config::Protocol;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A packet to a VIP would claim any client, so it does not get anywhere from which it may be
    /// led to a dest. To other addresses, the kernel may be a server behind another director.
    pub(crate) fn receive_uoa(&self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let services = &self.shared.snapshot.services;
        if services.is_vip(Protocol::Udp, ip.dst.to_ip()) {
            self.shared.drop(packet, DropReason::ForgedUoa);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }
}

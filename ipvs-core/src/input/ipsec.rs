//! AH and ESP (RFC 4302, RFC 4303). They have no ports: as in IPVS, they follow the conn of the key
//! exchange between the same addresses.

use packet::PacketBuf;
use packet::ip::IpFacts;
use rss::WorkerId;

use crate::config::Protocol;
use crate::conn::ConnFlags;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::tuple::Tuple;
use crate::wire::Family;

/// Port of the key exchange: RFC 7296, 2.
const IKE: u16 = 500;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Forwards a packet to the dest of its key exchange.
    pub(crate) fn receive_ipsec(&mut self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let exchange = Tuple {
            src: ip.src,
            dst: ip.dst,
            sport: IKE,
            dport: IKE,
            protocol: Protocol::Udp.number(),
        };
        let Some(found) = self.family.conns.find(&exchange) else {
            return match self.next_of_exchange(&packet, &exchange) {
                Some(worker) => self.shared.redirect(packet, worker, io),
                None => self.shared.to_kernel(packet, io),
            };
        };
        let conn = self.family.conns.get(found.id);
        if conn.flags.has(ConnFlags::LOCAL_PORT) || conn.flags.has(ConnFlags::NAT64) {
            return self.shared.drop(packet, DropReason::IpsecMode);
        }
        self.forward_later_fragment(packet, ip, found, 0, io);
    }

    /// The worker to ask next for the conn of a key exchange. NICs do not know that packets without
    /// ports belong to it.
    fn next_of_exchange(&self, packet: &B, exchange: &Tuple<A>) -> Option<WorkerId> {
        if self.is_from_nat_dest(exchange) {
            return self.shared.next_of_nat(packet, exchange);
        }
        let services = &self.shared.snapshot.services;
        services.of_vip(Protocol::Udp, exchange.dst, IKE)?;
        self.shared.next_of_client(packet, exchange)
    }
}

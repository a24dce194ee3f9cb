//! Packets that are longer than their way takes: cut into fragments, where that is allowed.

use packet::PacketBuf;
use packet::ip::cut::Cut;
use packet::ipv4::L2_LEN;
use packet::ipv6;

use crate::config::FwdMode;
use crate::conn::{ConnFlags, Found};
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::{Family, family};
use crate::xmit::Way;

/// How long a packet may be when it leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Largest IP packet that the way takes, in bytes. What the director would add goes by this.
    pub(super) mtu: u16,
    /// Largest IP packet that is not refused, in bytes.
    pub(super) longest: u16,
}

impl Limit {
    /// What is longer than the MTU is refused.
    pub(super) const fn strict(mtu: u16) -> Self {
        let longest = mtu;
        Self { mtu, longest }
    }

    /// What is longer than the MTU will be cut.
    pub(super) const fn with_cut(mtu: u16) -> Self {
        let longest = u16::MAX;
        Self { mtu, longest }
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// How long a packet may be when it leaves by `way`.
    pub(super) fn limit_of(&self, packet: &mut B, found: Found, way: Way) -> Limit {
        if self.may_be_cut(packet, found) {
            Limit::with_cut(way.mtu())
        } else {
            Limit::strict(way.mtu())
        }
    }

    /// Whether a packet may leave in fragments. IPv4: unless its sender forbids it. IPv6: only if
    /// the director puts a header of its own in front, and only up to the size that its sender may
    /// rely on.
    pub(super) fn may_be_cut(&self, packet: &mut B, found: Found) -> bool {
        let Ok(ip) = A::check(packet) else {
            return false;
        };
        if family::is_ipv4(packet.bytes()) {
            return !ip.dont_fragment;
        }
        let conn = self.family.conns.get(found.id);
        let is_short = ip.total_len <= ipv6::LEAST_MTU;
        if conn.flags.has(ConnFlags::NAT64) {
            // RFC 7915, 5.1 and 5.1.1: such packets leave without DF.
            return is_short || ip.is_fragment;
        }
        // RFC 2473, 7.1 (b) and RFC 4213, 3.2.1.
        is_short && matches!(conn.fwdmode(), FwdMode::Tunnel(_))
    }

    /// Sends a rewritten packet, in fragments if its way does not take it whole.
    pub(crate) fn deliver_or_cut(&mut self, packet: B, way: Way, io: &mut impl Io<B>) {
        if packet.bytes().len() > L2_LEN + usize::from(way.mtu()) {
            self.deliver_cut(packet, way, io);
        } else {
            self.deliver(packet, way, io);
        }
    }

    #[cold]
    fn deliver_cut(&mut self, mut packet: B, way: Way, io: &mut impl Io<B>) {
        let identification = self.shared.identifications.next();
        let Some(cut) = Cut::new(packet.bytes(), way.mtu(), identification) else {
            return self.shared.drop(packet, DropReason::MtuExceeded);
        };
        for n in 0..cut.count() - 1 {
            let Some(mut fragment) = io.allocate(packet.port(), cut.len_of(n)) else {
                return self.shared.drop(packet, DropReason::NoMbuf);
            };
            self.shared.count_originated();
            cut.write(n, packet.bytes(), fragment.bytes_mut());
            self.deliver(fragment, way, io);
        }
        cut.keep_last(&mut packet);
        self.deliver(packet, way, io);
    }
}

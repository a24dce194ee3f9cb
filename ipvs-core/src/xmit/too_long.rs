//! Packets that are longer than their way takes: cut into fragments, where that is allowed.

use packet::PacketBuf;
use packet::ip::cut::Cut;
use packet::ipv4::{self, L2_LEN};
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
        let mtu = self.mtu_for(packet, found, way.mtu());
        if self.may_be_cut(packet, found) {
            Limit::with_cut(mtu)
        } else {
            Limit::strict(mtu)
        }
    }

    /// Largest IP packet in bytes that this packet may become on a way with this MTU. RFC 7915, 4:
    /// an IPv4 packet without DF becomes IPv6 packets that every link takes, since nobody on the
    /// way can fragment them and its sender does not listen for errors.
    #[inline]
    pub(super) fn mtu_for(&self, packet: &B, found: Found, mtu: u16) -> u16 {
        let frame = packet.bytes();
        let flags = self.family.conns.get(found.id).flags;
        let is_translated = flags.has(ConnFlags::NAT64) && !flags.has(ConnFlags::DR_TUNNEL);
        let becomes_ipv6 = A::HAS_NAT64 && is_translated && family::is_ipv4(frame);
        if becomes_ipv6 && !ipv4::has_dont_fragment(frame) {
            mtu.min(ipv6::LEAST_MTU)
        } else {
            mtu
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
        if matches!(conn.fwdmode(), FwdMode::Tunnel(_)) {
            // RFC 2473, 7.1 (b) and RFC 4213, 3.2.1.
            return is_short;
        }
        // RFC 7915, 5.1 and 5.1.1: such packets leave without DF.
        conn.flags.has(ConnFlags::NAT64) && (is_short || ip.is_fragment)
    }

    /// Sends a rewritten packet, in fragments of at most `mtu` bytes if it is longer.
    pub(crate) fn deliver_or_cut(&mut self, packet: B, way: Way, mtu: u16, io: &mut impl Io<B>) {
        if packet.bytes().len() > L2_LEN + usize::from(mtu) {
            self.deliver_cut(packet, way, mtu, io);
        } else {
            self.deliver(packet, way, io);
        }
    }

    #[cold]
    fn deliver_cut(&mut self, mut packet: B, way: Way, mtu: u16, io: &mut impl Io<B>) {
        let identification = self.shared.identifications.next_of_fragments();
        let Some(cut) = Cut::new(packet.bytes(), mtu, identification) else {
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

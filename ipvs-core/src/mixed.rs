//! Conns between both families: the network header of one becomes the other's (RFC 7915).

use packet::PacketBuf;
use packet::checksum;
use packet::ip::NewHeader;
use packet::ipv4::L2_LEN;

use crate::classify::Flow;
use crate::conn::Found;
use crate::drop_reason::DropReason;
use crate::family::{self, Family};
use crate::lane::Forwarder;
use crate::service::Protocol;
use crate::tuple::Tuple;

/// RFC 7915, 5.1: up to this length a packet that was IPv6 may be fragmented on its way.
const MAY_BE_FRAGMENTED: u16 = 1260;
/// Where a UDP header has its checksum.
const UDP_CHECKSUM: std::ops::Range<usize> = 6..8;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Replaces the network header. Says where what is above lies now: that is rewritten like any other packet's.
    #[inline(never)]
    pub(crate) fn replace_network(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<Flow<A>, DropReason> {
        // Their headers say too little, and too much, of each other.
        if flow.is_fragment {
            return Err(DropReason::Fragment);
        }
        let to = self.lane.conns.get(found.id).rewritten(found.direction);
        let l4_at = L2_LEN + family::header_len(to.src);
        let l4_len = L2_LEN as u16 + flow.total_len - u16::from(flow.l4_at);
        let total_len = (l4_at - L2_LEN) as u16 + l4_len;
        if total_len > mtu {
            return Err(DropReason::MtuExceeded);
        }
        self.replace_header(packet, flow, &to, l4_len)?;
        Ok(Flow {
            l4_at: l4_at as u8,
            total_len,
            ..*flow
        })
    }

    /// What only the whole rewritten packet can tell.
    #[inline(never)]
    pub(crate) fn complete_replaced(&self, packet: &mut B, flow: &Flow<A>, found: Found) {
        let to = self.lane.conns.get(found.id).rewritten(found.direction);
        if flow.protocol == Protocol::Udp && !to.src.is_mapped() {
            give_checksum(packet.bytes_mut(), &to, usize::from(flow.l4_at));
        }
    }

    /// What is before the L4 header makes room for, or gives way to, a header between `to`'s addresses.
    fn replace_header(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        to: &Tuple<A>,
        l4_len: u16,
    ) -> Result<(), DropReason> {
        let ttl = A::ttl(packet.bytes()) - 1;
        let traffic_class = family::traffic_class(packet.bytes());
        let (old, new) = (usize::from(flow.l4_at), L2_LEN + family::header_len(to.src));
        let ethernet = packet.bytes().first_chunk::<L2_LEN>().copied();
        if old > new {
            packet.trim_front(old - new);
        } else if !packet.prepend(new - old) {
            return Err(DropReason::NoHeadroom);
        }
        if let (Some(old), Some(new)) = (ethernet, packet.bytes_mut().first_chunk_mut()) {
            *new = old;
        }
        let dont_fragment = l4_len + (new - L2_LEN) as u16 > MAY_BE_FRAGMENTED;
        if !dont_fragment {
            self.lane.identification = self.lane.identification.wrapping_add(1);
        }
        let header = NewHeader {
            ttl,
            traffic_class,
            identification: if dont_fragment {
                0
            } else {
                self.lane.identification
            },
            dont_fragment,
            ..NewHeader::of_ours(to.src, to.dst, to.protocol, l4_len)
        };
        family::write_header(packet.bytes_mut(), &header);
        Ok(())
    }
}

/// RFC 7915, 4.5: over IPv6 a datagram must have a checksum.
fn give_checksum<A: Family>(frame: &mut [u8], to: &Tuple<A>, l4_at: usize) {
    let udp = frame.get_mut(l4_at..).unwrap_or_default();
    if udp.get(UDP_CHECKSUM) != Some(&[0, 0]) {
        return;
    }
    let pseudo = A::pseudo_header(to, udp.len() as u16);
    let sum = match !checksum::fold(checksum::sum(udp) + pseudo) {
        0 => u16::MAX,
        sum => sum,
    };
    udp[UDP_CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

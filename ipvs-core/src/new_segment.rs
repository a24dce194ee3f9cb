//! TCP segments of our own, written into the buffers of others.

use packet::PacketBuf;
use packet::checksum;
use packet::ip::NewHeader;
use packet::ipv4::L2_LEN;

use crate::family::{self, Family};
use crate::syn_cookie::SynOffer;
use crate::tcp_options::{self, HEADER_LEN};
use crate::tuple::Tuple;

/// Options of ours: MSS, SACK permitted, window scale, padding.
const MOST_OPTIONS: usize = 12;
/// Where a TCP header has its flags and its window.
const FLAGS: usize = 13;
const WINDOW: std::ops::Range<usize> = 14..16;

/// A segment to be written, without data.
pub(crate) struct NewSegment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Of a SYN
    pub(crate) offer: Option<SynOffer>,
}

impl NewSegment {
    /// Writes the packet anew, MAC addresses excepted. `false` if its buffer has no room.
    pub(crate) fn write<A: Family, B: PacketBuf>(
        &self,
        packet: &mut B,
        tuple: &Tuple<A>,
        ttl: u8,
    ) -> bool {
        let mut options = [tcp_options::NOP; MOST_OPTIONS];
        let options_len = self
            .offer
            .map_or(0, |offer| write_offer(&mut options, offer));
        let l4_at = L2_LEN + family::header_len(tuple.src);
        let l4_len = HEADER_LEN + options_len;
        let len = l4_at + l4_len;
        packet.truncate(len);
        let lacking = len - packet.bytes().len();
        if lacking > 0 && !packet.append(lacking) {
            return false;
        }
        let frame = packet.bytes_mut();
        let header = NewHeader {
            ttl,
            ..NewHeader::of_ours(tuple.src, tuple.dst, tuple.protocol, l4_len as u16)
        };
        family::write_header(frame, &header);
        let tcp = &mut frame[l4_at..];
        tcp[0..2].copy_from_slice(&tuple.sport.to_be_bytes());
        tcp[2..4].copy_from_slice(&tuple.dport.to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12] = ((l4_len / 4) as u8) << 4;
        tcp[FLAGS] = self.flags;
        tcp[WINDOW].copy_from_slice(&self.window.to_be_bytes());
        tcp[16..20].fill(0);
        tcp[HEADER_LEN..].copy_from_slice(&options[..options_len]);
        let pseudo = A::pseudo_header(tuple, l4_len as u16);
        let sum = !checksum::fold(checksum::sum(tcp) + pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        true
    }
}

/// RFC 9293, 3.7.1; RFC 2018, 2; RFC 7323, 2.2. How long they are, padded.
fn write_offer(options: &mut [u8; MOST_OPTIONS], offer: SynOffer) -> usize {
    let [high, low] = offer.mss.to_be_bytes();
    options[..4].copy_from_slice(&[tcp_options::MSS, 4, high, low]);
    let mut len = 4;
    if offer.sack {
        options[len..len + 2].copy_from_slice(&[tcp_options::SACK_PERMITTED, 2]);
        len += 2;
    }
    if let Some(scale) = offer.scale {
        options[len..len + 3].copy_from_slice(&[tcp_options::WINDOW_SCALE, 3, scale]);
        len += 3;
    }
    len.next_multiple_of(4)
}

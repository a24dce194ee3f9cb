//! TCP segments that the director writes, each into the mbuf of another packet.

use packet::PacketBuf;
use packet::checksum;
use packet::ip::NewHeader;
use packet::ipv4::L2_LEN;
use packet::tcp::{CHECKSUM_AT, FLAGS_AT, WINDOW_AT};

use crate::tuple::Tuple;
use crate::wire::family::{self, Family};
use crate::wire::syn_cookie::SynOffer;
use crate::wire::tcp_options::{self, TCP_HEADER_LEN, Timestamps};

/// Bytes of our longest options: MSS, SACK permitted, timestamps, window scale, padding.
const MOST_OPTIONS: usize = 20;

/// A segment without data, to be written.
pub(crate) struct NewSegment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// The options of a SYN or SYN-ACK
    pub(crate) offer: Option<SynOffer>,
    pub(crate) timestamps: Option<Timestamps>,
}

impl NewSegment {
    /// Overwrites the packet, except for its MAC addresses. `false` if its mbuf has no room.
    pub(crate) fn write<A: Family, B: PacketBuf>(
        &self,
        packet: &mut B,
        tuple: &Tuple<A>,
        ttl: u8,
    ) -> bool {
        let mut options = [tcp_options::NOP; MOST_OPTIONS];
        let options_len = self.write_options(&mut options);
        let l4_at = L2_LEN + family::header_len(tuple.src);
        let l4_len = TCP_HEADER_LEN + options_len;
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
        tcp[FLAGS_AT] = self.flags;
        tcp[WINDOW_AT..CHECKSUM_AT].copy_from_slice(&self.window.to_be_bytes());
        tcp[16..20].fill(0);
        tcp[TCP_HEADER_LEN..].copy_from_slice(&options[..options_len]);
        let pseudo = A::pseudo_header(tuple, l4_len as u16);
        let sum = !checksum::fold(checksum::sum(tcp) + pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        true
    }

    /// Writes the options (RFC 9293, 3.7.1; RFC 2018, 2; RFC 7323, 2.2 and 3.2). Returns their
    /// length with padding.
    fn write_options(&self, options: &mut [u8; MOST_OPTIONS]) -> usize {
        let mut len = 0;
        let mut put = |option: &[u8]| {
            options[len..len + option.len()].copy_from_slice(option);
            len += option.len();
        };
        if let Some(offer) = self.offer {
            let [high, low] = offer.mss.to_be_bytes();
            put(&[tcp_options::MSS, 4, high, low]);
            if offer.sack {
                put(&[tcp_options::SACK_PERMITTED, 2]);
            }
        } else if self.timestamps.is_some() {
            // Two NOPs in front align the timestamps: RFC 7323, appendix A.
            put(&[tcp_options::NOP; 2]);
        }
        if let Some(timestamps) = self.timestamps {
            put(&timestamps.bytes());
        }
        if let Some(scale) = self.offer.and_then(|offer| offer.scale) {
            put(&[tcp_options::WINDOW_SCALE, 3, scale]);
        }
        len.next_multiple_of(4)
    }
}

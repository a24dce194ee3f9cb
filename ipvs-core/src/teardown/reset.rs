//! Resets to both ends of a conn that the director ends while they still use it.

use packet::PacketBuf;
use packet::checksum;
use packet::ip::NewHeader;

use crate::config::Protocol;
use crate::conn::{Conn, ConnFlags, ConnId};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::io::Io;
use crate::tcp_state::TcpState;
use crate::tuple::Tuple;
use crate::wire::{Family, family};
use crate::xmit::Way;
use packet::ipv4::L2_LEN;

/// Bytes of a segment without options and data: RFC 9293, 3.1.
const SEGMENT_LEN: usize = packet::tcp::MIN_HEADER_LEN;
const RST_ACK: u8 = packet::tcp::TcpFlags::RST_ACK.0;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Sends a RST to both ends of an established TCP conn.
    pub(super) fn reset_if_established(&mut self, id: ConnId, io: &mut impl Io<B>) {
        let conn = *self.family.conns.get(id);
        if conn.flags.has(ConnFlags::SYN_PROXIED) && conn.tcp_state() == TcpState::SynSent {
            return self.reset_waiting_client(id, io);
        }
        if !has_ends_to_reset(&conn) {
            return;
        }
        // A RST counts at once only with the sequence number that the receiver expects next (RFC
        // 5961, 3.2). That is what the receiver acknowledged last.
        let [client_ack, dest_ack] = conn.acks;
        let shift = self.edit_shift(id, Direction::Outbound);
        let client_expects = client_ack.wrapping_add(self.family.dest_delta(id));
        let client_expects = client_expects.wrapping_add(shift);
        let for_client = (client_expects, dest_ack.wrapping_sub(conn.seq_delta));
        self.send_reset(id, &conn, Direction::Outbound, for_client, io);
        self.reset_dest_if_established(id, io);
    }

    /// Sends a RST to the dest of an established TCP conn.
    pub(crate) fn reset_dest_if_established(&mut self, id: ConnId, io: &mut impl Io<B>) {
        let conn = *self.family.conns.get(id);
        if has_ends_to_reset(&conn) {
            let [client_ack, dest_ack] = conn.acks;
            let dest_expects = dest_ack.wrapping_add(self.edit_shift(id, Direction::Inbound));
            let numbers = (dest_expects, client_ack);
            self.send_reset(id, &conn, Direction::Inbound, numbers, io);
        }
    }

    /// The client has shaken hands with the SYN proxy, and the dest did not answer.
    fn reset_waiting_client(&mut self, id: ConnId, io: &mut impl Io<B>) {
        let conn = *self.family.conns.get(id);
        let ext = self.family.exts.get(id);
        let numbers = (ext.cookie.wrapping_add(1), ext.first_data);
        self.send_reset(id, &conn, Direction::Outbound, numbers, io);
    }

    fn send_reset(
        &mut self,
        id: ConnId,
        conn: &Conn<A>,
        direction: Direction,
        numbers: (u32, u32),
        io: &mut impl Io<B>,
    ) {
        let Ok(way) = self.way_of_any(id, direction) else {
            return;
        };
        let Way::Known { id: nexthop, .. } = way else {
            return;
        };
        let Some(port) = self.shared.nexthop(nexthop).map(|hop| hop.port) else {
            return;
        };
        let tuple = conn.rewritten(direction);
        let frame_len = L2_LEN + family::header_len(tuple.src) + SEGMENT_LEN;
        if let Some(mut packet) = self.shared.originate(port, frame_len, io) {
            write_reset(packet.bytes_mut(), &tuple, numbers);
            self.deliver(packet, way, io);
        }
    }
}

/// Whether the director knows the numbers by which it can reset the ends of a conn.
fn has_ends_to_reset<A: Family>(conn: &Conn<A>) -> bool {
    conn.protocol == Protocol::Tcp.number()
        && conn.tcp_state() == TcpState::Established
        && !conn.flags.has(ConnFlags::DR_TUNNEL)
}

/// Writes a whole RST segment, except for the MAC addresses. RFC 9293, 3.10.7.
fn write_reset<A: Family>(frame: &mut [u8], tuple: &Tuple<A>, (seq, ack): (u32, u32)) {
    frame.fill(0);
    let header = NewHeader::of_ours(tuple.src, tuple.dst, tuple.protocol, SEGMENT_LEN as u16);
    family::write_header(frame, &header);
    let Some(tcp) = frame.last_chunk_mut::<SEGMENT_LEN>() else {
        return;
    };
    tcp[0..2].copy_from_slice(&tuple.sport.to_be_bytes());
    tcp[2..4].copy_from_slice(&tuple.dport.to_be_bytes());
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = RST_ACK;
    let pseudo = A::pseudo_header(tuple, SEGMENT_LEN as u16);
    let tcp_checksum = !checksum::fold(checksum::sum(tcp) + pseudo);
    tcp[16..18].copy_from_slice(&tcp_checksum.to_be_bytes());
}

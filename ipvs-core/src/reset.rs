//! Resets to both ends of a conn that ends while they still believe in it (FullNAT design, 4.8).

use packet::PacketBuf;
use packet::checksum;

use crate::conn::{Conn, ConnFlags, ConnId, Direction};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use crate::service::Protocol;
use crate::tcp_state::TcpState;
use crate::time::Now;
use crate::tuple::Tuple;
use packet::ipv4::L2_LEN;

const FRAME_LEN: usize = L2_LEN + 20 + 20;
/// RFC 1700's recommended default.
const TTL: u8 = 64;
const RST_ACK: u8 = 0x14;

impl<B: PacketBuf> Engine<B> {
    /// Tells both ends of an established TCP conn that it is over.
    pub(crate) fn reset_if_established(&mut self, now: Now, id: ConnId, io: &mut impl Io<B>) {
        let conn = *self.conns.get(id);
        if conn.protocol != Protocol::Tcp.number()
            || conn.tcp_state() != TcpState::Established
            || conn.flags.has(ConnFlags::ONE_WAY)
        {
            return;
        }
        // The sequence number is the one the receiver expects next, for only then does it believe
        // the reset at once (RFC 5961, 3.2): what it acknowledged last.
        let client_expects = conn.client_ack;
        let dest_expects = conn.dest_ack;
        let for_client = (client_expects, dest_expects.wrapping_sub(conn.seq_delta));
        let for_dest = (dest_expects, client_expects);
        self.send_reset(now, id, &conn, Direction::Outbound, for_client, io);
        self.send_reset(now, id, &conn, Direction::Inbound, for_dest, io);
    }

    fn send_reset(
        &mut self,
        now: Now,
        id: ConnId,
        conn: &Conn<[u8; 4]>,
        direction: Direction,
        numbers: (u32, u32),
        io: &mut impl Io<B>,
    ) {
        let Ok(way) = self.way_of(id, direction) else {
            return;
        };
        let port = match way {
            crate::output::Way::Known(nexthop) => nexthop.port,
            crate::output::Way::Await { .. } => return,
        };
        self.stats.received.add(1);
        self.stats.originated.add(1);
        let Some(mut packet) = io.allocate(port, FRAME_LEN) else {
            self.stats.drops_by(DropReason::NoMbuf).add(1);
            return;
        };
        write_reset(packet.bytes_mut(), &conn.rewritten(direction), numbers);
        self.deliver(now, packet, way, io);
    }
}

/// A whole RST segment, MAC addresses excepted. RFC 9293, 3.10.7: seq and ack as given.
fn write_reset(frame: &mut [u8], tuple: &Tuple<[u8; 4]>, (seq, ack): (u32, u32)) {
    let Some(frame) = frame.first_chunk_mut::<FRAME_LEN>() else {
        return;
    };
    frame.fill(0);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let (ip, tcp) = frame[L2_LEN..].split_at_mut(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&40u16.to_be_bytes());
    ip[6] = 0x40; // do not fragment
    ip[8] = TTL;
    ip[9] = tuple.protocol;
    ip[12..16].copy_from_slice(&tuple.src);
    ip[16..20].copy_from_slice(&tuple.dst);
    let ip_checksum = checksum::checksum(ip);
    ip[10..12].copy_from_slice(&ip_checksum.to_be_bytes());
    tcp[0..2].copy_from_slice(&tuple.sport.to_be_bytes());
    tcp[2..4].copy_from_slice(&tuple.dport.to_be_bytes());
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = RST_ACK;
    let pseudo = checksum::pseudo_header_v4(tuple.src.into(), tuple.dst.into(), tuple.protocol, 20);
    let tcp_checksum = !checksum::fold(checksum::sum(tcp) + pseudo);
    tcp[16..18].copy_from_slice(&tcp_checksum.to_be_bytes());
}

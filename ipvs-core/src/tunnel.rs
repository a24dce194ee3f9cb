//! Packets inside packets: what a tunnel's own header needs, and how it is put in front.

use packet::PacketBuf;
use packet::checksum;
use packet::ipv4::{HEADER_LEN, L2_LEN};

use crate::conn::{Conn, Direction};
use crate::drop_reason::DropReason;
use crate::service::{Encapsulation, FwdMode};
use crate::tuple::Tuple;

/// RFC 2003, 3.1: enough to reach the tunnel's end, whatever is left to the packet inside. RFC 1700's default.
const TTL: u8 = 64;
const IPIP: u8 = 4;
const UDP: u8 = 17;
const GRE: u8 = 47;
/// RFC 2784, 2: no checksum, version 0, and the EtherType of what is inside.
const GRE_IPV4: [u8; 4] = [0, 0, 0x08, 0x00];
/// draft-ietf-intarea-gue, 3.1: version 0, no options, a data message with IPv4 inside.
const GUE_IPV4: [u8; 4] = [0, IPIP, 0, 0];
const UDP_LEN: usize = 8;
/// RFC 7348, 5 and others: the source port of a UDP tunnel is a hash of the flow, among the dynamic ones.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// How many bytes a conn's inbound packets grow by.
pub(crate) const fn overhead(fwdmode: FwdMode) -> u16 {
    match fwdmode {
        FwdMode::FullNat | FwdMode::Nat | FwdMode::DirectRoute | FwdMode::Snat => 0,
        FwdMode::Tunnel(encapsulation) => (HEADER_LEN + shim_len(encapsulation)) as u16,
    }
}

/// Bytes between the two IP headers.
const fn shim_len(encapsulation: Encapsulation) -> usize {
    match encapsulation {
        Encapsulation::IpIp => 0,
        Encapsulation::Gre => GRE_IPV4.len(),
        Encapsulation::Gue(_) => UDP_LEN + GUE_IPV4.len(),
    }
}

/// Puts a packet of a conn into one to its dest. `flow_hash` tells flows apart for who balances over paths.
pub(crate) fn encapsulate<B: PacketBuf>(
    packet: &mut B,
    conn: &Conn<[u8; 4]>,
    encapsulation: Encapsulation,
    flow_hash: u64,
) -> Result<(), DropReason> {
    let grown = HEADER_LEN + shim_len(encapsulation);
    if !packet.prepend(grown) {
        return Err(DropReason::NoHeadroom);
    }
    let bytes = packet.bytes_mut();
    bytes.copy_within(grown..grown + L2_LEN, 0);
    let inner_len = bytes.len() - L2_LEN - grown;
    let (outer, inner) = bytes[L2_LEN..].split_at_mut(grown);
    let (header, shim) = outer.split_at_mut(HEADER_LEN);
    let to = conn.rewritten(Direction::Inbound);
    write_header(
        header,
        inner,
        &to,
        encapsulation,
        (grown + inner_len) as u16,
    );
    match encapsulation {
        Encapsulation::IpIp => {}
        Encapsulation::Gre => shim.copy_from_slice(&GRE_IPV4),
        Encapsulation::Gue(port) => {
            let (udp, gue) = shim.split_at_mut(UDP_LEN);
            let sport = FIRST_DYNAMIC_PORT | flow_hash as u16;
            udp[0..2].copy_from_slice(&sport.to_be_bytes());
            udp[2..4].copy_from_slice(&port.to_be_bytes());
            let udp_len = (UDP_LEN + GUE_IPV4.len() + inner_len) as u16;
            udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
            // RFC 768: none. What is inside has its own.
            udp[6..8].fill(0);
            gue.copy_from_slice(&GUE_IPV4);
        }
    }
    Ok(())
}

fn write_header(
    header: &mut [u8],
    inner: &[u8],
    to: &Tuple<[u8; 4]>,
    encapsulation: Encapsulation,
    total_len: u16,
) {
    header.fill(0);
    header[0] = 0x45;
    // RFC 6040, 4.1: both the class and what ECN says are copied.
    header[1] = inner[1];
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    // RFC 2003, 3.1: what must stay whole inside must outside. Each outer packet takes over the inner's
    // identification, which tells it from the others of its sender.
    header[4..6].copy_from_slice(&[inner[4], inner[5]]);
    header[6] = inner[6] & 0x40;
    header[8] = TTL;
    header[9] = match encapsulation {
        Encapsulation::IpIp => IPIP,
        Encapsulation::Gre => GRE,
        Encapsulation::Gue(_) => UDP,
    };
    header[12..16].copy_from_slice(&to.src);
    header[16..20].copy_from_slice(&to.dst);
    let sum = checksum::checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

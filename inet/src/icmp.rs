//! ICMP (RFC 792) to the director itself.

use packet::PacketBuf;
use packet::checksum::{Delta, checksum};

const ETHERNET_LEN: usize = 14;
const IP_HEADER_LEN: usize = 20;
/// RFC 1700's recommended default.
const TTL: u8 = 64;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Type, code, checksum, identifier, sequence number.
const ECHO_HEADER_LEN: usize = 8;

/// Turns an echo request into its reply (RFC 1122, 3.2.2.6): addresses swapped, the data kept. The
/// ICMP checksum is changed by what the type changes, so that a wrong one stays wrong. `false`, and
/// nothing changed, if it is no echo request. The IP header must have been checked.
pub fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let bytes = packet.bytes_mut();
    let Some(header_len) = bytes.get(ETHERNET_LEN).map(|first| usize::from(first & 0x0f) * 4) else { return false };
    let Some((head, icmp)) = bytes.split_at_mut_checked(ETHERNET_LEN + header_len) else { return false };
    let (Some(ethernet_ip), Some(icmp)) = (
        head.first_chunk_mut::<{ ETHERNET_LEN + IP_HEADER_LEN }>(),
        icmp.first_chunk_mut::<ECHO_HEADER_LEN>(),
    ) else {
        return false;
    };
    if icmp[0] != ECHO_REQUEST || icmp[1] != 0 {
        return false;
    }
    icmp[0] = ECHO_REPLY;
    let sum = Delta::of_u16(u16::from(ECHO_REQUEST) << 8, u16::from(ECHO_REPLY) << 8)
        .apply(u16::from_be_bytes([icmp[2], icmp[3]]));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let (ethernet, ip) = ethernet_ip.split_at_mut(ETHERNET_LEN);
    let (macs, _) = ethernet.split_at_mut(12);
    macs.rotate_left(6);
    ip[8] = TTL;
    ip[12..20].rotate_left(4);
    head[ETHERNET_LEN + 10..ETHERNET_LEN + 12].fill(0);
    let sum = checksum(&head[ETHERNET_LEN..]);
    head[ETHERNET_LEN + 10..ETHERNET_LEN + 12].copy_from_slice(&sum.to_be_bytes());
    true
}

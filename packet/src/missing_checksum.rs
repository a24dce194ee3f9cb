//! A TCP or UDP checksum that its sender left to a NIC which never was on the way.
//!
//! The kernel of a virtual machine leaves checksums to its virtual NIC. The director's virtual NIC
//! on the same host hands such frames on as they are, and says so (virtio 1.2, 5.1.6.4:
//! `VIRTIO_NET_HDR_F_NEEDS_CSUM`). Their checksum field holds the sum of the pseudo header only.
//! Nobody behind the director can know that, so the checksum is filled in here.

use crate::eth::{self, EtherType};
use crate::ip::proto::{TCP, UDP};
use crate::{ChecksumState, PacketBuf, checksum, ipv4, ipv6};

/// IEEE 802.1Q, 9.6: the type of a service VLAN's tag.
const SERVICE_VLAN: EtherType = EtherType(0x88a8);
const TAG_LEN: usize = 4;

/// Fills in the checksum of a TCP or UDP packet, and notes that it is right. Frames that are not
/// sound, fragments and other protocols stay as they are, with a checksum of which nothing is
/// known: the engine finds out what is wrong with them.
#[cold]
pub fn fill_in<B: PacketBuf>(packet: &mut B) {
    let state = match fill_in_frame(packet.bytes_mut()) {
        Some(()) => ChecksumState::Good,
        None => ChecksumState::Unknown,
    };
    packet.set_l4_checksum(state);
}

fn fill_in_frame(frame: &mut [u8]) -> Option<()> {
    let (l3_at, ethertype) = l3(frame)?;
    fill_in_ip(frame.get_mut(l3_at..)?, ethertype)
}

/// Where the L3 header is, behind up to two VLAN tags, and its type.
fn l3(frame: &[u8]) -> Option<(usize, EtherType)> {
    let at = [0, 1, 2].map(|tags| eth::ETHERTYPE_AT + tags * TAG_LEN);
    at.into_iter().find_map(|at| {
        let ethertype = EtherType::from_be_bytes(*frame.get(at..)?.first_chunk()?);
        let is_tag = ethertype == EtherType::VLAN || ethertype == SERVICE_VLAN;
        (!is_tag).then_some((at + 2, ethertype))
    })
}

fn fill_in_ip(ip: &mut [u8], ethertype: EtherType) -> Option<()> {
    let (addrs, protocol, range) = match ethertype {
        EtherType::IPV4 => {
            let facts = ipv4::check_quoted(ip)?;
            let sum = checksum::sum(&facts.src) + checksum::sum(&facts.dst);
            let l4_at = usize::from(facts.l4_at) - eth::HEADER_LEN;
            let range = l4_at..usize::from(facts.total_len);
            (!facts.is_fragment).then_some((sum, facts.protocol, range))?
        }
        EtherType::IPV6 => {
            let facts = ipv6::check_quoted(ip).ok()?;
            let sum = checksum::sum(&facts.src) + checksum::sum(&facts.dst);
            let l4_at = usize::from(facts.l4_at) - eth::HEADER_LEN;
            let range = l4_at..usize::from(facts.total_len);
            (!facts.is_fragment).then_some((sum, facts.protocol, range))?
        }
        _ => return None,
    };
    let field_at = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let mut l4 = ip.get_mut(range)?;
    if protocol == UDP {
        // What is behind the datagram is not under its checksum (RFC 9868, 7).
        let len = u16::from_be_bytes(*l4.get(4..)?.first_chunk()?);
        l4 = l4.get_mut(..usize::from(len))?;
    }
    let pseudo = addrs + u64::from(protocol) + l4.len() as u64;
    fill_in_l4(l4, field_at, pseudo)
}

fn fill_in_l4(l4: &mut [u8], field_at: usize, pseudo: u64) -> Option<()> {
    let field: &mut [u8; 2] = l4.get_mut(field_at..)?.first_chunk_mut()?;
    // RFC 768: a datagram without a checksum has zero there. The sum of a pseudo header never is.
    if *field == [0, 0] {
        return None;
    }
    *field = [0, 0];
    let sum = checksum::sum(l4).wrapping_add(pseudo);
    // RFC 768: a computed zero is sent as all ones. In TCP both are the same number.
    let checksum = match !checksum::fold(sum) {
        0 => 0xffff,
        checksum => checksum,
    };
    let field = l4.get_mut(field_at..)?.first_chunk_mut()?;
    *field = u16::to_be_bytes(checksum);
    Some(())
}

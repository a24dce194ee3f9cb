//! Priority tags: a VLAN tag with the VLAN ID 0. Such a frame belongs to no VLAN. It is an untagged
//! frame with a priority (IEEE 802.1Q, 6.9.1 and table 9-2).

use packet::PacketBuf;
use packet::eth::{ETHERTYPE_AT, EtherType};

/// Bytes of a tag: EtherType, and tag control information.
const TAG_LEN: usize = 4;
/// The bits of the VLAN ID in the tag control information: IEEE 802.1Q, 9.6.
const VLAN_ID: u16 = 0x0fff;

/// Removes a priority tag, if the frame has one. Frames of other VLANs stay as they are.
#[cold]
pub(super) fn remove_priority_tag<B: PacketBuf>(packet: &mut B) {
    let frame = packet.bytes();
    // The tag, and the EtherType behind it.
    let Some([a, b, c, d, _, _]) = frame
        .get(ETHERTYPE_AT..)
        .and_then(<[u8]>::first_chunk::<{ TAG_LEN + 2 }>)
        .copied()
    else {
        return;
    };
    let control = u16::from_be_bytes([c, d]);
    if EtherType::from_be_bytes([a, b]) == EtherType::VLAN && control & VLAN_ID == 0 {
        packet.bytes_mut().copy_within(..ETHERTYPE_AT, TAG_LEN);
        packet.trim_front(TAG_LEN);
    }
}

//! The front of a frame, which gets longer or shorter.

use packet::PacketBuf;
use packet::ipv4::L2_LEN;

use crate::drop_reason::DropReason;

/// What takes `old` bytes at the front of a frame takes `new` ones, to be written; the Ethernet header stays.
pub(crate) fn resize_head<B: PacketBuf>(
    packet: &mut B,
    old: usize,
    new: usize,
) -> Result<(), DropReason> {
    let ethernet = packet.bytes().first_chunk::<L2_LEN>().copied();
    if old > new {
        packet.trim_front(old - new);
    } else if !packet.prepend(new - old) {
        return Err(DropReason::NoHeadroom);
    }
    if let (Some(old), Some(new)) = (ethernet, packet.bytes_mut().first_chunk_mut()) {
        *new = old;
    }
    Ok(())
}

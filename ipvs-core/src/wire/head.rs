//! The front of a frame: room for other headers, MAC addresses.

use packet::PacketBuf;
use packet::ipv4::L2_LEN;

use crate::drop_reason::DropReason;

/// Makes the headers at the front of a frame, `old` bytes with Ethernet, `new` bytes long. The
/// Ethernet header is kept; the rest is to be written by the caller.
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

/// Addresses a frame to the host that sent it.
pub(crate) fn swap_macs(frame: &mut [u8]) {
    if let Some(macs) = frame.first_chunk_mut::<12>() {
        macs.rotate_left(6);
    }
}

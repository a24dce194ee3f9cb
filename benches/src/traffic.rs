//! The frames of the bench: UDP of 64 bytes on the wire from distinct clients, in random order, as a
//! capture file that DPDK's net_pcap plays for ever.

use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use packet::MacAddr;
use packet::checksum::{checksum, fold, pseudo_header_v4, sum};

/// Bytes of a frame without its FCS: 64 on the wire.
pub const FRAME_LEN: usize = 60;

/// The VIP that all clients talk to.
pub const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 100), 80);

/// Writes a capture file with one frame for each of `flows`, shuffled.
///
/// # Errors
/// If the file cannot be written.
pub fn write_capture(path: &Path, flows: u32, to: MacAddr) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    // Magic number, version 2.4, no time zone, snap length, Ethernet.
    let header = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1];
    for word in header {
        file.write_all(&word.to_le_bytes())?;
    }
    for flow in shuffled(flows) {
        for word in [0, 0, FRAME_LEN as u32, FRAME_LEN as u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame(flow, to))?;
    }
    file.flush()
}

/// 0 to `count`, by Fisher and Yates, the same in every run.
fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for at in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

fn frame(flow: u32, to: MacAddr) -> [u8; FRAME_LEN] {
    let src = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 0)) + flow / 50_000);
    let sport = 10_000 + (flow % 50_000) as u16;
    let mut bytes = [0; FRAME_LEN];
    bytes[..6].copy_from_slice(&to.0);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 1, 1]);
    bytes[12..14].copy_from_slice(&[8, 0]);
    let (ip, udp) = bytes[14..].split_at_mut(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((FRAME_LEN - 14) as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&src.octets());
    ip[16..20].copy_from_slice(&VIP.0.octets());
    let ip_sum = checksum(ip);
    ip[10..12].copy_from_slice(&ip_sum.to_be_bytes());
    let len = (FRAME_LEN - 34) as u16;
    udp[0..2].copy_from_slice(&sport.to_be_bytes());
    udp[2..4].copy_from_slice(&VIP.1.to_be_bytes());
    udp[4..6].copy_from_slice(&len.to_be_bytes());
    let udp_sum = !fold(sum(udp) + pseudo_header_v4(src, VIP.0, 17, len));
    udp[6..8].copy_from_slice(&udp_sum.to_be_bytes());
    bytes
}

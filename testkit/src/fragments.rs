//! Frames cut into fragments, as their sender or a router cuts them (RFC 791, 2.3; RFC 8200, 4.5).

use crate::frames::repair_ip;

const L2_LEN: usize = 14;
const IPV6_LEN: usize = 40;
/// The next header of a fragment (RFC 8200, 4.5).
const FRAGMENT: u8 = 44;

fn is_ipv4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

/// Cuts a frame into fragments with so many bytes of payload each, a multiple of 8. Everything
/// behind the fixed header of IPv6 is payload.
#[must_use]
pub fn cut(frame: &[u8], size: usize, identification: u16) -> Vec<Vec<u8>> {
    let header_len = if is_ipv4(frame) {
        usize::from(frame[L2_LEN] & 0xf) * 4
    } else {
        IPV6_LEN
    };
    let (header, payload) = frame.split_at(L2_LEN + header_len);
    let parts = payload.chunks(size).enumerate();
    let fragments = parts.map(|(at, part)| {
        let more = (at + 1) * size < payload.len();
        let head = head_of(header, at * size, more, identification);
        with_right_length([&head[..], part].concat())
    });
    fragments.collect()
}

/// The headers of the fragment that begins at `offset`, in bytes.
fn head_of(header: &[u8], offset: usize, more: bool, identification: u16) -> Vec<u8> {
    let mut head = header.to_vec();
    let number = identification.to_be_bytes();
    if is_ipv4(header) {
        let field = (offset / 8) as u16 | u16::from(more) << 13;
        head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&number);
        head[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
    } else {
        let next = std::mem::replace(&mut head[L2_LEN + 6], FRAGMENT);
        let [high, low] = (offset as u16 | u16::from(more)).to_be_bytes();
        head.extend([next, 0, high, low, 0, 0, number[0], number[1]]);
    }
    head
}

/// Makes the length in the IP header that of the frame, and the header's checksum right.
#[must_use]
pub fn with_right_length(mut frame: Vec<u8>) -> Vec<u8> {
    let (at, counted_from) = if is_ipv4(&frame) {
        (L2_LEN + 2, L2_LEN)
    } else {
        (L2_LEN + 4, L2_LEN + IPV6_LEN)
    };
    let len = (frame.len() - counted_from) as u16;
    frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
    if is_ipv4(&frame) {
        repair_ip(&mut frame);
    }
    frame
}

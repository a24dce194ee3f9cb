//! What is longer than its way takes leaves in fragments where that is allowed, and fragments of
//! different senders are never taken for those of one packet.

mod echo;
mod elsewhere;
mod identification;
mod long_errors;
mod too_long;

pub(crate) use identification::in_two;

use std::collections::BTreeMap;

use etherparse::Ipv4Header;
use ipvs_core::{FwdMode, Protocol};
use testkit::director::*;
use testkit::frames;

const L2_LEN: usize = 14;

/// A director for UDP, with this MTU towards the dests.
fn director(fwdmode: FwdMode, vip: &'static str, dest: &'static str, lan_mtu: u16) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![if dest == DEST { LADDR } else { LADDR6 }],
        lan_mtu,
        ..Setup::default()
    }
    .build()
}

/// Allows that an IPv4 frame is fragmented, with this identification.
pub(crate) fn may_be_fragmented(mut frame: Vec<u8>, identification: u16) -> Vec<u8> {
    frame[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&identification.to_be_bytes());
    frame[L2_LEN + 6] = 0;
    frames::repair_ip(&mut frame);
    frame
}

/// A payload in which no two places look alike.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// A fragment as its receiver reads it: RFC 791, 3.1 and RFC 8200, 4.5. A whole packet is its own
/// first and last one.
pub(crate) struct Fragment<'f> {
    /// What all fragments of a packet have in common
    pub(crate) packet: Vec<u8>,
    pub(crate) protocol: u8,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) payload: &'f [u8],
}

impl<'f> Fragment<'f> {
    pub(crate) fn read(frame: &'f [u8]) -> Self {
        let ip = &frame[L2_LEN..];
        let word = |at: usize| usize::from(u16::from_be_bytes([ip[at], ip[at + 1]]));
        if frame[12..14] == [8, 0] {
            let header = Ipv4Header::from_slice(ip).unwrap().0;
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len), ip.len());
            let packet = [&ip[4..6], &ip[9..10], &ip[12..20]].concat();
            return Self {
                packet,
                protocol: ip[9],
                offset: (word(6) & 0x1fff) * 8,
                more: ip[6] & 0x20 != 0,
                payload: &ip[header.header_len()..],
            };
        }
        assert_eq!(40 + word(4), ip.len());
        let is_fragment = ip[6] == 44;
        let (protocol, at, field) = if is_fragment {
            (ip[40], 48, word(42))
        } else {
            (ip[6], 40, 0)
        };
        let identification = if is_fragment { &ip[44..48] } else { &[] };
        Self {
            packet: [identification, &ip[8..40]].concat(),
            protocol,
            offset: field & 0xfff8,
            more: field & 1 != 0,
            payload: &ip[at..],
        }
    }
}

/// Reassembles frames. Returns the protocol and the payload of each packet that became whole.
pub(crate) fn reassemble<'f>(frames: impl IntoIterator<Item = &'f Vec<u8>>) -> Vec<(u8, Vec<u8>)> {
    let mut packets: BTreeMap<_, Vec<Fragment<'f>>> = BTreeMap::new();
    for frame in frames {
        let fragment = Fragment::read(frame);
        packets
            .entry(fragment.packet.clone())
            .or_default()
            .push(fragment);
    }
    let mut whole = Vec::new();
    for mut fragments in packets.into_values() {
        fragments.sort_by_key(|fragment| fragment.offset);
        let mut payload = Vec::new();
        let is_seamless = fragments.iter().all(|fragment| {
            let follows = fragment.offset == payload.len();
            payload.extend_from_slice(fragment.payload);
            follows
        });
        let (last, others) = fragments.split_last().unwrap();
        if is_seamless && !last.more && others.iter().all(|other| other.more) {
            whole.push((fragments[0].protocol, payload));
        }
    }
    whole
}

/// The IPv4 frame that these fragments are of.
fn whole_v4(frames: &[Vec<u8>]) -> Vec<u8> {
    let [(_, payload)] = &reassemble(frames)[..] else {
        panic!("not one packet: {frames:?}");
    };
    let mut whole = [&frames[0][..L2_LEN + 20], payload].concat();
    whole[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    whole[L2_LEN + 6..L2_LEN + 8].fill(0);
    frames::repair_ip(&mut whole);
    whole
}

/// The IPv6 frame that these fragments are of.
fn whole_v6(frames: &[Vec<u8>]) -> Vec<u8> {
    let [(protocol, payload)] = &reassemble(frames)[..] else {
        panic!("not one packet: {frames:?}");
    };
    let mut whole = [&frames[0][..L2_LEN + 40], payload].concat();
    whole[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    whole[L2_LEN + 6] = *protocol;
    whole
}

/// The frame that these fragments are of.
fn whole(frames: &[Vec<u8>]) -> Vec<u8> {
    if frames[0][12..14] == [8, 0] {
        whole_v4(frames)
    } else {
        whole_v6(frames)
    }
}

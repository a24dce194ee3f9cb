//! A host on one side of the director: it puts fragments together, takes packets out of tunnels,
//! and finds fault with what no director may send.

use std::net::IpAddr;

use ipvs_core::{FwdMode, Protocol};
use packet::PortId;
use testkit::director::*;
use testkit::fragments::with_right_length;
use testkit::frames::Seen;

use super::ends::{CLAIMED_HEADER, CLAIMED_TOA, CLIENT_OCTET, DEST_OCTET, host};
use super::scene::{Scene, Twist};
use crate::fragmentation::{Fragment, reassemble};

const L2_LEN: usize = 14;

/// Source and destination of a frame.
pub(super) fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let ip = &frame[L2_LEN..];
    let of = |at: usize, len: usize| -> IpAddr {
        match <[u8; 4]>::try_from(&ip[at..at + len]) {
            Ok(octets) => octets.into(),
            Err(_) => <[u8; 16]>::try_from(&ip[at..at + len]).unwrap().into(),
        }
    };
    match frame[12..14] {
        [8, 0] => Some((of(12, 4), of(16, 4))),
        [0x86, 0xdd] => Some((of(8, 16), of(24, 16))),
        _ => None,
    }
}

/// The frame that these fragments are of, in the order of their offsets.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let payload = |frame: &Vec<u8>| Fragment::read(frame).payload.to_vec();
    let payloads: Vec<u8> = parts.iter().flat_map(payload).collect();
    let first = &parts[0];
    let header_len = if first[12] == 8 {
        usize::from(first[L2_LEN] & 0xf) * 4
    } else {
        40
    };
    let mut whole = [&first[..L2_LEN + header_len], &payloads].concat();
    if whole[12] == 8 {
        whole[L2_LEN + 6..L2_LEN + 8].fill(0);
    } else {
        whole[L2_LEN + 6] = Fragment::read(first).protocol;
    }
    with_right_length(whole)
}

/// The receiver of one side's frames.
pub(super) struct Receiver<'s> {
    scene: &'s Scene,
    side: PortId,
    fragments: Vec<Vec<u8>>,
    latest: Option<Vec<u8>>,
}

impl<'s> Receiver<'s> {
    pub(super) const fn new(scene: &'s Scene, side: PortId) -> Self {
        Self {
            scene,
            side,
            fragments: Vec::new(),
            latest: None,
        }
    }

    /// The latest frame that was no error.
    pub(super) fn latest(&self) -> Option<Vec<u8>> {
        self.latest.clone()
    }

    /// A frame arrives; the packets that are whole with it.
    pub(super) fn take(&mut self, frame: &[u8]) -> Vec<Seen> {
        self.check_frame(frame);
        self.assemble(frame)
            .map(|packet| self.read(&packet))
            .unwrap_or_default()
    }

    /// What holds for every frame that leaves.
    fn check_frame(&self, frame: &[u8]) {
        let (mac, peer, mtu) = if self.side == LAN {
            (LAN_MAC, DEST_MAC, self.scene.lan_mtu())
        } else if self.scene.has(Twist::OneArm) {
            (LAN_MAC, CLIENT_MAC, self.scene.lan_mtu())
        } else {
            (WAN_MAC, CLIENT_MAC, 1500)
        };
        assert_eq!((&frame[..6], &frame[6..12]), (&peer.0[..], &mac.0[..]));
        assert!(matches!(frame[12..14], [8, 0] | [0x86, 0xdd]), "{frame:?}");
        assert!(frame.len() <= L2_LEN + usize::from(mtu), "{}", frame.len());
        let ttl = if frame[12] == 8 { frame[22] } else { frame[21] };
        assert_ne!(ttl, 0);
        let (src, dst) = addresses(frame).unwrap();
        assert!(!src.is_unspecified() && !dst.is_multicast() && src != dst);
    }

    /// Keeps a fragment. Returns the packet if it is whole.
    fn assemble(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = Fragment::read(frame).packet;
        let is_alone = {
            let fragment = Fragment::read(frame);
            fragment.offset == 0 && !fragment.more
        };
        if is_alone {
            return Some(frame.to_vec());
        }
        let of_packet = |frame: &Vec<u8>| Fragment::read(frame).packet == packet;
        if !self.fragments.iter().any(|known| known == frame) {
            self.fragments.push(frame.to_vec());
        }
        let parts: Vec<Vec<u8>> = self
            .fragments
            .iter()
            .filter(|one| of_packet(one))
            .cloned()
            .collect();
        if reassemble(&parts).is_empty() {
            return None;
        }
        self.fragments.retain(|one| !of_packet(one));
        let mut parts = parts;
        parts.sort_by_key(|part| Fragment::read(part).offset);
        Some(joined(&parts))
    }

    /// Reads a whole packet, which may have another inside.
    fn read(&mut self, packet: &[u8]) -> Vec<Seen> {
        if let Some(inner) = self.decapsulated(packet) {
            return self
                .assemble(&inner)
                .map(|inner| self.check(&inner))
                .into_iter()
                .flatten()
                .collect();
        }
        self.check(packet).into_iter().collect()
    }

    fn decapsulated(&self, packet: &[u8]) -> Option<Vec<u8>> {
        if self.side == WAN || !matches!(self.scene.fwdmode, FwdMode::Tunnel(_)) {
            return None;
        }
        let (protocol, at) = if packet[12] == 8 {
            (packet[23], L2_LEN + 20)
        } else {
            (packet[20], L2_LEN + 40)
        };
        let inner = match protocol {
            4 | 41 => &packet[at..],
            47 => &packet[at + 4..],
            17 if packet[at + 2..at + 4] == 6080u16.to_be_bytes() => &packet[at + 12..],
            _ => return None,
        };
        let kind: [u8; 2] = if inner[0] >> 4 == 4 {
            [8, 0]
        } else {
            [0x86, 0xdd]
        };
        Some([&packet[..12], &kind, inner].concat())
    }

    /// What holds for every whole packet. `None` for one of UOA's own protocol.
    fn check(&mut self, packet: &[u8]) -> Option<Seen> {
        let protocol = if packet[12] == 8 {
            packet[23]
        } else {
            packet[20]
        };
        if protocol == 248 {
            return None;
        }
        let seen = Seen::parse(packet);
        assert!(seen.checksums_right, "{seen:?}");
        if seen.icmp.is_some() {
            return Some(seen);
        }
        self.latest = Some(packet.to_vec());
        let (src, dst) = addresses(packet).unwrap();
        let [client, vip, dest, laddr] = self.scene.ends;
        if self.side == WAN {
            assert_eq!((src, dst), (host(vip), host(client)));
            assert!(
                seen.payload.iter().all(|octet| *octet == DEST_OCTET),
                "{seen:?}"
            );
        } else if self.scene.fwdmode == FwdMode::FullNat {
            assert_eq!((src, dst), (laddr.parse().unwrap(), host(dest)));
        } else if self.scene.fwdmode == FwdMode::Nat {
            assert_eq!(dst, host(dest));
        }
        if self.side == LAN && self.scene.is_rewritten() {
            self.check_claims(&seen);
        }
        Some(seen)
    }

    /// Only the director says who the client is. Its own header stands before what the client
    /// sends.
    fn check_claims(&self, seen: &Seen) {
        let has_toa = seen.options.windows(8).any(|part| part == CLAIMED_TOA);
        assert!(!has_toa, "{seen:?}");
        if !self.scene.announces() {
            return;
        }
        let has_header = seen
            .payload
            .windows(CLAIMED_HEADER.len())
            .any(|part| part == CLAIMED_HEADER);
        let tail = seen.payload.last();
        assert!(!has_header, "{seen:?}");
        // Where a datagram has no room for the header, it goes ahead in one of its own.
        if self.scene.protocol == Protocol::Udp && is_header_alone(&seen.payload) {
            return;
        }
        assert!(tail.is_none_or(|octet| *octet == CLIENT_OCTET), "{seen:?}");
    }
}

/// Whether a payload is a PROXY header of version 2 and no more: section 2.2 of HAProxy's
/// specification.
fn is_header_alone(payload: &[u8]) -> bool {
    let fixed = payload.first_chunk::<16>();
    fixed.is_some_and(|fixed| {
        let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        fixed.starts_with(b"\r\n\r\n\0\r\nQUIT\n") && payload.len() == 16 + rest
    })
}

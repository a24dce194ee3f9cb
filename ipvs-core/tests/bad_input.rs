//! Frames that are cut, lie, or mean harm: each dropped with its reason, and traffic goes on.

mod common;

use common::*;
use ipvs_core::{DropReason, Origin, Protocol};
use testkit::VecBuf;
use testkit::frames;

/// A header field is changed and the IP checksum made right again.
fn with_ip(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[14 + at] = value;
    let header_len = usize::from(frame[14] & 0xf) * 4;
    frame[24..26].fill(0);
    let end = (14 + header_len).min(frame.len());
    let sum = packet::checksum::checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn a_frame_cut_anywhere_is_dropped() {
    let syn = frames::tcp(CLIENT, VIP)
        .flags("S")
        .options(&SYN_OPTIONS)
        .frame(FROM_CLIENT);
    let mut director = Setup::default().build();
    for len in 0..syn.len() {
        let reason = if len < 34 {
            DropReason::FrameTooShort
        } else {
            DropReason::Ipv4Malformed
        };
        director.refuses(WAN, &syn[..len], reason);
    }
    director.open();
}

#[test]
fn lengths_that_lie_are_dropped() {
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let mut director = Setup::default().build();
    for (frame, reason) in [
        (with_ip(&syn, 0, 0x44), DropReason::Ipv4Malformed),
        (with_ip(&syn, 0, 0x65), DropReason::Ipv4Malformed),
        (with_ip(&syn, 0, 0x4f), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 41), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 19), DropReason::Ipv4Malformed),
        (with_ip(&syn, 3, 39), DropReason::TcpMalformed),
    ] {
        director.refuses(WAN, &frame, reason);
    }
    for offset in [0x00, 0x40, 0x60, 0xf0] {
        let mut lying = syn.clone();
        lying[46] = offset;
        director.refuses(WAN, &lying, DropReason::TcpMalformed);
    }
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    for len in [0, 7, 10] {
        let mut datagram = frames::udp(CLIENT, VIP, b"x", FROM_CLIENT);
        datagram[39] = len;
        director.refuses(WAN, &datagram, DropReason::UdpMalformed);
    }
}

#[test]
fn a_wrong_header_checksum_a_land_attack_and_martians_are_dropped() {
    let mut director = Setup::default().build();
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let mut wrong = syn;
    wrong[22] ^= 1;
    director.refuses(WAN, &wrong, DropReason::Ipv4BadChecksum);
    director.refuses(
        WAN,
        &frames::tcp(VIP, VIP).flags("S").frame(FROM_CLIENT),
        DropReason::LandAttack,
    );
    for src in [
        "127.0.0.1:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "0.0.0.0:1",
    ] {
        director.refuses(
            WAN,
            &frames::tcp(src, VIP).flags("S").frame(FROM_CLIENT),
            DropReason::Ipv4Martian,
        );
    }
    let stranger = (CLIENT_MAC, packet::MacAddr([2, 9, 9, 9, 9, 9]));
    director.refuses(
        WAN,
        &frames::tcp(CLIENT, VIP).flags("S").frame(stranger),
        DropReason::NotForUs,
    );
    director.open();
}

#[test]
fn options_that_overrun_are_dropped_on_a_syn() {
    let mut director = Setup::default().build();
    for options in [&[8, 10, 0, 0][..], &[2, 1, 0, 0], &[1, 1, 1, 2]] {
        let syn = frames::tcp(CLIENT, VIP)
            .flags("S")
            .options(options)
            .frame(FROM_CLIENT);
        director.refuses(WAN, &syn, DropReason::TcpBadOptions);
    }
}

#[test]
fn the_time_to_live_ends_here() {
    let mut director = Setup::default().build();
    for ttl in [0, 1] {
        let syn = frames::tcp(CLIENT, VIP)
            .flags("S")
            .ttl(ttl)
            .frame(FROM_CLIENT);
        director.receive(WAN, &syn);
    }
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::TtlExpired)
            .get(),
        2
    );
}

#[test]
fn runts_with_vlan_tags_and_unknown_protocols_are_the_kernel_s() {
    let mut director = Setup::default().build();
    let mut tagged = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    tagged[12..14].copy_from_slice(&[0x81, 0x00]);
    for len in [14, 15, 17, 18, 54] {
        director.receive(WAN, &tagged[..len]);
    }
    let ospf = with_ip(
        &frames::tcp(CLIENT, "224.0.0.5:1").frame(FROM_CLIENT),
        9,
        89,
    );
    director.receive(WAN, &ospf);
    assert_eq!(director.wire.to_kernel.len(), 6);
}

/// A million of them: no panic, every one with its end, and afterwards a conn opens as ever. Half are
/// noise, half are valid frames with a few bytes changed, which get further.
#[test]
fn random_frames_do_no_harm() {
    let mut director = Setup {
        max_conns: 4096,
        ..Setup::default()
    }
    .build();
    let samples = [
        frames::tcp(CLIENT, VIP)
            .flags("S")
            .options(&SYN_OPTIONS)
            .frame(FROM_CLIENT),
        frames::tcp(SERVER, "192.168.100.200:1025")
            .flags("A")
            .options(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2])
            .frame(FROM_SERVER),
        frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT),
        frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT),
        frames::unreachable(
            "10.0.0.48",
            "10.0.0.100",
            &frames::tcp(VIP, CLIENT).frame(FROM_CLIENT)[14..],
            FROM_CLIENT,
        ),
        frames::arp_request(("10.0.0.48", CLIENT_MAC), "10.0.0.100"),
    ];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..1_000_000 / 50 {
        let batch: Vec<VecBuf> = (0..50).map(|_| random.frame(&samples)).collect();
        director.engine.process(
            director.now,
            Origin::Nic,
            batch.into_iter(),
            &mut director.wire,
        );
        director.engine.housekeep(director.now, &mut director.wire);
        director.now.ns += 100_000;
        director.wire = Wire::default();
    }
    director.check_that_every_packet_has_its_end();
    director.wait_s(120);
    director.open();
}

/// xorshift: the same frames in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    fn frame(&mut self, samples: &[Vec<u8>]) -> VecBuf {
        let mut bytes = samples[self.next(samples.len())].clone();
        if self.next(2) == 0 {
            let noise_from = [0, 12, 14, 34][self.next(4)];
            for byte in &mut bytes[noise_from..] {
                *byte = self.next(256) as u8;
            }
        } else {
            for _ in 0..self.next(4) {
                let at = self.next(bytes.len());
                bytes[at] = self.next(256) as u8;
            }
        }
        let len = if self.next(4) == 0 {
            self.next(bytes.len() + 1)
        } else {
            bytes.len()
        };
        let mut packet = VecBuf::new(packet::PortId(self.next(2) as u16), &bytes[..len]);
        // as from a NIC that has verified checksums: the rest of the code is reached more often
        if self.next(2) == 0 {
            packet.ip_checksum = packet::ChecksumState::Good;
            packet.l4_checksum = packet::ChecksumState::Good;
        }
        packet
    }
}

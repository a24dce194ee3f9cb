//! UOA tells dests the client of UDP, as TOA does for TCP (DPVS, include/uoa.h).

use etherparse::{Ipv4Header, Ipv6Header};
use ipvs_core::{DropReason, FwdMode, Protocol, UoaOptions};
use packet::uoa::Mode;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;
const OPTION: [u8; 8] = [0x1f, 8, 0x9c, 0x40, 10, 0, 0, 48];

fn director(setup: Setup, mode: Mode) -> Director {
    let mut director = setup.build();
    let max_trail = 3;
    director.edit(|service| service.options.uoa = Some(UoaOptions { mode, max_trail }));
    director
}

fn udp() -> Setup {
    Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
}

fn ask(payload: &[u8]) -> Vec<u8> {
    frames::udp(CLIENT, VIP, payload, FROM_CLIENT)
}

/// The packet without the `len` bytes of UOA at `at`. `restore` undoes what UOA changed before
/// them.
fn without(frame: &[u8], at: usize, len: usize, restore: impl Fn(&mut [u8])) -> Seen {
    let mut plain = [&frame[..at], &frame[at + len..]].concat();
    restore(&mut plain);
    Seen::parse(&plain)
}

#[test]
fn the_first_datagrams_have_an_ip_option() {
    let mut director = director(udp(), Mode::IpOption);
    for number in 0..5 {
        let (port, sent) = only(director.receive(WAN, &ask(b"ask")));
        let (header, l4) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
        assert_eq!(port, LAN);
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), sent.len() - L2_LEN);
        let expected: &[u8] = if number < 3 { &OPTION } else { &[] };
        assert_eq!(header.options.as_slice(), expected, "{number}");
        assert_eq!(l4[8..], *b"ask");
        let seen = without(&sent, L2_LEN + 20, expected.len(), |frame| {
            frame[L2_LEN] = 0x45;
            frame[L2_LEN + 3] = 31;
            frames::repair_ip(frame);
        });
        assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST, true));
    }
    assert_eq!(director.engine.stats().uoa_sent.get(), 3);
}

#[test]
fn the_first_datagrams_have_the_header_of_uoas_own_protocol() {
    let mut director = director(udp(), Mode::OwnProtocol);
    let (_, sent) = only(director.receive(WAN, &ask(b"ask")));
    let (header, rest) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
    assert_eq!(
        (header.protocol.0, usize::from(header.total_len)),
        (248, sent.len() - L2_LEN)
    );
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!(rest[..12], [&[0x10, 17, 0, 12][..], &OPTION].concat());
    let seen = without(&sent, L2_LEN + 20, 12, |frame| {
        frame[L2_LEN + 3] = 31;
        frame[L2_LEN + 9] = 17;
        frames::repair_ip(frame);
    });
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST, true));
    // Replies have no UOA, nor have later datagrams.
    let back = director.to_client(&frames::udp(DEST, &seen.src, b"answer", FROM_DEST));
    assert_eq!(
        (back.dst.as_str(), back.payload.as_slice()),
        (CLIENT, &b"answer"[..])
    );
    for _ in 0..2 {
        director.receive(WAN, &ask(b"ask"));
    }
    let plain = director.to_dest(&ask(b"ask"));
    assert_eq!(plain.payload, b"ask");
}

#[test]
fn ipv6_and_nat64_tell_an_ipv6_address() {
    for dest in [DEST6, DEST] {
        let setup = Setup {
            dests: vec![dest],
            laddrs: vec![LADDR, LADDR6],
            ..setup6(Protocol::Udp, FwdMode::FullNat)
        };
        let mut director = director(setup, Mode::OwnProtocol);
        let ask = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
        let (_, sent) = only(director.receive(WAN, &ask));
        let (protocol, rest) = if dest == DEST {
            let (header, rest) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            (header.protocol, rest)
        } else {
            let (header, rest) = Ipv6Header::from_slice(&sent[L2_LEN..]).unwrap();
            (header.next_header, rest)
        };
        let client = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48];
        assert_eq!(protocol.0, 248);
        assert_eq!(
            rest[..24],
            [&[0x20, 17, 0, 24, 0x1f, 20, 0x9c, 0x40][..], &client].concat()
        );
        assert_eq!(rest[32..], *b"ask");
    }
}

/// As in DPVS, an empty datagram with UOA is sent ahead of the one that has no room for it.
#[rstest]
#[case(Mode::IpOption, DEST)]
#[case(Mode::OwnProtocol, DEST)]
#[case(Mode::OwnProtocol, DEST6)]
fn ahead_of_a_first_datagram_without_room_goes_an_empty_one(
    #[case] mode: Mode,
    #[case] dest: &'static str,
) {
    let is_v4 = dest == DEST;
    let (client, vip) = if is_v4 {
        (CLIENT, VIP)
    } else {
        (CLIENT6, VIP6)
    };
    let setup = Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![LADDR, LADDR6],
        ..udp()
    };
    let mut director = director(setup, mode);
    let header_len = if is_v4 { 20 } else { 40 };
    let large = frames::udp(client, vip, &vec![7; 1500 - header_len - 8], FROM_CLIENT);
    let sent = director.receive(WAN, &large);
    let [(_, ahead), (_, whole)] = &sent[..] else {
        panic!("{} frames", sent.len());
    };
    let whole = Seen::parse(whole);
    assert_eq!((whole.dst.as_str(), whole.total_len), (dest, 1500));
    let uoa_len = ahead.len() - L2_LEN - header_len - 8;
    let expected = match mode {
        Mode::IpOption => OPTION.to_vec(),
        Mode::OwnProtocol if is_v4 => [&[0x10, 17, 0, 12][..], &OPTION].concat(),
        Mode::OwnProtocol => {
            let addr = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48];
            [&[0x20, 17, 0, 24, 0x1f, 20, 0x9c, 0x40][..], &addr].concat()
        }
    };
    let uoa_at = L2_LEN + header_len;
    assert_eq!(ahead[uoa_at..uoa_at + uoa_len], expected[..]);
    let empty = without(ahead, uoa_at, uoa_len, |frame| {
        if is_v4 {
            (frame[L2_LEN], frame[L2_LEN + 3], frame[L2_LEN + 9]) = (0x45, 28, 17);
            frames::repair_ip(frame);
        } else {
            (frame[L2_LEN + 5], frame[L2_LEN + 6]) = (8, 17);
        }
    });
    assert_eq!((&empty.src, &empty.dst), (&whole.src, &whole.dst));
    assert!(empty.payload.is_empty() && empty.checksums_right);
    assert_eq!((empty.from, empty.to), (LAN_MAC, DEST_MAC));
    let stats = director.engine.stats();
    assert_eq!((stats.uoa_no_space.get(), stats.uoa_sent.get()), (1, 1));
    // One datagram has carried UOA, so two more may.
    let told = |director: &mut Director| {
        director.receive(WAN, &frames::udp(client, vip, b"ask", FROM_CLIENT));
        director.engine.stats().uoa_sent.get()
    };
    assert_eq!(
        [
            told(&mut director),
            told(&mut director),
            told(&mut director)
        ],
        [2, 3, 3]
    );
}

/// No mbuf can be allocated. The datagram is sent without UOA, and the next one carries it.
#[test]
fn without_mbufs_the_next_datagram_carries_uoa() {
    let mut director = director(udp(), Mode::OwnProtocol);
    director.wire.out_of_mbufs = true;
    let large = director.to_dest(&ask(&[7; 1472]));
    assert_eq!(large.total_len, 1500);
    assert_eq!(director.drops()[DropReason::NoMbuf as usize], 1);
    director.wire.out_of_mbufs = false;
    director.to_client(&frames::udp(DEST, &large.src, b"answer", FROM_DEST));
    let (_, sent) = only(director.receive(WAN, &ask(b"ask")));
    assert_eq!(sent[L2_LEN + 9], 248);
    let stats = director.engine.stats();
    assert_eq!((stats.uoa_no_space.get(), stats.uoa_sent.get()), (1, 1));
}

//! Who reassembles a packet tells its fragments by source, destination, protocol and
//! identification. Behind the director many senders have one address, so the director gives out
//! the identification (RFC 6864, 4.3; RFC 8200, 4.5; RFC 2003, 3.1).

use std::collections::BTreeSet;

use ipvs_core::{Encapsulation, FwdMode, Protocol};
use packet::PortId;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Macs, Seen};

use super::{L2_LEN, may_be_fragmented, payload, reassemble};

/// All senders use this number.
const NUMBER: u16 = 4711;
const DESTS: [&str; 2] = ["192.168.100.2:80", "192.168.100.3:80"];
const DESTS6: [&str; 2] = ["[2001:db8:100::2]:80", "[2001:db8:100::3]:80"];

fn director(fwdmode: FwdMode, vip: &'static str, dests: &[&'static str]) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: dests.to_vec(),
        laddrs: vec![if dests[0] == DESTS[0] { LADDR } else { LADDR6 }],
        ..Setup::default()
    }
    .build()
}

/// Two clients of a VIP.
fn clients(vip: &str) -> [String; 2] {
    [48, 49].map(|host| match vip {
        VIP => format!("10.0.0.{host}:4000"),
        _ => format!("[2001:db8:1::{host}]:4000"),
    })
}

/// A datagram in two fragments, which have the number that all senders use.
pub(crate) fn in_two(src: &str, dst: &str, payload: &[u8], macs: Macs) -> [Vec<u8>; 2] {
    let frame = frames::udp(src, dst, payload, macs);
    let is_v4 = frame[12..14] == [8, 0];
    let header_len = if is_v4 { 20 } else { 40 };
    let (head, l4) = frame.split_at(L2_LEN + header_len);
    let (first, second) = l4.split_at(400);
    [(first, 0, true), (second, 400, false)].map(|(part, offset, more)| {
        let mut head = head.to_vec();
        let more = u16::from(more);
        if is_v4 {
            let total_len = (20 + part.len()) as u16;
            let field = offset / 8 + 0x2000 * more;
            head[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&total_len.to_be_bytes());
            head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&NUMBER.to_be_bytes());
            head[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
            frames::repair_ip(&mut head);
        } else {
            let [high, low] = (offset | more).to_be_bytes();
            let [c, d] = NUMBER.to_be_bytes();
            let payload_len = (8 + part.len()) as u16;
            head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&payload_len.to_be_bytes());
            head.extend([head[L2_LEN + 6], 0, high, low, 0, 0, c, d]);
            head[L2_LEN + 6] = 44;
        }
        [&head, part].concat()
    })
}

/// The packets that the receiver of these frames gets, by their data.
fn data(sent: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    reassemble(sent)
        .into_iter()
        .map(|(_, udp)| udp[8..].to_vec())
        .collect()
}

/// Gives the fragments of two packets to the director in turns; what it sends.
fn mixed(director: &mut Director, port: PortId, packets: [[Vec<u8>; 2]; 2]) -> Vec<Vec<u8>> {
    let [[a, b], [c, d]] = packets;
    let sent = [a, c, d, b].map(|frame| director.receive(port, &frame));
    sent.into_iter().flatten().map(|(_, frame)| frame).collect()
}

#[rstest]
#[case::fullnat(VIP, DESTS)]
#[case::fullnat_ipv6(VIP6, DESTS6)]
#[case::nat64(VIP6, DESTS)]
#[case::nat46(VIP, DESTS6)]
fn fragments_of_two_clients_do_not_mix_at_the_dest(
    #[case] vip: &'static str,
    #[case] dests: [&'static str; 2],
) {
    let mut director = director(FwdMode::FullNat, vip, &dests[..1]);
    let data_of = [payload(600), payload(700)];
    let [first, second] = clients(vip);
    let packets = [
        in_two(&first, vip, &data_of[0], FROM_CLIENT),
        in_two(&second, vip, &data_of[1], FROM_CLIENT),
    ];
    let sent = mixed(&mut director, WAN, packets);
    assert_eq!(data(&sent), BTreeSet::from(data_of));
}

/// Both dests answer from the VIP, in NAT mode too.
#[rstest]
#[case::fullnat(FwdMode::FullNat, VIP, DESTS)]
#[case::nat(FwdMode::Nat, VIP, DESTS)]
#[case::fullnat_ipv6(FwdMode::FullNat, VIP6, DESTS6)]
#[case::nat_ipv6(FwdMode::Nat, VIP6, DESTS6)]
#[case::nat64(FwdMode::FullNat, VIP6, DESTS)]
#[case::nat46(FwdMode::FullNat, VIP, DESTS6)]
fn fragments_of_two_dests_do_not_mix_at_the_client(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dests: [&'static str; 2],
) {
    let mut director = director(fwdmode, vip, &dests);
    let data_of = [payload(600), payload(700)];
    let client = if vip == VIP {
        "10.0.0.48"
    } else {
        "[2001:db8:1::48]"
    };
    let answers = [(4000, &data_of[0]), (4001, &data_of[1])].map(|(port, data)| {
        let asked = frames::udp(&format!("{client}:{port}"), vip, b"ask", FROM_CLIENT);
        let seen = Seen::parse(&only(director.receive(WAN, &asked)).1);
        in_two(&seen.dst, &seen.src, data, FROM_DEST)
    });
    let sent = mixed(&mut director, LAN, answers);
    assert_eq!(data(&sent), BTreeSet::from(data_of));
}

/// A first fragment that comes twice must not part from the later ones.
#[test]
fn fragments_that_come_twice_keep_their_number() {
    let mut director = director(FwdMode::FullNat, VIP, &DESTS);
    let [first, second] = in_two(CLIENT, VIP, &payload(600), FROM_CLIENT);
    let sent = [&first, &second, &first, &second].map(|frame| {
        let (_, sent) = only(director.receive(WAN, frame));
        sent[L2_LEN + 4..L2_LEN + 6].to_vec()
    });
    assert_eq!(BTreeSet::from(sent).len(), 1);
}

/// A router behind the director may fragment them. The later packets of a conn take the fast path.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
#[case::ip_in_ip(FwdMode::Tunnel(Encapsulation::IpIp))]
#[case::gre(FwdMode::Tunnel(Encapsulation::Gre))]
#[case::gue(FwdMode::Tunnel(Encapsulation::Gue(6080)))]
fn packets_that_may_be_fragmented_have_numbers_of_their_own(#[case] fwdmode: FwdMode) {
    let mut director = director(fwdmode, VIP, &DESTS[..1]);
    let mut numbers = BTreeSet::new();
    for round in 0..4 {
        for client in clients(VIP) {
            let asked = frames::udp(&client, VIP, b"ask", FROM_CLIENT);
            let asked = may_be_fragmented(asked, NUMBER);
            let (_, sent) = only(director.receive(WAN, &asked));
            let header = etherparse::Ipv4Header::from_slice(&sent[L2_LEN..])
                .unwrap()
                .0;
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert!(!header.dont_fragment, "round {round}");
            assert!(numbers.insert(header.identification), "round {round}");
        }
    }
}

/// RFC 7739, 4 and 5.3: a dest that watches its own numbers learns nothing about those of others.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
#[case::ip_in_ip(FwdMode::Tunnel(Encapsulation::IpIp))]
#[case::gre(FwdMode::Tunnel(Encapsulation::Gre))]
fn a_dest_s_numbers_do_not_count_packets_to_others(#[case] fwdmode: FwdMode) {
    let mut director = director(fwdmode, VIP, &DESTS);
    let [ours, other] = clients(VIP);
    let mut number_of = |client: &str| {
        let asked = frames::udp(client, VIP, b"ask", FROM_CLIENT);
        let asked = may_be_fragmented(asked, NUMBER);
        let (_, sent) = only(director.receive(WAN, &asked));
        u16::from_be_bytes([sent[L2_LEN + 4], sent[L2_LEN + 5]])
    };
    let mut steps = BTreeSet::new();
    let mut latest = number_of(&ours);
    for between in [0, 1, 2, 5, 3] {
        for _ in 0..between {
            number_of(&other);
        }
        let number = number_of(&ours);
        steps.insert(number.wrapping_sub(latest));
        latest = number;
    }
    assert_eq!(steps.len(), 1, "{steps:?}");
}

/// RFC 7739, 4: from the number of one packet in fragments, nobody can tell the next one's.
#[rstest]
#[case::ipv4(VIP, DESTS)]
#[case::ipv6(VIP6, DESTS6)]
fn numbers_of_fragments_are_in_no_order(
    #[case] vip: &'static str,
    #[case] dests: [&'static str; 2],
) {
    let mut director = director(FwdMode::FullNat, vip, &dests[..1]);
    let at = L2_LEN + if vip == VIP { 4 } else { 44 };
    let len = if vip == VIP { 2 } else { 4 };
    let mut steps = BTreeSet::new();
    let mut latest = 0;
    for n in 0..20 {
        let client = match vip {
            VIP => format!("10.0.0.{}:4000", 1 + n),
            _ => format!("[2001:db8:1::{}]:4000", 1 + n),
        };
        let [first, _] = in_two(&client, vip, &payload(600), FROM_CLIENT);
        let (_, sent) = only(director.receive(WAN, &first));
        let octets = &sent[at..at + len];
        let number = octets
            .iter()
            .fold(0_u32, |all, octet| all << 8 | u32::from(*octet));
        steps.insert(number.wrapping_sub(latest));
        latest = number;
    }
    assert!(steps.len() > 15, "{steps:?}");
}

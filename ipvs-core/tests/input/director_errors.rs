//! ICMP errors of the director itself come from an address of its own on the link where they
//! leave: RFC 1812, 4.3.2.4 and RFC 4443, 2.2.

use inet::{LocalAddr, Route};
use ipvs_core::{DropReason, FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use crate::modes::snat_director;

const L2_LEN: usize = 14;
/// The director's own address on the link of the dests.
const OURS: &str = "192.168.100.1";
const OURS6: &str = "2001:db8:100::1";

/// Sets the time to live, or the hop limit, to 1.
fn expiring(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[L2_LEN] >> 4 == 4 {
        frame[L2_LEN + 8] = 1;
        frames::repair_ip(&mut frame);
    } else {
        frame[L2_LEN + 7] = 1;
    }
    frame
}

/// Gives the director another address.
fn add_addr(director: &mut Director, addr: &str, ifindex: u16) {
    let new = LocalAddr {
        addr: addr.parse().unwrap(),
        ifindex: inet::IfIndex(ifindex),
        sapool: false,
    };
    let net = &mut director.snapshot.net;
    let all: Vec<_> = net.local_addrs().copied().chain([new]).collect();
    net.set_local_addrs(all);
    director.publish();
}

/// Source and destination of the only frame, which leaves by the port towards the dests.
fn ends(sent: Vec<(packet::PortId, Vec<u8>)>) -> (String, String) {
    let seen: Seen = one(sent, LAN);
    assert!(seen.checksums_right);
    (seen.src, seen.dst)
}

/// traceroute from a dest to the client of its conn.
#[rstest]
#[case::v4(VIP, DEST, CLIENT, OURS)]
#[case::v6(VIP6, DEST6, CLIENT6, OURS6)]
fn a_dest_behind_nat_hears_the_director_and_not_its_target(
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] client: &str,
    #[case] ours: &str,
) {
    let mut director = Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::Nat,
        vip,
        dests: vec![dest],
        laddrs: Vec::new(),
        ..Setup::default()
    }
    .build();
    add_addr(&mut director, ours, 1);
    director.to_dest(&frames::udp(client, vip, b"ask", FROM_CLIENT));
    let answer = frames::udp(dest, client, b"answer", FROM_DEST);
    director.to_client(&answer);
    let (from, to) = ends(director.receive(LAN, &expiring(answer)));
    assert_eq!(from, ours);
    assert!(dest.contains(&to), "{to}");
    assert_eq!(director.drops()[DropReason::TtlExpired as usize], 1);
}

/// traceroute from a host behind SNAT. Its first packet makes the conn and expires.
#[test]
fn a_host_behind_snat_hears_the_director_and_not_its_target() {
    let mut director = snat_director(Protocol::Udp);
    add_addr(&mut director, OURS, 1);
    let (host, world) = ("192.168.100.2:40000", "10.0.0.48:33434");
    let probe = expiring(frames::udp(host, world, b"probe", FROM_DEST));
    let (from, to) = ends(director.receive(LAN, &probe));
    assert_eq!((from.as_str(), to.as_str()), (OURS, "192.168.100.2"));

    // RFC 1191: so does a packet that is too long.
    let net = &mut director.snapshot.net;
    let towards = *net.routes.lookup("10.0.0.48".parse().unwrap()).unwrap();
    net.routes.replace(Route {
        mtu: 1000,
        ..towards
    });
    net.invalidate_nexthops();
    director.publish();
    let large = frames::udp(host, world, &[0; 1200], FROM_DEST);
    let (from, _) = ends(director.receive(LAN, &large));
    assert_eq!(from, OURS);
}

/// RFC 1812, 4.3.2.4: an interface without an address speaks from another one of the router.
#[test]
fn a_link_without_an_address_hears_another_address_of_the_director() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::Nat,
        laddrs: Vec::new(),
        ..Setup::default()
    }
    .build();
    director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let answer = expiring(frames::udp(DEST, CLIENT, b"answer", FROM_DEST));
    let (from, _) = ends(director.receive(LAN, &answer));
    assert_eq!(from, "10.0.0.100");
}

/// RFC 4443, 2.2 (a): the client asked the VIP, and the VIP answers.
#[rstest]
#[case::v4(VIP, DEST, LADDR, CLIENT, "10.0.0.100")]
#[case::v6(VIP6, DEST6, LADDR6, CLIENT6, "2001:db8:1::100")]
fn a_client_hears_the_vip(
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] laddr: &'static str,
    #[case] client: &str,
    #[case] expected: &str,
) {
    let mut director = Setup {
        protocol: Protocol::Udp,
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        ..Setup::default()
    }
    .build();
    let ask = expiring(frames::udp(client, vip, b"ask", FROM_CLIENT));
    let error = one(director.receive(WAN, &ask), WAN);
    assert_eq!(error.src, expected);
}

//! ICMP errors of routers keep the router's address where the director shows the other end's:
//! RFC 5508, REQ-4. Where it hides the other end, it hides the routers on the way too: REQ-5.

use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use crate::modes::snat_director;

const L2_LEN: usize = 14;
/// A router on the way to the clients, or to the world.
const ROUTER: &str = "172.16.0.1";
const ROUTER6: &str = "2001:db8:9::1";
/// A router on the way to the dests.
const INNER: &str = "192.168.100.9";
const INNER6: &str = "2001:db8:100::9";

fn addr_of(end: &str) -> String {
    end.parse::<std::net::SocketAddr>()
        .unwrap()
        .ip()
        .to_string()
}

/// The only frame that left, with right checksums.
fn seen(sent: Vec<(packet::PortId, Vec<u8>)>, port: packet::PortId) -> Seen {
    let seen = one(sent, port);
    assert!(seen.checksums_right);
    seen
}

fn nat(vip: &'static str, dest: &'static str) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::Nat,
        vip,
        dests: vec![dest],
        laddrs: Vec::new(),
        ..Setup::default()
    }
    .build()
}

/// Each router that a host's traceroute meets has its own address.
#[test]
fn a_host_behind_snat_sees_each_router_of_the_world() {
    let mut director = snat_director(Protocol::Udp);
    let probe = frames::udp("192.168.100.2:40000", "10.0.0.48:33434", b"", FROM_DEST);
    let (_, sent) = only(director.receive(LAN, &probe));
    for router in [ROUTER, "172.16.0.2", "10.0.0.48"] {
        let error = frames::unreachable(router, LADDR, &sent[L2_LEN..], FROM_CLIENT);
        let told = seen(director.receive(WAN, &error), LAN);
        assert_eq!(
            (told.src.as_str(), told.dst.as_str()),
            (router, "192.168.100.2")
        );
    }
}

/// The world does not learn of routers behind SNAT.
#[test]
fn the_world_sees_only_the_wan_address() {
    let mut director = snat_director(Protocol::Udp);
    let ask = frames::udp("192.168.100.2:40000", "10.0.0.48:53", b"ask", FROM_DEST);
    let there = one(director.receive(LAN, &ask), WAN);
    let answer = frames::udp("10.0.0.48:53", &there.src, b"answer", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &answer));
    for sender in [INNER, "192.168.100.2"] {
        let error = frames::unreachable(sender, "10.0.0.48", &sent[L2_LEN..], FROM_DEST);
        let told = seen(director.receive(LAN, &error), WAN);
        assert_eq!((told.src.as_str(), told.dst.as_str()), (LADDR, "10.0.0.48"));
    }
}

#[rstest]
#[case::v4(VIP, DEST, CLIENT, ROUTER, INNER)]
#[case::v6(VIP6, DEST6, CLIENT6, ROUTER6, INNER6)]
fn a_dest_behind_nat_sees_the_clients_routers_and_clients_see_the_vip(
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] client: &str,
    #[case] router: &str,
    #[case] inner: &str,
) {
    let mut director = nat(vip, dest);
    let ask = frames::udp(client, vip, b"ask", FROM_CLIENT);
    let (_, asked) = only(director.receive(WAN, &ask));
    let answer = frames::udp(dest, client, b"answer", FROM_DEST);
    let (_, answered) = only(director.receive(LAN, &answer));

    let error = frames::unreachable(router, &addr_of(vip), &answered[L2_LEN..], FROM_CLIENT);
    let told = seen(director.receive(WAN, &error), LAN);
    assert_eq!((told.src.as_str(), told.dst), (router, addr_of(dest)));

    let error = frames::unreachable(inner, &addr_of(client), &asked[L2_LEN..], FROM_DEST);
    let told = seen(director.receive(LAN, &error), WAN);
    assert_eq!((told.src, told.dst), (addr_of(vip), addr_of(client)));
}

/// RFC 7915, 4.1: the address of an IPv4 router is translated as that of an IPv4 client is.
#[test]
fn an_ipv6_dest_behind_nat_sees_the_ipv4_router() {
    let mut director = nat(VIP, DEST6);
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let there = director.to_dest(&ask);
    let answer = frames::udp(DEST6, &there.src, b"answer", FROM_DEST);
    let (_, answered) = only(director.receive(LAN, &answer));
    let error = frames::unreachable(ROUTER, &addr_of(VIP), &answered[L2_LEN..], FROM_CLIENT);
    let told = seen(director.receive(WAN, &error), LAN);
    assert_eq!(
        (told.src.as_str(), told.dst),
        ("64:ff9b::ac10:1", addr_of(DEST6))
    );
}

/// FullNAT shows dests nothing of the clients' network, so it shows no router of it either.
#[test]
fn a_dest_behind_fullnat_sees_only_the_local_address() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    let (_, answered) = only(director.receive(LAN, &answer));
    let error = frames::unreachable(ROUTER, &addr_of(VIP), &answered[L2_LEN..], FROM_CLIENT);
    let told = seen(director.receive(WAN, &error), LAN);
    assert_eq!((told.src.as_str(), told.dst), (LADDR, addr_of(DEST)));
}

//! Match services (`-H`): they have dests of either family, and match packets of their own only.

use ipvs_core::{EndRange, Match, Protocol, ServiceKey};
use testkit::director::*;

use super::{nat46, nat64};

/// The key of `-H proto=tcp,dst-range=VIP,oif=` in the family of the VIP.
fn by_destination(director: &Director, vip: &str) -> ServiceKey {
    let vip: std::net::SocketAddr = vip.parse().unwrap();
    let key = director.snapshot.services.iter().next().unwrap().key;
    let range = EndRange {
        addrs: (vip.ip(), vip.ip()),
        ports: (1, 1024),
    };
    let any = if vip.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    ServiceKey {
        addr: any,
        port: 0,
        matcher: Some(Match {
            src: None,
            dst: Some(range),
            iif: None,
            oif: None,
        }),
        ..key
    }
}

#[test]
fn clients_of_ipv4_reach_dests_of_ipv6_through_a_match_service() {
    let mut director = nat46(Protocol::Tcp);
    let key = by_destination(&director, VIP);
    director.edit(|service| service.key = key);
    let opened = director.open_between(CLIENT, VIP, DEST6);
    assert!(opened.laddr.starts_with("[2001:db8:100::200]:"));
    assert!(opened.syn.checksums_right && opened.ack.checksums_right);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn clients_of_ipv6_reach_dests_of_ipv4_through_a_match_service() {
    let mut director = nat64(Protocol::Tcp);
    let key = by_destination(&director, VIP6);
    director.edit(|service| service.key = key);
    let opened = director.open_between(CLIENT6, VIP6, DEST);
    assert!(opened.laddr.starts_with("192.168.100.200:"));
    assert!(opened.syn.checksums_right && opened.ack.checksums_right);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

/// `-H proto=tcp,af=ipv6,iif=dpdk1`: without a range, `af` alone keeps IPv4 away.
#[test]
fn a_match_service_without_ranges_takes_packets_of_its_family_only() {
    let mut director = nat46(Protocol::Tcp);
    let mut key = by_destination(&director, VIP6);
    key.matcher = key.matcher.map(|matcher| Match {
        dst: None,
        iif: ipvs_core::DeviceName::new("dpdk1"),
        ..matcher
    });
    director.edit(|service| service.key = key);
    let syn = testkit::frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    assert_eq!(director.receive(WAN, &syn.frame(FROM_CLIENT)), []);
    assert!(director.states().is_empty());
    let key = ServiceKey {
        addr: std::net::Ipv4Addr::UNSPECIFIED.into(),
        ..key
    };
    director.edit(|service| service.key = key);
    director.open_between(CLIENT, VIP, DEST6);
}

//! Answers to clients that no route leads to go out where the client's packets come in, to the MAC
//! address that these come from: `fast_xmit` of DPVS. The tutorial's "Full-NAT with OSPF/ECMP" has
//! no route to its clients.

use inet::{IfIndex, Prefix};
use ipvs_core::{DropReason, FwdMode, Now, Protocol, ReturnPath, SynProxy};
use packet::{MacAddr, PortId};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::snat_director;

/// A client far away, and two routers that its packets may come from.
const FAR: &str = "198.51.100.7:40000";
const FAR6: &str = "[2001:db8:ffff::7]:40000";
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 9, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 9, 2]);
const FROM_ROUTER: (MacAddr, MacAddr) = (ROUTER, WAN_MAC);
const FROM_OTHER: (MacAddr, MacAddr) = (OTHER, WAN_MAC);

fn setup(protocol: Protocol, fwdmode: FwdMode) -> Setup {
    Setup {
        protocol,
        fwdmode,
        ..Setup::default()
    }
}

/// The only frame, which must have left towards the clients; whom it is addressed to.
fn to_whom(sent: Vec<(PortId, Vec<u8>)>) -> MacAddr {
    let seen = one(sent, WAN);
    assert_eq!(seen.from, WAN_MAC);
    assert!(seen.checksums_right);
    seen.to
}

/// A route to the far clients by the client that [`Setup`] knows.
fn add_route(director: &mut Director) {
    let prefix = Prefix::new("198.51.100.0".parse().unwrap(), 24).unwrap();
    let gateway = Some("10.0.0.48".parse().unwrap());
    let route = config::route(prefix, IfIndex(2), gateway);
    director.snapshot.net.routes.insert(route).unwrap();
    director.snapshot.net.invalidate_nexthops();
    director.publish();
}

#[rstest]
#[case::fullnat(setup(Protocol::Udp, FwdMode::FullNat), FAR)]
#[case::nat(setup(Protocol::Udp, FwdMode::Nat), FAR)]
#[case::fullnat6(setup6(Protocol::Udp, FwdMode::FullNat), FAR6)]
#[case::nat6(setup6(Protocol::Udp, FwdMode::Nat), FAR6)]
#[case::nat64(Setup { vip: VIP6, ..setup(Protocol::Udp, FwdMode::FullNat) }, FAR6)]
fn answers_go_back_to_where_the_client_s_packets_come_from(
    #[case] setup: Setup,
    #[case] client: &str,
) {
    let mut director = setup.build();
    let ask = frames::udp(client, setup.vip, b"ask", FROM_ROUTER);
    for _ in 0..3 {
        let there = director.to_dest(&ask);
        let answer = frames::udp(setup.dests[0], &there.src, b"answer", FROM_DEST);
        assert_eq!(to_whom(director.receive(LAN, &answer)), ROUTER);
    }
}

#[test]
fn a_whole_tcp_conn_goes_back_without_a_route() {
    let mut director = Setup::default().build();
    let say = |flags: &str, seq, ack| {
        let segment = frames::tcp(FAR, VIP).flags(flags).seq(seq).ack(ack);
        segment.frame(FROM_ROUTER)
    };
    let syn = director.to_dest(&say("S", 1000, 0));
    let isn = syn.seq;
    let answer = |flags: &str, seq, ack: u32| {
        let segment = frames::tcp(DEST, &syn.src).flags(flags).seq(seq);
        segment.ack(isn + ack).frame(FROM_DEST)
    };
    assert_eq!(
        to_whom(director.receive(LAN, &answer("SA", 5000, 1))),
        ROUTER
    );
    for _ in 0..3 {
        director.to_dest(&say("A", 1001, 5001));
        assert_eq!(
            to_whom(director.receive(LAN, &answer("A", 5001, 1))),
            ROUTER
        );
    }
    assert_eq!(director.states(), ["ESTABLISHED"]);
    // The end of the conn is told to both ends, too.
    let resets = director.wait_s(100);
    let to: Vec<_> = resets
        .iter()
        .map(|(_, frame)| Seen::parse(frame).to)
        .collect();
    assert_eq!(to, [ROUTER, DEST_MAC]);
}

/// Another router takes over, in the middle of an established conn.
#[rstest]
#[case::fullnat(Protocol::Tcp, FwdMode::FullNat)]
#[case::nat_of_udp(Protocol::Udp, FwdMode::Nat)]
fn answers_follow_a_client_that_comes_by_another_router(
    #[case] protocol: Protocol,
    #[case] fwdmode: FwdMode,
) {
    let mut director = setup(protocol, fwdmode).build();
    let ask = |flags: &str, seq, macs| match protocol {
        Protocol::Tcp => frames::tcp(FAR, VIP)
            .flags(flags)
            .seq(seq)
            .ack(5001)
            .frame(macs),
        _ => frames::udp(FAR, VIP, b"ask", macs),
    };
    let there = director.to_dest(&ask("S", 1000, FROM_ROUTER));
    let answer = |flags: &str| match protocol {
        Protocol::Tcp => {
            let segment = frames::tcp(DEST, &there.src).flags(flags).seq(5000);
            segment.ack(there.seq + 1).frame(FROM_DEST)
        }
        _ => frames::udp(DEST, &there.src, b"answer", FROM_DEST),
    };
    assert_eq!(to_whom(director.receive(LAN, &answer("SA"))), ROUTER);
    for (macs, router) in [
        (FROM_ROUTER, ROUTER),
        (FROM_OTHER, OTHER),
        (FROM_ROUTER, ROUTER),
    ] {
        for _ in 0..3 {
            director.to_dest(&ask("A", 1001, macs));
            assert_eq!(to_whom(director.receive(LAN, &answer("A"))), router);
        }
    }
}

#[test]
fn a_route_comes_first_and_the_way_back_is_used_when_it_goes() {
    let mut director = setup(Protocol::Udp, FwdMode::FullNat).build();
    add_route(&mut director);
    let ask = frames::udp(FAR, VIP, b"ask", FROM_ROUTER);
    let there = director.to_dest(&ask);
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    assert_eq!(to_whom(director.receive(LAN, &answer)), CLIENT_MAC);

    let net = &mut director.snapshot.net;
    net.routes.remove_all(|route| route.gateway.is_some());
    net.invalidate_nexthops();
    director.publish();
    director.to_dest(&ask);
    assert_eq!(to_whom(director.receive(LAN, &answer)), ROUTER);

    add_route(&mut director);
    assert_eq!(to_whom(director.receive(LAN, &answer)), CLIENT_MAC);
}

#[rstest]
#[case::route(ReturnPath::Route, None, Some(CLIENT_MAC))]
#[case::mac(ReturnPath::Mac, Some(ROUTER), Some(ROUTER))]
#[case::route_or_mac(ReturnPath::RouteOrMac, Some(ROUTER), Some(CLIENT_MAC))]
fn an_operator_may_want_one_of_them_always(
    #[case] return_path: ReturnPath,
    #[case] without_route: Option<MacAddr>,
    #[case] with_route: Option<MacAddr>,
) {
    for (has_route, expected) in [(false, without_route), (true, with_route)] {
        let mut director = setup(Protocol::Udp, FwdMode::FullNat).build();
        director.snapshot.return_path = return_path;
        director.publish();
        if has_route {
            add_route(&mut director);
        }
        let there = director.to_dest(&frames::udp(FAR, VIP, b"ask", FROM_ROUTER));
        let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
        match expected {
            Some(mac) => assert_eq!(to_whom(director.receive(LAN, &answer)), mac),
            None => director.refuses(LAN, &answer, DropReason::NoRoute),
        }
    }
}

/// Many routers, more than a worker remembers: a conn whose router was forgotten notes it again.
#[test]
fn a_forgotten_router_is_noted_with_the_client_s_next_packet() {
    let mut director = setup(Protocol::Udp, FwdMode::FullNat).build();
    let ask = frames::udp(FAR, VIP, b"ask", FROM_ROUTER);
    let there = director.to_dest(&ask);
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    assert_eq!(to_whom(director.receive(LAN, &answer)), ROUTER);
    for number in 0..20_000u32 {
        director.now = Now {
            ns: director.now.ns + 2_000_000,
        };
        let [_, _, high, low] = number.to_be_bytes();
        let macs = (MacAddr([2, 0, 0, 1, high, low]), WAN_MAC);
        let client = format!("198.51.100.{}:{}", 8 + number % 200, 1000 + number / 200);
        director.receive(WAN, &frames::udp(&client, VIP, b"ask", macs));
    }
    director.refuses(LAN, &answer, DropReason::NoRoute);
    director.to_dest(&ask);
    assert_eq!(to_whom(director.receive(LAN, &answer)), ROUTER);
}

/// `dpip link set dpdk1 addr`: answers come from the device's new address.
#[test]
fn answers_come_from_the_device_s_new_mac_address() {
    let mut director = setup(Protocol::Udp, FwdMode::FullNat).build();
    let ask = |to| frames::udp(FAR, VIP, b"ask", (ROUTER, to));
    let there = director.to_dest(&ask(WAN_MAC));
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    assert_eq!(director.to_client(&answer).from, WAN_MAC);
    let new = MacAddr([2, 0, 0, 0, 7, 7]);
    let net = &mut director.snapshot.net;
    let mut devices = net.devices.to_vec();
    devices[1].mac = new;
    net.devices = devices.into();
    net.invalidate_nexthops();
    director.publish();
    director.to_dest(&ask(new));
    let seen = director.to_client(&answer);
    assert_eq!((seen.from, seen.to), (new, ROUTER));
}

/// What the director itself tells a client: errors of the dest, and the SYN proxy's answers.
#[test]
fn errors_and_cookies_go_back_without_a_route() {
    let mut director = setup(Protocol::Udp, FwdMode::FullNat).build();
    let (_, sent) = only(director.receive(WAN, &frames::udp(FAR, VIP, b"ask", FROM_ROUTER)));
    let error = frames::unreachable("192.168.100.2", LADDR, &sent[14..], FROM_DEST);
    assert_eq!(to_whom(director.receive(LAN, &error)), ROUTER);

    let mut director = Setup::default().build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    let syn = frames::tcp(FAR, VIP).flags("S").seq(1000);
    let cookie = one(director.receive(WAN, &syn.frame(FROM_ROUTER)), WAN);
    let ack = frames::tcp(FAR, VIP)
        .flags("A")
        .seq(1001)
        .ack(cookie.seq + 1);
    let syn = director.to_dest(&ack.frame(FROM_ROUTER));
    let answer = frames::tcp(DEST, &syn.src)
        .flags("SA")
        .seq(1)
        .ack(syn.seq + 1);
    let sent = director.receive(LAN, &answer.frame(FROM_DEST));
    let to: Vec<_> = sent
        .iter()
        .map(|(_, frame)| Seen::parse(frame).to)
        .collect();
    assert_eq!(to, [ROUTER, DEST_MAC]);
}

/// A host behind SNAT that no route leads to, such as one of another network.
#[test]
fn a_host_behind_snat_gets_its_answers() {
    let mut director = snat_director(Protocol::Udp);
    let net = &mut director.snapshot.net;
    net.routes
        .remove_all(|route| route.prefix.contains("192.168.100.2".parse().unwrap()));
    net.invalidate_nexthops();
    director.publish();
    let (host, world) = ("192.168.100.2:40000", "10.0.0.48:53");
    let macs = (OTHER, LAN_MAC);
    let there = one(
        director.receive(LAN, &frames::udp(host, world, b"ask", macs)),
        WAN,
    );
    let answer = frames::udp(world, &there.src, b"answer", FROM_CLIENT);
    let back = one(director.receive(WAN, &answer), LAN);
    assert_eq!((back.to, back.dst.as_str()), (OTHER, host));
}

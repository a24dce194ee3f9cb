use super::*;
use crate::route::Prefix;

fn device(ifindex: u16, mtu: u16) -> Device {
    Device {
        ifindex: IfIndex(ifindex),
        name: format!("dpdk{}", ifindex - 1),
        port: PortId(ifindex - 1),
        mac: MacAddr([2, 0, 0, 0, 0, ifindex as u8]),
        mtu,
        kni: true,
        forward_to_kni: false,
    }
}

fn route(prefix: ([u8; 4], u8), ifindex: u16, scope: RouteScope) -> Route {
    Route {
        prefix: Prefix::new(prefix.0.into(), prefix.1).unwrap(),
        ifindex: IfIndex(ifindex),
        gateway: None,
        src: None,
        mtu: 1500,
        metric: 0,
        scope,
        auto: false,
    }
}

fn local(addr: [u8; 4], ifindex: u16, sapool: bool) -> LocalAddr {
    LocalAddr {
        addr: addr.into(),
        ifindex: IfIndex(ifindex),
        sapool,
    }
}

/// The tutorial's two-arm network with a default route.
fn two_arm() -> Net {
    let mut net = Net::new([device(1, 1500), device(2, 1400)]);
    net.set_local_addrs([
        local([10, 0, 0, 100], 2, false),
        local([192, 168, 100, 200], 1, true),
    ]);
    let gateway = Some("10.0.0.1".parse().unwrap());
    for route in [
        route(([10, 0, 0, 100], 32), 2, RouteScope::Host),
        route(([10, 0, 0, 0], 16), 2, RouteScope::Link),
        route(([192, 168, 100, 0], 24), 1, RouteScope::Link),
        route(([172, 10, 0, 2], 32), 2, RouteScope::KniHost),
        Route {
            gateway,
            ..route(([0, 0, 0, 0], 0), 2, RouteScope::Global)
        },
    ] {
        net.routes.insert(route).unwrap();
    }
    net
}

#[test]
fn the_neighbour_is_the_destination_on_the_link_and_else_the_gateway() {
    let net = two_arm();
    let hop = |dst: [u8; 4]| {
        net.route_to(dst.into())
            .map(|hop| (hop.ifindex.0, hop.neighbour))
    };
    assert_eq!(
        hop([192, 168, 100, 2]),
        Some((1, [192, 168, 100, 2].into()))
    );
    assert_eq!(hop([8, 8, 8, 8]), Some((2, [10, 0, 0, 1].into())));
}

#[test]
fn nothing_is_sent_to_ourselves_nor_to_the_kernel() {
    let net = two_arm();
    assert!(net.route_to([10, 0, 0, 100].into()).is_none());
    assert!(net.route_to([172, 10, 0, 2].into()).is_none());
}

#[test]
fn the_mtu_is_the_lesser_of_route_and_device() {
    let net = two_arm();
    let mtu = |dst: [u8; 4]| net.route_to(dst.into()).map(|hop| hop.mtu);
    assert_eq!(
        (mtu([192, 168, 100, 2]), mtu([10, 0, 0, 48])),
        (Some(1500), Some(1400))
    );
}

#[test]
fn our_own_packets_carry_the_route_s_source_then_an_address_whose_ports_are_not_shared_out() {
    let mut net = two_arm();
    let source = |net: &Net, ifindex, to: [u8; 4]| net.source_for(IfIndex(ifindex), to.into());
    assert_eq!(
        source(&net, 1, [192, 168, 100, 2]),
        Some([192, 168, 100, 200].into()),
        "any is better than none"
    );
    net.set_local_addrs([
        local([192, 168, 100, 200], 1, true),
        local([192, 168, 100, 201], 1, false),
    ]);
    assert_eq!(
        source(&net, 1, [192, 168, 100, 2]),
        Some([192, 168, 100, 201].into())
    );
    let src = Some("192.168.100.200".parse().unwrap());
    net.routes.replace(Route {
        src,
        ..route(([192, 168, 100, 0], 24), 1, RouteScope::Link)
    });
    assert_eq!(
        source(&net, 1, [192, 168, 100, 2]),
        Some([192, 168, 100, 200].into())
    );
    assert_eq!(source(&net, 2, [10, 0, 0, 48]), None);
}

/// RFC 1812, 4.3.2.4 and RFC 4443, 2.2
#[test]
fn an_icmp_error_comes_from_an_address_of_the_link_it_leaves_by() {
    let mut net = two_arm();
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    let of = |addr: IpAddr, ifindex| LocalAddr {
        addr,
        ifindex: IfIndex(ifindex),
        sapool: false,
    };
    net.set_local_addrs([
        local([192, 168, 100, 200], 1, true),
        local([192, 168, 100, 1], 1, false),
        local([10, 0, 0, 100], 2, false),
        of(v6("2001:db8::1"), 2),
        of(v6("fe80::1"), 1),
    ]);
    let source = |ifindex, dst: IpAddr, sender: IpAddr| {
        net.error_source(IfIndex(ifindex), dst, sender)
            .map(|addr| addr.to_string())
    };
    let (ours, far, host) = ([10, 0, 0, 100], [8, 8, 8, 8], [192, 168, 100, 2]);
    let cases: [(u16, IpAddr, IpAddr, &str); 7] = [
        (2, ours.into(), far.into(), "10.0.0.100"),
        (1, ours.into(), host.into(), "192.168.100.1"),
        (1, far.into(), host.into(), "192.168.100.1"),
        (3, far.into(), host.into(), "10.0.0.100"),
        (1, v6("2001:db8::1"), v6("2001:db8:1::2"), "2001:db8::1"),
        (1, v6("2001:db8::9"), v6("fe80::2"), "fe80::1"),
        (3, v6("2001:db8::9"), v6("2001:db8:1::2"), "2001:db8::1"),
    ];
    for (ifindex, dst, sender, expected) in cases {
        let from = source(ifindex, dst, sender);
        assert_eq!(from.as_deref(), Some(expected), "{ifindex} {dst} {sender}");
    }
    net.set_local_addrs([]);
    assert_eq!(net.error_source(IfIndex(1), far.into(), host.into()), None);
}

/// RFC 6724, 5, rule 2: the scope of the source is that of the destination, or a larger one. RFC
/// 4861, 7.2.2 asks for less: the request for a MAC address comes from any address of the device.
#[test]
fn a_link_local_address_is_the_source_on_its_link_and_towards_link_local_addresses_only() {
    let mut net = two_arm();
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    let of = |addr: &str, ifindex| LocalAddr {
        addr: v6(addr),
        ifindex: IfIndex(ifindex),
        sapool: false,
    };
    net.set_local_addrs([of("fe80::1", 1), of("fe80::2", 2), of("2001:db8::2", 2)]);
    let (router, host) = (v6("fe80::9"), v6("2001:db8::9"));
    let sources = [(1, router), (1, host), (2, router), (2, host), (3, router)];
    let global = sources.map(|(ifindex, to)| net.source_for(IfIndex(ifindex), to));
    let [one, two, two_global] = ["fe80::1", "fe80::2", "2001:db8::2"].map(|text| Some(v6(text)));
    assert_eq!(global, [one, None, two, two_global, None]);
    let on_link = sources.map(|(ifindex, to)| net.source_on_link(IfIndex(ifindex), to));
    assert_eq!(on_link, [one, one, two, two_global, None]);
    let error = net.error_source(IfIndex(1), v6("2001:db8:1::1"), host);
    assert_eq!(error, two_global, "it can be answered from beyond the link");
    assert_eq!(net.source_on_link(IfIndex(1), [10, 0, 0, 1].into()), None);
}

#[test]
fn devices_are_found_by_index_from_1_and_by_port() {
    let net = two_arm();
    assert_eq!(net.device(IfIndex(0)), None);
    assert_eq!(
        net.device(IfIndex(2)).map(|device| device.port),
        Some(PortId(1))
    );
    assert_eq!(
        net.device_of(PortId(0)).map(|device| device.ifindex),
        Some(IfIndex(1))
    );
    assert_eq!(net.device_of(PortId(9)), None);
}

#[test]
fn a_published_view_does_not_change_with_its_successor() {
    let mut net = two_arm();
    let neighbour: IpAddr = [192, 168, 100, 2].into();
    let nexthop = Nexthop {
        macs: None,
        port: PortId(0),
        mtu: 1500,
    };
    let key = (IfIndex(1), neighbour);
    net.set_nexthop(key, NexthopId(3), Some(nexthop));
    let published = net.clone();
    net.set_nexthop(key, NexthopId(3), None);
    assert_eq!(
        published.nexthop_of(IfIndex(1), neighbour),
        Some(NexthopId(3))
    );
    assert_eq!(published.nexthop(NexthopId(3)), Some(&nexthop));
    assert_eq!(
        (
            net.nexthop_of(IfIndex(1), neighbour),
            net.nexthop(NexthopId(3))
        ),
        (None, None)
    );
    assert_eq!(
        published.nexthop_of(IfIndex(2), neighbour),
        None,
        "a neighbour is one of a device"
    );
}

/// RFC 919, 7; RFC 3021, 2.1: links of two addresses have no broadcast.
#[test]
fn the_last_address_of_a_link_is_its_broadcast() {
    let mut net = two_arm();
    for prefix in [([10, 1, 0, 0], 31), ([10, 2, 0, 0], 32)] {
        let route = route(prefix, 2, RouteScope::Link);
        net.routes.insert(route).unwrap();
    }
    for (dst, expected) in [
        ("10.0.255.255", true),
        ("192.168.100.255", true),
        ("10.0.0.255", false),
        ("10.0.0.100", false),
        ("10.1.0.1", false),
        ("10.2.0.0", false),
        ("8.8.255.255", false),
    ] {
        assert_eq!(
            net.is_link_broadcast(dst.parse().unwrap()),
            expected,
            "{dst}"
        );
    }
}

use std::net::Ipv4Addr;

use inet::{Prefix, RouteScope};
use ipvs_core::{
    EndRange, FwdMode, HashTarget, Match, Protocol, SchedulerKind, ServiceOptions, WorkerStats,
};
use packet::{MacAddr, PortId};

use super::*;
use crate::telemetry::{Counts, Rates};

fn desired() -> Desired {
    let device = |index: u16| Device {
        ifindex: IfIndex(index + 1),
        name: format!("dpdk{index}"),
        port: PortId(index),
        mac: MacAddr([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        kni: true,
        forward_to_kni: false,
    };
    Desired::new(vec![device(0), device(1)], Timeouts::default(), 100)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(addr: &str, prefix_len: u8, device: &str) -> AddressRequest {
    AddressRequest {
        addr: ip(addr),
        prefix_len,
        device: device.into(),
        broadcast: None,
        scope: RouteScope::Global,
        sapool: false,
    }
}

fn route(prefix: &str, len: u8, device: Option<&str>, gateway: Option<&str>) -> RouteRequest {
    RouteRequest {
        prefix: Prefix::new(ip(prefix), len).unwrap(),
        gateway: gateway.map(ip),
        src: None,
        device: device.map(str::to_owned),
        mtu: None,
        metric: 0,
        scope: None,
    }
}

const KEY: ServiceKey = ServiceKey {
    protocol: Protocol::Tcp,
    addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100)),
    port: 80,
    matcher: None,
};

fn service() -> ServiceRequest {
    ServiceRequest {
        key: KEY,
        scheduler: SchedulerKind::Rr,
        options: ServiceOptions::default(),
    }
}

fn dest(addr: &str, port: u16) -> DestRequest {
    DestRequest {
        addr: ip(addr),
        port,
        fwdmode: FwdMode::FullNat,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel_spread: None,
        drain_s: None,
    }
}

/// Counters of one worker that count nothing.
fn rates() -> Rates {
    Rates::new(vec![Arc::new(WorkerStats::new(16))])
}

fn add_dest(desired: &mut Desired, addr: &str, port: u16) -> Result<(), ServiceError> {
    desired.add_dest(&KEY, dest(addr, port), &rates())
}

/// The tutorial's two-arm FullNAT, and the routes it shows afterwards.
#[test]
fn the_tutorial_s_lines_make_the_tutorial_s_routes() {
    let mut desired = desired();
    desired
        .add_address(&address("10.0.0.100", 32, "dpdk1"))
        .unwrap();
    desired
        .add_route(&route("10.0.0.0", 16, Some("dpdk1"), None))
        .unwrap();
    desired
        .add_route(&route("192.168.100.0", 24, Some("dpdk0"), None))
        .unwrap();
    desired.add_service(service()).unwrap();
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    desired
        .add_laddr(&KEY, ip("192.168.100.200"), "dpdk0", &rates())
        .unwrap();
    let routes: Vec<_> = desired
        .routes
        .iter()
        .map(|route| (route.prefix.to_string(), route.scope))
        .collect();
    assert_eq!(
        routes,
        [
            ("10.0.0.100/32".into(), RouteScope::Host),
            ("192.168.100.200/32".into(), RouteScope::Host),
            ("192.168.100.0/24".into(), RouteScope::Link),
            ("10.0.0.0/16".into(), RouteScope::Link),
        ]
    );
    assert!(
        desired
            .address(ip("192.168.100.200"))
            .is_some_and(|address| address.sapool)
    );
}

#[test]
fn an_address_brings_its_network_s_route_and_takes_it_away() {
    let mut desired = desired();
    desired
        .add_address(&address("10.0.0.1", 16, "dpdk1"))
        .unwrap();
    desired
        .add_address(&address("10.0.0.2", 32, "dpdk1"))
        .unwrap();
    let network = Prefix::new(ip("10.0.0.0"), 16).unwrap();
    assert_eq!(
        desired.routes.to(&network).first().map(|route| route.src),
        Some(Some(ip("10.0.0.1")))
    );
    desired.del_address(ip("10.0.0.1"), None, "dpdk1").unwrap();
    assert!(desired.routes.to(&network).is_empty());
    assert_eq!(desired.routes.iter().count(), 1);
}

/// With a service, its VIP and a local address.
fn with_a_service() -> Desired {
    let mut desired = desired();
    desired
        .add_address(&address("10.0.0.100", 32, "dpdk1"))
        .unwrap();
    desired.add_service(service()).unwrap();
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    desired
        .add_laddr(&KEY, ip("192.168.100.200"), "dpdk0", &rates())
        .unwrap();
    desired
}

/// The sentence has the words, and nothing is changed.
fn refuses<E: std::error::Error>(
    desired: &mut Desired,
    change: impl FnOnce(&mut Desired) -> Result<(), E>,
    words: &str,
) {
    let before = format!("{desired:?}");
    let text = change(desired).unwrap_err().to_string();
    assert!(text.contains(words), "{text}");
    assert_eq!(format!("{desired:?}"), before);
}

#[test]
fn invalid_addresses_are_refused_with_the_way_out() {
    let mut desired = with_a_service();
    for (addr, prefix_len, device, words) in [
        ("10.0.0.1", 32, "dpdk7", "the devices are dpdk0, dpdk1"),
        ("10.0.0.100", 24, "dpdk0", "already an address of dpdk1"),
        ("224.0.0.1", 24, "dpdk0", "unicast"),
    ] {
        let request = address(addr, prefix_len, device);
        refuses(&mut desired, |desired| desired.add_address(&request), words);
    }
    let laddr = ip("192.168.100.200");
    refuses(
        &mut desired,
        |desired| desired.del_address(laddr, None, "dpdk0"),
        "`DelLaddr`",
    );
}

#[test]
fn invalid_routes_are_refused_with_the_way_out() {
    let mut desired = with_a_service();
    for (request, words) in [
        (
            route("0.0.0.0", 0, Some("dpdk1"), Some("10.9.9.9")),
            "not on the link",
        ),
        (route("10.9.0.0", 16, None, None), "name its device"),
    ] {
        refuses(&mut desired, |desired| desired.add_route(&request), words);
    }
    let of_vip = Prefix::host(ip("10.0.0.100"));
    refuses(
        &mut desired,
        |desired| desired.del_route(&any_to(of_vip)),
        "`DelAddress`",
    );
}

#[test]
fn invalid_services_dests_and_laddrs_are_refused_with_the_way_out() {
    let mut desired = with_a_service();
    refuses(
        &mut desired,
        |desired| desired.add_service(service()),
        "exists",
    );
    for (addr, port, words) in [
        ("192.168.100.2", 80, "already a dest"),
        ("192.168.100.4", 0, "port 0"),
    ] {
        refuses(&mut desired, |desired| add_dest(desired, addr, port), words);
    }
    for (laddr, words) in [
        ("192.168.100.200", "already a local address"),
        ("10.0.0.100", "is an address of dpdk1"),
    ] {
        let laddr = ip(laddr);
        refuses(
            &mut desired,
            |desired| desired.add_laddr(&KEY, laddr, "dpdk0", &rates()),
            words,
        );
    }
}

#[test]
fn a_local_address_goes_with_its_last_service() {
    let mut desired = desired();
    let other = ServiceKey { port: 443, ..KEY };
    desired.add_service(service()).unwrap();
    desired
        .add_service(ServiceRequest {
            key: other,
            ..service()
        })
        .unwrap();
    desired
        .add_laddr(&KEY, ip("192.168.100.200"), "dpdk0", &rates())
        .unwrap();
    desired
        .add_laddr(&other, ip("192.168.100.200"), "dpdk0", &rates())
        .unwrap();
    desired
        .del_laddr(&KEY, ip("192.168.100.200"), false)
        .unwrap();
    assert!(desired.address(ip("192.168.100.200")).is_some());
    desired.del_service(&other).unwrap();
    assert!(desired.effects.contains(&Effect::RemovePools(LaddrId(0))));
    // It answers ARP until its last conn has ended.
    assert!(desired.address(ip("192.168.100.200")).is_some());
    let before = desired.effects.len();
    desired.remove_address(ip("192.168.100.200"));
    assert!(desired.address(ip("192.168.100.200")).is_none());
    assert_eq!(
        desired.effects.len(),
        before,
        "its pools are on their way back"
    );
    assert!(desired.leaving_laddrs.is_empty());
}

/// DPVS and LVS: the conns of a removed dest go on, and a dest that is added again has them.
#[test]
fn a_dest_leaves_with_its_last_conn_and_comes_back_before_with_its_number() {
    let mut desired = desired();
    desired.add_service(service()).unwrap();
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    let end = (ip("192.168.100.2"), 80);
    desired.del_dest(&KEY, end, None).unwrap();
    let [Effect::Leave(first)] = desired.effects[..] else {
        panic!("{:?}", desired.effects);
    };
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    let id = |desired: &Desired| {
        desired
            .service(&KEY)
            .unwrap()
            .dests
            .get(&end)
            .map(|dest| dest.id)
    };
    assert_eq!(id(&desired), Some(DestId(0)));
    // The first removal is no longer true.
    desired.forget_dest(&first, Counts::default());
    desired.del_dest(&KEY, end, None).unwrap();
    let Some(Effect::Leave(second)) = desired.effects.last().copied() else {
        panic!("{:?}", desired.effects);
    };
    desired.forget_dest(&first, Counts::default());
    assert_eq!(desired.service(&KEY).unwrap().leaving.len(), 1);
    let counts = Counts {
        conns: 7,
        ..Counts::default()
    };
    desired.forget_dest(&second, counts);
    let left = desired.service(&KEY).unwrap();
    assert_eq!((left.leaving.len(), left.removed.conns), (0, 7));
}

/// The conns of a removed service go on, too. Its number stays in use with them.
#[test]
fn a_removed_service_keeps_its_number_as_long_as_its_dests_have_conns() {
    let mut desired = desired();
    desired.add_service(service()).unwrap();
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    desired.del_service(&KEY).unwrap();
    let other = ServiceKey { port: 443, ..KEY };
    let request = ServiceRequest {
        key: other,
        ..service()
    };
    desired.add_service(request).unwrap();
    desired.add_service(service()).unwrap();
    let id = |desired: &Desired, key| desired.service(key).unwrap().id;
    assert_eq!((id(&desired, &KEY).0, id(&desired, &other).0), (0, 1));
    add_dest(&mut desired, "192.168.100.2", 80).unwrap();
    let dests = &desired.service(&KEY).unwrap().dests;
    assert_eq!(dests.get(&(ip("192.168.100.2"), 80)).unwrap().id, DestId(0));
}

#[test]
fn a_gateway_on_a_link_names_its_device() {
    let mut desired = desired();
    desired
        .add_address(&address("10.0.0.1", 16, "dpdk1"))
        .unwrap();
    desired
        .add_route(&route("0.0.0.0", 0, None, Some("10.0.0.254")))
        .unwrap();
    let default = desired.routes.lookup(ip("8.8.8.8")).unwrap();
    assert_eq!(
        (default.ifindex, default.scope),
        (IfIndex(2), RouteScope::Global)
    );
}

#[test]
fn a_network_s_route_lives_as_long_as_an_address_in_it() {
    let mut desired = desired();
    for addr in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        desired.add_address(&address(addr, 24, "dpdk1")).unwrap();
    }
    let network = Prefix::new(ip("10.0.0.0"), 24).unwrap();
    let src = |desired: &Desired| {
        desired
            .routes
            .to(&network)
            .first()
            .and_then(|route| route.src)
    };
    assert_eq!(src(&desired), Some(ip("10.0.0.1")));
    desired.del_address(ip("10.0.0.1"), None, "dpdk1").unwrap();
    assert_eq!(src(&desired), Some(ip("10.0.0.2")));
    desired.del_address(ip("10.0.0.3"), None, "dpdk1").unwrap();
    assert_eq!(src(&desired), Some(ip("10.0.0.2")));
    desired.del_address(ip("10.0.0.2"), None, "dpdk1").unwrap();
    assert_eq!(desired.routes.iter().count(), 0);
}

#[test]
fn the_operator_s_own_route_to_a_network_outlives_its_addresses() {
    let mut desired = desired();
    desired
        .add_route(&route("10.0.0.0", 24, Some("dpdk1"), None))
        .unwrap();
    desired
        .add_address(&address("10.0.0.1", 24, "dpdk1"))
        .unwrap();
    desired.del_address(ip("10.0.0.1"), None, "dpdk1").unwrap();
    assert_eq!(desired.routes.iter().count(), 1);
}

/// As Linux does it: nothing is sent from an address that is not ours.
#[test]
fn routes_go_with_the_address_that_is_their_src() {
    let mut desired = desired();
    desired
        .add_address(&address("10.0.0.1", 32, "dpdk1"))
        .unwrap();
    let with_src = RouteRequest {
        src: Some(ip("10.0.0.1")),
        ..route("10.9.0.0", 16, Some("dpdk1"), None)
    };
    desired.add_route(&with_src).unwrap();
    desired.set_route(&with_src).unwrap();
    desired
        .add_route(&route("10.8.0.0", 16, Some("dpdk1"), None))
        .unwrap();
    desired.del_address(ip("10.0.0.1"), None, "dpdk1").unwrap();
    let left: Vec<_> = desired
        .routes
        .iter()
        .map(|route| route.prefix.to_string())
        .collect();
    assert_eq!(left, ["10.8.0.0/16"]);
    assert!(desired.route_srcs.is_empty());
}

#[test]
fn sapool_can_be_switched_on_and_off_again() {
    let mut desired = desired();
    let plain = address("10.0.0.1", 32, "dpdk1");
    let shared = AddressRequest {
        sapool: true,
        ..plain.clone()
    };
    desired.set_address(&plain).unwrap();
    desired.effects.clear();
    desired.set_address(&shared).unwrap();
    desired.add_service(service()).unwrap();
    desired
        .add_laddr(&KEY, ip("10.0.0.1"), "dpdk1", &rates())
        .unwrap();
    assert!(matches!(
        desired.set_address(&plain),
        Err(AddressError::InUse { services: 1, .. })
    ));
    desired.del_laddr(&KEY, ip("10.0.0.1"), false).unwrap();
    desired.set_address(&plain).unwrap();
    let of_pools = |effect: &Effect| !matches!(effect, Effect::LeaveUse(_));
    desired.effects.retain(of_pools);
    assert_eq!(
        desired.effects,
        [
            Effect::AddPools(LaddrId(0), ip("10.0.0.1")),
            Effect::RemovePools(LaddrId(0))
        ]
    );
    assert!(
        desired
            .address(ip("10.0.0.1"))
            .is_some_and(|address| !address.sapool),
        "what dpip made stays after the last local address is removed"
    );
}

#[test]
fn the_quic_connection_id_is_refused_as_hash_target_of_tcp() {
    let mut desired = desired();
    let by_quic = ServiceRequest {
        scheduler: SchedulerKind::Conhash(HashTarget::Qid),
        ..service()
    };
    let refused = Err(ServiceError::QidNeedsUdp(KEY));
    assert_eq!(desired.add_service(by_quic), refused);
    desired.add_service(service()).unwrap();
    assert_eq!(desired.edit_service(by_quic, &rates()), refused);
    let mut over_udp = by_quic;
    over_udp.key.protocol = Protocol::Udp;
    desired.add_service(over_udp).unwrap();
}

fn any_to(prefix: Prefix) -> RouteFilter {
    RouteFilter {
        prefix,
        device: None,
        gateway: None,
        metric: None,
    }
}

/// A WAN address knows that a dest uses it, and each command says which one ends that.
#[test]
fn a_wan_address_goes_with_its_dest_only() {
    let mut desired = desired();
    let mut wan = address("203.0.113.7", 32, "dpdk1");
    wan.sapool = true;
    desired.add_address(&wan).unwrap();
    let snat = |first_port| {
        let hosts = EndRange {
            addrs: (ip("192.168.0.0"), ip("192.168.0.255")),
            ports: (first_port, 65_535),
        };
        let matcher = Match {
            src: Some(hosts),
            dst: None,
            iif: None,
            oif: None,
        };
        ServiceKey {
            matcher: Some(matcher),
            ..ServiceKey::vip(Protocol::Tcp, ip("0.0.0.0"), 0)
        }
    };
    for key in [snat(0), snat(1)] {
        let request = ServiceRequest { key, ..service() };
        desired.add_service(request).unwrap();
        let mut request = dest("203.0.113.7", 0);
        request.fwdmode = FwdMode::Snat;
        desired.add_dest(&key, request, &rates()).unwrap();
    }
    let del_address = |desired: &mut Desired| desired.del_address(wan.addr, None, "dpdk1");
    for dests in ["2 dest(s)", "1 dest(s)"] {
        refuses(&mut desired, del_address, dests);
        refuses(
            &mut desired,
            del_address,
            "`DelDest ServiceKey.match=MATCH Dest.address=203.0.113.7 Dest.port=0`",
        );
        for key in [snat(0), snat(1)] {
            let del_laddr = |desired: &mut Desired| desired.del_laddr(&key, wan.addr, false);
            let is_left = desired.service(&key).is_ok();
            let words = if is_left {
                "Dest.address=203.0.113.7 "
            } else {
                "no service"
            };
            refuses(&mut desired, del_laddr, words);
        }
        let key = if dests == "2 dest(s)" {
            snat(0)
        } else {
            snat(1)
        };
        if dests == "2 dest(s)" {
            desired.del_service(&key).unwrap();
        } else {
            desired.del_dest(&key, (wan.addr, 0), None).unwrap();
        }
    }
    assert!(desired.address(wan.addr).is_some(), "dpip made it");
    del_address(&mut desired).unwrap();
    desired.add_address(&wan).unwrap();
    let mut request = dest("203.0.113.7", 0);
    request.fwdmode = FwdMode::Snat;
    desired.add_dest(&snat(1), request, &rates()).unwrap();
    let compiled = Arc::make_mut(desired.services.get_mut(&snat(1)).unwrap()).compile();
    assert_eq!(compiled.laddrs.len(), 1);
    assert_eq!(compiled.laddrs[0].id, desired.laddrs[&wan.addr].id);
}

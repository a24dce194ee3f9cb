//! Match services (`-H`): what their ranges mean, and which dests they have.

use crate::common::*;
use proto::v1;
use tonic::Code;

/// `-H`, with what the daemon makes of it.
async fn added_match(director: &Director, given: v1::Match) -> v1::Match {
    let mut service = service(VIP, 0, "rr");
    service.key = Some(v1::ServiceKey {
        protocol: v1::Protocol::Tcp.into(),
        r#match: Some(given),
        ..Default::default()
    });
    let mut ipvs = director.ipvs().await;
    let key = service.key.clone().unwrap();
    ipvs.add_service(service).await.unwrap();
    let listed = director.services().await[0].key.clone().unwrap();
    ipvs.del_service(key).await.unwrap();
    listed.r#match.unwrap()
}

fn range(first: &str, last: &str, ports: (u32, u32)) -> Option<v1::EndRange> {
    Some(v1::EndRange {
        first: ip(first),
        last: ip(last),
        first_port: ports.0,
        last_port: ports.1,
    })
}

/// DPVS writes 0.0.0.0 for addresses that were not given, and `iif=` for a device.
#[tokio::test]
async fn a_range_of_0_0_0_0_is_any_address() {
    let director = director().await;
    let all_ports = v1::Match {
        src: range("0.0.0.0", "0.0.0.0", (0, 0)),
        oif: "dpdk1".into(),
        ..Default::default()
    };
    let added = added_match(&director, all_ports).await;
    assert_eq!(added.family(), v1::Family::Inet);
    assert_eq!(added.src, None);
    let some_ports = v1::Match {
        dst: range("::", "::", (1, 1024)),
        ..Default::default()
    };
    let added = added_match(&director, some_ports).await;
    let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    assert_eq!(added.dst, range("::", last, (1, 1024)));
    assert_eq!(added.family(), v1::Family::Inet6);
    let by_device = v1::Match {
        iif: "dpdk0".into(),
        family: v1::Family::Inet6.into(),
        ..Default::default()
    };
    assert_eq!(added_match(&director, by_device.clone()).await, by_device);
}

/// README: dests may be of the other family. SNAT keeps it, and ICMP is not ICMPv6.
#[tokio::test]
async fn match_services_have_dests_of_either_family_where_the_mode_can_join_them() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let add = |protocol: v1::Protocol| v1::VirtualService {
        key: Some(v1::ServiceKey {
            protocol: protocol.into(),
            r#match: Some(v1::Match {
                iif: "dpdk1".into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        scheduler: "rr".into(),
        ..Default::default()
    };
    let tcp = add(v1::Protocol::Tcp);
    ipvs.add_service(tcp.clone()).await.unwrap();
    let with = |service: &v1::VirtualService, mode: v1::FwdMode, addr: &str| v1::DestRequest {
        service: service.key.clone(),
        dest: Some(v1::Dest {
            address: ip(addr),
            fwd_mode: mode.into(),
            ..Default::default()
        }),
    };
    for (mode, host) in [
        (v1::FwdMode::FullNat, 1),
        (v1::FwdMode::Nat, 2),
        (v1::FwdMode::Tunnel, 3),
    ] {
        let dest = with(&tcp, mode, &format!("2001:db8::{host}"));
        ipvs.add_dest(dest).await.unwrap();
    }
    let dr = ipvs.add_dest(with(&tcp, v1::FwdMode::Dr, "2001:db8::4"));
    refused(dr.await, Code::InvalidArgument, "client's address stays");
    let icmp = add(v1::Protocol::Icmp);
    ipvs.add_service(icmp.clone()).await.unwrap();
    let nat = ipvs.add_dest(with(&icmp, v1::FwdMode::Nat, "2001:db8::1"));
    refused(nat.await, Code::InvalidArgument, "ICMPv6 is IPv6's");
    let snat = ipvs.add_dest(with(&icmp, v1::FwdMode::Snat, "2001:db8::1"));
    refused(snat.await, Code::InvalidArgument, "WAN address 2001:db8::1");
}

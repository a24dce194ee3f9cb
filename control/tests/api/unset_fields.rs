//! What a request does not say has its documented default, and what dpvsd does not know is refused:
//! the number of an enum that a later version added must not become its default.

use crate::common::*;
use proto::v1;
use tokio_stream::StreamExt;
use tonic::Code;

const UNKNOWN: i32 = 99;

#[tokio::test]
async fn unknown_numbers_of_services_and_dests_are_refused() {
    let director = director().await;
    two_arm(&director).await;
    let before = director.everything().await;
    let mut ipvs = director.ipvs().await;
    let invalid = Code::InvalidArgument;

    let mut other = service(VIP, 81, "rr");
    other.key.as_mut().unwrap().protocol = UNKNOWN;
    let result = ipvs.add_service(other.clone()).await;
    refused(result, invalid, "unknown protocol 99");
    let result = ipvs.del_service(other.key.clone().unwrap()).await;
    refused(result, invalid, "unknown protocol 99");

    let mut real = dest(VIP, 80, "192.168.100.9", 80);
    real.dest.as_mut().unwrap().fwd_mode = UNKNOWN;
    let result = ipvs.add_dest(real.clone()).await;
    refused(result, invalid, "unknown fwd_mode 99");
    real.dest = Some(v1::Dest {
        fwd_mode: v1::FwdMode::Tunnel.into(),
        tunnel_type: UNKNOWN,
        ..a_dest("192.168.100.9", 80)
    });
    let result = ipvs.edit_dest(real).await;
    refused(result, invalid, "unknown tunnel_type 99");

    let entry = v1::AccessEntry {
        service: Some(key(VIP, 80)),
        list: UNKNOWN,
        address: ip("192.0.2.7"),
        prefix_len: None,
    };
    refused(ipvs.add_access(entry).await, invalid, "unknown list 99");
    assert_eq!(director.everything().await, before);
}

#[tokio::test]
async fn unknown_numbers_of_addresses_routes_and_neighbours_are_refused() {
    let director = director().await;
    two_arm(&director).await;
    let before = director.everything().await;
    let invalid = Code::InvalidArgument;
    let (mut addresses, mut routes) = (director.addresses().await, director.routes().await);
    let mut neighbours = director.neighbours().await;

    let mut local = address("192.168.100.7", 24, "dpdk0");
    local.scope = UNKNOWN;
    let result = addresses.add_address(local).await;
    refused(result, invalid, "unknown scope 99");
    let mut lan = route("172.16.0.0", 16, "dpdk0");
    lan.scope = UNKNOWN;
    refused(routes.set_route(lan).await, invalid, "unknown scope 99");

    let (device, family) = ("dpdk0".to_owned(), UNKNOWN);
    let flush = v1::FlushAddressesRequest {
        device: device.clone(),
        family,
    };
    let result = addresses.flush_addresses(flush).await;
    refused(result, invalid, "unknown family 99");
    let flush = v1::FlushRoutesRequest {
        device: device.clone(),
        family,
    };
    let result = routes.flush_routes(flush).await;
    refused(result, invalid, "unknown family 99");
    let flush = v1::FlushNeighboursRequest { device, family };
    let result = neighbours.flush_neighbours(flush).await;
    refused(result, invalid, "unknown family 99");
    let list = v1::ListRoutesRequest {
        family,
        ..Default::default()
    };
    refused(routes.list_routes(list).await, invalid, "unknown family 99");
    assert_eq!(director.everything().await, before);
}

/// `ipvsadm -a` without `-w`.
#[tokio::test]
async fn a_dest_without_a_weight_has_weight_1_and_one_of_weight_0_has_0() {
    let director = director().await;
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    for (host, given, expected) in [(8, None, 1), (9, Some(0), 0)] {
        let mut real = dest(VIP, 80, &format!("192.168.100.{host}"), 80);
        real.dest.as_mut().unwrap().weight = given;
        ipvs.add_dest(real).await.unwrap();
        let services = director.services().await;
        assert_eq!(services[0].dests.last().unwrap().weight, Some(expected));
    }
}

/// Neither everybody is denied nor everything routed because of a length that is missing.
#[tokio::test]
async fn a_prefix_without_a_length_is_the_address_alone() {
    let director = director().await;
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    let mut routes = director.routes().await;
    for (text, len) in [("192.0.2.7", 32), ("2001:db8::7", 128), ("0.0.0.0", 0)] {
        let entry = v1::AccessEntry {
            service: Some(key(VIP, 80)),
            list: v1::AccessList::Deny.into(),
            address: ip(text),
            prefix_len: None,
        };
        ipvs.add_access(entry).await.unwrap();
        let mut host = route(text, 0, "dpdk0");
        host.prefix_len = None;
        routes.add_route(host).await.unwrap();

        let all = v1::ListServicesRequest::default();
        let mut listed = ipvs.list_access(all).await.unwrap().into_inner();
        let mut found = Vec::new();
        while let Some(entry) = listed.next().await {
            let entry = entry.unwrap();
            found.push((entry.address, entry.prefix_len));
        }
        assert!(found.contains(&(ip(text), Some(len))), "{text}: {found:?}");
        let listed = routes.list_routes(v1::ListRoutesRequest::default()).await;
        let listed = listed.unwrap().into_inner().routes;
        let is_meant =
            |route: &&v1::Route| (&route.address, route.prefix_len) == (&ip(text), Some(len));
        assert!(listed.iter().any(|route| is_meant(&route)), "{text}");
    }
}

//! The link-local address that each device with IPv6 has: RFC 4291, 2.1.

use proto::v1;
use tonic::Code;

use crate::common::*;

/// By RFC 4291, appendix A, of the MAC addresses of `dpdk0` and `dpdk1`
const OF_DPDK0: &str = "fe80::ff:fe00:0";
const OF_DPDK1: &str = "fe80::ff:fe00:1";

/// The link-local addresses as listed: address, prefix length and device.
async fn shown(director: &Director) -> Vec<(Vec<u8>, u32, String)> {
    let all = v1::ListAddressesRequest::default();
    let answer = director.addresses().await.list_addresses(all).await;
    let addresses = answer.unwrap().into_inner().addresses.into_iter();
    let link_local = addresses.filter(|address| address.scope() == v1::Scope::Link);
    link_local
        .map(|address| {
            let bytes = address.address.unwrap().bytes;
            (bytes, address.prefix_len, address.device)
        })
        .collect()
}

fn row(addr: &str, device: &str) -> (Vec<u8>, u32, String) {
    (ip(addr).unwrap().bytes, 64, device.to_owned())
}

/// Waits until the workers have the address, or do not have it.
async fn until_workers_have(director: &Director, addr: &str, has: bool) {
    let addr = addr.parse().unwrap();
    director
        .until_workers("the link-local address", |worker| {
            worker.snapshot.net.local_addr(addr).is_some() == has
        })
        .await;
}

#[tokio::test]
async fn a_device_has_a_link_local_address_as_long_as_it_has_ipv6() {
    let director = director().await;
    two_arm(&director).await;
    assert_eq!(shown(&director).await, []);
    let mut addresses = director.addresses().await;
    let own = address("2001:db8::1", 128, "dpdk1");
    addresses.add_address(own.clone()).await.unwrap();
    assert_eq!(shown(&director).await, [row(OF_DPDK1, "dpdk1")]);
    until_workers_have(&director, OF_DPDK1, true).await;

    let by_gateway = v1::Route {
        gateway: ip("fe80::9"),
        ..route("::", 0, "dpdk0")
    };
    let mut routes = director.routes().await;
    routes.add_route(by_gateway).await.unwrap();
    let both = [row(OF_DPDK0, "dpdk0"), row(OF_DPDK1, "dpdk1")];
    assert_eq!(shown(&director).await, both);
    until_workers_have(&director, OF_DPDK0, true).await;

    addresses.del_address(own).await.unwrap();
    assert_eq!(shown(&director).await, [row(OF_DPDK0, "dpdk0")]);
    until_workers_have(&director, OF_DPDK1, false).await;
}

#[tokio::test]
async fn a_link_local_address_is_neither_deleted_nor_a_dest_s() {
    let director = director().await;
    two_arm(&director).await;
    let mut addresses = director.addresses().await;
    let own = address("2001:db8::1", 64, "dpdk1");
    addresses.add_address(own).await.unwrap();
    let result = addresses.del_address(address(OF_DPDK1, 64, "dpdk1")).await;
    let words = "is the link-local address of dpdk1";
    refused(result, Code::FailedPrecondition, words);
    let real = dest(VIP, 80, OF_DPDK1, 80);
    let result = director.ipvs().await.add_dest(real).await;
    refused(result, Code::FailedPrecondition, "dpdk1");
    // One that was added by hand takes its place, and goes by hand.
    addresses
        .add_address(address(OF_DPDK1, 64, "dpdk1"))
        .await
        .unwrap();
    addresses
        .del_address(address(OF_DPDK1, 64, "dpdk1"))
        .await
        .unwrap();
    assert_eq!(shown(&director).await, [row(OF_DPDK1, "dpdk1")]);
}

#[tokio::test]
async fn a_link_local_address_follows_the_mac_address() {
    let director = director().await;
    let mut addresses = director.addresses().await;
    let own = address("2001:db8::1", 64, "dpdk1");
    addresses.add_address(own).await.unwrap();
    let set = v1::SetLinkRequest {
        name: "dpdk1".into(),
        mac: vec![0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde],
        ..Default::default()
    };
    director.links().await.set_link(set).await.unwrap();
    let new = "fe80::3656:78ff:fe9a:bcde";
    assert_eq!(shown(&director).await, [row(new, "dpdk1")]);
    until_workers_have(&director, new, true).await;
    until_workers_have(&director, OF_DPDK1, false).await;
}

//! Addresses and routes as ip-address(8) and ip-route(8) have them.

use crate::common::*;
use proto::v1;
use tonic::Code;

fn by_gateway(gateway: &str, metric: u32) -> v1::Route {
    v1::Route {
        gateway: ip(gateway),
        metric,
        ..route("0.0.0.0", 0, "dpdk1")
    }
}

/// Gateway, metric and device of all default routes.
async fn defaults(director: &Director) -> Vec<(Option<v1::IpAddress>, u32, String)> {
    let all = v1::ListRoutesRequest::default();
    let listed = director.routes().await.list_routes(all).await.unwrap();
    let routes = listed.into_inner().routes.into_iter();
    let defaults = routes.filter(|route| route.prefix_len == Some(0));
    defaults
        .map(|route| (route.gateway, route.metric, route.device))
        .collect()
}

/// A director with links to gateways on both devices.
async fn two_links() -> Director {
    let director = director().await;
    let mut routes = director.routes().await;
    for (network, device) in [("10.0.0.0", "dpdk1"), ("192.168.100.0", "dpdk0")] {
        routes.add_route(route(network, 24, device)).await.unwrap();
    }
    director
}

/// ip-route(8): the metric tells routes apart, and `del` heeds what it is given.
#[tokio::test]
async fn default_routes_of_two_metrics_live_side_by_side_and_go_by_gateway_and_metric() {
    let director = two_links().await;
    let mut routes = director.routes().await;
    for (gateway, metric) in [("10.0.0.1", 0), ("10.0.0.2", 100), ("10.0.0.3", 200)] {
        routes.add_route(by_gateway(gateway, metric)).await.unwrap();
    }
    let again = routes.add_route(by_gateway("10.0.0.9", 100)).await;
    refused(again, Code::AlreadyExists, "with metric 100 exists");
    let first_hop = |worker: &WorkerState| {
        let routes = &worker.snapshot.net.routes;
        let route = routes.lookup("8.8.8.8".parse().unwrap());
        route.and_then(|route| route.gateway)
    };
    let used = |last: u8| Some([10, 0, 0, last].into());
    director
        .until_workers("the lowest metric", |worker| first_hop(worker) == used(1))
        .await;

    let other = routes.del_route(by_gateway("10.0.0.7", 0)).await;
    refused(
        other,
        Code::NotFound,
        "with this device, gateway and metric",
    );
    let other = routes.del_route(by_gateway("10.0.0.2", 200)).await;
    refused(
        other,
        Code::NotFound,
        "with this device, gateway and metric",
    );
    assert_eq!(defaults(&director).await.len(), 3);
    routes.del_route(by_gateway("10.0.0.2", 0)).await.unwrap();
    let (first, third) = ((ip("10.0.0.1"), 0), (ip("10.0.0.3"), 200));
    let left = |(gateway, metric)| (gateway, metric, "dpdk1".to_owned());
    assert_eq!(
        defaults(&director).await,
        [left(first), left(third.clone())]
    );
    // Without a gateway and a metric, the first one goes.
    routes.del_route(route("0.0.0.0", 0, "")).await.unwrap();
    assert_eq!(defaults(&director).await, [left(third)]);
    director
        .until_workers("the next metric", |worker| first_hop(worker) == used(3))
        .await;
}

/// ip-route(8): "change or add".
#[tokio::test]
async fn a_replaced_route_may_leave_by_another_device() {
    let director = two_links().await;
    let mut routes = director.routes().await;
    let default = by_gateway("10.0.0.1", 0);
    routes.replace_route(default).await.unwrap();
    let other = v1::Route {
        device: "dpdk0".into(),
        ..by_gateway("192.168.100.1", 0)
    };
    routes.replace_route(other).await.unwrap();
    let left = (ip("192.168.100.1"), 0, "dpdk0".to_owned());
    assert_eq!(defaults(&director).await, std::slice::from_ref(&left));
    routes
        .replace_route(by_gateway("10.0.0.1", 7))
        .await
        .unwrap();
    let higher = (ip("10.0.0.1"), 7, "dpdk1".to_owned());
    assert_eq!(defaults(&director).await, [left, higher]);
}

#[tokio::test]
async fn routes_of_a_device_are_listed_and_those_of_no_device_refused() {
    let director = two_links().await;
    let mut routes = director.routes().await;
    let list = |device: &str| v1::ListRoutesRequest {
        device: device.into(),
        ..Default::default()
    };
    let listed = routes.list_routes(list("dpdk0")).await.unwrap();
    assert_eq!(listed.into_inner().routes.len(), 1);
    let listed = routes.list_routes(list("nosuch")).await;
    refused(listed, Code::NotFound, "no device 'nosuch'");
}

/// ip-address(8): the address to delete is named with its length, or without any.
#[tokio::test]
async fn an_address_of_another_prefix_length_is_not_deleted() {
    let director = director().await;
    let mut addresses = director.addresses().await;
    let ours = address("10.0.0.5", 24, "dpdk1");
    addresses.add_address(ours.clone()).await.unwrap();
    let other = addresses.del_address(address("10.0.0.5", 32, "dpdk1"));
    refused(other.await, Code::NotFound, "delete 10.0.0.5/24");
    addresses.del_address(ours.clone()).await.unwrap();
    addresses.add_address(ours).await.unwrap();
    let whatever = address("10.0.0.5", 0, "dpdk1");
    addresses.del_address(whatever).await.unwrap();
}

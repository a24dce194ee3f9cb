//! What operators ask for, and what comes of it.

use std::sync::atomic::Ordering;

use crate::common::*;
use ipvs_core::{DestId, LaddrId};
use packet::{MacAddr, PortId};
use proto::v1;
use tonic::Code;

#[tokio::test]
async fn the_tutorial_s_lines_reach_the_workers() {
    let director = director().await;
    two_arm(&director).await;
    director
        .until_workers("the whole service", |worker| {
            worker.service(&core_key(VIP, 80)).is_some_and(|service| {
                service.dests.len() == 2
                    && service.plan.order().len() == 2
                    && service.laddrs.len() == 1
            })
        })
        .await;
    let shown = director
        .addresses()
        .await
        .list_addresses(v1::ListAddressesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .addresses;
    let usage = shown[1].sapool_use.unwrap();
    // "sa_used 0 sa_free 1032176 sa_miss 0" in the tutorial.
    assert_eq!((usage.used, usage.free, usage.missed), (0, 1_032_176, 0));
    assert_eq!(shown[1].worker_sapool_use.len(), 2);
    assert!(!shown[0].sapool && shown[0].sapool_use.is_none());
}

#[tokio::test]
async fn a_new_address_and_one_with_a_new_mac_are_announced_to_the_neighbours() {
    let director = director().await;
    let mut addresses = director.addresses().await;
    addresses
        .add_address(address(VIP, 32, "dpdk1"))
        .await
        .unwrap();
    director
        .until_worker("gratuitous ARP", |worker| {
            worker.count(|seen| is_announcement(seen, [2, 0, 0, 0, 0, 1])) >= 1
        })
        .await;
    let new_mac = [2, 0, 0, 0, 9, 9];
    let set = v1::SetLinkRequest {
        name: "dpdk1".into(),
        mac: new_mac.to_vec(),
        ..Default::default()
    };
    director.links().await.set_link(set).await.unwrap();
    director
        .until_worker("gratuitous ARP with the new MAC address", |worker| {
            worker.count(|seen| is_announcement(seen, new_mac)) >= 1
        })
        .await;
    assert_eq!(director.platform.macs.lock()[1], Some(MacAddr(new_mac)));
}

/// RFC 5227, 3: an ARP request whose sender and target address are the same.
fn is_announcement(seen: &Seen, mac: [u8; 6]) -> bool {
    let Seen::Transmit(port, frame) = seen else {
        return false;
    };
    *port == PortId(1)
        && frame[..6] == [0xFF; 6]
        && frame[12..14] == [0x08, 0x06]
        && frame[22..28] == mac
        && frame[28..32] == [10, 0, 0, 100]
        && frame[38..42] == [10, 0, 0, 100]
}

#[tokio::test]
async fn a_link_is_changed_whole_or_not_at_all() {
    let director = director().await;
    let mut links = director.links().await;
    let before = director.everything().await;
    let set = |name: &str| v1::SetLinkRequest {
        name: name.into(),
        promiscuous: Some(true),
        ..Default::default()
    };
    refused(
        links.set_link(set("dpdk7")).await,
        Code::NotFound,
        "no device",
    );
    let to_kernel = v1::SetLinkRequest {
        forward_to_kni: Some(true),
        ..set("dpdk1")
    };
    refused(
        links.set_link(to_kernel.clone()).await,
        Code::FailedPrecondition,
        "no kni netdev",
    );
    director
        .platform
        .refuses_multicast
        .store(true, Ordering::Relaxed);
    let both = v1::SetLinkRequest {
        all_multicast: Some(true),
        ..set("dpdk0")
    };
    refused(
        links.set_link(both.clone()).await,
        Code::FailedPrecondition,
        "no multicast filter",
    );
    assert!(!director.platform.is_promiscuous(0), "was put back");
    assert_eq!(director.everything().await, before);

    director
        .platform
        .refuses_multicast
        .store(false, Ordering::Relaxed);
    links
        .set_link(v1::SetLinkRequest {
            forward_to_kni: Some(true),
            ..both
        })
        .await
        .unwrap();
    assert!(director.platform.is_promiscuous(0));
    director
        .until_workers("forward2kni", |worker| {
            let devices = &worker.snapshot.net.devices;
            devices.first().is_some_and(|device| device.forward_to_kni)
        })
        .await;
}

#[tokio::test]
async fn a_laddr_stays_while_a_service_uses_it_and_its_id_while_a_worker_knows_it() {
    let director = director().await;
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 443, "wlc")).await.unwrap();
    ipvs.add_laddr(laddr(VIP, 443, LIP, "dpdk0")).await.unwrap();
    ipvs.del_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    assert!(laddrs_shown(&director).await == 1);

    director.workers[1].lock().has_conns = true;
    ipvs.del_service(key(VIP, 443)).await.unwrap();
    assert_eq!(laddrs_shown(&director).await, 0);
    director
        .until_workers("the pools are given back", |worker| {
            worker.seen.contains(&Seen::RemoveLaddr(LaddrId(0)))
        })
        .await;
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    let lip = LIP.parse().unwrap();
    director
        .until_workers("a second pool, since conns use the first", |worker| {
            worker.seen.contains(&Seen::AddLaddr(LaddrId(1), lip))
        })
        .await;
    director.workers[1].lock().has_conns = false;
    until("the number is free", || {
        director.workers[1].lock().held.is_empty()
    })
    .await;
    // Control hears of it a moment later. Whoever comes then has the number: no other is given back
    // meanwhile.
    for host in 10..=250 {
        let other = format!("192.168.100.{host}");
        let request = laddr(VIP, 80, &other, "dpdk0");
        ipvs.add_laddr(request).await.unwrap();
        let again = Seen::AddLaddr(LaddrId(0), other.parse().unwrap());
        director
            .until_worker("its pool", |worker| {
                worker.seen.iter().any(
                    |seen| matches!(seen, Seen::AddLaddr(_, addr) if other == addr.to_string()),
                )
            })
            .await;
        if director.workers[0].lock().seen.contains(&again) {
            return;
        }
    }
    panic!("number 0 was never used again");
}

async fn laddrs_shown(director: &Director) -> usize {
    let all = v1::ListAddressesRequest::default();
    let shown = director
        .addresses()
        .await
        .list_addresses(all)
        .await
        .unwrap();
    let addresses = shown.into_inner().addresses;
    addresses.iter().filter(|address| address.sapool).count()
}

/// A removed dest's conns may live on at one worker: its counters are that dest's till the end.
#[tokio::test]
async fn a_dest_id_is_reused_only_after_every_worker_has_ended_the_conns_of_the_old_dest() {
    let director = Director::start(&Setup {
        max_dests: 2,
        ..Setup::default()
    });
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    let third = dest(VIP, 80, "192.168.100.6", 80);
    refused(
        ipvs.add_dest(third.clone()).await,
        Code::ResourceExhausted,
        "max_dests",
    );
    let conns = &director.stats[1].dest(DestId(0)).inactive_conns;
    conns.add(1);
    ipvs.del_dest(dest(VIP, 80, "192.168.100.2", 80))
        .await
        .unwrap();
    let is_gone = |worker: &WorkerState| {
        let service = worker.service(&core_key(VIP, 80));
        service.is_some_and(|service| service.dests.len() == 1)
    };
    director
        .until_workers("a service without it", is_gone)
        .await;
    refused(
        ipvs.add_dest(third.clone()).await,
        Code::ResourceExhausted,
        "max_dests",
    );
    conns.sub(1);
    let deadline = std::time::Instant::now() + PATIENCE;
    while ipvs.add_dest(third.clone()).await.is_err() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn flushing_ipv6_leaves_ipv4_alone_and_flushing_ipv4_leaves_what_services_need() {
    let director = director().await;
    two_arm(&director).await;
    let before = director.everything().await;
    let mut addresses = director.addresses().await;
    let mut routes = director.routes().await;
    let mut flush = v1::FlushAddressesRequest {
        device: "dpdk0".into(),
        family: v1::Family::Inet6.into(),
    };
    addresses.flush_addresses(flush.clone()).await.unwrap();
    let routes_of = |family: v1::Family| v1::FlushRoutesRequest {
        device: "dpdk0".into(),
        family: family.into(),
    };
    routes
        .flush_routes(routes_of(v1::Family::Inet6))
        .await
        .unwrap();
    assert_eq!(director.everything().await, before);
    flush.family = v1::Family::Any.into();
    addresses.flush_addresses(flush.clone()).await.unwrap();
    assert_eq!(laddrs_shown(&director).await, 1);
    routes
        .flush_routes(routes_of(v1::Family::Inet))
        .await
        .unwrap();
    let left = routes
        .list_routes(v1::ListRoutesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .routes;
    let left: Vec<_> = left
        .iter()
        .map(|route| (route.prefix_len(), route.device.as_str()))
        .collect();
    assert_eq!(left, [(32, "dpdk1"), (32, "dpdk0"), (16, "dpdk1")]);
}

#[tokio::test]
async fn timeouts_change_one_by_one() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let only_udp = v1::Timeouts {
        tcp_s: 0,
        tcp_fin_s: 0,
        udp_s: 17,
    };
    ipvs.set_timeouts(only_udp).await.unwrap();
    let all = ipvs.get_timeouts(v1::Empty {}).await.unwrap().into_inner();
    assert_eq!((all.tcp_s, all.tcp_fin_s, all.udp_s), (90, 7, 17));
    director
        .until_workers("the timeouts", |worker| {
            let timeouts = worker.snapshot.timeouts;
            (timeouts.udp_s, timeouts.udp_oneway_s) == (17, 17)
        })
        .await;
}

/// A real server is another machine: packets for one of the director's own addresses would come
/// back to it.
#[tokio::test]
async fn an_address_of_the_director_is_no_dest_and_a_dest_s_no_address_of_the_director() {
    let director = director().await;
    two_arm(&director).await;
    let before = director.everything().await;
    let mut ipvs = director.ipvs().await;
    let mut addresses = director.addresses().await;
    for own in [VIP, LIP] {
        let added = ipvs.add_dest(dest(VIP, 80, own, 8080)).await;
        refused(
            added,
            Code::FailedPrecondition,
            "an address of this director",
        );
    }
    let real = "192.168.100.2";
    let added = addresses.add_address(address(real, 24, "dpdk0")).await;
    refused(
        added,
        Code::FailedPrecondition,
        "the address of a real server",
    );
    let set = addresses.set_address(address(real, 24, "dpdk0")).await;
    refused(
        set,
        Code::FailedPrecondition,
        "the address of a real server",
    );
    let added = ipvs.add_laddr(laddr(VIP, 80, real, "dpdk0")).await;
    refused(
        added,
        Code::FailedPrecondition,
        "the address of a real server",
    );
    assert_eq!(director.everything().await, before);

    // As soon as no service has the dest any more, the address is free.
    ipvs.add_service(service(VIP, 81, "rr")).await.unwrap();
    ipvs.add_dest(dest(VIP, 81, real, 80)).await.unwrap();
    ipvs.del_dest(dest(VIP, 80, real, 80)).await.unwrap();
    let added = addresses.add_address(address(real, 24, "dpdk0")).await;
    refused(
        added,
        Code::FailedPrecondition,
        "the address of a real server",
    );
    ipvs.del_service(key(VIP, 81)).await.unwrap();
    addresses
        .add_address(address(real, 24, "dpdk0"))
        .await
        .unwrap();
}

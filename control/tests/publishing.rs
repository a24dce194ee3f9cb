//! What workers are sent, in which order, and what they say.

use std::net::IpAddr;
use std::sync::Arc;

use crate::common::*;
use inet::{AddressConflict, IfIndex, NeighbourNews};
use ipvs_core::Event;
use packet::MacAddr;
use proto::v1;
use proto::v1::change::Change;

#[tokio::test]
async fn a_change_rebuilds_only_the_service_that_it_is_about() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    for port in 80..90 {
        ipvs.add_service(service(VIP, port, "wrr")).await.unwrap();
    }
    director
        .until_workers("all services", |worker| {
            worker.service(&core_key(VIP, 89)).is_some()
        })
        .await;
    let before = Arc::clone(&director.workers[0].lock().snapshot);
    ipvs.add_dest(dest(VIP, 85, "192.168.100.2", 80))
        .await
        .unwrap();
    director
        .until_workers("the dest", |worker| {
            worker
                .service(&core_key(VIP, 85))
                .is_some_and(|service| service.dests.len() == 1)
        })
        .await;
    let after = Arc::clone(&director.workers[0].lock().snapshot);
    for port in (80..90).filter(|port| *port != 85) {
        let of = |snapshot: &ipvs_core::Snapshot| {
            Arc::clone(snapshot.services.get(&core_key(VIP, port)).unwrap())
        };
        assert!(Arc::ptr_eq(&of(&before), &of(&after)), "port {port}");
    }
}

/// The fake workers complain about a snapshot whose pools have not come yet, and about dests and
/// pools taken away that a snapshot still uses.
#[tokio::test]
async fn a_slow_worker_gets_the_newest_snapshot_and_its_commands_in_order() {
    let director = Director::start(&Setup {
        ring: 2,
        ..Setup::default()
    });
    director.stall(true);
    let mut ipvs = director.ipvs().await;
    for port in 80..90 {
        ipvs.add_service(service(VIP, port, "rr")).await.unwrap();
        ipvs.add_dest(dest(VIP, port, "192.168.100.2", 80))
            .await
            .unwrap();
        let lip = format!("192.168.100.{port}");
        ipvs.add_laddr(laddr(VIP, port, &lip, "dpdk0"))
            .await
            .unwrap();
        if port % 2 == 0 {
            ipvs.del_dest(dest(VIP, port, "192.168.100.2", 80))
                .await
                .unwrap();
            ipvs.del_laddr(laddr(VIP, port, &lip, "dpdk0"))
                .await
                .unwrap();
        }
    }
    director.stall(false);
    director
        .until_workers(
            "5 services with a dest and 5 without, pools given back",
            |worker| {
                let services = worker.snapshot.services.iter();
                services.filter(|service| service.dests.len() == 1).count() == 5
                    && worker.snapshot.services.iter().count() == 10
                    && worker.count(|seen| matches!(seen, Seen::RemoveLaddr(_))) == 5
            },
        )
        .await;
}

#[tokio::test]
async fn many_changes_at_once_are_one_snapshot() {
    let director = director().await;
    director
        .until_workers("the first snapshot", |worker| worker.seen.len() == 1)
        .await;
    let mut ipvs = director.ipvs().await;
    let changes: Vec<_> = (1..=500)
        .map(|port| change(Change::AddService(service(VIP, port, "rr"))))
        .collect();
    ipvs.apply(tokio_stream::iter(changes)).await.unwrap();
    director
        .until_workers("all services", |worker| {
            worker.snapshot.services.iter().count() == 500
        })
        .await;
    assert_eq!(
        director.workers[0].lock().seen,
        [Seen::Publish, Seen::Publish]
    );
}

#[tokio::test]
async fn a_queued_packet_makes_control_resolve_its_neighbour_and_publish_the_mac() {
    let director = director().await;
    let mut addresses = director.addresses().await;
    addresses
        .add_address(address("10.0.0.1", 24, "dpdk1"))
        .await
        .unwrap();
    director
        .until_workers("the address", |worker| {
            worker.snapshot.net.local_addrs().count() == 1
        })
        .await;
    let addr: IpAddr = "10.0.0.7".parse().unwrap();
    let resolve = Event::Resolve {
        ifindex: IfIndex(2),
        addr,
    };
    director.workers[1].lock().to_say.push(resolve);
    director
        .until_worker("an ARP request from 10.0.0.1 for 10.0.0.7", |worker| {
            let is_request = |seen: &Seen| {
                matches!(seen, Seen::Transmit(_, frame)
                    if frame[28..32] == [10, 0, 0, 1] && frame[38..42] == [10, 0, 0, 7])
            };
            worker.count(is_request) == 1
        })
        .await;
    let news = NeighbourNews {
        ifindex: IfIndex(2),
        addr,
        mac: MacAddr([2, 0, 0, 0, 0, 7]),
        create: true,
        overrides: true,
        answers: true,
    };
    director.workers[1]
        .lock()
        .to_say
        .push(Event::Neighbour(news));
    director
        .until_workers("the neighbour's MAC address", |worker| {
            let net = &worker.snapshot.net;
            net.nexthop_of(IfIndex(2), [10, 0, 0, 7].into())
                .and_then(|id| net.nexthop(id))
                .is_some_and(|nexthop| nexthop.macs.map(|macs| macs.dst()) == Some(news.mac))
        })
        .await;
}

/// RFC 5227, 2.4 (c): one announcement in ten seconds, however often the other host shows up.
#[tokio::test]
async fn an_address_that_another_host_uses_is_announced_once_and_the_conflict_is_shown() {
    let director = director().await;
    let mut addresses = director.addresses().await;
    let own = [("10.0.0.1", 24), ("2001:db8::1", 64)];
    for (addr, len) in own {
        addresses
            .add_address(address(addr, len, "dpdk1"))
            .await
            .unwrap();
    }
    // A new address of IPv4 is announced twice (RFC 5227, 1.1), one of IPv6 three times (RFC 4861,
    // 7.2.6).
    let announced = |worker: &WorkerState, ether_type: [u8; 2]| {
        worker.count(|seen| {
            matches!(seen, Seen::Transmit(_, frame)
                if frame[0] & 1 == 1 && frame[12..14] == ether_type)
        })
    };
    director
        .until_worker("both addresses are announced", |worker| {
            announced(worker, [0x08, 0x06]) == 2 && announced(worker, [0x86, 0xdd]) == 3
        })
        .await;
    let link_local = ("fe80::ff:fe00:1", 64);
    for (addr, _) in [own[0], own[1], link_local].repeat(3) {
        let conflict = AddressConflict {
            ifindex: IfIndex(2),
            addr: addr.parse().unwrap(),
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
        };
        let event = Event::AddressConflict(conflict);
        director.workers[0].lock().to_say.push(event);
    }
    director
        .until_worker("all addresses are defended", |worker| {
            announced(worker, [0x08, 0x06]) == 3 && announced(worker, [0x86, 0xdd]) == 5
        })
        .await;
    let shown = loop {
        let all = v1::ListAddressesRequest::default();
        let answer = addresses.list_addresses(all).await.unwrap().into_inner();
        let conflicts = answer.addresses.into_iter();
        let conflicts: Vec<_> = conflicts.map(|address| address.conflict.unwrap()).collect();
        if conflicts.iter().all(|conflict| conflict.count == 3) {
            break conflicts;
        }
        tokio::task::yield_now().await;
    };
    assert!(
        shown
            .iter()
            .all(|conflict| conflict.mac == [2, 0, 0, 0, 0, 9])
    );
    assert_eq!(announced(&director.workers[0].lock(), [0x08, 0x06]), 3);
}

/// Whoever made a change may send packets at once. Nothing here waits for the workers.
#[tokio::test]
async fn a_call_returns_when_all_workers_obey() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let obey = |is: &dyn Fn(&WorkerState) -> bool| {
        director.workers.iter().all(|worker| is(&worker.lock()))
    };
    for port in 1..20 {
        ipvs.add_service(service(VIP, port, "mh")).await.unwrap();
        let has = |worker: &WorkerState| worker.service(&core_key(VIP, port as u16)).is_some();
        assert!(obey(&has), "port {port}");
    }
    let changes = (20..50).map(|port| change(Change::AddService(service(VIP, port, "rr"))));
    let changes: Vec<_> = changes.collect();
    ipvs.apply(tokio_stream::iter(changes)).await.unwrap();
    assert!(obey(&|worker| worker.service(&core_key(VIP, 49)).is_some()));
    let vip = address(VIP, 32, "dpdk1");
    director.addresses().await.add_address(vip).await.unwrap();
    assert!(obey(
        &|worker| worker.snapshot.net.local_addrs().count() == 1
    ));
    ipvs.flush_services(proto::v1::Empty {}).await.unwrap();
    assert!(obey(&|worker| worker.snapshot.services.iter().count() == 0));
}

#[tokio::test]
async fn a_call_does_not_wait_for_a_worker_for_ever_and_says_which_one_is_late() {
    let director = director().await;
    director
        .until_workers("the first snapshot", |worker| !worker.seen.is_empty())
        .await;
    director.workers[1].lock().stalled = true;
    let mut ipvs = director.ipvs().await;
    let began = std::time::Instant::now();
    let answer = ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_millis(100));
    let warning = answer.metadata().get("dpvs-warning").unwrap();
    assert!(warning.to_str().unwrap().contains("worker cpu2 does not"));
}

//! `ipvsadm-rs -G`: conns and conflicts of each local address, per service.

use ipvs_core::{DestId, LaddrUseId, ServiceKey};
use proto::v1;

use crate::common::*;

/// Conns of a service that use the local address, and conflicts: those shown as its own, and those
/// of an address that it has no more.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    own: Vec<(u64, u64)>,
    leaving: Vec<(u64, u64)>,
}

impl Shown {
    fn own(conns: u64, conflicts: u64) -> Self {
        Self {
            own: vec![(conns, conflicts)],
            leaving: Vec::new(),
        }
    }

    fn leaving(conns: u64, conflicts: u64) -> Self {
        Self {
            own: Vec::new(),
            leaving: vec![(conns, conflicts)],
        }
    }
}

async fn shown(director: &Director, port: u32) -> Shown {
    let services = director.services().await;
    let of_port = |service: &&v1::VirtualService| service.key.as_ref().unwrap().port == port;
    let service = services.iter().find(of_port).unwrap();
    let numbers = |laddrs: &[v1::Laddr]| {
        let numbers = laddrs
            .iter()
            .map(|laddr| (laddr.conns, laddr.port_conflicts));
        numbers.collect()
    };
    Shown {
        own: numbers(&service.laddrs),
        leaving: numbers(&service.leaving_laddrs),
    }
}

/// Two services that share the local address.
async fn two_services() -> Director {
    let director = director().await;
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 81, "rr")).await.unwrap();
    ipvs.add_dest(dest(VIP, 81, "192.168.100.2", 80))
        .await
        .unwrap();
    ipvs.add_laddr(laddr(VIP, 81, LIP, "dpdk0")).await.unwrap();
    director
}

async fn use_of(director: &Director, key: &ServiceKey) -> LaddrUseId {
    director.laddr_use(key, LIP).await
}

#[tokio::test]
async fn each_service_shows_its_own_use_of_a_shared_local_address() {
    let director = two_services().await;
    let (one, two) = (
        use_of(&director, &core_key(VIP, 80)).await,
        use_of(&director, &core_key(VIP, 81)).await,
    );
    assert_ne!(one, two);
    director.stats[0].laddr_use(one).conns.add(3);
    director.stats[1].laddr_use(one).conns.add(4);
    director.stats[1].laddr_use(two).conflicts.add(2);
    assert_eq!(shown(&director, 80).await, Shown::own(7, 0));
    assert_eq!(shown(&director, 81).await, Shown::own(0, 2));
}

/// The other service still has it, so the address itself stays.
#[tokio::test]
async fn a_local_address_that_leaves_one_service_shows_the_conns_that_still_use_it() {
    let director = two_services().await;
    let one = use_of(&director, &core_key(VIP, 80)).await;
    let counted = director.stats[1].laddr_use(one);
    counted.conns.add(1);
    counted.conflicts.add(5);
    let mut ipvs = director.ipvs().await;
    ipvs.del_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    assert_eq!(shown(&director, 80).await, Shown::leaving(1, 5));
    assert_eq!(shown(&director, 81).await, Shown::own(0, 0));
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    assert_eq!(
        use_of(&director, &core_key(VIP, 80)).await,
        one,
        "its conns are its own again"
    );
    assert_eq!(shown(&director, 80).await, Shown::own(1, 5));

    ipvs.del_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    counted.conns.sub(1);
    assert_eq!(shown(&director, 80).await, Shown::default());
}

/// Its counters are another address's only when no conn is counted there any more, and then begin
/// at zero.
#[tokio::test]
async fn counters_of_a_local_address_are_used_again_when_its_last_conn_has_ended() {
    let director = two_services().await;
    let one = use_of(&director, &core_key(VIP, 80)).await;
    director.stats[1].laddr_use(one).conns.add(1);
    director.stats[1].laddr_use(one).conflicts.add(5);
    let mut ipvs = director.ipvs().await;
    ipvs.del_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    let other = "192.168.100.201";
    let mut seen = Vec::new();
    for turn in 0.. {
        ipvs.add_laddr(laddr(VIP, 80, other, "dpdk0"))
            .await
            .unwrap();
        let of_other = director.laddr_use(&core_key(VIP, 80), other).await;
        seen.push(of_other);
        if of_other == one {
            break;
        }
        if turn == 3 {
            director.stats[1].laddr_use(one).conns.sub(1);
        }
        ipvs.del_laddr(laddr(VIP, 80, other, "dpdk0"))
            .await
            .unwrap();
    }
    assert!(
        seen.len() > 3,
        "it was taken while a conn was counted there: {seen:?}"
    );
    assert_eq!(shown(&director, 80).await, Shown::own(0, 0));
}

/// As its dests do, the service finds its conns again.
#[tokio::test]
async fn a_service_that_is_removed_and_added_again_counts_the_conns_it_has() {
    let director = two_services().await;
    let one = use_of(&director, &core_key(VIP, 80)).await;
    director.stats[0].laddr_use(one).conns.add(2);
    director.stats[0].dest(DestId(0)).active_conns.add(2);
    let mut ipvs = director.ipvs().await;
    ipvs.del_service(key(VIP, 80)).await.unwrap();
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    assert_eq!(shown(&director, 80).await, Shown::leaving(2, 0));
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    assert_eq!(shown(&director, 80).await, Shown::own(2, 0));
    director.stats[0].laddr_use(one).conns.sub(2);
    assert_eq!(shown(&director, 80).await, Shown::own(0, 0));
}

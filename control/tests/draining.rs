//! Dests that are removed, or lose their weight, while they have conns.

use crate::common::*;
use ipvs_core::DestId;
use proto::v1;
use tokio_stream::StreamExt;
use tonic::Code;

const REAL: &str = "192.168.100.2";

/// A service with one dest that has a conn at the second worker.
async fn with_a_conn(service: v1::VirtualService) -> Director {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service).await.unwrap();
    ipvs.add_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    director.stats[1].dest(DestId(0)).active_conns.add(1);
    director
}

/// The number of the dest at the workers, if they have one.
fn dest_id(worker: &WorkerState) -> Option<DestId> {
    let service = worker.service(&core_key(VIP, 80))?;
    service.dests.first().map(|dest| dest.id)
}

fn ends_conns(worker: &WorkerState) -> bool {
    worker.seen.contains(&Seen::EndConns(DestId(0)))
}

/// DPVS: a removed dest takes no new conns, and those it has go on. LVS, ip_vs_trash_get_dest:
/// added again, they are its own again.
#[tokio::test]
async fn a_removed_dest_drains_and_has_its_conns_when_it_comes_back() {
    let director = with_a_conn(service(VIP, 80, "rr")).await;
    let mut ipvs = director.ipvs().await;
    ipvs.del_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    director
        .until_workers("no dest", |worker| dest_id(worker).is_none())
        .await;
    let shown = &director.services().await[0];
    assert_eq!((shown.dests.len(), shown.draining.len()), (0, 1));
    assert_eq!(shown.draining[0].active_conns, 1);
    ipvs.add_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    director
        .until_workers("the same dest", |worker| dest_id(worker) == Some(DestId(0)))
        .await;
    let shown = &director.services().await[0];
    assert_eq!((shown.dests.len(), shown.draining.len()), (1, 0));
    assert_eq!(shown.dests[0].active_conns, 1);
    // The same holds for its service.
    ipvs.del_service(key(VIP, 80)).await.unwrap();
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    assert_eq!(director.services().await[0].draining.len(), 1);
    ipvs.add_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    assert_eq!(director.services().await[0].dests[0].active_conns, 1);
    let told = director
        .workers
        .iter()
        .any(|worker| ends_conns(&worker.lock()));
    assert!(!told, "its conns go on");
}

/// A removed service is not one any more, so it is listed only to those who ask for it.
#[tokio::test]
async fn a_removed_service_is_listed_as_long_as_its_conns_go_on() {
    let director = with_a_conn(service(VIP, 80, "rr")).await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 81, "rr")).await.unwrap();
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    let counted = director.laddr_use(&core_key(VIP, 80), LIP).await;
    director.stats[1].laddr_use(counted).conns.add(1);
    let mut expiring = service(VIP, 82, "rr");
    expiring.expire_quiescent = true;
    ipvs.add_service(expiring).await.unwrap();
    ipvs.add_dest(dest(VIP, 82, REAL, 80)).await.unwrap();
    director.stats[1].dest(DestId(1)).active_conns.add(1);
    for port in [80, 82] {
        ipvs.del_service(key(VIP, port)).await.unwrap();
    }

    let all = async |key: Option<v1::ServiceKey>, with_removed| {
        let request = v1::ListServicesRequest { key, with_removed };
        let answer = director.ipvs().await.list_services(request).await?;
        let services = answer.into_inner().map(Result::unwrap);
        Ok::<Vec<_>, tonic::Status>(services.collect().await)
    };
    let ports = |services: &[v1::VirtualService]| -> Vec<_> {
        let facts = services.iter().map(|service| {
            let port = service.key.as_ref().unwrap().port;
            (port, service.removed)
        });
        facts.collect()
    };
    assert_eq!(ports(&all(None, false).await.unwrap()), [(81, false)]);
    // Conns that were told to end do not go on.
    let shown = all(None, true).await.unwrap();
    assert_eq!(ports(&shown), [(81, false), (80, true)]);
    let removed = &shown[1];
    assert_eq!((removed.dests.len(), removed.laddrs.len()), (0, 0));
    assert_eq!(removed.draining[0].active_conns, 1);
    assert_eq!(removed.leaving_laddrs[0].conns, 1);
    let one = all(Some(key(VIP, 80)), true).await.unwrap();
    assert_eq!(&one[..], &shown[1..]);
    let missing = all(Some(key(VIP, 80)), false).await;
    refused(missing, Code::NotFound, "10.0.0.100:80");

    director.stats[1].dest(DestId(0)).active_conns.sub(1);
    director.stats[1].laddr_use(counted).conns.sub(1);
    while ports(&all(None, true).await.unwrap()) != [(81, false)] {
        tokio::task::yield_now().await;
    }
}

/// A new conn must not meet the end of the old ones, however soon the dest is back.
#[tokio::test]
async fn a_dest_whose_conns_end_at_once_comes_back_under_another_number() {
    let mut expiring = service(VIP, 80, "rr");
    expiring.expire_quiescent = true;
    let director = with_a_conn(expiring).await;
    let mut ipvs = director.ipvs().await;
    ipvs.del_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    ipvs.add_dest(dest(VIP, 80, REAL, 80)).await.unwrap();
    director
        .until_workers("the end of its conns", ends_conns)
        .await;
    director
        .until_workers("another number", |worker| {
            dest_id(worker) == Some(DestId(1))
        })
        .await;
    // A dest that stays does the same when it loses its weight.
    let mut real = dest(VIP, 80, REAL, 80);
    real.dest.as_mut().unwrap().weight = Some(0);
    ipvs.edit_dest(real).await.unwrap();
    director
        .until_workers("the end of its conns", |worker| {
            worker.seen.contains(&Seen::EndConns(DestId(1))) && dest_id(worker) == Some(DestId(2))
        })
        .await;
}

/// `-d --drain 1`
#[tokio::test]
async fn a_removed_dest_loses_at_the_deadline_what_is_left() {
    let director = with_a_conn(service(VIP, 80, "rr")).await;
    let mut ipvs = director.ipvs().await;
    let mut real = dest(VIP, 80, REAL, 80);
    real.dest.as_mut().unwrap().drain_s = 1;
    ipvs.del_dest(real).await.unwrap();
    assert_eq!(director.services().await[0].draining[0].drain_s, 1);
    director
        .until_workers("the end of its conns", ends_conns)
        .await;
    assert!(director.services().await[0].draining.is_empty());
}

/// The local addresses of a service, and those that leave it.
async fn laddrs(director: &Director) -> (usize, Vec<v1::Laddr>) {
    let service = director.services().await.remove(0);
    (service.laddrs.len(), service.leaving_laddrs)
}

fn has_laddr(worker: &WorkerState) -> bool {
    let addr = LIP.parse().unwrap();
    worker.snapshot.net.local_addr(addr).is_some()
}

/// A conn that uses a local address needs it to answer ARP.
#[tokio::test]
async fn a_local_address_goes_with_its_last_conn_or_by_force() {
    for force in [false, true] {
        let director = director().await;
        two_arm(&director).await;
        let used = director.take_port(LIP).await;
        let counted = director.laddr_use(&core_key(VIP, 80), LIP).await;
        director.stats[1].laddr_use(counted).conns.add(1);
        let mut ipvs = director.ipvs().await;
        let mut request = laddr(VIP, 80, LIP, "dpdk0");
        request.laddr.as_mut().unwrap().force = force;
        ipvs.del_laddr(request).await.unwrap();
        let (left, leaving) = laddrs(&director).await;
        assert_eq!((left, leaving.len(), leaving[0].conns), (0, 1, 1));
        assert!(
            director
                .workers
                .iter()
                .all(|worker| has_laddr(&worker.lock()))
        );
        let is_told = |worker: &WorkerState| {
            worker
                .seen
                .contains(&Seen::EndConnsOfLaddr(LIP.parse().unwrap()))
        };
        assert_eq!(
            director
                .workers
                .iter()
                .any(|worker| is_told(&worker.lock())),
            force
        );
        director.give_port_back(used);
        director.stats[1].laddr_use(counted).conns.sub(1);
        director
            .until_workers("the address is gone", |worker| !has_laddr(worker))
            .await;
        assert_eq!(laddrs(&director).await.1.len(), 0);
    }
}

#[tokio::test]
async fn a_local_address_that_is_used_again_before_it_went_stays() {
    let director = director().await;
    two_arm(&director).await;
    director.take_port(LIP).await;
    let mut ipvs = director.ipvs().await;
    ipvs.del_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
    assert_eq!(laddrs(&director).await, (1, Vec::new()));
    let pools = director.workers[0]
        .lock()
        .count(|seen| matches!(seen, Seen::AddLaddr(..)));
    assert_eq!(pools, 2, "new pools take over the ports in use");
    director.until_workers("the address", has_laddr).await;
}

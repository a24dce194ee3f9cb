//! `Apply`: all changes or none, whatever happens, and however many.

use crate::common::*;
use proto::v1;
use proto::v1::change::Change;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

#[tokio::test]
async fn one_refused_change_undoes_all_before_it() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    ipvs.add_dest(dest(VIP, 80, "192.168.100.2", 80))
        .await
        .unwrap();
    let before = director.everything().await;
    let changes = [
        Change::AddService(service(VIP, 443, "rr")),
        Change::AddDest(dest(VIP, 443, "192.168.100.2", 443)),
        Change::AddLaddr(laddr(VIP, 443, LIP, "dpdk0")),
        Change::DelDest(dest(VIP, 80, "192.168.100.2", 80)),
        Change::EditService(service(VIP, 80, "wlc")),
        Change::DelService(key(VIP, 80)),
        Change::AddDest(dest(VIP, 443, "192.168.100.2", 443)),
    ];
    let status = ipvs
        .apply(tokio_stream::iter(changes.map(change)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(
        status
            .message()
            .starts_with("change 7: 192.168.100.2:443 is already a dest"),
        "{status}"
    );
    assert_eq!(director.everything().await, before);
    let worker = director.workers[0].lock();
    assert_eq!(worker.count(|seen| matches!(seen, Seen::AddLaddr(..))), 0);
}

#[tokio::test]
async fn a_change_that_is_no_change_is_refused_by_its_number() {
    let director = director().await;
    let before = director.everything().await;
    let changes = vec![
        change(Change::AddService(service(VIP, 443, "rr"))),
        change(Change::AddService(service(VIP, 444, "fastest"))),
    ];
    let mut ipvs = director.ipvs().await;
    let status = ipvs.apply(tokio_stream::iter(changes)).await.unwrap_err();
    assert!(
        status
            .message()
            .starts_with("change 2: unknown scheduler 'fastest'"),
        "{status}"
    );
    let empty = ipvs
        .apply(tokio_stream::iter([v1::Change { change: None }]))
        .await;
    assert_eq!(empty.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(director.everything().await, before);
}

/// Sends 100 changes and not the end.
async fn half_a_transaction(socket: std::path::PathBuf) -> JoinHandle<Result<(), Status>> {
    let mut ipvs = IpvsServiceClient::new(connect(socket).await);
    let (send, changes) = tokio::sync::mpsc::channel(1);
    let apply = tokio::spawn(async move {
        let stream = ReceiverStream::new(changes);
        ipvs.apply(stream).await.map(|_| ())
    });
    for port in 1..=100 {
        let add = change(Change::AddService(service(VIP, port, "rr")));
        send.send(add).await.unwrap();
    }
    // The end is never sent.
    std::mem::forget(send);
    apply
}

/// On one thread: tonic's own reading of a cancelled stream shows then each time.
#[tokio::test]
async fn a_client_that_cancels_before_its_last_change_changed_nothing() {
    let director = director().await;
    let before = director.everything().await;
    let apply = half_a_transaction(director.socket.clone()).await;
    apply.abort();
    assert!(apply.await.unwrap_err().is_cancelled());
    assert_eq!(director.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_before_its_last_change_changed_nothing() {
    let director = director().await;
    let before = director.everything().await;
    let client = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let half = client.spawn(half_a_transaction(director.socket.clone()));
    half.await.unwrap();
    client.shutdown_background();
    assert_eq!(director.everything().await, before);
    // Nor does it stand in the way of others.
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 1, "rr")).await.unwrap();
}

#[tokio::test]
async fn a_listing_is_enough_to_restore_all_services() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    for (port, scheduler) in [(80, "rr"), (443, "mh"), (22, "conhash")] {
        let mut request = service(VIP, port, scheduler);
        if scheduler == "mh" {
            request.scheduler_flags = vec!["mh-fallback".into(), "mh-port".into()];
        }
        request.conn_timeout_s = port;
        ipvs.add_service(request).await.unwrap();
        for (number, real) in ["192.168.100.4", "192.168.100.2"].iter().enumerate() {
            let mut request = dest(VIP, port, real, 8080);
            let dest = request.dest.as_mut().unwrap();
            dest.weight = Some(number as u32);
            (dest.upper_threshold, dest.lower_threshold) = (100, 50);
            ipvs.add_dest(request).await.unwrap();
        }
        ipvs.add_laddr(laddr(VIP, port, LIP, "dpdk0"))
            .await
            .unwrap();
    }
    let saved: Vec<_> = director.services().await.iter().flat_map(saved).collect();
    let other = crate::common::director().await;
    other
        .ipvs()
        .await
        .apply(tokio_stream::iter(saved))
        .await
        .unwrap();
    assert_eq!(other.services().await, director.services().await);
    let ports: Vec<_> = other
        .services()
        .await
        .iter()
        .map(|service| service.key.as_ref().unwrap().port)
        .collect();
    assert_eq!(ports, [80, 443, 22], "in the order they were made");
}

const MANY_SERVICES: u32 = 10_000;
const DESTS_EACH: u32 = 100;

/// What adds so many services, each with its dests and a local address.
fn many_services() -> impl Iterator<Item = v1::Change> {
    (0..MANY_SERVICES).flat_map(|number| {
        let vip = std::net::Ipv4Addr::from(0x0A01_0000 + number).to_string();
        let added = change(Change::AddService(service(&vip, 80, "wrr")));
        let laddr = change(Change::AddLaddr(laddr(&vip, 80, LIP, "dpdk0")));
        let dests = (0..DESTS_EACH).map(move |at| {
            let real = std::net::Ipv4Addr::from(0xAC10_0000 + number * DESTS_EACH + at).to_string();
            change(Change::AddDest(dest(&vip, 80, &real, 80)))
        });
        std::iter::once(added).chain(dests).chain([laddr])
    })
}

/// How long that takes, the benches say (`cargo bench -p benches --bench control`).
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_services_of_a_hundred_dests() {
    let director = Director::start(&Setup {
        max_dests: 1 << 20,
        ..Setup::default()
    });
    let mut ipvs = director.ipvs().await;
    let changes = tokio_stream::iter(many_services());
    ipvs.apply(changes).await.unwrap();
    director
        .until_workers("all of it", |worker| {
            let services = worker.snapshot.services.iter();
            let dests: usize = services.map(|service| service.dests.len()).sum();
            dests as u32 == MANY_SERVICES * DESTS_EACH
        })
        .await;
    assert_eq!(
        director.services().await.len() as u32,
        MANY_SERVICES,
        "listed"
    );

    one_dest_of_a_million_is_edited(&director).await;

    ipvs.flush_services(v1::Empty {}).await.unwrap();
    director
        .until_workers("none left", |worker| {
            worker.snapshot.services.iter().count() == 0
        })
        .await;
    // While a million dests are closed, others are heard.
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    director
        .until_workers("a service", |worker| {
            worker.service(&core_key(VIP, 80)).is_some()
        })
        .await;
}

/// By itself, and in a transaction.
async fn one_dest_of_a_million_is_edited(director: &Director) {
    let mut ipvs = director.ipvs().await;
    let edited = |weight| {
        let mut request = dest("10.1.0.7", 80, "172.16.2.188", 80);
        request.dest.as_mut().unwrap().weight = Some(weight);
        request
    };
    ipvs.edit_dest(edited(7)).await.unwrap();
    until_a_dest_weighs(director, 7).await;
    let one = change(Change::EditDest(edited(8)));
    ipvs.apply(tokio_stream::iter([one])).await.unwrap();
    until_a_dest_weighs(director, 8).await;
}

async fn until_a_dest_weighs(director: &Director, weight: u16) {
    director
        .until_workers("the weight", |worker| {
            let service = worker.service(&core_key("10.1.0.7", 80));
            service.is_some_and(|service| service.dests.iter().any(|dest| dest.weight == weight))
        })
        .await;
}

/// `-C`, `--set` and `-Z` are part of the whole: if a later change is refused, they are undone.
#[tokio::test]
async fn flushing_and_timeouts_belong_to_the_transaction() {
    let director = director().await;
    two_arm(&director).await;
    let before = director.everything().await;
    let mut ipvs = director.ipvs().await;
    let timeouts = v1::Timeouts {
        tcp_s: 77,
        ..Default::default()
    };
    let changes = |service: &str| {
        tokio_stream::iter([
            change(Change::FlushServices(v1::Empty {})),
            change(Change::SetTimeouts(timeouts)),
            change(Change::ZeroCounters(v1::ZeroCountersRequest::default())),
            change(Change::DelService(key(service, 80))),
        ])
    };
    refused(
        ipvs.apply(changes(VIP)).await,
        Code::NotFound,
        "change 4: no service",
    );
    assert_eq!(director.everything().await, before);

    let changes = [
        change(Change::FlushServices(v1::Empty {})),
        change(Change::SetTimeouts(timeouts)),
        change(Change::AddService(service(VIP, 81, "rr"))),
    ];
    ipvs.apply(tokio_stream::iter(changes)).await.unwrap();
    let services = director.services().await;
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].key, Some(key(VIP, 81)));
    let set = ipvs.get_timeouts(v1::Empty {}).await.unwrap().into_inner();
    assert_eq!(set.tcp_s, 77);
}

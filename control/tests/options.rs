//! What a service asks of its conns, and whom it serves.

use crate::common::*;
use ipvs_core::{
    DestId, Persistence, Protocol, ProxyProtocol, ServiceKey, ServiceOptions, SynProxy,
};
use packet::proxy::Version;
use proto::v1;
use tonic::Code;

const USE_DR_OR_TUNNEL: &str = "use `FWD_MODE_DR` (DR) or `FWD_MODE_TUNNEL` (tunnel)";

fn with(change: impl FnOnce(&mut v1::VirtualService)) -> v1::VirtualService {
    let mut message = service(VIP, 80, "rr");
    change(&mut message);
    message
}

fn udp(change: impl FnOnce(&mut v1::VirtualService)) -> v1::VirtualService {
    with(|service| {
        service.key.as_mut().unwrap().protocol = v1::Protocol::Udp.into();
        change(service);
    })
}

/// DPVS puts a header into the first datagram alone, and so does a client that does not know the
/// field.
#[tokio::test]
async fn which_datagrams_have_a_proxy_header_reaches_the_workers_and_is_listed() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    for (asked, shown, each) in [
        ("", "first", false),
        ("first", "first", false),
        ("each", "each", true),
    ] {
        let service = udp(|service| {
            service.proxy_protocol = "v2".into();
            service.proxy_protocol_udp = asked.into();
        });
        let key = service.key.clone().unwrap();
        ipvs.add_service(service).await.unwrap();
        let core_key = ServiceKey {
            protocol: Protocol::Udp,
            ..core_key(VIP, 80)
        };
        director
            .until_workers("the option", |worker| {
                let service = worker.service(&core_key);
                service
                    .and_then(|service| service.options.proxy_protocol)
                    .is_some_and(|proxy| proxy.is_in_each_datagram == each)
            })
            .await;
        let listed = director.services().await.remove(0);
        assert_eq!(listed.proxy_protocol_udp, shown);
        ipvs.del_service(key).await.unwrap();
    }
}

#[tokio::test]
async fn options_reach_the_workers_and_are_listed_as_given() {
    let director = director().await;
    let asked = with(|service| {
        service.persistence_s = 600;
        service.persistence_prefix_len = 24;
        service.expire_quiescent = true;
        service.no_adopt = true;
        service.conn_limit = 1000;
        service.conn_rate_limit = 50;
        service.proxy_protocol = "v2-insecure".into();
        service.syn_proxy = true;
        service.syn_proxy_above = 1000;
        service.conn_timeout_s = 90;
    });
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(asked.clone()).await.unwrap();
    let expected = ServiceOptions {
        conn_timeout_s: Some(90),
        persistence: Some(Persistence {
            timeout_s: 600,
            prefix_len: 24,
        }),
        is_one_packet: false,
        expires_quiescent: true,
        refuses_adoption: true,
        conn_limit: Some(1000),
        conn_rate_limit: Some(50),
        proxy_protocol: Some(ProxyProtocol {
            version: Version::V2,
            is_insecure: true,
            is_in_each_datagram: false,
        }),
        syn_proxy: Some(SynProxy::Above(1000)),
        uoa: None,
    };
    director
        .until_workers("the options", |worker| {
            let service = worker.service(&core_key(VIP, 80));
            service.is_some_and(|service| service.options == expected)
        })
        .await;
    let shown = director.services().await.remove(0);
    let answers = v1::VirtualService {
        counters: None,
        rates: None,
        ..shown
    };
    assert_eq!(answers, asked);
    // -E says all anew.
    ipvs.edit_service(with(|service| service.persistence_s = 5))
        .await
        .unwrap();
    let edited = director.services().await.remove(0);
    assert_eq!(
        (edited.persistence_s, edited.persistence_prefix_len),
        (5, 32)
    );
    assert_eq!((edited.conn_limit, edited.expire_quiescent), (0, false));
}

#[tokio::test]
async fn options_that_cannot_work_are_refused() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    for (message, words) in [
        (
            with(|service| service.persistence_s = 31 * 86_400 + 1),
            "at most 2678400",
        ),
        (
            with(|service| service.persistence_prefix_len = 24),
            "give `VirtualService.persistence_s` too",
        ),
        (
            with(|service| {
                service.persistence_s = 1;
                service.persistence_prefix_len = 33;
            }),
            "1 to 32",
        ),
        (with(|service| service.one_packet = true), "is for UDP"),
        (
            with(|service| service.key.as_mut().unwrap().port = 0),
            "port 0 (any port) needs persistence",
        ),
        (
            with(|service| service.uoa = "opp".into()),
            "to TCP, TOA tells the same",
        ),
        (
            with(|service| service.uoa = "xxx".into()),
            "ipo (an IP option) or opp",
        ),
        (
            with(|service| service.proxy_protocol = "v3".into()),
            "one of disable, v1, v2",
        ),
        (
            with(|service| {
                service.proxy_protocol = "v1".into();
                service.key.as_mut().unwrap().protocol = v1::Protocol::Udp.into();
            }),
            "use `VirtualService.proxy_protocol=v2`",
        ),
        (
            with(|service| {
                service.proxy_protocol = "v2".into();
                service.key.as_mut().unwrap().protocol = v1::Protocol::Sctp.into();
            }),
            "is for TCP and UDP",
        ),
        (
            with(|service| {
                service.proxy_protocol = "v2".into();
                service.proxy_protocol_udp = "each".into();
            }),
            "`VirtualService.proxy_protocol_udp` is for UDP services",
        ),
        (
            udp(|service| service.proxy_protocol_udp = "each".into()),
            "give `VirtualService.proxy_protocol=v2` too",
        ),
        (
            udp(|service| {
                service.proxy_protocol = "v2".into();
                service.proxy_protocol_udp = "all".into();
            }),
            "unknown `VirtualService.proxy_protocol_udp` 'all': it is each or first",
        ),
    ] {
        refused(
            ipvs.add_service(message).await,
            Code::InvalidArgument,
            words,
        );
    }
    assert!(director.services().await.is_empty());
}

#[tokio::test]
async fn modes_that_cannot_do_what_a_service_asks_are_refused() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(with(|service| service.proxy_protocol = "v2".into()))
        .await
        .unwrap();
    let mut direct = dest(VIP, 80, "192.168.100.2", 80);
    direct.dest.as_mut().unwrap().fwd_mode = v1::FwdMode::Dr.into();
    ipvs.edit_service(with(|service| service.syn_proxy = true))
        .await
        .unwrap();
    let result = ipvs.add_dest(direct.clone()).await;
    refused(
        result,
        Code::InvalidArgument,
        "which DR (`FWD_MODE_DR`) does not see",
    );
    ipvs.edit_service(with(|service| service.proxy_protocol = "v2".into()))
        .await
        .unwrap();
    let result = ipvs.add_dest(direct).await;
    refused(
        result,
        Code::InvalidArgument,
        "passes packets on as they are",
    );
}

#[tokio::test]
async fn a_dest_of_a_service_on_any_port_must_have_port_0() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let any_port = with(|service| {
        service.key.as_mut().unwrap().port = 0;
        service.persistence_s = 300;
    });
    ipvs.add_service(any_port).await.unwrap();
    let real = dest(VIP, 0, "192.168.100.2", 80);
    let result = ipvs.add_dest(real).await;
    refused(
        result,
        Code::InvalidArgument,
        "`Dest.address=192.168.100.2 Dest.port=0`",
    );
    ipvs.add_dest(dest(VIP, 0, "192.168.100.2", 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn udp_options_that_need_a_fwdmode_are_checked_for_each_edit_of_service_and_dest() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let mut datagrams = with(|service| service.one_packet = true);
    datagrams.key.as_mut().unwrap().protocol = v1::Protocol::Udp.into();
    let key = datagrams.key.clone();
    ipvs.add_service(datagrams.clone()).await.unwrap();
    let real = v1::DestRequest {
        service: key,
        dest: Some(a_dest("192.168.100.2", 80)),
    };
    let result = ipvs.add_dest(real.clone()).await;
    refused(result, Code::InvalidArgument, USE_DR_OR_TUNNEL);
    // UOA asks for FullNAT, and for IPv4 if it is an option of that.
    let mut told = datagrams.clone();
    (told.one_packet, told.uoa) = (false, "ipo".into());
    ipvs.edit_service(told).await.unwrap();
    let mut other = real.clone();
    other.dest.as_mut().unwrap().address = ip("2001:db8::2");
    let result = ipvs.add_dest(other).await;
    refused(
        result,
        Code::InvalidArgument,
        "use `VirtualService.uoa=opp`",
    );
    datagrams.one_packet = false;
    ipvs.edit_service(datagrams.clone()).await.unwrap();
    ipvs.add_dest(real).await.unwrap();
    datagrams.one_packet = true;
    let result = ipvs.edit_service(datagrams).await;
    refused(result, Code::InvalidArgument, USE_DR_OR_TUNNEL);
}

fn access(list: v1::AccessList, addr: &str, prefix_len: u32) -> v1::AccessEntry {
    v1::AccessEntry {
        service: Some(key(VIP, 80)),
        list: list.into(),
        address: ip(addr),
        prefix_len: Some(prefix_len),
    }
}

#[tokio::test]
async fn deny_and_allow_lists_are_stored_listed_and_published() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let denied = access(v1::AccessList::Deny, "192.0.2.0", 24);
    refused(
        ipvs.add_access(denied.clone()).await,
        Code::NotFound,
        "no service",
    );
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    ipvs.add_access(denied.clone()).await.unwrap();
    let allowed = access(v1::AccessList::Allow, "2001:db8::1", 128);
    ipvs.add_access(allowed.clone()).await.unwrap();
    refused(
        ipvs.add_access(denied.clone()).await,
        Code::AlreadyExists,
        "192.0.2.0/24 is on the deny list",
    );
    refused(
        ipvs.add_access(access(v1::AccessList::Deny, "192.0.2.1", 33))
            .await,
        Code::InvalidArgument,
        "0 to 32",
    );
    director
        .until_workers("the lists", |worker| {
            worker.service(&core_key(VIP, 80)).is_some_and(|service| {
                let denies = service.access.deny.as_ref();
                denies.is_some_and(|list| list.contains("192.0.2.9".parse().unwrap()))
            })
        })
        .await;
    let all = v1::ListServicesRequest::default();
    let stream = ipvs.list_access(all).await.unwrap().into_inner();
    use tokio_stream::StreamExt;
    let shown: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(shown, [denied.clone(), allowed]);
    let before = director.workers[0].lock().snapshot.net.generation;
    ipvs.del_access(denied.clone()).await.unwrap();
    refused(
        ipvs.del_access(denied).await,
        Code::NotFound,
        "`ListAccess ACCESS_LIST_DENY` shows it",
    );
    director
        .until_workers("no deny list", |worker| {
            let service = worker.service(&core_key(VIP, 80));
            let looks_again = worker.snapshot.net.generation != before;
            looks_again && service.is_some_and(|service| service.access.deny.is_none())
        })
        .await;
}

fn ends(worker: &WorkerState, id: u32) -> usize {
    worker.count(|seen| matches!(seen, Seen::EndConns(dest) if *dest == DestId(id)))
}

#[tokio::test]
async fn a_dest_that_becomes_quiescent_loses_its_conns_if_its_service_says_so() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(with(|service| service.expire_quiescent = true))
        .await
        .unwrap();
    let mut real = dest(VIP, 80, "192.168.100.2", 80);
    ipvs.add_dest(real.clone()).await.unwrap();
    real.dest.as_mut().unwrap().weight = Some(0);
    ipvs.edit_dest(real).await.unwrap();
    director
        .until_workers("the end of its conns", |worker| ends(worker, 0) == 1)
        .await;
    // A service that begins to, too.
    ipvs.edit_service(with(|_| {})).await.unwrap();
    ipvs.edit_service(with(|service| service.expire_quiescent = true))
        .await
        .unwrap();
    director
        .until_workers("the end of its conns", |worker| ends(worker, 1) == 1)
        .await;
}

#[tokio::test]
async fn a_dest_drains_until_its_deadline() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    let mut real = dest(VIP, 80, "192.168.100.2", 80);
    ipvs.add_dest(real.clone()).await.unwrap();
    real.dest.as_mut().unwrap().drain_s = 1;
    refused(
        ipvs.edit_dest(real.clone()).await,
        Code::InvalidArgument,
        "give `Dest.weight=0` beside `Dest.drain_s`",
    );
    real.dest.as_mut().unwrap().weight = Some(0);
    ipvs.edit_dest(real.clone()).await.unwrap();
    assert_eq!(director.services().await[0].dests[0].drain_s, 1);
    director
        .until_workers("its deadline", |worker| ends(worker, 0) == 1)
        .await;
    assert_eq!(director.services().await[0].dests[0].drain_s, 0);
    // One that gets weight again keeps its conns.
    real.dest.as_mut().unwrap().drain_s = 1000;
    ipvs.edit_dest(real.clone()).await.unwrap();
    real.dest.as_mut().unwrap().weight = Some(1);
    real.dest.as_mut().unwrap().drain_s = 0;
    ipvs.edit_dest(real).await.unwrap();
    assert_eq!(director.services().await[0].dests[0].drain_s, 0);
}

//! Lists of conns: long, filtered, from workers that do not answer, for clients that go away.

use std::net::{IpAddr, Ipv4Addr};

use crate::common::*;
use ipvs_core::{ConnInfo, Protocol};
use proto::v1;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

fn conn(client: u32, vport: u16) -> ConnInfo {
    ConnInfo {
        protocol: Protocol::Tcp,
        state: "ESTABLISHED",
        expires_in_s: 90,
        caddr: (IpAddr::V4(Ipv4Addr::from(0x0A00_0100 + client)), 5000),
        vaddr: (VIP.parse().unwrap(), vport),
        laddr: (LIP.parse().unwrap(), 1025),
        daddr: ([192, 168, 100, 2].into(), 80),
    }
}

async fn list(director: &Director, request: v1::ListConnsRequest) -> Result<Vec<v1::Conn>, Status> {
    let mut stream = director
        .ipvs()
        .await
        .list_conns(request)
        .await?
        .into_inner();
    let mut conns = Vec::new();
    while let Some(conn) = stream.next().await {
        conns.push(conn?);
    }
    Ok(conns)
}

#[tokio::test]
async fn all_conns_of_all_workers_come_page_by_page() {
    let director = director().await;
    for (worker, count) in director.workers.iter().zip([1000, 257]) {
        worker.lock().conns = (0..count).map(|client| conn(client, 80)).collect();
    }
    director.workers[1].lock().conns.push(conn(3, 443));
    let all = list(&director, v1::ListConnsRequest::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 1258);
    assert_eq!(all.iter().filter(|conn| conn.lcore == 1).count(), 1000);
    let of_service = v1::ListConnsRequest {
        service: Some(key(VIP, 443)),
        ..Default::default()
    };
    assert_eq!(list(&director, of_service).await.unwrap().len(), 1);
    let of_client = v1::ListConnsRequest {
        client: ip("10.0.1.3"),
        client_port: 5000,
        ..Default::default()
    };
    assert_eq!(list(&director, of_client).await.unwrap().len(), 3);
    let of_lcore = |lcore| v1::ListConnsRequest {
        lcore: Some(lcore),
        ..Default::default()
    };
    assert_eq!(list(&director, of_lcore(1)).await.unwrap().len(), 1000);
    assert_eq!(list(&director, of_lcore(2)).await.unwrap().len(), 258);
    // iqiyi/dpvs#568: an lcore without a worker ended the process.
    let refusal = list(&director, of_lcore(99)).await.unwrap_err();
    assert_eq!(
        (refusal.code(), refusal.message()),
        (
            Code::NotFound,
            "no worker 'cpu99': the workers are cpu1, cpu2"
        )
    );
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_named_and_holds_up_nobody_else() {
    let director = director().await;
    director.workers[0].lock().conns = vec![conn(1, 80)];
    director.workers[1].lock().stalled = true;
    let listing = list(&director, v1::ListConnsRequest::default());
    let changing = async {
        let mut ipvs = director.ipvs().await;
        ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
        until("the other worker goes on", || {
            director.workers[0]
                .lock()
                .service(&core_key(VIP, 80))
                .is_some()
        })
        .await;
    };
    let (listed, ()) = tokio::join!(listing, changing);
    let status = listed.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("cpu2"), "{status}");
    director.workers[1].lock().stalled = false;
    assert_eq!(
        list(&director, v1::ListConnsRequest::default())
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn clients_that_go_away_in_the_middle_of_a_list_change_nothing() {
    let director = director().await;
    for worker in &director.workers {
        worker.lock().conns = (0..20_000).map(|client| conn(client, 80)).collect();
    }
    for _ in 0..10 {
        let mut ipvs = director.ipvs().await;
        let request = v1::ListConnsRequest::default();
        let mut stream = ipvs.list_conns(request).await.unwrap().into_inner();
        assert!(stream.next().await.unwrap().is_ok());
    }
    let all = list(&director, v1::ListConnsRequest::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 40_000);
}

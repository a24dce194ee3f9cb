//! Counters and rates: read where workers write them.

use crate::common::*;
use ipvs_core::DestId;
use proto::v1;

fn count(director: &Director, dest: u32, conns: u64) {
    for stats in &director.stats {
        let stats = stats.dest(DestId(dest));
        stats.conns.add(conns);
        stats.in_packets.add(conns * 10);
    }
}

async fn conns(director: &Director) -> (u64, Vec<u64>) {
    let services = director.services().await;
    let of = |counters: &Option<v1::Counters>| counters.as_ref().unwrap().conns;
    let dests = services[0].dests.iter().map(|dest| of(&dest.counters));
    (of(&services[0].counters), dests.collect())
}

#[tokio::test]
async fn a_service_counts_what_its_dests_count_those_that_are_gone_too() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    for real in ["192.168.100.2", "192.168.100.4"] {
        ipvs.add_dest(dest(VIP, 80, real, 80)).await.unwrap();
    }
    count(&director, 0, 5);
    count(&director, 1, 3);
    assert_eq!(conns(&director).await, (16, vec![10, 6]));

    ipvs.del_dest(dest(VIP, 80, "192.168.100.2", 80))
        .await
        .unwrap();
    assert_eq!(conns(&director).await, (16, vec![6]));

    // Its number's next owner begins at zero.
    let mut next = 5;
    let deadline = std::time::Instant::now() + PATIENCE;
    while !director.workers[0]
        .lock()
        .snapshot
        .services
        .iter()
        .any(|service| service.dests.iter().any(|dest| dest.id == DestId(0)))
    {
        assert!(
            std::time::Instant::now() < deadline,
            "number 0 was never used again"
        );
        next += 1;
        let another = dest(VIP, 80, "192.168.100.9", next);
        ipvs.add_dest(another).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(conns(&director).await.0, 16);

    let other = v1::ZeroCountersRequest {
        key: Some(key(VIP, 81)),
    };
    ipvs.zero_counters(other).await.unwrap_err();
    assert_eq!(conns(&director).await.0, 16);
    ipvs.zero_counters(v1::ZeroCountersRequest { key: None })
        .await
        .unwrap();
    assert_eq!(conns(&director).await.0, 0);
    count(&director, 1, 1);
    assert_eq!(conns(&director).await.0, 2);
}

#[tokio::test]
async fn rates_are_per_second_over_the_time_that_passed() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    ipvs.add_dest(dest(VIP, 80, "192.168.100.2", 80))
        .await
        .unwrap();
    count(&director, 0, 100_000);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let services = director.services().await;
        let rates = services[0].rates.unwrap();
        assert_eq!(services[0].dests[0].rates, services[0].rates);
        if rates.conns > 0 {
            // 200,000 within at most the time since they were counted and at least half a second.
            assert!((10_000..=400_000).contains(&rates.conns), "{rates:?}");
            assert!(rates.in_packets.abs_diff(rates.conns * 10) <= 10);
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "no rate was ever shown"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn memory_is_listed_by_pool_and_by_worker() {
    let director = director().await;
    two_arm(&director).await;
    let channel = director.connect().await;
    let mut client = v1::memory_service_client::MemoryServiceClient::new(channel);
    let memory = client.show_memory(v1::Empty {}).await.unwrap().into_inner();
    assert_eq!(
        (&*memory.pools[0].name, memory.pools[0].used),
        ("mbufs", 10)
    );
    assert_eq!(memory.workers.len(), 2);
    let worker = &memory.workers[0];
    assert_eq!((worker.max_conns, worker.conn_table_bytes), (1000, 94_000));
    // 64 bytes for each of the 1000 dests there is room for.
    assert!(worker.counter_bytes > 64_000);
    // One local address: every other port is this worker's, towards each of 16 classes of dests.
    let bits = 16 * 64_511 / 2;
    assert!(worker.local_port_bytes > bits / 8 && worker.local_port_bytes < bits / 6);
}

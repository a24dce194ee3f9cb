//! Mbufs and queues on DPDK's software ports: nothing is lost, nothing freed twice.
//!
//! EAL starts once per process, so the second test starts a process of its own.

use std::error::Error;
use std::process::Command;

use dpdk::{Burst, Eal, LcoreId, Mempool, Port, PortConfig};
use packet::PacketBuf;

const MBUFS: u32 = 1023;

#[test]
fn packets_are_received_and_sent_and_every_mbuf_is_freed() -> Result<(), Box<dyn Error>> {
    let args = "dpdk-test --no-huge --no-shconf --no-telemetry -m 64 --no-pci --lcores 0@0,1@0 \
                --log-level error --vdev net_null0,size=64 --vdev net_null1,size=64,no-rx=1";
    let eal = Eal::init(
        &args
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )?;
    assert!(Eal::init(&[]).is_err(), "a second start is refused");
    assert_eq!(eal.worker_lcores(), [LcoreId(1)]);

    // No per-lcore cache, so that the pool's count is exact.
    let pool = Mempool::new("test", MBUFS, 0, 2048, -1)?;
    packets_have_room_at_both_ends(&pool);
    assert_eq!(pool.available(), MBUFS);
    all_pools_are_listed(&pool);

    let config = PortConfig {
        rss_key: None,
        queues: 1,
        rx_desc: 256,
        tx_desc: 256,
        mtu: 1500,
        promiscuous: false,
    };
    let mut source = Port::by_name("net_null0")?;
    let mut sink = Port::by_name("net_null1")?;
    source.start(&config, &pool)?;
    sink.start(&config, &pool)?;
    assert!(Port::by_name("net_null7").is_err());
    let (mut rx, _) = source.take_queues(dpdk::QueueId(0)).ok_or("a queue")?;
    assert!(
        source.take_queues(dpdk::QueueId(0)).is_none(),
        "a queue is handed out once"
    );
    let (_, mut tx) = sink.take_queues(dpdk::QueueId(0)).ok_or("a queue")?;

    let mut burst = Burst::new();
    for _ in 0..100 {
        assert_eq!(rx.burst(&mut burst), 64, "net_null always has packets");
        assert_eq!(burst.bytes(), 64 * 64);
        assert_eq!(tx.burst(&mut burst), 0, "net_null takes all");
        assert!(burst.is_empty());
    }
    assert_eq!(pool.available(), MBUFS);

    rx.burst(&mut burst);
    let first = burst.drain().next();
    assert_eq!(
        pool.available(),
        MBUFS - 1,
        "the packets that were not drained are free, the first is still ours"
    );
    drop(first);
    rx.burst(&mut burst);
    drop(burst);
    assert_eq!(pool.available(), MBUFS);
    a_worker_runs_what_it_is_given(&eal)
}

fn all_pools_are_listed(pool: &Mempool) {
    let packet = pool.alloc();
    let shapes = dpdk::mempool::all_pools();
    let ours = shapes.iter().find(|shape| shape.name == "test");
    assert_eq!(ours.map(|shape| (shape.size, shape.used)), Some((MBUFS, 1)));
    // An mbuf, its headroom and its data room, and what the pool keeps around it.
    let least = u64::from(MBUFS) * (128 + 128 + 2048);
    assert!(ours.is_some_and(|shape| shape.memory_bytes > least));
    drop(packet);
}

fn packets_have_room_at_both_ends(pool: &Mempool) {
    let mut packet = pool.alloc_from(b"abc").expect("an mbuf");
    assert!(packet.prepend(2) && packet.append(1));
    assert_eq!(packet.bytes().len(), 6);
    assert_eq!(packet.bytes()[2..5], *b"abc");
    assert!(
        !packet.prepend(127),
        "the headroom is 128 bytes, of which 2 are in use"
    );
    assert!(!packet.append(2048));
    packet.trim_front(2);
    packet.truncate(3);
    assert_eq!(packet.bytes(), b"abc");
    packet.set_mark(7);
    assert_eq!(packet.mark(), 7);
    let all: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!(all.len() as u32, MBUFS - 1);
    assert!(pool.alloc_from(b"x").is_none());
}

fn a_worker_runs_what_it_is_given(eal: &Eal) -> Result<(), Box<dyn Error>> {
    let (send, receive) = std::sync::mpsc::channel();
    eal.launch(
        LcoreId(1),
        Box::new(move || send.send(42).expect("the test waits")),
    )?;
    assert_eq!(receive.recv()?, 42);
    eal.wait(LcoreId(1));
    assert!(eal.launch(LcoreId(99), Box::new(|| ())).is_err());
    Ok(())
}

/// This environment variable tells the test below that it is the process that has to die.
const DIE: &str = "DPVS_TEST_WORKER_PANICS";

#[test]
fn a_worker_that_panics_takes_the_process_down() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(DIE).is_some() {
        let args = "t --no-huge --no-shconf --no-telemetry -m 64 --no-pci --lcores 0@0,1@0 \
                    --log-level error";
        let eal = Eal::init(
            &args
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )?;
        eal.launch(LcoreId(1), Box::new(|| assert_eq!(1, 2, "on purpose")))?;
        eal.wait(LcoreId(1));
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    let output = command
        .args([
            "--exact",
            "a_worker_that_panics_takes_the_process_down",
            "--nocapture",
        ])
        .env(DIE, "1")
        .output()?;
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("on purpose"),
        "the panic is reported"
    );
    Ok(())
}

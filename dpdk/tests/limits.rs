//! What callers and peers may get wrong: numbers out of range, a port looked up twice, frames
//! longer than an mbuf, a queue that is full. It is one test function because EAL starts once per
//! process.

use std::error::Error;
use std::fs;
use std::path::Path;

use dpdk::{Burst, Eal, LcoreId, Mempool, Port, PortConfig};
use packet::PacketBuf;

const MBUFS: u32 = 4095;
/// Bytes of a frame of which one mbuf holds 2048.
const LONG_FRAME: usize = 6000;
/// Slots of net_ring's queues. One of them always stays empty.
const RING: u32 = 1024;

const CONFIG: PortConfig = PortConfig {
    rss_key: None,
    queues: 1,
    rx_desc: 256,
    tx_desc: 256,
    mtu: 1500,
    promiscuous: false,
};

#[test]
fn mistakes_of_callers_and_peers_break_nothing() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let capture = folder.path().join("long.pcap");
    write_capture(&capture)?;
    let args = format!(
        "dpdk-test --no-huge --no-shconf --no-telemetry -m 64 --no-pci --lcores 0@0,1@0 \
         --log-level error \
         --vdev net_ring0 --vdev net_ring1 --vdev net_pcap0,rx_pcap={},tx_pcap={}",
        capture.display(),
        folder.path().join("out.pcap").display()
    );
    let eal = Eal::init(
        &args
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )?;
    lcores_that_do_not_exist_are_refused(&eal);
    let pool = Mempool::new("test", MBUFS, 0, 1514, -1)?;
    a_port_has_one_owner(&pool)?;
    a_frame_longer_than_an_mbuf_is_cut(&pool)?;
    what_a_full_queue_does_not_take_is_freed(&pool)?;
    assert_eq!(pool.available(), MBUFS);
    Ok(())
}

/// A capture in the format of pcap-savefile(5), microseconds, Ethernet, with one frame.
fn write_capture(path: &Path) -> std::io::Result<()> {
    let mut file = Vec::new();
    let header = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1];
    let record = [0, 0, LONG_FRAME as u32, LONG_FRAME as u32];
    for word in header.into_iter().chain(record) {
        file.extend(word.to_le_bytes());
    }
    file.resize(file.len() + LONG_FRAME, 0x41);
    fs::write(path, file)
}

fn lcores_that_do_not_exist_are_refused(eal: &Eal) {
    for lcore in [0, 99, 5_000_000, u32::MAX].map(LcoreId) {
        assert!(eal.launch(lcore, Box::new(|| ())).is_err(), "{lcore}");
        eal.wait(lcore);
        assert!(eal.socket_of(lcore) <= 0, "{lcore}");
    }
}

fn a_port_has_one_owner(pool: &Mempool) -> Result<(), Box<dyn Error>> {
    assert!(Port::by_name("net_ring7").is_err());
    let mut port = Port::by_name("net_ring0")?;
    let again = Port::by_name("net_ring0")
        .err()
        .ok_or("it has a second owner")?;
    assert!(again.to_string().contains("in use"), "{again}");
    port.start(&CONFIG, pool)?;
    let _queues = port.take_queues(dpdk::QueueId(0)).ok_or("a queue")?;
    port.stop();
    assert!(
        port.start(&CONFIG, pool).is_err(),
        "the queues of the first start are still out"
    );
    Ok(())
}

fn a_frame_longer_than_an_mbuf_is_cut(pool: &Mempool) -> Result<(), Box<dyn Error>> {
    let mut port = Port::by_name("net_pcap0")?;
    port.start(&CONFIG, pool)?;
    let (mut rx, mut tx) = port.take_queues(dpdk::QueueId(0)).ok_or("a queue")?;
    let mut burst = Burst::new();
    assert_eq!(rx.burst(&mut burst), 1);
    assert_eq!(pool.in_use(), 1, "the rest of the chain went back");
    let mut packet = burst.drain().next().ok_or("a packet")?;
    assert_eq!(packet.bytes().len(), 2048);
    packet.truncate(60);
    burst.push(packet);
    assert_eq!(burst.bytes(), 60);
    assert_eq!(tx.burst(&mut burst), 0);
    assert_eq!(port.stats().obytes, 60, "no byte of the chain left");
    Ok(())
}

fn what_a_full_queue_does_not_take_is_freed(pool: &Mempool) -> Result<(), Box<dyn Error>> {
    let mut port = Port::by_name("net_ring1")?;
    port.start(&CONFIG, pool)?;
    let (mut rx, mut tx) = port.take_queues(dpdk::QueueId(0)).ok_or("a queue")?;
    let (mut burst, mut sent, mut unsent) = (Burst::new(), 0, 0);
    for _ in 0..20 {
        while !burst.is_full() {
            burst.push(pool.alloc_from(&[0x41; 60]).ok_or("an mbuf")?);
        }
        let left = tx.burst(&mut burst) as u32;
        assert!(burst.is_empty());
        sent += 64 - left;
        unsent += left;
    }
    assert_eq!((sent, unsent), (RING - 1, 20 * 64 - (RING - 1)));
    assert_eq!(pool.in_use(), sent, "what was not sent is free again");
    let mut received = 0;
    while rx.burst(&mut burst) > 0 {
        received += burst.len() as u32;
        assert!(burst.drain().all(|packet| packet.bytes() == [0x41; 60]));
    }
    assert_eq!(received, sent);
    Ok(())
}

//! DPDK as the bench uses it: two ports that drop what they are given, and for each capture file a
//! port that plays it over and over.

use std::path::{Path, PathBuf};

use dpdk::{Burst, Eal, Mbuf, Mempool, Port, PortConfig, RxQueue};
use ipvs_core::{Engine, Now, Origin};
use packet::PortId;

use benches::director::WAN_MAC;
use benches::frames::{self, Frame, VIP, client, udp};

use super::sink::{Out, Recorder, Sink};
use crate::error::Error;
use crate::timing::Core;

/// Mbufs beside those of the capture files, for caches and bursts.
pub(crate) const SPARE_MBUFS: u32 = 32_768;
/// Bytes of an mbuf with its headers, rounded up.
pub(crate) const MBUF_BYTES: u64 = 2560;
/// Memory that DPDK needs beside mbufs.
const EAL_MB: u64 = 256;
/// The seed of the order in which flows come from the wire. Conns are made in another order, so
/// that packets which follow each other have conns far apart.
const WIRE_ORDER: u64 = 2;

/// A port that plays one UDP frame of each of its flows, over and over.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The number of flows
    pub flows: u32,
    /// The port that its packets are received by
    pub port: PortId,
    /// The queue that they are received from
    pub rx: RxQueue,
}

/// All ports, started.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Where packets leave
    pub sink: Sink,
    /// The port towards the clients, for frames that do not come from a capture file
    pub wan_port: PortId,
    /// A port for each capture file
    pub wires: Vec<Wire>,
    /// The core that the worker runs on
    pub core: Core,
    started: u64,
    hz: u64,
}

impl Lab {
    /// Starts EAL on a CPU, with a capture file for each of `flows`.
    pub(crate) fn start(flows: &[u32], cpu: u32, hugepages: bool) -> Result<Self, Error> {
        let captures = flows
            .iter()
            .map(|&flows| Capture::new(flows))
            .collect::<Result<Vec<_>, _>>()?;
        let mbufs = flows.iter().sum::<u32>() + SPARE_MBUFS;
        Eal::init(&eal_args(mbufs, cpu, hugepages, &captures))?;
        let pool = Mempool::new("bench", mbufs, 512, 2048, -1)?;
        let (lan_port, _, lan) = start_port("net_null0", &pool)?;
        let (wan_port, _, wan) = start_port("net_null1", &pool)?;
        let mut wires = Vec::new();
        for (number, &flows) in flows.iter().enumerate() {
            let (port, rx, _) = start_port(&format!("net_pcap{number}"), &pool)?;
            wires.push(Wire { flows, port, rx });
        }
        Ok(Self {
            sink: Sink {
                lan,
                wan,
                lan_port,
                pool,
                events: None,
            },
            wan_port,
            wires,
            core: Core::calibrated(),
            started: dpdk::tsc::rdtsc(),
            hz: dpdk::tsc::tsc_hz(),
        })
    }

    /// The time, read as the daemon reads it.
    #[inline]
    pub(crate) fn now(&self) -> Now {
        let counts = dpdk::tsc::rdtsc() - self.started;
        Now {
            ns: (u128::from(counts) * 1_000_000_000 / u128::from(self.hz)) as u64 + 1_000_000_000,
        }
    }

    /// Sends frames through the engine once. Returns what the engine sent, in order.
    pub(crate) fn play(
        &self,
        engine: &mut Engine<Mbuf>,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Vec<Frame> {
        let mut frames = frames.into_iter().peekable();
        let mut recorder = Recorder { frames: Vec::new() };
        let mut burst = Burst::new();
        while frames.peek().is_some() {
            while !burst.is_full()
                && let Some(frame) = frames.next()
                && let Some(mut packet) = self.sink.pool.alloc_from(&frame.bytes)
            {
                packet.set_port(frame.port);
                burst.push(packet);
            }
            engine.process(self.now(), Origin::Nic, burst.drain(), &mut recorder);
        }
        recorder.frames
    }
}

fn start_port(name: &str, pool: &Mempool) -> Result<(PortId, RxQueue, Out), Error> {
    let config = PortConfig {
        queues: 1,
        rx_desc: 512,
        tx_desc: 512,
        mtu: 1500,
        promiscuous: false,
        rss_key: None,
    };
    let mut port = Port::by_name(name)?;
    port.start(&config, pool)?;
    let (rx, tx) = port
        .take_queues(dpdk::QueueId(0))
        .ok_or_else(|| format!("{name} has no queue"))?;
    Ok((port.id(), rx, Out::new(tx)))
}

fn eal_args(mbufs: u32, cpu: u32, hugepages: bool, captures: &[Capture]) -> Vec<String> {
    let memory_mb = EAL_MB + u64::from(mbufs) * MBUF_BYTES / (1 << 20);
    let pages = if hugepages {
        "--in-memory"
    } else {
        "--no-huge --no-shconf --no-telemetry"
    };
    let mut args = format!(
        "dpvs-bench {pages} -m {memory_mb} --no-pci --lcores 0@{cpu} --log-level error \
         --vdev net_null0,size=60,no-rx=1 --vdev net_null1,size=60,no-rx=1"
    );
    for (number, Capture(path)) in captures.iter().enumerate() {
        args += &format!(
            " --vdev net_pcap{number},rx_pcap={},infinite_rx=1",
            path.display()
        );
    }
    args.split_whitespace().map(str::to_owned).collect()
}

/// A capture file that is removed with the value. net_pcap reads it once, when the port is started.
#[derive(Debug)]
pub(crate) struct Capture(PathBuf);

impl Capture {
    /// Writes a file with one UDP frame of each flow.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn new(flows: u32) -> std::io::Result<Self> {
        let name = format!("dpvs-bench-{}-{flows}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        let order = frames::shuffled(flows, WIRE_ORDER).into_iter();
        let datagrams = order.map(|flow| udp(client(flow), VIP, WAN_MAC));
        frames::write_capture(&path, datagrams)?;
        Ok(Self(path))
    }
}

impl Capture {
    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! FullNAT beside macswap, in turns of a few milliseconds on the same ports in one process: what the
//! machine does meanwhile happens to both. Port 1 plays captured frames for ever (net_pcap), port 0
//! swallows what it is given (net_null).

mod director;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dpdk::{Burst, Eal, Mempool, Port, PortConfig, RxQueue};
use ipvs_core::{Engine, Now, Origin};
use packet::{MacAddr, PacketBuf};
use serde_json::json;

use director::{Ports, Sink};

type Error = Box<dyn std::error::Error>;

/// How many flows the bench has by default.
const FLOWS: u32 = 100_000;
/// A turn of either side.
const TURN_MS: u64 = 4;
/// net_pcap's port has no fixed MAC address: frames are sent to whatever it is, read at the start.
const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// FullNAT's cost per packet, measured beside macswap.
#[derive(Debug, Parser)]
#[command(name = "dpvs-bench")]
struct Cli {
    /// Distinct client flows
    #[arg(long, default_value_t = FLOWS)]
    flows: u32,
    /// How long to measure
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// The CPU to measure on
    #[arg(long, default_value_t = 1)]
    cpu: u32,
    /// Use hugepages: as many must be free as the frames need
    #[arg(long)]
    huge: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dpvs-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Both sides of the comparison on the same queues.
struct Bench {
    rx: RxQueue,
    sink: Sink,
    engine: Engine<dpdk::Mbuf>,
    hz: u64,
}

fn run(cli: &Cli) -> Result<(), Error> {
    let capture = Capture::new(cli.flows)?;
    let eal = Eal::init(&eal_args(cli, &capture))?;
    let _ = eal;
    let pool = Mempool::new("bench", mbufs_for(cli.flows), 512, 2048, -1)?;
    let config = PortConfig {
        queues: 1,
        rx_desc: 512,
        tx_desc: 512,
        mtu: 1500,
        promiscuous: false,
    };
    let mut lan = Port::by_name("net_null0")?;
    let mut wan = Port::by_name("net_pcap0")?;
    lan.start(&config, &pool)?;
    wan.start(&config, &pool)?;
    let (_, tx) = lan.take_queues().ok_or("net_null0 has no queue")?;
    let (rx, _) = wan.take_queues().ok_or("net_pcap0 has no queue")?;
    let ports = Ports {
        lan: (lan.id(), LAN_MAC),
        wan: (wan.id(), Capture::TO),
    };
    let mut sink = Sink {
        tx,
        pending: Burst::new(),
        pool,
    };
    let now = Now::from_secs(1);
    let engine = director::engine(ports, cli.flows + cli.flows / 8 + 1024, now, &mut sink);
    for (start, len) in engine.conn_table_memory() {
        dpdk::memory::make_resident(start, len);
    }
    let mut bench = Bench {
        rx,
        sink,
        engine,
        hz: dpdk::eal::tsc_hz(),
    };
    let opened_per_s = bench.open_all(cli.flows, now);
    let (macswap, fullnat) = bench.compare(cli.seconds, now);
    report(cli, &bench, opened_per_s, macswap, fullnat);
    Ok(())
}

fn report(cli: &Cli, bench: &Bench, opened_per_s: f64, macswap: Spread, fullnat: Spread) {
    let added_ns = 1e9 / fullnat.median - 1e9 / macswap.median;
    let stats = bench.engine.stats();
    let result = json!({
        "flows": cli.flows,
        "conns": stats.conns.get(),
        "drops": stats.drops_total(),
        "macswap_mpps": macswap.mpps(),
        "dpvsd_mpps": fullnat.mpps(),
        "added_ns": (added_ns * 10.0).round() / 10.0,
        "ratio": (fullnat.median / macswap.median * 1000.0).round() / 1000.0,
        "first_packets_per_s": opened_per_s.round(),
        "bytes_per_conn_v4": bench.engine.conn_table_bytes() as u64 / u64::from(cli.flows + cli.flows / 8 + 1024),
    });
    let text = if cli.json {
        result.to_string()
    } else {
        format!(
            "{:>9} flows: macswap {:6.2} Mpps, FullNAT {:6.2} Mpps, ratio {:.2}, added {added_ns:.1} ns a packet; {:.2} million new conns a second, {} bytes a conn",
            cli.flows,
            macswap.median / 1e6,
            fullnat.median / 1e6,
            fullnat.median / macswap.median,
            opened_per_s / 1e6,
            result["bytes_per_conn_v4"],
        )
    };
    #[allow(
        clippy::print_stdout,
        reason = "the figures are what the program is for"
    )]
    {
        println!("{text}");
    }
}

/// Rates in packets per second over all turns.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        let at = |share: usize| rates.get(rates.len() * share / 100).copied().unwrap_or(0.0);
        Self {
            median: at(50),
            least: at(5),
            most: at(95),
        }
    }

    fn mpps(&self) -> serde_json::Value {
        let round = |rate: f64| (rate / 1e4).round() / 100.0;
        json!({"median": round(self.median), "p5": round(self.least), "p95": round(self.most)})
    }
}

impl Bench {
    /// Sends every flow's first packet; new conns per second.
    fn open_all(&mut self, flows: u32, now: Now) -> f64 {
        let start = dpdk::eal::rdtsc();
        let mut burst = Burst::new();
        while self.engine.stats().conns.get() < u64::from(flows)
            && dpdk::eal::rdtsc() - start < 20 * self.hz
        {
            self.forward(now, &mut burst);
        }
        let seconds = (dpdk::eal::rdtsc() - start) as f64 / self.hz as f64;
        self.engine.stats().conns_made.get() as f64 / seconds
    }

    #[inline]
    fn forward(&mut self, now: Now, burst: &mut Burst) -> usize {
        let received = self.rx.burst(burst);
        self.engine
            .process(now, Origin::Nic, burst.drain(), &mut self.sink);
        self.sink.flush();
        received
    }

    #[inline]
    fn swap(&mut self, burst: &mut Burst) -> usize {
        let received = self.rx.burst(burst);
        for mut packet in burst.drain() {
            if let Some(macs) = packet.bytes_mut().first_chunk_mut::<12>() {
                macs.rotate_left(6);
            }
            self.sink.pending.push(packet);
        }
        self.sink.flush();
        received
    }

    /// Turn by turn.
    fn compare(&mut self, seconds: u64, now: Now) -> (Spread, Spread) {
        let turn = self.hz * TURN_MS / 1000;
        let (mut macswap, mut fullnat) = (Vec::new(), Vec::new());
        for _ in 0..seconds * 1000 / (2 * TURN_MS) {
            macswap.push(self.turn(turn, |bench, burst| bench.swap(burst)));
            fullnat.push(self.turn(turn, |bench, burst| bench.forward(now, burst)));
        }
        (Spread::of(macswap), Spread::of(fullnat))
    }

    fn turn(&mut self, counts: u64, mut step: impl FnMut(&mut Self, &mut Burst) -> usize) -> f64 {
        let mut burst = Burst::new();
        let start = dpdk::eal::rdtsc();
        let mut packets = 0;
        let mut elapsed = 0;
        while elapsed < counts {
            for _ in 0..16 {
                packets += step(self, &mut burst);
            }
            elapsed = dpdk::eal::rdtsc() - start;
        }
        packets as f64 * self.hz as f64 / elapsed as f64
    }
}

/// The capture file, gone with the value.
struct Capture(PathBuf);

impl Capture {
    /// The MAC address that its frames are for.
    const TO: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn new(flows: u32) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("dpvs-bench-{}.pcap", std::process::id()));
        traffic::write_capture(&path, flows, Self::TO)?;
        Ok(Self(path))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One for each captured frame, which net_pcap keeps, and those on their way.
const fn mbufs_for(flows: u32) -> u32 {
    (flows + 16_384).next_power_of_two() - 1
}

fn eal_args(cli: &Cli, capture: &Capture) -> Vec<String> {
    // An mbuf with its headers, rounded up.
    let memory_mb = 256 + u64::from(mbufs_for(cli.flows)) * 3200 / (1 << 20);
    let pages = if cli.huge {
        "--in-memory"
    } else {
        "--no-huge --no-shconf --no-telemetry"
    };
    let args = format!(
        "dpvs-bench {pages} -m {memory_mb} --no-pci --lcores 0@{} --log-level error \
         --vdev net_null0,size=60,no-rx=1 --vdev net_pcap0,rx_pcap={},infinite_rx=1",
        cli.cpu,
        capture.0.display()
    );
    args.split_whitespace().map(str::to_owned).collect()
}

//! Measures how fast the director forwards beside macswap, on the same ports and in one process.
//! Also: how many conns per second come and go, how long a worker's loop takes at worst, and how
//! soon a started daemon forwards.

mod error;
mod lab;
mod parts;
mod report;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ipvs_core::{Encapsulation, FwdMode};

use error::Error;
use lab::{Effort, Lab};
use parts::{arrivals, churn, established, many, stalls, start, syns, testpmd};
use report::Report;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Macswap of dpdk-testpmd, if that is installed
    Testpmd,
    /// UDP from clients
    FullnatUdp,
    /// UDP from dests
    Reply,
    /// Established TCP both ways
    Tcp,
    /// UDP from clients by DR, NAT and tunnel, beside FullNAT, with frames from memory
    Modes,
    /// --many-flows beside --few-flows
    Many,
    /// First packets of conns
    NewConns,
    /// SYNs with few services or dests, beside SYNs with many
    Syns,
    /// TCP conns from their first segment to their last
    OpenGetClose,
    /// The longest turn of a worker's loop
    WorstLoop,
    /// From the start of dpvsd to its first forwarded packet
    Start,
}

/// Measures the director beside macswap.
#[derive(Debug, Parser)]
#[command(name = "dpvs-bench")]
struct Cli {
    /// Distinct flows
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    flows: Vec<u32>,
    /// Flows of the small table of `many`
    #[arg(long, default_value_t = 10_000)]
    few_flows: u32,
    /// Flows of the large table of `many`, which takes 106 bytes of memory a flow
    #[arg(long, default_value_t = 10_000_000)]
    many_flows: u32,
    /// Measure only these
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Runs of each part, of which the median is reported
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// CPU time of a run of macswap and FullNAT together
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Size of the conn table when new conns are measured
    #[arg(long, default_value_t = 2_000_000)]
    new_conns: u32,
    /// The CPU to measure on
    #[arg(long, default_value_t = 1)]
    cpu: u32,
    /// Use hugepages, of which enough must be free for the frames
    #[arg(long)]
    huge: bool,
    /// The daemon's program [default: dpvsd in the folder of this program]
    #[arg(long)]
    dpvsd: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Cli {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Conn tables and counters are large and are read at random, so they are put on huge pages.
#[global_allocator]
static ALLOCATOR: dpdk::memory::LargeAllocator = dpdk::memory::LargeAllocator;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dpvs-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    let mut report = Report::new(cli.json);
    if cli.wants(Part::Start) {
        // This comes first, since later on this process has the hugepages that the daemon needs.
        report.start(start::run(&dpvsd(cli)?, cli.runs)?);
    }
    if cli.wants(Part::Testpmd) {
        for &flows in &cli.flows {
            if let Some(rate) = testpmd::run(flows, cli.runs, cli.cpu, cli.huge)? {
                report.testpmd(flows, rate);
            }
        }
    }
    let is_without_ports = |part| matches!(part, &Part::Start | &Part::Testpmd);
    if cli.only.is_empty() || !cli.only.iter().all(is_without_ports) {
        let wires = if cli.wants(Part::FullnatUdp) {
            cli.flows.as_slice()
        } else {
            &[]
        };
        let mut lab = Lab::start(wires, cli.cpu, cli.huge)?;
        measure(cli, &mut lab, &mut report)?;
    }
    report.finish();
    Ok(())
}

fn measure(cli: &Cli, lab: &mut Lab, report: &mut Report) -> Result<(), Error> {
    let effort = Effort {
        runs: cli.runs,
        seconds: cli.seconds,
    };
    for mut wire in std::mem::take(&mut lab.wires) {
        let measured = established::udp_from_wire(lab, &mut wire, effort)?;
        report.rates("fullnat_udp", wire.flows, &measured);
    }
    for &flows in &cli.flows {
        if cli.wants(Part::Reply) {
            let measured = established::replies(lab, flows, effort)?;
            report.rates("reply", flows, &measured);
        }
        if cli.wants(Part::Tcp) {
            let measured = established::tcp(lab, flows, effort)?;
            report.rates("tcp", flows, &measured);
        }
    }
    if cli.wants(Part::Modes) {
        modes(cli, lab, report, effort)?;
    }
    if cli.wants(Part::Many) {
        many(cli, lab, report, effort)?;
    }
    if cli.wants(Part::NewConns) {
        let udp = arrivals::udp(lab, cli.new_conns, cli.runs)?;
        let tcp = arrivals::tcp(lab, cli.new_conns, cli.runs)?;
        report.new_conns(&udp, &tcp);
    }
    if cli.wants(Part::Syns) {
        for case in syns::cases() {
            let measured = syns::run(lab, &case, cli.runs)?;
            report.syns(&case, &measured);
        }
    }
    if cli.wants(Part::OpenGetClose) {
        report.open_get_close(&churn::run(lab, cli.runs)?);
    }
    if cli.wants(Part::WorstLoop) {
        report.worst_loop(&stalls::run(lab, cli.runs, cli.cpu)?);
    }
    Ok(())
}

fn modes(cli: &Cli, lab: &mut Lab, report: &mut Report, effort: Effort) -> Result<(), Error> {
    let fwdmodes = [
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp),
    ];
    for &flows in &cli.flows {
        let measured = established::udp_from_memory(lab, flows, fwdmodes, effort)?;
        let [fullnat, others @ ..] = &measured;
        report.rates("fullnat_from_memory", flows, fullnat);
        for (name, measured) in ["nat", "dr", "tunnel"].into_iter().zip(others) {
            report.mode(name, flows, measured, fullnat);
        }
    }
    Ok(())
}

fn many(cli: &Cli, lab: &mut Lab, report: &mut Report, effort: Effort) -> Result<(), Error> {
    let (few, many, most) = (cli.few_flows, cli.many_flows, most_flows()?);
    if many > most {
        eprintln!(
            "dpvs-bench: skipping {many} flows: memory suffices for {most}: try --many-flows {most}"
        );
        return Ok(());
    }
    report.many((few, many), &many::run(lab, few, many, effort)?);
    Ok(())
}

/// How many flows, with their frames and conns, fit into the memory that is available, with some
/// left over.
fn most_flows() -> Result<u32, Error> {
    const KB_PER_1000_FLOWS: u64 = 500;
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let available = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?
            .split_whitespace()
            .next()
    });
    let kb: u64 = available.unwrap_or("0").parse()?;
    Ok(u32::try_from(kb * 1000 / KB_PER_1000_FLOWS)?)
}

fn dpvsd(cli: &Cli) -> Result<PathBuf, Error> {
    match &cli.dpvsd {
        Some(path) => Ok(path.clone()),
        None => Ok(std::env::current_exe()?.with_file_name("dpvsd")),
    }
}

//! Is there memory for all that the configuration sizes?

use ipvs_core::Footprint;

use crate::app::machine::Machine;
use crate::config::Config;
use crate::devices::Memory;
use crate::steering::RedirectRings;

use super::finding::Finding;

const MB: u64 = 1 << 20;

/// What a key of the file costs in bytes, for all workers together.
struct Cost {
    key: String,
    at_start: u64,
    allocated: u64,
}

/// Compares what the configuration takes with what the machine has.
pub(super) fn check(config: &Config, memory: Memory, machine: &Machine) -> Vec<Finding> {
    let costs = costs(config, memory);
    let at_start: u64 = costs.iter().map(|cost| cost.at_start).sum();
    let allocated: u64 = costs.iter().map(|cost| cost.allocated).sum();
    let free = machine.free_memory().unwrap_or(u64::MAX);
    let mut findings = Vec::new();
    findings.extend(check_memory_mb(config));
    let way_out = lower_the_largest(&costs, at_start > free);
    let (start_mb, most_mb, free_mb) = (at_start.div_ceil(MB), allocated.div_ceil(MB), free / MB);
    if at_start > free {
        findings.push(Finding::error(format!(
            "{start_mb} MB of memory are needed at start and {free_mb} MB are free: {way_out}"
        )));
    } else if !machine.can_reserve(usize::try_from(allocated).unwrap_or(usize::MAX)) {
        findings.push(Finding::error(format!(
            "the kernel refuses {most_mb} MB of memory (its size, `ulimit -v` or \
             vm.overcommit_memory): {way_out}"
        )));
    } else if allocated > free {
        findings.push(Finding::warning(format!(
            "{start_mb} MB of memory are needed at start, {most_mb} MB when every table is full, \
             and {free_mb} MB are free: {way_out}"
        )));
    }
    findings
}

/// Whether the memory that the file names holds the mbufs that it names.
fn check_memory_mb(config: &Config) -> Option<Finding> {
    let memory_mb = config.eal.memory_mb?;
    let needed = Memory::Hugepages.mbufs_mb(config);
    let count = config.mbufs;
    (u64::from(memory_mb) < needed).then(|| {
        Finding::error(format!(
            "[eal] memory_mb = {memory_mb} is too small: {count} mbufs take {needed} MB. \
             Leave it out, or lower [mbufs] count"
        ))
    })
}

fn costs(config: &Config, memory: Memory) -> Vec<Cost> {
    let workers = config.workers.len();
    let table = |key: &str, footprint: Footprint| Cost {
        key: key.to_owned(),
        at_start: (workers * footprint.at_start) as u64,
        allocated: (workers * footprint.allocated) as u64,
    };
    let fixed = |key: String, bytes: u64| Cost {
        key,
        at_start: bytes,
        allocated: bytes,
    };
    let rings = RedirectRings::bytes_for(workers) as u64;
    let mut costs = vec![
        table(
            &format!("[conns] max_per_worker = {}", config.max_conns),
            Footprint::of_worker(config.max_conns, 0, 0),
        ),
        table(
            &format!("[conns] max_ipv6_per_worker = {}", config.max_conns_v6),
            Footprint::of_worker(0, config.max_conns_v6, 0),
        ),
        table(
            &format!("[conns] max_dests = {}", config.max_dests),
            Footprint::of_worker(0, 0, config.max_dests),
        ),
        fixed(format!("the number of workers, {workers}"), rings),
    ];
    if memory == Memory::Ordinary {
        let mb = u64::from(memory.needed_mb(config));
        let key = match config.eal.memory_mb {
            Some(mb) => format!("[eal] memory_mb = {mb}"),
            None => format!("[mbufs] count = {}", config.mbufs),
        };
        costs.push(fixed(key, mb * MB));
    }
    costs
}

/// Which key to lower first.
fn lower_the_largest(costs: &[Cost], at_start: bool) -> String {
    let bytes = |cost: &&Cost| {
        if at_start {
            cost.at_start
        } else {
            cost.allocated
        }
    };
    let Some(largest) = costs.iter().max_by_key(bytes) else {
        return String::new();
    };
    let mb = bytes(&largest).div_ceil(MB);
    format!("lower {}, which takes {mb} MB of it", largest.key)
}

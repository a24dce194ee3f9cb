//! Are there enough hugepages and CPUs, a TUN device for kni, and a folder for the socket?

use std::path::Path;

use crate::app::machine::Machine;
use crate::config::{Config, Hugepages};
use crate::devices::Memory;

use super::finding::Finding;

/// All that does not concern a single device.
pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_hugepages(config, machine));
    findings.extend(check_lcores(config, machine));
    findings.extend(check_tun(config, machine));
    findings.extend(check_socket(&config.socket));
    findings
}

/// Whether this start uses hugepages: as configured, or if enough are free.
pub(in crate::app) fn memory_of(config: &Config, machine: &Machine) -> Memory {
    let needed = u64::from(Memory::Hugepages.needed_mb(config));
    match config.eal.hugepages {
        Hugepages::Require => Memory::Hugepages,
        Hugepages::Auto if machine.free_hugepages_mb() >= needed => Memory::Hugepages,
        Hugepages::Auto | Hugepages::Never => Memory::Ordinary,
    }
}

fn check_hugepages(config: &Config, machine: &Machine) -> Option<Finding> {
    let needed = u64::from(Memory::Hugepages.needed_mb(config));
    let free = machine.free_hugepages_mb();
    if config.eal.hugepages == Hugepages::Never || free >= needed {
        return None;
    }
    let has = format!("{needed} MB of hugepages are needed and {free} MB are free");
    let way_out = reserve_hugepages(needed, machine);
    Some(match config.eal.hugepages {
        Hugepages::Require => {
            Finding::error(format!("{has}: {way_out}, or set hugepages = \"auto\""))
        }
        _ => Finding::warning(format!(
            "{has}: it will run on ordinary pages, slower and without NICs bound to igb_uio; \
             {way_out}"
        )),
    })
}

/// The command that reserves so much, in pages of the smallest size that the machine has.
fn reserve_hugepages(needed_mb: u64, machine: &Machine) -> String {
    let sizes = machine.free_hugepages();
    let size_kb = sizes.first().map_or(2048, |pages| pages.size_kb);
    let pages = (needed_mb * 1024).div_ceil(size_kb);
    let size_mb = size_kb / 1024;
    if size_kb == 2048 {
        format!(
            "reserve {pages} of {size_mb} MB with `sysctl -w vm.nr_hugepages={pages}` \
             (add what other programs use)"
        )
    } else {
        let folder = format!("/sys/kernel/mm/hugepages/hugepages-{size_kb}kB");
        format!("reserve {pages} of {size_mb} MB: `echo {pages} > {folder}/nr_hugepages`")
    }
}

fn check_lcores(config: &Config, machine: &Machine) -> Vec<Finding> {
    let cpus = machine.cpus();
    let workers = config
        .workers
        .iter()
        .map(|worker| (format!("worker lcore {}", worker.lcore), worker.cpu));
    workers
        .chain([("the main lcore".to_owned(), config.eal.main_lcore.0)])
        .filter(|(_, cpu)| !cpus.contains(cpu))
        .map(|(who, cpu)| {
            let has = list_cpus(&cpus);
            Finding::error(format!(
                "{who} wants CPU {cpu} and this machine has {has}: \
                 lower [workers] count, or name another cpu in [[worker]]"
            ))
        })
        .collect()
}

fn list_cpus(cpus: &[u32]) -> String {
    match cpus {
        [] => "none online".into(),
        [first, .., last] if (last - first) as usize == cpus.len() - 1 => {
            format!("CPUs {first} to {last}")
        }
        _ => {
            let numbers: Vec<String> = cpus.iter().map(u32::to_string).collect();
            format!("CPUs {}", numbers.join(", "))
        }
    }
}

fn check_tun(config: &Config, machine: &Machine) -> Option<Finding> {
    let needs_it = config.devices.iter().any(|device| device.kni.is_some());
    (needs_it && !machine.has_tun()).then(|| {
        Finding::error(
            "there is no /dev/net/tun for the kni netdevs: \
             run `modprobe tun`, or set kni = false"
                .into(),
        )
    })
}

fn check_socket(socket: &Path) -> Option<Finding> {
    let parent = socket
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())?;
    // The daemon makes the last folder itself, as systemd's RuntimeDirectory would.
    let has_place = parent.is_dir() || parent.parent().is_some_and(Path::is_dir);
    (!has_place).then(|| {
        Finding::error(format!(
            "there is no folder {} for the control socket: make it, or set [daemon] socket",
            parent.display()
        ))
    })
}

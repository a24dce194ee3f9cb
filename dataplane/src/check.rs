//! `dpvsd --check`: what is missing on this machine, and the command that mends it.

use std::fmt;
use std::path::Path;

use crate::config::{Config, DeviceAddress, DeviceConfig, Hugepages};
use crate::machine::Machine;
use crate::memory::Memory;

/// Drivers by which DPDK can use a NIC.
const DPDK_DRIVERS: &[&str] = &["vfio-pci", "igb_uio", "uio_pci_generic"];
/// NICs that DPDK drives beside their kernel driver.
const SHARED_DRIVERS: &[&str] = &["mlx5_core", "mlx4_core"];

/// Whether a finding keeps the daemon from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It starts, and this is worth knowing
    Note,
    /// It starts, slower or with less
    Warning,
    /// It would not start, or not work
    Error,
}

/// Something to know or to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is
    pub severity: Severity,
    /// What, and the way out
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}", self.text)
    }
}

fn error(text: String) -> Finding {
    Finding {
        severity: Severity::Error,
        text,
    }
}

fn warning(text: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        text,
    }
}

/// All that can be found before EAL starts.
pub fn check(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_memory(config, machine));
    findings.extend(check_lcores(config, machine));
    for device in &config.devices {
        findings.extend(match &device.address {
            DeviceAddress::Pci(address) => check_nic(device, address, machine),
            DeviceAddress::Vdev(vdev) => check_vdev(device, vdev, config.workers.len(), machine),
        });
    }
    if config.devices.iter().any(|device| device.kni.is_some()) && !machine.has_tun() {
        findings.push(error(
            "there is no /dev/net/tun for the kni netdevs: run `modprobe tun`, or set kni = false"
                .into(),
        ));
    }
    findings.extend(check_socket(&config.socket));
    findings
}

/// Whether this start uses hugepages: as configured, or if there are enough.
pub fn memory_of(config: &Config, machine: &Machine) -> Memory {
    let enough = machine.free_hugepages_mb() >= u64::from(Memory::Hugepages.needed_mb(config));
    match config.eal.hugepages {
        Hugepages::Require => Memory::Hugepages,
        Hugepages::Auto if enough => Memory::Hugepages,
        Hugepages::Auto | Hugepages::Never => Memory::Ordinary,
    }
}

/// Whether a port has as many queues as the workers need. Known only once EAL has found it.
///
/// # Errors
/// With the sentence for the user.
pub fn check_queues(device: &str, wanted: u16, has: u16) -> Result<(), String> {
    if wanted <= has {
        return Ok(());
    }
    Err(format!(
        "{device} has {has} queues and {wanted} workers want one each: set [workers] count = {has}, or use another port"
    ))
}

fn check_memory(config: &Config, machine: &Machine) -> Option<Finding> {
    let needed = u64::from(Memory::Hugepages.needed_mb(config));
    let free = machine.free_hugepages_mb();
    if config.eal.hugepages == Hugepages::Never || free >= needed {
        return None;
    }
    let size_kb = machine
        .free_hugepages()
        .first()
        .map_or(2048, |pages| pages.size_kb);
    let pages = (needed * 1024).div_ceil(size_kb);
    let size_mb = size_kb / 1024;
    let way_out = if size_kb == 2048 {
        format!(
            "reserve {pages} of {size_mb} MB with `sysctl -w vm.nr_hugepages={pages}` (add what other programs use)"
        )
    } else {
        format!(
            "reserve {pages} of {size_mb} MB: `echo {pages} > /sys/kernel/mm/hugepages/hugepages-{size_kb}kB/nr_hugepages`"
        )
    };
    let has = format!("{needed} MB of hugepages are needed and {free} MB are free");
    Some(match config.eal.hugepages {
        Hugepages::Require => error(format!("{has}: {way_out}, or set hugepages = \"auto\"")),
        _ => warning(format!(
            "{has}: it will run on ordinary pages, slower and without NICs bound to igb_uio; {way_out}"
        )),
    })
}

fn check_lcores(config: &Config, machine: &Machine) -> Vec<Finding> {
    let cpus = machine.cpus();
    let workers = config
        .workers
        .iter()
        .map(|worker| (format!("worker lcore {}", worker.lcore), worker.cpu));
    workers
        .chain([("the main lcore".to_owned(), config.eal.main_lcore)])
        .filter(|(_, cpu)| !cpus.contains(cpu))
        .map(|(who, cpu)| {
            error(format!(
                "{who} wants CPU {cpu} and this machine has {}: lower [workers] count, or name another cpu in [[worker]]",
                list_cpus(&cpus)
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
        _ => format!(
            "CPUs {}",
            cpus.iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn check_nic(device: &DeviceConfig, address: &str, machine: &Machine) -> Vec<Finding> {
    let name = &device.name;
    if !machine.has_pci_device(address) {
        return vec![error(format!(
            "{name}: there is no PCI device {address}: `dpdk-devbind.py --status` lists them"
        ))];
    }
    let driver = machine.pci_driver(address);
    if driver
        .as_deref()
        .is_some_and(|driver| DPDK_DRIVERS.contains(&driver) || SHARED_DRIVERS.contains(&driver))
    {
        return Vec::new();
    }
    let bind =
        format!("bind it with `modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci {address}`");
    let interfaces = machine.interfaces_of(address);
    vec![error(match driver {
        None => format!("{name}: {address} is bound to no driver: {bind}"),
        Some(driver) if interfaces.is_empty() => {
            format!("{name}: {address} is bound to the kernel's {driver}: {bind}")
        }
        Some(driver) => {
            let interfaces = interfaces.join(", ");
            format!(
                "{name}: {address} is {interfaces} of the kernel's {driver}, which vanishes once it is bound (not the one you are logged in by!): `ip link set {interfaces} down`, then {bind}"
            )
        }
    })]
}

fn check_vdev(
    device: &DeviceConfig,
    vdev: &str,
    workers: usize,
    machine: &Machine,
) -> Vec<Finding> {
    let name = &device.name;
    let mut findings = Vec::new();
    if let Some(interface) = device.address.kernel_interface() {
        if !machine.has_interface(interface) {
            findings.push(error(format!(
                "{name}: there is no interface {interface} in this network namespace: `ip link` lists them; or start dpvsd in the one that has it (`ip netns exec NAME dpvsd ...`)"
            )));
        } else {
            findings.push(Finding {
                severity: Severity::Note,
                text: format!(
                    "{name}: if {interface} is a veth or a virtual machine's, TCP needs checksums on its peer: `ethtool -K PEER tx off`"
                ),
            });
        }
    }
    if vdev.starts_with("net_af_xdp") && workers > 1 {
        findings.push(error(format!("{name}: net_af_xdp on a veth has 1 queue and {workers} workers want one each: use net_af_packet, or one worker")));
    }
    findings
}

fn check_socket(socket: &Path) -> Option<Finding> {
    let parent = socket
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())?;
    // The daemon makes the last folder itself, as systemd's RuntimeDirectory would.
    let has_place = parent.is_dir() || parent.parent().is_some_and(Path::is_dir);
    (!has_place).then(|| {
        error(format!(
            "there is no folder {} for the control socket: make it, or set [daemon] socket",
            parent.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A machine with 4 CPUs, 64 free hugepages of 2 MB, a NIC of the kernel and one of vfio-pci.
    fn machine() -> (TempDir, Machine) {
        let dir = TempDir::new().unwrap();
        let root = dir.path();
        for (path, text) in [
            (
                "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
                "64\n",
            ),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/class/net/veth0/mtu", "1500"),
            ("sys/bus/pci/devices/0000:06:00.0/net/eth0/mtu", "1500"),
            ("sys/bus/pci/devices/0000:06:00.1/vendor", "x"),
            ("dev/net/tun", ""),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        symlink(
            "../drivers/ixgbe",
            root.join("sys/bus/pci/devices/0000:06:00.0/driver"),
        )
        .unwrap();
        symlink(
            "../drivers/vfio-pci",
            root.join("sys/bus/pci/devices/0000:06:00.1/driver"),
        )
        .unwrap();
        let machine = Machine::at(root);
        (dir, machine)
    }

    fn findings(text: &str) -> Vec<String> {
        let (_dir, machine) = machine();
        let text = format!("[daemon]\nsocket = \"/tmp/x.sock\"\n{text}");
        let config = Config::parse(Path::new("t.toml"), &text, 4).unwrap();
        check(&config, &machine)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn device(address: &str) -> String {
        format!("[[device]]\nname = \"dpdk0\"\n{address}\n[eal]\nmemory_mb = 128\n")
    }

    #[test]
    fn a_machine_with_all_that_is_needed_has_no_findings() {
        assert_eq!(findings(&device("pci = \"0000:06:00.1\"")), [""; 0]);
    }

    #[test]
    fn a_nic_of_the_kernel_comes_with_the_command_that_binds_it() {
        let found = findings(&device("pci = \"0000:06:00.0\""));
        assert!(
            found[0].starts_with("error: dpdk0: 0000:06:00.0 is eth0 of the kernel's ixgbe"),
            "{found:?}"
        );
        assert!(
            found[0].contains("dpdk-devbind.py --bind=vfio-pci 0000:06:00.0"),
            "{found:?}"
        );
        assert!(
            findings(&device("pci = \"0000:07:00.0\""))[0].contains("no PCI device 0000:07:00.0")
        );
    }

    #[test]
    fn missing_hugepages_come_with_their_number() {
        let text = device("pci = \"0000:06:00.1\"").replace("128", "129");
        assert!(
            findings(&text)[0]
                .starts_with("warning: 129 MB of hugepages are needed and 128 MB are free")
        );
        let found = findings(&format!("{text}hugepages = true\n"));
        assert!(
            found[0].starts_with("error:") && found[0].contains("vm.nr_hugepages=65"),
            "{found:?}"
        );
    }

    #[test]
    fn lcores_that_do_not_exist_are_named() {
        let found = findings(&format!(
            "{}[workers]\ncount = 4\n",
            device("pci = \"0000:06:00.1\"")
        ));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("worker lcore 4 wants CPU 4 and this machine has CPUs 0 to 3"),
            "{found:?}"
        );
    }

    #[test]
    fn a_vdev_s_interface_must_be_there() {
        let found = findings(&device("vdev = \"net_af_packet0,iface=veth7\""));
        assert!(found[0].contains("no interface veth7"), "{found:?}");
        let found = findings(&device("vdev = \"net_af_packet0,iface=veth0\""));
        assert!(
            found[0].starts_with("note:") && found[0].contains("ethtool -K"),
            "{found:?}"
        );
    }

    #[test]
    fn more_workers_than_queues_are_refused() {
        assert!(check_queues("dpdk0", 2, 2).is_ok());
        assert!(
            check_queues("dpdk0", 3, 2)
                .unwrap_err()
                .contains("dpdk0 has 2 queues and 3 workers")
        );
    }
}

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use dpdk::release::{OtherRelease, Release};

use crate::app::machine::Machine;
use crate::config::Config;

use super::check;

/// A machine with 4 CPUs, 64 free hugepages of 2 MB, a NIC bound to a driver of the kernel and one
/// bound to vfio-pci.
fn machine() -> (TempDir, Machine) {
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    for (path, text) in [
        (
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
            "64\n",
        ),
        ("sys/devices/system/cpu/online", "0-3\n"),
        (
            "proc/meminfo",
            "MemTotal: 9 kB\nMemAvailable:    4194304 kB\n",
        ),
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
    findings_of(text, &machine)
}

fn findings_of(text: &str, machine: &Machine) -> Vec<String> {
    let text = format!("[daemon]\nsocket = \"/tmp/x.sock\"\n{text}");
    let config = Config::parse(Path::new("t.toml"), &text, 4).unwrap();
    check(&config, machine)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn device(address: &str) -> String {
    format!("[[device]]\nname = \"dpdk0\"\n{address}\n[eal]\nmemory_mb = 128\n")
}

#[test]
fn a_machine_that_has_everything_has_no_findings() {
    assert_eq!(findings(&device("pci = \"0000:06:00.1\"")), [""; 0]);
}

#[test]
fn libraries_of_another_dpdk_are_an_error_only_if_their_abi_differs() {
    let [compiled, running] = [(24, 11), (22, 11)].map(|(year, month)| Release {
        year,
        month,
        minor: 2,
    });
    let found_with = |other| {
        let (_dir, machine) = machine();
        let nic = device("pci = \"0000:06:00.1\"");
        findings_of(&nic, &machine.with_other_dpdk(other)).concat()
    };
    let found = found_with(OtherRelease::OtherAbi { compiled, running });
    assert!(
        found.starts_with("error: this program was compiled against DPDK 24.11.2"),
        "{found}"
    );
    let found = found_with(OtherRelease::SameAbi { compiled, running });
    assert!(found.starts_with("warning: "), "{found}");
}

#[test]
fn a_nic_bound_to_the_kernel_is_reported_with_the_command_that_binds_it() {
    let nic = device("pci = \"0000:06:00.0\"");
    let (dir, machine) = machine();
    for driver in ["igb_uio", "vfio-pci"] {
        let found = findings_of(&nic, &machine);
        assert!(
            found[0].starts_with("error: dpdk0: 0000:06:00.0 is eth0 of the kernel's ixgbe"),
            "{found:?}"
        );
        let command = format!("`scripts/bind-nic --driver {driver} 0000:06:00.0`");
        assert!(found[0].contains(&command), "{found:?}");
        // With an IOMMU the command is another.
        let group = "sys/bus/pci/devices/0000:06:00.0/iommu_group";
        fs::create_dir_all(dir.path().join(group)).unwrap();
    }
    assert!(findings(&device("pci = \"0000:07:00.0\""))[0].contains("no PCI device 0000:07:00.0"));
}

#[test]
fn missing_hugepages_are_reported_with_the_number_to_reserve() {
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
fn workers_on_cpus_that_do_not_exist_are_reported() {
    let found = findings(&format!(
        "{}[workers]\ncount = 4\n[mbufs]\ncount = 10000\n",
        device("pci = \"0000:06:00.1\"")
    ));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("worker lcore 4 wants CPU 4 and this machine has CPUs 0 to 3"),
        "{found:?}"
    );
}

#[test]
fn the_interface_of_a_vdev_must_exist() {
    let found = findings(&device("vdev = \"net_af_packet0,iface=veth7\""));
    assert!(found[0].contains("no interface veth7"), "{found:?}");
    let found = findings(&device("vdev = \"net_af_packet0,iface=veth0\""));
    assert!(
        found[0].starts_with("note:") && found[0].contains("ethtool -K"),
        "{found:?}"
    );
}

#[test]
fn tables_that_the_machine_has_no_memory_for_are_refused_with_the_largest_key() {
    let nic = device("pci = \"0000:06:00.1\"");
    let found = findings(&format!("{nic}[conns]\nmax_per_worker = 100000000\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("error:"), "{found:?}");
    assert!(
        found[0].contains("and 4096 MB are free: lower [conns] max_per_worker = 100000000,"),
        "{found:?}"
    );
    // The counters of dests are touched as they are used.
    let found = findings(&format!("{nic}[conns]\nmax_dests = 50000000\n"));
    assert!(
        found[0].starts_with("warning:") && found[0].contains("when every table is full"),
        "{found:?}"
    );
    // On ordinary pages the mbufs are in the same memory as the tables.
    let ordinary = nic.replace("128", "4096") + "hugepages = false\n";
    let found = findings(&ordinary);
    assert!(
        found[0].starts_with("error:") && found[0].contains("lower [eal] memory_mb = 4096"),
        "{found:?}"
    );
    assert_eq!(findings(&nic), [""; 0]);
}

#[test]
fn memory_that_is_too_small_for_its_mbufs_is_refused() {
    let nic = device("pci = \"0000:06:00.1\"");
    let found = findings(&format!("{nic}[mbufs]\ncount = 100000\n"));
    assert_eq!(
        found[0],
        "error: [eal] memory_mb = 128 is too small: 100000 mbufs take 232 MB. \
         Leave it out, or lower [mbufs] count"
    );
}

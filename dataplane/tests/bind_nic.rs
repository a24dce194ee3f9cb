//! `scripts/bind-nic` on a folder that looks like a machine, with threads in the place of the
//! kernel: they read what the script writes to sysfs, and move the links of drivers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

const NIC: &str = "0000:06:00.0";
const NEIGHBOUR: &str = "0000:06:00.1";
/// The default route of an IPv4 table, as `/proc/net/route` has it.
const DEFAULT_ROUTE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
     bond0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n";

/// A machine with two NICs of one card, both of the kernel's ixgbe.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            dir: TempDir::new().unwrap(),
        };
        for driver in ["ixgbe", "vfio-pci", "igb_uio", "uio_pci_generic"] {
            machine.kernel_unbinds(driver);
        }
        for (address, netdev) in [(NIC, "eth0"), (NEIGHBOUR, "eth1")] {
            machine.add_nic(address, netdev);
        }
        machine.kernel_probes();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn add_nic(&self, address: &str, netdev: &str) {
        let folder = format!("sys/bus/pci/devices/{address}");
        for (file, text) in [
            ("class", "0x020000\n"),
            ("vendor", "0x8086\n"),
            ("device", "0x10fb\n"),
            ("numa_node", "1\n"),
            ("driver_override", "(null)\n"),
            ("modalias", "pci:v00008086\n"),
            (&format!("net/{netdev}/mtu"), "1500\n"),
        ] {
            self.write(&format!("{folder}/{file}"), text);
        }
        self.write(&format!("sys/class/net/{netdev}/speed"), "10000\n");
        self.write(&format!("sys/class/net/{netdev}/carrier"), "1\n");
        let device = self.path(&folder);
        symlink(
            &device,
            self.path(&format!("sys/class/net/{netdev}/device")),
        )
        .unwrap();
        bind(self.dir.path(), address, "ixgbe");
    }

    /// Puts devices into an IOMMU group.
    fn group(&self, number: u32, addresses: &[&str]) {
        for address in addresses {
            self.write(
                &format!("sys/kernel/iommu_groups/{number}/devices/{address}/x"),
                "",
            );
            let link = format!("sys/bus/pci/devices/{address}/iommu_group");
            let group = self.path(&format!("sys/kernel/iommu_groups/{number}"));
            symlink(group, self.path(&link)).unwrap();
        }
    }

    /// What the kernel does with an address that is written to a driver's `unbind`.
    fn kernel_unbinds(&self, driver: &str) {
        let root = self.dir.path().to_owned();
        self.reads(
            &format!("sys/bus/pci/drivers/{driver}/unbind"),
            move |address| {
                let link = root.join(format!("sys/bus/pci/devices/{address}/driver"));
                fs::remove_file(link).unwrap();
            },
        );
    }

    /// What the kernel does with an address that is written to `drivers_probe`: it binds the
    /// driver of `driver_override`, else its own. The script appends, hence the last line.
    fn kernel_probes(&self) {
        let root = self.dir.path().to_owned();
        self.reads("sys/bus/pci/drivers_probe", move |address| {
            let file = root.join(format!("sys/bus/pci/devices/{address}/driver_override"));
            let wanted = fs::read_to_string(file).unwrap();
            let driver = wanted.strip_suffix('\n').unwrap().rsplit('\n').next();
            let driver = driver.filter(|name| !name.is_empty() && *name != "(null)");
            bind(&root, address, driver.unwrap_or("ixgbe"));
        });
    }

    /// Has a thread answer everything that is written to a file.
    fn reads(&self, path: &str, answer: impl Fn(&str) + Send + 'static) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        // Open for both, so that it does not end between two writers.
        let fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        thread::spawn(move || {
            for line in BufReader::new(fifo).lines() {
                answer(&line.unwrap());
            }
        });
    }

    /// Runs the script: whether it succeeded, and what it printed. There is no ssh session, and
    /// `modprobe` fails.
    fn bind_nic(&self, args: &[&str]) -> (bool, String) {
        let modprobe = self.path("bin/modprobe");
        self.write("bin/modprobe", "#!/bin/sh\nexit 1\n");
        fs::set_permissions(&modprobe, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output = Command::new(script())
            .args(args)
            .env("BIND_NIC_ROOT", self.dir.path())
            .env("PATH", path)
            .env("SSH_CONNECTION", " ")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    fn driver_of(&self, address: &str) -> Option<String> {
        let link = self.path(&format!("sys/bus/pci/devices/{address}/driver"));
        let driver = fs::read_link(link).ok()?;
        Some(driver.file_name().unwrap().to_str().unwrap().to_owned())
    }
}

fn bind(root: &Path, address: &str, driver: &str) {
    let link = root.join(format!("sys/bus/pci/devices/{address}/driver"));
    symlink(root.join(format!("sys/bus/pci/drivers/{driver}")), link).unwrap();
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/bind-nic")
}

#[test]
fn nics_are_listed_with_driver_speed_node_link_and_interface() {
    let machine = Machine::new();
    machine.write("sys/bus/pci/devices/0000:00:1f.0/class", "0x060100\n");
    let (ok, text) = machine.bind_nic(&[]);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(ok, "{text}");
    assert_eq!(rows.len(), 3, "{text}");
    let row = [NIC, "ixgbe", "10000Mb/s", "1", "up", "eth0", "8086:10fb"];
    assert_eq!(rows[1], row);
}

#[test]
fn a_nic_goes_to_vfio_pci_and_back_to_the_kernel() {
    let machine = Machine::new();
    machine.group(7, &[NIC]);
    let (ok, text) = machine.bind_nic(&["eth0"]);
    assert!(ok, "{text}");
    assert_eq!(
        machine.driver_of(NIC).as_deref(),
        Some("vfio-pci"),
        "{text}"
    );
    assert_eq!(machine.driver_of(NEIGHBOUR).as_deref(), Some("ixgbe"));
    let (ok, text) = machine.bind_nic(&["06:00.0"]);
    assert!(ok && text.contains("already"), "{text}");
    let (ok, text) = machine.bind_nic(&["--kernel", NIC]);
    assert!(ok, "{text}");
    assert_eq!(machine.driver_of(NIC).as_deref(), Some("ixgbe"), "{text}");
}

#[test]
fn igb_uio_and_uio_pci_generic_want_no_iommu() {
    for driver in ["igb_uio", "uio_pci_generic"] {
        let machine = Machine::new();
        let (ok, text) = machine.bind_nic(&["--driver", driver, NIC, NEIGHBOUR]);
        assert!(ok, "{text}");
        for address in [NIC, NEIGHBOUR] {
            assert_eq!(
                machine.driver_of(address).as_deref(),
                Some(driver),
                "{text}"
            );
        }
    }
}

#[test]
fn a_dry_run_prints_the_writes_and_does_none() {
    let machine = Machine::new();
    machine.group(7, &[NIC]);
    let (ok, text) = machine.bind_nic(&["--dry-run", NIC]);
    assert!(ok, "{text}");
    for line in [
        "echo 'vfio-pci' > /sys/bus/pci/devices/0000:06:00.0/driver_override",
        "echo '0000:06:00.0' > /sys/bus/pci/devices/0000:06:00.0/driver/unbind",
        "echo '0000:06:00.0' > /sys/bus/pci/drivers_probe",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{text}");
    }
    assert_eq!(machine.driver_of(NIC).as_deref(), Some("ixgbe"));
}

#[test]
fn the_nic_under_the_default_route_is_refused_without_force() {
    let machine = Machine::new();
    machine.group(7, &[NIC]);
    machine.write("proc/net/route", DEFAULT_ROUTE);
    machine.write("sys/class/net/bond0/lower_eth0/mtu", "1500\n");
    let (ok, text) = machine.bind_nic(&[NIC]);
    let sentence = "0000:06:00.0 (eth0) carries the default route";
    assert!(!ok && text.contains(sentence), "{text}");
    assert_eq!(machine.driver_of(NIC).as_deref(), Some("ixgbe"));
    let (ok, text) = machine.bind_nic(&["--force", NIC]);
    assert!(ok, "{text}");
    assert_eq!(machine.driver_of(NIC).as_deref(), Some("vfio-pci"));
}

#[test]
fn the_nic_of_the_ssh_session_is_refused() {
    let machine = Machine::new();
    machine.write(
        "bin/ip",
        "#!/bin/sh\n[ \"$4\" = 192.0.2.9 ] && echo '192.0.2.9 dev eth1 src 192.0.2.1'\n",
    );
    fs::set_permissions(machine.path("bin/ip"), fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(script())
        .args(["--driver", "igb_uio", NEIGHBOUR])
        .env("BIND_NIC_ROOT", machine.dir.path())
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", machine.path("bin").display()),
        )
        .env("SSH_CONNECTION", "192.0.2.9 50000 192.0.2.1 22")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let sentence = "0000:06:00.1 (eth1) carries this ssh session";
    assert!(
        !output.status.success() && text.contains(sentence),
        "{text}"
    );
    assert_eq!(machine.driver_of(NEIGHBOUR).as_deref(), Some("ixgbe"));
}

#[test]
fn devices_that_share_an_iommu_group_are_named() {
    let machine = Machine::new();
    machine.group(7, &[NIC, NEIGHBOUR]);
    let (ok, text) = machine.bind_nic(&[NIC]);
    let sentence = "shares IOMMU group 7 with 0000:06:00.1 (ixgbe)";
    assert!(ok && text.contains(sentence), "{text}");
}

#[test]
fn a_machine_without_an_iommu_is_told_what_to_do() {
    let machine = Machine::new();
    let switch = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    machine.write(switch, "N\n");
    let (ok, text) = machine.bind_nic(&[NIC]);
    assert!(!ok && text.contains("intel_iommu=on"), "{text}");
    assert!(text.contains(&format!("echo Y > /{switch}")), "{text}");
    machine.write(switch, "Y\n");
    let (ok, text) = machine.bind_nic(&[NIC]);
    assert!(ok && text.contains("no-IOMMU mode is on"), "{text}");
}

#[test]
fn a_missing_module_is_named_with_its_package() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.path("sys/bus/pci/drivers/igb_uio")).unwrap();
    let (ok, text) = machine.bind_nic(&["--driver", "igb_uio", NIC]);
    assert!(!ok && text.contains("install dpdk-kmods-dkms"), "{text}");
    assert_eq!(machine.driver_of(NIC).as_deref(), Some("ixgbe"));
}

#[test]
fn what_is_no_nic_is_refused() {
    let machine = Machine::new();
    machine.write("sys/bus/pci/devices/0000:00:1f.0/class", "0x060100\n");
    for (name, sentence) in [
        ("0000:07:00.0", "no NIC '0000:07:00.0'"),
        ("eth9", "no NIC 'eth9'"),
        ("0000:00:1f.0", "0000:00:1f.0 is no NIC"),
    ] {
        let (ok, text) = machine.bind_nic(&[name]);
        assert!(!ok && text.contains(sentence), "{text}");
    }
}

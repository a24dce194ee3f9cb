//! Can DPDK drive the devices?

use crate::app::machine::Machine;
use crate::config::{Config, DeviceAddress, DeviceConfig};

use super::finding::Finding;

/// Kernel drivers that hand a NIC over to DPDK.
const DPDK_DRIVERS: &[&str] = &["vfio-pci", "igb_uio", "uio_pci_generic"];
/// Kernel drivers that share their NIC with DPDK.
const SHARED_DRIVERS: &[&str] = &["mlx5_core", "mlx4_core"];

/// All devices.
pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Finding> {
    let workers = config.workers.len();
    let of_device = |device: &DeviceConfig| match &device.address {
        DeviceAddress::Pci(address) => Vec::from_iter(check_nic(device, address, machine)),
        DeviceAddress::Vdev(vdev) => check_vdev(device, vdev, workers, machine),
    };
    config.devices.iter().flat_map(of_device).collect()
}

/// The PCI addresses of the NICs that DPDK can drive, in the order in which it finds them.
pub(in crate::app) fn nics_for_dpdk(machine: &Machine) -> Vec<String> {
    let mut nics = machine.pci_nics();
    nics.retain(|address| {
        let driver = machine.pci_driver(address).unwrap_or_default();
        DPDK_DRIVERS.contains(&driver.as_str()) || SHARED_DRIVERS.contains(&driver.as_str())
    });
    nics
}

fn check_nic(device: &DeviceConfig, address: &str, machine: &Machine) -> Option<Finding> {
    let name = &device.name;
    if !machine.has_pci_device(address) {
        return Some(Finding::error(format!(
            "{name}: there is no PCI device {address}: `scripts/bind-nic` lists the NICs"
        )));
    }
    // Without an IOMMU the kernel refuses vfio-pci.
    let for_dpdk = if machine.has_iommu(address) {
        "vfio-pci"
    } else {
        "igb_uio"
    };
    let bind = format!("bind it with `scripts/bind-nic --driver {for_dpdk} {address}`");
    let Some(driver) = machine.pci_driver(address) else {
        return Some(Finding::error(format!(
            "{name}: {address} is bound to no driver: {bind}"
        )));
    };
    if DPDK_DRIVERS.contains(&driver.as_str()) || SHARED_DRIVERS.contains(&driver.as_str()) {
        return None;
    }
    let interfaces = machine.interfaces_of(address).join(", ");
    Some(Finding::error(if interfaces.is_empty() {
        format!("{name}: {address} is bound to the kernel's {driver}: {bind}")
    } else {
        format!(
            "{name}: {address} is {interfaces} of the kernel's {driver}, which vanishes once it is \
             bound: {bind}"
        )
    }))
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
        findings.push(if machine.has_interface(interface) {
            Finding::note(format!(
                "{name}: if {interface} is a veth or a virtual machine's, \
                 TCP needs checksums on its peer: `ethtool -K PEER tx off`"
            ))
        } else {
            Finding::error(format!(
                "{name}: there is no interface {interface} in this network namespace: \
                 `ip link` lists them; or start dpvsd in the one that has it \
                 (`ip netns exec NAME dpvsd ...`)"
            ))
        });
    }
    if vdev.starts_with("net_af_xdp") && workers > 1 {
        findings.push(Finding::error(format!(
            "{name}: net_af_xdp on a veth has 1 queue and {workers} workers want one each: \
             use net_af_packet, or one worker"
        )));
    }
    findings
}

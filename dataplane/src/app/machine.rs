//! What matters of the machine before a start, read from sysfs and /dev.

use std::fs;
use std::path::PathBuf;

use dpdk::release::{OtherRelease, Release};

use super::cgroup;

/// A machine. In tests it is a folder that looks like a machine's root.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    root: PathBuf,
    can_reserve: fn(usize) -> bool,
    other_dpdk: Option<OtherRelease>,
}

/// Free hugepages of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FreeHugepages {
    /// Size of one page in kB.
    pub(super) size_kb: u64,
    /// Number of free pages.
    pub(super) free: u64,
}

impl Machine {
    /// The machine whose root folder is `root`, with a kernel that promises any amount of memory.
    #[cfg(test)]
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            can_reserve: |_| true,
            other_dpdk: None,
        }
    }

    /// The same machine with other libraries of DPDK.
    #[cfg(test)]
    pub(super) fn with_other_dpdk(self, other: OtherRelease) -> Self {
        let other_dpdk = Some(other);
        Self { other_dpdk, ..self }
    }

    /// This machine.
    pub(super) fn this() -> Self {
        Self {
            root: "/".into(),
            can_reserve: dpdk::memory::can_reserve,
            other_dpdk: Release::COMPILED.fits(Release::running()).err(),
        }
    }

    /// The release of DPDK that the daemon runs with, if it was compiled against another.
    pub(super) const fn other_dpdk(&self) -> Option<OtherRelease> {
        self.other_dpdk
    }

    /// Whether the kernel would promise so much memory.
    pub(super) fn can_reserve(&self, bytes: usize) -> bool {
        (self.can_reserve)(bytes)
    }

    /// Bytes of memory that can be used now: of the machine, or of the control group (a container,
    /// a unit of systemd with `MemoryMax`) if that allows less. `None` if the kernel does not say.
    pub(super) fn free_memory(&self) -> Option<u64> {
        let of_machine = self.available_memory()?;
        let of_groups = cgroup::free_memory(&|path| self.read(path));
        Some(of_groups.map_or(of_machine, |bytes| bytes.min(of_machine)))
    }

    fn available_memory(&self) -> Option<u64> {
        let text = self.read("proc/meminfo")?;
        let mut lines = text.lines();
        let kb = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kb: u64 = kb.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kb * 1024)
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path))
            .ok()
            .map(|text| text.trim().to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Free hugepages of every size, the smallest size first.
    pub(super) fn free_hugepages(&self) -> Vec<FreeHugepages> {
        let sizes = fs::read_dir(self.root.join("sys/kernel/mm/hugepages"))
            .into_iter()
            .flatten()
            .flatten();
        let mut all: Vec<_> = sizes
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let size_kb = name
                    .strip_prefix("hugepages-")?
                    .strip_suffix("kB")?
                    .parse()
                    .ok()?;
                let free = fs::read_to_string(entry.path().join("free_hugepages"))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()?;
                Some(FreeHugepages { size_kb, free })
            })
            .collect();
        all.sort_by_key(|pages| pages.size_kb);
        all
    }

    /// Free hugepages of all sizes in MB.
    pub(super) fn free_hugepages_mb(&self) -> u64 {
        self.free_hugepages()
            .iter()
            .map(|pages| pages.size_kb * pages.free / 1024)
            .sum()
    }

    /// The numbers of the CPUs that are online.
    pub(super) fn cpus(&self) -> Vec<u32> {
        let text = self
            .read("sys/devices/system/cpu/online")
            .unwrap_or_default();
        let ranges = text.split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
        });
        ranges.flatten().collect()
    }

    /// The addresses of all NICs, in their order.
    pub(super) fn pci_nics(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.join("sys/bus/pci/devices"));
        let names = entries.into_iter().flatten().flatten();
        let mut nics: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|address| {
                // PCI's class of network controllers
                let class = self.read(&format!("sys/bus/pci/devices/{address}/class"));
                class.is_some_and(|class| class.starts_with("0x02"))
            })
            .collect();
        nics.sort();
        nics
    }

    /// Whether the machine has this PCI device.
    pub(super) fn has_pci_device(&self, address: &str) -> bool {
        self.exists(&format!("sys/bus/pci/devices/{address}"))
    }

    /// The kernel driver that a PCI device is bound to.
    pub(super) fn pci_driver(&self, address: &str) -> Option<String> {
        let link = fs::read_link(
            self.root
                .join(format!("sys/bus/pci/devices/{address}/driver")),
        )
        .ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Whether an IOMMU stands between a PCI device and the memory.
    pub(super) fn has_iommu(&self, address: &str) -> bool {
        self.exists(&format!("sys/bus/pci/devices/{address}/iommu_group"))
    }

    /// The network interfaces that the kernel's driver made for a PCI device.
    pub(super) fn interfaces_of(&self, address: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(format!("sys/bus/pci/devices/{address}/net")));
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Whether the kernel has this network interface.
    pub(super) fn has_interface(&self, name: &str) -> bool {
        self.exists(&format!("sys/class/net/{name}"))
    }

    /// Whether TAP devices can be made.
    pub(super) fn has_tun(&self) -> bool {
        self.exists("dev/net/tun")
    }
}

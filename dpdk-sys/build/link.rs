//! What is linked: a part of what pkg-config names, from the folders that it names.

use std::env;
use std::path::PathBuf;

use super::Result;
use super::package::{Linking, Package};

/// Drivers of a static build. Those that are not installed are left out.
const DRIVERS: &[&str] = &[
    "bus_auxiliary",
    "bus_pci",
    "bus_vdev",
    "common_iavf",
    "common_mlx5",
    "mempool_ring",
    "net_af_packet",
    "net_af_xdp",
    "net_bond",
    "net_e1000",
    "net_ena",
    "net_i40e",
    "net_iavf",
    "net_ice",
    "net_igc",
    "net_ixgbe",
    "net_memif",
    "net_mlx5",
    "net_null",
    "net_pcap",
    "net_ring",
    "net_tap",
    "net_vhost",
    "net_virtio",
    "net_vmxnet3",
];

/// Libraries of which a static build takes everything: EAL, ethdev, and what the drivers above
/// need. Of the others it takes what something refers to.
const LIBRARIES: &[&str] = &[
    "argparse",
    "bpf",
    "cryptodev",
    "eal",
    "ethdev",
    "gso",
    "hash",
    "ip_frag",
    "kvargs",
    "log",
    "mbuf",
    "mempool",
    "meter",
    "net",
    "pci",
    "power",
    "rcu",
    "ring",
    "sched",
    "security",
    "telemetry",
    "timer",
    "vhost",
    "dmadev",
    "reorder",
    "gro",
];

/// DPDK libraries that a shared build links.
const SHARED: &[&str] = &[
    "rte_eal",
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_net",
];

/// Tells Cargo what to link.
///
/// # Errors
/// If the C compiler does not say where it looks for libraries.
pub(crate) fn say(linking: Linking, package: &Package) -> Result<()> {
    let args = match linking {
        Linking::Static => static_args(package)?,
        Linking::Shared => {
            say_shared(package);
            loader_args(package)
        }
    };
    println!("cargo::metadata=link_args={}", args.join(" "));
    Ok(())
}

fn say_shared(package: &Package) {
    for folder in package.folders() {
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
    let libraries = package.libraries().into_iter();
    for name in libraries.filter(|name| !name.starts_with("rte_") || SHARED.contains(name)) {
        println!("cargo::rustc-link-lib={name}");
    }
}

/// Programs look for the shared libraries first where they were linked from: the loader does not
/// know the folders of a DPDK in a prefix of its own. This is the older of the two tags, which also
/// counts for the libraries that DPDK's libraries and drivers need.
fn loader_args(package: &Package) -> Vec<String> {
    let folders = package.folders().into_iter();
    let args = folders.map(|dir| format!("-Wl,--disable-new-dtags,-rpath,{}", dir.display()));
    args.collect()
}

/// The link line of a static build. It says `--whole-archive` because drivers register themselves
/// by constructors, which nothing refers to. Libraries of the system stay shared.
fn static_args(package: &Package) -> Result<Vec<String>> {
    let (archives, of_system): (Vec<_>, Vec<_>) = package
        .libraries()
        .into_iter()
        .filter(|name| !name.starts_with("rte_"))
        .partition(|name| name.starts_with(":librte_"));
    let (whole, on_demand): (Vec<_>, Vec<_>) =
        archives.into_iter().partition(|name| is_whole(name));
    let folders = package.folders();
    let mut args: Vec<_> = folders
        .iter()
        .map(|dir| format!("-L{}", dir.display()))
        .collect();
    let mut push = |option: &str| args.push(option.to_owned());
    push("-Wl,--whole-archive");
    whole.iter().for_each(|name| push(&format!("-l{name}")));
    push("-Wl,--no-whole-archive");
    push("-Wl,--start-group");
    on_demand.iter().for_each(|name| push(&format!("-l{name}")));
    push("-Wl,--end-group");
    push("-Wl,--as-needed");
    let searched = [folders, compilers_folders()?].concat();
    let found = of_system.iter().filter(|name| is_in(&searched, name));
    found.for_each(|name| push(&format!("-l{name}")));
    Ok(args)
}

/// Whether everything of an archive is linked.
fn is_whole(archive: &str) -> bool {
    let name = archive
        .trim_start_matches(":librte_")
        .trim_end_matches(".a");
    DRIVERS.contains(&name) || LIBRARIES.contains(&name)
}

/// Whether a library is installed. pkg-config also names libraries that only a program without any
/// shared library needs, and those may be missing: libsystemd for libpcap, for one.
fn is_in(folders: &[PathBuf], name: &str) -> bool {
    folders.iter().any(|folder| {
        ["so", "a"]
            .iter()
            .any(|kind| folder.join(format!("lib{name}.{kind}")).exists())
    })
}

/// The folders where the C compiler looks for libraries, on this distribution.
fn compilers_folders() -> Result<Vec<PathBuf>> {
    let compiler = cc::Build::new().get_compiler();
    let output = compiler.to_command().arg("-print-search-dirs").output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("libraries: ="));
    Ok(
        env::split_paths(line.ok_or("`cc -print-search-dirs` names no folder of libraries")?)
            .collect(),
    )
}

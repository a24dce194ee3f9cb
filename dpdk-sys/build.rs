//! Bindings of the DPDK that pkg-config finds, the C shim, and how to link.
//!
//! Debug builds link DPDK's shared libraries: EAL loads every driver there is. Release builds link
//! statically, with the drivers below alone: a binary of a few megabytes that starts at once. The
//! link line of those has to come from the binary's own build script; it gets it as
//! `DEP_DPDK_LINK_ARGS`. `DPDK_LINK=static` or `shared` overrides.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const OLDEST: &str = "22.11";

/// Drivers of a static build, as far as they are installed.
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

/// Libraries that EAL, ethdev and the drivers above need.
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

/// Libraries of the system that those need; they stay shared.
const SYSTEM_LIBRARIES: &[&str] = &[
    "mlx5",
    "ibverbs",
    "xdp",
    "bpf",
    "pcap",
    "numa",
    "nl-3",
    "nl-route-3",
    "elf",
    "z",
    "bsd",
    "md",
    "dl",
    "m",
    "rt",
    "pthread",
    "atomic",
    "crypto",
    "jansson",
    "fdt",
    "archive",
];

const SHARED: &[&str] = &[
    "rte_eal",
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_net",
];

fn main() -> Result<()> {
    for file in ["wrapper.h", "shim.h", "shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-env-changed=DPDK_LINK");
    find()?;
    let cflags = pkg_config(&["--cflags", "libdpdk"])?;
    bind(&cflags)?;
    compile_shim(&cflags);
    link()
}

fn find() -> Result<()> {
    pkg_config::Config::new()
        .atleast_version(OLDEST)
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|why| format!("no DPDK {OLDEST} or newer: run `apt-get install libdpdk-dev`, or set PKG_CONFIG_PATH to yours ({why})"))?;
    Ok(())
}

fn pkg_config(args: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("pkg-config").args(args).output()?;
    Ok(String::from_utf8(output.stdout)?
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

fn bind(cflags: &[String]) -> Result<()> {
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(cflags)
        .allowlist_function("dpvs_.*")
        .allowlist_function("rte_eal_(init|cleanup|remote_launch|wait_lcore)")
        .allowlist_function("rte_(get_main_lcore|get_next_lcore|lcore_to_socket_id|lcore_count|get_tsc_hz|socket_id|strerror)")
        .allowlist_function("rte_eth_(dev_(count_avail|get_port_by_name|start|stop|close|set_mtu|get_mtu|default_mac_addr_set|set_link_up|set_link_down)|rx_queue_setup|tx_queue_setup|macaddr_get|stats_get|xstats_get|xstats_get_names|promiscuous_(enable|disable|get)|allmulticast_(enable|disable|get))")
        .allowlist_function("rte_eth_dev_default_mac_addr_set")
        .allowlist_function("rte_pktmbuf_pool_create")
        .allowlist_function("rte_mempool_(free|walk|avail_count|in_use_count)")
        .allowlist_type("dpvs_mbuf|rte_mbuf|rte_mempool|rte_eth_stats|rte_eth_xstat|rte_eth_xstat_name|rte_ether_addr")
        .allowlist_var("RTE_PKTMBUF_HEADROOM|RTE_MAX_LCORE|RTE_MBUF_DEFAULT_DATAROOM")
        // Packed structs that hold aligned ones cannot be said in Rust; nobody looks into them.
        .opaque_type("rte_l2tpv2_.*|rte_gtp_psc.*|rte_arp_.*|rte_mbuf|rte_mempool|rte_eth_dev.*")
        // They are in DPDK's own dialect; its API reference has them.
        .generate_comments(false)
        .derive_debug(false)
        .derive_default(true)
        .generate()?
        .write_to_file(out_dir().join("bindings.rs"))?;
    Ok(())
}

fn compile_shim(cflags: &[String]) {
    let mut build = cc::Build::new();
    build.file("shim.c").opt_level(3);
    for flag in cflags {
        build.flag(flag);
    }
    build.compile("dpvs_dpdk_shim");
}

fn link() -> Result<()> {
    let is_static = match env::var("DPDK_LINK").as_deref() {
        Ok("static") => true,
        Ok("shared") => false,
        _ => env::var("PROFILE")? == "release",
    };
    if is_static {
        println!("cargo::metadata=link_args={}", static_args()?.join(" "));
    } else {
        for library in SHARED {
            println!("cargo::rustc-link-lib={library}");
        }
    }
    Ok(())
}

/// `--whole-archive`, since drivers register themselves by constructors that nothing refers to.
fn static_args() -> Result<Vec<String>> {
    let libdir = PathBuf::from(pkg_config(&["--variable=libdir", "libdpdk"])?.concat());
    let mut args = vec![
        format!("-L{}", libdir.display()),
        "-Wl,--whole-archive".to_owned(),
    ];
    for name in DRIVERS.iter().chain(LIBRARIES) {
        let archive = format!("librte_{name}.a");
        if libdir.join(&archive).exists() {
            args.push(format!("-l:{archive}"));
        }
    }
    args.push("-Wl,--no-whole-archive".to_owned());
    args.push("-Wl,--as-needed".to_owned());
    args.extend(
        SYSTEM_LIBRARIES
            .iter()
            .filter(|name| is_installed(&libdir, name))
            .map(|name| format!("-l{name}")),
    );
    Ok(args)
}

fn is_installed(libdir: &Path, name: &str) -> bool {
    [libdir, Path::new("/usr/lib")].iter().any(|dir| {
        ["so", "a"]
            .iter()
            .any(|kind| fs::exists(dir.join(format!("lib{name}.{kind}"))).unwrap_or(false))
    })
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
}

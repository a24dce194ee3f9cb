//! Makes the bindings of the DPDK that pkg-config finds, compiles the C shim, and chooses how to
//! link.
//!
//! Debug builds link DPDK's shared libraries, and EAL loads every driver that is installed. Release
//! builds link statically, with only the drivers below: a binary of a few megabytes that starts at
//! once. Cargo wants the static link line from the binary's own build script, which gets it from
//! here as `DEP_DPDK_LINK_ARGS`. `DPDK_LINK=static` or `shared` overrides the choice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The oldest release that is supported and tested.
const OLDEST: &str = "22.11";

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

/// System libraries that DPDK needs. They stay shared.
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

/// DPDK libraries that a shared build links.
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
        .map_err(|why| {
            format!(
                "no DPDK {OLDEST} or newer: run `apt-get install libdpdk-dev`, \
                 or set PKG_CONFIG_PATH to yours ({why})"
            )
        })?;
    Ok(())
}

fn pkg_config(args: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("pkg-config").args(args).output()?;
    Ok(String::from_utf8(output.stdout)?
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

/// Functions that Rust calls, as regular expressions.
const FUNCTIONS: &[&str] = &[
    "dpvs_.*",
    "rte_eal_(init|remote_launch|wait_lcore)",
    "rte_(get_next_lcore|lcore_to_socket_id|get_tsc_hz|strerror|version)",
    "rte_eth_dev_(get_port_by_name|start|stop)",
    "rte_eth_dev_(default_mac_addr_set|set_link_up|set_link_down)",
    "rte_eth_(rx_queue_setup|tx_queue_setup|macaddr_get)",
    "rte_eth_(stats_get|xstats_get|xstats_get_names)",
    "rte_eth_(promiscuous|allmulticast)_(enable|disable|get)",
    "rte_pktmbuf_pool_create",
    "rte_mempool_(walk|avail_count|in_use_count)",
];

/// Types that Rust looks into.
const TYPES: &[&str] = &[
    "dpvs_mbuf",
    "rte_mbuf",
    "rte_mempool",
    "rte_eth_stats",
    "rte_eth_xstat",
    "rte_eth_xstat_name",
    "rte_ether_addr",
];

const CONSTANTS: &str = "RTE_PKTMBUF_HEADROOM|RTE_MAX_LCORE|RTE_MBUF_DEFAULT_DATAROOM";

/// Types whose fields nobody uses. Some are packed structs that hold aligned ones, which Rust
/// cannot express.
const OPAQUE: &str = "rte_l2tpv2_.*|rte_gtp_psc.*|rte_arp_.*|rte_mbuf|rte_mempool|rte_eth_dev.*";

fn bind(cflags: &[String]) -> Result<()> {
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(cflags)
        .allowlist_function(FUNCTIONS.join("|"))
        .allowlist_type(TYPES.join("|"))
        .allowlist_var(CONSTANTS)
        .opaque_type(OPAQUE)
        // Comments in DPDK's Doxygen dialect do not read well in rustdoc.
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

/// The link line of a static build. It says `--whole-archive` because drivers register themselves
/// by constructors, which nothing refers to.
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

//! The bindings: what Rust sees of DPDK's headers and of the shim's.

use std::path::Path;

use super::Result;

/// Functions that Rust calls, as regular expressions.
const FUNCTIONS: &[&str] = &[
    "dpvs_.*",
    "rte_eal_(init|remote_launch|wait_lcore)",
    "rte_(get_next_lcore|lcore_to_socket_id|get_tsc_hz|strerror|version)",
    "rte_version_(year|month|minor)",
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

const CONSTANTS: &[&str] = &[
    "RTE_PKTMBUF_HEADROOM",
    "RTE_MAX_LCORE",
    "RTE_MBUF_DEFAULT_DATAROOM",
    "RTE_VER_(YEAR|MONTH|MINOR)",
];

/// Types whose fields nobody uses. Some are packed structs that hold aligned ones, which Rust
/// cannot express.
const OPAQUE: &str = "rte_l2tpv2_.*|rte_gtp_psc.*|rte_arp_.*|rte_mbuf|rte_mempool|rte_eth_dev.*";

/// Writes the bindings to a file.
///
/// # Errors
/// If the headers do not compile, or the file cannot be written.
pub(crate) fn write(cflags: &[String], file: &Path) -> Result<()> {
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(cflags)
        .allowlist_function(FUNCTIONS.join("|"))
        .allowlist_type(TYPES.join("|"))
        .allowlist_var(CONSTANTS.join("|"))
        .opaque_type(OPAQUE)
        // Comments in DPDK's Doxygen dialect do not read well in rustdoc.
        .generate_comments(false)
        .derive_debug(false)
        .derive_default(true)
        .generate()?
        .write_to_file(file)?;
    Ok(())
}

//! What a port is and can do, as its driver says.

use std::ffi::CStr;

use dpdk_sys as sys;
use packet::PortId;

use crate::errno::Errno;

/// What a port is and can do.
#[derive(Debug, Clone)]
pub struct PortInfo {
    /// The driver's name.
    pub driver: String,
    /// The NUMA node, -1 if the port has none.
    pub socket: i32,
    /// Most queues, receive and transmit queues counted as pairs.
    pub max_queues: u16,
    /// Entries of the redirection table, 0 without RSS.
    pub reta_size: u16,
    /// Bytes of the hash key, 0 if the driver does not say.
    pub hash_key_size: u8,
    /// Checksums that the NIC verifies or fills in, in the words of `dpip link show`.
    pub offloads: Vec<&'static str>,
    /// Names and values of what else the driver says, for `dpip -v link show`.
    pub details: Vec<(&'static str, String)>,
}

/// Asks the driver.
pub(super) fn query(port: PortId) -> Result<PortInfo, Errno> {
    let mut raw = sys::dpvs_port_info::default();
    // SAFETY: the port exists; the pointer is valid.
    let result = unsafe { sys::dpvs_port_info(port.0, &mut raw) };
    if result < 0 {
        return Err(Errno::from_result(result));
    }
    // SAFETY: drivers' names are constants.
    let driver = unsafe { CStr::from_ptr(raw.driver) };
    let driver = driver.to_string_lossy().into_owned();
    Ok(PortInfo {
        driver: driver.clone(),
        socket: raw.socket,
        max_queues: raw.max_rx_queues.min(raw.max_tx_queues),
        reta_size: raw.reta_size,
        hash_key_size: raw.hash_key_size,
        offloads: offloads(&raw),
        details: details(driver, &raw),
    })
}

fn offloads(raw: &sys::dpvs_port_info) -> Vec<&'static str> {
    [
        (raw.rx_ip_checksum, "OF_RX_IP_CSUM"),
        (raw.tx_ip_checksum, "OF_TX_IP_CSUM"),
        (raw.tx_tcp_checksum, "OF_TX_TCP_CSUM"),
        (raw.tx_udp_checksum, "OF_TX_UDP_CSUM"),
        (raw.tx_fast_free, "OF_TX_FAST_FREE"),
    ]
    .into_iter()
    .filter_map(|(has, name)| (has != 0).then_some(name))
    .collect()
}

fn details(driver: String, raw: &sys::dpvs_port_info) -> Vec<(&'static str, String)> {
    vec![
        ("driver_name", driver),
        ("min_rx_bufsize", raw.min_rx_bufsize.to_string()),
        ("max_rx_pktlen", raw.max_rx_pktlen.to_string()),
        ("max_mac_addrs", raw.max_mac_addrs.to_string()),
        ("max_rx_queues", raw.max_rx_queues.to_string()),
        ("max_tx_queues", raw.max_tx_queues.to_string()),
        ("rx_ol_capa", format!("{:#x}", raw.rx_offload_capa)),
        ("tx_ol_capa", format!("{:#x}", raw.tx_offload_capa)),
        ("reta_size", raw.reta_size.to_string()),
        ("hash_key_size", raw.hash_key_size.to_string()),
        ("flowtype_rss_ol", format!("{:#x}", raw.rss_types)),
        ("rx_desc_max", raw.rx_desc_max.to_string()),
        ("rx_desc_min", raw.rx_desc_min.to_string()),
        ("rx_desc_align", raw.rx_desc_align.to_string()),
        ("tx_desc_max", raw.tx_desc_max.to_string()),
        ("tx_desc_min", raw.tx_desc_min.to_string()),
        ("tx_desc_align", raw.tx_desc_align.to_string()),
        ("speed_capa", format!("{:#x}", raw.speed_capa)),
    ]
}

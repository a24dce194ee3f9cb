//! A port's link state and counters.

use dpdk_sys as sys;
use packet::PortId;

/// State of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whether there is carrier.
    pub up: bool,
    /// Speed in Mbit/s, 0 if unknown.
    pub speed_mbps: u32,
    /// Whether the link is full duplex.
    pub full_duplex: bool,
    /// Whether speed and duplex were negotiated.
    pub autoneg: bool,
}

/// Counters of a port, under the names of `rte_eth_stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub ipackets: u64,
    /// Packets sent.
    pub opackets: u64,
    /// Bytes received.
    pub ibytes: u64,
    /// Bytes sent.
    pub obytes: u64,
    /// Packets received with errors.
    pub ierrors: u64,
    /// Packets that could not be sent.
    pub oerrors: u64,
    /// Packets lost because no receive descriptor was free.
    pub imissed: u64,
    /// Packets lost because no mbuf was free.
    pub rx_nombuf: u64,
}

pub(super) fn link(port: PortId) -> Link {
    let mut raw = sys::dpvs_link::default();
    // SAFETY: the port exists; the pointer is valid. A driver that does not say leaves zeros.
    unsafe { sys::dpvs_link(port.0, &mut raw) };
    Link {
        up: raw.up != 0,
        speed_mbps: raw.speed_mbps,
        full_duplex: raw.full_duplex != 0,
        autoneg: raw.autoneg != 0,
    }
}

pub(super) fn stats(port: PortId) -> PortStats {
    let mut raw = sys::rte_eth_stats::default();
    // SAFETY: the port exists; the pointer is valid. A driver without counters leaves zeros.
    unsafe { sys::rte_eth_stats_get(port.0, &mut raw) };
    PortStats {
        ipackets: raw.ipackets,
        opackets: raw.opackets,
        ibytes: raw.ibytes,
        obytes: raw.obytes,
        ierrors: raw.ierrors,
        oerrors: raw.oerrors,
        imissed: raw.imissed,
        rx_nombuf: raw.rx_nombuf,
    }
}

pub(super) fn xstats(port: PortId) -> Vec<(String, u64)> {
    // SAFETY: the port exists; null and 0 ask for the number.
    let count = unsafe { sys::rte_eth_xstats_get(port.0, std::ptr::null_mut(), 0) };
    let count = usize::try_from(count).unwrap_or(0);
    let mut values = vec![sys::rte_eth_xstat::default(); count];
    let mut names = vec![sys::rte_eth_xstat_name { name: [0; 64] }; count];
    // SAFETY: both arrays have room for count entries.
    let filled = unsafe {
        sys::rte_eth_xstats_get_names(port.0, names.as_mut_ptr(), count as u32).min(
            sys::rte_eth_xstats_get(port.0, values.as_mut_ptr(), count as u32),
        )
    };
    let filled = usize::try_from(filled).unwrap_or(0).min(count);
    values[..filled]
        .iter()
        .filter_map(|value| {
            let name = names.get(usize::try_from(value.id).ok()?)?;
            Some((text(&name.name), value.value))
        })
        .collect()
}

/// The string in a C array that a NUL byte ends.
fn text(array: &[std::ffi::c_char]) -> String {
    let chars = array.iter().take_while(|c| **c != 0);
    let bytes: Vec<u8> = chars.map(|c| *c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

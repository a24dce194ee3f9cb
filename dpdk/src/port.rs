//! A port: found by name, configured, started, asked.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_int};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;
use packet::{MacAddr, PortId};

use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};
use crate::strerror;

/// What a port would not do.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {action} failed: {why}")]
pub struct PortError {
    name: String,
    action: &'static str,
    why: String,
}

/// What a port is configured with.
#[derive(Debug, Clone, Copy)]
pub struct PortConfig {
    /// Receive and transmit queues, as many of each
    pub queues: u16,
    /// Receive descriptors per queue; 0 for the driver's default
    pub rx_desc: u16,
    /// Transmit descriptors per queue; 0 for the driver's default
    pub tx_desc: u16,
    /// Largest IP packet in bytes
    pub mtu: u16,
    /// Whether to take frames for other MAC addresses
    pub promiscuous: bool,
}

/// What a port is and can do.
#[derive(Debug, Clone)]
pub struct PortInfo {
    /// The driver's name
    pub driver: String,
    /// NUMA node, -1 if it has none
    pub socket: i32,
    /// Most receive and transmit queues
    pub max_queues: u16,
    /// Checksums that its NIC verifies or fills in, in the words of `dpip link show`
    pub offloads: Vec<&'static str>,
    /// What else the driver says, for `dpip -v link show`
    pub details: Vec<(&'static str, String)>,
}

/// State of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Carrier
    pub up: bool,
    /// Mbit/s, 0 if unknown
    pub speed_mbps: u32,
    /// Full duplex
    pub full_duplex: bool,
    /// Autonegotiated
    pub autoneg: bool,
}

/// Counters of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received
    pub ipackets: u64,
    /// Packets sent
    pub opackets: u64,
    /// Bytes received
    pub ibytes: u64,
    /// Bytes sent
    pub obytes: u64,
    /// Received with errors
    pub ierrors: u64,
    /// Not sent
    pub oerrors: u64,
    /// Not received for want of descriptors
    pub imissed: u64,
    /// Not received for want of mbufs
    pub rx_nombuf: u64,
}

/// Ports that have their value. None is ever given back: its queues may outlive it.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of EAL. Only one value exists per port; the queues it gives are handed out once.
#[derive(Debug)]
pub struct Port {
    id: u16,
    name: String,
    queues_left: u16,
    next_queue: u16,
}

impl Port {
    /// The port of a device that EAL was started with: a PCI address, or a vdev's name.
    ///
    /// # Errors
    /// If EAL has no such port, or it was looked up before.
    pub fn by_name(name: &str) -> Result<Self, PortError> {
        let mut id = 0;
        let fail = |why: String| PortError {
            name: name.to_owned(),
            action: "looking the port up",
            why,
        };
        let c_name = CString::new(name).map_err(|_| fail("its name holds a NUL byte".into()))?;
        // SAFETY: EAL is started or has no ports; both pointers are valid.
        let failed = unsafe { sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &mut id) };
        if failed != 0 {
            return Err(fail(strerror(failed)));
        }
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(id) {
            return Err(fail("it is in use by this process already".into()));
        }
        Ok(Self {
            id,
            name: name.to_owned(),
            queues_left: 0,
            next_queue: 0,
        })
    }

    /// Its number.
    pub const fn id(&self) -> PortId {
        PortId(self.id)
    }

    fn check(&self, action: &'static str, result: c_int) -> Result<(), PortError> {
        if result >= 0 {
            Ok(())
        } else {
            Err(self.error(action, strerror(result)))
        }
    }

    fn error(&self, action: &'static str, why: String) -> PortError {
        PortError {
            name: self.name.clone(),
            action,
            why,
        }
    }

    /// What it is and can do.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn info(&self) -> Result<PortInfo, PortError> {
        let mut raw = sys::dpvs_port_info::default();
        // SAFETY: the port exists; the pointer is valid.
        self.check("asking what it can do", unsafe {
            sys::dpvs_port_info(self.id, &mut raw)
        })?;
        // SAFETY: drivers' names are constants.
        let driver = unsafe { CStr::from_ptr(raw.driver) }
            .to_string_lossy()
            .into_owned();
        Ok(PortInfo {
            driver: driver.clone(),
            socket: raw.socket,
            max_queues: raw.max_rx_queues.min(raw.max_tx_queues),
            offloads: offloads(&raw),
            details: details(driver, &raw),
        })
    }

    /// Configures and starts the port.
    ///
    /// # Errors
    /// With the step that failed and the driver's reason; or if queues of an earlier start were taken.
    pub fn start(&mut self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        if self.next_queue > 0 {
            return Err(self.error("starting it again", "its queues were handed out".into()));
        }
        let wanted = sys::dpvs_port_config {
            rx_queues: config.queues,
            tx_queues: config.queues,
            mtu: config.mtu,
            rss: u8::from(config.queues > 1),
        };
        // SAFETY: the port exists; the pointer is valid.
        self.check("configuring it", unsafe {
            sys::dpvs_port_configure(self.id, &wanted)
        })?;
        let (mut rx_desc, mut tx_desc) = (config.rx_desc, config.tx_desc);
        // SAFETY: as above.
        self.check("choosing its descriptors", unsafe {
            sys::dpvs_adjust_descriptors(self.id, &mut rx_desc, &mut tx_desc)
        })?;
        let socket = self.info()?.socket.max(0) as u32;
        for queue in 0..config.queues {
            // SAFETY: the port is configured with this many queues; null asks for the driver's
            // defaults; the pool lives as long as the process.
            self.check("setting a receive queue up", unsafe {
                sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx_desc,
                    socket,
                    std::ptr::null(),
                    pool.as_ptr(),
                )
            })?;
            // SAFETY: as above.
            self.check("setting a transmit queue up", unsafe {
                sys::rte_eth_tx_queue_setup(self.id, queue, tx_desc, socket, std::ptr::null())
            })?;
        }
        // SAFETY: the port is configured.
        self.check("starting it", unsafe { sys::rte_eth_dev_start(self.id) })?;
        self.queues_left = config.queues;
        self.next_queue = 0;
        if config.promiscuous {
            self.set_promiscuous(true)?;
        }
        self.take_multicast();
        Ok(())
    }

    /// Neighbours ask for IPv6 addresses by multicast (RFC 4861, 4.3), and routers speak to each other so. A driver
    /// without such a mode takes all frames instead; one without either is virtual and filters nothing.
    fn take_multicast(&self) {
        let taken = self.set_all_multicast(true);
        let _ = taken.or_else(|_| self.set_promiscuous(true));
    }

    /// The next pair of queues of a started port; `None` when all are taken.
    pub fn take_queues(&mut self) -> Option<(RxQueue, TxQueue)> {
        self.queues_left = self.queues_left.checked_sub(1)?;
        let queue = self.next_queue;
        self.next_queue += 1;
        Some((RxQueue::new(self.id, queue), TxQueue::new(self.id, queue)))
    }

    /// Stops the port. No queue of it may be used any more.
    pub fn stop(&mut self) {
        // SAFETY: the port exists; stopping one that is stopped is fine.
        unsafe { sys::rte_eth_dev_stop(self.id) };
    }

    /// Its MAC address.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn mac(&self) -> Result<MacAddr, PortError> {
        let mut mac = sys::rte_ether_addr::default();
        // SAFETY: the port exists; the pointer is valid.
        self.check("asking for its MAC address", unsafe {
            sys::rte_eth_macaddr_get(self.id, &mut mac)
        })?;
        Ok(MacAddr(mac.addr_bytes))
    }

    /// Changes its MAC address.
    ///
    /// # Errors
    /// If the driver cannot.
    pub fn set_mac(&self, mac: MacAddr) -> Result<(), PortError> {
        let mut mac = sys::rte_ether_addr { addr_bytes: mac.0 };
        // SAFETY: the port exists; the pointer is valid.
        self.check("changing its MAC address", unsafe {
            sys::rte_eth_dev_default_mac_addr_set(self.id, &mut mac)
        })
    }

    /// Takes frames for other MAC addresses, or no longer.
    ///
    /// # Errors
    /// If the driver cannot.
    pub fn set_promiscuous(&self, on: bool) -> Result<(), PortError> {
        let set = if on {
            sys::rte_eth_promiscuous_enable
        } else {
            sys::rte_eth_promiscuous_disable
        };
        // SAFETY: the port exists.
        self.check("setting promiscuous mode", unsafe { set(self.id) })
    }

    /// Takes all multicast frames, or no longer.
    ///
    /// # Errors
    /// If the driver cannot.
    pub fn set_all_multicast(&self, on: bool) -> Result<(), PortError> {
        let set = if on {
            sys::rte_eth_allmulticast_enable
        } else {
            sys::rte_eth_allmulticast_disable
        };
        // SAFETY: the port exists.
        self.check("setting all-multicast mode", unsafe { set(self.id) })
    }

    /// Takes the link up or down.
    ///
    /// # Errors
    /// If the driver cannot.
    pub fn set_link_up(&self, up: bool) -> Result<(), PortError> {
        let set = if up {
            sys::rte_eth_dev_set_link_up
        } else {
            sys::rte_eth_dev_set_link_down
        };
        // SAFETY: the port exists.
        self.check("setting the link", unsafe { set(self.id) })
    }

    /// Whether it takes frames for other MAC addresses.
    pub fn is_promiscuous(&self) -> bool {
        // SAFETY: the port exists.
        unsafe { sys::rte_eth_promiscuous_get(self.id) == 1 }
    }

    /// Whether it takes all multicast frames.
    pub fn is_all_multicast(&self) -> bool {
        // SAFETY: the port exists.
        unsafe { sys::rte_eth_allmulticast_get(self.id) == 1 }
    }

    /// The state of its link.
    pub fn link(&self) -> Link {
        let mut raw = sys::dpvs_link::default();
        // SAFETY: the port exists; the pointer is valid. A driver that does not say leaves zeros.
        unsafe { sys::dpvs_link(self.id, &mut raw) };
        Link {
            up: raw.up != 0,
            speed_mbps: raw.speed_mbps,
            full_duplex: raw.full_duplex != 0,
            autoneg: raw.autoneg != 0,
        }
    }

    /// Its counters.
    pub fn stats(&self) -> PortStats {
        let mut raw = sys::rte_eth_stats::default();
        // SAFETY: the port exists; the pointer is valid. A driver without counters leaves zeros.
        unsafe { sys::rte_eth_stats_get(self.id, &mut raw) };
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

    /// The driver's own counters, by name.
    pub fn xstats(&self) -> Vec<(String, u64)> {
        // SAFETY: the port exists; null and 0 ask for the number.
        let count = unsafe { sys::rte_eth_xstats_get(self.id, std::ptr::null_mut(), 0) };
        let count = usize::try_from(count).unwrap_or(0);
        let mut values = vec![sys::rte_eth_xstat::default(); count];
        let mut names = vec![sys::rte_eth_xstat_name { name: [0; 64] }; count];
        // SAFETY: both arrays have room for count entries.
        let filled = unsafe {
            sys::rte_eth_xstats_get_names(self.id, names.as_mut_ptr(), count as u32).min(
                sys::rte_eth_xstats_get(self.id, values.as_mut_ptr(), count as u32),
            )
        };
        let filled = usize::try_from(filled).unwrap_or(0).min(count);
        values[..filled]
            .iter()
            .filter_map(|value| {
                let name = names.get(usize::try_from(value.id).ok()?)?;
                let bytes: Vec<u8> = name
                    .name
                    .iter()
                    .take_while(|c| **c != 0)
                    .map(|c| *c as u8)
                    .collect();
                Some((String::from_utf8_lossy(&bytes).into_owned(), value.value))
            })
            .collect()
    }
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

//! A port in the hands of its one owner: looked up, configured, started, asked.

use std::collections::BTreeSet;
use std::ffi::{CString, c_int};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;
use packet::{MacAddr, PortId};

use crate::errno::Errno;
use crate::mempool::Mempool;
use crate::queue::{QueueId, RxQueue, TxQueue};

use super::error::PortError;
use super::info::{self, PortInfo};
use super::stats::{self, Link, PortStats};

/// What a port is configured with.
#[derive(Debug, Clone, Copy)]
pub struct PortConfig {
    /// Number of receive queues, and of transmit queues.
    pub queues: u16,
    /// Receive descriptors per queue; 0 for the driver's default.
    pub rx_desc: u16,
    /// Transmit descriptors per queue; 0 for the driver's default.
    pub tx_desc: u16,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// Whether to take frames for other MAC addresses.
    pub promiscuous: bool,
    /// The key by which packets are spread over the queues. The driver takes as much of it as its
    /// key is long. `None` for the driver's own key.
    pub rss_key: Option<[u8; 52]>,
}

/// Ports that were looked up. None is ever given back, because its queues may outlive its value.
static TAKEN: Mutex<BTreeSet<PortId>> = Mutex::new(BTreeSet::new());

/// A port of EAL. Only one value exists per port, and it hands each of its queues out once.
#[derive(Debug)]
pub struct Port {
    id: PortId,
    name: String,
    /// By number: whether the pair of queues was handed out.
    taken: Vec<bool>,
}

impl Port {
    /// The port of a device that EAL was started with: a PCI address, or a vdev's name.
    ///
    /// # Errors
    /// If EAL has no such port, or it was looked up before.
    pub fn by_name(name: &str) -> Result<Self, PortError> {
        let mut id = 0;
        let owned = || name.to_owned();
        let c_name = CString::new(name).map_err(|_| PortError::BadName(owned()))?;
        // SAFETY: EAL is started or has no ports; both pointers are valid.
        let failed = unsafe { sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &mut id) };
        if failed != 0 {
            let why = Errno::from_result(failed);
            return Err(PortError::NotFound { name: owned(), why });
        }
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(PortId(id)) {
            return Err(PortError::InUse(owned()));
        }
        Ok(Self {
            id: PortId(id),
            name: owned(),
            taken: Vec::new(),
        })
    }

    /// Its number.
    pub const fn id(&self) -> PortId {
        self.id
    }

    pub(super) fn check(&self, step: &'static str, result: c_int) -> Result<(), PortError> {
        if result >= 0 {
            Ok(())
        } else {
            Err(self.refused(step, Errno::from_result(result)))
        }
    }

    fn refused(&self, step: &'static str, why: Errno) -> PortError {
        PortError::Refused {
            name: self.name.clone(),
            step,
            why,
        }
    }

    /// What it is and can do.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn info(&self) -> Result<PortInfo, PortError> {
        info::query(self.id).map_err(|why| self.refused("asking what it can do", why))
    }

    /// Configures and starts the port.
    ///
    /// # Errors
    /// With the step that failed and the driver's reason; or if queues of an earlier start were
    /// taken.
    pub fn start(&mut self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        if self.taken.contains(&true) {
            return Err(PortError::QueuesTaken(self.name.clone()));
        }
        self.configure(config)?;
        self.set_queues_up(config, pool)?;
        // SAFETY: the port is configured.
        self.check("starting it", unsafe { sys::rte_eth_dev_start(self.id.0) })?;
        self.taken = vec![false; usize::from(config.queues)];
        if config.promiscuous {
            self.set_promiscuous(true)?;
        }
        self.take_multicast();
        Ok(())
    }

    fn configure(&self, config: &PortConfig) -> Result<(), PortError> {
        let key_len = match self.info()?.hash_key_size {
            // The driver does not say. Most keys have 40 bytes.
            0 => 40,
            len => len,
        };
        let key = config.rss_key.as_ref();
        let key = key.filter(|key| usize::from(key_len) <= key.len());
        let wanted = sys::dpvs_port_config {
            rx_queues: config.queues,
            tx_queues: config.queues,
            mtu: config.mtu,
            rss: u8::from(config.queues > 1),
            rss_key_len: if key.is_some() { key_len } else { 0 },
            rss_key: key.map_or(std::ptr::null(), |key| key.as_ptr()),
        };
        // SAFETY: the port exists; the pointers are valid, and DPDK copies the key.
        self.check("configuring it", unsafe {
            sys::dpvs_port_configure(self.id.0, &wanted)
        })
    }

    fn set_queues_up(&self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        let (mut rx_desc, mut tx_desc) = (config.rx_desc, config.tx_desc);
        // SAFETY: the port exists; the pointers are valid.
        self.check("choosing its descriptors", unsafe {
            sys::dpvs_adjust_descriptors(self.id.0, &mut rx_desc, &mut tx_desc)
        })?;
        let socket = self.info()?.socket.max(0) as u32;
        let defaults = std::ptr::null();
        for queue in 0..config.queues {
            // SAFETY: the port is configured with this many queues; null asks for the driver's
            // defaults; the pool lives as long as the process.
            self.check("setting a receive queue up", unsafe {
                let pool = pool.as_ptr();
                sys::rte_eth_rx_queue_setup(self.id.0, queue, rx_desc, socket, defaults, pool)
            })?;
            let defaults = std::ptr::null();
            // SAFETY: as above.
            self.check("setting a transmit queue up", unsafe {
                sys::rte_eth_tx_queue_setup(self.id.0, queue, tx_desc, socket, defaults)
            })?;
        }
        Ok(())
    }

    /// Takes multicast frames: neighbours ask for IPv6 addresses by multicast (RFC 4861, 4.3), and
    /// routers speak to each other that way. A driver without all-multicast mode is put into
    /// promiscuous mode instead. A driver that has neither is virtual and filters nothing, so its
    /// refusal is ignored.
    fn take_multicast(&self) {
        let taken = self.set_all_multicast(true);
        let _ = taken.or_else(|_| self.set_promiscuous(true));
    }

    /// The receive and the transmit queue of this number of a started port. `None` if there are
    /// none, or they were taken before.
    pub fn take_queues(&mut self, queue: QueueId) -> Option<(RxQueue, TxQueue)> {
        let taken = self.taken.get_mut(usize::from(queue.0))?;
        if std::mem::replace(taken, true) {
            return None;
        }
        Some((RxQueue::new(self.id, queue), TxQueue::new(self.id, queue)))
    }

    /// Stops the port. No queue of it may be used any more.
    pub fn stop(&mut self) {
        // SAFETY: the port exists; stopping one that is stopped is fine.
        unsafe { sys::rte_eth_dev_stop(self.id.0) };
    }

    /// Its MAC address.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn mac(&self) -> Result<MacAddr, PortError> {
        let mut mac = sys::rte_ether_addr::default();
        // SAFETY: the port exists; the pointer is valid.
        self.check("asking for its MAC address", unsafe {
            sys::rte_eth_macaddr_get(self.id.0, &mut mac)
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
            sys::rte_eth_dev_default_mac_addr_set(self.id.0, &mut mac)
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
        self.check("setting promiscuous mode", unsafe { set(self.id.0) })
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
        self.check("setting all-multicast mode", unsafe { set(self.id.0) })
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
        self.check("setting the link", unsafe { set(self.id.0) })
    }

    /// Whether it takes frames for other MAC addresses.
    pub fn is_promiscuous(&self) -> bool {
        // SAFETY: the port exists.
        unsafe { sys::rte_eth_promiscuous_get(self.id.0) == 1 }
    }

    /// Whether it takes all multicast frames.
    pub fn is_all_multicast(&self) -> bool {
        // SAFETY: the port exists.
        unsafe { sys::rte_eth_allmulticast_get(self.id.0) == 1 }
    }

    /// The state of its link.
    pub fn link(&self) -> Link {
        stats::link(self.id)
    }

    /// Its counters.
    pub fn stats(&self) -> PortStats {
        stats::stats(self.id)
    }

    /// The driver's own counters, by name.
    pub fn xstats(&self) -> Vec<(String, u64)> {
        stats::xstats(self.id)
    }
}

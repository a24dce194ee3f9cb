//! The daemon's ports: started once, then asked and told by control.

use control::{LinkInfo, LinkStats, Platform, PlatformError, PoolInfo};
use dpdk::{Mempool, Port, PortConfig, PortError};
use inet::{Device, IfIndex};
use packet::{MacAddr, PortId};

use crate::check::check_queues;
use crate::config::{Config, DeviceConfig};

/// A port could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// DPDK refused
    #[error("device {device}: {why}")]
    Port {
        /// Its name in the configuration
        device: String,
        /// What DPDK said
        why: PortError,
    },
    /// More workers than queues
    #[error("{0}")]
    Queues(String),
}

/// A started port with its place in the configuration.
#[derive(Debug)]
pub struct StartedPort {
    /// The port
    pub port: Port,
    /// As control and the workers see it
    pub device: Device,
    /// Queues in use
    pub queues: u16,
    kni: String,
}

/// Finds, configures and starts every device of the configuration.
///
/// # Errors
/// With the device and the step that failed.
pub fn start(config: &Config, pool: &Mempool) -> Result<Vec<StartedPort>, StartError> {
    let numbered = config.devices.iter().zip(1..);
    numbered
        .map(|(device, index)| start_one(config, device, index, pool))
        .collect()
}

fn start_one(
    config: &Config,
    device: &DeviceConfig,
    index: u16,
    pool: &Mempool,
) -> Result<StartedPort, StartError> {
    let failed = |why| StartError::Port {
        device: device.name.clone(),
        why,
    };
    let mut port = Port::by_name(device.address.port_name()).map_err(failed)?;
    let queues = config.queues_of(usize::from(index) - 1);
    let info = port.info().map_err(failed)?;
    check_queues(&device.name, queues, info.max_queues).map_err(StartError::Queues)?;
    let port_config = PortConfig {
        queues,
        rx_desc: device.rx_desc,
        tx_desc: device.tx_desc,
        mtu: device.mtu,
        promiscuous: device.promiscuous,
    };
    port.start(&port_config, pool).map_err(failed)?;
    if let Some(mac) = device.mac {
        port.set_mac(mac).map_err(failed)?;
    }
    let device = Device {
        ifindex: IfIndex(index),
        name: device.name.clone(),
        port: port.id(),
        mac: port.mac().map_err(failed)?,
        mtu: device.mtu,
        kni: device.kni.is_some(),
        forward_to_kni: false,
    };
    let kni = config.devices[usize::from(index) - 1]
        .kni
        .clone()
        .unwrap_or_default();
    Ok(StartedPort {
        port,
        device,
        queues,
        kni,
    })
}

/// The ports as control sees them.
#[derive(Debug)]
pub struct DpdkPlatform {
    ports: Vec<StartedPort>,
    pool: Mempool,
}

impl DpdkPlatform {
    /// These ports.
    pub const fn new(ports: Vec<StartedPort>, pool: Mempool) -> Self {
        Self { ports, pool }
    }

    fn find(&self, id: PortId) -> Option<&StartedPort> {
        self.ports.iter().find(|started| started.port.id() == id)
    }

    fn tell(
        &self,
        id: PortId,
        order: impl FnOnce(&Port) -> Result<(), PortError>,
    ) -> Result<(), PlatformError> {
        let started = self
            .find(id)
            .ok_or_else(|| PlatformError(format!("there is no port {}", id.0)))?;
        order(&started.port).map_err(|error| PlatformError(error.to_string()))
    }
}

impl Platform for DpdkPlatform {
    fn link(&self, id: PortId) -> LinkInfo {
        let Some(started) = self.find(id) else {
            return LinkInfo::default();
        };
        let port = &started.port;
        let (link, stats, info) = (port.link(), port.stats(), port.info().ok());
        LinkInfo {
            socket: info.as_ref().map_or(0, |info| info.socket),
            queues: started.queues,
            up: link.up,
            speed_mbps: link.speed_mbps,
            full_duplex: link.full_duplex,
            autoneg: link.autoneg,
            promiscuous: port.is_promiscuous(),
            all_multicast: port.is_all_multicast(),
            offloads: info
                .iter()
                .flat_map(|info| &info.offloads)
                .map(|name| (*name).to_owned())
                .collect(),
            steering: if started.queues > 1 {
                "redirect ring"
            } else {
                "one worker"
            }
            .to_owned(),
            kni: started.kni.clone(),
            stats: LinkStats {
                ipackets: stats.ipackets,
                opackets: stats.opackets,
                ibytes: stats.ibytes,
                obytes: stats.obytes,
                ierrors: stats.ierrors,
                oerrors: stats.oerrors,
                imissed: stats.imissed,
                rx_nombuf: stats.rx_nombuf,
                mbuf_available: self.pool.available().into(),
                mbuf_in_use: self.pool.in_use().into(),
            },
            details: info
                .map(|info| {
                    info.details
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                })
                .unwrap_or_default(),
            xstats: port.xstats(),
        }
    }

    fn pools(&self) -> Vec<PoolInfo> {
        let pools = dpdk::mempool::all_pools().into_iter();
        pools
            .map(|pool| PoolInfo {
                name: pool.name,
                flags: pool.flags,
                element_bytes: pool.element_bytes,
                header_bytes: pool.header_bytes,
                trailer_bytes: pool.trailer_bytes,
                private_bytes: pool.private_bytes,
                size: pool.size,
                used: pool.used,
                memory_bytes: pool.memory_bytes,
            })
            .collect()
    }

    fn set_promiscuous(&self, port: PortId, on: bool) -> Result<(), PlatformError> {
        self.tell(port, |port| port.set_promiscuous(on))
    }

    fn set_all_multicast(&self, port: PortId, on: bool) -> Result<(), PlatformError> {
        self.tell(port, |port| port.set_all_multicast(on))
    }

    fn set_link_up(&self, port: PortId, up: bool) -> Result<(), PlatformError> {
        self.tell(port, |port| port.set_link_up(up))
    }

    fn set_mac(&self, port: PortId, mac: MacAddr) -> Result<(), PlatformError> {
        self.tell(port, |port| port.set_mac(mac))
    }
}

//! The ports as control sees them: what it may ask and what it may set.

use control::{LinkHealth, LinkInfo, LinkStats, Platform, PlatformError, PoolInfo};
use dpdk::port::PortStats;
use dpdk::{Mempool, Port, PortError};
use packet::{MacAddr, PortId};

use super::ports::StartedPort;

/// The ports as control sees them.
#[derive(Debug)]
pub(crate) struct DpdkPlatform {
    ports: Vec<StartedPort>,
    pool: Mempool,
}

impl DpdkPlatform {
    /// The platform of these ports, and of the pool that their mbufs come from.
    pub(crate) const fn new(ports: Vec<StartedPort>, pool: Mempool) -> Self {
        Self { ports, pool }
    }

    fn find(&self, id: PortId) -> Option<&StartedPort> {
        self.ports.iter().find(|started| started.port.id() == id)
    }

    fn set(
        &self,
        id: PortId,
        change: impl FnOnce(&Port) -> Result<(), PortError>,
    ) -> Result<(), PlatformError> {
        let started = self
            .find(id)
            .ok_or_else(|| PlatformError(format!("there is no port {}", id.0)))?;
        change(&started.port).map_err(|error| PlatformError(error.to_string()))
    }

    fn stats(&self, stats: PortStats) -> LinkStats {
        LinkStats {
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
        }
    }
}

impl Platform for DpdkPlatform {
    fn link(&self, id: PortId) -> LinkInfo {
        let Some(started) = self.find(id) else {
            return LinkInfo::default();
        };
        let port = &started.port;
        let (link, info) = (port.link(), port.info().ok());
        let offloads = info.iter().flat_map(|info| &info.offloads);
        let details = info.iter().flat_map(|info| &info.details);
        LinkInfo {
            socket: info.as_ref().map_or(0, |info| info.socket),
            queues: started.queues,
            up: link.up,
            speed_mbps: link.speed_mbps,
            full_duplex: link.full_duplex,
            autoneg: link.autoneg,
            promiscuous: port.is_promiscuous(),
            all_multicast: port.is_all_multicast(),
            offloads: offloads.map(|name| (*name).to_owned()).collect(),
            steering: started.steering.summary(),
            steering_facts: started.steering.facts(),
            kni: started.kni.clone(),
            stats: self.stats(port.stats()),
            details: details
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            xstats: port.xstats(),
        }
    }

    fn health(&self, id: PortId) -> LinkHealth {
        let Some(started) = self.find(id) else {
            return LinkHealth::default();
        };
        let stats = started.port.stats();
        LinkHealth {
            up: started.port.link().up,
            imissed: stats.imissed,
            rx_nombuf: stats.rx_nombuf,
        }
    }

    fn watch_steering(&self, id: PortId) -> Option<String> {
        let started = self.find(id)?;
        let info = started.port.info().ok();
        let driver = info.as_ref().map_or("of the port", |info| &info.driver);
        let is_up = started.port.link().up;
        started.steering.watch(&started.port, driver, is_up)
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
        self.set(port, |port| port.set_promiscuous(on))
    }

    fn set_all_multicast(&self, port: PortId, on: bool) -> Result<(), PlatformError> {
        self.set(port, |port| port.set_all_multicast(on))
    }

    fn set_link_up(&self, port: PortId, up: bool) -> Result<(), PlatformError> {
        self.set(port, |port| port.set_link_up(up))
    }

    fn set_mac(&self, port: PortId, mac: MacAddr) -> Result<(), PlatformError> {
        self.set(port, |port| port.set_mac(mac))
    }
}

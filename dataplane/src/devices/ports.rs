//! The daemon's ports are found and started once, before anything else runs.

use std::sync::Arc;

use dpdk::{Mempool, Port, PortConfig, PortError, QueueId};
use inet::{Device, IfIndex};
use ipvs_core::{Arrival, Owners};
use rss::Key;

use crate::config::{Config, DeviceConfig, Steering, WorkerPlan};
use crate::steering::{Candidate, SteeredPort, settle};

/// A port could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortStartError {
    /// DPDK refused.
    #[error("device {device}: {why}")]
    Port {
        /// The device's name in the configuration.
        device: String,
        /// What DPDK said.
        why: PortError,
    },
    /// There are more workers than queues.
    #[error(
        "{device} has {has} queues and {wanted} workers want one each: \
         set [workers] count = {has}, or use another port"
    )]
    TooFewQueues {
        /// The device's name in the configuration.
        device: String,
        /// Queues that the workers need.
        wanted: u16,
        /// Queues that the port has.
        has: u16,
    },
}

/// A started port.
#[derive(Debug)]
pub(crate) struct StartedPort {
    /// The port.
    pub(crate) port: Port,
    /// The device as control and the workers see it.
    pub(crate) device: Device,
    /// Number of receive queues in use, and of transmit queues.
    pub(crate) queues: u16,
    /// The name of its kni netdev; empty if it has none.
    pub(crate) kni: String,
    /// How it brings packets to their workers.
    pub(crate) steering: SteeredPort,
}

/// The ports, and which worker owns which of their packets.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) ports: Vec<StartedPort>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) arrival: Arrival,
}

/// Finds, configures and starts every device of the configuration. `begins` is told the name of
/// each device before it is started.
///
/// # Errors
/// With the device and the step that failed.
pub(crate) fn start(
    config: &Config,
    key: &Key,
    pool: &Mempool,
    begins: impl Fn(&str),
) -> Result<Started, PortStartError> {
    let numbered = config.devices.iter().zip(1..);
    let ports = numbered.map(|(device, index)| {
        begins(&device.name);
        let queues = config.queues_of(usize::from(index) - 1);
        start_one(device, IfIndex(index), queues, key, pool)
    });
    let ports: Vec<_> = ports.collect::<Result<_, _>>()?;
    Ok(steer(config, key, ports))
}

/// Settles which worker owns which packet.
fn steer(config: &Config, key: &Key, ports: Vec<(Port, Device)>) -> Started {
    let candidates = ports.iter().zip(&config.devices).enumerate();
    let candidates = candidates.map(|(at, ((port, _), device))| Candidate {
        port,
        may_rss: device.steering != Steering::Ring,
        queues: queues_of_workers(config, at),
    });
    let workers = config.workers.len();
    let settled = settle(key, workers as u16, &candidates.collect::<Vec<_>>());
    let ports = ports.into_iter().zip(settled.ports).enumerate();
    let ports = ports.map(|(at, ((port, device), steering))| StartedPort {
        port,
        device,
        queues: config.queues_of(at),
        kni: config.devices[at].kni.clone().unwrap_or_default(),
        steering: SteeredPort::new(steering, workers),
    });
    Started {
        ports: ports.collect(),
        owners: settled.owners,
        arrival: settled.arrival,
    }
}

/// The queue that each worker has of a device.
fn queues_of_workers(config: &Config, device: usize) -> Vec<QueueId> {
    let queue_of = |worker: &WorkerPlan| {
        let mut queues = worker.queues.iter();
        queues
            .find(|queue| queue.device == device)
            .map(|queue| queue.queue)
    };
    config.workers.iter().filter_map(queue_of).collect()
}

fn start_one(
    config: &DeviceConfig,
    ifindex: IfIndex,
    queues: u16,
    key: &Key,
    pool: &Mempool,
) -> Result<(Port, Device), PortStartError> {
    let failed = |why| PortStartError::Port {
        device: config.name.clone(),
        why,
    };
    let mut port = Port::by_name(config.address.port_name()).map_err(failed)?;
    let info = port.info().map_err(failed)?;
    check_queues(&config.name, queues, info.max_queues)?;
    let port_config = PortConfig {
        queues,
        rx_desc: config.rx_desc,
        tx_desc: config.tx_desc,
        mtu: config.mtu,
        promiscuous: config.promiscuous,
        rss_key: (config.steering != Steering::Ring).then_some(key.0),
    };
    port.start(&port_config, pool).map_err(failed)?;
    if let Some(mac) = config.mac {
        port.set_mac(mac).map_err(failed)?;
    }
    let device = Device {
        ifindex,
        name: config.name.clone(),
        port: port.id(),
        mac: port.mac().map_err(failed)?,
        mtu: config.mtu,
        kni: config.kni.is_some(),
        forward_to_kni: false,
    };
    Ok((port, device))
}

/// Whether a port has as many queues as the workers need. That is known only once EAL has found it.
fn check_queues(device: &str, wanted: u16, has: u16) -> Result<(), PortStartError> {
    if wanted <= has {
        return Ok(());
    }
    Err(PortStartError::TooFewQueues {
        device: device.to_owned(),
        wanted,
        has,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_workers_than_queues_are_refused() {
        assert!(check_queues("dpdk0", 2, 2).is_ok());
        let error = check_queues("dpdk0", 3, 2).unwrap_err().to_string();
        assert!(error.contains("dpdk0 has 2 queues and 3 workers"));
    }
}

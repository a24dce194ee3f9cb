//! The daemon's ports are found and started once, before anything else runs.

use dpdk::{Mempool, Port, PortConfig, PortError};
use inet::{Device, IfIndex};

use crate::config::{Config, DeviceConfig};

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
}

/// Finds, configures and starts every device of the configuration. `begins` is told the name of
/// each device before it is started.
///
/// # Errors
/// With the device and the step that failed.
pub(crate) fn start(
    config: &Config,
    pool: &Mempool,
    begins: impl Fn(&str),
) -> Result<Vec<StartedPort>, PortStartError> {
    let numbered = config.devices.iter().zip(1..);
    numbered
        .map(|(device, index)| {
            begins(&device.name);
            let queues = config.queues_of(usize::from(index) - 1);
            start_one(device, IfIndex(index), queues, pool)
        })
        .collect()
}

fn start_one(
    config: &DeviceConfig,
    ifindex: IfIndex,
    queues: u16,
    pool: &Mempool,
) -> Result<StartedPort, PortStartError> {
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
    Ok(StartedPort {
        port,
        device,
        queues,
        kni: config.kni.clone().unwrap_or_default(),
    })
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

//! The netdevs, and which port each belongs to.

use ::kni::{KniDevice, KniError};
use packet::PortId;

use crate::config::Config;
use crate::devices::StartedPort;

/// A kni netdev and its port.
#[derive(Debug)]
pub(crate) struct KniNetdev {
    /// Frames of the kernel leave by this port, and frames from it go to the kernel.
    pub(super) port: PortId,
    /// The netdev.
    pub(super) device: KniDevice,
}

/// Makes a netdev for every device that is configured to have one, with the port's MAC address.
///
/// # Errors
/// If the kernel refuses.
pub(crate) fn create_netdevs(
    config: &Config,
    ports: &[StartedPort],
) -> Result<Vec<KniNetdev>, KniError> {
    let with_kni = config
        .devices
        .iter()
        .zip(ports)
        .filter_map(|(device, started)| Some((device.kni.as_ref()?, started)));
    let created = with_kni.map(|(name, started)| {
        Ok(KniNetdev {
            port: started.port.id(),
            device: KniDevice::create(name, started.device.mac, started.device.mtu)?,
        })
    });
    created.collect()
}

//! Ports that remember what they were told, and refuse what they are told to refuse.

use std::sync::atomic::{AtomicBool, Ordering};

use control::{LinkHealth, LinkInfo, Platform, PlatformError, PoolInfo};
use packet::{MacAddr, PortId};
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct FakePlatform {
    links: Mutex<[LinkInfo; 2]>,
    pub macs: Mutex<[Option<MacAddr>; 2]>,
    pub refuses_multicast: AtomicBool,
}

impl FakePlatform {
    pub(crate) fn is_promiscuous(&self, port: usize) -> bool {
        self.links.lock()[port].promiscuous
    }

    fn change(
        &self,
        port: PortId,
        change: impl FnOnce(&mut LinkInfo),
    ) -> Result<(), PlatformError> {
        change(&mut self.links.lock()[usize::from(port.0)]);
        Ok(())
    }
}

impl Platform for FakePlatform {
    fn link(&self, port: PortId) -> LinkInfo {
        self.links.lock()[usize::from(port.0)].clone()
    }
    fn health(&self, port: PortId) -> LinkHealth {
        LinkHealth {
            up: self.link(port).up,
            ..LinkHealth::default()
        }
    }
    fn watch_steering(&self, _: PortId) -> Option<String> {
        None
    }

    fn pools(&self) -> Vec<PoolInfo> {
        vec![PoolInfo {
            name: "mbufs".into(),
            size: 1000,
            used: 10,
            ..PoolInfo::default()
        }]
    }
    fn set_promiscuous(&self, port: PortId, on: bool) -> Result<(), PlatformError> {
        self.change(port, |link| link.promiscuous = on)
    }
    fn set_all_multicast(&self, port: PortId, on: bool) -> Result<(), PlatformError> {
        if self.refuses_multicast.load(Ordering::Relaxed) {
            return Err(PlatformError("the driver has no multicast filter".into()));
        }
        self.change(port, |link| link.all_multicast = on)
    }
    fn set_link_up(&self, port: PortId, up: bool) -> Result<(), PlatformError> {
        self.change(port, |link| link.up = up)
    }
    fn set_mac(&self, port: PortId, mac: MacAddr) -> Result<(), PlatformError> {
        self.macs.lock()[usize::from(port.0)] = Some(mac);
        Ok(())
    }
}

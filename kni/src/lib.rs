//! The exception path: a Linux netdev per DPDK device, for ssh, OSPF, BGP, VRRP.
//!
//! The netdev is a TAP device, which every kernel has and which the user may move to any network
//! namespace. It lives as long as the process, so routing daemons see at once when the director is
//! gone. Only the daemon's kni thread reads and writes frames, never a worker.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use packet::MacAddr;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Longest name of a Linux netdev in bytes: IFNAMSIZ without its NUL byte.
pub const LONGEST_NAME: usize = 15;

/// A kni netdev could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KniError {
    /// The name is too long for Linux.
    #[error(
        "invalid kni name '{0}': \
         expected at most {LONGEST_NAME} bytes, set a shorter kni_name for the device"
    )]
    NameTooLong(String),
    /// The kernel refused.
    #[error(
        "cannot make the netdev {name}: {why}. It needs root (or CAP_NET_ADMIN) and /dev/net/tun \
         (`modprobe tun`); set kni = false to do without"
    )]
    Refused {
        /// The netdev.
        name: String,
        /// The kernel's reason.
        why: io::Error,
    },
}

/// The netdev of a device.
pub struct KniDevice {
    device: SyncDevice,
    name: String,
}

impl std::fmt::Debug for KniDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KniDevice({})", self.name)
    }
}

impl KniDevice {
    /// Makes the netdev, down and without addresses: the user sets it up with `ip link` and `ip
    /// addr`.
    ///
    /// # Errors
    /// If the kernel refuses, or the name is too long for it.
    pub fn create(name: &str, mac: MacAddr, mtu: u16) -> Result<Self, KniError> {
        if name.len() > LONGEST_NAME {
            return Err(KniError::NameTooLong(name.to_owned()));
        }
        let refused = |why| KniError::Refused {
            name: name.to_owned(),
            why,
        };
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .mac_addr(mac.0)
            .mtu(mtu)
            .enable(false)
            .build_sync()
            .map_err(refused)?;
        device.set_nonblocking(true).map_err(refused)?;
        Ok(Self {
            device,
            name: name.to_owned(),
        })
    }

    /// The name that the netdev was made with. The user may have changed it since.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the next frame that the kernel sends into `frame`. Returns its length, or `None` if
    /// there is none.
    ///
    /// # Errors
    /// For example while the netdev is down.
    pub fn read(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match self.device.recv(frame) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the kernel a frame.
    ///
    /// # Errors
    /// While the netdev is down, or when its queue is full.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        self.device.send(frame).map(drop)
    }
}

impl AsFd for KniDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

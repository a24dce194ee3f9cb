//! How a port spreads packets over its queues (RSS).

use dpdk_sys as sys;

use crate::queue::QueueId;

use super::error::PortError;
use super::ethdev::Port;

/// Longest hash key that a driver may have, in bytes.
const LONGEST_KEY: usize = u8::MAX as usize;

/// Packets whose ports are hashed along with their addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RssFields {
    /// TCP over IPv4
    pub tcp4: bool,
    /// UDP over IPv4
    pub udp4: bool,
    /// TCP over IPv6
    pub tcp6: bool,
    /// UDP over IPv6
    pub udp6: bool,
}

/// How a started port spreads packets, as its driver says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rss {
    /// The key of the Toeplitz hash
    pub key: Vec<u8>,
    /// What is hashed
    pub fields: RssFields,
    /// The redirection table: the queue by the low bits of the hash
    pub table: Vec<QueueId>,
}

impl Port {
    /// How the started port spreads packets.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn rss(&self) -> Result<Rss, PortError> {
        let info = self.info()?;
        let mut key = vec![0; LONGEST_KEY];
        let mut raw = sys::dpvs_port_rss {
            key: key.as_mut_ptr(),
            key_len: info.hash_key_size,
            ..sys::dpvs_port_rss::default()
        };
        // SAFETY: the port is started; `key` has room for any length that `key_len` can name.
        self.check("reading its hash key", unsafe {
            sys::dpvs_port_rss_get(self.id().0, &mut raw)
        })?;
        key.truncate(usize::from(info.hash_key_size));
        let mut table = vec![0; usize::from(info.reta_size)];
        // SAFETY: the port is started; `table` has as many entries as its length says.
        self.check("reading its redirection table", unsafe {
            sys::dpvs_port_rss_table_get(self.id().0, table.as_mut_ptr(), info.reta_size)
        })?;
        Ok(Rss {
            key,
            fields: RssFields {
                tcp4: raw.tcp4 != 0,
                udp4: raw.udp4 != 0,
                tcp6: raw.tcp6 != 0,
                udp6: raw.udp6 != 0,
            },
            table: table.into_iter().map(QueueId).collect(),
        })
    }

    /// Changes the redirection table of the started port. The length must be that of its table.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn set_rss_table(&self, table: &[QueueId]) -> Result<(), PortError> {
        let queues: Vec<u16> = table.iter().map(|queue| queue.0).collect();
        let len = u16::try_from(queues.len()).unwrap_or(u16::MAX);
        // SAFETY: the port is started; `queues` has `len` entries, or DPDK refuses the length.
        self.check("changing its redirection table", unsafe {
            sys::dpvs_port_rss_table_set(self.id().0, queues.as_ptr(), len)
        })
    }
}

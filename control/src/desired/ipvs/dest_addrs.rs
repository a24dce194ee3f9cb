//! The addresses of real servers, which no address of the director may be.

use std::collections::HashMap;
use std::net::IpAddr;

use inet::Sharded;

use super::DestEntry;
use ipvs_core::FwdMode;

/// Number of shards.
const SHARDS: usize = 256;

/// How many dests have an address. Cloning copies a pointer, so that a transaction may change a
/// copy. WAN addresses of SNAT are the director's own and not counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct DestAddrs(Sharded<HashMap<IpAddr, u32>, SHARDS>);

impl DestAddrs {
    /// Whether a dest has this address.
    pub(crate) fn has(&self, addr: IpAddr) -> bool {
        self.0.of(hash(addr)).contains_key(&addr)
    }

    /// Counts a dest that was added.
    pub(super) fn add(&mut self, dest: &DestEntry) {
        if dest.request.fwdmode != FwdMode::Snat {
            let addr = dest.request.addr;
            *self.0.of_mut(hash(addr)).entry(addr).or_default() += 1;
        }
    }

    /// Counts a dest no more that was removed.
    pub(super) fn remove(&mut self, dest: &DestEntry) {
        let addr = dest.request.addr;
        let shard = self.0.of_mut(hash(addr));
        if let Some(dests) = shard.get_mut(&addr) {
            *dests = dests.saturating_sub(1);
            if *dests == 0 {
                shard.remove(&addr);
            }
        }
    }
}

/// Operators number their servers, so the last bits tell them apart.
const fn hash(addr: IpAddr) -> usize {
    match addr {
        IpAddr::V4(addr) => addr.to_bits() as usize,
        IpAddr::V6(addr) => addr.to_bits() as usize,
    }
}

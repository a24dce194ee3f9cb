//! The port pools of local addresses, as control sees them: it makes them, and reads their
//! counters.

use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashMap;
use ipvs_core::{LaddrId, Owners, WorkerId};
use sapool::{PoolShare, PoolUsage, PortPool};

/// The pools of one local address.
#[derive(Debug)]
struct Pools {
    is_v6: bool,
    /// By worker
    usage: Vec<Arc<PoolUsage>>,
}

/// All pools.
#[derive(Debug)]
pub(crate) struct PortPools {
    /// By worker, for IPv4 and IPv6.
    shares: Vec<[PoolShare; 2]>,
    pools: AHashMap<LaddrId, Pools>,
}

impl PortPools {
    pub(super) fn new(owners: &Owners) -> Self {
        let share = |worker, is_v6| PoolShare::new(owners, WorkerId(worker), is_v6);
        let workers = 0..owners.workers();
        Self {
            shares: workers
                .map(|worker| [share(worker, false), share(worker, true)])
                .collect(),
            pools: AHashMap::new(),
        }
    }

    /// Makes the pools of an address, one for each worker.
    pub(super) fn add(&mut self, id: LaddrId, addr: IpAddr) -> Vec<PortPool> {
        let is_v6 = addr.is_ipv6();
        let shares = self.shares.iter().map(|shares| &shares[usize::from(is_v6)]);
        let pools: Vec<_> = shares.map(PortPool::new).collect();
        let usage = pools.iter().map(|pool| pool.usage()).collect();
        self.pools.insert(id, Pools { is_v6, usage });
        pools
    }

    pub(super) fn remove(&mut self, id: LaddrId) {
        self.pools.remove(&id);
    }

    /// Use of a local address's pools, by worker, each with the number of conns that the pool can
    /// serve.
    pub(crate) fn usage_of(&self, id: LaddrId) -> impl Iterator<Item = (&PoolUsage, u64)> {
        let pools = self.pools.get(&id);
        let usage = pools.map_or(&[][..], |pools| &pools.usage);
        let is_v6 = pools.is_some_and(|pools| pools.is_v6);
        let shares = self
            .shares
            .iter()
            .map(move |shares| &shares[usize::from(is_v6)]);
        let usage = usage.iter().map(|usage| &**usage);
        usage.zip(shares.map(PoolShare::capacity))
    }

    /// Bytes that a worker's pools take.
    pub(crate) fn bytes_of(&self, worker: usize) -> usize {
        let Some(shares) = self.shares.get(worker) else {
            return 0;
        };
        let families = self.pools.values().map(|pools| usize::from(pools.is_v6));
        families.map(|family| shares[family].pool_bytes()).sum()
    }
}

//! Sets of ends of packets: protocol, address and port.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use inet::Sharded;
use inet::hash::MixHasher;

use crate::config::Protocol;

/// Number of shards of [`Ends`] and of [`NatDests`].
pub(super) const SHARDS: usize = 256;

/// Protocol, address and port of packets. Port 0 stands for all ports.
pub(super) type End = (Protocol, IpAddr, u16);
/// Number of services for each end.
type Shard = HashMap<End, u32, BuildHasherDefault<MixHasher>>;

/// A set of ends, each with the number of services that have it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    shards: Sharded<Shard, SHARDS>,
}

impl Ends {
    pub(super) fn contains(&self, end: &End) -> bool {
        self.shards.of(hash_of(end)).contains_key(end)
    }

    pub(super) fn add(&mut self, end: End) {
        *self.shards.of_mut(hash_of(&end)).entry(end).or_default() += 1;
    }

    pub(super) fn remove(&mut self, end: &End) {
        let shard = self.shards.of_mut(hash_of(end));
        if let Some(services) = shard.get_mut(end) {
            *services -= 1;
            if *services == 0 {
                shard.remove(end);
            }
        }
    }
}

pub(super) fn hash_of((_, addr, port): &End) -> usize {
    let low = match addr {
        IpAddr::V4(addr) => addr.to_bits(),
        IpAddr::V6(addr) => addr.to_bits() as u32,
    };
    let spread = (low ^ u32::from(*port) << 16).wrapping_mul(0x9E37_79B1);
    (spread >> 24) as usize
}

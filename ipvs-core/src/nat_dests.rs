//! The dests of NAT services by their own address: whose packets must not get out untranslated.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::Arc;

use inet::hash::MixHasher;

use crate::service::{FwdMode, Protocol, Service};

/// A change copies one of these.
const SHARDS: usize = 256;

/// A dest as its replies show it.
type Key = (Protocol, IpAddr, u16);
/// How many services have it.
type Shard = HashMap<Key, u32, BuildHasherDefault<MixHasher>>;

/// The dests of all NAT services. Cloning copies one pointer.
#[derive(Debug, Clone)]
pub(crate) struct NatDests {
    shards: Arc<[Arc<Shard>]>,
}

impl Default for NatDests {
    fn default() -> Self {
        let empty: Arc<Shard> = Arc::default();
        Self {
            shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(),
        }
    }
}

impl NatDests {
    /// Whether a packet with this source is from such a dest.
    pub(crate) fn contains(&self, protocol: Protocol, addr: IpAddr, port: u16) -> bool {
        let key = (protocol, addr, port);
        self.shards[shard_of(&key)].contains_key(&key)
    }

    /// A service comes.
    pub(crate) fn add(&mut self, service: &Service) {
        for key in keys_of(service) {
            *self.shard_mut(&key).entry(key).or_default() += 1;
        }
    }

    /// A service goes.
    pub(crate) fn remove(&mut self, service: &Service) {
        for key in keys_of(service) {
            let shard = self.shard_mut(&key);
            if let Some(services) = shard.get_mut(&key) {
                *services -= 1;
                if *services == 0 {
                    shard.remove(&key);
                }
            }
        }
    }

    fn shard_mut(&mut self, key: &Key) -> &mut Shard {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(key)])
    }
}

fn keys_of(service: &Service) -> impl Iterator<Item = Key> {
    let protocol = service.key.protocol;
    let of_nat = |dest: &&crate::service::Dest| dest.fwdmode == FwdMode::Nat;
    let dests = service.dests.iter().filter(of_nat);
    dests.map(move |dest| (protocol, dest.addr, dest.port))
}

fn shard_of((_, addr, port): &Key) -> usize {
    let low = match addr {
        IpAddr::V4(addr) => addr.to_bits(),
        IpAddr::V6(addr) => addr.to_bits() as u32,
    };
    let spread = (low ^ u32::from(*port) << 16).wrapping_mul(0x9E37_79B1);
    (spread >> 24) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::SchedulerKind;
    use crate::service::tests::service_with;

    #[test]
    fn a_dest_of_two_services_stays_until_both_are_gone() {
        let mut service = service_with(SchedulerKind::Rr, &[1, 1]);
        service.dests[0].fwdmode = FwdMode::Nat;
        let known = |dests: &NatDests, at: usize| {
            let dest = &service.dests[at];
            dests.contains(Protocol::Tcp, dest.addr, dest.port)
        };
        let mut dests = NatDests::default();
        assert!(!known(&dests, 0));
        dests.add(&service);
        dests.add(&service);
        let before = dests.clone();
        dests.remove(&service);
        assert!(
            known(&dests, 0) && !known(&dests, 1),
            "the other is FullNAT"
        );
        dests.remove(&service);
        assert!(!known(&dests, 0) && known(&before, 0));
    }
}

//! The dests of NAT services, found by the source of their replies.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, SocketAddr};

use inet::Sharded;
use inet::hash::MixHasher;

use super::ends::{End, SHARDS, hash_of};
use crate::config::Protocol;
use crate::config::dest::Dest;
use crate::config::fwdmode::FwdMode;
use crate::config::service::Service;

/// VIPs of a dest that are remembered. A dest of more services answers clients of the others, too,
/// but all workers are asked for their conns.
pub(crate) const MOST_VIPS: usize = 16;

/// What is known of the dests with one address and port.
#[derive(Debug, Clone, Default)]
struct NatDest {
    /// Number of dests.
    dests: u32,
    /// The VIPs that lead to it, with port 0 if the port stays, each with the number of dests.
    vips: Vec<(SocketAddr, u32)>,
    /// Number of dests whose VIP is not remembered: of services that match packets, or too many.
    of_others: u32,
}

impl NatDest {
    fn add(&mut self, vip: Option<SocketAddr>) {
        self.dests += 1;
        let Some(vip) = vip else {
            self.of_others += 1;
            return;
        };
        match self.vips.iter().position(|(known, _)| *known == vip) {
            Some(at) => self.vips[at].1 += 1,
            None if self.vips.len() < MOST_VIPS => self.vips.push((vip, 1)),
            None => self.of_others += 1,
        }
    }

    fn remove(&mut self, vip: Option<SocketAddr>) {
        self.dests -= 1;
        let known = vip.and_then(|vip| self.vips.iter().position(|(known, _)| *known == vip));
        let Some(at) = known else {
            self.of_others = self.of_others.saturating_sub(1);
            return;
        };
        self.vips[at].1 -= 1;
        if self.vips[at].1 == 0 {
            self.vips.swap_remove(at);
        }
    }
}

type Shard = HashMap<End, NatDest, BuildHasherDefault<MixHasher>>;

/// The dests of NAT services. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub(super) struct NatDests {
    shards: Sharded<Shard, SHARDS>,
    dests: usize,
}

impl NatDests {
    pub(super) fn add(&mut self, service: &Service) {
        for (end, vip) in nat_dests_of(service) {
            self.dests += 1;
            let shard = self.shards.of_mut(hash_of(&end));
            shard.entry(end).or_default().add(vip);
        }
    }

    pub(super) fn remove(&mut self, service: &Service) {
        for (end, vip) in nat_dests_of(service) {
            let shard = self.shards.of_mut(hash_of(&end));
            if let Some(dest) = shard.get_mut(&end) {
                self.dests -= 1;
                dest.remove(vip);
                if dest.dests == 0 {
                    shard.remove(&end);
                }
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.dests == 0
    }

    pub(super) fn contains(&self, end: &End) -> bool {
        self.shards.of(hash_of(end)).contains_key(end)
    }

    /// The VIPs that lead to a dest, with port 0 if the port stays, and whether these are all.
    pub(super) fn vips(&self, end: End) -> (impl Iterator<Item = SocketAddr>, bool) {
        let dest = self.shards.of(hash_of(&end)).get(&end);
        let vips = dest.map_or(&[][..], |dest| &dest.vips);
        let are_all = dest.is_none_or(|dest| dest.of_others == 0);
        (vips.iter().map(|(vip, _)| *vip), are_all)
    }
}

/// The dests of a service that are reached by NAT, each with the VIP that leads to it.
pub(super) fn nat_dests_of(service: &Service) -> impl Iterator<Item = (End, Option<SocketAddr>)> {
    let key = &service.key;
    let vip = key
        .matcher
        .is_none()
        .then(|| SocketAddr::new(key.addr, key.port));
    let of_nat = |dest: &&Dest| dest.fwdmode == FwdMode::Nat;
    let dests = service.dests.iter().chain(&service.leaving).filter(of_nat);
    dests.map(move |dest| {
        let end: (Protocol, IpAddr, u16) = (key.protocol, dest.addr, dest.port);
        (end, vip)
    })
}

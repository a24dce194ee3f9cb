//! The neighbour table that control owns, and its state machine. IPv6 neighbours have the same few
//! states as those of ARP, not all states of RFC 4861.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use packet::{MacAddr, PortId};

use crate::device::IfIndex;
use crate::frame::Frame;
use crate::neighbour::config::NeighbourConfig;
use crate::neighbour::entry::{Entry, Verdict, Worth};
use crate::neighbour::news::NeighbourNews;
use crate::neighbour::request::request_for;
use crate::neighbour::state::NeighbourState;
use crate::net::{MacPair, Net, Nexthop, NexthopId};

type Key = (IfIndex, IpAddr);

/// A neighbour, for show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The device that it is behind
    pub ifindex: IfIndex,
    /// Its address
    pub addr: IpAddr,
    /// Its MAC address, once known
    pub mac: Option<MacAddr>,
    /// Its state
    pub state: NeighbourState,
}

/// How many ids of removed neighbours are kept aside until all of them are reused together. All
/// conns must look up their next hops again then, so it must be rare, even while someone scans for
/// unused addresses.
const IDS_AT_REST: usize = 1024;
/// Most entries that one [`NeighbourTable::poll`] deals with, since the rings that take the
/// requests are bounded.
const ACTS_PER_POLL: usize = 128;

/// All neighbours. Times are milliseconds of the caller's clock.
#[derive(Debug)]
pub struct NeighbourTable {
    config: NeighbourConfig,
    entries: HashMap<Key, Entry>,
    /// All entries but the permanent ones, by the time when something is due.
    deadlines: BTreeSet<(u64, Key)>,
    /// The entries that may be removed for a new one, in that order. Of equal worth, the oldest is
    /// first.
    yielding: BTreeSet<(Worth, u64, Key)>,
    changed: Vec<Key>,
    gone: Vec<(Key, NexthopId)>,
    next_id: u32,
    /// Ids of removed neighbours that conns may still remember
    resting_ids: Vec<NexthopId>,
    free_ids: Vec<NexthopId>,
}

impl NeighbourTable {
    /// An empty table.
    pub fn new(config: NeighbourConfig) -> Self {
        Self {
            config,
            entries: HashMap::new(),
            deadlines: BTreeSet::new(),
            yielding: BTreeSet::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            next_id: 0,
            resting_ids: Vec::new(),
            free_ids: Vec::new(),
        }
    }

    /// Changes times and bounds. Each neighbour has the new times from its next answer or request
    /// on. A table with more entries than are allowed now keeps them, and takes a new one only in
    /// the place of another.
    pub const fn set_config(&mut self, config: NeighbourConfig) {
        self.config = config;
    }

    /// A packet waits for this neighbour: asks for it, unless that is already being done.
    pub fn resolve(&mut self, now_ms: u64, ifindex: IfIndex, addr: IpAddr) {
        if !can_be_neighbour(addr) {
            return;
        }
        let key = (ifindex, addr);
        let is_known = self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.state != NeighbourState::Failed);
        if !is_known {
            self.set(now_ms, key, None, NeighbourState::Incomplete, now_ms);
        }
        self.want(key);
    }

    /// Takes what a worker learned. What is only announced is probed before it replaces a MAC
    /// address that answered; configured neighbours do not change.
    pub fn learn(&mut self, now_ms: u64, news: &NeighbourNews) {
        let key = (news.ifindex, news.addr);
        let verdict = match self.entries.get(&key) {
            Some(entry) => entry.judge(news),
            None if news.create && can_be_neighbour(news.addr) => Verdict::Ask {
                mac: news.mac,
                claimed: None,
            },
            None => Verdict::Ignore,
        };
        match verdict {
            Verdict::Ignore => {}
            Verdict::Believe => {
                let until_ms = now_ms.saturating_add(self.config.reachable_ms);
                let state = NeighbourState::Reachable;
                self.set(now_ms, key, Some(news.mac), state, until_ms);
            }
            Verdict::Ask { mac, claimed } => {
                self.set(now_ms, key, Some(mac), NeighbourState::Probe, now_ms);
                self.claim(key, claimed);
            }
            Verdict::Note => self.claim(key, Some(news.mac)),
        }
    }

    fn claim(&mut self, key: Key, claimed: Option<MacAddr>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.claimed = claimed;
        }
    }

    /// Adds a configured neighbour, which neither ages nor changes.
    pub fn add_static(&mut self, ifindex: IfIndex, addr: IpAddr, mac: MacAddr) {
        self.set(
            0,
            (ifindex, addr),
            Some(mac),
            NeighbourState::Permanent,
            u64::MAX,
        );
    }

    /// Removes a neighbour. `false` if there is none.
    pub fn remove(&mut self, ifindex: IfIndex, addr: IpAddr) -> bool {
        let key = (ifindex, addr);
        let Some(entry) = self.entries.remove(&key) else {
            return false;
        };
        self.unlist(key, &entry);
        self.gone.push((key, entry.id));
        true
    }

    /// Removes the learned neighbours of a device, or of all devices, for which `is_meant` is true.
    pub fn flush(&mut self, ifindex: Option<IfIndex>, is_meant: impl Fn(IpAddr) -> bool) {
        let learned: Vec<Key> = self
            .entries
            .iter()
            .filter(|(key, entry)| {
                entry.state != NeighbourState::Permanent
                    && ifindex.is_none_or(|ifindex| key.0 == ifindex)
                    && is_meant(key.1)
            })
            .map(|(key, _)| *key)
            .collect();
        for (ifindex, addr) in learned {
            self.remove(ifindex, addr);
        }
    }

    /// The neighbour, if it is in the table.
    pub fn get(&self, ifindex: IfIndex, addr: IpAddr) -> Option<Neighbour> {
        self.entries
            .get(&(ifindex, addr))
            .map(|entry| show(&(ifindex, addr), entry))
    }

    /// All neighbours, by device and address.
    pub fn iter(&self) -> impl Iterator<Item = Neighbour> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(|(key, entry)| show(key, entry))
            .collect();
        all.sort_by_key(|neighbour| (neighbour.ifindex, neighbour.addr));
        all.into_iter()
    }

    /// When [`Self::poll`] has something to do next.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(next_ms, _)| *next_ms)
    }

    /// Does what is due, and returns the requests to send, each with the port to send it by. The
    /// number is bounded. After a burst, the rest is due at the next call.
    pub fn poll(&mut self, now_ms: u64, net: &Net) -> Vec<(PortId, Frame)> {
        let mut frames = Vec::new();
        for _ in 0..ACTS_PER_POLL {
            match self.deadlines.first() {
                Some(&(next_ms, key)) if next_ms <= now_ms => {
                    self.act(key, now_ms, net, &mut frames)
                }
                _ => break,
            }
        }
        frames
    }

    fn act(&mut self, key: Key, now_ms: u64, net: &Net, frames: &mut Vec<(PortId, Frame)>) {
        let Some(entry) = self.entries.get(&key).copied() else {
            return;
        };
        // An address that has become ours since it was asked for is no longer a neighbour's.
        if entry.state == NeighbourState::Failed || net.local_addr(key.1).is_some() {
            self.remove(key.0, key.1);
            return;
        }
        if entry.probes >= self.config.max_probes {
            self.set(
                now_ms,
                key,
                None,
                NeighbourState::Failed,
                now_ms.saturating_add(self.config.forget_ms),
            );
            return;
        }
        // The first request goes to the one who has the address, as far as is known, and the others
        // to everyone (RFC 1122, 2.3.2.1).
        let to = entry.claimed.or(entry.mac).filter(|_| entry.probes == 0);
        if let Some(frame) = request_for(&key, to, net) {
            frames.push(frame);
        }
        let state = if entry.mac.is_some() {
            NeighbourState::Probe
        } else {
            NeighbourState::Incomplete
        };
        self.set(
            now_ms,
            key,
            entry.mac,
            state,
            now_ms.saturating_add(self.config.retransmit_ms),
        );
        if let Some(asked) = self.entries.get_mut(&key) {
            asked.probes = entry.probes + 1;
            asked.claimed = entry.claimed.filter(|_| entry.probes == 0);
        }
    }

    /// Writes the changes into what workers read. `true` if there were any.
    ///
    /// The next hop of a removed neighbour is removed, so a conn that remembers its id looks it up
    /// again. [`Net::generation`] changes only when such ids are about to be given to other
    /// neighbours.
    pub fn publish(&mut self, net: &mut Net) -> bool {
        let changed = std::mem::take(&mut self.changed);
        let gone = std::mem::take(&mut self.gone);
        let anything = !changed.is_empty() || !gone.is_empty();
        for (key, id) in &gone {
            net.set_nexthop(*key, *id, None);
            self.resting_ids.push(*id);
        }
        if self.resting_ids.len() > IDS_AT_REST {
            net.invalidate_nexthops();
            self.free_ids.append(&mut self.resting_ids);
        }
        for key in changed {
            let (Some(entry), Some(device)) = (self.entries.get(&key), net.device(key.0)) else {
                continue;
            };
            let nexthop = Nexthop {
                macs: entry.mac.map(|mac| MacPair::new(mac, device.mac)),
                port: device.port,
                mtu: device.mtu,
            };
            net.set_nexthop(key, entry.id, Some(nexthop));
        }
        anything
    }

    /// A device changed its MAC address or MTU: the next hops of all its neighbours have to be
    /// published again.
    pub fn touch_device(&mut self, ifindex: IfIndex) {
        self.changed
            .extend(self.entries.keys().filter(|key| key.0 == ifindex));
    }

    /// Puts a neighbour into a state. Only another MAC address has to be published.
    fn set(
        &mut self,
        now_ms: u64,
        key: Key,
        mac: Option<MacAddr>,
        state: NeighbourState,
        next_ms: u64,
    ) {
        let old = self.entries.get(&key).copied();
        if old.is_none() && self.entries.len() >= self.config.max_entries && !self.make_room() {
            return;
        }
        if let Some(old) = &old {
            self.unlist(key, old);
        }
        if old.is_none_or(|old| old.mac != mac) {
            self.changed.push(key);
        }
        let since_ms = match (old, state) {
            (
                Some(old),
                NeighbourState::Incomplete | NeighbourState::Probe | NeighbourState::Failed,
            ) => old.since_ms,
            _ => now_ms,
        };
        let id = old.map_or_else(|| self.new_id(), |old| old.id);
        let wanted = old.is_some_and(|old| old.wanted);
        self.list(
            key,
            Entry {
                id,
                mac,
                claimed: None,
                state,
                probes: 0,
                next_ms,
                since_ms,
                wanted,
            },
        );
    }

    /// Notes that a worker waits for a neighbour.
    fn want(&mut self, key: Key) {
        if let Some(entry) = self
            .entries
            .get(&key)
            .copied()
            .filter(|entry| !entry.wanted)
        {
            self.unlist(key, &entry);
            self.list(
                key,
                Entry {
                    wanted: true,
                    ..entry
                },
            );
        }
    }

    fn list(&mut self, key: Key, entry: Entry) {
        if entry.state != NeighbourState::Permanent {
            self.deadlines.insert((entry.next_ms, key));
        }
        if let Some(worth) = entry.worth() {
            self.yielding.insert((worth, entry.since_ms, key));
        }
        self.entries.insert(key, entry);
    }

    fn unlist(&mut self, key: Key, entry: &Entry) {
        self.deadlines.remove(&(entry.next_ms, key));
        if let Some(worth) = entry.worth() {
            self.yielding.remove(&(worth, entry.since_ms, key));
        }
    }

    /// Removes the neighbour that is worth least. `false` if none may be removed.
    fn make_room(&mut self) -> bool {
        self.yielding
            .first()
            .copied()
            .is_some_and(|(_, _, (ifindex, addr))| self.remove(ifindex, addr))
    }

    fn new_id(&mut self) -> NexthopId {
        if let Some(id) = self.free_ids.pop() {
            return id;
        }
        self.next_id += 1;
        NexthopId(self.next_id - 1)
    }
}

fn show((ifindex, addr): &Key, entry: &Entry) -> Neighbour {
    Neighbour {
        ifindex: *ifindex,
        addr: *addr,
        mac: entry.mac,
        state: entry.state,
    }
}

fn can_be_neighbour(addr: IpAddr) -> bool {
    let is_broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    !addr.is_unspecified() && !addr.is_multicast() && !addr.is_loopback() && !is_broadcast
}

#[cfg(test)]
mod tests;

//! Neighbours: the table control owns, and its ARP state machine (RFC 826, RFC 1122 2.3.2).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use packet::{MacAddr, PortId};

use crate::arp;
use crate::device::IfIndex;
use crate::frame::Frame;
use crate::net::{Net, Nexthop, NexthopId};

/// What a worker learned from one ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourNews {
    /// The device it came in by
    pub ifindex: IfIndex,
    /// Who speaks
    pub addr: IpAddr,
    /// Its MAC address
    pub mac: MacAddr,
    /// True for a reply to us or a request for an address of ours: worth a new entry. False for what
    /// was only overheard (gratuitous ARP, RFC 5227): it updates an entry that exists.
    pub create: bool,
}

/// What is known of a neighbour, in the words of `dpip neigh show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// Asked, no answer yet
    Incomplete,
    /// Answered not long ago
    Reachable,
    /// Asked again, since the last answer is old
    Probe,
    /// No answer
    Failed,
    /// Configured
    Permanent,
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
        })
    }
}

/// Times and bounds of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// How long an answer counts. `neigh_defs/timeout` of DPVS, 60 s.
    pub reachable_ms: u64,
    /// Between two requests. RFC 1122, 2.3.2.1: at most one a second.
    pub retransmit_ms: u64,
    /// Requests without an answer before the neighbour is given up. Linux's mcast_solicit.
    pub max_probes: u32,
    /// How long a neighbour that did not answer is remembered, for show.
    pub forget_ms: u64,
    /// Most entries.
    pub max_entries: usize,
}

impl Default for NeighbourConfig {
    fn default() -> Self {
        Self { reachable_ms: 60_000, retransmit_ms: 1_000, max_probes: 3, forget_ms: 10_000, max_entries: 65_536 }
    }
}

type Key = (IfIndex, IpAddr);

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: NexthopId,
    mac: Option<MacAddr>,
    state: NeighbourState,
    probes: u32,
    /// When something is to be done about it.
    next_ms: u64,
}

/// A neighbour, for show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its device
    pub ifindex: IfIndex,
    /// Its address
    pub addr: IpAddr,
    /// Its MAC address, once known
    pub mac: Option<MacAddr>,
    /// What is known of it
    pub state: NeighbourState,
}

/// Ids that are not reused before as many others were given up: a conn may still remember one.
const IDS_AT_REST: usize = 1024;

/// All neighbours. Times are milliseconds of one clock, the caller's.
#[derive(Debug)]
pub struct NeighbourTable {
    config: NeighbourConfig,
    entries: HashMap<Key, Entry>,
    /// Every entry but the permanent ones, by the time something is to be done about it.
    deadlines: BTreeSet<(u64, Key)>,
    changed: Vec<Key>,
    gone: Vec<(Key, NexthopId)>,
    next_id: u32,
    free_ids: VecDeque<NexthopId>,
}

impl NeighbourTable {
    /// An empty table.
    pub fn new(config: NeighbourConfig) -> Self {
        Self {
            config,
            entries: HashMap::new(),
            deadlines: BTreeSet::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            next_id: 0,
            free_ids: VecDeque::new(),
        }
    }

    /// A packet waits for this neighbour: ask for it, unless that is being done.
    pub fn resolve(&mut self, now_ms: u64, ifindex: IfIndex, addr: IpAddr) {
        if !can_be_neighbour(addr) {
            return;
        }
        let key = (ifindex, addr);
        match self.entries.get(&key) {
            Some(entry) if entry.state != NeighbourState::Failed => {}
            _ => self.set(key, None, NeighbourState::Incomplete, now_ms),
        }
    }

    /// What a worker learned. A new MAC address counts at once, save for configured neighbours.
    pub fn learn(&mut self, now_ms: u64, news: &NeighbourNews) {
        let key = (news.ifindex, news.addr);
        let known = self.entries.get(&key).copied();
        let counts = match known {
            Some(entry) => entry.state != NeighbourState::Permanent,
            None => news.create && can_be_neighbour(news.addr),
        };
        if !counts {
            return;
        }
        self.set(key, Some(news.mac), NeighbourState::Reachable, now_ms + self.config.reachable_ms);
    }

    /// A configured neighbour: it neither ages nor changes.
    pub fn add_static(&mut self, ifindex: IfIndex, addr: IpAddr, mac: MacAddr) {
        self.set((ifindex, addr), Some(mac), NeighbourState::Permanent, u64::MAX);
    }

    /// Takes a neighbour out; `false` if there is none.
    pub fn remove(&mut self, ifindex: IfIndex, addr: IpAddr) -> bool {
        let key = (ifindex, addr);
        let Some(entry) = self.entries.remove(&key) else { return false };
        self.deadlines.remove(&(entry.next_ms, key));
        self.gone.push((key, entry.id));
        true
    }

    /// Takes out all neighbours that were learned, of a device or of all.
    pub fn flush(&mut self, ifindex: Option<IfIndex>) {
        let learned: Vec<Key> = self
            .entries
            .iter()
            .filter(|(key, entry)| {
                entry.state != NeighbourState::Permanent && ifindex.is_none_or(|ifindex| key.0 == ifindex)
            })
            .map(|(key, _)| *key)
            .collect();
        for (ifindex, addr) in learned {
            self.remove(ifindex, addr);
        }
    }

    /// The neighbour, if it is in the table.
    pub fn get(&self, ifindex: IfIndex, addr: IpAddr) -> Option<Neighbour> {
        self.entries.get(&(ifindex, addr)).map(|entry| show(&(ifindex, addr), entry))
    }

    /// All neighbours, by device and address.
    pub fn iter(&self) -> impl Iterator<Item = Neighbour> {
        let mut all: Vec<_> = self.entries.iter().map(|(key, entry)| show(key, entry)).collect();
        all.sort_by_key(|neighbour| (neighbour.ifindex, neighbour.addr));
        all.into_iter()
    }

    /// When [`Self::poll`] has something to do next.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(next_ms, _)| *next_ms)
    }

    /// Does what is due: requests to send, and by which port.
    pub fn poll(&mut self, now_ms: u64, net: &Net) -> Vec<(PortId, Frame)> {
        let mut frames = Vec::new();
        while let Some(&(next_ms, key)) = self.deadlines.first()
            && next_ms <= now_ms
        {
            self.act(key, now_ms, net, &mut frames);
        }
        frames
    }

    fn act(&mut self, key: Key, now_ms: u64, net: &Net, frames: &mut Vec<(PortId, Frame)>) {
        let Some(entry) = self.entries.get(&key).copied() else { return };
        if entry.state == NeighbourState::Failed {
            self.remove(key.0, key.1);
            return;
        }
        if entry.probes >= self.config.max_probes {
            self.set(key, None, NeighbourState::Failed, now_ms + self.config.forget_ms);
            return;
        }
        if let Some(frame) = request_for(&key, entry.mac, net) {
            frames.push(frame);
        }
        let state = if entry.mac.is_some() { NeighbourState::Probe } else { NeighbourState::Incomplete };
        self.set(key, entry.mac, state, now_ms + self.config.retransmit_ms);
        if let Some(asked) = self.entries.get_mut(&key) {
            asked.probes = entry.probes + 1;
        }
    }

    /// Writes what changed into what workers read; `true` if anything did.
    pub fn publish(&mut self, net: &mut Net) -> bool {
        let changed = std::mem::take(&mut self.changed);
        let gone = std::mem::take(&mut self.gone);
        let anything = !changed.is_empty() || !gone.is_empty();
        for (key, id) in &gone {
            net.set_nexthop(*key, *id, None);
            self.free_ids.push_back(*id);
        }
        if !gone.is_empty() {
            net.invalidate_nexthops();
        }
        for key in changed {
            let (Some(entry), Some(device)) = (self.entries.get(&key), net.device(key.0)) else { continue };
            let nexthop =
                Nexthop { dst_mac: entry.mac, src_mac: device.mac, port: device.port, mtu: device.mtu };
            net.set_nexthop(key, entry.id, Some(nexthop));
        }
        anything
    }

    /// A device changed its MAC address or MTU: what workers read of its neighbours is out of date.
    pub fn touch_device(&mut self, ifindex: IfIndex) {
        self.changed.extend(self.entries.keys().filter(|key| key.0 == ifindex));
    }

    /// Enters a state. What workers read changes only with the MAC address.
    fn set(&mut self, key: Key, mac: Option<MacAddr>, state: NeighbourState, next_ms: u64) {
        let old = self.entries.get(&key).copied();
        if old.is_none() && self.entries.len() >= self.config.max_entries && !self.make_room() {
            return;
        }
        if let Some(old) = old {
            self.deadlines.remove(&(old.next_ms, key));
        }
        if old.is_none_or(|old| old.mac != mac) {
            self.changed.push(key);
        }
        let id = old.map_or_else(|| self.new_id(), |old| old.id);
        self.entries.insert(key, Entry { id, mac, state, probes: 0, next_ms });
        if state != NeighbourState::Permanent {
            self.deadlines.insert((next_ms, key));
        }
    }

    /// A neighbour without an answer gives way to a new one.
    fn make_room(&mut self) -> bool {
        let unanswered = self.deadlines.iter().find(|(_, key)| self.entries[key].mac.is_none()).copied();
        unanswered.is_some_and(|(_, (ifindex, addr))| self.remove(ifindex, addr))
    }

    fn new_id(&mut self) -> NexthopId {
        if self.free_ids.len() > IDS_AT_REST
            && let Some(id) = self.free_ids.pop_front()
        {
            return id;
        }
        self.next_id += 1;
        NexthopId(self.next_id - 1)
    }
}

fn show((ifindex, addr): &Key, entry: &Entry) -> Neighbour {
    Neighbour { ifindex: *ifindex, addr: *addr, mac: entry.mac, state: entry.state }
}

fn request_for((ifindex, addr): &Key, last_known: Option<MacAddr>, net: &Net) -> Option<(PortId, Frame)> {
    let device = net.device(*ifindex)?;
    let IpAddr::V4(target) = *addr else { return None };
    // Without an address of its own the device asks as a probe does (RFC 5227, 2.1.1).
    let sender = net.source_for(*ifindex, target).unwrap_or(Ipv4Addr::UNSPECIFIED);
    Some((device.port, arp::request(device, sender, target, last_known)))
}

fn can_be_neighbour(addr: IpAddr) -> bool {
    let is_broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    !addr.is_unspecified() && !addr.is_multicast() && !addr.is_loopback() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::net::LocalAddr;

    const IF1: IfIndex = IfIndex(1);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

    fn addr() -> IpAddr {
        "10.0.0.1".parse().unwrap()
    }

    fn net() -> Net {
        let device = Device {
            ifindex: IF1,
            name: "dpdk0".into(),
            port: PortId(0),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            kni: true,
            forward_to_kni: false,
        };
        let mut net = Net::new([device]);
        net.set_local_addrs([LocalAddr { addr: "10.0.0.100".parse().unwrap(), ifindex: IF1, sapool: false }]);
        net
    }

    fn news(mac: MacAddr, create: bool) -> NeighbourNews {
        NeighbourNews { ifindex: IF1, addr: addr(), mac, create }
    }

    fn published_mac(table: &mut NeighbourTable, net: &mut Net) -> Option<MacAddr> {
        table.publish(net);
        let id = net.nexthop_of(IF1, "10.0.0.1".parse().unwrap())?;
        net.nexthop(id)?.dst_mac
    }

    fn state(table: &NeighbourTable) -> Option<NeighbourState> {
        table.get(IF1, addr()).map(|neighbour| neighbour.state)
    }

    #[test]
    fn an_unknown_neighbour_is_asked_for_at_once_then_each_second_then_given_up() {
        let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.resolve(0, IF1, addr());
        let asked: Vec<u64> = (0..10_000).step_by(100).filter(|now| !table.poll(*now, &net).is_empty()).collect();
        assert_eq!(asked, [0, 1_000, 2_000]);
        assert_eq!(state(&table), Some(NeighbourState::Failed));
        table.poll(60_000, &net);
        assert_eq!(state(&table), None);
    }

    #[test]
    fn requests_are_broadcast_from_an_address_of_the_device() {
        let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.resolve(0, IF1, addr());
        let (port, frame) = table.poll(0, &net)[0];
        assert_eq!(port, PortId(0));
        assert_eq!(frame.bytes()[..6], [0xff; 6]);
        assert_eq!(frame.bytes()[28..32], [10, 0, 0, 100], "sender address");
        assert_eq!(frame.bytes()[38..42], [10, 0, 0, 1], "target address");
    }

    #[test]
    fn an_answer_is_published_and_a_new_mac_counts_at_once() {
        let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.resolve(0, IF1, addr());
        assert_eq!(published_mac(&mut table, &mut net), None);
        table.learn(10, &news(MAC, true));
        assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
        let generation = net.generation;
        table.learn(20, &news(OTHER, false));
        assert_eq!(published_mac(&mut table, &mut net), Some(OTHER));
        assert_eq!(net.generation, generation, "conns keep their next hop when only its MAC changed");
    }

    #[test]
    fn what_is_only_overheard_makes_no_entry() {
        let mut table = NeighbourTable::new(NeighbourConfig::default());
        table.learn(0, &news(MAC, false));
        assert_eq!(state(&table), None);
    }

    #[test]
    fn an_old_answer_is_verified_with_the_neighbour_alone_before_it_is_forgotten() {
        let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.learn(0, &news(MAC, true));
        assert!(table.poll(59_999, &net).is_empty());
        let probes = table.poll(60_000, &net);
        assert_eq!(probes[0].1.bytes()[..6], MAC.0, "unicast, RFC 1122 2.3.2.1");
        assert_eq!(state(&table), Some(NeighbourState::Probe));
        assert_eq!(published_mac(&mut table, &mut net), Some(MAC), "traffic goes on meanwhile");
        table.learn(60_100, &news(MAC, true));
        assert_eq!(state(&table), Some(NeighbourState::Reachable));
        for now in (120_100..130_000).step_by(1_000) {
            table.poll(now, &net);
        }
        assert_eq!(state(&table), Some(NeighbourState::Failed));
        assert_eq!(published_mac(&mut table, &mut net), None);
    }

    #[test]
    fn a_configured_neighbour_neither_ages_nor_changes() {
        let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.add_static(IF1, addr(), MAC);
        table.learn(0, &news(OTHER, true));
        assert!(table.poll(u64::MAX - 1, &net).is_empty());
        assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
        table.flush(None);
        assert_eq!(state(&table), Some(NeighbourState::Permanent));
    }

    #[test]
    fn a_removed_neighbour_s_next_hop_is_gone_and_conns_look_again() {
        let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        table.learn(0, &news(MAC, true));
        published_mac(&mut table, &mut net);
        let generation = net.generation;
        assert!(table.remove(IF1, addr()));
        assert_eq!(published_mac(&mut table, &mut net), None);
        assert_ne!(net.generation, generation);
    }

    #[test]
    fn a_full_table_gives_up_those_that_never_answered_first() {
        let mut table = NeighbourTable::new(NeighbourConfig { max_entries: 2, ..NeighbourConfig::default() });
        table.learn(0, &news(MAC, true));
        table.resolve(0, IF1, "10.0.0.2".parse().unwrap());
        table.resolve(0, IF1, "10.0.0.3".parse().unwrap());
        let left: Vec<_> = table.iter().map(|neighbour| neighbour.addr.to_string()).collect();
        assert_eq!(left, ["10.0.0.1", "10.0.0.3"]);
    }

    #[test]
    fn nobody_asks_for_addresses_that_are_no_neighbour_s() {
        let mut table = NeighbourTable::new(NeighbourConfig::default());
        for addr in ["0.0.0.0", "224.0.0.5", "255.255.255.255", "127.0.0.1"] {
            table.resolve(0, IF1, addr.parse().unwrap());
        }
        assert_eq!(table.iter().count(), 0);
    }
}

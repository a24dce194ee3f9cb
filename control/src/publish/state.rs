//! The state behind the lock: what is desired, what is known, what was published.

use ahash::AHashMap;
use std::net::IpAddr;
use std::sync::Arc;

use inet::neighbour::{AnnouncementQueue, ConflictTable, NeighbourConfig};
use inet::{AddressConflict, IfIndex, LocalAddr, NeighbourTable, Net};
use ipvs_core::{Command, ConnPage, Defence, LaddrId, Owners, ReturnPath, Snapshot};
use packet::nat64::Nat64Prefix;
use tokio::sync::oneshot;

use crate::desired::{Address, Desired, Effect, LaddrRemoval, Removal};
use crate::publish::leaving::LeavingQueue;
use crate::publish::port_pools::PortPools;
use crate::publish::workers::{Report, WorkerHandle, Workers};
use crate::telemetry::Rates;

/// Announcements that one tick repeats.
const ANNOUNCED_AT_ONCE: usize = 64;

pub(crate) struct State {
    pub(crate) desired: Desired,
    pub(crate) neighbours: NeighbourTable,
    /// Other hosts that use addresses of ours
    pub(crate) conflicts: ConflictTable,
    /// Addresses of ours that are announced again
    announcements: AnnouncementQueue,
    pub(crate) workers: Workers,
    pub(crate) port_pools: PortPools,
    snapshot: Snapshot,
    /// The snapshot has changed in a part that is not desired state, and is to be published.
    is_unpublished: bool,
    /// The time of the latest tick
    pub(crate) now_ms: u64,
    leaving_dests: LeavingQueue<Removal>,
    leaving_uses: LeavingQueue<LaddrRemoval>,
    /// Local addresses whose pools workers give back, each with the first snapshot without it
    leaving_pools: AHashMap<LaddrId, u64>,
    /// Ids of local addresses that no worker uses any more
    gone_laddrs: Vec<LaddrId>,
    waiting_pages: AHashMap<u64, oneshot::Sender<Box<ConnPage>>>,
    next_token: u64,
}

impl State {
    /// `snapshot` has what no command changes.
    pub(crate) fn new(
        desired: Desired,
        neighbours: NeighbourConfig,
        snapshot: Snapshot,
        workers: Vec<WorkerHandle>,
        owners: &Owners,
    ) -> Self {
        Self {
            neighbours: NeighbourTable::new(neighbours),
            conflicts: ConflictTable::default(),
            announcements: AnnouncementQueue::default(),
            workers: Workers::new(workers),
            port_pools: PortPools::new(owners),
            snapshot: Snapshot {
                net: Net::new(desired.devices.clone()),
                ..snapshot
            },
            is_unpublished: false,
            now_ms: 0,
            leaving_dests: LeavingQueue::new(),
            leaving_uses: LeavingQueue::new(),
            leaving_pools: AHashMap::new(),
            gone_laddrs: Vec::new(),
            waiting_pages: AHashMap::new(),
            next_token: 0,
            desired,
        }
    }

    /// The latest snapshot.
    pub(crate) const fn published(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Replaces what no command changes. The next snapshot has it.
    pub(super) fn set_packet_rules(&mut self, defence: Defence, nat64_prefix: Nat64Prefix) {
        self.snapshot.defence = defence;
        self.snapshot.nat64_prefix = nat64_prefix;
        self.is_unpublished = true;
    }

    /// Changes where answers to clients go. Conns look up their next hops again.
    pub(super) const fn set_return_path(&mut self, return_path: ReturnPath) {
        self.snapshot.return_path = return_path;
        self.snapshot.net.invalidate_nexthops();
        self.is_unpublished = true;
    }

    /// Ports of a local address in use, over all workers.
    fn ports_in_use(&self, id: LaddrId) -> u64 {
        let usage = self.port_pools.usage_of(id);
        usage.map(|(usage, _)| usage.used()).sum()
    }

    /// Takes the workers' events, does what is due, publishes what changed. Returns retired
    /// snapshots, to be freed by the caller.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<Arc<Snapshot>> {
        self.now_ms = now_ms;
        let retired = self.take_reports(now_ms);
        self.ask_neighbours(now_ms);
        self.announce_again(now_ms);
        self.commit();
        retired
    }

    /// Does what time and the workers change in the desired state. The caller is its writer.
    pub(crate) fn do_what_is_due(&mut self, now_ms: u64, rates: &Rates) {
        self.desired.end_drains(now_ms, rates);
        self.forget_what_is_over(rates);
        self.remove_idle_laddrs();
        for id in self.gone_laddrs.drain(..) {
            self.leaving_pools.remove(&id);
            self.desired.laddr_ids.give_back(id.0);
        }
    }

    /// Removes local addresses that no service has and no conn uses any more.
    fn remove_idle_laddrs(&mut self) {
        let leaving = &self.desired.leaving_laddrs;
        let idle = leaving.iter().filter(|laddr| self.is_idle(laddr.id));
        let idle: Vec<IpAddr> = idle.map(|laddr| laddr.addr).collect();
        for addr in idle {
            self.desired.remove_address(addr);
        }
    }

    /// Whether no worker can take a port of a local address any more, and none is in use.
    fn is_idle(&self, id: LaddrId) -> bool {
        let without = self.leaving_pools.get(&id);
        without.is_some_and(|without| self.workers.all_obey(*without)) && self.ports_in_use(id) == 0
    }

    /// Whether an address is about to go that no conn uses: a matter of moments.
    pub(crate) fn has_idle_laddr(&self) -> bool {
        let leaving = &self.desired.leaving_laddrs;
        leaving.iter().any(|laddr| self.ports_in_use(laddr.id) == 0)
    }

    /// Forgets removed dests, and removed local addresses of services, that no worker has anything
    /// left of. They get new conns until every worker has a snapshot without them.
    fn forget_what_is_over(&mut self, rates: &Rates) {
        let workers = &self.workers;
        let dests = self
            .leaving_dests
            .take_over(|removal, without| workers.all_obey(without) && rates.is_idle(removal.dest));
        for removal in dests {
            let counts = rates.counts(removal.dest);
            self.desired.forget_dest(&removal, counts);
        }
        let uses = self.leaving_uses.take_over(|removal, without| {
            workers.all_obey(without) && rates.laddr_conns(removal.use_id) == 0
        });
        for removal in uses {
            self.desired.forget_use(&removal);
        }
    }

    /// Asks a worker for a page of conns, which will be sent to `answer`. Returns the token of the
    /// question.
    pub(crate) fn ask_for_conns(
        &mut self,
        worker: usize,
        mut page: Box<ConnPage>,
        answer: oneshot::Sender<Box<ConnPage>>,
    ) -> u64 {
        self.next_token += 1;
        page.token = self.next_token;
        self.waiting_pages.insert(page.token, answer);
        self.workers.send(worker, Command::ListConns(page));
        self.next_token
    }

    /// Forgets a question whose asker no longer waits.
    pub(crate) fn give_up_conns(&mut self, worker: usize, token: u64) {
        self.waiting_pages.remove(&token);
        self.workers.take_back_page(worker, token);
    }

    fn take_reports(&mut self, now_ms: u64) -> Vec<Arc<Snapshot>> {
        let mut retired = Vec::new();
        for report in self.workers.reports() {
            match report {
                Report::Retired(snapshot) => retired.push(snapshot),
                Report::LaddrGone(id) => {
                    self.port_pools.remove(id);
                    self.gone_laddrs.push(id);
                }
                Report::Resolve { ifindex, addr } => self.neighbours.resolve(now_ms, ifindex, addr),
                Report::Neighbour(news) => self.neighbours.learn(now_ms, &news),
                Report::AddressConflict(conflict) => self.defend(now_ms, &conflict),
                Report::Conns(page) => {
                    if let Some(answer) = self.waiting_pages.remove(&page.token) {
                        // This fails if the client has disconnected.
                        let _ = answer.send(page);
                    }
                }
            }
        }
        retired
    }

    fn ask_neighbours(&mut self, now_ms: u64) {
        for (port, frame) in self.neighbours.poll(now_ms, &self.snapshot.net) {
            self.workers.send(0, Command::Transmit { port, frame });
        }
    }

    /// Brings the workers up to date, in an order in which nothing refers to something that is not
    /// there yet.
    fn commit(&mut self) {
        let effects = std::mem::take(&mut self.desired.effects);
        for effect in &effects {
            if let Effect::AddPools(id, addr) = effect {
                self.add_pools(*id, *addr);
            }
        }
        self.publish();
        for effect in effects {
            match effect {
                Effect::AddPools(..) => {}
                Effect::RemovePools(id) => {
                    self.leaving_pools.insert(id, self.workers.published());
                    self.workers.remove_laddr(id);
                }
                Effect::EndConnsOfLaddr(addr) => self.workers.end_conns_of_laddr(addr),
                Effect::EndConns(id) => self.workers.end_conns(id),
                Effect::Leave(removal) => {
                    self.leaving_dests.push(removal, self.workers.published());
                }
                Effect::LeaveUse(removal) => {
                    self.leaving_uses.push(removal, self.workers.published());
                }
                Effect::Announce(ifindex, addr) => {
                    self.announce(ifindex, addr);
                    self.announcements.begin(self.now_ms, ifindex, addr);
                }
            }
        }
        self.workers.flush();
    }

    fn add_pools(&mut self, id: LaddrId, addr: IpAddr) {
        for (worker, pool) in self.port_pools.add(id, addr).into_iter().enumerate() {
            let pool = Box::new(pool);
            let command = Command::AddLaddr { id, addr, pool };
            self.workers.send(worker, command);
        }
    }

    /// Announces an address that another host uses, and says so, both at most as often as is
    /// useful.
    fn defend(&mut self, now_ms: u64, conflict: &AddressConflict) {
        let AddressConflict { ifindex, addr, mac } = *conflict;
        // A worker may not know yet that the address was removed.
        if !self.desired.has_address(addr) {
            return;
        }
        let response = self.conflicts.record(now_ms, conflict);
        if response.defend {
            self.announce(ifindex, addr);
        }
        if let Some(count) = response.report {
            let device = self.desired.device_name(ifindex);
            tracing::warn!(
                "{mac} on {device} uses {addr}, which is an address of this director ({count} times \
                 since the last report): remove it there, or here with `dpip addr del`"
            );
        }
    }

    /// Repeats announcements. Those of many addresses are spread over some ticks, so that the
    /// worker that sends them has room for all.
    fn announce_again(&mut self, now_ms: u64) {
        for _ in 0..ANNOUNCED_AT_ONCE {
            let Some((ifindex, addr)) = self.announcements.pop_due(now_ms) else {
                return;
            };
            self.announce(ifindex, addr);
        }
    }

    /// Sends a gratuitous ARP or an unsolicited advertisement, unless the address was removed
    /// meanwhile.
    fn announce(&mut self, ifindex: IfIndex, addr: IpAddr) {
        let is_ours = self
            .snapshot
            .net
            .local_addr(addr)
            .is_some_and(|local| local.ifindex == ifindex);
        if let Some(device) = self.snapshot.net.device(ifindex).filter(|_| is_ours) {
            let port = device.port;
            let frame = match addr {
                IpAddr::V4(addr) => inet::arp::gratuitous(device, addr),
                IpAddr::V6(addr) => inet::nd::unsolicited(device, addr),
            };
            self.workers.send(0, Command::Transmit { port, frame });
        }
    }

    /// Publishes a snapshot if anything changed. Unchanged parts are shared with the previous one.
    fn publish(&mut self) {
        let mut dirty = std::mem::take(&mut self.desired.dirty);
        if dirty.net {
            self.update_net();
        }
        if dirty.conns || dirty.timeouts {
            self.snapshot.net.invalidate_nexthops();
        }
        let neighbours_changed = self.neighbours.publish(&mut self.snapshot.net);
        if dirty.timeouts {
            self.snapshot.timeouts = self.desired.timeouts;
        }
        let changed = std::mem::take(&mut self.is_unpublished)
            || dirty.net
            || neighbours_changed
            || dirty.timeouts
            || !dirty.services.is_empty();
        if !changed {
            return;
        }
        let mut compiled = Vec::with_capacity(dirty.services.len());
        for key in dirty.services.drain() {
            match self.desired.services.get_mut(&key) {
                Some(service) => compiled.push(Arc::make_mut(service).compile()),
                None => {
                    self.snapshot.services.remove(&key);
                }
            }
        }
        self.snapshot.services.insert_all(compiled);
        let desired = &self.desired;
        self.workers.provide([
            desired.dest_ids.end(),
            desired.service_ids.end(),
            desired.laddr_use_ids.end(),
        ]);
        self.workers.publish(&Arc::new(self.snapshot.clone()));
    }

    fn update_net(&mut self) {
        let (net, desired) = (&mut self.snapshot.net, &self.desired);
        net.devices = desired.devices.clone().into();
        net.routes = desired.routes.clone();
        let local_addr = |address: &Address| LocalAddr {
            addr: address.addr,
            ifindex: address.ifindex,
            sapool: address.sapool,
        };
        let addresses = desired.addresses.values().map(local_addr);
        let link_locals = desired.link_locals().map(|address| local_addr(&address));
        net.set_local_addrs(addresses.chain(link_locals));
        net.invalidate_nexthops();
        self.conflicts.retain(|addr| net.local_addr(addr).is_some());
    }
}

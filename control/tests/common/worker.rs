//! A worker that forwards nothing: it does what control orders, and checks that it can be done.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipvs_core::{Command, ConnInfo, ConnPage, DestId, Event, LaddrId, Service, Snapshot};
use packet::PortId;
use parking_lot::Mutex;
use sapool::{PortPool, Towards};

/// An order, as far as tests ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Publish,
    AddLaddr(LaddrId, IpAddr),
    RemoveLaddr(LaddrId),
    EndConns(DestId),
    EndConnsOfLaddr(IpAddr),
    LimitNeighbourQueue(u16),
    Transmit(PortId, Vec<u8>),
}

#[derive(Default)]
pub(crate) struct WorkerState {
    pub snapshot: Arc<Snapshot>,
    pub seen: Vec<Seen>,
    pub conns: Vec<ConnInfo>,
    /// Said to control, as long as there is room.
    pub to_say: Vec<Event>,
    /// Takes no orders.
    pub stalled: bool,
    /// Does not say that a local address is gone: conns still use it.
    pub has_conns: bool,
    pub held: Vec<Event>,
    /// Orders that made no sense.
    pub complaints: Vec<String>,
    pools: HashMap<LaddrId, Box<PortPool>>,
}

pub(super) fn spawn(
    mut orders: rtrb::Consumer<Command>,
    mut answers: rtrb::Producer<Event>,
    state: Arc<Mutex<WorkerState>>,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let mut state = state.lock();
            let is_idle = !state.turn(&mut orders, &mut answers);
            drop(state);
            if is_idle {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    })
}

impl WorkerState {
    /// A conn uses a port of a local address.
    pub(crate) fn take_port(&mut self, addr: IpAddr) -> Option<(LaddrId, u16)> {
        let is_it = |seen: &Seen| match seen {
            Seen::AddLaddr(id, of) if *of == addr => Some(*id),
            _ => None,
        };
        let id = self.seen.iter().rev().find_map(is_it)?;
        let port = self
            .pools
            .get_mut(&id)?
            .take(Towards { class: 0, base: 0 })?;
        self.has_conns = true;
        Some((id, port))
    }

    /// The conn that used a port of a local address has ended.
    pub(crate) fn give_port_back(&mut self, (id, port): (LaddrId, u16)) {
        for event in &mut self.held {
            if let Event::LaddrGone(of, pool) = event
                && *of == id
            {
                pool.put(0, port);
            }
        }
        self.has_conns = false;
    }

    pub(crate) fn service(&self, key: &ipvs_core::ServiceKey) -> Option<&Arc<Service>> {
        self.snapshot.services.get(key)
    }

    pub(crate) fn count(&self, is: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| is(seen)).count()
    }

    /// Takes a few orders; `false` if there was nothing to do.
    fn turn(
        &mut self,
        orders: &mut rtrb::Consumer<Command>,
        answers: &mut rtrb::Producer<Event>,
    ) -> bool {
        if !self.has_conns {
            let held = std::mem::take(&mut self.held);
            self.to_say.extend(held);
        }
        while !self.to_say.is_empty() && !answers.is_full() {
            let _ = answers.push(self.to_say.remove(0));
        }
        let mut worked = false;
        for _ in 0..64 {
            if self.stalled || answers.is_full() {
                return worked;
            }
            let Ok(command) = orders.pop() else {
                return worked;
            };
            worked = true;
            if let Some(answer) = self.carry_out(command) {
                let _ = answers.push(answer);
            }
        }
        worked
    }

    fn carry_out(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Publish(snapshot) => Some(self.publish(snapshot)),
            Command::AddLaddr { id, addr, pool } => {
                self.seen.push(Seen::AddLaddr(id, addr));
                if self.pools.insert(id, pool).is_some() {
                    self.complaints.push(format!("{id:?} was there already"));
                }
                None
            }
            Command::RemoveLaddr(id) => {
                self.seen.push(Seen::RemoveLaddr(id));
                self.complain_if_used("removed", |service| {
                    service.laddrs.iter().any(|laddr| laddr.id == id)
                });
                let pool = self.pools.remove(&id)?;
                self.gone(Event::LaddrGone(id, pool))
            }
            Command::EndConns(id) => {
                self.seen.push(Seen::EndConns(id));
                self.complain_if_used("conns end that a dest gets", |service| {
                    service.dests.iter().any(|dest| dest.id == id)
                });
                None
            }
            Command::LimitNeighbourQueue(packets) => {
                self.seen.push(Seen::LimitNeighbourQueue(packets));
                None
            }
            Command::EndConnsOfLaddr(addr) => {
                self.seen.push(Seen::EndConnsOfLaddr(addr));
                None
            }
            Command::ListConns(page) => Some(Event::Conns(self.fill(page))),
            Command::Transmit { port, frame } => {
                self.seen.push(Seen::Transmit(port, frame.bytes().to_vec()));
                None
            }
        }
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) -> Event {
        self.seen.push(Seen::Publish);
        let laddrs = snapshot.services.iter().flat_map(|service| &service.laddrs);
        for laddr in laddrs {
            if !self.pools.contains_key(&laddr.id) {
                self.complaints.push(format!("no pool for {laddr:?}"));
            }
        }
        Event::Retired(std::mem::replace(&mut self.snapshot, snapshot))
    }

    fn complain_if_used(&mut self, what: &str, uses: impl Fn(&Service) -> bool) {
        if self.snapshot.services.iter().any(|service| uses(service)) {
            self.complaints.push(format!("{what} while in use"));
        }
    }

    fn gone(&mut self, event: Event) -> Option<Event> {
        if self.has_conns {
            self.held.push(event);
            return None;
        }
        Some(event)
    }

    fn fill(&self, mut page: Box<ConnPage>) -> Box<ConnPage> {
        page.conns.clear();
        let rest = &self.conns[(page.cursor as usize).min(self.conns.len())..];
        let count = rest.len().min(page.conns.capacity());
        page.conns.extend_from_slice(&rest[..count]);
        page.cursor += count as u32;
        page.done = count == rest.len();
        page
    }
}

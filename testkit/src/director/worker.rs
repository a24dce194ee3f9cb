//! One worker of a director, driven frame by frame.

use std::sync::Arc;

use inet::NeighbourTable;

use ipvs_core::{
    Command, ConnInfo, ConnPage, DropReason, Engine, Event, Now, Origin, Plan, Service, Snapshot,
};
use packet::PortId;

use super::addresses::{LAN, WAN};
use super::wire::{Wire, one};
use crate::VecBuf;
use crate::frames::Seen;

/// One worker of a director. The test plays control: it changes the snapshot and publishes it.
#[derive(Debug)]
pub struct Director {
    /// The engine under test
    pub engine: Engine<VecBuf>,
    /// What has left the engine
    pub wire: Wire,
    /// The time that the next packet comes at
    pub now: Now,
    /// The neighbours, as control has them
    pub neighbours: NeighbourTable,
    /// The configuration, as control has it
    pub snapshot: Snapshot,
}

impl Director {
    /// Changes the only service and publishes it.
    pub fn edit(&mut self, change: impl FnOnce(&mut Service)) {
        let first = self.snapshot.services.iter().next();
        let mut service = Service::clone(first.expect("a service"));
        self.snapshot.services.remove(&service.key);
        let looked_at =
            |service: &Service| (service.access.clone(), service.options.conn_timeout_s);
        let before = looked_at(&service);
        change(&mut service);
        if looked_at(&service) != before {
            self.snapshot.net.invalidate_nexthops();
        }
        service.plan = Plan::new(service.scheduler, &service.dests);
        self.snapshot.services.insert_all([Arc::new(service)]);
        self.publish();
    }

    /// Publishes the snapshot with what the neighbour table knows.
    pub fn publish(&mut self) {
        if self.snapshot.timeouts != self.engine.snapshot().timeouts {
            self.snapshot.net.invalidate_nexthops();
        }
        self.neighbours.publish(&mut self.snapshot.net);
        self.command(Command::Publish(Arc::new(self.snapshot.clone())));
    }

    /// Gives the engine a command, as control would.
    pub fn command(&mut self, command: Command) {
        self.engine
            .apply(self.now, command, &mut self.wire)
            .expect("room for the answer");
    }

    /// A frame comes in from a NIC; what goes out because of it.
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> Vec<(PortId, Vec<u8>)> {
        self.receive_from(Origin::Nic, VecBuf::new(port, frame))
    }

    /// A packet comes in from a NIC or another worker; what goes out because of it.
    pub fn receive_from(&mut self, origin: Origin, packet: VecBuf) -> Vec<(PortId, Vec<u8>)> {
        self.engine
            .process(self.now, origin, std::iter::once(packet), &mut self.wire);
        self.check_that_every_packet_has_its_end();
        std::mem::take(&mut self.wire.sent)
    }

    /// The client sends; the one frame that goes to the dests.
    pub fn to_dest(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(WAN, frame), LAN)
    }

    /// A dest sends; the one frame that goes to the client.
    pub fn to_client(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(LAN, frame), WAN)
    }

    /// A frame comes in and is dropped. No other reason than this one is counted.
    pub fn refuses(&mut self, port: PortId, frame: &[u8], reason: DropReason) {
        let before = self.drops();
        assert_eq!(self.receive(port, frame), [], "{reason:?}");
        let mut expected = before;
        expected[reason as usize] += 1;
        assert_eq!(self.drops(), expected, "{reason:?}");
    }

    /// A frame comes in, is dropped for this reason and no other, and is answered by the port it
    /// came in by; the answer.
    pub fn rejects(&mut self, port: PortId, frame: &[u8], reason: DropReason) -> Seen {
        let mut expected = self.drops();
        let answer = one(self.receive(port, frame), port);
        expected[reason as usize] += 1;
        assert_eq!(self.drops(), expected, "{reason:?}");
        answer
    }

    /// How many packets were dropped for each reason, in the order of [`DropReason::ALL`].
    pub fn drops(&self) -> Vec<u64> {
        DropReason::ALL
            .iter()
            .map(|reason| self.engine.stats().drops_by(*reason).get())
            .collect()
    }

    /// Time passes, with housekeeping; what goes out because of it.
    pub fn wait_s(&mut self, secs: u64) -> Vec<(PortId, Vec<u8>)> {
        for _ in 0..secs * 10 {
            self.now.ns += 100_000_000;
            for _ in 0..4 {
                self.engine.housekeep(self.now, &mut self.wire);
            }
        }
        self.check_that_every_packet_has_its_end();
        std::mem::take(&mut self.wire.sent)
    }

    /// What was received must be the sum of what was transmitted, given to the kernel, redirected,
    /// held, consumed and dropped.
    pub fn check_that_every_packet_has_its_end(&self) {
        let stats = self.engine.stats();
        let ends = stats.transmitted.get()
            + stats.to_kernel.get()
            + stats.redirected.get()
            + stats.held.get()
            + stats.consumed.get()
            + stats.drops_total();
        assert_eq!(stats.received.get(), ends);
    }

    /// All conns, those of IPv4 first.
    pub fn conns(&mut self) -> Vec<ConnInfo> {
        let mut all = Vec::new();
        let mut page = Box::new(ConnPage {
            conns: Vec::with_capacity(1000),
            ..Default::default()
        });
        while !page.done {
            self.wire.events.clear();
            self.command(Command::ListConns(page));
            let Some(Event::Conns(filled)) = self.wire.events.pop() else {
                panic!("no answer")
            };
            all.extend(&filled.conns);
            page = filled;
        }
        all
    }

    /// The states of all conns.
    pub fn states(&mut self) -> Vec<&'static str> {
        self.conns().iter().map(|conn| conn.state).collect()
    }
}

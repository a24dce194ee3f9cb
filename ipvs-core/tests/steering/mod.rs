//! Several workers: each packet finds the worker that has its conn, whatever queue it comes to.

mod errors;
mod fragments;
mod modes;
mod outbound;
mod spread;

use ipvs_core::{Arrival, FwdMode, Protocol};
use packet::PortId;
use rss::Key;
use testkit::director::*;
use testkit::frames::{self, Seen};
use testkit::nic::{Hashes, Nic};

/// How frames come to queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queues {
    /// By RSS, with the key and the table of the owners.
    Rss,
    /// By RSS over addresses alone, as NICs hash fragments and what they do not know.
    AddressesOnly,
    /// All frames of a flow to one queue, but nobody knows to which.
    Sticky,
    /// Every frame to any queue.
    Any,
}

/// A director with several workers behind simulated NICs.
pub(crate) struct Lab {
    pub(crate) workers: Vec<Director>,
    nic: Nic,
    queues: Queues,
    random: Random,
}

impl Lab {
    pub(crate) fn new(setup: &Setup, queues: Queues) -> Self {
        let arrival = match queues {
            Queues::Sticky => Arrival::AsItComes,
            _ => Arrival::ByHash,
        };
        let setup = Setup {
            arrival,
            ..setup.clone()
        };
        let mut nic = config::nic(setup.workers);
        match queues {
            Queues::AddressesOnly => nic.hashes = Hashes::Addresses,
            Queues::Sticky => nic.key = Key([0xa7; 52]),
            Queues::Rss | Queues::Any => {}
        }
        Self {
            workers: setup.build_all(),
            nic,
            queues,
            random: Random(7),
        }
    }

    fn queue_of(&mut self, frame: &[u8]) -> usize {
        match self.queues {
            Queues::Any => self.random.next(self.workers.len()),
            _ => self.nic.queue_of(frame),
        }
    }

    /// A frame comes in; what goes out.
    pub(crate) fn receive(&mut self, port: PortId, frame: &[u8]) -> Vec<(PortId, Vec<u8>)> {
        let queue = self.queue_of(frame);
        receive_at(&mut self.workers, queue, port, frame)
    }

    pub(crate) fn client_sends(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(WAN, frame), LAN)
    }

    pub(crate) fn dest_sends(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(LAN, frame), WAN)
    }

    pub(crate) fn handed_over(&self) -> u64 {
        handed_over(&self.workers)
    }

    /// Conns of all workers.
    pub(crate) fn conns(&mut self) -> usize {
        self.workers
            .iter_mut()
            .map(|worker| worker.conns().len())
            .sum()
    }

    /// Every packet of every worker has come to its end, and none was dropped.
    pub(crate) fn dropped(&self) -> u64 {
        let drops = |worker: &Director| worker.drops().iter().sum::<u64>();
        self.workers.iter().map(drops).sum()
    }
}

/// Ends of conns: VIP, dest, local address, and a client without its port.
pub(crate) struct Ends {
    pub(crate) vip: &'static str,
    pub(crate) dest: &'static str,
    pub(crate) laddr: &'static str,
    pub(crate) client: &'static str,
}

pub(crate) const V4: Ends = Ends {
    vip: VIP,
    dest: DEST,
    laddr: LADDR,
    client: "10.0.0.48",
};
pub(crate) const V6: Ends = Ends {
    vip: VIP6,
    dest: DEST6,
    laddr: LADDR6,
    client: "2001:db8:1::48",
};
pub(crate) const NAT64: Ends = Ends {
    dest: DEST,
    laddr: LADDR,
    ..V6
};
pub(crate) const NAT46: Ends = Ends {
    dest: DEST6,
    laddr: LADDR6,
    ..V4
};

impl Ends {
    pub(crate) fn setup(&self, protocol: Protocol, fwdmode: FwdMode, workers: u16) -> Setup {
        Setup {
            protocol,
            fwdmode,
            workers,
            vip: self.vip,
            dests: vec![self.dest],
            laddrs: vec![self.laddr],
            ..Setup::default()
        }
    }

    /// The client with this port.
    pub(crate) fn client(&self, port: u16) -> String {
        with_port(self.client, port)
    }
}

pub(crate) fn with_port(addr: &str, port: u16) -> String {
    match addr.contains(':') {
        true => format!("[{addr}]:{port}"),
        false => format!("{addr}:{port}"),
    }
}

/// A packet of a conn's middle or, for TCP, its SYN.
pub(crate) fn packet(
    protocol: Protocol,
    (src, dst): (&str, &str),
    flags: &str,
    macs: frames::Macs,
) -> Vec<u8> {
    match protocol {
        Protocol::Tcp => frames::tcp(src, dst)
            .flags(flags)
            .seq(1000)
            .ack(1)
            .frame(macs),
        _ => frames::udp(src, dst, b"payload", macs),
    }
}

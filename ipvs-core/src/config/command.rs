//! Commands from control to a worker and events from a worker to control, sent over bounded rings.

use std::net::IpAddr;
use std::sync::Arc;

use inet::{AddressConflict, Frame, IfIndex, NeighbourNews};
use packet::PortId;
use sapool::PortPool;

use crate::config::Protocol;
use crate::config::dest::{DestId, LaddrId};
use crate::config::service::ServiceKey;
use crate::config::snapshot::Snapshot;

/// From control to a worker. A worker takes a few in each round of its loop, and carries them out
/// in order.
#[derive(Debug)]
pub enum Command {
    /// Forward by this snapshot from now on. The old one comes back as [`Event::Retired`].
    Publish(Arc<Snapshot>),
    /// Use this port pool for a local address from now on.
    AddLaddr {
        /// The id that [`crate::config::dest::Laddr::id`] refers to.
        id: LaddrId,
        /// The local address.
        addr: IpAddr,
        /// The worker's share of the ports of the address.
        pool: Box<PortPool>,
    },
    /// Make no more conns with this local address. The pool comes back as [`Event::LaddrGone`] when
    /// the last conn that uses it has ended.
    RemoveLaddr(LaddrId),
    /// End all conns of this dest. No new conns come to it: it is not in the snapshot.
    EndConns(DestId),
    /// End all conns that use a port of this local address, which gives out no more.
    EndConnsOfLaddr(IpAddr),
    /// Hold at most so many packets per neighbour that is not resolved yet.
    LimitNeighbourQueue(u16),
    /// Copy conns into the page, and send it back as [`Event::Conns`].
    ListConns(Box<ConnPage>),
    /// Send a frame unchanged.
    Transmit {
        /// The port that sends it.
        port: PortId,
        /// The frame: an ARP request or a gratuitous ARP.
        frame: Frame,
    },
}

/// From a worker to control.
#[derive(Debug)]
pub enum Event {
    /// A snapshot that the worker does not use any more.
    Retired(Arc<Snapshot>),
    /// The pool of a removed local address, after its last conn has ended.
    LaddrGone(LaddrId, Box<PortPool>),
    /// The answer to [`Command::ListConns`].
    Conns(Box<ConnPage>),
    /// The first packet is queued for this neighbour, whose MAC address control is to resolve.
    Resolve {
        /// The device of the neighbour.
        ifindex: IfIndex,
        /// The next hop.
        addr: IpAddr,
    },
    /// What a worker learned of a neighbour from an ARP packet.
    Neighbour(NeighbourNews),
    /// Another host uses an address of the director, by an ARP packet or neighbour discovery.
    AddressConflict(AddressConflict),
}

/// One page of a worker's conns. Control asks for it, the worker fills it in without allocating,
/// and sends it back.
#[derive(Debug, Default)]
pub struct ConnPage {
    /// Index of the first conn to look at. The worker sets it to the start of the next page.
    pub cursor: u32,
    /// Whether the end of the table was reached.
    pub done: bool,
    /// The conns. The worker fills in at most `capacity()`.
    pub conns: Vec<ConnInfo>,
    /// Chosen by control, to match an answer with its question.
    pub token: u64,
}

/// A conn as `ipvsadm-rs -lnc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnInfo {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The state as DPVS prints it: `ESTABLISHED`, `UDP_NORMAL`.
    pub state: &'static str,
    /// Seconds until the conn expires if no packet comes.
    pub expires_in_s: u32,
    /// Address and port of the client.
    pub caddr: (IpAddr, u16),
    /// VIP and vport.
    pub vaddr: (IpAddr, u16),
    /// Local address and port.
    pub laddr: (IpAddr, u16),
    /// Address and port of the dest.
    pub daddr: (IpAddr, u16),
}

impl ConnInfo {
    /// Whether the conn is to the VIP and vport of this service. A vport of 0 means all ports.
    pub fn is_of(&self, service: &ServiceKey) -> bool {
        let (vip, port) = self.vaddr;
        let has_port = service.port == 0 || service.port == port;
        service.matcher.is_none()
            && (service.protocol, service.addr) == (self.protocol, vip)
            && has_port
    }
}

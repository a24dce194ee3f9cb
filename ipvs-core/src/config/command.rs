//! What control and one worker say to each other, over bounded rings.

use std::net::IpAddr;
use std::sync::Arc;

use inet::{Frame, IfIndex, NeighbourNews};
use packet::PortId;
use sapool::PortPool;

use crate::config::Protocol;
use crate::config::dest::{DestId, LaddrId};
use crate::config::service::ServiceKey;
use crate::config::snapshot::Snapshot;

/// From control to a worker. A worker takes a few per loop; they take effect in order.
#[derive(Debug)]
pub enum Command {
    /// Forward by this from now on; the old one comes back as [`Event::Retired`].
    Publish(Arc<Snapshot>),
    /// Use this port pool for the local address, from now on.
    AddLaddr {
        /// The index that [`crate::config::dest::Laddr::id`] refers to.
        id: LaddrId,
        /// The local address itself.
        addr: IpAddr,
        /// The worker's share of its ports.
        pool: Box<PortPool>,
    },
    /// No conn will be made with this local address any more; the pool comes back as
    /// [`Event::LaddrGone`] when the last conn that uses it has ended.
    RemoveLaddr(LaddrId),
    /// End all conns of this dest: it was removed. Answered by [`Event::DestGone`].
    CloseDest(DestId),
    /// End all conns of this dest, which stays.
    EndConns(DestId),
    /// Copy conns into `page` and send it back as [`Event::Conns`].
    ListConns(Box<ConnPage>),
    /// Send this frame as it is.
    Transmit {
        /// By this port.
        port: PortId,
        /// An ARP request, a gratuitous ARP.
        frame: Frame,
    },
}

/// From a worker to control.
#[derive(Debug)]
pub enum Event {
    /// A snapshot that the worker uses no more.
    Retired(Arc<Snapshot>),
    /// A local address's pool, once its last conn has ended.
    LaddrGone(LaddrId, Box<PortPool>),
    /// The last conn of a removed dest has ended on this worker.
    DestGone(DestId),
    /// The answer to [`Command::ListConns`].
    Conns(Box<ConnPage>),
    /// A packet is held, or was, until the neighbour is resolved.
    Resolve {
        /// On this device.
        ifindex: IfIndex,
        /// The next hop.
        addr: IpAddr,
    },
    /// What an ARP packet told.
    Neighbour(NeighbourNews),
}

/// One page of a worker's conns: asked for, filled in, sent back; never grown by the worker.
#[derive(Debug, Default)]
pub struct ConnPage {
    /// Index of the first conn to look at; the worker sets it to where the next page starts.
    pub cursor: u32,
    /// True when the table's end was reached.
    pub done: bool,
    /// At most `capacity()` of these are filled in.
    pub conns: Vec<ConnInfo>,
    /// Chosen by control to match answers with questions.
    pub token: u64,
}

/// A conn as `ipvsadm-rs -lnc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnInfo {
    /// TCP or UDP
    pub protocol: Protocol,
    /// As DPVS prints it: `ESTABLISHED`, `UDP_NORMAL`.
    pub state: &'static str,
    /// Until it expires if no packet comes.
    pub expires_in_s: u32,
    /// Client
    pub caddr: (IpAddr, u16),
    /// VIP
    pub vaddr: (IpAddr, u16),
    /// Local address
    pub laddr: (IpAddr, u16),
    /// Real server
    pub daddr: (IpAddr, u16),
}

impl ConnInfo {
    /// Whether it is to the VIP of this service, and to its port, if it has one.
    pub fn is_of(&self, service: &ServiceKey) -> bool {
        let (vip, port) = self.vaddr;
        let has_port = service.port == 0 || service.port == port;
        service.matcher.is_none()
            && (service.protocol, service.addr) == (self.protocol, vip)
            && has_port
    }
}

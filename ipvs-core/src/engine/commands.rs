//! Commands from control.

use packet::PacketBuf;

use crate::config::{Command, ConnInfo, ConnPage, Event, Protocol};
use crate::conn::{Conn, ConnFlags, ConnTable};
use crate::ctx::Engine;
use crate::io::Io;
use crate::tcp_state::TcpState;
use crate::time::{Now, Tick};
use crate::wire::Family;

/// Slots of the conn table that are searched for one page of a list. It bounds the time for a
/// sparse table.
const PAGE_REACH: u32 = 2048;
/// This bit in a page's cursor says that the IPv4 conns are listed and the IPv6 conns are next.
/// Conn ids are below it.
const OF_IPV6: u32 = 1 << 31;

impl<B: PacketBuf> Engine<B> {
    /// Carries out one command. A worker calls it for a few commands per loop.
    ///
    /// # Errors
    ///
    /// The answer to control, if the ring of events is full. The worker offers it again
    /// later.
    pub fn apply(&mut self, now: Now, command: Command, io: &mut impl Io<B>) -> Result<(), Event> {
        self.shared.now = now;
        match command {
            Command::Publish(snapshot) => {
                let old = std::mem::replace(&mut self.shared.snapshot, snapshot);
                self.shared.ways_back.expect_changes();
                self.shared.release_neigh_queue(io);
                io.event(Event::Retired(old))
            }
            Command::AddLaddr { id, addr, pool } => match self.shared.laddrs.add(id, addr, pool) {
                Some((old, pool)) => io.event(Event::LaddrGone(old, pool)),
                None => Ok(()),
            },
            Command::RemoveLaddr(id) => match self.shared.laddrs.leave(id) {
                Some(pool) => io.event(Event::LaddrGone(id, pool)),
                None => Ok(()),
            },
            Command::EndConns(dest) => {
                self.shared.dest_cache.set_ending(dest);
                self.v4.dest_removals.add(dest);
                Ok(())
            }
            Command::LimitNeighbourQueue(packets) => {
                self.shared.neigh_queue.set_longest(packets);
                Ok(())
            }
            Command::EndConnsOfLaddr(addr) => {
                self.v4.dest_removals.waiting_laddrs.push(addr);
                Ok(())
            }
            Command::ListConns(mut page) => {
                self.fill(&mut page);
                io.event(Event::Conns(page))
            }
            Command::Transmit { port, frame } => {
                self.send_frame(port, frame.bytes(), io);
                Ok(())
            }
        }
    }

    fn send_frame(&self, port: packet::PortId, frame: &[u8], io: &mut impl Io<B>) {
        if let Some(mut packet) = self.shared.originate(port, frame.len(), io) {
            packet.bytes_mut().copy_from_slice(frame);
            self.shared.send(packet, port, io);
        }
    }

    fn fill(&self, page: &mut ConnPage) {
        page.conns.clear();
        if page.cursor & OF_IPV6 == 0 {
            fill(&self.v4.conns, self.shared.now, page);
            page.cursor |= if page.done { OF_IPV6 } else { 0 };
            page.done = false;
        } else {
            page.cursor &= !OF_IPV6;
            fill(&self.v6.conns, self.shared.now, page);
            page.cursor |= if page.done { 0 } else { OF_IPV6 };
        }
    }
}

/// Fills one page with conns of a table.
fn fill<A: Family>(conns: &ConnTable<A>, now: Now, page: &mut ConnPage) {
    let most = u32::try_from(page.conns.capacity()).unwrap_or(u32::MAX);
    let mut reach = PAGE_REACH;
    loop {
        // A step of `n` slots finds at most `n` conns, so the page cannot overflow.
        let step = (most - page.conns.len() as u32).min(reach);
        if step == 0 {
            page.done = false;
            return;
        }
        reach -= step;
        let (ids, next) = conns.scan(page.cursor, step);
        page.conns
            .extend(ids.map(|id| describe(conns.get(id), now.tick())));
        page.cursor = next.unwrap_or_default();
        if next.is_none() {
            page.done = true;
            return;
        }
    }
}

fn describe<A: Family>(conn: &Conn<A>, now: Tick) -> ConnInfo {
    let protocol = Protocol::from_number(conn.protocol).unwrap_or(Protocol::Udp);
    let state = match protocol {
        Protocol::Tcp => conn.tcp_state().name(),
        Protocol::Sctp if conn.tcp_state() == TcpState::Close => "CLOSED",
        Protocol::Sctp if conn.flags.has(ConnFlags::ANSWERED) => "ESTABLISHED",
        Protocol::Sctp => "INIT",
        Protocol::Icmp | Protocol::IcmpV6 if conn.flags.has(ConnFlags::ANSWERED) => "ICMP_NORMAL",
        Protocol::Icmp | Protocol::IcmpV6 => "ICMP_ONEWAY",
        Protocol::Udp if conn.flags.has(ConnFlags::ANSWERED) => "UDP_NORMAL",
        Protocol::Udp => "UDP_ONEWAY",
    };
    ConnInfo {
        protocol,
        state,
        expires_in_s: conn.deadline().since(now).as_secs(),
        caddr: shown(conn.client()),
        vaddr: shown(conn.vip()),
        laddr: shown(conn.local()),
        daddr: shown(conn.real_server()),
    }
}

fn shown<A: Family>((addr, port): (A, u16)) -> (std::net::IpAddr, u16) {
    (addr.to_ip(), port)
}

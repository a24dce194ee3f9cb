//! FTP through NAT and FullNAT. The control conn names addresses and ports of data conns: they are
//! translated, and the data conns are expected.
//!
//! A line that changes its length shifts the sequence numbers of its direction. From then on they
//! are translated, before anything else happens to a segment.

use std::net::{IpAddr, SocketAddr};

use packet::PacketBuf;
use packet::ftp::{self};
use sapool::Towards;

use crate::config::{Dest, Protocol};
use crate::conn::{Conn, ConnFlags, ConnId, Endpoints, Found, FtpFlags, IdleTimeout, SeqShift};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::helper::ftp_line::Replacement;
use crate::helper::ftp_nat64::translated_reply;
use crate::lifecycle::{bind, laddr_use, opening};
use crate::state::Expectation;
use crate::tcp_state::TcpState;
use crate::time::Now;
use crate::tuple::{Address, Tuple};
use crate::wire::{Family, Flow, Segment, end_of, splice, tcp};

/// The port that a server calls from in active mode, unless it chooses another one: RFC 959, 3.2.
const DATA_PORT: u16 = 20;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Edits a segment of a control conn. Returns by how many bytes the packet has grown.
    pub(super) fn edit_ftp(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<i16, DropReason> {
        let l4_at = usize::from(flow.l4_at);
        let tcp = packet.bytes().get(l4_at..).unwrap_or_default();
        let segment = Segment::read(tcp)?;
        let payload_at = l4_at + usize::from(tcp[12] >> 4) * 4;
        let ext = self.family.exts.get_mut(found.id);
        let (ours, theirs) = match found.direction {
            Direction::Inbound => (0, 1),
            Direction::Outbound => (1, 0),
        };
        if segment.has_syn() {
            ext.shifts[ours] = SeqShift::default();
            ext.ftp = FtpFlags::CONTROL;
            return Ok(0);
        }
        let (shift, other) = (ext.shifts[ours], ext.shifts[theirs]);
        let replacement = match packet.bytes().get(payload_at..end_of(flow)) {
            Some(payload) if !payload.is_empty() => self.expect_data_conn(payload, found),
            _ => None,
        };
        let mut grown = 0;
        if let Some(Replacement { place, text }) = replacement {
            let (at, len) = (payload_at + place.start, place.len());
            grown = splice(packet, flow, at, len, text.bytes(), mtu)?;
            let shift = &mut self.family.exts.get_mut(found.id).shifts[ours];
            shift.note(segment.seq, grown);
        }
        let frame = packet.bytes_mut();
        let seq = segment.seq.wrapping_add(shift.of_seq(segment.seq));
        tcp::put_number(frame, l4_at, tcp::SEQ, seq);
        if segment.has_ack() && !other.is_none() {
            // The dest acknowledges FullNAT's sequence numbers.
            let delta = match found.direction {
                Direction::Inbound => 0,
                Direction::Outbound => self.family.conns.get(found.id).seq_delta,
            };
            tcp::map_acks(frame, l4_at, |number| {
                number.wrapping_sub(other.of_ack(number.wrapping_sub(delta)))
            });
        }
        Ok(grown)
    }

    /// Expects the data conn that a line announces. Returns what the line must say instead, if
    /// anything.
    fn expect_data_conn(&mut self, payload: &[u8], found: Found) -> Option<Replacement> {
        match found.direction {
            Direction::Inbound => self
                .translate_command(payload, found)
                .or_else(|| self.expect_active(payload, found)),
            Direction::Outbound => self
                .refusal_of_command(payload, found)
                .or_else(|| self.expect_passive(payload, found)),
        }
    }

    /// `PORT` and `EPRT`: the dest will connect to the client.
    fn expect_active(&mut self, payload: &[u8], found: Found) -> Option<Replacement> {
        let named = ftp::read_command(payload)?;
        let conn = *self.family.conns.get(found.id);
        let client = conn.client().0.to_ip();
        // Refuse to connect to a third party on behalf of a client (FTP bounce: RFC 2577, 3).
        if named.addr != Some(client) {
            return None;
        }
        let (dest, seen) = (conn.real_server().0, conn.local().0.to_ip());
        let mut expected = Expectation {
            dest: conn.dest(),
            vip: conn.vip().0.to_ip(),
            client: (client, named.port),
            laddr: seen,
            lport: 0,
            class: sapool::class_of(dest.low_bits(), DATA_PORT) as u32,
            way_back: conn
                .way_back()
                .and_then(|id| self.shared.ways_back.ends(id)),
        };
        let dest = dest.to_ip();
        let mut port = named.port;
        if conn.flags.has(ConnFlags::LOCAL_PORT) {
            port = self.port_for(&expected, dest, found)?;
            expected.lport = port;
        }
        self.expect(dest, seen, port, &expected, found);
        let end = SocketAddr::new(seen, port);
        match conn.flags.has(ConnFlags::NAT64) {
            // RFC 6384: the command for the other family. PORT cannot name an IPv6 address (RFC
            // 2428, 1).
            true => Replacement::of_command(&named, end),
            false if seen == client => None,
            false => Replacement::of_end(named, end),
        }
    }

    /// Replies 227 and 229: the client will connect to the VIP.
    fn expect_passive(&mut self, payload: &[u8], found: Found) -> Option<Replacement> {
        let named = ftp::read_reply(payload)?;
        let conn = *self.family.conns.get(found.id);
        let (dest, vip) = (conn.real_server().0.to_ip(), conn.vip().0.to_ip());
        let is_translated = self.must_translate_reply(found);
        let is_another = named.addr.is_some_and(|addr| addr != dest && addr != vip);
        // RFC 6384: a client that has sent EPSV does not see the address in the reply to PASV.
        if is_another && !is_translated {
            return None;
        }
        let client = conn.client().0.to_ip();
        let expected = Expectation {
            dest: conn.dest(),
            vip,
            client: (client, 0),
            laddr: client,
            lport: 0,
            class: 0,
            way_back: None,
        };
        self.expect(client, vip, named.port, &expected, found);
        if is_translated {
            return Replacement::of_line(payload, translated_reply(&named, vip)?);
        }
        // The reply to EPSV names no address: the client connects to the address of its control
        // conn.
        named.addr?;
        let end = SocketAddr::new(vip, named.port);
        Replacement::of_end(named, end)
    }

    /// A local port for the dest to connect to. A line that is sent again gets the same port.
    fn port_for(&mut self, expected: &Expectation, dest: IpAddr, found: Found) -> Option<u16> {
        let latest = self.family.exts.get(found.id).expected_lport;
        let hash_key = &self.shared.config.keys.conns;
        let key = key_of(dest, expected.laddr, latest, hash_key);
        let known = self.shared.state.expectations.get(key);
        if known.is_some_and(|known| known.client == expected.client) {
            return Some(latest);
        }
        let id = self.shared.laddrs.id_of(expected.laddr)?;
        let mapped = |addr| <[u8; 16]>::of(addr);
        let (from, to) = (mapped(dest)?, mapped(expected.laddr)?);
        let towards = Towards {
            class: expected.class as usize,
            base: <[u8; 16]>::rss_base(&self.shared.config.owners, from, to, DATA_PORT),
        };
        let free = self.shared.laddrs.take_movable_port(id, towards);
        if free.is_none() {
            self.count_laddr_conflict(found.id);
        }
        free.or_else(|| {
            let (laddr, dest) = (A::of(expected.laddr)?, A::of(dest)?);
            self.take_port_of_closing((id, laddr), (dest, DATA_PORT))
        })
    }

    fn expect(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        port: u16,
        expected: &Expectation,
        found: Found,
    ) {
        let key = key_of(src, dst, port, &self.shared.config.keys.conns);
        self.family.exts.get_mut(found.id).expected_lport = expected.lport;
        let table = &self.shared.state.expectations;
        if let Some(gone) = table.insert(key, expected, self.shared.now.tick())
            && (gone.laddr, gone.class, gone.lport)
                != (expected.laddr, expected.class, expected.lport)
        {
            self.shared.return_expectation_port(&gone);
        }
    }

    /// What some worker expects of this SYN.
    pub(crate) fn expected(&self, flow: &Flow<A>) -> Option<Expectation> {
        let (src, dst) = (flow.tuple.src.to_ip(), flow.tuple.dst.to_ip());
        let key = key_of(src, dst, flow.tuple.dport, &self.shared.config.keys.conns);
        let find = |state: &std::sync::Arc<crate::state::SharedState>| {
            state.expectations.find(key, self.shared.now.tick())
        };
        let expected = self.shared.all_state.iter().find_map(find)?;
        // A packet to a local port has an owner. It goes there first.
        let shared = &self.shared;
        let is_ours = expected.lport == 0
            || shared.config.owners.workers() == 1
            || flow.tuple.owner(&shared.config.owners) == shared.config.worker;
        is_ours.then_some(expected)
    }

    /// Makes the data conn of a dest that connects to the client, as the client has asked by PORT
    /// or EPRT.
    pub(crate) fn create_active_call(
        &mut self,
        packet: &B,
        flow: &Flow<A>,
        expected: &Expectation,
    ) -> Result<Found, DropReason> {
        let l4 = flow.l4(packet.bytes());
        opening::verify_checksum(flow, l4)?;
        let key = expected.control_service();
        let service = self.shared.snapshot.services.get(&key);
        let service = service.ok_or(DropReason::NoConn)?;
        let is_it = |dest: &&Dest| dest.id == expected.dest;
        let mut dests = service.dests.iter().chain(&service.leaving);
        let dest = dests.find(is_it).ok_or(DropReason::NoDest)?;
        let mut conn = active_data_conn(self.shared.now, flow, expected, dest)?;
        conn.timeout = self.call_timeout();
        let service_id = service.id;
        let laddr_use = laddr_use::use_of(service, expected.laddr);
        let earlier = self.earlier_data_conn(&conn.tuple(Direction::Inbound))?;
        self.shared.claim_expectation_port(expected, &flow.tuple)?;
        if let Some(earlier) = earlier {
            self.end(earlier);
        }
        // From here on the conn owns the local port.
        self.forget_expectation(flow);
        let Ok(id) = self.family.conns.insert(conn) else {
            self.return_port(&conn);
            return Err(DropReason::ConnTableFull);
        };
        self.count_new_conn(service_id, conn.dest());
        if conn.flags.has(ConnFlags::LOCAL_PORT) {
            self.begin_laddr_use(id, laddr_use);
        }
        let direction = Direction::Outbound;
        Ok(Found { id, direction })
    }

    /// An earlier data conn between the same ends. It may be replaced if it is closing or was never
    /// established, since a client that names a port again listens anew (RFC 959, 3.2). An
    /// established one may not.
    fn earlier_data_conn(&self, inbound: &Tuple<A>) -> Result<Option<ConnId>, DropReason> {
        let Some(found) = self.family.conns.find(inbound) else {
            return Ok(None);
        };
        match self.family.conns.get(found.id).tcp_state() {
            TcpState::FinWait
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::TimeWait
            | TcpState::Close
            | TcpState::Listen => Ok(Some(found.id)),
            TcpState::None
            | TcpState::Established
            | TcpState::SynSent
            | TcpState::SynRecv
            | TcpState::SynAck => Err(DropReason::FtpCallInUse),
        }
    }

    /// A SYN of a dest for a data conn that is over. If the call is expected, the conn begins anew.
    /// Only NAT can have two calls between the same ends.
    pub(crate) fn reopen_active_call(&mut self, flow: &Flow<A>, id: ConnId) {
        let has_ftp = self.shared.snapshot.services.has_ftp();
        let Some(expected) = has_ftp.then(|| self.expected(flow)).flatten() else {
            return;
        };
        if expected.vip == flow.tuple.dst.to_ip() {
            return;
        }
        self.forget_expectation(flow);
        self.set_tcp_state(id, TcpState::Listen);
    }

    /// How long a data conn waits for the client's SYN-ACK.
    fn call_timeout(&self) -> IdleTimeout {
        let timeout_s = self.shared.snapshot.timeouts.tcp_s[TcpState::Listen as usize];
        IdleTimeout::from_secs(timeout_s)
    }

    /// The expected conn has come.
    fn forget_expectation(&self, flow: &Flow<A>) {
        let (src, dst) = (flow.tuple.src.to_ip(), flow.tuple.dst.to_ip());
        let key = key_of(src, dst, flow.tuple.dport, &self.shared.config.keys.conns);
        self.shared.state.expectations.remove(key);
    }
}

/// The data conn of a dest's call.
fn active_data_conn<A: Family>(
    now: Now,
    flow: &Flow<A>,
    expected: &Expectation,
    dest: &Dest,
) -> Result<Conn<A>, DropReason> {
    let (Some(client), Some(vip)) = (A::of(expected.client.0), A::of(expected.vip)) else {
        return Err(DropReason::NoConn);
    };
    let ends = Endpoints {
        inbound: Tuple {
            src: client,
            dst: vip,
            sport: expected.client.1,
            dport: flow.tuple.sport,
            protocol: flow.tuple.protocol,
        },
        outbound: flow.tuple,
    };
    let mut conn = Conn::new(
        &ends,
        bind::deltas(&ends),
        dest.id,
        dest.fwdmode,
        now.tick(),
    );
    conn.set_tcp_state(TcpState::Listen);
    // NAT64 by NAT has a local port too, if the dest cannot see the client's address.
    conn.flags.put(ConnFlags::LOCAL_PORT, expected.lport != 0);
    Ok(conn)
}

/// The key of an expectation: who connects to which address and port.
fn key_of(src: IpAddr, dst: IpAddr, port: u16, hash_key: &crate::tuple::HashKey) -> u64 {
    let mapped = |addr| match addr {
        IpAddr::V4(addr) => addr.octets().to_mapped(),
        IpAddr::V6(addr) => addr.octets(),
    };
    let tuple = Tuple {
        src: mapped(src),
        dst: mapped(dst),
        sport: 0,
        dport: port,
        protocol: Protocol::Tcp.number(),
    };
    tuple.hash(hash_key).max(1)
}

impl<B: PacketBuf> crate::ctx::Shared<B> {
    /// The local port was taken towards the usual data port. It moves to the class of the port that
    /// the dest really uses. If replies from that port come to this worker and not to the one that
    /// announced the port, the port is taken here too: there it is given back when it is no longer
    /// expected.
    fn claim_expectation_port<A: Address>(
        &mut self,
        expected: &Expectation,
        call: &Tuple<A>,
    ) -> Result<(), DropReason> {
        let (addr, port) = (expected.laddr, expected.lport);
        let (from, to) = (
            expected.class as usize,
            sapool::class_of(call.src.low_bits(), call.sport),
        );
        let key = key_of(call.src.to_ip(), addr, port, &self.config.keys.conns);
        let has_it = port == 0
            || match self.state.expectations.get(key) {
                Some(_) => self.laddrs.move_port(addr, to, from, port),
                None => self.laddrs.claim_port(addr, to, port),
            };
        has_it.then_some(()).ok_or(DropReason::NoLocalPort)
    }

    /// Gives back the local port of a call that did not come.
    fn return_expectation_port(&mut self, gone: &Expectation) {
        if gone.lport != 0 {
            let class = gone.class as usize;
            if let Some(id) = self.laddrs.id_of(gone.laddr) {
                self.laddrs.put_port(id, class, gone.lport);
            }
        }
    }

    /// Forgets calls that did not come in time, a few per call.
    pub(crate) fn expire_expectations(&mut self) {
        let now = self.now.tick();
        let table = &self.state.expectations;
        if let Some(gone) = table.pop_stale(&mut self.expectation_cursor, now) {
            self.return_expectation_port(&gone);
        }
    }
}

//! ICMP: echo requests to us, and errors about packets of our conns, translated for the other end.

use packet::PacketBuf;
use packet::checksum::{self, Delta};

use crate::config::protocol::Protocol;
use crate::conn::{Conn, ConnFlags, Direction, Found};
use crate::ctx::family_state::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::tuple::Tuple;
use crate::wire::family::{self, Family};
use crate::wire::tcp;
use crate::xmit::echo;
use crate::xmit::nexthop::Way;
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;

/// Bytes of an ICMP header, before what it quotes.
pub(crate) const HEADER_LEN: usize = 8;
/// What of the quoted packet's L4 header is there at least: RFC 792.
const QUOTED_L4_LEN: usize = 8;

/// What an ICMP error quotes of the packet it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted<A> {
    /// What its IP header says
    pub(crate) ip: IpFacts<A>,
    /// Where the quoted L4 header begins, from the ICMP header's start.
    pub(crate) l4_at: usize,
    /// As the packet looked where the error arose: after our rewrite.
    pub(crate) tuple: Tuple<A>,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    pub(crate) fn receive_icmp(&mut self, mut packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let icmp = packet
            .bytes()
            .get(usize::from(ip.l4_at)..)
            .unwrap_or_default();
        let Some(&[kind, ..]) = icmp.first_chunk::<HEADER_LEN>() else {
            return self.shared.drop(packet, DropReason::IcmpMalformed);
        };
        let is_error = A::is_icmp_error(kind);
        let is_to_us = self
            .shared
            .snapshot
            .net
            .local_addr(ip.dst.to_ip())
            .is_some();
        let is_echo = kind == A::ECHO_REQUEST || kind == A::ECHO_REPLY;
        let has_snat = self.shared.snapshot.services.has_passing();
        if !(is_error || kind == A::ECHO_REQUEST && is_to_us || is_echo && has_snat) {
            return self.shared.to_kernel(packet, io);
        }
        let pseudo = A::icmp_pseudo_header(ip.src, ip.dst, icmp.len() as u16);
        if checksum::fold(checksum::sum(icmp) + pseudo) != 0xffff {
            return self.shared.drop(packet, DropReason::IcmpBadChecksum);
        }
        if is_error {
            self.receive_icmp_error(packet, ip, io);
        } else if kind == A::ECHO_REPLY || !is_to_us {
            self.receive_echo(packet, ip, kind, io);
        } else if echo_reply_in_place(&mut packet) {
            self.shared.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        } else {
            self.shared.drop(packet, DropReason::IcmpMalformed);
        }
    }

    fn receive_icmp_error(&mut self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let icmp = packet
            .bytes()
            .get(usize::from(ip.l4_at)..)
            .unwrap_or_default();
        let quoted = match read_quoted::<A>(icmp) {
            Ok(Some(quoted)) => quoted,
            Ok(None) => return self.shared.to_kernel(packet, io),
            Err(reason) => return self.shared.drop(packet, reason),
        };
        match self.lane.conns.find(&quoted.tuple.reversed()) {
            Some(found) => self.translate_error(packet, ip, &quoted, found, io),
            None => self.error_without_conn(packet, ip, &quoted, io),
        }
    }

    /// The conn may be another worker's: the local port names it; towards clients, each is asked.
    fn error_without_conn(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        io: &mut impl Io<B>,
    ) {
        let (worker, workers) = (self.shared.config.worker, self.shared.config.workers);
        let Some(local) = self.shared.snapshot.net.local_addr(ip.dst.to_ip()) else {
            return self.shared.to_kernel(packet, io);
        };
        let hops = self.shared.hand_overs(&packet);
        if local.sapool {
            let owner = sapool::owner_of(quoted.tuple.sport, workers);
            if owner != worker && hops == 0 {
                return self.shared.redirect(packet, owner, io);
            }
            return self.shared.drop(packet, DropReason::IcmpNoConn);
        }
        if hops + 1 < u32::from(workers) {
            return self.shared.redirect(packet, (worker + 1) % workers, io);
        }
        self.shared.to_kernel(packet, io);
    }

    pub(crate) fn translate_error(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let way = match self.way_of(found.id, found.direction) {
            Ok(_) if ip.ttl <= 1 => return self.shared.drop(packet, DropReason::TtlExpired),
            Ok(way) => way,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        if self.lane.conns.get(found.id).flags.has(ConnFlags::ONE_WAY) {
            return self.pass_on_error(packet, quoted, found, way, io);
        }
        if A::CAN_BE_MIXED && self.lane.conns.get(found.id).flags.has(ConnFlags::MIXED) {
            return match self.translate_mixed_error(&mut packet, ip, quoted, found) {
                Ok(()) => self.deliver(packet, way, io),
                Err(reason) => self.shared.drop(packet, reason),
            };
        }
        let dest_delta = self.lane.dest_delta(found.id);
        translate(
            packet.bytes_mut(),
            ip,
            quoted,
            self.lane.conns.get(found.id),
            found.direction,
            dest_delta,
        );
        self.deliver(packet, way, io);
    }

    /// In DR and tunnel mode the dest itself sent what the error is about, from the VIP.
    fn pass_on_error(
        &mut self,
        mut packet: B,
        quoted: &Quoted<A>,
        found: Found,
        way: Way,
        io: &mut impl Io<B>,
    ) {
        let conn = self.lane.conns.get(found.id);
        let passed = self
            .shared
            .pass_on_unchanged(&mut packet, conn, &quoted.tuple);
        match passed {
            Ok(()) => self.deliver(packet, way, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }
}

fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    if family::is_ipv4(packet.bytes()) {
        inet::icmp::echo_reply_in_place(packet)
    } else {
        inet::icmpv6::echo_reply_in_place(packet)
    }
}

/// Reads what an error quotes; `None` if it is about something the engine has no conns of.
pub(crate) fn read_quoted<A: Family>(icmp: &[u8]) -> Result<Option<Quoted<A>>, DropReason> {
    let quoted = icmp.get(HEADER_LEN..).unwrap_or_default();
    let ip = A::check_quoted(quoted).ok_or(DropReason::IcmpMalformed)?;
    if Protocol::from_number(ip.protocol).is_none() || ip.fragment_offset != 0 {
        return Ok(None);
    }
    let l4_at = usize::from(ip.l4_at) - L2_LEN;
    let l4 = quoted
        .get(l4_at..)
        .and_then(<[u8]>::first_chunk::<QUOTED_L4_LEN>)
        .ok_or(DropReason::IcmpMalformed)?;
    let tuple = if ip.protocol == A::ICMP.number() {
        match (l4[0], echo::identifier(l4)) {
            (kind, Some(identifier)) if kind == A::ECHO_REQUEST || kind == A::ECHO_REPLY => {
                echo::tuple(&ip, kind, identifier)
            }
            _ => return Ok(None),
        }
    } else {
        Tuple {
            src: ip.src,
            dst: ip.dst,
            sport: u16::from_be_bytes([l4[0], l4[1]]),
            dport: u16::from_be_bytes([l4[2], l4[3]]),
            protocol: ip.protocol,
        }
    };
    Ok(Some(Quoted {
        ip,
        l4_at: HEADER_LEN + l4_at,
        tuple,
    }))
}

/// Makes the error one that its receiver understands: the outer addresses are rewritten as those of
/// any packet of the conn that goes its way, whatever router it is from, and the quoted packet
/// becomes the one that the receiver had sent.
fn translate<A: Family>(
    frame: &mut [u8],
    ip: &IpFacts<A>,
    quoted: &Quoted<A>,
    conn: &Conn<A>,
    direction: Direction,
    dest_delta: u32,
) {
    let outer = conn.rewritten(direction);
    let change = A::delta(ip.src, outer.src).plus(A::delta(ip.dst, outer.dst));
    A::rewrite(frame, outer.src, outer.dst, change);
    let Some(icmp) = frame.get_mut(usize::from(ip.l4_at)..) else {
        return;
    };
    restore_quoted(icmp, quoted, conn, direction, dest_delta);
    icmp[2..4].fill(0);
    let pseudo = A::icmp_pseudo_header(outer.src, outer.dst, icmp.len() as u16);
    let sum = !checksum::fold(checksum::sum(icmp) + pseudo);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Undoes our rewrite on the quoted packet.
fn restore_quoted<A: Family>(
    icmp: &mut [u8],
    quoted: &Quoted<A>,
    conn: &Conn<A>,
    direction: Direction,
    dest_delta: u32,
) {
    let sent = as_sent(conn, direction);
    let ip = icmp.get_mut(HEADER_LEN..).unwrap_or_default();
    A::readdress(ip, sent.src, sent.dst, conn.l3_delta(direction));
    let l4 = icmp.get_mut(quoted.l4_at..).unwrap_or_default();
    restore_l4(l4, quoted, conn, direction, dest_delta);
}

/// The tuple with which the receiver of an error had sent what the error quotes: one that goes outbound is about a
/// packet that went inbound, and the other way round.
pub(crate) const fn as_sent<A: Family>(conn: &Conn<A>, direction: Direction) -> Tuple<A> {
    match direction {
        Direction::Outbound => conn.tuple(Direction::Inbound),
        Direction::Inbound => conn.tuple(Direction::Outbound),
    }
}

/// Undoes our rewrite on the L4 header of the quoted packet, of which there are 8 bytes at least. `dest_delta` is what
/// was added to the dest's numbers.
pub(crate) fn restore_l4<A: Family>(
    l4: &mut [u8],
    quoted: &Quoted<A>,
    conn: &Conn<A>,
    direction: Direction,
    dest_delta: u32,
) {
    let sent = as_sent(conn, direction);
    if l4.len() < QUOTED_L4_LEN {
        return;
    }
    if conn.protocol == A::ICMP.number() {
        // One of both ports is 0: the other is the identifier.
        let addresses =
            A::delta(quoted.tuple.src, sent.src).plus(A::delta(quoted.tuple.dst, sent.dst));
        let delta = if A::ICMP == Protocol::IcmpV6 {
            addresses
        } else {
            Delta::ZERO
        };
        return echo::put_identifier(l4, sent.sport | sent.dport, delta);
    }
    l4[0..2].copy_from_slice(&sent.sport.to_be_bytes());
    l4[2..4].copy_from_slice(&sent.dport.to_be_bytes());
    let mut delta = conn.l4_delta(direction);
    let is_tcp = conn.protocol == Protocol::Tcp.number();
    if is_tcp {
        let [at_seq, at_ack] = [tcp::SEQ, tcp::ACK_NUMBER];
        // What the client was sent, as the dest had sent it; or what the dest was sent, as the client had.
        let numbers = match direction {
            Direction::Inbound => [
                (at_seq, dest_delta.wrapping_neg()),
                (at_ack, conn.seq_delta),
            ],
            Direction::Outbound => [
                (at_seq, conn.seq_delta.wrapping_neg()),
                (at_ack, dest_delta),
            ],
        };
        for (at, back) in numbers {
            delta = delta.plus(add_to_number(l4, at, back));
        }
    }
    let checksum_at = if is_tcp { 16 } else { 6 };
    if let Some(field) = l4.get_mut(checksum_at..checksum_at + 2) {
        let old = u16::from_be_bytes([field[0], field[1]]);
        if is_tcp || old != 0 {
            field.copy_from_slice(&delta.apply(old).to_be_bytes());
        }
    }
}

/// Adds to a number in a TCP header, if that much of it is quoted, and says what that changes in the checksum.
fn add_to_number(l4: &mut [u8], at: usize, back: u32) -> Delta {
    let Some(field) = l4.get_mut(at..at + 4) else {
        return Delta::ZERO;
    };
    let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
    let new = old.wrapping_add(back);
    field.copy_from_slice(&new.to_be_bytes());
    Delta::of_u32(old, new)
}

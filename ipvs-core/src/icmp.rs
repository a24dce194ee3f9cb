//! ICMP: echo requests to us, and errors about packets of our conns, translated for the other end.

use std::net::IpAddr;

use packet::PacketBuf;
use packet::checksum::{self, Delta};

use crate::conn::{Conn, ConnFlags, Direction, Found};
use crate::drop_reason::DropReason;
use crate::echo::{self, ECHO_REPLY, ECHO_REQUEST};
use crate::engine::Engine;
use crate::io::Io;
use crate::output::Way;
use crate::service::Protocol;
use crate::time::Now;
use crate::tuple::Tuple;
use packet::ipv4::{self, Ipv4Facts, L2_LEN};

/// RFC 792
const DESTINATION_UNREACHABLE: u8 = 3;
/// RFC 792
const TIME_EXCEEDED: u8 = 11;
/// RFC 792
const PARAMETER_PROBLEM: u8 = 12;

/// Bytes of an ICMP header, before what it quotes.
const HEADER_LEN: usize = 8;
/// What of the quoted packet's L4 header is there at least: RFC 792.
const QUOTED_L4_LEN: usize = 8;

/// What an ICMP error quotes of the packet it is about.
#[derive(Debug, Clone, Copy)]
struct Quoted {
    /// Where the quoted IP header begins, from the ICMP header's start.
    ip_at: usize,
    /// Where the quoted L4 header begins, likewise.
    l4_at: usize,
    /// As the packet looked where the error arose: after our rewrite.
    tuple: Tuple<[u8; 4]>,
}

impl<B: PacketBuf> Engine<B> {
    pub(crate) fn receive_icmp(
        &mut self,
        now: Now,
        mut packet: B,
        ip: &Ipv4Facts,
        io: &mut impl Io<B>,
    ) {
        let icmp = packet
            .bytes()
            .get(usize::from(ip.l4_at)..)
            .unwrap_or_default();
        let Some(&[kind, ..]) = icmp.first_chunk::<HEADER_LEN>() else {
            return self.drop(packet, DropReason::IcmpMalformed);
        };
        let is_error = matches!(
            kind,
            DESTINATION_UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM
        );
        let is_to_us = self.snapshot.net.local_addr(IpAddr::from(ip.dst)).is_some();
        let is_echo = kind == ECHO_REQUEST || kind == ECHO_REPLY;
        let has_snat = self.snapshot.services.has_passing();
        if !(is_error || kind == ECHO_REQUEST && is_to_us || is_echo && has_snat) {
            return self.to_kernel(packet, io);
        }
        if checksum::fold(checksum::sum(icmp)) != 0xffff {
            return self.drop(packet, DropReason::IcmpBadChecksum);
        }
        if is_error {
            self.receive_icmp_error(now, packet, ip, io);
        } else if kind == ECHO_REPLY || !is_to_us {
            self.receive_echo(now, packet, ip, kind, io);
        } else if inet::icmp::echo_reply_in_place(&mut packet) {
            self.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        } else {
            self.drop(packet, DropReason::IcmpMalformed);
        }
    }

    fn receive_icmp_error(&mut self, now: Now, packet: B, ip: &Ipv4Facts, io: &mut impl Io<B>) {
        let icmp = packet
            .bytes()
            .get(usize::from(ip.l4_at)..)
            .unwrap_or_default();
        let quoted = match read_quoted(icmp) {
            Ok(Some(quoted)) => quoted,
            Ok(None) => return self.to_kernel(packet, io),
            Err(reason) => return self.drop(packet, reason),
        };
        match self.conns.find(&quoted.tuple.reversed()) {
            Some(found) => self.translate_error(now, packet, ip, &quoted, found, io),
            None => self.error_without_conn(packet, ip, &quoted, io),
        }
    }

    /// The conn may be another worker's: the local port names it; towards clients, each is asked.
    fn error_without_conn(
        &mut self,
        packet: B,
        ip: &Ipv4Facts,
        quoted: &Quoted,
        io: &mut impl Io<B>,
    ) {
        let (worker, workers) = (self.config.worker, self.config.workers);
        let Some(local) = self.snapshot.net.local_addr(IpAddr::from(ip.dst)) else {
            return self.to_kernel(packet, io);
        };
        let hops = self.hand_overs(&packet);
        if local.sapool {
            let owner = sapool::owner_of(quoted.tuple.sport, workers);
            if owner != worker && hops == 0 {
                return self.redirect(packet, owner, io);
            }
            return self.drop(packet, DropReason::IcmpNoConn);
        }
        if hops + 1 < u32::from(workers) {
            return self.redirect(packet, (worker + 1) % workers, io);
        }
        self.to_kernel(packet, io);
    }

    fn translate_error(
        &mut self,
        now: Now,
        mut packet: B,
        ip: &Ipv4Facts,
        quoted: &Quoted,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let way = match self.way_of(found.id, found.direction) {
            Ok(_) if ip.ttl <= 1 => return self.drop(packet, DropReason::TtlExpired),
            Ok(way) => way,
            Err(reason) => return self.drop(packet, reason),
        };
        if self.conns.get(found.id).flags.has(ConnFlags::ONE_WAY) {
            return self.pass_on_error(now, packet, quoted, found, way, io);
        }
        translate(
            packet.bytes_mut(),
            usize::from(ip.l4_at),
            quoted,
            self.conns.get(found.id),
            found.direction,
        );
        self.deliver(now, packet, way, io);
    }

    /// In DR and tunnel mode the dest itself sent what the error is about, from the VIP.
    fn pass_on_error(
        &mut self,
        now: Now,
        mut packet: B,
        quoted: &Quoted,
        found: Found,
        way: Way,
        io: &mut impl Io<B>,
    ) {
        match self.pass_on_unchanged(&mut packet, found, &quoted.tuple) {
            Ok(()) => self.deliver(now, packet, way, io),
            Err(reason) => self.drop(packet, reason),
        }
    }
}

/// Reads what an error quotes; `None` if it is about something the engine has no conns of.
fn read_quoted(icmp: &[u8]) -> Result<Option<Quoted>, DropReason> {
    let ip = icmp.get(HEADER_LEN..).unwrap_or_default();
    let header = ip
        .first_chunk::<{ ipv4::HEADER_LEN }>()
        .ok_or(DropReason::IcmpMalformed)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < ipv4::HEADER_LEN {
        return Err(DropReason::IcmpMalformed);
    }
    let is_first = u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0;
    if Protocol::from_number(header[9]).is_none() || !is_first {
        return Ok(None);
    }
    let l4 = ip
        .get(header_len..)
        .and_then(<[u8]>::first_chunk::<QUOTED_L4_LEN>)
        .ok_or(DropReason::IcmpMalformed)?;
    let (sport, dport) = if header[9] == Protocol::Icmp.number() {
        match (l4[0], echo::identifier(l4).unwrap_or_default()) {
            (ECHO_REQUEST, identifier) => (identifier, 0),
            (ECHO_REPLY, identifier) => (0, identifier),
            _ => return Ok(None),
        }
    } else {
        let ports = u32::from_be_bytes([l4[0], l4[1], l4[2], l4[3]]);
        ((ports >> 16) as u16, ports as u16)
    };
    Ok(Some(Quoted {
        ip_at: HEADER_LEN,
        l4_at: HEADER_LEN + header_len,
        tuple: Tuple {
            src: [header[12], header[13], header[14], header[15]],
            dst: [header[16], header[17], header[18], header[19]],
            sport,
            dport,
            protocol: header[9],
        },
    }))
}

/// Makes the error one that its receiver understands: the outer addresses are rewritten as those of
/// any packet of the conn that goes its way, whatever router it is from, and the quoted packet
/// becomes the one that the receiver had sent.
fn translate(
    frame: &mut [u8],
    icmp_at: usize,
    quoted: &Quoted,
    conn: &Conn<[u8; 4]>,
    direction: Direction,
) {
    let outer = conn.rewritten(direction);
    if let Some(header) = frame
        .get_mut(L2_LEN..)
        .and_then(<[u8]>::first_chunk_mut::<{ ipv4::HEADER_LEN }>)
    {
        let old = [
            header[12], header[13], header[14], header[15], header[16], header[17], header[18],
            header[19],
        ];
        let new = [outer.src, outer.dst].concat();
        ipv4::rewrite(header, outer.src, outer.dst, Delta::replace(&old, &new));
    }
    let Some(icmp) = frame.get_mut(icmp_at..) else {
        return;
    };
    restore_quoted(icmp, quoted, conn, direction);
    icmp[2..4].fill(0);
    let sum = checksum::checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Undoes our rewrite on the quoted packet.
fn restore_quoted(icmp: &mut [u8], quoted: &Quoted, conn: &Conn<[u8; 4]>, direction: Direction) {
    // An error that goes outbound is about a packet that went inbound, and the other way round.
    let (sent, undo) = match direction {
        Direction::Outbound => (
            conn.tuple(Direction::Inbound),
            conn.deltas(Direction::Outbound),
        ),
        Direction::Inbound => (
            conn.tuple(Direction::Outbound),
            conn.deltas(Direction::Inbound),
        ),
    };
    if let Some(ip) = icmp
        .get_mut(quoted.ip_at..)
        .and_then(<[u8]>::first_chunk_mut::<{ ipv4::HEADER_LEN }>)
    {
        let sum = undo.l3.apply(u16::from_be_bytes([ip[10], ip[11]]));
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip[12..16].copy_from_slice(&sent.src);
        ip[16..20].copy_from_slice(&sent.dst);
    }
    let Some(l4) = icmp.get_mut(quoted.l4_at..) else {
        return;
    };
    if conn.protocol == Protocol::Icmp.number() {
        // One of both ports is 0: the other is the identifier.
        return echo::put_identifier(l4, sent.sport | sent.dport);
    }
    l4[0..2].copy_from_slice(&sent.sport.to_be_bytes());
    l4[2..4].copy_from_slice(&sent.dport.to_be_bytes());
    let mut delta = undo.l4;
    let is_tcp = conn.protocol == Protocol::Tcp.number();
    if is_tcp {
        delta = delta.plus(restore_numbers(l4, conn.seq_delta, direction));
    }
    let checksum_at = if is_tcp { 16 } else { 6 };
    if let Some(field) = l4.get_mut(checksum_at..checksum_at + 2) {
        let old = u16::from_be_bytes([field[0], field[1]]);
        if is_tcp || old != 0 {
            field.copy_from_slice(&delta.apply(old).to_be_bytes());
        }
    }
}

/// The number that we had translated, if it is quoted: the sequence number of the client's segments
/// is within the 8 bytes that always are, the acknowledgment of the dest's is not.
fn restore_numbers(l4: &mut [u8], seq_delta: u32, direction: Direction) -> Delta {
    let (at, back) = match direction {
        Direction::Outbound => (4, seq_delta.wrapping_neg()),
        Direction::Inbound => (8, seq_delta),
    };
    let Some(field) = l4.get_mut(at..at + 4) else {
        return Delta::ZERO;
    };
    let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
    let new = old.wrapping_add(back);
    field.copy_from_slice(&new.to_be_bytes());
    Delta::of_u32(old, new)
}

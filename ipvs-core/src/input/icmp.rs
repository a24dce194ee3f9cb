//! ICMP: echo requests to the director, and errors about packets of conns.

use packet::PacketBuf;
use packet::checksum;

use crate::config::Protocol;
use crate::conn::{ConnFlags, Found};
use crate::ctx::{Adoption, Forwarder, Miss};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::input::handoff::PortOwner;
use crate::io::Io;
use crate::wire::{
    Family, Flow, ICMP_HEADER_LEN, Quoted, ends_of_error, icmp_quote, read_quoted, restore_quoted,
};
use crate::xmit::Way;
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    pub(crate) fn receive_icmp(&mut self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let icmp = ip.l4(packet.bytes());
        let Some(&[kind, ..]) = icmp.first_chunk::<ICMP_HEADER_LEN>() else {
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
        let has_snat = self.shared.snapshot.services.has_match_services();
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
        } else {
            self.answer_echo(packet, io);
        }
    }

    fn receive_icmp_error(&mut self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let icmp = ip.l4(packet.bytes());
        let quoted = match read_quoted::<A>(icmp) {
            Ok(Some(quoted)) => quoted,
            Ok(None) => return self.shared.to_kernel(packet, io),
            Err(reason) => return self.shared.drop(packet, reason),
        };
        match self.family.conns.find(&quoted.tuple.reversed()) {
            Some(found) => self.translate_error(packet, ip, &quoted, found, io),
            None => self.error_without_conn(packet, ip, &quoted, io),
        }
    }

    /// An error about a packet whose conn is not here. It is where the packets go that answer the
    /// quoted one.
    fn error_without_conn(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        io: &mut impl Io<B>,
    ) {
        let answer = quoted.tuple.reversed();
        match self.shared.port_owner(&packet, &answer) {
            PortOwner::Other(worker) => return self.shared.redirect(packet, worker, io),
            PortOwner::Ours | PortOwner::HandedOver => {
                return self.shared.drop(packet, DropReason::IcmpNoConn);
            }
            PortOwner::Nobody => {}
        }
        let next = if self.is_from_nat_dest(&answer) {
            self.shared.next_of_nat(&packet, &answer)
        } else if self.is_local(ip.dst) {
            self.shared.next_of_client(&packet, &answer)
        } else {
            None
        };
        match next {
            Some(worker) => self.shared.redirect(packet, worker, io),
            None => self.adopt_by_error(packet, ip, quoted, io),
        }
    }

    /// An error about a packet whose conn no worker has. If the service adopts, the hash leads to
    /// the dest that sent the packet. The kernel gets the others.
    fn adopt_by_error(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        io: &mut impl Io<B>,
    ) {
        let tuple = quoted.tuple.reversed();
        let protocol = Protocol::from_number(tuple.protocol);
        let service = protocol.and_then(|protocol| {
            let services = &self.shared.snapshot.services;
            services.of_vip(protocol, tuple.dst, tuple.dport)
        });
        if !service.is_some_and(|service| service.adopts()) {
            return self.shared.to_kernel(packet, io);
        }
        let flow = Flow {
            tuple,
            total_len: ip.total_len,
            l4_at: ip.l4_at,
            is_fragment: false,
        };
        let lookup = self.family.conns.begin(&tuple);
        let mut miss = Miss {
            adoption: Adoption::ByError,
            ..Miss::new(packet, flow, lookup)
        };
        let made = self.create_conn(&mut miss, None);
        let Some(packet) = miss.packet else {
            return;
        };
        match made {
            Ok(id) => {
                let direction = Direction::Inbound;
                self.translate_error(packet, ip, quoted, Found { id, direction }, io);
            }
            Err(_) => self.shared.drop(packet, DropReason::IcmpNoConn),
        }
    }

    fn translate_error(
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
        let ip = &self.trimmed(&mut packet, *ip, found, way);
        if self
            .family
            .conns
            .get(found.id)
            .flags
            .has(ConnFlags::DR_TUNNEL)
        {
            return self.forward_error_to_dest(packet, quoted, found, way, io);
        }
        if A::HAS_NAT64 && self.family.conns.get(found.id).flags.has(ConnFlags::NAT64) {
            return match self.translate_nat64_error(&mut packet, ip, quoted, found, way) {
                Ok(()) => self.deliver(packet, way, io),
                Err(reason) => self.shared.drop(packet, reason),
            };
        }
        self.translate(packet.bytes_mut(), ip, quoted, found);
        self.deliver(packet, way, io);
    }

    /// Cuts an error that is too long for its way (RFC 1812, 4.3.2.3; RFC 4443, 2.4 (c)). Returns
    /// the facts of its header.
    fn trimmed(&self, packet: &mut B, ip: IpFacts<A>, found: Found, way: Way) -> IpFacts<A> {
        let total_len = ip.total_len.saturating_add_signed(self.growth(&ip, found));
        if total_len <= way.mtu() {
            return ip;
        }
        icmp_quote::trim(packet, &ip);
        let total_len = (packet.bytes().len() - L2_LEN) as u16;
        IpFacts { total_len, ..ip }
    }

    /// Translates an error for its receiver. The quoted packet becomes the one that the receiver
    /// had sent.
    fn translate(&self, frame: &mut [u8], ip: &IpFacts<A>, quoted: &Quoted<A>, found: Found) {
        let conn = self.family.conns.get(found.id);
        let prefix = self.shared.snapshot.nat64_prefix;
        let (src, dst) = ends_of_error(conn, found.direction, ip.src, prefix);
        let change = A::delta(ip.src, src).plus(A::delta(ip.dst, dst));
        A::rewrite_whole(frame, src, dst, change, &self.shared.identifications);
        let Some(icmp) = frame.get_mut(usize::from(ip.l4_at)..) else {
            return;
        };
        let dest_delta = self.family.dest_delta(found.id);
        restore_quoted(icmp, quoted, conn, found.direction, dest_delta);
        icmp_quote::write_checksum(icmp, src, dst);
    }

    /// An error for a dest of DR or tunnel mode, which has sent the quoted packet from the VIP
    /// itself.
    fn forward_error_to_dest(
        &mut self,
        mut packet: B,
        quoted: &Quoted<A>,
        found: Found,
        way: Way,
        io: &mut impl Io<B>,
    ) {
        let conn = self.family.conns.get(found.id);
        let passed = self.shared.wrap_for_dest(&mut packet, conn, &quoted.tuple);
        match passed {
            Ok(()) => self.deliver_or_cut(packet, way, way.mtu(), io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }
}

//! Fragments. The first one has ports, so it finds or makes a conn; later ones follow it.

use packet::ip::IpFacts;
use packet::{PacketBuf, ipv6};

use crate::config::Protocol;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::engine_config::Origin;
use crate::io::Io;
use crate::state::{FirstFragment, Whole};
use crate::tuple::Tuple;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A fragment without ports, or of a protocol without ports.
    pub(crate) fn receive_fragment(&mut self, packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let has_ports = matches!(
            Protocol::from_number(ip.protocol),
            Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp)
        );
        // Destination options may stand before the ports in the first fragment (RFC 8200, 4.1).
        let has_options = size_of::<A>() == 16 && ip.protocol == ipv6::DEST_OPTIONS;
        if ip.protocol == Protocol::Tcp.number() && ip.fragment_offset == 8 {
            self.shared.drop(packet, DropReason::TinyFragment);
        } else if ip.protocol == A::ICMP.number() && ip.fragment_offset == 0 {
            self.receive_first_icmp_fragment(packet, ip, io);
        } else if has_ports || has_options || self.may_be_echo(ip) {
            self.family.has_fragments = true;
            self.family.later_fragments.push(packet);
        } else if self.is_local_alone(ip.dst) {
            self.shared.drop(packet, DropReason::Fragment);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }

    /// Whether a later fragment may be of an echo message that is ours.
    fn may_be_echo(&self, ip: &IpFacts<A>) -> bool {
        let has_snat = self.shared.snapshot.services.has_match_services();
        ip.protocol == A::ICMP.number() && (has_snat || self.is_local(ip.dst))
    }

    /// Forwards later fragments. Called at the end of a batch, when its first fragments have found
    /// or made their conns.
    #[cold]
    pub(crate) fn forward_later_fragments(&mut self, io: &mut impl Io<B>) {
        self.family.has_fragments = false;
        self.resume_first_fragments(io);
        let mut later = std::mem::take(&mut self.family.later_fragments);
        for packet in later.drain(..) {
            self.find_first_fragment(packet, io);
        }
        self.family.later_fragments = later;
        // Fragments from earlier batches have the marks of those batches.
        let origin = std::mem::replace(&mut self.shared.origin, Origin::Worker);
        while let Some(packet) = self.family.fragments.pop_ready(self.shared.now.tick()) {
            self.shared.stats.held.sub(1);
            self.find_first_fragment(packet, io);
        }
        self.shared.origin = origin;
    }

    fn find_first_fragment(&mut self, mut packet: B, io: &mut impl Io<B>) {
        let ip = match A::check(&mut packet) {
            Ok(ip) => ip,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let now = self.shared.now.tick();
        let Some(first) = self.family.fragments.first_of(now, &Whole::of(&ip)) else {
            return self.await_first_fragment(packet, &ip, io);
        };
        let FirstFragment {
            tuple, options_len, ..
        } = first;
        if let Some(found) = self.conn_of_fragments(&Whole::of(&ip), &tuple) {
            return self.forward_later_fragment(packet, &ip, found, options_len, io);
        }
        if !A::HAS_NAT64 && self.shared.snapshot.services.has_nat64() {
            self.family.stray_fragments.push((packet, ip, tuple));
            return;
        }
        self.forward_fragment_without_conn(packet, &ip, &tuple, io);
    }

    /// A later fragment whose first one belongs to no conn here: another worker may have the conn.
    pub(crate) fn forward_fragment_without_conn(
        &self,
        packet: B,
        ip: &IpFacts<A>,
        tuple: &Tuple<A>,
        io: &mut impl Io<B>,
    ) {
        let is_echo_to_us = tuple.protocol == A::ICMP.number() && self.is_local(ip.dst);
        // The port of who is asked is 0, see [`crate::wire::tuple`].
        if is_echo_to_us && tuple.dport == 0 {
            return self.answer_echo_fragment(packet, io);
        }
        // A reply to the kernel's ping: its first fragment was handed to no worker.
        if is_echo_to_us && !self.is_local_alone(ip.dst) {
            return self.shared.to_kernel(packet, io);
        }
        // The first fragment was handed to that worker, too.
        match self.elsewhere_of_fragment(&packet, tuple) {
            Some(worker) => self.shared.redirect(packet, worker, io),
            // A reply of NAT mode never leaves unchanged.
            None if self.is_from_nat_dest(tuple) => {
                self.shared.drop(packet, DropReason::NatNoConn);
            }
            None => self.give_up_later_fragment(packet, ip.dst, io),
        }
    }

    /// The fragment came before its first one, or that one is not ours.
    fn await_first_fragment(&mut self, mut packet: B, ip: &IpFacts<A>, io: &mut impl Io<B>) {
        let may_be_ours = self.is_local_alone(ip.dst)
            || self.may_be_translated(ip)
            || ip.protocol == A::ICMP.number() && self.is_local(ip.dst);
        if !may_be_ours {
            return self.shared.to_kernel(packet, io);
        }
        packet.set_mark(self.shared.hand_overs(&packet));
        let now = self.shared.now.tick();
        match self.family.fragments.wait(now, Whole::of(ip), packet) {
            Ok(()) => self.shared.stats.held.add(1),
            Err(packet) => self.give_up_later_fragment(packet, ip.dst, io),
        }
    }

    /// Whether it may be a reply in NAT mode, or a packet for SNAT. Only the ports would tell.
    fn may_be_translated(&self, ip: &IpFacts<A>) -> bool {
        let (src, dst) = (ip.src.to_ip(), ip.dst.to_ip());
        let services = &self.shared.snapshot.services;
        let is_known = |protocol| {
            services.is_nat_dest_addr(protocol, src) || services.may_lead_out(protocol, src, dst)
        };
        match Protocol::from_number(ip.protocol) {
            Some(protocol) => is_known(protocol),
            // Destination options hide the protocol (RFC 8200, 4.1).
            None => [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
                .into_iter()
                .any(is_known),
        }
    }

    /// Takes up the first fragments of SCTP that were set aside: they wait for their last fragment,
    /// or make a conn.
    #[cold]
    fn resume_first_fragments(&mut self, io: &mut impl Io<B>) {
        let mut early = std::mem::take(&mut self.family.set_aside_fragments);
        for (packet, flow) in early.drain(..) {
            if self.needs_last_fragment(&flow) {
                self.await_last_fragment(packet, flow.tuple, io);
            } else {
                self.look_up_again(packet, &flow, io);
            }
        }
        self.family.set_aside_fragments = early;
    }

    /// Gives up fragments whose first or last one did not come in time.
    pub(crate) fn expire_fragments(&mut self, io: &mut impl Io<B>) {
        let now = self.shared.now.tick();
        while let Some((dst, packet)) = self.family.fragments.pop_stale(now) {
            self.shared.stats.held.sub(1);
            self.give_up_later_fragment(packet, dst, io);
        }
        while let Some(packet) = self.family.fragments.pop_stale_first(now) {
            self.shared.stats.held.sub(1);
            self.shared.drop(packet, DropReason::Fragment);
        }
    }
}

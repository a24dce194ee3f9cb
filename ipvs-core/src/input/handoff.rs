//! Packets without a conn and without a service: another worker's, the kernel's, or nobody's.

use packet::PacketBuf;
use rss::WorkerId;

use crate::config::{MOST_VIPS, Protocol};
use crate::ctx::{Forwarder, Shared};
use crate::drop_reason::DropReason;
use crate::engine_config::Arrival;
use crate::io::{Handoff, Io};
use crate::tuple::{Address, Tuple};
use crate::wire::{Family, Flow, Segment, in_family_of};

/// Whose a packet to a local address is, by its hash.
pub(super) enum PortOwner {
    /// The address has no port pool, so any worker may have the conn.
    Nobody,
    /// This worker owns the packet.
    Ours,
    /// Another worker owns the packet, and it was not handed over before.
    Other(WorkerId),
    /// Another worker owns the packet, but one handed it to this worker.
    HandedOver,
}

impl<B: PacketBuf> Shared<B> {
    /// The owner of a packet with this tuple, if it is addressed to a local port.
    pub(super) fn port_owner<A: Family>(&self, packet: &B, tuple: &Tuple<A>) -> PortOwner {
        let local = self.snapshot.net.local_addr(tuple.dst.to_ip());
        if local.is_none_or(|local| !local.sapool) {
            return PortOwner::Nobody;
        }
        let owner = self.owner_of(tuple);
        if owner == self.config.worker {
            PortOwner::Ours
        } else if self.hand_overs(packet) == 0 {
            PortOwner::Other(owner)
        } else {
            PortOwner::HandedOver
        }
    }

    /// The owner of packets with this tuple, by their hash.
    pub(super) fn owner_of<A: Address>(&self, tuple: &Tuple<A>) -> WorkerId {
        let owners = &self.config.owners;
        if owners.workers() == 1 {
            return self.config.worker;
        }
        tuple.owner(owners)
    }

    /// The worker to ask next for the conn of a packet that may be any worker's. `None` once all
    /// were asked.
    pub(super) fn next_worker(&self, packet: &B) -> Option<WorkerId> {
        let workers = self.config.owners.workers();
        // The packet may have gone to its owner by the hash first, out of turn.
        let out_of_turn = u32::from(self.config.arrival == Arrival::ByHash);
        let asked = self.hand_overs(packet) + 1;
        let is_last = workers == 1 || asked >= u32::from(workers) + out_of_turn;
        (!is_last).then(|| self.config.worker.next(workers))
    }

    /// The worker to ask next for the conn of a client's packets with this tuple. `None` once all
    /// were asked.
    pub(super) fn next_of_client<A: Address>(
        &self,
        packet: &B,
        tuple: &Tuple<A>,
    ) -> Option<WorkerId> {
        match self.config.arrival {
            Arrival::AsItComes => self.next_worker(packet),
            Arrival::ByHash if self.hand_overs(packet) > 0 => None,
            Arrival::ByHash => {
                let owner = self.owner_of(tuple);
                (owner != self.config.worker).then_some(owner)
            }
        }
    }

    /// The worker to ask next for the conn of a reply of a NAT dest. The conn is where the hash of
    /// the client's packets leads. `None` once all were asked.
    pub(super) fn next_of_nat<A: Family>(&self, packet: &B, tuple: &Tuple<A>) -> Option<WorkerId> {
        let protocol = Protocol::from_number(tuple.protocol)?;
        let (dest, port) = (tuple.src.to_ip(), tuple.sport);
        let services = &self.snapshot.services;
        let (vips, are_all) = services.vips_of_nat_dest(protocol, dest, port);
        if !are_all {
            return self.next_worker(packet);
        }
        let owners = vips.filter_map(|vip| {
            let prefix = self.snapshot.nat64_prefix;
            let client = in_family_of(vip.ip(), tuple.dst.to_mapped(), prefix)?;
            let sent = Tuple {
                src: client,
                dst: <[u8; 16]>::of(vip.ip())?,
                sport: tuple.dport,
                dport: vip.port(),
                protocol: tuple.protocol,
            };
            Some(self.owner_of(&sent))
        });
        let me = self.config.worker;
        match self.hand_overs(packet) {
            0 => distinct(owners).find(|owner| *owner != me),
            _ => distinct(owners).skip_while(|owner| *owner != me).nth(1),
        }
    }
}

/// Whether a NIC would have brought a packet to its owner, if it hashes as the director does.
pub(super) fn handoff_of<A: Family>(flow: &Flow<A>) -> Handoff {
    match flow.protocol() {
        Protocol::Tcp | Protocol::Udp if !flow.is_fragment => Handoff::Misplaced,
        _ => Handoff::Unforeseen,
    }
}

/// The workers without those that came before.
fn distinct(workers: impl Iterator<Item = WorkerId>) -> impl Iterator<Item = WorkerId> {
    let mut seen = [WorkerId(u16::MAX); 2 * MOST_VIPS];
    let mut len = 0;
    workers.filter(move |worker| {
        let is_new = !seen[..len].contains(worker) && len < seen.len();
        if is_new {
            seen[len] = *worker;
            len += 1;
        }
        is_new
    })
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A packet that no service is for, and no conn of this worker.
    pub(super) fn without_service(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        match self.shared.port_owner(&packet, &flow.tuple) {
            PortOwner::Nobody => self.without_pool(packet, flow, io),
            PortOwner::Ours => self.reject_stray(packet, flow, DropReason::NoConn, io),
            PortOwner::Other(worker) => {
                let handoff = handoff_of(flow);
                self.shared.redirect_for(packet, worker, handoff, io);
            }
            PortOwner::HandedOver => self.shared.drop(packet, DropReason::RedirectLoop),
        }
    }

    /// A segment to a service that has no conn here and opens none. It may belong to an FTP data
    /// conn of another worker, which a dest opened from the service's port. If it belongs to
    /// nobody, its sender is told.
    pub(super) fn without_conn(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let services = &self.shared.snapshot.services;
        if !services.has_ftp() || !services.is_ftp_vip(flow.tuple.dst.to_ip()) {
            return self.reject_stray(packet, flow, DropReason::TcpNotSyn, io);
        }
        match self.shared.next_worker(&packet) {
            Some(worker) => self.shared.redirect(packet, worker, io),
            None => self.reject_stray(packet, flow, DropReason::TcpNotSyn, io),
        }
    }

    /// A reply of NAT mode goes to the worker that the client's packets go to. A packet of an FTP
    /// data conn may belong to any worker's conn, so each worker is asked. A reply of a NAT dest
    /// never leaves with the dest's own address.
    fn without_pool(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let (src, port) = (flow.tuple.src.to_ip(), flow.tuple.sport);
        let services = &self.shared.snapshot.services;
        let is_nat_dest = services.is_nat_dest(flow.protocol(), src, port);
        let next = if self.may_be_ftp_data(&packet, flow) {
            self.shared.next_worker(&packet)
        } else if is_nat_dest {
            self.shared.next_of_nat(&packet, &flow.tuple)
        } else {
            None
        };
        match next {
            Some(worker) => self.shared.redirect(packet, worker, io),
            None if is_nat_dest => self.reject_stray(packet, flow, DropReason::NatNoConn, io),
            None => self.without_anyone(packet, flow, io),
        }
    }

    /// The worker that makes or has the conn of this packet, if that is another one.
    pub(super) fn elsewhere(&self, packet: &B, flow: &Flow<A>) -> Option<WorkerId> {
        let config = &self.shared.config;
        if config.owners.workers() == 1 || self.shared.hand_overs(packet) > 0 {
            return None;
        }
        let is_owned_by_hash = match config.arrival {
            Arrival::ByHash => true,
            Arrival::AsItComes => flow.is_fragment || self.is_for_nat(flow),
        };
        if !is_owned_by_hash || self.is_from_nat_dest(&flow.tuple) {
            return None;
        }
        let owner = self.shared.owner_of(&flow.tuple);
        (owner != config.worker).then_some(owner)
    }

    /// Whether a packet is for a service with dests that are reached by NAT.
    fn is_for_nat(&self, flow: &Flow<A>) -> bool {
        let services = &self.shared.snapshot.services;
        services.has_nat_dests() && {
            let Tuple { dst, dport, .. } = flow.tuple;
            let service = services.of_vip(flow.protocol(), dst, dport);
            service.is_some_and(|service| service.has_nat_dests())
        }
    }

    /// The worker to which a later fragment of a packet with this tuple follows its first one.
    pub(super) fn elsewhere_of_fragment(&self, packet: &B, tuple: &Tuple<A>) -> Option<WorkerId> {
        if self.is_from_nat_dest(tuple) {
            return self.shared.next_of_nat(packet, tuple);
        }
        let is_first_hop = self.shared.hand_overs(packet) == 0;
        let owner = self.shared.owner_of(tuple);
        (is_first_hop && owner != self.shared.config.worker).then_some(owner)
    }

    pub(super) fn is_from_nat_dest(&self, tuple: &Tuple<A>) -> bool {
        let services = &self.shared.snapshot.services;
        services.has_nat_dests()
            && Protocol::from_number(tuple.protocol).is_some_and(|protocol| {
                services.is_nat_dest(protocol, tuple.src.to_ip(), tuple.sport)
            })
    }

    /// Whether it may be a packet of an FTP data conn: from a dest of FTP, or a client's answer to
    /// such a dest, which may call from any port.
    fn may_be_ftp_data(&self, packet: &B, flow: &Flow<A>) -> bool {
        let services = &self.shared.snapshot.services;
        if !services.has_ftp() || flow.protocol() != Protocol::Tcp {
            return false;
        }
        let (src, dst) = (flow.tuple.src.to_ip(), flow.tuple.dst.to_ip());
        let l4 = flow.l4(packet.bytes());
        let answers = || Segment::read(l4).is_ok_and(|segment| !segment.opens());
        services.is_ftp_dest(src) || services.is_ftp_vip(dst) && answers()
    }

    /// The packet goes to the kernel, or is dropped where VIPs are defended.
    fn without_anyone(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let defence = self.shared.snapshot.defence;
        let is_defended = match flow.protocol() {
            Protocol::Tcp => defence.tcp_drop,
            Protocol::Udp => defence.udp_drop,
            Protocol::Sctp | Protocol::Icmp | Protocol::IcmpV6 => false,
        };
        let services = &self.shared.snapshot.services;
        if is_defended && services.is_vip(flow.protocol(), flow.tuple.dst.to_ip()) {
            self.shared.drop(packet, DropReason::NoService);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }
}

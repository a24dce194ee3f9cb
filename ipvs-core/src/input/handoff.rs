//! Packets without a conn and without a service: another worker's, the kernel's, or nobody's.

use packet::PacketBuf;
use sapool::WorkerId;

use crate::config::Protocol;
use crate::ctx::{Forwarder, Shared};
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::{Family, Flow, Segment};

/// Whose a packet to a local address is, by its local port.
pub(super) enum PortOwner {
    /// The address has no port pool, so any worker may have the conn.
    Nobody,
    /// This worker owns the port.
    Ours,
    /// Another worker owns the port, and the packet was not handed over before.
    Other(WorkerId),
    /// Another worker owns the port, but one handed the packet to this worker.
    HandedOver,
}

impl<B: PacketBuf> Shared<B> {
    /// The owner of a local port that a packet is addressed to.
    pub(super) fn port_owner<A: Family>(&self, packet: &B, addr: A, port: u16) -> PortOwner {
        let local = self.snapshot.net.local_addr(addr.to_ip());
        if local.is_none_or(|local| !local.sapool) {
            return PortOwner::Nobody;
        }
        let owner = sapool::owner_of(port, self.config.workers);
        if owner == self.config.worker {
            PortOwner::Ours
        } else if self.hand_overs(packet) == 0 {
            PortOwner::Other(owner)
        } else {
            PortOwner::HandedOver
        }
    }

    /// The worker to ask next for the conn of a packet that may be any worker's. `None` once all
    /// were asked.
    pub(super) fn next_worker(&self, packet: &B) -> Option<WorkerId> {
        let workers = self.config.workers;
        let is_last = self.hand_overs(packet) + 1 >= u32::from(workers);
        (!is_last).then(|| self.config.worker.next(workers))
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A packet that no service is for, and no conn of this worker.
    pub(super) fn without_service(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        match self
            .shared
            .port_owner(&packet, flow.tuple.dst, flow.tuple.dport)
        {
            PortOwner::Nobody => self.without_pool(packet, flow, io),
            PortOwner::Ours => self.reject_stray(packet, flow, DropReason::NoConn, io),
            PortOwner::Other(worker) => self.shared.redirect(packet, worker, io),
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

    /// A reply of NAT mode or a packet of an FTP data conn may belong to any worker's conn, so each
    /// worker is asked. A reply of a NAT dest never leaves with the dest's own address.
    fn without_pool(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let (src, port) = (flow.tuple.src.to_ip(), flow.tuple.sport);
        let services = &self.shared.snapshot.services;
        let is_nat_dest = services.is_nat_dest(flow.protocol(), src, port);
        match self.shared.next_worker(&packet) {
            Some(worker) if is_nat_dest || self.may_be_ftp_data(&packet, flow) => {
                self.shared.redirect(packet, worker, io);
            }
            _ if is_nat_dest => self.reject_stray(packet, flow, DropReason::NatNoConn, io),
            _ => self.without_anyone(packet, flow, io),
        }
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

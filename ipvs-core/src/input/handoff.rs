//! Packets without a conn and without a service: another worker's, the kernel's, or nobody's.

use packet::PacketBuf;

use crate::config::Protocol;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::{Family, Flow, Segment};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// What no service is for, and no conn of this worker.
    pub(super) fn without_service(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let to_pool = self
            .shared
            .snapshot
            .net
            .local_addr(flow.tuple.dst.to_ip())
            .is_some_and(|local| local.sapool);
        if !to_pool {
            return self.without_pool(packet, flow, io);
        }
        let owner = sapool::owner_of(flow.tuple.dport, self.shared.config.workers);
        if owner == self.shared.config.worker {
            self.shared.drop(packet, DropReason::NoConn);
        } else if self.shared.hand_overs(&packet) != 0 {
            self.shared.drop(packet, DropReason::RedirectLoop);
        } else {
            self.shared.redirect(packet, owner, io);
        }
    }

    /// What a service is for, but no conn of this worker, and what opens none: a dest of FTP may have called from that
    /// service's port, through another worker.
    pub(super) fn without_conn(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let services = &self.shared.snapshot.services;
        if !services.has_ftp() || !services.is_ftp_vip(flow.tuple.dst.to_ip()) {
            return self.shared.drop(packet, DropReason::TcpNotSyn);
        }
        match self.next_asked(&packet) {
            Some(worker) => self.shared.redirect(packet, worker, io),
            None => self.shared.drop(packet, DropReason::TcpNotSyn),
        }
    }

    /// The worker to ask next whether it has the conn of a packet that may be any worker's; `None` after the last.
    pub(super) fn next_asked(&self, packet: &B) -> Option<u16> {
        let (worker, workers) = (self.shared.config.worker, self.shared.config.workers);
        let is_last = self.shared.hand_overs(packet) + 1 >= u32::from(workers);
        (!is_last).then(|| (worker + 1) % workers)
    }

    /// A dest's reply in NAT mode may belong to any worker's conn, and so may what belongs to a data conn of FTP: each
    /// is asked. What a dest of NAT says from its service's port never gets out as it is.
    fn without_pool(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let (src, port) = (flow.tuple.src.to_ip(), flow.tuple.sport);
        let services = &self.shared.snapshot.services;
        let is_nat_dest = services.is_nat_dest(flow.protocol(), src, port);
        match self.next_asked(&packet) {
            Some(worker) if is_nat_dest || self.may_be_ftp_data(&packet, flow) => {
                self.shared.redirect(packet, worker, io);
            }
            _ if is_nat_dest => self.shared.drop(packet, DropReason::NatNoConn),
            _ => self.without_anyone(packet, flow, io),
        }
    }

    /// Whether it is from a dest of FTP, or a client's answer to such a dest's call, which may have come from any port.
    fn may_be_ftp_data(&self, packet: &B, flow: &Flow<A>) -> bool {
        let services = &self.shared.snapshot.services;
        if !services.has_ftp() || flow.protocol() != Protocol::Tcp {
            return false;
        }
        let (src, dst) = (flow.tuple.src.to_ip(), flow.tuple.dst.to_ip());
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let answers =
            || Segment::read(l4.unwrap_or_default()).is_ok_and(|segment| !segment.opens());
        services.is_ftp_dest(src) || services.is_ftp_vip(dst) && answers()
    }

    /// It is the kernel's, unless VIPs are defended.
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

//! A burst of packets goes in, and each packet comes to exactly one end.

use inet::Net;
use packet::{ChecksumState, MacAddr, PacketBuf, PortId, ipv6, missing_checksum};

use crate::ctx::{Engine, Forwarder};
use crate::drop_reason::DropReason;
use crate::engine_config::{BATCH, Origin};
use crate::io::Io;
use crate::time::Now;
use crate::wire::{
    Addressee, Aside, Class, Family, classify, family, flow_of_ipv6, is_neighbour_discovery,
    is_to_group, plain_flow,
};

/// The device that a packet came from. It is looked up once per run of packets from the same port.
#[derive(Debug, Clone, Copy)]
struct Ingress {
    port: PortId,
    /// The device's MAC address. `None` if no packet of this port takes the fast path: the device
    /// is unknown, or the kernel gets a copy of every packet.
    mac: Option<MacAddr>,
    /// The same address, in the form that frames are compared with
    addressee: Addressee,
}

impl Ingress {
    /// No port yet: `RTE_MBUF_PORT_INVALID`.
    const UNKNOWN: Self = Self {
        port: PortId(u16::MAX),
        mac: None,
        addressee: Addressee::NOBODY,
    };

    #[inline(never)]
    fn of(net: &Net, port: PortId) -> Self {
        let device = net.device_of(port).filter(|device| !device.forward_to_kni);
        let mac = device.map(|device| device.mac);
        Self {
            port,
            mac,
            addressee: mac.map_or(Addressee::NOBODY, Addressee::new),
        }
    }
}

impl<B: PacketBuf> Engine<B> {
    /// Processes packets from NICs or from other workers. At most [`BATCH`] of them go through the
    /// stages together. The caller should have prefetched their headers.
    #[inline]
    pub fn process(
        &mut self,
        now: Now,
        origin: Origin,
        mut packets: impl ExactSizeIterator<Item = B>,
        io: &mut impl Io<B>,
    ) {
        self.shared.origin = origin;
        self.shared.now = now;
        self.count_received(packets.len() as u64);
        while packets.len() > 0 {
            self.run_stages(&mut packets, io);
        }
    }

    /// Classifies a batch, then runs the stages of each family.
    #[inline(always)]
    fn run_stages(&mut self, packets: &mut impl Iterator<Item = B>, io: &mut impl Io<B>) {
        let mut ingress = Ingress::UNKNOWN;
        for mut packet in packets.by_ref().take(BATCH) {
            if ingress.port != packet.port() {
                ingress = Ingress::of(&self.shared.snapshot.net, packet.port());
            }
            match plain_flow(&mut packet, ingress.addressee) {
                Some(flow) => self.v4_batch.admit(&self.v4.conns, packet, flow),
                None => self.admit_any(packet, ingress.mac, io),
            }
        }
        self.run_ipv4_stages(io);
        if !self.v4.misses.is_empty() {
            if self.shared.snapshot.services.has_nat64() {
                self.hand_over_nat64();
            }
            self.v4().create_conns(io);
        }
        if !self.v6_batch.is_empty() {
            self.run_ipv6_stages(io);
        }
        if self.v4.has_fragments {
            self.v4().forward_later_fragments(io);
            if !self.v4.stray_fragments.is_empty() {
                self.hand_over_nat64_fragments(io);
            }
        }
        if self.v6.has_fragments {
            self.v6().forward_later_fragments(io);
        }
    }

    #[inline]
    fn count_received(&self, packets: u64) {
        let stats = &self.shared.stats;
        stats.received.add(packets);
        if self.shared.origin == Origin::Worker {
            stats.redirected_in.add(packets);
        }
    }

    #[inline(always)]
    fn run_ipv4_stages(&mut self, io: &mut impl Io<B>) {
        let (shared, family) = (&mut self.shared, &mut self.v4);
        let batch = &mut self.v4_batch;
        let mut v4 = Forwarder { shared, family };
        if v4.family.has_first_fragments {
            v4.note_first_fragments(batch, io);
        }
        v4.run_stages(batch, io);
    }

    #[inline(never)]
    fn run_ipv6_stages(&mut self, io: &mut impl Io<B>) {
        let (shared, family) = (&mut self.shared, &mut self.v6);
        let batch = &mut self.v6_batch;
        let mut v6 = Forwarder { shared, family };
        if batch.has_fragments() {
            v6.note_first_fragments(batch, io);
        }
        v6.run_stages(batch, io);
        if !self.v6.misses.is_empty() {
            self.v6().create_conns(io);
        }
    }

    /// Classifies a packet that the fast path did not take, and shows it to the kernel if all
    /// packets are.
    #[cold]
    #[inline(never)]
    fn admit_any(&mut self, mut packet: B, mac: Option<MacAddr>, io: &mut impl Io<B>) {
        // Before the kernel, or anybody else, sees it.
        if packet.l4_checksum() == ChecksumState::Missing {
            missing_checksum::fill_in(&mut packet);
        }
        let Some(mac) = mac.or_else(|| self.show_and_find_mac(&packet, io)) else {
            return self.take_aside(packet, Aside::Kernel, io);
        };
        match classify(&mut packet, mac) {
            Class::Flow(flow) => {
                self.v4.has_first_fragments |= flow.is_fragment;
                self.v4_batch.admit(&self.v4.conns, packet, flow);
            }
            Class::Ipv6 => self.take_ipv6(packet, io),
            Class::Arp => self.shared.receive_arp(packet, io),
            Class::Aside(aside) => self.take_aside(packet, aside, io),
        }
    }

    /// The MAC address of the device that a packet came from. If the kernel gets a copy of every
    /// packet of that device, it gets this one.
    fn show_and_find_mac(&self, packet: &B, io: &mut impl Io<B>) -> Option<MacAddr> {
        let device = self.shared.snapshot.net.device_of(packet.port())?;
        if device.forward_to_kni {
            self.shared.show_to_kernel(packet, io);
        }
        Some(device.mac)
    }

    /// IPv4 packets that do not go through the stages, and packets of other protocols.
    #[cold]
    fn take_aside(&mut self, mut packet: B, aside: Aside, io: &mut impl Io<B>) {
        match aside {
            Aside::Icmp | Aside::Fragment | Aside::Ipsec | Aside::Uoa => {
                match <[u8; 4]>::check(&mut packet) {
                    Ok(ip) if aside == Aside::Uoa => self.v4().receive_uoa(packet, &ip, io),
                    Ok(ip) if aside == Aside::Ipsec => self.v4().receive_ipsec(packet, &ip, io),
                    Ok(ip) if ip.is_fragment => self.v4().receive_fragment(packet, &ip, io),
                    Ok(ip) if self.is_error_about_nat64(&packet, &ip) => {
                        self.v6().receive_icmp(packet, &family::mapped(ip), io);
                    }
                    Ok(ip) => {
                        if let Some(packet) = self.relay_tunnel_error(packet, &ip, io) {
                            self.v4().receive_icmp(packet, &ip, io);
                        }
                    }
                    Err(reason) => self.shared.drop(packet, reason),
                }
            }
            Aside::ToGroup => self.take_frame_to_group(packet, io),
            Aside::Kernel => self.shared.to_kernel(packet, io),
            Aside::Drop(reason) => self.shared.drop(packet, reason),
        }
    }

    /// An IPv4 packet in a frame to a group: only a broadcast of the link may come so (RFC 1122,
    /// 3.3.6). It goes to the kernel.
    #[cold]
    fn take_frame_to_group(&self, mut packet: B, io: &mut impl Io<B>) {
        let net = &self.shared.snapshot.net;
        match <[u8; 4]>::check(&mut packet) {
            Ok(ip) if net.is_link_broadcast(ip.dst.into()) => self.shared.to_kernel(packet, io),
            Ok(_) => self.shared.drop(packet, DropReason::FrameToGroup),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// IPv6 is not rare; `#[cold]` keeps its code out of the loop that classifies.
    #[cold]
    fn take_ipv6(&mut self, mut packet: B, io: &mut impl Io<B>) {
        let ip = match <[u8; 16]>::check(&mut packet) {
            Ok(ip) => ip,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        // Before classification: neighbour discovery uses multicast and unspecified addresses.
        if is_neighbour_discovery(packet.bytes(), &ip) {
            return self.shared.receive_nd(packet, io);
        }
        if is_to_group(packet.bytes()) && !ipv6::is_multicast(&ip.dst) {
            return self.shared.drop(packet, DropReason::FrameToGroup);
        }
        match flow_of_ipv6(&packet, &ip) {
            Ok(flow) => self.v6_batch.admit(&self.v6.conns, packet, flow),
            Err(Aside::Icmp) => {
                if let Some(packet) = self.relay_tunnel_error(packet, &ip, io) {
                    self.v6().receive_icmp(packet, &ip, io);
                }
            }
            Err(Aside::Ipsec) => self.v6().receive_ipsec(packet, &ip, io),
            Err(Aside::Uoa) => self.v6().receive_uoa(packet, &ip, io),
            Err(Aside::Fragment) => self.v6().receive_fragment(packet, &ip, io),
            Err(Aside::Drop(reason)) => self.shared.drop(packet, reason),
            Err(_) => self.shared.to_kernel(packet, io),
        }
    }
}

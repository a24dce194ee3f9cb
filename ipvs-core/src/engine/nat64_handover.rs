//! IPv4 packets of NAT64 conns: the state of IPv6 has these conns.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::config::Protocol;
use crate::ctx::Engine;
use crate::io::Io;
use crate::wire::{Family, Flow, family, icmp_quote};

impl<B: PacketBuf> Engine<B> {
    /// Moves the misses of NAT64 conns and services to the batch of IPv6.
    #[cold]
    pub(super) fn hand_over_nat64(&mut self) {
        let mut at = 0;
        while let Some(flow) = self.v4.misses.get(at).map(|item| item.flow) {
            if self.is_nat64(&flow) {
                if let Some(packet) = self.v4.misses.remove(at).packet {
                    self.v6_batch
                        .admit(&self.v6.conns, packet, flow.to_mapped());
                }
            } else {
                at += 1;
            }
        }
    }

    /// Later fragments of IPv4 whose first one belongs to a NAT64 conn.
    #[cold]
    pub(super) fn hand_over_nat64_fragments(&mut self, io: &mut impl Io<B>) {
        let mut strays = std::mem::take(&mut self.v4.stray_fragments);
        for (packet, ip, tuple) in strays.drain(..) {
            match self.v6.conns.find(&tuple.to_mapped()) {
                Some(found) => {
                    let ip = family::mapped(ip);
                    self.v6().forward_later_fragment(packet, &ip, found, 0, io);
                }
                None => self
                    .v4()
                    .forward_fragment_without_conn(packet, &ip, &tuple, io),
            }
        }
        self.v4.stray_fragments = strays;
    }

    /// Whether an IPv4 packet belongs to a NAT64 conn, or may make one.
    fn is_nat64(&mut self, flow: &Flow<[u8; 4]>) -> bool {
        let tuple = &flow.tuple;
        if <[u8; 4]>::check_hosts(tuple.src, tuple.dst).is_err() {
            return false;
        }
        let services = &self.shared.snapshot.services;
        let of_vip = services.of_vip(flow.protocol(), tuple.dst, tuple.dport);
        of_vip.is_some_and(|service| service.is_nat64())
            || self.v6.conns.find(&tuple.to_mapped()).is_some()
            || self.is_expected_by_nat64(flow)
    }

    /// Whether it may be an FTP data conn of a service with dests of both families.
    fn is_expected_by_nat64(&mut self, flow: &Flow<[u8; 4]>) -> bool {
        if !self.shared.snapshot.services.has_ftp() || flow.protocol() != Protocol::Tcp {
            return false;
        }
        let expected = self.v4().expected(flow);
        let services = &self.shared.snapshot.services;
        expected
            .and_then(|expected| services.get(&expected.control_service()))
            .is_some_and(|service| service.is_nat64())
    }

    /// Whether an ICMP error is about a packet of a NAT64 conn.
    pub(super) fn is_error_about_nat64(&self, packet: &B, ip: &IpFacts<[u8; 4]>) -> bool {
        if !self.shared.snapshot.services.has_nat64() {
            return false;
        }
        let icmp = ip.l4(packet.bytes());
        let quoted = icmp_quote::read_quoted::<[u8; 4]>(icmp);
        quoted.is_ok_and(|quoted| {
            quoted.is_some_and(|quoted| {
                let sent = quoted.tuple.reversed().to_mapped();
                self.v6.conns.find(&sent).is_some()
            })
        })
    }
}

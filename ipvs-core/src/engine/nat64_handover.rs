//! IPv4 packets of NAT64 conns: the state of IPv6 has these conns.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::config::Protocol;
use crate::ctx::{Engine, Miss};
use crate::io::Io;
use crate::lifecycle::service_of;
use crate::state::Whole;
use crate::wire::{Family, Flow, family, icmp_quote};

impl<B: PacketBuf> Engine<B> {
    /// Moves the misses of NAT64 conns and services to the batch of IPv6.
    #[cold]
    pub(super) fn hand_over_nat64(&mut self) {
        let mut at = 0;
        while at < self.v4.misses.len() {
            if self.is_nat64(at) {
                let miss = self.v4.misses.remove(at);
                if let Some(packet) = miss.packet {
                    self.v6_batch
                        .admit(&self.v6.conns, packet, miss.flow.to_mapped());
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
            let mapped = family::mapped(ip);
            let v6 = self.v6();
            match v6.conn_of_fragments(&Whole::of(&mapped), &tuple.to_mapped()) {
                Some(found) => {
                    self.v6()
                        .forward_later_fragment(packet, &mapped, found, 0, io);
                }
                None => self
                    .v4()
                    .forward_fragment_without_conn(packet, &ip, &tuple, io),
            }
        }
        self.v4.stray_fragments = strays;
    }

    /// Whether the packet of this miss belongs to a NAT64 conn, or may make one.
    fn is_nat64(&mut self, miss: usize) -> bool {
        let Miss { packet, flow, .. } = &self.v4.misses[miss];
        let (Some(packet), flow) = (packet, *flow) else {
            return false;
        };
        let tuple = &flow.tuple;
        if <[u8; 4]>::check_hosts(tuple.src, tuple.dst).is_err() {
            return false;
        }
        let service = service_of(&self.shared.snapshot, packet, &flow);
        service.is_some_and(|service| service.is_nat64())
            || self.v6.conns.find(&tuple.to_mapped()).is_some()
            || self.is_expected_by_nat64(&flow)
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

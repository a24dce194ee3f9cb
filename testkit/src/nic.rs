//! A simulated NIC: it spreads frames over its queues as RSS does.

use etherparse::{IpNumber, NetSlice, SlicedPacket, TransportSlice};
use rss::{Key, WorkerId};

/// What a NIC hashes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashes {
    /// Addresses, and the ports of TCP and UDP packets that are not fragments
    AddressesAndPorts,
    /// Addresses alone
    Addresses,
}

/// A NIC with a queue for each worker.
#[derive(Debug, Clone)]
pub struct Nic {
    /// The key of its hash
    pub key: Key,
    /// Its redirection table: the queue by the low bits of the hash
    pub table: Vec<u16>,
    /// What it hashes
    pub hashes: Hashes,
}

impl Nic {
    /// A NIC with this key and the queues of these workers.
    pub fn new(key: &Key, table: &[WorkerId]) -> Self {
        Self {
            key: *key,
            table: table.iter().map(|worker| worker.0).collect(),
            hashes: Hashes::AddressesAndPorts,
        }
    }

    /// The queue that a frame comes to. Frames that are not IP come to the first one.
    pub fn queue_of(&self, frame: &[u8]) -> usize {
        match self.input_of(frame) {
            Some(input) => self.table[self.key.hash(&input) as usize % self.table.len()].into(),
            None => 0,
        }
    }

    /// What is hashed: addresses and ports, in the order of the packet.
    fn input_of(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (mut input, is_fragment) = match packet.net? {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                (
                    [header.source(), header.destination()].concat(),
                    header.is_fragmenting_payload(),
                )
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                let addrs = [header.source(), header.destination()].concat();
                (
                    addrs,
                    header.next_header() == IpNumber::IPV6_FRAGMENTATION_HEADER,
                )
            }
            _ => return None,
        };
        let ports = match packet.transport {
            Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
            Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        };
        if let Some((sport, dport)) = ports
            && !is_fragment
            && self.hashes == Hashes::AddressesAndPorts
        {
            input.extend(sport.to_be_bytes());
            input.extend(dport.to_be_bytes());
        }
        Some(input)
    }
}

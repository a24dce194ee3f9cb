//! Frames built and checked by etherparse, so that our own header code is not its own judge.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Icmpv4Type, LinkSlice, NetSlice,
    PacketBuilder, SlicedPacket, TransportSlice, icmpv4,
};
use packet::MacAddr;

/// From and to whom a frame goes on the wire.
pub type Macs = (MacAddr, MacAddr);

/// A TCP segment to be built.
#[derive(Debug, Clone)]
pub struct Tcp {
    src: SocketAddrV4,
    dst: SocketAddrV4,
    seq: u32,
    ack: u32,
    flags: String,
    options: Vec<u8>,
    payload: Vec<u8>,
    ttl: u8,
}

/// A segment from `src` to `dst`, both as `10.0.0.1:80`.
pub fn tcp(src: &str, dst: &str) -> Tcp {
    Tcp {
        src: src.parse().expect("an address with a port"),
        dst: dst.parse().expect("an address with a port"),
        seq: 0,
        ack: 0,
        flags: String::new(),
        options: Vec::new(),
        payload: Vec::new(),
        ttl: 64,
    }
}

impl Tcp {
    /// Flags as letters: `S`, `SA`, `A`, `FA`, `R`, `PA`.
    pub fn flags(mut self, flags: &str) -> Self {
        self.flags = flags.to_owned();
        self
    }
    /// Sequence number
    pub const fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }
    /// Acknowledgment number
    pub const fn ack(mut self, ack: u32) -> Self {
        self.ack = ack;
        self
    }
    /// Raw options
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }
    /// Payload
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }
    /// Time to live
    pub const fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }
    /// The whole frame.
    pub fn frame(&self, (from, to): Macs) -> Vec<u8> {
        let mut builder = PacketBuilder::ethernet2(from.0, to.0)
            .ipv4(self.src.ip().octets(), self.dst.ip().octets(), self.ttl)
            .tcp(self.src.port(), self.dst.port(), self.seq, 65535);
        for flag in self.flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'A' => builder.ack(self.ack),
                'F' => builder.fin(),
                'R' => builder.rst(),
                'P' => builder.psh(),
                other => panic!("no flag {other}"),
            };
        }
        let builder = builder
            .options_raw(&self.options)
            .expect("options of at most 40 bytes");
        let mut frame = Vec::new();
        builder
            .write(&mut frame, &self.payload)
            .expect("a vector takes all");
        frame
    }
}

/// A UDP datagram.
pub fn udp(src: &str, dst: &str, payload: &[u8], (from, to): Macs) -> Vec<u8> {
    let (src, dst): (SocketAddrV4, SocketAddrV4) = (
        src.parse().expect("an address"),
        dst.parse().expect("an address"),
    );
    let builder = PacketBuilder::ethernet2(from.0, to.0)
        .ipv4(src.ip().octets(), dst.ip().octets(), 64)
        .udp(src.port(), dst.port());
    let mut frame = Vec::new();
    builder
        .write(&mut frame, payload)
        .expect("a vector takes all");
    frame
}

/// An echo request.
pub fn echo_request(src: &str, dst: &str, payload: &[u8], macs: Macs) -> Vec<u8> {
    icmp(
        src,
        dst,
        Icmpv4Type::EchoRequest(etherparse::IcmpEchoHeader { id: 7, seq: 1 }),
        payload,
        macs,
    )
}

/// An error about a packet, of which it quotes the bytes given.
pub fn unreachable(src: &str, dst: &str, quoted: &[u8], macs: Macs) -> Vec<u8> {
    icmp(
        src,
        dst,
        Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port),
        quoted,
        macs,
    )
}

/// The error of a router whose next link takes only `mtu` bytes.
pub fn fragmentation_needed(src: &str, dst: &str, mtu: u16, quoted: &[u8], macs: Macs) -> Vec<u8> {
    let header = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    icmp(
        src,
        dst,
        Icmpv4Type::DestinationUnreachable(header),
        quoted,
        macs,
    )
}

fn icmp(src: &str, dst: &str, kind: Icmpv4Type, payload: &[u8], (from, to): Macs) -> Vec<u8> {
    let (src, dst): (Ipv4Addr, Ipv4Addr) = (
        src.parse().expect("an address"),
        dst.parse().expect("an address"),
    );
    let builder = PacketBuilder::ethernet2(from.0, to.0)
        .ipv4(src.octets(), dst.octets(), 64)
        .icmpv4(kind);
    let mut frame = Vec::new();
    builder
        .write(&mut frame, payload)
        .expect("a vector takes all");
    frame
}

/// Who has `target`? Tell `sender`.
pub fn arp_request(sender: (&str, MacAddr), target: &str) -> Vec<u8> {
    arp(
        ArpOperation::REQUEST,
        sender,
        (target, MacAddr::ZERO),
        MacAddr::BROADCAST,
    )
}

/// `sender` tells `target`.
pub fn arp_reply(sender: (&str, MacAddr), target: (&str, MacAddr)) -> Vec<u8> {
    arp(ArpOperation::REPLY, sender, target, target.1)
}

fn arp(
    operation: ArpOperation,
    sender: (&str, MacAddr),
    target: (&str, MacAddr),
    to: MacAddr,
) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &sender.1.0,
        &ip(sender.0),
        &target.1.0,
        &ip(target.0),
    )
    .expect("addresses of these lengths");
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(sender.1.0, to.0)
        .arp(packet)
        .write(&mut frame)
        .expect("a vector takes all");
    frame
}

/// A frame with IPv4 as etherparse sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// From whom on the wire
    pub from: MacAddr,
    /// To whom on the wire
    pub to: MacAddr,
    /// `10.0.0.1:80`, or without a port for ICMP
    pub src: String,
    /// Likewise
    pub dst: String,
    /// Time to live
    pub ttl: u8,
    /// Bytes of the IP packet by its header
    pub total_len: u16,
    /// TCP
    pub seq: u32,
    /// TCP
    pub ack: u32,
    /// TCP: letters in the order SFRPA that are set
    pub flags: String,
    /// TCP
    pub options: Vec<u8>,
    /// What follows the L4 header
    pub payload: Vec<u8>,
    /// ICMP type and code
    pub icmp: Option<(u8, u8)>,
    /// IP header and L4
    pub checksums_right: bool,
}

impl Seen {
    /// Takes a frame apart; anything wrong with its lengths is a failed test.
    pub fn parse(frame: &[u8]) -> Self {
        let sliced = SlicedPacket::from_ethernet(frame).expect("a well-formed frame");
        let Some(LinkSlice::Ethernet2(ethernet)) = sliced.link else {
            panic!("no Ethernet header")
        };
        let Some(NetSlice::Ipv4(ip)) = sliced.net else {
            panic!("no IPv4 header")
        };
        let header = ip.header();
        let ip_right = header.to_header().calc_header_checksum() == header.header_checksum();
        let (src, dst) = (header.source_addr(), header.destination_addr());
        let mut seen = Self {
            from: MacAddr(ethernet.source()),
            to: MacAddr(ethernet.destination()),
            src: src.to_string(),
            dst: dst.to_string(),
            ttl: header.ttl(),
            total_len: header.total_len(),
            seq: 0,
            ack: 0,
            flags: String::new(),
            options: Vec::new(),
            payload: Vec::new(),
            icmp: None,
            checksums_right: false,
        };
        let l4_right = match sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let flags = [
                    ('S', tcp.syn()),
                    ('F', tcp.fin()),
                    ('R', tcp.rst()),
                    ('P', tcp.psh()),
                    ('A', tcp.ack()),
                ];
                seen.seq = tcp.sequence_number();
                seen.ack = tcp.acknowledgment_number();
                seen.flags = flags
                    .iter()
                    .filter(|(_, set)| *set)
                    .map(|(flag, _)| *flag)
                    .collect();
                seen.options = tcp.options().to_vec();
                seen.payload = tcp.payload().to_vec();
                seen.src = format!("{src}:{}", tcp.source_port());
                seen.dst = format!("{dst}:{}", tcp.destination_port());
                tcp.calc_checksum_ipv4(src.octets(), dst.octets()) == Ok(tcp.checksum())
            }
            Some(TransportSlice::Udp(udp)) => {
                seen.payload = udp.payload().to_vec();
                seen.src = format!("{src}:{}", udp.source_port());
                seen.dst = format!("{dst}:{}", udp.destination_port());
                let right = udp.to_header().calc_checksum_ipv4_raw(
                    src.octets(),
                    dst.octets(),
                    udp.payload(),
                );
                udp.checksum() == 0 || right == Ok(udp.checksum())
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                seen.payload = icmp.payload().to_vec();
                seen.icmp = Some((icmp.type_u8(), icmp.code_u8()));
                icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum()
            }
            _ => panic!("no L4 header that a test looks for"),
        };
        seen.checksums_right = ip_right && l4_right;
        seen
    }
}

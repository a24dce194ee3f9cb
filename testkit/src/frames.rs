//! Frames built and checked by etherparse, so that our own header code is not its own judge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Icmpv4Type, Icmpv6Type, IpHeaders,
    LinkSlice, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TcpSlice, TransportSlice,
    UdpSlice, icmpv4, icmpv6,
};
use packet::MacAddr;

/// The MAC addresses of a frame: from, to.
pub type Macs = (MacAddr, MacAddr);

/// The right checksum of an SCTP packet (RFC 9260, 6.8), made by a crate for CRC32c.
#[must_use]
pub fn sctp_checksum(l4: &[u8]) -> [u8; 4] {
    let mut l4 = l4.to_vec();
    l4[8..12].fill(0);
    crc32c::crc32c(&l4).to_le_bytes()
}

/// Makes the checksum of an IPv4 header right again after a change. The header begins behind an
/// Ethernet header without tags.
pub fn repair_ip(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let header_len = usize::from(frame[14] & 0xf) * 4;
    let end = (14 + header_len).min(frame.len());
    let sum = packet::checksum::checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// A TCP segment to be built.
#[derive(Debug, Clone)]
pub struct Tcp {
    src: SocketAddr,
    dst: SocketAddr,
    seq: u32,
    ack: u32,
    flags: String,
    options: Vec<u8>,
    payload: Vec<u8>,
    ttl: u8,
}

/// A segment from `src` to `dst`, both as `10.0.0.1:80` or `[2001:db8::1]:80`.
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
        let mut builder = ip_builder(self.src.ip(), self.dst.ip(), self.ttl, (from, to)).tcp(
            self.src.port(),
            self.dst.port(),
            self.seq,
            65535,
        );
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

fn ip_builder(src: IpAddr, dst: IpAddr, ttl: u8, (from, to): Macs) -> PacketBuilderStep<IpHeaders> {
    let builder = PacketBuilder::ethernet2(from.0, to.0);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => builder.ipv4(src.octets(), dst.octets(), ttl),
        (IpAddr::V6(src), IpAddr::V6(dst)) => builder.ipv6(src.octets(), dst.octets(), ttl),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

/// A UDP datagram.
pub fn udp(src: &str, dst: &str, payload: &[u8], macs: Macs) -> Vec<u8> {
    let (src, dst): (SocketAddr, SocketAddr) = (
        src.parse().expect("an address"),
        dst.parse().expect("an address"),
    );
    let builder = ip_builder(src.ip(), dst.ip(), 64, macs).udp(src.port(), dst.port());
    let mut frame = Vec::new();
    builder
        .write(&mut frame, payload)
        .expect("a vector takes all");
    frame
}

/// An echo request.
pub fn echo_request(src: &str, dst: &str, payload: &[u8], macs: Macs) -> Vec<u8> {
    let header = etherparse::IcmpEchoHeader { id: 7, seq: 1 };
    let (v4, v6) = (
        Icmpv4Type::EchoRequest(header),
        Icmpv6Type::EchoRequest(header),
    );
    icmp(src, dst, (v4, v6), payload, macs)
}

/// A port-unreachable error that quotes these bytes of a packet.
pub fn unreachable(src: &str, dst: &str, quoted: &[u8], macs: Macs) -> Vec<u8> {
    let v4 = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port);
    let v6 = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
    icmp(src, dst, (v4, v6), quoted, macs)
}

/// The error of a router whose next link takes only `mtu` bytes: fragmentation needed, or packet
/// too big.
pub fn fragmentation_needed(src: &str, dst: &str, mtu: u16, quoted: &[u8], macs: Macs) -> Vec<u8> {
    let header = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    let v6 = Icmpv6Type::PacketTooBig { mtu: mtu.into() };
    icmp(
        src,
        dst,
        (Icmpv4Type::DestinationUnreachable(header), v6),
        quoted,
        macs,
    )
}

fn icmp(
    src: &str,
    dst: &str,
    (v4, v6): (Icmpv4Type, Icmpv6Type),
    payload: &[u8],
    macs: Macs,
) -> Vec<u8> {
    let (src, dst): (IpAddr, IpAddr) = (
        src.parse().expect("an address"),
        dst.parse().expect("an address"),
    );
    let builder = ip_builder(src, dst, 64, macs);
    let mut frame = Vec::new();
    let written = if src.is_ipv4() {
        builder.icmpv4(v4).write(&mut frame, payload)
    } else {
        builder.icmpv6(v6).write(&mut frame, payload)
    };
    written.expect("a vector takes all");
    frame
}

/// Who has `target`? Tell `sender` (RFC 4861, 4.3).
pub fn neighbour_solicitation(sender: (&str, MacAddr), target: &str) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().expect("an IPv6 address");
    let [.., high, middle, low] = target.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(high),
        u16::from_be_bytes([middle, low]),
    );
    let group_mac = MacAddr([0x33, 0x33, 0xff, high, middle, low]);
    neighbour_message(135, [0; 4], sender, (group, group_mac), target, 1)
}

/// `sender` answers the solicitation of `target` (RFC 4861, 4.4).
pub fn neighbour_advertisement(sender: (&str, MacAddr), target: (&str, MacAddr)) -> Vec<u8> {
    let of: Ipv6Addr = sender.0.parse().expect("an IPv6 address");
    let to = target.0.parse().expect("an IPv6 address");
    const SOLICITED_AND_OVERRIDE: [u8; 4] = [0x60, 0, 0, 0];
    neighbour_message(136, SOLICITED_AND_OVERRIDE, sender, (to, target.1), of, 2)
}

/// The unsolicited advertisement of an address to all nodes (RFC 4861, 7.2.6).
pub fn neighbour_announcement(sender: (&str, MacAddr)) -> Vec<u8> {
    let of: Ipv6Addr = sender.0.parse().expect("an IPv6 address");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let to = (all_nodes, MacAddr([0x33, 0x33, 0, 0, 0, 1]));
    const OVERRIDE: [u8; 4] = [0x20, 0, 0, 0];
    neighbour_message(136, OVERRIDE, sender, to, of, 2)
}

fn neighbour_message(
    kind: u8,
    flags: [u8; 4],
    sender: (&str, MacAddr),
    to: (Ipv6Addr, MacAddr),
    about: Ipv6Addr,
    option: u8,
) -> Vec<u8> {
    let src: Ipv6Addr = sender.0.parse().expect("an IPv6 address");
    let mut body = about.octets().to_vec();
    body.extend([option, 1]);
    body.extend(sender.1.0);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(sender.1.0, to.1.0)
        .ipv6(src.octets(), to.0.octets(), 255)
        .icmpv6_raw(kind, 0, flags)
        .write(&mut frame, &body)
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

/// `sender` answers the request of `target`.
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

/// A frame with IPv4 or IPv6 as etherparse sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The source MAC address
    pub from: MacAddr,
    /// The destination MAC address
    pub to: MacAddr,
    /// The source: `10.0.0.1:80`, or without a port for ICMP
    pub src: String,
    /// The destination, written like the source
    pub dst: String,
    /// Time to live
    pub ttl: u8,
    /// The length of the IP packet by its header
    pub total_len: u16,
    /// TCP
    pub seq: u32,
    /// TCP
    pub ack: u32,
    /// TCP flags that are set, as letters in the order SFRPA
    pub flags: String,
    /// TCP
    pub options: Vec<u8>,
    /// The bytes behind the L4 header
    pub payload: Vec<u8>,
    /// ICMP type and code
    pub icmp: Option<(u8, u8)>,
    /// Whether the checksums of IP and L4 are right
    pub checksums_right: bool,
}

impl Seen {
    /// Reads a frame. A length in it that is wrong fails the test.
    pub fn parse(frame: &[u8]) -> Self {
        let sliced = SlicedPacket::from_ethernet(frame).expect("a well-formed frame");
        let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link else {
            panic!("no Ethernet header")
        };
        let ip = Ip::of(&sliced);
        let mut seen = Self {
            from: MacAddr(ethernet.source()),
            to: MacAddr(ethernet.destination()),
            src: ip.src.to_string(),
            dst: ip.dst.to_string(),
            ttl: ip.ttl,
            total_len: ip.total_len,
            seq: 0,
            ack: 0,
            flags: String::new(),
            options: Vec::new(),
            payload: Vec::new(),
            icmp: None,
            checksums_right: false,
        };
        let l4_right = match sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => seen.take_tcp(&ip, &tcp),
            Some(TransportSlice::Udp(udp)) => seen.take_udp(&ip, &udp),
            Some(TransportSlice::Icmpv4(icmp)) => {
                seen.payload = icmp.payload().to_vec();
                seen.icmp = Some((icmp.type_u8(), icmp.code_u8()));
                icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum()
            }
            Some(TransportSlice::Icmpv6(icmp)) => {
                seen.payload = icmp.payload().to_vec();
                seen.icmp = Some((icmp.type_u8(), icmp.code_u8()));
                let (IpAddr::V6(src), IpAddr::V6(dst)) = (ip.src, ip.dst) else {
                    panic!("ICMPv6 over IPv4")
                };
                icmp.is_checksum_valid(src.octets(), dst.octets())
            }
            _ => panic!("no L4 header that a test looks for"),
        };
        seen.checksums_right = ip.is_right && l4_right;
        seen
    }

    fn take_ports(&mut self, ip: &Ip, sport: u16, dport: u16) {
        self.src = SocketAddr::new(ip.src, sport).to_string();
        self.dst = SocketAddr::new(ip.dst, dport).to_string();
    }

    /// Whether the checksum is right.
    fn take_tcp(&mut self, ip: &Ip, tcp: &TcpSlice<'_>) -> bool {
        let flags = [
            ('S', tcp.syn()),
            ('F', tcp.fin()),
            ('R', tcp.rst()),
            ('P', tcp.psh()),
            ('A', tcp.ack()),
        ];
        let set = flags.iter().filter(|(_, is_set)| *is_set);
        self.flags = set.map(|(flag, _)| *flag).collect();
        self.seq = tcp.sequence_number();
        self.ack = tcp.acknowledgment_number();
        self.options = tcp.options().to_vec();
        self.payload = tcp.payload().to_vec();
        self.take_ports(ip, tcp.source_port(), tcp.destination_port());
        let right = match (ip.src, ip.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                tcp.calc_checksum_ipv4(src.octets(), dst.octets())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                tcp.calc_checksum_ipv6(src.octets(), dst.octets())
            }
            (src, dst) => panic!("{src} and {dst} in one header"),
        };
        right == Ok(tcp.checksum())
    }

    /// Whether the checksum is right. Over IPv4 there may be none (RFC 768), over IPv6 there must
    /// be one (RFC 8200, 8.1).
    fn take_udp(&mut self, ip: &Ip, udp: &UdpSlice<'_>) -> bool {
        self.payload = udp.payload().to_vec();
        self.take_ports(ip, udp.source_port(), udp.destination_port());
        let header = udp.to_header();
        let right = match (ip.src, ip.dst) {
            (IpAddr::V4(_), IpAddr::V4(_)) if udp.checksum() == 0 => return true,
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), udp.payload())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), udp.payload())
            }
            (src, dst) => panic!("{src} and {dst} in one header"),
        };
        right == Ok(udp.checksum())
    }
}

/// What both IP headers have.
struct Ip {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    total_len: u16,
    /// Whether the header checksum is right. IPv6 has none.
    is_right: bool,
}

impl Ip {
    fn of(sliced: &SlicedPacket<'_>) -> Self {
        match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header();
                Self {
                    src: header.source_addr().into(),
                    dst: header.destination_addr().into(),
                    ttl: header.ttl(),
                    total_len: header.total_len(),
                    is_right: header.to_header().calc_header_checksum() == header.header_checksum(),
                }
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = ip.header();
                Self {
                    src: header.source_addr().into(),
                    dst: header.destination_addr().into(),
                    ttl: header.hop_limit(),
                    total_len: header.payload_length() + 40,
                    is_right: true,
                }
            }
            _ => panic!("no IP header"),
        }
    }
}

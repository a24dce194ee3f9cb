//! The first stage: what kind of packet this is, one packet at a time.

use packet::eth::{ETHERTYPE_AT, EtherType, SRC_AT};
use packet::ip::IpFacts;
use packet::ip::proto::{AH, ESP, ICMP, ICMPV6, SCTP, TCP, UDP, UOA};
use packet::{ChecksumState, MacAddr, PacketBuf, ipv4, ipv6, sctp};

use crate::drop_reason::DropReason;
use crate::tuple::Tuple;
use crate::wire::aside::Aside;
use crate::wire::family::Family;
use crate::wire::flow::Flow;
use crate::wire::priority_tag::remove_priority_tag;

const ETHERTYPE_IPV4: [u8; 2] = EtherType::IPV4.to_be_bytes();
const ETHERTYPE_IPV6: [u8; 2] = EtherType::IPV6.to_be_bytes();
const ETHERTYPE_ARP: [u8; 2] = EtherType::ARP.to_be_bytes();
/// The bit of a MAC address's first byte that says it is a group's: IEEE 802, 8.2.2.
const GROUP: u8 = 1;

/// The MAC address that a frame must have for the fast path. It is compared with the first eight
/// bytes of the frame, read as one number. Of the source address in it, only the bit of groups
/// counts, which must not be set (IEEE 802.3, 3.2.3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressee(u64);

impl Addressee {
    /// The bits that count.
    const MASK: u64 = u64::from_le_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, GROUP, 0]);
    /// Matches no frame: a bit is set that does not count.
    pub(crate) const NOBODY: Self = Self(1 << 63);

    pub(crate) const fn new(mac: MacAddr) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    #[inline(always)]
    fn has(self, ethernet: &[u8; ipv4::L2_LEN]) -> bool {
        let first = ethernet.first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(first) & Self::MASK == self.0
    }
}

/// The fast path of classification: a whole IPv4 packet with TCP or UDP, without IP options, and
/// sound. Whether source and destination are possible is not checked here. `addressee` is the
/// device that received the packet. `None` for any other packet, which [`classify`] takes.
#[inline(always)]
pub(crate) fn plain_flow<B: PacketBuf>(
    packet: &mut B,
    addressee: Addressee,
) -> Option<Flow<[u8; 4]>> {
    let headers = packet.bytes().first_chunk::<{ <[u8; 4]>::PLAIN_L4_AT }>()?;
    let ethernet = headers.first_chunk::<{ ipv4::L2_LEN }>()?;
    if !addressee.has(ethernet) || ethernet[12..] != ETHERTYPE_IPV4 {
        return None;
    }
    let (ip, l4) = ipv4::read_plain(packet)?;
    let ports = match ip.protocol {
        TCP => tcp_ports(l4)?,
        UDP => udp_ports(l4, false)?,
        _ => return None,
    };
    let frame_len = ipv4::L2_LEN + usize::from(ip.total_len);
    if frame_len < packet.bytes().len() {
        packet.truncate(frame_len);
    }
    Some(flow(&ip, ports))
}

/// What kind of packet this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An IPv4 packet that may belong to a conn.
    Flow(Flow<[u8; 4]>),
    /// An IPv6 packet. Its header is still to be read.
    Ipv6,
    /// ARP.
    Arp,
    /// An IPv4 packet that does not go through the stages, or neither IP nor ARP.
    Aside(Aside),
}

/// Classifies any packet, and removes a priority tag. `mac` is that of the device that received it.
#[cold]
#[inline(never)]
pub(crate) fn classify<B: PacketBuf>(packet: &mut B, mac: MacAddr) -> Class {
    let Some(ethernet) = packet.bytes().first_chunk::<{ ipv4::L2_LEN }>() else {
        return Class::Aside(Aside::Drop(DropReason::FrameTooShort));
    };
    let is_to_group = is_to_group(ethernet);
    if ethernet[..6] != mac.0 && !is_to_group {
        return Class::Aside(Aside::Drop(DropReason::NotForUs));
    }
    if ethernet[SRC_AT] & GROUP != 0 {
        return Class::Aside(Aside::Drop(DropReason::GroupSource));
    }
    remove_priority_tag(packet);
    match ethertype(packet.bytes()) {
        ETHERTYPE_IPV4 => classify_ipv4(packet, is_to_group).map_or_else(Class::Aside, Class::Flow),
        ETHERTYPE_IPV6 => Class::Ipv6,
        ETHERTYPE_ARP => Class::Arp,
        _ => Class::Aside(Aside::Kernel),
    }
}

fn ethertype(frame: &[u8]) -> [u8; 2] {
    let rest = frame.get(ETHERTYPE_AT..);
    let ethertype = rest.and_then(<[u8]>::first_chunk);
    ethertype.copied().unwrap_or_default()
}

/// Whether a frame is for a group of hosts, such as all.
pub(crate) fn is_to_group(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & GROUP != 0)
}

fn classify_ipv4<B: PacketBuf>(packet: &mut B, is_to_group: bool) -> Result<Flow<[u8; 4]>, Aside> {
    let ip = <[u8; 4]>::check(packet)?;
    <[u8; 4]>::check_hosts(ip.src, ip.dst)?;
    if is_to_group {
        return Err(Aside::ToGroup);
    }
    if ip.is_fragment && (ip.fragment_offset != 0 || !matches!(ip.protocol, TCP | UDP | SCTP)) {
        return Err(Aside::Fragment);
    }
    flow_by_ports(packet, &ip, ICMP)
}

/// Whether this is a message of neighbour discovery: router and neighbour solicitations and
/// advertisements, and redirects (RFC 4861, 4).
pub(crate) fn is_neighbour_discovery(frame: &[u8], ip: &IpFacts<[u8; 16]>) -> bool {
    let kind = frame.get(usize::from(ip.l4_at));
    ip.protocol == ICMPV6 && !ip.is_fragment && kind.is_some_and(|kind| (133..=137).contains(kind))
}

/// Classifies an IPv6 packet whose header was checked.
pub(crate) fn flow_of_ipv6<B: PacketBuf>(
    packet: &B,
    ip: &IpFacts<[u8; 16]>,
) -> Result<Flow<[u8; 16]>, Aside> {
    if ip.is_fragment && (ip.fragment_offset != 0 || !matches!(ip.protocol, TCP | UDP | SCTP)) {
        return Err(Aside::Fragment);
    }
    if ipv6::is_multicast(&ip.dst) {
        return Err(Aside::Kernel);
    }
    if ipv6::is_martian_source(&ip.src) {
        return Err(Aside::Drop(DropReason::Ipv6Martian));
    }
    if ip.src == ip.dst {
        return Err(Aside::Drop(DropReason::LandAttack));
    }
    flow_by_ports(packet, ip, ICMPV6)
}

/// The flow of a packet of a protocol with ports. `icmp` is the number of ICMP in this family.
#[inline(always)]
fn flow_by_ports<A: Family, B: PacketBuf>(
    packet: &B,
    ip: &IpFacts<A>,
    icmp: u8,
) -> Result<Flow<A>, Aside> {
    let l4 = ip.l4(packet.bytes());
    let is_bad = packet.l4_checksum() == ChecksumState::Bad;
    let ports = match ip.protocol {
        TCP => {
            let ports = tcp_ports(l4).ok_or(DropReason::TcpMalformed)?;
            if is_bad {
                return Err(Aside::Drop(DropReason::TcpBadChecksum));
            }
            ports
        }
        UDP => {
            let ports = udp_ports(l4, ip.is_fragment).ok_or(DropReason::UdpMalformed)?;
            if is_bad {
                return Err(Aside::Drop(DropReason::UdpBadChecksum));
            }
            ports
        }
        SCTP => sctp::ports(l4).ok_or(DropReason::SctpMalformed)?,
        ESP | AH => return Err(Aside::Ipsec),
        UOA => return Err(Aside::Uoa),
        number if number == icmp => return Err(Aside::Icmp),
        _ => return Err(Aside::Kernel),
    };
    Ok(flow(ip, ports))
}

#[inline(always)]
fn flow<A: Family>(ip: &IpFacts<A>, (sport, dport): (u16, u16)) -> Flow<A> {
    Flow {
        tuple: Tuple {
            src: ip.src,
            dst: ip.dst,
            sport,
            dport,
            protocol: ip.protocol,
        },
        l4_at: ip.l4_at,
        is_fragment: ip.is_fragment,
        total_len: ip.total_len,
    }
}

/// The ports, or `None` if the header is cut or its data offset is wrong.
#[inline(always)]
fn tcp_ports(l4: &[u8]) -> Option<(u16, u16)> {
    let header = l4.first_chunk::<20>()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    (header_len >= 20 && header_len <= l4.len()).then(|| ports(header))
}

/// The ports, or `None` if the header is cut or its length field is wrong.
#[inline(always)]
fn udp_ports(l4: &[u8], is_fragment: bool) -> Option<(u16, u16)> {
    let header = l4.first_chunk::<8>()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // One comparison checks both limits: a length below 8 wraps around to a very large number.
    let is_sound = len.wrapping_sub(8) <= l4.len() - 8;
    (is_sound || is_fragment && len >= 8).then(|| ports(header))
}

#[inline(always)]
fn ports(header: &[u8]) -> (u16, u16) {
    let ports = header
        .first_chunk()
        .map_or(0, |ports| u32::from_be_bytes(*ports));
    ((ports >> 16) as u16, ports as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::VecBuf;
    use testkit::frames::{tcp, udp};

    use super::*;
    use packet::PortId;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const ADDRESSEE: Addressee = Addressee::new(MAC);
    const MACS: (MacAddr, MacAddr) = (MacAddr([2, 0, 0, 0, 0, 2]), MAC);

    fn frames() -> [Vec<u8>; 2] {
        let (src, dst) = ("10.0.0.1:1000", "10.0.0.100:80");
        [
            udp(src, dst, b"hello", MACS),
            tcp(src, dst).flags("A").payload(b"hello").frame(MACS),
        ]
    }

    fn received(frame: &[u8]) -> VecBuf {
        VecBuf::new(PortId(0), frame)
    }

    #[test]
    fn ordinary_tcp_and_udp_take_the_fast_path_of_classification() {
        for frame in frames() {
            assert!(plain_flow(&mut received(&frame), ADDRESSEE).is_some());
        }
    }

    #[test]
    fn the_fast_path_of_classification_trims_padding() {
        for frame in frames() {
            let mut packet = received(&[&frame[..], &[0; 9]].concat());
            assert!(plain_flow(&mut packet, ADDRESSEE).is_some());
            assert_eq!(packet.bytes(), frame);
        }
    }

    /// Offsets, most of them in the headers of IP and above.
    fn place() -> impl Strategy<Value = usize> {
        prop_oneof![1 => 0_usize..60, 4 => 14_usize..48]
    }

    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(vec![0, 1, 127, 224, 239, 240, 255])
        ]
    }

    proptest! {
        /// Whatever is changed in a packet, with or without a correct header checksum: the fast
        /// path of classification finds what the slow path finds, except for impossible source and
        /// destination addresses.
        #[test]
        fn the_fast_path_of_classification_agrees_with_the_slow_path(
            is_tcp: bool,
            changes in prop::collection::vec((place(), byte()), 0..4),
            is_to_itself in prop::bool::weighted(0.1),
            has_checksum in prop::bool::weighted(0.9),
            len in prop::option::weighted(0.2, 0_usize..80),
            nic in [0_usize..3, 0_usize..3],
        ) {
            let mut frame = frames()[usize::from(is_tcp)].clone();
            for (at, byte) in changes {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if is_to_itself {
                frame.copy_within(26..30, 30);
            }
            if has_checksum {
                frame[24..26].fill(0);
                let checksum = packet::checksum::checksum(&frame[14..34]);
                frame[24..26].copy_from_slice(&checksum.to_be_bytes());
            }
            if let Some(len) = len {
                frame.resize(len, 0);
            }
            let mut fast = received(&frame);
            let states = [ChecksumState::Unknown, ChecksumState::Good, ChecksumState::Bad];
            let [ip, l4] = nic.map(|at| states[at]);
            (fast.ip_checksum, fast.l4_checksum) = (ip, l4);
            let mut slow = fast.clone();
            if let Some(flow) = plain_flow(&mut fast, ADDRESSEE) {
                let tuple = &flow.tuple;
                let hosts = <[u8; 4]>::check_hosts(tuple.src, tuple.dst);
                let class = hosts.map(|()| flow).map_or_else(Class::Aside, Class::Flow);
                prop_assert_eq!(class, classify(&mut slow, MAC));
                prop_assert_eq!(fast.bytes(), slow.bytes());
            }
        }
    }
}

//! Neighbour discovery (RFC 4861): what a worker does with a message, and the frames that control sends.

use std::net::{IpAddr, Ipv6Addr};

use packet::checksum::{self, pseudo_header_v6};
use packet::ip::NewHeader;
use packet::{MacAddr, PacketBuf, ipv6};

use crate::device::Device;
use crate::frame::Frame;
use crate::neighbour::NeighbourNews;
use crate::net::Net;

const ETHERNET_LEN: usize = 14;
const ICMP_AT: usize = ETHERNET_LEN + ipv6::HEADER_LEN;
/// A solicitation or advertisement without options: RFC 4861, 4.3 and 4.4.
const MESSAGE_LEN: usize = 24;
/// The option with an Ethernet address: RFC 4861, 4.6.1.
const OPTION_LEN: usize = 8;
/// A whole frame with that option.
const FRAME_LEN: usize = ICMP_AT + MESSAGE_LEN + OPTION_LEN;
const ICMPV6: u8 = 58;
/// RFC 4861, 3.1: who was routed would have less.
const HOP_LIMIT: u8 = 255;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Flags of an advertisement: RFC 4861, 4.4.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// RFC 4291, 2.7.1
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Where a message of neighbour discovery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NdOutcome {
    /// It has become the advertisement: send it by the port it came in by.
    Reply {
        /// What it told
        news: Option<NeighbourNews>,
    },
    /// The kernel behind the kni device may want it.
    ToKernel {
        /// What it told
        news: Option<NeighbourNews>,
    },
    /// It is broken.
    Drop,
}

/// The fields of a solicitation or an advertisement.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: u8,
    flags: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    target: Ipv6Addr,
    /// Of the sender of a solicitation, of the target of an advertisement
    mac: Option<MacAddr>,
}

/// Answers a solicitation for an address of this device in place, and reads what the message tells. The frame's
/// IPv6 header was checked, and its padding cut.
pub fn receive<B: PacketBuf>(net: &Net, device: &Device, packet: &mut B) -> NdOutcome {
    let Ok(message) = parse(packet.bytes()) else {
        return NdOutcome::Drop;
    };
    // Routers' messages are the kernel's.
    let Some(message) = message else {
        return NdOutcome::ToKernel { news: None };
    };
    let is_ours = |addr: Ipv6Addr| {
        net.local_addr(IpAddr::V6(addr))
            .is_some_and(|local| local.ifindex == device.ifindex)
    };
    let asks_for_us = message.kind == SOLICITATION && is_ours(message.target);
    let is_answer_to_us =
        message.kind == ADVERTISEMENT && message.flags & SOLICITED != 0 && is_ours(message.dst);
    let news = news_of(net, device, &message, asks_for_us || is_answer_to_us);
    if !asks_for_us {
        return NdOutcome::ToKernel { news };
    }
    let to = if message.src.is_unspecified() {
        None
    } else {
        let asker = || {
            packet
                .bytes()
                .get(6..)
                .and_then(<[u8]>::first_chunk)
                .map(|mac| MacAddr(*mac))
        };
        message.mac.or_else(asker).map(|mac| (message.src, mac))
    };
    let reply = advertisement(device, message.target, to);
    let len = packet.bytes().len();
    if len < FRAME_LEN && !packet.append(FRAME_LEN - len) {
        return NdOutcome::Drop;
    }
    packet.truncate(FRAME_LEN);
    packet.bytes_mut().copy_from_slice(&reply);
    NdOutcome::Reply { news }
}

/// What a message teaches. Whoever claims our address is in conflict with us and teaches nothing, nor does an address
/// that cannot be a neighbour's.
fn news_of(
    net: &Net,
    device: &Device,
    message: &Message,
    concerns_us: bool,
) -> Option<NeighbourNews> {
    let addr = match message.kind {
        SOLICITATION => message.src,
        _ => message.target,
    };
    let mac = message
        .mac
        .filter(|mac| !mac.is_multicast() && *mac != MacAddr::ZERO)?;
    if addr.is_unspecified() || addr.is_multicast() || net.local_addr(IpAddr::V6(addr)).is_some() {
        return None;
    }
    let is_on_link = net
        .route_to(IpAddr::V6(addr))
        .is_some_and(|hop| hop.ifindex == device.ifindex && hop.neighbour == addr);
    Some(NeighbourNews {
        ifindex: device.ifindex,
        addr: IpAddr::V6(addr),
        mac,
        create: concerns_us && is_on_link,
        overrides: message.kind == SOLICITATION || message.flags & OVERRIDE != 0,
    })
}

/// Another host uses an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressConflict {
    /// The address
    pub addr: Ipv6Addr,
    /// Who else uses it
    pub mac: MacAddr,
}

/// The conflict that an advertisement shows (RFC 4862, 5.4.4): its target is an address of this device, and its
/// sender none of our devices.
pub fn conflict(net: &Net, device: &Device, frame: &[u8]) -> Option<AddressConflict> {
    let message = parse(frame).ok()??;
    let mac = message.mac.filter(|_| message.kind == ADVERTISEMENT)?;
    let is_ours = net
        .local_addr(IpAddr::V6(message.target))
        .is_some_and(|local| local.ifindex == device.ifindex);
    let is_us = net.devices.iter().any(|device| device.mac == mac);
    (is_ours && !is_us).then_some(AddressConflict {
        addr: message.target,
        mac,
    })
}

/// A question for the MAC address of `target`: to its solicited-node multicast address, or to the one who had it last
/// (RFC 4861, 7.3.3).
pub fn solicitation(
    device: &Device,
    source: Ipv6Addr,
    target: Ipv6Addr,
    last_known: Option<MacAddr>,
) -> Frame {
    let (dst, mac) = match last_known {
        Some(mac) => (target, mac),
        None => {
            let group = solicited_node(target);
            (group, multicast_mac(group))
        }
    };
    // RFC 4861, 4.3: without an address of its own the sender does not say its MAC address either.
    let option = (!source.is_unspecified()).then_some((SOURCE_LINK_LAYER, device.mac));
    let bytes = frame(device, (source, dst), mac, SOLICITATION, 0, target, option);
    let len = ICMP_AT + MESSAGE_LEN + option.map_or(0, |_| OPTION_LEN);
    in_place(&bytes[..len])
}

/// The announcement of an address of ours (RFC 4861, 7.2.6), to all nodes.
pub fn unsolicited(device: &Device, addr: Ipv6Addr) -> Frame {
    in_place(&advertisement(device, addr, None))
}

/// The advertisement of an address of ours to one that asked, or to all.
fn advertisement(
    device: &Device,
    target: Ipv6Addr,
    to: Option<(Ipv6Addr, MacAddr)>,
) -> [u8; FRAME_LEN] {
    let (dst, mac) = to.unwrap_or((ALL_NODES, multicast_mac(ALL_NODES)));
    let flags = OVERRIDE | if to.is_some() { SOLICITED } else { 0 };
    let option = Some((TARGET_LINK_LAYER, device.mac));
    frame(
        device,
        (target, dst),
        mac,
        ADVERTISEMENT,
        flags,
        target,
        option,
    )
}

fn frame(
    device: &Device,
    (src, dst): (Ipv6Addr, Ipv6Addr),
    to_mac: MacAddr,
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, MacAddr)>,
) -> [u8; FRAME_LEN] {
    let mut bytes = [0; FRAME_LEN];
    let (ethernet, ip) = bytes.split_at_mut(ETHERNET_LEN);
    ethernet[..6].copy_from_slice(&to_mac.0);
    ethernet[6..12].copy_from_slice(&device.mac.0);
    ethernet[12..].copy_from_slice(&[0x86, 0xdd]);
    let (header, icmp) = ip.split_at_mut(ipv6::HEADER_LEN);
    icmp[0] = kind;
    icmp[4] = flags;
    icmp[8..24].copy_from_slice(&target.octets());
    let mut len = MESSAGE_LEN;
    if let Some((kind, mac)) = option {
        icmp[24] = kind;
        icmp[25] = 1; // in units of eight bytes
        icmp[26..32].copy_from_slice(&mac.0);
        len += OPTION_LEN;
    }
    let pseudo = pseudo_header_v6(src, dst, ICMPV6, len as u32);
    let sum = !checksum::fold(checksum::sum(&icmp[..len]) + pseudo);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let new = NewHeader {
        ttl: HOP_LIMIT,
        ..NewHeader::of_ours(src.octets(), dst.octets(), ICMPV6, len as u16)
    };
    if let Some(header) = header.first_chunk_mut() {
        ipv6::write(header, &new);
    }
    bytes
}

fn in_place(bytes: &[u8]) -> Frame {
    Frame::new(bytes).expect("a frame of neighbour discovery is shorter than a Frame has room for")
}

/// RFC 4291, 2.7.1
fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let low = addr.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// RFC 2464, 7
const fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// A message that a receiver must not heed: RFC 4861, 7.1.
struct Malformed;

/// `None` for messages of and to routers, and for what has extension headers.
fn parse(frame: &[u8]) -> Result<Option<Message>, Malformed> {
    let header = frame
        .get(ETHERNET_LEN..)
        .and_then(<[u8]>::first_chunk::<{ ipv6::HEADER_LEN }>)
        .ok_or(Malformed)?;
    let icmp = frame.get(ICMP_AT..).unwrap_or_default();
    if header[6] != ICMPV6 {
        return Ok(None);
    }
    let [src, dst] = [8, 24].map(|at| address(header, at));
    let pseudo = pseudo_header_v6(src, dst, ICMPV6, icmp.len() as u32);
    let is_sound = header[7] == HOP_LIMIT
        && icmp.get(1) == Some(&0)
        && checksum::fold(checksum::sum(icmp) + pseudo) == 0xffff;
    if !is_sound {
        return Err(Malformed);
    }
    if !matches!(icmp[0], SOLICITATION | ADVERTISEMENT) {
        return Ok(None);
    }
    let (message, options) = icmp.split_first_chunk::<MESSAGE_LEN>().ok_or(Malformed)?;
    let wanted = if message[0] == SOLICITATION {
        SOURCE_LINK_LAYER
    } else {
        TARGET_LINK_LAYER
    };
    let message = Message {
        kind: message[0],
        flags: message[4],
        src,
        dst,
        target: address(message, 8),
        mac: link_layer(options, wanted)?,
    };
    if message.is_allowed() {
        Ok(Some(message))
    } else {
        Err(Malformed)
    }
}

impl Message {
    /// RFC 4861, 7.1.1 and 7.1.2
    fn is_allowed(&self) -> bool {
        let is_probe = self.src.is_unspecified();
        !self.target.is_multicast()
            && match self.kind {
                SOLICITATION if is_probe => {
                    self.dst == solicited_node(self.target) && self.mac.is_none()
                }
                SOLICITATION => true,
                _ => !(is_probe || self.dst.is_multicast() && self.flags & SOLICITED != 0),
            }
    }
}

/// The Ethernet address in the option of this kind. None of them may have no length.
fn link_layer(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, Malformed> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * 8;
        let option = options.get(..len).filter(|option| !option.is_empty());
        let option = option.ok_or(Malformed)?;
        if kind == wanted
            && let [_, _, mac @ ..] = option
            && let Some(mac) = mac.first_chunk()
        {
            found = Some(MacAddr(*mac));
        }
        options = &options[len..];
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(Malformed)
    }
}

fn address(bytes: &[u8], at: usize) -> Ipv6Addr {
    let octets = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>);
    octets.map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
}

#[cfg(test)]
mod tests;

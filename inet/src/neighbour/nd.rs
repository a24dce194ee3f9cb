//! Neighbour discovery (RFC 4861): what a worker does with a message, and the frames that control
//! sends.

use std::net::{IpAddr, Ipv6Addr};

use packet::checksum::{self, pseudo_header_v6};
use packet::eth::{self, EthHeader, EtherType};
use packet::icmp;
use packet::icmp::v6::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use packet::ip::NewHeader;
use packet::ip::proto::ICMPV6;
use packet::{MacAddr, PacketBuf, ipv6};

use crate::device::Device;
use crate::frame::Frame;
use crate::icmpv6::write_checksum;
use crate::neighbour::conflict::AddressConflict;
use crate::neighbour::news::NeighbourNews;
use crate::net::Net;

/// Where the message begins in a frame without extension headers.
const ICMP_AT: usize = eth::HEADER_LEN + ipv6::HEADER_LEN;
/// A solicitation or advertisement without options: RFC 4861, 4.3 and 4.4.
const MESSAGE_LEN: usize = 24;
/// Where a message has its flags and its target: RFC 4861, 4.3 and 4.4.
const FLAGS_AT: usize = 4;
const TARGET_AT: usize = 8;
/// The option with an Ethernet address: RFC 4861, 4.6.1.
const OPTION_LEN: usize = 8;
/// A whole frame with that option.
const FRAME_LEN: usize = ICMP_AT + MESSAGE_LEN + OPTION_LEN;
/// RFC 4861, 3.1: a message with a lower hop limit passed a router, and must be ignored.
const HOP_LIMIT: u8 = 255;

/// RFC 4861, 4.6.1: the options with an Ethernet address.
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Flags of an advertisement: RFC 4861, 4.4.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// The multicast address of all nodes on the link: RFC 4291, 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Where a message of neighbour discovery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NdOutcome {
    /// The packet has become the advertisement: send it by the port it came in by.
    Reply {
        /// What was learned from it
        news: Option<NeighbourNews>,
    },
    /// The packet is for the kernel behind the kni device.
    ToKernel {
        /// What was learned from it
        news: Option<NeighbourNews>,
    },
    /// The packet is broken.
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
    /// The MAC address of the sender of a solicitation, or of the target of an advertisement
    mac: Option<MacAddr>,
}

/// Answers a solicitation for an address of this device in place, and learns what the message says.
/// The caller has checked the IPv6 header and cut off the padding of the frame.
pub fn receive<B: PacketBuf>(net: &Net, device: &Device, packet: &mut B) -> NdOutcome {
    let Ok(message) = parse(packet.bytes()) else {
        return NdOutcome::Drop;
    };
    // Messages of routers are for the kernel.
    let Some(message) = message else {
        return NdOutcome::ToKernel { news: None };
    };
    let is_ours = |addr: Ipv6Addr| {
        net.local_addr(IpAddr::V6(addr))
            .is_some_and(|local| local.ifindex == device.ifindex)
    };
    let asks_for_us = message.kind == NEIGHBOUR_SOLICITATION && is_ours(message.target);
    let is_answer_to_us = message.kind == NEIGHBOUR_ADVERTISEMENT
        && message.flags & SOLICITED != 0
        && is_ours(message.dst);
    let news = news_of(net, device, &message, asks_for_us || is_answer_to_us);
    if !asks_for_us {
        return NdOutcome::ToKernel { news };
    }
    let to = if message.src.is_unspecified() {
        None
    } else {
        let asker = || {
            let ethernet = EthHeader::new_checked(packet.bytes());
            ethernet.map(EthHeader::src)
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

/// What is learned from a message. Nothing is learned from a host that uses our address, or about
/// an address that no neighbour can have.
fn news_of(
    net: &Net,
    device: &Device,
    message: &Message,
    concerns_us: bool,
) -> Option<NeighbourNews> {
    let addr = match message.kind {
        NEIGHBOUR_SOLICITATION => message.src,
        _ => message.target,
    };
    let mac = message
        .mac
        .filter(|mac| !mac.is_multicast() && *mac != MacAddr::ZERO)?;
    if addr.is_unspecified() || addr.is_multicast() || net.local_addr(IpAddr::V6(addr)).is_some() {
        return None;
    }
    let is_on_link = net.is_on_link(device.ifindex, IpAddr::V6(addr));
    Some(NeighbourNews {
        ifindex: device.ifindex,
        addr: IpAddr::V6(addr),
        mac,
        create: concerns_us && is_on_link,
        overrides: message.kind == NEIGHBOUR_SOLICITATION || message.flags & OVERRIDE != 0,
        answers: is_answer(net, device, message),
    })
}

/// Whether this is an advertisement that we asked for. If the device has no address, we asked
/// without one, and the answer goes to all nodes (RFC 4861, 7.2.4).
fn is_answer(net: &Net, device: &Device, message: &Message) -> bool {
    let is_to_asker = if message.flags & SOLICITED != 0 {
        net.local_addr(IpAddr::V6(message.dst)).is_some()
    } else {
        net.source_on_link(device.ifindex, IpAddr::V6(message.target))
            .is_none()
    };
    message.kind == NEIGHBOUR_ADVERTISEMENT && is_to_asker
}

/// The address conflict that a message shows (RFC 4862, 5.4.4): it advertises an address of this
/// device, or is sent from one, and the sender is not one of our devices. Call it before
/// [`receive`], which may turn the message into the answer.
pub fn conflict(net: &Net, device: &Device, frame: &[u8]) -> Option<AddressConflict> {
    let message = parse(frame).ok()??;
    let addr = match message.kind {
        NEIGHBOUR_ADVERTISEMENT => message.target,
        _ => message.src,
    };
    let sender = || EthHeader::new_checked(frame).map(EthHeader::src);
    let mac = message.mac.or_else(sender)?;
    let is_ours = net
        .local_addr(IpAddr::V6(addr))
        .is_some_and(|local| local.ifindex == device.ifindex);
    let is_us = net.devices.iter().any(|device| device.mac == mac);
    (is_ours && !is_us).then_some(AddressConflict {
        ifindex: device.ifindex,
        addr: addr.into(),
        mac,
    })
}

/// A solicitation for the MAC address of `target`, sent to `last_known` (RFC 4861, 7.3.3), or else
/// to the solicited-node multicast address.
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
    // RFC 4861, 4.3: a sender without an address does not say its MAC address.
    let option = (!source.is_unspecified()).then_some((SOURCE_LINK_LAYER, device.mac));
    let bytes = frame(
        device,
        (source, dst),
        mac,
        NEIGHBOUR_SOLICITATION,
        0,
        target,
        option,
    );
    let len = ICMP_AT + MESSAGE_LEN + option.map_or(0, |_| OPTION_LEN);
    in_place(&bytes[..len])
}

/// The announcement of an address of ours (RFC 4861, 7.2.6), to all nodes.
pub fn unsolicited(device: &Device, addr: Ipv6Addr) -> Frame {
    in_place(&advertisement(device, addr, None))
}

/// The advertisement of an address of ours, sent to the host that asked, or else to all nodes.
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
        NEIGHBOUR_ADVERTISEMENT,
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
    let len = MESSAGE_LEN + option.map_or(0, |_| OPTION_LEN);
    if let Some((ethernet, rest)) = bytes.split_first_chunk_mut()
        && let Some((header, message)) = rest.split_first_chunk_mut()
    {
        eth::write(ethernet, to_mac, device.mac, EtherType::IPV6);
        let new = NewHeader {
            ttl: HOP_LIMIT,
            ..NewHeader::of_ours(src.octets(), dst.octets(), ICMPV6, len as u16)
        };
        ipv6::write(header, &new);
        let message = &mut message[..len];
        message[icmp::TYPE_AT] = kind;
        message[FLAGS_AT] = flags;
        message[TARGET_AT..MESSAGE_LEN].copy_from_slice(&target.octets());
        if let Some((kind, mac)) = option {
            message[MESSAGE_LEN] = kind;
            message[MESSAGE_LEN + 1] = 1; // in units of eight bytes
            message[MESSAGE_LEN + 2..].copy_from_slice(&mac.0);
        }
        write_checksum(message, src, dst);
    }
    bytes
}

fn in_place(bytes: &[u8]) -> Frame {
    Frame::new(bytes).expect("a frame of neighbour discovery is shorter than a Frame has room for")
}

/// The solicited-node multicast address: RFC 4291, 2.7.1.
fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let low = addr.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// The MAC address of a multicast group: RFC 2464, 7.
const fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// A message that a receiver must ignore: RFC 4861, 7.1.
struct Malformed;

/// Reads and checks a message. `None` for messages of routers and to routers, and for a packet with
/// extension headers.
fn parse(frame: &[u8]) -> Result<Option<Message>, Malformed> {
    let (header, message) = frame
        .get(eth::HEADER_LEN..)
        .and_then(<[u8]>::split_first_chunk::<{ ipv6::HEADER_LEN }>)
        .ok_or(Malformed)?;
    let Ok(ip) = ipv6::check_quoted(header) else {
        return Ok(None);
    };
    if ip.protocol != ICMPV6 {
        return Ok(None);
    }
    let (src, dst) = (Ipv6Addr::from(ip.src), Ipv6Addr::from(ip.dst));
    let [kind, code, ..] = *message else {
        return Err(Malformed);
    };
    let pseudo = pseudo_header_v6(src, dst, ICMPV6, message.len() as u32);
    let is_sound = ip.ttl == HOP_LIMIT
        && code == 0
        && checksum::fold(checksum::sum(message) + pseudo) == 0xffff;
    if !is_sound {
        return Err(Malformed);
    }
    let wanted = match kind {
        NEIGHBOUR_SOLICITATION => SOURCE_LINK_LAYER,
        NEIGHBOUR_ADVERTISEMENT => TARGET_LINK_LAYER,
        _ => return Ok(None),
    };
    let (message, options) = message
        .split_first_chunk::<MESSAGE_LEN>()
        .ok_or(Malformed)?;
    let message = Message {
        kind,
        flags: message[FLAGS_AT],
        src,
        dst,
        target: target(message),
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
                NEIGHBOUR_SOLICITATION if is_probe => {
                    self.dst == solicited_node(self.target) && self.mac.is_none()
                }
                NEIGHBOUR_SOLICITATION => true,
                _ => !(is_probe || self.dst.is_multicast() && self.flags & SOLICITED != 0),
            }
    }
}

/// The Ethernet address in the option of this kind. An option with length 0 makes the message
/// malformed.
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

fn target(message: &[u8; MESSAGE_LEN]) -> Ipv6Addr {
    message
        .last_chunk::<16>()
        .copied()
        .unwrap_or_default()
        .into()
}

#[cfg(test)]
mod tests;

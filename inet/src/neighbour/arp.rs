//! ARP (RFC 826): what a worker does with a packet, and the frames that control sends.

use std::net::{IpAddr, Ipv4Addr};

use packet::eth::{self, EtherType};
use packet::{MacAddr, PacketBuf};

use crate::device::Device;
use crate::frame::Frame;
use crate::neighbour::conflict::AddressConflict;
use crate::neighbour::news::NeighbourNews;
use crate::net::Net;

/// Bytes of an ARP packet for Ethernet and IPv4: RFC 826.
const PACKET_LEN: usize = 28;
/// Ethernet and ARP, without padding.
const FRAME_LEN: usize = eth::HEADER_LEN + PACKET_LEN;
/// RFC 826: hardware type Ethernet, protocol type IPv4, and how long their addresses are.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
/// RFC 826: the operations.
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Where an ARP packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOutcome {
    /// The packet has become the reply: send it by the port it came in by.
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

/// The fields of an ARP packet.
#[derive(Debug, Clone, Copy)]
struct Arp {
    operation: u16,
    sender_mac: MacAddr,
    sender_ip: Ipv4Addr,
    target_ip: Ipv4Addr,
}

/// Answers a request for an address of this device in place, and learns what the packet says of its
/// sender.
pub fn receive<B: PacketBuf>(net: &Net, device: &Device, packet: &mut B) -> ArpOutcome {
    let Some(arp) = parse(packet.bytes()) else {
        return ArpOutcome::Drop;
    };
    let is_ours = |addr: Ipv4Addr| {
        net.local_addr(IpAddr::V4(addr))
            .is_some_and(|local| local.ifindex == device.ifindex)
    };
    let is_for_us = is_ours(arp.target_ip);
    // Nothing is learned from a probe, which has no sender address (RFC 5227, 2.1.1), from a host
    // that uses our address, or from an address that no neighbour can have.
    let teaches = !arp.sender_ip.is_unspecified()
        && !arp.sender_ip.is_multicast()
        && !arp.sender_ip.is_broadcast()
        && !arp.sender_mac.is_multicast()
        && arp.sender_mac != MacAddr::ZERO
        && net.local_addr(IpAddr::V4(arp.sender_ip)).is_none();
    let is_gratuitous = arp.sender_ip == arp.target_ip;
    let news = teaches.then_some(NeighbourNews {
        ifindex: device.ifindex,
        addr: IpAddr::V4(arp.sender_ip),
        mac: arp.sender_mac,
        create: !is_gratuitous && is_for_us && is_on_link(net, device, arp.sender_ip),
        overrides: true,
        answers: is_answer(net, &arp),
    });
    if arp.operation == REQUEST && is_for_us && !is_gratuitous {
        let reply = frame(
            REPLY,
            device.mac,
            arp.target_ip,
            arp.sender_mac,
            arp.sender_ip,
        );
        packet.truncate(FRAME_LEN);
        packet.bytes_mut().copy_from_slice(&reply);
        return ArpOutcome::Reply { news };
    }
    ArpOutcome::ToKernel { news }
}

/// Whether this is a reply to a request of ours. If the device has no address, we asked without one
/// (RFC 5227, 2.1.1).
fn is_answer(net: &Net, arp: &Arp) -> bool {
    let asker = arp.target_ip;
    arp.operation == REPLY && (asker.is_unspecified() || net.local_addr(asker.into()).is_some())
}

/// The address conflict that an ARP packet shows (RFC 5227, 2.4): the sender uses an address of
/// this device and is not one of our devices. Call it before [`receive`], which may turn the packet
/// into the reply.
pub fn conflict(net: &Net, device: &Device, frame: &[u8]) -> Option<AddressConflict> {
    let arp = parse(frame)?;
    let is_ours = net
        .local_addr(IpAddr::V4(arp.sender_ip))
        .is_some_and(|local| local.ifindex == device.ifindex);
    let is_us = net
        .devices
        .iter()
        .any(|device| device.mac == arp.sender_mac);
    (is_ours && !is_us).then_some(AddressConflict {
        ifindex: device.ifindex,
        addr: arp.sender_ip.into(),
        mac: arp.sender_mac,
    })
}

/// Whether packets to this sender would go directly to it, by this device. No entry is made for
/// anyone else, since nothing would ever use it.
fn is_on_link(net: &Net, device: &Device, sender: Ipv4Addr) -> bool {
    net.route_to(sender.into())
        .is_some_and(|hop| hop.ifindex == device.ifindex && hop.neighbour == sender)
}

/// A request for the MAC address of `target`, sent to `last_known` (RFC 1122, 2.3.2.1), or else
/// broadcast.
pub fn request(
    device: &Device,
    sender: Ipv4Addr,
    target: Ipv4Addr,
    last_known: Option<MacAddr>,
) -> Frame {
    let mut bytes = frame(
        REQUEST,
        device.mac,
        sender,
        last_known.unwrap_or(MacAddr::BROADCAST),
        target,
    );
    // The target's hardware address is what is asked for.
    bytes[eth::HEADER_LEN + 18..eth::HEADER_LEN + 24].fill(0);
    in_place(&bytes)
}

/// The announcement of an address of ours (RFC 5227, 2.3): a broadcast request for the sender's own
/// address.
pub fn gratuitous(device: &Device, addr: Ipv4Addr) -> Frame {
    request(device, addr, addr, None)
}

fn in_place(bytes: &[u8; FRAME_LEN]) -> Frame {
    Frame::new(bytes).expect("an ARP frame is shorter than a Frame has room for")
}

fn frame(
    operation: u16,
    mac: MacAddr,
    ip: Ipv4Addr,
    to_mac: MacAddr,
    to_ip: Ipv4Addr,
) -> [u8; FRAME_LEN] {
    let mut arp = [0; PACKET_LEN];
    arp[..6].copy_from_slice(&ETHERNET_IPV4);
    arp[6..8].copy_from_slice(&operation.to_be_bytes());
    arp[8..14].copy_from_slice(&mac.0);
    arp[14..18].copy_from_slice(&ip.octets());
    arp[18..24].copy_from_slice(&to_mac.0);
    arp[24..28].copy_from_slice(&to_ip.octets());
    let mut bytes = [0; FRAME_LEN];
    if let Some((ethernet, rest)) = bytes.split_first_chunk_mut() {
        eth::write(ethernet, to_mac, mac, EtherType::ARP);
        rest.copy_from_slice(&arp);
    }
    bytes
}

/// `None` if the packet is broken, not for Ethernet and IPv4, or neither request nor reply.
fn parse(frame: &[u8]) -> Option<Arp> {
    let arp = frame.get(eth::HEADER_LEN..)?;
    let (kind, arp) = arp.split_first_chunk::<6>()?;
    let (operation, arp) = arp.split_first_chunk()?;
    let (sender_mac, arp) = arp.split_first_chunk()?;
    let (sender_ip, arp) = arp.split_first_chunk::<4>()?;
    let (_target_mac, arp) = arp.split_first_chunk::<6>()?;
    let target_ip = arp.first_chunk::<4>()?;
    let operation = u16::from_be_bytes(*operation);
    let is_known = *kind == ETHERNET_IPV4 && matches!(operation, REQUEST | REPLY);
    is_known.then_some(Arp {
        operation,
        sender_mac: MacAddr(*sender_mac),
        sender_ip: Ipv4Addr::from(*sender_ip),
        target_ip: Ipv4Addr::from(*target_ip),
    })
}

#[cfg(test)]
mod tests;

//! ARP (RFC 826): what a worker does with a packet, and the frames that control sends.

use std::net::{IpAddr, Ipv4Addr};

use packet::{MacAddr, PacketBuf};

use crate::device::Device;
use crate::frame::Frame;
use crate::neighbour::NeighbourNews;
use crate::net::Net;

const ETHERNET_LEN: usize = 14;
/// Ethernet and ARP for IPv4, without padding.
const FRAME_LEN: usize = ETHERNET_LEN + 28;
/// RFC 826: hardware type Ethernet, protocol type IPv4, their lengths.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const ETHERTYPE: [u8; 2] = [0x08, 0x06];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Where an ARP packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOutcome {
    /// It has become the reply: send it by the port it came in by.
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

/// The fields of an ARP packet.
#[derive(Debug, Clone, Copy)]
struct Arp {
    operation: u16,
    sender_mac: MacAddr,
    sender_ip: Ipv4Addr,
    target_ip: Ipv4Addr,
}

/// Answers a request for an address of this device in place, and reads what the packet tells.
pub fn receive<B: PacketBuf>(net: &Net, device: &Device, packet: &mut B) -> ArpOutcome {
    let Some(arp) = parse(packet.bytes()) else {
        return ArpOutcome::Drop;
    };
    let is_ours = |addr: Ipv4Addr| {
        net.local_addr(IpAddr::V4(addr))
            .is_some_and(|local| local.ifindex == device.ifindex)
    };
    let is_for_us = is_ours(arp.target_ip);
    // A probe (RFC 5227, 2.1.1) has no sender, and whoever claims our address is in conflict with us:
    // both teach nothing. Nor does an address that cannot be a neighbour's.
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

/// Another host uses an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressConflict {
    /// The address
    pub addr: Ipv4Addr,
    /// Who else uses it
    pub mac: MacAddr,
}

/// The conflict that an ARP packet shows (RFC 5227, 2.4): its sender has an address of this device,
/// and is none of our devices. To be called before [`receive`], which turns the packet into the reply.
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
        addr: arp.sender_ip,
        mac: arp.sender_mac,
    })
}

/// Whether packets to this sender would go to it directly, by this device. Of anyone else no entry is
/// made: nothing would ever use it.
fn is_on_link(net: &Net, device: &Device, sender: Ipv4Addr) -> bool {
    net.route_to(sender.into())
        .is_some_and(|hop| hop.ifindex == device.ifindex && hop.neighbour == sender)
}

/// A request for the MAC address of `target`: to all, or to the one who had it last (RFC 1122,
/// 2.3.2.1).
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
    bytes[ETHERNET_LEN + 18..ETHERNET_LEN + 24].fill(0);
    in_place(&bytes)
}

/// The announcement of an address of ours (RFC 5227, 2.3): a request for itself, to all.
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
    let mut bytes = [0; FRAME_LEN];
    let (ethernet, arp) = bytes.split_at_mut(ETHERNET_LEN);
    ethernet[..6].copy_from_slice(&to_mac.0);
    ethernet[6..12].copy_from_slice(&mac.0);
    ethernet[12..].copy_from_slice(&ETHERTYPE);
    arp[..6].copy_from_slice(&ETHERNET_IPV4);
    arp[6..8].copy_from_slice(&operation.to_be_bytes());
    arp[8..14].copy_from_slice(&mac.0);
    arp[14..18].copy_from_slice(&ip.octets());
    arp[18..24].copy_from_slice(&to_mac.0);
    arp[24..28].copy_from_slice(&to_ip.octets());
    bytes
}

fn parse(bytes: &[u8]) -> Option<Arp> {
    let arp = bytes.first_chunk::<FRAME_LEN>()?[ETHERNET_LEN..].first_chunk::<28>()?;
    let operation = u16::from_be_bytes([arp[6], arp[7]]);
    if arp[..6] != ETHERNET_IPV4 || !matches!(operation, REQUEST | REPLY) {
        return None;
    }
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        m0,
        m1,
        m2,
        m3,
        m4,
        m5,
        s0,
        s1,
        s2,
        s3,
        _,
        _,
        _,
        _,
        _,
        _,
        t0,
        t1,
        t2,
        t3,
    ] = *arp;
    Some(Arp {
        operation,
        sender_mac: MacAddr([m0, m1, m2, m3, m4, m5]),
        sender_ip: Ipv4Addr::new(s0, s1, s2, s3),
        target_ip: Ipv4Addr::new(t0, t1, t2, t3),
    })
}

#[cfg(test)]
mod tests;

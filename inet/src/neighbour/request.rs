//! The frame that asks for a neighbour.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::{MacAddr, PortId};

use crate::device::IfIndex;
use crate::frame::Frame;
use crate::neighbour::{arp, nd};
use crate::net::Net;

/// A request for the MAC address of a neighbour, and the port to send it by. It goes to the host
/// with the MAC address `last_known`, or else to everyone.
pub(super) fn request_for(
    (ifindex, addr): &(IfIndex, IpAddr),
    last_known: Option<MacAddr>,
    net: &Net,
) -> Option<(PortId, Frame)> {
    let device = net.device(*ifindex)?;
    // A device without an address sends a probe (RFC 5227, 2.1.1; RFC 4862, 5.4.2).
    let frame = match (*addr, net.source_on_link(*ifindex, *addr)) {
        (IpAddr::V4(target), Some(IpAddr::V4(sender))) => {
            arp::request(device, sender, target, last_known)
        }
        (IpAddr::V4(target), _) => arp::request(device, Ipv4Addr::UNSPECIFIED, target, last_known),
        (IpAddr::V6(target), Some(IpAddr::V6(sender))) => {
            nd::solicitation(device, sender, target, last_known)
        }
        // A probe goes to every host that may have the address, so not to the last known one alone.
        (IpAddr::V6(target), _) => nd::solicitation(device, Ipv6Addr::UNSPECIFIED, target, None),
    };
    Some((device.port, frame))
}

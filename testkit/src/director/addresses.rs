//! Who is on the network of a director. A text with a port is `10.0.0.1:80` or
//! `[2001:db8::1]:80`.

use packet::{MacAddr, PortId};

use crate::frames::Macs;

/// The director's port towards the dests
pub const LAN: PortId = PortId(0);
/// The director's port towards the clients
pub const WAN: PortId = PortId(1);
/// The MAC address of [`LAN`]
pub const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0]);
/// The MAC address of [`WAN`]
pub const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The MAC address of every client
pub const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
/// The MAC address of every dest
pub const DEST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);
/// The MAC addresses of a frame from a client to the director
pub const FROM_CLIENT: Macs = (CLIENT_MAC, WAN_MAC);
/// The MAC addresses of a frame from a dest to the director
pub const FROM_DEST: Macs = (DEST_MAC, LAN_MAC);

/// An IPv4 client
pub const CLIENT: &str = "10.0.0.48:40000";
/// The service that IPv4 clients ask for
pub const VIP: &str = "10.0.0.100:80";
/// An IPv4 dest
pub const DEST: &str = "192.168.100.2:80";
/// The local address that IPv4 dests see with FullNAT
pub const LADDR: &str = "192.168.100.200";

/// An IPv6 client
pub const CLIENT6: &str = "[2001:db8:1::48]:40000";
/// The service that IPv6 clients ask for
pub const VIP6: &str = "[2001:db8:1::100]:80";
/// An IPv6 dest
pub const DEST6: &str = "[2001:db8:100::2]:80";
/// The local address that IPv6 dests see with FullNAT
pub const LADDR6: &str = "2001:db8:100::200";

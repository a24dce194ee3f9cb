//! How far an address means something.

use std::net::IpAddr;

/// Whether an address means something on one link only: RFC 4291, 2.5.6, and RFC 3927, 2.1.
pub const fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

//! The link-local address of a device: RFC 4291, 2.5.6, with the interface identifier that its
//! appendix A makes of a MAC address.

use std::net::Ipv6Addr;

use packet::MacAddr;

use crate::device::Device;

/// fe80::/64
const PREFIX: u128 = 0xfe80 << 112;
/// What stands between the two halves of a MAC address in an interface identifier.
const BETWEEN_HALVES: u64 = 0xfffe << 24;
/// The bit of a MAC address that says it was not assigned by its maker. An interface identifier has
/// it the other way round.
const LOCALLY_ASSIGNED: u64 = 0x02 << 56;

impl Device {
    /// Prefix length of link-local addresses: RFC 4291, 2.5.6.
    pub const LINK_LOCAL_LEN: u8 = 64;

    /// The link-local address that belongs to its MAC address (RFC 4862, 5.3). The kernel gives the
    /// same to its kni netdev.
    pub fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(PREFIX | u128::from(interface_identifier(self.mac)))
    }
}

/// The modified EUI-64 of a MAC address.
const fn interface_identifier(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    let halves = u64::from_be_bytes([a, b, c, 0, 0, d, e, f]);
    (halves | BETWEEN_HALVES) ^ LOCALLY_ASSIGNED
}

#[cfg(test)]
mod tests {
    use packet::PortId;

    use super::*;
    use crate::device::IfIndex;

    /// The example of RFC 2464, 4, and one of a MAC address that was not assigned by its maker.
    #[test]
    fn a_link_local_address_is_made_of_the_mac_address_as_the_rfc_says() {
        let of = |mac| Device {
            ifindex: IfIndex(1),
            name: "dpdk0".into(),
            port: PortId(0),
            mac: MacAddr(mac),
            mtu: 1500,
            kni: false,
            forward_to_kni: false,
        };
        let by_maker = of([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]).link_local();
        assert_eq!(by_maker.to_string(), "fe80::3656:78ff:fe9a:bcde");
        let by_operator = of([2, 0, 0, 0, 0, 1]).link_local();
        assert_eq!(by_operator.to_string(), "fe80::ff:fe00:1");
    }
}

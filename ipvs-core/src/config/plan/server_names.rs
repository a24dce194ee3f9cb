//! The dests by the name in a connection ID: the last octets of the address, and the port.

use std::net::IpAddr;

use packet::quic::ServerName;

use crate::config::dest::Dest;

/// The dests of a service, sorted for binary search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerNames {
    /// Sorted by the last octets of the address. Among equal ones, the dest that was added first
    /// comes first.
    by_addr: Vec<(Suffix, u16)>,
    /// Sorted by the port, then like `by_addr`.
    by_port: Vec<(u16, Suffix, u16)>,
}

/// The last octets of an address, in reverse order, so that addresses with the same end are
/// neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Suffix {
    reversed: u64,
    /// Number of octets: 4 or 8.
    len: u8,
}

impl Suffix {
    fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self {
                reversed: u64::from(u32::from(addr).swap_bytes()) << 32,
                len: 4,
            },
            IpAddr::V6(addr) => Self {
                reversed: (u128::from(addr) as u64).swap_bytes(),
                len: 8,
            },
        }
    }
}

impl ServerNames {
    pub(crate) fn new(dests: &[Dest]) -> Self {
        let numbered = || (0..=u16::MAX).zip(dests);
        let mut by_addr: Vec<_> = numbered()
            .map(|(at, dest)| (Suffix::of(dest.addr), at))
            .collect();
        let mut by_port: Vec<_> = numbered()
            .map(|(at, dest)| (dest.port, Suffix::of(dest.addr), at))
            .collect();
        by_addr.sort_unstable();
        by_port.sort_unstable();
        Self { by_addr, by_port }
    }

    /// The index of the dest with this name. If several dests have a name as short as that, one of
    /// them.
    pub(crate) fn find(&self, name: &ServerName) -> Option<u16> {
        let bits = 8 * u32::from(name.suffix_len);
        let mask = u64::MAX.checked_shl(64_u32.checked_sub(bits)?)?;
        let wanted = u64::from_be_bytes(name.suffix).swap_bytes() & mask;
        let is_it =
            |suffix: &Suffix| suffix.reversed & mask == wanted && suffix.len >= name.suffix_len;
        if let Some(port) = name.port {
            let from = self
                .by_port
                .partition_point(|(other, suffix, _)| (*other, suffix.reversed) < (port, wanted));
            let (found, suffix, at) = self.by_port.get(from)?;
            return (*found == port && is_it(suffix)).then_some(*at);
        }
        let from = self
            .by_addr
            .partition_point(|(suffix, _)| suffix.reversed < wanted);
        let (suffix, at) = self.by_addr.get(from)?;
        is_it(suffix).then_some(*at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scheduler_kind::SchedulerKind;
    use crate::config::service_tests::service_with;

    fn name(suffix: &[u8], port: Option<u16>) -> ServerName {
        let mut all = [0; 8];
        all[8 - suffix.len()..].copy_from_slice(suffix);
        ServerName {
            suffix: all,
            suffix_len: suffix.len() as u8,
            port,
        }
    }

    #[test]
    fn a_dest_is_found_by_the_end_of_its_address_and_its_port() {
        let mut dests = service_with(SchedulerKind::Rr, &[1; 300]).dests;
        dests[7].port = 443;
        dests[8].addr = "2001:db8::1:2:3".parse().unwrap();
        let names = ServerNames::new(&dests);
        // Dest n has the address 192.168.100.0 + n.
        for (suffix, port, found) in [
            (&[192, 168, 100, 2][..], Some(80), Some(2)),
            (&[192, 168, 100, 2], Some(81), None),
            (&[192, 168, 100, 7], Some(443), Some(7)),
            (&[192, 168, 100, 7], None, Some(7)),
            (&[100, 200], None, Some(200)),
            (&[101, 5], Some(80), Some(261)),
            (&[250], None, Some(250)),
            (&[102, 5], None, None),
            (&[0, 192, 168, 100, 2], Some(80), None),
            (&[0, 0, 0, 1, 0, 2, 0, 3], Some(80), Some(8)),
            (&[1, 0, 2, 0, 3], None, Some(8)),
        ] {
            assert_eq!(
                names.find(&name(suffix, port)),
                found,
                "{suffix:?} {port:?}"
            );
        }
    }
}

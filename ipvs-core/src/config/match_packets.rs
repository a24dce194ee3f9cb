//! Services that match packets by source, destination and device instead of a VIP: `ipvsadm -H`.

use std::fmt;
use std::net::IpAddr;

/// Bytes of a device's name with its terminating 0: IFNAMSIZ of Linux, which DPVS uses too.
const NAME_LEN: usize = 16;

/// Which packets a service matches. A field that is `None` matches any packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// Source addresses and ports.
    pub src: Option<EndRange>,
    /// Destination addresses and ports.
    pub dst: Option<EndRange>,
    /// The device that receives the packet.
    pub iif: Option<DeviceName>,
    /// The device that would send the packet.
    pub oif: Option<DeviceName>,
}

/// The facts of a packet that a [`Match`] checks.
#[derive(Debug, Clone, Copy)]
pub struct MatchFacts<'a> {
    /// Source address and port.
    pub src: (IpAddr, u16),
    /// Destination address and port.
    pub dst: (IpAddr, u16),
    /// The device that received the packet.
    pub iif: &'a str,
    /// The device that would send the packet.
    pub oif: &'a str,
}

impl Match {
    /// Whether the packet matches.
    pub fn has(&self, packet: &MatchFacts<'_>) -> bool {
        let within = |range: &Option<EndRange>, end| range.is_none_or(|range| range.has(end));
        let by = |name: &Option<DeviceName>, device: &str| {
            name.as_ref().is_none_or(|name| name.as_str() == device)
        };
        within(&self.src, packet.src)
            && within(&self.dst, packet.dst)
            && by(&self.iif, packet.iif)
            && by(&self.oif, packet.oif)
    }
}

impl Match {
    /// Whether a packet between these addresses may match, whatever its ports and devices are.
    pub(crate) fn may_have(&self, src: IpAddr, dst: IpAddr) -> bool {
        let within = |range: &Option<EndRange>, addr| {
            range.is_none_or(|range| range.addrs.0 <= addr && addr <= range.addrs.1)
        };
        within(&self.src, src) && within(&self.dst, dst)
    }
}

impl fmt::Display for Match {
    /// As `ipvsadm -ln` shows it, after the protocol.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, range) in [("from", &self.src), ("to", &self.dst)] {
            if let Some(range) = range {
                write!(f, ",{name}={range}")?;
            }
        }
        for (name, device) in [("iif", &self.iif), ("oif", &self.oif)] {
            if let Some(device) = device {
                write!(f, ",{name}={}", device.as_str())?;
            }
        }
        Ok(())
    }
}

/// A range of addresses and a range of ports. Ports 0 to 0 mean all ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndRange {
    /// First and last address.
    pub addrs: (IpAddr, IpAddr),
    /// First and last port.
    pub ports: (u16, u16),
}

impl EndRange {
    fn has(&self, (addr, port): (IpAddr, u16)) -> bool {
        let (first, last) = self.addrs;
        let (lowest, highest) = self.ports;
        first <= addr && addr <= last && (highest == 0 || lowest <= port && port <= highest)
    }
}

impl fmt::Display for EndRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((first, last), (lowest, highest)) = (self.addrs, self.ports);
        write!(f, "{first}-{last}:{lowest}-{highest}")
    }
}

/// The name of a device, padded with zero bytes. It needs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName([u8; NAME_LEN]);

impl DeviceName {
    /// `None` if the name is empty or too long for a device.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_LEN];
        let fits = !name.is_empty() && name.len() < NAME_LEN && !name.contains('\0');
        if !fits {
            return None;
        }
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0);
        let bytes = &self.0[..len.unwrap_or(NAME_LEN)];
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn range(first: &str, last: &str, ports: (u16, u16)) -> Option<EndRange> {
        Some(EndRange {
            addrs: (ip(first), ip(last)),
            ports,
        })
    }

    #[test]
    fn a_packet_must_match_every_field_that_is_set() {
        let matcher = Match {
            src: range("192.168.100.0", "192.168.100.254", (0, 0)),
            dst: range("0.0.0.0", "255.255.255.255", (80, 443)),
            iif: None,
            oif: DeviceName::new("dpdk1"),
        };
        let packet = |src: &str, port, oif: &'static str| {
            matcher.has(&MatchFacts {
                src: (ip(src), 5000),
                dst: (ip("1.1.1.1"), port),
                iif: "dpdk0",
                oif,
            })
        };
        assert!(packet("192.168.100.254", 80, "dpdk1"));
        assert!(packet("192.168.100.0", 443, "dpdk1"));
        assert!(!packet("192.168.100.255", 80, "dpdk1"));
        assert!(!packet("192.168.100.2", 444, "dpdk1"));
        assert!(!packet("192.168.100.2", 80, "dpdk0"));
    }

    #[test]
    fn a_match_is_shown_as_by_ipvsadm() {
        let matcher = Match {
            src: range("172.16.0.0", "172.16.255.254", (0, 0)),
            dst: None,
            iif: None,
            oif: DeviceName::new("dpdk1"),
        };
        let shown = ",from=172.16.0.0-172.16.255.254:0-0,oif=dpdk1";
        assert_eq!(matcher.to_string(), shown);
    }

    #[test]
    fn device_names_must_be_15_bytes_at_most() {
        assert_eq!(DeviceName::new("dpdk1").unwrap().as_str(), "dpdk1");
        assert!(DeviceName::new("").is_none());
        assert!(DeviceName::new("a-name-that-is-too-long").is_none());
    }
}

//! Addresses of clients, services and real servers.

/// The addresses of one family: those of DPVS's tutorial for IPv4, similar ones for IPv6.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addrs {
    /// The address of the service.
    pub(crate) vip: &'static str,
    /// The client's address.
    pub(crate) client: &'static str,
    /// The prefix of the client's network.
    pub(crate) clients: &'static str,
    /// The real servers' addresses.
    pub(crate) servers: [&'static str; 2],
    /// The director's local address for FullNAT.
    pub(crate) laddr: &'static str,
    /// The director's own address in the real servers' network.
    pub(crate) director: &'static str,
    /// The prefix of the real servers' network.
    pub(crate) lan: &'static str,
    /// Bits of a prefix that is a single address.
    pub(crate) host: u8,
}

/// IPv4.
pub(crate) const V4: Addrs = Addrs {
    vip: "10.0.0.100",
    client: "10.0.0.48",
    clients: "10.0.0.0/16",
    servers: ["192.168.100.2", "192.168.100.3"],
    laddr: "192.168.100.200",
    director: "192.168.100.1",
    lan: "192.168.100.0/24",
    host: 32,
};

/// IPv6.
pub(crate) const V6: Addrs = Addrs {
    vip: "2001:db8:1::100",
    client: "2001:db8:1::48",
    clients: "2001:db8:1::/64",
    servers: ["2001:db8:100::2", "2001:db8:100::3"],
    laddr: "2001:db8:100::200",
    director: "2001:db8:100::1",
    lan: "2001:db8:100::/64",
    host: 128,
};

/// An address as it is written before a port.
pub(crate) fn bracketed(addr: &str) -> String {
    if addr.contains(':') {
        format!("[{addr}]")
    } else {
        addr.to_owned()
    }
}

impl Addrs {
    /// The service, e.g. `10.0.0.100:80`.
    pub(crate) fn service(&self) -> String {
        format!("{}:80", bracketed(self.vip))
    }
}

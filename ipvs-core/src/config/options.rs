//! The options of a service.

use packet::proxy::Version;
use packet::uoa::Mode;

/// The options of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceOptions {
    /// Timeout of an established conn in seconds, instead of that of the protocol. Who changes it
    /// calls [`inet::Net::invalidate_nexthops`], so that conns take it up.
    pub conn_timeout_s: Option<u32>,
    /// Persistence: clients keep their dest.
    pub persistence: Option<Persistence>,
    /// One-packet scheduling: each datagram is a conn of its own.
    pub is_one_packet: bool,
    /// Whether a dest loses its conns and its persistent clients when its weight becomes 0.
    pub expires_quiescent: bool,
    /// PROXY protocol: a header ahead of the client's data gives the client's address to dests.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// UOA: an option in datagrams gives the client's address to dests.
    pub uoa: Option<UoaOptions>,
    /// SYN proxy: the director completes the client's handshake before it contacts a dest.
    pub syn_proxy: Option<SynProxy>,
    /// Whether a packet that opens no conn is refused even where a hash leads to its dest:
    /// `--no-adopt`.
    pub refuses_adoption: bool,
    /// Most conns at a time, over all workers.
    pub conn_limit: Option<u32>,
    /// Most new conns per second, over all workers.
    pub conn_rate_limit: Option<u32>,
}

/// UDP option of address: `--uoa`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UoaOptions {
    /// How the client's address is sent.
    pub mode: Mode,
    /// How many datagrams of a conn carry the address: `uoa_max_trail` of DPVS.
    pub max_trail: u8,
}

/// Which SYNs are answered with a SYN cookie: `-j`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynProxy {
    /// All SYNs.
    Always,
    /// The SYNs above this number per second, over all workers.
    Above(u32),
}

/// PROXY protocol: `--proxy-protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Version 1 (text) or 2 (binary).
    pub version: Version,
    /// Whether a PROXY header that the client itself sends is trusted and passed on. Otherwise it
    /// is replaced.
    pub is_insecure: bool,
    /// UDP: whether each datagram has a header. Otherwise only the first one of a conn has it, as
    /// in DPVS.
    pub is_in_each_datagram: bool,
}

/// Persistence: new conns of a client go to the dest of its earlier conns. `-p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds since the latest conn was made. A client that still has conns keeps its dest longer.
    pub timeout_s: u32,
    /// Clients whose addresses have this many leading bits in common count as one. With 32 for IPv4
    /// or 128 for IPv6, each client is its own.
    pub prefix_len: u8,
}

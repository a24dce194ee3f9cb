//! What a service asks of its conns, besides a dest.

use packet::proxy::Version;
use packet::uoa::Mode;

/// What a service asks of its conns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceOptions {
    /// Instead of the protocol's timeout of an established conn, in seconds.
    pub conn_timeout_s: Option<u32>,
    /// Clients keep to their dest.
    pub persistence: Option<Persistence>,
    /// Each datagram is a conn of its own.
    pub is_one_packet: bool,
    /// A dest whose weight is 0 keeps neither conns nor clients.
    pub expires_quiescent: bool,
    /// Dests are told who the client is before what it says.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Dests are told who the client is by UOA.
    pub uoa: Option<UoaOptions>,
    /// Clients shake hands with the director before dests hear of them.
    pub syn_proxy: Option<SynProxy>,
    /// Most conns at once, over all workers.
    pub conn_limit: Option<u32>,
    /// Most new conns per second, over all workers.
    pub conn_rate_limit: Option<u32>,
}

/// `--uoa`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UoaOptions {
    /// How
    pub mode: Mode,
    /// How many datagrams of a conn tell it: DPVS's `uoa_max_trail`
    pub max_trail: u8,
}

/// `-j`: whose SYNs are answered with cookies
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynProxy {
    /// All
    Always,
    /// Those beyond so many per second, over all workers
    Above(u32),
}

/// `--proxy-protocol`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Text or binary
    pub version: Version,
    /// A header that the client itself sends is believed and passed on, rather than replaced.
    pub is_insecure: bool,
}

/// `-p`: who was at a dest comes back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds after the latest conn was made; longer while there are conns.
    pub timeout_s: u32,
    /// Clients whose addresses have these bits in common are one: 32, or 128, if each is its own.
    pub prefix_len: u8,
}

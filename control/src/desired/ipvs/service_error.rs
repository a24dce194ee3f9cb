//! Why a service or a dest is refused, in words that name the way out.
//! As all messages of the API they name its calls and fields in backticks.

use std::net::IpAddr;

use inet::Prefix;
use ipvs_core::{FwdMode, ServiceKey};

/// A forwarding mode in a message, with its name in the API.
pub(super) const fn mode_name(fwdmode: FwdMode) -> &'static str {
    match fwdmode {
        FwdMode::FullNat => "FullNAT (`FWD_MODE_FULL_NAT`)",
        FwdMode::Nat => "NAT (`FWD_MODE_NAT`)",
        FwdMode::DirectRoute => "DR (`FWD_MODE_DR`)",
        FwdMode::Tunnel(_) => "tunnel (`FWD_MODE_TUNNEL`)",
        FwdMode::Snat => "SNAT (`FWD_MODE_SNAT`)",
    }
}

/// Why a service or dest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The service exists already.
    #[error(
        "service {0} exists: change it with `EditService`, or delete it first with `DelService`"
    )]
    Exists(ServiceKey),
    /// The service does not exist.
    #[error("no service {0}: `ListServices` lists those that there are")]
    Missing(ServiceKey),
    /// A service on any port has no persistence.
    #[error(
        "service {0}: port 0 (any port) needs persistence, so that a client's conns meet at one dest: give `VirtualService.persistence_s` too, or name a port"
    )]
    PortZero(ServiceKey),
    /// A service on any port has a dest with a port of its own.
    #[error(
        "dest {addr}:{port}: service {service} is for any port, and hands each to the same port of the dest: give port 0, e.g. `Dest.address={addr} Dest.port=0`"
    )]
    DestPortOfAnyPort {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The port that was given
        port: u16,
    },
    /// One-packet scheduling for a protocol other than UDP.
    #[error(
        "service {0}: one-packet scheduling (`VirtualService.one_packet`) is for UDP, whose datagrams stand alone"
    )]
    OnePacketNeedsUdp(ServiceKey),
    /// One-packet scheduling with a dest whose replies would have to be rewritten, which needs a
    /// conn.
    #[error(
        "dest {addr} of service {service}: one-packet scheduling (`VirtualService.one_packet`) keeps no conn, and without one {fwdmode} cannot rewrite a reply: use `FWD_MODE_DR` (DR) or `FWD_MODE_TUNNEL` (tunnel)"
    )]
    OnePacketNeedsNoReply {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// An option for services on a VIP, given to a match service.
    #[error(
        "service {0}: persistence (`VirtualService.persistence_s`) is for services on a VIP: `VirtualService.scheduler=sh` keeps a host to its WAN address"
    )]
    PersistentMatch(ServiceKey),
    /// The SYN proxy for a service that is not TCP on a VIP.
    #[error("service {0}: the SYN proxy (`VirtualService.syn_proxy`) is for TCP services on a VIP")]
    SynProxyNeedsTcp(ServiceKey),
    /// The SYN proxy with a dest whose replies do not pass the director.
    #[error(
        "dest {addr} of service {service}: the SYN proxy (`VirtualService.syn_proxy`) translates what the dest answers, which {fwdmode} does not see: use `FWD_MODE_FULL_NAT` (FullNAT) or `FWD_MODE_NAT` (NAT)"
    )]
    SynProxyNeedsReplies {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// A prefix of outer sources without a tunnel, or of addresses that cannot be such sources.
    #[error(
        "dest {addr}: `Dest.tunnel_spread={prefix}` is for tunnels (`FWD_MODE_TUNNEL`), and needs unicast addresses of the dest's family, e.g. {}",
        if addr.is_ipv4() { "10.99.0.0/16" } else { "fd00:99::/64" }
    )]
    TunnelSpread {
        /// RIP
        addr: IpAddr,
        /// The prefix
        prefix: Prefix,
    },
    /// UOA for a service that is not UDP.
    #[error(
        "service {0}: UOA (`VirtualService.uoa`) is for UDP services: to TCP, TOA tells the same"
    )]
    UoaNeedsUdp(ServiceKey),
    /// UOA and the PROXY protocol together.
    #[error(
        "service {0}: UOA (`VirtualService.uoa`) and the PROXY protocol (`VirtualService.proxy_protocol`) tell the same: choose one"
    )]
    UoaBesideProxy(ServiceKey),
    /// UOA with a dest that sees the client's address anyway.
    #[error(
        "dest {addr} of service {service}: UOA (`VirtualService.uoa`) is for `FWD_MODE_FULL_NAT` (FullNAT): with {fwdmode} the dest sees the client itself"
    )]
    UoaNeedsFullNat {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// UOA by an IPv4 option with an IPv6 dest.
    #[error(
        "dest {addr} of service {service}: UOA by an IP option (`VirtualService.uoa=ipo`) is for IPv4 clients and dests: use `VirtualService.uoa=opp`"
    )]
    UoaOptionNeedsIpv4 {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
    },
    /// The PROXY protocol for a match service.
    #[error(
        "service {0}: the PROXY protocol (`VirtualService.proxy_protocol`) is for services on a VIP"
    )]
    ProxyMatch(ServiceKey),
    /// Version 1 of the PROXY protocol, which is text before a byte stream, for UDP.
    #[error(
        "service {0}: version 1 of the PROXY protocol is for TCP: use `VirtualService.proxy_protocol=v2` for datagrams"
    )]
    ProxyV1NeedsTcp(ServiceKey),
    /// The PROXY protocol for SCTP, whose chunks leave no place for a header.
    #[error(
        "service {0}: the PROXY protocol (`VirtualService.proxy_protocol`) is for TCP and UDP services"
    )]
    ProxyOfSctp(ServiceKey),
    /// The PROXY protocol with a dest of DR or tunnel, whose packets are not edited.
    #[error(
        "dest {addr} of service {service}: {fwdmode} passes packets on as they are, and the dest sees the client itself: the PROXY protocol (`VirtualService.proxy_protocol`) is for `FWD_MODE_FULL_NAT` (FullNAT) and `FWD_MODE_NAT` (NAT)"
    )]
    ProxyNeedsRewrite {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// A dest that is an address of the director.
    #[error(
        "dest {addr} of service {service}: it is an address of this director, on {device}, and its packets would come back here: give the address of a real server, or delete this one first (`DelAddress Address.address={addr} Address.prefix_len={prefix_len} Address.device={device}`)"
    )]
    DestIsOurs {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Its prefix length on the device
        prefix_len: u8,
        /// The device that has the address
        device: String,
    },
    /// A drain of a dest with a weight above 0.
    #[error("dest {0}: a dest drains with weight 0: give `Dest.weight=0` beside `Dest.drain_s`")]
    DrainWithWeight(IpAddr),
    /// A dest of the other address family in a mode that cannot translate.
    #[error(
        "dest {addr} of service {service}: {fwdmode} cannot lead from one address family to the other, since the client's address stays: use `FWD_MODE_FULL_NAT` (FullNAT), `FWD_MODE_NAT` (NAT), or `FWD_MODE_TUNNEL` (tunnel)"
    )]
    OtherFamily {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// A WAN address of the other address family.
    #[error(
        "WAN address {addr} of service {service}: SNAT (`FWD_MODE_SNAT`) changes the source only, so the packets and the WAN address are of one address family"
    )]
    WanOtherFamily {
        /// The service
        service: ServiceKey,
        /// WAN address
        addr: IpAddr,
    },
    /// A dest of the other address family for ICMP.
    #[error(
        "dest {addr} of service {service}: ICMP is IPv4's and ICMPv6 is IPv6's: give a dest of the service's address family"
    )]
    IcmpOtherFamily {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
    },
    /// Hash target qid for a service that is not UDP.
    #[error(
        "service {0}: hash target qid is the QUIC connection ID, which only UDP services see: name a UDP service (`PROTOCOL_UDP`), or use `VirtualService.hash_target=sip`"
    )]
    QidNeedsUdp(ServiceKey),
    /// The address is not a unicast address.
    #[error("{0} cannot be the address of a service or a real server: use a unicast address")]
    NotUnicast(IpAddr),
    /// The dest exists already.
    #[error("{addr}:{port} is already a dest of service {service}: change it with `EditDest`")]
    DestExists {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// The dest does not exist.
    #[error("service {service} has no dest {addr}:{port}: `ListServices` lists those that it has")]
    DestMissing {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// A dest with port 0.
    #[error(
        "dest {0}: a real server cannot listen on port 0: give its port, e.g. `Dest.address={0} Dest.port=80`"
    )]
    DestPortZero(IpAddr),
    /// A lower threshold that is not below the upper one.
    #[error(
        "dest {addr}:{port}: the lower threshold {lower} is above the upper threshold {upper}: give a lower one (`Dest.lower_threshold`), or 0 for three quarters of the upper one"
    )]
    Thresholds {
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// `upper_threshold`
        upper: u32,
        /// `lower_threshold`
        lower: u32,
    },
    /// A port other than the service's in a mode that does not rewrite ports.
    #[error(
        "the dest {addr}:{port} has another port than the service {service}, which {fwdmode} cannot change: \
         leave the port out, or use `FWD_MODE_FULL_NAT` (FullNAT) or `FWD_MODE_NAT` (NAT)"
    )]
    PortKept {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// A match service names a device that does not exist.
    #[error("service {service}: no device {device}: `ListLinks` lists them")]
    NoDevice {
        /// The service
        service: ServiceKey,
        /// The device of iif or oif
        device: String,
    },
    /// A dest of SNAT in a service that is not a match service.
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with it: SNAT is for hosts behind the director, say which with `ServiceKey.match`"
    )]
    SnatOfVip {
        /// The service
        service: ServiceKey,
        /// WAN address
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// SNAT and other dests in one service.
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with its other dests: WAN addresses (`FWD_MODE_SNAT`) and real servers are of two services"
    )]
    ModeOfMatch {
        /// The service
        service: ServiceKey,
        /// RIP or WAN address
        addr: IpAddr,
        /// The dest's forwarding mode
        fwdmode: &'static str,
    },
    /// A WAN address with a port, which SNAT chooses itself.
    #[error(
        "dest {addr}:{port}: SNAT chooses the ports of a WAN address itself: give port 0, e.g. `Dest.address={addr} Dest.port=0 FWD_MODE_SNAT`"
    )]
    PortOfSnat {
        /// WAN address
        addr: IpAddr,
        /// The port that was given
        port: u16,
    },
    /// A WAN address without sapool, so without ports to choose from.
    #[error(
        "invalid WAN address {0}: expected an address of the director with sapool (`AddAddress Address.address={0} Address.prefix_len={len} Address.device=dpdk1 Address.sapool` adds it)",
        len = if .0.is_ipv4() { 32 } else { 128 }
    )]
    NoWanAddress(IpAddr),
    /// No id is left for another local address.
    #[error(
        "the dest {0} would be one too many: raise [conns] max_dests in the configuration file"
    )]
    TooManyDests(IpAddr),
    /// No id is left for another service.
    #[error("too many services: at most 1048576")]
    TooManyServices,
    /// The service has as many dests as rr and wrr can count.
    #[error("service {0} has 65535 dests already")]
    ServiceFull(ServiceKey),
}

//! Why a service or a dest is refused, in words that name the way out.

use std::net::IpAddr;

use ipvs_core::ServiceKey;

/// Why a service or dest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It is there
    #[error("service {0} exists: change it with -E, or delete it first with -D")]
    Exists(ServiceKey),
    /// It is not there
    #[error("no service {0}: add it first with -A (`ipvsadm-rs -ln` lists them)")]
    Missing(ServiceKey),
    /// Any port needs persistence
    #[error(
        "service {0}: port 0 (any port) needs persistence, so that a client's conns meet at one dest: give -p too, or name a port"
    )]
    PortZero(ServiceKey),
    /// Every port goes to the same port of the dest
    #[error(
        "dest {addr}:{port}: service {service} is for any port, and hands each to the same port of the dest: give port 0, as in -r {addr}:0"
    )]
    DestPortOfAnyPort {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// What was given
        port: u16,
    },
    /// TCP's segments belong together
    #[error("service {0}: one-packet scheduling (--ops) is for UDP, whose datagrams stand alone")]
    OnePacketNeedsUdp(ServiceKey),
    /// Without a conn no reply is rewritten
    #[error(
        "dest {addr} of service {service}: one-packet scheduling (--ops) keeps no conn, and without one {fwdmode} cannot rewrite a reply: use -g (DR) or -i (tunnel)"
    )]
    OnePacketNeedsNoReply {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// Not for packets on their way through
    #[error(
        "service {0}: persistence (-p) is for services on a VIP: -s sh keeps a host to its WAN address"
    )]
    PersistentMatch(ServiceKey),
    /// Nothing else has SYNs
    #[error("service {0}: the SYN proxy (-j) is for TCP services on a VIP")]
    SynProxyNeedsTcp(ServiceKey),
    /// The dest's numbers must be translated
    #[error(
        "dest {addr} of service {service}: the SYN proxy (-j) translates what the dest answers, which {fwdmode} does not see: use -b (FullNAT) or -m (NAT)"
    )]
    SynProxyNeedsReplies {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// TCP has TOA
    #[error("service {0}: UOA (--uoa) is for UDP services: to TCP, TOA tells the same")]
    UoaNeedsUdp(ServiceKey),
    /// Once is enough
    #[error(
        "service {0}: UOA (--uoa) and the PROXY protocol (--proxy-protocol) tell the same: choose one"
    )]
    UoaBesideProxy(ServiceKey),
    /// All other dests see the client
    #[error(
        "dest {addr} of service {service}: UOA (--uoa) is for -b (FullNAT): with {fwdmode} the dest sees the client itself"
    )]
    UoaNeedsFullNat {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// The option is one of IPv4
    #[error(
        "dest {addr} of service {service}: UOA by an IP option (--uoa ipo) is for IPv4 clients and dests: use --uoa opp"
    )]
    UoaOptionNeedsIpv4 {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
    },
    /// Nobody behind SNAT is a server
    #[error("service {0}: the PROXY protocol (--proxy-protocol) is for services on a VIP")]
    ProxyMatch(ServiceKey),
    /// Version 1 is a line of text before a stream
    #[error(
        "service {0}: version 1 of the PROXY protocol is for TCP: use --proxy-protocol v2 for datagrams"
    )]
    ProxyV1NeedsTcp(ServiceKey),
    /// Nothing can be put into what is passed on as it is
    #[error(
        "dest {addr} of service {service}: {fwdmode} passes packets on as they are, and the dest sees the client itself: the PROXY protocol (--proxy-protocol) is for -b (FullNAT) and -m (NAT)"
    )]
    ProxyNeedsRewrite {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// A dest that takes new conns never gets empty
    #[error("dest {0}: a dest drains with weight 0: give -w 0 beside --drain")]
    DrainWithWeight(IpAddr),
    /// Addresses that are not rewritten, or not all of them, cannot change their family
    #[error(
        "dest {addr} of service {service}: {fwdmode} cannot lead from one address family to the other, since the client's address stays: use -b (FullNAT), -m (NAT), or -i (tunnel)"
    )]
    OtherFamily {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// QUIC is UDP
    #[error(
        "service {0}: hash target qid is the QUIC connection ID, which only UDP services see: name a UDP service (-u), or use --hash-target sip"
    )]
    QidNeedsUdp(ServiceKey),
    /// Not an address of a host
    #[error("{0} cannot be the address of a service or a real server: use a unicast address")]
    NotUnicast(IpAddr),
    /// The dest is there
    #[error("{addr}:{port} is already a dest of service {service}: change it with -e")]
    DestExists {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// The dest is not there
    #[error("{addr}:{port} is no dest of service {service}: add it with -a")]
    DestMissing {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// Nobody listens at port 0
    #[error("dest {0}: port 0 is no port a real server can listen on: give one, as in -r {0}:80")]
    DestPortZero(IpAddr),
    /// It would never take a conn again
    #[error(
        "dest {addr}:{port}: the lower threshold {lower} is above the upper threshold {upper}: give a lower one (-y), or 0 for three quarters of the upper one"
    )]
    Thresholds {
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// -x
        upper: u32,
        /// -y
        lower: u32,
    },
    /// DR and tunnel leave the packet as it is
    #[error(
        "the dest {addr}:{port} has another port than the service {service}, which {fwdmode} cannot change: \
         leave the port out, or use -b (FullNAT) or -m (NAT)"
    )]
    PortKept {
        /// Of the service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
        /// Which mode
        fwdmode: &'static str,
    },
    /// A match service has no address of its own
    #[error(
        "service {0}: say which packets it is for: src-range=, dst-range=, as in -H proto=tcp,src-range=192.168.100.0-192.168.100.254,oif=dpdk1"
    )]
    MatchesAll(ServiceKey),
    /// It would never match
    #[error("service {service}: no device {device}: `dpip link show` lists them")]
    NoDevice {
        /// The service
        service: ServiceKey,
        /// iif or oif
        device: String,
    },
    /// SNAT goes with -H
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with it: SNAT is for hosts behind the director, say which with -H"
    )]
    SnatOfVip {
        /// Of the service
        service: ServiceKey,
        /// WAN address
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// What leads out and what leads to real servers are two services
    #[error(
        "the dest {addr} of service {service}: {fwdmode} does not go with its other dests: WAN addresses (-J) and real servers are of two services"
    )]
    ModeOfMatch {
        /// Of the service
        service: ServiceKey,
        /// RIP or WAN address
        addr: IpAddr,
        /// Which mode
        fwdmode: &'static str,
    },
    /// SNAT chooses the port
    #[error(
        "dest {addr}:{port}: SNAT chooses the ports of a WAN address itself: give port 0, as in -r {addr}:0 -J"
    )]
    PortOfSnat {
        /// WAN address
        addr: IpAddr,
        /// What was given
        port: u16,
    },
    /// SNAT needs ports
    #[error(
        "{0} is no address of the director whose ports are shared out: add it first, as in `dpip addr add {0}/32 dev dpdk1 sapool`"
    )]
    NoWanAddress(IpAddr),
    /// The addresses are used up
    #[error(
        "the dest {0} would be one too many: raise [conns] max_dests in the configuration file"
    )]
    TooManyDests(IpAddr),
    /// The numbers are used up
    #[error("too many services: at most 1048576")]
    TooManyServices,
    /// rr and wrr count dests in 16 bits
    #[error("service {0} has 65535 dests already")]
    ServiceFull(ServiceKey),
}

//! Why packets are dropped: one list gives the enum, the counter's name and its text.

macro_rules! drop_reasons {
    ($($(#[$meta:meta])* $name:ident => $text:literal,)*) => {
        /// Why a packet was dropped. Every dropped packet has exactly one reason, and each reason a
        /// counter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $text] $(#[$meta])* $name,)*
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The counter's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// A sentence for operators.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

drop_reasons! {
    FrameTooShort => "the frame ends before its headers do",
    NotForUs => "the destination MAC address is another host's",
    GroupSource => "the source MAC address is a group's, which no frame may come from (IEEE 802.3)",
    FrameToGroup => "a packet to a single host, in a frame to a group of hosts (RFC 1122, 3.3.6)",
    NdMalformed => "a length, the checksum or an option of the neighbour discovery message is wrong",
    ArpMalformed => "the ARP packet is not Ethernet over IPv4, or is cut",
    Ipv4Malformed => "a length or the version in the IPv4 header is wrong",
    Ipv4BadChecksum => "the IPv4 header's checksum is wrong",
    Ipv4Martian => "the source address cannot be one (broadcast, multicast, loopback)",
    Ipv6Malformed => "a length or the version in the IPv6 header, or in an extension header, is wrong",
    Ipv6Extensions => "more IPv6 extension headers, or longer ones, than are walked (8 headers, about 200 bytes)",
    Ipv6SourceRoute => "an IPv6 routing header with segments left (RFC 5095)",
    Ipv6Martian => "the IPv6 source address cannot be one (multicast, loopback, unspecified, IPv4-mapped)",
    OwnSource => "the source address is one of the director's own",
    LinkLocalSource => "a client with a link-local address: no service serves it, since its packets must not leave the link (RFC 4291, 2.5.6)",
    LandAttack => "source and destination of the packet are the same",
    TtlExpired => "the time to live ran out here",
    Fragment => "a fragment whose first one did not come in time, or belongs to no conn; of SCTP also a first one whose last did not",
    TinyFragment => "a fragment that would overwrite a TCP header (RFC 3128)",
    TcpMalformed => "a length in the TCP header is wrong",
    TcpBadChecksum => "the TCP checksum is wrong",
    UdpMalformed => "the UDP length is wrong",
    UdpBadChecksum => "the UDP checksum is wrong",
    SctpMalformed => "the SCTP packet is shorter than its header",
    SctpBadChecksum => "the SCTP checksum is wrong",
    SctpNotInit => "an SCTP packet to a service that neither belongs to a conn nor opens one",
    IpsecMode => "AH or ESP of a conn whose mode tells clients apart by ports, which these have not: use -g, -i or -m",
    IcmpMalformed => "the ICMP message, or the packet it quotes, is cut or wrong",
    IcmpBadChecksum => "the ICMP checksum is wrong",
    IcmpUntranslatable => "an ICMP error that says nothing in the other address family (RFC 7915)",
    NoConn => "a packet to a local address that belongs to no conn",
    IcmpNoConn => "an ICMP error that names no conn of ours",
    TcpNotSyn => "a TCP packet to a service that neither belongs to a conn nor opens one",
    NatTupleInUse => "the client's address and port are in use towards this dest by a conn of another service",
    FtpCallInUse => "an FTP dest calls a client's port from the port of an earlier conn that still goes on",
    NatNoConn => "a dest of a NAT service sent what belongs to no conn: it is not let out",
    NoTunnelSource => "the director has no address on the tunnel's way for its packets to come from",
    NoHeadroom => "the packet's buffer has no room for another header",
    Denied => "the client is on the service's deny list",
    NotAllowed => "the service has an allow list, and the client is not on it",
    ConnLimit => "the service has as many conns as it may",
    ConnRateLimit => "the service has got as many new conns in this second as it may",
    NoService => "a packet to a VIP, to a port without a service (tcp_drop, udp_drop)",
    NoRoomForHeader => "what must be put before the client's first bytes does not fit beside them into a packet of the other address family",
    ForgedUoa => "a packet to a VIP that tells a client by UOA's own protocol, which only a director does",
    BeforeHeader => "a segment or a datagram whose bytes would reach the dest ahead of the PROXY header, which tells the client",
    NoDest => "the service has no dest that takes new conns",
    NoLaddr => "the service has no local address that can reach the dest",
    NoLocalPort => "all ports of the local addresses towards this dest are in use, none by a closing conn",
    ConnTableFull => "the conn table is full of conns that do not give way",
    MtuExceeded => "the packet is larger than the MTU of its way and must not be fragmented",
    NoRoute => "no route to the packet's new destination",
    NeighbourQueueFull => "too many packets wait for this neighbour",
    NeighbourUnresolved => "the neighbour did not answer in time",
    TcpBadOptions => "the TCP options overrun the header",
    RedirectLoop => "the packet was handed over and its conn is not here either",
    RedirectQueueFull => "the ring to the worker that owns the conn is full",
    TxQueueFull => "the NIC's transmit queue is full",
    KniQueueFull => "the ring to the kernel is full",
    KniDisabled => "the device has no kni netdev",
    NoMbuf => "no mbuf was free for a packet of ours",
}

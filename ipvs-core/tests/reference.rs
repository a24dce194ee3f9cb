//! The fast path against a plain, slow reference of the same rewrite: packets as records, sessions in a list, checksums
//! from scratch by another library. Whatever the engine sends must be what the reference says, byte for byte.

use std::collections::HashMap;

use etherparse::{IpNumber, Ipv4Header, Ipv4Options, TcpHeader, UdpHeader};
use inet::IfIndex;
use ipvs_core::conn::Direction;
use ipvs_core::tcp_state::SegmentKind;
use ipvs_core::{FwdMode, Origin, Protocol, TcpState};
use packet::{MacAddr, PortId};
use proptest::prelude::*;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::Seen;

type End = ([u8; 4], u16);

const VIP_END: End = ([10, 0, 0, 100], 80);
const DESTS: [&str; 3] = ["192.168.100.2:80", "192.168.100.3:8080", "192.168.100.4:80"];
const CLIENTS: u16 = 8;
/// RFC 9293, 3.7.1: MSS, lowered by the TOA option's 8 bytes.
const TOA_LEN: u16 = 8;

/// A TCP option as what it means.
#[derive(Debug, Clone, PartialEq)]
enum Opt {
    Nop(usize),
    Mss(u16),
    SackPermitted,
    Timestamps(u32, u32),
    Sack(u32, u32),
    Toa(End),
    Unknown(u8),
}

impl Opt {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Nop(count) => vec![1; *count],
            Self::Mss(mss) => [&[2, 4][..], &mss.to_be_bytes()].concat(),
            Self::SackPermitted => vec![4, 2],
            Self::Timestamps(value, echo) => {
                [&[8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
            }
            Self::Sack(from, to) => [&[5, 10][..], &from.to_be_bytes(), &to.to_be_bytes()].concat(),
            Self::Toa((addr, port)) => [&[254, 8][..], &port.to_be_bytes(), addr].concat(),
            Self::Unknown(value) => vec![253, 4, *value, *value],
        }
    }
}

fn option_bytes(options: &[Opt]) -> Vec<u8> {
    options.iter().flat_map(Opt::bytes).collect()
}

/// A packet as what it means. No checksums: they follow.
#[derive(Debug, Clone)]
struct Packet {
    src: End,
    dst: End,
    ttl: u8,
    identification: u16,
    tos: u8,
    dont_fragment: bool,
    has_ip_options: bool,
    /// `None` for UDP
    tcp: Option<Tcp>,
    has_udp_checksum: bool,
    payload: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Tcp {
    seq: u32,
    ack: u32,
    syn: bool,
    ack_flag: bool,
    fin: bool,
    rst: bool,
    options: Vec<Opt>,
}

impl Tcp {
    const fn kind(&self) -> SegmentKind {
        if self.rst {
            SegmentKind::Rst
        } else if self.syn {
            SegmentKind::Syn
        } else if self.fin {
            SegmentKind::Fin
        } else {
            SegmentKind::Ack
        }
    }

    const fn opens(&self) -> bool {
        self.syn && !self.ack_flag && !self.rst && !self.fin
    }
}

impl Packet {
    fn frame(&self, from: MacAddr, to: MacAddr) -> Vec<u8> {
        let number = if self.tcp.is_some() {
            IpNumber::TCP
        } else {
            IpNumber::UDP
        };
        let mut ip = Ipv4Header::new(0, self.ttl, number, self.src.0, self.dst.0).unwrap();
        ip.identification = self.identification;
        ip.dscp = (self.tos >> 2).try_into().unwrap();
        ip.ecn = (self.tos & 3).try_into().unwrap();
        ip.dont_fragment = self.dont_fragment;
        if self.has_ip_options {
            ip.options = Ipv4Options::try_from(&[1u8, 1, 1, 0][..]).unwrap();
        }
        let l4 = self.l4(&ip);
        ip.set_payload_len(l4.len()).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let mut frame = [&to.0[..], &from.0, &[8, 0]].concat();
        ip.write(&mut frame).unwrap();
        frame.extend(l4);
        frame
    }

    fn l4(&self, ip: &Ipv4Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.tcp {
            Some(tcp) => {
                let mut header = TcpHeader::new(self.src.1, self.dst.1, tcp.seq, 4096);
                header.acknowledgment_number = tcp.ack;
                (header.syn, header.ack) = (tcp.syn, tcp.ack_flag);
                (header.fin, header.rst) = (tcp.fin, tcp.rst);
                header.set_options_raw(&option_bytes(&tcp.options)).unwrap();
                header.checksum = header.calc_checksum_ipv4(ip, &self.payload).unwrap();
                header.write(&mut bytes).unwrap();
            }
            None => {
                let len = self.payload.len();
                let mut header =
                    UdpHeader::without_ipv4_checksum(self.src.1, self.dst.1, len).unwrap();
                if self.has_udp_checksum {
                    header.checksum = header.calc_checksum_ipv4(ip, &self.payload).unwrap();
                }
                header.write(&mut bytes).unwrap();
            }
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// A session as the reference knows it. What the director chose is learned from the packet that opened it.
#[derive(Debug)]
struct Session {
    client: End,
    dest: End,
    /// Whom the dest answers to
    local: End,
    seq_delta: u32,
    state: TcpState,
    /// The acknowledgment up to which segments carry the client's address
    toa_until: Option<u32>,
}

impl Session {
    /// A packet of the client, as the dest gets it.
    fn inbound(&mut self, packet: &Packet, fwdmode: FwdMode) -> Packet {
        let mut out = packet.clone();
        out.ttl -= 1;
        if fwdmode == FwdMode::DirectRoute {
            return out;
        }
        (out.src, out.dst) = (self.local, self.dest);
        if let Some(tcp) = &mut out.tcp {
            if fwdmode == FwdMode::FullNat {
                self.translate_inbound(tcp);
            }
            self.state = self.state.next(Direction::Inbound, tcp.kind());
        }
        out
    }

    /// FullNAT design 4.3 to 4.6.
    fn translate_inbound(&mut self, tcp: &mut Tcp) {
        tcp.seq = tcp.seq.wrapping_add(self.seq_delta);
        if tcp.syn {
            blank(&mut tcp.options, |option| {
                matches!(option, Opt::Timestamps(..))
            });
            return;
        }
        if self.toa_until.is_some() {
            blank(&mut tcp.options, |option| matches!(option, Opt::Toa(_)));
        }
        if !tcp.ack_flag || tcp.rst {
            return;
        }
        if self.toa_until == Some(tcp.ack) {
            if 20 + option_bytes(&tcp.options).len() + usize::from(TOA_LEN) <= 60 {
                tcp.options.insert(0, Opt::Toa(self.client));
            }
        } else {
            self.toa_until = None;
        }
    }

    /// A packet of the dest, as the client gets it.
    fn outbound(&mut self, packet: &Packet, fwdmode: FwdMode) -> Packet {
        let mut out = packet.clone();
        out.ttl -= 1;
        (out.src, out.dst) = (VIP_END, self.client);
        if let Some(tcp) = &mut out.tcp {
            if fwdmode == FwdMode::FullNat {
                self.translate_outbound(tcp);
            }
            self.state = self.state.next(Direction::Outbound, tcp.kind());
        }
        out
    }

    fn translate_outbound(&mut self, tcp: &mut Tcp) {
        if tcp.syn && matches!(self.state, TcpState::SynSent | TcpState::SynRecv) {
            self.toa_until = Some(tcp.seq.wrapping_add(1));
        }
        if tcp.ack_flag {
            tcp.ack = tcp.ack.wrapping_sub(self.seq_delta);
        }
        for option in &mut tcp.options {
            match option {
                Opt::Mss(mss) if tcp.syn => *mss = mss.saturating_sub(TOA_LEN),
                Opt::Sack(from, to) if !tcp.syn => {
                    *from = from.wrapping_sub(self.seq_delta);
                    *to = to.wrapping_sub(self.seq_delta);
                }
                _ => {}
            }
        }
    }
}

/// Options become as many NOPs.
fn blank(options: &mut [Opt], which: impl Fn(&Opt) -> bool) {
    for option in options.iter_mut().filter(|option| which(option)) {
        *option = Opt::Nop(option.bytes().len());
    }
}

/// What happens next.
#[derive(Debug, Clone)]
struct Step {
    client: u16,
    is_outbound: bool,
    seq: u32,
    /// Acknowledges the dest's SYN again, so that TOA goes on, or something else
    ack: Option<u32>,
    /// S, A, F, R as bits
    flags: u8,
    options: Vec<Opt>,
    shape: (u8, u8, u16, bool, bool),
    has_udp_checksum: bool,
    len: usize,
    damage: Damage,
    ends_batch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    None,
    IpChecksum,
    TotalLength,
    /// Forwarded if its conn exists: the checksum stays as wrong as it was (RFC 1624).
    L4Checksum,
}

fn step() -> impl Strategy<Value = Step> {
    let option = prop_oneof![
        (0usize..5).prop_map(Opt::Nop),
        any::<u16>().prop_map(Opt::Mss),
        Just(Opt::SackPermitted),
        any::<(u32, u32)>().prop_map(|(value, echo)| Opt::Timestamps(value, echo)),
        any::<(u32, u32)>().prop_map(|(from, to)| Opt::Sack(from, to)),
        any::<([u8; 4], u16)>().prop_map(Opt::Toa),
        any::<u8>().prop_map(Opt::Unknown),
    ];
    let damage = prop_oneof![
        30 => Just(Damage::None),
        1 => Just(Damage::IpChecksum),
        1 => Just(Damage::TotalLength),
        2 => Just(Damage::L4Checksum),
    ];
    let flags =
        prop_oneof![4 => Just(0b0001u8), 6 => Just(0b0010), 1 => 0u8..16, 1 => Just(0b0011)];
    let what = (
        0..CLIENTS,
        any::<bool>(),
        any::<u32>(),
        prop::option::of(any::<u32>()),
        flags,
    );
    let how = (
        prop::collection::vec(option, 0..3),
        (
            2u8..=255,
            any::<u8>(),
            any::<u16>(),
            any::<bool>(),
            prop::bool::weighted(0.1),
        ),
        any::<bool>(),
        8usize..300,
        damage,
        prop::bool::weighted(0.2),
    );
    (what, how).prop_map(
        |(
            (client, is_outbound, seq, ack, flags),
            (options, shape, has_udp_checksum, len, damage, ends_batch),
        )| Step {
            client,
            is_outbound,
            seq,
            ack,
            flags,
            options: padded(options),
            shape,
            has_udp_checksum,
            len,
            damage,
            ends_batch,
        },
    )
}

fn padded(mut options: Vec<Opt>) -> Vec<Opt> {
    let len = option_bytes(&options).len();
    options.push(Opt::Nop(len.next_multiple_of(4) - len));
    options
}

/// Director and reference side by side.
struct Pair {
    director: Director,
    protocol: Protocol,
    fwdmode: FwdMode,
    sessions: HashMap<u16, Session>,
    /// Each packet's payload begins with a number of its own.
    next_number: u64,
}

/// A packet that was given to the director.
struct Given {
    number: u64,
    client: u16,
    is_outbound: bool,
    packet: Packet,
    damage: Damage,
}

impl Pair {
    fn new(protocol: Protocol, fwdmode: FwdMode) -> Self {
        let setup = Setup {
            protocol,
            fwdmode,
            dests: DESTS.to_vec(),
            laddrs: vec!["192.168.100.200", "192.168.100.201"],
            ..Setup::default()
        };
        let mut director = setup.build();
        for client in 0..CLIENTS {
            let addr = std::net::IpAddr::from(client_end(client).0);
            director.neighbours.add_static(IfIndex(2), addr, CLIENT_MAC);
        }
        director.publish();
        Self {
            director,
            protocol,
            fwdmode,
            sessions: HashMap::new(),
            next_number: 0,
        }
    }

    /// The packet of a step, if there can be one: dests only answer.
    fn give(&mut self, step: &Step) -> Option<Given> {
        let session = self.sessions.get(&step.client);
        let (src, dst) = if step.is_outbound {
            let session = session.filter(|_| self.fwdmode != FwdMode::DirectRoute)?;
            (session.dest, session.local)
        } else {
            (client_end(step.client), VIP_END)
        };
        let toa_ack = session.and_then(|session| session.toa_until);
        let tcp = (self.protocol == Protocol::Tcp).then(|| Tcp {
            seq: step.seq,
            ack: step.ack.or(toa_ack).unwrap_or(77),
            syn: step.flags & 1 != 0,
            ack_flag: step.flags & 2 != 0,
            fin: step.flags & 4 != 0,
            rst: step.flags & 8 != 0,
            options: step.options.clone(),
        });
        let number = self.next_number;
        self.next_number += 1;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(step.len, 0x5a);
        let (ttl, tos, identification, dont_fragment, has_ip_options) = step.shape;
        let packet = Packet {
            src,
            dst,
            ttl,
            identification,
            tos,
            dont_fragment,
            has_ip_options,
            tcp,
            has_udp_checksum: step.has_udp_checksum,
            payload,
        };
        Some(Given {
            number,
            client: step.client,
            is_outbound: step.is_outbound,
            packet,
            damage: step.damage,
        })
    }

    /// Everything at once through the engine, then one by one through the reference.
    fn run_batch(&mut self, batch: &[Given]) {
        let packets: Vec<VecBuf> = batch.iter().map(frame_of).collect();
        let now = self.director.now;
        let engine = &mut self.director.engine;
        engine.process(
            now,
            Origin::Nic,
            packets.into_iter(),
            &mut self.director.wire,
        );
        self.director.check_that_every_packet_has_its_end();
        let sent = std::mem::take(&mut self.director.wire.sent);
        let mut sent: HashMap<u64, (PortId, Vec<u8>)> = sent
            .into_iter()
            .map(|(port, frame)| (number_of(&frame), (port, frame)))
            .collect();
        for given in batch {
            let sent = sent.remove(&given.number);
            self.check(given, sent);
        }
        assert!(sent.is_empty(), "packets that nobody gave: {sent:?}");
    }

    fn check(&mut self, given: &Given, sent: Option<(PortId, Vec<u8>)>) {
        let Given { packet, damage, .. } = given;
        let opens = packet.tcp.as_ref().is_none_or(Tcp::opens);
        let is_known = self.sessions.contains_key(&given.client);
        let has_l4_checksum = packet.tcp.is_some() || packet.has_udp_checksum;
        let is_dropped = match damage {
            Damage::IpChecksum | Damage::TotalLength => true,
            Damage::L4Checksum => !is_known && has_l4_checksum,
            Damage::None => false,
        };
        if is_dropped || !is_known && !opens {
            assert!(sent.is_none(), "it had to be dropped: {packet:?}");
            return;
        }
        let (port, frame) = sent.unwrap_or_else(|| panic!("it was dropped: {packet:?}"));
        let expected = self.expected(given, &frame);
        let (expected_port, macs) = if given.is_outbound {
            (WAN, (WAN_MAC, CLIENT_MAC))
        } else {
            (LAN, (LAN_MAC, DEST_MAC))
        };
        assert_eq!(port, expected_port);
        let damaged = *damage == Damage::L4Checksum && has_l4_checksum;
        let expected = expected.frame(macs.0, macs.1);
        if damaged {
            self.check_still_wrong(&frame, &expected);
        } else {
            assert_eq!(frame, expected, "{packet:?}");
        }
    }

    /// What the reference makes of the packet; of a session's first, what only the director can know is read
    /// from what it sent.
    fn expected(&mut self, given: &Given, frame: &[u8]) -> Packet {
        let packet = &given.packet;
        let session = self
            .sessions
            .entry(given.client)
            .or_insert_with(|| learned(client_end(given.client), frame));
        if given.is_outbound {
            return session.outbound(packet, self.fwdmode);
        }
        let is_over = matches!(
            session.state,
            TcpState::None | TcpState::TimeWait | TcpState::Close
        );
        if let Some(tcp) = packet.tcp.as_ref().filter(|tcp| tcp.opens() && is_over)
            && self.fwdmode == FwdMode::FullNat
        {
            session.seq_delta = Seen::parse(frame).seq.wrapping_sub(tcp.seq);
            session.toa_until = None;
        }
        session.inbound(packet, self.fwdmode)
    }

    /// A checksum that was off by some number is off by the same number still.
    fn check_still_wrong(&self, frame: &[u8], right: &[u8]) {
        let header_len = usize::from(frame[14] & 15) * 4;
        let at = 14
            + header_len
            + if self.protocol == Protocol::Tcp {
                16
            } else {
                6
            };
        let field = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let off_by = (field(frame) + 0xffff - field(right)) % 0xffff;
        assert_eq!(off_by, OFF_BY % 0xffff);
        assert_eq!(
            (&frame[..at], &frame[at + 2..]),
            (&right[..at], &right[at + 2..])
        );
    }
}

/// By how much damaged checksums are off.
const OFF_BY: u32 = 0x1234;

fn client_end(client: u16) -> End {
    ([10, 0, 1, (client / 2) as u8], 40_000 + client)
}

fn end(text: &str) -> End {
    let end: std::net::SocketAddrV4 = text.parse().unwrap();
    (end.ip().octets(), end.port())
}

/// A session by the packet that opened it.
fn learned(client: End, frame: &[u8]) -> Session {
    let seen = Seen::parse(frame);
    Session {
        client,
        dest: end(&seen.dst),
        local: end(&seen.src),
        seq_delta: 0,
        state: TcpState::None,
        toa_until: None,
    }
}

fn frame_of(given: &Given) -> VecBuf {
    let (port, from, to) = if given.is_outbound {
        (LAN, DEST_MAC, LAN_MAC)
    } else {
        (WAN, CLIENT_MAC, WAN_MAC)
    };
    let mut frame = given.packet.frame(from, to);
    let header_len = usize::from(frame[14] & 15) * 4;
    match given.damage {
        Damage::None => {}
        Damage::IpChecksum => frame[14 + 10] ^= 0x40,
        Damage::TotalLength => frame[14 + 2] |= 0x40,
        Damage::L4Checksum => {
            let at = 14 + header_len + if given.packet.tcp.is_some() { 16 } else { 6 };
            let field = u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
            if given.packet.tcp.is_some() || given.packet.has_udp_checksum {
                // Never to 0, which UDP takes for none.
                let off = (field + OFF_BY - 1) % 0xffff + 1;
                frame[at..at + 2].copy_from_slice(&(off as u16).to_be_bytes());
            }
        }
    }
    VecBuf::new(port, &frame)
}

fn number_of(frame: &[u8]) -> u64 {
    let payload = Seen::parse(frame).payload;
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

fn compare(protocol: Protocol, fwdmode: FwdMode, steps: &[Step]) {
    let mut pair = Pair::new(protocol, fwdmode);
    let mut batch = Vec::new();
    for step in steps {
        batch.extend(pair.give(step));
        if step.ends_batch {
            pair.run_batch(&batch);
            batch.clear();
        }
    }
    pair.run_batch(&batch);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn full_nat_of_tcp(steps in prop::collection::vec(step(), 1..150)) {
        compare(Protocol::Tcp, FwdMode::FullNat, &steps);
    }

    #[test]
    fn full_nat_of_udp(steps in prop::collection::vec(step(), 1..150)) {
        compare(Protocol::Udp, FwdMode::FullNat, &steps);
    }

    #[test]
    fn nat_of_tcp(steps in prop::collection::vec(step(), 1..150)) {
        compare(Protocol::Tcp, FwdMode::Nat, &steps);
    }

    #[test]
    fn nat_of_udp(steps in prop::collection::vec(step(), 1..150)) {
        compare(Protocol::Udp, FwdMode::Nat, &steps);
    }

    #[test]
    fn dr_of_tcp_and_udp(steps in prop::collection::vec(step(), 1..150), is_tcp in any::<bool>()) {
        let protocol = if is_tcp { Protocol::Tcp } else { Protocol::Udp };
        compare(protocol, FwdMode::DirectRoute, &steps);
    }
}

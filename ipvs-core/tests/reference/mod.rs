//! The engine compared with a simple, slow reference: packets are records, sessions lie in a list,
//! and another library makes the checksums. The engine must send what the reference says, byte for
//! byte.

mod record;
mod session;
mod steps;

use std::collections::{HashMap, HashSet};

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

use record::{Opt, Packet, Tcp, blank, option_bytes};
use session::Session;
use steps::{Damage, Step, step};

type End = ([u8; 4], u16);

const VIP_END: End = ([10, 0, 0, 100], 80);
const DESTS: [&str; 3] = ["192.168.100.2:80", "192.168.100.3:8080", "192.168.100.4:80"];
const CLIENTS: u16 = 8;

/// The length of the TOA option, by which the MSS is lowered (RFC 9293, 3.7.1)
const TOA_LEN: u16 = 8;

/// The director and the reference, which get the same packets.
struct Pair {
    director: Director,
    protocol: Protocol,
    fwdmode: FwdMode,
    sessions: HashMap<u16, Session>,
    /// The number that the payload of the next packet begins with.
    next_number: u64,
    /// The resets of the director in this batch, the latest first
    resets: Vec<(PortId, Vec<u8>)>,
    /// How many more the director may send
    allowed_resets: i32,
    /// The identifications of packets that may be fragmented, with their addresses and protocol
    identifications: HashSet<Vec<u8>>,
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
            resets: Vec::new(),
            allowed_resets: 100,
            identifications: HashSet::new(),
        }
    }

    /// The packet of a step. There is none if a dest would send before it was asked.
    fn give(&mut self, step: &Step) -> Option<Given> {
        let session = self.sessions.get(&step.client);
        let (src, dst) = if step.is_outbound {
            let session = session.filter(|_| self.fwdmode != FwdMode::DirectRoute)?;
            (session.dest, session.local)
        } else {
            (client_end(step.client), VIP_END)
        };
        let toa_ack = session.and_then(|session| session.toa_until);
        let mut numbers = (step.seq, step.ack.or(toa_ack).unwrap_or(77));
        // Half of the resets are near what the other end expects.
        if step.flags & 8 != 0 && step.seq & 1 == 0 {
            let next = session.map_or([0; 2], |session| session.next_seq);
            let delta = session.map_or(0, |session| session.seq_delta);
            let seq = next[usize::from(step.is_outbound)].wrapping_add(step.seq % 70_000);
            numbers = (seq, next[0].wrapping_add(delta));
        }
        let tcp = (self.protocol == Protocol::Tcp).then(|| Tcp {
            seq: numbers.0,
            ack: numbers.1,
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

    /// Gives all packets to the engine in one batch, then one by one to the reference.
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
        // The packets of clients and dests have a payload, and the director's own resets have none.
        let (resets, sent): (Vec<_>, Vec<_>) = sent
            .into_iter()
            .partition(|(_, frame)| Seen::parse(frame).payload.is_empty());
        self.resets = resets;
        self.resets.reverse();
        let mut sent: HashMap<u64, (PortId, Vec<u8>)> = sent
            .into_iter()
            .map(|(port, frame)| (number_of(&frame), (port, frame)))
            .collect();
        for given in batch {
            let sent = sent.remove(&given.number);
            self.check(given, sent);
        }
        assert!(sent.is_empty(), "packets that nobody gave: {sent:?}");
        assert!(
            self.resets.is_empty(),
            "resets of nothing: {:?}",
            self.resets
        );
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
            if !is_dropped {
                self.check_reset(packet, *damage == Damage::L4Checksum);
            }
            return;
        }
        let (port, frame) = sent.unwrap_or_else(|| panic!("it was dropped: {packet:?}"));
        let expected = self.expected(given, &frame);
        let expected = self.with_identification(expected, &frame);
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

    /// RFC 6864, 4.3: a packet that may be fragmented has an identification of its own among those
    /// with the same addresses and protocol, whatever that of its sender was.
    fn with_identification(&mut self, expected: Packet, frame: &[u8]) -> Packet {
        if expected.dont_fragment || self.fwdmode == FwdMode::DirectRoute {
            return expected;
        }
        let (identification, protocol, addrs) = (&frame[18..20], frame[23], &frame[26..34]);
        let key = [identification, &[protocol], addrs].concat();
        assert!(self.identifications.insert(key), "{frame:?}");
        Packet {
            identification: u16::from_be_bytes([frame[18], frame[19]]),
            ..expected
        }
    }

    /// RFC 9293, 3.10.7.1: a segment that belongs to no conn is answered by a reset, unless it is
    /// one. In a burst there are 100 at most.
    fn check_reset(&mut self, packet: &Packet, is_damaged: bool) {
        let Some(tcp) = packet.tcp.as_ref().filter(|tcp| !tcp.rst) else {
            return;
        };
        self.allowed_resets -= 1;
        if self.allowed_resets < 0 || is_damaged {
            return;
        }
        let (_, frame) = self.resets.pop().expect("a reset");
        let seen = Seen::parse(&frame);
        let len = packet.payload.len() as u32 + u32::from(tcp.syn) + u32::from(tcp.fin);
        let expected = if tcp.ack_flag {
            (tcp.ack, 0, "R")
        } else {
            (0, tcp.seq.wrapping_add(len), "RA")
        };
        assert_eq!((seen.seq, seen.ack, seen.flags.as_str()), expected);
        assert_eq!((end(&seen.src), end(&seen.dst)), (packet.dst, packet.src));
        assert!(seen.checksums_right);
    }

    /// The packet that the reference expects. For the first one of a session it reads what the
    /// director chose from what that sent.
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

    /// A checksum that was wrong by some number must still be wrong by that number.
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

/// By how much a damaged checksum is wrong.
const OFF_BY: u32 = 0x1234;

fn client_end(client: u16) -> End {
    ([10, 0, 1, (client / 2) as u8], 40_000 + client)
}

fn end(text: &str) -> End {
    let end: std::net::SocketAddrV4 = text.parse().unwrap();
    (end.ip().octets(), end.port())
}

/// A session, read from the first packet that the director sent for it.
fn learned(client: End, frame: &[u8]) -> Session {
    let seen = Seen::parse(frame);
    Session {
        client,
        dest: end(&seen.dst),
        local: end(&seen.src),
        seq_delta: 0,
        state: TcpState::None,
        toa_until: None,
        is_in_handshake: false,
        next_seq: [0; 2],
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
                // The damaged checksum must not be 0, which UDP takes for none.
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

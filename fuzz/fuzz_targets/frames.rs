//! Sends frames into the engine. Whatever they are, the engine must not panic, and every packet
//! must have its end.
//!
//! The input begins with two bytes:
//! * bit 0: UDP instead of TCP; bit 1: a conn is open already; bits 2 and 3: the families; bits 4
//!   to 7: the forwarding mode;
//! * the options of the service, see `set_options`; bit 7 turns UDP into SCTP.
//!
//! Then come the frames, each behind a byte for its port and two bytes for its length. Bit 7 of the
//! port's byte lets time pass after the frame; bit 6 puts the frame into one batch with the next.

#![no_main]

use ipvs_core::{
    Encapsulation, FwdMode, Origin, Persistence, Protocol, ProxyProtocol, Service, SynProxy,
    UoaOptions,
};
use libfuzzer_sys::fuzz_target;
use packet::PortId;
use packet::proxy::Version;
use packet::uoa::Mode;
use testkit::VecBuf;
use testkit::director::{
    CLIENT, CLIENT6, DEST, DEST6, Director, FROM_CLIENT, LADDR, LADDR6, Setup, VIP, VIP6, WAN, Wire,
};
use testkit::frames::repair_ip;

const MODES: [FwdMode; 6] = [
    FwdMode::FullNat,
    FwdMode::Nat,
    FwdMode::DirectRoute,
    FwdMode::Tunnel(Encapsulation::IpIp),
    FwdMode::Tunnel(Encapsulation::Gre),
    FwdMode::Tunnel(Encapsulation::Gue(6080)),
];

/// Client, VIP, dest and local address: IPv4, NAT64, NAT46, IPv6.
const FAMILIES: [[&str; 4]; 4] = [
    [CLIENT, VIP, DEST, LADDR],
    [CLIENT6, VIP6, DEST, LADDR],
    [CLIENT, VIP, DEST6, LADDR6],
    [CLIENT6, VIP6, DEST6, LADDR6],
];

fn director(
    protocol: Protocol,
    fwdmode: FwdMode,
    [_, vip, dest, laddr]: [&'static str; 4],
) -> Director {
    let (dests, laddrs) = (vec![dest], vec![laddr]);
    Setup {
        protocol,
        fwdmode,
        vip,
        dests,
        laddrs,
        max_conns: 64,
        ..Setup::default()
    }
    .build()
}

/// Begins an SCTP association. A fuzzer would not guess the checksum of an INIT.
fn open_sctp(director: &mut Director, client: &str, vip: &str) {
    let mut frame = testkit::frames::udp(client, vip, &[0; 24], FROM_CLIENT);
    let is_v4 = frame[12..14] == [8, 0];
    let (protocol_at, l4_at) = if is_v4 { (23, 34) } else { (20, 54) };
    frame[protocol_at] = 132;
    if is_v4 {
        repair_ip(&mut frame);
    }
    let l4 = &mut frame[l4_at..];
    l4[4..].fill(0);
    l4[12..16].copy_from_slice(&[1, 0, 0, 20]);
    let (sport, dport) = packet::sctp::ports(l4).unwrap();
    // Rewriting the ports to others and back makes the checksum right.
    packet::sctp::rewrite(l4, sport ^ 1, dport);
    packet::sctp::rewrite(l4, sport, dport);
    director.receive(WAN, &frame);
    assert_eq!(director.engine.stats().conns.get(), 1);
}

/// Sets those options of the byte that control would accept.
fn set_options(service: &mut Service, options: u8, is_full_nat: bool) {
    let is_tcp = service.key.protocol == Protocol::Tcp;
    let wanted = &mut service.options;
    if options & 1 != 0 && is_tcp {
        wanted.syn_proxy = Some(SynProxy::Always);
    }
    if options & 2 != 0 && service.key.protocol != Protocol::Sctp {
        let version = if options & 4 != 0 && is_tcp {
            Version::V1
        } else {
            Version::V2
        };
        wanted.proxy_protocol = Some(ProxyProtocol {
            version,
            is_insecure: options & 8 != 0,
            is_in_each_datagram: options & 128 != 0,
        });
    } else if options & 16 != 0 && service.key.protocol == Protocol::Udp && is_full_nat {
        let mode = if options & 32 != 0 {
            Mode::IpOption
        } else {
            Mode::OwnProtocol
        };
        wanted.uoa = Some(UoaOptions { mode, max_trail: 3 });
    }
    wanted.persistence = (options & 64 != 0).then_some(Persistence {
        timeout_s: 300,
        prefix_len: 24,
    });
}

fuzz_target!(|data: &[u8]| {
    let [kind, options, rest @ ..] = data else {
        return;
    };
    let (kind, mut rest) = (*kind, rest);
    let protocol = match (kind & 1, options & 0x80) {
        (0, _) => Protocol::Tcp,
        (_, 0) => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    let ends = FAMILIES[usize::from(kind >> 2 & 3)];
    let fwdmode = MODES[usize::from(kind >> 4) % MODES.len()];
    let is_mixed = ends[1].contains('[') != ends[2].contains('[');
    if is_mixed && fwdmode == FwdMode::DirectRoute {
        return;
    }
    let mut director = director(protocol, fwdmode, ends);
    let is_rewritten = matches!(fwdmode, FwdMode::FullNat | FwdMode::Nat);
    if is_rewritten {
        director.edit(|service| set_options(service, *options, fwdmode == FwdMode::FullNat));
    }
    let has_cookies = is_rewritten && options & 1 != 0;
    if kind & 2 != 0 && protocol == Protocol::Tcp && fwdmode == FwdMode::FullNat && !has_cookies {
        director.open_between(ends[0], ends[1], ends[2]);
    }
    if kind & 2 != 0 && protocol == Protocol::Sctp {
        open_sctp(&mut director, ends[0], ends[1]);
    }
    let mut batch = Vec::new();
    while let [port, high, low, after @ ..] = rest {
        let len = (usize::from(*high) << 8 | usize::from(*low))
            .min(after.len())
            .min(2048);
        let (frame, next) = after.split_at(len);
        rest = next;
        batch.push(VecBuf::new(PortId(u16::from(port & 1)), frame));
        if port & 0x40 != 0 && !rest.is_empty() {
            continue;
        }
        director.engine.process(
            director.now,
            Origin::Nic,
            batch.drain(..),
            &mut director.wire,
        );
        if port & 0x80 != 0 {
            director.now.ns += 2_000_000_000;
            director.engine.housekeep(director.now, &mut director.wire);
        }
        director.check_that_every_packet_has_its_end();
        director.wire = Wire::default();
    }
});

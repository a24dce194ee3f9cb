//! Every forwarding mode with IPv6, and what IPv6 has instead of ARP, ICMP and IP options.

mod extension_headers;
mod icmp;
mod link_local;
mod malformed;
mod modes;
mod neighbours;
mod snat;
mod tunnel;

use std::sync::Arc;

use ipvs_core::{
    Access, Dest, DestId, DeviceName, FwdMode, Match, Plan, Protocol, SchedulerKind, Service,
    ServiceId, ServiceKey, ServiceOptions,
};
use testkit::director::*;
use testkit::frames;

const L2_LEN: usize = 14;

/// RFC 8200, 3
const HEADER_LEN: usize = 40;
const HOP_LIMIT_AT: usize = L2_LEN + 7;
const CLIENT_ADDR: &str = "2001:db8:1::48";
const VIP_ADDR: &str = "2001:db8:1::100";
const DEST_ADDR: &str = "2001:db8:100::2";

fn director(protocol: Protocol, fwdmode: FwdMode) -> Director {
    setup6(protocol, fwdmode).build()
}

fn syn() -> Vec<u8> {
    let segment = frames::tcp(CLIENT6, VIP6).flags("S").seq(1000);
    segment.options(&SYN_OPTIONS).frame(FROM_CLIENT)
}

fn question() -> Vec<u8> {
    frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT)
}

/// Puts extension headers between the IPv6 header and what followed it (RFC 8200, 4). Each is its
/// number and its bytes after the next header field.
fn extended(frame: &[u8], extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let (head, l4) = frame.split_at(L2_LEN + HEADER_LEN);
    let mut head = head.to_vec();
    let protocol = head[L2_LEN + 6];
    head[L2_LEN + 6] = extensions.first().map_or(protocol, |(number, _)| *number);
    let mut chain = Vec::new();
    for (at, (_, rest)) in extensions.iter().enumerate() {
        let next = extensions.get(at + 1);
        chain.push(next.map_or(protocol, |(number, _)| *number));
        chain.extend(*rest);
    }
    let len = (chain.len() + l4.len()) as u16;
    head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&len.to_be_bytes());
    [head, chain, l4.to_vec()].concat()
}

const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;

/// An options header of 8 bytes: PadN (RFC 8200, 4.2).
const PADDING: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

/// Cuts a datagram into fragments (RFC 8200, 4.5).
fn cut(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, l4) = frame.split_at(L2_LEN + HEADER_LEN);
    let count = l4.len().div_ceil(size);
    let part = |at: usize| &l4[at * size..l4.len().min((at + 1) * size)];
    (0..count)
        .map(|at| {
            let offset = (at * size) as u16 | u16::from(at + 1 < count);
            let [high, low] = offset.to_be_bytes();
            let whole = [head, part(at)].concat();
            extended(&whole, &[(FRAGMENT, &[0, high, low, 0, 0, 0x12, 0x67])])
        })
        .collect()
}

const HOST: &str = "[2001:db8:100::2]:40000";
const WORLD: &str = "[2001:db8:1::48]:80";

/// `-A -s rr -H af=ipv6,proto=P,src-range=2001:db8:100::-2001:db8:100::ffff,oif=dpdk1`
fn snat_director(protocol: Protocol) -> Director {
    let mut director = director(protocol, FwdMode::FullNat);
    let full_nat = director.snapshot.services.iter().next().unwrap();
    let laddrs = full_nat.laddrs.clone();
    let dests = vec![Dest {
        id: DestId(7),
        addr: LADDR6.parse().unwrap(),
        port: 0,
        fwdmode: FwdMode::Snat,
        ..full_nat.dests[0].clone()
    }];
    let matcher = Match {
        src: Some(ipvs_core::EndRange {
            addrs: (
                "2001:db8:100::".parse().unwrap(),
                "2001:db8:100::ffff".parse().unwrap(),
            ),
            ports: (0, 0),
        }),
        dst: None,
        iif: None,
        oif: DeviceName::new("dpdk1"),
    };
    let service = Service {
        id: ServiceId(3),
        key: ServiceKey {
            matcher: Some(matcher),
            ..ServiceKey::vip(protocol, std::net::Ipv6Addr::UNSPECIFIED.into(), 0)
        },
        scheduler: SchedulerKind::Rr,
        leaving: Vec::new(),
        plan: Plan::new(SchedulerKind::Rr, &dests),
        dests,
        laddrs,
        options: ServiceOptions::default(),
        access: Access::default(),
    };
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    director
}

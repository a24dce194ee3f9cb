//! Hosts behind SNAT.

use ipvs_core::{Command, Protocol, ServiceKey};
use testkit::frames::Seen;

use super::*;
use crate::modes::snat_director;

const HOST: &str = "192.168.100.2:40000";
const WORLD: &str = "10.0.0.48:80";

/// An echo reply (RFC 792), made of a request.
fn echo_reply(src: &str, dst: &str, macs: frames::Macs) -> Vec<u8> {
    let mut reply = frames::echo_request(src, dst, b"data", macs);
    reply[34] = 0;
    let sum = u16::from_be_bytes([reply[36], reply[37]]);
    let sum = packet::checksum::Delta::of_u16(0x0800, 0).apply(sum);
    reply[36..38].copy_from_slice(&sum.to_be_bytes());
    reply
}

/// iqiyi/dpvs#133: an echo reply that nobody asked for made a conn.
#[test]
fn an_echo_reply_of_a_host_makes_no_conn() {
    let mut director = snat_director(Protocol::Icmp);
    let reply = echo_reply("192.168.100.2", "10.0.0.48", FROM_DEST);
    assert_eq!(director.receive(LAN, &reply), []);
    assert!(director.conns().is_empty());
}

/// iqiyi/dpvs#134: a host pings the WAN address that it is hidden behind.
#[test]
fn a_host_that_pings_the_wan_address_is_answered_by_the_director() {
    let mut director = snat_director(Protocol::Icmp);
    let ping = frames::echo_request("192.168.100.2", LADDR, b"data", FROM_DEST);
    let reply = one(director.receive(LAN, &ping), LAN);
    assert_eq!((reply.icmp, reply.checksums_right), (Some((0, 0)), true));
    assert_eq!(
        (reply.src.as_str(), reply.dst.as_str()),
        (LADDR, "192.168.100.2")
    );
    assert!(director.conns().is_empty());
}

/// iqiyi/dpvs#115, #626: mtr sends echo requests with a small time to live. The first hop is the
/// director, and each router's error reaches the host.
#[test]
fn a_host_sees_every_hop_of_its_echo_requests() {
    let mut director = snat_director(Protocol::Icmp);
    let ping = frames::echo_request("192.168.100.2", "10.0.0.48", b"data", FROM_DEST);
    let mut first = ping.clone();
    first[22] = 1;
    frames::repair_ip(&mut first);
    let here = one(director.receive(LAN, &first), LAN);
    assert_eq!((here.icmp, here.checksums_right), (Some((11, 0)), true));
    assert_eq!(here.dst, "192.168.100.2");

    let (_, sent) = only(director.receive(LAN, &ping));
    let mut error = frames::unreachable("172.16.0.1", LADDR, &sent[L2_LEN..], FROM_CLIENT);
    error[34] = 11;
    error[35] = 0;
    let sum = u16::from_be_bytes([error[36], error[37]]);
    let sum = packet::checksum::Delta::of_u16(0x0303, 0x0b00).apply(sum);
    error[36..38].copy_from_slice(&sum.to_be_bytes());
    let hop = one(director.receive(WAN, &error), LAN);
    assert_eq!((hop.icmp, hop.checksums_right), (Some((11, 0)), true));
    assert_eq!(
        (hop.src.as_str(), hop.dst.as_str()),
        ("172.16.0.1", "192.168.100.2")
    );
    assert_eq!(
        hop.payload[20..28],
        ping[34..42],
        "its own request is quoted"
    );
}

/// iqiyi/dpvs#93: with rules flushed and restored under load, the process ended. Services, lists
/// and commands change between batches, with conns in every state.
#[test]
fn rules_that_come_and_go_under_load_leave_nothing_behind() {
    let mut director = snat_director(Protocol::Tcp);
    let all: Vec<_> = director.snapshot.services.iter().cloned().collect();
    let mut random = Random(93);
    for round in 0..3_000u32 {
        let host = format!("192.168.100.2:{}", 1024 + random.next(2_000));
        let flags = ["S", "A", "PA", "FA", "R"][random.next(5)];
        let segment = frames::tcp(&host, WORLD).flags(flags).seq(round).ack(1);
        for (port, frame) in director.receive(LAN, &segment.frame(FROM_DEST)) {
            if port == WAN && random.next(2) == 0 {
                let src = Seen::parse(&frame).src;
                let flags = ["SA", "A", "FA", "R"][random.next(4)];
                let back = frames::tcp(WORLD, &src).flags(flags).seq(7).ack(round + 1);
                director.receive(WAN, &back.frame(FROM_CLIENT));
            }
        }
        match random.next(12) {
            0 => {
                let keys: Vec<ServiceKey> = all.iter().map(|service| service.key).collect();
                keys.iter()
                    .for_each(|key| director.snapshot.services.remove(key));
                director.publish();
            }
            1 => {
                director.snapshot.services.insert_all(all.clone());
                director.publish();
            }
            2 => director.command(Command::EndConns(all[random.next(all.len())].dests[0].id)),
            3 => {
                drop(director.conns());
            }
            4 => {
                director.wait_s(1);
            }
            _ => {}
        }
        director.check_that_every_packet_has_its_end();
    }
    director.snapshot.services.insert_all(all);
    director.publish();
    director.wait_s(1_000);
    assert!(director.conns().is_empty());
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1);
    let seen = one(director.receive(LAN, &syn.frame(FROM_DEST)), WAN);
    assert!(seen.src.starts_with(LADDR) && seen.checksums_right);
}

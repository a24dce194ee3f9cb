//! Clients that nobody serves are told so: a TCP client that opens a conn by a reset (RFC 9293,
//! 3.10.7.1), any other by an ICMP error (RFC 1122, 4.1.3.1; RFC 4443, 3.1).

use std::sync::Arc;

use ipvs_core::{
    AddrSet, Defence, DropReason, FwdMode, OnUnserved, Protocol, Service, ServiceId, SynProxy,
};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use crate::modes::snat_director;

type Change = fn(&mut Service);

/// Why a service may make no conn, and the reason that is counted.
#[rstest]
#[case::no_dest(|service: &mut Service| service.dests.clear(), DropReason::NoDest)]
#[case::weight_0(|service: &mut Service| service.dests[0].weight = 0, DropReason::NoDest)]
#[case::no_laddr(|service: &mut Service| service.laddrs = [].into(), DropReason::NoLaddr)]
#[case::limit(|service: &mut Service| service.options.conn_limit = Some(0), DropReason::ConnLimit)]
#[case::rate(|service: &mut Service| service.options.conn_rate_limit = Some(0), DropReason::ConnRateLimit)]
#[case::denied(deny_all, DropReason::Denied)]
#[case::not_allowed(allow_nobody, DropReason::NotAllowed)]
fn a_client_that_nobody_serves_is_told(
    #[case] change: Change,
    #[case] reason: DropReason,
    #[values((CLIENT, VIP, DEST, LADDR), (CLIENT6, VIP6, DEST6, LADDR6))]
    (client, vip, dest, laddr): (&'static str, &'static str, &'static str, &'static str),
) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut director = Setup {
            protocol,
            vip,
            dests: vec![dest],
            laddrs: vec![laddr],
            ..Setup::default()
        }
        .build();
        director.edit(change);
        if protocol == Protocol::Tcp {
            let syn = frames::tcp(client, vip).flags("S").seq(1000);
            let reset = director.rejects(WAN, &syn.frame(FROM_CLIENT), reason);
            assert_eq!((reset.src.as_str(), reset.dst.as_str()), (vip, client));
            let numbers = (reset.seq, reset.ack, reset.flags.as_str());
            assert_eq!((numbers, reset.checksums_right), ((0, 1001, "RA"), true));
        } else {
            let ask = frames::udp(client, vip, b"ask", FROM_CLIENT);
            let error = director.rejects(WAN, &ask, reason);
            let port_unreachable = if client == CLIENT { (3, 3) } else { (1, 4) };
            assert_eq!(error.icmp, Some(port_unreachable));
            assert!(vip.contains(&error.src) && client.contains(&error.dst));
            assert_eq!(
                (error.payload.as_slice(), error.to),
                (&ask[14..], CLIENT_MAC)
            );
            assert!(error.checksums_right);
        }
        assert!(director.conns().is_empty());
    }
}

fn set_of(prefixes: &[&str]) -> AddrSet {
    let mut set = AddrSet::default();
    for prefix in prefixes {
        set.insert(prefix.parse().unwrap());
    }
    set
}

fn deny_all(service: &mut Service) {
    service.access.deny = Some(set_of(&["0.0.0.0/0", "::/0"]));
}

fn allow_nobody(service: &mut Service) {
    service.access.allow = Some(set_of(&["192.0.2.1/32"]));
}

#[test]
fn a_director_that_is_to_be_silent_tells_nobody() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut director = Setup {
            protocol,
            ..Setup::default()
        }
        .build();
        director.snapshot.defence = Defence {
            unserved: OnUnserved::Drop,
            ..Defence::default()
        };
        director.edit(|service: &mut Service| service.dests.clear());
        if protocol == Protocol::Tcp {
            let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
            director.refuses(WAN, &syn, DropReason::NoDest);
            let stray = frames::tcp(CLIENT, VIP).flags("A").frame(FROM_CLIENT);
            director.refuses(WAN, &stray, DropReason::TcpNotSyn);
        } else {
            let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
            director.refuses(WAN, &ask, DropReason::NoDest);
        }
    }
}

/// RFC 1812, 4.3.2.8
#[test]
fn errors_and_resets_are_limited() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut director = Setup {
            protocol,
            ..Setup::default()
        }
        .build();
        director.edit(|service: &mut Service| service.dests.clear());
        let frame = match protocol {
            Protocol::Tcp => frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT),
            _ => frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT),
        };
        let told = (0..1000).map(|_| director.receive(WAN, &frame).len());
        assert_eq!(told.sum::<usize>(), 100);
    }
}

/// The ports of all local addresses are in use, and so is the table.
#[test]
fn a_client_that_finds_everything_in_use_is_told() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        max_conns: 16,
        ..Setup::default()
    }
    .build();
    let mut told = 0;
    for port in 1..=40 {
        let client = format!("10.0.0.48:{port}");
        let sent = director.receive(WAN, &frames::udp(&client, VIP, b"ask", FROM_CLIENT));
        let (port, frame) = only(sent);
        told += usize::from(port == WAN);
        if port == LAN {
            let there = frames::Seen::parse(&frame);
            director.to_client(&frames::udp(DEST, &there.src, b"answer", FROM_DEST));
        }
    }
    let full = director.drops()[DropReason::ConnTableFull as usize];
    assert_eq!((told as u64, full > 0), (full, true));
}

/// The client has shaken hands with the director, and expects the number behind the cookie: RFC
/// 5961, 3.2.
#[test]
fn a_client_of_the_syn_proxy_that_nobody_serves_is_told() {
    let mut director = Setup::default().build();
    director.edit(|service: &mut Service| service.options.syn_proxy = Some(SynProxy::Always));
    let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    let syn_ack = one(director.receive(WAN, &syn.frame(FROM_CLIENT)), WAN);
    director.edit(|service: &mut Service| service.dests.clear());
    let ack = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(syn_ack.seq + 1);
    let reset = director.rejects(WAN, &ack.frame(FROM_CLIENT), DropReason::NoDest);
    let numbers = (reset.seq, reset.ack, reset.flags.as_str());
    assert_eq!(numbers, (syn_ack.seq + 1, 1001, "RA"));

    director.edit(deny_all);
    let reset = director.rejects(WAN, &syn.frame(FROM_CLIENT), DropReason::Denied);
    assert_eq!((reset.ack, reset.flags.as_str()), (1001, "RA"));
}

/// RFC 5508, REQ-8: a host whose flow gets no session hears that it is prohibited. TCP and UDP
/// hear what they understand best.
#[rstest]
#[case(Protocol::Tcp)]
#[case(Protocol::Udp)]
#[case(Protocol::Icmp)]
fn a_host_behind_snat_that_gets_no_conn_is_told(#[case] protocol: Protocol) {
    let mut director = snat_director(protocol);
    let snat = {
        let mut services = director.snapshot.services.iter();
        let snat = services.find(|service| service.id == ServiceId(3));
        let mut snat = Service::clone(snat.unwrap());
        snat.options.conn_limit = Some(0);
        snat
    };
    director.snapshot.services.insert_all([Arc::new(snat)]);
    director.publish();
    let (host, world) = ("192.168.100.2:40000", "10.0.0.48:80");
    let frame = match protocol {
        Protocol::Tcp => frames::tcp(host, world).flags("S").frame(FROM_DEST),
        Protocol::Udp => frames::udp(host, world, b"ask", FROM_DEST),
        _ => frames::echo_request("192.168.100.2", "10.0.0.48", b"ping", FROM_DEST),
    };
    let told = director.rejects(LAN, &frame, DropReason::ConnLimit);
    let (icmp, src) = match protocol {
        Protocol::Tcp => (None, world),
        Protocol::Udp => (Some((3, 3)), LADDR),
        _ => (Some((3, 13)), LADDR),
    };
    assert_eq!((told.icmp, told.src.as_str()), (icmp, src));
}

/// A dest that calls a client by FTP, or answers it, has its own tests; in the other modes too the
/// client is told.
#[test]
fn clients_are_told_in_every_mode() {
    for fwdmode in [FwdMode::Nat, FwdMode::DirectRoute] {
        let mut director = Setup {
            fwdmode,
            ..Setup::default()
        }
        .build();
        director.edit(|service: &mut Service| service.dests[0].weight = 0);
        let syn = frames::tcp(CLIENT, VIP).flags("S").seq(9);
        let reset = director.rejects(WAN, &syn.frame(FROM_CLIENT), DropReason::NoDest);
        assert_eq!((reset.ack, reset.flags.as_str()), (10, "RA"));
    }
}

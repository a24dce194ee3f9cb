//! From command lines to requests, and what is refused.

use std::net::IpAddr;

use proto::v1::FwdMode;

use super::endpoint::endpoint;
use super::*;
use crate::args::{self, parse};

fn line(text: &str) -> Line {
    parse(
        &text
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
    .unwrap()
}

fn refusal(text: &str) -> String {
    let line = line(text);
    args::check(&line)
        .and_then(|()| change(&line).map(drop))
        .unwrap_err()
        .text
}

#[test]
fn a_dest_without_a_port_takes_the_service_s() {
    let change = change(&line("-a -t 10.0.0.100:80 -r 192.168.100.2 -b"))
        .unwrap()
        .unwrap();
    let Some(v1::change::Change::AddDest(request)) = change.change else {
        panic!()
    };
    let dest = request.dest.unwrap();
    assert_eq!(
        (dest.port, dest.weight(), dest.fwd_mode()),
        (80, 1, FwdMode::FullNat)
    );
}

#[test]
fn complaints_are_ipvsadm_s() {
    assert_eq!(
        refusal("-A -s rr"),
        "You need to supply the 'service-address' option for the 'add-service' command"
    );
    assert_eq!(
        refusal("-a -t 1.1.1.1:80 -b"),
        "You need to supply the 'real-server' option for the 'add-server' command"
    );
    assert_eq!(
        refusal("-A -t 1.1.1.1:80 -r 2.2.2.2 -m"),
        "Illegal 'real-server' option with the 'add-service' command"
    );
    assert!(refusal("-A -t 1.1.1.1:65536").contains("invalid port '65536'"));
    assert!(refusal("-A -t 1.1.1.1").contains("no port in"));
    assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -g").contains("conflicts"));
    assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -w 65536").contains("0 to 65535"));
    assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -w -1").contains("0 to 65535"));
    assert_eq!(
        refusal("-A -t 1.1.1.1:80 -u 1.1.1.1:80"),
        "The option 'tcp-service' conflicts with the 'udp-service' option in the 'add-service' \
        command"
    );
    assert_eq!(
        refusal("--add-laddr -z 1.1.1.1 -t 2.2.2.2:80"),
        "You need to supply the 'ifname' option for the 'add-laddr' command"
    );
    assert_eq!(
        refusal("-C -t 1.1.1.1:80"),
        "Illegal 'tcp-service' option with the 'flush' command"
    );
    assert!(refusal("-D -t 1.1.1.1:80 extra").contains("'extra'"));
    assert!(refusal("-A -t 1.1.1.1:80 -s rr -s wrr").contains("given twice: rr and wrr"));
    assert_eq!(
        refusal("-l --stats --rate"),
        "The option 'stats' conflicts with the 'rate' option in the 'list' command"
    );
    let ipset = refusal("-U -t 1.1.1.1:80 -k ipset:bad");
    assert!(ipset.contains("-U SERVICE -k 192.0.2.0/24"), "{ipset}");
    assert!(refusal("-l --cpu 1").ends_with("is not supported yet"));
}

/// ipvsadm(8): "If a virtual service is to be persistent, a port of zero may be given, and is what
/// no port at all means."
#[test]
fn a_persistent_service_without_a_port_is_for_all_ports() {
    for text in [
        "-A -t 10.0.0.100 -p",
        "-E -t 10.0.0.100 -s wrr",
        "-D -t 10.0.0.100",
        "-l -t ::1",
    ] {
        let line = line(text);
        args::check(&line).unwrap();
        assert_eq!(service(&line).unwrap().unwrap().port, 0, "{text}");
    }
    let dest = change(&line("-a -t 10.0.0.100 -r 192.168.100.2 -g")).unwrap();
    let Some(v1::change::Change::AddDest(request)) = dest.unwrap().change else {
        panic!()
    };
    assert_eq!(request.service.unwrap().port, 0);
    assert_eq!(request.dest.unwrap().port, 0);
}

/// The tutorial's NAT section has `-A` where `-a` is meant. It must be refused.
#[test]
fn the_tutorial_s_slip_is_refused() {
    assert_eq!(
        refusal("-A -t 192.168.0.89:80 -r 10.140.18.33 -m"),
        "Illegal 'real-server' option with the 'add-service' command"
    );
}

#[test]
fn a_scheduler_reaches_the_daemon_with_its_flags_and_target() {
    let asked = |text: &str| {
        let change = change(&line(text)).unwrap().unwrap();
        let Some(v1::change::Change::AddService(service)) = change.change else {
            panic!()
        };
        let flags = service.scheduler_flags.join(" ");
        [service.scheduler, flags, service.hash_target]
    };
    assert_eq!(
        asked("-A -t 1.1.1.1:80 -s mh -b mh-fallback,mh-port"),
        ["mh", "mh-fallback mh-port", ""]
    );
    assert_eq!(
        asked("-A -u 1.1.1.1:443 -s conhash --hash-target qid"),
        ["conhash", "", "qid"]
    );
    assert!(refusal("-A -t 1.1.1.1:80 -s rr -b").starts_with("Illegal 'fullnat' option"));
}

#[test]
fn every_forwarding_mode_reaches_the_daemon() {
    for (flag, mode) in [
        ("-b", FwdMode::FullNat),
        ("--fullnat", FwdMode::FullNat),
        ("-g", FwdMode::Dr),
        ("-i", FwdMode::Tunnel),
        ("-m", FwdMode::Nat),
        ("-J", FwdMode::Snat),
        ("", FwdMode::Dr),
    ] {
        let text = format!("-a -t 10.0.0.100:80 -r 192.168.100.2:8080 {flag}");
        let change = change(&line(&text)).unwrap().unwrap();
        let Some(v1::change::Change::AddDest(request)) = change.change else {
            panic!()
        };
        let dest = request.dest.unwrap();
        assert_eq!((dest.fwd_mode(), dest.port), (mode, 8080), "{flag}");
    }
}

#[test]
fn endpoints_have_numbers_in_range() {
    let parsed = |text| endpoint(text, Protocol::Tcp);
    let six = "2001:db8::1".parse().unwrap();
    assert_eq!(parsed("[2001:db8::1]").unwrap(), (six, None));
    let addr = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(parsed("10.0.0.1").unwrap(), (addr, None));
    assert_eq!(parsed("10.0.0.1:80").unwrap(), (addr, Some(80)));
    assert_eq!(parsed("[::1]:80").unwrap().1, Some(80));
    // ipvsadm(8): "or the host name". RFC 6761 has both of these.
    assert!(parsed("localhost:80").unwrap().0.is_loopback());
    assert!(parsed("localhost").unwrap().0.is_loopback());
    for (wrong, part) in [
        ("10.0.0.1:65536", "invalid port '65536'"),
        ("10.0.0.1:", "invalid port ''"),
        ("10.0.0.1:-1", "invalid port '-1'"),
        ("10.0.0.1:no-such-port", "invalid port 'no-such-port'"),
        ("10.0.0:80", "invalid address"),
        ("no-such-host.invalid:80", "invalid address"),
        ("", "invalid address"),
    ] {
        let error = parsed(wrong).unwrap_err();
        assert!(
            error.status == 2 && error.text.contains(part),
            "{wrong}: {error}"
        );
    }
}

#[test]
fn timeouts_are_three_numbers() {
    let parsed = timeouts(&line("--set 90 3 300")).unwrap();
    assert_eq!((parsed.tcp_s, parsed.tcp_fin_s, parsed.udp_s), (90, 3, 300));
    for wrong in ["--set", "--set 90 3", "--set a b c"] {
        assert_eq!(timeouts(&line(wrong)).unwrap_err().status, 2, "{wrong}");
    }
    assert!(refusal("--set 1 2 3 4").contains("'4'"));
}

/// The fields that an edit names.
fn edit_mask(text: &str) -> Vec<String> {
    match change(&line(text)).unwrap().unwrap().change.unwrap() {
        v1::change::Change::EditService(service) => service.edit_mask,
        v1::change::Change::AddService(service) => service.edit_mask,
        v1::change::Change::EditDest(request) => request.dest.unwrap().edit_mask,
        other => panic!("{other:?}"),
    }
}

/// DPVS: -E changes what it names and nothing else.
#[test]
fn an_edit_names_the_fields_of_its_options() {
    for (text, fields) in [
        ("-E -t 10.0.0.100:80", &["key"][..]),
        ("-E -t 10.0.0.100:80 -s wrr", &["key", "scheduler"]),
        (
            "-E -t 10.0.0.100:80 -j enable",
            &["key", "syn_proxy", "syn_proxy_above"],
        ),
        ("-E -t 10.0.0.100:80 -p 0", &["key", "persistence_s"]),
        (
            "-E -t 10.0.0.100:80 -M 24",
            &["key", "persistence_prefix_len"],
        ),
        (
            "-E -u 10.0.0.100:80 --no-ops --no-expire-quiescent --adopt",
            &["key", "one_packet", "expire_quiescent", "no_adopt"],
        ),
        (
            "-E -u 10.0.0.100:53 --proxy-protocol-udp each",
            &["key", "proxy_protocol_udp"],
        ),
        (
            "-E -u 10.0.0.100:53 --proxy-protocol v2",
            &["key", "proxy_protocol"],
        ),
        ("-A -t 10.0.0.100:80 -s wrr", &[]),
        (
            "-e -t 10.0.0.100:80 -r 192.168.100.2 --tun-spread off",
            &["address", "tunnel_spread", "tunnel_spread_len"],
        ),
        (
            "-e -t 10.0.0.100:80 -r 192.168.100.2 -w 0",
            &["address", "weight"],
        ),
        (
            "-e -t 10.0.0.100:80 -r 192.168.100.2 -b -x 9",
            &[
                "address",
                "fwd_mode",
                "tunnel_type",
                "tunnel_port",
                "upper_threshold",
            ],
        ),
    ] {
        assert_eq!(edit_mask(text), fields, "{text}");
    }
    assert!(refusal("-A -t 10.0.0.100:80 -p 0").contains("from 1 on"));
    assert!(refusal("-E -u 10.0.0.100:80 --ops --no-ops").contains("conflicts"));
}

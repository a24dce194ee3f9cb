//! When persistence templates end.

use ipvs_core::{Command, DestId, DropReason, FwdMode, Persistence, Protocol, Service, ServiceKey};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

fn persistence(timeout_s: u32, prefix_len: u8) -> Option<Persistence> {
    Some(Persistence {
        timeout_s,
        prefix_len,
    })
}

fn udp() -> Director {
    let setup = Setup {
        protocol: Protocol::Udp,
        dests: vec!["192.168.100.2:80", "192.168.100.3:80"],
        ..Setup::default()
    };
    let mut director = setup.build();
    director.edit(|service| service.options.persistence = persistence(300, 32));
    director
}

fn ask(director: &mut Director, client: &str) {
    director.to_dest(&frames::udp(client, VIP, b"ask", FROM_CLIENT));
}

/// Persistent clients of all dests.
fn templates(director: &Director) -> u64 {
    let of = |dest| director.engine.stats().dest(DestId(dest));
    (0..2).map(|dest| of(dest).persistent_conns.get()).sum()
}

/// LVS, ip_vs_control_del: a template is held by its conns alone. Its service may change meanwhile.
#[rstest]
#[case::without_persistence(|service: &mut Service| service.options.persistence = None)]
#[case::with_another_mask(|service: &mut Service| service.options.persistence = persistence(300, 24))]
#[case::with_another_timeout(|service: &mut Service| service.options.persistence = persistence(900, 32))]
#[case::without_its_dests(|service: &mut Service| service.dests.clear())]
fn a_template_ends_with_its_conns_whatever_was_edited(#[case] edit: fn(&mut Service)) {
    let mut director = udp();
    ask(&mut director, CLIENT);
    assert_eq!(templates(&director), 1);
    director.edit(edit);
    director.wait_s(290);
    assert_eq!(templates(&director), 1, "the conn is there");
    // The conn ends after 300 s. The template lives a minute longer.
    director.wait_s(90);
    assert_eq!((director.states().len(), templates(&director)), (0, 0));
}

#[test]
fn a_template_ends_after_its_service_was_removed() {
    let mut director = udp();
    ask(&mut director, CLIENT);
    let key = ServiceKey::vip(Protocol::Udp, [10, 0, 0, 100].into(), 80);
    director.snapshot.services.remove(&key);
    director.publish();
    director.wait_s(390);
    assert_eq!((director.states().len(), templates(&director)), (0, 0));
}

/// The data conns of FTP are to ports without a service, and hold the template, too.
#[test]
fn the_data_conns_of_ftp_release_their_template() {
    let mut director = Setup {
        vip: "10.0.0.100:21",
        dests: vec!["192.168.100.2:21"],
        fwdmode: FwdMode::Nat,
        ..Setup::default()
    }
    .build();
    director.edit(|service| service.options.persistence = persistence(60, 32));
    director.open_between(CLIENT, "10.0.0.100:21", "192.168.100.2:21");
    let line = b"227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    let line = frames::tcp("192.168.100.2:21", CLIENT)
        .flags("PA")
        .seq(5001)
        .ack(1001)
        .payload(line);
    director.to_client(&line.frame(FROM_DEST));
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:51201").flags("S");
    director.to_dest(&data.frame(FROM_CLIENT));
    // A client that is denied gets nothing by them, either.
    director.edit(|service| {
        let mut set = ipvs_core::AddrSet::default();
        set.insert(inet::Prefix::host([10, 0, 0, 48].into()));
        service.access.deny = Some(set);
    });
    director.refuses(WAN, &data.frame(FROM_CLIENT), DropReason::Denied);
    director.wait_s(300);
    assert_eq!((director.states().len(), templates(&director)), (0, 0));
}

/// A dest that loses its conns loses its persistent clients: its id has to become free.
#[test]
fn a_dest_whose_conns_end_on_order_keeps_no_client() {
    let mut director = udp();
    for port in 1..=5 {
        ask(&mut director, &format!("10.0.0.{port}:1"));
    }
    assert_eq!(templates(&director), 5);
    director.edit(|service| service.dests.truncate(1));
    director.command(Command::EndConns(DestId(1)));
    director.wait_s(1);
    let of = |dest| {
        director
            .engine
            .stats()
            .dest(DestId(dest))
            .persistent_conns
            .get()
    };
    assert_eq!((of(0), of(1)), (3, 0));
}

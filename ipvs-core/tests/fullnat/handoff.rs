//! Several workers: a reply that comes to another worker than the owner of its conn is handed over.

use ipvs_core::{DropReason, Origin};
use testkit::director::*;
use testkit::frames::{self, Seen};

fn worker(worker: u16) -> Director {
    Setup {
        worker,
        workers: 3,
        ..Setup::default()
    }
    .build()
}

/// Hands what `from` redirected to the worker it is for.
fn hand_over(
    from: &mut Director,
    to: &mut Director,
    number: u16,
) -> Vec<(packet::PortId, Vec<u8>)> {
    let (worker, packet) = from.wire.redirected.pop().expect("a redirected packet");
    assert_eq!(worker, number);
    to.receive_from(Origin::Worker, packet)
}

#[test]
fn a_reply_is_handed_to_the_worker_that_owns_its_local_port() {
    let (mut owner, mut other) = (worker(2), worker(0));
    let syn = owner.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("S")
            .seq(1000)
            .frame(FROM_CLIENT),
    );
    let reply = frames::tcp(DEST, &syn.src)
        .flags("SA")
        .seq(1)
        .ack(syn.seq + 1)
        .frame(FROM_DEST);
    assert_eq!(other.receive(LAN, &reply), []);
    let sent = hand_over(&mut other, &mut owner, 2);
    assert_eq!(Seen::parse(&sent[0].1).ack, 1001);
}

#[test]
fn a_packet_is_handed_over_once() {
    let (mut owner, mut other) = (worker(1), worker(0));
    // Worker 1 owns this port, which has no conn.
    let mut ends = (2000..).map(|port| format!("{LADDR}:{port}"));
    let end = ends
        .find(|end| config::owner_of(3, DEST, end) == 1)
        .unwrap();
    let stray = frames::tcp(DEST, &end).flags("A").frame(FROM_DEST);
    other.receive(LAN, &stray);
    // RFC 9293, 3.10.7.1: the owner answers for the director.
    let reset = one(hand_over(&mut other, &mut owner, 1), LAN);
    assert_eq!((reset.flags.as_str(), reset.dst.as_str()), ("R", DEST));
    assert_eq!(owner.engine.stats().drops_by(DropReason::NoConn).get(), 1);
    assert_eq!(owner.engine.stats().redirected_in.get(), 1);
}

#[test]
fn an_error_from_the_client_s_side_goes_around_until_a_worker_knows_it() {
    let (mut first, mut second, mut owner) = (worker(0), worker(1), worker(2));
    let Opened { laddr, .. } = owner.open();
    let back = frames::tcp(VIP, CLIENT)
        .flags("A")
        .seq(5001)
        .ack(1001)
        .frame(FROM_CLIENT);
    let error = frames::unreachable("10.0.0.48", "10.0.0.100", &back[14..42], FROM_CLIENT);
    assert_eq!(first.receive(WAN, &error), []);
    assert_eq!(hand_over(&mut first, &mut second, 1), []);
    let sent = hand_over(&mut second, &mut owner, 2);
    let seen = Seen::parse(&sent[0].1);
    assert_eq!(
        format!("{}:{}", seen.src, laddr.rsplit_once(':').unwrap().1),
        laddr
    );
}

//! UDP, its checksums, and when a conn counts as answered.

use ipvs_core::{DestId, DropReason, Protocol};
use testkit::director::*;
use testkit::frames;

#[test]
fn udp_goes_there_and_back() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"question", FROM_CLIENT));
    assert_eq!(
        (
            there.dst.as_str(),
            there.payload.as_slice(),
            there.checksums_right
        ),
        (DEST, &b"question"[..], true)
    );
    let back = director.to_client(&frames::udp(DEST, &there.src, b"answer", FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.dst.as_str(), back.checksums_right),
        (VIP, CLIENT, true)
    );
    assert_eq!(director.states(), ["UDP_NORMAL"]);
}

/// RFC 768: a checksum of 0 means that there is none.
#[test]
fn udp_without_a_checksum_stays_without() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let mut frame = frames::udp(CLIENT, VIP, b"x", FROM_CLIENT);
    frame[40..42].fill(0);
    let sent = director.receive(WAN, &frame);
    assert_eq!(sent[0].1[40..42], [0, 0]);
}

#[test]
fn a_wrong_checksum_opens_no_conn_and_never_becomes_right() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let mut frame = frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT);
    *frame.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &frame, DropReason::UdpBadChecksum);
    director.to_dest(&frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT));
    assert!(!director.to_dest(&frame).checksums_right);

    let mut director = Setup::default().build();
    let mut syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    syn[50] ^= 1;
    director.refuses(WAN, &syn, DropReason::TcpBadChecksum);
}

/// A packet of the dest that was refused does not count as its answer. The first packet that
/// reaches the client does.
#[test]
fn a_dest_has_answered_with_the_first_packet_that_reaches_the_client() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let answer = |len| frames::udp(DEST, &there.src, &vec![0; len], FROM_DEST);
    for (len, conns) in [(1600, (0, 1)), (100, (1, 0)), (100, (1, 0))] {
        director.receive(LAN, &answer(len));
        let stats = director.engine.stats().dest(DestId(0));
        let counted = (stats.active_conns.get(), stats.inactive_conns.get());
        assert_eq!(counted, conns, "after {len} bytes");
    }
    assert_eq!(director.engine.stats().dest(DestId(0)).out_packets.get(), 2);
}

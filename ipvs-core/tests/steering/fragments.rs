//! Fragments: the NIC spreads them by their addresses, and the worker of the conn gets them.

use etherparse::Ipv4Header;
use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use super::{Lab, Queues, V4, packet};

/// Two fragments of a frame.
fn cut(frame: &[u8]) -> [Vec<u8>; 2] {
    let (header, payload) = Ipv4Header::from_slice(&frame[14..]).unwrap();
    [(0, 800), (800, payload.len())].map(|(from, to)| {
        let mut piece = header.clone();
        piece.dont_fragment = false;
        piece.more_fragments = to < payload.len();
        piece.fragment_offset = ((from / 8) as u16).try_into().unwrap();
        piece.set_payload_len(to - from).unwrap();
        piece.header_checksum = piece.calc_header_checksum();
        let mut bytes = frame[..14].to_vec();
        piece.write(&mut bytes).unwrap();
        bytes.extend_from_slice(&payload[from..to]);
        bytes
    })
}

/// A flow has one conn, whether its datagrams come whole or in pieces, both ways.
#[rstest]
fn whole_and_fragmented_datagrams_share_a_conn(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(1, 2, 3, 16)] workers: u16,
    #[values(Queues::Rss, Queues::Any)] queues: Queues,
) {
    let setup = V4.setup(Protocol::Udp, fwdmode, workers);
    let mut lab = Lab::new(&setup, queues);
    for port in 20_000..20_020 {
        let client = V4.client(port);
        let ask = packet(Protocol::Udp, (&client, VIP), "", FROM_CLIENT);
        let seen = lab.client_sends(&ask);
        // Fragments of one packet come to one queue: NICs hash their addresses.
        let queue = usize::from(port) % usize::from(workers);
        let long = frames::udp(&client, VIP, &[7; 1200], FROM_CLIENT);
        let sent = cut(&long).map(|piece| receive_at(&mut lab.workers, queue, WAN, &piece));
        assert_eq!(sent.concat().len(), 2);
        let answer = frames::udp(DEST, &seen.src, &[9; 1200], FROM_DEST);
        let sent = cut(&answer).map(|piece| receive_at(&mut lab.workers, queue, LAN, &piece));
        assert_eq!(sent.concat().len(), 2);
    }
    assert_eq!(lab.conns(), 20);
    assert_eq!(lab.dropped(), 0);
}

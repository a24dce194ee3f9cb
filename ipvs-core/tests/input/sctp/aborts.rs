//! SCTP's ABORT: which ones end a conn (RFC 9260, 8.5.1), and the one that a client gets whom
//! nobody serves (RFC 9260, 5.1).

use ipvs_core::{DropReason, FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{Macs, sctp_checksum};

use super::{packet_of, seen};

const L2_LEN: usize = 14;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const SHUTDOWN_COMPLETE: u8 = 14;
/// The tags that client and dest have chosen.
const OF_CLIENT: u32 = 0xc11e_0001;
const OF_DEST: u32 = 0xde57_0002;

fn l4_at(frame: &[u8]) -> usize {
    L2_LEN + if frame[12..14] == [8, 0] { 20 } else { 40 }
}

/// A packet with this verification tag, flags of its chunk, and initiate tag.
fn tagged(kind: u8, ends: (&str, &str), macs: Macs, tags: (u32, u8, u32)) -> Vec<u8> {
    let mut frame = packet_of(kind, ends.0, ends.1, macs);
    let at = l4_at(&frame);
    let l4 = &mut frame[at..];
    l4[4..8].copy_from_slice(&tags.0.to_be_bytes());
    l4[13] = tags.1;
    l4[16..20].copy_from_slice(&tags.2.to_be_bytes());
    let sum = sctp_checksum(l4);
    l4[8..12].copy_from_slice(&sum);
    frame
}

/// An association, and what the dest answers to.
fn open(fwdmode: FwdMode) -> (Director, String) {
    let mut director = Setup {
        protocol: Protocol::Sctp,
        fwdmode,
        ..Setup::default()
    }
    .build();
    let init = tagged(INIT, (CLIENT, VIP), FROM_CLIENT, (0, 0, OF_CLIENT));
    let (_, sent) = only(director.receive(WAN, &init));
    let (to, _) = seen(&sent);
    let answer = tagged(INIT_ACK, (DEST, &to), FROM_DEST, (OF_CLIENT, 0, OF_DEST));
    only(director.receive(LAN, &answer));
    assert_eq!(director.states(), ["ESTABLISHED"]);
    (director, to)
}

/// What is to end the association has the receiver's tag, or the sender's with the T bit.
#[rstest]
#[case::blind(0x1234_5678, 0, "ESTABLISHED")]
#[case::blind_with_t_bit(0x1234_5678, 1, "ESTABLISHED")]
#[case::of_the_other_end(OF_CLIENT, 0, "ESTABLISHED")]
#[case::of_the_receiver(OF_DEST, 0, "CLOSED")]
#[case::reflected(OF_CLIENT, 1, "CLOSED")]
fn an_abort_counts_by_its_tag(
    #[case] tag: u32,
    #[case] flags: u8,
    #[case] state: &str,
    #[values(ABORT, SHUTDOWN_COMPLETE)] kind: u8,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let (mut director, _) = open(fwdmode);
    let abort = tagged(kind, (CLIENT, VIP), FROM_CLIENT, (tag, flags, 0));
    assert_eq!(
        only(director.receive(WAN, &abort)).0,
        LAN,
        "it is passed on"
    );
    assert_eq!(director.states(), [state]);
}

#[rstest]
#[case::blind(7, "ESTABLISHED")]
#[case::of_the_receiver(OF_CLIENT, "CLOSED")]
fn so_does_one_of_the_dest(#[case] tag: u32, #[case] state: &str) {
    let (mut director, to) = open(FwdMode::FullNat);
    let abort = tagged(ABORT, (DEST, &to), FROM_DEST, (tag, 0, 0));
    assert_eq!(only(director.receive(LAN, &abort)).0, WAN);
    assert_eq!(director.states(), [state]);
}

#[rstest]
#[case::v4(CLIENT, VIP)]
#[case::v6(CLIENT6, VIP6)]
fn a_client_that_nobody_serves_gets_an_abort(#[case] client: &str, #[case] vip: &'static str) {
    let mut director = Setup {
        protocol: Protocol::Sctp,
        vip,
        ..Setup::default()
    }
    .build();
    director.edit(|service| service.dests.clear());
    let init = tagged(INIT, (client, vip), FROM_CLIENT, (0, 0, OF_CLIENT));
    let (port, abort) = only(director.receive(WAN, &init));
    assert_eq!(director.drops()[DropReason::NoDest as usize], 1);
    assert_eq!(port, WAN);
    assert_eq!(abort[..12], [CLIENT_MAC.0, WAN_MAC.0].concat());
    // `seen` checks both checksums.
    assert_eq!(seen(&abort), (vip.to_owned(), client.to_owned()));
    let l4 = &abort[l4_at(&abort)..];
    assert_eq!(l4[4..8], OF_CLIENT.to_be_bytes());
    assert_eq!(l4[12..], [ABORT, 0, 0, 4]);
}

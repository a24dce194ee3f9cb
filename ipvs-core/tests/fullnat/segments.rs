//! What becomes of TCP segments: addresses, numbers, options.

use ipvs_core::{DropReason, Protocol};
use testkit::director::*;
use testkit::frames::{self, Seen};

#[test]
fn a_syn_goes_from_a_local_address_to_the_dest() {
    let mut director = Setup::default().build();
    let Opened { syn, .. } = director.open();
    assert_eq!(syn.dst, DEST);
    assert!(syn.src.starts_with("192.168.100.200:"), "{}", syn.src);
    assert_eq!((syn.from, syn.to), (LAN_MAC, DEST_MAC));
    assert_eq!((syn.ttl, syn.flags.as_str()), (63, "S"));
    assert!(syn.checksums_right);
}

/// The SYN to the dest has no timestamps, and all other options.
#[test]
fn timestamps_are_stripped_from_the_syn() {
    let Opened { syn, .. } = Setup::default().build().open();
    assert_eq!(
        syn.options,
        [
            2, 4, 0x05, 0xb4, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7
        ]
    );
}

/// The director chooses the sequence numbers that the dest sees. The client sees its own.
#[test]
fn sequence_numbers_are_chosen_anew_and_translated_back() {
    let Opened {
        syn,
        syn_ack,
        isn_at_dest,
        ..
    } = Setup::default().build().open();
    assert_ne!(syn.seq, 1000);
    assert_eq!(isn_at_dest, syn.seq);
    assert_eq!((syn_ack.ack, syn_ack.seq), (1001, 5000));
    assert_eq!((syn_ack.src.as_str(), syn_ack.dst.as_str()), (VIP, CLIENT));
    assert!(syn_ack.checksums_right);
}

/// RFC 2018. SACK blocks of the dest have the numbers that the dest knows. The client needs its
/// own.
#[test]
fn sack_blocks_are_translated() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    let block = |at: u32| at.to_be_bytes();
    let sack = [
        &[1, 1, 5, 10][..],
        &block(isn_at_dest + 100),
        &block(isn_at_dest + 200),
    ]
    .concat();
    let reply = frames::tcp(DEST, &laddr)
        .flags("A")
        .seq(5001)
        .ack(isn_at_dest + 1)
        .options(&sack);
    let seen = director.to_client(&reply.frame(FROM_DEST));
    assert_eq!(
        seen.options,
        [&[1, 1, 5, 10][..], &block(1100), &block(1200)].concat()
    );
    assert!(seen.checksums_right);
}

#[test]
fn a_packet_too_large_for_its_way_is_refused() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        lan_mtu: 1000,
        ..Setup::default()
    }
    .build();
    let large = frames::udp(CLIENT, VIP, &[0; 1200], FROM_CLIENT);
    let sent = director.receive(WAN, &large);
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::MtuExceeded)
            .get(),
        1
    );
    // RFC 1191: the sender is told the MTU that fits.
    let [(WAN, error)] = &sent[..] else {
        panic!("{} frames", sent.len())
    };
    let error = Seen::parse(error);
    assert_eq!(
        (error.icmp, error.dst.as_str(), error.checksums_right),
        (Some((3, 4)), "10.0.0.48", true)
    );
}

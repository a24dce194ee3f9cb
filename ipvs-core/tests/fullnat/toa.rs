//! The TCP option that tells dests the client (TOA), as DPVS writes it: kind 254, length 8, port
//! and address of the client.

use testkit::director::*;
use testkit::frames;

use super::TOA;

/// The MSS that the client sees leaves room for TOA.
#[test]
fn the_mss_of_the_syn_ack_is_lowered_by_the_toa_option() {
    let Opened { syn_ack, .. } = Setup::default().build().open();
    assert_eq!(syn_ack.options, [2, 4, 0x05, 0xac]);
}

/// TOA is the first option of every segment that acknowledges nothing but the dest's SYN. The SYN
/// has none, nor have segments that acknowledge data of the dest.
#[test]
fn toa_is_on_the_segments_where_dpvs_puts_it() {
    let mut director = Setup::default().build();
    let Opened {
        ack,
        laddr,
        isn_at_dest,
        ..
    } = director.open();
    assert_eq!(ack.options, TOA);
    assert_eq!(
        (ack.seq, ack.ack, ack.total_len),
        (isn_at_dest + 1, 5001, 48)
    );
    assert!(ack.checksums_right);

    let data = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(5001)
        .payload(b"GET /");
    let data = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(
        (data.options.as_slice(), data.payload.as_slice()),
        (&TOA[..], &b"GET /"[..])
    );
    assert!(data.checksums_right);

    let reply = frames::tcp(DEST, &laddr)
        .flags("PA")
        .seq(5001)
        .ack(isn_at_dest + 6)
        .payload(b"200");
    assert_eq!(director.to_client(&reply.frame(FROM_DEST)).ack, 1006);
    let more = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1006)
        .ack(5004)
        .payload(b"more");
    assert_eq!(director.to_dest(&more.frame(FROM_CLIENT)).options, []);
    assert_eq!(director.engine.stats().toa_sent.get(), 2);
}

#[test]
fn toa_stands_before_the_client_s_own_options_and_a_forged_one_is_blanked() {
    let mut director = Setup::default().build();
    director.open();
    let forged = [254, 8, 0, 1, 1, 2, 3, 4];
    let data = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .options(&forged)
        .payload(b"x");
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.options, [&TOA[..], &[1; 8]].concat());
    assert!(seen.checksums_right);
}

/// If TOA does not fit into the options or the MTU, the segment is sent without it, and that is
/// counted.
#[test]
fn toa_that_does_not_fit_is_left_out_and_counted() {
    let mut director = Setup::default().build();
    director.open();
    let full = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .options(&[1; 40]);
    assert_eq!(director.to_dest(&full.frame(FROM_CLIENT)).options, [1; 40]);
    let large = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .payload(&[7; 1460]);
    let seen = director.to_dest(&large.frame(FROM_CLIENT));
    assert_eq!((seen.options.as_slice(), seen.total_len), (&[][..], 1500));
    let stats = director.engine.stats();
    assert_eq!(
        (
            stats.toa_no_space.get(),
            stats.toa_over_mtu.get(),
            stats.toa_sent.get()
        ),
        (1, 1, 1)
    );
}

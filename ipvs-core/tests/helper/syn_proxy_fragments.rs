//! The SYN proxy and fragments. Segments without DF may be cut anywhere on their way (RFC 791,
//! 2.3).

use ipvs_core::{FwdMode, Protocol, SynProxy};
use rstest::rstest;
use testkit::director::*;
use testkit::fragments::cut;
use testkit::frames::{self, Seen};

use super::syn_proxy::{cookie_for, director};
use crate::fragmentation::{Fragment, reassemble};

fn setup(vip: &'static str, dest: &'static str) -> Setup {
    Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![LADDR, LADDR6],
        ..Setup::default()
    }
}

/// A first fragment has the whole header. If it passed the SYN proxy, a flood of such SYNs would
/// fill the conn table and the dests' backlogs.
#[rstest]
fn a_syn_in_fragments_is_answered_by_a_cookie_and_opens_nothing(
    #[values((CLIENT, VIP, DEST), (CLIENT6, VIP6, DEST6), (CLIENT6, VIP6, DEST))]
    (client, vip, dest): (&str, &'static str, &'static str),
) {
    let mut director = director(setup(vip, dest), SynProxy::Always);
    let syn = frames::tcp(client, vip).flags("S").seq(1000);
    let syn = syn
        .options(&SYN_OPTIONS)
        .payload(&[7; 40])
        .frame(FROM_CLIENT);
    let fragments = cut(&syn, 40, 4711);
    let cookie = cookie_for(&mut director, &fragments[0]);
    assert!(director.conns().is_empty());
    assert_eq!(director.receive(WAN, &fragments[1]), []);

    let ack = frames::tcp(client, vip)
        .flags("A")
        .seq(1001)
        .ack(cookie.wrapping_add(1));
    let syn = director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!((syn.dst.as_str(), syn.flags.as_str()), (dest, "S"));
}

/// The client's ACK is lost, and its first data comes in fragments with the cookie.
#[rstest]
fn a_cookie_comes_back_in_a_first_fragment(
    #[values((CLIENT, VIP, DEST), (CLIENT6, VIP6, DEST6), (CLIENT6, VIP6, DEST))]
    (client, vip, dest): (&str, &'static str, &'static str),
) {
    let mut director = director(setup(vip, dest), SynProxy::Always);
    let syn = frames::tcp(client, vip).flags("S").seq(1000);
    let cookie = cookie_for(&mut director, &syn.options(&SYN_OPTIONS).frame(FROM_CLIENT));
    let data = frames::tcp(client, vip)
        .flags("PA")
        .seq(1001)
        .ack(cookie.wrapping_add(1));
    let data = data.payload(&[7; 100]).frame(FROM_CLIENT);
    let syn = director.to_dest(&cut(&data, 56, 4711)[0]);
    assert_eq!((syn.dst.as_str(), syn.flags.as_str()), (dest, "S"));
    assert!(syn.checksums_right && syn.payload.is_empty());
}

/// What a dest sends in fragments reaches the client with the cookie's numbers, also where a
/// fragment header of IPv6 comes before the segment (RFC 7915, 4.1).
#[rstest]
fn the_dest_s_fragments_carry_the_cookie_s_numbers(
    #[values((CLIENT, VIP, DEST), (CLIENT6, VIP6, DEST6), (CLIENT6, VIP6, DEST))]
    (client, vip, dest): (&str, &'static str, &'static str),
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Tcp,
        ..setup(vip, dest)
    };
    let mut director = director(setup, SynProxy::Always);
    let syn = frames::tcp(client, vip).flags("S").seq(1000);
    let cookie = cookie_for(&mut director, &syn.options(&SYN_OPTIONS).frame(FROM_CLIENT));
    let ack = frames::tcp(client, vip)
        .flags("A")
        .seq(1001)
        .ack(cookie.wrapping_add(1));
    let syn = director.to_dest(&ack.frame(FROM_CLIENT));
    let from_dest = frames::tcp(dest, &syn.src).ack(syn.seq.wrapping_add(1));
    let syn_ack = from_dest
        .clone()
        .flags("SA")
        .seq(5000)
        .options(&[2, 4, 5, 0xb4]);
    director.receive(LAN, &syn_ack.frame(FROM_DEST));

    let data = from_dest.flags("PA").seq(5001).payload(&[9; 200]);
    let fragments = cut(&data.frame(FROM_DEST), 96, 4711);
    let sent = fragments
        .iter()
        .map(|fragment| only(director.receive(LAN, fragment)).1);
    let sent: Vec<Vec<u8>> = sent.collect();
    let [(6, segment)] = &reassemble(&sent)[..] else {
        panic!("not one segment: {sent:02x?}")
    };
    let seq = u32::from_be_bytes(segment[4..8].try_into().unwrap());
    assert_eq!(seq, cookie.wrapping_add(1));
    assert!(is_right(&sent, segment));
}

/// Whether the checksum of the segment that these fragments are of is right.
fn is_right(fragments: &[Vec<u8>], segment: &[u8]) -> bool {
    let first = &fragments[0];
    let is_v4 = first[12..14] == [8, 0];
    let header_len = if is_v4 { 20 } else { 40 };
    let mut whole = [&first[..14 + header_len], segment].concat();
    if is_v4 {
        whole[20..22].fill(0);
    } else {
        whole[20] = Fragment::read(first).protocol;
    }
    Seen::parse(&testkit::fragments::with_right_length(whole)).checksums_right
}

//! ICMP errors that quote so much that their way does not take them (RFC 1812, 4.3.2.3: at most
//! 576 bytes; RFC 4443, 2.4 (c): at most 1280).

use ipvs_core::{DropReason, Encapsulation, FwdMode};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, director, payload};

const IPIP: FwdMode = FwdMode::Tunnel(Encapsulation::IpIp);
const GUE: FwdMode = FwdMode::Tunnel(Encapsulation::Gue(6080));
const ROUTER: &str = "10.0.0.1";
const ROUTER6: &str = "2001:db8:1::1";

/// A router's error about a long answer to the client, with an RFC 4884 length in its header.
fn long_error(director: &mut Director, vip: &str) -> Vec<u8> {
    let (client, router, to, len) = if vip == VIP {
        (CLIENT, ROUTER, "10.0.0.100", 1472)
    } else {
        (CLIENT6, ROUTER6, "2001:db8:1::100", 1452)
    };
    director.receive(WAN, &frames::udp(client, vip, b"ask", FROM_CLIENT));
    let answer = frames::udp(vip, client, &payload(len), FROM_DEST);
    let quoted_len = 1500 - if vip == VIP { 28 } else { 48 };
    let quoted = &answer[L2_LEN..][..quoted_len];
    let mut error = frames::unreachable(router, to, quoted, FROM_CLIENT);
    let icmp_at = L2_LEN + if vip == VIP { 20 } else { 40 };
    let length_at = icmp_at + if vip == VIP { 5 } else { 4 };
    let sum_at = icmp_at + 2;
    // RFC 1624: the length is in a word of its own, so the sum goes down by what the word goes up.
    let (length, is_low) = (32u16, vip == VIP);
    error[length_at] = length as u8;
    let old = u16::from_be_bytes([error[sum_at], error[sum_at + 1]]);
    let word = if is_low { length } else { length << 8 };
    let (sum, borrow) = old.overflowing_sub(word);
    let sum = sum.wrapping_sub(borrow.into());
    error[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    error
}

#[rstest]
#[case::ipip(IPIP, VIP, DEST, 1500, 20)]
#[case::gue(GUE, VIP, DEST, 1500, 32)]
#[case::over_ipv6(IPIP, VIP, DEST6, 1500, 40)]
#[case::of_ipv6(IPIP, VIP6, DEST6, 1500, 40)]
#[case::of_ipv6_over_ipv4(IPIP, VIP6, DEST, 1500, 20)]
#[case::dr(FwdMode::DirectRoute, VIP, DEST, 1400, 0)]
#[case::nat(FwdMode::Nat, VIP, DEST, 1400, 0)]
#[case::fullnat(FwdMode::FullNat, VIP, DEST, 1400, 0)]
#[case::fullnat_of_ipv6(FwdMode::FullNat, VIP6, DEST6, 1400, 0)]
fn a_long_error_is_cut_to_the_longest_that_it_may_be(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] lan_mtu: u16,
    #[case] outer_len: usize,
) {
    let mut director = director(fwdmode, vip, dest, lan_mtu);
    let error = long_error(&mut director, vip);
    let (port, sent) = only(director.receive(WAN, &error));
    assert_eq!(port, LAN);
    let longest = if vip == VIP { 576 } else { 1280 };
    assert_eq!(sent.len(), L2_LEN + outer_len + longest);
    // Behind outer headers the EtherType is that of the error.
    let inner = [&error[..L2_LEN], &sent[L2_LEN + outer_len..]].concat();
    let seen = Seen::parse(&inner);
    assert!(seen.checksums_right);
    assert_eq!(usize::from(seen.total_len), longest);
    let rest_at = L2_LEN + if vip == VIP { 24 } else { 44 };
    assert_eq!(
        inner[rest_at..rest_at + 4],
        [0; 4],
        "RFC 4884: no extensions"
    );
    let stats = director.engine.stats();
    assert_eq!(stats.drops_by(DropReason::TxQueueFull).get(), 0);
}

/// What fits goes on as it came, extensions and all.
#[test]
fn an_error_that_fits_is_not_cut() {
    let mut director = director(FwdMode::FullNat, VIP, DEST, 1500);
    let error = long_error(&mut director, VIP);
    let (_, sent) = only(director.receive(WAN, &error));
    assert_eq!((sent.len(), sent[L2_LEN + 25]), (error.len(), 32));
}

//! Frames that are cut, wrong or random.

use ipvs_core::{DropReason, FwdMode, Protocol};
use testkit::director::*;
use testkit::frames;

use super::{
    CLIENT_ADDR, DEST_ADDR, FRAGMENT, HEADER_LEN, HOP_BY_HOP, HOST, L2_LEN, PADDING, VIP_ADDR,
    WORLD, director, extended, question, snat_director, syn,
};

#[test]
fn frames_cut_anywhere_martians_and_wrong_checksums_are_dropped() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let syn = syn();
    for len in 0..syn.len() {
        let reason = if len < L2_LEN + HEADER_LEN {
            DropReason::FrameTooShort
        } else {
            DropReason::Ipv6Malformed
        };
        director.refuses(WAN, &syn[..len], reason);
    }
    for src in ["[::1]:1", "[::]:1", "[ff02::1]:1", "[::ffff:10.0.0.48]:1"] {
        let frame = frames::tcp(src, VIP6).flags("S").frame(FROM_CLIENT);
        director.refuses(WAN, &frame, DropReason::Ipv6Martian);
    }
    let land = frames::tcp(VIP6, VIP6).flags("S").frame(FROM_CLIENT);
    director.refuses(WAN, &land, DropReason::LandAttack);
    let mut wrong = syn;
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &wrong, DropReason::TcpBadChecksum);
    director.open_between(CLIENT6, VIP6, DEST6);
}

/// Half of them are noise behind an IPv6 header, the others have a few bytes changed. Each has its
/// end.
#[test]
fn random_frames_do_no_harm() {
    let mut director = snat_director(Protocol::Udp);
    let stray = frames::udp("[2001:db8:100::200]:2000", DEST6, b"", FROM_DEST);
    let samples = [
        question(),
        extended(
            &question(),
            &[(HOP_BY_HOP, PADDING), (FRAGMENT, &[0, 0, 1, 0, 0, 0, 9])],
        ),
        extended(&question(), &[(FRAGMENT, &[0, 1, 0, 0, 0, 0, 9])]),
        frames::udp(HOST, WORLD, b"ask", FROM_DEST),
        frames::unreachable(DEST_ADDR, LADDR6, &stray[L2_LEN..], FROM_DEST),
        frames::echo_request(CLIENT_ADDR, VIP_ADDR, b"data", FROM_CLIENT),
        frames::neighbour_solicitation((CLIENT_ADDR, CLIENT_MAC), VIP_ADDR),
        frames::neighbour_advertisement((DEST_ADDR, DEST_MAC), (LADDR6, LAN_MAC)),
    ];
    director.withstand(&samples, 300_000);
    director.wait_s(400);
    director.to_dest(&question());
}

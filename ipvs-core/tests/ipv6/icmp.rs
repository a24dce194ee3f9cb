//! ICMPv6: errors about conns and of the director, and pings.

use ipvs_core::{DropReason, FwdMode, Protocol};
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{
    CLIENT_ADDR, DEST_ADDR, HEADER_LEN, HOP_LIMIT_AT, L2_LEN, VIP_ADDR, director, question,
};

/// RFC 4443, 3.3
#[test]
fn a_hop_limit_that_ends_here_is_answered_with_time_exceeded() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let mut last = question();
    last[HOP_LIMIT_AT] = 1;
    let answer = one(director.receive(WAN, &last), WAN);
    assert_eq!(
        (answer.icmp, answer.dst.as_str()),
        (Some((3, 0)), CLIENT_ADDR)
    );
    assert!(answer.checksums_right);
    assert_eq!(director.drops()[DropReason::TtlExpired as usize], 1);
}

/// An error about a packet to the dest reaches the client as an error about its own packet, and the
/// other way round.
#[test]
fn errors_about_both_directions_are_translated() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let (_, sent) = only(director.receive(WAN, &question()));
    let laddr = Seen::parse(&sent).src;
    let error = frames::unreachable(DEST_ADDR, LADDR6, &sent[L2_LEN..], FROM_DEST);
    let seen = director.to_client(&error);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert_eq!((seen.icmp, seen.checksums_right), (Some((1, 4)), true));
    let mut own = question();
    own[HOP_LIMIT_AT] -= 1;
    assert_eq!(
        seen.payload,
        own[L2_LEN..],
        "the client's own packet, checksum too"
    );

    let answer = frames::udp(DEST6, &laddr, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let error = frames::fragmentation_needed(
        "2001:db8:1::9",
        VIP_ADDR,
        1400,
        &back[L2_LEN..],
        FROM_CLIENT,
    );
    let seen = director.to_dest(&error);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (LADDR6, DEST_ADDR));
    assert_eq!((seen.icmp, seen.checksums_right), (Some((2, 0)), true));
    assert_eq!(
        seen.payload[8..],
        {
            let mut own = answer[L2_LEN..].to_vec();
            own[7] -= 1;
            own
        }[8..]
    );
}

#[test]
fn errors_that_are_cut_or_about_nothing_are_dropped() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let stray = frames::udp("[2001:db8:100::200]:2000", DEST6, b"", FROM_DEST);
    let about = |quoted: &[u8]| frames::unreachable(DEST_ADDR, LADDR6, quoted, FROM_DEST);
    director.refuses(LAN, &about(&stray[L2_LEN..]), DropReason::IcmpNoConn);
    for len in 0..HEADER_LEN + 8 {
        let cut = &stray[L2_LEN..][..len];
        director.refuses(LAN, &about(cut), DropReason::IcmpMalformed);
    }
    let mut wrong = about(&stray[L2_LEN..]);
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(LAN, &wrong, DropReason::IcmpBadChecksum);
}

/// RFC 4443, 4.2
#[test]
fn the_director_answers_pings_to_its_addresses() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let ping = frames::echo_request(CLIENT_ADDR, VIP_ADDR, b"data", FROM_CLIENT);
    let reply = one(director.receive(WAN, &ping), WAN);
    assert_eq!(
        (reply.icmp, reply.payload.as_slice()),
        (Some((129, 0)), &b"data"[..])
    );
    assert_eq!(
        (reply.src.as_str(), reply.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert!(reply.checksums_right);
    let other = frames::echo_request(CLIENT_ADDR, "2001:db8:1::99", b"", FROM_CLIENT);
    director.receive(WAN, &other);
    assert_eq!(director.wire.to_kernel.len(), 1);
}

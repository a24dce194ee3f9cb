//! What the director itself sends.

use ipvs_core::{DropReason, FwdMode, Protocol, SynProxy};
use rstest::rstest;
use testkit::fragments::{cut, with_right_length};
use testkit::frames::Seen;

use super::*;

fn syn_proxy(setup: &Setup) -> Director {
    let mut director = setup.build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    director
}

/// iqiyi/dpvs#924. RFC 9293, 3.1: an option that is sent back is agreed on. Multipath TCP (RFC
/// 8684, kind 30), Fast Open (RFC 7413, kind 34) and experiments (RFC 6994, kind 254) are not what
/// the SYN proxy can do.
#[rstest]
#[case::multipath(&[30, 12, 1, 0x81, 1, 2, 3, 4, 5, 6, 7, 8])]
#[case::fast_open(&[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1])]
#[case::smc(&[254, 6, 0xe2, 0xd4, 0xc3, 0xd9, 1, 1])]
#[case::user_timeout(&[28, 4, 0x80, 10])]
fn the_syn_proxy_reflects_no_option_that_it_does_not_know(
    #[case] option: &[u8],
    #[values((CLIENT, VIP), (CLIENT6, VIP6))] (client, vip): (&str, &'static str),
) {
    let setup = if vip == VIP6 {
        setup6(Protocol::Tcp, FwdMode::FullNat)
    } else {
        Setup::default()
    };
    let mut director = syn_proxy(&setup);
    let options = [&SYN_OPTIONS[..], option].concat();
    let syn = frames::tcp(client, vip)
        .flags("S")
        .seq(1000)
        .options(&options);
    let answer = one(director.receive(WAN, &syn.frame(FROM_CLIENT)), WAN);
    assert_eq!((answer.flags.as_str(), answer.ack), ("SA", 1001));
    let mut rest = answer.options.as_slice();
    while let [kind, len, ..] = *rest {
        if kind == 1 {
            rest = &rest[1..];
            continue;
        }
        assert!(matches!(kind, 2..=4), "option {kind}");
        rest = &rest[usize::from(len)..];
    }
}

/// iqiyi/dpvs#719: a client's kernel that knows nothing of the conn answers a cookie by a reset. A
/// flood of these filled the ring to the kernel, and BGP went down.
#[test]
fn resets_that_answer_cookies_do_not_go_to_the_kernel() {
    let mut director = syn_proxy(&Setup::default());
    for port in 1024..1224 {
        let client = format!("10.0.0.48:{port}");
        let cookie = one(director.receive(WAN, &syn_of(&client)), WAN).seq;
        let reset = frames::tcp(&client, VIP).flags("R").seq(1);
        director.receive(WAN, &reset.frame(FROM_CLIENT));
        let wrong = frames::tcp(&client, VIP).flags("A").seq(1).ack(cookie);
        director.receive(WAN, &wrong.frame(FROM_CLIENT));
    }
    assert!(director.wire.to_kernel.is_empty());
    assert!(director.conns().is_empty());
}

/// facebookincubator/katran#206: the error about a first fragment was a fragment itself.
/// RFC 1122, 3.2.2: no error is sent about a later fragment.
#[rstest]
fn errors_about_fragments_are_whole_and_about_the_first_one_only(
    #[values((CLIENT, VIP, DEST), (CLIENT6, VIP6, DEST6))] (client, vip, dest): (
        &str,
        &'static str,
        &'static str,
    ),
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![LADDR, LADDR6],
        ..Setup::default()
    };
    let mut director = setup.build();
    let mut datagram = frames::udp(client, vip, &[7; 100], FROM_CLIENT);
    let ttl_at = if client == CLIENT { 22 } else { 21 };
    datagram[ttl_at] = 1;
    let datagram = with_right_length(datagram);
    let answers: Vec<_> = cut(&datagram, 48, 4711)
        .iter()
        .map(|fragment| director.receive(WAN, fragment))
        .collect();
    let (_, error) = only(answers[0].clone());
    let seen = Seen::parse(&error);
    let time_exceeded = if client == CLIENT { (11, 0) } else { (3, 0) };
    assert_eq!(
        (seen.icmp, seen.checksums_right),
        (Some(time_exceeded), true)
    );
    if client == CLIENT {
        assert_eq!(
            u16::from_be_bytes([error[20], error[21]]) & 0x3fff,
            0,
            "offset and flag"
        );
    }
    assert_eq!((answers[1].len(), answers[2].len()), (0, 0));
}

/// iqiyi/dpvs#231, #783: the checksum of an echo reply was wrong behind an extension header (RFC
/// 8200, 8.1: the pseudo header has the ICMPv6 header's own length and next header).
#[test]
fn a_ping_with_an_extension_header_is_answered_with_the_right_checksum() {
    let mut director = setup6(Protocol::Tcp, FwdMode::FullNat).build();
    let (from, to) = ("2001:db8:1::48", "2001:db8:1::100");
    let mut ping = frames::echo_request(from, to, b"data", FROM_CLIENT);
    let next = std::mem::replace(&mut ping[L2_LEN + 6], 60);
    ping.splice(L2_LEN + 40..L2_LEN + 40, [next, 0, 1, 4, 0, 0, 0, 0]);
    let reply = one(director.receive(WAN, &with_right_length(ping)), WAN);
    assert_eq!((reply.icmp, reply.checksums_right), (Some((129, 0)), true));
    assert_eq!((reply.src.as_str(), reply.dst.as_str()), (to, from));
    assert_eq!(reply.payload, b"data");
}

/// iqiyi/dpvs#963: a switch with a wrong entry asked one director, by that one's MAC address, for
/// the address of another, and got an answer. RFC 4861, 7.2.3: only the owner answers.
#[test]
fn nobody_answers_for_another_director_s_address() {
    let mut director = setup6(Protocol::Tcp, FwdMode::FullNat).build();
    let host = ("2001:db8:1::48", CLIENT_MAC);
    let mut asked = frames::neighbour_solicitation(host, "2001:db8:1::101");
    asked[..6].copy_from_slice(&WAN_MAC.0);
    assert_eq!(director.receive(WAN, &asked), []);
    let mut asked = frames::arp_request(("10.0.0.48", CLIENT_MAC), "10.0.0.101");
    asked[..6].copy_from_slice(&WAN_MAC.0);
    let mut director = Setup::default().build();
    assert_eq!(director.receive(WAN, &asked), []);
}

/// FDio/vpp#3106: a packet to a VIP, to a port without a service, ended the process.
#[rstest]
fn a_port_without_a_service_is_the_kernel_s(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
) {
    let setup = Setup {
        fwdmode,
        protocol,
        ..Setup::default()
    };
    let mut director = setup.build();
    let to = "10.0.0.100:81";
    for frame in [
        frames::tcp(CLIENT, to).flags("S").frame(FROM_CLIENT),
        frames::udp(CLIENT, to, b"", FROM_CLIENT),
    ] {
        assert_eq!(director.receive(WAN, &frame), []);
        assert_eq!(director.wire.to_kernel.pop(), Some(frame));
    }
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::NoService)
            .get(),
        0
    );
}

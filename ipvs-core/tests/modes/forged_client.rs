//! Dests with the modules of DPVS (kmod/toa, kmod/uoa) believe what TOA and UOA say. So in every
//! mode that rewrites, only the director says who the client is.

use ipvs_core::{DropReason, FwdMode, Protocol, ProxyProtocol};
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::L2_LEN;

/// TOA with the address 1.2.3.4, and TOA with an IPv6 address (DPVS, include/ipvs/proto_tcp.h).
const TOA: [u8; 8] = [254, 8, 0, 1, 1, 2, 3, 4];
const TOA6: [u8; 20] = [
    254, 20, 0, 1, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];
/// An option that overruns the header. The toa module reads the options before it.
const OVERRUN: [u8; 4] = [1, 1, 8, 10];

fn full_nat() -> Setup {
    Setup::default()
}

fn nat() -> Setup {
    Setup {
        fwdmode: FwdMode::Nat,
        ..Setup::default()
    }
}

fn nat64() -> Setup {
    Setup {
        dests: vec![DEST],
        laddrs: vec![LADDR],
        ..setup6(Protocol::Tcp, FwdMode::FullNat)
    }
}

/// A segment of a client with these options, and more that are padding.
fn claiming(client: &str, vip: &str, flags: &str, (seq, ack): (u32, u32), toa: &[u8]) -> Vec<u8> {
    let segment = frames::tcp(client, vip).flags(flags).seq(seq).ack(ack);
    segment.options(toa).frame(FROM_CLIENT)
}

fn is_blanked(seen: &Seen, toa: &[u8]) -> bool {
    seen.checksums_right && seen.options.ends_with(&vec![1; toa.len()])
}

/// With Fast Open, the module reads the SYN (RFC 7413, 4.2); otherwise the segment that ends the
/// handshake. Which one that is depends on what is lost behind the director.
#[rstest]
#[case(full_nat(), CLIENT, VIP, DEST)]
#[case(nat(), CLIENT, VIP, DEST)]
#[case(setup6(Protocol::Tcp, FwdMode::FullNat), CLIENT6, VIP6, DEST6)]
#[case(setup6(Protocol::Tcp, FwdMode::Nat), CLIENT6, VIP6, DEST6)]
#[case(nat64(), CLIENT6, VIP6, DEST)]
fn toa_of_a_client_is_blanked_until_the_dest_has_taken_the_handshake(
    #[case] setup: Setup,
    #[case] client: &str,
    #[case] vip: &str,
    #[case] dest: &str,
    #[values(&TOA[..], &TOA6)] toa: &[u8],
) {
    let mut director = setup.build();
    let syn = director.to_dest(&claiming(client, vip, "S", (1000, 0), toa));
    assert!(is_blanked(&syn, toa), "{syn:?}");
    let from_dest = frames::tcp(dest, &syn.src);
    let syn_ack = from_dest.clone().flags("SA").seq(5000).ack(syn.seq + 1);
    director.to_client(&syn_ack.frame(FROM_DEST));
    // Neither of these ends the handshake for sure: the first may be lost, the second acknowledges
    // what the dest has not sent.
    for (seq, ack) in [(1001, 5001), (1001, 5777), (1001, 5001)] {
        let seen = director.to_dest(&claiming(client, vip, "A", (seq, ack), toa));
        assert!(is_blanked(&seen, toa), "{ack}: {seen:?}");
    }
    // The dest answers what it does not want by an ACK of the SYN alone.
    let challenge = from_dest.flags("A").seq(5001).ack(syn.seq + 1);
    director.to_client(&challenge.frame(FROM_DEST));
    let seen = director.to_dest(&claiming(client, vip, "A", (1001, 5001), toa));
    assert!(is_blanked(&seen, toa), "{seen:?}");
}

/// As soon as the dest has said something, a conn of NAT needs nothing more.
#[rstest]
#[case::data(5001, 0, b"220 ready\r\n")]
#[case::acknowledgment(5001, 3, b"")]
fn an_answer_of_the_dest_ends_the_handshake(
    #[case] seq: u32,
    #[case] acked: u32,
    #[case] payload: &[u8],
) {
    let mut director = nat().build();
    director.open();
    let answer = frames::tcp(DEST, CLIENT)
        .flags("A")
        .seq(seq)
        .ack(1001 + acked);
    director.to_client(&answer.payload(payload).frame(FROM_DEST));
    let seen = director.to_dest(&claiming(CLIENT, VIP, "A", (1004, 5001), &[1, 1, 1, 0]));
    assert_eq!(seen.options, [1, 1, 1, 0]);
}

#[rstest]
fn an_option_that_overruns_does_not_save_toa(#[values(full_nat(), nat())] setup: Setup) {
    let mut director = setup.build();
    director.open();
    let options = [&TOA[..], &OVERRUN].concat();
    let seen = director.to_dest(&claiming(CLIENT, VIP, "A", (1001, 5001), &options));
    assert!(seen.options.ends_with(&[&[1; 8][..], &OVERRUN].concat()));
    assert!(seen.checksums_right);
}

/// A PROXY header says who the client is, and TOA must not say otherwise.
#[test]
fn toa_is_blanked_where_a_proxy_header_tells_the_client() {
    let mut director = full_nat().build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V2,
            is_insecure: false,
            is_in_each_datagram: false,
        });
    });
    director.open();
    let seen = director.to_dest(&claiming(CLIENT, VIP, "A", (1001, 5001), &TOA));
    assert!(is_blanked(&seen, &TOA));
}

/// In DR the dest sees the client's own packet. A director that rewrites nothing vouches for
/// nothing.
#[test]
fn dr_leaves_the_options_alone() {
    let setup = Setup {
        fwdmode: FwdMode::DirectRoute,
        ..Setup::default()
    };
    let seen = setup
        .build()
        .to_dest(&claiming(CLIENT, VIP, "S", (1000, 0), &TOA));
    assert_eq!(seen.options, TOA);
}

/// This frame with these IPv4 options, a multiple of 4 bytes.
fn with_ip_options(frame: &[u8], options: &[u8]) -> Vec<u8> {
    let (head, l4) = frame.split_at(L2_LEN + 20);
    let mut frame = [head, options, l4].concat();
    frame[L2_LEN] += (options.len() / 4) as u8;
    let total_len = (frame.len() - L2_LEN) as u16;
    frame[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&total_len.to_be_bytes());
    frames::repair_ip(&mut frame);
    frame
}

/// Router alert (RFC 2113) stays, UOA (DPVS, include/uoa.h) does not. Each datagram may change what
/// the uoa module believes.
#[rstest]
fn uoa_in_the_ip_options_of_a_client_is_blanked(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    const ALERT: [u8; 4] = [148, 4, 0, 0];
    const UOA: [u8; 8] = [0x1f, 8, 0, 1, 1, 2, 3, 4];
    let mut director = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let forged = with_ip_options(&ask, &[&ALERT[..], &UOA, &[0; 4]].concat());
    for _ in 0..2 {
        let (_, sent) = only(director.receive(WAN, &forged));
        let options = &sent[L2_LEN + 20..L2_LEN + 36];
        assert_eq!(options, [&ALERT[..], &[1; 8], &[0; 4]].concat());
        assert!(Seen::parse(&sent).checksums_right);
    }
}

/// UOA's own protocol, 248, is spoken to dests only.
#[rstest]
#[case(Setup { protocol: Protocol::Udp, ..Setup::default() }, CLIENT, VIP, L2_LEN + 9)]
#[case(setup6(Protocol::Udp, FwdMode::FullNat), CLIENT6, VIP6, L2_LEN + 6)]
fn uoa_s_own_protocol_to_a_vip_is_dropped(
    #[case] setup: Setup,
    #[case] client: &str,
    #[case] vip: &str,
    #[case] protocol_at: usize,
) {
    let mut director = setup.build();
    let mut forged = frames::udp(client, vip, &[0; 20], FROM_CLIENT);
    forged[protocol_at] = 248;
    if client == CLIENT {
        frames::repair_ip(&mut forged);
    }
    director.refuses(WAN, &forged, DropReason::ForgedUoa);
}

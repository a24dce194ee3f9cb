//! Frames with the VLAN ID 0 are untagged frames with a priority (IEEE 802.1Q, table 9-2).

use ipvs_core::{DropReason, FwdMode, Protocol, SynProxy};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

/// The frame with a tag of this VLAN and priority 5.
fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let control = (5 << 13 | vlan).to_be_bytes();
    [&frame[..12], &[0x81, 0], &control, &frame[12..]].concat()
}

/// All frames of the test's client and dest are tagged, and none of the director's.
#[rstest]
#[case(FwdMode::FullNat)]
#[case(FwdMode::Nat)]
fn tagged_frames_of_both_ends_are_forwarded_untagged(#[case] fwdmode: FwdMode) {
    for (setup, client, vip, dest) in [
        (
            Setup {
                fwdmode,
                ..Setup::default()
            },
            CLIENT,
            VIP,
            DEST,
        ),
        (setup6(Protocol::Tcp, fwdmode), CLIENT6, VIP6, DEST6),
    ] {
        let mut director = setup.build();
        let segment = |flags| frames::tcp(client, vip).flags(flags);
        let syn = director.to_dest(&tagged(&segment("S").seq(1000).frame(FROM_CLIENT), 0));
        assert_eq!((syn.dst.as_str(), syn.checksums_right), (dest, true));
        let answer = frames::tcp(dest, &syn.src).flags("SA").seq(5000);
        let answer = answer.ack(syn.seq + 1).frame(FROM_DEST);
        let answer = director.to_client(&tagged(&answer, 0));
        assert_eq!((answer.src.as_str(), answer.ack), (vip, 1001));
        let data = segment("PA").seq(1001).ack(5001).payload(b"GET");
        let data = director.to_dest(&tagged(&data.frame(FROM_CLIENT), 0));
        assert_eq!(data.payload, b"GET");
    }
}

#[rstest]
fn datagrams_and_modes_without_replies_are_alike(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        ..Setup::default()
    };
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let plain = only(setup.build().receive(WAN, &ask));
    assert_eq!(only(setup.build().receive(WAN, &tagged(&ask, 0))), plain);
}

/// Answers go back untagged, whoever makes them.
#[test]
fn arp_neighbour_discovery_echo_and_the_syn_proxy_answer_untagged() {
    let host = ("10.0.0.48", CLIENT_MAC);
    let host6 = ("2001:db8:1::48", CLIENT_MAC);
    let mut director = Setup::default().build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    let mut director6 = setup6(Protocol::Tcp, FwdMode::FullNat).build();
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let ping = |from, to| frames::echo_request(from, to, b"data", FROM_CLIENT);
    let asks = [
        frames::arp_request(host, "10.0.0.100"),
        ping(host.0, "10.0.0.100"),
        syn,
    ];
    let asks6 = [
        frames::neighbour_solicitation(host6, "2001:db8:1::100"),
        ping(host6.0, "2001:db8:1::100"),
    ];
    let asked = asks.iter().map(|ask| (true, ask));
    for (is_ipv4, frame) in asked.chain(asks6.iter().map(|ask| (false, ask))) {
        let director = if is_ipv4 {
            &mut director
        } else {
            &mut director6
        };
        let (port, answer) = only(director.receive(WAN, &tagged(frame, 0)));
        assert_eq!(port, WAN);
        assert_eq!(answer[..6], CLIENT_MAC.0);
        assert_eq!(answer[12..14], frame[12..14]);
    }
}

#[test]
fn a_neighbour_is_learned_from_a_tagged_answer() {
    let answer = frames::arp_reply(("10.0.0.49", CLIENT_MAC), ("10.0.0.100", WAN_MAC));
    let news_of = |frame: &[u8]| {
        let mut director = Setup::default().build();
        director.wire.events.clear();
        director.receive(WAN, frame);
        let event = director.wire.events.pop();
        let Some(ipvs_core::Event::Neighbour(news)) = event else {
            panic!("no news")
        };
        news
    };
    assert_eq!(news_of(&tagged(&answer, 0)), news_of(&answer));
}

#[test]
fn a_tag_changes_nothing_about_what_is_done_with_a_frame() {
    let mut director = Setup::default().build();
    let syn = frames::tcp(CLIENT, VIP).flags("S");
    let other = (CLIENT_MAC, MacAddr([2, 0, 0, 0, 9, 9]));
    director.refuses(WAN, &tagged(&syn.frame(other), 0), DropReason::NotForUs);
    let to_all = (CLIENT_MAC, MacAddr::BROADCAST);
    director.refuses(
        WAN,
        &tagged(&syn.frame(to_all), 0),
        DropReason::FrameToGroup,
    );
    let cut = &tagged(&syn.frame(FROM_CLIENT), 0)[..17];
    assert_eq!(director.receive(WAN, cut), []);
    let sent = director.to_dest(&tagged(&syn.frame(FROM_CLIENT), 0));
    assert_eq!(sent, {
        let mut director = Setup::default().build();
        director.to_dest(&syn.frame(FROM_CLIENT))
    });
}

/// They are of a network that the director knows nothing of.
#[test]
fn frames_of_other_vlans_go_to_the_kernel_as_they_came() {
    let mut director = Setup::default().build();
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    let frame = tagged(&syn, 7);
    assert_eq!(director.receive(WAN, &frame), []);
    assert_eq!(director.wire.to_kernel, [frame]);
    director.to_dest(&syn);
}

//! What holds for several modes.

use ipvs_core::{Dest, Encapsulation, FwdMode, Protocol};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::L2_LEN;

/// RFC 792. The sender of a packet that cannot be forwarded gets an error, also when earlier
/// packets of the conn were forwarded.
#[rstest]
fn later_packets_are_refused_as_first_ones_are(
    #[values(
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp),
        FwdMode::Tunnel(Encapsulation::Gre)
    )]
    fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        lan_mtu: 1000,
        ..Setup::default()
    };
    let mut director = setup.build();
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let mut expired = ask.clone();
    expired[L2_LEN + 8] = 1;
    frames::repair_ip(&mut expired);
    let large = frames::udp(CLIENT, VIP, &[0; 1000], FROM_CLIENT);
    for _ in 0..3 {
        assert_eq!(only(director.receive(WAN, &ask)).0, LAN);
        for (refused, icmp) in [(&expired, (11, 0)), (&large, (3, 4))] {
            let (port, error) = only(director.receive(WAN, refused));
            assert_eq!((port, Seen::parse(&error).icmp), (WAN, Some(icmp)));
        }
    }
    let stats = director.engine.stats().dest(ipvs_core::DestId(0));
    assert_eq!(stats.in_packets.get(), 3, "what was refused is not counted");
}

/// The dests of one service may differ in their mode. A conn has the mode of its dest.
#[test]
fn the_dests_of_a_service_may_differ_in_mode() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        dests: vec![DEST, "192.168.100.3:80", "192.168.100.4:80"],
        ..Setup::default()
    }
    .build();
    let mut service = (**director.snapshot.services.iter().next().unwrap()).clone();
    for (dest, mode) in
        service
            .dests
            .iter_mut()
            .zip([FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute])
    {
        *dest = Dest {
            fwdmode: mode,
            ..dest.clone()
        };
    }
    director.snapshot.services.insert_all([service.into()]);
    director.publish();
    let ends: Vec<_> = (40_001..=40_003)
        .map(|port| {
            let from = format!("10.0.0.48:{port}");
            let seen = director.to_dest(&frames::udp(&from, VIP, b"ask", FROM_CLIENT));
            (seen.src.rsplit_once(':').unwrap().0.to_owned(), seen.dst)
        })
        .collect();
    let expected = [
        (LADDR, DEST),
        ("10.0.0.48", "192.168.100.3:80"),
        ("10.0.0.48", VIP),
    ];
    assert_eq!(
        ends,
        expected.map(|(src, dst)| (src.to_owned(), dst.to_owned()))
    );
}

/// One-arm: clients and dests are behind the same device.
#[rstest]
#[case(FwdMode::Nat)]
#[case(FwdMode::DirectRoute)]
#[case(FwdMode::Tunnel(Encapsulation::IpIp))]
fn every_mode_works_on_one_arm(#[case] fwdmode: FwdMode) {
    let mut director = Setup {
        fwdmode,
        one_arm: true,
        ..Setup::default()
    }
    .build();
    let macs: (MacAddr, MacAddr) = (CLIENT_MAC, LAN_MAC);
    let frame = frames::tcp(CLIENT, VIP).flags("S").frame(macs);
    let (port, received) = only(director.receive(LAN, &frame));
    assert_eq!(port, LAN);
    assert_eq!(received[..12], [DEST_MAC.0, LAN_MAC.0].concat());
}

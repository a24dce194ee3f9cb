//! Sources that a packet from the wire cannot have, or must not have beyond its link.

use ipvs_core::{DropReason, FwdMode, Protocol, SynProxy};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

fn refuses(setup: &Setup, client: &str, vip: &str, reason: DropReason) {
    let mut director = setup.build();
    let frame = match setup.protocol {
        Protocol::Udp => frames::udp(client, vip, b"ask", FROM_CLIENT),
        _ => frames::tcp(client, vip).flags("S").frame(FROM_CLIENT),
    };
    director.refuses(WAN, &frame, reason);
    assert_eq!(director.states(), Vec::<&str>::new(), "{client}");
}

/// RFC 1812, 5.3.8, and RFC 1122, 3.2.1.3: nobody else has the director's addresses, and a
/// broadcast address is nobody's.
#[rstest]
fn own_and_broadcast_addresses_make_no_conn(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
) {
    let setup = Setup {
        fwdmode,
        protocol,
        ..Setup::default()
    };
    refuses(&setup, "192.168.100.200:4000", VIP, DropReason::OwnSource);
    refuses(&setup, "10.0.255.255:4000", VIP, DropReason::Ipv4Martian);
    let setup = setup6(protocol, fwdmode);
    let own = "[2001:db8:100::200]:4000";
    refuses(&setup, own, VIP6, DropReason::OwnSource);
}

/// RFC 4291, 2.5.6: no router forwards packets with a link-local source to another link. RFC 3927,
/// 2.7 says so of IPv4.
#[rstest]
fn link_local_clients_are_not_served(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
) {
    let setup = Setup {
        fwdmode,
        protocol,
        ..Setup::default()
    };
    let reason = DropReason::LinkLocalSource;
    refuses(&setup, "169.254.1.1:4000", VIP, reason);
    refuses(&setup6(protocol, fwdmode), "[fe80::1]:4000", VIP6, reason);
    refuses(&setup6(protocol, fwdmode), "[febf::1]:4000", VIP6, reason);
}

#[test]
fn the_syn_proxy_answers_no_impossible_source() {
    let mut director = Setup::default().build();
    director.edit(|service| service.options.syn_proxy = Some(SynProxy::Always));
    let syn = |src| frames::tcp(src, VIP).flags("S").frame(FROM_CLIENT);
    director.refuses(WAN, &syn("192.168.100.200:9"), DropReason::OwnSource);
    director.refuses(WAN, &syn("169.254.1.1:9"), DropReason::LinkLocalSource);
}

/// The kernel behind the director is on the same link: ssh to a link-local address works.
#[test]
fn link_local_packets_that_are_for_no_service_go_to_the_kernel() {
    let mut director = setup6(Protocol::Tcp, FwdMode::FullNat).build();
    let ssh = frames::tcp("[fe80::1]:4000", "[2001:db8:1::100]:22").flags("S");
    assert_eq!(director.receive(WAN, &ssh.frame(FROM_CLIENT)), []);
    assert_eq!(director.wire.to_kernel.len(), 1);
}

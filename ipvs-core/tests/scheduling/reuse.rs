//! A client opens a conn again from the same port, and its dest takes no new conns: LVS,
//! `conn_reuse_mode=1`.

use ipvs_core::{Command, DestId, FwdMode, Service};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const OTHER: &str = "192.168.100.3:80";
const OTHER_MAC: packet::MacAddr = DEST_MAC;

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        dests: vec![DEST, OTHER],
        ..Setup::default()
    };
    setup.build()
}

fn syn(seq: u32) -> Vec<u8> {
    frames::tcp(CLIENT, VIP)
        .flags("S")
        .seq(seq)
        .frame(FROM_CLIENT)
}

fn conns_of(director: &Director, dest: u32) -> u64 {
    director.engine.stats().dest(DestId(dest)).conns.get()
}

#[rstest]
fn a_closed_conn_whose_dest_takes_no_conns_is_scheduled_anew(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(drain, remove)] edit: fn(&mut Service),
) {
    let mut director = director(fwdmode);
    only(director.receive(WAN, &syn(1000)));
    let first = u32::from(conns_of(&director, 1) == 1);
    assert_eq!(first, 0);
    let reset = frames::tcp(CLIENT, VIP).flags("R").seq(1001);
    only(director.receive(WAN, &reset.frame(FROM_CLIENT)));
    director.edit(edit);
    let (port, frame) = only(director.receive(WAN, &syn(70_000)));
    assert_eq!((port, &frame[..6]), (LAN, &OTHER_MAC.0[..]));
    assert_eq!((conns_of(&director, 0), conns_of(&director, 1)), (1, 1));
    if fwdmode != FwdMode::DirectRoute {
        assert_eq!(Seen::parse(&frame).dst, OTHER);
    }
    assert_eq!(director.states().len(), 1, "the old conn is gone");
}

fn drain(service: &mut Service) {
    service.dests[0].weight = 0;
}

fn remove(service: &mut Service) {
    service.dests.remove(0);
}

/// The end of a dest's conns takes a while. A client that calls meanwhile from the port of a conn
/// that ends gets a new one, which the end does not meet.
#[test]
fn a_conn_that_is_told_to_end_gives_way_at_once() {
    let mut director = director(FwdMode::FullNat);
    let opened = director.open();
    director.edit(|service| {
        let mut back = service.dests.remove(0);
        back.id = DestId(7);
        service.dests = vec![back];
    });
    director.command(Command::EndConns(DestId(0)));
    let sent = director.receive(WAN, &syn(70_000));
    let [reset, syn] = &sent[..] else {
        panic!("{sent:?}");
    };
    let reset = Seen::parse(&reset.1);
    assert_eq!((&*reset.src, &*reset.flags), (&*opened.laddr, "RA"));
    let syn = Seen::parse(&syn.1);
    assert_eq!((&*syn.dst, &*syn.flags), (DEST, "S"));
    assert_eq!(director.wait_s(1), [], "no reset meets the new conn");
    assert_eq!(director.states(), ["SYN_SENT"]);
}

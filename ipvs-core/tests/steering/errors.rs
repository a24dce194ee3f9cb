//! ICMP errors find the conn of the packet that they quote, at any worker.

use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{Lab, Queues, V4, packet};

#[rstest]
fn errors_from_both_sides_find_their_conn(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(2, 3, 16)] workers: u16,
    #[values(Queues::Rss, Queues::Any)] queues: Queues,
) {
    let setup = V4.setup(Protocol::Udp, fwdmode, workers);
    let mut lab = Lab::new(&setup, queues);
    for port in 20_000..20_040 {
        let client = V4.client(port);
        let ask = packet(Protocol::Udp, (&client, VIP), "", FROM_CLIENT);
        let (_, sent) = only(lab.receive(WAN, &ask));
        let source = Seen::parse(&sent).src;
        let seen_as = source.rsplit_once(':').unwrap().0;
        // The dest says that nobody listens.
        let error = frames::unreachable("192.168.100.2", seen_as, &sent[14..42], FROM_DEST);
        assert_eq!(lab.dest_sends(&error).dst, "10.0.0.48");
        // The client says that of an answer.
        let answer = packet(Protocol::Udp, (DEST, &source), "", FROM_DEST);
        let (_, back) = only(lab.receive(LAN, &answer));
        let error = frames::unreachable("10.0.0.48", "10.0.0.100", &back[14..42], FROM_CLIENT);
        assert_eq!(lab.client_sends(&error).dst, "192.168.100.2");
    }
    assert_eq!(lab.dropped(), 0);
}

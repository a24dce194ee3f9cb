//! The configuration file has changed while the daemon runs.

use control::LiveConfig;
use ipvs_core::{Defence, ReturnPath, Timeouts};
use packet::nat64::Nat64Prefix;
use proto::v1;

use crate::common::*;

#[tokio::test]
async fn workers_get_what_has_changed_in_the_file_and_keep_what_commands_have_set() {
    let director = director().await;
    two_arm(&director).await;
    let mut ipvs = director.ipvs().await;
    let set = v1::Timeouts {
        tcp_s: 1000,
        ..v1::Timeouts::default()
    };
    ipvs.set_timeouts(set).await.unwrap();
    let before = LiveConfig::default();
    let after = LiveConfig {
        timeouts: Timeouts {
            udp_s: 17,
            sctp_s: 18,
            ..before.timeouts
        },
        defence: Defence {
            tcp_drop: true,
            ..before.defence
        },
        nat64_prefix: Nat64Prefix::new("2001:db8::".parse().unwrap(), 96).unwrap(),
        return_path: ReturnPath::Mac,
        neighbour_queue: 5,
        ..before
    };
    director.control.reconfigure(&before, &after).await;
    director
        .until_workers("the new settings", |worker| {
            let snapshot = &worker.snapshot;
            (snapshot.timeouts.udp_s, snapshot.timeouts.sctp_s) == (17, 18)
                && snapshot.defence == after.defence
                && snapshot.nat64_prefix == after.nat64_prefix
                && snapshot.return_path == after.return_path
                && worker.count(|seen| matches!(seen, Seen::LimitNeighbourQueue(5))) == 1
        })
        .await;
    let timeouts = ipvs.get_timeouts(v1::Empty {}).await.unwrap().into_inner();
    assert_eq!((timeouts.tcp_s, timeouts.udp_s), (1000, 17));
    assert_eq!(director.services().await.len(), 1);
}

//! Three unusual conditions at once: odd frames, odd services, changes between two packets. Each is
//! tested alone elsewhere. Here a client and a dest talk through a director under any three of
//! them, and what leaves the director must be sound whatever happens.

mod ends;
mod frame_twists;
mod receiver;
mod scene;
mod talk;

use ipvs_core::{Encapsulation, FwdMode};
use proptest::prelude::*;
use testkit::director::*;

use scene::{Scene, Twist, scene};
use talk::Talk;

const MODES: [FwdMode; 6] = [
    FwdMode::FullNat,
    FwdMode::Nat,
    FwdMode::DirectRoute,
    FwdMode::Tunnel(Encapsulation::IpIp),
    FwdMode::Tunnel(Encapsulation::Gre),
    FwdMode::Tunnel(Encapsulation::Gue(6080)),
];

/// Client, VIP, dest and local address: IPv4, NAT64, NAT46, IPv6.
const FAMILIES: [[&str; 4]; 4] = [
    [CLIENT, VIP, DEST, LADDR],
    [CLIENT6, VIP6, DEST, LADDR],
    [CLIENT, VIP, DEST6, LADDR6],
    [CLIENT6, VIP6, DEST6, LADDR6],
];

/// A whole talk, with a change in its middle.
fn talk_through(scene: &Scene) {
    let mut talk = Talk::new(scene);
    let first = talk.client.first();
    talk.exchange(first);
    talk.change();
    let more = [talk.client.goes_on(), talk.dest.goes_on()].concat();
    talk.exchange(more);
    if scene.has(Twist::ErrorsOfRouters) {
        talk.refuse();
    }
    let last = [talk.client.ends(), talk.dest.ends(), talk.client.first()].concat();
    talk.exchange(last);
    if scene.goes_well() {
        assert!(talk.dest_has_heard, "the dest heard nothing");
        let is_answered = !scene.is_rewritten() || talk.client_has_heard;
        assert!(is_answered, "the client heard nothing");
    }
    talk.wait_s(200);
    for worker in &talk.workers {
        assert_eq!(worker.engine.stats().held.get(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_leaves_the_director_is_sound_whatever_three_things_are_unusual(scene in scene()) {
        talk_through(&scene);
    }
}

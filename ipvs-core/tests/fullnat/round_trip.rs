//! Out and back through FullNAT, for any segments, options and losses: the client gets exactly the
//! bytes the server sent, under its own numbers, and the server the client's.

use proptest::prelude::*;
use testkit::director::*;
use testkit::frames::{self, Seen};

/// A segment of either end, in the client's numbers for what the client counts and in the server's
/// for what the server counts.
#[derive(Debug, Clone)]
struct Step {
    from_client: bool,
    /// Offset into the sender's own stream: segments repeat, overlap and overtake each other.
    at: u32,
    /// Offset that it acknowledges.
    acknowledges: u32,
    payload: Vec<u8>,
    options: Options,
    is_lost: bool,
}

#[derive(Debug, Clone)]
enum Options {
    None,
    /// NOPs and a SACK block of the peer's stream
    Sack(u32, u32),
    /// Whatever bytes
    Raw(Vec<[u8; 4]>),
}

fn step() -> impl Strategy<Value = Step> {
    let options = prop_oneof![
        3 => Just(Options::None),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Options::Sack(from.into(), to.into())),
        1 => prop::collection::vec(any::<[u8; 4]>(), 0..=10).prop_map(Options::Raw),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..64);
    (
        any::<bool>(),
        any::<u16>(),
        any::<u16>(),
        payload,
        options,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(from_client, at, acknowledges, payload, options, is_lost)| Step {
                from_client,
                at: at.into(),
                acknowledges: acknowledges.into(),
                payload,
                options,
                is_lost,
            },
        )
}

/// The options as the sender writes them, `base` being its peer's first number as it knows it.
fn write_options(options: &Options, base: u32) -> Vec<u8> {
    match options {
        Options::None => Vec::new(),
        Options::Sack(from, to) => {
            let edges = [
                base.wrapping_add(*from).to_be_bytes(),
                base.wrapping_add(*to).to_be_bytes(),
            ];
            [&[1, 1, 5, 10][..], &edges.concat()].concat()
        }
        Options::Raw(words) => words.concat(),
    }
}

/// Without TOA and without what a client claims to be one.
fn is_plain(options: &[u8]) -> bool {
    !options.contains(&254)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_ends_get_what_the_other_sent(steps in prop::collection::vec(step(), 1..40)) {
        let mut director = Setup::default().build();
        let Opened { laddr, isn_at_dest, .. } = director.open();
        let (client_isn, dest_isn) = (1000u32, 5000u32);
        for step in steps.into_iter().filter(|step| !step.is_lost) {
            let (own, peer) = if step.from_client { (client_isn, dest_isn) } else { (dest_isn, isn_at_dest) };
            let options = write_options(&step.options, peer);
            let (seq, ack) = (own.wrapping_add(1 + step.at), peer.wrapping_add(1 + step.acknowledges));
            let (src, dst, macs) = if step.from_client { (CLIENT, VIP, FROM_CLIENT) } else { (DEST, laddr.as_str(), FROM_DEST) };
            let frame = frames::tcp(src, dst).flags("PA").seq(seq).ack(ack).options(&options).payload(&step.payload).frame(macs);
            let seen: Seen = if step.from_client { director.to_dest(&frame) } else { director.to_client(&frame) };
            prop_assert!(seen.checksums_right);
            prop_assert_eq!(&seen.payload, &step.payload);
            if step.from_client {
                prop_assert_eq!((seen.seq, seen.ack), (isn_at_dest.wrapping_add(1 + step.at), ack));
                let kept = if seen.options.starts_with(&[254, 8]) { &seen.options[8..] } else { &seen.options[..] };
                if is_plain(&options) {
                    prop_assert_eq!(kept, &options[..]);
                }
            } else {
                prop_assert_eq!((seen.seq, seen.ack), (seq, client_isn.wrapping_add(1 + step.acknowledges)));
                if let Options::Sack(..) = step.options {
                    prop_assert_eq!(seen.options, write_options(&step.options, client_isn));
                }
            }
        }
    }
}

//! Random segments with random options through FullNAT, in both directions. The client must get
//! exactly the bytes that the dest sent, with the numbers that it knows, and so must the dest.

use proptest::prelude::*;
use testkit::director::*;
use testkit::frames::{self, Seen};

/// A segment of either end. Offsets are counted from the first byte of a stream.
#[derive(Debug, Clone)]
struct Step {
    from_client: bool,
    /// Offset into the sender's own stream: segments repeat, overlap and overtake each other.
    at: u32,
    /// The offset in the peer's stream that it acknowledges.
    acknowledges: u32,
    payload: Vec<u8>,
    options: Options,
    is_lost: bool,
}

#[derive(Debug, Clone)]
enum Options {
    None,
    /// NOPs, and a SACK block with offsets in the peer's stream
    Sack(u32, u32),
    /// Random bytes
    Raw(Vec<[u8; 4]>),
}

fn step() -> impl Strategy<Value = Step> {
    let options = prop_oneof![
        3 => Just(Options::None),
        2 => (any::<u16>(), any::<u16>())
            .prop_map(|(from, to)| Options::Sack(from.into(), to.into())),
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

/// The options as the sender writes them. `base` is the peer's first sequence number as the sender
/// knows it.
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

/// The options without TOA, and without an option of the client that looks like TOA.
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
            let ((own, peer), (src, dst, macs)) = if step.from_client {
                ((client_isn, dest_isn), (CLIENT, VIP, FROM_CLIENT))
            } else {
                ((dest_isn, isn_at_dest), (DEST, laddr.as_str(), FROM_DEST))
            };
            let options = write_options(&step.options, peer);
            let seq = own.wrapping_add(1 + step.at);
            let ack = peer.wrapping_add(1 + step.acknowledges);
            let segment = frames::tcp(src, dst).flags("PA").seq(seq).ack(ack);
            let frame = segment.options(&options).payload(&step.payload).frame(macs);
            let seen: Seen = if step.from_client {
                director.to_dest(&frame)
            } else {
                director.to_client(&frame)
            };
            prop_assert!(seen.checksums_right);
            prop_assert_eq!(&seen.payload, &step.payload);
            if step.from_client {
                prop_assert_eq!((seen.seq, seen.ack), (isn_at_dest.wrapping_add(1 + step.at), ack));
                let toa_len = if seen.options.starts_with(&[254, 8]) { 8 } else { 0 };
                let kept = &seen.options[toa_len..];
                if is_plain(&options) {
                    prop_assert_eq!(kept, &options[..]);
                }
            } else {
                let ack_at_client = client_isn.wrapping_add(1 + step.acknowledges);
                prop_assert_eq!((seen.seq, seen.ack), (seq, ack_at_client));
                if let Options::Sack(..) = step.options {
                    prop_assert_eq!(seen.options, write_options(&step.options, client_isn));
                }
            }
        }
    }
}

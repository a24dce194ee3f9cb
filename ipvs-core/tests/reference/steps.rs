//! Random steps: which packets come, and what is wrong with them.

use super::*;

/// One step of a test.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) client: u16,
    pub(super) is_outbound: bool,
    pub(super) seq: u32,
    /// The acknowledgment. `None` acknowledges the dest's SYN only, so that TOA goes on.
    pub(super) ack: Option<u32>,
    /// The flags S, A, F and R as bits
    pub(super) flags: u8,
    pub(super) options: Vec<Opt>,
    pub(super) shape: (u8, u8, u16, bool, bool),
    pub(super) has_udp_checksum: bool,
    pub(super) len: usize,
    pub(super) damage: Damage,
    pub(super) ends_batch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Damage {
    None,
    IpChecksum,
    TotalLength,
    /// The checksum is wrong. If the conn exists the packet is forwarded, and the checksum stays
    /// wrong (RFC 1624).
    L4Checksum,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let option = prop_oneof![
        (0usize..5).prop_map(Opt::Nop),
        any::<u16>().prop_map(Opt::Mss),
        Just(Opt::SackPermitted),
        any::<(u32, u32)>().prop_map(|(value, echo)| Opt::Timestamps(value, echo)),
        any::<(u32, u32)>().prop_map(|(from, to)| Opt::Sack(from, to)),
        any::<([u8; 4], u16)>().prop_map(Opt::Toa),
        any::<u8>().prop_map(Opt::Unknown),
    ];
    let damage = prop_oneof![
        30 => Just(Damage::None),
        1 => Just(Damage::IpChecksum),
        1 => Just(Damage::TotalLength),
        2 => Just(Damage::L4Checksum),
    ];
    let flags =
        prop_oneof![4 => Just(0b0001u8), 6 => Just(0b0010), 1 => 0u8..16, 1 => Just(0b0011)];
    let what = (
        0..CLIENTS,
        any::<bool>(),
        any::<u32>(),
        prop::option::of(any::<u32>()),
        flags,
    );
    let how = (
        prop::collection::vec(option, 0..3),
        (
            2u8..=255,
            any::<u8>(),
            any::<u16>(),
            any::<bool>(),
            prop::bool::weighted(0.1),
        ),
        any::<bool>(),
        8usize..300,
        damage,
        prop::bool::weighted(0.2),
    );
    (what, how).prop_map(
        |(
            (client, is_outbound, seq, ack, flags),
            (options, shape, has_udp_checksum, len, damage, ends_batch),
        )| Step {
            client,
            is_outbound,
            seq,
            ack,
            flags,
            options: padded(options),
            shape,
            has_udp_checksum,
            len,
            damage,
            ends_batch,
        },
    )
}

pub(super) fn padded(mut options: Vec<Opt>) -> Vec<Opt> {
    let len = option_bytes(&options).len();
    options.push(Opt::Nop(len.next_multiple_of(4) - len));
    options
}

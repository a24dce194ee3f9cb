//! Edits of TCP options in place, for FullNAT. None of them changes the header's length.

use std::net::IpAddr;

use packet::checksum::Delta;
use packet::options;

use crate::wire::syn_cookie::SynOffer;

/// Bytes of a TCP header without options.
pub(crate) const TCP_HEADER_LEN: usize = packet::tcp::MIN_HEADER_LEN;
/// Bytes of the longest TCP header: the data offset has four bits, in units of 4 bytes.
pub(crate) const LONGEST_HEADER: usize = packet::tcp::MAX_HEADER_LEN;

/// End of the option list: RFC 9293, 3.1.
const END: u8 = 0;
/// No operation: RFC 9293, 3.1.
pub(super) const NOP: u8 = 1;
/// Maximum segment size, RFC 9293, 3.7.1
pub(super) const MSS: u8 = 2;
/// Window scale: RFC 7323, 2.2.
pub(super) const WINDOW_SCALE: u8 = 3;
/// SACK permitted: RFC 2018, 2.
pub(super) const SACK_PERMITTED: u8 = 4;
/// Selective acknowledgment, RFC 2018, 3
const SACK: u8 = 5;
/// Timestamps: RFC 7323, 3.
const TIMESTAMPS: u8 = 8;
/// Bytes of a timestamps option.
const TIMESTAMPS_LEN: usize = 10;
/// Fast Open: RFC 7413, 4.1.1.
const FAST_OPEN: u8 = 34;
/// The client's address, in the format of DPVS and its toa modules.
const TOA: u8 = 254;

/// Bytes of a TOA option with an IPv4 address: kind, length, port, address.
const TOA_V4_LEN: usize = 8;
/// Bytes of a TOA option with an IPv6 address.
pub(crate) const TOA_V6_LEN: usize = 20;

/// The option runs over the end of the header, or its length is below 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadOptions;

/// A TOA option, as it goes into a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toa {
    bytes: [u8; TOA_V6_LEN],
    len: usize,
    delta: Delta,
}

impl Toa {
    /// The option for a client. Port and address are in network byte order.
    pub(crate) fn of(addr: IpAddr, port: u16) -> Self {
        let len = toa_len(addr);
        let head = (TOA as u32) << 24 | (len as u32) << 16 | u32::from(port);
        let mut bytes = [0; TOA_V6_LEN];
        let delta = match addr {
            IpAddr::V4(addr) => {
                let all = u64::from(head) << 32 | u64::from(addr.to_bits());
                bytes[..8].copy_from_slice(&all.to_be_bytes());
                Delta::of_u32(0, addr.to_bits())
            }
            IpAddr::V6(addr) => {
                bytes[..4].copy_from_slice(&head.to_be_bytes());
                bytes[4..].copy_from_slice(&addr.octets());
                Delta::replace(&[0; 16], &addr.octets())
            }
        };
        let delta = delta.plus(Delta::of_u32(0, head));
        Self { bytes, len, delta }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// How the option changes a checksum. Computed before the option is written into the packet.
    pub(crate) const fn delta(&self) -> Delta {
        self.delta
    }
}

/// Bytes of the TOA option for this address.
pub(super) const fn toa_len(addr: IpAddr) -> usize {
    if addr.is_ipv4() {
        TOA_V4_LEN
    } else {
        TOA_V6_LEN
    }
}

/// Replaces the timestamps of a client's SYN by NOPs. A dest that compares timestamps by source
/// address would refuse clients that share a local address. Returns the change of the checksum.
pub(super) fn strip_timestamps(options: &mut [u8]) -> Result<Delta, BadOptions> {
    edit(options, |kind, option| {
        if kind == TIMESTAMPS {
            option.fill(NOP);
        }
    })
}

/// Replaces TOA that the client sent itself by NOPs: it could claim any address.
pub(super) fn strip_toa(options: &mut [u8]) -> Delta {
    options::blank(options, TOA)
}

/// Replaces the request or the cookie of TCP Fast Open by NOPs.
pub(super) fn strip_fast_open(options: &mut [u8]) -> Delta {
    options::blank(options, FAST_OPEN)
}

/// Lowers the MSS that the dest offers by the bytes that are inserted on the way to it.
pub(super) fn lower_mss(options: &mut [u8], by: u16) -> Result<Delta, BadOptions> {
    edit(options, |kind, option| {
        if let (MSS, [_, _, mss @ ..]) = (kind, option)
            && let Some(mss) = mss.first_chunk_mut::<2>()
        {
            *mss = u16::from_be_bytes(*mss).saturating_sub(by).to_be_bytes();
        }
    })
}

/// Subtracts `seq_delta` from the edges of the dest's SACK blocks.
pub(super) fn translate_sack(options: &mut [u8], seq_delta: u32) -> Result<Delta, BadOptions> {
    map_sack(options, |edge| edge.wrapping_sub(seq_delta))
}

/// Replaces each edge of the SACK blocks by another number.
pub(super) fn map_sack(options: &mut [u8], map: impl Fn(u32) -> u32) -> Result<Delta, BadOptions> {
    edit(options, |kind, option| {
        if let (SACK, [_, _, edges @ ..]) = (kind, option) {
            for edge in edges.as_chunks_mut::<4>().0 {
                *edge = map(u32::from_be_bytes(*edge)).to_be_bytes();
            }
        }
    })
}

/// The timestamps option: RFC 7323, 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamps {
    /// TSval: the sender's clock
    pub(crate) value: u32,
    /// TSecr: the receiver's clock that the sender saw last
    pub(crate) echo: u32,
}

impl Timestamps {
    /// The option as it lies in a header.
    pub(crate) fn bytes(self) -> [u8; TIMESTAMPS_LEN] {
        let mut bytes = [TIMESTAMPS, TIMESTAMPS_LEN as u8, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[2..6].copy_from_slice(&self.value.to_be_bytes());
        bytes[6..].copy_from_slice(&self.echo.to_be_bytes());
        bytes
    }

    fn of(option: &[u8]) -> Option<Self> {
        let [TIMESTAMPS, _, a, b, c, d, e, f, g, h] = *option else {
            return None;
        };
        Some(Self {
            value: u32::from_be_bytes([a, b, c, d]),
            echo: u32::from_be_bytes([e, f, g, h]),
        })
    }
}

/// The timestamps of a segment, if it has any.
pub(crate) fn timestamps_of(options: &[u8]) -> Option<Timestamps> {
    let mut found = None;
    each(options, |option| {
        found = found.or_else(|| Timestamps::of(option));
    });
    found
}

/// Adds to TSval and TSecr, modulo 2^32.
pub(super) fn translate_timestamps(
    options: &mut [u8],
    value: u32,
    echo: u32,
) -> Result<Delta, BadOptions> {
    edit(options, |_, option| {
        if let Some(old) = Timestamps::of(option) {
            let new = Timestamps {
                value: old.value.wrapping_add(value),
                echo: old.echo.wrapping_add(echo),
            };
            option.copy_from_slice(&new.bytes());
        }
    })
}

/// Replaces all options by NOPs. Timestamps stay if `keep_timestamps` is set.
pub(crate) fn clear(options: &mut [u8], keep_timestamps: bool) {
    let kept = timestamps_of(options).filter(|_| keep_timestamps);
    options.fill(NOP);
    // Two NOPs in front align them: RFC 7323, appendix A.
    if let (Some(kept), Some(place)) = (kept, options.get_mut(2..2 + TIMESTAMPS_LEN)) {
        place.copy_from_slice(&kept.bytes());
    }
}

/// What a SYN's options offer. Missing or broken options have the defaults of RFC 9293, 3.7.1.
pub(crate) fn read_syn(options: &[u8]) -> SynOffer {
    let mut offer = SynOffer {
        mss: 536,
        scale: None,
        sack: false,
    };
    each(options, |option| match option {
        [MSS, _, high, low] => offer.mss = u16::from_be_bytes([*high, *low]),
        [WINDOW_SCALE, _, scale] => offer.scale = Some((*scale).min(14)),
        [SACK_PERMITTED, _] => offer.sack = true,
        _ => {}
    });
    offer
}

/// Calls `look` for every option, up to one that is broken.
fn each(options: &[u8], mut look: impl FnMut(&[u8])) {
    let mut rest = options;
    while let [kind, after @ ..] = rest {
        let len = match (*kind, after) {
            (END, _) => break,
            (NOP, _) => 1,
            (_, [len, ..]) if *len >= 2 => usize::from(*len),
            _ => break,
        };
        let Some((option, next)) = rest.split_at_checked(len) else {
            break;
        };
        look(option);
        rest = next;
    }
}

/// Calls `change` for every option. Returns the change of the checksum. If an option is broken, no
/// option is changed.
fn edit(options: &mut [u8], change: impl FnMut(u8, &mut [u8])) -> Result<Delta, BadOptions> {
    let mut before = [0; LONGEST_HEADER - TCP_HEADER_LEN];
    let before = before.get_mut(..options.len()).ok_or(BadOptions)?;
    before.copy_from_slice(options);
    if let Err(bad) = walk(options, change) {
        options.copy_from_slice(before);
        return Err(bad);
    }
    Ok(Delta::replace(before, options))
}

fn walk(options: &mut [u8], mut change: impl FnMut(u8, &mut [u8])) -> Result<(), BadOptions> {
    let mut rest = options;
    while let [kind, ..] = *rest {
        let len = match kind {
            END => break,
            NOP => 1,
            _ => match rest.get(1) {
                Some(&len) if len >= 2 => usize::from(len),
                _ => return Err(BadOptions),
            },
        };
        let (option, after) = rest.split_at_mut_checked(len).ok_or(BadOptions)?;
        change(kind, option);
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use packet::checksum::checksum;
    use proptest::prelude::*;

    use super::*;

    /// A Linux client's SYN: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
    const LINUX_SYN: [u8; 20] = [
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7,
    ];

    #[test]
    fn timestamps_become_padding_and_the_rest_stays() {
        let mut options = LINUX_SYN;
        strip_timestamps(&mut options).unwrap();
        assert_eq!(
            options,
            [
                2, 4, 0x05, 0xb4, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7
            ]
        );
    }

    #[test]
    fn the_mss_is_lowered_by_what_is_inserted() {
        let mut options = LINUX_SYN;
        lower_mss(&mut options, 8).unwrap();
        assert_eq!(options[..4], [2, 4, 0x05, 0xac]);
        assert_eq!(options[4..], LINUX_SYN[4..]);
    }

    #[test]
    fn both_edges_of_each_sack_block_are_translated() {
        let mut options = [
            1, 1, 5, 18, 0, 0, 0, 10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 5,
        ];
        translate_sack(&mut options, 10).unwrap();
        assert_eq!(
            options,
            [
                1, 1, 5, 18, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 20, 0xff, 0xff, 0xff, 0xfb
            ]
        );
    }

    #[test]
    fn a_toa_option_is_what_the_toa_modules_read() {
        // The format of the toa modules: kind 254, length 8, port, address.
        assert_eq!(
            Toa::of(IpAddr::from([10, 0, 0, 48]), 37177).bytes(),
            [254, 8, 0x91, 0x39, 10, 0, 0, 48]
        );
        let v6 = Toa::of("2001:db8::48".parse().unwrap(), 37177);
        let addr = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48];
        assert_eq!(v6.bytes(), [&[254, 20, 0x91, 0x39][..], &addr].concat());
    }

    #[test]
    fn options_that_overrun_are_refused() {
        for options in [
            &mut [8, 10, 0, 0][..],
            &mut [2, 1, 0, 0],
            &mut [1, 1, 1, 2],
            &mut [2, 0, 5, 5],
        ] {
            assert_eq!(strip_timestamps(options), Err(BadOptions));
        }
    }

    /// Otherwise the checksum would not fit the segment.
    #[test]
    fn options_that_are_refused_stay_as_they_were() {
        let options = [5, 6, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2];
        let mut edited = options;
        assert_eq!(translate_sack(&mut edited, 7), Err(BadOptions));
        assert_eq!(edited, options);
    }

    proptest! {
        #[test]
        fn any_options_are_edited_without_panic_and_with_the_right_delta(
            words in prop::collection::vec(any::<[u8; 4]>(), 0..=10), by in any::<u32>(),
        ) {
            let options = words.concat();
            for edit in [
                (|options, _| strip_timestamps(options)) as fn(&mut [u8], u32) -> _,
                |options, by| lower_mss(options, by as u16),
                translate_sack,
            ] {
                let mut edited = options.clone();
                if let Ok(delta) = edit(&mut edited, by) {
                    let full = |options: &[u8]| checksum(&[&[0x12, 0x34], options].concat());
                    prop_assert_eq!(delta.apply(full(&options)), full(&edited));
                }
            }
        }
    }
}

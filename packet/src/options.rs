//! Lists of options, whose format TCP (RFC 9293, 3.1) and IPv4 (RFC 791, 3.1) share: a kind, then
//! the length of the whole option, then its data. Two kinds are single bytes.

use crate::checksum::Delta;

/// Bytes of the longest list: both headers have at most 60 bytes, and 20 without options.
const LONGEST: usize = 40;
/// The end of the list.
const END: u8 = 0;
/// No operation: padding.
const NOP: u8 = 1;

/// Replaces every option of this kind by padding. Returns the change of the checksum; `options`
/// begins at an even offset in what the checksum covers.
///
/// A receiver reads options up to the first broken one, and so does this function. Of a list that
/// is longer than a header can have, nothing is changed.
pub fn blank(options: &mut [u8], kind: u8) -> Delta {
    let mut before = [0; LONGEST];
    let Some(before) = before.get_mut(..options.len()) else {
        return Delta::ZERO;
    };
    before.copy_from_slice(options);
    let mut rest = &mut *options;
    while let [first, after @ ..] = rest {
        let len = match (*first, after.first()) {
            (END, _) => break,
            (NOP, _) => 1,
            (_, Some(len @ 2..)) => usize::from(*len),
            _ => break,
        };
        let is_wanted = *first == kind;
        let Some((option, next)) = rest.split_at_mut_checked(len) else {
            break;
        };
        if is_wanted {
            option.fill(NOP);
        }
        rest = next;
    }
    Delta::replace(before, options)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checksum::checksum;

    const TOA: u8 = 254;

    #[test]
    fn every_option_of_the_kind_becomes_padding_and_the_rest_stays() {
        let mut options = [2, 4, 5, 0xb4, TOA, 4, 1, 1, 1, TOA, 3, 7, 4, 2, 0, TOA];
        blank(&mut options, TOA);
        assert_eq!(
            options,
            [2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1, 4, 2, 0, TOA]
        );
    }

    /// The receiver has read the first option by then.
    #[test]
    fn a_broken_option_does_not_save_those_before_it() {
        for end in [[8, 10, 0, 0], [2, 1, 0, 0], [1, 1, 1, 5], [TOA, 8, 1, 1]] {
            let mut options = [[TOA, 4, 9, 9], end].concat();
            blank(&mut options, TOA);
            assert_eq!(options, [[1, 1, 1, 1], end].concat());
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read_without_panic_and_with_the_right_delta(
            words in prop::collection::vec(any::<[u8; 4]>(), 0..=11), kind: u8,
        ) {
            let options = words.concat();
            let mut blanked = options.clone();
            let delta = blank(&mut blanked, kind);
            let full = |options: &[u8]| checksum(&[&[0x12, 0x34], options].concat());
            prop_assert_eq!(delta.apply(full(&options)), full(&blanked));
        }
    }
}

//! SYN cookies: the sequence number of a SYN-ACK holds what the SYN offered, and a signature (RFC
//! 4987, 3.6). No memory is used until the client has proved that it receives packets at its
//! address.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::time::Now;
use crate::tuple::{Address, HashKey, Tuple};

/// Seconds of a time span. A cookie is accepted in the span that it was made in and in the next
/// one, so for 64 to 128 seconds.
const SPAN_S: u64 = 64;
/// Bits of the signature. The other 8 bits hold what the SYN offered.
const SIGNATURE_BITS: u32 = 24;
/// The MSS values that a cookie can hold: common ones, and the minimum (RFC 9293, 3.7.1).
const MSS_VALUES: [u16; 8] = [536, 1220, 1300, 1360, 1400, 1440, 1460, 8960];
/// In place of a shift count, which is at most 14 (RFC 7323, 2.3): the client does not scale
/// windows.
const NO_SCALE: u8 = 15;

/// What a SYN offers by its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SynOffer {
    /// Maximum segment size
    pub(crate) mss: u16,
    /// Window scale
    pub(crate) scale: Option<u8>,
    /// Selective acknowledgment
    pub(crate) sack: bool,
}

impl SynOffer {
    /// What a cookie holds. It must have been verified.
    pub(crate) fn of_cookie(cookie: u32) -> Self {
        offer_of((cookie >> SIGNATURE_BITS) as u8)
    }
}

/// Makes and verifies cookies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CookieJar {
    key: (u64, u64),
}

impl CookieJar {
    pub(crate) const fn new(secret: &HashKey) -> Self {
        Self {
            key: (
                secret.0[0] ^ secret.0[2].rotate_left(17),
                secret.0[1] ^ secret.0[3].rotate_left(29),
            ),
        }
    }

    /// The sequence number of the SYN-ACK for a SYN with the number `client_isn`.
    pub(crate) fn make<A: Address>(
        &self,
        now: Now,
        tuple: &Tuple<A>,
        client_isn: u32,
        offer: SynOffer,
    ) -> u32 {
        let said = said_by(offer);
        let span = span_of(now);
        u32::from(said) << SIGNATURE_BITS | self.signature(span, tuple, client_isn, said)
    }

    /// What the client's SYN offered. `None` if `cookie` is not ours or too old.
    pub(crate) fn read<A: Address>(
        &self,
        now: Now,
        tuple: &Tuple<A>,
        client_isn: u32,
        cookie: u32,
    ) -> Option<SynOffer> {
        let said = (cookie >> SIGNATURE_BITS) as u8;
        let signature = cookie & ((1 << SIGNATURE_BITS) - 1);
        let span = span_of(now);
        let mut spans = [span, span.wrapping_sub(1)].into_iter();
        let is_ours = spans.any(|span| self.signature(span, tuple, client_isn, said) == signature);
        is_ours.then(|| offer_of(said))
    }

    /// The signature. It differs in each time span, so a cookie that an attacker has seen is soon
    /// worthless.
    fn signature<A: Address>(&self, span: u64, tuple: &Tuple<A>, client_isn: u32, said: u8) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(&tuple.src.to_mapped());
        hasher.write(&tuple.dst.to_mapped());
        hasher.write_u32(u32::from(tuple.sport) << 16 | u32::from(tuple.dport));
        hasher.write_u32(client_isn);
        hasher.write_u64(span);
        hasher.write_u8(said);
        hasher.finish() as u32 & ((1 << SIGNATURE_BITS) - 1)
    }
}

const fn span_of(now: Now) -> u64 {
    now.ns / (SPAN_S * 1_000_000_000)
}

fn said_by(offer: SynOffer) -> u8 {
    let at = MSS_VALUES.iter().rposition(|mss| *mss <= offer.mss);
    let mss = at.unwrap_or(0) as u8;
    let scale = offer.scale.map_or(NO_SCALE, |scale| scale.min(14));
    mss << 5 | scale << 1 | u8::from(offer.sack)
}

fn offer_of(said: u8) -> SynOffer {
    SynOffer {
        mss: MSS_VALUES[usize::from(said >> 5)],
        scale: Some(said >> 1 & 0xf).filter(|scale| *scale != NO_SCALE),
        sack: said & 1 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUPLE: Tuple<[u8; 4]> = Tuple {
        src: [10, 0, 0, 48],
        dst: [10, 0, 0, 100],
        sport: 40_000,
        dport: 80,
        protocol: 6,
    };

    fn jar() -> CookieJar {
        CookieJar::new(&HashKey([1, 2, 3, 4]))
    }

    #[test]
    fn what_a_syn_offers_comes_back() {
        for (mss, kept) in [
            (100, 536),
            (536, 536),
            (1400, 1400),
            (1459, 1440),
            (9000, 8960),
        ] {
            for scale in [None, Some(0), Some(7), Some(14)] {
                for sack in [false, true] {
                    let offer = SynOffer { mss, scale, sack };
                    let cookie = jar().make(Now::from_secs(100), &TUPLE, 7, offer);
                    let read = jar().read(Now::from_secs(100), &TUPLE, 7, cookie);
                    assert_eq!(read, Some(SynOffer { mss: kept, ..offer }));
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_one_client_s_for_a_while() {
        let offer = SynOffer {
            mss: 1460,
            scale: Some(7),
            sack: true,
        };
        let made = Now::from_secs(SPAN_S * 10 + 60);
        let cookie = jar().make(made, &TUPLE, 7, offer);
        let read = |secs, tuple: &Tuple<[u8; 4]>, isn, cookie| {
            jar().read(Now::from_secs(secs), tuple, isn, cookie)
        };
        let of = SPAN_S * 10;
        assert!(read(of + 60, &TUPLE, 7, cookie).is_some());
        assert!(read(of + 2 * SPAN_S - 1, &TUPLE, 7, cookie).is_some());
        assert!(
            read(of + 2 * SPAN_S, &TUPLE, 7, cookie).is_none(),
            "too late"
        );
        assert!(read(of + 60, &TUPLE, 8, cookie).is_none(), "another SYN");
        let other = Tuple { sport: 1, ..TUPLE };
        assert!(read(of + 60, &other, 7, cookie).is_none(), "another client");
        let better = cookie ^ 1 << 30;
        assert!(read(of + 60, &TUPLE, 7, better).is_none(), "another offer");
        let guesses = (0..1000).filter(|guess| read(of + 60, &TUPLE, 7, *guess).is_some());
        assert_eq!(guesses.count(), 0);
    }
}

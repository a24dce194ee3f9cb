//! Fragments. The first fragment has the ports and leaves a note, by which the later ones find
//! their conn.

use std::collections::VecDeque;

use packet::ip::IpFacts;

use crate::conn::ConnId;
use crate::time::{Span, Tick};
use crate::tuple::{Address, HashKey, Tuple};

/// Number of sets of notes, and of notes in a set. In a flood of first fragments, a new note
/// overwrites the oldest one of its set.
const SETS: usize = 256;
const WAYS: usize = 4;
/// Lifetime of a note: two seconds. A sender sends the fragments of a packet back to back.
pub(crate) const NOTE_LIFE_S: u32 = 2;
const NOTE_LIFE: Span = Span::from_secs(NOTE_LIFE_S);
/// Most fragments that wait for their first fragment at a time. Further ones are dropped.
const MOST_WAITING: usize = 64;
/// Most fragments of one packet among those.
const MOST_OF_ONE: usize = 8;
/// Most halves that wait at a time (see [`Half`]). In a flood, a new half replaces the oldest one.
const MOST_HALVES: usize = 64;
/// How long fragments and halves wait.
const PATIENCE: Span = Span::from_millis(200);

/// What all fragments of a packet have in common, and identifies it: RFC 791, 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Whole<A> {
    src: A,
    dst: A,
    identification: u32,
    protocol: u8,
}

impl<A: Address> Whole<A> {
    pub(crate) const fn of(ip: &IpFacts<A>) -> Self {
        Self {
            src: ip.src,
            dst: ip.dst,
            identification: ip.identification,
            // RFC 8200, 4.5: the fragments of an IPv6 packet are told apart without the protocol,
            // and the next header of later fragments may differ.
            protocol: if size_of::<A>() == 4 { ip.protocol } else { 0 },
        }
    }

    /// The set in which the note lies. The hash is keyed, so that an attacker cannot fill one set
    /// on purpose.
    fn set(&self, key: &HashKey) -> usize {
        let tuple = Tuple {
            src: self.src,
            dst: self.dst,
            sport: self.identification as u16,
            dport: (self.identification >> 16) as u16,
            protocol: self.protocol,
        };
        tuple.hash(key) as usize % SETS
    }
}

/// What a first fragment contributes to the later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FirstFragment<A> {
    pub(crate) tuple: Tuple<A>,
    /// Length of the extension headers before the L4 header which the fragment offsets count too,
    /// in bytes: [`crate::wire::family::options_len`].
    pub(crate) options_len: u16,
    /// The identification that the fragments get if their addresses change, see
    /// [`crate::state::Identifications`].
    pub(crate) identification: u32,
    /// The conn of one-packet scheduling, which belongs to this packet alone.
    pub(crate) one_packet: Option<ConnId>,
}

/// What is known of a fragment besides its IP header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The first fragment of an SCTP packet whose ports are rewritten.
    FirstOfSctp {
        /// Length of the whole SCTP packet, from its header on, in bytes.
        whole_len: u16,
    },
    /// A later fragment, without an L4 header.
    Later {
        /// [`FirstFragment::options_len`] of its first fragment.
        options_len: u16,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Note<A> {
    whole: Whole<A>,
    first: FirstFragment<A>,
    since: Tick,
    is_used: bool,
}

#[derive(Debug)]
struct Waiting<A, P> {
    whole: Whole<A>,
    since: Tick,
    packet: P,
}

/// A first fragment that waits for its last fragment, not rewritten yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WaitingFirst<A, B> {
    pub(crate) packet: B,
    pub(crate) tuple: Tuple<A>,
}

/// One of the two facts that are needed to correct a checksum over the whole packet (SCTP): the
/// first fragment, and the length of the packet, which the last fragment gives.
#[derive(Debug)]
pub(crate) enum Half<A, B> {
    First(WaitingFirst<A, B>),
    /// Where the last fragment ends, in bytes of the whole packet. The last fragment itself does
    /// not wait.
    End(u16),
}

impl<A, B> Half<A, B> {
    fn into_packet(self) -> Option<B> {
        match self {
            Self::First(first) => Some(first.packet),
            Self::End(_) => None,
        }
    }
}

/// The result of [`Fragments::meet`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meeting<A, B> {
    /// Both halves are here: the first fragment, and where the last one ends.
    Complete(WaitingFirst<A, B>, u16),
    /// The half waits. It may have replaced a first fragment, which is given up and returned.
    Waits { given_up: Option<B> },
}

/// The notes of first fragments, later fragments that arrived before their first one, and first
/// fragments that wait for their last one. All memory is allocated by `new`.
#[derive(Debug)]
pub(crate) struct Fragments<A, B> {
    notes: Box<[[Note<A>; WAYS]]>,
    waiting: Vec<Waiting<A, B>>,
    /// Oldest at the front; at most one per packet.
    halves: VecDeque<Waiting<A, Half<A, B>>>,
    key: HashKey,
}

impl<A: Address, B> Fragments<A, B> {
    pub(crate) fn new(key: HashKey) -> Self {
        Self {
            notes: vec![[Note::default(); WAYS]; SETS].into(),
            waiting: Vec::with_capacity(MOST_WAITING),
            halves: VecDeque::with_capacity(MOST_HALVES),
            key,
        }
    }

    /// Stores what the first fragment of a packet contributes to its later ones. If it comes twice,
    /// the identification stays what it was.
    pub(crate) fn note(&mut self, now: Tick, whole: Whole<A>, first: FirstFragment<A>) {
        let identification = self
            .first_of(now, &whole)
            .map_or(first.identification, |noted| noted.identification);
        let first = FirstFragment {
            identification,
            ..first
        };
        let set = &mut self.notes[whole.set(&self.key)];
        let age = |note: &Note<A>| {
            if !note.is_used || note.whole == whole {
                Span::FOREVER
            } else {
                now.since(note.since)
            }
        };
        if let Some(oldest) = set.iter_mut().max_by_key(|note| age(note)) {
            *oldest = Note {
                whole,
                first,
                since: now,
                is_used: true,
            };
        }
    }

    /// What the first fragment of a packet contributed, if it arrived within the last two seconds.
    pub(crate) fn first_of(&self, now: Tick, whole: &Whole<A>) -> Option<FirstFragment<A>> {
        let set = &self.notes[whole.set(&self.key)];
        set.iter()
            .find(|note| note.is_used && note.whole == *whole && now.since(note.since) <= NOTE_LIFE)
            .map(|note| note.first)
    }

    /// Queues a later fragment until the first fragment of its packet arrives.
    ///
    /// # Errors
    ///
    /// The fragment, if too many wait already.
    pub(crate) fn wait(&mut self, now: Tick, whole: Whole<A>, packet: B) -> Result<(), B> {
        let of_one = self.waiting.iter().filter(|other| other.whole == whole);
        if self.waiting.len() >= MOST_WAITING || of_one.count() >= MOST_OF_ONE {
            return Err(packet);
        }
        self.waiting.push(Waiting {
            whole,
            since: now,
            packet,
        });
        Ok(())
    }

    /// Takes out the next fragment whose first fragment has arrived in the meantime.
    pub(crate) fn pop_ready(&mut self, now: Tick) -> Option<B> {
        let at = self
            .waiting
            .iter()
            .position(|waiting| self.first_of(now, &waiting.whole).is_some())?;
        Some(self.waiting.remove(at).packet)
    }

    /// Takes out the next later fragment that has waited too long, with its destination address.
    pub(crate) fn pop_stale(&mut self, now: Tick) -> Option<(A, B)> {
        let is_stale = |waiting: &Waiting<A, B>| now.since(waiting.since) > PATIENCE;
        let at = self.waiting.iter().position(is_stale)?;
        let Waiting { whole, packet, .. } = self.waiting.remove(at);
        Some((whole.dst, packet))
    }

    /// Takes out the next first fragment that has waited too long for its last fragment.
    pub(crate) fn pop_stale_first(&mut self, now: Tick) -> Option<B> {
        let is_stale = |half: &Waiting<A, Half<A, B>>| now.since(half.since) > PATIENCE;
        while self.halves.front().is_some_and(is_stale) {
            let oldest = self.halves.pop_front().map(|half| half.packet);
            if let Some(packet) = oldest.and_then(Half::into_packet) {
                return Some(packet);
            }
        }
        None
    }

    /// Brings the two halves of a packet together. If the other half is not here yet, `half` waits
    /// for it, and replaces a waiting half of the same kind.
    pub(crate) fn meet(&mut self, now: Tick, whole: Whole<A>, half: Half<A, B>) -> Meeting<A, B> {
        let same = self.halves.iter().position(|other| other.whole == whole);
        let gone = match same {
            Some(at) => self.halves.remove(at),
            None if self.halves.len() >= MOST_HALVES => self.halves.pop_front(),
            None => None,
        };
        let is_fresh = |other: &Waiting<A, Half<A, B>>| now.since(other.since) <= PATIENCE;
        let may_meet = same.is_some() && gone.as_ref().is_some_and(is_fresh);
        let (gone, half) = match (gone.map(|gone| gone.packet), half) {
            (Some(Half::First(first)), Half::End(end))
            | (Some(Half::End(end)), Half::First(first))
                if may_meet =>
            {
                return Meeting::Complete(first, end);
            }
            both => both,
        };
        self.halves.push_back(Waiting {
            whole,
            since: now,
            packet: half,
        });
        let given_up = gone.and_then(Half::into_packet);
        Meeting::Waits { given_up }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey([1, 2, 3, 4]);

    fn whole(identification: u32) -> Whole<[u8; 4]> {
        Whole {
            src: [10, 0, 0, 1],
            dst: [10, 0, 0, 100],
            identification,
            protocol: 17,
        }
    }

    #[test]
    fn a_note_is_found_for_two_seconds() {
        let mut fragments: Fragments<[u8; 4], u8> = Fragments::new(KEY);
        let first = FirstFragment::default();
        assert_eq!(fragments.first_of(Tick(0), &whole(1)), None);
        fragments.note(Tick(0), whole(1), first);
        assert_eq!(
            fragments.first_of(Tick(0).after(NOTE_LIFE), &whole(1)),
            Some(first)
        );
        assert_eq!(fragments.first_of(Tick(0), &whole(2)), None);
        assert_eq!(fragments.first_of(Tick(NOTE_LIFE.0 + 1), &whole(1)), None);
    }

    #[test]
    fn a_flood_of_first_fragments_takes_no_memory_and_the_newest_stay() {
        let mut fragments: Fragments<[u8; 4], u8> = Fragments::new(KEY);
        for identification in 0..=0xffff {
            fragments.note(Tick(1), whole(identification), FirstFragment::default());
        }
        let known = (0..=0xffff).filter(|at| fragments.first_of(Tick(1), &whole(*at)).is_some());
        assert_eq!(known.count(), SETS * WAYS);
        fragments.note(Tick(2), whole(0), FirstFragment::default());
        assert!(fragments.first_of(Tick(2), &whole(0)).is_some());
    }

    #[test]
    fn early_fragments_wait_for_a_limited_time_in_limited_numbers() {
        let mut fragments = Fragments::new(KEY);
        for number in 0..MOST_OF_ONE {
            fragments.wait(Tick(0), whole(1), number).unwrap();
        }
        assert_eq!(fragments.wait(Tick(0), whole(1), 99), Err(99));
        for identification in 2.. {
            if fragments.wait(Tick(5), whole(identification), 7).is_err() {
                assert_eq!(identification as usize - 2, MOST_WAITING - MOST_OF_ONE);
                break;
            }
        }
        assert_eq!(fragments.pop_ready(Tick(5)), None);
        fragments.note(Tick(5), whole(1), FirstFragment::default());
        assert_eq!(fragments.pop_ready(Tick(5)), Some(0));
        assert_eq!(fragments.pop_stale(Tick(PATIENCE.0)), None);
        let stale = fragments.pop_stale(Tick(PATIENCE.0 + 1));
        assert_eq!(stale, Some(([10, 0, 0, 100], 1)));
    }

    const fn first(packet: u32) -> WaitingFirst<[u8; 4], u32> {
        WaitingFirst {
            packet,
            tuple: Tuple {
                src: [10, 0, 0, 1],
                dst: [10, 0, 0, 100],
                sport: 1,
                dport: 2,
                protocol: 132,
            },
        }
    }

    const WAITS: Meeting<[u8; 4], u32> = Meeting::Waits { given_up: None };

    #[test]
    fn halves_meet_once_in_either_order() {
        let mut fragments = Fragments::new(KEY);
        let mut meet =
            |now, identification, half| fragments.meet(Tick(now), whole(identification), half);
        assert_eq!(meet(0, 1, Half::First(first(7))), WAITS);
        assert_eq!(meet(0, 2, Half::End(99)), WAITS);
        assert_eq!(
            meet(PATIENCE.0, 1, Half::End(50)),
            Meeting::Complete(first(7), 50)
        );
        assert_eq!(
            meet(PATIENCE.0, 2, Half::First(first(8))),
            Meeting::Complete(first(8), 99)
        );
        assert_eq!(meet(PATIENCE.0, 2, Half::First(first(8))), WAITS);
        let newer = meet(PATIENCE.0, 2, Half::First(first(9)));
        assert_eq!(newer, Meeting::Waits { given_up: Some(8) });
        assert_eq!(
            meet(PATIENCE.0, 2, Half::End(1)),
            Meeting::Complete(first(9), 1)
        );
        // A half that has waited too long belongs to an earlier packet with the same
        // identification.
        assert_eq!(meet(0, 3, Half::End(1)), WAITS);
        assert_eq!(meet(PATIENCE.0 + 1, 3, Half::First(first(3))), WAITS);
    }

    #[test]
    fn halves_wait_for_a_limited_time_and_a_flood_replaces_the_oldest() {
        let mut fragments = Fragments::new(KEY);
        let most = MOST_HALVES as u32;
        for number in 0..most + 10 {
            let expected = number.checked_sub(most);
            let met = fragments.meet(Tick(number), whole(number), Half::First(first(number)));
            assert_eq!(met, Meeting::Waits { given_up: expected });
        }
        fragments.meet(Tick(100), whole(999), Half::End(1));
        assert_eq!(fragments.pop_stale_first(Tick(11 + PATIENCE.0)), None);
        assert_eq!(fragments.pop_stale_first(Tick(12 + PATIENCE.0)), Some(11));
        let rest = std::iter::from_fn(|| fragments.pop_stale_first(Tick(101 + PATIENCE.0)));
        assert_eq!(rest.count() as u32, most - 2);
    }
}

//! Fragments: the first one has the ports and leaves a note, the later ones follow it.

use packet::ip::IpFacts;

use crate::time::Tick;
use crate::tuple::{Address, HashKey, Tuple};

/// Sets of notes, and notes in each. A flood of first fragments overwrites the oldest.
const SETS: usize = 256;
const WAYS: usize = 4;
/// How long a note serves. Fragments of a packet leave their sender together.
const NOTE_LIFE: u32 = Tick::from_secs(2);
/// Fragments that came before their first, at once. More are dropped.
const MOST_WAITING: usize = 64;
/// Of those, from one packet.
const MOST_OF_ONE: usize = 8;
/// How long they wait, in ticks: about 200 ms.
const PATIENCE: u32 = 191;

/// What the fragments of a packet have in common: RFC 791, 3.2.
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
            // RFC 8200, 4.5: IPv6's are told apart without it, and it may differ.
            protocol: if size_of::<A>() == 4 { ip.protocol } else { 0 },
        }
    }

    /// The set of its note. Keyed, so that nobody outside can fill one set on purpose.
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

#[derive(Debug, Clone, Copy, Default)]
struct Note<A> {
    whole: Whole<A>,
    tuple: Tuple<A>,
    since: Tick,
    is_used: bool,
}

#[derive(Debug)]
struct Waiting<A, B> {
    whole: Whole<A>,
    since: Tick,
    packet: B,
}

/// Notes of first fragments, and later ones that came too early. Its memory is made once.
#[derive(Debug)]
pub(crate) struct Fragments<A, B> {
    notes: Box<[[Note<A>; WAYS]]>,
    waiting: Vec<Waiting<A, B>>,
    key: HashKey,
}

impl<A: Address, B> Fragments<A, B> {
    pub(crate) fn new(key: HashKey) -> Self {
        Self {
            notes: vec![[Note::default(); WAYS]; SETS].into(),
            waiting: Vec::with_capacity(MOST_WAITING),
            key,
        }
    }

    /// Notes which conn a packet's fragments belong to.
    pub(crate) fn note(&mut self, now: Tick, whole: Whole<A>, tuple: Tuple<A>) {
        let set = &mut self.notes[whole.set(&self.key)];
        let age = |note: &Note<A>| {
            if !note.is_used || note.whole == whole {
                u32::MAX
            } else {
                now.since(note.since)
            }
        };
        if let Some(oldest) = set.iter_mut().max_by_key(|note| age(note)) {
            *oldest = Note {
                whole,
                tuple,
                since: now,
                is_used: true,
            };
        }
    }

    /// The tuple of a packet whose first fragment came lately.
    pub(crate) fn tuple_of(&self, now: Tick, whole: &Whole<A>) -> Option<Tuple<A>> {
        let set = &self.notes[whole.set(&self.key)];
        set.iter()
            .find(|note| note.is_used && note.whole == *whole && now.since(note.since) <= NOTE_LIFE)
            .map(|note| note.tuple)
    }

    /// Keeps a fragment until its first one comes.
    ///
    /// # Errors
    /// The packet, if too many wait.
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

    /// The next one whose first has come by now.
    pub(crate) fn pop_ready(&mut self, now: Tick) -> Option<B> {
        let at = self
            .waiting
            .iter()
            .position(|waiting| self.tuple_of(now, &waiting.whole).is_some())?;
        Some(self.waiting.remove(at).packet)
    }

    /// The next one that has waited too long.
    pub(crate) fn pop_stale(&mut self, now: Tick) -> Option<B> {
        let is_stale = |waiting: &Waiting<A, B>| now.since(waiting.since) > PATIENCE;
        let at = self.waiting.iter().position(is_stale)?;
        Some(self.waiting.remove(at).packet)
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
    fn a_note_serves_for_a_while() {
        let mut fragments: Fragments<[u8; 4], u8> = Fragments::new(KEY);
        let tuple = Tuple::default();
        assert_eq!(fragments.tuple_of(Tick(0), &whole(1)), None);
        fragments.note(Tick(0), whole(1), tuple);
        assert_eq!(fragments.tuple_of(Tick(NOTE_LIFE), &whole(1)), Some(tuple));
        assert_eq!(fragments.tuple_of(Tick(0), &whole(2)), None);
        assert_eq!(fragments.tuple_of(Tick(NOTE_LIFE + 1), &whole(1)), None);
    }

    #[test]
    fn a_flood_of_first_fragments_takes_no_memory_and_the_newest_stay() {
        let mut fragments: Fragments<[u8; 4], u8> = Fragments::new(KEY);
        for identification in 0..=0xffff {
            fragments.note(Tick(1), whole(identification), Tuple::default());
        }
        let known = (0..=0xffff).filter(|at| fragments.tuple_of(Tick(1), &whole(*at)).is_some());
        assert_eq!(known.count(), SETS * WAYS);
        fragments.note(Tick(2), whole(0), Tuple::default());
        assert!(fragments.tuple_of(Tick(2), &whole(0)).is_some());
    }

    #[test]
    fn early_ones_wait_for_a_bounded_moment_in_bounded_numbers() {
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
        fragments.note(Tick(5), whole(1), Tuple::default());
        assert_eq!(fragments.pop_ready(Tick(5)), Some(0));
        assert_eq!(fragments.pop_stale(Tick(PATIENCE)), None);
        assert_eq!(fragments.pop_stale(Tick(PATIENCE + 1)), Some(1));
    }
}

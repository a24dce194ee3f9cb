//! Which worker owns which packet.

use crate::key::Key;
use crate::table::Table;
use crate::worker_id::WorkerId;

/// Most entries of the redirection table that are told apart. A NIC with a larger table gets these
/// several times over. 512 entries spread over 16 workers differ by 3 % at most.
pub const MOST_ENTRIES: usize = 512;

/// Why a key and a table do not make [`Owners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OwnersError {
    /// The number of entries is not a power of two, or there are too many.
    #[error(
        "a redirection table of {0} entries cannot be used: expected 1, 2, 4, ... {MOST_ENTRIES}"
    )]
    Entries(usize),
    /// An entry names a worker that does not exist.
    #[error("the redirection table names a worker that does not exist")]
    UnknownWorker,
    /// The ports of a pair of addresses do not reach all entries.
    #[error("the hash key leads the ports of a pair of addresses to a part of the table only")]
    WeakKey,
}

/// The owner of each packet, by the hash of its addresses and ports. It is made at start and does
/// not change.
#[derive(Debug)]
pub struct Owners {
    workers: u16,
    /// By the low bits of the hash
    table: Box<[WorkerId]>,
    v4: Table<12>,
    v6: Table<36>,
    /// What each bit of a destination port adds, from the lowest bit on
    port_images: [[u16; 16]; 2],
}

impl Owners {
    /// The owners of the packets of `workers` workers, for NICs with this key and redirection
    /// table.
    ///
    /// # Errors
    /// If the table cannot be used, or the key is so regular that local ports cannot be chosen by
    /// their hash.
    pub fn new(key: &Key, table: Box<[WorkerId]>, workers: u16) -> Result<Self, OwnersError> {
        let entries = table.len();
        if !entries.is_power_of_two() || entries > MOST_ENTRIES {
            return Err(OwnersError::Entries(entries));
        }
        if table.iter().any(|worker| worker.0 >= workers) {
            return Err(OwnersError::UnknownWorker);
        }
        let mask = (entries - 1) as u16;
        // The destination port is the last part of the input: bits 80 to 95 and 272 to 287.
        let images = |first_bit: usize| {
            std::array::from_fn(|bit| key.window(first_bit + 15 - bit) as u16 & mask)
        };
        let port_images: [[u16; 16]; 2] = [images(80), images(272)];
        if port_images
            .iter()
            .any(|images| rank(*images) != mask.count_ones())
        {
            return Err(OwnersError::WeakKey);
        }
        Ok(Self {
            workers,
            table,
            v4: Table::new(key, mask),
            v6: Table::new(key, mask),
            port_images,
        })
    }

    /// A table of so many entries in which the workers take turns.
    pub fn in_turns(entries: usize, workers: u16) -> Box<[WorkerId]> {
        (0..entries)
            .map(|entry| WorkerId((entry % usize::from(workers.max(1))) as u16))
            .collect()
    }

    /// The owners where one worker owns everything.
    pub fn single() -> Self {
        let key = Key::from_prefix(&[]);
        Self {
            workers: 1,
            table: Box::new([WorkerId(0)]),
            v4: Table::new(&key, 0),
            v6: Table::new(&key, 0),
            port_images: [[0; 16]; 2],
        }
    }

    /// How many workers there are.
    #[inline]
    pub const fn workers(&self) -> u16 {
        self.workers
    }

    /// The redirection table: the worker by the low bits of the hash.
    pub const fn table(&self) -> &[WorkerId] {
        &self.table
    }

    /// What each bit of a destination port adds to the low bits of the hash, from the lowest bit
    /// on; `is_v6` tells the family. `sapool` groups ports by it.
    pub const fn port_images(&self, is_v6: bool) -> [u16; 16] {
        self.port_images[is_v6 as usize]
    }

    /// The worker at an entry of the table.
    #[inline]
    pub fn at(&self, entry: u16) -> WorkerId {
        // The table has a power of two of entries.
        self.table[usize::from(entry) & (self.table.len() - 1)]
    }

    /// The entry of an IPv4 packet with the destination port 0. Another port adds its own part.
    #[inline]
    pub fn base_v4(&self, src: [u8; 4], dst: [u8; 4], sport: u16) -> u16 {
        self.v4.part::<0, 4>(src)
            ^ self.v4.part::<4, 4>(dst)
            ^ self.v4.part::<8, 2>(sport.to_be_bytes())
    }

    /// The entry of an IPv6 packet with the destination port 0.
    #[inline]
    pub fn base_v6(&self, src: [u8; 16], dst: [u8; 16], sport: u16) -> u16 {
        self.v6.part::<0, 16>(src)
            ^ self.v6.part::<16, 16>(dst)
            ^ self.v6.part::<32, 2>(sport.to_be_bytes())
    }

    /// The owner of an IPv4 packet.
    #[inline]
    pub fn of_v4(&self, src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> WorkerId {
        let of_port = self.v4.part::<10, 2>(dport.to_be_bytes());
        self.at(self.base_v4(src, dst, sport) ^ of_port)
    }

    /// The owner of an IPv6 packet.
    #[inline]
    pub fn of_v6(&self, src: [u8; 16], dst: [u8; 16], sport: u16, dport: u16) -> WorkerId {
        let of_port = self.v6.part::<34, 2>(dport.to_be_bytes());
        self.at(self.base_v6(src, dst, sport) ^ of_port)
    }
}

/// The rank of these vectors over GF(2): as many bits of the hash can be chosen by the port.
fn rank(mut vectors: [u16; 16]) -> u32 {
    let mut rank = 0;
    for at in 0..vectors.len() {
        let pivot = vectors[at];
        if pivot == 0 {
            continue;
        }
        rank += 1;
        let lowest = pivot & pivot.wrapping_neg();
        for other in &mut vectors[at + 1..] {
            if *other & lowest != 0 {
                *other ^= pivot;
            }
        }
    }
    rank
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::tests::MICROSOFT;

    fn owners(entries: usize, workers: u16) -> Owners {
        let key = Key::from_prefix(&MICROSOFT);
        Owners::new(&key, Owners::in_turns(entries, workers), workers).unwrap()
    }

    proptest! {
        #[test]
        fn the_owner_is_at_the_low_bits_of_the_hash(
            src: [u8; 16], dst: [u8; 16], sport: u16, dport: u16, bits in 0..10_u32
        ) {
            let owners = owners(1 << bits, 7);
            let key = Key::from_prefix(&MICROSOFT);
            let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
            let entry = |input: Vec<u8>| (key.hash(&input) & ((1 << bits) - 1)) as usize;
            let v6 = entry([&src[..], &dst[..], &ports[..]].concat());
            prop_assert_eq!(owners.of_v6(src, dst, sport, dport), owners.table()[v6]);
            let [src, dst] = [src, dst].map(|addr| *addr.first_chunk::<4>().unwrap());
            let v4 = entry([&src[..], &dst[..], &ports[..]].concat());
            prop_assert_eq!(owners.of_v4(src, dst, sport, dport), owners.table()[v4]);
        }

        #[test]
        fn a_port_adds_the_images_of_its_bits(port: u16) {
            let owners = owners(128, 128);
            let images = owners.port_images(false);
            let bits = (0..16).filter(|bit| port >> bit & 1 == 1);
            let sum = bits.fold(0, |sum, bit| sum ^ images[bit]);
            let dst = [10, 0, 0, 1];
            let entry = owners.base_v4([0; 4], dst, 0) ^ sum;
            prop_assert_eq!(owners.of_v4([0; 4], dst, 0, port), owners.at(entry));
        }
    }

    #[test]
    fn a_key_that_leaves_ports_no_choice_is_refused() {
        let key = Key::from_prefix(&[0; 40]);
        let made = Owners::new(&key, Owners::in_turns(128, 2), 2);
        assert_eq!(made.unwrap_err(), OwnersError::WeakKey);
    }

    #[test]
    fn a_table_that_cannot_be_used_is_refused() {
        let key = Key::from_prefix(&MICROSOFT);
        for entries in [0, 3, 1024] {
            let made = Owners::new(&key, Owners::in_turns(entries, 2), 2);
            assert_eq!(made.unwrap_err(), OwnersError::Entries(entries));
        }
        let made = Owners::new(&key, Owners::in_turns(4, 3), 2);
        assert_eq!(made.unwrap_err(), OwnersError::UnknownWorker);
    }
}

//! Ports in the order of the classes that the hash of a reply puts them into.

use rss::Owners;

/// A port's number in the order of the classes. The upper bits are the class.
pub(crate) type Index = u16;

/// Leads from a port to its index and back. Ports of a class, which add the same to the hash, have
/// indices in a row.
///
/// Both ways are linear over GF(2), as the hash is: the index is the XOR of what each bit of the
/// port adds. So a table for each byte is enough.
#[derive(Debug)]
pub(crate) struct PortMap {
    class_bits: u32,
    to_index: [[u16; 256]; 2],
    to_port: [[u16; 256]; 2],
}

impl PortMap {
    /// The map for addresses of a family.
    pub(crate) fn new(owners: &Owners, is_v6: bool) -> Self {
        let class_bits = owners.table().len().ilog2();
        let images = owners.port_images(is_v6);
        let to_index = columns(images, class_bits);
        // `Owners` has checked that the ports reach all entries, so there is an inverse.
        let to_port = inverse(to_index);
        Self {
            class_bits,
            to_index: tables(to_index),
            to_port: tables(to_port),
        }
    }

    /// log2 of the number of classes.
    pub(crate) const fn class_bits(&self) -> u32 {
        self.class_bits
    }

    #[inline]
    pub(crate) fn index(&self, port: u16) -> Index {
        apply(&self.to_index, port)
    }

    #[inline]
    pub(crate) fn port(&self, index: Index) -> u16 {
        apply(&self.to_port, index)
    }
}

#[inline]
fn apply(tables: &[[u16; 256]; 2], value: u16) -> u16 {
    let [low, high] = value.to_le_bytes();
    tables[0][usize::from(low)] ^ tables[1][usize::from(high)]
}

fn tables(columns: [u16; 16]) -> [[u16; 256]; 2] {
    std::array::from_fn(|byte| {
        std::array::from_fn(|value| {
            let bits = (0..8).filter(|bit| value >> bit & 1 == 1);
            bits.fold(0, |sum, bit| sum ^ columns[8 * byte + bit])
        })
    })
}

/// What each bit of a port adds to the index: its class, in the upper bits. Bits that are not
/// needed to reach all classes also add a bit of their own below, so that no two ports have one
/// index.
fn columns(classes: [u16; 16], class_bits: u32) -> [u16; 16] {
    let below = 16 - class_bits;
    let mut next = 0;
    // The classes of the bits so far, reduced: the same independent vectors in echelon form.
    let mut independent: Vec<u16> = Vec::new();
    classes.map(|class| {
        let reduced = independent
            .iter()
            .fold(class, |rest, known| rest.min(rest ^ known));
        let upper = class.checked_shl(below).unwrap_or(0);
        if reduced != 0 {
            independent.push(reduced);
            independent.sort_unstable_by(|a, b| b.cmp(a));
            return upper;
        }
        next += 1;
        upper | 1 << (next - 1)
    })
}

/// The columns of the inverse of a matrix over GF(2), by Gauss and Jordan.
fn inverse(mut columns: [u16; 16]) -> [u16; 16] {
    let mut unit: [u16; 16] = std::array::from_fn(|bit| 1 << bit);
    for bit in 0..16 {
        let pivot = (bit..16).find(|column| columns[*column] >> bit & 1 == 1);
        let Some(pivot) = pivot else { continue };
        columns.swap(bit, pivot);
        unit.swap(bit, pivot);
        for other in (0..16).filter(|other| *other != bit) {
            if columns[other] >> bit & 1 == 1 {
                columns[other] ^= columns[bit];
                unit[other] ^= unit[bit];
            }
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rss::Key;

    use super::*;

    proptest! {
        #[test]
        fn each_port_has_an_index_of_its_class_and_is_found_by_it(
            key: [u8; 40], bits in 0..10_u32, is_v6: bool
        ) {
            let table = Owners::in_turns(1 << bits, 1);
            let made = Owners::new(&Key::from_prefix(&key), table, 1);
            prop_assume!(made.is_ok());
            let owners = made.unwrap();
            let map = PortMap::new(&owners, is_v6);
            let images = owners.port_images(is_v6);
            for port in 0..=u16::MAX {
                let index = map.index(port);
                prop_assert_eq!(map.port(index), port);
                let bits_of_port = (0..16).filter(|bit| port >> bit & 1 == 1);
                let class = bits_of_port.fold(0, |sum, bit| sum ^ images[bit]);
                prop_assert_eq!(u32::from(index) >> (16 - bits), u32::from(class));
            }
        }
    }
}

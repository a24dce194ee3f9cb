//! The next hops of dests, so that not every new conn looks for the same.

use std::net::IpAddr;

use inet::NexthopId;

use crate::service::DestId;

#[derive(Debug, Clone, Copy)]
struct Known {
    addr: IpAddr,
    /// [`inet::Net::generation`] when it was looked up
    generation: u16,
    nexthop: NexthopId,
}

/// What was found last, by dest.
#[derive(Debug, Default)]
pub(crate) struct DestHops {
    known: Vec<Option<Known>>,
}

impl DestHops {
    /// Room for this many dests.
    pub(crate) fn new(max_dests: usize) -> Self {
        Self {
            known: vec![None; max_dests],
        }
    }

    /// The next hop of a dest, if it was found since routes changed last. A number may be another dest's by now.
    pub(crate) fn get(&self, dest: DestId, addr: IpAddr, generation: u16) -> Option<NexthopId> {
        let known = self.known.get(dest.0 as usize)?.as_ref()?;
        (known.addr == addr && known.generation == generation).then_some(known.nexthop)
    }

    /// Remembers a next hop.
    pub(crate) fn put(&mut self, dest: DestId, addr: IpAddr, generation: u16, nexthop: NexthopId) {
        if let Some(slot) = self.known.get_mut(dest.0 as usize) {
            *slot = Some(Known {
                addr,
                generation,
                nexthop,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_nothing_of_other_addresses_and_earlier_routes() {
        let mut hops = DestHops::new(2);
        let (addr, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(hops.get(DestId(1), addr, 7), None);
        hops.put(DestId(1), addr, 7, NexthopId(3));
        assert_eq!(hops.get(DestId(1), addr, 7), Some(NexthopId(3)));
        assert_eq!(hops.get(DestId(1), addr, 8), None);
        assert_eq!(hops.get(DestId(1), other, 7), None);
        hops.put(DestId(2), addr, 7, NexthopId(3));
        assert_eq!(hops.get(DestId(2), addr, 7), None);
    }
}

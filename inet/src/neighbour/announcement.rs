//! When an address of ours is announced again: a single frame may be lost, and a switch or a
//! neighbour would keep the address at its former place.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::device::IfIndex;

/// How often an IPv4 address is announced, and the time between: RFC 5227, 1.1, `ANNOUNCE_NUM` and
/// `ANNOUNCE_INTERVAL`.
const ARP: Repetition = Repetition {
    times: 2,
    interval_ms: 2_000,
};
/// The same for IPv6: RFC 4861, 7.2.6 and 10, `MAX_NEIGHBOR_ADVERTISEMENT` and `RETRANS_TIMER`.
const ND: Repetition = Repetition {
    times: 3,
    interval_ms: 1_000,
};

#[derive(Debug, Clone, Copy)]
struct Repetition {
    times: u8,
    interval_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Repeat {
    at_ms: u64,
    ifindex: IfIndex,
    addr: IpAddr,
    left: u8,
}

/// The announcements that are still to come. Times are milliseconds of the caller's clock. Control
/// owns it.
#[derive(Debug, Default)]
pub struct AnnouncementQueue {
    /// Those of IPv4 and of IPv6. Each has one interval, so the next one is in front.
    queues: [VecDeque<Repeat>; 2],
}

impl AnnouncementQueue {
    /// An address was announced for the first time.
    pub fn begin(&mut self, now_ms: u64, ifindex: IfIndex, addr: IpAddr) {
        let repetition = repetition(addr);
        let first = Repeat {
            at_ms: now_ms.saturating_add(repetition.interval_ms),
            ifindex,
            addr,
            left: repetition.times - 1,
        };
        self.queue(addr).push_back(first);
    }

    /// Takes the next address that is to be announced by now, if there is one.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<(IfIndex, IpAddr)> {
        let is_due =
            |queue: &&mut VecDeque<Repeat>| queue.front().is_some_and(|next| next.at_ms <= now_ms);
        let due = self.queues.iter_mut().find(is_due)?.pop_front()?;
        if due.left > 1 {
            let at_ms = now_ms.saturating_add(repetition(due.addr).interval_ms);
            let left = due.left - 1;
            self.queue(due.addr)
                .push_back(Repeat { at_ms, left, ..due });
        }
        Some((due.ifindex, due.addr))
    }

    const fn queue(&mut self, addr: IpAddr) -> &mut VecDeque<Repeat> {
        &mut self.queues[addr.is_ipv6() as usize]
    }
}

const fn repetition(addr: IpAddr) -> Repetition {
    if addr.is_ipv4() { ARP } else { ND }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: IfIndex = IfIndex(1);

    /// When each address is announced after the first time at 500 ms.
    fn times_of(addrs: &[&str]) -> Vec<(u64, String)> {
        let mut queue = AnnouncementQueue::default();
        for addr in addrs {
            queue.begin(500, LINK, addr.parse().unwrap());
        }
        let mut times = Vec::new();
        for now_ms in (500..20_000).step_by(100) {
            while let Some((ifindex, addr)) = queue.pop_due(now_ms) {
                assert_eq!(ifindex, LINK);
                times.push((now_ms, addr.to_string()));
            }
        }
        times
    }

    /// RFC 5227, 2.3: two announcements, spaced 2 s apart. RFC 4861, 7.2.6: up to three, and at
    /// least 1 s between them.
    #[test]
    fn addresses_are_announced_as_often_as_their_rfc_says() {
        let v4 = "10.0.0.1".to_owned();
        let v6 = "2001:db8::1".to_owned();
        assert_eq!(
            times_of(&["10.0.0.1", "2001:db8::1"]),
            [(1_500, v6.clone()), (2_500, v4), (2_500, v6)]
        );
    }

    #[test]
    fn what_is_due_late_waits_for_its_interval_again() {
        let mut queue = AnnouncementQueue::default();
        queue.begin(0, LINK, "2001:db8::1".parse().unwrap());
        assert!(queue.pop_due(999).is_none());
        assert!(queue.pop_due(5_000).is_some());
        assert!(queue.pop_due(5_999).is_none());
        assert!(queue.pop_due(6_000).is_some());
        assert!(queue.pop_due(60_000).is_none());
    }
}

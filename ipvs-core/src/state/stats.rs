//! Counters of one worker. The worker alone writes them; anyone may read them where they lie.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use crate::config::{DestId, LaddrUseId, MAX_LADDR_USES, MAX_SERVICES, ServiceId};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::sched::{Load, OverloadMarks};

/// A counter with one writer: adding is a plain load and store, never a locked instruction.
#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds, by the worker that owns the counter.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts, by the worker that owns the counter.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Replaces, by the worker that owns the counter.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Reads, by anyone.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Writes without a change, by anyone: the memory is there then.
    fn touch(&self) {
        // What it holds is not lost, whether it is 0 or not.
        let _ = self.0.compare_exchange(0, 0, Relaxed, Relaxed);
    }
}

/// A small page of the kernel's.
const PAGE: usize = 4096;

/// Touches the memory of some of the entries by one counter of each page.
fn provide<T>(entries: Option<&[T]>, counter: impl Fn(&T) -> &Counter) {
    let entries = entries.unwrap_or_default();
    let one_a_page = entries.iter().step_by(PAGE / size_of::<T>());
    for entry in one_a_page.chain(entries.last()) {
        counter(entry).touch();
    }
}

/// What one worker counts of one dest. 64 bytes, one cache line.
#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C, align(64))]
pub struct DestStats {
    /// Conns made.
    pub conns: Counter,
    /// Packets from clients.
    pub in_packets: Counter,
    /// Packets from the dest.
    pub out_packets: Counter,
    /// Bytes from clients, from the IP header on.
    pub in_bytes: Counter,
    /// Bytes from the dest, from the IP header on.
    pub out_bytes: Counter,
    /// Conns that are established.
    pub active_conns: Counter,
    /// Conns in any other state.
    pub inactive_conns: Counter,
    /// Clients that keep to it: templates.
    pub persistent_conns: Counter,
}

/// What one worker counts of one service.
#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C)]
pub struct ServiceStats {
    /// Conns made.
    pub conns_made: Counter,
    /// Conns now: a gauge.
    pub conns: Counter,
    /// SYNs, as long as they are counted: a SYN proxy that switches itself on.
    pub syns: Counter,
    reserved: Counter,
}

/// What one worker counts of one local address in one service.
#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C)]
pub struct LaddrUseStats {
    /// Conns of the service that use a port of the address now: a gauge.
    pub conns: Counter,
    /// How often a new conn of the service found no free port of the address.
    pub conflicts: Counter,
}

/// The name of a counter, and what is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterInfo {
    /// Its name in the API and in JSON
    pub name: &'static str,
    /// Its name in tables: at most 14 characters
    pub label: &'static str,
    /// What it counts, a sentence
    pub text: &'static str,
}

/// Makes [`WorkerStats`]. A new counter is one line here: its sentence, its name, its label. The
/// API, the JSON and the tables of `dpip link show` have it from there, in this order.
macro_rules! worker_stats {
    ($($text:literal $name:ident $label:literal;)*) => {
        /// All that one worker counts. Aligned so that two workers never write to the same pair of
        /// cache lines, which the CPU fetches together.
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct WorkerStats {
            $(#[doc = $text] pub $name: Counter,)*
            /// Packets dropped, indexed by `DropReason as usize`.
            pub drops: [Counter; DropReason::COUNT],
            /// Which dests this worker saw overloaded.
            pub overloads: Arc<OverloadMarks>,
            /// Per dest, indexed by `DestId`.
            dests: Box<[DestStats]>,
            /// Per service, indexed by `ServiceId`.
            services: Box<[ServiceStats]>,
            /// Per local address of a service, indexed by `LaddrUseId`.
            laddr_uses: Box<[LaddrUseStats]>,
        }

        impl WorkerStats {
            /// The counters of packets and conns, without drops, dests and services.
            pub const COUNTERS: &'static [CounterInfo] = &[
                $(CounterInfo { name: stringify!($name), label: $label, text: $text },)*
            ];

            /// What each of [`Self::COUNTERS`] says now.
            pub fn counters(&self) -> impl Iterator<Item = (CounterInfo, u64)> {
                let values = [$(self.$name.get(),)*];
                Self::COUNTERS.iter().copied().zip(values)
            }

            /// Counters at zero, for at most `max_dests` dests. Memory of what never counts is
            /// never touched.
            pub fn new(max_dests: usize) -> Self {
                Self {
                    $($name: Counter::default(),)*
                    drops: [const { Counter(AtomicU64::new(0)) }; DropReason::COUNT],
                    overloads: Arc::new(OverloadMarks::new(max_dests)),
                    dests: dest_counters(max_dests),
                    services: service_counters(),
                    laddr_uses: laddr_use_counters(),
                }
            }
        }
    };
}

worker_stats! {
    "Packets that came in: from NICs, from other workers, and made by this worker." received "received";
    "Packets handed to a NIC." transmitted "transmitted";
    "Packets handed to a kni device." to_kernel "to-kernel";
    "Packets handed to another worker." redirected "redirected";
    "Packets that wait for a neighbour or a fragment now: a gauge." held "held";
    "Packets whose purpose was fulfilled by reading them." consumed "consumed";
    "Packets received from other workers." redirected_in "redirected-in";
    "Packets made by this worker, or on control's order." originated "originated";
    "Conns in the table now: a gauge." conns "conns";
    "Adopted, half-open, one-way or closing conns that gave way to a new one." conns_recycled "recycled-conns";
    "TOA options put into segments." toa_sent "toa-sent";
    "Segments sent without TOA, since their options left no room." toa_no_space "toa-no-space";
    "Segments sent without TOA, since they would exceed the MTU." toa_over_mtu "toa-over-mtu";
    "Datagrams that told the dest the client's address by UOA." uoa_sent "uoa-sent";
    "Datagrams that should have had UOA and had no room." uoa_no_space "uoa-no-space";
    "SYNs that the SYN proxy answered with a cookie." syn_cookies_sent "cookies-sent";
    "Cookies that came back." syn_cookies_taken "cookies-taken";
    "Acknowledgments of no cookie, or of one that is too old." syn_cookies_wrong "cookies-wrong";
    "Conns made." conns_made "conns-made";
    "ARP and ND packets of others that claim an address of ours (RFC 5227)." address_conflicts "addr-conflicts";
    "Events lost because control did not take them in time." events_lost "events-lost";
}

/// The conns of a dest over all workers.
pub(crate) fn load_of(all_stats: &[Arc<WorkerStats>], dest: DestId) -> Load {
    let of_workers = all_stats.iter().map(|stats| stats.dest(dest));
    of_workers.fold(Load::default(), |load, stats| Load {
        active: load.active + stats.active_conns.get(),
        inactive: load.inactive + stats.inactive_conns.get(),
    })
}

fn dest_counters(max_dests: usize) -> Box<[DestStats]> {
    <[DestStats] as zerocopy::FromZeros>::new_box_zeroed_with_elems(max_dests)
        .expect("the size of the dest counters was checked when the config was read")
}

fn service_counters() -> Box<[ServiceStats]> {
    <[ServiceStats] as zerocopy::FromZeros>::new_box_zeroed_with_elems(MAX_SERVICES as usize)
        .expect("32 MB of addresses")
}

fn laddr_use_counters() -> Box<[LaddrUseStats]> {
    <[LaddrUseStats] as zerocopy::FromZeros>::new_box_zeroed_with_elems(MAX_LADDR_USES as usize)
        .expect("16 MB of addresses")
}

impl WorkerStats {
    /// Bytes of memory of the counters of so many dests, and of all services and local addresses.
    pub(crate) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<DestStats>()
            + OverloadMarks::bytes_for(max_dests)
            + MAX_SERVICES as usize * size_of::<ServiceStats>()
            + MAX_LADDR_USES as usize * size_of::<LaddrUseStats>()
    }

    /// Has the kernel provide the memory of the counters of these dests, services and local
    /// addresses of services, so that the worker does not wait for it at their first packet. Called
    /// by control.
    pub fn provide(&self, dests: Range<u32>, services: Range<u32>, laddr_uses: Range<u32>) {
        let numbers = |range: Range<u32>| range.start as usize..range.end as usize;
        provide(self.dests.get(numbers(dests)), |dest| &dest.conns);
        provide(self.services.get(numbers(services)), |service| {
            &service.conns
        });
        provide(self.laddr_uses.get(numbers(laddr_uses)), |laddr_use| {
            &laddr_use.conns
        });
    }

    /// The counters of a dest.
    #[inline]
    pub fn dest(&self, id: DestId) -> &DestStats {
        &self.dests[id.0 as usize]
    }

    /// Counts a packet of a conn of this dest. `bytes` are counted from the IP header on.
    #[inline(always)]
    pub(crate) fn count_packet(&self, dest: DestId, direction: Direction, bytes: u16) {
        let stats = self.dest(dest);
        let (packets, all_bytes) = match direction {
            Direction::Inbound => (&stats.in_packets, &stats.in_bytes),
            Direction::Outbound => (&stats.out_packets, &stats.out_bytes),
        };
        packets.add(1);
        all_bytes.add(u64::from(bytes));
    }

    /// The counters of a service.
    #[inline]
    pub fn service(&self, id: ServiceId) -> &ServiceStats {
        &self.services[id.0 as usize]
    }

    /// The counters of a local address of a service.
    #[inline]
    pub fn laddr_use(&self, id: LaddrUseId) -> &LaddrUseStats {
        &self.laddr_uses[id.0 as usize]
    }

    /// How many dests there is room for.
    pub fn max_dests(&self) -> usize {
        self.dests.len()
    }

    /// The counter of a drop reason.
    #[inline]
    pub fn drops_by(&self, reason: DropReason) -> &Counter {
        &self.drops[reason as usize]
    }

    /// Counts a packet that the shell took (`end` is the counter of that) and could not pass on.
    pub fn undo(&self, end: &Counter, reason: DropReason, packets: u64) {
        end.sub(packets);
        self.drops_by(reason).add(packets);
    }

    /// All drops, whatever the reason.
    pub fn drops_total(&self) -> u64 {
        self.drops.iter().map(Counter::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providing_the_memory_of_counters_changes_none() {
        let stats = WorkerStats::new(1000);
        stats.dest(DestId(0)).conns.add(3);
        stats.dest(DestId(64)).conns.add(4);
        stats.laddr_use(LaddrUseId(700)).conns.add(5);
        stats.provide(0..1000, 0..MAX_SERVICES, 0..MAX_LADDR_USES);
        stats.provide(1000..1000, 0..1, 5..5);
        assert_eq!(stats.laddr_use(LaddrUseId(700)).conns.get(), 5);
        let conns = |dest| stats.dest(DestId(dest)).conns.get();
        assert_eq!([0, 1, 64, 999].map(conns), [3, 0, 4, 0]);
    }
}

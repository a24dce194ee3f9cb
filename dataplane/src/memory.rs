//! DPDK's memory: on which pages it is, and how much of it mbufs take there.

use crate::config::Config;

/// What stands before an mbuf's data: DPDK's object header, `struct rte_mbuf`, and the headroom for headers to come.
const HEADERS: u64 = 64 + 128 + 128;
/// Room for data that an mbuf has at least: `RTE_MBUF_DEFAULT_DATAROOM`.
const LEAST_ROOM: u64 = 2048;
/// DPDK lays objects out in cache lines, and one more may spread them over the memory's channels.
const CACHE_LINE: u64 = 64;
/// What DPDK needs beside mbufs.
const REST_MB: u64 = 64;

/// Whether this start uses hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages of this process alone: no mount, no files
    Hugepages,
    /// Ordinary pages
    Ordinary,
}

impl Memory {
    /// Megabytes that EAL reserves: as configured, or what the mbufs take.
    pub fn needed_mb(self, config: &Config) -> u32 {
        let page_bytes = match self {
            Self::Hugepages => None,
            Self::Ordinary => Some(rustix::param::page_size() as u64),
        };
        let mbufs = u64::from(config.mbufs) * mbuf_bytes(config.largest_frame(), page_bytes);
        let worked_out = mbufs.div_ceil(1 << 20) + REST_MB;
        let worked_out = u32::try_from(worked_out).unwrap_or(u32::MAX);
        config.eal.memory_mb.unwrap_or(worked_out)
    }
}

/// Bytes of memory for each mbuf. On ordinary pages none lies across two of them, unless it is larger than one: DPDK cannot
/// know that the next page is the next in memory too.
fn mbuf_bytes(largest_frame: u16, page_bytes: Option<u64>) -> u64 {
    let data = u64::from(largest_frame).max(LEAST_ROOM);
    let object = (HEADERS + data).next_multiple_of(CACHE_LINE) + CACHE_LINE;
    match page_bytes {
        None => object,
        Some(page) if object > page => object.next_multiple_of(page),
        Some(page) => page.div_ceil(page / object),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_page_has_whole_mbufs_and_a_large_mbuf_whole_pages() {
        assert_eq!(mbuf_bytes(1522, None), 2432);
        assert_eq!(mbuf_bytes(1522, Some(4096)), 4096);
        assert_eq!(mbuf_bytes(1522, Some(65_536)), 65_536_u64.div_ceil(26));
        assert_eq!(mbuf_bytes(9022, None), 9408);
        assert_eq!(mbuf_bytes(9022, Some(4096)), 3 * 4096);
    }

    #[test]
    fn what_is_configured_counts() {
        let needed = |more: &str| {
            let text = format!(
                "[[device]]\nname = \"dpdk0\"\nvdev = \"net_null0\"\n[mbufs]\ncount = 1048576\n{more}"
            );
            let config = Config::parse(Path::new("t.toml"), &text, 2).unwrap();
            Memory::Hugepages.needed_mb(&config)
        };
        assert_eq!(needed(""), 2432 + 64);
        assert_eq!(needed("[eal]\nmemory_mb = 100\n"), 100);
    }
}

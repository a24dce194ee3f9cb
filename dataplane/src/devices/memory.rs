//! DPDK's memory: on which pages it lies, and how much of it the mbufs take there.

use crate::config::Config;

/// Bytes before an mbuf's data: DPDK's object header, `struct rte_mbuf`, and the headroom.
const HEADERS: u64 = 64 + 128 + 128;
/// Fewest bytes of data that an mbuf has room for: `RTE_MBUF_DEFAULT_DATAROOM`.
const LEAST_ROOM: u64 = 2048;
/// Bytes of a cache line. DPDK rounds objects up to whole lines, and may add one more to spread
/// them over the memory channels.
const CACHE_LINE: u64 = 64;
/// Megabytes that DPDK needs beside the mbufs.
const REST_MB: u64 = 64;

/// The pages that a start uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Hugepages of this process alone, without a mount and files.
    Hugepages,
    /// Ordinary pages.
    Ordinary,
}

impl Memory {
    /// Megabytes that EAL reserves: as configured, or what the mbufs need.
    pub(crate) fn needed_mb(self, config: &Config) -> u32 {
        let worked_out = u32::try_from(self.mbufs_mb(config) + REST_MB).unwrap_or(u32::MAX);
        config.eal.memory_mb.unwrap_or(worked_out)
    }

    /// Megabytes that the mbufs take.
    pub(crate) fn mbufs_mb(self, config: &Config) -> u64 {
        let page_bytes = match self {
            Self::Hugepages => None,
            Self::Ordinary => Some(rustix::param::page_size() as u64),
        };
        let mbufs = u64::from(config.mbufs) * mbuf_bytes(config.largest_frame(), page_bytes);
        mbufs.div_ceil(1 << 20)
    }
}

/// Bytes of memory for each mbuf. On ordinary pages an mbuf does not cross a page's end unless it
/// is larger than a page, because DPDK cannot know that the next page follows in physical memory.
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
    fn a_page_holds_whole_mbufs_and_a_large_mbuf_takes_whole_pages() {
        assert_eq!(mbuf_bytes(1522, None), 2432);
        assert_eq!(mbuf_bytes(1522, Some(4096)), 4096);
        assert_eq!(mbuf_bytes(1522, Some(65_536)), 65_536_u64.div_ceil(26));
        assert_eq!(mbuf_bytes(9022, None), 9408);
        assert_eq!(mbuf_bytes(9022, Some(4096)), 3 * 4096);
    }

    #[test]
    fn configured_memory_overrides_what_is_worked_out() {
        let needed = |more: &str| {
            let text = format!(
                "[[device]]\nname = \"dpdk0\"\nvdev = \"net_null0\"\n\
                 [mbufs]\ncount = 1048576\n{more}"
            );
            let config = Config::parse(Path::new("t.toml"), &text, 2).unwrap();
            Memory::Hugepages.needed_mb(&config)
        };
        assert_eq!(needed(""), 2432 + 64);
        assert_eq!(needed("[eal]\nmemory_mb = 100\n"), 100);
    }
}

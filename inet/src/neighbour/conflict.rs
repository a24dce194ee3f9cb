//! Other hosts that use addresses of ours: RFC 5227, 2.4 and RFC 4862, 5.4.4.

use std::collections::HashMap;
use std::net::IpAddr;

use packet::MacAddr;

use crate::device::IfIndex;

/// An address is defended once in this time: RFC 5227, 1.1, `DEFEND_INTERVAL`.
const DEFEND_INTERVAL_MS: u64 = 10_000;
/// A conflict is reported to the operator once in this time.
const REPORT_INTERVAL_MS: u64 = 60_000;

/// Another host used an address of ours: what a worker tells control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressConflict {
    /// The device of the address
    pub ifindex: IfIndex,
    /// The address
    pub addr: IpAddr,
    /// The other host's MAC address
    pub mac: MacAddr,
}

/// What is known of the conflict about one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictRecord {
    /// Who used the address last
    pub mac: MacAddr,
    /// How often the address was used by others
    pub count: u64,
    /// When it was used last
    pub last_ms: u64,
    defend_from_ms: u64,
    report_from_ms: u64,
    unreported: u64,
}

/// What has to be done about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictResponse {
    /// Announce the address.
    pub defend: bool,
    /// Tell the operator. This many conflicts were seen since the last time.
    pub report: Option<u64>,
}

/// The conflicts about all addresses. Times are milliseconds of the caller's clock. Control owns
/// it.
#[derive(Debug, Default)]
pub struct ConflictTable {
    records: HashMap<IpAddr, ConflictRecord>,
}

impl ConflictTable {
    /// Notes a conflict about an address that is ours, and says what to do about it. The address is
    /// never given up: RFC 5227, 2.4 (c).
    pub fn record(&mut self, now_ms: u64, conflict: &AddressConflict) -> ConflictResponse {
        let record = self.records.entry(conflict.addr).or_insert(ConflictRecord {
            mac: conflict.mac,
            count: 0,
            last_ms: now_ms,
            defend_from_ms: now_ms,
            report_from_ms: now_ms,
            unreported: 0,
        });
        record.mac = conflict.mac;
        record.count += 1;
        record.last_ms = now_ms;
        record.unreported += 1;
        let defend = now_ms >= record.defend_from_ms;
        if defend {
            record.defend_from_ms = now_ms.saturating_add(DEFEND_INTERVAL_MS);
        }
        let report = (now_ms >= record.report_from_ms).then(|| {
            record.report_from_ms = now_ms.saturating_add(REPORT_INTERVAL_MS);
            std::mem::take(&mut record.unreported)
        });
        ConflictResponse { defend, report }
    }

    /// What is known of an address, if there was a conflict about it.
    pub fn get(&self, addr: IpAddr) -> Option<&ConflictRecord> {
        self.records.get(&addr)
    }

    /// Forgets the conflicts about addresses that are not ours any more.
    pub fn retain(&mut self, is_ours: impl Fn(IpAddr) -> bool) {
        self.records.retain(|addr, _| is_ours(*addr));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFLICT: AddressConflict = AddressConflict {
        ifindex: IfIndex(1),
        addr: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 100)),
        mac: MacAddr([2, 0, 0, 0, 0, 9]),
    };

    /// RFC 5227, 2.4 (c): at most one announcement in ten seconds.
    #[test]
    fn an_address_is_defended_once_in_ten_seconds_and_reported_once_a_minute() {
        let mut table = ConflictTable::default();
        let (mut defended, mut reported) = (Vec::new(), Vec::new());
        for now_ms in (0..=65_000).step_by(1_000) {
            let response = table.record(now_ms, &CONFLICT);
            if response.defend {
                defended.push(now_ms);
            }
            reported.extend(response.report.map(|count| (now_ms, count)));
        }
        assert_eq!(
            defended,
            [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
        );
        assert_eq!(reported, [(0, 1), (60_000, 60)]);
        let record = table.get(CONFLICT.addr).unwrap();
        assert_eq!((record.count, record.last_ms), (66, 65_000));
    }

    #[test]
    fn a_removed_address_is_forgotten() {
        let mut table = ConflictTable::default();
        table.record(0, &CONFLICT);
        table.retain(|addr| addr != CONFLICT.addr);
        assert_eq!(table.get(CONFLICT.addr), None);
    }
}

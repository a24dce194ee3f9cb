//! Workers in DPVS's columns. Below them are counters that DPVS does not show: where the packets
//! went.

use std::time::Duration;

use proto::v1::{Worker, WorkerStats};
use serde_json::{Map, Value, json};

use super::columns::{columns, per_second};

/// A worker.
pub(super) fn worker(worker: &Worker, stats: bool, verbose: bool) -> String {
    let mut text = format!(
        "{}: cpu{}: socket {}\n    queues {}\n",
        worker.lcore,
        worker.lcore,
        worker.socket,
        worker.queues.join(" ")
    );
    if let Some(counted) = worker.stats.as_ref().filter(|_| stats) {
        text.push_str(&loop_columns(counted));
        text.push_str(&ends(counted));
        text.push_str(&drops(counted, verbose));
    }
    text
}

fn loop_columns(stats: &WorkerStats) -> String {
    let drops: u64 = stats.drops.iter().map(|drop| drop.packets).sum();
    let shown = |rows: &[(&'static str, u64)]| {
        let rows = rows.iter().map(|(name, value)| (*name, value.to_string()));
        columns(&rows.collect::<Vec<_>>(), 20, 4)
    };
    let bursts = [
        ("lcore_loop", stats.loops),
        ("pktburst", stats.rx_bursts),
        ("zpktburst", stats.rx_bursts_empty),
        ("fpktburst", stats.rx_bursts_full),
    ];
    let few = [
        ("z2hpktburst", stats.rx_bursts_to_half),
        ("h2fpktburst", above_half(stats)),
        ("dropped", drops),
    ];
    let rest = [
        ("ipackets", counter(stats, "received")),
        ("ibytes", stats.rx_bytes),
        ("opackets", counter(stats, "transmitted")),
        ("obytes", stats.tx_bytes),
        // DPVS does not have these.
        ("worst_loop_ns", stats.loop_worst_ns),
        ("p99_loop_ns", stats.loop_p99_ns),
        ("conns", counter(stats, "conns")),
    ];
    shown(&bursts) + &shown(&few) + &shown(&rest)
}

/// Receive bursts that were more than half full, and not full.
const fn above_half(stats: &WorkerStats) -> u64 {
    let others = stats.rx_bursts_empty + stats.rx_bursts_to_half + stats.rx_bursts_full;
    stats.rx_bursts.saturating_sub(others)
}

/// Where the packets went. The numbers add up to those that came in.
fn ends(stats: &WorkerStats) -> String {
    // These two are in the columns above, under DPVS's names for them.
    let is_above = |name: &str| matches!(name, "received" | "conns");
    let counters = stats.counters.iter();
    let rows: Vec<_> = counters
        .filter(|counter| !is_above(&counter.name))
        .map(|counter| (counter.label.as_str(), counter.value.to_string()))
        .collect();
    columns(&rows, 20, 4)
}

/// The value of the counter of this name; 0 if the daemon does not have it.
fn counter(stats: &WorkerStats, name: &str) -> u64 {
    let mut counters = stats.counters.iter();
    counters
        .find(|counter| counter.name == name)
        .map_or(0, |counter| counter.value)
}

fn drops(stats: &WorkerStats, all: bool) -> String {
    let shown = stats.drops.iter().filter(|drop| all || drop.packets > 0);
    shown
        .map(|drop| {
            format!(
                "    drop {:<20} {:>12}  {}\n",
                drop.reason, drop.packets, drop.text
            )
        })
        .collect()
}

/// A worker's counters per second.
pub(super) fn worker_rates(old: &Worker, new: &Worker, elapsed: Duration) -> String {
    let (Some(old), Some(now)) = (&old.stats, &new.stats) else {
        return String::new();
    };
    let rate = |new, old| per_second(new, old, elapsed);
    let dropped = |stats: &WorkerStats| stats.drops.iter().map(|drop| drop.packets).sum::<u64>();
    let rows = [
        ("lcore_loop/lps", rate(now.loops, old.loops)),
        ("pktburst/nps", rate(now.rx_bursts, old.rx_bursts)),
        (
            "zpktburst/nps",
            rate(now.rx_bursts_empty, old.rx_bursts_empty),
        ),
        (
            "fpktburst/nps",
            rate(now.rx_bursts_full, old.rx_bursts_full),
        ),
        (
            "ipackets/pps",
            rate(counter(now, "received"), counter(old, "received")),
        ),
        ("ibytes/Bps", rate(now.rx_bytes, old.rx_bytes)),
        (
            "opackets/pps",
            rate(counter(now, "transmitted"), counter(old, "transmitted")),
        ),
        ("obytes/Bps", rate(now.tx_bytes, old.tx_bytes)),
        ("dropped/pps", rate(dropped(now), dropped(old))),
    ];
    format!("{}: cpu{}\n{}", new.lcore, new.lcore, columns(&rows, 16, 4))
}

/// A worker.
pub(super) fn worker_json(worker: &Worker) -> Value {
    let stats = worker.stats.clone().unwrap_or_default();
    let drops: Map<_, _> = stats
        .drops
        .iter()
        .map(|drop| (drop.reason.clone(), drop.packets.into()))
        .collect();
    let mut shown = json!({
        "lcore": worker.lcore, "socket": worker.socket, "queues": worker.queues, "drops": drops,
        "loops": stats.loops, "loop_worst_ns": stats.loop_worst_ns,
        "loop_p99_ns": stats.loop_p99_ns,
        "rx_bursts": stats.rx_bursts, "rx_bursts_empty": stats.rx_bursts_empty,
        "rx_bursts_full": stats.rx_bursts_full, "rx_bursts_to_half": stats.rx_bursts_to_half,
        "rx_bytes": stats.rx_bytes,
        "tx_bytes": stats.tx_bytes,
    });
    if let Some(object) = shown.as_object_mut() {
        let counters = stats.counters.into_iter();
        object.extend(counters.map(|counter| (counter.name, counter.value.into())));
    }
    shown
}

#[cfg(test)]
mod tests {
    use proto::v1::{Drop, WorkerCounter};

    use super::super::columns::tests::below;
    use super::*;

    fn example_worker() -> Worker {
        let drop = |reason: &str, text: &str, packets| Drop {
            reason: reason.into(),
            text: text.into(),
            packets,
        };
        let counted = |name: &str, label: &str, value| WorkerCounter {
            name: name.into(),
            label: label.into(),
            value,
            ..WorkerCounter::default()
        };
        Worker {
            lcore: 1,
            queues: vec!["dpdk0:rx0,tx0".into(), "dpdk1:rx0,tx0".into()],
            stats: Some(WorkerStats {
                counters: vec![
                    counted("received", "received", 20),
                    counted("transmitted", "transmitted", 10),
                    counted("to_kernel", "to-kernel", 1),
                    counted("redirected", "redirected", 2),
                    counted("held", "held", 1),
                    counted("consumed", "consumed", 3),
                    counted("events_lost", "events-lost", 4),
                ],
                drops: vec![
                    drop("no_service", "no service listens there", 3),
                    drop("bad_checksum", "checksum is wrong", 0),
                ],
                loops: 1_000,
                rx_bursts: 100,
                rx_bursts_empty: 50,
                rx_bursts_full: 20,
                rx_bursts_to_half: 13,
                loop_worst_ns: 9_000,
                loop_p99_ns: 800,
                ..WorkerStats::default()
            }),
            ..Worker::default()
        }
    }

    #[test]
    fn workers_show_where_packets_went() {
        let text = worker(&example_worker(), true, false);
        assert!(text.starts_with(
            "1: cpu1: socket 0\n    queues dpdk0:rx0,tx0 dpdk1:rx0,tx0\n    lcore_loop          \
            pktburst"
        ));
        for (name, value) in [
            ("ipackets", "20"),
            ("transmitted", "10"),
            ("to-kernel", "1"),
            ("redirected", "2"),
            ("held", "1"),
            ("consumed", "3"),
            ("events-lost", "4"),
            ("dropped", "3"),
            ("worst_loop_ns", "9000"),
            ("p99_loop_ns", "800"),
        ] {
            assert_eq!(below(&text, name), value, "{name} in\n{text}");
        }
        let reason = "    drop no_service                      3  no service listens there\n";
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains("bad_checksum"), "zero, so only with -v");
        assert!(worker(&example_worker(), true, true).contains("bad_checksum"));
        assert!(!worker(&example_worker(), false, false).contains("drop"));
        let json = worker_json(&example_worker());
        assert_eq!(json["drops"]["no_service"], 3);
        assert_eq!(
            json["events_lost"], 4,
            "whatever the daemon counts is shown"
        );
    }

    /// `lcore_loop pktburst zpktburst fpktburst`, `z2hpktburst h2fpktburst dropped`,
    /// `ipackets ibytes opackets obytes`: scripts count lines and columns.
    #[test]
    fn the_columns_of_dpvs_are_where_dpvs_has_them() {
        let text = worker(&example_worker(), true, false);
        let lines: Vec<Vec<_>> = text
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[0],
            ["lcore_loop", "pktburst", "zpktburst", "fpktburst"]
        );
        assert_eq!(lines[1], ["1000", "100", "50", "20"]);
        assert_eq!(lines[2], ["z2hpktburst", "h2fpktburst", "dropped"]);
        assert_eq!(lines[3], ["13", "17", "3"]);
        assert_eq!(lines[4], ["ipackets", "ibytes", "opackets", "obytes"]);
    }

    #[test]
    fn rates_are_per_second_of_the_time_that_passed() {
        let (old, mut new) = (example_worker(), example_worker());
        new.stats.as_mut().unwrap().counters[0].value += 3_000;
        let text = worker_rates(&old, &new, Duration::from_millis(1_500));
        assert!(
            text.starts_with("1: cpu1\n    lcore_loop/lps  pktburst/nps"),
            "{text}"
        );
        assert_eq!(below(&text, "ipackets/pps"), "2000");
    }
}

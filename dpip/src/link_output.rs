//! Devices and workers in DPVS's columns, and what DPVS does not show: where packets went.

use std::time::Duration;

use proto::v1::{Link, Worker, WorkerStats};
use serde_json::{Map, Value, json};

/// A device.
pub fn link(link: &Link, stats: bool, verbose: bool) -> String {
    let flag = |on: bool, word: &'static str| if on { word } else { "" };
    let mut text = format!(
        "{}: {}: socket {} mtu {} rx-queue {} tx-queue {}\n    {} {} Mbps {} {} {}{}{}\n    addr {} {}\n",
        link.index,
        link.name,
        link.socket,
        link.mtu,
        link.rx_queues,
        link.tx_queues,
        if link.up { "UP" } else { "DOWN" },
        link.speed_mbps,
        if link.full_duplex {
            "full-duplex"
        } else {
            "half-duplex"
        },
        if link.autoneg {
            "auto-nego"
        } else {
            "fixed-nego"
        },
        flag(link.promiscuous, "promisc "),
        flag(link.all_multicast, "allmulticast "),
        // DPVS's own spelling, which scripts look for.
        flag(link.forward_to_kni, "foward2kni "),
        cli::mac(&link.mac),
        link.offloads
            .iter()
            .map(|name| format!("{name} "))
            .collect::<String>(),
    );
    if verbose {
        text.push_str(&link_details(link));
    }
    if stats {
        text.push_str(&link_stats(link));
        if verbose {
            text.push_str("    xstats list:\n");
            text.extend(
                link.xstats
                    .iter()
                    .enumerate()
                    .map(|(id, stat)| format!("        {id:<6}{}: {}\n", stat.name, stat.value)),
            );
        }
    }
    text
}

/// What DPVS does not show, and what the driver says of itself.
fn link_details(link: &Link) -> String {
    let kni = match link.kni.as_str() {
        "" => "none",
        name => name,
    };
    let details: Vec<_> = link
        .details
        .iter()
        .map(|detail| (detail.name.as_str(), detail.value.clone()))
        .collect();
    format!(
        "    kni {kni} steering {}\n{}",
        link.steering,
        columns(&details, 32, 2)
    )
}

fn link_stats(link: &Link) -> String {
    let stats = link.stats.unwrap_or_default();
    let rows = [
        ("ipackets", stats.ipackets),
        ("opackets", stats.opackets),
        ("ibytes", stats.ibytes),
        ("obytes", stats.obytes),
        ("ierrors", stats.ierrors),
        ("oerrors", stats.oerrors),
        ("imissed", stats.imissed),
        ("rx_nombuf", stats.rx_nombuf),
        ("mbuf-avail", stats.mbuf_available),
        ("mbuf-inuse", stats.mbuf_in_use),
    ];
    columns(&rows.map(|(name, value)| (name, value.to_string())), 20, 4)
}

/// What a counter grew by in a second. A counter that went back was zeroed: nothing is known of it.
fn per_second(new: u64, old: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    (u128::from(new.saturating_sub(old)) * 1_000 / millis).to_string()
}

/// A device's counters per second.
pub fn link_rates(old: &Link, new: &Link, elapsed: Duration) -> String {
    let (old, new_stats) = (old.stats.unwrap_or_default(), new.stats.unwrap_or_default());
    let rate = |new, old| per_second(new, old, elapsed);
    let rows = [
        ("ipackets/pps", rate(new_stats.ipackets, old.ipackets)),
        ("opackets/pps", rate(new_stats.opackets, old.opackets)),
        ("ibytes/Bps", rate(new_stats.ibytes, old.ibytes)),
        ("obytes/Bps", rate(new_stats.obytes, old.obytes)),
        ("ierrors/pps", rate(new_stats.ierrors, old.ierrors)),
        ("oerrors/pps", rate(new_stats.oerrors, old.oerrors)),
        ("imissed/pps", rate(new_stats.imissed, old.imissed)),
        ("rx_nombuf/pps", rate(new_stats.rx_nombuf, old.rx_nombuf)),
    ];
    format!("{}: {}\n{}", new.index, new.name, columns(&rows, 16, 4))
}

/// A worker.
pub fn worker(worker: &Worker, stats: bool, verbose: bool) -> String {
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
    let rows = [
        ("lcore_loop", stats.loops),
        ("pktburst", stats.rx_bursts),
        ("zpktburst", stats.rx_bursts_empty),
        ("fpktburst", stats.rx_bursts_full),
        ("worst_loop_ns", stats.loop_worst_ns),
        ("p99_loop_ns", stats.loop_p99_ns),
        ("conns", counter(stats, "conns")),
        ("dropped", drops),
        ("ipackets", counter(stats, "received")),
        ("ibytes", stats.rx_bytes),
        ("opackets", counter(stats, "transmitted")),
        ("obytes", stats.tx_bytes),
    ];
    columns(&rows.map(|(name, value)| (name, value.to_string())), 20, 4)
}

/// Where every packet that came in went: the numbers add up.
fn ends(stats: &WorkerStats) -> String {
    // These two stand above, by the names that DPVS has for them.
    let is_above = |name: &str| matches!(name, "received" | "conns");
    let counters = stats.counters.iter();
    let rows: Vec<_> = counters
        .filter(|counter| !is_above(&counter.name))
        .map(|counter| (counter.label.as_str(), counter.value.to_string()))
        .collect();
    columns(&rows, 20, 4)
}

/// The value of a counter, by its name; 0 if the daemon does not have it.
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
pub fn worker_rates(old: &Worker, new: &Worker, elapsed: Duration) -> String {
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

/// Pairs of lines: names above values.
fn columns(rows: &[(&str, String)], width: usize, per_line: usize) -> String {
    let line = |cells: Vec<&str>| {
        format!(
            "    {}\n",
            cells
                .iter()
                .map(|cell| format!("{cell:<width$}"))
                .collect::<String>()
                .trim_end()
        )
    };
    rows.chunks(per_line)
        .map(|row| {
            line(row.iter().map(|(name, _)| *name).collect())
                + &line(row.iter().map(|(_, value)| value.as_str()).collect())
        })
        .collect()
}

/// A device.
pub fn link_json(link: &Link) -> Value {
    let stats = link.stats.unwrap_or_default();
    let details: Map<_, _> = link
        .details
        .iter()
        .map(|detail| (detail.name.clone(), detail.value.clone().into()))
        .collect();
    let xstats: Map<_, _> = link
        .xstats
        .iter()
        .map(|stat| (stat.name.clone(), stat.value.into()))
        .collect();
    json!({
        "index": link.index, "name": link.name, "socket": link.socket, "mtu": link.mtu,
        "rx_queues": link.rx_queues, "tx_queues": link.tx_queues,
        "up": link.up, "speed_mbps": link.speed_mbps, "full_duplex": link.full_duplex, "autoneg": link.autoneg,
        "promiscuous": link.promiscuous, "all_multicast": link.all_multicast, "forward_to_kni": link.forward_to_kni,
        "mac": cli::mac(&link.mac), "offloads": link.offloads, "kni": link.kni, "steering": link.steering,
        "stats": {
            "ipackets": stats.ipackets, "opackets": stats.opackets, "ibytes": stats.ibytes, "obytes": stats.obytes,
            "ierrors": stats.ierrors, "oerrors": stats.oerrors, "imissed": stats.imissed, "rx_nombuf": stats.rx_nombuf,
            "mbuf_available": stats.mbuf_available, "mbuf_in_use": stats.mbuf_in_use,
        },
        "details": details, "xstats": xstats,
    })
}

/// A worker.
pub fn worker_json(worker: &Worker) -> Value {
    let stats = worker.stats.clone().unwrap_or_default();
    let drops: Map<_, _> = stats
        .drops
        .iter()
        .map(|drop| (drop.reason.clone(), drop.packets.into()))
        .collect();
    let mut shown = json!({
        "lcore": worker.lcore, "socket": worker.socket, "queues": worker.queues, "drops": drops,
        "loops": stats.loops, "loop_worst_ns": stats.loop_worst_ns, "loop_p99_ns": stats.loop_p99_ns,
        "rx_bursts": stats.rx_bursts, "rx_bursts_empty": stats.rx_bursts_empty,
        "rx_bursts_full": stats.rx_bursts_full, "rx_bytes": stats.rx_bytes, "tx_bytes": stats.tx_bytes,
    });
    if let Some(object) = shown.as_object_mut() {
        let counters = stats.counters.into_iter();
        object.extend(counters.map(|counter| (counter.name, counter.value.into())));
    }
    shown
}

#[cfg(test)]
mod tests {
    use proto::v1::{Drop, LinkStats, NamedCounter, NamedValue, WorkerCounter};

    use super::*;

    fn example_link() -> Link {
        Link {
            index: 1,
            name: "dpdk0".into(),
            mtu: 1500,
            rx_queues: 2,
            tx_queues: 2,
            up: true,
            speed_mbps: 10_000,
            full_duplex: true,
            autoneg: true,
            promiscuous: true,
            forward_to_kni: true,
            mac: vec![2, 0, 0, 0, 0, 1],
            offloads: vec!["OF_RX_IP_CSUM".into(), "OF_TX_IP_CSUM".into()],
            kni: "dpdk0.kni".into(),
            steering: "redirect ring".into(),
            stats: Some(LinkStats {
                ipackets: 11,
                opackets: 22,
                ibytes: 33,
                obytes: 44,
                mbuf_available: 131_000,
                mbuf_in_use: 71,
                ..LinkStats::default()
            }),
            details: vec![NamedValue {
                name: "driver_name".into(),
                value: "net_af_packet".into(),
            }],
            xstats: vec![NamedCounter {
                name: "rx_good_packets".into(),
                value: 11,
            }],
            ..Link::default()
        }
    }

    const HEAD: &str = "1: dpdk0: socket 0 mtu 1500 rx-queue 2 tx-queue 2
    UP 10000 Mbps full-duplex auto-nego promisc foward2kni \n    addr 02:00:00:00:00:01 OF_RX_IP_CSUM OF_TX_IP_CSUM \n";

    const STATS: &str = "
    ipackets            opackets            ibytes              obytes
    11                  22                  33                  44
    ierrors             oerrors             imissed             rx_nombuf
    0                   0                   0                   0
    mbuf-avail          mbuf-inuse
    131000              71
";

    /// DPVS's `dpip link show`, with its own spelling of forward2kni.
    #[test]
    fn devices_are_shown_as_dpvs_shows_them() {
        let mut device = example_link();
        assert_eq!(link(&device, false, false), HEAD);
        assert_eq!(link(&device, true, false), format!("{HEAD}{}", &STATS[1..]));
        device.up = false;
        device.autoneg = false;
        device.full_duplex = false;
        let text = link(&device, false, false);
        assert!(
            text.contains("    DOWN 10000 Mbps half-duplex fixed-nego "),
            "{text}"
        );
    }

    #[test]
    fn verbose_shows_steering_details_and_xstats() {
        let text = link(&example_link(), true, true);
        assert_eq!(
            text,
            format!(
                "{HEAD}    kni dpdk0.kni steering redirect ring
    driver_name
    net_af_packet{STATS}    xstats list:
        0     rx_good_packets: 11
"
            )
        );
        let value = link_json(&example_link());
        assert_eq!(value["details"]["driver_name"], "net_af_packet");
        assert_eq!(value["xstats"]["rx_good_packets"], 11);
    }

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
                loop_worst_ns: 9_000,
                loop_p99_ns: 800,
                ..WorkerStats::default()
            }),
            ..Worker::default()
        }
    }

    /// The value below a name in the columns.
    fn below(text: &str, name: &str) -> String {
        let lines: Vec<_> = text.lines().collect();
        let (row, at) = lines
            .iter()
            .enumerate()
            .find_map(|(row, line)| {
                let names: Vec<_> = line.split_whitespace().collect();
                Some((row, names.iter().position(|cell| *cell == name)?))
            })
            .unwrap();
        lines[row + 1]
            .split_whitespace()
            .nth(at)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn workers_show_where_packets_went() {
        let text = worker(&example_worker(), true, false);
        assert!(text.starts_with(
            "1: cpu1: socket 0\n    queues dpdk0:rx0,tx0 dpdk1:rx0,tx0\n    lcore_loop          pktburst"
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
        assert_eq!(
            per_second(5, 10, Duration::from_secs(1)),
            "0",
            "zeroed between"
        );
    }
}

//! Devices and workers in DPVS's columns, and what DPVS does not show: where packets went.

use proto::v1::{Link, Worker, WorkerStats};
use serde_json::{Value, json};

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
        text.push_str(&format!(
            "    kni {} steering {}\n",
            if link.kni.is_empty() {
                "none"
            } else {
                &link.kni
            },
            link.steering
        ));
        let details: Vec<_> = link
            .details
            .iter()
            .map(|detail| (detail.name.as_str(), detail.value.clone()))
            .collect();
        text.push_str(&columns(&details, 32, 2));
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

/// A device's counters per second.
pub fn link_rates(old: &Link, new: &Link, seconds: u64) -> String {
    let (old, new_stats) = (old.stats.unwrap_or_default(), new.stats.unwrap_or_default());
    let rate = |new: u64, old: u64| (new.saturating_sub(old) / seconds).to_string();
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
        ("conns", stats.conns),
        ("dropped", drops),
        ("ipackets", stats.received),
        ("ibytes", stats.rx_bytes),
        ("opackets", stats.transmitted),
        ("obytes", stats.tx_bytes),
    ];
    columns(&rows.map(|(name, value)| (name, value.to_string())), 20, 4)
}

/// Where every packet that came in went: the numbers add up.
fn ends(stats: &WorkerStats) -> String {
    let rows = [
        ("transmitted", stats.transmitted),
        ("to-kernel", stats.to_kernel),
        ("redirected", stats.redirected),
        ("held", stats.held),
        ("consumed", stats.consumed),
        ("redirected-in", stats.redirected_in),
        ("originated", stats.originated),
        ("recycled-conns", stats.conns_recycled),
        ("toa-sent", stats.toa_sent),
        ("toa-no-space", stats.toa_no_space),
        ("toa-over-mtu", stats.toa_over_mtu),
        ("conns-made", stats.conns_made),
        ("addr-conflicts", stats.address_conflicts),
    ];
    columns(&rows.map(|(name, value)| (name, value.to_string())), 20, 4)
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
pub fn worker_rates(old: &Worker, new: &Worker, seconds: u64) -> String {
    let (Some(old), Some(now)) = (&old.stats, &new.stats) else {
        return String::new();
    };
    let rate = |new: u64, old: u64| (new.saturating_sub(old) / seconds).to_string();
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
        ("ipackets/pps", rate(now.received, old.received)),
        ("ibytes/Bps", rate(now.rx_bytes, old.rx_bytes)),
        ("opackets/pps", rate(now.transmitted, old.transmitted)),
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
    })
}

/// A worker.
pub fn worker_json(worker: &Worker) -> Value {
    let stats = worker.stats.clone().unwrap_or_default();
    let drops: serde_json::Map<_, _> = stats
        .drops
        .iter()
        .map(|drop| (drop.reason.clone(), drop.packets.into()))
        .collect();
    json!({
        "lcore": worker.lcore, "socket": worker.socket, "queues": worker.queues,
        "received": stats.received, "redirected_in": stats.redirected_in, "originated": stats.originated,
        "transmitted": stats.transmitted, "to_kernel": stats.to_kernel, "redirected": stats.redirected,
        "held": stats.held, "consumed": stats.consumed, "drops": drops,
        "conns": stats.conns, "conns_made": stats.conns_made, "conns_recycled": stats.conns_recycled,
        "toa_sent": stats.toa_sent, "toa_no_space": stats.toa_no_space, "toa_over_mtu": stats.toa_over_mtu,
        "address_conflicts": stats.address_conflicts,
        "loops": stats.loops, "loop_worst_ns": stats.loop_worst_ns, "loop_p99_ns": stats.loop_p99_ns,
        "rx_bytes": stats.rx_bytes, "tx_bytes": stats.tx_bytes,
    })
}

//! Devices in DPVS's columns.

use std::time::Duration;

use proto::v1::{Link, NamedValue};
use serde_json::{Map, Value, json};

use super::columns::{columns, per_second};

/// A device.
pub(super) fn device(link: &Link, stats: bool, verbose: bool) -> String {
    let flag = |on: bool, word: &'static str| if on { word } else { "" };
    let mut text = format!(
        "{}: {}: socket {} mtu {} rx-queue {} tx-queue {}\n    {} {} Mbps {} {} {}{}{}\n    addr \
        {} {}\n",
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
        // This is how DPVS spells it, and scripts may look for it.
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

/// Kernel interface and steering, which DPVS does not show, and the driver's own details.
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
        "    kni {kni} steering {}\n{}{}",
        link.steering,
        steering_facts(link),
        columns(&details, 32, 2)
    )
}

/// A line each: some are long.
fn steering_facts(link: &Link) -> String {
    let facts = link.steering_facts.iter();
    facts
        .map(|fact| format!("    {:<20}{}\n", fact.name, fact.value))
        .collect()
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
pub(super) fn device_rates(old: &Link, new: &Link, elapsed: Duration) -> String {
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

/// A device.
pub(super) fn device_json(link: &Link) -> Value {
    let stats = link.stats.unwrap_or_default();
    let named = |values: &[NamedValue]| -> Map<String, Value> {
        let pairs = values.iter();
        pairs
            .map(|pair| (pair.name.clone(), pair.value.clone().into()))
            .collect()
    };
    let xstats: Map<_, _> = link
        .xstats
        .iter()
        .map(|stat| (stat.name.clone(), stat.value.into()))
        .collect();
    json!({
        "index": link.index, "name": link.name, "socket": link.socket, "mtu": link.mtu,
        "rx_queues": link.rx_queues, "tx_queues": link.tx_queues,
        "up": link.up, "speed_mbps": link.speed_mbps, "full_duplex": link.full_duplex,
        "autoneg": link.autoneg,
        "promiscuous": link.promiscuous, "all_multicast": link.all_multicast,
        "forward_to_kni": link.forward_to_kni,
        "mac": cli::mac(&link.mac), "offloads": link.offloads, "kni": link.kni,
        "steering": link.steering,
        "steering_facts": named(&link.steering_facts),
        "stats": {
            "ipackets": stats.ipackets, "opackets": stats.opackets, "ibytes": stats.ibytes,
            "obytes": stats.obytes,
            "ierrors": stats.ierrors, "oerrors": stats.oerrors, "imissed": stats.imissed,
            "rx_nombuf": stats.rx_nombuf,
            "mbuf_available": stats.mbuf_available, "mbuf_in_use": stats.mbuf_in_use,
        },
        "details": named(&link.details), "xstats": xstats,
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::{LinkStats, NamedCounter, NamedValue};

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
            steering_facts: vec![NamedValue {
                name: "steering_ipv4".into(),
                value: "redirect ring: the configuration says so".into(),
            }],
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
    UP 10000 Mbps full-duplex auto-nego promisc foward2kni \n    addr 02:00:00:00:00:01 \
    OF_RX_IP_CSUM OF_TX_IP_CSUM \n";

    const STATS: &str = "
    ipackets            opackets            ibytes              obytes
    11                  22                  33                  44
    ierrors             oerrors             imissed             rx_nombuf
    0                   0                   0                   0
    mbuf-avail          mbuf-inuse
    131000              71
";

    /// As DPVS's `dpip link show`, which spells forward2kni in its own way.
    #[test]
    fn devices_are_shown_as_dpvs_shows_them() {
        let mut example = example_link();
        assert_eq!(device(&example, false, false), HEAD);
        assert_eq!(
            device(&example, true, false),
            format!("{HEAD}{}", &STATS[1..])
        );
        example.up = false;
        example.autoneg = false;
        example.full_duplex = false;
        let text = device(&example, false, false);
        assert!(
            text.contains("    DOWN 10000 Mbps half-duplex fixed-nego "),
            "{text}"
        );
    }

    #[test]
    fn verbose_shows_steering_details_and_xstats() {
        let text = device(&example_link(), true, true);
        assert_eq!(
            text,
            format!(
                "{HEAD}    kni dpdk0.kni steering redirect ring
    steering_ipv4       redirect ring: the configuration says so
    driver_name
    net_af_packet{STATS}    xstats list:
        0     rx_good_packets: 11
"
            )
        );
        let value = device_json(&example_link());
        assert_eq!(value["details"]["driver_name"], "net_af_packet");
        assert_eq!(value["xstats"]["rx_good_packets"], 11);
    }
}

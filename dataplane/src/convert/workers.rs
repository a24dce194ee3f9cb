//! `worker NAME { ... }` becomes `[[worker]]`, or `[eal] main_lcore`.

use std::collections::BTreeMap;

use super::output::{Output, quoted};
use super::tree::Item;

/// The path of a worker's items in notes.
const PATH: &str = "worker_defs/worker/";
const PORT_PATH: &str = "worker_defs/worker/port/";
/// The range of `cpu_id`. The parser of the TOML knows DPDK's limit.
const CPUS: (u32, u32) = (0, u32::MAX);

/// A worker of DPVS that polls queues.
struct Worker {
    lcore: u32,
    /// By device: the receive queues.
    queues: BTreeMap<String, Vec<u16>>,
}

/// Converts all workers of these devices. Returns how many poll queues.
pub(super) fn convert(items: &[Item], devices: &[String], output: &mut Output) -> usize {
    let sections = items.iter().filter(|item| item.name() == "worker_defs");
    let mut workers = Vec::new();
    for item in sections.flat_map(Item::items) {
        if item.name() != "worker" {
            output.note(item, "worker_defs/", "not an item that dpvsd knows");
            continue;
        }
        let word = |name: &str| {
            let found = item.items().iter().find(|item| item.name() == name);
            found
                .and_then(|item| item.values().first())
                .map(String::as_str)
        };
        let cpu_id = item.items().iter().find(|item| item.name() == "cpu_id");
        let lcore = cpu_id.and_then(|item| output.number(item, PATH, CPUS));
        match (word("type"), lcore) {
            (Some("master"), Some(lcore)) => {
                output.set("eal", "main_lcore", lcore.to_string());
                for inner in item.items() {
                    if !["type", "cpu_id"].contains(&inner.name()) {
                        output.note(inner, PATH, "the main lcore polls no port");
                    }
                }
            }
            (Some("slave"), Some(lcore)) => workers.push(convert_one(item, lcore, output)),
            (Some("kni"), _) => {
                output.note(
                    item,
                    "worker_defs/",
                    "kni has a thread of its own on the main lcore",
                );
            }
            _ => output.note(
                item,
                "worker_defs/",
                "its type or cpu_id is missing or unknown",
            ),
        }
    }
    let is_usable = have_one_queue_each(&workers, devices);
    if !workers.is_empty() && !is_usable {
        output.add_block(
            "# DPVS's queues do not fit: here the n-th worker polls queue n of each device.\n"
                .into(),
        );
    }
    for worker in &workers {
        let lcore = worker.lcore;
        let mut text = format!("[[worker]]\nlcore = {lcore}\n");
        if is_usable {
            let queues = worker.queues.iter();
            let queues = queues.map(|(device, queues)| format!("{} = {queues:?}", quoted(device)));
            let queues: Vec<String> = queues.collect();
            text.push_str(&format!("queues = {{ {} }}\n", queues.join(", ")));
        }
        output.add_block(text);
    }
    workers.len()
}

fn convert_one(item: &Item, lcore: u32, output: &mut Output) -> Worker {
    let mut queues = BTreeMap::<String, Vec<u16>>::new();
    for inner in item.items() {
        match (inner.name(), inner.values()) {
            ("type" | "cpu_id", _) => {}
            ("port", [device]) => {
                let own = queues.entry(device.clone()).or_default();
                own.extend(convert_port(inner, output));
            }
            ("icmp_redirect_core", _) => {
                let why = "ICMP errors are handled by the worker of their conn";
                output.note(inner, PATH, why);
            }
            _ => output.note(inner, PATH, "not an item that dpvsd knows"),
        }
    }
    Worker { lcore, queues }
}

/// The receive queues of a worker at a port.
fn convert_port(port: &Item, output: &mut Output) -> Vec<u16> {
    let numbers = |name: &str| -> Vec<u16> {
        let items = port.items().iter().filter(|item| item.name() == name);
        let words = items.flat_map(Item::values);
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let receive = numbers("rx_queue_ids");
    for item in port.items() {
        match item.name() {
            "rx_queue_ids" => {}
            "tx_queue_ids" if numbers("tx_queue_ids") == receive => {}
            "tx_queue_ids" => {
                let why = "a worker's transmit queue has the number of its receive queue";
                output.note(item, PORT_PATH, why);
            }
            "isol_rx_cpu_ids" | "isol_rxq_ring_sz" => {
                output.note(item, PORT_PATH, "a worker receives its packets itself");
            }
            _ => output.note(item, PORT_PATH, "not an item that dpvsd knows"),
        }
    }
    receive
}

/// Whether each worker has one queue of each device, and all of a device are numbered from 0 on.
fn have_one_queue_each(workers: &[Worker], devices: &[String]) -> bool {
    let of_one = |device: &String| {
        let mut numbers: Vec<u16> = Vec::new();
        for worker in workers {
            match worker.queues.get(device).map(Vec::as_slice) {
                Some([queue]) => numbers.push(*queue),
                _ => return false,
            }
        }
        numbers.sort_unstable();
        numbers.into_iter().map(usize::from).eq(0..workers.len())
    };
    let is_known = |worker: &Worker| worker.queues.keys().all(|name| devices.contains(name));
    workers.iter().all(is_known) && devices.iter().all(of_one)
}

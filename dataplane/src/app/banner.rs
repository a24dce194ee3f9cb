//! What a start says of itself.

use std::path::Path;

use control::WorkerHandle;

use crate::config::Config;
use crate::devices::StartedPort;

/// Which program runs, on which file.
pub(super) fn say_version(path: &Path) {
    // The file is read again at a reload, wherever the daemon was started from.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    tracing::info!(
        "dpvsd {}, {}, configuration {}",
        env!("CARGO_PKG_VERSION"),
        dpdk::eal::version(),
        path.display()
    );
}

/// The devices, as they were started.
pub(super) fn say_ports(ports: &[StartedPort]) {
    for started in ports {
        let device = &started.device;
        let info = started.port.info().ok();
        let driver = info.as_ref().map_or("unknown", |info| &info.driver);
        let node = info.as_ref().map_or(-1, |info| info.socket);
        let kni = match started.kni.as_str() {
            "" => "no kni".to_owned(),
            name => format!("kni {name}"),
        };
        tracing::info!(
            "device {}: MAC {}, driver {driver}, queues {}, {}, mtu {}, {kni}",
            device.name,
            device.mac,
            started.queues,
            numa_node(node),
            device.mtu,
        );
    }
}

/// The workers, with the CPUs and queues that they have.
pub(super) fn say_workers(config: &Config, handles: &[WorkerHandle]) {
    for (plan, handle) in config.workers.iter().zip(handles) {
        tracing::info!(
            "worker cpu{}: CPU {}, {}, {}, room for {} conns",
            plan.lcore,
            plan.cpu,
            numa_node(handle.socket),
            handle.queues.join(" "),
            handle.conn_table.max_conns
        );
    }
}

fn numa_node(number: i32) -> String {
    match number {
        ..0 => "no NUMA node".into(),
        _ => format!("NUMA node {number}"),
    }
}

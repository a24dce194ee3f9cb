//! The arguments that EAL is started with: a pure function of the configuration.

use crate::config::{Config, DeviceAddress};

use super::memory::Memory;

/// Arguments as any DPDK program takes them, program name first.
pub(crate) fn eal_args(config: &Config, memory: Memory) -> Vec<String> {
    let mut args = vec!["dpvsd".to_owned()];
    let mut push = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    match memory {
        Memory::Hugepages => push(&["--in-memory"]),
        // DPDK 22.11 refuses --in-memory together with --no-huge.
        Memory::Ordinary => push(&["--no-huge", "--no-shconf", "--no-telemetry"]),
    }
    push(&["-m", &memory.needed_mb(config).to_string()]);
    let main = config.eal.main_lcore;
    let lcores = config
        .workers
        .iter()
        .map(|worker| format!(",{}@{}", worker.lcore, worker.cpu));
    push(&[
        "--lcores",
        &format!("{main}@{main}{}", lcores.collect::<String>()),
    ]);
    push(&["--main-lcore", &main.to_string(), "--log-level", "error"]);
    if !config
        .devices
        .iter()
        .any(|device| matches!(device.address, DeviceAddress::Pci(_)))
    {
        push(&["--no-pci"]);
    }
    for device in &config.devices {
        match &device.address {
            DeviceAddress::Pci(address) => push(&["-a", address]),
            DeviceAddress::Vdev(vdev) => {
                push(&["--vdev", &vdev_with_queues(vdev, config.workers.len())])
            }
        }
    }
    args.extend(config.eal.extra_args.iter().cloned());
    args
}

/// Adds the number of queues for drivers that make them when EAL starts, unless the vdev string has
/// it already.
fn vdev_with_queues(vdev: &str, queues: usize) -> String {
    let name = vdev.split(',').next().unwrap_or_default();
    let driver = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let key = match driver {
        "net_af_packet" => "qpairs",
        "net_af_xdp" => "queue_count",
        "net_vhost" | "net_virtio_user" | "virtio_user" => "queues",
        _ => return vdev.to_owned(),
    };
    if queues <= 1 || vdev.contains(&format!("{key}=")) {
        vdev.to_owned()
    } else {
        format!("{vdev},{key}={queues}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn args(text: &str, memory: Memory) -> String {
        let config = Config::parse(Path::new("t.toml"), text, 2).unwrap();
        eal_args(&config, memory).join(" ")
    }

    #[test]
    fn software_ports_start_without_hugepages() {
        let text = "[[device]]\nname = \"dpdk0\"\nvdev = \"net_af_packet0,iface=a\"\n\
                    [workers]\ncount = 2\n[eal]\nmemory_mb = 128\n";
        assert_eq!(
            args(text, Memory::Ordinary),
            "dpvsd --no-huge --no-shconf --no-telemetry -m 128 --lcores 0@0,1@1,2@2 \
             --main-lcore 0 --log-level error --no-pci --vdev net_af_packet0,iface=a,qpairs=2"
        );
    }

    #[test]
    fn a_nic_starts_with_hugepages() {
        let text = "[[device]]\nname = \"dpdk0\"\npci = \"06:00.0\"\n\
                    [eal]\nmemory_mb = 64\nextra_args = [\"--iova-mode=va\"]\n";
        assert_eq!(
            args(text, Memory::Hugepages),
            "dpvsd --in-memory -m 64 --lcores 0@0,1@1 --main-lcore 0 --log-level error \
             -a 0000:06:00.0 --iova-mode=va"
        );
    }
}

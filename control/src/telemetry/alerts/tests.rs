use packet::{MacAddr, PortId};
use parking_lot::Mutex;

use super::*;
use crate::platform::{LinkHealth, LinkInfo, PlatformError, PoolInfo};

struct Nic(Mutex<LinkHealth>);

impl Platform for Nic {
    fn link(&self, _: PortId) -> LinkInfo {
        LinkInfo::default()
    }
    fn health(&self, _: PortId) -> LinkHealth {
        *self.0.lock()
    }
    fn watch_steering(&self, _: PortId) -> Option<String> {
        None
    }

    fn pools(&self) -> Vec<PoolInfo> {
        Vec::new()
    }
    fn set_promiscuous(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_all_multicast(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_link_up(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_mac(&self, _: PortId, _: MacAddr) -> Result<(), PlatformError> {
        Ok(())
    }
}

struct Watched {
    stats: [Arc<WorkerStats>; 2],
    nic: Nic,
    alerts: Alerts,
}

impl Watched {
    fn new() -> Self {
        let stats = [0, 1].map(|_| Arc::new(WorkerStats::new(1)));
        Self {
            alerts: Alerts::new(stats.to_vec()),
            stats,
            nic: Nic(Mutex::new(LinkHealth {
                up: true,
                ..LinkHealth::default()
            })),
        }
    }

    fn lines(&mut self, now_ms: u64) -> Vec<String> {
        let device = Device {
            ifindex: IfIndex(1),
            name: "dpdk0".into(),
            port: PortId(0),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            kni: false,
            forward_to_kni: false,
        };
        let due = self.alerts.poll(now_ms, &[device], &self.nic);
        due.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn each_thing_that_goes_wrong_is_a_line_with_the_sum_over_all_workers() {
    let mut watched = Watched::new();
    assert_eq!(watched.lines(1000), [""; 0]);
    for (stats, packets) in watched.stats.iter().zip([3, 4]) {
        for (reason, _) in DROPS {
            stats.drops_by(*reason).add(packets);
        }
        stats.events_lost.add(packets);
        // What clients may do is not worth a line.
        stats.drops_by(DropReason::TcpNotSyn).add(packets);
    }
    (watched.nic.0.lock().imissed, watched.nic.0.lock().rx_nombuf) = (7, 7);
    let lines = watched.lines(2000);
    assert_eq!(lines.len(), DROPS.len() + 3);
    assert!(lines.iter().all(|line| line.contains(": 7")), "{lines:?}");
    assert!(lines[0].starts_with("packets dropped, ConnTableFull: 7: the conn table is full"));
    assert_eq!(watched.lines(61_000), [""; 0]);
}

#[test]
fn a_link_that_goes_down_and_comes_up_is_logged_and_a_flapping_one_once_a_minute() {
    let mut watched = Watched::new();
    let set = |watched: &mut Watched, now_ms, up| {
        watched.nic.0.lock().up = up;
        watched.lines(now_ms)
    };
    assert_eq!(
        set(&mut watched, 2_000, false),
        [""; 0],
        "it is still starting"
    );
    assert_eq!(set(&mut watched, 12_000, true), [""; 0]);
    assert_eq!(
        set(&mut watched, 13_000, false),
        ["dpdk0: the link went down"]
    );
    assert_eq!(
        set(&mut watched, 14_000, true),
        ["dpdk0: the link is up again"]
    );
    for now_ms in 15..73 {
        assert_eq!(set(&mut watched, now_ms * 1000, now_ms % 2 == 0), [""; 0]);
    }
    assert_eq!(
        set(&mut watched, 73_000, false),
        ["dpdk0: the link went down, 30 times since the last such line"]
    );
}

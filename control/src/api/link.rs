//! `dpip link`: devices and worker lcores.

use std::sync::Arc;

use inet::Device;
use ipvs_core::{DropReason, WorkerStats};
use packet::{MacAddr, PortId};
use proto::v1;
use tonic::{Request, Response, Status};

use super::Api;
use super::caller::log_change;
use super::convert::field;
use crate::platform::{LinkInfo, Platform, PlatformError};
use crate::publish::WorkerHandle;

impl From<PlatformError> for Status {
    fn from(error: PlatformError) -> Self {
        Self::failed_precondition(error.to_string())
    }
}

#[tonic::async_trait]
impl v1::link_service_server::LinkService for Api {
    async fn list_links(
        &self,
        request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        let name = &request.get_ref().name;
        let devices = self.control.read(|state| {
            if name.is_empty() {
                Ok(state.desired.devices.clone())
            } else {
                state
                    .desired
                    .device(name)
                    .map(|device| vec![device.clone()])
            }
        })?;
        let links = devices
            .iter()
            .map(|device| link_message(device, &self.control.platform.link(device.port)));
        Ok(Response::new(v1::ListLinksResponse {
            links: links.collect(),
        }))
    }

    async fn set_link(
        &self,
        request: Request<v1::SetLinkRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.into_inner();
        let mac = (!message.mac.is_empty())
            .then(|| field::mac(&message.mac))
            .transpose()?;
        let _writer = self.control.writer().await;
        let device = self
            .control
            .read(|state| state.desired.device(&message.name).cloned())?;
        if message.forward_to_kni == Some(true) && !device.kni {
            return Err(Status::failed_precondition(format!(
                "{} has no kni netdev to forward to: give it one in the configuration file (kni = true)",
                device.name
            )));
        }
        // Drivers may take up to a second. Other calls go on meanwhile.
        let platform = Arc::clone(&self.control.platform);
        let (wanted, port, old_mac) = (PortChange::of(&message, mac), device.port, device.mac);
        tokio::task::spawn_blocking(move || wanted.carry_out(&*platform, port, old_mac))
            .await
            .map_err(|_| Status::unavailable("dpvsd is stopping"))??;
        self.control.write_as_writer(|state| {
            state.desired.set_device(
                device.ifindex,
                mac.unwrap_or(device.mac),
                message.forward_to_kni.unwrap_or(device.forward_to_kni),
            );
            state.neighbours.touch_device(device.ifindex);
            Ok::<_, Status>(())
        })?;
        log_change(format_args!(
            "device {} set:{}",
            device.name,
            text(&message, mac)
        ));
        Ok(self.done().await)
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let name = &request.get_ref().name;
        let workers: Vec<v1::Worker> = self.control.read(|state| {
            let shown = state
                .workers
                .handles()
                .filter(|worker| name.is_empty() || *name == format!("cpu{}", worker.lcore));
            shown.map(worker_message).collect()
        });
        if workers.is_empty() {
            return Err(self.no_worker(name));
        }
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }
}

impl Api {
    /// The refusal of a worker that there is not.
    pub(super) fn no_worker(&self, name: &str) -> Status {
        let names: Vec<String> = self.control.read(|state| {
            let workers = state.workers.handles();
            workers
                .map(|worker| format!("cpu{}", worker.lcore))
                .collect()
        });
        let names = names.join(", ");
        Status::not_found(format!("no worker '{name}': the workers are {names}"))
    }
}

/// What a request sets, as `dpip link set` has it.
fn text(message: &v1::SetLinkRequest, mac: Option<MacAddr>) -> String {
    let word = |on| if on { "on" } else { "off" };
    let switches = [
        ("promisc", message.promiscuous),
        ("allmulticast", message.all_multicast),
        ("forward2kni", message.forward_to_kni),
        ("link", message.up),
    ];
    let set = switches
        .into_iter()
        .filter_map(|(name, on)| Some((name, on?)));
    let mut text: String = set
        .map(|(name, on)| format!(" {name} {}", word(on)))
        .collect();
    if let Some(mac) = mac {
        text.push_str(&format!(" addr {mac}"));
    }
    text
}

/// Changes of a port.
#[derive(Debug, Clone, Copy)]
struct PortChange {
    promiscuous: Option<bool>,
    all_multicast: Option<bool>,
    up: Option<bool>,
    mac: Option<MacAddr>,
}

impl PortChange {
    const fn of(message: &v1::SetLinkRequest, mac: Option<MacAddr>) -> Self {
        Self {
            promiscuous: message.promiscuous,
            all_multicast: message.all_multicast,
            up: message.up,
            mac,
        }
    }

    /// Makes all changes. If the driver refuses one, those before it are undone.
    fn carry_out(
        self,
        platform: &dyn Platform,
        port: PortId,
        old_mac: MacAddr,
    ) -> Result<(), PlatformError> {
        let before = platform.link(port);
        let changed = self.try_all(platform, port);
        if changed.is_err() {
            let old = Self {
                promiscuous: self.promiscuous.map(|_| before.promiscuous),
                all_multicast: self.all_multicast.map(|_| before.all_multicast),
                up: self.up.map(|_| before.up),
                mac: self.mac.map(|_| old_mac),
            };
            // The first refusal is reported; a second one on the way back would not help.
            let _ = old.try_all(platform, port);
        }
        changed
    }

    fn try_all(self, platform: &dyn Platform, port: PortId) -> Result<(), PlatformError> {
        if let Some(mac) = self.mac {
            platform.set_mac(port, mac)?;
        }
        if let Some(on) = self.promiscuous {
            platform.set_promiscuous(port, on)?;
        }
        if let Some(on) = self.all_multicast {
            platform.set_all_multicast(port, on)?;
        }
        if let Some(up) = self.up {
            platform.set_link_up(port, up)?;
        }
        Ok(())
    }
}

fn named_values(values: &[(String, String)]) -> Vec<v1::NamedValue> {
    let named = |(name, value): &(String, String)| v1::NamedValue {
        name: name.clone(),
        value: value.clone(),
    };
    values.iter().map(named).collect()
}

fn link_message(device: &Device, info: &LinkInfo) -> v1::Link {
    let stats = &info.stats;
    v1::Link {
        index: device.ifindex.0.into(),
        name: device.name.clone(),
        socket: info.socket.max(0),
        mtu: device.mtu.into(),
        rx_queues: info.queues.into(),
        tx_queues: info.queues.into(),
        up: info.up,
        speed_mbps: info.speed_mbps,
        full_duplex: info.full_duplex,
        autoneg: info.autoneg,
        promiscuous: info.promiscuous,
        all_multicast: info.all_multicast,
        forward_to_kni: device.forward_to_kni,
        mac: device.mac.0.to_vec(),
        offloads: info.offloads.clone(),
        kni: info.kni.clone(),
        steering: info.steering.clone(),
        steering_facts: named_values(&info.steering_facts),
        stats: Some(v1::LinkStats {
            ipackets: stats.ipackets,
            opackets: stats.opackets,
            ibytes: stats.ibytes,
            obytes: stats.obytes,
            ierrors: stats.ierrors,
            oerrors: stats.oerrors,
            imissed: stats.imissed,
            rx_nombuf: stats.rx_nombuf,
            mbuf_available: stats.mbuf_available,
            mbuf_in_use: stats.mbuf_in_use,
        }),
        details: named_values(&info.details),
        xstats: info
            .xstats
            .iter()
            .map(|(name, value)| v1::NamedCounter {
                name: name.clone(),
                value: *value,
            })
            .collect(),
    }
}

fn worker_message(worker: &WorkerHandle) -> v1::Worker {
    v1::Worker {
        lcore: worker.lcore,
        socket: worker.socket,
        queues: worker.queues.clone(),
        stats: Some(worker_stats_message(&worker.stats, worker)),
    }
}

fn worker_stats_message(stats: &Arc<WorkerStats>, worker: &WorkerHandle) -> v1::WorkerStats {
    let counters = stats.counters().map(|(counter, value)| v1::WorkerCounter {
        name: counter.name.to_owned(),
        label: counter.label.to_owned(),
        text: counter.text.to_owned(),
        value,
    });
    let drops = DropReason::ALL.iter().map(|reason| v1::Drop {
        reason: reason.name().to_owned(),
        text: reason.text().to_owned(),
        packets: stats.drops_by(*reason).get(),
    });
    let loops = &worker.loop_stats;
    v1::WorkerStats {
        counters: counters.collect(),
        drops: drops.collect(),
        loops: loops.loops.get(),
        rx_bursts: loops.rx_bursts.get(),
        rx_bursts_empty: loops.rx_bursts_empty.get(),
        rx_bursts_full: loops.rx_bursts_full.get(),
        rx_bursts_to_half: loops.rx_bursts_to_half.get(),
        rx_bytes: loops.rx_bytes.get(),
        tx_bytes: loops.tx_bytes.get(),
        loop_worst_ns: loops.worst_ns(),
        loop_p99_ns: loops.p99_ns(),
    }
}

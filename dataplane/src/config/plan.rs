//! Which worker polls which queue.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::DeviceConfig;

/// A worker lcore and its queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerPlan {
    /// The lcore's number
    pub lcore: u32,
    /// The CPU it runs on; several lcores may share one
    pub cpu: u32,
    /// Its queues
    pub queues: Vec<Queue>,
}

/// A receive queue, and the transmit queue of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Queue {
    /// Index of the device
    pub device: usize,
    /// Number of the queue
    pub queue: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorker {
    lcore: u32,
    cpu: Option<u32>,
    queues: Option<BTreeMap<String, Vec<u16>>>,
}

/// The workers as configured, or `count` of them on the lcores after the main one.
pub(super) fn workers(
    count: Option<u16>,
    raw: Vec<RawWorker>,
    devices: &[DeviceConfig],
    main_lcore: u32,
) -> Result<Vec<WorkerPlan>, String> {
    if count.is_some() && !raw.is_empty() {
        return Err("[workers] count and [[worker]] contradict each other: keep one".into());
    }
    let plans = if raw.is_empty() {
        let count = count.unwrap_or(1);
        (0..count)
            .map(|worker| usual(worker, devices, main_lcore))
            .collect()
    } else {
        let workers = raw.into_iter().zip(0..);
        workers
            .map(|(raw, worker)| raw.validate(worker, devices))
            .collect::<Result<Vec<_>, _>>()?
    };
    verify(&plans, devices, main_lcore)?;
    Ok(plans)
}

/// Worker n polls queue n of every device.
fn usual(worker: u16, devices: &[DeviceConfig], main_lcore: u32) -> WorkerPlan {
    let lcore = main_lcore + 1 + u32::from(worker);
    WorkerPlan {
        lcore,
        cpu: lcore,
        queues: all_queues(worker, devices),
    }
}

fn all_queues(worker: u16, devices: &[DeviceConfig]) -> Vec<Queue> {
    (0..devices.len())
        .map(|device| Queue {
            device,
            queue: worker,
        })
        .collect()
}

impl RawWorker {
    fn validate(self, worker: u16, devices: &[DeviceConfig]) -> Result<WorkerPlan, String> {
        let lcore = self.lcore;
        let mut queues = Vec::new();
        for (name, numbers) in self.queues.iter().flatten() {
            let device = devices
                .iter()
                .position(|device| device.name == *name)
                .ok_or_else(|| {
                    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
                    format!(
                        "[[worker]] lcore {lcore}: no device {name}: the devices are {}",
                        names.join(", ")
                    )
                })?;
            queues.extend(numbers.iter().map(|&queue| Queue { device, queue }));
        }
        if self.queues.is_none() {
            queues = all_queues(worker, devices);
        }
        Ok(WorkerPlan {
            lcore,
            cpu: self.cpu.unwrap_or(lcore),
            queues,
        })
    }
}

fn verify(plans: &[WorkerPlan], devices: &[DeviceConfig], main_lcore: u32) -> Result<(), String> {
    if plans.is_empty() {
        return Err("no workers: [workers] count must be at least 1".into());
    }
    let mut lcores = BTreeSet::from([main_lcore]);
    let mut queues = BTreeSet::new();
    for plan in plans {
        if !lcores.insert(plan.lcore) {
            let what = if plan.lcore == main_lcore {
                "the main lcore"
            } else {
                "another worker's"
            };
            return Err(format!(
                "[[worker]] lcore {} is {what}: each needs its own (several may share a cpu)",
                plan.lcore
            ));
        }
        for queue in &plan.queues {
            if !queues.insert(*queue) {
                let name = &devices[queue.device].name;
                return Err(format!(
                    "queue {} of {name} has two workers: a queue is polled by one",
                    queue.queue
                ));
            }
        }
        // Every worker sends by every device, so each needs a transmit queue of each.
        for (at, device) in devices.iter().enumerate() {
            let own = plan
                .queues
                .iter()
                .filter(|queue| queue.device == at)
                .count();
            if own != 1 {
                return Err(format!(
                    "[[worker]] lcore {}: it has {own} queues of {}; give it exactly one of each device",
                    plan.lcore, device.name
                ));
            }
        }
    }
    for (at, device) in devices.iter().enumerate() {
        let count = plans.len() as u16;
        if !(0..count).all(|queue| queues.contains(&Queue { device: at, queue })) {
            return Err(format!(
                "{}: its queues must be numbered 0 to {}, one for each worker",
                device.name,
                count - 1
            ));
        }
    }
    Ok(())
}

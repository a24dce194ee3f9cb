//! The sections `[workers]` and `[[worker]]`: which worker polls which queue, and how it idles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dpdk::{LcoreId, QueueId};
use serde::Deserialize;

use super::error::Invalid;
use super::settings::{DeviceConfig, Idle, QueuePlan, WorkerPlan};

/// Below this many CPUs workers sleep by default when no packet comes: a worker that polls would
/// leave no CPU for the control plane and for the peers of a test.
const CPUS_TO_POLL: usize = 3;

/// The section `[workers]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkers {
    count: Option<u16>,
    idle: Option<IdleWord>,
    idle_after_loops: Option<u32>,
    idle_sleep_us: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IdleWord {
    Poll,
    Sleep,
}

/// A section `[[worker]]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorker {
    lcore: u32,
    cpu: Option<u32>,
    queues: Option<BTreeMap<String, Vec<u16>>>,
}

/// A worker obeys a command within 100 ms, and packets that come meanwhile wait for it to wake up:
/// at 1 million packets a second a ring of 1024 descriptors is full after 1 ms.
const LONGEST_SLEEP_US: u32 = 1_000;

impl RawWorkers {
    /// How workers idle.
    ///
    /// # Errors
    /// If they would sleep longer than packets can wait.
    pub(super) fn idle(&self, cpus: usize) -> Result<Idle, Invalid> {
        if let Some(us) = self.idle_sleep_us.filter(|us| *us > LONGEST_SLEEP_US) {
            return Err(Invalid::IdleSleep {
                us,
                most: LONGEST_SLEEP_US,
            });
        }
        let default = if cpus < CPUS_TO_POLL {
            IdleWord::Sleep
        } else {
            IdleWord::Poll
        };
        Ok(match self.idle.unwrap_or(default) {
            IdleWord::Poll => Idle::Poll,
            IdleWord::Sleep => Idle::Sleep {
                after_loops: self.idle_after_loops.unwrap_or(1_000),
                pause: Duration::from_micros(u64::from(self.idle_sleep_us.unwrap_or(50))),
            },
        })
    }

    /// The workers that `[[worker]]` lists, or `count` of them on the lcores after the main one.
    pub(super) fn plan(
        &self,
        listed: Vec<RawWorker>,
        devices: &[DeviceConfig],
        main_lcore: LcoreId,
    ) -> Result<Vec<WorkerPlan>, Invalid> {
        if self.count.is_some() && !listed.is_empty() {
            return Err(Invalid::CountAndWorkers);
        }
        let last = match listed.iter().map(|raw| raw.lcore).max() {
            Some(largest) => u64::from(largest),
            None => u64::from(main_lcore.0) + u64::from(self.count.unwrap_or(1)),
        };
        verify_number(last.max(main_lcore.0.into()))?;
        let plans = if listed.is_empty() {
            (0..self.count.unwrap_or(1))
                .map(|worker| default_plan(worker, devices, main_lcore))
                .collect()
        } else {
            let numbered = listed.into_iter().zip(0..);
            numbered
                .map(|(raw, worker)| raw.plan(worker, devices))
                .collect::<Result<Vec<_>, _>>()?
        };
        verify_lcores(&plans, main_lcore)?;
        verify_queues(&plans, devices)?;
        Ok(plans)
    }
}

/// The n-th worker polls queue n of every device, on the n-th lcore after the main one.
fn default_plan(worker: u16, devices: &[DeviceConfig], main_lcore: LcoreId) -> WorkerPlan {
    let lcore = main_lcore.0 + 1 + u32::from(worker);
    WorkerPlan {
        lcore: LcoreId(lcore),
        cpu: lcore,
        queues: queue_of_each(QueueId(worker), devices),
    }
}

fn queue_of_each(queue: QueueId, devices: &[DeviceConfig]) -> Vec<QueuePlan> {
    (0..devices.len())
        .map(|device| QueuePlan { device, queue })
        .collect()
}

impl RawWorker {
    fn plan(self, worker: u16, devices: &[DeviceConfig]) -> Result<WorkerPlan, Invalid> {
        let lcore = LcoreId(self.lcore);
        let mut queues = Vec::new();
        for (name, numbers) in self.queues.iter().flatten() {
            let device = devices
                .iter()
                .position(|device| device.name == *name)
                .ok_or_else(|| Invalid::NoSuchDevice {
                    lcore,
                    device: name.clone(),
                    known: names(devices),
                })?;
            let numbers = numbers.iter().copied().map(QueueId);
            queues.extend(numbers.map(|queue| QueuePlan { device, queue }));
        }
        if self.queues.is_none() {
            queues = queue_of_each(QueueId(worker), devices);
        }
        Ok(WorkerPlan {
            lcore,
            cpu: self.cpu.unwrap_or(self.lcore),
            queues,
        })
    }
}

fn names(devices: &[DeviceConfig]) -> String {
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    names.join(", ")
}

/// DPDK has room for so many lcores, and no more.
fn verify_number(lcore: u64) -> Result<(), Invalid> {
    let last = LcoreId::LAST.0;
    if lcore > u64::from(last) {
        return Err(Invalid::LcoreNumber { lcore, last });
    }
    Ok(())
}

fn verify_lcores(plans: &[WorkerPlan], main_lcore: LcoreId) -> Result<(), Invalid> {
    if plans.is_empty() {
        return Err(Invalid::NoWorkers);
    }
    let mut lcores = BTreeSet::new();
    for plan in plans {
        if plan.lcore == main_lcore {
            return Err(Invalid::MainLcore(plan.lcore));
        }
        if !lcores.insert(plan.lcore) {
            return Err(Invalid::LcoreTwice(plan.lcore));
        }
    }
    Ok(())
}

/// Every worker sends on every device, so each needs exactly one queue of each. A device's queues
/// are numbered without gaps.
fn verify_queues(plans: &[WorkerPlan], devices: &[DeviceConfig]) -> Result<(), Invalid> {
    let mut polled = BTreeSet::new();
    for plan in plans {
        for queue in &plan.queues {
            if !polled.insert(*queue) {
                return Err(Invalid::QueueTwice {
                    device: devices[queue.device].name.clone(),
                    queue: queue.queue,
                });
            }
        }
        for (device, config) in devices.iter().enumerate() {
            let own = plan.queues.iter().filter(|queue| queue.device == device);
            let count = own.count();
            if count != 1 {
                return Err(Invalid::QueueCount {
                    lcore: plan.lcore,
                    device: config.name.clone(),
                    count,
                });
            }
        }
    }
    for (device, config) in devices.iter().enumerate() {
        let mut expected = (0..plans.len() as u16).map(QueueId);
        if !expected.all(|queue| polled.contains(&QueuePlan { device, queue })) {
            return Err(Invalid::QueueNumbers {
                device: config.name.clone(),
                last: plans.len() - 1,
            });
        }
    }
    Ok(())
}

//! The one writer of the configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use inet::Device;
use ipvs_core::{ConnPage, DestId, Owners, Snapshot};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tonic::Status;

use crate::desired::Desired;
use crate::platform::Platform;
use crate::publish::concerned::concerned_services;
use crate::publish::live_config::LiveConfig;
use crate::publish::state::State;
use crate::publish::workers::WorkerHandle;
use crate::telemetry::{Alerts, Rates, Subject};

/// Time between two looks at the rings of the workers.
const TICK: Duration = Duration::from_millis(1);
/// Time between two samples of the rates.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// Dests that are sampled before other tasks run.
const SAMPLED_AT_ONCE: usize = 512;
/// How long the caller of a change waits for the workers. It is the time that a worker is idle and
/// sleeps at most, many times over.
const OBEY_WITHIN: Duration = Duration::from_millis(100);
/// Time between two looks at what goes wrong.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long a worker may take to answer before the caller gets an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a control plane is made with.
pub struct ControlConfig {
    /// Devices, with the indices they are shown by
    pub devices: Vec<Device>,
    /// The workers
    pub workers: Vec<WorkerHandle>,
    /// Which worker owns which packet, and so which local port
    pub owners: Arc<Owners>,
    /// The ports
    pub platform: Arc<dyn Platform>,
    /// What can change later, by [`Control::reconfigure`]
    pub live: LiveConfig,
    /// Most dests
    pub max_dests: u32,
}

impl std::fmt::Debug for ControlConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ControlConfig({} devices, {} workers)",
            self.devices.len(),
            self.workers.len()
        )
    }
}

/// The control plane.
pub struct Control {
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) rates: Rates,
    alerts: Mutex<Alerts>,
    /// Held while the desired state is changed, however long that takes. One writer at a time.
    writer: tokio::sync::Mutex<()>,
    /// Held for moments only: packets in neighbour queues wait for it, too.
    state: Mutex<State>,
    started: Instant,
    /// Wakes the loop when there is something to publish before the next tick.
    changed: Notify,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// A control plane that has published its devices.
    pub fn new(config: ControlConfig) -> Arc<Self> {
        let worker_stats: Vec<_> = config
            .workers
            .iter()
            .map(|worker| Arc::clone(&worker.stats))
            .collect();
        let live = config.live;
        let desired = Desired::new(config.devices, live.timeouts, config.max_dests);
        let control = Self {
            platform: config.platform,
            rates: Rates::new(worker_stats.clone()),
            alerts: Mutex::new(Alerts::new(worker_stats)),
            writer: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::new(
                desired,
                live.neighbours,
                Snapshot {
                    defence: live.defence,
                    nat64_prefix: live.nat64_prefix,
                    return_path: live.return_path,
                    ..Snapshot::default()
                },
                config.workers,
                &config.owners,
            )),
            started: Instant::now(),
            changed: Notify::new(),
        };
        control.tick();
        Arc::new(control)
    }

    /// Takes the workers' events, does what is due, publishes what changed.
    pub fn tick(&self) {
        let now_ms = self.now_ms();
        // A writer may have made a copy that will take the place of the desired state.
        let writer = self.writer.try_lock();
        let mut state = self.state.lock();
        if writer.is_ok() {
            state.do_what_is_due(now_ms, &self.rates);
        }
        let retired = state.tick(now_ms);
        drop((state, writer));
        // Freed without the lock, since the last copy of a large configuration takes time.
        drop(retired);
    }

    /// Works until `shutdown`: ticks every millisecond, and at once after a change; samples rates.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = shutdown => {}
            () = self.tick_forever() => {}
            () = self.sample_forever() => {}
            () = self.watch_forever() => {}
        }
    }

    async fn tick_forever(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.changed.notified() => {}
            }
            self.tick();
        }
    }

    async fn sample_forever(&self) {
        let mut rounds = tokio::time::interval(SAMPLE_EVERY);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.sample_rates().await;
        }
    }

    /// Samples the rates of all published dests, a few at a time, so that nobody waits.
    async fn sample_rates(&self) {
        let services = self.read(|state| state.published().services.clone());
        let mut ids: Vec<DestId> = Vec::with_capacity(SAMPLED_AT_ONCE);
        for service in services.iter() {
            ids.extend(service.dests.iter().map(|dest| dest.id));
            if ids.len() >= SAMPLED_AT_ONCE {
                self.rates.sample(ids.drain(..));
                tokio::task::yield_now().await;
            }
        }
        self.rates.sample(ids);
    }

    async fn watch_forever(&self) {
        let mut rounds = tokio::time::interval(WATCH_EVERY);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.watch();
        }
    }

    /// Logs what goes wrong, each thing once a minute at most.
    fn watch(&self) {
        let devices = self.read(|state| state.desired.devices.clone());
        let platform = self.platform.as_ref();
        let due = self.alerts.lock().poll(self.now_ms(), &devices, platform);
        for device in &devices {
            if let Some(changed) = platform.watch_steering(device.port) {
                tracing::warn!("{}: {changed}", device.name);
            }
        }
        for alert in due {
            let services =
                concerned_services(&alert, &self.read(|state| state.published().clone()));
            match alert.subject {
                Subject::LinkUp(_) => tracing::info!("{alert}"),
                _ => tracing::warn!("{alert}{services}"),
            }
        }
    }

    /// Takes over what has changed in the configuration file. Called by the daemon when it has read
    /// the file again.
    pub async fn reconfigure(&self, before: &LiveConfig, after: &LiveConfig) {
        let _writer = self.writer.lock().await;
        self.state.lock().reconfigure(before, after);
        self.changed.notify_one();
    }

    /// Reads the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// Makes one short change. If `change` fails, it must have changed nothing. The next snapshot
    /// has the change.
    pub(crate) async fn write<R, E>(
        &self,
        change: impl FnOnce(&mut State) -> Result<R, E>,
    ) -> Result<R, E> {
        let _writer = self.writer.lock().await;
        self.write_as_writer(change)
    }

    /// Begins a change of several steps. No other change happens until the guard is dropped.
    pub(crate) async fn writer(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writer.lock().await
    }

    /// [`Self::write`] by whoever holds [`Self::writer`].
    pub(crate) fn write_as_writer<R, E>(
        &self,
        change: impl FnOnce(&mut State) -> Result<R, E>,
    ) -> Result<R, E> {
        let result = {
            let mut state = self.state.lock();
            change(&mut state)?
        };
        self.changed.notify_one();
        Ok(result)
    }

    /// Makes many changes or none. They are made on a copy, which then takes the place of the
    /// original. Only other changes wait for it.
    pub(crate) async fn write_all(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Desired, &Rates) -> Result<(), Status> + Send + 'static,
    ) -> Result<(), Status> {
        let _writer = self.writer.lock().await;
        let mut copy = self.state.lock().desired.successor();
        let control = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || {
            change(&mut copy, &control.rates)?;
            copy.compile();
            Ok::<_, Status>(copy)
        });
        let changed = changed
            .await
            .map_err(|_| Status::unavailable("dpvsd is stopping: nothing was changed"))??;
        let before = self.state.lock().desired.succeed_by(changed);
        self.changed.notify_one();
        drop(before);
        Ok(())
    }

    /// Publishes all changes so far, and waits until all workers forward by them. Returns the
    /// lcores of the workers that take longer than [`OBEY_WITHIN`].
    pub(crate) async fn until_workers_obey(&self) -> Vec<u32> {
        self.tick();
        let (snapshot, began) = (self.read(|state| state.workers.published()), Instant::now());
        loop {
            let (late, is_settled) = self.read(|state| {
                let late = state.workers.later_than(snapshot);
                (late, !state.has_idle_laddr())
            });
            if late.is_empty() && is_settled || began.elapsed() >= OBEY_WITHIN {
                return late;
            }
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    /// The next page of a worker's conns; `None` if the worker does not answer in time.
    pub(crate) async fn conn_page(
        &self,
        worker: usize,
        page: Box<ConnPage>,
    ) -> Option<Box<ConnPage>> {
        let (answer, answered) = oneshot::channel();
        let token = self.state.lock().ask_for_conns(worker, page, answer);
        let page = tokio::time::timeout(ANSWER_WITHIN, answered).await;
        if page.is_err() {
            self.state.lock().give_up_conns(worker, token);
        }
        page.ok()?.ok()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

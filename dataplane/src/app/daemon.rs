//! A run of the daemon, from a valid configuration to a clean end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ::kni::KniError;
use control::{Control, ControlConfig, WorkerHandle};
use crossbeam_utils::CachePadded;
use dpdk::{Eal, EalError, LcoreId, Mempool, MempoolError};
use ipvs_core::Keys;
use ipvs_core::tuple::HashKey;

use crate::config::Config;
use crate::devices::{self, DpdkPlatform, Memory, PortStartError, Started};
use crate::kni::{self, KniThread};
use crate::steering;
use crate::worker::{self, Wired, Worker};

use super::banner;
use super::check;
use super::machine::Machine;
use super::progress::Progress;
use super::reload::{self, Reload};
use super::serve::{self, ServeError};
use super::signals::StartSignals;
use super::socket::{ControlSocket, SocketError};

/// Why a run did not begin, or did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Eal(#[from] EalError),
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    #[error(transparent)]
    Port(#[from] PortStartError),
    #[error(transparent)]
    Kni(#[from] KniError),
    #[error("the kernel gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("cannot start the kni thread: {0}")]
    KniThread(std::io::Error),
    #[error("the kni thread panicked: its message is above")]
    KniThreadPanicked,
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Tells workers and the kni thread to end. Every worker reads it in every turn of its loop, so
/// nothing that is written often may share its cache line.
type Stop = Arc<CachePadded<AtomicBool>>;

/// Starts everything, runs until a signal, stops everything.
///
/// # Errors
/// With a sentence for the user if something does not start.
pub(super) fn run(
    config: &Config,
    machine: &Machine,
    reload: Reload,
    mut signals: StartSignals,
) -> Result<(), DaemonError> {
    banner::say_version(reload.path());
    let socket = ControlSocket::listen(&config.socket)?;
    let progress = Progress::begin();
    progress.step("starting DPDK and its drivers");
    let eal = start_eal(config, machine)?;
    progress.step(format!("making {} mbufs", config.mbufs));
    let pool = mempool(config)?;
    let mut started = devices::start(config, &steering::random_key()?, &pool, |device| {
        progress.step(format!("starting the port of {device}"));
    })?;
    progress.step("making the kni netdevs");
    let netdevs = kni::create_netdevs(config, &started.ports)?;
    if let Some(signal) = signals.stop_came() {
        tracing::info!(signal, "stopped before it was ready");
        return Ok(());
    }
    progress.step(format!(
        "making the tables of {} workers",
        config.workers.len()
    ));
    let Wired {
        workers,
        handles,
        kni_thread,
    } = worker::wire(config, keys()?, &eal, &mut started, netdevs, pool);
    banner::say_ports(&started.ports);
    banner::say_workers(config, &handles);
    let control = Control::new(control_config(config, handles, started, pool));
    let stop = Stop::default();
    let lcores = launch(&eal, workers, &stop)?;
    let kni_thread = spawn(kni_thread, &stop)?;
    drop(progress);
    let served = serve::until_signal(control, socket, signals.into_signals(), reload);
    stop.store(true, Ordering::Relaxed);
    lcores.iter().for_each(|lcore| eal.wait(*lcore));
    kni_thread
        .join()
        .map_err(|_| DaemonError::KniThreadPanicked)?;
    tracing::info!("stopped");
    Ok(served?)
}

fn start_eal(config: &Config, machine: &Machine) -> Result<Eal, EalError> {
    let memory = check::memory_of(config, machine);
    match memory {
        Memory::Hugepages => tracing::info!("running on hugepages"),
        Memory::Ordinary => {
            tracing::info!("running on ordinary pages: no hugepages are free, or none are wanted")
        }
    }
    Eal::init(&devices::eal_args(config, memory))
}

/// The pool that all ports share, on any NUMA node.
fn mempool(config: &Config) -> Result<Mempool, MempoolError> {
    let frame = config.largest_frame();
    Mempool::new("dpvsd", config.mbufs, config.mbuf_cache, frame, -1)
}

fn control_config(
    config: &Config,
    handles: Vec<WorkerHandle>,
    started: Started,
    pool: Mempool,
) -> ControlConfig {
    let devices = started.ports.iter().map(|port| &port.device);
    ControlConfig {
        devices: devices.cloned().collect(),
        workers: handles,
        owners: started.owners,
        platform: Arc::new(DpdkPlatform::new(started.ports, pool)),
        live: reload::live(config),
        max_dests: config.max_dests,
    }
}

/// Random keys, so that nobody outside can choose packets whose hashes collide, or guess sequence
/// numbers.
fn keys() -> Result<Keys, getrandom::Error> {
    let random = || -> Result<HashKey, getrandom::Error> {
        Ok(HashKey([
            getrandom::u64()?,
            getrandom::u64()?,
            getrandom::u64()?,
            getrandom::u64()?,
        ]))
    };
    Ok(Keys {
        conns: random()?,
        sequence: random()?,
    })
}

fn launch(
    eal: &Eal,
    workers: Vec<(LcoreId, Worker)>,
    stop: &Stop,
) -> Result<Vec<LcoreId>, EalError> {
    let launch = |(lcore, worker): (LcoreId, Worker)| {
        let stop = Arc::clone(stop);
        eal.launch(lcore, Box::new(move || worker.run(&stop)))?;
        Ok(lcore)
    };
    workers.into_iter().map(launch).collect()
}

fn spawn(thread: KniThread, stop: &Stop) -> Result<JoinHandle<()>, DaemonError> {
    let stop = Arc::clone(stop);
    std::thread::Builder::new()
        .name("kni".into())
        .spawn(move || thread.run(&stop))
        .map_err(DaemonError::KniThread)
}

//! A run of the daemon, from a valid configuration to a clean end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::{Control, ControlConfig};
use dpdk::{Eal, Mempool};
use ipvs_core::Keys;
use ipvs_core::tuple::HashKey;
use kni::KniDevice;
use tokio::signal::unix::{SignalKind, signal};

use crate::check;
use crate::config::Config;
use crate::eal_args::eal_args;
use crate::exception_path::KniPort;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::ports::{self, DpdkPlatform, StartedPort};
use crate::socket;
use crate::wiring;

type Error = Box<dyn std::error::Error>;

/// Starts everything, runs until a signal, stops everything.
///
/// # Errors
/// With a sentence for the user if something does not start.
pub fn run(config: &Config) -> Result<(), Error> {
    let listener = socket::listen(&config.socket)?;
    let memory = check::memory_of(config, &Machine::this());
    match memory {
        Memory::Hugepages => tracing::info!("running on hugepages"),
        Memory::Ordinary => {
            tracing::info!("running on ordinary pages: no hugepages are free, or none are wanted")
        }
    }
    let eal = Eal::init(&eal_args(config, memory))?;
    let pool = Mempool::new(
        "dpvsd",
        config.mbufs,
        config.mbuf_cache,
        config.largest_frame(),
        -1,
    )?;
    let mut ports = ports::start(config, &pool)?;
    let kni_ports = make_kni(config, &ports)?;
    let wired = wiring::wire(config, keys()?, &eal, &mut ports, kni_ports, pool);
    let control = Control::new(ControlConfig {
        devices: ports.iter().map(|started| started.device.clone()).collect(),
        workers: wired.handles,
        platform: Arc::new(DpdkPlatform::new(ports, pool)),
        timeouts: config.timeouts,
        defence: config.defence,
        nat64_prefix: config.nat64_prefix,
        neighbours: neighbour_config(config),
        max_dests: config.max_dests,
    });
    let stop = Arc::new(AtomicBool::new(false));
    let lcores: Vec<u32> = wired.workers.iter().map(|(lcore, _)| *lcore).collect();
    for (lcore, worker) in wired.workers {
        let stop = Arc::clone(&stop);
        eal.launch(lcore, Box::new(move || worker.run(&stop)))?;
    }
    let exception_path = {
        let stop = Arc::clone(&stop);
        std::thread::Builder::new()
            .name("kni".into())
            .spawn(move || wired.exception_path.run(&stop))?
    };
    let served = serve(control, listener, &config.socket);
    stop.store(true, Ordering::Relaxed);
    lcores.iter().for_each(|lcore| eal.wait(*lcore));
    exception_path
        .join()
        .map_err(|_| "the kni thread panicked")?;
    tracing::info!("stopped");
    served
}

fn make_kni(config: &Config, ports: &[StartedPort]) -> Result<Vec<KniPort>, Error> {
    let named = config
        .devices
        .iter()
        .zip(ports)
        .filter_map(|(device, started)| Some((device.kni.as_ref()?, started)));
    let made = named.map(|(name, started)| {
        let device = KniDevice::create(name, started.device.mac, started.device.mtu)?;
        Ok(KniPort {
            port: started.port.id(),
            device,
        })
    });
    made.collect()
}

fn neighbour_config(config: &Config) -> inet::neighbour::NeighbourConfig {
    inet::neighbour::NeighbourConfig {
        reachable_ms: config.neighbours.timeout.as_millis() as u64,
        max_entries: config.neighbours.max,
        ..inet::neighbour::NeighbourConfig::default()
    }
}

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

/// Serves the control socket on the main lcore's CPU until a signal.
fn serve(
    control: Arc<Control>,
    listener: std::os::unix::net::UnixListener,
    socket: &Path,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which is as good a reason to stop.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let ticking = tokio::spawn(Arc::clone(&control).run(until(stopped.clone())));
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let serving = tokio::spawn(control::serve(control, listener, until(stopped)));
        tracing::info!(socket = %socket.display(), "ready");
        // Without systemd there is nobody to notify.
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
        let ended = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = ended, "stopping");
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
        let _ = stop.send(true);
        ticking.await?;
        serving.abort();
        Ok(())
    });
    let _ = std::fs::remove_file(socket);
    served
}

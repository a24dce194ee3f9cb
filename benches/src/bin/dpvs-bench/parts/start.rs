//! The time from the start of the daemon to the first packet that it forwards. This includes the
//! configuration of a service through its socket.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proto::v1::ListWorkersRequest;
use proto::v1::link_service_client::LinkServiceClient;
use rustix::process::{Pid, Signal, kill_process};

use benches::frames::{self, VIP, client, udp};
use benches::measure::Spread;
use benches::plane;
use packet::MacAddr;

use crate::error::Error;

/// Room for conns.
const CONNS: u32 = 1_000_000;
const FLOWS: u32 = 1_000;
const DESTS: u32 = 16;
const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two polls.
const POLL: Duration = Duration::from_millis(1);
/// The MAC address that net_pcap gives its first port.
const PCAP_MAC: MacAddr = MacAddr(*b"\x02pcap\x00");

/// Starts the program at `dpvsd` so many times. Returns seconds.
pub(crate) fn run(dpvsd: &Path, runs: u32) -> Result<Spread, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let times = (0..runs).map(|_| runtime.block_on(start_to_first_packet(dpvsd)));
    Ok(Spread::of(times.collect::<Result<Vec<_>, _>>()?))
}

async fn start_to_first_packet(dpvsd: &Path) -> Result<f64, Error> {
    let folder = tempfile::tempdir()?;
    let (capture, config) = (
        folder.path().join("frames.pcap"),
        folder.path().join("dpvsd.toml"),
    );
    let socket = folder.path().join("dpvsd.sock");
    let datagrams = (0..FLOWS).map(|flow| udp(client(flow), VIP, PCAP_MAC));
    frames::write_capture(&capture, datagrams)?;
    std::fs::write(&config, configuration(&socket, &capture))?;
    let began = Instant::now();
    let mut daemon = Daemon::start(dpvsd, &config)?;
    loop {
        match first_packet(&socket).await {
            Ok(()) => return Ok(began.elapsed().as_secs_f64()),
            Err(error) => daemon.check(began, &error)?,
        }
        tokio::time::sleep(POLL).await;
    }
}

fn configuration(socket: &Path, capture: &Path) -> String {
    format!(
        "[daemon]\nsocket = \"{}\"\nlog = \"warn\"\n\
         [[device]]\nname = \"dpdk0\"\nvdev = \"net_null0,no-rx=1\"\nkni = false\n\
         [[device]]\nname = \"dpdk1\"\nvdev = \"net_pcap0,rx_pcap={},infinite_rx=1\"\nkni = false\n\
         [conns]\nmax_per_worker = {CONNS}\n[workers]\ncount = 1\n",
        socket.display(),
        capture.display()
    )
}

/// Configures the daemon and waits for the first packet. Fails as long as the socket cannot be
/// connected to.
async fn first_packet(socket: &Path) -> Result<(), Error> {
    let channel = plane::connect(socket).await?;
    plane::set_up(&channel, DESTS, 600).await?;
    let mut links = LinkServiceClient::new(channel);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let all = ListWorkersRequest::default();
        let workers = links.list_workers(all).await?.into_inner().workers;
        let sent = |worker: &proto::v1::Worker| {
            let has = |name: &str| {
                let mut counters = worker.stats.iter().flat_map(|stats| &stats.counters);
                counters.any(|counter| counter.name == name && counter.value > 0)
            };
            has("conns_made") && has("transmitted")
        };
        if workers.iter().any(sent) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err("dpvsd forwards nothing".into())
}

/// The daemon, which is stopped when the value is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(dpvsd: &Path, config: &Path) -> Result<Self, Error> {
        let mut command = Command::new(dpvsd);
        command.arg("--config").arg(config).stdout(Stdio::null());
        let child = command
            .spawn()
            .map_err(|why| format!("{} does not start: {why}", dpvsd.display()))?;
        Ok(Self(child))
    }

    /// Fails if waiting any longer is of no use.
    fn check(&mut self, began: Instant, error: &Error) -> Result<(), Error> {
        if let Some(status) = self.0.try_wait()? {
            return Err(format!("dpvsd has ended: {status}").into());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("dpvsd does not get ready: {error}").into());
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            // The process may have ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

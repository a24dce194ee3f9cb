//! Macswap by DPDK's own program: `dpdk-testpmd --forward-mode=macswap` with the same capture file
//! and the same kind of ports. It shows that the macswap of this program is not slower.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use benches::measure::Spread;

use crate::error::Error;
use crate::lab::{Capture, MBUF_BYTES, SPARE_MBUFS};

/// Seconds at the start that do not count.
const WARM_UP: usize = 2;

/// Packets per second of CPU time, measured once a second. `None` if dpdk-testpmd is not installed.
pub(crate) fn run(
    flows: u32,
    runs: u32,
    cpu: u32,
    hugepages: bool,
) -> Result<Option<Spread>, Error> {
    let capture = Capture::new(flows)?;
    let mut command = Command::new("stdbuf");
    command
        .args(["--output=L", "dpdk-testpmd"])
        .args(arguments(&capture, flows, cpu, hugepages))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if !is_installed() {
        return Ok(None);
    }
    let mut testpmd = Testpmd(command.spawn()?);
    let output = testpmd.0.stdout.take().ok_or("testpmd has no output")?;
    let rates = testpmd.rates(output, runs as usize + WARM_UP + 1)?;
    Ok(Some(Spread::of(rates.into_iter().skip(WARM_UP))))
}

fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("dpdk-testpmd").exists())
}

fn arguments(capture: &Capture, flows: u32, cpu: u32, hugepages: bool) -> Vec<String> {
    let mbufs = flows + SPARE_MBUFS;
    let memory_mb = 256 + u64::from(mbufs) * MBUF_BYTES / (1 << 20);
    let pages = if hugepages {
        "--in-memory"
    } else {
        "--no-huge"
    };
    let text = format!(
        "{pages} -m {memory_mb} --no-pci --no-telemetry --lcores 0@0,1@{cpu} --main-lcore 0 \
         --vdev net_null0,size=60,no-rx=1 --vdev net_pcap0,rx_pcap={},infinite_rx=1 \
         -- --forward-mode=macswap --total-num-mbufs={mbufs} --burst=64 --rxd=512 --txd=512 \
         --nb-cores=1 --no-mlockall --auto-start --stats-period=1",
        capture.path().display()
    );
    text.split_whitespace().map(str::to_owned).collect()
}

/// The program, which is stopped when the value is dropped.
struct Testpmd(Child);

impl Testpmd {
    /// The rate of each second but the first.
    fn rates(&self, output: ChildStdout, seconds: usize) -> Result<Vec<f64>, Error> {
        let (mut rates, mut before) = (Vec::new(), None);
        for line in BufReader::new(output).lines() {
            let Some(packets) = received(&line?).filter(|packets| *packets > 0) else {
                continue;
            };
            let sample = (packets, self.worker_cpu_ns()?);
            if let Some((packets, ns)) = before.replace(sample) {
                rates.push((sample.0 - packets) as f64 * 1e9 / (sample.1 - ns) as f64);
            }
            if rates.len() >= seconds {
                return Ok(rates);
            }
        }
        Err("dpdk-testpmd has ended before it was told to".into())
    }

    /// The CPU time of its only worker thread.
    fn worker_cpu_ns(&self) -> Result<u64, Error> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.0.id()));
        for task in fs::read_dir(tasks)? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.contains("worker") {
                let text = fs::read_to_string(task.join("schedstat"))?;
                let first = text.split_whitespace().next();
                return Ok(first.unwrap_or_default().parse()?);
            }
        }
        Err("dpdk-testpmd has no worker thread".into())
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            // The process may have ended already.
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.0.wait();
    }
}

/// `  RX-packets: 123        RX-missed: 0 ...`
fn received(line: &str) -> Option<u64> {
    let rest = line.trim_start().strip_prefix("RX-packets:")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn testpmd_s_table_is_read() {
        let line = "  RX-packets: 17230592   RX-missed: 0          RX-bytes:  1033835520";
        assert_eq!(received(line), Some(17_230_592));
        assert_eq!(received("  Throughput (since last show)"), None);
    }
}

//! The thread between the workers and the kni netdevs: what the dataplane does not handle goes to
//! the kernel, and what the kernel sends goes out. It may be slow; the rings to it are bounded, so
//! that it never slows a worker.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dpdk::{Mbuf, Mempool};
use kni::KniDevice;
use packet::{PacketBuf, PortId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Largest frame read from the kernel: an MTU of 9000 with its Ethernet and VLAN headers.
const LARGEST_FRAME: usize = 9022;
/// Frames moved per device and ring before the others have their turn.
const BURST: usize = 32;
/// How long the thread sleeps when nothing comes from the kernel. Nothing wakes it for what comes
/// from the workers, so this is what a packet to the kernel waits at most.
const NAP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000,
};

/// A kni netdev and the port it stands for.
#[derive(Debug)]
pub struct KniPort {
    /// The port
    pub port: PortId,
    /// The netdev
    pub device: KniDevice,
}

/// The ends of the rings that the thread serves.
#[derive(Debug)]
pub struct ExceptionPath {
    /// Netdevs
    pub ports: Vec<KniPort>,
    /// From each worker
    pub from_workers: Vec<rtrb::Consumer<Mbuf>>,
    /// To the worker that sends for the kernel
    pub to_worker: rtrb::Producer<Mbuf>,
    /// Where packets of the kernel are copied into
    pub mempool: Mempool,
}

impl ExceptionPath {
    /// Serves until told to stop.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut frame = vec![0; LARGEST_FRAME];
        while !stop.load(Ordering::Relaxed) {
            let moved = self.serve_workers() + self.serve_kernel(&mut frame);
            if moved == 0 {
                self.nap();
            }
        }
    }

    fn serve_workers(&mut self) -> usize {
        let mut moved = 0;
        for ring in &mut self.from_workers {
            for _ in 0..BURST {
                let Ok(packet) = ring.pop() else { break };
                moved += 1;
                if let Some(kni) = self.ports.iter().find(|kni| kni.port == packet.port()) {
                    // A netdev that is down, or whose queue is full, takes nothing: the kernel counts it.
                    let _ = kni.device.write(packet.bytes());
                }
            }
        }
        moved
    }

    fn serve_kernel(&mut self, frame: &mut [u8]) -> usize {
        let mut moved = 0;
        for kni in &self.ports {
            for _ in 0..BURST {
                let Ok(Some(len)) = kni.device.read(frame) else {
                    break;
                };
                moved += 1;
                if let Some(mut packet) = self.mempool.alloc_from(&frame[..len]) {
                    packet.set_port(kni.port);
                    // Without room it is dropped here, as a full queue of a NIC would.
                    let _ = self.to_worker.push(packet);
                }
            }
        }
        moved
    }

    fn nap(&self) {
        let mut fds: Vec<PollFd<'_>> = self
            .ports
            .iter()
            .map(|kni| PollFd::from_borrowed_fd(kni.device.as_fd(), PollFlags::IN))
            .collect();
        if fds.is_empty() {
            std::thread::sleep(Duration::from_micros(500));
        } else {
            // An interrupted nap is a short one.
            let _ = poll(&mut fds, Some(&NAP));
        }
    }
}

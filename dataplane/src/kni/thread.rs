//! The thread that moves packets between the workers and the kni netdevs.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dpdk::{Mbuf, Mempool};
use packet::PacketBuf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netdevs::KniNetdev;

/// Bytes of the largest frame that the kernel sends: an MTU of 9000 with Ethernet and VLAN headers.
const LARGEST_FRAME: usize = 9022;
/// Frames that are moved per netdev or ring before the next one has its turn.
const BURST: usize = 32;
/// How long the thread sleeps when there is nothing to do. A frame of the kernel wakes it, a packet
/// of a worker does not, so this is also how long a packet to the kernel waits at most.
const NAP: Duration = Duration::from_micros(500);

/// Everything that the thread works on.
#[derive(Debug)]
pub(crate) struct KniThread {
    /// The netdevs.
    pub(crate) netdevs: Vec<KniNetdev>,
    /// Packets for the kernel, one ring from each worker.
    pub(crate) from_workers: Vec<rtrb::Consumer<Mbuf>>,
    /// Packets of the kernel, to the one worker that sends them.
    pub(crate) to_worker: rtrb::Producer<Mbuf>,
    /// The pool of the mbufs that packets of the kernel are copied into.
    pub(crate) mempool: Mempool,
}

impl KniThread {
    /// Moves packets until told to stop.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
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
                if let Some(kni) = self.netdevs.iter().find(|kni| kni.port == packet.port()) {
                    // A netdev that is down, or whose queue is full, takes nothing. The kernel
                    // counts that.
                    let _ = kni.device.write(packet.bytes());
                }
            }
        }
        moved
    }

    fn serve_kernel(&mut self, frame: &mut [u8]) -> usize {
        let mut moved = 0;
        for kni in &self.netdevs {
            for _ in 0..BURST {
                let Ok(Some(len)) = kni.device.read(frame) else {
                    break;
                };
                moved += 1;
                if let Some(mut packet) = self.mempool.alloc_from(&frame[..len]) {
                    packet.set_port(kni.port);
                    // If the ring is full the packet is dropped, as at a full queue of a NIC.
                    let _ = self.to_worker.push(packet);
                }
            }
        }
        moved
    }

    fn nap(&self) {
        let mut fds: Vec<PollFd<'_>> = self
            .netdevs
            .iter()
            .map(|kni| PollFd::from_borrowed_fd(kni.device.as_fd(), PollFlags::IN))
            .collect();
        if fds.is_empty() {
            std::thread::sleep(NAP);
        } else {
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: NAP.subsec_nanos().into(),
            };
            // An error means that a signal ended the nap early, which does no harm.
            let _ = poll(&mut fds, Some(&timeout));
        }
    }
}

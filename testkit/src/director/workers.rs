//! All workers of a director, which hand packets to each other.

use ipvs_core::Origin;
use packet::PortId;

use super::worker::Director;
use crate::VecBuf;

/// A frame comes in at a worker; what goes out because of it, at whatever worker.
pub fn receive_at(
    workers: &mut [Director],
    first: usize,
    port: PortId,
    frame: &[u8],
) -> Vec<(PortId, Vec<u8>)> {
    receive_batch_at(workers, first, port, &[frame])
}

/// Frames come in as one batch at a worker; what goes out because of them, at whatever worker.
///
/// # Panics
/// If a packet goes from worker to worker without end.
pub fn receive_batch_at(
    workers: &mut [Director],
    first: usize,
    port: PortId,
    frames: &[&[u8]],
) -> Vec<(PortId, Vec<u8>)> {
    let mut sent = Vec::new();
    let batch = frames
        .iter()
        .map(|frame| VecBuf::new(port, frame))
        .collect();
    let mut waiting = vec![(first, Origin::Nic, batch)];
    // The packet may go to its owner, then once around all workers.
    for _ in 0..=workers.len() + 1 {
        for (at, origin, batch) in std::mem::take(&mut waiting) {
            let Director {
                engine, wire, now, ..
            } = &mut workers[at];
            let batch: Vec<VecBuf> = batch;
            engine.process(*now, origin, batch.into_iter(), wire);
            let redirected = std::mem::take(&mut wire.redirected);
            sent.append(&mut wire.sent);
            workers[at].check_that_every_packet_has_its_end();
            for to in 0..workers.len() {
                let handed: Vec<VecBuf> = redirected
                    .iter()
                    .filter(|(worker, _)| usize::from(*worker) == to)
                    .map(|(_, packet)| packet.clone())
                    .collect();
                if !handed.is_empty() {
                    waiting.push((to, Origin::Worker, handed));
                }
            }
        }
        if waiting.is_empty() {
            return sent;
        }
    }
    panic!("a packet goes from worker to worker without end")
}

/// How many packets were handed to another worker.
pub fn handed_over(workers: &[Director]) -> u64 {
    workers
        .iter()
        .map(|worker| worker.engine.stats().redirected.get())
        .sum()
}

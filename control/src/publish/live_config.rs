//! What of the configuration file can change while the daemon runs.

use inet::neighbour::NeighbourConfig;
use ipvs_core::{Command, Defence, ReturnPath, Timeouts};
use packet::nat64::Nat64Prefix;

use super::state::State;

/// What of the configuration file can change while the daemon runs. The rest needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveConfig {
    /// Timeouts of conns
    pub timeouts: Timeouts,
    /// Which packets for a VIP the kernel does not get
    pub defence: Defence,
    /// How NAT shows clients to dests of the other address family
    pub nat64_prefix: Nat64Prefix,
    /// Where answers to clients go
    pub return_path: ReturnPath,
    /// Times and bounds of the neighbour table
    pub neighbours: NeighbourConfig,
    /// Most packets of a worker that wait for one neighbour
    pub neighbour_queue: u16,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            defence: Defence::default(),
            nat64_prefix: Nat64Prefix::default(),
            return_path: ReturnPath::default(),
            neighbours: NeighbourConfig::default(),
            // unres_queue_length of DPVS
            neighbour_queue: 128,
        }
    }
}

impl State {
    /// Takes over what differs between two states of the file. What is the same in both stays as
    /// commands have set it since, such as timeouts of `ipvsadm-rs --set`.
    pub(super) fn reconfigure(&mut self, before: &LiveConfig, after: &LiveConfig) {
        if before.timeouts != after.timeouts {
            change_timeouts(
                &mut self.desired.timeouts,
                &before.timeouts,
                &after.timeouts,
            );
            self.desired.dirty.timeouts = true;
        }
        if (before.defence, before.nat64_prefix) != (after.defence, after.nat64_prefix) {
            self.set_packet_rules(after.defence, after.nat64_prefix);
        }
        if before.return_path != after.return_path {
            self.set_return_path(after.return_path);
        }
        if before.neighbours != after.neighbours {
            self.neighbours.set_config(after.neighbours);
        }
        if before.neighbour_queue != after.neighbour_queue {
            for worker in 0..self.workers.len() {
                let limit = Command::LimitNeighbourQueue(after.neighbour_queue);
                self.workers.send(worker, limit);
            }
        }
    }
}

fn change_timeouts(timeouts: &mut Timeouts, before: &Timeouts, after: &Timeouts) {
    // Each field is named, so that a new one cannot be forgotten.
    let Timeouts {
        tcp_s,
        udp_s,
        udp_oneway_s,
        sctp_init_s,
        sctp_s,
        sctp_closed_s,
    } = timeouts;
    let change = |secs: &mut u32, before: u32, after: u32| {
        if before != after {
            *secs = after;
        }
    };
    for (secs, (before, after)) in tcp_s
        .iter_mut()
        .zip(before.tcp_s.into_iter().zip(after.tcp_s))
    {
        change(secs, before, after);
    }
    change(udp_s, before.udp_s, after.udp_s);
    change(udp_oneway_s, before.udp_oneway_s, after.udp_oneway_s);
    change(sctp_init_s, before.sctp_init_s, after.sctp_init_s);
    change(sctp_s, before.sctp_s, after.sctp_s);
    change(sctp_closed_s, before.sctp_closed_s, after.sctp_closed_s);
}

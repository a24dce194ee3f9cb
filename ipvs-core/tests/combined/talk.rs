//! A talk between a client and a dest through a director.

use ipvs_core::{AddrSet, Origin};
use packet::PortId;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames;

use super::ends::{self, ClientEnd, DestEnd};
use super::frame_twists::twisted;
use super::receiver::{self, Receiver};
use super::scene::{Scene, Twist};

/// A talk between a client and a dest.
pub(super) struct Talk<'s> {
    scene: &'s Scene,
    pub(super) workers: Vec<Director>,
    pub(super) client: ClientEnd,
    pub(super) dest: DestEnd,
    at_client: Receiver<'s>,
    at_dest: Receiver<'s>,
    pub(super) client_has_heard: bool,
    pub(super) dest_has_heard: bool,
}

impl<'s> Talk<'s> {
    pub(super) fn new(scene: &'s Scene) -> Self {
        Self {
            scene,
            workers: scene.workers(),
            client: ClientEnd::new(scene),
            dest: DestEnd::new(scene),
            at_client: Receiver::new(scene, WAN),
            at_dest: Receiver::new(scene, LAN),
            client_has_heard: false,
            dest_has_heard: false,
        }
    }

    /// Frames go in, and both ends answer what comes out until nobody has anything to say.
    pub(super) fn exchange(&mut self, frames: Vec<(PortId, Vec<u8>)>) {
        let mut waiting = frames;
        for _ in 0..12 {
            let mut sent = self.receive(&waiting);
            sent.extend(self.resolve());
            waiting = self.hear(&sent);
            if waiting.is_empty() {
                return;
            }
        }
    }

    /// Frames of clients reach the first worker, those of dests the last one.
    fn receive(&mut self, frames: &[(PortId, Vec<u8>)]) -> Vec<(PortId, Vec<u8>)> {
        let scene = self.scene;
        let last = self.workers.len() - 1;
        for (from, worker) in [(WAN, 0), (LAN, last)] {
            let port = if scene.has(Twist::OneArm) { LAN } else { from };
            let of_side = frames.iter().filter(|(side, _)| *side == from);
            let packets: Vec<VecBuf> = of_side
                .flat_map(|(_, frame)| twisted(scene, port, frame))
                .collect();
            let batch = if scene.has(Twist::OneBatch) {
                packets.len().max(1)
            } else {
                1
            };
            for packets in packets.chunks(batch) {
                self.process(worker, Origin::Nic, packets.to_vec());
            }
        }
        self.sent()
    }

    /// A worker processes a batch, and the others what it hands to them.
    fn process(&mut self, worker: usize, origin: Origin, packets: Vec<VecBuf>) {
        let Director {
            engine, now, wire, ..
        } = &mut self.workers[worker];
        wire.out_of_mbufs = self.scene.has(Twist::NoMbufs);
        engine.process(*now, origin, packets.into_iter(), wire);
        now.ns += 1_000_000;
        engine.housekeep(*now, wire);
        let handed = std::mem::take(&mut wire.redirected);
        self.workers[worker].check_that_every_packet_has_its_end();
        for (to, packet) in handed {
            self.process(usize::from(to), Origin::Worker, vec![packet]);
        }
    }

    /// What all workers have sent.
    fn sent(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let sent = |worker: &mut Director| std::mem::take(&mut worker.wire.sent);
        self.workers.iter_mut().flat_map(sent).collect()
    }

    /// Time passes for all workers.
    pub(super) fn wait_s(&mut self, secs: u64) {
        let sent = |worker: &mut Director| worker.wait_s(secs);
        let sent: Vec<_> = self.workers.iter_mut().flat_map(sent).collect();
        self.hear(&sent);
    }

    /// Control learns the MAC addresses that packets wait for.
    fn resolve(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let scene = self.scene;
        if scene.has(Twist::UnknownNeighbours) {
            let [client, _, dest, _] = scene.ends;
            let (client, dest) = (ends::host(client), ends::host(dest));
            let to_clients = if scene.has(Twist::OneArm) {
                config::TO_DESTS
            } else {
                config::TO_CLIENTS
            };
            for Director {
                neighbours, engine, ..
            } in &mut self.workers
            {
                if engine.stats().held.get() > 0 {
                    neighbours.add_static(to_clients, client, CLIENT_MAC);
                    neighbours.add_static(config::TO_DESTS, dest, DEST_MAC);
                }
            }
            self.workers.iter_mut().for_each(Director::publish);
        }
        self.sent()
    }

    /// Both ends read what was sent. What they answer.
    pub(super) fn hear(&mut self, sent: &[(PortId, Vec<u8>)]) -> Vec<(PortId, Vec<u8>)> {
        let mut answers = Vec::new();
        for (port, frame) in sent {
            let is_to_client = frame[..6] == CLIENT_MAC.0;
            let expected = if is_to_client && !self.scene.has(Twist::OneArm) {
                WAN
            } else {
                LAN
            };
            assert_eq!(*port, expected);
            if is_to_client {
                for seen in self.at_client.take(frame) {
                    self.client_has_heard |=
                        seen.payload.contains(&ends::DEST_OCTET) && seen.icmp.is_none();
                    answers.extend(self.client.answer(&seen).map(|frame| (WAN, frame)));
                }
            } else {
                for seen in self.at_dest.take(frame) {
                    self.dest_has_heard |=
                        seen.payload.contains(&ends::CLIENT_OCTET) && seen.icmp.is_none();
                    answers.extend(self.dest.answer(&seen).map(|frame| (LAN, frame)));
                }
            }
        }
        answers
    }

    /// What changes between two packets.
    pub(super) fn change(&mut self) {
        for twist in &self.scene.twists {
            if *twist == Twist::Expired {
                self.wait_s(400);
            }
            for worker in &mut self.workers {
                change(self.scene, *twist, worker);
            }
        }
    }

    /// Routers on both sides refuse the latest packet that each end was sent.
    pub(super) fn refuse(&mut self) {
        let quoted = [(LAN, self.at_dest.latest()), (WAN, self.at_client.latest())];
        let errors = quoted.into_iter().filter_map(|(port, frame)| {
            let frame = frame?;
            let (src, dst) = receiver::addresses(&frame)?;
            let macs = if port == LAN { FROM_DEST } else { FROM_CLIENT };
            let quoted = &frame[14..frame.len().min(14 + 500)];
            let (from, to) = (dst.to_string(), src.to_string());
            let too_long = frames::fragmentation_needed(&from, &to, 1300, quoted, macs);
            let unreachable =
                frames::unreachable(&from, &to, &quoted[..quoted.len().min(68)], macs);
            Some([(port, too_long), (port, unreachable)])
        });
        let errors = errors.flatten().collect();
        self.exchange(errors);
    }
}

/// Changes what a worker knows, unless its service is gone.
fn change(scene: &Scene, twist: Twist, director: &mut Director) {
    let Some(service) = director.snapshot.services.iter().next().cloned() else {
        return;
    };
    match twist {
        Twist::DestRemoved => director.edit(|service| {
            service.leaving = std::mem::take(&mut service.dests);
        }),
        Twist::DestQuiescent => director.edit(|service| {
            service.dests.iter_mut().for_each(|dest| dest.weight = 0);
        }),
        Twist::ServiceRemoved | Twist::ServiceReturns => {
            director.snapshot.services.remove(&service.key);
            director.publish();
            if twist == Twist::ServiceReturns {
                director.snapshot.services.insert_all([service]);
                director.publish();
            }
        }
        Twist::OptionsGone => director.edit(|service| service.options = Default::default()),
        Twist::OptionsAppear => director.edit(|service| scene.set_options(service)),
        Twist::ClientDenied => director.edit(|service| {
            let mut denied = AddrSet::default();
            denied.insert(inet::Prefix::host(ends::host(scene.ends[0])));
            service.access.deny = denied.into();
        }),
        _ => {}
    }
}

//! What is settled with NICs of different abilities.

use std::sync::Mutex;

use dpdk::{QueueId, Rss, RssFields};
use ipvs_core::Arrival;
use rss::Key;

use super::method::{Steering, WhyRing};
use super::port::SteeredPort;
use super::settle::{Candidate, Changed, PortSteering, Settled, Spreads, check_again, settle};

const ALL: RssFields = RssFields {
    tcp4: true,
    udp4: true,
    tcp6: true,
    udp6: true,
};

/// A NIC as a driver presents it.
#[derive(Debug)]
struct Nic {
    rss: Mutex<Rss>,
    /// It takes a table and goes on with its own.
    ignores_tables: bool,
    refuses_tables: bool,
}

fn key() -> Key {
    super::random_key().unwrap()
}

/// A NIC that has taken the key, with a table of so many entries.
fn nic(key: &Key, entries: usize) -> Nic {
    Nic {
        rss: Mutex::new(Rss {
            key: key.0[..40].to_vec(),
            fields: ALL,
            table: vec![QueueId(0); entries],
        }),
        ignores_tables: false,
        refuses_tables: false,
    }
}

impl Nic {
    fn change(self, change: impl FnOnce(&mut Rss)) -> Self {
        change(&mut self.rss.lock().unwrap());
        self
    }
}

impl Spreads for Nic {
    fn rss(&self) -> Result<Rss, String> {
        let rss = self.rss.lock().unwrap().clone();
        match rss.table.is_empty() {
            true => Err("operation not supported".into()),
            false => Ok(rss),
        }
    }

    fn set_table(&self, table: &[QueueId]) -> Result<(), String> {
        if self.refuses_tables {
            return Err("invalid argument".into());
        }
        if !self.ignores_tables {
            self.rss.lock().unwrap().table = table.to_vec();
        }
        Ok(())
    }
}

fn settled(key: &Key, workers: u16, nics: &[&Nic]) -> Settled {
    let candidates = nics.iter().map(|nic| Candidate {
        port: *nic,
        may_rss: true,
        queues: (0..workers).map(QueueId).collect(),
    });
    settle(key, workers, &candidates.collect::<Vec<_>>())
}

fn ring_of(steering: &PortSteering) -> WhyRing {
    match &steering.v4 {
        Steering::RedirectRing(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_nic_that_takes_key_and_table_brings_packets_to_their_owners() {
    let key = key();
    let nic = nic(&key, 512);
    let Settled {
        owners,
        arrival,
        ports,
    } = settled(&key, 3, &[&nic]);
    assert_eq!(
        (&ports[0].v4, &ports[0].v6),
        (&Steering::Rss, &Steering::Rss)
    );
    assert_eq!(arrival, Arrival::ByHash);
    let table = nic.rss().unwrap().table;
    for port in 0..1000 {
        let input = [
            &[10, 0, 0, 1, 10, 0, 0, 2][..],
            &[0, 80],
            &u16::to_be_bytes(port),
        ]
        .concat();
        let queue = table[key.hash(&input) as usize % 512];
        let owner = owners.of_v4([10, 0, 0, 1], [10, 0, 0, 2], 80, port);
        assert_eq!(queue.0, owner.0);
    }
}

#[test]
fn the_queue_of_a_worker_is_the_one_that_it_was_given() {
    let key = key();
    let nic = nic(&key, 128);
    let candidate = Candidate {
        port: &nic,
        may_rss: true,
        queues: vec![QueueId(1), QueueId(0)],
    };
    let settled = settle(&key, 2, &[candidate]);
    let table = nic.rss().unwrap().table;
    let owners = settled.owners.table().iter();
    assert!(
        owners
            .zip(&table)
            .all(|(owner, queue)| owner.0 == 1 - queue.0)
    );
}

#[test]
fn ports_with_tables_of_different_lengths_agree() {
    let key = key();
    let (small, large) = (nic(&key, 64), nic(&key, 512));
    let settled = settled(&key, 4, &[&small, &large]);
    assert!(settled.ports.iter().all(PortSteering::is_rss));
    let (small, large) = (small.rss().unwrap().table, large.rss().unwrap().table);
    assert!((0..512).all(|at| large[at] == small[at % 64]));
}

#[test]
fn one_worker_needs_no_steering() {
    let key = key();
    let nic = nic(&key, 128).change(|rss| rss.table.clear());
    let settled = settled(&key, 1, &[&nic]);
    assert_eq!(settled.ports[0].v4, Steering::OneWorker);
    assert_eq!(settled.owners.workers(), 1);
}

#[test]
fn a_nic_without_rss_uses_the_ring_and_conns_stay_where_they_come() {
    let key = key();
    let nic = nic(&key, 128).change(|rss| rss.table.clear());
    let settled = settled(&key, 2, &[&nic]);
    assert!(matches!(ring_of(&settled.ports[0]), WhyRing::Unreadable(_)));
    assert_eq!(settled.arrival, Arrival::AsItComes);
    assert_eq!(settled.owners.workers(), 2);
}

#[test]
fn a_nic_with_a_table_of_one_entry_uses_the_ring() {
    let key = key();
    let nic = nic(&key, 1);
    let settled = settled(&key, 2, &[&nic]);
    assert_eq!(ring_of(&settled.ports[0]), WhyRing::Table(1, 2));
}

#[test]
fn a_nic_that_ignores_or_refuses_the_table_uses_the_ring() {
    let key = key();
    let lies = Nic {
        ignores_tables: true,
        ..nic(&key, 128)
    };
    let refuses = Nic {
        refuses_tables: true,
        ..nic(&key, 128)
    };
    let settled = settled(&key, 2, &[&lies, &refuses]);
    assert_eq!(ring_of(&settled.ports[0]), WhyRing::TableIgnored);
    assert!(matches!(
        ring_of(&settled.ports[1]),
        WhyRing::TableRefused(_)
    ));
}

#[test]
fn the_key_of_a_nic_that_keeps_its_own_becomes_everybody_s() {
    let (key, own) = (key(), key());
    let fixed = nic(&own, 128);
    let settled = settled(&key, 2, &[&fixed]);
    assert!(settled.ports[0].is_rss());
    let (willing, fixed) = (nic(&key, 128), nic(&own, 128));
    let ports = super::tests::settled(&key, 2, &[&fixed, &willing]).ports;
    assert_eq!(ring_of(&ports[0]), WhyRing::OtherKey);
    assert!(ports[1].is_rss(), "one that can be taught decides");
}

#[test]
fn a_nic_that_hashes_no_ports_of_udp_uses_the_ring_for_that_family() {
    let key = key();
    let nic = nic(&key, 128).change(|rss| rss.fields.udp6 = false);
    let settled = settled(&key, 2, &[&nic]);
    let PortSteering { v4, v6, .. } = &settled.ports[0];
    assert_eq!(*v4, Steering::Rss);
    assert!(matches!(v6, Steering::RedirectRing(WhyRing::Fields(_))));
}

#[test]
fn a_table_that_the_driver_changes_is_set_again_and_a_changed_key_demotes() {
    let key = key();
    let nic = nic(&key, 128);
    let mut steering = settled(&key, 2, &[&nic]).ports.remove(0);
    assert_eq!(check_again(&nic, &mut steering), None);
    nic.rss.lock().unwrap().table.fill(QueueId(0));
    assert_eq!(check_again(&nic, &mut steering), Some(Changed::Restored));
    assert_eq!(check_again(&nic, &mut steering), None);
    nic.rss.lock().unwrap().key[3] ^= 1;
    let demoted = Changed::Demoted(WhyRing::OtherKey);
    assert_eq!(check_again(&nic, &mut steering), Some(demoted));
    assert!(!steering.is_rss());
    assert_eq!(check_again(&nic, &mut steering), None, "it is said once");
}

#[test]
fn packets_at_the_wrong_worker_demote_a_port_and_the_log_names_the_driver() {
    let key = key();
    let nic = nic(&key, 128);
    let steering = settled(&key, 2, &[&nic]).ports.remove(0);
    let port = SteeredPort::new(steering, 2);
    let fact = |name: &str| {
        let facts = port.facts();
        facts
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    port.arrivals_of(0).received.add(60);
    port.arrivals_of(1).received.add(60);
    port.arrivals_of(1).misplaced.add(1);
    assert_eq!(port.watch(&nic, "net_example", true), None);
    assert_eq!(
        (port.summary(), fact("steering_proof")),
        ("rss".into(), Some("120 packets".into()))
    );
    port.arrivals_of(0).received.add(100);
    port.arrivals_of(0).misplaced.add(50);
    let said = port.watch(&nic, "net_example", true).unwrap();
    assert!(
        said.contains("net_example") && said.contains("50 of 100 packets"),
        "{said}"
    );
    assert_eq!(port.summary(), "redirect ring");
    assert_eq!(fact("packets_redirected"), Some("51".into()));
    assert_eq!(
        port.watch(&nic, "net_example", true),
        None,
        "it is said once"
    );
}

#[test]
fn a_table_that_changed_while_the_link_was_down_is_set_again() {
    let key = key();
    let nic = nic(&key, 128);
    let steering = settled(&key, 2, &[&nic]).ports.remove(0);
    let port = SteeredPort::new(steering, 2);
    assert_eq!(port.watch(&nic, "net_example", false), None);
    nic.rss.lock().unwrap().table.fill(QueueId(0));
    let said = port.watch(&nic, "net_example", true).unwrap();
    assert!(said.contains("was set again"), "{said}");
    assert!(nic.rss().unwrap().table.contains(&QueueId(1)));
    assert_eq!(port.summary(), "rss");
}

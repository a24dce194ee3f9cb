//! Settles who owns which packet, and how each port brings packets to their owners.
//!
//! Every port was configured with the same key. Here each gets the same redirection table, and both
//! are read back: only what the driver says it uses counts. What a driver says is judged later by
//! the packets, see [`super::Arrivals`].

use std::sync::Arc;

use dpdk::{QueueId, Rss};
use ipvs_core::Arrival;
use rss::{Key, MOST_ENTRIES, Owners};

use super::method::{Steering, WhyRing};

/// Entries of the redirection table where no NIC says otherwise. Most NICs have 128.
const ENTRIES: usize = 128;
/// Bytes of the key that hash a packet of IPv6: addresses and ports, and 32 bits more.
const USED_KEY_LEN: usize = 40;

/// What is asked of a port.
pub(crate) trait Spreads {
    /// How it spreads packets.
    fn rss(&self) -> Result<Rss, String>;
    /// Changes its redirection table.
    fn set_table(&self, table: &[QueueId]) -> Result<(), String>;
}

impl Spreads for dpdk::Port {
    fn rss(&self) -> Result<Rss, String> {
        Self::rss(self).map_err(|error| error.to_string())
    }

    fn set_table(&self, table: &[QueueId]) -> Result<(), String> {
        self.set_rss_table(table).map_err(|error| error.to_string())
    }
}

/// A port that is started.
pub(crate) struct Candidate<'a> {
    pub(crate) port: &'a dyn Spreads,
    /// Whether the configuration lets it spread packets by RSS.
    pub(crate) may_rss: bool,
    /// The queue of each worker.
    pub(crate) queues: Vec<QueueId>,
}

/// How a port brings packets to their owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortSteering {
    pub(crate) v4: Steering,
    pub(crate) v6: Steering,
    /// What the driver says it uses, and was told to use.
    pub(crate) rss: Option<Rss>,
}

impl PortSteering {
    fn both(steering: Steering) -> Self {
        Self {
            v4: steering.clone(),
            v6: steering,
            rss: None,
        }
    }

    const fn ring(why: WhyRing) -> Steering {
        Steering::RedirectRing(why)
    }

    /// Neither family is brought to its owners any more.
    pub(crate) fn demote(&mut self, why: &WhyRing) {
        for steering in [&mut self.v4, &mut self.v6] {
            if steering.is_rss() {
                *steering = Self::ring(why.clone());
            }
        }
    }

    pub(crate) fn is_rss(&self) -> bool {
        self.v4.is_rss() || self.v6.is_rss()
    }
}

/// What was settled.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) owners: Arc<Owners>,
    pub(crate) arrival: Arrival,
    /// By port.
    pub(crate) ports: Vec<PortSteering>,
}

/// Settles it for so many workers. `key` is what the ports were configured with.
pub(crate) fn settle(key: &Key, workers: u16, candidates: &[Candidate<'_>]) -> Settled {
    if workers <= 1 {
        return Settled {
            owners: Arc::new(Owners::single()),
            arrival: Arrival::AsItComes,
            ports: vec![PortSteering::both(Steering::OneWorker); candidates.len()],
        };
    }
    let said: Vec<_> = candidates
        .iter()
        .map(|candidate| what_it_says(candidate, workers))
        .collect();
    let entries = entries_of(&said);
    let key = choose_key(key, entries, &said);
    // The key was chosen so that this works.
    let owners = Owners::new(&key, Owners::in_turns(entries, workers), workers);
    let owners = Arc::new(owners.unwrap_or_else(|_| Owners::single()));
    let steer = |(candidate, said): (&Candidate<'_>, &Result<Rss, WhyRing>)| match said {
        Ok(said) => steer(candidate, said, &owners, &key),
        Err(why) => PortSteering::both(PortSteering::ring(why.clone())),
    };
    let ports: Vec<_> = candidates.iter().zip(&said).map(steer).collect();
    let is_by_hash = ports.iter().any(PortSteering::is_rss);
    Settled {
        arrival: if is_by_hash {
            Arrival::ByHash
        } else {
            Arrival::AsItComes
        },
        owners,
        ports,
    }
}

/// How a port spreads packets, if that can be of use.
fn what_it_says(candidate: &Candidate<'_>, workers: u16) -> Result<Rss, WhyRing> {
    if !candidate.may_rss {
        return Err(WhyRing::Asked);
    }
    let rss = candidate.port.rss().map_err(WhyRing::Unreadable)?;
    let (entries, least) = (rss.table.len(), usize::from(workers).next_power_of_two());
    if !entries.is_power_of_two() || entries < least {
        return Err(WhyRing::Table(entries, least));
    }
    Ok(rss)
}

/// The entries that all ports' tables have.
fn entries_of(said: &[Result<Rss, WhyRing>]) -> usize {
    let tables = said.iter().flatten().map(|rss| rss.table.len());
    tables.min().unwrap_or(ENTRIES).min(MOST_ENTRIES)
}

/// The key that the ports were configured with, if one has taken it. Otherwise that of the first
/// port, if it is good enough.
fn choose_key(key: &Key, entries: usize, said: &[Result<Rss, WhyRing>]) -> Key {
    if said.iter().flatten().any(|rss| has_key(rss, key)) {
        return *key;
    }
    let long_enough = |rss: &&Rss| rss.key.len() >= USED_KEY_LEN;
    let own = said.iter().flatten().find(long_enough);
    let own = own.map(|rss| Key::from_prefix(&rss.key));
    let is_good = |own: &Key| Owners::new(own, Owners::in_turns(entries, 1), 1).is_ok();
    own.filter(is_good).unwrap_or(*key)
}

/// Whether a port uses this key.
fn has_key(rss: &Rss, key: &Key) -> bool {
    let used = rss.key.get(..USED_KEY_LEN);
    used.is_some_and(|used| *used == key.0[..USED_KEY_LEN])
}

/// Gives the port the table of the owners, and looks at what it makes of it.
fn steer(candidate: &Candidate<'_>, said: &Rss, owners: &Owners, key: &Key) -> PortSteering {
    let table = table_of(candidate, owners, said.table.len());
    let (v4, v6, rss) = match apply(candidate, said, &table, key) {
        Ok(rss) => {
            let fields = rss.fields;
            let hashes = |tcp, udp, family| match tcp && udp {
                true => Steering::Rss,
                false => PortSteering::ring(WhyRing::Fields(family)),
            };
            let v4 = hashes(fields.tcp4, fields.udp4, "TCP and UDP over IPv4");
            let v6 = hashes(fields.tcp6, fields.udp6, "TCP and UDP over IPv6");
            (v4, v6, rss)
        }
        Err(why) => {
            let ring = PortSteering::ring(why);
            (ring.clone(), ring, said.clone())
        }
    };
    PortSteering {
        v4,
        v6,
        rss: Some(rss),
    }
}

/// The queues of the owners, as often as they fit into a table of this length.
fn table_of(candidate: &Candidate<'_>, owners: &Owners, len: usize) -> Vec<QueueId> {
    let owners = owners.table().iter().cycle().take(len);
    owners
        .map(|worker| candidate.queues[worker.index()])
        .collect()
}

fn apply(
    candidate: &Candidate<'_>,
    said: &Rss,
    table: &[QueueId],
    key: &Key,
) -> Result<Rss, WhyRing> {
    if !has_key(said, key) {
        return Err(WhyRing::OtherKey);
    }
    if said.table != table {
        candidate
            .port
            .set_table(table)
            .map_err(WhyRing::TableRefused)?;
    }
    let now = candidate.port.rss().map_err(WhyRing::Unreadable)?;
    match now.table == table && now.key == said.key {
        true => Ok(now),
        false => Err(WhyRing::TableIgnored),
    }
}

/// Looks whether a port still spreads packets as it was told, and tells it again if not. Returns
/// what has happened, if anything.
pub(crate) fn check_again(port: &dyn Spreads, steering: &mut PortSteering) -> Option<Changed> {
    let told = steering.rss.clone().filter(|_| steering.is_rss())?;
    let why = match port.rss() {
        Ok(now) if now == told => return None,
        Ok(now) if now.key == told.key && now.fields == told.fields => {
            match port.set_table(&told.table) {
                Ok(()) if port.rss().is_ok_and(|now| now == told) => {
                    return Some(Changed::Restored);
                }
                Ok(()) => WhyRing::TableIgnored,
                Err(why) => WhyRing::TableRefused(why),
            }
        }
        Ok(_) => WhyRing::OtherKey,
        Err(why) => WhyRing::Unreadable(why),
    };
    steering.demote(&why);
    Some(Changed::Demoted(why))
}

/// What a look at a port found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// The driver had changed the redirection table, and has the right one again.
    Restored,
    /// Packets are handed over from now on.
    Demoted(WhyRing),
}

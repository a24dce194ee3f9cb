//! Looking a hash up in the table of slots that control made: sh, dh, mh, conhash.

use packet::quic::{ChosenBy, ConnectionId};

use super::Arrival;
use crate::config::{Dest, Service, hashing};

/// How many other slots are tried when a dest takes no conns, before the dests are tried one by one.
const OTHER_SLOTS: u64 = 16;

/// The dest of a hash. If it takes no conns: another one, the same for every worker that finds the same
/// dests unable; or `None` without `fallback`.
pub(super) fn look_up(
    service: &Service,
    hash: u64,
    fallback: bool,
    takes_conns: impl Fn(&Dest) -> bool,
) -> Option<&Dest> {
    let dest_at = |hash| service.dests.get(usize::from(*slot(service, hash)?));
    let first = dest_at(hash)?;
    if takes_conns(first) {
        return Some(first);
    }
    if !fallback {
        return None;
    }
    (1..=OTHER_SLOTS)
        .filter_map(|attempt| dest_at(hashing::mix(hash ^ attempt)))
        .find(|dest| takes_conns(dest))
        .or_else(|| one_by_one(service, hash, takes_conns))
}

/// The slot of a hash, which has the index of a dest.
#[inline]
pub(super) fn slot(service: &Service, hash: u64) -> Option<&u16> {
    let slots = service.plan.order();
    slots.get(hashing::place(hash, slots.len()))
}

/// Nearly all dests take none: their own order, from where the hash says.
fn one_by_one(service: &Service, hash: u64, takes_conns: impl Fn(&Dest) -> bool) -> Option<&Dest> {
    let dests = &service.dests;
    let (before, from) = dests.split_at(hashing::place(hash, dests.len()));
    from.iter()
        .chain(before)
        .find(|dest| dest.weight > 0 && takes_conns(dest))
}

/// By QUIC's connection ID: the dest that the ID names, even if it has weight 0 now, since it was that
/// dest which gave the ID out; else by the ID's hash. What is not QUIC goes by the client's address.
pub(super) fn by_quic<'a>(
    service: &'a Service,
    arrival: &Arrival<'_>,
    takes_conns: impl Fn(&Dest) -> bool,
) -> Option<&'a Dest> {
    let Some(id) = ConnectionId::read(arrival.payload) else {
        let hash = hashing::of_endpoint(arrival.client.0, 0);
        return look_up(service, hash, true, takes_conns);
    };
    if id.chosen_by == ChosenBy::Server {
        let names = [id.quic_lb_server(), id.dpvs_server()];
        let named = names.into_iter().flatten().find_map(|name| {
            let at = service.plan.server_names().find(&name)?;
            service.dests.get(usize::from(at))
        });
        if let Some(dest) = named.filter(|dest| takes_conns(dest)) {
            return Some(dest);
        }
    }
    let hash = hashing::of_octets(id.stable_octets());
    look_up(service, hash, true, takes_conns)
}

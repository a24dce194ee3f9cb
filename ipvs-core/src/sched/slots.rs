//! sh, dh, mh and conhash: they look up a hash in the table of slots that control made.

use packet::quic::{ChosenBy, ConnectionId};

use super::Arrival;
use crate::config::{Dest, Service, hashing};

/// Other slots that are tried when a dest takes no conns, before the dests are tried one by one.
const OTHER_SLOTS: u64 = 16;

/// The dest of a hash. If it takes no conns and `fallback` is set, another dest: the same one on
/// all workers that find the same dests overloaded.
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

/// The slot of a hash. It holds the index of a dest.
#[inline]
pub(super) fn slot(service: &Service, hash: u64) -> Option<&u16> {
    let slots = service.plan.order();
    slots.get(hashing::place(hash, slots.len()))
}

/// When nearly all dests take no conns: tries them in their order, from a position that the hash
/// gives.
fn one_by_one(service: &Service, hash: u64, takes_conns: impl Fn(&Dest) -> bool) -> Option<&Dest> {
    let dests = &service.dests;
    let (before, from) = dests.split_at(hashing::place(hash, dests.len()));
    from.iter()
        .chain(before)
        .find(|dest| dest.weight > 0 && takes_conns(dest))
}

/// Chooses by QUIC's connection ID. If the ID names a dest, that dest is taken even if its weight
/// is 0 now, since it was the dest that issued the ID. Otherwise a hash decides of what all packets
/// of the client's connection have: of an ID that lasts, or of the client's address. So a director
/// that has not seen the first packets chooses as the one that has (RFC 9000, 5.2.3).
pub(super) fn by_quic<'a>(
    service: &'a Service,
    arrival: &Arrival<'_>,
    takes_conns: impl Fn(&Dest) -> bool,
) -> Option<&'a Dest> {
    let id = ConnectionId::read(arrival.payload);
    if let Some(id) = id.filter(|id| id.chosen_by == ChosenBy::Server) {
        let names = [id.quic_lb_server(), id.dpvs_server()];
        let named = names.into_iter().flatten().find_map(|name| {
            let at = service.plan.server_names().find(&name)?;
            service.dests.get(usize::from(at))
        });
        if let Some(dest) = named.filter(|dest| takes_conns(dest)) {
            return Some(dest);
        }
    }
    let lasting = id.and_then(|id| id.lasting());
    let hash = match lasting {
        Some(octets) => hashing::of_octets(octets),
        None => hashing::of_endpoint(arrival.client.0, 0),
    };
    look_up(service, hash, true, takes_conns)
}

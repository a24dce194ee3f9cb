//! Ends all conns of a dest, and its persistence templates. They are found by walking the tables, a
//! few slots per call.

use std::net::IpAddr;

use packet::PacketBuf;

use crate::conn::{ConnFlags, ConnId};
use crate::ctx::{Engine, Forwarder};
use crate::io::Io;
use crate::wire::Family;

/// Slots of the table that are looked at per call.
const REACH: u32 = 256;

impl<B: PacketBuf> Engine<B> {
    /// Goes on with the removal of dests, first in IPv4's table, then in IPv6's, and last in that
    /// of the templates.
    pub(crate) fn continue_dest_removals(&mut self, io: &mut impl Io<B>) {
        if self.v4().walk(io) {
            for dest in self.v4.dest_removals.walking.drain(..) {
                self.v6.dest_removals.add(dest);
            }
            let laddrs = self.v4.dest_removals.walking_laddrs.drain(..);
            self.v6.dest_removals.waiting_laddrs.extend(laddrs);
        }
        if self.v6().walk(io) {
            self.v6.dest_removals.is_over = true;
        }
        if self.v6.dest_removals.is_over {
            self.remove_templates();
        }
    }
}

impl<B: PacketBuf> Engine<B> {
    fn remove_templates(&mut self) {
        let walk = &mut self.v6.dest_removals;
        let stats = &self.shared.stats;
        let gone = |dest| stats.dest(dest).persistent_conns.sub(1);
        let templates = &self.shared.state.templates;
        match templates.remove_some(walk.template_cursor, &walk.walking, gone) {
            Some(next) => walk.template_cursor = next,
            None => {
                walk.walking.clear();
                walk.walking_laddrs.clear();
                (walk.is_over, walk.template_cursor) = (false, 0);
            }
        }
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Goes on with a walk through the table, or begins one. Returns whether it is over. Both ends
    /// of an established conn get a reset.
    fn walk(&mut self, io: &mut impl Io<B>) -> bool {
        let closing = &mut self.family.dest_removals;
        if closing.is_over {
            return false;
        }
        if closing.walking.is_empty() && closing.walking_laddrs.is_empty() {
            if closing.waiting.is_empty() && closing.waiting_laddrs.is_empty() {
                return false;
            }
            std::mem::swap(&mut closing.walking_laddrs, &mut closing.waiting_laddrs);
            std::mem::swap(&mut closing.walking, &mut closing.waiting);
            closing.walking.sort_unstable();
            closing.cursor = 0;
        }
        let (ids, next) = self
            .family
            .conns
            .scan(self.family.dest_removals.cursor, REACH);
        let mut found = [None::<ConnId>; REACH as usize];
        let walking = &self.family.dest_removals.walking;
        let laddrs = &self.family.dest_removals.walking_laddrs;
        let of_closed_dests = ids.filter(|id| {
            let conn = self.family.conns.get(*id);
            let uses = |laddr: &IpAddr| {
                conn.flags.has(ConnFlags::LOCAL_PORT) && conn.local().0.to_ip() == *laddr
            };
            walking.binary_search(&conn.dest()).is_ok() || laddrs.iter().any(uses)
        });
        for (slot, id) in found.iter_mut().zip(of_closed_dests) {
            *slot = Some(id);
        }
        for id in found.into_iter().map_while(|id| id) {
            self.reset_if_established(id, io);
            self.end(id);
        }
        if let Some(cursor) = next {
            self.family.dest_removals.cursor = cursor;
        }
        next.is_none()
    }
}

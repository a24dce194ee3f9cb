//! Makes a conn: service, dest, local port, and its entry in the table.

use std::sync::Arc;

use inet::is_link_local;
use packet::PacketBuf;

use crate::config::{
    DestId, MatchFacts, Persistence, Protocol, Service, ServiceId, ServiceOptions, Snapshot,
};
use crate::conn::{Conn, ConnExt, ConnFlags, ConnId, IdleTimeout, Lookup, TableFull};
use crate::ctx::{Adoption, Forwarder, Miss};
use crate::drop_reason::DropReason;
use crate::lifecycle::bind::{Binding, Bound};
use crate::lifecycle::opening::{Opening, adopt};
use crate::state::{Expectation, limits, service_state_of, templates};
use crate::tcp_state::TcpState;
use crate::tuple::HashKey;
use crate::wire::{Family, Flow, Segment};

/// Why a packet makes no conn.
pub(crate) enum Unserved {
    /// No service has this address and port.
    NoService,
    /// It must not make one, for this reason.
    Drop(DropReason),
}

impl From<DropReason> for Unserved {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Makes a conn for a packet, and enters its inbound tuple into the index.
    pub(crate) fn create_conn(
        &mut self,
        miss: &mut Miss<A, B>,
        expected: Option<&Expectation>,
    ) -> Result<ConnId, Unserved> {
        let Miss { packet, flow, .. } = miss;
        let packet = packet.as_ref().ok_or(Unserved::NoService)?;
        let snapshot = &self.shared.snapshot;
        let service = match expected {
            Some(expected) => snapshot.services.get(&expected.control_service()),
            None => service_of(snapshot, packet, flow),
        };
        let service = service.ok_or(Unserved::NoService)?;
        let (opening, l4) = match miss.adoption {
            Adoption::OfPacket => {
                let l4 = flow.l4(packet.bytes());
                (Opening::read(service, packet, flow, l4)?, l4)
            }
            // An error has nothing of what the client said.
            Adoption::ByError => (Opening::ADOPTED, &[][..]),
        };
        let options = &service.options;
        let client = flow.tuple.src;
        service.access.check(client)?;
        let service_state = service_state_of(
            &mut self.shared.service_states,
            service,
            self.shared.config.worker,
        );
        let now = self.shared.now;
        limits::check(
            service,
            &mut service_state.rate,
            &self.shared.all_stats,
            now,
        )?;
        let service_id = service.id;
        let template = template_of(service, client, &self.shared.config.keys.conns);
        let choice = Binding {
            conns: &self.family.conns,
            service_state,
            scheduling: &mut self.shared.scheduling,
            all_stats: &self.shared.all_stats,
            all_state: &self.shared.all_state,
            owners: &self.shared.config.owners,
            worker: self.shared.config.worker,
            stats: &self.shared.stats,
            dest_cache: &self.shared.dest_cache,
            laddrs: &mut self.shared.laddrs,
            net: &self.shared.snapshot.net,
            nat64_prefix: self.shared.snapshot.nat64_prefix,
            flow_key: &self.shared.config.keys.sequence,
            template: template.map(|(key, _)| key),
            expected: expected.map(|expected| expected.dest),
        };
        let Bound {
            mut conn,
            laddr_use,
            heir_of,
        } = choice.make_conn(now, flow, l4, service)?;
        self.start(flow.protocol(), options, opening.segment, &mut conn);
        if opening.is_adopted
            && let Err(reason) = adopt(&mut conn)
        {
            // The port that a closing conn would have given is still its own.
            if heir_of.is_none() {
                self.return_port(&conn);
            }
            return Err(reason.into());
        }
        let ext = conn.flags.has(ConnFlags::EDITED).then(|| {
            let is_ftp = service.is_ftp() && expected.is_none();
            ConnExt::for_service(options, is_ftp)
        });
        if let Some(old) = heir_of {
            self.take_over_port(old, opening.segment, &mut conn);
        }
        let (id, outbound) = self.insert(&miss.lookup, conn, service_id)?;
        miss.made = Some((id, outbound));
        if laddr_use.is_some() {
            self.begin_laddr_use(id, laddr_use);
        }
        if let Some(ext) = ext {
            *self.family.exts.get_mut(id) = ext;
        }
        if let Some((key, persistence)) = template {
            let Persistence {
                timeout_s,
                prefix_len,
            } = persistence;
            self.family.exts.set_template_prefix_len(id, prefix_len);
            self.shared.hold_template(key, conn.dest(), timeout_s);
        }
        Ok(id)
    }

    /// Sets the timeout, the sequence numbers and the state of a new conn.
    #[inline]
    fn start(
        &self,
        protocol: Protocol,
        options: &ServiceOptions,
        opening: Option<Segment>,
        conn: &mut Conn<A>,
    ) {
        let is_dr_tunnel = conn.flags.has(ConnFlags::DR_TUNNEL);
        let timeout_s = self.first_timeout_s(protocol, options, is_dr_tunnel);
        conn.timeout = IdleTimeout::from_secs(timeout_s);
        if let Some(segment) = opening
            && conn.flags.is_full_nat()
        {
            conn.seq_delta = self.initial_sequence(conn).wrapping_sub(segment.seq);
        }
        if is_dr_tunnel {
            let has_no_states = protocol != Protocol::Tcp;
            conn.flags.put(ConnFlags::ANSWERED, has_no_states);
        }
    }

    /// Seconds that a new conn waits for its second packet.
    fn first_timeout_s(
        &self,
        protocol: Protocol,
        options: &ServiceOptions,
        is_dr_tunnel: bool,
    ) -> u32 {
        let timeouts = &self.shared.snapshot.timeouts;
        let usual = match (protocol, is_dr_tunnel) {
            (Protocol::Tcp, _) => return timeouts.tcp_s[TcpState::SynSent as usize],
            (Protocol::Sctp, false) => return timeouts.sctp_init_s,
            // The director will not see the dest's answer.
            (Protocol::Sctp, true) => timeouts.sctp_s,
            (_, true) => timeouts.udp_s,
            (_, false) => timeouts.udp_oneway_s,
        };
        options.conn_timeout_s.unwrap_or(usual)
    }

    /// Puts the conn into the table. If the table is full, another conn gives way.
    fn insert(
        &mut self,
        lookup: &Lookup,
        conn: Conn<A>,
        service: ServiceId,
    ) -> Result<(ConnId, Lookup), DropReason> {
        let inserted = match self.family.conns.insert_inbound(lookup, conn) {
            Ok(inserted) => inserted,
            Err(TableFull) => self.insert_into_full(lookup, conn)?,
        };
        self.count_new_conn(service, conn.dest());
        Ok(inserted)
    }

    #[cold]
    #[inline(never)]
    fn insert_into_full(
        &mut self,
        lookup: &Lookup,
        conn: Conn<A>,
    ) -> Result<(ConnId, Lookup), DropReason> {
        let is_adopted = conn.flags.has(ConnFlags::ADOPTED);
        let now = self.shared.now.tick();
        if let Some(victim) = self.family.conns.recyclable(now, is_adopted) {
            self.shared.stats.conns_recycled.add(1);
            self.end(victim);
            if let Ok(inserted) = self.family.conns.insert_inbound(lookup, conn) {
                return Ok(inserted);
            }
        }
        self.return_port(&conn);
        Err(DropReason::ConnTableFull)
    }

    /// Counts a conn that was put into the table.
    pub(crate) fn count_new_conn(&mut self, service: ServiceId, dest: DestId) {
        self.shared.stats.conns.add(1);
        self.shared.stats.conns_made.add(1);
        self.shared.note_conn(service, dest);
        let stats = self.shared.stats.dest(dest);
        stats.conns.add(1);
        stats.inactive_conns.add(1);
        self.shared.scheduling.conn_opened(dest);
    }
}

/// The key of a client's persistence template, if the service has persistence.
#[inline]
fn template_of<A: Family>(
    service: &Service,
    client: A,
    hash_key: &HashKey,
) -> Option<(u64, Persistence)> {
    let persistence = service.options.persistence?;
    let key = templates::key_of(client, service.id, persistence.prefix_len, hash_key);
    Some((key, persistence))
}

/// The service of the packet's VIP and port, or one that matches the packet.
#[inline]
pub(crate) fn service_of<'a, A: Family, B: PacketBuf>(
    snapshot: &'a Snapshot,
    packet: &B,
    flow: &Flow<A>,
) -> Option<&'a Arc<Service>> {
    let tuple = &flow.tuple;
    let services = &snapshot.services;
    let of_vip = services.of_vip(flow.protocol(), tuple.dst, tuple.dport);
    if of_vip.is_some() || !services.has_match_services() {
        return of_vip;
    }
    match_service_of(snapshot, packet, flow)
}

/// The match service of a packet that is not for a VIP.
#[cold]
#[inline(never)]
fn match_service_of<'a, A: Family, B: PacketBuf>(
    snapshot: &'a Snapshot,
    packet: &B,
    flow: &Flow<A>,
) -> Option<&'a Arc<Service>> {
    let tuple = &flow.tuple;
    let services = &snapshot.services;
    let (src, dst) = (tuple.src.to_ip(), tuple.dst.to_ip());
    // A reply without a conn opens none. A packet of a NAT dest goes through a conn or not at all.
    let local = snapshot.net.local_addr(dst);
    if local.is_some_and(|local| local.sapool)
        || services.is_nat_dest(flow.protocol(), src, tuple.sport)
    {
        return None;
    }
    let is_to_us = local.is_some();
    // RFC 4291, 2.5.6; RFC 3927, 2.7: they are not forwarded. Ours of IPv6 is the kernel's too.
    if is_link_local(dst) && (!is_to_us || dst.is_ipv6()) {
        return None;
    }
    let hop = snapshot.net.route_to(dst);
    let oif = hop.and_then(|hop| snapshot.net.device(hop.ifindex));
    let facts = MatchFacts {
        src: (src, tuple.sport),
        dst: (dst, tuple.dport),
        iif: &snapshot.net.device_of(packet.port())?.name,
        oif: oif.map_or("", |device| &device.name),
    };
    services
        .matching(flow.protocol(), &facts, is_to_us)
        // A packet without a route is not let out.
        .filter(|_| is_to_us || oif.is_some())
}
